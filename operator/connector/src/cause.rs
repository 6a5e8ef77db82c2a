//! Why a request or a collection did not give what it should. Codes only: vendor text ends here.

use std::time::Duration;

use sv0_graph::CoverageState;

use crate::TokenError;

/// The closed list of causes. [`Cause::as_str`] gives the reason code that coverage and reports carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The broker has no token.
    Token(TokenError),
    /// The API refuses a token that was just issued.
    TokenRejected,
    /// 403: a permission is not granted.
    PermissionMissing,
    /// 403 for the first thing that a scan asks, and for its own permissions too: nothing that a scan begins with is
    /// granted.
    ConsentRevoked,
    /// The tenant's licence does not include the data.
    LicenseMissing,
    /// The data does not exist in the vendor's cloud that the tenant lives in.
    NotInThisCloud,
    /// The tenant that answered is not the one that was asked for.
    ForeignTenant,
    /// 429 until patience ended.
    RateLimited,
    /// Connection failures or 5xx until patience ended.
    UpstreamUnavailable,
    /// The address is private and not listed, or the host cannot be used at all.
    NetworkNotAllowed,
    /// A bound was broken: size, depth, pages, requests, a repeated cursor, another origin, a redirect.
    ResponseRefused,
    /// The answer could not be understood.
    ResponseMalformed,
    /// A list ended before the vendor's own count of it.
    LastPageLost,
    /// The page token's time is over: the collection must be read again from the start.
    PageExpired,
    /// The object is not there.
    NotFound,
    /// 400: the API does not take the request as it is.
    BadRequest,
    /// The operation belongs to a collection revision that was not accepted yet.
    CollectionNotAccepted,
    /// Something that this collection is built upon is incomplete.
    PartialCoverage,
    /// The scan's own deadline.
    DeadlineExceeded,
    /// The program was told to stop.
    Stopped,
    /// A defect of ours: the connector asked for something that its manifest does not list, or a row was refused.
    Internal,
}

impl Cause {
    /// The reason code.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason,
            Self::TokenRejected => "TokenRejected",
            Self::PermissionMissing => "PermissionMissing",
            Self::ConsentRevoked => "ConsentRevoked",
            Self::LicenseMissing => "LicenseMissing",
            Self::NotInThisCloud => "NotInThisCloud",
            Self::ForeignTenant => "ForeignTenant",
            Self::RateLimited => "RateLimited",
            Self::UpstreamUnavailable | Self::NotFound | Self::BadRequest => "UpstreamUnavailable",
            Self::NetworkNotAllowed => "NetworkNotAllowed",
            Self::ResponseRefused => "ResponseRefused",
            Self::ResponseMalformed => "ResponseMalformed",
            Self::LastPageLost | Self::PageExpired => "LastPageLost",
            Self::CollectionNotAccepted => "CollectionNotAccepted",
            Self::PartialCoverage => "PartialCoverage",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Stopped => "Lost",
            Self::Internal => "InternalError",
        }
    }

    /// What a collection that ended for this cause is.
    pub fn coverage_state(&self) -> CoverageState {
        match self {
            Self::PermissionMissing | Self::ConsentRevoked => CoverageState::Denied,
            Self::RateLimited => CoverageState::Throttled,
            Self::CollectionNotAccepted | Self::LicenseMissing | Self::NotInThisCloud => CoverageState::Skipped,
            _ => CoverageState::Partial,
        }
    }

    /// Every cause without data, so that a caller can prove that it knows all reason codes.
    pub fn all() -> Vec<Self> {
        use Cause::{
            BadRequest, CollectionNotAccepted, ConsentRevoked, DeadlineExceeded, ForeignTenant, Internal, LastPageLost,
            LicenseMissing, NetworkNotAllowed, NotFound, NotInThisCloud, PageExpired, PartialCoverage,
            PermissionMissing, RateLimited, ResponseMalformed, ResponseRefused, Stopped, TokenRejected,
            UpstreamUnavailable,
        };
        vec![
            TokenRejected,
            PermissionMissing,
            ConsentRevoked,
            LicenseMissing,
            NotInThisCloud,
            ForeignTenant,
            RateLimited,
            UpstreamUnavailable,
            NetworkNotAllowed,
            ResponseRefused,
            ResponseMalformed,
            LastPageLost,
            PageExpired,
            NotFound,
            BadRequest,
            CollectionNotAccepted,
            PartialCoverage,
            DeadlineExceeded,
            Stopped,
            Internal,
        ]
    }
}

/// A request that gave nothing, and what is known of why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", cause.as_str())]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// The permission whose absence explains it.
    pub permission: Option<String>,
    /// How long the vendor asked to wait.
    pub retry_after: Option<Duration>,
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, permission: None, retry_after: None }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let retry_after = error.retry_after_seconds.map(Duration::from_secs);
        Self { cause: Cause::Token(error), permission: None, retry_after }
    }
}
