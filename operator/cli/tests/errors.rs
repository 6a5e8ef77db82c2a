//! What a person is told when a command cannot do its work: the cluster's own words, and a sentence that says what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;
use tempfile::TempDir;

/// Every command that asks the cluster, as a person would run it.
const COMMANDS: [&[&str]; 11] = [
    &["findings", "-n", "team-a"],
    &["explain", "cred-001-6afc43affc2a45e4", "-n", "team-a"],
    &["graph", "cred-001-6afc43affc2a45e4", "-n", "team-a"],
    &["report", "-n", "team-a", "-o", "-"],
    &["export", "-n", "team-a", "-o", "csv"],
    &["baseline", "show", "-n", "team-a"],
    &["baseline", "accept", "-n", "team-a"],
    &["scan", "entra", "-n", "team-a"],
    &["verify", "-n", "team-a"],
    &["pack", "export", "-n", "team-a", "-o", "never.tar"],
    &["offboard", "entra", "-n", "team-a"],
];

/// A kubectl that fails with these words, whatever it is asked.
fn failing(words: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("words"), words).unwrap();
    let kubectl = dir.path().join("kubectl");
    std::fs::write(&kubectl, "#!/bin/sh\ncat \"$(dirname \"$0\")/words\" >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn run(kubectl: &Path, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(arguments)
        .current_dir(directory.path())
        .env("SV0_KUBECTL", kubectl)
        .output()
        .unwrap()
}

/// What it said; it must have failed, in one line without anything that a terminal acts on, and printed nothing else.
fn complaint(kubectl: &Path, arguments: &[&str]) -> String {
    let output = run(kubectl, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: ") && said.trim_end().lines().count() == 1, "{arguments:?}: {said}");
    said
}

fn forbidden(verb: &str, resource: &str) -> String {
    format!(
        "Error from server (Forbidden): {resource}.securityv0.com is forbidden: User \"jane\" cannot {verb} resource \
         \"{resource}\" in API group \"securityv0.com\" in the namespace \"team-a\"\n"
    )
}

#[rstest]
#[case::not_installed(
    "error: the server doesn't have a resource type \"findings\"\n",
    "This cluster does not have SecurityV0, or an older release of it: install its resources as docs/install.md says"
)]
#[case::not_allowed(&forbidden("list", "findings"), "for the ClusterRole securityv0-findings-reader in this namespace")]
#[case::not_signed_in("error: You must be logged in to the server (Unauthorized)\n", "sign in to it again")]
#[case::not_reachable(
    "Unable to connect to the server: dial tcp: lookup api.example: no such host\n",
    "The cluster cannot be reached"
)]
#[case::no_context("error: context \"prod\" does not exist\n", "`kubectl config get-contexts` lists what there is")]
fn every_command_says_what_to_do(#[case] words: &str, #[case] advice: &str) {
    let kubectl = failing(words);
    for command in COMMANDS {
        let said = complaint(&kubectl.path().join("kubectl"), command);
        assert!(said.contains("kubectl "), "{command:?}: {said}");
        assert!(said.contains(advice), "{command:?}: {said}");
    }
}

#[test]
fn without_kubectl_every_command_says_so() {
    let nowhere = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let said = complaint(&nowhere.path().join("kubectl"), command);
        assert!(
            said.contains("kubectl could not be started") && said.contains("Install kubectl"),
            "{command:?}: {said}"
        );
    }
}

#[rstest]
#[case::read_the_estate(&["baseline", "show", "-n", "team-a"], &forbidden("get", "estates"), "ClusterRole securityv0-findings-reader")]
#[case::change_the_estate(&["baseline", "accept", "-n", "team-a"], &forbidden("patch", "estates"), "ClusterRole securityv0-editor")]
#[case::ask_for_a_scan(&["scan", "entra", "-n", "team-a"], &forbidden("patch", "connectorinstances"), "ClusterRole securityv0-editor")]
#[case::something_else(&["findings", "-n", "team-a"], &forbidden("list", "things"), "docs/operate.md says what each command needs")]
#[case::no_such_instance(
    &["scan", "entro", "-n", "team-a"],
    "Error from server (NotFound): connectorinstances.securityv0.com \"entro\" not found\n",
    "Look at the name and at the namespace (-n)"
)]
fn the_advice_fits(#[case] command: &[&str], #[case] words: &str, #[case] advice: &str) {
    let kubectl = failing(words);
    let said = complaint(&kubectl.path().join("kubectl"), command);
    assert!(said.contains(advice), "{said}");
}

/// The roles that are named are roles of the chart, and docs are where they are said to be.
#[test]
fn what_is_advised_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let roles = std::fs::read_to_string(root.join("charts/securityv0/templates/rbac-people.yaml")).unwrap();
    for role in ["securityv0-findings-reader", "securityv0-editor"] {
        assert!(roles.contains(&format!("name: {role}\n")), "{role}");
    }
    assert!(root.join("docs/install.md").exists() && root.join("docs/operate.md").exists());
}

/// Words that no advice is known for stand alone, and what they hold moves no terminal.
#[test]
fn no_advice_is_made_up() {
    let kubectl = failing("error: \u{1b}[2Jthe moon is full\n");
    let said = complaint(&kubectl.path().join("kubectl"), COMMANDS[0]);
    assert!(said.trim_end().ends_with("the moon is full") && !said.contains('\u{1b}'), "{said:?}");
}

/// Commands below `path` that do something, as the program itself lists them.
fn commands(path: &[String]) -> Vec<Vec<String>> {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = String::from_utf8(run(Path::new("kubectl"), &arguments).stdout).unwrap();
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![path.to_vec()] };
    let list = list.split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| commands(&[path, &[name.to_owned()]].concat())).collect()
}

/// Every command there is, not those that somebody listed.
#[test]
fn every_command_has_help_with_an_example_of_itself() {
    let all = commands(&[]);
    assert!(all.len() >= 15, "{all:?}");
    for command in all {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = String::from_utf8(run(Path::new("kubectl"), &arguments).stdout).unwrap();
        let example = format!("\n  kubectl sv0 {}", command.join(" "));
        let told = help.split_once("\nExample").is_some_and(|(_, rest)| rest.contains(&example));
        assert!(told, "{command:?} shows no example of itself:\n{help}");
    }
}
