//! What was seen of each collection before, and whether the present view of it may resolve anything.
//!
//! Takes one snapshot's coverage and the memory that the previous evaluation left; gives the set of collections that
//! are settled (complete, and not suddenly smaller) and the memory for the next evaluation. Pure: no clock, no I/O.
//!
//! A collection that shrank by more than a fifth may have been cut by the source system without a word. Such a view
//! resolves nothing until a later scan, complete again, sees about the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sv0_graph::{Coverage, CoverageState, Graph};
use sv0_rules::{Doubts, Memory};

use crate::ledger::RememberedInstance;

/// A collection is "smaller" below this share of its last settled size, in percent.
const SHRUNK_BELOW_PERCENT: u128 = 80;

/// Items that one complete read of a collection counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Rows over all scopes.
    pub items: u64,
    /// The snapshot that counted them (ids sort by time).
    pub snapshot: String,
}

/// What is remembered of one collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionMemory {
    /// The last complete read that was believed.
    pub settled: Seen,
    /// A complete read that was much smaller, waiting for a second one to confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Seen>,
}

/// What is remembered of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceMemory {
    /// The newest snapshot that was evaluated.
    pub snapshot: String,
    /// By collection name.
    pub collections: BTreeMap<String, CollectionMemory>,
}

/// The result of looking at one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Collections over which the absence of a finding means that its condition is gone.
    pub settled: BTreeSet<String>,
    /// Collections that are complete but much smaller than before, and not confirmed yet.
    pub shrunk: BTreeSet<String>,
    /// The memory for the next evaluation.
    pub memory: InstanceMemory,
}

/// Judges `coverage` of snapshot `snapshot` against what is remembered.
///
/// A snapshot older than the newest evaluated one (the last good one behind a damaged one) settles nothing and
/// changes no memory: time does not run backwards.
pub fn observe(snapshot: &str, coverage: &[Coverage], before: Option<&InstanceMemory>) -> View {
    let mut view = View { memory: before.cloned().unwrap_or_default(), ..View::default() };
    if snapshot < view.memory.snapshot.as_str() {
        return view;
    }
    snapshot.clone_into(&mut view.memory.snapshot);
    for (collection, items) in complete_collections(coverage) {
        let now = Seen { items, snapshot: snapshot.to_owned() };
        let (memory, settled) = step(view.memory.collections.remove(collection), now);
        view.memory.collections.insert(collection.to_owned(), memory);
        let set = if settled { &mut view.settled } else { &mut view.shrunk };
        set.insert(collection.to_owned());
    }
    view
}

/// What is remembered of use, with what `graph` shows of it. Takes it out of what is remembered of the instances; that of
/// one that was not read stays as it was.
pub fn remember(
    graph: &Graph,
    remembered: &mut BTreeMap<String, RememberedInstance>,
    views: &BTreeMap<String, View>,
) -> Memory {
    let before = remembered.iter_mut().filter_map(|(uid, instance)| Some((uid.clone(), instance.activity.take()?)));
    let before: Memory = before.collect();
    let mut doubts = Doubts::default();
    for (uid, view) in views {
        doubts.shrunk.extend(view.shrunk.iter().map(|collection| (uid.clone(), collection.clone())));
    }
    for instance in graph.instances() {
        let header = &instance.header;
        let newest = views.get(&header.instance_uid).map(|view| &view.memory.snapshot);
        if newest.is_some_and(|newest| header.scan_id < *newest) {
            doubts.older.insert(header.instance_uid.clone());
        }
    }
    sv0_rules::remember(graph, before, &doubts)
}

/// Collections all of whose scopes are complete, with their items.
fn complete_collections(coverage: &[Coverage]) -> BTreeMap<&str, u64> {
    let mut items: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for row in coverage {
        let sum = items.entry(row.collection.as_str()).or_insert(Some(0));
        *sum = match (row.state, *sum) {
            (CoverageState::Complete, Some(sum)) => Some(sum.saturating_add(row.items)),
            _ => None,
        };
    }
    items.into_iter().filter_map(|(collection, items)| Some((collection, items?))).collect()
}

