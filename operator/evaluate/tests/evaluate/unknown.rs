//! A finding stays when it is not known any more whether its identity runs, or what it holds.

use rstest::rstest;
use sv0_api::FindingState;
use sv0_engine::evaluate::Evaluation;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeKind, attr};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, builder, identity, powerless};
use crate::whole::{first, input, next};

/// The secret of the only identity ends on the fifteenth.
const SECRET: Option<(&str, &str)> = Some(("2025-12-01T00:00:00Z", "2026-01-15T00:00:00Z"));

/// A scan with the identity, whose `collection` was read this well.
fn scan(id: &str, powerful: bool, (collection, state): (&str, CoverageState)) -> SnapshotBuilder {
    let mut scan = builder("u", id);
    let build = if powerful { identity } else { powerless };
    build(&mut scan, "bot", SECRET);
    scan.cover(collection, state);
    scan
}

fn state(evaluation: &Evaluation) -> Option<FindingState> {
    evaluation.findings.values().find(|spec| spec.rule.id == "ORPH-002").map(|spec| spec.state)
}

/// The secret has ended; whether a federated subject signs in was read, or not.
#[rstest]
#[case::not_read(CoverageState::Throttled, FindingState::Open)]
#[case::not_asked_for(CoverageState::Skipped, FindingState::Open)]
#[case::read(CoverageState::Complete, FindingState::Resolved)]
fn what_may_run_still_is_not_gone(#[case] trusts: CoverageState, #[case] expected: FindingState) {
    let read = ("federatedCredentials", trusts);
    let before = first(&scan(SCAN_1, true, read));
    assert_eq!(state(&before), Some(FindingState::Open));
    let same = next(&before, vec![input(scan(SCAN_1, true, read).build())], day(20));
    assert_eq!(state(&same), Some(expected));
    let again = next(&same, vec![input(scan(SCAN_2, true, read).build())], day(21));
    assert_eq!(state(&again), Some(expected));
}

/// Whether a key that nobody knows the use of signs it in is not known, however well it was read.
#[test]
fn a_key_of_unknown_use_leaves_it_open() {
    let with = |id, usage| {
        let mut scan = scan(id, true, ("organization", CoverageState::Complete));
        let attrs = [
            (attr::CREDENTIAL_TYPE, text("certificate")),
            (attr::CREDENTIAL_USE, text(usage)),
            (attr::VALID_TO, text("2099-01-01T00:00:00Z")),
        ];
        let key = scan.node("applications", NodeKind::Credential, "app-bot/other", &attrs);
        let app = scan.id(NodeKind::Application, "app-bot");
        scan.edge("applications", &app, EdgeKind::HoldsCredential, &key);
        scan
    };
    for (usage, expected) in [("something new", FindingState::Open), ("token_signing", FindingState::Resolved)] {
        let after = next(&first(&with(SCAN_1, usage)), vec![input(with(SCAN_2, usage).build())], day(20));
        assert_eq!(state(&after), Some(expected), "{usage}");
    }
}

/// Its directory role is gone; whether it holds a permission was read, or not.
#[rstest]
#[case::not_read("appRoleAssignments", CoverageState::Partial, FindingState::Open)]
#[case::memberships_not_read("groupMembers", CoverageState::Denied, FindingState::Open)]
#[case::read("appRoleAssignments", CoverageState::Complete, FindingState::Resolved)]
fn what_may_be_strong_still_is_not_gone(
    #[case] collection: &str,
    #[case] grants: CoverageState,
    #[case] expected: FindingState,
) {
    let before = first(&scan(SCAN_1, true, ("organization", CoverageState::Complete)));
    let after = next(&before, vec![input(scan(SCAN_2, false, (collection, grants)).build())], day(11));
    assert_eq!(state(&after), Some(expected));
}

/// What was not to be read when a finding was made is not waited for.
#[test]
fn what_nobody_asks_for_keeps_nothing_open() {
    let skipped = ("groupMembers", CoverageState::Skipped);
    let before = first(&scan(SCAN_1, true, skipped));
    let after = next(&before, vec![input(scan(SCAN_2, false, skipped).build())], day(11));
    assert_eq!(state(&after), Some(FindingState::Resolved));
}
