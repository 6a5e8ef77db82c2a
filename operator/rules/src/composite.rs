//! Which findings are parts of another: takes the findings about one identity, gives which of them a composite tells, and how
//! severe a composite is. It says in one sentence what its parts say one signal at a time; where it stands, the parts are
//! told inside it and not beside it.
//!
//! Told is what its sentence says, of the very same credentials: a finding that has more to say stands for itself.

use std::collections::BTreeSet;

use sv0_graph::Tri;

use crate::finding::{Claim, RuleFinding, Severity};
use crate::identity::Identity;
use crate::rule::Context;
use crate::rules::cred_001_tells;
use crate::severity::{Exposure, Tier, severity};

/// Whether a composite that holds of an identity says all that another finding about it says.
type Tells = fn(&Context<'_>, &Identity<'_>, &RuleFinding) -> bool;

/// A rule whose finding contains those of other rules about the same subject.
#[derive(Clone, Copy, Debug)]
pub struct Composite {
    /// The rule.
    pub rule: &'static str,
    /// The rules whose findings can be its parts.
    pub parts: &'static [&'static str],
    /// How exposed the subject is by what its narrower claim still proves in full: what its parts say by themselves.
    pub proven: Exposure,
    tells: Tells,
}

/// Every composite, in the order of ids. No rule is a part of two, and no composite a part of another.
pub const COMPOSITES: &[Composite] = &[
    // Privileged, seldom used, and weak: two say what is weak, one that a credential is not used, one that the identity is not.
    // Without knowing its use it is as proven that the credential is weak.
    Composite {
        rule: "CRED-001",
        parts: &["CRED-002", "CRED-003", "CRED-004", "DORM-001"],
        proven: Exposure::X2,
        tells: cred_001_tells,
    },
];

/// The composite that can contain the findings of `rule`.
pub fn composite_of(rule: &str) -> Option<&'static Composite> {
    COMPOSITES.iter().find(|composite| composite.parts.contains(&rule))
}

/// The severity of a claim of `rule`: see [`severity()`]. A composite's narrower claim is at least as severe as what it
/// proves in full all the same, or its parts would be graver than it; and never more severe than its full claim, which is
/// at least as exposed.
pub fn severity_of(rule: &str, tier: Tier, exposure: Exposure, sensitive: Tri, claim: Claim) -> Severity {
    let own = severity(tier, exposure, sensitive, claim, Tri::False);
    match COMPOSITES.iter().find(|composite| composite.rule == rule) {
        Some(composite) if claim == Claim::Narrower => {
            let proven = exposure.max(composite.proven);
            own.max(severity(tier, proven, sensitive, Claim::Full, Tri::False))
        }
        _ => own,
    }
}

/// Writes into each composite among `found`, all about `identity`, the names of those that it tells.
pub(crate) fn tell(context: &Context<'_>, identity: &Identity<'_>, found: &mut [RuleFinding]) {
    for composite in COMPOSITES {
        let Some(at) = found.iter().position(|finding| finding.rule.id == composite.rule) else { continue };
        let parts = found.iter().filter(|finding| composite.parts.contains(&finding.rule.id.as_str()));
        let told = parts.filter(|part| (composite.tells)(context, identity, part));
        let told: BTreeSet<String> = told.map(|part| part.name.clone()).collect();
        if let Some(finding) = found.get_mut(at) {
            finding.tells = told;
        }
    }
}

/// The table as one line: part of what names the rules.
pub(crate) fn line() -> String {
    let line = |one: &Composite| format!("{}={}>={:?}", one.rule, one.parts.join("+"), one.proven);
    let lines: Vec<String> = COMPOSITES.iter().map(line).collect();
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

    /// Of each composite, whatever its rule makes of exposure: above its own narrower cell only as far as what it proves in full
    /// is, never above its full claim, and as monotone as the table.
    #[test]
    fn a_narrower_composite_is_as_severe_as_what_it_proves_and_no_more_than_its_full_claim() {
        let mut raised = 0;
        for (composite, tier) in COMPOSITES.iter().flat_map(|one| Tier::ALL.map(|tier| (one, tier))) {
            for (exposure, sensitive) in Exposure::ALL.into_iter().flat_map(|x| [(x, Tri::False), (x, Tri::True)]) {
                let of = |tier, claim| severity_of(composite.rule, tier, exposure, sensitive, claim);
                let (full, narrower) = (of(tier, Claim::Full), of(tier, Claim::Narrower));
                let table = |exposure, claim| severity(tier, exposure, sensitive, claim, Tri::False);
                assert_eq!(full, table(exposure, Claim::Full));
                assert!(narrower <= full && narrower >= table(exposure, Claim::Narrower), "{tier:?} {exposure:?}");
                assert!(narrower >= table(composite.proven, Claim::Full).min(full), "{tier:?} {exposure:?}");
                assert!(of(tier.stronger(), Claim::Narrower) >= narrower, "{tier:?} {exposure:?}");
                raised += usize::from(narrower > table(exposure, Claim::Narrower));
            }
        }
        assert!(raised > 0, "the table alone would do");
        let of_other = severity_of("CRED-002", Tier::P1, Exposure::X1, Tri::False, Claim::Narrower);
        assert_eq!(of_other, Severity::Medium);
    }
}
