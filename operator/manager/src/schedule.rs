//! A `ScanSchedule`'s timetable: from the text a user wrote to the ticks before and after an instant.
//!
//! Pure: the instant is a parameter and the time zone database is the one inside the binary, so that two machines
//! never disagree about a tick. Nothing here knows Kubernetes.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// Longest spread of ticks that a user may ask for.
const MAX_JITTER_SECONDS: i64 = 3600;

/// Why a schedule can never fire. Each text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The five fields do not parse.
    #[error(
        "spec.schedule is not a cron expression of five fields (minute hour day month weekday), such as \"0 2 * * *\"; correct it"
    )]
    Cron,
    /// The fields parse, but no date fits them.
    #[error("spec.schedule names a date that does not exist, such as 31 February; choose a day that the month has")]
    NeverFires,
    /// No such zone.
    #[error(
        "spec.timeZone is not a time zone of the IANA database; write a name such as \"Europe/Berlin\" or \"Etc/UTC\""
    )]
    TimeZone,
    /// Not a duration, or too long.
    #[error(
        "spec.jitter is not a duration from \"0s\" to \"1h\"; write a whole number with one unit, such as \"90s\" or \"5m\""
    )]
    Jitter,
}

/// A schedule that has been read and proved to fire at least once more.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    jitter: SignedDuration,
    /// How late a tick may still be honoured; none means always, once.
    starting_deadline: Option<SignedDuration>,
}

