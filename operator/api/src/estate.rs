//! `Estate`: how the estate (the namespace) is evaluated, and what came of the last evaluation. The spec is the
//! customer's, the status that of the estate's evaluation alone.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only name an Estate can have: there is one per namespace.
pub const ESTATE_NAME: &str = "default";

/// How this namespace's findings are made.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "securityv0.com",
    version = "v1alpha1",
    kind = "Estate",
    plural = "estates",
    category = "securityv0",
    doc = "How the findings of this namespace are made, and what the last evaluation gave. One per namespace, named `default`.",
    namespaced,
    status = "EstateStatus",
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "securityv0"),
    printcolumn(name = "Evaluated", type_ = "string", json_path = r#".status.conditions[?(@.type=="Evaluated")].status"#),
    printcolumn(name = "Critical", type_ = "integer", json_path = ".status.counts.bySeverity.critical"),
    printcolumn(name = "High", type_ = "integer", json_path = ".status.counts.bySeverity.high"),
    printcolumn(name = "Medium", type_ = "integer", json_path = ".status.counts.bySeverity.medium"),
    printcolumn(name = "Open", type_ = "integer", json_path = ".status.counts.byState.open"),
    printcolumn(name = "As Of", type_ = "string", json_path = ".status.asOf"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name == 'default'")
        .message("metadata.name must be 'default': a namespace is one estate and has one Estate")
)]
#[serde(rename_all = "camelCase")]
pub struct EstateSpec {
    /// Limits that rules compare with.
    #[serde(default)]
    pub thresholds: Thresholds,

    /// Tenants, by the source system's id, whose identities are your own organisation's although they live elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(validation = Rule::new("self.all(tenant, tenant.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$'))")
        .message("spec.trustedTenants holds tenant ids of source systems, such as a directory (tenant) ID; letters, digits and . _ : / - only"))]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub trusted_tenants: Vec<String>,
}

/// Limits that rules compare with, in days.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Thresholds {
    /// A credential older than this was not rotated in time.
    #[schemars(range(min = 1, max = 3650))]
    pub rotate_days: i32,
    /// A secret that is valid for longer than this from its first day lives too long.
    #[schemars(range(min = 1, max = 3650))]
    pub max_secret_lifetime_days: i32,
    /// The same for a certificate.
    #[schemars(range(min = 1, max = 3650))]
    pub max_certificate_lifetime_days: i32,
    /// An identity without recorded use for this long is dormant.
    #[schemars(range(min = 1, max = 3650))]
    pub dormant_days: i32,
    /// A credential without recorded use for this long is unused.
    #[schemars(range(min = 1, max = 3650))]
    pub unused_credential_days: i32,
    /// An identity without recorded use for this long is seldom used.
    #[schemars(range(min = 1, max = 3650))]
    pub rare_use_days: i32,
    /// The end of an identity's only credential is told this long before.
    #[schemars(range(min = 1, max = 3650))]
    pub expiry_warn_days: i32,
    /// What is younger than this may wait for its first use.
    #[schemars(range(min = 1, max = 3650))]
    pub never_used_grace_days: i32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            rotate_days: 90,
            max_secret_lifetime_days: 365,
            max_certificate_lifetime_days: 180,
            dormant_days: 180,
            unused_credential_days: 90,
            rare_use_days: 30,
            expiry_warn_days: 30,
            never_used_grace_days: 30,
        }
    }
}

/// What came of the last evaluation.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EstateStatus {
    /// `Evaluated`, `FindingsTruncated`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The instant that stood for "now".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Time>,
    /// The snapshots that were evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub inputs: Vec<EvaluatedInput>,
    /// `sha256:<hex>` of the ledger that the next evaluation starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// `sha256:<hex>` of the evidence pack: all findings with all evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_digest: Option<String>,
    /// Version of the rules that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_pack: Option<String>,
    /// The earliest instant at which the passing of time alone may change a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_transition: Option<Time>,
    /// Findings in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<FindingCounts>,
    /// What the evaluation could not see, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub coverage_gaps: Vec<EstateGap>,
}

/// One evaluated snapshot.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvaluatedInput {
    /// Name of the `ConnectorInstance`.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// The snapshot's id.
    pub snapshot_id: String,
    /// `sha256:<hex>` of its manifest.
    pub snapshot_digest: String,
    /// Why a newer snapshot was set aside and this, older one used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

/// Findings in numbers. What was cut off as a resource is counted too.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FindingCounts {
    /// Open findings by severity.
    #[serde(default)]
    pub by_severity: SeverityCounts,
    /// Those of them that stand as resources: the most severe, as many as the limit allows.
    #[serde(default)]
    pub kept_by_severity: SeverityCounts,
    /// Open findings by family; a family without findings is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_family: BTreeMap<String, i32>,
    /// Findings by state.
    #[serde(default)]
    pub by_state: StateCounts,
    /// Findings that exist in the evidence pack only.
    #[serde(default)]
    pub truncated: i32,
    /// Findings that another one tells as a whole (`spec.consistsOf`); counted nowhere else.
    #[serde(default)]
    pub folded: i32,
}

/// Open findings by severity.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct SeverityCounts {
    /// Critical.
    pub critical: i32,
    /// High.
    pub high: i32,
    /// Medium.
    pub medium: i32,
    /// Low.
    pub low: i32,
    /// Info.
    pub info: i32,
}

/// Findings by state.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct StateCounts {
    /// Open.
    pub open: i32,
    /// Resolved.
    pub resolved: i32,
    /// Accepted.
    pub accepted: i32,
}

/// A collection of an instance that the evaluation could not rely on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EstateGap {
    /// Name of the `ConnectorInstance`.
    pub instance: String,
    /// The collection's name; empty when nothing of the instance could be used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub collection: String,
    /// `partial`, `denied`, `throttled`, `skipped`, `shrunk`, `missing` or `quarantined`.
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permission that would close the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}
