//! The ways to what matters ([`End`]): takes the steps of every derivation, gives for an identity the shortest ones to one
//! class of targets, what each step stands for, and the step to cut.
//!
//! One search back from all targets of a class gives how far every identity is from it; what leads to none is dropped
//! before anything is searched forward.

use jiff::Timestamp;
use sv0_graph::paths::{Distances, Limits, Path, Spot, Step, StepIx, View, ViewBuilder, cut};
use sv0_graph::{Components, Edge, EdgeKind, Gates, Graph, NodeIx, Tri, UnknownReason};

use super::{Class, DERIVATIONS, End, Fact, Overlay, Target};
use crate::authority::{self, Grant, earlier};
use crate::rule::RuleConfig;
use crate::sensitive::{self, Sensitive};

/// How many ways are counted of which one is told: more than anybody reads.
const COUNTED: Limits = Limits { paths: 12, steps: 12 };

/// Which steps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// Roles and permissions over the whole tenant, and memberships: what somebody holds. Whether an owner gains by what it
    /// owns is asked against this.
    Roles,
    /// Everything.
    Anything,
}

/// By what somebody can act as another identity.
#[derive(Clone, Debug)]
pub(crate) enum By<'g> {
    /// A right to add credentials.
    Grant(Grant<'g>),
    /// The record of an owner, and the permission to manage what it owns.
    Owner { edge: &'g Edge, permitted: &'g Edge },
}

/// One identity that is acted as on the way.
#[derive(Clone, Debug)]
pub(crate) struct Leg<'g> {
    pub(crate) by: By<'g>,
    /// A service principal of the same tenant.
    pub(crate) target: NodeIx,
    /// Its application.
    pub(crate) application: NodeIx,
}

/// What has to be taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CutEdge<'g> {
    Member(&'g Edge),
    Grant(&'g Edge),
    Owner(&'g Edge),
}

/// How an identity comes to hold something by acting as others. The shortest way of those that are known best.
#[derive(Clone, Debug)]
pub(crate) struct Composition<'g> {
    /// What it comes to.
    pub(crate) end: End,
    /// Whom it acts as, in turn; at least one.
    pub(crate) legs: Vec<Leg<'g>>,
    /// What the last of them holds.
    pub(crate) held: Grant<'g>,
    /// Whether every step is proven.
    pub(crate) state: Tri,
    /// Whether the first step that is not proven is a lock that was not read. Else it is a grant or a membership.
    pub(crate) lock_unread: bool,
    /// The shortest ways, of which this is the first.
    ways: Vec<Path>,
    /// The next instant at which a grant or membership on the way ends by itself.
    pub(crate) ends: Option<Timestamp>,
}

impl<'g> Composition<'g> {
    /// The grant by which the first step is taken, unless it is an owner's.
    pub(crate) fn first_grant(&self) -> Option<&Grant<'g>> {
        match &self.legs.first()?.by {
            By::Grant(grant) => Some(grant),
            By::Owner { .. } => None,
        }
    }
}

impl<'g> CutEdge<'g> {
    pub(crate) const fn edge(self) -> &'g Edge {
        match self {
            Self::Member(edge) | Self::Grant(edge) | Self::Owner(edge) => edge,
        }
    }
}

/// The step to cut, and what that does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutOff<'g> {
    pub(crate) edge: CutEdge<'g>,
    /// How many ways go without it no more.
    pub(crate) cut: usize,
    /// How many there are.
    pub(crate) ways: usize,
}

/// How far every node is from one class of targets.
#[derive(Debug, Default)]
struct Reach {
    proven: Distances,
    possible: Distances,
}

/// What the steps that lead somewhere stand for, by tag, ascending. All others are forgotten.
#[derive(Debug, Default)]
struct Facts<'g>(Vec<(u32, Fact<'g>)>);

