//! What each step of a scan, good and bad, makes of an instance's status, and what it must leave as it was.

use super::*;
use rstest::rstest;
use serde_json::{Value, json};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn draft(status: Option<&ConnectorInstanceStatus>, time: &str) -> Draft {
    Draft::new(status, Some(3), at(time))
}

fn ordered() -> ConnectorInstanceStatus {
    draft(None, "2026-05-05T10:00:00.7Z").ordered("id".into(), "sv0-scan-x".into(), "Initial", Some("r1")).finish()
}

fn report(changes: &Value) -> ScanReport {
    let mut report = json!({
        "scanId": "id", "outcome": "Complete", "requests": 12, "tokenRequests": 1, "items": 99,
        "startedAt": "2026-05-05T10:00:01Z", "finishedAt": "2026-05-05T10:00:09Z", "completeCollections": 12,
        "snapshot": {"id": "id", "digest": "sha256:aa"},
    });
    for (key, value) in changes.as_object().unwrap() {
        report[key] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

#[allow(clippy::needless_pass_by_value, reason = "called with json!")]
fn harvested(changes: Value) -> ConnectorInstanceStatus {
    draft(Some(&ordered()), "2026-05-05T10:00:10Z").harvested(Ok(report(&changes))).finish()
}

fn condition(status: &ConnectorInstanceStatus, type_: &str) -> (String, String) {
    conditions::find(&status.conditions, type_)
        .map_or(("-".into(), "-".into()), |c| (c.status.clone(), c.reason.clone()))
}

fn is(status: &ConnectorInstanceStatus, type_: &str, value: &str, reason: &str) {
    assert_eq!(condition(status, type_), (value.to_owned(), reason.to_owned()), "{type_}");
}

#[test]
fn an_order_is_recorded_with_everything_needed_to_find_it_again() {
    let status = ordered();
    let active = status.active_scan.as_ref().unwrap();
    assert_eq!((active.id.as_str(), active.job_name.as_str()), ("id", "sv0-scan-x"));
    assert_eq!(active.started_at.0, at("2026-05-05T10:00:00Z"), "whole seconds");
    assert_eq!(status.last_handled_scan_request.as_deref(), Some("r1"));
    assert_eq!(status.observed_generation, Some(3));
    is(&status, READY, "Unknown", "ScanUnderWay");
    is(&status, RECONCILING, "True", SCAN_ORDERED);
}

#[test]
fn a_complete_scan() {
    let status = harvested(json!({}));
    is(&status, READY, "True", "ScanComplete");
    is(&status, SCAN_SUCCEEDED, "True", "Complete");
    is(&status, AUTHENTICATED, "True", "SignedIn");
    is(&status, PERMISSIONS_SUFFICIENT, "True", "Granted");
    is(&status, RECONCILING, "False", "Idle");
    is(&status, COLLECTION_CHANGE_PENDING, "False", "UpToDate");
    assert_eq!(status.active_scan, None);
    assert_eq!(status.coverage.unwrap().summary, "12/12");
    let snapshot = status.snapshot.unwrap();
    assert_eq!((snapshot.digest.as_str(), snapshot.collected_at.0), ("sha256:aa", at("2026-05-05T10:00:00Z")));
}

#[test]
fn a_partial_scan_names_what_is_missing_and_keeps_a_snapshot() {
    let status = harvested(json!({"outcome": "Partial", "reason": "PermissionMissing", "completeCollections": 11,
        "gaps": [{"collection": "appRoleAssignments", "state": "denied", "reason": "PermissionMissing", "permission": "Application.Read.All"}],
        "permissionsMissing": ["User.Read.All", "Application.Read.All"]}));
    is(&status, READY, "False", "PermissionMissing");
    is(&status, SCAN_SUCCEEDED, "True", "Partial");
    is(&status, PERMISSIONS_SUFFICIENT, "False", "PermissionMissing");
    is(&status, STALLED, "False", "Progressing");
    assert_eq!(status.permissions_missing, ["Application.Read.All", "User.Read.All"]);
    assert_eq!(status.coverage.as_ref().unwrap().summary, "11/12");
    assert!(status.snapshot.is_some());
    let text = &conditions::find(&status.conditions, PERMISSIONS_SUFFICIENT).unwrap().message;
    assert!(text.contains("Application.Read.All, User.Read.All"), "{text}");
}

#[test]
fn a_collection_that_waits_for_consent_is_not_a_fault() {
    let status =
        harvested(json!({"outcome": "Partial", "reason": "CollectionNotAccepted", "pendingCollectionRevision": 2,
        "gaps": [{"collection": "signIns", "state": "skipped", "reason": "CollectionNotAccepted"}]}));
    is(&status, READY, "True", "ScanComplete");
    is(&status, COLLECTION_CHANGE_PENDING, "True", "CollectionNotAccepted");
    assert_eq!(status.coverage.unwrap().summary, "12/12", "of what was accepted");
}

/// What a newer connector says of itself under each accepted revision; what it then reads is in the table beside the
/// order.
#[rstest]
#[case::waits(json!({"pendingCollectionRevision": 2, "gaps": waiting(&["groups", "servicePlans"])}), "True", "CollectionNotAccepted",
    "Collection revision 2 is not accepted, so nothing of it is read. It would newly read: groups, servicePlans. To accept it, grant the permissions that it needs and set spec.acceptedCollectionRevision: 2")]
