//! The bundle: one file with everything that an evaluation was computed from, and what it concluded.
//!
//! A plain tar archive that common tools unpack (`tar xf FILE && sha256sum -c SHA256SUMS`): `SHA256SUMS` first, then, in
//! the order of their names, `bundle.json` (format and estate), `ledger.json.zst` (the ledger it started from, if there
//! was one), `next-ledger.json.zst` (the one it left), `pack.jsonl.zst`, and below `snapshots/UID/` for each instance
//! `ID/manifest.json` and `parts/SHA256.jsonl.zst`, each byte for byte as the store keeps it.
//!
//! Equal content gives equal bytes, and no byte of the file is free: whoever reads it makes each of the archive's
//! headers again and compares, and checks each member against `SHA256SUMS`. Reading keeps to the bounds below and needs
//! no memory beyond the file itself. Pure; files are the caller's.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sv0_graph::canonical::{sha256_hex, to_canonical_json};
use sv0_protocol::store::MAX_OBJECT_BYTES;

use crate::load::{FetchError, Vault};

/// The format that this version writes and reads.
pub const BUNDLE_FORMAT: &str = "securityv0.bundle/1";
/// Most bytes of a bundle.
pub const MAX_BUNDLE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most members of a bundle.
const MAX_MEMBERS: usize = 100_000;
/// Most bytes of the list of digests.
const MAX_SUMS_BYTES: u64 = 32 * 1024 * 1024;
/// The archive's unit.
const BLOCK: usize = 512;

const SUMS: &str = "SHA256SUMS";
const INDEX: &str = "bundle.json";
const LEDGER: &str = "ledger.json.zst";
const NEXT_LEDGER: &str = "next-ledger.json.zst";
const PACK: &str = "pack.jsonl.zst";
const SNAPSHOTS: &str = "snapshots/";
const MANIFEST: &str = "/manifest.json";
const PARTS: &str = "parts/";
const PART: &str = ".jsonl.zst";

/// Everything that one evaluation was computed from, and what it concluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The estate's namespace. For people: nothing is computed from it.
    pub estate: String,
    /// The evidence pack.
    pub pack: Bytes,
    /// The ledger that the evaluation started from.
    pub ledger: Option<Bytes>,
    /// The ledger that it left.
    pub next_ledger: Bytes,
    /// Manifests, by instance UID and snapshot id.
    pub manifests: BTreeMap<(String, String), Bytes>,
    /// Parts, by instance UID and SHA-256.
    pub parts: BTreeMap<(String, String), Bytes>,
}

/// Why a bundle is not written or read. Names of members only, never what stands in them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BundleError {
    /// Another version wrote it.
    #[error("the bundle is not in format {BUNDLE_FORMAT} but in {0:?}: use the version that wrote it")]
    Format(String),
    /// Not a bundle at all.
    #[error("this is not a bundle: export one with `kubectl sv0 pack export`")]
    NotABundle,
    /// It ends too early.
    #[error("the bundle is cut: it ends inside {0}")]
    Cut(String),
    /// A member does not have its digest.
    #[error("{0} was changed, or its line in {SUMS}: they do not agree")]
    Changed(String),
    /// What stands between the members is not what a bundle has there.
    #[error("the archive's header of {0} was changed, or other content stands there")]
    Header(String),
    /// Bytes between or behind the members.
    #[error("something was added to the bundle behind {0}")]
    Added(String),
    /// The list of digests is not one.
    #[error("line {0} of {SUMS} was changed: it is not a digest and the name of a member, in the order of names")]
    Sums(usize),
    /// A member that no bundle of this format has.
    #[error("the bundle has a member that does not belong there (line {0} of {SUMS})")]
    Unknown(usize),
    /// A member that every bundle has.
    #[error("the bundle has no {0}")]
    Missing(&'static str),
    /// A bound is passed.
    #[error("{what} is larger than the {limit} bytes that a bundle allows")]
    TooLarge {
        /// What.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// An identifier that cannot be part of a member's name.
    #[error("an instance or snapshot has an identifier that cannot stand in a file name")]
    Name,
}

type Result<T> = std::result::Result<T, BundleError>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    format: String,
    estate: String,
}

impl Bundle {
    /// The file's bytes.
    pub fn write(&self) -> Result<Vec<u8>> {
        let members = self.members()?;
        let sums = sums(&members);
        let mut file = Vec::new();
        append(&mut file, SUMS, sums.as_bytes())?;
        for (name, bytes) in &members {
            append(&mut file, name, bytes)?;
            if file.len() as u64 > MAX_BUNDLE_BYTES {
                return Err(BundleError::TooLarge { what: "the bundle".to_owned(), limit: MAX_BUNDLE_BYTES });
            }
        }
        file.resize(file.len() + 2 * BLOCK, 0);
        Ok(file)
    }

