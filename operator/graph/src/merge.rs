//! Merges packed snapshots into one graph: takes one for each instance, gives nodes and edges in the order of identifiers.
//!
//! Nothing is copied that can be moved: each snapshot's nodes and edges become the graph's, at their final positions.
//! The order in which snapshots arrive never matters.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;

use crate::graph::{Edge, Graph, Index, Instance, Node, NodeIx, TooManyRows};
use crate::model::EdgeKind;
use crate::packed::Packed;

/// Of two values the newest observation's counts, then that of the lesser instance UID.
type Rank = (Reverse<Timestamp>, u32);

/// Final positions of one snapshot's nodes.
type Places = Vec<NodeIx>;

/// Merges snapshots of different instances, in the order of their UIDs.
pub(crate) fn merge(snapshots: Vec<Packed>) -> Result<Graph, TooManyRows> {
    let mut instances = Vec::with_capacity(snapshots.len());
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for (at, snapshot) in (0u32..).zip(snapshots) {
        let Packed { header, nodes: own, edges: between, foreign, too_many } = snapshot;
        if too_many {
            return Err(TooManyRows);
        }
        instances.push(Instance { header, foreign_assertions: foreign });
        nodes.push(attributed(own, at));
        edges.push(between);
    }
    let ranks: Vec<Rank> =
        instances.iter().zip(0u32..).map(|(instance, at)| (Reverse(instance.header.observed_at), at)).collect();
    let (nodes, places) = merge_nodes(nodes, &ranks)?;
    let edges = merge_edges(edges, &places, &ranks)?;
    let index = Index::of(nodes.len(), &edges)?;
    Ok(Graph { instances, nodes, edges, index })
}

/// The nodes of instance `at`, each in a box that can be emptied.
fn attributed(nodes: Vec<Node>, at: u32) -> Vec<Option<Node>> {
    let own = |mut node: Node| {
        node.facts.iter_mut().map(|fact| &mut fact.source).chain(&mut node.first_source).for_each(|s| s.instance = at);
        node.asserted_by.fill(at as usize);
        Some(node)
    };
    nodes.into_iter().map(own).collect()
}

fn merge_nodes(mut parts: Vec<Vec<Option<Node>>>, ranks: &[Rank]) -> Result<(Vec<Node>, Vec<Places>), TooManyRows> {
    let mut order: Vec<(u32, u32)> =
        (0u32..).zip(&parts).flat_map(|(part, nodes)| (0u32..).zip(nodes).map(move |(at, _)| (part, at))).collect();
    let id = |(part, at): &(u32, u32)| parts[*part as usize][*at as usize].as_ref().map(|node| &node.id);
    // Stable, since it then makes use of what is in order already.
    order.sort_by(|a, b| id(a).cmp(&id(b)).then_with(|| ranks[a.0 as usize].cmp(&ranks[b.0 as usize])));
    let mut places: Vec<Places> = parts.iter().map(|nodes| vec![NodeIx(0); nodes.len()]).collect();
    let mut nodes: Vec<Node> = Vec::with_capacity(order.len());
    for (part, at) in order {
        let (part, at) = (part as usize, at as usize);
        let Some(node) = parts[part][at].take() else { continue };
        match nodes.last_mut().filter(|last| last.id == node.id) {
            Some(last) => last.absorb(node),
            None => nodes.push(node),
        }
        places[part][at] = NodeIx(u32::try_from(nodes.len() - 1).map_err(|_| TooManyRows)?);
    }
    nodes.shrink_to_fit();
    Ok((nodes, places))
}

fn merge_edges(parts: Vec<Vec<Edge>>, places: &[Places], ranks: &[Rank]) -> Result<Vec<Edge>, TooManyRows> {
    let total: usize = parts.iter().map(Vec::len).sum();
    u32::try_from(total).map_err(|_| TooManyRows)?;
    let mut parts: Vec<Vec<Edge>> =
        (0u32..).zip(parts).zip(places).map(|((at, edges), to)| placed(edges, at, to)).collect();
    // Instances of different tenants then follow each other, already in order.
    parts.sort_by_key(|edges| edges.first().map(|edge| edge.from));
    let mut all: Vec<Edge> = Vec::new();
    for mut part in parts {
        if all.is_empty() {
            all = part;
            all.reserve_exact(total - all.len());
        } else {
            all.append(&mut part);
        }
    }
    let order = |a: &Edge, b: &Edge| {
        same(a, b)
            .then_with(|| rank(a, ranks).cmp(&rank(b, ranks)))
            .then_with(|| (a.source.op, a.since, a.until).cmp(&(b.source.op, b.since, b.until)))
    };
    if all.is_sorted_by_key(|edge| edge.from) {
        all.chunk_by_mut(|a, b| a.from == b.from).for_each(|edges| edges.sort_unstable_by(order));
    } else {
        all.sort_unstable_by(order);
    }
    all.dedup_by(|later, kept| same(later, kept).is_eq());
    all.shrink_to_fit();
    Ok(all)
}

/// The edges of instance `at`, between final positions.
fn placed(mut edges: Vec<Edge>, at: u32, places: &Places) -> Vec<Edge> {
    for edge in &mut edges {
        edge.source.instance = at;
        edge.from = places[edge.from.index()];
        edge.to = places[edge.to.index()];
    }
    edges
}

fn rank(edge: &Edge, ranks: &[Rank]) -> Option<Rank> {
    ranks.get(edge.source.instance()).copied()
}

/// Compares what makes two rows the same edge: all but when and by which call it was seen.
fn same(a: &Edge, b: &Edge) -> Ordering {
    let ends = |edge: &Edge| -> (NodeIx, EdgeKind, NodeIx) { (edge.from, edge.kind, edge.to) };
    ends(a).cmp(&ends(b)).then_with(|| {
        (&a.role, &a.scope, &a.object, &a.condition, a.state).cmp(&(
            &b.role,
            &b.scope,
            &b.object,
            &b.condition,
            b.state,
        ))
    })
}
