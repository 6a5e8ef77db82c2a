//! Runs the three controllers, and the watch that wakes estates when an exception changes, until told to stop; then lets
//! running reconciliations end.
//!
//! One watch for each kind, over all namespaces, and nothing else: Jobs and pods are asked for only while some are under
//! way, so that an idle manager sends no request and keeps nothing in memory that it does not need.

use std::fmt::Debug;
use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{Stream, StreamExt, TryStreamExt, future};
use kube::core::{DynamicObject, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::controller::{Config as Settings, Error as RunError};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use sv0_api::{ConnectorInstance, Estate, FindingException, ScanSchedule};
use sv0_protocol::names;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::context::{Caches, Context, Guarded, MANAGER, Wakers};
use crate::telemetry::Metrics;
use crate::{connector_instance, estate, scan_schedule};

/// Objects in one page of a first list: bounds the memory that a start needs.
const PAGE: u32 = 100;
/// Reconciliations of one kind at the same time.
const CONCURRENCY: u16 = 8;

/// Runs until `stop` and everything has drained.
pub async fn run(client: Client, config: Config, metrics: Metrics, identity: String, stop: CancellationToken) {
    let (instances_tx, instances_rx) = unbounded();
    let (estates_tx, estates_rx) = unbounded();
    let (schedules_tx, schedules_rx) = unbounded();
    let wake = Wakers { instances: instances_tx, estates: estates_tx, schedules: schedules_tx };
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (instances, instances_filled, instance_controller) = watched::<ConnectorInstance>(&client, instances_rx, &stop);
    let (estates, estates_filled, estate_controller) = watched::<Estate>(&client, estates_rx, &stop);
    let (schedules, schedules_filled, schedule_controller) = watched::<ScanSchedule>(&client, schedules_rx, &stop);
    let (exceptions, writer) = reflector::store();
    let (fill, exceptions_filled) = watch::channel(false);
    let exceptions_seen = exceptions_of_all(&client, writer, fill).boxed();
    let filled = [instances_filled, estates_filled, schedules_filled, exceptions_filled];
    let caches = Caches { instances, estates, schedules, exceptions, filled };
    let ctx = Arc::new(Context::new(client, config, recorder, metrics, wake, caches));

    let (a, b, c, d) = (ctx.clone(), ctx.clone(), ctx.clone(), ctx.clone());
    let instances =
        instance_controller.run(connector_instance::reconcile, connector_instance::error_policy, ctx.clone()).for_each(
            move |result| settled("ConnectorInstance", result, |ns, name| connector_instance::vanished(&a, ns, name)),
        );
    let estates = estate_controller
        .run(estate::reconcile, estate::error_policy, ctx.clone())
        .for_each(move |result| settled("Estate", result, |ns, _| estate::vanished(&b, ns)));
    let schedules = schedule_controller
        .run(scan_schedule::reconcile, scan_schedule::error_policy, ctx)
        .for_each(move |result| settled("ScanSchedule", result, |ns, name| scan_schedule::vanished(&c, ns, name)));
    // An exception has no controller: its estate looks at the whole set.
    let exceptions = exceptions_seen.take_until(async move { stop.cancelled().await }).for_each(move |seen| {
        match seen {
            Ok(exception) => {
                let namespace = exception.metadata.namespace.as_deref().unwrap_or_default();
                // Elsewhere there is no estate to look at it.
                if d.config.is_estate(namespace) {
                    d.wake_estate(namespace);
                }
            }
            Err(error) => tracing::warn!(kind = "FindingException", %error, "watch"),
        }
        future::ready(())
    });
    future::join4(instances, estates, schedules, exceptions).await;
}

/// The `FindingExceptions` of all namespaces that came, changed or went, and their cache. Only which there are: what they
/// say is for evaluations to read.
fn exceptions_of_all(
    client: &Client,
    writer: reflector::store::Writer<PartialObjectMeta<FindingException>>,
    fill: watch::Sender<bool>,
) -> impl Stream<Item = watcher::Result<PartialObjectMeta<FindingException>>> + Send + use<> {
    let api: Api<PartialObjectMeta<FindingException>> = Api::all(client.clone());
    watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(|exception| {
            let metadata = &mut exception.metadata;
            (metadata.managed_fields, metadata.annotations, metadata.labels) = (None, None, None);
            (metadata.owner_references, metadata.finalizers) = (None, None);
        })
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                fill.send_replace(true);
            }
        })
        .touched_objects()
}

/// A watch over all namespaces with its cache, whether that holds all that was there at the beginning, and the
/// controller that it feeds.
fn watched<K>(
    client: &Client,
    wake: UnboundedReceiver<ObjectRef<Guarded<K>>>,
    stop: &CancellationToken,
) -> (Store<Guarded<K>>, watch::Receiver<bool>, Controller<Guarded<K>>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    // Not `Store::wait_until_ready`: it wakes only the last of several that wait, and the controller is one of them.
    let (fill, filled) = watch::channel(false);
    let stream = slim::<K>(client)
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                fill.send_replace(true);
            }
        })
        .touched_objects();
    let stop = stop.clone();
    let controller = Controller::for_stream(stream, store.clone())
        .reconcile_on(wake)
        .with_config(Settings::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move { stop.cancelled().await });
    (store, filled, controller)
}

/// The watch, without what is only ballast in a cache.
fn slim<K>(client: &Client) -> impl Stream<Item = watcher::Result<watcher::Event<Guarded<K>>>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<Guarded<K>> = Api::all(client.clone());
    watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff().modify(|object| {
        let metadata = object.meta_mut();
        metadata.managed_fields = None;
        // Other annotations than ours may hold anything, up to the API server's limit.
        if let Some(annotations) = metadata.annotations.as_mut() {
            annotations.retain(|key, _| key == names::SCAN_REQUESTED_ANNOTATION);
        }
    })
}

/// One reconciliation is over. An object that is gone reports itself here, and nowhere else.
fn settled<T, E, Q>(
    kind: &'static str,
    result: Result<T, RunError<E, Q>>,
    vanished: impl FnOnce(&str, &str),
) -> future::Ready<()>
where
    E: std::error::Error + 'static,
    Q: std::error::Error + 'static,
{
    match result {
        Ok(_) => {}
        Err(RunError::ObjectNotFound(reference)) => {
            let reference: ObjectRef<DynamicObject> = *reference;
            vanished(reference.namespace.as_deref().unwrap_or_default(), &reference.name);
        }
        Err(RunError::ReconcilerFailed(error, _)) => tracing::warn!(kind, %error, "reconciliation failed"),
        Err(error) => tracing::warn!(kind, %error, "watch"),
    }
    future::ready(())
}
