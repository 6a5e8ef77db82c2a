//! The product's logs, kept from the moment a container starts: Jobs are cleared away within seconds of their end, and
//! their logs with them.
//!
//! Takes the directory in which the kubelet of a cluster on this machine keeps container logs, and holds every file open
//! that appears there; an open file outlives its name. Gives all text at the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Env, Result};

type Files = BTreeMap<PathBuf, File>;

/// Follows the logs of some namespaces until it is asked for them.
#[derive(Debug)]
pub struct Logs {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Files>>,
}

impl Logs {
    /// Begins; what is in the logs already is included. `None` where the kubelet's files are not on this machine.
    pub fn follow(env: &Env, namespaces: &[&str]) -> Option<Self> {
        let directory = env.audit_log.as_ref()?.parent()?.parent()?.join("pod-logs");
        if !directory.is_dir() {
            return None;
        }
        let prefixes: Vec<String> = namespaces.iter().map(|namespace| format!("{namespace}_")).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut files = Files::new();
            // Once more after the end, for what appeared since the last look.
            loop {
                let last = stopped.load(Ordering::Relaxed);
                look(&directory, &prefixes, &mut files);
                if last {
                    return files;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Some(Self { stop, thread: Some(thread) })
    }

    /// Ends, and gives the text of every container log: `<namespace>_<pod>_<uid>/<container>/<n>.log` and its content.
    pub fn finish(mut self) -> Result<BTreeMap<String, String>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("the logs were given already")?;
        let files = thread.join().map_err(|_| "the follower of the logs broke")?;
        let mut texts = BTreeMap::new();
        for (path, mut file) in files {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.read_to_end(&mut bytes)?;
            let parts: Vec<_> = path.components().rev().take(3).map(|c| c.as_os_str().to_string_lossy()).collect();
            let name = parts.into_iter().rev().collect::<Vec<_>>().join("/");
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(texts)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Opens what is new. A directory that vanishes meanwhile is no error: its pod is gone.
fn look(directory: &Path, prefixes: &[String], files: &mut Files) {
    let wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
    for pod in entries(directory).into_iter().filter(|p| p.file_name().is_some_and(|n| wanted(&n.to_string_lossy()))) {
        for log in entries(&pod).iter().flat_map(|container| entries(container)) {
            if !files.contains_key(&log)
                && let Ok(file) = File::open(&log)
            {
                files.insert(log, file);
            }
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_that_is_gone_by_the_end_is_still_given() {
        let root = std::env::temp_dir().join(format!("securityv0-logs-{}", std::process::id()));
        let mine = root.join("pod-logs/a_pod_uid/scan");
        fs::create_dir_all(&mine).unwrap();
        fs::create_dir_all(root.join("pod-logs/other_pod_uid/scan")).unwrap();
        fs::write(root.join("pod-logs/other_pod_uid/scan/0.log"), "another namespace").unwrap();
        let mut log = File::create(mine.join("0.log")).unwrap();
        let mut files = Files::new();
        look(&root.join("pod-logs"), &["a_".to_owned()], &mut files);
        log.write_all(b"written later").unwrap();
        fs::remove_dir_all(&root).unwrap();
        look(&root.join("pod-logs"), &["a_".to_owned()], &mut files);

        let texts = Logs { stop: Arc::default(), thread: Some(std::thread::spawn(move || files)) }.finish().unwrap();
        assert_eq!(texts.len(), 1);
        assert_eq!(texts["a_pod_uid/scan/0.log"], "written later");
    }
}
