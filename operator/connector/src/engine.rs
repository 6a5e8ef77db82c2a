//! Sends guarded requests and reads bounded answers: one token per request, retries with the vendor's `Retry-After`,
//! a request budget, a deadline, and no way around the guard. Logs operation names, status codes and counts only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::gate::Gate;
use crate::guard::{Guard, Prepared, Refusal};
use crate::manifest::Manifest;
use crate::net::{AddressRefused, NetworkPolicy};
use crate::pace::Paces;
use crate::recording::{Exchanges, Noted, Replayed};
use crate::retry::{MAX_WAIT, backoff, retry_after};
use crate::token::TokenSource;
use crate::{Cause, Failure, Secret, json};

/// Most attempts of one request.
const MAX_ATTEMPTS: u32 = 8;
/// Most attempts while the vendor cannot be reached at all.
const MAX_CONNECT_ATTEMPTS: u32 = 3;
/// Longest time for one answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(100);
/// Most bytes of an error answer that are read.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// Upper bounds on what a vendor can make a scan do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in the whole scan.
    pub max_requests: u64,
    /// Bytes of one answer.
    pub max_response_bytes: u64,
    /// Pages of one collection.
    pub max_pages: u64,
    /// Requests in flight.
    pub concurrency: u32,
}

/// How waiting is done; tests do not wait.
pub trait Pause: Send + Sync {
    /// Waits.
    fn pause(&self, time: Duration) -> BoxFuture<'_, ()>;
}

/// Really waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioPause;

impl Pause for TokioPause {
    fn pause(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// All that an engine needs besides the manifest and the tokens.
pub struct EngineConfig {
    /// Origin of each logical host of the manifest.
    pub hosts: BTreeMap<String, Url>,
    /// Bounds.
    pub limits: Limits,
    /// Addresses.
    pub network: NetworkPolicy,
    /// The collection revision that the customer accepted.
    pub accepted_revision: u32,
    /// When the scan must be over.
    pub deadline: Instant,
    /// Ends the scan early.
    pub stop: CancellationToken,
    /// Waiting.
    pub pause: Arc<dyn Pause>,
}

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests, retries included.
    pub requests: u64,
    /// 429 answers.
    pub throttled: u64,
}

/// The engine of one scan.
pub struct Engine {
    client: reqwest::Client,
    guard: Guard,
    tokens: Arc<dyn TokenSource>,
    limits: Limits,
    deadline: Instant,
    stop: CancellationToken,
    pause: Arc<dyn Pause>,
    gate: Gate,
    paces: Paces,
    requests: AtomicU64,
    throttled: AtomicU64,
    exchanges: Exchanges,
}

/// What one attempt came to.
enum Attempt {
    Done(Answer),
    Again { cause: Cause, wait: Option<Duration>, most: u32 },
    TokenRefused(Arc<Secret>),
}

/// An answer of success.
struct Answer {
    status: StatusCode,
    bytes: Vec<u8>,
}

/// How a request ends without one.
enum Ended {
    Refused(StatusCode, String),
    GaveUp(Failure),
}

impl<E: Into<Failure>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::GaveUp(error.into())
    }
}

/// The error envelope of OData services; only its code is kept.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorCode,
}

#[derive(Deserialize)]
struct ErrorCode {
    #[serde(default)]
    code: String,
}

impl Engine {
    /// Builds the client and binds the manifest's hosts.
    pub fn new(manifest: Arc<Manifest>, config: EngineConfig, tokens: Arc<dyn TokenSource>) -> Result<Self, Failure> {
        let origins: Vec<&Url> = config.hosts.values().collect();
        let client = crate::net::client(&config.network, &origins)?;
        Ok(Self {
            client,
            paces: Paces::new(&manifest),
            guard: Guard::new(manifest, config.hosts, config.accepted_revision),
            tokens,
            limits: config.limits,
            deadline: config.deadline,
            stop: config.stop,
            pause: config.pause,
            gate: Gate::new(config.limits.concurrency),
            requests: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            exchanges: Exchanges::Live,
        })
    }

    /// Says where answers come from and whether they are kept; without it they are the source system's and are not.
    #[must_use]
    pub fn with_exchanges(mut self, exchanges: Exchanges) -> Self {
        self.exchanges = exchanges;
        self
    }

    /// The guard, which alone makes requests.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What was sent so far.
    pub fn usage(&self) -> Usage {
        Usage { requests: self.requests.load(Ordering::Relaxed), throttled: self.throttled.load(Ordering::Relaxed) }
    }

