//! What is planted in the estates that ship with the simulated tenant comes out of a real scan and a real evaluation:
//! every expected finding with rule, subject, severity and claim, no other one, and no look-alike. And what a scanner
//! without one of its permissions still says: less, never more, with the name of what is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
mod tenant;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rstest::rstest;
use support::Kept;
use sv0_api::{Claim, EstateSpec, FindingSpec, Severity};
use sv0_estate::spec::Expectations;
use sv0_evaluate::engine::{Config, Evaluation, evaluate};
use sv0_evaluate::ledger::Ledger;
use sv0_evaluate::load::{Input, Used};
use sv0_graph::canonical::digest;
use sv0_protocol::{EvaluateInput, Outcome, ScanReport, ScanRequest};
use sv0_scan::Surroundings;
use tenant::{DEMO, SECRET, World};

const FULL: &str = include_str!("../../../e2e/estate/estates/full.yaml");
const FULL_SECRET: &str = "full-only-not-a-secret";

/// Rule and the subject's object id.
type Key = (String, String);
/// Severity, and whether it is the narrower claim.
type Weight = (Severity, bool);
type Found = BTreeMap<Key, Weight>;

/// Scans at a revision of what is collected.
async fn scan(world: &World, secret: &str, revision: u32) -> (ScanRequest, ScanReport, Kept) {
    let request = ScanRequest { accepted_collection_revision: revision, ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", secret)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    (request, report, kept)
}

/// Evaluates one snapshot as of now, with nothing remembered.
fn evaluated(request: ScanRequest, tenant: &str, kept: &Kept) -> Evaluation {
    let manifest = digest(kept.manifest.lock().unwrap().as_ref().expect("a manifest"));
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: tenant.into(),
        snapshot_id: request.scan_id,
        snapshot_digest: manifest.clone(),
    };
    let used = Some(Used { digest: manifest, snapshot: kept.snapshot() });
    let config = Config {
        as_of: Timestamp::now(),
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        max_findings: 1000,
        ledger: None,
        threads: 1,
    };
    evaluate(vec![Input { order, quarantined: None, used }], Ledger::default(), &config).unwrap()
}

fn key(spec: &FindingSpec) -> Key {
    (spec.rule.id.clone(), spec.subject.id.clone())
}

fn found(evaluation: &Evaluation) -> Found {
    let weight = |spec: &FindingSpec| (spec.severity, spec.rule.claim == Claim::Narrower);
    let all: Found = evaluation.findings.values().map(|spec| (key(spec), weight(spec))).collect();
    assert_eq!(all.len(), evaluation.findings.len(), "a rule speaks once of a subject");
    all
}

fn severity(word: &str) -> Severity {
    match word {
        "Critical" => Severity::Critical,
        "High" => Severity::High,
        "Medium" => Severity::Medium,
        "Low" => Severity::Low,
        "Info" => Severity::Info,
        other => panic!("no severity: {other}"),
    }
}

fn wanted(expected: &Expectations) -> Found {
    let one = |finding: &sv0_estate::spec::ExpectedFinding| {
        ((finding.rule.clone(), finding.subject.clone()), (severity(&finding.severity), finding.narrower))
    };
    let all: Found = expected.findings.iter().map(one).collect();
    assert_eq!(all.len(), expected.findings.len(), "nothing is expected twice");
    all
}

fn described((key, weight): (&Key, &Weight), names: &BTreeMap<String, String>) -> String {
    let narrower = if weight.1 { ", narrower" } else { "" };
    format!("{} {:?}{narrower}: {}", key.0, weight.0, names.get(&key.1).unwrap_or(&key.1))
}

/// Names of subjects by object id.
fn names(evaluation: &Evaluation) -> BTreeMap<String, String> {
    evaluation.findings.values().map(|spec| (spec.subject.id.clone(), spec.subject.name.clone())).collect()
}

fn differences(from: &Found, to: &Found, names: &BTreeMap<String, String>) -> Vec<String> {
    from.iter().filter(|(key, weight)| to.get(*key) != Some(*weight)).map(|one| described(one, names)).collect()
}

#[rstest]
#[case::the_demonstration(DEMO, SECRET, 1)]
#[case::every_plan(FULL, FULL_SECRET, 2)]
#[tokio::test]
async fn what_is_planted_comes_out(#[case] file: &str, #[case] secret: &str, #[case] revision: u32) {
    let world = World::start(file).await;
    let (request, report, kept) = scan(&world, secret, revision).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
    let evaluation = evaluated(request, &world.tenant, &kept);
    let expected = world.server.estate().expectations().clone();
    let (seen, wanted) = (found(&evaluation), wanted(&expected));
    let names = names(&evaluation);
    let (missing, extra) = (differences(&wanted, &seen, &names), differences(&seen, &wanted, &names));
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nnot expected: {extra:#?}");
    assert!(expected.near_misses.len() > 20, "only {} look-alikes", expected.near_misses.len());
    for miss in expected.near_misses {
        assert!(!seen.contains_key(&(miss.rule.clone(), miss.subject.clone())), "reported: {miss:?}");
    }
}
