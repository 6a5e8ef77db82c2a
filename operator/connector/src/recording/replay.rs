//! Answers an engine from a recording. A request is found by its operation and what it asks, and the second time it is
//! asked it gets the second answer: in which order different requests come does not matter. What was not recorded is
//! an error of the whole scan and never an empty answer.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sv0_graph::canonical::sha256_hex;

use super::RecordingError;
use super::folder::io;
use super::format::{
    Answer, Asked, Exchange, INDEX, Listed, MAX_EXCHANGES, MAX_FILE_BYTES, PAGE, RECORDING_FORMAT, Recording,
};
use crate::guard::{Guard, Prepared};
use crate::{Cause, Failure, TokenError};

/// A recording that a scan is run from.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    recording: Recording,
    reasons: &'static [&'static str],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<Asked, VecDeque<Listed>>,
    asked: HashMap<Asked, usize>,
    problem: Option<RecordingError>,
}

/// What a recorded request came to.
pub(crate) enum Replayed {
    Answered(Vec<u8>),
    Refused(u16, String),
    GaveUp(Failure),
}

/// Of a file, what the request was.
#[derive(Deserialize)]
struct Head {
    request: Asked,
}

impl Replay {
    /// Opens a recording and compares every file with the index. `reasons` are the reason codes that are known.
    pub fn open(path: &Path, reasons: &'static [&'static str]) -> Result<Self, RecordingError> {
        let index = read(path, INDEX).map_err(|_| RecordingError::NoIndex)?;
        let recording = parse_index(&index)?;
        let listed: BTreeSet<&str> = recording.exchanges.iter().map(|listed| listed.file.as_str()).collect();
        for entry in std::fs::read_dir(path).map_err(|error| io(path, "read", &error))? {
            let name = entry.map_err(|error| io(path, "read", &error))?.file_name().to_string_lossy().into_owned();
            if name != INDEX && !listed.contains(name.as_str()) {
                return Err(RecordingError::StrangeFile(name));
            }
        }
        let mut state = State::default();
        for listed in &recording.exchanges {
            let bytes = checked(path, listed)?;
            let head: Head =
                serde_json::from_slice(&bytes).map_err(|_| RecordingError::Unreadable(listed.file.clone()))?;
            state.open.entry(head.request).or_default().push_back(listed.clone());
        }
        Ok(Self { path: path.to_owned(), recording, reasons, state: Mutex::new(state) })
    }

    /// The index.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// How a request ended when it was recorded. Nothing when it was not: then the scan is worthless.
    pub(crate) fn answer(&self, guard: &Guard, request: &Prepared) -> Option<Replayed> {
        let asked = Asked::replayed(guard.manifest(), request);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = *state.asked.entry(asked.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        let next = state.open.get_mut(&asked).and_then(VecDeque::pop_front);
        let found = match next {
            None => Err(RecordingError::NotRecorded { operation: asked.operation, nth }),
            Some(listed) => self.load(&listed, request),
        };
        found.map_err(|problem| state.problem.get_or_insert(problem).clone()).ok()
    }

    fn load(&self, listed: &Listed, request: &Prepared) -> Result<Replayed, RecordingError> {
        let unreadable = || RecordingError::Unreadable(listed.file.clone());
        let bytes = checked(&self.path, listed)?;
        let exchange: Exchange = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
        let known = |code: &str| self.reasons.iter().copied().find(|known| *known == code);
        Ok(match exchange.answer {
            Answer::Answered { body, .. } => {
                let body = with_links(request, body);
                Replayed::Answered(serde_json::to_vec(&body).map_err(|_| unreadable())?)
            }
            Answer::Refused { status, code } => Replayed::Refused(status, code),
            Answer::GaveUp { reason, retry_after_seconds } => Replayed::GaveUp(Failure {
                cause: cause_of(&reason).ok_or_else(unreadable)?,
                permission: None,
                retry_after: retry_after_seconds.map(Duration::from_secs),
            }),
            Answer::NoToken { reason, vendor_code, transient, retry_after_seconds } => {
                let reason = known(&reason).ok_or_else(unreadable)?;
                Replayed::GaveUp(TokenError { reason, vendor_code, transient, retry_after_seconds }.into())
            }
        })
    }

    /// What is wrong with the recording, now that the scan has ended.
    pub(crate) fn verdict(&self) -> Result<(), RecordingError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = &state.problem {
            return Err(problem.clone());
        }
        let mut open: Vec<(&Listed, &Asked)> =
            state.open.iter().flat_map(|(asked, left)| left.iter().map(move |listed| (listed, asked))).collect();
        open.sort_unstable_by_key(|(listed, _)| &listed.file);
        match open.first() {
            None => Ok(()),
            Some((_, asked)) => Err(RecordingError::NotAsked { count: open.len(), operation: asked.operation.clone() }),
        }
    }
}

