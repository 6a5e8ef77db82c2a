//! The instance's status as a function: the old status and one thing that happened give the new one.
//!
//! Pure. This is the only place that decides what the conditions say; the caller writes the result if it differs.
//! Times are whole seconds, because that is what the API server keeps.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::conditions::{
    self, AUTHENTICATED, COLLECTION_CHANGE_PENDING, FALSE, Observed, PERMISSIONS_SUFFICIENT, RATE_LIMITED, READY,
    RECONCILING, SCAN_SUCCEEDED, STALLED, TRUE, UNKNOWN,
};
use sv0_api::{ActiveScan, ConnectorInstanceStatus, CoverageGap, CoverageStatus, LastScan, SnapshotStatus};
use sv0_protocol::{Outcome, Reason, ScanReport};

use super::dereference::trouble;
use crate::conditions::{is_cluster_setup, is_sign_in, message};
use crate::scan_due::{Recovery, recovery};

/// Reason of `Reconciling`: the intent is recorded, the Job may not exist yet.
pub(crate) const SCAN_ORDERED: &str = "ScanOrdered";
/// Reason of `Reconciling`: the Job has been seen.
pub(crate) const SCAN_STARTED: &str = "ScanStarted";
/// Reason of `Reconciling`: the Job has been seen, and its pod cannot start.
pub(crate) const SCAN_HELD_UP: &str = "ScanHeldUp";
/// Reason of `Reconciling` that marks a due scan as not even ordered: it is looked at again without any backoff.
pub(crate) const NOT_STARTED: &str = "NotStarted";
/// Permissions that fit into a message.
const LISTED: usize = 12;
/// A source system may ask to be left alone for a day at most; whoever claims more does not stop scanning for ever.
const LONGEST_WISH: u64 = 24 * 60 * 60;

/// A status being changed: by which generation of the spec, at what time.
pub(crate) struct Draft {
    status: ConnectorInstanceStatus,
    observed: Observed,
}

impl Draft {
    /// Starts from the status as it is.
    pub(crate) fn new(status: Option<&ConnectorInstanceStatus>, generation: Option<i64>, now: Timestamp) -> Self {
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { status: status.cloned().unwrap_or_default(), observed: Observed { generation, at: Time(whole) } }
    }

    /// The new status.
    pub(crate) fn finish(self) -> ConnectorInstanceStatus {
        self.status
    }

    fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let next = conditions::condition(type_, status, reason, message, &self.observed);
        conditions::set(&mut self.status.conditions, next);
    }

    fn at_rest(&mut self) {
        self.set(RECONCILING, FALSE, "Idle", "No scan is under way.");
    }

    fn reconciling(&self) -> &str {
        conditions::find(&self.status.conditions, RECONCILING).map_or("", |c| c.reason.as_str())
    }

    /// What stood in the way does not any more. What the last scan said about the source system stays.
    fn unblock(&mut self) {
        self.set(STALLED, FALSE, "Progressing", "Nothing holds the instance up.");
        self.set(READY, UNKNOWN, "ScanUnderWay", "A scan is under way; its result decides.");
    }

    /// A scan is to be started: recorded before its Job exists.
    pub(crate) fn ordered(mut self, id: String, job_name: String, trigger: &str, request: Option<&str>) -> Self {
        let changed = self.status.observed_generation != self.observed.generation;
        let never = conditions::find(&self.status.conditions, READY).is_none();
        if changed || never || self.reconciling() == NOT_STARTED {
            self.unblock();
        }
        self.status.observed_generation = self.observed.generation;
        self.status.next_scan_time = None;
        self.set(RECONCILING, TRUE, SCAN_ORDERED, "A scan has been ordered.");
        self.status.active_scan =
            Some(ActiveScan { id, job_name, trigger: trigger.to_owned(), started_at: self.observed.at.clone() });
        self.answering(request)
    }

    /// The scan that is about to be started answers this request too: it came before the Job.
    pub(crate) fn answering(mut self, request: Option<&str>) -> Self {
        if let Some(request) = request {
            self.status.last_handled_scan_request = Some(request.to_owned());
        }
        self
    }

    /// The scan's Job exists.
    pub(crate) fn started(mut self) -> Self {
        if self.reconciling() == SCAN_HELD_UP {
            self.unblock();
        }
        self.set(RECONCILING, TRUE, SCAN_STARTED, "A scan is under way.");
        self
    }

    /// The scan's Job exists, but its pod cannot start.
    pub(crate) fn held_up(mut self, reason: Reason) -> Self {
        self.set(RECONCILING, TRUE, SCAN_HELD_UP, "A scan's pod cannot start yet.");
        self.not_ready(reason, None);
        self
    }

    /// Nothing was started, because of this; looked at again by itself.
    pub(crate) fn refused(mut self, reason: Reason) -> Self {
        self.status.observed_generation = self.observed.generation;
        self.status.active_scan = None;
        self.not_ready(reason, None);
        self.set(RECONCILING, FALSE, NOT_STARTED, "No scan was started.");
        self
    }

    /// Suspended by its owner: not a fault.
    pub(crate) fn suspended(mut self) -> Self {
        self.status.observed_generation = self.observed.generation;
        self.status.next_scan_time = None;
        let text = message(Reason::Suspended, None);
        self.set(READY, FALSE, Reason::Suspended.as_str(), &text);
        self.set(STALLED, FALSE, Reason::Suspended.as_str(), &text);
        if self.status.active_scan.is_none() {
            self.at_rest();
        }
        self
    }

    /// Waits for a place among the parallel scans.
    pub(crate) fn queued(mut self) -> Self {
        self.set(RECONCILING, TRUE, "ScanQueued", "A scan is due and waits until fewer scans run.");
        self
    }

    /// At rest, with what comes next.
    pub(crate) fn waiting(mut self, next: Option<Timestamp>) -> Self {
        self.status.next_scan_time = next.and_then(|t| Timestamp::from_second(t.as_second()).ok()).map(Time);
        self.at_rest();
        self
    }

    /// The active scan ended with this.
    pub(crate) fn harvested(mut self, result: Result<ScanReport, Reason>) -> Self {
        let Some(active) = self.status.active_scan.take() else {
            return self;
        };
        match result {
            Ok(report) => self.reported(&active, &report),
            Err(reason) => self.came_to_nothing(&active, reason),
        }
        self
    }

    fn came_to_nothing(&mut self, active: &ActiveScan, reason: Reason) {
        self.status.last_scan = Some(LastScan {
            id: active.id.clone(),
            outcome: "Failed".to_owned(),
            reason: Some(reason.to_string()),
            vendor_code: None,
            trigger: active.trigger.clone(),
            started_at: active.started_at.clone(),
            finished_at: self.observed.at.clone(),
            not_before: None,
            requests: 0,
            token_requests: 0,
            items: 0,
        });
        self.failed(reason, None);
    }

    fn reported(&mut self, active: &ActiveScan, report: &ScanReport) {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.status.last_scan = Some(LastScan {
            id: active.id.clone(),
            outcome: format!("{:?}", report.outcome),
            reason: report.reason.map(|r| r.to_string()),
            vendor_code: report.vendor_code.clone(),
            trigger: active.trigger.clone(),
            // When it was ordered, so that ticks up to there count as honoured.
            started_at: active.started_at.clone(),
            finished_at: self.observed.at.clone(),
            not_before: report.retry_after_seconds.and_then(|seconds| self.after(seconds)),
            requests: count(report.requests),
            token_requests: count(report.token_requests),
            items: count(report.items),
        });
        self.sign_in(report);
        self.throttling(report);
        self.collection_change(report.pending_collection_revision);
        if let Some(at) = report.credential_expires_at {
            self.status.credential_expires_at = Timestamp::from_second(at.as_second()).ok().map(Time);
        }
        if report.outcome == Outcome::Failed {
            self.permissions(report);
            self.failed(report.reason.unwrap_or(Reason::InternalError), report.vendor_code.as_deref());
        } else {
            self.stored(report);
        }
    }

    /// So many seconds from now, and the fraction of a second that was cut off.
    fn after(&self, seconds: u64) -> Option<Time> {
        let seconds = i64::try_from(seconds.min(LONGEST_WISH)).ok()?.checked_add(1)?;
        self.observed.at.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Time)
    }

    fn stored(&mut self, report: &ScanReport) {
        if let (Some(snapshot), Some(last)) = (&report.snapshot, &self.status.last_scan) {
            self.status.snapshot = Some(SnapshotStatus {
                id: snapshot.id.clone(),
                digest: snapshot.digest.clone(),
                collected_at: last.started_at.clone(),
            });
        }
        self.permissions(report);
        let mut causes = report.gaps.iter().map(|gap| gap.reason).chain(report.reason.map(Some));
        let accepted_gaps_only = causes.all(|reason| reason == Some(Reason::CollectionNotAccepted));
        self.status.coverage = Some(coverage(report));
        // Gaps that may close by themselves are tried again at growing distance, like failures.
        let passing = trouble(&self.status).is_some_and(|reason| recovery(reason) != Recovery::Customer);
        self.status.consecutive_failures = if passing { self.status.consecutive_failures.saturating_add(1) } else { 0 };
        self.set(STALLED, FALSE, "Progressing", "Nothing holds the instance up.");
        self.at_rest();
        if report.outcome == Outcome::Complete || accepted_gaps_only {
            self.set(SCAN_SUCCEEDED, TRUE, "Complete", "Every accepted collection was read completely.");
            self.set(READY, TRUE, "ScanComplete", "The last scan read every accepted collection completely.");
            return;
        }
        let reason = report.reason.unwrap_or(Reason::PartialCoverage);
        let text = message(reason, report.vendor_code.as_deref());
        self.set(SCAN_SUCCEEDED, TRUE, "Partial", "A snapshot was stored; some collections are incomplete.");
        self.set(READY, FALSE, reason.as_str(), &text);
    }

    fn failed(&mut self, reason: Reason, code: Option<&str>) {
        self.status.consecutive_failures = self.status.consecutive_failures.saturating_add(1);
        self.set(SCAN_SUCCEEDED, FALSE, reason.as_str(), &message(reason, code));
        self.not_ready(reason, code);
        self.at_rest();
    }

    fn not_ready(&mut self, reason: Reason, code: Option<&str>) {
        let text = message(reason, code);
        self.set(READY, FALSE, reason.as_str(), &text);
        if recovery(reason) == Recovery::Customer || is_cluster_setup(reason) {
            self.set(STALLED, TRUE, reason.as_str(), &text);
        } else {
            self.set(STALLED, FALSE, "Progressing", "The scan is tried again without anybody's help.");
        }
    }

    fn sign_in(&mut self, report: &ScanReport) {
        match report.reason.filter(|r| is_sign_in(*r)) {
            Some(reason) if report.outcome == Outcome::Failed => {
                self.set(AUTHENTICATED, FALSE, reason.as_str(), &message(reason, report.vendor_code.as_deref()));
            }
            _ if report.snapshot.is_some() || report.requests > report.token_requests => {
                self.set(AUTHENTICATED, TRUE, "SignedIn", "The source system accepted the credential.");
            }
            _ => {}
        }
    }

    fn throttling(&mut self, report: &ScanReport) {
        let slowed = matches!(report.reason, Some(Reason::RateLimited | Reason::AuthThrottled))
            || report.gaps.iter().any(|g| g.state == "throttled");
        if slowed {
            let text = message(Reason::RateLimited, None);
            self.set(RATE_LIMITED, TRUE, Reason::RateLimited.as_str(), &text);
        } else if report.requests > 0 {
            self.set(RATE_LIMITED, FALSE, "NotThrottled", "The source system answered without throttling.");
        }
    }

    fn collection_change(&mut self, pending: Option<u32>) {
        match pending {
            Some(revision) => {
                let text = format!(
                    "Collection revision {revision} waits: read what it adds, then set spec.acceptedCollectionRevision to {revision}."
                );
                self.set(COLLECTION_CHANGE_PENDING, TRUE, Reason::CollectionNotAccepted.as_str(), &text);
            }
            None => self.set(COLLECTION_CHANGE_PENDING, FALSE, "UpToDate", "No newer collection revision waits."),
        }
    }

    fn permissions(&mut self, report: &ScanReport) {
        let missing = sorted(&report.permissions_missing);
        if missing.is_empty() && report.snapshot.is_some() && report.reason != Some(Reason::PermissionMissing) {
            self.set(PERMISSIONS_SUFFICIENT, TRUE, "Granted", "Every needed permission is granted.");
        } else if !missing.is_empty() {
            let text = format!("Not granted: {}. Grant them and give admin consent.", listed(&missing));
            self.set(PERMISSIONS_SUFFICIENT, FALSE, Reason::PermissionMissing.as_str(), &text);
        } else if report.reason == Some(Reason::PermissionMissing) {
            let text = message(Reason::PermissionMissing, None);
            self.set(PERMISSIONS_SUFFICIENT, FALSE, Reason::PermissionMissing.as_str(), &text);
        } else {
            // Nothing was learnt about permissions: what was known stays.
            return;
        }
        self.status.permissions_missing = missing;
        self.status.permissions_excess = sorted(&report.permissions_excess);
    }
}

fn sorted(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort();
    words.dedup();
    words
}

fn listed(words: &[String]) -> String {
    let more = words.len().saturating_sub(LISTED);
    let shown = words.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn coverage(report: &ScanReport) -> CoverageStatus {
    let gaps = report.gaps.iter().map(|gap| CoverageGap {
        collection: gap.collection.clone(),
        state: gap.state.clone(),
        reason: gap.reason.map(|r| r.to_string()),
        permission: gap.permission.clone(),
    });
    let total = u64::from(report.complete_collections) + report.gaps.len() as u64;
    CoverageStatus {
        complete: i32::try_from(report.complete_collections).unwrap_or(i32::MAX),
        gaps: gaps.collect(),
        summary: format!("{}/{total}", report.complete_collections),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
