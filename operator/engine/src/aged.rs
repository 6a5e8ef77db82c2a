//! Findings that do not fire and may still hold: takes what is remembered, the graph and what the rules could not
//! determine, gives those that must not count as gone; and puts them back after the merge. Pure.
//!
//! Their evidence left the source system's records by age, or it is not known any more whether the identity runs.

use std::collections::{BTreeMap, BTreeSet};

use sv0_api::FindingState;
use sv0_graph::{Graph, NodeId, NodeKind};
use sv0_rules::RuleFinding;
use sv0_rules::aged::{AGING, Aged, Said, named};

use crate::evaluate::Config;
use crate::fire;
use crate::ledger::Remembered;
use crate::merge::{Basis, Held, Merged};

/// Most credentials that are remembered of one finding. Of one that named more, any credential of the subject counts as
/// named: it may stay for longer than it holds, and never goes too early.
pub const MAX_CREDENTIALS: usize = 1_000;

/// What may still hold.
#[derive(Debug, Default)]
pub struct Standing {
    /// Remembered findings, by name: what they said.
    whole: BTreeMap<String, Remembered>,
    /// By name, the credentials of which no record is left.
    credentials: BTreeMap<String, BTreeSet<String>>,
}

/// Remembered findings that may still hold although nothing shows it any more. `undetermined` are names.
pub fn standing(
    graph: &Graph,
    earlier: &BTreeMap<String, Remembered>,
    undetermined: &BTreeSet<String>,
    config: &Config,
) -> Standing {
    let limits = fire::rule_config(&config.estate);
    let mut standing = Standing::default();
    let mut aged: Option<Aged<'_>> = None;
    for (name, remembered) in earlier.iter().filter(|(_, one)| one.spec.state != FindingState::Resolved) {
        if AGING.contains(&remembered.spec.rule.id.as_str())
            && let Some(subject) = subject(remembered)
        {
            let aged = aged.get_or_insert_with(|| Aged::new(graph, &limits, config.as_of));
            let named = credentials(remembered);
            let left = aged.may_still_hold(&subject, (!remembered.more_credentials).then_some(&named));
            if !left.is_empty() {
                standing.whole.insert(name.clone(), remembered.clone());
                standing.credentials.insert(name.clone(), left);
            }
        }
        if undetermined.contains(name) {
            standing.whole.insert(name.clone(), remembered.clone());
        }
    }
    standing
}

/// The credentials that a finding named, as far as is remembered: earlier versions kept only those that it shows.
fn credentials(remembered: &Remembered) -> BTreeSet<String> {
    if !remembered.credentials.is_empty() {
        return remembered.credentials.clone();
    }
    let said = remembered.spec.evidence.iter();
    named(said.filter_map(|one| Some(Said { field: &one.source.field, value: one.value.as_deref()? })))
}

/// The credentials to remember of a finding that fires, and whether it may name more than those.
pub fn to_remember(finding: &RuleFinding) -> (BTreeSet<String>, bool) {
    if !AGING.contains(&finding.rule.id.as_str()) {
        return (BTreeSet::new(), false);
    }
    let said = finding.evidence.iter();
    let named = named(said.filter_map(|one| Some(Said { field: &one.source.field, value: one.value.as_deref()? })));
    (named, finding.evidence_omitted > 0)
}

/// Adds to what is remembered, as far as there is room.
fn add(remembered: &mut Remembered, credentials: BTreeSet<String>) {
    remembered.credentials.extend(credentials);
    while remembered.credentials.len() > MAX_CREDENTIALS {
        remembered.credentials.pop_last();
        remembered.more_credentials = true;
    }
}

/// A finding holds the parts of its subject's identity.
fn subject(remembered: &Remembered) -> Option<NodeId> {
    let subject = &remembered.spec.subject;
    let kind = NodeKind::ALL.iter().find(|kind| kind.as_str() == subject.kind)?;
    Some(NodeId::new(&subject.system, &subject.tenant, *kind, &subject.id))
}

/// Takes back that findings of `standing` were resolved: they stay as they were. What fires by newer records remembers
/// the credentials too of which none is left.
pub fn restore(merged: &mut Merged, standing: Standing) {
    for (name, remembered) in standing.whole {
        let resolved = |held: &Held| held.basis == Basis::Gone;
        if merged.held.get(&name).is_some_and(resolved) {
            merged.held.insert(name, Held { remembered, basis: Basis::Unseen, full: None });
        }
    }
    for (name, left) in standing.credentials {
        if let Some(held) = merged.held.get_mut(&name).filter(|held| held.basis == Basis::Fires) {
            add(&mut held.remembered, left);
        }
    }
}
