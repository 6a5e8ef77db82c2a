//! A simulated Microsoft tenant: the token service and Graph as documented, for tests.
//!
//! Takes an estate file ([`spec`]), serves it over HTTPS under the vendor's own names ([`server`]), breaks on demand
//! ([`admin`]) and says what a scan must find ([`estate::Estate::expectations`]). It knows nothing of the operator.

mod aadsts;
pub mod admin;
mod certificate;
pub mod cloud;
pub mod estate;
pub mod faults;
pub mod generate;
mod graph;
mod issuers;
pub mod keys;
pub mod metadata;
mod reference;
pub mod server;
pub mod spec;
mod state;
pub mod tls;
mod token;
pub mod when;
mod wire;

pub use state::Counters;