    /// A refusal of the guard as a failure: not accepted yet, a lying vendor, or a defect of ours.
    pub fn refused(&self, refusal: &Refusal) -> Failure {
        match refusal {
            Refusal::NotAccepted(_) => Cause::CollectionNotAccepted.into(),
            Refusal::ForeignLink(..) | Refusal::BadValue(_) => Cause::ResponseRefused.into(),
            Refusal::Unlisted(_) | Refusal::Differs(..) => {
                tracing::error!(%refusal, "the request guard refused a request of our own");
                Cause::Internal.into()
            }
        }
    }

    /// Waits before parts of an envelope that gave nothing for `cause` are asked for again, as long as the vendor asked:
    /// slows down, and gives up after enough attempts or on a wait beyond the bound.
    pub async fn wait(&self, cause: Cause, asked: Option<Duration>, attempt: u32) -> Result<(), Failure> {
        self.gate.slow_down();
        if cause == Cause::RateLimited {
            self.throttled.fetch_add(1, Ordering::Relaxed);
        }
        let wait = asked.unwrap_or_else(|| backoff(attempt));
        if attempt + 1 >= MAX_ATTEMPTS || wait > MAX_WAIT {
            return Err(Failure { cause, permission: None, retry_after: asked });
        }
        self.sleep(wait).await
    }

    /// Sends a request until it gives an answer or patience ends, and reads the answer as `T`.
    pub async fn json<T: DeserializeOwned>(&self, request: &Prepared) -> Result<T, Failure> {
        if let Exchanges::Replayed(replay) = &self.exchanges {
            self.requests.fetch_add(1, Ordering::Relaxed);
            return match replay.answer(&self.guard, request) {
                Some(Replayed::Answered(bytes)) => parse(&bytes),
                Some(Replayed::Refused(status, code)) => Err(self.explain(request, status, &code)),
                Some(Replayed::GaveUp(failure)) => Err(failure),
                None => Err(Cause::Internal.into()),
            };
        }
        let ended = self.ask(request).await;
        let result = match &ended {
            Ok(answer) => parse(&answer.bytes),
            Err(Ended::Refused(status, code)) => Err(self.explain(request, status.as_u16(), code)),
            Err(Ended::GaveUp(failure)) => Err(failure.clone()),
        };
        if let Exchanges::Recorded(recorder) = &self.exchanges {
            let noted = match (&ended, &result) {
                (Err(Ended::Refused(status, code)), _) => Noted::Refused(status.as_u16(), code),
                (Ok(answer), Ok(_)) => Noted::Answered(answer.status.as_u16(), &answer.bytes),
                (Err(Ended::GaveUp(failure)), _) | (Ok(_), Err(failure)) => Noted::GaveUp(failure),
            };
            recorder.note(&self.guard, request, &noted);
        }
        result
    }

    /// Sends a request until it is answered or patience ends.
    async fn ask(&self, request: &Prepared) -> Result<Answer, Ended> {
        let operation = &self.guard.manifest().operations[request.operation];
        let mut token_refused = false;
        let mut attempt = 0;
        loop {
            self.may_go_on()?;
            let pace = self.paces.wait(operation.pace.as_deref(), Instant::now());
            if !pace.is_zero() {
                self.sleep(pace).await?;
            }
            let (cause, wait, most) = match self.once(request).await? {
                Attempt::Done(answer) => {
                    self.gate.succeeded();
                    return Ok(answer);
                }
                Attempt::TokenRefused(_) if token_refused => return Err(Cause::TokenRejected.into()),
                Attempt::TokenRefused(token) => {
                    self.tokens.reject(&token);
                    token_refused = true;
                    continue;
                }
                Attempt::Again { cause, wait, most } => (cause, wait, most),
            };
            attempt += 1;
            tracing::info!(operation = %operation.id, attempt, reason = cause.as_str(), "asking again");
            let pause = wait.unwrap_or_else(|| backoff(attempt - 1));
            if attempt >= most || pause > MAX_WAIT {
                return Err(Failure { cause, permission: None, retry_after: wait }.into());
            }
            self.sleep(pause).await?;
        }
    }

    fn may_go_on(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() {
            return Err(Cause::Stopped.into());
        }
        if Instant::now() >= self.deadline {
            return Err(Cause::DeadlineExceeded.into());
        }
        Ok(())
    }

    async fn sleep(&self, time: Duration) -> Result<(), Failure> {
        let slept = self.really_sleep(time).await;
        if let (Exchanges::Recorded(recorder), Err(_)) = (&self.exchanges, &slept) {
            recorder.cut_short();
        }
        slept
    }

