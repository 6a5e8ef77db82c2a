//! The report of a scan: codes and counts, never vendor text, never longer than the kubelet keeps. Pure.

use std::time::Duration;

use sv0_connector::{Cause, Collected, Failure};
use sv0_graph::{Coverage, CoverageState};
use sv0_protocol::names::exit;
use sv0_protocol::{Consent, Gap, Outcome, Reason, ScanReport};

/// Longest termination message that the kubelet keeps.
pub const MAX_REPORT_BYTES: usize = 4096;
/// Most gaps, and most permissions in each list.
const MAX_LISTED: usize = 16;

/// The reason that a code of the connector names.
pub fn reason_of(code: &str) -> Reason {
    Reason::ALL.iter().copied().find(|reason| reason.as_str() == code).unwrap_or(Reason::InternalError)
}

/// Adds what a walk found.
pub(crate) fn with_collected(report: &mut ScanReport, collected: &Collected) {
    let incomplete = |record: &&Coverage| record.state != CoverageState::Complete;
    report.items = collected.coverage.iter().map(|record| record.items).sum();
    let complete = collected.coverage.iter().filter(|record| record.state == CoverageState::Complete).count();
    report.complete_collections = u32::try_from(complete).unwrap_or(u32::MAX);
    // What is a choice must not crowd out what went wrong.
    let (by_choice, troubles): (Vec<_>, Vec<_>) =
        collected.coverage.iter().filter(incomplete).partition(|record| is_choice(record, collected));
    report.gaps = troubles.iter().chain(&by_choice).copied().take(MAX_LISTED).map(gap).collect();
    report.permissions_missing = collected.permissions_missing.iter().take(MAX_LISTED).cloned().collect();
    report.permissions_excess = collected.permissions_excess.iter().take(MAX_LISTED).cloned().collect();
    report.credential_expires_at = collected.credential_expires_at;
    report.pending_collection_revision = collected.pending_revision;
    report.consent = collected.own_grants.as_ref().map(|grants| Consent {
        service_principal: grants.principal.clone(),
        needed: grants.needed.iter().take(MAX_LISTED).cloned().collect(),
        granted: grants.count,
        first_granted_at: grants.granted.map(|(first, _)| first),
        last_granted_at: grants.granted.map(|(_, last)| last),
    });
    let reasons = troubles.iter().map(|record| reason_of_record(record));
    let causes: Vec<Reason> = reasons.collect();
    report.outcome = if causes.is_empty() { Outcome::Complete } else { Outcome::Partial };
    // A collection that is partial only since another one is says nothing of the cause.
    let own_cause = causes.iter().copied().find(|reason| *reason != Reason::PartialCoverage);
    report.reason = own_cause.or_else(|| causes.first().copied());
}

fn reason_of_record(record: &Coverage) -> Reason {
    record.reason.as_deref().map_or(Reason::PartialCoverage, reason_of)
}

/// Whether a gap is as the customer or the vendor wants it: it waits to be accepted, it needs a permission that the
/// customer may do without, or the tenant has neither the licence nor the cloud for it. Such a gap is shown, and a scan
/// of all the rest is complete.
fn is_choice(record: &Coverage, collected: &Collected) -> bool {
    let absent = |permission: &String| collected.add_ons.contains(permission);
    match reason_of_record(record) {
        Reason::CollectionNotAccepted | Reason::LicenseMissing | Reason::NotInThisCloud => true,
        Reason::PermissionMissing => record.permission.as_ref().is_some_and(absent),
        _ => false,
    }
}

/// Makes the report one of a scan without a snapshot.
pub(crate) fn with_failure(report: &mut ScanReport, failure: &Failure) {
    report.outcome = Outcome::Failed;
    report.snapshot = None;
    report.reason = Some(reason_of(failure.cause.as_str()));
    report.retry_after_seconds = failure.retry_after.as_ref().map(Duration::as_secs);
    if let Cause::Token(error) = &failure.cause {
        report.vendor_code.clone_from(&error.vendor_code);
    }
    if let Some(permission) = failure.permission.as_ref().filter(|id| !report.permissions_missing.contains(id)) {
        report.permissions_missing.push(permission.clone());
    }
}

fn gap(record: &Coverage) -> Gap {
    let state = match record.state {
        CoverageState::Complete => "complete",
        CoverageState::Partial => "partial",
        CoverageState::Denied => "denied",
        CoverageState::Throttled => "throttled",
        CoverageState::Skipped => "skipped",
    };
    Gap {
        collection: record.collection.clone(),
        state: state.to_owned(),
        reason: record.reason.as_deref().map(reason_of),
        permission: record.permission.clone(),
    }
}

