//! The Job that evaluates one estate: stored snapshots in, Findings and the Estate's status out.
//!
//! What is concluded is decided in `sv0-engine`. Here stand the order of steps ([`run`]), the writes, only where
//! something differs ([`apply`]), and the two servers that this program speaks to: the store and the API server. It
//! holds no source credential.

pub mod apply;
pub mod cluster;
pub mod exceptions;
pub mod report;
pub mod run;
pub mod sink;
pub mod status;
pub mod store;
