//! The consent of a tenant against an identity provider that lies, and against callbacks that are not ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rstest::rstest;
use serde_json::{Value, json};
use sv0_api::ConnectorInstance;
use sv0_cli::consent::bound;
use sv0_cli::consent::flow::{Flow, Outcome, Proof, Refusal, Settings};
use sv0_cli::consent::server::Listeners;
use sv0_cli::consent::state::StateError;
use sv0_cli::consent::token::TokenError;
use url::Url;

use crate::support::{ADMIN, CLIENT, Key, Lies, NOW, OTHER_TENANT, Provider, TENANT, sign, unsigned};

fn settings(provider: &Provider) -> Settings {
    Settings {
        client_id: CLIENT.parse().unwrap(),
        tenant: None,
        endpoints: provider.endpoints.clone(),
        redirect: "http://localhost:1/sv0-consent".to_owned(),
        accept_unproven_role: false,
        clock: || NOW,
    }
}

fn parameters(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The consent page was answered; gives where the browser is sent.
async fn consented(flow: &Flow, tenant: &str) -> Url {
    let state = parameters(&flow.consent_url().unwrap())["state"].clone();
    match flow.callback(&format!("admin_consent=True&tenant={tenant}&scope=x&state={state}")).await {
        Outcome::Redirect(url) => url,
        other => panic!("{other:?}"),
    }
}

/// The whole way, to an answer of the sign-in with these further parameters.
async fn walked(provider: &Provider, flow: &Flow, more: &str) -> Outcome {
    let sign_in = parameters(&consented(flow, TENANT).await);
    provider.visited(sign_in.clone());
    flow.callback(&format!("code=the-code&state={}&session_state=x{more}", sign_in["state"])).await
}

async fn outcome(lies: Lies) -> Outcome {
    let provider = Provider::start(lies).await;
    let flow = Flow::new(settings(&provider));
    walked(&provider, &flow, "").await
}

#[tokio::test]
async fn an_administrator_of_the_tenant_proves_it() {
    let Outcome::Proven(proof) = outcome(Lies::default()).await else { panic!("not proven") };
    let expected = Proof { tenant: TENANT.parse().unwrap(), object_id: Some(ADMIN.to_owned()), role_proven: true };
    assert_eq!(proof, expected);
}

#[tokio::test]
async fn the_addresses_ask_for_what_they_should() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let consent = flow.consent_url().unwrap();
    assert_eq!(consent.path(), "/organizations/v2.0/adminconsent");
    assert!(parameters(&consent)["scope"].ends_with("/.default"));
    let sign_in = consented(&flow, TENANT).await;
    assert_eq!(sign_in.path(), format!("/{TENANT}/oauth2/v2.0/authorize"));
    let sign_in = parameters(&sign_in);
    assert_eq!((sign_in["scope"].as_str(), sign_in["code_challenge_method"].as_str()), ("openid profile", "S256"));
    assert_ne!(sign_in["state"], parameters(&consent)["state"]);
}

/// Each claim that is wrong, and the reason it is refused for.
#[rstest]
#[case::other_tenant(|c: &mut Value| c["tid"] = json!(OTHER_TENANT), TokenError::Tenant)]
#[case::no_tenant(|c: &mut Value| { c.as_object_mut().unwrap().remove("tid"); }, TokenError::Tenant)]
#[case::other_issuer(|c: &mut Value| c["iss"] = json!(c["iss"].as_str().unwrap().replace(TENANT, OTHER_TENANT)), TokenError::Issuer)]
#[case::foreign_issuer(|c: &mut Value| c["iss"] = json!(format!("https://login.example.com/{TENANT}/v2.0")), TokenError::Issuer)]
#[case::v1_issuer(|c: &mut Value| c["iss"] = json!(format!("https://sts.windows.net/{TENANT}/")), TokenError::Issuer)]
#[case::other_audience(|c: &mut Value| c["aud"] = json!(OTHER_TENANT), TokenError::Audience)]
#[case::several_audiences(|c: &mut Value| c["aud"] = json!([CLIENT, OTHER_TENANT]), TokenError::Malformed)]
#[case::wrong_nonce(|c: &mut Value| c["nonce"] = json!("of another sign-in"), TokenError::Nonce)]
#[case::no_nonce(|c: &mut Value| { c.as_object_mut().unwrap().remove("nonce"); }, TokenError::Nonce)]
#[case::expired(|c: &mut Value| c["exp"] = json!(NOW - 121), TokenError::Time)]
#[case::not_yet(|c: &mut Value| c["nbf"] = json!(NOW + 121), TokenError::Time)]
#[case::from_the_future(|c: &mut Value| c["iat"] = json!(NOW + 121), TokenError::Time)]
#[case::no_end(|c: &mut Value| { c.as_object_mut().unwrap().remove("exp"); }, TokenError::Malformed)]
#[tokio::test]
async fn a_wrong_claim_proves_nothing(#[case] claims: support::Change, #[case] why: TokenError) {
    let outcome = outcome(Lies { claims: Some(claims), ..Lies::default() }).await;
    assert!(matches!(&outcome, Outcome::Refused(Refusal::Token(found)) if *found == why), "{outcome:?}");
}

