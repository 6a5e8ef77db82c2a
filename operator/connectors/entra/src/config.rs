//! What an instance of this connector is bound to.

/// One tenant, read by one application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directory id: the tenant that must answer.
    pub tenant_id: String,
    /// Application id that the scan signs in as.
    pub client_id: String,
    /// Whether it signs in with a client secret, whose end is then worth knowing.
    pub uses_client_secret: bool,
    /// Whether the cloud that the tenant lives in has reports of sign-ins.
    pub has_sign_in_reports: bool,
}
