//! Accepted risks: an exception turns Findings to Accepted and back without any scan, by those alone who may.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::world::{ESTATES, PATIENCE, condition};
use sv0_e2e::{Result, World, estate, eventually};

const NAME: &str = "known-owner";
const RULE: &str = "ORPH-001";

/// A world whose only owner is disabled, which is what `RULE` says of it.
fn world_with_a_finding() -> Result<World> {
    let world = World::clean()?;
    world.vendor.mutate(&json!({"user": {"id": estate::OWNER, "accountEnabled": false}}))?;
    world.connect()?;
    assert_eq!(finding(&world)?["state"], "Open");
    Ok(world)
}

fn finding(world: &World) -> Result<Value> {
    Ok(world.finding(RULE, estate::BILLING)?.ok_or("the finding is gone")?["spec"].clone())
}

/// An exception for the finding's rule that ends this far from now.
fn exception(namespace: &str, ends_in: SignedDuration) -> Value {
    json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "FindingException",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "match": {"rules": [RULE]}, "owner": "identity-team@fabrikam.example",
            "reason": "The owner is on leave; the second owner follows in the next review.",
            "expiresAt": estate::from_now(ends_in),
        },
    })
}

fn stored(world: &World) -> Result<Value> {
    Ok(world.kubectl.find(world.ns, "findingexceptions", NAME)?.ok_or("the exception is gone")?)
}

fn estate_status(world: &World) -> Result<Value> {
    Ok(world.kubectl.get(&["-n", world.ns, "estates.securityv0.com", "default"])?["status"].clone())
}

/// Waits until the finding is in `state`; gives its spec.
fn wait_state(world: &World, state: &str, limit: Duration) -> Result<Value> {
    eventually(&format!("the finding to be {state}"), limit, || {
        let spec = finding(world)?;
        if spec["state"] == state { Ok(spec) } else { Err(format!("it is {}", spec["state"]).into()) }
    })
}

/// Waits until the present generation of the exception has been evaluated with this outcome; gives the whole object.
fn wait_told(world: &World, status: &str, reason: &str) -> Result<Value> {
    eventually(&format!("the exception to say Active={status}, {reason}"), PATIENCE, || {
        let object = stored(world)?;
        let current = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        let active = condition(&object["status"], "Active").cloned().unwrap_or_default();
        if current && active["status"] == status && active["reason"] == reason {
            return Ok(object);
        }
        Err(format!("generation {}, status {}", object["metadata"]["generation"], object["status"]).into())
    })
}

fn change(world: &World, spec: &Value) -> Result<()> {
    let patch = json!({ "spec": spec }).to_string();
    world.kubectl.run(&["patch", "findingexceptions", NAME, "-n", world.ns, "--type=merge", "-p", &patch]).map(|_| ())
}

