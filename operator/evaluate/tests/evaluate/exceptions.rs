//! Accepted risks: who accepts what, for how long, what stays, and what is told.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use sv0_api::conditions::{ACTIVE, EVALUATED, find};
use sv0_api::{ExceptionCounts, FindingException, FindingSpec, FindingState, Severity};
use sv0_engine::accept::{Exception, Outcome, accept};
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::merge::{Basis, Held, Merged};
use sv0_protocol::{EvaluateException, EvaluateExceptions};

use crate::common::{at, day, remembered, spec};
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, remove, scan};
use crate::order::{carry_out, condition, order, status};
use crate::whole::{config, first, input, json, pack_lines};
use crate::world::Memory;

/// Those that the API server shows, by name.
type Objects = BTreeMap<String, FindingException>;

/// Made on the first of January; `wanted` is its `spec.match`.
pub(crate) fn exception(name: &str, wanted: &serde_json::Value, expires: &str) -> Exception {
    Exception {
        name: name.into(),
        uid: format!("uid-{name}"),
        generation: 1,
        created_at: day(1),
        spec: serde_json::from_value(json!({
            "match": wanted, "owner": "identity-team@example.com", "reason": "It is known.", "expiresAt": expires
        }))
        .unwrap(),
    }
}

pub(crate) fn rule(id: &str) -> serde_json::Value {
    json!({ "rules": [id] })
}

pub(crate) const JULY: &str = "2026-07-01T00:00:00Z";

/// An evaluation of the planted weaknesses on the tenth of January.
fn with(exceptions: Vec<Exception>) -> Evaluation {
    evaluate_at(exceptions, day(10))
}

fn evaluate_at(exceptions: Vec<Exception>, as_of: Timestamp) -> Evaluation {
    let config = Config { exceptions, ..config(as_of) };
    evaluate(vec![input(scan(SCAN_1).build())], Ledger::default(), &config).unwrap()
}

/// As they would be without any exception.
fn opened(findings: &BTreeMap<String, FindingSpec>) -> BTreeMap<String, FindingSpec> {
    let mut findings = findings.clone();
    for spec in findings.values_mut().filter(|spec| spec.state == FindingState::Accepted) {
        spec.state = FindingState::Open;
        spec.acceptance = None;
    }
    findings
}

#[test]
fn a_matching_exception_accepts_and_says_who_and_until_when() {
    let plain = with(vec![]);
    let accepted = with(vec![exception("known", &rule("CRED-002"), JULY)]);
    let mut seen = 0;
    for (name, spec) in &accepted.findings {
        if spec.rule.id != "CRED-002" {
            assert_eq!(spec, &plain.findings[name]);
            continue;
        }
        seen += 1;
        assert_eq!(spec.state, FindingState::Accepted);
        let acceptance = spec.acceptance.as_ref().unwrap();
        assert_eq!((acceptance.exception.as_str(), acceptance.until.0), ("known", at(JULY)));
        assert_eq!(acceptance.owner, "identity-team@example.com");
        assert_eq!(spec.content_digest, plain.findings[name].content_digest, "the content is the same");
    }
    assert!(seen > 0);
    assert_eq!((accepted.tally.accepted, accepted.tally.open), (seen, plain.tally.open - seen));
    let by_rank: usize = accepted.tally.by_rank.values().sum();
    assert_eq!(by_rank, accepted.tally.open, "severities count what is open");
    assert!(!accepted.tally.by_rule.contains_key("CRED-002"));
    assert_eq!((accepted.exceptions[0].outcome, accepted.exceptions[0].matched), (Outcome::Active, seen));
}

