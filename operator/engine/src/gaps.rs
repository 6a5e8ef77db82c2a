//! What an evaluation could not rely on: takes coverage, quarantine and memory, gives one sorted list. Pure.

use std::collections::BTreeMap;

use sv0_graph::{CoverageState, Graph};

use crate::baseline::Trouble;
use crate::evaluate::InputNote;
use crate::history::View;
use crate::ledger::RememberedInstance;

/// Why something cannot be relied on, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapState {
    /// The instance has no usable snapshot.
    Missing,
    /// The newest snapshot was set aside.
    Quarantined,
    /// The instance spoke of objects outside its own tenant; these were dropped.
    Foreign,
    /// The source system refused.
    Denied,
    /// Only part of it was seen.
    Partial,
    /// The source system's limits cut it off.
    Throttled,
    /// Complete, but much smaller than before, and not yet confirmed by a second scan.
    Shrunk,
    /// There is no baseline to compare it with.
    Baseline,
    /// Not asked for.
    Skipped,
}

impl GapState {
    /// The word, as it stands in the Estate's status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Quarantined => "quarantined",
            Self::Foreign => "foreign",
            Self::Denied => "denied",
            Self::Partial => "partial",
            Self::Throttled => "throttled",
            Self::Shrunk => "shrunk",
            Self::Baseline => "baseline",
            Self::Skipped => "skipped",
        }
    }

    const fn of(state: CoverageState) -> Option<Self> {
        match state {
            CoverageState::Complete => None,
            CoverageState::Partial => Some(Self::Partial),
            CoverageState::Denied => Some(Self::Denied),
            CoverageState::Throttled => Some(Self::Throttled),
            CoverageState::Skipped => Some(Self::Skipped),
        }
    }
}

/// One gap. The order of the fields is the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// What kind of gap.
    pub state: GapState,
    /// Name of the instance, or its UID when no name was ever seen.
    pub instance: String,
    /// The collection; empty when all of the instance is concerned.
    pub collection: String,
    /// Why: a word of ours.
    pub reason: Option<String>,
    /// The permission that would close the gap.
    pub permission: Option<String>,
}

/// What an evaluation saw, as far as gaps follow from it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The ordered snapshots.
    pub notes: &'a [InputNote],
    /// Collections, by instance UID.
    pub views: &'a BTreeMap<String, View>,
    /// UIDs of instances without a usable snapshot.
    pub waiting: &'a [String],
    /// What is not compared with a baseline: instance UID, collection or nothing, why.
    pub troubles: &'a [(String, String, Trouble)],
}

/// The sorted list, without duplicates.
pub fn gaps(graph: &Graph, seen: &Seen<'_>, remembered: &BTreeMap<String, RememberedInstance>) -> Vec<Gap> {
    let Seen { notes, views, waiting, troubles } = *seen;
    let whole = |state, instance: &str, reason: Option<&str>| Gap {
        state,
        instance: instance.to_owned(),
        collection: String::new(),
        reason: reason.map(str::to_owned),
        permission: None,
    };
    let name = |uid: &String| remembered.get(uid).map_or_else(|| uid.clone(), |instance| instance.name.clone());
    let mut all: Vec<Gap> = waiting.iter().map(|uid| whole(GapState::Missing, &name(uid), None)).collect();
    for note in notes {
        if note.quarantined.is_some() {
            let state = if note.used.is_some() { GapState::Quarantined } else { GapState::Missing };
            all.push(whole(state, &note.instance, note.quarantined));
        }
        for collection in views.get(&note.instance_uid).into_iter().flat_map(|view| &view.shrunk) {
            let reason = Some("ShrunkUnconfirmed");
            all.push(Gap { collection: collection.clone(), ..whole(GapState::Shrunk, &note.instance, reason) });
        }
    }
    for (uid, collection, trouble) in troubles {
        let Some(note) = notes.iter().find(|note| note.instance_uid == *uid) else { continue };
        let reason = Some(trouble.as_str());
        all.push(Gap { collection: collection.clone(), ..whole(GapState::Baseline, &note.instance, reason) });
    }
    for instance in graph.instances() {
        let header = &instance.header;
        if instance.foreign_assertions > 0 {
            all.push(whole(GapState::Foreign, &header.instance, Some("ForeignAssertion")));
        }
        for row in &header.coverage {
            let Some(state) = GapState::of(row.state) else { continue };
            all.push(Gap {
                collection: row.collection.clone(),
                permission: row.permission.clone(),
                ..whole(state, &header.instance, row.reason.as_deref())
            });
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}
