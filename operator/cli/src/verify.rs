//! `kubectl sv0 verify`: takes the Findings in the cluster and an evaluation's bundle; says whether the Findings are
//! what the evaluation gives when it is computed again, and names those that are forged, missing or changed.
//!
//! What is compared with is the result of the computation, not what the bundle says; and what the evaluation was told is
//! held against the Estate and its exceptions. Reads; changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sv0_api::{FindingException, FindingSpec};
use sv0_engine::bundle::Bundle;
use sv0_engine::convert::{content_digest, labels};
use sv0_engine::evaluate::Config;
use sv0_engine::pack_reader::{Pack, PackReadError};
use sv0_engine::replay::{Difference, Replay, between};

use crate::exit::End;
use crate::kubectl::Cluster;
use crate::pack::{evaluated, export};
use crate::replay::{Output, again, counted, inert, read, said, summary};
use crate::store::{Place, until_told};
use crate::told::{Told, told};
use crate::values::{Namespace, shown};

/// How often Findings and status are read again when an evaluation ended in between.
const ATTEMPTS: usize = 3;

/// What `verify` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 verify -n team-a                    # exports the last evaluation, computes it again, compares
  kubectl sv0 verify -n team-a team-a.tar         # compares with a file exported before
  kubectl sv0 verify -n team-a -o json

Exit codes: 0 the Findings are exactly those of the evaluation, 1 they are not, or the evaluation was told another spec
of the Estate or another FindingException than stands in the cluster, 2 it cannot be told.
While an evaluation writes its Findings they differ for a moment: without a file, a difference counts only when it is
still there after --settle seconds.")]
pub struct Args {
    /// A file that `kubectl sv0 pack export` wrote; without it, the last evaluation is exported now.
    file: Option<PathBuf>,
    /// The estate.
    #[arg(long, short = 'n')]
    namespace: Namespace,
    /// How to say it.
    #[arg(long, short = 'o', value_enum, default_value = "text")]
    output: Output,
    /// Seconds after which a difference is looked at again.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    settle: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let compared = until_told(compared(&args)).await.map_err(|error| args.output.unusable(error))?;
    match args.output {
        Output::Text => crate::say!("{}", text(&args.namespace, &compared)),
        Output::Json => crate::say_line!("{}", inert(&as_json(&compared))),
    }
    if compared.sound() { Ok(()) } else { Err(End::Different.into()) }
}

struct Compared {
    bundle: Bundle,
    replay: Replay,
    comparison: Comparison,
    told: Told,
}

impl Compared {
    /// Whether nothing is wrong.
    fn sound(&self) -> bool {
        self.comparison.problems.is_empty() && self.replay.difference.is_none() && self.told.contradictions.is_empty()
    }
}

/// Findings belong to an evaluation only while the Estate's status names its pack before and after they were read.
async fn compared(args: &Args) -> Result<Compared> {
    let mut seen: Option<Compared> = None;
    for _ in 0..ATTEMPTS {
        let bundle = match &args.file {
            Some(file) => read(file)?,
            None => export(&args.cluster, &args.place, &args.namespace).await?,
        };
        let replay = again(&bundle)?;
        let live = live(&args.cluster, &args.namespace)?;
        let (estate, digest) = evaluated(&args.cluster, &args.namespace)?;
        if digest != replay.pack_digest {
            if args.file.is_some() {
                bail!(
                    "the file is not of the estate's last evaluation (status.packDigest names another pack): export it again"
                );
            }
            continue;
        }
        let comparison = compare(&live, &replay)?;
        let config = &replay.pack.header.config;
        let told = told(config, &estate, &exceptions(args, config));
        let steady = seen.as_ref().is_some_and(|before| before.comparison == comparison);
        if args.file.is_some() || comparison.problems.is_empty() || steady {
            return Ok(Compared { bundle, replay, comparison, told });
        }
        seen = Some(Compared { bundle, replay, comparison, told });
        tokio::time::sleep(Duration::from_secs(args.settle)).await;
    }
    match seen {
        Some(seen) => Ok(seen),
        None => bail!("the estate is evaluated again and again: try once more in a minute"),
    }
}

