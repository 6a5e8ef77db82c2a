//! Store and API server in memory, with a fuse: after so many writes both are gone, as if the program had been killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use bytes::Bytes;
use sv0_api::{EstateStatus, FindingException, FindingExceptionStatus};
use sv0_engine::load::{Deposit, FetchError, Vault};
use sv0_evaluate::sink::{Desired, EstateSink, ExceptionSink, FindingSink, InstanceSource, SinkError, Stored};
use sv0_graph::canonical::digest;
use sv0_graph::testing::SnapshotBuilder;
use sv0_graph::write_snapshot;
use sv0_protocol::EvaluateInput;

/// Another writer.
pub(crate) type Meddler = fn(&mut BTreeMap<String, Stored>);

#[derive(Default)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<String, Stored>,
    pub(crate) estate: EstateStatus,
    /// `FindingExceptions` by name, and how often one was asked for.
    pub(crate) exceptions: BTreeMap<String, FindingException>,
    pub(crate) exception_reads: usize,
    /// Changes them once, before the next write of a status.
    pub(crate) exception_meddler: Option<fn(&mut BTreeMap<String, FindingException>)>,
    /// Manifests by instance UID and snapshot id.
    pub(crate) manifests: BTreeMap<(String, String), Bytes>,
    /// Parts by SHA-256.
    pub(crate) parts: BTreeMap<String, Bytes>,
    /// Ledgers and packs by digest.
    pub(crate) ledgers: BTreeMap<String, Bytes>,
    pub(crate) packs: BTreeMap<String, Bytes>,
    /// Digests of the ledgers that were put, in order.
    pub(crate) ledger_puts: Vec<String>,
    /// What the store was told to keep, by instance UID.
    pub(crate) pins: BTreeMap<String, BTreeSet<String>>,
    /// UIDs of the `ConnectorInstances`; none when the API server refuses to tell.
    pub(crate) instances: Option<BTreeSet<String>>,
    /// What the store was told last: which instances there are, and for how many days others are kept.
    pub(crate) told: Option<(BTreeSet<String>, u32)>,
    /// The store does not answer.
    pub(crate) store_down: bool,
    version: u64,
    /// Writes on Findings that were carried out.
    pub(crate) writes: usize,
    /// What was written, in order, repetitions left out.
    pub(crate) kinds: Vec<&'static str>,
    /// Writes of any kind that are still carried out.
    pub(crate) fuse: Option<usize>,
    /// Acts once, before the next write on a Finding.
    pub(crate) meddler: Option<Meddler>,
}

#[derive(Default)]
pub(crate) struct Memory(pub(crate) Mutex<World>);