impl<'g> Facts<'g> {
    fn of(view: &View, all: &[Fact<'g>]) -> Self {
        let mut kept: Vec<(u32, Fact<'g>)> =
            view.steps().iter().filter_map(|step| Some((step.tag, *all.get(step.tag as usize)?))).collect();
        kept.sort_unstable_by_key(|(tag, _)| *tag);
        Self(kept)
    }

    fn find(&self, step: &Step) -> Option<&Fact<'g>> {
        let at = self.0.binary_search_by_key(&step.tag, |(tag, _)| *tag).ok()?;
        self.0.get(at).map(|(_, fact)| fact)
    }

    /// Whether a step is one of roles, permissions and memberships.
    fn of_roles(&self, step: &Step) -> bool {
        !matches!(self.find(step), Some(Fact::Owner { .. } | Fact::Scoped { .. }))
    }
}

/// Every way to what matters.
#[derive(Debug, Default)]
pub(crate) struct Routes<'g> {
    view: View,
    facts: Facts<'g>,
    /// The whole tenants.
    tenants: Vec<Spot>,
    /// To a whole tenant, by what somebody holds.
    by_roles: Distances,
    /// By [`End::index`].
    reach: Vec<Reach>,
    /// By node: whether it, or a group that it is in, holds any grant.
    grants_behind: Vec<bool>,
}

impl<'g> Routes<'g> {
    /// Runs every derivation.
    pub(crate) fn new(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp) -> Self {
        // More steps than can be counted do not fit into any memory either: nothing is then said by composition.
        Self::of(graph, config, as_of).unwrap_or_default()
    }

    fn of(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp) -> Option<Self> {
        let nodes = graph.node_indexes();
        let mut overlay = Overlay::new(graph, config, as_of, ViewBuilder::new(nodes.len()).ok()?);
        for derivation in DERIVATIONS {
            (derivation.derive)(&mut overlay);
        }
        let Overlay { builder, facts, classes, .. } = overlay;
        let of_end = |end: End| classes.iter().filter(move |((class, ..), _)| *class == Class::End(end));
        let targets = End::ALL.map(|end| of_end(end).map(|(_, spot)| *spot).collect::<Vec<Spot>>());
        let all = builder.build().ok()?;
        let grants_behind = grants_behind(graph, &all, &nodes.collect::<Vec<_>>());
        let view = all.towards(&all.distances(&targets.concat(), |_| true));
        drop(all);
        let facts = Facts::of(&view, &facts);
        let tenants = targets[End::Tenant.index()].clone();
        let by_roles = view.distances(&tenants, |step| step.state.is_true() && facts.of_roles(step));
        let reach = targets.iter().map(|targets| Reach {
            proven: view.distances(targets, |step| step.state.is_true()),
            possible: view.distances(targets, |_| true),
        });
        let reach = reach.collect();
        Some(Self { view, facts, tenants, by_roles, reach, grants_behind })
    }

    /// Whether a grant lies behind this node: where none does, groups need not be followed.
    pub(crate) fn grants_behind(&self, ix: NodeIx) -> bool {
        self.grants_behind.get(ix.index()).copied().unwrap_or(true)
    }

