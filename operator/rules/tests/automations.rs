//! XSYS-005 and DORM-004: what runs as an identity, as far as connectors of other systems tell, and whom it trusts.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{Coverage, CoverageState, EdgeKind, Graph, NodeId, NodeKind, Operation, Value, attr};
use sv0_rules::{Claim, RuleFinding, Severity};

const SHARED: &str = "XSYS-005";
const STOPPED: &str = "DORM-004";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const TERRAFORM: &str = "https://app.terraform.io";
const CLUSTER: &str = "https://oidc.cluster.example/id/";

/// A system that runs automations, with one collection of its own.
fn system(name: &str, uid: &str) -> SnapshotBuilder {
    let mut b = SnapshotBuilder::entra(uid, "account");
    let header = b.header();
    name.clone_into(&mut header.system);
    header.operations = vec![Operation {
        id: "listFunctions".to_owned(),
        api: "Functions".to_owned(),
        version: "v1".to_owned(),
        path: "GET /functions".to_owned(),
        collection: "functions".to_owned(),
    }];
    header.coverage = ["functions", "schedules"].map(covered).into();
    b
}

fn covered(collection: &str) -> Coverage {
    Coverage {
        collection: collection.to_owned(),
        scope: "account".to_owned(),
        state: CoverageState::Complete,
        reason: None,
        permission: None,
        pages: 1,
        items: 1,
    }
}

/// The object id of the service principal that the automations of other systems run as.
const OBJECT: &str = "77777777-7777-4777-8777-777777777777";

/// A user administrator with a secret, known to other systems by its object id.
fn principal() -> World {
    let mut world = World::new();
    let sp = world.other(OBJECT, Some(false));
    world.key_on(&sp, "servicePrincipals", &Key::default()).role_of(&sp, USER_ADMINISTRATOR, "/");
    world
}

fn automation(b: &mut SnapshotBuilder, id: &str, enabled: Option<bool>) -> NodeId {
    automation_as(b, id, enabled, NodeKind::ManagedIdentity)
}

/// `kind` is what the other system calls the identity.
fn automation_as(b: &mut SnapshotBuilder, id: &str, enabled: Option<bool>, kind: NodeKind) -> NodeId {
    let mut attrs = vec![(attr::NAME, text(id))];
    attrs.extend(enabled.map(|on| (attr::ENABLED, Value::Bool(on))));
    let node = b.node("functions", NodeKind::Function, id, &attrs);
    let runs_as = b.id(kind, OBJECT);
    b.edge("functions", &node, EdgeKind::RunsAs, &runs_as);
    node
}

fn finding(rule: &str, world: &World, others: &[&SnapshotBuilder]) -> Option<RuleFinding> {
    let mut snapshots = vec![world.b.build()];
    snapshots.extend(others.iter().map(|other| other.build()));
    let graph = Graph::build(snapshots).unwrap();
    let output = sv0_rules::run(&graph, &world.config, as_of(), 1);
    all_named(&output);
    output.findings.into_iter().find(|finding| finding.rule.id == rule)
}

/// Two functions in one system and one in another run as it.
fn three() -> (World, SnapshotBuilder, SnapshotBuilder) {
    let world = principal();
    let (mut one, mut two) = (system("azure", "uid-2"), system("aws", "uid-3"));
    automation(&mut one, "export", Some(true));
    automation(&mut one, "import", Some(true));
    automation(&mut two, "copy", Some(true));
    (world, one, two)
}

#[test]
fn one_identity_for_automations_of_two_systems() {
    let (world, one, two) = three();
    let finding = finding(SHARED, &world, &[&one, &two]).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
    assert_eq!(finding.title, format!("\"{OBJECT}\" serves 3 automations of 2 systems"));
    assert!(
        finding.narrowed.is_empty() && finding.evidence.iter().any(|item| item.claim.contains("\"copy\" runs as it"))
    );
}

