//! Many findings behind one group: told once, in one finding about the group; what that never hides, and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use sv0_api::{Claim, EstateStatus, FindingSpec, FindingState, MAX_PARTS, Severity};
use sv0_engine::accept::{Accepted, Exception, Outcome};
use sv0_engine::convert::content_digest;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::fold::fold_through;
use sv0_engine::ledger::{Ledger, Remembered};
use sv0_engine::merge::{Basis, Held, Merged};
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeId, NodeKind, Value, attr};

use crate::common::{day, depends, spec};
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder};
use crate::exceptions::{JULY, exception, rule};
use crate::order::{carry_out, order, status};
use crate::whole::{config, input, json, next, pack_lines};
use crate::world::Memory;

const RULE: &str = "UNB-001";
const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

/// A service principal with a secret, nothing of its own, in these groups.
fn robot(builder: &mut SnapshotBuilder, name: &str, groups: &[&str]) -> NodeId {
    let tenant = builder.header().tenant.clone();
    let locked = (attr::CREDENTIALS_LOCKED, Value::Bool(true));
    let app = builder.node(
        "applications",
        NodeKind::Application,
        &format!("app-{name}"),
        &[(attr::NAME, text(name)), locked],
    );
    let attrs = [
        (attr::NAME, text(name)),
        (attr::ENABLED, Value::Bool(true)),
        (attr::HOME_TENANT, text(&tenant)),
        (attr::PRINCIPAL_TYPE, text("Application")),
    ];
    let sp = builder.node("servicePrincipals", NodeKind::ServicePrincipal, &format!("sp-{name}"), &attrs);
    builder.edge("applications", &app, EdgeKind::Instantiates, &sp);
    let secret = [
        (attr::CREDENTIAL_TYPE, text("secret")),
        (attr::CREDENTIAL_USE, text("client_auth")),
        (attr::VALID_FROM, text("2026-01-01T00:00:00Z")),
        (attr::VALID_TO, text("2026-02-28T00:00:00Z")),
    ];
    let key = builder.node("applications", NodeKind::Credential, &format!("app-{name}/key"), &secret);
    builder.edge("applications", &app, EdgeKind::HoldsCredential, &key);
    for group in groups {
        let group = builder.id(NodeKind::Group, group);
        builder.edge("groupMembers", &sp, EdgeKind::MemberOf, &group);
    }
    sp
}

fn holds_tenant(builder: &mut SnapshotBuilder, holder: &NodeId) {
    let tenant = builder.header().tenant.clone();
    let system = builder.id(NodeKind::System, &tenant);
    let grant = builder.edge("directoryRoleAssignments", holder, EdgeKind::Granted, &system);
    grant.role = Some(GLOBAL_ADMINISTRATOR.into());
    grant.scope = Some("/".into());
}

/// A scan in which so many are in the group `robots`, which holds the tenant.
fn members(scan: &str, count: usize) -> SnapshotBuilder {
    let mut builder = builder("u", scan);
    let group = builder.node("groups", NodeKind::Group, "robots", &[(attr::NAME, text("robots"))]);
    holds_tenant(&mut builder, &group);
    for at in 0..count {
        robot(&mut builder, &format!("r{at}"), &["robots"]);
    }
    builder
}

fn evaluated(builder: &SnapshotBuilder, exceptions: Vec<Exception>) -> Evaluation {
    let config = Config { exceptions, ..config(day(10)) };
    evaluate(vec![input(builder.build())], Ledger::default(), &config).unwrap()
}

/// By the name of the subject, whose finding of the rule stands for itself, in which state.
fn standing(evaluation: &Evaluation) -> BTreeMap<&str, FindingState> {
    let of_rule = evaluation.findings.values().filter(|spec| spec.rule.id == RULE);
    of_rule.map(|spec| (spec.subject.name.as_str(), spec.state)).collect()
}

