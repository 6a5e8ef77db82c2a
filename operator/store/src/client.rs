//! The client of the store, for `scan`, `evaluate` and people at their own machine.
//!
//! Takes the store's address, the certificate of its own authority (nothing else is trusted) and a token: the path of
//! the projected one (read anew at every attempt, since the kubelet rotates it), or a short one held in memory. Every write is idempotent and is
//! repeated a bounded number of times; every read is checked against the digest that it was asked for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, Response, StatusCode, header, redirect};
use sv0_protocol::store::{Departed, LiveInstances};
use sv0_protocol::{StoreAccess, store};
use zeroize::Zeroizing;

use crate::digest::sha256_hex;

/// Attempts per call, the first one included.
const ATTEMPTS: u32 = 5;
/// Pause before the second attempt; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest list of snapshots that is read, in bytes.
const MAX_LIST_BYTES: u64 = 1024 * 1024;
/// Longest list of what is gone that is read, in bytes.
const MAX_DEPARTED_BYTES: u64 = 64 * 1024 * 1024;
/// Longest manifest that is read or written, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// Why a call to the store failed. The sentences carry no path and no token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or the certificate cannot be used.
    #[error(
        "the store's address or certificate cannot be used: {0}; check storeUrl and the ConfigMap securityv0-store-ca"
    )]
    Configuration(String),
    /// The projected token cannot be read.
    #[error("the token for the store cannot be read: {0}; mount the projected volume store-token")]
    Token(std::io::Error),
    /// No answer, or only server errors, after all attempts. May pass by itself.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// The answer came under a certificate of another authority, or for another name.
    #[error("what answers at the store's address is not the store: {0}; check the ConfigMap securityv0-store-ca")]
    Untrusted(String),
    /// The store answered and refuses (401, 403, 400, 422 ...). Repeating does not help.
    #[error("the store refuses with status {status}: {sentence}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The store's own sentence, at most 200 characters.
        sentence: String,
    },
    /// There is no such object.
    #[error("the store has no such object")]
    Missing,
    /// The manifest names a part that the store does not hold: put the parts again.
    #[error("the store lacks a part that the manifest names; put the parts again")]
    PartMissing,
    /// The instance's quota or the disk is full.
    #[error("the store has no room left; raise the quota per instance, lower keepSnapshots or enlarge the volume")]
    Full,
    /// Another content stands already under this id.
    #[error("the store holds another content under this id")]
    Conflict,
    /// What was read is not what the digest names.
    #[error("what the store returned does not have the digest that was asked for")]
    Corrupt,
    /// More bytes than the protocol allows.
    #[error("{bytes} bytes are more than the {limit} that the protocol allows")]
    TooLarge {
        /// Bytes at hand, or announced.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl ClientError {
    /// Whether the cause may pass without anyone mending it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// Which instance a scan writes for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanTarget {
    /// The estate.
    pub namespace: String,
    /// Name of the `ConnectorInstance`.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
}

/// A connection to the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreClient {
    http: reqwest::Client,
    base: String,
    token: Token,
}

/// Where the token comes from.
#[derive(Clone)]
enum Token {
    /// A file, read for each attempt.
    File(PathBuf),
    /// Memory, wiped with the last client that holds it.
    Held(Arc<Zeroizing<String>>),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "a file",
            Self::Held(_) => "held in memory",
        })
    }
}

impl StoreClient {
    /// A client that trusts `access.ca_pem` only, follows no redirect and uses no proxy. The process must have
    /// installed its rustls provider.
    pub fn new(access: &StoreAccess, token_path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        Self::build(access, Token::File(token_path.into()), None)
    }

    /// The same with a token in memory, for a store that is reached at `through` (a port-forward). It still has to
    /// prove that it is the one in `access.url`.
    pub fn held(access: &StoreAccess, token: Zeroizing<String>, through: SocketAddr) -> Result<Self, ClientError> {
        Self::build(access, Token::Held(Arc::new(token)), Some(through))
    }

