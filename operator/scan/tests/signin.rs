//! Every way to sign in, against the simulated tenant, which verifies certificates, tokens and identities really.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
mod tenant;

use jiff::{Timestamp, ToSpan as _};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rstest::rstest;
use serde_json::json;
use sv0_estate::keys::SigningKey;
use sv0_estate::metadata::IDENTITY_HEADER;
use sv0_protocol::{Auth, MicrosoftCloud, Outcome, Reason, ScanReport, ScanRequest, Source};
use sv0_scan::Surroundings;
use tenant::{DEMO, World};

const IDENTITY: &str = "99999999-7777-4555-8333-111111111111";
const HOLDS: &str =
    "graphPermissions: [Application.Read.All, User.Read.All, RoleManagement.Read.Directory, Organization.Read.All]";

/// A certificate with its key.
struct Pair {
    certificate: String,
    key: String,
    ends: i64,
}

/// A certificate from so many days ago to so many days ahead.
fn pair(from: i64, until: i64) -> Pair {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["scan.example".to_owned()]).unwrap();
    let day = |days: i64| time(Timestamp::now().checked_add((days * 24).hours()).unwrap());
    (params.not_before, params.not_after) = (day(from), day(until));
    let ends = params.not_after.unix_timestamp();
    let certificate = params.self_signed(&key).unwrap();
    Pair { certificate: certificate.pem(), key: key.serialize_pem(), ends }
}

fn time(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap()
}

/// The demonstration tenant; the scanning application has this certificate registered.
fn with_certificate(pair: &Pair, start: &str, end: &str) -> String {
    let pem = json!(pair.certificate);
    let registered = format!("    keyCredentials: [{{start: {start}, end: {end}, certificatePem: {pem}}}]\n");
    let changed = DEMO.replacen(
        "    federatedCredentials:\n      - {name: cluster",
        &format!("{registered}    federatedCredentials:\n      - {{name: cluster"),
        1,
    );
    assert!(changed.len() > DEMO.len());
    changed
}

fn ordered(world: &World, auth: Auth) -> ScanRequest {
    ScanRequest { auth, ..world.request() }
}

type Files<'a> = &'a [(&'a str, &'a str)];

async fn scan_with_certificate(world: &World, pair: &Pair, more: Files<'_>) -> ScanReport {
    let mut files = vec![("target", world.tenant.as_str()), ("tls.crt", &pair.certificate), ("tls.key", &pair.key)];
    files.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    files.extend(more);
    world.scan_with(&ordered(world, Auth::ClientCertificate), &files, &Surroundings::default()).await.0
}

#[rstest]
#[case(&[])]
#[case(&[("algorithm", "RS256")])]
#[tokio::test]
async fn a_certificate_signs_in(#[case] more: Files<'_>) {
    let pair = pair(-1, 90);
    let world = World::start(&with_certificate(&pair, "now-2d", "now+90d")).await;
    let report = scan_with_certificate(&world, &pair, more).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{report:?}");
    assert_eq!((report.token_requests, world.server.counters().tokens()), (1, 1));
    assert_eq!(report.credential_expires_at.map(Timestamp::as_second), Some(pair.ends));
}

#[tokio::test]
async fn a_certificate_that_the_tenant_does_not_take_has_its_reason() {
    let (registered, other) = (pair(-1, 90), pair(-1, 90));
    let world = World::start(&with_certificate(&registered, "now-2d", "now+90d")).await;
    let report = scan_with_certificate(&world, &other, &[]).await;
    assert_eq!(
        (report.reason, report.vendor_code.as_deref()),
        (Some(Reason::CertificateNotRegistered), Some("AADSTS700027"))
    );
    let world = World::start(&with_certificate(&registered, "now-9d", "now-2d")).await;
    let report = scan_with_certificate(&world, &registered, &[]).await;
    assert_eq!((report.reason, report.vendor_code.as_deref()), (Some(Reason::CredentialExpired), Some("AADSTS700027")));
    assert_eq!((report.outcome, world.server.counters().tokens()), (Outcome::Failed, 1));
}

