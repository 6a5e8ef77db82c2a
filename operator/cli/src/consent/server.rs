//! The address that the browser comes back to: loopback only, one path, no names, no scripts. Takes callbacks to the
//! flow; gives its result once.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::consent::flow::{Flow, Outcome, Proof, Refusal};
use crate::onboard::plan::REDIRECT_PATH;

/// Listeners on one port of every loopback address that this machine has.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Listeners {
    /// Binds `port`, or a free one when it is 0.
    pub async fn bind(port: u16) -> Result<Self> {
        // A browser may read `localhost` as either address. Somebody else on the port of the other one would get the
        // code (useless without the verifier), so both are taken.
        for _ in 0..16 {
            let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("cannot listen on 127.0.0.1")?;
            let bound = v4.local_addr()?.port();
            match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
                Ok(v6) => return Ok(Self { sockets: vec![v4, v6], port: bound }),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && port == 0 => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return Err(error).context("another program listens on this port");
                }
                // There is no IPv6 on this machine.
                Err(_) => return Ok(Self { sockets: vec![v4], port: bound }),
            }
        }
        anyhow::bail!("no port is free on both loopback addresses")
    }

    /// Where the browser comes back to.
    pub fn redirect(&self) -> String {
        format!("http://localhost:{}{REDIRECT_PATH}", self.port)
    }

    /// Serves until the flow ends.
    pub async fn serve(self, flow: Arc<Flow>) -> Result<Result<Proof, Refusal>> {
        let (sender, mut results) = mpsc::channel(1);
        let shared = Shared { flow, sender, host: format!("localhost:{}", self.port) };
        let router = Router::new().route(REDIRECT_PATH, get(callback)).with_state(Arc::new(shared));
        let (stop, _) = tokio::sync::watch::channel(false);
        let mut servers = JoinSet::new();
        for socket in self.sockets {
            let (router, mut stopped) = (router.clone(), stop.subscribe());
            let until = async move { drop(stopped.wait_for(|stop| *stop).await) };
            servers.spawn(async move { axum::serve(socket, router).with_graceful_shutdown(until).await });
        }
        drop(router);
        let result = results.recv().await.context("the callback address closed")?;
        // The page that says so is still on its way to the browser.
        stop.send_replace(true);
        drop(
            tokio::time::timeout(std::time::Duration::from_secs(2), async {
                while servers.join_next().await.is_some() {}
            })
            .await,
        );
        Ok(result)
    }

    /// The addresses, for tests.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

struct Shared {
    flow: Arc<Flow>,
    sender: mpsc::Sender<Result<Proof, Refusal>>,
    host: String,
}

async fn callback(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    // Another name for this address would be a page that had its name point here.
    if headers.get(HOST).is_none_or(|host| host.as_bytes() != shared.host.as_bytes()) {
        return page(StatusCode::MISDIRECTED_REQUEST, "This address answers to localhost only.");
    }
    let (result, response) = match shared.flow.callback(query.as_deref().unwrap_or_default()).await {
        Outcome::Redirect(url) => {
            let headers = [(LOCATION, url.as_str()), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
            return (StatusCode::FOUND, headers).into_response();
        }
        Outcome::Ignored(_) => {
            return page(StatusCode::BAD_REQUEST, "This is not an answer to what the command asked. It still waits.");
        }
        Outcome::Proven(proof) => (
            Ok(proof),
            page(StatusCode::OK, "The consent is proven. Go back to the terminal; this page can be closed."),
        ),
        Outcome::Refused(refusal) => {
            let text = "The consent is not proven. The terminal says why; this page can be closed.";
            (Err(refusal), page(StatusCode::FORBIDDEN, text))
        }
    };
    // Only the first result counts.
    drop(shared.sender.try_send(result));
    response
}

/// A page of ours: nothing that came with the request is in it.
fn page(status: StatusCode, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    (status, headers, text).into_response()
}