/// Signed by nobody, by somebody else, or with the public key taken for a secret.
#[rstest]
#[case::none(|_: &Key, claims: &Value| unsigned(&json!({"alg": "none", "kid": "1"}), claims, ""), TokenError::Algorithm)]
#[case::none_in_capitals(|_: &Key, claims: &Value| unsigned(&json!({"alg": "NONE", "kid": "1"}), claims, "AA"), TokenError::Algorithm)]
#[case::public_key_as_secret(|key: &Key, claims: &Value| {
    let secret = EncodingKey::from_secret(serde_json::to_string(&key.public).unwrap().as_bytes());
    let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &secret).unwrap()
}, TokenError::Algorithm)]
#[case::same_id_other_key(|_: &Key, claims: &Value| sign(&Key::generate("1"), claims), TokenError::Signature)]
#[case::unknown_key(|_: &Key, claims: &Value| sign(&Key::generate("2"), claims), TokenError::UnknownKey)]
#[case::no_key_id(|key: &Key, claims: &Value| {
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key.private).unwrap()
}, TokenError::UnknownKey)]
#[case::changed_after_signing(|key: &Key, claims: &Value| {
    let signed = sign(key, claims);
    let mut parts: Vec<&str> = signed.split('.').collect();
    let other = sign(key, &json!({"tid": OTHER_TENANT}));
    parts[1] = other.split('.').nth(1).unwrap();
    parts.join(".")
}, TokenError::Signature)]
#[case::no_token(|_: &Key, _: &Value| "a".to_owned(), TokenError::Malformed)]
#[tokio::test]
async fn a_false_signature_proves_nothing(#[case] token: fn(&Key, &Value) -> String, #[case] why: TokenError) {
    let outcome = outcome(Lies { token: Some(token), ..Lies::default() }).await;
    assert!(matches!(&outcome, Outcome::Refused(Refusal::Token(found)) if *found == why), "{outcome:?}");
}

#[rstest]
#[case::keys_elsewhere(|d: &mut Value| d["jwks_uri"] = json!("https://keys.example.com/keys"))]
#[case::keys_inside(|d: &mut Value| d["jwks_uri"] = json!("http://169.254.169.254/keys"))]
#[case::issuer_elsewhere(|d: &mut Value| d["issuer"] = json!(format!("https://login.example.com/{TENANT}/v2.0")))]
#[case::issuer_of_another_tenant(|d: &mut Value| d["issuer"] = json!(d["issuer"].as_str().unwrap().replace(TENANT, OTHER_TENANT)))]
#[tokio::test]
async fn a_provider_that_points_elsewhere_is_not_followed(#[case] metadata: support::Change) {
    let outcome = outcome(Lies { metadata: Some(metadata), ..Lies::default() }).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::MixUp)), "{outcome:?}");
}

#[tokio::test]
async fn a_templated_issuer_is_the_tenants() {
    let metadata: support::Change =
        |d| d["issuer"] = json!(d["issuer"].as_str().unwrap().replace(TENANT, "{tenantid}"));
    let outcome = outcome(Lies { metadata: Some(metadata), ..Lies::default() }).await;
    assert!(matches!(outcome, Outcome::Proven(_)), "{outcome:?}");
}

#[tokio::test]
async fn the_answer_of_another_issuer_is_a_mix_up() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let outcome = walked(&provider, &flow, "&iss=https%3A%2F%2Flogin.example.com").await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::MixUp)), "{outcome:?}");
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_refused_by_the_provider() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    // Somebody else's code: the challenge that the provider remembers is not ours.
    let mut sign_in = parameters(&consented(&flow, TENANT).await);
    let state = sign_in["state"].clone();
    sign_in.insert("code_challenge".to_owned(), "of another".to_owned());
    provider.visited(sign_in);
    let outcome = flow.callback(&format!("code=the-code&state={state}")).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Error(_))), "{outcome:?}");
}

