//! Issuers of federated tokens: where their keys come from, and whether a token is really theirs.
//!
//! Takes an assertion, gives its verified claims or the reason in the vendor's terms. Keys come from the estate file,
//! a file, or the network (the cluster's API server); a fetched set is fetched again when a token names an unknown key.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::spec::Issuer;

/// Where a pod finds the API server's authority and its own token.
const POD_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const API_SERVER: &str = "https://kubernetes.default.svc";

/// Name in an estate file for the issuer of the cluster that the server runs in.
pub(crate) const KUBERNETES: &str = "kubernetes";

/// Why an assertion was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AssertionError {
    /// It is no token.
    Malformed,
    /// The signature does not verify, or it names a key that the issuer does not have.
    Signature,
    /// It is not yet or no longer valid.
    Time,
    /// The issuer's keys could not be had.
    KeysUnreachable,
}

/// Claims of an assertion that federation looks at.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AssertionClaims {
    #[serde(default)]
    pub(crate) iss: String,
    #[serde(default)]
    pub(crate) sub: String,
    #[serde(default)]
    pub(crate) aud: Audiences,
}

/// `aud` is a text or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audiences {
    pub(crate) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    pub(crate) fn shown(&self) -> String {
        match self {
            Self::One(one) => one.clone(),
            Self::Many(many) => many.join(", "),
        }
    }
}

/// Seconds that clocks may differ.
const LEEWAY: f64 = 300.0;

/// From when until when an assertion holds. Some clients write fractions of a second.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Life {
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    exp: Option<f64>,
}

impl Life {
    /// Whether it holds by the clock `now`. What has no end does not.
    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        let now = now.as_duration().as_secs_f64();
        self.nbf.is_none_or(|begin| begin <= now + LEEWAY) && self.exp.is_some_and(|end| end >= now - LEEWAY)
    }
}

/// Verifies the signature alone: the library would judge times by the machine's clock, which is not the vendor's.
pub(crate) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    validation
}

/// Key sets by issuer.
#[derive(Default)]
pub(crate) struct Issuers {
    extra: Vec<Issuer>,
    kubernetes: bool,
    fetched: Mutex<HashMap<String, JwkSet>>,
    discovered: std::sync::Mutex<Option<String>>,
}

impl Issuers {
    pub(crate) fn new(extra: Vec<Issuer>, kubernetes: bool) -> Self {
        Self { extra, kubernetes, ..Self::default() }
    }

    /// Claims of an assertion, not verified: they only choose which keys must have signed it.
    pub(crate) fn peek(assertion: &str) -> Result<AssertionClaims, AssertionError> {
        jsonwebtoken::dangerous::insecure_decode_claims(assertion).map_err(|_| AssertionError::Malformed)
    }

    /// The issuer that a federated credential means: itself, or the cluster's.
    pub(crate) async fn resolve(&self, issuer: &str) -> String {
        if issuer != KUBERNETES || !self.kubernetes {
            return issuer.to_owned();
        }
        if let Some(known) = self.discovered().clone() {
            return known;
        }
        match discover().await {
            Ok(found) => {
                *self.discovered() = Some(found.clone());
                found
            }
            Err(error) => {
                tracing::warn!(%error, "the cluster's issuer cannot be discovered");
                issuer.to_owned()
            }
        }
    }

    /// The cluster's issuer as far as it is known, for showing.
    pub(crate) fn shown(&self) -> String {
        self.discovered().clone().unwrap_or_else(|| API_SERVER.to_owned())
    }

    fn discovered(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.discovered.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Verifies the signature of an assertion against the keys of the issuer that it names, and its time against `now`.
    pub(crate) async fn verify(
        &self,
        assertion: &str,
        issuer: &str,
        known: &[Issuer],
        now: Timestamp,
    ) -> Result<(), AssertionError> {
        let header = jsonwebtoken::decode_header(assertion).map_err(|_| AssertionError::Malformed)?;
        let key = self.key(issuer, header.kid.as_deref(), known).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| AssertionError::Signature)?;
        let validation = signature_only(self.algorithm(header.alg)?);
        let life = jsonwebtoken::decode::<Life>(assertion, &key, &validation).map_err(|_| AssertionError::Signature)?;
        if life.claims.holds_at(now) { Ok(()) } else { Err(AssertionError::Time) }
    }

