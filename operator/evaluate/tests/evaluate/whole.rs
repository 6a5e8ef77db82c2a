//! Whole evaluations over snapshots that the real rules judge: determinism, what partial views may not do, time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use rstest::rstest;
use sv0_api::{EstateSpec, FindingSpec, FindingState};
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::gaps::{Gap, GapState};
use sv0_engine::history::InstanceMemory;
use sv0_engine::ledger::{Ledger, Remembered, RememberedInstance};
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Quarantine, Used};
use sv0_graph::testing::{ENTRA_COLLECTIONS, SnapshotBuilder};
use sv0_graph::{CoverageState, NodeKind, Snapshot};
use sv0_protocol::EvaluateInput;

use crate::common::{at, day};
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, TENANT, builder, remove, resize, scan};
use crate::generated::{Case, case};
use crate::support::as_of;

pub(crate) fn input(snapshot: Snapshot) -> Input {
    let header = &snapshot.header;
    let order = EvaluateInput {
        instance: header.instance.clone(),
        instance_uid: header.instance_uid.clone(),
        system: header.system.clone(),
        tenant: header.tenant.clone(),
        snapshot_id: header.scan_id.clone(),
        snapshot_digest: "sha256:0".into(),
    };
    Input { order, quarantined: None, used: Some(Used { digest: "sha256:0".into(), snapshot }) }
}

pub(crate) fn config(as_of: Timestamp) -> Config {
    Config {
        as_of,
        estate: EstateSpec::default(),
        waiting: vec![],
        exceptions: vec![],
        max_findings: 1000,
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        ledger: None,
        history_lost: false,
        threads: 1,
    }
}

pub(crate) fn first(builder: &SnapshotBuilder) -> Evaluation {
    evaluate(vec![input(builder.build())], Ledger::default(), &config(day(10))).unwrap()
}

pub(crate) fn next(before: &Evaluation, inputs: Vec<Input>, as_of: Timestamp) -> Evaluation {
    evaluate(inputs, Ledger::read(&before.ledger.bytes).unwrap(), &config(as_of)).unwrap()
}

/// Gaps other than that these tests give no baseline to compare with.
fn gaps(evaluation: &Evaluation) -> Vec<&Gap> {
    evaluation.gaps.iter().filter(|gap| gap.state != GapState::Baseline).collect()
}

fn states(evaluation: &Evaluation) -> Vec<(&str, FindingState)> {
    evaluation.findings.values().map(|spec| (spec.rule.id.as_str(), spec.state)).collect()
}

pub(crate) fn json(findings: &BTreeMap<String, FindingSpec>) -> String {
    serde_json::to_string(findings).unwrap()
}

#[test]
fn planted_weaknesses_are_found_and_fit_the_schema() {
    let evaluation = first(&scan(SCAN_1));
    let found: Vec<_> = states(&evaluation).into_iter().map(|(rule, _)| rule).collect();
    assert!(found.contains(&"CRED-002") && found.contains(&"ORPH-002"), "{found:?}");
    for (name, spec) in &evaluation.findings {
        assert!(name.starts_with(&spec.rule.id.to_lowercase()), "{name}");
        assert_eq!(spec.first_observed, Time(day(10)));
        assert_eq!(spec.content_digest.len(), 64);
        let size = serde_json::to_vec(spec).unwrap().len();
        assert!(size <= sv0_api::FINDING_SPEC_BYTES, "{name}: {size} bytes");
    }
    assert_eq!(evaluation.tally.open, evaluation.findings.len());
    assert!(evaluation.gaps.is_empty());
}

#[test]
fn a_day_later_nothing_is_written_unless_time_crossed_a_limit() {
    let before = first(&scan(SCAN_1));
    // The same estate, scanned again: other times and another id in the header only.
    let after = next(&before, vec![input(scan(SCAN_2).build())], day(11));
    assert_eq!(json(&after.findings), json(&before.findings));
    assert!(after.next_transition > day(11));
}

