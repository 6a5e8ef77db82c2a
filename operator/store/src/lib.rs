//! The store: immutable snapshots, evidence packs and ledgers, kept on a volume or in an object store.
//!
//! [`client`] is what `scan` and `evaluate` link. Everything else is the program `store`, behind the feature
//! `server`. The store never believes a tenant name in a request, never changes what an object that is visible says,
//! and never looks into a part.

pub mod client;
mod digest;

#[cfg(feature = "server")]
pub mod backend;
#[cfg(feature = "server")]
pub mod cluster;
#[cfg(feature = "server")]
pub mod gate;
#[cfg(feature = "server")]
pub mod gc;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod keys;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod objects;
#[cfg(feature = "server")]
pub mod orphans;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
mod usage;
