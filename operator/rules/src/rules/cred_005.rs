//! CRED-005: the only credential of a running identity ends soon.
//!
//! Another usable credential, one that takes over in time, or a federated subject means that nothing stops. Where not
//! all ways to sign in can be seen (an incomplete collection, an application in another tenant) only the end of the one
//! is told. Microsoft's own applications have credentials that no tenant sees: nothing is said of them.

use jiff::Timestamp;
use sv0_graph::{Tri, UnknownReason, attr};

use crate::evidence;
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Home, Identity, Until};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::Exposure;
use crate::text::{date, days_before, doubt};

/// Where ways to sign in are read.
const WAYS: [&str; 3] = ["servicePrincipals", "applications", "federatedCredentials"];

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-005",
        version: "1.1.0",
        family: Family::CredentialLifecycle,
        category: "OnlyCredentialEndsSoon",
        title: "The only credential of an identity that can run unattended ends soon",
        narrower: Some(
            "A credential of an identity that can run unattended ends soon; whether another takes over is not known",
        ),
        why: "When it ends, whatever runs as it stops.",
        remediation: &[
            "If it is still needed, move it to workload identity federation or a managed identity before that day.",
            "Otherwise add a new credential, move the automation to it, then delete the old one.",
            "If nobody needs it, let it end and remove the identity's authority.",
        ],
        standards: &["NIST 800-53 IA-5"],
        requires: &WAYS,
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "An automation that stops on a night when its only secret ends.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || identity.trusts_any(context.as_of).is_true() {
        return None;
    }
    let mut usable = identity.usable(context.as_of);
    let (Some(only), None) = (usable.next(), usable.next()) else { return None };
    let Until::At(end) = only.until else { return None };
    if days_before(end, context.config.expiry_warn_days).is_none_or(|warn| warn > context.as_of) {
        return None;
    }
    let (claim, title, narrowed) = match alone(context, identity, only, end) {
        Tri::False => return None,
        Tri::True => {
            let kind = only.kind.as_str();
            let says = format!("\"{}\" can sign in only with a {kind} that ends on {}", identity.name, date(end));
            (Claim::Full, says, Vec::new())
        }
        Tri::Unknown(reason) => {
            let narrowed = Narrowed { claim: "That no other credential takes over".to_owned(), reason: unseen(reason) };
            let kind = only.kind.as_str();
            (Claim::Narrower, format!("A {kind} of \"{}\" ends on {}", identity.name, date(end)), vec![narrowed])
        }
    };
    let says = format!("The {} ends on {}.", only.label(context.graph), date(end));
    let proofs = evidence::of_fact(context.graph, only.ix, attr::VALID_TO, EvidenceClass::Temporal, says);
    let proofs = proofs.into_iter().collect();
    Some(Draft { claim, exposure: Exposure::X3, title, proofs, narrowed, entry: None, reach: None })
}

/// Whether nothing else signs the identity in when `only` ends.
fn alone(context: &Context<'_>, identity: &Identity<'_>, only: &Credential, end: Timestamp) -> Tri {
    let others = identity.credentials.iter().filter(|other| other.ix != only.ix);
    let successor = Tri::any(others.map(|other| other.usable(end)));
    let seen = Tri::all(WAYS.map(|collection| context.graph.complete_for(identity.ix, collection).0));
    // An application in another tenant may have credentials that nobody here can see.
    let application = match identity.application {
        Some(_) => Tri::True,
        None => Tri::Unknown(UnknownReason::NotCollected),
    };
    // A subject that may be trusted takes over, or does not.
    (!successor).and(!identity.trusts_any(context.as_of)).and(seen).and(application)
}

fn unseen(reason: UnknownReason) -> String {
    match reason {
        UnknownReason::DynamicValue | UnknownReason::Unparsable => {
            format!("Of another way to sign in, {}.", doubt(reason))
        }
        _ => format!("Not all ways to sign in were seen: {}.", reason.sentence()),
    }
}
