//! The two back ends that the conformance suite runs on: a directory, and S3 spoken by versitygw, an independent
//! server that checks signatures. It is built once from its Go module into `${SECURITYV0_CACHE:-~/.cache/securityv0}`.
#![allow(dead_code, reason = "each suite uses its part of this")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, RetryConfig};
use sv0_store::backend::Backend;
use tempfile::TempDir;

const VERSION: &str = "1.8.0";
const ACCESS_KEY: &str = "AKIATEST";
const SECRET_KEY: &str = "secretsecret";
const REGION: &str = "eu-central-1";
const BUCKET: &str = "evidence";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Volume,
    Bucket,
}

/// A back end with the directory in which its objects are plain files.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) files: PathBuf,
    gateway: Option<Gateway>,
    _disk: Option<SmallDisk>,
    directory: TempDir,
}

impl Bench {
    /// `None`, with the reason printed, where the back end cannot be had.
    pub(crate) async fn new(kind: Kind) -> Option<Self> {
        Self::on(kind, None).await
    }

    /// On a disk of one mebibyte; `None`, with the reason printed, where no disk can be mounted.
    pub(crate) async fn on_small_disk(kind: Kind) -> Option<Self> {
        Self::on(kind, Some(1024 * 1024)).await
    }

    async fn on(kind: Kind, disk_bytes: Option<u64>) -> Option<Self> {
        // Absolute, and on a real disk: versitygw needs user attributes.
        let directory = tempfile::tempdir().unwrap();
        let disk = match disk_bytes {
            Some(bytes) => Some(SmallDisk::mount(directory.path(), bytes)?),
            None => None,
        };
        let (store, files, gateway): (Arc<dyn ObjectStore>, _, _) = match kind {
            Kind::Volume => {
                let store = Backend::Filesystem(directory.path().to_owned()).open().unwrap();
                (store, directory.path().join("objects"), None)
            }
            Kind::Bucket => {
                let files = directory.path().join(BUCKET);
                std::fs::create_dir(&files).unwrap();
                let gateway = Gateway::start(directory.path()).await?;
                (Arc::new(s3(&gateway.endpoint)), files, Some(gateway))
            }
        };
        Some(Self { store, files, gateway, _disk: disk, directory })
    }

    /// The arguments and variables with which the program uses this back end.
    pub(crate) fn arguments(&self) -> (Vec<String>, Vec<(&'static str, String)>) {
        match &self.gateway {
            None => {
                let directory = self.directory.path().display().to_string();
                (vec!["--backend".into(), "filesystem".into(), "--data-dir".into(), directory], vec![])
            }
            Some(gateway) => {
                let variables = vec![
                    ("AWS_ENDPOINT", gateway.endpoint.clone()),
                    ("AWS_ALLOW_HTTP", "true".into()),
                    ("AWS_REGION", REGION.into()),
                    ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
                    ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
                ];
                (vec!["--backend".into(), "s3".into(), "--bucket".into(), BUCKET.into()], variables)
            }
        }
    }

    /// Makes an object look as if written this long ago.
    pub(crate) fn make_older(&self, key: &object_store::path::Path, by: Duration) {
        let file = std::fs::File::options().write(true).open(self.files.join(key.as_ref())).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

fn s3(endpoint: &str) -> impl ObjectStore {
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region(REGION)
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_retry(RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(10), ..RetryConfig::default() })
        .build()
        .unwrap()
}

/// A disk in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        if mounted.is_ok_and(|s| s.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("skipped: no small disk can be mounted here (needs root); the injected fault still runs");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

struct Gateway {
    process: Child,
    endpoint: String,
}

impl Gateway {
    async fn start(data: &Path) -> Option<Self> {
        install_provider();
        let program = program()?;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(program)
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY)
            .args(["--port", &address.to_string(), "--region", REGION, "--health", "/health", "--quiet", "posix"])
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Self { process, endpoint: format!("http://{address}") };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for _ in 0..600 {
            if http.get(format!("{}/health", gateway.endpoint)).send().await.is_ok_and(|r| r.status().is_success()) {
                return Some(gateway);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("versitygw was started and never answered");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// One rustls provider for the process, as in `main`.
pub(crate) fn install_provider() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}

/// The built server; `None` only where Go is not installed.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let cache = std::env::var_os("SECURITYV0_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/securityv0"),
        PathBuf::from,
    );
    let bin = cache.join("bin");
    let program = bin.join(format!("versitygw-{VERSION}"));
    if program.exists() {
        return Some(program);
    }
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped on S3: Go is not installed, so versitygw cannot be built");
        return None;
    }
    std::fs::create_dir_all(&bin).unwrap();
    // Built aside and renamed: whoever builds at the same time never sees a half-written program.
    let aside = tempfile::tempdir_in(&bin).unwrap();
    let built = Command::new("go")
        .env("GOBIN", aside.path())
        .args(["install", &format!("github.com/versity/versitygw/cmd/versitygw@v{VERSION}")])
        .status()
        .unwrap();
    assert!(built.success(), "versitygw {VERSION} does not build");
    std::fs::rename(aside.path().join("versitygw"), &program).unwrap();
    Some(program)
}
