//! Ways to a part of the tenant and to sensitive data: what an identity has by acting as others counts as its own for every
//! rule that asks for tier or data, and nothing that is not proven raises anything.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, EdgeRow, EdgeState, Graph, NodeId, NodeKind, Value, attr};
use sv0_rules::{Claim, Containers, DataDomain, EvidenceClass, RuleFinding, Severity, Tier};

const OWNED_BY: &str = "18a4783c-866b-4cc7-a460-3d5e5662c884";
const FILES_READ: &str = "01d4889c-1287-42c6-ac1f-5d1e02578ef6";
const BITLOCKER_READ: &str = "57f1cf28-c0c4-4ec3-9a30-19a2eaaf2f6e";
const LATER: &str = "2026-06-01T08:00:00Z";

/// `payroll-bot` runs, may manage what it owns, and owns the application of `holder`, which holds `permissions`.
fn owning(permissions: &[&str]) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
    let holder = world.other("holder", Some(false));
    for permission in permissions {
        permit(&mut world, &holder, permission);
    }
    owns(&mut world, "app-holder");
    world
}

fn permit<'a>(world: &'a mut World, holder: &NodeId, permission: &str) -> &'a mut EdgeRow {
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    let edge = world.b.edge("appRoleAssignments", holder, EdgeKind::Granted, &graph);
    edge.role = Some(permission.to_owned());
    edge
}

fn owns<'a>(world: &'a mut World, application: &str) -> &'a mut EdgeRow {
    let (sp, to) = (world.sp.clone(), world.b.id(NodeKind::Application, application));
    world.b.edge("applicationOwners", &sp, EdgeKind::Owns, &to)
}

/// What is said of the usual subject.
fn told(world: &World, rule: &str) -> Option<(Claim, Severity)> {
    finding(world, rule).map(|finding| (finding.rule.claim, finding.severity))
}

fn finding(world: &World, rule: &str) -> Option<RuleFinding> {
    let about = |finding: &RuleFinding| finding.rule.id == rule && finding.subject.id.ends_with(":sp-1");
    world.run().findings.into_iter().find(about)
}

fn hops(finding: &RuleFinding) -> Vec<(&str, Option<&str>, EvidenceClass)> {
    finding.path.iter().map(|hop| (hop.edge.as_str(), hop.via.as_deref(), hop.class)).collect()
}

#[test]
fn an_owner_of_what_administers_a_part_administers_it() {
    use EvidenceClass::{Direct, Structural};
    let world = owning(&[GROUP_WRITE]);
    let finding = finding(&world, "ORPH-002").unwrap();
    assert_eq!((finding.weighed.tier, finding.weighed.sensitive), (Tier::P1, false));
    assert_eq!(finding.severity, Severity::High, "that of P1");
    let expected = [
        ("AUTHENTICATES_AS", None, Direct),
        ("INSTANTIATES", None, Structural),
        ("OWNS", None, Direct),
        ("CAN_CONTROL", Some("owner"), Structural),
        ("GRANTED", Some("Group.ReadWrite.All"), Direct),
    ];
    assert_eq!(hops(&finding), expected);
    assert!(
        finding.why.starts_with(
            "It owns the application \"holder-app\": it administers part of the tenant or can act as others by adding a \
             credential to another application."
        ),
        "{}",
        finding.why
    );
    let cut = finding.remediation.first().unwrap();
    assert_eq!(
        cut,
        "Take the service principal \"payroll-bot\" off the owners of the application \"holder-app\": that alone cuts this \
         way to that authority."
    );
    let needed: Vec<_> = finding.depends_on.iter().map(|needed| needed.collection.as_str()).collect();
    assert!(needed.contains(&"applicationOwners"), "while owners are not read it is not proven gone");
    assert!(told(&world, "UNB-001").is_none(), "a part is not all");
}

