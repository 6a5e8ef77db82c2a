//! One evaluation of a made-up estate, and what it cost as one line of JSON.
//!
//! `cargo xtask bench evaluate` starts it twice, each time as a process of its own: `make` writes the snapshots as a store
//! keeps them, `evaluate` reads and evaluates them, so that the memory measured is the evaluation's alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use clap::Parser;
use serde_json::{Value, json};
use sv0_api::EstateSpec;
use sv0_engine::evaluate::{Config, Step, evaluate_watched};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{FetchError, Vault, load_all};
use sv0_graph::canonical;
use sv0_graph::synthetic::Synthetic;
use sv0_protocol::EvaluateInput;

type Error = Box<dyn std::error::Error>;

/// Findings that stand as resources: the limit that an estate has by default.
const MAX_FINDINGS: usize = 1_000;

#[derive(Parser)]
enum Args {
    /// Write the snapshots of an estate.
    Make {
        /// About how many nodes it has.
        #[arg(long)]
        nodes: usize,
        /// What else it depends on.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Of a thousand identities, those that hold a directory role; as in a real estate when it is not told.
        #[arg(long)]
        role_holders: Option<usize>,
        /// Folder to write to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Evaluate them.
    Evaluate {
        /// The folder.
        #[arg(long)]
        from: PathBuf,
        /// Threads for the rules.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Where to write the evidence pack; nowhere when it is not told.
        #[arg(long)]
        pack: Option<PathBuf>,
    },
}

fn main() -> Result<(), Error> {
    let line = match Args::parse() {
        Args::Make { nodes, seed, role_holders, out } => {
            let estate = Synthetic::new(nodes, seed);
            make(role_holders.map_or(estate, |permille| estate.with_role_holders(permille)), &out)?
        }
        Args::Evaluate { from, threads, pack } => evaluate(&Files(from), threads, pack.as_deref())?,
    };
    println!("{line}");
    Ok(())
}

fn make(estate: Synthetic, out: &Path) -> Result<Value, Error> {
    let mut bytes = 0;
    for instance in 0..estate.instances() {
        let encoded = estate.encode(instance)?;
        let dir = out.join(&encoded.manifest.header.instance_uid);
        fs::create_dir_all(&dir)?;
        for part in encoded.parts {
            bytes += part.bytes.len();
            fs::write(dir.join(&part.info.sha256), part.bytes)?;
        }
        fs::write(dir.join(&encoded.manifest.header.scan_id), encoded.manifest_bytes)?;
    }
    Ok(json!({"bytes": bytes}))
}

fn evaluate(files: &Files, threads: usize, pack: Option<&Path>) -> Result<Value, Error> {
    let orders = files.orders()?;
    let started = Instant::now();
    let inputs = ready(load_all(files, &orders, &BTreeMap::new()))??;
    if let Some(refused) = inputs.iter().find_map(|input| input.quarantined) {
        return Err(format!("a snapshot was set aside: {}", refused.as_str()).into());
    }
    let config = Config {
        as_of: Synthetic::read_on(),
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_snapshot_bytes: sv0_engine::load::MAX_SNAPSHOT_BYTES,
        history_lost: false,
        max_findings: MAX_FINDINGS,
        ledger: None,
        threads,
    };
    let mut clock = Clock::new(started);
    clock.lap("load");
    let mut size = (0, 0);
    let evaluation = evaluate_watched(inputs, Ledger::default(), &config, &mut |step| match step {
        Step::Built { nodes, edges } => {
            size = (nodes, edges);
            clock.lap("graph");
        }
        Step::Derived => clock.lap("derive"),
        Step::Searched => clock.lap("paths"),
        Step::Fired => clock.lap("rules"),
        Step::Merged => clock.lap("merge"),
    })?;
    clock.lap("pack");
    if let Some(pack) = pack {
        fs::write(pack, &evaluation.pack.bytes)?;
    }
    let findings = evaluation.tally.open + evaluation.tally.folded;
    Ok(json!({
        "nodes": size.0, "edges": size.1, "open": evaluation.tally.open, "findings": findings, "byRule": evaluation.tally.by_rule,
        "outsideLane": evaluation.tally.outside_lane, "pack": evaluation.pack.digest,
        "seconds": clock.seconds, "total": started.elapsed().as_secs_f64(), "cpu": clock.cpu, "peakKib": clock.peaks,
    }))
}

/// Time and memory, step by step.
struct Clock {
    last: Instant,
    /// Processor time up to then.
    used: f64,
    seconds: BTreeMap<&'static str, f64>,
    cpu: BTreeMap<&'static str, f64>,
    peaks: BTreeMap<&'static str, u64>,
}

impl Clock {
    fn new(started: Instant) -> Self {
        Self { last: started, used: 0.0, seconds: BTreeMap::new(), cpu: BTreeMap::new(), peaks: BTreeMap::new() }
    }

    fn lap(&mut self, name: &'static str) {
        self.seconds.insert(name, self.last.elapsed().as_secs_f64());
        let used = cpu_seconds().unwrap_or_default();
        self.cpu.insert(name, used - self.used);
        self.used = used;
        self.peaks.insert(name, peak_kib().unwrap_or_default());
        self.last = Instant::now();
    }
}

/// Largest resident memory of this process so far, in KiB, by the kernel's word.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processor time of this process so far, of all its threads, by the kernel's word, which counts in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, which may hold anything, ends with the last parenthesis.
    let (_, after) = stat.rsplit_once(") ")?;
    let ticks: u32 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    Some(f64::from(ticks) / 100.0)
}

/// The result of a future that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("files do not let anybody wait".into()),
    }
}

/// Snapshots in a folder for each instance.
struct Files(PathBuf);

impl Files {
    fn orders(&self) -> Result<Vec<EvaluateInput>, Error> {
        let mut orders = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let dir = entry?.path();
            let manifest = fs::read_dir(&dir)?.filter_map(Result::ok).map(|entry| entry.path());
            let manifest = manifest.into_iter().find(|path| path.to_string_lossy().ends_with("-aaaaaaaa"));
            let bytes = fs::read(manifest.ok_or("a folder without a manifest")?)?;
            let header = sv0_graph::read_manifest(&bytes)?.header;
            orders.push(EvaluateInput {
                instance: header.instance,
                instance_uid: header.instance_uid,
                system: header.system,
                tenant: header.tenant,
                snapshot_id: header.scan_id,
                snapshot_digest: canonical::digest(&bytes),
            });
        }
        Ok(orders)
    }

    fn read(&self, instance: &str, name: &str) -> Result<Bytes, FetchError> {
        let read = fs::read(self.0.join(instance).join(name));
        read.map(Bytes::from).map_err(|error| FetchError::Unavailable(error.to_string()))
    }
}

impl Vault for Files {
    async fn manifest(&self, instance_uid: &str, snapshot: &str) -> Result<Bytes, FetchError> {
        self.read(instance_uid, snapshot)
    }

    async fn part(&self, instance_uid: &str, sha256: &str) -> Result<Bytes, FetchError> {
        self.read(instance_uid, sha256)
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, FetchError> {
        Ok(Vec::new())
    }

    async fn ledger(&self, _: &str) -> Result<Bytes, FetchError> {
        Err(FetchError::Damaged)
    }
}