/// A Finding as it stands in the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Live {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn live(cluster: &Cluster, estate: &Namespace) -> Result<Vec<Live>> {
    let objects = cluster.objects("findings.securityv0.com", estate.as_str())?;
    Ok(objects.into_iter().map(Live::deserialize).collect::<Result<_, _>>()?)
}

/// The exceptions of the namespace, when the evaluation was told of any; or why they are not known.
fn exceptions(args: &Args, config: &Config) -> Result<Vec<FindingException>, String> {
    if config.exceptions.is_empty() {
        return Ok(Vec::new());
    }
    args.cluster.exceptions(args.namespace.as_str()).map_err(|error| error.to_string())
}

/// How Findings compare with an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Findings that are exactly those of the evaluation.
    pub same: usize,
    /// Findings that stand in the pack only, since the estate has more than its cap.
    pub cut_off: usize,
    /// Findings that stand in the pack only, since another one tells them.
    pub folded: usize,
    /// What is wrong, in the order of names.
    pub problems: Vec<Problem>,
}

/// One Finding that is not what the evaluation gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub kind: Kind,
}

/// What is wrong with a Finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The evaluation has no such finding.
    Forged,
    /// The evaluation has it, but cut off by the cap; it stands as a resource all the same.
    BeyondCap,
    /// The evaluation has it, but tells it inside another one; it stands as a resource all the same.
    Folded,
    /// The evaluation has it, and it does not stand.
    Missing,
    /// It says something else.
    Changed {
        /// The first field that differs.
        difference: Difference,
        /// Whether its content digest still fits what it says: whoever changed it made the digest anew.
        resealed: bool,
    },
}

impl Kind {
    const fn word(&self) -> &'static str {
        match self {
            Self::Forged => "forged",
            Self::BeyondCap => "beyondCap",
            Self::Folded => "folded",
            Self::Missing => "missing",
            Self::Changed { .. } => "changed",
        }
    }
}

/// Compares. Pure.
pub fn compare(live: &[Live], replay: &Replay) -> Result<Comparison, PackReadError> {
    let wanted = &replay.evaluation.findings;
    let all = Pack::read(&replay.evaluation.pack.bytes)?.findings;
    let standing: BTreeMap<&str, &Live> = live.iter().map(|live| (live.metadata.name.as_str(), live)).collect();
    let mut comparison = Comparison::default();
    let mut problem = |name: &str, kind| comparison.problems.push(Problem { name: name.to_owned(), kind });
    let mut same = 0;
    for (name, live) in &standing {
        match wanted.get(*name) {
            Some(spec) => match changed(live, spec) {
                Some(kind) => problem(name, kind),
                None => same += 1,
            },
            None if replay.evaluation.folded.contains_key(*name) => problem(name, Kind::Folded),
            None if all.contains_key(*name) => problem(name, Kind::BeyondCap),
            None => problem(name, Kind::Forged),
        }
    }
    for name in wanted.keys().filter(|name| !standing.contains_key(name.as_str())) {
        problem(name, Kind::Missing);
    }
    comparison.problems.sort_by(|a, b| a.name.cmp(&b.name));
    comparison.same = same;
    let hidden = |name: &&String| !wanted.contains_key(*name) && !standing.contains_key(name.as_str());
    let (folded, cut_off): (Vec<_>, Vec<_>) =
        all.keys().filter(hidden).partition(|name| replay.evaluation.folded.contains_key(*name));
    comparison.folded = folded.len();
    comparison.cut_off = cut_off.len();
    Ok(comparison)
}

