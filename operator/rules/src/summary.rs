//! Findings about a whole tenant that explain findings about its identities: takes what the rules found, gives at most
//! one finding for each tenant. Such a finding never stands alone: without an identity that can run unattended and has a
//! finding, there is nothing to explain.

use sv0_graph::{NodeIx, NodeKind, Tri};

use crate::assemble;
use crate::evidence::Proof;
use crate::finding::{Claim, Narrowed, RuleFinding, Severity, Weighed};
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
    /// Which of these findings it explains.
    pub(crate) counts: fn(&RuleFinding) -> bool,
    /// Whether and how it applies to a tenant with findings.
    pub(crate) check: fn(&Context<'_>, NodeIx, &[&RuleFinding]) -> Option<TenantDraft>,
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

/// Findings of all summaries. `found` is in the order of names.
pub(crate) fn run(context: &Context<'_>, found: &[RuleFinding]) -> Vec<RuleFinding> {
    let systems = context.graph.node_indexes().filter(|ix| context.graph.node(*ix).kind == NodeKind::System);
    let systems: Vec<NodeIx> = systems.filter(|ix| !context.graph.node(*ix).asserted_by.is_empty()).collect();
    let mut all = Vec::new();
    for summary in SUMMARIES {
        for ix in &systems {
            let told = told(context, *ix, summary, found);
            let draft = if told.is_empty() { None } else { (summary.check)(context, *ix, &told) };
            all.extend(draft.map(|draft| assemble::of_tenant(context, *ix, &summary.meta, draft, &told)));
        }
    }
    all
}

/// The findings that `summary` explains in the tenant at `ix`: the most severe first, then by name.
fn told<'f>(context: &Context<'_>, ix: NodeIx, summary: &Summary, found: &'f [RuleFinding]) -> Vec<&'f RuleFinding> {
    let id = &context.graph.node(ix).id;
    let here = |finding: &&RuleFinding| {
        finding.subject.system == id.system()
            && finding.subject.tenant == id.tenant()
            && summary.explains.contains(&finding.rule.id.as_str())
            && (summary.counts)(finding)
    };
    let mut told: Vec<&RuleFinding> = found.iter().filter(here).collect();
    told.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    told
}

/// As severe as the most severe of what it explains would be under its own exposure.
pub(crate) fn heaviest(exposure: Exposure, told: &[&RuleFinding]) -> (Severity, Weighed) {
    let weigh = |finding: &&RuleFinding| {
        let weighed = Weighed { exposure, ..finding.weighed };
        (severity(weighed.tier, exposure, weighed.sensitive.into(), Claim::Full, Tri::False), weighed)
    };
    let nothing = (Severity::Info, Weighed { tier: Tier::P4, exposure, sensitive: false });
    // The first of equals: what is told is in the order of severity, then of names.
    told.iter().map(weigh).rev().max_by_key(|(severity, _)| *severity).unwrap_or(nothing)
}
