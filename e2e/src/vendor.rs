//! The simulated vendor as tests steer it: its estate, its faults, its counters. Reached through the API server's
//! service proxy, so that it works on any cluster.

use serde_json::Value;

use crate::{Kubectl, Result};

/// Namespace that the vendor runs in.
pub const NAMESPACE: &str = "simulated-vendor";
const PROXY: &str = "/api/v1/namespaces/simulated-vendor/services/http:vendor:9090/proxy";

/// The vendor's administration port.
#[derive(Clone, Debug)]
pub struct Vendor {
    kubectl: Kubectl,
}

impl Vendor {
    /// The vendor in the cluster that `kubectl` sees.
    pub fn new(kubectl: &Kubectl) -> Self {
        Self { kubectl: kubectl.clone() }
    }

    /// PEM certificate of the vendor's authority.
    pub fn ca(&self) -> Result<String> {
        self.kubectl.run(&["get", "--raw", &format!("{PROXY}/ca")])
    }

    /// Replaces the whole estate (YAML) and forgets faults and counters.
    pub fn set_estate(&self, yaml: &str) -> Result<()> {
        self.send("replace", "estate", yaml)?;
        self.post("clear-faults", "{}")?;
        self.reset_counters()
    }

    /// Replaces the whole estate by one of so many applications, made by the vendor itself, and forgets faults and
    /// counters. Gives tenant id and client id of its scanner, whose secret is [`sv0_estate::generate::SECRET`].
    pub fn generate(&self, apps: usize, seed: u64) -> Result<(String, String)> {
        self.post("generate", &serde_json::json!({"apps": apps, "seed": seed}).to_string())?;
        self.post("clear-faults", "{}")?;
        self.reset_counters()?;
        let tenant: Value = serde_json::from_str(&self.kubectl.run(&["get", "--raw", &format!("{PROXY}/tenant")])?)?;
        let word = |name: &str| tenant[name].as_str().map(str::to_owned).ok_or(format!("no {name}: {tenant}"));
        Ok((word("tenantId")?, word("clientId")?))
    }

    /// One change: see the vendor's README for the forms.
    pub fn mutate(&self, change: &Value) -> Result<()> {
        self.post("mutate", &change.to_string())
    }

    /// Forgets every injected fault.
    pub fn clear_faults(&self) -> Result<()> {
        self.post("clear-faults", "{}")
    }

    /// Starts counting from zero.
    pub fn reset_counters(&self) -> Result<()> {
        self.post("reset-counters", "{}")
    }

    /// What has been asked since the last reset.
    pub fn counters(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl.run(&["get", "--raw", &format!("{PROXY}/counters")])?)?)
    }

    /// Token requests since the last reset.
    pub fn token_requests(&self) -> Result<u64> {
        let counters = self.counters()?;
        counters["tokenRequests"]
            .as_object()
            .map(|by_client| by_client.values().filter_map(Value::as_u64).sum())
            .ok_or_else(|| format!("the counters have no token requests: {counters}").into())
    }

    /// What a scan of the loaded estate must find, and must not: object ids filled in.
    pub fn expectations(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl.run(&["get", "--raw", &format!("{PROXY}/expectations")])?)?)
    }

    fn post(&self, route: &str, body: &str) -> Result<()> {
        self.send("create", route, body)
    }

    /// One request. The vendor may answer before it has read a body that it does not need, which the API server's proxy
    /// takes for a broken connection. Every request here can be repeated, so that is tried again.
    fn send(&self, verb: &str, route: &str, body: &str) -> Result<()> {
        const ATTEMPTS: usize = 5;
        let send = || self.kubectl.run_with(&[verb, "--raw", &format!("{PROXY}/{route}"), "-f", "-"], body);
        let mut answer = send();
        for _ in 1..ATTEMPTS {
            if !answer.as_ref().is_err_and(|error| error.to_string().contains("ServiceUnavailable")) {
                break;
            }
            answer = send();
        }
        answer.map(drop)
    }
}
