//! What a principal may do, as far as it is proven: its best tier and the sensitive data that it reaches.
//!
//! Grants count that are active, without a condition and not past their end: the principal's own, and directory roles
//! of groups that it is a member of, through groups in groups as well. A grant that is eligible, conditional or of a role
//! that the tables do not know is kept as unproven: it is told, and raises nothing.
//!
//! Who can act as others has what they have: the ways to a whole tenant, to a part of it and to sensitive data come from
//! the derivations ([`Composition`]), and a proven one makes its start as strong as its end. One that is not proven raises
//! nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::derive::{Composition, CutOff, End, Routes, Through};
use crate::nesting::{Behind, Nesting};
use crate::rule::{RuleConfig, RuleStep};
use crate::sensitive::Sensitive;
use crate::severity::Tier;
use crate::text::display_name;
use crate::tiers::{self, Known};

/// One proven grant.
#[derive(Clone, Debug)]
pub(crate) struct Grant<'g> {
    pub(crate) edge: &'g Edge,
    /// The memberships through which the principal has it, when a group holds it: from the principal on.
    pub(crate) members: Vec<&'g Edge>,
    /// Role or permission, for people.
    pub(crate) role: String,
    pub(crate) tier: Tier,
    pub(crate) sensitive: Option<Sensitive>,
    /// Directory role, and not over the whole tenant.
    pub(crate) bounded: bool,
    /// Lets its holder add a credential to any application of the tenant.
    adds_credentials: bool,
}

/// All that is known of a principal's authority.
#[derive(Clone, Debug)]
pub(crate) struct Authority<'g> {
    /// Tier of the best proven grant, or what a proven composition adds to it.
    pub(crate) tier: Tier,
    /// Whether sensitive data are reached, by a proven grant or a proven composition.
    pub(crate) sensitive: Tri,
    /// The strongest grant, or the one that a composition starts with; then the strongest that reaches sensitive data when
    /// that is another one. No other proven grant weighs more.
    pub(crate) decisive: Vec<Grant<'g>>,
    /// Every proven grant, strongest first.
    pub(crate) proven: Vec<Grant<'g>>,
    /// Grants that must be activated first, strongest first. They are among the unproven ones too.
    pub(crate) eligible: Vec<Grant<'g>>,
    /// How it holds the whole tenant by acting as others, when its own grants do not say as much.
    pub(crate) composition: Option<Composition<'g>>,
    /// How it comes to authority of tier P1 by acting as others, when nothing else is proven to give as much.
    pub(crate) part: Option<Composition<'g>>,
    /// How it comes to sensitive data by acting as others, unless `part` leads there or it holds everything. Told only where
    /// it weighs more than its own grants ([`Self::composed_data`]).
    pub(crate) data: Option<Composition<'g>>,
    /// How it comes to what everybody writes and files ([`End::Everybodys`]) by acting as others, when no grant of its own
    /// reaches as much.
    pub(crate) everybodys: Option<Composition<'g>>,
    /// The same of what Exchange may limit ([`End::Mailboxes`]); only where it is proven.
    pub(crate) mailboxes: Option<Composition<'g>>,
    /// Grants that could not be weighed, counted by why.
    pub(crate) unproven: BTreeMap<UnknownReason, usize>,
    /// The next instant at which one of these grants ends by itself.
    pub(crate) changes: Option<Timestamp>,
}

/// The collections in which authority is read.
pub(crate) const COLLECTIONS: [&str; 2] = ["directoryRoleAssignments", "appRoleAssignments"];

/// The collection of memberships of service principals.
pub(crate) const MEMBERS: &str = "groupMembers";

enum Weighed<'g> {
    Proven(Grant<'g>),
    Eligible(Grant<'g>),
    Unproven(UnknownReason),
    Nothing,
}

/// Grants as they stand, before anything is derived.
#[derive(Default)]
struct Held<'g> {
    proven: Vec<Grant<'g>>,
    eligible: Vec<Grant<'g>>,
    unproven: BTreeMap<UnknownReason, usize>,
    changes: Option<Timestamp>,
}

