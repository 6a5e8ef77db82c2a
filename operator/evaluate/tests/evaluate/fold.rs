//! Composites: what is told inside another finding, what that one says of it, and what is never hidden.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use sv0_api::{Claim, FindingSpec, FindingState, Severity};
use sv0_engine::convert::content_digest;
use sv0_engine::evaluate::{Evaluation, evaluate};
use sv0_engine::fold::fold;
use sv0_engine::ledger::{Ledger, Remembered};
use sv0_engine::merge::{Basis, Held, Merged};
use sv0_graph::testing::{ENTRA_COLLECTIONS, SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeKind, attr};

use crate::common::{day, depends, spec};
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder, identity};
use crate::whole::{config, input, json, next, pack_lines};

fn held(rule: &str, severity: Severity, state: FindingState) -> Held {
    let mut spec = spec(rule, "a", severity);
    spec.state = state;
    spec.first_observed = Time(day(1));
    spec.resolved_at = (state == FindingState::Resolved).then(|| Time(day(2)));
    Held {
        remembered: Remembered {
            depends_on: depends("a", &["applications"]),
            through: None,
            tells: BTreeSet::new(),
            credentials: BTreeSet::new(),
            more_credentials: false,
            spec,
        },
        basis: Basis::Fires,
        full: None,
    }
}

/// Findings by name: the rule's id in lower case. CRED-001 tells all the others.
fn merged(all: &[(&str, Severity, FindingState)]) -> Merged {
    let held = all.iter().map(|(rule, severity, state)| (rule.to_lowercase(), held(rule, *severity, *state)));
    let mut held: BTreeMap<String, Held> = held.collect();
    let names: BTreeSet<String> = held.keys().filter(|name| *name != "cred-001").cloned().collect();
    if let Some(composite) = held.get_mut("cred-001") {
        composite.remembered.tells = names;
    }
    Merged { held, removed: BTreeMap::new() }
}

fn parts(merged: &Merged, name: &str) -> Vec<String> {
    merged.held[name].remembered.spec.consists_of.iter().map(|part| part.name.clone()).collect()
}

#[test]
fn a_composite_tells_its_parts_and_says_so_in_its_digest() {
    let open = FindingState::Open;
    let mut merged = merged(&[
        ("CRED-001", Severity::High, open),
        ("CRED-002", Severity::High, open),
        ("CRED-003", Severity::Medium, open),
        ("CRED-004", Severity::Low, open),
        ("CRED-006", Severity::Low, open),
    ]);
    merged.held.get_mut("cred-001").unwrap().remembered.tells.remove("cred-004");
    let before = merged.clone();
    let folded = fold(&mut merged).unwrap();
    let under = |name: &str| folded.get(name).map(String::as_str);
    assert_eq!((under("cred-002"), under("cred-003")), (Some("cred-001"), Some("cred-001")));
    assert_eq!((under("cred-001"), folded.len()), (None, 2));
    assert_eq!(under("cred-004"), None, "which says more, by its rule");
    assert_eq!(under("cred-006"), None, "whose rule is no part of any");
    assert_eq!(parts(&merged, "cred-001"), ["cred-002", "cred-003"]);
    let composite = &merged.held["cred-001"].remembered.spec;
    assert_ne!(composite.content_digest, before.held["cred-001"].remembered.spec.content_digest);
    assert_eq!(content_digest(composite).unwrap(), composite.content_digest);
    for name in ["cred-002", "cred-003", "cred-004", "cred-006"] {
        assert_eq!(merged.held[name], before.held[name], "{name} keeps what it says and its days");
    }
}

#[rstest]
#[case::milder(Severity::Medium, FindingState::Open, Severity::High, FindingState::Open, false)]
#[case::as_severe(Severity::High, FindingState::Open, Severity::High, FindingState::Open, true)]
#[case::graver(Severity::Critical, FindingState::Open, Severity::High, FindingState::Open, true)]
#[case::mended(Severity::High, FindingState::Resolved, Severity::High, FindingState::Open, false)]
#[case::mended_part(Severity::High, FindingState::Open, Severity::High, FindingState::Resolved, false)]
#[case::accepted(Severity::High, FindingState::Accepted, Severity::High, FindingState::Open, true)]
fn nothing_is_hidden_that_says_more(
    #[case] composite: Severity,
    #[case] composite_state: FindingState,
    #[case] part: Severity,
    #[case] part_state: FindingState,
    #[case] folds: bool,
) {
    let mut merged = merged(&[("CRED-001", composite, composite_state), ("CRED-002", part, part_state)]);
    assert_eq!(!fold(&mut merged).unwrap().is_empty(), folds);
    assert_eq!(!parts(&merged, "cred-001").is_empty(), folds);
}