#[test]
fn a_credential_that_crosses_its_limit_by_time_alone_appears_without_a_scan() {
    // The builder's secret begins on the first of January 2025 in every estate; a shorter life makes the rule fire by
    // its age: the limit for rotation is ninety days.
    let mut young = builder("u", SCAN_1);
    crate::estate::identity(&mut young, "young", Some(("2026-01-01T00:00:00Z", "2026-06-30T00:00:00Z")));
    let before = evaluate(vec![input(young.build())], Ledger::default(), &config(day(10))).unwrap();
    assert!(!states(&before).iter().any(|(rule, _)| *rule == "CRED-003"), "{:?}", states(&before));
    let due = at("2026-04-01T00:00:00Z");
    let eve = next(&before, vec![input(young.build())], at("2026-03-31T12:00:00Z"));
    assert_eq!(json(&eve.findings), json(&before.findings));
    assert_eq!(eve.next_transition, due, "the next transition is the day it is due");
    let after = next(&eve, vec![input(young.build())], due);
    assert!(states(&after).contains(&("CRED-003", FindingState::Open)), "{:?}", states(&after));
}

#[test]
fn what_is_mended_is_resolved_by_a_complete_scan_and_reopens_with_its_first_day() {
    let before = first(&scan(SCAN_1));
    let mended = next(&before, vec![input(remove(SCAN_2).build())], day(11));
    assert!(states(&mended).iter().all(|(_, state)| *state == FindingState::Resolved), "{:?}", states(&mended));
    assert_eq!(mended.findings.len(), before.findings.len());
    assert!(mended.findings.values().all(|spec| spec.resolved_at == Some(Time(day(11)))));
    let again = next(&mended, vec![input(scan(SCAN_3).build())], day(12));
    assert_eq!(json(&again.findings), json(&before.findings));
}

/// Whatever one collection lacks, a finding that rests on it stays as it was.
#[rstest]
fn a_view_that_is_not_complete_resolves_nothing(
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let before = first(&scan(SCAN_1));
    let mut empty = remove(SCAN_2);
    for collection in ENTRA_COLLECTIONS {
        empty.cover(collection, state);
    }
    let after = next(&before, vec![input(empty.build())], day(11));
    assert_eq!(json(&after.findings), json(&before.findings));
    assert_eq!(after.tally.unseen, before.findings.len());
    assert_eq!(gaps(&after).len(), ENTRA_COLLECTIONS.len());
}

#[test]
fn a_collection_that_halves_resolves_nothing_until_a_second_scan_confirms() {
    let mut full = scan(SCAN_1);
    resize(&mut full, 100);
    let before = first(&full);
    let mut halved = remove(SCAN_2);
    resize(&mut halved, 50);
    let once = next(&before, vec![input(halved.build())], day(11));
    assert_eq!(json(&once.findings), json(&before.findings));
    assert!(gaps(&once).iter().all(|gap| gap.state == GapState::Shrunk) && !gaps(&once).is_empty());
    let still = next(&once, vec![input(halved.build())], day(12));
    assert_eq!(json(&still.findings), json(&before.findings), "the same scan confirms nothing");
    let mut confirming = remove(SCAN_3);
    resize(&mut confirming, 50);
    let twice = next(&still, vec![input(confirming.build())], day(13));
    assert!(states(&twice).iter().all(|(_, state)| *state == FindingState::Resolved), "{:?}", states(&twice));
    assert!(gaps(&twice).is_empty());
}

#[test]
fn findings_of_a_removed_instance_leave_and_those_of_a_waiting_one_stay() {
    let before = first(&scan(SCAN_1));
    let gone = next(&before, vec![], day(11));
    assert!(gone.findings.is_empty());
    assert_eq!(gone.tally.removed, BTreeMap::from([("SourceRemoved", before.findings.len())]));
    let waiting = Config { waiting: vec!["u".into()], ..config(day(11)) };
    let stays = evaluate::<Snapshot>(vec![], Ledger::read(&before.ledger.bytes).unwrap(), &waiting).unwrap();
    assert_eq!(json(&stays.findings), json(&before.findings));
    assert_eq!((stays.gaps[0].state.as_str(), stays.gaps[0].instance.as_str()), ("missing", "entra-u"));
}

