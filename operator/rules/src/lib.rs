//! The built-in rules: takes a merged graph, the customer's limits and the instant that stands for now; gives findings.
//!
//! Pure and synchronous: no clock, no network, no file system. Every claim rests on facts with provenance; where only
//! a part is proven the narrower claim is made, or none. Not one claim is made of the absence of something unless the
//! collection that would show it was read completely.

mod activity;
mod assemble;
mod authority;
mod composite;
mod evidence;
mod finding;
mod identity;
mod instants;
mod matching;
mod owners;
mod rule;
mod rules;
mod run;
mod severity;
mod shared;
mod text;
pub mod tiers;
mod trust;

pub use composite::{COMPOSITES, Composite, composite_of};
pub use finding::*;
pub use rule::{Meta, Rule, RuleConfig, Scope};
pub use rules::RULES;
pub use run::{RuleOutput, Suppressed, catalogue, pack_version, required_collections, run};
pub use severity::{Exposure, Tier, severity};
pub use text::display_name;
