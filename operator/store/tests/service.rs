//! The whole service on loopback: TLS, tokens, paths, limits; driven by the client and by raw requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests too")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use sha2::{Digest, Sha256 as Hasher};
use sv0_protocol::store::LiveInstances;
use sv0_protocol::{StoreAccess, store};
use sv0_store::backend::Backend;
use sv0_store::client::{ClientError, ScanTarget, StoreClient};
use sv0_store::gate::{Gate, ReviewError, Reviewed, Reviewer};
use sv0_store::http::{App, router};
use sv0_store::keys::{Namespace, Uid};
use sv0_store::metrics::Metrics;
use sv0_store::objects::{Bounds, Objects};
use sv0_store::serve::{self, Probes};
use sv0_store::tls::{Current, Identity};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const UID: &str = "00000000-0000-4000-8000-000000000001";
const TEAM_A: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
const SCAN_ID: &str = "01764000000000-0123abcd";

/// Accepts tokens of the form `<namespace>:<account>|<audience>`.
struct Spoken;

impl Reviewer for Spoken {
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        let reviewed = token.split_once('|').and_then(|(account, audience)| {
            let audiences: Vec<_> = audiences.iter().filter(|a| *a == audience).cloned().collect();
            let username = format!("system:serviceaccount:{account}");
            (!audiences.is_empty()).then_some(Reviewed { username, audiences })
        });
        async move { Ok(reviewed) }.boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        let uid = match namespace.as_str() {
            "team-a" => Uid::parse("6f9619ff-8b86-d011-b42d-00cf4fc964ff").ok(),
            "team-b" => Uid::parse("6f9619ff-8b86-d011-b42d-00cf4fc964fe").ok(),
            _ => None,
        };
        async move { Ok(uid) }.boxed()
    }
}

struct Service {
    address: SocketAddr,
    identity: Identity,
    current: Arc<Current>,
    metrics: Metrics,
    objects: Arc<Objects>,
    files: PathBuf,
    directory: TempDir,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn identity() -> Identity {
    Identity::create(&["localhost".to_owned()], OffsetDateTime::now_utc()).unwrap()
}

impl Service {
    async fn start() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let back_end: Arc<dyn ObjectStore> = Backend::Filesystem(directory.path().to_owned()).open().unwrap();
        let bounds = Bounds { quota_bytes: 100_000, estate_quota_bytes: 1_000_000, grace: Duration::from_hours(1) };
        let objects = Arc::new(Objects::new(back_end, bounds));
        let metrics = Metrics::new().unwrap();
        let gate = Gate::new(Arc::new(Spoken), &Namespace::parse("system").unwrap());
        let app = App::new(gate, Arc::clone(&objects), metrics.clone(), 0);
        let identity = identity();
        let current = Current::new(&identity).unwrap();
        let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served =
            serve::tls(listener, current.server_config().unwrap(), router(app), stop.clone().cancelled_owned());
        let ended = tokio::spawn(served);
        let files = directory.path().join("objects");
        Self { address, identity, current, metrics, objects, files, directory, stop, ended }
    }

    fn access(&self) -> StoreAccess {
        StoreAccess { url: format!("https://localhost:{}", self.address.port()), ca_pem: self.identity.ca_pem() }
    }

    /// A client with this token.
    fn client(&self, token: &str) -> StoreClient {
        let path = self.directory.path().join(format!("token-{}", hex::encode(Hasher::digest(token))));
        std::fs::write(&path, format!("{token}\n")).unwrap();
        StoreClient::new(&self.access(), path).unwrap()
    }

