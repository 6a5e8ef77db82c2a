//! Data of what is gone: of instances that their estate does not have any more, and of namespaces that were deleted.
//!
//! Takes what evaluations tell of the instances there are, and what the API server says of a namespace; deletes what was
//! gone for the retention. Everything that may be there is kept. Three things protect it:
//! - Absence is counted, not read off a clock: between two looks at most [`MOST_CREDIT`] is added, so that a clock that
//!   jumps shortens a retention by two days and no more. An instance that is named once starts anew.
//! - Whatever was written within the retention is not gone, whoever says so.
//! - A purge that is asked for shortens the retention of what is known to be gone, and takes nothing that was written after
//!   it was missed for the first time. Of a namespace that is still there it
//!   takes what the operator leaves alone: nothing was written for the retention, though every estate is evaluated daily.
//!
//! Each estate has one small record below its prefix. It goes last, so that a pass that is killed is taken up again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};
use sv0_protocol::store::{
    DEFAULT_ORPHANED_DAYS, Departed, DepartedInstance, EstateState, LiveInstances, MAX_LIVE, MAX_ORPHANED_DAYS,
};

use crate::gate::Reviewer;
use crate::gc::{Collected, children, clear_blobs, clear_instance};
use crate::keys::{Blob, ESTATES, Home, Namespace, PARTS, SNAPSHOTS, Uid, estate_prefix, estate_record};
use crate::objects::{ObjectError, Objects, Written, age};

/// Most time that counts between two looks. Evaluations look once a day at least, the collector every hour.
pub const MOST_CREDIT: Duration = Duration::from_hours(48);
/// From an evaluation's question which instances there are to the store's taking note of the answer: twice as long as the
/// evaluation waits for that.
pub const LONGEST_LOOK: Duration = Duration::from_mins(2);
/// Nothing is concluded of a silence that is shorter.
pub const LEAST_SILENCE: Duration = Duration::from_hours(7 * 24);
/// Most absent instances that are remembered of an estate; the others follow when these are gone.
const MAX_ABSENT: usize = 10_000;

/// What is remembered of an estate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Name of its namespace. A UID has one name for ever.
    namespace: String,
    /// What the last statement said; none before the first.
    #[serde(default)]
    orphaned_days: Option<u32>,
    /// Instances with something stored that the last statement did not name.
    #[serde(default)]
    absent: BTreeMap<String, Absence>,
    /// The last statement named no instance at all.
    #[serde(default)]
    empty: Option<Absence>,
    /// The namespace itself is gone, or somebody asked for the deletion of an estate that fell silent.
    #[serde(default)]
    gone: Option<Absence>,
}

/// For how long something is known to be gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Absence {
    /// Seconds that count.
    seconds: u64,
    /// The first look that missed it, in seconds since 1970.
    since: u64,
    /// The latest look, in seconds since 1970.
    seen: u64,
    /// Somebody asked for the deletion.
    #[serde(default)]
    asked: bool,
}

impl Absence {
    /// The absence after one more look.
    fn again(before: Option<Self>, now: u64) -> Self {
        let Some(before) = before else { return Self { since: now, seen: now, ..Self::default() } };
        let passed = now.saturating_sub(before.seen).min(MOST_CREDIT.as_secs());
        // A clock that goes back and forth adds nothing twice.
        Self { seconds: before.seconds.saturating_add(passed), seen: now.max(before.seen), ..before }
    }

    /// Whether it is known to be gone for long enough, or somebody asked.
    const fn is_counted(self, retention: Duration) -> bool {
        self.asked || self.seconds >= retention.as_secs()
    }

    /// Whether what was last written so long ago can go. Nobody's wish takes what was written after it was missed for the
    /// first time, for then it is not gone; nor what was written shortly before, unless a later look missed it too: a look
    /// knows what there was some time ago.
    fn is_over(self, retention: Duration, youngest: Option<Duration>, now: SystemTime) -> bool {
        let missed = Duration::from_secs(seconds(now).saturating_sub(self.since));
        let confirmed = self.seen.saturating_sub(self.since) >= LONGEST_LOOK.as_secs();
        let untouched = if confirmed { missed } else { missed + LONGEST_LOOK };
        let spared = if self.asked { untouched.min(retention) } else { retention };
        self.is_counted(retention) && youngest.is_none_or(|age| age > spared)
    }
}

impl Record {
    fn of(namespace: &Namespace) -> Self {
        let namespace = namespace.as_str().to_owned();
        Self { namespace, orphaned_days: None, absent: BTreeMap::new(), empty: None, gone: None }
    }

    fn orphaned_days(&self) -> u32 {
        self.orphaned_days.unwrap_or(DEFAULT_ORPHANED_DAYS).clamp(1, MAX_ORPHANED_DAYS)
    }

