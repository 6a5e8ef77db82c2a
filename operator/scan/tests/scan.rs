//! A whole scan against a stand-in for Microsoft: what it finds, what it says when it cannot, what it never leaks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use support::{
    BLUEPRINT, CANARY, Faults, GLOBAL_ADMIN, Microsoft, NEVER, Scene, TENANT, WRITE_ROLE, aadsts, id, request,
};
use sv0_graph::{CoverageState, EdgeKind, EdgeState, NodeId, NodeKind, Snapshot, Value, attr};
use sv0_protocol::{Auth, MicrosoftCloud, Outcome, Reason, ScanReport, Source};
use sv0_scan::{exit_code, run, to_message};

fn node(kind: NodeKind, vendor_id: &str) -> NodeId {
    NodeId::new("entra", TENANT, kind, vendor_id)
}

/// All that the snapshot says of a node.
fn facts(snapshot: &Snapshot, id: &NodeId) -> BTreeMap<String, Value> {
    snapshot.nodes.iter().filter(|row| row.id == *id).flat_map(|row| row.attrs.clone()).collect()
}

fn edges(snapshot: &Snapshot, kind: EdgeKind) -> Vec<(String, String)> {
    let of_kind = snapshot.edges.iter().filter(|edge| edge.kind == kind);
    of_kind.map(|edge| (edge.from.vendor_id().to_owned(), edge.to.vendor_id().to_owned())).collect()
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

async fn scan(scene: &Scene) -> ScanReport {
    let report = Box::pin(run(&scene.request, &scene.ports())).await;
    let message = to_message(&report);
    assert!(message.len() <= 4096);
    assert!(!message.contains(CANARY) && !message.contains(NEVER), "{message}");
    report
}

async fn scan_with(faults: Faults) -> (ScanReport, Scene, Arc<Microsoft>) {
    let microsoft = Microsoft::start().await;
    microsoft.set(faults);
    let scene = Scene::new(&microsoft);
    let report = scan(&scene).await;
    (report, scene, microsoft)
}

fn gap(report: &ScanReport, collection: &str) -> Option<(String, Option<Reason>, Option<String>)> {
    let gap = report.gaps.iter().find(|gap| gap.collection == collection)?;
    Some((gap.state.clone(), gap.reason, gap.permission.clone()))
}

#[tokio::test]
async fn a_complete_scan_tells_what_the_estate_holds() {
    let (report, scene, _) = scan_with(Faults::default()).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{report:?}");
    assert!(report.gaps.iter().all(|gap| gap.reason == Some(Reason::CollectionNotAccepted)), "{report:?}");
    assert_eq!((report.gaps.len(), report.pending_collection_revision), (14, Some(2)));
    assert_eq!((report.complete_collections, report.token_requests, exit_code(&report)), (13, 1, 0));
    assert_eq!(report.credential_expires_at, Some("2026-06-01T00:00:00Z".parse().unwrap()));
    assert_eq!(report.permissions_missing, Vec::<String>::new());
    assert_eq!(report.permissions_excess, ["Application.ReadWrite.All"]);

    let snapshot = scene.kept.snapshot();
    assert_eq!(snapshot.header.tenant, TENANT);
    let app = facts(&snapshot, &node(NodeKind::Application, &id('a', 1)));
    assert_eq!(app[attr::OWNER_COUNT], Value::Int(3));
    assert_eq!(app[attr::CREATED_AT], text("2019-09-17T19:10:35.2742618Z"));
    assert_eq!(app[attr::VENDOR_DISABLED], Value::Bool(false));
    assert_eq!(app[attr::CREDENTIALS_LOCKED], Value::Bool(true));
    assert_eq!(app[attr::HAS_MANAGEMENT_REFERENCE], Value::Bool(false));
    let big = facts(&snapshot, &node(NodeKind::Application, &id('a', 3)));
    assert_eq!(big[attr::OWNER_COUNT], Value::Int(25), "beyond the expansion's limit");
    let odd = facts(&snapshot, &node(NodeKind::Application, &id('a', 2)));
    assert_eq!(odd[attr::OWNER_COUNT], Value::Int(2), "an owner of unknown type counts");

    let owners = edges(&snapshot, EdgeKind::Owns);
    assert_eq!(owners.iter().filter(|(_, owned)| *owned == id('a', 3)).count(), 25);
    assert_eq!(owners.iter().filter(|(_, owned)| *owned == id('a', 2)).count(), 1);
    assert!(snapshot.nodes.iter().any(|row| row.id == node(NodeKind::ManagedIdentity, &id('b', 4))));

    let gone = facts(&snapshot, &node(NodeKind::Human, &id('d', 7)));
    assert_eq!(gone, BTreeMap::from([(attr::DELETED_AT.to_owned(), text("2025-10-26T16:56:36Z"))]));
    assert_eq!(facts(&snapshot, &node(NodeKind::Human, &id('d', 2)))[attr::ENABLED], Value::Bool(false));
}

#[tokio::test]
async fn credentials_and_authority_are_mapped() {
    let (_, scene, _) = scan_with(Faults::default()).await;
    let snapshot = scene.kept.snapshot();
    let credential =
        |holder: &str, key: u32| facts(&snapshot, &node(NodeKind::Credential, &format!("{holder}/{}", id('e', key))));
    let endless = credential(&id('a', 1), 1);
    assert_eq!(endless[attr::VALID_TO], text("2299-12-30T12:00:00Z"));
    assert_eq!(endless[attr::CREDENTIAL_USE], text("client_auth"));
    for key in [31, 32, 33] {
        assert_eq!(credential(&id('b', 3), key)[attr::CREDENTIAL_USE], text("token_signing"), "{key}");
    }
    assert_eq!(credential(&id('b', 3), 33)[attr::VALID_TO], text("none"));
    assert!(credential(&id('b', 4), 41).is_empty(), "the platform keeps a managed identity's");

    let subject = facts(&snapshot, &node(NodeKind::FederatedSubject, &format!("{}/{}", id('a', 2), id('0', 1))));
    assert_eq!(subject[attr::SUBJECT], text("repo:contoso/payments:ref:refs/heads/main"));
    let pair = |from: String, to: String| (from, to);
    assert_eq!(
        edges(&snapshot, EdgeKind::Instantiates),
        [pair(id('a', 1), id('b', 1)), pair(id('a', 2), id('b', 2)), pair(id('a', 9), id('b', 9))]
    );
    let granted: Vec<_> = snapshot.edges.iter().filter(|edge| edge.kind == EdgeKind::Granted).collect();
    let told: Vec<_> = granted
        .iter()
        .map(|edge| {
            (edge.from.as_str().split(':').nth(2).unwrap(), edge.role.as_deref().unwrap(), edge.scope.as_deref())
        })
        .collect();
    let (custom, unit) = (id('f', 8), format!("/administrativeUnits/{}", id('f', 9)));
    assert_eq!(
        told,
        [
            ("Group", WRITE_ROLE, None),
            ("Group", custom.as_str(), Some("/")),
            ("Human", GLOBAL_ADMIN, Some("/")),
            ("ServicePrincipal", WRITE_ROLE, None),
            ("ServicePrincipal", GLOBAL_ADMIN, Some("/")),
            ("ServicePrincipal", custom.as_str(), Some(unit.as_str())),
        ]
    );
    let graph = facts(&snapshot, &node(NodeKind::ServicePrincipal, &id('b', 5)));
    assert_eq!(graph[&format!("{}{WRITE_ROLE}", attr::APP_ROLE_PREFIX)], text("Application.ReadWrite.All"));
    assert_eq!(facts(&snapshot, &node(NodeKind::ServicePrincipal, &id('b', 9)))[attr::OWN_IDENTITY], Value::Bool(true));
}

#[tokio::test]
async fn an_unchanged_estate_gives_the_same_bytes_in_any_order() {
    let microsoft = Microsoft::start().await;
    let first = Scene::new(&microsoft);
    let one = scan(&first).await;
    microsoft.shuffle();
    let mut second = Scene::new(&microsoft);
    second.request = request("00001767229200000-0a1b2c3e");
    let two = scan(&second).await;
    assert_eq!((one.outcome, two.outcome), (Outcome::Complete, Outcome::Complete));
    assert_eq!(*first.kept.parts.lock().unwrap(), *second.kept.parts.lock().unwrap());
    assert_ne!(one.snapshot.unwrap().digest, two.snapshot.unwrap().digest, "the header names the scan");
}

#[rstest]
#[case(7_000_215, "invalid_client", 401, Reason::CredentialInvalid, 1)]
#[case(7_000_222, "invalid_client", 401, Reason::CredentialExpired, 1)]
#[case(90_002, "invalid_request", 400, Reason::TenantNotFound, 1)]
#[case(7_000_112, "unauthorized_client", 400, Reason::AppDisabled, 1)]
#[case(7_000_229, "invalid_client", 401, Reason::ServicePrincipalMissing, 1)]
#[case(700_213, "invalid_client", 401, Reason::FederationMismatch, 3)]
#[case(90_033, "temporarily_unavailable", 503, Reason::IdentityProviderUnavailable, 3)]
#[tokio::test]
async fn a_refused_sign_in_keeps_its_code_and_is_not_repeated(
    #[case] code: u64,
    #[case] error: &str,
    #[case] status: u16,
    #[case] reason: Reason,
    #[case] asked: u32,
) {
    let faults = Faults { token: Some((status, aadsts(code, error))), ..Faults::default() };
    let (report, scene, microsoft) = scan_with(faults).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(reason)));
    assert_eq!(report.vendor_code, Some(format!("AADSTS{code}")));
    assert_eq!((*microsoft.tokens.lock().unwrap(), report.token_requests), (asked, u64::from(asked)));
    assert!(scene.kept.manifest.lock().unwrap().is_none() && microsoft.paths.lock().unwrap().is_empty());
}

