//! The evidence pack: what an auditor needs to see why each Finding stands, and to compute it again.
//!
//! Takes the inputs' digests and the conclusions; gives bytes that are named by their digest. The content is canonical
//! JSON Lines in one zstd frame: a header, one line per finding in the order of names (all of them, those too that were
//! cut off as resources, with their evidence), and a closing line. Equal evaluations give equal bytes.
//!
//! Of a finding with very much evidence some of each kind is here, and how much is left out is counted
//! (`full.evidenceOmitted`). A pack that would be larger than its reader takes is written with less of it, which its header
//! says, and is not written at all when it would be too large even so.
//!
//! Every line carries its number, the digest of the line before it (`before`) and its own digest over everything else
//! in it (`digest`). So a changed line contradicts its own digest, a lost, doubled or moved one the numbers, and a line
//! that was changed together with its digest the line behind it; the closing line carries the head of the chain and the
//! counts. `evidence` is the digest of a finding's evidence in its order. Reading: [`crate::pack_reader`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sv0_api::FindingSpec;
use sv0_graph::canonical::{Canonical, digest, to_canonical_json};
use sv0_rules::{MAX_EVIDENCE, RuleFinding};

use crate::accept::{Accepted, ExceptionNote};
use crate::baseline::{BaselineNote, Trouble};
use crate::bounds::{Bounds, FEWER_PIECES, PackBounds, TooLarge, at_most};
use crate::evaluate::{Config, InputNote, Standing};
use crate::fire;
use crate::gaps::Gap;
use crate::merge::{Held, Merged};

/// The format of a pack.
pub const PACK_FORMAT: &str = "securityv0.pack/2";
const ZSTD_LEVEL: i32 = 3;

/// The number of a line; the header has 0.
pub(crate) const LINE: &str = "line";
/// The digest of the line before.
pub(crate) const BEFORE: &str = "before";
/// The digest of the line itself, over everything else in it.
pub(crate) const DIGEST: &str = "digest";
/// `sha256:<hex>` of the canonical JSON of a finding's evidence, in its order: of `full` when it is there, else of `spec`.
const EVIDENCE: &str = "evidence";

/// The pack cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A value that JSON cannot hold, or a defect of the compressor.
    #[error("the evidence pack cannot be written: {0}")]
    Unwritable(#[from] std::io::Error),
    /// Nobody could read it.
    #[error("the evidence pack would have {0}")]
    TooLarge(#[from] TooLarge),
}

impl From<serde_json::Error> for PackError {
    fn from(error: serde_json::Error) -> Self {
        Self::Unwritable(error.into())
    }
}

/// The first line: everything that the evaluation was told, and what it concluded besides findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackHeader {
    /// [`PACK_FORMAT`].
    pub format: String,
    /// Everything besides snapshots and ledger that decided the result.
    pub config: Config,
    /// The snapshots, in the order of roles and instance UIDs.
    pub snapshots: Vec<PackSnapshot>,
    /// What the evaluation was computed with.
    pub rule_pack: PackRules,
    /// `sha256:<hex>` of the ledger that the evaluation left.
    pub next_ledger: String,
    /// The earliest instant at which time alone may change a finding.
    pub next_transition: Timestamp,
    /// What could not be relied on.
    pub gaps: Vec<PackGap>,
    /// What became of each of the exceptions in `config`, in the order of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<PackException>,
    /// Findings that left, by name, and why.
    pub removed: BTreeMap<String, String>,
    /// Findings in this pack.
    pub findings: u64,
    /// Most pieces of evidence of a finding, beside those that hops of its path name, where the pack would have been too
    /// large with as many as the rules keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_evidence: Option<u64>,
    /// Names of instances of which what was remembered of use is forgotten, since the ledger would have been too large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<String>,
}

/// What a snapshot was read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// It shows how the estate is.
    Input,
    /// Drift is measured from it.
    Baseline,
}

