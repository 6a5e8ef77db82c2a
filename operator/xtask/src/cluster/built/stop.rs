//! Ends every process of the cluster and removes its traces. It ends only what it knows: its own records, the
//! tasks of its own containerd, shims that were started for it, and what runs in the node's pod control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::Machine;
use crate::sh::Sh;

/// The state is thrown away, so that only the kubelet and containerd are asked to finish their work.
const AT_ONCE: [&str; 7] = [
    "local-path-provisioner",
    "kube-network-policies",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
];

/// Ends everything that runs.
pub(super) fn everything(machine: &Machine) {
    const PATIENCE: Duration = Duration::from_secs(5);
    machine.processes.stop("kubelet", PATIENCE);
    for name in AT_ONCE {
        machine.processes.stop(name, Duration::ZERO);
    }
    if machine.processes.why_dead("containerd").is_none() {
        let tasks = machine.ctr().args(["tasks", "list", "-q"]).read().unwrap_or_default();
        if !tasks.is_empty() {
            machine.ctr().args(["tasks", "remove", "-f"]).args(tasks.split_whitespace()).succeeds();
        }
    }
    machine.processes.stop("containerd", PATIENCE);
    end_shims(&machine.state);
    for group in pod_groups() {
        end_group(&group);
    }
}

/// Unmounts what is below the state directory and removes it, and what the kubelet and the network plugins keep
/// at fixed places outside of it.
pub(super) fn clear_files(machine: &Machine) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the list of mounts")?;
    for mount in mounts_below(&mounts, &machine.state) {
        Sh::new("umount").arg("-l").arg(mount).succeeds();
    }
    let left = mounts_below(&fs::read_to_string("/proc/self/mountinfo")?, &machine.state);
    // A directory that is still mounted may hold somebody's files: rather leave it than empty it.
    anyhow::ensure!(left.is_empty(), "cannot unmount {}: end the processes that use it", left.join(", "));
    // Best effort: none of these hold anything back, and most are not there.
    remove_links_into(Path::new("/var/log/containers"), &machine.state);
    remove_matching(Path::new("/var/lib/cni/results"), "sv0-");
    fs::remove_dir_all("/var/lib/kubelet/device-plugins").ok();
    fs::remove_file("/run/nri/nri.sock").ok();
    for empty in [
        "/var/lib/kubelet",
        "/var/lib/cni/results",
        "/var/lib/cni",
        "/var/log/containers",
        "/run/nri",
        "/run/containerd",
    ] {
        fs::remove_dir(empty).ok();
    }
    crate::tools::remove_dir(&machine.state)
}

/// Kills shims that outlived containerd: those whose command line names our socket.
fn end_shims(state: &Path) {
    let ours = format!("{}/run/", state.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if is_shim(&line, &ours) {
            kill(pid);
        }
    }
}

/// Whether a command line (arguments separated by NUL) is a shim whose `-address` begins with `ours`.
fn is_shim(line: &[u8], ours: &str) -> bool {
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    arguments.first().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"))
        && arguments.windows(2).any(|pair| pair[0] == b"-address" && pair[1].starts_with(ours.as_bytes()))
}

/// The control groups of the node's pods: one tree with version 2, one per controller with version 1.
pub(super) fn pod_groups() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut trees = vec![root.clone()];
    trees.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()));
    trees.iter().map(|tree| tree.join("kubepods")).filter(|group| group.is_dir()).collect()
}

/// Kills what runs in a control group and removes it with everything below.
fn end_group(group: &Path) {
    const ATTEMPTS: u32 = 10;
    let groups = groups_below(group);
    for _ in 0..ATTEMPTS {
        let processes: Vec<i32> = groups
            .iter()
            .filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
            .collect();
        if processes.is_empty() {
            break;
        }
        processes.into_iter().for_each(kill);
        thread::sleep(Duration::from_millis(200));
    }
    for group in groups.iter().rev() {
        fs::remove_dir(group).ok();
    }
}

/// A control group and all below it, parents first.
fn groups_below(group: &Path) -> Vec<PathBuf> {
    let mut found = vec![group.to_path_buf()];
    let mut next = 0;
    while let Some(dir) = found.get(next).cloned() {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        next += 1;
    }
    found
}

/// Mount points below `dir`, deepest first.
fn mounts_below(mountinfo: &str, dir: &Path) -> Vec<String> {
    let prefix = format!("{}/", dir.display());
    let mut mounts: Vec<String> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|mount| mount.starts_with(&prefix))
        .map(str::to_owned)
        .collect();
    mounts.sort_unstable_by(|a, b| b.cmp(a));
    mounts
}

fn remove_links_into(dir: &Path, target: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(target)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn remove_matching(dir: &Path, prefix: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself meanwhile.
        kill_process(pid, Signal::KILL).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_shims_are_ended() {
        let line = |address: &str| format!("/x/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0{address}\0");
        assert!(is_shim(line("/tmp/sv0/run/c.sock").as_bytes(), "/tmp/sv0/run/"));
        assert!(!is_shim(line("/run/containerd/c.sock").as_bytes(), "/tmp/sv0/run/"));
        assert!(!is_shim(b"/bin/grep\0containerd-shim-runc-v2\0-address\0/tmp/sv0/run/c.sock\0", "/tmp/sv0/run/"));
    }

    #[test]
    fn mounts_come_deepest_first_and_only_ours() {
        let info =
            "1 0 0:1 / /tmp/sv0 rw\n2 0 0:1 / /tmp/sv0/a rw\n3 0 0:1 / /tmp/sv0/a/b rw\n4 0 0:1 / /tmp/sv0x/a rw\n";
        assert_eq!(mounts_below(info, Path::new("/tmp/sv0")), ["/tmp/sv0/a/b", "/tmp/sv0/a"]);
    }
}
