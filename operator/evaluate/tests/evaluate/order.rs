//! From an order to the end state: which writes happen, what a failure leaves behind, and that a run which is killed
//! at any write is completed by running the same order again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rstest::rstest;
use serde_json::json;
use sv0_api::EstateStatus;
use sv0_api::conditions::{EVALUATED, FINDINGS_TRUNCATED, find};
use sv0_engine::ledger::LedgerError;
use sv0_engine::load::FetchError;
use sv0_evaluate::apply::Pace;
use sv0_evaluate::report::{EvaluateReport, RunError};
use sv0_evaluate::run::run;
use sv0_evaluate::sink::SinkError;
use sv0_protocol::names::exit;
use sv0_protocol::{EvaluateExceptions, EvaluateInput, EvaluateRequest, Reason, StoreAccess};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, remove, scan};
use crate::world::Memory;

pub(crate) fn order(inputs: Vec<EvaluateInput>, as_of: Timestamp, status: &EstateStatus) -> EvaluateRequest {
    EvaluateRequest {
        namespace: "team-a".into(),
        as_of,
        inputs,
        waiting: vec![],
        ledger: status.ledger.clone(),
        estate_spec: json!({}),
        estate_generation: 3,
        max_findings: 1000,
        max_snapshot_bytes: None,
        exceptions: EvaluateExceptions::default(),
        store: StoreAccess { url: "https://store".into(), ca_pem: String::new() },
    }
}

pub(crate) async fn carry_out(world: &Memory, order: &EvaluateRequest) -> Result<EvaluateReport, RunError> {
    run(order, world, world, &Pace::unbounded(), 2).await
}

pub(crate) fn status(world: &Memory) -> EstateStatus {
    world.0.lock().unwrap().estate.clone()
}

pub(crate) fn condition(world: &Memory, type_: &str) -> (String, String, String) {
    let status = status(world);
    let condition = find(&status.conditions, type_).unwrap();
    (condition.status.clone(), condition.reason.clone(), condition.message.clone())
}

/// A world with one evaluated scan.
async fn evaluated() -> Memory {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    carry_out(&world, &order(vec![input], day(10), &EstateStatus::default())).await.unwrap();
    world
}

#[tokio::test]
async fn a_first_evaluation_leaves_findings_status_ledger_and_pack() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let report = carry_out(&world, &order(vec![input], day(10), &EstateStatus::default())).await.unwrap();
    assert!(report.ok && report.findings > 0 && report.written == report.findings, "{report:?}");
    let status = status(&world);
    let (ledger, pack) = (status.ledger.clone().unwrap(), status.pack_digest.clone().unwrap());
    {
        let world = world.0.lock().unwrap();
        assert!(world.ledgers.contains_key(&ledger) && world.packs.contains_key(&pack));
        assert_eq!(world.kinds, ["pack", "ledger", "finding", "status"], "the status names what is stored already");
    }
    assert_eq!((status.observed_generation, status.as_of.unwrap().0), (Some(3), day(10)));
    assert_eq!(status.inputs[0].snapshot_id, SCAN_1);
    assert_eq!(status.inputs[0].quarantined, None);
    assert_eq!(status.rule_pack.as_deref(), Some(sv0_protocol::RULE_PACK), "what the manager compares");
    let open = u64::try_from(status.counts.unwrap().by_state.open).unwrap();
    assert_eq!(open, report.findings);
    assert_eq!(condition(&world, EVALUATED).1, "Complete");
    assert_eq!(condition(&world, FINDINGS_TRUNCATED).0, "False");
    for (_, labels, spec) in world.end_state() {
        assert_eq!(labels["securityv0.com/rule"], spec["rule"]["id"].as_str().unwrap().to_lowercase());
        assert_eq!(labels["securityv0.com/severity"], spec["severity"].as_str().unwrap());
        assert_eq!(labels["securityv0.com/family"], spec["family"].as_str().unwrap());
        assert_eq!(labels["securityv0.com/state"], "Open");
        assert_eq!(labels["securityv0.com/system"], "entra");
    }
}

