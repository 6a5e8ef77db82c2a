//! Ways to the whole tenant that no single grant says: ownership, rights over one application, groups in groups, and
//! chains of these. Every look-alike of a step, and what is told of a way: its hops, its evidence, the edge to cut.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, EdgeRow, EdgeState, NodeId, NodeKind, Value, attr};
use sv0_rules::{Claim, DERIVATIONS, EvidenceClass, RuleFinding, Severity};

const RULE: &str = "UNB-001";
const OWNED_BY: &str = "18a4783c-866b-4cc7-a460-3d5e5662c884";
const FULL: Option<(Claim, Severity)> = Some((Claim::Full, Severity::Critical));
const EARLIER: &str = "2026-05-31T08:00:00Z";
const LATER: &str = "2026-06-01T08:00:00Z";

/// `payroll-bot` runs and may manage what it owns; `holder` holds the tenant.
fn world(locked: Option<bool>) -> (World, NodeId) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
    let holder = world.other("holder", locked);
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    (world, holder)
}

fn owns<'a>(world: &'a mut World, kind: NodeKind, id: &str) -> &'a mut EdgeRow {
    let (sp, to) = (world.sp.clone(), world.b.id(kind, id));
    let collection = if kind == NodeKind::Application { "applicationOwners" } else { "servicePrincipalOwners" };
    world.b.edge(collection, &sp, EdgeKind::Owns, &to)
}

/// What is said of the usual subject; others are targets.
fn of_subject(world: &World, rule: &str) -> Option<RuleFinding> {
    let about = |finding: &RuleFinding| finding.rule.id == rule && finding.subject.id.ends_with(":sp-1");
    world.run().findings.into_iter().find(about)
}

fn told(world: &World) -> Option<(Claim, Severity)> {
    of_subject(world, RULE).map(|finding| (finding.rule.claim, finding.severity))
}

fn edges(finding: &RuleFinding) -> Vec<&str> {
    finding.path.iter().map(|hop| hop.edge.as_str()).collect()
}

fn derivations(finding: &RuleFinding) -> Vec<String> {
    let names: Vec<String> = DERIVATIONS.iter().map(sv0_rules::Derivation::name).collect();
    let of = |claim: &str| names.iter().find(|name| claim.contains(&format!("({name})"))).cloned();
    let structural = finding.evidence.iter().filter(|item| item.class == EvidenceClass::Structural);
    structural.map(|item| of(&item.claim).unwrap_or_else(|| item.claim.clone())).collect()
}

#[test]
fn an_identity_that_owns_an_application_is_as_strong_as_it() {
    let (mut world, _) = world(Some(false));
    owns(&mut world, NodeKind::Application, "app-holder");
    let finding = of_subject(&world, RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Critical));
    assert_eq!(edges(&finding), ["AUTHENTICATES_AS", "INSTANTIATES", "OWNS", "CAN_CONTROL", "GRANTED"]);
    let control = &finding.path[3];
    assert_eq!(
        (control.from.as_str(), control.to.as_str()),
        ("service principal \"payroll-bot\"", "service principal \"holder\"")
    );
    assert_eq!((control.via.as_deref(), control.class), (Some("owner"), EvidenceClass::Structural));
    assert_eq!(derivations(&finding), ["owner-credentials/1"]);
    assert!(
        finding.why.starts_with("It owns the application \"holder-app\": it can take over the whole tenant"),
        "{}",
        finding.why
    );
    // Its parents: the record of the owner first, the permission to manage, whose service principal it is, what that holds.
    let fields: Vec<_> = finding.evidence.iter().map(|item| item.source.field.as_str()).collect();
    assert_eq!(fields[..4], ["owners", "appRoleId", "appId", "roleDefinitionId"]);
    let needed: Vec<_> = finding.depends_on.iter().map(|needed| needed.collection.as_str()).collect();
    assert!(needed.contains(&"applicationOwners") && needed.contains(&"appRoleAssignments"), "{needed:?}");
    // The tier of the best proven path holds for every rule.
    assert_eq!(of_subject(&world, "ORPH-002").unwrap().severity, Severity::Critical);
    // And its owner is still told of the one that holds the tenant by itself.
    let other = world.run().findings.into_iter().any(|finding| finding.subject.id.ends_with(":holder"));
    assert!(!other, "`holder` cannot run");
}

