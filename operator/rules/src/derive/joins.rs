//! Joins objects of several systems by the keys of [`KEYS`]: takes a graph, gives which object of one system is which
//! object of another one.
//!
//! Never guesses: where a value is of several objects that could be meant, or two keys say different things, nothing is
//! joined, and who asks for one of these objects is told that something may belong to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sv0_graph::{Graph, NodeIx};

use super::keys::{KEYS, Key, Matches, Within};

/// An object of another system that is the same, and how that is known.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    /// The object that another system refers to.
    pub left: NodeIx,
    /// The object itself.
    pub right: NodeIx,
    /// By what they are one.
    pub key: &'static Key,
}

/// What the keys join in one graph.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    /// By right side, then left.
    joined: BTreeMap<NodeIx, Vec<Join>>,
    /// By left side.
    meant: BTreeMap<NodeIx, NodeIx>,
    /// By right side: what may be the same, or the same as another one.
    doubtful: BTreeMap<NodeIx, Vec<NodeIx>>,
}

impl Joins {
    pub(crate) fn of(graph: &Graph) -> Self {
        // By left side: every object that some key says it is.
        let mut candidates: BTreeMap<NodeIx, BTreeMap<NodeIx, &'static Key>> = BTreeMap::new();
        for key in KEYS.iter().filter(|key| key.matches == Matches::One) {
            pairs(graph, key, |left, right| {
                candidates.entry(left).or_default().entry(right).or_insert(key);
            });
        }
        let mut joins = Self::default();
        for (left, rights) in candidates {
            if let (1, Some((right, key))) = (rights.len(), rights.first_key_value()) {
                joins.joined.entry(*right).or_default().push(Join { left, right: *right, key });
                joins.meant.insert(left, *right);
                continue;
            }
            for right in rights.into_keys() {
                joins.doubtful.entry(right).or_default().push(left);
            }
        }
        joins
    }

    /// What other systems call `right`, in the order of the graph.
    pub(crate) fn same(&self, right: NodeIx) -> &[Join] {
        self.joined.get(&right).map(Vec::as_slice).unwrap_or_default()
    }

    /// The object itself that another system calls `ix`; `ix` where nothing is joined to it.
    pub(crate) fn meant(&self, ix: NodeIx) -> NodeIx {
        self.meant.get(&ix).copied().unwrap_or(ix)
    }

    /// What may be `right`, or another object.
    pub(crate) fn doubtful(&self, right: NodeIx) -> &[NodeIx] {
        self.doubtful.get(&right).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Every two objects of `graph` that a key says are one, in the order of the graph.
pub fn joins(graph: &Graph) -> Vec<Join> {
    Joins::of(graph).joined.into_values().flatten().collect()
}

/// Every left object with every right one of the same value. An object that others only refer to is nobody's right side.
fn pairs(graph: &Graph, key: &'static Key, mut pair: impl FnMut(NodeIx, NodeIx)) {
    let values = graph.node_indexes().filter_map(|ix| Some((key.left(graph.node(ix))?, ix)));
    let mut lefts: Vec<(Cow<'_, str>, NodeIx)> = values.collect();
    if lefts.is_empty() {
        return;
    }
    lefts.sort_unstable();
    for right in graph.node_indexes().filter(|ix| !graph.node(*ix).asserted_by.is_empty()) {
        let Some(value) = key.right(graph.node(right)) else { continue };
        let first = lefts.partition_point(|(known, _)| *known < value);
        let same = lefts.iter().skip(first).take_while(|(known, _)| *known == value);
        for (_, left) in same.filter(|(_, left)| *left != right && together(graph, key, *left, right)) {
            pair(*left, right);
        }
    }
}

fn together(graph: &Graph, key: &Key, left: NodeIx, right: NodeIx) -> bool {
    match key.within {
        Within::Estate => true,
        Within::Tenant => graph.node(left).id.tenant().eq_ignore_ascii_case(graph.node(right).id.tenant()),
    }
}
