//! The ways to what matters ([`End`]): takes the steps of every derivation, gives for an identity the decisive one to one
//! class of targets and the shortest others, what each step stands for, and the step to cut.
//!
//! One search back from all targets of a class gives how far every identity is from it; what leads to none is dropped
//! before anything is searched forward.
//!
//! Of proven ways the one that weighs most decides, then the shortest, then the least by ids: a way that is nearer and says
//! less must hide none, or to see more would lower a severity. What a way weighs is the strongest class on it, and whether
//! it ends at sensitive data. On every way to data somebody adds a credential, which is tier P2 or P1; more than that is
//! the tenant, a class of its own. So there are two weights, and the greater one comes of the right over all applications
//! on the way or of what is held at its end: that is a stage of the search back, and no product of ways.

use jiff::Timestamp;
use sv0_graph::paths::{Distances, Limits, Path, Spot, Stages, StepIx, View, ViewBuilder, cut_by};
use sv0_graph::{Edge, Gates, Graph, NodeIx, Tri, UnknownReason};

use super::{Class, DERIVATIONS, End, Fact, Overlay, Target};
use crate::authority::{self, Grant, earlier};
use crate::rule::{RuleConfig, RuleStep};
use crate::sensitive::{self, Sensitive};
use crate::severity::Tier;

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

/// How an identity comes to hold something by acting as others. Of proven ways the one that weighs most, then the shortest;
/// where none is proven, the shortest.
#[derive(Clone, Debug)]
pub(crate) struct Composition<'g> {
    /// What it comes to.
    pub(crate) end: End,
    /// Whom it acts as, in turn; at least one.
    pub(crate) legs: Vec<Leg<'g>>,
    /// What the last of them holds.
    pub(crate) held: Grant<'g>,
    /// The strongest class on the way: of the rights over others that it uses, and of what is held at its end.
    pub(crate) tier: Tier,
    /// Whether every step is proven.
    pub(crate) state: Tri,
    /// Whether the first step that is not proven is a lock that was not read. Else it is a grant or a membership.
    pub(crate) lock_unread: bool,
    /// This one, then the shortest others.
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

    /// The strongest class on it, and whether it ends at sensitive data.
    pub(crate) fn weight(&self) -> (Tier, Tri) {
        (self.tier, self.held.weight().1)
    }
}

impl<'g> CutEdge<'g> {
    /// The same of every step that the edge stands for, which all go with it.
    fn which(self) -> *const Edge {
        std::ptr::from_ref(self.edge())
    }

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

/// How far every node is from one class of targets. In the first stage nobody is acted as yet.
#[derive(Debug, Default)]
struct Reach {
    /// On proven ways.
    proven: Stages,
    /// On proven ways that weigh most.
    heavy: Stages,
    /// On ways whose first right over others is proven, with all that leads to it.
    possible: Stages,
}

/// What the steps of a view stand for, by position. All others are forgotten.
#[derive(Debug, Default)]
struct Facts<'g>(Vec<Option<Fact<'g>>>);

impl<'g> Facts<'g> {
    fn of(view: &View, all: &[Fact<'g>]) -> Self {
        Self(view.steps().iter().map(|step| all.get(step.tag as usize).copied()).collect())
    }

    fn find(&self, at: StepIx) -> Option<&Fact<'g>> {
        self.0.get(at as usize)?.as_ref()
    }

    /// Whether a step is one of roles, permissions and memberships.
    fn of_roles(&self, at: StepIx) -> bool {
        !matches!(self.find(at), Some(Fact::Owner { .. } | Fact::Scoped { .. }))
    }

    /// The stage after a step: 1 once somebody is acted as. What is held without that is no way through others.
    fn acting(&self, stage: usize, at: StepIx) -> Option<usize> {
        match self.find(at)? {
            Fact::Member(_) => Some(stage),
            Fact::Holds { .. } => (stage > 0).then_some(stage),
            Fact::Applications(_) | Fact::Accepts(_) | Fact::Owner { .. } | Fact::Scoped { .. } => Some(1),
        }
    }

    /// The same, and 2 once the way weighs most: all ways to the tenant do, of those to a part of it the ones that end at
    /// sensitive data, of those to data the ones on which somebody is of tier P1.
    fn weighing(&self, end: End, stage: usize, at: StepIx) -> Option<usize> {
        let heavy = match self.find(at)? {
            Fact::Holds { heavy, .. } => *heavy || end == End::Tenant,
            Fact::Applications(_) => end != End::Part,
            _ => false,
        };
        let acting = self.acting(stage.min(1), at)?;
        Some(if heavy { 2 } else { stage.max(acting) })
    }
}

