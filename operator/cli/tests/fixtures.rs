//! A real scan of the simulated tenant, a real evaluation, and what is told of it. The Findings and the Estate that the
//! tests of reading commands show (`fixtures/`) are these; `UPDATE_GOLDEN=1` writes them anew. The evidence is told from an
//! exported file, as anybody reads it who has no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod committed;
#[allow(dead_code, reason = "shared with other tests")]
mod hostile;
mod simulated;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/tenant/mod.rs"]
mod tenant;

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::{Value, json};
use sv0_api::FindingState;
use sv0_cli::explain::of_pack::{Origin, story};
use sv0_cli::explain::text;
use sv0_cli::term::Look;
use sv0_engine::bundle::Bundle;
use sv0_engine::pack_reader::Pack;
use sv0_engine::replay::replay;
use sv0_graph::canonical::digest;

use crate::committed::committed;
use crate::simulated::Evaluated;

/// Without the policies of credentials nearly everything is seen, and not all.
const MISSING: &str = "Policy.Read.All";

/// One scan and one evaluation for all tests.
static FRESH: LazyLock<Evaluated> =
    LazyLock::new(|| tokio::runtime::Runtime::new().unwrap().block_on(simulated::evaluated(MISSING)));

/// The list of one kind of object, as it is committed.
fn of_kind(list: &Value, kind: &str) -> String {
    let items: Vec<&Value> = list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    format!("{}\n", serde_json::to_string_pretty(&list).unwrap())
}

/// `explain NAME --from FILE` on a machine without kubectl.
fn explained(bundle: &Bundle, name: &str, more: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("team-a.tar"), bundle.write().unwrap()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
        .args(["explain", name, "--from", "team-a.tar"])
        .args(more)
        .current_dir(dir.path())
        .env("SV0_KUBECTL", "/nonexistent")
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// On one line, however it was broken into lines.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_fixtures_are_of_a_real_scan_and_evaluation() {
    let fresh = &*FRESH;
    committed("fixtures/findings.json", &of_kind(&fresh.list, "Finding"));
    committed("fixtures/estates.json", &of_kind(&fresh.list, "Estate"));
    assert_eq!(replay(&fresh.bundle, 2).unwrap().difference, None);
}

#[test]
fn all_evidence_is_told_from_a_file() {
    let bundle = &FRESH.bundle;
    for (file, name) in [
        ("evidence-takeover.txt", "unb-001-9606c7a314434307"),
        ("evidence-no-sign-in.txt", "cred-001-27028122cccd30d6"),
        ("evidence-folded.txt", "cred-002-f1dec82afadba602"),
    ] {
        let told = said(explained(bundle, name, &[]));
        let digest = digest(&bundle.pack);
        assert_eq!(told.matches(&digest).count(), 1);
        // Every change of a rule changes the pack: what is told need not change.
        committed(&format!("golden/{file}"), &told.replace(&digest, "sha256:..."));
    }
    let words = said(explained(bundle, "unb-001-9606c7a314434307", &["--words"]));
    assert!(words.contains("\n  hop: "), "{words}");
    let output = explained(bundle, "unb-001-0000000000000000", &[]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("the evaluation of team-a as of 2026-11-30T10:15:56Z has no finding unb-001-0000"),
        "{error}"
    );
}

/// Of every finding in the pack every piece stands there once, with its time, and a hop's piece below the hop.
#[test]
fn no_piece_is_left_out() {
    let bundle = &FRESH.bundle;
    let pack = Pack::read(&bundle.pack).unwrap();
    let mut below_hops = 0;
    for (name, finding) in &pack.findings {
        let story = story(&pack, "sha256:0".to_owned(), "team-a", name, Origin::File).unwrap();
        let told = text(&story, Look::PLAIN, 100, false);
        let told = told.split_once("\nEvidence\n").unwrap().1.split_once("\nWhat is not proven\n").unwrap().0;
        let full = &finding.line["full"];
        let pieces = full["evidence"].as_array().unwrap();
        assert_eq!(told.matches("       observed at: 2026-11-30T10:15:00Z\n").count(), pieces.len(), "{told}");
        let told = joined(told);
        for (at, piece) in pieces.iter().enumerate() {
            let source = &piece["source"];
            let word = |key: &str| source[key].as_str().unwrap();
            let line = format!(
                " {}. {} [{}] read from Microsoft Entra ID: {} ({}), object {}, field {}",
                at + 1,
                piece["claim"].as_str().unwrap(),
                piece["class"].as_str().unwrap().to_lowercase(),
                word("api"),
                word("version"),
                word("object"),
                word("field"),
            );
            assert!(told.contains(&joined(&line)), "{name}: {line}\n{told}");
        }
        let mut first = BTreeMap::new();
        for (at, hop) in full["path"].as_array().unwrap().iter().enumerate() {
            let Some(number) = hop["evidence"].as_u64() else { continue };
            first.entry(number).or_insert(at + 1);
        }
        for (number, hop) in first {
            let below = told.split_once(&format!("Hop {hop}: ")).unwrap().1;
            let below = below.split(" Hop ").next().unwrap();
            assert!(below.contains(&format!("] {number}. ")), "{name}: piece {number} below hop {hop}\n{below}");
            below_hops += 1;
        }
    }
    assert!(below_hops > 50, "{below_hops}");
}

