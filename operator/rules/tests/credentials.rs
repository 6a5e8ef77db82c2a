//! CRED-002 and CRED-003: how long credentials live, and how old they are.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, Graph, NodeKind, attr};
use sv0_rules::{Claim, Severity};

fn with(keys: &[Key<'_>]) -> World {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0);
    for key in keys {
        world.key(key);
    }
    world
}

fn key<'a>(from: Option<&'a str>, to: Option<&'a str>) -> Key<'a> {
    Key { from, to, ..Key::default() }
}

#[rstest]
#[case::at_the_limit("secret", "2026-05-01T00:00:00Z", "2027-05-01T00:00:00Z", false)]
#[case::part_of_a_day_over("secret", "2026-05-01T00:00:00Z", "2027-05-01T23:59:59Z", false)]
#[case::a_day_over("secret", "2026-05-01T00:00:00Z", "2027-05-02T00:00:00Z", true)]
#[case::far_future("secret", "2026-05-01T00:00:00Z", "2299-12-30T00:00:00Z", true)]
#[case::no_end("secret", "2026-05-01T00:00:00Z", "none", true)]
#[case::certificate_at_its_own_limit("certificate", "2026-05-01T00:00:00Z", "2026-10-28T00:00:00Z", false)]
#[case::certificate_over_it("certificate", "2026-05-01T00:00:00Z", "2026-10-29T00:00:00Z", true)]
fn cred_002_table(#[case] kind: &str, #[case] from: &str, #[case] to: &str, #[case] expected: bool) {
    let world = with(&[Key { kind, from: Some(from), to: Some(to), ..Key::default() }]);
    let finding = world.finding("CRED-002");
    assert_eq!(finding.is_some(), expected);
    if let Some(finding) = finding {
        assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
        assert_eq!(finding.evidence[0].source.field, "endDateTime");
    }
}

#[test]
fn cred_002_without_a_first_day_a_lifetime_cannot_be_said() {
    assert_eq!(with(&[key(None, Some("2099-01-01T00:00:00Z"))]).finding("CRED-002"), None);
    assert!(with(&[key(None, Some("none"))]).finding("CRED-002").is_some());
}

/// Mandiant Azure AD Investigator #14: applications were told for credentials that had ended.
#[test]
fn cred_002_expired_credentials_and_signing_keys_do_not_count() {
    let expired = key(Some("2019-01-01T00:00:00Z"), Some("2024-01-01T00:00:00Z"));
    let signing = Key { id: "saml", usage: "token_signing", to: Some("2099-01-01T00:00:00Z"), ..Key::default() };
    let world = with(&[Key::default(), Key { id: "old", ..expired }, signing]);
    assert_eq!(world.finding("CRED-002"), None);
    assert_eq!(world.finding("CRED-003"), None);
}

#[test]
fn cred_002_limits_are_the_customers() {
    let mut world = with(&[Key::default()]);
    assert_eq!(world.finding("CRED-002"), None);
    world.config.max_secret_lifetime_days = 30;
    assert!(world.finding("CRED-002").unwrap().title.contains("lives 92 days (limit 30)"));
}

#[test]
fn cred_002_one_finding_lists_every_credential_of_the_identity() {
    let long = |id| Key { id, to: Some("2031-01-01T00:00:00Z"), ..Key::default() };
    let mut world = with(&[long("a"), long("b"), Key::default()]);
    let sp = world.sp.clone();
    world.key_on(&sp, "servicePrincipals", &long("c"));
    let finding = world.finding("CRED-002").unwrap();
    assert!(finding.title.contains("3 credentials"));
    let objects: Vec<_> = finding
        .evidence
        .iter()
        .filter(|item| item.source.field == "endDateTime")
        .map(|item| item.source.object.clone())
        .collect();
    assert_eq!(objects[..3], ["app-1/a", "app-1/b", "sp-1/c"]);
}

#[rstest]
#[case::strong(APPLICATION_ADMINISTRATOR, Severity::High)]
#[case::bounded(BILLING_ADMINISTRATOR, Severity::Low)]
fn credentials_weigh_by_what_they_open(#[case] role: &str, #[case] expected: Severity) {
    let mut world = World::new();
    let old = Key { from: Some("2024-01-01T00:00:00Z"), to: Some("2030-01-01T00:00:00Z"), ..Key::default() };
    world.enabled(true).role(role).owners_read(0, 0).key(&old);
    for rule in ["CRED-002", "CRED-003"] {
        assert_eq!(world.finding(rule).unwrap().severity, expected);
    }
}

#[rstest]
#[case::fresh("2026-05-31T00:00:00Z", false)]
#[case::a_second_short("2026-03-03T00:00:01Z", false)]
#[case::exactly_ninety_days("2026-03-03T00:00:00Z", true)]
#[case::years("2019-01-01T00:00:00Z", true)]
#[case::dated_forward("2026-06-02T00:00:00Z", false)]
fn cred_003_table(#[case] from: &str, #[case] expected: bool) {
    let finding = with(&[key(Some(from), Some("2026-12-01T00:00:00Z"))]).finding("CRED-003");
    assert_eq!(finding.is_some(), expected);
    if let Some(finding) = finding {
        assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
        assert!(finding.title.ends_with(&from[..10]), "{}", finding.title);
    }
}

#[test]
fn cred_003_an_older_key_still_counts_while_a_new_one_exists() {
    let old = Key { id: "old", from: Some("2020-01-01T00:00:00Z"), ..Key::default() };
    let finding = with(&[Key::default(), old]).finding("CRED-003").unwrap();
    assert_eq!(finding.evidence[0].source.object, "app-1/old");
}

#[test]
fn cred_003_a_first_day_before_the_application_existed_is_not_believed() {
    let mut world = with(&[key(Some("2001-01-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"))]);
    world.b.node("selfCheck", NodeKind::Application, "app-1", &[(attr::CREATED_AT, text("2026-05-15T00:00:00Z"))]);
    assert_eq!(world.finding("CRED-003"), None);
    let mut world = with(&[key(Some("2001-01-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"))]);
    world.b.node("selfCheck", NodeKind::Application, "app-1", &[(attr::CREATED_AT, text("2025-05-15T00:00:00Z"))]);
    let finding = world.finding("CRED-003").unwrap();
    assert!(finding.title.ends_with("2025-05-15") && !finding.narrowed.is_empty());
}

#[test]
fn cred_003_a_key_counts_from_the_day_on_which_the_audit_saw_it_added() {
    let mut world = with(&[key(Some("2020-01-01T00:00:00Z"), Some("2027-01-01T00:00:00Z"))]);
    assert!(world.finding("CRED-003").is_some());
    let person = world.person("dana", Some(true));
    let credential = world.b.id(NodeKind::Credential, "app-1/key-1");
    let added = world.b.edge("directoryAudits", &credential, sv0_graph::EdgeKind::CreatedBy, &person);
    added.since = Some("2026-05-20T00:00:00Z".parse().unwrap());
    assert_eq!(world.finding("CRED-003"), None);
}

#[test]
fn cred_003_without_a_first_day_only_the_narrower_claim_is_made() {
    let finding = with(&[key(None, Some("2027-01-01T00:00:00Z"))]).finding("CRED-003").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
    let proven = Key { id: "old", from: Some("2020-01-01T00:00:00Z"), ..Key::default() };
    let finding = with(&[key(None, Some("2027-01-01T00:00:00Z")), proven]).finding("CRED-003").unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
}

#[test]
fn what_was_seen_counts_though_a_collection_is_incomplete() {
    let mut world = with(&[key(Some("2020-01-01T00:00:00Z"), Some("2099-01-01T00:00:00Z"))]);
    world.cover("applications", CoverageState::Partial).cover("servicePrincipals", CoverageState::Partial);
    assert!(world.finding("CRED-002").is_some() && world.finding("CRED-003").is_some());
}

#[test]
fn the_next_transition_is_the_first_instant_that_changes_anything() {
    let far = with(&[key(Some("2026-05-01T00:00:00Z"), Some("2026-08-01T00:00:00Z"))]);
    // Its end is told 30 days before; rotation falls due later, 90 days after the first day.
    assert_eq!(far.run().next_transition, Some("2026-07-02T00:00:00Z".parse().unwrap()));
    let ends = with(&[key(Some("2026-05-20T00:00:00Z"), Some("2026-06-10T00:00:00Z"))]);
    assert_eq!(ends.run().next_transition, Some("2026-06-10T00:00:00Z".parse().unwrap()));
    let begins = with(&[key(Some("2026-06-02T00:00:00Z"), Some("2026-08-01T00:00:00Z"))]);
    assert_eq!(begins.run().next_transition, Some("2026-06-02T00:00:00Z".parse().unwrap()));
    let mut below = World::new();
    below.enabled(true).key(&Key::default()).role(DIRECTORY_READERS);
    assert_eq!(below.run().next_transition, None);
}

#[test]
fn nothing_changes_before_the_next_transition_and_something_may_at_it() {
    let world = with(&[
        key(Some("2026-03-20T00:00:00Z"), Some("2026-09-01T00:00:00Z")),
        Key { id: "key-2", from: Some("2026-05-01T00:00:00Z"), to: Some("2026-06-20T12:00:00Z"), ..Key::default() },
    ]);
    let graph = Graph::build(vec![world.b.build()]).unwrap();
    let mut now = as_of();
    for _ in 0..4 {
        let here = sv0_rules::run(&graph, &world.config, now, 1);
        let Some(next) = here.next_transition else { break };
        let before = next.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
        let just_before = sv0_rules::run(&graph, &world.config, before, 1);
        assert_eq!(just_before.findings, here.findings);
        assert!(next > now);
        now = next;
    }
    assert!(now > as_of());
}
