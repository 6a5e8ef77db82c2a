//! `kubectl sv0 catalog`: what can be found, and from which system: rules by connectors.
//!
//! Takes the metadata of the rules and the collections and relations that each connector's manifest provides; gives a table,
//! Markdown or JSON. No cell is written by hand: it follows from what a rule requires and what a connector reads. Pure, but
//! for printing.

mod joins;
mod markdown;
pub mod planned;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sv0_graph::EdgeKind;
use sv0_rules::{Family, Meta, NARROWER_ONLY, NEEDS};

use crate::manifest::{ENTRA, Manifest};
use crate::term;

pub use self::markdown::markdown;
use self::planned::{OUT, PLANNED, Planned};

/// What `catalog` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 catalog
  kubectl sv0 catalog -o json | jq '.rules[] | select(.scope == \"core\") | .id'

A cell says what a rule can claim from one connector alone: full, its narrower claim, none, or planned. docs/catalogue.md
is the same as -o md.")]
pub struct Args {
    /// How to print it.
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Output,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One line a rule.
    #[default]
    Table,
    /// The document.
    Md,
    /// Everything, for programs.
    Json,
}

/// A source system, of which there is a connector or is to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Microsoft Entra ID.
    Entra,
    /// Azure Resource Manager.
    Azure,
    /// Azure AI Foundry.
    Foundry,
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    GoogleCloud,
    /// GitHub.
    #[serde(rename = "github")]
    GitHub,
    /// `ServiceNow`.
    #[serde(rename = "servicenow")]
    ServiceNow,
    /// Atlassian Cloud and Data Center.
    Atlassian,
    /// Power Automate.
    PowerAutomate,
    /// `UiPath`.
    #[serde(rename = "uipath")]
    UiPath,
}

impl System {
    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Entra => "Entra ID",
            Self::Azure => "Azure",
            Self::Foundry => "Foundry",
            Self::Aws => "AWS",
            Self::GoogleCloud => "Google Cloud",
            Self::GitHub => "GitHub",
            Self::ServiceNow => "ServiceNow",
            Self::Atlassian => "Atlassian",
            Self::PowerAutomate => "Power Automate",
            Self::UiPath => "UiPath",
        }
    }

    /// The `system` of its connector's manifest.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Azure => "azure",
            Self::Foundry => "foundry",
            Self::Aws => "aws",
            Self::GoogleCloud => "gcp",
            Self::GitHub => "github",
            Self::ServiceNow => "servicenow",
            Self::Atlassian => "atlassian",
            Self::PowerAutomate => "power-automate",
            Self::UiPath => "uipath",
        }
    }
}

/// What a rule can claim from one connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// All of it.
    Full,
    /// Its narrower claim.
    Narrower,
    /// Nothing.
    None,
    /// The rule is not built yet.
    Planned,
}

impl Cell {
    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Narrower => "narrower",
            Self::None => "none",
            Self::Planned => "planned",
        }
    }
}

/// Where something stands in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Part of the core.
    Core,
    /// Comes in phases.
    Phased,
    /// Comes after the rest.
    Secondary,
    /// Not built.
    Out,
}

impl Scope {
    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Phased => "phased",
            Self::Secondary => "secondary",
            Self::Out => "out",
        }
    }
}

/// One rule and one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Of {
    /// The connector's `system`.
    pub connector: String,
    /// What the rule can claim from it.
    pub cell: Cell,
    /// Collections that the rule requires and the connector does not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<&'static str>,
    /// What the rule is about and the connector tells nothing of: `automations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<&'static str>,
}

/// A row of the catalogue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The rule's id.
    pub id: &'static str,
    /// Its version; none while it is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    /// Its family.
    pub family: Family,
    /// What it finds.
    pub title: &'static str,
    /// What its narrower claim says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub narrower: Option<&'static str>,
    /// Where it stands.
    pub scope: Scope,
    /// The story that its findings support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<&'static str>,
    /// Controls of published standards.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub standards: &'static [&'static str],
    /// Collections that it requires.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub requires: &'static [&'static str],
    /// What it can claim, by connector.
    pub connectors: Vec<Of>,
    /// Systems that a planned rule will cover.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub planned_for: &'static [System],
}

