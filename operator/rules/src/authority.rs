//! What a principal may do, as far as it is proven: its best tier and the sensitive data that it reaches.
//!
//! Only active grants without a condition count. A grant that is eligible, conditional or of a role that the tables do
//! not know is kept as unproven: it is told, and raises nothing.

use std::collections::BTreeMap;

use sv0_graph::{Edge, EdgeKind, EdgeState, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::severity::Tier;
use crate::text::display_name;
use crate::tiers::{self, SensitiveDomain};

/// One proven grant.
#[derive(Clone, Debug)]
pub(crate) struct Grant<'g> {
    pub(crate) edge: &'g Edge,
    /// Role or permission, for people.
    pub(crate) role: String,
    pub(crate) tier: Tier,
    pub(crate) sensitive: Option<SensitiveDomain>,
    /// Directory role, and not over the whole tenant.
    pub(crate) bounded: bool,
}

/// All that is known of a principal's authority.
#[derive(Clone, Debug)]
pub(crate) struct Authority<'g> {
    /// Tier of the best proven grant.
    pub(crate) tier: Tier,
    /// Whether a proven grant reaches sensitive data.
    pub(crate) sensitive: Tri,
    /// The strongest grant, then the one that reaches sensitive data when that is another one.
    pub(crate) decisive: Vec<Grant<'g>>,
    /// Grants that could not be weighed, counted by why.
    pub(crate) unproven: BTreeMap<UnknownReason, usize>,
}

/// The collections in which authority is read.
pub(crate) const COLLECTIONS: [&str; 2] = ["directoryRoleAssignments", "appRoleAssignments"];

enum Weighed<'g> {
    Proven(Grant<'g>),
    Unproven(UnknownReason),
    Nothing,
}

/// The authority that `principal` holds by itself.
pub(crate) fn of(graph: &Graph, principal: NodeIx) -> Authority<'_> {
    let mut proven = Vec::new();
    let mut unproven = BTreeMap::new();
    for edge in graph.out(principal, EdgeKind::Granted) {
        match weigh(graph, edge) {
            Weighed::Proven(grant) => proven.push(grant),
            Weighed::Unproven(reason) => *unproven.entry(reason).or_default() += 1,
            Weighed::Nothing => {}
        }
    }
    // Stable: of equal grants the first in the order of the graph.
    proven.sort_by_key(|grant| (grant.tier, grant.sensitive.is_none()));
    let tier = proven.first().map_or(Tier::P4, |grant| grant.tier);
    let reach = proven.iter().position(|grant| grant.sensitive.is_some());
    let sensitive = if reach.is_some() {
        Tri::True
    } else {
        let seen = Tri::all(COLLECTIONS.map(|collection| graph.complete_for(principal, collection).0));
        let weighed = unproven.keys().next().map_or(Tri::True, |reason| Tri::Unknown(*reason));
        !seen.and(weighed)
    };
    let keep = |at: &usize| *at == 0 || Some(*at) == reach;
    let decisive = proven.into_iter().enumerate().filter(|(at, _)| keep(at)).map(|(_, grant)| grant).collect();
    Authority { tier, sensitive, decisive, unproven }
}

fn weigh<'g>(graph: &'g Graph, edge: &'g Edge) -> Weighed<'g> {
    match edge.state {
        EdgeState::Active => {}
        EdgeState::Eligible => return Weighed::Unproven(UnknownReason::DynamicValue),
        EdgeState::Disabled => return Weighed::Nothing,
    }
    if edge.condition.is_some() {
        return Weighed::Unproven(UnknownReason::Unparsable);
    }
    let Some(role) = edge.role.as_deref() else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let target = graph.node(edge.to);
    match target.kind {
        NodeKind::System => directory_role(edge, role),
        NodeKind::ServicePrincipal if role == tiers::DEFAULT_ACCESS => Weighed::Nothing,
        NodeKind::ServicePrincipal => permission(graph, edge, role),
        _ => Weighed::Unproven(UnknownReason::Unsupported),
    }
}

fn directory_role<'g>(edge: &'g Edge, role: &str) -> Weighed<'g> {
    let Some(known) = tiers::directory_role(role) else { return Weighed::Unproven(UnknownReason::Unsupported) };
    let Some(scope) = edge.scope.as_deref() else { return Weighed::Unproven(UnknownReason::NotCollected) };
    let bounded = scope != "/";
    // A role over an administrative unit or one object is not a role over the tenant.
    let tier = if bounded { known.tier.max(Tier::P2) } else { known.tier };
    Weighed::Proven(Grant { edge, role: known.name.to_owned(), tier, sensitive: None, bounded })
}

fn permission<'g>(graph: &Graph, edge: &'g Edge, role: &str) -> Weighed<'g> {
    let resource = graph.node(edge.to);
    let Some(app_id) = resource.text(attr::APP_ID) else { return Weighed::Unproven(UnknownReason::NotCollected) };
    if !app_id.eq_ignore_ascii_case(tiers::MICROSOFT_GRAPH) {
        return Weighed::Unproven(UnknownReason::Unsupported);
    }
    let Some(known) = tiers::graph_permission(role) else { return Weighed::Unproven(UnknownReason::Unsupported) };
    Weighed::Proven(Grant {
        edge,
        role: known.name.to_owned(),
        tier: known.tier,
        sensitive: known.sensitive,
        bounded: false,
    })
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
}

impl Authority<'_> {
    /// Whether it is strong or sensitive enough to be a finding's subject: at least bounded writes, or sensitive data.
    pub(crate) fn in_lane(&self) -> bool {
        self.tier <= Tier::P2 || self.sensitive.is_true()
    }
}