/// One ordered snapshot, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackSnapshot {
    /// What it was read for.
    pub role: Role,
    /// Of a baseline: whether the Estate's spec names it; else the ledger remembers it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// Name of the instance.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// `entra`, ...
    pub system: String,
    /// The tenant in the instance's spec.
    pub tenant: String,
    /// Id of the ordered snapshot.
    pub snapshot_id: String,
    /// `sha256:<hex>` of its manifest.
    pub snapshot_digest: String,
    /// Why it was set aside; of a baseline, why it could not be compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// Id of the snapshot that was evaluated; none when nothing readable was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_id: Option<String>,
    /// `sha256:<hex>` of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_digest: Option<String>,
}

/// What an evaluation is computed with. Only a program with the same can compute it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackRules {
    /// Names rules and reference data for people.
    pub version: String,
    /// `sha256:<hex>` over the metadata of every rule.
    pub digest: String,
    /// `sha256:<hex>` over the tables that the rules look things up in.
    pub reference_data_digest: String,
    /// What compresses packs and ledgers: another version may give other bytes for the same content.
    pub compressor: String,
}

/// Something that could not be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackGap {
    /// Name of the instance.
    pub instance: String,
    /// The collection; empty when all of the instance is concerned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub collection: String,
    /// What kind of gap.
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permission that would close it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}

/// What became of an exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackException {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// How it stands.
    pub outcome: String,
    /// Findings that it matches.
    pub matched: u64,
}

/// What accepts a finding.
#[derive(Serialize)]
struct Acceptance<'a> {
    exception: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingLine<'a> {
    name: &'a str,
    /// `fires`, `unseen` or `gone`.
    basis: &'static str,
    /// Whether it stands as a resource.
    kept: bool,
    /// The finding that tells it, when it does not stand for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    folded_under: Option<&'a str>,
    /// The exception that accepts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_by: Option<Acceptance<'a>>,
    /// As it stands, or would stand, as a resource.
    spec: &'a FindingSpec,
    /// With its evidence; absent when it does not fire now.
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a RuleFinding>,
}

/// The last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Closing {
    /// Findings in this pack.
    pub(crate) findings: u64,
    /// Those of them that stand as resources.
    pub(crate) kept: u64,
}

/// What the evaluation concluded besides findings.
#[derive(Clone, Copy, Debug)]
pub struct Conclusion<'a> {
    /// Which findings stand as resources, and which are told inside another one.
    pub standing: &'a Standing,
    /// What was accepted.
    pub accepted: &'a Accepted,
    /// `sha256:<hex>` of the next ledger.
    pub next_ledger: &'a str,
    /// The earliest instant at which time alone may change a finding.
    pub next_transition: Timestamp,
    /// Names of instances of which nothing is remembered of use any more.
    pub forgotten: &'a [String],
}

/// A pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// `sha256:<hex>` of them.
    pub digest: String,
    /// Most pieces of evidence of a finding, when it is fewer than the rules keep.
    pub most_evidence: Option<usize>,
}

/// The pack. When it would be larger than `bounds`, the one with as much evidence as fits.
pub fn write_pack(
    config: &Config,
    seen: (&[InputNote], &[BaselineNote], &[Gap]),
    merged: &Merged,
    conclusion: Conclusion<'_>,
    bounds: &Bounds,
) -> Result<Written, PackError> {
    let mut header = header(config, seen, merged, conclusion)?;
    let mut passed = None;
    for most in [None].into_iter().chain(FEWER_PIECES.map(Some)) {
        header.most_evidence = most.map(|most| most as u64);
        match write(&header, merged, conclusion, most.unwrap_or(MAX_EVIDENCE), bounds) {
            Ok(bytes) => return Ok(Written { digest: digest(&bytes), bytes, most_evidence: most }),
            Err(PackError::TooLarge(bound)) => passed = passed.or(Some(bound)),
            Err(other) => return Err(other),
        }
    }
    Err(passed.map_or_else(|| std::io::Error::other("no pack was tried").into(), PackError::TooLarge))
}

