//! One problem is told once: takes what holds, gives which findings are told inside another one, and writes into that one
//! what it consists of. Pure.
//!
//! A finding is told inside another one in two cases. [`fold`]: a composite about the same subject holds too and says in one
//! sentence what its parts say one signal at a time; which these are the rules say ([`sv0_rules::RuleFinding::tells`]). [`fold_through`]: findings about different subjects hold through the same
//! thing, and a finding about that thing stands ([`sv0_rules::RuleFinding::through`]).
//!
//! The one that tells is at least as severe: a milder sentence never hides a graver one. Nothing is lost by it: what is told
//! keeps its place in the ledger and stands with all its evidence in the pack; when the one that tells is gone, it stands
//! for itself again, first seen on the same day.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sv0_api::{self as api, Claim, FindingPart, FindingSpec, FindingState, MAX_PART_SUBJECT, MAX_PARTS};
use sv0_rules::{GATHERED_FROM, composite_of};

use crate::accept::Accepted;
use crate::convert::{self, content_digest};
use crate::merge::{Basis, Held, Merged};

/// Whether two findings are about the same subject.
fn same_subject(a: &FindingSpec, b: &FindingSpec) -> bool {
    let (a, b) = (&a.subject, &b.subject);
    a.system == b.system && a.tenant == b.tenant && a.kind == b.kind && a.id == b.id
}

/// Folds the parts of composites. Gives, by name of the folded finding, the name of the composite that tells it.
pub fn fold(merged: &mut Merged) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let folded = folded(merged);
    let mut parts = parts(merged, &folded);
    for (name, held) in &mut merged.held {
        let spec = &mut held.remembered.spec;
        if spec.state != FindingState::Resolved {
            tell(spec, parts.remove(name).unwrap_or_default())?;
        }
    }
    Ok(folded)
}

/// Tells findings inside the one about what they hold through, when there are at least [`GATHERED_FROM`], and adds them to
/// `folded`.
///
/// Runs when it is known what is accepted. Only a finding of the same state is told, and an accepted one only where the same
/// exception accepts both: whoever accepts what a group holds has not accepted that each next automation is put into it, and
/// an exception for one of them ends on its own day. The ledger is written before: what is remembered knows nothing of
/// acceptance.
pub fn fold_through(
    merged: &mut Merged,
    folded: &mut BTreeMap<String, String>,
    accepted: &Accepted,
) -> Result<(), serde_json::Error> {
    let gathered = gathered(merged, folded, accepted);
    for (name, parts) in parts(merged, &gathered) {
        let Some(held) = merged.held.get_mut(&name) else { continue };
        tell(&mut held.remembered.spec, parts)?;
    }
    folded.extend(gathered);
    Ok(())
}

fn folded(merged: &Merged) -> BTreeMap<String, String> {
    let mut folded = BTreeMap::new();
    for (name, lead) in standing(merged) {
        let told = lead.remembered.tells.iter().filter_map(|told| merged.held.get_key_value(told));
        let told = told.filter(|(_, part)| holds(part) && is_part(lead, part));
        folded.extend(told.map(|(told, _)| (told.clone(), name.clone())));
    }
    folded
}

/// Whether `lead` tells `part` that it names. One that does not fire says what it said when it last did: a part that fires
/// now may say more. One that fires names what fires with it; what was named before and is not seen any more stands for
/// itself.
fn is_part(lead: &Held, part: &Held) -> bool {
    let (lead_spec, spec) = (&lead.remembered.spec, &part.remembered.spec);
    let of_it = composite_of(&spec.rule.id).is_some_and(|composite| composite.rule == lead_spec.rule.id);
    let together = lead.basis == Basis::Fires || part.basis != Basis::Fires;
    of_it && together && lead_spec.severity_rank >= spec.severity_rank && same_subject(lead_spec, spec)
}

fn gathered(merged: &Merged, folded: &BTreeMap<String, String>, accepted: &Accepted) -> BTreeMap<String, String> {
    let mut behind: BTreeMap<&String, Vec<(&String, &Held)>> = BTreeMap::new();
    for (name, held) in standing(merged).filter(|(name, _)| !folded.contains_key(*name)) {
        if let Some(lead) = &held.remembered.through {
            behind.entry(lead).or_default().push((name, held));
        }
    }
    let mut gathered = BTreeMap::new();
    // All that hold through it count, those too that are not told in it: that one is accepted scatters no others.
    for (lead, all) in behind.into_iter().filter(|(_, all)| all.len() >= GATHERED_FROM) {
        let leads = |held: &&Held| holds(held) && held.remembered.through.is_none() && !folded.contains_key(lead);
        let Some(held) = merged.held.get(lead).filter(leads) else { continue };
        let told = all.into_iter().filter(|(name, told)| {
            tells(&held.remembered.spec, &told.remembered.spec) && accepted.by.get(*name) == accepted.by.get(lead)
        });
        gathered.extend(told.map(|(name, _)| (name.clone(), lead.clone())));
    }
    gathered
}

/// Whether the claim of `lead` hides nothing that `told` says: it is as sure, as severe and in the same state.
fn tells(lead: &FindingSpec, told: &FindingSpec) -> bool {
    let as_sure = lead.rule.claim == Claim::Full || told.rule.claim == Claim::Narrower;
    as_sure && lead.severity_rank >= told.severity_rank && lead.state == told.state
}

fn standing(merged: &Merged) -> impl Iterator<Item = (&String, &Held)> {
    merged.held.iter().filter(|(_, held)| holds(held))
}

fn holds(held: &Held) -> bool {
    held.remembered.spec.state != FindingState::Resolved
}

/// By name of the finding that tells them, all that it tells: the most severe first, then by name.
fn parts(merged: &Merged, told: &BTreeMap<String, String>) -> BTreeMap<String, Vec<FindingPart>> {
    let mut parts: BTreeMap<String, Vec<FindingPart>> = BTreeMap::new();
    for (name, lead) in told {
        let specs = [name, lead].map(|name| merged.held.get(name).map(|held| &held.remembered.spec));
        if let [Some(spec), Some(lead_spec)] = specs {
            parts.entry(lead.clone()).or_default().push(part(name, spec, lead_spec));
        }
    }
    for parts in parts.values_mut() {
        parts.sort_by_key(|part| Reverse(part.severity));
    }
    parts
}

fn part(name: &str, spec: &FindingSpec, lead: &FindingSpec) -> FindingPart {
    let elsewhere = !same_subject(spec, lead);
    FindingPart {
        name: name.to_owned(),
        rule: spec.rule.id.clone(),
        claim: spec.rule.claim,
        severity: spec.severity,
        subject: elsewhere.then(|| convert::fit(&spec.subject.name, MAX_PART_SUBJECT)),
    }
}

/// Writes what a finding consists of, as much as it has room for.
fn tell(spec: &mut FindingSpec, mut parts: Vec<FindingPart>) -> Result<(), serde_json::Error> {
    let omitted = i32::try_from(parts.len().saturating_sub(MAX_PARTS)).unwrap_or(i32::MAX);
    parts.truncate(MAX_PARTS);
    if spec.consists_of == parts && spec.parts_omitted == omitted {
        return Ok(());
    }
    spec.consists_of = parts;
    spec.parts_omitted = omitted;
    // An acceptance has room of its own and is no part of what is said.
    let acceptance = spec.acceptance.take();
    api::fit(spec);
    spec.content_digest = content_digest(spec)?;
    spec.acceptance = acceptance;
    Ok(())
}
