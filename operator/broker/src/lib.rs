//! The credential broker: turns mounted credentials into short-lived access tokens.
//!
//! Takes a credential directory or a projected token, and the tenant that the instance's spec is bound to; gives a
//! [`sv0_connector::TokenSource`]. May not: send a credential to an authority that is not one of Microsoft's own,
//! read a secret whose `target` is another tenant, print or store any of it, or lose the vendor's error code.

mod aadsts;
mod entra;
mod files;
pub mod microsoft;

pub use aadsts::{Verdict, judge};
pub use entra::{Credential, EntraBroker, EntraConfig};