    async fn really_sleep(&self, time: Duration) -> Result<(), Failure> {
        // What the vendor made the recorded scan wait for is over.
        if matches!(self.exchanges, Exchanges::Replayed(_)) {
            return Ok(());
        }
        if Instant::now() + time >= self.deadline {
            return Err(Cause::DeadlineExceeded.into());
        }
        tokio::select! {
            () = self.stop.cancelled() => Err(Cause::Stopped.into()),
            () = self.pause.pause(time) => Ok(()),
        }
    }

    async fn once(&self, request: &Prepared) -> Result<Attempt, Ended> {
        let _pass = self.gate.enter().await;
        let token = tokio::time::timeout_at(self.deadline, self.tokens.token());
        let token = token.await.map_err(|_| Cause::DeadlineExceeded)??;
        self.guard.admits(request).map_err(|refusal| self.refused(&refusal))?;
        if self.requests.fetch_add(1, Ordering::Relaxed) >= self.limits.max_requests {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return Err(Cause::ResponseRefused.into());
        }
        let until = self.deadline.min(Instant::now() + REQUEST_TIMEOUT);
        tokio::select! {
            () = self.stop.cancelled() => Err(Cause::Stopped.into()),
            done = tokio::time::timeout_at(until, self.exchange(request, token)) => match done {
                Ok(result) => result,
                Err(_) if Instant::now() >= self.deadline => Err(Cause::DeadlineExceeded.into()),
                Err(_) => Ok(unreachable_now()),
            },
        }
    }

    async fn exchange(&self, request: &Prepared, token: Arc<Secret>) -> Result<Attempt, Ended> {
        let mut sent =
            self.client.request(request.method.clone(), request.url.clone()).headers(self.headers(request, &token)?);
        if let Some(body) = &request.body {
            sent = sent.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = match sent.send().await {
            Ok(response) => response,
            Err(error) if leads_inside(&error) => return Err(Cause::NetworkNotAllowed.into()),
            Err(_) => return Ok(unreachable_now()),
        };
        let status = response.status();
        if status.is_success() {
            self.heed_strain(response.headers());
            return match self.read(response, self.limits.max_response_bytes).await? {
                Some(bytes) => Ok(Attempt::Done(Answer { status, bytes })),
                None => Ok(unreachable_now()),
            };
        }
        if status == StatusCode::UNAUTHORIZED {
            return Ok(Attempt::TokenRefused(token));
        }
        self.not_success(response).await
    }

    fn headers(&self, request: &Prepared, token: &Secret) -> Result<HeaderMap, Failure> {
        let mut headers = request.headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| Cause::TokenRejected)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let name = self.guard.manifest().request_id_header.as_ref();
        if let Some(name) = name.and_then(|name| reqwest::header::HeaderName::try_from(name).ok()) {
            let id = uuid::Uuid::new_v4().to_string();
            headers.insert(name, HeaderValue::try_from(id).map_err(|_| Cause::Internal)?);
        }
        Ok(headers)
    }

    /// Graph tells how much of the quota is used before it refuses.
    fn heed_strain(&self, headers: &HeaderMap) {
        let used = headers.get("x-ms-throttle-limit-percentage").and_then(|v| v.to_str().ok()?.parse::<f64>().ok());
        if used.is_some_and(|used| used >= 0.9) {
            self.gate.slow_down();
        }
    }

    async fn not_success(&self, response: Response) -> Result<Attempt, Ended> {
        let status = response.status();
        let wait =
            response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            self.gate.slow_down();
            return Ok(Attempt::Again { cause: Cause::RateLimited, wait, most: MAX_ATTEMPTS });
        }
        if status.is_server_error() {
            self.gate.slow_down();
            return Ok(Attempt::Again { cause: Cause::UpstreamUnavailable, wait, most: MAX_ATTEMPTS });
        }
        let code = match self.read(response, MAX_ERROR_BYTES).await {
            Ok(Some(bytes)) => error_code(&bytes),
            _ => String::new(),
        };
        Err(Ended::Refused(status, code))
    }

    /// What a refusing status means, for a whole answer or one part of an envelope.
    pub fn explain(&self, request: &Prepared, status: u16, code: &str) -> Failure {
        let operation = &self.guard.manifest().operations[request.operation];
        let cause = match (status, code) {
            (_, "Authentication_RequestFromNonPremiumTenantOrB2CTenant" | "AadPremiumLicenseRequired") => {
                Cause::LicenseMissing
            }
            (_, "Directory_ExpiredPageToken" | "syncStateNotFound" | "resyncRequired") | (410, _) => Cause::PageExpired,
            (401, _) => Cause::TokenRejected,
            (403, _) => Cause::PermissionMissing,
            (404, _) => Cause::NotFound,
            (429, _) => Cause::RateLimited,
            (300..400, _) => Cause::ResponseRefused,
            (400, _) => Cause::BadRequest,
            _ => Cause::UpstreamUnavailable,
        };
        tracing::info!(operation = %operation.id, status, reason = cause.as_str(), "the source system refused");
        let permission = (cause == Cause::PermissionMissing).then(|| operation.permission.clone()).flatten();
        Failure { cause, permission, retry_after: None }
    }

    /// Reads at most `most` bytes. `None` when the connection broke.
    async fn read(&self, mut response: Response, most: u64) -> Result<Option<Vec<u8>>, Failure> {
        let encoded = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
        if encoded || response.content_length().is_some_and(|length| length > most) {
            return Err(Cause::ResponseRefused.into());
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if (bytes.len() + chunk.len()) as u64 > most {
                        return Err(Cause::ResponseRefused.into());
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(None) => return Ok(Some(bytes)),
                Err(_) => return Ok(None),
            }
        }
    }
}

