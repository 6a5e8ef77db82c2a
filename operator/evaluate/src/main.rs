//! The program `evaluate`: reads its order from the environment, carries it out, leaves its last words in the pod's
//! termination message and ends with a code that says whether trying again may help.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sv0_engine::load::FetchError;
use sv0_evaluate::apply::Pace;
use sv0_evaluate::cluster::Cluster;
use sv0_evaluate::report::{EvaluateReport, RunError};
use sv0_evaluate::run::run;
use sv0_evaluate::sink::SinkError;
use sv0_evaluate::store::RemoteVault;
use sv0_protocol::EvaluateRequest;
use sv0_protocol::names::{STORE_TOKEN_PATH, TERMINATION_LOG, exit};
use sv0_store::client::StoreClient;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Evaluates one estate: reads its stored snapshots, writes its Findings and the status of its Estate and exceptions.
///
/// Started by the manager as a Job, one at a time for each estate. The order names every input by digest and fixes the
/// instant that stands for "now", so running the same order again gives the same bytes. Talks to the store and to the
/// Kubernetes API server, and to nothing else.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 10 the cause must be mended first, 11 trying again may help, 12 a defect of this program.\nLogs are JSON lines on standard error; RUST_LOG sets the level."
)]
struct Args {
    /// The order as JSON (the manager writes it).
    #[arg(long, env = "SECURITYV0_EVALUATE_REQUEST", hide_env_values = true, value_name = "JSON")]
    request: String,
    /// File with the ServiceAccount token for the store; read anew for every request.
    #[arg(long, default_value = STORE_TOKEN_PATH, value_name = "FILE")]
    store_token: PathBuf,
    /// File that takes the last words.
    #[arg(long, default_value = TERMINATION_LOG, value_name = "FILE")]
    termination_log: PathBuf,
    /// Threads for the rules; the result does not depend on it. By default as many as the pod has processors.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let provider = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    if provider.is_err() {
        tracing::warn!("a TLS provider was installed before main");
    }
    let (report, code) = match evaluate(&args).await {
        Ok(report) => (report, exit::DONE),
        Err(error) => {
            let (reason, code) = error.verdict();
            tracing::error!(reason = reason.as_str(), "{error}");
            (EvaluateReport { ok: false, reason: Some(reason), findings: 0, written: 0 }, code)
        }
    };
    last_words(&args, &report).await;
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

async fn evaluate(args: &Args) -> Result<EvaluateReport, RunError> {
    let order: EvaluateRequest =
        serde_json::from_str(&args.request).map_err(|error| RunError::Order(position(&error)))?;
    let unavailable = |error: &dyn std::fmt::Display| RunError::Store(FetchError::Unavailable(error.to_string()));
    let store = StoreClient::new(&order.store, &args.store_token).map_err(|error| unavailable(&error))?;
    let vault = RemoteVault::new(store, &order.namespace);
    let client = kube::Client::try_default().await.map_err(|error| {
        tracing::error!("no configuration for the API server: {error}");
        RunError::Cluster(SinkError::Unreachable)
    })?;
    let cluster = Cluster::new(client, &order.namespace);
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    // As process 1 of its container this program would not die of a signal that it does not handle.
    let mut terminate = signal(SignalKind::terminate()).map_err(|_| RunError::Worker)?;
    let pace = Pace::polite();
    tokio::select! {
        result = run(&order, &vault, &cluster, &pace, threads) => result,
        _ = terminate.recv() => Err(RunError::Interrupted),
    }
}

/// Where the order is malformed, without its content.
fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

async fn last_words(args: &Args, report: &EvaluateReport) {
    let Ok(words) = serde_json::to_vec(report) else { return };
    if let Err(error) = tokio::fs::write(&args.termination_log, words).await {
        tracing::warn!("the termination message cannot be written: {error}");
    }
}
