//! Path search: takes a view of the steps that authority can take, gives how far every node is from a class of targets,
//! the shortest ways there, and the one step whose removal cuts most of them.
//!
//! A view has the nodes of a graph and, beyond them, nodes that stand for a class ("every application of a tenant that
//! accepts a credential"): one node with a step in and a step out takes the place of a product. A step is as certain as
//! its [`Tri`]; a path is as certain as its weakest step. What is disproven is never part of a view.
//!
//! Where not every way counts (one that acts as nobody, one that uses no strong right), what a way has done so far is its
//! *stage*: it starts in the first one, no step leads back to an earlier one, and it counts when it reaches a target in the
//! last one. So the search stays one search, whatever is asked of a way as a whole.
//!
//! Distances cost O(nodes + steps) for any number of targets, and for each stage. Of equally long paths the lesser is the one whose first
//! different step is lesser by kind, then by node, then by tag, so that the result does not depend on the order in which
//! steps were added. Nothing here recurses: depth is the input's to choose.

use std::collections::{BTreeSet, HashSet};

use crate::graph::{NodeIx, TooManyRows};
use crate::model::EdgeKind;
use crate::predicate::Tri;

/// How much is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most paths from one start.
    pub paths: usize,
    /// Most steps of a path.
    pub steps: u32,
}

impl Default for Limits {
    /// Three paths of at most twelve steps.
    fn default() -> Self {
        Self { paths: 3, steps: 12 }
    }
}

/// Distance of a node from which no target is reached.
const FAR: u32 = u32::MAX;

/// The same by stages, where no way is longer than a number of one byte.
const BEYOND: u8 = u8::MAX;

/// How often what a search left, since it would have gone in a circle, is tried again from elsewhere. More often only a
/// hostile shape asks for.
const RETRIES: usize = 100;

/// A node of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot(u32);

impl Spot {
    /// As an index into tables of one entry per node of the view.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<NodeIx> for Spot {
    fn from(ix: NodeIx) -> Self {
        // A graph never has more nodes than this type counts.
        Self(u32::try_from(ix.index()).unwrap_or(u32::MAX))
    }
}

/// One step of authority. Ordered as ties between paths are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it starts.
    pub from: Spot,
    /// What it says.
    pub kind: EdgeKind,
    /// Where it leads.
    pub to: Spot,
    /// What tells it from other steps between the same nodes: a position in the canonical order of whatever it stands
    /// for (role, scope), which is its maker's to know.
    pub tag: u32,
    /// Whether it is proven.
    pub state: Tri,
}

impl Step {
    const fn key(&self) -> (Spot, EdgeKind, Spot, u32) {
        (self.from, self.kind, self.to, self.tag)
    }
}

/// Position of a step in [`View::steps`]; of two steps from one node the one that wins a tie has the lesser position.
pub type StepIx = u32;

/// Collects the steps of a view.
#[derive(Debug)]
pub struct ViewBuilder {
    nodes: u32,
    steps: Vec<Step>,
}

impl ViewBuilder {
    /// For a graph of so many nodes.
    pub fn new(nodes: usize) -> Result<Self, TooManyRows> {
        Ok(Self { nodes: u32::try_from(nodes).map_err(|_| TooManyRows)?, steps: Vec::new() })
    }

    /// A new node that stands for a class.
    pub fn class(&mut self) -> Result<Spot, TooManyRows> {
        let spot = Spot(self.nodes);
        self.nodes = self.nodes.checked_add(1).ok_or(TooManyRows)?;
        Ok(spot)
    }

    /// Adds a step, unless it is disproven or an end of it is no node of the view.
    pub fn add(&mut self, step: Step) {
        let known = step.from.0 < self.nodes && step.to.0 < self.nodes;
        if known && !step.state.is_false() {
            self.steps.push(step);
        }
    }

    /// The view of all that was added.
    pub fn build(self) -> Result<View, TooManyRows> {
        View::of(self.nodes as usize, self.steps)
    }
}

