//! ORPH-001: every recorded owner is disabled or deleted.
//!
//! Whoever was not seen may be active: where an owner list was not read to its end, only what was seen is told.
//!
//! Agent identities are left out: sponsors answer for them, which is a rule of its own.

use sv0_graph::NodeKind;

use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::owners::{self, Owner};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::counted;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "ORPH-001",
        version: "1.2.0",
        family: Family::OrphanedAutomation,
        category: "OwnersGone",
        title: "An identity that can run unattended is owned only by disabled or deleted accounts",
        narrower: Some("No recorded owner is verifiably active; or one is gone, and not every owner was seen"),
        why: "Nobody is left to notice misuse, renew its credentials or retire it.",
        remediation: &[
            "Find the team that depends on it; record at least two active owners on the application.",
            "If nobody claims it, disable its sign-in, wait, then delete it.",
            "Look at the path first: it shows what would stop working.",
        ],
        standards: &["OWASP NHI1", "OWASP ASI03", "ATT&CK T1078.004", "CIS v8.1 5.3", "NIST 800-53 AC-2(3)"],
        requires: &[
            "servicePrincipals",
            "applications",
            "applicationOwners",
            "servicePrincipalOwners",
            "ownerAccounts",
        ],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A former employee's automation still runs with access that nobody reviews.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || identity.node.kind == NodeKind::AgentIdentity {
        return None;
    }
    let owners = &identity.owners;
    let gone: Vec<&Owner<'_>> = owners.list.iter().filter(|owner| owner.state.gone()).collect();
    if gone.is_empty() || owners.list.iter().any(|owner| owner.state.answers()) {
        return None;
    }
    let unresolved = owners.list.len() - gone.len();
    let mut narrowed = Vec::new();
    if unresolved > 0 {
        let count = counted(unresolved, "further recorded owner is", "further recorded owners are");
        narrowed.push(Narrowed {
            claim: format!("That {count} gone too"),
            reason: owners::unresolved(owners.list.iter(), context.as_of).to_owned(),
        });
    }
    if let sv0_graph::Tri::Unknown(reason) = owners.complete {
        narrowed.push(Narrowed {
            claim: "That no other owner is recorded".to_owned(),
            reason: format!("Not every owner list was seen: {}.", reason.sentence()),
        });
    }
    let claim = if narrowed.is_empty() { Claim::Full } else { Claim::Narrower };
    let title = match claim {
        Claim::Full => format!("\"{}\" can run unattended and {}", identity.name, full(gone.len())),
        Claim::Narrower if owners.complete.is_true() => {
            format!("\"{}\" can run unattended and no recorded owner is verifiably active", identity.name)
        }
        Claim::Narrower => {
            let who = counted(gone.len(), "recorded owner is gone", "recorded owners are gone");
            format!("\"{}\" can run unattended and {who}; not every owner was seen", identity.name)
        }
    };
    let proofs = gone.into_iter().map(|owner| owners::proof(context.graph, owner)).collect();
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None })
}

fn full(count: usize) -> String {
    match count {
        1 => "its only recorded owner is gone".to_owned(),
        _ => format!("all {count} recorded owners are gone"),
    }
}
