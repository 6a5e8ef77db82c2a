//! Gates: takes a view and its targets, gives for every node the one node that all of its ways to a target go through.
//!
//! A node that lies on every way of another one is its *gate*: what the gate loses, the other loses too. Of several in a row
//! it is the one nearest to the target, which most nodes share. Pure. No walk over ways: their number has no bound. What is
//! kept of a node is the list of all that lie on each of its ways; it only ever becomes shorter, and it never has more
//! entries than the shortest way has steps. So the work is O(steps) for a bounded length of ways, whatever the shape.

use std::collections::VecDeque;

use crate::paths::{Distances, Limits, Spot, Step, View};

/// By node, what lies on all of its ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// Nearest to the target first; the node itself and the targets are not among them. None: no way leads to a target.
    on_all: Vec<Option<Box<[Spot]>>>,
}

impl Gates {
    /// Of the steps that `admits` allows, on ways that have at most as many as `limits` says. `distances` are those of this
    /// view, of `targets` and of `admits`. A step that begins no such way is none, so that a gate is never claimed where a
    /// way around it might count; a way that visits a node twice counts as one here.
    pub fn new(
        view: &View,
        targets: &[Spot],
        distances: &Distances,
        admits: impl Fn(&Step) -> bool,
        limits: Limits,
    ) -> Self {
        let mut on_all: Vec<Option<Box<[Spot]>>> = vec![None; view.nodes()];
        let mut waiting: VecDeque<Spot> = VecDeque::new();
        for spot in targets {
            let Some(own) = on_all.get_mut(spot.index()) else { continue };
            *own = Some(Box::default());
            waiting.push_back(*spot);
        }
        // First in, first out: what a node is given first comes by one of its shortest ways.
        while let Some(spot) = waiting.pop_front() {
            let Some(rest) = distances.get(spot).filter(|rest| *rest < limits.steps) else { continue };
            let mut through: Vec<Spot> = on_all[spot.index()].iter().flatten().copied().collect();
            through.extend((rest > 0).then_some(spot));
            for (_, step) in view.incoming(spot) {
                if distances.get(step.from) == Some(0) || !admits(step) {
                    continue;
                }
                let held = &mut on_all[step.from.index()];
                let kept: Box<[Spot]> = match held {
                    Some(held) => held.iter().copied().filter(|spot| through.contains(spot)).collect(),
                    None => through.as_slice().into(),
                };
                if held.as_ref().is_none_or(|held| kept.len() < held.len()) {
                    *held = Some(kept);
                    waiting.push_back(step.from);
                }
            }
        }
        Self { on_all }
    }

    /// All that lie on every way of `spot`, the nearest to the target first. Nothing also when it has no way.
    pub fn of(&self, spot: Spot) -> &[Spot] {
        self.on_all.get(spot.index()).and_then(Option::as_deref).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::EdgeKind;
    use crate::paths::ViewBuilder;
    use crate::predicate::Tri;

    /// Node 0 is the target.
    fn view(nodes: usize, steps: &[(usize, usize)]) -> (View, Vec<Spot>) {
        let mut builder = ViewBuilder::new(nodes).unwrap();
        let spots: Vec<Spot> = ViewBuilder::new(nodes).unwrap().build().unwrap().spots().collect();
        for (at, (from, to)) in steps.iter().enumerate() {
            let tag = u32::try_from(at).unwrap();
            builder.add(Step { from: spots[*from], kind: EdgeKind::MemberOf, to: spots[*to], tag, state: Tri::True });
        }
        (builder.build().unwrap(), spots)
    }

    fn gates(nodes: usize, steps: &[(usize, usize)], limits: Limits) -> Vec<Vec<usize>> {
        let (view, spots) = view(nodes, steps);
        let distances = view.distances(&spots[..1], |_| true);
        let gates = Gates::new(&view, &spots[..1], &distances, |_| true, limits);
        spots.iter().map(|spot| gates.of(*spot).iter().map(|gate| gate.index()).collect()).collect()
    }

    /// Steps, the node that is asked for, and what lies on all of its ways.
    type Case = (&'static [(usize, usize)], usize, &'static [usize]);

    #[test]
    fn what_lies_on_every_way() {
        let cases: [(&str, Case); 9] = [
            ("held by itself", (&[(1, 0)], 1, &[])),
            ("through one", (&[(2, 1), (1, 0)], 2, &[1])),
            ("in a row, the nearest to the target first", (&[(3, 2), (2, 1), (1, 0)], 3, &[1, 2])),
            ("two ways of one node", (&[(3, 2), (3, 1), (2, 0), (1, 0)], 3, &[])),
            ("two ways that meet", (&[(4, 3), (4, 2), (3, 1), (2, 1), (1, 0)], 4, &[1])),
            ("a way of its own beside it", (&[(2, 1), (1, 0), (2, 0)], 2, &[])),
            ("a longer way around", (&[(2, 1), (1, 0), (2, 4), (4, 3), (3, 0)], 2, &[])),
            ("a circle", (&[(2, 1), (1, 0), (1, 2), (3, 2)], 3, &[1, 2])),
            ("no way", (&[(1, 2)], 1, &[])),
        ];
        for (name, (steps, of, expected)) in cases {
            assert_eq!(gates(5, steps, Limits::default())[of], expected, "{name}");
        }
    }

    /// What is too long to be a way leads around nothing.
    #[test]
    fn a_way_that_is_too_long_is_none() {
        let steps = [(2, 1), (1, 0), (2, 4), (4, 3), (3, 0)];
        let upto = |steps_of_a_way| Limits { paths: 3, steps: steps_of_a_way };
        assert_eq!(gates(5, &steps, upto(2))[2], [1]);
        assert!(gates(5, &steps, upto(3))[2].is_empty());
    }

    /// By taking every node away in turn.
    fn by_removal(nodes: usize, steps: &[(usize, usize)]) -> Vec<BTreeSet<usize>> {
        let reaches = |without: usize| {
            let mut reached = BTreeSet::from([0]);
            loop {
                let more: Vec<usize> = steps
                    .iter()
                    .filter(|(from, to)| *from != without && reached.contains(to) && !reached.contains(from))
                    .map(|(from, _)| *from)
                    .collect();
                if more.is_empty() {
                    return reached;
                }
                reached.extend(more);
            }
        };
        let all = reaches(nodes);
        let mut gates = vec![BTreeSet::new(); nodes];
        for gone in 1..nodes {
            let left = reaches(gone);
            for node in all.iter().filter(|node| **node != gone && !left.contains(node)) {
                gates[*node].insert(gone);
            }
        }
        gates
    }

    proptest! {
        /// Fewer nodes than a way may have steps: nothing is too long.
        #[test]
        fn gates_are_what_cannot_be_taken_away(
            steps in proptest::collection::vec((0_usize..9, 0_usize..9), 0..30),
            seed in any::<u64>(),
        ) {
            let steps: Vec<(usize, usize)> = steps.into_iter().filter(|(from, to)| from != to && *from != 0).collect();
            let mut shuffled = steps.clone();
            let turn = usize::try_from(seed % 31).unwrap().min(steps.len());
            shuffled.rotate_left(turn);
            shuffled.reverse();
            let found = gates(9, &steps, Limits::default());
            let sets: Vec<BTreeSet<usize>> = found.iter().map(|gates| gates.iter().copied().collect()).collect();
            prop_assert_eq!(sets, by_removal(9, &steps));
            prop_assert_eq!(found, gates(9, &shuffled, Limits::default()));
        }
    }
}
