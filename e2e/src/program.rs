//! `kubectl sv0` as a person runs it: built from this checkout, with a kubeconfig of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deploy::SYSTEM;
use crate::{Env, Result, World};

/// The program, built.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    kubectl: PathBuf,
}

impl Program {
    /// Builds it.
    pub fn build(env: &Env) -> Result<Self> {
        let arguments = ["build", "--package", "sv0-cli", "--bin", "kubectl-sv0", "--message-format=json"];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(&env.root).output()?;
        if !output.status.success() {
            return Err(format!("kubectl-sv0 does not build: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let executable = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|message| message["target"]["name"] == "kubectl-sv0" && message["executable"].is_string());
        let path = executable.and_then(|message| message["executable"].as_str().map(PathBuf::from));
        Ok(Self { path: path.ok_or("cargo named no executable")?, kubectl: env.kubectl.clone() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it as the person whose kubeconfig this is.
    pub fn run(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.path);
        command.args(arguments).env("SV0_KUBECTL", &self.kubectl).env("KUBECONFIG", kubeconfig);
        Ok(command.output()?)
    }

    /// Runs it where there is no network at all, and no kubectl.
    pub fn run_without_network(&self, arguments: &[&str]) -> Result<Output> {
        let ways: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
        let possible = |way: &&[&str]| {
            Command::new("unshare").args(*way).arg("true").output().is_ok_and(|output| output.status.success())
        };
        let way =
            ways.into_iter().find(possible).ok_or("this machine starts no program without a network (unshare)")?;
        let mut command = Command::new("unshare");
        command.args(way).arg(&self.path).args(arguments);
        command.env("SV0_KUBECTL", "no-kubectl-here").env_remove("KUBECONFIG");
        Ok(command.output()?)
    }
}

/// A kubeconfig that knows the cluster and `token`, and nothing of the administrator.
pub fn kubeconfig(world: &World, token: &str) -> Result<Value> {
    let text = world.kubectl.run(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"])?;
    let administrator: Value = serde_json::from_str(&text)?;
    let cluster = administrator["clusters"][0]["cluster"].clone();
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "own",
        "clusters": [{"name": "own", "cluster": cluster}],
        "users": [{"name": "own", "user": {"token": token}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
    }))
}

/// The roles of whoever reads everything of an estate and changes nothing: its Findings, and its part of the store.
pub const READER: [&str; 1] = ["securityv0-findings-reader"];

/// A person who uses the program with these roles in one estate, those of its store's reader, and nothing else.
pub struct Person {
    /// The program as built.
    pub program: Program,
    dir: TempDir,
    kubeconfig: PathBuf,
    /// The name that the API server knows the person by.
    pub user: String,
}

impl Person {
    /// Makes the account `name` in the estate under test and binds these `ClusterRoles` to it there.
    pub fn new(world: &World, name: &str, roles: &[&str]) -> Result<Self> {
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": world.ns}});
        let binding = |namespace: &str, kind: &str, role: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("e2e-{name}-{role}"), "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": world.ns}],
            })
        };
        let mut items = vec![account, binding(SYSTEM, "Role", &format!("securityv0-reader-{}", world.ns))];
        items.extend(roles.iter().map(|role| binding(world.ns, "ClusterRole", role)));
        world.kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
        let token = world.token_for_api(name)?;
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig(world, &token)?.to_string())?;
        let user = format!("system:serviceaccount:{}:{name}", world.ns);
        Ok(Self { program: Program::build(&world.env)?, dir, kubeconfig: path, user })
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.program.run(&self.kubeconfig, arguments)
    }

    /// Runs the program, which must succeed; gives what it printed.
    pub fn told(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!("kubectl sv0 {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into())
    }

    /// A file of the person's own.
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}