    /// How `principal` comes to hold the whole tenant by what it holds and whom that lets it act as.
    pub(crate) fn by_roles(&self, graph: &'g Graph, principal: NodeIx) -> Option<Composition<'g>> {
        let admits = |step: &Step| self.facts.of_roles(step);
        self.between(graph, principal, End::Tenant, (&self.by_roles, admits))
    }

    /// How `principal` comes to what `end` says by acting as others: a proven way, or else one of which it is proven that
    /// `principal` takes the first step.
    pub(crate) fn composition(&self, graph: &'g Graph, principal: NodeIx, end: End) -> Option<Composition<'g>> {
        let proven = &self.reach.get(end.index())?.proven;
        self.between(graph, principal, end, (proven, |_: &Step| true))
    }

    fn between(
        &self,
        graph: &'g Graph,
        principal: NodeIx,
        end: End,
        (proven, admits): (&Distances, impl Fn(&Step) -> bool),
    ) -> Option<Composition<'g>> {
        let certain = |step: &Step| step.state.is_true() && admits(step);
        let start = Spot::from(principal);
        let mut ways = self.view.shortest(start, proven, certain, Limits::default());
        if ways.is_empty() {
            let possible = &self.reach.get(end.index())?.possible;
            ways = self.view.shortest(start, possible, &admits, Limits::default());
            ways.retain(|way| self.begins_proven(way));
        }
        let first = ways.first()?;
        let (legs, held) = self.legs(graph, first)?;
        let doubt = first.steps.iter().map(|at| self.view.step(*at)).find(|step| !step.state.is_true());
        let lock = |reason| reason != UnknownReason::DynamicValue && reason != UnknownReason::Unparsable;
        Some(Composition {
            end,
            legs,
            held,
            state: self.view.state(first),
            lock_unread: doubt.is_some_and(|step| matches!(step.state, Tri::Unknown(reason) if lock(reason))),
            ends: first.steps.iter().fold(None, |ends, at| earlier(ends, self.ends(*at))),
            ways,
        })
    }

    /// The step whose removal cuts most of the ways of all these.
    pub(crate) fn cut(&self, compositions: &[&Composition<'g>]) -> Option<CutOff<'g>> {
        let ways: Vec<Path> = compositions.iter().flat_map(|composition| composition.ways.iter().cloned()).collect();
        let cut = cut(&ways, |at| self.removable(at).is_some())?;
        Some(CutOff { edge: self.removable(cut.step)?, cut: cut.paths, ways: ways.len() })
    }

    /// Of the edges `on` the one whose removal cuts most of the proven ways of `principal` to what `end` says, by what it holds
    /// itself and by acting as others; with `data`, of the ways to those. None when none of them is on any.
    pub(crate) fn cut_of(
        &self,
        principal: NodeIx,
        (end, data): (End, Option<Sensitive>),
        on: &[&'g Edge],
    ) -> Option<CutOff<'g>> {
        let proven = &self.reach.get(end.index())?.proven;
        let certain = |step: &Step| step.state.is_true();
        let mut ways = self.view.shortest(Spot::from(principal), proven, certain, COUNTED);
        let reaches = |at: &StepIx| match self.fact(*at) {
            Some(Fact::Holds { sensitive, .. }) => *sensitive,
            _ => None,
        };
        ways.retain(|way| data.is_none() || way.steps.last().and_then(reaches) == data);
        let named = |at| self.removable(at).filter(|edge| on.iter().any(|named| std::ptr::eq(*named, edge.edge())));
        let cut = cut(&ways, |at| named(at).is_some())?;
        Some(CutOff { edge: named(cut.step)?, cut: cut.paths, ways: ways.len() })
    }

    /// How far everything is from a whole tenant, on ways that are not proven as well.
    fn to_tenant(&self) -> &Distances {
        &self.reach[End::Tenant.index()].possible
    }

    /// By identity, the node that all of its ways to the tenant go through, the nearest to the tenant of several. Ways
    /// count that are not proven as well: who may have another one is not said to have none. What holds the tenant by
    /// itself has no such node, and what stands for a class is none: there is nothing to take from it.
    pub(crate) fn gates(&self, graph: &Graph, identities: &[NodeIx]) -> Vec<(NodeIx, NodeIx)> {
        let all = Gates::new(&self.view, &self.tenants, self.to_tenant(), |_| true, Limits::default());
        let nodes: Vec<NodeIx> = graph.node_indexes().collect();
        let gate = |ix: &NodeIx| {
            let mut on_all = all.of(Spot::from(*ix)).iter();
            Some((*ix, on_all.find_map(|spot| nodes.get(spot.index()).copied())?))
        };
        identities.iter().filter_map(gate).collect()
    }

    /// Every step by which `holder` itself has the tenant or comes nearer to it: without them it has no way.
    pub(crate) fn steps_of(&self, holder: NodeIx) -> Vec<CutEdge<'g>> {
        let on = self.view.out(Spot::from(holder)).filter(|(_, step)| self.to_tenant().get(step.to).is_some());
        on.filter_map(|(at, _)| self.removable(at)).collect()
    }

    /// The next instant at which anything ends that may lead to a tenant.
    pub(crate) fn changes(&self) -> Option<Timestamp> {
        self.facts.0.iter().fold(None, |next, (_, fact)| earlier(next, ends(fact)))
    }

    fn fact(&self, at: StepIx) -> Option<&Fact<'g>> {
        self.facts.find(self.view.step(at))
    }

    /// Whether all up to the first right over others is proven: it does administer their credentials.
    fn begins_proven(&self, way: &Path) -> bool {
        let upto = way.steps.iter().position(|at| !matches!(self.fact(*at), Some(Fact::Member(_))));
        let begin = upto.and_then(|upto| way.steps.get(..=upto));
        let first = upto.and_then(|upto| self.fact(way.steps[upto]));
        let controls = first.is_some_and(|fact| !matches!(fact, Fact::Holds { .. }));
        controls && begin.is_some_and(|steps| steps.iter().all(|at| self.view.step(*at).state.is_true()))
    }

    /// What the steps of a way stand for. None when it acts as nobody.
    fn legs(&self, graph: &'g Graph, way: &Path) -> Option<(Vec<Leg<'g>>, Grant<'g>)> {
        let mut legs = Vec::new();
        let mut members: Vec<&'g Edge> = Vec::new();
        let mut by = None;
        for at in &way.steps {
            match *self.fact(*at)? {
                Fact::Member(edge) => members.push(edge),
                Fact::Applications(edge) => by = authority::described(graph, &std::mem::take(&mut members), edge),
                Fact::Accepts(target) => legs.push(leg(By::Grant(by.take()?), target)),
                Fact::Owner { edge, permitted, target } => legs.push(leg(By::Owner { edge, permitted }, target)),
                Fact::Scoped { edge, target } => {
                    let grant = authority::described(graph, &std::mem::take(&mut members), edge)?;
                    legs.push(leg(By::Grant(grant), target));
                }
                Fact::Holds { edge, sensitive } if !legs.is_empty() => {
                    let described = authority::described(graph, &members, edge);
                    let mut held = match (described, sensitive) {
                        (None, Some(sensitive)) => sensitive::unknown(graph, edge, sensitive)?,
                        (described, _) => described?,
                    };
                    held.sensitive = held.sensitive.or(sensitive);
                    return Some((legs, held));
                }
                Fact::Holds { .. } => return None,
            }
        }
        None
    }

    fn removable(&self, at: StepIx) -> Option<CutEdge<'g>> {
        match *self.fact(at)? {
            Fact::Member(edge) => Some(CutEdge::Member(edge)),
            Fact::Holds { edge, .. } | Fact::Applications(edge) | Fact::Scoped { edge, .. } => {
                Some(CutEdge::Grant(edge))
            }
            Fact::Owner { edge, .. } => Some(CutEdge::Owner(edge)),
            Fact::Accepts(_) => None,
        }
    }

