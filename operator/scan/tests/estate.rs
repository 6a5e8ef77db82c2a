//! A whole scan against the simulated tenant under the vendor's own host names, over TLS with a private authority,
//! through an outbound proxy that leads those names to loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
mod tenant;

use std::sync::Arc;

use jiff::Timestamp;
use rstest::rstest;
use support::{Kept, NoPause};
use sv0_estate::tls::Authority;
use sv0_graph::{EdgeKind, Snapshot};
use sv0_protocol::{Outcome, Reason};
use sv0_scan::{Ports, run};
use tenant::{DEMO, SECRET, World};
use tokio_util::sync::CancellationToken;

fn count(snapshot: &Snapshot, kind: EdgeKind) -> usize {
    snapshot.edges.iter().filter(|edge| edge.kind == kind).count()
}

#[tokio::test]
async fn the_demonstration_tenant_is_read_completely_and_twice_the_same() {
    let world = World::start(DEMO).await;
    let (report, kept) = world.scan().await;
    assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{report:?}");
    assert_eq!((report.complete_collections, report.token_requests), (13, 1));
    assert_eq!(report.permissions_missing, Vec::<String>::new());
    let snapshot = kept.snapshot();
    for kind in [
        EdgeKind::Owns,
        EdgeKind::Instantiates,
        EdgeKind::HoldsCredential,
        EdgeKind::AuthenticatesAs,
        EdgeKind::Granted,
    ] {
        assert!(count(&snapshot, kind) > 0, "{kind:?}");
    }
    let counters = world.server.counters();
    assert_eq!((counters.metadata_requests, counters.other_hosts, counters.write_attempts), (0, 0, 0));
    let (_, again) = world.scan().await;
    assert_eq!(*kept.parts.lock().unwrap(), *again.parts.lock().unwrap());
    assert_eq!(world.names(), ["graph.microsoft.com:443", "login.microsoftonline.com:443"]);
}

#[rstest]
#[case("User.Read.All", "ownerAccounts")]
#[case("RoleManagement.Read.Directory", "directoryRoleAssignments")]
#[tokio::test]
async fn a_revoked_permission_is_named(#[case] permission: &str, #[case] collection: &str) {
    let world = World::start(DEMO).await;
    world.mutate(serde_json::json!({ "revokePermission": permission }));
    let (report, _) = world.scan().await;
    assert_eq!((report.outcome, report.reason), (Outcome::Partial, Some(Reason::PermissionMissing)), "{report:?}");
    assert_eq!(report.permissions_missing, [permission]);
    assert!(report.gaps.iter().any(|gap| gap.collection == collection && gap.state == "denied"), "{report:?}");
}

#[rstest]
#[case(serde_json::json!({"expireSecret": true}), Reason::CredentialExpired)]
#[case(serde_json::json!({"disableApp": true}), Reason::AppDisabled)]
#[case(serde_json::json!({"servicePrincipalMissing": true}), Reason::ServicePrincipalMissing)]
#[tokio::test]
async fn a_refused_sign_in_has_its_reason(#[case] change: serde_json::Value, #[case] reason: Reason) {
    let world = World::start(DEMO).await;
    world.mutate(change);
    let (report, _) = world.scan().await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(reason)), "{report:?}");
    assert!(report.vendor_code.is_some());
    assert!(world.server.counters().tokens() <= 3);
}

/// Each way of lying on the list of applications leaves the rest of the scan whole and the list not complete.
#[rstest]
#[case("nextlink-other-origin")]
#[case("repeat-cursor")]
#[case("huge-body")]
#[case("deep-json")]
#[case("endless-pages")]
#[tokio::test]
async fn a_lying_vendor_gains_nothing(#[case] lie: &str) {
    let world = World::start(DEMO).await;
    world.mutate(serde_json::json!({ "hostile": lie }));
    let (report, _) = world.scan().await;
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    let gap = report.gaps.iter().find(|gap| gap.collection == "applications").unwrap();
    assert_eq!((gap.state.as_str(), gap.reason), ("partial", Some(Reason::ResponseRefused)), "{report:?}");
    assert!(report.gaps.iter().all(|gap| gap.collection != "servicePrincipals"));
    assert_eq!(world.server.counters().other_hosts, 0);
}

#[tokio::test]
async fn another_tenants_answer_is_no_snapshot() {
    let world = World::start(DEMO).await;
    world.mutate(serde_json::json!({ "hostile": "foreign-tenant" }));
    let (report, kept) = world.scan().await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::ForeignTenant)));
    assert!(kept.manifest.lock().unwrap().is_none());
}

#[tokio::test]
async fn redirects_lead_nowhere() {
    let world = World::start(DEMO).await;
    world.mutate(serde_json::json!({ "redirect": "evil.example.com" }));
    let (report, _) = world.scan().await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::ResponseRefused)));
    assert!(!world.names().iter().any(|name| name.contains("evil")));
}

#[rstest]
#[case(serde_json::json!({"loseLastPage": "applications"}), "applications", Reason::LastPageLost)]
#[case(serde_json::json!({"dropLastPage": "servicePrincipals"}), "servicePrincipals", Reason::UpstreamUnavailable)]
#[tokio::test]
async fn a_list_without_its_end_is_not_complete(
    #[case] change: serde_json::Value,
    #[case] collection: &str,
    #[case] reason: Reason,
) {
    let world = World::start(DEMO).await;
    world.mutate(change);
    let (report, _) = world.scan().await;
    let gap = report.gaps.iter().find(|gap| gap.collection == collection);
    assert_eq!(gap.map(|gap| (gap.state.as_str(), gap.reason)), Some(("partial", Some(reason))), "{report:?}");
}

#[tokio::test]
async fn another_authority_is_not_believed() {
    let world = World::start(DEMO).await;
    let (one, _) = world.scan().await;
    assert_eq!(one.outcome, Outcome::Complete);
    let mut request = world.request();
    request.network.trusted_ca_pem = Some(Authority::generate().unwrap().cert_pem().to_owned());
    let ports = Ports {
        endpoints: None,
        credential_dir: tempfile::tempdir().unwrap().keep(),
        federated_token: "/nowhere".into(),
        surroundings: sv0_scan::Surroundings::default(),
        sink: Box::new(Kept::default()),
        pause: Arc::new(NoPause::default()),
        stop: CancellationToken::new(),
        now: Timestamp::now,
    };
    std::fs::write(ports.credential_dir.join("target"), &world.tenant).unwrap();
    std::fs::write(ports.credential_dir.join("clientSecret"), SECRET).unwrap();
    let tokens = world.server.counters().tokens();
    let report = Box::pin(run(&request, &ports)).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::IdentityProviderUnavailable)));
    assert_eq!(world.server.counters().tokens(), tokens, "nothing was sent");
    std::fs::remove_dir_all(&ports.credential_dir).unwrap();
}
