//! Claims whose evidence leaves the source system's records by age while they stay true: takes the graph and what a finding
//! named; says what of it may still hold.
//!
//! Who added a credential stands in records of the last 30 days. Once the record is out of that window the finding does
//! not fire any more, and nothing was mended: it holds as long as the credential signs in an identity that can run and that
//! a finding can be about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{EdgeKind, Graph, NodeId};

use crate::evidence::ADDED_BY;
use crate::identity;
use crate::rule::{Context, RuleConfig};
use crate::sensitive;
use crate::text::display_name;

/// Rules whose findings rest on records that age.
pub const AGING: [&str; 1] = ["CRED-012"];

/// A field of a finding's evidence and what was read there.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The vendor's field.
    pub field: &'a str,
    /// What was read there.
    pub value: &'a str,
}

/// The credentials that a finding's evidence says were added by somebody.
pub fn named<'a>(said: impl IntoIterator<Item = Said<'a>>) -> BTreeSet<String> {
    said.into_iter().filter(|said| said.field == ADDED_BY).map(|said| said.value.to_owned()).collect()
}

/// Present and past of credentials whose records may be gone.
#[derive(Debug)]
pub struct Aged<'g>(Context<'g>);

impl<'g> Aged<'g> {
    /// Of the tenants in `graph`, at `as_of`.
    pub fn new(graph: &'g Graph, config: &'g RuleConfig, as_of: Timestamp) -> Self {
        Self(Context::new(graph, config, as_of))
    }

    /// Those of `named`, or of all credentials when it is not known which were named, that may still sign in `subject`, and
    /// of which no record is left that tells who added them. None when it is proven that `subject` cannot run, or when
    /// nothing strong or sensitive is reached as it.
    pub fn may_still_hold(&self, subject: &NodeId, named: Option<&BTreeSet<String>>) -> BTreeSet<String> {
        let context = &self.0;
        let graph = context.graph;
        let Some(ix) = graph.find(subject) else { return BTreeSet::new() };
        let trusted = &context.config.trusted_tenants;
        let mut identity = identity::resolve(graph, ix, trusted, context.as_of, &context.around);
        sensitive::declare(context, ix, &mut identity.authority);
        if identity.anchor.is_false() || !identity.authority.in_lane() {
            return BTreeSet::new();
        }
        let left = identity.credentials.iter().filter(|held| {
            graph.out(held.ix, EdgeKind::CreatedBy).is_empty() && !held.usable(context.as_of).is_false()
        });
        let ids = left.map(|held| display_name(graph.node(held.ix).id.vendor_id()));
        ids.filter(|id| named.is_none_or(|named| named.contains(id))).collect()
    }
}
