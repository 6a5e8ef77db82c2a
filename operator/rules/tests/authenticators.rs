//! CRED-005, CRED-006 and CRED-010: the only credential, too many of them, and one that several applications share.
//!
//! Of a certificate on several applications (CRED-010) no false positive of a peer is known.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeId, NodeKind, Value, attr};
use sv0_rules::{Claim, Severity};

const ONE: &str = "8C1D4B2E6F7A90123456789ABCDEF0123456789A";
const TWO: &str = "1111111111111111111111111111111111111111";

fn with(keys: &[Key<'_>]) -> World {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0);
    for key in keys {
        world.key(key);
    }
    world
}

fn until<'a>(id: &'a str, to: &'a str) -> Key<'a> {
    Key { id, to: Some(to), ..Key::default() }
}

fn claim(world: &World, rule: &str) -> Option<Claim> {
    world.finding(rule).map(|finding| finding.rule.claim)
}

// --- CRED-005 -----------------------------------------------------------------------------------------------------

#[rstest]
#[case::exactly_thirty_days("2026-07-01T00:00:00Z", true)]
#[case::a_second_more("2026-07-01T00:00:01Z", false)]
#[case::tomorrow("2026-06-02T00:00:00Z", true)]
#[case::ended("2026-06-01T00:00:00Z", false)]
#[case::no_end("none", false)]
fn cred_005_table(#[case] to: &str, #[case] expected: bool) {
    let finding = with(&[until("key-1", to)]).finding("CRED-005");
    assert_eq!(finding.is_some(), expected);
    if let Some(finding) = finding {
        assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Medium));
        assert!(
            finding.title.ends_with(&format!("only with a secret that ends on {}", &to[..10])),
            "{}",
            finding.title
        );
        assert_eq!(finding.evidence[0].source.field, "endDateTime");
    }
}

#[rstest]
#[case::another_usable(until("key-2", "2026-12-01T00:00:00Z"), None)]
#[case::another_that_ends_soon_too(until("key-2", "2026-06-12T00:00:00Z"), None)]
#[case::takes_over_in_time(Key { id: "key-2", from: Some("2026-06-05T00:00:00Z"), to: Some("2026-12-01T00:00:00Z"), ..Key::default() }, None)]
#[case::begins_too_late(Key { id: "key-2", from: Some("2026-06-20T00:00:00Z"), to: Some("2026-12-01T00:00:00Z"), ..Key::default() }, Some(Claim::Full))]
#[case::ended(Key { id: "key-2", from: Some("2025-01-01T00:00:00Z"), to: Some("2026-01-01T00:00:00Z"), ..Key::default() }, Some(Claim::Full))]
#[case::signs_tokens(Key { id: "key-2", usage: "token_signing", to: Some("2027-01-01T00:00:00Z"), ..Key::default() }, Some(Claim::Full))]
#[case::end_not_told(Key { id: "key-2", to: None, ..Key::default() }, Some(Claim::Narrower))]
#[case::use_not_known(Key { id: "key-2", usage: "unknown", to: Some("2027-01-01T00:00:00Z"), ..Key::default() }, Some(Claim::Narrower))]
fn cred_005_another_credential(#[case] other: Key<'_>, #[case] expected: Option<Claim>) {
    assert_eq!(claim(&with(&[until("key-1", "2026-06-15T00:00:00Z"), other]), "CRED-005"), expected);
}

#[test]
fn cred_005_a_credential_on_the_service_principal_counts_too() {
    let mut world = with(&[until("key-1", "2026-06-15T00:00:00Z")]);
    let sp = world.sp.clone();
    world.key_on(&sp, "servicePrincipals", &until("key-2", "2027-06-15T00:00:00Z"));
    assert_eq!(claim(&world, "CRED-005"), None);
}

/// `AzureADAssessment` #77: an application with neither a secret nor a certificate was told to have expired.
#[test]
fn cred_005_without_a_credential_nothing_ends() {
    let mut world = with(&[]);
    assert_eq!(claim(&world, "CRED-005"), None);
    world.trusts_github();
    assert_eq!(claim(&world, "CRED-005"), None);
}

#[test]
fn cred_005_federation_never_ends() {
    let mut world = with(&[until("key-1", "2026-06-15T00:00:00Z")]);
    world.trusts_github();
    assert_eq!(claim(&world, "CRED-005"), None);
}

