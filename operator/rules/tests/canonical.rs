//! The five examples that the product is measured by, each as a graph over the systems that it crosses.
//!
//! What Entra decides alone is asserted as a finding. For the rest the graph has what the connectors of the other systems
//! will tell, the path search has to find the way through all of them, and the finding is named that must appear: while its
//! rule is not built nothing may be said, and once it is, this test asks for it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use support::*;
use sv0_graph::paths::{Limits, Spot, Step, View, ViewBuilder, cut};
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{EdgeKind, EdgeState, Graph, NodeId, NodeIx, NodeKind, Tri, UnknownReason, Value, attr};
use sv0_rules::{Claim, Containers, DataDomain, Environment, RuleConfig, RuleOutput};

/// Ids that several systems share.
const AGENT: &str = "11111111-1111-4111-8111-111111111111";
const CREATOR: &str = "22222222-2222-4222-8222-222222222222";
const ROBOT: &str = "33333333-3333-4333-8333-333333333333";
const HOST: &str = "https://close-books.logic.example:443";

/// Kinds of steps that authority takes.
const TAKEN: [EdgeKind; 22] = [
    EdgeKind::MemberOf,
    EdgeKind::Instantiates,
    EdgeKind::AuthenticatesAs,
    EdgeKind::CanAssume,
    EdgeKind::Granted,
    EdgeKind::DelegatedGrant,
    EdgeKind::Contains,
    EdgeKind::CanControl,
    EdgeKind::RunsAs,
    EdgeKind::UsesConnection,
    EdgeKind::Presents,
    EdgeKind::ConnectsTo,
    EdgeKind::Calls,
    EdgeKind::Triggers,
    EdgeKind::CanRead,
    EdgeKind::CanWrite,
    EdgeKind::CanExecute,
    EdgeKind::HostedBy,
    EdgeKind::ReadsFrom,
    EdgeKind::WritesTo,
    EdgeKind::DeliversTo,
    EdgeKind::HoldsData,
];

/// A snapshot of another system.
fn system(name: &str, tenant: &str) -> SnapshotBuilder {
    let mut b = SnapshotBuilder::entra(&format!("uid-{name}"), tenant);
    name.clone_into(&mut b.header().system);
    b
}

fn named(b: &mut SnapshotBuilder, kind: NodeKind, id: &str, name: &str) -> NodeId {
    b.node("applications", kind, id, &[(attr::NAME, text(name)), (attr::ENABLED, Value::Bool(true))])
}

fn link(b: &mut SnapshotBuilder, from: &NodeId, kind: EdgeKind, to: &NodeId) {
    b.edge("organization", from, kind, to);
}

fn graph(parts: &[&SnapshotBuilder]) -> Graph {
    Graph::build(parts.iter().map(|part| part.build()).collect()).unwrap()
}

/// The steps of authority of all systems, and those between objects that are one: what the product's keys join, and
/// endpoints of one host, for which there is no key while no connector reads who serves a host.
fn joined(graph: &Graph) -> View {
    let mut builder = ViewBuilder::new(graph.node_indexes().len()).unwrap();
    let off = |ix: NodeIx| graph.node(ix).flag(attr::ENABLED) == Some(false);
    for edge in graph.edges().iter().filter(|edge| TAKEN.contains(&edge.kind)) {
        let state = match edge.state {
            EdgeState::Disabled => Tri::False,
            EdgeState::Eligible => Tri::Unknown(UnknownReason::DynamicValue),
            EdgeState::Active if off(edge.from) || off(edge.to) => Tri::False,
            EdgeState::Active => Tri::from(edge.condition.is_none()),
        };
        builder.add(Step { from: edge.from.into(), kind: edge.kind, to: edge.to.into(), tag: 0, state });
    }
    let mut same = |a: NodeIx, b: NodeIx| {
        for (from, to) in [(a, b), (b, a)] {
            let step = Step { from: from.into(), kind: EdgeKind::SameAs, to: to.into(), tag: 0, state: Tri::True };
            builder.add(step);
        }
    };
    for join in sv0_rules::joins(graph) {
        same(join.left, join.right);
    }
    let serves = |ix: &NodeIx| graph.node(*ix).kind == NodeKind::Endpoint && graph.node(*ix).id.vendor_id() == HOST;
    let hosts: Vec<NodeIx> = graph.node_indexes().filter(serves).collect();
    for two in hosts.windows(2) {
        same(two[0], two[1]);
    }
    builder.build().unwrap()
}

