//! The validation rules, evaluated without a cluster: each bad manifest is refused with the sentence that helps.

// A test may stop by panicking, also in its support functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kube::core::cel::{validate_cel, validate_cel_update};
use rstest::rstest;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sv0_api::{ConnectorInstance, Estate, FindingException, ScanSchedule};

const TENANT: &str = "0f0f0f0f-1111-2222-3333-444444444444";

fn typed<T: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> T {
    let object = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "team-a"}, "spec": spec
    });
    serde_json::from_value(object).expect("readable")
}

fn good() -> Value {
    json!({
        "system": "Entra", "serviceAccountName": "scan-entra",
        "entra": {"tenantId": TENANT, "clientId": TENANT, "auth": {"workloadIdentity": {}}}
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut spec = good();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let target = spec.pointer_mut(parent).expect("an object").as_object_mut().expect("an object");
    match value {
        Value::Null => target.remove(key),
        value => target.insert(key.to_owned(), value),
    };
    spec
}

/// `good()` has [`TENANT`] as client id too.
const OTHER: &str = "1a1a1a1a-1111-2222-3333-444444444444";

fn federated(identity: &str) -> Value {
    json!({"federatedManagedIdentity": {"managedIdentityClientId": identity}})
}

fn sentences<E: std::fmt::Debug>(outcome: Result<(), E>) -> String {
    outcome.map_or_else(|errors| format!("{errors:?}"), |()| String::new())
}

#[rstest]
#[case::workload_identity("entra", good())]
#[case::secret("entra-2", with("/entra/auth", json!({"clientSecret": {"secretName": "sv0-entra"}})))]
#[case::certificate("e", with("/entra/auth", json!({"clientCertificate": {"secretName": "sv0-entra-certificate"}})))]
#[case::managed_identity("e", with("/entra/auth", json!({"managedIdentity": {}})))]
#[case::federated_managed_identity("e", with("/entra/auth", federated(OTHER)))]
#[case::accepted_consent("e", with("/acceptedConsent", json!("0123456789ab")))]
#[case::other_cloud("e", with("/entra/cloud", json!("UsGov")))]
#[case::longest_name(&"a".repeat(40), good())]
#[case::dotted_account("entra", with("/serviceAccountName", json!("scan.entra")))]
fn a_good_instance_is_taken(#[case] name: &str, #[case] spec: Value) {
    let instance: ConnectorInstance = typed("ConnectorInstance", name, &spec);
    assert_eq!(sentences(validate_cel(&instance)), "");
}

#[rstest]
#[case::long_name(&"a".repeat(41), good(), "at most 40 characters")]
#[case::dotted_name("a.b", good(), "at most 40 characters")]
#[case::no_source("e", with("/entra", Value::Null), "add spec.entra")]
#[case::no_auth("e", with("/entra/auth", json!({})), "auth needs exactly one member")]
#[case::both_auth("e", with("/entra/auth", json!({"workloadIdentity": {}, "clientSecret": {"secretName": "sv0-a"}})), "auth needs exactly one member")]
#[case::two_without_a_secret("e", with("/entra/auth", json!({"workloadIdentity": {}, "managedIdentity": {}})), "remove the others")]
#[case::two_with_a_secret("e", with("/entra/auth", json!({"clientCertificate": {"secretName": "sv0-a"}, "clientSecret": {"secretName": "sv0-a"}})), "auth needs exactly one member")]
#[case::all_auth("e", with("/entra/auth", json!({"workloadIdentity": {}, "managedIdentity": {}, "federatedManagedIdentity": {"managedIdentityClientId": OTHER}, "clientCertificate": {"secretName": "sv0-a"}, "clientSecret": {"secretName": "sv0-a"}})), "auth needs exactly one member")]
#[case::foreign_certificate("e", with("/entra/auth", json!({"clientCertificate": {"secretName": "webhook-tls"}})), "must begin with 'sv0-'")]
#[case::name_as_identity(
    "e",
    with("/entra/auth", federated("id-scanner")),
    "client ID of the user-assigned managed identity"
)]
#[case::identity_is_the_application("e", with("/entra/auth", federated(TENANT)), "use auth.managedIdentity: {}")]
#[case::consent_by_word("e", with("/acceptedConsent", json!("yes")), "copy them from there")]
#[case::unknown_auth("e", with("/entra/auth", json!({"password": {}})), "auth needs exactly one member")]
#[case::foreign_secret("e", with("/entra/auth", json!({"clientSecret": {"secretName": "database"}})), "must begin with 'sv0-'")]
#[case::bare_prefix("e", with("/entra/auth", json!({"clientSecret": {"secretName": "sv0-"}})), "must begin with 'sv0-'")]
#[case::path_in_secret("e", with("/entra/auth", json!({"clientSecret": {"secretName": "sv0-../x"}})), "must begin with 'sv0-'")]
#[case::domain_as_tenant("e", with("/entra/tenantId", json!("contoso.onmicrosoft.com")), "not a domain name")]
#[case::upper_case_tenant("e", with("/entra/tenantId", json!("0F0F0F0F-1111-2222-3333-444444444444")), "lower case")]
#[case::tenant_with_line_end("e", with("/entra/tenantId", json!(format!("{TENANT}\n"))), "GUID in lower case")]
#[case::client("e", with("/entra/clientId", json!("common")), "application (client) ID")]
#[case::default_account("e", with("/serviceAccountName", json!("default")), "'default' is not allowed")]
fn a_bad_instance_is_refused_with_what_to_change(#[case] name: &str, #[case] spec: Value, #[case] sentence: &str) {
    let instance: ConnectorInstance = typed("ConnectorInstance", name, &spec);
    let said = sentences(validate_cel(&instance));
    assert!(said.contains(sentence), "expected \"{sentence}\", got: {said}");
}

