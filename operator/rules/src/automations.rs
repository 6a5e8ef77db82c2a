//! Automations that run as an identity: takes the graph and an identity, gives each automation that is known, how it
//! is tied to the identity, and whether it runs.
//!
//! Two ties count: an automation runs as the identity, or uses a stored connection that presents the identity or one of
//! its credentials. A tie that is switched off or over is none. What no connector reads is not here, so that an empty list
//! proves nothing.
//!
//! Another system names the identity by its own object: whether both are one, a correlation key says
//! ([`crate::derive::KEYS`]).

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, attr};

use crate::derive::Key;
use crate::evidence::{self, Proof};
use crate::finding::EvidenceClass;
use crate::identity::Identity;
use crate::rule::Context;
use crate::text::display_name;

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
    /// From that connection: what it presents.
    pub(crate) presents: Option<&'g Edge>,
    /// Whether it is proven that it is tied to the identity: every record between them holds.
    pub(crate) tied: Tri,
    pub(crate) run: Run,
    /// By which key the identity is known to be meant; none where the tie leads to the identity itself.
    pub(crate) by: Option<&'static Key>,
}

/// What ties an automation to an identity.
pub(crate) const TIES: &[EdgeKind] = &[EdgeKind::RunsAs, EdgeKind::UsesConnection];

/// What is known of the automations of one identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Automations<'g> {
    /// Each once, in the order of their ids.
    pub(crate) known: Vec<Automation<'g>>,
    /// How many more run as something that may be the identity, and may be another one.
    pub(crate) doubtful: usize,
}

impl<'g> Automations<'g> {
    /// The automations of `identity`.
    pub(crate) fn of(context: &Context<'g>, identity: &Identity<'_>) -> Self {
        let known = ties(context, identity).into_iter();
        let mut known: Vec<Automation<'g>> = known.filter_map(|tie| tie.automation(context)).collect();
        // Of several ties one that holds is told before one that may, then the nearest: to itself, without a connection.
        let far = |one: &Automation<'_>| (one.tied.is_unknown(), one.by.is_some(), one.presents.is_some());
        known.sort_by_key(|automation| (automation.ix, far(automation)));
        known.dedup_by_key(|automation| automation.ix);
        let maybe = context.joins.doubtful(identity.ix).iter().flat_map(|left| tied(context.graph, *left, None));
        let maybe: BTreeSet<NodeIx> = maybe.filter_map(|tie| Some(tie.automation(context)?.ix)).collect();
        let sure = |ix: &NodeIx| known.binary_search_by_key(ix, |automation| automation.ix).is_ok();
        let doubtful = maybe.iter().filter(|ix| !sure(ix)).count();
        Self { known, doubtful }
    }

    /// Those that are switched on and proven to be tied to the identity.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Automation<'g>> {
        self.known.iter().filter(|automation| automation.run == Run::On && automation.tied.is_true())
    }
}

/// When a record ends by itself that ties an automation to `identity`, or names an owner of such an automation.
pub(crate) fn ends(context: &Context<'_>, identity: &Identity<'_>) -> impl Iterator<Item = Timestamp> {
    ties(context, identity).into_iter().flat_map(|Tie { presents, edge, .. }| {
        let owners = context.graph.incoming(edge.from, EdgeKind::Owns);
        presents.into_iter().chain([edge]).chain(owners).filter_map(|edge| edge.until)
    })
}

/// A record that ties an automation to an identity, whether it holds or not.
#[derive(Clone, Copy, Debug)]
struct Tie<'g> {
    edge: &'g Edge,
    presents: Option<&'g Edge>,
    by: Option<&'static Key>,
}

impl<'g> Tie<'g> {
    /// The automation, unless the tie is switched off or over.
    fn automation(self, context: &Context<'g>) -> Option<Automation<'g>> {
        let Self { edge, presents, by } = self;
        let tied = edge.holds(context.as_of).and(presents.map_or(Tri::True, |edge| edge.holds(context.as_of)));
        let run = run(context.graph, edge.from);
        (!tied.is_false()).then_some(Automation { ix: edge.from, tie: edge, presents, tied, run, by })
    }
}

/// Every record that ties an automation to `identity`.
fn ties<'g>(context: &Context<'g>, identity: &Identity<'_>) -> Vec<Tie<'g>> {
    let (graph, ix) = (context.graph, identity.ix);
    let mut all: Vec<Tie<'g>> = tied(graph, ix, None).collect();
    all.extend(identity.credentials.iter().flat_map(|held| presenting(graph, held.ix, None)));
    all.extend(context.joins.same(ix).iter().flat_map(|join| tied(graph, join.left, Some(join.key))));
    all
}

/// What runs as `ix`, or uses a connection that presents it.
fn tied<'g>(graph: &'g Graph, ix: NodeIx, by: Option<&'static Key>) -> impl Iterator<Item = Tie<'g>> {
    let runs = graph.incoming(ix, EdgeKind::RunsAs).map(move |edge| Tie { edge, presents: None, by });
    runs.filter(|tie| is_automation(graph.node(tie.edge.from).kind)).chain(presenting(graph, ix, by))
}

/// What uses a connection that presents `ix`.
fn presenting<'g>(graph: &'g Graph, ix: NodeIx, by: Option<&'static Key>) -> impl Iterator<Item = Tie<'g>> {
    let uses = graph.incoming(ix, EdgeKind::Presents).flat_map(move |presents| {
        let uses = graph.incoming(presents.from, EdgeKind::UsesConnection);
        uses.map(move |edge| Tie { edge, presents: Some(presents), by })
    });
    uses.filter(|tie| is_automation(graph.node(tie.edge.from).kind))
}

impl Automation<'_> {
    /// `function "export"`.
    pub(crate) fn label(&self, graph: &Graph) -> String {
        let node = graph.node(self.ix);
        let name = display_name(node.text(attr::NAME).unwrap_or_else(|| node.id.vendor_id()));
        format!("{} \"{name}\"", noun(node.kind))
    }

    /// How it is tied to the identity, as a verb.
    pub(crate) const fn runs(&self) -> &'static str {
        if self.presents.is_some() { "uses a connection that signs in as it" } else { "runs as it" }
    }

    /// Its tie as evidence. By a key it is derived.
    pub(crate) fn proof(&self, graph: &Graph) -> Proof {
        let by = self.by.map(|key| format!(" ({})", key.name())).unwrap_or_default();
        let claim = format!("The {} {}{by}.", self.label(graph), self.runs());
        evidence::of_edge(graph, self.tie, self.class(), claim)
    }

    /// Class of evidence of its tie.
    pub(crate) fn class(&self) -> EvidenceClass {
        self.by.map_or(EvidenceClass::Direct, |key| key.class)
    }
}

/// Whether the collection in which a tie was read was read to its end.
pub(crate) fn read_whole(graph: &Graph, tie: &Edge) -> Tri {
    let collection = graph.operation(tie.source).map_or("", |operation| operation.collection.as_str());
    graph.complete(tie.source.instance(), collection)
}

/// `logic app "Nightly export"` would need the vendor's words: the kind of the model is enough.
const fn noun(kind: NodeKind) -> &'static str {
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
