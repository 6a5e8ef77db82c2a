//! An evaluation is a function: two tenants are scanned, and whatever the order of rows and snapshots and the number of
//! threads, pack, ledger and every Finding are equal to the byte. Needs no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sv0_api::EstateSpec;
use sv0_e2e::estate as small;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Used};
use sv0_estate::estate::Estate;
use sv0_estate::server::{self, Options, Running};
use sv0_estate::tls::Authority;
use sv0_graph::canonical::{digest, to_canonical_json};
use sv0_graph::{Snapshot, read_manifest, read_snapshot};
use sv0_protocol::{Auth, EvaluateInput, Limits, MicrosoftCloud, Network, Outcome, ScanRequest, Source, StoreAccess};
use sv0_scan::{Ports, PutError, SnapshotSink, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const DEMO: &str = include_str!("../estate/estates/demo.yaml");
const DEMO_SECRET: &str = "demo-only-not-a-secret";

/// Keeps a snapshot in memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Vec<Bytes>, Option<Bytes>)>>);

impl SnapshotSink for Kept {
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>> {
        self.0.lock().unwrap().0.push(bytes);
        Box::pin(async { Ok(()) })
    }

    fn put_manifest<'a>(&'a self, _: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>> {
        self.0.lock().unwrap().1 = Some(bytes);
        Box::pin(async { Ok(()) })
    }
}

/// An outbound proxy that leads every name to the simulated vendor.
async fn proxy(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(to).await.unwrap();
                // Either side may leave first.
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}

fn request(instance: &str, tenant: &str, client: &str, server: &Running, proxy: SocketAddr) -> ScanRequest {
    ScanRequest {
        namespace: "team-a".into(),
        instance: instance.into(),
        instance_uid: format!("11111111-2222-4333-8444-{:012}", instance.len()),
        scan_id: "00001767225600000-0a1b2c3d".into(),
        source: Source::Entra { tenant_id: tenant.into(), client_id: client.into(), cloud: MicrosoftCloud::Public },
        auth: Auth::ClientSecret,
        accepted_collection_revision: 1,
        deadline_seconds: 600,
        limits: Limits::default(),
        network: Network {
            trusted_ca_pem: Some(server.ca_pem().to_owned()),
            proxy: Some(format!("http://{proxy}")),
            ..Network::default()
        },
        store: StoreAccess { url: "https://store.invalid".into(), ca_pem: String::new() },
    }
}

/// Scans the tenant of `file`; gives what an evaluation would be ordered to read.
async fn scanned(instance: &str, file: &str, secret: &str) -> Input {
    sv0_connector::install_crypto_provider();
    let estate = Estate::parse(file, Timestamp::now()).unwrap();
    let (tenant, client) = (estate.tenant_id().to_owned(), estate.operator_app_id().unwrap().to_owned());
    let options = Options { listen: ([127, 0, 0, 1], 0).into(), ..Options::default() };
    let server = server::start(estate, &Authority::generate().unwrap(), options).await.unwrap();
    let request = request(instance, &tenant, &client, &server, proxy(server.address).await);

    let credential = tempfile::tempdir().unwrap();
    std::fs::write(credential.path().join("target"), &tenant).unwrap();
    std::fs::write(credential.path().join("clientSecret"), secret).unwrap();
    let kept = Kept::default();
    let ports = Ports {
        endpoints: None,
        credential_dir: credential.path().to_owned(),
        federated_token: credential.path().join("none"),
        surroundings: sv0_scan::Surroundings::default(),
        sink: Box::new(kept.clone()),
        pause: Arc::new(sv0_connector::TokioPause),
        stop: CancellationToken::new(),
        now: Timestamp::now,
    };
    let report = Box::pin(run(&request, &ports)).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");

    let (pieces, manifest) = std::mem::take(&mut *kept.0.lock().unwrap());
    let manifest = manifest.expect("a manifest");
    let manifest_digest = digest(&manifest);
    let mut pieces = pieces.iter();
    let snapshot = read_snapshot(read_manifest(&manifest).unwrap(), |_| pieces.next().map(AsRef::as_ref)).unwrap();
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant,
        snapshot_id: request.scan_id,
        snapshot_digest: manifest_digest.clone(),
    };
    Input { order, quarantined: None, used: Some(Used { digest: manifest_digest, snapshot }) }
}

/// Puts rows into an order that follows from the seed alone.
fn shuffle<T>(rows: &mut [T], mut seed: u64) {
    for last in (1..rows.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let other = usize::try_from(seed % (last as u64 + 1)).unwrap();
        rows.swap(last, other);
    }
}

fn shuffled(inputs: &[Input], seed: u64) -> Vec<Input> {
    let mut inputs = inputs.to_vec();
    for Snapshot { header, nodes, edges } in inputs.iter_mut().filter_map(|i| Some(&mut i.used.as_mut()?.snapshot)) {
        shuffle(nodes, seed);
        shuffle(edges, seed);
        shuffle(&mut header.coverage, seed);
    }
    inputs.reverse();
    inputs
}

fn config(as_of: Timestamp, threads: usize) -> Config {
    Config {
        as_of,
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_findings: 1000,
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        ledger: None,
        history_lost: false,
        threads,
    }
}

/// The canonical bytes of every Finding's spec.
fn specs(evaluation: &Evaluation) -> BTreeMap<String, Vec<u8>> {
    evaluation.findings.iter().map(|(name, spec)| (name.clone(), to_canonical_json(spec).unwrap())).collect()
}

#[tokio::test]
async fn order_and_threads_change_no_byte() {
    let other = small::small("nowhere").to_string();
    let inputs = [scanned("contoso", DEMO, DEMO_SECRET).await, scanned("second", &other, small::SECRET).await];
    let as_of = Timestamp::now();
    let first = evaluate(inputs.to_vec(), Ledger::default(), &config(as_of, 1)).unwrap();
    let expected = specs(&first);
    assert!(expected.len() >= 5, "only {} findings: nothing to compare", expected.len());
    assert_eq!(first.pack.digest, digest(&first.pack.bytes));

    for (seed, threads) in [(0x9e37_79b9, 1), (0x9e37_79b9, 4), (0x5bd1_e995, 1), (0x5bd1_e995, 4)] {
        let shuffled = shuffled(&inputs, seed);
        assert_ne!(shuffled[1], inputs[0], "the shuffle left everything in place");
        let again = evaluate(shuffled, Ledger::default(), &config(as_of, threads)).unwrap();
        assert_eq!(specs(&again), expected, "specs with seed {seed:x} and {threads} threads");
        assert_eq!(again.pack.digest, first.pack.digest, "pack with seed {seed:x} and {threads} threads");
        assert_eq!(again.ledger.digest, first.ledger.digest, "ledger with seed {seed:x} and {threads} threads");
        assert_eq!(again.next_transition, first.next_transition);
    }

    // The comparison would see a difference: half a year later other credentials are too old.
    let later = as_of.saturating_add(SignedDuration::from_hours(24 * 180)).unwrap();
    let other = evaluate(inputs.to_vec(), Ledger::default(), &config(later, 4)).unwrap();
    assert_ne!(other.pack.digest, first.pack.digest);
    assert_ne!(specs(&other), expected);
}
