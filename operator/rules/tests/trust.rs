//! XSYS-003: federated trust broader than one workload.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, Value, attr};
use sv0_rules::{Claim, RuleFinding, Severity};

const RULE: &str = "XSYS-003";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const EXCHANGE: &str = "api://AzureADTokenExchange";

fn audiences(all: &[&str]) -> (&'static str, Value) {
    (attr::AUDIENCES, Value::List(all.iter().map(|one| (*one).to_owned()).collect()))
}

/// An application that administers, entered by one trust.
fn world(issuer: &str, key: &'static str, value: &str) -> World {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0);
    world.federated("fic-1", issuer, &[(key, text(value)), audiences(&[EXCHANGE])]);
    world
}

fn flexible(value: &str) -> World {
    world(GITHUB, attr::MATCHING_EXPRESSION, value)
}

fn told(finding: &RuleFinding) -> (Claim, Severity) {
    (finding.rule.claim, finding.severity)
}

#[rstest]
#[case::owner_is_open("claims['sub'] matches 'repo:*:environment:prod'", Some((Claim::Full, Severity::Critical)))]
// Cartography #3078: the condition of a trust was dropped, so that one repository and a whole organisation looked the same.
#[case::cartography_3078_organisation("claims['sub'] matches 'repo:halvorsen/*'", Some((Claim::Full, Severity::High)))]
#[case::by_owner_id("claims['sub'] matches 'repo:halvorsen@5544123/*'", Some((Claim::Full, Severity::High)))]
#[case::environment_is_open("claims['sub'] matches 'repo:h/build:environment:*'", Some((Claim::Full, Severity::High)))]
#[case::cartography_3078_one_repository("claims['sub'] matches 'repo:halvorsen/build:ref:refs/heads/*'", None)]
#[case::exact("claims['sub'] eq 'repo:halvorsen/build:environment:prod'", None)]
#[case::another_limit(
    "claims['sub'] matches 'repo:h/*' and claims['job_workflow_ref'] eq 'h/x/.github/workflows/y.yml@refs/heads/main'",
    Some((Claim::Narrower, Severity::Medium))
)]
#[case::not_understood("claims['sub'] in ('a', 'b')", Some((Claim::Narrower, Severity::Medium)))]
fn of_flexible_expressions(#[case] expression: &str, #[case] expected: Option<(Claim, Severity)>) {
    assert_eq!(flexible(expression).finding(RULE).as_ref().map(told), expected);
}

#[test]
fn what_is_not_understood_is_shown_by_its_digest() {
    let raw = "claims['sub'] in ('a', 'b')";
    let finding = flexible(raw).finding(RULE).unwrap();
    let digest = sv0_graph::canonical::sha256_hex(raw.as_bytes());
    assert!(finding.evidence[0].claim.contains(&digest[..12]), "{}", finding.evidence[0].claim);
    assert_eq!(finding.evidence[0].source.field, "claimsMatchingExpression");
}

/// Entra compares subjects exactly: unlike in other clouds, `*` in one is a letter.
#[rstest]
#[case::star("repo:halvorsen/*")]
#[case::by_name("repo:halvorsen/build:ref:refs/heads/main")]
#[case::by_ids("repo:halvorsen@5544123/build@821093848:environment:prod")]
fn an_exact_subject_of_github_is_one_workload(#[case] subject: &str) {
    assert!(world(GITHUB, attr::SUBJECT, subject).finding(RULE).is_none());
}

#[test]
fn a_subject_that_an_owner_composed_is_not_judged() {
    let finding = world(GITHUB, attr::SUBJECT, "repository_owner:halvorsen").finding(RULE).unwrap();
    assert_eq!(told(&finding), (Claim::Narrower, Severity::Medium));
}

#[rstest]
#[case::own_cluster("https://oidc.prod-aks.azure.com/2c1d/8f0e/")]
#[case::enterprise_server("https://github.halvorsen.example/_services/token")]
#[case::named_alike("https://token.actions.githubusercontent.com.evil.example")]
fn an_issuer_of_ones_own_is_not_judged(#[case] issuer: &str) {
    assert!(world(issuer, attr::MATCHING_EXPRESSION, "claims['sub'] matches '*'").finding(RULE).is_none());
}