/// Manifests of the connectors that there are.
pub fn connectors() -> Result<Vec<Manifest>, serde_yaml::Error> {
    Ok(vec![Manifest::parse(ENTRA)?])
}

/// Every rule, built or planned, in the order of ids. One that is built is never shown as planned.
pub fn rows(connectors: &[Manifest]) -> Vec<Row> {
    let built: BTreeSet<&str> = sv0_rules::catalogue().map(|meta| meta.id).collect();
    let planned = PLANNED.iter().filter(|rule| !built.contains(rule.id)).map(|rule| planned_row(rule, connectors));
    let mut rows: Vec<Row> = sv0_rules::catalogue().map(|meta| built_row(meta, connectors)).chain(planned).collect();
    rows.sort_by_key(|row| row.id);
    rows
}

fn built_row(meta: &Meta, connectors: &[Manifest]) -> Row {
    let of = |manifest: &Manifest| {
        let (cell, missing) = cell(meta, &manifest.collections().into_iter().collect());
        let lacks = lacks(meta, &manifest.relations);
        let cell = if lacks.is_some() { Cell::None } else { cell };
        Of { connector: manifest.system.clone(), cell, missing, lacks }
    };
    Row {
        id: meta.id,
        version: Some(meta.version),
        family: meta.family,
        title: meta.title,
        narrower: meta.narrower,
        scope: match meta.scope {
            sv0_rules::Scope::Core => Scope::Core,
            sv0_rules::Scope::Phased => Scope::Phased,
        },
        story: Some(meta.story),
        standards: meta.standards,
        requires: meta.requires,
        connectors: connectors.iter().map(of).collect(),
        planned_for: &[],
    }
}

/// What a rule can claim from the collections that one connector reads, and which of those that it requires it does not.
fn cell(meta: &Meta, provided: &BTreeSet<&str>) -> (Cell, Vec<&'static str>) {
    let missing: Vec<&str> = meta.requires.iter().copied().filter(|name| !provided.contains(name)).collect();
    let cell = if missing.len() == meta.requires.len() {
        Cell::None
    } else if missing.is_empty() && !NARROWER_ONLY.contains(&meta.id) {
        Cell::Full
    } else if meta.narrower.is_some() {
        Cell::Narrower
    } else {
        Cell::None
    };
    (cell, missing)
}

/// What a rule is about and a connector with these relations tells nothing of.
fn lacks(meta: &Meta, relations: &[String]) -> Option<&'static str> {
    let told = |kind: &EdgeKind| relations.iter().any(|relation| relation == kind.as_str());
    NEEDS.iter().find(|need| need.rule == meta.id && !need.one_of.iter().any(told)).map(|need| need.what)
}

