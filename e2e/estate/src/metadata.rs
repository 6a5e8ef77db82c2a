//! A fake cloud metadata endpoint: it gives tokens of the estate's managed identities, offers a plausible one to whoever
//! asks without naming an identity, and counts.
//!
//! Tests point the well-known address here to prove that nobody asks, or that a scan with managed identity does. It
//! answers as a machine's instance metadata service, and as the identity endpoint of App Service under `/msi/token`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use http::{Request, Response, StatusCode};
use serde_json::json;

use crate::state::State;
use crate::{token, wire};

/// Every request counts, whatever its path.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new().fallback(answer).with_state(state)
}

/// What App Service puts into `IDENTITY_HEADER` here.
pub const IDENTITY_HEADER: &str = "simulated-identity-header";
const LIFETIME: i64 = 86_399;

async fn answer(Shared(state): Shared<Arc<State>>, request: Request<Body>) -> Response<Body> {
    state.counters().metadata_requests += 1;
    let app_service = match request.uri().path() {
        "/metadata/identity/oauth2/token" => false,
        "/msi/token" => true,
        _ => return wire::json(StatusCode::NOT_FOUND, &json!({"error": "Not found"})),
    };
    let fault = state.faults().strike("metadata");
    if let Some(fault) = fault {
        let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return refuse(status, "unknown", "A fault was asked for");
    }
    if !app_service && wire::header(&request, "metadata") != Some("true") {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Required metadata header not specified");
    }
    if app_service && wire::header(&request, "x-identity-header") != Some(IDENTITY_HEADER) {
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", "The identity header is wrong");
    }
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let version = if app_service { "2019-08-01" } else { "2018-02-01" };
    if query.get("api-version").is_some_and(|asked| asked != version) {
        return refuse(StatusCode::BAD_REQUEST, "bad_request_102", "The api-version is not supported");
    }
    let resource = query.get("resource").map_or("", |text| text.trim_end_matches('/'));
    let Ok(identity) = identity(&state, &query) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", "Identity not found");
    };
    let Some(token) = token(&state, identity.as_ref(), resource) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "unknown_error", "The token cannot be signed");
    };
    let now = state.now().as_second();
    let mut body = json!({
        "access_token": token, "expires_on": (now + LIFETIME).to_string(), "resource": resource, "token_type": "Bearer",
        "client_id": identity.map(|identity| identity.client_id),
    });
    if !app_service {
        body["refresh_token"] = json!("");
        body["expires_in"] = json!(LIFETIME.to_string());
        body["not_before"] = json!(now.to_string());
    }
    wire::json(StatusCode::OK, &body)
}

fn refuse(status: StatusCode, error: &str, message: &str) -> Response<Body> {
    wire::json(status, &json!({"error": error, "error_description": message}))
}

struct Identity {
    client_id: String,
    object_id: String,
    name: String,
}

/// The managed identity that a question names, if it names one. An error when there is no such identity.
fn identity(state: &State, query: &BTreeMap<String, String>) -> Result<Option<Identity>, ()> {
    let named = ["client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id"];
    let Some((field, wanted)) = named.iter().find_map(|field| query.get_key_value(*field)) else { return Ok(None) };
    let estate = state.estate();
    let found = estate.file.service_principals.iter().find(|sp| {
        let is_named = match field.as_str() {
            "client_id" => sp.app_id == *wanted,
            "object_id" | "principal_id" => sp.id == *wanted,
            _ => sp.alternative_names.iter().any(|name| name.eq_ignore_ascii_case(wanted)),
        };
        is_named && sp.service_principal_type.as_deref() == Some("ManagedIdentity") && sp.deleted.is_none()
    });
    let sp = found.ok_or(())?;
    Ok(Some(Identity { client_id: sp.app_id.clone(), object_id: sp.id.clone(), name: sp.display_name.clone() }))
}

fn token(state: &State, identity: Option<&Identity>, resource: &str) -> Option<String> {
    let now = state.now().as_second();
    let (tenant, cloud) = {
        let estate = state.estate();
        (estate.tenant_id().to_owned(), estate.file.tenant.cloud)
    };
    let claims = match identity {
        Some(identity) if resource == cloud.exchange_audience() => json!({
            "aud": resource, "iss": token::own_issuer(state).issuer, "iat": now, "nbf": now, "exp": now + LIFETIME,
            "sub": identity.object_id, "oid": identity.object_id, "azp": identity.client_id, "tid": tenant, "ver": "2.0",
        }),
        Some(identity) => {
            let of = (identity.client_id.as_str(), identity.object_id.as_str(), identity.name.as_str());
            let body = token::access_token(state, &tenant, resource, of).ok()?;
            return body["access_token"].as_str().map(str::to_owned);
        }
        None => {
            json!({"aud": resource, "iat": now, "nbf": now, "exp": now + LIFETIME, "xms_mirid": "metadata-endpoint"})
        }
    };
    state.signing.sign(&claims).ok()
}
