//! `offboard --check --sign-in`: what the token endpoint sees of a credential, and what its answer proves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::extract::{Form, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sv0_cli::clouds::{Endpoints, Network};
use sv0_cli::offboard::sign_in::{Credential, attempt};
use sv0_cli::offboard::verdict::Verdict;
use sv0_connector::Secret;

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";

type Seen = Arc<Mutex<BTreeMap<String, String>>>;

/// A vendor that answers sign-ins with `token`, and reads with `read`; gives what it was sent.
async fn vendor(token: (u16, Value), read: u16) -> (Endpoints, Seen) {
    sv0_connector::install_crypto_provider();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let remember = Arc::clone(&seen);
    let sign_in = move |Path(tenant): Path<String>, Form(form): Form<BTreeMap<String, String>>| async move {
        assert_eq!(tenant, TENANT);
        *remember.lock().unwrap() = form;
        (StatusCode::from_u16(token.0).unwrap(), Json(token.1))
    };
    let own = move |headers: HeaderMap| async move {
        assert_eq!(headers["authorization"], "Bearer the-token");
        StatusCode::from_u16(read).unwrap()
    };
    let router = Router::new().route("/{tenant}/oauth2/v2.0/token", post(sign_in)).route("/v1.0/{*rest}", get(own));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let network = Network { private_hosts: vec!["127.0.0.1".to_owned()], ..Network::default() };
    (Endpoints { authority: origin.clone(), graph: origin, network }, seen)
}

async fn tried(endpoints: &Endpoints, credential: &Credential) -> Verdict {
    let now = jiff::Timestamp::now().as_second();
    attempt(endpoints, &TENANT.parse().unwrap(), &CLIENT.parse().unwrap(), credential, now).await.unwrap()
}

fn refused(code: &str) -> (u16, Value) {
    (401, json!({"error": "invalid_client", "error_description": format!("{code}: it\u{27}s\r\nTrace ID: x")}))
}

#[tokio::test]
async fn a_removed_application_is_gone() {
    let (endpoints, seen) = vendor(refused("AADSTS700016"), 200).await;
    let secret = Credential::Secret(Secret::new("s&=%".to_owned()));
    let verdict = tried(&endpoints, &secret).await;
    assert!(matches!(verdict, Verdict::Gone(_)), "{verdict:?}");
    let seen = seen.lock().unwrap();
    assert_eq!((seen["client_secret"].as_str(), seen["client_id"].as_str()), ("s&=%", CLIENT));
}

#[tokio::test]
async fn a_removed_trust_shuts_this_cluster_out() {
    let (endpoints, seen) = vendor(refused("AADSTS700213"), 200).await;
    let verdict = tried(&endpoints, &Credential::ClusterToken(Secret::new("a.b.c".to_owned()))).await;
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    assert_eq!(seen.lock().unwrap()["client_assertion"], "a.b.c");
}

#[tokio::test]
async fn an_outage_proves_nothing() {
    for answer in [(503, json!({})), (429, json!({"error": "x"})), refused("AADSTS90033"), (400, json!([]))] {
        let (endpoints, _) = vendor(answer, 200).await;
        let verdict = tried(&endpoints, &Credential::Secret(Secret::new("s".to_owned()))).await;
        assert!(matches!(verdict, Verdict::NotProven(_)), "{verdict:?}");
    }
}

/// A token is issued without any permission, too: it is access until the sign-in is refused.
#[tokio::test]
async fn a_token_is_access_whatever_it_opens() {
    for read in [200, 403, 500] {
        let (endpoints, _) = vendor((200, json!({"access_token": "the-token"})), read).await;
        let verdict = tried(&endpoints, &Credential::Secret(Secret::new("s".to_owned()))).await;
        assert!(matches!(verdict, Verdict::StillThere(_)), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_certificate_signs_in_as_the_vendor_documents_it() {
    let (endpoints, seen) = vendor(refused("AADSTS700027"), 200).await;
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(vec!["scan".to_owned()]).unwrap().self_signed(&key).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let credential = Credential::Certificate { certificate: certificate_file, key: key_file };
    let verdict = tried(&endpoints, &credential).await;
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    let assertion = seen.lock().unwrap()["client_assertion"].clone();
    let header = jsonwebtoken::decode_header(&assertion).unwrap();
    assert_eq!(header.alg, Algorithm::PS256);
    assert_eq!(header.x5t_s256.unwrap(), URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der())));
    let mut validation = Validation::new(Algorithm::PS256);
    validation.set_audience(&[format!("{}/{TENANT}/oauth2/v2.0/token", endpoints.authority)]);
    validation.set_issuer(&[CLIENT]);
    let public = DecodingKey::from_rsa_der(key.der_bytes());
    let claims = jsonwebtoken::decode::<Value>(&assertion, &public, &validation).unwrap().claims;
    assert_eq!(claims["sub"], CLIENT);
}
