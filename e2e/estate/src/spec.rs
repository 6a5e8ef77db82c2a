//! The estate file: what a simulated Microsoft tenant contains, how its servers behave, and what a scan must find.
//!
//! Takes YAML, gives plain data with every default filled in. References are still as written; [`crate::estate`]
//! resolves them. Unknown fields are refused, so that a misspelt plant is an error and not a silent pass.

mod expect;
mod governance;

use serde::{Deserialize, Serialize};

use crate::cloud::Cloud;
use crate::when::When;

pub use expect::{Expectations, ExpectedFinding, NearMiss};
pub use governance::{CredentialPolicy, DelegatedGrant, EligibleRole, Group, Lock, ServicePlan};

/// One estate file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EstateFile {
    /// The instant that `now` means. Default: the start of the UTC day on which the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<jiff::Timestamp>,
    /// The tenant.
    pub tenant: Tenant,
    /// The application that scans this estate, by key, object id or appId. Mutations apply to it unless they name another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_app: Option<String>,
    /// Whose tokens are accepted as federated client assertions, and with which keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<Issuer>,
    /// How the servers behave.
    #[serde(default)]
    pub server: Behaviour,
    /// People.
    #[serde(default)]
    pub users: Vec<User>,
    /// Application objects of this tenant, each with its service principal nested.
    #[serde(default)]
    pub applications: Vec<Application>,
    /// Service principals without an application object here: first-party, foreign, managed identities, leftovers.
    #[serde(default)]
    pub service_principals: Vec<ServicePrincipal>,
    /// Security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Application objects that are blueprints of agents; they join `applications`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_blueprints: Vec<Application>,
    /// Service principals that are agents (`blueprint` is theirs alone); they join `servicePrincipals`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_identities: Vec<ServicePrincipal>,
    /// Custom directory roles; the built-in ones are always there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_role_definitions: Vec<RoleDefinition>,
    /// Directory role assignments that the shorthand `directoryRoles` cannot express (users, scopes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_role_assignments: Vec<RoleAssignment>,
    /// Directory roles that somebody may activate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eligible_roles: Vec<EligibleRole>,
    /// Delegated permission grants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated_grants: Vec<DelegatedGrant>,
    /// App role assignments that the shorthand `graphPermissions` cannot express (other resources, dates).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_role_assignments: Vec<AppRoleAssignment>,
    /// What a scan of this estate must find, and what it must not.
    #[serde(default)]
    pub expect: Expectations,
}

/// The tenant (`organization` in Graph).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    /// Tenant id, a GUID.
    pub id: String,
    /// Name of the company.
    pub display_name: String,
    /// Verified domains, the default one first.
    pub verified_domains: Vec<String>,
    /// Which of the vendor's clouds it lives in; default `public`.
    #[serde(default)]
    pub cloud: Cloud,
    /// When the tenant was made.
    #[serde(default = "long_ago")]
    pub created: When,
    /// What it bought; default nothing, the free edition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_plans: Vec<ServicePlan>,
    /// What it bought once: listed as suspended, opens nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lapsed_plans: Vec<ServicePlan>,
    /// The tenant's own policy for credentials of applications; default off.
    #[serde(default)]
    pub credential_policy: CredentialPolicy,
    /// Policies for credentials of single applications.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_credential_policies: Vec<CredentialPolicy>,
}

/// An issuer of federated tokens. Exactly one of `jwks`, `jwksFile`, `jwksUrl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` claim, exactly.
    pub issuer: String,
    /// The key set itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// A file with the key set, read at each use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<String>,
    /// Where the key set is fetched from; fetched again when a token names a key that is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// PEM file with the authorities trusted for `jwksUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// File whose content is sent as bearer token to `jwksUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
}

/// How the simulated servers behave.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// Rows per page at most, whatever `$top` asks (Graph may always return fewer).
    pub max_page_size: usize,
    /// Life of a page token, seconds.
    pub page_token_seconds: i64,
    /// Life of an access token, seconds.
    pub token_lifetime_seconds: i64,
    /// Resource units per window for one application; default by tenant size (3,500, 5,000 or 8,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_units: Option<u32>,
    /// The throttling window, seconds.
    pub throttle_window_seconds: u32,
    /// Requests per minute that select `keyCredentials` of applications.
    pub key_credential_requests_per_minute: u32,
    /// Requests per 10 seconds to activity reports and audit records, for one application.
    pub report_requests: u32,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            max_page_size: 999,
            page_token_seconds: 1800,
            token_lifetime_seconds: 3599,
            resource_units: None,
            throttle_window_seconds: 10,
            key_credential_requests_per_minute: 150,
            report_requests: 5,
        }
    }
}

