//! Decides whether a `ConnectorInstance` is owed a scan: facts in, decision out.
//!
//! Pure: no clock, no cluster. It decides only *whether* and *why*; whether the scan can run (account, limit on
//! parallel scans) is asked afterwards.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sv0_protocol::Reason;

use crate::schedule::Timetable;

/// Waits between attempts while the cause may pass by itself; the last one repeats.
const BACKOFF_MINUTES: [i64; 6] = [1, 2, 5, 10, 30, 60];
/// Place in [`BACKOFF_MINUTES`] at which a throttled instance starts: sooner would feed the throttle.
const THROTTLED_START: usize = 3;
/// Wait before a cause that only the customer can mend is looked at again.
const RECHECK_MINUTES: i64 = 60;

/// Everything the decision rests on.
#[derive(Clone, Debug)]
pub struct ScanFacts<'a> {
    /// The instance's UID: decides its share of a schedule's jitter.
    pub uid: &'a str,
    /// `metadata.generation`.
    pub generation: i64,
    /// The generation that the last scan, or the last refusal to scan, was about.
    pub observed_generation: Option<i64>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Value of the annotation that asks for a scan.
    pub requested: Option<&'a str>,
    /// The last such value that a scan was started for.
    pub handled_request: Option<&'a str>,
    /// The last attempt, if any.
    pub last: Option<LastAttempt>,
    /// A condition outside of any scan (account, store) kept the last due scan from being started.
    pub blocked: bool,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Schedules that select this instance, by name.
    pub schedules: &'a [(String, Arc<Timetable>)],
}

/// How and when the last attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it was decided on: ticks up to here are honoured.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Why it is tried again by itself: there is no snapshot, or one with gaps that may close. None when all is well.
    pub trouble: Option<Reason>,
    /// The source system asked to be left alone until then.
    pub not_before: Option<Timestamp>,
}

/// Why a scan is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// There was none before.
    First,
    /// The spec changed since the last one.
    SpecChanged,
    /// The annotation asks for it.
    Requested,
    /// The named schedule has a tick.
    Schedule(String),
    /// The last attempt failed or left gaps, and its wait is over.
    Retry,
}

impl Trigger {
    /// The word for status and metrics: a closed set.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::First => "Initial",
            Self::SpecChanged => "SpecChanged",
            Self::Requested => "Requested",
            Self::Schedule(_) => "Scheduled",
            Self::Retry => "Retry",
        }
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanDue {
    /// Now, for this reason.
    Now(Trigger),
    /// Not before this instant, if nothing changes.
    Later(Timestamp),
    /// Only when something changes.
    OnChange,
}

/// Decides.
pub fn decide(facts: &ScanFacts<'_>, now: Timestamp) -> ScanDue {
    if facts.suspended {
        return ScanDue::OnChange;
    }
    let Some(last) = facts.last else {
        return ScanDue::Now(Trigger::First);
    };
    if facts.observed_generation != Some(facts.generation) {
        return ScanDue::Now(Trigger::SpecChanged);
    }
    if facts.requested.is_some() && facts.requested != facts.handled_request {
        return ScanDue::Now(Trigger::Requested);
    }
    not_before(last.not_before.filter(|at| *at > now), by_itself(facts, &last, now))
}

/// What is due without anybody's asking.
fn by_itself(facts: &ScanFacts<'_>, last: &LastAttempt, now: Timestamp) -> ScanDue {
    if let Some((name, _)) = facts.schedules.iter().find(|(_, t)| t.due(facts.uid, last.started_at, now).is_some()) {
        return ScanDue::Now(Trigger::Schedule(name.clone()));
    }
    let retry_at = last.trouble.map(|reason| last.finished_at + wait_after(reason, facts.failures));
    if facts.blocked || retry_at.is_some_and(|at| at <= now) {
        return ScanDue::Now(Trigger::Retry);
    }
    let ticks = facts.schedules.iter().filter_map(|(_, t)| t.next_due(facts.uid, now));
    ticks.chain(retry_at).min().map_or(ScanDue::OnChange, ScanDue::Later)
}

/// The source system's own wish for distance holds for retries and ticks alike; people may overrule it.
fn not_before(wish: Option<Timestamp>, due: ScanDue) -> ScanDue {
    match (wish, due) {
        (Some(wish), ScanDue::Now(_)) => ScanDue::Later(wish),
        (Some(wish), ScanDue::Later(at)) => ScanDue::Later(at.max(wish)),
        (_, due) => due,
    }
}

