//! Starts the cluster's processes in the order in which they need each other.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Machine;
use crate::cluster::network::{self, API_PORT, API_SERVICE_IP, NODE, NODE_IP, SERVICE_RANGE};

const ETCD: &str = "http://127.0.0.1:12379";
const ETCD_PEER: &str = "http://127.0.0.1:12380";
/// The controller manager would otherwise spend its first seconds waiting for its own request budget.
const FAST: [&str; 3] = ["--leader-elect=false", "--kube-api-qps=300", "--kube-api-burst=600"];

/// Keys, the node's address, etcd and the API server. Does not wait for them.
pub(super) fn control_plane(machine: &Machine) -> Result<()> {
    network::add_node_address(&machine.state)?;
    machine.pki.create()?;
    let mut etcd = command(machine, "etcd");
    etcd.args(["--name=sv0", "--unsafe-no-fsync", "--log-level=warn"])
        .arg(format!("--data-dir={}", machine.state.join("etcd").display()))
        .arg("--quota-backend-bytes=8589934592")
        .arg(format!("--listen-client-urls={ETCD}"))
        .arg(format!("--advertise-client-urls={ETCD}"))
        .arg(format!("--listen-peer-urls={ETCD_PEER}"))
        .arg(format!("--initial-advertise-peer-urls={ETCD_PEER}"))
        .arg(format!("--initial-cluster=sv0={ETCD_PEER}"));
    machine.processes.start("etcd", &mut etcd)?;
    machine.processes.start("kube-apiserver", &mut api_server(machine)?)
}

