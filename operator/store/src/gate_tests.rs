//! Who the gate lets in and for what, and how long a verdict is remembered. No API server: tokens and answers are
//! made up here.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use rstest::rstest;

use super::*;

const UID: &str = "00000000-0000-4000-8000-000000000001";
const NAMESPACE_UID: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";

/// An API server that knows one token, of one account, for one audience.
struct OneToken {
    username: String,
    audience: String,
    down: bool,
    reviews: AtomicU64,
}

impl Reviewer for OneToken {
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        self.reviews.fetch_add(1, Ordering::SeqCst);
        let common: Vec<String> = audiences.iter().filter(|a| **a == self.audience).cloned().collect();
        let known = token.starts_with("good") && !common.is_empty();
        let reviewed = known.then(|| Reviewed { username: self.username.clone(), audiences: common });
        let answer = if self.down { Err(ReviewError("down".into())) } else { Ok(reviewed) };
        async move { answer }.boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        let uid = (namespace.as_str() != "gone").then(|| Uid::parse(NAMESPACE_UID).unwrap());
        async move { Ok(uid) }.boxed()
    }
}

fn reviewer(username: &str, audience: &str) -> Arc<OneToken> {
    let (username, audience) = (username.to_owned(), audience.to_owned());
    Arc::new(OneToken { username, audience, down: false, reviews: AtomicU64::new(0) })
}

fn gate(reviewer: Arc<OneToken>) -> Gate {
    Gate::new(reviewer, &Namespace::parse("system").unwrap())
}

fn ns(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

fn scan(namespace: &str, instance: &str, uid: &str) -> Access {
    Access::Scan {
        namespace: ns(namespace),
        instance: Instance::parse(instance).unwrap(),
        instance_uid: Uid::parse(uid).unwrap(),
    }
}

const SCAN: &str = "securityv0-store/scan/team-a/entra/00000000-0000-4000-8000-000000000001";
const EVALUATE: &str = "securityv0-store/evaluate/team-a";
const READER: &str = "securityv0-store/reader/team-a";
const OTHER_UID: &str = "00000000-0000-4000-8000-000000000002";

const OK: Result<(), Denied> = Ok(());
const NO_TOKEN: Result<(), Denied> = Err(Denied::Unauthenticated);
const NO_RIGHT: Result<(), Denied> = Err(Denied::Forbidden);

#[rstest]
// A scan writes for its instance, under whichever account of its estate.
#[case::scan("team-a:scanner", SCAN, scan("team-a", "entra", UID), OK)]
#[case::scan_of_another_instance("team-a:scanner", SCAN, scan("team-a", "other", UID), NO_TOKEN)]
#[case::scan_of_a_recreated_instance("team-a:scanner", SCAN, scan("team-a", "entra", OTHER_UID), NO_TOKEN)]
#[case::scan_of_another_estate("team-a:scanner", SCAN, scan("team-b", "entra", UID), NO_TOKEN)]
#[case::foreign_account_with_the_audience("team-b:scanner", SCAN, scan("team-a", "entra", UID), NO_RIGHT)]
#[case::operators_account_with_the_audience("system:evaluate-team-a", SCAN, scan("team-a", "entra", UID), NO_RIGHT)]
#[case::evaluate_cannot_scan("system:evaluate-team-a", EVALUATE, scan("team-a", "entra", UID), NO_TOKEN)]
// A scan reads nothing and writes no pack.
#[case::scan_cannot_read("team-a:scanner", SCAN, Access::EstateRead(ns("team-a")), NO_TOKEN)]
#[case::scan_cannot_write_packs("team-a:scanner", SCAN, Access::EstateWrite(ns("team-a")), NO_TOKEN)]
// Exactly the estate's evaluate account writes packs and reads.
#[case::evaluate_writes("system:evaluate-team-a", EVALUATE, Access::EstateWrite(ns("team-a")), OK)]
#[case::evaluate_reads("system:evaluate-team-a", EVALUATE, Access::EstateRead(ns("team-a")), OK)]
#[case::evaluate_of_another_estate("system:evaluate-team-a", EVALUATE, Access::EstateRead(ns("team-b")), NO_TOKEN)]
#[case::other_evaluate_with_the_audience(
    "system:evaluate-team-b",
    EVALUATE,
    Access::EstateWrite(ns("team-a")),
    NO_RIGHT
)]
#[case::namesake_outside_the_operator("team-a:evaluate-team-a", EVALUATE, Access::EstateWrite(ns("team-a")), NO_RIGHT)]
#[case::manager_with_the_audience("system:securityv0-manager", EVALUATE, Access::EstateRead(ns("team-a")), NO_RIGHT)]
#[case::longer_name("system:evaluate-team-a-b", EVALUATE, Access::EstateRead(ns("team-a")), NO_RIGHT)]
// A reader reads, and does nothing else; audience and account belong together.
#[case::reader_reads("system:reader-team-a", READER, Access::EstateRead(ns("team-a")), OK)]
#[case::reader_cannot_write("system:reader-team-a", READER, Access::EstateWrite(ns("team-a")), NO_TOKEN)]
#[case::reader_with_evaluates_audience("system:reader-team-a", EVALUATE, Access::EstateRead(ns("team-a")), NO_RIGHT)]
#[case::reader_writes_with_evaluates_audience(
    "system:reader-team-a",
    EVALUATE,
    Access::EstateWrite(ns("team-a")),
    NO_RIGHT
)]
#[case::evaluate_with_readers_audience("system:evaluate-team-a", READER, Access::EstateRead(ns("team-a")), NO_RIGHT)]
#[case::reader_of_another_estate("system:reader-team-b", READER, Access::EstateRead(ns("team-a")), NO_RIGHT)]
#[tokio::test]
async fn table(
    #[case] account: &str,
    #[case] audience: &str,
    #[case] access: Access,
    #[case] expected: Result<(), Denied>,
) {
    let gate = gate(reviewer(&format!("system:serviceaccount:{account}"), audience));
    let admitted = gate.admit(&access, Some("good")).await;
    assert_eq!(admitted.map(drop), expected);
}

