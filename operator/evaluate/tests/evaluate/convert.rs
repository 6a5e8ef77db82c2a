//! What the rules give becomes a resource that the schema takes and etcd can afford.

use std::collections::BTreeSet;

use sv0_api::{FINDING_BYTES, FINDING_SPEC_BYTES, Family, FindingState, Severity};
use sv0_engine::convert::{draft, labels, word};
use sv0_rules::{
    Accountable, AccountableState, Claim, Dependency, Evidence, EvidenceClass, EvidenceSource, Exposure, Hop, Narrowed,
    Party, RuleFinding, RuleRef, Subject, Tier, Weighed,
};

use crate::common::day;

/// A finding with `n` of everything, and `text` wherever a source system or a rule may write.
#[allow(clippy::too_many_lines, reason = "one value")]
fn finding(n: usize, text: &str) -> RuleFinding {
    let many = |word: &str| (0..n).map(|i| format!("{word} {i} {text}")).collect::<Vec<String>>();
    let source = || EvidenceSource {
        connector: "entra".into(),
        api: text.into(),
        version: "v1.0".into(),
        object: text.into(),
        field: text.into(),
    };
    RuleFinding {
        name: "cred-002-0123456789abcdef".into(),
        rule: RuleRef { id: "CRED-002".into(), version: "1.0.0".into(), claim: Claim::Narrower },
        family: sv0_rules::Family::CredentialLifecycle,
        category: "LifetimeTooLong".into(),
        severity: sv0_rules::Severity::Critical,
        severity_rank: 5,
        weighed: Weighed { tier: Tier::P0, exposure: Exposure::X1, sensitive: true },
        title: text.into(),
        why: text.into(),
        subject: Subject {
            id: format!("entra:t:ServicePrincipal:{text}"),
            kind: "ServicePrincipal".into(),
            name: text.into(),
            system: "entra".into(),
            tenant: text.into(),
            instance: "entra".into(),
            instance_uid: "0f0e0d0c-0000-4000-8000-000000000001".into(),
        },
        accountable: Accountable {
            state: AccountableState::Unknown,
            parties: many("party")
                .into_iter()
                .map(|id| Party { id, name: Some(text.into()), state: text.into() })
                .collect(),
            total: i32::try_from(n).unwrap(),
            reason: Some(text.into()),
        },
        path: many("node")
            .into_iter()
            .map(|from| Hop {
                from,
                edge: "GRANTED".into(),
                to: text.into(),
                via: Some(text.into()),
                class: EvidenceClass::Structural,
                evidence: None,
            })
            .collect(),
        evidence: many("claim")
            .into_iter()
            .map(|claim| Evidence {
                class: EvidenceClass::Temporal,
                claim,
                source: source(),
                value: Some(text.into()),
                observed_at: None,
            })
            .collect(),
        evidence_omitted: 0,
        narrowed: many("claim").into_iter().map(|claim| Narrowed { claim, reason: text.into() }).collect(),
        remediation: many("step"),
        standards: many("OWASP"),
        depends_on: BTreeSet::from([Dependency { instance_uid: "u".into(), collection: "applications".into() }]),
        through: None,
        tells: BTreeSet::new(),
    }
}

#[test]
fn what_fits_stands_word_for_word() {
    let draft = draft(finding(2, "a short text"), day(10)).unwrap();
    let spec = &draft.spec;
    assert_eq!(draft.name, "cred-002-0123456789abcdef");
    assert_eq!((spec.evidence.len(), spec.evidence_omitted), (2, 0));
    assert_eq!((spec.path.len(), spec.accountable.parties.len(), spec.accountable.total), (2, 2, 2));
    assert_eq!((spec.remediation.len(), spec.standards.len(), spec.narrowed.len()), (2, 2, 2));
    assert_eq!(spec.evidence[1].claim, "claim 1 a short text");
    assert_eq!((spec.severity, spec.rule.claim), (Severity::Critical, sv0_api::Claim::Narrower));
    assert_eq!((draft.depends_on.len(), &draft.depends_on[0].collection[..]), (1, "applications"));
    assert_eq!(draft.full.unwrap().evidence.len(), 2);
}

#[test]
fn a_long_finding_is_cut_to_what_a_resource_may_cost_and_says_what_is_left_out() {
    let many = finding(40, "An ordinary sentence of a usual length, with an identifier in it.");
    let draft = draft(many, day(10)).unwrap();
    let spec = &draft.spec;
    let size = serde_json::to_vec(spec).unwrap().len();
    assert!(size <= FINDING_SPEC_BYTES && FINDING_SPEC_BYTES < FINDING_BYTES, "{size} bytes");
    let shown = spec.evidence.len() + usize::try_from(spec.evidence_omitted).unwrap();
    assert_eq!(shown, 40, "what is not shown is counted");
    assert_eq!(spec.accountable.total, 40);
    assert_eq!(draft.full.unwrap().evidence.len(), 40, "the pack has all of it");
}

#[test]
fn hostile_text_is_cut_by_characters_and_loses_its_control_characters() {
    let hostile = format!("\u{1b}[31m\r\n{}", "é".repeat(2_000));
    let spec = draft(finding(1, &hostile), day(10)).unwrap().spec;
    let within = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    assert!(within(&spec.title, sv0_api::MAX_TITLE) && spec.title.ends_with('…'));
    assert!(within(&spec.why, sv0_api::MAX_WHY));
    assert!(within(&spec.subject.id, sv0_api::MAX_ID) && within(&spec.subject.name, sv0_api::MAX_NAME));
    for evidence in &spec.evidence {
        assert!(
            within(&evidence.claim, sv0_api::MAX_SENTENCE)
                && within(evidence.source.object.as_deref().unwrap(), sv0_api::MAX_ID)
        );
    }
}

