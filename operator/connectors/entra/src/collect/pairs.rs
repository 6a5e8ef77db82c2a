//! Pairs of GUIDs, by the hundred thousand: which service principals an application id has, who holds which key. Held
//! as numbers, sorted once and searched. Pure.

use sv0_connector::text;

/// The pairs.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(u128, u128)>);

impl Pairs {
    /// One more. What is no GUID is not kept.
    pub(crate) fn add(&mut self, first: &str, second: &str) {
        self.0.extend(text::guid_bits(first).zip(text::guid_bits(second)));
    }

    /// Those of another set too.
    pub(crate) fn take(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// Makes the pairs searchable.
    pub(crate) fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    /// The second halves of the pairs that begin with `first`.
    pub(crate) fn of(&self, first: u128) -> impl Iterator<Item = u128> {
        let start = self.0.partition_point(|pair| pair.0 < first);
        self.0[start..].iter().take_while(move |pair| pair.0 == first).map(|pair| pair.1)
    }

    /// Whether there is such a pair.
    pub(crate) fn has(&self, first: u128, second: u128) -> bool {
        self.0.binary_search(&(first, second)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> String {
        format!("{n:08x}-0000-4000-8000-000000000000")
    }

    fn bits(n: u32) -> u128 {
        text::guid_bits(&id(n)).unwrap()
    }

    #[test]
    fn pairs_are_found_by_their_first_half() {
        let (mut pairs, mut more) = (Pairs::default(), Pairs::default());
        for (first, second) in [(2, 9), (1, 8), (2, 7), (2, 9)] {
            pairs.add(&id(first), &id(second));
        }
        more.add(&id(3), &id(6));
        more.add("no guid", &id(6));
        pairs.take(&mut more);
        pairs.settle();
        assert_eq!(pairs.of(bits(2)).collect::<Vec<_>>(), [bits(7), bits(9)]);
        assert_eq!(pairs.of(bits(4)).count(), 0);
        assert!(pairs.has(bits(3), bits(6)) && !pairs.has(bits(6), bits(3)));
    }
}
