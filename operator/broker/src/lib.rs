//! The credential broker: turns mounted credentials into short-lived access tokens.
//!
//! Takes a credential directory, a projected token or the platform's managed identity, and the tenant that the
//! instance's spec is bound to; gives a [`sv0_connector::TokenSource`]. May not: send a credential to an authority that
//! is not one of Microsoft's own, read a secret whose `target` is another tenant, print or store any of it, ask a
//! metadata endpoint that the order does not allow, or lose the vendor's error code.

mod aadsts;
mod answer;
mod certificate;
mod entra;
mod files;
mod managed;
pub mod microsoft;
#[cfg(test)]
mod testing;

pub use aadsts::{Verdict, judge};
pub use certificate::ClientCertificate;
pub use entra::{Credential, EntraBroker, EntraConfig};
pub use managed::Surroundings;
