//! A vendor on loopback: serves a tenant's documents page by page as the manifest's operations ask for them, plants what
//! nobody may keep, misbehaves on demand, and notes what it was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use sv0_connector::{Manifest, Operation, Paging};
use url::Url;

use crate::fault::{Body, Fault};
use crate::route::{self, Slots};
use crate::subject::Rows;
use crate::{CANARY, Tenant};

/// How the vendor is for one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// Items on a page.
    pub(crate) page_size: usize,
    /// Lists come the other way round.
    pub(crate) reversed: bool,
    /// What goes wrong, by operation.
    pub(crate) faults: BTreeMap<String, Fault>,
}

/// What the vendor was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The operation.
    pub operation: String,
    /// What its path was about.
    pub of: String,
    /// Which page, from 0.
    pub page: usize,
    /// How many pages there are.
    pub pages: usize,
    /// Whether it came inside an envelope.
    pub enveloped: bool,
    /// Rows of this operation that the connector had given when it asked.
    pub rows_before: usize,
}

/// What the vendor noted during one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) seen: Vec<Seen>,
    /// Requests that the manifest does not list, or not so.
    pub(crate) strange: BTreeSet<String>,
    /// Operations whose fault had an effect.
    pub(crate) spoilt: BTreeSet<String>,
}

struct Cursor {
    operation: String,
    slots: Slots,
    at: usize,
}

pub(crate) struct Server {
    pub(crate) origin: Url,
    manifest: Arc<Manifest>,
    tenant: Tenant,
    words: Vec<&'static str>,
    state: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    manner: Manner,
    notes: Notes,
    cursors: Vec<Cursor>,
    rows: Arc<Rows>,
}

struct Reply {
    status: u16,
    body: Body,
}

impl Server {
    /// Listens on a free port.
    pub(crate) async fn start(
        manifest: Arc<Manifest>,
        tenant: Tenant,
        words: Vec<&'static str>,
    ) -> std::io::Result<Arc<Self>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let origin = Url::parse(&format!("http://{}", listener.local_addr()?)).map_err(std::io::Error::other)?;
        let this = Arc::new(Self { origin, manifest, tenant, words, state: Mutex::default() });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&this));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(this)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a run.
    pub(crate) fn begin(&self, manner: Manner, rows: Arc<Rows>) {
        *self.now() = Now { manner, rows, ..Now::default() };
    }

    /// What was noted in it.
    pub(crate) fn notes(&self) -> Notes {
        self.now().notes.clone()
    }

    fn strange(&self, what: &str) -> Reply {
        self.now().notes.strange.insert(what.to_owned());
        refusal(400, "BadRequest")
    }

    fn one(&self, path: &str, query: &str, enveloped: bool) -> (Reply, Option<&Operation>) {
        let token = query.strip_prefix("$skiptoken=").and_then(|token| token.parse::<usize>().ok());
        let known = match token {
            Some(token) => {
                let now = self.now();
                let cursor =
                    now.cursors.get(token).map(|cursor| (cursor.operation.clone(), cursor.slots.clone(), cursor.at));
                drop(now);
                cursor.and_then(|(id, slots, at)| Some((self.manifest.operation(&id)?.1, slots, at)))
            }
            None => route::find(&self.manifest, path, query).map(|(operation, slots)| (operation, slots, 0)),
        };
        let Some((operation, slots, at)) = known.filter(|(operation, ..)| operation.inner.is_empty()) else {
            return (self.strange("a request that no operation lists"), None);
        };
        let fault = self.now().manner.faults.get(&operation.id).cloned();
        let (body, pages, page) = self.document(operation, &slots, at, path);
        self.note(operation, &slots, (page, pages), enveloped);
        let Some(body) = body else { return (refusal(404, "Request_ResourceNotFound"), Some(operation)) };
        (self.with_fault(fault, operation, body, (page, pages)), Some(operation))
    }

    fn with_fault(&self, fault: Option<Fault>, operation: &Operation, body: Value, at: (usize, usize)) -> Reply {
        let Some(fault) = fault else { return good(Body::Json(body)) };
        let (page, pages) = at;
        let failing =
            fault.status().or((fault == Fault::LastPageFails && pages > 1 && page + 1 == pages)
                .then_some((500, "InternalServerError")));
        if let Some((status, code)) = failing {
            self.now().notes.spoilt.insert(operation.id.clone());
            return refusal(status, code);
        }
        match fault.spoil(operation, &self.words, &body) {
            Some(spoilt) => {
                self.now().notes.spoilt.insert(operation.id.clone());
                good(spoilt)
            }
            None => good(Body::Json(body)),
        }
    }

    fn note(&self, operation: &Operation, slots: &Slots, (page, pages): (usize, usize), enveloped: bool) {
        let index = self.manifest.graph_index(&operation.id);
        let mut now = self.now();
        let rows_before = index.map_or(0, |index| now.rows.count(index));
        let of = slots.values().cloned().collect::<Vec<_>>().join(" ");
        now.notes.seen.push(Seen { operation: operation.id.clone(), of, page, pages, enveloped, rows_before });
    }

    /// The page that starts at `at`, how many pages there are, and which it is.
    fn document(&self, operation: &Operation, slots: &Slots, at: usize, path: &str) -> (Option<Value>, usize, usize) {
        let of = slots.iter().find(|(name, _)| *name != "ids").map(|(_, value)| value.as_str());
        if self.tenant.is_single(&operation.id) {
            return (self.tenant.object(&operation.id, of).map(|object| planted(object.clone())), 1, 0);
        }
        let mut items: Vec<Value> = self.tenant.items(&operation.id, of).to_vec();
        if let Some(wanted) = slots.get("ids").map(|list| route::ids(list)) {
            items.retain(|item| item["id"].as_str().is_some_and(|id| wanted.iter().any(|wanted| wanted == id)));
        }
        let mut now = self.now();
        if now.manner.reversed {
            reverse(&mut items);
        }
        let size = if operation.paging == Paging::None { usize::MAX } else { now.manner.page_size };
        let pages = items.len().div_ceil(size).max(1);
        let page = at / size;
        let shown: Vec<Value> = items.iter().skip(at).take(size).cloned().map(planted).collect();
        let mut body = json!({"@odata.context": CANARY, "value": shown});
        if operation.query.contains_key("$count") && at == 0 {
            body["@odata.count"] = json!(items.len());
        }
        let fault = now.manner.faults.get(&operation.id).cloned();
        let circle = fault == Some(Fault::RepeatedCursor) && operation.paging != Paging::None;
        let lost = fault == Some(Fault::LastPageLost) && pages > 1 && page + 2 == pages;
        if lost || circle {
            now.notes.spoilt.insert(operation.id.clone());
        }
        if circle || (page + 1 < pages && !lost) {
            let next = if circle { 0 } else { at + size };
            let token = now
                .cursors
                .iter()
                .position(|c| (c.operation.as_str(), &c.slots, c.at) == (operation.id.as_str(), slots, next));
            let token = token.unwrap_or_else(|| {
                now.cursors.push(Cursor { operation: operation.id.clone(), slots: slots.clone(), at: next });
                now.cursors.len() - 1
            });
            let mut link = self.origin.clone();
            link.set_path(path);
            link.set_query(Some(&format!("$skiptoken={token}")));
            body["@odata.nextLink"] = json!(link.as_str());
        }
        (Some(body), pages, page)
    }

    /// An envelope: each request inside gets its own answer, the last one first.
    fn envelope(&self, operation: &Operation, path: &str, body: &[u8]) -> Reply {
        let version = path.strip_suffix(operation.path.as_str()).unwrap_or_default();
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut parts = Vec::new();
        for request in asked["requests"].as_array().into_iter().flatten().rev() {
            let url = request["url"].as_str().unwrap_or_default();
            let (inner_path, query) = url.split_once('?').unwrap_or((url, ""));
            let (reply, inner) = self.one(&format!("{version}{inner_path}"), query, true);
            let listed = inner.is_some_and(|inner| operation.inner.contains(&inner.id));
            if request["method"] != "GET" || !listed {
                self.strange(&format!("an envelope {} with something inside that it may not hold", operation.id));
            }
            let body = match reply.body {
                Body::Json(body) => body,
                Body::Raw(text) => json!(text),
            };
            parts.push(json!({"id": request["id"], "status": reply.status, "headers": {"x": CANARY}, "body": body}));
        }
        self.note(operation, &Slots::new(), (0, 1), false);
        let fault = self.now().manner.faults.get(&operation.id).cloned();
        self.with_fault(fault, operation, json!({ "responses": parts }), (0, 1))
    }
}

