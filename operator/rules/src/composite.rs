//! Which findings are parts of another: takes nothing, gives one table. A composite says in one sentence what its parts
//! say one signal at a time; where it stands, the parts are told inside it and not beside it.

/// A rule whose finding contains those of other rules about the same subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composite {
    /// The rule.
    pub rule: &'static str,
    /// The rules whose findings are its parts.
    pub parts: &'static [&'static str],
}

/// Every composite, in the order of ids. No rule is a part of two, and no composite a part of another.
pub const COMPOSITES: &[Composite] = &[
    // Privileged, seldom used, and weak: these two say what is weak.
    Composite { rule: "CRED-001", parts: &["CRED-002", "CRED-003"] },
];

/// The composite that contains the findings of `rule`.
pub fn composite_of(rule: &str) -> Option<&'static Composite> {
    COMPOSITES.iter().find(|composite| composite.parts.contains(&rule))
}

/// The table as one line: part of what names the rules.
pub(crate) fn line() -> String {
    let lines: Vec<String> = COMPOSITES.iter().map(|one| format!("{}={}", one.rule, one.parts.join("+"))).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue;

    #[test]
    fn the_table_names_rules_that_exist_and_nests_nothing() {
        let rules: BTreeSet<&str> = catalogue().map(|meta| meta.id).collect();
        let mut parts = BTreeSet::new();
        for composite in COMPOSITES {
            assert!(rules.contains(composite.rule), "{}", composite.rule);
            assert!(composite_of(composite.rule).is_none(), "{} is itself a part", composite.rule);
            for part in composite.parts {
                assert!(rules.contains(part), "{part}");
                assert!(parts.insert(part), "{part} is a part of two");
            }
        }
    }
}
