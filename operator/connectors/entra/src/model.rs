//! The wire types: the fields that are kept and no others. What is not named here is dropped while an answer is read.
//! Secret values, hints and key bytes have no place to go.

use serde::{Deserialize, Deserializer};
use sv0_connector::Lenient;

/// A field whose absence says something else than its emptiness.
#[derive(Debug, Default)]
pub(crate) enum Told<T> {
    /// The field did not come: not collected.
    #[default]
    Nothing,
    /// The vendor says that there is no value.
    Empty,
    /// The value.
    Value(T),
}

impl<T> Told<T> {
    /// What the field says, unless it did not come.
    pub(crate) fn say<U>(&self, meaning: impl FnOnce(Option<&T>) -> U) -> Option<U> {
        match self {
            Self::Nothing => None,
            Self::Empty => Some(meaning(None)),
            Self::Value(value) => Some(meaning(Some(value))),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Empty, Self::Value))
    }
}

/// The tenant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Organization {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
}

/// The identity that the scan signs in as.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnPrincipal {
    pub(crate) id: String,
}

/// An application.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    pub(crate) id: String,
    pub(crate) app_id: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) created_date_time: Option<String>,
    #[serde(default)]
    pub(crate) is_disabled: Told<bool>,
    #[serde(default)]
    pub(crate) disabled_by_microsoft_status: Told<String>,
    #[serde(default)]
    pub(crate) service_management_reference: Told<String>,
    #[serde(default)]
    pub(crate) service_principal_lock_configuration: Told<LockConfiguration>,
    #[serde(default)]
    pub(crate) password_credentials: Option<Vec<Lenient<PasswordCredential>>>,
    #[serde(default)]
    pub(crate) key_credentials: Option<Vec<Lenient<KeyCredential>>>,
}

/// Which properties of the application's service principals cannot be changed in other tenants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockConfiguration {
    #[serde(default)]
    pub(crate) is_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) all_properties: Option<bool>,
    #[serde(default)]
    pub(crate) credentials_with_usage_verify: Option<bool>,
    #[serde(default)]
    pub(crate) credentials_with_usage_sign: Option<bool>,
}

/// A client secret's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PasswordCredential {
    pub(crate) key_id: String,
    #[serde(default)]
    pub(crate) start_date_time: Option<String>,
    #[serde(default)]
    pub(crate) end_date_time: Told<String>,
    /// Only to recognise what belongs to a signing certificate; not kept in snapshots.
    #[serde(default)]
    pub(crate) custom_key_identifier: Option<String>,
}

/// A certificate's metadata.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyCredential {
    pub(crate) key_id: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) usage: Option<String>,
    #[serde(default)]
    pub(crate) start_date_time: Option<String>,
    #[serde(default)]
    pub(crate) end_date_time: Told<String>,
    /// The thumbprint, or whatever else somebody wrote there: kept when it has a thumbprint's form.
    #[serde(default)]
    pub(crate) custom_key_identifier: Option<String>,
}

/// A service principal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the vendor's names
pub(crate) struct ServicePrincipal {
    pub(crate) id: String,
    /// Agent identities may come without one.
    #[serde(default)]
    pub(crate) app_id: Option<String>,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) account_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) is_disabled: Told<bool>,
    #[serde(default)]
    pub(crate) disabled_by_microsoft_status: Told<String>,
    #[serde(default)]
    pub(crate) service_principal_type: Option<String>,
    #[serde(default)]
    pub(crate) app_owner_organization_id: Option<String>,
    #[serde(default)]
    pub(crate) preferred_token_signing_key_thumbprint: Option<String>,
    #[serde(default)]
    pub(crate) password_credentials: Option<Vec<Lenient<PasswordCredential>>>,
    #[serde(default)]
    pub(crate) key_credentials: Option<Vec<Lenient<KeyCredential>>>,
    #[serde(default)]
    pub(crate) app_roles: Option<Vec<Lenient<AppRole>>>,
}

