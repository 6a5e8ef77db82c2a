//! An evaluation's order (manager → evaluate). Everything that decides the result is named by digest or value here,
//! so that a retry of the same order gives the same bytes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreAccess;

/// Version of the rules and their reference data in this build. An evaluation writes it into the Estate's status; the
/// manager, which may not link the rules, compares, and orders an evaluation when they differ. A test beside the
/// evaluation fails when the rules have moved on, and says what belongs here.
pub const RULE_PACK: &str = "entra-2026.11-3+f2c85bff5947";

/// What the manager orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateRequest {
    /// The estate.
    pub namespace: String,
    /// The instant that stands for "now".
    pub as_of: Timestamp,
    /// One snapshot per live instance that has one, sorted by instance UID.
    pub inputs: Vec<EvaluateInput>,
    /// UIDs of live instances without a usable snapshot: their earlier findings stay as they are.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// `sha256:<hex>` of the ledger that the previous evaluation left; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// The Estate's spec as JSON, as it stood when this was ordered.
    pub estate_spec: serde_json::Value,
    /// The Estate's generation.
    pub estate_generation: i64,
    /// Most Findings kept as resources; the pack holds all.
    pub max_findings: u32,
    /// Most uncompressed bytes of one snapshot, by the memory that the pod has; a larger one is set aside for its
    /// instance alone. Named here, since it decides the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_snapshot_bytes: Option<u64>,
    /// The `FindingExceptions` of the estate.
    #[serde(default, skip_serializing_if = "EvaluateExceptions::is_empty")]
    pub exceptions: EvaluateExceptions,
    /// The store.
    pub store: StoreAccess,
}

/// Most `ConnectorInstances` of one estate, the oldest of them: all of them stand in one order and in one status.
pub const MAX_INSTANCES: usize = 256;
/// Most `FindingExceptions` that one order names, the oldest of them: an order must fit into one environment variable.
pub const MAX_EXCEPTIONS: usize = 200;
/// Most left-out `FindingExceptions` that an order names; all are counted.
pub const MAX_LEFT_OUT: usize = 100;

/// The accepted risks of an estate, as they stood when the evaluation was ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateExceptions {
    /// `sha256:<hex>` over UIDs and generations of all of them, also those that are left out; empty when there is none.
    pub digest: String,
    /// Those that are evaluated, in the order of names.
    pub considered: Vec<EvaluateException>,
    /// UIDs of those that are not, for want of room; at most [`MAX_LEFT_OUT`], sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// How many are left out.
    #[serde(default)]
    pub left_out_total: u32,
}

impl EvaluateExceptions {
    /// Whether the estate has none.
    pub fn is_empty(&self) -> bool {
        self.digest.is_empty()
    }
}

/// One FindingException. UID and generation stand for exactly one spec, so that a retry evaluates the same: the evaluation
/// reads what it says from the API server, and ignores one that stands there in another generation by now. The manager,
/// which may not accept a risk, can thus neither make one up nor change one, and sees nothing of a source system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateException {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
}

/// One snapshot to evaluate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateInput {
    /// Name of the ConnectorInstance.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// `entra`, ...
    pub system: String,
    /// The tenant that the instance's spec is bound to: nodes asserted outside of it are dropped.
    pub tenant: String,
    /// Snapshot id.
    pub snapshot_id: String,
    /// `sha256:<hex>` of the manifest.
    pub snapshot_digest: String,
}
