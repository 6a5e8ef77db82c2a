//! Nine thousand findings and a limit of one thousand: which stand as resources, and where the others are.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::store::Store;
use sv0_e2e::{Result, World, eventually};

/// Enough for more than nine thousand findings.
const APPS: usize = 11_600;
const SEED: u64 = 7;
/// What the chart sets.
const LIMIT: usize = 1000;
const SEVERITIES: [&str; 5] = ["Critical", "High", "Medium", "Low", "Info"];
/// A bound against hanging: a thousand writes at the evaluation's own pace, on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(8);

fn by_severity(findings: &[Value]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for finding in findings {
        *all.entry(finding["spec"]["severity"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    all
}

fn number(value: &Value) -> Result<usize> {
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| format!("not a number: {value}").into())
}

/// Findings in the pack that the Estate names, as (all that hold for themselves, those of them that are kept).
fn in_pack(world: &World, estate: &Value) -> Result<(usize, usize)> {
    let digest = estate["status"]["packDigest"].as_str().and_then(|d| d.strip_prefix("sha256:")).ok_or("no pack")?;
    let audience = sv0_protocol::store::reader_audience(world.ns);
    let reader = format!("reader-{}", world.ns);
    let token = world.kubectl.run(&["create", "token", &reader, "-n", SYSTEM, "--audience", &audience])?;
    let pack = Store::open(world)?.get(&sv0_protocol::store::pack_path(world.ns, digest), token.trim())?;
    let pack = sv0_engine::pack_reader::Pack::read(&pack)?;
    let standing = pack.findings.values().filter(|finding| !finding.line.contains_key("foldedUnder"));
    Ok((standing.clone().count(), standing.filter(|finding| finding.kept).count()))
}

#[test]
fn the_most_severe_stand_as_resources_and_the_pack_holds_all() -> Result<()> {
    let world = World::clean()?;
    let (tenant, client) = world.vendor.generate(APPS, SEED)?;
    world.secret(&tenant, sv0_estate::generate::SECRET)?;
    let mut instance = world.instance(&json!({"clientSecret": {"secretName": "sv0-entra"}}));
    instance["spec"]["entra"]["tenantId"] = json!(tenant);
    instance["spec"]["entra"]["clientId"] = json!(client);
    world.kubectl.apply(&instance.to_string())?;
    let estate = eventually("an evaluation", PATIENCE, || {
        let estate = world.kubectl.find(world.ns, "estate", "default")?.ok_or("no Estate yet")?;
        match estate["status"]["conditions"].to_string() {
            conditions if conditions.contains("LimitReached") => Ok(estate),
            other => Err(other.into()),
        }
    })?;
    let counts = &estate["status"]["counts"];
    let findings = world.findings()?;
    assert_eq!(findings.len(), LIMIT, "{counts}");

    let seen = by_severity(&findings);
    let (mut all, mut cut) = (0, false);
    for severity in SEVERITIES {
        let key = severity.to_lowercase();
        let (total, kept) = (number(&counts["bySeverity"][&key])?, number(&counts["keptBySeverity"][&key])?);
        assert_eq!(seen.get(severity).copied().unwrap_or_default(), kept, "{severity}: {counts}");
        assert!(!cut || kept == 0, "{severity} is kept although something graver was cut off: {counts}");
        cut |= kept < total;
        all += total;
    }
    assert!(all > 9000, "only {all} findings: {counts}");
    assert_eq!(all, LIMIT + number(&counts["truncated"])?, "{counts}");
    assert_eq!(in_pack(&world, &estate)?, (all, LIMIT));

    // A second scan of the same tenant writes none of them again.
    let versions = |findings: &[Value]| -> Vec<String> {
        findings.iter().map(|finding| finding["metadata"]["resourceVersion"].to_string()).collect()
    };
    let before = world.findings()?;
    world.rescan()?;
    assert_eq!(versions(&world.findings()?), versions(&before));
    Ok(())
}
