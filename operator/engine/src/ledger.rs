//! The memory between evaluations: takes and gives bytes that are named by their digest.
//!
//! It holds what the present snapshots cannot tell: when each finding was first seen, what it said when it was last
//! seen, how large each collection was, and which use was recorded on which days. Live cluster objects are never read for this, so that nobody who can edit
//! a Finding can change what the next evaluation concludes.
//!
//! The bytes are JSON, field by field in the order of the types below and with sorted maps, in one zstd frame: equal
//! memory gives equal bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use serde::{Deserialize, Serialize};
use sv0_api::FindingSpec;
use sv0_graph::canonical;
use sv0_rules::ActivityMemory;

use crate::bounds::{Bounds, TooLarge, at_most};
use crate::history::InstanceMemory;

/// The format that this version writes. Whoever adds a field raises it: an older version refuses fields that it does not
/// know, and must then say so instead of taking the memory for damaged and starting afresh.
pub const LEDGER_FORMAT: &str = "securityv0.ledger/2";
/// Formats that earlier versions wrote and that are read: what they lack is optional.
const EARLIER_FORMATS: [&str; 1] = ["securityv0.ledger/1"];
/// Most uncompressed bytes of a ledger that is read: about 100,000 findings.
pub const MAX_LEDGER_BYTES: u64 = 512 * 1024 * 1024;
const ZSTD_LEVEL: i32 = 3;
/// What is given to the encoder at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The memory of one estate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ledger {
    /// [`LEDGER_FORMAT`].
    pub format: String,
    /// By instance UID.
    pub instances: BTreeMap<String, RememberedInstance>,
    /// By name of the Finding, those too that were cut off as resources.
    pub findings: BTreeMap<String, Remembered>,
}

/// A ledger whose parts stand elsewhere: it gives the same bytes as one that owns them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerView<'a> {
    /// [`LEDGER_FORMAT`].
    pub format: &'a str,
    /// By instance UID.
    pub instances: &'a BTreeMap<String, RememberedInstance>,
    /// By name of the Finding, those too that were cut off as resources.
    pub findings: BTreeMap<&'a str, &'a Remembered>,
}

impl LedgerView<'_> {
    /// The bytes to store, and their digest; an error when they would pass `bounds`.
    pub fn write(&self, bounds: &Bounds) -> Result<(Vec<u8>, String), LedgerError> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(|_| LedgerError::Unwritable)?;
        let mut bounded = Bounded { out: encoder, written: 0, limit: bounds.ledger_bytes };
        // The encoder is called once for many tokens. It is not flushed: that would end a block early, and give other bytes.
        let mut buffered = std::io::BufWriter::with_capacity(BUFFER_BYTES, &mut bounded);
        let written = serde_json::to_writer(&mut buffered, self).map_err(|_| LedgerError::Unwritable);
        let written = written.and_then(|()| buffered.into_inner().map(drop).map_err(|_| LedgerError::Unwritable));
        at_most("bytes", bounded.written, bounded.limit)?;
        written?;
        let bytes = bounded.out.finish().map_err(|_| LedgerError::Unwritable)?;
        at_most("compressed bytes", bytes.len() as u64, bounds.stored_bytes)?;
        let digest = canonical::digest(&bytes);
        Ok((bytes, digest))
    }
}

/// Counts what is written, and takes no more once a limit is passed.
struct Bounded<W> {
    out: W,
    written: u64,
    limit: u64,
}

impl<W: std::io::Write> std::io::Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written += bytes.len() as u64;
        at_most("bytes", self.written, self.limit).map_err(std::io::Error::other)?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// What is remembered of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RememberedInstance {
    /// Its name.
    pub name: String,
    /// Its newest evaluated snapshot and the sizes of its collections.
    pub seen: InstanceMemory,
    /// Its first complete snapshot that was evaluated: what drift is measured from until another one is accepted. Absent
    /// in what versions before drift wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<RememberedSnapshot>,
    /// What is remembered of use. Absent in what versions before that wrote: nothing is remembered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<ActivityMemory>,
}

/// A snapshot by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RememberedSnapshot {
    /// Its id.
    pub id: String,
    /// `sha256:<hex>` of its manifest.
    pub digest: String,
}

/// What is remembered of one finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remembered {
    /// The collections whose completeness is needed before its absence means that it is resolved.
    pub depends_on: Vec<Dependency>,
    /// Name of the finding about the one thing through which it held when it last fired, whether or not that one is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Of a composite, the names of the findings that it told when it last fired, as far as they are there. Absent in what
    /// earlier versions wrote.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tells: BTreeSet<String>,
    /// Ids of the credentials that it named, where the records that it rests on leave the source system by age: all, not
    /// only those that the spec shows. Absent in what earlier versions wrote.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub credentials: BTreeSet<String>,
    /// It named more than are remembered: any credential of its subject may be one of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_credentials: bool,
    /// What it said when it was last seen, with its state and the times of its life.
    pub spec: FindingSpec,
}

/// A collection of an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dependency {
    /// UID of the instance.
    pub instance_uid: String,
    /// Name of the collection.
    pub collection: String,
    /// The collection revision of the instance when the finding last fired. A snapshot of a lower one read less of the
    /// same objects, so the finding's absence from it proves nothing. 0 = not remembered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_zero(revision: &u32) -> bool {
    *revision == 0
}

