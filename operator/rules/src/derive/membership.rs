//! `group-membership`: who is a member of a group, and of the groups that it is a member of.
//!
//! Only steps from member to group; nothing is closed here. A search follows them as deep as it looks, and what lies
//! behind a group is one pass over its components ([`super::Routes`]).

use sv0_graph::{Edge, EdgeKind};

use super::{Derivation, Fact, Overlay};

pub(super) const DERIVATION: Derivation = Derivation {
    id: "group-membership",
    version: 1,
    needs: &["groups", "groupMembers"],
    gives: "A member has what its group holds, through groups in groups as well.",
    trap: "A membership that has ended, is switched off or must be activated first gives nothing now. Application \
           permissions of a group are not its members'.",
    derive: Some(derive),
};

fn derive(overlay: &mut Overlay<'_>) {
    let graph = overlay.graph;
    // Most groups of an organisation hold nothing and are in nothing: no step leads on from them.
    let leads_on = |edge: &&Edge| {
        !graph.out(edge.to, EdgeKind::Granted).is_empty() || !graph.out(edge.to, EdgeKind::MemberOf).is_empty()
    };
    for edge in overlay.edges(EdgeKind::MemberOf).filter(leads_on) {
        let fact = (edge.holds(overlay.as_of), Fact::Member(edge));
        overlay.step(edge.from.into(), EdgeKind::MemberOf, edge.to.into(), fact);
    }
}