/// What a tenant's authority depends on beside a principal's own grants.
#[derive(Debug)]
struct Tenant {
    /// A group holds a grant: who its members are matters.
    groups_hold: bool,
    /// Best tier that a member of some group could have through it.
    group_tier: Tier,
    group_changes: Option<Timestamp>,
}

/// Every tenant's [`Tenant`], by (system, tenant), and the ways to each.
#[derive(Debug)]
pub(crate) struct Surroundings<'g> {
    tenants: BTreeMap<(&'g str, &'g str), Tenant>,
    nesting: Nesting,
    routes: Routes<'g>,
}

impl<'g> Surroundings<'g> {
    /// Looks at every group once.
    pub(crate) fn new(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp, done: &mut dyn FnMut(RuleStep)) -> Self {
        let (nesting, routes) = (Nesting::new(graph, as_of), Routes::new(graph, config, as_of, done));
        let mut around = Self { tenants: BTreeMap::new(), nesting, routes };
        for ix in graph.node_indexes().filter(|ix| graph.node(*ix).kind == NodeKind::Group) {
            let through = of(graph, ix, as_of, (&around, Through::Roles));
            let holds = !graph.out(ix, EdgeKind::Granted).is_empty();
            let tenant = around.tenant(graph, ix);
            tenant.groups_hold |= holds;
            tenant.group_tier = tenant.group_tier.min(through.could_be());
            tenant.group_changes = earlier(tenant.group_changes, through.changes);
        }
        around
    }

    /// The best tier that a member of some group of that tenant could have through it.
    pub(crate) fn group_tier(&self, system: &str, tenant: &str) -> Tier {
        self.tenants.get(&(system, tenant)).map_or(Tier::P4, |tenant| tenant.group_tier)
    }

    /// The step whose removal cuts most of the ways of all these.
    pub(crate) fn cut(&self, compositions: &[&Composition<'g>]) -> Option<CutOff<'g>> {
        self.routes.cut(compositions)
    }

    /// The next instant at which a grant of some group of that tenant ends by itself.
    pub(crate) fn group_changes(&self, system: &str, tenant: &str) -> Option<Timestamp> {
        self.tenants.get(&(system, tenant)).and_then(|tenant| tenant.group_changes)
    }

    /// Every way to a whole tenant.
    pub(crate) const fn routes(&self) -> &Routes<'g> {
        &self.routes
    }

    fn tenant(&mut self, graph: &'g Graph, ix: NodeIx) -> &mut Tenant {
        let id = &graph.node(ix).id;
        self.tenants.entry((id.system(), id.tenant())).or_insert(Tenant {
            groups_hold: false,
            group_tier: Tier::P4,
            group_changes: None,
        })
    }

    fn at(&self, graph: &'g Graph, ix: NodeIx) -> Option<&Tenant> {
        let id = &graph.node(ix).id;
        self.tenants.get(&(id.system(), id.tenant()))
    }
}

/// The authority of `principal`, with what it has through others as far as the steps that count lead.
pub(crate) fn of<'g>(
    graph: &'g Graph,
    principal: NodeIx,
    as_of: Timestamp,
    (around, through): (&Surroundings<'g>, Through),
) -> Authority<'g> {
    let Held { proven, eligible, unproven, changes } = held(graph, principal, as_of, &around.nesting);
    let best = proven.first().map_or(Tier::P4, |grant| grant.tier);
    let composed = composed(graph, principal, (best, &proven), (around, through));
    let resting = composed.resting();
    let tier = resting.map_or(best, |composition| if composition.end == End::Tenant { Tier::P0 } else { Tier::P1 });
    let decisive = decisive(&proven, resting);
    let reaches = proven.iter().any(|grant| grant.sensitive.is_some());
    let sensitive = if reaches || composed.reaches_data() {
        Tri::True
    } else {
        let weighed = unproven.keys().next().map_or(Tri::True, |reason| Tri::Unknown(*reason));
        let others = composed.data.as_ref().map_or(Tri::True, |composition| composition.state);
        !seen(graph, principal, around).and(weighed).and(others)
    };
    let Composed { tenant: composition, part, data, everybodys, mailboxes } = composed;
    let ways = [&composition, &part, &data, &everybodys, &mailboxes];
    let ends = ways.into_iter().flatten().filter_map(|way| way.ends).min();
    Authority {
        tier,
        sensitive,
        decisive,
        changes: earlier(changes, ends),
        proven,
        eligible,
        composition,
        part,
        data,
        everybodys,
        mailboxes,
        unproven,
    }
}