fn lead(evaluation: &Evaluation) -> (&String, &FindingSpec) {
    evaluation.findings.iter().find(|(_, spec)| spec.rule.id == RULE && spec.subject.kind == "Group").unwrap()
}

/// Names of the subjects of what the finding about the group tells.
fn told(evaluation: &Evaluation) -> BTreeSet<&str> {
    evaluation
        .folded
        .values()
        .filter(|one| one.spec.rule.id == RULE)
        .map(|one| one.spec.subject.name.as_str())
        .collect()
}

/// Findings that would be written: made, changed or removed.
fn writes(before: &Evaluation, after: &Evaluation) -> BTreeSet<String> {
    let names = before.findings.keys().chain(after.findings.keys());
    names.filter(|name| before.findings.get(*name) != after.findings.get(*name)).cloned().collect()
}

#[test]
fn many_behind_one_group_are_one_finding_that_says_how_many() {
    let evaluation = evaluated(&members(SCAN_1, 7), vec![]);
    assert_eq!(standing(&evaluation), BTreeMap::from([("robots", FindingState::Open)]));
    assert_eq!(told(&evaluation).len(), 7);
    let (name, lead) = lead(&evaluation);
    assert!(lead.title.starts_with("7 identities"), "{}", lead.title);
    assert_eq!((lead.consists_of.len(), lead.parts_omitted), (MAX_PARTS, 3));
    for part in &lead.consists_of {
        let told = &evaluation.folded[&part.name];
        assert_eq!((&told.under, part.subject.as_ref()), (name, Some(&told.spec.subject.name)));
        assert_eq!((part.rule.as_str(), part.claim, part.severity), (RULE, Claim::Full, Severity::Critical));
    }
    assert_eq!(content_digest(lead).unwrap(), lead.content_digest);
    assert!(serde_json::to_vec(lead).unwrap().len() <= sv0_api::FINDING_SPEC_BYTES - sv0_api::ACCEPTANCE_BYTES);
    // Counted once, and nowhere else.
    let of_rule = evaluation.tally.by_rule.get(RULE);
    assert_eq!((of_rule, evaluation.tally.folded, evaluation.tally.truncated), (Some(&1), 7, 0));
}

#[test]
fn two_are_told_one_by_one() {
    let evaluation = evaluated(&members(SCAN_1, 2), vec![]);
    assert_eq!(standing(&evaluation).into_keys().collect::<Vec<_>>(), ["r0", "r1"]);
    assert!(evaluation.folded.is_empty());
}

/// All of each stands in the pack under its own name, with all evidence and with who tells it; and in the ledger.
#[test]
fn nothing_is_lost() {
    let evaluation = evaluated(&members(SCAN_1, 5), vec![]);
    let (name, _) = lead(&evaluation);
    let lines = pack_lines(&evaluation);
    let told: Vec<_> = lines.iter().filter(|line| line["foldedUnder"] == name.as_str()).collect();
    assert_eq!(told.len(), 5);
    let ledger = Ledger::read(&evaluation.ledger.bytes).unwrap();
    for line in told {
        assert_eq!(line["kept"], false);
        assert!(line["full"]["evidence"].as_array().unwrap().len() > 3, "all of it");
        let remembered = &ledger.findings[line["name"].as_str().unwrap()];
        assert_eq!(remembered.through.as_ref(), Some(name));
        assert_eq!(remembered.spec.first_observed, Time(day(10)));
    }
}

#[test]
fn an_unchanged_estate_writes_nothing() {
    let before = evaluated(&members(SCAN_1, 5), vec![]);
    let after = next(&before, vec![input(members(SCAN_2, 5).build())], day(11));
    assert_eq!(json(&after.findings), json(&before.findings));
}

