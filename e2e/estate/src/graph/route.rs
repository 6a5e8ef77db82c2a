//! The routes that exist, what they cost and which permission opens them.
//!
//! Anything else is answered as Graph answers an unknown segment; there is no route that writes.

use http::Method;

use super::options::{Expand, Options};
use crate::spec::ServicePlan;

/// Any of these shows the fields of people.
pub(crate) const PEOPLE: &[&str] =
    &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const APPLICATIONS: &[&str] =
    &["Application.Read.All", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const FEDERATION: &[&str] = &["Application.Read.All", "Application.ReadWrite.All"];
const ORGANIZATION: &[&str] = &["Organization.Read.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const ROLES: &[&str] = &[
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const DIRECTORY: &[&str] = &["Directory.Read.All", "Directory.ReadWrite.All"];
const LICENCES: &[&str] = &[
    "LicenseAssignment.Read.All",
    "Organization.Read.All",
    "Organization.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const ELIGIBILITY: &[&str] = &[
    "RoleEligibilitySchedule.Read.Directory",
    "RoleEligibilitySchedule.ReadWrite.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
];
const ACTIVATION: &[&str] = &[
    "RoleAssignmentSchedule.Read.Directory",
    "RoleAssignmentSchedule.ReadWrite.Directory",
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
];
const GROUPS: &[&str] = &[
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadBasic.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const MEMBERS: &[&str] = &[
    "GroupMember.ReadBasic.All",
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const AGENTS: &[&str] = &["AgentIdentity.Read.All"];
const BLUEPRINTS: &[&str] = &["AgentIdentityBlueprint.Read.All"];
/// Which of the two opens a blueprint's sponsors is not documented: both do.
const BLUEPRINT_SPONSORS: &[&str] = &["AgentIdentity.Read.All", "AgentIdentityBlueprint.Read.All"];
const POLICIES: &[&str] = &["Policy.Read.All", "Policy.ReadWrite.ApplicationConfiguration"];
const LOGS: &[&str] = &["AuditLog.Read.All"];

/// A version of Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    Beta,
}

impl Version {
    /// The version and the rest of a path, without slashes at its ends.
    pub(crate) fn of(path: &str) -> Option<(Self, &str)> {
        let (version, rest) = path.strip_prefix('/')?.split_once('/')?;
        let version = [Self::V1, Self::Beta].into_iter().find(|known| known.name() == version)?;
        Some((version, rest.trim_matches('/')))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
        }
    }
}

/// A set of directory objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Applications,
    ServicePrincipals,
    Users,
}

impl Set {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Applications => "applications",
            Self::ServicePrincipals => "servicePrincipals",
            Self::Users => "users",
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Applications => "application",
            Self::ServicePrincipals => "servicePrincipal",
            Self::Users => "user",
        }
    }
}

/// Which object of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pick {
    Id(String),
    AppId(String),
}

/// Types to which a list can be narrowed.
const AGENT: &str = "microsoft.graph.agentIdentity";
const BLUEPRINT: &str = "microsoft.graph.agentIdentityBlueprint";

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Organization,
    List(Set),
    Item(Set, Pick),
    Owners(Set, Pick),
    AppRoleAssignedTo(Pick),
    AppRoleAssignments(Pick),
    FederatedCredentials(Version, Pick),
    RoleDefinitions,
    RoleAssignments,
    RoleEligibility,
    RoleSchedule,
    SubscribedSkus,
    DelegatedGrants,
    Group(String),
    GroupPrincipals(String),
    Agents,
    Blueprints,
    /// Of an agent (service principals) or a blueprint (applications).
    Sponsors(Set, Pick),
    PrincipalActivity,
    CredentialActivity,
    DirectoryAudits,
    TenantCredentialPolicy,
    CredentialPolicies,
    Deleted(Set),
    DeletedItem(String),
    GetByIds,
    Batch(Version),
}

