//! `kubectl sv0 explain`: one Finding in full, for a reader who has never seen one.
//!
//! Takes the Finding, the Estate and the other Findings of the namespace; gives text. Every sentence is the Finding's own
//! or follows from its fields; what is not known is said to be not known. May not: change anything.

mod sections;
pub mod words;

use anyhow::{Result, bail};
use serde::Deserialize;
use sv0_api::{Estate, Finding};

use crate::kubectl::Cluster;
use crate::term::{self, Color, Look};
use crate::values::{Namespace, ObjectName};

/// What `explain` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 findings -n team-a
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a --words      # and what its words mean
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a --color always | less -R

The words are explained in docs/glossary.md too. The exit code is 1 when there is no such Finding.")]
pub struct Args {
    /// Name of the Finding, also as `findings -o name` prints it.
    #[arg(value_name = "FINDING", value_parser = finding_name)]
    finding: ObjectName,
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    /// Say below what the words mean that stand in it.
    #[arg(long)]
    words: bool,
    /// When to colour. Everything can be read without.
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    cluster: Cluster,
}

/// A name, with or without the resource in front.
pub(crate) fn finding_name(text: &str) -> Result<ObjectName, String> {
    let name = ["finding.securityv0.com/", "findings.securityv0.com/", "finding/", "findings/"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    name.parse().map_err(|error: crate::values::Rejected| error.to_string())
}

/// All that is told of one Finding.
#[derive(Clone, Debug)]
pub struct Story {
    /// The Finding.
    pub finding: Finding,
    /// Who accepted its risk.
    pub acceptance: Option<Acceptance>,
    /// The Estate of its namespace; none also when it may not be read.
    pub estate: Option<Estate>,
    /// Every Finding of its namespace.
    pub all: Vec<Finding>,
}

/// Who accepted a risk, and until when.
#[derive(Clone, Debug, Deserialize)]
pub struct Acceptance {
    /// Name of the exception.
    pub exception: String,
    /// Who accepts.
    pub owner: String,
    /// From this instant on the Finding is open again.
    pub until: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let namespace = match &args.namespace {
        Some(namespace) => namespace.to_string(),
        None => args.cluster.default_namespace()?,
    };
    let Some(object) = args.cluster.finding_object(&namespace, &args.finding)? else {
        bail!("{}", missing(&args.finding, &namespace));
    };
    let acceptance = object.pointer("/spec/acceptance").cloned();
    let story = Story {
        acceptance: acceptance.and_then(|value| serde_json::from_value(value).ok()),
        finding: serde_json::from_value(object)
            .map_err(|_| crate::kubectl::KubectlError::Unexpected("get".to_owned()))?,
        // Who may read Findings but no Estates is told that what was not seen is not known.
        estate: args.cluster.estate(&namespace).unwrap_or_default(),
        all: args.cluster.findings(Some(&namespace))?,
    };
    crate::say!("{}", text(&story, Look::of(args.color), term::width(), args.words));
    Ok(())
}

/// The sentence when there is no such Finding.
pub(crate) fn missing(finding: &ObjectName, namespace: &str) -> String {
    format!(
        "there is no Finding {finding} in namespace {namespace}; `kubectl sv0 findings -n {namespace} --state all` lists \
         those that there are"
    )
}

/// The whole text, in lines of at most `width` columns; with `words`, what its words mean too.
pub fn text(story: &Story, look: Look, width: usize, words: bool) -> String {
    sections::all(story, look, width, words)
}
