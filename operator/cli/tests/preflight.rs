//! The preflight against issuers that serve something else than they should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use rstest::rstest;
use serde_json::{Value, json};
use sv0_cli::clouds::Network;
use sv0_cli::onboard::preflight::{Verdict, examine};

/// What an issuer serves: its name when it differs, its keys, its status.
#[derive(Clone, Copy)]
struct Served {
    issuer: Option<&'static str>,
    keys: &'static [&'static str],
    status: StatusCode,
}

const FINE: Served = Served { issuer: None, keys: &["a", "b"], status: StatusCode::OK };

fn keys(ids: &[&str]) -> Value {
    json!({"keys": ids.iter().map(|id| json!({"kid": id, "kty": "RSA", "alg": "RS256"})).collect::<Vec<_>>()})
}

async fn verdict(served: Served, own: Option<&[&str]>, network: Network) -> Verdict {
    sv0_connector::install_crypto_provider();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({"issuer": served.issuer.unwrap_or(&origin), "jwks_uri": format!("{origin}/openid/v1/jwks")});
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(move || async move { (served.status, [(LOCATION, "/elsewhere")], Json(document)).into_response() }),
        )
        .route("/openid/v1/jwks", get(move || async move { Json(keys(served.keys)) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let discovery = json!({"issuer": origin, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks"}).to_string();
    let own = own.map(|ids| keys(ids).to_string());
    let findings = examine(discovery.as_bytes(), own.as_deref().map(str::as_bytes), &network).await.unwrap();
    assert_eq!(findings.issuer, origin);
    findings.verdict
}

fn loopback() -> Network {
    Network { private_hosts: vec!["127.0.0.1".to_owned()], ..Network::default() }
}

#[tokio::test]
async fn the_same_issuer_with_the_same_keys_is_reachable() {
    assert_eq!(verdict(FINE, Some(&["a"]), loopback()).await, Verdict::Reachable);
}

#[rstest]
#[case::another_name(Served { issuer: Some("https://other.example.com"), ..FINE })]
#[case::other_keys(Served { keys: &["z"], ..FINE })]
#[case::one_key_missing(Served { keys: &["a"], ..FINE })]
#[case::not_for_anonymous(Served { status: StatusCode::FORBIDDEN, ..FINE })]
#[case::a_redirect(Served { status: StatusCode::FOUND, ..FINE })]
#[tokio::test]
async fn anything_else_is_not(#[case] served: Served) {
    let verdict = verdict(served, Some(&["a", "b"]), loopback()).await;
    assert!(matches!(verdict, Verdict::Unreachable(_)), "{verdict:?}");
}

#[tokio::test]
async fn a_private_address_is_not_even_asked() {
    let verdict = verdict(FINE, Some(&["a"]), Network::default()).await;
    assert!(matches!(verdict, Verdict::Unreachable(_)), "{verdict:?}");
}

#[tokio::test]
async fn what_cannot_be_compared_is_unproven() {
    let verdict = verdict(FINE, None, loopback()).await;
    assert!(matches!(verdict, Verdict::Unproven(_)), "{verdict:?}");
}

#[tokio::test]
async fn an_issuer_that_this_machine_cannot_reach_is_unproven() {
    sv0_connector::install_crypto_provider();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let discovery = json!({"issuer": format!("http://{}", listener.local_addr().unwrap())}).to_string();
    drop(listener);
    let findings = examine(discovery.as_bytes(), None, &loopback()).await.unwrap();
    assert!(matches!(findings.verdict, Verdict::Unproven(_)), "{findings:?}");
}

#[tokio::test]
async fn an_issuer_with_control_characters_is_refused() {
    let discovery = json!({"issuer": "https://x\n---\nkind: Secret"}).to_string();
    assert!(examine(discovery.as_bytes(), None, &loopback()).await.is_err());
}
