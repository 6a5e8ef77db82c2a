//! `application-credentials`: who may add a credential to any application of a tenant can act as each that accepts one.
//!
//! One node stands for all that accept: holders lead to it, it leads to them. A lock that was not read leaves the step
//! unproven.

use sv0_graph::EdgeKind;

use super::{Class, Derivation, Fact, Overlay, accepts, unlocked};

pub(super) const DERIVATION: Derivation = Derivation {
    id: "application-credentials",
    version: 1,
    needs: &["applications", "servicePrincipals", "directoryRoleAssignments", "appRoleAssignments"],
    gives: "The holder of a right over all applications can act as each enabled one of the tenant's own that does not \
            lock its credentials.",
    trap: "Managed identities accept no credentials; what a foreign application accepts is decided where it lives; an \
           administrative unit holds no applications.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    let graph = overlay.graph;
    for grant in overlay.grants.clone().iter() {
        let edge = grant.edge;
        if grant.scope.is_some() || !grant.known.is_some_and(|known| known.adds_credentials) {
            continue;
        }
        let Some(applications) = overlay.class(Class::Applications, edge.from) else { continue };
        let fact = (edge.holds(overlay.as_of), Fact::Applications(edge));
        overlay.step(edge.from.into(), EdgeKind::Granted, applications, fact);
    }
    for target in graph.node_indexes().filter_map(|ix| accepts(graph, ix)) {
        let id = &graph.node(target.principal).id;
        // Where nobody may add to all of them, there is no class either.
        let class = (Class::Applications, id.system(), id.tenant());
        let Some(applications) = overlay.classes.get(&class).copied() else { continue };
        let fact = (unlocked(graph, target), Fact::Accepts(target));
        overlay.step(applications, EdgeKind::CanControl, target.principal.into(), fact);
    }
}
