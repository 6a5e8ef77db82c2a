//! The evaluation of one estate as a function: snapshots, ledger and configuration in; Findings, the next ledger and
//! the evidence pack out.
//!
//! [`evaluate`] is given everything that decides the result and returns everything that shall be written. Nothing
//! here has a clock, a network, a cluster or a runtime, so that whoever holds the inputs can compute the result again:
//! the operator's Job does, and so does a replay on any other machine. [`load`] alone is asynchronous: it asks for
//! bytes through a trait, wherever they are kept.

pub mod accept;
pub mod aged;
pub mod baseline;
pub mod bounds;
pub mod bundle;
pub mod convert;
pub mod evaluate;
pub mod fire;
pub mod fold;
pub mod gaps;
pub mod gather;
pub mod history;
pub mod ledger;
pub mod load;
pub mod merge;
pub mod pack;
pub mod pack_reader;
pub mod replay;
