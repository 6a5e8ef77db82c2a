//! Writes good inputs to start from: one evaluation of a small estate, as it is stored. Argument: the folder of corpora.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use sv0_engine::bundle::Bundle;
use sv0_engine::evaluate::{Config, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, MAX_SNAPSHOT_BYTES, Used};
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr, write_snapshot};
use sv0_protocol::EvaluateInput;

/// Directory role "Cloud Application Administrator".
const POWERFUL: &str = "158c047a-c907-4556-b7ef-446551a6b5f7";
const TENANT: &str = "11111111-1111-1111-1111-111111111111";

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
    let order = EvaluateInput {
        instance: header.instance.clone(),
        instance_uid: header.instance_uid.clone(),
        system: header.system.clone(),
        tenant: header.tenant.clone(),
        snapshot_id: header.scan_id.clone(),
        snapshot_digest: encoded.digest.clone(),
    };
    let config = Config {
        as_of: "2026-01-10T12:00:00Z".parse()?,
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

/// One identity with authority, a secret that never ends, and no owner.
fn estate() -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::entra("u", TENANT);
    let system = builder.node("organization", NodeKind::System, TENANT, &[]);
    let facts = [(attr::NAME, text("bot")), (attr::OWNER_COUNT, Value::Int(0))];
    let app = builder.node("applications", NodeKind::Application, "app", &facts);
    let facts = [
        (attr::NAME, text("bot")),
        (attr::ENABLED, Value::Bool(true)),
        (attr::HOME_TENANT, text(TENANT)),
        (attr::PRINCIPAL_TYPE, text("Application")),
        (attr::OWNER_COUNT, Value::Int(0)),
    ];
    let principal = builder.node("servicePrincipals", NodeKind::ServicePrincipal, "sp", &facts);
    builder.edge("applications", &app, EdgeKind::Instantiates, &principal);
    let grant = builder.edge("directoryRoleAssignments", &principal, EdgeKind::Granted, &system);
    grant.role = Some(POWERFUL.to_owned());
    grant.scope = Some("/".to_owned());
    let facts = [
        (attr::CREDENTIAL_TYPE, text("secret")),
        (attr::CREDENTIAL_USE, text("client_auth")),
        (attr::VALID_FROM, text("2024-01-01T00:00:00Z")),
        (attr::VALID_TO, text("2099-12-31T00:00:00Z")),
    ];
    let credential = builder.node("applications", NodeKind::Credential, "app/key", &facts);
    builder.edge("applications", &app, EdgeKind::HoldsCredential, &credential);
    builder
}

fn write(folder: &Path, target: &str, name: &str, input: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), input)?)
}
