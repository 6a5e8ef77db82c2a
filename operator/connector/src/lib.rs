//! What every connector shares: the manifest that lists all a connector may ask, the guard that refuses the rest,
//! the HTTP engine with its bounds, paging, coverage, and secrets that cannot be printed.
//!
//! Takes a manifest and a source of tokens; gives rows of the canonical model and a coverage record for each
//! collection. May not: talk to Kubernetes or the store, know how a token was obtained, follow a redirect, send
//! anything that the manifest does not list.

mod cause;
mod connector;
mod coverage;
mod engine;
mod gate;
mod guard;
mod json;
mod manifest;
mod net;
mod pace;
mod paging;
mod recording;
mod retry;
mod secret;
pub mod text;
mod token;

pub use cause::{Cause, Failure};
pub use connector::{Collected, Connector, OwnGrants, RowSink, SinkError};
pub use coverage::Tally;
pub use engine::{Engine, EngineConfig, Limits, Pause, TokioPause, Usage, leads_inside};
pub use guard::{Guard, Param, Prepared, Refusal};
pub use json::{Lenient, check_shape};
pub use manifest::{Manifest, ManifestError, Operation, Pace, Paging, Permission};
pub use net::{NetworkPolicy, client, install_crypto_provider, is_private};
pub use paging::{Page, walk, walk_on};
pub use recording::{Exchanges, Folder, RECORDING_FORMAT, Recorder, Recording, RecordingError, Replay, Scan};
pub use retry::{MAX_WAIT, backoff, retry_after};
pub use secret::Secret;
pub use token::{TokenError, TokenSource};
