//! The contract of connectors (docs/connector-contract.md), run on this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod fixture;

sv0_testkit::contract!(fixture::subject());

/// What the fixture tenant becomes, row by row. After a change that is meant, read the difference:
/// `SV0_ACCEPT=1 cargo test -p sv0-connector-entra --test contract` writes the file anew.
#[test]
fn rows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/rows.jsonl");
    let lines = sv0_testkit::checks::rows(&fixture::subject()).unwrap();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("SV0_ACCEPT").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let accepted = std::fs::read_to_string(path).unwrap();
    let (now, before): (Vec<&str>, Vec<&str>) = (text.lines().collect(), accepted.lines().collect());
    let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}