/// A person's account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// Name of this object inside the file.
    pub key: String,
    /// Object id; made from the key when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Name shown.
    pub display_name: String,
    /// Sign-in name.
    pub user_principal_name: String,
    /// Whether the account may sign in.
    #[serde(default = "yes")]
    pub account_enabled: bool,
    /// `Member` or `Guest`.
    #[serde(default = "member")]
    pub user_type: String,
    /// State of an invitation (guests).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_user_state: Option<String>,
    /// Last working day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_leave_date_time: Option<When>,
    /// When the account was made.
    #[serde(default = "long_ago")]
    pub created: When,
    /// When the account was deleted; it is then in the recycle bin and in no owner list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<When>,
}

/// An application object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Application {
    /// Name of this object inside the file. Its service principal is `<key>/sp`.
    pub key: String,
    /// Object id; made from the key when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Client id; made from the key when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_id: String,
    /// Name shown.
    pub display_name: String,
    /// When it was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<When>,
    /// Application that registered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by_app_id: Option<String>,
    /// Who may sign in; default `AzureADMyOrg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_audience: Option<String>,
    /// Disabled by the tenant: no tokens.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_disabled: bool,
    /// Status when Microsoft disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_by_microsoft_status: Option<String>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Reference into a service management system (an accountable party outside Entra).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_management_reference: Option<String>,
    /// Whether sensitive properties of the service principals are locked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub property_lock: bool,
    /// The same, property by property.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Whether it is a blueprint of agents; set for those of `agentBlueprints`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub agent_blueprint: bool,
    /// Sponsors of a blueprint: users, groups or service principals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sponsors: Vec<String>,
    /// Owners: users or service principals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Client secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub password_credentials: Vec<PasswordCredential>,
    /// Certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_credentials: Vec<KeyCredential>,
    /// Trusted external tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub federated_credentials: Vec<FederatedCredential>,
    /// Identifier URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifier_uris: Vec<String>,
    /// Roles that it defines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_roles: Vec<AppRole>,
    /// When it was deleted; it is then in the recycle bin only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<When>,
    /// Its service principal in this tenant. Absent: none, and nobody can sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_principal: Option<ServicePrincipal>,
}

/// A service principal. Nested in an application, key, appId, name and owner organisation follow from it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServicePrincipal {
    /// Name of this object inside the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Object id; made from the key when absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Client id; made from the key when absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_id: String,
    /// Name shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// `Application` (default), `ManagedIdentity`, `Legacy`, `SocialIdp`, `ServiceIdentity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_type: Option<String>,
    /// `accountEnabled: false`.
    #[serde(skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// Tenant that registered the application; `microsoft` stands for Microsoft Services. Absent in a managed identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_owner_organization_id: Option<String>,
    /// When it was made; default the application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<When>,
    /// Owners: users or service principals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Client secrets on the service principal itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub password_credentials: Vec<PasswordCredential>,
    /// Certificates on the service principal itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key_credentials: Vec<KeyCredential>,
    /// Trusted external tokens of an application that is registered in another tenant. Not shown by Graph of this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub federated_credentials: Vec<FederatedCredential>,
    /// Roles that this resource offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_roles: Vec<AppRole>,
    /// Application permissions on Microsoft Graph, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub graph_permissions: Vec<String>,
    /// Directory roles at tenant scope, by name, template id or key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directory_roles: Vec<String>,
    /// Tags; default `WindowsAzureActiveDirectoryIntegratedApp` for an application's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// `saml`, `oidc`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_single_sign_on_mode: Option<String>,
    /// Thumbprint of the SAML signing certificate in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_token_signing_key_thumbprint: Option<String>,
    /// For managed identities: `isExplicit=...` and the ARM id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternative_names: Vec<String>,
    /// Who may sign in; default that of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_audience: Option<String>,
    /// Disabled by the tenant through the application.
    #[serde(skip_serializing_if = "is_false")]
    pub is_disabled: bool,
    /// Of an agent: its blueprint, by key, object id or client id; a client id may be of another tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<String>,
    /// Sponsors of an agent: users, groups or service principals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sponsors: Vec<String>,
    /// Last sign-in with a person, as the vendor recorded it. Absent with the next one: no record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sign_in: Option<When>,
    /// Last sign-in by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_unattended_sign_in: Option<When>,
    /// When it was deleted; it is then in the recycle bin only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<When>,
}

