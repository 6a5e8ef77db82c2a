//! Where authority comes from: groups, time, activation, composition. And UNB-001, which is about all of the tenant.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, EdgeState, NodeKind, Value, attr};
use sv0_rules::{Claim, EvidenceClass, RuleFinding, Severity};

const RULE: &str = "UNB-001";
const LATER: &str = "2026-06-01T08:00:00Z";
const EARLIER: &str = "2026-05-31T08:00:00Z";

/// Runs, holds nothing.
fn powerless() -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    world
}

/// Runs, may add credentials to every application; `holder` holds the tenant.
fn composed(locked: Option<bool>) -> World {
    let mut world = powerless();
    let other = world.other("holder", locked);
    world.permission(APPLICATION_WRITE).role_of(&other, GLOBAL_ADMINISTRATOR, "/");
    world
}

fn told(finding: &RuleFinding) -> (Claim, Severity) {
    (finding.rule.claim, finding.severity)
}

const FULL: Option<(Claim, Severity)> = Some((Claim::Full, Severity::Critical));

#[rstest]
#[case::whole_tenant(GLOBAL_ADMINISTRATOR, "/", FULL)]
#[case::administers(APPLICATION_ADMINISTRATOR, "/", None)]
// BloodHound Legacy #677: a role over an administrative unit is not a role over the tenant.
#[case::administrative_unit(GLOBAL_ADMINISTRATOR, "/administrativeUnits/u1", None)]
#[case::one_object(GLOBAL_ADMINISTRATOR, "/app-9", None)]
fn a_role_over_the_whole_tenant(#[case] role: &str, #[case] scope: &str, #[case] expected: Option<(Claim, Severity)>) {
    let mut world = powerless();
    let sp = world.sp.clone();
    world.role_of(&sp, role, scope);
    assert_eq!(world.finding(RULE).as_ref().map(told), expected);
}

#[test]
fn a_permission_that_assigns_roles() {
    let mut world = powerless();
    world.permission(ROLE_MANAGEMENT_WRITE);
    let finding = world.finding(RULE).unwrap();
    assert_eq!(Some(told(&finding)), FULL);
    assert_eq!(finding.title, "\"payroll-bot\" can run unattended and holds RoleManagement.ReadWrite.Directory");
}

#[test]
fn a_managed_identity_runs_and_holds_the_tenant() {
    let mut world = World::new();
    let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::NAME, text("vm"))];
    let id = world.b.node("servicePrincipals", NodeKind::ManagedIdentity, "mi", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(world.finding(RULE).as_ref().map(told), FULL);
}

/// Microsoft/M365-Assess #419: applications were taken for Microsoft's, or not, by what they are called.
#[rstest]
#[case::home_tenant(Some(MICROSOFT), "any", "payroll-bot", false)]
#[case::app_id(None, "00000002-0000-0ff1-ce00-000000000000", "payroll-bot", false)]
#[case::only_named_like_it(Some(TENANT), "any", "Microsoft Graph", true)]
#[case::foreign_and_named_like_it(Some(OTHER_TENANT), "any", "Office 365 Exchange Online", true)]
fn microsofts_own_are_known_by_tenant_and_application_never_by_name(
    #[case] home: Option<&str>,
    #[case] app_id: &str,
    #[case] name: &str,
    #[case] expected: bool,
) {
    let mut world = World::new();
    world.b = sv0_graph::testing::SnapshotBuilder::entra("uid-1", TENANT);
    world.system = world.b.node("organization", NodeKind::System, TENANT, &[]);
    let mut attrs = vec![(attr::NAME, text(name)), (attr::APP_ID, text(app_id)), (attr::ENABLED, Value::Bool(true))];
    attrs.extend(home.map(|home| (attr::HOME_TENANT, text(home))));
    let sp = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &attrs);
    world.key_on(&sp, "servicePrincipals", &Key::default()).role_of(&sp, GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(world.finding(RULE).is_some(), expected);
}

