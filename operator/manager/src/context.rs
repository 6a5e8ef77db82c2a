//! What the three controllers share: the client, the configuration, caches of what they watch, and ways to wake each
//! other. Everything here can be lost at any moment: the truth is in the cluster.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use jiff::Timestamp;
use kube::core::{DeserializeGuard, ObjectMeta, PartialObjectMeta, Selector, SelectorExt};
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use sv0_api::{ConnectorInstance, ESTATE_NAME, Estate, FindingException, ScanSchedule};
use sv0_protocol::{EvaluateExceptions, MAX_INSTANCES};
use tokio::sync::watch;

use crate::config::Config;
use crate::error::Error;
use crate::exceptions;
use crate::fairness::{Key, Places};
use crate::schedule::Timetable;
use crate::telemetry::Metrics;

/// Field manager of every write, and reporter of every Event.
pub const MANAGER: &str = "securityv0-manager";

/// Longest time for one reconciliation: the client retries a refused request by itself for minutes.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An object that may have been written by a version with another schema: one such object must not stop the others.
pub type Guarded<K> = DeserializeGuard<K>;

/// Shared by all controllers.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The administrator's settings.
    pub config: Config,
    /// Publishes Events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Metrics,
    /// Who scans and who waits.
    places: Mutex<Places>,
    /// Whether scans from before the start have been counted.
    counted: AtomicBool,
    /// UIDs of the instances that are known to have left no Job behind.
    tidy: Mutex<HashSet<String>>,
    /// Schedules that can be carried out, by namespace and name.
    timetables: Mutex<HashMap<(String, String), Scheduled>>,
    /// Wakes instances.
    pub wake_instances: UnboundedSender<ObjectRef<Guarded<ConnectorInstance>>>,
    /// Wakes estates.
    pub wake_estates: UnboundedSender<ObjectRef<Guarded<Estate>>>,
    /// Wakes schedules.
    pub wake_schedules: UnboundedSender<ObjectRef<Guarded<ScanSchedule>>>,
    /// What is remembered about each estate's evaluations between looks.
    pub evaluations: Mutex<HashMap<String, Remembered>>,
    /// What is watched.
    pub caches: Caches,
}

/// What is watched.
pub struct Caches {
    /// Instances of all namespaces.
    pub instances: Store<Guarded<ConnectorInstance>>,
    /// Estates of all namespaces.
    pub estates: Store<Guarded<Estate>>,
    /// Schedules of all namespaces.
    pub schedules: Store<Guarded<ScanSchedule>>,
    /// Exceptions of all namespaces: which there are. What they say is read by evaluations.
    pub exceptions: Store<PartialObjectMeta<FindingException>>,
    /// For each of them, whether it holds all that the API server had when this process began.
    pub filled: [watch::Receiver<bool>; 4],
}

/// A schedule that has been read.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The generation that was read.
    pub generation: Option<i64>,
    /// Which instances.
    pub selector: Selector,
    /// When; none while suspended or impossible.
    pub timetable: Option<Arc<Timetable>>,
}

/// What is remembered about an estate between looks, so that an idle one costs no request. Losing it costs one.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// No Job of the estate exists.
    pub idle: bool,
    /// The instant that the last successful evaluation stood for, and when it was seen to end.
    pub done: Option<(Timestamp, Timestamp)>,
    /// An evaluation that ran from this build's image has succeeded. Whatever it says of its rules is as new as it gets.
    pub rules_current: bool,
    /// The Job whose failure has been announced.
    pub announced: Option<String>,
}

/// The parts that exist from the start.
pub struct Wakers {
    /// Wakes instances.
    pub instances: UnboundedSender<ObjectRef<Guarded<ConnectorInstance>>>,
    /// Wakes estates.
    pub estates: UnboundedSender<ObjectRef<Guarded<Estate>>>,
    /// Wakes schedules.
    pub schedules: UnboundedSender<ObjectRef<Guarded<ScanSchedule>>>,
}

