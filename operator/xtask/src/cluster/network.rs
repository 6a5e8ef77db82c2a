//! Addresses of the cluster and what its network changes on this machine: one interface, one nftables table, a
//! few kernel settings. Everything is undone by [`clear`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::templates::Templates;
use crate::sh::Sh;

pub(super) const NODE: &str = "sv0-node";
/// On an interface of the cluster's own, so that the machine's network does not matter.
pub(super) const NODE_IP: &str = "10.240.0.1";
pub(super) const POD_RANGE: &str = "10.241.0.0/22";
pub(super) const SERVICE_RANGE: &str = "10.242.0.0/24";
pub(super) const API_SERVICE_IP: &str = "10.242.0.1";
pub(super) const DNS_IP: &str = "10.242.0.10";
pub(super) const API_PORT: &str = "6443";
pub(super) const API_URL: &str = "https://10.240.0.1:6443";
pub(super) const POD_BRIDGE: &str = "sv0-pods";
const NODE_DEVICE: &str = "sv0-node0";

/// Kernel settings that the cluster or its kubelet changes.
const SETTINGS: [&str; 9] = [
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Tables that the cluster's components leave behind when they are killed.
const TABLES: [&str; 5] =
    ["ip kube-proxy", "ip6 kube-proxy", "inet kube-network-policies", "inet sv0-guard", "inet cni_hostport"];

/// The state directory of the cluster that runs on this machine, if one does. It is written on the node's
/// interface, the first thing that is made and the last that is removed.
pub(super) fn owner() -> Option<PathBuf> {
    let alias = fs::read_to_string(format!("/sys/class/net/{NODE_DEVICE}/ifalias")).ok()?;
    Some(PathBuf::from(alias.trim()))
}

/// Gives the node its address. A bridge without ports serves as the interface: not every kernel has dummies.
pub(super) fn add_node_address(state: &Path) -> Result<()> {
    if !ip(&["link", "show", NODE_DEVICE]).succeeds() {
        ip(&["link", "add", NODE_DEVICE, "type", "bridge"]).quiet()?;
    }
    ip(&["link", "set", NODE_DEVICE, "alias", &state.display().to_string()]).quiet()?;
    ip(&["addr", "replace", &format!("{NODE_IP}/32"), "dev", NODE_DEVICE]).quiet()?;
    ip(&["link", "set", NODE_DEVICE, "up"]).quiet()
}

/// Lets pods talk to each other through netfilter and to nothing outside this machine.
pub(super) fn prepare(state: &Path, templates: &Templates) -> Result<()> {
    let saved = state.join("kernel-settings");
    if !saved.exists() {
        let lines: String = SETTINGS
            .iter()
            .filter_map(|name| Some(format!("{name} {}\n", fs::read_to_string(setting(name)).ok()?.trim())))
            .collect();
        fs::write(&saved, lines)?;
    }
    fs::write(setting("net/ipv4/ip_forward"), "1").context("cannot switch on IP forwarding: are you root?")?;
    // Traffic between two pods stays on the bridge; Services and policies must see it all the same. The file is
    // missing where the kernel has no br_netfilter, and then it is not filtered at all.
    let bridged = setting("net/bridge/bridge-nf-call-iptables");
    fs::write(&bridged, "1").with_context(|| format!("{bridged} is missing: run `modprobe br_netfilter`"))?;
    Sh::new("nft").args(["-f", "-"]).input(templates.read("guard.nft")?).quiet()
}

/// Whether this kernel's nftables can queue packets itself; older and smaller kernels need the xtables target.
pub(super) fn has_native_queue() -> bool {
    const TABLE: &str = "inet sv0-probe";
    let rule = format!("table {TABLE} {{ chain c {{ queue num 100; }} }}");
    let works = Sh::new("nft").args(["-f", "-"]).input(rule).succeeds();
    Sh::new("nft").args(["delete", "table", "inet", "sv0-probe"]).succeeds();
    works
}

/// Removes interfaces and tables and restores the kernel settings. What is not there is no error.
pub(super) fn clear(state: &Path) {
    ip(&["link", "delete", POD_BRIDGE]).succeeds();
    for table in TABLES {
        Sh::new("nft").args(["delete", "table"]).args(table.split(' ')).succeeds();
    }
    let saved = fs::read_to_string(state.join("kernel-settings")).unwrap_or_default();
    for (name, value) in saved.lines().filter_map(|line| line.split_once(' ')) {
        // A setting that cannot be written back was not writable for the cluster either.
        fs::write(setting(name), value).ok();
    }
    ip(&["link", "delete", NODE_DEVICE]).succeeds();
}

fn setting(name: &str) -> String {
    format!("/proc/sys/{name}")
}

fn ip(arguments: &[&str]) -> Sh {
    Sh::new("ip").args(arguments)
}
