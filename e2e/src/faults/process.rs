//! The product's running programs as processes of this machine, where the cluster runs on it: to end one the hard way,
//! or to read what it costs.
//!
//! Only processes inside pods are looked at (by their control group), and only those whose pod carries one of our names.

use std::fs;
use std::path::{Path, PathBuf};

/// One process of one of our pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id on this machine.
    pub pid: i32,
    /// The pod that it belongs to.
    pub pod: String,
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All resident pages (`VmRSS`).
    pub resident: u64,
    /// Those that no file backs (`RssAnon`).
    pub anonymous: u64,
}

/// The process that runs `program` (such as `/manager`) in a pod whose name begins with `pod`, and whose environment
/// contains `marker`.
pub fn find(program: &str, pod: &str, marker: &str) -> Option<Process> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    entries.filter_map(|entry| look(&entry.path(), program, marker)).find(|process| process.pod.starts_with(pod))
}

fn look(dir: &Path, program: &str, marker: &str) -> Option<Process> {
    let pid = dir.file_name()?.to_str()?.parse().ok()?;
    let command = fs::read(dir.join("cmdline")).ok()?;
    if command.split(|byte| *byte == 0).next()? != program.as_bytes() {
        return None;
    }
    if !fs::read_to_string(dir.join("cgroup")).ok()?.contains("kubepods") {
        return None;
    }
    let environment = String::from_utf8_lossy(&fs::read(dir.join("environ")).ok()?).into_owned();
    if !environment.contains(marker) {
        return None;
    }
    let pod = environment.split('\0').find_map(|pair| pair.strip_prefix("HOSTNAME="))?.to_owned();
    Some(Process { pid, pod })
}

impl Process {
    /// Ends it with `SIGKILL`: no handler runs, nothing is flushed.
    pub fn kill(&self) -> bool {
        let Some(pid) = rustix::process::Pid::from_raw(self.pid) else { return false };
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
    }

    /// What it occupies now.
    pub fn memory(&self) -> Option<Memory> {
        let path: PathBuf = ["/proc", &self.pid.to_string(), "status"].iter().collect();
        memory(&fs::read_to_string(path).ok()?)
    }
}

fn memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { resident: bytes("VmRSS:")?, anonymous: bytes("RssAnon:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tmanager\nVmRSS:\t   12288 kB\nRssAnon:\t    4096 kB\nRssFile:\t    8192 kB\n";
        assert_eq!(memory(status), Some(Memory { resident: 12_582_912, anonymous: 4_194_304 }));
        assert_eq!(memory("Name:\tkthread\n"), None);
    }

    #[test]
    fn a_process_outside_of_pods_is_never_found() {
        let own = std::env::args().next().unwrap_or_default();
        assert_eq!(find(&own, "", ""), None);
    }
}
