//! The program `scan`: reads its order from the environment, runs one scan, leaves a report and an exit code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use jiff::Timestamp;
use sv0_connector::{Exchanges, Folder, Recorder, RecordingError, TokioPause, install_crypto_provider};
use sv0_protocol::names::{self, exit};
use sv0_protocol::{Outcome, Reason, ScanReport, ScanRequest};
use sv0_scan::{
    FolderSink, Ports, SnapshotSink, StoreSink, Surroundings, exit_code, finish_recording, open_recording, run_with,
    to_message,
};
use sv0_store::client::{ScanTarget, StoreClient};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Reads one source system once and stores what it saw as a snapshot.
///
/// The operator starts this program as a Job, always without arguments. Its order is the JSON in the environment variable
/// `SECURITYV0_SCAN_REQUEST`. Credentials are mounted: the Secret below /var/run/securityv0/credential (keys `target`
/// and `clientSecret`, or `target`, `tls.crt` and `tls.key`) or a projected token at
/// /var/run/securityv0/federated/token; the token for the store is at /var/run/securityv0/store/token. A managed
/// identity is asked for at the metadata endpoint of the node, where the order allows it.
///
/// It reads and never writes in the source system. The last line on standard output, also left in
/// /dev/termination-log, is a report in JSON: outcome, reason, counts, coverage gaps, missing permissions.
///
/// Exit codes: 0 done, completely or partially; 10 the cause is yours to mend (credential, permission, configuration,
/// recording); 11 the cause may pass by itself; 12 a defect. `RUST_LOG` sets the log level; logs go to standard error.
///
/// The arguments are for terminals: they record what the source system answers, and run the same scan again from the
/// recording, without a network and without a credential. Nothing is sent to the store then.
#[derive(Parser)]
#[command(name = "scan", version)]
struct Args {
    /// Read the order from this file instead of the environment.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    order: Option<PathBuf>,
    /// Write each answer of the source system into this folder, which must be new or empty. Tokens, secret values and
    /// fields that the connector does not keep are left out, but names, identifiers and the addresses of people who own
    /// something (user principal names) are in it: handle the folder like the tenant's directory. Files are readable by
    /// their owner only.
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Run the scan of a recording again: same answers, same time, same rows. A recording that was changed, or that
    /// lacks an answer, is an error.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// With --record or --replay: leave the snapshot in this folder, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    snapshot: Option<PathBuf>,
    /// Folder with the credential, instead of the mounted one.
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    credential: Option<PathBuf>,
    /// File with the federated token, instead of the mounted one.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    federated_token: Option<PathBuf>,
}

impl Args {
    fn leaves_the_store_alone(&self) -> bool {
        self.record.is_some() || self.replay.is_some()
    }
}

#[tokio::main]
async fn main() {
    install_crypto_provider();
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).init();
    std::process::exit(Box::pin(scan(&args)).await);
}

async fn scan(args: &Args) -> i32 {
    let (Order { request, exchanges }, folder) = match order(args).and_then(|order| Ok((order, snapshot_folder(args)?)))
    {
        Ok(order) => order,
        Err(code) => return code,
    };
    let started_at = Timestamp::now();
    report_panics(&failed(&request, started_at, Reason::InternalError));
    let ports = match ports(args, &request, folder) {
        Ok(ports) => ports,
        Err(reason) => {
            let report = failed(&request, started_at, reason);
            leave(&to_message(&report));
            return exit_code(&report);
        }
    };
    let report = Box::pin(run_with(&request, &ports, &exchanges)).await;
    leave(&to_message(&report));
    if exchanges.verdict().is_err() {
        return exit::REFUSED;
    }
    if let Exchanges::Recorded(recorder) = &exchanges
        && let Err(error) = finish_recording(recorder, &request, &report)
    {
        tracing::error!(%error, "there is no recording");
        return exit_code(&report).max(exit::REFUSED);
    }
    exit_code(&report)
}

/// What is to be done.
struct Order {
    request: ScanRequest,
    exchanges: Exchanges,
}

/// The folder that the snapshot is left in, or the code to end with.
fn snapshot_folder(args: &Args) -> Result<Option<Folder>, i32> {
    if args.snapshot.is_some() && !args.leaves_the_store_alone() {
        tracing::error!("--snapshot goes with --record or --replay");
        return Err(exit::REFUSED);
    }
    args.snapshot.as_deref().map(Folder::create).transpose().map_err(|error| {
        tracing::error!(%error, "the snapshot cannot be written");
        exit::REFUSED
    })
}

/// What is to be done, or the code to end with.
fn order(args: &Args) -> Result<Order, i32> {
    let unusable = |error: RecordingError| {
        tracing::error!(%error, "the recording cannot be used");
        exit::REFUSED
    };
    if let Some(path) = &args.replay {
        let (replay, request) = open_recording(path).map_err(unusable)?;
        return Ok(Order { request, exchanges: Exchanges::Replayed(Arc::new(replay)) });
    }
    let json = match &args.order {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            tracing::error!(kind = %error.kind(), "the file with the order cannot be read");
            exit::REFUSED
        })?,
        None => std::env::var(names::SCAN_REQUEST_ENV).map_err(|_| {
            tracing::error!("give --order FILE, or set SECURITYV0_SCAN_REQUEST to a scan request in JSON; see --help");
            exit::DEFECT
        })?,
    };
    let request = serde_json::from_str(&json).map_err(|error| {
        // Line and column only: the order may quote identifiers.
        tracing::error!(
            line = error.line(),
            column = error.column(),
            "the scan request is not of the known form; manager and scan must be of the same version"
        );
        exit::DEFECT
    })?;
    let exchanges = match &args.record {
        Some(path) => Exchanges::Recorded(Arc::new(Recorder::create(path).map_err(unusable)?)),
        None => Exchanges::Live,
    };
    Ok(Order { request, exchanges })
}

fn ports(args: &Args, request: &ScanRequest, folder: Option<Folder>) -> Result<Ports, Reason> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone());
    let or = |path: &Option<PathBuf>, mounted: &str| path.clone().unwrap_or_else(|| mounted.into());
    Ok(Ports {
        endpoints: None,
        credential_dir: or(&args.credential, names::CREDENTIAL_DIR),
        federated_token: or(&args.federated_token, names::FEDERATED_TOKEN_PATH),
        surroundings: Surroundings::of(|name| std::env::var(name).ok()),
        sink: sink(args, request, folder)?,
        pause: Arc::new(TokioPause),
        stop,
        now: Timestamp::now,
    })
}

fn sink(args: &Args, request: &ScanRequest, folder: Option<Folder>) -> Result<Box<dyn SnapshotSink>, Reason> {
    if args.leaves_the_store_alone() {
        return Ok(Box::new(FolderSink::new(folder)));
    }
    let client = StoreClient::new(&request.store, names::STORE_TOKEN_PATH).map_err(|error| {
        tracing::error!(%error, "the store cannot be used");
        Reason::StoreUnavailable
    })?;
    let target = ScanTarget {
        namespace: request.namespace.clone(),
        instance: request.instance.clone(),
        instance_uid: request.instance_uid.clone(),
    };
    Ok(Box::new(StoreSink::new(client, target)))
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
