//! Who answers for an identity: the recorded owners of it and of its application, and whether they are still there.
//!
//! A record that is switched off or over names nobody. An owner whose account could not be read, or of whose record it is
//! not known whether it holds, is unresolved, never gone. A group's members are not followed; a service
//! principal as owner answers only through people who own it. Microsoft's directory removes deleted users from owner
//! lists, so that "gone" is only ever said of an owner that is still listed.

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::evidence::{self, Proof};
use crate::finding::{Accountable, AccountableState, EvidenceClass, Party};
use crate::identity::{AGENTS, Home};
use crate::text::{counted, display_name};

/// Records that name who answers.
pub(crate) const ANSWERS: [EdgeKind; 2] = [EdgeKind::Owns, EdgeKind::Sponsors];

/// The collection of sponsors of agent identities and blueprints.
pub(crate) const SPONSORS: &str = "agentIdentitySponsors";

/// Most parties that a finding lists.
const MAX_PARTIES: usize = 5;

/// State of a recorded owner. Ordered as parties are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnerState {
    Active,
    Guest,
    Unresolved(UnknownReason),
    Disabled,
    Deleted,
}

impl OwnerState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Guest => "guest",
            Self::Unresolved(_) => "unresolved",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) const fn gone(self) -> bool {
        matches!(self, Self::Disabled | Self::Deleted)
    }

    pub(crate) const fn answers(self) -> bool {
        matches!(self, Self::Active | Self::Guest)
    }
}

/// One recorded owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'g> {
    pub(crate) ix: NodeIx,
    pub(crate) state: OwnerState,
    /// The record: it leads to the identity or to its application. It holds, or may.
    pub(crate) edge: &'g Edge,
}

/// All recorded owners.
#[derive(Clone, Debug)]
pub(crate) struct Owners<'g> {
    /// In the order of identities, each once.
    pub(crate) list: Vec<Owner<'g>>,
    /// Whether every owner list that counts was read to its end.
    pub(crate) complete: Tri,
}

/// Owners of the identity at `ix` and of its application; of an agent identity and its blueprint the sponsors too.
pub(crate) fn of<'g>(
    graph: &'g Graph,
    ix: NodeIx,
    application: Option<&'g Edge>,
    home: Home,
    as_of: Timestamp,
) -> Owners<'g> {
    let objects = application.map(|edge| edge.from).into_iter().chain([ix]);
    let kinds: &[EdgeKind] = if graph.node(ix).kind == NodeKind::AgentIdentity { &ANSWERS } else { &[EdgeKind::Owns] };
    let all = kinds.iter().flat_map(|kind| objects.clone().map(move |object| (object, *kind)));
    let mut list: Vec<Owner<'g>> = all.flat_map(|(object, kind)| recorded(graph, object, &[kind], as_of)).collect();
    // Stable: the application's record of an owner stays in front of the service principal's, and both of a sponsor's. One
    // that holds stands before one that may.
    list.sort_by_key(|owner| (owner.ix, owner.edge.holds(as_of).is_unknown()));
    list.dedup_by_key(|owner| owner.ix);
    let mut complete =
        Tri::all(kinds.iter().flat_map(|kind| objects.clone().map(|object| listed(graph, object, *kind))));
    if application.is_none() {
        complete = complete.and(no_other(graph, ix, home));
    }
    Owners { list, complete }
}

/// Whether the identity at `ix`, whose application was not seen, has none that somebody could own.
fn no_other(graph: &Graph, ix: NodeIx, home: Home) -> Tri {
    match (home, graph.node(ix).kind) {
        // Its application, and who owns that, stands in a tenant that this scan does not see.
        (Home::Foreign | Home::Trusted | Home::Unknown, _) => Tri::Unknown(UnknownReason::NotCollected),
        (Home::Own, NodeKind::ServicePrincipal) => graph.complete_for(ix, "applications").0,
        (Home::Own, NodeKind::AgentIdentity) => Tri::all(AGENTS.map(|name| graph.complete_for(ix, name).0)),
        (Home::Own | Home::Microsoft, _) => Tri::True,
    }
}