impl Route {
    /// The route of a path. Of the beta version only those exist that v1.0 does not have, or has with fewer properties.
    pub(crate) fn find(version: Version, method: &Method, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["$batch"]) => return Some(Self::Batch(version)),
            (&Method::POST, ["directoryObjects", "getByIds"]) if version == Version::V1 => return Some(Self::GetByIds),
            (&Method::GET, _) => {}
            _ => return None,
        }
        match version {
            Version::V1 => Self::find_v1(&parts),
            Version::Beta => Self::find_beta(&parts),
        }
    }

    fn find_beta(parts: &[&str]) -> Option<Self> {
        match parts {
            ["reports", "servicePrincipalSignInActivities"] => Some(Self::PrincipalActivity),
            ["reports", "appCredentialSignInActivities"] => Some(Self::CredentialActivity),
            [first, rest @ ..] => match object(first, rest)? {
                (Set::Applications, pick, ["federatedIdentityCredentials"]) => {
                    Some(Self::FederatedCredentials(Version::Beta, pick))
                }
                _ => None,
            },
            [] => None,
        }
    }

    fn find_v1(parts: &[&str]) -> Option<Self> {
        match parts {
            ["organization"] => Some(Self::Organization),
            ["subscribedSkus"] => Some(Self::SubscribedSkus),
            ["oauth2PermissionGrants"] => Some(Self::DelegatedGrants),
            ["auditLogs", "directoryAudits"] => Some(Self::DirectoryAudits),
            ["roleManagement", "directory", collection] => match *collection {
                "roleDefinitions" => Some(Self::RoleDefinitions),
                "roleAssignments" => Some(Self::RoleAssignments),
                "roleEligibilityScheduleInstances" => Some(Self::RoleEligibility),
                "roleAssignmentScheduleInstances" => Some(Self::RoleSchedule),
                _ => None,
            },
            ["policies", "defaultAppManagementPolicy"] => Some(Self::TenantCredentialPolicy),
            ["policies", "appManagementPolicies"] => Some(Self::CredentialPolicies),
            ["groups", id] => Some(Self::Group((*id).to_owned())),
            ["groups", id, "transitiveMembers", "microsoft.graph.servicePrincipal"] => {
                Some(Self::GroupPrincipals((*id).to_owned()))
            }
            ["servicePrincipals", AGENT] => Some(Self::Agents),
            ["applications", BLUEPRINT] => Some(Self::Blueprints),
            ["directory", "deletedItems", kind] if kind.starts_with("microsoft.graph.") => {
                deleted(kind).map(Self::Deleted)
            }
            ["directory", "deletedItems", id] => Some(Self::DeletedItem((*id).to_owned())),
            [set] if set_named(set).is_some() => set_named(set).map(Self::List),
            [first, rest @ ..] => {
                let (set, pick, rest) = object(first, rest)?;
                Self::of_object(set, pick, rest)
            }
            [] => None,
        }
    }

    fn of_object(set: Set, pick: Pick, rest: &[&str]) -> Option<Self> {
        match (set, rest) {
            (_, []) => Some(Self::Item(set, pick)),
            (Set::Applications | Set::ServicePrincipals, ["owners"]) => Some(Self::Owners(set, pick)),
            (Set::ServicePrincipals, [AGENT, "owners"]) | (Set::Applications, [BLUEPRINT, "owners"]) => {
                Some(Self::Owners(set, pick))
            }
            (Set::ServicePrincipals, [AGENT, "sponsors"]) | (Set::Applications, [BLUEPRINT, "sponsors"]) => {
                Some(Self::Sponsors(set, pick))
            }
            (Set::ServicePrincipals, ["appRoleAssignedTo"]) => Some(Self::AppRoleAssignedTo(pick)),
            (Set::ServicePrincipals, ["appRoleAssignments"]) => Some(Self::AppRoleAssignments(pick)),
            (Set::Applications, ["federatedIdentityCredentials"]) => {
                Some(Self::FederatedCredentials(Version::V1, pick))
            }
            _ => None,
        }
    }

    /// The name under which requests are counted and faults are set.
    pub(crate) fn name(&self, expand: Option<&Expand>) -> String {
        let name = match self {
            Self::Organization => "organization",
            Self::List(set) => set.name(),
            Self::Item(set, _) => return format!("{}/item", set.name()),
            Self::Owners(set, _) => return format!("{}/owners", set.name()),
            Self::AppRoleAssignedTo(_) => "servicePrincipals/appRoleAssignedTo",
            Self::AppRoleAssignments(_) => "servicePrincipals/appRoleAssignments",
            Self::FederatedCredentials(Version::V1, _) => "applications/federatedIdentityCredentials",
            Self::FederatedCredentials(Version::Beta, _) => "beta/applications/federatedIdentityCredentials",
            Self::RoleDefinitions => "roleManagement/directory/roleDefinitions",
            Self::RoleAssignments => "roleManagement/directory/roleAssignments",
            Self::RoleEligibility => "roleManagement/directory/roleEligibilityScheduleInstances",
            Self::RoleSchedule => "roleManagement/directory/roleAssignmentScheduleInstances",
            Self::SubscribedSkus => "subscribedSkus",
            Self::DelegatedGrants => "oauth2PermissionGrants",
            Self::Group(_) => "groups/item",
            Self::GroupPrincipals(_) => "groups/transitiveMembers",
            Self::Agents => "servicePrincipals/agentIdentity",
            Self::Blueprints => "applications/agentIdentityBlueprint",
            Self::Sponsors(Set::Applications, _) => "applications/sponsors",
            Self::Sponsors(..) => "servicePrincipals/sponsors",
            Self::PrincipalActivity => "reports/servicePrincipalSignInActivities",
            Self::CredentialActivity => "reports/appCredentialSignInActivities",
            Self::DirectoryAudits => "auditLogs/directoryAudits",
            Self::TenantCredentialPolicy => "policies/defaultAppManagementPolicy",
            Self::CredentialPolicies => "policies/appManagementPolicies",
            Self::Deleted(set) => return format!("directory/deletedItems/{}", set.kind()),
            Self::DeletedItem(_) => "directory/deletedItems/item",
            Self::GetByIds => "directoryObjects/getByIds",
            Self::Batch(Version::V1) => "$batch",
            Self::Batch(Version::Beta) => "beta/$batch",
        };
        match expand {
            Some(expand) => format!("{name}+{}", expand.navigation),
            None => name.to_owned(),
        }
    }

    /// Any of these opens the route; none needed when empty.
    pub(crate) fn permissions(&self) -> &'static [&'static str] {
        match self {
            Self::Organization => ORGANIZATION,
            Self::List(Set::Users) | Self::Item(Set::Users, _) | Self::Deleted(Set::Users) => PEOPLE,
            Self::FederatedCredentials(..) => FEDERATION,
            Self::RoleDefinitions | Self::RoleAssignments => ROLES,
            Self::GetByIds | Self::DelegatedGrants => DIRECTORY,
            Self::RoleEligibility => ELIGIBILITY,
            Self::RoleSchedule => ACTIVATION,
            Self::SubscribedSkus => LICENCES,
            Self::Group(_) => GROUPS,
            Self::GroupPrincipals(_) => MEMBERS,
            Self::Agents | Self::Sponsors(Set::ServicePrincipals, _) => AGENTS,
            Self::Blueprints => BLUEPRINTS,
            Self::Sponsors(..) => BLUEPRINT_SPONSORS,
            Self::PrincipalActivity | Self::CredentialActivity | Self::DirectoryAudits => LOGS,
            Self::TenantCredentialPolicy | Self::CredentialPolicies => POLICIES,
            // Which one is needed depends on what the item is; that is checked when it is found.
            Self::DeletedItem(_) | Self::Batch(_) => &[],
            _ => APPLICATIONS,
        }
    }

    /// Resource units: the published base cost, less for `$select` and small pages, more for `$expand`, at least 1.
    pub(crate) fn cost(&self, options: &Options) -> u32 {
        let base = match self {
            Self::List(Set::Applications | Set::Users)
            | Self::Item(Set::Applications | Set::Users, _)
            | Self::AppRoleAssignments(_)
            | Self::Blueprints
            | Self::DelegatedGrants => 2,
            Self::GetByIds | Self::SubscribedSkus => 3,
            Self::GroupPrincipals(_) => 5,
            _ => 1,
        };
        let dearer = u32::from(options.expand.is_some());
        let cheaper = u32::from(options.select.is_some()) + u32::from(options.top.is_some_and(|top| top < 20));
        (base + dearer).saturating_sub(cheaper).max(1)
    }

    pub(crate) fn lists_applications(&self) -> bool {
        matches!(self, Self::List(Set::Applications) | Self::Item(Set::Applications, _))
    }

    /// Whether `$count=true` and filters on a count are possible here.
    pub(crate) fn is_directory_list(&self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Deleted(_)
                | Self::Owners(..)
                | Self::Agents
                | Self::Blueprints
                | Self::GroupPrincipals(_)
        )
    }

    /// Members of one type only are an advanced query.
    pub(crate) fn is_always_advanced(&self) -> bool {
        matches!(self, Self::GroupPrincipals(_))
    }

    pub(crate) fn is_list(&self) -> bool {
        let single =
            matches!(self, Self::Item(..) | Self::DeletedItem(_) | Self::Group(_) | Self::TenantCredentialPolicy);
        !single && !matches!(self, Self::Batch(_) | Self::SubscribedSkus)
    }

    /// Largest `$top`.
    pub(crate) fn max_top(&self) -> usize {
        match self {
            Self::Agents | Self::Blueprints => 100,
            _ => 999,
        }
    }

    /// Whether the route belongs to reports and logs, which have a limit of their own.
    pub(crate) fn is_report(&self) -> bool {
        matches!(self, Self::PrincipalActivity | Self::CredentialActivity | Self::DirectoryAudits)
    }

    /// The plan without which the vendor refuses the route, if it needs one.
    pub(crate) fn plan(&self) -> Option<ServicePlan> {
        match self {
            Self::PrincipalActivity | Self::CredentialActivity => Some(ServicePlan::P1),
            Self::RoleEligibility | Self::RoleSchedule => Some(ServicePlan::P2),
            _ => None,
        }
    }
}