#[test]
fn the_pack_keeps_all_evidence_and_marks_what_is_accepted() {
    let lines = pack_lines(&with(vec![exception("known", &rule("CRED-002"), JULY)]));
    let plain = pack_lines(&with(vec![]));
    assert_eq!(lines.len(), plain.len());
    let shown = &lines[0]["exceptions"][0];
    assert_eq!(
        (&shown["name"], &shown["uid"], &shown["outcome"]),
        (&json!("known"), &json!("uid-known"), &json!("Active"))
    );
    let given = &lines[0]["config"]["exceptions"][0];
    assert_eq!((&given["generation"], &given["spec"]["reason"]), (&json!(1), &json!("It is known.")));
    assert!(plain[0]["exceptions"].is_null());
    for (line, plain) in lines[1..].iter().zip(&plain[1..]) {
        assert_eq!((&line["name"], &line["full"]), (&plain["name"], &plain["full"]), "the evidence is untouched");
        let accepted = line["spec"]["state"] == "Accepted";
        assert_eq!(line["spec"]["rule"]["id"] == "CRED-002", accepted);
        let by = if accepted { json!({"exception": "known", "uid": "uid-known"}) } else { json!(null) };
        assert_eq!(line["acceptedBy"], by);
    }
}

#[test]
fn the_end_opens_again_without_a_scan_and_the_next_transition_knows() {
    let end = at("2026-01-10T20:00:00Z");
    let exceptions = vec![
        exception("known", &rule("CRED-002"), "2026-01-10T20:00:00.7Z"),
        exception("idle", &rule("NONE-1"), "2026-01-10T19:00:00Z"),
    ];
    let before = with(exceptions.clone());
    assert_eq!(before.next_transition, at("2026-01-10T19:00:00Z"), "an idle one changes its own status");
    let nearly = evaluate_at(exceptions.clone(), end - SignedDuration::from_secs(1));
    assert_eq!(nearly.next_transition, end);
    assert!(nearly.tally.accepted > 0);
    let after = evaluate_at(exceptions, end);
    assert_eq!(after.tally.accepted, 0);
    assert_eq!(json(&after.findings), json(&evaluate_at(vec![], end).findings));
    assert!(after.next_transition > end);
    let outcomes: Vec<_> = after.exceptions.iter().map(|note| (note.outcome, note.matched)).collect();
    assert_eq!(outcomes, [(Outcome::Expired, 0), (Outcome::Expired, 0)]);
}

#[test]
fn what_is_mended_is_resolved_and_not_accepted_and_comes_back_accepted() {
    let exceptions = vec![exception("known", &json!({"rules": ["CRED-002"]}), JULY)];
    let evaluate = |before: &Evaluation, builder: &sv0_graph::testing::SnapshotBuilder, as_of| {
        let config = Config { exceptions: exceptions.clone(), ..config(as_of) };
        evaluate(vec![input(builder.build())], Ledger::read(&before.ledger.bytes).unwrap(), &config).unwrap()
    };
    let before = with(exceptions.clone());
    let mended = evaluate(&before, &remove(SCAN_2), day(11));
    assert!(mended.findings.values().all(|spec| spec.state == FindingState::Resolved && spec.acceptance.is_none()));
    assert_eq!((mended.exceptions[0].outcome, mended.tally.accepted), (Outcome::Idle, 0));
    let again = evaluate(&mended, &scan(SCAN_3), day(12));
    assert_eq!(json(&again.findings), json(&before.findings));
}

/// Nothing of the estate is seen now: an acceptance must not outlive its exception in what is remembered.
#[test]
fn what_cannot_be_seen_is_accepted_and_opens_like_the_rest() {
    let before = with(vec![exception("known", &rule("CRED-002"), "2026-01-12T00:00:00Z")]);
    let blind = |exceptions: Vec<Exception>, as_of| {
        let config = Config { waiting: vec!["u".into()], exceptions, ..config(as_of) };
        evaluate(Vec::<sv0_engine::load::Input>::new(), Ledger::read(&before.ledger.bytes).unwrap(), &config).unwrap()
    };
    let still = blind(vec![exception("known", &rule("CRED-002"), "2026-01-12T00:00:00Z")], day(11));
    assert_eq!(json(&still.findings), json(&before.findings));
    let ended = blind(vec![exception("known", &rule("CRED-002"), "2026-01-12T00:00:00Z")], day(12));
    assert_eq!(json(&ended.findings), json(&with(vec![]).findings));
    assert_eq!(json(&blind(vec![], day(11)).findings), json(&with(vec![]).findings));
}

