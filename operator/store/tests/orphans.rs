//! What is deleted of instances and namespaces that are gone, what is kept, and that a pass can be killed anywhere. With
//! a directory and with S3. Time is an argument here: days pass by counting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests too")]

mod bench;
#[path = "bench/faulty.rs"]
mod faulty;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bench::{Bench, Kind};
use bytes::Bytes;
use faulty::{Fault, Faulty};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _};
use rstest::rstest;
use sha2::{Digest, Sha256 as Hasher};
use sv0_protocol::store::{Departed, EstateState};
use sv0_store::gate::{ReviewError, Reviewed, Reviewer};
use sv0_store::gc::Collected;
use sv0_store::keys::{Blob, Home, Namespace, ScanId, Sha256, Uid};
use sv0_store::objects::{Bounds, ObjectError, Objects, Written};
use sv0_store::orphans::{self, Statement, departed, note, pass, purge};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const DAYS: u32 = 30;
const BOUNDS: Bounds = Bounds { quota_bytes: 10_000_000, estate_quota_bytes: 100_000_000, grace: HOUR };

fn uid(n: u32) -> Uid {
    Uid::parse(&format!("00000000-0000-4000-8000-{n:012}")).unwrap()
}

fn estate() -> Uid {
    uid(900)
}

fn team() -> Namespace {
    Namespace::parse("team-a").unwrap()
}

fn home(instance: u32) -> Home {
    Home::instance(&estate(), &uid(instance))
}

fn name(body: &str) -> Sha256 {
    Sha256::parse(&hex::encode(Hasher::digest(body))).unwrap()
}

/// What the API server says of every namespace.
struct Says(Mutex<Result<Option<Uid>, ()>>);

impl Says {
    fn new(answer: Result<Option<Uid>, ()>) -> Self {
        Self(Mutex::new(answer))
    }

    fn now(&self, answer: Result<Option<Uid>, ()>) {
        *self.0.lock().unwrap() = answer;
    }
}

impl Reviewer for Says {
    fn review<'a>(&'a self, _: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        async { Ok(None) }.boxed()
    }

    fn namespace_uid<'a>(&'a self, _: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        let answer = self.0.lock().unwrap().clone().map_err(|()| ReviewError("down".into()));
        async move { answer }.boxed()
    }
}

async fn snapshot(objects: &Objects, home: &Home, scan: u64) {
    let part = format!("part of scan {scan}");
    let sha256 = name(&part);
    let manifest = serde_json::json!({"parts": [{"sha256": sha256.as_str(), "bytes": part.len()}]}).to_string();
    objects.put_part(home, &sha256, Bytes::from(part)).await.unwrap();
    let id = ScanId::parse(&format!("{scan:014}-0000abcd")).unwrap();
    objects.put_manifest(home, &id, Bytes::from(manifest)).await.unwrap();
    objects.pin(home, &BTreeSet::from([id])).await.unwrap();
}

/// An estate with instances 1 and 2, a pack and a ledger.
async fn fill(objects: &Objects) {
    for instance in [1, 2] {
        snapshot(objects, &home(instance), 10).await;
        snapshot(objects, &home(instance), 11).await;
    }
    for blob in [Blob::Pack, Blob::Ledger] {
        objects.put_blob(&estate(), blob, &name("a blob"), Bytes::from_static(b"a blob")).await.unwrap();
    }
    note(objects, &estate(), &team()).await.unwrap();
}

async fn tell(objects: &Objects, live: &[u32], now: SystemTime) -> Result<Written, ObjectError> {
    let said = Statement { live: live.iter().map(|n| uid(*n)).collect(), orphaned_days: DAYS };
    orphans::tell(objects, &estate(), &team(), &said, now).await
}

async fn keys(store: &dyn ObjectStore) -> BTreeSet<String> {
    store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap()
}

/// What of an instance is left, without the estate's record.
async fn left_of(store: &dyn ObjectStore, instance: u32) -> usize {
    let prefix = format!("{}/", home(instance).prefix());
    keys(store).await.iter().filter(|key| key.starts_with(&prefix)).count()
}

