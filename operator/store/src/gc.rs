//! The collector: keeps the newest snapshots of each instance, those that its estate's evaluation pinned as a baseline,
//! and the newest packs and ledgers of each estate.
//!
//! Order within an instance, so that it may be killed anywhere: an old manifest is first copied to `retired/` and then
//! taken from view; its parts are spared until that copy is older than the grace, so that whoever read the manifest
//! can still read them; then parts that nothing refers to and that are older than the grace are deleted; the copy goes
//! last. Whenever anything is in doubt, nothing is deleted.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode};

use crate::keys::{Blob, ESTATES, Home, PARTS, RETIRED, SNAPSHOTS, ScanId, Sha256, Uid};
use crate::objects::{ObjectError, Objects, age, parts_of};

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Visible snapshots per instance.
    pub snapshots: usize,
    /// Evidence packs per estate, however old.
    pub packs: usize,
    /// Ledgers per estate, however old.
    pub ledgers: usize,
    /// Packs and ledgers younger than this are kept, however many.
    pub blob_age: Duration,
}

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests taken from view.
    pub snapshots: u64,
    /// Parts deleted.
    pub parts: u64,
    /// Packs and ledgers deleted.
    pub blobs: u64,
    /// Homes of what is gone of which nothing is left.
    pub orphans: u64,
    /// Homes that could not be collected; they are tried again at the next pass.
    pub failed: u64,
}

impl Collected {
    /// Adds what another pass did.
    pub fn add(&mut self, other: Self) {
        self.snapshots += other.snapshots;
        self.parts += other.parts;
        self.blobs += other.blobs;
        self.orphans += other.orphans;
        self.failed += other.failed;
    }
}

/// One pass over everything. A home that fails does not keep the others from being collected.
pub async fn collect(objects: &Objects, retention: Retention, now: SystemTime) -> Result<Collected, ObjectError> {
    let mut total = Collected::default();
    for estate in children(objects, &Path::from(ESTATES)).await? {
        let Ok(namespace_uid) = Uid::parse(&estate) else { continue };
        for child in children(objects, &Path::from(format!("{ESTATES}/{estate}"))).await? {
            let result = match child.as_str() {
                "packs" => collect_blobs(objects, &namespace_uid, Blob::Pack, retention, now).await,
                "ledgers" => collect_blobs(objects, &namespace_uid, Blob::Ledger, retention, now).await,
                uid => match Uid::parse(uid) {
                    Ok(uid) => collect_instance(objects, &Home::instance(&namespace_uid, &uid), retention, now).await,
                    Err(_) => continue,
                },
            };
            match result {
                Ok(collected) => total.add(collected),
                Err(error) => {
                    tracing::warn!(%error, "one home was not collected; it is tried again at the next pass");
                    total.failed += 1;
                }
            }
        }
    }
    Ok(total)
}

/// One instance. Writers of the instance wait meanwhile; readers do not.
pub async fn collect_instance(
    objects: &Objects,
    home: &Home,
    retention: Retention,
    now: SystemTime,
) -> Result<Collected, ObjectError> {
    let lock = objects.lock(home);
    let _alone = lock.write().await;
    let mut found = survey(objects, home).await?;
    let mut collected = Collected::default();
    let pinned = objects.pinned(home).await?;
    let surplus = found.snapshots.len().saturating_sub(retention.snapshots.max(1));
    let mut kept = found.snapshots.split_off(surplus);
    kept.extend(found.snapshots.extract_if(.., |id| pinned.contains(id)));
    for id in &found.snapshots {
        retire(objects, home, id).await?;
        collected.snapshots += 1;
    }
    let grace = objects.bounds().grace;
    let mut spared = Vec::new();
    let mut expired = Vec::new();
    for (id, meta) in &found.retired {
        if found.snapshots.contains(id) || age(meta, now) <= grace { spared.push(id) } else { expired.push((id, meta)) }
    }
    spared.extend(found.snapshots.iter().filter(|id| !found.retired.iter().any(|(r, _)| r == *id)));
    let mut referenced = HashSet::new();
    for id in &kept {
        referenced.extend(parts_of(&objects.read(&home.snapshot(id)).await?)?.into_keys());
    }
    for id in spared {
        referenced.extend(parts_of(&objects.read(&home.retired(id)).await?)?.into_keys());
    }
    for (sha256, meta) in &found.parts {
        if !referenced.contains(sha256) && age(meta, now) > grace && still_old(objects, meta, now).await? {
            delete(objects, home, meta).await?;
            collected.parts += 1;
        }
    }
    for (_, meta) in expired {
        delete(objects, home, meta).await?;
    }
    Ok(collected)
}

