//! UNB-011: owners who can take over more than they hold.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeId, NodeKind, Value, attr};
use sv0_rules::{Claim, Severity};

const RULE: &str = "UNB-011";

fn owned(role: &str) -> World {
    let mut world = World::privileged(role);
    let dana = world.person("dana", Some(true));
    world.owns_app(&dana);
    world
}

fn claim(world: &World) -> Option<Claim> {
    world.finding(RULE).map(|finding| finding.rule.claim)
}

#[rstest]
#[case::takes_over(GLOBAL_ADMINISTRATOR, Some(Severity::Critical))]
#[case::administers(APPLICATION_ADMINISTRATOR, Some(Severity::High))]
#[case::near_miss_writes_only(BILLING_ADMINISTRATOR, None)]
fn the_target_must_be_privileged(#[case] role: &str, #[case] expected: Option<Severity>) {
    let finding = owned(role).finding(RULE);
    assert_eq!(finding.as_ref().map(|finding| finding.severity), expected);
    if let Some(finding) = finding {
        assert_eq!(finding.rule.claim, Claim::Full);
        assert_eq!(
            (finding.path[0].edge.as_str(), finding.path[0].from.as_str()),
            ("OWNS", "account \"dana@contoso.example\"")
        );
        assert_eq!(finding.evidence[0].source.field, "owners");
    }
}

#[rstest]
#[case::as_strong(APPLICATION_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, "/", None)]
#[case::stronger(APPLICATION_ADMINISTRATOR, GLOBAL_ADMINISTRATOR, "/", None)]
#[case::weaker(GLOBAL_ADMINISTRATOR, USER_ADMINISTRATOR, "/", Some(Claim::Full))]
// May add credentials to every application, and so to this one, which it then need not own.
#[case::takes_it_over_anyway(GLOBAL_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, "/", None)]
#[case::strong_over_one_unit_only(
    APPLICATION_ADMINISTRATOR,
    APPLICATION_ADMINISTRATOR,
    "/administrativeUnits/u",
    Some(Claim::Full)
)]
#[case::of_unknown_strength(GLOBAL_ADMINISTRATOR, "dddddddd-0000-4000-8000-00000000000d", "/", Some(Claim::Narrower))]
fn the_owner_must_be_weaker(
    #[case] target: &str,
    #[case] own: &str,
    #[case] scope: &str,
    #[case] expected: Option<Claim>,
) {
    let mut world = owned(target);
    let dana = world.b.id(NodeKind::Human, "dana");
    world.role_of(&dana, own, scope);
    assert_eq!(claim(&world), expected);
}

#[rstest]
fn roles_of_owners_that_were_not_collected_are_not_absent(
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let mut world = owned(GLOBAL_ADMINISTRATOR);
    world.cover("ownerRoles", state);
    let finding = world.finding(RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::High));
    assert!(!finding.narrowed.is_empty());
}

#[test]
fn a_collection_that_no_connector_reports_is_unknown_and_holds_nothing_open() {
    let mut world = owned(GLOBAL_ADMINISTRATOR);
    world.b.header().coverage.retain(|record| record.collection != "ownerRoles");
    let finding = world.finding(RULE).unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.depends_on.iter().all(|needed| needed.collection != "ownerRoles"));
}

#[test]
fn the_owner_may_be_a_member_of_a_group_that_is_as_strong() {
    let mut world = owned(APPLICATION_ADMINISTRATOR);
    let group = world.b.node("ownerRoles", NodeKind::Group, "admins", &[]);
    world.role_of(&group, DIRECTORY_READERS, "/");
    assert_eq!(claim(&world), Some(Claim::Full));
    world.role_of(&group, GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(claim(&world), Some(Claim::Narrower));
}

#[rstest]
#[case::disabled(Some(false))]
#[case::not_readable(None)]
fn who_cannot_be_shown_to_act_takes_nothing_over(#[case] state: Option<bool>) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let dana = world.person("dana", state);
    world.owns_app(&dana);
    assert_eq!(claim(&world), None);
}

#[test]
fn a_group_as_owner_is_not_a_person() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let group = world.b.node("applicationOwners", NodeKind::Group, "g", &[]);
    world.owns_app(&group);
    assert_eq!(claim(&world), None);
}

