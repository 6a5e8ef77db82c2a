//! What is remembered of use over a series of snapshots: when silence becomes proof, and what takes that away.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, Graph, NodeKind, attr};
use sv0_rules::{Claim, Doubts, EvidenceClass, Memory, Past, RuleFinding, RuleOutput, remember};

/// Six in the morning of the n-th day of 2025: when a snapshot is taken.
fn day(n: i64) -> Timestamp {
    let start: Timestamp = "2025-01-01T06:00:00Z".parse().unwrap();
    start.checked_add(SignedDuration::from_hours(24 * n)).unwrap()
}

/// A day's snapshot.
#[derive(Clone, Debug, Default)]
struct Day {
    at: i64,
    /// Whether the collections of activity were read completely.
    partial: bool,
    /// They had no items.
    empty: bool,
    /// Days since the newest use in the tenant; none when nothing is recorded of others.
    feed: Option<i64>,
    /// What is recorded of the usual subject and of its key.
    used: Option<Timestamp>,
    key: Option<Timestamp>,
}

fn good(at: i64) -> Day {
    Day { at, feed: Some(0), ..Day::default() }
}

/// The tenant on that day: an administrator that was made on `made`, with a secret of then that never ends.
fn world(today: &Day, made: Option<&str>) -> World {
    let mut world = World::new();
    let key = Key { from: made, to: Some("none"), ..Key::default() };
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0).key(&key).seen(&day(today.at).to_string());
    if let Some(made) = made {
        world.made(made);
    }
    for (collection, kind, id) in [
        ("servicePrincipalActivity", NodeKind::ServicePrincipal, "busy"),
        ("credentialActivity", NodeKind::Credential, "app-busy/key"),
    ] {
        if let Some(ago) = today.feed {
            let at = day(today.at - ago).checked_sub(SignedDuration::from_hours(1)).unwrap();
            world.b.node(collection, kind, id, &[(attr::LAST_USED_AT, text(&at.to_string()))]);
        }
        if today.partial {
            world.cover(collection, CoverageState::Partial);
        }
        let items = if today.empty { 0 } else { 5 };
        world
            .b
            .header()
            .coverage
            .iter_mut()
            .filter(|row| row.collection == collection)
            .for_each(|row| row.items = items);
    }
    if let Some(at) = today.used {
        world.used(attr::LAST_USED_AT, &at.to_string());
        world.used(attr::LAST_UNATTENDED_USE_AT, &at.to_string());
    }
    if let Some(at) = today.key {
        world.key_used("key-1", &at.to_string());
    }
    world
}

fn graph(world: &World) -> Graph {
    Graph::build(vec![world.b.build()]).unwrap()
}

fn past(memory: &Memory) -> Past<'_> {
    Past { baselines: &[], memory }
}

/// When the identity was made.
const MADE: Option<&str> = Some("2024-01-01T00:00:00Z");

fn after(days: &[Day], made: Option<&str>) -> Memory {
    days.iter().fold(Memory::new(), |memory, today| remember(&graph(&world(today, made)), memory, &Doubts::default()))
}

/// What is said on the last of these days.
fn said(days: &[Day], made: Option<&str>) -> RuleOutput {
    let last = days.last().unwrap();
    let world = world(last, made);
    sv0_rules::run_remembering(&graph(&world), past(&after(days, made)), &world.config, day(last.at), 1)
}

fn of(output: &RuleOutput, rule: &str) -> Option<RuleFinding> {
    let about = |finding: &&RuleFinding| finding.rule.id == rule && finding.subject.name == "payroll-bot";
    output.findings.iter().find(about).cloned()
}

fn claims(output: &RuleOutput) -> [Option<Claim>; 3] {
    ["DORM-001", "CRED-001", "CRED-004"].map(|rule| of(output, rule).map(|finding| finding.rule.claim))
}

const FULL: Option<Claim> = Some(Claim::Full);
const NARROWER: Option<Claim> = Some(Claim::Narrower);

