//! `OpenReports` v1alpha1: one Report of the estate.
//!
//! | Here | There |
//! |---|---|
//! | open, full claim | `fail` |
//! | open, narrower claim | `warn` |
//! | accepted | `skip`: it holds, and somebody decided not to count it for a while |
//! | resolved | `pass`: the rule was applied to this subject over complete scans and no longer speaks |
//! | coverage gap | `error`; `skip` when nothing failed: it was not asked for, or had nothing to be compared with |
//!
//! A subject without a Finding is in no result: what was not seen is not passed. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sv0_api::{Claim, ESTATE_NAME, EstateGap, FindingState};

use super::{acceptance, narrowed, object, status};
use crate::gap;
use crate::report::input::{Found, Held};
use crate::report::text::{clean, day};
use crate::report::words;

const SOURCE: &str = "securityv0";
const API: &str = "securityv0.com/v1alpha1";

/// The Report.
pub fn report(held: &Held) -> Value {
    let findings = held.findings.iter().map(|found| result(held, found));
    let gaps = status(held).into_iter().flat_map(|status| &status.coverage_gaps).map(|gap| gap_result(held, gap));
    let results: Vec<Value> = findings.chain(gaps).collect();
    let mut summary = BTreeMap::from(["error", "fail", "pass", "skip", "warn"].map(|word| (word, 0)));
    for result in &results {
        if let Some(count) = result.get("result").and_then(Value::as_str).and_then(|word| summary.get_mut(word)) {
            *count += 1;
        }
    }
    json!({
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report",
        "metadata": { "name": SOURCE, "namespace": held.namespace },
        "source": SOURCE,
        "scope": { "apiVersion": API, "kind": "Estate", "name": ESTATE_NAME, "namespace": held.namespace },
        "summary": summary,
        "results": results,
    })
}

fn outcome(found: &Found) -> &'static str {
    match (found.spec.state, found.spec.rule.claim) {
        (FindingState::Open, Claim::Full) => "fail",
        (FindingState::Open, Claim::Narrower) => "warn",
        (FindingState::Accepted, _) => "skip",
        (FindingState::Resolved, _) => "pass",
    }
}

fn result(held: &Held, found: &Found) -> Value {
    let spec = &found.spec;
    let mut message = match spec.state {
        FindingState::Resolved => vec![format!("No longer so, as complete scans proved: {}.", clean(&spec.title))],
        _ => vec![format!("{}.", clean(&spec.title)), clean(&spec.why)],
    };
    message.extend(narrowed(found));
    message.extend(acceptance(held, found));
    object([
        ("source", Some(json!(SOURCE))),
        ("policy", Some(json!(words::family(spec.family).0))),
        ("rule", Some(json!(clean(&spec.rule.id)))),
        ("category", Some(json!(clean(&spec.category)))),
        ("severity", Some(json!(words::severity(spec.severity).to_lowercase()))),
        ("result", Some(json!(outcome(found)))),
        ("scored", Some(json!(spec.state == FindingState::Open && spec.rule.claim == Claim::Full))),
        ("timestamp", timestamp(held)),
        ("message", Some(json!(message.join(" ")))),
        (
            "resources",
            Some(
                json!([{ "apiVersion": API, "kind": "Finding", "name": clean(&found.name), "namespace": held.namespace }]),
            ),
        ),
        (
            "properties",
            Some(json!({
                "subject": clean(&found.subject()),
                "subjectName": clean(&spec.subject.name),
                "state": words::state(spec.state).0,
                "accountable": words::accountable(spec.accountable.state).0,
                "ruleVersion": clean(&spec.rule.version),
                "firstObserved": day(&spec.first_observed),
                "remediation": spec.remediation.iter().map(|step| clean(step)).collect::<Vec<_>>().join(" "),
            })),
        ),
    ])
}

fn gap_result(held: &Held, gap: &EstateGap) -> Value {
    let what = if gap.collection.is_empty() { "all collections".to_owned() } else { clean(&gap.collection) };
    object([
        ("source", Some(json!(SOURCE))),
        ("policy", Some(json!("Coverage"))),
        ("rule", Some(json!(what))),
        ("result", Some(json!(if gap::failed(gap) { "error" } else { "skip" }))),
        ("scored", Some(json!(false))),
        ("timestamp", timestamp(held)),
        ("message", Some(json!(gap::line(gap)))),
        ("properties", gap.permission.as_deref().map(|permission| json!({ "permission": clean(permission) }))),
    ])
}

/// The evaluation's instant; a Report has no place for "not known".
fn timestamp(held: &Held) -> Option<Value> {
    let as_of = status(held)?.as_of.as_ref()?.0;
    Some(json!({ "seconds": as_of.as_second(), "nanos": as_of.subsec_nanosecond() }))
}
