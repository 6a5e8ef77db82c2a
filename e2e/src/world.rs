//! An installed product with a clean estate: what nearly every behaviour test begins with.

use std::fs::File;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::deploy::{self, Options, SYSTEM};
use crate::vendor::Vendor;
use crate::{Env, Kubectl, Result, estate, eventually};

/// The estates of the test installation.
pub const ESTATES: [&str; 2] = ["e2e-a", "e2e-b"];
/// The instance that [`World::connect`] makes.
pub const INSTANCE: &str = "fabrikam";
/// How long a scan with its evaluation may take before a test gives up. A bound against hanging, not a measurement.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The product, installed and reachable; one test at a time.
pub struct World {
    /// Where everything is.
    pub env: Env,
    /// The cluster's administrator.
    pub kubectl: Kubectl,
    /// The simulated vendor.
    pub vendor: Vendor,
    /// The estate (namespace) under test.
    pub ns: &'static str,
    // Tests of several binaries may run at once; the cluster and the vendor belong to one of them at a time.
    _turn: File,
}

impl World {
    /// Installs what is missing and empties the estates: no instance, schedule, secret or finding is left in them.
    pub fn clean() -> Result<Self> {
        Self::clean_in(Env::read()?)
    }

    /// As [`Self::clean`], for a caller that knows its environment.
    pub fn clean_in(env: Env) -> Result<Self> {
        let turn = File::create(std::env::temp_dir().join("securityv0-e2e.lock"))?;
        turn.lock()?;
        let kubectl = Kubectl::new(&env);
        let vendor = install(&env, &kubectl)?;
        let world = Self { env, kubectl, vendor, ns: ESTATES[0], _turn: turn };
        for namespace in ESTATES {
            world.empty(namespace)?;
            deploy::scan_account(&world.kubectl, namespace)?;
        }
        world.vendor.set_estate(&estate::small(world.ns).to_string())?;
        Ok(world)
    }

    fn empty(&self, namespace: &str) -> Result<()> {
        let wishes =
            "connectorinstances,scanschedules,findingexceptions,estates.securityv0.com,resourcequotas,limitranges";
        self.kubectl.run(&["delete", wishes, "--all", "-n", namespace, "--wait=true", "--timeout=60s"])?;
        self.kubectl.run(&["delete", "jobs", "--all", "-n", namespace, "--wait=true", "--timeout=60s"])?;
        self.kubectl.run(&["delete", "jobs", "--all", "-n", SYSTEM, "--wait=true", "--timeout=60s"])?;
        // One request for all of them: a thousand Findings one by one take kubectl a minute. Nothing holds them back.
        self.kubectl.run(&[
            "delete",
            "--raw",
            &format!("/apis/securityv0.com/v1alpha1/namespaces/{namespace}/findings"),
        ])?;
        self.kubectl.run(&["delete", "secret", "sv0-entra", "-n", namespace, "--ignore-not-found"])?;
        Ok(())
    }

