//! What an estate file plants, compared with what stands in the cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Result, World};

/// Rule, object, severity, and whether the claim is the narrower one.
type Key = (String, String, String, bool);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a Finding says: itself, and the findings that it tells as a whole.
fn keys(finding: &Value) -> Vec<Key> {
    let spec = &finding["spec"];
    let subject = text(&spec["subject"]["id"]).rsplit(':').next().unwrap_or_default().to_owned();
    let key = |rule: &Value, severity: &Value, claim: &Value| {
        (text(rule), subject.clone(), text(severity).to_lowercase(), *claim == "Narrower")
    };
    let own = key(&spec["rule"]["id"], &spec["severity"], &spec["rule"]["claim"]);
    let parts = spec["consistsOf"].as_array().cloned().unwrap_or_default();
    let parts = parts.iter().map(|part| key(&part["rule"], &part["severity"], &part["claim"]));
    [own].into_iter().chain(parts).collect()
}

/// Fails unless the open Findings are exactly those that the loaded estate file expects, and none of its look-alikes.
pub fn exactly(world: &World) -> Result<()> {
    let expected = world.vendor.expectations()?;
    let rows = |name: &str| expected[name].as_array().cloned().unwrap_or_default();
    let wanted: BTreeSet<Key> = rows("findings")
        .iter()
        .map(|e| (text(&e["rule"]), text(&e["subject"]), text(&e["severity"]).to_lowercase(), e["narrower"] == true))
        .collect();
    if wanted.is_empty() {
        return Err("the estate file expects nothing".into());
    }
    let open = |finding: &&Value| finding["spec"]["state"] == "Open";
    let seen: BTreeSet<Key> = world.findings()?.iter().filter(open).flat_map(keys).collect();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    let extra: Vec<_> = seen.difference(&wanted).collect();
    if !missing.is_empty() || !extra.is_empty() {
        return Err(format!("missing: {missing:#?}\nnot expected: {extra:#?}").into());
    }
    for near_miss in rows("nearMisses") {
        let (rule, subject) = (text(&near_miss["rule"]), text(&near_miss["subject"]));
        if seen.iter().any(|k| k.0 == rule && k.1 == subject) {
            return Err(format!("a look-alike is reported: {near_miss}").into());
        }
    }
    Ok(())
}
