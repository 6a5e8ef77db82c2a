//! Entra's language for flexible federated credentials: takes an expression, gives its clauses or nothing.
//!
//! `claims['<name>'] eq '<text>'` and `claims['<name>'] matches '<pattern>'`, joined by ` and `. In a pattern `*` is any
//! text and `?` one character. One space stands around an operator. How a quote is written inside a text is not
//! documented, so that such a text, like anything else that is not in this grammar, is not understood: never guessed.

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause<'a> {
    /// Name of the claim.
    pub(crate) claim: &'a str,
    /// What it is compared with.
    pub(crate) text: &'a str,
    /// Whether `*` and `?` in `text` are wildcards.
    pub(crate) pattern: bool,
}

impl<'a> Clause<'a> {
    /// The part of the text that every match begins with, and whether a wildcard follows.
    pub(crate) fn prefix(&self) -> (&'a str, bool) {
        let wild = if self.pattern { self.text.find(['*', '?']) } else { None };
        wild.map_or((self.text, false), |at| (&self.text[..at], true))
    }
}

/// The clauses of `expression`, in its order. None when it is not in the language.
pub(crate) fn parse(expression: &str) -> Option<Vec<Clause<'_>>> {
    let mut clauses = Vec::new();
    let mut rest = expression;
    loop {
        let (clause, after) = clause(rest)?;
        clauses.push(clause);
        if after.is_empty() {
            return Some(clauses);
        }
        rest = after.strip_prefix(" and ")?;
    }
}

fn clause(text: &str) -> Option<(Clause<'_>, &str)> {
    let (claim, rest) = text.strip_prefix("claims['")?.split_once("']")?;
    let named = !claim.is_empty() && claim.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:/".contains(c));
    let (pattern, rest) = match rest.strip_prefix(" eq '") {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix(" matches '")?),
    };
    let (text, rest) = rest.split_once('\'')?;
    (named && !text.is_empty()).then_some((Clause { claim, text, pattern }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_documented_examples() {
        let one = parse("claims['sub'] matches 'repo:contoso/contoso-repo-*:ref:refs/heads/????'").unwrap();
        let expected = Clause { claim: "sub", text: "repo:contoso/contoso-repo-*:ref:refs/heads/????", pattern: true };
        assert_eq!(one, [expected]);
        assert_eq!(one[0].prefix(), ("repo:contoso/contoso-repo-", true));
        let two = parse(
            "claims['sub'] eq 'repo:contoso/contoso-repo:ref:refs/heads/main' and \
             claims['job_workflow_ref'] matches 'foo-org/bar-repo/.github/workflows/*@refs/heads/main'",
        )
        .unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!((two[0].claim, two[0].pattern), ("sub", false));
        assert_eq!(two[1].prefix(), ("foo-org/bar-repo/.github/workflows/", true));
    }

    #[test]
    fn wildcards_are_text_after_eq() {
        let exact = parse("claims['sub'] eq 'repo:contoso/*'").unwrap();
        assert_eq!(exact[0].prefix(), ("repo:contoso/*", false));
    }

    #[rstest]
    #[case::empty("")]
    #[case::or("claims['sub'] eq 'a' or claims['sub'] eq 'b'")]
    #[case::not("not claims['sub'] eq 'a'")]
    #[case::other_operator("claims['sub'] startswith 'a'")]
    #[case::no_operator("claims['sub']")]
    #[case::no_claim("claims[''] eq 'a'")]
    #[case::odd_claim("claims['a b'] eq 'a'")]
    #[case::no_quote("claims['sub'] eq a")]
    #[case::open_quote("claims['sub'] eq 'a")]
    #[case::quote_inside("claims['sub'] eq 'it''s'")]
    #[case::escaped_quote(r"claims['sub'] eq 'it\'s'")]
    #[case::empty_text("claims['sub'] matches ''")]
    #[case::two_spaces("claims['sub']  eq 'a'")]
    #[case::trailing("claims['sub'] eq 'a' ")]
    #[case::dangling("claims['sub'] eq 'a' and ")]
    #[case::brackets("(claims['sub'] eq 'a')")]
    #[case::typographic_quotes("claims[‘sub’] matches ‘a’")]
    fn anything_else_is_not_understood(#[case] expression: &str) {
        assert_eq!(parse(expression), None);
    }
}
