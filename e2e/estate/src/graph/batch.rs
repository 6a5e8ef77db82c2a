//! `$batch`: up to twenty requests in one, each judged for itself, answered in another order.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{GraphError, Payload, Reply};
use super::route::Version;
use super::{Ask, Caller};
use crate::state::State;

/// Most parts of a batch.
const MAX_PARTS: usize = 20;

#[derive(Debug, Deserialize)]
struct Batch {
    requests: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Part {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
}

/// Answers a batch. Its parts go to the version that the batch went to.
pub(crate) fn answer(state: &State, caller: &Caller, version: Version, body: &[u8]) -> Result<Reply, GraphError> {
    let batch: Batch = serde_json::from_slice(body)
        .map_err(|_| GraphError::bad_request("Invalid batch payload format: expected a 'requests' list."))?;
    if batch.requests.is_empty() || batch.requests.len() > MAX_PARTS {
        let message = format!("Number of batch request steps must be from 1 to {MAX_PARTS}.");
        return Err(GraphError::bad_request(&message));
    }
    let mut ids: Vec<&str> = batch.requests.iter().map(|part| part.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != batch.requests.len() {
        return Err(GraphError::bad_request("The ids of the requests in a batch must differ."));
    }
    let mut responses: Vec<Value> = batch.requests.iter().map(|part| single(state, caller, version, part)).collect();
    // The order of answers is not promised, so it is never the order of the requests.
    responses.reverse();
    if responses.len() > 2 {
        responses.swap(0, 1);
    }
    Ok(Reply::ok(Payload::Json(json!({"responses": responses}))))
}

fn single(state: &State, caller: &Caller, version: Version, part: &Part) -> Value {
    let (path, query) = part.url.split_once('?').unwrap_or((&part.url, ""));
    let reply = match Method::from_bytes(part.method.as_bytes()) {
        Ok(_) if path.ends_with("$batch") => GraphError::bad_request("A batch cannot hold a batch.").into(),
        Ok(method) => {
            let eventual = part.headers.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("consistencylevel")
                    && value.as_str().is_some_and(|v| v.eq_ignore_ascii_case("eventual"))
            });
            let body = part.body.as_ref().map(Value::to_string).unwrap_or_default();
            let path = super::decoded(path);
            super::answer(
                state,
                caller,
                &Ask { version, method: &method, path: path.trim_matches('/'), query, eventual, body: body.as_bytes() },
            )
        }
        Err(_) => GraphError::bad_request("Invalid method in a batch.").into(),
    };
    reply.into_part(&part.id, state)
}
