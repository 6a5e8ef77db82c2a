//! How much an evaluation takes and what it gives, for people to read. Nothing is asserted about time. Ignored unless
//! asked for: `cargo test -p sv0-evaluate large:: -- --ignored --nocapture`.

use std::time::Instant;

use sv0_engine::convert::labels;
use sv0_engine::evaluate::{Config, evaluate};
use sv0_engine::ledger::Ledger;

use crate::common::day;
use crate::estate::{SCAN_1, builder, identity};
use crate::whole::{config, input};

const IDENTITIES: usize = 5_000;

/// Peak of the process' resident memory in MiB, where the kernel tells it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

#[test]
#[ignore = "a measurement"]
fn a_large_estate() {
    let mut builder = builder("u", SCAN_1);
    for n in 0..IDENTITIES {
        identity(&mut builder, &format!("sp{n}"), Some(("2024-01-01T00:00:00Z", "2099-12-31T00:00:00Z")));
    }
    let inputs = vec![input(builder.build())];
    let config = Config { max_findings: usize::MAX, ..config(day(10)) };
    println!("built: {:?} MiB", peak_mib());
    let start = Instant::now();
    let evaluation = evaluate(inputs, Ledger::default(), &config).unwrap();
    println!("{} findings in {:.1} s, {:?} MiB", evaluation.findings.len(), start.elapsed().as_secs_f64(), peak_mib());
    let size = |spec: &sv0_api::FindingSpec| serde_json::to_vec(spec).unwrap().len();
    let mut sizes: Vec<usize> = evaluation.findings.values().map(size).collect();
    sizes.sort_unstable();
    println!("spec bytes: median {}, most {}", sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    assert!(evaluation.findings.len() >= IDENTITIES * 3);
    assert!(evaluation.findings.values().all(|spec| labels(spec).len() == 5));
}

/// Prints the Findings of a snapshot, as JSON lines. `SV0_TEST_SNAPSHOT` names its manifest as the store keeps it, with
/// the parts in the directory `parts` beside that of the manifest.
#[test]
#[ignore = "needs a stored snapshot"]
fn a_stored_snapshot() {
    let path = std::path::PathBuf::from(std::env::var("SV0_TEST_SNAPSHOT").unwrap());
    let manifest = sv0_graph::read_manifest(&std::fs::read(&path).unwrap()).unwrap();
    let parts = path.parent().and_then(std::path::Path::parent).unwrap().join("parts");
    let read = |part: &sv0_graph::PartInfo| std::fs::read(parts.join(&part.sha256)).unwrap();
    let bytes: Vec<Vec<u8>> = manifest.parts.iter().map(read).collect();
    let mut bytes = bytes.iter();
    let snapshot = sv0_graph::read_snapshot(manifest, |_| bytes.next().map(Vec::as_slice)).unwrap();
    let as_of = snapshot.header.finished_at;
    let evaluation = evaluate(vec![input(snapshot)], Ledger::default(), &config(as_of)).unwrap();
    for (name, spec) in &evaluation.findings {
        println!("{}", serde_json::json!({"name": name, "labels": labels(spec), "spec": spec}));
    }
    assert!(!evaluation.findings.is_empty());
}