#[case::beside_another_gap(json!({"outcome": "Partial", "reason": "PermissionMissing", "pendingCollectionRevision": 2,
    "gaps": [{"collection": "ownerRoles", "state": "denied", "reason": "PermissionMissing"}, waiting(&["groups"])[0]]}), "True", "CollectionNotAccepted",
    "It would newly read: groups. To accept")]
#[case::more_than_a_report_lists(json!({"pendingCollectionRevision": 2, "gaps": waiting(&["c"; 16])}), "True", "CollectionNotAccepted", "c, c and more.")]
#[case::names_cut_off(json!({"pendingCollectionRevision": 3}), "True", "CollectionNotAccepted", "nothing of it is read. To accept it")]
#[case::accepted(json!({}), "False", "UpToDate", "No newer collection revision waits.")]
fn a_newer_revision_is_told_with_what_it_reads(
    #[case] changes: Value,
    #[case] value: &str,
    #[case] reason: &str,
    #[case] text: &str,
) {
    let status = harvested(changes);
    is(&status, COLLECTION_CHANGE_PENDING, value, reason);
    let said = &conditions::find(&status.conditions, COLLECTION_CHANGE_PENDING).unwrap().message;
    assert!(said.contains(text), "{said}");
}

fn waiting(collections: &[&str]) -> Vec<Value> {
    let gap = |name: &&str| json!({"collection": name, "state": "skipped", "reason": "CollectionNotAccepted"});
    collections.iter().map(gap).collect()
}

#[test]
fn a_scan_that_failed_does_not_say_that_no_revision_waits() {
    let waits = harvested(json!({"pendingCollectionRevision": 2, "gaps": waiting(&["groups"])}));
    let failed = then(&waits, json!({"outcome": "Failed", "reason": "UpstreamUnavailable", "snapshot": null}));
    is(&failed, COLLECTION_CHANGE_PENDING, "True", "CollectionNotAccepted");
    is(&then(&failed, json!({})), COLLECTION_CHANGE_PENDING, "False", "UpToDate");
}

const PRINCIPAL: &str = "33333333-3333-4333-8333-333333333333";

/// A scan that read its own grants.
fn granted(needed: &[&str], excess: &[&str], missing: &[&str]) -> Value {
    let consent = json!({"servicePrincipal": PRINCIPAL, "needed": needed, "granted": needed.len() + excess.len()});
    json!({"permissionsExcess": excess, "permissionsMissing": missing, "consent": consent})
}

/// The next scan, an hour later, of the same instance.
#[allow(clippy::needless_pass_by_value, reason = "called with json!")]
fn then(before: &ConnectorInstanceStatus, changes: Value) -> ConnectorInstanceStatus {
    let begun = draft(Some(before), "2026-05-05T11:00:00Z").ordered("id".into(), "j".into(), "Retry", None).finish();
    draft(Some(&begun), "2026-05-05T11:00:10Z").harvested(Ok(report(&changes))).finish()
}

fn consented() -> ConnectorInstanceStatus {
    let status = harvested(granted(&["A.Read", "B.Read"], &[], &[]));
    is(&status, CONSENT_UNCHANGED, "True", "AsAccepted");
    status
}

fn failed(reason: &str) -> Value {
    json!({"outcome": "Failed", "reason": reason, "snapshot": null, "requests": 5, "tokenRequests": 1})
}

