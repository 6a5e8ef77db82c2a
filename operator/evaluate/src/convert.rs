//! From what the rules found to what stands in the cluster. Provisional.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sv0_api::{
    Family, FindingSpec, FindingState, LABEL_FAMILY, LABEL_RULE, LABEL_SEVERITY, LABEL_STATE, LABEL_SYSTEM, Severity,
};
use sv0_graph::Graph;

use crate::engine::Config;
use crate::merge::Draft;

/// What the rules said.
#[derive(Debug, Default)]
pub struct Fired {
    /// Findings.
    pub drafts: Vec<Draft>,
    /// The earliest instant at which a predicate can change by time alone.
    pub next_transition: Option<Timestamp>,
    /// Facts that are outside the lane, by rule.
    pub outside_lane: BTreeMap<String, u64>,
}

/// Runs the rules and converts.
pub fn fire(_graph: &Graph, _config: &Config) -> Fired {
    Fired::default()
}

/// Rule ids and majors.
pub fn rule_majors() -> BTreeMap<String, String> {
    BTreeMap::new()
}

/// Version of the rule pack.
pub fn rule_pack_version() -> String {
    String::new()
}

/// Digest.
pub fn rule_pack_digest() -> String {
    String::new()
}

/// Digest.
pub fn reference_data_digest() -> String {
    String::new()
}

/// The labels of a Finding.
pub fn labels(spec: &FindingSpec) -> BTreeMap<String, String> {
    BTreeMap::from([
        (LABEL_RULE.to_owned(), spec.rule.id.to_lowercase()),
        (LABEL_FAMILY.to_owned(), family_word(spec.family)),
        (LABEL_SEVERITY.to_owned(), severity_word(spec.severity).to_owned()),
        (LABEL_SYSTEM.to_owned(), spec.subject.system.clone()),
        (LABEL_STATE.to_owned(), state_word(spec.state).to_owned()),
    ])
}

/// The word that stands in resources.
pub fn family_word(family: Family) -> String {
    format!("{family:?}")
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Info",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}

fn state_word(state: FindingState) -> &'static str {
    match state {
        FindingState::Open => "Open",
        FindingState::Resolved => "Resolved",
        FindingState::Accepted => "Accepted",
    }
}
