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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Raw = (Option<u8>, Option<u8>, Option<u8>, Option<u8>);

    fn text(at: Option<u8>) -> Option<String> {
        at.map(|at| format!("t{at}"))
    }

    fn trust((id, issuer, subject, expression): Raw) -> Trust {
        let id = text(id).unwrap_or_default();
        Trust { id, issuer: text(issuer), subject: text(subject), expression: text(expression) }
    }

    /// Whether both admit the same workload, one compared with one.
    fn same(a: &Trust, b: &Trust) -> bool {
        let unread = a.id == b.id && (a.expression.is_none() || b.expression.is_none());
        a.issuer == b.issuer && a.subject == b.subject && (unread || a.expression == b.expression)
    }

    proptest! {
        #[test]
        fn looking_up_finds_what_comparing_each_finds(
            keys in prop::collection::vec((prop::option::of(0u8..4), 0u8..5, any::<bool>()), 0..8),
            key in (prop::option::of(0u8..4), 0u8..5),
            trusts in prop::collection::vec(any_trust(), 0..6),
            one in any_trust(),
        ) {
            // The vendor's thumbprints are in upper case, or not.
            let thumbprint = |at: Option<u8>, upper: bool| at.map(|at| if upper { format!("A{at}") } else { format!("a{at}") });
            let keys: Vec<(Option<String>, String)> =
                keys.into_iter().map(|(print, id, upper)| (thumbprint(print, upper), format!("k{id}"))).collect();
            let (print, id) = (thumbprint(key.0, true), format!("k{}", key.1));
            let is = |(then, at): &(Option<String>, String)| match (then, &print) {
                (Some(then), Some(now)) => then.eq_ignore_ascii_case(now),
                _ => *at == id,
            };
            let found = Keys::of(keys.iter().map(|(print, id)| (print.as_deref(), id.as_str())));
            prop_assert_eq!(found.find(print.as_deref(), &id), keys.iter().position(is));
            let (trusts, one): (Vec<Trust>, Trust) = (trusts.into_iter().map(trust).collect(), trust(one));
            prop_assert_eq!(Trusts::of(&trusts).has(&one), trusts.iter().any(|then| same(then, &one)));
        }
    }

    fn any_trust() -> impl Strategy<Value = Raw> {
        let part = || prop::option::of(0u8..2);
        (part(), part(), part(), part())
    }
}
