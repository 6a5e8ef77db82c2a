//! What the fuzz targets feed their input to. Takes any bytes; must come back without panic and within the bounds of the
//! formats. Used by the targets under a fuzzer, and with the inputs in `regressions/` by a plain test.

pub mod estate;

use bytes::Bytes;
use sv0_engine::accept::Exception;
use sv0_engine::bundle::Bundle;
use sv0_engine::evaluate::{Config, Evaluation, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::pack_reader::Pack;
use sv0_engine::replay::replay;
use sv0_graph::{PartInfo, PartKind, SnapshotReader, read_manifest, read_part};
use sv0_protocol::EvaluateRequest;

/// A snapshot: the manifest, a line end, then all of its parts are the same bytes. What is written for a part's name and
/// size is made right, so that the fuzzer reaches what stands behind the digest.
pub fn snapshot(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (manifest, rest) = input.split_at(cut);
    let part = rest.get(1..).unwrap_or_default();
    let sha256 = sv0_graph::canonical::sha256_hex(part);
    for kind in [PartKind::Nodes, PartKind::Edges] {
        let rows = part.len() as u64;
        drop(read_part(&PartInfo { kind, sha256: sha256.clone(), bytes: rows, rows }, part));
    }
    let Ok(mut manifest) = read_manifest(manifest) else { return };
    for info in &mut manifest.parts {
        info.sha256.clone_from(&sha256);
        info.bytes = part.len() as u64;
    }
    let mut reader = SnapshotReader::new(manifest, 64 * 1024 * 1024);
    while let Ok(Some(_)) = reader.next_part() {
        if reader.add(part).is_err() {
            return;
        }
    }
    drop(reader.finish());
}

/// A pack: as it is, and as the text inside its frame, which the fuzzer could hardly make itself.
pub fn pack(input: &[u8]) {
    drop(Pack::read(input));
    if let Ok(frame) = zstd::encode_all(input, 1) {
        drop(Pack::read(&frame));
    }
}

/// A bundle: what can be read is computed again.
pub fn bundle(input: &[u8]) {
    if let Ok(bundle) = Bundle::read(&Bytes::copy_from_slice(input)) {
        // Whatever was read is written as it was: there is one form only.
        assert_eq!(bundle.write().as_deref(), Ok(input));
        drop(replay(&bundle, 1));
    }
}

/// A policy: on the first line an order with the Estate's spec, on each further one an accepted risk. What can be read is
/// evaluated over a small estate, whatever numbers, instants and texts stand in it: a schema in the cluster bounds them,
/// and an evaluation may not rest on that.
pub fn policy(input: &[u8]) {
    let Some((config, accepting_nothing)) = config(input) else { return };
    let one = concluded(&config);
    let Ok(pack) = Pack::read(&one.pack.bytes) else { panic!("what was concluded cannot be read") };
    let again = concluded(&Config { threads: 2, ..pack.header.config });
    assert!(again.pack == one.pack && again.ledger == one.ledger, "the pack holds all that decided");
    let plain = concluded(&accepting_nothing);
    assert!(plain.findings.keys().eq(one.findings.keys()), "accepting a risk hides no finding");
    assert_eq!(plain.ledger, one.ledger, "nothing is remembered of what was accepted");
}

/// What a policy says, and the same without accepted risks; none when a part of it cannot be read.
pub fn config(input: &[u8]) -> Option<(Config, Config)> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let order: EvaluateRequest = serde_json::from_slice(lines.next()?).ok()?;
    let exceptions = lines.filter(|line| !line.is_empty()).map(serde_json::from_slice::<Exception>);
    let exceptions = exceptions.collect::<Result<Vec<_>, _>>().ok()?;
    Some((Config::ordered(&order, exceptions, 1).ok()?, Config::ordered(&order, Vec::new(), 1).ok()?))
}

fn concluded(config: &Config) -> Evaluation {
    let concluded = evaluate(vec![estate::loaded()], Ledger::default(), config);
    concluded.unwrap_or_else(|error| panic!("a small estate is not evaluated: {error}"))
}
