//! The program: reads the configuration, takes the lease, runs the controllers, and gives the lease back.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use kube::Client;
use sv0_manager::args::Args;
use sv0_manager::config::Config;
use sv0_manager::leader::LeaseGuard;
use sv0_manager::telemetry::{self, Metrics};
use sv0_manager::{controllers, http};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error>;

/// Longest wait for running reconciliations after the order to stop.
const DRAIN: Duration = Duration::from_secs(20);

// One thread: the manager waits for the API server almost all of its time, and every thread costs memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The only provider in the program; without it the first TLS connection would panic.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    telemetry::init_logs();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the manager ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let metrics = Metrics::new()?;
    let ready = Arc::new(AtomicBool::new(false));
    let stop = stop_on_signal()?;
    let health = http::Health { ready: ready.clone(), metrics: metrics.clone() };
    tokio::spawn(http::serve(args.listen, health, stop.clone()).await?);

    let mut connection = kube::Config::infer().await?;
    let client = Client::try_from(connection.clone())?;
    connection.default_retry = false;
    let mut lease = LeaseGuard::new(Client::try_from(connection)?, &config.operator_namespace, &args.identity);
    let version = client.apiserver_version().await?;
    tracing::info!(
        major = version.major,
        minor = version.minor,
        estates = config.estates.len(),
        "the API server answers"
    );
    ready.store(true, Ordering::Relaxed);

    tokio::select! {
        () = lease.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    tracing::info!("the lease is held");
    metrics.leader.set(1);
    let working = controllers::run(client, config, metrics, args.identity, stop.clone());
    let drained = async {
        tokio::pin!(working);
        tokio::select! {
            () = &mut working => {}
            () = stop.cancelled() => drop(tokio::time::timeout(DRAIN, working).await),
        }
    };
    tokio::select! {
        () = drained => {}
        // Whoever has lost the lease must not finish anything: another manager may be at work.
        () = lease.keep() => return Err("the lease is lost; the manager stops at once and is started anew".into()),
    }
    lease.release().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_on_signal() -> Result<CancellationToken, std::io::Error> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}
