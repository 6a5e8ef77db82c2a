//! Gathers what a decision about an instance rests on. Reads; decides nothing and writes nothing.

use std::sync::Arc;

use kube::ResourceExt;
use sv0_api::{ConnectorInstance, conditions};
use sv0_protocol::{Reason, names};

use super::validate::Valid;
use crate::cluster;
use crate::context::Context;
use crate::error::Error;
use crate::scan_due::{LastAttempt, ScanFacts};
use crate::schedule::Timetable;

/// The facts of the decision whether a scan is due.
pub(super) fn facts<'a>(instance: &'a ConnectorInstance, schedules: &'a [(String, Arc<Timetable>)]) -> ScanFacts<'a> {
    let status = instance.status.as_ref();
    let last = status.and_then(|s| s.last_scan.as_ref()).map(|scan| LastAttempt {
        started_at: scan.started_at.0,
        finished_at: scan.finished_at.0,
        failed: (scan.outcome == "Failed").then(|| reason_of(scan.reason.as_deref())),
    });
    let recorded = status.map(|s| s.conditions.as_slice()).unwrap_or_default();
    ScanFacts {
        uid: instance.metadata.uid.as_deref().unwrap_or_default(),
        generation: instance.metadata.generation.unwrap_or_default(),
        observed_generation: status.and_then(|s| s.observed_generation),
        suspended: instance.spec.suspend,
        requested: scan_request_annotation(instance),
        handled_request: status.and_then(|s| s.last_handled_scan_request.as_deref()),
        last,
        blocked: conditions::find(recorded, conditions::RECONCILING)
            .is_some_and(|c| c.reason == super::status::NOT_STARTED),
        failures: status.and_then(|s| u32::try_from(s.consecutive_failures).ok()).unwrap_or_default(),
        schedules,
    }
}

/// The annotation that asks for a scan.
pub(super) fn scan_request_annotation(instance: &ConnectorInstance) -> Option<&str> {
    instance.annotations().get(names::SCAN_REQUESTED_ANNOTATION).map(String::as_str).filter(|v| !v.is_empty())
}

/// A reason written by this or an earlier version.
fn reason_of(word: Option<&str>) -> Reason {
    let known = Reason::ALL.iter().copied().find(|reason| Some(reason.as_str()) == word);
    known.unwrap_or(Reason::InternalError)
}

/// What stands between a due scan and its Job: the account, or a store that has not said yet how it is reached.
pub(super) async fn obstacle(ctx: &Context, valid: &Valid<'_>) -> Result<Option<Reason>, Error> {
    let account = &valid.instance.spec.service_account_name;
    if let Some(reason) = cluster::check_account(&ctx.client, valid.namespace, account).await? {
        return Ok(Some(reason));
    }
    let store = cluster::store_access(&ctx.client, &ctx.config).await?;
    Ok(store.is_none().then_some(Reason::StoreUnavailable))
}