#[test]
fn fewer_than_the_limit_or_in_one_system() {
    let (mut world, mut one, two) = three();
    assert!(finding(SHARED, &world, &[&one]).is_none(), "two");
    world.config.shared_by_min = 4;
    assert!(finding(SHARED, &world, &[&one, &two]).is_none());
    world.config.shared_by_min = 3;
    automation(&mut one, "third", Some(true));
    let narrower = finding(SHARED, &world, &[&one]).unwrap();
    assert_eq!((narrower.rule.claim, narrower.severity), (Claim::Narrower, Severity::Low));
    assert!(narrower.narrowed[0].claim.contains("between systems"));
}

/// What is switched off, deleted or of unknown state serves nobody that is proven.
#[rstest]
#[case::off(Some(false))]
#[case::unknown(None)]
fn only_what_runs_counts(#[case] state: Option<bool>) {
    let world = principal();
    let (mut one, mut two) = (system("azure", "uid-2"), system("aws", "uid-3"));
    automation(&mut one, "export", Some(true));
    automation(&mut one, "import", state);
    automation(&mut two, "copy", Some(true));
    assert!(finding(SHARED, &world, &[&one, &two]).is_none());
}

/// The trap of the catalogue: one team's automations share an identity by design.
#[test]
fn automations_of_the_same_owners_count_once() {
    let (world, mut one, mut two) = three();
    let ann = one.node("functions", NodeKind::Human, "ann", &[]);
    for id in ["export", "import"] {
        let node = one.id(NodeKind::Function, id);
        one.edge("functions", &ann, EdgeKind::Owns, &node);
    }
    assert!(finding(SHARED, &world, &[&one, &two]).is_some(), "the owner of one is not recorded");
    let copy = two.id(NodeKind::Function, "copy");
    let ann = two.node("functions", NodeKind::Human, "ann", &[]);
    two.edge("functions", &ann, EdgeKind::Owns, &copy);
    assert!(finding(SHARED, &world, &[&one, &two]).is_none());
}

#[test]
fn a_connection_that_presents_it_is_a_tie() {
    let (world, one, _) = three();
    let mut two = system("aws", "uid-3");
    let flow = two.node("functions", NodeKind::Workflow, "flow", &[(attr::ENABLED, Value::Bool(true))]);
    let connection = two.node("functions", NodeKind::Connection, "connection", &[]);
    let identity = two.id(NodeKind::ServicePrincipal, OBJECT);
    two.edge("functions", &flow, EdgeKind::UsesConnection, &connection);
    two.edge("functions", &connection, EdgeKind::Presents, &identity);
    let finding = finding(SHARED, &world, &[&one, &two]).unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    assert!(finding.evidence.iter().any(|item| item.claim.contains("uses a connection")));
}

fn trusting(subjects: &[(&str, &str)]) -> World {
    let mut world = World::privileged(USER_ADMINISTRATOR);
    for (n, (issuer, subject)) in subjects.iter().enumerate() {
        world.federated(&format!("fic-{n}"), issuer, &[(attr::SUBJECT, text(subject))]);
    }
    world
}

/// Entra alone shows whom the identity trusts: the narrower claim.
#[test]
fn trusted_workloads_of_several_issuers() {
    let world = trusting(&[
        (GITHUB, "repo:contoso/app:ref:refs/heads/main"),
        (CLUSTER, "system:serviceaccount:shop:deploy"),
        (TERRAFORM, "organization:contoso:project:infra:workspace:prod:run_phase:apply"),
    ]);
    let told = finding(SHARED, &world, &[]).unwrap();
    assert_eq!((told.rule.claim, told.severity), (Claim::Narrower, Severity::Medium));
    assert_eq!(told.title, "3 workloads of 3 systems may sign in as \"payroll-bot\"");
    assert!(told.narrowed.iter().any(|item| item.claim.contains("uses it")));
}

#[rstest]
#[case::branches_and_environments_of_one_repository(&[
    (GITHUB, "repo:contoso/app:ref:refs/heads/main"), (GITHUB, "repo:contoso/app:environment:prod"),
    (GITHUB, "repo:contoso/app:pull_request"), (CLUSTER, "system:serviceaccount:shop:deploy"),
][..])]
#[case::phases_of_one_workspace(&[
    (TERRAFORM, "organization:contoso:project:infra:workspace:prod:run_phase:apply"),
    (TERRAFORM, "organization:contoso:project:infra:workspace:prod:run_phase:plan"), (CLUSTER, "system:serviceaccount:a:b"),
][..])]
#[case::the_same_subject_twice(&[(CLUSTER, "system:serviceaccount:a:b"), ("https://oidc.cluster.example/id", "system:serviceaccount:a:b"), (GITHUB, "repo:contoso/app:pull_request")][..])]
fn one_workload_counts_once(#[case] subjects: &[(&str, &str)]) {
    assert!(finding(SHARED, &trusting(subjects), &[]).is_none());
}

