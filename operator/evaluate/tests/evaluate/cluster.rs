//! Against a real API server, and a real store. Needs `KUBECONFIG`, the CRDs, and a namespace whose name stands in
//! `SV0_TEST_NAMESPACE` with an Estate `default` in it; `SV0_TEST_USER` is impersonated when set. The store's test needs
//! `SV0_TEST_STORE_URL`, and files named by `SV0_TEST_STORE_CA`, `SV0_TEST_SCAN_TOKEN` (for the
//! instance named `entra-` and [`UID`]) and `SV0_TEST_EVALUATE_TOKEN`. Ignored unless asked for:
//! `cargo test -p sv0-evaluate -- --ignored --test-threads=1`.

use jiff::Timestamp;
use kube::config::KubeConfigOptions;
use sv0_api::conditions::{EVALUATED, find};
use sv0_engine::convert::labels;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::load_all;
use sv0_evaluate::apply::{Pace, Written, apply};
use sv0_evaluate::cluster::Cluster;
use sv0_evaluate::run::run;
use sv0_evaluate::sink::{Desired, EstateSink as _, FindingSink as _};
use sv0_evaluate::status::{Ordered, finished};
use sv0_evaluate::store::RemoteVault;
use sv0_protocol::{EvaluateInput, EvaluateRequest, StoreAccess};
use sv0_store::client::{ScanTarget, StoreClient};

use crate::common::day;
use crate::estate::{SCAN_1, SCAN_2, builder, remove, scan, weak_identities};
use crate::world::Memory;

/// The store takes UIDs as Kubernetes makes them.
const UID: &str = "00000000-0000-4000-8000-000000000001";

async fn cluster() -> Cluster {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut config = kube::Config::from_kubeconfig(&KubeConfigOptions::default()).await.unwrap();
    config.auth_info.impersonate = std::env::var("SV0_TEST_USER").ok();
    let namespace = std::env::var("SV0_TEST_NAMESPACE").unwrap();
    Cluster::new(kube::Client::try_from(config).unwrap(), &namespace)
}

async fn conclude(builder: &sv0_graph::testing::SnapshotBuilder, before: Ledger, as_of: Timestamp) -> Evaluation {
    let memory = Memory::default();
    let order = memory.scan(builder);
    let inputs = load_all(&memory, &[order], &before.evaluated()).await.unwrap();
    let config = Config {
        as_of,
        estate: sv0_api::EstateSpec::default(),
        waiting: vec![],
        exceptions: vec![],
        max_findings: 1000,
        max_snapshot_bytes: sv0_engine::load::MAX_SNAPSHOT_BYTES,
        history_lost: false,
        ledger: None,
        threads: 2,
    };
    evaluate(inputs, before, &config).unwrap()
}

