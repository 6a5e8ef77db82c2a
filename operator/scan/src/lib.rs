//! One scan: broker, connector, snapshot, report.
//!
//! Takes a [`sv0_protocol::ScanRequest`] and [`Ports`] (where credentials lie, where snapshots go, how to wait); gives
//! a [`sv0_protocol::ScanReport`]. A scan always ends with a report: complete, partial with named gaps, or failed with
//! a reason. May not: hold a Kubernetes API token, write a Finding, or say a source identifier in a log or report.

mod recording;
mod report;
mod run;
mod sink;

pub use recording::{finish_recording, open_recording};
pub use report::{MAX_REPORT_BYTES, exit_code, reason_of, to_message};
pub use run::{Ports, run, run_with};
pub use sink::{FolderSink, PutError, SnapshotSink, StoreSink};
pub use sv0_broker::Surroundings;
