//! `cargo xtask bench findings`: ten thousand Findings that one evaluation writes into a real API server, then a second
//! scan of the unchanged tenant. What was written and when is read from the API server's audit log, not from the writer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_e2e::audit::{Event, Tail};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::{Env, World, eventually};

use super::installed::{self, number, plain};
use super::{Figure, GENERATED_SECRET, etcd, many};
use crate::cluster;
use crate::context::{Context, note};

const BENCH: &str = "findings";
/// Findings that stand as resources; the tenant has more of them.
const COUNT: u64 = 10_000;
/// Applications of the simulated tenant: enough for [`COUNT`] findings.
const APPS: usize = 13_500;
const SEED: u64 = 7;
/// A bound against hanging.
const PATIENCE: Duration = Duration::from_mins(15);
/// By the design, at forty writes a second.
const GOAL_SECONDS: f64 = 300.0;

/// Measures both runs.
pub(super) fn measure(ctx: &Context, options: &cluster::Options) -> Result<Vec<Figure>> {
    installed::on_a_cluster(ctx, options, |env, world, stages| {
        let Some(log) = &env.audit_log else {
            bail!("this cluster gives no audit log: writes cannot be counted; use the cluster that this program makes")
        };
        installed::install(env, &world.kubectl, json!({"limits": {"maxFindings": COUNT}}))?;
        let first = stages.run("a tenant for the first time", || Ok((first(env, world, log)?, String::new())))?;
        let again = stages.run("the same tenant again", || Ok((again(world, log)?, String::new())))?;
        Ok([first, again].concat())
    })
}

/// What the API server saw of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    /// Writes of Findings that succeeded.
    writes: u64,
    /// Requests about Findings that did not.
    refused: u64,
    /// From the first of the writes to the last, in seconds.
    writing: f64,
    /// From the evaluation's Job to its last word, the Estate's status, in seconds.
    whole: f64,
    /// The most writes within one second.
    rush: u64,
}

/// Reads what happened to the estate's Findings since the log was opened.
fn seen(events: &[Event], estate: &str) -> Result<Seen> {
    let account = format!("system:serviceaccount:{SYSTEM}:evaluate-{estate}");
    let of_writer = |event: &&Event| event.user == account && event.namespace == estate;
    let findings: Vec<&Event> =
        events.iter().filter(of_writer).filter(|event| event.resource == "findings" && event.verb != "list").collect();
    let writes: Vec<Timestamp> = findings.iter().filter(|event| event.is_write()).map(|event| event.at).collect();
    let refused = findings.iter().filter(|event| event.code >= 400).count();
    let job = events.iter().filter(|event| event.resource == "jobs" && event.verb == "create" && event.is_write());
    let begun = job.filter(|event| event.namespace == SYSTEM).map(|event| event.at).next_back();
    let status = events.iter().filter(of_writer).filter(|event| event.resource == "estates/status");
    let ended = status.filter(|event| event.is_write()).map(|event| event.at).next_back();
    let (Some(begun), Some(ended)) = (begun, ended) else { bail!("the audit log shows no evaluation") };
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    let mut each_second: BTreeMap<i64, u64> = BTreeMap::new();
    for at in &writes {
        *each_second.entry(at.as_second()).or_default() += 1;
    }
    Ok(Seen {
        writes: writes.len() as u64,
        refused: refused as u64,
        writing: writes.iter().min().zip(writes.iter().max()).map_or(0.0, |(from, to)| seconds(*from, *to)),
        whole: seconds(begun, ended),
        rush: each_second.into_values().max().unwrap_or(0),
    })
}

