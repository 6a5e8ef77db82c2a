//! Exports are held to the published schemas of their formats, and to the bytes that they had before. Each schema check
//! is also shown to fail: one defect at a time is put into a good export.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod hostile;

use jsonschema::Validator;
use rstest::rstest;
use serde_json::{Value, json};
use sv0_cli::export::{Format, exported};
use sv0_cli::report::input::{Held, parse};

const SMALL: &str = include_str!("estate/small.json");

fn small() -> Held {
    parse(&[SMALL.as_bytes()], None).unwrap()
}

/// What is validated of one export: one document, but of OCSF one a line.
fn documents(held: &Held, format: Format) -> Vec<Value> {
    let text = exported(held, format).unwrap();
    match format {
        Format::Sarif | Format::Openreports => vec![serde_json::from_str(&text).unwrap()],
        Format::Ocsf => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Format::Csv => Vec::new(),
    }
}

fn schema(format: Format) -> Validator {
    compiled(format, DETECTION)
}

/// Classes of events of OCSF.
const DETECTION: u64 = 2004;
const ERROR: u64 = 6008;

/// The schema of a format; that of OCSF is the one of a class.
fn compiled(format: Format, class: u64) -> Validator {
    let schema = match format {
        Format::Ocsf if class == ERROR => {
            serde_json::from_str(include_str!("schemas/ocsf-1.8.0-application_error.schema.json")).unwrap()
        }
        Format::Sarif => serde_json::from_str(include_str!("schemas/sarif-schema-2.1.0.json")).unwrap(),
        Format::Ocsf => serde_json::from_str(include_str!("schemas/ocsf-1.8.0-detection_finding.schema.json")).unwrap(),
        Format::Openreports => {
            let crd: Value = serde_yaml::from_str(include_str!("schemas/openreports.io_reports.yaml")).unwrap();
            let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            assert_eq!(crd["spec"]["versions"][0]["name"], "v1alpha1");
            close(&mut schema);
            schema
        }
        Format::Csv => panic!("CSV has no schema"),
    };
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// An API server drops fields that a schema does not name; here they are defects. Metadata is the API server's own.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let names_fields = map.get("properties").is_some_and(Value::is_object);
            if names_fields && map.get("type") == Some(&json!("object")) {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

fn defects(schema: &Validator, documents: &[Value]) -> Vec<String> {
    documents.iter().flat_map(|document| schema.iter_errors(document).map(|error| error.to_string())).collect()
}

/// The same, where each event of OCSF is held to the schema of its class.
fn all_defects(format: Format, documents: &[Value]) -> Vec<String> {
    let (errors, others): (Vec<Value>, Vec<Value>) =
        documents.iter().cloned().partition(|document| document["class_uid"] == ERROR);
    let mut all = defects(&compiled(format, DETECTION), &others);
    all.extend(defects(&compiled(format, ERROR), &errors));
    all
}

#[rstest]
fn exports_keep_to_the_published_schemas(
    #[values(Format::Sarif, Format::Ocsf, Format::Openreports)] format: Format,
    #[values(SMALL.to_owned(), hostile::estate(SMALL))] objects: String,
) {
    let held = parse(&[objects.as_bytes()], None).unwrap();
    let documents = documents(&held, format);
    assert!(!documents.is_empty());
    assert_eq!(all_defects(format, &documents), Vec::<String>::new());
}

/// An estate of which nothing is known yet can be exported too.
#[rstest]
fn nothing_is_a_good_export(#[values(Format::Sarif, Format::Ocsf, Format::Openreports)] format: Format) {
    let held = parse(&[br#"{"items": []}"#], Some("team-a")).unwrap();
    assert_eq!(all_defects(format, &documents(&held, format)), Vec::<String>::new());
}

#[rstest]
#[case::level(Format::Sarif, "/runs/0/results/0/level", json!("critical"))]
#[case::kind(Format::Sarif, "/runs/0/results/0/kind", json!("failed"))]
#[case::fingerprint(Format::Sarif, "/runs/0/results/0/partialFingerprints", json!({"a": 1}))]
#[case::suppression(Format::Sarif, "/runs/0/results/3/suppressions/0/kind", json!("elsewhere"))]
#[case::flow(Format::Sarif, "/runs/0/results/0/codeFlows/0/threadFlows/0/locations", json!([]))]
#[case::index(Format::Sarif, "/runs/0/results/0/ruleIndex", json!(-2))]
#[case::more(Format::Sarif, "/runs/0/results/0/score", json!(9))]
#[case::time(Format::Sarif, "/runs/0/invocations/0/endTimeUtc", json!("yesterday"))]
#[case::class(Format::Ocsf, "/class_uid", json!(2003))]
#[case::kind_of_event(Format::Ocsf, "/type_uid", json!(200_405))]
#[case::severity(Format::Ocsf, "/severity_id", json!(7))]
#[case::state(Format::Ocsf, "/status_id", json!(9))]
#[case::identity(Format::Ocsf, "/finding_info/uid", Value::Null)]
#[case::unknown(Format::Ocsf, "/finding_info/score", json!(1))]
#[case::evidence(Format::Ocsf, "/evidences/0/data", Value::Null)]
#[case::edge(Format::Ocsf, "/finding_info/attack_graph/edges/0/source", Value::Null)]
#[case::remedy(Format::Ocsf, "/remediation/desc", Value::Null)]
#[case::time(Format::Ocsf, "/time", json!("2026-11-30"))]
#[case::result(Format::Openreports, "/results/0/result", json!("failed"))]
#[case::severity(Format::Openreports, "/results/0/severity", json!("Critical"))]
#[case::policy(Format::Openreports, "/results/0/policy", Value::Null)]
#[case::property(Format::Openreports, "/results/0/properties/rank", json!(5))]
#[case::time(Format::Openreports, "/results/0/timestamp/nanos", Value::Null)]
#[case::unknown(Format::Openreports, "/results/0/score", json!(1))]
fn a_defect_is_seen(#[case] format: Format, #[case] pointer: &str, #[case] value: Value) {
    let mut documents = documents(&small(), format);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = documents[0].pointer_mut(parent).unwrap();
    // Null takes the field away.
    if value.is_null() {
        assert!(parent.as_object_mut().unwrap().remove(key).is_some(), "{pointer} is not there");
    } else {
        parent[key] = value;
    }
    assert!(!defects(&schema(format), &documents[..1]).is_empty(), "{pointer}");
}

#[rstest]
#[case::class("class_uid", json!(2004))]
#[case::kind_of_event("type_uid", json!(600_803))]
#[case::activity("activity_id", json!(3))]
#[case::state("status_id", json!(4))]
#[case::severity("severity_id", Value::Null)]
#[case::unknown("gap", json!(1))]
fn a_defect_of_a_gap_is_seen(#[case] field: &str, #[case] value: Value) {
    let mut gap = documents(&small(), Format::Ocsf).pop().unwrap();
    assert_eq!(defects(&compiled(Format::Ocsf, ERROR), std::slice::from_ref(&gap)), Vec::<String>::new());
    if value.is_null() {
        assert!(gap.as_object_mut().unwrap().remove(field).is_some(), "{field}");
    } else {
        gap[field] = value;
    }
    assert!(!defects(&compiled(Format::Ocsf, ERROR), &[gap]).is_empty(), "{field}");
}

/// What was not seen is in each format that has a place for it, and is no finding there.
#[test]
fn what_was_not_seen_is_exported() {
    let mut list: Value = serde_json::from_str(SMALL).unwrap();
    let items = list["items"].as_array_mut().unwrap();
    let estate = items.iter_mut().find(|item| item["kind"] == "Estate").unwrap();
    estate["status"]["coverageGaps"] = json!([
        {"instance": "contoso", "collection": "groupMembers", "state": "denied", "reason": "PermissionMissing",
         "permission": "GroupMember.Read.All"},
        {"instance": "contoso", "collection": "delegatedGrants", "state": "skipped"},
        {"instance": "contoso", "state": "baseline", "reason": "NoBaselineYet"},
    ]);
    estate["status"]["conditions"][0]["status"] = json!("False");
    estate["status"]["conditions"][0]["reason"] = json!("StoreUnreachable");
    let held = parse(&[list.to_string().as_bytes()], None).unwrap();
    let events = documents(&held, Format::Ocsf);
    assert_eq!(all_defects(Format::Ocsf, &events), Vec::<String>::new());
    let limits: Vec<&Value> = events.iter().filter(|event| event["class_uid"] == ERROR).collect();
    let told: Vec<Value> =
        limits.iter().map(|event| json!([event["activity_id"], event["status_id"], event["status_code"]])).collect();
    assert_eq!(
        told,
        [
            json!([1, 2, "StoreUnreachable"]),
            json!([1, 2, "PermissionMissing"]),
            json!([99, 99, null]),
            json!([99, 99, "NoBaselineYet"]),
        ]
    );
    assert_eq!(limits[1]["unmapped"]["permission"], "GroupMember.Read.All");
    let says = limits[1]["message"].as_str().unwrap();
    assert!(
        says.starts_with("contoso: groupMembers was refused by the source system: a permission is not granted."),
        "{says}"
    );
    assert!(events.iter().all(|event| event["class_uid"] == ERROR || event["finding_info"]["uid"].is_string()));

    let levels = |document: &Value| -> Vec<Value> {
        let notes = &document["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        notes.as_array().unwrap().iter().map(|note| note["level"].clone()).collect()
    };
    assert_eq!(levels(&documents(&held, Format::Sarif)[0]), ["warning", "note", "note"]);
    let results = documents(&held, Format::Openreports)[0]["results"].clone();
    let results: Vec<&Value> = results
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["policy"] == "Coverage")
        .map(|one| &one["result"])
        .collect();
    assert_eq!(results, ["error", "skip", "skip"]);

    // Of an estate that was never evaluated nothing is told, and nothing is made up.
    let held = parse(&[br#"{"items": []}"#], Some("team-a")).unwrap();
    assert!(documents(&held, Format::Ocsf).is_empty());
}

/// A path that branches is a graph with branches, not a chain.
#[test]
fn a_branch_starts_where_it_starts() {
    let mut list: Value = serde_json::from_str(SMALL).unwrap();
    let path = &mut list["items"][0]["spec"]["path"];
    let holder = path[1]["to"].clone();
    let branch = json!({"from": holder, "edge": "GRANTED", "to": "tenant \"Contoso\"", "via": "User Administrator"});
    path.as_array_mut().unwrap().push(branch);
    let held = parse(&[list.to_string().as_bytes()], None).unwrap();
    let events = documents(&held, Format::Ocsf);
    let graph = &events[0]["finding_info"]["attack_graph"];
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 5);
    let ends: Vec<Value> =
        graph["edges"].as_array().unwrap().iter().map(|edge| json!([edge["source"], edge["target"]])).collect();
    assert_eq!(ends, [json!(["0", "1"]), json!(["1", "2"]), json!(["2", "3"]), json!(["2", "4"])]);
    let csv = exported(&held, Format::Csv).unwrap();
    assert!(csv.contains("service principal \"\"Microsoft Graph\"\" | service principal \"\"Invoice writer\"\" > GRANTED (User Administrator) > tenant"), "{csv}");
}

#[rstest]
#[case(Format::Sarif, "sarif")]
#[case(Format::Ocsf, "ocsf")]
#[case(Format::Openreports, "openreports")]
#[case(Format::Csv, "csv")]
fn the_same_objects_give_the_same_bytes(#[case] format: Format, #[case] name: &str) {
    let text = exported(&small(), format).unwrap();
    let mut list: Value = serde_json::from_str(SMALL).unwrap();
    list["items"].as_array_mut().unwrap().reverse();
    let reversed = parse(&[list.to_string().as_bytes()], None).unwrap();
    assert_eq!(text, exported(&reversed, format).unwrap(), "the order of objects does not matter");
    insta::assert_snapshot!(name, without_the_catalogue(format, &text).replace('\r', "\\r"));
}

/// What the rules say of themselves and our version change with them, not with the export.
fn without_the_catalogue(format: Format, text: &str) -> String {
    let text = text.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"");
    if format != Format::Sarif {
        return text;
    }
    let mut log: Value = serde_json::from_str(&text).unwrap();
    for rule in log["runs"][0]["tool"]["driver"]["rules"].as_array_mut().unwrap() {
        for field in ["name", "shortDescription", "fullDescription", "help"] {
            assert!(!rule[field].is_null(), "{rule}");
        }
        *rule = json!({ "id": rule["id"] });
    }
    serde_json::to_string_pretty(&log).unwrap()
}

/// Identity, state and path of each finding arrive in each format.
#[test]
fn states_are_told_as_they_are() {
    let held = small();
    let sarif = &documents(&held, Format::Sarif)[0]["runs"][0];
    let results = sarif["results"].as_array().unwrap();
    assert_eq!(results.len(), 4, "resolved ones are left out");
    assert!(results.iter().all(|result| result["partialFingerprints"]["securityv0Finding/v1"].is_string()));
    let suppressed: Vec<&Value> = results.iter().filter(|result| result.get("suppressions").is_some()).collect();
    assert_eq!(suppressed.len(), 1);
    assert_eq!(suppressed[0]["ruleId"], "UNB-005");
    assert_eq!(results[0]["codeFlows"][0]["threadFlows"][0]["locations"].as_array().unwrap().len(), 4);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(sarif["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    assert_eq!(sarif["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 2);

    let states: Vec<Value> = documents(&held, Format::Ocsf)
        .iter()
        .filter(|event| event["class_uid"] == DETECTION)
        .map(|event| json!([event["activity_id"], event["status_id"], event["status"]]))
        .collect();
    let open = json!([2, 1, "New"]);
    assert_eq!(states, [open.clone(), open.clone(), open, json!([2, 99, "Accepted"]), json!([3, 4, "Resolved"])]);

    let report = &documents(&held, Format::Openreports)[0];
    let words: Vec<&str> =
        report["results"].as_array().unwrap().iter().map(|one| one["result"].as_str().unwrap()).collect();
    assert_eq!(words, ["warn", "fail", "fail", "skip", "pass", "error", "error"]);
    assert_eq!(report["summary"], json!({"error": 2, "fail": 2, "pass": 1, "skip": 1, "warn": 1}));
}

/// A name that looks like a link is none in a tool that shows SARIF.
#[test]
fn a_hostile_name_is_no_link() {
    let held = parse(&[hostile::estate(SMALL).as_bytes()], None).unwrap();
    let log: Value = serde_json::from_str(&exported(&held, Format::Sarif).unwrap()).unwrap();
    let mut messages = Vec::new();
    let mut left = vec![&log];
    while let Some(value) = left.pop() {
        messages.extend(value.pointer("/message/text").and_then(Value::as_str));
        left.extend(value.as_object().into_iter().flat_map(|fields| fields.values()));
        left.extend(value.as_array().into_iter().flatten());
    }
    assert!(messages.iter().any(|text| text.contains(r"\[approve\](https://evil.example/){{0}}")), "{messages:?}");
    assert!(!messages.iter().any(|text| text.replace(r"\[", "").contains('[')), "{messages:?}");
}

/// A namespace stands in all that is written, also as the place of a resource for `kubectl apply`.
#[test]
fn a_namespace_of_a_file_is_a_namespace() {
    let strange = SMALL.replace("\"team-a\"", r#""team-a\u001b[2J""#);
    let error = parse(&[strange.as_bytes()], None).unwrap_err().to_string();
    assert!(error.contains("must be the name of a namespace"), "{error}");
}

/// A cell of a spreadsheet is a line of text in quotes that does not begin like a formula.
#[test]
fn a_hostile_name_stays_in_its_cell() {
    let held = parse(&[hostile::estate(SMALL).as_bytes()], None).unwrap();
    let table = exported(&held, Format::Csv).unwrap();
    let lines: Vec<&str> = table.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + held.findings.len());
    for line in lines {
        let inner = line.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        let cells: Vec<&str> = inner.split("\",\"").collect();
        assert_eq!(cells.len(), 23, "{line}");
        assert!(cells.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{line}");
        assert!(!line.contains(['\n', '\r', '\0', '\u{202e}']));
        // Where a spreadsheet parts cells at semicolons.
        assert!(line.split(';').all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{line}");
    }
}
