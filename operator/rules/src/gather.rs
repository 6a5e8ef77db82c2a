//! One thing behind many findings: takes what the rules found, gives the same with, for each group or identity that several
//! of them hold through, one finding about that.
//!
//! A hundred automations that hold the tenant through one group are one problem with a hundred consequences. The finding
//! about the group says so and says what to take away; the hundred name it, and an evaluation tells them inside it as far
//! as they are no more severe and as open. Its name comes of the rule and of the group alone, never of who is behind it: it
//! is the same finding whoever comes and goes. Where the thing has a finding of the rule already, since it runs unattended
//! itself, that is the one.
//!
//! Gathered are claims about authority itself, and not those about credentials, owners or use of identities that are
//! strong: each of these is mended where it is found, whoever else is as strong by the same way.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_graph::{Graph, NodeIx};

use crate::assemble::{self, REMEDIATION};
use crate::authority::{self, Authority};
use crate::composed;
use crate::derive::Through;
use crate::evidence::Proof;
use crate::finding::{Accountable, AccountableState, Claim, RuleFinding, RuleRef};
use crate::identity::{self, is_identity};
use crate::rule::{Context, Meta};
use crate::rules::UNB_001;
use crate::severity::{Exposure, Tier};
use crate::summary;

/// Findings through one thing from which they are told as one.
pub const GATHERED_FROM: usize = 3;

/// Most findings that are named as evidence.
const NAMED: usize = 100;
/// Most things to take away that are named.
const STEPS: usize = 3;

/// The rule whose full claim is that something holds the whole tenant: the ways to it are what is known here.
const META: &Meta = UNB_001;

/// What decides who gathers whom, as one line: part of what names the rules.
pub(crate) fn line() -> String {
    format!("{}>={GATHERED_FROM}", META.id)
}

/// Names in each finding through which it holds what that is, and adds the findings about those. `found` is in the order of
/// names, before and after. Returns the next instant at which time alone may change what holds through what: a way that
/// ends may have been the one around.
pub(crate) fn run(context: &Context<'_>, found: &mut Vec<RuleFinding>) -> Option<Timestamp> {
    let claims = |finding: &RuleFinding| finding.rule.id == META.id && finding.rule.claim == Claim::Full;
    let positions: Vec<usize> = (0..found.len()).filter(|at| found.get(*at).is_some_and(claims)).collect();
    if positions.is_empty() {
        return None;
    }
    let behind = behind(context, found, &positions);
    let mut added = Vec::new();
    for (gate, members) in &behind {
        let id = context.graph.node(*gate).id.to_string();
        let name = assemble::name(META, &id, "");
        for at in members {
            if let Some(member) = found.get_mut(*at) {
                member.through = Some(name.clone());
            }
        }
        if members.len() < GATHERED_FROM {
            continue;
        }
        if let Ok(at) = found.binary_search_by(|finding| finding.name.cmp(&name)) {
            extend(context, *gate, members.len(), found.get_mut(at));
        } else {
            let told: Vec<&RuleFinding> = members.iter().filter_map(|at| found.get(*at)).collect();
            added.extend(of_gate(context, *gate, &told));
        }
    }
    found.extend(added);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    context.around.routes().changes()
}

/// By what they hold through, the positions of those of `found`. In the order of the graph.
fn behind(context: &Context<'_>, found: &[RuleFinding], positions: &[usize]) -> BTreeMap<NodeIx, Vec<usize>> {
    let graph = context.graph;
    let about = |at: &usize| Some((found.get(*at)?.subject.id.as_str(), *at));
    let about: BTreeMap<&str, usize> = positions.iter().filter_map(about).collect();
    let identities: Vec<NodeIx> =
        graph.node_indexes().filter(|ix| about.contains_key(graph.node(*ix).id.as_str())).collect();
    let mut behind: BTreeMap<NodeIx, Vec<usize>> = BTreeMap::new();
    for (identity, gate) in context.around.routes().gates(graph, &identities) {
        behind.entry(gate).or_default().extend(about.get(graph.node(identity).id.as_str()));
    }
    for members in behind.values_mut() {
        members.sort_unstable();
    }
    behind
}

/// Adds to the finding about the gate itself how many more hold through it.
fn extend(context: &Context<'_>, gate: NodeIx, count: usize, own: Option<&mut RuleFinding>) {
    let Some(own) = own else { return };
    own.title = format!("{}; {count} identities hold the tenant through it", own.title);
    own.why = format!(
        "{} {count} more identities that can run unattended have this and no other way to the tenant that was seen.",
        own.why
    );
    // What cuts its own ways is what cuts theirs: of what no longer fits, the last says that much less.
    let advice = std::mem::take(&mut own.remediation);
    own.remediation = ends(context, gate, count).into_iter().chain(advice).take(REMEDIATION).collect();
}

