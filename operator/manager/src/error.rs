//! Errors of the I/O at the edges: each names the act that failed.

use std::time::Duration;

use kube::runtime::controller::Action;

/// What could not be done. Every one is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading a Job, its pods or its events.
    #[error("cannot read a Job: {0}")]
    ReadJob(#[source] kube::Error),
    /// Creating a Job.
    #[error("cannot create a Job: {0}")]
    CreateJob(#[source] kube::Error),
    /// Deleting a harvested Job.
    #[error("cannot delete a Job: {0}")]
    DeleteJob(#[source] kube::Error),
    /// Reading the ServiceAccount of a scan.
    #[error("cannot read the ServiceAccount of a scan: {0}")]
    ReadAccount(#[source] kube::Error),
    /// Reading the store's certificate authority.
    #[error("cannot read the ConfigMap securityv0-store-ca: {0}")]
    ReadStoreCa(#[source] kube::Error),
    /// Writing a status.
    #[error("cannot write a status: {0}")]
    WriteStatus(#[source] kube::Error),
    /// Reading or creating an Estate.
    #[error("cannot read or create an Estate: {0}")]
    Estate(#[source] kube::Error),
    /// An order that cannot be written as JSON.
    #[error("cannot write an order: {0}")]
    Order(#[from] serde_json::Error),
    /// The API server took too long.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// This process is ending.
    #[error("the manager is ending")]
    Draining,
}

impl Error {
    /// A word for metrics.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::ReadJob(_) => "ReadJob",
            Self::CreateJob(_) => "CreateJob",
            Self::DeleteJob(_) => "DeleteJob",
            Self::ReadAccount(_) => "ReadAccount",
            Self::ReadStoreCa(_) => "ReadStoreCa",
            Self::WriteStatus(_) => "WriteStatus",
            Self::Estate(_) => "Estate",
            Self::Order(_) => "Order",
            Self::TimedOut => "TimedOut",
            Self::Draining => "Draining",
        }
    }

    /// Somebody changed the object between our look and our write: normal, look again.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::WriteStatus(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found())
    }

    /// When to look again.
    pub fn again(&self) -> Action {
        Action::requeue(Duration::from_secs(if self.is_stale() { 1 } else { 15 }))
    }
}
