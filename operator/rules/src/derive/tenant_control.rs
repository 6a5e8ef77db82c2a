//! `tenant-control`: what holds the whole tenant by itself.
//!
//! Directory roles and application permissions of tier P0 in the tables: those that assign roles or permissions
//! (`RoleManagement.ReadWrite.Directory`, `AppRoleAssignment.ReadWrite.All`) are everything already, with no step between.

use sv0_graph::EdgeKind;

use super::{Class, Derivation, Fact, Overlay, granted, holds};
use crate::severity::Tier;

pub(super) const DERIVATION: Derivation = Derivation {
    id: "tenant-control",
    version: 1,
    needs: &["directoryRoleAssignments", "directoryRoleEligibility", "appRoleAssignments"],
    gives: "The holder of a role or permission that assigns roles or permissions has the whole tenant.",
    trap: "A role over an administrative unit or over one object is not a role over the tenant.",
    derive,
};

fn derive(overlay: &mut Overlay<'_>) {
    for edge in overlay.edges(EdgeKind::Granted) {
        let Some((known, None)) = granted(overlay.graph, edge) else { continue };
        if known.tier != Tier::P0 {
            continue;
        }
        let Some(tenant) = overlay.class(Class::Tenant, edge.from) else { continue };
        let fact = (holds(edge, overlay.as_of), Fact::Tenant(edge));
        overlay.step(edge.from.into(), EdgeKind::Granted, tenant, fact);
    }
}
