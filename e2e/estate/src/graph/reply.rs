//! Answers of Graph: content or an error in its envelope, with the headers that go with it.

use axum::body::Body;
use futures::StreamExt;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::throttle::Charge;
use crate::faults::Fault;
use crate::spec::ServicePlan;
use crate::state::State;
use crate::wire;

/// An error of Graph.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after: Option<u64>,
}

impl GraphError {
    pub(crate) fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), retry_after: None }
    }

    pub(crate) fn bad_request(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn unsupported_query(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }

    pub(crate) fn no_segment(path: &str) -> Self {
        let segment = path.split('/').next_back().unwrap_or_default();
        let message = format!("Resource not found for the segment '{segment}'.");
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", &message)
    }

    pub(crate) fn not_found(id: &str) -> Self {
        let message =
            format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present.");
        Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", &message)
    }

    pub(crate) fn denied() -> Self {
        let message = "Insufficient privileges to complete the operation.";
        Self::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message)
    }

    /// The tenant did not buy what the call needs.
    pub(crate) fn licence_missing(plan: ServicePlan) -> Self {
        match plan {
            ServicePlan::P2 => Self::new(
                StatusCode::BAD_REQUEST,
                "AadPremiumLicenseRequired",
                "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
            ),
            ServicePlan::P1 | ServicePlan::WorkloadIdentities => Self::new(
                StatusCode::FORBIDDEN,
                "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
                "Neither tenant is B2C or tenant doesn't have premium license",
            ),
        }
    }

    pub(crate) fn expired_page() -> Self {
        let message = "The specified page token value has expired and can no longer be included in your request.";
        Self::new(StatusCode::BAD_REQUEST, "Directory_ExpiredPageToken", message)
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "serviceNotAvailable", "The service is temporarily unavailable.")
    }

    pub(crate) fn throttled(seconds: u64) -> Self {
        let message = "Too many requests from Identifier:<id> under category:aadgraph.app. Please try again later.";
        let retry_after = Some(seconds);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message) }
    }

    /// What a fault asks for.
    pub(crate) fn injected(fault: &Fault) -> Self {
        let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let (code, message) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("TooManyRequests", "Too many requests. Please try again later."),
            StatusCode::FORBIDDEN => {
                ("Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
            }
            StatusCode::UNAUTHORIZED => ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
            status if status.is_server_error() => ("serviceNotAvailable", "The service is temporarily unavailable."),
            _ => ("BadRequest", "The request cannot be processed."),
        };
        let code = fault.code.as_deref().unwrap_or(code);
        Self { retry_after: fault.retry_after, ..Self::new(status, code, message) }
    }

    /// The envelope. `ids` are the request's own id and the client's.
    fn body(&self, ids: (Uuid, Uuid)) -> Value {
        json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": ids.0.to_string(),
                "client-request-id": ids.1.to_string(),
            },
        }})
    }
}

/// Bytes of an answer, truthful or not.
pub(crate) enum Payload {
    Json(Value),
    Raw {
        content_type: &'static str,
        body: Vec<u8>,
        slowly: bool,
    },
    /// So many bytes of a list that never closes.
    Endless(u64),
    /// Half of a body, and then the connection breaks.
    Broken(Vec<u8>),
}

impl Payload {
    /// The same answer, broken off in the middle.
    pub(crate) fn cut(self) -> Self {
        match self {
            Self::Json(value) => {
                let mut text = value.to_string().into_bytes();
                text.truncate(text.len() / 2);
                Self::Broken(text)
            }
            other => other,
        }
    }
}

/// An answer.
pub(crate) struct Reply {
    result: Result<Payload, GraphError>,
    charge: Option<Charge>,
}

impl From<GraphError> for Reply {
    fn from(error: GraphError) -> Self {
        Self { result: Err(error), charge: None }
    }
}

impl Reply {
    pub(crate) fn ok(payload: Payload) -> Self {
        Self { result: Ok(payload), charge: None }
    }

    pub(crate) fn charged(self, charge: Charge) -> Self {
        Self { charge: Some(charge), ..self }
    }