/// Every rule that asks whether an identity is privileged.
#[test]
fn rules_about_privileged_identities_see_it() {
    let mut world = owning(&[GROUP_WRITE]);
    let dana = world.person("dana", Some(true));
    world.owns_app(&dana).owners_read(1, 0);
    assert_eq!(told(&world, "UNB-011"), Some((Claim::Full, Severity::High)));
    let old = Key { id: "old", from: Some("2024-01-01T00:00:00Z"), to: Some("2028-01-01T00:00:00Z"), ..Key::default() };
    world.key(&old);
    assert_eq!(told(&world, "CRED-001"), Some((Claim::Narrower, Severity::High)));
    assert_eq!(told(&world, "CRED-002"), Some((Claim::Full, Severity::High)));
    // The same without the ownership that makes it strong.
    let mut weak = owning(&[]);
    weak.owns_app(&dana).owners_read(1, 0).person("dana", Some(true));
    weak.key(&old);
    assert_eq!(told(&weak, "UNB-011"), None);
    assert_eq!(told(&weak, "CRED-001"), None);
    assert_eq!(told(&weak, "CRED-002"), Some((Claim::Full, Severity::Low)));
}

#[test]
fn an_owner_who_is_as_strong_by_its_own_grants_gains_nothing() {
    let mut world = owning(&[GROUP_WRITE]);
    let dana = world.person("dana", Some(true));
    world.role_of(&dana, USER_ADMINISTRATOR, "/").owns_app(&dana).owners_read(1, 0);
    assert_eq!(told(&world, "UNB-011"), None);
}

#[rstest]
// A role over one application composes as owning it does.
#[case::over_the_application("/app-holder", Some(Tier::P1))]
#[case::over_another("/app-1", Some(Tier::P2))]
#[case::over_a_unit("/administrativeUnits/holder", Some(Tier::P2))]
fn a_right_over_one_application_is_what_that_one_holds(#[case] scope: &str, #[case] expected: Option<Tier>) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    let (sp, holder) = (world.sp.clone(), world.other("holder", Some(false)));
    permit(&mut world, &holder, GROUP_WRITE);
    world.role_of(&sp, APPLICATION_ADMINISTRATOR, scope);
    assert_eq!(finding(&world, "ORPH-002").map(|finding| finding.weighed.tier), expected);
}

#[rstest]
#[case::switched_off_owner(|world: &mut World| owns_again(world).state = EdgeState::Disabled)]
#[case::conditional_owner(|world: &mut World| owns_again(world).condition = Some("x".to_owned()))]
#[case::ended_owner(|world: &mut World| owns_again(world).until = Some("2026-05-31T00:00:00Z".parse().unwrap()))]
#[case::switched_off_target(|world: &mut World| {
    owns_again(world);
    world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "holder", &[(attr::VENDOR_DISABLED, Value::Bool(true))]);
})]
fn no_way_leads_through_what_does_not_hold(#[case] change: fn(&mut World)) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
    let holder = world.other("holder", Some(false));
    permit(&mut world, &holder, FILES_WRITE);
    change(&mut world);
    let finding = finding(&world, "ORPH-002").unwrap();
    assert_eq!((finding.weighed.tier, finding.weighed.sensitive), (Tier::P2, false));
    assert_eq!(told(&world, "UNB-005"), None);
}

fn owns_again(world: &mut World) -> &mut EdgeRow {
    owns(world, "app-holder")
}

#[rstest]
// BloodHound #943, PR #3240: AZAddSecret on a managed identity.
#[case::bloodhound_943_managed_identity(NodeKind::ManagedIdentity, Some(TENANT))]
// BloodHound Legacy #681: a foreign service principal.
#[case::bloodhound_legacy_681_foreign(NodeKind::ServicePrincipal, Some(OTHER_TENANT))]
#[case::microsofts_own(NodeKind::ServicePrincipal, Some(MICROSOFT))]
#[case::home_not_read(NodeKind::ServicePrincipal, None)]
fn who_owns_what_accepts_no_credentials_reaches_nothing(#[case] kind: NodeKind, #[case] home: Option<&str>) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY).permission(APPLICATION_WRITE);
    let mut attrs = vec![(attr::ENABLED, Value::Bool(true))];
    attrs.extend(home.map(|home| (attr::HOME_TENANT, text(home))));
    let holder = world.b.node("servicePrincipals", kind, "x", &attrs);
    let open = [(attr::CREDENTIALS_LOCKED, Value::Bool(false))];
    let app = world.b.node("applications", NodeKind::Application, "app-x", &open);
    world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &holder);
    permit(&mut world, &holder, FILES_WRITE);
    owns(&mut world, "app-x");
    let finding = finding(&world, "ORPH-002").unwrap();
    assert_eq!((finding.weighed.tier, finding.weighed.sensitive), (Tier::P1, false));
    assert_eq!(told(&world, "UNB-005"), None);
}

