//! Bundle and replay: an evaluation that the Job carried out is computed again from one file; whatever was done to the
//! file is found.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;
use sv0_api::EstateStatus;
use sv0_engine::bundle::{Bundle, BundleError};
use sv0_engine::gather::{GatherError, gather};
use sv0_engine::replay::{Replay, ReplayError, replay};
use sv0_evaluate::apply::Pace;
use sv0_evaluate::run::run;
use sv0_graph::canonical::{digest, sha256_hex};
use sv0_graph::{CoverageState, NodeKind};
use sv0_protocol::{EvaluateInput, EvaluateRequest};

use crate::common::day;
use crate::drift::changed;
use crate::estate::{SCAN_1, SCAN_2, SCAN_3, builder, identity, remove, scan};
use crate::exceptions::{self, JULY, exception, rule};
use crate::generated::case;
use crate::memory;
use crate::order::order;
use crate::pack::{lines, sealed};
use crate::support::as_of;
use crate::whole::generated_policy;
use crate::world::Memory;

/// What happens to a stored snapshot.
type Act<'a> = &'a dyn Fn(&Memory, &EvaluateInput);
type Lines = Vec<serde_json::Map<String, serde_json::Value>>;

async fn carry_out(world: &Memory, order: &EvaluateRequest) {
    run(order, world, world, &Pace::unbounded(), 2).await.unwrap();
}

fn status(world: &Memory) -> EstateStatus {
    world.0.lock().unwrap().estate.clone()
}

/// The bundle of the world's last evaluation.
async fn exported(world: &Memory) -> Bundle {
    let digest = status(world).pack_digest.unwrap();
    let pack = world.0.lock().unwrap().packs[&digest].clone();
    gather(world, "team-a", pack).await.unwrap()
}

fn through_a_file(bundle: &Bundle) -> Bundle {
    let file = bundle.write().unwrap();
    assert_eq!(bundle.write().unwrap(), file);
    let read = Bundle::read(&Bytes::from(file)).unwrap();
    assert_eq!(&read, bundle);
    read
}

/// Exports, computes again, and holds the result against what stands in the world.
pub(crate) async fn proven(world: &Memory) -> Replay {
    let bundle = through_a_file(&exported(world).await);
    let replay = replay(&bundle, 3).unwrap();
    assert_eq!(replay.difference, None);
    let status = status(world);
    assert_eq!(Some(&replay.pack_digest), status.pack_digest.as_ref());
    assert_eq!(Some(&replay.evaluation.ledger.digest), status.ledger.as_ref());
    let computed: Vec<_> = replay
        .evaluation
        .findings
        .iter()
        .map(|(name, spec)| (name.clone(), sv0_engine::convert::labels(spec), serde_json::to_value(spec).unwrap()))
        .collect();
    assert_eq!(computed, world.end_state());
    replay
}

async fn evaluated() -> Memory {
    let world = Memory::default();
    let input = world.scan(&scan(SCAN_1));
    carry_out(&world, &order(vec![input], day(10), &EstateStatus::default())).await;
    world
}

#[tokio::test]
async fn each_evaluation_of_a_life_is_computed_again() {
    let world = evaluated().await;
    proven(&world).await;
    let input = world.scan(&remove(SCAN_2));
    let next =
        EvaluateRequest { waiting: vec!["w".into()], max_findings: 2, ..order(vec![input], day(11), &status(&world)) };
    carry_out(&world, &next).await;
    let replay = proven(&world).await;
    assert!(replay.evaluation.tally.resolved > 0 && replay.evaluation.tally.truncated > 0);
    let input = world.scan(&scan(SCAN_3));
    let spec = json!({ "thresholds": { "rotateDays": 3650 } });
    carry_out(&world, &EvaluateRequest { estate_spec: spec, ..order(vec![input], day(12), &status(&world)) }).await;
    assert_eq!(proven(&world).await.pack.header.config.estate.thresholds.rotate_days, 3650);
}

