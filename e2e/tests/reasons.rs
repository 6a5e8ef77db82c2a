//! Everything that can be wrong has a reason and a sentence of its own within a minute, costs at most three token
//! requests, leaves earlier findings alone, and heals without a restart once the cause is mended.

use std::time::Duration;

use serde_json::json;
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::world::{INSTANCE, PATIENCE};
use sv0_e2e::{Result, World, estate, eventually};

/// A minute for the operator, and a little for the machine that runs the test.
const SOON: Duration = Duration::from_secs(75);

/// One thing that breaks and is mended again.
struct Break<'a> {
    reason: &'a str,
    /// A part of the sentence that says what to change.
    says: &'a str,
    cause: &'a dyn Fn(&World) -> Result<()>,
    mend: &'a dyn Fn(&World) -> Result<()>,
}

fn goes_wrong_and_heals(world: &World, case: &Break) -> Result<()> {
    let findings = world.versions()?;
    let wrap = |step: &str, e: sv0_e2e::Error| format!("{}, {step}: {e}", case.reason);
    (case.cause)(world).map_err(|e| wrap("cause", e))?;
    world.vendor.reset_counters()?;
    world.request_scan(&format!("break-{}", case.reason))?;
    let message = world.wait_condition("Ready", "False", case.reason, SOON).map_err(|e| wrap("condition", e))?;
    assert!(message.contains(case.says), "{}: \"{message}\" does not say \"{}\"", case.reason, case.says);
    assert!(world.vendor.token_requests()? <= 3, "{}: {}", case.reason, world.vendor.counters()?);
    assert_eq!(world.versions()?, findings, "{}: earlier findings were touched", case.reason);

    (case.mend)(world).map_err(|e| wrap("mend", e))?;
    world.request_scan(&format!("mend-{}", case.reason))?;
    eventually(&format!("recovery from {}", case.reason), PATIENCE, || {
        let status = world.status()?;
        let ready = sv0_e2e::world::condition(&status, "Ready").is_some_and(|c| c["status"] == "True");
        if ready && status["activeScan"].is_null() { Ok(()) } else { Err(status.to_string().into()) }
    })?;
    // What the recovered scan brings is evaluated before the next thing breaks.
    world.wait_evaluated()
}

/// The tenant as it was when the findings were made: its owner disabled.
fn original(world: &World) -> Result<()> {
    world.vendor.set_estate(&estate::small(world.ns).to_string())?;
    world.vendor.mutate(&json!({"user": {"id": estate::OWNER, "accountEnabled": false}}))
}

/// A world with one finding, so that "untouched" means something.
fn connected_by(secret: bool) -> Result<World> {
    let world = World::clean()?;
    let disabled = json!({"user": {"id": estate::OWNER, "accountEnabled": false}});
    world.vendor.mutate(&disabled)?;
    if secret {
        world.secret(estate::TENANT, estate::SECRET)?;
        world.connect_with_secret()?;
        world.wait_evaluated()?;
    } else {
        world.connect()?;
    }
    assert!(!world.findings()?.is_empty(), "no finding to keep");
    Ok(world)
}

#[test]
fn secrets() -> Result<()> {
    let world = connected_by(true)?;
    let good: &dyn Fn(&World) -> Result<()> = &|w| w.secret(estate::TENANT, estate::SECRET);
    let cases = [
        Break {
            reason: "CredentialInvalid",
            says: "value",
            cause: &|w| w.secret(estate::TENANT, "wrong-value"),
            mend: good,
        },
        Break {
            reason: "TargetMismatch",
            says: "target",
            cause: &|w| w.secret("00000000-0000-4000-8000-000000000001", estate::SECRET),
            mend: good,
        },
        Break {
            reason: "CredentialMissing",
            says: "clientSecret",
            cause: &|w| w.kubectl.run(&["delete", "secret", "sv0-entra", "-n", w.ns]).map(|_| ()),
            mend: good,
        },
        Break {
            reason: "CredentialExpired",
            says: "expired",
            cause: &|w| w.vendor.mutate(&json!({"expireSecret": true})),
            mend: &original,
        },
    ];
    for case in &cases {
        goes_wrong_and_heals(&world, case)?;
    }
    Ok(())
}

#[test]
fn tenant_and_application() -> Result<()> {
    let world = connected_by(false)?;
    let cases = [
        Break {
            reason: "TenantNotFound",
            says: "tenant ID",
            cause: &|w| {
                let mut file = estate::small(w.ns);
                file["tenant"]["id"] = json!("00000000-0000-4000-8000-000000000002");
                w.vendor.set_estate(&file.to_string())
            },
            mend: &original,
        },
        Break {
            reason: "AppNotInTenant",
            says: "clientId",
            cause: &|w| w.vendor.mutate(&json!({"appMissing": true})),
            mend: &original,
        },
        Break {
            reason: "AppDisabled",
            says: "nable",
            cause: &|w| w.vendor.mutate(&json!({"disableApp": true})),
            mend: &original,
        },
        Break {
            reason: "ServicePrincipalMissing",
            says: "consent",
            cause: &|w| w.vendor.mutate(&json!({"servicePrincipalMissing": true})),
            mend: &original,
        },
        Break {
            reason: "FederationMismatch",
            says: "subject",
            cause: &|w| w.vendor.set_estate(&estate::small("somewhere-else").to_string()),
            mend: &original,
        },
    ];
    for case in &cases {
        goes_wrong_and_heals(&world, case)?;
    }
    Ok(())
}

