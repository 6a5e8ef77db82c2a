//! Drift: what is said of an identity now and was not said of it in an accepted snapshot. The rules, one file each, in
//! one list.
//!
//! A drift rule sees both sides by the same rules and tables: the baseline is the old snapshot judged by this version
//! ([`Baseline::of`]), so that a new version of a rule or table is never a drift. Only what was read completely, by the
//! same calls, on both sides is compared; of everything else nothing is said.

mod baseline;
mod compare;
mod drift_001;
mod drift_002;
mod drift_003;
mod drift_005;
mod known;

use std::collections::BTreeSet;

pub use baseline::Baseline;
pub(crate) use baseline::UNLICENSED;
pub(crate) use compare::{Comparison, Comparisons};

use crate::identity::Identity;
use crate::rule::{Draft, Meta};
use baseline::Before;

/// Every drift rule, in the order of ids.
pub const DRIFT_RULES: &[DriftRule] = &[drift_001::RULE, drift_002::RULE, drift_003::RULE, drift_005::RULE];

/// A rule over two snapshots: its metadata and its predicate.
#[derive(Clone, Copy, Debug)]
pub struct DriftRule {
    /// What people and the catalogue know of it.
    pub meta: Meta,
    /// Whether and how one identity, as it was and as it is, drifted. The lane is not its business.
    pub(crate) check: fn(&Comparison<'_, '_>, &Before, &Identity<'_>) -> Option<Drift>,
}

/// What a drift predicate says when it applies.
#[derive(Clone, Debug)]
pub(crate) struct Drift {
    pub(crate) draft: Draft,
    /// The collections that were compared: as long as one of them is not comparable, nothing says that it is gone.
    pub(crate) compared: Vec<&'static str>,
}

/// Collections that some drift rule compares, sorted.
pub fn compared_collections() -> BTreeSet<&'static str> {
    DRIFT_RULES.iter().flat_map(|rule| rule.meta.requires.iter().copied()).collect()
}

/// What a drift finding rests on beside the present view of `collection`: that the baseline's can be compared with it.
/// No collection of a connector can have such a name.
pub fn baseline_dependency(collection: &str) -> String {
    format!("baseline#{collection}")
}
