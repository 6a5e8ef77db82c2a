//! ORPH-001 and ORPH-002: who is recorded, and whether they are still there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};
use sv0_rules::{AccountableState, Claim, Severity};

/// The usual subject, its application owned by accounts in these states.
fn owned_by(states: &[Option<bool>]) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(APPLICATION_ADMINISTRATOR);
    for (i, state) in states.iter().enumerate() {
        let person = world.person(&format!("person-{i}"), *state);
        world.owns_app(&person);
    }
    world.owners_read(i64::try_from(states.len()).unwrap(), 0);
    world
}

fn claim(world: &World) -> Option<Claim> {
    world.finding("ORPH-001").map(|finding| finding.rule.claim)
}

#[rstest]
#[case::one_disabled(&[Some(false)], Some(Claim::Full))]
#[case::all_disabled(&[Some(false), Some(false)], Some(Claim::Full))]
#[case::near_miss_one_active(&[Some(false), Some(true)], None)]
#[case::all_active(&[Some(true)], None)]
#[case::one_not_readable(&[Some(false), None], Some(Claim::Narrower))]
#[case::none_readable(&[None, None], None)]
#[case::nobody_recorded(&[], None)]
fn orph_001_table(#[case] owners: &[Option<bool>], #[case] expected: Option<Claim>) {
    assert_eq!(claim(&owned_by(owners)), expected);
}

#[test]
fn orph_001_says_who_is_gone_and_how_it_is_known() {
    let finding = owned_by(&[Some(false)]).finding("ORPH-001").unwrap();
    assert_eq!(finding.severity, Severity::High);
    assert_eq!(finding.accountable.state, AccountableState::Gone);
    assert_eq!(finding.accountable.parties[0].state, "disabled");
    assert_eq!(finding.accountable.parties[0].name.as_deref(), Some("person-0@contoso.example"));
    assert_eq!(finding.evidence[0].source.field, "accountEnabled");
    assert_eq!(finding.evidence[0].value.as_deref(), Some("false"));
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "ownerAccounts"));
}

#[test]
fn orph_001_a_deleted_owner_is_gone_even_if_the_account_still_says_enabled() {
    let mut world = owned_by(&[Some(true)]);
    assert_eq!(claim(&world), None);
    world.b.node("deletedUsers", NodeKind::Human, "person-0", &[(attr::DELETED_AT, text("2026-05-01T00:00:00Z"))]);
    let finding = world.finding("ORPH-001").unwrap();
    assert_eq!(finding.accountable.parties[0].state, "deleted");
    assert_eq!(finding.evidence[0].value.as_deref(), Some("2026-05-01"));
}

#[test]
fn orph_001_an_active_guest_answers() {
    let mut world = owned_by(&[Some(false), Some(true)]);
    world.b.node("ownerAccounts", NodeKind::Human, "person-1", &[(attr::USER_TYPE, text("Guest"))]);
    assert_eq!(claim(&world), None);
    world.b.node("ownerAccounts", NodeKind::Human, "person-0", &[(attr::USER_TYPE, text("Guest"))]);
    assert_eq!(world.finding("ORPH-002"), None);
}

#[test]
fn orph_001_owners_of_application_and_service_principal_count_together() {
    let mut world = owned_by(&[Some(false)]);
    let active = world.person("colleague", Some(true));
    world.owns_sp(&active).owners_read(1, 1);
    assert_eq!(claim(&world), None);
}

#[rstest]
#[case::owners("applicationOwners")]
#[case::principals("servicePrincipalOwners")]
fn orph_001_an_incomplete_owner_list_only_proves_the_narrower_claim(
    #[case] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let mut world = owned_by(&[Some(false)]);
    world.cover(collection, state);
    let finding = world.finding("ORPH-001").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
    assert_eq!(finding.accountable.state, AccountableState::Unknown);
    assert!(!finding.narrowed.is_empty());
    // What was not read may hold an active owner: of all of them nothing is said.
    let says = "\"payroll-bot\" can run unattended and one recorded owner is gone; not every owner was seen";
    assert_eq!(finding.title, says);
}

#[test]
fn orph_001_an_owner_that_the_vendor_counted_and_we_cannot_name_may_be_active() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(APPLICATION_ADMINISTRATOR);
    let gone = world.person("gone", Some(false));
    world.owns_app(&gone).owners_read(2, 0);
    assert_eq!(claim(&world), Some(Claim::Narrower));
}

#[test]
fn orph_001_a_list_that_was_read_whole_proves_that_nobody_is_verifiably_active() {
    let title = owned_by(&[Some(false), None]).finding("ORPH-001").unwrap().title;
    assert!(title.ends_with("no recorded owner is verifiably active"), "{title}");
}

#[test]
fn orph_001_a_group_may_have_active_members() {
    let mut world = owned_by(&[Some(false)]);
    let group = world.b.node("applicationOwners", NodeKind::Group, "g", &[]);
    world.owns_app(&group);
    world.b.node("applicationOwners", NodeKind::Application, "app-1", &[]);
    let finding = world.finding("ORPH-001").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.accountable.parties.iter().any(|party| party.state == "unresolved"));
}

