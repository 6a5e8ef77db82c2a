//! The evaluation of one estate: stored snapshots in, Findings and the Estate's status out.
//!
//! [`engine`] is the pure middle: it is given everything that decides the result and returns everything that shall be
//! written. Around it stand [`load`] (snapshots and what to do with damaged ones), [`apply`] (writes only where
//! something differs) and [`run`] (the order of steps). This crate holds no source credential and speaks to two
//! servers alone: the store and the API server.

pub mod apply;
pub mod cluster;
pub mod convert;
pub mod engine;
pub mod fire;
pub mod gaps;
pub mod history;
pub mod ledger;
pub mod load;
pub mod merge;
pub mod pack;
pub mod report;
pub mod run;
pub mod sink;
pub mod status;
pub mod store;
