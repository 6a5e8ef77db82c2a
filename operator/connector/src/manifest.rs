//! A connector's manifest: the single source of truth for what it asks, which permissions that needs, and what it
//! keeps. Takes YAML that is compiled into the program; gives a checked structure. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::text;

/// Everything that a connector may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The connector's name, also the first part of its node identities.
    pub system: String,
    /// For people.
    pub title: String,
    /// The vendor's API.
    pub api: Api,
    /// Rises whenever something new is collected; a customer accepts each rise.
    pub collection_revision: u32,
    /// Ways to sign in, the recommended one first.
    pub auth_methods: Vec<String>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Header that carries a fresh id per request, if the vendor knows one.
    #[serde(default)]
    pub request_id_header: Option<String>,
    /// Application permissions.
    pub permissions: Vec<Permission>,
    /// The vendor's published limits, for the documents.
    #[serde(default)]
    pub rate_limits: Vec<String>,
    /// Limits on numbers of requests that operations name: those of one name share it.
    #[serde(default)]
    pub paces: BTreeMap<String, Pace>,
    /// What is read about people, for the documents.
    #[serde(default)]
    pub personal_data: Vec<PersonalData>,
    /// What is kept inside of a kept field that holds objects, by the field's name. Recordings hold no more than this.
    #[serde(default)]
    pub nested: BTreeMap<String, Vec<String>>,
    /// Fields inside that are kept only of some of the objects, by the field's name as in `nested`.
    #[serde(default)]
    pub nested_only: BTreeMap<String, Only>,
    /// Kinds of relations that rows are mapped to, for the catalogue.
    #[serde(default)]
    pub relations: Vec<String>,
    /// What is never read, for the documents.
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Api {
    /// `Microsoft Graph`.
    pub name: String,
    /// `v1.0`; also the first segment of every path.
    pub version: String,
}

/// At most so many requests in any stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pace {
    /// Requests.
    pub requests: u32,
    /// In so many seconds.
    pub seconds: u32,
}

/// A permission.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permission {
    /// The vendor's name for it.
    pub id: String,
    /// The vendor's immutable identifier of it. Without one it is known by its name among what the tenant's own API
    /// resource offers.
    #[serde(default)]
    pub role: Option<String>,
    /// What it is for.
    pub reason: String,
    /// The one collection that it is for, when the customer may do without: its absence is then a gap of that
    /// collection and no fault.
    #[serde(default)]
    pub add_on: Option<String>,
    /// Broader permissions that include it: with one of them it is not missing.
    #[serde(default)]
    pub included_in: Vec<Included>,
}

/// A broader permission.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Included {
    /// The vendor's name for it.
    pub id: String,
    /// The vendor's immutable identifier of it.
    pub role: String,
}

/// What is read about people.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PersonalData {
    /// The field.
    pub field: String,
    /// About whom.
    pub about: String,
    /// What for.
    pub purpose: String,
}

/// Fields that are kept only of objects which say something of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Only {
    /// The field that decides.
    #[serde(rename = "where")]
    pub by: String,
    /// What it has to say.
    pub is: String,
    /// The fields that go when it says something else.
    pub fields: Vec<String>,
    /// These fields hold a list of texts, written as JSON within a text: where each of them is cut. A bracket that closes
    /// it stays.
    #[serde(default)]
    pub cut_at: Option<String>,
}

/// How the pages of a list follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Paging {
    /// One answer.
    #[default]
    None,
    /// `@odata.nextLink`, opaque, on the same path.
    OdataNextLink,
}

