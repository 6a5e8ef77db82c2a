//! CRED-003: a credential that was not rotated in time.
//!
//! The first day of a credential is what its maker wrote. When it lies before the day on which the application was
//! made, or before the day on which the vendor's audit saw it added, the age is counted from that day. One finding per identity lists all such credentials, as for CRED-002.

use jiff::Timestamp;
use sv0_graph::{EdgeKind, attr};

use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::{date, days_after};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-003",
        version: "1.1.0",
        family: Family::CredentialLifecycle,
        category: "NotRotated",
        title: "An identity can sign in with a credential that was not rotated in time",
        narrower: Some("The age of its credential cannot be determined"),
        why: "The longer a credential stays, the more forgotten copies of it exist.",
        remediation: &[
            "Replace it by workload identity federation or a managed identity: nothing to rotate.",
            "Otherwise add a new credential, move the automation to it, then delete the old one.",
        ],
        standards: &["OWASP NHI7", "ATT&CK T1078.004", "CIS v8.1 5.2", "NIST 800-53 IA-5(1)"],
        requires: &["servicePrincipals", "applications"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A secret that was set up once, years ago, and never changed.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let mut old: Vec<(Timestamp, &Credential)> =
        identity.usable(context.as_of).filter_map(|held| Some((late(context, held)?, held))).collect();
    // Stable: of equal age the first in the order of ids.
    old.sort_by_key(|(begin, _)| *begin);
    let exposure = if identity.authority.tier <= Tier::P1 { Exposure::X2 } else { Exposure::X3 };
    let Some((oldest, credential)) = old.first() else { return undated(context, identity, exposure) };
    let title = match old.len() {
        1 => format!(
            "\"{}\" can sign in with a {} not rotated since {}",
            identity.name,
            credential.kind.as_str(),
            date(*oldest)
        ),
        many => format!(
            "\"{}\" can sign in with {many} credentials not rotated in time, one since {}",
            identity.name,
            date(*oldest)
        ),
    };
    let mut narrowed = Vec::new();
    if old.iter().any(|(begin, credential)| credential.from.is_some_and(|from| from < *begin)) {
        narrowed.push(Narrowed {
            claim: "The first day that the credential states".to_owned(),
            reason: "It lies before the day on which its holder was made or it was added; age is counted from there."
                .to_owned(),
        });
    }
    let proofs = old.iter().filter_map(|(begin, credential)| proof(context, *begin, credential)).collect();
    Some(Draft { claim: Claim::Full, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// The narrower claim, when nothing is provably old but something has no first day.
fn undated(context: &Context<'_>, identity: &Identity<'_>, exposure: Exposure) -> Option<Draft> {
    let undated: Vec<&Credential> = identity.usable(context.as_of).filter(|held| held.from.is_none()).collect();
    if undated.is_empty() {
        return None;
    }
    let claim = |credential: &Credential| format!("The {} has no first day.", credential.label(context.graph));
    let proofs = undated
        .into_iter()
        .filter_map(|held| {
            evidence::of_fact(context.graph, held.ix, attr::CREDENTIAL_USE, EvidenceClass::Direct, claim(held))
        })
        .collect();
    let narrowed = vec![Narrowed {
        claim: format!("That a credential is older than {} days", context.config.rotate_days),
        reason: "The source system gives no first day for it.".to_owned(),
    }];
    let title = format!("\"{}\" can sign in with a credential whose age cannot be determined", identity.name);
    Some(Draft { claim: Claim::Narrower, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// From when a credential's age counts.
pub(super) fn begin(context: &Context<'_>, credential: &Credential) -> Option<Timestamp> {
    let from = credential.from?;
    let made = context.graph.node(credential.holder).time(attr::CREATED_AT);
    let added = context.graph.out(credential.ix, EdgeKind::CreatedBy).iter().filter_map(|edge| edge.since).min();
    made.into_iter().chain(added).chain([from]).max()
}

/// When it should have been replaced.
pub(super) fn due(context: &Context<'_>, begin: Timestamp) -> Option<Timestamp> {
    days_after(begin, context.config.rotate_days)
}

/// From when its age counts, when it should have been replaced by now.
pub(super) fn late(context: &Context<'_>, credential: &Credential) -> Option<Timestamp> {
    begin(context, credential).filter(|begin| due(context, *begin).is_some_and(|due| due <= context.as_of))
}

pub(super) fn proof(context: &Context<'_>, begin: Timestamp, credential: &Credential) -> Option<Proof> {
    let due = due(context, begin)?;
    let claim = format!(
        "The {} is valid since {} and was due for rotation on {} ({} days).",
        credential.label(context.graph),
        date(begin),
        date(due),
        context.config.rotate_days
    );
    evidence::of_fact(context.graph, credential.ix, attr::VALID_FROM, EvidenceClass::Temporal, claim)
}