/// One more, or one fewer, is one write: that of the finding about the group.
#[rstest]
#[case::one_more(5, 6)]
#[case::one_fewer(6, 5)]
#[case::many_more(5, 40)]
fn who_comes_or_goes_is_one_write(#[case] from: usize, #[case] to: usize) {
    let before = evaluated(&members(SCAN_1, from), vec![]);
    let after = next(&before, vec![input(members(SCAN_2, to).build())], day(11));
    let (name, lead) = lead(&after);
    // Who is proven gone is told as resolved for a while, as everything is.
    let gone = after.findings.values().filter(|spec| spec.state == FindingState::Resolved).count();
    assert_eq!(gone, from.saturating_sub(to));
    let changed = writes(&before, &after);
    assert!(changed.contains(name) && changed.len() == 1 + gone, "{changed:?}");
    assert_eq!(lead.first_observed, Time(day(10)));
}

/// When the shared thing goes, what still holds stands for itself again, first seen on the same day.
#[test]
fn what_still_holds_stands_for_itself_first_seen_on_the_same_day() {
    let before = evaluated(&members(SCAN_1, 4), vec![]);
    let lead = lead(&before).0.clone();
    let mut direct = members(SCAN_2, 0);
    for at in 0..4 {
        let sp = robot(&mut direct, &format!("r{at}"), &["robots"]);
        holds_tenant(&mut direct, &sp);
    }
    let after = next(&before, vec![input(direct.build())], day(11));
    assert!(after.folded.is_empty());
    assert_eq!(after.findings[&lead].state, FindingState::Resolved);
    for (name, folded) in &before.folded {
        let spec = &after.findings[name];
        assert_eq!((spec.state, &spec.first_observed), (FindingState::Open, &folded.spec.first_observed));
    }
    // And back again: the same finding, open, seen first when it was seen first.
    let again = next(&after, vec![input(members(SCAN_3, 4).build())], day(12));
    assert_eq!(
        (again.findings[&lead].state, &again.findings[&lead].first_observed),
        (FindingState::Open, &Time(day(10)))
    );
    assert_eq!(told(&again).len(), 4);
}

/// The advice is taken: everything that the group gave is proven gone, the finding about it and each that it told.
#[test]
fn all_of_them_resolve_when_the_grant_goes() {
    let before = evaluated(&members(SCAN_1, 4), vec![]);
    let mut mended = builder("u", SCAN_2);
    mended.node("groups", NodeKind::Group, "robots", &[(attr::NAME, text("robots"))]);
    for at in 0..4 {
        robot(&mut mended, &format!("r{at}"), &["robots"]);
    }
    let after = next(&before, vec![input(mended.build())], day(11));
    let states: Vec<FindingState> = standing(&after).into_values().collect();
    assert_eq!(states, [FindingState::Resolved; 5]);
    assert_eq!((after.tally.open, after.tally.folded), (0, 0));
}

/// A scan that saw less proves nothing: what was told stays told, and nothing is written.
#[rstest]
#[case::nobody_is_seen_in_it(0)]
#[case::one_is_seen_in_it(1)]
#[case::two_are_seen_in_it(2)]
fn a_scan_that_saw_less_scatters_nothing(#[case] seen: usize) {
    let before = evaluated(&members(SCAN_1, 5), vec![]);
    let mut partial = members(SCAN_2, seen);
    for at in seen..5 {
        robot(&mut partial, &format!("r{at}"), &[]);
    }
    partial.cover("groupMembers", CoverageState::Partial);
    let after = next(&before, vec![input(partial.build())], day(11));
    assert_eq!(json(&after.findings), json(&before.findings));
    assert_eq!(told(&after).len(), 5);
}

