//! Installs what a test or the demonstration needs: the simulated vendor, the resource definitions, the operator.
//! Every step is an upgrade-or-install and may be repeated.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::vendor::{NAMESPACE as VENDOR, Vendor};
use crate::{Env, Kubectl, Result, eventually};

/// The operator's namespace and release.
pub const SYSTEM: &str = "securityv0-system";
/// Name of the Helm release.
pub const RELEASE: &str = "securityv0";

/// What an installation may vary.
#[derive(Clone, Debug)]
pub struct Options {
    /// Estates to list; each namespace is created.
    pub estates: Vec<String>,
    /// Further values, merged over ours.
    pub values: Value,
}

/// The vendor's Deployment, Service and namespace.
fn vendor_manifest(image: &str) -> Value {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "vendor", "namespace": VENDOR}});
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "vendor", "namespace": VENDOR},
        "spec": {"selector": {"app": "vendor"}, "ports": [
            {"name": "https", "port": 443, "targetPort": 443},
            {"name": "admin", "port": 9090, "targetPort": 9090},
        ]},
    });
    // Port 443 in the pod itself, so that the product's own network policy is what lets scans through.
    let pod = json!({
        "serviceAccountName": "vendor",
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "443"}],
        },
        "containers": [{
            "name": "vendor", "image": image, "imagePullPolicy": "IfNotPresent",
            "args": ["serve", "--estate", "/start/estate.json", "--listen", "0.0.0.0:443", "--admin", "0.0.0.0:9090", "--kubernetes-issuer", "--ca-out", "/state"],
            "ports": [{"containerPort": 443}, {"containerPort": 9090}],
            "readinessProbe": {"httpGet": {"path": "/ca", "port": 9090}, "periodSeconds": 1},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "state", "mountPath": "/state"}, {"name": "start", "mountPath": "/start", "readOnly": true}],
        }],
        "volumes": [{"name": "state", "emptyDir": {}}, {"name": "start", "configMap": {"name": "start"}}],
    });
    // A tenant to begin with; every test and the demonstration put their own in its place.
    let start = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "start", "namespace": VENDOR},
        "data": {"estate.json": crate::estate::small("nowhere").to_string()},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vendor", "namespace": VENDOR},
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": {"app": "vendor"}},
            "template": {"metadata": {"labels": {"app": "vendor"}}, "spec": pod},
        },
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [namespace(VENDOR), account, start, service, deployment]})
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Starts the simulated vendor and waits until it answers.
pub fn vendor(env: &Env, kubectl: &Kubectl) -> Result<Vendor> {
    kubectl.apply(&vendor_manifest(&env.estate_image).to_string())?;
    kubectl.run(&["-n", VENDOR, "rollout", "status", "deployment/vendor", "--timeout=120s"])?;
    let vendor = Vendor::new(kubectl);
    eventually("the vendor's administration port", Duration::from_secs(30), || vendor.ca())?;
    Ok(vendor)
}

/// Address of the vendor's Service.
fn vendor_address(kubectl: &Kubectl) -> Result<String> {
    let service = kubectl.get(&["-n", VENDOR, "service", "vendor"])?;
    service["spec"]["clusterIP"].as_str().map(str::to_owned).ok_or_else(|| "the vendor's Service has no address".into())
}

/// The values that make scans find the simulated vendor under Microsoft's real host names.
pub fn values(env: &Env, kubectl: &Kubectl, options: &Options) -> Result<Value> {
    let (repository, tag) = env.image.rsplit_once(':').ok_or("the image has no tag")?;
    let hosts = ["login.microsoftonline.com", "graph.microsoft.com"];
    let estates: Vec<Value> = options.estates.iter().map(|name| json!({"namespace": name, "create": true})).collect();
    let mut values = json!({
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "estates": estates,
        "network": {
            "trustedCA": Vendor::new(kubectl).ca()?,
            "privateHosts": hosts,
            "hostAliases": [{"ip": vendor_address(kubectl)?, "hostnames": hosts}],
        },
        "evaluation": {"quietSeconds": 1, "maxDelaySeconds": 30},
        // The vendor lives inside the cluster, where scans may otherwise go nowhere.
        "networkPolicy": {"extraScanEgress": [{
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": VENDOR}}}],
            "ports": [{"protocol": "TCP", "port": 443}],
        }]},
    });
    merge(&mut values, &options.values);
    Ok(values)
}

fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) if !over.is_null() => *base = over.clone(),
        _ => {}
    }
}

/// Runs `helm`; the error is what it printed.
pub fn helm(env: &Env, args: &[&str]) -> Result<String> {
    let out = Command::new(&env.helm).env("KUBECONFIG", &env.kubeconfig).args(args).output()?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim()).into())
}

/// Installs or upgrades the resource definitions and the operator, and waits until both programs are ready.
pub fn operator(env: &Env, kubectl: &Kubectl, options: &Options) -> Result<()> {
    let charts = env.root.join("charts");
    let crds = charts.join("securityv0-crds").display().to_string();
    let chart = charts.join("securityv0").display().to_string();
    helm(env, &["upgrade", "--install", "securityv0-crds", &crds, "-n", SYSTEM, "--create-namespace", "--wait"])?;
    let file = tempfile(&values(env, kubectl, options)?.to_string())?;
    let file_name = file.display().to_string();
    let done = helm(
        env,
        &["upgrade", "--install", RELEASE, &chart, "-n", SYSTEM, "-f", &file_name, "--wait", "--timeout", "3m"],
    );
    std::fs::remove_file(&file)?;
    done.map(|_| ())
}

fn tempfile(text: &str) -> Result<std::path::PathBuf> {
    let path = std::env::temp_dir().join(format!("securityv0-values-{}.json", std::process::id()));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The ServiceAccount that scans of `namespace` run as, labelled for it.
pub fn scan_account(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "scanner", "namespace": namespace, "labels": {"securityv0.com/scan": "true"}},
    });
    kubectl.apply(&account.to_string()).map(|_| ())
}
