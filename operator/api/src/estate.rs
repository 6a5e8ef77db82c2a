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
    printcolumn(name = "Accepted", type_ = "integer", json_path = ".status.counts.byState.accepted", priority = 1),
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

    /// Snapshots that you accepted: drift is what changed since. An instance that is not listed is compared with the
    /// first complete snapshot of it that was evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["instance".into()]))]
    #[x_kube(validation = Rule::new("self.all(accepted, accepted.instance.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && accepted.snapshotId.matches('^[0-9]{14}-[0-9a-f]{8}$') && accepted.snapshotDigest.matches('^sha256:[0-9a-f]{64}$'))")
        .message("spec.baseline holds, per instance, snapshotId and snapshotDigest as they stand in status.inputs"))]
    #[schemars(length(max = 256))]
    pub baseline: Vec<AcceptedSnapshot>,

    /// What identities are for, by your word. What is not listed is not judged: a purpose is never guessed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["identity".into()]))]
    #[x_kube(validation = Rule::new("self.all(purpose, has(purpose.systems) || has(purpose.domains))")
        .message("each of spec.declaredPurposes needs systems, domains or both: what the identity may reach"))]
    #[x_kube(validation = Rule::new("self.all(purpose, purpose.identity.matches('^[a-z0-9]+:[^:]+:[A-Za-z]+:.+$'))")
        .message("spec.declaredPurposes[].identity is the full identity, <system>:<tenant>:<kind>:<id>, of which a Finding's subject has the parts"))]
    #[schemars(length(max = 256))]
    pub declared_purposes: Vec<DeclaredPurpose>,

    /// Environments and what belongs to each, by the source systems' ids. What is named nowhere has no environment, and no
    /// rule guesses one from a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[schemars(length(max = 16))]
    pub environments: Vec<Environment>,

    /// What holds sensitive data, by data domain. Added to what the shipped table knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["domain".into()]))]
    #[schemars(length(max = 11))]
    pub sensitive_domains: Vec<SensitiveDomain>,

    /// How long what is over is kept.
    #[serde(default)]
    pub retention: Retention,
}

/// A snapshot that is accepted as the state that drift is measured from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedSnapshot {
    /// Name of the `ConnectorInstance`.
    #[schemars(length(min = 1, max = 40))]
    pub instance: String,
    /// The snapshot's id, as in `status.inputs`.
    #[schemars(length(min = 23, max = 23))]
    pub snapshot_id: String,
    /// `sha256:<hex>` of its manifest, as in `status.inputs`.
    #[schemars(length(min = 71, max = 71))]
    pub snapshot_digest: String,
}

/// What one identity is for: what it reaches besides is a finding.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredPurpose {
    /// The identity in full, `<system>:<tenant>:<kind>:<id>`: a Finding's `subject` has the parts.
    #[schemars(length(min = 1, max = 512))]
    pub identity: String,
    /// Ids of the systems that it may hold authority in: a tenant id for directory roles, the application (client) ID or
    /// object ID of an API for its permissions. Absent = any; empty = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub systems: Option<Vec<String>>,
    /// Kinds of sensitive data that it may reach. Absent = any; empty = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21))]
    pub domains: Option<Vec<PurposeDomain>>,
}

/// A kind of sensitive data: a container that is known without your word, or a domain of `sensitiveDomains`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum PurposeDomain {
    /// Mailboxes.
    Mail,
    /// Files.
    Files,
    /// Sites.
    Sites,
    /// Calendars.
    Calendars,
    /// Address books.
    Contacts,
    /// Chats, channels and meeting transcripts.
    Conversations,
    /// Notebooks.
    Notes,
    /// Recovery keys of disks and passwords of local administrators.
    RecoveryKeys,
    /// Cases of legal discovery.
    LegalCases,
    /// Alerts, incidents and what is searched for attackers.
    SecurityRecords,
    /// Declared: about employees.
    Hr,
    /// Declared: money, invoices, accounts.
    Finance,
    /// Declared: about customers as persons.
    CustomerPii,
    /// Declared: about anybody's health.
    Health,
    /// Declared: contracts, cases, evidence.
    Legal,
    /// Declared: program text and what builds it.
    SourceCode,
    /// Declared: keys, passwords, tokens.
    Secrets,
    /// Declared: who may do what.
    IdentityAdmin,
    /// Declared: alerts, incidents, detections.
    SecurityOps,
    /// Declared: tickets and what they are about.
    Itsm,
    /// Declared: what people of a company write and file.
    GenericBusiness,
}

/// How long what is over is kept.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// A Finding that was resolved stays for this many days, then it is deleted. Evidence packs keep what they hold.
    #[schemars(range(min = 1, max = 366))]
    pub resolved_days: i32,
    /// What the store holds of a `ConnectorInstance` that was deleted, or of this namespace once it was, stays for this many
    /// days: snapshots with names and addresses, evidence and ledgers. Absent = 30. `kubectl sv0 purge` deletes it sooner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3660))]
    pub orphaned_days: Option<i32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { resolved_days: 30, orphaned_days: None }
    }
}

