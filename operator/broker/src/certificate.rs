//! Sign-in with a certificate: reads key and chain from the mounted Secret, checks that they can be used, and makes
//! client assertions (RFC 7523). The key is wiped after use, is in no answer and no log, and has no printed form.
//!
//! What cannot be used is said before anybody is asked: unreadable, not belonging together, too early, too late.

use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use sv0_connector::Secret;
use sv0_protocol::Reason;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::files;

/// Key of the Secret: the chain in PEM, leaf first, as cert-manager writes it.
const CHAIN_KEY: &str = "tls.crt";
/// Key of the Secret: the RSA key in PEM, PKCS#8 or PKCS#1.
const PRIVATE_KEY: &str = "tls.key";
/// Optional key of the Secret: `PS256` (when absent) or `RS256`, for authorities that know the older form only.
const ALGORITHM_KEY: &str = "algorithm";
/// How long an assertion is good for; ten minutes are the most that Microsoft recommends.
const LIFETIME_SECONDS: i64 = 600;

/// How an assertion is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signing {
    /// RSA-PSS, and the certificate named by its SHA-256.
    Ps256,
    /// RSA PKCS#1 v1.5, and the certificate named by its SHA-1.
    Rs256,
}

/// A certificate with its key, checked and ready to sign.
pub struct ClientCertificate {
    key: RsaKeyPair,
    signing: Signing,
    header: String,
    not_after: Timestamp,
}

impl ClientCertificate {
    /// Reads the mounted Secret. `now` decides whether the certificate is in its time.
    pub fn read(dir: &Path, now: Timestamp) -> Result<Self, Reason> {
        let chain = files::read(&dir.join(CHAIN_KEY)).map_err(absent_or_unreadable)?;
        let key = private_key(&files::read(&dir.join(PRIVATE_KEY)).map_err(absent_or_unreadable)?)?;
        let signing = match files::read(&dir.join(ALGORITHM_KEY)) {
            Ok(text) if text.expose() == "RS256" => Signing::Rs256,
            Ok(text) if text.expose() != "PS256" => return Err(Reason::CertificateUnreadable),
            Ok(_) | Err(_) => Signing::Ps256,
        };
        let leaf = leaf(&chain, key.public_key().as_ref())?;
        let (_, certificate) = X509Certificate::from_der(&leaf).map_err(|_| Reason::CertificateUnreadable)?;
        let not_after = instant(certificate.validity().not_after.timestamp());
        if now < instant(certificate.validity().not_before.timestamp()) {
            return Err(Reason::AssertionTimeInvalid);
        }
        if now >= not_after {
            return Err(Reason::CredentialExpired);
        }
        Ok(Self { key, signing, header: header(signing, &leaf), not_after })
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// One assertion of `client_id` for `audience`. Each has an id of its own, since an id may be used once only.
    pub fn assertion(&self, client_id: &str, audience: &str, now: Timestamp) -> Result<Secret, Reason> {
        let issued = now.as_second();
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": uuid::Uuid::new_v4().to_string(),
            "iat": issued, "nbf": issued, "exp": issued + LIFETIME_SECONDS,
        });
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        match self.signing {
            Signing::Ps256 => self.key.sign(&RSA_PSS_SHA256, &random, token.as_bytes(), &mut signature),
            Signing::Rs256 => self.key.sign(&RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature),
        }
        .map_err(|_| Reason::CertificateUnreadable)?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(&signature));
        Ok(Secret::new(token))
    }
}

fn absent_or_unreadable(reason: Reason) -> Reason {
    if reason == Reason::CredentialMissing { reason } else { Reason::CertificateUnreadable }
}

/// A certificate's time; one beyond what a timestamp can say never ends.
fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn header(signing: Signing, leaf: &[u8]) -> String {
    let named = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, leaf));
    let header = match signing {
        Signing::Ps256 => json!({"alg": "PS256", "typ": "JWT", "x5t#S256": named(&digest::SHA256)}),
        Signing::Rs256 => json!({"alg": "RS256", "typ": "JWT", "x5t": named(&digest::SHA1_FOR_LEGACY_USE_ONLY)}),
    };
    URL_SAFE_NO_PAD.encode(header.to_string())
}

