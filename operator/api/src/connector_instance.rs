//! `ConnectorInstance`: one source system of one customer, how to sign in to it, and what may be collected. The spec is
//! the customer's, the status the manager's alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One source system that scans may read, with the identity they use.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "securityv0.com",
    version = "v1alpha1",
    kind = "ConnectorInstance",
    plural = "connectorinstances",
    shortname = "ci",
    category = "securityv0",
    doc = "A source system of yours that scans may read: which tenant, with which identity, and how much.",
    namespaced,
    status = "ConnectorInstanceStatus",
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "securityv0"),
    printcolumn(name = "System", type_ = "string", json_path = ".spec.system"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Last Scan", type_ = "string", json_path = ".status.lastScan.outcome"),
    printcolumn(name = "Coverage", type_ = "string", json_path = ".status.coverage.summary"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')")
        .message("metadata.name must be at most 40 characters: lower-case letters, digits and '-', beginning and ending with a letter or digit (the names of scan Jobs are made from it)")
)]
#[x_kube(validation = Rule::new("self.system != 'Entra' || has(self.entra)")
    .message("spec.system is Entra, so exactly one source block is needed: add spec.entra with tenantId, clientId and auth"))]
#[serde(rename_all = "camelCase")]
pub struct ConnectorInstanceSpec {
    /// The kind of source system. Cannot change.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("spec.system cannot change: create another ConnectorInstance for the other system"))]
    pub system: SourceSystem,

    /// The source block for `system: Entra`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra: Option<EntraSource>,

    /// ServiceAccount, in this namespace, that scans run as. It must carry the label `securityv0.com/scan: "true"`.
    #[x_kube(validation = Rule::new("self != 'default' && self.matches('^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$')")
        .message("spec.serviceAccountName must name a ServiceAccount of this namespace made for scans (label securityv0.com/scan: \"true\"); 'default' is not allowed"))]
    #[schemars(length(max = 300))]
    pub service_account_name: String,

    /// How much is collected. `Expanded` also reads group members and collaboration audiences; it is opt-in.
    #[serde(default)]
    pub collection: Collection,

    /// The greatest collection revision that you accept. Operations that came with a newer revision stay off until
    /// this number names it. Not set means 1, also for a new instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub accepted_collection_revision: Option<i32>,

    /// Accepts what is granted to the identity that scans sign in as: the value of `status.consent.digest` at the time.
    /// Needed only when the condition `ConsentUnchanged` says that something was granted or taken away.
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{12}$')")
        .message("spec.acceptedConsent must be the 12 characters of status.consent.digest; copy them from there"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub accepted_consent: Option<String>,

    /// `true` stops new scans; findings stay as they are.
    #[serde(default)]
    pub suspend: bool,

    /// Upper bounds for one scan. The operator's own limits still apply: a greater value here is lowered to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<InstanceLimits>,
}

impl ConnectorInstanceSpec {
    /// The collection revision that applies: 1 unless the customer accepted a newer one.
    pub fn collection_revision(&self) -> i32 {
        self.accepted_collection_revision.unwrap_or(1)
    }
}

/// Source systems that have a connector.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSystem {
    /// Microsoft Entra ID, read through Microsoft Graph.
    Entra,
}

impl SourceSystem {
    /// The system's name in node identities and labels.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Entra => "entra",
        }
    }
}

/// How much is collected.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collection {
    /// Identities, automations, authority and owners.
    #[default]
    Baseline,
    /// Baseline and audiences: group members, sharing. Opt-in.
    Expanded,
}

/// Microsoft Entra ID: one tenant and the application that scans sign in as.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.auth.federatedManagedIdentity) || self.auth.federatedManagedIdentity.managedIdentityClientId != self.clientId")
    .message("clientId and managedIdentityClientId are the same: clientId must be your app registration; to sign in as the managed identity alone, use auth.managedIdentity: {}"))]
