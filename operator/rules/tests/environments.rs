//! XSYS-006, and what the customer declares to be sensitive.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};
use sv0_rules::{Claim, Containers, DataDomain, Environment, Severity};

const RULE: &str = "XSYS-006";
const INVOICES: &str = "55555555-5555-4555-8555-555555555555";
const SECURITY_ALERTS: &str = "472e4a4d-bb4a-4026-98d1-0b0d74cb74a5";
const FILES_WRITE: &str = "75359482-378d-4052-8f01-80520e7db3cd";

fn ids(all: &[&str]) -> std::collections::BTreeSet<String> {
    all.iter().map(|id| (*id).to_owned()).collect()
}

fn declare(world: &mut World, name: &str, environment: Environment) {
    world.config.environments.insert(name.to_owned(), environment);
}

/// `payroll-bot` is declared as development, its tenant as production.
fn world(role: &str) -> World {
    let mut world = World::privileged(role);
    declare(&mut world, "development", Environment { objects: ids(&["SP-1"]), ..Environment::default() });
    let production = Environment { production: true, tenants: ids(&[TENANT]), ..Environment::default() };
    declare(&mut world, "production", production);
    world
}

#[test]
fn development_that_administers_production() {
    let finding = world(GLOBAL_ADMINISTRATOR).finding(RULE).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Critical));
    assert!(finding.title.contains("\"development\" has authority over \"production\""), "{}", finding.title);
    assert_eq!(finding.evidence[0].source.field, "spec.environments.objects");
    assert!(finding.evidence.iter().any(|item| item.source.field == "spec.environments.tenants"));
    assert!(finding.evidence.iter().any(|item| item.claim.contains("directory role Global Administrator")));
}

#[test]
fn reading_needs_sensitive_data() {
    assert!(world(DIRECTORY_READERS).permission(MAIL_READ).finding(RULE).is_some());
    let mut reads = world(DIRECTORY_READERS);
    declare(&mut reads, "development", Environment { objects: ids(&["sp-1"]), ..Environment::default() });
    assert!(reads.run().findings.iter().all(|finding| finding.rule.id != RULE));
}

/// The trap of the catalogue: a name is no evidence unless the customer declares the pattern. CISA `ScubaGear` #1853 would tell
/// applications of tests by words like "dev" in their names.
#[test]
fn a_name_counts_only_where_its_pattern_is_declared() {
    let mut world = world(GLOBAL_ADMINISTRATOR);
    world.config.environments.remove("development");
    assert!(world.finding(RULE).is_none(), "its tenant makes it production");
    declare(&mut world, "development", Environment { name_patterns: ids(&["payroll-*"]), ..Environment::default() });
    let finding = world.finding(RULE).unwrap();
    assert!(finding.evidence[0].claim.contains("environment-name/1"), "{}", finding.evidence[0].claim);
}

#[rstest]
#[case::no_environment_at_all(|world: &mut World| world.config.environments.clear())]
#[case::the_target_has_none(|world: &mut World| { world.config.environments.remove("production"); })]
#[case::the_source_has_none(|world: &mut World| { world.config.environments.remove("development"); })]
#[case::both_are_production(|world: &mut World| {
    world.config.environments.get_mut("development").unwrap().production = true;
})]
#[case::both_are_not(|world: &mut World| {
    world.config.environments.get_mut("production").unwrap().production = false;
})]
#[case::contradiction(|world: &mut World| {
    world.config.environments.get_mut("production").unwrap().objects = ids(&["sp-1"]);
})]
fn nothing_is_said(#[case] change: fn(&mut World)) {
    let mut world = world(GLOBAL_ADMINISTRATOR);
    change(&mut world);
    assert!(world.finding(RULE).is_none());
}

#[test]
fn a_scope_belongs_where_it_is_declared() {
    let mut world = world(DIRECTORY_READERS);
    let sp = world.sp.clone();
    world.role_of(&sp, USER_ADMINISTRATOR, "/administrativeUnits/sandbox");
    let before = world.finding(RULE).unwrap();
    assert_eq!(before.severity, Severity::Medium, "a bounded role: {before:?}");
    let scopes = ids(&["/administrativeUnits/Sandbox"]);
    declare(&mut world, "sandbox", Environment { scopes, ..Environment::default() });
    assert!(world.finding(RULE).is_none());
}

