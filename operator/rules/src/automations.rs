//! Automations that run as an identity: takes the graph and an identity, gives each automation that is known, how it
//! is tied to the identity, and whether it runs.
//!
//! Two ties count: an automation runs as the identity, or uses a stored connection that presents the identity or one of
//! its credentials. A tie that is switched off or over is none. What no connector reads is not here, so that an empty list
//! proves nothing.
//!
//! Another system names the identity by its own object. Both are one where they have the same object id: a UUID that the
//! directory gave and never gives again (`principal-id/1`).

use std::collections::BTreeSet;

use jiff::Timestamp;
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
    /// Whether it is proven that it is tied to the identity: every record between them holds.
    pub(crate) tied: Tri,
    pub(crate) run: Run,
    /// The tie leads to the identity itself, not to the same identity as another system names it.
    pub(crate) direct: bool,
}

/// The automations of `identity`, each once, in the order of their ids.
pub(crate) fn of<'g>(graph: &'g Graph, identity: &Identity<'_>, as_of: Timestamp) -> Vec<Automation<'g>> {
    let automation = |(presents, tie): (Option<&'g Edge>, &'g Edge)| {
        let tied = tie.holds(as_of).and(presents.map_or(Tri::True, |edge| edge.holds(as_of)));
        let (run, direct) = (run(graph, tie.from), own(graph, tie, identity.ix));
        (!tied.is_false()).then_some(Automation { ix: tie.from, tie, tied, run, direct })
    };
    let mut all: Vec<Automation<'g>> = ties(graph, identity).into_iter().filter_map(automation).collect();
    // Stable: a direct tie stays in front of one through a connection. One that holds stands before one that may.
    all.sort_by_key(|automation| (automation.ix, automation.tied.is_unknown()));
    all.dedup_by_key(|automation| automation.ix);
    all
}

/// When a record ends by itself that ties an automation to `identity`, or names an owner of such an automation.
pub(crate) fn ends(graph: &Graph, identity: &Identity<'_>) -> impl Iterator<Item = Timestamp> {
    ties(graph, identity).into_iter().flat_map(|(presents, tie)| {
        let owners = graph.incoming(tie.from, EdgeKind::Owns);
        presents.into_iter().chain([tie]).chain(owners).filter_map(|edge| edge.until)
    })
}

/// Every record that ties an automation to `identity`, with the one of the connection between them, whether they hold or
/// not.
fn ties<'g>(graph: &'g Graph, identity: &Identity<'_>) -> Vec<(Option<&'g Edge>, &'g Edge)> {
    let itself: Vec<NodeIx> = [identity.ix].into_iter().chain(aliases(graph, identity.ix)).collect();
    let presented = itself.iter().copied().chain(identity.credentials.iter().map(|held| held.ix));
    let connections = presented.flat_map(|ix| graph.incoming(ix, EdgeKind::Presents));
    let through = connections.flat_map(|presents| {
        graph.incoming(presents.from, EdgeKind::UsesConnection).map(move |tie| (Some(presents), tie))
    });
    let direct = itself.iter().flat_map(|ix| graph.incoming(*ix, EdgeKind::RunsAs)).map(|tie| (None, tie));
    direct.chain(through).filter(|(_, tie)| is_automation(graph.node(tie.from).kind)).collect()
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
