//! What is stored of a deleted instance can be had deleted before its retention is over, and what is there cannot.

use serde_json::json;
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::program::Program;
use sv0_e2e::store::Store;
use sv0_e2e::world::{INSTANCE, PATIENCE};
use sv0_e2e::{Result, World, eventually};
use sv0_protocol::store::{reader_audience, snapshots_path};

fn uid(world: &World) -> Result<String> {
    let instance = world.kubectl.find(world.ns, "connectorinstance", INSTANCE)?.ok_or("the instance is gone")?;
    Ok(instance["metadata"]["uid"].as_str().ok_or("no UID")?.to_owned())
}

/// What the store lists of an instance's snapshots.
fn listed(world: &World, uid: &str) -> Result<String> {
    let token = world.token(SYSTEM, &format!("reader-{}", world.ns), &reader_audience(world.ns))?;
    Ok(String::from_utf8(Store::open(world)?.get(&snapshots_path(world.ns, uid), &token)?)?)
}

#[test]
fn what_is_gone_can_be_purged_and_what_is_there_cannot() -> Result<()> {
    let world = World::clean()?;
    let program = Program::build(&world.env)?;
    let purge = |arguments: &[&str]| -> Result<(bool, String)> {
        let output = program.run(&world.env.kubeconfig, &[&["purge", "-n", world.ns], arguments].concat())?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(said)?))
    };
    world.connect_demo()?;
    let (gone, scan) = (uid(&world)?, world.status()?["snapshot"]["id"].clone());
    let scan = scan.as_str().ok_or("no snapshot")?;
    assert!(listed(&world, &gone)?.contains(scan), "{}", listed(&world, &gone)?);

    // The same name once more is another instance.
    world.kubectl.run(&["delete", "connectorinstance", INSTANCE, "-n", world.ns])?;
    world.connect_demo()?;
    let there = uid(&world)?;
    let (_, told) = eventually("the store to know that the first one is gone", PATIENCE, || match purge(&[])? {
        (true, said) if said.contains(&gone) => Ok((true, said)),
        (_, said) => Err(said.into()),
    })?;
    assert!(told.contains("of 30 days") && told.contains("Nothing was changed") && !told.contains(&there), "{told}");
    assert!(listed(&world, &gone)?.contains(scan), "asking deletes nothing");

    let (done, said) = purge(&["--instance", &there, "--yes"])?;
    assert!(!done && said.contains("knows no instance"), "{said}");
    let (done, said) = purge(&["--instance", &gone, "--yes"])?;
    assert!(done && said.contains("The store deletes it"), "{said}");
    // When it goes is the store's to say: its own tests see it gone.
    let (_, told) = purge(&[])?;
    let line = told.lines().find(|line| line.contains(&gone)).unwrap_or_default();
    assert!(line.is_empty() || line.contains("is being deleted"), "{told}");
    let kept = world.status()?["snapshot"]["id"].clone();
    assert!(listed(&world, &there)?.contains(kept.as_str().ok_or("no snapshot")?), "what is there stays");
    // It serves the next evaluation as before.
    world.patch_instance(&json!({"suspend": false}))?;
    world.rescan().map(drop)
}