/// The pack's bytes with at most `most` pieces of evidence of each finding. With none, those that stand as resources have the
/// fewest that are told at all, and the others none.
fn write(
    header: &PackHeader,
    merged: &Merged,
    conclusion: Conclusion<'_>,
    most: usize,
    bounds: &Bounds,
) -> Result<Vec<u8>, PackError> {
    let mut chain = Chain::new(bounds.pack)?;
    chain.add(header)?;
    let least = FEWER_PIECES.into_iter().filter(|most| *most > 0).min().unwrap_or(MAX_EVIDENCE);
    for (name, held) in &merged.held {
        let told = held.full.as_deref().filter(|_| most > 0 || conclusion.standing.kept.contains(name));
        let mut fewer = told.filter(|full| full.evidence.len() > most).cloned();
        if let Some(fewer) = &mut fewer {
            fewer.keep_evidence(if most > 0 { most } else { least });
        }
        let full = fewer.as_ref().or(told);
        chain.add_finding(&finding(name, held, full, &conclusion))?;
    }
    let (findings, kept) = (merged.held.len() as u64, conclusion.standing.kept.len() as u64);
    chain.add(&Closing { findings, kept })?;
    let bytes = chain.out.finish()?;
    at_most("compressed bytes", bytes.len() as u64, bounds.stored_bytes)?;
    Ok(bytes)
}

fn header(
    config: &Config,
    (inputs, baselines, gaps): (&[InputNote], &[BaselineNote], &[Gap]),
    merged: &Merged,
    conclusion: Conclusion<'_>,
) -> Result<PackHeader, PackError> {
    Ok(PackHeader {
        format: PACK_FORMAT.to_owned(),
        config: config.clone(),
        snapshots: inputs.iter().map(PackSnapshot::of).chain(baselines.iter().map(PackSnapshot::baseline)).collect(),
        rule_pack: PackRules::current()?,
        next_ledger: conclusion.next_ledger.to_owned(),
        next_transition: conclusion.next_transition,
        gaps: gaps.iter().map(PackGap::of).collect(),
        exceptions: conclusion.accepted.notes.iter().map(PackException::of).collect(),
        removed: merged.removed.iter().map(|(name, why)| (name.clone(), why.as_str().to_owned())).collect(),
        findings: merged.held.len() as u64,
        most_evidence: None,
        forgotten: conclusion.forgotten.to_vec(),
    })
}

fn finding<'a>(
    name: &'a str,
    held: &'a Held,
    full: Option<&'a RuleFinding>,
    conclusion: &Conclusion<'a>,
) -> FindingLine<'a> {
    let Conclusion { standing, accepted, .. } = conclusion;
    let spec = &held.remembered.spec;
    FindingLine {
        name,
        basis: held.basis.as_str(),
        kept: standing.kept.contains(name),
        folded_under: standing.folded.get(name).map(String::as_str),
        accepted_by: accepted_by(spec, accepted.by.get(name)),
        spec,
        full,
    }
}

fn accepted_by<'a>(spec: &'a FindingSpec, uid: Option<&'a String>) -> Option<Acceptance<'a>> {
    Some(Acceptance { exception: &spec.acceptance.as_ref()?.exception, uid: uid? })
}

/// Lines on their way into the frame, each bound to the one before it, and all of them within the bounds.
struct Chain {
    out: zstd::stream::write::Encoder<'static, Vec<u8>>,
    bounds: PackBounds,
    lines: u64,
    bytes: u64,
    values: u64,
    head: Option<String>,
    /// Room that every line uses again.
    canonical: Canonical,
    line: Vec<u8>,
    evidence: Vec<u8>,
}

impl Chain {
    fn new(bounds: PackBounds) -> Result<Self, PackError> {
        Ok(Self {
            out: zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?,
            bounds,
            lines: 0,
            bytes: 0,
            values: 0,
            head: None,
            canonical: Canonical::default(),
            line: Vec::new(),
            evidence: Vec::new(),
        })
    }

    fn add<T: Serialize>(&mut self, content: &T) -> Result<(), PackError> {
        self.take(content)?;
        self.seal()
    }

    fn add_finding(&mut self, finding: &FindingLine<'_>) -> Result<(), PackError> {
        self.take(finding)?;
        // Written once: the evidence of what fires is marked in it.
        if finding.full.is_none() || !self.canonical.marked(&mut self.evidence) {
            self.evidence = to_canonical_json(&finding.spec.evidence)?;
        }
        self.canonical.set(EVIDENCE, &digest(&self.evidence))?;
        self.seal()
    }

