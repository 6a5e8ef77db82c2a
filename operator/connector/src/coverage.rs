//! The account of one collection while it is read: what came, and the first thing that went wrong.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use sv0_graph::{Coverage, CoverageState};

use crate::{Failure, text};

/// The account. Complete until something is reported.
#[derive(Debug, Default)]
pub struct Tally {
    pages: u64,
    /// Ids, as numbers: there are hundreds of thousands of them.
    seen: HashSet<u128>,
    keys: [RandomState; 2],
    flaw: Option<Failure>,
}

impl Tally {
    /// A page was read.
    pub fn page(&mut self) {
        self.pages += 1;
    }

    /// An item was read. Pages may repeat items: each id counts once. `false` when it was there already.
    pub fn item(&mut self, id: &str) -> bool {
        self.seen.insert(self.number(id))
    }

    /// Whether an item was read.
    pub fn has(&self, id: &str) -> bool {
        self.seen.contains(&self.number(id))
    }

    /// A GUID is its own number; any other id is hashed under keys that the source system cannot know.
    fn number(&self, id: &str) -> u128 {
        text::guid_bits(id).unwrap_or_else(|| {
            let [high, low] = [0, 1].map(|i| u128::from(self.keys[i].hash_one(id)));
            high << 64 | low
        })
    }

    /// How many different items were read.
    pub fn items(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Pages read.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Something went wrong; the first report stays.
    pub fn report(&mut self, failure: impl Into<Failure>) {
        if self.flaw.is_none() {
            self.flaw = Some(failure.into());
        }
    }

    /// What went wrong first.
    pub fn flaw(&self) -> Option<&Failure> {
        self.flaw.as_ref()
    }

    /// Whether nothing went wrong so far.
    pub fn is_complete(&self) -> bool {
        self.flaw.is_none()
    }

    /// The record for the snapshot. A collection that gave something is never `denied` or `skipped` as a whole.
    pub fn coverage(&self, collection: &str) -> Coverage {
        let state = match &self.flaw {
            None => CoverageState::Complete,
            Some(flaw) => match flaw.cause.coverage_state() {
                CoverageState::Denied | CoverageState::Skipped if self.items() > 0 => CoverageState::Partial,
                state => state,
            },
        };
        Coverage {
            collection: collection.to_owned(),
            scope: "tenant".to_owned(),
            state,
            reason: self.flaw.as_ref().map(|flaw| flaw.cause.as_str().to_owned()),
            permission: self.flaw.as_ref().and_then(|flaw| flaw.permission.clone()),
            pages: self.pages,
            items: self.items(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Cause;

    #[rstest]
    #[case(Cause::PermissionMissing, false, CoverageState::Denied)]
    #[case(Cause::PermissionMissing, true, CoverageState::Partial)]
    #[case(Cause::RateLimited, true, CoverageState::Throttled)]
    #[case(Cause::CollectionNotAccepted, false, CoverageState::Skipped)]
    #[case(Cause::ResponseMalformed, false, CoverageState::Partial)]
    fn the_first_flaw_decides(#[case] cause: Cause, #[case] something: bool, #[case] state: CoverageState) {
        let mut tally = Tally::default();
        assert_eq!(tally.coverage("things").state, CoverageState::Complete);
        if something {
            assert!(tally.item("a"));
            assert!(!tally.item("a"));
        }
        assert_eq!((tally.has("a"), tally.has("b")), (something, false));
        tally.report(cause.clone());
        tally.report(Cause::Internal);
        let coverage = tally.coverage("things");
        assert_eq!((coverage.state, coverage.reason.as_deref()), (state, Some(cause.as_str())));
        assert_eq!(coverage.items, u64::from(something));
    }
}
