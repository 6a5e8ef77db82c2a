//! Findings about a whole tenant that explain findings about its identities: takes what the rules found, gives at most
//! one finding for each tenant. Such a finding never stands alone: without an identity that can run unattended and has a
//! finding, there is nothing to explain.

use std::collections::BTreeMap;

use sv0_graph::{NodeIx, NodeKind, Tri};

use crate::assemble;
use crate::evidence::Proof;
use crate::finding::{Claim, Narrowed, RuleFinding, Severity};
use crate::rule::{Context, Meta};
use crate::rules::SUMMARIES;
use crate::severity::{Exposure, Tier, severity};

/// A rule about a tenant: its metadata, which rules' findings it explains, and its predicate.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// What people and the catalogue know of it.
    pub meta: Meta,
    /// Ids of the rules whose findings it explains.
    pub explains: &'static [&'static str],
    /// Whether and how it applies to a tenant with findings.
    pub(crate) check: fn(&Context<'_>, NodeIx, &[Told<'_>]) -> Option<TenantDraft>,
}

/// What decides the severity of a finding beside its rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight {
    pub(crate) tier: Tier,
    pub(crate) sensitive: Tri,
}

/// A finding about an identity of the tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'f> {
    pub(crate) finding: &'f RuleFinding,
    pub(crate) weight: Weight,
}

/// What a predicate about a tenant says when it applies.
#[derive(Clone, Debug)]
pub(crate) struct TenantDraft {
    pub(crate) exposure: Exposure,
    pub(crate) title: String,
    pub(crate) why: String,
    /// Most important first.
    pub(crate) proofs: Vec<Proof>,
    pub(crate) narrowed: Vec<Narrowed>,
}

/// Findings of all summaries. `found` is in the order of names; `weights` are by name.
pub(crate) fn run(
    context: &Context<'_>,
    found: &[RuleFinding],
    weights: &BTreeMap<String, Weight>,
) -> Vec<RuleFinding> {
    let systems = context.graph.node_indexes().filter(|ix| context.graph.node(*ix).kind == NodeKind::System);
    let systems: Vec<NodeIx> = systems.filter(|ix| !context.graph.node(*ix).asserted_by.is_empty()).collect();
    let mut all = Vec::new();
    for summary in SUMMARIES {
        for ix in &systems {
            let told = told(context, *ix, summary, found, weights);
            let draft = if told.is_empty() { None } else { (summary.check)(context, *ix, &told) };
            all.extend(draft.map(|draft| assemble::of_tenant(context, *ix, &summary.meta, draft, &told)));
        }
    }
    all
}

/// The findings that `summary` explains in the tenant at `ix`: the most severe first, then by name.
fn told<'f>(
    context: &Context<'_>,
    ix: NodeIx,
    summary: &Summary,
    found: &'f [RuleFinding],
    weights: &BTreeMap<String, Weight>,
) -> Vec<Told<'f>> {
    let id = &context.graph.node(ix).id;
    let here = |finding: &&RuleFinding| {
        finding.subject.system == id.system()
            && finding.subject.tenant == id.tenant()
            && summary.explains.contains(&finding.rule.id.as_str())
    };
    let mut told: Vec<Told<'f>> = found
        .iter()
        .filter(here)
        .filter_map(|finding| Some(Told { finding, weight: *weights.get(&finding.name)? }))
        .collect();
    told.sort_by_key(|told| std::cmp::Reverse(told.finding.severity));
    told
}

/// As severe as the most severe of what it explains would be under its own exposure.
pub(crate) fn heaviest(exposure: Exposure, told: &[Told<'_>]) -> Severity {
    let weigh = |told: &Told<'_>| severity(told.weight.tier, exposure, told.weight.sensitive, Claim::Full, Tri::False);
    told.iter().map(weigh).max().unwrap_or(Severity::Info)
}
