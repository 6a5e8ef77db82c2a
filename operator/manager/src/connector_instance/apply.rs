//! Writes an instance's status, and tells the rest of the world about transitions. The only writer of this status.

use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use sv0_api::{ConnectorInstance, ConnectorInstanceStatus, conditions};

use crate::cluster;
use crate::context::Context;
use crate::error::Error;

/// Writes the status if it differs. Events follow when the reason of a condition in [`TOLD`] changed.
pub(super) async fn write(
    ctx: &Context,
    seen: &ConnectorInstance,
    status: ConnectorInstanceStatus,
) -> Result<(), Error> {
    if seen.status.as_ref() == Some(&status) {
        return Ok(());
    }
    cluster::apply_status(&ctx.client, seen, &status).await?;
    for event in transitions(seen.status.as_ref(), &status) {
        if let Err(error) = ctx.recorder.publish(&event, &seen.object_ref(&())).await {
            // An Event is a courtesy: the condition says the same.
            tracing::warn!(%error, instance = seen.name_any(), "cannot publish an Event");
        }
    }
    Ok(())
}

/// Conditions whose transitions are told, each with the value that is bad news and what is being done meanwhile.
const TOLD: [(&str, &str, &str); 3] = [
    (conditions::READY, conditions::FALSE, "Scanning"),
    (conditions::CONSENT_UNCHANGED, conditions::FALSE, "ComparingConsent"),
    (conditions::CREDENTIAL_EXPIRING, conditions::TRUE, "WatchingCredential"),
];

/// The Events for what changed. Of what is well and always was, only `Ready` tells.
fn transitions(before: Option<&ConnectorInstanceStatus>, after: &ConnectorInstanceStatus) -> Vec<Event> {
    let mut events = Vec::new();
    for (type_, bad, action) in TOLD {
        let find = |status: &ConnectorInstanceStatus| conditions::find(&status.conditions, type_).cloned();
        let (Some(new), old) = (find(after), before.and_then(find)) else { continue };
        let is_bad = new.status == bad;
        let was_bad = old.as_ref().is_some_and(|old| old.status == bad);
        let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        if same || !(is_bad || was_bad || type_ == conditions::READY) {
            continue;
        }
        let kind = if is_bad { EventType::Warning } else { EventType::Normal };
        let (reason, note) = (new.reason, Some(new.message));
        events.push(Event { type_: kind, reason, note, action: action.to_owned(), secondary: None });
    }
    events
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
        let told = transitions(None, &first);
        let [event] = told.as_slice() else { panic!("{} Events", told.len()) };
        assert_eq!((event.reason.as_str(), event.type_), ("ServiceAccountMissing", EventType::Warning));
        let again = Draft::new(Some(&first), Some(2), at("2026-05-05T11:00:00Z"))
            .refused(Reason::ServiceAccountMissing)
            .finish();
        assert!(transitions(Some(&first), &again).is_empty());
        let other = Draft::new(Some(&again), Some(2), at("2026-05-05T12:00:00Z"))
            .refused(Reason::ServiceAccountNotAllowed)
            .finish();
        assert_eq!(transitions(Some(&again), &other).len(), 1);
    }

    #[test]
    fn the_end_of_a_credential_is_told_once_by_time_alone() {
        let mut instance = crate::testing::instance(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#);
        let mut look = |time: &str, ends: Option<&str>| {
            let before = instance.status.clone();
            if let Some(ends) = ends {
                let known = serde_json::json!({
                    "credentialExpiresAt": ends,
                    "lastScan": {"id": "i", "outcome": "Complete", "trigger": "Initial",
                        "startedAt": "2026-05-01T00:00:00Z", "finishedAt": "2026-05-01T00:00:00Z"},
                });
                instance.status = serde_json::from_value(known).unwrap();
            }
            let after = Draft::of(&instance, time.parse().unwrap()).waiting(None).finish();
            let told = transitions(before.as_ref(), &after);
            instance.status = Some(after);
            told.into_iter().map(|event| (event.reason, event.type_)).collect::<Vec<_>>()
        };
        assert_eq!(look("2026-05-02T00:00:00Z", Some("2026-07-01T00:00:00Z")), [], "not soon: no news");
        assert_eq!(look("2026-06-01T00:00:00Z", None), [("CredentialExpiring".to_owned(), EventType::Warning)]);
        assert_eq!(look("2026-06-20T00:00:00Z", None), [], "once");
        assert_eq!(look("2026-07-01T00:00:00Z", None), [("CredentialExpired".to_owned(), EventType::Warning)]);
        let renewed = look("2026-07-01T01:00:00Z", Some("2027-07-01T00:00:00Z"));
        assert_eq!(renewed, [("NotSoon".to_owned(), EventType::Normal)]);
    }
}
