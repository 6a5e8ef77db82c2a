//! One suite for both back ends: what the store promises about its objects, with a directory and with S3.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests too")]

mod bench;
#[path = "bench/faulty.rs"]
mod faulty;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bench::{Bench, Kind};
use bytes::Bytes;
use faulty::{Fault, Faulty};
use futures::TryStreamExt as _;
use futures::future::join_all;
use object_store::ObjectStore;
use rstest::rstest;
use sha2::{Digest, Sha256 as Hasher};
use sv0_store::gc::{Retention, collect, collect_instance};
use sv0_store::keys::{Blob, Home, ScanId, Sha256, Uid};
use sv0_store::objects::{Bounds, ObjectError, Objects, Written};

const HOUR: Duration = Duration::from_hours(1);
const BOUNDS: Bounds = Bounds { quota_bytes: 10_000_000, estate_quota_bytes: 100_000_000, grace: HOUR };
/// What even the smallest object is charged.
const LEAST: u64 = 16 * 1024;
const RETENTION: Retention = Retention { snapshots: 2, packs: 2, ledgers: 3, blob_age: HOUR };

fn uid(n: u32) -> Uid {
    Uid::parse(&format!("00000000-0000-4000-8000-{n:012}")).unwrap()
}

fn home(instance: u32) -> Home {
    Home::instance(&uid(900), &uid(instance))
}

fn id(n: u64) -> ScanId {
    ScanId::parse(&format!("{n:014}-0000abcd")).unwrap()
}

fn name(body: &[u8]) -> Sha256 {
    Sha256::parse(&hex::encode(Hasher::digest(body))).unwrap()
}

