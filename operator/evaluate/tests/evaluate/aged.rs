//! A finding whose record left the source system's window holds as long as the credential signs in.

use sv0_api::FindingState;
use sv0_engine::aged::MAX_CREDENTIALS;
use sv0_engine::evaluate::{Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder, identity, powerless};
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

/// One identity with these secrets, all of which sign in until March, and records of who added some of them.
fn keyed(scan: &str, keys: &[u16], recorded: &[u16]) -> SnapshotBuilder {
    let mut scan = builder("u", scan);
    identity(&mut scan, "bot", None);
    let app = scan.id(NodeKind::Application, "app-bot");
    let attrs = [(attr::ENABLED, Value::Bool(false)), (attr::ADDRESS, text("dana@contoso.example"))];
    let dana = scan.node("ownerAccounts", NodeKind::Human, "dana", &attrs);
    for n in keys {
        let attrs = [
            (attr::CREDENTIAL_TYPE, text("secret")),
            (attr::CREDENTIAL_USE, text("client_auth")),
            (attr::VALID_FROM, text("2025-12-20T00:00:00Z")),
            (attr::VALID_TO, text("2026-03-01T00:00:00Z")),
        ];
        let key = scan.node("applications", NodeKind::Credential, &format!("app-bot/key-{n}"), &attrs);
        scan.edge("applications", &app, EdgeKind::HoldsCredential, &key);
        if recorded.contains(n) {
            scan.edge("directoryAudits", &key, EdgeKind::CreatedBy, &dana).object = Some(format!("audit-{n}"));
        }
    }
    scan
}

/// More credentials than a stored finding shows: the last one is remembered like the first.
#[test]
fn every_credential_that_was_named_is_remembered() {
    let all: Vec<u16> = (1..=8).collect();
    let before = next(None, &keyed(SCAN_1, &all, &all), 10);
    for left in &all {
        let after = next(Some(&before), &keyed(SCAN_2, &[*left], &[]), 20);
        assert_eq!(state(&after), Some(FindingState::Open), "key-{left} signs in");
    }
    assert_eq!(state(&next(Some(&before), &keyed(SCAN_2, &[9], &[]), 20)), Some(FindingState::Resolved));
}

/// More than are remembered by id: that one signs in which was named, or may have been, resolves nothing.
#[test]
fn of_very_many_credentials_any_may_have_been_named() {
    let all: Vec<u16> = (1..=1_200).collect();
    let before = next(None, &keyed(SCAN_1, &all, &all), 10);
    let of = |evaluation: &Evaluation| {
        let mut all = Ledger::read(&evaluation.ledger.bytes).unwrap().findings.into_values();
        all.find(|one| one.spec.rule.id == "CRED-012").unwrap()
    };
    let aged = of(&before);
    assert!(aged.more_credentials && aged.credentials.len() <= MAX_CREDENTIALS);
    let forgotten: Vec<u16> =
        all.iter().copied().filter(|n| !aged.credentials.contains(&format!("app-bot/key-{n}"))).collect();
    assert!(forgotten.len() >= 200);
    for left in [all[0], forgotten[0], *forgotten.last().unwrap()] {
        let after = next(Some(&before), &keyed(SCAN_2, &[left], &[]), 20);
        assert_eq!(state(&after), Some(FindingState::Open), "key-{left} signs in");
    }
    assert_eq!(state(&next(Some(&before), &keyed(SCAN_2, &[], &[]), 20)), Some(FindingState::Resolved));
    // What is left when the finding fires by a newer record is known by id again.
    let few = next(Some(&before), &keyed(SCAN_2, &[1, 2, 3], &[3]), 20);
    let known = of(&few);
    assert_eq!((known.credentials.len(), known.more_credentials), (3, false));
}

/// A newer record does not make the older ones forgotten.
#[test]
fn a_newer_record_adds_to_what_is_remembered() {
    let first = next(None, &keyed(SCAN_1, &[1, 2], &[1]), 10);
    let second = next(Some(&first), &keyed(SCAN_2, &[1, 2], &[2]), 20);
    assert_eq!(state(&second), Some(FindingState::Open));
    let after = next(Some(&second), &keyed(SCAN_3, &[1], &[]), 21);
    assert_eq!(state(&after), Some(FindingState::Open), "key-1 signs in");
    let none = next(Some(&second), &keyed(SCAN_3, &[], &[]), 21);
    assert_eq!(state(&none), Some(FindingState::Resolved));
}

/// What can be done with it is gone, though the credential is not.
#[test]
fn it_is_resolved_when_the_identity_is_switched_off_or_holds_nothing() {
    let before = found();
    let mut off = plain(SCAN_2);
    off.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-bot", &[(attr::VENDOR_DISABLED, Value::Bool(true))]);
    assert_eq!(state(&next(Some(&before), &off, 20)), Some(FindingState::Resolved));
    let mut bare = builder("u", SCAN_2);
    powerless(&mut bare, "bot", Some(("2025-12-20T00:00:00Z", "2026-01-25T00:00:00Z")));
    assert_eq!(state(&next(Some(&before), &bare, 20)), Some(FindingState::Resolved));
}