#[tokio::test]
async fn roles_are_proven_or_refused() {
    let member: support::Change = |c| c["wids"] = json!(["b79fbf4d-3ef9-4689-8143-76b194e85509"]);
    let refused = outcome(Lies { claims: Some(member), ..Lies::default() }).await;
    assert!(matches!(refused, Outcome::Refused(Refusal::NotAnAdministrator)), "{refused:?}");
    let silent: support::Change = |c| drop(c.as_object_mut().unwrap().remove("wids"));
    let lies = Lies { claims: Some(silent), ..Lies::default() };
    let refused = outcome(lies).await;
    assert!(matches!(refused, Outcome::Refused(Refusal::RoleUnknown)), "{refused:?}");
    let provider = Provider::start(lies).await;
    let flow = Flow::new(Settings { accept_unproven_role: true, ..settings(&provider) });
    let accepted = walked(&provider, &flow, "").await;
    assert!(matches!(&accepted, Outcome::Proven(proof) if !proof.role_proven), "{accepted:?}");
    // What the token says cannot be waved through.
    let provider = Provider::start(Lies { claims: Some(member), ..Lies::default() }).await;
    let flow = Flow::new(Settings { accept_unproven_role: true, ..settings(&provider) });
    let refused = walked(&provider, &flow, "").await;
    assert!(matches!(refused, Outcome::Refused(Refusal::NotAnAdministrator)), "{refused:?}");
}

/// A failure carries `admin_consent=True`, too.
#[tokio::test]
async fn an_error_comes_first() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let state = parameters(&flow.consent_url().unwrap())["state"].clone();
    let query = format!(
        "error=access_denied&error_description=AADSTS65004%3A+declined%1b%5B2J&admin_consent=True&tenant={TENANT}&state={state}"
    );
    let outcome = flow.callback(&query).await;
    let Outcome::Refused(Refusal::Error(said)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(said, "access_denied (AADSTS65004)", "a word and a code, and nothing else of it");
}

#[rstest]
#[case::not_given("admin_consent=False&tenant=00000000-0000-0000-0000-00000000000a")]
#[case::not_said("tenant=00000000-0000-0000-0000-00000000000a")]
#[case::no_tenant("admin_consent=True")]
#[case::a_path("admin_consent=True&tenant=..%2F..%2Fevil")]
#[case::a_domain("admin_consent=True&tenant=contoso.onmicrosoft.com")]
#[tokio::test]
async fn a_consent_that_says_less_is_none(#[case] query: &str) {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let state = parameters(&flow.consent_url().unwrap())["state"].clone();
    let outcome = flow.callback(&format!("{query}&state={state}")).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Malformed(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_tenant_that_was_asked_for_and_no_other() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(Settings { tenant: Some(TENANT.parse().unwrap()), ..settings(&provider) });
    let consent = flow.consent_url().unwrap();
    assert!(consent.path().starts_with(&format!("/{TENANT}/")));
    let state = &parameters(&consent)["state"];
    let outcome = flow.callback(&format!("admin_consent=True&tenant={OTHER_TENANT}&state={state}")).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::OtherTenant(_))), "{outcome:?}");
}