/// Why a ledger cannot be read or written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LedgerError {
    /// Another version wrote it.
    #[error("the ledger is not in format {LEDGER_FORMAT}: evaluate with the version that wrote it")]
    Format,
    /// Cut, damaged, or larger than any ledger of ours.
    #[error("the ledger cannot be read")]
    Damaged,
    /// It cannot be encoded.
    #[error("the ledger cannot be written")]
    Unwritable,
    /// Nobody could read it.
    #[error("the ledger would have {0}")]
    TooLarge(#[from] TooLarge),
}

impl Default for Ledger {
    fn default() -> Self {
        Self { format: LEDGER_FORMAT.to_owned(), instances: BTreeMap::new(), findings: BTreeMap::new() }
    }
}

impl Ledger {
    /// Reads a stored ledger.
    pub fn read(bytes: &[u8]) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Probe {
            format: String,
        }
        let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| LedgerError::Damaged)?;
        let mut text = Vec::new();
        decoder.take(MAX_LEDGER_BYTES + 1).read_to_end(&mut text).map_err(|_| LedgerError::Damaged)?;
        if text.len() as u64 > MAX_LEDGER_BYTES {
            return Err(LedgerError::Damaged);
        }
        // The version first: a later format may have fields that the strict types refuse.
        let probe: Probe = serde_json::from_slice(&text).map_err(|_| LedgerError::Damaged)?;
        if probe.format != LEDGER_FORMAT && !EARLIER_FORMATS.contains(&probe.format.as_str()) {
            return Err(LedgerError::Format);
        }
        let ledger: Self = serde_json::from_slice(&text).map_err(|_| LedgerError::Damaged)?;
        Ok(Self { format: LEDGER_FORMAT.to_owned(), ..ledger })
    }

    /// The bytes to store, and their digest.
    pub fn write(&self) -> Result<(Vec<u8>, String), LedgerError> {
        let findings = self.findings.iter().map(|(name, remembered)| (name.as_str(), remembered)).collect();
        LedgerView { format: &self.format, instances: &self.instances, findings }.write(&Bounds::default())
    }

    /// By instance UID, the newest snapshot that was evaluated.
    pub fn evaluated(&self) -> BTreeMap<String, String> {
        self.instances.iter().map(|(uid, instance)| (uid.clone(), instance.seen.snapshot.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use sv0_rules::Uses;

    use super::*;

    #[test]
    fn bytes_come_back_and_equal_memory_gives_equal_bytes() {
        let mut ledger = Ledger::default();
        let seen = InstanceMemory { snapshot: "1".into(), collections: BTreeMap::new() };
        ledger
            .instances
            .insert("u".into(), RememberedInstance { name: "entra".into(), seen, baseline: None, activity: None });
        let (bytes, digest) = ledger.write().unwrap();
        assert_eq!(ledger.clone().write().unwrap(), (bytes.clone(), digest));
        assert_eq!(Ledger::read(&bytes).unwrap(), ledger);
    }

    /// As many uses as are kept, of 100,000 identities and as many credentials, on days and in ids that do not repeat.
    #[test]
    fn the_memory_of_use_of_a_large_tenant_is_small() {
        const OBJECTS: i64 = 100_000;
        let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = |days: i64| start.checked_add(jiff::SignedDuration::from_hours(24 * days)).unwrap();
        let mut activity = ActivityMemory { tenant: "entra:t".into(), ..ActivityMemory::default() };
        for n in 0..OBJECTS {
            let hex = canonical::sha256_hex(n.to_string().as_bytes());
            let id = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]);
            let uses = (0..6).map(|nth| Uses::one(day(nth * 40 + n % 37), day(nth * 40 + n % 37 + 1 + n % 5)));
            let uses = uses.fold(Uses::default(), |all, one| all.union(&one));
            activity.uses.insert(format!("ServicePrincipal:{id}"), uses.clone());
            activity.uses.insert(format!("Credential:{id}/{}-{}", &hex[32..40], &hex[40..64]), uses);
        }
        let mut ledger = Ledger::default();
        let (name, seen) = ("entra".to_owned(), InstanceMemory::default());
        let remembered = RememberedInstance { name, seen, baseline: None, activity: Some(activity) };
        ledger.instances.insert("u".into(), remembered);
        let (bytes, _) = ledger.write().unwrap();
        let text = zstd::decode_all(bytes.as_slice()).unwrap();
        let objects = ledger.instances["u"].activity.as_ref().unwrap().uses.len();
        assert!(bytes.len() <= objects * 40 && text.len() <= objects * 135);
        assert_eq!(Ledger::read(&bytes).unwrap(), ledger);
    }

    #[test]
    fn memory_from_before_baselines_is_read_and_written_in_todays_format() {
        let json = r#"{"format":"securityv0.ledger/1","instances":{"u":{"name":"entra","seen":{"snapshot":"1","collections":{}}}},"findings":{}}"#;
        let ledger = Ledger::read(&zstd::encode_all(json.as_bytes(), 3).unwrap()).unwrap();
        assert_eq!((&ledger.instances["u"].baseline, &ledger.instances["u"].activity), (&None, &None));
        let written = zstd::decode_all(ledger.write().unwrap().0.as_slice()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), json.replace("ledger/1", "ledger/2"));
    }

    #[test]
    fn damage_and_foreign_versions_are_told_apart() {
        let (bytes, _) = Ledger::default().write().unwrap();
        assert_eq!(Ledger::read(&bytes[..bytes.len() / 2]), Err(LedgerError::Damaged));
        assert_eq!(Ledger::read(b"no"), Err(LedgerError::Damaged));
        let newer = Ledger { format: "securityv0.ledger/3".into(), ..Ledger::default() };
        assert_eq!(Ledger::read(&newer.write().unwrap().0), Err(LedgerError::Format));
    }
}