/// Steps between the nodes of a graph and its classes, indexed in both directions.
#[derive(Debug, Default)]
pub struct View {
    steps: Vec<Step>,
    out_start: Vec<u32>,
    in_start: Vec<u32>,
    incoming: Vec<StepIx>,
}

impl View {
    fn of(nodes: usize, mut steps: Vec<Step>) -> Result<Self, TooManyRows> {
        u32::try_from(steps.len()).map_err(|_| TooManyRows)?;
        steps.sort_unstable_by_key(Step::key);
        // Of equal steps one is enough; the proven one says more.
        steps.dedup_by(|later, kept| {
            let same = later.key() == kept.key();
            if same {
                kept.state = kept.state.or(later.state);
            }
            same
        });
        let mut out_start = vec![0u32; nodes + 1];
        let mut in_start = vec![0u32; nodes + 1];
        for step in &steps {
            out_start[step.from.index() + 1] += 1;
            in_start[step.to.index() + 1] += 1;
        }
        for i in 0..nodes {
            out_start[i + 1] += out_start[i];
            in_start[i + 1] += in_start[i];
        }
        let mut next = in_start.clone();
        let mut incoming = vec![0u32; steps.len()];
        for (step, at) in steps.iter().zip(0u32..) {
            let slot = &mut next[step.to.index()];
            incoming[*slot as usize] = at;
            *slot += 1;
        }
        Ok(Self { steps, out_start, in_start, incoming })
    }

    /// How many nodes it has, classes included.
    pub fn nodes(&self) -> usize {
        self.out_start.len().saturating_sub(1)
    }

    /// Every node, those of the graph first.
    pub fn spots(&self) -> impl Iterator<Item = Spot> + use<> {
        (0..u32::try_from(self.nodes()).unwrap_or(u32::MAX)).map(Spot)
    }

    /// Every step, in the order in which ties are broken.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step at a position that this view gave.
    pub fn step(&self, at: StepIx) -> &Step {
        &self.steps[at as usize]
    }

    /// The steps that start at a node, with their positions.
    pub fn out(&self, spot: Spot) -> impl Iterator<Item = (StepIx, &Step)> {
        let range = range(&self.out_start, spot);
        (range.start..range.end).zip(&self.steps[range.start as usize..range.end as usize])
    }

    /// The steps that lead to a node, with their positions.
    pub fn incoming(&self, spot: Spot) -> impl Iterator<Item = (StepIx, &Step)> {
        let range = range(&self.in_start, spot);
        let positions = &self.incoming[range.start as usize..range.end as usize];
        positions.iter().map(|at| (*at, self.step(*at)))
    }

    /// For every node, the fewest steps that `admits` allows from it to any of `targets`.
    pub fn distances(&self, targets: &[Spot], admits: impl Fn(&Step) -> bool) -> Distances {
        let mut hops = vec![FAR; self.nodes()];
        let mut layer: Vec<Spot> = targets.iter().copied().filter(|spot| spot.index() < hops.len()).collect();
        for spot in &layer {
            hops[spot.index()] = 0;
        }
        let mut depth = 0;
        while !layer.is_empty() {
            depth += 1;
            let mut next = Vec::new();
            for spot in layer {
                let range = range(&self.in_start, spot);
                for at in &self.incoming[range.start as usize..range.end as usize] {
                    let step = self.step(*at);
                    if hops[step.from.index()] == FAR && admits(step) {
                        hops[step.from.index()] = depth;
                        next.push(step.from);
                    }
                }
            }
            layer = next;
        }
        Distances { hops }
    }

