//! The network's boundaries, tried from inside: pods under the labels of ours dial what ours may and may not reach.
//!
//! Needs an image with a program that dials, which only the cluster that `cargo xtask cluster` builds has.

use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::world::PATIENCE;
use sv0_e2e::{Result, World, eventually};

/// Made with the cluster: `probe dial HOST:PORT` ends with 0 when the connection stands.
const TOOLS: &str = "securityv0.local/busybox:1";

/// Whether the cluster's node has the image.
fn has_tools(world: &World) -> Result<bool> {
    let nodes = world.kubectl.get(&["nodes"])?;
    Ok(nodes["items"][0]["status"]["images"].to_string().contains(TOOLS))
}

fn pod(name: &str, namespace: &str, labels: &Value, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "dial", "image": TOOLS, "imagePullPolicy": "Never", "command": command,
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                    "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Dials from a pod with these labels; whether connections stand once the policies are in force.
///
/// A pod's policies come into force a moment after the pod runs, so the first answers say nothing: a connection that
/// shall not stand may stand for that moment, one that shall may not. The answer is the first that comes three times
/// running and is not contradicted by `expected`; the other answer counts only when it lasts to the end.
fn dials(world: &World, namespace: &str, labels: &Value, target: &str, expected: bool) -> Result<bool> {
    let name = "e2e-dial";
    world.kubectl.run(&[
        "delete",
        "pod",
        name,
        "-n",
        namespace,
        "--ignore-not-found",
        "--wait=true",
        "--timeout=60s",
    ])?;
    let (wanted, other) = if expected { ("0", "1") } else { ("1", "0") };
    let script = format!(
        "same=0; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
         probe dial {target} && stood=0 || stood=1; \
         [ $stood = {wanted} ] && same=$((same+1)) || same=0; \
         [ $same = 3 ] && exit {wanted}; sleep 1; done; exit {other}"
    );
    world.kubectl.apply(&pod(name, namespace, labels, &["sh", "-c", &script]).to_string())?;
    let phase = eventually("the dialling pod's end", PATIENCE, || {
        let pod = world.kubectl.get(&["pod", name, "-n", namespace])?;
        match pod["status"]["phase"].as_str() {
            Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
            _ => Err(pod["status"].to_string().into()),
        }
    });
    world.kubectl.run(&["delete", "pod", name, "-n", namespace, "--wait=false"])?;
    Ok(phase? == "Succeeded")
}

fn address(world: &World, namespace: &str, service: &str) -> Result<String> {
    let found = world.kubectl.get(&["service", service, "-n", namespace])?;
    found["spec"]["clusterIP"].as_str().map(str::to_owned).ok_or_else(|| format!("{service} has no address").into())
}

#[test]
fn each_program_reaches_what_it_needs_and_nothing_else() -> Result<()> {
    let world = World::clean()?;
    if !has_tools(&world)? {
        println!("left out: the cluster has no image {TOOLS}");
        return Ok(());
    }
    let store = format!("{}:8443", address(&world, SYSTEM, "securityv0-store")?);
    let manager = format!("{}:8080", address(&world, SYSTEM, "securityv0-manager")?);
    let vendor = format!("{}:443", address(&world, sv0_e2e::vendor::NAMESPACE, "vendor")?);
    let scan = json!({"securityv0.com/program": "scan"});
    let evaluate = json!({"securityv0.com/program": "evaluate"});
    let as_manager = json!({"app.kubernetes.io/name": "securityv0", "app.kubernetes.io/component": "manager-e2e"});
    let stranger = json!({"app": "stranger"});
    for (what, namespace, labels, target, expected) in [
        ("a scan and the store", world.ns, &scan, &store, true),
        ("a scan and the source system", world.ns, &scan, &vendor, true),
        ("a scan and the manager", world.ns, &scan, &manager, false),
        ("a stranger in the estate and the store", world.ns, &stranger, &store, false),
        ("an evaluation and the store", SYSTEM, &evaluate, &store, true),
        ("an evaluation and the manager", SYSTEM, &evaluate, &manager, false),
        ("anything else in the operator's namespace and the store", SYSTEM, &as_manager, &store, false),
        ("a scan's label outside of the estates and the store", "default", &scan, &store, false),
    ] {
        assert_eq!(dials(&world, namespace, labels, target, expected)?, expected, "{what}");
    }
    Ok(())
}

#[test]
fn nobody_reaches_a_scan() -> Result<()> {
    let world = World::clean()?;
    if !has_tools(&world)? {
        println!("left out: the cluster has no image {TOOLS}");
        return Ok(());
    }
    let serve = ["probe", "serve", "0.0.0.0:8080", "hello"];
    let reached = |labels: &Value, expected: bool| -> Result<bool> {
        world.kubectl.apply(&pod("e2e-serve", world.ns, labels, &serve).to_string())?;
        let ip = eventually("the listening pod's address", PATIENCE, || {
            let pod = world.kubectl.get(&["pod", "e2e-serve", "-n", world.ns])?;
            let running = pod["status"]["phase"] == "Running";
            let ip = pod["status"]["podIP"].as_str().filter(|_| running).map(str::to_owned);
            ip.ok_or_else(|| pod["status"].to_string().into())
        });
        let result =
            ip.and_then(|ip| dials(&world, world.ns, &json!({"app": "stranger"}), &format!("{ip}:8080"), expected));
        world.kubectl.run(&["delete", "pod", "e2e-serve", "-n", world.ns, "--wait=true", "--timeout=60s"])?;
        result
    };
    assert!(reached(&json!({"app": "anything"}), true)?, "dialling works, or this test proves nothing");
    assert!(!reached(&json!({"securityv0.com/program": "scan"}), false)?, "a scan was reached");
    Ok(())
}
