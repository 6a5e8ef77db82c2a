//! Runs the built-in rules: takes the graph and the configuration, gives drafts, the instant at which time alone may
//! change them, and how many facts stayed outside the lane; and says which rules and reference data these are. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_api::{DataDomain, DeclaredPurpose, EstateSpec, PurposeDomain};
use sv0_graph::Graph;
use sv0_graph::canonical::{Canonical, digest, to_canonical_json};
use sv0_rules::tiers;
use sv0_rules::{
    Baseline, Containers, Environment, Memory, Past, Purpose, RuleConfig, RuleOutput, RuleStep, catalogue,
};

use crate::convert::draft_with;
use crate::evaluate::{Config, Step};
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
    /// Names of findings of which it is not known whether they hold.
    pub undetermined: BTreeSet<String>,
}

/// Runs the rules and converts what they found. Drift is looked for in tenants that have one of `baselines`; `memory`
/// already holds what `graph` shows of use.
pub fn fire(
    graph: &Graph,
    (baselines, memory): (&[Baseline], &Memory),
    config: &Config,
    done: &mut dyn FnMut(Step),
) -> Result<Fired, serde_json::Error> {
    let limits = rule_config(&config.estate);
    let RuleOutput { findings, next_transition, suppressed, undetermined } = sv0_rules::run_watched(
        graph,
        Past { baselines, memory },
        &limits,
        (config.as_of, config.threads),
        &mut |step| {
            done(match step {
                RuleStep::Derived => Step::Derived,
                RuleStep::Searched => Step::Searched,
            });
        },
    );
    let mut canonical = Canonical::default();
    let draft = |finding| draft_with(&mut canonical, finding, config.as_of);
    let drafts = findings.into_iter().map(draft).collect::<Result<_, _>>()?;
    let outside_lane = suppressed
        .into_iter()
        .map(|(rule, counts)| (rule, counts.no_anchor + counts.anchor_unknown + counts.below_lane))
        .collect();
    Ok(Fired { drafts, next_transition, outside_lane, undetermined })
}

/// The schema bounds the limits; what is out of bounds all the same counts as the nearest bound.
pub(crate) fn rule_config(estate: &EstateSpec) -> RuleConfig {
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
        declared_purposes: estate.declared_purposes.iter().map(purpose).collect(),
        shared_by_min: days(thresholds.shared_by_min),
        environments: estate.environments.iter().map(environment).collect(),
        sensitive_domains: estate.sensitive_domains.iter().map(sensitive).collect(),
    }
}

fn environment(declared: &sv0_api::Environment) -> (String, Environment) {
    let environment = Environment {
        production: declared.production,
        tenants: declared.tenants.iter().cloned().collect(),
        scopes: declared.scopes.iter().cloned().collect(),
        objects: declared.objects.iter().cloned().collect(),
        name_patterns: declared.name_patterns.iter().cloned().collect(),
    };
    (declared.name.clone(), environment)
}

fn sensitive(declared: &sv0_api::SensitiveDomain) -> (sv0_rules::DataDomain, Containers) {
    let containers = Containers {
        objects: declared.objects.iter().cloned().collect(),
        scopes: declared.scopes.iter().cloned().collect(),
    };
    (domain(declared.domain), containers)
}

const fn domain(domain: DataDomain) -> sv0_rules::DataDomain {
    match domain {
        DataDomain::Hr => sv0_rules::DataDomain::Hr,
        DataDomain::Finance => sv0_rules::DataDomain::Finance,
        DataDomain::CustomerPii => sv0_rules::DataDomain::CustomerPii,
        DataDomain::Health => sv0_rules::DataDomain::Health,
        DataDomain::Legal => sv0_rules::DataDomain::Legal,
        DataDomain::SourceCode => sv0_rules::DataDomain::SourceCode,
        DataDomain::Secrets => sv0_rules::DataDomain::Secrets,
        DataDomain::IdentityAdmin => sv0_rules::DataDomain::IdentityAdmin,
        DataDomain::SecurityOps => sv0_rules::DataDomain::SecurityOps,
        DataDomain::Itsm => sv0_rules::DataDomain::Itsm,
        DataDomain::GenericBusiness => sv0_rules::DataDomain::GenericBusiness,
    }
}