#[rstest]
fn cred_005_ways_that_were_not_seen_may_take_over(
    #[values("applications", "servicePrincipals", "federatedCredentials")] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let mut world = with(&[until("key-1", "2026-06-15T00:00:00Z")]);
    world.cover(collection, state);
    let finding = world.finding("CRED-005").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Low));
    assert_eq!(finding.title, "A secret of \"payroll-bot\" ends on 2026-06-15");
}

#[test]
fn cred_005_an_application_elsewhere_may_have_credentials_there() {
    let mut world = World::new();
    let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(OTHER_TENANT))];
    let id = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "guest", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &until("k", "2026-06-15T00:00:00Z"));
    assert_eq!(claim(&world, "CRED-005"), Some(Claim::Narrower));
}

#[test]
fn cred_005_the_platform_renews_what_managed_identities_have() {
    let mut world = World::new();
    let id = world.b.node("servicePrincipals", NodeKind::ManagedIdentity, "mi", &[(attr::ENABLED, Value::Bool(true))]);
    let key = Key { kind: "certificate", ..until("k", "2026-06-15T00:00:00Z") };
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &key);
    assert_eq!(claim(&world, "CRED-005"), None);
}

#[test]
fn cred_005_the_days_of_warning_are_the_customers() {
    let mut world = with(&[Key::default()]);
    assert_eq!(claim(&world, "CRED-005"), None);
    world.config.expiry_warn_days = 61;
    assert_eq!(claim(&world, "CRED-005"), Some(Claim::Full));
}

// --- CRED-006 -----------------------------------------------------------------------------------------------------

fn secret<'a>(id: &'a str, from: &'a str) -> Key<'a> {
    Key { id, from: Some(from), to: Some("2026-12-01T00:00:00Z"), ..Key::default() }
}

#[rstest]
#[case::one_old(&[secret("a", "2024-01-01T00:00:00Z")], None)]
#[case::two_for_a_rotation(&[secret("a", "2024-01-01T00:00:00Z"), secret("b", "2026-05-01T00:00:00Z")], None)]
#[case::two_both_overdue(&[secret("a", "2024-01-01T00:00:00Z"), secret("b", "2026-03-03T00:00:00Z")], Some("2 credentials, none rotated since 2026-03-03"))]
#[case::one_of_two_a_second_short(&[secret("a", "2024-01-01T00:00:00Z"), secret("b", "2026-03-03T00:00:01Z")], None)]
#[case::two_one_undated(&[secret("a", "2024-01-01T00:00:00Z"), Key { id: "b", from: None, to: Some("2026-12-01T00:00:00Z"), ..Key::default() }], None)]
#[case::three(&[secret("a", "2026-05-01T00:00:00Z"), secret("b", "2026-05-01T00:00:00Z"), secret("c", "2026-05-01T00:00:00Z")], Some("3 credentials"))]
#[case::third_not_yet(&[secret("a", "2026-05-01T00:00:00Z"), secret("b", "2026-05-01T00:00:00Z"), secret("c", "2026-06-02T00:00:00Z")], None)]
// Mandiant Azure AD Investigator #14: credentials that had ended counted.
#[case::mandiant_14_third_ended(&[secret("a", "2026-05-01T00:00:00Z"), secret("b", "2026-05-01T00:00:00Z"), Key { id: "c", to: Some("2026-05-31T00:00:00Z"), ..Key::default() }], None)]
#[case::third_signs_tokens(&[secret("a", "2026-05-01T00:00:00Z"), secret("b", "2026-05-01T00:00:00Z"), Key { id: "c", usage: "token_signing", ..Key::default() }], None)]
fn cred_006_table(#[case] keys: &[Key<'_>], #[case] expected: Option<&str>) {
    let finding = with(keys).finding("CRED-006");
    assert_eq!(finding.is_some(), expected.is_some(), "{finding:?}");
    if let (Some(finding), Some(expected)) = (finding, expected) {
        assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
        assert!(finding.title.ends_with(&format!("can sign in with {expected}")), "{}", finding.title);
        assert!(finding.evidence.iter().filter(|item| item.source.field == "keyId").count() >= keys.len());
    }
}