    fn raw(&self) -> reqwest::Client {
        let ca = reqwest::Certificate::from_pem(self.identity.ca_pem().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build().unwrap()
    }

    async fn status(&self, method: Method, path: &str, token: Option<&str>, body: impl Into<reqwest::Body>) -> u16 {
        let mut request = self.raw().request(method, format!("{}{path}", self.access().url)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    }
}

fn scan_token() -> String {
    format!("team-a:scanner|{}", store::scan_audience("team-a", "entra", UID))
}

fn evaluate_token(estate: &str) -> String {
    format!("system:evaluate-{estate}|{}", store::evaluate_audience(estate))
}

fn purge_token() -> String {
    format!("system:securityv0-purge|{}", store::PURGE_AUDIENCE)
}

fn target() -> ScanTarget {
    ScanTarget { namespace: "team-a".into(), instance: "entra".into(), instance_uid: UID.into() }
}

fn hex_of(body: &[u8]) -> String {
    hex::encode(Hasher::digest(body))
}

fn manifest(parts: &[(&str, u64)]) -> Bytes {
    let parts: Vec<_> = parts.iter().map(|(sha, n)| serde_json::json!({"sha256": sha, "bytes": n})).collect();
    Bytes::from(serde_json::json!({ "parts": parts }).to_string())
}

#[tokio::test]
async fn a_scan_writes_and_an_evaluation_reads_and_writes() {
    let service = Service::start().await;
    let scan = service.client(&scan_token());
    let part = Bytes::from_static(b"a part");
    let sha256 = scan.put_part(&target(), part.clone()).await.unwrap();
    assert_eq!(sha256, hex_of(&part));
    scan.put_part(&target(), part.clone()).await.unwrap();
    let manifest = manifest(&[(&sha256, 6)]);
    let digest = scan.put_manifest(&target(), SCAN_ID, manifest.clone()).await.unwrap();
    assert_eq!(scan.put_manifest(&target(), SCAN_ID, manifest.clone()).await.unwrap(), digest);

    let evaluate = service.client(&evaluate_token("team-a"));
    assert_eq!(evaluate.list_snapshots("team-a", UID).await.unwrap(), [SCAN_ID]);
    let read = evaluate.get_manifest("team-a", UID, SCAN_ID, Some(&digest)).await.unwrap();
    assert_eq!(read, manifest);
    assert_eq!(evaluate.get_part("team-a", UID, &sha256).await.unwrap(), part);
    let pack = evaluate.put_pack("team-a", Bytes::from_static(b"a pack")).await.unwrap();
    assert_eq!(evaluate.get_pack("team-a", &pack).await.unwrap(), "a pack");
    let ledger = evaluate.put_ledger("team-a", Bytes::from_static(b"a ledger")).await.unwrap();
    assert_eq!(evaluate.get_ledger("team-a", &ledger).await.unwrap(), "a ledger");

    let reader = service.client(&format!("system:reader-team-a|{}", store::reader_audience("team-a")));
    assert_eq!(reader.get_pack("team-a", &pack).await.unwrap(), "a pack");
    let refused = reader.put_pack("team-a", Bytes::from_static(b"forged")).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 401, .. })), "{refused:?}");
}

#[tokio::test]
async fn only_the_evaluation_of_the_estate_pins_its_snapshots() {
    let service = Service::start().await;
    let pins = BTreeSet::from([SCAN_ID.to_owned()]);
    let evaluate = service.client(&evaluate_token("team-a"));
    evaluate.pin("team-a", UID, &pins).await.unwrap();
    service.client(&scan_token()).put_manifest(&target(), SCAN_ID, manifest(&[])).await.unwrap();
    for _ in 0..2 {
        evaluate.pin("team-a", UID, &pins).await.unwrap();
    }
    let reader = format!("system:reader-team-a|{}", store::reader_audience("team-a"));
    for stranger in [reader, scan_token(), evaluate_token("team-b")] {
        let refused = service.client(&stranger).pin("team-a", UID, &pins).await;
        assert!(matches!(refused, Err(ClientError::Refused { status: 401 | 403, .. })), "{refused:?}");
    }
    let three = ["1", "2", "3"].map(|n| format!("0000000000000{n}-0000abcd"));
    for bad in [BTreeSet::from(["../../x".to_owned()]), BTreeSet::from(three)] {
        let refused = evaluate.pin("team-a", UID, &bad).await;
        assert!(matches!(refused, Err(ClientError::Refused { status: 400, .. })), "{refused:?}");
    }
    let refused = evaluate.pin("team-a", "not-a-uid", &pins).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 400, .. })), "{refused:?}");
}