/// Of proven grants, strongest first, those that are told: beside what the tier rests on, the one that reaches data.
fn decisive<'g>(proven: &[Grant<'g>], resting: Option<&Composition<'g>>) -> Vec<Grant<'g>> {
    let own = |grant: &Grant<'g>| proven.iter().find(|own| std::ptr::eq(own.edge, grant.edge)).unwrap_or(grant).clone();
    let mut decisive: Vec<Grant<'g>> = match resting {
        // An owner's first step is no grant: what it holds beside it decides nothing.
        Some(composition) => composition.first_grant().map(own).into_iter().collect(),
        None => proven.first().cloned().into_iter().collect(),
    };
    // The one that reaches data is told too, unless it stands there already.
    let reaching = proven.iter().find(|grant| grant.sensitive.is_some());
    decisive.extend(reaching.filter(|grant| decisive.iter().all(|told| told.edge != grant.edge)).cloned());
    decisive
}

/// What acting as others adds to what is held, proven or not.
struct Composed<'g> {
    tenant: Option<Composition<'g>>,
    part: Option<Composition<'g>>,
    data: Option<Composition<'g>>,
    everybodys: Option<Composition<'g>>,
    mailboxes: Option<Composition<'g>>,
}

impl<'g> Composed<'g> {
    /// The one that the tier rests on.
    fn resting(&self) -> Option<&Composition<'g>> {
        proven(self.tenant.as_ref()).or_else(|| proven(self.part.as_ref()))
    }

    fn reaches_data(&self) -> bool {
        let by_part = proven(self.part.as_ref()).is_some_and(|part| part.held.sensitive.is_some());
        by_part || proven(self.data.as_ref()).is_some()
    }
}

/// Asked in turn, each unless what is known already says as much and weighs as much as any way could. Who holds the
/// tenant has all of its data, and no more is asked; but for what everybody writes, since a finding rests on that way alone:
/// that more is seen must not take it away.
fn composed<'g>(
    graph: &'g Graph,
    principal: NodeIx,
    (best, grants): (Tier, &[Grant<'g>]),
    (around, through): (&Surroundings<'g>, Through),
) -> Composed<'g> {
    let routes = &around.routes;
    let mut all = Composed { tenant: None, part: None, data: None, everybodys: None, mailboxes: None };
    if through == Through::Roles {
        all.tenant = if best == Tier::P0 { None } else { routes.by_roles(graph, principal) };
        return all;
    }
    let wide = |held: Sensitive| held.is_everybodys() && !held.limited_by_exchange();
    if !grants.iter().any(|grant| grant.sensitive.is_some_and(wide)) {
        all.everybodys = routes.composition(graph, principal, End::Everybodys);
        let mailboxes = routes.composition(graph, principal, End::Mailboxes);
        all.mailboxes = mailboxes.filter(|way| way.state.is_true());
    }
    if best == Tier::P0 {
        return all;
    }
    all.tenant = routes.composition(graph, principal, End::Tenant);
    if proven(all.tenant.as_ref()).is_some() {
        return all;
    }
    if best > Tier::P1 {
        all.part = routes.composition(graph, principal, End::Part);
    }
    if !all.reaches_data() {
        all.data = routes.composition(graph, principal, End::Data);
    }
    all
}

fn proven<'a, 'g>(composition: Option<&'a Composition<'g>>) -> Option<&'a Composition<'g>> {
    composition.filter(|composition| composition.state.is_true())
}

/// Whether all grants of `principal` were seen, its groups' included.
fn seen<'g>(graph: &'g Graph, principal: NodeIx, around: &Surroundings<'g>) -> Tri {
    let own = Tri::all(COLLECTIONS.map(|collection| graph.complete_for(principal, collection).0));
    let by_group = around.at(graph, principal).is_some_and(|tenant| tenant.groups_hold);
    if by_group { own.and(graph.complete_for(principal, MEMBERS).0) } else { own }
}

