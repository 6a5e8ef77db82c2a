//! How a composition is told: takes the ways by which an identity acts as others, gives hops, evidence for each, a
//! sentence, and the edge to cut.
//!
//! Every hop is named: the grant or the record of an owner by which a credential can be added, the step to the service
//! principal that is then acted as, and what the last one holds.

use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::assemble::{grant_hops, grant_proofs, hop, label};
use crate::authority::Grant;
use crate::derive::{By, Composition, CutEdge, CutOff, End, Leg};
use crate::evidence::{self, Mark, Proof};
use crate::finding::EvidenceClass;
use crate::rule::{Context, Marked};
use crate::tiers;

/// From `start` to what is held. The hops of a first grant that is among `told` stand before these already.
pub(crate) fn hops(graph: &Graph, start: &str, composition: &Composition<'_>, told: &[Grant<'_>]) -> Vec<Marked> {
    let mut hops = Vec::new();
    let mut holder = start.to_owned();
    for (at, leg) in composition.legs.iter().enumerate() {
        let via = match &leg.by {
            By::Grant(grant) => {
                if at > 0 || !stands(told, grant) {
                    hops.extend(grant_hops(graph, &holder, grant));
                }
                grant.role.clone()
            }
            By::Owner { edge, .. } => {
                let owned = label(graph, edge.to);
                let record = (None, EvidenceClass::Direct);
                hops.push(hop(&holder, EdgeKind::Owns, &owned, record, Some(Mark::edge(edge))));
                "owner".to_owned()
            }
        };
        let target = label(graph, leg.target);
        let derived = (Some(via), EvidenceClass::Structural);
        hops.push(hop(&holder, EdgeKind::CanControl, &target, derived, basis(graph, leg)));
        holder = target;
    }
    hops.extend(grant_hops(graph, &holder, &composition.held));
    hops
}

fn stands(told: &[Grant<'_>], grant: &Grant<'_>) -> bool {
    told.iter().any(|other| other.edge == grant.edge)
}

/// Of every leg the derivation and its parents other than a first grant that is among `told`, then what the last one holds.
pub(crate) fn proofs(graph: &Graph, composition: &Composition<'_>, told: &[Grant<'_>]) -> Vec<Proof> {
    let mut proofs = Vec::new();
    let mut who = "It".to_owned();
    for (at, leg) in composition.legs.iter().enumerate() {
        match &leg.by {
            By::Grant(grant) if at > 0 || !stands(told, grant) => proofs.extend(grant_proofs(graph, &who, grant)),
            By::Grant(_) | By::Owner { .. } => {}
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

/// What the derivation of a leg is read from: the lock, or whose service principal it is. Of both only that one is among
/// the evidence that is about the leg.
fn basis(graph: &Graph, leg: &Leg<'_>) -> impl Iterator<Item = Mark> {
    let instance = graph.incoming(leg.target, EdgeKind::Instantiates).find(|edge| edge.from == leg.application);
    let of_application = match &leg.by {
        By::Grant(grant) => grant.bounded && over_application(graph, leg, grant.edge),
        By::Owner { edge, .. } => graph.node(edge.to).kind == NodeKind::Application,
    };
    let lock = Mark::fact(graph, leg.application, attr::CREDENTIALS_LOCKED);
    if of_application { instance.map(Mark::edge) } else { lock }.into_iter()
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

/// The one that is acted as last.
pub(crate) fn last(graph: &Graph, composition: &Composition<'_>) -> String {
    composition.legs.last().map(|leg| label(graph, leg.target)).unwrap_or_default()
}

/// `It owns the application "payroll", and by adding a credential to another application reaches all sites`.
pub(crate) fn reaches(graph: &Graph, composition: &Composition<'_>) -> String {
    let holds = || composition.first_grant().map(|grant| format!("holds {}", grant.short(graph)));
    let has = owns(graph, composition).or_else(holds).unwrap_or_default();
    let what = composition.held.sensitive.map_or("", |sensitive| sensitive.as_str());
    format!("It {has}, and by adding a credential to another application reaches {what}")
}

/// Why a way is not proven.
pub(crate) fn doubt(composition: &Composition<'_>) -> String {
    match composition.state {
        Tri::Unknown(reason) if composition.lock_unread => {
            format!("Of the application's property lock, {}.", reason.sentence())
        }
        Tri::Unknown(UnknownReason::DynamicValue) => "A role on the way must be activated first.".to_owned(),
        _ => "A role on the way has a condition, and conditions are not weighed.".to_owned(),
    }
}

/// `Take Application.ReadWrite.All from service principal "factory": that alone cuts 2 of the 3 shortest ways to the tenant by acting
/// as others.`
pub(crate) fn cut(context: &Context<'_>, compositions: &[&Composition<'_>]) -> Option<String> {
    let CutOff { edge, cut, ways } = context.around.cut(compositions)?;
    let step = step(context.graph, edge);
    let ends: Vec<&str> = compositions.iter().map(|composition| end(composition.end)).collect();
    let ends = ends.join(" and ");
    let effect = match (cut, ways) {
        (1, 1) => format!("this way to {ends}"),
        (cut, ways) if cut == ways => format!("all {ways} of the shortest ways to {ends} by acting as others"),
        (cut, ways) => format!("{cut} of the {ways} shortest ways to {ends} by acting as others"),
    };
    Some(format!("{step}: that alone cuts {effect}."))
}

/// `Take Application.ReadWrite.All from the service principal "factory"`.
pub(crate) fn step(graph: &Graph, edge: CutEdge<'_>) -> String {
    step_among(graph, edge, |_| None)
}

/// The same with words of its own for some nodes.
pub(crate) fn step_among(graph: &Graph, edge: CutEdge<'_>, word: impl Fn(NodeIx) -> Option<String>) -> String {
    let from = |ix: NodeIx| word(ix).unwrap_or_else(|| label(graph, ix));
    match edge {
        CutEdge::Grant(edge) => format!("Take {} from the {}", role(graph, edge), from(edge.from)),
        CutEdge::Member(edge) => format!("Take the {} out of the {}", from(edge.from), from(edge.to)),
        CutEdge::Owner(edge) => format!("Take the {} off the owners of the {}", from(edge.from), from(edge.to)),
    }
}

/// What a way leads to, after `ways to`.
pub(crate) const fn end(end: End) -> &'static str {
    match end {
        End::Tenant => "the tenant",
        End::Part => "that authority",
        End::Data | End::Everybodys | End::Mailboxes => "those data",
    }
}

fn role(graph: &Graph, edge: &Edge) -> String {
    let known = edge.role.as_deref().and_then(|role| match graph.node(edge.to).kind {
        NodeKind::System => tiers::directory_role(role),
        _ => tiers::permission_of(graph.node(edge.to).text(attr::APP_ID)?, role),
    });
    known.map_or_else(|| "its role".to_owned(), |known| known.name.to_owned())
}
