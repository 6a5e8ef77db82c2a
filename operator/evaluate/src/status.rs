//! The Estate's status: takes what an evaluation concluded (or why it failed) and the status before, gives the status
//! after. Pure; the clock is `as_of`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::conditions::{EVALUATED, FALSE, FINDINGS_TRUNCATED, Observed, TRUE, condition, set};
use sv0_api::{
    EstateGap, EstateStatus, EvaluatedBaseline, EvaluatedInput, ExceptionCounts, FindingCounts, SeverityCounts,
    StateCounts,
};
use sv0_engine::accept::Outcome;
use sv0_engine::baseline::BaselineNote;
use sv0_engine::evaluate::{Evaluation, InputNote, Tally, whole_seconds};
use sv0_engine::fire;
use sv0_engine::gaps::{Gap, GapState};
use sv0_protocol::{EvaluateExceptions, Reason};

/// Most gaps that the status lists; the condition counts all.
const MAX_GAPS: usize = 32;
/// Most inputs that the status lists.
const MAX_INPUTS: usize = 256;
/// Most instances that a sentence names.
const MAX_NAMED: usize = 5;
/// Most characters of a condition's message (the API allows 32,768; people read less).
const MAX_MESSAGE: usize = 1_000;

/// What of an order the status repeats.
#[derive(Clone, Copy, Debug)]
pub struct Ordered {
    /// The instant that stands for "now".
    pub as_of: Timestamp,
    /// The Estate's generation.
    pub generation: i64,
    /// The ledger of the last evaluation could not be read, and this one started afresh.
    pub history_lost: bool,
}

impl Ordered {
    fn observed(self) -> Observed {
        Observed { generation: Some(self.generation), at: Time(whole_seconds(self.as_of)) }
    }
}

/// The status after a finished evaluation of an order with these `exceptions`.
pub fn finished(
    evaluation: &Evaluation,
    ordered: Ordered,
    exceptions: &EvaluateExceptions,
    before: Option<&EstateStatus>,
) -> EstateStatus {
    let mut conditions = before.map(|status| status.conditions.clone()).unwrap_or_default();
    let observed = ordered.observed();
    let exceptions = exception_counts(evaluation, exceptions);
    let (reason, message) = evaluated(evaluation, exceptions.as_ref(), ordered);
    set(&mut conditions, condition(EVALUATED, TRUE, reason, &cut(&message), &observed));
    let (status, reason, message) = truncated(evaluation);
    set(&mut conditions, condition(FINDINGS_TRUNCATED, status, reason, &message, &observed));
    EstateStatus {
        conditions,
        observed_generation: observed.generation,
        as_of: Some(observed.at),
        inputs: evaluation.inputs.iter().take(MAX_INPUTS).map(input).collect(),
        baselines: evaluation.baselines.iter().take(MAX_INPUTS).map(baseline).collect(),
        ledger: Some(evaluation.ledger.digest.clone()),
        pack_digest: Some(evaluation.pack.digest.clone()),
        rule_pack: Some(fire::rule_pack_version()),
        next_transition: Some(Time(evaluation.next_transition)),
        counts: Some(counts(&evaluation.tally)),
        exceptions,
        coverage_gaps: evaluation.gaps.iter().take(MAX_GAPS).map(gap).collect(),
    }
}

/// The status after an evaluation that could not finish: what the last good one said stays, and the condition tells.
pub fn failed(reason: Reason, sentence: &str, ordered: Ordered, before: Option<&EstateStatus>) -> EstateStatus {
    let mut status = before.cloned().unwrap_or_default();
    let message = format!("The Findings are those of the last finished evaluation: {sentence}.");
    let observed = ordered.observed();
    set(&mut status.conditions, condition(EVALUATED, FALSE, reason.as_str(), &cut(&message), &observed));
    status
}

fn evaluated(
    evaluation: &Evaluation,
    exceptions: Option<&ExceptionCounts>,
    ordered: Ordered,
) -> (&'static str, String) {
    let quarantined: Vec<&InputNote> = evaluation.inputs.iter().filter(|note| note.quarantined.is_some()).collect();
    let Tally { open, resolved, accepted, unseen, .. } = evaluation.tally;
    let accepted = if accepted == 0 { String::new() } else { format!(", {accepted} accepted") };
    let mut sentences = vec![format!("{}{accepted} and {resolved} resolved.", counted(open, "open finding"))];
    sentences.extend(exceptions.and_then(accepting_nothing));
    sentences.extend(quarantined.iter().map(|note| set_aside(note)));
    sentences.extend(evaluation.gaps.iter().filter_map(not_compared));
    if !evaluation.gaps.is_empty() {
        sentences.push(format!(
            "{} in coverage: nothing that rests on what was not seen was resolved, and {} as before.",
            counted(evaluation.gaps.len(), "gap"),
            if unseen == 1 { "1 finding stays".to_owned() } else { format!("{unseen} findings stay") }
        ));
    }
    sentences.extend(less_kept(evaluation));
    if ordered.history_lost {
        let lost = "The store no longer had the last evaluation's ledger: first observations and resolved findings start anew.";
        sentences.push(lost.to_owned());
    }
    let reason = match (ordered.history_lost, quarantined.is_empty(), evaluation.gaps.is_empty()) {
        (true, ..) => "HistoryLost",
        (_, false, _) => "SnapshotQuarantined",
        (.., false) => "PartialCoverage",
        _ => "Complete",
    };
    (reason, sentences.join(" "))
}

