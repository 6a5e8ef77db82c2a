//! CRED-010: one certificate signs in several applications.
//!
//! Equal thumbprints are one key pair. An application and its own service principal are one identity; certificates that
//! sign tokens, and those that the platform keeps for managed identities, do not count.

use sv0_graph::{NodeIx, attr};

use crate::derive::CERTIFICATE;
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family};
use crate::identity::{Credential, Identity, noun};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::shared;
use crate::text::{counted, display_name};

/// Most other applications that are named for one certificate.
const MAX_NAMED: usize = 10;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-010",
        version: "1.1.0",
        family: Family::CredentialLifecycle,
        category: "SharedCertificate",
        title: "One certificate signs in several applications",
        narrower: None,
        why: "Whoever holds its key can act as each of them, and it cannot be replaced for one alone.",
        remediation: &[
            "Issue a certificate of its own to each application, or move them to workload identity federation.",
            "Then delete the shared one from every application that is named here.",
        ],
        standards: &["OWASP NHI9", "NIST 800-53 IA-4", "NIST 800-53 IA-5(8)"],
        requires: &["servicePrincipals", "applications"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "The certificate of a test application also signs in a directory administrator.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let own = shared::application(context.graph, identity.ix);
    let mut seen = std::collections::BTreeSet::new();
    let mut proofs = Vec::new();
    let mut elsewhere = 0;
    for held in identity.usable(context.as_of) {
        let Some(shared) = context.shared.find(context.graph, held) else { continue };
        let others = shared.applications.len() - usize::from(shared.applications.contains_key(own));
        if others == 0 || !seen.insert(shared::thumbprint(context.graph, held.ix)) {
            continue;
        }
        elsewhere = elsewhere.max(others);
        proofs.extend(own_proof(context, held));
        let named = shared.applications.iter().filter(|(application, _)| **application != own).take(MAX_NAMED);
        proofs.extend(named.filter_map(|(_, other)| other_proof(context, *other)));
    }
    if elsewhere == 0 {
        return None;
    }
    let others = counted(elsewhere, "other application", "other applications");
    let accept = if elsewhere == 1 { "accepts" } else { "accept" };
    let title = format!("\"{}\" can sign in with a certificate that {others} {accept} too", identity.name);
    Some(Draft {
        claim: Claim::Full,
        exposure: Exposure::X1,
        title,
        proofs,
        narrowed: Vec::new(),
        entry: None,
        reach: None,
    })
}

fn own_proof(context: &Context<'_>, held: &Credential) -> Option<Proof> {
    let claim = format!("It can sign in with the {}, which has this thumbprint.", held.label(context.graph));
    evidence::of_fact(context.graph, held.ix, attr::THUMBPRINT, EvidenceClass::Direct, claim)
}

fn other_proof(context: &Context<'_>, credential: NodeIx) -> Option<Proof> {
    let graph = context.graph;
    let holder = graph.incoming(credential, sv0_graph::EdgeKind::HoldsCredential).next()?.from;
    let node = graph.node(holder);
    let name = display_name(node.text(attr::NAME).unwrap_or_else(|| node.id.vendor_id()));
    let claim = format!(
        "The {} \"{name}\" accepts a certificate with the same thumbprint ({}).",
        noun(node.kind),
        CERTIFICATE.name()
    );
    evidence::of_fact(graph, credential, attr::THUMBPRINT, EvidenceClass::Direct, claim)
}
