//! The evidence pack: what an auditor needs to see why each Finding stands, and to compute it again.
//!
//! Takes the inputs' digests and the conclusions; gives bytes that are named by their digest. The content is canonical
//! JSON Lines in one zstd frame: first the header, then one line per finding in the order of names, all of them, those
//! too that were cut off as resources, with all evidence. Equal evaluations give equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use sv0_api::{EstateSpec, FindingExceptionSpec, FindingSpec};
use sv0_graph::canonical::{digest, to_canonical_json};
use sv0_rules::RuleFinding;

use crate::accept::{Accepted, ExceptionNote};
use crate::baseline::{BaselineNote, Trouble};
use crate::evaluate::{Config, InputNote, Standing};
use crate::fire;
use crate::gaps::Gap;
use crate::merge::Merged;

/// The format of a pack.
pub const PACK_FORMAT: &str = "securityv0.pack/1";
const ZSTD_LEVEL: i32 = 3;

/// The pack cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[error("the evidence pack cannot be written: {0}")]
pub struct PackError(#[from] std::io::Error);

impl From<serde_json::Error> for PackError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.into())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackHeader<'a> {
    format: &'static str,
    as_of: Timestamp,
    inputs: Vec<PackInput<'a>>,
    waiting: BTreeSet<&'a str>,
    /// The ledger that the evaluation started from.
    ledger: Option<&'a str>,
    /// The ledger that it left.
    next_ledger: &'a str,
    rule_pack: PackRules,
    estate_spec: &'a EstateSpec,
    /// The accepted risks, in the order of names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exceptions: Vec<PackException<'a>>,
    max_findings: usize,
    gaps: Vec<PackGap<'a>>,
    removed: BTreeMap<&'a str, &'static str>,
    findings: usize,
    /// What drift was measured from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    baselines: Vec<PackBaseline<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackBaseline<'a> {
    instance_uid: &'a str,
    snapshot_id: &'a str,
    snapshot_digest: &'a str,
    accepted: bool,
    /// Why it could not be compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackInput<'a> {
    instance: &'a str,
    instance_uid: &'a str,
    snapshot_id: &'a str,
    snapshot_digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_digest: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackRules {
    version: String,
    digest: String,
    reference_data_digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackGap<'a> {
    instance: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    collection: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission: Option<&'a str>,
}

/// An exception with all that decided: a replay needs nothing else of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackException<'a> {
    name: &'a str,
    uid: &'a str,
    generation: i64,
    created_at: Timestamp,
    spec: &'a FindingExceptionSpec,
    outcome: &'static str,
    matched: usize,
}

/// What accepts a finding.
#[derive(Serialize)]
struct PackAcceptance<'a> {
    exception: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PackFinding<'a> {
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
    accepted_by: Option<PackAcceptance<'a>>,
    /// As it stands, or would stand, as a resource.
    spec: &'a FindingSpec,
    /// With all evidence; absent when it does not fire now.
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a RuleFinding>,
}

/// The pack's bytes and their digest.
pub fn write_pack(
    config: &Config,
    (inputs, baselines): (&[InputNote], &[BaselineNote]),
    gaps: &[Gap],
    (merged, accepted): (&Merged, &Accepted),
    (standing, next_ledger): (&Standing, &str),
) -> Result<(Vec<u8>, String), PackError> {
    let header = PackHeader {
        format: PACK_FORMAT,
        as_of: config.as_of,
        inputs: inputs.iter().map(PackInput::of).collect(),
        waiting: config.waiting.iter().map(String::as_str).collect(),
        ledger: config.ledger.as_deref(),
        next_ledger,
        rule_pack: PackRules::current()?,
        estate_spec: &config.estate,
        exceptions: accepted.notes.iter().map(PackException::of).collect(),
        max_findings: config.max_findings,
        gaps: gaps.iter().map(PackGap::of).collect(),
        removed: merged.removed.iter().map(|(name, removal)| (name.as_str(), removal.as_str())).collect(),
        findings: merged.held.len(),
        baselines: baselines.iter().map(PackBaseline::of).collect(),
    };
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    line(&mut encoder, &header)?;
    for (name, held) in &merged.held {
        let finding = PackFinding {
            name,
            basis: held.basis.as_str(),
            kept: standing.kept.contains(name),
            folded_under: standing.folded.get(name).map(String::as_str),
            accepted_by: accepted_by(&held.remembered.spec, accepted.by.get(name)),
            spec: &held.remembered.spec,
            full: held.full.as_deref(),
        };
        line(&mut encoder, &finding)?;
    }
    let bytes = encoder.finish()?;
    let digest = digest(&bytes);
    Ok((bytes, digest))
}

fn line<T: Serialize>(out: &mut impl std::io::Write, value: &T) -> Result<(), PackError> {
    out.write_all(&to_canonical_json(value)?)?;
    Ok(out.write_all(b"\n")?)
}

fn accepted_by<'a>(spec: &'a FindingSpec, uid: Option<&'a String>) -> Option<PackAcceptance<'a>> {
    Some(PackAcceptance { exception: &spec.acceptance.as_ref()?.exception, uid: uid? })
}

impl<'a> PackException<'a> {
    fn of(note: &'a ExceptionNote) -> Self {
        let ExceptionNote { exception, outcome, matched } = note;
        Self {
            name: &exception.name,
            uid: &exception.uid,
            generation: exception.generation,
            created_at: exception.created_at,
            spec: &exception.spec,
            outcome: outcome.as_str(),
            matched: *matched,
        }
    }
}

impl<'a> PackInput<'a> {
    fn of(note: &'a InputNote) -> Self {
        Self {
            instance: &note.instance,
            instance_uid: &note.instance_uid,
            snapshot_id: &note.snapshot_id,
            snapshot_digest: &note.snapshot_digest,
            quarantined: note.quarantined,
            used_id: note.used.as_ref().map(|(id, _)| id.as_str()),
            used_digest: note.used.as_ref().map(|(_, digest)| digest.as_str()),
        }
    }
}

impl<'a> PackBaseline<'a> {
    fn of(note: &'a BaselineNote) -> Self {
        Self {
            instance_uid: &note.instance_uid,
            snapshot_id: &note.snapshot_id,
            snapshot_digest: &note.snapshot_digest,
            accepted: note.accepted,
            trouble: note.trouble.map(Trouble::as_str),
        }
    }
}

impl PackRules {
    fn current() -> Result<Self, PackError> {
        Ok(Self {
            version: fire::rule_pack_version(),
            digest: fire::rule_pack_digest()?,
            reference_data_digest: fire::reference_data_digest(),
        })
    }
}

impl<'a> PackGap<'a> {
    fn of(gap: &'a Gap) -> Self {
        Self {
            instance: &gap.instance,
            collection: &gap.collection,
            state: gap.state.as_str(),
            reason: gap.reason.as_deref(),
            permission: gap.permission.as_deref(),
        }
    }
}
