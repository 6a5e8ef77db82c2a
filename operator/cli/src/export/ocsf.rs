//! OCSF 1.8.0: each Finding as one Detection Finding event (class 2004), which is the class that has evidence; each coverage
//! gap, and an evaluation that failed, as one Application Error event (class 6008), so that who reads the events alone does
//! not take what was not seen for sound. Where the schema has no word of ours, the event says `Other` with our word, and the
//! rest stands under `unmapped`. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_api::{EstateGap, EstateStatus, Evidence, FindingState, Severity, conditions};

use super::{acceptance, narrowed, object, status};
use crate::gap;
use crate::report::chains::{Step, steps};
use crate::report::input::{Found, Held};
use crate::report::text::clean;
use crate::report::words;
use crate::route;

/// The schema's version.
pub const VERSION: &str = "1.8.0";
/// Detection Finding in the category Findings.
const CLASS: u32 = 2004;
const CATEGORY: u32 = 2;
/// Application Error in the category Application Activity.
const ERROR_CLASS: u32 = 6008;
const ERROR_CATEGORY: u32 = 6;
/// An analytic that is a rule.
const ANALYTIC_RULE: u32 = 1;
/// Something that the schema has no number for.
const OTHER: u32 = 99;

/// All events: the Findings, then what limits them.
pub fn events(held: &Held) -> Vec<Value> {
    let findings = held.findings.iter().map(|found| event(held, found));
    findings.chain(status(held).into_iter().flat_map(|status| limits(held, status))).collect()
}

/// What was not seen, and whether the last evaluation came to an end.
fn limits(held: &Held, status: &EstateStatus) -> Vec<Value> {
    let Some(as_of) = status.as_of.as_ref().map(|as_of| as_of.0) else { return Vec::new() };
    let evaluated = conditions::find(&status.conditions, conditions::EVALUATED);
    let failed = evaluated.filter(|condition| condition.status == conditions::FALSE).map(|condition| {
        let says = format!("The last evaluation did not finish. {}", clean(&condition.message));
        error(held, as_of, (true, &says), (Some(&condition.reason), json!({ "estate": held.namespace })))
    });
    failed.into_iter().chain(status.coverage_gaps.iter().map(|gap| gap_event(held, as_of, gap))).collect()
}

fn gap_event(held: &Held, as_of: Timestamp, gap: &EstateGap) -> Value {
    let says = format!("{} Nothing was concluded from what is absent there.", gap::line(gap));
    let text = |text: &str| Some(json!(clean(text)));
    let unmapped = object([
        ("estate", Some(json!(held.namespace))),
        ("instance", text(&gap.instance)),
        ("collection", (!gap.collection.is_empty()).then(|| json!(clean(&gap.collection)))),
        ("state", text(&gap.state)),
        ("permission", gap.permission.as_deref().and_then(text)),
        ("costs", text(&gap::costs(gap))),
    ]);
    error(held, as_of, (gap::failed(gap), &says), (gap.reason.as_ref(), unmapped))
}

/// One event. How severe it is depends on what was not seen, and that is not known. What nobody asked for is no error: the
/// event says `Other`.
fn error(
    held: &Held,
    as_of: Timestamp,
    (failed, says): (bool, &str),
    (code, unmapped): (Option<&String>, Value),
) -> Value {
    let (activity, activity_name) = if failed { (1, "General Error") } else { (OTHER, "Not collected") };
    let (state_id, state) = if failed { (2, "Failure") } else { (OTHER, "Not collected") };
    object([
        ("activity_id", Some(json!(activity))),
        ("activity_name", Some(json!(activity_name))),
        ("category_uid", Some(json!(ERROR_CATEGORY))),
        ("category_name", Some(json!("Application Activity"))),
        ("class_uid", Some(json!(ERROR_CLASS))),
        ("class_name", Some(json!("Application Error"))),
        ("type_uid", Some(json!(ERROR_CLASS * 100 + activity))),
        ("type_name", Some(json!(format!("Application Error: {activity_name}")))),
        ("time", Some(json!(as_of.as_millisecond()))),
        ("severity_id", Some(json!(0))),
        ("severity", Some(json!("Unknown"))),
        ("status_id", Some(json!(state_id))),
        ("status", Some(json!(state))),
        ("status_code", code.map(|code| json!(clean(code)))),
        ("message", Some(json!(clean(says)))),
        ("metadata", Some(metadata(held))),
        ("unmapped", Some(unmapped)),
    ])
}

