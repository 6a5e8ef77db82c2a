//! Objects as Graph writes them: every property that the simulated tenant has, later cut down to the selection.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::governance::Sku;
use super::options::Options;
use super::reply::GraphError;
use super::route::Version;
use super::{activity, governance, properties};
use crate::certificate::Certificate;
use crate::estate::{Audit, Estate, Kind, Owner, Used};
use crate::issuers::KUBERNETES;
use crate::spec::{
    AppRole, AppRoleAssignment, Application, CredentialPolicy, DelegatedGrant, EligibleRole, FederatedCredential,
    Group, KeyCredential, Lock, PasswordCredential, RoleAssignment, RoleDefinition, ServicePrincipal, User,
};

/// What every rendering needs to know.
pub(crate) struct View<'a> {
    pub(crate) estate: &'a Estate,
    /// Whether the caller may see the fields of related people.
    pub(crate) people: bool,
    /// What the estate's word for the cluster's issuer stands for.
    pub(crate) cluster_issuer: String,
}

/// One object of an answer.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a> {
    Organization,
    App(&'a Application),
    Sp(&'a ServicePrincipal),
    User(&'a User),
    Owner(Owner<'a>),
    Grant(&'a AppRoleAssignment),
    RoleDefinition(&'a RoleDefinition),
    RoleAssignment(&'a RoleAssignment),
    Federated(&'a FederatedCredential),
    /// The same, as the beta version shows it.
    Flexible(&'a FederatedCredential),
    Group(&'a Group),
    /// A service principal as the list of agents shows it.
    Agent(&'a ServicePrincipal),
    Eligible(&'a EligibleRole),
    /// A role assignment as its schedule shows it.
    Schedule(&'a RoleAssignment),
    Delegated(&'a DelegatedGrant),
    Sku(Sku),
    /// Sign-ins of a service principal.
    Principal(&'a ServicePrincipal),
    CredentialUse(Used),
    Audit(&'a Audit),
    TenantPolicy(&'a CredentialPolicy),
    /// One of those for single applications, with its place.
    Policy(usize, &'a CredentialPolicy),
}

impl Row<'_> {
    pub(crate) fn id(&self, estate: &Estate) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Organization => return Cow::Owned(estate.file.tenant.id.clone()),
            Self::CredentialUse(used) => return Cow::Owned(activity::credential_id(estate, *used).to_owned()),
            Self::Sku(sku) => return Cow::Owned(governance::sku_row_id(estate, *sku)),
            Self::Principal(sp) => return Cow::Owned(activity::principal_id(sp)),
            Self::TenantPolicy(_) => "00000000-0000-0000-0000-000000000000",
            Self::Policy(at, _) => return Cow::Owned(governance::policy_id(*at)),
            Self::App(app) => &app.id,
            Self::Sp(sp) | Self::Agent(sp) | Self::Owner(Owner::ServicePrincipal(sp)) => &sp.id,
            Self::User(user) | Self::Owner(Owner::User(user)) => &user.id,
            Self::Group(group) | Self::Owner(Owner::Group(group)) => &group.id,
            Self::Grant(grant) => &grant.id,
            Self::Delegated(grant) => &grant.id,
            Self::RoleDefinition(role) => &role.id,
            Self::RoleAssignment(assignment) | Self::Schedule(assignment) => &assignment.id,
            Self::Eligible(eligible) => &eligible.id,
            Self::Federated(credential) | Self::Flexible(credential) => &credential.id,
            Self::Audit(audit) => &audit.id,
        })
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::App(app) if app.agent_blueprint => "agentIdentityBlueprint",
            Self::App(_) => "application",
            Self::Sp(sp) | Self::Owner(Owner::ServicePrincipal(sp)) if sp.blueprint.is_some() => "agentIdentity",
            Self::Agent(_) => "agentIdentity",
            Self::Sp(_) | Self::Owner(Owner::ServicePrincipal(_)) => "servicePrincipal",
            Self::User(_) | Self::Owner(Owner::User(_)) => "user",
            Self::Group(_) | Self::Owner(Owner::Group(_)) => "group",
            Self::Grant(_) => "appRoleAssignment",
            Self::Delegated(_) => "oAuth2PermissionGrant",
            Self::RoleDefinition(_) => "unifiedRoleDefinition",
            Self::RoleAssignment(_) => "unifiedRoleAssignment",
            Self::Schedule(_) => "unifiedRoleAssignmentScheduleInstance",
            Self::Eligible(_) => "unifiedRoleEligibilityScheduleInstance",
            Self::Federated(_) | Self::Flexible(_) => "federatedIdentityCredential",
            Self::Sku(_) => "subscribedSku",
            Self::Principal(_) => "servicePrincipalSignInActivity",
            Self::CredentialUse(_) => "appCredentialSignInActivity",
            Self::Audit(_) => "directoryAudit",
            Self::TenantPolicy(_) => "tenantAppManagementPolicy",
            Self::Policy(..) => "appManagementPolicy",
        }
    }

    /// `@odata.type` of the object.
    pub(crate) fn odata_type(&self) -> String {
        format!("#microsoft.graph.{}", self.type_name())
    }

    /// Whether the object is of a type that its list only holds among others.
    fn is_derived(&self) -> bool {
        match self {
            Self::App(app) => app.agent_blueprint,
            Self::Sp(sp) => sp.blueprint.is_some(),
            _ => false,
        }
    }

    /// The set that the object belongs to.
    pub(crate) fn set_name(&self) -> String {
        match self {
            Self::App(_) => "applications".to_owned(),
            Self::Sp(_) => "servicePrincipals".to_owned(),
            Self::TenantPolicy(_) => "policies/defaultAppManagementPolicy".to_owned(),
            _ => format!("{}s", self.type_name()),
        }
    }

    fn properties(&self) -> &'static [&'static str] {
        match self {
            Self::Organization => properties::ORGANIZATION,
            Self::App(_) => properties::APPLICATION,
            Self::Agent(_) => properties::AGENT,
            Self::Sp(_) | Self::Owner(Owner::ServicePrincipal(_)) => properties::SERVICE_PRINCIPAL,
            Self::User(_) | Self::Owner(Owner::User(_)) => properties::USER,
            Self::Group(_) | Self::Owner(Owner::Group(_)) => properties::GROUP,
            Self::Grant(_) => properties::GRANT,
            Self::Delegated(_) => properties::DELEGATED,
            Self::RoleDefinition(_) => properties::ROLE_DEFINITION,
            Self::RoleAssignment(_) => properties::ROLE_ASSIGNMENT,
            Self::Schedule(_) => properties::SCHEDULE,
            Self::Eligible(_) => properties::ELIGIBILITY,
            Self::Federated(_) => properties::FEDERATED,
            Self::Flexible(_) => properties::FLEXIBLE,
            Self::Sku(_) => properties::SKU,
            Self::Principal(_) => properties::PRINCIPAL_ACTIVITY,
            Self::CredentialUse(_) => properties::CREDENTIAL_ACTIVITY,
            Self::Audit(_) => properties::AUDIT,
            Self::TenantPolicy(_) => properties::TENANT_POLICY,
            Self::Policy(..) => properties::POLICY,
        }
    }

    /// The object, cut down to `select`. Owners carry their type and, without the right to read people, nothing else.
    pub(crate) fn shown(&self, view: &View<'_>, select: Option<&[String]>) -> Result<Map<String, Value>, GraphError> {
        let relative = matches!(self, Self::Owner(_));
        let known = self.properties();
        if let Some(unknown) =
            select.unwrap_or_default().iter().find(|name| !known.contains(&name.as_str()) && !relative)
        {
            let message =
                format!("Could not find a property named '{unknown}' on type 'microsoft.graph.{}'.", self.type_name());
            return Err(GraphError::bad_request(&message));
        }
        let mut all = self.full(view, select);
        let wanted: Vec<&str> = match select {
            Some(names) => names.iter().map(String::as_str).filter(|name| known.contains(name)).collect(),
            None if self.type_name() == "user" => properties::USER_DEFAULT.to_vec(),
            None => known.to_vec(),
        };
        let hidden = relative && self.type_name() == "user" && !view.people;
        let mut shown = Map::new();
        if relative {
            shown.insert("@odata.type".to_owned(), json!(self.odata_type()));
            shown.insert("id".to_owned(), json!(self.id(view.estate)));
        } else if self.is_derived() {
            shown.insert("@odata.type".to_owned(), json!(self.odata_type()));
        }
        for name in wanted {
            let value = if hidden && name != "id" { Value::Null } else { all.remove(name).unwrap_or_default() };
            shown.insert(name.to_owned(), value);
        }
        Ok(shown)
    }

    /// One property, for filters. Those that scans filter long lists by are not taken out of the whole object.
    pub(crate) fn property(&self, view: &View<'_>, name: &str) -> Option<String> {
        match (self, name) {
            (_, "id") => Some(self.id(view.estate).into_owned()),
            (Self::App(app), "appId") => Some(app.app_id.clone()),
            (Self::Sp(sp), "appId") => Some(sp.app_id.clone()),
            (Self::Sp(sp), "servicePrincipalType") => Some(kind(sp).to_owned()),
            (Self::Sp(sp), "accountEnabled") => Some((!sp.disabled).to_string()),
            (Self::Audit(audit), name) => activity::audit_property(view.estate, audit, name),
            _ => match self.full(view, None).remove(name)? {
                Value::String(text) => Some(text),
                Value::Bool(value) => Some(value.to_string()),
                _ => None,
            },
        }
    }

    fn full(&self, view: &View<'_>, select: Option<&[String]>) -> Map<String, Value> {
        let with_keys = select.is_some_and(|names| names.iter().any(|name| name == "keyCredentials"));
        let estate = view.estate;
        let value = match self {
            Self::Organization => organization(estate),
            Self::App(app) => application(estate, app, with_keys),
            Self::Sp(sp) | Self::Owner(Owner::ServicePrincipal(sp)) => service_principal(estate, sp, with_keys),
            Self::Agent(sp) => governance::agent(estate, sp),
            Self::User(user) | Self::Owner(Owner::User(user)) => person(estate, user),
            Self::Group(group) | Self::Owner(Owner::Group(group)) => governance::group(estate, group),
            Self::Grant(grant) => app_role_assignment(estate, grant),
            Self::Delegated(grant) => governance::delegated(grant),
            Self::RoleDefinition(role) => role_definition(role),
            Self::RoleAssignment(assignment) => role_assignment(assignment),
            Self::Schedule(assignment) => governance::schedule(estate, assignment),
            Self::Eligible(eligible) => governance::eligible(estate, eligible),
            Self::Federated(credential) | Self::Flexible(credential) => federated(credential, &view.cluster_issuer),
            Self::Sku(sku) => governance::sku(estate, *sku),
            Self::Principal(sp) => activity::principal(estate, sp),
            Self::CredentialUse(used) => activity::credential(estate, *used),
            Self::Audit(audit) => activity::audit(estate, audit),
            Self::TenantPolicy(policy) => governance::tenant_policy(policy),
            Self::Policy(at, policy) => governance::policy(*at, policy),
        };
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

fn kind(sp: &ServicePrincipal) -> &str {
    sp.service_principal_type.as_deref().unwrap_or("Application")
}

/// `@odata.context` of a list.
pub(crate) fn context(version: Version, path: &str, options: &Options) -> String {
    let mut fields: Vec<String> = options.select.clone().unwrap_or_default();
    fields.extend(options.expand.as_ref().map(|expand| format!("{}()", expand.navigation)));
    let fields = if fields.is_empty() { String::new() } else { format!("({})", fields.join(",")) };
    format!("https://graph.microsoft.com/{}/$metadata#{path}{fields}", version.name())
}

pub(super) fn time(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Some of the vendor's dates have seven digits after the second.
pub(super) fn long_time(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S.0480566Z").to_string()
}

fn organization(estate: &Estate) -> Value {
    let tenant = &estate.file.tenant;
    let domains: Vec<Value> = tenant
        .verified_domains
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": index == 0,
                   "isInitial": name.ends_with(".onmicrosoft.com"), "name": name, "type": "Managed"})
        })
        .collect();
    json!({
        "id": tenant.id, "displayName": tenant.display_name, "verifiedDomains": domains, "tenantType": "AAD",
        "createdDateTime": time(estate.instant(tenant.created)), "deletedDateTime": null,
    })
}

fn application(estate: &Estate, app: &Application, with_keys: bool) -> Value {
    let lock = app.lock.clone().or_else(|| app.property_lock.then(Lock::everything)).map(|lock| {
        json!({"isEnabled": lock.is_enabled, "allProperties": lock.all_properties,
               "credentialsWithUsageVerify": lock.credentials_with_usage_verify,
               "credentialsWithUsageSign": lock.credentials_with_usage_sign,
               "tokenEncryptionKeyId": lock.token_encryption_key_id})
    });
    let access: Vec<Value> = estate
        .service_principal_by_app_id(&app.app_id)
        .map(|sp| {
            let graph = estate
                .assigned_from(&sp.id)
                .filter(|grant| resource_app_id(estate, grant) == crate::reference::GRAPH_APP_ID);
            graph.map(|grant| json!({"id": grant.role, "type": "Role"})).collect()
        })
        .unwrap_or_default();
    let required = if access.is_empty() {
        json!([])
    } else {
        json!([{"resourceAppId": crate::reference::GRAPH_APP_ID, "resourceAccess": access}])
    };
    let when = |when: Option<crate::when::When>| when.map(|when| time(estate.instant(when)));
    json!({
        "id": app.id, "deletedDateTime": when(app.deleted), "appId": app.app_id, "displayName": app.display_name,
        "createdDateTime": when(app.created), "createdByAppId": app.created_by_app_id,
        "isDisabled": app.is_disabled.then_some(true), "disabledByMicrosoftStatus": app.disabled_by_microsoft_status,
        "signInAudience": app.sign_in_audience.as_deref().unwrap_or("AzureADMyOrg"),
        "publisherDomain": estate.file.tenant.verified_domains.first(),
        "verifiedPublisher": no_publisher(), "tags": app.tags,
        "serviceManagementReference": app.service_management_reference, "servicePrincipalLockConfiguration": lock,
        "passwordCredentials": secrets(estate, &app.password_credentials),
        "keyCredentials": certificates(estate, &app.key_credentials, with_keys, hex::encode_upper),
        "requiredResourceAccess": required, "identifierUris": app.identifier_uris, "appRoles": roles(&app.app_roles),
    })
}

fn resource_app_id<'a>(estate: &'a Estate, grant: &AppRoleAssignment) -> &'a str {
    estate.service_principal(&grant.resource).map_or("", |sp| sp.app_id.as_str())
}

fn service_principal(estate: &Estate, sp: &ServicePrincipal, with_keys: bool) -> Value {
    let kind = kind(sp);
    let mut names = vec![sp.app_id.clone()];
    if kind == "ManagedIdentity" {
        let digest = Sha256::digest(sp.id.as_bytes());
        names.push(format!("https://identity.azure.net/{}", STANDARD.encode(digest)));
    }
    let when = |when: Option<crate::when::When>| when.map(|when| time(estate.instant(when)));
    json!({
        "id": sp.id, "deletedDateTime": when(sp.deleted), "accountEnabled": !sp.disabled, "appDisplayName": sp.display_name,
        "appId": sp.app_id, "appOwnerOrganizationId": sp.app_owner_organization_id, "appRoleAssignmentRequired": false,
        "displayName": sp.display_name, "servicePrincipalType": kind, "signInAudience": sp.sign_in_audience,
        "servicePrincipalNames": names, "tags": sp.tags.clone().unwrap_or_default(), "verifiedPublisher": no_publisher(),
        "preferredSingleSignOnMode": sp.preferred_single_sign_on_mode,
        "preferredTokenSigningKeyThumbprint": sp.preferred_token_signing_key_thumbprint,
        "alternativeNames": sp.alternative_names, "appRoles": roles(&sp.app_roles),
        "keyCredentials": certificates(estate, &sp.key_credentials, with_keys, |bytes| STANDARD.encode(bytes)),
        "passwordCredentials": secrets(estate, &sp.password_credentials),
        "isDisabled": sp.is_disabled.then_some(true), "createdDateTime": when(sp.created), "replyUrls": [],
    })
}

fn no_publisher() -> Value {
    json!({"displayName": null, "verifiedPublisherId": null, "addedDateTime": null})
}

fn secrets(estate: &Estate, secrets: &[PasswordCredential]) -> Vec<Value> {
    let one = |secret: &PasswordCredential| {
        let hint = secret
            .value
            .as_ref()
            .map_or_else(|| secret.key_id.chars().take(3).collect(), crate::spec::SecretText::hint);
        json!({
            "customKeyIdentifier": secret.custom_key_identifier, "displayName": secret.display_name,
            "endDateTime": time(estate.instant(secret.end)), "hint": hint, "keyId": secret.key_id, "secretText": null,
            "startDateTime": time(estate.instant(secret.start)),
        })
    };
    secrets.iter().map(one).collect()
}

/// `key` is there only where `keyCredentials` was asked for by name. Thumbprints are written as `spell` does.
fn certificates(
    estate: &Estate,
    keys: &[KeyCredential],
    with_keys: bool,
    spell: impl Fn(Vec<u8>) -> String,
) -> Vec<Value> {
    let one = |key: &KeyCredential| {
        let digest = Sha256::digest(key.key_id.as_bytes());
        let stated = key.thumbprint.as_deref().and_then(|thumbprint| hex::decode(thumbprint).ok());
        let certificate = key.certificate_pem.as_deref().and_then(Certificate::read);
        let known = stated.or_else(|| hex::decode(certificate.as_ref()?.thumbprint()).ok()).map(&spell);
        let thumbprint = key.custom_key_identifier.clone().or(known);
        let content = || STANDARD.encode(certificate.map_or_else(|| digest.repeat(24), |certificate| certificate.der));
        json!({
            "customKeyIdentifier": thumbprint.unwrap_or_else(|| hex::encode_upper(&digest[..20])),
            "displayName": key.display_name,
            "endDateTime": time(estate.instant(key.end)), "key": with_keys.then(content),
            "keyId": key.key_id, "startDateTime": time(estate.instant(key.start)), "type": key.kind, "usage": key.usage,
        })
    };
    keys.iter().map(one).collect()
}

fn roles(roles: &[AppRole]) -> Vec<Value> {
    let one = |role: &AppRole| {
        let name = role.display_name.as_deref().unwrap_or(&role.value);
        json!({"allowedMemberTypes": role.allowed_member_types, "description": name, "displayName": name, "id": role.id,
               "isEnabled": true, "origin": "Application", "value": role.value})
    };
    roles.iter().map(one).collect()
}

fn person(estate: &Estate, user: &User) -> Value {
    let name = if user.deleted.is_some() {
        format!("{}{}", user.id.replace('-', ""), user.user_principal_name)
    } else {
        user.user_principal_name.clone()
    };
    let (given, family) = user.display_name.split_once(' ').unwrap_or((&user.display_name, ""));
    let when = |when: Option<crate::when::When>| when.map(|when| time(estate.instant(when)));
    json!({
        "id": user.id, "displayName": user.display_name, "userPrincipalName": name, "mail": user.user_principal_name,
        "givenName": given, "surname": family, "businessPhones": [], "accountEnabled": user.account_enabled,
        "userType": user.user_type, "externalUserState": user.external_user_state,
        "employeeLeaveDateTime": when(user.employee_leave_date_time), "createdDateTime": time(estate.instant(user.created)),
        "deletedDateTime": when(user.deleted),
    })
}

fn app_role_assignment(estate: &Estate, grant: &AppRoleAssignment) -> Value {
    let (principal_type, principal) = match estate.lookup(&grant.principal) {
        Some((Kind::User, id)) => ("User", estate.user(id).map(|user| user.display_name.as_str())),
        Some((Kind::Group, id)) => ("Group", estate.group(id).map(|group| group.display_name.as_str())),
        _ => ("ServicePrincipal", estate.service_principal(&grant.principal).map(|sp| sp.display_name.as_str())),
    };
    let created = grant.created.unwrap_or(estate.file.tenant.created);
    json!({
        "id": grant.id, "deletedDateTime": null, "appRoleId": grant.role,
        "createdDateTime": long_time(estate.instant(created)), "principalDisplayName": principal,
        "principalId": grant.principal, "principalType": principal_type,
        "resourceDisplayName": estate.service_principal(&grant.resource).map(|sp| sp.display_name.as_str()),
        "resourceId": grant.resource,
    })
}

fn role_definition(role: &RoleDefinition) -> Value {
    let built_in =
        role.key == role.display_name && crate::reference::DIRECTORY_ROLES.iter().any(|(_, id, _)| *id == role.id);
    json!({
        "id": role.id, "displayName": role.display_name, "templateId": role.id, "isBuiltIn": built_in, "isEnabled": true,
        "resourceScopes": ["/"], "version": "1",
        "rolePermissions": [{"allowedResourceActions": role.actions, "condition": null}],
    })
}

fn role_assignment(assignment: &RoleAssignment) -> Value {
    json!({
        "id": assignment.id, "principalId": assignment.principal, "resourceScope": assignment.scope,
        "directoryScopeId": assignment.scope, "roleDefinitionId": assignment.role,
    })
}

fn federated(credential: &FederatedCredential, cluster_issuer: &str) -> Value {
    let issuer = if credential.issuer == KUBERNETES { cluster_issuer } else { &credential.issuer };
    let subject = Some(&credential.subject).filter(|subject| !subject.is_empty());
    let expression = credential.claims_matching_expression.as_ref();
    json!({
        "id": credential.id, "name": credential.name, "issuer": issuer, "subject": subject,
        "description": null, "audiences": [credential.audience],
        "claimsMatchingExpression": expression.map(|value| json!({"value": value, "languageVersion": 1})),
    })
}