#[rstest]
#[case::tenant(with("/entra/tenantId", json!("0f0f0f0f-1111-2222-3333-555555555555")), "tenantId cannot change")]
#[case::cloud(with("/entra/cloud", json!("China")), "cloud cannot change")]
fn what_an_instance_is_bound_to_cannot_change(#[case] spec: Value, #[case] sentence: &str) {
    let old: ConnectorInstance = typed("ConnectorInstance", "e", &good());
    let new: ConnectorInstance = typed("ConnectorInstance", "e", &spec);
    let said = sentences(validate_cel_update(&new, &old));
    assert!(said.contains(sentence), "expected \"{sentence}\", got: {said}");
}

#[test]
fn client_account_and_method_can_change() {
    let old: ConnectorInstance = typed("ConnectorInstance", "e", &good());
    let mut spec = with("/entra/auth", json!({"clientSecret": {"secretName": "sv0-entra"}}));
    spec["serviceAccountName"] = json!("other");
    spec["entra"]["clientId"] = json!("99999999-1111-2222-3333-444444444444");
    let new: ConnectorInstance = typed("ConnectorInstance", "e", &spec);
    assert_eq!(sentences(validate_cel_update(&new, &old)), "");
}

#[rstest]
#[case("* * * * *")]
#[case("0 */6 * * *")]
#[case("5,35 8-18/2 1,15 JAN-MAR,dec Mon-Fri")]
#[case("59 23 31 12 7")]
#[case("00 07 01 09 0")]
#[case("*/5,7 0 * * sun")]
fn cron_fields_are_taken(#[case] schedule: &str) {
    let schedule: ScanSchedule = typed("ScanSchedule", "s", &json!({"schedule": schedule}));
    assert_eq!(sentences(validate_cel(&schedule)), "");
}

