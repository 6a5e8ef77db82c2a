//! The report as text: its bytes, what its sentences say, and that names from outside stay text. How it looks and behaves
//! in a browser is tested in `report_browser.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod hostile;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use sv0_cli::report::input::parse;
use sv0_cli::report::{html, words};

const SMALL: &str = include_str!("estate/small.json");

fn report(list: &str) -> String {
    html(&parse(&[list.as_bytes()], None).unwrap())
}

fn changed(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut list: Value = serde_json::from_str(SMALL).unwrap();
    change(list["items"].as_array_mut().unwrap());
    report(&list.to_string())
}

fn estate(items: &mut [Value]) -> &mut Value {
    items.iter_mut().find(|item| item["kind"] == "Estate").unwrap()
}

#[test]
fn the_same_objects_give_the_same_bytes() {
    let page = report(SMALL);
    assert_eq!(page, changed(|items| items.reverse()), "the order of objects does not matter");
    assert!(page.contains("Rules that need it: DORM-001"));
    // One element a line, so that a difference can be read. The style stands in its own file.
    let (head, rest) = page.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    let lines = format!("{head}{body}").replace("><", ">\n<");
    // Which rules need a collection changes with the rules, not with the report.
    let same = |line: &str| {
        let marks = ["Rules that need it: ", "Every rule needs it."];
        marks
            .iter()
            .find_map(|mark| line.split_once(mark))
            .map_or_else(|| line.to_owned(), |(start, _)| format!("{start}…"))
    };
    insta::assert_snapshot!("page", lines.lines().map(same).collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_from_outside_are_text() {
    let page = report(&hostile::estate(SMALL));
    for mark in ["<script", "<img", "<iframe", "onerror=\"", "<a href=\"http", "\u{202e}", "\u{1b}", "\0", "\u{200b}"] {
        assert!(!page.contains(mark), "{mark:?}");
    }
    assert!(page.contains("&lt;script&gt;"));
    assert!(page.len() < 200_000, "long names are cut: {}", page.len());
}

#[test]
fn nothing_points_outside() {
    let page = report(SMALL);
    assert!(page.contains("default-src 'none'"));
    for mark in ["src=", "url(", "@import", "http:", "https:", "style=\""] {
        assert!(!page.contains(mark), "{mark}");
    }
}

#[test]
fn the_summary_counts_what_is_there() {
    let page = report(SMALL);
    for sentence in [
        "3 findings are open (1 critical and 2 high). They concern 2 identities of Microsoft Entra ID.",
        "Of these identities, for 1 everybody on record is gone and for 1 nobody was ever recorded.",
        "2 changes would break the path of 3 of 3 open findings; the first alone that of 2.",
        "1 finding says less than the full rule",
        "1 more is an accepted risk",
        "2 coverage gaps are recorded: something was not seen, or not in full.",
        "1 less severe finding is left out here",
        "As of 2026-11-30 06:00 UTC.",
        "Tells as a whole: CRED-003 (high).",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
}

/// Nobody is recorded as answering for a group or a tenant: they are no identities, and no gap in ownership.
#[test]
fn groups_and_tenants_are_no_identities() {
    let page = changed(|items| {
        let mut open = items.iter_mut().filter(|item| item["kind"] == "Finding" && item["spec"]["state"] == "Open");
        let (group, tenant) = (open.next().unwrap(), open.next().unwrap());
        group["spec"]["subject"]["kind"] = json!("Group");
        tenant["spec"]["subject"]["kind"] = json!("System");
    });
    assert!(page.contains("They concern 1 identity, 1 group and 1 tenant of Microsoft Entra ID."));
    assert!(page.contains("Identities with an open finding: 1."));
}

/// Less input says less, and says that it does.
#[test]
fn without_the_estate_nothing_is_claimed_of_coverage_and_age() {
    let page = changed(|items| items.retain(|item| item["kind"] != "Estate"));
    assert!(page.contains("The age of these findings is not known"));
    assert!(page.contains("What was not seen is not known"));
    assert!(!page.contains("No coverage gap is recorded") && !page.contains("No gap is recorded"));
}

#[test]
fn no_finding_is_no_all_clear() {
    let page = changed(|items| items.retain(|item| item["kind"] == "Estate"));
    assert!(page.contains("No finding is open. That says something only about what was seen"));
    assert!(page.contains("The Estate counts 3 open findings more than were given to this report."));
}

#[test]
fn a_failed_evaluation_is_told() {
    let page = changed(|items| {
        let condition = &mut estate(items)["status"]["conditions"][0];
        condition["status"] = json!("False");
        condition["message"] = json!("The Findings are those of the last finished evaluation: the store is full.");
    });
    assert!(
        page.contains("The last evaluation did not finish. The Findings are those of the last finished evaluation")
    );
}

#[test]
fn an_accepted_risk_has_an_owner_an_end_and_a_reason() {
    let page = report(SMALL);
    assert!(page.contains("identity-team@contoso.example") && page.contains("2027-03-31"));
    assert!(page.contains("The reports move to a site of their own by March"));
    assert!(page.contains("forgotten, by somebody@contoso.example, until 2027-01-31"));
    let page = changed(|items| items.retain(|item| item["kind"] != "FindingException"));
    assert!(page.contains("In the exception reporting-until-migration, which was not given to this report."));
}

/// Every word that stands as a label, and every term of the glossary that the page says, is explained at its end.
#[test]
fn the_glossary_has_every_label_and_every_term() {
    let page = report(SMALL);
    let (told, glossary) = page.split_once("id=\"glossary\"").unwrap();
    for family in words::FAMILIES {
        assert!(glossary.contains(words::family(family).0), "{family:?}");
    }
    for word in ["Open", "Resolved", "Accepted", "Direct", "Structural", "Temporal"] {
        assert!(glossary.contains(word), "{word}");
    }
    let told = told.to_lowercase();
    let terms = sv0_cli::glossary::terms();
    let met: Vec<&str> = terms
        .iter()
        .map(|(term, _)| *term)
        .filter(|term| told.contains(&format!(" {} ", term.to_lowercase())))
        .collect();
    assert!(met.len() > 20, "{met:?}");
    for term in met {
        assert!(glossary.contains(&format!("<dt>{term}</dt>")), "{term}");
    }
    assert!(!glossary.contains("<dt>runner</dt>"), "what the page does not say is left out");
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let kubectl = dir.join("kubectl");
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0")).args(arguments).env("SV0_KUBECTL", kubectl).output().unwrap()
}

/// A kubectl that has these objects, and exceptions only when told so.
fn cluster(exceptions: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("list"), SMALL).unwrap();
    let refuse = if exceptions { "" } else { "case \"$*\" in *exceptions*) echo Forbidden >&2; exit 1;; esac\n" };
    let script =
        format!("#!/bin/sh\necho \"$*\" >> \"$(dirname \"$0\")/calls\"\n{refuse}cat \"$(dirname \"$0\")/list\"\n");
    let kubectl = dir.path().join("kubectl");
    std::fs::write(&kubectl, script).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[test]
fn the_program_asks_kubectl_and_writes_one_file() {
    let dir = cluster(true);
    let out = dir.path().join("team-a.html");
    let arguments = ["report", "-n", "team-a", "-o", out.to_str().unwrap()];
    let output = run(dir.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), report(SMALL));
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(
        calls.lines().collect::<Vec<_>>(),
        [
            "get findings.securityv0.com,estates.securityv0.com --namespace=team-a --output=json",
            "get findingexceptions.securityv0.com --namespace=team-a --output=json"
        ]
    );
    assert!(!run(dir.path(), &arguments).status.success(), "nothing is overwritten unless told so");
}

/// A namespace that is no estate is no estate without findings.
#[test]
fn a_mistyped_namespace_is_an_error() {
    let dir = cluster(true);
    std::fs::write(dir.path().join("list"), r#"{"apiVersion": "v1", "kind": "List", "items": []}"#).unwrap();
    for command in [&["report", "-n", "team-x", "-o", "-"][..], &["export", "-n", "team-x", "-o", "sarif"]] {
        let output = run(dir.path(), command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{command:?}");
        assert!(said.contains("no Finding and no Estate in the namespace team-x"), "{said}");
    }
}

#[test]
fn exceptions_that_may_not_be_read_are_told() {
    let dir = cluster(false);
    let output = run(dir.path(), &["report", "-n", "team-a", "-o", "-"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("exceptions are left out"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("The exceptions themselves could not be read"));
}

#[test]
fn files_are_read_offline_and_bad_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("list.json");
    let said = |content: &str, more: &[&str]| {
        std::fs::write(&input, content).unwrap();
        let arguments = [&["export", "--from", input.to_str().unwrap(), "-o", "csv"], more].concat();
        let output = run(dir.path(), &arguments);
        (
            output.status.success(),
            String::from_utf8(if output.status.success() { output.stdout } else { output.stderr }).unwrap(),
        )
    };
    let (fine, text) = said(SMALL, &[]);
    assert!(fine && text.starts_with("\"name\",\"estate\""), "{text}");
    let (fine, text) = said("{", &[]);
    assert!(!fine && text.contains("not JSON"), "{text}");
    let (fine, text) = said(r#"{"items": []}"#, &[]);
    assert!(!fine && text.contains("no Finding and no Estate"), "{text}");
    let two = SMALL.replacen("\"team-a\"", "\"team-b\"", 1);
    let (fine, text) = said(&two, &[]);
    assert!(!fine && text.contains("2 namespaces"), "{text}");
    let (fine, text) = said(&two, &["-n", "team-c"]);
    assert!(!fine && text.contains("in the namespace team-c"), "{text}");
    let (fine, text) = said(&two, &["-n", "team-b"]);
    assert!(fine && text.lines().count() == 2, "{text}");
    let broken = SMALL.replacen("\"severity\": \"Critical\"", "\"severity\": \"Worst\"", 1);
    let (fine, text) = said(&broken, &[]);
    assert!(!fine && text.contains("Finding cred-001-0000000000000001 cannot be read"), "{text}");
}

#[test]
fn help_has_examples() {
    let dir = tempfile::tempdir().unwrap();
    for (command, example) in
        [("report", "kubectl sv0 report -n team-a -o team-a.html"), ("export", "-o sarif --output")]
    {
        let output = run(dir.path(), &[command, "--help"]);
        assert!(String::from_utf8_lossy(&output.stdout).contains(example), "{command}");
    }
}
