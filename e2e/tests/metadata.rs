//! A metadata endpoint that offers credentials stands beside the pods, and no scan asks it: the network does not let it,
//! and the program does not try where the network would.

use serde_json::{Value, json};
use sv0_e2e::metadata::{ADDRESS, Metadata};
use sv0_e2e::{Kubectl, Result, World, eventually, world};

const POLICY: &str = "securityv0-scan";

/// A pod that asks the endpoint as a program of the vendor's would, over one port.
fn probe(namespace: &str, name: &str, port: u16, labels: &Value) -> Value {
    let url = format!("http://{ADDRESS}:{port}/metadata/identity/oauth2/token?resource=https://graph.microsoft.com");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe", "image": "securityv0.local/busybox:1", "imagePullPolicy": "IfNotPresent",
                "command": ["probe", "get", url],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Runs the pod to its end; whether it was answered.
fn asks(kubectl: &Kubectl, pod: &Value) -> Result<bool> {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let delete = ["delete", "pod", "-n", &namespace, &name, "--ignore-not-found", "--wait=true", "--timeout=60s"];
    kubectl.run(&delete)?;
    kubectl.apply(&pod.to_string())?;
    let phase = eventually("the probe's end", world::PATIENCE, || {
        let phase = kubectl.get(&["-n", &namespace, "pod", &name])?["status"]["phase"].clone();
        if phase == "Succeeded" || phase == "Failed" { Ok(phase) } else { Err(format!("the probe is {phase}").into()) }
    })?;
    kubectl.run(&delete)?;
    Ok(phase == "Succeeded")
}

/// Takes an estate's network policy away, and puts it back when dropped.
struct WithoutPolicy<'a> {
    kubectl: &'a Kubectl,
    policy: Value,
}

impl<'a> WithoutPolicy<'a> {
    fn new(kubectl: &'a Kubectl, namespace: &str) -> Result<Self> {
        let mut policy = kubectl.get(&["-n", namespace, "networkpolicy", POLICY])?;
        if let Some(metadata) = policy["metadata"].as_object_mut() {
            metadata.retain(|field, _| ["name", "namespace", "labels", "annotations"].contains(&field.as_str()));
        }
        kubectl.run(&["delete", "networkpolicy", "-n", namespace, POLICY])?;
        Ok(Self { kubectl, policy })
    }
}

impl Drop for WithoutPolicy<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.kubectl.run_with(&["create", "-f", "-"], &self.policy.to_string()) {
            eprintln!("the network policy {POLICY} was not put back: {e}");
        }
    }
}

#[test]
fn no_scan_asks_for_the_machines_credentials() -> Result<()> {
    if let Some(obstacle) = Metadata::obstacle() {
        println!("not tried: {obstacle}");
        return Ok(());
    }
    let world = World::clean()?;
    let metadata = Metadata::start()?;
    let scan_labels = json!({"securityv0.com/program": "scan"});

    // Others reach it and are counted, so that zero means something.
    for (port, seen) in [(80, 1), (443, 2)] {
        assert!(asks(&world.kubectl, &probe("default", "metadata-probe", port, &json!({})))?, "port {port}");
        assert_eq!(metadata.connections(), seen, "an ordinary pod on port {port}");
    }
    // The scans' pods do not, on the port that they may use elsewhere and on the endpoint's own.
    for port in [80, 443] {
        let answered = asks(&world.kubectl, &probe(world.ns, "metadata-probe", port, &scan_labels))?;
        assert!(!answered, "a pod with the scan's label was answered on port {port}");
        assert_eq!(metadata.connections(), 2, "a pod with the scan's label on port {port}");
    }
    world.connect()?;
    assert_eq!(metadata.connections(), 2, "a scan by workload identity");

    // Where the network would let it through, the program does not ask either.
    let open = WithoutPolicy::new(&world.kubectl, world.ns)?;
    eventually("the endpoint to be in reach of scans", world::PATIENCE, || {
        if asks(&world.kubectl, &probe(world.ns, "metadata-probe", 443, &scan_labels))? {
            return Ok(());
        }
        Err("the probe was not answered".into())
    })?;
    let before = metadata.connections();
    assert_eq!(world.rescan()?["outcome"], "Complete");
    assert_eq!(metadata.connections(), before, "a scan by workload identity without a network policy");
    drop(open);
    Ok(())
}
