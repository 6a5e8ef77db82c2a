//! XSYS-003: a federated trust in an issuer that serves everybody, broader than one workload.
//!
//! Entra compares subjects exactly: `*` in one is a letter, and a trust by exact subject is as narrow as its form. Only
//! a flexible expression can be broad. Whether a name at GitHub still belongs to whom it belonged to is nobody's to know
//! here: it is told where the rule fires, and is no finding by itself. Of a trust that may not hold the narrower claim is
//! made.

use sv0_graph::{Edge, Node, Tri, UnknownReason, Value, attr, canonical};

use crate::assemble;
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::Identity;
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::{display_name, doubt};
use crate::tiers::{self, IssuerForm};
use crate::trust::{self, Breadth, Judged};

/// Audiences that mean Entra's token exchange, one per cloud.
const AUDIENCES: [&str; 3] =
    ["api://AzureADTokenExchange", "api://AzureADTokenExchangeChina", "api://AzureADTokenExchangeUSGov"];

/// Hexadecimal digits of an expression's digest that are shown.
const DIGEST: usize = 12;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "XSYS-003",
        version: "1.1.0",
        family: Family::CrossSystemAuthorityChain,
        category: "FederatedTrustTooBroad",
        title: "A federated trust admits more than one workload of an issuer that serves everybody",
        narrower: Some(
            "How many workloads a federated trust admits, or whether it holds, cannot be determined, or a further limit is \
             not weighed",
        ),
        why: "Whoever can run a workload that matches gets all of the identity's authority, without any secret.",
        remediation: &[
            "Compare an exact subject, one federated credential per workload.",
            "Bind the trust to a protected environment or branch, and to ids instead of names.",
            "Keep the audience of Entra's token exchange.",
        ],
        standards: &[
            "OWASP NHI4",
            "OWASP NHI6",
            "ATT&CK T1199",
            "CIS v8.1 6.3",
            "NIST 800-53 IA-9",
            "NIST 800-53 AC-3",
        ],
        requires: &["servicePrincipals", "applications", "federatedCredentials", "flexibleFederatedCredentials"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "Any repository of an organisation, or of anybody, can sign in as an administrative application.",
    },
    check,
};

/// One trust that is too broad, or may be.
struct Broad<'g> {
    edge: &'g Edge,
    claim: Claim,
    exposure: Exposure,
    /// What stands after the identity's name in the title.
    title: &'static str,
    proof: Option<Proof>,
    narrowed: Vec<Narrowed>,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let trusts = identity.federations.iter().copied();
    let mut broad: Vec<Broad<'_>> = trusts.filter_map(|edge| judge(context, edge)).collect();
    // Stable: what is proven first, the most exposed first, then in the order of ids.
    broad.sort_by_key(|broad| (broad.claim, broad.exposure));
    let first = broad.first()?;
    let (claim, exposure) = (first.claim, first.exposure);
    let title = format!("\"{}\" {}", identity.name, first.title);
    let mut entry = assemble::federated(context, identity, first.edge);
    if first.edge.holds(context.as_of).is_unknown() {
        entry.hop.via = Some("whether the trust holds is not known".to_owned());
    }
    let entry = Some(entry);
    let narrowed = first.narrowed.clone();
    let proofs = broad.into_iter().filter(|broad| broad.claim == claim).filter_map(|broad| broad.proof).collect();
    Some(Draft { claim, exposure, title, proofs, narrowed, entry, reach: None })
}

fn judge<'g>(context: &Context<'g>, edge: &'g Edge) -> Option<Broad<'g>> {
    let broad = admits(context, edge)?;
    match edge.holds(context.as_of) {
        Tri::True => Some(broad),
        Tri::Unknown(reason) => Some(may_hold(broad, reason)),
        Tri::False => None,
    }
}