#[test]
fn what_the_cluster_refuses() -> Result<()> {
    let world = connected_by(false)?;
    let account: &dyn Fn(&World) -> Result<()> = &|w| sv0_e2e::deploy::scan_account(&w.kubectl, w.ns);
    let cases = [
        Break {
            reason: "ServiceAccountMissing",
            says: "spec.serviceAccountName",
            cause: &|w| w.kubectl.run(&["delete", "serviceaccount", "scanner", "-n", w.ns]).map(|_| ()),
            mend: account,
        },
        Break {
            reason: "ServiceAccountNotAllowed",
            says: "securityv0.com/scan",
            cause: &|w| {
                w.kubectl.run(&["label", "serviceaccount", "scanner", "-n", w.ns, "securityv0.com/scan-"]).map(|_| ())
            },
            mend: account,
        },
        Break {
            reason: "QuotaExceeded",
            says: "ResourceQuota",
            cause: &|w| w.kubectl.run(&["create", "quota", "none", "--hard=pods=0", "-n", w.ns]).map(|_| ()),
            mend: &|w| w.kubectl.run(&["delete", "quota", "none", "-n", w.ns]).map(|_| ()),
        },
        Break {
            reason: "PodRefused",
            says: "admission",
            cause: &|w| {
                let limits = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tiny", "namespace": w.ns},
                    "spec": {"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]}});
                w.kubectl.apply(&limits.to_string()).map(|_| ())
            },
            mend: &|w| w.kubectl.run(&["delete", "limitrange", "tiny", "-n", w.ns]).map(|_| ()),
        },
        Break {
            reason: "Unschedulable",
            says: "node",
            cause: &|w| w.kubectl.run(&["cordon", "-l", "kubernetes.io/os=linux"]).map(|_| ()),
            mend: &|w| w.kubectl.run(&["uncordon", "-l", "kubernetes.io/os=linux"]).map(|_| ()),
        },
    ];
    for case in &cases {
        let outcome = goes_wrong_and_heals(&world, case);
        if outcome.is_err() {
            // Leave a cordoned node to nobody.
            (case.mend)(&world).ok();
        }
        outcome?;
    }
    Ok(())
}

#[test]
fn a_namespace_that_is_no_estate_is_told_so() -> Result<()> {
    let world = World::clean()?;
    world
        .kubectl
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-stranger"}}).to_string())?;
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["metadata"]["namespace"] = json!("e2e-stranger");
    world.kubectl.apply(&instance.to_string())?;
    let seen = eventually("Stalled=NotAnEstate", SOON, || {
        let found = world.kubectl.get(&["-n", "e2e-stranger", "connectorinstance", INSTANCE])?;
        let stalled = sv0_e2e::world::condition(&found["status"], "Stalled").cloned().unwrap_or_default();
        if stalled["reason"] == "NotAnEstate" { Ok(stalled) } else { Err(found["status"].to_string().into()) }
    });
    world.kubectl.run(&["delete", "namespace", "e2e-stranger", "--timeout=60s"])?;
    assert!(seen?["message"].as_str().is_some_and(|m| m.contains("estates")));
    Ok(())
}

/// An evaluation takes 256 instances. Whoever comes later is told so and nothing is asked in its name, and takes the place of
/// one that leaves.
#[test]
fn an_estate_takes_as_many_instances_as_an_evaluation_does() -> Result<()> {
    let world = World::clean()?;
    let others: Vec<_> = (0..sv0_protocol::MAX_INSTANCES)
        .map(|n| {
            let mut other = world.instance(&json!({"workloadIdentity": {}}));
            other["metadata"]["name"] = json!(format!("older-{n}"));
            other["spec"]["suspend"] = json!(true);
            other
        })
        .collect();
    world.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": others}).to_string())?;
    // Age is counted in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    world.vendor.reset_counters()?;
    world.kubectl.apply(&world.instance(&json!({"workloadIdentity": {}})).to_string())?;
    let message = world.wait_condition("Stalled", "True", "EstateFull", SOON)?;
    assert!(message.contains("another estate"), "{message}");
    assert_eq!(world.vendor.token_requests()?, 0, "{}", world.vendor.counters()?);

    world.kubectl.run(&["delete", "connectorinstance", "older-7", "-n", world.ns])?;
    world.wait_condition("Ready", "True", "ScanComplete", PATIENCE)?;
    world.wait_evaluated()
}

#[test]
fn a_schedule_that_can_never_fire_is_told_so() -> Result<()> {
    let world = World::clean()?;
    for (name, spec, says) in [
        ("impossible", json!({"schedule": "0 0 30 2 *"}), "schedule"),
        ("nowhere", json!({"schedule": "0 0 * * *", "timeZone": "Mars/Olympus"}), "timeZone"),
    ] {
        let schedule = json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
                              "metadata": {"name": name, "namespace": world.ns}, "spec": spec});
        world.kubectl.apply(&schedule.to_string())?;
        let message = eventually("Stalled=InvalidSchedule", SOON, || {
            let found = world.kubectl.get(&["-n", world.ns, "scanschedule", name])?;
            let stalled = sv0_e2e::world::condition(&found["status"], "Stalled").cloned().unwrap_or_default();
            if stalled["reason"] == "InvalidSchedule" {
                Ok(stalled["message"].to_string())
            } else {
                Err(found["status"].to_string().into())
            }
        })?;
        assert!(message.contains(says), "{message}");
    }
    Ok(())
}