/// A tenant that nothing is known of yet.
fn first(env: &Env, world: &World, log: &std::path::Path) -> Result<Vec<Figure>> {
    let (tenant, client) = world.vendor.generate(APPS, SEED).map_err(plain)?;
    world.secret(&tenant, GENERATED_SECRET).map_err(plain)?;
    let measurable = etcd::is_here();
    let before = if measurable { etcd::compacted_size()? } else { 0 };
    let mut tail = Tail::from_now(log).map_err(plain)?;
    let mut instance = world.instance(&json!({"clientSecret": {"secretName": "sv0-entra"}}));
    instance["spec"]["entra"]["tenantId"] = json!(tenant);
    instance["spec"]["entra"]["clientId"] = json!(client);
    world.kubectl.apply(&instance.to_string()).map_err(plain)?;
    let total = evaluated(world)?;
    let seen = seen(&tail.read().map_err(plain)?, world.ns)?;
    if seen.writes != COUNT || total < COUNT {
        bail!("{} Findings were written of {total}, and not {COUNT}: the simulated tenant is too small", seen.writes);
    }
    note(&format!("{total} findings, {} of them as resources of {}", seen.writes, env.image));
    let sizes = many::sizes(&world.kubectl, world.ns)?;
    let mut figures = vec![
        figure("10,000 new Findings, first write to last", seen.writing, "s", Some(GOAL_SECONDS)),
        figure("10,000 new Findings, evaluation's Job to Estate's status", seen.whole, "s", None),
        figure("most writes within one second", number(seen.rush), "", None),
        figure("writes refused or overtaken", number(seen.refused), "", Some(0.0)),
        figure("stored Finding, median", number(sizes.median as u64), "bytes", None),
        figure("stored Finding, largest", number(sizes.largest as u64), "bytes", Some(3900.0)),
    ];
    if measurable {
        let grown = etcd::compacted_size()?.saturating_sub(before);
        figures.push(figure("etcd growth", number(grown) / 1e6, "MB", Some(42.0)));
    }
    Ok(figures)
}

/// The same tenant, scanned again.
fn again(world: &World, log: &std::path::Path) -> Result<Vec<Figure>> {
    let mut tail = Tail::from_now(log).map_err(plain)?;
    let started = Instant::now();
    world.rescan().map_err(plain)?;
    let took = started.elapsed().as_secs_f64();
    let seen = seen(&tail.read().map_err(plain)?, world.ns)?;
    Ok(vec![
        figure("unchanged rescan: Finding writes", number(seen.writes + seen.refused), "", Some(0.0)),
        figure("unchanged rescan: evaluation's Job to Estate's status", seen.whole, "s", None),
        figure("unchanged rescan: request to evaluated", took, "s", None),
    ])
}

/// Waits until the estate is evaluated, telling how far it is; gives how many findings it has.
fn evaluated(world: &World) -> Result<u64> {
    let mut said = 0;
    let counts = eventually("the evaluation", PATIENCE, || {
        let estate = world.kubectl.find(world.ns, "estates.securityv0.com", "default")?.unwrap_or_default();
        if estate["status"]["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty()) {
            return Ok(estate["status"]["counts"]["bySeverity"].clone());
        }
        let raw = format!("/apis/securityv0.com/v1alpha1/namespaces/{}/findings?limit=1", world.ns);
        let list: Value = serde_json::from_str(&world.kubectl.run(&["get", "--raw", &raw])?)?;
        let thousands = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0) / 1000;
        if thousands > said {
            said = thousands;
            note(&format!("{} Findings so far", said * 1000));
        }
        Err("no evaluation yet".into())
    })
    .map_err(plain)
    .context("the tenant was not evaluated")?;
    Ok(counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum())
}

fn figure(name: &str, value: f64, unit: &'static str, goal: Option<f64>) -> Figure {
    Figure::new(BENCH, name, value, unit, goal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, who: &str, verb: &str, resource: &str, code: u16) -> Event {
        let estate = if who.contains("evaluate") { "a" } else { SYSTEM };
        Event {
            at: Timestamp::from_second(second).unwrap(),
            user: format!("system:serviceaccount:{SYSTEM}:{who}"),
            verb: verb.into(),
            resource: resource.into(),
            namespace: estate.into(),
            name: String::new(),
            code,
        }
    }

    #[test]
    fn only_the_evaluations_own_requests_count() {
        let events = [
            event(100, "manager", "create", "jobs", 201),
            event(103, "evaluate-a", "list", "findings", 200),
            event(104, "evaluate-a", "create", "findings", 201),
            event(105, "evaluate-a", "create", "findings", 201),
            event(105, "evaluate-a", "create", "findings", 409),
            event(105, "evaluate-a", "update", "findings", 200),
            event(106, "somebody", "delete", "findings", 200),
            event(109, "evaluate-a", "patch", "estates/status", 200),
        ];
        let expected = Seen { writes: 3, refused: 1, writing: 1.0, whole: 9.0, rush: 2 };
        assert_eq!(seen(&events, "a").unwrap(), expected);
        assert!(seen(&events[..7], "a").is_err(), "no status was written");
        assert!(seen(&events, "b").is_err(), "that is another estate");
    }
}