    /// The vendor takes RS256 only. A cluster made for tests often signs with ES256, which is taken where the cluster is
    /// an issuer at all.
    fn algorithm(&self, stated: Algorithm) -> Result<Algorithm, AssertionError> {
        match stated {
            Algorithm::RS256 => Ok(stated),
            Algorithm::ES256 if self.kubernetes => Ok(stated),
            _ => Err(AssertionError::Signature),
        }
    }

    async fn key(&self, issuer: &str, kid: Option<&str>, known: &[Issuer]) -> Result<Jwk, AssertionError> {
        let listed = known.iter().chain(&self.extra).find(|entry| entry.issuer == issuer);
        if let Some(entry) = listed
            && entry.jwks_url.is_none()
        {
            let set = local_keys(entry).await.ok_or(AssertionError::KeysUnreachable)?;
            return pick(&set, kid).ok_or(AssertionError::Signature);
        }
        let source = match listed {
            Some(entry) => entry.clone(),
            None if self.kubernetes => cluster_keys(issuer),
            None => return Err(AssertionError::KeysUnreachable),
        };
        let mut fetched = self.fetched.lock().await;
        if let Some(found) = fetched.get(issuer).and_then(|set| pick(set, kid)) {
            return Ok(found);
        }
        let set = fetch_keys(&source).await.map_err(|error| {
            tracing::warn!(%error, "an issuer's keys cannot be fetched");
            AssertionError::KeysUnreachable
        })?;
        let found = pick(&set, kid).ok_or(AssertionError::Signature);
        fetched.insert(issuer.to_owned(), set);
        found
    }
}

fn pick(set: &JwkSet, kid: Option<&str>) -> Option<Jwk> {
    match kid {
        Some(kid) => set.find(kid).cloned(),
        None => set.keys.first().cloned(),
    }
}

async fn local_keys(entry: &Issuer) -> Option<JwkSet> {
    if let Some(inline) = &entry.jwks {
        return serde_json::from_value(inline.clone()).ok();
    }
    let text = tokio::fs::read(entry.jwks_file.as_ref()?).await.ok()?;
    serde_json::from_slice(&text).ok()
}

fn cluster_keys(issuer: &str) -> Issuer {
    Issuer {
        issuer: issuer.to_owned(),
        jwks: None,
        jwks_file: None,
        jwks_url: Some(format!("{API_SERVER}/openid/v1/jwks")),
        ca_file: Some(POD_CA.to_owned()),
        token_file: Some(POD_TOKEN.to_owned()),
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("cannot read {0}: {1}")]
    File(String, std::io::Error),
    #[error("request failed: {0}")]
    Http(#[from] reqwest::Error),
    #[error("no address to fetch from")]
    NoUrl,
}

async fn read(path: &str) -> Result<Vec<u8>, FetchError> {
    tokio::fs::read(path).await.map_err(|error| FetchError::File(path.to_owned(), error))
}

async fn fetch<T: serde::de::DeserializeOwned>(source: &Issuer, url: &str) -> Result<T, FetchError> {
    let mut client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(path) = &source.ca_file {
        client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&read(path).await?)?);
    }
    let mut request = client.build()?.get(url);
    if let Some(path) = &source.token_file {
        request = request.bearer_auth(String::from_utf8_lossy(&read(path).await?).trim());
    }
    Ok(request.send().await?.error_for_status()?.json().await?)
}

async fn fetch_keys(source: &Issuer) -> Result<JwkSet, FetchError> {
    let url = source.jwks_url.as_deref().ok_or(FetchError::NoUrl)?;
    fetch(source, url).await
}

async fn discover() -> Result<String, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
    }
    let url = format!("{API_SERVER}/.well-known/openid-configuration");
    fetch::<Document>(&cluster_keys(""), &url).await.map(|document| document.issuer)
}
