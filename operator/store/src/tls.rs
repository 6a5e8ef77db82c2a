//! The store's own certificate authority and server certificate.
//!
//! Both are made here, kept in the back end under `system/tls.json` so that a restart changes nothing, and renewed
//! before they end. Whoever reads the back end reads this key too, and could do nothing with it that the back end does
//! not allow anyway. The authority signs this one server only.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::keys::{Namespace, TLS_KEY};

/// Life of the authority.
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// The authority is followed by a new one this long before its end; both are published meanwhile.
const AUTHORITY_OVERLAP: Duration = Duration::days(365);
/// Life of the server certificate.
const SERVER_LIFE: Duration = Duration::days(90);
/// The server certificate is renewed this long before its end.
const SERVER_RENEWAL: Duration = Duration::days(30);
/// Certificates are valid from a little earlier, for clocks that run behind.
const SKEW: Duration = Duration::hours(1);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate cannot be made or read.
    #[error("the certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take it.
    #[error("the certificate cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// What is stored is not PEM.
    #[error("the stored certificate is not PEM; delete system/tls.json in the store and restart")]
    Pem,
    /// The back end fails.
    #[error("the certificate cannot be kept in the back end: {0}")]
    Backend(#[from] object_store::Error),
    /// The identity cannot be written down.
    #[error("the certificate cannot be written down: {0}")]
    Json(#[from] serde_json::Error),
}

/// A private key as PEM: wiped from memory when dropped, never shown.
#[derive(Clone)]
struct KeyPem(Zeroizing<String>);

impl Serialize for KeyPem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyPem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(deserializer)?)))
    }
}

impl fmt::Debug for KeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPem(hidden)")
    }
}

/// A certificate with its key and its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    certificate: String,
    key: KeyPem,
    /// Seconds since 1970.
    not_after: i64,
}

impl Pair {
    fn ends_within(&self, margin: Duration, now: OffsetDateTime) -> bool {
        self.not_after - now.unix_timestamp() < margin.whole_seconds()
    }
}

/// What `system/tls.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    authority: Pair,
    /// Certificate of the authority before, as long as clients may know only that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_authority: Option<String>,
    names: Vec<String>,
    server: Pair,
}

impl Identity {
    /// Makes authority and server certificate.
    pub fn create(names: &[String], now: OffsetDateTime) -> Result<Self, TlsError> {
        let authority = make_authority(now)?;
        let server = make_server(&authority, names, now)?;
        Ok(Self { authority, previous_authority: None, names: names.to_vec(), server })
    }

    /// The identity that should be used from `now` on; `None` while this one is still right.
    pub fn renewed(&self, names: &[String], now: OffsetDateTime) -> Result<Option<Self>, TlsError> {
        let authority_ends = self.authority.ends_within(AUTHORITY_OVERLAP, now);
        if !authority_ends && !self.server.ends_within(SERVER_RENEWAL, now) && self.names == names {
            return Ok(None);
        }
        let mut next = self.clone();
        if authority_ends {
            next.previous_authority = Some(self.authority.certificate.clone());
            next.authority = make_authority(now)?;
        }
        next.names = names.to_vec();
        next.server = make_server(&next.authority, names, now)?;
        Ok(Some(next))
    }

    /// The PEM that clients trust.
    pub fn ca_pem(&self) -> String {
        let mut pem = self.authority.certificate.clone();
        if let Some(previous) = &self.previous_authority {
            pem.push_str(previous);
        }
        pem
    }

    /// End of the server certificate, seconds since 1970.
    pub fn server_not_after(&self) -> i64 {
        self.server.not_after
    }

    fn certified_key(&self) -> Result<CertifiedKey, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.server.certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(self.server.key.0.as_bytes()).map_err(|_| TlsError::Pem)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Ok(CertifiedKey::from_der(chain.map_err(|_| TlsError::Pem)?, key, &provider)?)
    }
}

/// The names under which the store is reached in its cluster.
pub fn server_names(namespace: &Namespace) -> Vec<String> {
    let ns = namespace.as_str();
    ["", &format!(".{ns}"), &format!(".{ns}.svc"), &format!(".{ns}.svc.cluster.local")]
        .iter()
        .map(|suffix| format!("securityv0-store{suffix}"))
        .collect()
}

fn make_authority(now: OffsetDateTime) -> Result<Pair, TlsError> {
    let key = KeyPair::generate()?;
    let params = authority_params(now);
    let certificate = params.self_signed(&key)?.pem();
    Ok(pair(certificate, &key, params.not_after))
}

