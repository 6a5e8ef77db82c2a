//! SARIF 2.1.0: one run of the rules. Open findings are results, accepted ones are results with a suppression; resolved
//! ones are left out, which is how a reader of SARIF learns that something is gone. Coverage gaps are notifications. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sv0_api::{EstateGap, FindingState, Severity};
use sv0_rules::Meta;

use super::{acceptance, narrowed, object, status};
use crate::gap;
use crate::report::chains::{Step, phrase, steps};
use crate::report::input::{Found, Held};
use crate::report::text::clean;
use crate::report::words;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The key under which a finding's identity stands; the number changes when identity is made in another way.
const FINGERPRINT: &str = "securityv0Finding/v1";

/// The log.
pub fn log(held: &Held) -> Value {
    let told: Vec<&Found> = held.findings.iter().filter(|found| !found.is(FindingState::Resolved)).collect();
    let rules = rules(&told);
    let index: BTreeMap<&str, usize> = rules.keys().copied().enumerate().map(|(index, id)| (id, index)).collect();
    let results: Vec<Value> = told.iter().map(|found| result(held, found, &index)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "SecurityV0",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("securityv0/{}/", held.namespace) },
            "invocations": [invocation(held)],
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": properties(held),
        }],
    })
}

fn properties(held: &Held) -> Value {
    let status = status(held);
    let text = |text: Option<&String>| text.map(|text| json!(clean(text)));
    object([
        ("estate", Some(json!(held.namespace))),
        ("asOf", status.and_then(|status| status.as_of.as_ref()).map(|as_of| json!(as_of.0.to_string()))),
        ("rulePack", text(status.and_then(|status| status.rule_pack.as_ref()))),
        ("packDigest", text(status.and_then(|status| status.pack_digest.as_ref()))),
        ("findingsInPackOnly", status.and_then(|status| status.counts.as_ref()).map(|counts| json!(counts.truncated))),
    ])
}

/// The evaluation. It succeeded unless the Estate says otherwise; what it could not see stands as notifications.
fn invocation(held: &Held) -> Value {
    let status = status(held);
    let failed =
        status.and_then(|status| sv0_api::conditions::find(&status.conditions, sv0_api::conditions::EVALUATED));
    let failed = failed.is_some_and(|condition| condition.status == sv0_api::conditions::FALSE);
    let gaps: Vec<Value> = status.into_iter().flat_map(|status| &status.coverage_gaps).map(notification).collect();
    object([
        ("executionSuccessful", Some(json!(!failed))),
        ("endTimeUtc", status.and_then(|status| status.as_of.as_ref()).map(|as_of| json!(as_of.0.to_string()))),
        ("toolExecutionNotifications", Some(json!(gaps))),
    ])
}

fn notification(gap: &EstateGap) -> Value {
    let text = format!("{} Nothing was concluded from what is absent there.", gap::line(gap));
    let level = if gap::failed(gap) { "warning" } else { "note" };
    json!({ "level": level, "message": message(&text), "descriptor": { "id": format!("coverage/{}", clean(&gap.state)) } })
}

/// Rules with results, by id. One that this program does not know is told by its findings.
fn rules<'a>(told: &[&'a Found]) -> BTreeMap<&'a str, Value> {
    let mut rules = BTreeMap::new();
    for found in told {
        let id = found.spec.rule.id.as_str();
        rules.entry(id).or_insert_with(|| match sv0_rules::catalogue().find(|meta| meta.id == id) {
            Some(meta) => known(meta),
            None => json!({ "id": clean(id), "shortDescription": { "text": words::family(found.spec.family).1 } }),
        });
    }
    rules
}

fn known(meta: &Meta) -> Value {
    let steps: Vec<String> =
        meta.remediation.iter().enumerate().map(|(at, step)| format!("{}. {step}", at + 1)).collect();
    json!({
        "id": meta.id,
        "name": meta.category,
        "shortDescription": { "text": format!("{}.", meta.title) },
        "fullDescription": { "text": format!("{}. {}", meta.title, meta.why) },
        "help": {
            "text": format!("What to do:\n{}", steps.join("\n")),
            "markdown": format!("**What to do**\n\n{}", steps.join("\n")),
        },
        "properties": { "tags": meta.standards, "version": meta.version },
    })
}

