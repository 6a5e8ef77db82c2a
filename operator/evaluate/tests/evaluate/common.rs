//! Builders that several tests share.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::{
    Accountable, AccountableState, Claim, Evidence, EvidenceClass, EvidenceSource, Family, FindingSpec, FindingState,
    RuleRef, Severity, Subject,
};
use sv0_engine::convert::content_digest;
use sv0_engine::ledger::{Dependency, Remembered};
use sv0_engine::merge::Draft;

/// An instant.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Noon of the n-th of January 2026.
pub(crate) fn day(n: u8) -> Timestamp {
    at(&format!("2026-01-{n:02}T12:00:00Z"))
}

/// A small, complete spec of rule `rule` about an identity that instance `uid` saw.
pub(crate) fn spec(rule: &str, uid: &str, severity: Severity) -> FindingSpec {
    let mut spec = FindingSpec {
        rule: RuleRef { id: rule.into(), version: "1.0".into(), claim: Claim::Full },
        family: Family::CredentialLifecycle,
        category: "Lifetime".into(),
        severity,
        severity_rank: severity.rank(),
        weighed: None,
        title: "A title".into(),
        why: "A reason.".into(),
        subject: Subject {
            id: "entra:t:ServicePrincipal:1".into(),
            kind: "ServicePrincipal".into(),
            name: "bot".into(),
            system: "entra".into(),
            tenant: "t".into(),
            instance: format!("entra-{uid}"),
            instance_uid: uid.into(),
        },
        accountable: Accountable { state: AccountableState::NotRecorded, parties: vec![], total: 0, reason: None },
        path: vec![],
        evidence: vec![Evidence {
            class: EvidenceClass::Direct,
            claim: "It is so.".into(),
            source: EvidenceSource {
                connector: Some("entra/1".into()),
                api: "Microsoft Graph".into(),
                version: "v1.0".into(),
                object: Some("1".into()),
                field: "x".into(),
            },
            value: None,
        }],
        evidence_omitted: 0,
        narrowed: vec![],
        remediation: vec![],
        standards: vec![],
        consists_of: vec![],
        parts_omitted: 0,
        state: FindingState::Open,
        first_observed: Time(Timestamp::UNIX_EPOCH),
        resolved_at: None,
        acceptance: None,
        content_digest: String::new(),
    };
    spec.content_digest = content_digest(&spec).unwrap();
    spec
}

/// Depends on `collections` of instance `uid`.
pub(crate) fn depends(uid: &str, collections: &[&str]) -> Vec<Dependency> {
    let dependency = |name: &&str| Dependency { instance_uid: uid.into(), collection: (*name).into(), revision: 0 };
    collections.iter().map(dependency).collect()
}

/// What fires now.
pub(crate) fn draft(name: &str, uid: &str) -> Draft {
    Draft {
        name: name.into(),
        spec: spec("CRED-002", uid, Severity::High),
        depends_on: depends(uid, &["applications"]),
        through: None,
        tells: BTreeSet::new(),
        full: None,
    }
}

/// What is remembered, first seen on the first of January.
pub(crate) fn remembered(uid: &str, resolved_at: Option<Timestamp>) -> Remembered {
    let mut spec = spec("CRED-002", uid, Severity::High);
    spec.first_observed = Time(day(1));
    if let Some(at) = resolved_at {
        spec.state = FindingState::Resolved;
        spec.resolved_at = Some(Time(at));
    }
    Remembered {
        depends_on: depends(uid, &["applications"]),
        through: None,
        tells: BTreeSet::new(),
        credentials: BTreeSet::new(),
        more_credentials: false,
        spec,
    }
}
