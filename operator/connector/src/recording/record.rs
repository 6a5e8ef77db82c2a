//! Writes a recording while a scan runs. What goes wrong is remembered and said at the end: the scan itself never
//! notices.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;
use sv0_graph::canonical::sha256_hex;

use super::RecordingError;
use super::folder::Folder;
use super::format::{Answer, Asked, Exchange, INDEX, Listed, RECORDING_FORMAT, Recording};
use super::reduce::{Reducer, code};
use crate::guard::{Guard, Prepared};
use crate::{Cause, Failure};

/// A recording that is being made.
#[derive(Debug)]
pub struct Recorder {
    folder: Folder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    exchanges: Vec<Listed>,
    problem: Option<RecordingError>,
}

/// How a request ended, as the engine knows it.
pub(crate) enum Noted<'a> {
    /// An answer that could be read.
    Answered(u16, &'a [u8]),
    /// A refusal: status and the vendor's code.
    Refused(u16, &'a str),
    /// Neither.
    GaveUp(&'a Failure),
}

impl Recorder {
    /// Records into a new or empty folder.
    pub fn create(path: &Path) -> Result<Self, RecordingError> {
        Ok(Self { folder: Folder::create(path)?, state: Mutex::default() })
    }

    /// Writes one exchange.
    pub(crate) fn note(&self, guard: &Guard, request: &Prepared, ended: &Noted<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.problem.is_some() {
            return;
        }
        if let Err(problem) = self.write(&mut state, guard, request, ended) {
            state.problem = Some(problem);
        }
    }

    /// The scan does not end by itself.
    pub(crate) fn cut_short(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.problem.get_or_insert(RecordingError::CutShort);
    }

    fn write(
        &self,
        state: &mut State,
        guard: &Guard,
        request: &Prepared,
        ended: &Noted<'_>,
    ) -> Result<(), RecordingError> {
        let mut reducer = Reducer::new(guard);
        let answer = match ended {
            Noted::Answered(status, bytes) => {
                let body = serde_json::from_slice(bytes).unwrap_or(Value::Null);
                Answer::Answered { status: *status, body: reducer.answer(request, body) }
            }
            Noted::Refused(status, text) => Answer::Refused { status: *status, code: code(text).to_owned() },
            Noted::GaveUp(failure) => gave_up(failure).ok_or(RecordingError::CutShort)?,
        };
        if let Some(field) = reducer.unlisted.into_iter().next() {
            return Err(RecordingError::Unlisted(field));
        }
        let asked = Asked::recorded(guard.manifest(), request);
        let file = format!("{:06}-{}.json", state.exchanges.len() + 1, asked.operation);
        let mut bytes = serde_json::to_vec_pretty(&Exchange { request: asked, answer })
            .map_err(|_| RecordingError::Unreadable(file.clone()))?;
        bytes.push(b'\n');
        self.folder.write(&file, &bytes)?;
        state.exchanges.push(Listed { sha256: sha256_hex(&bytes), file });
        Ok(())
    }

    /// Writes the index, which makes the folder a recording. `order` is what a replay needs to know of the scan.
    pub fn finish(&self, scan: Scan<'_>) -> Result<(), RecordingError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = &state.problem {
            return Err(problem.clone());
        }
        let index = Recording {
            format: RECORDING_FORMAT.to_owned(),
            connector: scan.connector.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            collection_revision: scan.collection_revision,
            tenant: scan.tenant.to_owned(),
            as_of: scan.as_of,
            order: scan.order,
            exchanges: state.exchanges.clone(),
        };
        let mut bytes = serde_json::to_vec_pretty(&index).map_err(|_| RecordingError::NoIndex)?;
        bytes.push(b'\n');
        self.folder.write(INDEX, &bytes)
    }
}

/// The scan that was recorded.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    /// The connector's name.
    pub connector: &'a str,
    /// The collection revision that was accepted.
    pub collection_revision: u32,
    /// The tenant that was read.
    pub tenant: &'a str,
    /// When it began.
    pub as_of: Timestamp,
    /// Its order, without what says how the source system is reached.
    pub order: Value,
}

/// Nothing for what is no property of the source system but of this one run.
fn gave_up(failure: &Failure) -> Option<Answer> {
    match &failure.cause {
        Cause::DeadlineExceeded | Cause::Stopped => None,
        Cause::Token(error) => Some(Answer::NoToken {
            reason: error.reason.to_owned(),
            vendor_code: error.vendor_code.clone(),
            transient: error.transient,
            retry_after_seconds: error.retry_after_seconds,
        }),
        cause => Some(Answer::GaveUp {
            reason: cause.as_str().to_owned(),
            retry_after_seconds: failure.retry_after.map(|wait| wait.as_secs()),
        }),
    }
}
