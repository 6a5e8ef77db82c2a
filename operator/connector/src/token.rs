//! The port through which a connector gets access tokens without knowing where they come from.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::Secret;

/// Gives access tokens for the one resource that a connector talks to.
pub trait TokenSource: Send + Sync {
    /// A token that is valid for some minutes at least.
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, TokenError>>;

    /// The API did not accept `token`: it must not be given out again.
    fn reject(&self, token: &Arc<Secret>);
}

/// Why there is no token. Carries codes only, never the identity provider's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no access token: {reason}")]
pub struct TokenError {
    /// A reason code of the closed list (`CredentialInvalid`, ...).
    pub reason: &'static str,
    /// The vendor's own code in its documented form (`AADSTS7000215`), when there is one.
    pub vendor_code: Option<String>,
    /// Whether the cause may pass by itself.
    pub transient: bool,
    /// Seconds that the vendor asked to wait.
    pub retry_after_seconds: Option<u64>,
}