/// A client secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordCredential {
    /// Key id; made from owner and position when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// Name shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Start.
    pub start: When,
    /// End. The vendor has no secret without one; "never" is written as 2299-12-30.
    pub end: When,
    /// The secret itself: whoever sends it may sign in. Never in any answer of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<SecretText>,
    /// Ties the password of a SAML signing certificate to its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_key_identifier: Option<String>,
    /// Last sign-in with it, as the vendor recorded it. Absent: no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<When>,
    /// User or service principal that added it, at its start: makes an audit record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
}

/// A secret of the estate file. Its debug form hides it.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether this is the secret offered. Both sides are digested first, so the time taken tells nothing of the text.
    pub fn matches(&self, offered: &str) -> bool {
        use sha2::{Digest, Sha256};
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(offered.as_bytes())
    }

    /// The first three characters, which the vendor shows as `hint`.
    pub fn hint(&self) -> String {
        self.0.chars().take(3).collect()
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// A certificate's public half.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyCredential {
    /// Key id; made from owner and position when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// Name shown, usually the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Start.
    pub start: When,
    /// End.
    pub end: When,
    /// `AsymmetricX509Cert` (default) or `X509CertAndPassword`.
    #[serde(default = "x509", rename = "type")]
    pub kind: String,
    /// `Verify` (default), `Sign` or `Encrypt`.
    #[serde(default = "verify")]
    pub usage: String,
    /// Thumbprint as Graph shall show it; else it follows from `thumbprint` or `certificatePem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_key_identifier: Option<String>,
    /// The certificate itself, PEM: whoever has its key may sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// SHA-1 thumbprint, hex; made from the certificate or the key id when absent. Shown as hex on an application and as
    /// base64 on a service principal: the vendor shows both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    /// Last sign-in with it, as the vendor recorded it. Absent: no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<When>,
    /// User or service principal that added it, at its start: makes an audit record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
}

/// A federated identity credential: whose tokens may stand in for the application's own credential.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// Object id; made from owner and position when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Name.
    pub name: String,
    /// The `iss` claim, exactly; `kubernetes` stands for the cluster's issuer (`--kubernetes-issuer`).
    pub issuer: String,
    /// The `sub` claim, exactly. Empty when an expression stands for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Flexible federation: the expression that claims must match. Only the beta version shows it, and v1.0 shows
    /// such a credential without a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims_matching_expression: Option<String>,
    /// The `aud` claim, exactly.
    #[serde(default = "exchange")]
    pub audience: String,
}

/// A role that a resource offers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppRole {
    /// Role id; made from resource and value when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Value in the `roles` claim.
    pub value: String,
    /// Name shown; default the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `Application` (default), `User`, or both.
    #[serde(default = "application_only", skip_serializing_if = "Vec::is_empty")]
    pub allowed_member_types: Vec<String>,
}

/// A custom directory role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleDefinition {
    /// Name inside the file.
    pub key: String,
    /// Role id; made from the key when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Name shown.
    pub display_name: String,
    /// Allowed resource actions.
    #[serde(default)]
    pub actions: Vec<String>,
}

/// A directory role assignment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleAssignment {
    /// Assignment id; made from its parts when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// User, group or service principal.
    pub principal: String,
    /// Role by name, template id or key.
    pub role: String,
    /// `/` (default), `/administrativeUnits/{id}` or `/{application object id}`; a key after the slash is resolved.
    #[serde(default = "tenant_scope")]
    pub scope: String,
    /// From when; default when the tenant was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<When>,
    /// Until when; absent: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<When>,
    /// Whether it is the activation of an eligible role.
    #[serde(default, skip_serializing_if = "is_false")]
    pub activated: bool,
}

/// An app role assignment (application permission).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppRoleAssignment {
    /// Assignment id; made from its parts when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// User, group or service principal that holds the role.
    pub principal: String,
    /// Service principal of the resource; default Microsoft Graph.
    #[serde(default = "graph_key")]
    pub resource: String,
    /// Role by value or id; `default` is default access (the zero id), which is no permission.
    pub role: String,
    /// When it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<When>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn member() -> String {
    "Member".to_owned()
}

fn long_ago() -> When {
    When::Relative(jiff::SignedDuration::from_hours(-24 * 2000))
}

fn x509() -> String {
    "AsymmetricX509Cert".to_owned()
}

fn verify() -> String {
    "Verify".to_owned()
}

fn exchange() -> String {
    "api://AzureADTokenExchange".to_owned()
}

fn application_only() -> Vec<String> {
    vec!["Application".to_owned()]
}

fn tenant_scope() -> String {
    "/".to_owned()
}

fn graph_key() -> String {
    crate::reference::GRAPH_KEY.to_owned()
}
