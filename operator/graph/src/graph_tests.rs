//! Merging: provenance stays, tenants do not vouch for each other, and no order shows.

use proptest::prelude::*;

use crate::graph::Graph;
use crate::model::*;
use crate::packed::Packed;
use crate::predicate::{Tri, UnknownReason};
use crate::snapshot::{Snapshot, SnapshotReader, write_snapshot};
use crate::testing::{SnapshotBuilder, text};

fn graph(snapshots: Vec<Snapshot>) -> Graph {
    Graph::build(snapshots).unwrap()
}

#[test]
fn rows_about_one_object_merge_and_each_fact_keeps_its_call() {
    let mut b = SnapshotBuilder::entra("u1", "t1");
    let id = b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp", &[(attr::ENABLED, Value::Bool(true))]);
    b.node("selfCheck", NodeKind::ServicePrincipal, "sp", &[(attr::OWN_IDENTITY, Value::Bool(true))]);
    let graph = graph(vec![b.build()]);
    let node = graph.node(graph.find(&id).unwrap());
    assert_eq!(node.is(attr::ENABLED), Tri::True);
    assert_eq!(node.flag(attr::OWN_IDENTITY), Some(true));
    assert_eq!(node.is(attr::VENDOR_DISABLED), Tri::Unknown(UnknownReason::NotCollected));
    let call = |key| graph.operation(node.fact(key).unwrap().source).unwrap().collection.clone();
    assert_eq!(call(attr::ENABLED), "servicePrincipals");
    assert_eq!(call(attr::OWN_IDENTITY), "selfCheck");
}

#[test]
fn of_two_values_the_newest_observation_wins_then_the_earlier_call() {
    let row = |uid: &str, at: &str, name: &str| {
        let mut b = SnapshotBuilder::entra(uid, "t1");
        b.header().observed_at = at.parse().unwrap();
        b.header().finished_at = at.parse().unwrap();
        b.node("applications", NodeKind::Application, "a", &[(attr::NAME, text(name))]);
        b.node("selfCheck", NodeKind::Application, "a", &[(attr::NAME, text("later call"))]);
        b.build()
    };
    let old = row("u1", "2026-01-01T00:00:00Z", "old");
    let new = row("u2", "2026-01-02T00:00:00Z", "new");
    for snapshots in [vec![old.clone(), new.clone()], vec![new, old]] {
        let graph = graph(snapshots);
        let ix = graph.node_indexes().next().unwrap();
        assert_eq!(graph.node(ix).text(attr::NAME), Some("new"));
        assert_eq!(graph.node(ix).asserted_by, vec![0, 1]);
    }
}

#[test]
fn of_two_snapshots_of_one_instance_only_the_newest_counts() {
    let mut old = SnapshotBuilder::entra("u1", "t1");
    old.node("applications", NodeKind::Application, "gone", &[]);
    let mut new = SnapshotBuilder::entra("u1", "t1");
    new.header().scan_id = "00000000000002-aaaaaaaa".to_owned();
    new.node("applications", NodeKind::Application, "here", &[]);
    let graph = graph(vec![new.build(), old.build()]);
    let ids: Vec<_> = graph.node_indexes().map(|ix| graph.node(ix).id.vendor_id().to_owned()).collect();
    assert_eq!(ids, ["here"]);
}

#[test]
fn what_an_instance_says_of_another_tenant_or_system_is_dropped_and_counted() {
    let mut liar = SnapshotBuilder::entra("u1", "t1");
    let own = liar.node("servicePrincipals", NodeKind::ServicePrincipal, "mine", &[]);
    let mut victim = SnapshotBuilder::entra("u2", "t2");
    let foreign =
        victim.node("servicePrincipals", NodeKind::ServicePrincipal, "yours", &[(attr::ENABLED, Value::Bool(true))]);
    let mut snapshot = liar.build();
    let mut forged = victim.build().nodes[0].clone();
    forged.attrs.insert(attr::ENABLED.to_owned(), Value::Bool(false));
    snapshot.nodes.push(forged.clone());
    forged.id = NodeId::new("aws", "t1", NodeKind::Role, "r");
    forged.kind = NodeKind::Role;
    snapshot.nodes.push(forged);
    liar.edge("servicePrincipals", &own, EdgeKind::Granted, &foreign);
    snapshot.edges = liar.build().edges;

    let graph = graph(vec![snapshot, victim.build()]);
    let dropped: Vec<u64> = graph.instances().iter().map(|instance| instance.foreign_assertions).collect();
    assert_eq!(dropped, [3, 0]);
    assert_eq!(graph.node(graph.find(&foreign).unwrap()).is(attr::ENABLED), Tri::True);
    assert!(graph.edges().is_empty());
    assert!(graph.find(&NodeId::new("aws", "t1", NodeKind::Role, "r")).is_none());
}

