//! What an estate file plants, compared with what stands in the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Result, World};

/// What is expected and what stands, in the same form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: String,
    subject: String,
    severity: String,
    narrower: bool,
    /// The subject of the finding that tells this one. None of what stands for itself.
    inside: Option<String>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A row of what is expected.
fn wanted(row: &Value) -> Key {
    Key {
        rule: text(&row["rule"]),
        subject: text(&row["subject"]),
        severity: text(&row["severity"]).to_lowercase(),
        narrower: row["narrower"] == true,
        inside: row["inside"].as_str().map(str::to_owned),
    }
}

/// What a Finding says: itself, and the findings that it tells as a whole. A part about its own subject carries no name, one
/// about somebody else a name and no id: `named` gives the id of a name that is expected inside a finding about a subject.
fn keys(finding: &Value, named: &BTreeMap<(String, String), String>) -> Vec<Key> {
    let spec = &finding["spec"];
    let lead = text(&spec["subject"]["id"]).rsplit(':').next().unwrap_or_default().to_owned();
    let key = |rule: &Value, severity: &Value, claim: &Value, subject: String, inside: Option<String>| Key {
        rule: text(rule),
        inside,
        subject,
        severity: text(severity).to_lowercase(),
        narrower: *claim == "Narrower",
    };
    let own = key(&spec["rule"]["id"], &spec["severity"], &spec["rule"]["claim"], lead.clone(), None);
    let parts = spec["consistsOf"].as_array().cloned().unwrap_or_default();
    let parts = parts.iter().map(|part| {
        let other = part["subject"].as_str().map(|name| {
            let id = named.get(&(lead.clone(), name.to_owned())).cloned();
            id.unwrap_or_else(|| name.to_owned())
        });
        let subject = other.unwrap_or_else(|| lead.clone());
        key(&part["rule"], &part["severity"], &part["claim"], subject, Some(lead.clone()))
    });
    [own].into_iter().chain(parts).collect()
}

/// Fails unless the open Findings are exactly those that the loaded estate file expects, each told where it says, and none of its look-alikes.
pub fn exactly(world: &World) -> Result<()> {
    let expected = world.vendor.expectations()?;
    let rows = |name: &str| expected[name].as_array().cloned().unwrap_or_default();
    let wanted: BTreeSet<Key> = rows("findings").iter().map(wanted).collect();
    let inside = |row: &Value| ((text(&row["inside"]), text(&row["subjectName"])), text(&row["subject"]));
    let named = rows("findings").iter().filter(|row| row["inside"].is_string()).map(inside).collect();
    if wanted.is_empty() {
        return Err("the estate file expects nothing".into());
    }
    let open = |finding: &&Value| finding["spec"]["state"] == "Open";
    let seen: BTreeSet<Key> = world.findings()?.iter().filter(open).flat_map(|finding| keys(finding, &named)).collect();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    let extra: Vec<_> = seen.difference(&wanted).collect();
    if !missing.is_empty() || !extra.is_empty() {
        return Err(format!("missing: {missing:#?}\nnot expected: {extra:#?}").into());
    }
    for near_miss in rows("nearMisses") {
        let (rule, subject) = (text(&near_miss["rule"]), text(&near_miss["subject"]));
        if seen.iter().any(|k| k.rule == rule && k.subject == subject) {
            return Err(format!("a look-alike is reported: {near_miss}").into());
        }
    }
    Ok(())
}