/// Records of `kinds` on one object, without those that are switched off or over.
pub(crate) fn recorded<'g>(graph: &'g Graph, object: NodeIx, kinds: &[EdgeKind], as_of: Timestamp) -> Vec<Owner<'g>> {
    let edges = kinds.iter().flat_map(|kind| graph.incoming(object, *kind));
    let owner = |edge: &'g Edge| {
        let state = match edge.holds(as_of) {
            Tri::True => state(graph, edge.from, Some(as_of)),
            Tri::Unknown(reason) => OwnerState::Unresolved(reason),
            Tri::False => return None,
        };
        Some(Owner { ix: edge.from, state, edge })
    };
    edges.filter_map(owner).collect()
}

/// Whether the owners (or sponsors) of one object were all read.
pub(crate) fn listed(graph: &Graph, object: NodeIx, kind: EdgeKind) -> Tri {
    let (collection, count) = match kind {
        EdgeKind::Sponsors => (SPONSORS, attr::SPONSOR_COUNT),
        _ => (collection(graph.node(object).kind), attr::OWNER_COUNT),
    };
    let (state, _) = graph.complete_for(object, collection);
    let seen = graph.incoming(object, kind).count();
    let whole = match graph.node(object).count(count) {
        Some(count) if usize::try_from(count) == Ok(seen) => Tri::True,
        // More were counted than could be told apart: who the others are is not known.
        Some(_) => Tri::Unknown(UnknownReason::Partial),
        // The list of this object was not read to its end, or such objects have none by design.
        None => Tri::Unknown(UnknownReason::NotCollected),
    };
    state.and(whole)
}

/// The collection in which the owners of such an object are read.
pub(crate) const fn collection(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Application => "applicationOwners",
        _ => "servicePrincipalOwners",
    }
}

/// Whether a party is still there; `through_at` looks through a service principal at who owns it at that instant.
pub(crate) fn state(graph: &Graph, owner: NodeIx, through_at: Option<Timestamp>) -> OwnerState {
    let node = graph.node(owner);
    if node.fact(attr::DELETED_AT).is_some() {
        return OwnerState::Deleted;
    }
    match (node.kind, node.flag(attr::ENABLED), through_at) {
        (_, Some(false), _) => OwnerState::Disabled,
        (NodeKind::Human, Some(true), _) if node.text(attr::USER_TYPE) == Some("Guest") => OwnerState::Guest,
        (NodeKind::Human, Some(true), _) => OwnerState::Active,
        (NodeKind::Human, None, _) => OwnerState::Unresolved(unread(graph, owner)),
        (NodeKind::ServicePrincipal | NodeKind::ManagedIdentity, _, Some(as_of)) => through(graph, owner, as_of),
        _ => OwnerState::Unresolved(UnknownReason::Unsupported),
    }
}

fn unread(graph: &Graph, owner: NodeIx) -> UnknownReason {
    match graph.complete_for(owner, "ownerAccounts").0 {
        Tri::Unknown(reason) => reason,
        Tri::True | Tri::False => UnknownReason::NotCollected,
    }
}

/// A service principal answers when an active person owns it; nothing else is concluded from it.
fn through(graph: &Graph, owner: NodeIx, as_of: Timestamp) -> OwnerState {
    owners_of_owner(graph, owner)
        .filter(|edge| edge.holds(as_of).is_true())
        .map(|edge| state(graph, edge.from, None))
        .filter(|state| state.answers())
        .min()
        .unwrap_or(OwnerState::Unresolved(UnknownReason::Unsupported))
}

/// Records of who owns a service principal that is an owner itself, or its application.
pub(crate) fn owners_of_owner(graph: &Graph, owner: NodeIx) -> impl Iterator<Item = &Edge> {
    let application = graph.incoming(owner, EdgeKind::Instantiates).next().map(|edge| edge.from);
    application.into_iter().chain([owner]).flat_map(|object| graph.incoming(object, EdgeKind::Owns))
}