#[test]
fn the_digest_covers_what_is_said_and_not_when() {
    let digest = |finding, at| draft(finding, at).unwrap().spec.content_digest;
    assert_eq!(digest(finding(1, "x"), day(10)), digest(finding(1, "x"), day(11)));
    assert_ne!(digest(finding(1, "x"), day(10)), digest(finding(1, "y"), day(10)));
    let mut spec = draft(finding(1, "x"), day(10)).unwrap().spec;
    spec.state = FindingState::Resolved;
    assert_eq!(sv0_engine::convert::content_digest(&spec).unwrap(), spec.content_digest);
}

#[test]
fn labels_hold_the_words_of_the_resource_and_nothing_that_a_label_may_not() {
    let mut spec = draft(finding(1, "x"), day(10)).unwrap().spec;
    spec.subject.system = "-sys tem/é-".into();
    let labels = labels(&spec);
    assert_eq!(labels["securityv0.com/rule"], "cred-002");
    assert_eq!(labels["securityv0.com/system"], "sys-tem");
    for (value, json) in [
        (word(&spec.family), serde_json::to_value(spec.family).unwrap()),
        (
            word(&Family::ExposureNarrowSensitiveReach),
            serde_json::to_value(Family::ExposureNarrowSensitiveReach).unwrap(),
        ),
        (word(&spec.severity), serde_json::to_value(spec.severity).unwrap()),
        (word(&spec.state), serde_json::to_value(spec.state).unwrap()),
    ] {
        assert_eq!(json, value.as_str());
    }
}

#[test]
fn the_digest_is_that_of_the_canonical_spec_without_the_fields_of_its_life() {
    for n in [0, 1, 40] {
        let spec = draft(finding(n, "x"), day(10)).unwrap().spec;
        let mut value = serde_json::to_value(&spec).unwrap();
        for field in ["contentDigest", "firstObserved", "resolvedAt", "state"] {
            value.as_object_mut().unwrap().remove(field);
        }
        let canonical = sv0_graph::canonical::to_canonical_json(&value).unwrap();
        assert_eq!(spec.content_digest, sv0_graph::canonical::sha256_hex(&canonical));
    }
}

/// What other fields say is left out, and can be put together again.
#[test]
fn nothing_is_said_twice_and_nothing_is_lost() {
    let mut whole = finding(2, "x");
    whole.subject = Subject { id: "entra:t:ServicePrincipal:a:b".into(), tenant: "t".into(), ..whole.subject };
    whole.accountable.parties[0].id = "entra:t:Human:1".into();
    whole.accountable.parties[1].id = "entra:other:Human:1".into();
    whole.evidence[0].source.object = "a:b".into();
    whole.evidence[1].source.connector = "azure".into();
    whole.path[0].to = whole.path[1].from.clone();
    whole.path[0].class = EvidenceClass::Direct;
    let spec = draft(whole, day(10)).unwrap().spec;
    assert_eq!(spec.subject.id, "a:b");
    let parties: Vec<_> = spec.accountable.parties.iter().map(|party| party.id.as_str()).collect();
    assert_eq!(parties, ["Human:1", "entra:other:Human:1"]);
    let sources: Vec<_> =
        spec.evidence.iter().map(|one| (one.source.connector.as_deref(), one.source.object.as_deref())).collect();
    assert_eq!(sources, [(None, None), (Some("azure"), Some("x"))]);
    assert_eq!((spec.path[0].from.as_deref(), spec.path[1].from.as_deref()), (Some("node 0 x"), None));
    let hop = |at: usize| serde_json::to_value(&spec.path[at]).unwrap();
    assert_eq!((hop(0).get("class"), hop(1).get("class").unwrap()), (None, &serde_json::json!("Structural")));
    assert_eq!(serde_json::from_value::<sv0_api::FindingSpec>(serde_json::to_value(&spec).unwrap()).unwrap(), spec);
}

/// A subject whose identity does not start as its other fields say keeps all of it.
#[test]
fn an_unexpected_identity_stands_whole() {
    let mut odd = finding(1, "x");
    odd.subject.id = "azure:t:ServicePrincipal:1".into();
    assert_eq!(draft(odd, day(10)).unwrap().spec.subject.id, "azure:t:ServicePrincipal:1");
}

#[test]
fn a_path_that_is_too_long_loses_its_middle_and_says_where_the_rest_starts() {
    let mut long = finding(20, "x");
    for at in 1..long.path.len() {
        long.path[at].from = long.path[at - 1].to.clone();
        long.path[at].to = format!("to {at}");
    }
    let ends: Vec<_> = long.path.iter().map(|hop| hop.to.clone()).collect();
    long.path[1].from = long.path[0].to.clone();
    let path = draft(long, day(10)).unwrap().spec.path;
    assert_eq!((path[0].from.as_deref(), path[1].from.as_deref()), (Some("node 0 x"), None));
    assert_eq!(path.last().unwrap().to, ends[19]);
    let after_gap: Vec<_> = path[1..].iter().filter_map(|hop| hop.from.as_deref()).collect();
    assert_eq!(after_gap.len(), 1, "only the hop behind the gap says where it starts");
}