    fn build(access: &StoreAccess, token: Token, through: Option<SocketAddr>) -> Result<Self, ClientError> {
        let mut base = access.url.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") {
            return Err(ClientError::Configuration("the address must begin with https://".into()));
        }
        let roots = reqwest::Certificate::from_pem_bundle(access.ca_pem.as_bytes())
            .map_err(|_| ClientError::Configuration("the certificate is not PEM".into()))?;
        if roots.is_empty() {
            return Err(ClientError::Configuration("the certificate is empty".into()));
        }
        let mut builder = reqwest::Client::builder()
            .tls_certs_only(roots)
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_mins(1))
            .timeout(Duration::from_mins(5));
        if let Some(through) = through {
            let host = host(&base).ok_or_else(|| ClientError::Configuration("the address has no host".into()))?;
            // The name stays in the address, so that the certificate is checked for it; of an overridden address the
            // HTTP library takes no port, so that one goes into the address.
            builder = builder.resolve(&host, through);
            base = format!("https://{host}:{}", through.port());
        }
        let http = builder.build().map_err(|e| ClientError::Configuration(causes(&e)))?;
        Ok(Self { http, base, token })
    }

    /// Puts one part; gives its name, the SHA-256 of its bytes in lower-case hex.
    pub async fn put_part(&self, to: &ScanTarget, part: Bytes) -> Result<String, ClientError> {
        let sha256 = sha256_hex(&part);
        let path = store::scan_part_path(&to.namespace, &to.instance, &to.instance_uid, &sha256);
        self.put(&path, part, store::MAX_OBJECT_BYTES).await?;
        Ok(sha256)
    }

    /// Puts the manifest that makes the snapshot visible; gives its digest, `sha256:<hex>`.
    pub async fn put_manifest(&self, to: &ScanTarget, scan_id: &str, manifest: Bytes) -> Result<String, ClientError> {
        let digest = format!("sha256:{}", sha256_hex(&manifest));
        let path = store::scan_manifest_path(&to.namespace, &to.instance, &to.instance_uid, scan_id);
        self.put(&path, manifest, MAX_MANIFEST_BYTES).await?;
        Ok(digest)
    }

    /// Ids of the instance's visible snapshots, oldest first.
    pub async fn list_snapshots(&self, namespace: &str, instance_uid: &str) -> Result<Vec<String>, ClientError> {
        let bytes = self.get(&store::snapshots_path(namespace, instance_uid), MAX_LIST_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Corrupt)
    }

    /// One manifest. `digest` is `sha256:<hex>` when the caller knows it; the bytes are then checked against it.
    pub async fn get_manifest(
        &self,
        namespace: &str,
        instance_uid: &str,
        scan_id: &str,
        digest: Option<&str>,
    ) -> Result<Bytes, ClientError> {
        let bytes = self.get(&store::snapshot_path(namespace, instance_uid, scan_id), MAX_MANIFEST_BYTES).await?;
        match digest {
            Some(d) if bare(d) != sha256_hex(&bytes) => Err(ClientError::Corrupt),
            _ => Ok(bytes),
        }
    }

    /// One part, checked against its name.
    pub async fn get_part(&self, namespace: &str, instance_uid: &str, sha256: &str) -> Result<Bytes, ClientError> {
        self.get_checked(&store::part_path(namespace, instance_uid, sha256), sha256).await
    }

    /// Has these snapshots of the instance kept beside the newest, in place of those that were pinned before.
    pub async fn pin(
        &self,
        namespace: &str,
        instance_uid: &str,
        snapshots: &BTreeSet<String>,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(snapshots).map_err(|_| ClientError::Corrupt)?;
        self.put(&store::pinned_path(namespace, instance_uid), body.into(), MAX_LIST_BYTES).await
    }

    /// Says which instances the estate has; what is stored of others goes after `said.orphaned_days`.
    pub async fn tell_instances(&self, namespace: &str, said: &LiveInstances) -> Result<(), ClientError> {
        let body = serde_json::to_vec(said).map_err(|_| ClientError::Corrupt)?;
        self.put(&store::instances_path(namespace), body.into(), store::MAX_LIVE_BYTES).await
    }

    /// What is stored of what is gone (purge account only).
    pub async fn departed(&self) -> Result<Vec<Departed>, ClientError> {
        let bytes = self.get(store::DEPARTED_PATH, MAX_DEPARTED_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Corrupt)
    }

    /// Has the store delete what it holds of a namespace that is gone, or of one instance that is (purge account only).
    /// [`ClientError::Conflict`] when that is not known to be gone.
    pub async fn purge(&self, namespace_uid: &str, instance_uid: Option<&str>) -> Result<(), ClientError> {
        let path = match instance_uid {
            Some(uid) => store::departed_instance_path(namespace_uid, uid),
            None => store::departed_estate_path(namespace_uid),
        };
        self.put(&path, Bytes::new(), 0).await
    }

    /// Puts an evidence pack; gives its digest, `sha256:<hex>`.
    pub async fn put_pack(&self, namespace: &str, pack: Bytes) -> Result<String, ClientError> {
        let sha256 = sha256_hex(&pack);
        self.put(&store::pack_path(namespace, &sha256), pack, store::MAX_OBJECT_BYTES).await?;
        Ok(format!("sha256:{sha256}"))
    }

    /// An evidence pack by digest (`sha256:<hex>` or bare hex).
    pub async fn get_pack(&self, namespace: &str, digest: &str) -> Result<Bytes, ClientError> {
        self.get_checked(&store::pack_path(namespace, bare(digest)), bare(digest)).await
    }

    /// Puts a ledger; gives its digest, `sha256:<hex>`.
    pub async fn put_ledger(&self, namespace: &str, ledger: Bytes) -> Result<String, ClientError> {
        let sha256 = sha256_hex(&ledger);
        self.put(&store::ledger_path(namespace, &sha256), ledger, store::MAX_OBJECT_BYTES).await?;
        Ok(format!("sha256:{sha256}"))
    }

    /// A ledger by digest (`sha256:<hex>` or bare hex).
    pub async fn get_ledger(&self, namespace: &str, digest: &str) -> Result<Bytes, ClientError> {
        self.get_checked(&store::ledger_path(namespace, bare(digest)), bare(digest)).await
    }

    async fn get_checked(&self, path: &str, sha256: &str) -> Result<Bytes, ClientError> {
        let bytes = self.get(path, store::MAX_OBJECT_BYTES).await?;
        if sha256_hex(&bytes) == sha256 { Ok(bytes) } else { Err(ClientError::Corrupt) }
    }

    async fn put(&self, path: &str, body: Bytes, limit: u64) -> Result<(), ClientError> {
        let bytes = body.len() as u64;
        if bytes > limit {
            return Err(ClientError::TooLarge { bytes, limit });
        }
        self.call(Method::PUT, path, Some(body), MAX_LIST_BYTES).await.map(drop)
    }

    async fn get(&self, path: &str, limit: u64) -> Result<Bytes, ClientError> {
        self.call(Method::GET, path, None, limit).await
    }

    /// One call with its repetitions. Only causes that may pass are repeated.
    async fn call(&self, method: Method, path: &str, body: Option<Bytes>, limit: u64) -> Result<Bytes, ClientError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            match self.attempt(method.clone(), path, body.clone(), limit).await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(attempt, "the store did not answer; trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn attempt(&self, method: Method, path: &str, body: Option<Bytes>, limit: u64) -> Result<Bytes, ClientError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.header(header::AUTHORIZATION, self.bearer().await?);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(body);
        }
        let response = request.send().await.map_err(|e| failure(&e))?;
        let status = response.status();
        if status.is_success() {
            return read_capped(response, limit).await;
        }
        Err(refusal(status, response).await)
    }

    /// The `Authorization` value, marked so that no log of the HTTP library shows it.
    async fn bearer(&self) -> Result<header::HeaderValue, ClientError> {
        let value = match &self.token {
            Token::File(path) => {
                let token = Zeroizing::new(tokio::fs::read_to_string(path).await.map_err(ClientError::Token)?);
                Zeroizing::new(format!("Bearer {}", token.trim()))
            }
            Token::Held(token) => Zeroizing::new(format!("Bearer {}", token.trim())),
        };
        let mut value = header::HeaderValue::from_str(&value).map_err(|_| {
            ClientError::Token(std::io::Error::new(std::io::ErrorKind::InvalidData, "the token is not printable text"))
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The host of an address that begins with `https://`.
fn host(base: &str) -> Option<String> {
    reqwest::Url::parse(base).ok()?.host_str().map(str::to_owned)
}

/// `sha256:<hex>` or `<hex>` → `<hex>`.
fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

async fn refusal(status: StatusCode, response: Response) -> ClientError {
    match status {
        StatusCode::NOT_FOUND => ClientError::Missing,
        StatusCode::CONFLICT => ClientError::Conflict,
        StatusCode::FAILED_DEPENDENCY => ClientError::PartMissing,
        StatusCode::INSUFFICIENT_STORAGE => ClientError::Full,
        s if s.is_server_error() || s == StatusCode::TOO_MANY_REQUESTS => {
            ClientError::Unreachable(format!("it answered with status {}", s.as_u16()))
        }
        s => ClientError::Refused { status: s.as_u16(), sentence: sentence(response).await },
    }
}

/// The store's sentence, cut and without control characters: it ends in a log.
async fn sentence(response: Response) -> String {
    let bytes = read_capped(response, 4096).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(200).collect()
}

async fn read_capped(mut response: Response, limit: u64) -> Result<Bytes, ClientError> {
    if let Some(bytes) = response.content_length().filter(|n| *n > limit) {
        return Err(ClientError::TooLarge { bytes, limit });
    }
    let mut all = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failure(&e))? {
        let bytes = (all.len() + chunk.len()) as u64;
        if bytes > limit {
            return Err(ClientError::TooLarge { bytes, limit });
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// A failed exchange. A certificate that is not the store's is told apart: repeating would not help.
fn failure(error: &reqwest::Error) -> ClientError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return ClientError::Untrusted(reason.to_string());
        }
        // An I/O error does not name what it wraps as its source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|w| w as _).or_else(|| error.source());
    }
    ClientError::Unreachable(causes(error))
}

/// An error and its causes without the URL, which names the estate and the instance.
fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "timed out".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the exchange broke off".to_owned()
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