#[test]
fn an_expression_is_not_counted() {
    let mut world = trusting(&[(GITHUB, "repo:contoso/app:pull_request"), (CLUSTER, "system:serviceaccount:a:b")]);
    world.federated("flexible", TERRAFORM, &[(attr::MATCHING_EXPRESSION, text("claims['sub'] matches '*'"))]);
    assert!(finding(SHARED, &world, &[]).is_none());
}

#[test]
fn workloads_of_one_system_weigh_less() {
    let world = trusting(&[
        (GITHUB, "repo:contoso/a:pull_request"),
        (GITHUB, "repo:contoso/b:pull_request"),
        (GITHUB, "repo:contoso/c:pull_request"),
    ]);
    let told = finding(SHARED, &world, &[]).unwrap();
    assert_eq!((told.rule.claim, told.severity, told.narrowed.len()), (Claim::Narrower, Severity::Low, 2));
}

/// Cartography #2658: what was refused in part was taken for gone.
#[test]
fn partial_coverage_takes_no_count_away_and_adds_none() {
    let (mut world, one, two) = three();
    world.cover("federatedCredentials", CoverageState::Denied);
    assert_eq!(finding(SHARED, &world, &[&one, &two]).unwrap().rule.claim, Claim::Full);
    let mut few = trusting(&[(GITHUB, "repo:contoso/a:pull_request"), (CLUSTER, "system:serviceaccount:a:b")]);
    few.cover("federatedCredentials", CoverageState::Partial);
    assert!(finding(SHARED, &few, &[]).is_none());
}

/// A managed identity or service principal, one of whose automations is switched off and one deleted.
fn stopped(kind: NodeKind) -> (World, SnapshotBuilder) {
    let world = if kind == NodeKind::ManagedIdentity {
        let mut world = World::new();
        let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::NAME, text("id-export"))];
        let id = world.b.node("servicePrincipals", kind, OBJECT, &attrs);
        world.role_of(&id, USER_ADMINISTRATOR, "/");
        world
    } else {
        principal()
    };
    let mut azure = system("azure", "uid-2");
    automation(&mut azure, "export", Some(false));
    let gone = azure.node("functions", NodeKind::Workflow, "gone", &[(attr::DELETED_AT, text("2026-04-01T00:00:00Z"))]);
    let id = azure.id(NodeKind::ManagedIdentity, OBJECT);
    azure.edge("functions", &gone, EdgeKind::RunsAs, &id);
    (world, azure)
}

#[test]
fn authority_that_outlives_its_automations() {
    let (world, azure) = stopped(NodeKind::ManagedIdentity);
    let told = finding(STOPPED, &world, &[&azure]).unwrap();
    assert_eq!((told.rule.claim, told.severity), (Claim::Full, Severity::High));
    let claims: Vec<&str> = told.evidence.iter().map(|item| item.claim.as_str()).collect();
    assert!(claims.contains(&"The function \"export\" is switched off."), "{claims:?}");
    assert!(claims.contains(&"The workflow \"gone\" is deleted."), "{claims:?}");
}

/// Whoever holds a credential can use any other identity, and what was not read may run: the narrower claim.
#[test]
fn other_users_may_be_unknown() {
    let (world, azure) = stopped(NodeKind::ServicePrincipal);
    let told = finding(STOPPED, &world, &[&azure]).unwrap();
    assert_eq!((told.rule.claim, told.severity), (Claim::Narrower, Severity::Medium));
    assert!(told.title.ends_with("no automation known here uses it"), "{}", told.title);
    let (world, mut azure) = stopped(NodeKind::ManagedIdentity);
    azure.cover("schedules", CoverageState::Denied);
    assert_eq!(finding(STOPPED, &world, &[&azure]).unwrap().rule.claim, Claim::Narrower);
}

