//! Uninstalling leaves nothing hanging and says what remains, and a later installation goes on where this one ended.
//! The last of the tests by name, since it takes the product away; it puts it back.

use std::time::Duration;

use serde_json::{Value, json};
use sv0_e2e::deploy::{self, Options, RELEASE, SYSTEM, helm};
use sv0_e2e::world::{ESTATES, INSTANCE, PATIENCE};
use sv0_e2e::{Result, World, estate, eventually};

/// The estate whose namespace is deleted.
const GOING: &str = ESTATES[0];
/// The one that stays.
const STAYING: &str = ESTATES[1];

/// Makes the whole installation again when a step in between failed, so that other tests find one.
struct PutBack<'a>(&'a World);

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        // Without the mark the next test installs; all that is needed is that it sees the truth.
        let forget = ["delete", "configmap", "-n", SYSTEM, "e2e-installed", "--ignore-not-found"];
        if let Err(e) = self.0.kubectl.run(&forget) {
            eprintln!("the mark of the installation stays: {e}");
        }
    }
}

/// Names, UIDs and content of an estate's Findings: what must not change.
fn findings(world: &World, namespace: &str) -> Result<Vec<Value>> {
    let list = world.kubectl.list(namespace, "findings")?;
    Ok(list.into_iter().map(|f| json!([f["metadata"]["name"], f["metadata"]["uid"], f["spec"]])).collect())
}

/// Scans and evaluates the estate that stays, once with findings.
fn settle(world: &mut World) -> Result<Vec<Value>> {
    world.ns = STAYING;
    world.vendor.mutate(&json!({"user": {"id": estate::OWNER, "accountEnabled": false}}))?;
    world.secret(estate::TENANT, estate::SECRET)?;
    world.connect_with_secret()?;
    world.wait_evaluated()?;
    let found = findings(world, STAYING)?;
    assert!(!found.is_empty(), "nothing to continue with");
    world.ns = GOING;
    world.connect()?;
    assert!(!findings(world, GOING)?.is_empty(), "no findings in the namespace that goes");
    Ok(found)
}

/// Leaves a scan of [`GOING`] waiting for its vendor.
fn begin_a_slow_scan(world: &World) -> Result<()> {
    world.vendor.mutate(&json!({"fault": {"route": "applications", "status": 429, "times": 9, "retryAfter": 20}}))?;
    world.request_scan("while-uninstalling")?;
    eventually("a running scan", PATIENCE, || {
        let running = world.kubectl.list(GOING, "pods")?.iter().any(|pod| pod["status"]["phase"] == "Running");
        if running { Ok(()) } else { Err("no scan pod runs".into()) }
    })
}

#[test]
fn uninstalling_hangs_nowhere_and_installing_goes_on() -> Result<()> {
    let mut world = World::clean()?;
    let kept = settle(&mut world)?;
    begin_a_slow_scan(&world)?;
    let world = world;
    let back = PutBack(&world);

    // What remains is said before (the release's notes) and while it happens (what helm kept).
    let notes = helm(&world.env, &["get", "notes", RELEASE, "-n", SYSTEM])?;
    for remains in ["definitions", "objects", "data-securityv0-store-0"] {
        assert!(notes.contains(remains), "the notes do not name what remains ({remains}):\n{notes}");
    }
    world.kubectl.run(&["delete", "configmap", "-n", SYSTEM, "e2e-installed"])?;
    let said = helm(&world.env, &["uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "2m"])?;
    for namespace in ESTATES {
        assert!(
            said.contains(&format!("[Namespace] {namespace}")),
            "helm does not say that {namespace} was kept:\n{said}"
        );
    }
    let claim = world.kubectl.find(SYSTEM, "persistentvolumeclaim", "data-securityv0-store-0")?;
    assert!(claim.is_some(), "the store's volume claim is gone");

    // The definitions stay, and with them what was found.
    for kind in ["connectorinstances", "scanschedules", "estates", "findings", "findingexceptions"] {
        world.kubectl.get(&["crd", &format!("{kind}.securityv0.com")])?;
    }
    assert_eq!(findings(&world, STAYING)?, kept, "findings are readable without the operator");

    // Nobody is there to remove a finalizer, so there must be none.
    for kind in ["connectorinstances", "scanschedules", "estates.securityv0.com", "findings"] {
        for object in world.kubectl.list(GOING, kind)? {
            assert!(object["metadata"]["finalizers"].is_null(), "{kind} {}", object["metadata"]);
        }
    }
    world.kubectl.run(&["delete", "namespace", GOING, "--wait=false"])?;
    eventually("the namespace's end", Duration::from_mins(1), || {
        let namespace = world.kubectl.run(&["get", "namespace", GOING, "--ignore-not-found", "-o", "json"])?;
        if namespace.trim().is_empty() { Ok(()) } else { Err(namespace.into()) }
    })?;

    go_on(&world, &kept)?;
    drop(back);
    Ok(())
}

/// Installs again: the old findings are still the same objects, and stay so after another scan.
fn go_on(world: &World, kept: &[Value]) -> Result<()> {
    world.vendor.clear_faults()?;
    let options = Options { estates: ESTATES.map(str::to_owned).to_vec(), values: Value::Null };
    deploy::operator(&world.env, &world.kubectl, &options)?;
    assert_eq!(findings(world, STAYING)?, kept, "an installation changes no finding");
    world.kubectl.run(&[
        "annotate",
        "--overwrite",
        "-n",
        STAYING,
        "connectorinstance",
        INSTANCE,
        "securityv0.com/scan-requested=again",
    ])?;
    eventually("a scan and its evaluation", PATIENCE, || {
        let instance = world.kubectl.get(&["-n", STAYING, "connectorinstance", INSTANCE])?["status"].clone();
        let status = world.kubectl.get(&["-n", STAYING, "estates.securityv0.com", "default"])?["status"].clone();
        let same = status["inputs"][0]["snapshotDigest"] == instance["snapshot"]["digest"];
        let done = instance["lastHandledScanRequest"] == "again" && instance["activeScan"].is_null();
        if same && done { Ok(()) } else { Err(format!("{instance} {status}").into()) }
    })?;
    assert_eq!(findings(world, STAYING)?, kept, "the old findings are continued");
    Ok(())
}