/// What is accepted is not told by what is not, nor the other way round; and it counts.
#[test]
fn an_exception_for_one_of_them_makes_it_stand_for_itself() {
    let plain = evaluated(&members(SCAN_1, 5), vec![]);
    let one = plain.folded.iter().find(|(_, folded)| folded.spec.subject.name == "r2").unwrap().0;
    let accepted = evaluated(&members(SCAN_1, 5), vec![exception("one", &json!({"findings": [one]}), JULY)]);
    assert_eq!(standing(&accepted), BTreeMap::from([("r2", FindingState::Accepted), ("robots", FindingState::Open)]));
    assert_eq!(told(&accepted), BTreeSet::from(["r0", "r1", "r3", "r4"]));
    let note = &accepted.exceptions[0];
    assert_eq!((note.outcome, note.matched), (Outcome::Active, 1));
    assert_eq!((accepted.tally.accepted, accepted.tally.folded), (1, 4));
    // Of three, two are left to tell: they are not scattered by it.
    let three = evaluated(&members(SCAN_1, 3), vec![exception("one", &json!({"findings": [one]}), JULY)]);
    assert_eq!(told(&three), BTreeSet::from(["r0", "r1"]));
    // When it ends, as if it had never been.
    let until = vec![exception("one", &json!({"findings": [one]}), "2026-01-10T13:00:00Z")];
    let before = evaluated(&members(SCAN_1, 5), until);
    assert_eq!(before.ledger, plain.ledger, "what is remembered knows nothing of it");
    let after = next(&before, vec![input(members(SCAN_1, 5).build())], day(11));
    assert_eq!(json(&after.findings), json(&plain.findings));
}

/// Who accepts what the group holds has not accepted each that is put into it: those are told, openly.
#[test]
fn an_exception_for_the_group_alone_hides_none_of_them() {
    let plain = evaluated(&members(SCAN_1, 4), vec![]);
    let (name, _) = lead(&plain);
    let accepted = evaluated(&members(SCAN_1, 4), vec![exception("group", &json!({"findings": [name]}), JULY)]);
    let mut expected: BTreeMap<&str, FindingState> =
        ["r0", "r1", "r2", "r3"].into_iter().map(|name| (name, FindingState::Open)).collect();
    expected.insert("robots", FindingState::Accepted);
    assert_eq!(standing(&accepted), expected);
    assert!(accepted.folded.is_empty() && lead(&accepted).1.consists_of.is_empty());
}

/// One exception for all of it: one accepted finding tells them, and each is counted.
#[test]
fn one_exception_for_all_of_it_accepts_it_as_one() {
    let accepted = evaluated(&members(SCAN_1, 4), vec![exception("all", &rule(RULE), JULY)]);
    assert_eq!(standing(&accepted), BTreeMap::from([("robots", FindingState::Accepted)]));
    assert_eq!((told(&accepted).len(), accepted.exceptions[0].matched), (4, 5));
    let (_, lead) = lead(&accepted);
    assert_eq!(lead.acceptance.as_ref().map(|acceptance| acceptance.exception.as_str()), Some("all"));
    let plain = evaluated(&members(SCAN_1, 4), vec![]);
    assert_eq!(lead.content_digest, plain.findings[self::lead(&plain).0].content_digest, "it says the same");
    // One of two exceptions that ends on another day.
    let plain = evaluated(&members(SCAN_1, 4), vec![]);
    let one = plain.folded.iter().find(|(_, folded)| folded.spec.subject.name == "r0").unwrap().0;
    let longer = exception("longer", &json!({"findings": [one]}), "2026-08-01T00:00:00Z");
    let both = evaluated(&members(SCAN_1, 4), vec![exception("all", &rule(RULE), JULY), longer]);
    assert_eq!(standing(&both), BTreeMap::from([("r0", FindingState::Accepted), ("robots", FindingState::Accepted)]));
}