/// One collection's next memory, and whether this read is settled.
fn step(before: Option<CollectionMemory>, now: Seen) -> (CollectionMemory, bool) {
    let Some(before) = before else { return (CollectionMemory { settled: now, pending: None }, true) };
    if before.settled.snapshot == now.snapshot {
        return (before, true);
    }
    if before.pending.as_ref().is_some_and(|pending| pending.snapshot == now.snapshot) {
        return (before, false);
    }
    let confirmed = before.pending.as_ref().is_some_and(|pending| !is_shrunk(pending.items, now.items));
    if confirmed || !is_shrunk(before.settled.items, now.items) {
        (CollectionMemory { settled: now, pending: None }, true)
    } else {
        (CollectionMemory { settled: before.settled, pending: Some(now) }, false)
    }
}

fn is_shrunk(before: u64, now: u64) -> bool {
    u128::from(now) * 100 < u128::from(before) * SHRUNK_BELOW_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(collection: &str, scope: &str, state: CoverageState, items: u64) -> Coverage {
        Coverage {
            collection: collection.into(),
            scope: scope.into(),
            state,
            reason: None,
            permission: None,
            pages: 1,
            items,
        }
    }

    /// Feeds reads of one complete collection, each a snapshot of its own; says for each whether it was settled.
    fn settled(reads: &[(&str, u64)]) -> Vec<bool> {
        let mut memory = None;
        reads
            .iter()
            .map(|(snapshot, items)| {
                let view =
                    observe(snapshot, &[row("apps", "tenant", CoverageState::Complete, *items)], memory.as_ref());
                memory = Some(view.memory);
                view.settled.contains("apps")
            })
            .collect()
    }

    #[test]
    fn a_small_loss_is_believed_and_a_large_one_only_when_a_second_scan_agrees() {
        assert_eq!(settled(&[("1", 100), ("2", 80)]), [true, true]);
        assert_eq!(settled(&[("1", 100), ("2", 79)]), [true, false]);
        assert_eq!(settled(&[("1", 100), ("2", 50), ("3", 50)]), [true, false, true]);
        assert_eq!(settled(&[("1", 100), ("2", 50), ("3", 41)]), [true, false, true]);
        assert_eq!(settled(&[("1", 100), ("2", 0), ("3", 0)]), [true, false, true]);
    }

    #[test]
    fn looking_twice_at_the_same_snapshot_confirms_nothing() {
        assert_eq!(settled(&[("1", 100), ("2", 50), ("2", 50), ("2", 50)]), [true, false, false, false]);
        assert_eq!(settled(&[("1", 100), ("1", 100)]), [true, true]);
    }

    #[test]
    fn a_second_loss_on_top_of_an_unconfirmed_one_starts_again() {
        assert_eq!(settled(&[("1", 100), ("2", 50), ("3", 10), ("4", 10)]), [true, false, false, true]);
    }

    #[test]
    fn a_recovered_collection_forgets_the_loss() {
        assert_eq!(settled(&[("1", 100), ("2", 50), ("3", 100), ("4", 50)]), [true, false, true, false]);
    }

    #[test]
    fn one_incomplete_scope_unsettles_the_collection_and_keeps_its_memory() {
        let first = observe("1", &[row("apps", "a", CoverageState::Complete, 10)], None);
        for state in [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped] {
            let rows = [row("apps", "a", CoverageState::Complete, 10), row("apps", "b", state, 0)];
            let second = observe("2", &rows, Some(&first.memory));
            assert!(second.settled.is_empty() && second.shrunk.is_empty(), "{state:?}");
            assert_eq!(second.memory.collections, first.memory.collections, "{state:?}");
        }
    }

    #[test]
    fn an_older_snapshot_settles_nothing() {
        let newer = observe("2", &[row("apps", "a", CoverageState::Complete, 10)], None);
        let older = observe("1", &[row("apps", "a", CoverageState::Complete, 10)], Some(&newer.memory));
        assert!(older.settled.is_empty());
        assert_eq!(older.memory, newer.memory);
    }
}