    /// For every node and each of so many stages, the fewest steps from it to any of `targets` that end in the last stage.
    /// `next` says to which stage a step leads from another one, none when it may not be taken there; never to an earlier
    /// one. More steps than `limits` allows, or than 254, are as none.
    pub fn stages(
        &self,
        targets: &[Spot],
        stages: usize,
        next: impl Fn(usize, StepIx) -> Option<usize>,
        limits: Limits,
    ) -> Stages {
        let mut all = Stages { hops: vec![vec![BEYOND; self.nodes()]; stages] };
        let cap = u8::try_from(limits.steps).unwrap_or(BEYOND).min(BEYOND - 1);
        let targets: BTreeSet<Spot> = targets.iter().copied().filter(|spot| spot.index() < self.nodes()).collect();
        for stage in (0..stages).rev() {
            // By distance, those from which one step leads to a later stage.
            let mut begin: Vec<Vec<Spot>> = vec![Vec::new(); usize::from(cap) + 1];
            if stage + 1 == stages {
                begin[0].extend(&targets);
            }
            for (step, at) in self.steps.iter().zip(0u32..) {
                let later = next(stage, at).filter(|later| *later > stage);
                let rest = later.and_then(|later| all.get(later, step.to)).and_then(|rest| usize::try_from(rest).ok());
                if let Some(layer) = rest.and_then(|rest| begin.get_mut(rest + 1)) {
                    layer.push(step.from);
                }
            }
            let mut layer: Vec<Spot> = Vec::new();
            for (depth, begin) in (0..=cap).zip(begin) {
                layer.extend(begin);
                // A way ends at the first target: none goes on from one.
                layer.retain(|spot| {
                    let hops = &mut all.hops[stage][spot.index()];
                    let nearer = *hops == BEYOND && (depth == 0 || !targets.contains(spot));
                    if nearer {
                        *hops = depth;
                    }
                    nearer
                });
                let before = |spot: &Spot| self.incoming(*spot).filter(|(at, _)| next(stage, *at) == Some(stage));
                layer = layer.iter().flat_map(before).map(|(_, step)| step.from).collect();
            }
        }
        all
    }

    /// The same nodes with the steps that lead somewhere from which a target is reached: what a search has to look at.
    #[must_use]
    pub fn towards(&self, distances: &Distances) -> Self {
        let near = |step: &&Step| distances.get(step.to).is_some();
        let steps: Vec<Step> = self.steps.iter().filter(near).copied().collect();
        // Fewer steps than before: they can be indexed.
        Self::of(self.nodes(), steps).unwrap_or_default()
    }

    /// The shortest paths from `start` to a target, shortest first; a path visits no node twice and ends at the first
    /// target that it meets. `distances` are those of this view, its targets and `admits`. Nothing when `start` is a
    /// target itself.
    pub fn shortest(
        &self,
        start: Spot,
        distances: &Distances,
        admits: impl Fn(&Step) -> bool,
        limits: Limits,
    ) -> Vec<Path> {
        let rest = |_, spot| distances.get(spot);
        let next = |stage, at| admits(self.step(at)).then_some(stage);
        Search { view: self, rest, next }.paths(start, limits)
    }

    /// The same of ways that start in the first stage and end in the last one. `stages` are those of this view, its targets,
    /// `next` and `limits`. Of a graph that sends the search in very many circles some way may be missed; none is made up.
    pub fn shortest_by_stages(
        &self,
        start: Spot,
        stages: &Stages,
        next: impl Fn(usize, StepIx) -> Option<usize>,
        limits: Limits,
    ) -> Vec<Path> {
        Search { view: self, rest: |stage, spot| stages.get(stage, spot), next }.paths(start, limits)
    }

    /// The same of ways that are in the last stage from the start on: whatever else counts of a way, these end at a target.
    pub fn shortest_in_last_stage(
        &self,
        start: Spot,
        stages: &Stages,
        next: impl Fn(usize, StepIx) -> Option<usize>,
        limits: Limits,
    ) -> Vec<Path> {
        let last = stages.hops.len().saturating_sub(1);
        let (rest, next) = (|_, spot| stages.get(last, spot), |_, at| next(last, at).map(|_| last));
        Search { view: self, rest, next }.paths(start, limits)
    }

    /// Whether each step of `path` holds, and so whether all of it does.
    pub fn state(&self, path: &Path) -> Tri {
        Tri::all(path.steps.iter().map(|at| self.step(*at).state))
    }
}