#[tokio::test]
async fn only_the_evaluation_of_the_estate_tells_which_instances_there_are() {
    let service = Service::start().await;
    let scan = service.client(&scan_token());
    scan.put_manifest(&target(), SCAN_ID, manifest(&[])).await.unwrap();
    let said = LiveInstances { instances: BTreeSet::new(), orphaned_days: 30 };
    let reader = format!("system:reader-team-a|{}", store::reader_audience("team-a"));
    for stranger in [reader, scan_token(), evaluate_token("team-b"), purge_token()] {
        let refused = service.client(&stranger).tell_instances("team-a", &said).await;
        assert!(matches!(refused, Err(ClientError::Refused { status: 401 | 403, .. })), "{refused:?}");
    }
    // Another estate that names nobody: nothing of this one is absent.
    service.client(&evaluate_token("team-b")).tell_instances("team-b", &said).await.unwrap();
    let purge = service.client(&purge_token());
    assert_eq!(purge.departed().await.unwrap(), []);
    let evaluate = service.client(&evaluate_token("team-a"));
    let wrong = LiveInstances { orphaned_days: 0, ..said.clone() };
    let refused = evaluate.tell_instances("team-a", &wrong).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 400, .. })), "{refused:?}");
    evaluate.tell_instances("team-a", &said).await.unwrap();
    assert_eq!(purge.departed().await.unwrap()[0].instances[0].uid, UID);
    let named = LiveInstances { instances: BTreeSet::from([UID.to_owned()]), ..said };
    evaluate.tell_instances("team-a", &named).await.unwrap();
    assert_eq!(purge.departed().await.unwrap(), []);
}