/// Carried out by the Job: made once, then nothing is written; and a replay on another machine gives the same.
#[tokio::test]
async fn the_job_writes_it_once_and_a_replay_gives_the_same() {
    let world = Memory::default();
    let first = world.scan(&members(SCAN_1, 30));
    carry_out(&world, &order(vec![first], day(10), &EstateStatus::default())).await.unwrap();
    let made = world.0.lock().unwrap().writes;
    assert_eq!(made, world.0.lock().unwrap().objects.len());
    let counts = status(&world).counts.unwrap();
    assert_eq!(counts.folded, 30);
    let second = world.scan(&members(SCAN_2, 30));
    carry_out(&world, &order(vec![second], day(11), &status(&world))).await.unwrap();
    assert_eq!(world.0.lock().unwrap().writes, made, "an unchanged estate");
    let third = world.scan(&members(SCAN_3, 31));
    carry_out(&world, &order(vec![third], day(12), &status(&world))).await.unwrap();
    // The one more has a finding of its own about its owners, which nobody tells.
    let names: Vec<String> = world.0.lock().unwrap().objects.keys().cloned().collect();
    let others = names.iter().filter(|name| !name.starts_with("unb-001")).count();
    assert_eq!(names.len() - others, 1);
    let grown = world.0.lock().unwrap().writes - made;
    assert_eq!(grown, 1 + others / 31, "one write for the group, and what else is said of the one more");
    crate::replay::proven(&world).await;
}

/// A finding that holds, of a subject with that name.
fn held(name: &str, severity: Severity, through: Option<&str>) -> Held {
    let mut spec = spec(RULE, "a", severity);
    (spec.subject.id, spec.subject.name) = (format!("id-{name}"), name.to_owned());
    let (depends_on, through) = (depends("a", &["groups"]), through.map(str::to_owned));
    let (tells, credentials) = (BTreeSet::new(), BTreeSet::new());
    let remembered = Remembered { depends_on, through, tells, credentials, more_credentials: false, spec };
    Held { remembered, basis: Basis::Fires, full: None }
}

/// Three behind a lead, after `change`; the names of those that are told.
fn told_after(change: impl FnOnce(&mut BTreeMap<String, Held>)) -> Vec<String> {
    let mut all: BTreeMap<String, Held> =
        ["a", "b", "c"].map(|name| (name.to_owned(), held(name, Severity::High, Some("lead")))).into();
    all.insert("lead".to_owned(), held("lead", Severity::High, None));
    change(&mut all);
    let mut merged = Merged { held: all, removed: BTreeMap::new() };
    let before = merged.clone();
    let mut folded = BTreeMap::new();
    fold_through(&mut merged, &mut folded, &Accepted::default()).unwrap();
    for (name, held) in merged.held.iter().filter(|(name, _)| *name != "lead") {
        assert_eq!(*held, before.held[name], "{name} keeps what it says and its days");
    }
    folded.into_keys().collect()
}

#[rstest]
#[case::as_it_is(|_: &mut BTreeMap<String, Held>| (), &["a", "b", "c"])]
#[case::a_graver_one(|all: &mut BTreeMap<String, Held>| all.get_mut("a").unwrap().remembered.spec.severity_rank = 5, &["b", "c"])]
#[case::a_surer_one(
    |all: &mut BTreeMap<String, Held>| {
        all.get_mut("lead").unwrap().remembered.spec.rule.claim = Claim::Narrower;
        all.get_mut("a").unwrap().remembered.spec.rule.claim = Claim::Narrower;
    },
    &["a"]
)]
#[case::one_that_is_gone(|all: &mut BTreeMap<String, Held>| all.get_mut("a").unwrap().remembered.spec.state = FindingState::Resolved, &[])]
#[case::a_lead_that_is_gone(|all: &mut BTreeMap<String, Held>| all.get_mut("lead").unwrap().remembered.spec.state = FindingState::Resolved, &[])]
#[case::a_lead_that_is_not_there(|all: &mut BTreeMap<String, Held>| drop(all.remove("lead")), &[])]
#[case::a_lead_that_holds_through_another(|all: &mut BTreeMap<String, Held>| all.get_mut("lead").unwrap().remembered.through = Some("x".into()), &[])]
#[case::unseen_ones(|all: &mut BTreeMap<String, Held>| all.get_mut("a").unwrap().basis = Basis::Unseen, &["a", "b", "c"])]
fn nothing_is_hidden_that_says_more(#[case] change: fn(&mut BTreeMap<String, Held>), #[case] expected: &[&str]) {
    assert_eq!(told_after(change), expected);
}

