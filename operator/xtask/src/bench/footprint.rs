//! `cargo xtask bench footprint`: what an installation costs that has little to do, and one with ten thousand Findings.
//!
//! It installs the product anew for the time to the first Finding, and leaves the cluster as it was found: with the test
//! installation if there was one, without it otherwise.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use sv0_e2e::audit::Tail;
use sv0_e2e::deploy::{self, Options, SYSTEM};
use sv0_e2e::faults::process::{self, Memory};
use sv0_e2e::world::ESTATES;
use sv0_e2e::{Env, Kubectl, World, eventually};

use super::installed::{self, number, plain};
use super::{Figure, etcd, many};
use crate::cluster;
use crate::context::{Context, Stages, note};

const BENCH: &str = "footprint";
/// How long the idle manager is watched.
const IDLE: Duration = Duration::from_mins(1);
/// What a manager that was busy may still have to do before it counts as idle.
const CALM_DOWN: Duration = Duration::from_secs(15);
const MIB: f64 = 1024.0 * 1024.0;
const MB: f64 = 1e6;

/// Measures everything.
pub(super) fn measure(ctx: &Context, options: &cluster::Options) -> Result<Vec<Figure>> {
    installed::on_a_cluster(ctx, options, everything)
}

fn everything(env: &Env, world: &World, stages: &mut Stages) -> Result<Vec<Figure>> {
    let mut figures = vec![image(env, &world.kubectl)?];
    figures.push(stages.run("install to first Finding", || Ok((first_finding(env, world)?, String::new())))?);
    figures.extend(stages.run("idle", || Ok((idle(env)?, String::new())))?);
    figures.extend(stages.run("10,000 Findings", || Ok((ten_thousand(world)?, String::new())))?);
    Ok(figures)
}

fn figure(name: &str, value: f64, unit: &'static str, goal: Option<f64>) -> Figure {
    Figure::new(BENCH, name, value, unit, goal)
}

/// The image as the node holds it.
fn image(env: &Env, kubectl: &Kubectl) -> Result<Figure> {
    let nodes = kubectl.get(&["nodes"]).map_err(plain)?;
    let lists = nodes["items"].as_array().into_iter().flatten();
    let size = lists
        .flat_map(|node| node["status"]["images"].as_array().into_iter().flatten())
        .find(|image| image["names"].as_array().into_iter().flatten().any(|name| *name == env.image.as_str()))
        .and_then(|image| image["sizeBytes"].as_u64());
    let Some(size) = size else { bail!("no node holds the image {}", env.image) };
    Ok(figure("image", number(size) / MB, "MB", Some(40.0)))
}

/// From `helm install` to the first Finding of the demonstration's tenant.
fn first_finding(env: &Env, world: &World) -> Result<Figure> {
    let yaml = std::fs::read_to_string(env.root.join("e2e/estate/estates/demo.yaml"))?;
    let tenant = sv0_e2e::estate::Tenant::load(&yaml, world.ns).map_err(plain)?;
    world.vendor.set_estate(&tenant.document.to_string()).map_err(plain)?;
    installed::uninstall(env)?;
    let started = Instant::now();
    let options = Options { estates: ESTATES.map(str::to_owned).to_vec(), values: Value::Null };
    deploy::operator(env, &world.kubectl, &options).map_err(plain)?;
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["spec"]["entra"]["tenantId"] = json!(tenant.id);
    instance["spec"]["entra"]["clientId"] = json!(tenant.client);
    world.kubectl.apply(&instance.to_string()).map_err(plain)?;
    eventually("the first Finding", Duration::from_mins(4), || {
        let names = world.kubectl.run(&["get", "findings", "-n", world.ns, "-o", "name"])?;
        if names.trim().is_empty() { Err("none yet".into()) } else { Ok(()) }
    })
    .map_err(plain)?;
    let took = started.elapsed();
    world.wait_evaluated().map_err(plain)?;
    Ok(figure("helm install to first Finding, small estate", took.as_secs_f64(), "s", Some(60.0)))
}

/// The manager when there is nothing to do.
fn idle(env: &Env) -> Result<Vec<Figure>> {
    thread::sleep(CALM_DOWN);
    let mut figures = Vec::new();
    if let Some(log) = &env.audit_log {
        let mut tail = Tail::from_now(log).map_err(plain)?;
        thread::sleep(IDLE);
        let manager = format!("system:serviceaccount:{SYSTEM}:securityv0-manager");
        let events = tail.read().map_err(plain)?;
        let (lease, other): (Vec<_>, Vec<_>) =
            events.iter().filter(|event| event.user == manager).partition(|event| event.resource == "leases");
        for event in &other {
            note(&format!("a request at idle: {} {} ({})", event.verb, event.resource, event.code));
        }
        let (lease, other) = (lease.len() as u64, other.len() as u64);
        figures.push(figure("manager requests in 60 s at idle, without the lease", number(other), "", Some(0.0)));
        figures.push(figure("manager requests in 60 s at idle, for the lease", number(lease), "", None));
    } else {
        note("this cluster gives no audit log: requests at idle are not counted");
        thread::sleep(IDLE);
    }
    figures.extend(memory("idle", 15.0)?);
    if let Some(store) = process::find("/store", "securityv0-store-", "").and_then(|store| store.memory()) {
        figures.push(figure("store RSS, idle", number(store.resident) / MIB, "MiB", None));
    }
    Ok(figures)
}

/// The manager's memory now.
fn memory(when: &str, goal: f64) -> Result<[Figure; 2]> {
    let manager = process::find("/manager", "securityv0-manager-", "").and_then(|manager| manager.memory());
    let Some(Memory { resident, anonymous }) = manager else {
        bail!("the manager's process is not visible: run this on the machine that runs the cluster's node, as root");
    };
    Ok([
        figure(&format!("manager RSS, {when}"), number(resident) / MIB, "MiB", Some(goal)),
        figure(&format!("manager RSS, anonymous part, {when}"), number(anonymous) / MIB, "MiB", None),
    ])
}

/// What ten thousand Findings cost.
fn ten_thousand(world: &World) -> Result<Vec<Figure>> {
    let measurable = etcd::is_here();
    let before = if measurable { etcd::compacted_size()? } else { 0 };
    let took = many::create(world, &world.findings().map_err(plain)?)?;
    note(&format!("written in {} s", took.as_secs()));
    let mut figures = Vec::new();
    let sizes = many::sizes(&world.kubectl, many::ESTATE)?;
    let (median, largest) = (sizes.median as u64, sizes.largest as u64);
    figures.push(figure("stored Finding, median", number(median), "bytes", Some(3500.0)));
    figures.push(figure("stored Finding, largest", number(largest), "bytes", Some(3900.0)));
    if measurable {
        let grown = etcd::compacted_size()?.saturating_sub(before);
        figures.push(figure("etcd growth per 10,000 Findings", number(grown) / MB, "MB", Some(42.0)));
    } else {
        note("etcd is not within reach: its growth is not measured");
    }
    thread::sleep(CALM_DOWN);
    figures.extend(memory("10,000 Findings", 40.0)?);
    Ok(figures)
}
