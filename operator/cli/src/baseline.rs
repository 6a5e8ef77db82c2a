//! `kubectl sv0 baseline`: which snapshots drift is measured from.
//!
//! Takes the Estate of a namespace; `show` tells, `accept` sets `spec.baseline` to the snapshots that the last evaluation
//! used. Changes that one field, and only when the Estate is still the one that was read. Who accepted and when is in the
//! API server's audit log, where the user who asks stands.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::findings::table::counted;
use crate::kubectl::Cluster;
use crate::term::add;
use crate::values::{InstanceName, Namespace};

/// Which step.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Accept the snapshots of the last evaluation as the state that drift is measured from.
    Accept(Accept),
    /// Tell what is accepted, and what the last evaluation compared with.
    Show(Show),
}

/// What `baseline accept` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 baseline accept -n team-a --dry-run           # what would be set
  kubectl sv0 baseline accept -n team-a --instance entra    # accept one instance's state, keep the others

Accepting says that the authority which stands now is meant to be there: what grew before is no drift any more. The API
server's audit log has who did it and when. Without an accepted snapshot the first complete one counts.")]
pub struct Accept {
    #[command(flatten)]
    estate: Show,
    /// Only of this ConnectorInstance.
    #[arg(long, value_name = "NAME")]
    instance: Option<InstanceName>,
    /// Change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What `baseline show` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 baseline show -n team-a")]
pub struct Show {
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    #[command(flatten)]
    cluster: Cluster,
}

/// An accepted snapshot, as `spec.baseline` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    instance: String,
    snapshot_id: String,
    snapshot_digest: String,
}

/// What of an Estate matters here; other fields are left alone.
#[derive(Debug, Deserialize)]
struct View {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    baseline: Vec<Accepted>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    as_of: Option<String>,
    inputs: Vec<Input>,
    baselines: Vec<Compared>,
    coverage_gaps: Vec<Gap>,
}

/// A snapshot of the last evaluation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(flatten)]
    snapshot: Accepted,
    #[serde(default)]
    quarantined: Option<String>,
}

/// A snapshot that the last evaluation compared with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    #[serde(flatten)]
    snapshot: Accepted,
    #[serde(default)]
    accepted: bool,
}

#[derive(Debug, Deserialize)]
struct Gap {
    instance: String,
    #[serde(default)]
    collection: String,
}

/// Runs the command.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Accept(args) => accept(args),
        Command::Show(args) => {
            let (namespace, view) = read(args)?;
            crate::say!("{}", shown(&namespace, &view));
            Ok(())
        }
    }
}

fn read(args: &Show) -> Result<(String, View)> {
    let namespace = match &args.namespace {
        Some(namespace) => namespace.to_string(),
        None => args.cluster.default_namespace()?,
    };
    let Some(object) = args.cluster.estate_object(&namespace)? else {
        bail!("there is no Estate in namespace {namespace}: nothing has been evaluated there yet");
    };
    let view = serde_json::from_value(object).context("the Estate has another form than this program knows")?;
    Ok((namespace, view))
}

fn accept(args: &Accept) -> Result<()> {
    let (namespace, view) = read(&args.estate)?;
    let wanted = wanted(&view, args.instance.as_ref())?;
    let mut text = format!("Baseline of namespace {namespace}:\n");
    for one in &wanted {
        let before = view.spec.baseline.iter().find(|old| old.instance == one.instance);
        let before = before.map_or_else(|| "the first complete snapshot".to_owned(), line);
        let same = view.spec.baseline.contains(one);
        let now = if same { "unchanged".to_owned() } else { format!("now {}", line(one)) };
        add(&mut text, &format!("  {}: before {before}, {now}\n", one.instance));
        text.push_str(&incomplete(&view, &one.instance));
    }
    crate::say!("{}", lines(&text));
    if wanted.iter().all(|one| view.spec.baseline.contains(one)) {
        crate::say_line!("All of it is accepted already; nothing was changed.");
        return Ok(());
    }
    if args.dry_run {
        crate::say_line!("Nothing was changed (--dry-run).");
        return Ok(());
    }
    let all = merged(&view.spec.baseline, &wanted);
    // With the version that was read: somebody else's change in between is a conflict and not lost.
    let patch = json!({"metadata": {"resourceVersion": view.metadata.resource_version}, "spec": {"baseline": all}});
    let after = args.estate.cluster.patch_estate(&namespace, &patch)?;
    let stored = after.pointer("/spec/baseline").cloned().unwrap_or(Value::Null);
    if serde_json::from_value::<Vec<Accepted>>(stored).ok().as_ref() != Some(&all) {
        bail!(
            "the cluster did not keep spec.baseline: its resource definitions are older than this program; upgrade securityv0-crds"
        );
    }
    crate::say_line!(
        "Accepted. Who did it and when is in the API server's audit log. The next evaluation compares with it."
    );
    Ok(())
}

