//! A snapshot as the graph takes it: gets rows in ascending order, one at a time, and keeps nodes with their facts and
//! edges between positions instead of identifiers.
//!
//! Rows take several times the memory of what they say: each edge repeats two identifiers, each fact its name. Here every
//! identifier, name, role and scope stands once. What an instance says about objects outside its own proven tenant is
//! dropped and counted. May not: hold more than one row beside the packed form.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use crate::graph::{Edge, Fact, Node, NodeIx, Source};
use crate::model::{Header, NodeId, NodeKind, NodeRow};
use crate::reader::Sink;
use crate::snapshot::Snapshot;
use crate::view::{EdgeView, Text};

/// A snapshot in the form that [`crate::Graph::build`] merges without copying it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Times, coverage and the calls that facts and edges refer to.
    pub header: Header,
    /// Each identifier once: those with rows, ascending, then those that edges only refer to.
    pub(crate) nodes: Vec<Node>,
    /// In the order of rows. Ends are positions in `nodes`, the instance of every source is 0.
    pub(crate) edges: Vec<Edge>,
    /// Rows that speak of objects outside the instance's proven tenant.
    pub(crate) foreign: u64,
    /// More objects than positions.
    pub(crate) too_many: bool,
}

impl AsRef<Header> for Packed {
    fn as_ref(&self) -> &Header {
        &self.header
    }
}

impl From<Snapshot> for Packed {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { header, mut nodes, mut edges } = snapshot;
        // Those that were read are ascending already.
        nodes.sort_unstable();
        edges.sort_unstable();
        let mut packer = Packer::new(&header);
        for row in nodes {
            packer.node(row);
        }
        for row in &edges {
            packer.edge(EdgeView::of(row));
        }
        packer.finish(header)
    }
}

/// Packs rows: all nodes, then all edges, each ascending.
pub(crate) struct Packer {
    /// `<system>:<tenant>:`, with which every identifier of the tenant begins.
    own: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    foreign: u64,
    too_many: bool,
    positions: Positions,
    /// Looked up, never walked: its order cannot reach the result.
    texts: HashSet<Arc<str>>,
}

impl Packer {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            own: format!("{}:{}:", header.system, header.tenant),
            nodes: Vec::new(),
            edges: Vec::new(),
            foreign: 0,
            too_many: false,
            positions: Positions::default(),
            texts: HashSet::new(),
        }
    }

    fn is_own(&self, id: &str) -> bool {
        id.starts_with(&self.own)
    }

    /// The last node has all its rows.
    fn settle(&mut self) {
        if let Some(node) = self.nodes.last_mut() {
            node.settle();
        }
    }

    /// Where the node stands; an object that no row describes is known to be referred to, nothing else.
    fn position(&mut self, id: &str) -> Option<NodeIx> {
        self.positions.grow(&self.nodes);
        let slot = match self.positions.find(&self.nodes, id) {
            Ok(at) => return Some(NodeIx(at)),
            Err(slot) => slot,
        };
        let kind = NodeKind::in_id(id)?;
        let id = NodeId(id.to_owned());
        let Some(at) = u32::try_from(self.nodes.len()).ok().filter(|at| *at != FREE) else {
            self.too_many = true;
            return None;
        };
        self.positions.slots[slot] = at;
        self.nodes.push(Node { id, kind, facts: Vec::new(), asserted_by: Vec::new(), first_source: None });
        Some(NodeIx(at))
    }

    pub(crate) fn finish(mut self, header: Header) -> Packed {
        if self.edges.is_empty() {
            self.settle();
        }
        self.edges.shrink_to_fit();
        let Self { nodes, edges, foreign, too_many, .. } = self;
        Packed { header, nodes, edges, foreign, too_many }
    }
}

impl Sink for Packer {
    /// One more row about a node. Of two rows about the same the first one's facts win.
    fn node(&mut self, row: NodeRow) {
        let NodeRow { id, kind, op, attrs } = row;
        if !self.is_own(id.as_str()) || id.kind() != Some(kind) {
            self.foreign += 1;
            return;
        }
        let source = Source { instance: 0, op };
        let texts = &mut self.texts;
        let facts = attrs.into_iter().map(|(key, value)| Fact { key: intern(texts, &key), value, source });
        if let Some(node) = self.nodes.last_mut().filter(|last| last.id == id) {
            node.facts.extend(facts);
            return;
        }
        let facts = facts.collect();
        self.settle();
        self.nodes.push(Node { id, kind, facts, asserted_by: vec![0], first_source: Some(source) });
    }

    /// One more row about an edge.
    fn edge(&mut self, row: EdgeView<'_>) {
        if !self.is_own(&row.from) || !self.is_own(&row.to) {
            self.foreign += 1;
            return;
        }
        if self.edges.is_empty() {
            self.settle();
        }
        let before =
            self.edges.last().map(|edge| edge.from).filter(|at| self.nodes[at.index()].id.as_str() == &*row.from);
        let Some(from) = before.or_else(|| self.position(&row.from)) else { return };
        let Some(to) = self.position(&row.to) else { return };
        let mut shared = |text: Option<Text<'_>>| text.map(|text| intern(&mut self.texts, &text));
        self.edges.push(Edge {
            from,
            kind: row.kind,
            to,
            role: shared(row.role),
            scope: shared(row.scope),
            condition: shared(row.condition),
            // The vendor's id of an assignment is the assignment's alone.
            object: row.object.as_deref().map(Arc::from),
            state: row.state,
            since: row.since,
            until: row.until,
            source: Source { instance: 0, op: row.op },
        });
    }
}

fn intern(texts: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    let text: Arc<str> = Arc::from(text);
    texts.insert(Arc::clone(&text));
    text
}

/// A slot without a position.
const FREE: u32 = u32::MAX;

/// Where identifiers stand in a list of nodes: a hash table of positions alone, since the list has the identifiers.
#[derive(Default)]
struct Positions {
    /// A power of two, at most half of them taken; empty at first.
    slots: Vec<u32>,
    /// Keyed anew in each process: identifiers are a vendor's, who shall not choose which of them collide.
    hasher: RandomState,
}

impl Positions {
    /// Makes room for one more than `nodes`.
    fn grow(&mut self, nodes: &[Node]) {
        if (nodes.len() + 1) * 2 <= self.slots.len() {
            return;
        }
        self.slots = vec![FREE; ((nodes.len() + 1) * 4).next_power_of_two()];
        for (at, node) in (0..FREE).zip(nodes) {
            if let Err(slot) = self.find(nodes, node.id.as_str()) {
                self.slots[slot] = at;
            }
        }
    }

    /// The position of `id`, or the slot for it.
    fn find(&self, nodes: &[Node], id: &str) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let hash = self.hasher.hash_one(id);
        let mut slot = usize::try_from(hash & mask as u64).unwrap_or_default();
        loop {
            match self.slots[slot] {
                FREE => return Err(slot),
                at if nodes[at as usize].id.as_str() == id => return Ok(at),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}