/// A permission that a resource offers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppRole {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) value: Option<String>,
    #[serde(default)]
    pub(crate) allowed_member_types: Vec<String>,
}

/// A reference to a directory object.
#[derive(Debug, Deserialize)]
pub(crate) struct Owner {
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default)]
    pub(crate) kind: Option<String>,
}

/// An object with its owners: at most 20 of them, without a link to more.
#[derive(Debug, Deserialize)]
pub(crate) struct WithOwners {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) owners: Option<Vec<Lenient<Owner>>>,
}

/// An application with its federated credentials.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WithFederatedCredentials {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) federated_identity_credentials: Option<Vec<Lenient<FederatedCredential>>>,
}

/// A foreign subject that may sign in as an application.
#[derive(Debug, Deserialize)]
pub(crate) struct FederatedCredential {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    #[serde(default)]
    pub(crate) subject: Option<String>,
    #[serde(default)]
    pub(crate) audiences: Vec<String>,
}

/// A person's account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the vendor's names
pub(crate) struct User {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) user_principal_name: Option<String>,
    #[serde(default)]
    pub(crate) account_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) user_type: Option<String>,
}

/// That an id is a person's.
#[derive(Debug, Deserialize)]
pub(crate) struct UserId {
    pub(crate) id: String,
}

/// An object in the recycle bin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedUser {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) deleted_date_time: Option<String>,
}

/// A directory role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleDefinition {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) template_id: Option<String>,
}

/// A directory role that somebody holds or may activate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignment {
    pub(crate) id: String,
    pub(crate) principal_id: String,
    pub(crate) role_definition_id: String,
    #[serde(default)]
    pub(crate) directory_scope_id: Option<String>,
    #[serde(default)]
    pub(crate) start_date_time: Option<String>,
    #[serde(default)]
    pub(crate) end_date_time: Option<String>,
}

/// Until when a directory role is held.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleActivation {
    pub(crate) id: String,
    /// The assignment that it is about.
    #[serde(default)]
    pub(crate) role_assignment_origin_id: Option<String>,
    #[serde(default)]
    pub(crate) end_date_time: Option<String>,
}

/// An application permission that somebody holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppRoleAssignment {
    pub(crate) id: String,
    pub(crate) app_role_id: String,
    #[serde(default)]
    pub(crate) principal_id: Option<String>,
    #[serde(default)]
    pub(crate) principal_type: Option<String>,
    #[serde(default)]
    pub(crate) resource_id: Option<String>,
    #[serde(default)]
    pub(crate) created_date_time: Option<String>,
}

/// A subscription of the tenant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscribedSku {
    #[serde(default)]
    pub(crate) capability_status: Option<String>,
    pub(crate) service_plans: Vec<ServicePlan>,
}

/// What a subscription includes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePlan {
    #[serde(default)]
    pub(crate) service_plan_name: String,
}

/// A federated credential whose subject may be an expression.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlexibleCredential {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) claims_matching_expression: Option<MatchingExpression>,
}

/// The expression.
#[derive(Debug, Deserialize)]
pub(crate) struct MatchingExpression {
    pub(crate) value: String,
}

/// What an application may do on behalf of users.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the vendor's names
pub(crate) struct DelegatedGrant {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) consent_type: String,
    #[serde(default)]
    pub(crate) principal_id: Option<String>,
    pub(crate) resource_id: String,
    #[serde(default)]
    pub(crate) scope: Option<String>,
}

/// A group that holds a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) is_assignable_to_role: Told<bool>,
}

/// That an id is a group's member.
#[derive(Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) id: String,
}