fn body(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn manifest(parts: &[&str], note: &str) -> Bytes {
    let parts: Vec<_> = parts
        .iter()
        .map(|p| serde_json::json!({"kind": "nodes", "sha256": name(p.as_bytes()).as_str(), "bytes": p.len(), "rows": 1}))
        .collect();
    Bytes::from(serde_json::json!({"header": {"note": note}, "parts": parts}).to_string())
}

async fn put(objects: &Objects, home: &Home, part: &str) -> Result<Written, ObjectError> {
    objects.put_part(home, &name(part.as_bytes()), body(part)).await
}

async fn put_manifest(objects: &Objects, home: &Home, scan: u64, manifest: Bytes) -> Result<Written, ObjectError> {
    objects.put_manifest(home, &id(scan), manifest).await
}

async fn put_snapshot(objects: &Objects, home: &Home, scan: u64, parts: &[&str]) {
    for part in parts {
        objects.put_part(home, &name(part.as_bytes()), body(part)).await.unwrap();
    }
    objects.put_manifest(home, &id(scan), manifest(parts, "")).await.unwrap();
}

async fn has_part(objects: &Objects, home: &Home, part: &str) -> bool {
    match objects.open(&home.part(&name(part.as_bytes()))).await {
        Ok(object) => {
            assert_eq!(object.bytes().await.unwrap(), part.as_bytes());
            true
        }
        Err(ObjectError::Missing) => false,
        Err(e) => panic!("{e:?}"),
    }
}

async fn all_keys(store: &dyn ObjectStore) -> BTreeSet<String> {
    store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_creates_exactly_one_wins(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let home = home(1);
    for round in 0..8 {
        let part = format!("part {round}");
        let puts = join_all((0..8).map(|_| put(&objects, &home, &part))).await;
        let new = puts.iter().filter(|r| matches!(r, Ok(Written::New))).count();
        let already = puts.iter().filter(|r| matches!(r, Ok(Written::Already))).count();
        assert_eq!((new, already), (1, 7), "the same part");

        let bodies: Vec<_> = (0..8).map(|i| manifest(&[&part], &format!("writer {i}"))).collect();
        let puts = join_all(bodies.iter().map(|b| put_manifest(&objects, &home, round, b.clone()))).await;
        let winners: Vec<_> = (0..8).filter(|i| matches!(puts[*i], Ok(Written::New))).collect();
        let losers = puts.iter().filter(|r| matches!(r, Err(ObjectError::Conflict))).count();
        assert_eq!((winners.len(), losers), (1, 7), "different manifests under one id: {puts:?}");
        let visible = objects.open(&home.snapshot(&id(round))).await.unwrap().bytes().await.unwrap();
        assert_eq!(visible, bodies[winners[0]], "what is visible is the winner's");
    }
}

#[rstest]
#[tokio::test]
async fn an_identical_retry_changes_nothing_and_another_content_is_refused(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let (home, part) = (home(1), "a part");
    let sha256 = name(part.as_bytes());
    assert_eq!(objects.put_part(&home, &sha256, body(part)).await.unwrap(), Written::New);
    assert_eq!(objects.put_part(&home, &sha256, body(part)).await.unwrap(), Written::Already);
    assert!(matches!(objects.put_part(&home, &sha256, body("b part")).await, Err(ObjectError::Digest)));
    let first = manifest(&[part], "one");
    assert_eq!(objects.put_manifest(&home, &id(1), first.clone()).await.unwrap(), Written::New);
    assert_eq!(objects.put_manifest(&home, &id(1), first).await.unwrap(), Written::Already);
    let other = objects.put_manifest(&home, &id(1), manifest(&[part], "two")).await;
    assert!(matches!(other, Err(ObjectError::Conflict)));
    let (estate, pack) = (uid(900), "a pack");
    for blob in [Blob::Pack, Blob::Ledger] {
        let sha256 = name(pack.as_bytes());
        assert_eq!(objects.put_blob(&estate, blob, &sha256, body(pack)).await.unwrap(), Written::New);
        assert_eq!(objects.put_blob(&estate, blob, &sha256, body(pack)).await.unwrap(), Written::Already);
    }
}

#[rstest]
#[tokio::test]
async fn a_manifest_needs_its_own_instances_parts_in_their_sizes(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    put(&objects, &home(2), "p").await.unwrap();
    let refused = objects.put_manifest(&home(1), &id(1), manifest(&["p"], "")).await;
    assert!(matches!(refused, Err(ObjectError::PartMissing)), "another instance's part does not count");
    put(&objects, &home(1), "p").await.unwrap();
    let lying = serde_json::json!({"parts": [{"sha256": name(b"p").as_str(), "bytes": 2}]}).to_string();
    let refused = objects.put_manifest(&home(1), &id(1), Bytes::from(lying)).await;
    assert!(matches!(refused, Err(ObjectError::PartMissing)), "another size does not count");
    for bad in ["", "[]", "{}", r#"{"parts":[{}]}"#, r#"{"parts":[{"sha256":"../../x","bytes":1}]}"#] {
        let refused = objects.put_manifest(&home(1), &id(1), body(bad)).await;
        assert!(matches!(refused, Err(ObjectError::BadManifest)), "{bad}");
    }
    assert!(objects.list_snapshots(&home(1)).await.unwrap().is_empty());
}

#[rstest]
#[tokio::test]
async fn a_scan_that_dies_before_its_manifest_leaves_nothing_visible(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let home = home(1);
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    put(&objects, &home, "one").await.unwrap();
    put(&objects, &home, "two").await.unwrap();
    // The store is killed too, and starts again.
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    assert!(objects.list_snapshots(&home).await.unwrap().is_empty());
    let now = SystemTime::now();
    assert_eq!(collect(&objects, RETENTION, now).await.unwrap().parts, 0, "the scan may still be running");
    assert!(has_part(&objects, &home, "one").await);
    assert_eq!(collect(&objects, RETENTION, now + 2 * HOUR).await.unwrap().parts, 2);
    let late = objects.put_manifest(&home, &id(1), manifest(&["one", "two"], "")).await;
    assert!(matches!(late, Err(ObjectError::PartMissing)), "a scan that wakes up is told to put its parts again");
    assert!(all_keys(&*bench.store).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn snapshots_are_listed_oldest_first(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let scans = [900, 5, 70, 1_764_000_000_000, 10, 1];
    for scan in scans {
        put_snapshot(&objects, &home(1), scan, &["same"]).await;
    }
    put_snapshot(&objects, &home(2), 6, &["same"]).await;
    let expected: Vec<String> =
        [1, 5, 10, 70, 900, 1_764_000_000_000].iter().map(|n| id(*n).as_str().to_owned()).collect();
    assert_eq!(objects.list_snapshots(&home(1)).await.unwrap(), expected);
    assert_eq!(objects.list_snapshots(&home(3)).await.unwrap(), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn the_quota_binds_one_instance_and_a_retry_is_free(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let bounds = Bounds { quota_bytes: 2 * LEAST, ..BOUNDS };
    let objects = Objects::new(Arc::clone(&bench.store), bounds);
    let (a, b, c) = ("a".repeat(900), "b".repeat(900), "c".repeat(900));
    for part in [&a, &b] {
        objects.put_part(&home(1), &name(part.as_bytes()), body(part)).await.unwrap();
    }
    assert!(matches!(put(&objects, &home(1), &c).await, Err(ObjectError::Quota)));
    assert!(!has_part(&objects, &home(1), &c).await);
    let again = put(&objects, &home(1), &a).await.unwrap();
    assert_eq!(again, Written::Already, "what is there already needs no room");
    put(&objects, &home(2), &c).await.unwrap();
    // A store that starts again counts what is there.
    let restarted = Objects::new(Arc::clone(&bench.store), bounds);
    let refused = put(&restarted, &home(1), &c).await;
    assert!(matches!(refused, Err(ObjectError::Quota)));
    // What the collector frees can be used at once.
    collect(&objects, RETENTION, SystemTime::now() + 2 * HOUR).await.unwrap();
    assert_eq!(put(&objects, &home(1), &c).await.unwrap(), Written::New);
}

/// Whoever can make tokens in an estate can make them for any instance UID.
#[rstest]
#[tokio::test]
async fn invented_instances_do_not_fill_the_store(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let bounds = Bounds { estate_quota_bytes: 5 * LEAST, ..BOUNDS };
    let objects = Objects::new(Arc::clone(&bench.store), bounds);
    let mut taken = 0;
    for invented in 0..20 {
        match put(&objects, &home(invented), "x").await {
            Ok(_) => taken += 1,
            Err(error) => assert!(matches!(error, ObjectError::Quota), "{error:?}"),
        }
    }
    assert_eq!(taken, 5);
    let neighbour = Home::instance(&uid(901), &uid(1));
    assert_eq!(put(&objects, &neighbour, "x").await.unwrap(), Written::New, "another estate has room");
    // Its packs count too, and what the collector frees is room again.
    let pack = objects.put_blob(&uid(900), Blob::Pack, &name(b"p"), body("p")).await;
    assert!(matches!(pack, Err(ObjectError::Quota)), "{pack:?}");
    collect(&objects, RETENTION, SystemTime::now() + 2 * HOUR).await.unwrap();
    assert_eq!(objects.put_blob(&uid(900), Blob::Pack, &name(b"p"), body("p")).await.unwrap(), Written::New);
}

#[rstest]
#[tokio::test]
async fn a_snapshot_from_the_future_displaces_nothing(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    put_snapshot(&objects, &home(1), 1, &["good"]).await;
    for ahead in [99_999_999_999_999, now_millis() + 3_600_000] {
        let planted = objects.put_manifest(&home(1), &id(ahead), manifest(&["good"], "planted")).await;
        assert!(matches!(planted, Err(ObjectError::FutureScan)), "{planted:?}");
    }
    // Clocks of nodes differ a little.
    objects.put_manifest(&home(1), &id(now_millis() + 60_000), manifest(&["good"], "")).await.unwrap();
    collect(&objects, Retention { snapshots: 1, ..RETENTION }, SystemTime::now()).await.unwrap();
    assert_eq!(objects.list_snapshots(&home(1)).await.unwrap().len(), 1);
}

fn now_millis() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_do_not_exceed_the_quota(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), Bounds { quota_bytes: 10 * LEAST, ..BOUNDS });
    let parts: Vec<String> = (0..20).map(|i| format!("{i:0>100}")).collect();
    let home = home(1);
    let puts = join_all(parts.iter().map(|p| put(&objects, &home, p))).await;
    assert_eq!(puts.iter().filter(|r| r.is_ok()).count(), 10);
    let stored: u64 =
        bench.store.list(None).map_ok(|m| m.size).try_fold(0, |n, s| async move { Ok(n + s) }).await.unwrap();
    assert_eq!(stored, 1_000);
}

#[rstest]
#[tokio::test]
async fn a_reader_that_holds_a_manifest_keeps_its_parts_for_the_grace(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let home = home(1);
    for scan in 1..=4 {
        put_snapshot(&objects, &home, scan, &["shared", &format!("only {scan}")]).await;
    }
    // Every part is old when its snapshot leaves view: its age alone would let it go at once.
    for part in ["shared", "only 1", "only 2", "only 3", "only 4"] {
        bench.make_older(&home.part(&name(part.as_bytes())), 5 * HOUR);
    }
    let now = SystemTime::now();
    let collected = collect_instance(&objects, &home, RETENTION, now).await.unwrap();
    assert_eq!((collected.snapshots, collected.parts), (2, 0));
    assert_eq!(objects.list_snapshots(&home).await.unwrap(), [id(3).as_str(), id(4).as_str()]);
    let collected = collect_instance(&objects, &home, RETENTION, now + HOUR / 2).await.unwrap();
    assert_eq!((collected.snapshots, collected.parts), (0, 0));
    assert!(has_part(&objects, &home, "only 1").await, "a reader of the oldest snapshot still finds its part");
    let collected = collect_instance(&objects, &home, RETENTION, now + 2 * HOUR).await.unwrap();
    assert_eq!((collected.snapshots, collected.parts), (0, 2));
    for (part, there) in [("only 1", false), ("only 2", false), ("only 3", true), ("only 4", true), ("shared", true)] {
        assert_eq!(has_part(&objects, &home, part).await, there, "{part}");
    }
    assert_eq!(all_keys(&*bench.store).await.len(), 5, "two manifests, three parts, nothing else");
}

#[rstest]
#[tokio::test]
async fn a_scan_that_finds_its_part_already_there_does_not_lose_it(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let home = home(1);
    // Left by a scan that died long ago; nothing refers to it.
    put(&objects, &home, "old").await.unwrap();
    bench.make_older(&home.part(&name(b"old")), 5 * HOUR);
    assert_eq!(put(&objects, &home, "old").await.unwrap(), Written::Already);
    assert_eq!(collect(&objects, RETENTION, SystemTime::now()).await.unwrap().parts, 0);
    assert_eq!(objects.put_manifest(&home, &id(1), manifest(&["old"], "")).await.unwrap(), Written::New);
    assert!(has_part(&objects, &home, "old").await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn collecting_while_scans_write_and_readers_read_loses_nothing_visible(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Arc::new(Objects::new(Arc::clone(&bench.store), BOUNDS));
    let home = home(1);
    put_snapshot(&objects, &home, 1, &["shared", "only 1"]).await;
    let writer = {
        let (objects, home) = (Arc::clone(&objects), home.clone());
        tokio::spawn(async move {
            for scan in 2..=25 {
                put_snapshot(&objects, &home, scan, &["shared", &format!("only {scan}")]).await;
            }
        })
    };
    let mut read = 0;
    loop {
        let done = writer.is_finished();
        collect_instance(&objects, &home, RETENTION, SystemTime::now()).await.unwrap();
        let ids = objects.list_snapshots(&home).await.unwrap();
        for scan in &ids {
            // It may have left view since the list; its parts have not.
            assert!(has_part(&objects, &home, "shared").await);
            let n: u64 = scan[..14].parse().unwrap();
            assert!(has_part(&objects, &home, &format!("only {n}")).await, "{scan}");
            read += 1;
        }
        if done {
            break;
        }
    }
    writer.await.unwrap();
    assert!(read > 0);
    collect_instance(&objects, &home, RETENTION, SystemTime::now()).await.unwrap();
    assert_eq!(objects.list_snapshots(&home).await.unwrap(), [id(24).as_str(), id(25).as_str()]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scan_that_finds_its_part_while_the_collector_runs_does_not_lose_it(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Arc::new(Objects::new(Arc::clone(&bench.store), BOUNDS));
    let home = home(1);
    let (mut found, mut created) = (0, 0);
    for round in 1..=40 {
        let part = format!("old {round}");
        put(&objects, &home, &part).await.unwrap();
        bench.make_older(&home.part(&name(part.as_bytes())), 5 * HOUR);
        let collector = {
            let (objects, home) = (Arc::clone(&objects), home.clone());
            tokio::spawn(async move { collect_instance(&objects, &home, RETENTION, SystemTime::now()).await })
        };
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        match put(&objects, &home, &part).await.unwrap() {
            Written::Already => found += 1,
            Written::New => created += 1,
        }
        let written = put_manifest(&objects, &home, round, manifest(&[&part], "")).await;
        assert_eq!(written.unwrap(), Written::New, "round {round}");
        collector.await.unwrap().unwrap();
        assert!(has_part(&objects, &home, &part).await);
    }
    println!("the part was found {found} times and put anew {created} times");
}

#[rstest]
#[tokio::test]
async fn a_collector_killed_at_any_change_ends_the_same(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let mut undisturbed = None;
    for changes in 0..20 {
        let Some(bench) = Bench::new(kind).await else { return };
        let home = home(1);
        let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
        for scan in 1..=4 {
            put_snapshot(&objects, &home, scan, &["shared", &format!("only {scan}")]).await;
        }
        put(&objects, &home, "orphan").await.unwrap();
        let faulty = Faulty::new(Arc::clone(&bench.store), Fault::Killed, changes);
        let doomed = Objects::new(faulty, BOUNDS);
        let now = SystemTime::now();
        let mut killed = false;
        for later in [Duration::ZERO, 2 * HOUR] {
            killed |= collect_instance(&doomed, &home, RETENTION, now + later).await.is_err();
            for scan in objects.list_snapshots(&home).await.unwrap() {
                let n: u64 = scan[..14].parse().unwrap();
                assert!(has_part(&objects, &home, "shared").await);
                assert!(has_part(&objects, &home, &format!("only {n}")).await, "killed after {changes}: {scan}");
            }
        }
        for later in [2 * HOUR, 4 * HOUR] {
            collect_instance(&objects, &home, RETENTION, now + later).await.unwrap();
        }
        let keys = all_keys(&*bench.store).await;
        assert_eq!(&keys, undisturbed.get_or_insert(keys.clone()), "killed after {changes}");
        if !killed {
            assert!(changes > 5, "the collector makes more changes than {changes}");
            assert_eq!(keys.len(), 5);
            return;
        }
    }
    panic!("the collector never ended undisturbed");
}

fn ids(scans: &[u64]) -> BTreeSet<ScanId> {
    scans.iter().map(|n| id(*n)).collect()
}

#[rstest]
#[tokio::test]
async fn pinned_snapshots_stay_until_others_are_pinned(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    // Full to the last byte: what the quota refuses to scans, it does not refuse to a pin.
    let bounds = Bounds { quota_bytes: 9 * LEAST, ..BOUNDS };
    let objects = Objects::new(Arc::clone(&bench.store), bounds);
    let home = home(1);
    assert_eq!(objects.pin(&home, &ids(&[1])).await.unwrap(), Written::Already, "nothing is there to pin");
    assert!(all_keys(&*bench.store).await.is_empty(), "and nothing is left of the attempt");
    for scan in 1..=4 {
        put_snapshot(&objects, &home, scan, &["shared", &format!("only {scan}")]).await;
    }
    assert!(matches!(put(&objects, &home, "more").await, Err(ObjectError::Quota)));
    assert_eq!(objects.pin(&home, &ids(&[1, 99])).await.unwrap(), Written::New);
    assert_eq!(objects.pin(&home, &ids(&[1])).await.unwrap(), Written::Already, "what is not there is left out");
    let now = SystemTime::now();
    for hours in 0..6 {
        collect_instance(&objects, &home, RETENTION, now + hours * HOUR).await.unwrap();
    }
    assert_eq!(objects.list_snapshots(&home).await.unwrap(), [1, 3, 4].map(|n| id(n).as_str().to_owned()));
    assert!(has_part(&objects, &home, "only 1").await && has_part(&objects, &home, "shared").await);
    assert!(!has_part(&objects, &home, "only 2").await);
    // Another baseline is accepted: the old one goes the way of all others.
    assert_eq!(objects.pin(&home, &ids(&[3])).await.unwrap(), Written::New);
    for hours in 6..12 {
        collect_instance(&objects, &home, RETENTION, now + hours * HOUR).await.unwrap();
    }
    assert_eq!(objects.list_snapshots(&home).await.unwrap(), [3, 4].map(|n| id(n).as_str().to_owned()));
    assert!(!has_part(&objects, &home, "only 1").await);
    // A list that cannot be read keeps everything, and the next pin mends it.
    let key = object_store::path::Path::from(format!("{}/pinned.json", home.prefix()));
    object_store::ObjectStoreExt::put(&*bench.store, &key, "{".into()).await.unwrap();
    let keys = all_keys(&*bench.store).await;
    let once = Retention { snapshots: 1, ..RETENTION };
    assert!(collect_instance(&objects, &home, once, now + 20 * HOUR).await.is_err());
    assert_eq!(all_keys(&*bench.store).await, keys);
    assert_eq!(objects.pin(&home, &ids(&[3])).await.unwrap(), Written::New);
    collect_instance(&objects, &home, once, now + 20 * HOUR).await.unwrap();
    assert_eq!(objects.list_snapshots(&home).await.unwrap(), [3, 4].map(|n| id(n).as_str().to_owned()));
}

/// The pin may come at any moment of a pass that was killed: what is visible then stays whole.
#[rstest]
#[tokio::test]
async fn a_pin_between_two_killed_passes_keeps_what_it_names(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let mut kept = 0;
    for changes in 0..20 {
        let Some(bench) = Bench::new(kind).await else { return };
        let home = home(1);
        let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
        for scan in 1..=4 {
            put_snapshot(&objects, &home, scan, &["shared", &format!("only {scan}")]).await;
        }
        let doomed = Objects::new(Faulty::new(Arc::clone(&bench.store), Fault::Killed, changes), BOUNDS);
        let now = SystemTime::now();
        let killed = collect_instance(&doomed, &home, RETENTION, now).await.is_err();
        let visible = objects.list_snapshots(&home).await.unwrap().contains(&id(2).as_str().to_owned());
        // Killed while it pins: the list before stands, and the same request is made again.
        let cut = Objects::new(Faulty::new(Arc::clone(&bench.store), Fault::Killed, 0), BOUNDS);
        assert_eq!(cut.pin(&home, &ids(&[2])).await.is_err(), visible, "nothing is written for what is gone");
        let pinned = objects.pin(&home, &ids(&[2])).await.unwrap();
        assert_eq!(pinned == Written::New, visible);
        for hours in [2, 4, 6] {
            collect_instance(&objects, &home, RETENTION, now + hours * HOUR).await.unwrap();
        }
        let there = objects.list_snapshots(&home).await.unwrap().contains(&id(2).as_str().to_owned());
        assert_eq!(there, visible, "after {changes} changes");
        assert_eq!(has_part(&objects, &home, "only 2").await, visible, "after {changes} changes");
        kept += usize::from(visible);
        if !killed {
            assert!(kept > 0);
            return;
        }
    }
    panic!("the collector never ended undisturbed");
}

#[rstest]
#[tokio::test]
async fn a_full_disk_is_told_apart_and_leaves_nothing(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let faulty = Faulty::new(Arc::clone(&bench.store), Fault::Full, 1);
    let objects = Objects::new(Arc::clone(&faulty) as _, BOUNDS);
    put(&objects, &home(1), "one").await.unwrap();
    let full = put(&objects, &home(1), "two").await;
    assert!(matches!(full, Err(ObjectError::Full)), "{full:?}");
    let full = objects.put_manifest(&home(1), &id(1), manifest(&["one"], "")).await;
    assert!(matches!(full, Err(ObjectError::Full)), "{full:?}");
    assert!(objects.list_snapshots(&home(1)).await.unwrap().is_empty());
    faulty.mend();
    put(&objects, &home(1), "two").await.unwrap();
    objects.put_manifest(&home(1), &id(1), manifest(&["one", "two"], "")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_disk_that_is_really_full_leaves_nothing_half(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::on_small_disk(kind).await else { return };
    let objects = Objects::new(
        Arc::clone(&bench.store),
        Bounds { quota_bytes: u64::MAX, estate_quota_bytes: u64::MAX, ..BOUNDS },
    );
    put_snapshot(&objects, &home(1), 1, &["small"]).await;
    let before = all_keys(&*bench.store).await;
    // Random enough that no file system can make it small.
    let large: String = (0..40_000).map(|i| name(format!("{i}").as_bytes()).as_str().to_owned()).collect();
    for _ in 0..3 {
        let full = put(&objects, &home(1), &large).await;
        match kind {
            Kind::Volume => assert!(matches!(full, Err(ObjectError::Full)), "{full:?}"),
            // S3 has no word for it: the bucket's server fails, in its own way.
            Kind::Bucket => assert!(full.is_err(), "{full:?}"),
        }
        assert_eq!(all_keys(&*bench.store).await, before);
        assert!(!has_part(&objects, &home(1), &large).await);
    }
    let files = Command::new("find").arg(&bench.files).args(["-type", "f", "-size", "+64k"]).output().unwrap();
    assert!(files.stdout.is_empty(), "{}", String::from_utf8_lossy(&files.stdout));
    // What fits is taken as before.
    put_snapshot(&objects, &home(1), 2, &["small", "other"]).await;
    assert_eq!(objects.list_snapshots(&home(1)).await.unwrap().len(), 2);
}

#[rstest]
#[tokio::test]
async fn packs_and_ledgers_keep_the_newest_and_the_young(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let estate = uid(900);
    let packs = Home::blobs(&estate, Blob::Pack);
    for n in 1..=5_u32 {
        for blob in [Blob::Pack, Blob::Ledger] {
            let text = format!("{n}");
            objects.put_blob(&estate, blob, &name(text.as_bytes()), body(&text)).await.unwrap();
            let key = Home::blobs(&estate, blob).blob(&name(text.as_bytes()));
            bench.make_older(&key, HOUR * (10 - n));
        }
    }
    // The oldest one is put again: it is the newest now.
    objects.put_blob(&estate, Blob::Pack, &name(b"1"), body("1")).await.unwrap();
    assert_eq!(collect(&objects, RETENTION, SystemTime::now()).await.unwrap().blobs, 3 + 2);
    for (text, there) in [("1", true), ("2", false), ("3", false), ("4", false), ("5", true)] {
        assert_eq!(objects.open(&packs.blob(&name(text.as_bytes()))).await.is_ok(), there, "pack {text}");
    }
    let all = Retention { packs: 1, blob_age: 24 * HOUR, ..RETENTION };
    assert_eq!(collect(&objects, all, SystemTime::now()).await.unwrap().blobs, 0, "young ones are kept, however many");
}

#[rstest]
#[tokio::test]
async fn a_damaged_part_is_mended_by_putting_it_again(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    put(&objects, &home(1), "whole").await.unwrap();
    std::fs::write(bench.files.join(home(1).part(&name(b"whole")).as_ref()), "who").unwrap();
    let refused = objects.put_manifest(&home(1), &id(1), manifest(&["whole"], "")).await;
    assert!(matches!(refused, Err(ObjectError::PartMissing)));
    put(&objects, &home(1), "whole").await.unwrap();
    assert!(has_part(&objects, &home(1), "whole").await);
}
