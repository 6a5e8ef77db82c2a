//! How large a Finding may be, and how one that is too large is cut: etcd and the API server pay for every byte, the
//! evidence pack holds what is left out here.

use crate::FindingSpec;

/// Most bytes of a whole Finding as the API server stores it.
pub const FINDING_BYTES: usize = 3_900;
/// Most bytes of its spec as JSON. The rest of [`FINDING_BYTES`] is metadata: names, labels, UID, managed fields.
pub const FINDING_SPEC_BYTES: usize = 2_900;

/// Cuts `spec` until it takes at most [`FINDING_SPEC_BYTES`] as JSON, always in this order: evidence from its end (one
/// entry stays; `evidenceOmitted` counts the rest), standards from their end, parties from their end (`total` still
/// counts them), hops from the middle of the path, remediation from its end (one stays), and last the explanation.
/// Returns whether it fits. Compute `contentDigest` after this.
pub fn fit(spec: &mut FindingSpec) -> bool {
    while size(spec) > FINDING_SPEC_BYTES {
        if !cut_one(spec) {
            return false;
        }
    }
    true
}

fn cut_one(spec: &mut FindingSpec) -> bool {
    if spec.evidence.len() > 1 {
        spec.evidence.pop();
        spec.evidence_omitted += 1;
    } else if spec.standards.pop().is_some() || spec.accountable.parties.pop().is_some() {
    } else if spec.path.len() > 2 {
        spec.path.remove(spec.path.len() / 2);
    } else if spec.remediation.len() > 1 {
        spec.remediation.pop();
    } else if spec.why.is_empty() {
        return false;
    } else {
        let keep = spec.why.chars().count() / 2;
        spec.why = spec.why.chars().take(keep).collect();
    }
    true
}

/// Bytes of the spec as JSON; a spec that cannot be written counts as too large.
fn size(spec: &FindingSpec) -> usize {
    serde_json::to_vec(spec).map_or(usize::MAX, |bytes| bytes.len())
}
