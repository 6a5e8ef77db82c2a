//! Limits on numbers of requests in time: each request is given the earliest instant at which it may be sent. Says
//! when, and does not wait: waiting is the engine's.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Manifest;
use crate::manifest::Pace;

/// The paces of a manifest, by name.
pub(crate) struct Paces(BTreeMap<String, Limiter>);

struct Limiter {
    pace: Pace,
    /// When the last so many requests were or will be sent, in ascending order.
    sent: Mutex<VecDeque<Instant>>,
}

impl Paces {
    /// Nothing was sent yet.
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let limiter = |pace: &Pace| Limiter { pace: *pace, sent: Mutex::default() };
        Self(manifest.paces.iter().map(|(name, pace)| (name.clone(), limiter(pace))).collect())
    }

    /// Takes the next place and says how long from `now` it is away. Without a pace: not at all.
    pub(crate) fn wait(&self, name: Option<&str>, now: Instant) -> Duration {
        name.and_then(|name| self.0.get(name)).map_or(Duration::ZERO, |limiter| limiter.place(now) - now)
    }
}

impl Limiter {
    fn place(&self, now: Instant) -> Instant {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let full = sent.len() >= self.pace.requests as usize;
        let free = if full { sent.pop_front() } else { None };
        let at = free.map_or(now, |first| now.max(first + Duration::from_secs(u64::from(self.pace.seconds))));
        sent.push_back(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::SMALL;

    #[test]
    fn no_stretch_of_time_holds_more_than_the_pace() {
        let paces = Paces::new(&Manifest::parse(SMALL).unwrap());
        let start = Instant::now();
        let waits: Vec<u64> = (0..5).map(|_| paces.wait(Some("slow"), start).as_secs()).collect();
        assert_eq!(waits, [0, 0, 10, 10, 20]);
        // Places were given at 0, 0, 10, 10 and 20: the next is ten seconds after the second one at 10.
        assert_eq!(paces.wait(Some("slow"), start + Duration::from_secs(15)).as_secs(), 5);
        assert_eq!(paces.wait(Some("slow"), start + Duration::from_mins(1)).as_secs(), 0);
        assert_eq!(paces.wait(None, start), Duration::ZERO);
    }
}
