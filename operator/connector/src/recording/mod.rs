//! Recordings: what a source system answered in one real scan, as a folder of files from which the scan can be run
//! again without a network and without a credential.
//!
//! Takes the guarded requests of an [`Engine`](crate::Engine) and how each ended; gives one JSON file for each request
//! and an index that names them all with their digests. What a connector does not keep is never written: an answer is
//! reduced to the manifest's `fields` and, inside them, to its `nested`; tokens, request ids and the vendor's error
//! texts have no place in the format. May not: change what a scan finds.

mod folder;
mod format;
mod record;
mod reduce;
mod replay;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

pub use folder::Folder;
pub use format::{RECORDING_FORMAT, Recording};
pub(crate) use record::Noted;
pub use record::{Recorder, Scan};
pub use replay::Replay;
pub(crate) use replay::Replayed;

/// Where the answers to an engine's requests come from, and whether they are kept.
#[derive(Clone, Default)]
pub enum Exchanges {
    /// From the source system.
    #[default]
    Live,
    /// From the source system, and each is written down.
    Recorded(Arc<Recorder>),
    /// From a recording. Nothing is sent.
    Replayed(Arc<Replay>),
}

impl Exchanges {
    /// When the recorded scan began, for one that is run again.
    pub fn as_of(&self) -> Option<Timestamp> {
        match self {
            Self::Replayed(replay) => Some(replay.recording().as_of),
            Self::Live | Self::Recorded(_) => None,
        }
    }

    /// Whether a scan that has ended asked for exactly what the recording holds. Others have nothing to prove.
    pub fn verdict(&self) -> Result<(), RecordingError> {
        match self {
            Self::Replayed(replay) => replay.verdict(),
            Self::Live | Self::Recorded(_) => Ok(()),
        }
    }
}

/// Why a recording cannot be made or used. Names files and operations, never what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// The folder has something in it.
    #[error("the folder {0} is not empty; name a new or an empty one")]
    NotEmpty(PathBuf),
    /// The file system refuses.
    #[error("{path} cannot be {what}: {kind}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// What the system says.
        kind: std::io::ErrorKind,
    },
    /// There is no index, or it cannot be read.
    #[error("there is no readable index.json: this is no recording, or one that was not finished")]
    NoIndex,
    /// Another format.
    #[error("the recording has the format {0:?}; this version reads {RECORDING_FORMAT}")]
    Format(String),
    /// The recording was made for something else.
    #[error("the recording is of another {0} than the one that is asked for")]
    Foreign(&'static str),
    /// The index names a file that is not there.
    #[error("the file {0} is missing from the recording")]
    MissingFile(String),
    /// A file is there that the index does not name.
    #[error("the file {0} is not part of the recording")]
    StrangeFile(String),
    /// A file was changed.
    #[error("the file {0} is not as it was recorded: its digest differs")]
    Changed(String),
    /// A file is not an exchange.
    #[error("the file {0} holds no exchange that this version can read")]
    Unreadable(String),
    /// The scan asked for something that was not recorded.
    #[error("the recording has no answer {nth} to this request of {operation}; it is not whole, or of another version")]
    NotRecorded {
        /// Which operation.
        operation: String,
        /// The how manieth time it was asked.
        nth: usize,
    },
    /// The scan did not ask for all that was recorded.
    #[error(
        "{count} recorded exchanges were not asked for, the first of {operation}; the recording is of another version"
    )]
    NotAsked {
        /// How many.
        count: usize,
        /// Operation of the first.
        operation: String,
    },
    /// The scan did not end by itself.
    #[error("the scan was stopped or ran out of time: what was recorded is not whole")]
    CutShort,
    /// The manifest does not say what is kept inside a field.
    #[error("the manifest's `nested` does not say what is kept inside {0}")]
    Unlisted(String),
}