/// The certificate of this key. It is the first of a well-made chain; in one that was put together in another order
/// it is found all the same.
fn leaf(chain: &Secret, public_key: &[u8]) -> Result<CertificateDer<'static>, Reason> {
    for certificate in CertificateDer::pem_slice_iter(chain.expose().as_bytes()) {
        let certificate = certificate.map_err(|_| Reason::CertificateUnreadable)?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| Reason::CertificateUnreadable)?;
        if parsed.public_key().subject_public_key.data.as_ref() == public_key {
            return Ok(certificate);
        }
    }
    Err(Reason::CertificateUnreadable)
}

/// The RSA key of a PEM file. Decoded here, into memory that is wiped: a general PEM reader leaves copies behind.
fn private_key(pem: &Secret) -> Result<RsaKeyPair, Reason> {
    let (label, body) = section(pem.expose()).ok_or(Reason::CertificateUnreadable)?;
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.chars().filter(|letter| !letter.is_ascii_whitespace()));
    let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
    STANDARD.decode_vec(base64.as_bytes(), &mut der).map_err(|_| Reason::CertificateUnreadable)?;
    let key = if label == "PRIVATE KEY" { RsaKeyPair::from_pkcs8(&der) } else { RsaKeyPair::from_der(&der) };
    key.map_err(|_| Reason::CertificateUnreadable)
}

