//! A finding whose record left the source system's window holds as long as the credential signs in.

use sv0_api::FindingState;
use sv0_engine::evaluate::{Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder, identity};
use crate::whole::{config, input};

/// One identity with an ordinary secret.
fn plain(scan: &str) -> SnapshotBuilder {
    let mut scan = builder("u", scan);
    identity(&mut scan, "bot", Some(("2025-12-20T00:00:00Z", "2026-01-25T00:00:00Z")));
    scan
}

/// The same, and the record of who added it: an account that is enabled or not.
fn recorded(scan: &str, enabled: bool) -> SnapshotBuilder {
    let mut scan = plain(scan);
    let credential = scan.id(NodeKind::Credential, "app-bot/key");
    let attrs = [(attr::ENABLED, Value::Bool(enabled)), (attr::ADDRESS, text("dana@contoso.example"))];
    let dana = scan.node("ownerAccounts", NodeKind::Human, "dana", &attrs);
    scan.edge("directoryAudits", &credential, EdgeKind::CreatedBy, &dana).object = Some("audit-1".into());
    scan
}

fn next(before: Option<&Evaluation>, scan: &SnapshotBuilder, at: u8) -> Evaluation {
    let ledger = before.map_or_else(Ledger::default, |before| Ledger::read(&before.ledger.bytes).unwrap());
    evaluate(vec![input(scan.build())], ledger, &config(day(at))).unwrap()
}

fn state(evaluation: &Evaluation) -> Option<FindingState> {
    evaluation.findings.values().find(|spec| spec.rule.id == "CRED-012").map(|spec| spec.state)
}

fn found() -> Evaluation {
    let found = next(None, &recorded(SCAN_1, false), 10);
    assert_eq!(state(&found), Some(FindingState::Open));
    found
}

#[test]
fn a_record_that_aged_resolves_nothing() {
    let before = found();
    let after = next(Some(&before), &plain(SCAN_2), 20);
    assert_eq!(state(&after), Some(FindingState::Open));
    assert_eq!(after.tally.unseen, 1);
    // Nor does a second scan; what is remembered stays the same.
    let later = next(Some(&after), &plain(SCAN_3), 21);
    assert_eq!(state(&later), Some(FindingState::Open));
}

#[test]
fn it_is_resolved_when_the_credential_is_gone_or_has_ended() {
    let before = found();
    let mut without = builder("u", SCAN_2);
    identity(&mut without, "bot", None);
    assert_eq!(state(&next(Some(&before), &without, 20)), Some(FindingState::Resolved));
    assert_eq!(state(&next(Some(&before), &plain(SCAN_2), 26)), Some(FindingState::Resolved));
    assert_eq!(state(&next(Some(&before), &builder("u", SCAN_2), 20)), Some(FindingState::Resolved));
}

#[test]
fn it_is_resolved_when_a_record_shows_an_account_that_is_there() {
    let after = next(Some(&found()), &recorded(SCAN_2, true), 20);
    assert_eq!(state(&after), Some(FindingState::Resolved));
}

#[test]
fn what_was_not_read_resolves_nothing_either() {
    let mut partial = builder("u", SCAN_2);
    partial.cover("applications", CoverageState::Partial);
    assert_eq!(state(&next(Some(&found()), &partial, 20)), Some(FindingState::Open));
}
