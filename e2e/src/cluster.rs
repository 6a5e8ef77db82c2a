//! `kubectl` as a library: apply, get, wait. Errors carry what `kubectl` printed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Env, Result};

/// One cluster, optionally seen as another user.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: std::path::PathBuf,
    kubeconfig: std::path::PathBuf,
    extra: Vec<String>,
}

impl Kubectl {
    /// The cluster of `env`, as its administrator.
    pub fn new(env: &Env) -> Self {
        Self { program: env.kubectl.clone(), kubeconfig: env.kubeconfig.clone(), extra: Vec::new() }
    }

    /// The same cluster as the given ServiceAccount, by impersonation.
    #[must_use]
    pub fn as_account(&self, namespace: &str, name: &str) -> Self {
        let mut other = self.clone();
        other.extra.push(format!("--as=system:serviceaccount:{namespace}:{name}"));
        other.extra.push("--as-group=system:serviceaccounts".into());
        other.extra.push(format!("--as-group=system:serviceaccounts:{namespace}"));
        other.extra.push("--as-group=system:authenticated".into());
        other
    }

    /// The same cluster with a bearer token and nothing else.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        let mut other = self.clone();
        other.extra.push(format!("--token={token}"));
        other
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).args(&self.extra).args(args);
        command
    }

    /// Runs and gives standard output; the error is what `kubectl` printed.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with(args, "")
    }

    /// As [`Self::run`], with text on standard input.
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Result<String> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", self.program.display()))?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes())?;
        }
        let out = child.wait_with_output()?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        Err(format!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim()).into())
    }

    /// Server-side apply of YAML or JSON documents.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], manifests)
    }

    /// `get -o json`.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend_from_slice(args);
        Ok(serde_json::from_str(&self.run(&all)?)?)
    }

    /// The objects of a list, in the order that the API server gives (by name).
    pub fn list(&self, namespace: &str, resource: &str) -> Result<Vec<Value>> {
        let list = self.get(&["-n", namespace, resource])?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// One object, or `None` where it does not exist.
    pub fn find(&self, namespace: &str, resource: &str, name: &str) -> Result<Option<Value>> {
        let text = self.run(&["get", "-n", namespace, resource, name, "-o", "json", "--ignore-not-found"])?;
        if text.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
    }

    /// `true` when the access review says yes.
    pub fn can_i(&self, args: &[&str]) -> Result<bool> {
        let mut all = vec!["auth", "can-i"];
        all.extend_from_slice(args);
        let out = self.command(&all).output()?;
        match String::from_utf8_lossy(&out.stdout).trim() {
            "yes" => Ok(true),
            "no" => Ok(false),
            other => {
                Err(format!("kubectl auth can-i {}: {other} {}", args.join(" "), String::from_utf8_lossy(&out.stderr))
                    .into())
            }
        }
    }
}

/// Asks again every half second until `probe` gives a value; the error carries the last answer.
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(e) if Instant::now() >= end => {
                return Err(format!("{what}: not seen within {} s; last: {e}", limit.as_secs()).into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}