fn result(held: &Held, found: &Found, index: &BTreeMap<&str, usize>) -> Value {
    let spec = &found.spec;
    let flow = steps(spec);
    let suppression = (spec.state == FindingState::Accepted).then(|| {
        let justification = acceptance(held, found).map(|text| json!(text));
        json!([object([
            ("kind", Some(json!("external"))),
            ("status", Some(json!("accepted"))),
            ("justification", justification)
        ])])
    });
    let mut says = vec![format!("{}.", clean(&spec.title)), clean(&spec.why)];
    says.extend(narrowed(found));
    object([
        ("ruleId", Some(json!(clean(&spec.rule.id)))),
        ("ruleIndex", index.get(spec.rule.id.as_str()).map(|index| json!(index))),
        ("kind", Some(json!("fail"))),
        ("level", Some(json!(level(spec.severity)))),
        ("message", Some(message(&says.join(" ")))),
        (
            "locations",
            Some(json!([{ "logicalLocations": [{
            "name": clean(&spec.subject.name),
            "fullyQualifiedName": clean(&found.subject()),
            "kind": clean(&spec.subject.kind),
        }] }])),
        ),
        ("codeFlows", (!flow.is_empty()).then(|| json!([{ "threadFlows": [{ "locations": thread(&flow) }] }]))),
        ("partialFingerprints", Some(json!({ FINGERPRINT: clean(&found.name) }))),
        ("suppressions", suppression),
        (
            "properties",
            Some(json!({
                "severity": words::severity(spec.severity),
                "claim": spec.rule.claim,
                "consistsOf": super::parts(found),
                "family": spec.family,
                "accountable": spec.accountable.state,
                "firstObserved": spec.first_observed.0.to_string(),
                "evidence": spec.evidence.iter().map(|evidence| json!({
                    "class": evidence.class, "claim": clean(&evidence.claim), "api": clean(&evidence.source.api),
                    "field": clean(&evidence.source.field),
                })).collect::<Vec<_>>(),
            })),
        ),
    ])
}

/// SARIF has three levels; the word of ours stands in the properties.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// A message of plain text. The format gives braces and square brackets a meaning, placeholders and links: a name that
/// holds them must not become a link to elsewhere in the tool that shows it (2.1.0, 3.11.5 and 3.11.6).
fn message(text: &str) -> Value {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '{' | '}' => plain.extend([c, c]),
            '[' | ']' | '\\' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    json!({ "text": plain })
}

/// The path: its start, then where each step leads.
fn thread(steps: &[Step]) -> Vec<Value> {
    let place = |order: usize, name: &str, says: String| {
        json!({
            "executionOrder": order,
            "location": { "message": message(&says), "logicalLocations": [{ "fullyQualifiedName": clean(name) }] },
        })
    };
    let start = steps.first().map(|step| place(1, &step.from, format!("The path starts at {}.", clean(&step.from))));
    let hops = steps.iter().enumerate().map(|(at, step)| {
        let (from, to) = (clean(&step.from), clean(&step.to));
        let says = format!("{from} {} {to}; {} evidence.", phrase(step), words::class(step.class).0);
        place(at + 2, &step.to, says)
    });
    start.into_iter().chain(hops).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a name", "a name")]
    #[case("[approve](https://evil.example)", r"\[approve\](https://evil.example)")]
    #[case(r"\[a\](https://evil.example)", r"\\\[a\\\](https://evil.example)")]
    #[case("{0}", "{{0}}")]
    fn no_name_is_a_link_or_a_placeholder(#[case] text: &str, #[case] written: &str) {
        assert_eq!(message(text), json!({ "text": written }));
    }
}
