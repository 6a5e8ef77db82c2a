//! A stand-in for the authority that answers whatever it is told to, and a broker that asks it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use sv0_broker::microsoft::Endpoints;
use sv0_broker::{Credential, EntraBroker, EntraConfig, Surroundings};
use sv0_connector::{NetworkPolicy, Pause, TokenError, TokenSource as _, install_crypto_provider};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const CLIENT: &str = "cccccccc-0000-4000-8000-000000000001";

/// What the stand-in answers.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) retry_after: &'static str,
    pub(crate) encoding: &'static str,
    /// The line breaks before the body is whole.
    pub(crate) cut: bool,
}

pub(crate) struct Authority {
    port: u16,
    answer: Mutex<Answer>,
    asked: AtomicU64,
    astray: AtomicU64,
}

impl Authority {
    pub(crate) async fn start() -> Arc<Self> {
        install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let this =
            Arc::new(Self { port, answer: Mutex::default(), asked: AtomicU64::new(0), astray: AtomicU64::new(0) });
        let authority = Arc::clone(&this);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&authority)));
            }
        });
        this
    }

    /// Requests that came where a redirect led.
    pub(crate) fn led_astray(&self) -> u64 {
        self.astray.load(Ordering::SeqCst)
    }
}

/// Written by hand: an HTTP library would not send what a broken server sends.
async fn serve(mut stream: TcpStream, authority: Arc<Authority>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut form = vec![0; length];
    stream.read_exact(&mut form).await.unwrap();
    let counter = if head.starts_with("post /elsewhere") || head.starts_with("get ") {
        &authority.astray
    } else {
        &authority.asked
    };
    counter.fetch_add(1, Ordering::SeqCst);
    let answer = authority.answer.lock().unwrap().clone();
    let mut lines = vec![format!("HTTP/1.1 {} X", answer.status), "connection: close".to_owned()];
    if answer.status != 204 {
        lines.push(format!("content-length: {}", answer.body.len()));
    }
    if (300..400).contains(&answer.status) {
        lines.push(format!("location: http://127.0.0.1:{}/elsewhere", authority.port));
    }
    let optional = [
        ("content-type", answer.content_type),
        ("retry-after", answer.retry_after),
        ("content-encoding", answer.encoding),
    ];
    lines
        .extend(optional.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}")));
    let reply = lines.join("\r\n") + "\r\n\r\n";
    let body = if answer.cut { &answer.body[..answer.body.len() / 2] } else { &answer.body[..] };
    // The other side hangs up on a body that is too long.
    drop(stream.write_all(reply.as_bytes()).await);
    drop(stream.write_all(body).await);
}

/// Notes how long it was asked to wait and does not wait.
#[derive(Clone, Default)]
pub(crate) struct NoPause(pub(crate) Arc<Mutex<Vec<u64>>>);

impl Pause for NoPause {
    fn pause(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(time.as_secs());
        Box::pin(async {})
    }
}

/// What became of one attempt to sign in.
pub(crate) struct Seen {
    pub(crate) result: Result<String, TokenError>,
    /// Requests that arrived.
    pub(crate) asked: u64,
    /// Requests that the broker counted.
    pub(crate) counted: u64,
    /// Seconds waited between them.
    pub(crate) waits: Vec<u64>,
}

/// The configuration of a sign-in at a stand-in on loopback.
pub(crate) fn config(port: u16, credential: Credential) -> EntraConfig {
    EntraConfig {
        tenant_id: TENANT.into(),
        client_id: CLIENT.into(),
        endpoints: Endpoints::loopback(port).unwrap(),
        credential,
        surroundings: Surroundings::default(),
        allow_metadata_endpoint: false,
        now: Timestamp::now,
    }
}

/// A broker that may speak to loopback.
pub(crate) fn broker(config: EntraConfig, pause: NoPause) -> Result<EntraBroker, TokenError> {
    let network = NetworkPolicy { private_hosts: vec!["127.0.0.1".into()], ..NetworkPolicy::default() };
    EntraBroker::new(config, &network, Arc::new(pause))
}

/// Signs in once while the authority answers so.
pub(crate) async fn ask(authority: &Authority, answer: Answer) -> Seen {
    *authority.answer.lock().unwrap() = answer;
    let before = authority.asked.load(Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let pause = NoPause::default();
    let broker = broker(config(authority.port, Credential::WorkloadIdentity { token }), pause.clone()).unwrap();
    let result = broker.token().await.map(|token| token.expose().to_owned());
    let waits = pause.0.lock().unwrap().clone();
    let asked = authority.asked.load(Ordering::SeqCst) - before;
    Seen { result, asked, counted: broker.token_requests(), waits }
}
