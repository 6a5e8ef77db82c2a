//! The store's HTTP interface: paths → [`Gate`] → [`Objects`] → statuses.
//!
//! Every request is bounded: how many at a time, how long a body may be and take, and how much memory all bodies
//! together. A body is complete and its digest verified before anything is written.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use http_body_util::BodyExt as _;
use object_store::path::Path as Key;
use sv0_protocol::store::{self, MAX_LIVE_BYTES, MAX_OBJECT_BYTES, MAX_PINNED};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::client::MAX_MANIFEST_BYTES;
use crate::gate::{Access, Denied, Gate};
use crate::keys::{BadName, Blob, Home, Instance, Namespace, ScanId, Sha256, Uid};
use crate::metrics::Metrics;
use crate::objects::{ObjectError, Objects, Written};
use crate::orphans::{self, Statement};

/// Requests served at a time; more are asked to come back.
const MAX_REQUESTS: usize = 64;
/// Longest time that a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_mins(2);
/// Longest wait for memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(30);
/// Uploads of one estate at a time; more are asked to come back.
const MAX_ESTATE_UPLOADS: usize = 16;
/// Longest list of pinned snapshots.
const MAX_PINNED_BYTES: u64 = 1024;
/// Memory is lent in units of this many bytes.
const UNIT: u64 = 4096;

/// What the handlers work with.
pub struct App {
    gate: Gate,
    objects: Arc<Objects>,
    metrics: Metrics,
    memory: Semaphore,
    requests: Semaphore,
    memory_units: u64,
    shares: Mutex<HashMap<String, Weak<Share>>>,
}

/// What the uploads of one estate may take of the whole, so that one estate's slow uploads leave room for the others.
struct Share {
    uploads: Semaphore,
    memory: Semaphore,
}

impl App {
    /// `memory_bytes` bounds all bodies that are held at a time; at least one largest body always fits.
    pub fn new(gate: Gate, objects: Arc<Objects>, metrics: Metrics, memory_bytes: u64) -> Arc<Self> {
        let units = memory_bytes.max(MAX_OBJECT_BYTES).div_ceil(UNIT);
        Arc::new(Self {
            gate,
            objects,
            metrics,
            memory: Semaphore::new(permits(units)),
            requests: Semaphore::new(MAX_REQUESTS),
            memory_units: units,
            shares: Mutex::default(),
        })
    }

    fn share(&self, estate: &str) -> Arc<Share> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(estate).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        // Half of all, but enough for one largest body.
        let units = (self.memory_units / 2).max(MAX_OBJECT_BYTES.div_ceil(UNIT));
        let (uploads, memory) = (Semaphore::new(MAX_ESTATE_UPLOADS), Semaphore::new(permits(units)));
        let share = Arc::new(Share { uploads, memory });
        shares.insert(estate.to_owned(), Arc::downgrade(&share));
        share
    }
}

fn permits(units: u64) -> usize {
    usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
}

/// The interface under TLS.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/scan/{namespace}/{instance}/{uid}/parts/{sha256}", put(put_part))
        .route("/v1/scan/{namespace}/{instance}/{uid}/snapshots/{id}", put(put_manifest))
        .route("/v1/estates/{namespace}/instances/{uid}/snapshots", get(list_snapshots))
        .route("/v1/estates/{namespace}/instances/{uid}/snapshots/{id}", get(get_manifest))
        .route("/v1/estates/{namespace}/instances/{uid}/parts/{sha256}", get(get_part))
        .route("/v1/estates/{namespace}/instances/{uid}/pinned", put(put_pinned))
        .route("/v1/estates/{namespace}/instances", put(put_instances))
        .route("/v1/estates/{namespace}/packs/{sha256}", get(get_pack).put(put_pack))
        .route("/v1/estates/{namespace}/ledgers/{sha256}", get(get_ledger).put(put_ledger))
        .route("/v1/departed", get(get_departed))
        .route("/v1/departed/{namespace_uid}", put(purge_estate))
        .route("/v1/departed/{namespace_uid}/{uid}", put(purge_instance))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), bounded))
        .with_state(app)
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("send the body's length in Content-Length")]
    NoLength,
    #[error("the body is longer than this path allows")]
    TooLong,
    #[error("the body broke off or took too long")]
    BrokenBody,
    #[error("too many bodies are on their way; try again")]
    Busy,
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Name(_)
            | Self::BrokenBody
            | Self::Object(
                ObjectError::BadManifest | ObjectError::BadPins | ObjectError::BadInstances | ObjectError::FutureScan,
            ) => StatusCode::BAD_REQUEST,
            Self::Denied(Denied::Unauthenticated) => StatusCode::UNAUTHORIZED,
            Self::Denied(Denied::Forbidden) => StatusCode::FORBIDDEN,
            Self::Denied(Denied::Unavailable)
            | Self::Busy
            | Self::Object(ObjectError::Backend(_) | ObjectError::BadRecord | ObjectError::Unasked) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoLength => StatusCode::LENGTH_REQUIRED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Object(ObjectError::Missing) => StatusCode::NOT_FOUND,
            Self::Object(ObjectError::Conflict | ObjectError::NotGone) => StatusCode::CONFLICT,
            Self::Object(ObjectError::Digest) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Object(ObjectError::PartMissing) => StatusCode::FAILED_DEPENDENCY,
            Self::Object(ObjectError::Quota | ObjectError::Full) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Object(ObjectError::Backend(error)) = &self {
            // The error's text may hold keys (UIDs and digests), never source data; the caller gets none of it.
            tracing::error!(%error, "the back end failed");
        }
        let mut response = (self.status(), self.to_string()).into_response();
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        match self {
            Self::New => StatusCode::CREATED.into_response(),
            Self::Already => StatusCode::OK.into_response(),
        }
    }
}

