//! How many bytes each home holds, so that a quota can be kept without listing the back end at every write.
//!
//! The store is its back end's only writer. A home's bytes are listed once, then counted; a write that would exceed the
//! quota lists again before it is refused, so that what a collector in another process freed is noticed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStore;
use tokio::time::Instant;

use crate::keys::Home;
use crate::objects::ObjectError;

/// A home over its quota is listed again at most this often.
const LIST_AGAIN: Duration = Duration::from_secs(15);
/// Above this many homes, idle ones are forgotten.
const MAX_HOMES: usize = 10_000;

#[derive(Debug)]
struct Entry {
    settled: u64,
    in_flight: u64,
    /// Bytes that ever settled: tells what settled while a listing ran.
    completed: u64,
    listed: Option<Instant>,
}

/// The account book.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    homes: Arc<Mutex<HashMap<String, Entry>>>,
}

impl Usage {
    /// Reserves room for `bytes` in `home`, or says that the quota leaves none.
    pub(crate) async fn reserve(
        &self,
        store: &dyn ObjectStore,
        home: &Home,
        bytes: u64,
        quota: u64,
    ) -> Result<Reservation, ObjectError> {
        loop {
            let completed_before = {
                let mut homes = lock(&self.homes);
                forget_idle(&mut homes);
                let entry = homes.entry(home.as_str().to_owned()).or_insert(Entry {
                    settled: 0,
                    in_flight: 0,
                    completed: 0,
                    listed: None,
                });
                if let Some(listed) = entry.listed {
                    let wanted = entry.settled.saturating_add(entry.in_flight).saturating_add(bytes);
                    if wanted <= quota {
                        entry.in_flight += bytes;
                        let homes = Arc::clone(&self.homes);
                        return Ok(Reservation { homes, home: home.as_str().to_owned(), bytes, kept: false });
                    }
                    if listed.elapsed() < LIST_AGAIN {
                        return Err(ObjectError::Quota);
                    }
                }
                entry.completed
            };
            let total = store.list(Some(&home.prefix())).try_fold(0, |n, m| async move { Ok(n + m.size) }).await?;
            if let Some(entry) = lock(&self.homes).get_mut(home.as_str()) {
                // What settled meanwhile may or may not be in the listing: count it, rather too much than too little.
                entry.settled = total + (entry.completed - completed_before);
                entry.listed = Some(Instant::now());
            }
        }
    }

    /// Bytes that the collector deleted.
    pub(crate) fn freed(&self, home: &Home, bytes: u64) {
        if let Some(entry) = lock(&self.homes).get_mut(home.as_str()) {
            entry.settled = entry.settled.saturating_sub(bytes);
        }
    }
}

fn forget_idle(homes: &mut HashMap<String, Entry>) {
    if homes.len() > MAX_HOMES {
        homes.retain(|_, e| e.in_flight > 0);
    }
}

/// Reserved room; given back when dropped unless kept.
pub(crate) struct Reservation {
    homes: Arc<Mutex<HashMap<String, Entry>>>,
    home: String,
    bytes: u64,
    kept: bool,
}

impl Reservation {
    /// The bytes are written.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.homes).get_mut(&self.home) {
            entry.in_flight = entry.in_flight.saturating_sub(self.bytes);
            if self.kept {
                entry.settled += self.bytes;
                entry.completed += self.bytes;
            }
        }
    }
}

fn lock(homes: &Mutex<HashMap<String, Entry>>) -> MutexGuard<'_, HashMap<String, Entry>> {
    homes.lock().unwrap_or_else(PoisonError::into_inner)
}
