//! Writes an instance's status, and tells the rest of the world about transitions. The only writer of this status.

use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use sv0_api::{ConnectorInstance, ConnectorInstanceStatus, conditions};

use crate::cluster;
use crate::context::Context;
use crate::error::Error;

/// Writes the status if it differs. An Event follows when the reason of `Ready` changed.
pub(super) async fn write(
    ctx: &Context,
    seen: &ConnectorInstance,
    status: ConnectorInstanceStatus,
) -> Result<(), Error> {
    if seen.status.as_ref() == Some(&status) {
        return Ok(());
    }
    cluster::apply_status(&ctx.client, seen, &status).await?;
    if let Some(event) = transition(seen.status.as_ref(), &status)
        && let Err(error) = ctx.recorder.publish(&event, &seen.object_ref(&())).await
    {
        // An Event is a courtesy: the condition says the same.
        tracing::warn!(%error, instance = seen.name_any(), "cannot publish an Event");
    }
    Ok(())
}

/// The Event for a change of `Ready`.
fn transition(before: Option<&ConnectorInstanceStatus>, after: &ConnectorInstanceStatus) -> Option<Event> {
    let ready = |status: &ConnectorInstanceStatus| conditions::find(&status.conditions, conditions::READY).cloned();
    let new = ready(after)?;
    let old = before.and_then(ready);
    if old.is_some_and(|old| old.status == new.status && old.reason == new.reason) {
        return None;
    }
    let type_ = if new.status == conditions::FALSE { EventType::Warning } else { EventType::Normal };
    Some(Event { type_, reason: new.reason, note: Some(new.message), action: "Scanning".to_owned(), secondary: None })
}

/// Counts and logs a scan that ended.
pub(super) fn announce_scan(ctx: &Context, instance: &ConnectorInstance, status: &ConnectorInstanceStatus) {
    let Some(scan) = &status.last_scan else { return };
    let reason = scan.reason.as_deref().unwrap_or("None");
    ctx.metrics.scans.with_label_values(&[scan.outcome.as_str(), reason]).inc();
    tracing::info!(instance = instance.name_any(), outcome = scan.outcome, reason, items = scan.items, "scan ended");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector_instance::status::Draft;
    use sv0_protocol::Reason;

    #[test]
    fn events_follow_transitions_only() {
        let at = |text: &str| text.parse().unwrap();
        let first =
            Draft::new(None, Some(1), at("2026-05-05T10:00:00Z")).refused(Reason::ServiceAccountMissing).finish();
        let event = transition(None, &first).unwrap();
        assert_eq!((event.reason.as_str(), event.type_), ("ServiceAccountMissing", EventType::Warning));
        let again = Draft::new(Some(&first), Some(2), at("2026-05-05T11:00:00Z"))
            .refused(Reason::ServiceAccountMissing)
            .finish();
        assert!(transition(Some(&first), &again).is_none());
        let other = Draft::new(Some(&again), Some(2), at("2026-05-05T12:00:00Z"))
            .refused(Reason::ServiceAccountNotAllowed)
            .finish();
        assert!(transition(Some(&again), &other).is_some());
    }
}
