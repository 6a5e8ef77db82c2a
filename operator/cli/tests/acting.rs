//! Commands that ask the cluster for something: a scan, and an accepted baseline. The stand-in for kubectl keeps state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A patch is merged into the Estate by hand: the spec it brings stands then. An annotation makes the scan happen: the
/// status that is then given comes from the file `after`, with the request's value in it.
const KUBECTL: &str = r#"#!/bin/sh
dir=$(dirname "$0")
echo "$*" >> "$dir/calls"
case "$*" in
"get connectorinstances.securityv0.com "*)
  if [ -f "$dir/requested" ]; then sed "s/REQUEST/$(cat "$dir/requested")/" "$dir/after"; else cat "$dir/before"; fi ;;
"annotate connectorinstances.securityv0.com "*)
  for word in "$@"; do case "$word" in securityv0.com/scan-requested=*) printf %s "${word#*=}" > "$dir/requested" ;; esac; done ;;
"get estates.securityv0.com "*) cat "$dir/estate" ;;
"patch estates.securityv0.com "*)
  for word in "$@"; do case "$word" in --patch=*) printf %s "${word#--patch=}" > "$dir/patch" ;; esac; done
  if [ -f "$dir/old-crds" ]; then cat "$dir/estate"; else cat "$dir/patch"; fi ;;
*) echo "error: not expected: $*" >&2; exit 1 ;;
esac
"#;

fn cluster(files: &[(&str, &Value)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content.to_string()).unwrap();
    }
    let kubectl = dir.path().join("kubectl");
    std::fs::write(&kubectl, KUBECTL).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn run(cluster: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(arguments)
        .env("SV0_KUBECTL", cluster.path().join("kubectl"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn calls(cluster: &TempDir) -> String {
    std::fs::read_to_string(cluster.path().join("calls")).unwrap()
}

fn instance(status: &Value, suspend: bool) -> Value {
    json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
        "metadata": {"name": "entra", "namespace": "team-a", "uid": "u"},
        "spec": {"system": "Entra", "serviceAccountName": "scan-entra", "suspend": suspend}, "status": status,
    })
}

/// The status after a scan that ended so; `handled` is the request that it answers.
fn after(outcome: &str, handled: &str, more: &Value) -> Value {
    let mut status = json!({
        "lastHandledScanRequest": handled,
        "snapshot": {"id": "2", "digest": "sha256:2", "collectedAt": "2026-11-30T10:00:09Z"},
        "lastScan": {"id": "2", "outcome": outcome, "trigger": "Requested", "startedAt": "2026-11-30T10:00:00Z",
            "finishedAt": "2026-11-30T10:00:09Z", "requests": 41, "items": 1200},
    });
    status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    instance(&status, false)
}

fn before() -> Value {
    let scan = json!({"id": "1", "outcome": "Complete", "trigger": "Scheduled", "startedAt": "2026-11-29T10:00:00Z",
        "finishedAt": "2026-11-29T10:00:09Z"});
    instance(&json!({"lastScan": scan}), false)
}

const WAIT: [&str; 7] = ["scan", "entra", "-n", "team-a", "--wait", "--timeout", "0"];

#[test]
fn without_wait_the_scan_is_asked_for_and_that_is_all() {
    let cluster = cluster(&[("before", &before())]);
    let output = run(&cluster, &["scan", "entra", "-n", "team-a"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = calls(&cluster);
    assert_eq!(calls.lines().count(), 2, "{calls}");
    assert!(
        calls.contains("annotate connectorinstances.securityv0.com entra --namespace=team-a --overwrite"),
        "{calls}"
    );
}

#[test]
fn a_scan_is_followed_to_its_end() {
    let condition = json!({"type": "ScanSucceeded", "status": "True", "reason": "Stored", "message": "A snapshot\u{1b}[2J.",
        "lastTransitionTime": "2026-11-30T10:00:09Z"});
    let gaps = json!({"complete": 11, "summary": "11/12", "gaps": [
        {"collection": "delegatedGrants", "state": "denied", "permission": "Directory.Read.All"}]});
    let after = after("Partial", "REQUEST", &json!({"conditions": [condition], "coverage": gaps}));
    let mut estate = estate(&json!([]), &json!([snapshot("other", "2"), snapshot("entra", "2")]));
    estate["status"]["counts"] = json!({"bySeverity": {"critical": 1, "low": 2}});
    let output = run(&cluster(&[("before", &before()), ("after", &after), ("estate", &estate)]), &WAIT);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.ends_with("Evaluated: 3 findings are open (1 critical, 2 low).\n"), "{said}");
    assert!(said.contains("ScanSucceeded=True Stored: A snapshot[2J."), "{said:?}");
    assert!(said.contains("Partial at 2026-11-30T10:00:09Z: 1200 rows in 41 requests."), "{said}");
    assert!(said.contains("not complete: delegatedGrants denied; needs Directory.Read.All"), "{said}");
}

/// The findings of before are not told as those of this scan.
#[rstest]
#[case::of_an_older_snapshot(&json!([snapshot("entra", "1")]))]
#[case::of_another_instance(&json!([snapshot("other", "2")]))]
fn an_evaluation_that_does_not_come_is_told(#[case] inputs: &Value) {
    let after = after("Complete", "REQUEST", &json!({}));
    let estate = estate(&json!([]), inputs);
    let output = run(&cluster(&[("before", &before()), ("after", &after), ("estate", &estate)]), &WAIT);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("the snapshot is stored and was not evaluated within 0 seconds"), "{said}");
    assert!(!text(&output.stdout).contains("Evaluated"), "{}", text(&output.stdout));
}

#[test]
fn a_scan_that_stored_nothing_ends_with_its_reason() {
    let stalled = json!({"type": "Stalled", "status": "True", "reason": "CredentialExpired",
        "message": "The secret ended on 2026-11-29: make a new one.", "lastTransitionTime": "2026-11-30T10:00:09Z"});
    let mut after = after("Failed", "REQUEST", &json!({"conditions": [stalled]}));
    after["status"]["lastScan"]["reason"] = json!("CredentialExpired");
    after["status"]["lastScan"]["vendorCode"] = json!("AADSTS7000222");
    let output = run(&cluster(&[("before", &before()), ("after", &after)]), &WAIT);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("the scan stored nothing. Failed (CredentialExpired, AADSTS7000222)"), "{said}");
    assert!(said.contains("CredentialExpired: The secret ended on 2026-11-29: make a new one."), "{said}");
}

