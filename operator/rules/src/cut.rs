//! The one edge to cut: takes an identity and how strong a finding says it is, gives the grant, membership or record of an
//! owner to take away, as a sentence, and how many of the ways to as much that cuts.
//!
//! Where the finding tells of acting as others, it is the step that most of the ways told go by. Else it is the grant that
//! decides, or the membership that it is held by. Ways to a whole tenant, to a part of it and to sensitive data are those
//! that the derivations prove, by what the identity holds itself and by acting as others: a second grant of the same weight is
//! a second way, and the sentence says that it stays. What is weaker is held by grants alone.

use std::cmp::Reverse;

use sv0_graph::{Edge, Graph, NodeIx};

use crate::authority::Grant;
use crate::composed;
use crate::derive::{CutEdge, End};
use crate::finding::Claim;
use crate::identity::{self, Identity};
use crate::rule::{Context, Meta};
use crate::rules::UNB_005;
use crate::sensitive::Sensitive;
use crate::severity::Tier;

/// `Take Global Administrator from the service principal: that alone cuts this way to the tenant.` None when nothing proven
/// can be taken away.
pub(crate) fn decisive(
    context: &Context<'_>,
    identity: &Identity<'_>,
    (meta, claim): (&Meta, Claim),
    (tier, sensitive): (Tier, bool),
) -> Option<String> {
    let authority = &identity.authority;
    if meta.id == UNB_005.id {
        return of_data(context, identity, claim);
    }
    let compositions: Vec<_> = authority.compositions().collect();
    if !compositions.is_empty() {
        return composed::cut(context, &compositions);
    }
    let decides = |grant: &&Grant<'_>| grant.tier == tier && grant.sensitive.is_some() == sensitive;
    let grant = authority.decisive.iter().find(decides).or_else(|| authority.decisive.first())?;
    let by_ways = match tier {
        Tier::P0 => of_ways(context, identity, (End::Tenant, None), grant),
        Tier::P1 => of_ways(context, identity, (End::Part, None), grant),
        _ if sensitive => of_ways(context, identity, (End::Data, grant.sensitive), grant),
        _ => None,
    };
    let as_strong = || authority.proven.iter().filter(|other| other.weight() == grant.weight());
    by_ways.or_else(|| of_grants(context.graph, identity, as_strong(), "that authority"))
}

/// Of a finding about everybody's data, whatever else the identity holds.
fn of_data(context: &Context<'_>, identity: &Identity<'_>, claim: Claim) -> Option<String> {
    let authority = &identity.authority;
    let of = |limited: bool| {
        let counts = move |data: Sensitive| data.is_everybodys() && data.limited_by_exchange() == limited;
        authority.proven.iter().filter(move |grant| grant.sensitive.is_some_and(counts))
    };
    if claim == Claim::Full {
        return of_ways(context, identity, (End::Everybodys, None), of(false).next()?);
    }
    let possible = || composed::cut(context, &[authority.everybodys.as_ref()?]);
    of_grants(context.graph, identity, of(true), "those data").or_else(possible)
}

fn of_ways<'g>(
    context: &Context<'g>,
    identity: &Identity<'_>,
    (end, data): (End, Option<Sensitive>),
    grant: &Grant<'g>,
) -> Option<String> {
    let on: Vec<&'g Edge> = grant.members.iter().copied().chain([grant.edge]).collect();
    let cut = context.around.routes().cut_of(identity.ix, (end, data), &on)?;
    let effect = match (cut.cut, cut.ways) {
        (1, 1) => "this way".to_owned(),
        (cut, ways) if cut == ways => format!("all {ways} of the shortest ways"),
        (cut, ways) => format!("{cut} of the {ways} shortest ways"),
    };
    Some(says(context.graph, identity, cut.edge, (&effect, composed::end(end))))
}

/// Of these grants, each of which is a way: of the edges that the first is held by, the one that most of them are held by; of
/// equals the one nearest to the identity.
pub(crate) fn of_grants<'a, 'g: 'a>(
    graph: &Graph,
    identity: &Identity<'_>,
    grants: impl Iterator<Item = &'a Grant<'g>>,
    to: &str,
) -> Option<String> {
    let ways: Vec<&Grant<'_>> = grants.collect();
    let first = ways.first()?;
    let on = |grant: &Grant<'_>, edge: &Edge| {
        grant.members.iter().copied().chain([grant.edge]).any(|other| std::ptr::eq(other, edge))
    };
    let edges = first.members.iter().map(|edge| CutEdge::Member(edge)).chain([CutEdge::Grant(first.edge)]);
    let counted = edges.map(|edge| (ways.iter().filter(|grant| on(grant, edge.edge())).count(), edge));
    // The first of equals.
    let (cut, edge) = counted.min_by_key(|(cut, _)| Reverse(*cut))?;
    let effect = match (cut, ways.len()) {
        (1, 1) => "this way".to_owned(),
        (cut, ways) if cut == ways => format!("all {ways} of its own ways"),
        (cut, ways) => format!("{cut} of its {ways} own ways"),
    };
    Some(says(graph, identity, edge, (&effect, to)))
}

/// The identity stands without its name, since the finding is about it. Of what is cut no more is said than was counted: the
/// way that is told, the shortest ones that are proven, or those that it has by itself. That no other is left nobody knows.
fn says(graph: &Graph, identity: &Identity<'_>, edge: CutEdge<'_>, (effect, to): (&str, &str)) -> String {
    let itself = |ix: NodeIx| (ix == identity.ix).then(|| identity::noun(graph.node(ix).kind).to_owned());
    let step = composed::step_among(graph, edge, itself);
    format!("{step}: that alone cuts {effect} to {to}.")
}
