//! From what the rules found to what stands in the cluster.
//!
//! The rules know nothing of resources; this is the one place that knows both. Every text is made fit for the schema
//! (no control characters, at most so many characters), every list is cut to its bound, and then the whole to the size
//! that a Finding may have, in the order that [`sv0_api::fit`] documents. What follows from other fields is left out, as
//! [`sv0_api::FindingSpec`] documents. What is cut here stands in the evidence pack.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use sv0_api as api;
use sv0_api::{
    FindingSpec, FindingState, LABEL_FAMILY, LABEL_RULE, LABEL_SEVERITY, LABEL_STATE, LABEL_SYSTEM, MAX_ID, MAX_NAME,
    MAX_NARROWED, MAX_PARTIES, MAX_PATH, MAX_REMEDIATION, MAX_SENTENCE, MAX_STANDARDS, MAX_TITLE, MAX_WHY, MAX_WORD,
    SHOWN_EVIDENCE,
};
use sv0_graph::canonical::Canonical;
use sv0_rules as rules;

use crate::ledger::Dependency;
use crate::merge::Draft;

/// Longest value of a label.
const MAX_LABEL: usize = 63;

/// One finding of the rules as a draft. `as_of` stands for the first observation until the merge sets it.
pub fn draft(finding: rules::RuleFinding, as_of: Timestamp) -> Result<Draft, serde_json::Error> {
    draft_with(&mut Canonical::default(), finding, as_of)
}

/// The same with room that many findings use in turn.
pub(crate) fn draft_with(
    canonical: &mut Canonical,
    finding: rules::RuleFinding,
    as_of: Timestamp,
) -> Result<Draft, serde_json::Error> {
    let name = finding.name.clone();
    let depends_on = dependencies(&finding.depends_on);
    let (through, tells) = (finding.through.clone(), finding.tells.clone());
    let mut spec = spec(&finding, as_of);
    // One that is still too large after all cuts stands as it is: the limit is about cost, not about truth.
    api::fit(&mut spec);
    spec.content_digest = digest_with(canonical, &spec)?;
    // The pack needs all of it later; as a typed value it takes a fraction of what a JSON tree does.
    Ok(Draft { name, spec, depends_on, through, tells, full: Some(Box::new(finding)) })
}

fn dependencies(all: &BTreeSet<rules::Dependency>) -> Vec<Dependency> {
    all.iter()
        .map(|one| Dependency {
            instance_uid: one.instance_uid.clone(),
            collection: one.collection.clone(),
            revision: 0,
        })
        .collect()
}

/// What a finding says: its spec without the fields that tell of its life and without the digest itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    rule: &'a api::RuleRef,
    family: api::Family,
    category: &'a str,
    severity: api::Severity,
    severity_rank: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    weighed: Option<api::Weighed>,
    title: &'a str,
    why: &'a str,
    subject: &'a api::Subject,
    accountable: &'a api::Accountable,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    path: &'a [api::Hop],
    evidence: &'a [api::Evidence],
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence_omitted: Option<i32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    narrowed: &'a [api::Narrowed],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    remediation: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    standards: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    consists_of: &'a [api::FindingPart],
    #[serde(skip_serializing_if = "Option::is_none")]
    parts_omitted: Option<i32>,
}

/// SHA-256 over the canonical JSON of what the finding says.
pub fn content_digest(spec: &FindingSpec) -> Result<String, serde_json::Error> {
    digest_with(&mut Canonical::default(), spec)
}

fn digest_with(canonical: &mut Canonical, spec: &FindingSpec) -> Result<String, serde_json::Error> {
    // Without `..`: whether the digest covers a new field is decided here.
    let FindingSpec {
        rule,
        family,
        category,
        severity,
        severity_rank,
        weighed,
        title,
        why,
        subject,
        accountable,
        path,
        evidence,
        evidence_omitted,
        narrowed,
        remediation,
        standards,
        consists_of,
        parts_omitted,
        state: _,
        first_observed: _,
        resolved_at: _,
        acceptance: _,
        content_digest: _,
    } = spec;
    let said = Said {
        rule,
        family: *family,
        category,
        severity: *severity,
        severity_rank: *severity_rank,
        weighed: *weighed,
        title,
        why,
        subject,
        accountable,
        path,
        evidence,
        evidence_omitted: Some(*evidence_omitted).filter(|count| *count != 0),
        narrowed,
        remediation,
        standards,
        consists_of,
        parts_omitted: Some(*parts_omitted).filter(|count| *count != 0),
    };
    canonical.sha256_hex(&said)
}

