//! One evaluation from order to status: reads, computes, then writes in an order that may be cut anywhere.
//!
//! Pack, ledger, Findings, the status of exceptions, Estate status. The Estate's comes last and names the ledger, so a run
//! that died before it is repeated from the same ledger with the same order, and ends in the same state. Before all of it
//! the store is told which instances there are, so that it can delete what belongs to none; that is no part of the result.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use sv0_api::{EstateStatus, FindingSpec};
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::ledger::{Ledger, LedgerError};
use sv0_engine::load::{Deposit, FetchError, Input, load_baselines, load_within};
use sv0_engine::{baseline, convert};
use sv0_protocol::EvaluateRequest;
use sv0_protocol::store::DEFAULT_ORPHANED_DAYS;

use crate::apply::{Pace, Written, apply};
use crate::exceptions;
use crate::report::{EvaluateReport, RunError};
use crate::sink::{Desired, EstateSink, ExceptionSink, FindingSink, InstanceSource, SinkError};
use crate::status::{self, Ordered};

/// How long the store may take to hear which instances there are: nothing of the evaluation waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Carries out `order`. On failure the Estate's condition says so, when the API server lets it.
pub async fn run<V: Deposit, C: FindingSink + EstateSink + ExceptionSink + InstanceSource>(
    order: &EvaluateRequest,
    vault: &V,
    cluster: &C,
    pace: &Pace,
    threads: usize,
) -> Result<EvaluateReport, RunError> {
    let result = attempt(order, vault, cluster, pace, threads).await;
    if let Err(error) = &result
        && let Err(second) = report_failure(order, cluster, error).await
    {
        tracing::warn!("the failure could not be written to the Estate's status: {second}");
    }
    result
}

async fn attempt<V: Deposit, C: FindingSink + EstateSink + ExceptionSink + InstanceSource>(
    order: &EvaluateRequest,
    vault: &V,
    cluster: &C,
    pace: &Pace,
    threads: usize,
) -> Result<EvaluateReport, RunError> {
    let live = exceptions::shown(&order.exceptions, cluster).await?;
    let accepted = exceptions::current(&order.exceptions, &live);
    let mut config = Config::ordered(order, accepted, threads).map_err(|_| RunError::EstateSpec)?;
    // First: where the store is full, nothing else would make room.
    say_what_is_there(order, vault, cluster, config.estate.retention.orphaned_days).await;
    let previous = read_ledger(vault, order.ledger.as_deref()).await?;
    let history_lost = previous.is_none();
    config.history_lost = history_lost;
    let previous = previous.unwrap_or_default();
    let most = config.max_snapshot_bytes;
    let pins = baseline::pinned(&order.inputs, &config.estate, &previous);
    // Before anything is read, and before a ledger names one of them: what is compared with must outlive this run.
    if !history_lost {
        pin(vault, &pins).await?;
    }
    let inputs = load_within(vault, &order.inputs, &previous.evaluated(), most).await?;
    if history_lost {
        // What the lost ledger compared with is still pinned; it is let go only once this run starts anew for good.
        if !everything_readable(order, &inputs) {
            return Err(RunError::HistoryLost);
        }
        pin(vault, &pins).await?;
    }
    let wanted = baseline::wanted(&order.inputs, &config.estate, &previous);
    let baselines = load_baselines(vault, &wanted, &config.estate, most).await?;
    let mut evaluation =
        tokio::task::spawn_blocking(move || evaluate(Sources { inputs, baselines }, previous, &config))
            .await
            .map_err(|_| RunError::Worker)??;
    log(&evaluation);

    vault.put_pack(Bytes::from(std::mem::take(&mut evaluation.pack.bytes))).await?;
    vault.put_ledger(Bytes::from(std::mem::take(&mut evaluation.ledger.bytes))).await?;
    let desired: Vec<Desired> = evaluation.findings.iter().map(desired).collect::<Result<_, _>>()?;
    let Written { created, replaced, deleted } = apply(cluster, &desired, pace).await?;
    tracing::info!(created, replaced, deleted, "findings written");
    exceptions::tell(cluster, &order.exceptions, &evaluation, &live, order.as_of).await?;
    let ordered = Ordered { as_of: order.as_of, generation: order.estate_generation, history_lost };
    let before = cluster.estate_status().await?;
    let after = status::finished(&evaluation, ordered, &order.exceptions, before.as_ref());
    write_status(cluster, before.as_ref(), &after).await?;
    Ok(EvaluateReport {
        ok: true,
        reason: None,
        findings: desired.len() as u64,
        written: (created + replaced + deleted) as u64,
    })
}

