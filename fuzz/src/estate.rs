//! A small estate: one scan of it, and how an order names it. Seeds are made of it, and policies are judged over it.

use sv0_engine::load::{Input, Used};
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{EdgeKind, Header, NodeKind, Value, attr};
use sv0_protocol::EvaluateInput;

/// Directory role "Cloud Application Administrator".
const POWERFUL: &str = "158c047a-c907-4556-b7ef-446551a6b5f7";
/// The tenant of the estate.
pub const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// One identity with authority, a secret that never ends, and no owner.
pub fn estate() -> SnapshotBuilder {
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

/// How an order names the scan with this header and digest.
pub fn ordered(header: &Header, digest: &str) -> EvaluateInput {
    EvaluateInput {
        instance: header.instance.clone(),
        instance_uid: header.instance_uid.clone(),
        system: header.system.clone(),
        tenant: header.tenant.clone(),
        snapshot_id: header.scan_id.clone(),
        snapshot_digest: digest.to_owned(),
    }
}

/// The estate as an evaluation loads it. No byte of it was stored, so that its digest is a made-up one.
pub fn loaded() -> Input {
    let snapshot = estate().build();
    let digest = format!("sha256:{}", "0".repeat(64));
    let order = ordered(&snapshot.header, &digest);
    Input { order, quarantined: None, used: Some(Used { digest, snapshot }) }
}
