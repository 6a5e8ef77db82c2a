//! The catalogue against the real connector: whatever it calls `full` comes out of real scans of the simulated tenant in
//! the full claim, and what a manifest says that rows tell of is what they tell of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with the tests of scans")]
#[path = "../../scan/tests/tenant/mod.rs"]
mod tenant;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_api::{Claim, DeclaredPurpose, Environment, EstateSpec};
use sv0_cli::catalog::{Cell, connectors, rows};
use sv0_engine::baseline::reduce;
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::{Input, Used};
use sv0_estate::estate::Estate;
use sv0_graph::Snapshot;
use sv0_graph::canonical::digest;
use sv0_protocol::{EvaluateInput, Outcome, ScanRequest};
use sv0_scan::Surroundings;
use tenant::{DEMO, FULL, FULL_SECRET, SECRET, World};

/// The n-th scan of a tenant, ready to be evaluated.
async fn scan(world: &World, secret: &str, revision: u32, n: u32) -> Input {
    let scan_id = format!("{:014}-0a1b2c3d", 1_767_225_600_000_u64 + u64::from(n));
    let request = ScanRequest { accepted_collection_revision: revision, scan_id, ..world.request() };
    let files = [("target", world.tenant.as_str()), ("clientSecret", secret)];
    let (report, kept) = world.scan_with(&request, &files, &Surroundings::default()).await;
    assert_eq!(report.outcome, Outcome::Complete, "{report:?}");
    let manifest = digest(kept.manifest.lock().unwrap().as_ref().expect("a manifest"));
    let order = EvaluateInput {
        instance: request.instance,
        instance_uid: request.instance_uid,
        system: "entra".into(),
        tenant: world.tenant.clone(),
        snapshot_id: request.scan_id,
        snapshot_digest: manifest.clone(),
    };
    Input { order, quarantined: None, used: Some(Used { digest: manifest, snapshot: kept.snapshot() }) }
}

fn snapshot(input: &Input) -> &Snapshot {
    &input.used.as_ref().unwrap().snapshot
}

/// Evaluates as of now, with `baseline` to compare with when there was an evaluation of it.
fn evaluated(input: Input, estate: &EstateSpec, before: Option<(&Evaluation, &Input)>) -> Evaluation {
    let config = Config {
        as_of: Timestamp::now(),
        estate: estate.clone(),
        waiting: Vec::new(),
        exceptions: Vec::new(),
        max_findings: 1000,
        ledger: before.map(|(before, _)| before.ledger.digest.clone()),
        max_snapshot_bytes: sv0_engine::load::MAX_SNAPSHOT_BYTES,
        history_lost: false,
        threads: 1,
    };
    let remembered = before.map_or_else(Ledger::default, |(before, _)| Ledger::read(&before.ledger.bytes).unwrap());
    let baselines = before.map(|(_, then)| reduce(vec![snapshot(then).clone()], estate).unwrap().unwrap());
    let sources = Sources { inputs: vec![input], baselines: baselines.into_iter().collect() };
    evaluate(sources, remembered, &config).unwrap()
}

/// Rules that made their full claim, those too that another finding tells.
fn full(evaluation: &Evaluation) -> BTreeSet<String> {
    let all = evaluation.findings.values().chain(evaluation.folded.values().map(|folded| &folded.spec));
    all.filter(|spec| spec.rule.claim == Claim::Full).map(|spec| spec.rule.id.clone()).collect()
}

/// What is said of a tenant as it is.
async fn said(file: &str, secret: &str, revision: u32) -> BTreeSet<String> {
    let world = World::start(file).await;
    full(&evaluated(scan(&world, secret, revision, 0).await, &EstateSpec::default(), None))
}

/// What is said where the customer declares environments, and a purpose.
async fn said_of_what_is_declared() -> BTreeSet<String> {
    let world = World::start(FULL).await;
    let id = |key: &str| world.server.estate().object_id(key).unwrap().to_owned();
    let environment = |name: &str, production: bool, tenants: &[&str], objects: Vec<String>| Environment {
        name: name.to_owned(),
        production,
        tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
        objects,
        ..Environment::default()
    };
    let estate = EstateSpec {
        environments: vec![
            environment("development", false, &[], vec![id("dev-mailer/sp")]),
            environment("production", true, &[&world.tenant], Vec::new()),
        ],
        declared_purposes: vec![DeclaredPurpose {
            identity: format!("entra:{}:ServicePrincipal:{}", world.tenant, id("file-indexer/sp")),
            systems: None,
            domains: Some(Vec::new()),
        }],
        ..EstateSpec::default()
    };
    full(&evaluated(scan(&world, FULL_SECRET, 2, 0).await, &estate, None))
}

/// What is said of a second scan: a role was widened, an identity got the tenant, a strong one a secret, and an owner left.
async fn said_of_what_changed() -> BTreeSet<String> {
    let mut text = FULL.to_owned();
    let world = World::start(&text).await;
    let then = scan(&world, FULL_SECRET, 2, 0).await;
    let first = evaluated(then.clone(), &EstateSpec::default(), None);
    for (was, is) in [
        (
            ", role: User Administrator, scope: /administrativeUnits/3c2b1a09-8f7e-4d6c-9b5a-0e1f2d3c4b5a",
            ", role: User Administrator",
        ),
        (
            "key: signe.admin, displayName: Signe Holm,",
            "key: signe.admin, accountEnabled: false, displayName: Signe Holm,",
        ),
    ] {
        assert_eq!(text.matches(was).count(), 1, "{was}");
        text = text.replace(was, is);
    }
    world.server.replace(Estate::parse(&text, Timestamp::now()).unwrap());
    world.mutate(serde_json::json!({"app": "nobody", "grantPermission": "RoleManagement.ReadWrite.Directory"}));
    world.mutate(serde_json::json!({"app": "tenant-setup", "addSecret": "for-a-test-only"}));
    let now = scan(&world, FULL_SECRET, 2, 1).await;
    full(&evaluated(now, &EstateSpec::default(), Some((&first, &then))))
}

/// The other way round is tested beside the report: no finding claims more than its cell.
#[tokio::test]
async fn what_is_called_full_comes_out_in_full() {
    let mut reached = said(DEMO, SECRET, 1).await;
    reached.append(&mut said(FULL, FULL_SECRET, 2).await);
    reached.append(&mut said_of_what_is_declared().await);
    reached.append(&mut said_of_what_changed().await);
    let rows = rows(&connectors().unwrap());
    let cells =
        rows.iter().filter(|row| row.connectors.iter().any(|of| of.connector == "entra" && of.cell == Cell::Full));
    let promised: BTreeSet<String> = cells.map(|row| row.id.to_owned()).collect();
    assert!(promised.len() > 20, "{promised:?}");
    assert_eq!(promised, reached, "promised and reached");
}

/// A rule about relations that no row tells of says nothing, and the catalogue knows that by the manifest alone.
#[tokio::test]
async fn a_manifest_names_the_relations_that_there_are() {
    let world = World::start(FULL).await;
    let input = scan(&world, FULL_SECRET, 2, 0).await;
    let told: BTreeSet<&str> = snapshot(&input).edges.iter().map(|row| row.kind.as_str()).collect();
    let connectors = connectors().unwrap();
    let named: BTreeSet<&str> = connectors[0].relations.iter().map(String::as_str).collect();
    assert_eq!((connectors.len(), connectors[0].system.as_str(), named), (1, "entra", told));
}
