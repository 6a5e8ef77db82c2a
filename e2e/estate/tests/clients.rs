//! The vendor's own clients, as published, against the simulated vendor.
//!
//! They speak to port 443, so the server listens on a loopback address of its own there. Where that is not allowed, or
//! Python cannot be had, the test says so and does nothing. Clients are installed once per requirements file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use common::{ALL, AUDIENCE, CLIENT, ISSUER, SECRET, SUBJECT, TENANT, World};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sv0_estate::keys::SigningKey;
use sv0_estate::server::StartError;
use tokio::process::Command;

/// Extra applications, so that lists have several pages.
const EXTRA: usize = 250;

/// Client id of the managed identity.
const IDENTITY: &str = "99999999-7777-4555-8333-111111111111";

/// A certificate, and one PEM text with it and its key, as the vendor's library wants it.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec!["scan.example".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let both = format!("{}{pem}", key.serialize_pem());
    (pem, both)
}

/// A loopback address for one test, that other runs on this machine hardly use.
fn loopback(test: u8) -> SocketAddr {
    let [high, low] = u16::try_from(std::process::id() % 0xffff).unwrap_or(1).to_be_bytes();
    SocketAddr::from(([127, 83 + test, high, low.max(1)], 443))
}

async fn world(test: u8, certificate: &str) -> Option<World> {
    let issuer = SigningKey::generate().unwrap();
    let registered = format!(
        "    keyCredentials: [{{start: now-1d, end: now+90d, certificatePem: {}}}]\n    servicePrincipal: {{graphPermissions: [{ALL}]}}\n",
        json!(certificate)
    );
    let file = common::small(&issuer, ALL, EXTRA).replacen(
        &format!("    servicePrincipal: {{graphPermissions: [{ALL}]}}\n"),
        &registered,
        1,
    ) + &format!(
        "servicePrincipals:\n  - {{key: uami, appId: {IDENTITY}, displayName: id, servicePrincipalType: ManagedIdentity, graphPermissions: [{ALL}]}}\n"
    );
    match common::serve(&file, issuer, loopback(test)).await {
        Ok(world) => Some(world),
        Err(StartError::Listen { address, source }) => {
            println!("skipped: the official clients need port 443, and {address} cannot be had: {source}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Where downloaded things are kept between runs.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/securityv0");
    std::env::var_os("SECURITYV0_CACHE").map_or_else(home, PathBuf::from)
}

/// A Python with the requirements of one file; made once, marked when complete.
async fn python(requirements: &Path) -> Option<PathBuf> {
    let digest = hex::encode(Sha256::digest(std::fs::read(requirements).unwrap()));
    let place = cache().join(format!("python-{}", &digest[..16]));
    let (program, complete) = (place.join("bin/python"), place.join(".complete"));
    if complete.exists() {
        return Some(program);
    }
    if Command::new("python3").arg("--version").output().await.is_err() {
        println!("skipped: there is no python3 on this machine");
        return None;
    }
    std::fs::create_dir_all(&place).unwrap();
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place).status().await.unwrap();
    assert!(made.success(), "python3 -m venv failed: install the venv module of python3");
    let mut pip = Command::new(&program);
    let installed =
        pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements).status().await.unwrap();
    assert!(installed.success(), "pip install failed: the package index must be reachable once");
    std::fs::write(&complete, "").unwrap();
    Some(program)
}

/// Runs one of the programs of `clients/` and gives what it printed.
async fn run(world: &World, script: &str, requirements: &str, certificate: &str) -> Option<Value> {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let program = python(&clients.join(requirements)).await?;
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.crt");
    std::fs::write(&ca, world.server.ca_pem()).unwrap();
    let (own, other) = (directory.path().join("own.pem"), directory.path().join("other.pem"));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&other, self::certificate().1).unwrap();
    let metadata = world.server.metadata.unwrap();
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "nbf": now - 5, "exp": now + 3000});
    let output = Command::new(program)
        .arg("-B")
        .arg(clients.join(script))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory.path())
        .env("REQUESTS_CA_BUNDLE", &ca)
        .env("SSL_CERT_FILE", &ca)
        .env("ESTATE_ADDRESS", world.server.address.ip().to_string())
        .env("ESTATE_CERTIFICATE", &own)
        .env("ESTATE_OTHER_CERTIFICATE", &other)
        .env("ESTATE_IDENTITY", IDENTITY)
        .env("ESTATE_METADATA", metadata.ip().to_string())
        .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{metadata}"))
        .env("ESTATE_TENANT", TENANT)
        .env("ESTATE_CLIENT", CLIENT)
        .env("ESTATE_SECRET", SECRET)
        .env("ESTATE_ASSERTION", world.issuer.sign(&claims).unwrap())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed:\n{errors}");
    Some(serde_json::from_slice(&output.stdout).expect("one JSON object"))
}

#[tokio::test]
async fn azure_identity_and_requests() {
    let (certificate, with_key) = certificate();
    let Some(world) = world(0, &certificate).await else { return };
    let Some(seen) = run(&world, "official.py", "requirements.txt", &with_key).await else { return };
    let expected = json!({
        "organisation": TENANT, "applications": 3 + EXTRA, "applicationPages": 1, "servicePrincipals": 5, "owners": 20,
        "batch": [200], "batchParts": 20, "wrongSecret": "AADSTS7000215", "wrongAssertion": "AADSTS50027",
        "byCertificate": TENANT, "byChain": TENANT, "byManagedIdentity": TENANT, "wrongCertificate": "AADSTS700027",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[key], value, "{key} in {seen}");
    }
    assert!(seen["wrongTenant"].as_str().unwrap() != "accepted", "{seen}");
    assert_eq!(world.server.counters().write_attempts, 0);
}

/// Half a gigabyte of packages: only where it is asked for.
#[tokio::test]
async fn microsoft_graph_sdk() {
    if std::env::var_os("SECURITYV0_GRAPH_SDK").is_none() {
        println!("skipped: set SECURITYV0_GRAPH_SDK=1 to install and run msgraph-sdk (470 MB)");
        return;
    }
    let (certificate, with_key) = certificate();
    let Some(world) = world(1, &certificate).await else { return };
    let Some(seen) = run(&world, "sdk.py", "requirements-sdk.txt", &with_key).await else { return };
    let expected = json!({
        "organisation": TENANT, "applications": 3 + EXTRA, "applicationPages": 3, "servicePrincipals": 5, "owners": 23,
    });
    assert_eq!(seen, expected);
}
