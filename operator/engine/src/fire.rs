//! Runs the built-in rules: takes the graph and the configuration, gives drafts, the instant at which time alone may
//! change them, and how many facts stayed outside the lane; and says which rules and reference data these are. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sv0_api::EstateSpec;
use sv0_graph::Graph;
use sv0_graph::canonical::{digest, to_canonical_json};
use sv0_rules::tiers;
use sv0_rules::{RuleConfig, RuleOutput, catalogue};

use crate::convert::draft;
use crate::evaluate::Config;
use crate::merge::Draft;

/// What the rules said.
#[derive(Debug, Default)]
pub struct Fired {
    /// Findings.
    pub drafts: Vec<Draft>,
    /// The earliest instant at which a predicate can change by time alone.
    pub next_transition: Option<Timestamp>,
    /// Facts that are no finding, since nothing runs unattended on them or their authority is small; by rule.
    pub outside_lane: BTreeMap<String, u64>,
}

/// Runs the rules and converts what they found.
pub fn fire(graph: &Graph, config: &Config) -> Result<Fired, serde_json::Error> {
    let RuleOutput { findings, next_transition, suppressed } =
        sv0_rules::run(graph, &rule_config(&config.estate), config.as_of, config.threads);
    let drafts = findings.into_iter().map(|finding| draft(finding, config.as_of)).collect::<Result<_, _>>()?;
    let outside_lane = suppressed
        .into_iter()
        .map(|(rule, counts)| (rule, counts.no_anchor + counts.anchor_unknown + counts.below_lane))
        .collect();
    Ok(Fired { drafts, next_transition, outside_lane })
}

/// The schema bounds the limits; what is out of bounds all the same counts as the nearest bound.
fn rule_config(estate: &EstateSpec) -> RuleConfig {
    let days = |days: i32| u32::try_from(days.max(1)).unwrap_or(1);
    let thresholds = &estate.thresholds;
    RuleConfig {
        rotate_days: days(thresholds.rotate_days),
        max_secret_lifetime_days: days(thresholds.max_secret_lifetime_days),
        max_certificate_lifetime_days: days(thresholds.max_certificate_lifetime_days),
        dormant_days: days(thresholds.dormant_days),
        unused_credential_days: days(thresholds.unused_credential_days),
        rare_use_days: days(thresholds.rare_use_days),
        expiry_warn_days: days(thresholds.expiry_warn_days),
        never_used_grace_days: days(thresholds.never_used_grace_days),
        trusted_tenants: estate.trusted_tenants.iter().cloned().collect(),
    }
}

/// Ids of this version's rules with their major versions.
pub fn rule_majors() -> BTreeMap<String, String> {
    catalogue().map(|meta| (meta.id.to_owned(), meta.major().to_owned())).collect()
}

/// Names rules and reference data for people.
pub fn rule_pack_version() -> String {
    sv0_rules::pack_version()
}

/// `sha256:<hex>` over the metadata of every rule.
pub fn rule_pack_digest() -> Result<String, serde_json::Error> {
    let rules: Vec<_> = catalogue().collect();
    Ok(digest(&to_canonical_json(&rules)?))
}

/// `sha256:<hex>` over the tables that the rules look things up in.
pub fn reference_data_digest() -> String {
    format!("sha256:{}", tiers::digest())
}

#[cfg(test)]
mod tests {
    use sv0_api::Thresholds;

    use super::*;

    #[test]
    fn every_limit_of_the_estate_reaches_the_rules() {
        let thresholds = Thresholds {
            rotate_days: 11,
            max_secret_lifetime_days: 12,
            max_certificate_lifetime_days: 13,
            dormant_days: 14,
            unused_credential_days: 15,
            rare_use_days: 16,
            expiry_warn_days: 17,
            never_used_grace_days: -1,
        };
        let config = rule_config(&EstateSpec {
            thresholds,
            trusted_tenants: vec!["b".to_owned(), "a".to_owned()],
            ..EstateSpec::default()
        });
        let expected = RuleConfig {
            rotate_days: 11,
            max_secret_lifetime_days: 12,
            max_certificate_lifetime_days: 13,
            dormant_days: 14,
            unused_credential_days: 15,
            rare_use_days: 16,
            expiry_warn_days: 17,
            never_used_grace_days: 1,
            trusted_tenants: ["a".to_owned(), "b".to_owned()].into(),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn an_estate_that_sets_nothing_has_the_limits_of_the_rules() {
        assert_eq!(rule_config(&EstateSpec::default()), RuleConfig::default());
    }
}
