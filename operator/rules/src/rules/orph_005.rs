//! ORPH-005: an agent identity for which no active sponsor answers.
//!
//! Sponsors and owners count alike. Members of a group that sponsors are not followed: such a group is unresolved, never
//! missing. A sponsor of the blueprint answers for all its agents, which leaves a note. Nothing is said of an agent
//! whose own lists were not read to their end.

use sv0_graph::{EdgeKind, NodeKind, Tri, attr};

use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::owners::{self, Owner};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::counted;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "ORPH-005",
        version: "1.1.0",
        family: Family::OrphanedAutomation,
        category: "AgentWithoutSponsor",
        title: "An agent identity that can run unattended has no active sponsor",
        narrower: Some("The agent itself has no active sponsor; its blueprint has one, or may have one"),
        why: "Nobody is left to answer for what the agent does or to switch it off.",
        remediation: &[
            "Record an active sponsor on the agent identity.",
            "Record sponsors on its blueprint, so that new agents have one from the start.",
            "If nobody claims it, disable its sign-in, wait, then delete it.",
        ],
        standards: &["OWASP NHI1", "OWASP ASI03", "OWASP ASI10", "CIS v8.1 5.1", "NIST 800-53 AC-2"],
        requires: &[
            "agentIdentities",
            "agentIdentityBlueprints",
            "agentIdentitySponsors",
            "servicePrincipalOwners",
            "applicationOwners",
            "ownerAccounts",
        ],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "An agent that a former employee made still acts with its permissions.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.node.kind != NodeKind::AgentIdentity || identity.home == Home::Microsoft {
        return None;
    }
    let graph = context.graph;
    let own = owners::recorded(graph, identity.ix, &owners::ANSWERS, context.as_of);
    let read = Tri::all(owners::ANSWERS.map(|kind| owners::listed(graph, identity.ix, kind)));
    let gone: Vec<&Owner<'_>> = own.iter().filter(|owner| owner.state.gone()).collect();
    let unresolved = own.len() - gone.len();
    if !read.is_true() || own.iter().any(|owner| owner.state.answers()) || (gone.is_empty() && unresolved > 0) {
        return None;
    }
    let mut narrowed = Vec::new();
    if unresolved > 0 {
        let count = counted(unresolved, "further sponsor or owner is", "further sponsors or owners are");
        narrowed.push(Narrowed {
            claim: format!("That {count} gone too"),
            reason: owners::unresolved(own.iter(), context.as_of).to_owned(),
        });
    }
    // What is not known of the blueprint weighs as little as an active sponsor there: seeing less accuses of no more.
    let answerable = blueprint(context, identity);
    let exposure = if answerable.is_some() { Exposure::X3 } else { Exposure::X1 };
    narrowed.extend(answerable);
    let claim = if narrowed.is_empty() { Claim::Full } else { Claim::Narrower };
    let title = match claim {
        Claim::Full => format!("\"{}\" can run unattended and no active sponsor answers for it", identity.name),
        Claim::Narrower => format!("\"{}\" can run unattended and has no active sponsor of its own", identity.name),
    };
    let mut proofs: Vec<Proof> = gone.iter().map(|owner| owners::proof(graph, owner)).collect();
    proofs.extend(owners::ANSWERS.into_iter().filter_map(|kind| empty(context, identity, kind)));
    Some(Draft { claim, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// What the blueprint leaves unproven: somebody answers for it, or may.
fn blueprint(context: &Context<'_>, identity: &Identity<'_>) -> Option<Narrowed> {
    let reason = match identity.application {
        None => "Its blueprint was not seen in this tenant.".to_owned(),
        Some(edge) => {
            let recorded = owners::recorded(context.graph, edge.from, &owners::ANSWERS, context.as_of);
            let read = Tri::all(owners::ANSWERS.map(|kind| owners::listed(context.graph, edge.from, kind)));
            match read {
                _ if recorded.iter().any(|owner| owner.state.answers()) => {
                    "The blueprint has an active sponsor or owner.".to_owned()
                }
                _ if recorded.iter().any(|owner| !owner.state.gone()) => {
                    "A sponsor or owner of the blueprint could not be resolved.".to_owned()
                }
                Tri::Unknown(reason) => format!("Of the blueprint's sponsors, {}.", reason.sentence()),
                Tri::True | Tri::False => return None,
            }
        }
    };
    Some(Narrowed { claim: "That nobody answers for it through its blueprint".to_owned(), reason })
}

/// That a list of the agent was read completely and names nobody: it is empty, or all records in it are over.
fn empty(context: &Context<'_>, identity: &Identity<'_>, kind: EdgeKind) -> Option<Proof> {
    let mut records = context.graph.incoming(identity.ix, kind).peekable();
    let says = if records.peek().is_none() { "and is empty" } else { "and no record in it holds any more" };
    if !records.all(|edge| edge.holds(context.as_of).is_false()) {
        return None;
    }
    let (field, collection, key) = match kind {
        EdgeKind::Sponsors => ("sponsors", owners::SPONSORS, attr::SPONSOR_COUNT),
        _ => ("owners", owners::collection(identity.node.kind), attr::OWNER_COUNT),
    };
    let claim = format!("The agent identity's list of {field} was read completely {says}.");
    let listed = context.graph.incoming(identity.ix, kind).count();
    (identity.node.count(key).is_some_and(|count| usize::try_from(count) == Ok(listed)))
        .then(|| evidence::of_absence(context.graph, identity.ix, field, collection, claim))?
}
