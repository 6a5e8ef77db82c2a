//! XSYS-008: an automation that can act with a person's authority, by a delegated grant.
//!
//! Entra does not say when a delegated grant is used. Proven is what may happen: the grant stands, its scopes include
//! `offline_access`, so that it outlives the person's session, and the identity can sign in as a client. That it does
//! run without a person is proven by permissions of its own or by the vendor's record of such a sign-in; without
//! that, an application may only ever serve people who are there. Then a grant for one person is the narrower claim, and
//! a grant for everybody, which most applications with a sign-in page have, is none.

use std::collections::BTreeSet;

use sv0_graph::{Edge, EdgeKind, NodeId, NodeIx, NodeKind, Tri, attr};

use crate::assemble;
use crate::evidence::{self, Mark, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::owners;
use crate::rule::{Context, Draft, Meta, Reach, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::{counted, display_name};
use crate::tiers::{self, Known};

/// Scope of a grant for every user.
const EVERYBODY: &str = "AllPrincipals";

/// What stands before a user's id in the scope of a grant for one user.
const USER: &str = "/users/";

/// The scope that lets access outlive a session.
const OFFLINE: &str = "offline_access";

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "XSYS-008",
        version: "1.1.0",
        family: Family::CrossSystemAuthorityChain,
        category: "DelegatedGrantUnattended",
        title: "An automation can act with a person's authority by a standing delegated grant",
        narrower: Some("It may act with any user's authority, or it is not proven that it runs without a person"),
        why: "What it does looks like the person's own doing, and grows with the person's rights.",
        remediation: &[
            "Give the automation an application permission of its own, limited to what it needs.",
            "Revoke the delegated grant, then the user's sessions with this application.",
            "Leave offline_access out where nothing runs without a person.",
        ],
        standards: &[
            "OWASP NHI10",
            "OWASP ASI03",
            "ATT&CK T1528",
            "ATT&CK T1550.001",
            "NIST 800-53 IA-2",
            "NIST 800-53 AC-6",
        ],
        requires: &["servicePrincipals", "applications", "delegatedGrants"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A script that reads a director's mailbox with a consent given once.",
    },
    check,
};

/// A grant that lets the identity act for somebody who is not there.
struct Standing<'g> {
    edge: &'g Edge,
    /// The person's name; none when it is everybody.
    user: Option<String>,
    /// The scopes that change data or reach sensitive data, strongest first.
    scopes: Vec<&'static Known>,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || identity.node.kind != NodeKind::ServicePrincipal {
        return None;
    }
    let unattended = unattended(context, identity);
    // Looked at once: an application that everybody uses has a grant for each of them.
    let lasting: BTreeSet<&str> = grants(context, identity.ix)
        .filter(|edge| scopes(edge).any(|name| name == OFFLINE))
        .filter_map(|edge| edge.scope.as_deref())
        .collect();
    let mut all: Vec<Standing<'_>> = grants(context, identity.ix)
        .filter_map(|edge| standing(context, identity, edge, &lasting))
        .filter(|standing| standing.user.is_some() || unattended.is_some())
        .collect();
    // Stable: for named people first, the strongest first, then in the order of the graph.
    all.sort_by_key(|standing| (standing.user.is_none(), standing.tier(), !standing.sensitive()));
    let first = all.first()?;
    let full = first.user.is_some() && unattended.is_some();
    let claim = if full { Claim::Full } else { Claim::Narrower };
    let told = all.iter().filter(|standing| standing.user.is_some() == first.user.is_some());
    let people: BTreeSet<&str> = told.clone().filter_map(|standing| standing.edge.scope.as_deref()).collect();
    let whose = match (&first.user, people.len()) {
        (None, _) => "any user".to_owned(),
        (Some(person), 1) => format!("\"{person}\""),
        (Some(_), many) => counted(many, "person", "people"),
    };
    let title = match (&first.user, people.len()) {
        (None, _) => format!("\"{}\" can act for any user who is not there", identity.name),
        (Some(_), 1) => format!("\"{}\" can act for a person who is not there", identity.name),
        (Some(_), _) => format!("\"{}\" can act for {whose} who are not there", identity.name),
    };
    let mut proofs: Vec<Proof> = told.map(|standing| proof(context, standing)).collect();
    proofs.extend(unattended);
    let reach = Some(reach(context, identity, first, &whose));
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed: narrowed(first, claim), entry: None, reach })
}

/// What shows that it runs without a person: a permission of its own, or the vendor's record.
fn unattended(context: &Context<'_>, identity: &Identity<'_>) -> Option<Proof> {
    let Some(own) = identity.authority.proven.iter().find(|grant| grant.members.is_empty()) else {
        let claim = "The vendor recorded a sign-in of it without a user.".to_owned();
        let used = attr::LAST_UNATTENDED_USE_AT;
        return evidence::of_fact(context.graph, identity.ix, used, EvidenceClass::Temporal, claim);
    };
    let claim = format!("It holds {}.", own.sentence(context.graph));
    Some(evidence::of_edge(context.graph, own.edge, EvidenceClass::Direct, claim))
}