/// Signed in without a user, ownership alone changes nothing.
#[test]
fn ownership_without_a_permission_to_use_it_is_no_step() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    let holder = world.other("holder", Some(false));
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    owns(&mut world, NodeKind::Application, "app-holder");
    assert_eq!(told(&world), None);
    world.permission(OWNED_BY);
    assert_eq!(told(&world), FULL);
}

#[rstest]
#[case::application_of_an_open_one(NodeKind::Application, "app-holder", Some(false), FULL)]
// The lock protects service principals; the application's own credentials are its owner's to change.
#[case::application_of_a_locked_one(NodeKind::Application, "app-holder", Some(true), FULL)]
#[case::principal_of_an_open_one(NodeKind::ServicePrincipal, "holder", Some(false), FULL)]
#[case::principal_of_a_locked_one(NodeKind::ServicePrincipal, "holder", Some(true), None)]
// Neither that it can nor that it administers others is proven.
#[case::lock_not_read(NodeKind::ServicePrincipal, "holder", None, None)]
fn what_is_owned_and_its_lock_decide(
    #[case] kind: NodeKind,
    #[case] id: &str,
    #[case] locked: Option<bool>,
    #[case] expected: Option<(Claim, Severity)>,
) {
    let (mut world, _) = world(locked);
    owns(&mut world, kind, id);
    assert_eq!(told(&world), expected);
}

#[rstest]
#[case::over(|edge: &mut EdgeRow| edge.until = Some(EARLIER.parse().unwrap()))]
#[case::switched_off(|edge: &mut EdgeRow| edge.state = EdgeState::Disabled)]
#[case::to_be_activated(|edge: &mut EdgeRow| edge.state = EdgeState::Eligible)]
#[case::conditional(|edge: &mut EdgeRow| edge.condition = Some("x".to_owned()))]
fn an_ownership_that_may_not_hold_gives_nothing(#[case] change: fn(&mut EdgeRow)) {
    let (mut world, _) = world(Some(false));
    change(owns(&mut world, NodeKind::Application, "app-holder"));
    assert_eq!(told(&world), None);
}

#[rstest]
// BloodHound #943, PR #3240: AZAddSecret on a managed identity.
#[case::bloodhound_943_managed_identity(NodeKind::ManagedIdentity, Some(TENANT), true)]
// BloodHound Legacy #681: a foreign service principal.
#[case::bloodhound_legacy_681_foreign(NodeKind::ServicePrincipal, Some(OTHER_TENANT), true)]
#[case::home_not_read(NodeKind::ServicePrincipal, None, true)]
#[case::switched_off(NodeKind::ServicePrincipal, Some(TENANT), false)]
#[case::agent(NodeKind::AgentIdentity, Some(TENANT), true)]
fn who_owns_what_accepts_no_credentials_gains_nothing(
    #[case] kind: NodeKind,
    #[case] home: Option<&str>,
    #[case] enabled: bool,
) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
    let mut attrs = vec![(attr::ENABLED, Value::Bool(enabled))];
    attrs.extend(home.map(|home| (attr::HOME_TENANT, text(home))));
    let holder = world.b.node("servicePrincipals", kind, "x", &attrs);
    let open = [(attr::CREDENTIALS_LOCKED, Value::Bool(false))];
    let app = world.b.node("applications", NodeKind::Application, "app-x", &open);
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &holder);
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    owns(&mut world, NodeKind::Application, "app-x");
    owns(&mut world, kind, "x");
    let sp = world.sp.clone();
    world.role_of(&sp, APPLICATION_ADMINISTRATOR, "/app-x").role_of(&sp, APPLICATION_ADMINISTRATOR, "/x");
    assert_eq!(told(&world), None);
}

