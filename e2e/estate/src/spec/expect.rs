//! What a scan of an estate must find: these findings and no others, and look-alikes that must not appear.

use serde::{Deserialize, Serialize};

use super::is_false;

/// What a scan of the estate must find, and what it must not.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expectations {
    /// Findings that must appear, and no others.
    pub findings: Vec<ExpectedFinding>,
    /// Look-alikes that must not appear.
    pub near_misses: Vec<NearMiss>,
}

/// A finding that must appear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedFinding {
    /// Rule id.
    pub rule: String,
    /// Subject: key or id of an object, `<key>#<position>` for a client secret, `<key>#cert<position>` for a
    /// certificate. Object id (or key id) once the file is loaded.
    pub subject: String,
    /// Severity.
    pub severity: String,
    /// Whether it is the rule's narrower claim.
    #[serde(default, skip_serializing_if = "is_false")]
    pub narrower: bool,
    /// The object whose finding tells this one, as in `subject`: its own, where a composite about it does. Absent: it
    /// stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// The subject's display name: filled in once the file is loaded, empty for what has none.
    #[serde(default, skip_deserializing)]
    pub subject_name: String,
    /// What was planted.
    pub why: String,
}

/// A look-alike that must not appear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NearMiss {
    /// Rule id.
    pub rule: String,
    /// Subject, as in [`ExpectedFinding::subject`].
    pub subject: String,
    /// Why it is none.
    pub why: String,
}