/// The snapshots of the last evaluation, of one instance or of all.
fn wanted(view: &View, instance: Option<&InstanceName>) -> Result<Vec<Accepted>> {
    let all = &view.status.inputs;
    if view.status.as_of.is_none() || all.is_empty() {
        bail!("this estate has not been evaluated yet: there is no snapshot to accept");
    }
    let of = |input: &&Input| instance.is_none_or(|name| input.snapshot.instance == name.as_str());
    let inputs: Vec<&Input> = all.iter().filter(of).collect();
    if let (Some(name), true) = (instance, inputs.is_empty()) {
        let known: Vec<&str> = all.iter().map(|input| input.snapshot.instance.as_str()).collect();
        bail!(
            "the last evaluation used no snapshot of {name}; it used those of {}",
            sv0_rules::harmless(&known.join(", "))
        );
    }
    if let Some(input) = inputs.iter().find(|input| input.quarantined.is_some()) {
        bail!(
            "the newest snapshot of {} was set aside and an older one evaluated: accept it after the next good scan",
            sv0_rules::harmless(&input.snapshot.instance)
        );
    }
    Ok(inputs.into_iter().map(|input| input.snapshot.clone()).collect())
}

/// The accepted list with `wanted` in the place of entries of the same instances.
fn merged(before: &[Accepted], wanted: &[Accepted]) -> Vec<Accepted> {
    let replaced = |old: &&Accepted| wanted.iter().any(|new| new.instance == old.instance);
    let kept = before.iter().filter(|old| !replaced(old)).cloned();
    let mut all: Vec<Accepted> = kept.chain(wanted.iter().cloned()).collect();
    all.sort_by(|a, b| a.instance.cmp(&b.instance));
    all
}

/// What is not complete in a snapshot is never compared.
fn incomplete(view: &View, instance: &str) -> String {
    let own = view.status.coverage_gaps.iter().filter(|gap| gap.instance == instance);
    let names: Vec<&str> = own.map(|gap| gap.collection.as_str()).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return String::new();
    }
    let gaps = counted(names.len(), "collection was", "collections were");
    format!("    {gaps} not read completely and will not be compared: {}\n", names.join(", "))
}

fn shown(namespace: &str, view: &View) -> String {
    let mut text = format!("Baseline of namespace {namespace}:\n");
    for one in &view.spec.baseline {
        add(&mut text, &format!("  {}: accepted {}\n", one.instance, line(one)));
    }
    if view.spec.baseline.is_empty() {
        text.push_str("  nothing is accepted: of each instance the first complete snapshot counts\n");
    }
    if let Some(as_of) = view.status.as_of.as_ref().filter(|_| !view.status.baselines.is_empty()) {
        add(&mut text, &format!("The last evaluation, as of {as_of}, compared with:\n"));
    }
    for one in &view.status.baselines {
        let why = if one.accepted { "accepted" } else { "the first complete one" };
        add(&mut text, &format!("  {}: {} ({why})\n", one.snapshot.instance, line(&one.snapshot)));
    }
    lines(&text)
}

fn line(one: &Accepted) -> String {
    format!("{} {}", one.snapshot_id, one.snapshot_digest)
}

/// Each line made harmless, its indentation kept.
fn lines(text: &str) -> String {
    let shown = |line: &str| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        format!("{}{}\n", " ".repeat(indent), sv0_rules::harmless(line))
    };
    text.lines().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(instance: &str, id: &str) -> Accepted {
        Accepted { instance: instance.to_owned(), snapshot_id: id.to_owned(), snapshot_digest: format!("sha256:{id}") }
    }

    #[test]
    fn others_are_kept() {
        let before = [accepted("b", "1"), accepted("c", "1")];
        let all = merged(&before, &[accepted("c", "2"), accepted("a", "2")]);
        assert_eq!(all, [accepted("a", "2"), accepted("b", "1"), accepted("c", "2")]);
    }
}
