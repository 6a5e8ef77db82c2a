//! Where things are: the checkout, the cache of built tools and the state of a running cluster; and the
//! clock that stages are reported with.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

/// The directories that every task works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Root of the checkout.
    pub(crate) root: PathBuf,
    /// What may be kept between runs and machines: `$SECURITYV0_CACHE`, else `~/.cache/securityv0`.
    pub(crate) cache: PathBuf,
    /// State of the running test cluster: `$SECURITYV0_STATE`, else `/tmp/sv0-k8s`. Unix sockets live below
    /// it, so it has to be short.
    pub(crate) state: PathBuf,
}

/// Longest state directory whose sockets still fit into the 108 bytes of a Unix socket address.
const MAX_STATE_PATH: usize = 30;

impl Context {
    /// Reads the environment.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .ok_or_else(|| anyhow!("the checkout's root is not two levels above the xtask crate"))?
            .to_path_buf();
        let cache = match std::env::var_os("SECURITYV0_CACHE") {
            Some(dir) => PathBuf::from(dir),
            None => std::env::home_dir()
                .map(|home| home.join(".cache/securityv0"))
                .ok_or_else(|| anyhow!("no home directory: set SECURITYV0_CACHE to a directory for built tools"))?,
        };
        let state = std::env::var_os("SECURITYV0_STATE").map_or_else(|| PathBuf::from("/tmp/sv0-k8s"), PathBuf::from);
        if state.as_os_str().len() > MAX_STATE_PATH || !state.is_absolute() {
            return Err(anyhow!(
                "SECURITYV0_STATE must be an absolute path of at most {MAX_STATE_PATH} characters (sockets live below it), not {}",
                state.display()
            ));
        }
        Ok(Self { root, cache, state })
    }

    /// Waits until no other task of this machine holds the lock `name`; held until the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        fs::create_dir_all(&self.cache).with_context(|| format!("cannot create {}", self.cache.display()))?;
        let path = self.cache.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if file.try_lock().is_err() {
            note(&format!("waiting for another task ({name})"));
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }
}

/// A failure that the task has already explained; nothing more is printed about it.
#[derive(Debug)]
pub(crate) struct AlreadyReported;

impl std::fmt::Display for AlreadyReported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task failed, as reported above")
    }
}

impl std::error::Error for AlreadyReported {}

/// Prints one line of progress to standard error.
pub(crate) fn note(line: &str) {
    eprintln!("  · {line}");
}

/// Stages of one task and how long each took.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

/// One finished stage.
#[derive(Debug)]
struct Stage {
    name: String,
    took: Duration,
    remark: String,
}

impl Stages {
    /// Runs `work` as the stage `name`; the text that it returns (such as "warm") is shown with the time.
    pub(crate) fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        eprintln!("▸ {name}");
        let start = Instant::now();
        let (value, remark) = work().with_context(|| format!("stage \"{name}\" failed"))?;
        self.done.push(Stage { name: name.to_owned(), took: start.elapsed(), remark });
        Ok(value)
    }

    /// Prints the table of minutes.
    pub(crate) fn print(&self) {
        eprintln!("\n{:<28} {:>8}", "stage", "minutes");
        for stage in &self.done {
            eprintln!("{:<28} {:>8} {}", stage.name, minutes(stage.took), stage.remark);
        }
        let total = self.done.iter().map(|stage| stage.took).sum();
        eprintln!("{:<28} {:>8}", "total", minutes(total));
    }
}

/// Minutes with two decimals.
pub(crate) fn minutes(took: Duration) -> String {
    format!("{:.2}", took.as_secs_f64() / 60.0)
}