#[serde(rename_all = "camelCase")]
pub struct EntraSource {
    /// Directory (tenant) ID. Cannot change.
    #[x_kube(
        validation = Rule::new("self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')")
            .message("tenantId must be the directory (tenant) ID: a GUID in lower case like 00000000-0000-0000-0000-000000000000, not a domain name"),
        validation = Rule::new("self == oldSelf")
            .message("tenantId cannot change: create another ConnectorInstance for the other tenant, then delete this one"),
    )]
    #[schemars(length(max = 128))]
    pub tenant_id: String,

    /// Application (client) ID of the app registration that scans sign in as; with `auth.managedIdentity`, the client ID
    /// of the managed identity.
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')")
        .message("clientId must be the application (client) ID of your app registration, or of the managed identity: a GUID in lower case like 00000000-0000-0000-0000-000000000000"))]
    #[schemars(length(max = 128))]
    pub client_id: String,

    /// Which of Microsoft's separate clouds the tenant lives in. Cannot change.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("cloud cannot change: create another ConnectorInstance for the tenant in the other cloud, then delete this one"))]
    #[serde(default)]
    pub cloud: EntraCloud,

    /// How to sign in: exactly one member.
    pub auth: EntraAuth,
}

/// Microsoft's separate clouds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntraCloud {
    /// The worldwide cloud.
    #[default]
    Public,
    /// US government (GCC High).
    UsGov,
    /// US government (Department of Defense).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl EntraCloud {
    /// Audience of the token that a workload shows to Entra in this cloud, as the vendor documents it.
    pub const fn federation_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGov | Self::UsGovDod => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

/// How to sign in to Entra: exactly one member. Federation comes first: it needs no stored secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("[has(self.workloadIdentity), has(self.federatedManagedIdentity), has(self.managedIdentity), has(self.clientCertificate), has(self.clientSecret)].filter(member, member).size() == 1")
    .message("auth needs exactly one member; keep one and remove the others: workloadIdentity: {}, federatedManagedIdentity: {managedIdentityClientId: ...} or managedIdentity: {} (no stored secret), clientCertificate: {secretName: sv0-...} or clientSecret: {secretName: sv0-...}"))]
#[serde(rename_all = "camelCase")]
pub struct EntraAuth {
    /// Workload identity federation: the scan shows a short-lived token of its ServiceAccount, which a federated
    /// credential on the app registration trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,

    /// Federation with a managed identity of Azure: a token of the node's user-assigned managed identity stands in for
    /// the application's own credential, also in other tenants. Needs the chart's value `scan.allowMetadataEndpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated_managed_identity: Option<FederatedManagedIdentity>,

    /// The node's managed identity of Azure itself, in its own tenant; `clientId` is then the identity's own client ID.
    /// Needs the chart's value `scan.allowMetadataEndpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentity>,

    /// A certificate and its private key in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,

    /// A client secret in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecret>,
}

/// Workload identity federation. Has no settings: issuer and subject follow from the cluster and the ServiceAccount.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadIdentity {}

/// Federation with a managed identity.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FederatedManagedIdentity {
    /// Client ID of the user-assigned managed identity that a federated credential on the app registration trusts.
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')")
        .message("managedIdentityClientId must be the client ID of the user-assigned managed identity: a GUID in lower case like 00000000-0000-0000-0000-000000000000"))]
    #[schemars(length(max = 128))]
    pub managed_identity_client_id: String,
}

/// A managed identity. Has no settings: `clientId` names it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedIdentity {}

/// A certificate kept in a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// Name of the Secret. Its key `tls.crt` holds the certificate (PEM, the leaf first), `tls.key` its private key
    /// (PEM, RSA), and `target` the tenant ID it is for. A Secret of type kubernetes.io/tls with an added `target` fits.
    #[x_kube(validation = Rule::new("self.matches('^sv0-[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?$')")
        .message("secretName must begin with 'sv0-' (for example sv0-entra-certificate): only Secrets that are named so can be used by a ConnectorInstance; rename the Secret and its reference"))]
    #[schemars(length(max = 128))]
    pub secret_name: String,
}

/// A client secret kept in a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClientSecret {
    /// Name of the Secret. Its key `clientSecret` holds the value and its key `target` the tenant ID it is for.
    #[x_kube(validation = Rule::new("self.matches('^sv0-[a-z0-9]([-a-z0-9]{0,57}[a-z0-9])?$')")
        .message("secretName must begin with 'sv0-' (for example sv0-entra): only Secrets that are named so can be used by a ConnectorInstance; rename the Secret and its reference"))]
    #[schemars(length(max = 128))]
    pub secret_name: String,
}