fn unreachable_now() -> Attempt {
    Attempt::Again { cause: Cause::UpstreamUnavailable, wait: None, most: MAX_CONNECT_ATTEMPTS }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    json::check_shape(bytes)?;
    serde_json::from_slice(bytes).map_err(|_| Cause::ResponseMalformed.into())
}

fn error_code(bytes: &[u8]) -> String {
    if json::check_shape(bytes).is_err() {
        return String::new();
    }
    serde_json::from_slice::<ErrorBody>(bytes).map(|body| body.error.code).unwrap_or_default()
}

/// Whether a request was not sent since the name led to an address that is not allowed.
pub fn leads_inside(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.is::<AddressRefused>() {
            return true;
        }
        source = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::TokenError;
    use crate::manifest::tests::SMALL;

    struct AnyToken;

    impl TokenSource for AnyToken {
        fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, TokenError>> {
            Box::pin(async { Ok(Arc::new(Secret::new("token".to_owned()))) })
        }

        fn reject(&self, _: &Arc<Secret>) {}
    }

    /// Notes how long it was asked to wait and does not wait.
    #[derive(Default)]
    struct NoPause(Mutex<Vec<Duration>>);

    impl Pause for NoPause {
        fn pause(&self, time: Duration) -> BoxFuture<'_, ()> {
            self.0.lock().unwrap().push(time);
            Box::pin(async {})
        }
    }

    async fn engine(pause: &Arc<NoPause>, deadline: Duration) -> Engine {
        crate::install_crypto_provider();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let app = axum::Router::new().fallback(|| async { "{}" });
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = EngineConfig {
            hosts: BTreeMap::from([("api".to_owned(), origin)]),
            limits: Limits { max_requests: 100, max_response_bytes: 1000, max_pages: 10, concurrency: 4 },
            network: NetworkPolicy { private_hosts: vec!["127.0.0.1".into()], ..NetworkPolicy::default() },
            accepted_revision: 1,
            deadline: Instant::now() + deadline,
            stop: CancellationToken::new(),
            pause: Arc::clone(pause) as _,
        };
        Engine::new(Arc::new(Manifest::parse(SMALL).unwrap()), config, Arc::new(AnyToken)).unwrap()
    }

    /// Two in ten seconds: the third waits ten seconds, the fifth twenty. Other requests are not held up by them.
    #[tokio::test]
    async fn a_paced_operation_waits_for_its_place_and_no_other_does() {
        let pause = Arc::new(NoPause::default());
        let engine = engine(&pause, Duration::from_mins(10)).await;
        let slow = engine.guard().prepare("slow", &[]).unwrap();
        let plain = engine.guard().prepare("listThings", &[]).unwrap();
        for _ in 0..5 {
            engine.json::<serde_json::Value>(&slow).await.unwrap();
            engine.json::<serde_json::Value>(&plain).await.unwrap();
        }
        let waits: Vec<u128> = pause.0.lock().unwrap().iter().map(|wait| wait.as_millis().div_ceil(1000)).collect();
        assert_eq!(waits, [10, 10, 20]);
        assert_eq!(engine.usage().requests, 10);
    }

    #[tokio::test]
    async fn a_place_after_the_deadline_is_not_waited_for() {
        let pause = Arc::new(NoPause::default());
        let engine = engine(&pause, Duration::from_secs(9)).await;
        let slow = engine.guard().prepare("slow", &[]).unwrap();
        for _ in 0..2 {
            engine.json::<serde_json::Value>(&slow).await.unwrap();
        }
        let late = engine.json::<serde_json::Value>(&slow).await.unwrap_err();
        assert_eq!((late.cause, engine.usage().requests), (Cause::DeadlineExceeded, 2));
    }
}
