//! Three-valued logic: what is proven, what is disproven, and what nobody can say and why.
//!
//! Strong Kleene connectives: `Unknown` wins only where the other operand does not decide. Of two unknown reasons the
//! lesser one is kept, so that the result does not depend on the order of operands.

use serde::{Deserialize, Serialize};

use crate::model::CoverageState;

/// Why a predicate cannot be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// The source system refused to tell.
    Denied,
    /// The source system's limits cut the collection off.
    Throttled,
    /// Only part of the collection was seen.
    Partial,
    /// Not asked for.
    NotCollected,
    /// The vendor does not keep the fact for long enough.
    RetentionTooShort,
    /// The value is computed when the automation runs.
    DynamicValue,
    /// The text could not be parsed.
    Unparsable,
    /// This version does not know how to decide it.
    Unsupported,
}

impl UnknownReason {
    /// The word, as it stands in findings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Partial => "partial",
            Self::NotCollected => "not_collected",
            Self::RetentionTooShort => "retention_too_short",
            Self::DynamicValue => "dynamic_value",
            Self::Unparsable => "unparsable",
            Self::Unsupported => "unsupported",
        }
    }

    /// The end of a sentence that begins with what is not proven.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Denied => "the source system refused to tell",
            Self::Throttled => "the source system throttled the collection",
            Self::Partial => "only a part of the collection was seen",
            Self::NotCollected => "it was not collected",
            Self::RetentionTooShort => "the source system does not keep it for long enough",
            Self::DynamicValue => "the value is only known when the automation runs",
            Self::Unparsable => "the vendor's text could not be parsed",
            Self::Unsupported => "this version cannot decide it",
        }
    }
}

/// A predicate's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tri {
    /// Proven.
    True,
    /// Disproven.
    False,
    /// Neither.
    Unknown(UnknownReason),
}

impl Tri {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Unknown(a), Self::Unknown(b)) => Self::Unknown(a.min(b)),
            (Self::Unknown(a), Self::True) | (Self::True, Self::Unknown(a)) => Self::Unknown(a),
            (Self::True, Self::True) => Self::True,
        }
    }

    /// At least one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        !(!self).and(!other)
    }

    /// Whether it is proven. `Unknown` is not.
    pub const fn is_true(self) -> bool {
        matches!(self, Self::True)
    }

    /// Whether it is disproven. `Unknown` is not.
    pub const fn is_false(self) -> bool {
        matches!(self, Self::False)
    }

    /// Whether it is undecided.
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// The conjunction of all; `True` over none.
    pub fn all(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::True, Self::and)
    }

    /// The disjunction of all; `False` over none.
    pub fn any(values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(Self::False, Self::or)
    }
}

impl std::ops::Not for Tri {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            unknown @ Self::Unknown(_) => unknown,
        }
    }
}

impl From<bool> for Tri {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl CoverageState {
    /// Whether a negative over a collection in this state is provable.
    pub const fn negative(self) -> Tri {
        match self {
            Self::Complete => Tri::True,
            Self::Partial => Tri::Unknown(UnknownReason::Partial),
            Self::Denied => Tri::Unknown(UnknownReason::Denied),
            Self::Throttled => Tri::Unknown(UnknownReason::Throttled),
            Self::Skipped => Tri::Unknown(UnknownReason::NotCollected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tri; 4] =
        [Tri::True, Tri::False, Tri::Unknown(UnknownReason::Denied), Tri::Unknown(UnknownReason::NotCollected)];

    #[test]
    fn connectives_are_commutative_associative_and_dual() {
        for a in ALL {
            assert_eq!(!!a, a);
            for b in ALL {
                assert_eq!(a.and(b), b.and(a));
                assert_eq!(a.or(b), b.or(a));
                assert_eq!(!a.and(b), (!a).or(!b));
                for c in ALL {
                    assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                    assert_eq!(a.or(b).or(c), a.or(b.or(c)));
                }
            }
        }
    }

    #[test]
    fn unknown_decides_nothing_and_is_decided_by_what_decides() {
        let unknown = Tri::Unknown(UnknownReason::Partial);
        assert_eq!(unknown.and(Tri::False), Tri::False);
        assert_eq!(unknown.and(Tri::True), unknown);
        assert_eq!(unknown.or(Tri::True), Tri::True);
        assert_eq!(unknown.or(Tri::False), unknown);
        assert_eq!(Tri::all([]), Tri::True);
        assert_eq!(Tri::any([]), Tri::False);
    }

    #[test]
    fn only_a_complete_collection_proves_a_negative() {
        use CoverageState as C;
        for state in [C::Partial, C::Denied, C::Throttled, C::Skipped] {
            assert!(state.negative().is_unknown());
        }
        assert!(C::Complete.negative().is_true());
    }
}
