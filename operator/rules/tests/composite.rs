//! Composites: which findings about the same identity CRED-001 tells, what it says of them, and what has more to say.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod generated;
mod support;

use std::collections::BTreeSet;

use generated::case;
use proptest::prelude::*;
use rstest::rstest;
use support::*;
use sv0_graph::{CoverageState, attr};
use sv0_rules::{COMPOSITES, Claim, RuleFinding, composite_of};

const NOW: &str = "2026-06-01T00:00:00Z";

/// A secret of 2024 that never ends.
fn endless(id: &'static str) -> Key<'static> {
    Key { id, from: Some("2024-01-01T00:00:00Z"), to: Some("none"), ..Key::default() }
}

/// One that is younger than the time for rotation, and ends in time.
fn strong(id: &'static str) -> Key<'static> {
    Key { id, from: Some("2026-04-01T00:00:00Z"), to: Some("2026-08-01T00:00:00Z"), ..Key::default() }
}

/// An administrator of applications made in 2023 with these keys, read now.
fn world(keys: &[Key<'_>]) -> World {
    let mut world = World::new();
    world.enabled(true).role(APPLICATION_ADMINISTRATOR).owners_read(0, 0).made("2023-01-01T00:00:00Z").seen(NOW);
    for key in keys {
        world.key(key);
    }
    world
}

fn used(world: &mut World, at: &str) {
    world.used(attr::LAST_USED_AT, at).used(attr::LAST_UNATTENDED_USE_AT, at);
}

/// What is said of the identity by CRED-001 and by the rules that can be its parts: its claim and title, the rules that it
/// tells, and those that stand beside it.
fn said(world: &World) -> (Claim, String, Vec<String>, Vec<String>) {
    let all: Vec<RuleFinding> =
        world.run().findings.into_iter().filter(|one| one.subject.name == "payroll-bot").collect();
    let composite = all.iter().find(|one| one.rule.id == "CRED-001").unwrap();
    let parts = all.iter().filter(|one| composite_of(&one.rule.id).is_some());
    let (told, beside): (Vec<&RuleFinding>, Vec<_>) = parts.partition(|one| composite.tells.contains(&one.name));
    assert!(told.iter().all(|part| part.severity <= composite.severity), "{}", composite.title);
    assert_eq!(told.len(), composite.tells.len(), "it names what is there");
    let rules = |all: Vec<&RuleFinding>| all.into_iter().map(|one| one.rule.id.clone()).collect();
    (composite.rule.claim, composite.title.clone(), rules(told), rules(beside))
}

type Change = fn(&mut World);

const ALL: &[&str] = &["CRED-002", "CRED-003", "CRED-004", "DORM-001"];
const WEAK: &[&str] = &["CRED-002", "CRED-003"];

#[rstest]
#[case::nothing_was_read_of_use(
    |world: &mut World| { world.cover("servicePrincipalActivity", CoverageState::Denied).cover("credentialActivity", CoverageState::Denied); },
    Claim::Narrower, "is privileged, its secret never expires and is not rotated, and its use is not observable", WEAK, &[]
)]
#[case::nothing_is_recorded_of_use(
    |_: &mut World| (),
    Claim::Narrower, "is privileged, its secret never expires and is not rotated, and no sign-in is recorded", ALL, &[]
)]
#[case::long_ago(
    |world: &mut World| used(world, "2025-06-01T00:00:00Z"),
    Claim::Full, "is privileged and seldom used (last on 2025-06-01), and its secret never expires and is not rotated", ALL, &[]
)]
// The identity was used after the day from which on a credential would be unused: of the credential alone less is known.
#[case::the_identity_is_used_seldom_and_its_secret_not(
    |world: &mut World| { used(world, "2026-04-20T00:00:00Z"); world.trusts_github(); },
    Claim::Full, "is privileged and seldom used (last on 2026-04-20), and its secret never expires and is not rotated",
    WEAK, &["CRED-004"]
)]
#[case::by_its_own_record(
    |world: &mut World| { used(world, "2026-05-31T00:00:00Z"); world.key(&strong("key-2")).key_used("key-1", "2026-01-15T00:00:00Z"); },
    Claim::Full, "is privileged, and its secret never expires and is not rotated, last tried on 2026-01-15",
    &["CRED-002", "CRED-003", "CRED-004"], &[]
)]
#[case::both_records_say_the_same_day(
    |world: &mut World| { used(world, "2025-06-01T00:00:00Z"); world.key_used("key-1", "2025-06-01T00:00:00Z"); },
    Claim::Full, "is privileged and seldom used (last on 2025-06-01), and its secret never expires and is not rotated", ALL, &[]
)]
#[case::both_records_say_different_days(
    |world: &mut World| { used(world, "2026-04-20T00:00:00Z"); world.trusts_github().key_used("key-1", "2026-01-15T00:00:00Z"); },
    Claim::Full,
    "is privileged and seldom used (last on 2026-04-20), and its secret never expires and is not rotated, last tried on 2026-01-15",
    &["CRED-002", "CRED-003", "CRED-004"], &[]
)]
// What nobody can check is not said.
#[case::an_unchecked_record(
    |world: &mut World| { world.cover("servicePrincipalActivity", CoverageState::Denied).key_used("key-1", "2025-03-03T00:00:00Z"); },
    Claim::Narrower, "is privileged, its secret never expires and is not rotated, and its use is not observable",
    WEAK, &["CRED-004"]
)]
// The others of these say something of a credential that the sentence is not about.
#[case::another_weak_one_is_in_use(
    |world: &mut World| {
        used(world, "2026-05-31T00:00:00Z");
        world.key(&endless("key-2")).key_used("key-1", "2026-01-15T00:00:00Z").key_used("key-2", "2026-05-31T00:00:00Z");
    },
    Claim::Full, "is privileged, and its secret never expires and is not rotated, last tried on 2026-01-15",
    &["CRED-004"], WEAK
)]
#[case::another_one_is_not_used_either(
    |world: &mut World| {
        used(world, "2026-05-31T00:00:00Z");
        let short = Key { from: Some("2025-12-10T00:00:00Z"), to: Some("2026-08-01T00:00:00Z"), id: "key-2", ..Key::default() };
        world.key(&short).key(&strong("key-3"));
        world.key_used("key-1", "2026-01-15T00:00:00Z").key_used("key-2", "2026-01-15T00:00:00Z").key_used("key-3", "2026-05-31T00:00:00Z");
    },
    Claim::Full, "is privileged, and its secret never expires and is not rotated, last tried on 2026-01-15",
    &["CRED-002"], &["CRED-003", "CRED-004"]
)]
fn it_tells_what_its_sentence_says(
    #[case] change: Change,
    #[case] claim: Claim,
    #[case] title: &str,
    #[case] told: &[&str],
    #[case] beside: &[&str],
) {
    let mut world = world(&[endless("key-1")]);
    change(&mut world);
    let said = said(&world);
    assert_eq!((said.0, said.1.as_str()), (claim, format!("\"payroll-bot\" {title}").as_str()));
    assert_eq!((said.2, said.3), (owned(told), owned(beside)));
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// That an age is not known is not said by a sentence about a life without an end.
#[test]
fn an_age_that_is_not_known_stands_for_itself() {
    let (_, title, told, beside) = said(&world(&[Key { from: None, ..endless("key-1") }]));
    assert!(title.contains("its secret never expires, and"), "{title}");
    assert_eq!((told, beside), (owned(&["CRED-002", "DORM-001"]), owned(&["CRED-003"])));
}

#[test]
fn several_are_told_as_what_they_have_in_common() {
    let bounded = Key { from: Some("2026-04-01T00:00:00Z"), to: Some("2028-01-01T00:00:00Z"), ..endless("key-2") };
    let mut world = world(&[endless("key-1"), bounded]);
    used(&mut world, "2025-06-01T00:00:00Z");
    let (_, title, told, _) = said(&world);
    assert_eq!(
        title,
        "\"payroll-bot\" is privileged and seldom used (last on 2025-06-01), and its 2 credentials are weak (no end, not \
         rotated, too long a life)"
    );
    assert_eq!(told, owned(ALL));
}

/// The word for a thing that a finding of a part rests on by itself, whatever every finding says alike.
fn decides(claim: &str) -> bool {
    !claim.starts_with("It ") && !claim.starts_with("Sign-in of the ")
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(2026),
        ..ProptestConfig::with_cases(128)
    })]

    /// Whatever the estate: a composite tells only parts of its own subject that are no graver than it, and each object that
    /// one of them rests on by itself is among what it rests on too. Coverage that is lost changes nothing about that.
    #[test]
    fn what_is_told_is_no_graver_and_about_nothing_else(case in case(2..8), lost in any::<bool>()) {
        let mut today = case.today();
        if lost {
            today[0].cover("servicePrincipalActivity", CoverageState::Denied).cover("credentialActivity", CoverageState::Partial);
        }
        let output = case.judged(today.iter().map(sv0_graph::testing::SnapshotBuilder::build).collect(), 2);
        for composite in output.findings.iter().filter(|one| !one.tells.is_empty()) {
            prop_assert!(COMPOSITES.iter().any(|one| one.rule == composite.rule.id));
            let rests: BTreeSet<&str> = composite.evidence.iter().map(|one| one.source.object.as_str()).collect();
            for name in &composite.tells {
                let part = output.findings.iter().find(|one| one.name == *name).unwrap();
                prop_assert_eq!(composite_of(&part.rule.id).map(|one| one.rule), Some(composite.rule.id.as_str()));
                prop_assert_eq!(&part.subject.id, &composite.subject.id);
                prop_assert!(part.severity <= composite.severity, "{} hides {}", composite.title, part.title);
                for one in part.evidence.iter().filter(|one| one.source.object.contains('/') && decides(&one.claim)) {
                    prop_assert!(rests.contains(one.source.object.as_str()), "{} says nothing of {}", composite.title, one.claim);
                }
            }
        }
    }
}
