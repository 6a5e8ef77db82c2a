//! The report in a real Chromium: of a real scan and evaluation of the simulated tenant, and of an estate whose names are
//! hostile. Each in light and dark: no accessibility violation, nothing loaded, nothing run, nothing printed to the
//! console, and it prints. Where there is no Chromium or no Node, the test says so and looks at nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod hostile;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/tenant/mod.rs"]
mod tenant;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sv0_api::EstateSpec;
use sv0_cli::report::html;
use sv0_cli::report::input::parse;
use sv0_engine::evaluate::{Config, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, Used};
use sv0_evaluate::status::{Ordered, finished};
use sv0_graph::canonical::digest;
use sv0_protocol::{EvaluateExceptions, EvaluateInput, Outcome, ScanRequest};
use sv0_scan::Surroundings;
use tenant::{FULL, FULL_SECRET, World};

const SMALL: &str = include_str!("estate/small.json");
/// Names a Chromium elsewhere than where Debian puts it.
const CHROMIUM: &str = "SV0_CHROMIUM";
/// Set where a browser is known to be there: without one, the tests then fail and leave nothing out.
const NEEDED: &str = "SV0_REPORT_NEEDS_BROWSER";

/// What `kubectl get findings,estates -o json` prints after a scan and an evaluation of the simulated tenant, in which
/// one permission is missing.
async fn listed() -> Value {
    let world = World::start(FULL).await;
    world.mutate(json!({ "revokePermission": "AuditLog.Read.All" }));
    let as_of = Timestamp::now();
    let scan_id = format!("{:014}-0a1b2c3d", as_of.as_millisecond());
    let request = ScanRequest { accepted_collection_revision: 2, scan_id, ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", FULL_SECRET)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    assert_eq!(report.outcome, Outcome::Partial, "{report:?}");
    let manifest = digest(kept.manifest.lock().unwrap().as_ref().expect("a manifest"));
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: world.tenant.clone(),
        snapshot_id: request.scan_id,
        snapshot_digest: manifest.clone(),
    };
    let used = Some(Used { digest: manifest, snapshot: kept.snapshot() });
    let config = Config {
        as_of,
        estate: EstateSpec::default(),
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_findings: 1000,
        ledger: None,
        max_snapshot_bytes: sv0_engine::load::MAX_SNAPSHOT_BYTES,
        history_lost: false,
        threads: 1,
    };
    let evaluation = evaluate(vec![Input { order, quarantined: None, used }], Ledger::default(), &config).unwrap();
    let status = finished(
        &evaluation,
        Ordered { as_of, generation: 1, history_lost: false },
        &EvaluateExceptions::default(),
        None,
    );
    let object = |kind: &str, name: &str| {
        let metadata = json!({ "name": name, "namespace": "team-a" });
        json!({ "apiVersion": "securityv0.com/v1alpha1", "kind": kind, "metadata": metadata })
    };
    let mut estate = object("Estate", "default");
    estate["spec"] = json!({});
    estate["status"] = json!(status);
    let findings = evaluation.findings.iter().map(|(name, spec)| {
        let mut finding = object("Finding", name);
        finding["spec"] = json!(spec);
        finding
    });
    let items: Vec<Value> = findings.chain([estate]).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// No finding of the real connector's data claims more than the catalogue shows for its rule.
fn keeps_to_the_catalogue(list: &Value) {
    let rows = sv0_cli::catalog::rows(&sv0_cli::catalog::connectors().unwrap());
    let mut full = 0;
    for finding in list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "Finding") {
        let rule = &finding["spec"]["rule"];
        let row = rows.iter().find(|row| rule["id"] == row.id).unwrap();
        let cell = row.connectors.iter().find(|of| of.connector == "entra").unwrap().cell;
        match rule["claim"].as_str().unwrap() {
            "Full" => assert_eq!(cell, sv0_cli::catalog::Cell::Full, "{}", row.id),
            _ => assert_ne!(cell, sv0_cli::catalog::Cell::None, "{}", row.id),
        }
        full += usize::from(rule["claim"] == "Full");
    }
    assert!(full > 10, "{full}");
}

/// What the browser saw of one page in one colour scheme.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    file: String,
    color_scheme: String,
    console: Vec<String>,
    dialogs: Vec<String>,
    requests: Vec<String>,
    executed: bool,
    elements: std::collections::BTreeMap<String, usize>,
    handlers: Vec<String>,
    ids: Vec<String>,
    broken: Vec<String>,
    wider: bool,
    wider_on_a_phone: bool,
    background: String,
    text: String,
    pdf: String,
    pdf_pages: usize,
    axe: Axe,
}

/// What axe-core says.
#[derive(Debug, Deserialize)]
struct Axe {
    passes: usize,
    violations: Vec<String>,
}

/// The directory with the driver and its packages, and the browser; made ready once.
fn browser() -> Option<(PathBuf, PathBuf)> {
    static READY: LazyLock<Option<(PathBuf, PathBuf)>> = LazyLock::new(|| {
        let found = ready();
        assert!(found.is_some() || std::env::var_os(NEEDED).is_none(), "{NEEDED} is set, and there is no browser");
        found
    });
    READY.clone()
}

