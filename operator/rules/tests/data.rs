//! UNB-005: application permissions that reach the data of everybody.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, attr};
use sv0_rules::{Claim, Severity};

const RULE: &str = "UNB-005";
const SITES_READ: &str = "332a536c-c7ef-4017-ab91-336970924f0d";
const SITES_SELECTED: &str = "883ea226-0bf2-4a8f-9f9d-92c9162a727d";
const CALENDARS_WRITE: &str = "ef54d2bf-783f-4e0f-bca1-3210c0444d99";
const MAIL_SEND: &str = "b633e1c5-b582-4048-a93e-9f11b44c7e96";

fn world(permissions: &[&str]) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    for permission in permissions {
        world.permission(permission);
    }
    world
}

#[rstest]
#[case::files(&[FILES_WRITE][..], Some((Claim::Full, Severity::Critical)))]
#[case::sites(&[SITES_READ][..], Some((Claim::Full, Severity::Medium)))]
#[case::mail(&[MAIL_READ][..], Some((Claim::Narrower, Severity::Low)))]
#[case::calendars(&[CALENDARS_WRITE][..], Some((Claim::Narrower, Severity::Medium)))]
#[case::mail_and_sites(&[MAIL_READ, SITES_READ][..], Some((Claim::Full, Severity::Medium)))]
#[case::selected_sites(&[SITES_SELECTED][..], None)]
#[case::sends_and_reads_nothing(&[MAIL_SEND][..], None)]
#[case::reads_the_directory(&[DIRECTORY_READ_ALL][..], None)]
fn of_permissions(#[case] permissions: &[&str], #[case] expected: Option<(Claim, Severity)>) {
    let finding = world(permissions).finding(RULE);
    assert_eq!(finding.map(|finding| (finding.rule.claim, finding.severity)), expected);
}

#[test]
fn what_exchange_may_limit_is_said_so() {
    let finding = world(&[MAIL_READ]).finding(RULE).unwrap();
    assert!(finding.title.ends_with("reaches everybody's mailboxes unless Exchange limits it"), "{}", finding.title);
    assert!(finding.narrowed[0].reason.starts_with("It is unless scoped in Exchange"));
    let both = world(&[MAIL_READ, SITES_READ]).finding(RULE).unwrap();
    assert!(!both.title.contains("Exchange"), "{}", both.title);
    assert!(both.narrowed[0].claim.contains("Mail.Read"));
    let all = both.evidence.iter().filter(|item| item.source.field == "appRoleId").count();
    assert_eq!(all, 1, "one permission reaches sites, and it is the decisive one");
}

#[test]
fn permissions_of_exchange_itself_count_on_exchange_only() {
    let full_access = "dc890d15-9560-4a4c-9b7f-a736ec74ec40";
    assert!(world(&[full_access]).finding(RULE).is_none(), "no permission of Microsoft Graph has this id");
    let mut world = world(&[]);
    let exchange = world.b.node(
        "servicePrincipals",
        NodeKind::ServicePrincipal,
        "exchange",
        &[(attr::APP_ID, text("00000002-0000-0ff1-ce00-000000000000"))],
    );
    let sp = world.sp.clone();
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &exchange).role = Some(full_access.to_owned());
    let finding = world.finding(RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::High));
}

/// What a user consents to is bounded by the user.
#[test]
fn a_delegated_grant_is_not_tenant_wide() {
    let mut world = world(&[]);
    world.delegated("Mail.ReadWrite Files.ReadWrite.All", Some("dana"));
    assert!(world.finding(RULE).is_none());
}

#[test]
fn a_grant_that_may_not_hold_reaches_nothing_proven() {
    let mut world = world(&[]);
    let (sp, graph) = (world.sp.clone(), world.b.id(NodeKind::ServicePrincipal, "graph"));
    let edge = world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &graph);
    edge.role = Some(FILES_WRITE.to_owned());
    edge.condition = Some("x".to_owned());
    assert!(world.finding(RULE).is_none());
}

#[test]
fn partial_coverage_says_nothing_of_what_was_not_seen() {
    let mut none = world(&[]);
    none.cover("appRoleAssignments", CoverageState::Partial);
    assert!(none.finding(RULE).is_none());
    let mut some = world(&[FILES_WRITE]);
    some.cover("appRoleAssignments", CoverageState::Partial);
    assert_eq!(some.finding(RULE).unwrap().rule.claim, Claim::Full);
}
