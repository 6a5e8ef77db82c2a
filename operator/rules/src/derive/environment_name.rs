//! `environment-name`: which environment a name says that something belongs to, by a pattern that the customer declared.
//!
//! Gives no step of authority but a word, for which [`crate::environment`] asks where no nearer declaration names the place.

use super::Derivation;

pub(crate) const ENVIRONMENT_NAME: Derivation = Derivation {
    id: "environment-name",
    version: 1,
    needs: &["servicePrincipals", "applications"],
    gives: "What is named as the customer declared it for an environment belongs to that environment.",
    trap: "A name that is only like one (`my-dev-robot`) says nothing: the pattern is about all of it.",
    derive: None,
};

/// Whether a name follows a pattern, in which `*` stands for any text. Compared as it is written.
pub(crate) fn follows(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::follows;

    #[rstest]
    #[case("dev-*", "dev-", true)]
    #[case("dev-*", "dev", false)]
    #[case("*-dev", "a-dev", true)]
    #[case("*-dev", "a-dev-b", false)]
    #[case("a*b*c", "a1b2c", true)]
    #[case("a*b*c", "a1c2b", false)]
    #[case("ab*ab", "ab", false)]
    #[case("exact", "exact", true)]
    #[case("exact", "exactly", false)]
    #[case("", "x", false)]
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] follows_it: bool) {
        assert_eq!(follows(pattern, name), follows_it);
    }
}
