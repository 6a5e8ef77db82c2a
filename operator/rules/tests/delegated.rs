//! XSYS-008: automation that acts with a person's authority. And what is not provable of it.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, attr};
use sv0_rules::{Claim, RuleFinding, Severity};

const RULE: &str = "XSYS-008";
const DANA: Option<&str> = Some("dana");

/// Runs, and holds `permission` of its own (none: nothing).
fn world(permission: Option<&str>) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    if let Some(permission) = permission {
        world.permission(permission);
    }
    world
}

fn told(finding: &RuleFinding) -> (Claim, Severity) {
    (finding.rule.claim, finding.severity)
}

#[rstest]
#[case::writes_for_one("Tasks.ReadWrite offline_access", DANA, Some((Claim::Full, Severity::Medium)))]
#[case::reads_mail_of_one("Mail.Read offline_access", DANA, Some((Claim::Full, Severity::Medium)))]
#[case::writes_mail_of_one("Mail.ReadWrite offline_access", DANA, Some((Claim::Full, Severity::High)))]
#[case::any_user("Mail.ReadWrite offline_access", None, Some((Claim::Narrower, Severity::Medium)))]
#[case::only_while_there("Mail.ReadWrite", DANA, None)]
#[case::only_signs_in("email offline_access openid profile User.Read", DANA, None)]
#[case::reads_nothing_sensitive("Group.Read.All offline_access", DANA, None)]
#[case::not_in_the_table("Made.Up.Write offline_access", DANA, None)]
fn of_an_application_that_runs_without_a_person(
    #[case] scopes: &str,
    #[case] user: Option<&str>,
    #[case] expected: Option<(Claim, Severity)>,
) {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.delegated(scopes, user);
    assert_eq!(world.finding(RULE).as_ref().map(told), expected);
}

/// Consent for everybody is what most applications with a sign-in page have: it does not show that anything runs alone. CISA
/// `ScubaGear` #2010: what a delegated permission weighs depends on who consented, and for whom.
#[rstest]
#[case::for_one("Mail.ReadWrite offline_access", DANA, Some((Claim::Narrower, Severity::Medium)))]
#[case::for_everybody("Mail.ReadWrite offline_access", None, None)]
fn of_an_application_that_may_only_serve_people(
    #[case] scopes: &str,
    #[case] user: Option<&str>,
    #[case] expected: Option<(Claim, Severity)>,
) {
    let mut world = world(None);
    world.delegated(scopes, user);
    assert_eq!(world.finding(RULE).as_ref().map(told), expected);
}

#[test]
fn a_recorded_sign_in_without_a_user_shows_that_it_runs_alone() {
    let mut world = world(None);
    world.delegated("Mail.ReadWrite offline_access", DANA);
    world.b.node(
        "servicePrincipalActivity",
        NodeKind::ServicePrincipal,
        "sp-1",
        &[(attr::LAST_UNATTENDED_USE_AT, text("2026-05-30T00:00:00Z"))],
    );
    let finding = world.finding(RULE).unwrap();
    assert_eq!(told(&finding), (Claim::Full, Severity::High));
    assert!(finding.evidence.iter().any(|item| item.source.api.contains("servicePrincipalActivity")));
}

#[test]
fn an_application_without_a_credential_acts_only_while_its_user_is_there() {
    let mut world = World::new();
    world.enabled(true).owners_read(0, 0).permission(MAIL_READ).delegated("Mail.ReadWrite offline_access", DANA);
    let output = world.run();
    assert!(output.findings.is_empty());
    assert_eq!(output.suppressed[RULE].no_anchor, 1);
}

#[test]
fn consent_for_everybody_to_stay_is_consent_for_one() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.delegated("Mail.ReadWrite", DANA).delegated("offline_access openid", None);
    assert_eq!(world.finding(RULE).map(|finding| finding.rule.claim), Some(Claim::Full));
}

#[test]
fn consent_of_another_person_to_stay_is_not() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.delegated("Mail.ReadWrite", DANA).delegated("offline_access", Some("kim"));
    assert!(world.finding(RULE).is_none());
}

#[rstest]
#[case::active(Some(true), true)]
#[case::not_read(None, true)]
#[case::switched_off(Some(false), false)]
fn nobody_acts_for_an_account_that_is_switched_off(#[case] enabled: Option<bool>, #[case] expected: bool) {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.person("dana", enabled);
    world.delegated("Mail.ReadWrite offline_access", DANA);
    assert_eq!(world.finding(RULE).is_some(), expected);
}

#[test]
fn scopes_of_another_api_have_no_known_weight() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    let api = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "api", &[(attr::APP_ID, text("own-api"))]);
    let sp = world.sp.clone();
    let edge = world.b.edge("delegatedGrants", &sp, EdgeKind::DelegatedGrant, &api);
    edge.role = Some("Mail.ReadWrite offline_access".to_owned());
    edge.scope = Some("/users/dana".to_owned());
    assert!(world.finding(RULE).is_none());
}

#[test]
fn the_finding_says_for_whom_and_what_is_not_proven() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.person("dana", Some(true));
    world.delegated("Files.Read Mail.ReadWrite offline_access", DANA);
    let finding = world.finding(RULE).unwrap();
    let hop = finding.path.last().unwrap();
    assert_eq!((hop.edge.as_str(), hop.to.as_str()), ("DELEGATED_GRANT", "service principal \"Microsoft Graph\""));
    assert_eq!(hop.via.as_deref(), Some("Mail.ReadWrite and Files.Read.All for \"dana@contoso.example\""));
    assert!(finding.why.contains("dana@contoso.example"), "{}", finding.why);
    assert!(finding.narrowed.iter().any(|item| item.claim == "That it holds a token of such a grant"));
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "delegatedGrants"));
    assert!(finding.why.chars().count() <= 400);
}

#[test]
fn people_come_before_everybody_and_are_counted() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    for user in ["dana", "kim"] {
        world.delegated("Mail.Read offline_access", Some(user));
    }
    world.delegated("Mail.ReadWrite offline_access", None);
    let finding = world.finding(RULE).unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    assert!(finding.title.ends_with("can act for 2 people who are not there"), "{}", finding.title);
}

#[test]
fn without_the_collection_nothing_is_said() {
    let mut world = world(Some(DIRECTORY_READ_ALL));
    world.cover("delegatedGrants", CoverageState::Denied);
    assert!(world.finding(RULE).is_none());
}

#[test]
fn other_rules_keep_their_severity() {
    let mut world = World::privileged(BILLING_ADMINISTRATOR);
    let before = world.finding("ORPH-002").unwrap().severity;
    world.delegated("Mail.ReadWrite offline_access", DANA);
    assert_eq!(world.finding("ORPH-002").unwrap().severity, before);
}