#[tokio::test]
async fn only_the_purge_account_purges_and_only_what_is_gone() {
    let service = Service::start().await;
    service.client(&scan_token()).put_manifest(&target(), SCAN_ID, manifest(&[])).await.unwrap();
    let purge = service.client(&purge_token());
    let refused = purge.purge(TEAM_A, Some(UID)).await;
    assert!(matches!(refused, Err(ClientError::Conflict)), "nobody said that it is gone: {refused:?}");
    let refused = purge.purge(TEAM_A, None).await;
    assert!(matches!(refused, Err(ClientError::Conflict)), "the namespace is there: {refused:?}");
    let evaluate = service.client(&evaluate_token("team-a"));
    let said = LiveInstances { instances: BTreeSet::new(), orphaned_days: 30 };
    evaluate.tell_instances("team-a", &said).await.unwrap();
    let namesake = format!("team-a:securityv0-purge|{}", store::PURGE_AUDIENCE);
    let borrowed = format!("system:evaluate-team-a|{}", store::PURGE_AUDIENCE);
    for stranger in [namesake, borrowed, evaluate_token("team-a"), scan_token(), String::new()] {
        let client = service.client(&stranger);
        let refused = [client.purge(TEAM_A, Some(UID)).await.unwrap_err(), client.departed().await.unwrap_err()];
        for error in refused {
            assert!(matches!(error, ClientError::Refused { status: 401 | 403, .. }), "{error:?}");
        }
    }
    // Its account reads and writes nothing of an estate.
    let refused = purge.list_snapshots("team-a", UID).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 401, .. })), "{refused:?}");
    for _ in 0..2 {
        purge.purge(TEAM_A, Some(UID)).await.unwrap();
    }
    assert!(purge.departed().await.unwrap()[0].instances[0].asked);
    let missing = purge.purge(UID, None).await;
    assert!(matches!(missing, Err(ClientError::Missing)), "{missing:?}");
    let refused = purge.purge("..%2fsystem", None).await;
    assert!(matches!(refused, Err(ClientError::Refused { status: 400, .. })), "{refused:?}");
    let text = service.metrics.text().unwrap();
    assert!(text.contains(r#"securityv0_store_requests_total{code="201",operation="purge"} 1"#), "{text}");
}

#[tokio::test]
async fn every_refusal_has_its_own_error() {
    let service = Service::start().await;
    let scan = service.client(&scan_token());
    let evaluate = service.client(&evaluate_token("team-a"));
    let missing = "0".repeat(64);
    let error = scan.put_manifest(&target(), SCAN_ID, manifest(&[(&missing, 1)])).await.unwrap_err();
    assert!(matches!(error, ClientError::PartMissing), "{error:?}");
    scan.put_manifest(&target(), SCAN_ID, manifest(&[])).await.unwrap();
    let error = scan.put_manifest(&target(), SCAN_ID, Bytes::from_static(b"{\"parts\":[],\"x\":1}")).await.unwrap_err();
    assert!(matches!(error, ClientError::Conflict), "{error:?}");
    let error = scan.put_part(&target(), Bytes::from(vec![7; 100_001])).await.unwrap_err();
    assert!(matches!(error, ClientError::Full), "{error:?}");
    let error = evaluate.get_part("team-a", UID, &missing).await.unwrap_err();
    assert!(matches!(error, ClientError::Missing), "{error:?}");
    let error = evaluate.get_ledger("team-b", &missing).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }), "{error:?}");
    let other = ScanTarget { instance_uid: UID.replace('1', "2"), ..target() };
    let error = scan.put_part(&other, Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }), "{error:?}");
    let error = scan.list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }), "a scan reads nothing: {error:?}");
    for error in [error, ClientError::Full, ClientError::Conflict] {
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn damaged_bytes_are_never_given_to_the_caller() {
    let service = Service::start().await;
    let evaluate = service.client(&evaluate_token("team-a"));
    let ledger = evaluate.put_ledger("team-a", Bytes::from_static(b"a ledger")).await.unwrap();
    let hex = ledger.trim_start_matches("sha256:");
    let file = service.files.join("estates/6f9619ff-8b86-d011-b42d-00cf4fc964ff/ledgers").join(hex);
    std::fs::write(file, "a forger").unwrap();
    let error = evaluate.get_ledger("team-a", &ledger).await.unwrap_err();
    assert!(matches!(error, ClientError::Corrupt), "{error:?}");
    let scan = service.client(&scan_token());
    scan.put_manifest(&target(), SCAN_ID, manifest(&[])).await.unwrap();
    let error = evaluate.get_manifest("team-a", UID, SCAN_ID, Some(&ledger)).await.unwrap_err();
    assert!(matches!(error, ClientError::Corrupt), "{error:?}");
}

#[tokio::test]
async fn the_client_trusts_the_stores_authority_only() {
    let service = Service::start().await;
    let access = StoreAccess { ca_pem: identity().ca_pem(), ..service.access() };
    let path = service.directory.path().join("token");
    std::fs::write(&path, evaluate_token("team-a")).unwrap();
    let stranger = StoreClient::new(&access, &path).unwrap();
    let error = stranger.list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted(_)), "{error:?}");
    // The right authority, another name.
    let access = StoreAccess { url: format!("https://127.0.0.1:{}", service.address.port()), ..service.access() };
    let error = StoreClient::new(&access, &path).unwrap().list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted(_)), "{error:?}");
    for (url, ca_pem) in [("http://localhost:1", service.identity.ca_pem()), ("https://localhost:1", String::new())] {
        let error = StoreClient::new(&StoreAccess { url: url.into(), ca_pem }, &path).unwrap_err();
        assert!(matches!(error, ClientError::Configuration(_)), "{error:?}");
    }
}

