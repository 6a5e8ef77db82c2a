//! The program `scan`: reads its order from the environment, runs one scan, leaves a report and an exit code.

use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use jiff::Timestamp;
use sv0_connector::{TokioPause, install_crypto_provider};
use sv0_protocol::names::{self, exit};
use sv0_protocol::{Outcome, Reason, ScanReport, ScanRequest};
use sv0_scan::{Ports, StoreSink, Surroundings, exit_code, run, to_message};
use sv0_store::client::{ScanTarget, StoreClient};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Reads one source system once and stores what it saw as a snapshot.
///
/// The operator starts this program as a Job; it takes no arguments. Its order is the JSON in the environment variable
/// `SECURITYV0_SCAN_REQUEST`. Credentials are mounted: the Secret below /var/run/securityv0/credential (keys `target`
/// and `clientSecret`, or `target`, `tls.crt` and `tls.key`) or a projected token at
/// /var/run/securityv0/federated/token; the token for the store is at /var/run/securityv0/store/token. A managed
/// identity is asked for at the metadata endpoint of the node, where the order allows it.
///
/// It reads and never writes in the source system. The last line on standard output, also left in
/// /dev/termination-log, is a report in JSON: outcome, reason, counts, coverage gaps, missing permissions.
///
/// Exit codes: 0 done, completely or partially; 10 the cause is yours to mend (credential, permission, configuration);
/// 11 the cause may pass by itself; 12 a defect. `RUST_LOG` sets the log level; logs go to standard error.
#[derive(Parser)]
#[command(name = "scan", version)]
struct Args {}

#[tokio::main]
async fn main() {
    install_crypto_provider();
    let Args {} = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
    std::process::exit(Box::pin(scan()).await);
}

async fn scan() -> i32 {
    let request: ScanRequest = match std::env::var(names::SCAN_REQUEST_ENV).map(|json| serde_json::from_str(&json)) {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            // Line and column only: the order may quote identifiers.
            tracing::error!(
                line = error.line(),
                column = error.column(),
                "the scan request is not of the known form; manager and scan must be of the same version"
            );
            return exit::DEFECT;
        }
        Err(_) => {
            tracing::error!("set SECURITYV0_SCAN_REQUEST to a scan request in JSON; see --help");
            return exit::DEFECT;
        }
    };
    let started_at = Timestamp::now();
    report_panics(&failed(&request, started_at, Reason::InternalError));
    let report = match ports(&request) {
        Ok(ports) => Box::pin(run(&request, &ports)).await,
        Err(reason) => failed(&request, started_at, reason),
    };
    leave(&to_message(&report));
    exit_code(&report)
}

fn ports(request: &ScanRequest) -> Result<Ports, Reason> {
    let client = StoreClient::new(&request.store, names::STORE_TOKEN_PATH).map_err(|error| {
        tracing::error!(%error, "the store cannot be used");
        Reason::StoreUnavailable
    })?;
    let target = ScanTarget {
        namespace: request.namespace.clone(),
        instance: request.instance.clone(),
        instance_uid: request.instance_uid.clone(),
    };
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    Ok(Ports {
        endpoints: None,
        credential_dir: names::CREDENTIAL_DIR.into(),
        federated_token: names::FEDERATED_TOKEN_PATH.into(),
        surroundings: Surroundings::of(|name| std::env::var(name).ok()),
        sink: Box::new(StoreSink::new(client, target)),
        pause: Arc::new(TokioPause),
        stop,
        now: Timestamp::now,
    })
}

/// The kubelet asks with SIGTERM and kills after the grace period: the report must be out by then.
fn stop_on_signal(stop: CancellationToken) {
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        tracing::warn!("SIGTERM cannot be listened for");
        return;
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("told to stop");
        stop.cancel();
    });
}

/// A panic's own text may quote a vendor: only its place is logged, and the report says that it is a defect.
fn report_panics(report: &ScanReport) {
    let message = to_message(report);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a defect ended the scan");
        leave(&message);
        std::process::exit(exit::DEFECT);
    }));
}

/// Leaves the message on standard output and where the kubelet looks for it, if this is a container.
fn leave(message: &str) {
    println!("{message}");
    let log = Path::new(names::TERMINATION_LOG);
    if !log.exists() {
        return;
    }
    if let Err(error) = std::fs::write(log, message) {
        tracing::error!(kind = %error.kind(), "the termination message cannot be written");
    }
}

fn failed(request: &ScanRequest, at: Timestamp, reason: Reason) -> ScanReport {
    ScanReport {
        scan_id: request.scan_id.clone(),
        outcome: Outcome::Failed,
        reason: Some(reason),
        vendor_code: None,
        retry_after_seconds: None,
        started_at: at,
        finished_at: at,
        requests: 0,
        token_requests: 0,
        items: 0,
        snapshot: None,
        gaps: Vec::new(),
        complete_collections: 0,
        permissions_missing: Vec::new(),
        permissions_excess: Vec::new(),
        credential_expires_at: None,
        pending_collection_revision: None,
        consent: None,
    }
}