#[test]
fn the_number_kept_and_which_does_not_depend_on_acceptance() {
    let cut = |exceptions| {
        let config = Config { max_findings: 2, exceptions, ..config(day(10)) };
        evaluate(vec![input(scan(SCAN_1).build())], Ledger::default(), &config).unwrap()
    };
    let plain = cut(vec![]);
    let kept = &plain.findings.values().next().unwrap().rule.id;
    let accepted = cut(vec![exception("known", &rule(kept), JULY)]);
    assert!(accepted.findings.values().any(|spec| spec.state == FindingState::Accepted));
    assert_eq!(opened(&accepted.findings), plain.findings);
}

/// One finding, `f`, of rule CRED-002 and severity High.
fn one_finding(state: FindingState) -> Merged {
    let mut remembered = remembered("a", None);
    remembered.spec = spec("CRED-002", "a", Severity::High);
    remembered.spec.state = state;
    let held = Held { remembered, basis: Basis::Fires, full: None };
    Merged { held: BTreeMap::from([("f".to_owned(), held)]), removed: BTreeMap::new() }
}

const SUBJECT: &str = "entra:t:ServicePrincipal:entra:t:ServicePrincipal:1";

#[rstest]
#[case::rule(json!({"rules": ["ORPH-001", "CRED-002"]}), true)]
#[case::another_rule(json!({"rules": ["CRED-003"]}), false)]
#[case::name(json!({"findings": ["f"]}), true)]
#[case::another_name(json!({"findings": ["ff"]}), false)]
#[case::subject(json!({"subjects": [SUBJECT]}), true)]
#[case::the_same_id_in_another_system(json!({"subjects": ["github:t:ServicePrincipal:entra:t:ServicePrincipal:1"]}), false)]
#[case::the_bare_id(json!({"subjects": ["entra:t:ServicePrincipal:1"]}), false)]
#[case::severe_enough(json!({"rules": ["CRED-002"], "maxSeverity": "High"}), true)]
#[case::worse_than_accepted(json!({"rules": ["CRED-002"], "maxSeverity": "Medium"}), false)]
#[case::every_part_must_match(json!({"rules": ["CRED-002"], "findings": ["g"], "subjects": [SUBJECT]}), false)]
#[case::all_parts_match(json!({"rules": ["CRED-002"], "findings": ["f"], "subjects": [SUBJECT], "maxSeverity": "Critical"}), true)]
#[case::nothing_named(json!({}), false)]
#[case::only_a_severity(json!({"maxSeverity": "Critical"}), false)]
fn what_matches(#[case] wanted: serde_json::Value, #[case] expected: bool) {
    let mut merged = one_finding(FindingState::Open);
    let accepted = accept(&mut merged, &BTreeMap::new(), &[exception("e", &wanted, JULY)], day(10));
    assert_eq!(merged.held["f"].remembered.spec.state == FindingState::Accepted, expected);
    assert_eq!(accepted.by.get("f").map(String::as_str), expected.then_some("uid-e"));
    assert_eq!(accepted.notes[0].outcome, if expected { Outcome::Active } else { Outcome::Idle });
}

/// Of every combination of parts: what is found by what an exception names is what is found by looking at each.
#[test]
fn no_matching_exception_is_missed_or_counted_twice() {
    let choices = |key: &str, right: &str| {
        let lists = [json!([]), json!([right]), json!(["other", right, right]), json!(["other"])];
        lists.map(|list| (key.to_owned(), list))
    };
    let severities = [json!(null), json!("Medium"), json!("High")];
    let mut all = Vec::new();
    for finding in choices("findings", "f") {
        for rule in choices("rules", "CRED-002") {
            for subject in choices("subjects", SUBJECT) {
                for severity in &severities {
                    let mut wanted = serde_json::Map::from_iter([finding.clone(), rule.clone(), subject.clone()]);
                    wanted.insert("maxSeverity".to_owned(), severity.clone());
                    all.push(exception(&format!("e{:03}", all.len()), &wanted.into(), JULY));
                }
            }
        }
    }
    let plain = one_finding(FindingState::Open);
    let matches = |one: &Exception| one.spec.matching.matches("f", &plain.held["f"].remembered.spec);
    let expected: Vec<usize> = all.iter().map(|one| usize::from(matches(one))).collect();
    assert_eq!(expected.iter().sum::<usize>(), (27 - 1) * 2, "each part absent or right, but not all absent");
    let mut merged = plain.clone();
    let accepted = accept(&mut merged, &BTreeMap::new(), &all, day(10));
    let counts: Vec<usize> = accepted.notes.iter().map(|note| note.matched).collect();
    assert_eq!(counts, expected);
    let first = all.iter().find(|one| matches(one)).unwrap();
    assert_eq!(accepted.by, BTreeMap::from([("f".to_owned(), first.uid.clone())]));
}

