//! How large a Finding may be, and how one that is too large is cut: etcd and the API server pay for every byte, the
//! evidence pack holds what is left out here.
//!
//! The spec is written once to know its size; from then on each cut subtracts what the part that goes takes.
//!
//! The limit is where etcd's cost steps up: its pages of 4 KiB hold two objects at least, so that one of 2 kB and one of
//! 3.9 kB cost the same. What a Finding needs to explain itself does not fit into the step below, 1.9 kB (the table in
//! `docs/architecture.md` says why), so it may use all of this one.

use std::io;

use serde::Serialize;

use crate::FindingSpec;

/// Most bytes of a whole Finding as the API server stores it.
pub const FINDING_BYTES: usize = 3_900;
/// Most bytes of its spec as JSON. The rest of [`FINDING_BYTES`] is metadata: names, labels, UID, managed fields.
pub const FINDING_SPEC_BYTES: usize = 2_900;
/// Of these, what is kept free for the acceptance of the Finding's risk: accepting must not cut what the Finding says.
pub const ACCEPTANCE_BYTES: usize = 200;
/// Most bytes of a spec without an acceptance.
const CONTENT_BYTES: usize = FINDING_SPEC_BYTES - ACCEPTANCE_BYTES;

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
    (Part::Evidence, 2),
    (Part::Path, 4),
    (Part::Parties, 1),
    (Part::Evidence, 1),
    (Part::Path, 2),
    (Part::Remediation, 1),
    (Part::Standards, 0),
    (Part::Parties, 0),
];

/// Cuts `spec` until it takes at most [`FINDING_SPEC_BYTES`] less [`ACCEPTANCE_BYTES`] as JSON, always in the same
/// order: accountable parties (`total` still counts them), standards, evidence from its end (`evidenceOmitted` counts
/// what is gone, one entry always stays), hops from the middle of the path, steps of remediation, and last the
/// explanation. Returns whether it fits. Compute `contentDigest` after this, and set an acceptance after that.
pub fn fit(spec: &mut FindingSpec) -> bool {
    let mut size = bytes(spec);
    for (part, least) in ORDER {
        while size > CONTENT_BYTES {
            let Some(freed) = cut(spec, part, least) else { break };
            size = size.saturating_sub(freed);
        }
    }
    while size > CONTENT_BYTES && !spec.why.is_empty() {
        let before = bytes(&spec.why);
        let keep = spec.why.chars().count() / 2;
        spec.why = spec.why.chars().take(keep).collect();
        size = size.saturating_sub(before - bytes(&spec.why));
    }
    size <= CONTENT_BYTES
}

/// Takes one entry away, unless only `least` are left. Returns how many bytes shorter the spec is now.
fn cut(spec: &mut FindingSpec, part: Part, least: usize) -> Option<usize> {
    match part {
        Part::Parties => last(&mut spec.accountable.parties, least, "parties"),
        Part::Standards => last(&mut spec.standards, least, "standards"),
        Part::Remediation => last(&mut spec.remediation, least, "remediation"),
        Part::Evidence => {
            let freed = last(&mut spec.evidence, least, "evidence")?;
            let before = omitted_bytes(spec.evidence_omitted);
            spec.evidence_omitted += 1;
            Some(freed.saturating_sub(omitted_bytes(spec.evidence_omitted) - before))
        }
        Part::Path => hop(spec, least),
    }
}

/// Takes the last entry of the list named `key`.
fn last<T: Serialize>(list: &mut Vec<T>, least: usize, key: &str) -> Option<usize> {
    if list.len() <= least {
        return None;
    }
    let gone = list.pop()?;
    // With the entry goes its comma; with the only entry, the field: `"key":[],`.
    let around = if list.is_empty() { key.len() + 6 } else { 1 };
    Some(bytes(&gone) + around)
}

/// Takes a hop from the middle of the path. The one behind the gap says itself where it starts.
fn hop(spec: &mut FindingSpec, least: usize) -> Option<usize> {
    let path = &mut spec.path;
    if path.len() <= least {
        return None;
    }
    let before = bytes(path);
    let gone = path.remove(path.len() / 2);
    let at = path.len().div_ceil(2);
    if let Some(next) = path.get_mut(at).filter(|next| next.from.is_none()) {
        next.from = Some(gone.to);
    }
    Some(before.saturating_sub(bytes(path)))
}

/// Bytes of `"evidenceOmitted":n,`, which stands there only when there is something to count.
fn omitted_bytes(count: i32) -> usize {
    if count == 0 { 0 } else { "\"evidenceOmitted\":,".len() + count.to_string().len() }
}

/// Bytes of `value` as JSON; one that cannot be written counts as too large.
fn bytes<T: Serialize + ?Sized>(value: &T) -> usize {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

/// Counts what is written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(entries: usize) -> FindingSpec {
        let evidence =
            json!({"class": "Direct", "claim": "é \"so\"", "source": {"api": "a", "version": "1", "field": "f"}});
        let hop = |n: usize| {
            let from = if n == 0 { json!("start") } else { json!(null) };
            json!({"from": from, "edge": "E", "to": format!("node {n}")})
        };
        serde_json::from_value(json!({
            "rule": {"id": "R", "version": "1", "claim": "Full"}, "family": "CredentialLifecycle", "category": "c",
            "severity": "Low", "severityRank": 2, "title": "t", "why": "w",
            "subject": {"id": "i", "kind": "k", "name": "n", "system": "s", "tenant": "t", "instance": "e", "instanceUid": "u"},
            "accountable": {"state": "Gone", "total": 9, "parties": vec![json!({"id": "p", "state": "gone"}); entries]},
            "path": (0..entries).map(hop).collect::<Vec<_>>(), "evidence": vec![evidence; entries],
            "remediation": vec!["a step"; entries], "standards": vec!["S 1"; entries],
            "state": "Open", "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "0"
        }))
        .unwrap()
    }

    /// Every cut down to nothing, also where the omitted count grows a digit and where a field leaves with its list.
    #[test]
    fn each_cut_says_exactly_what_it_frees() {
        for part in [Part::Parties, Part::Standards, Part::Path, Part::Remediation, Part::Evidence] {
            let mut spec = spec(12);
            let least = usize::from(matches!(part, Part::Evidence | Part::Path));
            let mut cuts = 0;
            loop {
                let before = bytes(&spec);
                let Some(freed) = cut(&mut spec, part, least) else { break };
                cuts += 1;
                assert_eq!(before - freed, bytes(&spec), "cut {cuts}");
            }
            assert_eq!(cuts, 12 - least);
        }
    }

    #[test]
    fn a_gap_in_the_path_does_not_hide_where_the_next_hop_starts() {
        let mut spec = spec(3);
        cut(&mut spec, Part::Path, 2).unwrap();
        assert_eq!(spec.path[1].from.as_deref(), Some("node 1"));
        assert_eq!(spec.path[1].to, "node 2");
    }
}
