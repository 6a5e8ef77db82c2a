//! One thing behind many findings: what counts as one, what does not, and what is told of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, EdgeState, Graph, NodeId, NodeKind, attr};
use sv0_rules::{Claim, RuleConfig, RuleFinding, Severity};

const RULE: &str = "UNB-001";
const PRIVILEGED_ROLE_ADMINISTRATOR: &str = "e8611ab8-c189-46e8-94e1-60213ab1f814";
const OWNED_BY: &str = "18a4783c-866b-4cc7-a460-3d5e5662c884";

/// A service principal that runs unattended and accepts no credentials of others.
fn robot(world: &mut World, id: &str) -> NodeId {
    let robot = world.other(id, Some(true));
    let app = world.b.id(NodeKind::Application, &format!("app-{id}"));
    world.key_on(&app, "applications", &Key::default());
    robot
}

/// `count` robots in the group `robots`, which holds the tenant.
fn group_of(count: usize) -> (World, NodeId) {
    let mut world = World::new();
    let group = world.group("robots", GLOBAL_ADMINISTRATOR);
    for at in 0..count {
        let robot = robot(&mut world, &format!("r{at}"));
        world.member(&robot, &group);
    }
    (world, group)
}

fn findings(world: &World) -> Vec<RuleFinding> {
    world.run().findings.into_iter().filter(|finding| finding.rule.id == RULE).collect()
}

fn about(world: &World, id: &NodeId) -> Option<RuleFinding> {
    findings(world).into_iter().find(|finding| finding.subject.id == id.as_str())
}

/// The kind and name of what each holds through, by the name of its subject: only of what a finding is about.
fn through(world: &World) -> BTreeMap<String, String> {
    let all = findings(world);
    let names: BTreeMap<&str, &str> = all.iter().map(|f| (f.name.as_str(), f.subject.name.as_str())).collect();
    let of = |finding: &RuleFinding| {
        let lead = names.get(finding.through.as_deref()?)?;
        Some((finding.subject.name.clone(), (*lead).to_owned()))
    };
    all.iter().filter_map(of).collect()
}

#[rstest]
#[case::nobody(0, false)]
#[case::one(1, false)]
#[case::two_are_told_one_by_one(2, false)]
#[case::three_are_one_problem(3, true)]
#[case::many(40, true)]
fn from_three_on_they_are_told_as_one(#[case] count: usize, #[case] expected: bool) {
    let (world, group) = group_of(count);
    assert_eq!(about(&world, &group).is_some(), expected);
    assert_eq!(findings(&world).len(), count + usize::from(expected), "nobody is lost");
    assert_eq!(through(&world).len(), if expected { count } else { 0 });
}

#[test]
fn the_finding_about_the_group_says_what_it_is_and_what_to_take_away() {
    let (world, group) = group_of(3);
    let lead = about(&world, &group).unwrap();
    assert_eq!((lead.rule.claim, lead.severity), (Claim::Full, Severity::Critical));
    assert_eq!(lead.title, "3 identities that can run unattended hold the whole tenant through the group \"robots\"");
    assert_eq!(
        lead.why,
        "It holds Global Administrator over the whole tenant: it can take over the whole tenant. 3 identities that can run \
         unattended have this and no other way to the tenant that was seen. Whoever gets hold of one of them has everything, \
         and no person is asked."
    );
    assert_eq!(
        lead.remediation.first().map(String::as_str),
        Some(
            "Take Global Administrator from the group \"robots\": no way to the tenant that was seen is left to any of these \
             3."
        )
    );
    assert_eq!((lead.subject.kind.as_str(), lead.through.as_deref()), ("Group", None));
    let hops: Vec<_> = lead.path.iter().map(|hop| (hop.from.as_str(), hop.edge.as_str())).collect();
    assert_eq!(hops, [("group \"robots\"", "GRANTED")]);
    // What it holds first, then each finding that it tells, under its name; all that they rest on, it rests on.
    let claims: Vec<&str> = lead.evidence.iter().map(|one| one.claim.as_str()).collect();
    assert_eq!(claims[0], "It holds the directory role Global Administrator over the whole tenant.");
    assert!(claims[1..].iter().all(|claim| claim.starts_with("UNB-001 of \"r")), "{claims:?}");
    for told in findings(&world).iter().filter(|finding| finding.through.is_some()) {
        assert!(lead.depends_on.is_superset(&told.depends_on));
        assert!(lead.severity >= told.severity);
    }
    // The advice is right: without that grant none of them is left.
    let mut without = World::new();
    let group = without.b.node("groups", NodeKind::Group, "robots", &[]);
    for at in 0..3 {
        let robot = robot(&mut without, &format!("r{at}"));
        without.member(&robot, &group);
    }
    assert!(findings(&without).is_empty());
}

