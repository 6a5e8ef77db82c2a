//! How large a Finding may be, and how one that is too large is cut: etcd and the API server pay for every byte, the
//! evidence pack holds what is left out here.

use crate::FindingSpec;

/// Most bytes of a whole Finding as the API server stores it.
pub const FINDING_BYTES: usize = 3_900;
/// Most bytes of its spec as JSON. The rest of [`FINDING_BYTES`] is metadata: names, labels, UID, managed fields.
pub const FINDING_SPEC_BYTES: usize = 2_900;

/// A list of the spec that can be cut.
#[derive(Clone, Copy)]
enum Part {
    Parties,
    Standards,
    Evidence,
    Path,
    Remediation,
}

/// What is cut, in this order, each down to the number beside it: what repeats goes before what is alone.
const ORDER: [(Part, usize); 10] = [
    (Part::Parties, 2),
    (Part::Standards, 2),
    (Part::Evidence, 4),
    (Part::Path, 4),
    (Part::Parties, 1),
    (Part::Evidence, 1),
    (Part::Path, 2),
    (Part::Remediation, 1),
    (Part::Standards, 0),
    (Part::Parties, 0),
];

/// Cuts `spec` until it takes at most [`FINDING_SPEC_BYTES`] as JSON, always in the same order: accountable parties
/// (`total` still counts them), standards, evidence from its end (`evidenceOmitted` counts what is gone, one entry always
/// stays), hops from the middle of the path, steps of remediation, and last the explanation. Returns whether it fits.
/// Compute `contentDigest` after this.
pub fn fit(spec: &mut FindingSpec) -> bool {
    for (part, least) in ORDER {
        while size(spec) > FINDING_SPEC_BYTES && cut(spec, part, least) {}
    }
    while size(spec) > FINDING_SPEC_BYTES && !spec.why.is_empty() {
        let keep = spec.why.chars().count() / 2;
        spec.why = spec.why.chars().take(keep).collect();
    }
    size(spec) <= FINDING_SPEC_BYTES
}

/// Takes one entry away, unless only `least` are left. Returns whether it did.
fn cut(spec: &mut FindingSpec, part: Part, least: usize) -> bool {
    let left = match part {
        Part::Parties => spec.accountable.parties.len(),
        Part::Standards => spec.standards.len(),
        Part::Evidence => spec.evidence.len(),
        Part::Path => spec.path.len(),
        Part::Remediation => spec.remediation.len(),
    };
    if left <= least {
        return false;
    }
    match part {
        Part::Parties => spec.accountable.parties.truncate(left - 1),
        Part::Standards => spec.standards.truncate(left - 1),
        Part::Evidence => {
            spec.evidence.truncate(left - 1);
            spec.evidence_omitted += 1;
        }
        Part::Path => {
            spec.path.remove(left / 2);
        }
        Part::Remediation => spec.remediation.truncate(left - 1),
    }
    true
}

/// Bytes of the spec as JSON; a spec that cannot be written counts as too large.
fn size(spec: &FindingSpec) -> usize {
    serde_json::to_vec(spec).map_or(usize::MAX, |bytes| bytes.len())
}