/// Why a scan whose snapshot has gaps is tried again, if it is: the vendor's wish for distance before what may pass,
/// and that before what the customer has to mend. What waits for consent or a licence is no trouble: scanning again
/// changes nothing about it.
pub fn trouble_of_gaps(gaps: &[Reason]) -> Option<Reason> {
    // Partial only because another collection is: says nothing of the cause, unless it is all that is known.
    let causes = gaps.iter().copied().filter(|reason| *reason != Reason::PartialCoverage);
    if causes.clone().next().is_none() {
        return gaps.first().copied();
    }
    let absent = |reason: &Reason| {
        matches!(reason, Reason::CollectionNotAccepted | Reason::LicenseMissing | Reason::NotInThisCloud)
    };
    causes.filter(|reason| !absent(reason)).min_by_key(|reason| match recovery(*reason) {
        Recovery::Throttled => 0,
        Recovery::Passing => 1,
        Recovery::Customer => 2,
    })
}

/// How long to leave an instance in trouble alone. `failures` counts this attempt too.
pub fn wait_after(reason: Reason, failures: u32) -> SignedDuration {
    let start = match recovery(reason) {
        Recovery::Customer => return SignedDuration::from_mins(RECHECK_MINUTES),
        Recovery::Throttled => THROTTLED_START,
        Recovery::Passing => 0,
    };
    let before = failures.saturating_sub(1);
    // A process that was ended from outside says nothing against trying again at once. If that happens twice, it may
    // well be its own fault.
    let steps = match (reason, before) {
        (Reason::Lost, 0) => return SignedDuration::ZERO,
        (Reason::Lost, before) => before - 1,
        (_, before) => before,
    };
    let step = start + usize::try_from(steps).unwrap_or(usize::MAX).min(BACKOFF_MINUTES.len());
    SignedDuration::from_mins(BACKOFF_MINUTES[step.min(BACKOFF_MINUTES.len() - 1)])
}

/// Who ends the trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The customer has to change something; looking often only costs requests.
    Customer,
    /// The vendor asked for distance.
    Throttled,
    /// It may be over in a minute.
    Passing,
}