/// An identity made for an AI agent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the vendor's names
pub(crate) struct AgentIdentity {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) created_date_time: Option<String>,
    #[serde(default)]
    pub(crate) agent_identity_blueprint_id: Option<String>,
    #[serde(default)]
    pub(crate) account_enabled: Option<bool>,
    #[serde(default)]
    pub(crate) disabled_by_microsoft_status: Told<String>,
    #[serde(default)]
    pub(crate) app_owner_organization_id: Option<String>,
}

/// When a service principal signed in last, in each of its roles.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrincipalActivity {
    pub(crate) app_id: String,
    #[serde(default)]
    pub(crate) last_sign_in_activity: Option<SignIn>,
    #[serde(default)]
    pub(crate) application_authentication_client_sign_in_activity: Option<SignIn>,
    #[serde(default)]
    pub(crate) application_authentication_resource_sign_in_activity: Option<SignIn>,
    #[serde(default)]
    pub(crate) delegated_client_sign_in_activity: Option<SignIn>,
    #[serde(default)]
    pub(crate) delegated_resource_sign_in_activity: Option<SignIn>,
}

/// A sign-in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignIn {
    #[serde(default)]
    pub(crate) last_sign_in_date_time: Option<String>,
}

/// When a credential was used last.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // the vendor's names
pub(crate) struct CredentialActivity {
    pub(crate) id: String,
    pub(crate) key_id: String,
    #[serde(default)]
    pub(crate) app_id: Option<String>,
    #[serde(default)]
    pub(crate) app_object_id: Option<String>,
    #[serde(default)]
    pub(crate) service_principal_object_id: Option<String>,
    #[serde(default)]
    pub(crate) credential_origin: Option<String>,
    #[serde(default)]
    pub(crate) sign_in_activity: Option<SignIn>,
}

/// A change in the directory.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DirectoryAudit {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) activity_display_name: Option<String>,
    #[serde(default)]
    pub(crate) activity_date_time: Option<String>,
    #[serde(default)]
    pub(crate) result: Option<String>,
    #[serde(default)]
    pub(crate) initiated_by: Option<Initiator>,
    #[serde(default)]
    pub(crate) target_resources: Option<Vec<Lenient<ChangedResource>>>,
}

/// Who made a change.
#[derive(Debug, Deserialize)]
pub(crate) struct Initiator {
    #[serde(default)]
    pub(crate) user: Option<InitiatingUser>,
    #[serde(default)]
    pub(crate) app: Option<InitiatingApp>,
}

/// A person who made a change.
#[derive(Debug, Deserialize)]
pub(crate) struct InitiatingUser {
    #[serde(default)]
    pub(crate) id: Option<String>,
}

/// An application that made a change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitiatingApp {
    #[serde(default)]
    pub(crate) service_principal_id: Option<String>,
}

/// What was changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangedResource {
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(rename = "type", default)]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) modified_properties: Option<Vec<Lenient<ModifiedProperty>>>,
}

/// One changed property. Of its values only identifiers of credentials are kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModifiedProperty {
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    #[serde(default)]
    pub(crate) old_value: Option<String>,
    #[serde(default)]
    pub(crate) new_value: Option<String>,
}

/// The tenant's own policy for credentials of applications.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantAppManagementPolicy {
    pub(crate) is_enabled: bool,
    #[serde(default)]
    pub(crate) application_restrictions: Option<Restrictions>,
    #[serde(default)]
    pub(crate) service_principal_restrictions: Option<Restrictions>,
}

/// A policy for credentials of single applications.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppManagementPolicy {
    pub(crate) id: String,
    pub(crate) is_enabled: bool,
    #[serde(default)]
    pub(crate) restrictions: Option<Restrictions>,
}

/// What a policy restricts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Restrictions {
    #[serde(default)]
    pub(crate) password_credentials: Option<Vec<Restriction>>,
    #[serde(default)]
    pub(crate) key_credentials: Option<Vec<Restriction>>,
}

/// One restriction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Restriction {
    pub(crate) restriction_type: String,
    #[serde(default)]
    pub(crate) state: Option<String>,
}