/// The first section of a PEM text that is an RSA key in the clear.
fn section(pem: &str) -> Option<(&'static str, &str)> {
    ["PRIVATE KEY", "RSA PRIVATE KEY"].into_iter().find_map(|label| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        Some((label, body))
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_RSA_SHA256};
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::testing::Pair;

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[rstest]
    #[case(None, "PS256", "x5t#S256")]
    #[case(Some("PS256\n"), "PS256", "x5t#S256")]
    #[case(Some("RS256\n"), "RS256", "x5t")]
    fn an_assertion_is_signed_by_the_key_and_names_the_certificate(
        #[case] algorithm: Option<&str>,
        #[case] expected: &str,
        #[case] field: &str,
    ) {
        let pair = Pair::new(2025, 2027);
        let dir = pair.mounted("t");
        if let Some(text) = algorithm {
            std::fs::write(dir.path().join(ALGORITHM_KEY), text).unwrap();
        }
        let certificate = ClientCertificate::read(dir.path(), now()).ok().unwrap();
        let token = certificate.assertion("client", "https://authority.example/t", now()).ok().unwrap();
        let parts: Vec<&str> = token.expose().split('.').collect();
        let header = decoded(parts[0]);
        assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some(expected), Some("JWT")));
        let sum = if field == "x5t" { &digest::SHA1_FOR_LEGACY_USE_ONLY } else { &digest::SHA256 };
        assert_eq!(header[field], URL_SAFE_NO_PAD.encode(digest::digest(sum, &pair.der)));
        assert_eq!(header.as_object().unwrap().len(), 3, "nothing else is said: {header}");
        let claims = decoded(parts[1]);
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("client"), Some("client")));
        assert_eq!(claims["aud"], "https://authority.example/t");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 600);
        assert_eq!(claims["iat"], now().as_second());
        let signed = format!("{}.{}", parts[0], parts[1]);
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&pair.der).unwrap();
        let public = parsed.public_key().subject_public_key.data.to_vec();
        let good = match expected {
            "PS256" => UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &public).verify(signed.as_bytes(), &signature),
            _ => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public).verify(signed.as_bytes(), &signature),
        };
        assert!(good.is_ok());
        let again = certificate.assertion("client", "https://authority.example/t", now()).ok().unwrap();
        let again = decoded(again.expose().split('.').nth(1).unwrap());
        assert_ne!(again["jti"], claims["jti"], "an id is used once");
    }

    #[test]
    fn times_are_checked_before_anybody_is_asked() {
        for (from, until, reason) in
            [(2020, 2026, Some(Reason::CredentialExpired)), (2027, 2028, Some(Reason::AssertionTimeInvalid))]
        {
            let dir = Pair::new(from, until).mounted("t");
            assert_eq!(ClientCertificate::read(dir.path(), now()).err(), reason);
        }
        let endless = Pair::new(2020, 9999).mounted("t");
        assert!(ClientCertificate::read(endless.path(), now()).is_ok_and(|read| read.not_after() > now()));
    }

    #[test]
    fn what_cannot_be_used_has_its_reason() {
        let (pair, other) = (Pair::new(2025, 2027), Pair::new(2025, 2027));
        let elliptic = KeyPair::generate().unwrap().serialize_pem();
        let encrypted = pair.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let cut: String = pair.key_pem.lines().take(9).collect::<Vec<_>>().join("\n");
        let torn = pair.cert_pem.replacen("MII", "MIJ", 1);
        let unreadable = [
            ("tls.key", other.key_pem.as_str()),
            ("tls.key", elliptic.as_str()),
            ("tls.key", encrypted.as_str()),
            ("tls.key", cut.as_str()),
            ("tls.key", "-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----"),
            ("tls.key", pair.cert_pem.as_str()),
            ("tls.crt", other.cert_pem.as_str()),
            ("tls.crt", "no certificate"),
            ("tls.crt", torn.as_str()),
            ("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("algorithm", "HS256"),
            ("algorithm", "none"),
        ];
        for (file, content) in unreadable {
            let dir = pair.mounted("t");
            std::fs::write(dir.path().join(file), content).unwrap();
            let reason = ClientCertificate::read(dir.path(), now()).err();
            assert_eq!(reason, Some(Reason::CertificateUnreadable), "{file}: {content}");
        }
        for file in ["tls.key", "tls.crt"] {
            let dir = pair.mounted("t");
            std::fs::remove_file(dir.path().join(file)).unwrap();
            assert_eq!(ClientCertificate::read(dir.path(), now()).err(), Some(Reason::CredentialMissing));
            std::fs::write(dir.path().join(file), [0xff, 0xfe]).unwrap();
            assert_eq!(ClientCertificate::read(dir.path(), now()).err(), Some(Reason::CertificateUnreadable));
        }
    }

    #[test]
    fn the_keys_own_certificate_is_found_in_a_chain_of_any_order() {
        let authority = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&authority).unwrap();
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let leaf = CertificateParams::new(vec!["scan.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(params, authority)).unwrap();
        let pair = Pair::new(2025, 2027);
        for chain in [format!("{}{}", leaf.pem(), root.pem()), format!("{}{}", root.pem(), leaf.pem())] {
            let dir = pair.mounted("t");
            std::fs::write(dir.path().join("tls.key"), key.serialize_pem()).unwrap();
            std::fs::write(dir.path().join("tls.crt"), chain).unwrap();
            let read = ClientCertificate::read(dir.path(), now()).ok().unwrap();
            assert_eq!(read.header, header(Signing::Ps256, leaf.der()));
        }
    }

    #[test]
    fn a_key_in_the_older_form_is_the_same_key() {
        let pair = Pair::new(2025, 2027);
        let dir = pair.mounted("t");
        // The older form is the innermost octet string of the newer one.
        let der = STANDARD.decode(section(&pair.key_pem).unwrap().1.replace('\n', "")).unwrap();
        let at =
            der.windows(4).skip(1).position(|four| four[0] == 0x30 && four[1] == 0x82 && four[2] == 0x04).unwrap() + 1;
        let older = STANDARD.encode(&der[at..]);
        let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{older}\n-----END RSA PRIVATE KEY-----\n");
        std::fs::write(dir.path().join("tls.key"), pem).unwrap();
        assert!(ClientCertificate::read(dir.path(), now()).is_ok());
    }

    /// The kubelet mounts a Secret as links into a directory that it replaces as a whole.
    #[test]
    fn links_are_followed_and_a_rotated_secret_is_read_anew() {
        let (old, new) = (Pair::new(2025, 2027), Pair::new(2025, 2027));
        let (first, second) = (old.mounted("t"), new.mounted("t"));
        let mount = tempfile::tempdir().unwrap();
        let data = mount.path().join("..data");
        std::os::unix::fs::symlink(first.path(), &data).unwrap();
        for file in ["tls.crt", "tls.key", "target"] {
            std::os::unix::fs::symlink(Path::new("..data").join(file), mount.path().join(file)).unwrap();
        }
        let read = ClientCertificate::read(mount.path(), now()).ok().unwrap();
        assert_eq!(read.header, header(Signing::Ps256, &old.der));
        std::fs::remove_file(&data).unwrap();
        std::os::unix::fs::symlink(second.path(), &data).unwrap();
        let read = ClientCertificate::read(mount.path(), now()).ok().unwrap();
        assert_eq!(read.header, header(Signing::Ps256, &new.der));
    }
}
