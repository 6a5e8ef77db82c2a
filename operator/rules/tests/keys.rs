//! Correlation keys: what is one object in several systems, what only looks like it, and what is not certain. And what
//! every finding says of the automations behind its identity.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, Graph, NodeId, NodeKind, Operation, Value, attr};
use sv0_rules::{Claim, EvidenceClass, RuleFinding, RuleOutput, joins};

const OBJECT: &str = "77777777-7777-4777-8777-7777777777ab";
const APPLICATION: &str = "88888888-8888-4888-8888-8888888888cd";
const PERSON: &str = "99999999-9999-4999-8999-9999999999ef";
const UNOWNED: &str = "ORPH-001";
const STOPPED: &str = "DORM-004";
const SHARED: &str = "XSYS-005";

/// A system that runs automations.
fn system(name: &str, uid: &str, tenant: &str) -> SnapshotBuilder {
    let mut b = SnapshotBuilder::entra(uid, tenant);
    let header = b.header();
    name.clone_into(&mut header.system);
    header.operations = vec![Operation {
        id: "listFunctions".to_owned(),
        api: "Functions".to_owned(),
        version: "v1".to_owned(),
        path: "GET /functions".to_owned(),
        collection: "functions".to_owned(),
    }];
    header.coverage.retain(|row| row.collection == "applications");
    "functions".clone_into(&mut header.coverage[0].collection);
    b
}

/// A user administrator with a secret, owned by somebody who left.
fn principal() -> World {
    let mut world = World::new();
    let sp = world.other(OBJECT, Some(false));
    world.b.node("servicePrincipals", NodeKind::ServicePrincipal, OBJECT, &[(attr::APP_ID, text(APPLICATION))]);
    world.key_on(&sp, "servicePrincipals", &Key::default()).role_of(&sp, USER_ADMINISTRATOR, "/");
    let owner = world.person(PERSON, Some(false));
    world.b.edge("servicePrincipalOwners", &owner, EdgeKind::Owns, &sp);
    let app = world.b.id(NodeKind::Application, &format!("app-{OBJECT}"));
    world.b.node("applicationOwners", NodeKind::Application, app.vendor_id(), &[(attr::OWNER_COUNT, Value::Int(0))]);
    world.b.node("servicePrincipalOwners", NodeKind::ServicePrincipal, OBJECT, &[(attr::OWNER_COUNT, Value::Int(1))]);
    world
}

fn automation(b: &mut SnapshotBuilder, name: &str, enabled: Option<bool>) -> NodeId {
    let mut attrs = vec![(attr::NAME, text(name))];
    attrs.extend(enabled.map(|on| (attr::ENABLED, Value::Bool(on))));
    b.node("functions", NodeKind::Function, name, &attrs)
}

fn runs_as(b: &mut SnapshotBuilder, name: &str, enabled: Option<bool>, identity: &str) -> NodeId {
    let node = automation(b, name, enabled);
    let alias = b.id(NodeKind::ManagedIdentity, identity);
    b.edge("functions", &node, EdgeKind::RunsAs, &alias);
    node
}

fn graph(world: &World, others: &[&SnapshotBuilder]) -> Graph {
    let others = others.iter().map(|other| other.build());
    Graph::build(std::iter::once(world.b.build()).chain(others).collect()).unwrap()
}

fn run(world: &World, others: &[&SnapshotBuilder]) -> RuleOutput {
    let output = sv0_rules::run(&graph(world, others), &world.config, as_of(), 1);
    all_named(&output);
    output
}

fn finding(rule: &str, world: &World, others: &[&SnapshotBuilder]) -> Option<RuleFinding> {
    run(world, others).findings.into_iter().find(|finding| finding.rule.id == rule)
}

/// Each join, as `left right key`.
fn joined(graph: &Graph) -> Vec<String> {
    let id = |ix| graph.node(ix).id.to_string();
    joins(graph).iter().map(|join| format!("{} {} {}", id(join.left), id(join.right), join.key.name())).collect()
}

#[rstest]
#[case::as_it_is(OBJECT.to_owned())]
#[case::in_capitals(OBJECT.to_uppercase())]
fn an_object_id_is_one_object_however_it_is_written(#[case] written: String) {
    let world = principal();
    let mut azure = system("azure", "uid-2", "account");
    runs_as(&mut azure, "export", Some(true), &written);
    let expected =
        format!("azure:account:ManagedIdentity:{written} entra:{TENANT}:ServicePrincipal:{OBJECT} principal-id/1");
    assert_eq!(joined(&graph(&world, &[&azure])), [expected]);
}

