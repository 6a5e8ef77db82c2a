//! Groups in groups: takes memberships, gives for a principal the groups with grants that it is in, each with the
//! memberships that lead there.
//!
//! What lies behind a group is found once, by one search back from every group that holds something, and only read for
//! each of its members: a nesting in which all groups are in one another costs no more for a million members. Kept is one
//! entry for a group and each group with grants that it leads to. Nothing recurses: depth is the input's to choose.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, Tri};

/// Groups in groups that are followed; a path has no more steps either.
const MAX_NESTING: u32 = 11;

/// Steps to a group that was not reached.
const FAR: u32 = u32::MAX;

/// Everything that members have through groups.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    /// Over memberships that are proven to hold.
    proven: Reach,
    /// Over all that are not proven not to, where some of groups in groups are unknown. Else the same.
    possible: Option<Reach>,
}

/// The groups that a principal is in, and whether there are more than were followed.
#[derive(Debug)]
pub(crate) struct Behind<'g> {
    /// The principal itself and the groups with grants, each with the memberships that lead there. First all that are
    /// proven, then those to which memberships lead of which it is not known whether they hold; of each, nearest first.
    pub(crate) holders: Vec<(Vec<&'g Edge>, NodeIx)>,
    /// Some group with grants is nested deeper than is looked.
    pub(crate) deeper: bool,
}

/// A group that leads to one with grants.
#[derive(Clone, Copy, Debug)]
struct Onward {
    from: NodeIx,
    holder: NodeIx,
    steps: u32,
    /// Position of the first membership on the shortest way, of several the first in the order of the graph. Of no meaning
    /// where there are no steps.
    next: u32,
}

/// In the order of (from, holder).
#[derive(Debug, Default)]
struct Reach(Vec<Onward>);

/// A membership of a group in a group, by their positions in [`Inner::groups`].
#[derive(Clone, Copy, Debug)]
struct Membership {
    to: u32,
    from: u32,
    edge: u32,
    held: Tri,
}

/// Groups with members, and which of them are in which.
struct Inner {
    groups: Vec<NodeIx>,
    /// In the order of (to, edge).
    into: Vec<Membership>,
}

/// From where groups are looked for: a membership of the principal, or the group that it is itself.
#[derive(Clone, Copy)]
struct Start<'g> {
    edge: Option<&'g Edge>,
    group: NodeIx,
    held: Tri,
}

impl Nesting {
    /// Looks at every membership once.
    pub(crate) fn new(graph: &Graph, as_of: Timestamp) -> Self {
        let inner = Inner::of(graph, as_of);
        let unknown = inner.into.iter().any(|member| member.held.is_unknown());
        let possible = unknown.then(|| Reach::of(graph, &inner, |held| !held.is_false()));
        Self { proven: Reach::of(graph, &inner, Tri::is_true), possible }
    }

    /// What `principal` is in.
    pub(crate) fn behind<'g>(&self, graph: &'g Graph, principal: NodeIx, as_of: Timestamp) -> Behind<'g> {
        let possible = self.possible.as_ref().unwrap_or(&self.proven);
        let starts = if possible.of_group(principal).is_empty() {
            let edges = graph.out(principal, EdgeKind::MemberOf).iter();
            edges.map(|edge| Start { edge: Some(edge), group: edge.to, held: edge.holds(as_of) }).collect()
        } else {
            vec![Start { edge: None, group: principal, held: Tri::True }]
        };
        let mut seen = BTreeSet::from([principal]);
        let mut behind = Behind { holders: vec![(Vec::new(), principal)], deeper: false };
        self.proven.add(graph, &starts, Tri::is_true, (&mut seen, &mut behind));
        if self.possible.is_some() || starts.iter().any(|start| start.held.is_unknown()) {
            possible.add(graph, &starts, |held| !held.is_false(), (&mut seen, &mut behind));
        }
        behind
    }
}

impl Inner {
    fn of(graph: &Graph, as_of: Timestamp) -> Self {
        let all = || (0u32..).zip(graph.edges()).filter(|(_, edge)| edge.kind == EdgeKind::MemberOf);
        let mut groups: Vec<NodeIx> = all().map(|(_, edge)| edge.to).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut inner = Self { groups, into: Vec::new() };
        let between = |(edge, member): (u32, &Edge)| {
            // Most members of groups are none themselves.
            let (from, to) = (inner.at(member.from)?, inner.at(member.to)?);
            Some(Membership { to, from, edge, held: member.holds(as_of) })
        };
        let mut into: Vec<Membership> = all().filter_map(between).collect();
        into.sort_unstable_by_key(|member| (member.to, member.edge));
        inner.into = into;
        inner
    }

    fn at(&self, group: NodeIx) -> Option<u32> {
        self.groups.binary_search(&group).ok().and_then(|at| u32::try_from(at).ok())
    }

