//! What the programs say to each other: the scan's order and report, the evaluation's order, the store's paths and
//! audiences, and the names that two programs must agree on. Pure types; no I/O, no clock.

mod evaluate;
pub mod names;
mod reason;
mod scan;
pub mod store;

pub use evaluate::*;
pub use reason::Reason;
pub use scan::*;