#[rstest]
#[case("target", None, Reason::CredentialMissing)]
#[case("clientSecret", None, Reason::CredentialMissing)]
#[case("target", Some("22222222-2222-4222-8222-222222222222"), Reason::TargetMismatch)]
#[tokio::test]
async fn a_wrong_secret_mount_asks_nobody(#[case] file: &str, #[case] content: Option<&str>, #[case] reason: Reason) {
    let microsoft = Microsoft::start().await;
    let scene = Scene::new(&microsoft);
    let path = scene.dir.path().join(file);
    std::fs::remove_file(&path).unwrap();
    if let Some(content) = content {
        std::fs::write(&path, content).unwrap();
    }
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.reason, report.requests), (Outcome::Failed, Some(reason), 0));
    assert_eq!(*microsoft.tokens.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_projected_token_signs_in_without_a_secret() {
    let microsoft = Microsoft::start().await;
    let mut scene = Scene::new(&microsoft);
    scene.request.auth = Auth::WorkloadIdentity;
    std::fs::remove_file(scene.dir.path().join("clientSecret")).unwrap();
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.credential_expires_at), (Outcome::Complete, None));
}

#[rstest]
#[case("/users", "ownerAccounts", "User.Read.All")]
#[case("/roleManagement/directory/roleAssignments", "directoryRoleAssignments", "RoleManagement.Read.Directory")]
#[case("/applications", "applications", "Application.Read.All")]
#[tokio::test]
async fn a_denied_collection_names_its_permission(
    #[case] denied: &'static str,
    #[case] collection: &str,
    #[case] permission: &str,
) {
    let (report, scene, _) = scan_with(Faults { deny: vec![denied], ..Faults::default() }).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Partial, Some(Reason::PermissionMissing)));
    let expected = ("denied".to_owned(), Some(Reason::PermissionMissing), Some(permission.to_owned()));
    assert_eq!(gap(&report, collection), Some(expected));
    assert_eq!(report.permissions_missing, [permission]);
    let header = scene.kept.snapshot().header;
    let record = header.coverage.iter().find(|record| record.collection == collection).unwrap();
    assert_eq!(record.state, CoverageState::Denied);
}