/// Takes away what an instance left that is gone: its snapshots from view, a grace later its parts, last the rest.
/// May be killed anywhere. Gives whether nothing is left.
pub(crate) async fn clear_instance(
    objects: &Objects,
    home: &Home,
    now: SystemTime,
) -> Result<(Collected, bool), ObjectError> {
    let lock = objects.lock(home);
    let _alone = lock.write().await;
    let found = survey(objects, home).await?;
    let mut collected = Collected::default();
    for id in &found.snapshots {
        retire(objects, home, id).await?;
        collected.snapshots += 1;
    }
    let grace = objects.bounds().grace;
    if collected.snapshots > 0 || found.retired.iter().any(|(_, meta)| age(meta, now) <= grace) {
        return Ok((collected, false));
    }
    let (old, young): (Vec<_>, Vec<_>) = found.parts.iter().partition(|(_, meta)| age(meta, now) > grace);
    for (_, meta) in old {
        delete(objects, home, meta).await?;
        collected.parts += 1;
    }
    if !young.is_empty() {
        return Ok((collected, false));
    }
    let left: Vec<ObjectMeta> = objects.store.list(Some(&home.prefix())).try_collect().await?;
    for meta in &left {
        delete(objects, home, meta).await?;
    }
    collected.orphans += 1;
    Ok((collected, true))
}

/// Takes away packs or ledgers of an estate that were last written longer ago than `spared`, but for the `keep` newest.
pub(crate) async fn clear_blobs(
    objects: &Objects,
    home: &Home,
    keep: usize,
    spared: Duration,
    now: SystemTime,
) -> Result<Collected, ObjectError> {
    let lock = objects.lock(home);
    let _alone = lock.write().await;
    let mut metas: Vec<ObjectMeta> = objects.store.list(Some(&home.prefix())).try_collect().await?;
    metas.sort_by(|a, b| (b.last_modified, &b.location).cmp(&(a.last_modified, &a.location)));
    let mut collected = Collected::default();
    for meta in metas.iter().skip(keep).filter(|meta| age(meta, now) > spared) {
        delete(objects, home, meta).await?;
        collected.blobs += 1;
    }
    Ok(collected)
}

async fn collect_blobs(
    objects: &Objects,
    namespace_uid: &Uid,
    blob: Blob,
    retention: Retention,
    now: SystemTime,
) -> Result<Collected, ObjectError> {
    let keep = match blob {
        Blob::Pack => retention.packs,
        Blob::Ledger => retention.ledgers,
    };
    clear_blobs(objects, &Home::blobs(namespace_uid, blob), keep.max(1), retention.blob_age, now).await
}

/// What lies in an instance's home; snapshots oldest first.
#[derive(Default)]
struct Survey {
    parts: Vec<(Sha256, ObjectMeta)>,
    snapshots: Vec<ScanId>,
    retired: Vec<(ScanId, ObjectMeta)>,
}

async fn survey(objects: &Objects, home: &Home) -> Result<Survey, ObjectError> {
    let metas: Vec<ObjectMeta> = objects.store.list(Some(&home.prefix())).try_collect().await?;
    let mut found = Survey::default();
    for meta in metas {
        let path = meta.location.to_string();
        let Some((rest, name)) = path.rsplit_once('/') else { continue };
        match (rest.rsplit('/').next(), Sha256::parse(name), ScanId::parse(name)) {
            (Some(PARTS), Ok(sha256), _) => found.parts.push((sha256, meta)),
            (Some(SNAPSHOTS), _, Ok(id)) => found.snapshots.push(id),
            (Some(RETIRED), _, Ok(id)) => found.retired.push((id, meta)),
            _ => {}
        }
    }
    found.snapshots.sort_unstable();
    Ok(found)
}

/// Takes a manifest from view. The copy is written anew even when an interrupted pass left one, so that the grace
/// counts from now.
async fn retire(objects: &Objects, home: &Home, id: &ScanId) -> Result<(), ObjectError> {
    let manifest = objects.read(&home.snapshot(id)).await?;
    objects.create(&home.retired(id), manifest, PutMode::Overwrite).await?;
    objects.store.delete(&home.snapshot(id)).await?;
    Ok(())
}

/// Looks once more: a collector in another process does not share our locks.
async fn still_old(objects: &Objects, meta: &ObjectMeta, now: SystemTime) -> Result<bool, ObjectError> {
    match objects.store.head(&meta.location).await.map_err(ObjectError::from) {
        Ok(meta) => Ok(age(&meta, now) > objects.bounds().grace),
        Err(ObjectError::Missing) => Ok(false),
        Err(e) => Err(e),
    }
}

async fn delete(objects: &Objects, home: &Home, meta: &ObjectMeta) -> Result<(), ObjectError> {
    match objects.store.delete(&meta.location).await.map_err(ObjectError::from) {
        Ok(()) => objects.usage.freed(home, meta.size),
        Err(ObjectError::Missing) => {}
        Err(e) => return Err(e),
    }
    Ok(())
}

/// The names directly below `prefix` that have something below them.
pub(crate) async fn children(objects: &Objects, prefix: &Path) -> Result<Vec<String>, ObjectError> {
    let listing = objects.store.list_with_delimiter(Some(prefix)).await?;
    Ok(listing.common_prefixes.iter().filter_map(Path::filename).map(str::to_owned).collect())
}
