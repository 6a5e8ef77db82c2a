//! The cluster, by running kubectl: the user's credentials stay inside it, and so do proxies, plug-ins and contexts.
//! Takes fixed commands with checked names; gives what kubectl printed. May not: use a shell, or write anything that
//! the user did not ask for.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sv0_api::{ConnectorInstance, ESTATE_NAME, Estate, Finding, FindingException};
use zeroize::Zeroizing;

use crate::values::{Namespace, ObjectName, shown};

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Cluster {
    /// The kubeconfig context to use.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig file to use.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubectl to run.
    #[arg(long, value_name = "FILE", hide = true, env = "SV0_KUBECTL", default_value = "kubectl")]
    pub kubectl: PathBuf,
}

/// Why kubectl gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It did not start.
    #[error("kubectl could not be started: {0}. Install kubectl, or put it where the PATH leads")]
    Missing(std::io::Error),
    /// It refused or failed.
    #[error("kubectl {verb} failed: {said}{}", advice(said))]
    Failed {
        /// Its first argument.
        verb: String,
        /// What it said, made harmless.
        said: String,
    },
    /// It printed something else than expected.
    #[error("kubectl {0} printed something unexpected")]
    Unexpected(String),
}

/// What the user can do about it, as a sentence of its own; nothing when what kubectl said is all that is known.
fn advice(said: &str) -> String {
    let says = |part: &str| said.contains(part);
    let advice = if says("the server doesn't have a resource type") || says("could not find the requested resource") {
        "This cluster does not have SecurityV0, or an older release of it: install its resources as docs/install.md says, or \
         name another cluster with --context"
    } else if says("forbidden") || says("Forbidden") {
        match role(said) {
            Some(role) => {
                let place = if says("at the cluster scope") { "the whole cluster" } else { "this namespace" };
                return format!(". Ask an administrator of the cluster for the ClusterRole {role} in {place}");
            }
            None => "Ask an administrator of the cluster for this right; docs/operate.md says what each command needs",
        }
    } else if says("Unauthorized") || says("must be logged in") {
        "The cluster does not know you: sign in to it again, or name another context with --context"
    } else if says("NotFound") || says("not found") {
        "Look at the name and at the namespace (-n)"
    } else if says("does not exist") || says("no such file") {
        "Look at --context and --kubeconfig: `kubectl config get-contexts` lists what there is"
    } else if says("connection") || says("connect to the server") || says("timeout") || says("no such host") {
        "The cluster cannot be reached: look at --context, at the network and at whether the cluster runs"
    } else {
        return String::new();
    };
    format!(". {advice}")
}

/// The role of the chart that has the right that was missing.
fn role(said: &str) -> Option<&'static str> {
    let of = |verbs: &[&str], resource: &str| {
        // Quotes are single ones where text of others is shown.
        verbs.iter().any(|verb| said.contains(&format!("cannot {verb} resource '{resource}'")))
    };
    let reads = ["get", "list", "watch"];
    let writes = ["patch", "update", "create"];
    if ["findings", "estates", "findingexceptions"].iter().any(|resource| of(&reads, resource)) {
        return Some("securityv0-findings-reader");
    }
    let edits = of(&reads, "connectorinstances") || ["connectorinstances", "estates"].iter().any(|r| of(&writes, r));
    edits.then_some("securityv0-editor")
}

impl Cluster {
    /// What the API server answers to a GET of `path`.
    pub fn raw(&self, path: &str) -> Result<Vec<u8>, KubectlError> {
        self.run(&["get", "--raw", path])
    }

    /// Every `ConnectorInstance` of the cluster.
    pub fn instances(&self) -> Result<Vec<ConnectorInstance>, KubectlError> {
        self.list("connectorinstances.securityv0.com", None)
    }