fn daily(to: i64) -> Vec<Day> {
    (0..=to).map(good).collect()
}

// --- When silence becomes proof -----------------------------------------------------------------------------------

#[rstest]
#[case::first_day(0, [NARROWER; 3])]
#[case::a_day_short_of_rare(29, [NARROWER; 3])]
#[case::rare(30, [NARROWER, FULL, NARROWER])]
#[case::a_day_short_of_unused(89, [NARROWER, FULL, NARROWER])]
#[case::unused(90, [NARROWER, FULL, FULL])]
#[case::a_day_short_of_dormant(179, [NARROWER, FULL, FULL])]
#[case::dormant(180, [FULL; 3])]
fn silence_becomes_proof_after_as_long_as_each_rule_asks(#[case] days: i64, #[case] expected: [Option<Claim>; 3]) {
    assert_eq!(claims(&said(&daily(days), MADE)), expected);
}

/// A finding without the times of the snapshots that it was read from: those stand in the pack alone.
fn undated(mut finding: RuleFinding) -> RuleFinding {
    finding.evidence.iter_mut().for_each(|item| item.observed_at = None);
    finding
}

#[test]
fn it_says_since_when_and_the_same_every_day() {
    let (one, next) = (said(&daily(180), MADE), said(&daily(181), MADE));
    let finding = of(&one, "DORM-001").unwrap();
    assert!(finding.title.ends_with("did not sign in since 2025-01-01"), "{}", finding.title);
    assert!(finding.narrowed.is_empty());
    let item = &finding.evidence[0];
    assert_eq!((item.class, item.source.field.as_str()), (EvidenceClass::Temporal, "lastSignInDateTime"));
    assert!(item.claim.contains("made on 2024-01-01"), "{}", item.claim);
    assert!(item.claim.contains("since 2025-01-01 the records were read completely"), "{}", item.claim);
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "servicePrincipalActivity"));
    for rule in ["DORM-001", "CRED-001", "CRED-004"] {
        assert_eq!(of(&one, rule).map(undated), of(&next, rule).map(undated));
    }
    let key = of(&one, "CRED-004").unwrap();
    assert!(key.title.ends_with("a secret that was not used here since 2025-01-01"), "{}", key.title);
}

#[test]
fn the_narrower_claim_says_since_when_it_would_be_known() {
    let finding = of(&said(&daily(100), MADE), "DORM-001").unwrap();
    assert!(finding.narrowed[0].reason.ends_with("is proven since 2025-01-01."), "{}", finding.narrowed[0].reason);
}

#[rstest]
#[case::before("2025-01-01T00:00:00Z", FULL)]
#[case::as_long_ago("2025-01-03T06:00:00Z", FULL)]
#[case::a_second_later("2025-01-03T06:00:01Z", None)]
fn what_is_younger_than_the_threshold_is_not_dormant(#[case] made: &str, #[case] expected: Option<Claim>) {
    assert_eq!(of(&said(&daily(182), Some(made)), "DORM-001").map(|finding| finding.rule.claim), expected);
}

#[test]
fn of_what_has_no_first_day_nothing_is_proven() {
    let output = said(&daily(400), None);
    assert_eq!(claims(&output), [None, NARROWER, None]);
}

// --- What takes it away -------------------------------------------------------------------------------------------

/// 200 good days, but for those from the hundredth on that `change` changes.
fn disturbed(days: i64, change: impl Fn(&mut Day)) -> Vec<Day> {
    let mut all = daily(200);
    all.iter_mut().filter(|day| (100..100 + days).contains(&day.at)).for_each(change);
    all
}

