//! The life of a finding: takes what fired now and what is remembered, gives what holds from now on.
//!
//! A finding that no longer fires is `Resolved` only when every collection it rests on is settled, that is complete
//! and not suddenly smaller, and was read at no lower collection revision than before. Otherwise it stays exactly as it was: a scan that saw less proves nothing. Findings of a
//! removed instance, and of a rule that this version no longer has, leave without a claim that anything was mended.
//! Pure: no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sv0_api::{FindingSpec, FindingState};
use sv0_rules::RuleFinding;

use crate::aged;
use crate::ledger::{Dependency, Remembered};

/// A finding as the rules gave it, converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Object name.
    pub name: String,
    /// State and times are set here, by [`merge`]; the content digest is set already.
    pub spec: FindingSpec,
    /// What its absence would have to rest on; revisions are set by [`merge`].
    pub depends_on: Vec<Dependency>,
    /// Name of the finding about what it holds through.
    pub through: Option<String>,
    /// Of a composite, the names of the findings that it tells.
    pub tells: BTreeSet<String>,
    /// The finding with all its evidence, for the pack.
    pub full: Option<Box<RuleFinding>>,
}

/// What the merge has to know besides the findings.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The instant that stands for "now", in whole seconds.
    pub as_of: Timestamp,
    /// UIDs of the instances that exist, with or without a usable snapshot.
    pub live: &'a BTreeSet<String>,
    /// By instance UID, the settled collections.
    pub settled: &'a BTreeMap<String, BTreeSet<String>>,
    /// By instance UID, the collection revision of the snapshot that is evaluated.
    pub revisions: &'a BTreeMap<String, u32>,
    /// Ids of this version's rules with their major versions.
    pub rules: &'a BTreeMap<String, String>,
    /// How long a resolved finding stays, counted from its `resolvedAt`.
    pub retention: SignedDuration,
}

impl Situation<'_> {
    fn revision(&self, instance_uid: &str) -> u32 {
        self.revisions.get(instance_uid).copied().unwrap_or_default()
    }

    /// Whether the collection was seen well enough, and no less of its objects than when the finding last fired.
    fn settles(&self, dependency: &Dependency) -> bool {
        let names = self.settled.get(&dependency.instance_uid);
        names.is_some_and(|names| names.contains(&dependency.collection))
            && self.revision(&dependency.instance_uid) >= dependency.revision
    }
}

/// Why a finding holds the state that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// It fires now.
    Fires,
    /// It does not fire, and what it rests on was not seen well enough to say that it is gone.
    Unseen,
    /// It was proven gone, now or earlier.
    Gone,
}

impl Basis {
    /// The word, as it stands in packs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fires => "fires",
            Self::Unseen => "unseen",
            Self::Gone => "gone",
        }
    }
}

/// Why a finding leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removal {
    /// An instance that it rests on does not exist any more.
    SourceRemoved,
    /// This version has no such rule, or another major version of it.
    RuleRetired,
    /// It was resolved long enough ago.
    RetentionOver,
    /// More are resolved than are kept, and all the others were resolved later.
    TooManyResolved,
}

impl Removal {
    /// The word, as it stands in packs and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceRemoved => "SourceRemoved",
            Self::RuleRetired => "RuleRetired",
            Self::RetentionOver => "RetentionOver",
            Self::TooManyResolved => "TooManyResolved",
        }
    }
}

/// A finding that holds from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What goes into the ledger.
    pub remembered: Remembered,
    /// Why.
    pub basis: Basis,
    /// With all its evidence, when it fires now.
    pub full: Option<Box<RuleFinding>>,
}

/// What holds and what leaves, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// What holds.
    pub held: BTreeMap<String, Held>,
    /// What leaves, and why.
    pub removed: BTreeMap<String, Removal>,
}

