//! The catalogue as a document. Pure.

use sv0_rules::Family;

use super::planned::OUT;
use super::{Of, Row, Scope, System};
use crate::manifest::Manifest;

/// Families in the order of the document.
const FAMILIES: [Family; 9] = [
    Family::CredentialLifecycle,
    Family::OrphanedAutomation,
    Family::CrossSystemAuthorityChain,
    Family::ScopeDrift,
    Family::UnboundedExecutionScope,
    Family::DormantAuthority,
    Family::ExposureRedistribution,
    Family::ExposureEgress,
    Family::ExposureNarrowSensitiveReach,
];

/// Name and claim of a family.
const fn family(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::OrphanedAutomation => ("Orphaned automation", "Runs under an identity that nobody answers for."),
        Family::CrossSystemAuthorityChain => {
            ("Cross-system authority chain", "One identity or path holds authority over several systems.")
        }
        Family::ScopeDrift => ("Scope drift", "Authority grew since an accepted snapshot."),
        Family::UnboundedExecutionScope => {
            ("Unbounded execution scope", "Reaches sensitive systems or the outside without a boundary.")
        }
        Family::DormantAuthority => ("Dormant authority", "Standing permission without use."),
        Family::CredentialLifecycle => ("Credential lifecycle", "A powerful credential with weak hygiene."),
        Family::ExposureRedistribution => {
            ("Exposure: redistribution", "Moves sensitive data to where people share it.")
        }
        Family::ExposureEgress => {
            ("Exposure: egress", "Calls a destination that is weakly authenticated, or not at all.")
        }
        Family::ExposureNarrowSensitiveReach => {
            ("Exposure: narrow sensitive reach", "Reaches a sensitive system that no definition refers to.")
        }
    }
}

/// The document.
pub fn markdown(rows: &[Row], connectors: &[Manifest]) -> String {
    let built = rows.iter().filter(|row| row.version.is_some()).count();
    let mut text = format!(
        "# Catalogue\n\nGenerated from the rules' metadata and the connectors' manifests: do not edit, run \
         `cargo run -p sv0-cli --bin docgen`. `kubectl sv0 catalog -o md` prints the same.\n\n{built} rules are built, {} are \
         planned. A cell says what a rule can claim from one connector alone:\n\n\
         - `full`: the connector reads every collection that the rule requires;\n\
         - `narrower`: it reads a part of them, or the full claim rests on another system: the rule says the less that is \
         proven;\n\
         - `none`: the rule says nothing there, for want of collections or of what stands beside the word;\n\
         - `planned`: the rule is not built yet.\n\n\
         What an instance may not read is a [coverage gap](glossary.md), and can make a cell smaller in that estate. *Core* \
         belongs to the product from the start, *phased* comes step by step, *secondary* after the rest.\n",
        rows.len() - built
    );
    for one in FAMILIES {
        text.push_str(&section(one, rows, connectors));
    }
    text.push_str(&super::joins::chapters());
    text.push_str("\n## Out of scope\n\n| What | Scope | Why |\n|---|---|---|\n");
    for out in OUT {
        text.push_str(&line(&[out.title.to_owned(), Scope::Out.word().to_owned(), out.reason.to_owned()]));
    }
    text
}

fn section(one: Family, rows: &[Row], connectors: &[Manifest]) -> String {
    let (title, claim) = family(one);
    let titles: Vec<String> = connectors.iter().map(|manifest| manifest.title.clone()).collect();
    let mut headings = vec!["Rule".to_owned(), "Finds".to_owned(), "Scope".to_owned()];
    headings.extend(titles);
    headings.extend([
        "Planned for".to_owned(),
        "Narrower claim".to_owned(),
        "Story".to_owned(),
        "Standards".to_owned(),
    ]);
    let rule = format!("|{}\n", "---|".repeat(headings.len()));
    let of_it: String = rows.iter().filter(|row| row.family == one).map(|row| line(&cells(row))).collect();
    format!("\n## {title}\n\n{claim}\n\n{}{rule}{of_it}", line(&headings))
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.id.to_owned(), row.title.to_owned(), row.scope.word().to_owned()];
    cells.extend(row.connectors.iter().map(cell));
    cells.push(row.planned_for.iter().map(|system: &System| system.title()).collect::<Vec<_>>().join(", "));
    cells.push(row.narrower.unwrap_or_default().to_owned());
    cells.push(row.story.unwrap_or_default().to_owned());
    cells.push(row.standards.join(", "));
    cells
}

/// The word, with the reason where it is not the collections.
fn cell(of: &Of) -> String {
    let word = of.cell.word();
    of.lacks.map_or_else(|| word.to_owned(), |lacks| format!("{word}: it tells of no {lacks}"))
}

pub(super) fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}