#[tokio::test]
async fn an_empty_account_state_is_a_missing_permission_and_not_a_disabled_person() {
    let (report, scene, _) = scan_with(Faults { hide_accounts: true, ..Faults::default() }).await;
    let expected = ("partial".to_owned(), Some(Reason::PermissionMissing), Some("User.Read.All".to_owned()));
    assert_eq!(gap(&report, "ownerAccounts"), Some(expected));
    let person = facts(&scene.kept.snapshot(), &node(NodeKind::Human, &id('d', 2)));
    assert!(!person.contains_key(attr::ENABLED));
}

#[tokio::test]
async fn without_proof_of_the_tenant_there_is_no_snapshot() {
    let (report, scene, _) = scan_with(Faults { deny: vec!["/organization"], ..Faults::default() }).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::PermissionMissing)));
    assert_eq!(report.permissions_missing, ["Organization.Read.All"]);
    assert!(scene.kept.manifest.lock().unwrap().is_none());
    let foreign = Faults { tenant: Some("22222222-2222-4222-8222-222222222222"), ..Faults::default() };
    let (report, scene, microsoft) = scan_with(foreign).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::ForeignTenant)));
    assert!(scene.kept.manifest.lock().unwrap().is_none());
    assert_eq!(*microsoft.paths.lock().unwrap(), ["/organization"]);
}

