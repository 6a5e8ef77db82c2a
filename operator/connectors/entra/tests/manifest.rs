//! The manifest against the code: what is selected is what is kept, nothing secret has a name, all is reading.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use sv0_connector::Manifest;
use sv0_connector_entra::MANIFEST;

const SOURCES: [&str; 8] = [
    include_str!("../src/lib.rs"),
    include_str!("../src/client.rs"),
    include_str!("../src/map.rs"),
    include_str!("../src/collect/authority.rs"),
    include_str!("../src/collect/identities.rs"),
    include_str!("../src/collect/own.rs"),
    include_str!("../src/collect/people.rs"),
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
        manifest.operations.iter().map(|op| op.id.as_str()).filter(|id| *id != "batch").collect();
    assert_eq!(named, listed);
}
