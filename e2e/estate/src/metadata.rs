//! A fake cloud metadata endpoint: it offers a plausible token to whoever asks, and counts.
//!
//! Tests point the well-known address here to prove that nobody asks.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use crate::state::State;
use crate::wire;

/// Every request counts, whatever its path.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

async fn answer(Shared(state): Shared<Arc<State>>, request: Request<Body>) -> Response<Body> {
    state.counters().metadata_requests += 1;
    if request.uri().path() != "/metadata/identity/oauth2/token" {
        return wire::json(StatusCode::NOT_FOUND, &json!({"error": "Not found"}));
    }
    if wire::header(&request, "metadata") != Some("true") {
        let message = "Required metadata header not specified";
        return wire::json(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request", "error_description": message}));
    }
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let resource = query.iter().find(|(key, _)| key == "resource").map_or("", |(_, value)| value);
    let now = Timestamp::now().as_second();
    let claims =
        json!({"aud": resource, "iat": now, "nbf": now, "exp": now + 86_399, "xms_mirid": "metadata-endpoint"});
    let Ok(token) = state.signing.sign(&claims) else {
        return wire::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "unknown_error"}));
    };
    let body = json!({
        "access_token": token, "refresh_token": "", "expires_in": "86399", "expires_on": (now + 86_399).to_string(),
        "not_before": now.to_string(), "resource": resource, "token_type": "Bearer",
    });
    wire::json(StatusCode::OK, &body)
}
