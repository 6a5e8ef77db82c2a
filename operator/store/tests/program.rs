//! The program itself, on both back ends, against an API server that answers token reviews, namespaces and the one
//! ConfigMap. The real API server is asked in the cluster's own tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests too")]

mod bench;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bench::{Bench, Kind, install_provider};
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sv0_protocol::store;

const UID: &str = "00000000-0000-4000-8000-000000000001";
const NAMESPACE_UID: &str = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";

/// What the API server was asked and holds.
#[derive(Default)]
struct Api {
    config_map: Mutex<Option<Value>>,
    reviewed: Mutex<Vec<Value>>,
}

type Shared = State<Arc<Api>>;

async fn review(State(api): Shared, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    api.reviewed.lock().unwrap().push(body["spec"]["audiences"].clone());
    let status = match body["spec"]["token"].as_str() {
        Some("scan-token") => json!({
            "authenticated": true,
            "audiences": [store::scan_audience("team-a", "entra", UID)],
            "user": {"username": "system:serviceaccount:team-a:scanner"},
        }),
        _ => json!({"authenticated": false, "error": "invalid bearer token"}),
    };
    let answer = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {}, "status": status});
    (StatusCode::CREATED, Json(answer))
}

fn not_found() -> (StatusCode, Json<Value>) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
    (StatusCode::NOT_FOUND, Json(status))
}

async fn namespace(Path(name): Path<String>) -> (StatusCode, Json<Value>) {
    if name != "team-a" {
        return not_found();
    }
    let metadata = json!({"name": name, "uid": NAMESPACE_UID});
    (StatusCode::OK, Json(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})))
}

async fn read_map(State(api): Shared, Path((_, name)): Path<(String, String)>) -> (StatusCode, Json<Value>) {
    assert_eq!(name, "securityv0-store-ca");
    match api.config_map.lock().unwrap().clone() {
        Some(map) => (StatusCode::OK, Json(map)),
        None => not_found(),
    }
}

async fn create_map(State(api): Shared, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    *api.config_map.lock().unwrap() = Some(body.clone());
    (StatusCode::CREATED, Json(body))
}

async fn patch_map(State(api): Shared, body: axum::body::Bytes) -> Json<Value> {
    let patch: Value = serde_json::from_slice(&body).unwrap();
    let mut map = api.config_map.lock().unwrap();
    let map = map.as_mut().unwrap();
    map["data"]["ca.crt"] = patch["data"]["ca.crt"].clone();
    Json(map.clone())
}

