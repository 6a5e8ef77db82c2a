//! What grants, beside what was accepted, make of the account of consent.

use super::*;
use rstest::rstest;
use serde_json::json;

const PRINCIPAL: &str = "33333333-3333-4333-8333-333333333333";

fn at(text: &str) -> Time {
    Time(text.parse().unwrap())
}

fn whose(accepted: Option<&str>) -> Grantee {
    Grantee { tenant: "tenant".into(), client: "client".into(), accepted: accepted.map(str::to_owned) }
}

/// A report of a scan that read its own grants: needed ones, those too much, and needed ones that are not there.
fn report(needed: &[&str], excess: &[&str], missing: &[&str]) -> ScanReport {
    let granted = needed.len() + excess.len();
    serde_json::from_value(json!({
        "scanId": "id", "outcome": "Complete", "requests": 12, "tokenRequests": 1, "items": 99,
        "startedAt": "2026-05-05T10:00:01Z", "finishedAt": "2026-05-05T10:00:09Z", "completeCollections": 12,
        "permissionsExcess": excess, "permissionsMissing": missing,
        "consent": {"servicePrincipal": PRINCIPAL, "needed": needed, "granted": granted,
            "firstGrantedAt": "2026-01-01T00:00:00.5Z", "lastGrantedAt": "2026-02-01T00:00:00Z"},
    }))
    .unwrap()
}

fn see(
    before: Option<&ConsentStatus>,
    report: &ScanReport,
    accepted: Option<&str>,
    time: &str,
) -> (Option<ConsentStatus>, Standing) {
    assess(before, report, report.consent.as_ref().unwrap(), &whose(accepted), &at(time))
}

const FIRST: &str = "2026-05-05T10:00:10Z";
const LATER: &str = "2026-05-06T10:00:10Z";

fn accepted() -> ConsentStatus {
    see(None, &report(&["A.Read", "B.Read"], &["X.Write"], &[]), None, FIRST).0.unwrap()
}

fn drifted(added: &[&str], more: i32, removed: &[&str]) -> Standing {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Standing::Drifted { added: names(added), more, removed: names(removed) }
}

#[test]
fn the_first_state_is_accepted_with_all_that_is_known_of_it() {
    let status = accepted();
    assert_eq!(status.permissions, ["A.Read", "B.Read", "X.Write"]);
    assert_eq!((status.accepted.clone(), status.accepted_count), (status.permissions.clone(), 3));
    assert_eq!((status.tenant_id.as_str(), status.client_id.as_str()), ("tenant", "client"));
    assert_eq!(status.service_principal_id.as_deref(), Some(PRINCIPAL));
    assert_eq!(status.first_granted_at, Some(at("2026-01-01T00:00:00Z")), "whole seconds");
    assert_eq!(status.granted_by, "Unknown", "the grants do not say who made them");
    assert_eq!((status.first_seen_at, status.changed_at), (at(FIRST), at(FIRST)));
    assert_eq!(status.digest.len(), 12);
}

#[rstest]
#[case::the_same(&["A.Read", "B.Read"], &["X.Write"], &[], Standing::AsAccepted)]
#[case::something_more(&["A.Read", "B.Read"], &["X.Write", "Y.Write"], &[], drifted(&["Y.Write"], 0, &[]))]
#[case::a_needed_one_less(&["A.Read"], &["X.Write"], &["B.Read"], drifted(&[], 0, &["B.Read"]))]
#[case::one_for_another(&["A.Read"], &["X.Write", "All.Read"], &[], drifted(&["All.Read"], 0, &[]))]
#[case::both(&["A.Read"], &["Y.Write"], &["B.Read"], drifted(&["Y.Write"], 0, &["B.Read"]))]
#[case::what_we_asked_to_take_away(&["A.Read", "B.Read"], &[], &[], Standing::AsAccepted)]
#[case::what_we_asked_to_grant(&["A.Read", "B.Read", "C.Read"], &["X.Write"], &[], Standing::AsAccepted)]
#[case::never_had(&["A.Read", "B.Read"], &["X.Write"], &["C.Read"], Standing::AsAccepted)]
fn a_later_state(
    #[case] needed: &[&str],
    #[case] excess: &[&str],
    #[case] missing: &[&str],
    #[case] expected: Standing,
) {
    let before = accepted();
    let (after, standing) = see(Some(&before), &report(needed, excess, missing), None, LATER);
    assert_eq!(standing, expected);
    let after = after.unwrap();
    assert_eq!(after.first_seen_at, before.first_seen_at);
    let changed = after.permissions != before.permissions;
    assert_eq!(after.changed_at, if changed { at(LATER) } else { at(FIRST) });
    // A second look at the same says the same, and writes nothing else.
    let again = see(Some(&after), &report(needed, excess, missing), None, "2026-05-07T10:00:10Z");
    assert_eq!(again, (Some(after), expected));
}