#[test]
fn a_resolved_finding_is_not_accepted() {
    let mut merged = one_finding(FindingState::Resolved);
    let accepted = accept(&mut merged, &BTreeMap::new(), &[exception("e", &rule("CRED-002"), JULY)], day(10));
    assert_eq!(merged, one_finding(FindingState::Resolved));
    assert_eq!((accepted.notes[0].outcome, accepted.by.len()), (Outcome::Idle, 0));
}

#[test]
fn a_finding_that_another_one_tells_is_accepted_with_that_one() {
    let mut merged = one_finding(FindingState::Open);
    let told = merged.held["f"].clone();
    merged.held.insert("g".to_owned(), told);
    let folded = BTreeMap::from([("f".to_owned(), "g".to_owned())]);
    let all =
        [exception("part", &json!({"findings": ["f"]}), JULY), exception("whole", &json!({"findings": ["g"]}), JULY)];
    let accepted = accept(&mut merged, &folded, &all, day(10));
    assert_eq!(merged.held["f"], one_finding(FindingState::Open).held["f"]);
    assert_eq!(accepted.by, BTreeMap::from([("g".to_owned(), "uid-whole".to_owned())]));
    let outcomes: Vec<Outcome> = accepted.notes.iter().map(|note| note.outcome).collect();
    assert_eq!(outcomes, [Outcome::Idle, Outcome::Active]);
}

#[rstest]
#[case::the_last_to_end(&[("a", "2026-02-01T00:00:00Z"), ("b", "2026-03-01T00:00:00Z"), ("c", "2026-02-01T00:00:00Z")], "b")]
#[case::of_equals_the_first_name(&[("c", JULY), ("b", JULY), ("d", JULY)], "b")]
#[case::an_expired_one_does_not_count(&[("a", "2026-01-10T12:00:00Z"), ("b", "2026-01-11T00:00:00Z")], "b")]
#[case::nor_does_one_that_is_too_long(&[("a", "2027-01-02T12:00:01Z"), ("b", "2026-01-11T00:00:00Z")], "b")]
#[case::the_longest_that_is_allowed(&[("a", "2027-01-02T12:00:00Z"), ("b", "2026-01-11T00:00:00Z")], "a")]
fn of_several_the_one_that_ends_last_accepts(#[case] all: &[(&str, &str)], #[case] winner: &str) {
    let mut all: Vec<Exception> = all.iter().map(|(name, end)| exception(name, &rule("CRED-002"), end)).collect();
    for _ in 0..all.len() {
        all.rotate_left(1);
        let mut merged = one_finding(FindingState::Open);
        let accepted = accept(&mut merged, &BTreeMap::new(), &all, day(10));
        assert_eq!(accepted.by["f"], format!("uid-{winner}"));
        for note in &accepted.notes {
            let in_force = matches!(note.outcome, Outcome::Active);
            assert_eq!(note.matched, usize::from(in_force), "{}", note.exception.name);
        }
    }
}