fn planned_row(rule: &Planned, connectors: &[Manifest]) -> Row {
    let covers = |manifest: &Manifest| rule.systems.iter().any(|system| system.manifest() == manifest.system);
    let of = |manifest: &Manifest| Of {
        connector: manifest.system.clone(),
        cell: if covers(manifest) { Cell::Planned } else { Cell::None },
        missing: Vec::new(),
        lacks: None,
    };
    Row {
        id: rule.id,
        version: None,
        family: rule.family,
        title: rule.title,
        narrower: None,
        scope: match rule.family {
            Family::ExposureRedistribution => Scope::Phased,
            Family::ExposureNarrowSensitiveReach => Scope::Secondary,
            _ => Scope::Core,
        },
        story: None,
        standards: &[],
        requires: &[],
        connectors: connectors.iter().map(of).collect(),
        planned_for: rule.systems,
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let connectors = connectors().context("a built-in manifest cannot be read")?;
    let rows = rows(&connectors);
    match args.output {
        Output::Table => crate::say!("{}", table(&rows, &connectors)),
        Output::Md => crate::say!("{}", markdown(&rows, &connectors)),
        Output::Json => crate::say_line!("{}", json(&rows)?),
    }
    Ok(())
}

fn table(rows: &[Row], connectors: &[Manifest]) -> String {
    let systems: Vec<String> = connectors.iter().map(|manifest| manifest.system.to_uppercase()).collect();
    let mut headings = vec!["RULE", "SCOPE"];
    headings.extend(systems.iter().map(String::as_str));
    headings.push("FINDS");
    let line = |row: &Row| {
        let cells = row.connectors.iter().map(|of| of.cell.word().to_owned());
        let mut line = vec![row.id.to_owned(), row.scope.word().to_owned()];
        line.extend(cells);
        line.push(row.title.to_owned());
        line
    };
    let mut lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    for out in OUT {
        let mut line = vec!["-".to_owned(), Scope::Out.word().to_owned()];
        line.extend(connectors.iter().map(|_| Cell::None.word().to_owned()));
        line.push(out.title.to_owned());
        lines.push(line);
    }
    term::columns(&headings, &lines)
}

fn json(rows: &[Row]) -> Result<String> {
    let out: Vec<_> = OUT
        .iter()
        .map(|out| serde_json::json!({"title": out.title, "scope": Scope::Out, "reason": out.reason}))
        .collect();
    let all = serde_json::json!({
        "rules": rows,
        "derivations": sv0_rules::DERIVATIONS,
        "keys": sv0_rules::KEYS,
        "out": out,
    });
    Ok(serde_json::to_string_pretty(&all)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_is_both_built_and_planned() {
        let built: BTreeSet<&str> = sv0_rules::catalogue().map(|meta| meta.id).collect();
        let both: Vec<&str> = PLANNED.iter().map(|rule| rule.id).filter(|id| built.contains(id)).collect();
        assert!(both.is_empty(), "built now, take them out of the table of planned rules: {both:?}");
    }

    #[test]
    fn the_table_of_planned_rules_is_in_order_and_each_covers_something() {
        assert!(PLANNED.is_sorted_by(|a, b| a.id < b.id));
        assert!(PLANNED.iter().all(|rule| !rule.systems.is_empty() && rule.systems.is_sorted_by(|a, b| a < b)));
        let titles: BTreeSet<&str> = PLANNED.iter().map(|rule| rule.title).collect();
        assert_eq!(titles.len(), PLANNED.len());
        for rule in PLANNED {
            let family = rule.id.split('-').next().unwrap();
            let same = |other: &&Planned| other.id.starts_with(family);
            assert!(PLANNED.iter().filter(same).all(|other| other.family == rule.family), "{}", rule.id);
        }
    }

    #[test]
    fn every_rule_of_the_catalogue_is_there() {
        let rows = rows(&connectors().unwrap());
        assert!(rows.len() >= 68, "{}", rows.len());
        assert!(rows.iter().all(|row| row.version.is_some() != row.planned_for.iter().any(|_| true)));
    }

    /// From metadata alone: what is read decides, and a rule without a narrower claim says nothing when something is missing.
    #[test]
    fn a_cell_follows_from_what_is_required_and_what_is_read() {
        let meta = |id: &str| *sv0_rules::catalogue().find(|meta| meta.id == id).unwrap();
        let of = |meta: &Meta, provided: &[&str]| cell(meta, &provided.iter().copied().collect());
        let orphan = meta("ORPH-001");
        assert_eq!(of(&orphan, orphan.requires), (Cell::Full, vec![]));
        let (some, rest) = orphan.requires.split_at(1);
        assert_eq!(of(&orphan, some), (Cell::Narrower, rest.to_vec()));
        assert_eq!(of(&Meta { narrower: None, ..orphan }, some), (Cell::None, rest.to_vec()));
        assert_eq!(of(&orphan, &["repositories"]).0, Cell::None);
        let stopped = meta("DORM-004");
        assert_eq!(of(&stopped, stopped.requires).0, Cell::Full, "with automations");
        let words = |kinds: &[EdgeKind]| kinds.iter().map(|kind| kind.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(lacks(&stopped, &words(&[EdgeKind::Granted, EdgeKind::Owns])), Some("automations"));
        assert_eq!(lacks(&stopped, &words(&[EdgeKind::Granted, EdgeKind::UsesConnection])), None);
        assert_eq!(lacks(&orphan, &[]), None);
        let trust = meta("DORM-006");
        assert_eq!(of(&trust, trust.requires), (Cell::Narrower, vec![]), "its full claim rests on another system");
    }
}
