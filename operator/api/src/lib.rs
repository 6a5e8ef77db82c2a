//! The resources of `securityv0.com/v1alpha1`: what users write (`ConnectorInstance`, `ScanSchedule`, `Estate`,
//! `FindingException`) and what they get (`Finding`). Types, limits and schemas only: no client, no clock, no decisions.

// `KubeSchema` repeats each struct inside a function, `pub` included.
#![allow(unreachable_pub)]
// Several columns of one kind have the same type or source.
#![allow(clippy::duplicated_attributes)]

pub mod conditions;
mod connector_instance;
mod crds;
mod estate;
mod finding;
mod finding_exception;
mod finding_size;
mod scan_schedule;

pub use connector_instance::*;
pub use crds::{Generated, crds, generated_files};
pub use estate::*;
pub use finding::*;
pub use finding_exception::*;
pub use finding_size::{ACCEPTANCE_BYTES, FINDING_BYTES, FINDING_SPEC_BYTES, fit};
pub use scan_schedule::*;

/// The API group of every resource.
pub const GROUP: &str = "securityv0.com";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