/// Another request's scan is no answer, nor is one that is not acted on.
#[rstest]
#[case("another", "the manager did not act on the request within 0 seconds")]
#[case("REQUEST", "the scan did not end within 0 seconds")]
fn an_end_that_does_not_come_is_told(#[case] handled: &str, #[case] sentence: &str) {
    let active =
        json!({"id": "3", "jobName": "sv0-scan-entra-x", "trigger": "Requested", "startedAt": "2026-11-30T10:00:00Z"});
    let after = after("Complete", handled, &json!({"activeScan": active}));
    let output = run(&cluster(&[("before", &before()), ("after", &after)]), &WAIT);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("scan 3 started (Job sv0-scan-entra-x)"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
}

#[test]
fn a_suspended_instance_is_not_asked() {
    let cluster = cluster(&[("before", &instance(&json!({}), true))]);
    let output = run(&cluster, &WAIT);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is suspended"));
    assert!(!calls(&cluster).contains("annotate"));
}

fn snapshot(instance: &str, id: &str) -> Value {
    json!({"instance": instance, "snapshotId": id, "snapshotDigest": format!("sha256:{id}")})
}

fn estate(baseline: &Value, inputs: &Value) -> Value {
    let gaps = json!([{"instance": "entra", "collection": "delegatedGrants", "state": "denied"}]);
    json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "Estate",
        "metadata": {"name": "default", "namespace": "team-a", "resourceVersion": "41"},
        "spec": {"baseline": baseline, "thresholds": {"dormantDays": 90}},
        "status": {"asOf": "2026-11-30T10:00:00Z", "inputs": inputs, "coverageGaps": gaps},
    })
}

