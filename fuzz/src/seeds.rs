//! Writes good inputs to start from: one evaluation of a small estate, as it is stored. Argument: the folder of corpora.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
// What the instrumentation of everything below calls stands in there.
use libfuzzer_sys as _;
use serde_json::json;
use sv0_engine::bundle::Bundle;
use sv0_engine::evaluate::{Config, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Used};
use sv0_fuzz::estate::{TENANT, estate, ordered};
use sv0_graph::write_snapshot;
use sv0_protocol::{EvaluateExceptions, EvaluateInput, EvaluateRequest, StoreAccess};

const AS_OF: &str = "2026-01-10T12:00:00Z";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder of corpora")?;
    let folder = Path::new(&folder);
    let builder = estate();
    let snapshot = builder.build();
    let encoded = write_snapshot(snapshot.header.clone(), builder.rows())?;
    let header = &snapshot.header;
    let key = |name: &str| (header.instance_uid.clone(), name.to_owned());
    let mut bundle = Bundle { estate: "team-a".to_owned(), ..Bundle::default() };
    bundle.manifests.insert(key(&header.scan_id), encoded.manifest_bytes.clone().into());
    for part in &encoded.parts {
        bundle.parts.insert(key(&part.info.sha256), part.bytes.clone().into());
        let input = [encoded.manifest_bytes.as_slice(), b"\n", &part.bytes].concat();
        write(folder, "snapshot", &part.info.sha256, &input)?;
    }
    let order = ordered(header, &encoded.digest);
    write(folder, "policy", "whole", &policy(vec![order.clone()])?)?;
    let config = Config {
        as_of: AS_OF.parse()?,
        estate: sv0_api::EstateSpec::default(),
        waiting: vec![],
        exceptions: vec![],
        max_findings: 2,
        max_snapshot_bytes: MAX_SNAPSHOT_BYTES,
        ledger: None,
        history_lost: false,
        threads: 1,
    };
    let used = Used { digest: encoded.digest, snapshot };
    let evaluation = evaluate(vec![Input { order, quarantined: None, used: Some(used) }], Ledger::default(), &config)?;
    write(folder, "pack", "frame", &evaluation.pack.bytes)?;
    write(folder, "pack", "text", &zstd::decode_all(evaluation.pack.bytes.as_slice())?)?;
    bundle.pack = Bytes::from(evaluation.pack.bytes);
    bundle.next_ledger = Bytes::from(evaluation.ledger.bytes);
    write(folder, "bundle", "whole", &bundle.write()?)
}

/// Everything that an Estate can declare, and an accepted risk.
fn policy(inputs: Vec<EvaluateInput>) -> Result<Vec<u8>, Box<dyn Error>> {
    let spec = json!({
        "thresholds": { "rotateDays": 30, "dormantDays": 90, "neverUsedGraceDays": 7, "sharedByMin": 2 },
        "trustedTenants": [TENANT],
        "baseline": [{ "instance": "entra-u", "snapshotId": "00000000000001-aaaaaaaa", "snapshotDigest": "sha256:0" }],
        "declaredPurposes": [{ "identity": format!("entra:{TENANT}:ServicePrincipal:sp"), "systems": [], "domains": ["mail"] }],
        "environments": [
            { "name": "production", "production": true, "tenants": [TENANT] },
            { "name": "test", "production": false, "objects": ["app"], "namePatterns": ["b*t"], "scopes": ["/a"] },
        ],
        "sensitiveDomains": [{ "domain": "finance", "objects": ["app"], "scopes": ["/a"] }],
        "retention": { "resolvedDays": 3 },
    });
    let exception = |matching: serde_json::Value| {
        json!({
            "name": "known", "uid": "e", "generation": 1, "createdAt": "2026-01-01T00:00:00Z",
            "spec": { "match": matching, "owner": "team", "reason": "known", "expiresAt": "2026-07-01T00:00:00Z" },
        })
    };
    let order = EvaluateRequest {
        namespace: "team-a".to_owned(),
        as_of: AS_OF.parse()?,
        inputs,
        waiting: vec!["w".to_owned()],
        ledger: None,
        estate_spec: spec,
        estate_generation: 1,
        max_findings: 3,
        max_snapshot_bytes: Some(1000),
        exceptions: EvaluateExceptions::default(),
        store: StoreAccess { url: "https://store.example".to_owned(), ca_pem: String::new() },
    };
    let mut lines = vec![serde_json::to_string(&order)?];
    for matching in [
        json!({ "rules": ["CRED-002"], "maxSeverity": "Critical" }),
        json!({ "subjects": [format!("entra:{TENANT}:ServicePrincipal:sp")], "findings": ["orph-002-0123456789abcdef"] }),
    ] {
        lines.push(exception(matching).to_string());
    }
    Ok(lines.join("\n").into_bytes())
}

fn write(folder: &Path, target: &str, name: &str, input: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), input)?)
}
