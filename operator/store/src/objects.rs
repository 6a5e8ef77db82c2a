//! What the store keeps and how it becomes visible.
//!
//! Takes checked names and bytes whose digest is known; gives typed verdicts. Parts, packs and ledgers are named by
//! their content; a manifest makes a snapshot visible and is created once. Nothing here knows of HTTP or Kubernetes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::Deserialize;
use sv0_protocol::store::MAX_PINNED;
use tokio::sync::{Notify, RwLock};

use crate::digest::sha256_hex;
use crate::keys::{Blob, Home, ScanId, Sha256, Uid};
use crate::usage::Usage;

/// Most parts that one manifest may name.
const MAX_PARTS: usize = 10_000;
/// A scan's id may be this far ahead of our clock. The newest ids decide what is kept: with one from the far future, a
/// stolen token of one hour could displace every later snapshot of its instance for good.
const MAX_AHEAD: Duration = Duration::from_mins(10);
/// Parts looked up at a time.
const LOOK_UPS: usize = 16;

/// Why an object was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// No such object.
    #[error("there is no such object")]
    Missing,
    /// Another content under the same id.
    #[error("another content stands already under this id")]
    Conflict,
    /// The bytes do not have the digest that the path names.
    #[error("the body's SHA-256 is not the digest in the path")]
    Digest,
    /// The manifest names parts that are not here, or not with that size.
    #[error("a part that the manifest names is missing or has another size; put the parts first")]
    PartMissing,
    /// The scan's id lies in the future.
    #[error("the scan's id is later than the store's clock allows; check the clocks of the cluster's nodes")]
    FutureScan,
    /// The manifest cannot be read.
    #[error("the manifest must be JSON with a list `parts` of objects with `sha256` and `bytes`")]
    BadManifest,
    /// The list of pinned snapshots cannot be read.
    #[error("the pinned snapshots must be a JSON list of at most two scan ids")]
    BadPins,
    /// The list of live instances cannot be read.
    #[error("the instances must be JSON with a list `instances` of UIDs and `orphanedDays` from 1 to 3660")]
    BadInstances,
    /// What is remembered of an estate cannot be read.
    #[error("what the store remembers of the estate cannot be read; the next evaluation mends it")]
    BadRecord,
    /// Something is to be purged that is there, or may be.
    #[error("it is not known to be gone: only what is gone can be purged")]
    NotGone,
    /// The API server could not be asked.
    #[error("the API server cannot be asked at the moment; try again")]
    Unasked,
    /// The home's quota is used up.
    #[error(
        "a quota is used up; raise --quota-bytes-per-instance or --quota-bytes-per-estate, or lower --keep-snapshots"
    )]
    Quota,
    /// The back end's disk is full.
    #[error("the store's disk is full; enlarge the volume")]
    Full,
    /// The back end fails.
    #[error("the store's back end failed")]
    Backend(#[source] object_store::Error),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error if disk_is_full(&error) => Self::Full,
            error => Self::Backend(error),
        }
    }
}

/// Whether somewhere under `error` the operating system said that the disk or its quota is used up.
fn disk_is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            if matches!(io.kind(), StorageFull | QuotaExceeded) {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

/// Whether a write changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was not there.
    New,
    /// The same content was there already.
    Already,
}

/// Bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes that one instance may hold; one estate's packs, and its ledgers, the same.
    pub quota_bytes: u64,
    /// Bytes that one estate may hold, all of its instances, packs and ledgers together. Whoever can make tokens in an
    /// estate can make them for instances that do not exist, so only this keeps an estate from filling the store.
    pub estate_quota_bytes: u64,
    /// For how long an unreferenced object is spared. A part that is put again is made young again when it is older
    /// than half of this, so that a scan of less than half the grace never loses a part between put and manifest.
    pub grace: Duration,
}

/// The manifest's part list; the rest of the manifest is none of the store's business.
#[derive(Deserialize)]
struct Manifest {
    parts: Vec<PartEntry>,
}

#[derive(Deserialize)]
struct PartEntry {
    sha256: String,
    bytes: u64,
}

/// The parts that `manifest` names, with their sizes.
pub(crate) fn parts_of(manifest: &[u8]) -> Result<BTreeMap<Sha256, u64>, ObjectError> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| ObjectError::BadManifest)?;
    if manifest.parts.len() > MAX_PARTS {
        return Err(ObjectError::BadManifest);
    }
    let mut parts = BTreeMap::new();
    for part in manifest.parts {
        let sha256 = Sha256::parse(&part.sha256).map_err(|_| ObjectError::BadManifest)?;
        // One part under two sizes can never be satisfied.
        if parts.insert(sha256, part.bytes).is_some_and(|earlier| earlier != part.bytes) {
            return Err(ObjectError::BadManifest);
        }
    }
    Ok(parts)
}