#[test]
fn a_group_gives_its_members_what_it_holds() {
    let mut world = powerless();
    let group = world.group("admins", GLOBAL_ADMINISTRATOR);
    assert!(world.finding(RULE).is_none(), "nobody is a member");
    let sp = world.sp.clone();
    world.member(&sp, &group);
    let finding = world.finding(RULE).unwrap();
    assert_eq!(Some(told(&finding)), FULL);
    let hops: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(hops, ["AUTHENTICATES_AS", "INSTANTIATES", "MEMBER_OF", "GRANTED"]);
    let of_field = |field: &str| finding.evidence.iter().find(|item| item.source.field == field).unwrap();
    assert_eq!(of_field("roleDefinitionId").class, EvidenceClass::Structural);
    assert_eq!(of_field("transitiveMembers").class, EvidenceClass::Direct);
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "groupMembers"));
}

#[rstest]
#[case::eligible_member(|edge: &mut sv0_graph::EdgeRow| edge.state = EdgeState::Eligible)]
#[case::former_member(|edge: &mut sv0_graph::EdgeRow| edge.until = Some(EARLIER.parse().unwrap()))]
#[case::conditional(|edge: &mut sv0_graph::EdgeRow| edge.condition = Some("x".to_owned()))]
fn a_membership_that_may_not_hold_gives_nothing_proven(#[case] change: fn(&mut sv0_graph::EdgeRow)) {
    let mut world = powerless();
    let group = world.group("admins", GLOBAL_ADMINISTRATOR);
    let sp = world.sp.clone();
    change(world.member(&sp, &group));
    assert_ne!(world.finding(RULE).map(|finding| finding.rule.claim), Some(Claim::Full));
    assert!(world.finding("ORPH-002").is_none(), "below the lane");
}

#[test]
fn an_application_permission_is_not_a_members_through_its_group() {
    let mut world = powerless();
    let group = world.b.node("groups", NodeKind::Group, "g", &[]);
    let (sp, graph) = (world.sp.clone(), world.b.id(NodeKind::ServicePrincipal, "graph"));
    world.b.edge("appRoleAssignments", &group, EdgeKind::Granted, &graph).role = Some(ROLE_MANAGEMENT_WRITE.to_owned());
    world.member(&sp, &group);
    assert!(world.run().findings.is_empty());
}