fn api_server(machine: &Machine) -> Result<Command> {
    let audit_policy = machine.templates.write("audit.yaml", &machine.config())?;
    let audit_log = machine.state.join("logs/audit.log");
    let key = |file: &str| machine.pki.keys.join(file).display().to_string();
    let mut server = command(machine, "kube-apiserver");
    server
        .arg(format!("--etcd-servers={ETCD}"))
        .arg(format!("--bind-address={NODE_IP}"))
        .arg(format!("--advertise-address={NODE_IP}"))
        .arg(format!("--secure-port={API_PORT}"))
        .arg(format!("--service-cluster-ip-range={SERVICE_RANGE}"))
        .arg(format!("--client-ca-file={}", key("ca.crt")))
        .arg(format!("--tls-cert-file={}", key("apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", key("apiserver.key")))
        .arg(format!("--kubelet-certificate-authority={}", key("ca.crt")))
        .arg(format!("--kubelet-client-certificate={}", key("apiserver-kubelet.crt")))
        .arg(format!("--kubelet-client-key={}", key("apiserver-kubelet.key")))
        .arg(format!("--service-account-key-file={}", key("sa.pub")))
        .arg(format!("--service-account-signing-key-file={}", key("sa.key")))
        .arg(format!("--audit-policy-file={}", audit_policy.display()))
        .arg(format!("--audit-log-path={}", audit_log.display()))
        // One file, never rotated: tests count in it.
        .arg("--audit-log-maxsize=4096")
        .args([
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
            "--shutdown-watch-termination-grace-period=0s",
        ]);
    Ok(server)
}

/// The container runtime and the images that the cluster needs.
pub(super) fn runtime(machine: &Machine, images: &[PathBuf]) -> Result<()> {
    network::prepare(&machine.state, &machine.templates)?;
    let cni = machine.templates.read("cni.conflist")?;
    fs::create_dir_all(machine.config().join("cni"))?;
    fs::write(machine.config().join("cni/10-sv0.conflist"), cni)?;
    let config = machine.templates.write("containerd.toml", &machine.config())?;
    let mut containerd = command(machine, "containerd");
    containerd.arg("--config").arg(config);
    machine.processes.start("containerd", &mut containerd)?;
    machine.wait("the container runtime", "containerd", || machine.ctr().arg("version").succeeds())?;
    for image in images {
        machine.import(image).with_context(|| format!("cannot import {}", image.display()))?;
    }
    Ok(())
}

/// Waits for the API server; starts the controller manager and the scheduler.
pub(super) fn controllers(machine: &Machine) -> Result<()> {
    let cluster = machine.cluster();
    machine.wait("the API server", "kube-apiserver", || cluster.answers())?;
    let key = |file: &str| machine.pki.keys.join(file).display().to_string();
    let mut manager = controller(machine, "kube-controller-manager");
    manager
        .arg("--use-service-account-credentials=true")
        .arg(format!("--root-ca-file={}", key("ca.crt")))
        .arg(format!("--service-account-private-key-file={}", key("sa.key")))
        .arg(format!("--cluster-signing-cert-file={}", key("ca.crt")))
        .arg(format!("--cluster-signing-key-file={}", key("ca.key")));
    machine.processes.start("kube-controller-manager", &mut manager)?;
    machine.processes.start("kube-scheduler", &mut controller(machine, "kube-scheduler"))
}

/// The kubelet, Services and network policies; returns when the node is ready.
pub(super) fn node(machine: &Machine) -> Result<()> {
    // Pods that use the host's names: there are none outside the cluster.
    fs::write(machine.config().join("resolv.conf"), "search .\n")?;
    let mut kubelet = command(machine, "kubelet");
    kubelet
        .arg(format!("--config={}", machine.templates.write("kubelet.yaml", &machine.config())?.display()))
        .arg(format!("--kubeconfig={}", machine.pki.kubeconfig("kubelet").display()))
        .arg(format!("--root-dir={}", machine.state.join("kubelet").display()))
        .arg(format!("--hostname-override={NODE}"))
        .arg(format!("--node-ip={NODE_IP}"));
    machine.processes.start("kubelet", &mut kubelet)?;

    let mut proxy = command(machine, "kube-proxy");
    proxy.arg(format!("--config={}", machine.templates.write("kube-proxy.yaml", &machine.config())?.display()));
    machine.processes.start("kube-proxy", &mut proxy)?;

    let mut policies = command(machine, "kube-network-policies");
    policies
        .arg(format!("--kubeconfig={}", machine.pki.kubeconfig("kube-network-policies").display()))
        .arg(format!("--hostname-override={NODE}"))
        // Not even for a moment is traffic let through unchecked.
        .args(["--fail-open=false", "--metrics-bind-address=127.0.0.1:19080", "--netfilter-bug-1766-fix=false"]);
    if network::has_native_queue() {
        policies.env("SV0_NFT_QUEUE", "native");
    }
    machine.processes.start("kube-network-policies", &mut policies)?;

    let cluster = machine.cluster();
    let ready = ["wait", "--for=condition=Ready", &format!("node/{NODE}"), "--timeout=1s"];
    machine.wait("the node", "kubelet", || cluster.kubectl(ready).succeeds())?;
    let account = ["get", "serviceaccount", "default", "--namespace=default"];
    machine.wait("the first service account", "kube-controller-manager", || cluster.kubectl(account).succeeds())
}

/// Volumes and cluster DNS; returns when a name can be resolved.
pub(super) fn add_ons(machine: &Machine) -> Result<()> {
    let cluster = machine.cluster();
    cluster.apply(&machine.templates.read("dns.yaml")?)?;
    cluster.apply(&machine.templates.read("volumes.yaml")?)?;
    fs::create_dir_all(machine.state.join("volumes"))?;
    let config = machine.templates.write("volumes.json", &machine.config())?;
    let mut provisioner = command(machine, "local-path-provisioner");
    provisioner
        .args(["start", "--namespace=local-path-storage", "--helper-image=securityv0.local/busybox:1"])
        .arg(format!("--config={}", config.display()))
        .arg(format!("--kubeconfig={}", machine.pki.kubeconfig("admin").display()))
        .env("CONFIG_MOUNT_PATH", machine.config());
    machine.processes.start("local-path-provisioner", &mut provisioner)?;
    let rollout = ["--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s"];
    cluster.kubectl(rollout).quiet().with_context(|| {
        format!("cluster DNS did not start; the kubelet's log is {}", machine.processes.log("kubelet").display())
    })?;
    machine.wait("the API server's own Service", "kube-proxy", || {
        let url = format!("--server=https://{API_SERVICE_IP}");
        cluster.kubectl(["get", "--raw", "/readyz", &url]).succeeds()
    })
}

fn controller(machine: &Machine, name: &str) -> Command {
    let kubeconfig = machine.pki.kubeconfig(name).display().to_string();
    let mut controller = command(machine, name);
    controller.args(FAST).arg("--bind-address=127.0.0.1").args(
        ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"]
            .map(|flag| format!("{flag}={kubeconfig}")),
    );
    controller
}

fn command(machine: &Machine, name: &str) -> Command {
    Command::new(machine.bin.join(name))
}
