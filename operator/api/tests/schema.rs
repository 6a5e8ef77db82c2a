//! What the generated definitions promise: small, atomic where it matters, defaults that do not move, columns that exist.

// A test may stop by panicking, also in its support functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rstest::rstest;
use serde_json::{Value, json};
use sv0_api::{
    ConnectorInstanceSpec, EstateSpec, FindingExceptionSpec, FindingSpec, ScanScheduleSpec, crds, generated_files,
};

fn crd(kind: &str) -> Value {
    let found = crds().into_iter().find(|crd: &CustomResourceDefinition| crd.spec.names.kind == kind);
    serde_json::to_value(found.expect("a known kind")).unwrap()
}

fn schema(kind: &str) -> Value {
    crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every schema below `schema`, with its path.
fn walk(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    found.push((path.to_owned(), schema.clone()));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, found);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            walk(&format!("{path}[]"), &schema[key], found);
        }
    }
}

fn schemas(kind: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk("", &schema(kind), &mut found);
    found
}

#[rstest]
#[case("ConnectorInstance")]
#[case("Estate")]
#[case("Finding")]
#[case("FindingException")]
#[case("ScanSchedule")]
fn a_definition_is_small_and_plain(#[case] kind: &str) {
    let crd = crd(kind);
    let bytes = serde_json::to_vec(&crd).unwrap().len();
    assert!(bytes < 40_000, "{kind}: {bytes} bytes; large definitions cost every client that lists them");
    assert_eq!(crd["spec"]["group"], "securityv0.com");
    assert_eq!(crd["spec"]["scope"], "Namespaced");
    assert_eq!(crd["spec"]["names"]["categories"], json!(["securityv0"]));
    assert!(crd["spec"]["conversion"].is_null(), "no conversion webhook");
    for (path, schema) in schemas(kind) {
        assert!(schema["nullable"].is_null(), "{kind}{path} may be null: has() in rules would count it as present");
        let format = schema["format"].as_str().unwrap_or_default();
        assert!(["", "int32", "int64", "date-time"].contains(&format), "{kind}{path} has the unknown format {format}");
        assert!(schema["x-kubernetes-preserve-unknown-fields"].is_null(), "{kind}{path} keeps unknown fields");
    }
}

#[test]
fn ways_to_sign_in_are_one_union_and_the_status_says_what_is_granted() {
    let paths: Vec<String> = schemas("ConnectorInstance").into_iter().map(|(path, _)| path).collect();
    let below = |prefix: &str| {
        let inner = paths.iter().filter_map(|path| path.strip_prefix(prefix)).filter(|rest| !rest.contains('.'));
        inner.map(str::to_owned).collect::<Vec<_>>()
    };
    let members = below(".spec.entra.auth.");
    assert_eq!(
        members,
        ["clientCertificate", "clientSecret", "federatedManagedIdentity", "managedIdentity", "workloadIdentity"]
    );
    let auth = &schema("ConnectorInstance")["properties"]["spec"]["properties"]["entra"]["properties"]["auth"];
    let rule = auth["x-kubernetes-validations"][0]["rule"].as_str().expect("a rule");
    for member in &members {
        assert!(rule.contains(&format!("has(self.{member})")), "the rule about exactly one member forgets {member}");
    }
    for field in ["digest", "permissions", "grantedBy", "firstSeenAt", "changedAt"] {
        assert!(below(".status.consent.").iter().any(|known| known == field), "status.consent has no {field}");
    }
}

#[rstest]
#[case("ConnectorInstance")]
#[case("Estate")]
#[case("Finding")]
#[case("FindingException")]
#[case("ScanSchedule")]
fn every_column_and_selectable_field_exists(#[case] kind: &str) {
    let version = crd(kind)["spec"]["versions"][0].clone();
    let paths: Vec<String> = schemas(kind).into_iter().map(|(path, _)| path).collect();
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let fields = version["selectableFields"].as_array().cloned().unwrap_or_default();
    for entry in columns.iter().chain(&fields) {
        let path = entry["jsonPath"].as_str().expect("a path");
        let plain = match (path.find("[?("), path.find(")]")) {
            (Some(start), Some(end)) => format!("{}[]{}", &path[..start], &path[end + 2..]),
            _ => path.to_owned(),
        };
        assert!(plain == ".metadata.creationTimestamp" || paths.contains(&plain), "{kind}: no field {plain}");
    }
}