async fn record(store: &dyn ObjectStore) -> serde_json::Value {
    let key = object_store::path::Path::from(format!("estates/{}/estate.json", estate().as_str()));
    serde_json::from_slice(&store.get(&key).await.unwrap().bytes().await.unwrap()).unwrap()
}

#[rstest]
#[tokio::test]
async fn an_instance_that_is_not_named_for_the_retention_goes_and_nothing_else(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (there, start) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    let before = keys(&*bench.store).await;
    for day in 0..=DAYS {
        tell(&objects, &[1], start + day * DAY).await.unwrap();
        if day < DAYS {
            pass(&objects, Some(&there), start + day * DAY + HOUR).await.unwrap();
            assert_eq!(keys(&*bench.store).await, before, "day {day}");
        }
    }
    let over = start + DAYS * DAY + HOUR;
    let first = pass(&objects, Some(&there), over).await.unwrap();
    assert_eq!((first.snapshots, first.parts, first.orphans), (2, 0, 0), "who reads it can still read its parts");
    assert!(objects.list_snapshots(&home(2)).await.unwrap().is_empty());
    let second = pass(&objects, None, over + 2 * HOUR).await.unwrap();
    assert_eq!((second.parts, second.orphans), (2, 1), "it needs no API server");
    let expected: BTreeSet<String> =
        before.into_iter().filter(|key| !key.starts_with(home(2).prefix().as_ref())).collect();
    assert_eq!(keys(&*bench.store).await, expected);
    assert_eq!(record(&*bench.store).await["absent"], serde_json::json!({}));
    assert_eq!(pass(&objects, Some(&there), over + 400 * DAY).await.unwrap(), Collected::default());
    // A volume keeps empty directories: they are no instance.
    tell(&objects, &[1], over + 401 * DAY).await.unwrap();
    assert_eq!(record(&*bench.store).await["absent"], serde_json::json!({}));
}

/// Packs and ledgers are about all instances of an estate: they stay while it has any.
#[rstest]
#[tokio::test]
async fn what_an_estate_without_instances_concluded_goes_but_for_the_newest(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let newest = Bytes::from_static(b"the newest");
    for blob in [Blob::Pack, Blob::Ledger] {
        bench.make_older(&Home::blobs(&estate(), blob).blob(&name("a blob")), HOUR);
        objects.put_blob(&estate(), blob, &name("the newest"), newest.clone()).await.unwrap();
    }
    let (there, start) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    let count = async || {
        let all = keys(&*bench.store).await;
        all.iter().filter(|key| key.contains("/packs/") || key.contains("/ledgers/")).count()
    };
    for day in 0..=2 * DAYS {
        // One instance in the middle of it, and the count begins anew.
        let live: &[u32] = if day == DAYS - 1 { &[2] } else { &[] };
        tell(&objects, live, start + day * DAY).await.unwrap();
        pass(&objects, Some(&there), start + day * DAY).await.unwrap();
        let expected = if day < 2 * DAYS { 4 } else { 2 };
        assert_eq!(count().await, expected, "day {day}");
    }
    for blob in [Blob::Pack, Blob::Ledger] {
        assert!(objects.open(&Home::blobs(&estate(), blob).blob(&name("the newest"))).await.is_ok());
    }
}

