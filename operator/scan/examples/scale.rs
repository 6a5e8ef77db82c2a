//! One scan with the product's own bounds, its snapshot written to a folder, and what it cost as one line of JSON.
//!
//! `cargo xtask bench entra` starts it as a process of its own, so that the memory measured is the scan's alone.
//! Takes an order and a credential from files; talks to whatever the order's proxy leads to; keeps nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use jiff::Timestamp;
use sv0_connector::{Folder, TokioPause, install_crypto_provider};
use sv0_protocol::ScanRequest;
use sv0_scan::{FolderSink, Ports, Surroundings, run};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Args {
    /// The scan's order, JSON.
    #[arg(long)]
    order: PathBuf,
    /// Folder with the credential's files.
    #[arg(long)]
    credential: PathBuf,
    /// Folder that the snapshot is written to.
    #[arg(long)]
    out: PathBuf,
}

/// Largest resident memory of this process so far, in KiB, by the kernel's word.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    install_crypto_provider();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    let args = Args::parse();
    let request: ScanRequest = serde_json::from_slice(&std::fs::read(&args.order)?)?;
    let ports = Ports {
        endpoints: None,
        credential_dir: args.credential.clone(),
        federated_token: args.credential.join("token"),
        surroundings: Surroundings::default(),
        sink: Box::new(FolderSink::new(Some(Folder::create(&args.out)?))),
        pause: Arc::new(TokioPause),
        stop: CancellationToken::new(),
        now: Timestamp::now,
    };
    let started = Instant::now();
    let report = Box::pin(run(&request, &ports)).await;
    let line = serde_json::json!({
        "seconds": started.elapsed().as_secs_f64(),
        "peakKib": peak_kib().ok_or("the kernel does not tell this process's memory")?,
        "report": report,
    });
    println!("{line}");
    Ok(())
}