    /// One `ConnectorInstance`.
    pub fn instance(&self, namespace: &str, name: &str) -> Result<ConnectorInstance, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", "connectorinstances.securityv0.com", name, &namespace, "--output=json"])?;
        serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))
    }

    /// Every `Finding` of a namespace, or of all namespaces, in the API server's order.
    pub fn findings(&self, namespace: Option<&str>) -> Result<Vec<Finding>, KubectlError> {
        self.list("findings.securityv0.com", namespace)
    }

    /// One `Finding`; none when there is no such object.
    pub fn finding(&self, namespace: &str, name: &ObjectName) -> Result<Option<Finding>, KubectlError> {
        self.one("findings.securityv0.com", namespace, name.as_str())
    }

    /// One `Finding` as it stands, fields included that this program does not know; none when there is no such object.
    pub fn finding_object(&self, namespace: &str, name: &ObjectName) -> Result<Option<Value>, KubectlError> {
        self.one("findings.securityv0.com", namespace, name.as_str())
    }

    /// The `Estate` of a namespace; none when there is none.
    pub fn estate(&self, namespace: &str) -> Result<Option<Estate>, KubectlError> {
        self.one("estates.securityv0.com", namespace, ESTATE_NAME)
    }

    /// The `Estate` of a namespace as it stands, fields included that this program does not know.
    pub fn estate_object(&self, namespace: &str) -> Result<Option<Value>, KubectlError> {
        self.one("estates.securityv0.com", namespace, ESTATE_NAME)
    }

    /// Changes fields of the `Estate`: a merge patch. Gives the object as it then stands.
    pub fn patch_estate(&self, namespace: &str, patch: &Value) -> Result<Value, KubectlError> {
        let (namespace, patch) = (format!("--namespace={namespace}"), format!("--patch={patch}"));
        let output = self.run(&[
            "patch",
            "estates.securityv0.com",
            "default",
            &namespace,
            "--type=merge",
            &patch,
            "--output=json",
        ])?;
        serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("patch".to_owned()))
    }

    /// Every `Estate` of a namespace, or of all namespaces.
    pub fn estates(&self, namespace: Option<&str>) -> Result<Vec<Estate>, KubectlError> {
        self.list("estates.securityv0.com", namespace)
    }

    /// Every `FindingException` of a namespace.
    pub fn exceptions(&self, namespace: &str) -> Result<Vec<FindingException>, KubectlError> {
        self.list("findingexceptions.securityv0.com", Some(namespace))
    }

    /// The namespace that kubectl uses when it is given none.
    pub fn default_namespace(&self) -> Result<String, KubectlError> {
        let output = self.run(&["config", "view", "--minify", "--output=jsonpath={..namespace}"])?;
        let unexpected = || KubectlError::Unexpected("config view".to_owned());
        let said = String::from_utf8(output).map_err(|_| unexpected())?;
        let name = if said.trim().is_empty() { "default" } else { said.trim() };
        // It goes back to kubectl as a value of a flag, and into our sentences.
        let name: Namespace = name.parse().map_err(|_| unexpected())?;
        Ok(name.to_string())
    }

    /// What `kubectl get` prints of these resources of a namespace, as JSON.
    pub fn json(&self, resources: &str, namespace: &str) -> Result<Vec<u8>, KubectlError> {
        self.run(&["get", resources, &format!("--namespace={namespace}"), "--output=json"])
    }

    fn list<T: DeserializeOwned>(&self, resource: &str, namespace: Option<&str>) -> Result<Vec<T>, KubectlError> {
        #[derive(Deserialize)]
        struct List<T> {
            items: Vec<T>,
        }
        let scope = namespace.map_or_else(|| "--all-namespaces".to_owned(), |name| format!("--namespace={name}"));
        let output = self.run(&["get", resource, &scope, "--output=json"])?;
        let list: List<T> = serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))?;
        Ok(list.items)
    }

    fn one<T: DeserializeOwned>(&self, resource: &str, namespace: &str, name: &str) -> Result<Option<T>, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", resource, name, &namespace, "--ignore-not-found", "--output=json"])?;
        if output.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&output).map(Some).map_err(|_| KubectlError::Unexpected("get".to_owned()))
    }

    /// Asks for one scan of an instance.
    pub fn request_scan(&self, namespace: &str, name: &str, value: &str) -> Result<(), KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let annotation = format!("securityv0.com/scan-requested={value}");
        self.run(&["annotate", "connectorinstances.securityv0.com", name, &namespace, "--overwrite", &annotation])
            .map(drop)
    }

    /// A short token of a `ServiceAccount`, made under the user's own rights. Wiped from memory when dropped.
    pub fn account_token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
    ) -> Result<Zeroizing<String>, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let audience = format!("--audience={audience}");
        let output = self.run(&["create", "token", account, &namespace, &audience, "--duration=10m"])?;
        let output = Zeroizing::new(output);
        std::str::from_utf8(&output)
            .map(|token| Zeroizing::new(token.trim().to_owned()))
            .map_err(|_| KubectlError::Unexpected("create token".to_owned()))
    }

    /// One object of a kind.
    pub fn object<T: DeserializeOwned>(&self, kind: &str, name: &str, namespace: &str) -> Result<T, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", kind, name, &namespace, "--output=json"])?;
        serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))
    }

    /// All objects of a kind in a namespace, as they stand.
    pub fn objects(&self, kind: &str, namespace: &str) -> Result<Vec<Value>, KubectlError> {
        self.list(kind, Some(namespace))
    }

    /// kubectl with these arguments for this cluster, not started yet; it reads nothing from the terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).stdin(Stdio::null());
        if let Some(context) = &self.context {
            command.arg(format!("--context={context}"));
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, KubectlError> {
        let output = self.command(arguments).output().map_err(KubectlError::Missing)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let verb = arguments.first().copied().unwrap_or_default().to_owned();
        Err(KubectlError::Failed { verb, said: shown(&String::from_utf8_lossy(&output.stderr)) })
    }
}
