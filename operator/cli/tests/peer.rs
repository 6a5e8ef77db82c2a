//! The consent's sign-in against an `OpenID` provider that is not ours (npm `oidc-provider`): it issues the code, checks
//! the verifier, signs the token. Where Node cannot be had, the test says so and does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use sha2::{Digest as _, Sha256};
use sv0_cli::clouds::{Endpoints, Network};
use sv0_cli::consent::flow::{Flow, Outcome, Refusal, Settings};
use url::Url;

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
const MEMBER: &str = "b79fbf4d-3ef9-4689-8143-76b194e85509";

/// The provider; ends when dropped, because its standard input does.
struct Peer {
    process: Child,
    /// Open as long as it runs: it ends when it cannot write its notices.
    _output: BufReader<ChildStdout>,
    origin: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// A directory with the provider installed; made once, marked when complete.
fn installed() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer");
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !runs("node") || !runs("npm") {
        println!("skipped: there is no node with npm on this machine");
        return None;
    }
    let package = std::fs::read(source.join("package.json")).unwrap();
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/securityv0");
    let cache = std::env::var_os("SECURITYV0_CACHE").map_or_else(home, PathBuf::from);
    let place = cache.join(format!("node-{:x}", Sha256::digest(&package)));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::copy(source.join("op.mjs"), place.join("op.mjs")).unwrap();
    if !place.join(".complete").exists() {
        std::fs::write(place.join("package.json"), package).unwrap();
        let npm = Command::new("npm").args(["install", "--silent", "--no-audit"]).current_dir(&place).status().unwrap();
        assert!(npm.success(), "npm install failed: the package index must be reachable once");
        std::fs::write(place.join(".complete"), "").unwrap();
    }
    Some(place)
}

fn start(place: &Path, role: &str) -> Peer {
    let mut process = Command::new("node")
        .arg("op.mjs")
        .current_dir(place)
        .envs([("TENANT", TENANT), ("CLIENT", CLIENT), ("ROLE", role)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let origin = output.by_ref().lines().map(Result::unwrap).find(|line| line.starts_with("http://"));
    Peer { process, _output: output, origin: origin.expect("the provider listens") }
}

fn flow(peer: &Peer) -> Flow {
    let network = Network { private_hosts: vec!["127.0.0.1".to_owned()], ..Network::default() };
    Flow::new(Settings {
        client_id: CLIENT.parse().unwrap(),
        tenant: None,
        endpoints: Endpoints { authority: peer.origin.clone(), graph: peer.origin.clone(), network },
        redirect: "http://localhost:1/sv0-consent".to_owned(),
        accept_unproven_role: false,
        clock: || jiff::Timestamp::now().as_second(),
    })
}

/// Follows redirects with cookies, as a browser does, until they lead to our loopback address; gives its query.
async fn browse(mut url: Url) -> String {
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut cookies = BTreeMap::new();
    for _ in 0..10 {
        if url.host_str() == Some("localhost") {
            return url.query().unwrap().to_owned();
        }
        let sent: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = browser.get(url.clone()).header("cookie", sent.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = cookie.split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let Some(next) = answer.headers().get("location").map(|next| next.to_str().unwrap().to_owned()) else {
            panic!("{url} answered {}: {}", answer.status(), answer.text().await.unwrap());
        };
        url = url.join(&next).unwrap();
    }
    panic!("the redirects do not end");
}

/// From the consent, which this provider has no page for, to the answer of its sign-in.
async fn signed_in(flow: &Flow) -> String {
    let consent = flow.consent_url().unwrap();
    let (_, state) = consent.query_pairs().find(|(name, _)| name == "state").unwrap();
    let answer = flow.callback(&format!("admin_consent=True&tenant={TENANT}&state={state}")).await;
    let Outcome::Redirect(url) = answer else { panic!("{answer:?}") };
    browse(url).await
}

#[tokio::test]
async fn a_provider_that_is_not_ours_agrees() {
    sv0_connector::install_crypto_provider();
    let Some(place) = installed() else { return };
    let peer = start(&place, GLOBAL_ADMINISTRATOR);
    let (first, second) = (flow(&peer), flow(&peer));
    let query = signed_in(&first).await;
    let outcome = first.callback(&query).await;
    let Outcome::Proven(proof) = outcome else { panic!("{outcome:?}") };
    assert_eq!((proof.tenant.as_str(), proof.role_proven), (TENANT, true));
    // The code of the one in the answer of the other: used already, and with another challenge.
    let parameter = |query: &str, wanted: &str| {
        let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
        pairs.into_iter().find(|(name, _)| name == wanted).unwrap().1
    };
    let state = parameter(&signed_in(&second).await, "state");
    let mixed = second.callback(&format!("code={}&state={state}", parameter(&query, "code"))).await;
    assert!(matches!(&mixed, Outcome::Refused(Refusal::Error(said)) if said == "invalid_grant"), "{mixed:?}");
}

#[tokio::test]
async fn a_member_who_signs_in_proves_nothing() {
    sv0_connector::install_crypto_provider();
    let Some(place) = installed() else { return };
    let peer = start(&place, MEMBER);
    let flow = flow(&peer);
    let query = signed_in(&flow).await;
    let outcome = flow.callback(&query).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::NotAnAdministrator)), "{outcome:?}");
}