/// The event of one Finding.
fn event(held: &Held, found: &Found) -> Value {
    let spec = &found.spec;
    let as_of = status(held).and_then(|status| status.as_of.as_ref()).map(|as_of| as_of.0);
    let first = spec.first_observed.0;
    let (activity, activity_name) = activity(spec.state, first, as_of);
    let (state_id, state) = state(spec.state);
    let mut detail = narrowed(found);
    detail.extend(acceptance(held, found));
    let remediation: Vec<String> = spec.remediation.iter().map(|step| clean(step)).collect();
    object([
        ("activity_id", Some(json!(activity))),
        ("activity_name", Some(json!(activity_name))),
        ("category_uid", Some(json!(CATEGORY))),
        ("category_name", Some(json!("Findings"))),
        ("class_uid", Some(json!(CLASS))),
        ("class_name", Some(json!("Detection Finding"))),
        ("type_uid", Some(json!(CLASS * 100 + activity))),
        ("type_name", Some(json!(format!("Detection Finding: {activity_name}")))),
        (
            "time",
            Some(json!(
                spec.resolved_at.as_ref().map_or(first, |at| at.0).max(as_of.unwrap_or(first)).as_millisecond()
            )),
        ),
        ("severity_id", Some(json!(severity(spec.severity)))),
        ("severity", Some(json!(severity_name(spec.severity)))),
        ("status_id", Some(json!(state_id))),
        ("status", Some(json!(state))),
        ("status_detail", (!detail.is_empty()).then(|| json!(detail.join(" ")))),
        ("message", Some(json!(clean(&spec.title)))),
        ("metadata", Some(metadata(held))),
        ("finding_info", Some(info(found))),
        (
            "evidences",
            (!spec.evidence.is_empty()).then(|| json!(spec.evidence.iter().map(evidence).collect::<Vec<_>>())),
        ),
        (
            "resources",
            Some(
                json!([{ "uid": clean(&found.subject()), "name": clean(&spec.subject.name), "type": clean(&spec.subject.kind) }]),
            ),
        ),
        ("remediation", (!remediation.is_empty()).then(|| json!({ "desc": remediation.join(" ") }))),
        ("unmapped", Some(unmapped(held, found))),
    ])
}

/// Created in this evaluation, known from before, or gone.
fn activity(state: FindingState, first: Timestamp, as_of: Option<Timestamp>) -> (u32, &'static str) {
    match state {
        FindingState::Resolved => (3, "Close"),
        _ if as_of.is_none_or(|as_of| as_of == first) => (1, "Create"),
        _ => (2, "Update"),
    }
}

/// `Suppressed` would say that it was found to be benign, and an accepted risk is not.
fn state(state: FindingState) -> (u32, &'static str) {
    match state {
        FindingState::Open => (1, "New"),
        FindingState::Resolved => (4, "Resolved"),
        FindingState::Accepted => (OTHER, "Accepted"),
    }
}

const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// The schema's caption of the number.
fn severity_name(severity: Severity) -> &'static str {
    if severity == Severity::Info { "Informational" } else { words::severity(severity) }
}

fn metadata(held: &Held) -> Value {
    let product = json!({ "name": "SecurityV0", "vendor_name": "SecurityV0", "version": env!("CARGO_PKG_VERSION") });
    json!({ "version": VERSION, "product": product, "tenant_uid": held.namespace })
}

fn info(found: &Found) -> Value {
    let spec = &found.spec;
    let flow = steps(spec);
    let first = spec.first_observed.0.as_millisecond();
    object([
        ("uid", Some(json!(clean(&found.name)))),
        ("title", Some(json!(clean(&spec.title)))),
        ("desc", Some(json!(clean(&spec.why)))),
        ("types", Some(json!([words::family(spec.family).0]))),
        ("created_time", Some(json!(first))),
        ("first_seen_time", Some(json!(first))),
        (
            "analytic",
            Some(json!({
                "uid": clean(&spec.rule.id), "name": clean(&spec.category), "version": clean(&spec.rule.version),
                "type_id": ANALYTIC_RULE, "type": "Rule", "category": words::family(spec.family).0,
            })),
        ),
        ("attack_graph", (!flow.is_empty()).then(|| graph(&flow))),
    ])
}

/// The path: its nodes in the order in which they are met, each once, and its hops between them.
fn graph(steps: &[Step]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for name in steps.iter().flat_map(|step| [step.from.as_str(), step.to.as_str()]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let uid = |name: &str| names.iter().position(|known| *known == name).unwrap_or_default().to_string();
    let node = |(at, name): (usize, &&str)| json!({ "uid": at.to_string(), "name": clean(name) });
    let nodes: Vec<Value> = names.iter().enumerate().map(node).collect();
    let edges: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let via = step.via.as_ref().map(|via| json!({ "via": clean(via), "class": step.class }));
            json!({
                "uid": at.to_string(), "name": route::edge_words(&step.edge), "relation": clean(&step.edge),
                "source": uid(&step.from), "target": uid(&step.to), "is_directed": true,
                "data": via.unwrap_or_else(|| json!({ "class": step.class })),
            })
        })
        .collect();
    json!({ "name": "Execution path", "is_directed": true, "nodes": nodes, "edges": edges })
}

fn evidence(evidence: &Evidence) -> Value {
    let source = &evidence.source;
    let text = |text: &Option<String>| text.as_deref().map(|text| json!(clean(text)));
    let data = object([
        ("class", Some(json!(evidence.class))),
        ("api", Some(json!(clean(&source.api)))),
        ("version", Some(json!(clean(&source.version)))),
        ("field", Some(json!(clean(&source.field)))),
        ("object", text(&source.object)),
        ("value", text(&evidence.value)),
    ]);
    json!({ "name": clean(&evidence.claim), "data": data })
}

fn unmapped(held: &Held, found: &Found) -> Value {
    let spec = &found.spec;
    let parties: Vec<Value> = spec
        .accountable
        .parties
        .iter()
        .map(|party| json!({ "id": clean(&party.id), "name": party.name.as_deref().map(clean), "state": clean(&party.state) }))
        .collect();
    json!({
        "estate": held.namespace,
        "claim": spec.rule.claim,
        "accountable": { "state": spec.accountable.state, "parties": parties, "total": spec.accountable.total },
        "standards": spec.standards.iter().map(|text| clean(text)).collect::<Vec<_>>(),
        "evidenceOmitted": spec.evidence_omitted,
        "consistsOf": super::parts(found),
    })
}