fn ready() -> Option<(PathBuf, PathBuf)> {
    let chromium = std::env::var_os(CHROMIUM).map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !chromium.exists() {
        println!("LEFT OUT: there is no {}; install Debian's package chromium, or set {CHROMIUM}", chromium.display());
        return None;
    }
    if !runs("node") || !runs("npm") {
        println!("LEFT OUT: there is no node with npm on this machine");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report-browser");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-browser");
    std::fs::create_dir_all(&place).unwrap();
    let unchanged = std::fs::read(source.join("package-lock.json")).ok() == std::fs::read(place.join("installed")).ok();
    for name in ["look.mjs", "package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), place.join(name)).unwrap();
    }
    if !unchanged {
        let npm = ["ci", "--silent", "--no-audit", "--ignore-scripts"];
        let installed = Command::new("npm").args(npm).current_dir(&place).status().unwrap();
        assert!(installed.success(), "npm ci failed: the package index must be reachable once");
        std::fs::copy(place.join("package-lock.json"), place.join("installed")).unwrap();
    }
    Some((place, chromium))
}

/// Opens each page in light and dark. Pictures and prints stay beside it, to be looked at.
fn look(pages: &[(&str, String)]) -> Option<Vec<Seen>> {
    let (place, chromium) = browser()?;
    let files: Vec<PathBuf> = pages
        .iter()
        .map(|(name, content)| {
            let file = place.join(format!("{name}.html"));
            std::fs::write(&file, content).unwrap();
            file
        })
        .collect();
    let output = Command::new("node")
        .arg("look.mjs")
        .arg(chromium)
        .arg(&place)
        .args(files)
        .current_dir(&place)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("pictures and prints are in {}", place.display());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What is wrong with what was seen, in words.
fn wrong(seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut none = |what: &str, list: &[String]| wrong.extend(list.iter().map(|one| format!("{what}: {one}")));
    none("axe", &seen.axe.violations);
    none("console", &seen.console);
    none("dialog", &seen.dialogs);
    none("request", &seen.requests);
    none("event handler", &seen.handlers);
    none("id used twice", &seen.ids);
    none("link without an end", &seen.broken);
    for name in ["script", "img", "iframe", "object", "link", "form"] {
        if seen.elements[name] > 0 {
            wrong.push(format!("an element {name}"));
        }
    }
    if seen.executed {
        wrong.push("a name of a source system ran".into());
    }
    if seen.wider || seen.wider_on_a_phone {
        wrong.push("the page must be moved sideways".into());
    }
    if seen.pdf != "%PDF-" || seen.pdf_pages == 0 {
        wrong.push("it does not print".into());
    }
    if seen.axe.passes < 20 {
        wrong.push(format!("axe looked at {} rules only", seen.axe.passes));
    }
    wrong
}

#[tokio::test]
async fn the_report_is_readable_and_inert() {
    let list = listed().await;
    keeps_to_the_catalogue(&list);
    let list = list.to_string();
    let page = |list: &str| html(&parse(&[list.as_bytes()], None).unwrap());
    let empty = html(&parse(&[br#"{"items": []}"#], Some("team-a")).unwrap());
    let pages =
        [("full", page(&list)), ("hostile", page(&hostile::estate(&list))), ("small", page(SMALL)), ("empty", empty)];
    let Some(all) = look(&pages) else { return };
    assert_eq!(all.len(), 8);
    for seen in &all {
        assert_eq!(wrong(seen), Vec::<String>::new(), "{} in {}", seen.file, seen.color_scheme);
        assert_eq!(seen.elements["h1"], 1);
    }
    let of =
        |file: &str, scheme: &str| all.iter().find(|seen| seen.file == file && seen.color_scheme == scheme).unwrap();
    assert_ne!(of("full.html", "light").background, of("full.html", "dark").background);
    assert_eq!(of("full.html", "light").elements["svg"], 10, "one picture a chain");
    assert!(of("hostile.html", "light").text.contains("<script>window.executed = 1; alert(1)</script>"));
    assert!(of("full.html", "dark").text.contains("Grant AuditLog.Read.All."));
}

/// The browser sees what the test is about: each of these pages is wrong in one way.
#[test]
fn a_bad_page_is_seen() {
    let page = html(&parse(&[SMALL.as_bytes()], None).unwrap());
    let open = page.replace("default-src 'none'; style-src", "script-src 'unsafe-inline'; style-src");
    let bad = [
        ("contrast", page.replace("--soft: #57606a", "--soft: #c8ccd0"), "axe: color-contrast"),
        ("language", page.replace(" lang=\"en\"", ""), "axe: html-has-lang"),
        (
            "script",
            open.replace("<main>", "<main><script>window.executed = 1</script>"),
            "a name of a source system ran",
        ),
        ("policy", page.replace("<main>", "<main><script>window.executed = 1</script>"), "console: error"),
        ("picture", page.replace("<main>", "<main><img alt=\"a\" src=\"https://localhost:9/\">"), "console: error"),
        ("link", page.replace("href=\"#gaps\"", "href=\"#nowhere\""), "link without an end"),
    ];
    let pages: Vec<(&str, String)> = bad.iter().map(|(name, page, _)| (*name, page.clone())).collect();
    let Some(all) = look(&pages) else { return };
    for (name, _, expected) in bad {
        let seen = all.iter().find(|seen| seen.file == format!("{name}.html") && seen.color_scheme == "light").unwrap();
        let wrong = wrong(seen);
        assert!(wrong.iter().any(|what| what.contains(expected)), "{name}: {wrong:?}");
    }
}