/// The same for the authority's own certificate and for what it issues: only the names and the key count there.
fn authority_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "SecurityV0 store authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = now - SKEW;
    params.not_after = now + AUTHORITY_LIFE;
    params
}

fn make_server(authority: &Pair, names: &[String], now: OffsetDateTime) -> Result<Pair, TlsError> {
    let issuer = Issuer::new(authority_params(now), KeyPair::from_pem(&authority.key.0)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "SecurityV0 store");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - SKEW;
    params.not_after = now + SERVER_LIFE;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(pair(certificate, &key, params.not_after))
}

fn pair(certificate: String, key: &KeyPair, not_after: OffsetDateTime) -> Pair {
    let key = KeyPem(Zeroizing::new(key.serialize_pem()));
    Pair { certificate, key, not_after: not_after.unix_timestamp() }
}

/// Reads the identity, or makes and keeps it, or renews it. Gives the one to use.
pub async fn load_or_create(
    store: &dyn ObjectStore,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Identity, TlsError> {
    let Some(stored) = load(store).await? else {
        let fresh = Identity::create(names, now)?;
        return match keep(store, &fresh, PutMode::Create).await {
            Ok(()) => Ok(fresh),
            // Another process was faster: its identity is the one.
            Err(TlsError::Backend(object_store::Error::AlreadyExists { .. })) => {
                load(store).await?.ok_or(TlsError::Pem)
            }
            Err(e) => Err(e),
        };
    };
    match stored.renewed(names, now)? {
        None => Ok(stored),
        Some(next) => {
            keep(store, &next, PutMode::Overwrite).await?;
            Ok(next)
        }
    }
}

async fn load(store: &dyn ObjectStore) -> Result<Option<Identity>, TlsError> {
    match store.get(&Path::from(TLS_KEY)).await {
        Ok(object) => serde_json::from_slice(&object.bytes().await?).map(Some).map_err(|_| TlsError::Pem),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

async fn keep(store: &dyn ObjectStore, identity: &Identity, mode: PutMode) -> Result<(), TlsError> {
    let payload = PutPayload::from_bytes(Bytes::from(serde_json::to_vec(identity)?));
    store.put_opts(&Path::from(TLS_KEY), payload, PutOptions { mode, ..PutOptions::default() }).await?;
    Ok(())
}

/// The certificate in use; can be exchanged while connections are open.
pub struct Current(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(hidden)")
    }
}

impl Current {
    /// Starts with this identity.
    pub fn new(identity: &Identity) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(identity.certified_key()?)))))
    }

    /// New connections see this identity from now on.
    pub fn exchange(&self, identity: &Identity) -> Result<(), TlsError> {
        let key = Arc::new(identity.certified_key()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// The TLS side of a listener: TLS 1.2 and 1.3, HTTP/1.1.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn names() -> Vec<String> {
        server_names(&Namespace::parse("ns").unwrap())
    }

    fn at(days: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + Duration::days(days)
    }

    #[tokio::test]
    async fn a_restart_keeps_the_identity_and_renewal_keeps_the_authority() {
        let store = InMemory::new();
        let first = load_or_create(&store, &names(), at(0)).await.unwrap();
        let again = load_or_create(&store, &names(), at(59)).await.unwrap();
        assert_eq!(first.server.certificate, again.server.certificate);
        let renewed = load_or_create(&store, &names(), at(61)).await.unwrap();
        assert_ne!(first.server.certificate, renewed.server.certificate);
        assert_eq!(first.ca_pem(), renewed.ca_pem());
        assert!(renewed.server_not_after() > first.server_not_after());
    }

    #[test]
    fn other_names_get_another_certificate() {
        let first = Identity::create(&names(), at(0)).unwrap();
        assert!(first.renewed(&names(), at(1)).unwrap().is_none());
        assert!(first.renewed(&["localhost".to_owned()], at(1)).unwrap().is_some());
    }

    #[test]
    fn an_ending_authority_is_published_beside_its_successor() {
        let first = Identity::create(&names(), at(0)).unwrap();
        let next = first.renewed(&names(), at(3650 - 364)).unwrap().unwrap();
        assert_ne!(first.authority.certificate, next.authority.certificate);
        assert!(next.ca_pem().contains(&first.authority.certificate));
        assert!(next.ca_pem().contains(&next.authority.certificate));
    }

    #[test]
    fn keys_are_never_shown() {
        let identity = Identity::create(&names(), at(0)).unwrap();
        assert!(!format!("{identity:?}").contains("PRIVATE KEY"));
    }
}
