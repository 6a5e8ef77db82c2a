//! Authority that grows between two scans is told, and is no drift any more once the grown state is accepted, by whom the
//! API server's audit log tells. The roles are those of a person who runs the estate, used through `kubectl sv0` alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sv0_e2e::audit::Tail;
use sv0_e2e::estate::Tenant;
use sv0_e2e::program::{Person, READER};
use sv0_e2e::world::{INSTANCE, PATIENCE};
use sv0_e2e::{Result, World, eventually};

/// The one whose role is over an administrative unit in the shipped estate.
const HELPER: &str = "Helper of one unit";

/// The shipped estate with the helper's role over the whole tenant.
fn widened(world: &World) -> Result<String> {
    let yaml = std::fs::read_to_string(world.env.root.join("e2e/estate/estates/full.yaml"))?;
    let mut file = Tenant::load(&yaml, world.ns)?.document;
    let roles = file["directoryRoleAssignments"].as_array_mut().ok_or("no roles are assigned")?;
    let role = roles.iter_mut().find(|role| role["scope"].as_str().is_some_and(|scope| scope.starts_with("/adm")));
    role.ok_or("no role is over a unit")?["scope"] = json!("/");
    Ok(file.to_string())
}

/// State and the whole claim of the finding of `rule` about the helper.
fn about_helper(world: &World, rule: &str) -> Result<Option<(String, bool)>> {
    let all = world.findings()?;
    let about =
        |finding: &&Value| finding["spec"]["rule"]["id"] == rule && finding["spec"]["subject"]["name"] == HELPER;
    let text = |finding: &Value| finding["spec"]["state"].as_str().unwrap_or_default().to_owned();
    Ok(all.iter().find(about).map(|finding| (text(finding), finding["spec"]["rule"]["claim"] == "Full")))
}

#[test]
fn a_role_that_grows_is_drift_until_it_is_accepted() -> Result<()> {
    let world = World::clean()?;
    let person = Person::new(&world, "owner", &[READER[0], "securityv0-editor"])?;
    world.connect_shipped("full.yaml")?;
    world.patch_instance(&json!({"acceptedCollectionRevision": 2}))?;
    // What stands when drift is first asked about is accepted by the person, with all that is read by now.
    let scan = ["scan", INSTANCE, "-n", world.ns, "--wait"];
    person.told(&scan)?;
    world.wait_evaluated()?;
    person.told(&["baseline", "accept", "-n", world.ns])?;
    eventually("an evaluation against the accepted snapshot", PATIENCE, || {
        let shown = person.told(&["baseline", "show", "-n", world.ns])?;
        let estate = world.kubectl.get(&["-n", world.ns, "estates.securityv0.com", "default"])?;
        let baselines = estate["status"]["baselines"].to_string();
        if baselines.contains(r#""accepted":true"#) { Ok(()) } else { Err(format!("{shown}{baselines}").into()) }
    })?;
    assert_eq!(about_helper(&world, "DRIFT-002")?, None);

    world.vendor.set_estate(&widened(&world)?)?;
    person.told(&scan)?;
    world.wait_evaluated()?;
    assert_eq!(about_helper(&world, "DRIFT-002")?, Some(("Open".to_owned(), true)));
    let listed = person.told(&["findings", "-n", world.ns, "--rule", "DRIFT-002", "-o", "name"])?;
    let [name] = &listed.lines().collect::<Vec<_>>()[..] else {
        return Err(format!("not one finding: {listed}").into());
    };
    let told = person.told(&["explain", name, "-n", world.ns])?;
    assert!(told.contains("over the whole tenant") && told.contains("administrativeUnits"), "{told}");

    // A declaration alone: what the helper's role reaches now is production, and it is not.
    let helper = world.vendor.expectations()?["nearMisses"].as_array().and_then(|rows| {
        rows.iter().find(|row| row["rule"] == "UNB-001" && row["why"].to_string().contains("bounded")).cloned()
    });
    let helper = helper.ok_or("the estate no longer expects the helper")?["subject"].clone();
    let instance = world.kubectl.get(&["-n", world.ns, "connectorinstance", INSTANCE])?;
    let environments = json!([
        {"name": "development", "production": false, "objects": [helper]},
        {"name": "production", "production": true, "tenants": [instance["spec"]["entra"]["tenantId"]]},
    ]);
    let scans = world.status()?["lastScan"]["id"].clone();
    let patch = json!({"spec": {"environments": environments}}).to_string();
    world.kubectl.run(&["patch", "estates.securityv0.com", "default", "-n", world.ns, "--type=merge", "-p", &patch])?;
    eventually("what development reaches", PATIENCE, || match about_helper(&world, "XSYS-006")? {
        Some((state, true)) if state == "Open" => Ok(()),
        other => Err(format!("{other:?}").into()),
    })?;

    let mut log = world.env.audit_log.as_deref().map(Tail::from_now).transpose()?;
    person.told(&["baseline", "accept", "-n", world.ns])?;
    eventually("the accepted drift's end", PATIENCE, || match about_helper(&world, "DRIFT-002")? {
        Some((state, _)) if state == "Resolved" => Ok(()),
        other => Err(format!("{other:?}").into()),
    })?;
    assert_eq!(world.status()?["lastScan"]["id"], scans, "no scan was needed for either");
    assert!(about_helper(&world, "XSYS-006")?.is_some_and(|(state, _)| state == "Open"), "that is no drift");
    if let Some(log) = &mut log {
        let events = log.read()?;
        let mut changes = events.iter().filter(|event| event.resource == "estates" && event.is_write());
        assert!(changes.any(|event| event.user == person.user && event.name == "default"), "{events:?}");
    }
    Ok(())
}

/// Every command that reads the cluster, as a person with the reader's roles: it works, and prints what it is asked for.
#[test]
fn a_reader_gets_everything_from_the_program() -> Result<()> {
    let world = World::clean()?;
    world.connect_shipped("demo.yaml")?;
    let reader = Person::new(&world, "reader", &READER)?;
    let json = reader.told(&["findings", "-n", world.ns, "-o", "json"])?;
    let listed: Value = serde_json::from_str(&json)?;
    let listed = listed["items"].as_array().map_or(0, Vec::len);
    assert_eq!(listed, world.findings()?.len());
    let table = reader.told(&["findings", "-n", world.ns])?;
    let names = reader.told(&["findings", "-n", world.ns, "-o", "name"])?;
    for name in names.lines() {
        let told = reader.told(&["explain", name, "-n", world.ns])?;
        assert!(told.contains("What to do") || told.contains("WHAT TO DO"), "{told}");
        let picture = reader.told(&["graph", name, "-n", world.ns])?;
        assert!(picture.starts_with("<svg"), "{picture}");
    }
    assert_eq!(names.lines().count(), listed, "{table}");
    let report = reader.file("report.html");
    reader.told(&["report", "-n", world.ns, "-o", &report])?;
    let page = std::fs::read_to_string(&report)?;
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{}", &page[..80]);
    for (format, begins) in [("sarif", "{"), ("ocsf", "{"), ("openreports", "{"), ("csv", "")] {
        let out = reader.told(&["export", "-n", world.ns, "-o", format])?;
        assert!(out.starts_with(begins) && out.len() > 1000, "{format}: {out}");
    }
    let refused = reader.run(&["baseline", "accept", "-n", world.ns])?;
    assert!(!refused.status.success(), "a reader accepts nothing");
    let refused = reader.run(&["scan", INSTANCE, "-n", world.ns])?;
    assert!(!refused.status.success(), "a reader starts no scan");
    Ok(())
}
