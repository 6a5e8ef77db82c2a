//! A stand-in for the identity provider: really signs and really checks the code's verifier, and lies on request.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock, Mutex};

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sv0_cli::clouds::{Endpoints, Network};

pub(crate) const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
pub(crate) const OTHER_TENANT: &str = "00000000-0000-0000-0000-00000000000c";
pub(crate) const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const ADMIN: &str = "00000000-0000-0000-0000-0000000000ad";
pub(crate) const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
/// The time in all tests.
pub(crate) const NOW: i64 = 1_780_000_000;

/// An RSA key with its id.
pub(crate) struct Key {
    pub(crate) private: EncodingKey,
    pub(crate) public: Jwk,
}

impl Key {
    /// The key of every provider of a test program: an RSA key takes long to make.
    pub(crate) fn usual() -> Self {
        static PEM: LazyLock<String> = LazyLock::new(pem);
        Self::read("1", &PEM)
    }

    pub(crate) fn generate(id: &str) -> Self {
        Self::read(id, &pem())
    }

    fn read(id: &str, pem: &str) -> Self {
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let mut public = Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap();
        public.common.key_id = Some(id.to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Self { private, public }
    }
}

fn pem() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()
}

/// What a provider says of itself and puts into its tokens.
pub(crate) type Change = fn(&mut Value);

/// How it lies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lies {
    /// Changes the claims.
    pub(crate) claims: Option<Change>,
    /// Changes the discovery document.
    pub(crate) metadata: Option<Change>,
    /// Makes the token from the claims instead of signing it.
    pub(crate) token: Option<fn(&Key, &Value) -> String>,
    /// The token endpoint's answer instead of tokens.
    pub(crate) refusal: Option<(u16, &'static str)>,
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) endpoints: Endpoints,
    shared: Arc<Shared>,
}

struct Shared {
    origin: String,
    key: Key,
    lies: Lies,
    /// The challenge and nonce that the browser brought.
    sign_in: Mutex<BTreeMap<String, String>>,
}

impl Provider {
    pub(crate) async fn start(lies: Lies) -> Self {
        sv0_connector::install_crypto_provider();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { origin: origin.clone(), key: Key::usual(), lies, sign_in: Mutex::default() };
        let shared = Arc::new(shared);
        let router = Router::new()
            .route("/{tenant}/oauth2/v2.0/token", post(token))
            .route("/{tenant}/v2.0/.well-known/openid-configuration", get(metadata))
            .route("/{tenant}/discovery/v2.0/keys", get(keys))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let network = Network { private_hosts: vec!["127.0.0.1".to_owned()], ..Network::default() };
        Self { endpoints: Endpoints { authority: origin.clone(), graph: origin, network }, shared }
    }

    /// The browser arrives at the sign-in page with these parameters.
    pub(crate) fn visited(&self, parameters: BTreeMap<String, String>) {
        *self.shared.sign_in.lock().unwrap() = parameters;
    }
}

async fn metadata(State(shared): State<Arc<Shared>>, Path(tenant): Path<String>) -> Json<Value> {
    let mut document = json!({
        "issuer": format!("{}/{tenant}/v2.0", shared.origin),
        "jwks_uri": format!("{}/{tenant}/discovery/v2.0/keys", shared.origin),
    });
    if let Some(change) = shared.lies.metadata {
        change(&mut document);
    }
    Json(document)
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<JwkSet> {
    Json(JwkSet { keys: vec![shared.key.public.clone()] })
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    Form(form): Form<BTreeMap<String, String>>,
) -> impl IntoResponse {
    if let Some((status, description)) = shared.lies.refusal {
        let body = json!({"error": "invalid_grant", "error_description": description});
        return (StatusCode::from_u16(status).unwrap(), Json(body));
    }
    let sign_in = shared.sign_in.lock().unwrap().clone();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    let right = form["grant_type"] == "authorization_code"
        && form["code"] == "the-code"
        && form["redirect_uri"] == sign_in["redirect_uri"]
        && challenge == sign_in["code_challenge"];
    if !right {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"})));
    }
    let mut claims = json!({
        "iss": format!("{}/{tenant}/v2.0", shared.origin), "aud": form["client_id"], "tid": tenant, "oid": ADMIN,
        "nonce": sign_in["nonce"], "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "wids": [GLOBAL_ADMINISTRATOR],
    });
    if let Some(change) = shared.lies.claims {
        change(&mut claims);
    }
    let signed = shared.lies.token.unwrap_or(sign)(&shared.key, &claims);
    (StatusCode::OK, Json(json!({"token_type": "Bearer", "access_token": "unread", "id_token": signed})))
}

/// As it should be.
pub(crate) fn sign(key: &Key, claims: &Value) -> String {
    let header = Header { kid: key.public.common.key_id.clone(), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, &key.private).unwrap()
}

/// A token put together by hand.
pub(crate) fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}
