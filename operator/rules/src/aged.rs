//! Claims whose evidence leaves the source system's records by age while they stay true: takes the graph and what a finding
//! said when it was last seen; says whether it may still hold.
//!
//! Who added a credential stands in records of the last 30 days. Once the record is out of that window the finding does
//! not fire any more, and nothing was mended: it holds as long as the credential signs in.

use jiff::Timestamp;
use sv0_graph::{EdgeKind, Graph, NodeId};

use crate::evidence::ADDED_BY;
use crate::identity;
use crate::text::display_name;

/// Rules whose findings rest on records that age.
pub const AGING: [&str; 1] = ["CRED-012"];

/// What a finding said that matters here: the fields and values of its evidence.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// The vendor's field.
    pub field: &'a str,
    /// What was read there.
    pub value: &'a str,
}

/// Whether one of the credentials that the finding about `subject` named still signs in, and no record of who added it is
/// left to judge it by.
pub fn may_still_hold<'a>(
    graph: &Graph,
    subject: &NodeId,
    said: impl IntoIterator<Item = Said<'a>>,
    as_of: Timestamp,
) -> bool {
    let named: Vec<&str> = said.into_iter().filter(|said| said.field == ADDED_BY).map(|said| said.value).collect();
    if named.is_empty() {
        return false;
    }
    let Some(subject) = graph.find(subject) else { return false };
    let application = graph.incoming(subject, EdgeKind::Instantiates).map(|edge| edge.from);
    application.chain([subject]).flat_map(|holder| graph.out(holder, EdgeKind::HoldsCredential)).any(|edge| {
        let node = graph.node(edge.to);
        let recorded = !graph.out(edge.to, EdgeKind::CreatedBy).is_empty();
        let is_named = named.contains(&display_name(node.id.vendor_id()).as_str());
        is_named && !recorded && !identity::credential(graph, edge).usable(as_of).is_false()
    })
}
