//! A schedule's status as a function of the schedule and an instant. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::conditions::{self, FALSE, Observed, READY, STALLED, TRUE};
use sv0_api::{ScanSchedule, ScanScheduleStatus};
use sv0_protocol::Reason;

use super::Reading;
use crate::conditions::sentence;

/// The status, and when it will change by itself.
pub(super) fn compute(
    schedule: &ScanSchedule,
    reading: &Reading,
    matched: usize,
    now: Timestamp,
) -> (ScanScheduleStatus, Option<Timestamp>) {
    let mut status = start(schedule);
    status.matched_instances = i32::try_from(matched).unwrap_or(i32::MAX);
    let (ready, stalled, next) = match reading {
        Err(error) => {
            let text = error.to_string();
            let reason = Reason::InvalidSchedule.as_str();
            ((FALSE, reason, text.clone()), (TRUE, reason, text), None)
        }
        Ok(_) if schedule.spec.suspend => {
            let text = "Suspended by spec.suspend: no ticks. Set it to false to go on.".to_owned();
            ((FALSE, Reason::Suspended.as_str(), text.clone()), (FALSE, Reason::Suspended.as_str(), text), None)
        }
        Ok(timetable) => {
            let since = schedule.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
            status.last_tick = timetable.last_tick(now).filter(|tick| *tick >= since).map(Time);
            let next = timetable.next_tick(now);
            let text = "The schedule is followed.".to_owned();
            ((TRUE, "Scheduled", text), (FALSE, "Progressing", "Nothing holds the schedule up.".to_owned()), next)
        }
    };
    status.next_tick = next.map(Time);
    set(&mut status, schedule, READY, ready, now);
    set(&mut status, schedule, STALLED, stalled, now);
    (status, next)
}

/// The namespace is not an estate: nothing is scheduled here.
pub(super) fn not_an_estate(schedule: &ScanSchedule, now: Timestamp) -> ScanScheduleStatus {
    stopped(schedule, Reason::NotAnEstate, sentence(Reason::NotAnEstate), now)
}

/// The selector has an operator that does not exist.
pub(super) fn unusable_selector(schedule: &ScanSchedule, now: Timestamp) -> ScanScheduleStatus {
    let text =
        "spec.selector has an expression whose operator is none of In, NotIn, Exists and DoesNotExist; correct it.";
    stopped(schedule, Reason::InvalidSchedule, text, now)
}

fn stopped(schedule: &ScanSchedule, reason: Reason, text: &str, now: Timestamp) -> ScanScheduleStatus {
    let mut status = start(schedule);
    set(&mut status, schedule, READY, (FALSE, reason.as_str(), text.to_owned()), now);
    set(&mut status, schedule, STALLED, (TRUE, reason.as_str(), text.to_owned()), now);
    status
}

fn start(schedule: &ScanSchedule) -> ScanScheduleStatus {
    let conditions = schedule.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
    ScanScheduleStatus {
        conditions,
        observed_generation: schedule.metadata.generation,
        ..ScanScheduleStatus::default()
    }
}

fn set(
    status: &mut ScanScheduleStatus,
    schedule: &ScanSchedule,
    type_: &str,
    (value, reason, text): (&str, &str, String),
    now: Timestamp,
) {
    let at = Time(Timestamp::from_second(now.as_second()).unwrap_or(now));
    let observed = Observed { generation: schedule.metadata.generation, at };
    let next = conditions::condition(type_, value, reason, &text, &observed);
    conditions::set(&mut status.conditions, next);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Timetable;
    use rstest::rstest;

    const NOW: &str = "2026-05-05T10:30:00.5Z";

    fn schedule(spec: &str) -> ScanSchedule {
        serde_json::from_str(&format!(
            r#"{{"apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
                "metadata": {{"name": "nightly", "namespace": "team-a", "generation": 2, "creationTimestamp": "2026-05-05T09:30:00Z"}},
                "spec": {spec}}}"#
        ))
        .unwrap()
    }

    fn look(spec: &str, now: &str) -> (ScanScheduleStatus, Option<Timestamp>) {
        let schedule = schedule(spec);
        let now = now.parse().unwrap();
        let spec = &schedule.spec;
        let reading = Timetable::parse(&spec.schedule, &spec.time_zone, spec.jitter_seconds(), None, now);
        compute(&schedule, &reading, 3, now)
    }

    fn ready(status: &ScanScheduleStatus) -> (&str, &str) {
        let ready = conditions::find(&status.conditions, READY).unwrap();
        (&ready.status, &ready.reason)
    }

    #[test]
    fn a_followed_schedule_shows_its_ticks() {
        let (status, next) = look(r#"{"schedule": "0 * * * *"}"#, NOW);
        assert_eq!(ready(&status), ("True", "Scheduled"));
        assert_eq!(status.last_tick.unwrap().0.to_string(), "2026-05-05T10:00:00Z");
        assert_eq!(next.unwrap().to_string(), "2026-05-05T11:00:00Z");
        assert_eq!((status.matched_instances, status.observed_generation), (3, Some(2)));
    }

    #[test]
    fn ticks_before_the_schedule_existed_are_none_of_its() {
        let (status, _) = look(r#"{"schedule": "0 9 * * *"}"#, NOW);
        assert_eq!(status.last_tick, None);
    }

    #[rstest]
    #[case::date(r#"{"schedule": "0 0 31 2 *"}"#, "31 February")]
    #[case::zone(r#"{"schedule": "0 0 * * *", "timeZone": "Mars/Olympus"}"#, "IANA")]
    fn invalid(#[case] spec: &str, #[case] says: &str) {
        let (status, next) = look(spec, NOW);
        assert_eq!(ready(&status), ("False", "InvalidSchedule"));
        let stalled = conditions::find(&status.conditions, STALLED).unwrap();
        assert_eq!(stalled.status, "True");
        assert!(stalled.message.contains(says), "{}", stalled.message);
        assert_eq!((next, status.next_tick), (None, None));
    }

    #[test]
    fn suspended() {
        let (status, next) = look(r#"{"schedule": "0 * * * *", "suspend": true}"#, NOW);
        assert_eq!((ready(&status), next), (("False", "Suspended"), None));
    }
}
