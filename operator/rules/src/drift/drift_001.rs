//! DRIFT-001: the proven authority of an identity is of a higher tier than in the baseline.
//!
//! The baseline is judged by the same tables: a new version that knows more roles moves both sides alike. Where the grant
//! that decides now was there already and could not be weighed (eligible, under a condition, the lock of its target not
//! read), the earlier tier is not determined, and only the present one is told. So it is where a directory role decides and
//! it was not read then which roles could be activated.

use sv0_graph::NodeKind;

use super::baseline::{Before, Grant};
use super::compare::{At, Comparison, ELIGIBLE};
use super::{Drift, DriftRule};
use crate::authority::{COLLECTIONS, MEMBERS};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Draft, Meta, Scope};
use crate::severity::{Exposure, Tier};

pub(super) const RULE: DriftRule = DriftRule {
    meta: Meta {
        id: "DRIFT-001",
        version: "1.2.0",
        family: Family::ScopeDrift,
        category: "TierRose",
        title: "An identity that can run unattended has more authority than in the accepted snapshot",
        narrower: Some("An identity has authority now of which it was not determined whether it had it before"),
        why: "Nobody accepted the authority that it has gained since.",
        remediation: &[
            "Find out who made the named grant, and for what.",
            "Remove it, or accept a newer snapshot as the baseline.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1098.003", "CIS v8.1 6.8", "NIST 800-53 AC-2(7)", "NIST 800-53 AC-6(7)"],
        requires: &["servicePrincipals", "applications", COLLECTIONS[0], COLLECTIONS[1], MEMBERS, ELIGIBLE],
        evidence: &[EvidenceClass::Structural, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "An application that read one list in spring can administer the tenant in autumn.",
    },
    check,
};

fn check(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<Drift> {
    let authority = &identity.authority;
    if identity.home == Home::Microsoft || authority.tier >= before.tier {
        return None;
    }
    let compared = compare.authority(identity)?;
    // An owner that acts as others may hold nothing that decides: what it is permitted is a permission.
    let of_directory = authority.decisive.first().is_some_and(|decisive| decisive.edge.scope.is_some());
    let day = compare.day(collection(of_directory));
    let undetermined = undetermined(compare, before, identity);
    let claim = if undetermined.is_some() { Claim::Narrower } else { Claim::Full };
    let name = &identity.name;
    let title = match claim {
        Claim::Full => format!("\"{name}\" {}; on {day} it {}", authority.tier.meaning(), meant(before.tier)),
        Claim::Narrower => {
            format!("\"{name}\" {}; whether it could on {day} is not determined", authority.tier.meaning())
        }
    };
    let mut narrowed = Vec::new();
    if let Some(reason) = undetermined {
        narrowed.push(Narrowed { claim: "That its authority rose".to_owned(), reason: reason.to_owned() });
    }
    let strongest = before.grants.iter().find(|grant| grant.says.is_some());
    let (directory, value) =
        strongest.map_or((of_directory, "none"), |grant| (grant.directory, grant.says.as_deref().unwrap_or_default()));
    let claimed = match strongest {
        Some(_) => format!("Its authority was: it {}", meant(before.tier)),
        None => "It held no grant that is known to give authority".to_owned(),
    };
    let object = identity.node.id.vendor_id();
    let field = if directory { "roleDefinitionId" } else { "appRoleId" };
    let was = compare.was(&At { collection: collection(directory), object, field }, value, &claimed);
    let proofs = was.into_iter().collect();
    let draft = Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None };
    Some(Drift { draft, compared })
}

/// Why it is not determined whether it had before what decides now: that was recorded in the baseline without being
/// proven there, or may have been held in a form that was not read.
fn undetermined(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<&'static str> {
    let graph = compare.context.graph;
    let unweighed = |role: Option<&str>, target: &str| {
        let same = |grant: &&Grant| grant.role.as_deref() == role && grant.target == target;
        before.grants.iter().filter(same).any(|grant| grant.says.is_none())
    };
    let decisive = &identity.authority.decisive;
    let recorded =
        decisive.iter().any(|grant| unweighed(grant.edge.role.as_deref(), graph.node(grant.edge.to).id.vendor_id()));
    if before.composition_unknown || recorded {
        return Some("What decides now was recorded then too, and could not be weighed.");
    }
    let by_role = decisive.iter().any(|grant| graph.node(grant.edge.to).kind == NodeKind::System);
    (by_role && !compare.knew_eligible()).then_some("Which roles it could activate then was not read.")
}

const fn collection(directory: bool) -> &'static str {
    if directory { COLLECTIONS[0] } else { COLLECTIONS[1] }
}

/// What a tier meant then, to end a sentence with.
pub(super) const fn meant(tier: Tier) -> &'static str {
    match tier {
        Tier::P0 => "could take over the whole tenant",
        Tier::P1 => "administered part of the tenant or could act as others",
        Tier::P2 => "could change data",
        Tier::P3 => "could read data",
        Tier::P4 => "had no proven authority",
    }
}
