//! Drift over whole evaluations: what is compared with what, what a partial view may not do, and how a drift ends.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use sv0_api::conditions::EVALUATED;
use sv0_api::{EstateSpec, FindingState};
use sv0_engine::baseline::reduce;
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, NodeKind, attr};
use sv0_protocol::{EvaluateInput, EvaluateRequest};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder, identity, scan, weak_identities};
use crate::order::{carry_out, condition, order, status};
use crate::whole::{config, input};
use crate::world::Memory;

const SCAN_4: &str = "00000000000004-aaaaaaaa";

/// Adds a secret to the application of "billing bot", which is powerful.
fn new_key(builder: &mut SnapshotBuilder) {
    let attrs = [
        (attr::CREDENTIAL_TYPE, text("secret")),
        (attr::CREDENTIAL_USE, text("client_auth")),
        (attr::VALID_FROM, text("2026-01-01T00:00:00Z")),
        (attr::VALID_TO, text("2026-12-01T00:00:00Z")),
    ];
    let key = builder.node("applications", NodeKind::Credential, "app-billing bot/new", &attrs);
    let app = builder.id(NodeKind::Application, "app-billing bot");
    builder.edge("applications", &app, EdgeKind::HoldsCredential, &key);
}

pub(crate) fn changed(id: &str) -> SnapshotBuilder {
    let mut builder = scan(id);
    new_key(&mut builder);
    builder
}

/// Rule, subject and state of each drift finding.
fn drifts(world: &Memory) -> Vec<(String, String, String)> {
    let said = |spec: &Json, path: &str| spec.pointer(path).and_then(Json::as_str).unwrap_or_default().to_owned();
    let all = world.end_state();
    let drifts = all.iter().filter(|(name, ..)| name.starts_with("drift"));
    drifts.map(|(.., spec)| (said(spec, "/rule/id"), said(spec, "/subject/name"), said(spec, "/state"))).collect()
}

fn expected(state: &str) -> Vec<(String, String, String)> {
    vec![("DRIFT-003".to_owned(), "billing bot".to_owned(), state.to_owned())]
}

fn gap_reasons(world: &Memory) -> Vec<(String, String)> {
    let gaps = status(world).coverage_gaps.into_iter().filter(|gap| gap.state == "baseline");
    gaps.map(|gap| (gap.collection, gap.reason.unwrap_or_default())).collect()
}

async fn evaluate_on(world: &Memory, inputs: &[&EvaluateInput], n: u8, spec: &Json) {
    let inputs = inputs.iter().map(|input| (*input).clone()).collect();
    let order = EvaluateRequest { estate_spec: spec.clone(), ..order(inputs, day(n), &status(world)) };
    carry_out(world, &order).await.unwrap();
}

fn accepting(input: &EvaluateInput) -> Json {
    json!({ "baseline": [{
        "instance": input.instance,
        "snapshotId": input.snapshot_id,
        "snapshotDigest": input.snapshot_digest,
    }] })
}

/// A world in which the first scan is the baseline and the second shows a new key.
async fn drifted() -> (Memory, EvaluateInput) {
    let world = Memory::default();
    let first = world.scan(&scan(SCAN_1));
    evaluate_on(&world, &[&first], 10, &json!({})).await;
    assert_eq!(drifts(&world), [], "a first evaluation has nothing to compare with");
    assert_eq!(gap_reasons(&world), []);
    let second = world.scan(&changed(SCAN_2));
    evaluate_on(&world, &[&second], 11, &json!({})).await;
    (world, second)
}

