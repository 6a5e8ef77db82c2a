//! Fetches and decodes the snapshots that an order names.
//!
//! Takes the order and the store; gives one [`Input`] per ordered instance. A snapshot that cannot be decoded, or that
//! speaks of another instance or tenant than was ordered, is set aside for its instance alone: the newest earlier one
//! that decodes stands in for it, visibly. A store that cannot be reached is an error of the whole evaluation, since
//! trying again may mend it; damaged content is not, since it will not.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use bytes::Bytes;
use sv0_api::EstateSpec;
use sv0_graph::{Header, Packed, Snapshot, SnapshotError, SnapshotReader, canonical, read_manifest};
use sv0_protocol::EvaluateInput;

use sv0_rules::Baseline;

use crate::baseline::{self, Wanted, WantedTenant};

/// Earlier snapshots that are tried in place of a damaged one.
const FALLBACKS: usize = 5;
/// Most uncompressed bytes of one snapshot when the order names no bound.
pub const MAX_SNAPSHOT_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Longest word of a header that is passed on into resources.
const MAX_HEADER_WORD: usize = 128;

/// One estate's part of the store, or whatever holds the same objects: what can be read of it.
pub trait Vault: Sync {
    /// One manifest's bytes.
    fn manifest(&self, instance_uid: &str, snapshot: &str) -> impl Future<Output = Result<Bytes, FetchError>> + Send;
    /// One part's bytes.
    fn part(&self, instance_uid: &str, sha256: &str) -> impl Future<Output = Result<Bytes, FetchError>> + Send;
    /// Ids of the visible snapshots, oldest first.
    fn list(&self, instance_uid: &str) -> impl Future<Output = Result<Vec<String>, FetchError>> + Send;
    /// A ledger by its digest.
    fn ledger(&self, digest: &str) -> impl Future<Output = Result<Bytes, FetchError>> + Send;
}

/// A vault that takes what an evaluation leaves.
pub trait Deposit: Vault {
    /// Stores a ledger under the digest of its bytes.
    fn put_ledger(&self, bytes: Bytes) -> impl Future<Output = Result<(), FetchError>> + Send;
    /// Stores an evidence pack under the digest of its bytes.
    fn put_pack(&self, bytes: Bytes) -> impl Future<Output = Result<(), FetchError>> + Send;
    /// Has these snapshots of the instance kept, and no others beside the newest; ids that are not there are passed over.
    /// Where nothing is ever deleted, nothing is to do.
    fn pin(
        &self,
        _instance_uid: &str,
        _snapshots: &BTreeSet<String>,
    ) -> impl Future<Output = Result<(), FetchError>> + Send {
        std::future::ready(Ok(()))
    }
    /// Says which instances the estate has, by UID, and for how many days what is stored of others is kept. Where nothing is
    /// ever deleted, nothing is to do.
    fn tell_instances(
        &self,
        _live: &BTreeSet<String>,
        _orphaned_days: u32,
    ) -> impl Future<Output = Result<(), FetchError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Why something was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is not there, or not what its digest says: trying again gives the same.
    #[error("a stored object is missing or damaged")]
    Damaged,
    /// The store has no room left.
    #[error("the store has no room left; raise its quota or enlarge its volume")]
    Full,
    /// The store cannot be reached, or refuses: says nothing about the object.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a snapshot was set aside. Closed: these words end in the Estate's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quarantine {
    /// An object is missing, cut or changed.
    Damaged,
    /// It is not in a format that this version reads.
    UnknownFormat,
    /// It contradicts itself or passes a bound of the format.
    Malformed,
    /// It holds more than the evaluation has memory for.
    TooLarge,
    /// It belongs to another instance, system or scan than the order says.
    ForeignSnapshot,
    /// The tenant that it was read from is not the tenant in the instance's spec.
    ForeignTenant,
}

impl Quarantine {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "Damaged",
            Self::UnknownFormat => "UnknownFormat",
            Self::Malformed => "Malformed",
            Self::TooLarge => "TooLarge",
            Self::ForeignSnapshot => "ForeignSnapshot",
            Self::ForeignTenant => "ForeignTenant",
        }
    }
}

/// One ordered instance with what could be read of it: rows, or packed for the graph, as loading gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<S = Snapshot> {
    /// What was ordered.
    pub order: EvaluateInput,
    /// Why the ordered snapshot was set aside.
    pub quarantined: Option<Quarantine>,
    /// The snapshot that is evaluated; none when nothing readable is left.
    pub used: Option<Used<S>>,
}

/// A decoded snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Used<S = Snapshot> {
    /// `sha256:<hex>` of its manifest.
    pub digest: String,
    /// Header and what it says.
    pub snapshot: S,
}

/// Loads every ordered snapshot. `evaluated` gives, by instance UID, the newest snapshot that an earlier evaluation
/// used: nothing older than it is used again, so that an estate's findings never go back in time.
pub async fn load_all<S: Vault>(
    source: &S,
    orders: &[EvaluateInput],
    evaluated: &BTreeMap<String, String>,
) -> Result<Vec<Input<Packed>>, FetchError> {
    load_within(source, orders, evaluated, MAX_SNAPSHOT_BYTES).await
}

/// The same, with snapshots of more than `most` uncompressed bytes set aside: whoever can write one instance's
/// snapshots must not be able to end the evaluation of all the others by one that fits into no memory.
pub async fn load_within<S: Vault>(
    source: &S,
    orders: &[EvaluateInput],
    evaluated: &BTreeMap<String, String>,
    most: u64,
) -> Result<Vec<Input<Packed>>, FetchError> {
    let mut inputs = Vec::with_capacity(orders.len());
    for order in orders {
        let not_before = evaluated.get(&order.instance_uid).map_or("", String::as_str);
        inputs.push(load(&Reader { source, order, most }, not_before).await?);
    }
    Ok(inputs)
}