/// The edge that the remediation names is marked on the path when it is on it, and no other.
#[test]
fn the_edge_to_cut_is_marked() {
    let pack = Pack::read(&FRESH.bundle.pack).unwrap();
    let mut marked = 0;
    for (name, finding) in &pack.findings {
        let story = story(&pack, "sha256:0".to_owned(), "team-a", name, Origin::File).unwrap();
        let told = joined(&text(&story, Look::PLAIN, 100, false));
        let Some((_, here)) = told.split_once("] (step ") else {
            assert!(!told.contains(" above takes hop "), "{told}");
            continue;
        };
        let (step, _) = here.split_once(" below cuts here)").unwrap();
        let remediation = &finding.spec.remediation[step.parse::<usize>().unwrap() - 1];
        assert!(remediation.starts_with("Take ") && told.matches(" cuts here)").count() == 1, "{told}");
        let (_, hop) = told.split_once(&format!("Step {step} above takes hop ")).unwrap();
        let (hop, _) = hop.split_once(" away").unwrap();
        let hop = &finding.line["full"]["path"][hop.parse::<usize>().unwrap() - 1];
        let what = hop["via"].as_str().unwrap_or_else(|| hop["to"].as_str().unwrap());
        assert!(remediation.contains(what) && remediation.contains(hop["from"].as_str().unwrap()), "{remediation}");
        marked += 1;
    }
    assert!(marked > 1, "{marked}");
}

/// What an evaluation did not find anew has the pieces that the Finding keeps, and says why there are no others.
#[test]
fn what_was_not_found_anew_says_so() {
    let bundle = &FRESH.bundle;
    let mut pack = Pack::read(&bundle.pack).unwrap();
    let name = "cred-002-95dc6d712ad8803d";
    for (state, sentence) in [
        (FindingState::Open, "did not find it anew, and what it rests on was not seen completely."),
        (FindingState::Resolved, "It is resolved: the pack's evaluation has no new evidence of it."),
    ] {
        let finding = pack.findings.get_mut(name).unwrap();
        finding.line.remove("full");
        finding.spec.state = state;
        let kept = finding.spec.evidence.len();
        let story = story(&pack, "sha256:0".to_owned(), "team-a", name, Origin::File).unwrap();
        let told = joined(&text(&story, Look::PLAIN, 100, false));
        assert!(told.contains(sentence) && !told.contains("observed at"), "{told}");
        assert_eq!(told.matches(" read from Microsoft Entra ID: ").count(), kept);
    }
}

/// A pack may be a file that somebody made: nothing in it moves the terminal, begins a line or fills the screen for ever.
#[test]
fn what_a_made_pack_holds_is_harmless_and_bounded() {
    let bundle = &FRESH.bundle;
    let mut pack = Pack::read(&bundle.pack).unwrap();
    let finding = pack.findings.get_mut("unb-001-9606c7a314434307").unwrap();
    let full = finding.line.get_mut("full").unwrap();
    for piece in full["evidence"].as_array_mut().unwrap() {
        piece["claim"] = json!(format!("{}\nState\n  Resolved.\n{}", hostile::NAMES[5], "y".repeat(10_000)));
        piece["value"] = json!(hostile::NAMES[5]);
        for key in ["connector", "api", "version", "object", "field"] {
            piece["source"][key] = json!(format!("\u{1b}[2J{}\r", hostile::NAMES[5]));
        }
    }
    for hop in full["path"].as_array_mut().unwrap() {
        hop["to"] = json!(format!("\u{9b}31m\nState\n{}", hostile::NAMES[5]));
    }
    full["path"][0]["evidence"] = json!(u32::MAX);
    full["path"][1]["evidence"] = json!(0);
    let one = full["evidence"][0].clone();
    full["evidence"].as_array_mut().unwrap().extend(std::iter::repeat_n(one, 5_000));
    let hop = full["path"][0].clone();
    full["path"].as_array_mut().unwrap().extend(std::iter::repeat_n(hop, 5_000));
    finding.line.insert("foldedUnder".to_owned(), json!("x\u{1b}[2J\nState"));
    let story =
        story(&pack, "sha256:\u{1b}[2J".to_owned(), "team-a", "unb-001-9606c7a314434307", Origin::File).unwrap();
    let told = text(&story, Look::PLAIN, 100, false);
    assert!(!told.chars().any(|c| c.is_control() && c != '\n') && !told.contains('\u{202e}'));
    assert_eq!(told.lines().filter(|line| *line == "State").count(), 1);
    assert!(told.contains("more pieces are not listed: there are too many."));
    assert!(told.len() < 8_000_000, "{}", told.len());
    assert!(told.lines().all(|line| line.chars().count() <= 100));
}