/// What is not stored, since nobody could read it then.
fn less_kept(evaluation: &Evaluation) -> Vec<String> {
    let evidence = evaluation.most_evidence.map(|most| match most {
        0 => "To stay readable, the evidence pack has the evidence of findings that stand as resources alone; of the others it has what a resource would say.".to_owned(),
        most => format!("To stay readable, the evidence pack has at most {most} pieces of evidence of most findings, and counts the others."),
    });
    let names = evaluation.forgotten.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let forgotten = (!evaluation.forgotten.is_empty()).then(|| {
        let more = evaluation.forgotten.len().saturating_sub(MAX_NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("What was remembered of use in {names}{more} is forgotten, since the ledger was too large: whether something is idle is watched anew.")
    });
    evidence.into_iter().chain(forgotten).collect()
}

/// `FindingExceptions` that somebody should look at.
fn accepting_nothing(counts: &ExceptionCounts) -> Option<String> {
    let all = [
        (counts.idle, "idle"),
        (counts.expired, "expired"),
        (counts.too_long, "too long"),
        (counts.left_out, "left out"),
    ];
    let some: Vec<String> = all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    (!some.is_empty()).then(|| {
        format!(
            "FindingExceptions that accept nothing: {}; kubectl get findingexceptions shows which.",
            some.join(", ")
        )
    })
}

fn exception_counts(evaluation: &Evaluation, ordered: &EvaluateExceptions) -> Option<ExceptionCounts> {
    let of = |outcome| count(evaluation.exceptions.iter().filter(|note| note.outcome == outcome).count());
    (!ordered.is_empty()).then(|| ExceptionCounts {
        digest: ordered.digest.clone(),
        active: of(Outcome::Active),
        idle: of(Outcome::Idle),
        expired: of(Outcome::Expired),
        too_long: of(Outcome::TooLong),
        left_out: i32::try_from(ordered.left_out_total).unwrap_or(i32::MAX),
    })
}

fn set_aside(note: &InputNote) -> String {
    let instead = if note.used.is_some() {
        "the last good one before it was evaluated"
    } else {
        "none before it can be read either, so its findings stay as they were"
    };
    let why = match note.quarantined.unwrap_or_default() {
        "TooLarge" => "TooLarge; if this tenant is really that large, raise evaluatePods.resources.limits.memory",
        why => why,
    };
    format!("The newest snapshot of {} cannot be used ({why}): {instead}.", note.instance)
}

/// What to do about an instance whose drift is not seen. Single collections stand in the list of gaps.
fn not_compared(gap: &Gap) -> Option<String> {
    if gap.state != GapState::Baseline || !gap.collection.is_empty() {
        return None;
    }
    let (why, act) = match gap.reason.as_deref()? {
        "BaselineUnreadable" => ("a baseline of its tenant cannot be read", "accept another snapshot in spec.baseline"),
        "BaselineNewer" => ("its baseline is newer than its snapshot", "accept an earlier one in spec.baseline"),
        _ => ("no complete snapshot of it was evaluated yet", "close its gaps, or accept one in spec.baseline"),
    };
    Some(format!("Drift of {} is not judged, since {why}: {act}.", gap.instance))
}

fn baseline(note: &BaselineNote) -> EvaluatedBaseline {
    EvaluatedBaseline {
        instance: note.instance.clone(),
        snapshot_id: note.snapshot_id.clone(),
        snapshot_digest: note.snapshot_digest.clone(),
        accepted: note.accepted,
    }
}

/// `1 gap`, `3 gaps`.
fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn truncated(evaluation: &Evaluation) -> (&'static str, &'static str, String) {
    let kept = evaluation.findings.len();
    match evaluation.tally.truncated {
        0 => (FALSE, "AllKept", format!("No finding is left out: {} as resources.", counted(kept, "finding"))),
        more => (
            TRUE,
            "LimitReached",
            format!(
                "The {kept} most severe findings stand as resources; {more} more are in the evidence pack. Raise limits.maxFindings in the chart's values to keep more."
            ),
        ),
    }
}

fn cut(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

/// Id and digest are the ordered ones, also when an older snapshot stood in: they say what was dealt with.
fn input(note: &InputNote) -> EvaluatedInput {
    let quarantined = note.quarantined.map(|why| match &note.used {
        Some((id, _)) => format!("{why}: evaluated with {id} instead"),
        None => format!("{why}: no earlier snapshot can be read either"),
    });
    EvaluatedInput {
        instance: note.instance.clone(),
        instance_uid: note.instance_uid.clone(),
        snapshot_id: note.snapshot_id.clone(),
        snapshot_digest: note.snapshot_digest.clone(),
        quarantined,
    }
}

fn gap(gap: &sv0_engine::gaps::Gap) -> EstateGap {
    EstateGap {
        instance: gap.instance.clone(),
        collection: gap.collection.clone(),
        state: gap.state.as_str().to_owned(),
        reason: gap.reason.clone(),
        permission: gap.permission.clone(),
    }
}

fn counts(tally: &Tally) -> FindingCounts {
    FindingCounts {
        by_severity: by_severity(&tally.by_rank),
        kept_by_severity: by_severity(&tally.kept_by_rank),
        by_family: tally.by_family.iter().map(|(family, n)| (family.clone(), count(*n))).collect(),
        by_state: StateCounts {
            open: count(tally.open),
            resolved: count(tally.resolved),
            accepted: count(tally.accepted),
        },
        truncated: count(tally.truncated),
        folded: count(tally.folded),
    }
}

fn by_severity(by_rank: &BTreeMap<i32, usize>) -> SeverityCounts {
    let rank = |rank: i32| by_rank.get(&rank).copied().map_or(0, count);
    SeverityCounts { critical: rank(5), high: rank(4), medium: rank(3), low: rank(2), info: rank(1) }
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