type Answer<T = Response> = Result<T, Failure>;

async fn put_part(
    State(app): State<Arc<App>>,
    Path((namespace, instance, uid, sha256)): Path<(String, String, String, String)>,
    request: Request,
) -> Answer<Written> {
    let sha256 = Sha256::parse(&sha256)?;
    let (estate, home) = scan_home(&app, &namespace, &instance, &uid, request.headers()).await?;
    let store = |body| app.objects.put_part(&home, &sha256, body);
    let written = receive(&app, home.estate(), request, MAX_OBJECT_BYTES, store).await?;
    orphans::note(&app.objects, &estate, &Namespace::parse(&namespace)?).await?;
    Ok(written)
}

async fn put_manifest(
    State(app): State<Arc<App>>,
    Path((namespace, instance, uid, id)): Path<(String, String, String, String)>,
    request: Request,
) -> Answer<Written> {
    let id = ScanId::parse(&id)?;
    let (estate, home) = scan_home(&app, &namespace, &instance, &uid, request.headers()).await?;
    let store = |body| app.objects.put_manifest(&home, &id, body);
    let written = receive(&app, home.estate(), request, MAX_MANIFEST_BYTES, store).await?;
    orphans::note(&app.objects, &estate, &Namespace::parse(&namespace)?).await?;
    tracing::info!(namespace, instance, scan = id.as_str(), new = written == Written::New, "snapshot stored");
    Ok(written)
}

