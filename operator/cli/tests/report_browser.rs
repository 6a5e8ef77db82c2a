//! placeholder
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../../scan/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "../../scan/tests/tenant/mod.rs"]
mod tenant;

use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_api::EstateSpec;
use sv0_engine::evaluate::{Config, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, Used};
use sv0_evaluate::status::{Ordered, finished};
use sv0_graph::canonical::digest;
use sv0_protocol::{EvaluateInput, Outcome, ScanRequest};
use sv0_scan::Surroundings;
use tenant::{FULL, FULL_SECRET, World};

/// What `kubectl get findings,estates -o json` prints after a real scan and evaluation of the simulated tenant.
async fn listed() -> Value {
    let world = World::start(FULL).await;
    world.mutate(json!({ "revokePermission": "AuditLog.Read.All" }));
    let request = ScanRequest { accepted_collection_revision: 2, ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", FULL_SECRET)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    let manifest = digest(kept.manifest.lock().unwrap().as_ref().expect("a manifest"));
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: world.tenant.clone(),
        snapshot_id: request.scan_id,
        snapshot_digest: manifest.clone(),
    };
    let used = Some(Used { digest: manifest, snapshot: kept.snapshot() });
    let as_of = Timestamp::now();
    let config = Config {
        as_of,
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        max_findings: 1000,
        ledger: None,
        threads: 1,
    };
    let evaluation = evaluate(vec![Input { order, quarantined: None, used }], Ledger::default(), &config).unwrap();
    let status = finished(&evaluation, Ordered { as_of, generation: 1, history_lost: false }, None);
    let meta = |name: &str| json!({ "name": name, "namespace": "team-a" });
    let api = "securityv0.com/v1alpha1";
    let estate =
        json!({ "apiVersion": api, "kind": "Estate", "metadata": meta("default"), "spec": {}, "status": status });
    let findings = evaluation
        .findings
        .iter()
        .map(|(name, spec)| json!({ "apiVersion": api, "kind": "Finding", "metadata": meta(name), "spec": spec }));
    let items: Vec<Value> = findings.chain([estate]).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

#[tokio::test]
async fn dump() {
    std::fs::write("/tmp/report-full.json", serde_json::to_vec_pretty(&listed().await).unwrap()).unwrap();
}