fn range(starts: &[u32], spot: Spot) -> std::ops::Range<u32> {
    match starts.get(spot.index()..spot.index() + 2) {
        Some([start, end]) => *start..*end,
        _ => 0..0,
    }
}

/// For every node of a view how far it is from the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distances {
    hops: Vec<u32>,
}

impl Distances {
    /// The fewest steps from `spot` to a target; none when no target is reached.
    pub fn get(&self, spot: Spot) -> Option<u32> {
        self.hops.get(spot.index()).copied().filter(|hops| *hops != FAR)
    }
}

/// For every node of a view, by stage, how far it is from the targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// By stage, then by node: one byte, since there are many of both.
    hops: Vec<Vec<u8>>,
}

impl Stages {
    /// The fewest steps from `spot` to a target when `stage` is reached; none when no way is left that counts.
    pub fn get(&self, stage: usize, spot: Spot) -> Option<u32> {
        let hops = self.hops.get(stage)?.get(spot.index()).copied()?;
        (hops != BEYOND).then_some(u32::from(hops))
    }
}

/// A way from a start to a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Positions of its steps, from the start on.
    pub steps: Vec<StepIx>,
}

struct Search<'v, R, N> {
    view: &'v View,
    /// The fewest steps to a target from a node in a stage.
    rest: R,
    /// To which stage a step leads.
    next: N,
}

/// A node on the way that is tried, and what was not tried of it yet.
struct Open<S> {
    spot: Spot,
    stage: usize,
    steps: S,
    /// The first node of the way to which a step led back, below it.
    back: usize,
}

