//! ORPH-002: no owner is recorded anywhere.
//!
//! Managed identities are left out: they have no owners by design, their host's owner answers. So are agent
//! identities, whose sponsors are a collection of their own.

use sv0_graph::{EdgeKind, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity, noun};
use crate::owners;
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::doubt;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "ORPH-002",
        version: "1.2.0",
        family: Family::OrphanedAutomation,
        category: "NoOwnerRecorded",
        title: "An identity that can run unattended has no owner recorded anywhere",
        narrower: Some(
            "No owner is recorded on it; another record of accountability was not collected, or it only reads",
        ),
        why: "Nobody is recorded who answers for it, so nobody reviews what it may do.",
        remediation: &[
            "Record at least two active owners on the application.",
            "Set its service management reference to your record of the service.",
            "If nobody claims it, disable its sign-in, wait, then delete it.",
        ],
        standards: &["OWASP NHI1", "CIS v8.1 5.1", "NIST 800-53 AC-2", "NIST 800-53 PM-5"],
        requires: &["servicePrincipals", "applications", "applicationOwners", "servicePrincipalOwners"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "An application with administrative rights that no team knows of.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let unowned_by_design = identity.node.kind != NodeKind::ServicePrincipal || identity.home == Home::Microsoft;
    if unowned_by_design || !identity.owners.list.is_empty() || !identity.owners.complete.is_true() {
        return None;
    }
    let objects = identity.application.map(|edge| edge.from).into_iter().chain([identity.ix]);
    let recorded = elsewhere(context, identity);
    if recorded.is_true() {
        return None;
    }
    let mut narrowed = Vec::new();
    if let Tri::Unknown(reason) = recorded {
        narrowed.push(Narrowed {
            claim: "That no service management reference names who answers".to_owned(),
            reason: format!("Of the application's reference {}.", doubt(reason)),
        });
    }
    if let Tri::Unknown(reason) = sponsors_read(context, identity) {
        narrowed.push(Narrowed {
            claim: "That nobody sponsors it as the blueprint of an agent".to_owned(),
            reason: format!("Of its sponsors, {}.", reason.sentence()),
        });
    }
    let reads_only = identity.authority.tier > Tier::P2;
    if reads_only {
        narrowed.push(Narrowed {
            claim: "That it can change anything".to_owned(),
            reason: "Only read permissions are proven.".to_owned(),
        });
    }
    let claim = if narrowed.is_empty() { Claim::Full } else { Claim::Narrower };
    let exposure = if identity.authority.tier <= Tier::P1 { Exposure::X1 } else { Exposure::X3 };
    // Who was an owner for a while, or is recorded without effect, answers for nothing.
    let mut former = objects.clone().flat_map(|object| context.graph.incoming(object, EdgeKind::Owns));
    let says = if former.next().is_some() { "no record of an owner holds any more" } else { "no owner is recorded" };
    let title = format!("\"{}\" can run unattended and {says}", identity.name);
    let proofs = objects.filter_map(|object| empty_list(context, object)).collect();
    Some(Draft { claim, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// Whether somebody is recorded other than as owner.
fn elsewhere(context: &Context<'_>, identity: &Identity<'_>) -> Tri {
    let objects = identity.application.map(|edge| edge.from).into_iter().chain([identity.ix]);
    let linked = objects.clone().flat_map(|object| {
        let sponsors = context.graph.incoming(object, EdgeKind::Sponsors);
        sponsors.chain(context.graph.out(object, EdgeKind::AccountableTo)).map(|edge| edge.holds(context.as_of))
    });
    let linked = Tri::any(linked);
    let reference = |object: NodeIx| match context.graph.node(object).flag(attr::HAS_MANAGEMENT_REFERENCE) {
        Some(set) => Tri::from(set),
        // Only applications have the property.
        None if context.graph.node(object).kind != NodeKind::Application => Tri::False,
        None => Tri::Unknown(UnknownReason::NotCollected),
    };
    linked.or(Tri::any(objects.map(reference)))
}

/// Whether sponsors would have been seen: only an application from which agent identities are made can have any.
fn sponsors_read(context: &Context<'_>, identity: &Identity<'_>) -> Tri {
    let Some(application) = identity.application.map(|edge| edge.from) else { return Tri::True };
    let mut made = context.graph.out(application, EdgeKind::Instantiates).iter();
    let blueprint = made.any(|edge| context.graph.node(edge.to).kind == NodeKind::AgentIdentity);
    if blueprint { owners::listed(context.graph, application, EdgeKind::Sponsors) } else { Tri::True }
}

fn empty_list(context: &Context<'_>, object: NodeIx) -> Option<Proof> {
    let kind = context.graph.node(object).kind;
    let empty = context.graph.incoming(object, EdgeKind::Owns).next().is_none();
    let says = if empty { "and is empty" } else { "and no record in it holds any more" };
    let claim = format!("The {}'s list of owners was read completely {says}.", noun(kind));
    evidence::of_absence(context.graph, object, "owners", owners::collection(kind), claim)
}