#[rstest]
#[case::unlocked(Some(false), Some(Claim::Full))]
#[case::locked(Some(true), None)]
#[case::lock_not_collected(None, Some(Claim::Narrower))]
fn the_property_lock_keeps_owners_of_the_service_principal_out(
    #[case] locked: Option<bool>,
    #[case] expected: Option<Claim>,
) {
    let mut world = World::new();
    let app = world.b.node("applications", NodeKind::Application, "app-2", &[]);
    if let Some(locked) = locked {
        world.b.node(
            "applications",
            NodeKind::Application,
            "app-2",
            &[(attr::CREDENTIALS_LOCKED, Value::Bool(locked))],
        );
    }
    let sp = world.b.node(
        "servicePrincipals",
        NodeKind::ServicePrincipal,
        "sp-2",
        &[(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(TENANT))],
    );
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
    let dana = world.person("dana", Some(true));
    world.b.edge("servicePrincipalOwners", &dana, EdgeKind::Owns, &sp);
    world.role_of(&sp, GLOBAL_ADMINISTRATOR, "/").key_on(&app, "applications", &Key::default());
    assert_eq!(claim(&world), expected);
    // The lock does not bind owners of the application itself.
    world.b.edge("applicationOwners", &dana, EdgeKind::Owns, &app);
    assert_eq!(claim(&world), Some(Claim::Full));
}

#[test]
fn managed_identities_and_microsofts_own_accept_no_credentials() {
    let mut world = World::new();
    let dana = world.person("dana", Some(true));
    let identity =
        world.b.node("servicePrincipals", NodeKind::ManagedIdentity, "mi", &[(attr::ENABLED, Value::Bool(true))]);
    let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(MICROSOFT))];
    let first_party = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "ms", &attrs);
    for id in [identity, first_party] {
        world.b.edge("servicePrincipalOwners", &dana, EdgeKind::Owns, &id);
        world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &Key::default());
    }
    assert_eq!(claim(&world), None);
}

#[rstest]
#[case::ours(TENANT, false, Severity::High)]
#[case::another_tenants(OTHER_TENANT, false, Severity::Critical)]
#[case::trusted(OTHER_TENANT, true, Severity::High)]
fn an_outside_party_that_takes_over_weighs_more(#[case] home: &str, #[case] trusted: bool, #[case] expected: Severity) {
    let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
    let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(home))];
    let vendor = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "vendor", &attrs);
    world.owns_app(&vendor);
    manages_owned(&mut world, &vendor);
    if trusted {
        world.config.trusted_tenants.insert(OTHER_TENANT.to_owned());
    }
    assert_eq!(world.finding(RULE).unwrap().severity, expected);
}

/// Lets an identity change what it owns.
fn manages_owned(world: &mut World, owner: &NodeId) {
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    let edge = world.b.edge("appRoleAssignments", owner, EdgeKind::Granted, &graph);
    edge.role = Some("18a4783c-866b-4cc7-a460-3d5e5662c884".to_owned());
}

/// Signed in without a user, nobody changes an application by owning it alone.
#[test]
fn an_owner_that_is_no_person_needs_a_permission() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let owner = world.other("deployer", Some(false));
    world.owns_app(&owner).owners_read(1, 0);
    let finding = world.finding(RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::High));
    assert!(finding.narrowed[0].reason.contains("no permission to change what it owns"), "{:?}", finding.narrowed);
    manages_owned(&mut world, &owner);
    assert_eq!(claim(&world), Some(Claim::Full));
}

/// Who could activate the role has no less authority. A tenant without the licence has no such roles.
#[rstest]
#[case::seen(CoverageState::Complete, None, Some(Claim::Full))]
#[case::not_all_seen(CoverageState::Partial, None, Some(Claim::Narrower))]
#[case::denied(CoverageState::Denied, Some("PermissionMissing"), Some(Claim::Narrower))]
#[case::unlicensed(CoverageState::Skipped, Some("LicenseMissing"), Some(Claim::Full))]
fn an_owner_that_is_no_person_may_be_eligible(
    #[case] state: CoverageState,
    #[case] reason: Option<&str>,
    #[case] expected: Option<Claim>,
) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let owner = world.other("owner", Some(false));
    world.owns_app(&owner).owners_read(1, 0);
    manages_owned(&mut world, &owner);
    for row in &mut world.b.header().coverage {
        if row.collection == "directoryRoleEligibility" {
            (row.state, row.reason) = (state, reason.map(str::to_owned));
        }
    }
    let of_payroll = |world: &World| {
        let found = world.run().findings.into_iter();
        found.filter(|finding| finding.rule.id == RULE).map(|finding| finding.rule.claim).next()
    };
    assert_eq!(of_payroll(&world), expected);
    // Read, such a role says as much.
    let system = world.system.clone();
    let edge = world.b.edge("directoryRoleEligibility", &owner, EdgeKind::Granted, &system);
    (edge.role, edge.scope) = (Some(GLOBAL_ADMINISTRATOR.to_owned()), Some("/".to_owned()));
    edge.state = sv0_graph::EdgeState::Eligible;
    assert_eq!(of_payroll(&world), Some(Claim::Narrower));
}

#[test]
fn an_identity_that_owns_itself_gains_nothing() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let sp = world.sp.clone();
    world.owns_app(&sp);
    assert_eq!(claim(&world), None);
}