impl Context {
    /// Nothing is known yet.
    #[allow(clippy::too_many_arguments, reason = "each part once, in the one place that puts them together")]
    pub fn new(
        client: Client,
        config: Config,
        recorder: Recorder,
        metrics: Metrics,
        wake: Wakers,
        caches: Caches,
    ) -> Self {
        let limit = usize::try_from(config.limits.parallel_scans).unwrap_or(1);
        Self {
            client,
            config,
            recorder,
            metrics,
            places: Mutex::new(Places::new(limit)),
            counted: AtomicBool::new(false),
            tidy: Mutex::default(),
            timetables: Mutex::default(),
            wake_instances: wake.instances,
            wake_estates: wake.estates,
            wake_schedules: wake.schedules,
            evaluations: Mutex::default(),
            caches,
        }
    }

    /// Waits until every cache holds what the API server had when this process began. Before that an instance that is
    /// merely not known yet would look like one that is gone, and its findings would be taken away.
    pub async fn caches_filled(&self) -> Result<(), Error> {
        for filled in &self.caches.filled {
            filled.clone().wait_for(|filled| *filled).await.map_err(|_| Error::Draining)?;
        }
        Ok(())
    }

    /// Whether the instance `uid` is known to have left no Job behind.
    pub fn is_tidy(&self, uid: &str) -> bool {
        self.tidy.lock().unwrap_or_else(PoisonError::into_inner).contains(uid)
    }

    /// Remembers whether the instance `uid` may have left a Job behind.
    pub fn set_tidy(&self, uid: &str, tidy: bool) {
        let mut known = self.tidy.lock().unwrap_or_else(PoisonError::into_inner);
        if tidy {
            known.insert(uid.to_owned());
        } else {
            known.remove(uid);
        }
    }

    /// Whether the instance may scan now; otherwise it is woken when it may.
    pub fn request_place(&self, key: &Key) -> bool {
        let granted = self.with_places(|places| (places.request(key), Vec::new()));
        self.count_places();
        granted
    }

    /// Counts a scan that is under way.
    pub fn occupy_place(&self, key: &Key) {
        self.with_places(|places| {
            places.occupy(key.clone());
            ((), Vec::new())
        });
        self.count_places();
    }

    /// After a restart the scans of before still hold their places, whichever instance is looked at first.
    pub fn count_scans_under_way(&self) {
        if self.counted.swap(true, Ordering::Relaxed) {
            return;
        }
        for object in self.caches.instances.state() {
            let active = object.0.as_ref().is_ok_and(|i| i.status.as_ref().is_some_and(|s| s.active_scan.is_some()));
            if active {
                self.occupy_place(&Key { estate: object.namespace().unwrap_or_default(), name: object.name_any() });
            }
        }
    }

    /// Gives up a place or the wait for one, and wakes whoever is next.
    pub fn release_place(&self, key: &Key) {
        self.with_places(|places| ((), places.release(key)));
        self.count_places();
    }

    fn with_places<T>(&self, act: impl FnOnce(&mut Places) -> (T, Vec<Key>)) -> T {
        let (result, next) = act(&mut lock(&self.places));
        for key in next {
            self.wake_instance(&key.estate, &key.name);
        }
        result
    }

    fn count_places(&self) {
        let places = lock(&self.places);
        self.metrics.scans_active.set(i64::try_from(places.taken()).unwrap_or(i64::MAX));
        self.metrics.scans_due.set(i64::try_from(places.waiting()).unwrap_or(i64::MAX));
    }

    /// Asks for a look at one instance.
    pub fn wake_instance(&self, namespace: &str, name: &str) {
        // A closed channel means that the controller is draining.
        drop(self.wake_instances.unbounded_send(ObjectRef::new(name).within(namespace)));
    }

    /// Asks for a look at every instance of a namespace.
    pub fn wake_instances_of(&self, namespace: &str) {
        for instance in self.instances_of(namespace) {
            self.wake_instance(namespace, &instance.name_any());
        }
    }

    /// Asks for a look at an estate.
    pub fn wake_estate(&self, namespace: &str) {
        drop(self.wake_estates.unbounded_send(ObjectRef::new(ESTATE_NAME).within(namespace)));
    }

    /// Asks for a look at the schedules of a namespace: which instances they match may have changed.
    pub fn wake_schedules_of(&self, namespace: &str) {
        for schedule in self.caches.schedules.state() {
            if schedule.namespace().as_deref() == Some(namespace) {
                drop(self.wake_schedules.unbounded_send(ObjectRef::new(&schedule.name_any()).within(namespace)));
            }
        }
    }

