//! What an evaluation's Job came to. Pure.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use sv0_protocol::Reason;

use super::build::attempt_of;
use crate::evaluation_due::FailedAttempt;
use crate::job_state::JobState;
use crate::report::{self, EvaluateReport};

/// Where the newest Job of an estate stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It runs, or would like to but for this reason.
    UnderWay(Option<Reason>),
    /// Findings and status are written.
    Done(EvaluateReport),
    /// Not this time.
    Failed(Failure),
}

/// A failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) at: Timestamp,
    /// Failures in a row, this one included.
    pub(super) count: u32,
}

impl Failure {
    /// As far as the decision cares.
    pub(super) const fn attempt(&self) -> FailedAttempt {
        FailedAttempt { reason: self.reason, at: self.at, count: self.count }
    }
}

/// Judges.
pub(super) fn judge(job: &Job, state: JobState, now: Timestamp) -> Attempt {
    let reason = match state {
        JobState::Pending | JobState::Running => return Attempt::UnderWay(None),
        JobState::Blocked(reason) => return Attempt::UnderWay(Some(reason)),
        JobState::Missing => Reason::Lost,
        JobState::Failed(reason) => reason,
        JobState::Ended(ending) => match report::evaluation(&ending) {
            Ok(report) if report.ok => return Attempt::Done(report),
            Ok(report) => report.reason.unwrap_or(Reason::InternalError),
            Err(reason) => reason,
        },
    };
    Attempt::Failed(Failure { reason, at: failed_at(job).unwrap_or(now), count: attempt_of(job).saturating_add(1) })
}

/// When the Job controller saw it fail. A Job that is blocked and given up has no such time: its creation counts, so
/// that the wait does not begin anew at every look.
fn failed_at(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_ref());
    let over = conditions.into_iter().flatten().find(|c| c.type_ == "Failed" && c.status == "True");
    let at = over.and_then(|c| c.last_transition_time.as_ref());
    at.or(job.metadata.creation_timestamp.as_ref()).map(|t| t.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_state::Ending;
    use rstest::rstest;
    use serde_json::json;

    fn job() -> Job {
        serde_json::from_value(json!({
            "metadata": {"creationTimestamp": "2026-05-05T10:00:00Z", "annotations": {"securityv0.com/attempt": "2"}},
            "status": {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-05-05T10:05:00Z"}]},
        }))
        .unwrap()
    }

    fn ended(exit_code: i32, message: &str) -> JobState {
        JobState::Ended(Ending { exit_code, message: Some(message.to_owned()) })
    }

    fn failed(reason: Reason) -> Attempt {
        Attempt::Failed(Failure { reason, at: "2026-05-05T10:05:00Z".parse().unwrap(), count: 3 })
    }

    #[rstest]
    #[case::pending(JobState::Pending, Attempt::UnderWay(None))]
    #[case::held_up(JobState::Blocked(Reason::ImagePullFailed), Attempt::UnderWay(Some(Reason::ImagePullFailed)))]
    #[case::done(ended(0, r#"{"ok":true,"findings":2,"written":1}"#), Attempt::Done(EvaluateReport { ok: true, reason: None, findings: 2, written: 1 }))]
    #[case::refused(ended(11, r#"{"ok":false,"reason":"StoreUnavailable"}"#), failed(Reason::StoreUnavailable))]
    #[case::without_reason(ended(12, r#"{"ok":false}"#), failed(Reason::InternalError))]
    #[case::killed(ended(137, ""), failed(Reason::Lost))]
    #[case::gone(JobState::Failed(Reason::Lost), failed(Reason::Lost))]
    fn judged(#[case] state: JobState, #[case] expected: Attempt) {
        assert_eq!(judge(&job(), state, "2026-05-05T11:00:00Z".parse().unwrap()), expected);
    }
}