/// An estate as numbers choose: who is in which of three groups, and which of them hold the tenant.
fn made(scan: &str, in_groups: &[(bool, bool, bool)], hold: (bool, bool, bool)) -> SnapshotBuilder {
    let mut builder = builder("u", scan);
    for (group, holds) in [("g0", hold.0), ("g1", hold.1), ("g2", hold.2)] {
        let id = builder.node("groups", NodeKind::Group, group, &[(attr::NAME, text(group))]);
        if holds {
            holds_tenant(&mut builder, &id);
        }
    }
    for (at, (one, two, three)) in in_groups.iter().enumerate() {
        let groups: Vec<&str> = [("g0", one), ("g1", two), ("g2", three)]
            .into_iter()
            .filter(|(_, is)| **is)
            .map(|(group, _)| group)
            .collect();
        robot(&mut builder, &format!("r{at}"), &groups);
    }
    builder
}

fn at(as_of: Timestamp, before: Option<&Evaluation>, builder: &SnapshotBuilder, reversed: bool) -> Evaluation {
    let mut snapshot = builder.build();
    if reversed {
        snapshot.nodes.reverse();
        snapshot.edges.reverse();
    }
    let ledger = before.map_or_else(Ledger::default, |before| Ledger::read(&before.ledger.bytes).unwrap());
    let config = Config { threads: if reversed { 3 } else { 1 }, ..config(as_of) };
    evaluate(vec![input(snapshot)], ledger, &config).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes and goes: the same bytes for any order, nothing lost, nothing hidden, and nothing written that did
    /// not change.
    #[test]
    fn what_is_told_is_a_function_of_what_holds(
        first in prop::collection::vec(any::<(bool, bool, bool)>(), 0..9),
        second in prop::collection::vec(any::<(bool, bool, bool)>(), 0..9),
        hold in any::<(bool, bool, bool)>(),
    ) {
        let before = at(day(10), None, &made(SCAN_1, &first, hold), false);
        prop_assert_eq!(&at(day(10), None, &made(SCAN_1, &first, hold), true), &before);
        let same = at(day(11), Some(&before), &made(SCAN_2, &first, hold), true);
        prop_assert_eq!(&same.findings, &before.findings);
        let after = at(day(12), Some(&same), &made(SCAN_3, &second, hold), false);
        prop_assert_eq!(&at(day(12), Some(&same), &made(SCAN_3, &second, hold), true), &after);
        for evaluation in [&before, &after] {
            let ledger = Ledger::read(&evaluation.ledger.bytes).unwrap();
            prop_assert_eq!(ledger.findings.len(), evaluation.findings.len() + evaluation.folded.len());
            let mut told: BTreeMap<&str, usize> = BTreeMap::new();
            for folded in evaluation.folded.values() {
                let lead = &evaluation.findings[&folded.under];
                prop_assert!(lead.severity_rank >= folded.spec.severity_rank && lead.state == folded.spec.state);
                *told.entry(&folded.under).or_default() += 1;
            }
            for (name, spec) in &evaluation.findings {
                let says = spec.consists_of.len() + usize::try_from(spec.parts_omitted).unwrap();
                prop_assert_eq!(says, told.get(name.as_str()).copied().unwrap_or(0));
                prop_assert_eq!(&content_digest(spec).unwrap(), &spec.content_digest);
            }
        }
        // By itself an evaluation of the second estate comes to the same, but for days and for what is gone.
        let fresh = at(day(12), None, &made(SCAN_3, &second, hold), false);
        let under = |evaluation: &Evaluation| -> BTreeMap<String, String> {
            evaluation.folded.iter().map(|(name, folded)| (name.clone(), folded.under.clone())).collect()
        };
        prop_assert_eq!(under(&fresh), under(&after));
    }
}