#[test]
fn the_longest_acceptance_takes_no_more_than_is_kept_free() {
    let mut merged = one_finding(FindingState::Open);
    let before = serde_json::to_vec(&merged.held["f"].remembered.spec).unwrap().len();
    let mut long = exception(&"n".repeat(63), &rule("CRED-002"), JULY);
    for owner in ["o".repeat(128), "é".repeat(128), "平".repeat(128), "😀".repeat(128)] {
        long.spec.owner = owner;
        merged.held.get_mut("f").unwrap().remembered.spec.state = FindingState::Open;
        accept(&mut merged, &BTreeMap::new(), std::slice::from_ref(&long), day(10));
        let spec = &merged.held["f"].remembered.spec;
        let grown = serde_json::to_vec(spec).unwrap().len() - before;
        assert!(grown <= sv0_api::ACCEPTANCE_BYTES, "{grown} bytes");
        let owner = &spec.acceptance.as_ref().unwrap().owner;
        assert!(owner.ends_with('…') && owner.len() > 50, "{owner}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any exceptions: only states differ, and without them every byte is as before.
    #[test]
    fn an_exception_changes_nothing_but_the_state(
        picks in proptest::collection::vec((0usize..12, 0usize..6, 0i64..40, any::<bool>()), 0..6),
    ) {
        let plain = first(&scan(SCAN_1));
        let names: Vec<&String> = plain.findings.keys().collect();
        let severities = ["Info", "Low", "Medium", "High", "Critical"];
        let mut exceptions: Vec<Exception> = picks
            .iter()
            .enumerate()
            .map(|(n, (finding, severity, days, by_rule))| {
                let name = names[finding % names.len()];
                let spec = &plain.findings[name];
                let mut wanted = if *by_rule { rule(&spec.rule.id) } else { json!({"findings": [name]}) };
                if let Some(most) = severities.get(*severity) {
                    wanted["maxSeverity"] = json!(most);
                }
                let end = day(1) + SignedDuration::from_hours(24 * days);
                exception(&format!("e{n}"), &wanted, &end.to_string())
            })
            .collect();
        let one = with(exceptions.clone());
        exceptions.reverse();
        prop_assert_eq!(&one, &with(exceptions), "their order does not matter");
        prop_assert_eq!(json(&opened(&one.findings)), json(&plain.findings));
        prop_assert_eq!(&one.ledger, &plain.ledger, "nothing is remembered of them");
        prop_assert_eq!(&one.gaps, &plain.gaps);
        prop_assert_eq!(one.tally.open + one.tally.accepted, plain.tally.open);
        let config = config(day(11));
        let after = evaluate(vec![input(scan(SCAN_1).build())], Ledger::read(&one.ledger.bytes).unwrap(), &config).unwrap();
        let never = evaluate(vec![input(scan(SCAN_1).build())], Ledger::read(&plain.ledger.bytes).unwrap(), &config).unwrap();
        prop_assert_eq!(after, never, "removing them restores the same bytes");
    }
}

/// The object as the API server shows it.
fn object(exception: &Exception) -> FindingException {
    serde_json::from_value(json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "FindingException",
        "metadata": {
            "name": exception.name, "namespace": "team-a", "uid": exception.uid, "generation": exception.generation,
            "resourceVersion": "1", "creationTimestamp": exception.created_at.to_string(),
        },
        "spec": exception.spec,
    }))
    .unwrap()
}

/// A world with these exceptions, and the part of the order that speaks of them.
pub(crate) fn world(exceptions: &[Exception]) -> (Memory, EvaluateExceptions) {
    let world = Memory::default();
    let ordered = EvaluateExceptions {
        digest: "sha256:set".into(),
        considered: exceptions
            .iter()
            .map(|one| EvaluateException { name: one.name.clone(), uid: one.uid.clone(), generation: one.generation })
            .collect(),
        ..EvaluateExceptions::default()
    };
    let objects = exceptions.iter().map(|one| (one.name.clone(), object(one))).collect();
    world.0.lock().unwrap().exceptions = objects;
    (world, ordered)
}

async fn evaluated(world: &Memory, exceptions: &EvaluateExceptions, as_of: Timestamp) {
    let input = world.scan(&scan(SCAN_1));
    let mut order = order(vec![input], as_of, &status(world));
    order.exceptions = exceptions.clone();
    carry_out(world, &order).await.unwrap();
}

