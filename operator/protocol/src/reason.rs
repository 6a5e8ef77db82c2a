//! The closed list of reasons: why a scan or an instance is not well. Each is one CamelCase word in a condition.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// Why something is not as it should be. Closed: conditions carry these words and our sentences only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The secret is not one of the application's (AADSTS7000215).
    CredentialInvalid,
    /// The secret's or certificate's time is over (AADSTS7000222).
    CredentialExpired,
    /// No Secret, no key in it, or the request carried no credential (AADSTS7000218).
    CredentialMissing,
    /// The certificate is not registered on the application (AADSTS700027).
    CertificateNotRegistered,
    /// The certificate or its key cannot be read, is not RSA, or the two do not belong together.
    CertificateUnreadable,
    /// The credential ends within 30 days.
    CredentialExpiring,
    /// The assertion's times are outside what the vendor's clock allows (AADSTS700024).
    AssertionTimeInvalid,
    /// The vendor knows no such tenant (AADSTS90002).
    TenantNotFound,
    /// The tenant id is no tenant id (AADSTS900023).
    TenantIdMalformed,
    /// The tenant restricts who may sign in to it (AADSTS50020, 500021, 500022, 50002).
    TenantRestricted,
    /// The application is not present in the tenant (AADSTS700016).
    AppNotInTenant,
    /// The application is disabled (AADSTS7000112).
    AppDisabled,
    /// The application has no service principal in the tenant: consent was revoked (AADSTS7000229).
    ServicePrincipalMissing,
    /// Consent has not been given (AADSTS65001).
    ConsentRequired,
    /// What is granted is not what was consented to.
    ConsentDrifted,
    /// What was consented to is withdrawn.
    ConsentRevoked,
    /// Issuer, subject or audience differ from the federated credential (AADSTS70021, 700211, 700212, 700213).
    FederationMismatch,
    /// The vendor cannot fetch the cluster's issuer keys (AADSTS90061).
    FederationIssuerUnreachable,
    /// The cluster exchanges tokens through a proxy of its own (AKS identity bindings).
    IdentityBindingUnsupported,
    /// The platform did not attach the managed identity to this workload.
    ManagedIdentityNotAssigned,
    /// The place that gives tokens of managed identities does not answer.
    ManagedIdentityUnreachable,
    /// The tenant lives in another of the vendor's clouds.
    WrongCloud,
    /// The resource asked for does not exist in the tenant (AADSTS500011).
    ResourceNotInTenant,
    /// Conditional access refuses the workload (AADSTS53003).
    BlockedByConditionalAccess,
    /// The identity provider throttles.
    AuthThrottled,
    /// The identity provider has an outage.
    IdentityProviderUnavailable,
    /// Authentication failed in a way that none of the others names.
    AuthenticationFailed,
    /// The vendor's API does not accept the token it issued.
    TokenRejected,
    /// A permission is not granted.
    PermissionMissing,
    /// The tenant's licence does not include the data.
    LicenseMissing,
    /// The vendor's cloud of this tenant does not offer the data.
    NotInThisCloud,
    /// The Secret's `target` is not the host or tenant in the spec.
    TargetMismatch,
    /// The tenant that answered is not the tenant in the spec.
    ForeignTenant,
    /// The namespace is not listed as an estate.
    NotAnEstate,
    /// The estate has as many instances as one evaluation takes, all of them older.
    EstateFull,
    /// What one evaluation of the estate would store is larger than can be read again.
    EstateTooLarge,
    /// The schedule can never fire or its time zone is unknown.
    InvalidSchedule,
    /// The spec cannot be carried out as written.
    InvalidConfiguration,
    /// The ServiceAccount does not exist.
    ServiceAccountMissing,
    /// The ServiceAccount is not labelled for scans.
    ServiceAccountNotAllowed,
    /// A ResourceQuota leaves no room for the Job's pod.
    QuotaExceeded,
    /// Admission refused the Job's pod.
    PodRefused,
    /// The image cannot be pulled.
    ImagePullFailed,
    /// No node takes the pod.
    Unschedulable,
    /// The pod vanished before it could report.
    Lost,
    /// The scan's own deadline passed.
    DeadlineExceeded,
    /// The program ended without a readable report.
    ReportUnreadable,
    /// The vendor throttles.
    RateLimited,
    /// The vendor's API cannot be reached or fails.
    UpstreamUnavailable,
    /// The address is private or not allowed by the operator's configuration.
    NetworkNotAllowed,
    /// The vendor's answer broke a bound: size, pages, depth, a repeated cursor, another origin, a redirect.
    ResponseRefused,
    /// The vendor's answer could not be understood.
    ResponseMalformed,
    /// A list ended before the vendor's own count of it, or its last page was lost.
    LastPageLost,
    /// Not asked for until the customer accepts the newer collection revision.
    CollectionNotAccepted,
    /// Some collections are incomplete.
    PartialCoverage,
    /// The store cannot be reached or refuses.
    StoreUnavailable,
    /// The store has no room left for this instance.
    StoreFull,
    /// Suspended by its owner.
    Suspended,
    /// A defect of the operator.
    InternalError,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
