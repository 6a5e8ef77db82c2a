//! The path engine against what trying everything gives, on small graphs of any shape; and on deep and wide ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::model::EdgeKind;
use crate::paths::{Cut, Limits, Path, Spot, Step, View, ViewBuilder, cut};
use crate::predicate::{Tri, UnknownReason};

const KINDS: [EdgeKind; 3] = [EdgeKind::MemberOf, EdgeKind::Granted, EdgeKind::CanControl];
const STATES: [Tri; 4] =
    [Tri::True, Tri::False, Tri::Unknown(UnknownReason::Unparsable), Tri::Unknown(UnknownReason::DynamicValue)];

/// From, kind, to, tag, state.
type Raw = (usize, usize, usize, u32, usize);
type Key = (Spot, EdgeKind, Spot, u32);

fn spots(count: usize) -> Vec<Spot> {
    let mut builder = ViewBuilder::new(0).unwrap();
    (0..count).map(|_| builder.class().unwrap()).collect()
}

fn view(nodes: usize, raw: &[Raw]) -> View {
    let spots = spots(nodes);
    let mut builder = ViewBuilder::new(nodes).unwrap();
    for &(from, kind, to, tag, state) in raw {
        let (from, to) = (spots[from % nodes], spots[to % nodes]);
        builder.add(Step { from, kind: KINDS[kind], to, tag, state: STATES[state] });
    }
    builder.build().unwrap()
}

fn raw() -> impl Strategy<Value = (usize, Vec<Raw>)> {
    (2usize..8).prop_flat_map(|nodes| {
        let step = (0..nodes, 0usize..3, 0..nodes, 0u32..2, 0usize..4);
        (Just(nodes), prop::collection::vec(step, 0..20))
    })
}

fn key(step: &Step) -> Key {
    (step.from, step.kind, step.to, step.tag)
}

fn keys(view: &View, paths: &[Path]) -> Vec<Vec<Key>> {
    paths.iter().map(|path| path.steps.iter().map(|at| key(view.step(*at))).collect()).collect()
}

/// Every way without a circle from `start` to the first target, by trying all.
fn all(view: &View, start: Spot, targets: &[Spot], admits: impl Fn(&Step) -> bool, cap: usize) -> Vec<Vec<Key>> {
    let mut whole = Vec::new();
    let mut begun: Vec<Vec<Key>> = if targets.contains(&start) { Vec::new() } else { vec![Vec::new()] };
    while let Some(path) = begun.pop() {
        let at = path.last().map_or(start, |step| step.2);
        for step in view.steps().iter().filter(|step| step.from == at && admits(step)) {
            let circle = step.to == start || path.iter().any(|before| before.2 == step.to);
            if circle || path.len() == cap {
                continue;
            }
            let longer = path.iter().copied().chain([key(step)]).collect();
            if targets.contains(&step.to) { whole.push(longer) } else { begun.push(longer) }
        }
    }
    whole.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    whole
}

fn proven(step: &Step) -> bool {
    step.state.is_true()
}