#[tokio::test]
async fn an_unchanged_estate_a_day_later_costs_no_write_on_findings() {
    let world = evaluated().await;
    let before = (world.end_state(), world.0.lock().unwrap().writes);
    let input = world.scan(&scan(SCAN_2));
    let report = carry_out(&world, &order(vec![input], day(11), &status(&world))).await.unwrap();
    assert_eq!(report.written, 0);
    assert_eq!((world.end_state(), world.0.lock().unwrap().writes), before);
    assert_eq!(status(&world).as_of.unwrap().0, day(11));
}

#[tokio::test]
async fn the_same_order_again_changes_nothing() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let order = order(vec![input], day(10), &EstateStatus::default());
    carry_out(&world, &order).await.unwrap();
    let before = (world.end_state(), status(&world));
    assert_eq!(carry_out(&world, &order).await.unwrap().written, 0);
    assert_eq!((world.end_state(), status(&world)), before);
    let world = world.0.lock().unwrap();
    assert_eq!((world.ledgers.len(), world.packs.len()), (1, 1));
}

/// Creates, replaces and deletes in one run, cut off after each write in turn: pack, ledger, findings, status.
#[tokio::test]
async fn a_run_killed_at_any_write_is_completed_by_the_next() {
    let prepare = || async {
        let world = evaluated().await;
        let mut next = scan(SCAN_2);
        crate::estate::identity(&mut next, "new bot", Some(("2024-06-01T00:00:00Z", "2030-01-01T00:00:00Z")));
        let input = world.scan(&next);
        {
            let mut world = world.0.lock().unwrap();
            let name = world.objects.keys().next().unwrap().clone();
            let mut stray = world.objects.remove(&name).unwrap();
            stray.name = "nobody-asked-for-this".into();
            world.objects.insert(stray.name.clone(), stray);
            world.objects.values_mut().last().unwrap().spec = json!({ "edited": "by hand" });
        }
        let order = order(vec![input], day(11), &status(&world));
        (world, order)
    };
    let (undisturbed, order) = prepare().await;
    let report = carry_out(&undisturbed, &order).await.unwrap();
    let total = usize::try_from(report.written).unwrap() + 3;
    assert!(total >= 7, "pack, ledger, at least four findings, status: {total}");
    for fuse in 0..total {
        let (world, order) = prepare().await;
        world.0.lock().unwrap().fuse = Some(fuse);
        assert!(carry_out(&world, &order).await.is_err(), "after {fuse} writes");
        world.0.lock().unwrap().fuse = None;
        carry_out(&world, &order).await.unwrap();
        assert_eq!(world.end_state(), undisturbed.end_state(), "after {fuse} writes");
        assert_eq!(status(&world), status(&undisturbed), "after {fuse} writes");
        let (world, other) = (world.0.lock().unwrap(), undisturbed.0.lock().unwrap());
        assert_eq!((&world.ledgers, &world.packs), (&other.ledgers, &other.packs), "after {fuse} writes");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_findings_and_says_so() {
    let world = evaluated().await;
    let before = world.end_state();
    let input = world.scan(&remove(SCAN_2));
    let order = order(vec![input], day(11), &status(&world));
    world.0.lock().unwrap().store_down = true;
    let error = carry_out(&world, &order).await.unwrap_err();
    assert_eq!(error.verdict(), (Reason::StoreUnavailable, exit::RETRY));
    assert_eq!(world.end_state(), before);
    let (state, reason, message) = condition(&world, EVALUATED);
    assert_eq!((state.as_str(), reason.as_str()), ("False", "StoreUnavailable"));
    assert!(message.contains("the last finished evaluation"), "{message}");
    assert_eq!(status(&world).as_of.unwrap().0, day(10), "what the last good one said stays");
    world.0.lock().unwrap().store_down = false;
    carry_out(&world, &order).await.unwrap();
    assert_eq!(condition(&world, EVALUATED).0, "True");
}

#[tokio::test]
async fn a_damaged_snapshot_is_visible_and_the_order_counts_as_dealt_with() {
    let world = evaluated().await;
    let before = world.end_state();
    let mut next = remove(SCAN_2);
    next.node("applications", sv0_graph::NodeKind::Application, "only here", &[]);
    let input = world.scan(&next);
    world.0.lock().unwrap().manifests.remove(&("u".to_owned(), SCAN_2.to_owned()));
    carry_out(&world, &order(vec![input.clone()], day(11), &status(&world))).await.unwrap();
    assert_eq!(world.end_state(), before, "the last good snapshot was evaluated");
    let noted = &status(&world).inputs[0];
    assert_eq!((&noted.snapshot_id, &noted.snapshot_digest), (&input.snapshot_id, &input.snapshot_digest));
    assert_eq!(noted.quarantined.as_deref(), Some(format!("Damaged: evaluated with {SCAN_1} instead").as_str()));
    let (state, reason, message) = condition(&world, EVALUATED);
    assert_eq!((state.as_str(), reason.as_str()), ("True", "SnapshotQuarantined"));
    assert!(message.contains("entra-u"), "{message}");
    assert_eq!(status(&world).coverage_gaps[0].state, "quarantined");
}

#[tokio::test]
async fn without_its_ledger_an_evaluation_starts_afresh_only_when_everything_can_be_seen() {
    let world = evaluated().await;
    let before = world.end_state();
    world.0.lock().unwrap().ledgers.clear();
    let input = world.scan(&scan(SCAN_2));
    let blind =
        EvaluateRequest { waiting: vec!["other".into()], ..order(vec![input.clone()], day(11), &status(&world)) };
    let error = carry_out(&world, &blind).await.unwrap_err();
    assert!(matches!(error, RunError::HistoryLost));
    assert_eq!(world.end_state(), before);
    // Whoever restores the ledger needs what it compared with.
    assert_eq!(world.0.lock().unwrap().pins["u"], BTreeSet::from([SCAN_1.to_owned()]));
    carry_out(&world, &order(vec![input], day(11), &status(&world))).await.unwrap();
    assert_eq!(world.0.lock().unwrap().pins["u"], BTreeSet::from([SCAN_2.to_owned()]));
    assert_eq!(condition(&world, EVALUATED).1, "HistoryLost");
    assert!(world.end_state().iter().all(|(.., spec)| spec["firstObserved"] == "2026-01-11T12:00:00Z"));
}

#[tokio::test]
async fn what_does_not_fit_is_counted_on_the_estate() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let order = EvaluateRequest { max_findings: 1, ..order(vec![input], day(10), &EstateStatus::default()) };
    carry_out(&world, &order).await.unwrap();
    assert_eq!(world.end_state().len(), 1);
    assert_eq!(condition(&world, FINDINGS_TRUNCATED).0, "True");
    assert!(status(&world).counts.unwrap().truncated >= 2);
}

#[tokio::test]
async fn limits_come_from_the_order_and_not_from_the_cluster() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let mut order = order(vec![input], day(10), &EstateStatus::default());
    carry_out(&world, &order).await.unwrap();
    let rules = |world: &Memory| -> Vec<String> {
        world.end_state().iter().map(|(.., spec)| spec["rule"]["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(rules(&world).contains(&"CRED-003".to_owned()), "{:?}", rules(&world));
    order.estate_spec = serde_json::Value::Null;
    assert_eq!(carry_out(&world, &order).await.unwrap().written, 0, "no spec is the default spec");
    order.estate_spec = json!({ "thresholds": "many" });
    assert_eq!(carry_out(&world, &order).await.unwrap_err().verdict().1, exit::REFUSED);
    order.estate_spec = json!({ "thresholds": { "rotateDays": 3650 } });
    let other = Memory::default();
    other.scan(&scan(SCAN_1));
    carry_out(&other, &order).await.unwrap();
    assert!(!rules(&other).contains(&"CRED-003".to_owned()), "{:?}", rules(&other));
}

#[rstest]
#[case(RunError::Order("line 1".into()), Reason::InvalidConfiguration, exit::REFUSED)]
#[case(RunError::EstateSpec, Reason::InvalidConfiguration, exit::REFUSED)]
#[case(RunError::Store(FetchError::Unavailable("x".into())), Reason::StoreUnavailable, exit::RETRY)]
#[case(RunError::Store(FetchError::Full), Reason::StoreFull, exit::REFUSED)]
#[case(RunError::Ledger(LedgerError::Format), Reason::InvalidConfiguration, exit::REFUSED)]
#[case(RunError::HistoryLost, Reason::StoreUnavailable, exit::RETRY)]
#[case(RunError::Cluster(SinkError::Unreachable), Reason::InternalError, exit::RETRY)]
#[case(RunError::Cluster(SinkError::Refused(403)), Reason::InvalidConfiguration, exit::REFUSED)]
#[case(RunError::Cluster(SinkError::Refused(422)), Reason::InternalError, exit::DEFECT)]
#[case(RunError::Cluster(SinkError::NotFound), Reason::InvalidConfiguration, exit::REFUSED)]
#[case(RunError::Worker, Reason::InternalError, exit::DEFECT)]
#[case(RunError::Interrupted, Reason::Lost, exit::RETRY)]
fn each_failure_has_its_reason_and_code(#[case] error: RunError, #[case] reason: Reason, #[case] code: i32) {
    assert_eq!(error.verdict(), (reason, code));
}

#[test]
fn the_last_words_are_short_and_closed() {
    let report = EvaluateReport { ok: false, reason: Some(Reason::StoreUnavailable), findings: 0, written: 0 };
    let words = serde_json::to_string(&report).unwrap();
    assert_eq!(words, r#"{"ok":false,"reason":"StoreUnavailable","findings":0,"written":0}"#);
}

#[tokio::test]
async fn the_ledger_that_is_started_from_is_put_again_and_so_stays_young() {
    let world = evaluated().await;
    let before = status(&world).ledger.unwrap();
    world.0.lock().unwrap().ledger_puts.clear();
    let input = world.scan(&scan(SCAN_2));
    carry_out(&world, &order(vec![input], day(11), &status(&world))).await.unwrap();
    let after = status(&world).ledger.unwrap();
    assert_eq!(world.0.lock().unwrap().ledger_puts, [before, after]);
}

/// More instances than an order takes are there all the same, and one that came since.
#[tokio::test]
async fn the_store_is_told_which_instances_there_are_by_the_api_server_and_the_order() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let many: BTreeSet<String> = (0..300).map(|n| format!("u{n}")).collect();
    world.0.lock().unwrap().instances = Some(many.clone());
    let mut order = order(vec![input.clone()], day(10), &EstateStatus::default());
    order.waiting = vec!["waiting".into()];
    carry_out(&world, &order).await.unwrap();
    let mut all = many;
    all.extend([input.instance_uid, "waiting".to_owned()]);
    {
        let world = world.0.lock().unwrap();
        assert_eq!(world.told, Some((all.clone(), 30)));
        assert_eq!(world.kinds.first(), Some(&"instances"), "before everything else");
    }
    order.estate_spec = json!({ "retention": { "orphanedDays": 7 } });
    carry_out(&world, &order).await.unwrap();
    assert_eq!(world.0.lock().unwrap().told, Some((all, 7)));
}

/// Deleting what is gone can wait; the evaluation is done.
#[tokio::test]
async fn what_cannot_be_told_is_told_another_day() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    let first = order(vec![input], day(10), &EstateStatus::default());
    assert!(carry_out(&world, &first).await.unwrap().ok, "the API server does not say which instances there are");
    assert_eq!(world.0.lock().unwrap().told, None, "then nothing is told");
}

/// A store that is full takes nothing more of an evaluation; it learns all the same what it can delete.
#[tokio::test]
async fn an_evaluation_that_fails_has_told_which_instances_there_are() {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    {
        let mut world = world.0.lock().unwrap();
        world.instances = Some(BTreeSet::new());
        world.fuse = Some(1);
    }
    let uid = input.instance_uid.clone();
    let report = carry_out(&world, &order(vec![input], day(10), &EstateStatus::default())).await;
    assert!(report.is_err(), "{report:?}");
    assert_eq!(world.0.lock().unwrap().told, Some((BTreeSet::from([uid]), 30)));
}
