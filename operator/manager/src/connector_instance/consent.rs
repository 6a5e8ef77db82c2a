//! What is granted to our own identity, compared with what was accepted: by the source system's own account of its
//! grants, never by a token, which an identity without any permission gets as well.
//!
//! Pure. The first state that a scan sees is accepted; a later one when `spec.acceptedConsent` names its digest. What
//! we asked for ourselves is no drift: a needed permission that is granted, or one that is not needed and taken away.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sv0_api::conditions::{self, CONSENT_UNCHANGED};
use sv0_api::{ConnectorInstance, ConsentStatus};
use sv0_protocol::{Consent, Outcome, Reason, ScanReport};

use crate::pod::short_hash;

/// Characters of a digest.
const DIGEST: usize = 12;
/// Most permissions kept in a status.
const KEPT: usize = 64;

/// Who is granted something, by the spec: another identity's grants are no drift of this one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grantee {
    pub(crate) tenant: String,
    pub(crate) client: String,
    /// `spec.acceptedConsent`.
    pub(crate) accepted: Option<String>,
}

impl Grantee {
    /// By the spec.
    pub(crate) fn of(instance: &ConnectorInstance) -> Self {
        let source = instance.spec.entra.as_ref();
        Self {
            tenant: source.map(|entra| entra.tenant_id.clone()).unwrap_or_default(),
            client: source.map(|entra| entra.client_id.clone()).unwrap_or_default(),
            accepted: instance.spec.accepted_consent.clone(),
        }
    }

    /// Whether the account is about this identity.
    pub(crate) fn is(&self, known: &ConsentStatus) -> bool {
        known.client_id == self.client && known.tenant_id == self.tenant
    }
}

/// How the grants stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As accepted.
    AsAccepted,
    /// Something was granted or taken away since.
    Drifted {
        /// Granted since, and not needed.
        added: Vec<String>,
        /// Granted since, beyond what a report lists.
        more: i32,
        /// Taken away since, and needed.
        removed: Vec<String>,
    },
    /// Nothing is granted any more.
    Revoked,
    /// Nothing has ever been granted, as far as scans have seen.
    NeverGiven,
}

/// The new account of the grants, and how they stand.
pub(crate) fn assess(
    before: Option<&ConsentStatus>,
    report: &ScanReport,
    consent: &Consent,
    whose: &Grantee,
    at: &Time,
) -> (Option<ConsentStatus>, Standing) {
    let before = before.filter(|known| whose.is(known));
    if consent.service_principal.is_none() || consent.granted == 0 {
        let Some(before) = before else { return (None, Standing::NeverGiven) };
        return (Some(withdrawn(before, consent.service_principal.as_deref(), at)), Standing::Revoked);
    }
    let mut next = observed(before, report, consent, whose, at);
    let standing = match before {
        Some(_) if whose.accepted.as_deref() != Some(next.digest.as_str()) => {
            let drift = drift(&next, report);
            asked_for(&mut next, report);
            drift
        }
        _ => {
            next.accepted.clone_from(&next.permissions);
            next.accepted_count = next.permission_count;
            Standing::AsAccepted
        }
    };
    (Some(next), standing)
}

/// Whether a scan failed in a way that shows, for an identity that had consent, that it is gone.
pub(crate) fn is_withdrawn(report: &ScanReport) -> bool {
    let gone = matches!(
        report.reason,
        Some(
            Reason::ConsentRevoked | Reason::ConsentRequired | Reason::ServicePrincipalMissing | Reason::AppNotInTenant
        )
    );
    gone && report.outcome == Outcome::Failed
}

/// The service principal after such a failure: it is there as long as the source system gives it a token.
pub(crate) fn principal_after<'a>(before: &'a ConsentStatus, report: &ScanReport) -> Option<&'a str> {
    before.service_principal_id.as_deref().filter(|_| report.reason == Some(Reason::ConsentRevoked))
}

/// Whether the conditions say that consent is gone.
pub(crate) fn is_revoked(recorded: &[Condition]) -> bool {
    conditions::find(recorded, CONSENT_UNCHANGED).is_some_and(|c| c.reason == Reason::ConsentRevoked.as_str())
}