/// The finding about a gate that has none of its own: a group, or what cannot run by itself.
fn of_gate(context: &Context<'_>, gate: NodeIx, told: &[&RuleFinding]) -> Option<RuleFinding> {
    let graph = context.graph;
    let authority = authority::of(graph, gate, context.as_of, (&context.around, Through::Anything));
    if authority.tier != Tier::P0 {
        return None;
    }
    let node = graph.node(gate);
    let label = assemble::label(graph, gate);
    let count = told.len();
    let mut subject = assemble::subject(context, node, assemble::own_name(node));
    if let (true, Some(first)) = (node.asserted_by.is_empty(), told.first()) {
        // Known only by what refers to it: whoever saw that saw it.
        subject.instance.clone_from(&first.subject.instance);
        subject.instance_uid.clone_from(&first.subject.instance_uid);
    }
    let (severity, weighed) = summary::heaviest(Exposure::X1, told);
    let proofs = proofs(graph, &authority, told);
    let mut depends_on = assemble::dependencies(context, node, &proofs, META);
    depends_on.extend(told.iter().flat_map(|told| told.depends_on.iter().cloned()));
    let why = format!(
        "{}. {count} identities that can run unattended have this and no other way to the tenant that was seen. Whoever gets \
         hold of one of them has everything, and no person is asked.",
        assemble::holds(graph, &authority)
    );
    let (evidence, path) = assemble::numbered(proofs, assemble::reached(graph, &label, &authority));
    let general = META.remediation.iter().map(|step| (*step).to_owned());
    Some(RuleFinding {
        name: assemble::name(META, &subject.id, ""),
        rule: RuleRef { id: META.id.to_owned(), version: META.version.to_owned(), claim: Claim::Full },
        family: META.family,
        category: META.category.to_owned(),
        severity,
        severity_rank: severity.rank(),
        weighed,
        title: format!("{count} identities that can run unattended hold the whole tenant through the {label}"),
        why,
        subject,
        accountable: accountable(context, gate),
        path,
        evidence,
        narrowed: Vec::new(),
        remediation: ends(context, gate, count).into_iter().chain(general).take(REMEDIATION).collect(),
        standards: META.standards.iter().map(|standard| (*standard).to_owned()).collect(),
        depends_on,
        through: None,
        tells: BTreeSet::new(),
    })
}

/// What the gate holds, then of each finding behind it what that rests on most, under its name.
fn proofs(graph: &Graph, authority: &Authority<'_>, told: &[&RuleFinding]) -> Vec<Proof> {
    let grants = authority.decisive.iter().flat_map(|grant| assemble::grant_proofs(graph, "It", grant));
    let composition =
        authority.compositions().flat_map(|composition| composed::proofs(graph, composition, &authority.decisive));
    let named = told.iter().take(NAMED).filter_map(|told| {
        let mut evidence = told.evidence.first()?.clone();
        evidence.claim = format!("{} of \"{}\": {}", told.rule.id, told.subject.name, evidence.claim);
        Some(Proof { evidence, dependency: None, mark: None })
    });
    grants.chain(composition).chain(named).collect()
}

/// `Take Global Administrator from the group "robots": no way to the tenant that was seen is left to any of these 12.`
fn ends(context: &Context<'_>, gate: NodeIx, count: usize) -> Option<String> {
    let graph = context.graph;
    let mut steps: Vec<String> = Vec::new();
    for edge in context.around.routes().steps_of(gate) {
        let step = composed::step(graph, edge);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    let more = steps.len().saturating_sub(STEPS);
    steps.truncate(STEPS);
    let (first, others) = steps.split_first()?;
    let tail = format!("no way to the tenant that was seen is left to any of these {count}.");
    if more > 0 {
        let label = assemble::label(graph, gate);
        return Some(format!("Take from the {label} all {} by which it has the tenant: {tail}", more + STEPS));
    }
    let rest: Vec<String> = others.iter().map(|step| format!(", and {}", uncapital(step))).collect();
    Some(format!("{first}{}: {tail}", rest.concat()))
}

fn uncapital(step: &str) -> String {
    step.strip_prefix("Take").map_or_else(|| step.to_owned(), |rest| format!("take{rest}"))
}

fn accountable(context: &Context<'_>, gate: NodeIx) -> Accountable {
    if is_identity(context.graph.node(gate)) {
        let trusted = &context.config.trusted_tenants;
        let identity = identity::resolve(context.graph, gate, trusted, context.as_of, &context.around);
        return identity.owners.accountable(context.graph);
    }
    Accountable {
        state: AccountableState::Unknown,
        parties: Vec::new(),
        total: 0,
        reason: Some("Who answers for a group is not collected.".to_owned()),
    }
}
