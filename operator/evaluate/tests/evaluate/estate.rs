//! A small Entra tenant with planted weaknesses, in three scans.

use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

pub(crate) const TENANT: &str = "11111111-1111-1111-1111-111111111111";
pub(crate) const SCAN_1: &str = "00000000000001-aaaaaaaa";
pub(crate) const SCAN_2: &str = "00000000000002-aaaaaaaa";
pub(crate) const SCAN_3: &str = "00000000000003-aaaaaaaa";

/// Directory role "Cloud Application Administrator".
const POWERFUL: &str = "158c047a-c907-4556-b7ef-446551a6b5f7";

/// An empty scan of instance `uid`.
pub(crate) fn builder(uid: &str, scan: &str) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::entra(uid, TENANT);
    scan.clone_into(&mut builder.header().scan_id);
    // Every scan has its own times: they may not reach a finding.
    let millis: i64 = scan[..14].parse().unwrap();
    let observed = jiff::Timestamp::from_second(millis * 3600).unwrap();
    builder.header().observed_at = observed;
    builder.header().finished_at = observed;
    let tenant = builder.header().tenant.clone();
    builder.node("organization", NodeKind::System, &tenant, &[]);
    builder
}

/// An application with a powerful service principal, no owner, and a secret with these first and last instants.
pub(crate) fn identity(builder: &mut SnapshotBuilder, name: &str, secret: Option<(&str, &str)>) {
    powerless(builder, name, secret);
    let principal = builder.id(NodeKind::ServicePrincipal, &format!("sp-{name}"));
    let tenant = builder.header().tenant.clone();
    let system = builder.id(NodeKind::System, &tenant);
    let grant = builder.edge("directoryRoleAssignments", &principal, EdgeKind::Granted, &system);
    grant.role = Some(POWERFUL.into());
    grant.scope = Some("/".into());
    grant.object = Some(format!("assignment-{name}"));
}

/// The same without any authority.
pub(crate) fn powerless(builder: &mut SnapshotBuilder, name: &str, secret: Option<(&str, &str)>) {
    let tenant = builder.header().tenant.clone();
    let app = builder.node(
        "applications",
        NodeKind::Application,
        &format!("app-{name}"),
        &[
            (attr::NAME, text(name)),
            (attr::OWNER_COUNT, Value::Int(0)),
            (attr::HAS_MANAGEMENT_REFERENCE, Value::Bool(false)),
            (attr::CREATED_AT, text("2020-01-01T00:00:00Z")),
        ],
    );
    let principal = builder.node(
        "servicePrincipals",
        NodeKind::ServicePrincipal,
        &format!("sp-{name}"),
        &[
            (attr::NAME, text(name)),
            (attr::ENABLED, Value::Bool(true)),
            (attr::HOME_TENANT, text(&tenant)),
            (attr::PRINCIPAL_TYPE, text("Application")),
            (attr::OWNER_COUNT, Value::Int(0)),
            (attr::CREATED_AT, text("2020-01-01T00:00:00Z")),
        ],
    );
    builder.edge("applications", &app, EdgeKind::Instantiates, &principal);
    if let Some((from, to)) = secret {
        let credential = builder.node(
            "applications",
            NodeKind::Credential,
            &format!("app-{name}/key"),
            &[
                (attr::CREDENTIAL_TYPE, text("secret")),
                (attr::CREDENTIAL_USE, text("client_auth")),
                (attr::VALID_FROM, text(from)),
                (attr::VALID_TO, text(to)),
            ],
        );
        builder.edge("applications", &app, EdgeKind::HoldsCredential, &credential);
    }
}

/// Two identities: one with an ever-lasting, old secret that is in use, one with an ordinary one. Neither has an owner.
pub(crate) fn weak_identities(builder: &mut SnapshotBuilder) {
    identity(builder, "billing bot", Some(("2024-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
    let used = [(attr::LAST_USED_AT, text("2026-01-09T00:00:00Z"))];
    builder.node("servicePrincipalActivity", NodeKind::ServicePrincipal, "sp-billing bot", &used);
    identity(builder, "report bot", Some(("2025-12-01T00:00:00Z", "2026-05-31T00:00:00Z")));
}

/// A scan in which the weaknesses are there.
pub(crate) fn scan(scan: &str) -> SnapshotBuilder {
    let mut builder = builder("u", scan);
    weak_identities(&mut builder);
    builder
}

/// A scan in which the identities are gone.
pub(crate) fn remove(scan: &str) -> SnapshotBuilder {
    builder("u", scan)
}

/// Every collection counted so many items.
pub(crate) fn resize(builder: &mut SnapshotBuilder, items: u64) {
    for row in &mut builder.header().coverage {
        row.items = items;
    }
}
