//! How many bytes each home and each estate holds, so that quotas can be kept without listing the back end at every
//! write.
//!
//! The store is its back end's only writer. A place's bytes are listed once, then counted; a write that would exceed a
//! quota lists again before it is refused, so that what a collector in another process freed is noticed. A scan's token
//! can be made for any instance UID, so the quota of an instance alone would bind nobody: the estate's does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::time::Instant;

use crate::keys::Home;
use crate::objects::{Bounds, ObjectError};

/// A place over its quota is listed again at most this often.
const LIST_AGAIN: Duration = Duration::from_secs(15);
/// Even an empty object costs a file and a line in every listing, so it counts as this many bytes at least.
pub(crate) const LEAST_CHARGE: u64 = 16 * 1024;
/// Above this many places, idle ones are forgotten.
const MAX_HOMES: usize = 10_000;

#[derive(Debug, Default)]
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
    /// Reserves room for `bytes` in `home` and in its estate, or says that a quota leaves none.
    pub(crate) async fn reserve(
        &self,
        store: &dyn ObjectStore,
        home: &Home,
        bytes: u64,
        bounds: Bounds,
    ) -> Result<Reserved, ObjectError> {
        let charge = bytes.max(LEAST_CHARGE);
        let home_room = self.reserve_in(store, home.as_str(), charge, bounds.quota_bytes).await?;
        let estate_room = self.reserve_in(store, home.estate(), charge, bounds.estate_quota_bytes).await?;
        Ok(Reserved([home_room, estate_room]))
    }

    async fn reserve_in(
        &self,
        store: &dyn ObjectStore,
        place: &str,
        charge: u64,
        quota: u64,
    ) -> Result<Reservation, ObjectError> {
        loop {
            let completed_before = {
                let mut places = lock(&self.homes);
                forget_idle(&mut places);
                let entry = places.entry(place.to_owned()).or_default();
                if let Some(listed) = entry.listed {
                    let wanted = entry.settled.saturating_add(entry.in_flight).saturating_add(charge);
                    if wanted <= quota {
                        entry.in_flight += charge;
                        let homes = Arc::clone(&self.homes);
                        return Ok(Reservation { homes, place: place.to_owned(), charge, kept: false });
                    }
                    if listed.elapsed() < LIST_AGAIN {
                        return Err(ObjectError::Quota);
                    }
                }
                entry.completed
            };
            let all = store.list(Some(&Path::from(place)));
            let total = all.try_fold(0, |n, meta| async move { Ok(n + meta.size.max(LEAST_CHARGE)) }).await?;
            if let Some(entry) = lock(&self.homes).get_mut(place) {
                // What settled meanwhile may or may not be in the listing: count it, rather too much than too little.
                entry.settled = total + (entry.completed - completed_before);
                entry.listed = Some(Instant::now());
            }
        }
    }

    /// An object of so many bytes that the collector deleted.
    pub(crate) fn freed(&self, home: &Home, bytes: u64) {
        for place in [home.as_str(), home.estate()] {
            if let Some(entry) = lock(&self.homes).get_mut(place) {
                entry.settled = entry.settled.saturating_sub(bytes.max(LEAST_CHARGE));
            }
        }
    }
}

fn forget_idle(homes: &mut HashMap<String, Entry>) {
    if homes.len() > MAX_HOMES {
        homes.retain(|_, e| e.in_flight > 0);
    }
}

/// Reserved room in a home and in its estate; given back when dropped unless kept.
pub(crate) struct Reserved([Reservation; 2]);

impl Reserved {
    /// The bytes are written.
    pub(crate) fn keep(mut self) {
        for room in &mut self.0 {
            room.kept = true;
        }
    }
}

struct Reservation {
    homes: Arc<Mutex<HashMap<String, Entry>>>,
    place: String,
    charge: u64,
    kept: bool,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.homes).get_mut(&self.place) {
            entry.in_flight = entry.in_flight.saturating_sub(self.charge);
            if self.kept {
                entry.settled += self.charge;
                entry.completed += self.charge;
            }
        }
    }
}

fn lock(homes: &Mutex<HashMap<String, Entry>>) -> MutexGuard<'_, HashMap<String, Entry>> {
    homes.lock().unwrap_or_else(PoisonError::into_inner)
}
