//! The shape of a connector: a manifest, and one walk over the source system that gives rows and coverage.

use std::future::Future;

use jiff::Timestamp;
use sv0_graph::{Coverage, Row};

use crate::{Engine, Failure, Manifest};

/// A connector.
pub trait Connector: Send + Sync {
    /// What it may ask.
    fn manifest(&self) -> &Manifest;

    /// Reads the source system once. Each collection fails by itself and says so in its coverage; an error is only
    /// what makes the whole scan worthless (no token, another tenant).
    fn collect(
        &self,
        engine: &Engine,
        rows: &dyn RowSink,
        started_at: Timestamp,
    ) -> impl Future<Output = Result<Collected, Failure>> + Send;
}

/// Takes rows in any order; may write them away before the scan ends.
pub trait RowSink: Send + Sync {
    /// One row.
    fn row(&self, row: Row) -> Result<(), SinkError>;
}

/// The sink takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows cannot be kept")]
pub struct SinkError;

/// What a walk found besides rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The tenant that the source system proved to be.
    pub tenant: String,
    /// One record for each collection of the manifest, sorted.
    pub coverage: Vec<Coverage>,
    /// Permissions that are needed and not granted, sorted.
    pub permissions_missing: Vec<String>,
    /// Permissions that the customer may do without: a collection that is denied for one of them is a choice.
    pub add_ons: Vec<String>,
    /// Permissions that are granted and not needed, sorted.
    pub permissions_excess: Vec<String>,
    /// When the credential that the scan signed in with ends, if that can be proven.
    pub credential_expires_at: Option<Timestamp>,
    /// Something newer waits to be accepted.
    pub pending_revision: Option<u32>,
    /// What is granted to the scan's own identity; none when it could not be read.
    pub own_grants: Option<OwnGrants>,
}

/// What the source system says is granted to the scan's own identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnGrants {
    /// The vendor's immutable id of the identity in this tenant. None: it is not there.
    pub principal: Option<String>,
    /// Permissions that are granted and needed, sorted. Those too much are in [`Collected::permissions_excess`].
    pub needed: Vec<String>,
    /// All that is granted.
    pub count: u32,
    /// When the oldest and the newest grant in force were made, as far as the vendor tells.
    pub granted: Option<(Timestamp, Timestamp)>,
}