    /// The Secret of [`Self::connect_with_secret`].
    pub fn secret(&self, target: &str, value: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sv0-entra", "namespace": self.ns},
            "stringData": {"target": target, "clientSecret": value},
        });
        self.kubectl.apply(&secret.to_string()).map(|_| ())
    }

    /// The manifest of an instance.
    pub fn instance(&self, auth: &Value) -> Value {
        json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
            "metadata": {"name": INSTANCE, "namespace": self.ns},
            "spec": {
                "system": "Entra", "serviceAccountName": "scanner",
                "entra": {"tenantId": estate::TENANT, "clientId": estate::CLIENT, "auth": auth},
            },
        })
    }

    /// Connects the tenant by workload identity, and waits for the first evaluation.
    pub fn connect(&self) -> Result<()> {
        self.kubectl.apply(&self.instance(&json!({"workloadIdentity": {}})).to_string())?;
        self.wait_evaluated()
    }

    /// Connects by client secret, without waiting.
    pub fn connect_with_secret(&self) -> Result<()> {
        self.kubectl
            .apply(&self.instance(&json!({"clientSecret": {"secretName": "sv0-entra"}})).to_string())
            .map(|_| ())
    }

    /// The instance as it stands.
    pub fn status(&self) -> Result<Value> {
        let found = self.kubectl.find(self.ns, "connectorinstance", INSTANCE)?;
        Ok(found.ok_or("the instance does not exist")?["status"].clone())
    }

    /// Asks for a scan and waits until it ended; gives `status.lastScan`.
    pub fn scan(&self) -> Result<Value> {
        let wish = format!("e2e-{}", Timestamp::now().as_nanosecond());
        self.request_scan(&wish)?;
        eventually("the requested scan's end", PATIENCE, || {
            let status = self.status()?;
            if status["lastHandledScanRequest"] == wish.as_str() && status["activeScan"].is_null() {
                return Ok(status["lastScan"].clone());
            }
            Err(format!("status {status}").into())
        })
    }

    /// Sets the annotation that asks for a scan.
    pub fn request_scan(&self, wish: &str) -> Result<()> {
        let annotation = format!("securityv0.com/scan-requested={wish}");
        self.kubectl
            .run(&["annotate", "--overwrite", "-n", self.ns, "connectorinstance", INSTANCE, &annotation])
            .map(|_| ())
    }

    /// Waits until the instance's newest snapshot has been evaluated.
    pub fn wait_evaluated(&self) -> Result<()> {
        eventually("the evaluation of the newest snapshot", PATIENCE, || {
            let status = self.status()?;
            let snapshot =
                status["snapshot"]["digest"].as_str().ok_or_else(|| format!("no snapshot yet: {status}"))?.to_owned();
            let estate = self.kubectl.find(self.ns, "estates.securityv0.com", "default")?.ok_or("no Estate yet")?;
            let evaluated = estate["status"]["inputs"]
                .as_array()
                .is_some_and(|inputs| inputs.iter().any(|i| i["snapshotDigest"] == snapshot.as_str()));
            if evaluated { Ok(()) } else { Err(format!("the Estate's status is {}", estate["status"]).into()) }
        })
    }

    /// Scan, then evaluation.
    pub fn rescan(&self) -> Result<Value> {
        let last = self.scan()?;
        self.wait_evaluated()?;
        Ok(last)
    }

    /// All Findings of the estate, by name.
    pub fn findings(&self) -> Result<Vec<Value>> {
        self.kubectl.list(self.ns, "findings")
    }

    /// The finding of `rule` about the object `vendor_id`, if there is one.
    pub fn finding(&self, rule: &str, vendor_id: &str) -> Result<Option<Value>> {
        Ok(self.findings()?.into_iter().find(|f| {
            f["spec"]["rule"]["id"] == rule
                && f["spec"]["subject"]["id"].as_str().is_some_and(|id| id.ends_with(vendor_id))
        }))
    }

    /// Waits for a condition of the instance to have this status and reason; gives its message.
    pub fn wait_condition(&self, type_: &str, status: &str, reason: &str, limit: Duration) -> Result<String> {
        eventually(&format!("{type_}={status} with reason {reason}"), limit, || {
            let now = self.status()?;
            condition(&now, type_)
                .filter(|c| c["status"] == status && c["reason"] == reason)
                .and_then(|c| c["message"].as_str().map(str::to_owned))
                .ok_or_else(|| format!("conditions {}", now["conditions"]).into())
        })
    }
}

/// A condition by type.
pub fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|c| c["type"] == type_)
}

/// Installs vendor and operator unless this very build already is.
fn install(env: &Env, kubectl: &Kubectl) -> Result<Vendor> {
    let mark = format!("{} {}", env.image, env.estate_image);
    let found = kubectl.find(SYSTEM, "configmap", "e2e-installed").ok().flatten();
    // The demonstration may have installed the same build for an estate of its own.
    let config = kubectl.find(SYSTEM, "configmap", "securityv0-config").ok().flatten().unwrap_or_default();
    let ours = ESTATES.iter().all(|name| config["data"].to_string().contains(name));
    if ours && found.is_some_and(|m| m["data"]["build"] == mark.as_str()) {
        return Ok(Vendor::new(kubectl));
    }
    let vendor = deploy::vendor(env, kubectl)?;
    let options = Options { estates: ESTATES.map(str::to_owned).to_vec(), values: Value::Null };
    deploy::operator(env, kubectl, &options)?;
    let note = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e2e-installed", "namespace": SYSTEM}, "data": {"build": mark}});
    kubectl.apply(&note.to_string())?;
    Ok(vendor)
}

impl World {
    /// Loads the shipped demonstration estate into the vendor, connects it, and waits for its evaluation.
    pub fn connect_demo(&self) -> Result<()> {
        self.connect_shipped("demo.yaml")
    }

