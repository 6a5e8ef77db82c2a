//! Automations that run as an identity: takes the graph and an identity, gives each automation that is known, how it
//! is tied to the identity, and whether it runs.
//!
//! Two ties count: an automation runs as the identity, or uses a stored connection that presents the identity or one of
//! its credentials. What no connector reads is not here, so that an empty list proves nothing.

use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, attr};

use crate::identity::Identity;

/// Whether an automation can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Switched on.
    On,
    /// Switched off.
    Off,
    /// Deleted; the source system may be able to bring it back.
    Deleted,
    /// Not told.
    Unknown,
}

/// One automation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Automation<'g> {
    pub(crate) ix: NodeIx,
    /// From the automation: what it runs as, or the connection that it uses.
    pub(crate) tie: &'g Edge,
    pub(crate) run: Run,
}

/// The automations of `identity`, each once, in the order of their ids.
pub(crate) fn of<'g>(graph: &'g Graph, identity: &Identity<'_>) -> Vec<Automation<'g>> {
    let presented = [identity.ix].into_iter().chain(identity.credentials.iter().map(|held| held.ix));
    let connections = presented.flat_map(|ix| graph.incoming(ix, EdgeKind::Presents));
    let through = connections.flat_map(|edge| graph.incoming(edge.from, EdgeKind::UsesConnection));
    let ties = graph.incoming(identity.ix, EdgeKind::RunsAs).chain(through);
    let mut all: Vec<Automation<'g>> = ties
        .filter(|tie| is_automation(graph.node(tie.from).kind))
        .map(|tie| Automation { ix: tie.from, tie, run: run(graph, tie.from) })
        .collect();
    // Stable: a direct tie stays in front of one through a connection.
    all.sort_by_key(|automation| automation.ix);
    all.dedup_by_key(|automation| automation.ix);
    all
}

/// Whether the collection in which a tie was read was read to its end.
pub(crate) fn read_whole(graph: &Graph, tie: &Edge) -> Tri {
    let collection = graph.operation(tie.source).map_or("", |operation| operation.collection.as_str());
    graph.complete(tie.source.instance(), collection)
}

/// `logic app "Nightly export"` would need the vendor's words: the kind of the model is enough.
pub(crate) const fn noun(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Agent => "agent",
        NodeKind::Workflow => "workflow",
        NodeKind::Function => "function",
        _ => "workload",
    }
}

const fn is_automation(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Agent | NodeKind::Workflow | NodeKind::Function | NodeKind::Compute)
}

fn run(graph: &Graph, ix: NodeIx) -> Run {
    let node = graph.node(ix);
    match node.flag(attr::ENABLED) {
        _ if node.fact(attr::DELETED_AT).is_some() => Run::Deleted,
        Some(true) => Run::On,
        Some(false) => Run::Off,
        None => Run::Unknown,
    }
}