#[test]
fn data_behind_another_application_raise_the_severity_and_are_told() {
    let world = owning(&[FILES_READ]);
    let finding = finding(&world, "ORPH-002").unwrap();
    assert_eq!((finding.weighed.tier, finding.weighed.sensitive), (Tier::P2, true));
    let without = told(&owning(&[DIRECTORY_READ_ALL]), "ORPH-002").unwrap().1;
    assert!(finding.severity > without, "{without:?}");
    let edges: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(edges, ["AUTHENTICATES_AS", "INSTANTIATES", "GRANTED", "OWNS", "CAN_CONTROL", "GRANTED"]);
    assert_eq!(finding.path.last().unwrap().via.as_deref(), Some("Files.Read.All"));
    assert!(
        finding.why.starts_with(
            "It owns the application \"holder-app\" and holds Application.ReadWrite.OwnedBy: it can change data, and by \
             adding a credential to another application reaches the files of everybody."
        ),
        "{}",
        finding.why
    );
    assert!(finding.why.ends_with("Sensitive data raises the severity."), "{}", finding.why);
    assert!(finding.remediation.first().unwrap().ends_with("that alone cuts this way to those data."));
}

#[rstest]
#[case::files(&[FILES_READ][..], Some((Claim::Full, Severity::High)))]
#[case::files_with_authority(&[FILES_WRITE][..], Some((Claim::Full, Severity::Critical)))]
// Exchange may limit the application that it acts as.
#[case::mail(&[MAIL_READ][..], Some((Claim::Narrower, Severity::Medium)))]
#[case::mail_and_files(&[MAIL_READ, FILES_READ][..], Some((Claim::Full, Severity::High)))]
// Not what everybody writes: UNB-005 is not about it. The nearer data do not hide the others.
#[case::recovery_keys(&[BITLOCKER_READ][..], None)]
#[case::recovery_keys_and_files(&[BITLOCKER_READ, FILES_READ][..], Some((Claim::Full, Severity::High)))]
#[case::the_directory(&[DIRECTORY_READ_ALL][..], None)]
fn everybodys_data_behind_another_application(
    #[case] permissions: &[&str],
    #[case] expected: Option<(Claim, Severity)>,
) {
    assert_eq!(told(&owning(permissions), "UNB-005"), expected);
}

#[test]
fn the_way_to_everybodys_data_is_told_whole() {
    let mut world = owning(&[FILES_READ]);
    let finding = finding(&world, "UNB-005").unwrap();
    assert_eq!(finding.title, "\"payroll-bot\" can act as an application that reaches everybody's data");
    let edges: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(edges, ["AUTHENTICATES_AS", "INSTANTIATES", "OWNS", "CAN_CONTROL", "GRANTED"]);
    assert!(
        finding.why.starts_with(
            "It owns the application \"holder-app\", and by adding a credential to another application reaches the files \
             of everybody."
        ),
        "{}",
        finding.why
    );
    let says = |part: &str| finding.evidence.iter().any(|item| item.claim.contains(part));
    assert!(says("(owner-credentials/1)") && says("The service principal \"holder\" holds the application permission"));
    assert!(finding.remediation.first().unwrap().contains("off the owners of the application \"holder-app\""));
    // Its own permission is what the finding is about; what it has by others is told too, since that weighs more.
    world.permission(FILES_READ);
    let own = self::finding(&world, "UNB-005").unwrap();
    assert!(own.title.ends_with("reaches everybody's data with Files.Read.All"), "{}", own.title);
    assert_eq!((own.severity, &own.weighed), (finding.severity, &finding.weighed));
    assert!(own.path.iter().any(|hop| hop.edge == "CAN_CONTROL"), "{:?}", own.path);
}