    /// Takes up the fields of the next line.
    fn take<T: Serialize>(&mut self, content: &T) -> Result<(), PackError> {
        let object = self.canonical.object(content)?;
        if object { Ok(()) } else { Err(std::io::Error::other("a line is not an object").into()) }
    }

    /// Numbers it, binds it to the one before, and writes it.
    fn seal(&mut self) -> Result<(), PackError> {
        use std::io::Write as _;
        let Self { canonical, line, .. } = self;
        canonical.set(LINE, &self.lines)?;
        if let Some(head) = &self.head {
            canonical.set(BEFORE, head)?;
        }
        canonical.write(line);
        let own = digest(line);
        canonical.set(DIGEST, &own)?;
        canonical.write(line);
        line.push(b'\n');
        self.lines += 1;
        self.bytes += line.len() as u64;
        self.values += canonical.values();
        at_most("bytes in one line", line.len() as u64, self.bounds.line_bytes)?;
        at_most("bytes", self.bytes, self.bounds.bytes)?;
        at_most("values", self.values, self.bounds.values)?;
        at_most("lines", self.lines, self.bounds.lines)?;
        self.out.write_all(line)?;
        self.head = Some(own);
        Ok(())
    }
}

/// The digest of a line without the field that holds it.
pub(crate) fn own_digest(line: &Map<String, Value>) -> Result<String, serde_json::Error> {
    Ok(digest(&to_canonical_json(line)?))
}

impl PackSnapshot {
    fn of(note: &InputNote) -> Self {
        Self {
            role: Role::Input,
            accepted: false,
            instance: note.instance.clone(),
            instance_uid: note.instance_uid.clone(),
            system: note.system.clone(),
            tenant: note.tenant.clone(),
            snapshot_id: note.snapshot_id.clone(),
            snapshot_digest: note.snapshot_digest.clone(),
            quarantined: note.quarantined.map(str::to_owned),
            used_id: note.used.as_ref().map(|(id, _)| id.clone()),
            used_digest: note.used.as_ref().map(|(_, digest)| digest.clone()),
        }
    }
}

impl PackSnapshot {
    fn baseline(note: &BaselineNote) -> Self {
        // What is newer than the evaluated snapshot, or was not there, was not looked into.
        let read = !matches!(note.trouble, Some(Trouble::Unreadable | Trouble::Newer | Trouble::NoneYet));
        Self {
            role: Role::Baseline,
            accepted: note.accepted,
            instance: note.instance.clone(),
            instance_uid: note.instance_uid.clone(),
            system: note.system.clone(),
            tenant: note.tenant.clone(),
            snapshot_id: note.snapshot_id.clone(),
            snapshot_digest: note.snapshot_digest.clone(),
            quarantined: note.trouble.map(|trouble| trouble.as_str().to_owned()),
            used_id: read.then(|| note.snapshot_id.clone()),
            used_digest: read.then(|| note.snapshot_digest.clone()),
        }
    }
}

impl PackException {
    fn of(note: &ExceptionNote) -> Self {
        Self {
            name: note.exception.name.clone(),
            uid: note.exception.uid.clone(),
            outcome: note.outcome.as_str().to_owned(),
            matched: note.matched as u64,
        }
    }
}

impl PackRules {
    /// What this program computes with.
    pub fn current() -> Result<Self, serde_json::Error> {
        Ok(Self {
            version: fire::rule_pack_version(),
            digest: fire::rule_pack_digest()?,
            reference_data_digest: fire::reference_data_digest(),
            compressor: format!("zstd {}", zstd::zstd_safe::version_string()),
        })
    }
}

impl PackGap {
    fn of(gap: &Gap) -> Self {
        Self {
            instance: gap.instance.clone(),
            collection: gap.collection.clone(),
            state: gap.state.as_str().to_owned(),
            reason: gap.reason.clone(),
            permission: gap.permission.clone(),
        }
    }
}