async fn start_api(api: Arc<Api>) -> SocketAddr {
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
        .route("/api/v1/namespaces/{name}", get(namespace))
        .route("/api/v1/namespaces/{namespace}/configmaps", post(create_map))
        .route("/api/v1/namespaces/{namespace}/configmaps/{name}", get(read_map).patch(patch_map))
        .with_state(api);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

struct Store {
    process: Child,
    https: SocketAddr,
    plain: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

impl Store {
    fn start(bench: &Bench, kubeconfig: &std::path::Path) -> Self {
        let (arguments, variables) = bench.arguments();
        let mut process = Command::new(env!("CARGO_BIN_EXE_store"))
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--listen-plain", "127.0.0.1:0", "--namespace", "sys"])
            .envs(variables)
            .env("KUBECONFIG", kubeconfig)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let serving = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the store ended early: {log}")).unwrap();
            log.push_str(&line);
            let line: Value = serde_json::from_str(&line).expect("logs are JSON");
            if line["fields"]["message"] == "the store serves" {
                break line["fields"].clone();
            }
        };
        let address = |key: &str| serving[key].as_str().unwrap().parse().unwrap();
        let (https, plain) = (address("https"), address("plain"));
        let log = std::thread::spawn(move || log + &lines.map_while(Result::ok).collect::<String>());
        Self { process, https, plain, log }
    }

    /// Asks it to stop; gives its log.
    fn stop(mut self) -> String {
        Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status().unwrap();
        assert!(self.process.wait().unwrap().success());
        self.log.join().unwrap()
    }
}

/// Until the store says that it is ready.
async fn ready(address: SocketAddr) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..600 {
        if http.get(format!("http://{address}/readyz")).send().await.is_ok_and(|r| r.status().is_success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store never became ready");
}

fn client(store: &Store, api: &Api) -> reqwest::Client {
    let pem = api.config_map.lock().unwrap().as_ref().unwrap()["data"]["ca.crt"].as_str().unwrap().to_owned();
    let ca = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap();
    // The name that Jobs use, sent to this port.
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(ca)
        .resolve("securityv0-store.sys.svc", store.https)
        .build()
        .unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_publishes_its_authority_takes_a_part_survives_a_restart_and_stops(
    #[values(Kind::Volume, Kind::Bucket)] kind: Kind,
) {
    install_provider();
    let Some(bench) = Bench::new(kind).await else { return };
    let api = Arc::new(Api::default());
    let server = start_api(Arc::clone(&api)).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "u", "user": {}}],
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();

    let store = Store::start(&bench, &kubeconfig);
    ready(store.plain).await;
    let published = api.config_map.lock().unwrap().clone().unwrap();
    let body = "a part with a Canary in it";
    let sha256 = hex::encode(Sha256::digest(body));
    let path = store::scan_part_path("team-a", "entra", UID, &sha256);
    let base = format!("https://securityv0-store.sys.svc:{}", store.https.port());
    let http = client(&store, &api);
    let put = async |token: &str| {
        let request = http.put(format!("{base}{path}")).bearer_auth(token).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(put("scan-token").await, 201);
    assert_eq!(put("another-token").await, 401);
    let audience = json!([store::scan_audience("team-a", "entra", UID)]);
    assert!(api.reviewed.lock().unwrap().iter().all(|a| *a == audience), "each review names the one audience");
    let log = store.stop();
    for secret in ["scan-token", "another-token", "Canary", "PRIVATE KEY"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }

    // Someone damaged the ConfigMap; the store starts again with the same identity and mends it.
    api.config_map.lock().unwrap().as_mut().unwrap()["data"]["ca.crt"] = "forged".into();
    let store = Store::start(&bench, &kubeconfig);
    ready(store.plain).await;
    assert_eq!(*api.config_map.lock().unwrap(), Some(published));
    let base = format!("https://securityv0-store.sys.svc:{}", store.https.port());
    let request = client(&store, &api).put(format!("{base}{path}")).bearer_auth("scan-token").body(body);
    assert_eq!(request.send().await.unwrap().status(), 200, "the part is still there");
    store.stop();
    let key = format!("estates/{NAMESPACE_UID}/{UID}/parts/{sha256}");
    assert_eq!(bench.store.get(&key.into()).await.unwrap().bytes().await.unwrap(), body);
}

#[rstest]
#[tokio::test]
async fn the_collector_runs_alone_and_spares_what_is_young(#[values(Kind::Volume, Kind::Bucket)] kind: Kind) {
    let Some(bench) = Bench::new(kind).await else { return };
    let home = format!("estates/{NAMESPACE_UID}/{UID}/parts");
    let (old, young) = (format!("{home}/{}", "1".repeat(64)), format!("{home}/{}", "2".repeat(64)));
    for key in [&old, &young] {
        bench.store.put(&key.as_str().into(), "x".into()).await.unwrap();
    }
    bench.make_older(&old.as_str().into(), Duration::from_hours(2));
    let (arguments, variables) = bench.arguments();
    let mut command = Command::new(env!("CARGO_BIN_EXE_store"));
    let output = command.arg("gc").args(arguments).envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<String> = bench.store.list(None).map_ok(|m| m.location.to_string()).try_collect().await.unwrap();
    assert_eq!(left, [young]);
}

#[test]
fn a_wrong_argument_is_answered_with_what_to_change() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_store")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run(&["gc", "--backend", "s3"]).contains("needs --bucket"));
    assert!(run(&["--backend", "tape"]).contains("filesystem"));
    assert!(run(&["gc", "--data-dir", "/proc/nowhere"]).contains("/proc/nowhere/objects cannot be used"));
}
