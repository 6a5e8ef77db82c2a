//! CRED-004: a credential that is valid and of which no recent use is recorded.
//!
//! Only the vendor's record of that very credential counts, and it is about this tenant: whether an application signs in
//! to others is told as not proven. Where none is recorded the claim is narrower, and is made only
//! of a credential that is old enough: a new one waits for its first use. A record that the identity's own contradicts is
//! not believed: the vendor's records of credentials lag, and have stopped before. One finding per identity.

use jiff::Timestamp;
use sv0_graph::NodeKind;

use crate::activity::{self, Use};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::rules::cred_003;
use crate::severity::Exposure;
use crate::text::{counted, date};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-004",
        version: "1.0.0",
        family: Family::CredentialLifecycle,
        category: "CredentialUnused",
        title: "An identity can sign in with a credential that was not used here for long",
        narrower: Some(
            "An identity can sign in with a credential for which no sign-in is recorded, or whose record is not checked",
        ),
        why: "It may be needed no more, and its misuse can go unnoticed for long.",
        remediation: &[
            "Ask the owner; look for the named key id in the automation's configuration.",
            "Delete the credential. If in doubt, disable the identity's sign-in for 14 days first.",
        ],
        standards: &["OWASP NHI1", "OWASP NHI7", "CIS v8.1 5.3", "NIST 800-53 AC-2(3)"],
        requires: &["servicePrincipals", "applications", "credentialActivity"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A second secret that was made for a migration and is still valid.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let limit = context.config.unused_credential_days;
    let believed = |held: &&Credential| !activity::contradicted(identity, held, limit, context.as_of);
    let passed = |mark: Option<Timestamp>| mark.is_some_and(|mark| mark <= context.as_of);
    let held: Vec<&Credential> = identity.usable(context.as_of).filter(believed).collect();
    let idle: Vec<&Credential> = held.iter().copied().filter(|held| passed(held.last_used.idle_from(limit))).collect();
    let grace = limit.max(context.config.never_used_grace_days);
    let silent: Vec<&Credential> = held
        .into_iter()
        .filter(|held| passed(held.last_used.silent_from(cred_003::begin(context, held), grace)))
        .collect();
    let mut narrowed = Vec::new();
    if !silent.is_empty() {
        let which = if idle.is_empty() { "" } else { " more" };
        narrowed.push(Narrowed {
            claim: format!(
                "That {} never used",
                counted(silent.len(), &format!("credential{which} was"), &format!("credentials{which} were"))
            ),
            reason: "No sign-in is recorded in this tenant; since when the source system records is not known."
                .to_owned(),
        });
    }
    if idle.iter().any(|held| context.graph.node(held.holder).kind == NodeKind::Application) {
        narrowed.push(Narrowed {
            claim: "That no other tenant sees it used".to_owned(),
            reason: "An application that other tenants accept may sign in there; this tenant has no record of that."
                .to_owned(),
        });
    }
    // A credential that nothing else explains is the only one.
    let unchecked = idle.iter().find_map(|held| activity::unchecked(identity, held, context.as_of));
    narrowed.extend(unchecked.map(|reason| Narrowed {
        claim: "That the identity did not sign in with it since".to_owned(),
        reason: format!("Of the identity's own last sign-in, {}.", reason.sentence()),
    }));
    let (claim, title) = match (idle.as_slice(), silent.as_slice()) {
        ([], []) => return None,
        ([], [one]) => {
            let kind = one.kind.as_str();
            (
                Claim::Narrower,
                format!("\"{}\" can sign in with a {kind} for which no sign-in is recorded", identity.name),
            )
        }
        ([], many) => {
            let count = many.len();
            let says = "credentials for which no sign-in is recorded";
            (Claim::Narrower, format!("\"{}\" can sign in with {count} {says}", identity.name))
        }
        (some, _) => (if unchecked.is_some() { Claim::Narrower } else { Claim::Full }, full(identity, some)),
    };
    let proofs = idle
        .into_iter()
        .chain(silent)
        .filter_map(|held| activity::proof_of_credential(context.graph, held, cred_003::begin(context, held)))
        .collect();
    Some(Draft { claim, exposure: Exposure::X2, title, proofs, narrowed, entry: None, reach: None })
}

fn full(identity: &Identity<'_>, idle: &[&Credential]) -> String {
    let last = |held: &&Credential| if let Use::Last { at, .. } = held.last_used { Some(at) } else { None };
    let since = idle.iter().filter_map(last).min().map(date).unwrap_or_default();
    match idle {
        [one] => {
            format!("\"{}\" can sign in with a {} that was last tried on {since}", identity.name, one.kind.as_str())
        }
        many => {
            format!(
                "\"{}\" can sign in with {} credentials not used here for long, one since {since}",
                identity.name,
                many.len()
            )
        }
    }
}