#[test]
fn an_instance_of_which_nothing_can_be_read_keeps_its_findings_visibly() {
    let before = first(&scan(SCAN_1));
    let mut unreadable = input(scan(SCAN_2).build());
    unreadable.used = None;
    unreadable.quarantined = Some(Quarantine::Malformed);
    let after = next(&before, vec![unreadable], day(11));
    assert_eq!(json(&after.findings), json(&before.findings));
    assert_eq!(after.inputs[0].quarantined, Some("Malformed"));
    assert_eq!(after.gaps[0].reason.as_deref(), Some("Malformed"));
    // And what was remembered of it is still there when it can be read again.
    assert_eq!(
        Ledger::read(&after.ledger.bytes).unwrap().instances,
        Ledger::read(&before.ledger.bytes).unwrap().instances
    );
}

#[test]
fn the_most_severe_are_kept_and_the_rest_is_counted_and_packed() {
    let all = first(&scan(SCAN_1));
    assert!(all.findings.len() >= 3, "{:?}", states(&all));
    let cut = Config { max_findings: 2, ..config(day(10)) };
    let evaluation = evaluate(vec![input(scan(SCAN_1).build())], Ledger::default(), &cut).unwrap();
    assert_eq!((evaluation.findings.len(), evaluation.tally.truncated), (2, all.findings.len() - 2));
    let kept: Vec<i32> = evaluation.findings.values().map(|spec| spec.severity_rank).collect();
    let left: Vec<i32> = all
        .findings
        .iter()
        .filter(|(n, _)| !evaluation.findings.contains_key(*n))
        .map(|(_, s)| s.severity_rank)
        .collect();
    assert!(kept.iter().min() >= left.iter().max(), "{kept:?} {left:?}");
    assert_eq!(evaluation.tally.open, all.findings.len());
    let lines = pack_lines(&evaluation);
    assert_eq!(lines.len(), 2 + all.findings.len());
    assert_eq!(lines[1..].iter().filter(|line| line["kept"] == true).count(), 2);
    assert_eq!(Ledger::read(&evaluation.ledger.bytes).unwrap().findings.len(), all.findings.len());
}

