//! Temporary.
#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, missing_docs)]
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use bytes::Bytes;
use futures::future::BoxFuture;
use sv0_graph::{Graph, read_manifest, read_snapshot};
use sv0_protocol::*;
use sv0_scan::{Ports, PutError, SnapshotSink};
#[derive(Clone, Default)]
struct Kept { parts: Arc<Mutex<Vec<Bytes>>>, manifest: Arc<Mutex<Option<Bytes>>> }
impl SnapshotSink for Kept {
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>> { self.parts.lock().unwrap().push(bytes); Box::pin(async { Ok(()) }) }
    fn put_manifest<'a>(&'a self, _: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>> { *self.manifest.lock().unwrap() = Some(bytes); Box::pin(async { Ok(()) }) }
}
#[tokio::test]
async fn demo() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/estates/demo.yaml")).unwrap();
    let estate = sv0_estate::estate::Estate::parse(&text, jiff::Timestamp::now()).unwrap();
    let ca = sv0_estate::tls::Authority::generate().unwrap();
    let server = sv0_estate::server::start(estate.clone(), &ca, sv0_estate::server::Options { listen: ([127, 0, 0, 1], 443).into(), ..Default::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("target"), estate.tenant_id()).unwrap();
    std::fs::write(dir.path().join("clientSecret"), "demo-only-not-a-secret").unwrap();
    let request = ScanRequest {
        namespace: "team-a".into(), instance: "entra".into(), instance_uid: "u".into(), scan_id: "00000000000001-aaaaaaaa".into(),
        source: Source::Entra { tenant_id: estate.tenant_id().into(), client_id: estate.operator_app_id().unwrap().into(), cloud: MicrosoftCloud::Public },
        auth: Auth::ClientSecret, accepted_collection_revision: 1, deadline_seconds: 300, limits: Limits::default(),
        network: Network { trusted_ca_pem: Some(server.ca_pem().to_owned()), private_hosts: sv0_estate::tls::HOSTS.map(str::to_owned).to_vec(), proxy: None },
        store: StoreAccess { url: "https://store.invalid".into(), ca_pem: String::new() },
    };
    let kept = Kept::default();
    let ports = Ports { endpoints: None, credential_dir: dir.path().into(), federated_token: dir.path().join("none"), sink: Box::new(kept.clone()),
        pause: Arc::new(sv0_connector::TokioPause), stop: tokio_util::sync::CancellationToken::new(), now: jiff::Timestamp::now };
    let report = sv0_scan::run(&request, &ports).await;
    println!("{report:#?}\n{:#?}", server.counters());
    let manifest = read_manifest(kept.manifest.lock().unwrap().as_ref().unwrap()).unwrap();
    let parts = kept.parts.lock().unwrap().clone();
    let mut parts = parts.iter();
    let snapshot = read_snapshot(manifest, |_| parts.next().map(AsRef::as_ref)).unwrap();
    let graph = Graph::build(vec![snapshot]).unwrap();
    let output = sv0_rules::run(&graph, &sv0_rules::RuleConfig::default(), jiff::Timestamp::now(), 1);
    let got: BTreeSet<(String, String, String, bool)> = output.findings.iter().map(|f| (f.rule.id.clone(), f.subject.id.rsplit(':').next().unwrap().to_owned(), format!("{:?}", f.severity), format!("{:?}", f.rule.claim) == "Narrower")).collect();
    let want: BTreeSet<_> = estate.expectations().findings.iter().map(|f| (f.rule.clone(), f.subject.clone(), f.severity.clone(), f.narrower)).collect();
    let name = |id: &str| output.findings.iter().find(|f| f.subject.id.ends_with(id)).map(|f| f.subject.name.clone()).unwrap_or_else(|| id.to_owned());
    for m in want.difference(&got) { println!("MISSING {m:?} {} {:?}", name(&m.1), estate.expectations().findings.iter().find(|f| f.subject == m.1).map(|f| &f.why)); }
    for m in got.difference(&want) { println!("EXTRA {m:?} {}", name(&m.1)); }
    for f in output.findings.iter().filter(|f| f.rule.id == "UNB-011") { println!("{} {:?}", f.title, f.narrowed); }
    println!("suppressed {:?} next {:?}", output.suppressed, output.next_transition);
    assert_eq!(got, want);
}