    fn ends(&self, at: StepIx) -> Option<Timestamp> {
        ends(self.fact(at)?)
    }
}

/// When what a step stands for ends by itself.
fn ends(fact: &Fact<'_>) -> Option<Timestamp> {
    match fact {
        Fact::Member(edge) | Fact::Holds { edge, .. } | Fact::Applications(edge) | Fact::Scoped { edge, .. } => {
            edge.until
        }
        Fact::Owner { edge, permitted, .. } => earlier(edge.until, permitted.until),
        Fact::Accepts(_) => None,
    }
}

const fn leg(by: By<'_>, target: Target) -> Leg<'_> {
    Leg { by, target: target.principal, application: target.application }
}

/// By node, whether a grant stands at it or at a group that it leads to.
fn grants_behind(graph: &Graph, view: &View, nodes: &[NodeIx]) -> Vec<bool> {
    let member = |step: &Step| step.kind == EdgeKind::MemberOf;
    let components = Components::new(view, member);
    let grants = |spot: Spot| nodes.get(spot.index()).is_some_and(|ix| !graph.out(*ix, EdgeKind::Granted).is_empty());
    let behind = components.fold(view, member, grants, |a, b| a || *b);
    let at = |ix: &NodeIx| components.of(Spot::from(*ix)).and_then(|component| behind.get(component).copied());
    nodes.iter().map(|ix| at(ix).unwrap_or(true)).collect()
}
