//! The instance's status as a function: the old status and one thing that happened give the new one.
//!
//! Pure. This is the only place that decides what the conditions say; the caller writes the result if it differs.
//! Times are whole seconds, because that is what the API server keeps.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::conditions::{
    self, AUTHENTICATED, COLLECTION_CHANGE_PENDING, CONSENT_UNCHANGED, CREDENTIAL_EXPIRING, FALSE, Observed,
    PERMISSIONS_SUFFICIENT, RATE_LIMITED, READY, RECONCILING, SCAN_SUCCEEDED, STALLED, TRUE, UNKNOWN,
};
use sv0_api::{
    ActiveScan, ConnectorInstance, ConnectorInstanceStatus, CoverageGap, CoverageStatus, LastScan, SnapshotStatus,
};
use sv0_protocol::{Outcome, Reason, ScanReport};

use super::consent::{self, Grantee, Standing};
use super::dereference::trouble;
use super::expiry::{self, Stored};
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
/// Gaps that a report lists at most.
const MOST_GAPS: usize = 16;
/// A source system may ask to be left alone for a day at most; whoever claims more does not stop scanning for ever.
const LONGEST_WISH: u64 = 24 * 60 * 60;

/// A status being changed: by which generation of the spec, at what time.
pub(crate) struct Draft {
    status: ConnectorInstanceStatus,
    observed: Observed,
    whose: Grantee,
    stored: Stored,
}

