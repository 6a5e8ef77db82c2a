//! Composites: what is told inside another finding, what that one says of it, and what is never hidden.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use sv0_api::{FindingState, Severity};
use sv0_engine::convert::content_digest;
use sv0_engine::fold::fold;
use sv0_engine::ledger::Remembered;
use sv0_engine::merge::{Basis, Held, Merged};

use crate::common::{day, depends, spec};

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