    fn retention(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.orphaned_days()))
    }

    /// For how long nothing is written for an estate that the operator leaves alone. One that it does not is evaluated every
    /// day; an outage of some days is none.
    fn silence(&self) -> Duration {
        self.retention().max(LEAST_SILENCE)
    }
}

/// Remembers the name of an estate's namespace, without which nobody could ask whether it is still there.
pub async fn note(objects: &Objects, estate: &Uid, namespace: &Namespace) -> Result<(), ObjectError> {
    let known = || objects.named.lock().unwrap_or_else(PoisonError::into_inner);
    if known().contains(estate) {
        return Ok(());
    }
    let body = serde_json::to_vec(&Record::of(namespace)).map_err(|_| ObjectError::BadRecord)?;
    match objects.create(&estate_record(estate), body.into(), PutMode::Create).await {
        Ok(()) | Err(ObjectError::Conflict) => {}
        Err(e) => return Err(e),
    }
    known().insert(estate.clone());
    Ok(())
}

/// What an evaluation says of its estate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// All of its instances.
    pub live: BTreeSet<Uid>,
    /// For how many days what is stored of others is kept.
    pub orphaned_days: u32,
}

impl Statement {
    /// Reads one as it came over the wire.
    pub fn read(body: &[u8]) -> Result<Self, ObjectError> {
        let said: LiveInstances = serde_json::from_slice(body).map_err(|_| ObjectError::BadInstances)?;
        if said.instances.len() > MAX_LIVE || !(1..=MAX_ORPHANED_DAYS).contains(&said.orphaned_days) {
            return Err(ObjectError::BadInstances);
        }
        let live = said.instances.iter().map(|uid| Uid::parse(uid).map_err(|_| ObjectError::BadInstances));
        Ok(Self { live: live.collect::<Result<_, _>>()?, orphaned_days: said.orphaned_days })
    }
}

/// An evaluation says which instances its estate has. Every other one that has something stored is absent from now on,
/// or goes on being so. Deletes nothing.
pub async fn tell(
    objects: &Objects,
    estate: &Uid,
    namespace: &Namespace,
    said: &Statement,
    now: SystemTime,
) -> Result<Written, ObjectError> {
    let lock = objects.lock_of(estate_prefix(estate).as_ref());
    let _alone = lock.write().await;
    // One that cannot be read is made anew: what was absent is kept for longer.
    let before = match read(objects, estate).await {
        Err(ObjectError::BadRecord) => None,
        other => other?,
    };
    let mut record = Record::of(namespace);
    for name in children(objects, &estate_prefix(estate)).await? {
        let Ok(uid) = Uid::parse(&name) else { continue };
        if said.live.contains(&uid) || record.absent.len() >= MAX_ABSENT || is_empty(objects, estate, &uid).await? {
            continue;
        }
        let known = before.as_ref().and_then(|before| before.absent.get(&name)).copied();
        record.absent.insert(name, Absence::again(known, seconds(now)));
    }
    if said.live.is_empty() {
        record.empty = Some(Absence::again(before.as_ref().and_then(|before| before.empty), seconds(now)));
    }
    record.orphaned_days = Some(said.orphaned_days);
    write(objects, estate, &record).await?;
    Ok(Written::New)
}

/// One pass over all estates. Without `reviewer` nothing is concluded about namespaces. An estate that fails does not keep
/// the others from being looked at.
pub async fn pass(
    objects: &Objects,
    reviewer: Option<&dyn Reviewer>,
    now: SystemTime,
) -> Result<Collected, ObjectError> {
    let mut total = Collected::default();
    for estate in children(objects, &Path::from(ESTATES)).await? {
        let Ok(estate) = Uid::parse(&estate) else { continue };
        match pass_estate(objects, reviewer, &estate, now).await {
            Ok(collected) => total.add(collected),
            Err(error) => {
                tracing::warn!(%error, "data of what is gone was not looked for in one estate; the next pass does it");
                total.failed += 1;
            }
        }
    }
    Ok(total)
}

async fn pass_estate(
    objects: &Objects,
    reviewer: Option<&dyn Reviewer>,
    estate: &Uid,
    now: SystemTime,
) -> Result<Collected, ObjectError> {
    if let Some(reviewer) = reviewer
        && let Some(cleared) = clear_estate(objects, reviewer, estate, now).await?
    {
        return Ok(cleared);
    }
    let mut total = Collected::default();
    let Some(record) = read(objects, estate).await? else { return Ok(total) };
    for uid in record.absent.keys().filter_map(|uid| Uid::parse(uid).ok()) {
        total.add(clear_absent(objects, estate, &uid, now).await?);
    }
    // What an estate without instances remembers is about nobody but those that are gone. The newest, which its status
    // names, was written since.
    if record.empty.is_some_and(|empty| empty.is_counted(record.retention())) {
        for blob in [Blob::Pack, Blob::Ledger] {
            total.add(clear_blobs(objects, &Home::blobs(estate, blob), 1, record.retention(), now).await?);
        }
    }
    Ok(total)
}