/// What people choose joins nothing: not the name, not a part of an id, not an id in another field.
#[test]
fn what_looks_alike_is_not_the_same() {
    let world = principal();
    let mut azure = system("azure", "uid-2", "account");
    let same = [(attr::NAME, text(OBJECT)), (attr::ADDRESS, text(&format!("{PERSON}@contoso.example")))];
    for (kind, id) in [
        (NodeKind::ManagedIdentity, "other"),
        (NodeKind::ServicePrincipal, &OBJECT[..35]),
        (NodeKind::ServicePrincipal, APPLICATION),
        (NodeKind::Human, OBJECT),
        (NodeKind::ManagedIdentity, PERSON),
        (NodeKind::Workflow, OBJECT),
    ] {
        azure.node("functions", kind, id, &same);
    }
    assert_eq!(joined(&graph(&world, &[&azure])), Vec::<String>::new());
}

/// An application has an identity in every tenant that uses it: only the one of the same tenant is meant.
#[rstest]
#[case::of_the_same_tenant(TENANT, true)]
#[case::of_another_tenant(OTHER_TENANT, false)]
#[case::without_a_tenant("account", false)]
fn an_application_id_counts_within_its_tenant(#[case] tenant: &str, #[case] is_it: bool) {
    let world = principal();
    let mut azure = system("azure", "uid-2", tenant);
    let client = [(attr::APP_ID, text(&APPLICATION.to_uppercase()))];
    let client = azure.node("functions", NodeKind::ServicePrincipal, "client-1", &client);
    let export = automation(&mut azure, "export", Some(false));
    azure.edge("functions", &export, EdgeKind::RunsAs, &client);
    let told = joined(&graph(&world, &[&azure]));
    assert_eq!(told.len(), usize::from(is_it), "{told:?}");
    assert!(told.iter().all(|join| join.ends_with("application-id/1")), "{told:?}");
    assert_eq!(finding(STOPPED, &world, &[&azure]).is_some(), is_it);
}

/// Two objects have the id: which one is meant is not known, and nothing is said that rests on either.
#[test]
fn an_id_of_two_objects_joins_nothing_and_says_so() {
    let mut world = principal();
    let mut azure = system("azure", "uid-2", "account");
    runs_as(&mut azure, "export", Some(false), OBJECT);
    assert!(finding(STOPPED, &world, &[&azure]).is_some());
    let mut second = SnapshotBuilder::entra("uid-9", OTHER_TENANT);
    second.node("servicePrincipals", NodeKind::ServicePrincipal, OBJECT, &[(attr::ENABLED, Value::Bool(true))]);
    assert_eq!(joined(&graph(&world, &[&azure, &second])), Vec::<String>::new());
    assert!(finding(STOPPED, &world, &[&azure, &second]).is_none());
    let told = finding(UNOWNED, &world, &[&azure, &second]).unwrap();
    assert!(
        told.why.contains("whether one automation runs as it or as another one with its id is not known"),
        "{}",
        told.why
    );
    assert!(told.path.iter().all(|hop| hop.edge != "RUNS_AS"));

    // An automation of its own is stopped, and the doubtful one may run: it is not known that nothing runs.
    let own = world.b.node("selfCheck", NodeKind::Function, "own", &[(attr::ENABLED, Value::Bool(false))]);
    let sp = world.b.id(NodeKind::ServicePrincipal, OBJECT);
    world.b.edge("selfCheck", &own, EdgeKind::RunsAs, &sp);
    assert!(finding(STOPPED, &world, &[]).is_some());
    assert!(finding(STOPPED, &world, &[&azure, &second]).is_none());
}

