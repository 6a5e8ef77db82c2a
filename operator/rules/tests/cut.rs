//! The one edge to cut: named first in what to do, whatever kind of authority a finding rests on, with what it leaves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::{EdgeKind, EdgeState, NodeId, NodeKind};

/// The first step of the finding of `rule` about the usual subject.
fn first(world: &World, rule: &str) -> String {
    let found = world.run().findings.into_iter().find(|one| one.rule.id == rule && one.subject.name == "payroll-bot");
    found.unwrap().remediation.first().cloned().unwrap()
}

/// The usual subject without any authority: a fresh secret and no owner.
fn powerless() -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    world
}

fn in_group(world: &mut World, group: &str, role: &str) -> NodeId {
    let (sp, group) = (world.sp.clone(), world.group(group, role));
    world.member(&sp, &group);
    group
}

const PRIVILEGED_ROLE_ADMINISTRATOR: &str = "e8611ab8-c189-46e8-94e1-60213ab1f814";
const SITES_READ: &str = "332a536c-c7ef-4017-ab91-336970924f0d";

type Change = fn(&mut World);

#[rstest]
#[case::the_tenant(|world: &mut World| { world.role(GLOBAL_ADMINISTRATOR); },
    "Take Global Administrator from the service principal: that alone cuts this way to the tenant.")]
#[case::a_part_of_it(|world: &mut World| { world.role(USER_ADMINISTRATOR); },
    "Take User Administrator from the service principal: that alone cuts this way to that authority.")]
#[case::bounded_writes(|world: &mut World| { world.role(BILLING_ADMINISTRATOR); },
    "Take Billing Administrator from the service principal: that alone cuts this way to that authority.")]
#[case::sensitive_data(|world: &mut World| { world.permission(MAIL_READ); },
    "Take Mail.Read from the service principal: that alone cuts this way to those data.")]
#[case::through_a_group(|world: &mut World| { in_group(world, "keepers", GLOBAL_ADMINISTRATOR); },
    "Take the service principal out of the group \"keepers\": that alone cuts this way to the tenant.")]
#[case::weaker_through_a_group(|world: &mut World| { in_group(world, "billing", BILLING_ADMINISTRATOR); },
    "Take the service principal out of the group \"billing\": that alone cuts this way to that authority.")]
// A second one of the same weight stays; of equals the first in the order of the graph is told.
#[case::of_two(|world: &mut World| { world.role(GLOBAL_ADMINISTRATOR).permission(ROLE_MANAGEMENT_WRITE); },
    "Take RoleManagement.ReadWrite.Directory from the service principal: that alone cuts 1 of the 2 shortest ways to the tenant.")]
#[case::of_two_that_write(|world: &mut World| { world.role(BILLING_ADMINISTRATOR); in_group(world, "billing", BILLING_ADMINISTRATOR); },
    "Take Billing Administrator from the service principal: that alone cuts 1 of its 2 own ways to that authority.")]
// One that both are held by cuts both.
#[case::both_by_one_group(
    |world: &mut World| {
        let group = in_group(world, "keepers", GLOBAL_ADMINISTRATOR);
        world.role_of(&group, PRIVILEGED_ROLE_ADMINISTRATOR, "/").permission(ROLE_MANAGEMENT_WRITE);
    },
    "Take RoleManagement.ReadWrite.Directory from the service principal: that alone cuts 1 of the 3 shortest ways to the tenant."
)]
#[case::two_by_one_group(
    |world: &mut World| {
        let group = in_group(world, "keepers", GLOBAL_ADMINISTRATOR);
        world.role_of(&group, PRIVILEGED_ROLE_ADMINISTRATOR, "/");
    },
    "Take the service principal out of the group \"keepers\": that alone cuts all 2 of the shortest ways to the tenant."
)]
#[case::other_data_are_another_matter(
    |world: &mut World| { world.permission(MAIL_READ).permission(SITES_READ); },
    "Take Sites.Read.All from the service principal: that alone cuts this way to those data."
)]
// One assignment that gives a part of the tenant, and lets it act as another that has one too, is one thing to take away.
#[case::one_grant_on_two_ways(
    |world: &mut World| {
        world.role(APPLICATION_ADMINISTRATOR);
        let helpdesk = world.other("helpdesk", Some(false));
        world.role_of(&helpdesk, USER_ADMINISTRATOR, "/");
    },
    "Take Application Administrator from the service principal: that alone cuts all 2 of the shortest ways to that authority."
)]
// What is weaker is no second way.
#[case::a_weaker_one_beside_it(|world: &mut World| { world.role(GLOBAL_ADMINISTRATOR).role(USER_ADMINISTRATOR).permission(MAIL_READ); },
    "Take Global Administrator from the service principal: that alone cuts this way to the tenant.")]
fn the_grant_or_membership_to_take_away_comes_first(#[case] change: Change, #[case] expected: &str) {
    let mut world = powerless();
    change(&mut world);
    assert_eq!(first(&world, "ORPH-002"), expected);
}

/// A role that must be activated first is named as well as one that holds.
#[test]
fn what_somebody_is_eligible_for_is_named() {
    let mut world = powerless();
    let (sp, system) = (world.sp.clone(), world.system.clone());
    let edge = world.b.edge("directoryRoleEligibility", &sp, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    edge.state = EdgeState::Eligible;
    assert_eq!(
        first(&world, "UNB-001"),
        "Take Global Administrator from the service principal: that alone cuts this way to the tenant."
    );
}

/// A finding about everybody's data names what reaches those, whatever else is held.
#[rstest]
#[case::in_full(
    FILES_WRITE,
    "Take Files.ReadWrite.All from the service principal: that alone cuts this way to those data."
)]
#[case::unless_exchange_limits_it(
    MAIL_READ,
    "Take Mail.Read from the service principal: that alone cuts this way to those data."
)]
fn everybodys_data_are_what_such_a_finding_is_about(#[case] permission: &str, #[case] expected: &str) {
    let mut world = powerless();
    world.role(GLOBAL_ADMINISTRATOR).permission(permission);
    assert_eq!(first(&world, "UNB-005"), expected);
    assert!(first(&world, "UNB-001").starts_with("Take Global Administrator"));
}

/// What is named is true: without it the finding is gone, or is one about less.
#[test]
fn without_what_is_named_nothing_of_it_is_left() {
    let mut world = powerless();
    let group = in_group(&mut world, "keepers", GLOBAL_ADMINISTRATOR);
    assert!(first(&world, "UNB-001").starts_with("Take the service principal out of the group \"keepers\""));
    let mut without = powerless();
    without.b.node("groups", NodeKind::Group, "keepers", &[]);
    without.role_of(&group, GLOBAL_ADMINISTRATOR, "/");
    assert!(without.run().findings.iter().all(|one| one.subject.name != "payroll-bot"));
}