/// Clears one absent instance if its retention is over. Reads the record again, alone: it may have been named meanwhile.
async fn clear_absent(objects: &Objects, estate: &Uid, uid: &Uid, now: SystemTime) -> Result<Collected, ObjectError> {
    let lock = objects.lock_of(estate_prefix(estate).as_ref());
    let _alone = lock.write().await;
    let Some(mut record) = read(objects, estate).await? else { return Ok(Collected::default()) };
    let Some(absence) = record.absent.get(uid.as_str()).copied() else { return Ok(Collected::default()) };
    let home = Home::instance(estate, uid);
    let retention = record.retention();
    // The listing is for those whose count is over alone.
    let counted = absence.is_counted(retention);
    if !counted || !absence.is_over(retention, youngest(objects, &home.prefix(), now).await?, now) {
        return Ok(Collected::default());
    }
    let (collected, empty) = clear_instance(objects, &home, now).await?;
    if empty {
        record.absent.remove(uid.as_str());
        write(objects, estate, &record).await?;
        tracing::info!(instance_uid = uid.as_str(), "all data of an instance that is gone is deleted");
    }
    Ok(collected)
}

/// Counts the absence of an estate's namespace, and clears the estate when the retention is over. `None` while anything
/// of it is kept.
async fn clear_estate(
    objects: &Objects,
    reviewer: &dyn Reviewer,
    estate: &Uid,
    now: SystemTime,
) -> Result<Option<Collected>, ObjectError> {
    let lock = objects.lock_of(estate_prefix(estate).as_ref());
    let _alone = lock.write().await;
    let Some(mut record) = read(objects, estate).await? else { return Ok(None) };
    let asked = record.gone.is_some_and(|gone| gone.asked);
    let over = is_gone(reviewer, estate, &record).await? || (asked && is_silent(objects, estate, &record, now).await?);
    if !over {
        if record.gone.take().is_some() {
            write(objects, estate, &record).await?;
        }
        return Ok(None);
    }
    let absence = Absence::again(record.gone, seconds(now));
    record.gone = Some(absence);
    write(objects, estate, &record).await?;
    let (retention, prefix) = (record.retention(), estate_prefix(estate));
    let counted = absence.is_counted(retention);
    if !counted || !absence.is_over(retention, youngest(objects, &prefix, now).await?, now) {
        return Ok(None);
    }
    clear_all(objects, estate, now).await.map(Some)
}

/// Clears an estate, and forgets it when nothing is left.
async fn clear_all(objects: &Objects, estate: &Uid, now: SystemTime) -> Result<Collected, ObjectError> {
    let prefix = estate_prefix(estate);
    let mut total = Collected::default();
    for name in children(objects, &prefix).await? {
        if let Ok(uid) = Uid::parse(&name)
            && !is_empty(objects, estate, &uid).await?
        {
            total.add(clear_instance(objects, &Home::instance(estate, &uid), now).await?.0);
        }
    }
    for blob in [Blob::Pack, Blob::Ledger] {
        total.add(clear_blobs(objects, &Home::blobs(estate, blob), 0, objects.bounds().grace, now).await?);
    }
    let left: Vec<ObjectMeta> = objects.store.list(Some(&prefix)).try_collect().await?;
    if left.iter().all(|meta| meta.location == estate_record(estate)) {
        objects.named.lock().unwrap_or_else(PoisonError::into_inner).remove(estate);
        objects.store.delete(&estate_record(estate)).await?;
        tracing::info!(namespace_uid = estate.as_str(), "all data of a namespace that is gone is deleted");
    }
    Ok(total)
}

/// What is stored of instances and namespaces that are gone, and of estates that the operator leaves alone.
pub async fn departed(
    objects: &Objects,
    reviewer: &dyn Reviewer,
    now: SystemTime,
) -> Result<Vec<Departed>, ObjectError> {
    let mut all = Vec::new();
    for estate in children(objects, &Path::from(ESTATES)).await? {
        let Ok(uid) = Uid::parse(&estate) else { continue };
        let record = match read(objects, &uid).await {
            Ok(Some(record)) => record,
            Ok(None) | Err(ObjectError::BadRecord) => continue,
            Err(e) => return Err(e),
        };
        let state = match is_gone(reviewer, &uid, &record).await? {
            true => EstateState::Gone,
            false if quiet_for(objects, &uid, now).await?.is_some_and(|age| age > record.silence()) => {
                EstateState::Silent
            }
            false if record.absent.is_empty() => continue,
            false => EstateState::There,
        };
        let absence = record.gone.filter(|_| state != EstateState::There).unwrap_or_default();
        let instance = |(uid, absence): (&String, &Absence)| DepartedInstance {
            uid: uid.clone(),
            seconds: absence.seconds,
            asked: absence.asked,
        };
        all.push(Departed {
            orphaned_days: record.orphaned_days(),
            instances: record.absent.iter().map(instance).collect(),
            namespace: record.namespace,
            namespace_uid: estate,
            state,
            seconds: absence.seconds,
            asked: absence.asked,
        });
    }
    all.sort_by(|a, b| (&a.namespace, &a.namespace_uid).cmp(&(&b.namespace, &b.namespace_uid)));
    Ok(all)
}

