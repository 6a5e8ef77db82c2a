//! The simulated tenant under the vendor's own host names, behind a proxy that leads those names to loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sv0_connector::Exchanges;
use sv0_estate::estate::Estate;
use sv0_estate::server::{self, Options, Running};
use sv0_estate::tls::Authority;
use sv0_protocol::{Limits, MicrosoftCloud, ScanReport, ScanRequest, Source};
use sv0_scan::{Ports, Surroundings, run_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::{Kept, NoPause, request};

pub(crate) const DEMO: &str = include_str!("../../../../e2e/estate/estates/demo.yaml");
pub(crate) const SECRET: &str = "demo-only-not-a-secret";
pub(crate) const FULL: &str = include_str!("../../../../e2e/estate/estates/full.yaml");
pub(crate) const FULL_SECRET: &str = "full-only-not-a-secret";

pub(crate) struct World {
    pub(crate) server: Running,
    proxy: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    pub(crate) tenant: String,
    pub(crate) client: String,
    clock: fn() -> Timestamp,
}

/// An outbound proxy that leads every name to one place and notes the names.
async fn proxy(to: SocketAddr, names: Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, to, Arc::clone(&names)));
        }
    });
    address
}

async fn tunnel(mut client: TcpStream, to: SocketAddr, names: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let name = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    names.lock().unwrap().push(name);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut server = TcpStream::connect(to).await.unwrap();
    // Either side may leave first.
    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
}

impl World {
    pub(crate) async fn start(text: &str) -> Self {
        Self::start_by(text, Timestamp::now).await
    }

    /// The same by another clock. For one that stands still the estate's file must name the same instant, too.
    pub(crate) async fn start_by(text: &str, clock: fn() -> Timestamp) -> Self {
        sv0_connector::install_crypto_provider();
        let estate = Estate::parse(text, clock()).unwrap();
        let (tenant, client) = (estate.tenant_id().to_owned(), estate.operator_app_id().unwrap().to_owned());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { listen, ..Options::default() };
        let server = server::start(estate, &Authority::generate().unwrap(), options).await.unwrap();
        let names = Arc::default();
        let proxy = proxy(server.address, Arc::clone(&names)).await;
        Self { server, proxy, names, tenant, client, clock }
    }

    pub(crate) fn request(&self) -> ScanRequest {
        let mut request = request("00001767225600000-0a1b2c3d");
        request.source = Source::Entra {
            tenant_id: self.tenant.clone(),
            client_id: self.client.clone(),
            cloud: MicrosoftCloud::Public,
        };
        request.limits = Limits { max_pages: 40, ..Limits::default() };
        request.network.private_hosts.clear();
        request.network.trusted_ca_pem = Some(self.server.ca_pem().to_owned());
        request.network.proxy = Some(format!("http://{}", self.proxy));
        request
    }

    /// Scans with the client secret of the demonstration.
    pub(crate) async fn scan(&self) -> (ScanReport, Kept) {
        self.scan_with(&self.request(), &[("target", &self.tenant), ("clientSecret", SECRET)], &Surroundings::default())
            .await
    }

    /// Scans with these mounted files; the one named `token` is the federated one.
    pub(crate) async fn scan_with(
        &self,
        request: &ScanRequest,
        files: &[(&str, &str)],
        surroundings: &Surroundings,
    ) -> (ScanReport, Kept) {
        self.scan_by(request, files, surroundings, &Exchanges::Live).await
    }

    /// The same, and what is asked may be recorded.
    pub(crate) async fn scan_by(
        &self,
        request: &ScanRequest,
        files: &[(&str, &str)],
        surroundings: &Surroundings,
        exchanges: &Exchanges,
    ) -> (ScanReport, Kept) {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let kept = Kept::default();
        let ports = Ports {
            endpoints: None,
            credential_dir: dir.path().to_owned(),
            federated_token: dir.path().join("token"),
            surroundings: surroundings.clone(),
            sink: Box::new(kept.clone()),
            pause: Arc::new(NoPause::default()),
            stop: CancellationToken::new(),
            now: self.clock,
        };
        let report = Box::pin(run_with(request, &ports, exchanges)).await;
        (report, kept)
    }

    pub(crate) fn mutate(&self, change: serde_json::Value) {
        self.server.mutate(&serde_json::from_value(change).unwrap()).unwrap();
    }

    /// The names that were connected to, each once.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.names.lock().unwrap().clone();
        names.sort_unstable();
        names.dedup();
        names
    }
}
