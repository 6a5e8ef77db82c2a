//! Runs every rule over every identity: takes a graph, limits and the instant that stands for now; gives findings.
//!
//! A function: the same input gives the same output for any number of threads and any order of input. Identities are
//! independent of each other, so that each thread takes a range of them and the results are joined in order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sv0_graph::{EdgeKind, Graph, NodeIx, Tri, canonical};

use crate::assemble;
use crate::authority::earlier;
use crate::composite;
use crate::derive;
use crate::drift::{Baseline, Comparisons, DRIFT_RULES};
use crate::finding::{MAX_EVIDENCE, RuleFinding};
use crate::gather;
use crate::identity::{self, Identity};
use crate::instants;
use crate::memory::{self, Memory};
use crate::rule::{Context, Draft, Meta, Reach, RuleConfig, RuleStep};
use crate::rules::{RULES, SUMMARIES};
use crate::sensitive;
use crate::severity::Tier;
use crate::summary;
use crate::tiers;

/// Facts that a rule found and that are no Finding: nothing runs, or nothing strong or sensitive is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suppressed {
    /// The identity cannot run unattended.
    pub no_anchor: u64,
    /// Whether it can is not known.
    pub anchor_unknown: u64,
    /// It can, but neither changes anything nor reaches sensitive data, as far as is proven.
    pub below_lane: u64,
}

impl Suppressed {
    fn add(&mut self, other: Self) {
        self.no_anchor += other.no_anchor;
        self.anchor_unknown += other.anchor_unknown;
        self.below_lane += other.below_lane;
    }
}

/// What an evaluation of the rules gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOutput {
    /// Sorted by name.
    pub findings: Vec<RuleFinding>,
    /// The earliest instant after `as_of` at which the passing of time alone can change a finding.
    pub next_transition: Option<Timestamp>,
    /// By rule id; rules with nothing suppressed are left out.
    pub suppressed: BTreeMap<String, Suppressed>,
    /// Names of findings that there would be if the identity ran, of which it is not known whether it does: what was found
    /// earlier under such a name is not gone.
    pub undetermined: BTreeSet<String>,
}

/// What the graph of the present does not show.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// What drift is measured from.
    pub baselines: &'a [Baseline],
    /// What is remembered of use, the present included ([`crate::remember`]).
    pub memory: &'a Memory,
}

/// Runs all rules that look at the present alone.
pub fn run(graph: &Graph, config: &RuleConfig, as_of: Timestamp, threads: usize) -> RuleOutput {
    run_since(graph, &[], config, as_of, threads)
}

/// Runs all rules; those of drift where a tenant has a baseline. Nothing is remembered of use.
pub fn run_since(
    graph: &Graph,
    baselines: &[Baseline],
    config: &RuleConfig,
    as_of: Timestamp,
    threads: usize,
) -> RuleOutput {
    run_remembering(graph, Past { baselines, memory: &memory::NOTHING }, config, as_of, threads)
}

/// The same with what is remembered of use. `threads` is at least one and changes nothing but the time it takes.
pub fn run_remembering(
    graph: &Graph,
    Past { baselines, memory }: Past<'_>,
    config: &RuleConfig,
    as_of: Timestamp,
    threads: usize,
) -> RuleOutput {
    run_watched(graph, Past { baselines, memory }, config, (as_of, threads), &mut |_| ())
}