/// The first field or label that differs. Labels of others are their own affair.
fn changed(live: &Live, wanted: &FindingSpec) -> Option<Kind> {
    let ours = labels(wanted);
    let shown: BTreeMap<&String, &String> =
        live.metadata.labels.iter().filter(|(key, _)| ours.contains_key(*key)).collect();
    let wanted = json!({ "labels": ours, "spec": wanted });
    let actual = json!({ "labels": shown, "spec": live.spec });
    // The digest differs with whatever it is over: that is said first.
    let said = |object: &Value| {
        let mut object = object.clone();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("contentDigest");
        }
        object
    };
    let difference = between("", &said(&wanted), &said(&actual)).or_else(|| between("", &wanted, &actual))?;
    let spec = FindingSpec::deserialize(&live.spec).ok();
    let resealed = spec.is_some_and(|spec| content_digest(&spec).is_ok_and(|digest| digest == spec.content_digest));
    Some(Kind::Changed { difference, resealed })
}

fn sentence(problem: &Problem) -> String {
    let said = match &problem.kind {
        Kind::Forged => "forged: the evaluation has no such finding".to_owned(),
        Kind::BeyondCap => "stands, although the evaluation cut it off by the cap".to_owned(),
        Kind::Folded => "stands, although the evaluation tells it inside another finding".to_owned(),
        Kind::Missing => "missing: the evaluation has it, the cluster has not".to_owned(),
        Kind::Changed { difference: Difference { field, expected, actual, .. }, resealed } => {
            let digest = if *resealed { "fits what it says now" } else { "no longer fits what it says" };
            let (actual, expected) = (shown(actual), shown(expected));
            format!("changed: {field} is {actual}, the evaluation gives {expected}; its contentDigest {digest}")
        }
    };
    format!("{}  {said}", shown(&problem.name))
}

fn text(estate: &Namespace, compared: &Compared) -> String {
    let Compared { replay, comparison, told, .. } = compared;
    let mut lines = Vec::new();
    if !told.contradictions.is_empty() {
        lines.push("DIFFERENT. The evaluation was not told what stands in the cluster:".to_owned());
        lines.extend(told.contradictions.iter().map(|one| shown(one)));
    }
    if let Some(difference) = &replay.difference {
        lines.push(format!(
            "DIFFERENT. The pack is not what its inputs give. The first difference:\n{}",
            said(difference)
        ));
    }
    let as_of = replay.pack.header.config.as_of;
    let findings = counted(comparison.same, "finding");
    if comparison.problems.is_empty() {
        lines.push(format!(
            "{}Findings in {estate} are those of the evaluation as of {as_of}, computed again: {findings}, field by field.",
            if lines.is_empty() { "EQUAL. The " } else { "The " }
        ));
    } else {
        let wrong = counted(comparison.problems.len(), "finding");
        lines.push(format!(
            "DIFFERENT. {wrong} in {estate} not as the evaluation as of {as_of} gives, {findings} equal:"
        ));
        lines.extend(comparison.problems.iter().map(sentence));
    }
    if comparison.folded > 0 {
        let folded = counted(comparison.folded, "finding");
        lines.push(format!("{folded} told inside another one: in the pack only, as the evaluation says."));
    }
    if comparison.cut_off > 0 {
        lines.push(format!(
            "{} beyond the estate's cap: in the pack only, as the evaluation says.",
            counted(comparison.cut_off, "finding")
        ));
    }
    lines.extend(told.since.iter().map(|one| shown(one)));
    lines.push(format!("pack {}\n", replay.pack_digest));
    lines.join("\n")
}

fn as_json(compared: &Compared) -> Value {
    let Compared { bundle, replay, comparison, told } = compared;
    let problems: Vec<Value> = comparison
        .problems
        .iter()
        .map(|problem| {
            let mut entry = json!({ "name": problem.name, "problem": problem.kind.word() });
            if let Kind::Changed { difference, resealed } = &problem.kind {
                entry["field"] = json!(difference.field);
                entry["expected"] = json!(difference.expected);
                entry["actual"] = json!(difference.actual);
                entry["contentDigestFits"] = json!(resealed);
            }
            entry
        })
        .collect();
    json!({
        "result": if compared.sound() { "equal" } else { "different" },
        "same": comparison.same,
        "cutOff": comparison.cut_off,
        "folded": comparison.folded,
        "problems": problems,
        "contradictions": told.contradictions,
        "changedSince": told.since,
        "replay": summary(replay, bundle),
    })
}