/// Each of these leaves the instance where it is, however long it goes on.
#[rstest]
#[tokio::test]
async fn what_may_be_there_is_kept(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (there, start) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    let before = keys(&*bench.store).await;
    // No evaluation ever spoke.
    pass(&objects, Some(&there), start + 1000 * DAY).await.unwrap();
    assert_eq!(keys(&*bench.store).await, before);
    // One spoke, and no other one since: the clock alone deletes nothing.
    tell(&objects, &[1], start).await.unwrap();
    pass(&objects, Some(&there), start + 1000 * DAY).await.unwrap();
    assert_eq!(keys(&*bench.store).await, before);
    // A clock that jumps ahead, and back, and ahead.
    for jump in [1000, 0, 2000, 1] {
        tell(&objects, &[1], start + jump * DAY).await.unwrap();
        pass(&objects, Some(&there), start + 3000 * DAY).await.unwrap();
        assert_eq!(keys(&*bench.store).await, before, "{jump}");
    }
    assert!(record(&*bench.store).await["absent"][uid(2).as_str()]["seconds"].as_u64().unwrap() <= 2 * 2 * 86_400);
    // Named once in between, as after a restored cluster: it starts anew.
    for day in 0..2 * DAYS {
        let live: &[u32] = if day % (DAYS - 1) == 0 { &[1, 2] } else { &[1] };
        tell(&objects, live, start + (3 + day) * DAY).await.unwrap();
        pass(&objects, Some(&there), start + (3 + day) * DAY).await.unwrap();
        assert_eq!(keys(&*bench.store).await, before, "day {day}");
    }
}

