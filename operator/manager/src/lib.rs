//! The manager: decides when instances are scanned and estates evaluated, starts those Jobs, reads their last words and
//! says in each resource's status how it went.
//!
//! The decisions are pure functions of what is known and of an instant, each a module with its table of tests:
//! [`scan_due`], [`job_state`], [`evaluation_due`], [`fairness`], [`conditions`]. The controllers around them read, decide, write.
//! The manager reads no Secret, requests no token, talks to no source system, and sees no metadata of one.

pub mod args;
mod cluster;
pub mod conditions;
pub mod config;
mod connector_instance;
pub mod context;
pub mod controllers;
pub mod error;
mod estate;
pub mod evaluation_due;
pub mod exceptions;
pub mod fairness;
pub mod http;
pub mod job_state;
pub mod leader;
mod pod;
pub mod report;
pub mod scan_due;
mod scan_schedule;
pub mod schedule;
pub mod telemetry;
#[cfg(test)]
mod testing;