const OWN_PRINCIPAL: &str = "/servicePrincipals(appId='cccccccc-0000-4000-8000-000000000001')";
const OWN_GRANTS: &str = "/servicePrincipals/b0000009-0000-4000-8000-000000000000/appRoleAssignments";

#[tokio::test]
async fn own_grants_are_told_with_their_times() {
    let (report, _, _) = scan_with(Faults::default()).await;
    let consent = report.consent.unwrap();
    assert_eq!(consent.service_principal, Some(id('b', 9)));
    let listed = ["Directory.Read.All", "Organization.Read.All", "RoleManagement.Read.Directory", "User.Read.All"];
    assert_eq!(consent.needed, listed, "what the manifest lists, an add-on too");
    assert_eq!(consent.granted, 5, "with the one that is too much, without plain access");
    assert_eq!(consent.first_granted_at, Some("2024-02-01T08:00:00Z".parse().unwrap()));
    assert_eq!(consent.last_granted_at, Some("2025-11-03T09:00:00.1234567Z".parse().unwrap()));
}

/// Whatever the token is still good for, consent is what the source system itself says of it.
#[rstest]
#[case::no_grant(Faults { raw: Some((OWN_GRANTS, 200, r#"{"value": []}"#.into())), ..Faults::default() }, Some((true, 0)))]
#[case::no_service_principal(Faults { raw: Some((OWN_PRINCIPAL, 404, "{}".into())), ..Faults::default() }, Some((false, 0)))]
#[case::not_readable(Faults { deny: vec!["/servicePrincipals(appId"], ..Faults::default() }, None)]
#[case::not_readable_whole(Faults { raw: Some((OWN_GRANTS, 503, "{}".into())), ..Faults::default() }, None)]
#[tokio::test]
async fn what_is_left_of_consent(#[case] faults: Faults, #[case] expected: Option<(bool, u32)>) {
    let (report, _, _) = scan_with(faults).await;
    assert!(report.snapshot.is_some());
    let told = report.consent.map(|consent| (consent.service_principal.is_some(), consent.granted));
    assert_eq!(told, expected);
}

#[rstest]
#[case::everything_refused(vec!["/"], Reason::ConsentRevoked)]
#[case::one_permission_missing(vec!["/organization"], Reason::PermissionMissing)]
#[tokio::test]
async fn a_scan_that_may_begin_nothing_has_lost_its_consent(#[case] deny: Vec<&'static str>, #[case] reason: Reason) {
    let (report, _, _) = scan_with(Faults { deny, ..Faults::default() }).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(reason)));
    assert_eq!(report.permissions_missing, ["Organization.Read.All"]);
    assert_eq!(exit_code(&report), 10);
}

