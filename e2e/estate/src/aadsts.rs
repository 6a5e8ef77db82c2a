//! Errors of the token endpoint, in the vendor's envelope.
//!
//! A code, its OAuth class, its HTTP status and its sentence; the body carries the line breaks that real answers carry,
//! so that a client which cannot read escaped text fails here too.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// An error of the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct TokenError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) retry_after: Option<u64>,
}

impl TokenError {
    fn new(status: StatusCode, error: &'static str, code: u32, message: String) -> Self {
        Self { status, error, code, message, retry_after: None }
    }

    pub(crate) fn tenant_not_found(tenant: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            90002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
            ),
        )
    }

    pub(crate) fn tenant_malformed(tenant: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            900_023,
            format!("Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."),
        )
    }

    pub(crate) fn wrong_cloud() -> Self {
        let message = "Confidential Client is not supported in Cross Cloud request.".to_owned();
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", 900_432, message)
    }

    pub(crate) fn parameter_missing(parameter: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            900_144,
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    pub(crate) fn grant_unsupported(grant: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant}'."),
        )
    }

    pub(crate) fn scope_invalid(scope: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            ),
        )
    }

    pub(crate) fn resource_unknown(resource: &str, tenant: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_resource",
            500_011,
            format!(
                "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
            ),
        )
    }

    pub(crate) fn app_not_in_tenant(app: &str, tenant: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
            ),
        )
    }

    pub(crate) fn app_disabled(app: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            7_000_112,
            format!("Application '{app}' is disabled."),
        )
    }

    pub(crate) fn service_principal_missing(app: &str, tenant: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_229,
            format!("The client application {app} is missing service principal in the tenant {tenant}."),
        )
    }

    pub(crate) fn secret_invalid(app: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'."
            ),
        )
    }

    pub(crate) fn secret_expired(app: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_222,
            format!(
                "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for your app, or consider using certificate credentials for added security."
            ),
        )
    }

    pub(crate) fn credential_missing() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.".to_owned(),
        )
    }

    pub(crate) fn assertion_malformed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", 50027, "JWT token is invalid or malformed.".to_owned())
    }

    pub(crate) fn assertion_signature() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            50013,
            "Assertion failed signature validation. [Reason - The key was not found or did not sign this token.]"
                .to_owned(),
        )
    }

    pub(crate) fn assertion_time() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range.".to_owned(),
        )
    }

    /// One code for everything that is wrong with a certificate; the reason tells them apart.
    pub(crate) fn certificate(reason: &str, thumbprint: &str, app: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{app}']."
            ),
        )
    }

    pub(crate) fn assertion_subject() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.".to_owned(),
        )
    }

    pub(crate) fn assertion_audience() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            700_023,
            "Client assertion audience claim does not match Realm issuer.".to_owned(),
        )
    }

    pub(crate) fn issuer_unreachable(issuer: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            90061,
            format!("Request to External OIDC endpoint failed. Issuer: '{issuer}'."),
        )
    }

    /// 700211 issuer, 700212 audience, 700213 subject.
    pub(crate) fn federation_mismatch(code: u32, what: &str, value: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            code,
            format!(
                "No matching federated identity record found for presented assertion {what} '{value}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
            ),
        )
    }

    /// What a fault asks for.
    pub(crate) fn injected(status: StatusCode, code: Option<u32>, retry_after: Option<u64>) -> Self {
        let (error, default) = match status {
            StatusCode::TOO_MANY_REQUESTS => ("temporarily_unavailable", 90055),
            status if status.is_server_error() => ("temporarily_unavailable", 90033),
            StatusCode::UNAUTHORIZED => ("invalid_client", 7_000_215),
            _ => ("invalid_request", 90002),
        };
        let message = "A transient error has occurred. Please try again.".to_owned();
        Self { retry_after, ..Self::new(status, error, code.unwrap_or(default), message) }
    }

    /// The body. `correlation` is echoed from the request where it has one.
    pub(crate) fn body(&self, now: Timestamp, correlation: Uuid) -> Value {
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let trace = Uuid::new_v4().to_string();
        let correlation = correlation.to_string();
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {timestamp}",
                self.code, self.message
            ),
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        })
    }
}
