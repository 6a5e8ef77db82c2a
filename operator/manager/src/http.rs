//! The manager's own HTTP port: alive, ready, metrics. It answers nothing else and changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// What the port shows.
#[derive(Clone)]
pub struct Health {
    /// Set once the API server has answered: with or without the lease, the process can do its work.
    pub ready: Arc<AtomicBool>,
    /// Metrics.
    pub metrics: Metrics,
}

/// Binds the port; the returned future serves until `stop`.
pub async fn serve(
    listen: SocketAddr,
    health: Health,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let serving = axum::serve(listener, routes(health)).with_graceful_shutdown(stop.cancelled_owned());
    Ok(async move { serving.await })
}

fn routes(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|State(health): State<Health>| async move { health.metrics.render() }))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet\n")
    }
}
