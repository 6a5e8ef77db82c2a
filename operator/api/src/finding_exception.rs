//! `FindingException`: a risk that somebody accepts for a while. The spec is the security team's, the status that of the
//! estate's evaluation alone. A kind of its own, so that the right to accept can be given apart from every other right.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FindingSpec, Severity};

/// Longest acceptance, in days from the creation of the `FindingException`.
pub const MAX_ACCEPTANCE_DAYS: i64 = 366;
/// Longest owner, in characters.
pub const MAX_OWNER: usize = 128;
/// Longest reason, in characters.
pub const MAX_REASON: usize = 512;

/// An accepted risk.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "securityv0.com",
    version = "v1alpha1",
    kind = "FindingException",
    plural = "findingexceptions",
    shortname = "fex",
    category = "securityv0",
    doc = "A risk that somebody accepts until a day: open Findings that match become Accepted, and Open again when it expires or is deleted. It never removes a Finding or its evidence.",
    namespaced,
    status = "FindingExceptionStatus",
    derive = "PartialEq",
    label("app.kubernetes.io/part-of", "securityv0"),
    printcolumn(name = "Active", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Active")].reason"#),
    printcolumn(name = "Findings", type_ = "integer", json_path = ".status.matchedFindings"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name may have at most 63 characters: every accepted Finding repeats it")
)]
#[serde(rename_all = "camelCase")]
pub struct FindingExceptionSpec {
    /// Which Findings are accepted. Every part that is given must match; within a list, one entry is enough.
    #[serde(rename = "match")]
    pub matching: FindingMatch,

    /// Who accepts the risk and answers for it: a person or a team, such as `identity-team@example.com`. Accepted
    /// Findings show it.
    #[x_kube(validation = Rule::new(r#"self.matches('^[^"\\\\\\x00-\\x1f\\x7f]+$') && self.matches('[^ ]')"#)
        .message("spec.owner says in one line who accepts the risk, a person or a team; without double quotes and backslashes"))]
    #[schemars(length(min = 1, max = MAX_OWNER))]
    pub owner: String,

    /// Why the risk is accepted, and what makes up for it: what an auditor will ask.
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\x00-\\x09\\x0b-\\x1f\\x7f]+$') && self.matches('[^ \\n]')")
        .message("spec.reason says why the risk is accepted, in plain text without tabs and control characters"))]
    #[schemars(length(min = 1, max = MAX_REASON))]
    pub reason: String,

    /// When the acceptance ends (RFC 3339, such as `2027-03-31T00:00:00Z`): from then on the Findings are Open again,
    /// without any scan. At most 366 days after this object was made; to accept for longer, make a new one: that is a new
    /// decision.
    pub expires_at: Time,
}

/// Which Findings. At least one of `findings`, `rules` and `subjects` must be given. What a Finding consists of
/// (`spec.consistsOf`) about its own subject is accepted with it, and not apart from it. What it tells of other subjects is
/// not accepted with it: each of those that does not match too stands for itself, and one that alone matches does as well.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(has(self.findings) && self.findings.size() > 0) || (has(self.rules) && self.rules.size() > 0) || (has(self.subjects) && self.subjects.size() > 0)")
    .message("spec.match needs findings, rules or subjects: an exception that names none of them would accept everything"))]
#[serde(rename_all = "camelCase")]
pub struct FindingMatch {
    /// Names of Findings, as `kubectl get findings` shows them. The most exact choice.
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'))")
        .message("spec.match.findings holds names of Findings as kubectl get findings shows them, such as cred-002-0123456789abcdef"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub findings: Vec<String>,

    /// Ids of rules, such as `CRED-002`; the full and the narrower claim alike.
    #[x_kube(validation = Rule::new("self.all(rule, rule.matches('^[A-Z][A-Z0-9]*-[0-9]+$'))")
        .message("spec.match.rules holds ids of rules as a Finding's spec.rule.id shows them, such as CRED-002"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub rules: Vec<String>,

    /// Subjects by their full identity, `<system>:<tenant>:<kind>:<id>`, as the fields of a Finding's `spec.subject` say.
    #[x_kube(validation = Rule::new(r"self.all(subject, subject.matches('^[a-z][a-z0-9-]*:[^:]+:[A-Za-z]+:[^\\x00-\\x1f\\x7f]+$'))")
        .message("spec.match.subjects holds full identities <system>:<tenant>:<kind>:<id>, put together from the fields of a Finding's spec.subject"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 512)))]
    pub subjects: Vec<String>,

    /// Only Findings that are at most this severe: one that becomes worse is Open again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
}

impl FindingMatch {
    /// Whether the Finding `name` is meant. What names no Finding, rule and subject means none, whatever the schema let
    /// through.
    pub fn matches(&self, name: &str, finding: &FindingSpec) -> bool {
        let names_something = !(self.findings.is_empty() && self.rules.is_empty() && self.subjects.is_empty());
        let among = |list: &[String], wanted: &str| list.is_empty() || list.iter().any(|entry| entry == wanted);
        names_something
            && among(&self.findings, name)
            && among(&self.rules, &finding.rule.id)
            && self.max_severity.is_none_or(|most| finding.severity <= most)
            && (self.subjects.is_empty() || self.subjects.iter().any(|identity| finding.subject.is(identity)))
    }
}

impl FindingExceptionSpec {
    /// When it ends, in whole seconds: resources and evaluations know nothing finer.
    pub fn ends(&self) -> Timestamp {
        let at = self.expires_at.0;
        Timestamp::from_second(at.as_second()).unwrap_or(at)
    }

    /// Whether one that was made at `created` would last longer than anybody may accept.
    pub fn is_too_long(&self, created: Timestamp) -> bool {
        let most = SignedDuration::from_hours(24 * MAX_ACCEPTANCE_DAYS);
        created.checked_add(most).is_ok_and(|latest| self.ends() > latest)
    }
}

/// What the last evaluation made of the exception.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FindingExceptionStatus {
    /// `Active`: whether Findings are accepted because of this; if not, the reason is `Idle`, `Expired`, `TooLong` or
    /// `LimitReached`, and the message says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Findings that hold and match, those too that name another exception since that one ends later.
    #[serde(default)]
    pub matched_findings: i32,
    /// The instant of the last evaluation in which one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_matched_at: Option<Time>,
}

/// On an accepted Finding: by whom, until when.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// Name of the `FindingException`; its `spec.reason` says why. The evidence pack has its UID too.
    #[schemars(length(max = 63))]
    pub exception: String,
    /// Who accepts, cut when long.
    #[schemars(length(max = MAX_OWNER))]
    pub owner: String,
    /// From this instant on the Finding is open again.
    pub until: Time,
}