/// What is proven stays so; of the rest it is said that it is not known.
#[test]
fn doubtful_automations_are_not_counted() {
    let mut world = principal();
    let mut aws = system("aws", "uid-3", "account");
    let sp = world.b.id(NodeKind::ServicePrincipal, OBJECT);
    for name in ["a", "b", "c"] {
        let own = world.b.node("selfCheck", NodeKind::Function, name, &[(attr::ENABLED, Value::Bool(true))]);
        world.b.edge("selfCheck", &own, EdgeKind::RunsAs, &sp);
    }
    runs_as(&mut aws, "copy", Some(true), OBJECT);
    assert_eq!(finding(SHARED, &world, &[&aws]).unwrap().rule.claim, Claim::Full);
    let mut second = SnapshotBuilder::entra("uid-9", OTHER_TENANT);
    second.node("servicePrincipals", NodeKind::ServicePrincipal, OBJECT, &[]);
    let told = finding(SHARED, &world, &[&aws, &second]).unwrap();
    assert_eq!(told.rule.claim, Claim::Narrower, "three in one system");
    assert!(
        told.narrowed.iter().any(|narrowed| narrowed.claim == "That one more automation uses it"),
        "{:?}",
        told.narrowed
    );
}

/// Something that others only refer to has no side of its own.
#[test]
fn a_reference_alone_is_no_object() {
    let mut world = World::new();
    let stranger = world.b.id(NodeKind::ServicePrincipal, OBJECT);
    world.role_of(&stranger, USER_ADMINISTRATOR, "/");
    let mut azure = system("azure", "uid-2", "account");
    runs_as(&mut azure, "export", Some(true), OBJECT);
    assert_eq!(joined(&graph(&world, &[&azure])), Vec::<String>::new());
}

/// One person is one, whatever system names it: what one owner runs together shares an identity by design.
#[rstest]
#[case::one_person(PERSON, false)]
#[case::two_people("66666666-6666-4666-8666-666666666666", true)]
fn automations_of_one_person_in_two_systems(#[case] other: &str, #[case] told: bool) {
    let mut world = principal();
    world.config.shared_by_min = 2;
    world.person(other, Some(true));
    let (mut one, mut two) = (system("azure", "uid-2", "account"), system("aws", "uid-3", "account"));
    for (b, owner) in [(&mut one, PERSON), (&mut two, other)] {
        let name = b.header().system.clone();
        let node = runs_as(b, &name, Some(true), OBJECT);
        let owner = b.node("functions", NodeKind::Human, owner, &[]);
        b.edge("functions", &owner, EdgeKind::Owns, &node);
    }
    assert_eq!(finding(SHARED, &world, &[&one, &two]).is_some(), told);
}

/// A thumbprint in small letters is the same certificate.
#[test]
fn a_thumbprint_is_one_however_it_is_written() {
    const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
    let mut world = World::privileged(USER_ADMINISTRATOR);
    world.key(&Key { id: "cert-1", kind: "certificate", thumbprint: Some(THUMBPRINT), ..Key::default() });
    let other = world.other("other", Some(false));
    let small = THUMBPRINT.to_lowercase();
    world.key_on(
        &other,
        "servicePrincipals",
        &Key { id: "cert-2", kind: "certificate", thumbprint: Some(&small), ..Key::default() },
    );
    let told = world.finding("CRED-010").unwrap();
    assert!(
        told.evidence.iter().any(|item| item.claim.ends_with("(certificate-thumbprint/1).")),
        "{:?}",
        told.evidence
    );
}

/// Evidence may only name what stands in a list: this is what every test of a world is checked with.
#[test]
fn a_name_in_no_list_is_found() {
    assert_eq!(derivations_in("It runs as it (principal-id/1)."), ["principal-id/1"]);
    assert_eq!(derivations_in("A (b) c (x-y/12) and (group-membership/1)."), ["x-y/12", "group-membership/1"]);
    assert_eq!(derivations_in("(/1) (a/) (A/1) (2/3) (repo a/1)"), Vec::<String>::new());
    assert!(!sv0_rules::named().any(|name| name == "x-y/12"));
}

#[test]
fn without_a_known_automation_nothing_is_claimed_of_it() {
    let told = finding(UNOWNED, &principal(), &[]).unwrap();
    assert!(told.why.contains("; the automation behind it is not visible here. "), "{}", told.why);
    assert!(told.path.iter().all(|hop| hop.edge != "RUNS_AS"));
}

