//! What `report` and `export` read: the Findings, the Estate and the exceptions of one namespace, as kubectl prints them,
//! from the cluster or from a file. May not: guess. An object that cannot be read is an error with its name.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sv0_api::{Estate, FindingSpec, FindingState, Severity};

use super::text::clean;
use super::words;
use crate::kubectl::Cluster;
use crate::values::{Namespace, shown};

/// Most bytes of an input file: far more than the Findings of the largest estate.
const MAX_BYTES: u64 = 256 << 20;
const FINDINGS: &str = "findings.securityv0.com,estates.securityv0.com";
const EXCEPTIONS: &str = "findingexceptions.securityv0.com";

/// Where the objects come from.
#[derive(Clone, Debug, clap::Args)]
pub struct From {
    /// The cluster, when no file is named.
    #[command(flatten)]
    pub cluster: Cluster,
    /// The namespace, which is the estate. Without it: that of the kubeconfig's context, or the only one in the file.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<Namespace>,
    /// Read this file instead of the cluster: what `kubectl get findings,estates -o json` printed; '-' is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["context", "kubeconfig"])]
    pub from: Option<PathBuf>,
}

/// The objects of one estate.
#[derive(Clone, Debug)]
pub struct Held {
    /// The namespace.
    pub namespace: String,
    /// The Estate, when there is one.
    pub estate: Option<Estate>,
    /// The Findings: the most severe first, then by rule, subject and name.
    pub findings: Vec<Found>,
    /// The exceptions by name; none when they could not be read.
    pub exceptions: Option<Vec<Exception>>,
}

/// One Finding.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name, which is its identity from scan to scan.
    pub name: String,
    /// What it says.
    pub spec: FindingSpec,
    /// Who accepts it, when somebody does.
    pub acceptance: Option<Acceptance>,
    /// Findings that it tells as a whole and that do not stand beside it.
    pub parts: Vec<Part>,
    /// Such findings that are not listed in it.
    pub parts_omitted: usize,
}

/// A finding that another one contains.
#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    /// The name that it has in the evidence pack.
    pub name: String,
    /// Id of its rule.
    pub rule: String,
    /// How severe it is by itself.
    pub severity: Severity,
    /// Name of what it is about, when that is something else.
    #[serde(default)]
    pub subject: Option<String>,
}

/// On an accepted Finding: by whom, until when.
#[derive(Clone, Debug, Deserialize)]
pub struct Acceptance {
    /// Name of the `FindingException`.
    pub exception: String,
    /// Who accepts.
    pub owner: String,
    /// From this instant on it is open again.
    pub until: Time,
}

/// A `FindingException`, as far as it is told here.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its name.
    pub name: String,
    /// Who accepts.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub expires_at: Time,
    /// Findings that the last evaluation matched.
    pub matched: i32,
}

impl Found {
    /// Whether its state is this one.
    pub fn is(&self, state: FindingState) -> bool {
        self.spec.state == state
    }

    /// Each finding that it tells as a whole: `CRED-002 (high), CRED-003 (high)`, and when they are about something else
    /// `UNB-001 of "deploy" (critical), and 96 more`.
    pub fn told(&self) -> String {
        let part = |part: &Part| {
            let of = part.subject.as_deref().map(|name| format!(" of \"{}\"", clean(name))).unwrap_or_default();
            format!("{}{of} ({})", clean(&part.rule), words::severity(part.severity).to_lowercase())
        };
        let mut told: Vec<String> = self.parts.iter().map(part).collect();
        if self.parts_omitted > 0 {
            told.push(format!("and {} more", self.parts_omitted));
        }
        told.join(", ")
    }

    /// How many findings about something else it tells, since they hold through what it is about.
    pub fn behind(&self) -> usize {
        let others = self.parts.iter().filter(|part| part.subject.is_some()).count();
        if others == 0 { 0 } else { others + self.parts_omitted }
    }

    /// What stands before [`Self::told`].
    pub fn tells(&self) -> String {
        match self.behind() {
            0 => "tells as a whole".to_owned(),
            count => format!("tells {} that hold through it", super::text::counted(count, "finding")),
        }
    }

    /// The subject's full identity, `<system>:<tenant>:<kind>:<id>`.
    pub fn subject(&self) -> String {
        let subject = &self.spec.subject;
        format!("{}:{}:{}:{}", subject.system, subject.tenant, subject.kind, subject.id)
    }
}

/// Reads what `from` names. A namespace without any of our objects is an error: most likely it is mistyped, and a tool
/// that is told of no finding takes its own for resolved.
pub fn read(from: &From) -> Result<Held> {
    let wanted = from.namespace.as_ref().map(Namespace::as_str);
    let held = match &from.from {
        Some(path) => parse(&[&file(path)?], wanted).with_context(|| path.display().to_string())?,
        None => cluster(&from.cluster, wanted)?,
    };
    if held.estate.is_none() && held.findings.is_empty() {
        bail!("there is no Finding and no Estate in the namespace {}", held.namespace);
    }
    Ok(held)
}

