//! A whole scan against the simulated tenant under the vendor's own host names, over TLS with a private authority,
//! through an outbound proxy that leads those names to loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rstest::rstest;
use support::{Kept, NoPause};
use sv0_estate::estate::Estate;
use sv0_estate::server::{self, Options, Running};
use sv0_estate::tls::Authority;
use sv0_graph::{EdgeKind, Snapshot};
use sv0_protocol::{Limits, MicrosoftCloud, Outcome, Reason, ScanReport, ScanRequest, Source};
use sv0_scan::{Ports, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const DEMO: &str = include_str!("../../../e2e/estate/estates/demo.yaml");
const SECRET: &str = "demo-only-not-a-secret";

struct World {
    server: Running,
    proxy: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    tenant: String,
    client: String,
}

/// An outbound proxy that leads every name to one place and notes the names.
async fn proxy(to: SocketAddr, names: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, to, Arc::clone(&names)));
        }
    });
    address
}

async fn tunnel(mut client: TcpStream, to: SocketAddr, names: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let name = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    names.lock().unwrap().push(name);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut server = TcpStream::connect(to).await.unwrap();
    // Either side may leave first.
    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
}

impl World {
    async fn start(text: &str) -> Self {
        sv0_connector::install_crypto_provider();
        let estate = Estate::parse(text, Timestamp::now()).unwrap();
        let (tenant, client) = (estate.tenant_id().to_owned(), estate.operator_app_id().unwrap().to_owned());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { listen, ..Options::default() };
        let server = server::start(estate, &Authority::generate().unwrap(), options).await.unwrap();
        let names = Arc::default();
        let proxy = proxy(server.address, Arc::clone(&names)).await;
        Self { server, proxy, names, tenant, client }
    }

    fn request(&self) -> ScanRequest {
        let mut request = support::request("00001767225600000-0a1b2c3d");
        request.source = Source::Entra {
            tenant_id: self.tenant.clone(),
            client_id: self.client.clone(),
            cloud: MicrosoftCloud::Public,
        };
        request.limits = Limits { max_pages: 40, ..Limits::default() };
        request.network.private_hosts.clear();
        request.network.trusted_ca_pem = Some(self.server.ca_pem().to_owned());
        request.network.proxy = Some(format!("http://{}", self.proxy));
        request
    }

    async fn scan(&self) -> (ScanReport, Kept) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("target"), &self.tenant).unwrap();
        std::fs::write(dir.path().join("clientSecret"), SECRET).unwrap();
        let kept = Kept::default();
        let ports = Ports {
            endpoints: None,
            credential_dir: dir.path().to_owned(),
            federated_token: dir.path().join("none"),
            sink: Box::new(kept.clone()),
            pause: Arc::new(NoPause::default()),
            stop: CancellationToken::new(),
            now: Timestamp::now,
        };
        let report = Box::pin(run(&self.request(), &ports)).await;
        (report, kept)
    }

    fn mutate(&self, change: serde_json::Value) {
        self.server.mutate(&serde_json::from_value(change).unwrap()).unwrap();
    }
}

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
    let mut names = world.names.lock().unwrap().clone();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["graph.microsoft.com:443", "login.microsoftonline.com:443"]);
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
    assert!(!world.names.lock().unwrap().iter().any(|name| name.contains("evil")));
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
