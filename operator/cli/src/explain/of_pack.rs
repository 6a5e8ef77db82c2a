//! A finding as the evidence pack has it: with all of its evidence, and those findings too that do not stand as objects.
//!
//! Takes a pack, from the store or from an exported file; gives the story. What the pack holds is bounded here: it may come
//! from a file that somebody made. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::Value;
use sv0_api::{Estate, EstateGap, EstateSpec, EstateStatus, EvaluatedInput, EvidenceClass, Finding, Hop};
use sv0_engine::pack::{PackGap, PackHeader, PackSnapshot, Role};
use sv0_engine::pack_reader::{Pack, PackFinding};
use sv0_rules as rules;

use super::Story;

/// Most hops of a path: a larger one can be drawn by nobody.
const MOST_HOPS: usize = 200;
/// Most gaps that are told of: so many as an Estate lists.
const MOST_GAPS: usize = crate::findings::table::MOST_GAPS;

/// What the pack says of one finding beside what stands in a Finding.
#[derive(Clone, Debug)]
pub struct OfPack {
    /// `sha256:<hex>` of the pack.
    pub digest: String,
    /// Whether the pack was found by the digest in the Estate's status, and not in a file.
    pub named: bool,
    /// How the finding stands in the cluster.
    pub standing: Standing,
    /// All of its evidence; none when the evaluation did not find it anew.
    pub whole: Option<Whole>,
}

/// How a finding stands in the cluster after the evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As an object.
    Object,
    /// Another one tells it, which has this name.
    Folded(String),
    /// The estate has more severe ones than it may have objects.
    BeyondCap,
}

/// The evidence as the rule gave it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Whole {
    /// From the anchor to what it reaches; each hop names its piece.
    pub path: Vec<rules::Hop>,
    /// Every piece, in the order of the pack.
    pub evidence: Vec<rules::Evidence>,
    /// Pieces that the pack leaves out.
    #[serde(default)]
    pub evidence_omitted: u32,
}

/// Where a pack is from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The store, by the digest in the status of this Estate.
    Store(Box<Estate>),
    /// A file.
    File,
}

/// The story of the finding `name`; none when the pack has none of that name.
pub fn story(pack: &Pack, digest: String, namespace: &str, name: &str, origin: Origin) -> Option<Story> {
    let found = pack.findings.get(name)?;
    let mut finding = object(namespace, name, found);
    let whole = found.line.get("full").and_then(|full| Whole::deserialize(full).ok());
    if let Some(whole) = &whole {
        finding.spec.path = whole.path.iter().take(MOST_HOPS).map(hop).collect();
    }
    finding.spec.path.truncate(MOST_HOPS);
    let folded = found.line.get("foldedUnder").and_then(Value::as_str);
    let standing = match folded {
        Some(under) => Standing::Folded(under.to_owned()),
        None if found.kept => Standing::Object,
        None => Standing::BeyondCap,
    };
    let acceptance = finding.spec.acceptance.as_ref().and_then(|one| serde_json::to_value(one).ok());
    let named = matches!(origin, Origin::Store(_));
    Some(Story {
        acceptance: acceptance.and_then(|value| serde_json::from_value(value).ok()),
        finding,
        estate: Some(match origin {
            Origin::Store(estate) => *estate,
            Origin::File => estate(&pack.header),
        }),
        all: pack.kept().map(|(name, found)| object(namespace, name, found)).collect(),
        pack: Some(OfPack { digest, named, standing, whole }),
    })
}

fn object(namespace: &str, name: &str, found: &PackFinding) -> Finding {
    let mut finding = Finding::new(name, found.spec.clone());
    finding.metadata.namespace = Some(namespace.to_owned());
    finding
}

fn hop(hop: &rules::Hop) -> Hop {
    Hop {
        from: Some(hop.from.clone()),
        edge: hop.edge.clone(),
        to: hop.to.clone(),
        via: hop.via.clone(),
        class: class(hop.class),
    }
}

/// The class as it stands in a Finding.
pub const fn class(class: rules::EvidenceClass) -> EvidenceClass {
    match class {
        rules::EvidenceClass::Direct => EvidenceClass::Direct,
        rules::EvidenceClass::Structural => EvidenceClass::Structural,
        rules::EvidenceClass::Temporal => EvidenceClass::Temporal,
    }
}

/// What the pack says that the Estate's status says too.
fn estate(header: &PackHeader) -> Estate {
    let inputs = header.snapshots.iter().filter(|snapshot| snapshot.role == Role::Input);
    let status = EstateStatus {
        as_of: Some(Time(header.config.as_of)),
        inputs: inputs.map(input).collect(),
        coverage_gaps: header.gaps.iter().take(MOST_GAPS).map(gap).collect(),
        ..EstateStatus::default()
    };
    let mut estate = Estate::new("default", EstateSpec::default());
    estate.status = Some(status);
    estate
}

fn input(snapshot: &PackSnapshot) -> EvaluatedInput {
    EvaluatedInput {
        instance: snapshot.instance.clone(),
        instance_uid: snapshot.instance_uid.clone(),
        snapshot_id: snapshot.snapshot_id.clone(),
        snapshot_digest: snapshot.snapshot_digest.clone(),
        quarantined: snapshot.quarantined.clone(),
    }
}

fn gap(gap: &PackGap) -> EstateGap {
    EstateGap {
        instance: gap.instance.clone(),
        collection: gap.collection.clone(),
        state: gap.state.clone(),
        reason: gap.reason.clone(),
        permission: gap.permission.clone(),
    }
}