fn held<'g>(graph: &'g Graph, principal: NodeIx, as_of: Timestamp, nesting: &Nesting) -> Held<'g> {
    let Behind { holders, deeper } = nesting.behind(graph, principal, as_of);
    let mut held = Held::default();
    if deeper {
        held.unproven.insert(UnknownReason::Unsupported, 1);
    }
    for (members, holder) in holders {
        for edge in graph.out(holder, EdgeKind::Granted) {
            held.changes = earlier(held.changes, ends_after(&members, edge, as_of));
            match weigh(graph, &members, edge, as_of) {
                Weighed::Proven(grant) => held.proven.push(grant),
                Weighed::Eligible(grant) => {
                    held.eligible.push(grant);
                    *held.unproven.entry(UnknownReason::DynamicValue).or_default() += 1;
                }
                Weighed::Unproven(reason) => *held.unproven.entry(reason).or_default() += 1,
                Weighed::Nothing => {}
            }
        }
    }
    // Stable: of equal grants the principal's own ones first, then in the order of the graph.
    held.proven.sort_by_key(|grant| (grant.tier, grant.sensitive.is_none()));
    held.eligible.sort_by_key(|grant| grant.tier);
    held
}

/// Ends of the grant and of the memberships that are still to come.
fn ends_after(members: &[&Edge], edge: &Edge, as_of: Timestamp) -> Option<Timestamp> {
    let ends = members.iter().copied().chain([edge]).filter_map(|edge| edge.until);
    ends.filter(|until| *until > as_of).min()
}

fn weigh<'g>(graph: &'g Graph, members: &[&'g Edge], edge: &'g Edge, as_of: Timestamp) -> Weighed<'g> {
    let all = || members.iter().copied().chain([edge]);
    match Tri::all(all().map(|edge| edge.holds(as_of))) {
        Tri::False => Weighed::Nothing,
        Tri::True => meant(graph, members, edge),
        Tri::Unknown(reason) if all().any(|edge| edge.condition.is_some()) => Weighed::Unproven(reason),
        // Without a condition: it only has to be activated.
        Tri::Unknown(reason) => match meant(graph, members, edge) {
            Weighed::Proven(grant) => Weighed::Eligible(grant),
            Weighed::Unproven(_) => Weighed::Unproven(reason),
            other => other,
        },
    }
}

/// What a grant amounts to, if it holds.
fn meant<'g>(graph: &'g Graph, members: &[&'g Edge], edge: &'g Edge) -> Weighed<'g> {
    let Some(role) = edge.role.as_deref() else { return Weighed::Unproven(UnknownReason::NotCollected) };
    match graph.node(edge.to).kind {
        NodeKind::System => directory_role(members, edge, role),
        NodeKind::ServicePrincipal if role == tiers::DEFAULT_ACCESS => Weighed::Nothing,
        NodeKind::ServicePrincipal if members.is_empty() => permission(graph, edge, role),
        // An application permission is never a member's through its group.
        _ => Weighed::Unproven(UnknownReason::Unsupported),
    }
}

/// A grant as it reads, whether it holds or not. None when the tables do not know it.
pub(crate) fn described<'g>(graph: &'g Graph, members: &[&'g Edge], edge: &'g Edge) -> Option<Grant<'g>> {
    match meant(graph, members, edge) {
        Weighed::Proven(grant) => Some(grant),
        Weighed::Eligible(_) | Weighed::Unproven(_) | Weighed::Nothing => None,
    }
}

fn directory_role<'g>(members: &[&'g Edge], edge: &'g Edge, role: &str) -> Weighed<'g> {
    let Some(known) = tiers::directory_role(role) else { return Weighed::Unproven(UnknownReason::Unsupported) };
    let Some(scope) = edge.scope.as_deref() else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let bounded = scope != "/";
    // A role over an administrative unit or one object is not a role over the tenant.
    let tier = if bounded { known.tier.max(Tier::P2) } else { known.tier };
    Weighed::Proven(grant(members, edge, known, (tier, bounded)))
}

fn permission<'g>(graph: &Graph, edge: &'g Edge, role: &str) -> Weighed<'g> {
    let resource = graph.node(edge.to);
    let Some(app_id) = resource.text(attr::APP_ID) else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let Some(known) = tiers::permission_of(app_id, role) else {
        return Weighed::Unproven(UnknownReason::Unsupported);
    };
    Weighed::Proven(grant(&[], edge, known, (known.tier, false)))
}