/// The same application without any grant. What was accepted stays, to compare with when consent is given again.
pub(crate) fn withdrawn(before: &ConsentStatus, service_principal: Option<&str>, at: &Time) -> ConsentStatus {
    let mut next = before.clone();
    next.service_principal_id = service_principal.map(str::to_owned);
    next.permissions.clear();
    next.permission_count = 0;
    next.digest = digest(&next);
    next.first_granted_at = None;
    next.last_granted_at = None;
    since(next, before, at)
}

fn observed(
    before: Option<&ConsentStatus>,
    report: &ScanReport,
    consent: &Consent,
    whose: &Grantee,
    at: &Time,
) -> ConsentStatus {
    let all: BTreeSet<String> = consent.needed.iter().chain(&report.permissions_excess).cloned().collect();
    let second = |at: jiff::Timestamp| jiff::Timestamp::from_second(at.as_second()).ok().map(Time);
    let mut next = ConsentStatus {
        tenant_id: whose.tenant.clone(),
        client_id: whose.client.clone(),
        service_principal_id: consent.service_principal.clone(),
        permissions: all.into_iter().take(KEPT).collect(),
        permission_count: i32::try_from(consent.granted).unwrap_or(i32::MAX),
        digest: String::new(),
        first_granted_at: consent.first_granted_at.and_then(second),
        last_granted_at: consent.last_granted_at.and_then(second),
        granted_by: "Unknown".to_owned(),
        first_seen_at: before.map_or_else(|| at.clone(), |b| b.first_seen_at.clone()),
        changed_at: at.clone(),
        accepted: before.map(|b| b.accepted.clone()).unwrap_or_default(),
        accepted_count: before.map_or(0, |b| b.accepted_count),
    };
    next.digest = digest(&next);
    match before {
        Some(before) => since(next, before, at),
        None => next,
    }
}

/// Keeps the time of the last change when nothing changed.
fn since(mut next: ConsentStatus, before: &ConsentStatus, at: &Time) -> ConsentStatus {
    let same = next.digest == before.digest;
    next.changed_at = if same { before.changed_at.clone() } else { at.clone() };
    next
}

/// Stands for who holds what: another service principal, another permission or another number gives another one.
fn digest(status: &ConsentStatus) -> String {
    let count = status.permission_count.to_string();
    let principal = status.service_principal_id.as_deref().unwrap_or_default();
    let mut parts = vec![status.client_id.as_str(), principal, &count];
    parts.extend(status.permissions.iter().map(String::as_str));
    short_hash(&parts, DIGEST)
}

fn drift(next: &ConsentStatus, report: &ScanReport) -> Standing {
    let known = |name: &&String| !next.accepted.contains(name);
    let added: Vec<String> = report.permissions_excess.iter().filter(known).cloned().collect();
    let removed: Vec<String> =
        next.accepted.iter().filter(|name| report.permissions_missing.contains(name)).cloned().collect();
    // Names beyond the report's list cannot be compared, but their number can.
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let new = count(next.permissions.iter().filter(known).count());
    let cut = next.permission_count > count(next.permissions.len());
    let more =
        if cut { next.permission_count.saturating_sub(next.accepted_count).saturating_sub(new).max(0) } else { 0 };
    if added.is_empty() && removed.is_empty() && more == 0 {
        Standing::AsAccepted
    } else {
        Standing::Drifted { added, more, removed }
    }
}

/// What we asked for ourselves becomes part of what is accepted.
fn asked_for(next: &mut ConsentStatus, report: &ScanReport) {
    let granted: BTreeSet<&String> = next.permissions.iter().collect();
    let cut = usize::try_from(next.permission_count).unwrap_or(usize::MAX) > next.permissions.len();
    let needed = next.permissions.iter().filter(|name| !report.permissions_excess.contains(name));
    let still =
        next.accepted.iter().filter(|name| cut || granted.contains(name) || report.permissions_missing.contains(name));
    let accepted: BTreeSet<String> = needed.chain(still).cloned().collect();
    let before = i32::try_from(next.accepted.len()).unwrap_or(i32::MAX);
    let unlisted = next.accepted_count.saturating_sub(before).max(0);
    next.accepted = accepted.into_iter().take(KEPT).collect();
    next.accepted_count = i32::try_from(next.accepted.len()).unwrap_or(i32::MAX).saturating_add(unlisted);
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
