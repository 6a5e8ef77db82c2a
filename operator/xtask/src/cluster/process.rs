//! Background processes of the cluster: started in a session of their own, with a log file each, and ended only
//! by their own identity (process id and start time), so that a stranger with a reused id is never touched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::sh::tail;

/// The processes whose records are in one directory.
#[derive(Debug)]
pub(super) struct Processes {
    records: PathBuf,
    logs: PathBuf,
}

impl Processes {
    pub(super) fn new(state: &Path) -> Self {
        Self { records: state.join("processes"), logs: state.join("logs") }
    }

    /// Starts `command` as `name`.
    pub(super) fn start(&self, name: &str, command: &mut Command) -> Result<()> {
        fs::create_dir_all(&self.records)?;
        fs::create_dir_all(&self.logs)?;
        let log = File::create(self.log(name)).with_context(|| format!("cannot create the log of {name}"))?;
        // A session of its own, so that closing the terminal does not end the cluster. `setsid` replaces itself
        // with the program: the id stays.
        let child = Command::new("setsid")
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id();
        let started = start_time(pid).unwrap_or_default();
        fs::write(self.record(name), format!("{pid} {started}"))?;
        Ok(())
    }

    /// Why `name` is not running; nothing while it is.
    pub(super) fn why_dead(&self, name: &str) -> Option<String> {
        if self.pid(name).is_some() {
            return None;
        }
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        Some(format!("{name} ended; its log says:\n{}", tail(&log)))
    }

    /// Asks `name` to end and insists after `patience`; no patience means at once.
    pub(super) fn stop(&self, name: &str, patience: Duration) {
        let start = Instant::now();
        if !patience.is_zero() {
            self.signal(name, Signal::TERM);
            while self.pid(name).is_some() && start.elapsed() < patience {
                thread::sleep(Duration::from_millis(50));
            }
        }
        self.signal(name, Signal::KILL);
        // A killed process needs a moment until it has let go of its files and sockets.
        while self.pid(name).is_some() && start.elapsed() < patience + Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The file that `name` writes to.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(name)
    }

    fn signal(&self, name: &str, signal: Signal) {
        if let Some(pid) = self.pid(name).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // The process may have ended in between, which is what is wanted.
            kill_process(pid, signal).ok();
        }
    }

    /// The id of the running process `name`.
    fn pid(&self, name: &str) -> Option<u32> {
        let record = fs::read_to_string(self.record(name)).ok()?;
        let (pid, started) = record.split_once(' ')?;
        let pid = pid.parse().ok()?;
        (start_time(pid)?.to_string() == started).then_some(pid)
    }
}

/// When a live process was started, in clock ticks since boot. Nothing for a process that has ended, even if
/// nobody has collected its status yet.
fn start_time(pid: u32) -> Option<u64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and may itself contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let dir = tempfile::tempdir().unwrap();
        let processes = Processes::new(dir.path());
        processes.start("sleeper", Command::new("sleep").arg("600")).unwrap();
        assert!(processes.why_dead("sleeper").is_none());
        let record = fs::read_to_string(processes.record("sleeper")).unwrap();
        let (pid, started) = record.split_once(' ').unwrap();
        // The same id with another start time is somebody else.
        fs::write(processes.record("stranger"), format!("{pid} {}", started.parse::<u64>().unwrap() + 1)).unwrap();
        assert!(processes.pid("stranger").is_none());
        processes.stop("sleeper", Duration::from_secs(5));
        assert!(processes.why_dead("sleeper").is_some());
    }

    #[test]
    fn a_dead_process_shows_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let processes = Processes::new(dir.path());
        processes.start("failing", Command::new("sh").args(["-c", "echo because >&2; exit 1"])).unwrap();
        let reason = loop {
            if let Some(reason) = processes.why_dead("failing") {
                break reason;
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(reason.contains("because"), "{reason}");
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = format!("12 (a) b (c) S {}", (1..=30).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        assert_eq!(parse_stat(&stat), Some(19));
        assert_eq!(parse_stat(&stat.replace(" S ", " Z ")), None);
    }
}
