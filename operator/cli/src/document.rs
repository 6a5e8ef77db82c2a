//! A connector's document: what it may ask for and why, what is read, what never, what is read about people, and what
//! each missing permission costs. Takes the manifest and the rules' metadata; gives Markdown. Pure.

use std::collections::BTreeSet;

use sv0_rules::Meta;

use crate::manifest::{Manifest, Operation, Permission, PermissionSet};

/// The collection that proves which tenant answers. Without it a scan ends before it stores anything.
const PROOF: &str = "organization";

/// The document of a connector.
pub fn markdown(manifest: &Manifest, rules: &[&Meta]) -> String {
    let mut text = format!(
        "# {}: permissions and data\n\n\
         Generated from the connector's manifest, `operator/connectors/{}/manifest.yaml`, and the rules' own metadata: do \
         not edit, run `cargo run -p sv0-cli --bin docgen`. This is collection revision {}. \
         `kubectl sv0 permissions {}` prints the same.\n",
        manifest.title, manifest.system, manifest.collection_revision, manifest.system
    );
    text.push_str(&permissions(manifest));
    text.push_str(&costs(manifest, rules));
    text.push_str(&data(manifest));
    text.push_str(&people(manifest));
    text.push_str(&rest(manifest));
    text
}

fn permissions(manifest: &Manifest) -> String {
    let mut text = format!(
        "\n## Permissions\n\nApplication permissions of {}. All of them only read; `cargo xtask check` refuses a manifest or an \
         onboarding artefact with one that can write. *Minimal* is what `kubectl sv0 onboard {}` asks for; `--set expanded` \
         adds the others.\n\n| Permission | Set | What for | Collections |\n|---|---|---|---|\n",
        manifest.api.name, manifest.system
    );
    for permission in &manifest.permissions {
        let collections = code_list(&manifest.collections_of(&permission.id));
        row(&mut text, &[&format!("`{}`", permission.id), &set(permission), &permission.reason, &collections]);
    }
    let broader: BTreeSet<&str> =
        manifest.permissions.iter().flat_map(|p| p.included_in.iter().map(|b| b.id.as_str())).collect();
    if !broader.is_empty() {
        add(
            &mut text,
            &format!(
                "\n{} would include some of these. It works, but grants more than is used: the instance's status lists it as \
             excess unless it is in the table itself.\n",
                code_list(&broader)
            ),
        );
    }
    let unpublished: BTreeSet<&str> =
        manifest.permissions.iter().filter(|p| p.role.is_none()).map(|p| p.id.as_str()).collect();
    if !unpublished.is_empty() {
        add(
            &mut text,
            &format!(
                "\nNo id is published for {}: the artefacts find {} by name in your tenant.\n",
                code_list(&unpublished),
                if unpublished.len() == 1 { "it" } else { "them" }
            ),
        );
    }
    text
}

fn set(permission: &Permission) -> String {
    let set = if permission.add_on.is_none() { PermissionSet::Minimal } else { PermissionSet::Expanded };
    set.name().to_owned()
}

fn costs(manifest: &Manifest, rules: &[&Meta]) -> String {
    let mut text = String::from(
        "\n## What a missing permission costs\n\nA collection that was refused is shown as a gap in the instance's coverage. \
         A rule that needs it then makes its narrower claim or none; it never takes the gap for \"there is none\", and \
         nothing resolves because of it. The absence of an add-on is such a gap and no \
         fault: `PermissionsSufficient` stays true. The table names the rules that require a collection of the permission. \
         Rules for which it only adds to what they say, or that require a collection which is built upon one of it, can say \
         less as well.\n\n| Without | Rules that say less or nothing |\n|---|---|\n",
    );
    for permission in &manifest.permissions {
        let collections = manifest.collections_of(&permission.id);
        let needing: Vec<String> = rules
            .iter()
            .filter(|meta| meta.requires.iter().any(|name| collections.contains(name)))
            .map(|meta| meta.id.to_owned())
            .collect();
        let needing = if collections.contains(PROOF) {
            "all: the tenant is not proven to be the one asked for, and the scan stores nothing".to_owned()
        } else if needing.is_empty() {
            "none so far".to_owned()
        } else {
            needing.join(", ")
        };
        row(&mut text, &[&format!("`{}`", permission.id), &needing]);
    }
    text
}