/// The report as a termination message. Lists are shortened, from the least needed on, until it fits.
pub fn to_message(report: &ScanReport) -> String {
    let mut report = report.clone();
    loop {
        let text = serde_json::to_string(&report).unwrap_or_default();
        let shortened = text.len() <= MAX_REPORT_BYTES
            || (report.permissions_excess.pop().is_none()
                && report.consent.as_mut().and_then(|consent| consent.needed.pop()).is_none()
                && report.permissions_missing.pop().is_none()
                && report.gaps.pop().is_none());
        if shortened {
            return text;
        }
    }
}

/// With which code the program ends.
pub fn exit_code(report: &ScanReport) -> i32 {
    if report.outcome != Outcome::Failed {
        return exit::DONE;
    }
    match report.reason {
        Some(
            Reason::RateLimited
            | Reason::UpstreamUnavailable
            | Reason::AuthThrottled
            | Reason::IdentityProviderUnavailable
            | Reason::FederationIssuerUnreachable
            | Reason::ManagedIdentityUnreachable
            | Reason::StoreUnavailable
            | Reason::StoreFull
            | Reason::DeadlineExceeded
            | Reason::ResponseRefused
            | Reason::ResponseMalformed
            | Reason::LastPageLost
            | Reason::Lost,
        ) => exit::RETRY,
        Some(Reason::InternalError) | None => exit::DEFECT,
        Some(_) => exit::REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sv0_connector::TokenError;

    use super::*;

    fn blank() -> ScanReport {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        ScanReport {
            scan_id: "00001767225600000-0a1b2c3d".into(),
            outcome: Outcome::Failed,
            reason: None,
            vendor_code: None,
            retry_after_seconds: None,
            started_at: now,
            finished_at: now,
            requests: 0,
            token_requests: 0,
            items: 0,
            snapshot: None,
            gaps: vec![],
            complete_collections: 0,
            permissions_missing: vec![],
            permissions_excess: vec![],
            credential_expires_at: None,
            pending_collection_revision: None,
            consent: None,
        }
    }

    fn record(collection: &str, state: CoverageState, reason: Option<&str>) -> Coverage {
        Coverage {
            collection: collection.into(),
            scope: "tenant".into(),
            state,
            reason: reason.map(str::to_owned),
            permission: None,
            pages: 1,
            items: 10,
        }
    }

    fn denied(collection: &str, permission: &str) -> Coverage {
        let permission = Some(permission.to_owned());
        Coverage { permission, ..record(collection, CoverageState::Denied, Some("PermissionMissing")) }
    }

    #[test]
    fn what_waits_to_be_accepted_does_not_crowd_out_what_went_wrong() {
        let mut coverage: Vec<Coverage> = (0..20)
            .map(|n| record(&format!("a{n:02}"), CoverageState::Skipped, Some("CollectionNotAccepted")))
            .collect();
        coverage.push(denied("z", "User.Read.All"));
        let mut report = blank();
        with_collected(&mut report, &collected(coverage));
        assert_eq!((report.gaps.len(), report.gaps[0].collection.as_str()), (MAX_LISTED, "z"));
    }

    fn collected(coverage: Vec<Coverage>) -> Collected {
        Collected {
            tenant: "t".into(),
            coverage,
            permissions_missing: vec![],
            add_ons: vec!["Directory.Read.All".into()],
            permissions_excess: vec![],
            credential_expires_at: None,
            pending_revision: None,
            own_grants: None,
        }
    }

    #[test]
    fn every_cause_of_the_connector_is_a_reason_of_the_protocol() {
        for cause in Cause::all() {
            assert_eq!(reason_of(cause.as_str()).as_str(), cause.as_str());
        }
        assert_eq!(reason_of("made up"), Reason::InternalError);
    }

    #[rstest]
    #[case(vec![record("a", CoverageState::Complete, None)], Outcome::Complete, None)]
    #[case(
        vec![record("a", CoverageState::Partial, Some("PartialCoverage")), record("b", CoverageState::Denied, Some("PermissionMissing"))],
        Outcome::Partial,
        Some(Reason::PermissionMissing)
    )]
    #[case(vec![record("a", CoverageState::Skipped, Some("CollectionNotAccepted"))], Outcome::Complete, None)]
    #[case(vec![record("a", CoverageState::Skipped, Some("LicenseMissing"))], Outcome::Complete, None)]
    #[case(vec![record("a", CoverageState::Skipped, Some("NotInThisCloud"))], Outcome::Complete, None)]
    #[case(vec![record("a", CoverageState::Denied, Some("PermissionMissing"))], Outcome::Partial, Some(Reason::PermissionMissing))]
    #[case(vec![denied("a", "User.Read.All")], Outcome::Partial, Some(Reason::PermissionMissing))]
    #[case(vec![denied("a", "Directory.Read.All")], Outcome::Complete, None)]
    #[case(vec![record("a", CoverageState::Throttled, Some("RateLimited"))], Outcome::Partial, Some(Reason::RateLimited))]
    fn outcome_and_first_cause(
        #[case] coverage: Vec<Coverage>,
        #[case] outcome: Outcome,
        #[case] reason: Option<Reason>,
    ) {
        let mut report = blank();
        with_collected(&mut report, &collected(coverage));
        assert_eq!((report.outcome, report.reason), (outcome, reason));
        assert_eq!(exit_code(&report), exit::DONE);
    }

    #[test]
    fn what_went_wrong_comes_before_what_waits() {
        let waits = |n: usize| record(&format!("a{n}"), CoverageState::Skipped, Some("CollectionNotAccepted"));
        let mut coverage: Vec<Coverage> = (0..20).map(waits).collect();
        coverage.push(record("z", CoverageState::Denied, Some("PermissionMissing")));
        let mut report = blank();
        with_collected(&mut report, &collected(coverage));
        assert_eq!((report.gaps.len(), report.gaps[0].collection.as_str()), (MAX_LISTED, "z"));
    }

    #[test]
    fn grants_are_told_by_name_and_number_and_the_longest_report_fits() {
        let mut collected = collected(vec![record("a", CoverageState::Skipped, Some("CollectionNotAccepted")); 13]);
        let name = |n: usize| format!("Permission.Number{n}.Read.All.Of.Many");
        let at = |text: &str| text.parse().unwrap();
        collected.permissions_excess = (0..40).map(name).collect();
        collected.own_grants = Some(sv0_connector::OwnGrants {
            principal: Some("33333333-3333-4333-8333-333333333333".into()),
            needed: (100..110).map(name).collect(),
            count: 50,
            granted: Some((at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"))),
        });
        let mut report = blank();
        with_collected(&mut report, &collected);
        let message = to_message(&report);
        assert!(message.len() <= MAX_REPORT_BYTES);
        let read: ScanReport = serde_json::from_str(&message).unwrap();
        let consent = read.consent.unwrap();
        assert_eq!((consent.needed.len(), consent.granted), (10, 50));
        assert_eq!(read.permissions_excess.len(), MAX_LISTED, "a usual report needs no shortening");
        collected.own_grants = None;
        with_collected(&mut report, &collected);
        assert_eq!(report.consent, None, "what could not be read is not told");
    }

    #[rstest]
    #[case("CredentialInvalid", exit::REFUSED)]
    #[case("TargetMismatch", exit::REFUSED)]
    #[case("AuthThrottled", exit::RETRY)]
    #[case("InternalError", exit::DEFECT)]
    fn a_failed_sign_in_keeps_the_vendors_code(#[case] reason: &'static str, #[case] code: i32) {
        let mut report = blank();
        let error = TokenError {
            reason,
            vendor_code: Some("AADSTS7000215".into()),
            transient: false,
            retry_after_seconds: Some(9),
        };
        with_failure(&mut report, &error.into());
        assert_eq!(report.vendor_code.as_deref(), Some("AADSTS7000215"));
        assert_eq!(report.retry_after_seconds, Some(9));
        assert_eq!(exit_code(&report), code);
    }

    #[test]
    fn the_message_fits_whatever_is_in_it() {
        let mut report = blank();
        report.permissions_excess = vec!["x".repeat(200); 16];
        report.permissions_missing = vec!["y".repeat(200); 16];
        report.gaps = vec![gap(&record(&"z".repeat(100), CoverageState::Denied, Some("PermissionMissing"))); 16];
        let message = to_message(&report);
        assert!(message.len() <= MAX_REPORT_BYTES);
        let read: ScanReport = serde_json::from_str(&message).unwrap();
        assert_eq!(read.scan_id, report.scan_id);
        assert_eq!(read.gaps.len(), 16, "gaps are the last to go");
    }
}