#[test]
fn a_risk_is_accepted_and_open_again_at_its_end_without_a_scan() -> Result<()> {
    let world = world_with_a_finding()?;
    let scans = world.status()?["lastScan"]["id"].clone();
    let before = finding(&world)?;
    let open = estate_status(&world)?["counts"]["byState"]["open"].clone();

    // By rule and subject together, as somebody would who reads the Finding.
    let mut wish = exception(world.ns, SignedDuration::from_hours(1));
    let part = |name: &str| before["subject"][name].as_str().unwrap_or_default().to_owned();
    let subject = format!("{}:{}:{}:{}", part("system"), part("tenant"), part("kind"), part("id"));
    wish["spec"]["match"]["subjects"] = json!([subject]);
    world.kubectl.apply(&wish.to_string())?;
    let accepted = wait_state(&world, "Accepted", PATIENCE)?;
    assert_eq!(accepted["acceptance"]["exception"], NAME);
    assert_eq!(accepted["acceptance"]["owner"], "identity-team@fabrikam.example");
    assert_eq!(accepted["acceptance"]["until"], wish["spec"]["expiresAt"]);
    for field in ["contentDigest", "firstObserved", "evidence", "path", "remediation", "title"] {
        assert_eq!(accepted[field], before[field], "{field} is not the exception's to change");
    }
    let told = wait_told(&world, "True", "Active")?;
    assert_eq!(told["status"]["matchedFindings"], 1, "{told}");
    let status = eventually("the Estate's count", PATIENCE, || {
        let status = estate_status(&world)?;
        if status["exceptions"]["active"] == 1 { Ok(status) } else { Err(status.to_string().into()) }
    })?;
    assert_eq!(status["counts"]["byState"]["accepted"], 1, "{status}");
    assert_eq!(status["counts"]["byState"]["open"].as_i64(), open.as_i64().map(|n| n - 1), "{status}");
    let selected = world.kubectl.run(&[
        "get",
        "findings",
        "-n",
        world.ns,
        "--field-selector=spec.state=Accepted",
        "--selector=securityv0.com/state=Accepted",
        "-o",
        "name",
    ])?;
    assert_eq!(selected.lines().count(), 1, "{selected}");
    let table = world.kubectl.run(&["get", "findingexceptions", "-n", world.ns])?;
    assert!(table.contains("identity-team@fabrikam.example"), "{table}");

    // What the evaluation writes about the exception must not cause the next evaluation.
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(estate_status(&world)?["asOf"], status["asOf"], "evaluations follow each other without a cause");

    // The end comes by time alone: once the new end is evaluated, nothing is changed any more.
    let end = estate::from_now(SignedDuration::from_secs(60));
    change(&world, &json!({"expiresAt": end}))?;
    wait_told(&world, "True", "Active").map_err(|e| format!("the end was not evaluated before it came: {e}"))?;
    assert_eq!(finding(&world)?["acceptance"]["until"], end.as_str());
    // The Estate's status is the last that an evaluation writes.
    eventually("the end as the next transition", PATIENCE, || {
        let status = estate_status(&world)?;
        if status["nextTransition"] == end.as_str() { Ok(()) } else { Err(status.to_string().into()) }
    })?;
    let opened = wait_state(&world, "Open", Duration::from_mins(3))?;
    assert_eq!(opened, before, "nothing of the acceptance is left");
    wait_told(&world, "False", "Expired")?;
    let status = eventually("the Estate's count", PATIENCE, || {
        let status = estate_status(&world)?;
        if status["exceptions"]["expired"] == 1 { Ok(status) } else { Err(status.to_string().into()) }
    })?;
    let as_of: Timestamp = status["asOf"].as_str().unwrap_or_default().parse()?;
    assert!(as_of >= end.parse::<Timestamp>()?, "{status}");
    assert_eq!(status["counts"]["byState"]["open"], open, "{status}");
    assert_eq!(world.status()?["lastScan"]["id"], scans, "no scan was needed");
    Ok(())
}

#[test]
fn an_exception_that_is_too_long_idle_or_deleted_accepts_nothing() -> Result<()> {
    let world = world_with_a_finding()?;
    world.kubectl.apply(&exception(world.ns, SignedDuration::from_hours(24 * 400)).to_string())?;
    wait_told(&world, "False", "TooLong")?;
    assert_eq!(finding(&world)?["state"], "Open");

    change(&world, &json!({"expiresAt": estate::from_now(SignedDuration::from_hours(1))}))?;
    wait_state(&world, "Accepted", PATIENCE)?;

    // What is worse than accepted is open, and the exception says that it matches nothing.
    change(&world, &json!({"match": {"maxSeverity": "Info"}}))?;
    wait_state(&world, "Open", PATIENCE)?;
    wait_told(&world, "False", "Idle")?;

    change(&world, &json!({"match": {"maxSeverity": null}}))?;
    wait_state(&world, "Accepted", PATIENCE)?;
    world.kubectl.run(&["delete", "findingexceptions", NAME, "-n", world.ns])?;
    wait_state(&world, "Open", PATIENCE)?;
    eventually("the Estate to count none", PATIENCE, || {
        let status = estate_status(&world)?;
        if status["exceptions"].is_null() { Ok(()) } else { Err(status.to_string().into()) }
    })
}

/// The attempt must fail, and for this reason.
fn refused(what: &str, attempt: Result<String>, because: &str) -> Result<()> {
    match attempt {
        Ok(output) => Err(format!("{what}: was allowed: {output}").into()),
        Err(e) if e.to_string().contains(because) => Ok(()),
        Err(e) => Err(format!("{what}: refused, but not because of \"{because}\": {e}").into()),
    }
}

