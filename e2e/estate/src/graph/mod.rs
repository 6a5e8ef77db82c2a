//! graph.microsoft.com, v1.0 and a little of beta: authentication, dispatch and the common headers.
//!
//! One request goes the way: bearer → route → fault → permission → licence → resource units → content → lie. The parts of a
//! `$batch` go the same way, each for itself.

mod activity;
mod batch;
mod content;
mod filter;
mod governance;
mod hostile;
mod options;
mod page;
mod properties;
mod render;
mod reply;
mod route;
mod rows;
pub(crate) mod throttle;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::state::State;
use crate::wire;
use options::Options;
use reply::{GraphError, Payload, Reply};
use route::{Route, Version};

const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Who asks: what a verified access token says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Caller {
    appid: String,
    tid: String,
    #[serde(default)]
    roles: Vec<String>,
}

impl Caller {
    fn may(&self, any_of: &[&str]) -> bool {
        any_of.is_empty() || any_of.iter().any(|permission| self.roles.iter().any(|role| role == permission))
    }

    /// Without one of these, related people are shown as "limited information": type and id only.
    fn may_read_people(&self) -> bool {
        self.may(route::PEOPLE)
    }
}

/// One request to Graph, alone or as a part of a batch.
pub(crate) struct Ask<'a> {
    version: Version,
    method: &'a Method,
    /// Path after the version, without slashes at the ends.
    path: &'a str,
    query: &'a str,
    eventual: bool,
    body: &'a [u8],
}

/// A request that was understood: what it asks, of whom, by whom.
pub(crate) struct Call<'a> {
    caller: &'a Caller,
    route: &'a Route,
    name: &'a str,
    options: &'a Options,
    ask: &'a Ask<'a>,
}

/// Answers a request to Graph.
pub(crate) async fn handle(state: &Arc<State>, request: Request<Body>) -> Response<Body> {
    let client_id = wire::header_uuid(&request, "client-request-id");
    let request_id = Uuid::new_v4();
    let redirect = state.faults().redirect.clone();
    if let Some(host) = redirect {
        let mut response = wire::body(StatusCode::FOUND, "text/html", Body::empty());
        wire::set(&mut response, "location", &format!("https://{host}{}", request.uri().path()));
        return response;
    }
    let (parts, body) = request.into_parts();
    let reply = match axum::body::to_bytes(body, MAX_BODY_BYTES).await {
        Ok(body) => whole(state, &parts, &body),
        Err(_) => GraphError::new(StatusCode::PAYLOAD_TOO_LARGE, "BadRequest", "The request is too large.").into(),
    };
    reply.into_response(request_id, client_id.unwrap_or(request_id), state)
}

fn whole(state: &State, parts: &http::request::Parts, body: &[u8]) -> Reply {
    let caller = match authenticate(state, parts) {
        Ok(caller) => caller,
        Err(error) => return error.into(),
    };
    let path = decoded(parts.uri.path());
    let Some((version, path)) = Version::of(&path) else {
        return GraphError::new(StatusCode::BAD_REQUEST, "BadRequest", "Invalid version: use v1.0 or beta.").into();
    };
    let eventual = parts
        .headers
        .get("consistencylevel")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|level| level.eq_ignore_ascii_case("eventual"));
    let ask =
        Ask { version, method: &parts.method, path, query: parts.uri.query().unwrap_or_default(), eventual, body };
    answer(state, &caller, &ask)
}

/// A path without percent escapes. (The form decoder would take a plus for a space.)
fn decoded(path: &str) -> String {
    let escaped = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(escaped.as_bytes()).map(|(key, _)| key.into_owned()).collect()
}