/// The name is the group's own: it is the same finding whoever comes and goes.
#[test]
fn who_comes_and_goes_does_not_change_which_finding_it_is() {
    let name = |count| {
        let (world, group) = group_of(count);
        about(&world, &group).unwrap().name
    };
    assert_eq!(name(3), name(4));
    assert_eq!(name(3), name(40));
    // Who is left below the threshold still names it.
    let (world, _) = group_of(2);
    assert!(findings(&world).iter().all(|finding| finding.through == Some(name(3))));
}

/// One more is told and changes one finding, that of the group.
#[test]
fn one_more_changes_the_one_finding() {
    let (before, group) = group_of(5);
    let (after, _) = group_of(6);
    let (before, after) = (findings(&before), findings(&after));
    let changed: Vec<&str> =
        before.iter().filter(|finding| !after.contains(finding)).map(|finding| finding.subject.id.as_str()).collect();
    assert_eq!(changed, [group.as_str()]);
    assert_eq!(after.len(), before.len() + 1);
}

/// Who has another way, proven or not, is not said to have none.
#[rstest]
#[case::a_role_of_its_own(EdgeState::Active, None)]
#[case::one_that_it_is_eligible_for(EdgeState::Eligible, None)]
#[case::one_with_a_condition(EdgeState::Active, Some("x"))]
fn who_has_another_way_is_told_by_itself(#[case] state: EdgeState, #[case] condition: Option<&str>) {
    let (mut world, group) = group_of(4);
    let (robot, system) = (world.b.id(NodeKind::ServicePrincipal, "r0"), world.system.clone());
    let edge = world.b.edge("directoryRoleAssignments", &robot, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    edge.state = state;
    edge.condition = condition.map(str::to_owned);
    let lead = about(&world, &group).unwrap();
    assert!(lead.title.starts_with("3 identities"), "{}", lead.title);
    assert_eq!(about(&world, &robot).unwrap().through, None);
}

/// Two groups that each hold the tenant: neither of them ends anything for who is in both.
#[test]
fn who_is_in_two_such_groups_is_told_by_itself() {
    let (mut world, group) = group_of(3);
    let second = world.group("spare", GLOBAL_ADMINISTRATOR);
    for at in 0..3 {
        let robot = world.b.id(NodeKind::ServicePrincipal, &format!("r{at}"));
        world.member(&robot, &second);
    }
    assert!(through(&world).is_empty());
    assert_eq!((about(&world, &group), about(&world, &second)), (None, None));
    assert_eq!(findings(&world).len(), 3);
}

/// Groups in groups, and groups side by side: of all that lie on every way it is the one nearest to the tenant.
#[test]
fn groups_in_a_group_are_one_problem() {
    let mut world = World::new();
    let top = world.group("top", GLOBAL_ADMINISTRATOR);
    for side in ["left", "right"] {
        let group = world.b.node("groups", NodeKind::Group, side, &[(attr::NAME, text(side))]);
        world.member(&group, &top);
        for at in 0..2 {
            let robot = robot(&mut world, &format!("{side}-{at}"));
            world.member(&robot, &group);
        }
    }
    let through = through(&world);
    assert_eq!(through.len(), 4);
    assert!(through.values().all(|lead| lead == "top"), "{through:?}");
    assert!(about(&world, &top).unwrap().title.starts_with("4 identities"));
}

/// Owners of one application that holds the tenant: it cannot run by itself, and what it holds is what they have.
#[test]
fn owners_of_one_application_are_one_problem() {
    let mut world = World::new();
    let holder = world.other("holder", Some(true));
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    let (graph, app) =
        (world.b.id(NodeKind::ServicePrincipal, "graph"), world.b.id(NodeKind::Application, "app-holder"));
    for at in 0..3 {
        let robot = robot(&mut world, &format!("r{at}"));
        world.b.edge("appRoleAssignments", &robot, EdgeKind::Granted, &graph).role = Some(OWNED_BY.to_owned());
        world.b.edge("applicationOwners", &robot, EdgeKind::Owns, &app);
    }
    let lead = about(&world, &holder).unwrap();
    assert_eq!(
        lead.title,
        "3 identities that can run unattended hold the whole tenant through the service principal \"holder\""
    );
    assert_eq!(through(&world).len(), 3);
    let named = lead.name;

    // As soon as it runs itself, its own finding is the one: the same finding, which says both.
    world.key_on(&app, "applications", &Key::default());
    let own = about(&world, &holder).unwrap();
    assert_eq!((own.name.as_str(), own.through.as_deref()), (named.as_str(), None));
    assert_eq!(
        own.title,
        "\"holder\" can run unattended and holds Global Administrator; 3 identities hold the tenant through it"
    );
    assert!(own.path.iter().any(|hop| hop.edge == "AUTHENTICATES_AS"));
    assert!(own.remediation[0].starts_with("Take Global Administrator from the service principal \"holder\": no way"));
    assert!(own.remediation.len() <= 4);
    assert_eq!(through(&world).len(), 3);
    assert_eq!(findings(&world).len(), 4, "one finding of the rule about one subject");
}

/// What everybody with a right over all applications goes through is no thing from which something can be taken.
#[test]
fn a_right_over_all_applications_is_each_ones_own() {
    let mut world = World::new();
    for id in ["one", "two"] {
        let holder = world.other(id, Some(false));
        world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    }
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    for at in 0..4 {
        let robot = robot(&mut world, &format!("r{at}"));
        world.b.edge("appRoleAssignments", &robot, EdgeKind::Granted, &graph).role = Some(APPLICATION_WRITE.to_owned());
    }
    assert_eq!(findings(&world).len(), 4);
    assert!(through(&world).is_empty());
    // In a group that holds the right it is the group's.
    let (mut world, group) = (World::new(), "administrators");
    for id in ["one", "two"] {
        let holder = world.other(id, Some(false));
        world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    }
    let group = world.group(group, APPLICATION_ADMINISTRATOR);
    for at in 0..4 {
        let robot = robot(&mut world, &format!("r{at}"));
        world.member(&robot, &group);
    }
    let lead = about(&world, &group).unwrap();
    assert_eq!(through(&world).len(), 4);
    let control = lead.path.iter().any(|hop| hop.edge == "CAN_CONTROL");
    assert!(control && lead.title.contains("through the group \"administrators\""), "{lead:#?}");
}

/// Two grants of one group: both have to go, and both are named.
#[test]
fn all_that_has_to_go_is_named() {
    let (mut world, group) = group_of(3);
    world.role_of(&group, PRIVILEGED_ROLE_ADMINISTRATOR, "/");
    let lead = about(&world, &group).unwrap();
    let advice = lead.remediation.first().cloned().unwrap();
    assert!(
        advice.contains("Global Administrator from the group \"robots\"") && advice.contains(", and take "),
        "{advice}"
    );
    assert!(advice.contains("Privileged Role Administrator"), "{advice}");
}

/// A group of which nothing was read but who is in it and what it holds: it is known by its id, and who saw those saw it.
#[test]
fn a_group_that_was_not_read_itself_is_known_by_what_refers_to_it() {
    let mut world = World::new();
    let group = world.b.id(NodeKind::Group, "unread");
    world.role_of(&group, GLOBAL_ADMINISTRATOR, "/");
    for at in 0..3 {
        let robot = robot(&mut world, &format!("r{at}"));
        world.member(&robot, &group);
    }
    let lead = about(&world, &group).unwrap();
    assert_eq!((lead.subject.name.as_str(), lead.subject.instance_uid.as_str()), ("unread", "uid-1"));
}

/// Only those count that have the finding: who cannot run, and who is only eligible, are none of the many.
#[test]
fn who_has_no_finding_is_not_counted() {
    let (mut world, group) = group_of(2);
    let idle = world.other("idle", Some(true));
    world.member(&idle, &group);
    let eligible = robot(&mut world, "eligible");
    world.member(&eligible, &group).state = EdgeState::Eligible;
    assert_eq!(about(&world, &group), None);
    assert_eq!(
        about(&world, &eligible).map(|finding| (finding.rule.claim, finding.through)),
        Some((Claim::Narrower, None))
    );
}

/// The vendor's strings stay what they are: text.
#[test]
fn a_hostile_name_of_a_group_breaks_nothing() {
    let (mut world, group) = group_of(3);
    world.b.node("groups", NodeKind::Group, "robots", &[(attr::NAME, text("a\u{202e}\u{1b}[2J\"; DROP"))]);
    let lead = about(&world, &group).unwrap();
    for told in [&lead.title, &lead.remediation[0], &lead.subject.name, &lead.path[0].from] {
        assert!(!told.contains(['\u{202e}', '\u{1b}']), "{told:?}");
    }
}

/// An estate of groups in groups and owners, as far as numbers choose.
fn estate(members: &[(usize, usize)], nested: &[(usize, usize)], holds: &[usize], owns: &[(usize, usize)]) -> World {
    let mut world = World::new();
    let robots: Vec<NodeId> = (0..6).map(|at| robot(&mut world, &format!("r{at}"))).collect();
    let groups: Vec<NodeId> = (0..4)
        .map(|at| world.b.node("groups", NodeKind::Group, &format!("g{at}"), &[(attr::NAME, text(&format!("g{at}")))]))
        .collect();
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    for at in holds {
        let holder = groups.iter().chain(&robots).nth(*at).unwrap().clone();
        world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    }
    for (robot, group) in members {
        world.member(&robots[*robot], &groups[*group]);
    }
    for (inner, outer) in nested.iter().filter(|(inner, outer)| inner != outer) {
        world.member(&groups[*inner], &groups[*outer]);
    }
    for (robot, owned) in owns {
        world.b.edge("appRoleAssignments", &robots[*robot], EdgeKind::Granted, &graph).role = Some(OWNED_BY.to_owned());
        let app = world.b.id(NodeKind::Application, &format!("app-r{owned}"));
        world.b.edge("applicationOwners", &robots[*robot], EdgeKind::Owns, &app);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the estate: what a lead says can be taken away can be, whatever the order and the threads; and a lead
    /// tells the truth about each of those behind it.
    #[test]
    fn a_lead_is_true_of_all_that_it_tells(
        members in prop::collection::vec((0usize..6, 0usize..4), 0..14),
        nested in prop::collection::vec((0usize..4, 0usize..4), 0..5),
        holds in prop::collection::vec(0usize..10, 0..4),
        owns in prop::collection::vec((0usize..6, 0usize..6), 0..5),
    ) {
        let world = estate(&members, &nested, &holds, &owns);
        let plain = world.b.build();
        let mut turned = plain.clone();
        turned.nodes.reverse();
        turned.edges.reverse();
        let run = |snapshot, threads| {
            sv0_rules::run(&Graph::build(vec![snapshot]).unwrap(), &RuleConfig::default(), as_of(), threads)
        };
        let all = run(plain, 1);
        prop_assert_eq!(&run(turned, 3), &all);

        let of_rule: Vec<&RuleFinding> = all.findings.iter().filter(|finding| finding.rule.id == RULE).collect();
        for lead in &of_rule {
            let told: Vec<&&RuleFinding> =
                of_rule.iter().filter(|finding| finding.through.as_deref() == Some(&lead.name)).collect();
            prop_assert!(lead.through.is_none() || told.is_empty(), "nothing nests");
            let counted = lead.title.contains(&format!("{} identities", told.len()));
            prop_assert_eq!(counted, told.len() >= sv0_rules::GATHERED_FROM, "{}", lead.title);
            if told.is_empty() || !counted {
                continue;
            }
            // Without all that the lead's subject holds and is a member of, none of them is left.
            let mut without = world.b.build();
            without.edges.retain(|edge| {
                let gives = matches!(edge.kind, EdgeKind::Granted | EdgeKind::MemberOf | EdgeKind::Owns);
                !(gives && edge.from.as_str() == lead.subject.id)
            });
            let left = run(without, 1);
            for told in told {
                prop_assert!(!left.findings.iter().any(|finding| finding.name == told.name), "{} stays", told.title);
            }
        }
    }

    /// Less that is known gathers no more: nobody is newly said to have no other way.
    #[test]
    fn less_that_is_known_says_no_more(
        members in prop::collection::vec((0usize..6, 0usize..4), 3..14),
        holds in prop::collection::vec(0usize..10, 1..4),
        doubted in prop::collection::vec(any::<bool>(), 24),
    ) {
        let world = estate(&members, &[], &holds, &[]);
        let mut doubtful = world.b.build();
        for (edge, doubt) in doubtful.edges.iter_mut().filter(|edge| edge.kind == EdgeKind::MemberOf).zip(doubted) {
            if doubt {
                edge.state = EdgeState::Eligible;
            }
        }
        let of_rule = |snapshot| -> BTreeMap<String, RuleFinding> {
            let all = sv0_rules::run(&Graph::build(vec![snapshot]).unwrap(), &RuleConfig::default(), as_of(), 1);
            let all = all.findings.into_iter().filter(|f| f.rule.id == RULE && f.rule.claim == Claim::Full);
            all.map(|finding| (finding.name.clone(), finding)).collect()
        };
        let (known, less) = (of_rule(world.b.build()), of_rule(doubtful));
        for (name, finding) in less {
            let before = known.get(&name);
            prop_assert!(before.is_some(), "{} appeared", finding.title);
            prop_assert!(finding.through.is_none() || before.is_some_and(|b| b.through == finding.through));
        }
    }
}

/// Coverage that is lost takes nothing from what was proven, and adds nothing.
#[test]
fn lost_coverage_gathers_the_same() {
    let (mut world, group) = group_of(3);
    let before = findings(&world);
    world.cover("groupMembers", CoverageState::Partial);
    let after = findings(&world);
    let names = |all: &[RuleFinding]| all.iter().map(|finding| finding.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    assert!(about(&world, &group).is_some());
}