/// Destructures without `..`: a field that the rules gain is a compile error here.
fn spec(finding: &rules::RuleFinding, as_of: Timestamp) -> FindingSpec {
    let rules::RuleFinding {
        name: _,
        rule,
        family,
        category,
        severity,
        severity_rank,
        weighed,
        title,
        why,
        subject,
        accountable,
        path,
        evidence,
        evidence_omitted,
        narrowed,
        remediation,
        standards,
        depends_on: _,
        through: _,
        tells: _,
    } = finding;
    let omitted = u32::try_from(evidence.len().saturating_sub(SHOWN_EVIDENCE)).unwrap_or(u32::MAX);
    let omitted = omitted.saturating_add(*evidence_omitted);
    let vendor_id = vendor_id(subject);
    FindingSpec {
        rule: rule_of(rule),
        family: family_of(*family),
        category: fit(category, MAX_WORD),
        severity: severity_of(*severity),
        severity_rank: *severity_rank,
        weighed: Some(weighed_of(*weighed)),
        title: fit(title, MAX_TITLE),
        why: fit(why, MAX_WHY),
        subject: subject_of(subject, vendor_id),
        accountable: accountable_of(accountable, subject),
        path: hops(path),
        evidence: evidence.iter().take(SHOWN_EVIDENCE).map(|one| evidence_of(one, subject, vendor_id)).collect(),
        evidence_omitted: i32::try_from(omitted).unwrap_or(i32::MAX),
        narrowed: narrowed
            .iter()
            .take(MAX_NARROWED)
            .map(|one| api::Narrowed { claim: fit(&one.claim, MAX_SENTENCE), reason: fit(&one.reason, MAX_SENTENCE) })
            .collect(),
        remediation: remediation.iter().take(MAX_REMEDIATION).map(|step| fit(step, MAX_SENTENCE)).collect(),
        standards: standards.iter().take(MAX_STANDARDS).map(|control| fit(control, MAX_WORD)).collect(),
        // Set when all findings are known.
        consists_of: Vec::new(),
        parts_omitted: 0,
        state: FindingState::Open,
        first_observed: Time(as_of),
        resolved_at: None,
        acceptance: None,
        // As long as the real one, so that the size is right before it is known.
        content_digest: "0".repeat(MAX_WORD),
    }
}

fn rule_of(rule: &rules::RuleRef) -> api::RuleRef {
    api::RuleRef {
        id: fit(&rule.id, MAX_WORD),
        version: fit(&rule.version, MAX_WORD),
        claim: match rule.claim {
            rules::Claim::Full => api::Claim::Full,
            rules::Claim::Narrower => api::Claim::Narrower,
        },
    }
}

fn weighed_of(weighed: rules::Weighed) -> api::Weighed {
    api::Weighed {
        tier: match weighed.tier {
            rules::Tier::P0 => api::Tier::P0,
            rules::Tier::P1 => api::Tier::P1,
            rules::Tier::P2 => api::Tier::P2,
            rules::Tier::P3 => api::Tier::P3,
            rules::Tier::P4 => api::Tier::P4,
        },
        exposure: match weighed.exposure {
            rules::Exposure::X0 => api::Exposure::X0,
            rules::Exposure::X1 => api::Exposure::X1,
            rules::Exposure::X2 => api::Exposure::X2,
            rules::Exposure::X3 => api::Exposure::X3,
        },
        sensitive: weighed.sensitive,
    }
}

/// `<system>:<tenant>:`, with which the identities of the subject and of its neighbours start.
fn local<'a>(id: &'a str, subject: &rules::Subject) -> Option<&'a str> {
    let rest = id.strip_prefix(subject.system.as_str())?.strip_prefix(':')?;
    rest.strip_prefix(subject.tenant.as_str())?.strip_prefix(':')
}

