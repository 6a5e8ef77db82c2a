//! `FindingExceptions` around the evaluation: which of the ordered ones count, and what their status says afterwards.
//!
//! An order comes from the manager, which may not accept a risk: it names exceptions by UID and generation, and what they
//! say is read here, from the API server. One that was changed or deleted since counts in the evaluation that follows. The
//! status is pure: what was concluded and the status before in, the status after out; the clock is `as_of`.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::conditions::{ACTIVE, FALSE, Observed, TRUE, condition, set};
use sv0_api::{FindingException, FindingExceptionSpec, FindingExceptionStatus, MAX_ACCEPTANCE_DAYS};
use sv0_engine::accept::{Exception, ExceptionNote, Outcome};
use sv0_engine::evaluate::{Evaluation, whole_seconds};
use sv0_protocol::{EvaluateException, EvaluateExceptions, MAX_EXCEPTIONS};

use crate::sink::{ExceptionSink, SinkError};

/// Attempts at one status when other writers interfere.
const ATTEMPTS: usize = 3;

/// What the API server shows; nothing is asked for when the order has no exception.
pub async fn shown<C: ExceptionSink>(
    ordered: &EvaluateExceptions,
    cluster: &C,
) -> Result<Vec<FindingException>, SinkError> {
    if ordered.is_empty() { Ok(Vec::new()) } else { cluster.list_exceptions().await }
}

/// The ordered exceptions that the API server shows in the ordered generation.
pub fn current(ordered: &EvaluateExceptions, live: &[FindingException]) -> Vec<Exception> {
    let found = ordered.considered.iter().filter_map(|one| live.iter().find_map(|live| as_ordered(one, live)));
    let found: Vec<Exception> = found.collect();
    let not = ordered.considered.len() - found.len();
    if not > 0 {
        tracing::warn!(count = not, "FindingExceptions are not as they were ordered, and accept nothing this time");
    }
    found
}

fn as_ordered(ordered: &EvaluateException, live: &FindingException) -> Option<Exception> {
    let metadata = &live.metadata;
    let same = metadata.name.as_ref() == Some(&ordered.name)
        && metadata.uid.as_ref() == Some(&ordered.uid)
        && metadata.generation == Some(ordered.generation)
        && metadata.deletion_timestamp.is_none();
    let created_at = metadata.creation_timestamp.as_ref()?.0;
    same.then(|| Exception {
        name: ordered.name.clone(),
        uid: ordered.uid.clone(),
        generation: ordered.generation,
        created_at,
        spec: live.spec.clone(),
    })
}

/// Writes the status of every exception that was evaluated or left out, where it says something else than before.
pub async fn tell<C: ExceptionSink>(
    cluster: &C,
    ordered: &EvaluateExceptions,
    evaluation: &Evaluation,
    live: &[FindingException],
    as_of: Timestamp,
) -> Result<usize, SinkError> {
    let left_out: BTreeSet<&str> = ordered.left_out.iter().map(String::as_str).collect();
    let mut written = 0;
    for seen in live {
        let uid = seen.metadata.uid.as_deref().unwrap_or_default();
        let note = evaluation.exceptions.iter().find(|note| note.exception.uid == uid);
        if note.is_none() && !left_out.contains(uid) {
            continue;
        }
        let after = |seen: &FindingException| match note {
            Some(note) => evaluated(note, as_of, seen.status.as_ref()),
            None => not_evaluated(seen, as_of),
        };
        written += usize::from(write(cluster, seen, after).await?);
    }
    Ok(written)
}

/// One status. An exception that is gone, or whose spec is another one by now, is left to the evaluation that follows.
async fn write<C: ExceptionSink>(
    cluster: &C,
    seen: &FindingException,
    after: impl Fn(&FindingException) -> FindingExceptionStatus,
) -> Result<bool, SinkError> {
    let mut now = seen.clone();
    for _ in 0..ATTEMPTS {
        let status = after(&now);
        if now.status.as_ref() == Some(&status) {
            return Ok(false);
        }
        match cluster.write_exception_status(&now, &status).await {
            Ok(()) => return Ok(true),
            Err(SinkError::NotFound) => return Ok(false),
            Err(SinkError::Conflict) => {}
            Err(other) => return Err(other),
        }
        let name = seen.metadata.name.as_deref().unwrap_or_default();
        match cluster.get_exception(name).await? {
            Some(again)
                if again.metadata.uid == seen.metadata.uid && again.metadata.generation == seen.metadata.generation =>
            {
                now = again;
            }
            _ => return Ok(false),
        }
    }
    Err(SinkError::Conflict)
}

/// The status of one that was evaluated.
pub fn evaluated(
    note: &ExceptionNote,
    as_of: Timestamp,
    before: Option<&FindingExceptionStatus>,
) -> FindingExceptionStatus {
    let now = Time(whole_seconds(as_of));
    let last = before.and_then(|status| status.last_matched_at.clone());
    let mut status = before.cloned().unwrap_or_default();
    status.observed_generation = Some(note.exception.generation);
    status.matched_findings = i32::try_from(note.matched).unwrap_or(i32::MAX);
    status.last_matched_at = if note.matched > 0 { Some(now.clone()) } else { last };
    let observed = Observed { generation: status.observed_generation, at: now };
    let word = if note.outcome == Outcome::Active { TRUE } else { FALSE };
    let message = sentence(note);
    set(&mut status.conditions, condition(ACTIVE, word, note.outcome.as_str(), &message, &observed));
    status
}

/// The status of one that was left out.
pub fn not_evaluated(seen: &FindingException, as_of: Timestamp) -> FindingExceptionStatus {
    let now = whole_seconds(as_of);
    let mut status = seen.status.clone().unwrap_or_default();
    status.observed_generation = seen.metadata.generation;
    status.matched_findings = 0;
    let observed = Observed { generation: status.observed_generation, at: Time(now) };
    let (reason, message) = if seen.spec.ends() <= now {
        (Outcome::Expired.as_str(), expired(&seen.spec))
    } else {
        ("LimitReached", limit_reached())
    };
    set(&mut status.conditions, condition(ACTIVE, FALSE, reason, &message, &observed));
    status
}

fn sentence(note: &ExceptionNote) -> String {
    let spec = &note.exception.spec;
    match note.outcome {
        Outcome::Active => {
            let what = if note.matched == 1 { "1 finding".to_owned() } else { format!("{} findings", note.matched) };
            format!("Matches {what} that would be open; their risk is accepted until {}.", spec.ends())
        }
        Outcome::Idle => "In force, but no finding that holds matches: compare spec.match with kubectl get findings, or delete this exception when what it accepted is mended. A finding that another one consists of is accepted with that one.".to_owned(),
        Outcome::Expired => expired(spec),
        Outcome::TooLong => {
            let most = SignedDuration::from_hours(24 * MAX_ACCEPTANCE_DAYS);
            let latest = note.exception.created_at.checked_add(most).unwrap_or(Timestamp::MAX);
            format!("Accepts nothing: spec.expiresAt is more than {MAX_ACCEPTANCE_DAYS} days after this object was made. Set it to {latest} or earlier.")
        }
    }
}

fn expired(spec: &FindingExceptionSpec) -> String {
    format!(
        "Expired at {}: what it accepted is open again. Mend it, or decide anew with a new FindingException, and delete this one.",
        spec.ends()
    )
}

fn limit_reached() -> String {
    format!(
        "Accepts nothing: one evaluation takes the {MAX_EXCEPTIONS} oldest FindingExceptions, and this one is not among them. Delete those that are expired or idle, or join several into one."
    )
}