#[tokio::test]
async fn a_lost_last_page_is_noticed_or_healed() {
    let (report, ..) = scan_with(Faults { lose_last_page_of: Some("/servicePrincipals"), ..Faults::default() }).await;
    let expected = ("partial".to_owned(), Some(Reason::LastPageLost), None);
    assert_eq!(gap(&report, "servicePrincipals"), Some(expected));
    assert_eq!(gap(&report, "directoryRoleAssignments").unwrap().1, Some(Reason::PartialCoverage));
    assert_eq!((report.outcome, report.reason), (Outcome::Partial, Some(Reason::LastPageLost)));
}

#[rstest]
#[case::not_taken(Faults { refuse_expand: true, ..Faults::default() })]
#[case::cut_short(Faults { lose_last_page_of: Some("expanded"), ..Faults::default() })]
#[tokio::test]
async fn what_an_expansion_does_not_give_is_read_singly(#[case] faults: Faults) {
    let (report, scene, _) = scan_with(faults).await;
    assert_eq!((report.outcome, report.complete_collections), (Outcome::Complete, 13), "{report:?}");
    let snapshot = scene.kept.snapshot();
    assert_eq!(facts(&snapshot, &node(NodeKind::Application, &id('a', 3)))[attr::OWNER_COUNT], Value::Int(25));
    assert_eq!(edges(&snapshot, EdgeKind::AuthenticatesAs).len(), 1);
}

#[rstest]
#[case::other_origin("https://evil.example.com/v1.0/applications?$skiptoken=1")]
#[case::other_path("/v1.0/users?$skiptoken=1")]
#[case::circle("/v1.0/applications?$skiptoken=0")]
#[tokio::test]
async fn a_lying_next_link_makes_the_collection_partial(#[case] link: &str) {
    let microsoft = Microsoft::start().await;
    let link = if link.starts_with('/') { format!("http://127.0.0.1:{}{link}", microsoft.port) } else { link.into() };
    microsoft.set(Faults { next_link: Some(("/applications", link)), ..Faults::default() });
    let report = scan(&Scene::new(&microsoft)).await;
    assert_eq!(gap(&report, "applications").unwrap().1, Some(Reason::ResponseRefused));
    assert_eq!(report.outcome, Outcome::Partial);
    assert!(!microsoft.paths.lock().unwrap().contains(&"/users?$skiptoken=1".to_owned()));
}

#[rstest]
#[case::redirect(302, String::new(), Reason::ResponseRefused)]
#[case::huge(200, format!("{{\"value\":[\"{}\"]}}", "x".repeat(300_000)), Reason::ResponseRefused)]
#[case::deep(200, "[".repeat(10_000), Reason::ResponseRefused)]
#[case::html(200, "<html>".into(), Reason::ResponseMalformed)]
#[case::no_list(200, "{}".into(), Reason::ResponseMalformed)]
#[case::broken_item(200, r#"{"value":[{"id":7}]}"#.into(), Reason::ResponseMalformed)]
#[case::outage(500, String::new(), Reason::UpstreamUnavailable)]
#[tokio::test]
async fn a_bad_answer_makes_its_collection_partial(#[case] status: u16, #[case] body: String, #[case] reason: Reason) {
    let path = "/roleManagement/directory/roleDefinitions";
    let (report, ..) = scan_with(Faults { raw: Some((path, status, body)), ..Faults::default() }).await;
    assert_eq!(gap(&report, "directoryRoleDefinitions").unwrap().1, Some(reason));
    let troubles = report.gaps.iter().filter(|gap| gap.reason != Some(Reason::CollectionNotAccepted));
    assert_eq!((report.outcome, troubles.count()), (Outcome::Partial, 1));
}

#[tokio::test]
async fn throttling_is_waited_out_as_the_vendor_asks() {
    let faults = Faults { throttle: 2, retry_after: Some("11"), ..Faults::default() };
    let (report, scene, _) = scan_with(faults).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
    let waits = scene.pause.0.lock().unwrap();
    assert!(!waits.is_empty() && waits.iter().all(|wait| *wait == Duration::from_secs(11)));
}