    fn members(&self) -> Result<BTreeMap<String, Bytes>> {
        let index = Index { format: BUNDLE_FORMAT.to_owned(), estate: self.estate.clone() };
        let index = to_canonical_json(&index).map_err(|_| BundleError::Name)?;
        let mut members = BTreeMap::from([
            (INDEX.to_owned(), Bytes::from(index)),
            (PACK.to_owned(), self.pack.clone()),
            (NEXT_LEDGER.to_owned(), self.next_ledger.clone()),
        ]);
        members.extend(self.ledger.iter().map(|ledger| (LEDGER.to_owned(), ledger.clone())));
        for ((uid, id), bytes) in &self.manifests {
            members.insert(format!("{SNAPSHOTS}{}/{}{MANIFEST}", word(uid)?, word(id)?), bytes.clone());
        }
        for ((uid, sha256), bytes) in &self.parts {
            members.insert(format!("{SNAPSHOTS}{}/{PARTS}{}{PART}", word(uid)?, word(sha256)?), bytes.clone());
        }
        Ok(members)
    }

    /// Reads and checks a file. The bundle's parts are windows into `file`, not copies.
    pub fn read(file: &Bytes) -> Result<Self> {
        if file.len() as u64 > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge { what: "the bundle".to_owned(), limit: MAX_BUNDLE_BYTES });
        }
        let mut archive = Archive { file, at: 0, last: SUMS };
        let sums = archive.sums()?;
        let listed = listed(&sums)?;
        let mut bundle = Self::default();
        let mut index = None;
        for (i, (sha256, name)) in listed.iter().enumerate() {
            let bytes = archive.member(name)?;
            if sha256_hex(&bytes) != *sha256 {
                return Err(BundleError::Changed((*name).to_owned()));
            }
            match *name {
                INDEX => index = Some(bytes),
                PACK => bundle.pack = bytes,
                LEDGER => bundle.ledger = Some(bytes),
                NEXT_LEDGER => bundle.next_ledger = bytes,
                name => bundle.stored(name, bytes).ok_or(BundleError::Unknown(i + 1))?,
            }
        }
        archive.end()?;
        for name in [INDEX, NEXT_LEDGER, PACK] {
            if !listed.iter().any(|(_, listed)| *listed == name) {
                return Err(BundleError::Missing(name));
            }
        }
        bundle.estate = estate(&index.unwrap_or_default())?;
        Ok(bundle)
    }

    /// Puts a manifest or part in its place; none when the name is that of neither.
    fn stored(&mut self, name: &str, bytes: Bytes) -> Option<()> {
        let (uid, rest) = name.strip_prefix(SNAPSHOTS)?.split_once('/')?;
        word(uid).ok()?;
        if let Some(sha256) = rest.strip_prefix(PARTS).and_then(|rest| rest.strip_suffix(PART)) {
            self.parts.insert((uid.to_owned(), word(sha256).ok()?.to_owned()), bytes);
        } else {
            let id = word(rest.strip_suffix(MANIFEST)?).ok()?;
            self.manifests.insert((uid.to_owned(), id.to_owned()), bytes);
        }
        Some(())
    }

    /// Bytes of all that it holds.
    pub fn content_bytes(&self) -> u64 {
        let stored = self.manifests.values().chain(self.parts.values()).chain(&self.ledger);
        stored.chain([&self.pack, &self.next_ledger]).map(|bytes| bytes.len() as u64).sum()
    }
}

fn estate(index: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Probe {
        format: String,
    }
    let probe: Probe = serde_json::from_slice(index).map_err(|_| BundleError::NotABundle)?;
    if probe.format != BUNDLE_FORMAT {
        return Err(BundleError::Format(probe.format.chars().take(64).collect()));
    }
    let index: Index = serde_json::from_slice(index).map_err(|_| BundleError::NotABundle)?;
    Ok(index.estate)
}

/// A part of a file name: what UIDs, snapshot ids and digests consist of.
fn word(text: &str) -> Result<&str> {
    let plain = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { Ok(text) } else { Err(BundleError::Name) }
}

/// The list of digests, as `sha256sum` writes and reads it.
fn sums(members: &BTreeMap<String, Bytes>) -> String {
    let mut text = String::new();
    for (name, bytes) in members {
        text.extend([sha256_hex(bytes).as_str(), "  ", name, "\n"]);
    }
    text
}