#[tokio::test]
async fn a_planted_change_is_found_and_nothing_else() {
    let (world, second) = drifted().await;
    assert_eq!(drifts(&world), expected("Open"));
    let all = world.end_state();
    let (.., spec) = all.iter().find(|(name, ..)| name.starts_with("drift")).unwrap();
    assert_eq!(spec["firstObserved"], "2026-01-11T12:00:00Z");
    let told = spec.to_string();
    assert!(told.contains(&format!("baseline: snapshot {SCAN_1} of 1970-01-01")), "{told}");
    assert!(serde_json::to_vec(spec).unwrap().len() <= sv0_api::FINDING_SPEC_BYTES);
    let baseline = &status(&world).baselines[0];
    assert_eq!((baseline.snapshot_id.as_str(), baseline.accepted), (SCAN_1, false));
    assert_eq!(world.0.lock().unwrap().pins["u"], BTreeSet::from([SCAN_1.to_owned()]));
    // A day later, with the same snapshot or a new one that says the same, nothing is written.
    let writes = world.0.lock().unwrap().writes;
    evaluate_on(&world, &[&second], 12, &json!({})).await;
    let third = world.scan(&changed(SCAN_3));
    evaluate_on(&world, &[&third], 13, &json!({})).await;
    assert_eq!(drifts(&world), expected("Open"));
    assert_eq!(world.0.lock().unwrap().writes, writes);
}

#[tokio::test]
async fn a_difference_that_is_gone_is_resolved() {
    let (world, _) = drifted().await;
    let third = world.scan(&scan(SCAN_3));
    evaluate_on(&world, &[&third], 12, &json!({})).await;
    assert_eq!(drifts(&world), expected("Resolved"));
}

#[tokio::test]
async fn accepting_the_present_snapshot_resolves_without_a_scan() {
    let (world, second) = drifted().await;
    evaluate_on(&world, &[&second], 11, &accepting(&second)).await;
    assert_eq!(drifts(&world), expected("Resolved"));
    let baseline = &status(&world).baselines[0];
    assert_eq!((baseline.snapshot_id.as_str(), baseline.accepted), (SCAN_2, true));
    let pinned = [SCAN_1, SCAN_2].map(str::to_owned);
    assert_eq!(world.0.lock().unwrap().pins["u"], BTreeSet::from(pinned), "the first one can be gone back to");
    // Later scans are compared with what was accepted.
    let third = world.scan(&changed(SCAN_3));
    evaluate_on(&world, &[&third], 12, &accepting(&second)).await;
    assert_eq!(drifts(&world), expected("Resolved"));
    // Taking it back opens it again, with the day on which it was first seen.
    evaluate_on(&world, &[&third], 13, &json!({})).await;
    assert_eq!(drifts(&world), expected("Open"));
    let all = world.end_state();
    let (.., spec) = all.iter().find(|(name, ..)| name.starts_with("drift")).unwrap();
    assert_eq!(spec["firstObserved"], "2026-01-11T12:00:00Z");
}

/// Cartography #379, #596 and #2658: after a read that failed, or was refused in part, what had not come was deleted. Here it
/// would be resolved, and be drift when it came back.
#[tokio::test]
async fn a_view_that_cannot_be_compared_neither_adds_nor_resolves() {
    let lower = |mut builder: SnapshotBuilder| {
        builder.cover("applications", CoverageState::Partial);
        builder
    };
    let newer = |mut builder: SnapshotBuilder| {
        builder.header().collection_revision = 2;
        builder
    };
    for blind in [lower(scan(SCAN_3)), newer(scan(SCAN_3)), lower(changed(SCAN_3)), newer(changed(SCAN_3))] {
        let (world, _) = drifted().await;
        let before = world.end_state().into_iter().find(|(name, ..)| name.starts_with("drift"));
        let third = world.scan(&blind);
        evaluate_on(&world, &[&third], 12, &json!({})).await;
        let after = world.end_state().into_iter().find(|(name, ..)| name.starts_with("drift"));
        assert_eq!(before, after, "to the letter");
    }
    for blind in [lower(changed(SCAN_2)), newer(changed(SCAN_2))] {
        let world = Memory::default();
        let first = world.scan(&scan(SCAN_1));
        evaluate_on(&world, &[&first], 10, &json!({})).await;
        let second = world.scan(&blind);
        evaluate_on(&world, &[&second], 11, &json!({})).await;
        assert_eq!(drifts(&world), []);
    }
}