#[rstest]
#[case::too_long(1, Some("86400"), Some(86_400))]
#[case::for_ever(1000, None, None)]
#[tokio::test]
async fn throttling_has_an_end(
    #[case] throttle: u32,
    #[case] retry_after: Option<&'static str>,
    #[case] told: Option<u64>,
) {
    let (report, scene, _) = scan_with(Faults { throttle, retry_after, ..Faults::default() }).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::RateLimited)));
    assert_eq!((report.retry_after_seconds, exit_code(&report)), (told, 11));
    assert!(scene.pause.0.lock().unwrap().len() < 10);
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_renewed_once() {
    let (report, _, microsoft) = scan_with(Faults { refuse_bearers: true, ..Faults::default() }).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::TokenRejected)));
    assert_eq!(*microsoft.tokens.lock().unwrap(), 2);
}

#[tokio::test]
async fn bounds_of_time_and_requests_end_a_scan() {
    let microsoft = Microsoft::start().await;
    let mut scene = Scene::new(&microsoft);
    scene.request.deadline_seconds = 0;
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::DeadlineExceeded)));
    let mut scene = Scene::new(&microsoft);
    scene.request.limits.max_requests = 3;
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.requests), (Outcome::Partial, 4), "three and the token");
    let scene = Scene::new(&microsoft);
    scene.stop.cancel();
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.reason, exit_code(&report)), (Outcome::Failed, Some(Reason::Lost), 11));
}

#[tokio::test]
async fn being_told_to_stop_ends_even_a_silent_sign_in() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let microsoft = Microsoft::start().await;
    let mut scene = Scene::new(&microsoft);
    scene.port = silent.local_addr().unwrap().port();
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        let _held = silent.accept().await.unwrap();
        stop.cancel();
        std::future::pending::<()>().await;
    });
    let report = scan(&scene).await;
    assert_eq!((report.reason, report.token_requests, exit_code(&report)), (Some(Reason::Lost), 1, 11));
}