/// Brings together what fired and what is remembered.
pub fn merge(drafts: Vec<Draft>, mut before: BTreeMap<String, Remembered>, now: &Situation<'_>) -> Merged {
    let mut merged = Merged::default();
    for draft in drafts {
        let earlier = before.remove(&draft.name);
        merged.held.insert(draft.name.clone(), firing(draft, earlier, now));
    }
    for (name, earlier) in before {
        match absent(earlier, now) {
            Ok(held) => {
                merged.held.insert(name, held);
            }
            Err(removal) => {
                merged.removed.insert(name, removal);
            }
        }
    }
    merged
}

/// Lets go the findings that were resolved first, when more are resolved than are kept: whoever can make findings and take
/// them back must not fill the memory. Comes after [`crate::aged::restore`], which takes back that some are.
pub fn let_go(merged: &mut Merged, most: usize) {
    let resolved = |held: &Held| held.remembered.spec.resolved_at.as_ref().map(|at| at.0);
    let mut gone: Vec<(Timestamp, String)> =
        merged.held.iter().filter_map(|(name, held)| Some((resolved(held)?, name.clone()))).collect();
    let surplus = gone.len().saturating_sub(most);
    gone.sort_unstable();
    for (_, name) in gone.into_iter().take(surplus) {
        merged.held.remove(&name);
        merged.removed.insert(name, Removal::TooManyResolved);
    }
}

/// A finding that fires is open. It keeps the day on which it was first seen, also when it had been resolved for a
/// while; only what a vanished instance had seen is not inherited by another one.
fn firing(draft: Draft, earlier: Option<Remembered>, now: &Situation<'_>) -> Held {
    let Draft { mut spec, mut depends_on, through, tells, full, .. } = draft;
    for dependency in &mut depends_on {
        dependency.revision = now.revision(&dependency.instance_uid);
    }
    let earlier = earlier.filter(|earlier| {
        let uid = &earlier.spec.subject.instance_uid;
        *uid == spec.subject.instance_uid || now.live.contains(uid)
    });
    spec.state = FindingState::Open;
    spec.resolved_at = None;
    spec.first_observed = earlier.map_or(Time(now.as_of), |earlier| earlier.spec.first_observed);
    let (credentials, more_credentials) = full.as_deref().map(aged::to_remember).unwrap_or_default();
    let remembered = Remembered { depends_on, through, tells, credentials, more_credentials, spec };
    Held { remembered, basis: Basis::Fires, full }
}

/// A remembered finding that does not fire.
fn absent(mut earlier: Remembered, now: &Situation<'_>) -> Result<Held, Removal> {
    let rests_on = earlier.depends_on.iter().map(|dependency| &dependency.instance_uid);
    if !rests_on.chain([&earlier.spec.subject.instance_uid]).all(|uid| now.live.contains(uid)) {
        return Err(Removal::SourceRemoved);
    }
    let rule = &earlier.spec.rule;
    if now.rules.get(&rule.id).is_none_or(|major| major != major_version(&rule.version)) {
        return Err(Removal::RuleRetired);
    }
    if let Some(Time(resolved_at)) = earlier.spec.resolved_at {
        return if retention_ends(resolved_at, now.retention) <= now.as_of {
            Err(Removal::RetentionOver)
        } else {
            Ok(Held { remembered: earlier, basis: Basis::Gone, full: None })
        };
    }
    // A finding that names nothing it rests on can never be proven gone.
    if earlier.depends_on.is_empty() || !earlier.depends_on.iter().all(|dependency| now.settles(dependency)) {
        return Ok(Held { remembered: earlier, basis: Basis::Unseen, full: None });
    }
    earlier.spec.state = FindingState::Resolved;
    earlier.spec.resolved_at = Some(Time(now.as_of));
    Ok(Held { remembered: earlier, basis: Basis::Gone, full: None })
}

/// When a finding that was resolved at `resolved_at` leaves.
pub fn retention_ends(resolved_at: Timestamp, retention: SignedDuration) -> Timestamp {
    resolved_at.checked_add(retention).unwrap_or(Timestamp::MAX)
}

/// The part of a version before the first dot: what the name of a finding depends on.
pub fn major_version(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
