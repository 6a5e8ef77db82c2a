//! Where Findings live: the port that the apply step writes through, and what may go wrong there.
//!
//! The API server stands behind it in a pod, a map in memory in tests. Specs are compared as JSON values, so that an
//! object which this version cannot decode is still seen, and replaced or deleted like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use serde_json::Value;
use sv0_api::{EstateStatus, FindingException, FindingExceptionStatus};

/// A Finding as it should stand in the estate.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Object name.
    pub name: String,
    /// The labels that we own; all of them start with [`OWN_LABEL_PREFIX`].
    pub labels: BTreeMap<String, String>,
    /// The whole spec.
    pub spec: Value,
}

/// A Finding as it stands in the estate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Object name.
    pub name: String,
    /// Guards a replace against another writer.
    pub resource_version: String,
    /// All labels, those of others too.
    pub labels: BTreeMap<String, String>,
    /// All annotations: kept as they are.
    pub annotations: BTreeMap<String, String>,
    /// The whole spec.
    pub spec: Value,
}

/// Labels that start with this are ours: a replace removes those that are no longer wanted. Others are left alone.
pub const OWN_LABEL_PREFIX: &str = "securityv0.com/";

impl Stored {
    /// Whether nothing has to be written.
    pub fn matches(&self, desired: &Desired) -> bool {
        let own = self.labels.iter().filter(|(key, _)| key.starts_with(OWN_LABEL_PREFIX));
        own.eq(desired.labels.iter()) && self.spec == desired.spec
    }

    /// The labels after a replace.
    pub fn merged_labels(&self, desired: &Desired) -> BTreeMap<String, String> {
        let foreign = self.labels.iter().filter(|(key, _)| !key.starts_with(OWN_LABEL_PREFIX));
        foreign.chain(&desired.labels).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

/// What may go wrong. No variant carries an object's name or content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// A create found the name taken.
    #[error("the Finding exists already")]
    AlreadyExists,
    /// A replace was overtaken by another writer.
    #[error("another writer changed the Finding at the same time")]
    Conflict,
    /// The object, or the namespace, is gone.
    #[error("the object is not there")]
    NotFound,
    /// The API server refuses: rights, admission policy or schema.
    #[error(
        "the API server refused with status {0}: check that the chart lists this namespace as an estate and that chart, CRDs and image are of one release"
    )]
    Refused(u16),
    /// The API server cannot be reached or fails.
    #[error("the API server cannot be reached; the evaluation will be tried again")]
    Unreachable,
}

/// Reads and writes the Findings of one estate.
pub trait FindingSink: Sync {
    /// All of them, in any order.
    fn list(&self) -> impl Future<Output = Result<Vec<Stored>, SinkError>> + Send;
    /// One of them.
    fn get(&self, name: &str) -> impl Future<Output = Result<Option<Stored>, SinkError>> + Send;
    /// Fails with [`SinkError::AlreadyExists`] when the name is taken.
    fn create(&self, desired: &Desired) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Fails with [`SinkError::Conflict`] when `over` is no longer what stands there.
    fn replace(&self, desired: &Desired, over: &Stored) -> impl Future<Output = Result<(), SinkError>> + Send;
    /// Fails with [`SinkError::NotFound`] when there is nothing to delete.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Reads and writes the status of the namespace's Estate.
pub trait EstateSink: Sync {
    /// The present status; none when it has none yet.
    fn estate_status(&self) -> impl Future<Output = Result<Option<EstateStatus>, SinkError>> + Send;
    /// Makes `status` the whole status.
    fn write_estate_status(&self, status: &EstateStatus) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Reads the `FindingExceptions` of the estate and writes their status.
pub trait ExceptionSink: Sync {
    /// All that can be read, in any order.
    fn list_exceptions(&self) -> impl Future<Output = Result<Vec<FindingException>, SinkError>> + Send;
    /// One of them.
    fn get_exception(&self, name: &str) -> impl Future<Output = Result<Option<FindingException>, SinkError>> + Send;
    /// Makes `status` the whole status. Fails with [`SinkError::Conflict`] when `seen` is no longer what stands there.
    fn write_exception_status(
        &self,
        seen: &FindingException,
        status: &FindingExceptionStatus,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;
}

/// Which instances the estate has.
pub trait InstanceSource: Sync {
    /// UIDs of all `ConnectorInstances` of the estate, those that cannot be read too, as they stand at this moment.
    fn instance_uids(&self) -> impl Future<Output = Result<BTreeSet<String>, SinkError>> + Send;
}