#[test]
fn who_administers_all_applications_reaches_what_one_of_them_does() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(APPLICATION_WRITE);
    let holder = world.other("holder", Some(false));
    permit(&mut world, &holder, FILES_READ);
    let orphan = finding(&world, "ORPH-002").unwrap();
    assert_eq!((orphan.weighed.tier, orphan.weighed.sensitive), (Tier::P1, true));
    assert_eq!(told(&world, "UNB-005"), Some((Claim::Full, Severity::Critical)));
    // All of them lock their credentials.
    let mut locked = World::new();
    locked.enabled(true).key(&Key::default()).owners_read(0, 0).permission(APPLICATION_WRITE);
    let holder = locked.other("holder", Some(true));
    permit(&mut locked, &holder, FILES_READ);
    let orphan = finding(&locked, "ORPH-002").unwrap();
    assert_eq!((orphan.weighed.tier, orphan.weighed.sensitive), (Tier::P1, false));
    assert_eq!(told(&locked, "UNB-005"), None);
}

#[test]
fn a_lock_that_was_not_read_makes_the_narrower_claim_and_raises_nothing() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(APPLICATION_WRITE);
    let holder = world.other("holder", None);
    permit(&mut world, &holder, FILES_READ);
    let orphan = finding(&world, "ORPH-002").unwrap();
    assert_eq!((orphan.weighed.tier, orphan.weighed.sensitive), (Tier::P1, false));
    let finding = finding(&world, "UNB-005").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
    assert!(!finding.weighed.sensitive);
    let narrowed = &finding.narrowed[0];
    assert_eq!(narrowed.claim, "That it can act as service principal \"holder\", which reaches the files of everybody");
    assert!(narrowed.reason.starts_with("Of the application's property lock, "), "{}", narrowed.reason);
    // Of an owner of the service principal nothing is proven, not even that it can add a credential.
    let mut owner = owning(&[]);
    let other = owner.other("other", None);
    permit(&mut owner, &other, FILES_WRITE);
    let sp = owner.sp.clone();
    owner.b.edge("servicePrincipalOwners", &sp, EdgeKind::Owns, &other);
    assert_eq!(told(&owner, "UNB-005"), None);
    assert_eq!(self::finding(&owner, "ORPH-002").unwrap().weighed.tier, Tier::P2);
}

/// That more is seen of an identity takes no proven claim away.
#[test]
fn what_holds_the_tenant_still_reaches_what_it_reaches() {
    let mut world = owning(&[FILES_READ]);
    world.role(GLOBAL_ADMINISTRATOR);
    assert_eq!(told(&world, "UNB-005"), Some((Claim::Full, Severity::Critical)));
    assert!(told(&world, "UNB-001").is_some());
    // By itself the role is no way to the data of another one's.
    let mut alone = World::privileged(GLOBAL_ADMINISTRATOR);
    let holder = alone.other("holder", Some(false));
    permit(&mut alone, &holder, FILES_READ);
    assert_eq!(told(&alone, "UNB-005"), None);
}

#[test]
fn what_the_customer_declares_counts_behind_another_application_too() {
    let erp = "eeeeeeee-0000-4000-8000-00000000000e";
    let mut world = owning(&[]);
    let attrs = [(attr::APP_ID, text(erp)), (attr::NAME, text("ERP")), (attr::HOME_TENANT, text(TENANT))];
    let resource = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "erp", &attrs);
    let holder = world.b.id(NodeKind::ServicePrincipal, "holder");
    world.b.edge("appRoleAssignments", &holder, EdgeKind::Granted, &resource).role =
        Some("dddddddd-0000-4000-8000-00000000000d".to_owned());
    assert!(!finding(&world, "ORPH-002").unwrap().weighed.sensitive);
    let finance = Containers { objects: [erp.to_uppercase()].into(), ..Containers::default() };
    world.config.sensitive_domains.insert(DataDomain::Finance, finance);
    let finding = finding(&world, "ORPH-002").unwrap();
    assert!(finding.weighed.sensitive);
    assert!(finding.why.contains("data that your Estate declares as finance"), "{}", finding.why);
    assert_eq!(told(&world, "UNB-005"), None, "the data of everybody are another matter");
    // By a grant of its own.
    let sp = world.sp.clone();
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &resource).role =
        Some("dddddddd-0000-4000-8000-00000000000d".to_owned());
    let own = self::finding(&world, "ORPH-002").unwrap();
    assert!(own.why.contains("data that your Estate declares as finance"), "{}", own.why);
    assert_eq!(own.weighed, finding.weighed, "what it may do with a grant of its own is not known");
    // Where its own grant weighs as much, that is told alone.
    let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &graph).role = Some(FILES_WRITE.to_owned());
    let strong = self::finding(&world, "ORPH-002").unwrap();
    assert!(strong.path.iter().all(|hop| hop.edge != "CAN_CONTROL"), "{:?}", strong.path);
}