#[rstest]
#[case::four_fields("0 0 * *")]
#[case::six_fields("0 0 0 * * *")]
#[case::minute("60 * * * *")]
#[case::hour("0 24 * * *")]
#[case::day_zero("0 0 0 * *")]
#[case::day("0 0 32 * *")]
#[case::month("0 0 * 13 *")]
#[case::weekday("0 0 * * 8")]
#[case::shorthand("@hourly")]
#[case::two_spaces("0  0 * * *")]
#[case::trailing_space("0 0 * * * ")]
#[case::trailing_line("0 0 * * *\n")]
#[case::zero_step("*/0 * * * *")]
#[case::step_on_value("5/10 * * * *")]
#[case::empty_list_item("1,,2 * * * *")]
#[case::last_day("0 0 L * *")]
#[case::month_name_as_day("0 0 * * JAN")]
#[case::empty("")]
fn other_schedules_are_refused(#[case] schedule: &str) {
    let schedule: ScanSchedule = typed("ScanSchedule", "s", &json!({"schedule": schedule}));
    let said = sentences(validate_cel(&schedule));
    assert!(said.contains("five cron fields"), "{said}");
}

#[rstest]
#[case("timeZone", "Local", "IANA zone name")]
#[case("timeZone", "+02:00", "IANA zone name")]
#[case("timeZone", "Europe/Amsterdam/../../x", "IANA zone name")]
#[case("timeZone", "CET", "IANA zone name")]
#[case("jitter", "2h", "at most 1h")]
#[case("jitter", "61m", "at most 1h")]
#[case("jitter", "3601s", "at most 1h")]
#[case("jitter", "1.5m", "at most 1h")]
#[case("jitter", "10", "at most 1h")]
#[case("jitter", "-5m", "at most 1h")]
fn bad_zone_or_jitter_is_refused(#[case] field: &str, #[case] value: &str, #[case] sentence: &str) {
    let mut spec = json!({"schedule": "* * * * *"});
    spec[field] = json!(value);
    let said = sentences(validate_cel(&typed::<ScanSchedule>("ScanSchedule", "s", &spec)));
    assert!(said.contains(sentence), "{said}");
}

#[rstest]
#[case("Etc/UTC", "0s", 0)]
#[case("UTC", "90s", 90)]
#[case("Europe/Amsterdam", "60m", 3600)]
#[case("America/Argentina/Buenos_Aires", "1h", 3600)]
#[case("Etc/GMT+5", "3600s", 3600)]
fn good_zones_and_jitters(#[case] zone: &str, #[case] jitter: &str, #[case] seconds: i64) {
    let spec = json!({"schedule": "* * * * *", "timeZone": zone, "jitter": jitter});
    let schedule: ScanSchedule = typed("ScanSchedule", "s", &spec);
    assert_eq!(sentences(validate_cel(&schedule)), "");
    assert_eq!(schedule.spec.jitter_seconds(), Some(seconds));
}

#[rstest]
#[case("")]
#[case("s")]
#[case("5")]
#[case("5d")]
#[case("-5s")]
#[case("2h")]
#[case("5é")]
#[case("99999999999999999999s")]
fn a_jitter_that_the_schema_would_refuse_is_not_read(#[case] jitter: &str) {
    let schedule: ScanSchedule = typed("ScanSchedule", "s", &json!({"schedule": "* * * * *", "jitter": jitter}));
    assert_eq!(schedule.spec.jitter_seconds(), None);
}

#[test]
fn there_is_one_estate_per_namespace() {
    assert_eq!(sentences(validate_cel(&typed::<Estate>("Estate", "default", &json!({})))), "");
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "prod", &json!({}))));
    assert!(said.contains("must be 'default'"), "{said}");
    let odd = json!({"trustedTenants": ["a b"]});
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "default", &odd)));
    assert!(said.contains("trustedTenants holds tenant ids"), "{said}");
}

fn exception() -> Value {
    json!({
        "match": {"rules": ["CRED-002"], "maxSeverity": "Medium"}, "owner": "identity-team@example.com",
        "reason": "Rotated by the vendor in March; until then the network keeps it apart.\nSee the risk register, R-17.",
        "expiresAt": "2027-03-31T00:00:00Z"
    })
}

fn exception_with(pointer: &str, value: Value) -> Value {
    let mut spec = exception();
    *spec.pointer_mut(pointer).expect("a field") = value;
    spec
}

