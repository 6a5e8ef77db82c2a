//! A metadata endpoint that offers credentials stands beside the pods, and no scan asks it: the network does not let it,
//! and the program does not try where the network would.

use serde_json::{Value, json};
use sv0_e2e::metadata::{ADDRESS, Metadata};
use sv0_e2e::{Kubectl, Result, World, eventually, world};

const POLICY: &str = "securityv0-scan";
const PROBE: &str = "metadata-probe";

/// A pod of the test that asks the endpoint when it is told to. Removed when dropped.
struct Probe<'a> {
    kubectl: &'a Kubectl,
    namespace: &'a str,
}

impl<'a> Probe<'a> {
    fn start(kubectl: &'a Kubectl, namespace: &'a str, labels: &Value) -> Result<Self> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": PROBE, "namespace": namespace, "labels": labels},
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "probe", "image": "securityv0.local/busybox:1", "imagePullPolicy": "IfNotPresent",
                    "command": ["probe", "sleep"],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        let probe = Self { kubectl, namespace };
        kubectl.apply(&pod.to_string())?;
        kubectl.run(&["wait", "-n", namespace, "--for=condition=Ready", &format!("pod/{PROBE}"), "--timeout=60s"])?;
        Ok(probe)
    }

    /// Asks as a program of the vendor's would, over one port; whether it was answered.
    fn asks(&self, port: u16) -> bool {
        let url =
            format!("http://{ADDRESS}:{port}/metadata/identity/oauth2/token?resource=https://graph.microsoft.com");
        let answer = self.kubectl.run(&["exec", "-n", self.namespace, PROBE, "--", "probe", "get", &url]);
        answer.is_ok_and(|text| text.contains("access_token"))
    }

    /// Asks until the answer is the wanted one: policies are applied a moment after a pod or a policy appears.
    fn asks_until(&self, port: u16, answered: bool) -> Result<()> {
        eventually(&format!("port {port} answered: {answered}"), world::PATIENCE, || {
            if self.asks(port) == answered { Ok(()) } else { Err("it is not so yet".into()) }
        })
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.kubectl.run(&["delete", "pod", "-n", self.namespace, PROBE, "--ignore-not-found"]) {
            eprintln!("the probe in {} stays: {e}", self.namespace);
        }
    }
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

    // Others reach it and are counted, so that zero means something.
    let stranger = Probe::start(&world.kubectl, "default", &json!({}))?;
    for (port, seen) in [(80, 1), (443, 2)] {
        assert!(stranger.asks(port), "an ordinary pod on port {port}");
        assert_eq!(metadata.connections(), seen, "an ordinary pod on port {port}");
    }
    // Pods with the scan's label do not, neither on the endpoint's own port nor on the one that they may use elsewhere.
    let scan = Probe::start(&world.kubectl, world.ns, &json!({"securityv0.com/program": "scan"}))?;
    for port in [80, 443] {
        scan.asks_until(port, false)?;
    }
    let before = metadata.connections();
    assert!(!scan.asks(80) && !scan.asks(443));
    world.connect()?;
    assert_eq!(metadata.connections(), before, "a scan by workload identity");

    // Where the network would let it through, the program does not ask either.
    let open = WithoutPolicy::new(&world.kubectl, world.ns)?;
    for port in [80, 443] {
        scan.asks_until(port, true)?;
    }
    let before = metadata.connections();
    assert_eq!(world.rescan()?["outcome"], "Complete");
    assert_eq!(metadata.connections(), before, "a scan by workload identity without a network policy");
    drop(open);
    scan.asks_until(443, false)
}
