//! The routes that exist, what they cost and which permission opens them.
//!
//! Anything else is answered as Graph answers an unknown segment; there is no route that writes.

use http::Method;

use super::options::{Expand, Options};

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

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Organization,
    List(Set),
    Item(Set, Pick),
    Owners(Set, Pick),
    AppRoleAssignedTo(Pick),
    AppRoleAssignments(Pick),
    FederatedCredentials(Pick),
    RoleDefinitions,
    RoleAssignments,
    Deleted(Set),
    DeletedItem(String),
    GetByIds,
    Batch,
}

impl Route {
    pub(crate) fn find(method: &Method, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["$batch"]) => return Some(Self::Batch),
            (&Method::POST, ["directoryObjects", "getByIds"]) => return Some(Self::GetByIds),
            (&Method::GET, _) => {}
            _ => return None,
        }
        match parts.as_slice() {
            ["organization"] => Some(Self::Organization),
            ["roleManagement", "directory", "roleDefinitions"] => Some(Self::RoleDefinitions),
            ["roleManagement", "directory", "roleAssignments"] => Some(Self::RoleAssignments),
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
            (Set::ServicePrincipals, ["appRoleAssignedTo"]) => Some(Self::AppRoleAssignedTo(pick)),
            (Set::ServicePrincipals, ["appRoleAssignments"]) => Some(Self::AppRoleAssignments(pick)),
            (Set::Applications, ["federatedIdentityCredentials"]) => Some(Self::FederatedCredentials(pick)),
            _ => None,
        }
    }

    /// The name under which requests are counted and faults are set.
    pub(crate) fn name(&self, expand: Option<&Expand>) -> String {
        let name = match self {
            Self::Organization => "organization".to_owned(),
            Self::List(set) => set.name().to_owned(),
            Self::Item(set, _) => format!("{}/item", set.name()),
            Self::Owners(set, _) => format!("{}/owners", set.name()),
            Self::AppRoleAssignedTo(_) => "servicePrincipals/appRoleAssignedTo".to_owned(),
            Self::AppRoleAssignments(_) => "servicePrincipals/appRoleAssignments".to_owned(),
            Self::FederatedCredentials(_) => "applications/federatedIdentityCredentials".to_owned(),
            Self::RoleDefinitions => "roleManagement/directory/roleDefinitions".to_owned(),
            Self::RoleAssignments => "roleManagement/directory/roleAssignments".to_owned(),
            Self::Deleted(set) => format!("directory/deletedItems/{}", set.kind()),
            Self::DeletedItem(_) => "directory/deletedItems/item".to_owned(),
            Self::GetByIds => "directoryObjects/getByIds".to_owned(),
            Self::Batch => "$batch".to_owned(),
        };
        match expand {
            Some(expand) => format!("{name}+{}", expand.navigation),
            None => name,
        }
    }

    /// Any of these opens the route; none needed when empty.
    pub(crate) fn permissions(&self) -> &'static [&'static str] {
        match self {
            Self::Organization => ORGANIZATION,
            Self::List(Set::Users) | Self::Item(Set::Users, _) | Self::Deleted(Set::Users) => PEOPLE,
            Self::FederatedCredentials(_) => FEDERATION,
            Self::RoleDefinitions | Self::RoleAssignments => ROLES,
            Self::GetByIds => DIRECTORY,
            // Which one is needed depends on what the item is; that is checked when it is found.
            Self::DeletedItem(_) | Self::Batch => &[],
            _ => APPLICATIONS,
        }
    }

    /// Resource units: the published base cost, less for `$select` and small pages, more for `$expand`, at least 1.
    pub(crate) fn cost(&self, options: &Options) -> u32 {
        let base = match self {
            Self::List(Set::Applications | Set::Users)
            | Self::Item(Set::Applications | Set::Users, _)
            | Self::AppRoleAssignments(_) => 2,
            Self::GetByIds => 3,
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
        matches!(self, Self::List(_) | Self::Deleted(_) | Self::Owners(..))
    }

    pub(crate) fn is_list(&self) -> bool {
        !matches!(self, Self::Item(..) | Self::DeletedItem(_) | Self::Batch)
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
        Route::find(&Method::GET, path).map(|route| route.name(None))
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
            let route = Route::find(&Method::GET, path);
            assert!(!matches!(route, Some(Route::Owners(..) | Route::Deleted(_))), "{path}");
            assert!(path == "applications/" || route.is_none(), "{path}");
        }
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            assert_eq!(Route::find(&method, "applications"), None);
        }
    }
}
