//! Gathers what a decision about an instance rests on. Reads; decides nothing and writes nothing.

use std::sync::Arc;

use kube::ResourceExt;
use sv0_api::{ConnectorInstance, ConnectorInstanceStatus, conditions};
use sv0_protocol::{Reason, names};

use super::validate::Valid;
use crate::cluster;
use crate::context::Context;
use crate::error::Error;
use crate::scan_due::{LastAttempt, ScanFacts, trouble_of_gaps};
use crate::schedule::Timetable;

/// Characters of a request for a scan that count.
const MAX_SCAN_REQUEST: usize = 128;

/// The facts of the decision whether a scan is due.
pub(super) fn facts<'a>(instance: &'a ConnectorInstance, schedules: &'a [(String, Arc<Timetable>)]) -> ScanFacts<'a> {
    let status = instance.status.as_ref();
    let last = status.and_then(|s| s.last_scan.as_ref()).map(|scan| LastAttempt {
        started_at: scan.started_at.0,
        finished_at: scan.finished_at.0,
        trouble: status.and_then(trouble),
        not_before: scan.not_before.as_ref().map(|at| at.0),
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

/// Why the last scan is tried again by itself.
pub(super) fn trouble(status: &ConnectorInstanceStatus) -> Option<Reason> {
    let scan = status.last_scan.as_ref()?;
    match scan.outcome.as_str() {
        // Without consent the next scan fails: whether it is back is worth a look.
        "Complete" => super::consent::is_revoked(&status.conditions).then_some(Reason::ConsentRevoked),
        "Partial" => {
            let gaps = status.coverage.iter().flat_map(|coverage| &coverage.gaps);
            let unexplained = Reason::PartialCoverage.as_str();
            let gaps = gaps.map(|gap| reason_of(Some(gap.reason.as_deref().unwrap_or(unexplained))));
            // The scan's own reason too: the list of gaps may have been shortened.
            let all: Vec<Reason> = gaps.chain(scan.reason.as_deref().map(|word| reason_of(Some(word)))).collect();
            trouble_of_gaps(&all)
        }
        _ => Some(reason_of(scan.reason.as_deref())),
    }
}

/// The annotation that asks for a scan, as far as it is echoed: a user's text of any length must not fill the status.
pub(super) fn scan_request_annotation(instance: &ConnectorInstance) -> Option<&str> {
    let text = instance.annotations().get(names::SCAN_REQUESTED_ANNOTATION).filter(|v| !v.is_empty())?;
    let end = text.char_indices().nth(MAX_SCAN_REQUEST).map_or(text.len(), |(at, _)| at);
    Some(&text[..end])
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::{Value, json};
    use sv0_protocol::ScanReport;

    use super::super::status::Draft;
    use super::*;
    use crate::scan_due::{ScanDue, Trigger, decide};
    use crate::testing;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn instance(request: Option<&str>) -> ConnectorInstance {
        let mut instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        ask(&mut instance, request);
        instance
    }

    fn ask(instance: &mut ConnectorInstance, request: Option<&str>) {
        let annotation = |value: &str| (names::SCAN_REQUESTED_ANNOTATION.to_owned(), value.to_owned());
        instance.metadata.annotations = request.map(|value| [annotation(value)].into());
    }

    fn due(instance: &ConnectorInstance, now: &str) -> ScanDue {
        decide(&facts(instance, &[]), at(now))
    }

    fn draft(instance: &ConnectorInstance, now: &str) -> Draft {
        Draft::new(instance.status.as_ref(), instance.metadata.generation, at(now))
    }

    /// Orders what is due, and gives the trigger.
    fn order(instance: &mut ConnectorInstance, now: &str) -> Trigger {
        let ScanDue::Now(trigger) = due(instance, now) else { panic!("nothing is due at {now}") };
        let request = scan_request_annotation(instance);
        let ordered = draft(instance, now).ordered("id".into(), "job".into(), trigger.as_str(), request).finish();
        instance.status = Some(ordered);
        trigger
    }

    fn launch(instance: &mut ConnectorInstance, now: &str) {
        let request = scan_request_annotation(instance);
        instance.status = Some(draft(instance, now).answering(request).started().finish());
    }

    fn harvest(instance: &mut ConnectorInstance, now: &str, changes: &Value) {
        let mut report = json!({
            "scanId": "id", "outcome": "Complete", "requests": 12, "tokenRequests": 1, "items": 99,
            "startedAt": now, "finishedAt": now, "completeCollections": 12, "snapshot": {"id": "id", "digest": "sha256:aa"},
        });
        for (key, value) in changes.as_object().unwrap() {
            report[key] = value.clone();
        }
        let report: ScanReport = serde_json::from_value(report).unwrap();
        instance.status = Some(draft(instance, now).harvested(Ok(report)).finish());
    }

    #[test]
    fn the_first_scan_answers_a_request_that_came_with_the_instance() {
        let mut new = instance(Some("r1"));
        assert_eq!(order(&mut new, "2026-05-05T10:00:00Z"), Trigger::First);
        launch(&mut new, "2026-05-05T10:00:01Z");
        harvest(&mut new, "2026-05-05T10:00:10Z", &json!({}));
        assert_eq!(due(&new, "2026-05-05T10:00:11Z"), ScanDue::OnChange, "one scan, not two");
        assert_eq!(new.status.as_ref().unwrap().last_handled_scan_request.as_deref(), Some("r1"));
    }

    #[test]
    fn a_request_before_the_job_is_answered_by_it_and_a_later_one_is_not() {
        let mut new = instance(None);
        order(&mut new, "2026-05-05T10:00:00Z");
        ask(&mut new, Some("r1"));
        launch(&mut new, "2026-05-05T10:00:01Z");
        ask(&mut new, Some("r2"));
        harvest(&mut new, "2026-05-05T10:00:10Z", &json!({}));
        assert_eq!(due(&new, "2026-05-05T10:00:11Z"), ScanDue::Now(Trigger::Requested));
        ask(&mut new, Some("r1"));
        assert_eq!(due(&new, "2026-05-05T10:00:11Z"), ScanDue::OnChange);
    }

    #[test]
    fn a_new_instance_that_was_refused_at_first_needs_one_scan_too() {
        let mut new = instance(Some("r1"));
        let refused = draft(&new, "2026-05-05T10:00:00Z").refused(Reason::ServiceAccountMissing).finish();
        new.status = Some(refused);
        assert_eq!(order(&mut new, "2026-05-05T10:00:15Z"), Trigger::First);
        launch(&mut new, "2026-05-05T10:00:16Z");
        harvest(&mut new, "2026-05-05T10:00:25Z", &json!({}));
        assert_eq!(due(&new, "2026-05-05T10:00:26Z"), ScanDue::OnChange);
    }

    fn partial(gaps: &[&str], reason: &str) -> Value {
        let gap =
            |(i, reason): (usize, &&str)| json!({"collection": format!("c{i}"), "state": "partial", "reason": reason});
        json!({"outcome": "Partial", "reason": reason, "gaps": gaps.iter().enumerate().map(gap).collect::<Vec<_>>()})
    }

    #[rstest]
    #[case::last_page(&["LastPageLost"], "LastPageLost", Some("2026-05-05T10:01:00Z"))]
    #[case::outage(&["UpstreamUnavailable", "PartialCoverage"], "UpstreamUnavailable", Some("2026-05-05T10:01:00Z"))]
    #[case::deadline(&["DeadlineExceeded"], "DeadlineExceeded", Some("2026-05-05T10:01:00Z"))]
    #[case::throttled(&["RateLimited"], "RateLimited", Some("2026-05-05T10:10:00Z"))]
    #[case::denied_first(&["PermissionMissing", "LastPageLost"], "PermissionMissing", Some("2026-05-05T10:01:00Z"))]
    #[case::denied(&["PermissionMissing", "PartialCoverage"], "PermissionMissing", Some("2026-05-05T11:00:00Z"))]
    #[case::list_cut_off(&[], "LastPageLost", Some("2026-05-05T10:01:00Z"))]
    #[case::consent(&["CollectionNotAccepted"], "CollectionNotAccepted", None)]
    #[case::licence(&["LicenseMissing"], "LicenseMissing", None)]
    fn a_partial_scan_is_tried_again_by_itself(
        #[case] gaps: &[&str],
        #[case] reason: &str,
        #[case] expected: Option<&str>,
    ) {
        let mut one = instance(None);
        order(&mut one, "2026-05-05T09:59:00Z");
        launch(&mut one, "2026-05-05T09:59:01Z");
        harvest(&mut one, "2026-05-05T10:00:00Z", &partial(gaps, reason));
        let expected = expected.map_or(ScanDue::OnChange, |text| ScanDue::Later(at(text)));
        assert_eq!(due(&one, "2026-05-05T10:00:30Z"), expected);
    }

    #[test]
    fn a_request_for_a_scan_is_echoed_in_part_only() {
        let mut instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        assert_eq!(scan_request_annotation(&instance), None);
        for (text, length) in [("now".to_owned(), 3), ("é".repeat(100_000), 256)] {
            instance.annotations_mut().insert(names::SCAN_REQUESTED_ANNOTATION.to_owned(), text);
            assert_eq!(scan_request_annotation(&instance).map(str::len), Some(length));
        }
    }
}
