//! What all listeners share: the estate, the switched-on faults, the counters and the keys.
//!
//! Locks are held for the length of one computation and never across an await.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::estate::Estate;
use crate::faults::Faults;
use crate::graph::throttle::Bucket;
use crate::issuers::Issuers;
use crate::keys::SigningKey;

/// Requests seen since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Token requests by client id.
    pub token_requests: BTreeMap<String, u64>,
    /// Refused token requests by vendor code.
    pub token_errors: BTreeMap<String, u64>,
    /// Graph requests by route; the parts of a batch count as requests of their own.
    pub graph_requests: BTreeMap<String, u64>,
    /// Graph answers by HTTP status.
    pub graph_statuses: BTreeMap<String, u64>,
    /// Requests to the fake metadata endpoint.
    pub metadata_requests: u64,
    /// Requests whose Host is no simulated vendor.
    pub other_hosts: u64,
    /// Requests whose method is neither GET nor one of the three documented POSTs: a client that tries to write.
    pub write_attempts: u64,
}

impl Counters {
    /// All token requests.
    pub fn tokens(&self) -> u64 {
        self.token_requests.values().sum()
    }
}

pub(crate) struct State {
    estate: RwLock<Estate>,
    generation: AtomicU64,
    faults: Mutex<Faults>,
    counters: Mutex<Counters>,
    buckets: Mutex<HashMap<String, Bucket>>,
    pub(crate) signing: SigningKey,
    pub(crate) issuers: Issuers,
    pub(crate) page_secret: [u8; 16],
    pub(crate) ca_pem: String,
}

impl State {
    pub(crate) fn new(estate: Estate, signing: SigningKey, issuers: Issuers, ca_pem: String) -> Self {
        Self {
            estate: RwLock::new(estate),
            generation: AtomicU64::new(0),
            faults: Mutex::default(),
            counters: Mutex::default(),
            buckets: Mutex::default(),
            signing,
            issuers,
            page_secret: uuid::Uuid::new_v4().into_bytes(),
            ca_pem,
        }
    }

    pub(crate) fn estate(&self) -> RwLockReadGuard<'_, Estate> {
        self.estate.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn estate_mut(&self) -> RwLockWriteGuard<'_, Estate> {
        self.estate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another estate in place; page tokens of the old one expire.
    pub(crate) fn replace(&self, estate: Estate) {
        *self.estate_mut() = estate;
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.buckets().clear();
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Makes every page token given so far expire.
    pub(crate) fn expire_page_tokens(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vendor's clock, which a fault may put off.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.faults().clock_skew);
        let now = Timestamp::now();
        now.checked_add(skew).unwrap_or(now)
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn buckets(&self) -> MutexGuard<'_, HashMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