/// What the present snapshots do not show stands in the ledger, which is a part of the bundle.
#[tokio::test]
async fn silence_that_became_proof_is_proven_again() {
    let world = Memory::default();
    let spec = json!({ "thresholds": { "dormantDays": 20 } });
    for n in 0..=20 {
        let input = world.scan(&memory::scan(n));
        let order = order(vec![input], memory::taken(n), &status(&world));
        carry_out(&world, &EvaluateRequest { estate_spec: spec.clone(), ..order }).await;
    }
    let replay = proven(&world).await;
    let dormant = replay.evaluation.findings.values().find(|spec| spec.rule.id == "DORM-001").unwrap();
    assert_eq!((dormant.rule.claim, dormant.subject.name.as_str()), (sv0_api::Claim::Full, "pilot"));
}

/// Drift is measured again from the same baseline, and what was accepted is accepted again.
#[tokio::test]
async fn drift_and_accepted_risks_are_computed_again() {
    let (world, exceptions) = exceptions::world(&[exception("known", &rule("CRED-002"), JULY)]);
    for (n, snapshot) in [(10, scan(SCAN_1)), (11, changed(SCAN_2))] {
        let mut order = order(vec![world.scan(&snapshot)], day(n), &status(&world));
        order.exceptions = exceptions.clone();
        carry_out(&world, &order).await;
        let replay = proven(&world).await;
        assert!(replay.evaluation.tally.accepted > 0);
        let drifts = replay.evaluation.findings.keys().filter(|name| name.starts_with("drift-")).count();
        assert_eq!(drifts > 0, n == 11);
    }
    let mut bundle = exported(&world).await;
    bundle.manifests.remove(&("u".to_owned(), SCAN_1.to_owned()));
    assert!(matches!(replay(&bundle, 1), Err(ReplayError::Snapshot { id, .. }) if id == SCAN_1));
}