#[tokio::test]
async fn an_exchanged_certificate_is_used_at_once() {
    let service = Service::start().await;
    let next = identity();
    service.current.exchange(&next).unwrap();
    let error = service.client(&evaluate_token("team-a")).list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted(_)), "{error:?}");
    let access = StoreAccess { ca_pem: next.ca_pem(), ..service.access() };
    let path = service.directory.path().join("token");
    std::fs::write(&path, evaluate_token("team-a")).unwrap();
    assert!(StoreClient::new(&access, path).unwrap().list_snapshots("team-a", UID).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_token_is_read_anew_for_each_call() {
    let service = Service::start().await;
    let path = service.directory.path().join("rotated");
    let client = StoreClient::new(&service.access(), &path).unwrap();
    let error = client.list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Token(_)), "{error:?}");
    std::fs::write(&path, "old").unwrap();
    let error = client.list_snapshots("team-a", UID).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { status: 401, .. }), "{error:?}");
    std::fs::write(&path, evaluate_token("team-a")).unwrap();
    assert!(client.list_snapshots("team-a", UID).await.unwrap().is_empty());
}

#[rstest]
#[case::not_a_path("/v1/x", 404)]
#[case::upper_case_digest("/v1/estates/team-a/packs/ABC", 400)]
#[case::encoded_slash("/v1/estates/team-a/packs/..%2f..%2fsystem%2ftls.json", 400)]
#[case::encoded_dots("/v1/estates/%2e%2e/packs/0000000000000000000000000000000000000000000000000000000000000000", 404)]
#[case::encoded_parent(
    "/v1/estates/a%2f..%2fb/packs/0000000000000000000000000000000000000000000000000000000000000000",
    400
)]
#[case::uid_is_a_directory("/v1/estates/team-a/instances/packs/snapshots", 400)]
#[case::nul("/v1/estates/team-a%00/packs/0000000000000000000000000000000000000000000000000000000000000000", 400)]
#[tokio::test]
async fn crooked_paths_reach_nothing(#[case] path: &str, #[case] status: u16) {
    let service = Service::start().await;
    let token = evaluate_token("team-a");
    assert_eq!(service.status(Method::GET, path, Some(&token), "").await, status);
}

#[tokio::test]
async fn who_is_not_let_in_learns_nothing() {
    let service = Service::start().await;
    let evaluate = service.client(&evaluate_token("team-a"));
    let pack = evaluate.put_pack("team-a", Bytes::from_static(b"a pack")).await.unwrap();
    let there = store::pack_path("team-a", pack.trim_start_matches("sha256:"));
    let absent = store::pack_path("team-a", &"0".repeat(64));
    let nowhere = store::pack_path("no-such-estate", &"0".repeat(64));
    for token in [None, Some("x"), Some(scan_token().as_str()), Some(evaluate_token("team-b").as_str())] {
        let mut seen = Vec::new();
        for path in [&there, &absent, &nowhere] {
            let mut request = service.raw().get(format!("{}{path}", service.access().url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            seen.push((response.status(), response.text().await.unwrap()));
        }
        assert_eq!(seen[0].0, StatusCode::UNAUTHORIZED);
        assert!(seen.iter().all(|s| *s == seen[0]), "{token:?}: {seen:?}");
    }
}

#[tokio::test]
async fn bodies_are_checked_before_anything_is_visible() {
    let service = Service::start().await;
    let token = scan_token();
    let path = store::scan_part_path("team-a", "entra", UID, &hex_of(b"promised"));
    assert_eq!(service.status(Method::PUT, &path, Some(&token), "delivered").await, 422);
    let stream = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"promised"))]);
    assert_eq!(service.status(Method::PUT, &path, Some(&token), reqwest::Body::wrap_stream(stream)).await, 411);
    let manifest = store::scan_manifest_path("team-a", "entra", UID, SCAN_ID);
    assert_eq!(service.status(Method::PUT, &manifest, Some(&token), vec![b' '; 4 * 1024 * 1024 + 1]).await, 413);
    assert_eq!(service.status(Method::PUT, &manifest, Some(&token), "no manifest").await, 400);
    assert_eq!(service.status(Method::DELETE, &path, Some(&token), "").await, 405);
    assert!(!service.files.join("estates").exists(), "nothing was written");
}

