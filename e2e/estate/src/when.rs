//! Points in time as an estate file writes them: an RFC 3339 instant, or a distance from the estate's clock.
//!
//! Takes text, gives a [`When`] that becomes an instant once a clock is named. Never reads the wall clock.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, absolute or relative to the estate's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A fixed instant.
    At(Timestamp),
    /// So many seconds after (or, negative, before) the clock.
    Relative(SignedDuration),
}

impl When {
    /// The instant, given the estate's clock. A distance that leaves the calendar gives the clock itself.
    pub fn at(self, clock: Timestamp) -> Timestamp {
        match self {
            Self::At(instant) => instant,
            Self::Relative(distance) => clock.checked_add(distance).unwrap_or(clock),
        }
    }
}

/// A point in time that could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no point in time: write an RFC 3339 instant, `now`, or a distance such as `now-400d` or `now+12h` (units y, d, h, m, s)"
)]
pub struct BadWhen(String);

impl FromStr for When {
    type Err = BadWhen;

    fn from_str(text: &str) -> Result<Self, BadWhen> {
        let bad = || BadWhen(text.to_owned());
        let Some(distance) = text.strip_prefix("now") else {
            return text.parse().map(Self::At).map_err(|_| bad());
        };
        if distance.is_empty() {
            return Ok(Self::Relative(SignedDuration::ZERO));
        }
        let (sign, rest) = match distance.split_at_checked(1) {
            Some(("-", rest)) => (-1, rest),
            Some(("+", rest)) => (1, rest),
            _ => return Err(bad()),
        };
        let unit = rest.chars().last().ok_or_else(bad)?;
        let seconds: i64 = match unit {
            'y' => 365 * 86_400,
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(bad()),
        };
        let count: i64 = rest.strip_suffix(unit).and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
        let total = count.checked_mul(seconds).and_then(|total| total.checked_mul(sign)).ok_or_else(bad)?;
        Ok(Self::Relative(SignedDuration::from_secs(total)))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(instant) => instant.fmt(f),
            Self::Relative(distance) if distance.is_zero() => f.write_str("now"),
            Self::Relative(distance) => match distance.as_secs() {
                seconds if seconds % 86_400 == 0 => write!(f, "now{:+}d", seconds / 86_400),
                seconds => write!(f, "now{seconds:+}s"),
            },
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_instants() {
        let clock: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<When>().unwrap().at(clock).to_string();
        assert_eq!(at("now"), "2026-11-20T00:00:00Z");
        assert_eq!(at("now-1d"), "2026-11-19T00:00:00Z");
        assert_eq!(at("now+90m"), "2026-11-20T01:30:00Z");
        assert_eq!(at("now-1y"), "2025-11-20T00:00:00Z");
        assert_eq!(at("2299-12-30T12:00:00Z"), "2299-12-30T12:00:00Z");
    }

    #[test]
    fn what_is_refused() {
        for text in ["", "yesterday", "now-", "now-d", "now3d", "now-3w", "now-99999999999999999999d", "nowé"] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn written_form_reads_back() {
        for text in ["now", "now-400d", "now+1h", "2026-01-01T00:00:00Z"] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.to_string().parse::<When>().unwrap(), when);
        }
    }
}