/// Status, reason and message of `Active`, the number of matches, and the day of the last one.
fn told(world: &Memory, name: &str) -> Option<(String, String, String, i32, Option<Timestamp>)> {
    let world = world.0.lock().unwrap();
    let status = world.exceptions[name].status.clone()?;
    let active = find(&status.conditions, ACTIVE).unwrap();
    assert_eq!(status.observed_generation, Some(1));
    Some((
        active.status.clone(),
        active.reason.clone(),
        active.message.clone(),
        status.matched_findings,
        status.last_matched_at.map(|at| at.0),
    ))
}

fn accepted(world: &Memory) -> usize {
    world.end_state().iter().filter(|(.., spec)| spec["state"] == "Accepted").count()
}

#[tokio::test]
async fn every_exception_says_how_it_stands_and_the_estate_counts_them() {
    let all = [
        exception("active", &rule("CRED-002"), JULY),
        exception("expired", &rule("CRED-002"), "2026-01-02T00:00:00Z"),
        exception("idle", &rule("NONE-1"), JULY),
        exception("too-long", &rule("CRED-002"), "2029-01-01T00:00:00Z"),
    ];
    let (world, mut ordered) = world(&all);
    let beyond = exception("beyond", &rule("ORPH-002"), JULY);
    world.0.lock().unwrap().exceptions.insert("beyond".into(), object(&beyond));
    world.0.lock().unwrap().exceptions.insert("new".into(), object(&exception("new", &rule("ORPH-002"), JULY)));
    ordered.left_out = vec![beyond.uid];
    ordered.left_out_total = 1;
    evaluated(&world, &ordered, day(10)).await;

    let active = told(&world, "active").unwrap();
    assert_eq!((active.0.as_str(), active.1.as_str(), active.4), ("True", "Active", Some(day(10))));
    assert!(active.3 > 0 && active.2.contains("until 2026-07-01T00:00:00Z"), "{active:?}");
    for (name, reason, sentence) in [
        ("expired", "Expired", "Expired at 2026-01-02T00:00:00Z"),
        ("idle", "Idle", "compare spec.match"),
        ("too-long", "TooLong", "Set it to 2027-01-02T12:00:00Z or earlier"),
        ("beyond", "LimitReached", "the 200 oldest"),
    ] {
        let told = told(&world, name).unwrap();
        assert_eq!((told.0.as_str(), told.1.as_str(), told.3, told.4), ("False", reason, 0, None), "{name}");
        assert!(told.2.contains(sentence), "{name}: {}", told.2);
    }
    assert_eq!(told(&world, "new"), None, "one that came after the order waits for the next");
    let counts = status(&world).exceptions.unwrap();
    let expected =
        ExceptionCounts { digest: "sha256:set".into(), active: 1, idle: 1, expired: 1, too_long: 1, left_out: 1 };
    assert_eq!(counts, expected);
    assert_eq!(status(&world).counts.unwrap().by_state.accepted, active.3);
    let message = condition(&world, EVALUATED).2;
    assert!(message.contains("accepted") && message.contains("1 idle, 1 expired, 1 too long, 1 left out"), "{message}");
    let kinds = world.0.lock().unwrap().kinds.clone();
    assert_eq!(kinds, ["pack", "ledger", "finding", "exception", "status"], "the Estate's status comes last");
    for (_, labels, spec) in world.end_state() {
        assert_eq!(labels["securityv0.com/state"], spec["state"].as_str().unwrap());
    }
}

#[tokio::test]
async fn without_exceptions_none_is_asked_for_and_none_is_counted() {
    let (world, _) = world(&[]);
    evaluated(&world, &EvaluateExceptions::default(), day(10)).await;
    assert_eq!(status(&world).exceptions, None);
    assert_eq!(world.0.lock().unwrap().exception_reads, 0);
}