/// Why some of these are neither there nor gone, as a sentence.
pub(crate) fn unresolved<'a>(mut owners: impl Iterator<Item = &'a Owner<'a>>, as_of: Timestamp) -> &'static str {
    if owners.any(|owner| owner.edge.holds(as_of).is_unknown()) {
        "Whether a record of them holds is not known, or an account could not be resolved."
    } else {
        "The account could not be resolved to an active or a disabled person."
    }
}

/// The fact that shows an owner's state; the record of ownership when there is none.
pub(crate) fn proof(graph: &Graph, owner: &Owner<'_>) -> Proof {
    let name = name(graph, owner.ix).unwrap_or_else(|| display_name(graph.node(owner.ix).id.vendor_id()));
    let role = if owner.edge.kind == EdgeKind::Sponsors { "sponsor" } else { "owner" };
    let (key, says) = match owner.state {
        OwnerState::Deleted => (attr::DELETED_AT, "is deleted"),
        OwnerState::Disabled => (attr::ENABLED, "is disabled"),
        OwnerState::Active | OwnerState::Guest => (attr::ENABLED, "is active"),
        OwnerState::Unresolved(_) => ("", "could not be resolved"),
    };
    evidence::of_fact(graph, owner.ix, key, EvidenceClass::Direct, format!("The {role} \"{name}\" {says}."))
        .unwrap_or_else(|| {
            evidence::of_edge(
                graph,
                owner.edge,
                EvidenceClass::Direct,
                format!("The recorded {role} \"{name}\" {says}."),
            )
        })
}

/// Address of a party, or else its name.
pub(crate) fn name(graph: &Graph, ix: NodeIx) -> Option<String> {
    let node = graph.node(ix);
    node.text(attr::ADDRESS).or_else(|| node.text(attr::NAME)).map(display_name)
}

impl Owners<'_> {
    /// Who answers, in the form that findings carry.
    pub(crate) fn accountable(&self, graph: &Graph) -> Accountable {
        let mut ordered: Vec<&Owner<'_>> = self.list.iter().collect();
        ordered.sort_by_key(|owner| (owner.state, owner.ix));
        let party = |owner: &&Owner<'_>| Party {
            id: graph.node(owner.ix).id.to_string(),
            name: name(graph, owner.ix),
            state: owner.state.as_str().to_owned(),
        };
        let (state, reason) = self.state();
        Accountable {
            state,
            parties: ordered.iter().take(MAX_PARTIES).map(party).collect(),
            total: i32::try_from(self.list.len()).unwrap_or(i32::MAX),
            reason,
        }
    }

    fn state(&self) -> (AccountableState, Option<String>) {
        if self.list.iter().any(|owner| owner.state.answers()) {
            return (AccountableState::Active, None);
        }
        if let Tri::Unknown(reason) = self.complete {
            return (AccountableState::Unknown, Some(format!("Not all owners are known: {}.", reason.sentence())));
        }
        if self.list.is_empty() {
            return (AccountableState::NotRecorded, None);
        }
        let unresolved = self.list.iter().filter(|owner| !owner.state.gone()).count();
        if unresolved == 0 {
            return (AccountableState::Gone, None);
        }
        let count = counted(unresolved, "recorded owner", "recorded owners");
        // No account is unresolved for these reasons.
        let of_record = |reason| matches!(reason, UnknownReason::DynamicValue | UnknownReason::Unparsable);
        let by_record = |owner: &Owner<'_>| matches!(owner.state, OwnerState::Unresolved(reason) if of_record(reason));
        let what = if self.list.iter().any(by_record) { "The record or the account" } else { "The account" };
        (AccountableState::Unknown, Some(format!("{what} of {count} could not be resolved.")))
    }
}
