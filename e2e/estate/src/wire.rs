//! Small helpers for HTTP requests and answers, shared by all listeners.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use uuid::Uuid;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    body(status, "application/json; charset=utf-8", Body::from(value.to_string()))
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    body(status, "text/plain; charset=utf-8", Body::from(text.into()))
}

/// An answer with any body.
pub(crate) fn body(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Sets a header; a value that no header can carry is left out.
pub(crate) fn set(response: &mut Response<Body>, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}

/// A header as text.
pub(crate) fn header<'a>(request: &'a Request<Body>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// A header as a GUID.
pub(crate) fn header_uuid(request: &Request<Body>, name: &str) -> Option<Uuid> {
    header(request, name).and_then(|text| Uuid::parse_str(text).ok())
}
