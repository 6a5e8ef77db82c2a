//! The manifest against the code: what is selected is what is kept, nothing secret has a name, all is reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use sv0_connector::Manifest;
use sv0_connector_entra::MANIFEST;

const SOURCES: [&str; 18] = [
    include_str!("../src/lib.rs"),
    include_str!("../src/client.rs"),
    include_str!("../src/map.rs"),
    include_str!("../src/map/activity.rs"),
    include_str!("../src/map/agents.rs"),
    include_str!("../src/map/credentials.rs"),
    include_str!("../src/map/grants.rs"),
    include_str!("../src/map/policies.rs"),
    include_str!("../src/collect/activity.rs"),
    include_str!("../src/collect/agents.rs"),
    include_str!("../src/collect/authority.rs"),
    include_str!("../src/collect/groups.rs"),
    include_str!("../src/collect/identities.rs"),
    include_str!("../src/collect/own.rs"),
    include_str!("../src/collect/pairs.rs"),
    include_str!("../src/collect/people.rs"),
    include_str!("../src/collect/policies.rs"),
    include_str!("../src/collect/relations.rs"),
];
const MODEL: &str = include_str!("../src/model.rs");

fn manifest() -> Manifest {
    Manifest::parse(MANIFEST).unwrap()
}

#[test]
fn what_is_selected_is_what_is_listed_as_kept() {
    for operation in manifest().operations {
        let Some(select) = operation.query.get("$select") else { continue };
        let mut selected: BTreeSet<&str> = select.split(',').collect();
        if let Some(expand) = operation.query.get("$expand") {
            selected.insert(expand.split('(').next().unwrap());
        }
        let kept: BTreeSet<&str> = operation.fields.iter().map(String::as_str).collect();
        assert_eq!(selected, kept, "{}", operation.id);
    }
}

/// Turns a field of the wire types into the vendor's spelling.
fn camel(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn the_wire_types_have_no_place_for_secrets() {
    let fields: Vec<String> = MODEL
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) ")?.split_once(": ").map(|(name, _)| camel(name)))
        .collect();
    assert!(fields.iter().any(|field| field == "keyId"), "fields are found: {fields:?}");
    for forbidden in ["key", "hint", "secretText", "mail", "displayNameOfUser", "manager", "department", "jobTitle"] {
        assert!(!fields.iter().any(|field| field == forbidden), "{forbidden}");
        let selected = manifest().operations.into_iter().any(|op| op.fields.iter().any(|field| field == forbidden));
        assert!(!selected, "{forbidden}");
    }
}

#[test]
fn all_is_reading_with_reading_permissions() {
    let manifest = manifest();
    for operation in &manifest.operations {
        assert!(operation.method == "GET" || operation.path == "/$batch", "{}", operation.id);
        assert!(operation.docs.is_some(), "{}", operation.id);
    }
    for permission in &manifest.permissions {
        assert!(permission.role.is_some() || permission.id.starts_with("Agent"), "{}", permission.id);
        assert!(permission.id.split('.').nth(1) == Some("Read"), "{}", permission.id);
        assert!(manifest.operations.iter().any(|op| op.permission.as_ref() == Some(&permission.id)));
    }
}

/// Nobody can ask for all users.
#[test]
fn people_are_asked_for_by_id_only() {
    for operation in manifest().operations.iter().filter(|op| op.path.starts_with("/users")) {
        assert_eq!(operation.query.get("$filter").map(String::as_str), Some("id in ({ids})"));
    }
}

#[test]
fn every_operation_that_the_code_names_is_listed_and_the_other_way_round() {
    let manifest = manifest();
    let named: BTreeSet<&str> = SOURCES
        .iter()
        .flat_map(|source| source.split('"').skip(1).step_by(2))
        .filter(|text| text.starts_with("list") || (text.starts_with("get") && text.len() > 3))
        .collect();
    let listed: BTreeSet<&str> =
        manifest.operations.iter().map(|op| op.id.as_str()).filter(|id| !id.starts_with("batch")).collect();
    assert_eq!(named, listed);
}

/// The permissions that an order before the newer revision needs are those that it needed before.
#[test]
fn what_is_new_is_asked_at_the_new_revision_only() {
    let manifest = manifest();
    let at = |revision: u32| -> BTreeSet<&str> {
        let listed = manifest.operations.iter().filter(|op| op.revision == revision);
        listed.filter_map(|op| op.collection.as_deref()).collect()
    };
    assert_eq!((at(1).len(), at(2).len()), (13, 14));
    assert!(at(1).is_disjoint(&at(2)));
    for operation in manifest.operations.iter().filter(|op| op.version.is_some()) {
        assert_eq!((operation.version.as_deref(), operation.revision), (Some("beta"), 2), "{}", operation.id);
    }
    for operation in manifest.operations.iter().filter(|op| op.path.contains("/reports/") || op.path.contains("udit")) {
        assert_eq!(operation.pace.as_deref(), Some("reports"), "{}", operation.id);
    }
    let add_ons: Vec<&str> =
        manifest.permissions.iter().filter(|p| p.add_on.is_some()).map(|p| p.id.as_str()).collect();
    assert_eq!(add_ons, ["Directory.Read.All", "Policy.Read.All"]);
}