fn parse_index(bytes: &[u8]) -> Result<Recording, RecordingError> {
    #[derive(Deserialize)]
    struct Probe {
        format: String,
    }
    // The version first: a later format may have fields that the strict type refuses.
    let probe: Probe = serde_json::from_slice(bytes).map_err(|_| RecordingError::NoIndex)?;
    if probe.format != RECORDING_FORMAT {
        return Err(RecordingError::Format(probe.format.chars().take(64).collect()));
    }
    let recording: Recording = serde_json::from_slice(bytes).map_err(|_| RecordingError::NoIndex)?;
    // A name that leads out of the folder is none of ours.
    let plain = |name: &str| {
        name.strip_suffix(".json").is_some()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && name != INDEX
    };
    if let Some(listed) = recording.exchanges.iter().find(|listed| !plain(&listed.file)) {
        return Err(RecordingError::StrangeFile(listed.file.chars().take(128).collect()));
    }
    if recording.exchanges.len() > MAX_EXCHANGES {
        return Err(RecordingError::NoIndex);
    }
    Ok(recording)
}

/// A file's bytes, when they are those that were recorded.
fn checked(path: &Path, listed: &Listed) -> Result<Vec<u8>, RecordingError> {
    let bytes = read(path, &listed.file)?;
    if sha256_hex(&bytes) == listed.sha256 { Ok(bytes) } else { Err(RecordingError::Changed(listed.file.clone())) }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, RecordingError> {
    let path = folder.join(name);
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => RecordingError::MissingFile(name.to_owned()),
        _ => io(&path, "read", &error),
    };
    // No pipe or device, nor a link to one: what waits or never ends would hold the program, and has no length.
    let about = std::fs::metadata(&path).map_err(failed)?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return Err(RecordingError::Unreadable(name.to_owned()));
    }
    let file = std::fs::File::open(&path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(RecordingError::Unreadable(name.to_owned()));
    }
    Ok(bytes)
}

/// The causes that a request can end for without an answer, by their reason codes.
fn cause_of(reason: &str) -> Option<Cause> {
    use Cause::{
        Internal, NetworkNotAllowed, RateLimited, ResponseMalformed, ResponseRefused, TokenRejected,
        UpstreamUnavailable,
    };
    [TokenRejected, RateLimited, UpstreamUnavailable, NetworkNotAllowed, ResponseRefused, ResponseMalformed, Internal]
        .into_iter()
        .find(|cause| cause.as_str() == reason)
}

/// Makes what stands for a page's link a link again, as the guard wants it: on the same address.
fn with_links(request: &Prepared, mut body: Value) -> Value {
    let link = |request: &Prepared, body: &mut Value| {
        let Some(next) = body.get_mut("@odata.nextLink") else { return };
        if let Some(query) = next.as_str().filter(|query| query.starts_with(PAGE)) {
            let mut url = request.url.clone();
            url.set_query(Some(query));
            *next = String::from(url).into();
        }
    };
    link(request, &mut body);
    for part in body.get_mut("responses").and_then(Value::as_array_mut).into_iter().flatten() {
        let place = part.get("id").and_then(Value::as_str).and_then(|id| id.parse::<usize>().ok());
        let inner = place.and_then(|place| request.inner.get(place));
        if let Some((inner, body)) = inner.zip(part.get_mut("body")) {
            link(inner, body);
        }
    }
    body
}