    /// Remembers a schedule. True when it is new or differs from what was known.
    pub fn remember_schedule(&self, namespace: &str, name: &str, scheduled: Scheduled) -> bool {
        let generation = scheduled.generation;
        let before = lock(&self.timetables).insert((namespace.to_owned(), name.to_owned()), scheduled);
        before.is_none_or(|b| b.generation != generation)
    }

    /// Forgets a schedule that is gone.
    pub fn forget_schedule(&self, namespace: &str, name: &str) {
        lock(&self.timetables).remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The timetables that select an instance, by schedule name.
    pub fn timetables_for(&self, instance: &ObjectMeta) -> Vec<(String, Arc<Timetable>)> {
        let namespace = instance.namespace.as_deref().unwrap_or_default();
        let empty = std::collections::BTreeMap::new();
        let labels = instance.labels.as_ref().unwrap_or(&empty);
        let timetables = lock(&self.timetables);
        let matching = timetables.iter().filter(|((ns, _), s)| ns == namespace && s.selector.matches(labels));
        let mut found: Vec<_> =
            matching.filter_map(|((_, name), s)| Some((name.clone(), s.timetable.clone()?))).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Live, readable instances of a namespace.
    pub fn instances_of(&self, namespace: &str) -> Vec<Arc<Guarded<ConnectorInstance>>> {
        let all = self.caches.instances.state();
        let here = |i: &Arc<Guarded<ConnectorInstance>>| i.namespace().as_deref() == Some(namespace);
        all.into_iter().filter(|i| here(i) && i.meta().deletion_timestamp.is_none()).collect()
    }

    /// Those of them that an evaluation takes: the oldest.
    pub fn evaluated_instances_of(&self, namespace: &str) -> Vec<Arc<Guarded<ConnectorInstance>>> {
        oldest(self.instances_of(namespace), MAX_INSTANCES, |instance| instance.meta())
    }

    /// Whether an evaluation of the namespace takes this instance, as far as the cache knows.
    pub fn is_evaluated(&self, namespace: &str, name: &str) -> bool {
        let all = self.instances_of(namespace);
        all.len() <= MAX_INSTANCES
            || oldest(all, MAX_INSTANCES, |one| one.meta()).iter().any(|one| one.meta().name.as_deref() == Some(name))
    }

    /// The namespace's `FindingExceptions`, as an order names them.
    pub fn exceptions_of(&self, namespace: &str) -> EvaluateExceptions {
        let all = self.caches.exceptions.state();
        let here = all.iter().map(|exception| &exception.metadata);
        exceptions::order(here.filter(|metadata| metadata.namespace.as_deref() == Some(namespace)))
    }

    /// Whether the cache knows the estate's Estate.
    pub fn has_estate(&self, namespace: &str) -> bool {
        let reference = ObjectRef::new(ESTATE_NAME).within(namespace);
        self.caches.estates.get(&reference).is_some()
    }
}

/// The `most` that were created first; those of one second in the order of their UIDs.
fn oldest<K>(mut all: Vec<K>, most: usize, meta: impl Fn(&K) -> &ObjectMeta) -> Vec<K> {
    all.sort_by_cached_key(|one| {
        let meta = meta(one);
        (meta.creation_timestamp.as_ref().map(|created| created.0), meta.uid.clone())
    });
    all.truncate(most);
    all
}

/// The wall clock, read here and nowhere below: decisions take the instant as a parameter.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// From now to `at`, a little beyond so that the instant has surely passed.
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(50)
}

/// A panic while holding the lock cannot leave half a change behind: each critical section is one operation.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn the_oldest_are_taken_in_whatever_order_they_are_known() {
        let object = |name: &str, uid: &str, second: i64| {
            let mut one = crate::testing::instance("{}");
            one.metadata.name = Some(name.into());
            one.metadata.uid = Some(uid.into());
            one.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
            one
        };
        let mut all =
            vec![object("newest", "1", 30), object("b", "3", 20), object("oldest", "4", 10), object("a", "2", 20)];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let names = |most| {
                oldest(all.clone(), most, |one| &one.metadata).iter().map(ResourceExt::name_any).collect::<Vec<_>>()
            };
            assert_eq!(names(1), ["oldest"]);
            assert_eq!(names(2), ["oldest", "a"]);
            assert_eq!(names(9), ["oldest", "a", "b", "newest"]);
        }
    }
}