pub(crate) fn pack_lines(evaluation: &Evaluation) -> Vec<serde_json::Value> {
    let text = zstd::decode_all(evaluation.pack.bytes.as_slice()).unwrap();
    String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_pack_names_every_input_and_holds_all_evidence() {
    let evaluation = first(&scan(SCAN_1));
    let lines = pack_lines(&evaluation);
    let header = &lines[0];
    assert_eq!(header["format"], "securityv0.pack/2");
    assert_eq!(header["config"]["asOf"], "2026-01-10T12:00:00Z");
    assert_eq!(header["snapshots"][0]["instanceUid"], "u");
    assert_eq!(header["snapshots"][0]["tenant"], TENANT);
    assert_eq!(header["nextLedger"], evaluation.ledger.digest.as_str());
    for key in ["digest", "referenceDataDigest"] {
        assert!(header["rulePack"][key].as_str().unwrap().starts_with("sha256:"), "{key}");
    }
    for line in &lines[1..lines.len() - 1] {
        let omitted = usize::try_from(line["spec"]["evidenceOmitted"].as_u64().unwrap_or(0)).unwrap();
        let shown = line["spec"]["evidence"].as_array().unwrap().len();
        assert_eq!(line["full"]["evidence"].as_array().unwrap().len(), shown + omitted);
    }
    assert_eq!(evaluation.pack.digest, sv0_graph::canonical::digest(&evaluation.pack.bytes));
}

#[test]
fn another_tenants_objects_are_dropped_visibly() {
    let mut lying = scan(SCAN_1);
    let before = first(&lying);
    let mut foreign = builder("u", SCAN_1);
    foreign.header().tenant = "22222222-2222-2222-2222-222222222222".into();
    crate::estate::weak_identities(&mut foreign);
    let rows = foreign.rows();
    let mut snapshot = lying.build();
    for row in rows {
        match row {
            sv0_graph::Row::Node(row) => snapshot.nodes.push(row),
            sv0_graph::Row::Edge(row) => snapshot.edges.push(row),
        }
    }
    let after = evaluate(vec![input(snapshot)], Ledger::default(), &config(day(10))).unwrap();
    assert_eq!(json(&after.findings), json(&before.findings));
    assert_eq!(after.gaps[0].reason.as_deref(), Some("ForeignAssertion"));
    assert_eq!(lying.header().tenant, TENANT);
}

#[test]
fn resolved_findings_leave_after_their_retention_and_the_next_transition_knows() {
    let before = first(&scan(SCAN_1));
    let mended = next(&before, vec![input(remove(SCAN_2).build())], day(11));
    let last = day(11) + SignedDuration::from_hours(30 * 24 - 1);
    let eve = next(&mended, vec![input(remove(SCAN_2).build())], last);
    assert_eq!(eve.next_transition, last + SignedDuration::from_hours(1));
    let after = next(&eve, vec![input(remove(SCAN_2).build())], eve.next_transition);
    assert!(after.findings.is_empty());
}

#[test]
fn the_estate_says_how_long_resolved_findings_stay() {
    let mut config = config(day(11));
    config.estate.retention.resolved_days = 2;
    let before = first(&scan(SCAN_1));
    let evaluate_at = |before: &Evaluation, as_of: Timestamp| {
        let config = Config { as_of, ..config.clone() };
        let inputs = vec![input(remove(SCAN_2).build())];
        evaluate(inputs, Ledger::read(&before.ledger.bytes).unwrap(), &config).unwrap()
    };
    let mended = evaluate_at(&before, day(11));
    let eve = evaluate_at(&mended, day(12) + SignedDuration::from_hours(23));
    assert_eq!(eve.findings.len(), before.findings.len());
    assert_eq!(eve.next_transition, day(13));
    assert!(evaluate_at(&eve, day(13)).findings.is_empty());
}

#[test]
fn what_is_older_than_what_was_evaluated_resolves_nothing() {
    let before = first(&scan(SCAN_2));
    let mut ledger = Ledger::read(&before.ledger.bytes).unwrap();
    let seen: &InstanceMemory = &ledger.instances["u"].seen;
    assert_eq!(seen.snapshot, SCAN_2);
    let older = evaluate(vec![input(remove(SCAN_1).build())], ledger.clone(), &config(day(11))).unwrap();
    assert_eq!(json(&older.findings), json(&before.findings));
    ledger.instances.insert(
        "u".into(),
        RememberedInstance { name: "entra-u".into(), seen: InstanceMemory::default(), baseline: None, activity: None },
    );
    let newer = evaluate(vec![input(remove(SCAN_1).build())], ledger, &config(day(11))).unwrap();
    assert!(states(&newer).iter().all(|(_, state)| *state == FindingState::Resolved));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rows shuffled, instances shuffled, one or four threads: the same bytes. Of an estate with a history: what it was
    /// like is what drift is measured from.
    #[test]
    fn evaluation_is_a_function(case in case(1..6), seed in any::<u64>(), turn in 0usize..3) {
        let estate = generated_policy(&case);
        let at = |as_of, threads| Config { estate: estate.clone(), threads, ..config(as_of) };
        let first = |threads| evaluate(vec![input(case.then().build())], Ledger::default(), &at(as_of(), threads)).unwrap();
        let before = first(1);
        prop_assert_eq!(&first(4), &before);
        let plain: Vec<Input> = case.today().iter().map(|builder| input(builder.build())).collect();
        let mut mixed = plain.clone();
        for input in &mut mixed {
            let snapshot = &mut input.used.as_mut().unwrap().snapshot;
            shuffle(&mut snapshot.nodes, seed);
            shuffle(&mut snapshot.edges, seed.rotate_left(7));
        }
        mixed.rotate_left(turn);
        let ledger = || Ledger::read(&before.ledger.bytes).unwrap();
        let sources = |inputs| Sources { inputs, baselines: case.baselines(vec![case.then().build()]) };
        let one = evaluate(sources(plain), ledger(), &at(as_of() + SignedDuration::from_hours(1), 1)).unwrap();
        let four = evaluate(sources(mixed), ledger(), &at(as_of() + SignedDuration::from_hours(1), 4)).unwrap();
        prop_assert_eq!(one, four);
    }

    /// Any incomplete collections, in any state, and any part of the rows gone: what is resolved rests on complete
    /// collections alone; and where all is gone, what rests on complete ones is resolved.
    #[test]
    fn partial_never_resolves(
        case in case(1..6),
        lacking in proptest::collection::btree_set(0..ENTRA_COLLECTIONS.len(), 0..4),
        elsewhere in any::<bool>(),
        state in 0usize..4,
        gone in any::<bool>(),
    ) {
        let states = [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped];
        let estate = generated_policy(&case);
        let at = |as_of| Config { estate: estate.clone(), ..config(as_of) };
        let sources = |inputs| Sources { inputs, baselines: case.baselines(vec![case.then().build()]) };
        let first = evaluate(vec![input(case.then().build())], Ledger::default(), &at(as_of())).unwrap();
        let whole = case.today().iter().map(|builder| input(builder.build())).collect();
        let ledger = Ledger::read(&first.ledger.bytes).unwrap();
        let before = evaluate(sources(whole), ledger, &at(as_of() + SignedDuration::from_hours(1))).unwrap();
        let mut lacking: Vec<&str> = lacking.into_iter().map(|at| ENTRA_COLLECTIONS[at]).collect();
        let mut today = case.today();
        for collection in &lacking {
            today[0].cover(collection, states[state]);
        }
        if elsewhere {
            lacking.push("functions");
            for other in &mut today[1..] {
                other.cover("functions", states[state]);
            }
        }
        let mut inputs: Vec<Input> = today.iter().map(|builder| input(builder.build())).collect();
        for input in &mut inputs {
            let snapshot = &mut input.used.as_mut().unwrap().snapshot;
            input.order.snapshot_id = SCAN_3.into();
            snapshot.header.scan_id = SCAN_3.into();
            let mut odd = 0;
            snapshot.nodes.retain(|row| row.kind == NodeKind::System || { odd += 1; !gone && odd % 3 > 0 });
            snapshot.edges.retain(|_| !gone);
        }
        let remembered = Ledger::read(&before.ledger.bytes).unwrap();
        let after = evaluate(sources(inputs), remembered.clone(), &at(as_of() + SignedDuration::from_hours(2))).unwrap();
        let told = after.findings.iter().chain(after.folded.iter().map(|(name, folded)| (name, &folded.spec)));
        for (name, spec) in told {
            let open = |held: &&Remembered| held.spec.state != FindingState::Resolved;
            let Some(held) = remembered.findings.get(name).filter(open) else { continue };
            // What drift is measured from stays as it was; only the present side can lack anything.
            let lacks = held.depends_on.iter().any(|one| lacking.contains(&one.collection.as_str()));
            prop_assert!(spec.state != FindingState::Resolved || !lacks, "{name} {:?}", spec.rule);
            prop_assert!(!gone || lacks || spec.state == FindingState::Resolved, "{name} {:?}", spec.rule);
        }
    }
}

/// The Estate's spec that says what the generated rules' configuration says.
pub(crate) fn generated_policy(case: &Case) -> EstateSpec {
    let all = |ids: &std::collections::BTreeSet<String>| ids.iter().cloned().collect::<Vec<_>>();
    let config = case.config();
    let environments = config.environments.iter().map(|(name, one)| sv0_api::Environment {
        name: name.clone(),
        production: one.production,
        tenants: all(&one.tenants),
        scopes: all(&one.scopes),
        objects: all(&one.objects),
        name_patterns: all(&one.name_patterns),
    });
    let purposes = config.declared_purposes.iter().map(|(identity, purpose)| sv0_api::DeclaredPurpose {
        identity: identity.clone(),
        systems: purpose.systems.as_ref().map(&all),
        domains: purpose.domains.as_ref().map(|_| Vec::new()),
    });
    let sensitive = config.sensitive_domains.iter().map(|(domain, containers)| sv0_api::SensitiveDomain {
        domain: serde_json::from_value(serde_json::json!(domain.as_str())).unwrap(),
        objects: all(&containers.objects),
        scopes: all(&containers.scopes),
    });
    EstateSpec {
        environments: environments.collect(),
        declared_purposes: purposes.collect(),
        sensitive_domains: sensitive.collect(),
        trusted_tenants: all(&config.trusted_tenants),
        ..EstateSpec::default()
    }
}

/// A fixed permutation for each seed (xorshift, Fisher and Yates).
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let j = usize::try_from(state % (i as u64 + 1)).unwrap();
        items.swap(i, j);
    }
}