impl World {
    /// Whether the program is dead before this write of `kind`.
    fn burns(&mut self, kind: &'static str) -> bool {
        if self.kinds.last() != Some(&kind) {
            self.kinds.push(kind);
        }
        match &mut self.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl Memory {
    pub(crate) fn holding(objects: impl IntoIterator<Item = Stored>) -> Self {
        let objects = objects.into_iter().map(|stored| (stored.name.clone(), stored)).collect();
        Self(Mutex::new(World { objects, ..World::default() }))
    }

    /// Stores a snapshot and gives the order for it.
    pub(crate) fn scan(&self, builder: &SnapshotBuilder) -> EvaluateInput {
        let snapshot = builder.build();
        let encoded = write_snapshot(snapshot.header.clone(), builder.rows()).unwrap();
        let header = snapshot.header;
        let mut world = self.0.lock().unwrap();
        for part in encoded.parts {
            world.parts.insert(part.info.sha256, part.bytes.into());
        }
        let key = (header.instance_uid.clone(), header.scan_id.clone());
        world.manifests.insert(key, encoded.manifest_bytes.into());
        EvaluateInput {
            instance: header.instance,
            instance_uid: header.instance_uid,
            system: header.system,
            tenant: header.tenant,
            snapshot_id: header.scan_id,
            snapshot_digest: encoded.digest,
        }
    }

    fn write(&self, act: impl FnOnce(&mut World) -> Result<(), SinkError>) -> Result<(), SinkError> {
        let mut world = self.0.lock().unwrap();
        if world.burns("finding") {
            return Err(SinkError::Unreachable);
        }
        if let Some(meddler) = world.meddler.take() {
            meddler(&mut world.objects);
        }
        world.version += 1;
        act(&mut world)?;
        world.writes += 1;
        Ok(())
    }

    fn put(&self, kind: &'static str, act: impl FnOnce(&mut World)) -> Result<(), FetchError> {
        let mut world = self.0.lock().unwrap();
        if world.store_down || world.burns(kind) {
            return Err(FetchError::Unavailable("the store does not answer".into()));
        }
        act(&mut world);
        Ok(())
    }

    fn fetch(&self, get: impl FnOnce(&World) -> Option<Bytes>) -> Result<Bytes, FetchError> {
        let world = self.0.lock().unwrap();
        if world.store_down {
            return Err(FetchError::Unavailable("the store does not answer".into()));
        }
        get(&world).ok_or(FetchError::Damaged)
    }

    /// What people see of the Findings.
    pub(crate) fn end_state(&self) -> Vec<(String, BTreeMap<String, String>, serde_json::Value)> {
        let world = self.0.lock().unwrap();
        world.objects.values().map(|s| (s.name.clone(), s.labels.clone(), s.spec.clone())).collect()
    }
}

impl Vault for Memory {
    async fn manifest(&self, instance_uid: &str, snapshot: &str) -> Result<Bytes, FetchError> {
        self.fetch(|world| world.manifests.get(&(instance_uid.to_owned(), snapshot.to_owned())).cloned())
    }

    async fn part(&self, _: &str, sha256: &str) -> Result<Bytes, FetchError> {
        self.fetch(|world| world.parts.get(sha256).cloned())
    }

    async fn list(&self, instance_uid: &str) -> Result<Vec<String>, FetchError> {
        let world = self.0.lock().unwrap();
        Ok(world.manifests.keys().filter(|(uid, _)| uid == instance_uid).map(|(_, id)| id.clone()).collect())
    }

    async fn ledger(&self, digest: &str) -> Result<Bytes, FetchError> {
        self.fetch(|world| world.ledgers.get(digest).cloned())
    }
}

impl Deposit for Memory {
    async fn put_ledger(&self, bytes: Bytes) -> Result<(), FetchError> {
        self.put("ledger", |world| {
            world.ledger_puts.push(digest(&bytes));
            world.ledgers.insert(digest(&bytes), bytes);
        })
    }

    async fn put_pack(&self, bytes: Bytes) -> Result<(), FetchError> {
        self.put("pack", |world| drop(world.packs.insert(digest(&bytes), bytes)))
    }

    async fn pin(&self, instance_uid: &str, snapshots: &BTreeSet<String>) -> Result<(), FetchError> {
        let mut world = self.0.lock().unwrap();
        if world.store_down {
            return Err(FetchError::Unavailable("the store does not answer".into()));
        }
        world.pins.insert(instance_uid.to_owned(), snapshots.clone());
        Ok(())
    }

    async fn tell_instances(&self, live: &BTreeSet<String>, orphaned_days: u32) -> Result<(), FetchError> {
        self.put("instances", |world| world.told = Some((live.clone(), orphaned_days)))
    }
}

impl InstanceSource for Memory {
    async fn instance_uids(&self) -> Result<BTreeSet<String>, SinkError> {
        self.0.lock().unwrap().instances.clone().ok_or(SinkError::Refused(403))
    }
}

impl EstateSink for Memory {
    async fn estate_status(&self) -> Result<Option<EstateStatus>, SinkError> {
        Ok(Some(self.0.lock().unwrap().estate.clone()))
    }

    async fn write_estate_status(&self, status: &EstateStatus) -> Result<(), SinkError> {
        let mut world = self.0.lock().unwrap();
        if world.burns("status") {
            return Err(SinkError::Unreachable);
        }
        world.estate = status.clone();
        Ok(())
    }
}

impl ExceptionSink for Memory {
    async fn list_exceptions(&self) -> Result<Vec<FindingException>, SinkError> {
        let mut world = self.0.lock().unwrap();
        world.exception_reads += 1;
        Ok(world.exceptions.values().rev().cloned().collect())
    }

    async fn get_exception(&self, name: &str) -> Result<Option<FindingException>, SinkError> {
        Ok(self.0.lock().unwrap().exceptions.get(name).cloned())
    }

    async fn write_exception_status(
        &self,
        seen: &FindingException,
        status: &FindingExceptionStatus,
    ) -> Result<(), SinkError> {
        let mut world = self.0.lock().unwrap();
        if world.burns("exception") {
            return Err(SinkError::Unreachable);
        }
        if let Some(meddler) = world.exception_meddler.take() {
            meddler(&mut world.exceptions);
        }
        world.version += 1;
        let version = world.version.to_string();
        let stored = world.exceptions.get_mut(seen.metadata.name.as_ref().unwrap()).ok_or(SinkError::NotFound)?;
        if stored.metadata.resource_version != seen.metadata.resource_version {
            return Err(SinkError::Conflict);
        }
        stored.status = Some(status.clone());
        stored.metadata.resource_version = Some(version);
        Ok(())
    }
}

impl FindingSink for Memory {
    async fn list(&self) -> Result<Vec<Stored>, SinkError> {
        Ok(self.0.lock().unwrap().objects.values().cloned().collect())
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, SinkError> {
        Ok(self.0.lock().unwrap().objects.get(name).cloned())
    }

    async fn create(&self, desired: &Desired) -> Result<(), SinkError> {
        self.write(|world| {
            if world.objects.contains_key(&desired.name) {
                return Err(SinkError::AlreadyExists);
            }
            let stored = Stored {
                name: desired.name.clone(),
                resource_version: world.version.to_string(),
                labels: desired.labels.clone(),
                annotations: BTreeMap::new(),
                spec: desired.spec.clone(),
            };
            world.objects.insert(desired.name.clone(), stored);
            Ok(())
        })
    }

    async fn replace(&self, desired: &Desired, over: &Stored) -> Result<(), SinkError> {
        self.write(|world| {
            let version = world.version.to_string();
            let stored = world.objects.get_mut(&desired.name).ok_or(SinkError::NotFound)?;
            if stored.resource_version != over.resource_version {
                return Err(SinkError::Conflict);
            }
            stored.labels = over.merged_labels(desired);
            stored.spec = desired.spec.clone();
            stored.resource_version = version;
            Ok(())
        })
    }

    async fn delete(&self, name: &str) -> Result<(), SinkError> {
        self.write(|world| world.objects.remove(name).map(drop).ok_or(SinkError::NotFound))
    }
}
