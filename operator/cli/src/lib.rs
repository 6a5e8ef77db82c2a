//! `kubectl sv0`: what people do at their own machine to connect a source system, to prove a consent, to take access away
//! again, to read what was found, and to prove what an evaluation concluded.
//!
//! Takes flags and what the user's own kubectl can read; gives files, addresses, verdicts and explanations. May not: hold
//! or send the user's Kubernetes credentials (they stay inside kubectl), change anything in a source system, or write over
//! a file unless told so.

pub mod baseline;
pub mod catalog;
pub mod clouds;
pub mod consent;
pub mod document;
pub mod exit;
pub mod explain;
pub mod export;
pub mod files;
pub mod findings;
pub mod forward;
pub mod gap;
pub mod generated;
pub mod glossary;
pub mod graph;
pub mod http;
pub mod kubectl;
pub mod manifest;
pub mod offboard;
pub mod onboard;
pub mod out;
pub mod pack;
pub mod proof;
pub mod purge;
pub mod replay;
pub mod report;
pub mod route;
pub mod scan;
pub mod store;
pub mod term;
pub mod told;
pub mod values;
pub mod verify;