#[rstest]
// From the 99th to the 106th day is a week.
#[case::partial_for_six_days(disturbed(6, |day| day.partial = true), FULL)]
#[case::partial_for_a_week(disturbed(7, |day| day.partial = true), NARROWER)]
#[case::empty_once(disturbed(1, |day| day.empty = true), NARROWER)]
#[case::the_feed_stands_still_for_six_days(disturbed(6, |day| day.feed = Some(day.at - 99)), FULL)]
#[case::the_feed_stands_still_for_a_week(disturbed(7, |day| day.feed = Some(day.at - 99)), NARROWER)]
#[case::nothing_recorded_for_a_week(disturbed(7, |day| day.feed = None), NARROWER)]
#[case::no_scan_for_six_days(disturbed(0, |_| ()).into_iter().filter(|day| !(100..106).contains(&day.at)).collect(), FULL)]
#[case::no_scan_for_a_week(disturbed(0, |_| ()).into_iter().filter(|day| !(100..107).contains(&day.at)).collect(), NARROWER)]
fn a_run_that_broke_proves_nothing(#[case] days: Vec<Day>, #[case] expected: Option<Claim>) {
    assert_eq!(of(&said(&days, MADE), "DORM-001").map(|finding| finding.rule.claim), expected);
}

#[test]
fn a_last_reading_that_is_not_good_proves_nothing() {
    let with = |change: fn(&mut Day)| {
        let mut days = daily(200);
        change(days.last_mut().unwrap());
        claims(&said(&days, MADE))
    };
    assert_eq!(with(|day| day.partial = true), [None, NARROWER, None]);
    assert_eq!(with(|day| day.empty = true), [NARROWER; 3]);
    assert_eq!(with(|day| day.feed = Some(8)), [NARROWER; 3]);
    assert_eq!(with(|day| day.feed = None), [NARROWER; 3]);
}

#[test]
fn a_collection_that_is_suddenly_smaller_is_no_good_reading() {
    let mut memory = after(&daily(200), MADE);
    let last = world(&good(201), MADE);
    let shrunk =
        Doubts { shrunk: BTreeSet::from([("uid-1".into(), "servicePrincipalActivity".into())]), ..Doubts::default() };
    memory = remember(&graph(&last), memory, &shrunk);
    let output = sv0_rules::run_remembering(&graph(&last), past(&memory), &last.config, day(201), 1);
    assert_eq!(claims(&output), [NARROWER, NARROWER, FULL]);
}

#[test]
fn an_older_snapshot_teaches_nothing() {
    let memory = after(&daily(50), MADE);
    let older = Doubts { older: BTreeSet::from(["uid-1".into()]), ..Doubts::default() };
    let used = Day { used: Some(day(10)), ..good(10) };
    assert_eq!(remember(&graph(&world(&used, MADE)), memory.clone(), &older), memory);
}

#[test]
fn another_tenant_behind_the_same_instance_starts_anew() {
    let mut memory = after(&daily(200), MADE);
    memory.get_mut("uid-1").unwrap().tenant = format!("entra:{OTHER_TENANT}");
    let last = world(&good(200), MADE);
    let output = sv0_rules::run_remembering(&graph(&last), past(&memory), &last.config, day(200), 1);
    assert_eq!(claims(&output), [NARROWER; 3]);
    let fresh = remember(&graph(&last), memory, &Doubts::default());
    assert_eq!(fresh, after(&[good(200)], MADE));
}

/// The records of an identity's use may vanish at the source; what was seen of it stays.
#[test]
fn a_use_that_is_no_longer_recorded_was_a_use() {
    let mut days = daily(100);
    days[40].used = Some(day(39));
    days[40].key = Some(day(39));
    // Nothing is said of what is known to be used.
    assert_eq!(claims(&said(&days[..=60], MADE)), [None, None, None]);
    // The record was there on the 40th day; a week later at the latest it was seen to be gone.
    days.extend((101..=227).map(good));
    let output = said(&days, MADE);
    assert_eq!(claims(&output), [NARROWER, FULL, FULL]);
    let finding = of(&output, "CRED-001").unwrap();
    assert!(finding.evidence.iter().any(|item| item.claim.contains("since 2025-02-18")), "{:?}", finding.evidence);
    days.push(good(228));
    assert_eq!(claims(&said(&days, MADE))[0], FULL);
}

// --- Seldom used --------------------------------------------------------------------------------------------------

