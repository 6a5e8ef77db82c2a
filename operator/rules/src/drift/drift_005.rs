//! DRIFT-005: an identity had an active owner in the baseline and has none now.
//!
//! Who owns it is compared by the state of the owners, not by their number: an owner who is disabled or removed without
//! a successor is the change. As long as an owner's account cannot be resolved it may be active, and the claim is
//! narrower. Agent identities are left out: sponsors answer for them.
//!
//! Owners only: that an automation runs as a stronger identity than it did is another change, of which nothing is said
//! here.

use sv0_graph::{EdgeKind, NodeKind};

use super::baseline::Before;
use super::compare::{At, Comparison, OBJECTS};
use super::{Drift, DriftRule};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::owners;
use crate::rule::{Draft, Meta, Scope};
use crate::severity::Exposure;
use crate::text::counted;

const APPLICATION: &str = "applicationOwners";
const PRINCIPAL: &str = "servicePrincipalOwners";
const ACCOUNTS: &str = "ownerAccounts";
/// Most former owners whose names are shown.
const MAX_NAMES: usize = 3;

pub(super) const RULE: DriftRule = DriftRule {
    meta: Meta {
        id: "DRIFT-005",
        version: "1.1.0",
        family: Family::ScopeDrift,
        category: "LastOwnerLost",
        title: "An identity that can run unattended lost its last active owner",
        narrower: Some("No owner of an identity is verifiably active any more"),
        why: "Since then nobody notices misuse, renews its credentials or retires it.",
        remediation: &[
            "Record at least two active owners on the application; the earlier ones are named.",
            "If nobody claims it, disable its sign-in, wait, then delete it.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1098", "NIST 800-53 CM-3"],
        requires: &["servicePrincipals", "applications", APPLICATION, PRINCIPAL, ACCOUNTS],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "The only engineer who knew the job has left, and the job has not.",
    },
    check,
};

fn check(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<Drift> {
    let owners = &identity.owners;
    let lost = !before.active_owners.is_empty() && !owners.list.iter().any(|owner| owner.state.answers());
    if !lost || identity.home == Home::Microsoft || identity.node.kind == NodeKind::AgentIdentity {
        return None;
    }
    let compared = compare.all(&[OBJECTS[0], OBJECTS[1], APPLICATION, PRINCIPAL, ACCOUNTS])?;
    // A list that was not read to its end may hold an active owner.
    if !owners.complete.is_true() {
        return None;
    }
    let day = compare.day(PRINCIPAL);
    let unresolved = owners.list.iter().filter(|owner| !owner.state.gone()).count();
    let claim = if unresolved == 0 { Claim::Full } else { Claim::Narrower };
    let title = match claim {
        Claim::Full => format!("\"{}\" has no active owner any more; on {day} it had", identity.name),
        Claim::Narrower => {
            format!("No owner of \"{}\" is verifiably active any more; on {day} one was", identity.name)
        }
    };
    let narrowed = if unresolved == 0 {
        Vec::new()
    } else {
        let count = counted(unresolved, "recorded owner is", "recorded owners are");
        vec![Narrowed {
            claim: format!("That {count} gone"),
            reason: owners::unresolved(owners.list.iter(), compare.context.as_of).to_owned(),
        }]
    };
    let proofs = now(compare, identity).into_iter().chain(then(compare, before, identity)).collect();
    let draft = Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None };
    Some(Drift { draft, compared })
}

/// The state of the owners that are still recorded, or the empty list.
fn now(compare: &Comparison<'_, '_>, identity: &Identity<'_>) -> Vec<Proof> {
    let graph = compare.context.graph;
    let owners = &identity.owners.list;
    if !owners.is_empty() {
        return owners.iter().map(|owner| owners::proof(graph, owner)).collect();
    }
    let objects = identity.application.map(|edge| edge.from).into_iter().chain([identity.ix]);
    objects
        .filter_map(|object| {
            let collection = owners::collection(graph.node(object).kind);
            let mut former = graph.incoming(object, EdgeKind::Owns);
            let says = if former.next().is_some() { "No record of an owner holds." } else { "No owner is recorded." };
            let says = says.to_owned();
            evidence::of_absence(graph, object, "owners", collection, says)
        })
        .collect()
}

fn then(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<Proof> {
    let names: Vec<&str> = before.active_owners.iter().take(MAX_NAMES).map(String::as_str).collect();
    let says = format!("It had {}", counted(before.active_owners.len(), "active owner", "active owners"));
    let at = At { collection: PRINCIPAL, object: identity.node.id.vendor_id(), field: "owners" };
    compare.was(&at, &names.join(", "), &says)
}
