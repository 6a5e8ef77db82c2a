//! `Finding`: one weakness on one execution path, with who answers for it and the evidence for each part of the claim.
//! Written by the estate's evaluation alone, as a whole: everything stands under `spec`, there is no status.
//!
//! No field holds an observation time, and texts hold absolute dates: an unchanged estate gives unchanged bytes.
//!
//! A Finding is stored once per weakness, so that it says nothing twice: what follows from its other fields is left out,
//! and the field that is left out says from what it follows (`path[].from`, `path[].class`, `evidence[].source.connector`
//! and `.object`, the first parts of `subject.id` and of a party's id). The evidence pack has all of it in full.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Acceptance;

/// Label: rule id in lower case.
pub const LABEL_RULE: &str = "securityv0.com/rule";
/// Label: family.
pub const LABEL_FAMILY: &str = "securityv0.com/family";
/// Label: severity.
pub const LABEL_SEVERITY: &str = "securityv0.com/severity";
/// Label: source system of the subject.
pub const LABEL_SYSTEM: &str = "securityv0.com/system";
/// Label: state.
pub const LABEL_STATE: &str = "securityv0.com/state";

/// Most characters of a rule id, version, system, category or kind word.
pub const MAX_WORD: usize = 64;
/// Most characters of a title.
pub const MAX_TITLE: usize = 160;
/// Most characters of the explanation.
pub const MAX_WHY: usize = 480;
/// Most characters of a name that a source system gave.
pub const MAX_NAME: usize = 128;
/// Most characters of an identifier: node ids, vendor ids.
pub const MAX_ID: usize = 256;
/// Most characters of one sentence: a claim, a value, a step of remediation.
pub const MAX_SENTENCE: usize = 320;
/// Most accountable parties that are listed; `total` counts all.
pub const MAX_PARTIES: usize = 5;
/// Most hops of the path.
pub const MAX_PATH: usize = 12;
/// Most evidence entries that the schema takes.
pub const MAX_EVIDENCE: usize = 12;
/// Evidence entries that a Finding shows: what decides and what it reaches, then one more. The evidence pack has all, of very
/// many of one kind the first ones and their number.
pub const SHOWN_EVIDENCE: usize = 3;
/// Most unproven claims that are listed.
pub const MAX_NARROWED: usize = 4;
/// Most steps of remediation.
pub const MAX_REMEDIATION: usize = 4;
/// Most references to standards.
pub const MAX_STANDARDS: usize = 8;
/// Findings inside another one that are listed; `partsOmitted` counts the others.
pub const MAX_PARTS: usize = 4;
/// Most characters of the name of what such a finding is about.
pub const MAX_PART_SUBJECT: usize = 48;

/// One finding. Written by the operator; do not edit.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "securityv0.com",
    version = "v1alpha1",
    kind = "Finding",
    plural = "findings",
    category = "securityv0",
    doc = "A weakness on one execution path: what it is, who answers for it, what proves it and what to do. Written by the operator.",
    namespaced,
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "securityv0"),
    selectable = ".spec.rule.id",
    selectable = ".spec.family",
    selectable = ".spec.severity",
    selectable = ".spec.subject.system",
    selectable = ".spec.state",
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "Rule", type_ = "string", json_path = ".spec.rule.id"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subject.name"),
    printcolumn(name = "Accountable", type_ = "string", json_path = ".spec.accountable.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".spec.firstObserved"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct FindingSpec {
    /// The rule that fired.
    pub rule: RuleRef,
    /// Top-level category of the taxonomy.
    pub family: Family,
    /// Finer category inside the family.
    #[schemars(length(max = MAX_WORD))]
    pub category: String,
    /// How severe.
    pub severity: Severity,
    /// The severity as a number to sort by: 5 is `Critical`, 1 is `Info`.
    #[schemars(range(min = 1, max = 5))]
    pub severity_rank: i32,
    /// What the severity was looked up from. Absent in Findings of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Weighed>,
    /// The claim in one line.
    #[schemars(length(max = MAX_TITLE))]
    pub title: String,
    /// Why it matters.
    #[schemars(length(max = MAX_WHY))]
    pub why: String,
    /// What the finding is about.
    pub subject: Subject,
    /// Who answers for it.
    pub accountable: Accountable,
    /// The execution path, from the anchor to what it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PATH))]
    pub path: Vec<Hop>,
    /// What proves the claim; what decides comes first.
    #[schemars(length(max = MAX_EVIDENCE))]
    pub evidence: Vec<Evidence>,
    /// Evidence entries that are left out here for size. The evidence pack holds them; of more than 1,000 as many, those of
    /// the path and of every kind among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evidence_omitted: i32,
    /// What is not proven, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_NARROWED))]
    pub narrowed: Vec<Narrowed>,
    /// What to do, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_REMEDIATION), inner(length(max = MAX_SENTENCE)))]
    pub remediation: Vec<String>,
    /// Controls of published standards that this concerns, such as `OWASP NHI7`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_STANDARDS), inner(length(max = MAX_WORD)))]
    pub standards: Vec<String>,
    /// Findings that this one tells as a whole: about the same subject, or about others that hold through this one. They do
    /// not stand as resources of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PARTS))]
    pub consists_of: Vec<FindingPart>,
    /// Findings that this one tells as a whole and that are left out here for size; the evidence pack holds all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts_omitted: i32,
    /// Whether it still holds.
    pub state: FindingState,
    /// `as_of` of the evaluation that found it first.
    pub first_observed: Time,
    /// `as_of` of the evaluation that proved it gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    /// Who accepts the risk, when `state` is `Accepted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceptance: Option<Acceptance>,
    /// SHA-256, in hex, of the canonical JSON of this spec without `contentDigest`, `firstObserved`, `state`,
    /// `resolvedAt` and `acceptance`.
    #[schemars(length(max = MAX_WORD))]
    pub content_digest: String,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &i32) -> bool {
    *count == 0
}