/// Snapshots at six every day; the identity was used at these hours of these days.
fn used_on(to: i64, uses: &[(i64, i64)]) -> Vec<Day> {
    let at = |(on, hour): &(i64, i64)| day(*on).checked_add(SignedDuration::from_hours(hour - 6)).unwrap();
    let last = |today: i64| uses.iter().map(at).filter(|used| *used <= day(today)).max();
    (0..=to).map(|today| Day { used: last(today), ..good(today) }).collect()
}

#[rstest]
#[case::once(&[(1, 5), (100, 5)], FULL)]
#[case::once_in_the_afternoon(&[(1, 5), (100, 15)], FULL)]
// Two days, of which each may hide another one.
#[case::twice(&[(1, 5), (60, 5), (100, 5)], None)]
#[case::often(&[(1, 5), (97, 5), (98, 5), (99, 5), (100, 5)], None)]
#[case::not_long_enough(&[(20, 5), (100, 5)], None)]
#[case::never_before(&[(100, 5)], None)]
fn few_days_of_use_are_rare_use(#[case] uses: &[(i64, i64)], #[case] expected: Option<Claim>) {
    let output = said(&used_on(105, uses), MADE);
    assert_eq!(claims(&output)[1], expected);
    assert_eq!(claims(&output)[0], None);
}

#[test]
fn few_days_are_told_by_the_day_after_which_they_are_counted() {
    let (one, next) = (said(&used_on(105, &[(1, 5), (100, 5)]), MADE), said(&used_on(106, &[(1, 5), (100, 5)]), MADE));
    let finding = of(&one, "CRED-001").unwrap();
    assert!(finding.title.contains("seldom used"), "{}", finding.title);
    let says = finding.evidence.iter().find(|item| item.source.field == "lastSignInDateTime").unwrap();
    assert!(says.claim.contains("was on 2025-04-11"), "{}", says.claim);
    assert!(says.claim.contains("After the one of 2025-01-02 it was used on 3 days at most"), "{}", says.claim);
    assert_eq!(of(&next, "CRED-001").map(undated), Some(undated(finding)));
}

#[test]
fn few_days_need_records_that_were_read_all_the_time() {
    let mut days = used_on(105, &[(1, 5), (100, 5)]);
    days.retain(|day| !(50..58).contains(&day.at));
    assert_eq!(claims(&said(&days, MADE))[1], None);
}

/// DORM-006 stays narrower: of the workload nothing is known. Of the identity more is.
#[test]
fn a_trust_is_told_since_when_nobody_signed_in() {
    let told = |days: &[Day]| {
        let last = days.last().unwrap();
        let mut world = world(last, MADE);
        world.trusts_github();
        let output =
            sv0_rules::run_remembering(&graph(&world), past(&after(days, MADE)), &world.config, day(last.at), 1);
        of(&output, "DORM-006")
    };
    let short = told(&daily(179)).unwrap();
    assert_eq!(short.narrowed.len(), 2);
    assert!(short.narrowed[1].reason.ends_with("is proven since 2025-01-01."), "{:?}", short.narrowed);
    let long = told(&daily(180)).unwrap();
    assert_eq!((long.rule.claim, long.narrowed.len()), (Claim::Narrower, 1));
    assert!(long.title.ends_with("no sign-in since 2025-01-01"), "{}", long.title);
    let mut vanished = daily(60);
    vanished[40].used = Some(day(39));
    assert_eq!(told(&vanished), None);
}

