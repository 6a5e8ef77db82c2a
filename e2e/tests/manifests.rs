//! Bad manifests are refused by the API server, with a sentence that says what to change.

use serde_json::{Value, json};
use sv0_e2e::{Result, World, estate};

fn refused(world: &World, manifest: &Value, sentence: &str) -> Result<()> {
    match world.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &manifest.to_string()) {
        Ok(_) => Err(format!("was accepted: {manifest}").into()),
        Err(e) if e.to_string().contains(sentence) => Ok(()),
        Err(e) => Err(format!("refused, but without \"{sentence}\": {e}").into()),
    }
}

#[test]
fn each_bad_instance_is_told_what_to_change() -> Result<()> {
    let world = World::clean()?;
    let good = world.instance(&json!({"workloadIdentity": {}}));
    world.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &good.to_string())?;
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(object) = bad.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            if value.is_null() {
                object.remove(key);
            } else {
                object.insert(key.to_owned(), value);
            }
        }
        bad
    };
    refused(&world, &with("/spec/entra", Value::Null), "exactly one source block")?;
    refused(&world, &with("/spec/entra/auth", json!({})), "exactly one member")?;
    let both = json!({"workloadIdentity": {}, "clientSecret": {"secretName": "sv0-entra"}});
    refused(&world, &with("/spec/entra/auth", both), "exactly one member")?;
    refused(&world, &with("/spec/entra/auth", json!({"password": {}})), "unknown field")?;
    refused(
        &world,
        &with("/spec/entra/auth", json!({"clientSecret": {"secretName": "entra"}})),
        "must begin with 'sv0-'",
    )?;
    refused(&world, &with("/spec/entra/tenantId", json!("fabrikam.example")), "must be the directory (tenant) ID")?;
    refused(&world, &with("/spec/serviceAccountName", json!("default")), "made for scans")?;
    refused(&world, &with("/spec/system", json!("Oracle")), "Unsupported value")?;
    refused(&world, &with("/metadata/name", json!("x".repeat(41))), "at most 40 characters")
}

#[test]
fn the_tenant_of_an_instance_cannot_change() -> Result<()> {
    let world = World::clean()?;
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["spec"]["suspend"] = json!(true);
    world.kubectl.apply(&instance.to_string())?;
    instance["spec"]["entra"]["tenantId"] = json!("00000000-0000-4000-8000-000000000001");
    let error = world.kubectl.apply(&instance.to_string()).expect_err("the tenant changed").to_string();
    assert!(error.contains("create another ConnectorInstance"), "{error}");
    assert_eq!(
        world.kubectl.get(&["-n", world.ns, "connectorinstance", sv0_e2e::world::INSTANCE])?["spec"]["entra"]["tenantId"],
        estate::TENANT
    );
    Ok(())
}

#[test]
fn each_bad_schedule_is_told_what_to_change() -> Result<()> {
    let world = World::clean()?;
    let schedule = |spec: Value| {
        json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
               "metadata": {"name": "nightly", "namespace": world.ns}, "spec": spec})
    };
    let good = schedule(json!({"schedule": "15 2 * * 1-5", "timeZone": "Europe/Berlin"})).to_string();
    world.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &good)?;
    refused(&world, &schedule(json!({"schedule": "every night"})), "schedule")?;
    refused(&world, &schedule(json!({"schedule": "61 2 * * *"})), "schedule")?;
    refused(&world, &schedule(json!({"schedule": "0 2 * * *", "timeZone": "no zone!"})), "timeZone")?;
    refused(&world, &schedule(json!({"schedule": "0 2 * * *", "jitter": "soon"})), "jitter")
}

#[test]
fn an_estate_is_named_default() -> Result<()> {
    let world = World::clean()?;
    let estate = json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "Estate",
                        "metadata": {"name": "mine", "namespace": world.ns}, "spec": {}});
    refused(&world, &estate, "default")
}
