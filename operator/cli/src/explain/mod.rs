//! `kubectl sv0 explain`: one Finding in full, for a reader who has never seen one.
//!
//! Takes the Finding, the Estate and the other Findings of the namespace, or all of these from the evidence pack, which has
//! all evidence; gives text. Every sentence is the Finding's own or follows from its fields; what is not known is said to
//! be not known. May not: change anything.

pub mod of_pack;
mod pieces;
mod sections;
pub mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use sv0_api::{Estate, Finding};
use sv0_engine::pack_reader::Pack;
use sv0_graph::canonical::digest;

use self::of_pack::{OfPack, Origin};
use crate::kubectl::Cluster;
use crate::pack::evaluated;
use crate::store::{OpenStore, Place, until_told};
use crate::term::{self, Color, Look};
use crate::values::{Namespace, ObjectName};

/// What `explain` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 findings -n team-a
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a --words      # and what its words mean
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a --color always | less -R
  kubectl sv0 explain cred-001-6afc43affc2a45e4 -n team-a --evidence   # every piece of evidence, below its hop
  kubectl sv0 explain cred-001-6afc43affc2a45e4 --from team-a.tar      # the same from a file, without the cluster

With --evidence and --from all is told from the evidence pack, which has those findings too that another one tells and
those beyond the estate's cap. --evidence needs the role securityv0-reader-ESTATE in the operator's namespace (chart value
estates[].readers) and the right to read the Estate; `kubectl sv0 pack export` writes the file for --from.

The words are explained in docs/glossary.md too. The exit code is 1 when there is no such Finding.")]
pub struct Args {
    /// Name of the Finding, also as `findings -o name` prints it.
    #[arg(value_name = "FINDING", value_parser = finding_name)]
    finding: ObjectName,
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    /// Show every piece of evidence with its source and time, below the hop that it is about: from the evidence pack of the
    /// last evaluation, in the store.
    #[arg(long)]
    evidence: bool,
    /// The same from a file that `kubectl sv0 pack export` wrote, without cluster and network.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["namespace", "context", "kubeconfig", "operator_namespace"])]
    from: Option<PathBuf>,
    /// Say below what the words mean that stand in it.
    #[arg(long)]
    words: bool,
    /// When to colour. Everything can be read without.
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    #[command(flatten)]
    place: Place,
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
    /// What only the evidence pack says; none when it was not read.
    pub pack: Option<OfPack>,
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
pub async fn run(args: &Args) -> Result<()> {
    let story = match &args.from {
        Some(file) => from_file(args, file)?,
        None if args.evidence => until_told(from_store(args)).await?,
        None => from_cluster(args)?,
    };
    crate::say!("{}", text(&story, Look::of(args.color), term::width(), args.words));
    Ok(())
}

fn namespace(args: &Args) -> Result<String> {
    match &args.namespace {
        Some(namespace) => Ok(namespace.to_string()),
        None => Ok(args.cluster.default_namespace()?),
    }
}

fn from_cluster(args: &Args) -> Result<Story> {
    let namespace = namespace(args)?;
    let Some(object) = args.cluster.finding_object(&namespace, &args.finding)? else {
        bail!("{}", missing(&args.finding, &namespace));
    };
    let acceptance = object.pointer("/spec/acceptance").cloned();
    Ok(Story {
        acceptance: acceptance.and_then(|value| serde_json::from_value(value).ok()),
        finding: serde_json::from_value(object)
            .map_err(|_| crate::kubectl::KubectlError::Unexpected("get".to_owned()))?,
        // Who may read Findings but no Estates is told that what was not seen is not known.
        estate: args.cluster.estate(&namespace).unwrap_or_default(),
        all: args.cluster.findings(Some(&namespace))?,
        pack: None,
    })
}

/// From the pack that the Estate's status names.
async fn from_store(args: &Args) -> Result<Story> {
    let namespace: Namespace = namespace(args)?.parse()?;
    let (estate, digest) = evaluated(&args.cluster, &namespace)?;
    let bytes = OpenStore::open(&args.cluster, &args.place, &namespace).await?.pack(&digest).await?;
    of_pack(args, &Pack::read(&bytes)?, digest, namespace.as_str(), Origin::Store(Box::new(estate)))
}

/// From an exported file, whose every byte is checked against the digests in it.
fn from_file(args: &Args, file: &Path) -> Result<Story> {
    let bundle = crate::replay::read(file)?;
    let pack = Pack::read(&bundle.pack).with_context(|| format!("{} cannot be used", file.display()))?;
    of_pack(args, &pack, digest(&bundle.pack), &bundle.estate, Origin::File)
}

fn of_pack(args: &Args, pack: &Pack, digest: String, estate: &str, origin: Origin) -> Result<Story> {
    of_pack::story(pack, digest, estate, args.finding.as_str(), origin).with_context(|| {
        format!(
            "the evidence pack of the evaluation of {} as of {} has no finding {}",
            crate::values::shown(estate),
            pack.header.config.as_of,
            args.finding
        )
    })
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
