//! How a composition is told: takes the ways by which an identity acts as others, gives hops, evidence for each, a
//! sentence, and the edge to cut.
//!
//! Every hop is named: the grant or the record of an owner by which a credential can be added, the step to the service
//! principal that is then acted as, and what the last one holds.

use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, attr};

use crate::assemble::{grant_hops, grant_proofs, hop, label};
use crate::derive::{By, Composition, CutEdge, Leg};
use crate::evidence::{self, Proof};
use crate::finding::{EvidenceClass, Hop};
use crate::tiers;

/// From `start` to what is held. The hop of a first grant stands before these already.
pub(crate) fn hops(graph: &Graph, start: &str, composition: &Composition<'_>) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut holder = start.to_owned();
    for (at, leg) in composition.legs.iter().enumerate() {
        let via = match &leg.by {
            By::Grant(grant) => {
                if at > 0 {
                    hops.extend(grant_hops(graph, &holder, grant));
                }
                grant.role.clone()
            }
            By::Owner { edge, .. } => {
                let owned = label(graph, edge.to);
                hops.push(hop(&holder, EdgeKind::Owns, &owned, None, EvidenceClass::Direct));
                "owner".to_owned()
            }
        };
        let target = label(graph, leg.target);
        hops.push(hop(&holder, EdgeKind::CanControl, &target, Some(via), EvidenceClass::Structural));
        holder = target;
    }
    hops.extend(grant_hops(graph, &holder, &composition.held));
    hops
}

/// Of every leg the derivation and its parents other than a first grant, then what the last one holds.
pub(crate) fn proofs(graph: &Graph, composition: &Composition<'_>) -> Vec<Proof> {
    let mut proofs = Vec::new();
    let mut who = "It".to_owned();
    for (at, leg) in composition.legs.iter().enumerate() {
        if let (By::Grant(grant), true) = (&leg.by, at > 0) {
            proofs.extend(grant_proofs(graph, &who, grant));
        }
        proofs.extend(leg_proofs(graph, &who, leg));
        who = format!("The {}", label(graph, leg.target));
    }
    proofs.extend(grant_proofs(graph, &who, &composition.held));
    // Weighs least: what cannot be acted as is no step at all.
    let homes = composition.legs.iter().filter_map(|leg| {
        let home = format!("The application of the {} lives in this tenant.", label(graph, leg.target));
        evidence::of_fact(graph, leg.target, attr::HOME_TENANT, EvidenceClass::Direct, home)
    });
    proofs.extend(homes);
    proofs
}

fn leg_proofs(graph: &Graph, who: &str, leg: &Leg<'_>) -> Vec<Proof> {
    let target = label(graph, leg.target);
    match &leg.by {
        By::Grant(grant) if grant.bounded && over_application(graph, leg, grant.edge) => {
            let claim = format!(
                "With {} {} can add a credential to the application of the {target} and act as it \
                 (scoped-credentials/1).",
                grant.short(graph),
                lower(who)
            );
            runs_as(graph, leg, claim).into_iter().collect()
        }
        By::Grant(grant) => {
            let (role, name) = if grant.bounded {
                (grant.short(graph), "scoped-credentials/1")
            } else {
                (grant.role.clone(), "application-credentials/1")
            };
            let claim = format!(
                "With {role} {} can add a credential to the {target} and act as it: its application does not lock them \
                 ({name}).",
                lower(who)
            );
            unlocked(graph, leg, claim).into_iter().collect()
        }
        By::Owner { edge, permitted } => {
            let of_application = graph.node(edge.to).kind == NodeKind::Application;
            let owned = label(graph, edge.to);
            let recorded = format!("{who} is recorded as owner of the {owned}.");
            let manages = format!("{who} holds the application permission {}.", permission(graph, permitted));
            let derived = if of_application {
                let claim = format!(
                    "As owner {} can add a credential to the {owned} and act as the {target} (owner-credentials/1).",
                    lower(who)
                );
                runs_as(graph, leg, claim)
            } else {
                let claim = format!(
                    "As owner {} can add a credential to the {target} and act as it: its application does not lock them \
                     (owner-credentials/1).",
                    lower(who)
                );
                unlocked(graph, leg, claim)
            };
            let direct = [(*edge, recorded), (*permitted, manages)];
            let direct = direct.map(|(edge, claim)| evidence::of_edge(graph, edge, EvidenceClass::Direct, claim));
            direct.into_iter().chain(derived).collect()
        }
    }
}