fn grant<'g>(members: &[&'g Edge], edge: &'g Edge, known: &Known, (tier, bounded): (Tier, bool)) -> Grant<'g> {
    Grant {
        edge,
        members: members.to_vec(),
        role: known.name.to_owned(),
        tier,
        sensitive: known.sensitive,
        bounded,
        adds_credentials: known.adds_credentials,
    }
}

/// A grant of an unknown role on what the customer declared to be sensitive: what the role allows is not weighed.
pub(crate) fn unweighed(edge: &Edge, role: String, sensitive: Sensitive) -> Grant<'_> {
    Grant {
        edge,
        members: Vec::new(),
        role,
        tier: Tier::P4,
        sensitive: Some(sensitive),
        bounded: false,
        adds_credentials: false,
    }
}

/// The lesser of two instants that may be missing.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

impl Grant<'_> {
    /// Its class, and whether it reaches sensitive data.
    pub(crate) fn weight(&self) -> (Tier, Tri) {
        (self.tier, Tri::from(self.sensitive.is_some()))
    }

    /// `Application Administrator over the whole tenant`, `Mail.Send`.
    pub(crate) fn short(&self, graph: &Graph) -> String {
        match (self.edge.scope.as_deref(), graph.node(self.edge.to).kind) {
            (Some(scope), NodeKind::System) if self.bounded => format!("{} on {}", self.role, display_name(scope)),
            (_, NodeKind::System) => format!("{} over the whole tenant", self.role),
            _ => self.role.clone(),
        }
    }

    /// `the directory role Application Administrator over the whole tenant`.
    pub(crate) fn sentence(&self, graph: &Graph) -> String {
        let kind = match graph.node(self.edge.to).kind {
            NodeKind::System => "directory role",
            _ => "application permission",
        };
        format!("the {kind} {}", self.short(graph))
    }

    /// Name of the group that holds it.
    pub(crate) fn group(&self, graph: &Graph) -> Option<String> {
        let group = graph.node(self.members.last()?.to);
        Some(display_name(group.text(attr::NAME).unwrap_or_else(|| group.id.vendor_id())))
    }
}

impl<'g> Authority<'g> {
    /// Whether it is strong or sensitive enough to be a finding's subject: at least bounded writes, or sensitive data.
    pub(crate) fn in_lane(&self) -> bool {
        self.tier <= Tier::P2 || self.sensitive.is_true()
    }

    /// The best tier that cannot be ruled out: who adds credentials has the tenant wherever an application that was not
    /// seen, or whose lock is not known, holds it.
    pub(crate) fn could_be(&self) -> Tier {
        let adds = self.proven.iter().any(|grant| grant.adds_credentials && !grant.bounded);
        if adds { Tier::P0 } else { self.tier }
    }

    /// The composition that its tier rests on.
    pub(crate) fn composed(&self) -> Option<&Composition<'g>> {
        proven(self.composition.as_ref()).or_else(|| proven(self.part.as_ref()))
    }

    /// The composition beside it by which it reaches sensitive data: it weighs more than every grant of its own that does.
    pub(crate) fn composed_data(&self) -> Option<&Composition<'g>> {
        let own = self.proven.iter().find(|grant| grant.sensitive.is_some());
        proven(self.data.as_ref()).filter(|way| own.is_none_or(|grant| way.tier < grant.tier))
    }

    /// What is told, once grants that it holds turned out to reach sensitive data.
    pub(crate) fn declared(&mut self) {
        self.proven.sort_by_key(|grant| (grant.tier, grant.sensitive.is_none()));
        if self.proven.iter().any(|grant| grant.sensitive.is_some()) {
            self.sensitive = Tri::True;
        }
        self.decisive = decisive(&self.proven, self.composed());
    }

    /// Every composition that what is said of it rests on: of its tier, then of its data.
    pub(crate) fn compositions(&self) -> impl Iterator<Item = &Composition<'g>> {
        self.composed().into_iter().chain(self.composed_data())
    }
}
