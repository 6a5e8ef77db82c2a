//! Automations that run as an identity: takes the graph and an identity, gives each automation that is known, how it
//! is tied to the identity, and whether it runs.
//!
//! Two ties count: an automation runs as the identity, or uses a stored connection that presents the identity or one of
//! its credentials. What no connector reads is not here, so that an empty list proves nothing.
//!
//! Another system names the identity by its own object. Both are one where they have the same object id: a UUID that the
//! directory gave and never gives again (`principal-id/1`).

use std::collections::BTreeSet;

use sv0_graph::{Edge, EdgeKind, Graph, NodeId, NodeIx, NodeKind, Tri, attr};

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
    /// The tie leads to the identity itself, not to the same identity as another system names it.
    pub(crate) direct: bool,
}

/// What ties an automation to an identity.
pub(crate) const TIES: &[EdgeKind] = &[EdgeKind::RunsAs, EdgeKind::UsesConnection];

/// The automations of `identity`, each once, in the order of their ids.
pub(crate) fn of<'g>(graph: &'g Graph, identity: &Identity<'_>) -> Vec<Automation<'g>> {
    let itself: Vec<NodeIx> = [identity.ix].into_iter().chain(aliases(graph, identity.ix)).collect();
    let presented = itself.iter().copied().chain(identity.credentials.iter().map(|held| held.ix));
    let connections = presented.flat_map(|ix| graph.incoming(ix, EdgeKind::Presents));
    let through = connections.flat_map(|edge| graph.incoming(edge.from, EdgeKind::UsesConnection));
    let ties = itself.iter().flat_map(|ix| graph.incoming(*ix, EdgeKind::RunsAs)).chain(through);
    let mut all: Vec<Automation<'g>> = ties
        .filter(|tie| is_automation(graph.node(tie.from).kind))
        .map(|tie| Automation { ix: tie.from, tie, run: run(graph, tie.from), direct: own(graph, tie, identity.ix) })
        .collect();
    // Stable: a direct tie stays in front of one through a connection.
    all.sort_by_key(|automation| automation.ix);
    all.dedup_by_key(|automation| automation.ix);
    all
}

/// The same identity as other systems name it.
fn aliases(graph: &Graph, ix: NodeIx) -> impl Iterator<Item = NodeIx> {
    let id = &graph.node(ix).id;
    let systems: BTreeSet<(&str, &str)> = graph
        .instances()
        .iter()
        .map(|instance| (instance.header.system.as_str(), instance.header.tenant.as_str()))
        .filter(|(system, _)| *system != id.system() && is_uuid(id.vendor_id()))
        .collect();
    let kinds = [NodeKind::ServicePrincipal, NodeKind::ManagedIdentity, NodeKind::AgentIdentity];
    systems.into_iter().flat_map(move |(system, tenant)| {
        kinds.into_iter().filter_map(move |kind| graph.find(&NodeId::new(system, tenant, kind, id.vendor_id())))
    })
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Whether a tie stands in the identity's own system.
fn own(graph: &Graph, tie: &Edge, ix: NodeIx) -> bool {
    graph.node(tie.to).id.system() == graph.node(ix).id.system()
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
