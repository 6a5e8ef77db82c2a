//! Where a piece of evidence was read, and when. Takes a Finding and the Estate's status; gives sentences, the same in
//! `explain` and in the report. Text of source systems is not made harmless here: who shows it does that. Pure.

use jiff::Timestamp;
use sv0_api::{EstateStatus, Evidence, FindingSpec, FindingState};
use sv0_rules::MAX_EVIDENCE;

use crate::findings::table::collected_at;

/// The system, its API, the object and the field. `system` gives the name of a system for people.
pub fn source(spec: &FindingSpec, one: &Evidence, system: fn(&str) -> String) -> String {
    let from = &one.source;
    let connector = from.connector.as_deref().unwrap_or(&spec.subject.system);
    let object = from.object.as_deref().map_or_else(|| "the subject itself".to_owned(), |id| format!("object {id}"));
    format!("{}: {} ({}), {object}, field {}", system(connector), from.api, from.version, from.field)
}

/// Whether there is more evidence of a finding than the evidence pack holds: the others are only counted there.
pub fn cut_in_pack(spec: &FindingSpec) -> bool {
    let omitted = usize::try_from(spec.evidence_omitted).unwrap_or(0);
    spec.evidence.len().saturating_add(omitted) > MAX_EVIDENCE
}

/// When it was read. A Finding does not say so of each piece: what is told is the scan that the last evaluation rests on.
pub fn read_at(spec: &FindingSpec, status: Option<&EstateStatus>, time: fn(Timestamp) -> String) -> String {
    if spec.state == FindingState::Resolved {
        return "It was read before the Finding was resolved; by which scan is not told here.".to_owned();
    }
    let input = status.and_then(|s| s.inputs.iter().find(|input| input.instance_uid == spec.subject.instance_uid));
    let Some((input, at)) = input.and_then(|input| Some((input, collected_at(input)?))) else {
        return "When it was read is not known here.".to_owned();
    };
    format!(
        "The last evaluation rests on the scan of {} that began at {}. Where that scan did not read a collection \
         completely, evidence may be of an earlier one, and temporal evidence may rest on several scans.",
        input.instance,
        time(at)
    )
}