    fn members(&self, to: u32) -> impl Iterator<Item = &Membership> {
        let begin = self.into.partition_point(|member| member.to < to);
        self.into.get(begin..).unwrap_or_default().iter().take_while(move |member| member.to == to)
    }
}

impl Reach {
    fn of(graph: &Graph, inner: &Inner, counts: impl Fn(Tri) -> bool) -> Self {
        let mut known = vec![(FAR, 0); inner.groups.len()];
        let mut all = Vec::new();
        for (at, holder) in (0u32..).zip(&inner.groups) {
            if graph.out(*holder, EdgeKind::Granted).is_empty() {
                continue;
            }
            for group in back(inner, at, &mut known, &counts) {
                let (steps, next) = std::mem::replace(&mut known[group as usize], (FAR, 0));
                all.push(Onward { from: inner.groups[group as usize], holder: *holder, steps, next });
            }
        }
        all.sort_unstable_by_key(|onward| (onward.from, onward.holder));
        Self(all)
    }

    /// What lies behind a group, itself too when it has grants.
    fn of_group(&self, group: NodeIx) -> &[Onward] {
        let begin = self.0.partition_point(|onward| onward.from < group);
        let end = self.0.partition_point(|onward| onward.from <= group);
        self.0.get(begin..end).unwrap_or_default()
    }

