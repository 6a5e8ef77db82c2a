//! The cluster, by running kubectl: the user's credentials stay inside it, and so do proxies, plug-ins and contexts.
//! Takes fixed commands with checked names; gives what kubectl printed. May not: use a shell, or write anything that
//! the user did not ask for.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sv0_api::{ConnectorInstance, ESTATE_NAME, Estate};
use zeroize::Zeroizing;

use crate::values::shown;

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
    #[error("kubectl could not be started: {0}")]
    Missing(std::io::Error),
    /// It refused or failed.
    #[error("kubectl {verb} failed: {said}")]
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

impl Cluster {
    /// What the API server answers to a GET of `path`.
    pub fn raw(&self, path: &str) -> Result<Vec<u8>, KubectlError> {
        self.run(&["get", "--raw", path])
    }

    /// Every `ConnectorInstance` of the cluster.
    pub fn instances(&self) -> Result<Vec<ConnectorInstance>, KubectlError> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<ConnectorInstance>,
        }
        let output = self.run(&["get", "connectorinstances.securityv0.com", "--all-namespaces", "--output=json"])?;
        let list: List = serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))?;
        Ok(list.items)
    }

    /// One `ConnectorInstance`.
    pub fn instance(&self, namespace: &str, name: &str) -> Result<ConnectorInstance, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", "connectorinstances.securityv0.com", name, &namespace, "--output=json"])?;
        serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))
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

    /// The Estate of a namespace.
    pub fn estate(&self, namespace: &str) -> Result<Estate, KubectlError> {
        self.object("estates.securityv0.com", ESTATE_NAME, namespace)
    }

    /// One object of a kind.
    pub fn object<T: DeserializeOwned>(&self, kind: &str, name: &str, namespace: &str) -> Result<T, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", kind, name, &namespace, "--output=json"])?;
        serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))
    }

    /// All objects of a kind in a namespace, as they stand.
    pub fn objects(&self, kind: &str, namespace: &str) -> Result<Vec<serde_json::Value>, KubectlError> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<serde_json::Value>,
        }
        let namespace = format!("--namespace={namespace}");
        let output = self.run(&["get", kind, &namespace, "--output=json"])?;
        let list: List = serde_json::from_slice(&output).map_err(|_| KubectlError::Unexpected("get".to_owned()))?;
        Ok(list.items)
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
