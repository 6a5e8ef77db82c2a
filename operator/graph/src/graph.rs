//! The graph of an estate: takes snapshots, merges what they say, and gives indexed, ordered access.
//!
//! What an instance says about objects outside its own proven tenant is dropped and counted: a scan of one tenant can
//! not vouch for another. Facts keep their provenance (instance and operation). Where several rows give the same
//! attribute, the newest observation wins, then the lesser instance UID, then the earlier operation in the header
//! (connectors list the authoritative call first): the order in which snapshots or rows arrive never matters.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::merge::merge;
use crate::model::{Coverage, EdgeKind, EdgeState, Header, NodeId, NodeKind, Operation, Value};
use crate::packed::Packed;
use crate::predicate::{Tri, UnknownReason};

/// Position of a node; positions are ordered as identifiers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIx(pub(crate) u32);

impl NodeIx {
    /// As an index into tables of one entry per node.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Position of an instance in [`Graph::instances`], ordered by instance UID.
pub type InstanceIx = usize;

/// Which call of which instance told a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    pub(crate) instance: u32,
    pub(crate) op: u16,
}

impl Source {
    /// The instance.
    pub const fn instance(self) -> InstanceIx {
        self.instance as usize
    }
}

/// One instance's part in the graph.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Header of the snapshot that was used.
    pub header: Header,
    /// Rows dropped because they speak of objects outside the instance's proven tenant (`ForeignAssertion`).
    pub foreign_assertions: u64,
}

/// A fact of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub(crate) key: Arc<str>,
    /// What the vendor said.
    pub value: Value,
    /// Where it said so.
    pub source: Source,
}

/// A node with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Identity.
    pub id: NodeId,
    /// Kind.
    pub kind: NodeKind,
    pub(crate) facts: Vec<Fact>,
    /// Instances with a row about it, ascending. Empty for an object that others only refer to.
    pub asserted_by: Vec<InstanceIx>,
    pub(crate) first_source: Option<Source>,
}

/// An edge with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where authority starts.
    pub from: NodeIx,
    /// What it says.
    pub kind: EdgeKind,
    /// Where it leads.
    pub to: NodeIx,
    /// Role or permission id.
    pub role: Option<Arc<str>>,
    /// Vendor's scope of the grant.
    pub scope: Option<Arc<str>>,
    /// The vendor's id of the assignment itself.
    pub object: Option<Arc<str>>,
    /// Present when the vendor attaches a condition.
    pub condition: Option<Arc<str>>,
    /// Whether it holds now.
    pub state: EdgeState,
    /// When the grant was made, by the vendor's word.
    pub since: Option<Timestamp>,
    /// When it ends by itself, by the vendor's word. Absent = no end is recorded.
    pub until: Option<Timestamp>,
    /// Which call told it.
    pub source: Source,
}

/// The merged graph of an estate.
#[derive(Debug, Default)]
pub struct Graph {
    pub(crate) instances: Vec<Instance>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) index: Index,
}

/// Compressed adjacency: where each node's edges start, and the positions of incoming ones.
#[derive(Debug, Default)]
pub(crate) struct Index {
    out_start: Vec<u32>,
    in_start: Vec<u32>,
    incoming: Vec<u32>,
}

/// The graph has more nodes or edges than it can index.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the estate has more than four billion nodes or edges: split it over several estates")]
pub struct TooManyRows;

impl Graph {
    /// Merges `snapshots`. Of several snapshots of one instance only the newest is used.
    pub fn build<S: Into<Packed>>(snapshots: Vec<S>) -> Result<Self, TooManyRows> {
        let mut latest: BTreeMap<String, Packed> = BTreeMap::new();
        for snapshot in snapshots {
            let snapshot: Packed = snapshot.into();
            let uid = snapshot.header.instance_uid.clone();
            let newer = latest.get(&uid).is_none_or(|kept| {
                (&snapshot.header.scan_id, snapshot.header.observed_at)
                    > (&kept.header.scan_id, kept.header.observed_at)
            });
            if newer {
                latest.insert(uid, snapshot);
            }
        }
        merge(latest.into_values().collect())
    }