#[test]
fn accepting_a_risk_is_a_right_of_its_own() -> Result<()> {
    let world = World::clean()?;
    let wish = exception(world.ns, SignedDuration::from_hours(1)).to_string();
    let bind = |role: &str| -> Result<sv0_e2e::Kubectl> {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": format!("e2e-{role}"), "namespace": world.ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": format!("e2e-{role}"), "namespace": world.ns}],
        });
        world.kubectl.apply(&binding.to_string())?;
        Ok(world.kubectl.as_account(world.ns, &format!("e2e-{role}")))
    };
    let unbind = |role: &str| world.kubectl.run(&["delete", "rolebinding", &format!("e2e-{role}"), "-n", world.ns]);
    let create = ["create", "-f", "-"];

    // Nobody has the right by having another one.
    for role in ["view", "edit", "admin", "securityv0-findings-reader", "securityv0-editor"] {
        let attempt = bind(role)?.run_with(&create, &wish);
        unbind(role)?;
        refused(role, attempt, "forbidden")?;
    }
    let manager = world.kubectl.as_account(SYSTEM, "securityv0-manager");
    refused("the manager", manager.run_with(&create, &wish), "forbidden")?;
    let own = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", ESTATES[0]));
    refused("the evaluation", own.run_with(&create, &wish), "forbidden")?;

    // The role made for it is enough, and gives nothing else.
    let team = bind("securityv0-exceptions-editor")?;
    // A binding takes a moment until the API server knows it.
    let accepted = eventually("the security team to accept", PATIENCE, || team.run_with(&create, &wish));
    let instance = world.instance(&json!({"workloadIdentity": {}})).to_string();
    let connected = team.run_with(&["create", "--dry-run=server", "-f", "-"], &instance);
    let reader = bind("securityv0-findings-reader")?;
    let list = ["get", "findingexceptions", "-n", world.ns, "-o", "name"];
    let read = eventually("a reader to see it", PATIENCE, || reader.run(&list));
    let status = r#"{"status":{"matchedFindings":9}}"#;
    let forge =
        ["patch", "findingexceptions", NAME, "-n", world.ns, "--subresource=status", "--type=merge", "-p", status];
    let forged = team.run(&forge);
    unbind("securityv0-exceptions-editor")?;
    unbind("securityv0-findings-reader")?;
    accepted?;
    refused("the security team connects a source system", connected, "forbidden")?;
    assert!(read?.contains(NAME), "readers see what is accepted");

    // Its status belongs to the estate's evaluation.
    refused("the security team writes the status", forged, "forbidden")?;
    refused("the manager writes the status", manager.run(&forge), "forbidden")?;
    refused("the administrator writes the status", world.kubectl.run(&forge), "ValidatingAdmissionPolicy")?;
    let neighbour = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", ESTATES[1]));
    refused("the neighbour's evaluation writes the status", neighbour.run(&forge), "forbidden")?;
    let mut allowed = forge.to_vec();
    allowed.push("--dry-run=server");
    own.run(&allowed).map_err(|e| format!("the estate's own evaluation must be allowed: {e}"))?;
    Ok(())
}

#[test]
fn each_bad_exception_is_told_what_to_change() -> Result<()> {
    let world = World::clean()?;
    let create =
        |manifest: &Value| world.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &manifest.to_string());
    let good = exception(world.ns, SignedDuration::from_hours(1));
    create(&good)?;
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        if let Some(place) = bad.pointer_mut(pointer) {
            *place = value;
        }
        bad
    };
    let cases = [
        (with("/spec/match", json!({})), "would accept everything"),
        (with("/spec/match", json!({"maxSeverity": "Low"})), "would accept everything"),
        (with("/spec/match/rules", json!(["ORPH-*"])), "such as CRED-002"),
        (with("/spec/match", json!({"subjects": [estate::BILLING]})), "<system>:<tenant>:<kind>:<id>"),
        (with("/spec/match", json!({"family": "OrphanedAutomation"})), "unknown field"),
        (with("/spec/owner", json!(" ")), "who accepts the risk"),
        (with("/spec/reason", json!("a\u{1b}[31m")), "why the risk is accepted"),
        (with("/spec/expiresAt", json!("next week")), "expiresAt"),
        (with("/metadata/name", json!("x".repeat(64))), "at most 63 characters"),
    ];
    for (bad, sentence) in &cases {
        refused(sentence, create(bad), sentence)?;
    }
    // The manager keeps every exception's metadata in memory, for all namespaces.
    let mut large = good.clone();
    large["metadata"]["annotations"] = json!({"a": "x".repeat(20_000)});
    refused("a huge annotation", create(&large), "ValidatingAdmissionPolicy")?;
    for field in ["owner", "reason", "expiresAt", "match"] {
        let mut bad = good.clone();
        bad["spec"].as_object_mut().ok_or("a spec")?.remove(field);
        refused(field, create(&bad), field)?;
    }
    Ok(())
}
