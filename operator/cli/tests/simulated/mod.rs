//! What an estate's namespace holds after a real scan of the simulated tenant and a real evaluation of it, at an instant
//! that stays the same: what is shown of it stays the same, too, until the product changes.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_api::EstateSpec;
use sv0_engine::bundle::Bundle;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Used};
use sv0_evaluate::status::{Ordered, finished};
use sv0_graph::canonical::{digest, sha256_hex};
use sv0_protocol::{EvaluateExceptions, EvaluateInput, ScanRequest};
use sv0_scan::Surroundings;

use crate::support::Kept;
use crate::tenant::{FULL, FULL_SECRET, World};

const SCANNED_AT: &str = "2026-11-30T10:15:00Z";
const EVALUATED_AT: &str = "2026-11-30T10:15:56Z";
const ESTATE: &str = "team-a";

/// One evaluation of one scan.
pub(crate) struct Evaluated {
    /// What `kubectl get findings,estates -o json` prints.
    pub(crate) list: Value,
    /// What `kubectl sv0 pack export` writes.
    pub(crate) bundle: Bundle,
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

/// Scans the simulated tenant, in which one permission is missing, and evaluates it.
pub(crate) async fn evaluated(missing: &str) -> Evaluated {
    let world = World::start_by(&format!("clock: {SCANNED_AT}\n{FULL}"), || at(SCANNED_AT)).await;
    world.mutate(json!({ "revokePermission": missing }));
    let scan_id = format!("{:014}-0a1b2c3d", at(SCANNED_AT).as_millisecond());
    let request =
        ScanRequest { accepted_collection_revision: 2, scan_id, instance: "contoso".into(), ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", FULL_SECRET)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    assert!(report.gaps.iter().any(|gap| gap.permission.as_deref() == Some(missing)), "{report:?}");
    let manifest = kept.manifest.lock().unwrap().clone().expect("a manifest");
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: world.tenant.clone(),
        snapshot_id: request.scan_id,
        snapshot_digest: digest(&manifest),
    };
    let config = Config {
        as_of: at(EVALUATED_AT),
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_findings: 1000,
        ledger: None,
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        history_lost: false,
        threads: 1,
    };
    let used = Some(Used { digest: digest(&manifest), snapshot: kept.snapshot() });
    let input = Input { order: order.clone(), quarantined: None, used };
    let evaluation = evaluate(vec![input], Ledger::default(), &config).unwrap();
    Evaluated { list: list(&evaluation), bundle: bundle(&evaluation, &order, manifest, &kept) }
}

fn object(kind: &str, name: &str, fields: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": kind, "metadata": { "name": name, "namespace": ESTATE },
    });
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object
}

fn list(evaluation: &Evaluation) -> Value {
    let ordered = Ordered { as_of: at(EVALUATED_AT), generation: 1, history_lost: false };
    let status = finished(evaluation, ordered, &EvaluateExceptions::default(), None);
    let estate = object("Estate", "default", &json!({ "spec": {}, "status": status }));
    let findings = evaluation.findings.iter().map(|(name, spec)| object("Finding", name, &json!({ "spec": spec })));
    let items: Vec<Value> = findings.chain([estate]).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn bundle(evaluation: &Evaluation, order: &EvaluateInput, manifest: Bytes, kept: &Kept) -> Bundle {
    let uid = &order.instance_uid;
    let parts = kept.parts.lock().unwrap();
    Bundle {
        estate: ESTATE.to_owned(),
        pack: evaluation.pack.bytes.clone().into(),
        ledger: None,
        next_ledger: evaluation.ledger.bytes.clone().into(),
        manifests: [((uid.clone(), order.snapshot_id.clone()), manifest)].into(),
        parts: parts.iter().map(|part| ((uid.clone(), sha256_hex(part)), part.clone())).collect(),
    }
}
