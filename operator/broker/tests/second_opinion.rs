//! A second opinion on our client assertions: an authorisation server of other people's making (npm `oidc-provider`) takes
//! them, and takes none that was tampered with. Where there is no Node.js, the test says so and does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan as _};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use support::{CLIENT, NoPause, TENANT, broker, config};
use sv0_broker::{ClientCertificate, Credential};
use sv0_connector::{TokenSource as _, install_crypto_provider};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const OLDER: &str = "cccccccc-0000-4000-8000-000000000002";

/// Where downloaded things are kept between runs.
fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/securityv0");
    std::env::var_os("SECURITYV0_CACHE").map_or_else(home, PathBuf::from)
}

/// The verifier's program with its packages; made once, marked when complete.
async fn program() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier");
    let files = ["package.json", "package-lock.json", "verifier.mjs"];
    let content: Vec<u8> = files.iter().flat_map(|file| std::fs::read(source.join(file)).unwrap()).collect();
    let sum: Vec<String> =
        digest::digest(&digest::SHA256, &content).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let place = cache().join(format!("verifier-{}", sum.concat()));
    if place.join(".complete").exists() {
        return Some(place.join("verifier.mjs"));
    }
    if Command::new("node").arg("--version").output().await.is_err()
        || Command::new("npm").arg("--version").output().await.is_err()
    {
        println!("skipped: there is no Node.js with npm on this machine");
        return None;
    }
    std::fs::create_dir_all(&place).unwrap();
    for file in files {
        std::fs::copy(source.join(file), place.join(file)).unwrap();
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(&place);
    let installed = install.status().await.unwrap();
    assert!(installed.success(), "npm ci failed: the package registry must be reachable once");
    std::fs::write(place.join(".complete"), "").unwrap();
    Some(place.join("verifier.mjs"))
}

struct Pair {
    certificate: String,
    mounted: tempfile::TempDir,
}

fn pair(algorithm: &str) -> Pair {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let certificate = CertificateParams::new(vec!["scan.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let mounted = tempfile::tempdir().unwrap();
    for (file, content) in
        [("target", TENANT), ("tls.crt", &certificate), ("tls.key", &key.serialize_pem()), ("algorithm", algorithm)]
    {
        std::fs::write(mounted.path().join(file), content).unwrap();
    }
    Pair { certificate, mounted }
}

impl Pair {
    fn assertion(&self, client: &str, audience: &str, now: Timestamp) -> String {
        let read = ClientCertificate::read(self.mounted.path(), Timestamp::now()).ok().unwrap();
        read.assertion(client, audience, now).ok().unwrap().expose().to_owned()
    }
}

/// Starts the verifier; gives its port.
async fn start(program: &Path, clients: &Value) -> (Child, u16) {
    let mut child = Command::new("node")
        .arg(program)
        .env("CLIENTS", clients.to_string())
        .env("TOKEN_PATH", format!("/{TENANT}/oauth2/v2.0/token"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Ok(port) = line.trim().parse() {
            return (child, port);
        }
    }
    panic!("the verifier ended before it listened")
}

/// The verifier's status and word for an assertion.
async fn verdict(address: &str, client: &str, assertion: &str) -> (u16, Option<String>) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", client)
        .append_pair("scope", "https://graph.microsoft.com/.default")
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        .append_pair("client_assertion", assertion)
        .finish();
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(address);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"].as_str().map(str::to_owned))
}

/// An assertion with another claim, under the old signature.
fn with_claim(assertion: &str, name: &str, value: &Value) -> String {
    let parts: Vec<&str> = assertion.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims[name] = value.clone();
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
}

#[tokio::test]
async fn an_independent_server_takes_our_assertions_and_none_that_was_tampered_with() {
    install_crypto_provider();
    let Some(program) = program().await else { return };
    let (ours, older, stranger) = (pair("PS256"), pair("RS256"), pair("PS256"));
    let clients = json!([
        {"id": CLIENT, "algorithm": "PS256", "certificate": ours.certificate},
        {"id": OLDER, "algorithm": "RS256", "certificate": older.certificate},
    ]);
    let (_child, port) = start(&program, &clients).await;
    for (pair, client) in [(&ours, CLIENT), (&older, OLDER), (&ours, CLIENT)] {
        let credential = Credential::ClientCertificate { dir: pair.mounted.path().to_owned() };
        let mut config = config(port, credential);
        config.client_id = client.to_owned();
        let broker = broker(config, NoPause::default()).unwrap();
        assert!(broker.token().await.is_ok_and(|token| !token.is_empty()), "{client}: {:?}", broker.failure());
        assert_eq!(broker.token_requests(), 1);
    }

    let address = format!("http://127.0.0.1:{port}/{TENANT}/oauth2/v2.0/token");
    let now = Timestamp::now();
    let good = || ours.assertion(CLIENT, &address, now);
    let once = good();
    assert_eq!(verdict(&address, CLIENT, &once).await, (200, None));
    let (signed, signature) = once.rsplit_once('.').unwrap();
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[7] ^= 1;
    let hours_ago = now.checked_sub(2.hours()).unwrap();
    let hours_ahead = now.checked_add(2.hours()).unwrap();
    let refused = [
        ("replayed", once.clone()),
        ("signature", format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&flipped))),
        ("no signature", format!("{signed}.")),
        ("claim", with_claim(&good(), "exp", &json!(now.as_second() + 9000))),
        ("id", with_claim(&good(), "jti", &json!("another"))),
        ("another key", stranger.assertion(CLIENT, &address, now)),
        ("another algorithm", older.assertion(CLIENT, &address, now)),
        ("another audience", ours.assertion(CLIENT, "https://login.microsoftonline.com/t/oauth2/v2.0/token", now)),
        ("over", ours.assertion(CLIENT, &address, hours_ago)),
        ("too early", ours.assertion(CLIENT, &address, hours_ahead)),
    ];
    for (what, assertion) in refused {
        let (status, word) = verdict(&address, CLIENT, &assertion).await;
        assert_eq!((status, word.as_deref()), (401, Some("invalid_client")), "{what}");
    }
    let (status, _) = verdict(&address, CLIENT, &ours.assertion(OLDER, &address, now)).await;
    assert_eq!(status, 400, "the form names another client than the assertion");
    assert_eq!(verdict(&address, CLIENT, &good()).await, (200, None), "a good one is taken still");
}
