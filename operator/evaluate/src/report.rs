//! How an evaluation ends: errors with their reason and exit code, and the last words for the manager.

use serde::{Deserialize, Serialize};
use sv0_engine::evaluate::EngineError;
use sv0_engine::ledger::LedgerError;
use sv0_engine::load::FetchError;
use sv0_protocol::Reason;
use sv0_protocol::names::exit;

use crate::sink::SinkError;

/// What the pod's termination message says, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateReport {
    /// Whether the Findings and the Estate's status stand for the order.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Findings that stand as resources.
    pub findings: u64,
    /// Findings created, replaced or deleted.
    pub written: u64,
}

/// Why an evaluation did not finish. No variant carries anything of a source system: no identifier, name or address.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The order cannot be read.
    #[error("the order cannot be read: {0}; operator image and manager must be of one release")]
    Order(String),
    /// The Estate's spec cannot be read.
    #[error("the Estate's spec cannot be read; CRDs and operator image must be of one release")]
    EstateSpec,
    /// The store cannot be reached or refuses.
    #[error(transparent)]
    Store(#[from] FetchError),
    /// The ledger is there and cannot be used.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The ledger is lost, and not everything can be seen: deciding now would drop findings without proof.
    #[error(
        "the store no longer has the last evaluation's ledger and not every instance can be read; scan every instance again or restore the store"
    )]
    HistoryLost,
    /// The evaluation itself failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Findings or status cannot be written.
    #[error(transparent)]
    Cluster(#[from] SinkError),
    /// The pod was told to end.
    #[error("the evaluation was told to end; it will be tried again")]
    Interrupted,
    /// A thread of ours died.
    #[error("a worker thread of the evaluation died")]
    Worker,
}

impl RunError {
    /// The reason for conditions, and the program's exit code.
    pub fn verdict(&self) -> (Reason, i32) {
        match self {
            Self::Order(_) | Self::EstateSpec | Self::Ledger(LedgerError::Format) => {
                (Reason::InvalidConfiguration, exit::REFUSED)
            }
            Self::Engine(EngineError::TooLarge { .. } | EngineError::TooManyRows(_)) => {
                (Reason::EstateTooLarge, exit::REFUSED)
            }
            Self::Store(FetchError::Full) => (Reason::StoreFull, exit::REFUSED),
            Self::Store(_) | Self::HistoryLost | Self::Ledger(_) => (Reason::StoreUnavailable, exit::RETRY),
            Self::Cluster(SinkError::Refused(400 | 422)) | Self::Engine(_) | Self::Worker => {
                (Reason::InternalError, exit::DEFECT)
            }
            Self::Cluster(SinkError::Refused(_) | SinkError::NotFound) => (Reason::InvalidConfiguration, exit::REFUSED),
            Self::Cluster(_) => (Reason::InternalError, exit::RETRY),
            Self::Interrupted => (Reason::Lost, exit::RETRY),
        }
    }
}