fn grants<'g>(context: &Context<'g>, ix: NodeIx) -> impl Iterator<Item = &'g Edge> + use<'g> {
    let as_of = context.as_of;
    let counts = move |edge: &&Edge| edge.holds(as_of).is_true();
    context.graph.out(ix, EdgeKind::DelegatedGrant).iter().filter(counts)
}

/// `lasting`: for whom some grant of the identity outlives a session.
fn standing<'g>(
    context: &Context<'g>,
    identity: &Identity<'_>,
    edge: &'g Edge,
    lasting: &BTreeSet<&str>,
) -> Option<Standing<'g>> {
    let scope = edge.scope.as_deref()?;
    // Consent for everybody is consent for this one too.
    let outlives = lasting.contains(scope) || lasting.contains(EVERYBODY);
    let resource = context.graph.node(edge.to).text(attr::APP_ID)?;
    if !outlives || !resource.eq_ignore_ascii_case(tiers::MICROSOFT_GRAPH) {
        return None;
    }
    let counts = |known: &&Known| known.tier <= Tier::P2 || known.sensitive.is_some();
    let mut scopes: Vec<&'static Known> = scopes(edge).filter_map(tiers::delegated_scope).filter(counts).collect();
    if scopes.is_empty() {
        return None;
    }
    scopes.sort_by_key(|known| (known.tier, known.sensitive.is_none()));
    let user = if scope == EVERYBODY { None } else { Some(person(context, identity, scope.strip_prefix(USER)?)?) };
    Some(Standing { edge, user, scopes })
}

fn scopes(edge: &Edge) -> impl Iterator<Item = &str> {
    edge.role.as_deref().unwrap_or_default().split_whitespace()
}

/// The name of the user with this object id. None when the account is switched off or deleted: nobody acts for it.
fn person(context: &Context<'_>, identity: &Identity<'_>, object: &str) -> Option<String> {
    let own = &identity.node.id;
    let known = context.graph.find(&NodeId::new(own.system(), own.tenant(), NodeKind::Human, object));
    let Some(ix) = known else { return Some(display_name(object)) };
    let node = context.graph.node(ix);
    let off = node.flag(attr::ENABLED) == Some(false) || node.fact(attr::DELETED_AT).is_some();
    (!off).then(|| owners::name(context.graph, ix).unwrap_or_else(|| display_name(object)))
}

impl Standing<'_> {
    /// A scope reaches no further than the person does, whose own authority is not weighed: it writes, or it reads.
    fn tier(&self) -> Tier {
        self.scopes.first().map_or(Tier::P4, |known| known.tier.max(Tier::P2))
    }

    fn sensitive(&self) -> bool {
        self.scopes.iter().any(|known| known.sensitive.is_some())
    }

    fn names(&self) -> String {
        let strongest: Vec<&str> = self.scopes.iter().take(2).map(|known| known.name).collect();
        strongest.join(" and ")
    }
}

fn reach(context: &Context<'_>, identity: &Identity<'_>, standing: &Standing<'_>, whose: &str) -> Reach {
    let resource = context.graph.node(standing.edge.to);
    let name = resource.text(attr::NAME).unwrap_or_else(|| resource.id.vendor_id());
    let (itself, to) = (assemble::itself(identity), format!("service principal \"{}\"", display_name(name)));
    let via = (Some(format!("{} for {whose}", standing.names())), EvidenceClass::Direct);
    let hop = assemble::hop(&itself, EdgeKind::DelegatedGrant, &to, via, Some(Mark::edge(standing.edge)));
    Reach {
        tier: standing.tier(),
        sensitive: Tri::from(standing.sensitive()),
        says: format!("It holds a delegated grant of {} for {whose}, which outlives a session", standing.names()),
        hops: vec![hop],
        cut: None,
    }
}

fn proof(context: &Context<'_>, standing: &Standing<'_>) -> Proof {
    let whom = standing.user.as_ref().map_or_else(|| "every user".to_owned(), |person| format!("\"{person}\""));
    let claim = format!("Consent is recorded to act for {whom} with {} and {OFFLINE}.", standing.names());
    evidence::of_edge(context.graph, standing.edge, EvidenceClass::Direct, claim)
}

fn narrowed(standing: &Standing<'_>, claim: Claim) -> Vec<Narrowed> {
    let mut narrowed = vec![Narrowed {
        claim: "That it holds a token of such a grant".to_owned(),
        reason: "Entra does not tell which refresh tokens exist.".to_owned(),
    }];
    if standing.user.is_none() {
        narrowed.push(Narrowed {
            claim: "Which user it acts for".to_owned(),
            reason: "Consent was given for all: it may be any user's authority.".to_owned(),
        });
    } else if claim == Claim::Narrower {
        narrowed.push(Narrowed {
            claim: "That it runs without a person".to_owned(),
            reason: "It has no permission of its own, and no sign-in without a user is recorded.".to_owned(),
        });
    }
    narrowed
}
