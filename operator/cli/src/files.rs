//! Files that this program writes: only below the directory that the user named, readable by the user alone, never
//! over an existing file unless told so, and never through a link.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without a directory.
    pub name: &'static str,
    /// Its content.
    pub content: String,
}

/// Why a file was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is there already.
    #[error("{0} exists already: remove it, choose another place, or add --force")]
    Exists(PathBuf),
    /// It is there already, and is not written over.
    #[error("{0} exists already: remove it, or choose another name")]
    There(PathBuf),
    /// The system refused.
    #[error("{0}: {1}")]
    System(PathBuf, io::Error),
}

/// Writes all files, or none when one of them exists and `force` is not set.
pub fn write_all(dir: &Path, files: &[File], force: bool) -> Result<(), WriteError> {
    let failed = |error| WriteError::System(dir.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    for file in files {
        make_room(&dir.join(file.name), force)?;
    }
    for file in files {
        write_new(&dir.join(file.name), file.content.as_bytes())?;
    }
    Ok(())
}

/// Writes one file at the place that the user named.
pub fn write(path: &Path, content: &str, force: bool) -> Result<(), WriteError> {
    make_room(path, force)?;
    write_new(path, content.as_bytes())
}

/// Nothing is in the way, or it was removed because `force` is set.
fn make_room(path: &Path, force: bool) -> Result<(), WriteError> {
    // `symlink_metadata`: a link that leads nowhere is in the way too.
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if !force {
        return Err(WriteError::Exists(path.to_owned()));
    }
    // A link is removed, not followed.
    fs::remove_file(path).map_err(|error| WriteError::System(path.to_owned(), error))
}

/// Writes a file that is not there yet, for the user alone. A link is never followed, and a file that could not be
/// written whole is removed again.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => WriteError::There(path.to_owned()),
        _ => WriteError::System(path.to_owned(), error),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // What matters is why it could not be written.
        drop(fs::remove_file(path));
        return Err(WriteError::System(path.to_owned(), error));
    }
    Ok(())
}

/// Reads a file of at most `most` bytes.
pub fn read_within(path: &Path, most: u64) -> Result<Vec<u8>, WriteError> {
    use std::io::Read as _;
    let failed = |error| WriteError::System(path.to_owned(), error);
    let file = fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > most {
        let error = io::Error::other(format!("it is larger than {most} bytes"));
        return Err(WriteError::System(path.to_owned(), error));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    fn file(content: &str) -> Vec<File> {
        vec![File { name: "a.yaml", content: content.to_owned() }]
    }

    #[test]
    fn files_are_for_the_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("new");
        write_all(&out, &file("x"), false).unwrap();
        assert_eq!(fs::metadata(out.join("a.yaml")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&out).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn nothing_is_overwritten_unless_told_so() {
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path(), &file("x"), false).unwrap();
        assert!(matches!(write_all(dir.path(), &file("y"), false), Err(WriteError::Exists(_))));
        assert_eq!(fs::read_to_string(dir.path().join("a.yaml")).unwrap(), "x");
        write_all(dir.path(), &file("y"), true).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a.yaml")).unwrap(), "y");
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, dir.path().join("a.yaml")).unwrap();
        assert!(write_all(dir.path(), &file("x"), false).is_err());
        write_all(dir.path(), &file("x"), true).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_new_file_is_for_the_user_alone_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.tar");
        write_new(&path, b"x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(write_new(&path, b"y"), Err(WriteError::There(_))));
        assert_eq!(fs::read(&path).unwrap(), b"x");
        for target in ["bundle.tar", "nowhere"] {
            let link = dir.path().join(format!("link-{target}"));
            symlink(dir.path().join(target), &link).unwrap();
            assert!(matches!(write_new(&link, b"y"), Err(WriteError::There(_))), "{target}");
        }
        assert!(!dir.path().join("nowhere").exists());
        assert_eq!(read_within(&path, 1).unwrap(), b"x");
        assert!(read_within(&path, 0).is_err());
    }
}
