//! What people read of Findings: the program as they run it, with a stand-in for kubectl that answers from files. The
//! Findings come from an evaluation of the simulated tenant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

const FINDINGS: &str = include_str!("fixtures/findings.json");
const ESTATES: &str = include_str!("fixtures/estates.json");

/// Answers a list, one object, or the namespace of the context; remembers how it was called.
const KUBECTL: &str = r#"#!/bin/sh
dir=$(dirname "$0")
echo "$*" >> "$dir/calls"
case "$*" in
"config view "*) cat "$dir/namespace" ;;
"get findings.securityv0.com --"*) cat "$dir/findings" ;;
"get findings.securityv0.com "*) cat "$dir/finding-$3" 2>/dev/null || true ;;
"get estates.securityv0.com default "*) cat "$dir/estate" ;;
"get estates.securityv0.com "*) cat "$dir/estates" ;;
*) echo "error: not expected: $*" >&2; exit 1 ;;
esac
"#;

fn items(list: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(list).unwrap()["items"].as_array().unwrap().clone()
}

fn cluster(findings: &[Value], estates: &[Value]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
    let list = |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    write("namespace", "team-a");
    write("findings", &list(findings));
    write("estates", &list(estates));
    write("estate", &estates.first().map(Value::to_string).unwrap_or_default());
    for finding in findings {
        write(&format!("finding-{}", finding["metadata"]["name"].as_str().unwrap()), &finding.to_string());
    }
    write("kubectl", KUBECTL);
    std::fs::set_permissions(dir.path().join("kubectl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn usual() -> TempDir {
    cluster(&items(FINDINGS), &items(ESTATES))
}

fn run(cluster: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(arguments)
        .env("SV0_KUBECTL", cluster.path().join("kubectl"))
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

/// What it printed; it must have ended well.
fn said(cluster: &TempDir, arguments: &[&str]) -> String {
    let output = run(cluster, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The text must be the committed one: `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, committed, "{}", path.display());
}

#[rstest]
#[case("findings.txt", &["findings", "-n", "team-a"])]
#[case("findings-wide.txt", &["findings", "-n", "team-a", "-o", "wide", "--severity", "critical,high"])]
#[case("findings-all.txt", &["findings", "-A", "--state", "all", "--rule", "cred-001"])]
#[case("findings-name.txt", &["findings", "-n", "team-a", "-o", "name", "--family", "UnboundedExecutionScope"])]
fn lists(#[case] file: &str, #[case] arguments: &[&str]) {
    golden(file, &said(&usual(), arguments));
}

#[rstest]
#[case("explain-weak-credential.txt", "cred-001-6afc43affc2a45e4")]
#[case("explain-narrower.txt", "cred-001-27028122cccd30d6")]
#[case("explain-takeover.txt", "unb-001-9606c7a314434307")]
#[case("explain-group.txt", "unb-001-3965ab12b593b0d5")]
#[case("explain-sensitive.txt", "unb-005-ab87f856d11c3249")]
#[case("explain-federation.txt", "xsys-003-43d23873ef71665a")]
#[case("explain-owner.txt", "orph-001-4f5f551740a9e0a9")]
fn explanations(#[case] file: &str, #[case] name: &str) {
    golden(file, &said(&usual(), &["explain", name, "-n", "team-a"]));
}

#[rstest]
#[case("graph.svg", "svg")]
#[case("graph.html", "html")]
#[case("graph.dot", "dot")]
fn pictures(#[case] file: &str, #[case] output: &str) {
    golden(
        file,
        &said(&usual(), &["graph", "finding.securityv0.com/unb-001-9606c7a314434307", "-n", "team-a", "-o", output]),
    );
}

/// Escapes, a title for the terminal's window, one-byte controls, text that runs backwards, what hides, markup, a new line
/// that looks like ours, and great length.
fn hostile() -> String {
    format!(
        "\u{1b}[2J\u{1b}]0;evil\u{7}\u{9b}31m\u{202e}evil\u{200b}\u{e0041}<script>alert(1)</script>\"'|`${{x}}\nState\n  Resolved.\r{}",
        "y".repeat(3000)
    )
}

/// Everything that may hold any text, replaced; words of closed lists, dates and numbers stay.
fn poisoned(value: &mut Value) {
    const CLOSED: [&str; 9] =
        ["claim", "family", "severity", "state", "class", "firstObserved", "tier", "exposure", "accountable"];
    match value {
        Value::String(text) => *text = hostile(),
        Value::Array(list) => list.iter_mut().for_each(poisoned),
        Value::Object(fields) => {
            for (key, value) in fields {
                let word = CLOSED.contains(&key.as_str()) && value.as_str().is_some_and(|text| !text.contains(' '));
                if !word {
                    poisoned(value);
                }
            }
        }
        _ => {}
    }
}

fn poisoned_cluster() -> TempDir {
    let mut finding =
        items(FINDINGS).into_iter().find(|one| one["metadata"]["name"] == "unb-001-9606c7a314434307").unwrap();
    poisoned(&mut finding["spec"]);
    finding["spec"]["narrowed"] = json!([{"claim": hostile(), "reason": hostile()}]);
    let mut estate = items(ESTATES).remove(0);
    for gap in estate["status"]["coverageGaps"].as_array_mut().unwrap() {
        poisoned(gap);
        gap["state"] = json!(hostile());
    }
    for condition in estate["status"]["conditions"].as_array_mut().unwrap() {
        condition["message"] = json!(hostile());
        condition["status"] = json!("False");
    }
    cluster(&[finding], &[estate])
}

/// Nothing that moves the cursor, turns the direction or hides, and no line that a text of somebody else began.
fn harmless(text: &str) {
    let bad = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
    };
    let found: Vec<char> = text.chars().filter(|c| bad(*c)).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(!text.lines().any(|line| line == "  Resolved." || line == "  Resolved"), "a line that is not ours");
}

#[rstest]
#[case(&["findings", "-n", "team-a"])]
#[case(&["findings", "-n", "team-a", "-o", "wide"])]
#[case(&["findings", "-A", "-o", "wide"])]
#[case(&["findings", "-n", "team-a", "-o", "json"])]
#[case(&["findings", "-n", "team-a", "-o", "yaml"])]
#[case(&["findings", "-n", "team-a", "-o", "name"])]
#[case(&["explain", "unb-001-9606c7a314434307", "-n", "team-a"])]
#[case(&["graph", "unb-001-9606c7a314434307", "-n", "team-a", "-o", "svg"])]
#[case(&["graph", "unb-001-9606c7a314434307", "-n", "team-a", "-o", "html"])]
#[case(&["graph", "unb-001-9606c7a314434307", "-n", "team-a", "-o", "dot"])]
fn text_of_others_is_harmless(#[case] arguments: &[&str]) {
    let text = said(&poisoned_cluster(), arguments);
    harmless(&text);
    if arguments[0] == "graph" && !arguments.contains(&"dot") {
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"));
    }
    if arguments[0] == "explain" {
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        assert!(text.matches('y').count() > 3000, "nothing is left out");
    }
}

/// What is printed for programs is what the cluster holds.
#[rstest]
#[case("json")]
#[case("yaml")]
fn objects_keep_their_value(#[case] output: &str) {
    for cluster in [usual(), poisoned_cluster()] {
        let text = said(&cluster, &["findings", "-n", "team-a", "--state", "all", "-o", output]);
        let printed: Value =
            if output == "json" { serde_json::from_str(&text).unwrap() } else { serde_yaml::from_str(&text).unwrap() };
        let given: Value = serde_json::from_slice(&std::fs::read(cluster.path().join("findings")).unwrap()).unwrap();
        let find = |list: &Value, name: &Value| {
            list["items"].as_array().unwrap().iter().find(|one| one["metadata"]["name"] == *name).unwrap()["spec"]
                .clone()
        };
        assert_eq!(printed["items"].as_array().unwrap().len(), given["items"].as_array().unwrap().len());
        for one in given["items"].as_array().unwrap() {
            assert_eq!(find(&printed, &one["metadata"]["name"]), one["spec"]);
        }
    }
}

/// An empty list is not the same as a clean estate.
#[rstest]
#[case::no_estate(&[], "There is no Estate in namespace team-a")]
#[case::not_evaluated(&[json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "Estate",
    "metadata": {"name": "default", "namespace": "team-a"}, "spec": {}})], "has not been evaluated yet")]
