//! `cargo xtask demo`: from nothing to findings on a real cluster, with everything that a user would install, and a
//! simulated Entra tenant in the place of the real one.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use sv0_e2e::deploy::{self, Options, SYSTEM};
use sv0_e2e::estate::Tenant;
use sv0_e2e::{Env, Kubectl, eventually};

use crate::cluster::{self, Cluster};
use crate::context::{Context, Stages, note};
use crate::image::{self, Arch};
use crate::tools;

/// The estate of the demonstration.
const ESTATE: &str = "demo";
const INSTANCE: &str = "simulated-tenant";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show this simulated tenant instead of the shipped one (format: e2e/estate/README.md).
    #[arg(long, value_name = "FILE")]
    estate: Option<PathBuf>,
    /// Remove the demonstration and its cluster.
    #[arg(long)]
    down: bool,
    #[command(flatten)]
    cluster: cluster::Options,
}

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    if args.down {
        return cluster::down(ctx);
    }
    let file = args.estate.clone().unwrap_or_else(|| ctx.root.join("e2e/estate/estates/demo.yaml"));
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let tenant =
        Tenant::load(&text, ESTATE).map_err(plain).with_context(|| format!("cannot use {}", file.display()))?;
    let mut stages = Stages::default();
    let cluster = stages.run("cluster", || {
        let (cluster, made) = cluster::up(ctx, &args.cluster)?;
        Ok((cluster, if made { "made" } else { "was up" }.to_owned()))
    })?;
    let env = stages.run("images", || Ok((images(ctx, &cluster)?, String::new())))?;
    let kubectl = Kubectl::new(&env);
    let started = stages.run("install", || {
        let vendor = deploy::vendor(&env, &kubectl).map_err(plain)?;
        let refused = || format!("{} is not accepted", file.display());
        vendor.set_estate(&tenant.document.to_string()).map_err(plain).with_context(refused)?;
        let started = Instant::now();
        let options = Options { estates: vec![ESTATE.to_owned()], values: Value::Null };
        deploy::operator(&env, &kubectl, &options).map_err(plain)?;
        Ok((started, String::new()))
    })?;
    stages.run("scan and evaluate", || {
        connect(&kubectl, &tenant.id, &tenant.client)?;
        await_findings(&kubectl)?;
        let took = started.elapsed().as_secs();
        Ok(((), format!("({took} s from `helm install` to findings)")))
    })?;
    stages.print();
    show(&kubectl, &cluster)
}

fn plain(error: sv0_e2e::Error) -> anyhow::Error {
    anyhow!(error)
}

/// Builds both images and gives the environment of the end-to-end library.
pub(crate) fn images(ctx: &Context, cluster: &Cluster) -> Result<Env> {
    // A cluster that pulls from a registry gets its images from there.
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (image, estate_image) = if let (Some(image), Some(estate)) = (given("SV0_IMAGE"), given("SV0_ESTATE_IMAGE")) {
        (image, estate)
    } else {
        let built = [image::operator(ctx, Arch::Amd64)?, image::estate(ctx, Arch::Amd64)?];
        for image in &built {
            cluster.load(ctx, &image.archive)?;
        }
        let [operator, estate] = built;
        (operator.name, estate.name)
    };
    Ok(Env {
        kubeconfig: cluster.kubeconfig.clone(),
        kubectl: cluster.bin.join("kubectl"),
        helm: tools::path(ctx, "helm")?,
        image,
        estate_image,
        audit_log: cluster.audit_log.clone(),
        root: ctx.root.clone(),
    })
}

/// What a user would apply: a ServiceAccount for scans, an instance, a schedule.
fn connect(kubectl: &Kubectl, tenant: &str, client: &str) -> Result<()> {
    deploy::scan_account(kubectl, ESTATE).map_err(plain)?;
    let wish = format!("demo-{}", std::process::id());
    let instance = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance",
        "metadata": {"name": INSTANCE, "namespace": ESTATE, "annotations": {"securityv0.com/scan-requested": wish}},
        "spec": {
            "system": "Entra", "serviceAccountName": "scanner",
            "entra": {"tenantId": tenant, "clientId": client, "auth": {"workloadIdentity": {}}},
        },
    });
    let schedule = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
        "metadata": {"name": "nightly", "namespace": ESTATE},
        "spec": {"schedule": "15 2 * * *", "timeZone": "Etc/UTC", "jitter": "20m"},
    });
    if let Some(old) = kubectl.find(ESTATE, "connectorinstance", INSTANCE).map_err(plain)?
        && old["spec"]["entra"]["tenantId"] != tenant
    {
        note("another tenant was shown before: removing its instance");
        kubectl.run(&["delete", "connectorinstance", "-n", ESTATE, INSTANCE]).map_err(plain)?;
    }
    for manifest in [instance, schedule] {
        kubectl.apply(&manifest.to_string()).map_err(plain)?;
    }
    Ok(())
}

/// Waits for the evaluation of the newest snapshot, saying what it waits for.
fn await_findings(kubectl: &Kubectl) -> Result<()> {
    let mut said = String::new();
    eventually("the first findings", Duration::from_mins(4), || {
        let instance = kubectl.get(&["-n", ESTATE, "connectorinstance", INSTANCE])?;
        let status = &instance["status"];
        let wished = &instance["metadata"]["annotations"]["securityv0.com/scan-requested"];
        let ready = sv0_e2e::world::condition(status, "Ready").cloned().unwrap_or_default();
        let now = format!(
            "{}: {}",
            ready["reason"].as_str().unwrap_or("Waiting"),
            ready["message"].as_str().unwrap_or("for the manager")
        );
        if now != said {
            note(&now);
            said = now;
        }
        let estate = kubectl.find(ESTATE, "estates.securityv0.com", "default")?.unwrap_or_default();
        let evaluated = estate["status"]["inputs"].to_string();
        let digest = status["snapshot"]["digest"].as_str().ok_or("no snapshot yet")?;
        if status["lastHandledScanRequest"] == *wished && status["activeScan"].is_null() && evaluated.contains(digest) {
            return Ok(());
        }
        Err(format!("{said}; evaluated: {evaluated}").into())
    })
    .map_err(plain)
}

/// Findings by severity, and what to try next.
fn show(kubectl: &Kubectl, cluster: &Cluster) -> Result<()> {
    println!("\n{}", kubectl.run(&["get", "connectorinstances,scanschedules", "-n", ESTATE]).map_err(plain)?);
    let by_severity = ["get", "findings", "-n", ESTATE, "--sort-by={.spec.severityRank}"];
    let table = kubectl.run(&by_severity).map_err(plain)?;
    // kubectl sorts upwards; the worst belongs on top.
    let mut lines: Vec<&str> = table.lines().collect();
    let heading = if lines.is_empty() { "" } else { lines.remove(0) };
    lines.reverse();
    println!("{heading}\n{}\n", lines.join("\n"));
    let worst = lines.first().and_then(|line| line.split_whitespace().next()).unwrap_or("NAME");
    println!("Try next:");
    println!("  export KUBECONFIG={} PATH={}:$PATH", cluster.kubeconfig.display(), cluster.bin.display());
    println!("  kubectl describe finding {worst} -n {ESTATE}");
    println!("  kubectl describe connectorinstance {INSTANCE} -n {ESTATE}");
    println!("  kubectl get estate default -n {ESTATE} -o yaml");
    println!("  kubectl get pods -n {SYSTEM}");
    println!("  cargo xtask demo --down");
    Ok(())
}