/// What follows from the lock.
fn unlocked(graph: &Graph, leg: &Leg<'_>, claim: String) -> Option<Proof> {
    evidence::of_fact(graph, leg.application, attr::CREDENTIALS_LOCKED, EvidenceClass::Structural, claim)
}

/// What follows from whose service principal it is.
fn runs_as(graph: &Graph, leg: &Leg<'_>, claim: String) -> Option<Proof> {
    let edge = graph.incoming(leg.target, EdgeKind::Instantiates).find(|edge| edge.from == leg.application)?;
    Some(evidence::of_edge(graph, edge, EvidenceClass::Structural, claim))
}

fn over_application(graph: &Graph, leg: &Leg<'_>, edge: &Edge) -> bool {
    let object = edge.scope.as_deref().and_then(|scope| scope.strip_prefix('/'));
    object == Some(graph.node(leg.application).id.vendor_id())
}

/// The name of an application permission.
fn permission(graph: &Graph, edge: &Edge) -> String {
    let known =
        edge.role.as_deref().and_then(|role| tiers::permission_of(graph.node(edge.to).text(attr::APP_ID)?, role));
    known.map_or_else(|| "to manage what it owns".to_owned(), |known| known.name.to_owned())
}

/// `It` in the middle of a sentence.
fn lower(who: &str) -> String {
    let mut chars = who.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// `owns the application "payroll"`, when its first step is an owner's.
pub(crate) fn owns(graph: &Graph, composition: &Composition<'_>) -> Option<String> {
    match &composition.legs.first()?.by {
        By::Owner { edge, .. } => Some(format!("owns the {}", label(graph, edge.to))),
        By::Grant(_) => None,
    }
}

/// `Take Application.ReadWrite.All from service principal "factory": that alone cuts 2 of the 3 shortest ways to the tenant.`
pub(crate) fn cut(graph: &Graph, composition: &Composition<'_>) -> Option<String> {
    let (edge, cut) = composition.cut?;
    let step = step(graph, edge);
    let effect = match (cut, composition.ways) {
        (1, 1) => "the way to the tenant".to_owned(),
        (cut, ways) if cut == ways => format!("all {ways} of the shortest ways to the tenant"),
        (cut, ways) => format!("{cut} of the {ways} shortest ways to the tenant"),
    };
    Some(format!("{step}: that alone cuts {effect}."))
}

/// `Take Application.ReadWrite.All from the service principal "factory"`.
pub(crate) fn step(graph: &Graph, edge: CutEdge<'_>) -> String {
    let from = |ix: NodeIx| label(graph, ix);
    match edge {
        CutEdge::Grant(edge) => format!("Take {} from the {}", role(graph, edge), from(edge.from)),
        CutEdge::Member(edge) => format!("Take the {} out of the {}", from(edge.from), from(edge.to)),
        CutEdge::Owner(edge) => format!("Take the {} off the owners of the {}", from(edge.from), from(edge.to)),
    }
}

fn role(graph: &Graph, edge: &Edge) -> String {
    let known = edge.role.as_deref().and_then(|role| match graph.node(edge.to).kind {
        NodeKind::System => tiers::directory_role(role),
        _ => tiers::permission_of(graph.node(edge.to).text(attr::APP_ID)?, role),
    });
    known.map_or_else(|| "its role".to_owned(), |known| known.name.to_owned())
}
