//! How many requests are in flight: starts low, grows while all goes well, halves when the vendor shows strain.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Successes in a row before one more request may fly at the same time.
const GROW_AFTER: u32 = 8;

/// The gate.
pub(crate) struct Gate {
    state: Mutex<State>,
    freed: Notify,
    most: u32,
}

struct State {
    allowed: u32,
    in_flight: u32,
    successes: u32,
}

/// One request's place; dropped when the request ends.
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    /// A gate that never lets more than `most` through.
    pub(crate) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self {
            state: Mutex::new(State { allowed: most.div_ceil(2), in_flight: 0, successes: 0 }),
            freed: Notify::new(),
            most,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self) -> Pass<'_> {
        loop {
            let freed = self.freed.notified();
            if self.try_enter() {
                return Pass(self);
            }
            freed.await;
        }
    }

    fn try_enter(&self) -> bool {
        let mut state = self.state();
        let free = state.in_flight < state.allowed;
        if free {
            state.in_flight += 1;
        }
        free
    }

    /// The vendor shows strain.
    pub(crate) fn slow_down(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed / 2).max(1);
        state.successes = 0;
    }

    /// A request went well.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        state.successes += 1;
        if state.successes >= GROW_AFTER && state.allowed < self.most {
            state.allowed += 1;
            state.successes = 0;
            drop(state);
            self.freed.notify_one();
        }
    }

    /// How many may fly at the same time now.
    #[cfg(test)]
    pub(crate) fn allowed(&self) -> u32 {
        self.state().allowed
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_on_strain_and_grows_back_to_the_limit_only() {
        let gate = Gate::new(8);
        assert_eq!(gate.allowed(), 4);
        gate.slow_down();
        gate.slow_down();
        gate.slow_down();
        assert_eq!(gate.allowed(), 1);
        for _ in 0..200 {
            gate.succeeded();
        }
        assert_eq!(gate.allowed(), 8);
    }

    #[tokio::test]
    async fn a_place_is_given_back() {
        let gate = Gate::new(1);
        let pass = gate.enter().await;
        assert!(!gate.try_enter());
        drop(pass);
        assert!(gate.try_enter());
    }
}