#[rstest]
#[case::applications("applications")]
#[case::service_principals("servicePrincipals")]
fn cred_006_of_a_partial_listing_it_says_at_least(#[case] collection: &str) {
    let fresh = "2026-05-01T00:00:00Z";
    let mut world = with(&[secret("a", fresh), secret("b", fresh), secret("c", fresh)]);
    world.cover(collection, CoverageState::Partial);
    let finding = world.finding("CRED-006").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
    assert!(finding.title.ends_with("at least 3 credentials"), "{}", finding.title);
}

#[test]
fn cred_006_of_a_credential_that_cannot_be_judged_it_says_at_least() {
    let fresh = "2026-05-01T00:00:00Z";
    let world = with(&[
        secret("a", fresh),
        secret("b", fresh),
        secret("c", fresh),
        Key { id: "d", to: None, ..Key::default() },
    ]);
    assert_eq!(claim(&world, "CRED-006"), Some(Claim::Narrower));
    let world = with(&[secret("a", fresh), secret("b", fresh), Key { id: "d", to: None, ..Key::default() }]);
    assert_eq!(claim(&world, "CRED-006"), None);
}

/// A secret told on the application and on its service principal is one secret.
#[test]
fn cred_006_the_same_key_on_application_and_service_principal_counts_once() {
    let fresh = "2026-05-01T00:00:00Z";
    let mut world = with(&[secret("a", fresh), secret("b", fresh)]);
    let sp = world.sp.clone();
    world.key_on(&sp, "servicePrincipals", &secret("a", fresh));
    assert_eq!(claim(&world, "CRED-006"), None);
    world.key_on(&sp, "servicePrincipals", &secret("c", fresh));
    assert_eq!(claim(&world, "CRED-006"), Some(Claim::Full));
}

#[test]
fn cred_006_the_same_certificate_twice_counts_once() {
    let certificate = |id| Key { id, kind: "certificate", thumbprint: Some(ONE), ..Key::default() };
    let world = with(&[certificate("a"), certificate("b"), secret("c", "2026-05-01T00:00:00Z")]);
    assert_eq!(claim(&world, "CRED-006"), None);
}

#[test]
fn cred_006_weighs_less_on_bounded_authority() {
    let fresh = "2026-05-01T00:00:00Z";
    let mut world = World::new();
    world.enabled(true).role(BILLING_ADMINISTRATOR).owners_read(0, 0);
    world.key(&secret("a", fresh)).key(&secret("b", fresh)).key(&secret("c", fresh));
    assert_eq!(world.finding("CRED-006").unwrap().severity, Severity::Low);
}

// --- CRED-010 -----------------------------------------------------------------------------------------------------

fn certificate<'a>(id: &'a str, thumbprint: &'a str) -> Key<'a> {
    Key { id, kind: "certificate", thumbprint: Some(thumbprint), ..Key::default() }
}

/// Another application with its service principal; it holds no authority.
fn other(world: &mut World, id: &str) -> NodeId {
    let name = (attr::NAME, text(&format!("other {id}")));
    let app = world.b.node("applications", NodeKind::Application, id, std::slice::from_ref(&name));
    let sp = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, &format!("sp-of-{id}"), &[name]);
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
    app
}

#[test]
fn cred_010_a_certificate_on_two_applications_is_one_authenticator() {
    let mut world = with(&[certificate("a", ONE)]);
    let second = other(&mut world, "app-2");
    world.key_on(&second, "applications", &certificate("b", ONE));
    let finding = world.finding("CRED-010").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
    assert!(finding.title.ends_with("a certificate that one other application accepts too"), "{}", finding.title);
    assert_eq!(finding.evidence[0].value.as_deref(), Some(ONE));
    assert_eq!(finding.evidence[0].source.field, "customKeyIdentifier");
    assert!(finding.evidence.iter().any(|item| item.claim.contains("application \"other app-2\" accepts")));
}

#[test]
fn cred_010_every_identity_that_shares_it_has_its_finding_and_names_the_others() {
    let mut world = with(&[certificate("a", ONE)]);
    for id in ["app-2", "app-3"] {
        let app = other(&mut world, id);
        world.key_on(&app, "applications", &certificate("b", ONE));
        let sp = world.b.node(
            "servicePrincipals",
            NodeKind::ServicePrincipal,
            &format!("sp-of-{id}"),
            &[(attr::ENABLED, Value::Bool(true))],
        );
        world.role_of(&sp, BILLING_ADMINISTRATOR, "/");
    }
    let found: Vec<_> = world.run().findings.into_iter().filter(|finding| finding.rule.id == "CRED-010").collect();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|finding| finding.title.contains("2 other applications accept")));
}