/// Upper bounds for one scan.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InstanceLimits {
    /// Most requests to the source system in one scan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 10_000_000))]
    pub max_requests: Option<i64>,
    /// Seconds after which a scan ends with what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86_400))]
    pub deadline_seconds: Option<i32>,
}

/// What the manager knows about the instance.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorInstanceStatus {
    /// See [`crate::conditions`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of the annotation `securityv0.com/scan-requested` that was acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_scan_request: Option<String>,
    /// The scan under way. Written before its Job is created, so that a restart finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_scan: Option<ActiveScan>,
    /// The last scan that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan: Option<LastScan>,
    /// The newest good snapshot: what evaluations use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotStatus>,
    /// How much of the source system the last snapshot saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageStatus>,
    /// Permissions that the collection needs and the credential does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions_missing: Vec<String>,
    /// Permissions that the credential has and the collection does not need: take them away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions_excess: Vec<String>,
    /// What is granted to the identity that scans sign in as, by the source system's own account of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentStatus>,
    /// When the client secret or certificate in use ends, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expires_at: Option<Time>,
    /// Scans in a row that stored nothing, or left gaps that may close by themselves. The more, the longer the wait
    /// before the next attempt.
    #[serde(default)]
    pub consecutive_failures: i32,
    /// When the next scan is due, as far as a schedule or a retry says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_scan_time: Option<Time>,
}

/// What is granted to the identity that scans sign in as.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConsentStatus {
    /// The tenant.
    pub tenant_id: String,
    /// The application, or managed identity, that was granted this.
    pub client_id: String,
    /// Object ID of its service principal in the tenant; none when there is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_principal_id: Option<String>,
    /// Application permissions that are granted, by name, or by ID where the name is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub permissions: Vec<String>,
    /// How many are granted: more than `permissions` when the list was cut.
    #[serde(default)]
    pub permission_count: i32,
    /// Stands for the grants above: in `spec.acceptedConsent` it accepts them.
    pub digest: String,
    /// When the oldest grant in force was made, as the source system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_granted_at: Option<Time>,
    /// When the newest grant in force was made, as the source system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_granted_at: Option<Time>,
    /// Who granted it. `Unknown`: the source system does not say so with its grants; its audit log may.
    pub granted_by: String,
    /// When a scan first saw a grant to this application.
    pub first_seen_at: Time,
    /// When a scan last saw something else than the scan before.
    pub changed_at: Time,
    /// The permissions that count as accepted: those that the first scan saw, or that `spec.acceptedConsent` named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub accepted: Vec<String>,
    /// How many are accepted.
    #[serde(default)]
    pub accepted_count: i32,
}

/// A scan under way.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ActiveScan {
    /// The scan's id.
    pub id: String,
    /// Its Job, in this namespace.
    pub job_name: String,
    /// Why it runs: `Initial`, `SpecChanged`, `Requested`, `Scheduled`, `Retry`.
    pub trigger: String,
    /// When it was decided.
    pub started_at: Time,
}

/// A scan that ended.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastScan {
    /// The scan's id.
    pub id: String,
    /// `Complete`, `Partial` or `Failed`.
    pub outcome: String,
    /// The first cause when not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The source system's own code behind the reason, such as `AADSTS7000215`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_code: Option<String>,
    /// Why it ran.
    pub trigger: String,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// The source system asked not to be read again before this, at most a day later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Requests sent, token requests included.
    #[serde(default)]
    pub requests: i64,
    /// Token requests alone.
    #[serde(default)]
    pub token_requests: i64,
    /// Rows read.
    #[serde(default)]
    pub items: i64,
}

/// A stored snapshot.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Its id: that of the scan.
    pub id: String,
    /// `sha256:<hex>` of its manifest.
    pub digest: String,
    /// When the scan that made it began.
    pub collected_at: Time,
}

/// How much was seen.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CoverageStatus {
    /// Collections that were read completely.
    #[serde(default)]
    pub complete: i32,
    /// Collections that were not, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub gaps: Vec<CoverageGap>,
    /// The same in a few words, of the collections that were accepted: `11/12`.
    #[serde(default)]
    pub summary: String,
}

/// A collection that was not read completely.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CoverageGap {
    /// The collection's name in the connector's manifest.
    pub collection: String,
    /// `partial`, `denied`, `throttled` or `skipped`.
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permission that would close the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}