#[test]
fn a_lying_vendor_is_refused_and_never_followed() -> Result<()> {
    let world = connected_by(false)?;
    let findings = world.versions()?;
    for (lie, outcome) in [
        (json!({"hostile": "nextlink-other-origin", "hostileRoute": "applications"}), "Partial"),
        (json!({"hostile": "repeat-cursor", "hostileRoute": "applications"}), "Partial"),
        (json!({"hostile": "huge-body", "hostileRoute": "applications"}), "Partial"),
        (json!({"hostile": "deep-json", "hostileRoute": "applications"}), "Partial"),
        (json!({"hostile": "foreign-tenant", "hostileRoute": "*"}), "Failed"),
        (json!({"redirect": "attacker.example"}), "Failed"),
    ] {
        original(&world)?;
        world.vendor.mutate(&lie)?;
        let last = world.scan()?;
        assert_eq!(last["outcome"], outcome, "{lie}: {last}");
        // What the lie could make us say: nothing is resolved, nothing is accused anew.
        let now: Vec<String> = world.findings()?.iter().map(|f| f["spec"]["state"].to_string()).collect();
        assert!(now.iter().all(|s| s == "\"Open\"") && now.len() == findings.len(), "{lie}: {now:?}");
    }
    let message = world.wait_condition("Ready", "False", "ResponseRefused", SOON)?;
    assert!(!message.contains("attacker.example"), "vendor text in a condition: {message}");
    Ok(())
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_so() -> Result<()> {
    let world = connected_by(false)?;
    let broken = r#"{"data":{"config.yaml":"PLACE"}}"#;
    let map = world.kubectl.get(&["-n", SYSTEM, "configmap", "securityv0-config"])?;
    let config = map["data"]["config.yaml"].as_str().unwrap_or_default();
    let missing = config.replace(&world.env.image, "securityv0.local/operator:missing");
    assert_ne!(config, missing, "the configuration names the image");
    let patch = |text: &str| broken.replace("\"PLACE\"", &json!(text).to_string());
    let set = |text: &str, actions: &str| -> Result<()> {
        world.kubectl.run(&[
            "-n",
            SYSTEM,
            "patch",
            "configmap",
            "securityv0-config",
            "--type=merge",
            "-p",
            &patch(text),
        ])?;
        // The policy on Jobs would refuse the foreign image before a node ever tries to pull it: let it warn only.
        let policies = world.kubectl.run(&["get", "validatingadmissionpolicybindings", "-o", "name"])?;
        for binding in policies.lines().filter(|l| l.contains("securityv0") && l.contains("job")) {
            let actions = format!(r#"{{"spec":{{"validationActions":["{actions}"]}}}}"#);
            world.kubectl.run(&["patch", binding, "--type=merge", "-p", &actions])?;
        }
        world.kubectl.run(&["-n", SYSTEM, "rollout", "restart", "deployment/securityv0-manager"])?;
        world
            .kubectl
            .run(&["-n", SYSTEM, "rollout", "status", "deployment/securityv0-manager", "--timeout=60s"])
            .map(|_| ())
    };
    set(&missing, "Warn")?;
    world.request_scan("image")?;
    let seen = world.wait_condition("Ready", "False", "ImagePullFailed", SOON);
    set(config, "Deny")?;
    assert!(seen?.contains("image"));
    world.request_scan("image-mended")?;
    eventually("recovery", PATIENCE, || {
        let status = world.status()?;
        let ready = sv0_e2e::world::condition(&status, "Ready").is_some_and(|c| c["status"] == "True");
        if ready { Ok(()) } else { Err(status.to_string().into()) }
    })
}