#[test]
fn objects_that_are_only_referred_to_are_there_without_facts() {
    let mut b = SnapshotBuilder::entra("u1", "t1");
    let app = b.node("applications", NodeKind::Application, "a", &[]);
    let owner = b.id(NodeKind::Human, "h");
    b.edge("applicationOwners", &owner, EdgeKind::Owns, &app);
    let graph = graph(vec![b.build()]);
    let ix = graph.find(&owner).unwrap();
    assert!(graph.node(ix).asserted_by.is_empty());
    assert!(graph.node(ix).source().is_none());
    assert_eq!(graph.incoming(graph.find(&app).unwrap(), EdgeKind::Owns).count(), 1);
}

#[test]
fn adjacency_is_by_kind_and_ordered_by_identity() {
    let mut b = SnapshotBuilder::entra("u1", "t1");
    let app = b.node("applications", NodeKind::Application, "a", &[]);
    for id in ["3", "1", "2"] {
        let key = b.node("applications", NodeKind::Credential, id, &[]);
        b.edge("applications", &app, EdgeKind::HoldsCredential, &key);
        let owner = b.node("ownerAccounts", NodeKind::Human, id, &[]);
        b.edge("applicationOwners", &owner, EdgeKind::Owns, &app);
    }
    let graph = graph(vec![b.build()]);
    let app = graph.find(&app).unwrap();
    let ids = |ix| graph.node(ix).id.vendor_id().to_owned();
    let keys: Vec<_> = graph.out(app, EdgeKind::HoldsCredential).iter().map(|edge| ids(edge.to)).collect();
    let owners: Vec<_> = graph.incoming(app, EdgeKind::Owns).map(|edge| ids(edge.from)).collect();
    assert_eq!(
        (keys, owners),
        (["1", "2", "3"].map(String::from).to_vec(), ["1", "2", "3"].map(String::from).to_vec())
    );
    assert!(graph.out(app, EdgeKind::Owns).is_empty());
}

#[test]
fn coverage_speaks_for_all_scopes_and_for_nothing_else() {
    let mut b = SnapshotBuilder::entra("u1", "t1");
    let id = b.node("applications", NodeKind::Application, "a", &[]);
    let mut second = b.header().coverage.iter().find(|record| record.collection == "applications").unwrap().clone();
    second.scope = "other".to_owned();
    second.state = CoverageState::Throttled;
    b.header().coverage.push(second);
    b.cover("applicationOwners", CoverageState::Denied);
    let mut other = SnapshotBuilder::entra("u2", "t1");
    other.cover("applications", CoverageState::Partial);
    let graph = graph(vec![b.build(), other.build()]);
    let ix = graph.find(&id).unwrap();
    assert_eq!(graph.complete(0, "applications"), Tri::Unknown(UnknownReason::Throttled));
    assert_eq!(graph.complete(0, "servicePrincipals"), Tri::True);
    assert_eq!(graph.complete(0, "unheard of"), Tri::Unknown(UnknownReason::NotCollected));
    assert_eq!(graph.complete(7, "applications"), Tri::Unknown(UnknownReason::NotCollected));
    // Another instance of the same tenant saw all of it.
    assert_eq!(graph.complete_for(ix, "applicationOwners"), (Tri::True, Some(1)));
    assert_eq!(graph.complete_for(ix, "applications").1, Some(0));
}

