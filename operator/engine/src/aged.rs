//! Findings that do not fire and may still hold: takes what is remembered, the graph and what the rules could not
//! determine, gives those that must not count as gone; and puts them back after the merge. Pure.
//!
//! Their evidence left the source system's records by age, or it is not known any more whether the identity runs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_api::FindingState;
use sv0_graph::{Graph, NodeId, NodeKind};
use sv0_rules::aged::{AGING, Said, may_still_hold};

use crate::ledger::Remembered;
use crate::merge::{Basis, Held, Merged};

/// Remembered findings, by name, that may still hold although nothing shows it any more. `undetermined` are names.
pub fn standing(
    graph: &Graph,
    earlier: &BTreeMap<String, Remembered>,
    undetermined: &BTreeSet<String>,
    as_of: Timestamp,
) -> BTreeMap<String, Remembered> {
    let ages = |remembered: &&Remembered| AGING.contains(&remembered.spec.rule.id.as_str());
    let stands = |remembered: &&Remembered| {
        let said = remembered
            .spec
            .evidence
            .iter()
            .filter_map(|evidence| Some(Said { field: &evidence.source.field, value: evidence.value.as_deref()? }));
        subject(remembered).is_some_and(|subject| may_still_hold(graph, &subject, said, as_of))
    };
    earlier
        .iter()
        .filter(|(_, remembered)| remembered.spec.state != FindingState::Resolved)
        .filter(|(name, remembered)| undetermined.contains(*name) || (ages(remembered) && stands(remembered)))
        .map(|(name, remembered)| (name.clone(), remembered.clone()))
        .collect()
}

/// A finding holds the parts of its subject's identity.
fn subject(remembered: &Remembered) -> Option<NodeId> {
    let subject = &remembered.spec.subject;
    let kind = NodeKind::ALL.iter().find(|kind| kind.as_str() == subject.kind)?;
    Some(NodeId::new(&subject.system, &subject.tenant, *kind, &subject.id))
}

/// Takes back that findings of `standing` were resolved: they stay as they were.
pub fn restore(merged: &mut Merged, standing: BTreeMap<String, Remembered>) {
    for (name, remembered) in standing {
        let resolved = |held: &Held| held.basis == Basis::Gone;
        if merged.held.get(&name).is_some_and(resolved) {
            merged.held.insert(name, Held { remembered, basis: Basis::Unseen, full: None });
        }
    }
}