#[tokio::test]
async fn a_snapshot_that_was_set_aside_is_set_aside_again() {
    let damaged = |world: &Memory, input: &EvaluateInput| {
        world.0.lock().unwrap().manifests.remove(&("u".to_owned(), input.snapshot_id.clone()));
    };
    let future = |world: &Memory, input: &EvaluateInput| {
        let mut world = world.0.lock().unwrap();
        let manifest = world.manifests.get_mut(&("u".to_owned(), input.snapshot_id.clone())).unwrap();
        let text = String::from_utf8(manifest.to_vec()).unwrap();
        *manifest = text.replace("securityv0.snapshot/1", "securityv0.snapshot/9").into();
    };
    let lost_part = |world: &Memory, _: &EvaluateInput| world.0.lock().unwrap().parts.clear();
    let acts: [(&str, Act<'_>); 3] = [("Damaged", &damaged), ("UnknownFormat", &future), ("Damaged", &lost_part)];
    for (reason, act) in acts {
        let world = evaluated().await;
        let before = world.0.lock().unwrap().parts.clone();
        let mut different = remove(SCAN_2);
        different.node("applications", NodeKind::Application, "only here", &[]);
        let mut input = world.scan(&different);
        act(&world, &input);
        world.0.lock().unwrap().parts.extend(before);
        if reason == "UnknownFormat" {
            let manifest = world.0.lock().unwrap().manifests[&("u".to_owned(), SCAN_2.to_owned())].clone();
            input.snapshot_digest = digest(&manifest);
        }
        carry_out(&world, &order(vec![input], day(11), &status(&world))).await;
        let replay = proven(&world).await;
        let snapshot = &replay.pack.header.snapshots[0];
        assert_eq!(snapshot.quarantined.as_deref(), Some(reason));
        assert_eq!((snapshot.snapshot_id.as_str(), snapshot.used_id.as_deref()), (SCAN_2, Some(SCAN_1)));
    }
}

#[tokio::test]
async fn a_snapshot_beyond_the_memory_is_beyond_it_again() {
    let world = evaluated().await;
    let input = world.scan(&scan(SCAN_2));
    let small = EvaluateRequest { max_snapshot_bytes: Some(100), ..order(vec![input], day(11), &status(&world)) };
    carry_out(&world, &small).await;
    let replay = proven(&world).await;
    let snapshot = &replay.pack.header.snapshots[0];
    assert_eq!((snapshot.quarantined.as_deref(), &snapshot.used_id), (Some("TooLarge"), &None));
}

#[tokio::test]
async fn an_evaluation_that_lost_its_ledger_says_so_and_is_computed_again() {
    let world = evaluated().await;
    world.0.lock().unwrap().ledgers.clear();
    let input = world.scan(&scan(SCAN_2));
    carry_out(&world, &order(vec![input], day(11), &status(&world))).await;
    let replay = proven(&world).await;
    let config = &replay.pack.header.config;
    assert!(config.history_lost && config.ledger.is_some());
}

#[tokio::test]
async fn what_the_store_no_longer_holds_is_named() {
    for (what, act) in [
        (
            "snapshot 00000000000001-aaaaaaaa of the instance entra-u",
            (|w| w.manifests.clear()) as fn(&mut crate::world::World),
        ),
        ("snapshot 00000000000001-aaaaaaaa of the instance entra-u", |w| w.parts.clear()),
        ("the ledger that it left", |w| w.ledgers.clear()),
    ] {
        let world = evaluated().await;
        act(&mut world.0.lock().unwrap());
        let pack = world.0.lock().unwrap().packs.values().next().unwrap().clone();
        let error = gather(&world, "team-a", pack).await.unwrap_err();
        assert!(matches!(&error, GatherError::Gone(gone) if gone == what), "{error}");
    }
    let world = evaluated().await;
    let pack = world.0.lock().unwrap().packs.values().next().unwrap().clone();
    world.0.lock().unwrap().store_down = true;
    assert!(matches!(gather(&world, "team-a", pack).await, Err(GatherError::Store(_))));
}

/// A forger who makes every digest of the file anew is found by the computation itself.
#[tokio::test]
async fn a_forged_conclusion_is_found_and_named() {
    let bundle = exported(&evaluated().await).await;
    let forged = |change: &dyn Fn(&mut Lines)| {
        let mut lines = lines(&bundle.pack);
        change(&mut lines);
        let bundle = through_a_file(&Bundle { pack: sealed(lines).into(), ..bundle.clone() });
        replay(&bundle, 1).unwrap().difference.expect("it is found")
    };
    let name = lines(&bundle.pack)[2]["name"].as_str().unwrap().to_owned();

    let title = forged(&|lines| lines[2]["spec"]["title"] = json!("Nothing to see here"));
    assert_eq!((title.place.as_str(), title.field.as_str()), (format!("finding {name}").as_str(), "/spec/title"));
    assert_eq!(title.expected, "\"Nothing to see here\"");
    assert!(title.to_string().contains("the bundle says \"Nothing to see here\", computed again it is \""), "{title}");

    let hidden = forged(&|lines| {
        lines.remove(2);
        let count = lines.len() - 2;
        lines[0].insert("findings".into(), count.into());
        let last = lines.len() - 1;
        lines[last].insert("findings".into(), count.into());
        lines[last].insert("kept".into(), count.into());
    });
    assert_eq!((hidden.place.as_str(), hidden.field.as_str()), (format!("finding {name}").as_str(), ""));
    assert_eq!((hidden.expected.as_str(), hidden.actual.as_str()), ("that it is not there", "that it is there"));

    let gap = forged(&|lines| lines[0]["gaps"] = json!([{"instance": "x", "state": "denied"}]));
    assert_eq!((gap.place.as_str(), gap.field.as_str()), ("the pack's header", "/gaps/0"));

    // Another day: what follows from it differs.
    let day = forged(&|lines| lines[0]["config"]["asOf"] = json!("2026-01-11T12:00:00Z"));
    assert_eq!(day.field, "/spec/firstObserved");
}

/// A forger who changes what was seen, with all names and digests made anew, has another snapshot than the pack names.
#[tokio::test]
async fn forged_inputs_are_unusable() {
    let bundle = exported(&evaluated().await).await;
    let other = exported(&{
        let world = Memory::default();
        let input = world.scan(&remove(SCAN_1));
        carry_out(&world, &order(vec![input], day(10), &EstateStatus::default())).await;
        world
    })
    .await;
    let inputs = Bundle { manifests: other.manifests.clone(), parts: other.parts.clone(), ..bundle.clone() };
    assert!(matches!(replay(&inputs, 1), Err(ReplayError::Snapshot { .. })));
    let no_part = Bundle { parts: BTreeMap::new(), ..bundle.clone() };
    assert!(matches!(replay(&no_part, 1), Err(ReplayError::Snapshot { .. })));
    let started = Bundle { ledger: Some(other.next_ledger.clone()), ..bundle.clone() };
    assert!(matches!(replay(&started, 1), Err(ReplayError::LedgerDigest(_))));
    let left = Bundle { next_ledger: other.next_ledger, ..bundle };
    assert!(matches!(replay(&left, 1), Err(ReplayError::LedgerDigest(_))));
}

/// A list of digests whose names are none is refused before anything is looked for under them.
#[tokio::test]
async fn a_name_that_no_member_has_is_not_repeated() {
    let good = exported(&evaluated().await).await.write().unwrap();
    let at = good.windows(11).position(|window| window == b"bundle.json").unwrap();
    for evil in ["\u{1b}[2J.json\u{7}", "a\u{202e}b12345"] {
        let mut file = good.clone();
        file[at..at + evil.len()].copy_from_slice(evil.as_bytes());
        assert_eq!(Bundle::read(&Bytes::from(file)), Err(BundleError::Sums(1)));
    }
}

/// Whatever a forger tells the evaluation, computing it again ends in an answer.
#[tokio::test]
async fn no_configuration_makes_it_fall() {
    let (world, exceptions) = exceptions::world(&[exception("known", &rule("CRED-002"), JULY)]);
    for (n, snapshot) in [(10, scan(SCAN_1)), (11, remove(SCAN_2)), (12, changed(SCAN_3))] {
        let mut order = order(vec![world.scan(&snapshot)], day(n), &status(&world));
        order.exceptions = exceptions.clone();
        carry_out(&world, &order).await;
    }
    let bundle = exported(&world).await;
    let days =
        [json!("-009999-01-03T00:00:00Z"), json!("9999-12-30T22:00:00.999999999Z"), json!("1970-01-01T00:00:00Z")];
    let counts = [json!(i32::MIN), json!(-1), json!(0), json!(i32::MAX)];
    let mut changes: Vec<(String, serde_json::Value)> = Vec::new();
    for field in ["asOf", "exceptions/0/createdAt", "exceptions/0/spec/expiresAt"] {
        changes.extend(days.iter().map(|day| (field.to_owned(), day.clone())));
    }
    let estate = serde_json::to_value(sv0_api::EstateSpec::default()).unwrap();
    let thresholds = estate["thresholds"].as_object().unwrap().keys().map(|name| format!("thresholds/{name}"));
    for field in thresholds.chain(["retention/resolvedDays".to_owned()]) {
        changes.extend(counts.iter().map(|count| (format!("estate/{field}"), count.clone())));
    }
    for field in ["maxFindings", "maxSnapshotBytes"] {
        changes.extend([json!(0), json!(u64::MAX)].map(|count| (field.to_owned(), count)));
    }
    for (field, value) in changes {
        let mut lines = lines(&bundle.pack);
        let there = lines[0]["config"].pointer_mut(&format!("/{field}"));
        let before = std::mem::replace(there.unwrap_or_else(|| panic!("{field}")), value.clone());
        assert_ne!(before, value, "{field}");
        // What matters to no finding of this estate gives an equal result: the forger then told the truth.
        let said = match replay(&Bundle { pack: sealed(lines).into(), ..bundle.clone() }, 2) {
            Ok(replay) => replay.difference.map_or_else(|| "equal".to_owned(), |difference| difference.to_string()),
            Err(error) => error.to_string(),
        };
        assert!(!said.is_empty(), "{field} {value}");
    }
    let stored = bundle.ledger.clone().unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&zstd::decode_all(&*stored).unwrap()).unwrap();
    for at in days {
        let mut ledger = stored.clone();
        for remembered in ledger["findings"].as_object_mut().unwrap().values_mut() {
            remembered["spec"]["firstObserved"] = at.clone();
            remembered["spec"]["resolvedAt"] = at.clone();
            remembered["spec"]["severityRank"] = json!(i32::MIN);
        }
        let mut lines = lines(&bundle.pack);
        let ledger = zstd::encode_all(ledger.to_string().as_bytes(), 3).unwrap();
        lines[0]["config"]["ledger"] = json!(digest(&ledger));
        let forged = Bundle { pack: sealed(lines).into(), ledger: Some(ledger.into()), ..bundle.clone() };
        // A year that no resource can hold is unreadable in what comes out.
        assert!(replay(&forged, 2).map_or(true, |replay| replay.difference.is_some()), "{at}");
    }
}

#[tokio::test]
async fn a_bundle_of_other_rules_names_the_version_it_needs() {
    let bundle = exported(&evaluated().await).await;
    for (field, value) in [
        ("version", "entra-2030.1"),
        ("digest", "sha256:0"),
        ("referenceDataDigest", "sha256:0"),
        ("compressor", "zstd 9.9.9"),
    ] {
        let mut lines = lines(&bundle.pack);
        lines[0]["rulePack"][field] = json!(value);
        let error = replay(&Bundle { pack: sealed(lines).into(), ..bundle.clone() }, 1).unwrap_err();
        assert!(matches!(error, ReplayError::Rules { .. }), "{error}");
        let sentence = error.to_string();
        assert!(sentence.contains(value) && sentence.contains(sv0_protocol::RULE_PACK), "{sentence}");
    }
}

/// Each byte of a whole file in turn: no change goes unseen, and nothing but the end may be cut off.
#[tokio::test]
async fn one_changed_byte_anywhere_is_found() {
    let world = Memory::default();
    let mut small = builder("u", SCAN_1);
    identity(&mut small, "bot", Some(("2024-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
    let input = world.scan(&small);
    carry_out(&world, &EvaluateRequest { max_findings: 1, ..order(vec![input], day(10), &EstateStatus::default()) })
        .await;
    let bundle = exported(&world).await;
    let good = bundle.write().unwrap();
    assert!(Bundle::read(&Bytes::from(good.clone())).is_ok());
    // Each position is changed in one way; which one follows from the position.
    let mut file = bytes::BytesMut::from(good.as_slice());
    for at in 0..good.len() {
        let bit = 1u8 << (at % 8);
        file[at] ^= bit;
        let frozen = file.freeze();
        let error = Bundle::read(&frozen).expect_err(&format!("byte {at} of {}", good.len()));
        assert!(!error.to_string().is_empty());
        file = frozen.try_into_mut().unwrap();
        file[at] ^= bit;
    }
    for cut in (0..good.len()).step_by(97) {
        assert!(Bundle::read(&Bytes::copy_from_slice(&good[..cut])).is_err(), "cut at {cut}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(Bundle::read(&Bytes::from(longer)), Err(BundleError::Added(_))));
}

#[tokio::test]
async fn a_changed_member_is_named() {
    let bundle = exported(&evaluated().await).await;
    let good = bundle.write().unwrap();
    let at = |needle: &[u8]| good.windows(needle.len()).position(|window| window == needle).unwrap();
    let changed = |at: usize| {
        let mut file = good.clone();
        file[at] ^= 1;
        Bundle::read(&Bytes::from(file)).unwrap_err()
    };
    assert_eq!(changed(at(&bundle.pack) + 40), BundleError::Changed("pack.jsonl.zst".into()));
    let ((uid, id), manifest) = bundle.manifests.iter().next().unwrap();
    assert_eq!(changed(at(manifest) + 9), BundleError::Changed(format!("snapshots/{uid}/{id}/manifest.json")));
    let ((_, sha256), part) = bundle.parts.iter().next().unwrap();
    assert_eq!(changed(at(part) + 9), BundleError::Changed(format!("snapshots/u/parts/{sha256}.jsonl.zst")));
    assert_eq!(changed(at(&bundle.pack) - 512 + 100), BundleError::Header("pack.jsonl.zst".into()), "the mode");
    // A member swapped for another with its own right digest.
    let swapped = Bundle { next_ledger: bundle.pack.clone(), ..bundle.clone() };
    assert!(matches!(replay(&through_a_file(&swapped), 1), Err(ReplayError::LedgerDigest(_))));
    let nothing = Bundle::read(&Bytes::from_static(b"no"));
    assert_eq!(nothing, Err(BundleError::NotABundle));
    let name = ("../../etc".to_owned(), "1".to_owned());
    let mut manifests = bundle.manifests.clone();
    manifests.insert(name, Bytes::new());
    assert_eq!(Bundle { manifests, ..bundle }.write(), Err(BundleError::Name));
}

/// What a common tool sees: names in order, and a list of digests that is right.
#[tokio::test]
async fn any_tool_can_unpack_and_check_it() {
    let file = exported(&evaluated().await).await.write().unwrap();
    let mut archive = tar::Archive::new(file.as_slice());
    let mut members = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        members.push((entry.path().unwrap().display().to_string(), content));
    }
    let (name, sums) = members.remove(0);
    assert_eq!(name, "SHA256SUMS");
    let expected: Vec<_> = members.iter().map(|(name, bytes)| format!("{}  {name}", sha256_hex(bytes))).collect();
    assert_eq!(String::from_utf8(sums).unwrap().lines().collect::<Vec<_>>(), expected);
    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted() && names.contains(&"bundle.json") && names.contains(&"pack.jsonl.zst"), "{names:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever an estate looked like, lacked and declared: each of its evaluations is computed again, to the byte. The
    /// second one measures drift from the first.
    #[test]
    fn replay_of_any_evaluation_is_equal(
        case in case(1..6),
        lacking in proptest::option::of((0usize..27, 0usize..4)),
        elsewhere in any::<bool>(),
        most in prop_oneof![0u32..6, Just(1000)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = Memory::default();
            let spec = serde_json::to_value(generated_policy(&case)).unwrap();
            let others = || if elsewhere { vec![] } else { vec!["uid-azure".to_owned()] };
            let [mut directory, azure, aws] = case.today();
            if let Some((collection, state)) = lacking {
                let all = sv0_graph::testing::ENTRA_COLLECTIONS;
                let states =
                    [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped];
                directory.cover(all[collection], states[state]);
            }
            let mut now = vec![world.scan(&directory)];
            if elsewhere {
                now.extend([world.scan(&azure), world.scan(&aws)]);
            }
            for (hours, inputs) in [(0, vec![world.scan(&case.then())]), (1, now)] {
                let as_of = as_of() + SignedDuration::from_hours(hours);
                let waiting = if hours == 0 { others() } else { vec![] };
                let order = order(inputs, as_of, &status(&world));
                let order = EvaluateRequest { max_findings: most, waiting, estate_spec: spec.clone(), ..order };
                carry_out(&world, &order).await;
                proven(&world).await;
            }
        });
    }

    #[test]
    fn any_bytes_are_no_bundle(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Bundle::read(&Bytes::from(bytes)).is_err());
    }
}