/// What is remembered of one is told by what is remembered of the other. What fires now is told by what fires now.
#[rstest]
#[case::both_fire(Basis::Fires, Basis::Fires, true)]
#[case::neither_does(Basis::Unseen, Basis::Unseen, true)]
#[case::a_part_that_is_not_seen_and_named_all_the_same(Basis::Fires, Basis::Unseen, true)]
#[case::a_part_that_may_say_more_by_now(Basis::Unseen, Basis::Fires, false)]
fn an_old_sentence_tells_nothing_new(#[case] composite: Basis, #[case] part: Basis, #[case] folds: bool) {
    let open = FindingState::Open;
    let mut merged = merged(&[("CRED-001", Severity::High, open), ("CRED-002", Severity::High, open)]);
    for (name, basis) in [("cred-001", composite), ("cred-002", part)] {
        merged.held.get_mut(name).unwrap().basis = basis;
    }
    assert_eq!(!fold(&mut merged).unwrap().is_empty(), folds);
}

#[test]
fn what_concerns_another_subject_stands_for_itself() {
    let open = FindingState::Open;
    let mut merged = merged(&[("CRED-001", Severity::High, open), ("CRED-002", Severity::High, open)]);
    let other = &mut merged.held.get_mut("cred-002").unwrap().remembered.spec.subject;
    other.tenant = "another tenant".into();
    assert!(fold(&mut merged).unwrap().is_empty());
}

/// The parts that a composite named once are not named for ever.
#[test]
fn a_composite_forgets_a_part_that_is_gone() {
    let open = FindingState::Open;
    let mut merged = merged(&[("CRED-001", Severity::High, open), ("CRED-002", Severity::High, open)]);
    fold(&mut merged).unwrap();
    let part = merged.held.get_mut("cred-002").unwrap();
    part.remembered.spec.state = FindingState::Resolved;
    assert!(fold(&mut merged).unwrap().is_empty());
    assert!(parts(&merged, "cred-001").is_empty());
    let composite = &merged.held["cred-001"].remembered.spec;
    assert_eq!(content_digest(composite).unwrap(), composite.content_digest);
}

/// By rule of what stands and is open, the rules of what it tells.
fn told(evaluation: &Evaluation) -> BTreeMap<&str, Vec<&str>> {
    let told = |(name, spec): (&String, &'_ FindingSpec)| {
        let folded = evaluation.folded.iter().filter(|(_, folded)| folded.under == *name);
        let all: BTreeMap<&String, &str> = folded.map(|(name, one)| (name, one.spec.rule.id.as_str())).collect();
        let says: BTreeSet<&String> = spec.consists_of.iter().map(|one| &one.name).collect();
        assert_eq!(all.keys().copied().collect::<BTreeSet<_>>(), says, "{name} names what it tells");
        all.into_values().collect()
    };
    let open = evaluation.findings.iter().filter(|(_, spec)| spec.state == FindingState::Open);
    open.map(|(name, spec)| (spec.rule.id.as_str(), told((name, spec)))).collect()
}

/// An administrator without an owner, made in 2020, with a secret of 2024 that never ends; `change` adds to that. Read on the
/// tenth of January 2026.
fn administrator(scan: &str, change: impl FnOnce(&mut SnapshotBuilder)) -> SnapshotBuilder {
    let mut builder = builder("u", scan);
    builder.header().observed_at = day(10);
    builder.header().finished_at = day(10);
    identity(&mut builder, "quiet", Some(("2024-01-01T00:00:00Z", "2299-12-31T00:00:00Z")));
    change(&mut builder);
    builder
}