/// Sorts every reason.
pub const fn recovery(reason: Reason) -> Recovery {
    match reason {
        Reason::AuthThrottled | Reason::RateLimited => Recovery::Throttled,
        Reason::AssertionTimeInvalid
        | Reason::FederationIssuerUnreachable
        | Reason::ManagedIdentityUnreachable
        | Reason::IdentityProviderUnavailable
        | Reason::TokenRejected
        | Reason::ServiceAccountMissing
        | Reason::ServiceAccountNotAllowed
        | Reason::QuotaExceeded
        | Reason::PodRefused
        | Reason::ImagePullFailed
        | Reason::Unschedulable
        | Reason::Lost
        | Reason::DeadlineExceeded
        | Reason::ReportUnreadable
        | Reason::UpstreamUnavailable
        | Reason::ResponseMalformed
        | Reason::LastPageLost
        | Reason::StoreUnavailable
        | Reason::PartialCoverage
        | Reason::InternalError => Recovery::Passing,
        Reason::CredentialInvalid
        | Reason::CredentialExpired
        | Reason::CredentialMissing
        | Reason::CertificateNotRegistered
        | Reason::CertificateUnreadable
        | Reason::CredentialExpiring
        | Reason::TenantNotFound
        | Reason::TenantIdMalformed
        | Reason::TenantRestricted
        | Reason::AppNotInTenant
        | Reason::AppDisabled
        | Reason::ServicePrincipalMissing
        | Reason::ConsentRequired
        | Reason::ConsentDrifted
        | Reason::ConsentRevoked
        | Reason::FederationMismatch
        | Reason::IdentityBindingUnsupported
        | Reason::ManagedIdentityNotAssigned
        | Reason::WrongCloud
        | Reason::ResourceNotInTenant
        | Reason::BlockedByConditionalAccess
        | Reason::AuthenticationFailed
        | Reason::PermissionMissing
        | Reason::LicenseMissing
        | Reason::NotInThisCloud
        | Reason::TargetMismatch
        | Reason::ForeignTenant
        | Reason::NotAnEstate
        | Reason::EstateFull
        | Reason::EstateTooLarge
        | Reason::InvalidSchedule
        | Reason::InvalidConfiguration
        | Reason::NetworkNotAllowed
        | Reason::ResponseRefused
        | Reason::CollectionNotAccepted
        | Reason::StoreFull
        | Reason::Suspended => Recovery::Customer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn attempt(trouble: Option<Reason>) -> LastAttempt {
        LastAttempt {
            started_at: at("2026-05-05T09:59:00Z"),
            finished_at: at("2026-05-05T10:00:00Z"),
            trouble,
            not_before: None,
        }
    }

    fn settled() -> ScanFacts<'static> {
        ScanFacts {
            uid: "uid-a",
            generation: 3,
            observed_generation: Some(3),
            suspended: false,
            requested: None,
            handled_request: None,
            last: Some(attempt(None)),
            blocked: false,
            failures: 0,
            schedules: &[],
        }
    }

    fn hourly() -> Vec<(String, Arc<Timetable>)> {
        let table = Timetable::parse("0 * * * *", "Etc/UTC", Some(0), None, at("2026-01-01T00:00:00Z")).unwrap();
        vec![("hourly".to_owned(), Arc::new(table))]
    }

    #[rstest]
    #[case::settled(settled(), ScanDue::OnChange)]
    #[case::never_scanned(ScanFacts { last: None, observed_generation: None, ..settled() }, ScanDue::Now(Trigger::First))]
    #[case::never_scanned_but_refused_before(ScanFacts { last: None, blocked: true, ..settled() }, ScanDue::Now(Trigger::First))]
    #[case::spec_changed(ScanFacts { generation: 4, ..settled() }, ScanDue::Now(Trigger::SpecChanged))]
    #[case::requested(ScanFacts { requested: Some("b"), handled_request: Some("a"), ..settled() }, ScanDue::Now(Trigger::Requested))]
    #[case::first_request(ScanFacts { requested: Some("a"), ..settled() }, ScanDue::Now(Trigger::Requested))]
    #[case::request_already_handled(ScanFacts { requested: Some("a"), handled_request: Some("a"), ..settled() }, ScanDue::OnChange)]
    #[case::request_withdrawn(ScanFacts { handled_request: Some("a"), ..settled() }, ScanDue::OnChange)]
    #[case::suspended_beats_all(ScanFacts { suspended: true, last: None, generation: 9, requested: Some("z"), ..settled() }, ScanDue::OnChange)]
    #[case::blocked(ScanFacts { blocked: true, ..settled() }, ScanDue::Now(Trigger::Retry))]
    #[case::failed_and_waiting(
        ScanFacts { last: Some(attempt(Some(Reason::UpstreamUnavailable))), failures: 3, ..settled() },
        ScanDue::Later(at("2026-05-05T10:05:00Z")))]
    #[case::lost_again_and_waiting(
        ScanFacts { last: Some(attempt(Some(Reason::Lost))), failures: 3, ..settled() },
        ScanDue::Later(at("2026-05-05T10:02:00Z")))]
    #[case::failed_and_waited(
        ScanFacts { last: Some(attempt(Some(Reason::UpstreamUnavailable))), failures: 1, ..settled() },
        ScanDue::Now(Trigger::Retry))]
    #[case::refused_waits_an_hour(
        ScanFacts { last: Some(attempt(Some(Reason::CredentialInvalid))), failures: 1, ..settled() },
        ScanDue::Later(at("2026-05-05T11:00:00Z")))]
    #[case::request_beats_backoff(
        ScanFacts { last: Some(attempt(Some(Reason::CredentialInvalid))), failures: 9, requested: Some("x"), ..settled() },
        ScanDue::Now(Trigger::Requested))]
    fn at_one_past_ten(#[case] facts: ScanFacts<'_>, #[case] expected: ScanDue) {
        assert_eq!(decide(&facts, at("2026-05-05T10:01:00Z")), expected);
    }

    #[test]
    fn a_lost_scan_is_tried_again_at_once() {
        let facts = ScanFacts { last: Some(attempt(Some(Reason::Lost))), failures: 1, ..settled() };
        assert_eq!(decide(&facts, at("2026-05-05T10:00:00Z")), ScanDue::Now(Trigger::Retry));
    }

    #[rstest]
    #[case::tick_during_the_last_scan("2026-05-05T10:00:30Z", ScanDue::Now(Trigger::Schedule("hourly".into())))]
    #[case::next_tick_far("2026-05-05T09:59:30Z", ScanDue::Later(at("2026-05-05T10:00:00Z")))]
    fn schedules(#[case] now: &str, #[case] expected: ScanDue) {
        let schedules = hourly();
        let facts = ScanFacts { schedules: &schedules, ..settled() };
        assert_eq!(decide(&facts, at(now)), expected);
    }

    #[test]
    fn a_tick_is_honoured_exactly_once() {
        let schedules = hourly();
        let started_at = at("2026-05-05T11:00:00Z");
        let last = Some(LastAttempt { started_at, finished_at: started_at, trouble: None, not_before: None });
        let facts = ScanFacts { schedules: &schedules, last, ..settled() };
        assert_eq!(decide(&facts, started_at), ScanDue::Later(at("2026-05-05T12:00:00Z")));
    }

    #[test]
    fn ticks_missed_while_the_manager_was_away_give_one_scan() {
        let schedules = hourly();
        let facts = ScanFacts { schedules: &schedules, ..settled() };
        let back = at("2026-05-07T10:30:00Z");
        assert_eq!(decide(&facts, back), ScanDue::Now(Trigger::Schedule("hourly".into())));
        let last = Some(LastAttempt { started_at: back, finished_at: back, trouble: None, not_before: None });
        let facts = ScanFacts { schedules: &schedules, last, ..settled() };
        assert_eq!(decide(&facts, back), ScanDue::Later(at("2026-05-07T11:00:00Z")));
    }

    fn asked_for_distance(until: &str) -> LastAttempt {
        LastAttempt { not_before: Some(at(until)), ..attempt(Some(Reason::LastPageLost)) }
    }

    #[rstest]
    #[case::beyond_the_backoff(
        "2026-05-05T10:40:00Z",
        "2026-05-05T10:02:00Z",
        ScanDue::Later(at("2026-05-05T10:40:00Z"))
    )]
    #[case::within_the_backoff(
        "2026-05-05T10:00:30Z",
        "2026-05-05T10:00:10Z",
        ScanDue::Later(at("2026-05-05T10:01:00Z"))
    )]
    #[case::over("2026-05-05T10:40:00Z", "2026-05-05T10:40:00Z", ScanDue::Now(Trigger::Retry))]
    #[case::over_a_tick("2026-05-05T11:20:00Z", "2026-05-05T11:05:00Z", ScanDue::Later(at("2026-05-05T11:20:00Z")))]
    fn the_wish_for_distance_is_kept(#[case] until: &str, #[case] now: &str, #[case] expected: ScanDue) {
        let schedules = hourly();
        // Without the wish, the tick at eleven would be due in the last case.
        let last = Some(LastAttempt { started_at: at("2026-05-05T10:00:00Z"), ..asked_for_distance(until) });
        let facts = ScanFacts { last, failures: 1, schedules: &schedules, ..settled() };
        assert_eq!(decide(&facts, at(now)), expected);
    }

    #[rstest]
    #[case::request(ScanFacts { requested: Some("x"), ..settled() }, ScanDue::Now(Trigger::Requested))]
    #[case::spec(ScanFacts { generation: 4, ..settled() }, ScanDue::Now(Trigger::SpecChanged))]
    #[case::nobody(settled(), ScanDue::Later(at("2026-05-05T12:00:00Z")))]
    fn people_overrule_the_wish_for_distance(#[case] facts: ScanFacts<'_>, #[case] expected: ScanDue) {
        let facts = ScanFacts { last: Some(asked_for_distance("2026-05-05T12:00:00Z")), failures: 1, ..facts };
        assert_eq!(decide(&facts, at("2026-05-05T10:30:00Z")), expected);
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::throttled(&[Reason::PermissionMissing, Reason::LastPageLost, Reason::RateLimited], Some(Reason::RateLimited))]
    #[case::passing(&[Reason::PermissionMissing, Reason::LastPageLost], Some(Reason::LastPageLost))]
    #[case::deadline(&[Reason::DeadlineExceeded], Some(Reason::DeadlineExceeded))]
    #[case::outage(&[Reason::UpstreamUnavailable, Reason::PartialCoverage], Some(Reason::UpstreamUnavailable))]
    #[case::denied(&[Reason::PermissionMissing], Some(Reason::PermissionMissing))]
    #[case::denied_and_what_follows_from_it(&[Reason::PartialCoverage, Reason::PermissionMissing], Some(Reason::PermissionMissing))]
    #[case::cause_unknown(&[Reason::PartialCoverage], Some(Reason::PartialCoverage))]
    #[case::waits_for_consent(&[Reason::CollectionNotAccepted], None)]
    #[case::not_in_the_cloud(&[Reason::NotInThisCloud], None)]
    #[case::not_in_the_licence(&[Reason::LicenseMissing, Reason::PartialCoverage], None)]
    #[case::not_in_the_licence_and_lost(&[Reason::LicenseMissing, Reason::LastPageLost], Some(Reason::LastPageLost))]
    fn gaps(#[case] reasons: &[Reason], #[case] expected: Option<Reason>) {
        assert_eq!(trouble_of_gaps(reasons), expected);
        let reversed: Vec<Reason> = reasons.iter().rev().copied().collect();
        assert_eq!(trouble_of_gaps(&reversed), expected);
    }

    #[rstest]
    #[case(Reason::Lost, &[0, 1, 2, 5, 10, 30, 60, 60, 60])]
    #[case(Reason::UpstreamUnavailable, &[1, 2, 5, 10, 30, 60, 60, 60])]
    #[case(Reason::RateLimited, &[10, 30, 60, 60])]
    #[case(Reason::PermissionMissing, &[60, 60])]
    fn waits(#[case] reason: Reason, #[case] minutes: &[i64]) {
        let seen: Vec<i64> = (1..).zip(minutes).map(|(n, _)| wait_after(reason, n).as_mins()).collect();
        assert_eq!(seen, minutes);
        assert_eq!(wait_after(reason, u32::MAX).as_mins(), 60);
    }
}