impl<R: Fn(usize, Spot) -> Option<u32>, N: Fn(usize, StepIx) -> Option<usize>> Search<'_, R, N> {
    /// The shortest paths from `start` to a target, shortest first.
    fn paths(&self, start: Spot, limits: Limits) -> Vec<Path> {
        let cap = limits.steps;
        let mut found: Vec<Path> = Vec::new();
        // By length, then by the first different step: positions are in that order.
        let mut waiting: BTreeSet<(usize, Path)> = BTreeSet::new();
        if (self.rest)(0, start) != Some(0) {
            waiting.extend(self.from(start, &[], &[], cap).map(|path| (path.steps.len(), path)));
        }
        while found.len() < limits.paths {
            let Some((_, path)) = waiting.pop_first() else { break };
            found.push(path);
            // What leaves the last one is asked for by nobody.
            let Some(path) = found.last().filter(|_| found.len() < limits.paths) else { break };
            for at in 0..path.steps.len() {
                let kept = &path.steps[..at];
                let others = found.iter().filter(|other| other.steps.starts_with(kept));
                let taken: Vec<StepIx> = others.filter_map(|other| other.steps.get(at).copied()).collect();
                waiting.extend(self.from(start, kept, &taken, cap).map(|path| (path.steps.len(), path)));
            }
        }
        found
    }

    /// The least of the shortest paths from `start` that begin with the steps `kept` and go on with none of `taken`.
    fn from(&self, start: Spot, kept: &[StepIx], taken: &[StepIx], cap: u32) -> Option<Path> {
        let spur = kept.last().map_or(start, |at| self.view.step(*at).to);
        let stage = kept.iter().try_fold(0, |stage, at| (self.next)(stage, *at))?;
        let used = u32::try_from(kept.len()).ok()?;
        let least = (self.rest)(stage, spur)?;
        let visited: Vec<Spot> = kept.iter().map(|at| self.view.step(*at).from).collect();
        // What is banned can only make it longer: the distances are a lower bound, and what exceeds the budget with them
        // is not looked at.
        for budget in least..=cap.checked_sub(used)? {
            match self.within((spur, stage), &visited, taken, budget) {
                Within::Path(rest) => return Some(Path { steps: kept.iter().copied().chain(rest).collect() }),
                Within::Nothing => return None,
                Within::MoreBudget => {}
            }
        }
        None
    }

    /// Depth first, in the order of steps, and never where the target is too far: without bans it walks straight to the
    /// target, however many ways there are. No way is shorter than `budget`, so that the first one found is the least. What
    /// failed once is not tried again with as few steps left, unless it failed only since it led back to where that way came
    /// from: by another way it may lead on.
    fn within(&self, (spur, stage): (Spot, usize), visited: &[Spot], taken: &[StepIx], budget: u32) -> Within {
        // Looked up, never walked: its order cannot reach the result.
        let mut failed: HashSet<(Spot, usize, u32)> = HashSet::new();
        let (mut more, mut retries) = (false, 0);
        let mut open = vec![Open { spot: spur, stage, steps: self.view.out(spur), back: usize::MAX }];
        let mut way: Vec<StepIx> = Vec::new();
        while let Some(last) = open.last_mut() {
            // At most the cap, which bounds both lists.
            let left = budget.saturating_sub(u32::try_from(way.len()).unwrap_or(u32::MAX));
            let Some((at, step)) = last.steps.next() else {
                let (key, back) = ((last.spot, last.stage, left), last.back);
                open.pop();
                if back >= open.len() || retries == RETRIES {
                    failed.insert(key);
                } else if let Some(before) = open.last_mut() {
                    before.back = before.back.min(back);
                    retries += 1;
                }
                way.pop();
                continue;
            };
            let banned = step.to == spur || visited.contains(&step.to) || (last.spot == spur && taken.contains(&at));
            let stage = if banned { None } else { (self.next)(last.stage, at) };
            let Some((stage, rest)) = stage.and_then(|stage| Some((stage, (self.rest)(stage, step.to)?))) else {
                continue;
            };
            if rest >= left {
                more = true;
                continue;
            }
            if rest == 0 {
                way.push(at);
                return Within::Path(way);
            }
            if let Some(back) = open.iter().position(|before| before.spot == step.to) {
                if let Some(last) = open.last_mut() {
                    last.back = last.back.min(back);
                }
            } else if !failed.contains(&(step.to, stage, left - 1)) {
                way.push(at);
                open.push(Open { spot: step.to, stage, steps: self.view.out(step.to), back: usize::MAX });
            }
        }
        if more { Within::MoreBudget } else { Within::Nothing }
    }
}

enum Within {
    Path(Vec<StepIx>),
    /// Something was left out that a greater budget would look at.
    MoreBudget,
    Nothing,
}

/// A step and how many paths go without it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The step.
    pub step: StepIx,
    /// How many of the paths it is part of.
    pub paths: usize,
}

/// Of the steps that `removable` allows, the one that most of `paths` have; of equals the one nearest to a start, then
/// the lesser one.
pub fn cut(paths: &[Path], removable: impl Fn(StepIx) -> bool) -> Option<Cut> {
    cut_by(paths, |at| removable(at).then_some(at))
}

/// The same where several steps go together: those for which `what` gives the same. Its order does not reach the result.
pub fn cut_by<K: Ord>(paths: &[Path], what: impl Fn(StepIx) -> Option<K>) -> Option<Cut> {
    let mut steps: Vec<(K, usize, usize, StepIx)> = paths
        .iter()
        .enumerate()
        .flat_map(|(path, way)| way.steps.iter().copied().enumerate().map(move |(depth, step)| (path, depth, step)))
        .filter_map(|(path, depth, step)| Some((what(step)?, path, depth, step)))
        .collect();
    steps.sort_unstable();
    let counted = steps.chunk_by(|a, b| a.0 == b.0).filter_map(|same| {
        let paths = same.chunk_by(|a, b| a.1 == b.1).count();
        let (nearest, step) = same.iter().map(|(_, _, depth, step)| (*depth, *step)).min()?;
        Some((std::cmp::Reverse(paths), nearest, step))
    });
    counted.min().map(|(count, _, step)| Cut { step, paths: count.0 })
}
