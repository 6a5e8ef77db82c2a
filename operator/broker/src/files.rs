//! Reads mounted credential files, each time anew: a rotated Secret is used at the next token request.

use std::io::Read as _;
use std::path::Path;

use sv0_connector::Secret;
use sv0_protocol::Reason;
use zeroize::Zeroizing;

/// Longest credential file.
const MAX_BYTES: u64 = 64 * 1024;
const CAPACITY: usize = 64 * 1024 + 64;

/// One file without the line end that editors and `kubectl create secret --from-file` leave.
pub(crate) fn read(path: &Path) -> Result<Secret, Reason> {
    let file = std::fs::File::open(path).map_err(|_| Reason::CredentialMissing)?;
    // Large enough from the start: a buffer that grows leaves what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|_| Reason::CredentialMissing)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Reason::CredentialInvalid);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Reason::CredentialInvalid)?.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Reason::CredentialMissing);
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_go_and_blanks_inside_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clientSecret");
        std::fs::write(&path, " a b \r\n").unwrap();
        assert_eq!(read(&path).ok().unwrap().expose(), " a b ");
    }

    #[test]
    fn absent_empty_huge_and_binary_files_have_their_reasons() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(read(&path).err(), Some(Reason::CredentialMissing));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read(&path).err(), Some(Reason::CredentialMissing));
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert_eq!(read(&path).err(), Some(Reason::CredentialInvalid));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read(&path).err(), Some(Reason::CredentialInvalid));
    }
}