#[test]
fn drift_names_what_changed_and_how_to_accept_it() {
    let drifted = then(&consented(), granted(&["A.Read"], &["X.Write"], &["B.Read"]));
    is(&drifted, CONSENT_UNCHANGED, "False", "ConsentDrifted");
    is(&drifted, READY, "True", "ScanComplete");
    let text = &conditions::find(&drifted.conditions, CONSENT_UNCHANGED).unwrap().message;
    let digest = &drifted.consent.as_ref().unwrap().digest;
    assert_eq!(
        text,
        &format!(
            "Granted since the last accepted state, and not needed: X.Write. Taken away since the last accepted state, and needed: B.Read. Undo it at the source system, or accept it with spec.acceptedConsent: {digest}"
        )
    );
    let back = then(&drifted, granted(&["A.Read", "B.Read"], &[], &[]));
    is(&back, CONSENT_UNCHANGED, "True", "AsAccepted");
}

#[test]
fn a_scan_that_could_not_read_its_grants_changes_nothing_about_them() {
    let before = consented();
    for changes in
        [json!({}), partial("UpstreamUnavailable"), failed("UpstreamUnavailable"), failed("PermissionMissing")]
    {
        let after = then(&before, changes);
        assert_eq!(after.consent, before.consent);
        is(&after, CONSENT_UNCHANGED, "True", "AsAccepted");
    }
    assert_eq!(harvested(json!({})).consent, None);
    is(&harvested(json!({})), CONSENT_UNCHANGED, "-", "-");
}

#[rstest]
#[case::all_refused("ConsentRevoked", "ConsentRevoked", Some(PRINCIPAL))]
#[case::service_principal_gone("ServicePrincipalMissing", "ServicePrincipalMissing", None)]
#[case::enterprise_application_deleted("AppNotInTenant", "AppNotInTenant", None)]
#[case::no_consent("ConsentRequired", "ConsentRequired", None)]
fn consent_that_is_taken_away(#[case] reason: &str, #[case] ready: &str, #[case] principal: Option<&str>) {
    let revoked = then(&consented(), failed(reason));
    is(&revoked, CONSENT_UNCHANGED, "False", "ConsentRevoked");
    is(&revoked, READY, "False", ready);
    is(&revoked, STALLED, "True", ready);
    let consent = revoked.consent.as_ref().unwrap();
    assert_eq!((consent.permission_count, consent.service_principal_id.as_deref()), (0, principal));
    let back = then(&revoked, granted(&["A.Read", "B.Read"], &[], &[]));
    is(&back, CONSENT_UNCHANGED, "True", "AsAccepted");
    is(&back, READY, "True", "ScanComplete");
    is(&back, STALLED, "False", "Progressing");
}

#[test]
fn consent_that_never_was_is_not_revoked() {
    let status = harvested(failed("ConsentRevoked"));
    is(&status, READY, "False", "ConsentRequired");
    is(&status, AUTHENTICATED, "True", "SignedIn");
    is(&status, CONSENT_UNCHANGED, "-", "-");
    let refused =
        json!({"outcome": "Failed", "reason": "ConsentRequired", "snapshot": null, "requests": 1, "tokenRequests": 1});
    is(&harvested(refused), AUTHENTICATED, "False", "ConsentRequired");
    assert_eq!(status.last_scan.unwrap().reason.as_deref(), Some("ConsentRequired"));
    let nothing = json!({"consent": {"servicePrincipal": PRINCIPAL, "granted": 0}});
    is(&harvested(nothing), CONSENT_UNCHANGED, "False", "ConsentRequired");
}

#[rstest]
#[case::roles_gone(json!({"servicePrincipal": PRINCIPAL, "granted": 0}))]
#[case::service_principal_gone(json!({"granted": 0}))]
fn a_token_of_before_does_not_make_up_for_consent(#[case] consent: Value) {
    let revoked = then(&consented(), json!({"consent": consent, "permissionsMissing": ["A.Read"]}));
    is(&revoked, SCAN_SUCCEEDED, "True", "Complete");
    is(&revoked, CONSENT_UNCHANGED, "False", "ConsentRevoked");
    is(&revoked, READY, "False", "ConsentRevoked");
    assert_eq!(trouble(&revoked), Some(Reason::ConsentRevoked), "looked at again within the hour");
    assert_eq!(revoked.consecutive_failures, 0);
}