    fn status(&self) -> StatusCode {
        self.result.as_ref().map_or_else(|error| error.status, |_| StatusCode::OK)
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(charge) = self.charge {
            headers.push(("x-ms-resource-unit", charge.units.to_string()));
            if charge.used > 0.8 {
                headers.push(("x-ms-throttle-limit-percentage", format!("{:.2}", charge.used)));
            }
        }
        if let Err(error) = &self.result {
            if let Some(seconds) = error.retry_after {
                headers.push(("Retry-After", seconds.to_string()));
            }
            if error.status == StatusCode::TOO_MANY_REQUESTS {
                headers.push(("x-ms-throttle-scope", "Tenant_Application/ReadWrite".to_owned()));
                headers.push(("x-ms-throttle-information", "ResourceUnitLimitExceeded".to_owned()));
            }
            if error.status == StatusCode::UNAUTHORIZED {
                headers.push(("www-authenticate", "Bearer realm=\"\", error=\"invalid_token\"".to_owned()));
            }
        }
        headers
    }

    /// As the part of a batch's answer that stands for request `id`.
    pub(crate) fn into_part(self, id: &str, state: &State) -> Value {
        count(state, self.status());
        let mut headers = Map::from_iter([("Content-Type".to_owned(), json!("application/json"))]);
        headers.extend(self.headers().into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        let status = self.status().as_u16();
        let body = match self.result {
            Ok(Payload::Json(value)) => value,
            Ok(Payload::Raw { body, .. } | Payload::Broken(body)) => {
                Value::String(String::from_utf8_lossy(&body).into_owned())
            }
            Ok(Payload::Endless(_)) => Value::Null,
            Err(error) => error.body((Uuid::new_v4(), Uuid::new_v4())),
        };
        json!({"id": id, "status": status, "headers": headers, "body": body})
    }

    /// As an HTTP answer.
    pub(crate) fn into_response(self, request_id: Uuid, client_id: Uuid, state: &State) -> Response<Body> {
        count(state, self.status());
        let (status, headers) = (self.status(), self.headers());
        let mut response = match self.result {
            Ok(Payload::Json(value)) => wire::body(status, ODATA_JSON, Body::from(value.to_string())),
            Ok(Payload::Raw { content_type, body, slowly: false }) => {
                wire::body(status, content_type, Body::from(body))
            }
            Ok(Payload::Raw { content_type, body, slowly: true }) => wire::body(status, content_type, dribble(body)),
            Ok(Payload::Broken(half)) => wire::body(status, ODATA_JSON, broken(half)),
            Ok(Payload::Endless(bytes)) => wire::body(status, ODATA_JSON, endless(bytes)),
            Err(error) => {
                wire::body(status, "application/json", Body::from(error.body((request_id, client_id)).to_string()))
            }
        };
        wire::set(&mut response, "request-id", &request_id.to_string());
        wire::set(&mut response, "client-request-id", &client_id.to_string());
        for (name, value) in headers {
            wire::set(&mut response, name, &value);
        }
        response
    }
}

const ODATA_JSON: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

fn count(state: &State, status: StatusCode) {
    *state.counters().graph_statuses.entry(status.as_u16().to_string()).or_default() += 1;
}

/// A byte per second.
fn dribble(bytes: Vec<u8>) -> Body {
    let stream = futures::stream::iter(bytes).then(|byte| async move {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok::<_, std::io::Error>(bytes::Bytes::copy_from_slice(&[byte]))
    });
    Body::from_stream(stream)
}

/// Some bytes, and then the connection ends without a word. The pause lets status and bytes out first.
fn broken(half: Vec<u8>) -> Body {
    let end = futures::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Err(std::io::Error::other("broken off"))
    });
    Body::from_stream(futures::stream::iter([Ok(bytes::Bytes::from(half))]).chain(end))
}

/// A list that goes on for `total` bytes and then breaks off.
fn endless(total: u64) -> Body {
    const ROW: &str = "{\"id\":\"00000000-0000-4000-8000-000000000000\",\"displayName\":\"again and again\"},";
    let chunk = bytes::Bytes::from(ROW.repeat(800));
    let chunks = total / (chunk.len() as u64) + 1;
    let head = futures::stream::iter([bytes::Bytes::from_static(b"{\"value\":[")]);
    let rows = futures::stream::iter((0..chunks).map(move |_| chunk.clone()));
    Body::from_stream(head.chain(rows).map(Ok::<_, std::io::Error>))
}
