//! The listeners: HTTP/1.1 under TLS for the programs, plain HTTP for probes and metrics. Both stop gracefully.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::metrics::Metrics;
use crate::objects::Objects;

/// Connections open at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Connections of one address at a time: one pod must not keep all others waiting. Further ones are closed at once.
const MAX_PER_PEER: usize = 32;
/// A TLS handshake and a request's headers may take this long.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests that run when the process is asked to stop may take this long to finish.
const LAST_REQUESTS: Duration = Duration::from_secs(20);
/// Pause after a failed accept (out of descriptors): not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `address`; where the machine has no IPv6, the unspecified IPv6 address falls back to IPv4.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Serves `router` under TLS until `stop` is done, then lets running requests finish.
pub async fn tls(listener: TcpListener, config: Arc<ServerConfig>, router: Router, stop: impl Future<Output = ()>) {
    let acceptor = TlsAcceptor::from(config);
    let graceful = Arc::new(GracefulShutdown::new());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let peers = Peers::default();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await.ok()?;
            let (stream, peer) = listener.accept().await.ok()?;
            Some((permit, stream, peer.ip()))
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let Some((permit, stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(place) = peers.admit(peer) else {
            tracing::debug!("an address has too many connections open");
            continue;
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _held = (permit, place);
            connection(acceptor, stream, router, watcher).await;
        });
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful)
        && timeout(LAST_REQUESTS, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("some requests did not finish before the end");
    }
}

/// How many connections each address holds.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place; given back when dropped.
struct Place {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= MAX_PER_PEER {
            return None;
        }
        *count += 1;
        Some(Place { peers: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else {
        // Port probes and clients that trust another authority; nothing to be done here.
        tracing::debug!("a TLS handshake failed");
        return;
    };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// What probes and Prometheus ask.
#[derive(Clone)]
pub struct Probes {
    /// Whether certificate and ConfigMap are in place.
    pub ready: watch::Receiver<bool>,
    /// The back end is probed for readiness too.
    pub objects: Arc<Objects>,
    /// The counters.
    pub metrics: Metrics,
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn probes(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn ready(State(probes): State<Probes>) -> Response {
    if !*probes.ready.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the certificate is not published yet").into_response();
    }
    match timeout(PATIENCE, probes.objects.probe()).await {
        Ok(Ok(())) => "ok".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the back end does not answer").into_response(),
    }
}

async fn metrics(State(probes): State<Probes>) -> Response {
    match probes.metrics.text() {
        Ok(text) => text.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
