//! `tenant-control`: what holds the whole tenant by itself.
//!
//! Directory roles and application permissions of tier P0 in the tables: those that assign roles or permissions
//! (`RoleManagement.ReadWrite.Directory`, `AppRoleAssignment.ReadWrite.All`) are everything already, with no step between.

use super::{Derivation, End, Overlay};
use crate::severity::Tier;

pub(super) const DERIVATION: Derivation = Derivation {
    id: "tenant-control",
    version: 1,
    needs: &["directoryRoleAssignments", "directoryRoleEligibility", "appRoleAssignments"],
    gives: "The holder of a role or permission that assigns roles or permissions has the whole tenant.",
    trap: "A role over an administrative unit or over one object is not a role over the tenant.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    for grant in overlay.grants.clone().iter() {
        if grant.scope.is_none() && grant.known.is_some_and(|known| known.tier == Tier::P0) {
            overlay.ends(grant, End::Tenant);
        }
    }
}
