//! The files of a recording. Takes a request that passed the guard; gives the form in which it is written and found
//! again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sv0_graph::canonical::sha256_hex;

use crate::guard::Prepared;
use crate::manifest::Manifest;

/// Version of the format.
pub const RECORDING_FORMAT: &str = "securityv0-recording/1";
/// The file that names all others. It is written last: a folder without it is no recording.
pub(super) const INDEX: &str = "index.json";
/// Most bytes of a file that is read.
pub(super) const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Most exchanges of a recording.
pub(super) const MAX_EXCHANGES: usize = 1_000_000;
/// Query of a page whose link was the vendor's own, followed by the digest of that link.
pub(super) const PAGE: &str = "$page=";

/// The index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recording {
    /// Always [`RECORDING_FORMAT`].
    pub format: String,
    /// The connector's name.
    pub connector: String,
    /// Version of the program that recorded.
    pub version: String,
    /// The collection revision that was accepted.
    pub collection_revision: u32,
    /// The tenant that was read.
    pub tenant: String,
    /// When the scan began: the time that everything in it is judged by.
    pub as_of: Timestamp,
    /// The order of the scan, as far as it decides what is found.
    pub order: Value,
    /// The exchanges in the order of their ends.
    pub exchanges: Vec<Listed>,
}

/// A file of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listed {
    /// Its name.
    pub file: String,
    /// Lower-case hex of the SHA-256 of its bytes.
    pub sha256: String,
}

/// One request and how it ended after all attempts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) request: Asked,
    pub(super) answer: Answer,
}

/// A request, by its operation and what was asked of it. Of headers nothing: the manifest says them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) operation: String,
    pub(super) path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) query: String,
    /// The requests inside an envelope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) inside: Vec<Asked>,
}

/// How a request ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Answer {
    /// With an answer that could be read.
    Answered {
        /// HTTP status.
        status: u16,
        /// What is kept of it.
        body: Value,
    },
    /// With a refusal.
    Refused {
        /// HTTP status.
        status: u16,
        /// The vendor's code, when it has the form of one.
        code: String,
    },
    /// With neither: patience ended, or the answer broke a bound.
    GaveUp {
        /// Reason code.
        reason: String,
        /// What the vendor asked to wait last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_seconds: Option<u64>,
    },
    /// There was no token to ask with.
    NoToken {
        /// Reason code.
        reason: String,
        /// The vendor's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vendor_code: Option<String>,
        /// Whether the cause may pass by itself.
        transient: bool,
        /// Seconds that the vendor asked to wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_seconds: Option<u64>,
    },
}

impl Asked {
    /// A request that is being recorded: the vendor's own link to a page is opaque and may hold anything, so its digest
    /// stands for it.
    pub(super) fn recorded(manifest: &Manifest, request: &Prepared) -> Self {
        let query = if request.followed { page_query(request) } else { query_of(request) };
        Self::of(manifest, request, query, Self::recorded)
    }

    /// A request of a scan that is run again: its links are those that the recording holds.
    pub(super) fn replayed(manifest: &Manifest, request: &Prepared) -> Self {
        Self::of(manifest, request, query_of(request), Self::replayed)
    }

    fn of(manifest: &Manifest, request: &Prepared, query: String, inner: fn(&Manifest, &Prepared) -> Self) -> Self {
        Self {
            operation: manifest.operations[request.operation].id.clone(),
            path: request.url.path().to_owned(),
            query,
            inside: request.inner.iter().map(|request| inner(manifest, request)).collect(),
        }
    }
}

fn query_of(request: &Prepared) -> String {
    request.url.query().unwrap_or_default().to_owned()
}

/// What stands for the address of a page that was reached by the vendor's link.
pub(super) fn page_query(request: &Prepared) -> String {
    format!("{PAGE}{}", &sha256_hex(request.url.as_str().as_bytes())[..32])
}