#[tokio::test]
async fn what_cannot_be_used_is_said_before_anybody_is_asked() {
    let (good, other) = (pair(-1, 90), pair(-1, 90));
    let world = World::start(&with_certificate(&good, "now-2d", "now+90d")).await;
    let cases: [(&Pair, Files<'_>, Reason); 6] = [
        (&pair(-90, -1), &[], Reason::CredentialExpired),
        (&pair(2, 90), &[], Reason::AssertionTimeInvalid),
        (&good, &[("tls.key", &other.key)], Reason::CertificateUnreadable),
        (&good, &[("tls.crt", "no certificate")], Reason::CertificateUnreadable),
        (&good, &[("tls.key", "")], Reason::CredentialMissing),
        (&good, &[("target", "22222222-2222-4222-8222-222222222222")], Reason::TargetMismatch),
    ];
    for (pair, more, reason) in cases {
        let report = scan_with_certificate(&world, pair, more).await;
        assert_eq!((report.outcome, report.reason, report.requests), (Outcome::Failed, Some(reason), 0), "{report:?}");
    }
    assert_eq!((world.server.counters().tokens(), world.names()), (0, Vec::new()));
}

/// The demonstration tenant with a managed identity that may read; the scanning application trusts it.
fn with_identity() -> String {
    let identity = format!(
        "  - {{key: uami-scan, appId: {IDENTITY}, displayName: id-scan, servicePrincipalType: ManagedIdentity, id: 99999999-7777-4555-8333-222222222222, {HOLDS}}}\n  - key: uami-orders\n"
    );
    let trust = "      - {name: identity, issuer: 'https://login.microsoftonline.com/TENANT/v2.0', subject: 99999999-7777-4555-8333-222222222222}\n";
    let tenant = DEMO.split("\ntenant:").nth(1).and_then(|rest| rest.split("id: ").nth(1)).unwrap();
    let tenant = tenant.split(|letter: char| !letter.is_ascii_hexdigit() && letter != '-').next().unwrap();
    let changed = DEMO.replacen("  - key: uami-orders\n", &identity, 1).replacen(
        "    servicePrincipal:\n      owners: [ida.berg]\n      graphPermissions: [Application.Read.All",
        &format!(
            "{}    servicePrincipal:\n      owners: [ida.berg]\n      graphPermissions: [Application.Read.All",
            trust.replace("TENANT", tenant)
        ),
        1,
    );
    assert!(changed.contains("uami-scan") && changed.contains(tenant) && changed.contains("name: identity"));
    changed
}

fn federated() -> Auth {
    Auth::FederatedManagedIdentity { managed_identity_client_id: IDENTITY.into() }
}

fn allowed(world: &World, auth: Auth) -> ScanRequest {
    let mut request = ordered(world, auth);
    if request.auth == Auth::ManagedIdentity {
        let Source::Entra { client_id, .. } = &mut request.source;
        *client_id = IDENTITY.into();
    }
    request.network.allow_metadata_endpoint = true;
    request
}

fn machine(world: &World) -> Surroundings {
    Surroundings::default().with_loopback(world.server.metadata.unwrap().port())
}

fn app_service(world: &World) -> Surroundings {
    let endpoint = format!("http://{}/msi/token", world.server.metadata.unwrap());
    Surroundings::of(|name| match name {
        "IDENTITY_ENDPOINT" => Some(endpoint.clone()),
        "IDENTITY_HEADER" => Some(IDENTITY_HEADER.to_owned()),
        _ => None,
    })
}

#[rstest]
#[case(Auth::ManagedIdentity, machine, 0, 1)]
#[case(Auth::ManagedIdentity, app_service, 0, 1)]
#[case(federated(), machine, 1, 2)]
#[case(federated(), app_service, 1, 2)]
#[tokio::test]
async fn a_managed_identity_signs_in(
    #[case] auth: Auth,
    #[case] surroundings: fn(&World) -> Surroundings,
    #[case] exchanged: u64,
    #[case] asked: u64,
) {
    let world = World::start(&with_identity()).await;
    let (report, _) = world.scan_with(&allowed(&world, auth), &[], &surroundings(&world)).await;
    assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{report:?}");
    let counters = world.server.counters();
    assert_eq!((counters.tokens(), counters.metadata_requests, report.token_requests), (exchanged, 1, asked));
    assert!(
        world
            .names()
            .iter()
            .all(|name| name.ends_with(".microsoft.com:443") || name.ends_with(".microsoftonline.com:443")),
        "no proxy for the metadata endpoint"
    );
}

#[rstest]
#[case(Auth::ManagedIdentity)]
#[case(federated())]
#[tokio::test]
async fn a_metadata_endpoint_is_asked_only_where_the_order_allows_it(#[case] auth: Auth) {
    let world = World::start(&with_identity()).await;
    let mut request = allowed(&world, auth);
    request.network.allow_metadata_endpoint = false;
    let (report, _) = world.scan_with(&request, &[], &machine(&world)).await;
    assert_eq!((report.outcome, report.reason, report.requests), (Outcome::Failed, Some(Reason::NetworkNotAllowed), 0));
    let counters = world.server.counters();
    assert_eq!((counters.metadata_requests, counters.tokens()), (0, 0));
}

#[tokio::test]
async fn identities_that_are_not_there_and_endpoints_that_fail_have_their_reasons() {
    let world = World::start(&with_identity()).await;
    let mut stranger = allowed(&world, Auth::ManagedIdentity);
    let Source::Entra { client_id, .. } = &mut stranger.source;
    client_id.clone_from(&world.client);
    let (report, _) = world.scan_with(&stranger, &[], &machine(&world)).await;
    assert_eq!((report.reason, report.token_requests), (Some(Reason::ManagedIdentityNotAssigned), 1), "{report:?}");
    for (status, reason) in [
        (404, Reason::ManagedIdentityUnreachable),
        (410, Reason::ManagedIdentityUnreachable),
        (429, Reason::AuthThrottled),
        (503, Reason::ManagedIdentityUnreachable),
    ] {
        world.server.clear_faults();
        world.mutate(json!({"fault": {"route": "metadata", "status": status}}));
        let (report, _) = world.scan_with(&allowed(&world, Auth::ManagedIdentity), &[], &machine(&world)).await;
        assert_eq!((report.reason, report.token_requests), (Some(reason), 3), "{status}");
        world.server.clear_faults();
        world.mutate(json!({"fault": {"route": "metadata", "status": status, "times": 2}}));
        let (report, _) = world.scan_with(&allowed(&world, Auth::ManagedIdentity), &[], &machine(&world)).await;
        assert_eq!((report.outcome, report.token_requests), (Outcome::Complete, 3), "{status} passes");
    }
}

#[tokio::test]
async fn an_identity_that_the_application_does_not_trust_is_refused() {
    let untrusted = with_identity().replace("subject: 99999999-7777-4555-8333-222222222222", "subject: someone-else");
    let world = World::start(&untrusted).await;
    let (report, _) = world.scan_with(&allowed(&world, federated()), &[], &machine(&world)).await;
    assert_eq!(report.reason, Some(Reason::FederationMismatch), "{report:?}");
    assert_eq!(report.vendor_code.as_deref(), Some("AADSTS700213"));
    assert_eq!((world.server.counters().tokens(), report.token_requests), (3, 4));
}

#[tokio::test]
async fn a_cluster_with_identity_bindings_is_refused_before_anybody_is_asked() {
    let world = World::start(DEMO).await;
    let bound = Surroundings::of(|name| (name == "AZURE_KUBERNETES_TOKEN_PROXY").then(|| "https://proxy".to_owned()));
    let (report, _) = world.scan_with(&ordered(&world, Auth::WorkloadIdentity), &[("token", "t")], &bound).await;
    let expected = (Outcome::Failed, Some(Reason::IdentityBindingUnsupported), 0);
    assert_eq!((report.outcome, report.reason, report.requests), expected);
}

/// The demonstration tenant in another cloud; its identity's tokens come from that cloud's authority.
fn in_cloud(word: &str, authority: &str, audience: &str) -> String {
    let changed = with_identity()
        .replacen("\ntenant:\n", &format!("\ntenant:\n  cloud: {word}\n"), 1)
        .replace("https://login.microsoftonline.com/", &format!("https://{authority}/"))
        .replace(
            "subject: 99999999-7777-4555-8333-222222222222",
            &format!("audience: '{audience}', subject: 99999999-7777-4555-8333-222222222222"),
        );
    assert!(changed.contains(&format!("cloud: {word}")) && changed.contains(audience));
    changed
}

#[rstest]
#[case(
    MicrosoftCloud::Public,
    "public",
    "login.microsoftonline.com",
    "graph.microsoft.com",
    "api://AzureADTokenExchange"
)]
#[case(
    MicrosoftCloud::UsGov,
    "usGov",
    "login.microsoftonline.us",
    "graph.microsoft.us",
    "api://AzureADTokenExchangeUSGov"
)]
#[case(
    MicrosoftCloud::UsGovDod,
    "usGovDod",
    "login.microsoftonline.us",
    "dod-graph.microsoft.us",
    "api://AzureADTokenExchangeUSGov"
)]
#[case(
    MicrosoftCloud::China,
    "china",
    "login.chinacloudapi.cn",
    "microsoftgraph.chinacloudapi.cn",
    "api://AzureADTokenExchangeChina"
)]
#[tokio::test]
async fn each_cloud_is_signed_in_to_and_read_under_its_own_names(
    #[case] of: MicrosoftCloud,
    #[case] word: &str,
    #[case] authority: &str,
    #[case] graph: &str,
    #[case] audience: &str,
) {
    let world = World::start(&in_cloud(word, authority, audience)).await;
    let named = |mut request: ScanRequest| {
        let Source::Entra { cloud, .. } = &mut request.source;
        *cloud = of;
        request
    };
    let secret = [("target", world.tenant.as_str()), ("clientSecret", tenant::SECRET)];
    for auth in [Auth::ClientSecret, Auth::ManagedIdentity, federated()] {
        let request = named(allowed(&world, auth));
        let (report, _) = world.scan_with(&request, &secret, &machine(&world)).await;
        assert_eq!((report.outcome, report.reason), (Outcome::Complete, None), "{:?} {report:?}", request.auth);
    }
    let mut expected = vec![format!("{authority}:443"), format!("{graph}:443")];
    expected.sort_unstable();
    assert_eq!(world.names(), expected, "nothing is said to another cloud");
    assert_eq!(world.server.counters().other_hosts, 0);
    if of != MicrosoftCloud::Public {
        let (report, _) = world.scan().await;
        assert_eq!((report.reason, report.token_requests), (Some(Reason::WrongCloud), 1), "{report:?}");
    }
}

