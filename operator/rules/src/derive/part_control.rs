//! `part-control`: what administers a part of the tenant by itself, or acts as others.
//!
//! Directory roles and application permissions of tier P1 in the tables. Those of P0 are `tenant-control`.

use super::{Derivation, End, Overlay};
use crate::severity::Tier;

pub(super) const DERIVATION: Derivation = Derivation {
    id: "part-control",
    version: 1,
    needs: &["directoryRoleAssignments", "directoryRoleEligibility", "appRoleAssignments"],
    gives: "The holder of a role or permission of tier P1 over the tenant administers that part of it.",
    trap: "A role over an administrative unit or over one object administers that alone.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    for grant in overlay.grants.clone().iter() {
        if grant.scope.is_none() && grant.known.is_some_and(|known| known.tier == Tier::P1) {
            overlay.ends(grant, End::Part);
        }
    }
}