async fn pin<V: Deposit>(vault: &V, pins: &BTreeMap<String, BTreeSet<String>>) -> Result<(), RunError> {
    for (instance_uid, snapshots) in pins {
        vault.pin(instance_uid, snapshots).await?;
    }
    Ok(())
}

/// As far as that is possible within a minute. Else what is gone stays for longer: the next evaluation, a day later at most,
/// says it again.
async fn say_what_is_there<V: Deposit, C: InstanceSource>(
    order: &EvaluateRequest,
    vault: &V,
    cluster: &C,
    orphaned_days: Option<i32>,
) {
    let told = tokio::time::timeout(PATIENCE, tell_instances(order, vault, cluster, orphaned_days)).await;
    match told {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the store was not told which instances there are"),
        Err(_) => tracing::warn!("the store was not told in time which instances there are"),
    }
}

/// Tells the store which instances the estate has. Asked of the API server itself: the order leaves some out, and whoever
/// can forge one should not thereby delete what is stored. What the order names counts as there, too.
async fn tell_instances<V: Deposit, C: InstanceSource>(
    order: &EvaluateRequest,
    vault: &V,
    cluster: &C,
    orphaned_days: Option<i32>,
) -> Result<(), RunError> {
    let mut live = cluster.instance_uids().await?;
    live.extend(order.inputs.iter().map(|input| input.instance_uid.clone()));
    live.extend(order.waiting.iter().cloned());
    let days = orphaned_days.and_then(|days| u32::try_from(days).ok()).unwrap_or(DEFAULT_ORPHANED_DAYS);
    Ok(vault.tell_instances(&live, days).await?)
}

/// None when the store no longer has a readable one. One that is read is put again: the store keeps what was put lately,
/// and this one is needed until an evaluation has written a status that names the next.
async fn read_ledger<V: Deposit>(vault: &V, digest: Option<&str>) -> Result<Option<Ledger>, RunError> {
    let Some(digest) = digest else { return Ok(Some(Ledger::default())) };
    let bytes = match vault.ledger(digest).await {
        Ok(bytes) => bytes,
        Err(FetchError::Damaged) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    match Ledger::read(&bytes) {
        Ok(ledger) => {
            vault.put_ledger(bytes).await?;
            Ok(Some(ledger))
        }
        Err(LedgerError::Damaged) => Ok(None),
        Err(other) => Err(RunError::Ledger(other)),
    }
}

/// Starting afresh drops what is not seen now; that is allowed only when nothing is out of sight.
fn everything_readable<S>(order: &EvaluateRequest, inputs: &[Input<S>]) -> bool {
    order.waiting.is_empty() && inputs.iter().all(|input| input.quarantined.is_none())
}

fn desired((name, spec): (&String, &FindingSpec)) -> Result<Desired, RunError> {
    let value = serde_json::to_value(spec).map_err(|_| RunError::Worker)?;
    Ok(Desired { name: name.clone(), labels: convert::labels(spec), spec: value })
}

async fn write_status<C: EstateSink>(
    cluster: &C,
    before: Option<&EstateStatus>,
    after: &EstateStatus,
) -> Result<(), SinkError> {
    if before == Some(after) {
        return Ok(());
    }
    cluster.write_estate_status(after).await
}

async fn report_failure<C: EstateSink>(
    order: &EvaluateRequest,
    cluster: &C,
    error: &RunError,
) -> Result<(), SinkError> {
    let before = cluster.estate_status().await?;
    let ordered = Ordered { as_of: order.as_of, generation: order.estate_generation, history_lost: false };
    let sentence = error.to_string();
    let after = status::failed(error.verdict().0, &sentence, ordered, before.as_ref());
    write_status(cluster, before.as_ref(), &after).await
}

/// Rule ids, reasons and counts: no name, no address, no identifier of a source system.
fn log(evaluation: &Evaluation) {
    let tally = &evaluation.tally;
    tracing::info!(
        open = tally.open,
        accepted = tally.accepted,
        resolved = tally.resolved,
        unseen = tally.unseen,
        truncated = tally.truncated,
        gaps = evaluation.gaps.len(),
        "evaluated"
    );
    for (rule, count) in &tally.by_rule {
        tracing::info!(rule = rule.as_str(), count, "findings that hold");
    }
    for (rule, count) in &tally.outside_lane {
        tracing::info!(rule = rule.as_str(), count, "facts outside the lane");
    }
    for (reason, count) in &tally.removed {
        tracing::info!(reason, count, "findings that left");
    }
    for note in evaluation.inputs.iter().filter(|note| note.quarantined.is_some()) {
        tracing::warn!(instance = note.instance.as_str(), reason = note.quarantined, "snapshot set aside");
    }
}
