//! A certificate with its key, made for tests.

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use tempfile::TempDir;

pub(crate) struct Pair {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
}

impl Pair {
    /// Good from the start of one year to the start of another.
    pub(crate) fn new(from: i32, until: i32) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["scan.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let cert = params.self_signed(&key).unwrap();
        Self { cert_pem: cert.pem(), key_pem: key.serialize_pem(), der: cert.der().to_vec() }
    }

    /// As a mounted Secret for `target`.
    pub(crate) fn mounted(&self, target: &str) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("target"), format!("{target}\n")).unwrap();
        std::fs::write(dir.path().join("tls.crt"), &self.cert_pem).unwrap();
        std::fs::write(dir.path().join("tls.key"), &self.key_pem).unwrap();
        dir
    }
}
