//! A scan's order (manager → scan) and its report (scan → manager, as the pod's termination message).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reason;

/// What the manager orders. Contains no secret: credentials arrive as mounted files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScanRequest {
    /// The estate.
    pub namespace: String,
    /// Name of the ConnectorInstance.
    pub instance: String,
    /// Its UID.
    pub instance_uid: String,
    /// Sortable id of this scan, also the snapshot's id: `<unix milliseconds, 14 digits>-<8 hex>`.
    pub scan_id: String,
    /// Which source system, and which tenant of it.
    pub source: Source,
    /// How to sign in.
    pub auth: Auth,
    /// The greatest collection revision that the customer accepted.
    pub accepted_collection_revision: u32,
    /// Seconds after which the scan ends by itself with a partial result; shorter than the Job's own deadline.
    pub deadline_seconds: u64,
    /// Upper bounds.
    pub limits: Limits,
    /// How to reach the source system.
    pub network: Network,
    /// Where snapshots go.
    pub store: StoreAccess,
}

/// The source system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "system", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Source {
    /// Microsoft Entra ID through Microsoft Graph.
    Entra {
        /// Directory (tenant) id, a GUID.
        tenant_id: String,
        /// Application (client) id that the scan signs in as.
        client_id: String,
        /// Which of Microsoft's clouds.
        cloud: MicrosoftCloud,
    },
}

/// Microsoft's separate clouds: authority and Graph host differ, tokens are not interchangeable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MicrosoftCloud {
    /// `login.microsoftonline.com`, `graph.microsoft.com`.
    #[default]
    Public,
    /// GCC High (L4).
    UsGov,
    /// DoD (L5).
    UsGovDod,
    /// 21Vianet.
    China,
}

/// How the scan signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Auth {
    /// The pod's projected token is exchanged: no stored secret.
    WorkloadIdentity,
    /// A client secret in a mounted Secret whose `target` names the tenant.
    ClientSecret,
    /// A certificate and its key (`tls.crt`, `tls.key`) in a mounted Secret whose `target` names the tenant.
    ClientCertificate,
    /// The managed identity whose client id the source names.
    ManagedIdentity,
    /// A managed identity's token stands in for the application's own credential.
    FederatedManagedIdentity {
        /// Client id of the managed identity.
        managed_identity_client_id: String,
    },
}

/// Upper bounds on what a hostile or broken source system can make a scan do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Requests in the whole scan.
    pub max_requests: u64,
    /// Decompressed bytes of one response.
    pub max_response_bytes: u64,
    /// Pages of one collection.
    pub max_pages: u64,
    /// Requests in flight.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_requests: 20_000, max_response_bytes: 32 * 1024 * 1024, max_pages: 5_000, concurrency: 4 }
    }
}

/// How to reach the source system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// PEM certificates trusted besides the bundled web roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_ca_pem: Option<String>,
    /// Host names that may resolve to private or link-local addresses (private endpoints, proxies).
    #[serde(default)]
    pub private_hosts: Vec<String>,
    /// Outbound proxy, `http://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Whether the metadata endpoint of the node may be asked for a managed identity's token.
    #[serde(default)]
    pub allow_metadata_endpoint: bool,
}

/// Where and how the store is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAccess {
    /// `https://securityv0-store.<namespace>.svc:8443`.
    pub url: String,
    /// PEM certificate of the store's own authority; nothing else is trusted for it.
    pub ca_pem: String,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every collection complete; the snapshot is stored.
    Complete,
    /// A snapshot is stored, with gaps that its coverage names.
    Partial,
    /// No snapshot.
    Failed,
}

/// What a scan reports. At most 4 KiB as JSON (the kubelet cuts longer termination messages): no vendor text, no
/// names, no addresses; codes and counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScanReport {
    /// Echo of the order.
    pub scan_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The first cause when not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The vendor's own code behind `reason`, when it has the documented form (`AADSTS7000215`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_code: Option<String>,
    /// Seconds to wait before trying again, when the vendor said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// When the scan began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Requests sent to the source system, token requests included.
    pub requests: u64,
    /// Token requests alone.
    pub token_requests: u64,
    /// Rows read.
    pub items: u64,
    /// The stored snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotRef>,
    /// Collections that are not complete, by name, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Number of complete collections.
    pub complete_collections: u32,
    /// Permissions that the connector needs and was not granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions_missing: Vec<String>,
    /// Permissions that were granted and are not needed, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions_excess: Vec<String>,
    /// When the credential that the scan signed in with ends, if the source system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expires_at: Option<Timestamp>,
    /// A newer collection revision that waits to be accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_collection_revision: Option<u32>,
}

/// A stored snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotRef {
    /// The scan's id.
    pub id: String,
    /// `sha256:<hex>` of the manifest's bytes.
    pub digest: String,
}

/// A collection that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// Collection name from the connector's manifest.
    pub collection: String,
    /// `partial`, `denied`, `throttled` or `skipped`.
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The permission that would close the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}
