//! `scoped-credentials`: a role over one application adds a credential to that one and to no other.
//!
//! The vendor's scope is the id of the application or of the service principal. Any other scope gives nothing: an
//! administrative unit holds people, groups and devices.

use sv0_graph::{EdgeKind, Graph, NodeId, NodeIx, NodeKind, Tri};

use super::{Derivation, Fact, Overlay, Target, accepts, unlocked};

pub(super) const DERIVATION: Derivation = Derivation {
    id: "scoped-credentials",
    version: 1,
    needs: &["applications", "servicePrincipals", "directoryRoleAssignments"],
    gives: "The holder of a right over one application, or one service principal that is not locked, can act as it.",
    trap: "It is no right over the other applications of the tenant.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    let graph = overlay.graph;
    for grant in overlay.grants.clone().iter() {
        let (edge, Some(scope)) = (grant.edge, grant.scope) else { continue };
        if !grant.known.is_some_and(|known| known.adds_credentials) {
            continue;
        }
        let held = edge.holds(overlay.as_of);
        for (target, open) in named(graph, edge.from, scope) {
            let fact = Fact::Scoped { edge, target };
            overlay.step(edge.from.into(), EdgeKind::CanControl, target.principal.into(), (held.and(open), fact));
        }
    }
}

/// What the scope names in the tenant of `holder`.
fn named(graph: &Graph, holder: NodeIx, scope: &str) -> Vec<(Target, Tri)> {
    let Some(object) = scope.strip_prefix('/') else { return Vec::new() };
    let id = &graph.node(holder).id;
    let find = |kind| graph.find(&NodeId::new(id.system(), id.tenant(), kind, object));
    let application = find(NodeKind::Application).into_iter().flat_map(|ix| graph.out(ix, EdgeKind::Instantiates));
    let through = application.filter_map(|edge| accepts(graph, edge.to)).map(|target| (target, Tri::True));
    let itself = find(NodeKind::ServicePrincipal).and_then(|ix| accepts(graph, ix));
    through.chain(itself.map(|target| (target, unlocked(graph, target)))).collect()
}