impl Timetable {
    /// Reads a schedule. `now` serves only to prove that some later tick exists.
    pub fn parse(
        schedule: &str,
        zone: &str,
        jitter_seconds: Option<i64>,
        starting_deadline_seconds: Option<i64>,
        now: Timestamp,
    ) -> Result<Self, ScheduleError> {
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(schedule)
            .map_err(|_| ScheduleError::Cron)?;
        let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| ScheduleError::TimeZone)?;
        let jitter = jitter_seconds.filter(|s| (0..=MAX_JITTER_SECONDS).contains(s)).ok_or(ScheduleError::Jitter)?;
        let table = Self {
            cron,
            zone,
            jitter: SignedDuration::from_secs(jitter),
            starting_deadline: starting_deadline_seconds.map(|s| SignedDuration::from_secs(s.max(0))),
        };
        table.next_tick(now).ok_or(ScheduleError::NeverFires)?;
        Ok(table)
    }

    /// The latest tick at or before `now`, without jitter.
    pub fn last_tick(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.zone.clone());
        self.cron.find_previous_occurrence(&now, true).ok().map(|t| t.timestamp())
    }

    /// The earliest tick after `now`, without jitter.
    pub fn next_tick(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&now, false).ok().map(|t| t.timestamp())
    }

    /// The tick that the instance `uid` owes a scan for: later than `since`, not in the future, not too late.
    pub fn due(&self, uid: &str, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let offset = self.offset(uid);
        let tick = self.last_tick(now.checked_sub(offset).ok()?)?.checked_add(offset).ok()?;
        let late = now.duration_since(tick);
        (tick > since && self.starting_deadline.is_none_or(|allowed| late <= allowed)).then_some(tick)
    }

    /// The next instant at which the instance `uid` will owe a scan.
    pub fn next_due(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        let offset = self.offset(uid);
        self.next_tick(now.checked_sub(offset).ok()?)?.checked_add(offset).ok()
    }

    /// Always the same share of the jitter for the same instance, so that its ticks keep their distance.
    fn offset(&self, uid: &str) -> SignedDuration {
        let span = self.jitter.as_secs().unsigned_abs() + 1;
        let digest = Sha256::digest(uid.as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        SignedDuration::from_secs(i64::try_from(number % span).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn table(schedule: &str, zone: &str, jitter: i64) -> Timetable {
        Timetable::parse(schedule, zone, Some(jitter), None, at("2026-01-01T00:00:00Z")).unwrap()
    }

    #[rstest]
    #[case::six_fields("0 0 2 * * *", "Etc/UTC", Some(0), ScheduleError::Cron)]
    #[case::words("tomorrow", "Etc/UTC", Some(0), ScheduleError::Cron)]
    #[case::minute_60("60 * * * *", "Etc/UTC", Some(0), ScheduleError::Cron)]
    #[case::february_31("0 0 31 2 *", "Etc/UTC", Some(0), ScheduleError::NeverFires)]
    #[case::mars("0 2 * * *", "Mars/Olympus", Some(0), ScheduleError::TimeZone)]
    #[case::path("0 2 * * *", "../../etc/passwd", Some(0), ScheduleError::TimeZone)]
    #[case::unreadable_jitter("0 2 * * *", "Etc/UTC", None, ScheduleError::Jitter)]
    #[case::too_long("0 2 * * *", "Etc/UTC", Some(3601), ScheduleError::Jitter)]
    #[case::negative("0 2 * * *", "Etc/UTC", Some(-1), ScheduleError::Jitter)]
    fn refused(#[case] cron: &str, #[case] zone: &str, #[case] jitter: Option<i64>, #[case] expected: ScheduleError) {
        let seen = Timetable::parse(cron, zone, jitter, None, at("2026-01-01T00:00:00Z")).unwrap_err();
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::daily("0 2 * * *", "Etc/UTC", "2026-03-01T02:00:00Z", "2026-03-01T02:00:00Z", "2026-03-02T02:00:00Z")]
    #[case::berlin_winter(
        "0 2 * * *",
        "Europe/Berlin",
        "2026-01-10T12:00:00Z",
        "2026-01-10T01:00:00Z",
        "2026-01-11T01:00:00Z"
    )]
    #[case::names("30 6 * JAN MON", "Etc/UTC", "2026-01-06T00:00:00Z", "2026-01-05T06:30:00Z", "2026-01-12T06:30:00Z")]
    // 29 March 2026: 02:00 becomes 03:00 in Berlin; the tick of 02:30 happens once, at the first instant after the gap.
    #[case::gap("30 2 * * *", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z")]
    fn ticks(#[case] cron: &str, #[case] zone: &str, #[case] now: &str, #[case] last: &str, #[case] next: &str) {
        let table = table(cron, zone, 0);
        assert_eq!(table.last_tick(at(now)), Some(at(last)));
        assert_eq!(table.next_tick(at(now)), Some(at(next)));
    }

    /// 25 October 2026: 03:00 becomes 02:00 in Berlin. A daily tick inside the repeated hour fires once.
    #[test]
    fn repeated_hour_fires_once() {
        let table = table("30 2 * * *", "Europe/Berlin", 0);
        let mut ticks = Vec::new();
        let mut now = at("2026-10-24T12:00:00Z");
        while let Some(next) = table.next_tick(now).filter(|t| *t < at("2026-10-26T12:00:00Z")) {
            ticks.push(next);
            now = next;
        }
        assert_eq!(ticks, [at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")]);
    }

    #[test]
    fn jitter_is_the_same_share_every_time_and_differs_between_instances() {
        let table = table("0 * * * *", "Etc/UTC", 600);
        let now = at("2026-05-05T10:30:00Z");
        let a = table.next_due("uid-a", now).unwrap();
        let b = table.next_due("uid-b", now).unwrap();
        assert_eq!(table.next_due("uid-a", now), Some(a));
        assert_ne!(a, b);
        let next_hour = table.next_due("uid-a", a).unwrap();
        assert_eq!(next_hour.duration_since(a), SignedDuration::from_hours(1));
        assert!(a >= at("2026-05-05T11:00:00Z") && a <= at("2026-05-05T11:10:00Z"));
    }

    #[test]
    fn a_jittered_tick_is_due_at_its_own_instant_and_not_before() {
        let table = table("0 * * * *", "Etc/UTC", 600);
        let since = at("2026-05-05T10:30:00Z");
        let tick = table.next_due("uid-a", since).unwrap();
        assert_eq!(table.due("uid-a", since, tick - SignedDuration::from_secs(1)), None);
        assert_eq!(table.due("uid-a", since, tick), Some(tick));
        assert_eq!(table.due("uid-a", tick, tick), None, "a tick is honoured once");
    }

    #[rstest]
    #[case::in_time(30, true)]
    #[case::at_the_bound(60, true)]
    #[case::too_late(61, false)]
    fn starting_deadline(#[case] late: i64, #[case] due: bool) {
        let start = at("2026-01-01T00:00:00Z");
        let table = Timetable::parse("0 2 * * *", "Etc/UTC", Some(0), Some(60), start).unwrap();
        let now = at("2026-01-01T02:00:00Z") + SignedDuration::from_secs(late);
        assert_eq!(table.due("u", start, now).is_some(), due);
    }
}