impl Service {
    /// A connection under TLS that stays open as long as it is held; nothing when the store closes it.
    async fn dial(&self) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = self.identity.ca_pem();
        roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tcp = tokio::net::TcpStream::connect(self.address).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), tcp).await
    }

    /// Begins an upload of `length` bytes and leaves it hanging once its memory is borrowed.
    async fn hang(&self, length: u64) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
        let mut tls = self.dial().await.unwrap();
        let path = store::scan_part_path("team-a", "entra", UID, &hex_of(b"promised"));
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n",
            scan_token()
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        // The store asks for the body only when it has let the request in.
        let mut word = [0; 12];
        tls.read_exact(&mut word).await.unwrap();
        assert!(word.starts_with(b"HTTP/1.1 100") || word.starts_with(b"HTTP/1.1 503"), "{word:?}");
        tls
    }
}

#[tokio::test]
async fn slow_uploads_of_one_estate_leave_room_for_the_others() {
    let service = Service::start().await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(service.hang(1024).await);
    }
    let path = store::scan_part_path("team-a", "entra", UID, &hex_of(b"x"));
    assert_eq!(service.status(Method::PUT, &path, Some(&scan_token()), "x").await, 503, "the estate's share is taken");
    let neighbour = service.client(&evaluate_token("team-b"));
    neighbour.put_pack("team-b", Bytes::from_static(b"a pack")).await.unwrap();
    drop(slow);
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let service = Service::start().await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        match service.dial().await {
            Ok(connection) => open.push(connection),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((open.len(), refused), (32, 8));
    drop(open);
    // Its places are free again as soon as the store has seen the ends.
    let evaluate = service.client(&evaluate_token("team-a"));
    assert!(evaluate.list_snapshots("team-a", UID).await.is_ok());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let service = Service::start().await;
    let mut tls = service.dial().await.unwrap();
    let path = store::scan_part_path("team-a", "entra", UID, &hex_of(b"promised"));
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 8\r\n\r\nprom",
        scan_token()
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    tls.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tls.read_to_end(&mut rest).await.ok();
    let answer = String::from_utf8_lossy(&rest);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(!service.files.join("estates").exists(), "nothing was written");
    // The memory that it borrowed is free again: the largest body still fits.
    service.client(&scan_token()).put_part(&target(), Bytes::from_static(b"promised")).await.unwrap();
}

#[tokio::test]
async fn metrics_count_operations_and_name_nobody() {
    let service = Service::start().await;
    service.client(&scan_token()).put_part(&target(), Bytes::from_static(b"x")).await.unwrap();
    service.status(Method::GET, "/v1/estates/team-a/packs/x", None, "").await;
    let text = service.metrics.text().unwrap();
    assert!(text.contains(r#"securityv0_store_requests_total{code="201",operation="put_part"} 1"#), "{text}");
    assert!(text.contains(r#"securityv0_store_requests_total{code="400",operation="get_pack"} 1"#), "{text}");
    for secret in ["team-a", "entra", UID, "scanner"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn probes_tell_alive_from_ready() {
    let service = Service::start().await;
    let (ready, is_ready) = watch::channel(false);
    let probes = Probes { ready: is_ready, objects: Arc::clone(&service.objects), metrics: service.metrics.clone() };
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, serve::probes(probes)).into_future());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| http.get(format!("{base}{path}")).send().await.unwrap().status().as_u16();
    assert_eq!((get("/healthz").await, get("/readyz").await, get("/metrics").await), (200, 503, 200));
    ready.send_replace(true);
    assert_eq!(get("/readyz").await, 200);
    server.abort();
}

#[tokio::test]
async fn a_stop_ends_the_listener_and_idle_connections() {
    let service = Service::start().await;
    let client = service.client(&evaluate_token("team-a"));
    // Leaves a kept-alive connection behind.
    client.list_snapshots("team-a", UID).await.unwrap();
    service.stop.cancel();
    service.ended.await.unwrap();
    assert!(tokio::net::TcpStream::connect(service.address).await.is_err());
}
