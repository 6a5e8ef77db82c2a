//! How long to wait before asking again. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// The longest wait that a vendor can impose on a scan; a longer `Retry-After` ends the collection instead.
pub const MAX_WAIT: Duration = Duration::from_mins(2);

/// Reads `Retry-After`: seconds, or an HTTP date relative to `now`. Unreadable values are as if absent.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let seconds = date.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Without a word of the vendor: 1, 2, 4, 8 ... seconds, at most 30.
pub fn backoff(attempt: u32) -> Duration {
    Duration::from_secs((1_u64 << attempt.min(6)).min(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates_and_survives_nonsense() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(retry_after("11", now), Some(Duration::from_secs(11)));
        assert_eq!(retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 31 Dec 2025 00:00:30 GMT", now), Some(Duration::ZERO));
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn backoff_doubles_and_is_bounded() {
        let waits: Vec<u64> = (0..8).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
