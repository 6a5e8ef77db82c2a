//! What a principal may do, as far as it is proven: its best tier and the sensitive data that it reaches.
//!
//! Grants count that are active, without a condition and not past their end: the principal's own, and directory roles
//! of groups that it is a member of. A grant that is eligible, conditional or of a role that the tables do not know is
//! kept as unproven: it is told, and raises nothing.
//!
//! One composition is derived ([`Takeover`]): whoever may add a credential to any application of a tenant can act as an
//! application that holds the whole tenant, where there is one that accepts credentials.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, EdgeState, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::sensitive::Sensitive;
use crate::severity::Tier;
use crate::text::display_name;
use crate::tiers::{self, Known};

/// One proven grant.
#[derive(Clone, Debug)]
pub(crate) struct Grant<'g> {
    pub(crate) edge: &'g Edge,
    /// The membership through which the principal has it, when a group holds it.
    pub(crate) member: Option<&'g Edge>,
    /// Role or permission, for people.
    pub(crate) role: String,
    pub(crate) tier: Tier,
    pub(crate) sensitive: Option<Sensitive>,
    /// Directory role, and not over the whole tenant.
    pub(crate) bounded: bool,
    /// Lets its holder add a credential to any application of the tenant.
    adds_credentials: bool,
}

/// By adding a credential, the holder of `by` can act as `target`, which holds the whole tenant.
#[derive(Clone, Debug)]
pub(crate) struct Takeover<'g> {
    pub(crate) by: Grant<'g>,
    /// A service principal of the same tenant.
    pub(crate) target: NodeIx,
    /// Its application, where the credential goes.
    pub(crate) application: NodeIx,
    /// What `target` holds.
    pub(crate) held: Grant<'g>,
    /// Whether it accepts credentials.
    pub(crate) accepts: Tri,
}

/// All that is known of a principal's authority.
#[derive(Clone, Debug)]
pub(crate) struct Authority<'g> {
    /// Tier of the best proven grant, or what a proven takeover adds to it.
    pub(crate) tier: Tier,
    /// Whether a proven grant reaches sensitive data.
    pub(crate) sensitive: Tri,
    /// The strongest grant, then the one that reaches sensitive data when that is another one.
    pub(crate) decisive: Vec<Grant<'g>>,
    /// Every proven grant, strongest first.
    pub(crate) proven: Vec<Grant<'g>>,
    /// Grants that must be activated first, strongest first. They are among the unproven ones too.
    pub(crate) eligible: Vec<Grant<'g>>,
    /// A takeover that is proven, or that would be if the target's lock were known. None when the grants say as much.
    pub(crate) takeover: Option<Takeover<'g>>,
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
struct Tenant<'g> {
    /// A group holds a grant: who its members are matters.
    groups_hold: bool,
    /// Best tier that a member of some group could have through it.
    group_tier: Tier,
    group_changes: Option<Timestamp>,
    /// Service principals that hold the whole tenant and do not provably refuse credentials: first those that accept
    /// them, then those of which it is not known, each in the order of ids.
    targets: Vec<Target<'g>>,
}

#[derive(Debug)]
struct Target<'g> {
    ix: NodeIx,
    application: NodeIx,
    held: Grant<'g>,
    accepts: Tri,
}

/// Every tenant's [`Tenant`], by (system, tenant).
#[derive(Debug)]
pub(crate) struct Surroundings<'g> {
    tenants: BTreeMap<(&'g str, &'g str), Tenant<'g>>,
}