#[rstest]
#[case::by_rule("a", exception())]
#[case::by_finding("a", exception_with("/match", json!({"findings": ["cred-002-0123456789abcdef"]})))]
#[case::by_subject("a", exception_with("/match", json!({"subjects": ["entra:t:ServicePrincipal:a/b (c)", "github:o:Repository:1"]})))]
#[case::by_all("a", exception_with("/match", json!({"findings": ["f"], "rules": ["ORPH-001", "XSYS-005"], "subjects": ["aws:1:Role:arn:aws:iam::1:role/x"], "maxSeverity": "Critical"})))]
#[case::other_alphabet("a", exception_with("/owner", json!("Ünal Çelik, 平台团队")))]
#[case::quotes_in_the_reason("a", exception_with("/reason", json!("the vendor says \"in March\": see C:\\risks")))]
#[case::longest_name(&"a".repeat(63), exception())]
fn a_good_exception_is_taken(#[case] name: &str, #[case] spec: Value) {
    let exception: FindingException = typed("FindingException", name, &spec);
    assert_eq!(sentences(validate_cel(&exception)), "");
}

#[rstest]
#[case::long_name(&"a".repeat(64), exception(), "at most 63 characters")]
#[case::empty_match("a", exception_with("/match", json!({})), "would accept everything")]
#[case::empty_lists("a", exception_with("/match", json!({"rules": [], "findings": [], "subjects": []})), "would accept everything")]
#[case::severity_alone("a", exception_with("/match", json!({"maxSeverity": "Low"})), "would accept everything")]
#[case::rule_as_pattern("a", exception_with("/match/rules", json!(["CRED-*"])), "such as CRED-002")]
#[case::rule_in_lower_case("a", exception_with("/match/rules", json!(["CRED-001", "cred-002"])), "such as CRED-002")]
#[case::narrower_claim("a", exception_with("/match/rules", json!(["CRED-002.n"])), "such as CRED-002")]
#[case::finding_as_pattern("a", exception_with("/match", json!({"findings": ["cred-*"]})), "as kubectl get findings shows them")]
#[case::bare_subject("a", exception_with("/match", json!({"subjects": ["0f0f0f0f-1111-2222-3333-444444444444"]})), "<system>:<tenant>:<kind>:<id>")]
#[case::subject_of_two_lines("a", exception_with("/match", json!({"subjects": ["entra:t:ServicePrincipal:a\nb"]})), "full identities")]
#[case::quoted_owner("a", exception_with("/owner", json!("the \"team\"")), "who accepts the risk")]
#[case::blank_owner("a", exception_with("/owner", json!("  ")), "who accepts the risk")]
#[case::owner_of_two_lines("a", exception_with("/owner", json!("a\nb")), "in one line")]
#[case::owner_with_line_end("a", exception_with("/owner", json!("a\n")), "in one line")]
#[case::blank_reason("a", exception_with("/reason", json!(" \n ")), "why the risk is accepted")]
#[case::reason_with_tab("a", exception_with("/reason", json!("a\tb")), "without tabs")]
#[case::reason_with_control("a", exception_with("/reason", json!("a\u{1b}[31m")), "in plain text")]
fn a_bad_exception_is_refused_with_what_to_change(#[case] name: &str, #[case] spec: Value, #[case] sentence: &str) {
    let exception: FindingException = typed("FindingException", name, &spec);
    let said = sentences(validate_cel(&exception));
    assert!(said.contains(sentence), "expected \"{sentence}\", got: {said}");
}

#[rstest]
#[case("owner")]
#[case("reason")]
#[case("expiresAt")]
#[case("match")]
fn an_exception_without_owner_reason_end_or_match_is_none(#[case] field: &str) {
    let mut spec = exception();
    spec.as_object_mut().expect("an object").remove(field);
    assert!(serde_json::from_value::<sv0_api::FindingExceptionSpec>(spec).is_err());
    let crd = sv0_api::crds().into_iter().find(|crd| crd.spec.names.kind == "FindingException").expect("the kind");
    let crd = serde_json::to_value(crd).expect("JSON");
    let required = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"];
    assert!(required.as_array().expect("a list").contains(&json!(field)), "{required}");
}

