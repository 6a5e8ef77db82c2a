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
#[case("graph.svg", "svg")]
#[case("graph.html", "html")]
#[case("graph.dot", "dot")]
fn pictures(#[case] file: &str, #[case] output: &str) {
    golden(
        file,
        &said(&usual(), &["graph", "finding.securityv0.com/unb-001-9606c7a314434307", "-n", "team-a", "-o", output]),
    );
}

fn calls(cluster: &TempDir) -> String {
    std::fs::read_to_string(cluster.path().join("calls")).unwrap()
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