/// `payroll-bot` administers the application of `holder`, which reads everybody's files, and that of `admin`, which
/// administers all applications.
fn two_ways() -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    let (sp, holder, admin) = (world.sp.clone(), world.other("holder", Some(false)), world.other("admin", Some(false)));
    permit(&mut world, &holder, FILES_READ);
    world.role_of(&admin, APPLICATION_ADMINISTRATOR, "/");
    world.role_of(&sp, APPLICATION_ADMINISTRATOR, "/app-holder").role_of(&sp, APPLICATION_ADMINISTRATOR, "/app-admin");
    world
}

#[test]
fn a_way_that_weighs_more_is_told_before_a_shorter_one() {
    let world = two_ways();
    for rule in ["ORPH-002", "UNB-005"] {
        let finding = finding(&world, rule).unwrap();
        let weighed = (finding.severity, finding.weighed.tier, finding.weighed.sensitive);
        assert_eq!(weighed, (Severity::Critical, Tier::P1, true), "{rule}");
    }
    let unbounded = finding(&world, "UNB-005").unwrap();
    let acted_as: Vec<_> =
        unbounded.path.iter().filter(|hop| hop.edge == "CAN_CONTROL").map(|hop| hop.to.as_str()).collect();
    assert_eq!(acted_as, ["service principal \"admin\"", "service principal \"holder\""]);
    // The shorter one is still among those of which one step cuts most.
    let cut = unbounded.remediation.first().unwrap();
    assert!(cut.ends_with("that alone cuts all 2 of the shortest ways to those data by acting as others."), "{cut}");
}

/// Nobody gains by acting again as whom it is already: `both` has the data by itself, and its right over all applications
/// leads to no other data.
#[test]
fn a_detour_weighs_no_more() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    let (sp, both) = (world.sp.clone(), world.other("both", Some(false)));
    permit(&mut world, &both, FILES_READ);
    world.role_of(&both, APPLICATION_ADMINISTRATOR, "/").role_of(&sp, APPLICATION_ADMINISTRATOR, "/app-both");
    assert_eq!(told(&world, "ORPH-002"), Some((Claim::Full, Severity::High)));
    let other = world.other("other", Some(false));
    permit(&mut world, &other, FILES_READ);
    assert_eq!(told(&world, "ORPH-002"), Some((Claim::Full, Severity::Critical)));
}

/// What weighs more only at its end: the nearer data are read, the farther ones by somebody of tier P1.
#[test]
fn what_is_held_at_the_end_weighs_too() {
    let mut world = owning(&[FILES_READ]);
    let far = world.other("far", Some(false));
    let holder = world.b.id(NodeKind::ServicePrincipal, "holder");
    world.role_of(&holder, APPLICATION_ADMINISTRATOR, "/app-far");
    assert_eq!(told(&world, "ORPH-002"), Some((Claim::Full, Severity::Medium)), "that of P2");
    permit(&mut world, &far, FILES_WRITE);
    let finding = finding(&world, "ORPH-002").unwrap();
    assert_eq!((finding.weighed.tier, finding.weighed.sensitive), (Tier::P1, true), "{}", finding.why);
}

/// A permission of its own that is read beside the others takes nothing away. By the right of `admin` everybody's files are
/// reached as tier P1; by itself as tier P3.
#[test]
fn what_it_reaches_by_itself_hides_no_way_that_weighs_more() {
    let mut world = two_ways();
    let before = told(&world, "UNB-005");
    assert_eq!(before, Some((Claim::Full, Severity::Critical)));
    world.permission(FILES_READ);
    assert_eq!(told(&world, "UNB-005"), before);
}