/// However wrong the statements are: an instance that scans is there.
#[rstest]
#[tokio::test]
async fn an_instance_that_was_written_for_within_the_retention_is_kept(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let now = SystemTime::now();
    let there = Says::new(Ok(Some(estate())));
    // The statements lie in the past, the uploads are of now.
    for day in (0..=2 * DAYS).rev() {
        tell(&objects, &[], now - day * DAY).await.unwrap();
    }
    let counted = record(&*bench.store).await["absent"][uid(1).as_str()]["seconds"].as_u64().unwrap();
    assert!(counted > u64::from(DAYS) * 86_400, "{counted}");
    let before = keys(&*bench.store).await;
    for day in [0, 1, DAYS - 1] {
        pass(&objects, Some(&there), now + day * DAY).await.unwrap();
        assert_eq!(keys(&*bench.store).await, before, "day {day}");
    }
    pass(&objects, Some(&there), now + (DAYS + 1) * DAY).await.unwrap();
    assert!(objects.list_snapshots(&home(1)).await.unwrap().is_empty());
    // The scan of a new instance that no statement knows yet.
    snapshot(&objects, &home(3), 12).await;
    pass(&objects, Some(&there), now + 400 * DAY).await.unwrap();
    assert_eq!(objects.list_snapshots(&home(3)).await.unwrap().len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_pass_killed_at_any_change_ends_the_same(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    for changes in 0..30 {
        let Some(bench) = Bench::new(kind).await else { return };
        let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
        fill(&objects).await;
        let there = Says::new(Ok(Some(estate())));
        let start = SystemTime::now();
        for day in 0..DAYS {
            tell(&objects, &[1], start + day * DAY).await.unwrap();
        }
        let doomed = Objects::new(Faulty::new(Arc::clone(&bench.store), Fault::Killed, changes), BOUNDS);
        let mut killed = tell(&doomed, &[1], start + DAYS * DAY).await.is_err();
        let over = start + (DAYS + 1) * DAY;
        for hours in [0, 2, 4] {
            killed |= pass(&doomed, Some(&there), over + hours * HOUR).await.unwrap().failed > 0;
            assert_eq!(objects.list_snapshots(&home(1)).await.unwrap().len(), 2, "killed after {changes}");
            // What is visible of the one that goes is whole.
            for scan in objects.list_snapshots(&home(2)).await.unwrap() {
                let part = format!("part of scan {}", scan[..14].parse::<u64>().unwrap());
                assert!(objects.open(&home(2).part(&name(&part))).await.is_ok(), "killed after {changes}: {scan}");
            }
        }
        // The evaluation and the passes of the days after.
        tell(&objects, &[1], over + DAY).await.unwrap();
        for hours in [25, 27, 29] {
            pass(&objects, Some(&there), over + hours * HOUR).await.unwrap();
        }
        assert_eq!(left_of(&*bench.store, 2).await, 0, "killed after {changes}");
        assert_eq!(left_of(&*bench.store, 1).await, 2 + 2 + 1, "killed after {changes}");
        assert_eq!(record(&*bench.store).await["absent"], serde_json::json!({}), "killed after {changes}");
        if !killed {
            assert!(changes > 8, "a statement, two manifests, two parts, three objects: {changes}");
            return;
        }
    }
    panic!("the collector never ended undisturbed");
}

#[rstest]
#[tokio::test]
async fn an_estate_whose_namespace_is_gone_goes_as_a_whole(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
    #[values(true, false)] made_again: bool,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let neighbour = Home::instance(&uid(901), &uid(1));
    snapshot(&objects, &neighbour, 10).await;
    let others: BTreeSet<String> =
        keys(&*bench.store).await.into_iter().filter(|key| key.starts_with(neighbour.prefix().as_ref())).collect();
    let (says, start) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    tell(&objects, &[1, 2], start).await.unwrap();
    let before = keys(&*bench.store).await;
    // It is there, or nobody knows: nothing is counted.
    for answer in [Ok(Some(estate())), Err(())] {
        says.now(answer);
        for hours in 0..100 {
            pass(&objects, Some(&says), start + 40 * DAY + hours * 12 * HOUR).await.unwrap();
        }
        assert_eq!(record(&*bench.store).await["gone"], serde_json::Value::Null);
    }
    says.now(Ok(made_again.then(|| uid(902))));
    let gone = start + 100 * DAY;
    for day in 0..DAYS {
        pass(&objects, Some(&says), gone + day * DAY).await.unwrap();
        assert_eq!(keys(&*bench.store).await, before, "day {day}");
    }
    // Back for one look: counted anew.
    says.now(Ok(Some(estate())));
    pass(&objects, Some(&says), gone + DAYS * DAY).await.unwrap();
    says.now(Ok(made_again.then(|| uid(902))));
    let gone = gone + (DAYS + 1) * DAY;
    for day in 0..DAYS {
        pass(&objects, Some(&says), gone + day * DAY).await.unwrap();
        assert_eq!(keys(&*bench.store).await, before, "day {day}");
    }
    for hours in 0..3 {
        pass(&objects, Some(&says), gone + DAYS * DAY + 2 * hours * HOUR).await.unwrap();
    }
    assert_eq!(keys(&*bench.store).await, others, "and nothing of another estate");
}

/// A bucket that two clusters use by mistake, or an API server that errs: what is written for is there.
#[rstest]
#[tokio::test]
async fn an_estate_that_was_written_for_within_the_retention_is_kept(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (gone, now) = (Says::new(Ok(None)), SystemTime::now());
    let before = keys(&*bench.store).await;
    for day in (0..=2 * DAYS).rev() {
        pass(&objects, Some(&gone), now - day * DAY).await.unwrap();
    }
    assert_eq!(keys(&*bench.store).await, before);
    assert!(record(&*bench.store).await["gone"]["seconds"].as_u64().unwrap() > u64::from(DAYS) * 86_400);
}

#[rstest]
#[tokio::test]
async fn an_estate_that_is_cleared_can_be_killed_at_any_change(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    for changes in 0..50 {
        let Some(bench) = Bench::new(kind).await else { return };
        let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
        fill(&objects).await;
        let (gone, start) = (Says::new(Ok(None)), SystemTime::now());
        for day in 0..DAYS {
            pass(&objects, Some(&gone), start + day * DAY).await.unwrap();
        }
        let over = start + (DAYS + 1) * DAY;
        let doomed = Objects::new(Faulty::new(Arc::clone(&bench.store), Fault::Killed, changes), BOUNDS);
        let mut killed = false;
        for hours in [0, 2, 4] {
            killed |= pass(&doomed, Some(&gone), over + hours * HOUR).await.unwrap().failed > 0;
        }
        for hours in [26, 28, 30] {
            pass(&objects, Some(&gone), over + hours * HOUR).await.unwrap();
        }
        assert_eq!(keys(&*bench.store).await, BTreeSet::new(), "killed after {changes}");
        if !killed {
            assert!(changes > 16, "looks, and all objects: {changes}");
            return;
        }
    }
    panic!("the collector never ended undisturbed");
}

#[rstest]
#[tokio::test]
async fn a_purge_shortens_the_retention_of_what_is_gone_alone(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let (says, now) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    let refused = purge(&objects, &says, &estate(), None, now).await;
    assert!(matches!(refused, Err(ObjectError::Missing)), "{refused:?}");
    fill(&objects).await;
    // Before any statement nothing is known to be gone, and afterwards what was named is not.
    for told in [false, true] {
        if told {
            tell(&objects, &[1], now).await.unwrap();
        }
        for instance in [Some(uid(1)), Some(uid(3)), None] {
            let refused = purge(&objects, &says, &estate(), instance.as_ref(), now).await;
            assert!(matches!(refused, Err(ObjectError::NotGone)), "{refused:?}");
        }
    }
    assert_eq!(purge(&objects, &says, &estate(), Some(&uid(2)), now).await.unwrap(), Written::New);
    assert_eq!(purge(&objects, &says, &estate(), Some(&uid(2)), now).await.unwrap(), Written::Already);
    // Killed after the request: it stands, and a statement does not take it back, unless it names the instance.
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    tell(&objects, &[1], now + HOUR).await.unwrap();
    for hours in [2, 4] {
        pass(&objects, None, now + hours * HOUR).await.unwrap();
    }
    assert_eq!((left_of(&*bench.store, 1).await, left_of(&*bench.store, 2).await), (5, 0));
    // The whole estate: only when its namespace is gone.
    says.now(Err(()));
    let unasked = purge(&objects, &says, &estate(), None, now).await;
    assert!(matches!(unasked, Err(ObjectError::Unasked)), "{unasked:?}");
    says.now(Ok(None));
    assert_eq!(purge(&objects, &says, &estate(), None, now).await.unwrap(), Written::New);
    // It was an error of the moment: the namespace is there, and so is its data.
    says.now(Ok(Some(estate())));
    pass(&objects, Some(&says), now + 4 * HOUR).await.unwrap();
    assert_eq!(left_of(&*bench.store, 1).await, 5);
    says.now(Ok(None));
    assert_eq!(purge(&objects, &says, &estate(), None, now).await.unwrap(), Written::New);
    for hours in [4, 6] {
        pass(&objects, Some(&says), now + hours * HOUR).await.unwrap();
    }
    assert_eq!(keys(&*bench.store).await, BTreeSet::new());
}

/// Whoever asks may be told wrongly: what was written after the first statement that missed an instance, or too shortly
/// before it for that statement to know, stays until later statements miss it too.
#[rstest]
#[tokio::test]
async fn a_purge_takes_nothing_that_was_written_since(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    let (says, now) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    fill(&objects).await;
    let passes = async |from: Duration| {
        for hours in [2, 4] {
            pass(&objects, None, now + from + hours * HOUR).await.unwrap();
        }
        left_of(&*bench.store, 2).await
    };
    // Missed an hour ago, written since.
    tell(&objects, &[1], now - HOUR).await.unwrap();
    assert_eq!(purge(&objects, &says, &estate(), Some(&uid(2)), now).await.unwrap(), Written::New);
    assert_eq!(passes(Duration::ZERO).await, 5);
    // Named once more: all of that is forgotten. Then missed a minute after it was written, and later again.
    tell(&objects, &[1, 2], now + 5 * HOUR).await.unwrap();
    assert!(matches!(purge(&objects, &says, &estate(), Some(&uid(2)), now).await, Err(ObjectError::NotGone)));
    tell(&objects, &[1], now + HOUR / 60).await.unwrap();
    assert_eq!(purge(&objects, &says, &estate(), Some(&uid(2)), now).await.unwrap(), Written::New);
    assert_eq!(passes(Duration::ZERO).await, 5);
    tell(&objects, &[1], now + HOUR).await.unwrap();
    assert_eq!(passes(Duration::ZERO).await, 0);
    assert_eq!(left_of(&*bench.store, 1).await, 5);
}

/// A namespace that the administrator took out of the operator's values: it is there, and nobody writes for it.
#[rstest]
#[tokio::test]
async fn an_estate_that_the_operator_leaves_alone_goes_when_somebody_asks(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (there, now) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    let early = now + (DAYS - 1) * DAY;
    let refused = purge(&objects, &there, &estate(), None, early).await;
    assert!(matches!(refused, Err(ObjectError::NotGone)), "{refused:?}");
    assert_eq!(departed(&objects, &there, early).await.unwrap(), []);
    let late = now + (DAYS + 1) * DAY;
    for hours in [0, 2, 4] {
        pass(&objects, Some(&there), late + hours * HOUR).await.unwrap();
    }
    assert_eq!(left_of(&*bench.store, 1).await, 5, "by itself it goes never");
    let told = departed(&objects, &there, late).await.unwrap();
    assert_eq!(told.iter().map(|one| one.state).collect::<Vec<_>>(), [EstateState::Silent]);
    assert_eq!(purge(&objects, &there, &estate(), None, late).await.unwrap(), Written::New);
    // A pass to which all of this was written yesterday: it is not left alone, and the request is void.
    let later = late + HOUR;
    pass(&objects, Some(&there), now + DAY).await.unwrap();
    assert_eq!(left_of(&*bench.store, 1).await, 5);
    assert_eq!(purge(&objects, &there, &estate(), None, later).await.unwrap(), Written::New);
    for hours in [1, 3] {
        pass(&objects, Some(&there), later + hours * HOUR).await.unwrap();
    }
    assert_eq!(keys(&*bench.store).await, BTreeSet::new());
}

#[rstest]
#[tokio::test]
async fn what_is_gone_is_told_by_estate(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (says, now) = (Says::new(Ok(Some(estate()))), SystemTime::now());
    assert_eq!(departed(&objects, &says, now).await.unwrap(), []);
    tell(&objects, &[1], now).await.unwrap();
    tell(&objects, &[1], now + DAY).await.unwrap();
    let told = departed(&objects, &says, now).await.unwrap();
    let [Departed { namespace, state: EstateState::There, orphaned_days: DAYS, asked: false, instances, .. }] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((namespace.as_str(), instances.len()), ("team-a", 1));
    assert_eq!((instances[0].uid.as_str(), instances[0].seconds), (uid(2).as_str(), 86_400));
    says.now(Ok(None));
    assert_eq!(departed(&objects, &says, now).await.unwrap()[0].state, EstateState::Gone);
    says.now(Err(()));
    assert!(matches!(departed(&objects, &says, now).await, Err(ObjectError::Unasked)));
}

/// A record that cannot be read keeps everything, and the next statement makes it anew.
#[rstest]
#[tokio::test]
async fn a_damaged_record_keeps_everything(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let objects = Objects::new(Arc::clone(&bench.store), BOUNDS);
    fill(&objects).await;
    let (gone, start) = (Says::new(Ok(None)), SystemTime::now());
    let key = object_store::path::Path::from(format!("estates/{}/estate.json", estate().as_str()));
    bench.store.put(&key, "{".into()).await.unwrap();
    let before = keys(&*bench.store).await;
    for day in 0..3 * DAYS {
        assert_eq!(pass(&objects, Some(&gone), start + day * DAY).await.unwrap().failed, 1);
    }
    assert_eq!(keys(&*bench.store).await, before);
    assert!(matches!(purge(&objects, &gone, &estate(), None, start).await, Err(ObjectError::BadRecord)));
    tell(&objects, &[1], start).await.unwrap();
    assert_eq!(record(&*bench.store).await["absent"][uid(2).as_str()]["seconds"], 0);
}

#[rstest]
#[case::not_json("")]
#[case::a_list("[]")]
#[case::no_days(r#"{"instances":[]}"#)]
#[case::zero_days(r#"{"instances":[],"orphanedDays":0}"#)]
#[case::too_many_days(r#"{"instances":[],"orphanedDays":3661}"#)]
#[case::not_a_uid(r#"{"instances":["../x"],"orphanedDays":30}"#)]
#[case::more(r#"{"instances":[],"orphanedDays":30,"estate":"x"}"#)]
fn a_statement_that_is_not_one_is_refused(#[case] body: &str) {
    assert!(matches!(Statement::read(body.as_bytes()), Err(ObjectError::BadInstances)));
}
