//! A finding's life: it appears, it resolves only over complete collections, and it comes back.

use serde_json::{Value, json};
use sv0_e2e::{Result, World, estate};

fn state(world: &World, rule: &str) -> Result<Option<String>> {
    Ok(world.finding(rule, estate::BILLING)?.and_then(|f| f["spec"]["state"].as_str().map(str::to_owned)))
}

fn owner(enabled: bool) -> Value {
    json!({"user": {"id": estate::OWNER, "accountEnabled": enabled}})
}

#[test]
fn an_owner_is_disabled_and_enabled_again() -> Result<()> {
    let world = World::clean()?;
    world.connect()?;
    assert_eq!(state(&world, "ORPH-001")?, None, "the owner is active");

    world.vendor.mutate(&owner(false))?;
    world.rescan()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));

    world.vendor.mutate(&owner(true))?;
    world.rescan()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Resolved"));

    world.vendor.mutate(&owner(false))?;
    world.rescan()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"), "the same finding opens again");
    Ok(())
}

#[test]
fn a_refused_collection_resolves_nothing_and_names_the_permission() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&owner(false))?;
    world.connect()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));

    // The owner is active again, but nobody may see it.
    world.vendor.mutate(&owner(true))?;
    world.vendor.mutate(&json!({"revokePermission": "User.Read.All"}))?;
    let last = world.rescan()?;
    assert_eq!(last["outcome"], "Partial", "{last}");
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));
    let status = world.status()?;
    assert_eq!(status["permissionsMissing"], json!(["User.Read.All"]), "{status}");
    let gaps = status["coverage"]["gaps"].to_string();
    assert!(gaps.contains("ownerAccounts") && gaps.contains("User.Read.All"), "{gaps}");
    let message =
        world.wait_condition("PermissionsSufficient", "False", "PermissionMissing", sv0_e2e::world::PATIENCE)?;
    assert!(message.contains("User.Read.All"), "{message}");

    world.vendor.mutate(&json!({"grantPermission": "User.Read.All"}))?;
    assert_eq!(world.rescan()?["outcome"], "Complete");
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Resolved"));
    Ok(())
}

#[test]
fn a_lost_last_page_resolves_nothing() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&owner(false))?;
    world.connect()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));

    world.vendor.mutate(&owner(true))?;
    world.vendor.mutate(&json!({"dropLastPage": "applications"}))?;
    let last = world.rescan()?;
    assert_eq!(last["outcome"], "Partial", "{last}");
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));
    let gaps = world.status()?["coverage"]["gaps"].to_string();
    assert!(gaps.contains("applications"), "{gaps}");
    Ok(())
}

#[test]
fn a_collection_that_halves_resolves_nothing_until_confirmed() -> Result<()> {
    let world = World::clean()?;
    let mut file = estate::small(world.ns);
    let extra = (0..8).map(|n| {
        json!({"key": format!("filler{n}"), "displayName": format!("Filler {n}"), "owners": ["second"], "servicePrincipal": {}})
    });
    if let Some(applications) = file["applications"].as_array_mut() {
        applications.splice(0..0, extra);
    }
    world.vendor.set_estate(&file.to_string())?;
    world.vendor.mutate(&owner(false))?;
    world.connect()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));

    // Half of all applications vanish, the accused one among them, and every answer looks complete.
    let mut smaller = estate::small(world.ns);
    if let Some(applications) = smaller["applications"].as_array_mut() {
        applications.retain(|a| a["key"] != "billing");
    }
    world.vendor.set_estate(&smaller.to_string())?;
    assert_eq!(world.rescan()?["outcome"], "Complete");
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"), "one scan is not enough");
    assert_eq!(world.rescan()?["outcome"], "Complete");
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Resolved"), "a second complete scan confirms");
    Ok(())
}

#[test]
fn findings_of_a_removed_instance_are_deleted() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&owner(false))?;
    world.connect()?;
    assert_eq!(state(&world, "ORPH-001")?.as_deref(), Some("Open"));
    world.kubectl.run(&["delete", "connectorinstance", "-n", world.ns, sv0_e2e::world::INSTANCE])?;
    sv0_e2e::eventually("the findings to go", sv0_e2e::world::PATIENCE, || {
        let left = world.findings()?;
        if left.is_empty() { Ok(()) } else { Err(format!("{} findings are left", left.len()).into()) }
    })
}
