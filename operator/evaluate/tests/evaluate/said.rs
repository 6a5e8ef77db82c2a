//! What the rules say of the same made-up estates belongs to their version. Packs name versions, and whoever computes one
//! again with the same versions must come to the same findings: a rule that says something else is another version of it.
//!
//! `said.txt` holds what each version says, as a digest. `UPDATE_GOLDEN=1` writes it anew, and only where a version or the
//! estates changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::SignedDuration;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config as Tries, RngAlgorithm, TestRng, TestRunner};
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_graph::canonical;
use sv0_graph::testing::SnapshotBuilder;

use crate::generated::case;
use crate::support::as_of;
use crate::whole::{config, generated_policy, input};

/// Enough for every rule to speak.
const ESTATES: usize = 160;
const FILE: &str = "tests/evaluate/said.txt";
/// The line about what the estates are.
const INPUT: &str = "estates";

/// By rule: its version, and a digest of all that it says.
type Said = BTreeMap<String, (String, String)>;

fn digest(text: &str) -> String {
    canonical::sha256_hex(text.as_bytes())[..16].to_owned()
}

/// Every finding by rule, one line each, and the digest of the estates.
fn said() -> Said {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Tries::default(), rng);
    let (mut lines, mut estates) = (BTreeMap::<String, String>::new(), String::new());
    for _ in 0..ESTATES {
        let case = case(1..6).new_tree(&mut runner).unwrap().current();
        let estate = generated_policy(&case);
        let at = |as_of| Config { estate: estate.clone(), ..config(as_of) };
        let (then, today) = (case.then().build(), case.today());
        write!(estates, "{:?} {then:?} ", serde_json::to_string(&estate).unwrap()).unwrap();
        let first = evaluate(vec![input(then.clone())], Ledger::default(), &at(as_of())).unwrap();
        let inputs: Vec<_> = today.iter().map(|builder| input(builder.build())).collect();
        write!(estates, "{:?} ", today.iter().map(SnapshotBuilder::build).collect::<Vec<_>>()).unwrap();
        let sources = Sources { inputs, baselines: case.baselines(vec![then]) };
        let ledger = Ledger::read(&first.ledger.bytes).unwrap();
        let second = evaluate(sources, ledger, &at(as_of() + SignedDuration::from_hours(1))).unwrap();
        for evaluation in [first, second] {
            tell(&evaluation, &mut lines);
        }
    }
    let versions: BTreeMap<&str, &str> = sv0_rules::catalogue().map(|meta| (meta.id, meta.version)).collect();
    let mut said: Said = versions
        .into_iter()
        .map(|(rule, version)| {
            let of_rule = lines.get(rule).unwrap_or_else(|| panic!("{rule} says nothing of {ESTATES} estates"));
            (rule.to_owned(), (version.to_owned(), digest(of_rule)))
        })
        .collect();
    said.insert(INPUT.to_owned(), (sv0_rules::SHARED_VERSION.to_owned(), digest(&estates)));
    said
}

fn tell(evaluation: &Evaluation, lines: &mut BTreeMap<String, String>) {
    let folded = evaluation.folded.iter().map(|(name, folded)| (name, &folded.spec));
    for (name, spec) in evaluation.findings.iter().chain(folded) {
        let line = lines.entry(spec.rule.id.clone()).or_default();
        writeln!(line, "{name} {}", serde_json::to_string(spec).unwrap()).unwrap();
    }
}

fn write(said: &Said) -> String {
    let mut text = String::new();
    for (rule, (version, digest)) in said {
        writeln!(text, "{rule} {version} {digest}").unwrap();
    }
    text
}

fn read(text: &str) -> Said {
    let line = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, (words.next()?, words.next()?)))
    };
    text.lines().filter_map(line).collect()
}

/// Rules that say something else of the same estates under the version that they had, all of them sharing what they shared.
fn unnamed(before: &Said, now: &Said) -> Vec<String> {
    let shared = before.get(INPUT) == now.get(INPUT);
    let same = |rule: &&String| now[*rule].0 == before[*rule].0 && now[*rule].1 != before[*rule].1;
    now.keys().filter(|rule| shared && before.contains_key(*rule)).filter(same).cloned().collect()
}

#[test]
fn who_says_something_else_has_another_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let now = said();
    let unnamed = unnamed(&read(&committed), &now);
    assert!(
        unnamed.is_empty(),
        "{unnamed:?} say something else of the same estates: give each a new version, or raise SHARED_VERSION of the rules \
         where what they share changed"
    );
    let text = write(&now);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(committed, text, "a version is new: run this test once with UPDATE_GOLDEN=1 and commit {FILE}");
    }
}

#[test]
fn a_digest_may_change_with_its_version_alone() {
    let before = read("A 1.0.0 aa\nB 1.0.0 bb\nestates 1 ee\n");
    assert_eq!(read(&write(&before)), before);
    for (now, expected) in [
        ("A 1.0.0 aa\nB 1.0.0 bb\nestates 1 ee\n", vec![]),
        ("A 1.0.0 ab\nB 1.0.0 bb\nestates 1 ee\n", vec!["A"]),
        ("A 1.1.0 ab\nB 1.0.0 bb\nC 1.0.0 cc\nestates 1 ee\n", vec![]),
        ("A 1.0.0 ab\nB 1.0.0 bc\nestates 2 ee\n", vec![]),
        ("A 1.0.0 ab\nB 1.0.0 bc\nestates 1 ef\n", vec![]),
    ] {
        assert_eq!(unnamed(&before, &read(now)), expected, "{now}");
    }
}
