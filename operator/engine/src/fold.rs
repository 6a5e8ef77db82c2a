//! Composites first: takes what holds, gives which findings are told inside another one, and writes into that one what
//! it consists of. Pure.
//!
//! A finding is folded under a composite about the same subject that holds too and is at least as severe: a milder
//! sentence never hides a graver one. Nothing is lost by it: a folded finding keeps its place in the ledger and stands
//! with all its evidence in the pack; when the composite is gone it stands for itself again, first seen on the same day.

use std::collections::BTreeMap;

use sv0_api::{self as api, FindingPart, FindingSpec, FindingState, MAX_PARTS};
use sv0_rules::{Composite, composite_of};

use crate::convert::content_digest;
use crate::merge::{Held, Merged};

/// The subject's system, tenant, kind and identity, and the composite's rule.
type Key<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

fn key<'a>(spec: &'a FindingSpec, rule: &'a str) -> Key<'a> {
    let subject = &spec.subject;
    (&subject.system, &subject.tenant, &subject.kind, &subject.id, rule)
}

/// Folds. Gives, by name of the folded finding, the name of the composite that tells it.
pub fn fold(merged: &mut Merged) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let folded = folded(merged);
    let mut parts: BTreeMap<&str, Vec<FindingPart>> = BTreeMap::new();
    for (name, composite) in &folded {
        let Some(held) = merged.held.get(name) else { continue };
        parts.entry(composite).or_default().push(part(name, &held.remembered.spec));
    }
    for (name, held) in &mut merged.held {
        let spec = &mut held.remembered.spec;
        let mut consists_of = parts.remove(name.as_str()).unwrap_or_default();
        consists_of.truncate(MAX_PARTS);
        if spec.consists_of != consists_of && spec.state != FindingState::Resolved {
            spec.consists_of = consists_of;
            api::fit(spec);
            spec.content_digest = content_digest(spec)?;
        }
    }
    Ok(folded)
}

fn folded(merged: &Merged) -> BTreeMap<String, String> {
    let holds = |held: &Held| held.remembered.spec.state != FindingState::Resolved;
    let standing = || merged.held.iter().filter(|(_, held)| holds(held));
    let composites: BTreeMap<Key<'_>, (&String, i32)> = standing()
        .map(|(name, held)| (name, &held.remembered.spec))
        .map(|(name, spec)| (key(spec, &spec.rule.id), (name, spec.severity_rank)))
        .collect();
    let under = |spec: &FindingSpec| {
        let Composite { rule, .. } = composite_of(&spec.rule.id)?;
        let (name, rank) = composites.get(&key(spec, rule))?;
        (*rank >= spec.severity_rank).then(|| (*name).clone())
    };
    standing().filter_map(|(name, held)| Some((name.clone(), under(&held.remembered.spec)?))).collect()
}

fn part(name: &str, spec: &FindingSpec) -> FindingPart {
    FindingPart { name: name.to_owned(), rule: spec.rule.id.clone(), claim: spec.rule.claim, severity: spec.severity }
}