#[test]
fn what_is_taken_back_or_accepted_is_no_drift_any_more() {
    let before = accepted();
    let more = report(&["A.Read", "B.Read"], &["X.Write", "Y.Write"], &[]);
    let (drift, standing) = see(Some(&before), &more, None, LATER);
    assert_eq!(standing, drifted(&["Y.Write"], 0, &[]));
    let drift = drift.unwrap();
    let back = see(Some(&drift), &report(&["A.Read", "B.Read"], &["X.Write"], &[]), None, LATER);
    assert_eq!(back.1, Standing::AsAccepted, "taken back");
    let (taken, standing) = see(Some(&drift), &more, Some(&drift.digest), LATER);
    assert_eq!(standing, Standing::AsAccepted, "accepted by its digest");
    let taken = taken.unwrap();
    assert!(taken.accepted.contains(&"Y.Write".to_owned()));
    let (_, standing) = see(
        Some(&taken),
        &report(&["A.Read", "B.Read"], &["X.Write", "Y.Write", "Z.Write"], &[]),
        Some(&drift.digest),
        LATER,
    );
    assert_eq!(standing, drifted(&["Z.Write"], 0, &[]), "the digest accepts one state, not what follows");
}

#[test]
fn a_needed_permission_that_came_later_and_goes_again_is_drift() {
    let (after, _) = see(Some(&accepted()), &report(&["A.Read", "B.Read", "C.Read"], &[], &[]), None, LATER);
    let (_, standing) = see(after.as_ref(), &report(&["A.Read", "B.Read"], &[], &["C.Read"]), None, LATER);
    assert_eq!(standing, drifted(&[], 0, &["C.Read"]));
}

#[test]
fn more_than_a_report_lists_is_counted() {
    let mut cut = report(&["A.Read", "B.Read"], &["X.Write"], &[]);
    cut.consent.as_mut().unwrap().granted = 40;
    let (_, standing) = see(Some(&accepted()), &cut, None, LATER);
    assert_eq!(standing, drifted(&[], 37, &[]));
    let (first, _) = see(None, &cut, None, FIRST);
    assert_eq!(see(first.as_ref(), &cut, None, LATER).1, Standing::AsAccepted);
}

#[rstest]
#[case::no_service_principal(None, 0)]
#[case::no_grant(Some(PRINCIPAL), 0)]
fn nothing_left(#[case] principal: Option<&str>, #[case] granted: u32) {
    let mut nothing = report(&[], &[], &["A.Read", "B.Read"]);
    let consent = nothing.consent.as_mut().unwrap();
    (consent.service_principal, consent.granted) = (principal.map(str::to_owned), granted);
    assert_eq!(see(None, &nothing, None, FIRST), (None, Standing::NeverGiven), "never given, so not revoked");
    let (after, standing) = see(Some(&accepted()), &nothing, None, LATER);
    assert_eq!(standing, Standing::Revoked);
    let after = after.unwrap();
    assert_eq!(
        (after.permission_count, after.permissions.len(), after.service_principal_id.as_deref()),
        (0, 0, principal)
    );
    assert_eq!(after.changed_at, at(LATER));
    // Given again: compared with what was accepted before.
    let (_, standing) = see(Some(&after), &report(&["A.Read", "B.Read"], &["Y.Write"], &[]), None, LATER);
    assert_eq!(standing, drifted(&["Y.Write"], 0, &[]));
    let (_, standing) = see(Some(&after), &report(&["A.Read", "B.Read"], &["X.Write"], &[]), None, LATER);
    assert_eq!(standing, Standing::AsAccepted);
}

#[test]
fn another_application_starts_anew() {
    let other = Grantee { client: "other".into(), ..whose(None) };
    let report = report(&["A.Read"], &["Y.Write"], &["B.Read"]);
    let (after, standing) = assess(Some(&accepted()), &report, report.consent.as_ref().unwrap(), &other, &at(LATER));
    assert_eq!(standing, Standing::AsAccepted);
    assert_eq!(after.unwrap().first_seen_at, at(LATER));
}