#[tokio::test]
async fn a_private_address_is_not_spoken_to_unless_listed() {
    let microsoft = Microsoft::start().await;
    let mut scene = Scene::new(&microsoft);
    scene.request.network.private_hosts.clear();
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::NetworkNotAllowed)));
    assert_eq!(*microsoft.tokens.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_refuses_fails_the_scan() {
    let microsoft = Microsoft::start().await;
    let mut scene = Scene::new(&microsoft);
    scene.kept.refuse = Some(Reason::StoreFull);
    let report = scan(&scene).await;
    assert_eq!((report.outcome, report.reason, report.snapshot), (Outcome::Failed, Some(Reason::StoreFull), None));
}

/// A scan of the second collection revision.
async fn second(faults: Faults) -> (ScanReport, Scene, Arc<Microsoft>) {
    let microsoft = Microsoft::start().await;
    microsoft.extend();
    microsoft.set(faults);
    let mut scene = Scene::new(&microsoft);
    scene.request.accepted_collection_revision = 2;
    let report = scan(&scene).await;
    (report, scene, microsoft)
}

#[tokio::test]
async fn the_second_revision_asks_for_more_and_only_when_it_was_accepted() {
    let (report, scene, microsoft) = second(Faults::default()).await;
    assert_eq!((report.outcome, report.reason, report.gaps.len()), (Outcome::Complete, None, 0), "{report:?}");
    assert_eq!((report.complete_collections, report.pending_collection_revision), (27, None));
    assert_eq!(scene.kept.snapshot().header.collection_revision, 2);
    let asked: std::collections::BTreeSet<String> = microsoft.paths.lock().unwrap().iter().cloned().collect();
    microsoft.set(Faults::default());
    assert_eq!(scan(&Scene::new(&microsoft)).await.outcome, Outcome::Complete);
    let before: std::collections::BTreeSet<String> = microsoft.paths.lock().unwrap().iter().cloned().collect();
    let new =
        ["/beta", "/groups", "/subscribedSkus", "/oauth2PermissionGrants", "/auditLogs", "microsoft.graph", "Schedule"];
    let is_new = |path: &String| new.iter().any(|part| path.contains(part));
    assert!(!before.iter().any(is_new), "{before:?}");
    assert!(new.iter().all(|part| asked.iter().any(|path| path.contains(part))), "{asked:?}");
}

#[tokio::test]
async fn the_second_revision_is_mapped() {
    let (_, scene, _) = second(Faults::default()).await;
    let snapshot = scene.kept.snapshot();
    let at = |kind, id: &str| facts(&snapshot, &node(kind, id));
    assert_eq!(at(NodeKind::System, TENANT)[attr::SERVICE_PLANS], Value::List(vec!["AAD_PREMIUM_P2".into()]));
    let subject = at(NodeKind::FederatedSubject, &format!("{}/{}", id('a', 3), id('0', 2)));
    assert_eq!(subject[attr::MATCHING_EXPRESSION], text("claims['sub'] matches 'repo:contoso/*'"));
    assert!(!subject.contains_key(attr::SUBJECT));

    let told = |edge: &sv0_graph::EdgeRow| {
        (edge.object.clone().unwrap(), edge.from.kind().unwrap(), edge.state, edge.until.map(|at| at.to_string()))
    };
    let roles = snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Granted && e.scope.as_deref() == Some("/"));
    let mut roles: Vec<_> = roles.map(told).collect();
    roles.sort();
    let (active, eligible) = (EdgeState::Active, EdgeState::Eligible);
    assert_eq!(
        roles,
        [
            ("e-1".into(), NodeKind::ServicePrincipal, eligible, Some("2027-01-01T00:00:00Z".into())),
            ("e-2".into(), NodeKind::Group, eligible, None),
            ("r-1".into(), NodeKind::ServicePrincipal, active, Some("2026-01-01T08:00:00Z".into())),
            ("r-3".into(), NodeKind::Human, active, None),
            ("r-4".into(), NodeKind::Group, active, None),
        ],
        "what a person may activate is not kept"
    );
    let grant = snapshot.edges.iter().find(|edge| edge.kind == EdgeKind::DelegatedGrant).unwrap();
    assert_eq!(grant.role.as_deref(), Some("Group.ReadWrite.All User.Read"));

    assert_eq!(at(NodeKind::Group, &id('7', 1))[attr::ROLE_ASSIGNABLE], Value::Bool(true));
    assert_eq!(at(NodeKind::Group, &id('b', 6))[attr::ROLE_ASSIGNABLE], Value::Bool(false));
    let member = |from: String| (from, id('7', 1));
    assert_eq!(edges(&snapshot, EdgeKind::MemberOf), [member(id('8', 1)), member(id('b', 4)), member(id('b', 1))]);

    let agent = at(NodeKind::AgentIdentity, &id('8', 1));
    assert_eq!((&agent[attr::BLUEPRINT], &agent[attr::SPONSOR_COUNT]), (&text(BLUEPRINT), &Value::Int(1)));
    assert_eq!(agent[attr::OWNER_COUNT], Value::Int(1));
    assert!(edges(&snapshot, EdgeKind::Instantiates).contains(&(id('a', 2), id('8', 1))));
    assert_eq!(edges(&snapshot, EdgeKind::Sponsors), [(id('d', 60), id('a', 2)), (id('d', 100), id('8', 1))]);
    assert_eq!(at(NodeKind::Human, &id('d', 100))[attr::ENABLED], Value::Bool(true), "a sponsor's account is read");
}

