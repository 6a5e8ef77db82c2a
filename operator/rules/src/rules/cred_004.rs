//! CRED-004: a credential that is valid and of which no recent use is recorded.
//!
//! Only the vendor's record of that very credential counts, and it is about this tenant: whether an application signs in
//! to others is told as not proven. Where none is recorded, disuse is proven when every use would have been, for as long
//! as a credential may stand unused. Before that the claim is narrower, and is made only
//! of a credential that is old enough and of which no later use is remembered: a new one waits for its first use. A record that the identity's own contradicts is
//! not believed: the vendor's records of credentials lag, and have stopped before. One finding per identity.

use jiff::Timestamp;
use sv0_graph::NodeKind;

use crate::activity::{self, CREDENTIALS, Others, Quiet, Use};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::rules::cred_003;
use crate::severity::Exposure;
use crate::text::{counted, date};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-004",
        version: "1.2.0",
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

/// A credential that is proven to be unused, and since when.
pub(super) struct Idle<'a> {
    pub(super) held: &'a Credential,
    since: Timestamp,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let others = Others::of(identity, context.config.unused_credential_days, context.as_of);
    let (idle, silent) = unused(context, identity, &others);
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
    if idle.iter().any(|idle| context.graph.node(idle.held.holder).kind == NodeKind::Application) {
        narrowed.push(Narrowed {
            claim: "That no other tenant sees it used".to_owned(),
            reason: "An application that other tenants accept may sign in there; this tenant has no record of that."
                .to_owned(),
        });
    }
    let unchecked = idle.iter().find_map(|idle| others.unchecked(idle.held));
    narrowed.extend(unchecked.map(|reason| Narrowed {
        claim: "That the identity did not sign in with it since".to_owned(),
        reason: activity::unchecked_because(identity, reason),
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
        .map(|idle| idle.held)
        .chain(silent)
        .filter_map(|held| activity::proof_of_credential(context, held, cred_003::begin(context, held)))
        .collect();
    Some(Draft { claim, exposure: Exposure::X2, title, proofs, narrowed, entry: None, reach: None })
}

/// The credentials that are proven to be unused, and those of which only no use is recorded.
pub(super) fn unused<'a>(
    context: &Context<'_>,
    identity: &'a Identity<'_>,
    others: &Others,
) -> (Vec<Idle<'a>>, Vec<&'a Credential>) {
    let limit = context.config.unused_credential_days;
    let believed = |held: &&Credential| !others.contradict(held);
    let passed = |mark: Option<Timestamp>| mark.is_some_and(|mark| mark <= context.as_of);
    let held: Vec<&'a Credential> = identity.usable(context.as_of).filter(believed).collect();
    let grace = limit.max(context.config.never_used_grace_days);
    let quiet = |held: &Credential| {
        let begin = cred_003::begin(context, held);
        let silence = activity::silence(context, held.ix, CREDENTIALS, held.last_used, begin);
        silence.map(|silence| silence.of(grace, context.as_of))
    };
    let old = |held: &Credential| passed(held.last_used.silent_from(cred_003::begin(context, held), grace));
    let (mut idle, mut silent): (Vec<Idle<'a>>, Vec<&'a Credential>) = (Vec::new(), Vec::new());
    for held in held {
        match (held.last_used, quiet(held)) {
            (Use::Last { at, .. }, _) if passed(held.last_used.idle_from(limit)) => idle.push(Idle { held, since: at }),
            (_, Some(Quiet::Proven(since))) => idle.push(Idle { held, since }),
            (_, Some(Quiet::Unproven)) if old(held) => silent.push(held),
            _ => {}
        }
    }
    (idle, silent)
}

fn full(identity: &Identity<'_>, idle: &[Idle<'_>]) -> String {
    let since = idle.iter().map(|idle| idle.since).min().map(date).unwrap_or_default();
    match idle {
        [Idle { held, .. }] => {
            let kind = held.kind.as_str();
            let says = match held.last_used {
                Use::Last { .. } => "was last tried on",
                Use::Unrecorded { .. } | Use::Unknown(_) => "was not used here since",
            };
            format!("\"{}\" can sign in with a {kind} that {says} {since}", identity.name)
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
