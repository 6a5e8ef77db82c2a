//! The life of a finding as a table: what fired, what is remembered, what was seen, and what follows.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::{at, day, depends, draft, remembered, spec};
use jiff::Timestamp;
use rstest::rstest;
use sv0_api::{FindingState, Severity};
use sv0_engine::ledger::Remembered;
use sv0_engine::merge::{Basis, Draft, Merged, Removal, Situation, merge};

/// One finding named `f` on the tenth of January; instances `a` and `b` exist, `settled` are the settled collections
/// of `a`.
fn step(fired: Option<Draft>, before: Option<Remembered>, settled: &[&str]) -> Merged {
    step_at(day(10), fired, before, settled)
}

fn step_at(as_of: Timestamp, fired: Option<Draft>, before: Option<Remembered>, settled: &[&str]) -> Merged {
    step_of(as_of, 1, fired, before, settled)
}

/// The same with a snapshot of `a` of this collection revision.
fn step_of(
    as_of: Timestamp,
    revision: u32,
    fired: Option<Draft>,
    before: Option<Remembered>,
    settled: &[&str],
) -> Merged {
    let live = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    let settled = BTreeMap::from([("a".to_owned(), settled.iter().map(|s| (*s).to_owned()).collect())]);
    let rules = BTreeMap::from([("CRED-002".to_owned(), "1".to_owned())]);
    let revisions = BTreeMap::from([("a".to_owned(), revision)]);
    let situation = Situation { as_of, live: &live, settled: &settled, revisions: &revisions, rules: &rules };
    merge(fired.into_iter().collect(), before.map(|b| ("f".to_owned(), b)).into_iter().collect(), &situation)
}

fn only(merged: &Merged) -> (FindingState, Timestamp, Option<Timestamp>, Basis) {
    assert!(merged.removed.is_empty(), "{:?}", merged.removed);
    let held = &merged.held["f"];
    let spec = &held.remembered.spec;
    (spec.state, spec.first_observed.0, spec.resolved_at.as_ref().map(|time| time.0), held.basis)
}

#[rstest]
#[case::new(None, (FindingState::Open, day(10), None, Basis::Fires))]
#[case::known(Some(remembered("a", None)), (FindingState::Open, day(1), None, Basis::Fires))]
#[case::reopened(Some(remembered("a", Some(day(5)))), (FindingState::Open, day(1), None, Basis::Fires))]
#[case::another_instance_saw_it_first(Some(remembered("b", None)), (FindingState::Open, day(1), None, Basis::Fires))]
#[case::a_vanished_instance_saw_it_first(Some(remembered("gone", None)), (FindingState::Open, day(10), None, Basis::Fires))]
fn what_fires_is_open(
    #[case] before: Option<Remembered>,
    #[case] expected: (FindingState, Timestamp, Option<Timestamp>, Basis),
) {
    assert_eq!(only(&step(Some(draft("f", "a")), before, &[])), expected);
}

#[test]
fn what_fires_says_what_the_rules_say_now() {
    let mut fired = draft("f", "a");
    fired.spec = spec("CRED-002", "a", Severity::Critical);
    fired.depends_on = depends("a", &["servicePrincipals"]);
    let merged = step(Some(fired.clone()), Some(remembered("a", None)), &[]);
    let held = &merged.held["f"].remembered;
    let depends_on: Vec<(&str, u32)> = held.depends_on.iter().map(|on| (on.collection.as_str(), on.revision)).collect();
    assert_eq!((held.spec.severity, depends_on), (Severity::Critical, vec![("servicePrincipals", 1)]));
    assert_eq!(held.spec.content_digest, fired.spec.content_digest);
}

/// What fired at one collection revision and does not at another: a lower one read less of the same objects.
#[rstest]
#[case::lower(2, 1, FindingState::Open)]
#[case::same(2, 2, FindingState::Resolved)]
#[case::higher(1, 2, FindingState::Resolved)]
#[case::not_remembered(0, 1, FindingState::Resolved)]
fn absence_at_a_lower_revision_proves_nothing(#[case] then: u32, #[case] now: u32, #[case] expected: FindingState) {
    let fired = step_of(day(1), then, Some(draft("f", "a")), None, &[]).held.remove("f").unwrap().remembered;
    assert!(fired.depends_on.iter().all(|on| on.revision == then));
    assert_eq!(only(&step_of(day(10), now, None, Some(fired), &["applications"])).0, expected);
}

#[rstest]
#[case::settled(&["applications"], (FindingState::Resolved, day(1), Some(day(10)), Basis::Gone))]
#[case::another_collection_is_settled(&["servicePrincipals"], (FindingState::Open, day(1), None, Basis::Unseen))]
#[case::nothing_is_settled(&[], (FindingState::Open, day(1), None, Basis::Unseen))]
fn what_no_longer_fires_is_resolved_only_over_settled_collections(
    #[case] settled: &[&str],
    #[case] expected: (FindingState, Timestamp, Option<Timestamp>, Basis),
) {
    assert_eq!(only(&step(None, Some(remembered("a", None)), settled)), expected);
}

#[test]
fn every_collection_that_it_rests_on_must_be_settled() {
    let before =
        Remembered { depends_on: depends("a", &["applications", "servicePrincipals"]), ..remembered("a", None) };
    assert_eq!(only(&step(None, Some(before.clone()), &["applications"])).0, FindingState::Open);
    assert_eq!(only(&step(None, Some(before), &["applications", "servicePrincipals"])).0, FindingState::Resolved);
}

#[test]
fn a_finding_that_names_nothing_it_rests_on_is_never_resolved() {
    let before = Remembered { depends_on: vec![], ..remembered("a", None) };
    assert_eq!(only(&step(None, Some(before), &["applications"])).0, FindingState::Open);
}

#[test]
fn what_is_kept_unseen_is_kept_to_the_letter() {
    let before = remembered("a", None);
    assert_eq!(step(None, Some(before.clone()), &[]).held["f"].remembered, before);
    let resolved = remembered("a", Some(day(5)));
    assert_eq!(step(None, Some(resolved.clone()), &["applications"]).held["f"].remembered, resolved);
}

#[rstest]
#[case::subject(remembered("gone", None))]
#[case::resolved_earlier(remembered("gone", Some(day(5))))]
#[case::one_of_several(Remembered { depends_on: depends("gone", &["x"]), ..remembered("a", None) })]
fn findings_of_a_removed_instance_leave_and_are_not_resolved(#[case] before: Remembered) {
    let merged = step(None, Some(before), &["applications"]);
    assert_eq!((merged.held.len(), merged.removed["f"]), (0, Removal::SourceRemoved));
}

#[rstest]
#[case::no_such_rule("CRED-999", "1.0")]
#[case::another_major("CRED-002", "2.0")]
fn findings_of_a_retired_rule_leave_and_are_not_resolved(#[case] id: &str, #[case] version: &str) {
    let mut before = remembered("a", None);
    before.spec.rule.id = id.into();
    before.spec.rule.version = version.into();
    let merged = step(None, Some(before), &["applications"]);
    assert_eq!((merged.held.len(), merged.removed["f"]), (0, Removal::RuleRetired));
}

#[test]
fn resolved_findings_leave_after_thirty_days() {
    let before = || Some(remembered("a", Some(day(10))));
    let last = at("2026-02-09T11:59:59Z");
    assert_eq!(only(&step_at(last, None, before(), &[])).0, FindingState::Resolved);
    let merged = step_at(at("2026-02-09T12:00:00Z"), None, before(), &[]);
    assert_eq!((merged.held.len(), merged.removed["f"]), (0, Removal::RetentionOver));
}
