//! A real single-node Kubernetes as processes of this machine, without Docker, a registry or prebuilt binaries.
//!
//! It needs root on Linux. Pods cannot reach anything outside the machine, and nothing is ever pulled.

mod start;
mod stop;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::network::{API_URL, DNS_IP, NODE, NODE_IP, POD_BRIDGE, POD_RANGE};
use super::pki::Pki;
use super::process::Processes;
use super::templates::Templates;
use super::{Cluster, Provider, base_images, network, packages};
use crate::context::{Context, Stages};
use crate::sh::Sh;
use crate::tools::{self, CLIENT, CONTROL, Group, LINT, NETWORK, NODE as RUNTIME, VOLUMES};

const GROUPS: [&Group; 6] = [&CLIENT, &CONTROL, &RUNTIME, &NETWORK, &VOLUMES, &LINT];

/// The parts that starting and stopping share.
struct Machine {
    state: PathBuf,
    bin: PathBuf,
    processes: Processes,
    pki: Pki,
    templates: Templates,
}

impl Machine {
    fn new(ctx: &Context) -> Result<Self> {
        let state = ctx.state.clone();
        let pki = Pki::new(&state);
        let runc = packages::find("runc").unwrap_or_default();
        let values = vec![
            ("STATE", state.display().to_string()),
            ("PKI", pki.keys.display().to_string()),
            ("KUBECONFIGS", pki.kubeconfigs.display().to_string()),
            ("RUNC", runc.display().to_string()),
            ("CNI_BIN", NETWORK.bin(ctx)?.display().to_string()),
            ("NODE", NODE.to_owned()),
            ("NODE_IP", NODE_IP.to_owned()),
            ("DNS_IP", DNS_IP.to_owned()),
            ("POD_RANGE", POD_RANGE.to_owned()),
            ("POD_BRIDGE", POD_BRIDGE.to_owned()),
        ];
        Ok(Self {
            bin: tools::bin_dir(ctx, &GROUPS)?,
            processes: Processes::new(&state),
            pki,
            templates: Templates::new(ctx, values),
            state,
        })
    }

    /// The machine whose cluster is up. The module files may have changed since it was started: what runs is talked
    /// to with the programs that it was made of.
    fn running(ctx: &Context) -> Result<Self> {
        let mut machine = Self::new(ctx)?;
        if let Ok(Some(cluster)) = Cluster::current(ctx) {
            machine.bin = cluster.bin;
        }
        Ok(machine)
    }

    fn config(&self) -> PathBuf {
        self.state.join("config")
    }

    /// A call of containerd's client in the namespace that Kubernetes uses.
    fn ctr(&self) -> Sh {
        let socket = self.state.join("run/c.sock");
        Sh::new(self.bin.join("ctr")).arg("-a").arg(socket).args(["-n", "k8s.io"])
    }

    fn import(&self, archive: &Path) -> Result<()> {
        // The label keeps the kubelet from ever collecting what cannot be pulled again.
        self.ctr()
            .args(["images", "import", "--local", "--label", "io.cri-containerd.pinned=pinned"])
            .args(["--snapshotter", "overlayfs"])
            .arg(archive)
            .quiet()
    }

    fn cluster(&self) -> Cluster {
        Cluster {
            provider: Provider::Built,
            kubeconfig: self.pki.kubeconfig("admin"),
            audit_log: Some(self.state.join("logs/audit.log")),
            bin: self.bin.clone(),
        }
    }

    /// Waits for `probe`, and not longer than the process `name` lives.
    fn wait(&self, what: &str, name: &str, probe: impl FnMut() -> bool) -> Result<()> {
        crate::sh::wait_for(what, Duration::from_mins(2), probe, || self.processes.why_dead(name))
    }
}

/// Builds what is missing and starts everything; returns when the node is ready and cluster DNS answers.
pub(super) fn up(ctx: &Context, stages: &mut Stages) -> Result<Cluster> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        bail!(
            "no Docker daemon answers, and a cluster made of processes needs root on Linux: start Docker, run as root, or name a test cluster with --context"
        );
    }
    refuse_company(ctx)?;
    stages.run("tools", || {
        packages::ensure(&packages::FOR_BUILT)?;
        Ok(((), tools::ensure_built(ctx, &GROUPS)?))
    })?;
    let machine = Machine::new(ctx)?;
    let images =
        stages.run("base images", || Ok((base_images::build(ctx, &ctx.state.join("images"))?, String::new())))?;
    stages.run("control plane", || {
        start::control_plane(&machine)?;
        start::runtime(&machine, &images)?;
        start::controllers(&machine)?;
        Ok(((), API_URL.to_owned()))
    })?;
    stages.run("node", || {
        start::node(&machine)?;
        Ok(((), NODE.to_owned()))
    })?;
    stages.run("volumes and DNS", || {
        start::add_ons(&machine)?;
        Ok(((), String::new()))
    })?;
    Ok(machine.cluster())
}

/// Stops everything and removes what it left on this machine.
pub(super) fn down(ctx: &Context) -> Result<()> {
    let machine = Machine::running(ctx)?;
    // What belongs to the whole machine is touched only if it is this cluster's.
    if network::owner().is_some_and(|owner| owner == machine.state) {
        stop::everything(&machine);
        network::clear(&machine.state);
    }
    stop::clear_files(&machine)
}

/// One machine can be one node: refuses where another cluster already uses it.
fn refuse_company(ctx: &Context) -> Result<()> {
    if let Some(owner) = network::owner().filter(|owner| *owner != ctx.state) {
        bail!(
            "a test cluster with the state directory {} runs on this machine: use it (SECURITYV0_STATE), or remove it first",
            owner.display()
        );
    }
    if let Some(group) = stop::pod_groups().first() {
        bail!(
            "pods of another Kubernetes node run on this machine ({} exists): label it as a test cluster and name it with --context",
            group.display()
        );
    }
    Ok(())
}

/// Imports an OCI archive into the node.
pub(super) fn load_image(ctx: &Context, archive: &Path) -> Result<()> {
    Machine::running(ctx)?.import(archive)
}