/// The owner is gone, and not all owners were seen: a permission of its own that was not read made this more severe.
#[test]
fn a_permission_that_was_not_read_raises_nothing() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(2, 0);
    let (sp, group) = (world.sp.clone(), world.group("admins", APPLICATION_ADMINISTRATOR));
    world.member(&sp, &group);
    let holder = world.other("holder", Some(false));
    permit(&mut world, &holder, FILES_READ);
    let gone = world.person("gone", Some(false));
    world.owns_app(&gone);
    let without = told(&world, "ORPH-001");
    assert_eq!(without, Some((Claim::Narrower, Severity::High)));
    world.permission(FILES_READ);
    assert_eq!(told(&world, "ORPH-001"), without);
}

/// Nearer data of another kind do not hide mailboxes.
#[test]
fn mailboxes_are_asked_for_by_themselves() {
    let mut world = owning(&[MAIL_READ]);
    let near = world.other("near", Some(false));
    permit(&mut world, &near, BITLOCKER_READ);
    let holder = world.b.id(NodeKind::ServicePrincipal, "holder");
    world.role_of(&holder, APPLICATION_ADMINISTRATOR, "/app-near");
    owns(&mut world, "app-near");
    let finding = finding(&world, "UNB-005").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.path.iter().any(|hop| hop.via.as_deref() == Some("Mail.Read")), "{:?}", finding.path);
}

#[test]
fn the_end_of_a_step_to_data_is_a_transition() {
    let mut world = owning(&[]);
    let holder = world.b.id(NodeKind::ServicePrincipal, "holder");
    permit(&mut world, &holder, FILES_READ).until = Some(LATER.parse().unwrap());
    assert!(told(&world, "UNB-005").is_some());
    assert_eq!(world.run().next_transition, Some(LATER.parse().unwrap()));
}

#[test]
fn partial_coverage_takes_no_proven_way_away_and_adds_none() {
    for collection in sv0_graph::testing::ENTRA_COLLECTIONS {
        let mut world = owning(&[FILES_WRITE]);
        world.cover(collection, CoverageState::Partial);
        assert_eq!(told(&world, "UNB-005"), Some((Claim::Full, Severity::Critical)), "{collection}");
        let mut world = owning(&[]);
        world.cover(collection, CoverageState::Denied);
        assert_eq!(told(&world, "UNB-005"), None, "{collection}");
    }
}

/// A tier that rose because an ownership was added; where owners cannot be compared, that it had less is not proven.
#[test]
fn drift_sees_authority_that_came_by_owning() {
    let before = {
        let mut world = World::new();
        world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
        let holder = world.other("holder", Some(false));
        permit(&mut world, &holder, GROUP_WRITE);
        world
    };
    let after = owning(&[GROUP_WRITE]);
    let finding = after.drift(&before, "DRIFT-001").unwrap();
    assert_eq!((finding.rule.claim, finding.weighed.tier), (Claim::Full, Tier::P1));
    let mut unread = before;
    unread.cover("applicationOwners", CoverageState::Partial);
    assert!(after.drift(&unread, "DRIFT-001").is_none());
}

/// The severity in production is that of what is held there: what is owned belongs where its owner says.
#[test]
fn production_is_reached_by_what_is_held_there() {
    let mut world = owning(&[GROUP_WRITE]);
    let environment = |production, objects: &[&str], tenants: &[&str]| sv0_rules::Environment {
        production,
        objects: objects.iter().map(|id| (*id).to_owned()).collect(),
        tenants: tenants.iter().map(|id| (*id).to_owned()).collect(),
        ..sv0_rules::Environment::default()
    };
    world.config.environments.insert("dev".to_owned(), environment(false, &["sp-1"], &[]));
    world.config.environments.insert("prod".to_owned(), environment(true, &[], &[TENANT]));
    world.role(BILLING_ADMINISTRATOR);
    let finding = finding(&world, "XSYS-006").unwrap();
    assert_eq!(finding.weighed.tier, Tier::P2);
    assert!(finding.path.iter().all(|hop| hop.edge != "CAN_CONTROL"), "{:?}", finding.path);
}