#[case::could_not(&[json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "Estate",
    "metadata": {"name": "default", "namespace": "team-a"}, "spec": {}, "status": {"conditions": [
    {"type": "Evaluated", "status": "False", "reason": "StoreUnreachable", "message": "The store is away.",
     "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})], "StoreUnreachable: The store is away.")]
fn nothing_found_is_not_taken_for_nothing_there(#[case] estates: &[Value], #[case] sentence: &str) {
    let text = said(&cluster(&[], estates), &["findings", "-n", "team-a"]);
    assert!(text.starts_with("There are no Findings in namespace team-a.\n"), "{text}");
    let text = text.replace('\n', " ");
    assert!(text.contains(sentence) && text.contains("no Findings means nothing"), "{text}");
}

#[test]
fn the_last_failure_is_told_beside_older_findings() {
    let mut estate = items(ESTATES).remove(0);
    estate["status"]["conditions"][0]["status"] = json!("False");
    estate["status"]["inputs"][0]["quarantined"] = json!("Corrupt: evaluated with 1 instead");
    let text = said(&cluster(&items(FINDINGS), &[estate]), &["findings", "-n", "team-a", "--severity", "info"]);
    assert!(text.contains("1 of the 12 Findings") && text.contains("The last evaluation did not end well."), "{text}");
    assert!(!text.contains("the oldest read"), "of a snapshot that stood in nothing is known: {text}");
}

/// Findings may be readable where Estates are not: nothing is made up in place of the Estate.
#[test]
fn without_a_readable_estate_the_rest_is_told() {
    let cluster = usual();
    let kubectl = cluster.path().join("kubectl");
    let script = std::fs::read_to_string(&kubectl).unwrap();
    std::fs::write(&kubectl, script.replace("\"get estates.", "\"nothing here.")).unwrap();
    let text = said(&cluster, &["findings", "-n", "team-a"]);
    assert!(text.contains("12 of the 12 Findings") && text.contains("is not known here: kubectl get failed"), "{text}");
    let text = said(&cluster, &["explain", "unb-001-9606c7a314434307", "-n", "team-a"]);
    assert!(text.contains("Not known: no Estate with a status can be read in this namespace."), "{text}");
    assert!(
        text.contains("When this namespace was last evaluated is not known.") && !text.contains("was read completely")
    );
}

#[rstest]
#[case::none_of_it(&["--rule", "XSYS-999"], "None of the 12 Findings")]
#[case::several(&["--severity", "low,info", "--system", "ENTRA"], "3 of the 12 Findings")]
#[case::family(&["--family", "orphanedautomation"], "2 of the 12 Findings")]
#[case::state(&["--state", "resolved"], "None of the 12 Findings")]
fn filters(#[case] more: &[&str], #[case] sentence: &str) {
    let mut arguments = vec!["findings", "-n", "team-a"];
    arguments.extend(more);
    let text = said(&usual(), &arguments);
    assert!(text.contains(sentence), "{text}");
}

/// Without -n, the namespace is the one that kubectl would use, and what it says is checked before it is used.
#[test]
fn the_namespace_is_the_one_of_kubectl() {
    let cluster = usual();
    said(&cluster, &["findings", "--context", "prod"]);
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert!(calls.contains("get findings.securityv0.com --namespace=team-a --output=json --context=prod\n"), "{calls}");
    std::fs::write(cluster.path().join("namespace"), "--server=https://evil.example").unwrap();
    assert!(!run(&cluster, &["findings"]).status.success());
    std::fs::write(cluster.path().join("namespace"), "").unwrap();
    said(&cluster, &["findings"]);
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert!(calls.contains("--namespace=default") && !calls.contains("evil"), "{calls}");
}

#[rstest]
#[case("explain")]
#[case("graph")]
fn a_finding_that_is_not_there(#[case] command: &str) {
    let output = run(&usual(), &[command, "cred-001-0000000000000000", "-n", "team-a"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no Finding cred-001-0000000000000000 in namespace team-a"), "{said}");
    let output = run(&usual(), &[command, "--server=https://evil.example", "-n", "team-a"]);
    assert_eq!(output.status.code(), Some(2), "no flag of kubectl");
}

/// With --words, every term of the glossary that stands in the explanation is explained below it, and no other.
#[test]
fn the_words_are_explained_where_they_stand() {
    let arguments = ["explain", "unb-001-9606c7a314434307", "-n", "team-a"];
    let (plain, full) = (said(&usual(), &arguments), said(&usual(), &[&arguments[..], &["--words"]].concat()));
    let plain = plain.strip_suffix("\nWith --words, what the words mean is said here.\n").unwrap();
    let words = full.strip_prefix(plain).unwrap().strip_prefix("\nWords\n").unwrap();
    for (term, meaning) in ["hop", "service principal", "tier", "structural", "evidence pack"]
        .map(|term| sv0_cli::glossary::terms().into_iter().find(|entry| entry.0 == term).unwrap())
    {
        let start = meaning.split(' ').take(3).collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("  {term}: {start}")), "{term}: {words}");
    }
    assert!(!words.contains("  webhook: ") && !words.contains('*'), "{words}");
    assert!(full.lines().all(|line| line.chars().count() <= 100));
}

/// Colour adds nothing that has to be read, and is off where it is not wanted.
#[test]
fn colour_is_only_colour() {
    let arguments = ["explain", "unb-001-9606c7a314434307", "-n", "team-a", "--color"];
    let with = |color: &str| said(&usual(), &[&arguments[..], &[color]].concat());
    let (plain, colored) = (with("never"), with("always"));
    assert!(!plain.contains('\u{1b}') && colored.contains("\u{1b}[1;31mCritical\u{1b}[0m"));
    let mut stripped = String::new();
    for (at, part) in colored.split("\u{1b}[").enumerate() {
        stripped.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(stripped, plain);
    assert_eq!(with("auto"), plain, "the output is no terminal");
}

#[rstest]
#[case("40")]
#[case("70")]
#[case("not a number")]
fn lines_fit_the_terminal(#[case] columns: &str) {
    let cluster = usual();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(["explain", "unb-001-9606c7a314434307", "-n", "team-a"])
        .env("SV0_KUBECTL", cluster.path().join("kubectl"))
        .env("COLUMNS", columns)
        .output()
        .unwrap();
    let most = columns.parse().unwrap_or(120);
    let text = String::from_utf8(output.stdout).unwrap();
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > most).collect();
    assert!(text.contains("What to do") && long.is_empty(), "{long:?}");
}

#[test]
fn states_say_who_and_until_when() {
    let mut all = items(FINDINGS);
    all[0]["spec"]["state"] = json!("Accepted");
    all[0]["spec"]["acceptance"] = json!({"exception": "legacy", "uid": "u", "owner": "iam@skagen-freight.example",
        "until": "2027-03-31T00:00:00Z"});
    all[1]["spec"]["state"] = json!("Accepted");
    all[2]["spec"]["state"] = json!("Resolved");
    all[2]["spec"]["resolvedAt"] = json!("2026-12-01T00:00:00Z");
    let cluster = cluster(&all, &items(ESTATES));
    let state = |at: usize| {
        let text = said(&cluster, &["explain", all[at]["metadata"]["name"].as_str().unwrap(), "-n", "team-a"]);
        text.split("\nState\n").nth(1).unwrap().replace("\n  ", " ")
    };
    assert!(
        state(0).contains(
            "iam@skagen-freight.example accepts the risk until 2027-03-31T00:00:00Z (FindingException legacy)"
        )
    );
    assert!(state(1).contains("accepted by a FindingException of this namespace"));
    assert!(state(2).contains("Resolved as of 2026-12-01T00:00:00Z: complete scans no longer show it."));
}

/// A Finding of an earlier release does not say what its severity was looked up from, and no reason is made up for it.
#[test]
fn a_severity_without_its_reason_gets_none() {
    let mut all = items(FINDINGS);
    all[0]["spec"].as_object_mut().unwrap().remove("weighed");
    all[1]["spec"]["severity"] = json!("Info");
    let cluster = cluster(&all, &items(ESTATES));
    let text = |at: usize| said(&cluster, &["explain", all[at]["metadata"]["name"].as_str().unwrap(), "-n", "team-a"]);
    assert!(text(0).contains("did not keep the two.") && !text(0).contains("Tier P1"));
    assert!(text(1).contains("The Finding says Info: it was weighed by other rules"));
}

/// A composite names what it tells as a whole, by rule and severity.
#[test]
fn what_a_finding_consists_of_is_named() {
    let mut all = items(FINDINGS);
    all[0]["spec"]["consistsOf"] =
        json!([{"name": "cred-002-95dc6d712ad8803d", "rule": "CRED-002", "claim": "Full", "severity": "High"}]);
    let name = all[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let text = said(&cluster(&all, &items(ESTATES)), &["explain", &name, "-n", "team-a"]);
    let text = text.split("What it consists of").nth(1).unwrap().replace("\n    ", " ");
    assert!(text.contains("  - CRED-002 High: An identity can sign in with a credential"), "{text}");
    assert!(text.contains("(cred-002-95dc6d712ad8803d)"), "{text}");
}

/// What stands for many behind one group says for how many, and through what they hold.
#[test]
fn what_holds_through_one_thing_is_told_in_a_sentence() {
    let mut all = items(FINDINGS);
    let part = |n: u32| {
        json!({"name": format!("unb-001-000000000000000{n}"), "rule": "UNB-001", "claim": "Full", "severity": "Critical",
            "subject": format!("deploy-{n}\u{1b}[2J")})
    };
    all[0]["spec"]["consistsOf"] = (1..5).map(part).collect();
    all[0]["spec"]["partsOmitted"] = json!(96);
    (all[0]["spec"]["subject"]["kind"], all[0]["spec"]["subject"]["name"]) = (json!("Group"), json!("robots"));
    let name = all[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let cluster = cluster(&all, &items(ESTATES));
    let text = said(&cluster, &["explain", &name, "-n", "team-a"]);
    let text = text.split("What it consists of").nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.starts_with(
            "100 Findings of other identities hold by what the group \"robots\" has, and by no other way that was seen."
        ),
        "{text}"
    );
    assert!(text.contains("- UNB-001 Critical: \"deploy-1"), "{text}");
    assert!(text.contains("- 96 more, which only the evidence pack names"), "{text}");
    assert!(!text.contains('\u{1b}'), "escaped");
}

/// A path whose middle was left out for size: nothing is said of what cutting it would do.
#[test]
fn of_a_path_with_a_gap_nothing_is_concluded() {
    let mut all = items(FINDINGS);
    let finding = all.iter_mut().find(|one| one["metadata"]["name"] == "unb-001-9606c7a314434307").unwrap();
    let path = finding["spec"]["path"].as_array_mut().unwrap();
    path.remove(3);
    path[3]["from"] = json!("service principal \"Held by a group\"");
    let text = said(&cluster(&all, &items(ESTATES)), &["explain", "unb-001-9606c7a314434307", "-n", "team-a"]);
    assert!(text.contains("Hops in the middle are left out here for size"), "{text}");
    assert!(text.contains("Nothing can be said: the Finding does not show the path without gaps."), "{text}");
}

#[rstest]
#[case("table")]
#[case("md")]
#[case("json")]
fn the_catalogue(#[case] output: &str) {
    let text = said(&usual(), &["catalog", "-o", output]);
    for row in sv0_cli::catalog::rows(&sv0_cli::catalog::connectors().unwrap()) {
        assert!(text.contains(row.id) && text.contains(row.title), "{}", row.id);
    }
    assert!(text.contains("use case 5") && text.contains("use case 6"));
    if output == "md" {
        let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/catalogue.md");
        assert_eq!(text, std::fs::read_to_string(committed).unwrap());
    }
    if output == "json" {
        let value: Value = serde_json::from_str(&text).unwrap();
        let of = |id: &str| value["rules"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap().clone();
        assert_eq!(of("CRED-001")["connectors"][0]["cell"], "full");
        assert_eq!(of("DORM-006")["connectors"][0]["cell"], "narrower");
        assert_eq!(of("UNB-006")["connectors"][0]["cell"], "none");
        assert_eq!(of("ORPH-006")["connectors"][0]["cell"], "planned");
        assert_eq!(value["out"][0]["scope"], "out");
    }
}
