//! `owner-credentials`: an identity that owns an application can act as it.
//!
//! Signed in without a user, an owner needs a permission to change what it owns: with `Application.ReadWrite.OwnedBy` it
//! adds a credential to the application, or to the service principal where the application does not lock them. People who
//! own applications run nothing unattended; UNB-011 is about them.

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, attr};

use super::{Derivation, Fact, Overlay, Target, accepts, unlocked};
use crate::tiers::MICROSOFT_GRAPH;

/// App role id of `Application.ReadWrite.OwnedBy`: manages the applications and service principals that it owns.
const MANAGES_OWNED: &str = "18a4783c-866b-4cc7-a460-3d5e5662c884";

pub(super) const DERIVATION: Derivation = Derivation {
    id: "owner-credentials",
    version: 1,
    needs: &["applications", "servicePrincipals", "applicationOwners", "servicePrincipalOwners", "appRoleAssignments"],
    gives: "An identity that owns an application or its service principal, and may manage what it owns, can act as it.",
    trap: "Ownership alone lets no identity add a credential without a user; an application's lock protects its service \
           principals, not itself.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    let graph = overlay.graph;
    for edge in overlay.edges(EdgeKind::Owns) {
        let owner = graph.node(edge.from).kind;
        if !matches!(owner, NodeKind::ServicePrincipal | NodeKind::ManagedIdentity) {
            continue;
        }
        let Some(permitted) = manages_owned(graph, edge.from, overlay.as_of) else { continue };
        let held = edge.holds(overlay.as_of);
        for (target, open) in owned(graph, edge) {
            let fact = Fact::Owner { edge, permitted, target };
            overlay.step(edge.from.into(), EdgeKind::CanControl, target.principal.into(), (held.and(open), fact));
        }
    }
}

/// The grant by which an identity manages what it owns.
pub(crate) fn manages_owned(graph: &Graph, owner: NodeIx, as_of: Timestamp) -> Option<&Edge> {
    graph.out(owner, EdgeKind::Granted).iter().find(|edge| {
        edge.role.as_deref().is_some_and(|role| role.eq_ignore_ascii_case(MANAGES_OWNED))
            && graph.node(edge.to).text(attr::APP_ID).is_some_and(|app| app.eq_ignore_ascii_case(MICROSOFT_GRAPH))
            && edge.holds(as_of).is_true()
    })
}

/// What can be acted as through what the edge says is owned, and whether it takes a credential there.
fn owned(graph: &Graph, edge: &Edge) -> Vec<(Target, Tri)> {
    match graph.node(edge.to).kind {
        NodeKind::Application => {
            let principals = graph.out(edge.to, EdgeKind::Instantiates).iter();
            principals.filter_map(|instance| accepts(graph, instance.to)).map(|target| (target, Tri::True)).collect()
        }
        NodeKind::ServicePrincipal => {
            accepts(graph, edge.to).map(|target| (target, unlocked(graph, target))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
