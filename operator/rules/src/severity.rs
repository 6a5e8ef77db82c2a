//! How severe: a table of privilege tier and exposure, and three modifiers. Not a score: each cell can be read.

use serde::{Deserialize, Serialize};
use sv0_graph::Tri;

use crate::finding::{Claim, Severity};

/// What the best proven authority amounts to. Ordered: the strongest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Can take the whole tenant.
    P0,
    /// Administers a part of it, reads secrets, or can act as another identity.
    P1,
    /// Writes bounded data.
    P2,
    /// Reads.
    P3,
    /// Nothing proven.
    P4,
}

impl Tier {
    /// Every tier, strongest first.
    pub const ALL: [Self; 5] = [Self::P0, Self::P1, Self::P2, Self::P3, Self::P4];

    /// What it means, to end a sentence with.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::P0 => "can take over the whole tenant",
            Self::P1 => "administers part of the tenant or can act as others",
            Self::P2 => "can change data",
            Self::P3 => "can read data",
            Self::P4 => "has no proven authority",
        }
    }

    /// The tier one row up in the table; the strongest stays.
    #[must_use]
    pub const fn stronger(self) -> Self {
        match self {
            Self::P0 | Self::P1 => Self::P0,
            Self::P2 => Self::P1,
            Self::P3 => Self::P2,
            Self::P4 => Self::P3,
        }
    }
}

/// How exposed, by the rule. Ordered: the most exposed is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Exposure {
    /// An ungoverned or outside party can reach it now.
    X0,
    /// Active and ungoverned.
    X1,
    /// Inactive and ungoverned.
    X2,
    /// Hygiene only.
    X3,
}

impl Exposure {
    /// Every class, most exposed first.
    pub const ALL: [Self; 4] = [Self::X0, Self::X1, Self::X2, Self::X3];

    /// What it means, as a sentence without its full stop.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::X0 => "somebody outside, or whom nobody governs, can use it now",
            Self::X1 => "it can run now, and is not governed as the rule asks",
            Self::X2 => "it is not governed as the rule asks; whether it is in use is no part of the claim",
            Self::X3 => "it is a matter of hygiene: the claim does not say that somebody can use it who should not",
        }
    }
}

/// The severity. Modifiers in this order, each at most once: a proven sensitive domain raises the tier by one row; a
/// narrower claim lowers the result by one step; a proven compensating control lowers it by one step.
pub fn severity(tier: Tier, exposure: Exposure, sensitive: Tri, claim: Claim, compensated: Tri) -> Severity {
    let tier = if sensitive.is_true() { tier.stronger() } else { tier };
    let mut result = cell(tier, exposure);
    if claim == Claim::Narrower {
        result = lower(result);
    }
    if compensated.is_true() {
        result = lower(result);
    }
    result
}

const fn cell(tier: Tier, exposure: Exposure) -> Severity {
    use Exposure::{X0, X1, X2, X3};
    use Severity::{Critical, High, Info, Low, Medium};
    match (tier, exposure) {
        (Tier::P0, X0 | X1) | (Tier::P1, X0) => Critical,
        (Tier::P0, X2) | (Tier::P1, X1 | X2) | (Tier::P2, X0) => High,
        (Tier::P0 | Tier::P1, X3) | (Tier::P2, X1 | X2) | (Tier::P3, X0 | X1) => Medium,
        (Tier::P2, X3) | (Tier::P3, X2 | X3) | (Tier::P4, X0 | X1) => Low,
        (Tier::P4, X2 | X3) => Info,
    }
}

const fn lower(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sv0_graph::UnknownReason;

    const CLAIMS: [Claim; 2] = [Claim::Full, Claim::Narrower];
    const TRIS: [Tri; 3] = [Tri::True, Tri::False, Tri::Unknown(UnknownReason::Denied)];

    /// The whole input space is small: every property is checked over all of it.
    fn everywhere(mut check: impl FnMut(Tier, Exposure, Tri, Claim, Tri)) {
        for tier in Tier::ALL {
            for exposure in Exposure::ALL {
                for sensitive in TRIS {
                    for claim in CLAIMS {
                        for compensated in TRIS {
                            check(tier, exposure, sensitive, claim, compensated);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_published_table() {
        use Severity::{Critical as C, High as H, Info as I, Low as L, Medium as M};
        let rows = [[C, C, H, M], [C, H, H, M], [H, M, M, L], [M, M, L, L], [L, L, I, I]];
        for (tier, row) in Tier::ALL.into_iter().zip(rows) {
            for (exposure, expected) in Exposure::ALL.into_iter().zip(row) {
                assert_eq!(
                    severity(tier, exposure, Tri::False, Claim::Full, Tri::False),
                    expected,
                    "{tier:?} {exposure:?}"
                );
            }
        }
    }

    #[test]
    fn stronger_tiers_and_greater_exposure_never_lower_it() {
        everywhere(|tier, exposure, sensitive, claim, compensated| {
            let here = severity(tier, exposure, sensitive, claim, compensated);
            assert!(severity(tier.stronger(), exposure, sensitive, claim, compensated) >= here);
            for more in Exposure::ALL.into_iter().filter(|more| *more <= exposure) {
                assert!(severity(tier, more, sensitive, claim, compensated) >= here);
            }
        });
    }

    #[test]
    fn unknown_never_raises_and_a_narrower_claim_is_never_above_its_full_rule() {
        let unknown = Tri::Unknown(UnknownReason::Denied);
        everywhere(|tier, exposure, sensitive, claim, compensated| {
            let here = severity(tier, exposure, sensitive, claim, compensated);
            assert!(
                severity(tier, exposure, unknown, claim, compensated)
                    <= here.max(severity(tier, exposure, Tri::False, claim, compensated))
            );
            assert_eq!(
                severity(tier, exposure, unknown, claim, compensated),
                severity(tier, exposure, Tri::False, claim, compensated)
            );
            assert!(
                severity(tier, exposure, sensitive, Claim::Narrower, compensated)
                    <= severity(tier, exposure, sensitive, Claim::Full, compensated)
            );
            assert!(severity(tier, exposure, sensitive, claim, Tri::True) <= here);
            assert!((1..=5).contains(&here.rank()));
        });
    }

    #[test]
    fn a_sensitive_domain_moves_one_row_up() {
        assert_eq!(severity(Tier::P3, Exposure::X1, Tri::True, Claim::Full, Tri::False), Severity::Medium);
        assert_eq!(severity(Tier::P2, Exposure::X1, Tri::True, Claim::Full, Tri::False), Severity::High);
        assert_eq!(severity(Tier::P0, Exposure::X1, Tri::True, Claim::Full, Tri::False), Severity::Critical);
    }
}