#[rstest]
#[case::odd_name(json!({"name": "Dev", "production": false, "tenants": ["a"]}), "name is lower-case letters")]
#[case::empty(json!({"name": "dev", "production": false}), "needs at least one of tenants")]
#[case::odd_tenant(json!({"name": "dev", "production": false, "tenants": ["a b"]}), "tenants holds tenant ids")]
#[case::odd_scope(json!({"name": "dev", "production": false, "scopes": ["x"]}), "begin with '/'")]
#[case::whole_tenant_as_scope(json!({"name": "dev", "production": false, "scopes": ["/"]}), "for a whole tenant use tenants")]
#[case::a_name_as_object(json!({"name": "dev", "production": false, "objects": ["my app"]}), "no names")]
#[case::everything(json!({"name": "dev", "production": false, "namePatterns": ["**a**"]}), "at least three characters")]
#[case::good(json!({"name": "dev-1", "production": false, "tenants": ["t"], "scopes": ["/administrativeUnits/1"], "objects": ["o"], "namePatterns": ["dev-*"]}), "")]
fn environments_say_what_to_change(#[case] environment: Value, #[case] sentence: &str) {
    let spec = json!({ "environments": [environment] });
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "default", &spec)));
    assert!(if sentence.is_empty() { said.is_empty() } else { said.contains(sentence) }, "{said}");
}

#[rstest]
#[case::short_id(json!({"identity": "0f0f0f0f-1111-2222-3333-444444444444", "systems": []}), "is the full identity")]
#[case::nothing_said(json!({"identity": "entra:t:ServicePrincipal:1"}), "needs systems, domains or both")]
#[case::good(json!({"identity": "entra:t:ServicePrincipal:1", "systems": ["s"], "domains": ["mail", "security_records", "hr"]}), "")]
#[case::colons_in_the_id(json!({"identity": "aws:1:Role:arn:aws:iam::1:role/x", "domains": []}), "")]
fn purposes_say_what_to_change(#[case] purpose: Value, #[case] sentence: &str) {
    let spec = json!({ "declaredPurposes": [purpose] });
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "default", &spec)));
    assert!(if sentence.is_empty() { said.is_empty() } else { said.contains(sentence) }, "{said}");
}

#[rstest]
#[case::good("01764000000000-0123abcd", &"a".repeat(64), "")]
#[case::short_id("0176400", &"a".repeat(64), "as they stand in status.inputs")]
#[case::short_digest("01764000000000-0123abcd", "abc", "as they stand in status.inputs")]
fn a_baseline_says_what_to_change(#[case] id: &str, #[case] hex: &str, #[case] sentence: &str) {
    let accepted = json!({"instance": "entra", "snapshotId": id, "snapshotDigest": format!("sha256:{hex}")});
    let spec = json!({ "baseline": [accepted] });
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "default", &spec)));
    assert!(if sentence.is_empty() { said.is_empty() } else { said.contains(sentence) }, "{said}");
}

#[rstest]
#[case::empty(json!({"domain": "hr"}), "needs at least one of objects and scopes")]
#[case::a_name_as_object(json!({"domain": "customer_pii", "objects": ["My API"]}), "no names")]
#[case::odd_scope(json!({"domain": "hr", "scopes": ["x"]}), "begin with '/'")]
#[case::good(json!({"domain": "source_code", "objects": ["o"], "scopes": ["/s"]}), "")]
fn sensitive_domains_say_what_to_change(#[case] domain: Value, #[case] sentence: &str) {
    let spec = json!({ "sensitiveDomains": [domain] });
    let said = sentences(validate_cel(&typed::<Estate>("Estate", "default", &spec)));
    assert!(if sentence.is_empty() { said.is_empty() } else { said.contains(sentence) }, "{said}");
}