/// Every way to what matters.
#[derive(Debug, Default)]
pub(crate) struct Routes<'g> {
    view: View,
    facts: Facts<'g>,
    /// The whole tenants.
    tenants: Vec<Spot>,
    /// To a whole tenant, on ways that are not proven as well.
    to_tenant: Distances,
    /// To a whole tenant, by what somebody holds.
    by_roles: Stages,
    /// By [`End::index`].
    reach: Vec<Reach>,
}

impl<'g> Routes<'g> {
    /// Runs every derivation, then searches back from the targets.
    pub(crate) fn new(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp, done: &mut dyn FnMut(RuleStep)) -> Self {
        // More steps than can be counted do not fit into any memory either: nothing is then said by composition.
        Self::of(graph, config, as_of, done).unwrap_or_default()
    }

    fn of(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp, done: &mut dyn FnMut(RuleStep)) -> Option<Self> {
        let nodes = graph.node_indexes();
        let mut overlay = Overlay::new(graph, config, as_of, ViewBuilder::new(nodes.len()).ok()?);
        for derive in DERIVATIONS.iter().filter_map(|derivation| derivation.derive) {
            derive(&mut overlay);
        }
        let Overlay { builder, facts, classes, .. } = overlay;
        let of_end = |end: End| classes.iter().filter(move |((class, ..), _)| *class == Class::End(end));
        let targets = End::ALL.map(|end| of_end(end).map(|(_, spot)| *spot).collect::<Vec<Spot>>());
        let all = builder.build().ok()?;
        done(RuleStep::Derived);
        let view = all.towards(&all.distances(&targets.concat(), |_| true));
        drop(all);
        let facts = Facts::of(&view, &facts);
        let tenants = targets[End::Tenant.index()].clone();
        let to_tenant = view.distances(&tenants, |_| true);
        let mut routes = Self { view, facts, tenants, to_tenant, ..Self::default() };
        routes.by_roles = routes.stages(&routes.tenants, 2, |stage, at| routes.step_of_roles(stage, at));
        let reach = End::ALL.iter().zip(&targets).map(|(end, targets)| Reach {
            proven: routes.stages(targets, 2, |stage, at| routes.proven(stage, at)),
            heavy: routes.stages(targets, 3, |stage, at| routes.heavy(*end, stage, at)),
            possible: routes.stages(targets, 2, |stage, at| routes.possible(stage, at)),
        });
        routes.reach = reach.collect();
        done(RuleStep::Searched);
        Some(routes)
    }

    fn stages(&self, targets: &[Spot], stages: usize, next: impl Fn(usize, StepIx) -> Option<usize>) -> Stages {
        self.view.stages(targets, stages, next, Limits::default())
    }

    fn is_proven(&self, at: StepIx) -> bool {
        self.view.step(at).state.is_true()
    }

    /// The stage after a step that is proven.
    fn proven(&self, stage: usize, at: StepIx) -> Option<usize> {
        if self.is_proven(at) { self.facts.acting(stage, at) } else { None }
    }

    /// The same of roles, permissions and memberships alone.
    fn step_of_roles(&self, stage: usize, at: StepIx) -> Option<usize> {
        if self.facts.of_roles(at) { self.proven(stage, at) } else { None }
    }

    /// The same by what the way weighs.
    fn heavy(&self, end: End, stage: usize, at: StepIx) -> Option<usize> {
        if self.is_proven(at) { self.facts.weighing(end, stage, at) } else { None }
    }

    /// Any step after the first right over others; up to there only proven ones: it does administer their credentials.
    fn possible(&self, stage: usize, at: StepIx) -> Option<usize> {
        if stage > 0 || self.is_proven(at) { self.facts.acting(stage, at) } else { None }
    }