/// The rule that fired.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RuleRef {
    /// Its id, such as `CRED-002`.
    #[schemars(length(max = MAX_WORD))]
    pub id: String,
    /// Its version.
    #[schemars(length(max = MAX_WORD))]
    pub version: String,
    /// Whether the full claim is proven.
    pub claim: Claim,
}

/// A finding that another one contains.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FindingPart {
    /// The name under which the evidence pack has it, and which it has when it stands for itself.
    #[schemars(length(max = MAX_WORD))]
    pub name: String,
    /// Id of its rule.
    #[schemars(length(max = MAX_WORD))]
    pub rule: String,
    /// Whether its full claim is proven.
    pub claim: Claim,
    /// How severe it is by itself.
    pub severity: Severity,
    /// Name of what it is about, escaped and cut. Absent: the subject itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PART_SUBJECT))]
    pub subject: Option<String>,
}

/// How much of a rule's claim is proven.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// All of it.
    Full,
    /// The part that `title` states; `narrowed` says what is missing.
    Narrower,
}

/// Top-level categories. The list is stable.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Runs under an identity that nobody answers for.
    OrphanedAutomation,
    /// One identity or path holds authority over several systems.
    CrossSystemAuthorityChain,
    /// Authority grew since an accepted snapshot.
    ScopeDrift,
    /// Reaches sensitive systems or egress without a boundary.
    UnboundedExecutionScope,
    /// Standing permission without use.
    DormantAuthority,
    /// A powerful credential with weak hygiene.
    CredentialLifecycle,
    /// Moves sensitive data into a distribution surface.
    ExposureRedistribution,
    /// Outbound path to a weakly authenticated destination.
    ExposureEgress,
    /// Authority to a sensitive system that no definition refers to.
    ExposureNarrowSensitiveReach,
}

/// How severe, from a table and not a score.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For completeness.
    Info,
    /// Some day.
    Low,
    /// Plan it.
    Medium,
    /// This week.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// The number to sort by: 5 is `Critical`, 1 is `Info`.
    pub const fn rank(self) -> i32 {
        match self {
            Self::Info => 1,
            Self::Low => 2,
            Self::Medium => 3,
            Self::High => 4,
            Self::Critical => 5,
        }
    }
}

/// What a severity was looked up from: a table of tier and exposure, one tier up for sensitive data, one step down for a
/// narrower claim.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Weighed {
    /// What the best proven authority amounts to.
    pub tier: Tier,
    /// How exposed it is.
    pub exposure: Exposure,
    /// It is proven to reach sensitive data.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sensitive: bool,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Tiers of authority, the strongest first.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Can take over the whole tenant.
    P0,
    /// Administers a part of it or can act as others.
    P1,
    /// Can change data.
    P2,
    /// Can read data.
    P3,
    /// Nothing proven.
    P4,
}

/// Classes of exposure, the most exposed first.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exposure {
    /// Somebody outside, or whom nobody governs, can use it now.
    X0,
    /// It can run now, and is not governed as the rule asks.
    X1,
    /// Not governed as the rule asks; whether it is in use is no part of the claim.
    X2,
    /// Hygiene only.
    X3,
}