/// The objects of all estates.
pub struct Objects {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) usage: Usage,
    bounds: Bounds,
    /// Writers of a home share its lock, the collector takes it alone: it never deletes under a running write.
    locks: Mutex<HashMap<String, Weak<RwLock<()>>>>,
    /// Estates whose namespace's name is known to be stored.
    pub(crate) named: Mutex<HashSet<Uid>>,
    /// Somebody asked for a purge: the collector need not wait for its hour.
    pub asked: Notify,
}

impl Objects {
    /// Over a back end whose only writer is this process.
    pub fn new(store: Arc<dyn ObjectStore>, bounds: Bounds) -> Self {
        Self {
            store,
            usage: Usage::default(),
            bounds,
            locks: Mutex::default(),
            named: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// The bounds in force.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether the back end answers. Whether anything is stored does not matter.
    pub async fn probe(&self) -> Result<(), ObjectError> {
        match self.store.head(&Path::from(crate::keys::TLS_KEY)).await.map_err(ObjectError::from) {
            Ok(_) | Err(ObjectError::Missing) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Stores one part of an instance's snapshot.
    pub async fn put_part(&self, home: &Home, sha256: &Sha256, body: Bytes) -> Result<Written, ObjectError> {
        self.put_named(home, home.part(sha256), sha256, body).await
    }

    /// Stores an evidence pack or a ledger.
    pub async fn put_blob(
        &self,
        namespace_uid: &Uid,
        blob: Blob,
        sha256: &Sha256,
        body: Bytes,
    ) -> Result<Written, ObjectError> {
        let home = Home::blobs(namespace_uid, blob);
        self.put_named(&home, home.blob(sha256), sha256, body).await
    }

    /// Makes a snapshot visible, once all of its parts are here.
    pub async fn put_manifest(&self, home: &Home, id: &ScanId, body: Bytes) -> Result<Written, ObjectError> {
        if Duration::from_millis(id.millis()) > since_1970(SystemTime::now()) + MAX_AHEAD {
            return Err(ObjectError::FutureScan);
        }
        let parts = parts_of(&body)?;
        let lock = self.lock(home);
        let _shared = lock.read().await;
        let key = home.snapshot(id);
        if let Some(verdict) = self.compare(&key, &body).await? {
            return verdict;
        }
        self.require(home, &parts).await?;
        let reserved = self.usage.reserve(&*self.store, home, body.len() as u64, self.bounds).await?;
        match self.create(&key, body.clone(), PutMode::Create).await {
            Ok(()) => {
                reserved.keep();
                Ok(Written::New)
            }
            // Another attempt of the same scan was faster.
            Err(ObjectError::Conflict) => self.compare(&key, &body).await?.unwrap_or(Err(ObjectError::Conflict)),
            Err(e) => Err(e),
        }
    }

    /// Ids of the visible snapshots, oldest first.
    pub async fn list_snapshots(&self, home: &Home) -> Result<Vec<String>, ObjectError> {
        let metas: Vec<ObjectMeta> = self.store.list(Some(&home.snapshots())).try_collect().await?;
        let names = metas.iter().filter_map(|m| m.location.filename());
        let mut ids: Vec<String> = names.filter(|n| ScanId::parse(n).is_ok()).map(str::to_owned).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Has `ids` kept beside the newest snapshots, in place of those that were pinned before: one small object, replaced
    /// as a whole. What is not visible is left out, so that nobody can pin what is not there; a home without a snapshot
    /// gets no such object. It takes no room from the instance: it is one per home, and never longer than its few ids.
    pub async fn pin(&self, home: &Home, ids: &BTreeSet<ScanId>) -> Result<Written, ObjectError> {
        let lock = self.lock(home);
        // Shared with writers, never with the collector: what is visible here is so until it is pinned.
        let _shared = lock.read().await;
        let mut visible = BTreeSet::new();
        for id in ids.iter().take(MAX_PINNED) {
            match self.store.head(&home.snapshot(id)).await.map_err(ObjectError::from) {
                Ok(_) => drop(visible.insert(id.as_str())),
                Err(ObjectError::Missing) => {}
                Err(e) => return Err(e),
            }
        }
        let before = match self.read(&home.pinned()).await {
            Ok(bytes) => Some(bytes),
            Err(ObjectError::Missing) => None,
            Err(e) => return Err(e),
        };
        let body = serde_json::to_vec(&visible).map_err(|_| ObjectError::BadPins)?;
        if before.as_deref().unwrap_or(b"[]") == body.as_slice() {
            return Ok(Written::Already);
        }
        self.create(&home.pinned(), body.into(), PutMode::Overwrite).await?;
        Ok(Written::New)
    }

    /// The pinned snapshots. A list that cannot be read is an error: then nothing is known of what may be deleted.
    pub(crate) async fn pinned(&self, home: &Home) -> Result<BTreeSet<ScanId>, ObjectError> {
        let bytes = match self.read(&home.pinned()).await {
            Ok(bytes) => bytes,
            Err(ObjectError::Missing) => return Ok(BTreeSet::new()),
            Err(e) => return Err(e),
        };
        let ids: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| ObjectError::BadPins)?;
        ids.iter().map(|id| ScanId::parse(id).map_err(|_| ObjectError::BadPins)).collect()
    }

    /// Opens an object for reading.
    pub async fn open(&self, key: &Path) -> Result<GetResult, ObjectError> {
        Ok(self.store.get(key).await?)
    }

    async fn put_named(&self, home: &Home, key: Path, sha256: &Sha256, body: Bytes) -> Result<Written, ObjectError> {
        if sha256_hex(&body) != sha256.as_str() {
            return Err(ObjectError::Digest);
        }
        let lock = self.lock(home);
        let _shared = lock.read().await;
        let size = body.len() as u64;
        match self.store.head(&key).await.map_err(ObjectError::from) {
            Ok(meta) => {
                // Half-way through its grace it is written again, so that the collector sees it as young. A wrong size
                // can only be damage: the content is named by its digest, so writing it again mends it.
                if meta.size != size || age(&meta, SystemTime::now()) > self.bounds.grace / 2 {
                    self.create(&key, body, PutMode::Overwrite).await?;
                }
                return Ok(Written::Already);
            }
            Err(ObjectError::Missing) => {}
            Err(e) => return Err(e),
        }
        let reserved = self.usage.reserve(&*self.store, home, size, self.bounds).await?;
        match self.create(&key, body, PutMode::Create).await {
            Ok(()) => {
                reserved.keep();
                Ok(Written::New)
            }
            Err(ObjectError::Conflict) => Ok(Written::Already),
            Err(e) => Err(e),
        }
    }

    /// Writes one object; nothing is visible under `key` before all of it is written.
    pub(crate) async fn create(&self, key: &Path, body: Bytes, mode: PutMode) -> Result<(), ObjectError> {
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(key, PutPayload::from_bytes(body), options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(ObjectError::Conflict),
            Err(e) => Err(e.into()),
        }
    }

    /// What a create-only write of `body` comes to when something is there already; `None` when nothing is.
    async fn compare(&self, key: &Path, body: &Bytes) -> Result<Option<Result<Written, ObjectError>>, ObjectError> {
        match self.read(key).await {
            Ok(there) if there == *body => Ok(Some(Ok(Written::Already))),
            Ok(_) => Ok(Some(Err(ObjectError::Conflict))),
            Err(ObjectError::Missing) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) async fn read(&self, key: &Path) -> Result<Bytes, ObjectError> {
        Ok(self.store.get(key).await?.bytes().await?)
    }

    async fn require(&self, home: &Home, parts: &BTreeMap<Sha256, u64>) -> Result<(), ObjectError> {
        let wanted: Vec<(Path, u64)> = parts.iter().map(|(sha256, bytes)| (home.part(sha256), *bytes)).collect();
        let mut checks = stream::iter(wanted.into_iter().map(|(key, bytes)| async move {
            match self.store.head(&key).await.map_err(ObjectError::from) {
                Ok(meta) if meta.size == bytes => Ok(()),
                Ok(_) | Err(ObjectError::Missing) => Err(ObjectError::PartMissing),
                Err(e) => Err(e),
            }
        }))
        .buffer_unordered(LOOK_UPS);
        while let Some(check) = checks.next().await {
            check?;
        }
        Ok(())
    }

    pub(crate) fn lock(&self, home: &Home) -> Arc<RwLock<()>> {
        self.lock_of(home.as_str())
    }

    /// The lock of a home, or of an estate's record by the estate's prefix.
    pub(crate) fn lock_of(&self, place: &str) -> Arc<RwLock<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(place).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, l| l.strong_count() > 0);
        let lock = Arc::new(RwLock::new(()));
        locks.insert(place.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How long ago an object was written; zero when it claims to be from the future.
pub(crate) fn age(meta: &ObjectMeta, now: SystemTime) -> Duration {
    let written = UNIX_EPOCH + Duration::from_secs(u64::try_from(meta.last_modified.timestamp()).unwrap_or(0));
    now.duration_since(written).unwrap_or_default()
}