#[rstest]
#[case::a_user("alice")]
#[case::a_user_named_like_an_account("serviceaccount:team-a:scanner")]
#[case::no_account_name("system:serviceaccount:team-a:")]
#[case::too_many_parts("system:serviceaccount:team-a:scanner:x")]
#[case::a_node("system:node:team-a")]
#[tokio::test]
async fn only_service_accounts_get_in(#[case] username: &str) {
    let gate = gate(reviewer(username, SCAN));
    assert_eq!(gate.admit(&scan("team-a", "entra", UID), Some("good")).await, Err(Denied::Forbidden));
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_learnt() {
    let reviewer = reviewer("system:serviceaccount:team-a:scanner", SCAN);
    let gate = gate(Arc::clone(&reviewer));
    let access = scan("team-a", "entra", UID);
    assert_eq!(gate.admit(&access, None).await, Err(Denied::Unauthenticated));
    assert_eq!(gate.admit(&access, Some("")).await, Err(Denied::Unauthenticated));
    assert_eq!(gate.admit(&access, Some(&"x".repeat(MAX_TOKEN_BYTES + 1))).await, Err(Denied::Unauthenticated));
    assert_eq!(reviewer.reviews.load(Ordering::SeqCst), 0, "none of these is worth a review");
    // The same refusal for an estate that exists and for one that does not.
    for namespace in ["team-a", "gone"] {
        let refused = gate.admit(&Access::EstateRead(ns(namespace)), Some("bad")).await;
        assert_eq!(refused, Err(Denied::Unauthenticated));
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_not_a_refusal_and_is_not_remembered() {
    let down = OneToken {
        username: "system:serviceaccount:team-a:scanner".into(),
        audience: SCAN.into(),
        down: true,
        reviews: AtomicU64::new(0),
    };
    let reviewer = Arc::new(down);
    let gate = gate(Arc::clone(&reviewer));
    for _ in 0..2 {
        assert_eq!(gate.admit(&scan("team-a", "entra", UID), Some("good")).await, Err(Denied::Unavailable));
    }
    assert_eq!(reviewer.reviews.load(Ordering::SeqCst), 2);
}

fn token(exp: u64) -> String {
    format!("good.{}.x", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")))
}

#[tokio::test]
async fn verdicts_are_remembered_per_token_and_audience() {
    let reviewer = reviewer("system:serviceaccount:system:evaluate-team-a", EVALUATE);
    let gate = gate(Arc::clone(&reviewer));
    let far = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let count = || reviewer.reviews.load(Ordering::SeqCst);
    for _ in 0..3 {
        gate.admit(&Access::EstateRead(ns("team-a")), Some(&token(far))).await.unwrap();
    }
    assert_eq!(count(), 1);
    gate.admit(&Access::EstateWrite(ns("team-a")), Some(&token(far))).await.unwrap();
    assert_eq!(count(), 2, "another audience list is another question");
    gate.admit(&Access::EstateRead(ns("team-a")), Some(&token(far + 1))).await.unwrap();
    assert_eq!(count(), 3, "another token is another question");
}

#[rstest]
#[case::long(1_000 + 3600, VERDICT_LIFE)]
#[case::short(1_000 + 7, Duration::from_secs(7))]
#[case::ended(999, Duration::ZERO)]
#[case::absurd(u64::MAX, Duration::ZERO)]
fn a_verdict_never_outlives_its_token(#[case] exp: u64, #[case] life: Duration) {
    let now = UNIX_EPOCH + Duration::from_secs(1_000);
    assert_eq!(verdict_life(&token(exp), now), life);
}

#[test]
fn a_token_without_a_readable_end_is_not_remembered() {
    for token in ["", "opaque", "a.b.c", "a.e30.c"] {
        assert_eq!(verdict_life(token, UNIX_EPOCH), Duration::ZERO);
    }
}

#[tokio::test]
async fn memory_ends_and_is_bounded() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.put(0, 'a', now, Duration::from_secs(10));
    assert_eq!(memory.get(&0, now + Duration::from_secs(9)), Some('a'));
    assert_eq!(memory.get(&0, now + Duration::from_secs(10)), None);
    for key in 1..=2 * MAX_REMEMBERED {
        memory.put(key, 'b', now, Duration::from_secs(20));
    }
    assert_eq!(memory.0.len(), MAX_REMEMBERED);
    assert_eq!(memory.get(&0, now), None, "the first to end goes first");
}

/// An API server whose namespace has another UID at every look: it was deleted and made again.
struct Recreated(AtomicU64);

impl Reviewer for Recreated {
    fn review<'a>(
        &'a self,
        _: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        let username = "system:serviceaccount:team-a:scanner".to_owned();
        let reviewed = Reviewed { username, audiences: audiences.to_vec() };
        async move { Ok(Some(reviewed)) }.boxed()
    }

    fn namespace_uid<'a>(&'a self, _: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        let uid = Uid::parse(&format!("00000000-0000-4000-8000-{:012}", self.0.fetch_add(1, Ordering::SeqCst)));
        async move { Ok(uid.ok()) }.boxed()
    }
}

#[tokio::test]
async fn a_new_namespace_never_meets_what_was_remembered_of_its_predecessor() {
    let gate = Gate::new(Arc::new(Recreated(AtomicU64::new(0))), &ns("system"));
    let access = scan("team-a", "entra", UID);
    let before = gate.admit(&access, Some("token of the old account")).await.unwrap();
    assert_eq!(gate.admit(&access, Some("token of the old account")).await.unwrap(), before, "remembered");
    assert_ne!(gate.admit(&access, Some("token of the new account")).await.unwrap(), before);
}
