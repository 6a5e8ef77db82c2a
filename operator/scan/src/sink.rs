//! Where rows are held while a scan runs, and where its snapshot goes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use sv0_connector::{Folder, RecordingError, RowSink, SinkError};
use sv0_graph::{Row, RowStore};
use sv0_protocol::Reason;
use sv0_store::client::{ClientError, ScanTarget, StoreClient};

/// Most rows of one scan; the memory of the pod is the bound that this stands for.
const MAX_ROWS: u64 = 20_000_000;

/// Takes the parts of a snapshot, then the manifest that makes it visible.
pub trait SnapshotSink: Send + Sync {
    /// One immutable part.
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>>;
    /// The manifest, last.
    fn put_manifest<'a>(&'a self, scan_id: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>>;
}

/// The snapshot was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot was not stored: {reason}")]
pub struct PutError {
    /// Why.
    pub reason: Reason,
}

/// The store.
pub struct StoreSink {
    client: StoreClient,
    target: ScanTarget,
}

impl StoreSink {
    /// Writes for one instance.
    pub fn new(client: StoreClient, target: ScanTarget) -> Self {
        Self { client, target }
    }
}

impl SnapshotSink for StoreSink {
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>> {
        Box::pin(async move { self.client.put_part(&self.target, bytes).await.map(drop).map_err(|e| refused(&e)) })
    }

    fn put_manifest<'a>(&'a self, scan_id: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async move {
            self.client.put_manifest(&self.target, scan_id, bytes).await.map(drop).map_err(|e| refused(&e))
        })
    }
}

/// The client's sentences carry no path, token or content.
fn refused(error: &ClientError) -> PutError {
    tracing::warn!(%error, "the store did not take the snapshot");
    let reason = match error {
        ClientError::Full => Reason::StoreFull,
        ClientError::Conflict | ClientError::TooLarge { .. } | ClientError::PartMissing => Reason::InternalError,
        _ => Reason::StoreUnavailable,
    };
    PutError { reason }
}

/// A folder, or nothing at all when only the report counts: for recordings and replays in a terminal.
pub struct FolderSink {
    folder: Option<Folder>,
    parts: AtomicUsize,
}

impl FolderSink {
    /// Writes into a folder.
    pub fn new(folder: Option<Folder>) -> Self {
        Self { folder, parts: AtomicUsize::new(0) }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        let failed = |error: RecordingError| {
            tracing::error!(%error, "the snapshot cannot be written");
            PutError { reason: Reason::StoreUnavailable }
        };
        self.folder.as_ref().map_or(Ok(()), |folder| folder.write(name, bytes).map_err(failed))
    }
}

impl SnapshotSink for FolderSink {
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>> {
        let nth = self.parts.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(async move { self.write(&format!("part-{nth:04}.jsonl.zst"), &bytes) })
    }

    fn put_manifest<'a>(&'a self, _: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>> {
        Box::pin(async move { self.write("manifest.json", &bytes) })
    }
}

/// Rows in memory, packed, until the snapshot is written.
#[derive(Default)]
pub(crate) struct Rows(Mutex<RowStore>);

impl Rows {
    /// All rows.
    pub(crate) fn take(&self) -> RowStore {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RowSink for Rows {
    fn row(&self, row: Row) -> Result<(), SinkError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.rows() >= MAX_ROWS {
            return Err(SinkError);
        }
        rows.push(row).map_err(|_| SinkError)
    }
}