#[tokio::test]
async fn a_newer_revision_asks_for_a_new_baseline() {
    let (world, _) = drifted().await;
    let mut third = scan(SCAN_3);
    third.header().collection_revision = 2;
    let third = world.scan(&third);
    evaluate_on(&world, &[&third], 12, &json!({})).await;
    let reasons = gap_reasons(&world);
    assert!(reasons.contains(&("applications".to_owned(), "BaselineNotComparable".to_owned())), "{reasons:?}");
    evaluate_on(&world, &[&third], 12, &accepting(&third)).await;
    assert_eq!((gap_reasons(&world), drifts(&world)), (vec![], expected("Resolved")));
}

#[tokio::test]
async fn a_lost_baseline_claims_and_resolves_nothing_and_all_else_goes_on() {
    let (world, _) = drifted().await;
    world.0.lock().unwrap().manifests.remove(&("u".to_owned(), SCAN_1.to_owned()));
    let mut third = scan(SCAN_3);
    identity(&mut third, "new bot", Some(("2024-06-01T00:00:00Z", "2030-01-01T00:00:00Z")));
    let third = world.scan(&third);
    evaluate_on(&world, &[&third], 12, &json!({})).await;
    assert_eq!(drifts(&world), expected("Open"), "nothing says that it is gone");
    assert!(world.end_state().iter().any(|(.., spec)| spec["subject"]["name"] == "new bot"), "the rest is judged");
    assert_eq!(gap_reasons(&world), [(String::new(), "BaselineUnreadable".to_owned())]);
    let (_, _, message) = condition(&world, EVALUATED);
    assert!(message.contains("Drift of entra-u is not judged") && message.contains("spec.baseline"), "{message}");
    evaluate_on(&world, &[&third], 12, &accepting(&third)).await;
    assert_eq!((drifts(&world), gap_reasons(&world)), (expected("Resolved"), vec![]));
}

#[tokio::test]
async fn what_is_accepted_must_be_what_its_digest_says_and_not_newer() {
    let (world, second) = drifted().await;
    let mut forged = accepting(&second);
    forged["baseline"][0]["snapshotId"] = json!(SCAN_1);
    let third = world.scan(&changed(SCAN_3));
    evaluate_on(&world, &[&third], 12, &forged).await;
    assert_eq!(gap_reasons(&world), [(String::new(), "BaselineUnreadable".to_owned())]);
    let fourth = world.scan(&changed(SCAN_4));
    evaluate_on(&world, &[&third], 12, &accepting(&fourth)).await;
    assert_eq!(gap_reasons(&world), [(String::new(), "BaselineNewer".to_owned())]);
    assert_eq!(drifts(&world), expected("Open"));
    // An entry for an instance that is not there is nobody's.
    let mut other = accepting(&second);
    other["baseline"][0]["instance"] = json!("another");
    evaluate_on(&world, &[&third], 12, &other).await;
    assert_eq!((gap_reasons(&world), status(&world).baselines[0].accepted), (vec![], false));
}

#[tokio::test]
async fn an_incomplete_first_snapshot_is_no_baseline() {
    let world = Memory::default();
    let mut first = scan(SCAN_1);
    first.cover("directoryRoleAssignments", CoverageState::Partial);
    let first = world.scan(&first);
    evaluate_on(&world, &[&first], 10, &json!({})).await;
    assert_eq!(gap_reasons(&world), [(String::new(), "NoBaselineYet".to_owned())]);
    let second = world.scan(&scan(SCAN_2));
    evaluate_on(&world, &[&second], 11, &json!({})).await;
    assert_eq!((gap_reasons(&world), status(&world).baselines.len()), (vec![], 0), "it is the baseline from now on");
    let third = world.scan(&changed(SCAN_3));
    evaluate_on(&world, &[&third], 12, &json!({})).await;
    assert_eq!((drifts(&world), status(&world).baselines[0].snapshot_id.as_str()), (expected("Open"), SCAN_2));
}