/// One environment. The nearest declaration counts: an object before its scope, that before a pattern of names, and that
/// before the tenant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')")
        .message("spec.environments[].name is lower-case letters, digits and -, such as 'production'"),
    validation = Rule::new("size(self.tenants) + size(self.scopes) + size(self.objects) + size(self.namePatterns) > 0")
        .message("spec.environments[] needs at least one of tenants, scopes, objects and namePatterns: with none, nothing belongs to it")
)]
pub struct Environment {
    /// Its name, as findings show it.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
    /// Whether it is a production environment.
    pub production: bool,
    /// Tenants, accounts, organisations and instances that belong to it, by the source system's id.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(id, id.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$'))")
        .message("spec.environments[].tenants holds tenant ids of source systems; letters, digits and . _ : / - only"))]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub tenants: Vec<String>,
    /// Scopes that belong to it with all that lies below them, such as `/administrativeUnits/<id>`.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(id, id.startsWith('/') && size(id) > 1)")
        .message("spec.environments[].scopes holds scope ids that begin with '/', such as '/administrativeUnits/<id>'; for a whole tenant use tenants"))]
    #[schemars(length(max = 128), inner(length(min = 1, max = 512)))]
    pub scopes: Vec<String>,
    /// Identities, applications and resources that belong to it, by object id or application (client) id.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(id, id.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$'))")
        .message("spec.environments[].objects holds object ids or application (client) ids; letters, digits and . _ : / - only, no names"))]
    #[schemars(length(max = 512), inner(length(min = 1, max = 128)))]
    pub objects: Vec<String>,
    /// Names of identities and resources that belong to it; `*` stands for any text. Whoever may rename something moves
    /// it: prefer ids.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(pattern, pattern.matches('[^*].*[^*].*[^*]'))")
        .message("spec.environments[].namePatterns needs at least three characters other than *, such as 'dev-*'"))]
    #[schemars(length(max = 32), inner(length(min = 3, max = 80)))]
    pub name_patterns: Vec<String>,
}

/// What holds data of one domain.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("size(self.objects) + size(self.scopes) > 0")
        .message("spec.sensitiveDomains[] needs at least one of objects and scopes: with none, nothing holds data of this domain")
)]
pub struct SensitiveDomain {
    /// What kind of data it is.
    pub domain: DataDomain,
    /// Resources, such as an API, by object id or application (client) id.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(id, id.matches('^[A-Za-z0-9][A-Za-z0-9._:/-]*$'))")
        .message("spec.sensitiveDomains[].objects holds object ids or application (client) ids; letters, digits and . _ : / - only, no names"))]
    #[schemars(length(max = 512), inner(length(min = 1, max = 128)))]
    pub objects: Vec<String>,
    /// Scopes with all that lies below them, such as `/administrativeUnits/<id>`.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.all(id, id.startsWith('/') && size(id) > 1)")
        .message("spec.sensitiveDomains[].scopes holds scope ids that begin with '/', such as '/administrativeUnits/<id>'"))]
    #[schemars(length(max = 128), inner(length(min = 1, max = 512)))]
    pub scopes: Vec<String>,
}

/// A kind of data. The list is closed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum DataDomain {
    /// About employees.
    Hr,
    /// Money, invoices, accounts.
    Finance,
    /// About customers as persons.
    CustomerPii,
    /// About anybody's health.
    Health,
    /// Contracts, cases, evidence.
    Legal,
    /// Program text and what builds it.
    SourceCode,
    /// Keys, passwords, tokens.
    Secrets,
    /// Who may do what.
    IdentityAdmin,
    /// Alerts, incidents, detections.
    SecurityOps,
    /// Tickets and what they are about.
    Itsm,
    /// What people of a company write and file.
    GenericBusiness,
}

/// Limits that rules compare with; in days unless said otherwise.
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
    /// So many automations or workloads of one identity share it; a count.
    #[schemars(range(min = 2, max = 1000))]
    pub shared_by_min: i32,
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
            shared_by_min: 3,
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
    /// The snapshots that drift was measured from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub baselines: Vec<EvaluatedBaseline>,
    /// `sha256:<hex>` of the ledger that the next evaluation starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// `sha256:<hex>` of the evidence pack: all findings with their evidence.
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
    /// The `FindingExceptions` that were evaluated, in numbers; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceptions: Option<ExceptionCounts>,
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

/// A snapshot that drift was measured from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvaluatedBaseline {
    /// Name of the `ConnectorInstance`.
    pub instance: String,
    /// The snapshot's id.
    pub snapshot_id: String,
    /// `sha256:<hex>` of its manifest.
    pub snapshot_digest: String,
    /// Whether `spec.baseline` names it; else it is the first complete one that was evaluated.
    pub accepted: bool,
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

/// `FindingExceptions` in numbers. Each one's own status says more.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionCounts {
    /// `sha256:<hex>` over the UIDs and generations of all of them: another set is evaluated anew.
    pub digest: String,
    /// Those because of which Findings are accepted.
    #[serde(default)]
    pub active: i32,
    /// Those that are in force and match nothing.
    #[serde(default)]
    pub idle: i32,
    /// Those whose `expiresAt` has passed.
    #[serde(default)]
    pub expired: i32,
    /// Those that would last longer than 366 days, and accept nothing.
    #[serde(default)]
    pub too_long: i32,
    /// Those beyond the oldest 200, which is what one evaluation takes.
    #[serde(default)]
    pub left_out: i32,
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
    /// `partial`, `denied`, `throttled`, `skipped`, `shrunk`, `missing`, `quarantined` or `baseline` (nothing to compare
    /// with).
    pub state: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permission that would close the gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
}
