//! The listeners: the vendor over HTTPS, the control listener, the fake metadata endpoint.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use http::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Mutation, MutationError};
use crate::cloud::{self, Cloud};
use crate::estate::Estate;
use crate::issuers::Issuers;
use crate::keys::{KeyError, SigningKey};
use crate::spec::Issuer;
use crate::state::{Counters, State};
use crate::tls::{Authority, TlsError};
use crate::{graph, metadata, token, wire};

/// Where to listen and whom to trust. Port 0 takes any free port.
pub struct Options {
    /// The vendor, HTTPS.
    pub listen: SocketAddr,
    /// The control listener, plain HTTP.
    pub admin: SocketAddr,
    /// The fake metadata endpoint, plain HTTP; absent: none.
    pub metadata: Option<SocketAddr>,
    /// Issuers of federated tokens beside those of the estate file.
    pub issuers: Vec<Issuer>,
    /// Whether the API server of the cluster that this runs in is an issuer.
    pub kubernetes_issuer: bool,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: any, admin: any, metadata: Some(any), issuers: Vec::new(), kubernetes_issuer: false }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Signing keys.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A running server. Dropping it stops the listeners.
pub struct Running {
    state: Arc<State>,
    /// Address of the vendor.
    pub address: SocketAddr,
    /// Address of the control listener.
    pub admin: SocketAddr,
    /// Address of the fake metadata endpoint.
    pub metadata: Option<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// The authority's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.state.ca_pem
    }

    /// Requests seen so far.
    pub fn counters(&self) -> Counters {
        self.state.counters().clone()
    }

    /// Forgets the requests seen so far.
    pub fn reset_counters(&self) {
        *self.state.counters() = Counters::default();
    }

    /// Makes a change, as `POST /mutate` does.
    pub fn mutate(&self, mutation: &Mutation) -> Result<(), MutationError> {
        admin::apply(&self.state, mutation)
    }

    /// Switches every fault off, as `POST /clear-faults` does.
    pub fn clear_faults(&self) {
        *self.state.faults() = crate::faults::Faults::default();
    }

    /// Puts another estate in place, as `PUT /estate` does.
    pub fn replace(&self, estate: Estate) {
        self.state.replace(estate);
    }

    /// A copy of the estate as it is now.
    pub fn estate(&self) -> Estate {
        self.state.estate().clone()
    }

    /// Stops the listeners.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts all listeners.
pub async fn start(estate: Estate, authority: &Authority, options: Options) -> Result<Running, StartError> {
    let issuers = Issuers::new(options.issuers, options.kubernetes_issuer);
    let state = Arc::new(State::new(estate, SigningKey::generate()?, issuers, authority.cert_pem().to_owned()));
    if options.kubernetes_issuer {
        // Known before the first scan, so that the first list of federated credentials already shows it.
        let state = Arc::clone(&state);
        tokio::spawn(async move { drop(state.issuers.resolve(crate::issuers::KUBERNETES).await) });
    }
    let config = authority.server_config()?;
    let (stop, stopped) = watch::channel(false);
    let vendor = bind(options.listen).await?;
    let control = bind(options.admin).await?;
    let (address, admin) = (local(&vendor, options.listen), local(&control, options.admin));
    let metadata = match options.metadata {
        Some(wanted) => {
            let listener = bind(wanted).await?;
            let address = local(&listener, wanted);
            tokio::spawn(plain(listener, metadata::router(Arc::clone(&state)), stopped.clone()));
            Some(address)
        }
        None => None,
    };
    tokio::spawn(plain(control, admin::router(Arc::clone(&state)), stopped.clone()));
    let router = Router::new().fallback(by_host).with_state(Arc::clone(&state));
    tokio::spawn(secure(vendor, router, config, stopped));
    Ok(Running { state, address, admin, metadata, stop })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn local(listener: &TcpListener, wanted: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(wanted)
}

async fn plain(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let until = async move {
        // An error means that the sender is gone, which is a stop too.
        drop(stopped.wait_for(|stop| *stop).await);
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
        tracing::error!(%error, "a listener ended");
    }
}

async fn secure(listener: TcpListener, router: Router, config: Arc<ServerConfig>, mut stopped: watch::Receiver<bool>) {
    let acceptor = TlsAcceptor::from(config);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, router, mut stopped) = (acceptor.clone(), router.clone(), stopped.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                tracing::debug!("a TLS handshake failed");
                return;
            };
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            tokio::select! {
                result = connection => if result.is_err() { tracing::debug!("a connection broke"); },
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn by_host(Shared(state): Shared<Arc<State>>, request: Request<Body>) -> Response<Body> {
    let host = wire::header(&request, "host").unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let own_graph = Cloud::host(state.estate().file.tenant.cloud.graph());
    let mut response = match name {
        name if cloud::is_authority(name) => token::handle(&state, request).await,
        name if name == own_graph => graph::handle(&state, request).await,
        _ => {
            state.counters().other_hosts += 1;
            wire::json(StatusCode::NOT_FOUND, &json!({"error": "this host is not simulated"}))
        }
    };
    let date = state.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    wire::set(&mut response, "date", &date);
    response
}
