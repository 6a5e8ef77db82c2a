//! A Finding stays inside its budget, and what is cut is cut in the promised order.

// A test may stop by panicking, also in its support functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;
use sv0_api::{
    ACCEPTANCE_BYTES, FINDING_BYTES, FINDING_SPEC_BYTES, FindingSpec, MAX_EVIDENCE, MAX_PARTIES, MAX_PARTS, MAX_PATH,
    MAX_STANDARDS, fit,
};

const GUID: &str = "0f0f0f0f-1111-2222-3333-444444444444";

/// As many entries as are allowed, with texts as long as rules write them.
fn maximal() -> FindingSpec {
    let id = format!("entra:{GUID}:ServicePrincipal:{GUID}");
    // Nothing that may be left out is left out.
    let evidence = json!({
        "class": "Direct", "claim": "The password credential ends on 2031-02-28, 1,826 days after its first day.",
        "source": {"connector": "entra", "api": "Microsoft Graph listApplications", "version": "v1.0", "object": GUID, "field": "passwordCredentials.endDateTime"},
        "value": "2031-02-28T00:00:00Z"
    });
    let hop = json!({"from": "ServicePrincipal invoice-sync-production", "edge": "GRANTED", "to": "System contoso", "via": "Application Administrator", "class": "Direct"});
    let party = json!({"id": id, "name": "first.last@contoso.example", "state": "disabled"});
    let part = json!({
        "name": "cred-003-0123456789abcdef", "rule": "CRED-003", "claim": "Narrower", "severity": "Critical",
        "subject": "s".repeat(sv0_api::MAX_PART_SUBJECT)
    });
    serde_json::from_value(json!({
        "rule": {"id": "CRED-002", "version": "1.0.0", "claim": "Narrower"}, "family": "CredentialLifecycle",
        "category": "Lifetime", "severity": "Critical", "severityRank": 5, "title": "t".repeat(120), "why": "w".repeat(400),
        "subject": {"id": GUID, "kind": "ServicePrincipal", "name": "n".repeat(80), "system": "entra", "tenant": GUID, "instance": "entra-production", "instanceUid": GUID},
        "accountable": {"state": "Gone", "total": 9, "parties": vec![party; MAX_PARTIES]},
        "path": vec![hop; MAX_PATH], "evidence": vec![evidence; MAX_EVIDENCE],
        "narrowed": [{"claim": "c".repeat(100), "reason": "r".repeat(100)}],
        "remediation": ["a".repeat(160), "b".repeat(160), "c".repeat(160)],
        "standards": (0..MAX_STANDARDS).map(|n| format!("OWASP NHI{n}")).collect::<Vec<_>>(),
        "consistsOf": vec![part; MAX_PARTS], "partsOmitted": 99_996,
        "state": "Open", "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "0".repeat(64)
    }))
    .expect("readable")
}

/// The object as the API server stores it: with the metadata that it adds.
fn stored(spec: &FindingSpec) -> usize {
    let labels = json!({
        "app.kubernetes.io/managed-by": "securityv0", "securityv0.com/family": "ExposureNarrowSensitiveReach",
        "securityv0.com/rule": "cred-002", "securityv0.com/severity": "Critical", "securityv0.com/state": "Resolved",
        "securityv0.com/system": "entra"
    });
    let object = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "Finding",
        "metadata": {
            "name": "cred-002-0123456789abcdef", "namespace": "n".repeat(40), "uid": GUID, "generation": 12,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
            "managedFields": [{
                "apiVersion": "securityv0.com/v1alpha1", "fieldsType": "FieldsV1", "manager": "securityv0-evaluate",
                "operation": "Update", "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {"f:metadata": {"f:labels": {
                    ".": {}, "f:app.kubernetes.io/managed-by": {}, "f:securityv0.com/family": {}, "f:securityv0.com/rule": {},
                    "f:securityv0.com/severity": {}, "f:securityv0.com/state": {}, "f:securityv0.com/system": {}
                }}, "f:spec": {}}
            }]
        },
        "spec": spec
    });
    serde_json::to_vec(&object).unwrap().len()
}

#[test]
fn a_maximal_finding_fits_after_the_cut() {
    let mut spec = maximal();
    assert!(stored(&spec) > FINDING_BYTES, "the test must begin above the limit");
    assert!(fit(&mut spec));
    let bytes = serde_json::to_vec(&spec).unwrap().len();
    assert!(bytes <= FINDING_SPEC_BYTES - ACCEPTANCE_BYTES, "{bytes}: no room is left to accept the risk");
    assert!(stored(&spec) <= FINDING_BYTES, "{} bytes stored", stored(&spec));
    assert_eq!(usize::try_from(spec.evidence_omitted).unwrap() + spec.evidence.len(), MAX_EVIDENCE);
    assert!(!spec.evidence.is_empty(), "a claim without evidence is none");
    assert_eq!(spec.accountable.total, 9, "the total still counts all parties");
}

#[test]
fn what_fits_is_left_alone() {
    let mut spec = maximal();
    spec.consists_of.clear();
    spec.evidence.truncate(2);
    spec.path.truncate(1);
    spec.accountable.parties.truncate(1);
    spec.remediation.truncate(1);
    spec.standards.truncate(2);
    let before = spec.clone();
    assert!(fit(&mut spec));
    assert_eq!(spec, before);
}

#[test]
fn repetition_goes_before_the_path_and_the_advice() {
    let mut spec = maximal();
    spec.consists_of.clear();
    spec.path.truncate(2);
    spec.remediation.truncate(2);
    let (path, advice, why) = (spec.path.clone(), spec.remediation.clone(), spec.why.clone());
    assert!(fit(&mut spec));
    assert!(spec.evidence_omitted > 0 && spec.accountable.parties.len() < MAX_PARTIES);
    assert_eq!((spec.path, spec.remediation, spec.why), (path, advice, why));
}

#[test]
fn what_cannot_fit_is_said() {
    let mut spec = maximal();
    spec.title = "t".repeat(4000);
    assert!(!fit(&mut spec));
}