#[tokio::test]
async fn the_last_match_stays_when_nothing_matches_any_more() {
    let (world, ordered) = world(&[exception("known", &rule("CRED-002"), "2026-01-12T00:00:00Z")]);
    evaluated(&world, &ordered, day(10)).await;
    evaluated(&world, &ordered, day(11)).await;
    assert_eq!(told(&world, "known").unwrap().4, Some(day(11)));
    evaluated(&world, &ordered, day(12)).await;
    let ended = told(&world, "known").unwrap();
    assert_eq!((ended.1.as_str(), ended.3, ended.4), ("Expired", 0, Some(day(11))));
    assert_eq!(accepted(&world), 0);
    // Nothing changes any more, so nothing is written any more.
    let version = world.0.lock().unwrap().exceptions["known"].metadata.resource_version.clone();
    evaluated(&world, &ordered, day(13)).await;
    assert_eq!(world.0.lock().unwrap().exceptions["known"].metadata.resource_version, version);
}

/// A manager that was taken over may write any order, and no FindingException. Neither may a run that was delayed use what
/// says something else by now.
#[rstest]
#[case::made_up(|objects: &mut Objects| objects.clear())]
#[case::made_again(|objects: &mut Objects| known(objects).metadata.uid = Some("another".into()))]
#[case::changed_since(|objects: &mut Objects| known(objects).metadata.generation = Some(2))]
#[case::renamed(|objects: &mut Objects| known(objects).metadata.name = Some("other".into()))]
#[case::being_deleted(|objects: &mut Objects| known(objects).metadata.deletion_timestamp = Some(Time(day(2))))]
#[tokio::test]
async fn an_ordered_exception_that_the_api_server_does_not_show_accepts_nothing(#[case] differ: fn(&mut Objects)) {
    let (world, ordered) = world(&[exception("known", &rule("CRED-002"), JULY)]);
    differ(&mut world.0.lock().unwrap().exceptions);
    evaluated(&world, &ordered, day(10)).await;
    assert_eq!(accepted(&world), 0);
    let objects = world.0.lock().unwrap().exceptions.clone();
    assert!(objects.values().all(|object| object.status.is_none()), "its status waits for its own evaluation");
}

fn known(objects: &mut Objects) -> &mut FindingException {
    objects.get_mut("known").unwrap()
}

#[rstest]
#[case::relabelled(|objects: &mut Objects| known(objects).metadata.resource_version = Some("relabelled".into()), true)]
#[case::changed(|objects: &mut Objects| {
    known(objects).metadata.resource_version = Some("changed".into());
    known(objects).metadata.generation = Some(2);
}, false)]
#[case::deleted(|objects: &mut Objects| objects.clear(), false)]
#[tokio::test]
async fn a_status_that_is_overtaken_is_written_again_or_left_to_the_next(
    #[case] meddler: fn(&mut Objects),
    #[case] written: bool,
) {
    let (world, ordered) = world(&[exception("known", &rule("CRED-002"), JULY)]);
    world.0.lock().unwrap().exception_meddler = Some(meddler);
    evaluated(&world, &ordered, day(10)).await;
    let objects = world.0.lock().unwrap().exceptions.clone();
    assert_eq!(objects.get("known").is_some_and(|object| object.status.is_some()), written);
}

/// Killed at any write, the same order ends the same.
#[tokio::test]
async fn a_run_that_is_killed_anywhere_is_completed_by_the_same_order() {
    let exceptions = [exception("known", &rule("CRED-002"), JULY), exception("idle", &rule("NONE-1"), JULY)];
    let (whole, ordered) = world(&exceptions);
    evaluated(&whole, &ordered, day(10)).await;
    let mut killed = 0;
    for fuse in 0.. {
        let (world, ordered) = world(&exceptions);
        let mut order = order(vec![world.scan(&scan(SCAN_1))], day(10), &status(&world));
        order.exceptions = ordered;
        world.0.lock().unwrap().fuse = Some(fuse);
        if carry_out(&world, &order).await.is_ok() {
            break;
        }
        killed += 1;
        world.0.lock().unwrap().fuse = None;
        carry_out(&world, &order).await.unwrap();
        assert_eq!(world.end_state(), whole.end_state());
        for name in ["known", "idle"] {
            assert_eq!(told(&world, name), told(&whole, name));
        }
    }
    assert!(killed >= 6, "{killed} places to die at");
}