/// The same, saying what has just been done.
pub fn run_watched(
    graph: &Graph,
    Past { baselines, memory }: Past<'_>,
    config: &RuleConfig,
    (as_of, threads): (Timestamp, usize),
    done: &mut dyn FnMut(RuleStep),
) -> RuleOutput {
    let identities: Vec<NodeIx> = graph.node_indexes().filter(|ix| identity::is_identity(graph.node(*ix))).collect();
    let context = Context::watched(graph, config, as_of, done).remembering(memory);
    let comparisons = Comparisons::new(graph, baselines);
    let share = identities.len().div_ceil(threads.max(1)).max(1);
    let mut output = RuleOutput::default();
    std::thread::scope(|scope| {
        let (context, comparisons) = (&context, &comparisons);
        let workers: Vec<_> =
            identities.chunks(share).map(|part| scope.spawn(move || evaluate(context, comparisons, part))).collect();
        for worker in workers {
            match worker.join() {
                Ok(part) => output.join(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    output.findings.sort_by(|a, b| a.name.cmp(&b.name));
    let next = gather::run(&context, &mut output.findings);
    output.next_transition = earlier(output.next_transition, next);
    let summaries = summary::run(&context, &output.findings);
    output.findings.extend(summaries);
    output.findings.sort_by(|a, b| a.name.cmp(&b.name));
    output
}

impl RuleOutput {
    /// Makes a finding of a draft, or counts it when nothing runs or nothing strong or sensitive is reached.
    fn judge(
        &mut self,
        context: &Context<'_>,
        identity: &Identity<'_>,
        meta: &Meta,
        draft: Draft,
    ) -> Option<&mut RuleFinding> {
        let in_lane = draft.reach.as_ref().map_or_else(|| identity.authority.in_lane(), Reach::in_lane);
        if identity.anchor.is_true() && in_lane {
            let mut finding = assemble::finding(context, identity, meta, draft);
            finding.keep_evidence(MAX_EVIDENCE);
            self.findings.push(finding);
            return self.findings.last_mut();
        }
        let counts = self.suppressed.entry(meta.id.to_owned()).or_default();
        match identity.anchor {
            Tri::True => counts.below_lane += 1,
            Tri::False => counts.no_anchor += 1,
            Tri::Unknown(_) => {
                counts.anchor_unknown += 1;
                if in_lane {
                    self.undetermined.insert(assemble::name(meta, &identity.node.id.to_string(), ""));
                }
            }
        }
        None
    }

    fn join(&mut self, part: Self) {
        self.findings.extend(part.findings);
        self.undetermined.extend(part.undetermined);
        self.next_transition = earlier(self.next_transition, part.next_transition);
        for (rule, counts) in part.suppressed {
            self.suppressed.entry(rule).or_default().add(counts);
        }
    }
}

fn evaluate(context: &Context<'_>, comparisons: &Comparisons<'_>, part: &[NodeIx]) -> RuleOutput {
    let mut output = RuleOutput::default();
    for ix in part {
        let mut identity =
            identity::resolve(context.graph, *ix, &context.config.trusted_tenants, context.as_of, &context.around);
        sensitive::declare(context, *ix, &mut identity.authority);
        output.next_transition = earlier(output.next_transition, transition(context, &identity));
        let own = output.findings.len();
        for rule in RULES {
            if let Some(draft) = (rule.check)(context, &identity) {
                output.judge(context, &identity, &rule.meta, draft);
            }
        }
        composite::tell(context, &identity, output.findings.get_mut(own..).unwrap_or_default());
        let Some((comparison, before)) = comparisons.of(context, &identity.node.id) else { continue };
        for rule in DRIFT_RULES {
            let Some(drift) = (rule.check)(&comparison, before, &identity) else { continue };
            if let Some(finding) = output.judge(context, &identity, &rule.meta, drift.draft) {
                finding.depends_on.extend(comparison.rests_on(&drift.compared));
            }
        }
    }
    output
}

/// When time alone can next change what is said of `identity`: something of its own comes, ends or is due; a grant ends.
fn transition(context: &Context<'_>, identity: &Identity<'_>) -> Option<Timestamp> {
    let authority = &identity.authority;
    let delegated = !context.graph.out(identity.ix, EdgeKind::DelegatedGrant).is_empty();
    if !authority.in_lane() && authority.eligible.is_empty() && !delegated {
        return None;
    }
    let next = instants::of(context, identity).filter(|instant| *instant > context.as_of).min();
    earlier(next, grants_end(context, identity))
}

/// When a grant next ends that says something of `identity`: its own, or one of somebody who may take it over.
fn grants_end(context: &Context<'_>, identity: &Identity<'_>) -> Option<Timestamp> {
    let own = identity.authority.changes;
    if identity.authority.tier > Tier::P1 || identity.owners.list.is_empty() {
        return own;
    }
    let owners = identity.owners.list.iter().filter_map(|owner| context.authority(owner.ix).changes).min();
    let groups = context.around.group_changes(identity.node.id.system(), identity.node.id.tenant());
    earlier(own, earlier(owners, groups))
}

/// Metadata of every rule, in the order of ids.
pub fn catalogue() -> impl Iterator<Item = &'static Meta> {
    let mut all: Vec<&Meta> = RULES.iter().map(|rule| &rule.meta).collect();
    all.extend(DRIFT_RULES.iter().map(|rule| &rule.meta));
    all.extend(SUMMARIES.iter().map(|summary| &summary.meta));
    all.sort_by_key(|meta| meta.id);
    all.into_iter()
}

/// Counts up when something changes what rules say that no rule's own version stands for: severities, sentences and weights
/// that they share, or how findings are made of what they say.
pub const SHARED_VERSION: &str = "7";

/// Identifies rules and reference data: part of the inputs of an evaluation.
pub fn pack_version() -> String {
    version(&tiers::digest())
}

fn version(tables: &str) -> String {
    let rules: Vec<String> = catalogue().map(|meta| format!("{}@{}", meta.id, meta.version)).collect();
    let derivations: Vec<String> = derive::named().collect();
    let derivations = [derivations.join(" "), derive::keys_digest()].join(" ");
    let evidence = format!("evidence<={MAX_EVIDENCE}");
    let named = [rules.join(" "), composite::line(), gather::line(), evidence, derivations, tables.to_owned()];
    let digest = canonical::sha256_hex(format!("{} shared@{SHARED_VERSION}", named.join(" ")).as_bytes());
    format!("{}+{}", tiers::TABLE_VERSION, &digest[..12])
}

/// Collections that some rule needs, sorted.
pub fn required_collections() -> BTreeSet<&'static str> {
    catalogue().flat_map(|meta| meta.requires.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_table_is_a_new_version() {
        assert_eq!(pack_version(), version(&tiers::digest()));
        assert_ne!(pack_version(), version("another digest"));
        assert!(pack_version().starts_with(tiers::TABLE_VERSION));
    }
}