    /// How `principal` comes to hold the whole tenant by what it holds and whom that lets it act as.
    pub(crate) fn by_roles(&self, graph: &'g Graph, principal: NodeIx) -> Option<Composition<'g>> {
        let mut ways = self.ways(principal, &self.by_roles, |stage, at| self.step_of_roles(stage, at));
        if ways.is_empty() {
            let roles = |stage, at| if self.facts.of_roles(at) { self.possible(stage, at) } else { None };
            ways = self.ways(principal, &self.reach.get(End::Tenant.index())?.possible, roles);
        }
        self.composed(graph, End::Tenant, ways)
    }

    /// How `principal` comes to what `end` says by acting as others: the proven way that weighs most, or else one of which
    /// it is proven that `principal` takes the first step.
    pub(crate) fn composition(&self, graph: &'g Graph, principal: NodeIx, end: End) -> Option<Composition<'g>> {
        let Reach { proven, heavy, possible } = self.reach.get(end.index())?;
        let mut ways = self.ways(principal, proven, |stage, at| self.proven(stage, at));
        let Some(shortest) = ways.first() else {
            let possible = self.ways(principal, possible, |stage, at| self.possible(stage, at));
            return self.composed(graph, end, possible);
        };
        let weighs = shortest.steps.iter().try_fold(0, |stage, at| self.facts.weighing(end, stage, *at));
        if weighs != Some(2) {
            let one = Limits { paths: 1, ..Limits::default() };
            let next = |stage, at| self.heavy(end, stage, at);
            let decisive = self.view.shortest_by_stages(principal.into(), heavy, next, one);
            ways.retain(|way| !decisive.contains(way));
            ways.splice(0..0, decisive);
            ways.truncate(Limits::default().paths);
        }
        self.composed(graph, end, ways)
    }

    /// The shortest of one kind.
    fn ways(&self, principal: NodeIx, far: &Stages, next: impl Fn(usize, StepIx) -> Option<usize>) -> Vec<Path> {
        self.view.shortest_by_stages(principal.into(), far, next, Limits::default())
    }

    /// What the first of these amounts to.
    fn composed(&self, graph: &'g Graph, end: End, ways: Vec<Path>) -> Option<Composition<'g>> {
        let first = ways.first()?;
        let (legs, held) = self.legs(graph, first)?;
        let rights = legs.iter().filter_map(|leg| match &leg.by {
            By::Grant(grant) => Some(grant.tier),
            By::Owner { permitted, .. } => Some(authority::described(graph, &[], permitted)?.tier),
        });
        let tier = rights.fold(held.tier, Tier::min);
        let doubt = first.steps.iter().map(|at| self.view.step(*at)).find(|step| !step.state.is_true());
        let lock = |reason| reason != UnknownReason::DynamicValue && reason != UnknownReason::Unparsable;
        Some(Composition {
            end,
            legs,
            held,
            tier,
            state: self.view.state(first),
            lock_unread: doubt.is_some_and(|step| matches!(step.state, Tri::Unknown(reason) if lock(reason))),
            ends: first.steps.iter().fold(None, |ends, at| earlier(ends, self.ends(*at))),
            ways,
        })
    }

    /// The step whose removal cuts most of the ways of all these.
    pub(crate) fn cut(&self, compositions: &[&Composition<'g>]) -> Option<CutOff<'g>> {
        let ways: Vec<Path> = compositions.iter().flat_map(|composition| composition.ways.iter().cloned()).collect();
        let cut = cut_by(&ways, |at| self.removable(at).map(CutEdge::which))?;
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
        let next = |stage, at| self.proven(stage, at);
        let mut ways = self.view.shortest_in_last_stage(Spot::from(principal), proven, next, COUNTED);
        let reaches = |at: &StepIx| match self.fact(*at) {
            Some(Fact::Holds { sensitive, .. }) => *sensitive,
            _ => None,
        };
        ways.retain(|way| data.is_none() || way.steps.last().and_then(reaches) == data);
        let named = |at| self.removable(at).filter(|edge| on.iter().any(|named| std::ptr::eq(*named, edge.edge())));
        let cut = cut_by(&ways, |at| named(at).map(CutEdge::which))?;
        Some(CutOff { edge: named(cut.step)?, cut: cut.paths, ways: ways.len() })
    }

    /// By identity, the node that all of its ways to the tenant go through, the nearest to the tenant of several. Ways
    /// count that are not proven as well: who may have another one is not said to have none. What holds the tenant by
    /// itself has no such node, and what stands for a class is none: there is nothing to take from it.
    pub(crate) fn gates(&self, graph: &Graph, identities: &[NodeIx]) -> Vec<(NodeIx, NodeIx)> {
        let all = Gates::new(&self.view, &self.tenants, &self.to_tenant, |_| true, Limits::default());
        let nodes: Vec<NodeIx> = graph.node_indexes().collect();
        let gate = |ix: &NodeIx| {
            let mut on_all = all.of(Spot::from(*ix)).iter();
            Some((*ix, on_all.find_map(|spot| nodes.get(spot.index()).copied())?))
        };
        identities.iter().filter_map(gate).collect()
    }

    /// Every step by which `holder` itself has the tenant or comes nearer to it: without them it has no way.
    pub(crate) fn steps_of(&self, holder: NodeIx) -> Vec<CutEdge<'g>> {
        let on = self.view.out(Spot::from(holder)).filter(|(_, step)| self.to_tenant.get(step.to).is_some());
        on.filter_map(|(at, _)| self.removable(at)).collect()
    }

    /// The next instant at which anything ends that may lead to a tenant.
    pub(crate) fn changes(&self) -> Option<Timestamp> {
        self.facts.0.iter().flatten().fold(None, |next, fact| earlier(next, ends(fact)))
    }

    fn fact(&self, at: StepIx) -> Option<&Fact<'g>> {
        self.facts.find(at)
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
                Fact::Holds { edge, sensitive, .. } if !legs.is_empty() => {
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