async fn answer(
    State(this): State<Arc<Server>>,
    method: axum::http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let envelope = || {
        let (operation, _) = route::find(&this.manifest, uri.path(), query)?;
        (!operation.inner.is_empty()).then_some(operation)
    };
    let (reply, operation) = match method.as_str() {
        "GET" => this.one(uri.path(), query, false),
        "POST" => match envelope() {
            Some(operation) => (this.envelope(operation, uri.path(), &body), Some(operation)),
            None => (this.strange("a POST that no operation lists"), None),
        },
        _ => (this.strange("a request that is neither GET nor an envelope"), None),
    };
    if let Some(operation) = operation {
        let wanted = this.manifest.headers.iter().chain(&operation.headers);
        for (name, value) in wanted.filter(|(name, value)| headers.get(*name).is_none_or(|sent| sent != value)) {
            this.strange(&format!("{} without the header {name}: {value}", operation.id));
        }
    }
    let text = match reply.body {
        Body::Json(body) => body.to_string(),
        Body::Raw(text) => text,
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", "application/json"), ("x-vendor", CANARY)], text).into_response()
}

fn good(body: Body) -> Reply {
    Reply { status: 200, body }
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply { status, body: Body::Json(json!({"error": {"code": code, "message": CANARY}})) }
}

/// Plants what nobody may keep into an object and all that is inside it.
fn planted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(planted).collect()),
        Value::Object(object) => {
            let mut object: Map<String, Value> =
                object.into_iter().map(|(name, value)| (name, planted(value))).collect();
            for name in ["key", "hint", "secretText", "neverHeardOf"] {
                object.entry(name).or_insert_with(|| json!(CANARY));
            }
            Value::Object(object)
        }
        scalar => scalar,
    }
}

fn reverse(items: &mut [Value]) {
    items.reverse();
    for item in items {
        match item {
            Value::Array(items) => reverse(items),
            Value::Object(object) => object.values_mut().filter_map(Value::as_array_mut).for_each(|a| reverse(a)),
            _ => {}
        }
    }
}