/// Cartography #478 and #587: a run over one part of the estate deleted what the runs over the others had brought.
/// What one instance of a tenant saw may explain what another one sees: the tenant is compared as a whole.
#[tokio::test]
async fn a_tenant_of_two_instances_is_compared_with_both_baselines() {
    let world = Memory::default();
    let beside = |id: &str| builder("v", id);
    let inputs = [world.scan(&scan(SCAN_1)), world.scan(&beside(SCAN_1))];
    evaluate_on(&world, &[&inputs[0], &inputs[1]], 10, &json!({})).await;
    let inputs = [world.scan(&changed(SCAN_2)), world.scan(&beside(SCAN_2))];
    evaluate_on(&world, &[&inputs[1], &inputs[0]], 11, &json!({})).await;
    assert_eq!(drifts(&world), expected("Open"));
    world.0.lock().unwrap().manifests.remove(&("v".to_owned(), SCAN_1.to_owned()));
    let inputs = [world.scan(&scan(SCAN_3)), world.scan(&beside(SCAN_3))];
    evaluate_on(&world, &[&inputs[0], &inputs[1]], 12, &json!({})).await;
    assert_eq!(drifts(&world), expected("Open"));
    assert!(gap_reasons(&world).iter().all(|(_, reason)| reason == "BaselineUnreadable"));
}

#[tokio::test]
async fn a_vanished_instance_leaves_no_baseline_to_its_successor() {
    let (world, _) = drifted().await;
    let mut reborn = builder("w", SCAN_3);
    weak_identities(&mut reborn);
    new_key(&mut reborn);
    "entra-u".clone_into(&mut reborn.header().instance);
    let reborn = world.scan(&reborn);
    evaluate_on(&world, &[&reborn], 12, &json!({})).await;
    assert_eq!((drifts(&world), status(&world).baselines.len()), (vec![], 0));
    let old = json!({ "baseline": [{ "instance": "entra-u", "snapshotId": SCAN_1,
        "snapshotDigest": format!("sha256:{}", "0".repeat(64)) }] });
    evaluate_on(&world, &[&reborn], 13, &old).await;
    assert_eq!(gap_reasons(&world), [(String::new(), "BaselineUnreadable".to_owned())]);
}

/// Another tenant, with the same identities.
fn elsewhere(id: &str, more: bool) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::entra("v", "22222222-2222-2222-2222-222222222222");
    id.clone_into(&mut builder.header().scan_id);
    let tenant = builder.header().tenant.clone();
    builder.node("organization", NodeKind::System, &tenant, &[]);
    weak_identities(&mut builder);
    if more {
        new_key(&mut builder);
    }
    builder
}

#[test]
fn neither_the_order_of_snapshots_and_baselines_nor_threads_change_a_byte() {
    let first = vec![input(scan(SCAN_1).build()), input(elsewhere(SCAN_1, false).build())];
    let first = evaluate(first, Ledger::default(), &config(day(10))).unwrap();
    let baseline = |builder: SnapshotBuilder| reduce(vec![builder.build()], &EstateSpec::default()).unwrap().unwrap();
    let second = |swapped: bool, threads: usize| -> Evaluation {
        let mut inputs = vec![input(changed(SCAN_2).build()), input(elsewhere(SCAN_2, true).build())];
        let mut baselines = vec![baseline(scan(SCAN_1)), baseline(elsewhere(SCAN_1, false))];
        if swapped {
            inputs.reverse();
            baselines.reverse();
        }
        let ledger = Ledger::read(&first.ledger.bytes).unwrap();
        evaluate(Sources { inputs, baselines }, ledger, &Config { threads, ..config(day(11)) }).unwrap()
    };
    let one = second(false, 1);
    let drifts = one.findings.values().filter(|spec| spec.rule.id.starts_with("DRIFT"));
    assert_eq!(drifts.map(|spec| spec.state).collect::<Vec<_>>(), [FindingState::Open; 2]);
    for (swapped, threads) in [(true, 1), (false, 4), (true, 4)] {
        assert_eq!(second(swapped, threads), one);
    }
}
