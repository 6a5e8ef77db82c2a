//! Resource units: a token bucket per application, as the vendor publishes it.
//!
//! Pure: the instant is a parameter.

use std::time::Instant;

/// What one request cost and how full the window then is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Charge {
    pub(crate) units: u32,
    /// Share of the window that is used, shown to the client above 0.8 only.
    pub(crate) used: f64,
}

/// A bucket that refills steadily.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    capacity: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket of `units` per `window` seconds.
    pub(crate) fn new(units: u32, window: u32, now: Instant) -> Self {
        let capacity = f64::from(units.max(1));
        Self { capacity, per_second: capacity / f64::from(window.max(1)), left: capacity, at: now }
    }

    /// Takes `units`, or says after how many seconds they will be there. A request dearer than the whole bucket
    /// takes all of it.
    pub(crate) fn take(&mut self, units: u32, now: Instant) -> Result<Charge, u64> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.capacity);
        self.at = now;
        let wanted = f64::from(units).min(self.capacity);
        if self.left < wanted {
            return Err(whole_seconds((wanted - self.left) / self.per_second));
        }
        self.left -= wanted;
        Ok(Charge { units, used: 1.0 - self.left / self.capacity })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bounded positive number of seconds")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.clamp(1.0, 3600.0).ceil() as u64
}

/// Units per 10 seconds by number of users, as published: under 50, to 500, above.
pub(crate) fn units_by_size(users: usize) -> u32 {
    match users {
        0..50 => 3_500,
        50..=500 => 5_000,
        _ => 8_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn empties_says_when_and_refills() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, 10, start);
        assert!(bucket.take(9, start).is_ok_and(|charge| charge.used > 0.8));
        assert_eq!(bucket.take(5, start), Err(4));
        assert!(bucket.take(5, start + Duration::from_secs(4)).is_ok());
        assert_eq!(bucket.take(1, start + Duration::from_secs(4)), Err(1));
    }

    #[test]
    fn a_dear_request_is_not_refused_for_ever() {
        let start = Instant::now();
        assert!(Bucket::new(2, 10, start).take(5, start).is_ok());
    }
}