    /// The same for any of the shipped estates.
    pub fn connect_shipped(&self, name: &str) -> Result<()> {
        let yaml = std::fs::read_to_string(self.env.root.join("e2e/estate/estates").join(name))?;
        let tenant = estate::Tenant::load(&yaml, self.ns)?;
        self.vendor.set_estate(&tenant.document.to_string())?;
        let mut instance = self.instance(&json!({"workloadIdentity": {}}));
        instance["spec"]["entra"]["tenantId"] = json!(tenant.id);
        instance["spec"]["entra"]["clientId"] = json!(tenant.client);
        self.kubectl.apply(&instance.to_string())?;
        self.wait_evaluated()
    }

    /// Changes the instance's spec.
    pub fn patch_instance(&self, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec }).to_string();
        self.kubectl
            .run(&["patch", "connectorinstance", INSTANCE, "-n", self.ns, "--type=merge", "-p", &patch])
            .map(|_| ())
    }

    /// A token of a ServiceAccount for one audience.
    pub fn token(&self, namespace: &str, account: &str, audience: &str) -> Result<String> {
        let text = self.kubectl.run(&["create", "token", account, "-n", namespace, "--audience", audience])?;
        Ok(text.trim().to_owned())
    }

    /// A token of a ServiceAccount of the estate for the API server itself.
    pub fn token_for_api(&self, account: &str) -> Result<String> {
        let text = self.kubectl.run(&["create", "token", account, "-n", self.ns])?;
        Ok(text.trim().to_owned())
    }

    /// Name and resourceVersion of every Finding.
    pub fn versions(&self) -> Result<Vec<(String, String)>> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        Ok(self
            .findings()?
            .iter()
            .map(|f| (text(&f["metadata"]["name"]), text(&f["metadata"]["resourceVersion"])))
            .collect())
    }

    /// Writes of findings that the API server's audit log holds; `None` where the cluster gives no audit log.
    pub fn finding_writes(&self) -> Result<Option<usize>> {
        let Some(path) = &self.env.audit_log else { return Ok(None) };
        let log = std::fs::read_to_string(path)?;
        let writes = log.lines().filter(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            event["objectRef"]["resource"] == "findings"
                && event["objectRef"]["namespace"] == self.ns
                && event["stage"] == "ResponseComplete"
                && matches!(event["verb"].as_str(), Some("create" | "update" | "patch" | "delete"))
        });
        Ok(Some(writes.count()))
    }

    /// Repeats the estate's last evaluation with the clock moved on, as a Job of the same shape, and waits for it.
    pub fn evaluate_as_of(&self, later: jiff::SignedDuration) -> Result<()> {
        let jobs = self.kubectl.list(SYSTEM, "jobs")?;
        let mut job = jobs
            .into_iter()
            .rfind(|j| j["metadata"]["labels"]["securityv0.com/estate"] == self.ns)
            .ok_or("no evaluation Job to repeat")?;
        let container = &mut job["spec"]["template"]["spec"]["containers"][0];
        for variable in container["env"].as_array_mut().into_iter().flatten() {
            if variable["name"] == "SECURITYV0_EVALUATE_REQUEST" {
                let mut order: Value = serde_json::from_str(variable["value"].as_str().unwrap_or_default())?;
                let at: Timestamp = order["asOf"].as_str().unwrap_or_default().parse()?;
                order["asOf"] = json!(at.saturating_add(later)?.to_string());
                let estate = self.kubectl.get(&["-n", self.ns, "estates.securityv0.com", "default"])?;
                order["ledger"] = estate["status"]["ledger"].clone();
                variable["value"] = json!(order.to_string());
            }
        }
        let name = format!("sv0-eval-later-{}", Timestamp::now().as_millisecond());
        let copy = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": SYSTEM},
            "spec": {"backoffLimit": 0, "template": {
                "metadata": {"labels": {"securityv0.com/program": "evaluate"}},
                "spec": job["spec"]["template"]["spec"],
            }},
        });
        self.kubectl.run_with(&["create", "-f", "-"], &copy.to_string())?;
        self.kubectl.run(&[
            "wait",
            "-n",
            SYSTEM,
            "--for=condition=complete",
            &format!("job/{name}"),
            "--timeout=60s",
        ])?;
        Ok(())
    }
}