#[test]
fn a_path_begins_at_the_one_automation_that_runs() {
    let world = principal();
    let mut azure = system("azure", "uid-2", "account");
    runs_as(&mut azure, "export", Some(true), OBJECT);
    runs_as(&mut azure, "stopped", Some(false), OBJECT);
    let told = finding(UNOWNED, &world, &[&azure]).unwrap();
    assert!(told.why.contains("; the function \"export\" runs as it. "), "{}", told.why);
    let hop = &told.path[0];
    assert_eq!((hop.from.as_str(), hop.edge.as_str()), ("function \"export\"", "RUNS_AS"));
    assert_eq!((hop.to.as_str(), hop.class), (told.path[2].from.as_str(), EvidenceClass::Structural));
    let number = usize::try_from(hop.evidence.unwrap()).unwrap();
    assert_eq!(told.evidence[number - 1].claim, "The function \"export\" runs as it (principal-id/1).");
    // Whether the automations are read again decides nothing of what is said of the owners.
    assert!(told.depends_on.iter().all(|at| at.instance_uid != "uid-2"), "{:?}", told.depends_on);
    azure.cover("functions", CoverageState::Partial);
    assert_eq!(finding(UNOWNED, &world, &[&azure]).unwrap().path, told.path, "what was read is there");
}

#[test]
fn a_path_begins_at_the_connection_that_presents_it() {
    let world = principal();
    let mut aws = system("aws", "uid-3", "account");
    let flow = aws.node("functions", NodeKind::Workflow, "flow", &[(attr::ENABLED, Value::Bool(true))]);
    let connection = aws.node("functions", NodeKind::Connection, "mail", &[]);
    let identity = aws.id(NodeKind::ServicePrincipal, OBJECT);
    aws.edge("functions", &flow, EdgeKind::UsesConnection, &connection);
    aws.edge("functions", &connection, EdgeKind::Presents, &identity);
    let told = finding(UNOWNED, &world, &[&aws]).unwrap();
    assert!(told.why.contains("; the workflow \"flow\" uses a connection that signs in as it. "), "{}", told.why);
    let kinds: Vec<&str> = told.path.iter().map(|hop| hop.edge.as_str()).take(2).collect();
    assert_eq!(kinds, ["USES_CONNECTION", "PRESENTS"]);
    assert_eq!(told.path[0].to, told.path[1].from);
}

#[test]
fn several_automations_are_counted() {
    let world = principal();
    let (mut azure, mut aws) = (system("azure", "uid-2", "account"), system("aws", "uid-3", "account"));
    runs_as(&mut azure, "export", Some(true), OBJECT);
    runs_as(&mut aws, "copy", Some(true), OBJECT);
    let told = finding(UNOWNED, &world, &[&azure, &aws]).unwrap();
    assert!(told.why.contains("; 2 automations known here act as it. "), "{}", told.why);
    assert_eq!((told.path[0].from.as_str(), told.path[0].edge.as_str()), ("2 automations", "RUNS_AS"));
    assert!(told.path[0].evidence.is_some() && told.path.iter().filter(|hop| hop.edge == "RUNS_AS").count() == 1);
}

#[rstest]
#[case::off(&[Some(false), Some(false)], "; 2 automations known here are switched off or deleted. ")]
#[case::one_is_not_told(&[Some(false), None], "; whether one automation known here runs as it is not told. ")]
fn what_does_not_run_is_on_no_path(#[case] states: &[Option<bool>], #[case] says: &str) {
    let world = principal();
    let mut azure = system("azure", "uid-2", "account");
    for (n, state) in states.iter().enumerate() {
        runs_as(&mut azure, &format!("function-{n}"), *state, OBJECT);
    }
    let told = finding(UNOWNED, &world, &[&azure]).unwrap();
    assert!(told.why.contains(says), "{}", told.why);
    assert!(told.path.iter().all(|hop| hop.edge != "RUNS_AS"));
}

/// A record that is over ties nothing; of one with a condition it is not known.
#[rstest]
#[case::over(true, "; the automation behind it is not visible here. ")]
#[case::with_a_condition(false, "; whether one automation known here runs as it is not told. ")]
fn a_tie_that_does_not_hold_is_on_no_path(#[case] over: bool, #[case] says: &str) {
    let world = principal();
    let mut azure = system("azure", "uid-2", "account");
    let node = automation(&mut azure, "export", Some(true));
    let alias = azure.id(NodeKind::ManagedIdentity, OBJECT);
    let tie = azure.edge("functions", &node, EdgeKind::RunsAs, &alias);
    if over {
        tie.until = Some("2026-05-01T00:00:00Z".parse().unwrap());
    } else {
        tie.condition = Some("on weekdays".to_owned());
    }
    let told = finding(UNOWNED, &world, &[&azure]).unwrap();
    assert!(told.why.contains(says), "{}", told.why);
    assert!(told.path.iter().all(|hop| hop.edge != "RUNS_AS"));
}
