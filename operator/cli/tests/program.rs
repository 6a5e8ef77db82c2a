//! The program as people run it, with a stand-in for kubectl that remembers how it was called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::json;
use tempfile::TempDir;

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";

/// A directory with a kubectl that answers `answer` to everything, and fails when there is none.
fn cluster(answer: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let end = if answer.is_some() { "cat \"$dir/answer\"" } else { "echo 'Forbidden: \u{1b}[2Jno' >&2; exit 1" };
    let script = format!("#!/bin/sh\ndir=$(dirname \"$0\")\necho \"$*\" >> \"$dir/calls\"\n{end}\n");
    std::fs::write(dir.path().join("answer"), answer.unwrap_or_default()).unwrap();
    let kubectl = dir.path().join("kubectl");
    std::fs::write(&kubectl, script).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn run(cluster: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(arguments)
        .env("SV0_KUBECTL", cluster.join("kubectl"))
        .env_remove("HTTPS_PROXY")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn onboard<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["onboard", "entra", "--tenant", TENANT, "-n", "team-a", "--out", out];
    arguments.extend(more);
    arguments
}

#[test]
fn a_cluster_that_microsoft_cannot_reach_is_told_so() {
    let cluster = cluster(Some(r#"{"issuer": "https://kubernetes.default.svc.cluster.local"}"#));
    let out = cluster.path().join("out");
    let output =
        run(cluster.path(), &onboard(out.to_str().unwrap(), &["--context", "prod", "--accept-unproven-issuer"]));
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("exists only inside") && said.contains("--method certificate"), "{said}");
    assert!(!out.exists(), "nothing is written");
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert!(calls.starts_with("get --raw /.well-known/openid-configuration --context=prod\n"), "{calls}");
}

#[test]
fn the_certificate_way_needs_no_cluster() {
    let cluster = cluster(None);
    let out = cluster.path().join("out");
    let arguments = ["--method", "certificate", "--client-id", CLIENT, "--set", "expanded"];
    let output = run(cluster.path(), &onboard(out.to_str().unwrap(), &arguments));
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["certificate.sh", "certificate.yaml", "main.bicep", "values.sh", "connectorinstance.yaml"] {
        assert_eq!(std::fs::metadata(out.join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
    assert!(!cluster.path().join("calls").exists());
    let again = run(cluster.path(), &onboard(out.to_str().unwrap(), &arguments));
    assert!(!again.status.success() && text(&again.stderr).contains("--force"));
}

/// What is deployed is what is committed and checked, byte for byte; the values are in files of their own.
#[rstest]
#[case("minimal")]
#[case("expanded")]
fn the_artefacts_are_the_committed_ones(#[case] set: &str) {
    let cluster = cluster(None);
    let out = cluster.path().join("out");
    let output = run(cluster.path(), &onboard(out.to_str().unwrap(), &["--method", "certificate", "--set", set]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/onboarding/entra").join(set);
    let mut seen = 0;
    for file in std::fs::read_dir(committed).unwrap() {
        let file = file.unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), std::fs::read(out.join(file.file_name())).unwrap());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[rstest]
#[case(&["--tenant", "contoso.com"])]
#[case(&["--name", "a: b"])]
#[case(&["--service-account", "default"])]
#[case(&["--client-id", "x\ny"])]
#[case(&["--display-name", "a\nb"])]
fn values_of_another_form_are_refused(#[case] more: &[&str]) {
    let cluster = cluster(None);
    let mut arguments = vec!["onboard", "entra", "--out", "never"];
    if more[0] != "--tenant" {
        arguments.extend(["--tenant", TENANT]);
    }
    arguments.extend(["-n", "team-a"]);
    arguments.extend(more);
    let output = run(cluster.path(), &arguments);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn what_kubectl_says_cannot_move_the_terminal() {
    let cluster = cluster(None);
    let output = run(cluster.path(), &["offboard", "entra", "-n", "team-a"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("Forbidden") && !said.contains('\u{1b}'), "{said:?}");
}

fn instance(condition: &str, reason: &str) -> String {
    json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
        "metadata": {"name": "entra", "namespace": "team-a"},
        "spec": {"system": "Entra", "serviceAccountName": "scan-entra", "entra": {
            "tenantId": TENANT, "clientId": CLIENT, "auth": {"workloadIdentity": {}}}},
        "status": {"conditions": [{"type": "Authenticated", "status": condition, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    })
    .to_string()
}

#[test]
fn offboarding_is_printed_and_not_done() {
    let cluster = cluster(Some(&instance("True", "SignedIn")));
    let output = run(cluster.path(), &["offboard", "entra", "-n", "team-a"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("az ad sp delete --id {CLIENT}")));
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 1, "only the instance is read: {calls}");
}

/// The account's name comes from the cluster. As a flag it would send the user's own credentials to another server.
#[test]
fn no_name_from_the_cluster_becomes_a_flag_of_kubectl() {
    let hostile = instance("True", "SignedIn").replace("scan-entra", "--server=https://evil.example");
    let cluster = cluster(Some(&hostile));
    let output = run(cluster.path(), &["offboard", "entra", "-n", "team-a", "--check", "--sign-in"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("serviceAccountName"), "{}", text(&output.stderr));
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert!(!calls.contains("--server"), "{calls}");
}

/// A status that does not answer this very request proves nothing, whatever it says.
#[test]
fn an_old_refusal_is_no_proof() {
    let cluster = cluster(Some(&instance("False", "AppNotInTenant")));
    let output = run(cluster.path(), &["offboard", "entra", "-n", "team-a", "--check", "--timeout", "0"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("Not proven"), "{}", text(&output.stderr));
    let calls = std::fs::read_to_string(cluster.path().join("calls")).unwrap();
    assert!(
        calls.contains("annotate connectorinstances.securityv0.com entra --namespace=team-a --overwrite"),
        "{calls}"
    );
}

#[test]
fn the_document_is_the_committed_one() {
    let cluster = cluster(None);
    let output = run(cluster.path(), &["permissions", "entra"]);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/connectors/entra.md");
    assert_eq!(text(&output.stdout), std::fs::read_to_string(committed).unwrap());
}

#[rstest]
#[case(&["onboard", "entra"])]
#[case(&["offboard", "entra"])]
#[case(&["consent", "entra"])]
#[case(&["permissions"])]
fn every_command_shows_an_example(#[case] command: &[&str]) {
    let cluster = cluster(None);
    let mut arguments = command.to_vec();
    arguments.push("--help");
    let output = run(cluster.path(), &arguments);
    assert!(text(&output.stdout).contains("Example:\n"), "{}", text(&output.stdout));
}

/// `kubectl sv0 catalog | head`: the reader has what it wanted.
#[test]
fn a_reader_that_went_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        Command::new(env!("CARGO_BIN_EXE_kubectl-sv0")).args(["catalog", "-o", "md"]).stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_be_written_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-sv0")).args(["catalog"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}