#[rstest]
#[case::its_owner_is_active(Some(true), None)]
#[case::its_owner_is_gone(Some(false), Some(Claim::Narrower))]
fn orph_001_a_service_principal_answers_through_the_people_who_own_it(
    #[case] state: Option<bool>,
    #[case] expected: Option<Claim>,
) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(APPLICATION_ADMINISTRATOR);
    let gone = world.person("gone", Some(false));
    let pipeline =
        world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-2", &[(attr::ENABLED, Value::Bool(true))]);
    let behind = world.person("behind", state);
    world.b.edge("servicePrincipalOwners", &behind, EdgeKind::Owns, &pipeline);
    world.owns_app(&gone).owns_app(&pipeline).owners_read(2, 0);
    assert_eq!(claim(&world), expected);
}

/// Cartography #379: what a failed read did not bring was taken for deleted.
#[test]
fn orph_001_throttled_account_reads_are_not_gone_owners() {
    let mut world = owned_by(&[None]);
    world.cover("ownerAccounts", CoverageState::Throttled);
    assert_eq!(world.finding("ORPH-001"), None);
    assert_eq!(world.finding("ORPH-002"), None);
}

#[test]
fn orph_002_fires_over_complete_empty_lists_only() {
    let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
    let finding = world.finding("ORPH-002").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
    let empty: Vec<_> = finding.evidence.iter().filter(|item| item.source.field == "owners").collect();
    assert_eq!(empty.len(), 2);
    assert!(empty.iter().all(|item| item.value.as_deref() == Some("empty")));

    let owner = world.person("p", None);
    world.owns_app(&owner).owners_read(1, 0);
    assert_eq!(world.finding("ORPH-002"), None);
}

/// Zero Trust Assessment #1147: every application was shown with no owner.
#[rstest]
fn orph_002_a_list_that_was_not_read_is_not_an_empty_one(
    #[values("applicationOwners", "servicePrincipalOwners")] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.cover(collection, state);
    assert_eq!(world.finding("ORPH-002"), None);
}

#[rstest]
#[case::counted_but_not_named(1, 0)]
#[case::counted_on_the_service_principal(0, 2)]
fn orph_002_the_vendors_count_contradicts_an_empty_list(#[case] app: i64, #[case] sp: i64) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(GLOBAL_ADMINISTRATOR).owners_read(app, sp);
    assert_eq!(world.finding("ORPH-002"), None);
}

/// An application that was not seen may have owners.
#[rstest]
#[case::none_exists(CoverageState::Complete, Some(Claim::Full))]
#[case::not_read_whole(CoverageState::Partial, None)]
fn orph_002_an_application_that_was_not_seen_may_be_owned(
    #[case] applications: CoverageState,
    #[case] expected: Option<Claim>,
) {
    let mut world = World::new();
    let attrs =
        [(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(TENANT)), (attr::OWNER_COUNT, Value::Int(0))];
    let sp = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-9", &attrs);
    world.role_of(&sp, GLOBAL_ADMINISTRATOR, "/").key_on(&sp, "servicePrincipals", &Key::default());
    world.cover("applications", applications);
    assert_eq!(world.finding("ORPH-002").map(|finding| finding.rule.claim), expected);
}

#[test]
fn orph_002_without_the_vendors_count_nothing_is_said() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(GLOBAL_ADMINISTRATOR);
    assert_eq!(world.finding("ORPH-002"), None);
}

#[rstest]
#[case::set(Some(true), None)]
#[case::empty(Some(false), Some(Claim::Full))]
#[case::not_collected(None, Some(Claim::Narrower))]
fn orph_002_a_service_management_reference_answers(#[case] reference: Option<bool>, #[case] expected: Option<Claim>) {
    let mut world = World::new();
    let app = world.b.node("applications", NodeKind::Application, "app-2", &[(attr::NAME, text("other"))]);
    if let Some(set) = reference {
        world.b.node(
            "applications",
            NodeKind::Application,
            "app-2",
            &[(attr::HAS_MANAGEMENT_REFERENCE, Value::Bool(set))],
        );
    }
    let sp = world.b.node(
        "servicePrincipals",
        NodeKind::ServicePrincipal,
        "sp-9",
        &[(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(TENANT)), (attr::OWNER_COUNT, Value::Int(0))],
    );
    world.b.node("applicationOwners", NodeKind::Application, "app-2", &[(attr::OWNER_COUNT, Value::Int(0))]);
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
    world.role_of(&sp, GLOBAL_ADMINISTRATOR, "/").key_on(&app, "applications", &Key::default());
    assert_eq!(world.finding("ORPH-002").map(|finding| finding.rule.claim), expected);
}

#[rstest]
#[case::agent_identities_have_sponsors(NodeKind::AgentIdentity)]
#[case::managed_identities_have_hosts(NodeKind::ManagedIdentity)]
fn orph_002_leaves_out_what_has_no_owners_by_design(#[case] kind: NodeKind) {
    let mut world = World::new();
    let attrs =
        [(attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(TENANT)), (attr::OWNER_COUNT, Value::Int(0))];
    let id = world.b.node("servicePrincipals", kind, "x", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &Key::default());
    assert_eq!(world.finding("ORPH-002"), None);
}

#[test]
fn orph_002_an_application_of_another_tenant_may_be_owned_there() {
    let mut world = World::new();
    let attrs = [
        (attr::ENABLED, Value::Bool(true)),
        (attr::HOME_TENANT, text(OTHER_TENANT)),
        (attr::OWNER_COUNT, Value::Int(0)),
    ];
    let id = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "x", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &Key::default());
    assert_eq!(world.finding("ORPH-002"), None);
}
