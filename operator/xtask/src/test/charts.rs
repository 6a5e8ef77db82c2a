//! The charts and samples: `helm lint`, `helm template` with several values, and every rendered object against
//! strict schemas of the API server under test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Tally, schemas};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::sh::Sh;
use crate::tools::{self, LINT, files_below, remove_dir};

/// Values to render a chart with, beside its defaults. Files `ci/*.yaml` of a chart are added to these.
const VARIANTS: &[(&str, &[&str])] = &[
    ("securityv0", &["estates[0].namespace=team-a", "estates[1].namespace=team-b"]),
    ("securityv0", &["estates[0].namespace=team-a", "estates[0].create=true", "networkPolicy.enabled=false"]),
    ("securityv0", &["estates[0].namespace=team-a", "scan.allowMetadataEndpoint=true"]),
];

/// Checks all charts and samples.
pub(super) fn check(ctx: &Context, cluster: &Cluster) -> Result<Tally> {
    tools::ensure_built(ctx, &[&LINT])?;
    let schemas = write_schemas(ctx, cluster)?;
    let helm = tools::path(ctx, "helm")?;
    let conform = tools::path(ctx, "kubeconform")?;
    let mut tally = Tally::default();
    let mut tell = |what: &str, outcome: Result<()>| {
        match &outcome {
            Ok(()) => println!("ok     {what}"),
            Err(error) => println!("FAILED {what}: {error:#}"),
        }
        tally.add(Tally::one(outcome.is_ok()));
    };
    let charts = charts(&ctx.root.join("charts"))?;
    ensure!(!charts.is_empty(), "there is no chart below charts/");
    for chart in &charts {
        let name = chart.file_name().unwrap_or_default().to_string_lossy();
        tell(&format!("helm lint {name}"), Sh::new(&helm).args(["lint", "--strict"]).arg(chart).quiet());
        for (label, arguments) in variants(chart, &name)? {
            let outcome = render(&helm, chart, &arguments).and_then(|text| conforms(&conform, &schemas, &text));
            tell(&format!("helm template {name} {label}"), outcome);
        }
    }
    let samples = ctx.root.join("config/samples");
    if samples.is_dir() {
        for sample in files_below(&samples)?.iter().filter(|file| is_yaml(file)) {
            let name = sample.strip_prefix(&ctx.root).unwrap_or(sample).display().to_string();
            tell(&name, conforms(&conform, &schemas, &fs::read_to_string(sample)?));
        }
    }
    // A check that lets everything through would be worthless: this object must be refused.
    let wrong = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatum: {a: b}\n";
    let refused = conforms(&conform, &schemas, wrong).is_err();
    tell("an object with an unknown field is refused", refused.then_some(()).context("it was accepted"));
    Ok(tally)
}

/// Folders with a `Chart.yaml`.
fn charts(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut charts: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("Chart.yaml").is_file())
        .collect();
    charts.sort();
    Ok(charts)
}

/// Labels and helm arguments of each rendering.
fn variants(chart: &Path, name: &str) -> Result<Vec<(String, Vec<String>)>> {
    let mut all = vec![("(default values)".to_owned(), Vec::new())];
    for (_, values) in VARIANTS.iter().filter(|(chart, _)| *chart == name) {
        let arguments = values.iter().flat_map(|value| ["--set".to_owned(), (*value).to_owned()]).collect();
        all.push((values.join(" "), arguments));
    }
    let ci = chart.join("ci");
    if ci.is_dir() {
        for file in files_below(&ci)?.into_iter().filter(|file| is_yaml(file)) {
            let file = file.display().to_string();
            all.push((file.clone(), vec!["--values".to_owned(), file]));
        }
    }
    Ok(all)
}

fn render(helm: &Path, chart: &Path, arguments: &[String]) -> Result<String> {
    let text = Sh::new(helm)
        .args(["template", "securityv0", "--namespace", "securityv0-system", "--include-crds"])
        .args(arguments)
        .arg(chart)
        .read()?;
    ensure!(!schemas::documents(&text)?.is_empty(), "the chart renders no object");
    Ok(text)
}

fn conforms(kubeconform: &Path, schemas: &Path, manifests: &str) -> Result<()> {
    Sh::new(kubeconform)
        .args(["-strict", "-schema-location", &format!("{}/{}", schemas.display(), schemas::LOCATION)])
        .arg("-")
        .input(manifests)
        .quiet()
}

/// Writes the schemas of the server and of our own kinds; gives their folder.
fn write_schemas(ctx: &Context, cluster: &Cluster) -> Result<PathBuf> {
    let dir = ctx.root.join("target/schemas");
    remove_dir(&dir)?;
    fs::create_dir_all(&dir)?;
    let openapi: Value = serde_json::from_str(&cluster.kubectl(["get", "--raw", "/openapi/v2"]).read()?)
        .context("the API server's schema document is not JSON")?;
    let mut files = schemas::of_server(&openapi)?;
    for file in files_below(&ctx.root.join("crds"))?.iter().filter(|file| is_yaml(file)) {
        let text = fs::read_to_string(file)?;
        files.extend(schemas::of_definitions(&text).with_context(|| format!("cannot use {}", file.display()))?);
    }
    for (name, schema) in &files {
        fs::write(dir.join(name), serde_json::to_vec(schema)?)?;
    }
    Ok(dir)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}
