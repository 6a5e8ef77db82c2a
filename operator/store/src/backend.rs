//! The back end: a directory on a volume, or a bucket.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};

/// Where objects lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A directory; this process is its only user.
    Filesystem(PathBuf),
    /// A bucket of S3 or of something that speaks it. Region, endpoint and credentials come from the usual `AWS_*`
    /// variables (also web identity and EKS Pod Identity).
    S3 {
        /// The bucket.
        bucket: String,
        /// PEM file with certificates that are trusted besides the public ones.
        trusted_ca: Option<PathBuf>,
    },
}

/// Why the back end cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The directory or the certificate file.
    #[error("{0} cannot be used: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The bucket's settings.
    #[error("the object store cannot be used: {0}; check --bucket and the AWS_* variables")]
    Store(#[from] object_store::Error),
}

impl Backend {
    /// Opens it. On a volume, what a killed write left behind is removed first.
    pub fn open(&self) -> Result<Arc<dyn ObjectStore>, BackendError> {
        match self {
            Self::Filesystem(directory) => open_directory(directory),
            Self::S3 { bucket, trusted_ca } => {
                let options = client_options(trusted_ca.as_deref())?;
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_client_options(options);
                // A caller waits at most a minute for an answer, and repeats by itself.
                let retry =
                    RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
                let builder = builder.with_retry(retry);
                Ok(Arc::new(builder.build()?))
            }
        }
    }
}

fn open_directory(directory: &Path) -> Result<Arc<dyn ObjectStore>, BackendError> {
    // A directory of our own below the volume: nobody else on the volume may look inside.
    let root = directory.join("objects");
    let failed = |e| BackendError::File(root.clone(), e);
    DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(failed)?;
    let removed = remove_unfinished(&root).map_err(failed)?;
    if removed > 0 {
        tracing::info!(removed, "files of interrupted writes were removed");
    }
    Ok(Arc::new(LocalFileSystem::new_with_prefix(&root)?.with_fsync(true)))
}

/// Removes staged files (`<name>#<number>`), which are invisible as objects and left only by a killed process, and empty
/// directories.
fn remove_unfinished(directory: &Path) -> io::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove_unfinished(&entry.path())?;
            // Of an instance or estate that was deleted only directories are left. One with something in it stays.
            std::fs::remove_dir(entry.path()).ok();
        } else if is_unfinished(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The image has no certificate directory: the public roots are built in, private ones come from a file.
fn client_options(trusted_ca: Option<&Path>) -> Result<ClientOptions, BackendError> {
    let allow_http = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|v| v == "true");
    let mut options = ClientOptions::new().with_no_system_certificates(true).with_allow_http(allow_http);
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        options = options.with_root_certificate(Certificate::from_der(root)?);
    }
    if let Some(file) = trusted_ca {
        let pem = std::fs::read(file).map_err(|e| BackendError::File(file.to_owned(), e))?;
        for root in Certificate::from_pem_bundle(&pem)? {
            options = options.with_root_certificate(root);
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn unfinished_files_are_removed_and_nothing_else() {
        let volume = tempfile::tempdir().unwrap();
        let parts = volume.path().join("objects/estates/a/b/parts");
        std::fs::create_dir_all(&parts).unwrap();
        std::fs::write(parts.join("whole"), "x").unwrap();
        std::fs::write(parts.join("half#1"), "x").unwrap();
        std::fs::create_dir_all(volume.path().join("objects/estates/gone/b/parts")).unwrap();
        let store = Backend::Filesystem(volume.path().to_owned()).open().unwrap();
        assert!(!parts.join("half#1").exists());
        assert!(!volume.path().join("objects/estates/gone").exists(), "nor what is empty");
        let all: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn staged_names_are_told_apart() {
        assert!(is_unfinished("abc#1") && is_unfinished("abc#12"));
        assert!(!is_unfinished("abc") && !is_unfinished("abc#") && !is_unfinished("abc#x"));
    }

    #[test]
    fn a_missing_certificate_file_is_named() {
        let error = client_options(Some(Path::new("/nowhere/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"));
    }
}
