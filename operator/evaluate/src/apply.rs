//! Makes the estate's Findings equal to what an evaluation decided, with a write only where something differs.
//!
//! The difference is a pure function; the writes are bounded in number at a time and per second. Each write stands
//! alone, so a run that is killed anywhere is completed by running again: nothing but the live objects and the
//! decision is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};

use crate::sink::{Desired, FindingSink, SinkError, Stored};

/// Writes in flight.
const CONCURRENCY: usize = 8;
/// At most forty writes per second: an estate must not crowd the API server's other users.
const WRITE_INTERVAL: Duration = Duration::from_millis(25);
/// Attempts at one object when other writers interfere.
const ATTEMPTS: usize = 5;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// There is no such Finding yet.
    Create(Desired),
    /// It differs.
    Replace(Desired, Stored),
    /// It is no longer wanted.
    Delete(String),
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Findings that were new.
    pub created: usize,
    /// Findings that changed.
    pub replaced: usize,
    /// Findings that left.
    pub deleted: usize,
}

impl Written {
    /// All writes.
    pub fn total(self) -> usize {
        self.created + self.replaced + self.deleted
    }

    fn plus(self, other: Self) -> Self {
        Self {
            created: self.created + other.created,
            replaced: self.replaced + other.replaced,
            deleted: self.deleted + other.deleted,
        }
    }
}

/// The writes that turn `live` into `desired`, in the order of names; deletions last, so that a reader sees a renamed
/// finding twice rather than not at all.
pub fn diff(desired: &[Desired], live: Vec<Stored>) -> Vec<Write> {
    let mut live: BTreeMap<String, Stored> = live.into_iter().map(|stored| (stored.name.clone(), stored)).collect();
    let mut wanted: Vec<&Desired> = desired.iter().collect();
    wanted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut writes = Vec::new();
    for desired in wanted {
        match live.remove(&desired.name) {
            None => writes.push(Write::Create(desired.clone())),
            Some(stored) if stored.matches(desired) => {}
            Some(stored) => writes.push(Write::Replace(desired.clone(), stored)),
        }
    }
    writes.extend(live.into_keys().map(Write::Delete));
    writes
}

/// How fast writes may follow each other.
pub struct Pace(Option<Mutex<Interval>>);

impl Pace {
    /// The pace for a cluster that others use too.
    pub fn polite() -> Self {
        let mut interval = tokio::time::interval(WRITE_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Some(Mutex::new(interval)))
    }

    /// As fast as the sink goes.
    pub fn unbounded() -> Self {
        Self(None)
    }

    /// Waits for the next turn.
    async fn turn(&self) {
        if let Some(interval) = &self.0 {
            interval.lock().await.tick().await;
        }
    }
}

/// Carries out the difference between `desired` and what the sink holds.
pub async fn apply<S: FindingSink>(sink: &S, desired: &[Desired], pace: &Pace) -> Result<Written, SinkError> {
    let (deletes, puts): (Vec<_>, Vec<_>) =
        diff(desired, sink.list().await?).into_iter().partition(|write| matches!(write, Write::Delete(_)));
    let mut written = Written::default();
    for batch in [puts, deletes] {
        let done: Vec<Written> = stream::iter(batch.into_iter().map(|write| carry_out(sink, write, pace)))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        written = done.into_iter().fold(written, Written::plus);
    }
    Ok(written)
}

async fn carry_out<S: FindingSink>(sink: &S, write: Write, pace: &Pace) -> Result<Written, SinkError> {
    let none = Written::default();
    match write {
        Write::Delete(name) => {
            pace.turn().await;
            match sink.delete(&name).await {
                Ok(()) => Ok(Written { deleted: 1, ..none }),
                Err(SinkError::NotFound) => Ok(none),
                Err(other) => Err(other),
            }
        }
        Write::Create(desired) => put(sink, &desired, None, pace).await,
        Write::Replace(desired, over) => put(sink, &desired, Some(over), pace).await,
    }
}

/// Creates or replaces; when overtaken, looks again and compares before writing once more.
async fn put<S: FindingSink>(
    sink: &S,
    desired: &Desired,
    mut over: Option<Stored>,
    pace: &Pace,
) -> Result<Written, SinkError> {
    let none = Written::default();
    let mut last = SinkError::Conflict;
    for _ in 0..ATTEMPTS {
        pace.turn().await;
        let (result, written) = match &over {
            None => (sink.create(desired).await, Written { created: 1, ..none }),
            Some(stored) => (sink.replace(desired, stored).await, Written { replaced: 1, ..none }),
        };
        match result {
            Ok(()) => return Ok(written),
            // A create that fails with "not found" says that the namespace is gone: looking again does not help.
            Err(SinkError::NotFound) if over.is_none() => return Err(SinkError::NotFound),
            Err(error @ (SinkError::AlreadyExists | SinkError::Conflict | SinkError::NotFound)) => last = error,
            Err(other) => return Err(other),
        }
        over = sink.get(&desired.name).await?;
        if over.as_ref().is_some_and(|stored| stored.matches(desired)) {
            return Ok(none);
        }
    }
    Err(last)
}