async fn list_snapshots(
    State(app): State<Arc<App>>,
    Path((namespace, uid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let home = read_home(&app, &namespace, &uid, &headers).await?;
    Ok(axum::Json(app.objects.list_snapshots(&home).await?).into_response())
}

async fn get_manifest(
    State(app): State<Arc<App>>,
    Path((namespace, uid, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let id = ScanId::parse(&id)?;
    let home = read_home(&app, &namespace, &uid, &headers).await?;
    send(&app, &home.snapshot(&id)).await
}

async fn get_part(
    State(app): State<Arc<App>>,
    Path((namespace, uid, sha256)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let sha256 = Sha256::parse(&sha256)?;
    let home = read_home(&app, &namespace, &uid, &headers).await?;
    send(&app, &home.part(&sha256)).await
}

async fn put_pinned(
    State(app): State<Arc<App>>,
    Path((namespace, uid)): Path<(String, String)>,
    request: Request,
) -> Answer<Written> {
    let instance_uid = Uid::parse(&uid)?;
    let access = Access::EstateWrite(Namespace::parse(&namespace)?);
    let home = Home::instance(&app.gate.admit(&access, bearer(request.headers())).await?, &instance_uid);
    let store = |body: Bytes| {
        let ids = pinned_ids(&body);
        let (app, home) = (&app, &home);
        async move { app.objects.pin(home, &ids?).await }
    };
    receive(&app, home.estate(), request, MAX_PINNED_BYTES, store).await
}

/// A JSON list of few scan ids.
fn pinned_ids(body: &[u8]) -> Result<BTreeSet<ScanId>, ObjectError> {
    let ids: Vec<String> = serde_json::from_slice(body).map_err(|_| ObjectError::BadPins)?;
    if ids.len() > MAX_PINNED {
        return Err(ObjectError::BadPins);
    }
    ids.iter().map(|id| ScanId::parse(id).map_err(|_| ObjectError::BadPins)).collect()
}

async fn get_pack(state: State<Arc<App>>, path: Path<(String, String)>, headers: HeaderMap) -> Answer {
    get_blob(state, path, headers, Blob::Pack).await
}

async fn get_ledger(state: State<Arc<App>>, path: Path<(String, String)>, headers: HeaderMap) -> Answer {
    get_blob(state, path, headers, Blob::Ledger).await
}

async fn put_pack(state: State<Arc<App>>, path: Path<(String, String)>, request: Request) -> Answer<Written> {
    put_blob(state, path, request, Blob::Pack).await
}

async fn put_ledger(state: State<Arc<App>>, path: Path<(String, String)>, request: Request) -> Answer<Written> {
    put_blob(state, path, request, Blob::Ledger).await
}

async fn get_blob(
    State(app): State<Arc<App>>,
    Path((namespace, sha256)): Path<(String, String)>,
    headers: HeaderMap,
    blob: Blob,
) -> Answer {
    let sha256 = Sha256::parse(&sha256)?;
    let access = Access::EstateRead(Namespace::parse(&namespace)?);
    let estate = app.gate.admit(&access, bearer(&headers)).await?;
    send(&app, &Home::blobs(&estate, blob).blob(&sha256)).await
}

async fn put_blob(
    State(app): State<Arc<App>>,
    Path((namespace, sha256)): Path<(String, String)>,
    request: Request,
    blob: Blob,
) -> Answer<Written> {
    let sha256 = Sha256::parse(&sha256)?;
    let namespace = Namespace::parse(&namespace)?;
    let access = Access::EstateWrite(namespace.clone());
    let estate = app.gate.admit(&access, bearer(request.headers())).await?;
    let store = |body| app.objects.put_blob(&estate, blob, &sha256, body);
    let written = receive(&app, Home::blobs(&estate, blob).estate(), request, MAX_OBJECT_BYTES, store).await?;
    orphans::note(&app.objects, &estate, &namespace).await?;
    Ok(written)
}

async fn put_instances(
    State(app): State<Arc<App>>,
    Path(namespace): Path<String>,
    request: Request,
) -> Answer<Written> {
    let namespace = Namespace::parse(&namespace)?;
    let access = Access::EstateWrite(namespace.clone());
    let estate = app.gate.admit(&access, bearer(request.headers())).await?;
    let store = |body: Bytes| {
        let (app, estate, namespace, said) = (&app, &estate, &namespace, Statement::read(&body));
        async move { orphans::tell(&app.objects, estate, namespace, &said?, SystemTime::now()).await }
    };
    receive(&app, Home::blobs(&estate, Blob::Pack).estate(), request, MAX_LIVE_BYTES, store).await
}

async fn get_departed(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    app.gate.admit_purge(bearer(&headers)).await?;
    Ok(axum::Json(orphans::departed(&app.objects, app.gate.reviewer(), SystemTime::now()).await?).into_response())
}

async fn purge_estate(
    State(app): State<Arc<App>>,
    Path(namespace_uid): Path<String>,
    headers: HeaderMap,
) -> Answer<Written> {
    purge(&app, &namespace_uid, None, &headers).await
}

async fn purge_instance(
    State(app): State<Arc<App>>,
    Path((namespace_uid, uid)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Written> {
    purge(&app, &namespace_uid, Some(&uid), &headers).await
}

async fn purge(app: &App, namespace_uid: &str, uid: Option<&str>, headers: &HeaderMap) -> Answer<Written> {
    let estate = Uid::parse(namespace_uid)?;
    let instance = uid.map(Uid::parse).transpose()?;
    app.gate.admit_purge(bearer(headers)).await?;
    let now = SystemTime::now();
    let written = orphans::purge(&app.objects, app.gate.reviewer(), &estate, instance.as_ref(), now).await?;
    tracing::info!(namespace_uid, instance_uid = uid, new = written == Written::New, "a purge was asked for");
    Ok(written)
}

/// Admits a scan and gives its estate and the home of its instance.
async fn scan_home(app: &App, namespace: &str, instance: &str, uid: &str, headers: &HeaderMap) -> Answer<(Uid, Home)> {
    let instance_uid = Uid::parse(uid)?;
    let access = Access::Scan {
        namespace: Namespace::parse(namespace)?,
        instance: Instance::parse(instance)?,
        instance_uid: instance_uid.clone(),
    };
    let estate = app.gate.admit(&access, bearer(headers)).await?;
    let home = Home::instance(&estate, &instance_uid);
    Ok((estate, home))
}

/// Admits a reader and gives the home of the instance that it reads.
async fn read_home(app: &App, namespace: &str, uid: &str, headers: &HeaderMap) -> Answer<Home> {
    let instance_uid = Uid::parse(uid)?;
    let access = Access::EstateRead(Namespace::parse(namespace)?);
    Ok(Home::instance(&app.gate.admit(&access, bearer(headers)).await?, &instance_uid))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Reads the whole body, within the estate's share, into borrowed memory, and has it stored.
async fn receive<F>(
    app: &App,
    estate: &str,
    request: Request,
    limit: u64,
    store: impl FnOnce(Bytes) -> F,
) -> Answer<Written>
where
    F: Future<Output = Result<Written, ObjectError>>,
{
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let length = length.ok_or(Failure::NoLength)?;
    if length > limit {
        return Err(Failure::TooLong);
    }
    let share = app.share(estate);
    let _upload = share.uploads.try_acquire().map_err(|_| Failure::Busy)?;
    let units = u32::try_from(length.div_ceil(UNIT)).map_err(|_| Failure::TooLong)?;
    // The estate's own share first: what waits for it takes nothing from the others.
    let _of_share = borrow(&share.memory, units).await?;
    let _of_all = borrow(&app.memory, units).await?;
    let body = timeout(BODY_PATIENCE, read_body(request.into_body(), length)).await;
    let body = body.map_err(|_| Failure::BrokenBody)??;
    app.metrics.received.inc_by(length);
    Ok(store(body).await?)
}

async fn borrow(memory: &Semaphore, units: u32) -> Answer<SemaphorePermit<'_>> {
    timeout(MEMORY_PATIENCE, memory.acquire_many(units)).await.ok().and_then(Result::ok).ok_or(Failure::Busy)
}

async fn read_body(mut body: Body, length: u64) -> Answer<Bytes> {
    let mut all = BytesMut::with_capacity(usize::try_from(length).map_err(|_| Failure::TooLong)?);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Failure::BrokenBody)?.into_data() else { continue };
        all.extend_from_slice(&data);
        if all.len() as u64 > length {
            return Err(Failure::TooLong);
        }
    }
    if all.len() as u64 == length { Ok(all.freeze()) } else { Err(Failure::BrokenBody) }
}

/// Streams an object out.
async fn send(app: &App, key: &Key) -> Answer {
    let object = app.objects.open(key).await?;
    let length = HeaderValue::from(object.meta.size);
    let mut response = Response::new(Body::from_stream(object.into_stream().map_err(std::io::Error::other)));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

/// Refuses what would be too much at a time, and counts every request.
async fn bounded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let operation = operation(request.method().as_str(), request.uri().path());
    let response = match app.requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Failure::Busy.into_response(),
    };
    app.metrics.requests.with_label_values(&[operation, response.status().as_str()]).inc();
    response
}

/// The metric's label: a closed list, whatever the path holds.
fn operation(method: &str, path: &str) -> &'static str {
    let kind = path.rsplit('/').nth(1).unwrap_or_default();
    match (method, path) {
        ("PUT", path) if path.ends_with("/pinned") => return "put_pinned",
        ("PUT", path) if path.ends_with("/instances") => return "put_instances",
        ("GET", store::DEPARTED_PATH) => return "list_departed",
        ("PUT", path) if path.starts_with(store::DEPARTED_PATH) => return "purge",
        _ => {}
    }
    match (method, kind, path.ends_with("/snapshots")) {
        ("GET", _, true) => "list_snapshots",
        ("GET", "snapshots", _) => "get_manifest",
        ("PUT", "snapshots", _) => "put_manifest",
        ("GET", "parts", _) => "get_part",
        ("PUT", "parts", _) => "put_part",
        ("GET", "packs", _) => "get_pack",
        ("PUT", "packs", _) => "put_pack",
        ("GET", "ledgers", _) => "get_ledger",
        ("PUT", "ledgers", _) => "put_ledger",
        _ => "other",
    }
}