/// The shortest ways from `start` to `target`, as one line per hop of the first, and the hop to cut.
fn ways(graph: &Graph, start: &NodeId, target: &NodeId) -> (Vec<String>, Option<(String, usize)>) {
    let view = joined(graph);
    let nodes: Vec<NodeIx> = graph.node_indexes().collect();
    let proven = |step: &Step| step.state.is_true();
    let told = |spot: Spot| {
        let node = graph.node(nodes[spot.index()]);
        format!("{} {}", node.id.system(), node.text(attr::NAME).unwrap_or_else(|| node.id.vendor_id()))
    };
    let hop = |at: u32| {
        let step = view.step(at);
        format!("{} {} {}", told(step.from), step.kind, told(step.to))
    };
    let spot = |id: &NodeId| Spot::from(graph.find(id).unwrap());
    let distances = view.distances(&[spot(target)], proven);
    let paths = view.shortest(spot(start), &distances, proven, Limits::default());
    let first = paths.first().map(|path| path.steps.iter().map(|at| hop(*at)).collect()).unwrap_or_default();
    (first, cut(&paths, |_| true).map(|cut| (hop(cut.step), cut.paths)))
}

/// Nothing is said of what no rule decides; what is built must say it.
fn waits_for(output: &RuleOutput, rule: &str, subject: &NodeId) {
    let built = sv0_rules::catalogue().any(|meta| meta.id == rule);
    let about = subject.to_string();
    let told = output.findings.iter().any(|finding| finding.rule.id == rule && finding.subject.id == about);
    assert_eq!(told, built, "{rule} about {about}");
}

fn run(graph: &Graph, config: &RuleConfig) -> RuleOutput {
    sv0_rules::run(graph, config, as_of(), 1)
}

fn declared(domain: DataDomain, object: &str) -> RuleConfig {
    let containers = Containers { objects: [object.to_owned()].into(), ..Containers::default() };
    RuleConfig { sensitive_domains: [(domain, containers)].into(), ..RuleConfig::default() }
}

/// A Foundry agent that generates invoices, made by a former employee, still executing daily with access to billing APIs.
#[test]
fn first_an_agent_of_a_former_employee_with_access_to_billing() {
    let mut entra = World::new();
    let blueprint = named(&mut entra.b, NodeKind::Application, "invoice-blueprint", "Invoice agents");
    let counts =
        [(attr::ENABLED, Value::Bool(true)), (attr::SPONSOR_COUNT, Value::Int(1)), (attr::OWNER_COUNT, Value::Int(0))];
    let identity = entra.b.node("agentIdentities", NodeKind::AgentIdentity, AGENT, &counts);
    entra.b.edge("agentIdentities", &blueprint, EdgeKind::Instantiates, &identity);
    let none = [(attr::SPONSOR_COUNT, Value::Int(0)), (attr::OWNER_COUNT, Value::Int(0))];
    entra.b.node("agentIdentitySponsors", NodeKind::Application, "invoice-blueprint", &none);
    entra.key_on(&blueprint, "applications", &Key::default());
    let creator = entra.person(CREATOR, Some(false));
    entra.b.edge("agentIdentitySponsors", &creator, EdgeKind::Sponsors, &identity);
    let billing = [(attr::APP_ID, text("billing-api")), (attr::NAME, text("Billing API"))];
    let billing = entra.b.node("servicePrincipals", NodeKind::ServicePrincipal, "billing", &billing);
    let grant = entra.b.edge("appRoleAssignments", &identity, EdgeKind::Granted, &billing);
    grant.role = Some("44444444-4444-4444-8444-444444444444".to_owned());

    let mut foundry = system("foundry", "accounts/finance");
    let agent = named(&mut foundry, NodeKind::Agent, "invoice-generator", "Invoice generator");
    let alias = foundry.id(NodeKind::AgentIdentity, AGENT);
    let maker = foundry.node("ownerAccounts", NodeKind::Human, CREATOR, &[]);
    link(&mut foundry, &agent, EdgeKind::RunsAs, &alias);
    link(&mut foundry, &agent, EdgeKind::CreatedBy, &maker);

    let graph = graph(&[&entra.b, &foundry]);
    let (hops, cut) = ways(&graph, &agent, &billing);
    let expected = [
        format!("foundry Invoice generator RUNS_AS foundry {AGENT}"),
        format!("foundry {AGENT} SAME_AS entra {AGENT}"),
        format!("entra {AGENT} GRANTED entra Billing API"),
    ];
    assert_eq!(hops, expected);
    assert_eq!(cut, Some((expected[0].clone(), 1)));
    let output = run(&graph, &declared(DataDomain::Finance, "billing"));
    // What Entra shows of it: the agent's identity runs, reaches finance, and nobody answers for it.
    let orphan = output.findings.iter().find(|finding| finding.rule.id == "ORPH-005").unwrap();
    assert_eq!((orphan.rule.claim, orphan.subject.id.as_str()), (Claim::Full, identity.to_string().as_str()));
    assert!(orphan.weighed.sensitive);
    waits_for(&output, "ORPH-004", &agent);
}