/// Cartography #2120: who was assigned a set of permissions for three accounts was shown with all accounts in which anybody
/// has it. A role is held where it was assigned, wherever else others hold it.
#[test]
fn cartography_2120_a_role_over_one_part_is_not_held_where_others_hold_it() {
    let mut world = world(DIRECTORY_READERS);
    let production = world.config.environments.get_mut("production").unwrap();
    production.tenants.clear();
    production.scopes = ids(&["/administrativeUnits/plant"]);
    let (sp, other) = (world.sp.clone(), world.other("plant-bot", Some(true)));
    world.role_of(&sp, USER_ADMINISTRATOR, "/administrativeUnits/sandbox");
    world.role_of(&other, USER_ADMINISTRATOR, "/administrativeUnits/plant");
    assert!(world.finding(RULE).is_none());
    world.role_of(&sp, USER_ADMINISTRATOR, "/administrativeUnits/plant");
    assert!(world.finding(RULE).is_some());
}

/// `BloodHound` Legacy #654: whoever owns one resource was shown as the owner of the subscription around it.
#[test]
fn bloodhound_legacy_654_authority_over_one_object_is_not_over_what_holds_it() {
    let mut world = world(DIRECTORY_READERS);
    let sandbox = Environment { scopes: ids(&["/app-sandbox"]), ..Environment::default() };
    declare(&mut world, "sandbox", sandbox);
    let sp = world.sp.clone();
    world.role_of(&sp, APPLICATION_ADMINISTRATOR, "/app-sandbox");
    assert!(world.finding(RULE).is_none());
    world.role_of(&sp, APPLICATION_ADMINISTRATOR, "/");
    assert!(world.finding(RULE).is_some());
}

/// An application of another tenant belongs where it lives.
#[test]
fn an_application_of_the_development_tenant() {
    let mut world = world(DIRECTORY_READERS);
    let attrs = [(attr::HOME_TENANT, text(OTHER_TENANT)), (attr::ENABLED, Value::Bool(true))];
    let guest = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "guest-app", &attrs);
    world.key_on(&guest, "servicePrincipals", &Key::default()).role_of(&guest, GLOBAL_ADMINISTRATOR, "/");
    declare(&mut world, "development", Environment { tenants: ids(&[OTHER_TENANT]), ..Environment::default() });
    assert!(world.finding(RULE).is_some());
    let declared = Environment { production: true, objects: ids(&["guest-app"]), ..Environment::default() };
    declare(&mut world, "production-too", declared);
    assert!(world.finding(RULE).is_none(), "it is declared itself");
}

/// It is judged by what it reaches in production alone.
#[test]
fn stronger_authority_elsewhere_does_not_count() {
    let mut world = world(GLOBAL_ADMINISTRATOR);
    let production = world.config.environments.get_mut("production").unwrap();
    production.tenants.clear();
    production.scopes = ids(&["/administrativeUnits/plant"]);
    assert!(world.finding(RULE).is_none());
    let sp = world.sp.clone();
    world.role_of(&sp, USER_ADMINISTRATOR, "/administrativeUnits/plant");
    let finding = world.finding(RULE).unwrap();
    assert_eq!(finding.severity, Severity::Medium);
    assert!(finding.why.starts_with("In production it holds User Administrator on"), "{}", finding.why);
    assert!(finding.path.last().unwrap().via.as_deref().unwrap().contains("User Administrator"));
}

/// A right over production by which it can act as others counts with what it comes to, whatever it holds elsewhere.
#[test]
fn what_it_can_act_as_in_production_weighs_beside_what_it_holds_elsewhere() {
    let mut world = world(APPLICATION_ADMINISTRATOR);
    let holder = world.other("holder", Some(false));
    world.role_of(&holder, GLOBAL_ADMINISTRATOR, "/");
    let of_subject = |world: &World| {
        let mut all = world.run().findings.into_iter();
        all.find(|finding| finding.rule.id == RULE && finding.subject.id.ends_with(":sp-1")).unwrap()
    };
    assert_eq!(of_subject(&world).severity, Severity::Critical);
    let test = Environment { objects: ids(&["graph"]), ..Environment::default() };
    declare(&mut world, "test", test);
    world.permission(FILES_WRITE);
    let finding = of_subject(&world);
    assert_eq!(finding.severity, Severity::Critical, "{}", finding.why);
    assert!(finding.path.iter().any(|hop| hop.edge == "CAN_CONTROL"), "{:?}", finding.path);
    let says = "In production it holds Application Administrator over the whole tenant: it administers part of the tenant or \
                can act as others, and by adding a credential to another application can take over the whole tenant.";
    assert!(finding.why.starts_with(says), "{}", finding.why);
}