/// An application that is registered in the vendor's home tenant and consented to here: its credentials are there, the
/// token is asked for here.
#[tokio::test]
async fn a_projected_token_signs_in_to_another_tenant_than_the_applications_own() {
    const FOREIGN: &str = "88888888-7777-4555-8333-111111111111";
    const ISSUER: &str = "https://issuer.example";
    let key = SigningKey::generate().unwrap();
    let issuers =
        format!("issuers:\n  - {{issuer: '{ISSUER}', jwks: {}}}\n", serde_json::to_string(&key.jwks()).unwrap());
    let principal = format!(
        "  - {{key: sv0-foreign, appId: {FOREIGN}, displayName: SecurityV0, appOwnerOrganizationId: 77777777-6b1d-4a3e-8f70-1d2c3b4a5e6f, {HOLDS}, federatedCredentials: [{{name: c, issuer: '{ISSUER}', subject: 'system:serviceaccount:team-a:scan-entra'}}]}}\n  - key: uami-orders\n"
    );
    let text = DEMO.replacen("  - key: uami-orders\n", &principal, 1).replacen(
        "\nserver:\n",
        &format!("\n{issuers}server:\n"),
        1,
    );
    let world = World::start(&text).await;
    let mut request = ordered(&world, Auth::WorkloadIdentity);
    let Source::Entra { client_id, .. } = &mut request.source;
    *client_id = FOREIGN.into();
    let now = Timestamp::now().as_second();
    let claims = |subject: &str| json!({"iss": ISSUER, "sub": subject, "aud": ["api://AzureADTokenExchange"], "nbf": now - 5, "exp": now + 600});
    let token = key.sign(&claims("system:serviceaccount:team-a:scan-entra")).unwrap();
    let (report, _) = world.scan_with(&request, &[("token", &token)], &Surroundings::default()).await;
    assert_eq!((report.outcome, report.reason, report.token_requests), (Outcome::Complete, None, 1), "{report:?}");
    let other = key.sign(&claims("system:serviceaccount:team-b:scan-entra")).unwrap();
    let (report, _) = world.scan_with(&request, &[("token", &other)], &Surroundings::default()).await;
    assert_eq!(
        (report.reason, report.vendor_code.as_deref()),
        (Some(Reason::FederationMismatch), Some("AADSTS700213"))
    );
}