#[test]
fn a_name_that_can_be_taken_over_is_told_beside_the_claim_only() {
    let recycled = |world: World| {
        let narrowed = world.finding(RULE).unwrap().narrowed;
        narrowed.iter().any(|item| item.claim == "That the owner's name still belongs to the same owner")
    };
    assert!(recycled(flexible("claims['sub'] matches 'repo:halvorsen/*'")));
    assert!(!recycled(flexible("claims['sub'] matches 'repo:halvorsen@5544123/*'")));
    assert!(!recycled(flexible(
        "claims['sub'] matches 'repo:halvorsen/*' and claims['repository_owner_id'] eq '5544123'"
    )));
}

#[rstest]
#[case::entra(Some(&[EXCHANGE][..]), None)]
#[case::another_cloud(Some(&["api://AzureADTokenExchangeUSGov"][..]), None)]
#[case::one_of_two(Some(&["other", EXCHANGE][..]), None)]
#[case::unusual(Some(&["https://github.com/halvorsen"][..]), Some((Claim::Narrower, Severity::Low)))]
#[case::none_required(Some(&[][..]), Some((Claim::Full, Severity::High)))]
#[case::not_read(None, None)]
fn of_audiences(#[case] all: Option<&[&str]>, #[case] expected: Option<(Claim, Severity)>) {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0);
    let mut attrs = vec![(attr::SUBJECT, text("repo:halvorsen/build:environment:prod"))];
    attrs.extend(all.map(audiences));
    world.federated("fic-1", GITHUB, &attrs);
    assert_eq!(world.finding(RULE).as_ref().map(told), expected);
}

#[test]
fn what_was_not_read_is_not_judged() {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0);
    world.federated("fic-1", GITHUB, &[audiences(&[EXCHANGE])]);
    for state in [CoverageState::Complete, CoverageState::Skipped] {
        world.cover("flexibleFederatedCredentials", state);
        assert!(world.finding(RULE).is_none());
    }
}

#[test]
fn the_broadest_proven_trust_decides_and_all_proven_ones_are_evidence() {
    let mut world = flexible("claims['sub'] in ('a')");
    let add = |world: &mut World, id: &str, value: &str| {
        world.federated(id, GITHUB, &[(attr::MATCHING_EXPRESSION, text(value)), audiences(&[EXCHANGE])]);
    };
    add(&mut world, "fic-2", "claims['sub'] matches 'repo:halvorsen/*'");
    add(&mut world, "fic-3", "claims['sub'] matches 'repo:*'");
    let finding = world.finding(RULE).unwrap();
    assert_eq!(told(&finding), (Claim::Full, Severity::Critical));
    assert!(finding.path[0].from.contains("repo:*"), "{}", finding.path[0].from);
    assert_eq!(finding.path[1].edge, "INSTANTIATES");
    let trusts = finding.evidence.iter().filter(|item| item.source.field == "claimsMatchingExpression").count();
    assert_eq!(trusts, 2);
}

#[test]
fn an_identity_that_reaches_nothing_is_counted_only() {
    let mut world = World::new();
    world.enabled(true).owners_read(0, 0);
    world.federated("fic-1", GITHUB, &[(attr::MATCHING_EXPRESSION, text("claims['sub'] matches '*'"))]);
    let output = world.run();
    assert!(output.findings.is_empty());
    assert_eq!(output.suppressed[RULE].below_lane, 1);
}

#[test]
fn hostile_expressions_reach_no_text() {
    let evil = format!("claims['sub'] matches 'repo:*\u{202E}\n\u{1b}[2J\"{}'", "z".repeat(5000));
    let finding = flexible(&evil).finding(RULE).unwrap();
    let shown = serde_json::to_string(&finding).unwrap();
    assert!(!shown.contains('\u{202E}') && !shown.contains("\\u001b") && !shown.contains("\\n"), "{shown}");
    assert!(finding.title.chars().count() <= 160);
}
