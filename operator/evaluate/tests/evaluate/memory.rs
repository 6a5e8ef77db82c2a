//! Silence over a series of evaluations: it becomes proof at a threshold, is written once, and survives snapshots that were
//! lost.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sv0_api::{Claim, FindingSpec};
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, NodeKind, attr};

use crate::common::at;
use crate::estate::{TENANT, identity};
use crate::whole::{self, input};

/// Days after which an identity without use is dormant in these tests.
const DORMANT: u32 = 20;

fn config(as_of: Timestamp) -> Config {
    let mut config = whole::config(as_of);
    config.estate.thresholds.dormant_days = i32::try_from(DORMANT).unwrap();
    config
}

/// When the snapshot of the n-th day was taken; it is evaluated an hour later.
pub(crate) fn taken(day: u32) -> Timestamp {
    at("2026-01-01T06:00:00Z").checked_add(SignedDuration::from_hours(24 * i64::from(day))).unwrap()
}

/// An application whose use is never recorded, and one that signs in every day.
pub(crate) fn scan(day: u32) -> SnapshotBuilder {
    let mut scan = SnapshotBuilder::entra("u", TENANT);
    scan.header().scan_id = format!("{day:014}-aaaaaaaa");
    scan.header().observed_at = taken(day);
    scan.header().finished_at = taken(day);
    scan.node("organization", NodeKind::System, TENANT, &[]);
    identity(&mut scan, "pilot", Some(("2020-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
    let used = [(attr::LAST_USED_AT, text(&taken(day).to_string()))];
    identity(&mut scan, "nightly", Some(("2020-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
    scan.node("servicePrincipalActivity", NodeKind::ServicePrincipal, "sp-nightly", &used);
    scan.node("credentialActivity", NodeKind::Credential, "app-nightly/key", &used);
    scan
}

fn step(ledger: &[u8], scan: &SnapshotBuilder, day: u32) -> Evaluation {
    let ledger = if ledger.is_empty() { Ledger::default() } else { Ledger::read(ledger).unwrap() };
    let later = taken(day).checked_add(SignedDuration::from_hours(1)).unwrap();
    evaluate(vec![input(scan.build())], ledger, &config(later)).unwrap()
}

/// Evaluations of these days, one after the other; the last of them.
fn series(days: impl IntoIterator<Item = u32>) -> Evaluation {
    let evaluate = |before: Option<Evaluation>, day| {
        Some(step(&before.map(|before| before.ledger.bytes).unwrap_or_default(), &scan(day), day))
    };
    days.into_iter().fold(None, evaluate).unwrap()
}

fn all(evaluation: &Evaluation) -> BTreeMap<String, FindingSpec> {
    let folded = evaluation.folded.iter().map(|(name, folded)| (name.clone(), folded.spec.clone()));
    evaluation.findings.clone().into_iter().chain(folded).collect()
}

fn claim(evaluation: &Evaluation, rule: &str) -> Option<Claim> {
    let found = all(evaluation).into_values().find(|spec| spec.rule.id == rule && spec.subject.name == "pilot");
    found.map(|spec| spec.rule.claim)
}

fn written(evaluation: &Evaluation) -> Vec<(String, String)> {
    all(evaluation).into_iter().map(|(name, spec)| (name, spec.content_digest)).collect()
}

#[test]
fn the_clock_moves_over_the_threshold() {
    let mut before = series(0..DORMANT);
    assert_eq!(claim(&before, "DORM-001"), Some(Claim::Narrower));
    let proven = step(&before.ledger.bytes, &scan(DORMANT), DORMANT);
    assert_eq!(claim(&proven, "DORM-001"), Some(Claim::Full));
    // Day after day the same, to the letter.
    before = proven;
    for day in DORMANT + 1..DORMANT + 5 {
        let after = step(&before.ledger.bytes, &scan(day), day);
        assert_eq!(written(&after), written(&before), "day {day}");
        before = after;
    }
    // What is used every day is accused of nothing.
    let busy = all(&before).into_values().filter(|spec| spec.subject.name == "nightly");
    let rules: Vec<String> = busy.map(|spec| spec.rule.id).collect();
    assert!(!rules.iter().any(|rule| ["DORM-001", "CRED-001", "CRED-004"].contains(&rule.as_str())), "{rules:?}");
}

#[test]
fn without_a_new_scan_time_proves_nothing() {
    let before = series(0..DORMANT);
    let ledger = Ledger::read(&before.ledger.bytes).unwrap();
    let later = evaluate(vec![input(scan(DORMANT - 1).build())], ledger, &config(taken(400))).unwrap();
    assert_eq!(claim(&later, "DORM-001"), Some(Claim::Narrower));
}

#[test]
fn evaluating_a_snapshot_again_or_an_older_one_changes_no_memory() {
    let before = series(0..=9);
    let again = step(&before.ledger.bytes, &scan(9), 9);
    assert_eq!(again.ledger, before.ledger);
    let older = step(&again.ledger.bytes, &scan(4), 9);
    let activity =
        |evaluation: &Evaluation| Ledger::read(&evaluation.ledger.bytes).unwrap().instances["u"].activity.clone();
    assert!(activity(&before).is_some());
    assert_eq!(activity(&older), activity(&before));
}

#[test]
fn snapshots_that_were_lost_for_less_than_a_week_cost_nothing_and_for_longer_the_proof() {
    let full = series((0..=DORMANT).filter(|day| !(5..11).contains(day)));
    assert_eq!(claim(&full, "DORM-001"), Some(Claim::Full));
    let broken = series((0..=DORMANT).filter(|day| !(5..12).contains(day)));
    assert_eq!(claim(&broken, "DORM-001"), Some(Claim::Narrower));
}

#[test]
fn a_proof_stays_while_nothing_can_be_seen_and_goes_with_the_memory() {
    let before = series(0..=DORMANT);
    let mut partial = scan(DORMANT + 1);
    partial.cover("servicePrincipalActivity", CoverageState::Denied);
    let unseen = step(&before.ledger.bytes, &partial, DORMANT + 1);
    assert_eq!(claim(&unseen, "DORM-001"), Some(Claim::Full));
    let lost = step(&[], &scan(DORMANT + 2), DORMANT + 2);
    assert_eq!(claim(&lost, "DORM-001"), Some(Claim::Narrower));
}

/// What an older version left has no memory of use: it is taken as nothing remembered.
#[test]
fn a_ledger_from_before_starts_the_memory() {
    let mut ledger = Ledger::read(&series(0..=DORMANT).ledger.bytes).unwrap();
    ledger.instances.get_mut("u").unwrap().activity = None;
    let (bytes, _) = ledger.write().unwrap();
    let after = step(&bytes, &scan(DORMANT + 1), DORMANT + 1);
    assert_eq!(claim(&after, "DORM-001"), Some(Claim::Narrower));
    assert_eq!(
        Ledger::read(&after.ledger.bytes).unwrap().instances["u"].activity,
        Ledger::read(&series([DORMANT + 1]).ledger.bytes).unwrap().instances["u"].activity
    );
}
