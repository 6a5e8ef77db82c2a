//! From what the rules found to what stands in the cluster.
//!
//! The rules know nothing of resources; this is the one place that knows both. Every text is made fit for the schema
//! (no control characters, at most so many characters), every list is cut to its bound, and then the whole to the size
//! that a Finding may have, in the order that [`sv0_api::fit`] documents. What is cut here stands in the evidence pack.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api as api;
use sv0_api::{
    FindingSpec, FindingState, LABEL_FAMILY, LABEL_RULE, LABEL_SEVERITY, LABEL_STATE, LABEL_SYSTEM, MAX_EVIDENCE,
    MAX_ID, MAX_NAME, MAX_NARROWED, MAX_PARTIES, MAX_PATH, MAX_REMEDIATION, MAX_SENTENCE, MAX_STANDARDS, MAX_TITLE,
    MAX_WHY, MAX_WORD,
};
use sv0_graph::canonical::{sha256_hex, to_canonical_json};
use sv0_rules as rules;

use crate::ledger::Dependency;
use crate::merge::Draft;

/// Fields of the spec that its content digest does not cover: the life of the finding, not what it says.
const OUTSIDE_DIGEST: [&str; 4] = ["contentDigest", "firstObserved", "resolvedAt", "state"];
/// Longest value of a label.
const MAX_LABEL: usize = 63;

/// One finding of the rules as a draft. `as_of` stands for the first observation until the merge sets it.
pub fn draft(finding: rules::RuleFinding, as_of: Timestamp) -> Result<Draft, serde_json::Error> {
    // The pack needs all of it later; as a typed value it takes a fraction of what a JSON tree does.
    let full = Some(Box::new(finding.clone()));
    let name = finding.name.clone();
    let depends_on = dependencies(&finding.depends_on);
    let mut spec = spec(finding, as_of);
    // One that is still too large after all cuts stands as it is: the limit is about cost, not about truth.
    api::fit(&mut spec);
    spec.content_digest = content_digest(&spec)?;
    Ok(Draft { name, spec, depends_on, full })
}

fn dependencies(all: &BTreeSet<rules::Dependency>) -> Vec<Dependency> {
    all.iter()
        .map(|one| Dependency { instance_uid: one.instance_uid.clone(), collection: one.collection.clone() })
        .collect()
}

/// SHA-256 over the canonical JSON of what the finding says.
pub fn content_digest(spec: &FindingSpec) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(spec)?;
    if let Some(object) = value.as_object_mut() {
        for field in OUTSIDE_DIGEST {
            object.remove(field);
        }
    }
    Ok(sha256_hex(&to_canonical_json(&value)?))
}

/// Destructures without `..`: a field that the rules gain is a compile error here.
fn spec(finding: rules::RuleFinding, as_of: Timestamp) -> FindingSpec {
    let rules::RuleFinding {
        name: _,
        rule,
        family,
        category,
        severity,
        severity_rank,
        title,
        why,
        subject,
        accountable,
        path,
        evidence,
        narrowed,
        remediation,
        standards,
        depends_on: _,
    } = finding;
    let omitted = evidence.len().saturating_sub(MAX_EVIDENCE);
    FindingSpec {
        rule: api::RuleRef {
            id: fit(&rule.id, MAX_WORD),
            version: fit(&rule.version, MAX_WORD),
            claim: match rule.claim {
                rules::Claim::Full => api::Claim::Full,
                rules::Claim::Narrower => api::Claim::Narrower,
            },
        },
        family: family_of(family),
        category: fit(&category, MAX_WORD),
        severity: severity_of(severity),
        severity_rank,
        title: fit(&title, MAX_TITLE),
        why: fit(&why, MAX_WHY),
        subject: subject_of(&subject),
        accountable: accountable_of(accountable),
        path: hops(path),
        evidence: evidence.iter().take(MAX_EVIDENCE).map(evidence_of).collect(),
        evidence_omitted: i32::try_from(omitted).unwrap_or(i32::MAX),
        narrowed: narrowed
            .iter()
            .take(MAX_NARROWED)
            .map(|one| api::Narrowed { claim: fit(&one.claim, MAX_SENTENCE), reason: fit(&one.reason, MAX_SENTENCE) })
            .collect(),
        remediation: remediation.iter().take(MAX_REMEDIATION).map(|step| fit(step, MAX_SENTENCE)).collect(),
        standards: standards.iter().take(MAX_STANDARDS).map(|control| fit(control, MAX_WORD)).collect(),
        state: FindingState::Open,
        first_observed: Time(as_of),
        resolved_at: None,
        // As long as the real one, so that the size is right before it is known.
        content_digest: "0".repeat(MAX_WORD),
    }
}

