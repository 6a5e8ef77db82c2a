//! `kubectl sv0 findings`: the Findings of an estate, the most severe first.
//!
//! Takes what the user's kubectl may read; gives a table, or the objects as JSON or YAML. Says how much of the whole it
//! shows, and how old that is. May not: change anything.

pub mod table;

use anyhow::{Context as _, Result};
use serde_json::json;
use sv0_api::Finding;

use crate::kubectl::Cluster;
use crate::term;
use crate::values::Namespace;

use self::table::{Choice, Level, State};

/// What `findings` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 findings -n team-a                              # what is open, the most severe first
  kubectl sv0 findings -n team-a --severity critical,high -o wide
  kubectl sv0 findings -A --rule CRED-001 -o name
  kubectl sv0 findings -n team-a --state all -o json > findings.json

Then `kubectl sv0 explain NAME -n team-a` tells one of them in full. The exit code is 0 whether or not there are
findings; it is 1 when they could not be read.")]
pub struct Args {
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n', conflicts_with = "all_namespaces")]
    namespace: Option<Namespace>,
    /// Of all namespaces.
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Of these severities only.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LEVEL")]
    severity: Vec<Level>,
    /// Of these rules only, such as CRED-001.
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    rule: Vec<String>,
    /// In this state only.
    #[arg(long, value_enum, default_value_t)]
    state: State,
    /// About subjects of these source systems only, such as entra.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    system: Vec<String>,
    /// Of these families only, such as `CredentialLifecycle`.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    family: Vec<String>,
    /// How to print them.
    #[arg(long, short = 'o', value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    cluster: Cluster,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One line each, for people.
    #[default]
    Table,
    /// The table with more columns, and what was not seen.
    Wide,
    /// The objects, as a list.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names that kubectl takes.
    Name,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let namespace = match (&args.namespace, args.all_namespaces) {
        (_, true) => None,
        (Some(namespace), false) => Some(namespace.to_string()),
        (None, false) => Some(args.cluster.default_namespace()?),
    };
    let all = args.cluster.findings(namespace.as_deref())?;
    let choice = Choice {
        severities: &args.severity,
        rules: &args.rule,
        state: args.state,
        systems: &args.system,
        families: &args.family,
    };
    let total = all.len();
    let chosen = table::choose(all, &choice);
    let (wide, table) = (args.output == Output::Wide, matches!(args.output, Output::Table | Output::Wide));
    if table {
        crate::say!("{}", as_table(&chosen, total, namespace.as_deref(), wide));
        // Who may read Findings but no Estates still sees them, and is told what is missing.
        match args.cluster.estates(namespace.as_deref()) {
            Ok(estates) => crate::say!("{}", table::footer(&estates, namespace.as_deref(), wide)),
            Err(error) => crate::say_line!("How old they are and what was not seen is not known here: {error}"),
        }
        return Ok(());
    }
    match args.output {
        Output::Name => {
            for finding in &chosen {
                crate::say_line!("finding.securityv0.com/{}", table::name(finding));
            }
        }
        Output::Yaml => crate::say!("{}", yaml(&chosen)?),
        _ => crate::say_line!("{}", json(&chosen)?),
    }
    Ok(())
}

fn as_table(chosen: &[Finding], total: usize, namespace: Option<&str>, wide: bool) -> String {
    let rows = if chosen.is_empty() { String::new() } else { table::rows(chosen, namespace.is_none(), wide) + "\n" };
    rows + &table::count(chosen.len(), total, namespace)
}

/// A list as kubectl prints it.
fn list(findings: &[Finding]) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "List", "items": findings})
}

/// As JSON, with nothing in it that a terminal would act on.
fn json(findings: &[Finding]) -> Result<String> {
    Ok(term::inert_json(&serde_json::to_string_pretty(&list(findings))?))
}

/// As YAML. Where a text holds what a terminal would act on, as JSON, which is YAML too and can escape it.
fn yaml(findings: &[Finding]) -> Result<String> {
    let text = serde_yaml::to_string(&list(findings)).context("as YAML")?;
    let inert = |line: &str| term::inert_json(line) == line;
    if text.lines().all(inert) {
        return Ok(text);
    }
    Ok(term::inert_yaml(&serde_json::to_string_pretty(&list(findings))?) + "\n")
}