impl Draft {
    /// Starts from the status as it is.
    pub(crate) fn new(status: Option<&ConnectorInstanceStatus>, generation: Option<i64>, now: Timestamp) -> Self {
        let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            status: status.cloned().unwrap_or_default(),
            observed: Observed { generation, at: Time(whole) },
            whose: Grantee::default(),
            stored: Stored::default(),
        }
    }

    /// Starts from an instance as it is.
    pub(crate) fn of(instance: &ConnectorInstance, now: Timestamp) -> Self {
        let mut draft = Self::new(instance.status.as_ref(), instance.metadata.generation, now);
        draft.whose = Grantee::of(instance);
        draft.stored = Stored::of(instance);
        draft
    }

    /// The new status.
    pub(crate) fn finish(mut self) -> ConnectorInstanceStatus {
        // Before the first scan there is nothing to say about the credential.
        if self.status.last_scan.is_some() {
            self.expiry();
        }
        self.status
    }

    fn expiry(&mut self) {
        if self.stored == Stored::Nothing {
            self.status.credential_expires_at = None;
        }
        let ends = self.status.credential_expires_at.as_ref().map(|at| at.0);
        let (status, reason, text) = expiry::condition(self.stored, ends, self.observed.at.0);
        self.set(CREDENTIAL_EXPIRING, status, reason, &text);
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

    /// Nothing was started, because of this, which needs other words than its reason has elsewhere.
    pub(crate) fn refused_saying(self, reason: Reason, text: &str) -> Self {
        let mut draft = self.refused(reason);
        draft.set(READY, FALSE, reason.as_str(), text);
        draft.set(STALLED, TRUE, reason.as_str(), text);
        draft
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
            Ok(report) => {
                let report = self.in_view_of_the_past(report);
                self.reported(&active, &report);
            }
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
        self.collection_change(report);
        self.consent(report);
        // A scan that saw everything and cannot tell the end says so; one that did not says nothing about it.
        if report.credential_expires_at.is_some() || report.outcome == Outcome::Complete {
            let ends = report.credential_expires_at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
            self.status.credential_expires_at = ends.map(Time);
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
            if consent::is_revoked(&self.status.conditions) {
                // The token of before was still good: the next scan will get nothing.
                let text = message(Reason::ConsentRevoked, None);
                self.set(READY, FALSE, Reason::ConsentRevoked.as_str(), &text);
                return;
            }
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
        // The API was asked with a token: what is wrong is what the identity may do, not who it is.
        let consent = matches!(report.reason, Some(Reason::ConsentRevoked | Reason::ConsentRequired));
        let is_known = consent && report.requests > report.token_requests;
        match report.reason.filter(|r| is_sign_in(*r) && !is_known) {
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

    /// A scan without a snapshot says nothing about revisions: what was known stays.
    fn collection_change(&mut self, report: &ScanReport) {
        if let Some(revision) = report.pending_collection_revision {
            let text = pending_revision(revision, report);
            self.set(COLLECTION_CHANGE_PENDING, TRUE, Reason::CollectionNotAccepted.as_str(), &text);
        } else if report.snapshot.is_some() {
            self.set(COLLECTION_CHANGE_PENDING, FALSE, "UpToDate", "No newer collection revision waits.");
        }
    }

    /// Whoever never had consent cannot lose it.
    fn in_view_of_the_past(&self, report: ScanReport) -> ScanReport {
        let had = self.status.consent.as_ref().is_some_and(|known| self.whose.is(known));
        match report.reason {
            Some(Reason::ConsentRevoked) if !had => ScanReport { reason: Some(Reason::ConsentRequired), ..report },
            _ => report,
        }
    }

    fn consent(&mut self, report: &ScanReport) {
        if self.status.consent.as_ref().is_some_and(|known| !self.whose.is(known)) {
            self.status.consent = None;
            self.status.conditions.retain(|condition| condition.type_ != CONSENT_UNCHANGED);
        }
        let (at, before) = (&self.observed.at, self.status.consent.as_ref());
        let (next, standing) = match (&report.consent, before) {
            (Some(consent), before) => consent::assess(before, report, consent, &self.whose, at),
            (None, Some(before)) if consent::is_withdrawn(report) => {
                (Some(consent::withdrawn(before, consent::principal_after(before, report), at)), Standing::Revoked)
            }
            // Nothing was learnt: what was known stays.
            (None, _) => return,
        };
        let digest = next.as_ref().map(|known| known.digest.clone()).unwrap_or_default();
        self.status.consent = next;
        let (status, reason, text) = match standing {
            Standing::AsAccepted => (TRUE, "AsAccepted", "What is granted is what was accepted.".to_owned()),
            Standing::Revoked => (FALSE, Reason::ConsentRevoked.as_str(), message(Reason::ConsentRevoked, None)),
            Standing::NeverGiven => (FALSE, Reason::ConsentRequired.as_str(), message(Reason::ConsentRequired, None)),
            Standing::Drifted { added, more, removed } => {
                (FALSE, Reason::ConsentDrifted.as_str(), drift(&added, more, &removed, &digest))
            }
        };
        self.set(CONSENT_UNCHANGED, status, reason, &text);
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

/// What was granted and taken away, and the two ways to end it.
fn drift(added: &[String], more: i32, removed: &[String], digest: &str) -> String {
    let mut said = Vec::new();
    if !added.is_empty() {
        said.push(format!("Granted since the last accepted state, and not needed: {}.", listed(added)));
    }
    if more > 0 {
        said.push(format!("Granted since then, beyond what is listed: {more} permissions."));
    }
    if !removed.is_empty() {
        said.push(format!("Taken away since the last accepted state, and needed: {}.", listed(removed)));
    }
    format!("{} Undo it at the source system, or accept it with spec.acceptedConsent: {digest}", said.join(" "))
}

/// What the revision would read, and how to accept it.
fn pending_revision(revision: u32, report: &ScanReport) -> String {
    let waits = |gap: &&sv0_protocol::Gap| gap.reason == Some(Reason::CollectionNotAccepted);
    let new: Vec<String> = report.gaps.iter().filter(waits).map(|gap| gap.collection.clone()).collect();
    let new = if new.is_empty() {
        String::new()
    } else {
        let more = if report.gaps.len() < MOST_GAPS { "" } else { " and more" };
        format!(" It would newly read: {}{more}.", new.join(", "))
    };
    format!(
        "Collection revision {revision} is not accepted, so nothing of it is read.{new} To accept it, grant the permissions that it needs and set spec.acceptedCollectionRevision: {revision}"
    )
}

fn coverage(report: &ScanReport) -> CoverageStatus {
    let gaps = report.gaps.iter().map(|gap| CoverageGap {
        collection: gap.collection.clone(),
        state: gap.state.clone(),
        reason: gap.reason.map(|r| r.to_string()),
        permission: gap.permission.clone(),
    });
    // Of what was accepted; what waits has a condition of its own.
    let accepted = report.gaps.iter().filter(|gap| gap.reason != Some(Reason::CollectionNotAccepted)).count();
    let total = u64::from(report.complete_collections) + accepted as u64;
    CoverageStatus {
        complete: i32::try_from(report.complete_collections).unwrap_or(i32::MAX),
        gaps: gaps.collect(),
        summary: format!("{}/{total}", report.complete_collections),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