fn data(manifest: &Manifest) -> String {
    let mut text = String::from(
        "\n## What is read\n\nEvery request, and the fields that are kept of its answer; all other fields are dropped while the \
         answer is read. The request guard refuses anything that is not in this table. An instance that accepted only an \
         older revision makes none of the newer requests.\n\n\
         | Collection | Request | Fields kept | Permission | Revision |\n|---|---|---|---|---|\n",
    );
    for collection in manifest.collections() {
        let of_it = |operation: &&Operation| operation.collection.as_deref() == Some(collection);
        for operation in manifest.operations.iter().filter(of_it) {
            let version = operation.version.as_deref().unwrap_or(&manifest.api.version);
            let request = format!("`{} /{version}{}`", operation.method, operation.path);
            let permission = operation.permission.as_ref().map_or("–".to_owned(), |id| format!("`{id}`"));
            let (fields, revision) = (operation.fields.join(", "), operation.revision.to_string());
            row(&mut text, &[&format!("`{collection}`"), &request, &fields, &permission, &revision]);
        }
    }
    if manifest.operations.iter().any(|operation| operation.collection.is_none()) {
        text.push_str(
            "\nSeveral of these GETs may travel in one envelope (`POST /$batch`); the guard checks each one inside.\n",
        );
    }
    text
}

fn people(manifest: &Manifest) -> String {
    let mut text = String::from(
        "\n## Personal data\n\nPeople are read only because something refers to them, by id.\n\n\
         | Field | About | What for |\n|---|---|---|\n",
    );
    for data in &manifest.personal_data {
        row(&mut text, &[&format!("`{}`", data.field), &data.about, &data.purpose]);
    }
    text.push_str("\n## Never read\n\n");
    for line in &manifest.never_read {
        add(&mut text, &format!("- {line}\n"));
    }
    text
}

fn rest(manifest: &Manifest) -> String {
    let mut text = format!(
        "\n## Ways to sign in\n\nThe recommended one first: {}.\n\n## The vendor's limits\n\n",
        manifest.auth_methods.iter().map(|method| format!("`{method}`")).collect::<Vec<_>>().join(", ")
    );
    for line in &manifest.rate_limits {
        add(&mut text, &format!("- {line}\n"));
    }
    text.push_str("\n## The vendor's documents\n\n");
    for line in &manifest.docs {
        add(&mut text, &format!("- <{line}>\n"));
    }
    text
}

fn add(text: &mut String, more: &str) {
    text.push_str(more);
}

/// One line of a table.
fn row(text: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
    add(text, &format!("| {} |\n", cells.join(" | ")));
}

fn code_list(names: &BTreeSet<&str>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ENTRA;
    use crate::manifest::tests::SMALL;

    #[test]
    fn the_document_of_a_small_manifest() {
        // Rules as they are, without the metadata that changes: only the ids of those that need a collection of it.
        let rules: Vec<&Meta> = sv0_rules::catalogue().filter(|meta| meta.id == "ORPH-001").collect();
        insta::assert_snapshot!(markdown(&Manifest::parse(SMALL).unwrap(), &rules));
    }

    #[test]
    fn every_request_and_permission_is_in_the_document() {
        let manifest = Manifest::parse(ENTRA).unwrap();
        let text = markdown(&manifest, &sv0_rules::catalogue().collect::<Vec<_>>());
        for operation in manifest.operations.iter().filter(|operation| operation.collection.is_some()) {
            assert!(text.contains(&format!("{}`", operation.path)), "{}", operation.path);
        }
        for permission in &manifest.permissions {
            assert!(text.contains(&format!("| `{}` |", permission.id)), "{}", permission.id);
        }
    }

    #[test]
    fn a_cell_stays_a_cell() {
        let mut text = String::new();
        row(&mut text, &["a|b\nc"]);
        assert_eq!(text, "| a\\|b c |\n");
    }
}