#[test]
fn a_finding_has_an_atomic_spec_no_status_and_selectable_fields() {
    let crd = crd("Finding");
    let version = &crd["spec"]["versions"][0];
    assert!(version["subresources"].is_null(), "a Finding has no status subresource");
    assert_eq!(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-map-type"], "atomic");
    assert!(version["schema"]["openAPIV3Schema"]["properties"]["status"].is_null());
    let fields: Vec<&str> =
        version["selectableFields"].as_array().unwrap().iter().filter_map(|field| field["jsonPath"].as_str()).collect();
    assert_eq!(fields, [".spec.rule.id", ".spec.family", ".spec.severity", ".spec.subject.system", ".spec.state"]);
}

#[rstest]
#[case("ConnectorInstance")]
#[case("Estate")]
#[case("FindingException")]
#[case("ScanSchedule")]
fn the_others_have_a_status_whose_conditions_merge_by_type(#[case] kind: &str) {
    let version = crd(kind)["spec"]["versions"][0].clone();
    assert!(version["subresources"]["status"].is_object());
    let conditions = &version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
}

/// Puts the schema's defaults into an object, as the API server does.
fn apply_defaults(schema: &Value, object: &mut Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let Some(fields) = object.as_object_mut() else { return };
        if !fields.contains_key(name) && !property["default"].is_null() {
            fields.insert(name.clone(), property["default"].clone());
        }
        if let Some(value) = fields.get_mut(name) {
            apply_defaults(property, value);
        }
    }
}

/// What the API server stores, what our types read, and what our types write are the same: nothing appears, nothing
/// vanishes, and a second round changes nothing.
fn round<T: serde::de::DeserializeOwned + serde::Serialize>(kind: &str, written: Value) -> Value {
    let spec = schema(kind)["properties"]["spec"].clone();
    let mut stored = written;
    apply_defaults(&spec, &mut stored);
    let once = stored.clone();
    apply_defaults(&spec, &mut stored);
    assert_eq!(once, stored, "{kind}: defaulting twice differs");
    let typed: T = serde_json::from_value(stored.clone()).expect("readable");
    assert_eq!(serde_json::to_value(typed).unwrap(), stored, "{kind}: reading and writing moves a default");
    stored
}

#[test]
fn defaults_are_idempotent() {
    let source = json!({"tenantId": "t", "clientId": "c", "auth": {"workloadIdentity": {}}});
    let stored = round::<ConnectorInstanceSpec>(
        "ConnectorInstance",
        json!({"system": "Entra", "serviceAccountName": "s", "entra": source}),
    );
    assert_eq!((&stored["collection"], &stored["suspend"]), (&json!("Baseline"), &json!(false)));
    assert_eq!(stored["entra"]["cloud"], "Public");
    let stored = round::<ScanScheduleSpec>("ScanSchedule", json!({"schedule": "* * * * *"}));
    assert_eq!((&stored["timeZone"], &stored["jitter"]), (&json!("Etc/UTC"), &json!("0s")));
    let stored = round::<EstateSpec>("Estate", json!({}));
    assert_eq!(
        stored["thresholds"],
        json!({
            "rotateDays": 90, "maxSecretLifetimeDays": 365, "maxCertificateLifetimeDays": 180, "dormantDays": 180,
            "unusedCredentialDays": 90, "rareUseDays": 30, "expiryWarnDays": 30, "neverUsedGraceDays": 30, "sharedByMin": 3
        })
    );
    assert_eq!(stored["retention"], json!({"resolvedDays": 30}));
    round::<EstateSpec>("Estate", json!({"thresholds": {"rotateDays": 30}}));
    let accepted = json!({
        "match": {"rules": ["CRED-002"]}, "owner": "o", "reason": "r", "expiresAt": "2027-01-01T00:00:00Z"
    });
    assert_eq!(round::<FindingExceptionSpec>("FindingException", accepted.clone()), accepted, "nothing is filled in");
    round::<FindingSpec>("Finding", sample_finding());
}

fn sample_finding() -> Value {
    json!({
        "rule": {"id": "CRED-002", "version": "1.0.0", "claim": "Full"}, "family": "CredentialLifecycle",
        "category": "Lifetime", "severity": "High", "severityRank": 4, "title": "t", "why": "w",
        "subject": {"id": "i", "kind": "k", "name": "n", "system": "entra", "tenant": "t", "instance": "e", "instanceUid": "u"},
        "accountable": {"state": "Gone", "total": 2}, "evidence": [], "state": "Open",
        "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "00"
    })
}

#[test]
fn files_are_committed_as_generated() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    for file in generated_files().unwrap() {
        let committed = std::fs::read_to_string(format!("{root}/{}", file.path)).unwrap_or_default();
        assert!(committed == file.content, "{} is stale; run: cargo run -p sv0-api --bin crdgen", file.path);
        if file.path.starts_with("charts/") {
            assert!(file.content.contains("helm.sh/resource-policy: keep"), "{}", file.path);
            assert!(!file.content.contains("{{"), "{} would be read as a template", file.path);
        }
    }
}