/// Whom it trusts can act as it, wherever that runs.
#[test]
fn a_managed_identity_may_be_used_from_outside() {
    let (mut world, azure) = stopped(NodeKind::ManagedIdentity);
    world.cover("federatedCredentials", CoverageState::Partial);
    assert_eq!(finding(STOPPED, &world, &[&azure]).unwrap().rule.claim, Claim::Narrower);
    let (mut world, azure) = stopped(NodeKind::ManagedIdentity);
    let attrs = [(attr::ISSUER, text(GITHUB)), (attr::SUBJECT, text("repo:a/b:ref:refs/heads/main"))];
    let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, "fic", &attrs);
    let id = world.b.id(NodeKind::ManagedIdentity, OBJECT);
    world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &id);
    assert_eq!(finding(STOPPED, &world, &[&azure]).unwrap().rule.claim, Claim::Narrower);
}

/// Cartography #379 and #596: a read that failed left everything deleted. An automation that was not read is not stopped, and
/// one that was read says nothing of those that were not (#2658).
#[test]
fn nothing_is_said_while_something_runs_or_may_run() {
    for state in [Some(true), None] {
        let (world, mut azure) = stopped(NodeKind::ManagedIdentity);
        automation(&mut azure, "third", state);
        assert!(finding(STOPPED, &world, &[&azure]).is_none(), "{state:?}");
    }
    let (world, mut azure) = stopped(NodeKind::ManagedIdentity);
    for state in [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped] {
        azure.cover("functions", state);
        assert!(finding(STOPPED, &world, &[&azure]).is_none(), "{state:?}");
    }
    let (mut world, azure) = stopped(NodeKind::ServicePrincipal);
    let used = [(attr::LAST_UNATTENDED_USE_AT, text("2026-05-30T00:00:00Z"))];
    world.seen("2026-05-31T00:00:00Z");
    world.b.node("servicePrincipalActivity", NodeKind::ServicePrincipal, OBJECT, &used);
    assert!(finding(STOPPED, &world, &[&azure]).is_none(), "it signed in two days ago");
}

/// Entra names no automations: nothing is concluded from that.
#[test]
fn an_identity_without_known_automations_is_not_judged() {
    assert!(finding(STOPPED, &World::privileged(GLOBAL_ADMINISTRATOR), &[]).is_none());
}

#[test]
fn authority_that_only_reads_is_no_finding() {
    let mut world = World::new();
    let sp = world.other(OBJECT, Some(false));
    world.key_on(&sp, "servicePrincipals", &Key::default()).role_of(&sp, DIRECTORY_READERS, "/");
    let mut azure = system("azure", "uid-2");
    automation(&mut azure, "export", Some(false));
    assert!(finding(STOPPED, &world, &[&azure]).is_none());
    world.role_of(&sp, USER_ADMINISTRATOR, "/");
    assert!(finding(STOPPED, &world, &[&azure]).is_some());
}

/// Only an object id that the directory gave joins; an equal name or a short id does not. Cartography #1788: users of one
/// directory were tied to what those of another have, by the name of a set of permissions.
#[test]
fn an_id_that_is_no_uuid_joins_nothing() {
    let world = World::privileged(USER_ADMINISTRATOR);
    let mut azure = system("azure", "uid-2");
    let node = azure.node("functions", NodeKind::Function, "export", &[(attr::ENABLED, Value::Bool(false))]);
    let same = azure.id(NodeKind::ServicePrincipal, "sp-1");
    azure.edge("functions", &node, EdgeKind::RunsAs, &same);
    assert!(finding(STOPPED, &world, &[&azure]).is_none());
    let mut systems = [system("azure", "uid-2"), system("aws", "uid-3")];
    for (n, other) in ["a", "b", "c"].iter().zip([0, 0, 1]) {
        let b = &mut systems[other];
        let node = b.node("functions", NodeKind::Function, n, &[(attr::ENABLED, Value::Bool(true))]);
        let same = b.id(NodeKind::ServicePrincipal, "sp-1");
        b.edge("functions", &node, EdgeKind::RunsAs, &same);
    }
    assert!(finding(SHARED, &world, &[&systems[0], &systems[1]]).is_none());
}