/// What a finding is about.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The source system's immutable id. With the fields beside it, it is the node's identity:
    /// `<system>:<tenant>:<kind>:<id>`.
    #[schemars(length(max = MAX_ID))]
    pub id: String,
    /// Kind of node, such as `ServicePrincipal`.
    #[schemars(length(max = MAX_WORD))]
    pub kind: String,
    /// Its name in the source system, escaped and cut.
    #[schemars(length(max = MAX_NAME))]
    pub name: String,
    /// `entra`, ...
    #[schemars(length(max = MAX_WORD))]
    pub system: String,
    /// Its tenant, account or organisation.
    #[schemars(length(max = MAX_NAME))]
    pub tenant: String,
    /// The `ConnectorInstance` that saw it.
    #[schemars(length(max = MAX_WORD))]
    pub instance: String,
    /// That instance's UID.
    #[schemars(length(max = MAX_WORD))]
    pub instance_uid: String,
}

impl Subject {
    /// Whether `identity` is this subject's, `<system>:<tenant>:<kind>:<id>`.
    pub fn is(&self, identity: &str) -> bool {
        let parts = [&self.system, &self.tenant, &self.kind];
        let rest =
            parts.into_iter().try_fold(identity, |rest, part| rest.strip_prefix(part.as_str())?.strip_prefix(':'));
        rest == Some(self.id.as_str())
    }
}

/// Who answers for the subject.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Accountable {
    /// In one word.
    pub state: AccountableState,
    /// The first parties, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_PARTIES))]
    pub parties: Vec<Party>,
    /// How many parties there are.
    #[serde(default)]
    pub total: i32,
    /// Why the state is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SENTENCE))]
    pub reason: Option<String>,
}

/// Whether somebody answers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountableState {
    /// At least one party is proven to be active.
    Active,
    /// Every recorded party is disabled or deleted.
    Gone,
    /// Completely read, and none is recorded.
    NotRecorded,
    /// Not all of it could be read.
    Unknown,
}

/// A party that answers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    /// `<Kind>:<vendor's id>`, with `<system>:<tenant>:` in front when they are not those of the subject.
    #[schemars(length(max = MAX_ID))]
    pub id: String,
    /// Name or address, when it may be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME))]
    pub name: Option<String>,
    /// `active`, `disabled`, `deleted`, `guest`, `unresolved`.
    #[schemars(length(max = MAX_WORD))]
    pub state: String,
}

/// One hop of the path.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Where it starts, for people: kind and name. Absent: where the hop before it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub from: Option<String>,
    /// What the edge says, such as `GRANTED`.
    #[schemars(length(max = MAX_WORD))]
    pub edge: String,
    /// Where it leads, for people.
    #[schemars(length(max = MAX_ID))]
    pub to: String,
    /// The role or permission on the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_NAME))]
    pub via: Option<String>,
    /// How it is known. Absent: `Direct`.
    #[serde(default, skip_serializing_if = "EvidenceClass::is_direct")]
    pub class: EvidenceClass,
}

/// How something is known.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvidenceClass {
    /// One fact of the source system's API says it.
    #[default]
    Direct,
    /// Derived from several facts by a named derivation.
    Structural,
    /// From time, logs or the difference of two snapshots.
    Temporal,
}

impl EvidenceClass {
    // The signature is serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_direct(&self) -> bool {
        *self == Self::Direct
    }
}

/// One piece of evidence.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// How it is known.
    pub class: EvidenceClass,
    /// What it proves, in our words.
    #[schemars(length(max = MAX_SENTENCE))]
    pub claim: String,
    /// Where it was read.
    pub source: EvidenceSource,
    /// What was read there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SENTENCE))]
    pub value: Option<String>,
}

/// Where a fact was read.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceSource {
    /// Our connector. Absent: that of the subject's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_WORD))]
    pub connector: Option<String>,
    /// The vendor's API and operation.
    #[schemars(length(max = MAX_NAME))]
    pub api: String,
    /// Its version.
    #[schemars(length(max = MAX_WORD))]
    pub version: String,
    /// The vendor's id of the object. Absent: the subject itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub object: Option<String>,
    /// The field.
    #[schemars(length(max = MAX_NAME))]
    pub field: String,
}

/// A claim that is not proven.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Narrowed {
    /// What is not proven.
    #[schemars(length(max = MAX_SENTENCE))]
    pub claim: String,
    /// Why not.
    #[schemars(length(max = MAX_SENTENCE))]
    pub reason: String,
}

/// Whether a finding still holds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingState {
    /// It holds.
    Open,
    /// A complete scan proved that it is gone.
    Resolved,
    /// It holds, and a FindingException accepts its risk until a day.
    Accepted,
}