fn patch(cluster: &TempDir) -> Option<Value> {
    Some(serde_json::from_slice(&std::fs::read(cluster.path().join("patch")).ok()?).unwrap())
}

#[test]
fn the_last_evaluations_snapshots_are_accepted_and_others_kept() {
    let inputs = json!([snapshot("entra", "2"), snapshot("second", "2")]);
    let estate = estate(&json!([snapshot("entra", "1"), snapshot("other", "1")]), &inputs);
    let cluster = cluster(&[("estate", &estate)]);
    let output = run(&cluster, &["baseline", "accept", "-n", "team-a", "--instance", "entra"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("entra: before 1 sha256:1, now 2 sha256:2"), "{said}");
    assert!(said.contains("1 collection was not read completely and will not be compared: delegatedGrants"), "{said}");
    assert!(said.contains("audit log"), "{said}");
    // The version that was read goes with it, and nothing else of the spec.
    let all = json!([snapshot("entra", "2"), snapshot("other", "1")]);
    assert_eq!(patch(&cluster).unwrap(), json!({"metadata": {"resourceVersion": "41"}, "spec": {"baseline": all}}));
    assert!(calls(&cluster).contains("patch estates.securityv0.com default --namespace=team-a --type=merge --patch="));
}

#[rstest]
#[case::dry_run(&["--dry-run"], json!([]), json!([snapshot("entra", "2")]), 0, "Nothing was changed (--dry-run)")]
#[case::already(&[], json!([snapshot("entra", "2")]), json!([snapshot("entra", "2")]), 0, "accepted already")]
#[case::unknown(&["--instance", "x"], json!([]), json!([snapshot("entra", "2")]), 1, "used no snapshot of x")]
#[case::nothing(&[], json!([]), json!([]), 1, "has not been evaluated yet")]
fn what_changes_nothing(
    #[case] more: &[&str],
    #[case] baseline: Value,
    #[case] inputs: Value,
    #[case] code: i32,
    #[case] sentence: &str,
) {
    let cluster = cluster(&[("estate", &estate(&baseline, &inputs))]);
    let output = run(&cluster, &[&["baseline", "accept", "-n", "team-a"], more].concat());
    assert_eq!(output.status.code(), Some(code));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains(sentence), "{said}");
    assert_eq!(patch(&cluster), None);
}

#[test]
fn a_snapshot_that_was_set_aside_cannot_be_accepted() {
    let mut input = snapshot("entra", "2");
    input["quarantined"] = json!("Corrupt: evaluated with 1 instead");
    let cluster = cluster(&[("estate", &estate(&json!([]), &json!([input])))]);
    let output = run(&cluster, &["baseline", "accept", "-n", "team-a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("was set aside"), "{}", text(&output.stderr));
    assert_eq!(patch(&cluster), None);
}

/// An API server drops a field that its resource definitions do not know, and says nothing.
#[test]
fn a_baseline_that_the_cluster_dropped_is_no_success() {
    let cluster =
        cluster(&[("estate", &estate(&json!([]), &json!([snapshot("entra", "2")]))), ("old-crds", &json!(1))]);
    let output = run(&cluster, &["baseline", "accept", "-n", "team-a"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did not keep spec.baseline"), "{}", text(&output.stderr));
}

#[test]
fn what_is_accepted_and_what_was_compared_with_is_shown() {
    let mut estate = estate(&json!([snapshot("entra", "1")]), &json!([snapshot("entra", "2")]));
    let mut compared = snapshot("sec\u{1b}[2Jond", "1");
    compared["accepted"] = json!(false);
    estate["status"]["baselines"] = json!([compared]);
    let output = run(&cluster(&[("estate", &estate)]), &["baseline", "show", "-n", "team-a"]);
    let said = text(&output.stdout);
    assert!(said.contains("  entra: accepted 1 sha256:1\n"), "{said}");
    assert!(
        said.contains("as of 2026-11-30T10:00:00Z, compared with:\n  sec[2Jond: 1 sha256:1 (the first complete one)\n"),
        "{said:?}"
    );
}