/// The same of a trust of which it is not known whether it holds.
fn may_hold(mut broad: Broad<'_>, reason: UnknownReason) -> Broad<'_> {
    broad.claim = Claim::Narrower;
    broad.title = "may be entered by workloads of another system; whether its federated trust holds is not known";
    if let Some(proof) = &mut broad.proof {
        proof.evidence.claim = format!("If the trust holds: {}", proof.evidence.claim);
    }
    let narrowed = Narrowed { claim: "That the trust holds".to_owned(), reason: format!("Of it, {}.", doubt(reason)) };
    broad.narrowed.insert(0, narrowed);
    broad
}

/// What a trust admits, as if it held.
fn admits<'g>(context: &Context<'g>, edge: &'g Edge) -> Option<Broad<'g>> {
    let node = context.graph.node(edge.from);
    let issuer = node.text(attr::ISSUER)?;
    let form = tiers::multi_tenant_issuer(issuer)?;
    let (key, raw, judged) = match (node.text(attr::MATCHING_EXPRESSION), node.text(attr::SUBJECT)) {
        (Some(raw), _) => (attr::MATCHING_EXPRESSION, raw, trust::expression(form, raw)),
        (None, Some(raw)) => (attr::SUBJECT, raw, trust::subject(form, raw)),
        // What it compares was not read.
        (None, None) => return None,
    };
    let issuer = display_name(issuer);
    let proof = |claim: String| evidence::of_fact(context.graph, edge.from, key, EvidenceClass::Direct, claim);
    match judged {
        None => {
            let digest = canonical::sha256_hex(raw.as_bytes());
            let claim = format!(
                "Tokens of {issuer} are compared in a form that is not understood (SHA-256 {}…).",
                digest.get(..DIGEST).unwrap_or(&digest)
            );
            Some(not_understood(edge, proof(claim)))
        }
        Some(Judged { breadth: Breadth::One, .. }) => audience(context, node, edge),
        Some(judged) => {
            let admitted = admitted(form, judged.breadth);
            let proof = proof(format!("Tokens of {issuer} are accepted from {admitted}."));
            Some(too_broad(edge, &judged, proof))
        }
    }
}

fn too_broad<'g>(edge: &'g Edge, judged: &Judged, proof: Option<Proof>) -> Broad<'g> {
    let claim = if judged.doubts.is_empty() { Claim::Full } else { Claim::Narrower };
    let mut narrowed: Vec<Narrowed> = Vec::new();
    if let Some(doubt) = judged.doubts.first() {
        narrowed.push(Narrowed {
            claim: "That nothing else limits which workloads are admitted".to_owned(),
            reason: format!("What the claim \"{}\" limits is not weighed.", display_name(doubt)),
        });
    }
    if judged.by_name {
        narrowed.push(Narrowed {
            claim: "That the owner's name still belongs to the same owner".to_owned(),
            reason: "The trust names it by name; a name that is given up can be taken by somebody else.".to_owned(),
        });
    }
    let (exposure, title) = match (judged.breadth, claim) {
        (Breadth::Anybody, Claim::Full) => {
            (Exposure::X0, "can be entered by workloads of strangers: its federated trust names no owner")
        }
        (Breadth::Anybody, Claim::Narrower) => (Exposure::X0, "may be entered by workloads of strangers"),
        (_, Claim::Full) => (Exposure::X1, "can be entered by more than one workload of another system"),
        (_, Claim::Narrower) => (Exposure::X1, "may be entered by more than one workload of another system"),
    };
    Broad { edge, claim, exposure, title, proof, narrowed }
}

fn not_understood(edge: &Edge, proof: Option<Proof>) -> Broad<'_> {
    let narrowed = vec![Narrowed {
        claim: "Which workloads are admitted".to_owned(),
        reason: "The form of the subject or expression is not understood.".to_owned(),
    }];
    let title = "trusts workloads of another system that cannot be determined";
    Broad { edge, claim: Claim::Narrower, exposure: Exposure::X1, title, proof, narrowed }
}

/// A trust in one workload whose tokens need not be meant for Entra.
fn audience<'g>(context: &Context<'g>, node: &Node, edge: &'g Edge) -> Option<Broad<'g>> {
    let Value::List(audiences) = &node.fact(attr::AUDIENCES)?.value else { return None };
    if audiences.iter().any(|audience| AUDIENCES.iter().any(|known| audience.eq_ignore_ascii_case(known))) {
        return None;
    }
    let title = "accepts tokens of another system that were not made for it";
    let (claim, exposure, says, narrowed) = if audiences.is_empty() {
        (Claim::Full, Exposure::X1, "No audience is required of a token.", Vec::new())
    } else {
        let narrowed = vec![Narrowed {
            claim: "That tokens for another service carry this audience".to_owned(),
            reason: "It is not the audience of Entra's token exchange; who else uses it is not known.".to_owned(),
        }];
        (Claim::Narrower, Exposure::X3, "The audience is not that of Entra's token exchange.", narrowed)
    };
    let proof = evidence::of_fact(context.graph, edge.from, attr::AUDIENCES, EvidenceClass::Direct, says.to_owned());
    Some(Broad { edge, claim, exposure, title, proof, narrowed })
}

const fn admitted(form: IssuerForm, breadth: Breadth) -> &'static str {
    match (form, breadth) {
        (IssuerForm::GitHub, Breadth::Anybody) => "repositories of owners that it does not name",
        (IssuerForm::GitHub, _) => "several repositories, environments or events of one owner",
        (IssuerForm::GitLab, Breadth::Anybody) => "projects of groups that it does not name",
        (IssuerForm::GitLab, _) => "several projects of one group",
        (IssuerForm::Terraform, Breadth::Anybody) => "workspaces of organisations that it does not name",
        (IssuerForm::Terraform, _) => "several workspaces of one organisation",
        (IssuerForm::Other, _) => "more than one workload",
    }
}
