//! What documents and onboarding artefacts need to know of a connector: its manifest, read as text.
//!
//! Takes the YAML that is compiled in; gives permissions, requests and promises. A view, not the guard: fields that
//! only the scan needs are ignored here. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;

/// The manifest of the Microsoft Entra ID connector.
pub const ENTRA: &str = include_str!("../../connectors/entra/manifest.yaml");

/// What is told of a connector.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The connector's name.
    pub system: String,
    /// For people.
    pub title: String,
    /// The vendor's API.
    pub api: Api,
    /// Rises whenever something new is collected.
    pub collection_revision: u32,
    /// Ways to sign in, the recommended one first.
    pub auth_methods: Vec<String>,
    /// Application permissions.
    pub permissions: Vec<Permission>,
    /// The vendor's published limits.
    #[serde(default)]
    pub rate_limits: Vec<String>,
    /// What is read about people.
    #[serde(default)]
    pub personal_data: Vec<PersonalData>,
    /// Kinds of relations that its rows are: the words of [`sv0_graph::EdgeKind`].
    #[serde(default)]
    pub relations: Vec<String>,
    /// What is never read.
    #[serde(default)]
    pub never_read: Vec<String>,
    /// Vendor documents.
    #[serde(default)]
    pub docs: Vec<String>,
    /// The requests.
    pub operations: Vec<Operation>,
}

/// The vendor's API.
#[derive(Clone, Debug, Deserialize)]
pub struct Api {
    /// `Microsoft Graph`.
    pub name: String,
    /// `v1.0`.
    pub version: String,
}

/// A permission.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// The vendor's name for it.
    pub id: String,
    /// The vendor's immutable identifier of it; not every permission has a published one.
    #[serde(default)]
    pub role: Option<String>,
    /// What it is for.
    pub reason: String,
    /// Broader permissions that include it.
    #[serde(default)]
    pub included_in: Vec<Broader>,
    /// The one collection that it is for, when the customer may do without: it belongs to the expanded set only.
    #[serde(default)]
    pub add_on: Option<String>,
}

/// A broader permission.
#[derive(Clone, Debug, Deserialize)]
pub struct Broader {
    /// The vendor's name for it.
    pub id: String,
}

/// What is read about people.
#[derive(Clone, Debug, Deserialize)]
pub struct PersonalData {
    /// The field.
    pub field: String,
    /// About whom.
    pub about: String,
    /// What for.
    pub purpose: String,
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// `GET`, or `POST` for an envelope of listed GETs.
    pub method: String,
    /// Path below the API's version.
    pub path: String,
    /// Version of the API where it is not the manifest's own.
    #[serde(default)]
    pub version: Option<String>,
    /// Fields that are kept.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The permission that it needs.
    #[serde(default)]
    pub permission: Option<String>,
    /// The collection that it feeds.
    #[serde(default)]
    pub collection: Option<String>,
    /// The collection revision that brought it.
    pub revision: u32,
}

/// How many permissions are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PermissionSet {
    /// Those that the built-in rules cannot do without.
    Minimal,
    /// Those and every add-on.
    Expanded,
}

impl PermissionSet {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Minimal, Self::Expanded];

    /// The word on the command line and in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Expanded => "expanded",
        }
    }
}

impl Manifest {
    /// Reads it.
    pub fn parse(yaml: &str) -> Result<Self, serde_yaml::Error> {
        serde_yaml::from_str(yaml)
    }

    /// The permissions of a set, in the manifest's order.
    pub fn set(&self, set: PermissionSet) -> Vec<&Permission> {
        let wanted = |permission: &&Permission| set == PermissionSet::Expanded || permission.add_on.is_none();
        self.permissions.iter().filter(wanted).collect()
    }

    /// The collections that some request feeds, in the order of their first request.
    pub fn collections(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.operations.iter().filter_map(|operation| operation.collection.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The collections that need `permission`, sorted.
    pub fn collections_of(&self, permission: &str) -> BTreeSet<&str> {
        let needing = self.operations.iter().filter(|operation| operation.permission.as_deref() == Some(permission));
        needing.filter_map(|operation| operation.collection.as_deref()).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small manifest, so that the golden files do not change with every collection.
    pub(crate) const SMALL: &str = r"
system: entra
title: Microsoft Entra ID
api: {name: Microsoft Graph, version: v1.0}
collectionRevision: 2
authMethods: [workloadIdentity, clientCertificate]
requestIdHeader: client-request-id
permissions:
  - {id: Application.Read.All, role: 9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30, reason: applications, includedIn: [{id: Directory.Read.All, role: x}]}
  - {id: User.Read.All, role: df021288-bdef-4463-88db-98f22de89214, reason: owners' accounts}
  - {id: Directory.Read.All, role: 7ab1d382-f21e-4acd-a863-ba3e13f7da61, reason: delegated grants, addOn: delegatedGrants}
  - {id: AgentIdentity.Read.All, reason: agent identities, addOn: agentIdentities}
rateLimits: [few]
personalData:
  - {field: userPrincipalName, about: owners, purpose: who answers}
neverRead: [secret values]
docs: [https://learn.microsoft.com/graph/api/overview]
operations:
  - {id: a, method: GET, host: graph, path: /applications, fields: [id, appId], permission: Application.Read.All, collection: applications, revision: 1}
  - {id: b, method: GET, host: graph, path: '/applications/{id}/owners', fields: [id], permission: Application.Read.All, collection: applicationOwners, revision: 1}
  - {id: c, method: GET, host: graph, path: /users, fields: [id, accountEnabled], permission: User.Read.All, collection: ownerAccounts, revision: 1}
  - {id: d, method: GET, host: graph, path: /oauth2PermissionGrants, fields: [id], permission: Directory.Read.All, collection: delegatedGrants, revision: 2}
  - {id: e, method: GET, host: graph, path: /servicePrincipals/microsoft.graph.agentIdentity, version: beta, fields: [id], permission: AgentIdentity.Read.All, collection: agentIdentities, revision: 2}
  - {id: batch, method: POST, host: graph, path: /$batch, inner: [b], revision: 1}
";

    #[test]
    fn sets_differ_by_their_add_ons() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let names = |set| -> Vec<String> { manifest.set(set).iter().map(|p| p.id.clone()).collect() };
        assert_eq!(names(PermissionSet::Minimal), ["Application.Read.All", "User.Read.All"]);
        assert_eq!(names(PermissionSet::Expanded).len(), 4);
        assert_eq!(manifest.permissions[2].add_on.as_deref(), Some("delegatedGrants"));
    }

    #[test]
    fn the_compiled_in_manifest_is_understood() {
        let manifest = Manifest::parse(ENTRA).unwrap();
        for permission in &manifest.permissions {
            assert!(!manifest.collections_of(&permission.id).is_empty(), "{} is for nothing", permission.id);
        }
        let minimal: Vec<&str> = manifest.set(PermissionSet::Minimal).iter().map(|p| p.id.as_str()).collect();
        assert!(minimal.contains(&"Application.Read.All") && minimal.contains(&"Organization.Read.All"));
    }
}