fn with_instance(auth: &str, status: Option<ConnectorInstanceStatus>) -> ConnectorInstance {
    ConnectorInstance { status, ..crate::testing::instance(auth) }
}

/// The next scan of this instance.
#[allow(clippy::needless_pass_by_value, reason = "called with json!")]
fn scanned(mut instance: ConnectorInstance, changes: Value) -> ConnectorInstance {
    let now = at("2026-05-05T12:00:00Z");
    instance.status = Some(Draft::of(&instance, now).ordered("id".into(), "j".into(), "Retry", None).finish());
    instance.status = Some(Draft::of(&instance, now).harvested(Ok(report(&changes))).finish());
    instance
}

fn status(instance: &ConnectorInstance) -> &ConnectorInstanceStatus {
    instance.status.as_ref().unwrap()
}

#[test]
fn another_application_in_the_spec_starts_a_new_account_of_consent() {
    let one = scanned(with_instance(r#"{"workloadIdentity": {}}"#, None), granted(&["A.Read"], &[], &[]));
    assert_eq!(status(&one).consent.as_ref().unwrap().tenant_id, "11111111-1111-4111-8111-111111111111");
    let mut other = one.clone();
    other.spec.entra.as_mut().unwrap().client_id = "44444444-4444-4444-8444-444444444444".into();
    let refused = scanned(other.clone(), failed("AppNotInTenant"));
    assert_eq!(status(&refused).consent, None);
    is(status(&refused), CONSENT_UNCHANGED, "-", "-");
    let fresh = scanned(other, granted(&["A.Read"], &["X.Write"], &[]));
    is(status(&fresh), CONSENT_UNCHANGED, "True", "AsAccepted");
}

#[test]
fn accepting_consent_takes_the_digest_of_the_state_that_is_meant() {
    let one = scanned(with_instance(r#"{"workloadIdentity": {}}"#, None), granted(&["A.Read"], &[], &[]));
    let mut drifted = scanned(one, granted(&["A.Read"], &["X.Write"], &[]));
    is(status(&drifted), CONSENT_UNCHANGED, "False", "ConsentDrifted");
    drifted.spec.accepted_consent = Some(status(&drifted).consent.as_ref().unwrap().digest.clone());
    let accepted = scanned(drifted, granted(&["A.Read"], &["X.Write"], &[]));
    is(status(&accepted), CONSENT_UNCHANGED, "True", "AsAccepted");
    let again = scanned(accepted, granted(&["A.Read"], &["X.Write", "Y.Write"], &[]));
    is(status(&again), CONSENT_UNCHANGED, "False", "ConsentDrifted");
}

#[test]
fn the_end_of_the_credential_follows_what_scans_see_and_the_way_to_sign_in() {
    let secret = r#"{"clientSecret": {"secretName": "sv0-entra"}}"#;
    let soon = json!({"credentialExpiresAt": "2026-05-20T00:00:00.5Z"});
    let one = scanned(with_instance(secret, None), soon);
    is(status(&one), CREDENTIAL_EXPIRING, "True", "CredentialExpiring");
    is(status(&one), READY, "True", "ScanComplete");
    let lost = scanned(one.clone(), partial("LastPageLost"));
    is(status(&lost), CREDENTIAL_EXPIRING, "True", "CredentialExpiring");
    let unclear = scanned(one.clone(), json!({}));
    is(status(&unclear), CREDENTIAL_EXPIRING, "Unknown", "EndUnknown");
    let renewed = scanned(one.clone(), json!({"credentialExpiresAt": "2027-05-20T00:00:00Z"}));
    is(status(&renewed), CREDENTIAL_EXPIRING, "False", "NotSoon");
    let federated = ConnectorInstance { spec: with_instance(r#"{"workloadIdentity": {}}"#, None).spec, ..one };
    let federated = scanned(federated, partial("LastPageLost"));
    is(status(&federated), CREDENTIAL_EXPIRING, "False", "NothingStored");
    assert_eq!(status(&federated).credential_expires_at, None);
}

#[test]
fn before_the_first_scan_nothing_is_said_about_the_credential() {
    let fresh = with_instance(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#, None);
    let refused = Draft::of(&fresh, at("2026-05-05T12:00:00Z")).refused(Reason::NotAnEstate).finish();
    is(&refused, CREDENTIAL_EXPIRING, "-", "-");
}

#[test]
fn a_closed_node_is_said_with_what_the_administrator_must_set() {
    let instance = with_instance(r#"{"managedIdentity": {}}"#, None);
    let draft = Draft::of(&instance, at("2026-05-05T12:00:00Z"));
    let text = super::super::validate::NODE_CLOSED;
    let refused = draft.refused_saying(Reason::NetworkNotAllowed, text).finish();
    for type_ in [READY, STALLED] {
        let said = conditions::find(&refused.conditions, type_).unwrap();
        assert_eq!((said.reason.as_str(), said.message.as_str()), ("NetworkNotAllowed", text));
    }
    is(&refused, STALLED, "True", "NetworkNotAllowed");
    assert!(text.contains("scan.allowMetadataEndpoint to true"));
}

#[rstest]
#[case::credential("CredentialInvalid", "True", "CredentialInvalid", ("False", "CredentialInvalid"))]
#[case::federation("FederationMismatch", "True", "FederationMismatch", ("False", "FederationMismatch"))]
#[case::outage("UpstreamUnavailable", "False", "Progressing", ("-", "-"))]
#[case::store("StoreUnavailable", "False", "Progressing", ("-", "-"))]
fn a_failed_scan(
    #[case] reason: &str,
    #[case] stalled: &str,
    #[case] stalled_reason: &str,
    #[case] signed_in: (&str, &str),
) {
    let status = harvested(json!({"outcome": "Failed", "reason": reason, "snapshot": null, "requests": 3,
        "tokenRequests": 3, "vendorCode": "AADSTS7000215"}));
    is(&status, READY, "False", reason);
    is(&status, SCAN_SUCCEEDED, "False", reason);
    is(&status, STALLED, stalled, stalled_reason);
    is(&status, AUTHENTICATED, signed_in.0, signed_in.1);
    assert_eq!(status.consecutive_failures, 1);
    assert_eq!(status.last_scan.as_ref().unwrap().vendor_code.as_deref(), Some("AADSTS7000215"));
    let ready = conditions::find(&status.conditions, READY).unwrap();
    assert!(ready.message.ends_with("(AADSTS7000215)"), "{}", ready.message);
}

#[test]
fn a_failure_leaves_the_last_good_snapshot_and_a_success_resets_the_count() {
    let good = harvested(json!({}));
    let again = draft(Some(&good), "2026-05-05T11:00:00Z").ordered("id2".into(), "j2".into(), "Retry", None).finish();
    assert_eq!(again.last_handled_scan_request.as_deref(), Some("r1"), "kept");
    is(&again, READY, "True", "ScanComplete");
    let lost = draft(Some(&again), "2026-05-05T11:01:00Z").harvested(Err(Reason::Lost)).finish();
    assert_eq!(lost.snapshot, good.snapshot);
    assert_eq!(lost.coverage, good.coverage);
    assert_eq!(lost.consecutive_failures, 1);
    is(&lost, AUTHENTICATED, "True", "SignedIn");
    let again = draft(Some(&lost), "2026-05-05T11:02:00Z").ordered("id".into(), "j3".into(), "Retry", None).finish();
    let well = draft(Some(&again), "2026-05-05T11:03:00Z").harvested(Ok(report(&json!({})))).finish();
    assert_eq!(well.consecutive_failures, 0);
}

#[test]
fn times_of_transition_change_with_the_status_only() {
    let time =
        |status: &ConnectorInstanceStatus| conditions::find(&status.conditions, READY).unwrap().last_transition_time.0;
    let refused = draft(None, "2026-05-05T10:00:00Z").refused(Reason::ServiceAccountMissing).finish();
    let later = draft(Some(&refused), "2026-05-05T10:30:00Z").refused(Reason::ServiceAccountMissing).finish();
    assert_eq!(refused, later, "nothing to write");
    let other = draft(Some(&later), "2026-05-05T10:40:00Z").refused(Reason::ServiceAccountNotAllowed).finish();
    assert_eq!(time(&other), time(&refused), "still False");
    is(&other, STALLED, "True", "ServiceAccountNotAllowed");
    let resumed = draft(Some(&other), "2026-05-05T10:50:00Z").ordered("i".into(), "j".into(), "Retry", None).finish();
    is(&resumed, STALLED, "False", "Progressing");
}

#[test]
fn held_up_and_released() {
    let held = draft(Some(&ordered()), "2026-05-05T10:00:30Z").held_up(Reason::ImagePullFailed).finish();
    is(&held, READY, "False", "ImagePullFailed");
    is(&held, STALLED, "True", "ImagePullFailed");
    is(&held, RECONCILING, "True", SCAN_HELD_UP);
    assert!(held.active_scan.is_some());
    let released = draft(Some(&held), "2026-05-05T10:00:40Z").started().finish();
    is(&released, STALLED, "False", "Progressing");
    is(&released, READY, "Unknown", "ScanUnderWay");
}

#[test]
fn trying_again_does_not_hide_what_is_wrong() {
    let failed = harvested(json!({"outcome": "Failed", "reason": "CredentialInvalid", "snapshot": null}));
    let again = draft(Some(&failed), "2026-05-05T11:00:00Z").ordered("i".into(), "j".into(), "Retry", None).started();
    let again = again.finish();
    is(&again, READY, "False", "CredentialInvalid");
    is(&again, STALLED, "True", "CredentialInvalid");
}

#[test]
fn suspended_and_resumed() {
    let suspended = draft(Some(&harvested(json!({}))), "2026-05-05T12:00:00Z").suspended().finish();
    is(&suspended, READY, "False", "Suspended");
    is(&suspended, STALLED, "False", "Suspended");
    let resumed = Draft::new(Some(&suspended), Some(4), at("2026-05-05T13:00:00Z"));
    let resumed = resumed.ordered("i".into(), "j".into(), "SpecChanged", None).finish();
    is(&resumed, READY, "Unknown", "ScanUnderWay");
}

#[test]
fn a_status_survives_the_api_server() {
    let status = harvested(json!({"credentialExpiresAt": "2026-12-01T00:00:00.5Z"}));
    let back: ConnectorInstanceStatus = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!(back, status);
}

#[rstest]
#[case::as_asked(json!(9), "2026-05-05T10:00:20Z")]
#[case::at_once(json!(0), "2026-05-05T10:00:11Z")]
#[case::a_day_at_most(json!(u64::MAX), "2026-05-06T10:00:11Z")]
fn the_wish_for_distance_is_recorded(#[case] seconds: Value, #[case] expected: &str) {
    let throttled =
        json!({"outcome": "Failed", "reason": "RateLimited", "snapshot": null, "retryAfterSeconds": seconds});
    let status = harvested(throttled);
    assert_eq!(status.last_scan.as_ref().unwrap().not_before.as_ref().unwrap().0, at(expected));
    let again = draft(Some(&status), "2026-05-06T11:00:00Z").ordered("id".into(), "j".into(), "Retry", None).finish();
    let well = draft(Some(&again), "2026-05-06T11:01:00Z").harvested(Ok(report(&json!({})))).finish();
    assert_eq!(well.last_scan.unwrap().not_before, None, "a new scan, a new wish");
}

fn partial(reason: &str) -> Value {
    json!({"outcome": "Partial", "reason": reason, "completeCollections": 11,
        "gaps": [{"collection": "servicePrincipals", "state": "partial", "reason": reason}]})
}

#[test]
fn passing_gaps_lengthen_the_wait_until_a_scan_is_whole() {
    let one = harvested(partial("LastPageLost"));
    assert_eq!(one.consecutive_failures, 1);
    let again = draft(Some(&one), "2026-05-05T10:02:00Z").ordered("id".into(), "j".into(), "Retry", None).finish();
    let two = draft(Some(&again), "2026-05-05T10:03:00Z").harvested(Ok(report(&partial("LastPageLost")))).finish();
    assert_eq!(two.consecutive_failures, 2);
    assert!(two.snapshot.is_some());
    let again = draft(Some(&two), "2026-05-05T10:05:00Z").ordered("id".into(), "j".into(), "Retry", None).finish();
    let whole = draft(Some(&again), "2026-05-05T10:06:00Z").harvested(Ok(report(&json!({})))).finish();
    assert_eq!(whole.consecutive_failures, 0);
    assert_eq!(harvested(partial("PermissionMissing")).consecutive_failures, 0, "waits for the customer, at even pace");
}

#[test]
fn gaps_that_were_cut_off_do_not_make_an_instance_ready() {
    let status = harvested(json!({"outcome": "Partial", "reason": "PermissionMissing", "gaps": []}));
    is(&status, READY, "False", "PermissionMissing");
}
