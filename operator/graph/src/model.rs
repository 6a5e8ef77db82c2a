//! The closed vocabulary: what a node, an edge, a fact and a coverage record are. No behaviour beyond construction.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Identity of a node: `<system>:<tenant>:<Kind>:<vendor's immutable id>`. Names are attributes, never identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub(crate) String);

impl NodeId {
    /// Joins the four parts. `vendor_id` may itself contain colons; the first three parts may not.
    pub fn new(system: &str, tenant: &str, kind: NodeKind, vendor_id: &str) -> Self {
        Self(format!("{system}:{tenant}:{kind}:{vendor_id}"))
    }

    /// The whole identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `entra`, `azure`, `aws`, ...
    pub fn system(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The tenant, account or organisation that the vendor says this object lives in.
    pub fn tenant(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// The kind, when the text names one of the vocabulary.
    pub fn kind(&self) -> Option<NodeKind> {
        NodeKind::in_id(&self.0)
    }

    /// The vendor's immutable identifier.
    pub fn vendor_id(&self) -> &str {
        self.0.splitn(4, ':').nth(3).unwrap_or_default()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node is. Closed: a new kind is a change of the snapshot format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeKind {
    /// A registered application: Entra application, GitHub App, OAuth client.
    Application,
    /// An application's identity inside one tenant.
    ServicePrincipal,
    /// An identity whose credentials the platform keeps.
    ManagedIdentity,
    /// An identity made for an AI agent.
    AgentIdentity,
    /// An AWS IAM role.
    Role,
    /// A machine account of a system that has no applications.
    ServiceAccount,
    /// A person, read only when an automation, identity or credential refers to them.
    Human,
    /// A group of principals.
    Group,
    /// An (issuer, subject, audience) that may become an identity.
    FederatedSubject,
    /// A secret, certificate, key or token: its metadata, never its value.
    Credential,
    /// Something that vouches for foreign subjects.
    TrustProvider,
    /// An AI agent.
    Agent,
    /// A flow, state machine, pipeline or rule.
    Workflow,
    /// A function, runbook or script.
    Function,
    /// A machine or workload that carries an identity.
    Compute,
    /// A stored connection to another system.
    Connection,
    /// A tenant, account, organisation or instance.
    System,
    /// A container of resources: management group, subscription, administrative unit, repository.
    Scope,
    /// A thing that authority is about: a vault, a site, an API.
    Resource,
    /// A normalised network endpoint.
    Endpoint,
    /// A kind of data from a closed list.
    DataDomain,
    /// A resource or endpoint that data is delivered to.
    Destination,
}

impl NodeKind {
    /// Every kind, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::Application,
        Self::ServicePrincipal,
        Self::ManagedIdentity,
        Self::AgentIdentity,
        Self::Role,
        Self::ServiceAccount,
        Self::Human,
        Self::Group,
        Self::FederatedSubject,
        Self::Credential,
        Self::TrustProvider,
        Self::Agent,
        Self::Workflow,
        Self::Function,
        Self::Compute,
        Self::Connection,
        Self::System,
        Self::Scope,
        Self::Resource,
        Self::Endpoint,
        Self::DataDomain,
        Self::Destination,
    ];

    /// The kind inside an identifier.
    pub(crate) fn in_id(id: &str) -> Option<Self> {
        Self::of(id.split(':').nth(2)?)
    }

    /// The kind that this word names.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// The word, as it stands in identifiers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "Application",
            Self::ServicePrincipal => "ServicePrincipal",
            Self::ManagedIdentity => "ManagedIdentity",
            Self::AgentIdentity => "AgentIdentity",
            Self::Role => "Role",
            Self::ServiceAccount => "ServiceAccount",
            Self::Human => "Human",
            Self::Group => "Group",
            Self::FederatedSubject => "FederatedSubject",
            Self::Credential => "Credential",
            Self::TrustProvider => "TrustProvider",
            Self::Agent => "Agent",
            Self::Workflow => "Workflow",
            Self::Function => "Function",
            Self::Compute => "Compute",
            Self::Connection => "Connection",
            Self::System => "System",
            Self::Scope => "Scope",
            Self::Resource => "Resource",
            Self::Endpoint => "Endpoint",
            Self::DataDomain => "DataDomain",
            Self::Destination => "Destination",
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an edge says. The direction is the direction of authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EdgeKind {
    /// Recorded accountable owner → what is owned.
    Owns,
    /// Sponsor → agent identity.
    Sponsors,
    /// Object → who made it; never treated as an owner.
    CreatedBy,
    /// Object → an external record that answers for it.
    AccountableTo,
    /// Principal → group.
    MemberOf,
    /// Application → its service principal.
    Instantiates,
    /// Identity → credential.
    HoldsCredential,
    /// Credential or federated subject → identity.
    AuthenticatesAs,
    /// Identity → principal, provider or subject pattern that it trusts.
    Trusts,
    /// Principal → identity that it can become.
    CanAssume,
    /// Principal → scope or resource, with the role or permission in `role`.
    Granted,
    /// Service principal → resource, on behalf of users.
    DelegatedGrant,
    /// Scope → scope or resource.
    Contains,
    /// What can cancel or narrow authority.
    Guard,
    /// Principal → what it can change the authority of.
    CanControl,
    /// Automation → identity.
    RunsAs,
    /// Automation → connection.
    UsesConnection,
    /// Connection → credential or identity.
    Presents,
    /// Connection → endpoint or system.
    ConnectsTo,
    /// Automation → what its definition calls.
    Calls,
    /// Event or schedule → automation.
    Triggers,
    /// Node ↔ node of another connector.
    SameAs,
    /// Principal → resource or data domain that it can read, composed of grants.
    CanRead,
    /// Principal → resource or data domain that it can change, composed of grants.
    CanWrite,
    /// Principal → automation or compute that it can start or run code in, composed of grants.
    CanExecute,
    /// Principal → scope or resource whose settings and grants it can change, composed of grants.
    CanAdmin,
    /// Principal → credential or secret store whose secret it can read, composed of grants.
    CanReadSecret,
    /// Endpoint → the system or automation that answers there.
    HostedBy,
    /// Automation → resource or data domain that its definition reads.
    ReadsFrom,
    /// Automation → resource or data domain that its definition writes.
    WritesTo,
    /// Automation → destination that its definition sends data to.
    DeliversTo,
    /// Person, group or everybody → destination whose content they see.
    AudienceOf,
    /// Resource → kind of data that it holds.
    HoldsData,
    /// Identity, credential or automation → what it was seen using, by the vendor's records.
    Used,
}

impl EdgeKind {
    /// Every kind, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::Owns,
        Self::Sponsors,
        Self::CreatedBy,
        Self::AccountableTo,
        Self::MemberOf,
        Self::Instantiates,
        Self::HoldsCredential,
        Self::AuthenticatesAs,
        Self::Trusts,
        Self::CanAssume,
        Self::Granted,
        Self::DelegatedGrant,
        Self::Contains,
        Self::Guard,
        Self::CanControl,
        Self::RunsAs,
        Self::UsesConnection,
        Self::Presents,
        Self::ConnectsTo,
        Self::Calls,
        Self::Triggers,
        Self::SameAs,
        Self::CanRead,
        Self::CanWrite,
        Self::CanExecute,
        Self::CanAdmin,
        Self::CanReadSecret,
        Self::HostedBy,
        Self::ReadsFrom,
        Self::WritesTo,
        Self::DeliversTo,
        Self::AudienceOf,
        Self::HoldsData,
        Self::Used,
    ];

    /// The word, as it stands in rows and findings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owns => "OWNS",
            Self::Sponsors => "SPONSORS",
            Self::CreatedBy => "CREATED_BY",
            Self::AccountableTo => "ACCOUNTABLE_TO",
            Self::MemberOf => "MEMBER_OF",
            Self::Instantiates => "INSTANTIATES",
            Self::HoldsCredential => "HOLDS_CREDENTIAL",
            Self::AuthenticatesAs => "AUTHENTICATES_AS",
            Self::Trusts => "TRUSTS",
            Self::CanAssume => "CAN_ASSUME",
            Self::Granted => "GRANTED",
            Self::DelegatedGrant => "DELEGATED_GRANT",
            Self::Contains => "CONTAINS",
            Self::Guard => "GUARD",
            Self::CanControl => "CAN_CONTROL",
            Self::RunsAs => "RUNS_AS",
            Self::UsesConnection => "USES_CONNECTION",
            Self::Presents => "PRESENTS",
            Self::ConnectsTo => "CONNECTS_TO",
            Self::Calls => "CALLS",
            Self::Triggers => "TRIGGERS",
            Self::SameAs => "SAME_AS",
            Self::CanRead => "CAN_READ",
            Self::CanWrite => "CAN_WRITE",
            Self::CanExecute => "CAN_EXECUTE",
            Self::CanAdmin => "CAN_ADMIN",
            Self::CanReadSecret => "CAN_READ_SECRET",
            Self::HostedBy => "HOSTED_BY",
            Self::ReadsFrom => "READS_FROM",
            Self::WritesTo => "WRITES_TO",
            Self::DeliversTo => "DELIVERS_TO",
            Self::AudienceOf => "AUDIENCE_OF",
            Self::HoldsData => "HOLDS_DATA",
            Self::Used => "USED",
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the authority of an edge holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeState {
    /// Holds now.
    #[default]
    Active,
    /// May be activated by its holder.
    Eligible,
    /// Recorded, but gives nothing now.
    Disabled,
}

/// A fact's value. Instants are RFC 3339 strings in UTC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A count.
    Int(i64),
    /// Text or an instant.
    Text(String),
    /// Several texts, in the connector's canonical order.
    List(Vec<String>),
}

/// One row about a node. Several rows may speak of the same node (one per vendor call); loading merges them.
///
/// A fact's provenance is the operation `op` of the row that carries it, the node's vendor id and the attribute's
/// vendor field (see [`attr`]): that is the evidence, kept by reference instead of once more per fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRow {
    /// Identity.
    pub id: NodeId,
    /// Kind; must equal the kind inside `id`.
    pub kind: NodeKind,
    /// Index into [`Header::operations`]: the call that told this.
    pub op: u16,
    /// Facts by attribute name. An absent attribute is *not collected*, never false.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attrs: BTreeMap<String, Value>,
}

/// One row about an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeRow {
    /// Where authority starts.
    pub from: NodeId,
    /// What the edge says.
    pub kind: EdgeKind,
    /// Where it leads.
    pub to: NodeId,
    /// Index into [`Header::operations`].
    pub op: u16,
    /// The vendor's id of the assignment, grant or binding itself, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Role or permission id: directory-role template id, app-role id, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Vendor's scope of the grant: `/` is the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Present when the vendor attaches a condition; an unparsed one makes the edge `Unknown`, never `True`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether it holds now.
    #[serde(default)]
    pub state: EdgeState,
    /// When the grant was made, by the vendor's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<jiff::Timestamp>,
    /// When it ends by itself, by the vendor's word. Absent = no end is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<jiff::Timestamp>,
}

/// How completely one collection was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoverageState {
    /// All of it: the only state over which a negative may be `True`.
    Complete,
    /// Some of it.
    Partial,
    /// The source system refused.
    Denied,
    /// The source system's limits cut it off.
    Throttled,
    /// Not asked for: configuration, licence, or not yet accepted.
    Skipped,
}