/// Digest and name of each member, strictly ascending by name.
fn listed(sums: &[u8]) -> Result<Vec<(&str, &str)>> {
    let text = std::str::from_utf8(sums).map_err(|_| BundleError::Sums(1))?;
    let mut all: Vec<(&str, &str)> = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let entry = line.strip_suffix('\n').and_then(|line| line.split_once("  "));
        // Errors repeat these names.
        let entry = entry.filter(|(_, name)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-./".contains(&b)));
        let entry = entry.filter(|(_, name)| all.last().is_none_or(|(_, before)| before < name));
        all.push(entry.ok_or(BundleError::Sums(i + 1))?);
        if all.len() > MAX_MEMBERS {
            return Err(BundleError::TooLarge { what: SUMS.to_owned(), limit: MAX_SUMS_BYTES });
        }
    }
    Ok(all)
}

/// The one header that a member of this name and size has.
fn header(name: &str, size: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).map_err(|_| BundleError::Name)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o400);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn append(file: &mut Vec<u8>, name: &str, bytes: &[u8]) -> Result<()> {
    let size = bytes.len() as u64;
    if size > limit(name) {
        return Err(BundleError::TooLarge { what: name.to_owned(), limit: limit(name) });
    }
    file.extend_from_slice(header(name, size)?.as_bytes());
    file.extend_from_slice(bytes);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

fn limit(name: &str) -> u64 {
    if name == SUMS { MAX_SUMS_BYTES } else { MAX_OBJECT_BYTES }
}

/// A file that is read from its beginning to its end.
struct Archive<'a> {
    file: &'a Bytes,
    at: usize,
    last: &'a str,
}

impl<'a> Archive<'a> {
    /// The first member.
    fn sums(&mut self) -> Result<Bytes> {
        let first = self.file.get(..BLOCK).ok_or(BundleError::NotABundle)?;
        let name = tar::Header::from_byte_slice(first).path_bytes();
        if name.as_ref() != SUMS.as_bytes() {
            return Err(BundleError::NotABundle);
        }
        self.member(SUMS)
    }

    /// The next member, which has this name.
    fn member(&mut self, name: &'a str) -> Result<Bytes> {
        let cut = || BundleError::Cut(name.to_owned());
        let changed = || BundleError::Header(name.to_owned());
        let block = self.file.get(self.at..).and_then(|rest| rest.get(..BLOCK)).ok_or_else(cut)?;
        let size = tar::Header::from_byte_slice(block).entry_size().map_err(|_| changed())?;
        if size > limit(name) {
            return Err(BundleError::TooLarge { what: name.to_owned(), limit: limit(name) });
        }
        if header(name, size).map_err(|_| changed())?.as_bytes() != block {
            return Err(changed());
        }
        let begin = self.at + BLOCK;
        let end = begin + usize::try_from(size).map_err(|_| cut())?;
        let next = end.next_multiple_of(BLOCK);
        if next > self.file.len() {
            return Err(cut());
        }
        self.last = name;
        self.zeros(end, next)?;
        self.at = next;
        Ok(self.file.slice(begin..end))
    }

    /// Two empty blocks, and nothing behind them.
    fn end(&mut self) -> Result<()> {
        let end = self.at + 2 * BLOCK;
        if self.file.len() < end {
            return Err(BundleError::Cut(format!("the end, behind {}", self.last)));
        }
        self.zeros(self.at, self.file.len())?;
        if self.file.len() == end { Ok(()) } else { Err(BundleError::Added(self.last.to_owned())) }
    }

    fn zeros(&self, begin: usize, end: usize) -> Result<()> {
        let empty = self.file.get(begin..end).is_some_and(|between| between.iter().all(|byte| *byte == 0));
        if empty { Ok(()) } else { Err(BundleError::Added(self.last.to_owned())) }
    }
}

/// What a bundle does not have, the store did not have either: it was missing or damaged.
impl Vault for Bundle {
    async fn manifest(&self, instance_uid: &str, snapshot: &str) -> std::result::Result<Bytes, FetchError> {
        let key = (instance_uid.to_owned(), snapshot.to_owned());
        self.manifests.get(&key).cloned().ok_or(FetchError::Damaged)
    }

    async fn part(&self, instance_uid: &str, sha256: &str) -> std::result::Result<Bytes, FetchError> {
        let key = (instance_uid.to_owned(), sha256.to_owned());
        self.parts.get(&key).cloned().ok_or(FetchError::Damaged)
    }

    async fn list(&self, instance_uid: &str) -> std::result::Result<Vec<String>, FetchError> {
        let ids = self.manifests.keys().filter(|(uid, _)| uid == instance_uid);
        Ok(ids.map(|(_, id)| id.clone()).collect())
    }

    async fn ledger(&self, _: &str) -> std::result::Result<Bytes, FetchError> {
        self.ledger.clone().ok_or(FetchError::Damaged)
    }
}