/// The part of the subject's identity that its other fields do not say.
fn vendor_id(subject: &rules::Subject) -> &str {
    let own = local(&subject.id, subject).and_then(|rest| rest.strip_prefix(subject.kind.as_str())?.strip_prefix(':'));
    own.unwrap_or(&subject.id)
}

fn subject_of(subject: &rules::Subject, vendor_id: &str) -> api::Subject {
    api::Subject {
        id: fit(vendor_id, MAX_ID),
        kind: fit(&subject.kind, MAX_WORD),
        name: fit(&subject.name, MAX_NAME),
        system: fit(&subject.system, MAX_WORD),
        tenant: fit(&subject.tenant, MAX_NAME),
        instance: fit(&subject.instance, MAX_WORD),
        instance_uid: fit(&subject.instance_uid, MAX_WORD),
    }
}

fn accountable_of(accountable: &rules::Accountable, subject: &rules::Subject) -> api::Accountable {
    let rules::Accountable { state, parties, total, reason } = accountable;
    let party = |party: &rules::Party| api::Party {
        id: fit(local(&party.id, subject).unwrap_or(&party.id), MAX_ID),
        name: party.name.as_deref().map(|name| fit(name, MAX_NAME)),
        state: fit(&party.state, MAX_WORD),
    };
    api::Accountable {
        state: match state {
            rules::AccountableState::Active => api::AccountableState::Active,
            rules::AccountableState::Gone => api::AccountableState::Gone,
            rules::AccountableState::NotRecorded => api::AccountableState::NotRecorded,
            rules::AccountableState::Unknown => api::AccountableState::Unknown,
        },
        parties: parties.iter().take(MAX_PARTIES).map(party).collect(),
        total: *total,
        reason: reason.as_deref().map(|reason| fit(reason, MAX_SENTENCE)),
    }
}

/// The ends of a path say most: what is too long loses its middle. A hop that starts where the one before it leads does
/// not say so.
fn hops(path: &[rules::Hop]) -> Vec<api::Hop> {
    let (head, tail) = (MAX_PATH.div_ceil(2), MAX_PATH / 2);
    let gap = if path.len() > MAX_PATH { head..path.len() - tail } else { 0..0 };
    let mut before: Option<&str> = None;
    let mut shown = Vec::with_capacity(path.len().min(MAX_PATH));
    for (_, hop) in path.iter().enumerate().filter(|(at, _)| !gap.contains(at)) {
        shown.push(api::Hop {
            from: (before != Some(&hop.from)).then(|| fit(&hop.from, MAX_ID)),
            edge: fit(&hop.edge, MAX_WORD),
            to: fit(&hop.to, MAX_ID),
            via: hop.via.as_deref().map(|via| fit(via, MAX_NAME)),
            class: class_of(hop.class),
        });
        before = Some(&hop.to);
    }
    shown
}

fn evidence_of(evidence: &rules::Evidence, subject: &rules::Subject, vendor_id: &str) -> api::Evidence {
    let source = &evidence.source;
    api::Evidence {
        class: class_of(evidence.class),
        claim: fit(&evidence.claim, MAX_SENTENCE),
        source: api::EvidenceSource {
            connector: (source.connector != subject.system).then(|| fit(&source.connector, MAX_WORD)),
            api: fit(&source.api, MAX_NAME),
            version: fit(&source.version, MAX_WORD),
            object: (source.object != vendor_id).then(|| fit(&source.object, MAX_ID)),
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

/// Characters that are not shown but change how the rest is shown: a snapshot need not come from a connector of ours, nor
/// an exception's owner from a friend.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || rules::invisible(c)
}

/// A text without control and formatting characters and of at most `most` characters; what is cut ends in `…`.
pub(crate) fn fit(text: &str, most: usize) -> String {
    // Nearly every text: one byte for each character, and nothing to clean.
    // Looked at to its end, several bytes at once.
    let plain = || text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if text.len() <= most && plain() {
        return text.to_owned();
    }
    let clean = |c: char| if is_unsafe(c) { ' ' } else { c };
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