/// What is not an answer to our question ends nothing, and the right answer still counts.
#[tokio::test]
async fn callbacks_of_others_are_ignored() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let other = Flow::new(settings(&provider));
    let ours = parameters(&flow.consent_url().unwrap())["state"].clone();
    let theirs = parameters(&other.consent_url().unwrap())["state"].clone();
    for query in [
        format!("admin_consent=True&tenant={TENANT}"),
        format!("admin_consent=True&tenant={TENANT}&state="),
        format!("admin_consent=True&tenant={TENANT}&state={theirs}"),
        format!("error=access_denied&state={theirs}"),
        format!("admin_consent=True&tenant={TENANT}&tenant={OTHER_TENANT}&state={ours}"),
        format!("admin_consent=True&tenant={TENANT}&state={ours}x"),
        String::new(),
    ] {
        let outcome = flow.callback(&query).await;
        assert!(matches!(outcome, Outcome::Ignored(_)), "{query}: {outcome:?}");
    }
    let outcome = flow.callback(&format!("admin_consent=True&tenant={TENANT}&state={ours}")).await;
    assert!(matches!(outcome, Outcome::Redirect(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_callback_counts_once() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let state = parameters(&flow.consent_url().unwrap())["state"].clone();
    let query = format!("admin_consent=True&tenant={TENANT}&state={state}");
    let Outcome::Redirect(url) = flow.callback(&query).await else { panic!("no redirect") };
    assert!(matches!(flow.callback(&query).await, Outcome::Ignored(StateError::Used)));
    let sign_in = parameters(&url);
    provider.visited(sign_in.clone());
    let query = format!("code=the-code&state={}", sign_in["state"]);
    assert!(matches!(flow.callback(&query).await, Outcome::Proven(_)));
    assert!(matches!(flow.callback(&query).await, Outcome::Ignored(StateError::Used)));
}

/// The state of the first step does not open the second: the consent's answer with a code in it is no sign-in.
#[tokio::test]
async fn a_step_cannot_be_skipped() {
    let provider = Provider::start(Lies::default()).await;
    let flow = Flow::new(settings(&provider));
    let state = parameters(&flow.consent_url().unwrap())["state"].clone();
    let outcome = flow.callback(&format!("code=the-code&state={state}")).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Malformed(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_providers_refusal_is_named() {
    let lies = Lies { refusal: Some((400, "AADSTS54005: the code was redeemed already\r\nTrace")), ..Lies::default() };
    let outcome = outcome(lies).await;
    assert!(
        matches!(&outcome, Outcome::Refused(Refusal::Error(said)) if said == "invalid_grant (AADSTS54005)"),
        "{outcome:?}"
    );
}

fn instance(namespace: &str, name: &str, tenant: &str) -> ConnectorInstance {
    serde_json::from_value(json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"system": "Entra", "serviceAccountName": "scan", "entra": {
            "tenantId": tenant, "clientId": CLIENT, "auth": {"workloadIdentity": {}}}},
    }))
    .unwrap()
}

#[test]
fn a_tenant_is_read_by_one_instance() {
    let instances = [instance("team-a", "entra", TENANT), instance("team-b", "entra", OTHER_TENANT)];
    let bound = |tenant, namespace: &str, name: &str| {
        bound(&instances, tenant, &namespace.parse().unwrap(), &name.parse().unwrap())
    };
    assert_eq!(bound(TENANT, "team-b", "entra").as_deref(), Some("team-a/entra"));
    assert_eq!(bound(TENANT, "team-a", "second").as_deref(), Some("team-a/entra"));
    assert_eq!(bound(TENANT, "team-a", "entra"), None, "the same instance, written again");
    assert_eq!(bound("00000000-0000-0000-0000-00000000000d", "team-a", "entra"), None);
}

/// The whole way through the loopback address, as a browser goes it.
#[tokio::test]
async fn a_browser_goes_the_whole_way() {
    let provider = Provider::start(Lies::default()).await;
    let listeners = Listeners::bind(0).await.unwrap();
    let (redirect, address) = (listeners.redirect(), listeners.addresses()[0]);
    assert!(address.ip().is_loopback());
    let flow = Arc::new(Flow::new(Settings { redirect: redirect.clone(), ..settings(&provider) }));
    let consent = parameters(&flow.consent_url().unwrap());
    let serving = tokio::spawn(listeners.serve(flow));
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .resolve("localhost", address)
        .no_proxy()
        .build()
        .unwrap();
    let get = |host: &'static str, query: String| {
        let request = browser.get(format!("http://{host}:{}/sv0-consent?{query}", address.port()));
        async { request.send().await.unwrap() }
    };
    let query = format!("admin_consent=True&tenant={TENANT}&state={}", consent["state"]);
    // A page whose own name was made to point to this address gets nothing.
    assert_eq!(get("127.0.0.1", query.clone()).await.status(), 421);
    let forged = get("localhost", format!("admin_consent=True&tenant={OTHER_TENANT}&state=x<script>")).await;
    assert_eq!(forged.status(), 400);
    assert!(!forged.text().await.unwrap().contains("script"));
    let answer = get("localhost", query).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["referrer-policy"]),
        (302, &"no-referrer".parse().unwrap())
    );
    let sign_in = parameters(&answer.headers()["location"].to_str().unwrap().parse().unwrap());
    assert_eq!(sign_in["redirect_uri"], redirect);
    provider.visited(sign_in.clone());
    let answer = get("localhost", format!("code=the-code&state={}", sign_in["state"])).await;
    assert_eq!(answer.status(), 200);
    let proof = serving.await.unwrap().unwrap().unwrap();
    assert_eq!(proof.tenant.as_str(), TENANT);
}