fn set_named(name: &str) -> Option<Set> {
    [Set::Applications, Set::ServicePrincipals, Set::Users].into_iter().find(|set| set.name() == name)
}

fn deleted(kind: &str) -> Option<Set> {
    let kind = kind.strip_prefix("microsoft.graph.")?;
    [Set::Applications, Set::ServicePrincipals, Set::Users].into_iter().find(|set| set.kind() == kind)
}

/// `applications/{id}/...` or `applications(appId='{id}')/...`.
fn object<'a>(first: &str, rest: &'a [&'a str]) -> Option<(Set, Pick, &'a [&'a str])> {
    if let Some((set, key)) = first.split_once('(') {
        let set = set_named(set).filter(|set| *set != Set::Users)?;
        let app_id = key.strip_suffix(')')?.strip_prefix("appId=")?.trim_matches(|c| c == '\'' || c == '"');
        return Some((set, Pick::AppId(app_id.to_owned()), rest));
    }
    let (id, rest) = rest.split_first()?;
    Some((set_named(first)?, Pick::Id((*id).to_owned()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<String> {
        Route::find(Version::V1, &Method::GET, path).map(|route| route.name(None))
    }

    #[test]
    fn documented_routes() {
        assert_eq!(found("applications").as_deref(), Some("applications"));
        assert_eq!(found("applications/x/owners").as_deref(), Some("applications/owners"));
        assert_eq!(found("servicePrincipals(appId='x')").as_deref(), Some("servicePrincipals/item"));
        assert_eq!(
            found("servicePrincipals(appId='x')/appRoleAssignments").as_deref(),
            Some("servicePrincipals/appRoleAssignments")
        );
        assert_eq!(
            found("directory/deletedItems/microsoft.graph.user").as_deref(),
            Some("directory/deletedItems/user")
        );
    }

    #[test]
    fn nothing_else() {
        for path in
            ["", "me", "applications/", "users/x/owners", "users(appId='x')", "groups", "directory/deletedItems"]
        {
            let route = Route::find(Version::V1, &Method::GET, path);
            assert!(!matches!(route, Some(Route::Owners(..) | Route::Deleted(_))), "{path}");
            assert!(path == "applications/" || route.is_none(), "{path}");
        }
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            assert_eq!(Route::find(Version::V1, &method, "applications"), None);
        }
    }

    #[test]
    fn beta_has_what_v1_lacks() {
        let beta = |path: &str| Route::find(Version::Beta, &Method::GET, path).map(|route| route.name(None));
        assert_eq!(
            beta("applications/x/federatedIdentityCredentials").as_deref(),
            Some("beta/applications/federatedIdentityCredentials")
        );
        for path in ["reports/servicePrincipalSignInActivities", "reports/appCredentialSignInActivities"] {
            assert_eq!(beta(path).as_deref(), Some(path));
            assert_eq!(found(path), None);
        }
        for path in ["applications", "applications/x", "auditLogs/directoryAudits", "subscribedSkus"] {
            assert_eq!(beta(path), None, "{path}");
        }
        assert_eq!(Version::of("/beta/reports/x/"), Some((Version::Beta, "reports/x")));
        for path in ["/v2.0/x", "beta/x", "/beta", ""] {
            assert_eq!(Version::of(path), None, "{path}");
        }
    }

    #[test]
    fn agents_and_groups() {
        for (path, name) in [
            ("servicePrincipals/microsoft.graph.agentIdentity", "servicePrincipals/agentIdentity"),
            ("applications/microsoft.graph.agentIdentityBlueprint", "applications/agentIdentityBlueprint"),
            ("servicePrincipals/x/microsoft.graph.agentIdentity/sponsors", "servicePrincipals/sponsors"),
            ("applications/x/microsoft.graph.agentIdentityBlueprint/sponsors", "applications/sponsors"),
            ("groups/x", "groups/item"),
            ("groups/x/transitiveMembers/microsoft.graph.servicePrincipal", "groups/transitiveMembers"),
        ] {
            assert_eq!(found(path).as_deref(), Some(name));
        }
        for path in ["servicePrincipals/x/sponsors", "groups/x/members", "groups/x/transitiveMembers"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