/// The records may be newer than the instant that stands for now: silence becomes proof at an instant that is told before.
#[test]
fn the_moment_at_which_silence_becomes_proof_is_told() {
    let days = daily(200);
    let (memory, last) = (after(&days, MADE), world(&good(200), MADE));
    let graph = graph(&last);
    let at = |now: Timestamp| sv0_rules::run_remembering(&graph, past(&memory), &last.config, now, 1);
    let mut turned = Vec::new();
    let mut now = day(10);
    while let Some(next) = at(now).next_transition.filter(|next| *next <= day(200)) {
        let just_before = next.checked_sub(SignedDuration::from_nanos(1)).unwrap();
        assert_eq!(at(just_before).findings, at(now).findings, "{now} to {next}");
        turned.push((next, claims(&at(now)), claims(&at(next))));
        now = next;
    }
    let told = |rule: usize| turned.iter().find(|(_, before, after)| before[rule] != after[rule]).map(|(at, ..)| *at);
    assert_eq!([told(0), told(1), told(2)], [Some(day(180)), Some(day(30)), Some(day(90))]);
}

// --- Over any series ----------------------------------------------------------------------------------------------

/// What happens on one day of a series.
#[derive(Clone, Copy, Debug)]
enum Event {
    Good,
    Used,
    Partial,
    Still,
    Missed,
}

fn series() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let event = prop_oneof![
        30 => Just(Event::Good),
        2 => Just(Event::Used),
        2 => Just(Event::Partial),
        2 => Just(Event::Still),
        2 => Just(Event::Missed),
    ];
    prop::collection::vec((event, prop::bool::weighted(0.2)), 10..60)
}

/// The snapshots of a series whose source system keeps every last use, and the uses that truly were, by day.
fn played(events: &[(Event, bool)]) -> (Vec<Day>, Vec<i64>) {
    let (mut days, mut uses, mut feed) = (Vec::new(), Vec::new(), 0);
    for (at, (event, _)) in (0i64..).zip(events) {
        // Use is before the reading of the day.
        if matches!(event, Event::Used) {
            uses.push(at);
        }
        if !matches!(event, Event::Still) {
            feed = at;
        }
        let last = uses.last().map(|on| day(*on).checked_sub(SignedDuration::from_hours(2)).unwrap());
        if !matches!(event, Event::Missed) {
            let partial = matches!(event, Event::Partial);
            days.push(Day { at, partial, empty: false, feed: Some(at - feed), used: last, key: None });
        }
    }
    (days, uses)
}

fn limited(days: &[Day]) -> RuleOutput {
    let last = days.last().unwrap();
    let mut world = world(last, MADE);
    (world.config.dormant_days, world.config.rare_use_days, world.config.unused_credential_days) = (20, 5, 10);
    world.config.never_used_grace_days = 1;
    sv0_rules::run_remembering(&graph(&world), past(&after(days, MADE)), &world.config, day(last.at), 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A snapshot that comes twice changes nothing, and losing some never proves more.
    #[test]
    fn snapshots_may_come_twice_and_a_lost_one_proves_no_more(events in series()) {
        let (days, _) = played(&events);
        prop_assume!(!days.is_empty());
        let whole = limited(&days);
        let twice: Vec<Day> = days.iter().flat_map(|day| [day.clone(), day.clone()]).collect();
        prop_assert_eq!(&after(&twice, MADE), &after(&days, MADE));
        let last = days.last().unwrap().at;
        let lost = |day: &&Day| day.at == last || !usize::try_from(day.at).is_ok_and(|at| events[at].1);
        let some: Vec<Day> = days.iter().filter(lost).cloned().collect();
        for (less, more) in claims(&limited(&some)).into_iter().zip(claims(&whole)) {
            prop_assert!(less != FULL || more == FULL, "{less:?} without some, {more:?} with all");
        }
    }

    /// What is proven is true: where the source system keeps every last use, nothing dormant was used.
    #[test]
    fn what_is_proven_is_true(events in series()) {
        let (days, uses) = played(&events);
        prop_assume!(!days.is_empty());
        let last = days.last().unwrap().at;
        let [dormant, seldom, unused] = claims(&limited(&days));
        let idle = |long: i64| uses.iter().all(|used| last - used >= long);
        prop_assert!(dormant != FULL || idle(20));
        prop_assert!(seldom != FULL || idle(5) || uses.iter().filter(|used| last - **used < 90).count() <= 3);
        prop_assert!(unused != FULL || last >= 10);
    }
}