/// One request that may be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Unique name.
    pub id: String,
    /// `GET`, or `POST` for an envelope of listed GETs.
    pub method: String,
    /// Logical host; bound to an address by the connector's configuration.
    pub host: String,
    /// The API's version, when it is not the manifest's own; an envelope and what is inside have the same.
    #[serde(default)]
    pub version: Option<String>,
    /// Path below the API's version, with `{slots}`.
    pub path: String,
    /// Query: each key with its only value, which may have `{slots}`.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers besides the manifest's own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Fields that are kept; everything else is dropped while the answer is read.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Paging.
    #[serde(default)]
    pub paging: Paging,
    /// Which of the manifest's paces it keeps.
    #[serde(default)]
    pub pace: Option<String>,
    /// For an envelope: operations that may be inside.
    #[serde(default)]
    pub inner: Vec<String>,
    /// The permission that it needs.
    #[serde(default)]
    pub permission: Option<String>,
    /// The collection that it feeds.
    #[serde(default)]
    pub collection: Option<String>,
    /// The collection revision that brought it.
    pub revision: u32,
    /// The vendor's document.
    #[serde(default)]
    pub docs: Option<String>,
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the documented form.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(#[from] serde_yaml::Error),
    /// Contradicts itself.
    #[error("the manifest's operation {operation}: {problem}")]
    Inconsistent {
        /// Which operation.
        operation: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A permission contradicts the operations.
    #[error("the manifest's permission {permission}: {problem}")]
    Permission {
        /// Which permission.
        permission: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A pace that lets nothing through, or everything.
    #[error("the manifest's pace {0} has no requests or no seconds")]
    Pace(String),
    /// It keeps of some objects what is not kept of any.
    #[error("the manifest's nestedOnly {0} names something that nested does not list")]
    NestedOnly(String),
}

impl Manifest {
    /// Reads and checks.
    pub fn parse(yaml: &str) -> Result<Self, ManifestError> {
        let manifest: Self = serde_yaml::from_str(yaml)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let mut seen = BTreeSet::new();
        for operation in &self.operations {
            let problem = self
                .problem_of(operation)
                .or_else(|| (!seen.insert(operation.id.as_str())).then_some("another operation has the same id"));
            if let Some(problem) = problem {
                return Err(ManifestError::Inconsistent { operation: operation.id.clone(), problem });
            }
        }
        for permission in &self.permissions {
            if let Some(problem) = self.problem_of_add_on(permission) {
                return Err(ManifestError::Permission { permission: permission.id.clone(), problem });
            }
        }
        let listed = |field: &String, inside: &String| self.nested.get(field).is_some_and(|kept| kept.contains(inside));
        let loose = self
            .nested_only
            .iter()
            .find(|(field, only)| !listed(field, &only.by) || !only.fields.iter().all(|inside| listed(field, inside)));
        if let Some((field, _)) = loose {
            return Err(ManifestError::NestedOnly(field.clone()));
        }
        let idle = self.paces.iter().find(|(_, pace)| pace.requests == 0 || pace.seconds == 0);
        idle.map_or(Ok(()), |(name, _)| Err(ManifestError::Pace(name.clone())))
    }

    fn problem_of_add_on(&self, permission: &Permission) -> Option<&'static str> {
        let collection = permission.add_on.as_ref()?;
        if !self.collections().contains(&collection.as_str()) {
            return Some("it is an add-on for a collection that does not exist");
        }
        let only = self
            .operations
            .iter()
            .filter(|operation| operation.permission.as_ref() == Some(&permission.id))
            .all(|operation| operation.collection.as_ref() == Some(collection));
        (!only).then_some("it is an add-on for one collection and another needs it too")
    }

    fn problem_of(&self, operation: &Operation) -> Option<&'static str> {
        let listed = |id: &String| self.permissions.iter().any(|p| p.id == *id);
        if !operation.path.starts_with('/') {
            return Some("its path does not start with a slash");
        }
        if operation.revision == 0 || operation.revision > self.collection_revision {
            return Some("its revision is not between 1 and the manifest's collectionRevision");
        }
        if operation.permission.as_ref().is_some_and(|id| !listed(id)) {
            return Some("its permission is not listed under permissions");
        }
        if operation.pace.as_ref().is_some_and(|name| !self.paces.contains_key(name)) {
            return Some("its pace is not listed under paces");
        }
        if operation.version.as_ref().is_some_and(|version| text::opaque_id(version).is_none()) {
            return Some("its version is not one segment of a path");
        }
        match operation.method.as_str() {
            "GET" if !operation.inner.is_empty() => return Some("a GET has no inner operations"),
            "GET" if operation.collection.is_none() => return Some("a GET feeds a collection"),
            "POST" if operation.inner.is_empty() => return Some("a POST is allowed as an envelope of GETs only"),
            "GET" | "POST" => {}
            _ => return Some("its method is neither GET nor an enveloping POST"),
        }
        let inner_fit = operation.inner.iter().all(|id| {
            self.operation(id).is_some_and(|(_, inner)| {
                inner.method == "GET"
                    && inner.host == operation.host
                    && inner.version == operation.version
                    // Inside an envelope it would not be counted.
                    && inner.pace.is_none()
            })
        });
        (!inner_fit).then_some("an inner operation is not a listed GET of the same host and version, without a pace")
    }

    /// The version of the API that an operation belongs to: the first segment of its path.
    pub fn version_of<'a>(&'a self, operation: &'a Operation) -> &'a str {
        operation.version.as_deref().unwrap_or(&self.api.version)
    }

    /// Whether the customer may do without a permission.
    pub fn is_add_on(&self, permission: &str) -> bool {
        self.permissions.iter().any(|p| p.id == permission && p.add_on.is_some())
    }

    /// An operation and its place in the list.
    pub fn operation(&self, id: &str) -> Option<(usize, &Operation)> {
        self.operations.iter().enumerate().find(|(_, operation)| operation.id == id)
    }

    /// The collections that `revision` allows, in the order of their first operation.
    pub fn collections(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.operations.iter().filter_map(|o| o.collection.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// What rows refer to by index: the collecting operations in the manifest's order.
    pub fn graph_operations(&self) -> Vec<sv0_graph::Operation> {
        self.collecting()
            .map(|(operation, collection)| sv0_graph::Operation {
                id: operation.id.clone(),
                api: self.api.name.clone(),
                version: self.version_of(operation).to_owned(),
                path: format!("{} {}", operation.method, operation.path),
                collection: collection.to_owned(),
            })
            .collect()
    }

    /// The index that rows carry for an operation.
    pub fn graph_index(&self, id: &str) -> Option<u16> {
        let at = self.collecting().position(|(operation, _)| operation.id == id)?;
        u16::try_from(at).ok()
    }

    fn collecting(&self) -> impl Iterator<Item = (&Operation, &str)> {
        self.operations.iter().filter_map(|o| o.collection.as_deref().map(|collection| (o, collection)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rstest::rstest;

    use super::*;

    /// A small manifest for the tests of this crate.
    pub(crate) const SMALL: &str = r"
system: test
title: Test
api: {name: Test API, version: v1}
collectionRevision: 2
authMethods: [clientSecret]
headers: {x-priority: Low}
requestIdHeader: client-request-id
paces: {slow: {requests: 2, seconds: 10}}
nested: {a: [b, c]}
nestedOnly: {a: {where: b, is: x, fields: [c]}}
permissions:
  - {id: Thing.Read, role: r1, reason: things}
  - {id: Extra.Read, reason: newer things, addOn: newer}
operations:
  - {id: listThings, method: GET, host: api, path: /things, query: {$select: 'id,name', $top: '2'}, paging: odataNextLink, permission: Thing.Read, collection: things, revision: 1}
  - {id: getThing, method: GET, host: api, path: '/things/{id}/parts', collection: parts, permission: Thing.Read, revision: 1}
  - {id: byKey, method: GET, host: api, path: '/things(key={id})', query: {$filter: 'id in ({ids})'}, collection: parts, permission: Thing.Read, revision: 1}
  - {id: newer, method: GET, host: api, path: /newer, permission: Extra.Read, collection: newer, revision: 2}
  - {id: preview, method: GET, host: api, version: beta, path: '/things/{id}/preview', query: {$filter: 'at ge {since}'}, headers: {level: eventual}, collection: parts, revision: 1}
  - {id: slow, method: GET, host: api, version: beta, path: /slow, pace: slow, collection: parts, revision: 1}
  - {id: batchBeta, method: POST, host: api, version: beta, path: /$batch, inner: [preview], revision: 1}
  - {id: batch, method: POST, host: api, path: /$batch, inner: [getThing], revision: 1}
";

    #[test]
    fn rows_refer_to_collecting_operations_in_order() {
        let manifest = Manifest::parse(SMALL).unwrap();
        assert_eq!(manifest.graph_index("byKey"), Some(2));
        assert_eq!(manifest.graph_index("batch"), None);
        assert_eq!(manifest.graph_operations()[2].path, "GET /things(key={id})");
        assert_eq!(manifest.collections(), ["things", "parts", "newer"]);
        let versions: Vec<String> = manifest.graph_operations().into_iter().map(|o| o.version).collect();
        assert_eq!(versions, ["v1", "v1", "v1", "v1", "beta", "beta"]);
        assert!(manifest.is_add_on("Extra.Read") && !manifest.is_add_on("Thing.Read"));
    }

    #[rstest]
    #[case::unknown_permission(
        "permission: Thing.Read, collection: things",
        "permission: Thing.Write, collection: things"
    )]
    #[case::write("id: newer, method: GET", "id: newer, method: DELETE")]
    #[case::plain_post("id: newer, method: GET", "id: newer, method: POST")]
    #[case::twice("id: newer", "id: listThings")]
    #[case::revision("collection: newer, revision: 2", "collection: newer, revision: 3")]
    #[case::version_inside("version: beta, path: /$batch", "path: /$batch")]
    #[case::version_of_two_segments("version: beta, path: /slow", "version: beta/x, path: /slow")]
    #[case::pace_inside("inner: [preview]", "inner: [preview, slow]")]
    #[case::unknown_pace("pace: slow", "pace: fast")]
    #[case::idle_pace("requests: 2", "requests: 0")]
    #[case::unlisted_condition("nested: {a: [b, c]}", "nested: {a: [c]}")]
    #[case::unlisted_inside("nested: {a: [b, c]}", "nested: {a: [b]}")]
    #[case::add_on_for_nothing("addOn: newer", "addOn: older")]
    #[case::add_on_that_another_needs("path: /slow,", "path: /slow, permission: Extra.Read,")]
    #[case::inner("inner: [getThing]", "inner: [gone]")]
    #[case::unknown_key("title: Test", "titel: Test")]
    #[case::relative("path: /newer", "path: newer")]
    fn a_contradiction_is_refused(#[case] from: &str, #[case] to: &str) {
        let broken = SMALL.replacen(from, to, 1);
        assert_ne!(broken, SMALL);
        assert!(Manifest::parse(&broken).is_err());
    }
}
