//! What tells one credential, and one trust, from another: takes those of one side of a comparison, finds each of the other
//! side among them. One look-up each: a hostile snapshot may have any number of both.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::Trust;

/// Credentials of one side, by what they are known by; each with the position of the first such one.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    by_thumbprint: BTreeMap<String, usize>,
    by_id: BTreeMap<&'a str, usize>,
    /// Those without a thumbprint.
    bare: BTreeMap<&'a str, usize>,
}

impl<'a> Keys<'a> {
    /// Of (thumbprint, key id).
    pub(super) fn of(all: impl Iterator<Item = (Option<&'a str>, &'a str)>) -> Self {
        let mut keys = Self::default();
        for (at, (thumbprint, id)) in all.enumerate() {
            keys.by_id.entry(id).or_insert(at);
            match thumbprint {
                Some(thumbprint) => keys.by_thumbprint.entry(thumbprint.to_ascii_lowercase()).or_insert(at),
                None => keys.bare.entry(id).or_insert(at),
            };
        }
        keys
    }

    /// The first one that is the same credential: by thumbprint where both have one, since a key id can be chosen.
    pub(super) fn find(&self, thumbprint: Option<&str>, id: &str) -> Option<usize> {
        match thumbprint {
            Some(thumbprint) => {
                let same = self.by_thumbprint.get(&thumbprint.to_ascii_lowercase());
                same.into_iter().chain(self.bare.get(id)).min().copied()
            }
            None => self.by_id.get(id).copied(),
        }
    }
}

/// Trusts of one side.
#[derive(Debug, Default)]
pub(super) struct Trusts<'a> {
    /// Issuer, subject, expression.
    admitted: BTreeSet<[Option<&'a str>; 3]>,
    /// Id, issuer, subject.
    objects: BTreeSet<[Option<&'a str>; 3]>,
    /// The same of those whose expression was not read.
    unread: BTreeSet<[Option<&'a str>; 3]>,
}

impl<'a> Trusts<'a> {
    pub(super) fn of(all: &'a [Trust]) -> Self {
        let mut trusts = Self::default();
        for trust in all {
            trusts.admitted.insert(trust.admits());
            trusts.objects.insert(trust.object());
            if trust.expression.is_none() {
                trusts.unread.insert(trust.object());
            }
        }
        trusts
    }

    /// Whether one of them admits the same workload. Its id alone would hide that somebody changed whom it admits; of one
    /// and the same object an expression that was read on one side only is no change.
    pub(super) fn has(&self, trust: &Trust) -> bool {
        let object = if trust.expression.is_none() { &self.objects } else { &self.unread };
        self.admitted.contains(&trust.admits()) || object.contains(&trust.object())
    }
}

impl Trust {
    fn admits(&self) -> [Option<&str>; 3] {
        [self.issuer.as_deref(), self.subject.as_deref(), self.expression.as_deref()]
    }

    fn object(&self) -> [Option<&str>; 3] {
        [Some(self.id.as_str()), self.issuer.as_deref(), self.subject.as_deref()]
    }
}