    /// Adds what lies behind those starts that count, as far as it was not seen before.
    fn add<'g>(
        &self,
        graph: &'g Graph,
        starts: &[Start<'g>],
        counts: impl Fn(Tri) -> bool,
        (seen, behind): (&mut BTreeSet<NodeIx>, &mut Behind<'g>),
    ) {
        // Steps, then the start: of equally near ones the first.
        let mut nearest: BTreeMap<NodeIx, (u32, usize)> = BTreeMap::new();
        for (at, start) in starts.iter().enumerate().filter(|(_, start)| counts(start.held)) {
            for onward in self.of_group(start.group).iter().filter(|onward| !seen.contains(&onward.holder)) {
                let way = (onward.steps.saturating_add(u32::from(start.edge.is_some())), at);
                let best = nearest.entry(onward.holder).or_insert(way);
                *best = way.min(*best);
            }
        }
        let mut found: Vec<(usize, usize, Vec<u32>, NodeIx)> = Vec::new();
        for (holder, (steps, at)) in nearest {
            if steps > MAX_NESTING {
                behind.deeper = true;
            } else if let Some(start) = starts.get(at) {
                let way = self.way(graph, start.group, holder);
                found.push((way.len() + usize::from(start.edge.is_some()), at, way, holder));
            }
        }
        found.sort_unstable();
        for (_, at, way, holder) in found {
            let first = starts.get(at).and_then(|start| start.edge);
            let rest = way.into_iter().filter_map(|edge| graph.edges().get(edge as usize));
            seen.insert(holder);
            behind.holders.push((first.into_iter().chain(rest).collect(), holder));
        }
    }

    /// The shortest way from a group to one behind it, of several the first in the order of the graph.
    fn way(&self, graph: &Graph, group: NodeIx, holder: NodeIx) -> Vec<u32> {
        let mut way = Vec::new();
        let mut at = group;
        while let Ok(found) = self.0.binary_search_by_key(&(at, holder), |onward| (onward.from, onward.holder)) {
            let Some((onward, edge)) =
                self.0.get(found).map(|onward| (onward, graph.edges().get(onward.next as usize)))
            else {
                break;
            };
            match edge {
                Some(edge) if onward.steps > 0 => {
                    way.push(onward.next);
                    at = edge.to;
                }
                _ => break,
            }
        }
        way
    }
}

/// All groups that lead to the one at `holder`, nearest first, and in `known` how.
fn back(inner: &Inner, holder: u32, known: &mut [(u32, u32)], counts: &impl Fn(Tri) -> bool) -> Vec<u32> {
    let mut queue = vec![holder];
    known[holder as usize] = (0, 0);
    let mut at = 0;
    while let Some(to) = queue.get(at).copied() {
        at += 1;
        let steps = known[to as usize].0.saturating_add(1);
        for member in inner.members(to).filter(|member| counts(member.held)) {
            let best = &mut known[member.from as usize];
            if best.0 == FAR {
                *best = (steps, member.edge);
                queue.push(member.from);
            } else if best.0 == steps {
                best.1 = best.1.min(member.edge);
            }
        }
    }
    queue
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sv0_graph::testing::SnapshotBuilder;
    use sv0_graph::{EdgeState, NodeId, NodeKind};

    use super::*;

    fn as_of() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    /// One group, or the service principal, in a group: from, to, how it stands.
    type Row = (usize, usize, u8);

    /// `count` groups, of which `holds` have a grant, and a service principal.
    fn estate(count: usize, rows: &[Row], holds: &[usize]) -> (Graph, Vec<NodeId>, NodeId) {
        let mut b = SnapshotBuilder::entra("u", "t");
        let system = b.node("organization", NodeKind::System, "t", &[]);
        let groups: Vec<NodeId> =
            (0..count).map(|at| b.node("groups", NodeKind::Group, &format!("g{at:04}"), &[])).collect();
        let sp = b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp", &[]);
        for (from, to, kind) in rows {
            // The one beyond them is the service principal.
            let from = if *from == count { &sp } else { &groups[*from] };
            let edge = b.edge("groupMembers", from, EdgeKind::MemberOf, &groups[*to]);
            edge.object = Some(format!("{kind}"));
            match kind {
                0 => edge.state = EdgeState::Disabled,
                1 => edge.state = EdgeState::Eligible,
                2 => edge.condition = Some("x".to_owned()),
                3 => edge.until = Some(as_of()),
                _ => {}
            }
        }
        for at in holds {
            b.edge("directoryRoleAssignments", &groups[*at], EdgeKind::Granted, &system).role = Some("r".to_owned());
        }
        (Graph::build(vec![b.build()]).unwrap(), groups, sp)
    }

    /// What a search from the principal alone finds, without anything kept: the shortest way to each, of several the first
    /// in the order of the graph.
    fn search(graph: &Graph, principal: NodeIx, counts: fn(Tri) -> bool) -> Vec<(Vec<&Edge>, NodeIx)> {
        let mut seen = BTreeSet::from([principal]);
        let mut found = vec![(Vec::new(), principal)];
        let mut at = 0;
        while let Some((members, holder)) = found.get(at).cloned() {
            at += 1;
            for edge in graph.out(holder, EdgeKind::MemberOf).iter().filter(|edge| counts(edge.holds(as_of()))) {
                if seen.insert(edge.to) {
                    found.push((members.iter().copied().chain([edge]).collect(), edge.to));
                }
            }
        }
        found.retain(|(_, holder)| *holder == principal || !graph.out(*holder, EdgeKind::Granted).is_empty());
        found
    }

    proptest! {
        /// Reading what is kept gives what a search for each principal gives, in the same order.
        #[test]
        fn what_is_kept_is_what_a_search_finds(
            count in 1usize..18,
            rows in prop::collection::vec((0usize..99, 0usize..99, 0u8..12), 0..40),
            chain in any::<bool>(),
            holds in prop::collection::vec(0usize..99, 0..6),
        ) {
            let within = |(from, to, kind): &Row| (from % (count + 1), to % count, *kind);
            let mut rows: Vec<Row> = rows.iter().map(within).filter(|(from, to, _)| from != to).collect();
            // So deep that the last ones are not looked at.
            rows.extend((1..count).filter(|_| chain).map(|at| (at - 1, at, 9)));
            let holds: Vec<usize> = holds.iter().map(|at| at % count).collect();
            let (graph, groups, sp) = estate(count, &rows, &holds);
            let nesting = Nesting::new(&graph, as_of());
            for id in groups.iter().chain([&sp]) {
                let principal = graph.find(id).unwrap();
                let told = nesting.behind(&graph, principal, as_of());
                let near = |(way, _): &(Vec<&Edge>, NodeIx)| way.len() <= MAX_NESTING as usize;
                let proven = search(&graph, principal, Tri::is_true);
                let possible = search(&graph, principal, |held| !held.is_false());
                let deeper = proven.iter().chain(&possible).any(|found| !near(found));
                let sure: Vec<_> = proven.into_iter().filter(near).collect();
                let new = |(_, holder): &(Vec<&Edge>, NodeIx)| sure.iter().all(|(_, known)| known != holder);
                let rest: Vec<_> = possible.into_iter().filter(near).filter(new).collect();
                let all: Vec<_> = sure.iter().cloned().chain(rest).collect();
                prop_assert_eq!(&told.holders, &all, "{}", id);
                // What is near on a way that may hold, and far on the one that does, is told as deeper too.
                prop_assert_eq!(told.deeper, deeper, "{}", id);
            }
        }
    }

    /// Every group in all later ones, and many members of the first: were the nesting walked for each of them, this would
    /// be half a billion memberships.
    #[test]
    fn a_nesting_is_walked_once_for_all_of_its_members() {
        let groups = 320;
        let all = (0..groups).flat_map(|from| (from + 1..groups).map(move |to| (from, to, 9)));
        let rows: Vec<Row> = all.chain([(groups, 0, 9)]).collect();
        let (graph, ids, member) = estate(groups, &rows, &[groups - 1]);
        let nesting = Nesting::new(&graph, as_of());
        let (member, last) = (graph.find(&member).unwrap(), graph.find(&ids[groups - 1]).unwrap());
        for _ in 0..10_000 {
            let behind = nesting.behind(&graph, member, as_of());
            assert_eq!(behind.holders.iter().map(|(_, holder)| *holder).collect::<Vec<_>>(), [member, last]);
            assert_eq!((behind.holders[1].0.len(), behind.deeper), (2, false));
        }
        assert_eq!(nesting.proven.0.len(), groups, "one entry for each group and the one that holds something");
    }
}