fn wanted(evaluation: &Evaluation) -> Vec<Desired> {
    let desired = |(name, spec): (&String, &sv0_api::FindingSpec)| Desired {
        name: name.clone(),
        labels: labels(spec),
        spec: serde_json::to_value(spec).unwrap(),
    };
    evaluation.findings.iter().map(desired).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn findings_and_status_on_a_real_api_server() {
    let cluster = cluster().await;
    let pace = Pace::polite();
    apply(&cluster, &[], &pace).await.unwrap();
    let first = conclude(&scan(SCAN_1), Ledger::default(), day(10)).await;
    let all = wanted(&first);
    let written = apply(&cluster, &all, &pace).await.unwrap();
    assert_eq!(written, Written { created: all.len(), replaced: 0, deleted: 0 });
    assert_eq!(
        apply(&cluster, &all, &pace).await.unwrap().total(),
        0,
        "what the server gives back equals what was sent"
    );

    let before = cluster.estate_status().await.unwrap();
    let ordered = Ordered { as_of: day(10), generation: 1, history_lost: false };
    let none = sv0_protocol::EvaluateExceptions::default();
    let status = finished(&first, ordered, &none, before.as_ref());
    cluster.write_estate_status(&status).await.unwrap();
    assert_eq!(cluster.estate_status().await.unwrap(), Some(status.clone()));

    let ledger = Ledger::read(&first.ledger.bytes).unwrap();
    let resolved = conclude(&remove(SCAN_2), ledger, day(11)).await;
    let written = apply(&cluster, &wanted(&resolved), &pace).await.unwrap();
    assert_eq!(written, Written { created: 0, replaced: all.len(), deleted: 0 });
    let stored = cluster.get(&all[0].name).await.unwrap().unwrap();
    assert_eq!(stored.labels["securityv0.com/state"], "Resolved");
    let later = finished(&resolved, Ordered { as_of: day(11), ..ordered }, &none, Some(&status));
    cluster.write_estate_status(&later).await.unwrap();
    let read = cluster.estate_status().await.unwrap().unwrap();
    assert_eq!(read, later);
    assert_eq!(find(&read.conditions, EVALUATED).unwrap().last_transition_time.0, day(10));

    let some = &all[..1];
    let written = apply(&cluster, some, &pace).await.unwrap();
    assert_eq!(written, Written { created: 0, replaced: 1, deleted: all.len() - 1 });
    if std::env::var_os("SV0_TEST_KEEP").is_none() {
        assert_eq!(apply(&cluster, &[], &pace).await.unwrap().deleted, 1);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

/// Puts a snapshot as a scan would, evaluates it, and evaluates the same order again.
#[tokio::test]
#[ignore = "needs a cluster and a store"]
async fn an_order_against_a_real_store_and_api_server() {
    let cluster = cluster().await;
    apply(&cluster, &[], &Pace::polite()).await.unwrap();
    let namespace = variable("SV0_TEST_NAMESPACE");
    let ca_pem = std::fs::read_to_string(variable("SV0_TEST_STORE_CA")).unwrap();
    let access = StoreAccess { url: variable("SV0_TEST_STORE_URL"), ca_pem };
    let mut builder = builder(UID, SCAN_1);
    weak_identities(&mut builder);
    let header = builder.build().header;
    let encoded = sv0_graph::write_snapshot(header.clone(), builder.rows()).unwrap();
    let writer = StoreClient::new(&access, variable("SV0_TEST_SCAN_TOKEN")).unwrap();
    let target =
        ScanTarget { namespace: namespace.clone(), instance: header.instance.clone(), instance_uid: UID.into() };
    for part in encoded.parts {
        writer.put_part(&target, part.bytes.into()).await.unwrap();
    }
    let digest = writer.put_manifest(&target, SCAN_1, encoded.manifest_bytes.into()).await.unwrap();

    let reader = StoreClient::new(&access, variable("SV0_TEST_EVALUATE_TOKEN")).unwrap();
    let vault = RemoteVault::new(reader, &namespace);
    let input = EvaluateInput {
        instance: header.instance,
        instance_uid: UID.into(),
        system: "entra".into(),
        tenant: header.tenant,
        snapshot_id: SCAN_1.into(),
        snapshot_digest: digest,
    };
    let mut order = EvaluateRequest {
        namespace,
        as_of: day(10),
        inputs: vec![input],
        waiting: vec![],
        ledger: None,
        estate_spec: serde_json::json!({}),
        estate_generation: 1,
        max_findings: 1000,
        max_snapshot_bytes: None,
        exceptions: sv0_protocol::EvaluateExceptions::default(),
        store: access,
    };
    let report = run(&order, &vault, &cluster, &Pace::polite(), 2).await.unwrap();
    assert!(report.written > 0 && report.written == report.findings, "{report:?}");
    let status = cluster.estate_status().await.unwrap().unwrap();
    order.ledger = status.ledger;
    order.as_of = day(11);
    assert_eq!(run(&order, &vault, &cluster, &Pace::polite(), 2).await.unwrap().written, 0);
    println!("order: {}", serde_json::to_string(&order).unwrap());
}