/// Somebody asks for the deletion of an instance that is gone, or of an estate that is. The collector carries it out.
pub async fn purge(
    objects: &Objects,
    reviewer: &dyn Reviewer,
    estate: &Uid,
    instance: Option<&Uid>,
    now: SystemTime,
) -> Result<Written, ObjectError> {
    let lock = objects.lock_of(estate_prefix(estate).as_ref());
    let _alone = lock.write().await;
    let mut record = read(objects, estate).await?.ok_or(ObjectError::Missing)?;
    let absence = if let Some(uid) = instance {
        record.absent.get_mut(uid.as_str()).ok_or(ObjectError::NotGone)?
    } else {
        let over = is_gone(reviewer, estate, &record).await? || is_silent(objects, estate, &record, now).await?;
        if !over {
            return Err(ObjectError::NotGone);
        }
        record.gone.get_or_insert(Absence::again(None, seconds(now)))
    };
    if absence.asked {
        return Ok(Written::Already);
    }
    absence.asked = true;
    write(objects, estate, &record).await?;
    objects.asked.notify_one();
    Ok(Written::New)
}

/// Whether nothing was written for the retention. An estate of the operator is evaluated every day, so this is none.
async fn is_silent(objects: &Objects, estate: &Uid, record: &Record, now: SystemTime) -> Result<bool, ObjectError> {
    // Nothing is left of a clearing that was killed before its end: it goes on.
    Ok(quiet_for(objects, estate, now).await?.is_none_or(|age| age > record.silence()))
}

/// How long ago anything was written for an estate; none when nothing is stored of it.
async fn quiet_for(objects: &Objects, estate: &Uid, now: SystemTime) -> Result<Option<Duration>, ObjectError> {
    youngest(objects, &estate_prefix(estate), now).await
}

/// Whether the API server says that the namespace is not there any more, or that another one has its name.
async fn is_gone(reviewer: &dyn Reviewer, estate: &Uid, record: &Record) -> Result<bool, ObjectError> {
    let namespace = Namespace::parse(&record.namespace).map_err(|_| ObjectError::BadRecord)?;
    let there = reviewer.namespace_uid(&namespace).await.map_err(|error| {
        tracing::warn!(%error, "a namespace could not be looked up");
        ObjectError::Unasked
    })?;
    Ok(there.as_ref() != Some(estate))
}

/// How long ago a scan or an evaluation wrote last below `prefix`; none when nothing of theirs is there.
async fn youngest(objects: &Objects, prefix: &Path, now: SystemTime) -> Result<Option<Duration>, ObjectError> {
    let theirs = [PARTS, SNAPSHOTS, Blob::Pack.directory(), Blob::Ledger.directory()];
    let metas: Vec<ObjectMeta> = objects.store.list(Some(prefix)).try_collect().await?;
    let written = metas.iter().filter(|meta| {
        let directory = meta.location.as_ref().rsplit('/').nth(1);
        directory.is_some_and(|directory| theirs.contains(&directory))
    });
    Ok(written.map(|meta| age(meta, now)).min())
}

/// On a volume the directory of an instance stays when all of its files are gone.
async fn is_empty(objects: &Objects, estate: &Uid, uid: &Uid) -> Result<bool, ObjectError> {
    let prefix = Home::instance(estate, uid).prefix();
    Ok(objects.store.list(Some(&prefix)).try_next().await?.is_none())
}

async fn read(objects: &Objects, estate: &Uid) -> Result<Option<Record>, ObjectError> {
    match objects.read(&estate_record(estate)).await {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| ObjectError::BadRecord),
        Err(ObjectError::Missing) => Ok(None),
        Err(e) => Err(e),
    }
}

async fn write(objects: &Objects, estate: &Uid, record: &Record) -> Result<(), ObjectError> {
    let body = serde_json::to_vec(record).map_err(|_| ObjectError::BadRecord)?;
    objects.create(&estate_record(estate), body.into(), PutMode::Overwrite).await
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