impl<'g> Surroundings<'g> {
    /// Looks at every principal once.
    pub(crate) fn new(graph: &'g Graph, as_of: Timestamp) -> Self {
        let mut around = Self { tenants: BTreeMap::new() };
        for ix in graph.node_indexes() {
            if let Some(target) = target(graph, ix, as_of) {
                around.tenant(graph, ix).targets.push(target);
            }
        }
        // Stable: those that surely accept credentials first, so that nobody who looks for one passes all others.
        for tenant in around.tenants.values_mut() {
            tenant.targets.sort_by_key(|target| !target.accepts.is_true());
        }
        for ix in graph.node_indexes().filter(|ix| graph.node(*ix).kind == NodeKind::Group) {
            let through = of(graph, ix, as_of, &around);
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

    /// The next instant at which a grant of some group of that tenant ends by itself.
    pub(crate) fn group_changes(&self, system: &str, tenant: &str) -> Option<Timestamp> {
        self.tenants.get(&(system, tenant)).and_then(|tenant| tenant.group_changes)
    }

    fn tenant(&mut self, graph: &'g Graph, ix: NodeIx) -> &mut Tenant<'g> {
        let id = &graph.node(ix).id;
        self.tenants.entry((id.system(), id.tenant())).or_insert(Tenant {
            groups_hold: false,
            group_tier: Tier::P4,
            group_changes: None,
            targets: Vec::new(),
        })
    }

    fn at(&self, graph: &'g Graph, ix: NodeIx) -> Option<&Tenant<'g>> {
        let id = &graph.node(ix).id;
        self.tenants.get(&(id.system(), id.tenant()))
    }
}

/// A service principal of the tenant's own, enabled, that holds the whole tenant. Managed identities accept no
/// credentials; what a foreign application accepts is decided where it lives.
fn target(graph: &Graph, ix: NodeIx, as_of: Timestamp) -> Option<Target<'_>> {
    let node = graph.node(ix);
    let own = node.text(attr::HOME_TENANT).is_some_and(|home| home.eq_ignore_ascii_case(node.id.tenant()));
    let runs = node.flag(attr::ENABLED) == Some(true) && node.flag(attr::VENDOR_DISABLED) != Some(true);
    if node.kind != NodeKind::ServicePrincipal || !own || !runs {
        return None;
    }
    let held = held(graph, ix, as_of).proven.into_iter().find(|grant| grant.tier == Tier::P0)?;
    let application = graph.incoming(ix, EdgeKind::Instantiates).next()?.from;
    let accepts = !graph.node(application).is(attr::CREDENTIALS_LOCKED);
    (!accepts.is_false()).then_some(Target { ix, application, held, accepts })
}

/// The authority of `principal`.
pub(crate) fn of<'g>(
    graph: &'g Graph,
    principal: NodeIx,
    as_of: Timestamp,
    around: &Surroundings<'g>,
) -> Authority<'g> {
    let Held { proven, eligible, unproven, changes } = held(graph, principal, as_of);
    let best = proven.first().map_or(Tier::P4, |grant| grant.tier);
    let takeover = if best == Tier::P0 { None } else { takeover(graph, principal, &proven, around) };
    let composed = takeover.as_ref().filter(|takeover| takeover.accepts.is_true());
    let reach = proven.iter().position(|grant| grant.sensitive.is_some());
    let sensitive = if reach.is_some() {
        Tri::True
    } else {
        let weighed = unproven.keys().next().map_or(Tri::True, |reason| Tri::Unknown(*reason));
        !seen(graph, principal, around).and(weighed)
    };
    let mut decisive: Vec<Grant<'g>> =
        composed.map(|takeover| takeover.by.clone()).or_else(|| proven.first().cloned()).into_iter().collect();
    // The one that reaches data is told too, unless it stands there already.
    let reaching = reach.and_then(|at| proven.get(at));
    decisive.extend(reaching.filter(|grant| decisive.iter().all(|told| told.edge != grant.edge)).cloned());
    Authority {
        tier: if composed.is_some() { Tier::P0 } else { best },
        sensitive,
        decisive,
        changes: earlier(changes, takeover.as_ref().and_then(|takeover| takeover.held.ends_after(as_of))),
        proven,
        eligible,
        takeover,
        unproven,
    }
}

/// Whether all grants of `principal` were seen, its groups' included.
fn seen<'g>(graph: &'g Graph, principal: NodeIx, around: &Surroundings<'g>) -> Tri {
    let own = Tri::all(COLLECTIONS.map(|collection| graph.complete_for(principal, collection).0));
    let by_group = around.at(graph, principal).is_some_and(|tenant| tenant.groups_hold);
    if by_group { own.and(graph.complete_for(principal, MEMBERS).0) } else { own }
}

/// A proven one before one whose lock is not known; among equals the first in the order of ids.
fn takeover<'g>(
    graph: &'g Graph,
    principal: NodeIx,
    proven: &[Grant<'g>],
    around: &Surroundings<'g>,
) -> Option<Takeover<'g>> {
    let by = proven.iter().find(|grant| grant.adds_credentials && !grant.bounded)?;
    let mut targets = around.at(graph, principal).into_iter().flat_map(|tenant| &tenant.targets);
    let target = targets.find(|target| target.ix != principal)?;
    Some(Takeover {
        by: by.clone(),
        target: target.ix,
        application: target.application,
        held: target.held.clone(),
        accepts: target.accepts,
    })
}

