//! What end-to-end tests and the demonstration share: a cluster reached through `kubectl`, the product installed
//! through `helm`, and the simulated vendor. Everything goes through the same programs a user has, so that a test
//! sees what a user sees.
//!
//! Takes its cluster from the environment ([`Env`]); never guesses one. May not reach into the product's crates.

pub mod audit;
pub mod cluster;
pub mod deploy;
pub mod env;
pub mod estate;
pub mod faults;
pub mod forward;
pub mod logs;
pub mod metadata;
pub mod planted;
pub mod program;
pub mod store;
pub mod vendor;
pub mod world;

pub use cluster::{Kubectl, eventually};
pub use env::Env;
pub use world::World;

/// What went wrong, as a sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Result of a step.
pub type Result<T> = std::result::Result<T, Error>;
