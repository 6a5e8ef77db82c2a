//! CRED-002: a credential without an end, or with a longer life than the limit.
//!
//! One finding per identity lists all such credentials: people replace an identity's credentials together, and a
//! rotation then changes one finding instead of closing one and opening another.

use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family};
use crate::identity::{Credential, CredentialType, Identity, Until};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::{date, whole_days};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-002",
        version: "1.0.0",
        family: Family::CredentialLifecycle,
        category: "LifetimeTooLong",
        title: "An identity can sign in with a credential that never ends or lives longer than the limit",
        narrower: None,
        why: "Whoever copies such a credential keeps the access as long as it lives.",
        remediation: &[
            "Replace it by workload identity federation or a managed identity: no secret to copy.",
            "Otherwise issue a short-lived one, move the automation to it, then delete the old one.",
            "Bound the life of new credentials by an application management policy.",
        ],
        standards: &["OWASP NHI7", "ATT&CK T1078.004", "CIS M365 5.1.5", "NIST 800-53 IA-5(1)"],
        requires: &["servicePrincipals", "applications"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A secret of an administrative application that is valid for years.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let long: Vec<Long<'_>> = identity.usable(context.as_of).filter_map(|held| too_long(context, held)).collect();
    let first = long.first()?;
    let title = match long.len() {
        1 => format!("\"{}\" can sign in with a {} {}", identity.name, first.credential.kind.as_str(), first.says()),
        many => format!("\"{}\" can sign in with {many} credentials that live longer than the limit", identity.name),
    };
    let exposure = if identity.authority.tier <= Tier::P1 { Exposure::X2 } else { Exposure::X3 };
    let proofs = long.iter().filter_map(|long| proof(context, long)).collect();
    Some(Draft { claim: Claim::Full, exposure, title, proofs, narrowed: Vec::new(), entry: None, reach: None })
}

/// A credential over its limit.
pub(super) struct Long<'a> {
    credential: &'a Credential,
    /// Whole days from first to last; none when there is no last day.
    pub(super) days: Option<i64>,
    limit: u32,
}

impl Long<'_> {
    fn says(&self) -> String {
        match self.days {
            None => "that never expires".to_owned(),
            Some(days) => format!("that lives {days} days (limit {})", self.limit),
        }
    }
}

pub(super) fn too_long<'a>(context: &Context<'_>, credential: &'a Credential) -> Option<Long<'a>> {
    let limit = match credential.kind {
        CredentialType::Certificate => context.config.max_certificate_lifetime_days,
        CredentialType::Secret | CredentialType::Other => context.config.max_secret_lifetime_days,
    };
    match (credential.from, credential.until) {
        (_, Until::Never) => Some(Long { credential, days: None, limit }),
        (Some(from), Until::At(end)) => {
            let days = whole_days(from, end);
            (days > i64::from(limit)).then_some(Long { credential, days: Some(days), limit })
        }
        // How long it lives cannot be said without its first day.
        (None, Until::At(_)) | (_, Until::Unknown) => None,
    }
}

pub(super) fn proof(context: &Context<'_>, long: &Long<'_>) -> Option<Proof> {
    let label = long.credential.label(context.graph);
    let claim = match (long.credential.from, long.days) {
        (Some(from), Some(days)) => {
            format!("The {label} begins on {} and lives {days} days; the limit is {}.", date(from), long.limit)
        }
        _ => format!("The {label} has no end; the limit is {} days.", long.limit),
    };
    evidence::of_fact(context.graph, long.credential.ix, sv0_graph::attr::VALID_TO, EvidenceClass::Direct, claim)
}