fn every(_: &Step) -> bool {
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn paths_and_distances_are_those_that_trying_everything_gives(
        (nodes, raw) in raw(),
        targets in prop::collection::vec(0usize..8, 1..3),
        most in 1usize..5,
        cap in 1u32..8,
        certain in any::<bool>(),
    ) {
        let view = view(nodes, &raw);
        let spots = spots(nodes);
        let targets: Vec<Spot> = targets.iter().map(|at| spots[at % nodes]).collect();
        let admits = if certain { proven } else { every };
        let distances = view.distances(&targets, admits);
        let narrowed = view.towards(&distances);
        for start in &spots {
            let expected = all(&view, *start, &targets, admits, cap as usize);
            let found = view.shortest(*start, &distances, admits, Limits { paths: most, steps: cap });
            prop_assert_eq!(&keys(&view, &found), &expected[..expected.len().min(most)]);
            let shortest = all(&view, *start, &targets, admits, nodes).first().map(|path| u32::try_from(path.len()).unwrap());
            let at_target = targets.contains(start).then_some(0);
            prop_assert_eq!(distances.get(*start), at_target.or(shortest));
            for path in &found {
                let weakest = Tri::all(path.steps.iter().map(|at| view.step(*at).state));
                prop_assert_eq!(view.state(path), weakest);
                prop_assert!(!certain || weakest.is_true());
            }
            // A view of what leads there gives the same.
            let again = narrowed.shortest(*start, &distances, admits, Limits { paths: most, steps: cap });
            prop_assert_eq!(keys(&narrowed, &again), keys(&view, &found));
        }
    }

    /// A way may not take what its stage bans, and counts only when it ends in the last stage.
    #[test]
    fn paths_by_stages_are_those_that_trying_everything_gives(
        (nodes, raw) in raw(),
        targets in prop::collection::vec(0usize..8, 1..3),
        moves in prop::collection::vec(0usize..5, 24),
        stages in 1usize..4,
        most in 1usize..5,
        cap in 1u32..8,
    ) {
        let view = view(nodes, &raw);
        let spots = spots(nodes);
        let targets: Vec<Spot> = targets.iter().map(|at| spots[at % nodes]).collect();
        let next = |stage: usize, at: u32| match moves[at as usize] {
            0 => Some(stage),
            1 => (stage > 0).then_some(stage),
            2 => Some((stage + 1).min(stages - 1)),
            3 => Some(stages - 1),
            _ => (stage == 0).then_some(stage),
        };
        let limits = Limits { paths: most, steps: cap };
        let far = view.stages(&targets, stages, next, limits);
        let last = |path: &Vec<Key>| {
            let at = |one: &Key| u32::try_from(view.steps().iter().position(|step| key(step) == *one).unwrap()).unwrap();
            path.iter().try_fold(0, |stage, one| next(stage, at(one)))
        };
        for start in &spots {
            let mut expected = all(&view, *start, &targets, every, cap as usize);
            expected.retain(|path| last(path) == Some(stages - 1));
            let found = view.shortest_by_stages(*start, &far, next, limits);
            prop_assert_eq!(&keys(&view, &found), &expected[..expected.len().min(most)]);
            // What would go in a circle can only be longer.
            let nearest = expected.first().map(|path| u32::try_from(path.len()).unwrap());
            prop_assert!(nearest.is_none() || far.get(0, *start) <= nearest);
            prop_assert!(nearest.is_none() || far.get(0, *start).is_some());
        }
    }

    #[test]
    fn the_order_in_which_steps_are_added_does_not_matter((nodes, raw) in raw(), seed in any::<u64>()) {
        let mut other = raw.clone();
        // A permutation by the seed.
        for at in (1..other.len()).rev() {
            let with = usize::try_from(seed.rotate_left(u32::try_from(at).unwrap()) % (at as u64 + 1)).unwrap();
            other.swap(at, with);
        }
        let (one, two) = (view(nodes, &raw), view(nodes, &other));
        prop_assert_eq!(one.steps(), two.steps());
        let spots = spots(nodes);
        let target = [spots[0]];
        let (near, far) = (one.distances(&target, every), two.distances(&target, every));
        prop_assert_eq!(&near, &far);
        for start in &spots {
            let (a, b) = (one.shortest(*start, &near, every, Limits::default()), two.shortest(*start, &far, every, Limits::default()));
            prop_assert_eq!(cut(&a, |_| true), cut(&b, |_| true));
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn the_cut_is_part_of_most_paths((nodes, raw) in raw(), kept in 0u32..4) {
        let view = view(nodes, &raw);
        let spots = spots(nodes);
        let distances = view.distances(&[spots[0]], every);
        let removable = |at: u32| at % 4 != kept;
        for start in &spots {
            let paths = view.shortest(*start, &distances, every, Limits::default());
            let mut counts: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
            for path in &paths {
                for (depth, step) in path.steps.iter().enumerate() {
                    let entry = counts.entry(*step).or_insert((0, depth));
                    *entry = (entry.0 + 1, entry.1.min(depth));
                }
            }
            let mut best: Option<(usize, usize, u32)> = None;
            for (step, (count, depth)) in counts.into_iter().filter(|(step, _)| removable(*step)) {
                let better = best.is_none_or(|(most, near, _)| count > most || (count == most && depth < near));
                best = if better { Some((count, depth, step)) } else { best };
            }
            let expected = best.map(|(paths, _, step)| Cut { step, paths });
            prop_assert_eq!(cut(&paths, removable), expected);
        }
    }
}

#[test]
fn of_two_equal_steps_the_proven_one_stays_and_what_is_disproven_is_left_out() {
    let view = view(2, &[(0, 1, 1, 0, 2), (0, 1, 1, 0, 0), (1, 1, 0, 0, 1)]);
    assert_eq!(view.steps().iter().map(|step| step.state).collect::<Vec<_>>(), [Tri::True]);
}

#[test]
fn ties_are_broken_by_kind_then_node_then_tag() {
    // 0 → 3 by two groups, two grants each; and by a control.
    let raw = [(0, 2, 1, 0, 0), (0, 0, 2, 0, 0), (0, 0, 1, 0, 0), (1, 1, 3, 1, 0), (1, 1, 3, 0, 0), (2, 1, 3, 0, 0)];
    let view = view(4, &raw);
    let distances = view.distances(&[spots(4)[3]], every);
    let paths = view.shortest(spots(4)[0], &distances, every, Limits { paths: 9, steps: 12 });
    let told: Vec<_> = keys(&view, &paths).iter().map(|path| (path[0].1, path[0].2.index(), path[1].3)).collect();
    let (controls, member) = (EdgeKind::CanControl, EdgeKind::MemberOf);
    assert_eq!(told, [(member, 1, 0), (member, 1, 1), (member, 2, 0), (controls, 1, 0), (controls, 1, 1)]);
}

/// 1 and 2 both lead to 3, which leads on by 1 alone: by 1 that would be a circle, by 2 it is none.
#[test]
fn what_leads_back_on_one_way_leads_on_by_another() {
    let raw = [(0, 0, 1, 0, 0), (0, 0, 2, 0, 0), (1, 1, 3, 0, 0), (2, 1, 3, 0, 0), (3, 2, 1, 0, 0), (1, 0, 4, 0, 0)];
    let view = view(5, &raw);
    let all = spots(5);
    // Only ways that take a step of the second kind count.
    let next = |stage: usize, at: u32| Some(if view.step(at).kind == KINDS[1] { 1 } else { stage });
    let far = view.stages(&[all[4]], 2, next, Limits::default());
    let paths = view.shortest_by_stages(all[0], &far, next, Limits::default());
    let through: Vec<usize> = paths[0].steps.iter().map(|at| view.step(*at).to.index()).collect();
    assert_eq!((paths.len(), through), (1, vec![2, 3, 1, 4]));
    assert!(view.shortest_by_stages(all[1], &far, next, Limits::default()).is_empty(), "it comes back to itself only");
}

/// A chain with a way back in each link, as deep as the input likes.
#[test]
fn depth_costs_memory_and_no_stack() {
    let nodes = 300_000;
    let chain: Vec<Raw> = (1..nodes).map(|at| (at - 1, 0, at, 0, 0)).collect();
    let straight = view(nodes, &chain);
    let all = spots(nodes);
    let distances = straight.distances(&[all[nodes - 1]], every);
    assert_eq!(distances.get(all[0]), Some(u32::try_from(nodes).unwrap() - 1));
    assert!(straight.shortest(all[0], &distances, every, Limits::default()).is_empty(), "beyond the cap");
    assert_eq!(straight.shortest(all[nodes - 13], &distances, every, Limits::default()).len(), 1);
}

/// One node that stands for a class, between many that control it and many that are of it: no product.
#[test]
fn a_class_is_one_node() {
    let many = 50_000;
    let mut builder = ViewBuilder::new(2 * many + 1).unwrap();
    let class = builder.class().unwrap();
    let all = spots(2 * many + 2);
    let target = all[2 * many];
    for at in 0..many {
        let step = |from, kind, to| Step { from, kind, to, tag: 0, state: Tri::True };
        builder.add(step(all[at], EdgeKind::Granted, class));
        builder.add(step(class, EdgeKind::CanControl, all[many + at]));
    }
    builder.add(Step { from: all[2 * many - 1], kind: EdgeKind::Granted, to: target, tag: 0, state: Tri::True });
    let view = builder.build().unwrap();
    assert_eq!(view.steps().len(), 2 * many + 1);
    let distances = view.distances(&[target], every);
    // Of the class only the one that leads on is left to look at.
    let narrowed = view.towards(&distances);
    assert_eq!(narrowed.steps().len(), many + 2);
    for start in [all[0], all[many - 1]] {
        let paths = narrowed.shortest(start, &distances, every, Limits::default());
        assert_eq!(paths.iter().map(|path| path.steps.len()).collect::<Vec<_>>(), [3]);
    }
}

/// Steps of a hostile estate: whoever starts is not made to look at all that everybody can act as.
#[test]
fn what_many_can_act_as_is_not_walked_for_each_of_them() {
    let (holders, members) = (3_000, 100_000);
    let mut builder = ViewBuilder::new(holders + members).unwrap();
    let (class, target) = (builder.class().unwrap(), builder.class().unwrap());
    let all = spots(holders + members);
    let step = |from, kind, to| Step { from, kind, to, tag: 0, state: Tri::True };
    for holder in &all[..holders] {
        builder.add(step(*holder, EdgeKind::Granted, class));
    }
    for member in &all[holders..] {
        builder.add(step(class, EdgeKind::CanControl, *member));
        builder.add(step(*member, EdgeKind::Granted, target));
    }
    let view = builder.build().unwrap();
    let distances = view.distances(&[target], proven);
    for holder in &all[..holders] {
        let paths = view.shortest(*holder, &distances, proven, Limits::default());
        let firsts: Vec<Spot> = paths.iter().map(|path| view.step(path.steps[1]).to).collect();
        assert_eq!(firsts, all[holders..holders + 3]);
        assert_eq!(cut(&paths, |_| true), Some(Cut { step: paths[0].steps[0], paths: 3 }));
    }
}

/// A circle of ten thousand, each of which leads out as well: bans send the search around it no further than the cap.
#[test]
fn a_long_circle_is_left_where_it_is_nearest() {
    let nodes = 10_000;
    let circle: Vec<Raw> = (0..nodes).map(|at| (at, 0, (at + 1) % nodes, 0, 0)).collect();
    let out: Vec<Raw> = (0..nodes).step_by(4).map(|at| (at, 1, nodes, 0, 0)).collect();
    let view = view(nodes + 1, &[circle, out].concat());
    let all = spots(nodes + 1);
    let distances = view.distances(&[all[nodes]], proven);
    for (at, start) in all.iter().enumerate().take(nodes) {
        let lengths: Vec<usize> =
            view.shortest(*start, &distances, proven, Limits::default()).iter().map(|path| path.steps.len()).collect();
        let nearest = (4 - at % 4) % 4 + 1;
        let expected: Vec<usize> =
            [nearest, nearest + 4, nearest + 8].into_iter().filter(|length| *length <= 12).collect();
        assert_eq!(lengths, expected);
    }
}