fn held(graph: &Graph, principal: NodeIx, as_of: Timestamp) -> Held<'_> {
    let direct = graph.out(principal, EdgeKind::Granted).iter().map(|edge| (None, edge));
    let through = graph
        .out(principal, EdgeKind::MemberOf)
        .iter()
        .flat_map(|member| graph.out(member.to, EdgeKind::Granted).iter().map(move |edge| (Some(member), edge)));
    let mut held = Held::default();
    for (member, edge) in direct.chain(through) {
        held.changes = earlier(held.changes, ends_after(member, edge, as_of));
        match weigh(graph, member, edge, as_of) {
            Weighed::Proven(grant) => held.proven.push(grant),
            Weighed::Eligible(grant) => {
                held.eligible.push(grant);
                *held.unproven.entry(UnknownReason::DynamicValue).or_default() += 1;
            }
            Weighed::Unproven(reason) => *held.unproven.entry(reason).or_default() += 1,
            Weighed::Nothing => {}
        }
    }
    // Stable: of equal grants the principal's own ones first, then in the order of the graph.
    held.proven.sort_by_key(|grant| (grant.tier, grant.sensitive.is_none()));
    held.eligible.sort_by_key(|grant| grant.tier);
    held
}

/// Ends of the grant and of the membership that are still to come.
fn ends_after(member: Option<&Edge>, edge: &Edge, as_of: Timestamp) -> Option<Timestamp> {
    [Some(edge), member].into_iter().flatten().filter_map(|edge| edge.until).filter(|until| *until > as_of).min()
}

fn weigh<'g>(graph: &'g Graph, member: Option<&'g Edge>, edge: &'g Edge, as_of: Timestamp) -> Weighed<'g> {
    let all = || [Some(edge), member].into_iter().flatten();
    let over = |edge: &Edge| edge.state == EdgeState::Disabled || edge.until.is_some_and(|until| until <= as_of);
    if all().any(over) {
        return Weighed::Nothing;
    }
    let eligible = all().any(|edge| edge.state == EdgeState::Eligible);
    let weighed = match edge.role.as_deref() {
        _ if all().any(|edge| edge.condition.is_some()) => Weighed::Unproven(UnknownReason::Unparsable),
        None => Weighed::Unproven(UnknownReason::NotCollected),
        Some(role) => match (graph.node(edge.to).kind, member) {
            (NodeKind::System, _) => directory_role(member, edge, role),
            (NodeKind::ServicePrincipal, _) if role == tiers::DEFAULT_ACCESS => Weighed::Nothing,
            (NodeKind::ServicePrincipal, None) => permission(graph, edge, role),
            // An application permission is never a member's through its group.
            _ => Weighed::Unproven(UnknownReason::Unsupported),
        },
    };
    match weighed {
        Weighed::Proven(grant) if eligible => Weighed::Eligible(grant),
        Weighed::Unproven(_) if eligible => Weighed::Unproven(UnknownReason::DynamicValue),
        other => other,
    }
}

fn directory_role<'g>(member: Option<&'g Edge>, edge: &'g Edge, role: &str) -> Weighed<'g> {
    let Some(known) = tiers::directory_role(role) else { return Weighed::Unproven(UnknownReason::Unsupported) };
    let Some(scope) = edge.scope.as_deref() else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let bounded = scope != "/";
    // A role over an administrative unit or one object is not a role over the tenant.
    let tier = if bounded { known.tier.max(Tier::P2) } else { known.tier };
    Weighed::Proven(grant(member, edge, known, tier, bounded))
}

fn permission<'g>(graph: &Graph, edge: &'g Edge, role: &str) -> Weighed<'g> {
    let resource = graph.node(edge.to);
    let Some(app_id) = resource.text(attr::APP_ID) else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let Some(known) = tiers::permission_of(app_id, role) else {
        return Weighed::Unproven(UnknownReason::Unsupported);
    };
    Weighed::Proven(grant(None, edge, known, known.tier, false))
}

fn grant<'g>(member: Option<&'g Edge>, edge: &'g Edge, known: &Known, tier: Tier, bounded: bool) -> Grant<'g> {
    Grant {
        edge,
        member,
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
        member: None,
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
        let group = graph.node(self.member?.to);
        Some(display_name(group.text(attr::NAME).unwrap_or_else(|| group.id.vendor_id())))
    }

    fn ends_after(&self, as_of: Timestamp) -> Option<Timestamp> {
        ends_after(self.member, self.edge, as_of)
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

    /// The takeover that its tier rests on.
    pub(crate) fn composed(&self) -> Option<&Takeover<'g>> {
        self.takeover.as_ref().filter(|takeover| takeover.accepts.is_true())
    }
}