#[test]
fn partial_coverage_keeps_what_is_proven_and_adds_nothing() {
    let mut world = world(GLOBAL_ADMINISTRATOR);
    world.cover("directoryRoleAssignments", CoverageState::Partial).cover("appRoleAssignments", CoverageState::Denied);
    assert_eq!(world.finding(RULE).unwrap().rule.claim, Claim::Full);
    let mut none = World::new();
    none.config = world.config.clone();
    none.enabled(true).key(&Key::default()).cover("directoryRoleAssignments", CoverageState::Denied);
    assert!(none.finding(RULE).is_none());
}

#[test]
fn an_eligible_role_is_no_proven_authority() {
    let mut world = world(DIRECTORY_READERS);
    world.eligible(GLOBAL_ADMINISTRATOR, "/");
    assert!(world.finding(RULE).is_none());
}

/// A role of an API that nobody here knows.
fn billing(declared: Option<&str>) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key { to: Some("none"), ..Key::default() }).owners_read(0, 0);
    let role = "99999999-9999-4999-8999-999999999999";
    let attrs = [
        (attr::APP_ID, text(INVOICES)),
        (attr::NAME, text("Billing API")),
        (&format!("{}{role}", attr::APP_ROLE_PREFIX), text("Invoices.Read")),
    ];
    let api = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "billing", &attrs);
    let sp = world.sp.clone();
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &api).role = Some(role.to_owned());
    if let Some(id) = declared {
        let containers = Containers { objects: ids(&[id]), ..Containers::default() };
        world.config.sensitive_domains.insert(DataDomain::Finance, containers);
    }
    world
}

#[rstest]
#[case::by_application_id(Some(INVOICES), true)]
#[case::by_object_id(Some("BILLING"), true)]
#[case::another_resource(Some("elsewhere"), false)]
#[case::not_declared(None, false)]
fn a_declared_resource_brings_an_identity_into_the_lane(#[case] declared: Option<&str>, #[case] told: bool) {
    let finding = billing(declared).finding("CRED-002");
    assert_eq!(finding.is_some(), told);
    if let Some(finding) = finding {
        let says =
            "It holds Invoices.Read of \"Billing API\", and so can reach data that your Estate declares as finance.";
        assert!(finding.why.starts_with(says), "{}", finding.why);
        assert!(billing(declared).finding("UNB-005").is_none(), "it is not everybody's data");
    }
}

#[test]
fn a_declared_resource_needs_a_grant_that_holds() {
    let mut world = billing(Some(INVOICES));
    let (sp, api) = (world.sp.clone(), world.b.id(NodeKind::ServicePrincipal, "billing"));
    let mut without = billing(Some("elsewhere"));
    without.config = world.config.clone();
    assert!(world.finding("CRED-002").is_some());
    world = World::new();
    world.config = without.config.clone();
    world.enabled(true).key(&Key { to: Some("none"), ..Key::default() }).owners_read(0, 0);
    world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "billing", &[(attr::APP_ID, text(INVOICES))]);
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &api).role =
        Some("00000000-0000-0000-0000-000000000000".to_owned());
    assert!(world.finding("CRED-002").is_none(), "plain access grants nothing");
    let edge = world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &api);
    edge.role = Some("99999999-9999-4999-8999-999999999999".to_owned());
    edge.condition = Some("x".to_owned());
    assert!(world.finding("CRED-002").is_none(), "a condition that nobody weighs");
}

/// Severity modifier (a): one row up, and the finding says so. Reading security alerts is sensitive by the shipped table.
#[test]
fn sensitive_data_raises_the_severity_and_says_so() {
    let mut world = World::new();
    world.enabled(true).key(&Key { to: Some("none"), ..Key::default() }).owners_read(0, 0).permission(SECURITY_ALERTS);
    let finding = world.finding("CRED-002").unwrap();
    assert!(finding.why.contains("can reach security alerts and incidents"), "{}", finding.why);
    let mut writes = World::privileged(USER_ADMINISTRATOR);
    let plain = writes.finding("ORPH-002").unwrap();
    assert!(!plain.why.contains("raises the severity"), "{}", plain.why);
    let beside = writes.permission(SECURITY_ALERTS).finding("ORPH-002").unwrap();
    assert_eq!((plain.severity, beside.severity), (Severity::High, Severity::High), "another path ends in it");
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(FILES_WRITE);
    let raised = world.finding("ORPH-002").unwrap();
    assert_eq!(raised.severity, Severity::Critical);
    assert!(raised.why.ends_with("Sensitive data raises the severity."), "{}", raised.why);
}