fn purpose(declared: &DeclaredPurpose) -> (String, Purpose) {
    let systems = declared.systems.as_ref().map(|ids| ids.iter().cloned().collect());
    // The word in the Estate is the word of the rules.
    let word = |domain: &PurposeDomain| serde_json::to_value(domain).ok()?.as_str().map(str::to_owned);
    let domains = declared.domains.as_ref().map(|domains| domains.iter().filter_map(word).collect());
    (declared.identity.clone(), Purpose { systems, domains })
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

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    /// An Estate that sets everything that a rule reads.
    fn declaring() -> EstateSpec {
        let thresholds = Thresholds {
            rotate_days: 11,
            max_secret_lifetime_days: 12,
            max_certificate_lifetime_days: 13,
            dormant_days: 14,
            unused_credential_days: 15,
            rare_use_days: 16,
            expiry_warn_days: 17,
            never_used_grace_days: -1,
            shared_by_min: 18,
        };
        let declared = DeclaredPurpose {
            identity: "entra:t:ServicePrincipal:1".to_owned(),
            systems: Some(vec!["t".to_owned()]),
            domains: Some(vec![PurposeDomain::Mail]),
        };
        let environment = sv0_api::Environment {
            name: "dev".to_owned(),
            production: true,
            tenants: ids(&["t"]),
            scopes: ids(&["/s"]),
            objects: ids(&["o", "n"]),
            name_patterns: ids(&["dev-*"]),
        };
        let domain =
            sv0_api::SensitiveDomain { domain: DataDomain::Finance, objects: ids(&["p"]), scopes: ids(&["/q"]) };
        EstateSpec {
            thresholds,
            trusted_tenants: ids(&["b", "a"]),
            environments: vec![environment],
            sensitive_domains: vec![domain],
            declared_purposes: vec![declared],
            ..EstateSpec::default()
        }
    }

    #[test]
    fn every_limit_of_the_estate_reaches_the_rules() {
        let set = |all: &[&str]| all.iter().map(|id| (*id).to_owned()).collect::<std::collections::BTreeSet<_>>();
        let expected = RuleConfig {
            rotate_days: 11,
            max_secret_lifetime_days: 12,
            max_certificate_lifetime_days: 13,
            dormant_days: 14,
            unused_credential_days: 15,
            rare_use_days: 16,
            expiry_warn_days: 17,
            never_used_grace_days: 1,
            declared_purposes: [(
                "entra:t:ServicePrincipal:1".to_owned(),
                Purpose { systems: Some(["t".to_owned()].into()), domains: Some(["mail".to_owned()].into()) },
            )]
            .into(),
            trusted_tenants: set(&["a", "b"]),
            shared_by_min: 18,
            environments: BTreeMap::from([(
                "dev".to_owned(),
                Environment {
                    production: true,
                    tenants: set(&["t"]),
                    scopes: set(&["/s"]),
                    objects: set(&["n", "o"]),
                    name_patterns: set(&["dev-*"]),
                },
            )]),
            sensitive_domains: BTreeMap::from([(
                sv0_rules::DataDomain::Finance,
                Containers { objects: set(&["p"]), scopes: set(&["/q"]) },
            )]),
        };
        assert_eq!(rule_config(&declaring()), expected);
    }

    /// One list on each side: a domain of one is the domain of the other under the same word.
    #[test]
    fn every_domain_reaches_the_rules() {
        for known in sv0_rules::DataDomain::ALL {
            let declared: DataDomain = serde_json::from_value(serde_json::json!(known.as_str())).unwrap();
            assert_eq!(domain(declared), known);
            serde_json::from_value::<PurposeDomain>(serde_json::json!(known.as_str())).unwrap();
        }
        for container in sv0_rules::Container::ALL {
            let Some(word) = container.word() else { continue };
            serde_json::from_value::<PurposeDomain>(serde_json::json!(word)).unwrap();
        }
    }

    #[test]
    fn an_estate_that_sets_nothing_has_the_limits_of_the_rules() {
        assert_eq!(rule_config(&EstateSpec::default()), RuleConfig::default());
    }
}