    /// Every node, in the order of identifiers.
    pub fn node_indexes(&self) -> impl ExactSizeIterator<Item = NodeIx> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeIx)
    }

    /// The node at `ix`.
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.nodes[ix.index()]
    }

    /// The node with this identity.
    pub fn find(&self, id: &NodeId) -> Option<NodeIx> {
        let at = self.nodes.binary_search_by(|node| node.id.cmp(id)).ok()?;
        u32::try_from(at).ok().map(NodeIx)
    }

    /// Every edge, in the order of (from, kind, to, ...).
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Edges of `kind` that start at `ix`.
    pub fn out(&self, ix: NodeIx, kind: EdgeKind) -> &[Edge] {
        let range = self.index.out_start[ix.index()] as usize..self.index.out_start[ix.index() + 1] as usize;
        let all = &self.edges[range];
        let start = all.partition_point(|edge| edge.kind < kind);
        let end = all.partition_point(|edge| edge.kind <= kind);
        &all[start..end]
    }

    /// Edges of `kind` that lead to `ix`.
    pub fn incoming(&self, ix: NodeIx, kind: EdgeKind) -> impl Iterator<Item = &Edge> {
        let range = self.index.in_start[ix.index()] as usize..self.index.in_start[ix.index() + 1] as usize;
        self.index.incoming[range].iter().map(|at| &self.edges[*at as usize]).filter(move |edge| edge.kind == kind)
    }

    /// The instances, in the order of their UIDs.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// The call behind a fact.
    pub fn operation(&self, source: Source) -> Option<&Operation> {
        self.instances.get(source.instance())?.header.operations.get(usize::from(source.op))
    }

    /// The records of one collection of one instance, all scopes.
    pub fn coverage<'a>(&'a self, instance: InstanceIx, collection: &'a str) -> impl Iterator<Item = &'a Coverage> {
        let records = self.instances.get(instance).map_or(&[][..], |instance| &instance.header.coverage[..]);
        records.iter().filter(move |record| record.collection == collection)
    }

    /// Whether `instance` saw all of `collection` in every scope it has: the condition for any negative.
    pub fn complete(&self, instance: InstanceIx, collection: &str) -> Tri {
        let mut any = false;
        let all = Tri::all(self.coverage(instance, collection).map(|record| {
            any = true;
            record.state.negative()
        }));
        if any { all } else { Tri::Unknown(UnknownReason::NotCollected) }
    }

    /// Whether any instance of the tenant in which `ix` lives saw all of `collection`, and which one.
    pub fn complete_for(&self, ix: NodeIx, collection: &str) -> (Tri, Option<InstanceIx>) {
        let id = &self.node(ix).id;
        let mut result = (Tri::Unknown(UnknownReason::NotCollected), None);
        for (i, instance) in self.instances.iter().enumerate() {
            if instance.header.system != id.system() || instance.header.tenant != id.tenant() {
                continue;
            }
            let state = self.complete(i, collection);
            if state.is_true() {
                return (state, Some(i));
            }
            if result.1.is_none() {
                result = (state, Some(i));
            }
        }
        result
    }
}

impl Edge {
    /// Whether what it says holds at `as_of`. No when it is switched off, and from the instant of its end on. Not known when
    /// it has a condition, since none is weighed, or must be activated first: of both the lesser reason is told.
    pub fn holds(&self, as_of: Timestamp) -> Tri {
        let stands = match self.state {
            EdgeState::Active => Tri::True,
            EdgeState::Eligible => Tri::Unknown(UnknownReason::DynamicValue),
            EdgeState::Disabled => Tri::False,
        };
        let lasts = Tri::from(self.until.is_none_or(|until| as_of < until));
        let free = if self.condition.is_none() { Tri::True } else { Tri::Unknown(UnknownReason::Unparsable) };
        stands.and(lasts).and(free)
    }
}

impl Node {
    /// The fact named `key`. None means *not collected*.
    pub fn fact(&self, key: &str) -> Option<&Fact> {
        let at = self.facts.binary_search_by(|fact| fact.key.as_ref().cmp(key)).ok()?;
        self.facts.get(at)
    }

    /// The facts in the order of their names.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.facts.iter().map(|fact| (fact.key.as_ref(), fact))
    }

    /// A yes-or-no fact.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.fact(key)?.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A yes-or-no fact as a predicate: not collected is `Unknown`.
    pub fn is(&self, key: &str) -> Tri {
        self.flag(key).map_or(Tri::Unknown(UnknownReason::NotCollected), Tri::from)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.fact(key)?.value {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// A count.
    pub fn count(&self, key: &str) -> Option<i64> {
        match self.fact(key)?.value {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// An instant; none also when the text is not one.
    pub fn time(&self, key: &str) -> Option<Timestamp> {
        self.text(key)?.parse().ok()
    }

    /// The call that first told of this object, in the order of the header.
    pub const fn source(&self) -> Option<Source> {
        self.first_source
    }

    /// What another instance, whose word counts less, says of it.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.facts.extend(other.facts);
        self.asserted_by.extend(other.asserted_by);
        self.asserted_by.sort_unstable();
        self.first_source = self.first_source.or(other.first_source);
        self.settle();
    }

    /// The first fact of each name wins. Once for all rows, since a node may have any number of them.
    pub(crate) fn settle(&mut self) {
        self.facts.sort_by(|a, b| a.key.cmp(&b.key));
        self.facts.dedup_by(|later, kept| later.key == kept.key);
        self.facts.shrink_to_fit();
    }
}

impl Index {
    pub(crate) fn of(nodes: usize, edges: &[Edge]) -> Result<Self, TooManyRows> {
        let mut out_start = vec![0u32; nodes + 1];
        let mut in_start = vec![0u32; nodes + 1];
        for edge in edges {
            out_start[edge.from.index() + 1] += 1;
            in_start[edge.to.index() + 1] += 1;
        }
        for i in 0..nodes {
            out_start[i + 1] += out_start[i];
            in_start[i + 1] += in_start[i];
        }
        let mut next = in_start.clone();
        let mut incoming = vec![0u32; edges.len()];
        for (at, edge) in edges.iter().enumerate() {
            let slot = &mut next[edge.to.index()];
            incoming[*slot as usize] = u32::try_from(at).map_err(|_| TooManyRows)?;
            *slot += 1;
        }
        Ok(Self { out_start, in_start, incoming })
    }
}
