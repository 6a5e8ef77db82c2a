//! Inputs that once broke a reader, or were made to: kept in `fuzz/regressions`, and read by the same functions that the
//! fuzzer drives. None may panic; none is taken for a good one.

use bytes::Bytes;
use sv0_engine::bundle::Bundle;
use sv0_engine::pack_reader::Pack;
use sv0_graph::read_manifest;

#[path = "../../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "where it is at home, it is a library")]
mod targets;

/// What stands in one folder of regressions.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions").join(target);
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap())
    };
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(read).collect();
    assert!(inputs.len() >= 3, "{target} has its regressions");
    inputs
}

#[test]
fn snapshots() {
    for (name, input) in inputs("snapshot") {
        targets::snapshot(&input);
        let manifest = input.split(|byte| *byte == b'\n').next().unwrap();
        let error = read_manifest(manifest).expect_err(&name).to_string();
        assert_eq!(name.starts_with("format-"), error.contains("snapshot format is not"), "{name}: {error}");
    }
}

#[test]
fn packs() {
    for (name, input) in inputs("pack") {
        targets::pack(&input);
        Pack::read(&input).expect_err(&name);
        let frame = zstd::encode_all(input.as_slice(), 1).unwrap();
        let error = Pack::read(&frame).expect_err(&name).to_string();
        assert_eq!(name.starts_with("format-"), error.contains("the pack is not in format"), "{name}: {error}");
    }
}

#[test]
fn bundles() {
    for (name, input) in inputs("bundle") {
        targets::bundle(&input);
        Bundle::read(&Bytes::from(input)).expect_err(&name);
    }
}

/// A policy that broke an evaluation may be one that can be read.
#[test]
fn policies() {
    for (name, input) in inputs("policy") {
        targets::policy(&input);
        assert_eq!(targets::config(&input).is_some(), name.starts_with("read-"), "{name}");
    }
}