#[rstest]
#[case::over_its_application(APPLICATION_ADMINISTRATOR, "/app-holder", Some(true), FULL)]
#[case::over_the_principal(APPLICATION_ADMINISTRATOR, "/holder", Some(false), FULL)]
#[case::over_a_locked_principal(APPLICATION_ADMINISTRATOR, "/holder", Some(true), None)]
#[case::over_a_principal_whose_lock_was_not_read(APPLICATION_ADMINISTRATOR, "/holder", None, None)]
#[case::over_another(APPLICATION_ADMINISTRATOR, "/app-1", Some(false), None)]
#[case::over_nothing_that_was_seen(APPLICATION_ADMINISTRATOR, "/gone", Some(false), None)]
#[case::another_role(USER_ADMINISTRATOR, "/app-holder", Some(false), None)]
// BloodHound Legacy #677: scoped to an administrative unit, taken for the whole tenant.
#[case::bloodhound_legacy_677_unit(APPLICATION_ADMINISTRATOR, "/administrativeUnits/holder", Some(false), None)]
fn a_right_over_one_application_is_over_that_one(
    #[case] role: &str,
    #[case] scope: &str,
    #[case] locked: Option<bool>,
    #[case] expected: Option<(Claim, Severity)>,
) {
    let (mut world, _) = world(locked);
    let sp = world.sp.clone();
    world.role_of(&sp, role, scope);
    assert_eq!(told(&world), expected);
    if let Some(finding) = of_subject(&world, RULE) {
        assert_eq!(edges(&finding), ["AUTHENTICATES_AS", "INSTANTIATES", "GRANTED", "CAN_CONTROL", "GRANTED"]);
        assert_eq!(derivations(&finding), ["scoped-credentials/1"]);
    }
}

#[test]
fn a_chain_names_every_hop_and_proves_each() {
    let (mut world, _) = world(Some(false));
    let middle = world.other("middle", Some(false));
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    world.b.edge("appRoleAssignments", &middle, EdgeKind::Granted, &graph).role = Some(APPLICATION_WRITE.to_owned());
    owns(&mut world, NodeKind::Application, "app-middle");
    let finding = of_subject(&world, RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Critical));
    let hops: Vec<_> = finding.path.iter().map(|hop| (hop.edge.as_str(), hop.to.as_str())).collect();
    let expected = [
        ("AUTHENTICATES_AS", "application \"payroll-bot\""),
        ("INSTANTIATES", "service principal \"payroll-bot\""),
        ("OWNS", "application \"middle-app\""),
        ("CAN_CONTROL", "service principal \"middle\""),
        ("GRANTED", "service principal \"Microsoft Graph\""),
        ("CAN_CONTROL", "service principal \"holder\""),
        ("GRANTED", "tenant \"Contoso\""),
    ];
    assert_eq!(hops, expected);
    assert_eq!(derivations(&finding), ["owner-credentials/1", "application-credentials/1"]);
    let says = |part: &str| finding.evidence.iter().any(|item| item.claim.contains(part));
    assert!(says("The service principal \"middle\" holds the application permission Application.ReadWrite.All"));
    assert!(says("The service principal \"holder\" holds the directory role Global Administrator"));
    assert!(finding.path.len() <= 12 && finding.evidence.iter().all(|item| item.claim.chars().count() <= 320));
    // What the way rests on may end: then it is no more.
    world.b.node("applications", NodeKind::Application, "app-middle", &[(attr::CREDENTIALS_LOCKED, Value::Bool(true))]);
    assert_eq!(told(&world), FULL, "the application's own credentials are not locked");
}

#[test]
fn groups_in_groups_give_their_members_what_they_hold() {
    let (mut world, _) = world(Some(false));
    let (sp, outer) = (world.sp.clone(), world.group("outer", GLOBAL_ADMINISTRATOR));
    let inner = world.b.node("groups", NodeKind::Group, "inner", &[(attr::NAME, text("inner"))]);
    world.member(&sp, &inner);
    assert_eq!(told(&world), None);
    world.member(&inner, &outer);
    // In circles too.
    world.member(&outer, &inner);
    let finding = of_subject(&world, RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Critical));
    assert_eq!(edges(&finding), ["AUTHENTICATES_AS", "INSTANTIATES", "MEMBER_OF", "MEMBER_OF", "GRANTED"]);
    assert_eq!(derivations(&finding), ["group-membership/1"]);
    let claims: Vec<_> = finding.evidence.iter().map(|item| item.claim.as_str()).collect();
    assert!(claims.contains(&"It is a member of the group \"inner\"."), "{claims:?}");
    assert!(claims.contains(&"The group \"inner\" is a member of the group \"outer\"."), "{claims:?}");
}