/// What was seen of one collection in one scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// Name from the connector's manifest: `applications`, `applicationOwners`, ...
    pub collection: String,
    /// What part of the source system: `tenant`, a subscription id, ...
    pub scope: String,
    /// How completely.
    pub state: CoverageState,
    /// Why not complete: a reason code of ours (`PermissionMissing`, `RateLimited`, `LastPageLost` ...), never vendor text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The permission whose absence explains a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<String>,
    /// Pages read.
    pub pages: u64,
    /// Rows read.
    pub items: u64,
}

/// One vendor call that rows refer to by index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The connector's name for it, unique in its manifest: `listApplications`.
    pub id: String,
    /// The vendor's API: `Microsoft Graph`.
    pub api: String,
    /// The vendor's API version: `v1.0`.
    pub version: String,
    /// Method and path template: `GET /applications`.
    pub path: String,
    /// The collection that it feeds.
    pub collection: String,
}

/// What stands at the head of a snapshot. Only here are times and scan ids kept, so that the rows of an unchanged
/// estate are byte-identical from scan to scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `securityv0.snapshot/1`.
    pub format: String,
    /// `entra`, ...
    pub system: String,
    /// The tenant that the source system itself proved to be (not the one that was asked for).
    pub tenant: String,
    /// The instance's name, unique in the estate.
    pub instance: String,
    /// The instance's UID: a re-created instance inherits nothing.
    pub instance_uid: String,
    /// Sortable id of the scan.
    pub scan_id: String,
    /// When the scan began: the observation time of all its facts.
    pub observed_at: jiff::Timestamp,
    /// When it ended.
    pub finished_at: jiff::Timestamp,
    /// Connector name and version.
    pub connector: String,
    /// The revision of the collection that ran.
    pub collection_revision: u32,
    /// The calls that rows refer to.
    pub operations: Vec<Operation>,
    /// Sorted by (collection, scope).
    pub coverage: Vec<Coverage>,
}