/// Without any record of use the sentence is narrower, and tells the graver of what it consists of all the same.
#[rstest]
#[case::nothing_is_recorded(|_: &mut SnapshotBuilder| (), Claim::Narrower, &["CRED-002", "CRED-003", "CRED-004", "DORM-001"])]
#[case::nothing_was_read(
    |builder: &mut SnapshotBuilder| {
        builder.cover("servicePrincipalActivity", CoverageState::Skipped).cover("credentialActivity", CoverageState::Denied);
    },
    Claim::Narrower,
    &["CRED-002", "CRED-003"]
)]
#[case::used_long_ago(
    |builder: &mut SnapshotBuilder| {
        let used = [(attr::LAST_USED_AT, text("2025-03-01T00:00:00Z"))];
        builder.node("servicePrincipalActivity", NodeKind::ServicePrincipal, "sp-quiet", &used);
    },
    Claim::Full,
    &["CRED-002", "CRED-003", "CRED-004", "DORM-001"]
)]
fn one_sentence_stands_for_what_it_consists_of(
    #[case] change: fn(&mut SnapshotBuilder),
    #[case] claim: Claim,
    #[case] parts: &[&str],
) {
    let evaluation =
        evaluate(vec![input(administrator(SCAN_1, change).build())], Ledger::default(), &config(day(10))).unwrap();
    assert_eq!(told(&evaluation), BTreeMap::from([("CRED-001", parts.to_vec()), ("ORPH-002", vec![])]));
    let composite = evaluation.findings.values().find(|spec| spec.rule.id == "CRED-001").unwrap();
    assert_eq!((composite.rule.claim, composite.severity), (claim, Severity::High));
    assert!(serde_json::to_vec(composite).unwrap().len() <= sv0_api::FINDING_SPEC_BYTES - sv0_api::ACCEPTANCE_BYTES);
    assert_eq!(content_digest(composite).unwrap(), composite.content_digest);
    assert_eq!((evaluation.tally.folded, evaluation.tally.open), (parts.len(), 2));
    // All of it is in the pack and in the ledger, and a scan a day later changes nothing.
    let ledger = Ledger::read(&evaluation.ledger.bytes).unwrap();
    assert_eq!(ledger.findings.len(), 2 + parts.len());
    let lines = pack_lines(&evaluation);
    assert_eq!(lines.iter().filter(|line| line["foldedUnder"].is_string()).count(), parts.len());
    let again = next(&evaluation, vec![input(administrator(SCAN_2, change).build())], day(11));
    assert_eq!((json(&again.findings), &again.folded), (json(&evaluation.findings), &evaluation.folded));
}

/// A second weak secret that is in use is no part of the sentence about the first: who would delete the first alone must see
/// the second. When it is gone, what is left is told as one again.
#[test]
fn a_credential_that_the_sentence_is_not_about_is_not_hidden() {
    let two = |scan: &str, second: bool| {
        administrator(scan, |builder| {
            let used = |at: &str| [(attr::LAST_USED_AT, text(at))];
            builder.node("credentialActivity", NodeKind::Credential, "app-quiet/key", &used("2025-03-01T00:00:00Z"));
            builder.node(
                "servicePrincipalActivity",
                NodeKind::ServicePrincipal,
                "sp-quiet",
                &used("2026-01-09T00:00:00Z"),
            );
            let app = builder.id(NodeKind::Application, "app-quiet");
            let secret = [
                (attr::CREDENTIAL_TYPE, text("secret")),
                (attr::CREDENTIAL_USE, text("client_auth")),
                (attr::VALID_FROM, text(if second { "2024-01-01T00:00:00Z" } else { "2025-12-20T00:00:00Z" })),
                (attr::VALID_TO, text(if second { "2299-12-31T00:00:00Z" } else { "2026-06-01T00:00:00Z" })),
            ];
            let key = builder.node("applications", NodeKind::Credential, "app-quiet/other", &secret);
            builder.edge("applications", &app, EdgeKind::HoldsCredential, &key);
            builder.node("credentialActivity", NodeKind::Credential, "app-quiet/other", &used("2026-01-09T00:00:00Z"));
        })
    };
    let before = evaluate(vec![input(two(SCAN_1, true).build())], Ledger::default(), &config(day(10))).unwrap();
    let orphaned = ("ORPH-002", vec![]);
    let many = ("CRED-006", vec![]);
    let expected = [("CRED-001", vec!["CRED-004"]), ("CRED-002", vec![]), ("CRED-003", vec![]), many, orphaned.clone()];
    assert_eq!(told(&before), BTreeMap::from(expected));
    let after = next(&before, vec![input(two(SCAN_2, false).build())], day(11));
    let expected = [("CRED-001", vec!["CRED-002", "CRED-003", "CRED-004"]), orphaned];
    assert_eq!(told(&after), BTreeMap::from(expected));
    for folded in after.folded.values().filter(|one| one.spec.rule.id != "CRED-004") {
        assert_eq!(folded.spec.first_observed, Time(day(10)), "it keeps its days");
    }
    // What is not seen any more stays told where it was told.
    let mut blind = builder("u", SCAN_3);
    for collection in ENTRA_COLLECTIONS {
        blind.cover(collection, CoverageState::Denied);
    }
    let unseen = next(&after, vec![input(blind.build())], day(12));
    assert_eq!((json(&unseen.findings), &unseen.folded), (json(&after.findings), &after.folded));
}