fn cluster(cluster: &Cluster, wanted: Option<&str>) -> Result<Held> {
    let namespace = match wanted {
        Some(name) => name.to_owned(),
        None => cluster.default_namespace()?,
    };
    let findings = cluster.json(FINDINGS, &namespace)?;
    match cluster.json(EXCEPTIONS, &namespace) {
        Ok(exceptions) => parse(&[&findings, &exceptions], Some(&namespace)),
        Err(error) => {
            eprintln!("warning: exceptions are left out: {error}");
            Ok(Held { exceptions: None, ..parse(&[&findings], Some(&namespace))? })
        }
    }
}

fn file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let failed = || format!("{} cannot be read", path.display());
    if path.as_os_str() == "-" {
        std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(failed)?;
    } else {
        let file = std::fs::File::open(path).with_context(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(failed)?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20);
    }
    Ok(bytes)
}

/// The objects in these JSON documents: Lists or single objects. Kinds that are not ours are passed over.
pub fn parse(documents: &[&[u8]], wanted: Option<&str>) -> Result<Held> {
    let mut items = Vec::new();
    for document in documents {
        let value: Value =
            serde_json::from_slice(document).context("this is not JSON, as kubectl get -o json prints it")?;
        match value.get("items").and_then(Value::as_array) {
            Some(list) => items.extend(list.iter().cloned()),
            None => items.push(value),
        }
    }
    items.retain(ours);
    let namespace = namespace(&items, wanted)?;
    items.retain(|item| text(item, "/metadata/namespace") == namespace);
    let mut held = Held { namespace, estate: None, findings: Vec::new(), exceptions: Some(Vec::new()) };
    for item in &items {
        match text(item, "/kind") {
            "Finding" => held.findings.push(found(item)?),
            "FindingException" => held.exceptions.get_or_insert_default().push(exception(item)?),
            _ => held.estate = Some(typed(item, "")?),
        }
    }
    held.findings.sort_by_cached_key(order);
    held.findings.dedup_by(|left, right| left.name == right.name);
    if let Some(exceptions) = &mut held.exceptions {
        exceptions.sort_by(|left, right| left.name.cmp(&right.name));
        exceptions.dedup_by(|left, right| left.name == right.name);
    }
    Ok(held)
}

fn ours(item: &Value) -> bool {
    text(item, "/apiVersion").starts_with("securityv0.com/")
        && matches!(text(item, "/kind"), "Finding" | "FindingException" | "Estate")
}

/// The namespace to tell of.
fn namespace(items: &[Value], wanted: Option<&str>) -> Result<String> {
    if let Some(wanted) = wanted {
        return Ok(wanted.to_owned());
    }
    let names: BTreeSet<&str> = items.iter().map(|item| text(item, "/metadata/namespace")).collect();
    let mut each = names.iter();
    match (each.next(), each.next()) {
        // It stands in all that is written from here on, also as the place of a resource.
        (Some(only), None) => match only.parse::<Namespace>() {
            Ok(name) => Ok(name.to_string()),
            Err(error) => bail!("its namespace {error}"),
        },
        (None, _) => bail!("there is no Finding and no Estate in it"),
        _ => {
            bail!("it holds {} namespaces, and each is an estate of its own: choose one with --namespace", names.len())
        }
    }
}

/// The most severe first, then by rule, subject and name.
fn order(found: &Found) -> (i32, String, String, String) {
    let spec = &found.spec;
    (-spec.severity.rank(), spec.rule.id.clone(), spec.subject.name.clone(), found.name.clone())
}

fn found(item: &Value) -> Result<Found> {
    let acceptance = item.pointer("/spec/acceptance").is_some().then(|| typed(item, "/spec/acceptance")).transpose()?;
    let parts = item.pointer("/spec/consistsOf").is_some().then(|| typed(item, "/spec/consistsOf")).transpose()?;
    let name = text(item, "/metadata/name").to_owned();
    let omitted = item.pointer("/spec/partsOmitted").and_then(Value::as_u64).unwrap_or(0);
    let parts_omitted = usize::try_from(omitted).unwrap_or(usize::MAX);
    Ok(Found { name, spec: typed(item, "/spec")?, acceptance, parts: parts.unwrap_or_default(), parts_omitted })
}

fn exception(item: &Value) -> Result<Exception> {
    let matched = item.pointer("/status/matchedFindings").and_then(Value::as_i64).unwrap_or(0);
    Ok(Exception {
        name: text(item, "/metadata/name").to_owned(),
        owner: text(item, "/spec/owner").to_owned(),
        reason: text(item, "/spec/reason").to_owned(),
        expires_at: typed(item, "/spec/expiresAt")?,
        matched: i32::try_from(matched).unwrap_or(i32::MAX),
    })
}

fn typed<T: DeserializeOwned>(item: &Value, pointer: &str) -> Result<T> {
    let part = item.pointer(pointer).cloned().unwrap_or(Value::Null);
    serde_json::from_value(part).map_err(|error| {
        let (kind, name) = (text(item, "/kind"), shown(text(item, "/metadata/name")));
        anyhow::anyhow!("{kind} {name} cannot be read: {}", shown(&error.to_string()))
    })
}

fn text<'a>(item: &'a Value, pointer: &str) -> &'a str {
    item.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