/// The value of [`Header::format`] that this build writes and reads.
pub const SNAPSHOT_FORMAT: &str = "securityv0.snapshot/1";

/// Attribute names, each with the vendor field it comes from.
pub mod attr {
    /// Display name (hostile text: shown escaped and capped, never compared).
    pub const NAME: &str = "name";
    /// Entra `appId` of an application or service principal.
    pub const APP_ID: &str = "appId";
    /// Whether sign-in is possible: Entra `accountEnabled` of service principals and users. Absent = not readable.
    pub const ENABLED: &str = "enabled";
    /// Entra `disabledByMicrosoftStatus` or `isDisabled`: the vendor stopped it.
    pub const VENDOR_DISABLED: &str = "vendorDisabled";
    /// When the object was made.
    pub const CREATED_AT: &str = "createdAt";
    /// When the object was deleted (recycle bin).
    pub const DELETED_AT: &str = "deletedAt";
    /// Entra `userType`: `Member` or `Guest`.
    pub const USER_TYPE: &str = "userType";
    /// User principal name; an address, shown only as the accountable party.
    pub const ADDRESS: &str = "address";
    /// Entra `appOwnerOrganizationId`.
    pub const HOME_TENANT: &str = "homeTenant";
    /// Entra `servicePrincipalType`.
    pub const PRINCIPAL_TYPE: &str = "principalType";
    /// Entra `serviceManagementReference` is set (its value is not kept).
    pub const HAS_MANAGEMENT_REFERENCE: &str = "hasManagementReference";
    /// Entra `servicePrincipalLockConfiguration`: `true` when credentials of the service principal cannot be changed.
    pub const CREDENTIALS_LOCKED: &str = "credentialsLocked";
    /// `secret`, `certificate`, `federation`.
    pub const CREDENTIAL_TYPE: &str = "credentialType";
    /// `client_auth`, `token_signing`, `token_encryption`.
    pub const CREDENTIAL_USE: &str = "credentialUse";
    /// First instant of validity, by the caller's word.
    pub const VALID_FROM: &str = "validFrom";
    /// Last instant of validity. Present with the text `none` when the vendor says that there is none.
    pub const VALID_TO: &str = "validTo";
    /// Federation: issuer.
    pub const ISSUER: &str = "issuer";
    /// Federation: subject.
    pub const SUBJECT: &str = "subject";
    /// Federation: audiences.
    pub const AUDIENCES: &str = "audiences";
    /// Federation: Entra's flexible expression (beta `claimsMatchingExpression.value`), which stands in place of a subject.
    pub const MATCHING_EXPRESSION: &str = "matchingExpression";
    /// Thumbprint of a certificate (Entra `customKeyIdentifier`), upper-case hexadecimal. Equal thumbprints are one
    /// authenticator.
    pub const THUMBPRINT: &str = "thumbprint";
    /// The vendor's last recorded use: sign-in of an identity in any role, or with a credential. Absent over a complete
    /// activity collection = the vendor recorded none since it records; it is never "never".
    pub const LAST_USED_AT: &str = "lastUsedAt";
    /// The vendor's last recorded sign-in of an identity *without a user* (app-only, as client).
    pub const LAST_UNATTENDED_USE_AT: &str = "lastUnattendedUseAt";
    /// Number of sponsors the vendor counted on an agent identity or blueprint, over a complete read.
    pub const SPONSOR_COUNT: &str = "sponsorCount";
    /// Entra `isAssignableToRole` of a group.
    pub const ROLE_ASSIGNABLE: &str = "roleAssignable";
    /// Service plans of the tenant that decide which collections exist (`AAD_PREMIUM`, `AAD_PREMIUM_P2`), sorted.
    pub const SERVICE_PLANS: &str = "servicePlans";
    /// Entra `agentIdentityBlueprintId` of an agent identity: the `appId` of its blueprint.
    pub const BLUEPRINT: &str = "blueprint";
    /// `true` when this is the identity that the scan itself signs in with.
    pub const OWN_IDENTITY: &str = "ownIdentity";
    /// What the tenant's policy for credentials of applications enforces: the vendor's words for its restrictions, sorted;
    /// empty when it is off. Entra `policies/defaultAppManagementPolicy`.
    pub const CREDENTIAL_POLICY: &str = "credentialPolicy";
    /// The same over all policies for single applications. Entra `policies/appManagementPolicies`.
    pub const CUSTOM_CREDENTIAL_POLICIES: &str = "customCredentialPolicies";
    /// Number of owners the vendor counted on the object itself, over a complete read of its owners.
    pub const OWNER_COUNT: &str = "ownerCount";
    /// The value (`Application.Read.All`) of an app role, on the edge's target resource as `appRole:<id>` attributes.
    pub const APP_ROLE_PREFIX: &str = "appRole:";
}