#[rstest]
#[case::switched_off(|edge: &mut EdgeRow| edge.state = EdgeState::Disabled)]
#[case::over(|edge: &mut EdgeRow| edge.until = Some(EARLIER.parse().unwrap()))]
#[case::conditional(|edge: &mut EdgeRow| edge.condition = Some("x".to_owned()))]
fn a_link_between_groups_that_may_not_hold_proves_nothing(#[case] change: fn(&mut EdgeRow)) {
    let (mut world, _) = world(Some(false));
    let (sp, outer) = (world.sp.clone(), world.group("outer", GLOBAL_ADMINISTRATOR));
    let inner = world.b.node("groups", NodeKind::Group, "inner", &[]);
    world.member(&sp, &inner);
    change(world.member(&inner, &outer));
    assert_eq!(told(&world), None);
}

#[test]
fn a_membership_that_holds_counts_before_one_that_may_not() {
    let (mut world, _) = world(Some(false));
    let (sp, outer) = (world.sp.clone(), world.group("outer", GLOBAL_ADMINISTRATOR));
    let inner = world.b.node("groups", NodeKind::Group, "inner", &[]);
    world.member(&sp, &outer).state = EdgeState::Eligible;
    world.member(&sp, &inner);
    assert_eq!(told(&world), Some((Claim::Narrower, Severity::High)));
    world.member(&inner, &outer);
    assert_eq!(told(&world), FULL);
}

