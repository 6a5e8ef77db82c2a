//! What a scan must not let out: nothing of the source system in logs and reports, secrets nowhere. A program of its
//! own, since a log is caught for a whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code)] // shared with the other tests
mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use support::{CANARY, Faults, Microsoft, NEVER, SECRET, Scene, TENANT, aadsts, id};
use sv0_scan::{run, to_message};

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Scans with a certificate, which the stand-in refuses, and with one that cannot be used; gives the key.
async fn signed_in_with_a_certificate() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["scan.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let microsoft = Microsoft::start().await;
    for chain in [certificate.pem(), key.serialize_pem()] {
        let mut scene = Scene::new(&microsoft);
        scene.request.auth = sv0_protocol::Auth::ClientCertificate;
        std::fs::write(scene.dir.path().join("tls.crt"), chain).unwrap();
        std::fs::write(scene.dir.path().join("tls.key"), key.serialize_pem()).unwrap();
        let report = Box::pin(run(&scene.request, &scene.ports())).await;
        assert!(report.reason.is_some() && !to_message(&report).contains("eyJ"));
    }
    assert_eq!(*microsoft.tokens.lock().unwrap(), 1, "one assertion was made and sent");
    key.serialize_pem()
}

#[tokio::test]
async fn names_and_addresses_are_in_no_log_and_secrets_nowhere() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter("info").with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut snapshots = Vec::new();
    let all = [
        Faults::default(),
        Faults { deny: vec!["/applications", "/users"], ..Faults::default() },
        Faults { token: Some((401, aadsts(7_000_215, "invalid_client"))), ..Faults::default() },
        Faults { throttle: 1000, ..Faults::default() },
    ];
    for faults in all {
        let microsoft = Microsoft::start().await;
        microsoft.set(faults);
        let scene = Scene::new(&microsoft);
        let report = Box::pin(run(&scene.request, &scene.ports())).await;
        let message = to_message(&report);
        assert!(!message.contains(CANARY) && !message.contains(NEVER), "{message}");
        if scene.kept.manifest.lock().unwrap().is_some() {
            snapshots.push(format!("{:?}", scene.kept.snapshot()));
        }
    }
    let key = signed_in_with_a_certificate().await;
    let snapshots = snapshots.concat();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("scan ended") && log.contains("CredentialInvalid"), "the log works: {log}");
    for identifier in [CANARY, NEVER, SECRET, TENANT, "token-1", &id('a', 1), &id('b', 9), "example.com"] {
        assert!(!log.contains(identifier), "{identifier} in {log}");
    }
    // How every assertion begins, and every line of the key.
    assert!(!log.contains("eyJ"), "an assertion in {log}");
    assert!(key.lines().all(|line| !log.contains(line)), "the key in {log}");
    assert!(snapshots.contains(CANARY), "names are kept as evidence");
    for secret in [SECRET, NEVER, "token-1"] {
        assert!(!snapshots.contains(secret), "{secret} in a snapshot");
    }
}