/// Sizes that a hostile tenant can choose: everybody owns the next in a circle, and one owns all of them.
#[test]
fn circles_and_stars_of_owners_are_bounded() {
    let many = 2_000;
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(OWNED_BY);
    let members: Vec<NodeId> = (0..many).map(|at| world.other(&format!("m{at:05}"), Some(false))).collect();
    for (at, member) in members.iter().enumerate() {
        permit(&mut world, member, OWNED_BY);
        let next = world.b.id(NodeKind::Application, &format!("app-m{:05}", (at + 1) % many));
        world.b.edge("applicationOwners", member, EdgeKind::Owns, &next);
        owns(&mut world, &format!("app-m{at:05}"));
    }
    permit(&mut world, &members[many - 1], FILES_WRITE);
    let finding = finding(&world, "UNB-005").unwrap();
    let edges: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(edges, ["AUTHENTICATES_AS", "INSTANTIATES", "OWNS", "CAN_CONTROL", "GRANTED"]);
    let cut = finding.remediation.first().unwrap();
    // The two other ways go by the owners before it: what they all end in is the grant.
    assert_eq!(
        cut,
        "Take Files.ReadWrite.All from the service principal \"m01999\": that alone cuts all 3 of the shortest ways to those data by acting as others."
    );
    let graph = Graph::build(vec![world.b.build()]).unwrap();
    let one = sv0_rules::run(&graph, &world.config, as_of(), 1);
    assert_eq!(sv0_rules::run(&graph, &world.config, as_of(), 4), one);
}

#[test]
fn texts_fit_whatever_the_names() {
    let mut world = owning(&[]);
    let long = "n".repeat(300);
    world.b.node("applications", NodeKind::Application, "app-holder", &[(attr::NAME, text(&long))]);
    let other = world.other("other", Some(false));
    let holder = world.b.id(NodeKind::ServicePrincipal, "holder");
    permit(&mut world, &holder, GROUP_WRITE);
    permit(&mut world, &other, BITLOCKER_READ);
    permit(&mut world, &other, FILES_READ);
    owns(&mut world, "app-other");
    let found = world.run().findings;
    assert!(found.iter().any(|finding| finding.rule.id == "UNB-005"));
    for finding in found {
        assert!(finding.why.chars().count() <= 480, "{}: {}", finding.why.chars().count(), finding.why);
        assert!(finding.title.chars().count() <= 160 && finding.path.len() <= 12 && finding.remediation.len() <= 4);
        assert!(finding.evidence.iter().all(|item| item.claim.chars().count() <= 320));
        assert!(finding.remediation.iter().all(|step| step.chars().count() <= 320));
    }
}

/// Each hop names the piece of evidence that is about it, and each piece says when it was read.
#[test]
fn hops_name_their_evidence_and_evidence_its_time() {
    let mut world = owning(&[FILES_READ, GROUP_WRITE]);
    world.seen("2026-05-31T12:00:00Z").trusts_github();
    let dana = world.person("dana", Some(true));
    world.owns_app(&dana).owners_read(1, 0).delegated("Mail.ReadWrite offline_access", Some("dana"));
    let middle = world.other("middle", Some(false));
    let group = world.group("keepers", APPLICATION_ADMINISTRATOR);
    world.member(&middle, &group);
    owns(&mut world, "app-middle");
    let found = world.run().findings;
    for rule in ["UNB-005", "UNB-011", "XSYS-008"] {
        assert!(found.iter().any(|finding| finding.rule.id == rule), "{rule}");
    }
    for finding in &found {
        for item in &finding.evidence {
            assert_eq!(item.observed_at, Some("2026-05-31T12:00:00Z".parse().unwrap()), "{}", item.claim);
        }
        for hop in &finding.path {
            // An application's own service principal is what it is by its id; no piece need say so.
            if hop.edge == "INSTANTIATES" {
                continue;
            }
            let number = hop.evidence.unwrap_or_else(|| panic!("{} {} of {}", hop.edge, hop.to, finding.rule.id));
            let item = &finding.evidence[usize::try_from(number).unwrap() - 1];
            let fields: &[&str] = match hop.edge.as_str() {
                "OWNS" => &["owners"],
                "GRANTED" => &["appRoleId", "roleDefinitionId"],
                "CAN_CONTROL" => &["appId", "servicePrincipalLockConfiguration"],
                "MEMBER_OF" => &["transitiveMembers"],
                "AUTHENTICATES_AS" => &["endDateTime", "subject"],
                "DELEGATED_GRANT" => &["scope"],
                other => panic!("{other}"),
            };
            assert!(fields.contains(&item.source.field.as_str()), "{hop:?}: {item:?}");
        }
    }
}
