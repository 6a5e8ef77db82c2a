//! A manager that has just started knows only part of the cluster. Until its caches hold all of it, it asks for nothing
//! and orders nothing: an instance that is not known yet would look like one that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::mpsc::unbounded;
use futures::poll;
use kube::Client;
use kube::client::Body;
use kube::core::DeserializeGuard;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector;
use sv0_api::{ESTATE_NAME, Estate, EstateSpec};
use tokio::sync::watch;

use crate::context::{Caches, Context, Guarded, Wakers};
use crate::telemetry::Metrics;
use crate::testing::config;

/// A client that counts its requests and finds nothing.
fn counting(requests: &Arc<AtomicUsize>) -> Client {
    let requests = Arc::clone(requests);
    let service = tower::service_fn(move |_: axum::http::Request<Body>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let missing = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;
        let response = axum::http::Response::builder().status(404).body(Body::from(missing.as_bytes().to_vec()));
        async move { response }
    });
    Client::new(service, "default")
}

fn context(client: Client, filled: [watch::Receiver<bool>; 4]) -> Arc<Context> {
    let wake = Wakers { instances: unbounded().0, estates: unbounded().0, schedules: unbounded().0 };
    let recorder = Recorder::new(client.clone(), Reporter { controller: "test".to_owned(), instance: None });
    let caches = Caches {
        instances: reflector::store().0,
        estates: reflector::store().0,
        schedules: reflector::store().0,
        exceptions: reflector::store().0,
        filled,
    };
    Arc::new(Context::new(client, config(), recorder, Metrics::new().unwrap(), wake, caches))
}

fn estate() -> Arc<Guarded<Estate>> {
    let mut estate = Estate::new(ESTATE_NAME, EstateSpec::default());
    estate.metadata.namespace = Some("team-a".to_owned());
    Arc::new(DeserializeGuard(Ok(estate)))
}

#[tokio::test]
async fn nothing_is_asked_or_ordered_before_every_cache_is_full() {
    let requests = Arc::new(AtomicUsize::new(0));
    let (fill, filled): (Vec<_>, Vec<_>) = (0..4).map(|_| watch::channel(false)).unzip();
    let ctx = context(counting(&requests), filled.try_into().unwrap());
    let mut look = Box::pin(super::reconcile(estate(), Arc::clone(&ctx)));
    for (at, cache) in fill.iter().enumerate() {
        assert!(poll!(&mut look).is_pending(), "it waits for cache {at}");
        // Requests are sent by a task of the client's own: let it run.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(requests.load(Ordering::Relaxed), 0, "it waits for cache {at}");
        cache.send_replace(true);
    }
    // Now it looks for Jobs; the API server's refusal ends the look.
    assert!(look.await.is_err());
    assert!(requests.load(Ordering::Relaxed) > 0);
}