proptest! {
    #[test]
    fn the_graph_does_not_depend_on_the_order_of_anything(
        edges in prop::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..30),
        flip in any::<bool>(),
    ) {
        let mut parts = [SnapshotBuilder::entra("u1", "t1"), SnapshotBuilder::entra("u2", "t1")];
        for (from, to, second) in &edges {
            let b = &mut parts[usize::from(*second)];
            let from = b.node("applications", NodeKind::Application, &from.to_string(), &[(attr::NAME, text(&to.to_string()))]);
            let to = b.node("servicePrincipals", NodeKind::ServicePrincipal, &to.to_string(), &[]);
            b.edge("applications", &from, EdgeKind::Instantiates, &to);
        }
        let plain: Vec<Snapshot> = parts.iter().map(SnapshotBuilder::build).collect();
        let mut turned = plain.clone();
        turned.reverse();
        for snapshot in &mut turned {
            if flip { snapshot.nodes.reverse(); }
            snapshot.edges.reverse();
        }
        prop_assert_eq!(format!("{:?}", graph(plain)), format!("{:?}", graph(turned)));
    }

    /// Whoever read which row: the estate is the same.
    #[test]
    fn instances_of_one_tenant_together_say_what_one_of_them_would(
        facts in prop::collection::vec((0u8..6, 0u8..4, 0usize..3), 0..30),
        edges in prop::collection::vec((0u8..6, 0u8..9, prop::option::of(0u8..3), 0usize..3), 0..30),
    ) {
        let write = |parts: &mut [SnapshotBuilder], whole: bool| {
            let at = |part: usize| if whole { 0 } else { part };
            for (id, key, part) in &facts {
                // What a fact says depends on its name alone: instances do not contradict each other.
                let attrs = [(["a", "b", "c", "d"][usize::from(*key)], text(&format!("{id} {key}")))];
                parts[at(*part)].node("applications", NodeKind::Application, &id.to_string(), &attrs);
            }
            for (from, to, role, part) in &edges {
                let b = &mut parts[at(*part)];
                let (from, to) = (b.id(NodeKind::Application, &from.to_string()), b.id(NodeKind::Application, &to.to_string()));
                b.edge("applications", &from, EdgeKind::Granted, &to).role = role.map(|role| role.to_string());
            }
        };
        let instances = || ["u2", "u1", "u3"].map(|uid| SnapshotBuilder::entra(uid, "t1"));
        let (mut one, mut three) = (instances(), instances());
        write(&mut one, true);
        write(&mut three, false);
        let said = |parts: &[SnapshotBuilder]| told(&graph(parts.iter().map(SnapshotBuilder::build).collect()));
        prop_assert_eq!(said(&one[..1]), said(&three));
    }

    /// The form that is read for the graph is the form that rows in memory take.
    #[test]
    fn reading_packs_what_rows_would_give(
        rows in prop::collection::vec((0u8..6, 0u8..6, prop::option::of("[a-z\"\u{e9}]{0,3}"), any::<bool>()), 0..40),
    ) {
        let mut b = SnapshotBuilder::entra("u1", "t1");
        let foreign = SnapshotBuilder::entra("u1", "t2").id(NodeKind::Application, "x");
        for (from, to, name, abroad) in &rows {
            let attrs: Vec<_> = name.iter().map(|name| (attr::NAME, text(name))).collect();
            let from = b.node("applications", NodeKind::Application, &from.to_string(), &attrs);
            let to = if *abroad { foreign.clone() } else { b.id(NodeKind::Human, &to.to_string()) };
            let edge = b.edge("applicationOwners", &from, EdgeKind::CreatedBy, &to);
            (edge.role, edge.object, edge.condition) = (name.clone(), Some(to.to_string()), name.clone());
        }
        let encoded = write_snapshot(b.header().clone(), b.rows()).unwrap();
        let mut reader = SnapshotReader::new(encoded.manifest.clone(), u64::MAX);
        for part in &encoded.parts {
            reader.add(&part.bytes).unwrap();
        }
        prop_assert_eq!(reader.finish().unwrap(), Packed::from(b.build()));
    }
}

/// All that a graph says, without who said it.
fn told(graph: &Graph) -> Vec<String> {
    let node = |ix| {
        let node = graph.node(ix);
        let facts: Vec<_> = node.facts().map(|(key, fact)| (key.to_owned(), fact.value.clone())).collect();
        let incoming: Vec<_> = graph.incoming(ix, EdgeKind::Granted).map(|edge| edge.from).collect();
        format!("{} {:?} {facts:?} {incoming:?} {}", node.id, node.kind, node.asserted_by.is_empty())
    };
    let edge = |edge: &crate::Edge| format!("{:?} {} {:?} {:?}", edge.from, edge.kind, edge.to, edge.role);
    graph.node_indexes().map(node).chain(graph.edges().iter().map(edge)).collect()
}

#[test]
fn an_edge_holds_while_it_stands_has_no_condition_and_has_not_ended() {
    const NOW: &str = "2026-06-01T00:00:00Z";
    let unknown = Tri::Unknown;
    let cases = [
        (EdgeState::Active, None, None, Tri::True),
        (EdgeState::Active, None, Some("2026-06-01T00:00:00.000000001Z"), Tri::True),
        (EdgeState::Active, None, Some(NOW), Tri::False),
        (EdgeState::Active, None, Some("2026-05-31T23:59:59Z"), Tri::False),
        (EdgeState::Disabled, None, None, Tri::False),
        (EdgeState::Disabled, Some("x"), None, Tri::False),
        (EdgeState::Eligible, None, None, unknown(UnknownReason::DynamicValue)),
        (EdgeState::Eligible, None, Some(NOW), Tri::False),
        (EdgeState::Active, Some("x"), None, unknown(UnknownReason::Unparsable)),
        (EdgeState::Active, Some("x"), Some(NOW), Tri::False),
        (EdgeState::Eligible, Some("x"), None, unknown(UnknownReason::DynamicValue)),
    ];
    for (state, condition, until, expected) in cases {
        let mut b = SnapshotBuilder::entra("u1", "t1");
        let (from, to) = (b.id(NodeKind::Human, "h"), b.id(NodeKind::Group, "g"));
        let edge = b.edge("groupMembers", &from, EdgeKind::MemberOf, &to);
        (edge.state, edge.condition) = (state, condition.map(str::to_owned));
        edge.until = until.map(|until| until.parse().unwrap());
        let graph = graph(vec![b.build()]);
        assert_eq!(graph.edges()[0].holds(NOW.parse().unwrap()), expected, "{state:?} {condition:?} {until:?}");
    }
}
