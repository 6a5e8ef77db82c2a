//! A folder for what only its owner may read: new or empty, files that nobody else opens, never one over another.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::RecordingError;

/// The folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or takes an empty one that is there.
    pub fn create(path: &Path) -> Result<Self, RecordingError> {
        let failed = |error: std::io::Error| io(path, "written", &error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(RecordingError::NotEmpty(path.to_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Writes a new file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RecordingError> {
        let path = self.path.join(name);
        let failed = |error: std::io::Error| io(&path, "written", &error);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(bytes).map_err(failed)
    }
}

pub(super) fn io(path: &Path, what: &'static str, error: &std::io::Error) -> RecordingError {
    RecordingError::Io { path: path.to_owned(), what, kind: error.kind() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_the_owners_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let folder = Folder::create(&path).unwrap();
        folder.write("a", b"1").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("a"))), (0o700, 0o600));
        assert!(matches!(folder.write("a", b"2"), Err(RecordingError::Io { .. })));
        assert_eq!(std::fs::read(path.join("a")).unwrap(), b"1");
        assert_eq!(Folder::create(&path).unwrap_err(), RecordingError::NotEmpty(path));
    }
}
