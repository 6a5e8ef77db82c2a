//! Certificates registered on an application, and whether the key of one of them signed a client assertion.
//!
//! Takes PEM from the estate file and assertions as they come; gives the verdict in the vendor's terms. Pure.

use aws_lc_rs::digest::{self, Algorithm as Sum};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::issuers::{Life, signature_only};

/// Why an assertion is not one of the certificate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another key signed it.
    Signature,
    /// It is not yet or no longer valid.
    Time,
}

/// A certificate: its DER bytes and its public key.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    pub(crate) fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?.to_vec();
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let public_key = parsed.public_key().subject_public_key.data.to_vec();
        Some(Self { der, public_key })
    }

    /// The thumbprint as the vendor shows it: SHA-1 in upper-case hex.
    pub(crate) fn thumbprint(&self) -> String {
        hex::encode_upper(sum(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der))
    }

    /// Whether an assertion's header names this certificate.
    pub(crate) fn is_named_by(&self, header: &Header) -> bool {
        match (&header.x5t_s256, &header.x5t, header.x5c.as_ref().and_then(|chain| chain.first())) {
            (Some(named), _, _) => unpadded(named) == URL_SAFE_NO_PAD.encode(sum(&digest::SHA256, &self.der)),
            (None, Some(named), _) => {
                unpadded(named) == URL_SAFE_NO_PAD.encode(sum(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der))
            }
            (None, None, Some(leaf)) => STANDARD.decode(leaf).is_ok_and(|leaf| leaf == self.der),
            (None, None, None) => false,
        }
    }

    /// Whether this certificate's key signed an assertion that holds by the clock `now`.
    pub(crate) fn verify(&self, assertion: &str, algorithm: Algorithm, now: Timestamp) -> Result<(), Fault> {
        if !matches!(algorithm, Algorithm::PS256 | Algorithm::RS256) {
            return Err(Fault::Signature);
        }
        let key = DecodingKey::from_rsa_der(&self.public_key);
        let life =
            jsonwebtoken::decode::<Life>(assertion, &key, &signature_only(algorithm)).map_err(|_| Fault::Signature)?;
        if life.claims.holds_at(now) { Ok(()) } else { Err(Fault::Time) }
    }
}

/// The thumbprint that a header names, as the vendor's errors show it.
pub(crate) fn named(header: &Header) -> String {
    let text = header.x5t_s256.as_ref().or(header.x5t.as_ref());
    text.and_then(|text| URL_SAFE_NO_PAD.decode(unpadded(text)).ok()).map(hex::encode_upper).unwrap_or_default()
}

fn sum(algorithm: &'static Sum, bytes: &[u8]) -> digest::Digest {
    digest::digest(algorithm, bytes)
}

/// The vendor's own libraries pad, although the standard says not to.
fn unpadded(text: &str) -> &str {
    text.trim_end_matches('=')
}