/// A ServiceNow integration user that triggers an Azure automation that accesses production databases.
#[test]
fn second_an_integration_user_that_reaches_a_production_database() {
    let mut now = system("servicenow", "instance-1");
    let user = named(&mut now, NodeKind::ServiceAccount, "sys-user-1", "azure.integration");
    let flow = named(&mut now, NodeKind::Workflow, "flow-1", "Close the month");
    let connection = named(&mut now, NodeKind::Connection, "alias-1", "Azure automation");
    let outside = now.node("organization", NodeKind::Endpoint, HOST, &[]);
    link(&mut now, &user, EdgeKind::CanExecute, &flow);
    link(&mut now, &flow, EdgeKind::UsesConnection, &connection);
    link(&mut now, &connection, EdgeKind::ConnectsTo, &outside);

    let mut azure = system("azure", "tenant-1");
    let endpoint = azure.node("organization", NodeKind::Endpoint, HOST, &[]);
    let runbook = named(&mut azure, NodeKind::Workflow, "workflows/close", "Close books");
    let robot = azure.id(NodeKind::ManagedIdentity, ROBOT);
    let database = named(&mut azure, NodeKind::Resource, "sql-prod", "sql-prod");
    let finance = azure.node("organization", NodeKind::DataDomain, "finance", &[]);
    link(&mut azure, &endpoint, EdgeKind::HostedBy, &runbook);
    link(&mut azure, &runbook, EdgeKind::RunsAs, &robot);
    link(&mut azure, &robot, EdgeKind::CanWrite, &database);
    link(&mut azure, &database, EdgeKind::HoldsData, &finance);

    let both = graph(&[&now, &azure]);
    let (hops, cut) = ways(&both, &user, &finance);
    let expected = [
        "servicenow azure.integration CAN_EXECUTE servicenow Close the month".to_owned(),
        "servicenow Close the month USES_CONNECTION servicenow Azure automation".to_owned(),
        format!("servicenow Azure automation CONNECTS_TO servicenow {HOST}"),
        format!("servicenow {HOST} SAME_AS azure {HOST}"),
        format!("azure {HOST} HOSTED_BY azure Close books"),
        format!("azure Close books RUNS_AS azure {ROBOT}"),
        format!("azure {ROBOT} CAN_WRITE azure sql-prod"),
        "azure sql-prod HOLDS_DATA azure finance".to_owned(),
    ];
    assert_eq!(hops, expected);
    assert_eq!(cut.map(|(_, paths)| paths), Some(1));
    waits_for(&run(&both, &RuleConfig::default()), "XSYS-001", &flow);

    // No way leads through what is switched off, nor to a system that is not read.
    assert!(ways(&graph(&[&now, &stopped(&azure)]), &user, &finance).0.is_empty());
    let alone = graph(&[&now]);
    assert!(ways(&alone, &user, &outside).0.len() == 3 && alone.find(&finance).is_none());
}

/// The same system with its automation switched off: the call that comes first counts.
fn stopped(azure: &SnapshotBuilder) -> SnapshotBuilder {
    let mut off = azure.clone();
    off.node("organization", NodeKind::Workflow, "workflows/close", &[(attr::ENABLED, Value::Bool(false))]);
    off
}

/// A service principal made for development that now has Reader on all production subscriptions.
#[test]
fn third_a_development_identity_that_reaches_production() {
    // As far as Entra shows: its role over one unit became a role over the tenant, which is production.
    let world = |scope: &str| {
        let mut world = World::new();
        world.enabled(true).key(&Key::default()).owners_read(0, 0);
        let sp = world.sp.clone();
        world.role_of(&sp, USER_ADMINISTRATOR, scope);
        let objects = ["sp-1".to_owned()].into();
        let tenants = [TENANT.to_owned()].into();
        let dev = Environment { production: false, objects, ..Environment::default() };
        let prod = Environment { production: true, tenants, ..Environment::default() };
        world.config.environments = [("dev".to_owned(), dev), ("prod".to_owned(), prod)].into();
        world
    };
    let (before, now) = (world("/administrativeUnits/u1"), world("/"));
    let output = now.since(&before);
    for rule in ["XSYS-006", "DRIFT-002"] {
        let found = output.findings.iter().find(|finding| finding.rule.id == rule);
        assert_eq!(found.map(|finding| finding.rule.claim), Some(Claim::Full), "{rule}");
    }
    // Azure's part: one grant at the group of all of them carries every way.
    let mut azure = system("azure", "tenant-1");
    let reader = azure.id(NodeKind::ServicePrincipal, ROBOT);
    let production = named(&mut azure, NodeKind::Scope, "mg/production", "Production");
    link(&mut azure, &reader, EdgeKind::Granted, &production);
    let data = azure.node("organization", NodeKind::DataDomain, "finance", &[]);
    for name in ["Shop", "Ledger", "Mail"] {
        let subscription = named(&mut azure, NodeKind::Scope, &format!("subscriptions/{name}"), name);
        link(&mut azure, &production, EdgeKind::Contains, &subscription);
        link(&mut azure, &subscription, EdgeKind::HoldsData, &data);
    }
    let graph = graph(&[&azure]);
    let (hops, cut) = ways(&graph, &reader, &data);
    assert_eq!(hops.len(), 3);
    assert_eq!(cut, Some((format!("azure {ROBOT} GRANTED azure Production"), 3)));
    assert!(run(&graph, &RuleConfig::default()).findings.is_empty(), "Azure's roles are not weighed yet");
}