fn authenticate(state: &State, parts: &http::request::Parts) -> Result<Caller, GraphError> {
    let refuse = |message: &str| GraphError::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message);
    let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| refuse("Access token is empty."))?;
    let audiences = [state.estate().file.tenant.cloud.graph(), crate::reference::GRAPH_APP_ID];
    let caller: Caller = state
        .signing
        .verify(token, &audiences)
        .ok_or_else(|| refuse("Access token validation failure: signature, audience or lifetime."))?;
    if caller.tid != state.estate().file.tenant.id {
        return Err(refuse("Access token validation failure: the token is for another tenant."));
    }
    let digest = hex::encode(Sha256::digest(token));
    if state.faults().is_expired(&digest) {
        return Err(refuse("Lifetime validation failed, the token is expired."));
    }
    Ok(caller)
}

/// The whole way of one request.
fn answer(state: &State, caller: &Caller, ask: &Ask<'_>) -> Reply {
    match attempt(state, caller, ask) {
        Ok(reply) => reply,
        Err(error) => error.into(),
    }
}

fn attempt(state: &State, caller: &Caller, ask: &Ask<'_>) -> Result<Reply, GraphError> {
    let Some(route) = Route::find(ask.version, ask.method, ask.path) else {
        state.counters().write_attempts += u64::from(ask.method != Method::GET);
        return Err(GraphError::no_segment(ask.path));
    };
    let options = Options::parse(ask.query);
    let name = route.name(options.as_ref().ok().and_then(|options| options.expand.as_ref()));
    *state.counters().graph_requests.entry(name.clone()).or_default() += 1;
    let fault = state.faults().strike(&name);
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.truncate) {
        return Err(GraphError::injected(fault));
    }
    let options = options?;
    options.check(&route, ask.eventual)?;
    if !caller.may(route.permissions()) || revoked(state, &name) {
        return Err(GraphError::denied());
    }
    if let Some(plan) = route.plan().filter(|plan| !state.estate().has_plan(*plan)) {
        return Err(GraphError::licence_missing(plan));
    }
    if let Route::Batch(version) = route {
        return batch::answer(state, caller, version, ask.body);
    }
    let charge = spend(state, caller, &route, &options)?;
    let lie = state.faults().lie(&name);
    let call = Call { caller, route: &route, name: &name, options: &options, ask };
    let payload = match lie {
        Some(lie) => hostile::answer(state, &call, lie)?,
        None => Payload::Json(content::answer(state, &call)?),
    };
    let payload = if fault.is_some() { payload.cut() } else { payload };
    Ok(Reply::ok(payload).charged(charge))
}

/// Whether an administrator took the route's permission away while the scan runs. The first time, the grant goes too.
fn revoked(state: &State, route: &str) -> bool {
    let (refused, now) = state.faults().revoke(route);
    if let Some(revocation) = now
        && let Err(error) = crate::admin::take_permission(state, &revocation.app, &revocation.permission)
    {
        tracing::warn!(%error, "a permission could not be taken away");
    }
    refused
}

/// Takes the request's cost out of the application's bucket.
fn spend(state: &State, caller: &Caller, route: &Route, options: &Options) -> Result<throttle::Charge, GraphError> {
    let (server, people) = {
        let estate = state.estate();
        (estate.file.server.clone(), estate.file.users.len())
    };
    let now = Instant::now();
    let mut buckets = state.buckets();
    if route.lists_applications() && options.selects("keyCredentials") {
        let per_minute = server.key_credential_requests_per_minute;
        let bucket =
            buckets.entry("keyCredentials".to_owned()).or_insert_with(|| throttle::Bucket::new(per_minute, 60, now));
        bucket.take(1, now).map_err(GraphError::throttled)?;
    }
    if route.is_report() {
        let bucket = buckets
            .entry(format!("reports/{}", caller.appid))
            .or_insert_with(|| throttle::Bucket::new(server.report_requests, 10, now));
        bucket.take(1, now).map_err(GraphError::throttled)?;
    }
    let units = server.resource_units.unwrap_or_else(|| throttle::units_by_size(people));
    let window = server.throttle_window_seconds;
    let bucket = buckets.entry(caller.appid.clone()).or_insert_with(|| throttle::Bucket::new(units, window, now));
    bucket.take(route.cost(options), now).map_err(GraphError::throttled)
}