fn subject_of(subject: &rules::Subject) -> api::Subject {
    api::Subject {
        id: fit(&subject.id, MAX_ID),
        kind: fit(&subject.kind, MAX_WORD),
        name: fit(&subject.name, MAX_NAME),
        system: fit(&subject.system, MAX_WORD),
        tenant: fit(&subject.tenant, MAX_NAME),
        instance: fit(&subject.instance, MAX_WORD),
        instance_uid: fit(&subject.instance_uid, MAX_WORD),
    }
}

fn accountable_of(accountable: rules::Accountable) -> api::Accountable {
    let rules::Accountable { state, parties, total, reason } = accountable;
    let party = |party: rules::Party| api::Party {
        id: fit(&party.id, MAX_ID),
        name: party.name.map(|name| fit(&name, MAX_NAME)),
        state: fit(&party.state, MAX_WORD),
    };
    api::Accountable {
        state: match state {
            rules::AccountableState::Active => api::AccountableState::Active,
            rules::AccountableState::Gone => api::AccountableState::Gone,
            rules::AccountableState::NotRecorded => api::AccountableState::NotRecorded,
            rules::AccountableState::Unknown => api::AccountableState::Unknown,
        },
        parties: parties.into_iter().take(MAX_PARTIES).map(party).collect(),
        total,
        reason: reason.map(|reason| fit(&reason, MAX_SENTENCE)),
    }
}

/// The ends of a path say most: what is too long loses its middle.
fn hops(mut path: Vec<rules::Hop>) -> Vec<api::Hop> {
    while path.len() > MAX_PATH {
        path.remove(path.len() / 2);
    }
    let hop = |hop: rules::Hop| api::Hop {
        from: fit(&hop.from, MAX_ID),
        edge: fit(&hop.edge, MAX_WORD),
        to: fit(&hop.to, MAX_ID),
        via: hop.via.map(|via| fit(&via, MAX_NAME)),
        class: class_of(hop.class),
    };
    path.into_iter().map(hop).collect()
}

fn evidence_of(evidence: &rules::Evidence) -> api::Evidence {
    let source = &evidence.source;
    api::Evidence {
        class: class_of(evidence.class),
        claim: fit(&evidence.claim, MAX_SENTENCE),
        source: api::EvidenceSource {
            connector: fit(&source.connector, MAX_WORD),
            api: fit(&source.api, MAX_NAME),
            version: fit(&source.version, MAX_WORD),
            object: fit(&source.object, MAX_ID),
            field: fit(&source.field, MAX_NAME),
        },
        value: evidence.value.as_deref().map(|value| fit(value, MAX_SENTENCE)),
    }
}

fn class_of(class: rules::EvidenceClass) -> api::EvidenceClass {
    match class {
        rules::EvidenceClass::Direct => api::EvidenceClass::Direct,
        rules::EvidenceClass::Structural => api::EvidenceClass::Structural,
        rules::EvidenceClass::Temporal => api::EvidenceClass::Temporal,
    }
}

fn severity_of(severity: rules::Severity) -> api::Severity {
    match severity {
        rules::Severity::Info => api::Severity::Info,
        rules::Severity::Low => api::Severity::Low,
        rules::Severity::Medium => api::Severity::Medium,
        rules::Severity::High => api::Severity::High,
        rules::Severity::Critical => api::Severity::Critical,
    }
}

fn family_of(family: rules::Family) -> api::Family {
    match family {
        rules::Family::OrphanedAutomation => api::Family::OrphanedAutomation,
        rules::Family::CrossSystemAuthorityChain => api::Family::CrossSystemAuthorityChain,
        rules::Family::ScopeDrift => api::Family::ScopeDrift,
        rules::Family::UnboundedExecutionScope => api::Family::UnboundedExecutionScope,
        rules::Family::DormantAuthority => api::Family::DormantAuthority,
        rules::Family::CredentialLifecycle => api::Family::CredentialLifecycle,
        rules::Family::ExposureRedistribution => api::Family::ExposureRedistribution,
        rules::Family::ExposureEgress => api::Family::ExposureEgress,
        rules::Family::ExposureNarrowSensitiveReach => api::Family::ExposureNarrowSensitiveReach,
    }
}

/// A text without control characters and of at most `most` characters; what is cut ends in `…`.
fn fit(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= most {
        return text.chars().map(clean).collect();
    }
    text.chars().map(clean).take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The labels of a Finding.
pub fn labels(spec: &FindingSpec) -> BTreeMap<String, String> {
    let pairs = [
        (LABEL_RULE, spec.rule.id.to_lowercase()),
        (LABEL_FAMILY, word(&spec.family)),
        (LABEL_SEVERITY, word(&spec.severity)),
        (LABEL_SYSTEM, spec.subject.system.clone()),
        (LABEL_STATE, word(&spec.state)),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), label_value(&value))).collect()
}

/// The word that stands in resources for a value of a closed list: its name.
pub fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Whatever a label may not hold becomes `-`.
fn label_value(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let text: String = text.chars().take(MAX_LABEL).map(allowed).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}
