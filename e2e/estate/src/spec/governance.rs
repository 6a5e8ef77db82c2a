//! The parts of an estate file about authority that is not simply there: groups, eligible roles, delegated grants,
//! agents, flexible federation, and what the licence of the tenant opens.

use serde::{Deserialize, Serialize};

use super::{graph_key, is_false, tenant_scope, yes};
use crate::when::When;

/// A plan that the tenant bought. It decides which answers the vendor refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServicePlan {
    /// Entra ID P1: sign-in activity, 30 days of audit records.
    P1,
    /// Entra ID P2, which holds P1: eligible roles.
    P2,
    /// Workload ID Premium. Opens nothing that is simulated; it is listed.
    WorkloadIdentities,
}

/// A policy for credentials of applications.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CredentialPolicy {
    /// Whether it holds at all.
    pub enabled: bool,
    /// What it restricts of secrets, by the vendor's words, such as `passwordLifetime`.
    pub secrets: Vec<String>,
    /// What it restricts of certificates, such as `asymmetricKeyLifetime`.
    pub certificates: Vec<String>,
    /// Those of them that are switched off.
    pub off: Vec<String>,
}

/// A security group. Groups are shown only when somebody asks for one by id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Name of this object inside the file.
    pub key: String,
    /// Object id; made from the key when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Name shown.
    pub display_name: String,
    /// Whether directory roles can be given to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub role_assignable: bool,
    /// Whether it can hold permissions at all.
    #[serde(default = "yes")]
    pub security_enabled: bool,
    /// Members: users, service principals or other groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Directory roles at tenant scope, by name, template id or key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_roles: Vec<String>,
    /// Application permissions on Microsoft Graph, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub graph_permissions: Vec<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<When>,
}

/// A directory role that somebody may activate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EligibleRole {
    /// Instance id; made from its parts when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// User, group or service principal.
    pub principal: String,
    /// Role by name, template id or key.
    pub role: String,
    /// As in a directory role assignment.
    #[serde(default = "tenant_scope")]
    pub scope: String,
    /// From when; default when the tenant was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<When>,
    /// Until when; absent: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<When>,
}

/// A delegated permission grant: what a client may do in the name of people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DelegatedGrant {
    /// Grant id; made from its parts when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Service principal of the client.
    pub client: String,
    /// Service principal of the resource; default Microsoft Graph.
    #[serde(default = "graph_key")]
    pub resource: String,
    /// The user whose authority it is; absent: anybody's (`AllPrincipals`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Delegated permissions.
    pub scopes: Vec<String>,
}

/// Which sensitive properties of an application's service principals are locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the vendor's properties")]
pub struct Lock {
    /// Whether the lock holds at all.
    #[serde(default = "yes")]
    pub is_enabled: bool,
    /// All of them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all_properties: bool,
    /// Credentials that sign the application in.
    #[serde(default, skip_serializing_if = "is_false")]
    pub credentials_with_usage_verify: bool,
    /// Credentials that sign tokens.
    #[serde(default, skip_serializing_if = "is_false")]
    pub credentials_with_usage_sign: bool,
    /// The key that encrypts tokens.
    #[serde(default, skip_serializing_if = "is_false")]
    pub token_encryption_key_id: bool,
}

impl Lock {
    /// What `propertyLock: true` means.
    pub(crate) fn everything() -> Self {
        Self {
            is_enabled: true,
            all_properties: true,
            credentials_with_usage_verify: true,
            credentials_with_usage_sign: true,
            token_encryption_key_id: true,
        }
    }
}