/// An application and its own service principal are one identity.
#[rstest]
#[case::by_the_edge(false)]
#[case::by_the_application_id(true)]
fn cred_010_an_application_and_its_own_service_principal_share_by_nature(#[case] by_id: bool) {
    let mut world = with(&[certificate("a", ONE)]);
    let holder = if by_id {
        let id = (attr::APP_ID, text("cccccccc-0000-4000-8000-00000000000c"));
        world.b.node("selfCheck", NodeKind::Application, "app-1", std::slice::from_ref(&id));
        world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-9", &[id])
    } else {
        world.sp.clone()
    };
    world.key_on(&holder, "servicePrincipals", &certificate("b", ONE));
    assert_eq!(claim(&world, "CRED-010"), None);
}

#[rstest]
#[case::another_certificate(certificate("b", TWO))]
#[case::signs_tokens(Key { usage: "token_signing", ..certificate("b", ONE) })]
#[case::use_not_known(Key { usage: "unknown", ..certificate("b", ONE) })]
#[case::ended(Key { from: Some("2025-01-01T00:00:00Z"), to: Some("2026-01-01T00:00:00Z"), ..certificate("b", ONE) })]
#[case::not_yet(Key { from: Some("2026-07-01T00:00:00Z"), ..certificate("b", ONE) })]
#[case::no_certificate(Key { kind: "secret", ..certificate("b", ONE) })]
fn cred_010_near_misses_on_the_other_application(#[case] key: Key<'_>) {
    let mut world = with(&[certificate("a", ONE)]);
    let second = other(&mut world, "app-2");
    world.key_on(&second, "applications", &key);
    assert_eq!(claim(&world, "CRED-010"), None);
}

/// The field can hold any label that its writer chose.
#[rstest]
#[case::empty("")]
#[case::label("vsts")]
#[case::as_long_as_one("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")]
fn cred_010_a_label_is_no_thumbprint(#[case] label: &str) {
    let mut world = with(&[certificate("a", label)]);
    let second = other(&mut world, "app-2");
    world.key_on(&second, "applications", &certificate("b", label));
    assert_eq!(claim(&world, "CRED-010"), None);
}

#[test]
fn cred_010_the_platforms_certificates_do_not_count() {
    let mut world = with(&[certificate("a", ONE)]);
    let id = world.b.node("servicePrincipals", NodeKind::ManagedIdentity, "mi", &[]);
    world.key_on(&id, "servicePrincipals", &certificate("b", ONE));
    assert_eq!(claim(&world, "CRED-010"), None);
}

#[test]
fn cred_010_what_was_seen_counts_though_a_collection_is_incomplete() {
    let mut world = with(&[certificate("a", ONE)]);
    let second = other(&mut world, "app-2");
    world.key_on(&second, "applications", &certificate("b", ONE)).cover("applications", CoverageState::Partial);
    assert_eq!(claim(&world, "CRED-010"), Some(Claim::Full));
}

#[test]
fn cred_010_many_sharers_are_counted_and_some_named() {
    let mut world = with(&[certificate("a", ONE)]);
    for n in 0..40 {
        let app = other(&mut world, &format!("many-{n:02}"));
        world.key_on(&app, "applications", &certificate("b", ONE));
    }
    let finding = world.finding("CRED-010").unwrap();
    assert!(finding.title.contains("40 other applications"));
    assert_eq!(finding.evidence.iter().filter(|item| item.claim.contains("same thumbprint")).count(), 10);
}

#[test]
fn cred_010_changes_when_the_other_applications_entry_ends() {
    let mut world = with(&[Key { to: Some("2026-08-30T00:00:00Z"), ..certificate("a", ONE) }]);
    let second = other(&mut world, "app-2");
    world.key_on(&second, "applications", &Key { to: Some("2026-06-03T00:00:00Z"), ..certificate("b", ONE) });
    assert_eq!(world.run().next_transition, Some("2026-06-03T00:00:00Z".parse().unwrap()));
}
