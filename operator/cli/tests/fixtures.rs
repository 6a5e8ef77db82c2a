//! The Findings and the Estate that the tests of reading commands show are those of a real scan of the simulated tenant
//! and a real evaluation. `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod simulated;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/tenant/mod.rs"]
mod tenant;

use std::path::Path;

use serde_json::{Value, json};

/// The list of one kind of object, as it is committed.
fn of_kind(list: &Value, kind: &str) -> String {
    let items: Vec<&Value> = list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    format!("{}\n", serde_json::to_string_pretty(&list).unwrap())
}

/// Without the policies of credentials nearly everything is seen, and not all.
#[tokio::test]
async fn the_fixtures_are_of_a_real_scan_and_evaluation() {
    let fresh = simulated::evaluated("Policy.Read.All").await;
    for (file, kind) in [("findings.json", "Finding"), ("estates.json", "Estate")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
        let fresh = of_kind(&fresh.list, kind);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(fresh == committed, "{file} is of another product: look at it, then UPDATE_GOLDEN=1 writes it");
    }
}