/// Nesting is the vendor's to choose: as deep as it likes, no step of it counts twice and the program's stack is not it.
#[test]
fn groups_may_be_nested_deeper_than_anybody_looks() {
    let (mut world, _) = world(Some(false));
    let mut last = world.sp.clone();
    for depth in 0..3000 {
        let next = world.b.node("groups", NodeKind::Group, &format!("g{depth:04}"), &[]);
        world.member(&last, &next);
        last = next;
    }
    world.role_of(&last, GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(told(&world), None);
}

#[test]
fn a_right_over_applications_through_a_group_composes() {
    let (mut world, _) = world(Some(false));
    let (sp, group) = (world.sp.clone(), world.group("keepers", APPLICATION_ADMINISTRATOR));
    world.member(&sp, &group);
    let finding = of_subject(&world, RULE).unwrap();
    assert_eq!(edges(&finding), ["AUTHENTICATES_AS", "INSTANTIATES", "MEMBER_OF", "GRANTED", "CAN_CONTROL", "GRANTED"]);
    assert_eq!(derivations(&finding), ["group-membership/1", "application-credentials/1"]);
    let cut = finding.remediation.first().unwrap();
    assert_eq!(
        cut,
        "Take the service principal \"payroll-bot\" out of the group \"keepers\": that alone cuts this way to the tenant."
    );
}

#[rstest]
#[case::eligible(|edge: &mut EdgeRow| edge.state = EdgeState::Eligible, "A role on the way must be activated first.")]
#[case::conditional(
    |edge: &mut EdgeRow| edge.condition = Some("x".to_owned()),
    "A role on the way has a condition, and conditions are not weighed."
)]
fn what_the_last_one_holds_must_hold(#[case] change: fn(&mut EdgeRow), #[case] reason: &str) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(APPLICATION_WRITE);
    let (holder, system) = (world.other("holder", Some(false)), world.system.clone());
    assert_eq!(told(&world), None);
    let edge = world.b.edge("directoryRoleAssignments", &holder, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    change(edge);
    let finding = of_subject(&world, RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
    assert!(finding.title.ends_with("administers credentials of other applications"), "{}", finding.title);
    assert!(finding.narrowed.iter().any(|item| item.reason == reason), "{:?}", finding.narrowed);
    assert_eq!(of_subject(&world, "ORPH-002").unwrap().severity, Severity::High, "unknown raises nothing");
}

#[test]
fn the_edge_to_cut_is_named_with_what_it_cuts() {
    let (mut world, _) = world(Some(false));
    let second = world.other("second", Some(false));
    world.role_of(&second, GLOBAL_ADMINISTRATOR, "/").permission(APPLICATION_WRITE);
    let last = |world: &World| of_subject(world, RULE).unwrap().remediation.first().cloned().unwrap();
    let take = "Take Application.ReadWrite.All from the service principal \"payroll-bot\": that alone cuts";
    assert_eq!(last(&world), format!("{take} all 2 of the shortest ways to the tenant by acting as others."));
    // A shorter way is told first; with it no edge cuts all.
    owns(&mut world, NodeKind::Application, "app-holder");
    assert_eq!(last(&world), format!("{take} 2 of the 3 shortest ways to the tenant by acting as others."));
    assert_eq!(of_subject(&world, RULE).unwrap().path[2].edge, "OWNS");
    // Where the tenant is held outright as well, that is one way of several: taking it away alone does not suffice.
    world.role(GLOBAL_ADMINISTRATOR);
    assert_eq!(
        last(&world),
        "Take Global Administrator from the service principal: that alone cuts 1 of the 4 shortest ways to the tenant."
    );
}

#[test]
fn the_end_of_a_step_is_a_transition() {
    let (mut world, _) = world(Some(false));
    owns(&mut world, NodeKind::Application, "app-holder").until = Some(LATER.parse().unwrap());
    assert_eq!(told(&world), FULL);
    assert_eq!(world.run().next_transition, Some(LATER.parse().unwrap()));
}

/// What is proven stays proven however little else was read, and nothing that was not read is held against anybody.
#[test]
fn partial_coverage_takes_no_proven_way_away_and_adds_none() {
    for collection in sv0_graph::testing::ENTRA_COLLECTIONS {
        let (mut world, _) = world(Some(false));
        world.cover(collection, CoverageState::Partial);
        assert_eq!(told(&world), None, "{collection}");
        owns(&mut world, NodeKind::Application, "app-holder");
        assert_eq!(told(&world), FULL, "{collection}");
    }
}

/// An owner gains by what it owns, whatever it could come to hold by owning it.
#[test]
fn an_owner_is_measured_without_what_it_owns() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let owner = world.other("deployer", Some(false));
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    world.b.edge("appRoleAssignments", &owner, EdgeKind::Granted, &graph).role = Some(OWNED_BY.to_owned());
    world.owns_app(&owner).owners_read(1, 0).key_on(&owner, "servicePrincipals", &Key::default());
    assert_eq!(of_subject(&world, "UNB-011").map(|finding| finding.rule.claim), Some(Claim::Full));
    let of_owner = world
        .run()
        .findings
        .into_iter()
        .find(|finding| finding.rule.id == RULE && finding.subject.id.ends_with(":deployer"));
    assert_eq!(of_owner.map(|finding| finding.rule.claim), Some(Claim::Full));
}

#[test]
fn texts_of_a_way_fit_whatever_the_names() {
    let (mut world, _) = world(Some(false));
    let long = text(&"n".repeat(300));
    world.b.node("selfCheck", NodeKind::Application, "app-holder", &[(attr::NAME, long.clone())]);
    owns(&mut world, NodeKind::Application, "app-holder");
    for finding in world.run().findings {
        assert!(finding.why.chars().count() <= 480, "{}: {}", finding.why.chars().count(), finding.why);
        assert!(finding.remediation.iter().all(|step| step.chars().count() <= 320), "{:?}", finding.remediation);
        assert!(finding.evidence.iter().all(|item| item.claim.chars().count() <= 320));
    }
}

#[test]
fn derivations_read_collections_that_exist() {
    for derivation in DERIVATIONS {
        let known = |needed: &&str| sv0_graph::testing::ENTRA_COLLECTIONS.contains(needed);
        assert!(derivation.needs.iter().all(known), "{}", derivation.id);
    }
}