/// Loads the baselines of every tenant that is compared, and reduces each tenant's before the next is read. To be called
/// before the inputs are loaded, so that no two graphs are held at a time. A baseline that cannot be read says so: no
/// other stands in for it, since nobody accepted that one.
pub async fn load_baselines<S: Vault>(
    source: &S,
    tenants: &[WantedTenant],
    estate: &EstateSpec,
    most: u64,
) -> Result<Vec<Baseline>, FetchError> {
    let mut all = Vec::new();
    for tenant in tenants.iter().filter(|tenant| !tenant.same) {
        let mut read_ones = Vec::new();
        let mut whole = true;
        for Wanted { order, .. } in &tenant.instances {
            let reader = Reader { source, order, most };
            match read(&reader, &order.snapshot_id, Some(&order.snapshot_digest)).await? {
                Ok(used) => read_ones.push(used.snapshot),
                Err(_) => whole = false,
            }
        }
        // Without each of them, and when they are too many for one graph, the tenant is not compared.
        let reduced = if whole { baseline::reduce(read_ones, estate).ok().flatten() } else { None };
        all.extend(reduced);
    }
    Ok(all)
}

/// Reads one instance's snapshots.
struct Reader<'a, S> {
    source: &'a S,
    order: &'a EvaluateInput,
    most: u64,
}

async fn load<S: Vault>(reader: &Reader<'_, S>, not_before: &str) -> Result<Input<Packed>, FetchError> {
    let order = reader.order;
    let input = |quarantined, used| Input { order: order.clone(), quarantined, used };
    let reason = match read(reader, &order.snapshot_id, Some(&order.snapshot_digest)).await? {
        Ok(used) => return Ok(input(None, Some(used))),
        Err(reason) => reason,
    };
    let earlier = reader.source.list(&order.instance_uid).await?;
    let earlier = earlier.iter().filter(|id| **id < order.snapshot_id && id.as_str() >= not_before);
    for id in earlier.rev().take(FALLBACKS) {
        if let Ok(used) = read(reader, id, None).await? {
            return Ok(input(Some(reason), Some(used)));
        }
    }
    Ok(input(Some(reason), None))
}

/// The outer result says whether the store answered, the inner one whether the answer can be used.
async fn read<S: Vault>(
    reader: &Reader<'_, S>,
    id: &str,
    digest: Option<&str>,
) -> Result<Result<Used<Packed>, Quarantine>, FetchError> {
    let Reader { source, order, most } = reader;
    let uid = order.instance_uid.as_str();
    let Some(bytes) = undamaged(source.manifest(uid, id).await)? else { return Ok(Err(Quarantine::Damaged)) };
    let actual = canonical::digest(&bytes);
    if digest.is_some_and(|expected| expected != actual) {
        return Ok(Err(Quarantine::Damaged));
    }
    let manifest = match read_manifest(&bytes) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Err(quarantine(&error))),
    };
    if let Some(reason) = stranger(&manifest.header, order, id) {
        return Ok(Err(reason));
    }
    let mut parts = SnapshotReader::new(manifest, *most);
    let snapshot = loop {
        let sha256 = match parts.next_part() {
            Ok(Some(part)) => part.sha256.clone(),
            Ok(None) => break parts.finish(),
            Err(error) => break Err(error),
        };
        let Some(bytes) = undamaged(source.part(uid, &sha256).await)? else { return Ok(Err(Quarantine::Damaged)) };
        if let Err(error) = parts.add(&bytes) {
            break Err(error);
        }
    };
    Ok(snapshot.map(|snapshot| Used { digest: actual, snapshot }).map_err(|error| quarantine(&error)))
}

/// Why a header is not that of the ordered snapshot, or says something that no connector says.
fn stranger(header: &Header, order: &EvaluateInput, id: &str) -> Option<Quarantine> {
    let ours = header.instance_uid == order.instance_uid
        && header.instance == order.instance
        && header.system == order.system
        && header.scan_id == id;
    if !ours {
        return Some(Quarantine::ForeignSnapshot);
    }
    if !header.tenant.eq_ignore_ascii_case(&order.tenant) {
        return Some(Quarantine::ForeignTenant);
    }
    // These words end in the Estate's status: a hostile one would be shown to people, or keep the status from being
    // written at all.
    let plain = header.coverage.iter().all(|record| {
        word(&record.collection)
            && word(&record.scope)
            && record.reason.as_deref().is_none_or(word)
            && record.permission.as_deref().is_none_or(word)
    });
    (!plain).then_some(Quarantine::Malformed)
}

/// A code of ours or of a vendor: short, and nothing that a terminal would interpret.
fn word(text: &str) -> bool {
    (1..=MAX_HEADER_WORD).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:, |".contains(&b))
}

fn undamaged(result: Result<Bytes, FetchError>) -> Result<Option<Bytes>, FetchError> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FetchError::Damaged) => Ok(None),
        Err(other) => Err(other),
    }
}

fn quarantine(error: &SnapshotError) -> Quarantine {
    match error {
        SnapshotError::Format => Quarantine::UnknownFormat,
        SnapshotError::DigestMismatch(_) | SnapshotError::Compression | SnapshotError::MissingPart(_) => {
            Quarantine::Damaged
        }
        SnapshotError::TooLarge { .. } => Quarantine::TooLarge,
        _ => Quarantine::Malformed,
    }
}
