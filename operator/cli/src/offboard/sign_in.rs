//! An attempt to sign in the way that scans do, to see it refused. Takes the credential that the administrator hands
//! over, or a short token of the scan's account; gives a verdict. Keeps nothing and prints no token.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sv0_connector::Secret;

use crate::clouds::Endpoints;
use crate::consent::flow::code;
use crate::http::Http;
use crate::offboard::verdict::{Verdict, by_code};
use crate::values::Guid;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds for which our assertion is good.
const ASSERTION_LIFETIME: i64 = 300;

/// What is signed in with.
pub enum Credential {
    /// A token of the cluster for the scan's account.
    ClusterToken(Secret),
    /// A client secret.
    Secret(Secret),
    /// Files with a certificate and its key (PEM).
    Certificate {
        /// The certificate; its first one is used.
        certificate: PathBuf,
        /// The RSA key.
        key: PathBuf,
    },
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error_description: String,
}

/// Tries.
pub async fn attempt(
    endpoints: &Endpoints,
    tenant: &Guid,
    client: &Guid,
    credential: &Credential,
    now: i64,
) -> Result<Verdict> {
    let address = endpoints.below_authority(&format!("{tenant}/oauth2/v2.0/token"), &[])?;
    let scope = endpoints.scope();
    let mut form = vec![("client_id", client.as_str()), ("scope", &scope), ("grant_type", "client_credentials")];
    let assertion;
    match credential {
        Credential::Secret(secret) => form.push(("client_secret", secret.expose())),
        Credential::ClusterToken(token) => {
            form.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", token.expose())]);
        }
        Credential::Certificate { certificate, key } => {
            assertion = Secret::new(signed(certificate, key, address.as_str(), client, now)?);
            form.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.expose())]);
        }
    }
    let http = Http::new(&endpoints.network);
    let answer = http.post(&address, &form).await?;
    if answer.status != 200 {
        let failure: Failure = serde_json::from_slice(&answer.body).unwrap_or_default();
        return Ok(code(&failure.error_description).map_or_else(
            || Verdict::NotProven(format!("Microsoft answered {} without a code", answer.status)),
            |code| by_code(&code),
        ));
    }
    let token: Token = serde_json::from_slice(&answer.body).context("Microsoft's answer cannot be read")?;
    let token = Secret::new(token.access_token);
    // A token is issued without any permission, too: whether it opens something is another question.
    let address = format!("{}/v1.0/servicePrincipals(appId='{client}')?$select=id", endpoints.graph);
    let answer = http.get_with(&address.parse()?, &token).await?;
    Ok(Verdict::StillThere(match answer.status {
        200 => "the sign-in works and reads the directory".to_owned(),
        403 => "the sign-in works, though it may not read applications; what else it may was not tried".to_owned(),
        status => format!("the sign-in works; reading with it answered {status}"),
    }))
}

fn signed(certificate: &Path, key: &Path, audience: &str, client: &Guid, now: i64) -> Result<String> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let pem = read(certificate)?;
    let Some(leaf) = CertificateDer::pem_slice_iter(&pem).next() else {
        bail!("{} holds no certificate (PEM)", certificate.display());
    };
    let leaf = leaf.map_err(|_| anyhow::anyhow!("the certificate in {} cannot be read", certificate.display()))?;
    let key = Secret::new(String::from_utf8(read(key)?).context("the key is not PEM")?);
    let key = EncodingKey::from_rsa_pem(key.expose().as_bytes()).context("the key is not an RSA key (PEM)")?;
    let header = Header {
        x5t_s256: Some(URL_SAFE_NO_PAD.encode(Sha256::digest(leaf.as_ref()))),
        ..Header::new(Algorithm::PS256)
    };
    let claims = json!({
        "aud": audience, "iss": client.as_str(), "sub": client.as_str(), "jti": uuid::Uuid::new_v4().to_string(),
        "nbf": now, "iat": now, "exp": now + ASSERTION_LIFETIME,
    });
    jsonwebtoken::encode(&header, &claims, &key).context("the assertion cannot be signed")
}
