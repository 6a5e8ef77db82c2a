//! The built-in rules: takes a merged graph, the customer's limits and the instant that stands for now; gives findings.
//!
//! Pure and synchronous: no clock, no network, no file system. Every claim rests on facts with provenance; where only
//! a part is proven the narrower claim is made, or none. Not one claim is made of the absence of something unless the
//! collection that would show it was read completely.

mod activity;
pub mod aged;
mod assemble;
mod authority;
mod automations;
mod behind;
mod composed;
mod composite;
mod cut;
mod derive;
mod drift;
mod environment;
mod evidence;
mod finding;
mod gather;
mod identity;
mod instants;
mod matching;
mod memory;
mod nesting;
mod owners;
mod rule;
mod rules;
mod run;
mod sensitive;
mod severity;
mod shared;
mod summary;
mod text;
pub mod tiers;
mod trust;

pub use composite::{COMPOSITES, Composite, composite_of, severity_of};
pub use derive::{DERIVATIONS, Derivation, Field, Join, KEYS, Key, Matches, Of, Side, Within, joins, named};
pub use drift::{Baseline, DRIFT_RULES, DriftRule, baseline_dependency, compared_collections};
pub use environment::Environment;
pub use finding::*;
pub use gather::GATHERED_FROM;
pub use memory::{ActivityMemory, Doubts, Memory, Spans, Uses, Watch, remember};
pub use rule::{Meta, Purpose, Rule, RuleConfig, RuleStep, Scope};
pub use rules::{NARROWER_ONLY, NEEDS, Need, RULES, SUMMARIES};
pub use run::{
    Past, RuleOutput, SHARED_VERSION, Suppressed, catalogue, pack_version, required_collections, run, run_remembering,
    run_since, run_watched,
};
pub use sensitive::{Container, Containers, DataDomain, Sensitive};
pub use severity::{Exposure, Tier, severity};
pub use summary::Summary;
pub use text::{display_name, harmless, invisible, unpiled};