#[tokio::test]
async fn uses_and_makers_of_credentials_are_told() {
    let (_, scene, _) = second(Faults::default()).await;
    let snapshot = scene.kept.snapshot();
    let principal = facts(&snapshot, &node(NodeKind::ServicePrincipal, &id('b', 1)));
    assert_eq!(principal[attr::LAST_USED_AT], text("2025-12-01T08:00:00Z"));
    assert_eq!(principal[attr::LAST_UNATTENDED_USE_AT], text("2025-11-01T00:00:00Z"));
    let key = |n: u32| node(NodeKind::Credential, &format!("{}/{}", id('a', 1), id('e', n)));
    assert_eq!(facts(&snapshot, &key(1))[attr::LAST_USED_AT], text("2025-12-05T00:00:00Z"), "at whatever resource");
    assert!(!snapshot.nodes.iter().any(|row| row.id == key(99)), "a key that is gone is not brought back");
    let made: Vec<_> = snapshot.edges.iter().filter(|edge| edge.kind == EdgeKind::CreatedBy).collect();
    assert_eq!(made.len(), 1);
    assert_eq!((&made[0].from, &made[0].to), (&key(1), &node(NodeKind::Human, &id('d', 101))));
    assert_eq!(made[0].since, Some("2025-12-20T21:20:02.7215374Z".parse().unwrap()));
    assert_eq!(facts(&snapshot, &made[0].to)[attr::ENABLED], Value::Bool(true));
}

/// What the tenant has no licence or cloud for, or its owner does without, is a gap and no trouble.
#[rstest]
#[case::licence(
    Faults { raw: Some(("/beta/reports/servicePrincipalSignInActivities", 403, r#"{"error":{"code":"Authentication_RequestFromNonPremiumTenantOrB2CTenant"}}"#.into())), ..Faults::default() },
    MicrosoftCloud::Public, "servicePrincipalActivity", "skipped", Reason::LicenseMissing
)]
#[case::no_premium_roles(
    Faults { raw: Some(("/roleManagement/directory/roleEligibilityScheduleInstances", 400, r#"{"error":{"code":"AadPremiumLicenseRequired"}}"#.into())), ..Faults::default() },
    MicrosoftCloud::Public, "directoryRoleEligibility", "skipped", Reason::LicenseMissing
)]
#[case::cloud(Faults::default(), MicrosoftCloud::UsGov, "credentialActivity", "skipped", Reason::NotInThisCloud)]
#[case::add_on(
    Faults { deny: vec!["/oauth2PermissionGrants"], ..Faults::default() },
    MicrosoftCloud::Public, "delegatedGrants", "denied", Reason::PermissionMissing
)]
#[tokio::test]
async fn what_a_tenant_does_without_is_a_gap_and_no_trouble(
    #[case] faults: Faults,
    #[case] in_cloud: MicrosoftCloud,
    #[case] collection: &str,
    #[case] state: &str,
    #[case] reason: Reason,
) {
    let microsoft = Microsoft::start().await;
    microsoft.extend();
    microsoft.set(faults);
    let mut scene = Scene::new(&microsoft);
    scene.request.accepted_collection_revision = 2;
    let Source::Entra { cloud, .. } = &mut scene.request.source;
    *cloud = in_cloud;
    let report = scan(&scene).await;
    let gap = report.gaps.iter().find(|gap| gap.collection == collection).unwrap();
    assert_eq!((gap.state.as_str(), gap.reason), (state, Some(reason)), "{report:?}");
    assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{report:?}");
    assert!(report.permissions_missing.is_empty(), "{report:?}");
}

#[rstest]
#[case("/groups/", "GroupMember.Read.All", &["groupMembers", "groups"])]
#[case("/auditLogs", "AuditLog.Read.All", &["directoryAudits"])]
#[case("/servicePrincipals/microsoft.graph.agentIdentity", "AgentIdentity.Read.All", &["agentIdentities", "agentIdentitySponsors"])]
#[tokio::test]
async fn a_missing_permission_hurts_its_own_collections_only(
    #[case] denied: &'static str,
    #[case] permission: &str,
    #[case] collections: &[&str],
) {
    let (report, ..) = second(Faults { deny: vec![denied], ..Faults::default() }).await;
    let hurt: Vec<&str> = report.gaps.iter().map(|gap| gap.collection.as_str()).collect();
    let mut sorted = hurt.clone();
    sorted.sort_unstable();
    assert_eq!((sorted.as_slice(), report.permissions_missing.as_slice()), (collections, &[permission.to_owned()][..]));
}