#[rstest]
#[case::still_active(LATER, true)]
#[case::ends_now("2026-06-01T00:00:00Z", false)]
#[case::over(EARLIER, false)]
fn an_activated_role_counts_until_it_ends(#[case] until: &str, #[case] expected: bool) {
    let mut world = powerless();
    let (sp, system) = (world.sp.clone(), world.system.clone());
    let edge = world.b.edge("directoryRoleAssignments", &sp, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    edge.until = Some(until.parse().unwrap());
    assert_eq!(world.finding(RULE).is_some(), expected);
    let next = world.run().next_transition;
    assert_eq!(next == Some(LATER.parse().unwrap()), expected, "{next:?}");
}

#[test]
fn the_end_of_an_owners_role_is_a_transition_too() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let owner = world.person("dana", Some(true));
    let system = world.system.clone();
    world.owns_app(&owner).owners_read(1, 0);
    let edge = world.b.edge("ownerRoles", &owner, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    edge.until = Some(LATER.parse().unwrap());
    assert!(world.finding("UNB-011").is_none(), "as strong for the time being");
    assert_eq!(world.run().next_transition, Some(LATER.parse().unwrap()));
}

#[test]
fn an_eligible_role_is_told_one_step_down() {
    let mut world = powerless();
    world.eligible(GLOBAL_ADMINISTRATOR, "/").until = Some(LATER.parse().unwrap());
    let finding = world.finding(RULE).unwrap();
    assert_eq!(told(&finding), (Claim::Narrower, Severity::High));
    assert!(finding.title.ends_with("eligible for Global Administrator"), "{}", finding.title);
    assert_eq!(finding.path.last().unwrap().via.as_deref(), Some("Global Administrator (eligible)"));
    assert!(finding.narrowed.iter().any(|item| item.claim == "That it can activate the role without a person"));
    assert_eq!(world.run().next_transition, Some(LATER.parse().unwrap()));
}

#[rstest]
#[case::bounded(GLOBAL_ADMINISTRATOR, "/administrativeUnits/u1")]
#[case::weaker(APPLICATION_ADMINISTRATOR, "/")]
#[case::unknown_role("dddddddd-0000-4000-8000-00000000000d", "/")]
fn an_eligible_role_below_the_tenant_is_no_finding(#[case] role: &str, #[case] scope: &str) {
    let mut world = powerless();
    world.eligible(role, scope);
    assert!(world.run().findings.is_empty());
}

#[test]
fn an_eligible_role_raises_no_other_rule() {
    let mut world = World::privileged(BILLING_ADMINISTRATOR);
    let before = world.finding("ORPH-002").unwrap().severity;
    world.eligible(GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(world.finding("ORPH-002").unwrap().severity, before);
}

#[test]
fn adding_credentials_is_the_tenant_where_an_application_holds_it() {
    let world = composed(Some(false));
    let finding = world.finding(RULE).unwrap();
    assert_eq!(Some(told(&finding)), FULL);
    let hops: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(hops, ["AUTHENTICATES_AS", "INSTANTIATES", "GRANTED", "CAN_CONTROL", "GRANTED"]);
    assert_eq!(finding.path[3].class, EvidenceClass::Structural);
    let derived: Vec<_> = finding.evidence.iter().filter(|item| item.class == EvidenceClass::Structural).collect();
    assert_eq!(derived.len(), 1);
    assert!(derived[0].claim.contains("(application-credentials/1)"), "{}", derived[0].claim);
    // Its parents: the grant that adds credentials, what the target holds, the lock (the source of the derivation), home.
    let fields: Vec<_> = finding.evidence.iter().map(|item| item.source.field.as_str()).collect();
    for field in ["appRoleId", "roleDefinitionId", "servicePrincipalLockConfiguration", "appOwnerOrganizationId"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    // The tier holds for every rule.
    assert_eq!(world.finding("ORPH-002").unwrap().severity, Severity::Critical);
}

#[test]
fn without_such_an_application_it_administers() {
    let mut world = powerless();
    world.permission(APPLICATION_WRITE).other("harmless", Some(false));
    assert!(world.finding(RULE).is_none());
    assert_eq!(world.finding("ORPH-002").unwrap().severity, Severity::High);
}

#[test]
fn a_property_lock_refuses_and_an_unread_one_is_the_narrower_claim() {
    assert!(composed(Some(true)).finding(RULE).is_none());
    let world = composed(None);
    let finding = world.finding(RULE).unwrap();
    assert_eq!(told(&finding), (Claim::Narrower, Severity::Medium));
    assert!(finding.title.contains("administers credentials of other applications"), "{}", finding.title);
    assert_eq!(world.finding("ORPH-002").unwrap().severity, Severity::High, "unknown raises nothing");
}

#[rstest]
// BloodHound #943, PR #3240: a managed identity accepts no credentials.
#[case::managed_identity(NodeKind::ManagedIdentity, Some(TENANT), true)]
// BloodHound Legacy #681: what a foreign application accepts is decided elsewhere.
#[case::foreign(NodeKind::ServicePrincipal, Some(OTHER_TENANT), true)]
#[case::home_not_read(NodeKind::ServicePrincipal, None, true)]
#[case::switched_off(NodeKind::ServicePrincipal, Some(TENANT), false)]
fn what_accepts_no_credentials_is_no_target(#[case] kind: NodeKind, #[case] home: Option<&str>, #[case] enabled: bool) {
    let mut world = powerless();
    let mut attrs = vec![(attr::ENABLED, Value::Bool(enabled))];
    attrs.extend(home.map(|home| (attr::HOME_TENANT, text(home))));
    let holder = world.b.node("servicePrincipals", kind, "holder", &attrs);
    let app = world.b.node(
        "applications",
        NodeKind::Application,
        "holder-app",
        &[(attr::CREDENTIALS_LOCKED, Value::Bool(false))],
    );
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &holder);
    world.permission(APPLICATION_WRITE).role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    let finding = world.finding(RULE).filter(|finding| finding.subject.id.ends_with(":sp-1"));
    assert!(finding.is_none());
    assert_eq!(world.finding("ORPH-002").unwrap().severity, Severity::High);
}

#[rstest]
#[case::role(APPLICATION_ADMINISTRATOR, "/", true)]
#[case::over_one_application(APPLICATION_ADMINISTRATOR, "/app-9", false)]
#[case::role_that_does_not(BILLING_ADMINISTRATOR, "/", false)]
fn only_a_right_over_all_applications_composes(#[case] role: &str, #[case] scope: &str, #[case] expected: bool) {
    let mut world = powerless();
    let (sp, holder) = (world.sp.clone(), world.other("holder", Some(false)));
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/").role_of(&sp, role, scope);
    assert_eq!(world.finding(RULE).is_some(), expected);
}

#[test]
fn a_target_may_hold_the_tenant_through_a_group_and_for_a_time() {
    let mut world = powerless();
    let holder = world.other("holder", Some(false));
    let group = world.group("admins", GLOBAL_ADMINISTRATOR);
    world.permission(APPLICATION_WRITE).member(&holder, &group).until = Some(LATER.parse().unwrap());
    let finding = world.finding(RULE).unwrap();
    assert_eq!(Some(told(&finding)), FULL);
    assert!(finding.evidence.iter().any(|item| item.claim.contains("(group-membership/1)")));
    assert_eq!(world.run().next_transition, Some(LATER.parse().unwrap()));
}

/// Everybody who may add credentials can take the same application over: an owner who may is not weaker.
#[test]
fn an_owner_who_composes_as_well_gains_nothing_by_owning() {
    let mut world = composed(Some(false));
    let owner = world.person("dana", Some(true));
    let system = world.system.clone();
    world.owns_app(&owner).owners_read(1, 0);
    assert!(world.finding("UNB-011").is_some());
    let edge = world.b.edge("ownerRoles", &owner, EdgeKind::Granted, &system);
    edge.role = Some(APPLICATION_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    assert!(world.finding("UNB-011").is_none());
}

/// A lock that was not read can neither make an owner stronger nor prove that it is weaker.
#[test]
fn an_owner_who_may_compose_is_not_provably_weaker() {
    let mut world = composed(None);
    let (sp, owner) = (world.sp.clone(), world.person("dana", Some(true)));
    let system = world.system.clone();
    world.role_of(&sp, GLOBAL_ADMINISTRATOR, "/").owns_app(&owner).owners_read(1, 0);
    assert_eq!(world.finding("UNB-011").unwrap().rule.claim, Claim::Full);
    world.b.node("applications", NodeKind::Application, "app-1", &[(attr::CREDENTIALS_LOCKED, Value::Bool(true))]);
    let edge = world.b.edge("ownerRoles", &owner, EdgeKind::Granted, &system);
    edge.role = Some(APPLICATION_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    assert_ne!(world.finding("UNB-011").map(|finding| finding.rule.claim), Some(Claim::Full));
}

#[rstest]
#[case::read(CoverageState::Complete, Claim::Full)]
#[case::not_read(CoverageState::Partial, Claim::Narrower)]
fn whether_an_owner_is_weaker_depends_on_who_is_in_groups(#[case] state: CoverageState, #[case] claim: Claim) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.group("admins", GLOBAL_ADMINISTRATOR);
    let owner = world.other("deployer", Some(false));
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    let edge = world.b.edge("appRoleAssignments", &owner, EdgeKind::Granted, &graph);
    edge.role = Some("18a4783c-866b-4cc7-a460-3d5e5662c884".to_owned());
    world.owns_app(&owner).owners_read(1, 0).cover("groupMembers", state);
    assert_eq!(world.finding("UNB-011").unwrap().rule.claim, claim);
}

#[test]
fn partial_coverage_takes_no_proven_authority_away_and_adds_none() {
    for collection in sv0_graph::testing::ENTRA_COLLECTIONS {
        let mut world = composed(Some(false));
        world.cover(collection, CoverageState::Partial);
        assert_eq!(world.finding(RULE).as_ref().map(told), FULL, "{collection}");
        let mut world = powerless();
        world.cover(collection, CoverageState::Denied);
        assert!(world.finding(RULE).is_none(), "{collection}");
    }
}

#[test]
fn titles_fit_whatever_the_name() {
    let mut world = World::new();
    world.b = sv0_graph::testing::SnapshotBuilder::entra("uid-1", TENANT);
    world.system = world.b.node("organization", NodeKind::System, TENANT, &[]);
    let name = text(&"n".repeat(300));
    let attrs = [(attr::NAME, name), (attr::ENABLED, Value::Bool(true)), (attr::HOME_TENANT, text(TENANT))];
    world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &attrs);
    let graph = [(attr::APP_ID, text("00000003-0000-0000-c000-000000000000")), (attr::HOME_TENANT, text(MICROSOFT))];
    world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "graph", &graph);
    let sp = world.sp.clone();
    let github = [
        (attr::ISSUER, text("https://token.actions.githubusercontent.com")),
        (attr::MATCHING_EXPRESSION, text("claims['sub'] matches 'repo:*'")),
    ];
    let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, "fic", &github);
    world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &sp);
    world.key_on(&sp, "servicePrincipals", &Key::default());
    let mut eligible = world.b.clone();
    // The longest names of roles and permissions.
    world.role_of(&sp, "7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "/");
    world.permission("a4a80d8d-d283-4bd8-8504-555ec3870630").permission(MAIL_READ);
    world.delegated("Mail.ReadWrite offline_access", Some("dana"));
    let rules: Vec<_> = world.run().findings.into_iter().map(|finding| (finding.rule.id, finding.title)).collect();
    for rule in ["UNB-001", "UNB-005", "XSYS-003", "XSYS-008"] {
        assert!(rules.iter().any(|(id, title)| id == rule && title.chars().count() <= 160), "{rules:?}");
    }
    std::mem::swap(&mut world.b, &mut eligible);
    world.eligible("7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "/");
    world.permission(MAIL_READ).delegated("Mail.ReadWrite offline_access", None);
    assert!(world.run().findings.iter().all(|finding| finding.title.chars().count() <= 160));
    assert!(world.finding(RULE).is_some());
}

#[test]
fn texts_of_the_longest_claim_fit() {
    let mut world = composed(Some(false));
    let role = world.sp.clone();
    world
        .role_of(&role, "158c047a-c907-4556-b7ef-446551a6b5f7", "/")
        .permission("ef54d2bf-783f-4e0f-bca1-3210c0444d99");
    for finding in world.run().findings {
        assert!(finding.why.chars().count() <= 400, "{}: {}", finding.why.chars().count(), finding.why);
        assert!(finding.evidence.len() <= 12 && finding.path.len() <= 12 && finding.narrowed.len() <= 4);
        assert!(finding.evidence.iter().all(|item| item.claim.chars().count() <= 320));
    }
}

/// A path is as severe as what it ends in: the class of one grant is not raised by the data of another.
#[rstest]
#[case::writes_and_reads_mail(BILLING_ADMINISTRATOR, Severity::Medium)]
#[case::administers_and_reads_mail(USER_ADMINISTRATOR, Severity::High)]
fn the_severity_is_that_of_one_path(#[case] role: &str, #[case] expected: Severity) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(role).permission(MAIL_READ).owners_read(1, 0);
    let gone = world.person("gone", Some(false));
    world.owns_app(&gone);
    let finding = world.finding("ORPH-001").unwrap();
    assert_eq!(finding.severity, expected);
    assert!(!finding.weighed.sensitive, "the role decides");
    assert!(!finding.why.contains("raises the severity"), "{}", finding.why);
    assert!(finding.why.contains("mailboxes"), "it is told all the same: {}", finding.why);
}