/// An AI agent connected to internal HR systems and an external LLM API.
#[test]
fn fourth_an_agent_between_hr_and_an_outside_model() {
    let mut foundry = system("foundry", "accounts/people");
    let agent = named(&mut foundry, NodeKind::Agent, "hr-helper", "HR helper");
    let hr = named(&mut foundry, NodeKind::Connection, "hr", "HR cases");
    let cases = foundry.node("organization", NodeKind::Endpoint, HOST, &[]);
    let model = foundry.node("organization", NodeKind::Endpoint, "https://api.model.example:443", &[]);
    link(&mut foundry, &agent, EdgeKind::UsesConnection, &hr);
    link(&mut foundry, &hr, EdgeKind::ConnectsTo, &cases);
    link(&mut foundry, &agent, EdgeKind::Calls, &model);
    let mut now = system("servicenow", "instance-1");
    let host = now.node("organization", NodeKind::Endpoint, HOST, &[]);
    let table = named(&mut now, NodeKind::Resource, "sn_hr_core_case", "sn_hr_core_case");
    let domain = now.node("organization", NodeKind::DataDomain, "hr", &[]);
    link(&mut now, &host, EdgeKind::HostedBy, &table);
    link(&mut now, &table, EdgeKind::HoldsData, &domain);
    let graph = graph(&[&foundry, &now]);
    let (to_data, _) = ways(&graph, &agent, &domain);
    let (to_model, cut) = ways(&graph, &agent, &model);
    let is_kind = |word: &&str| EdgeKind::ALL.iter().any(|kind| kind.as_str() == *word);
    let kinds: Vec<&str> = to_data.iter().filter_map(|hop| hop.split(' ').find(is_kind)).collect();
    assert_eq!(kinds, ["USES_CONNECTION", "CONNECTS_TO", "SAME_AS", "HOSTED_BY", "HOLDS_DATA"]);
    let call = "foundry HR helper CALLS foundry https://api.model.example:443".to_owned();
    assert_eq!((to_model, cut), (vec![call.clone()], Some((call, 1))));
    waits_for(&run(&graph, &RuleConfig::default()), "UNB-004", &agent);
}

/// A service principal with Contributor that has not signed in for 180 days.
#[test]
fn fifth_authority_that_nobody_used_for_half_a_year() {
    let mut world = World::privileged(USER_ADMINISTRATOR);
    world.seen("2026-06-01T00:00:00Z").made("2024-01-01T00:00:00Z");
    world.used(attr::LAST_USED_AT, "2025-11-01T00:00:00Z");
    let finding = world.finding("DORM-001").unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    let mut used = World::privileged(USER_ADMINISTRATOR);
    used.seen("2026-06-01T00:00:00Z").made("2024-01-01T00:00:00Z").used(attr::LAST_USED_AT, "2026-05-01T00:00:00Z");
    assert!(used.finding("DORM-001").is_none());
    // Contributor is Azure's word: the grant is in the graph, and what it amounts to waits for its table.
    let mut azure = system("azure", "tenant-1");
    let idle = azure.id(NodeKind::ServicePrincipal, "sp-1");
    let scope = named(&mut azure, NodeKind::Scope, "subscriptions/s1", "Shop");
    link(&mut azure, &idle, EdgeKind::Granted, &scope);
    let graph = graph(&[&world.b, &azure]);
    let (hops, _) = ways(&graph, &idle, &scope);
    assert_eq!(hops, ["azure sp-1 GRANTED azure Shop"]);
    let told = run(&graph, &world.config).findings;
    assert_eq!(told.iter().filter(|finding| finding.rule.id == "DORM-001").count(), 1);
}
