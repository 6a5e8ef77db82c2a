//! Makes a finding of a rule's draft: adds what every finding says alike. Who it is about, who answers, how it runs,
//! what it reaches, how severe that is, and what is not proven.

use std::collections::BTreeSet;

use sv0_graph::{NodeKind, attr, canonical};

use crate::authority::Grant;
use crate::evidence::{self, Proof};
use crate::finding::{Dependency, Evidence, EvidenceClass, Hop, Narrowed, RuleFinding, RuleRef, Subject};
use crate::identity::{Identity, Until, Way, noun};
use crate::rule::{Context, Draft, Meta};
use crate::severity::severity;
use crate::text::{counted, date, display_name};

/// The finding of `meta` about `identity`.
pub(crate) fn finding(context: &Context<'_>, identity: &Identity<'_>, meta: &Meta, draft: Draft) -> RuleFinding {
    let authority = &identity.authority;
    let severity = severity(authority.tier, draft.exposure, authority.sensitive, draft.claim, sv0_graph::Tri::False);
    let subject = subject(context, identity);
    let path = path(context, identity, draft.entry);
    let proofs = proofs(context, identity, draft.proofs);
    let depends_on = dependencies(context, identity, &proofs, meta);
    let mut narrowed = draft.narrowed;
    narrowed.extend(unproven(identity));
    RuleFinding {
        name: name(meta, &subject.id, ""),
        rule: RuleRef { id: meta.id.to_owned(), version: meta.version.to_owned(), claim: draft.claim },
        family: meta.family,
        category: meta.category.to_owned(),
        severity,
        severity_rank: severity.rank(),
        title: draft.title,
        why: why(context, identity, meta),
        subject,
        accountable: identity.owners.accountable(context.graph),
        path,
        evidence: distinct(proofs),
        narrowed,
        remediation: meta.remediation.iter().map(|step| (*step).to_owned()).collect(),
        standards: meta.standards.iter().map(|standard| (*standard).to_owned()).collect(),
        depends_on,
    }
}

/// All proofs, most important first: what the rule rests on, what the identity reaches, then whatever there is more of
/// each, and that it can run.
fn proofs(context: &Context<'_>, identity: &Identity<'_>, deciding: Vec<Proof>) -> Vec<Proof> {
    let mut deciding = deciding.into_iter();
    let mut grants = identity.authority.decisive.iter().map(|grant| grant_proof(context, grant));
    let mut all: Vec<Proof> = deciding.next().into_iter().chain(grants.next()).collect();
    all.extend(deciding);
    all.extend(grants);
    all.extend(anchor_proofs(context, identity));
    all
}

/// Deterministic name of the finding of a rule about a subject.
fn name(meta: &Meta, subject: &str, discriminator: &str) -> String {
    let key = [meta.id, meta.major(), subject, discriminator].join("\n");
    let digest = canonical::sha256_hex(key.as_bytes());
    format!("{}-{}", meta.id.to_ascii_lowercase(), &digest[..16])
}

fn subject(context: &Context<'_>, identity: &Identity<'_>) -> Subject {
    let id = &identity.node.id;
    let instance = identity.node.asserted_by.first().and_then(|at| context.graph.instances().get(*at));
    let header = instance.map(|instance| &instance.header);
    Subject {
        id: id.to_string(),
        kind: identity.node.kind.to_string(),
        name: identity.name.clone(),
        system: id.system().to_owned(),
        tenant: id.tenant().to_owned(),
        instance: header.map(|header| header.instance.clone()).unwrap_or_default(),
        instance_uid: header.map(|header| header.instance_uid.clone()).unwrap_or_default(),
    }
}

/// What it reaches, how it runs, and why the rule matters.
fn why(context: &Context<'_>, identity: &Identity<'_>, meta: &Meta) -> String {
    let grants: Vec<String> = identity.authority.decisive.iter().map(|grant| grant.short(context.graph)).collect();
    let domain = identity.authority.decisive.iter().find_map(|grant| grant.sensitive);
    let reach = domain.map(|domain| format!(", and can reach {}", domain.as_str())).unwrap_or_default();
    format!(
        "It holds {}: it {}{reach}. It can sign in unattended with {}; the automation behind it is not visible here. {}",
        grants.join(" and "),
        identity.authority.tier.meaning(),
        runs(context, identity),
        meta.why
    )
}

fn runs(context: &Context<'_>, identity: &Identity<'_>) -> String {
    match identity.way {
        Some(Way::Credential(credential)) => {
            let label = credential.kind.as_str();
            match credential.until {
                Until::At(end) => format!("a {label} valid until {}", date(end)),
                Until::Never | Until::Unknown => format!("a {label} that has no end"),
            }
        }
        Some(Way::Federation(edge)) => {
            let issuer = context.graph.node(edge.from).text(attr::ISSUER).map(display_name);
            format!("tokens of {}", issuer.unwrap_or_else(|| "another issuer".to_owned()))
        }
        Some(Way::Platform) | None => "credentials that the platform keeps".to_owned(),
    }
}

/// How the identity is entered, and what it reaches.
fn path(context: &Context<'_>, identity: &Identity<'_>, entry: Option<Hop>) -> Vec<Hop> {
    let graph = context.graph;
    let itself = format!("{} \"{}\"", identity.noun(), identity.name);
    let application = format!("application \"{}\"", identity.name);
    let entered = entry.or_else(|| sign_in(context, identity, &application, &itself));
    let by_application = entered.as_ref().is_some_and(|hop| hop.to == application);
    let mut path: Vec<Hop> = entered.into_iter().collect();
    if by_application {
        path.push(Hop {
            from: application,
            edge: "INSTANTIATES".to_owned(),
            to: itself.clone(),
            via: None,
            class: EvidenceClass::Structural,
        });
    }
    path.extend(identity.authority.decisive.iter().map(|grant| {
        let target = graph.node(grant.edge.to);
        let name = target.text(attr::NAME).unwrap_or_else(|| target.id.vendor_id());
        Hop {
            from: itself.clone(),
            edge: "GRANTED".to_owned(),
            to: format!("{} \"{}\"", noun(target.kind), display_name(name)),
            via: Some(grant.role.clone()),
            class: EvidenceClass::Direct,
        }
    }));
    path
}

fn sign_in(context: &Context<'_>, identity: &Identity<'_>, application: &str, itself: &str) -> Option<Hop> {
    let graph = context.graph;
    let (from, holder) = match identity.way? {
        Way::Credential(credential) => (credential.label(graph), credential.holder),
        Way::Federation(edge) => {
            let subject = graph.node(edge.from);
            let text = subject.text(attr::SUBJECT).unwrap_or_else(|| subject.id.vendor_id());
            (format!("federated subject \"{}\"", display_name(text)), edge.to)
        }
        Way::Platform => return None,
    };
    let to = if graph.node(holder).kind == NodeKind::Application { application } else { itself };
    let edge = "AUTHENTICATES_AS".to_owned();
    Some(Hop { from, edge, to: to.to_owned(), via: None, class: EvidenceClass::Direct })
}

fn grant_proof(context: &Context<'_>, grant: &Grant<'_>) -> Proof {
    let claim = format!("It holds {}.", grant.sentence(context.graph));
    evidence::of_edge(context.graph, grant.edge, EvidenceClass::Direct, claim)
}

/// What shows that the identity can run unattended.
fn anchor_proofs(context: &Context<'_>, identity: &Identity<'_>) -> Vec<Proof> {
    let graph = context.graph;
    let way = match identity.way {
        Some(Way::Credential(held)) => {
            let claim = format!("It can sign in with the {}.", held.label(graph));
            evidence::of_fact(graph, held.ix, attr::VALID_TO, EvidenceClass::Direct, claim)
        }
        Some(Way::Federation(edge)) => {
            let claim = "A federated subject can sign in as it.".to_owned();
            Some(evidence::of_edge(graph, edge, EvidenceClass::Direct, claim))
        }
        Some(Way::Platform) | None => None,
    };
    let enabled = format!("Sign-in of the {} is switched on.", identity.noun());
    let enabled = evidence::of_fact(graph, identity.ix, attr::ENABLED, EvidenceClass::Direct, enabled);
    way.into_iter().chain(enabled).collect()
}

/// Authority that was seen and could not be weighed.
fn unproven(identity: &Identity<'_>) -> Option<Narrowed> {
    let unproven = &identity.authority.unproven;
    let total: usize = unproven.values().sum();
    let reasons: Vec<&str> = unproven.keys().map(|reason| reason.as_str()).collect();
    (total > 0).then(|| Narrowed {
        claim: format!("What {} more would allow", counted(total, "grant", "grants")),
        reason: format!(
            "Custom roles, other APIs, conditions and eligible roles are not weighed ({}).",
            reasons.join(", ")
        ),
    })
}

/// Collections behind the proofs, and those that the rule needs as far as the instance reports on them at all: waiting
/// for one that no connector collects would keep a finding open for ever.
fn dependencies(context: &Context<'_>, identity: &Identity<'_>, proofs: &[Proof], meta: &Meta) -> BTreeSet<Dependency> {
    let mut all: BTreeSet<Dependency> = proofs.iter().filter_map(|proof| proof.dependency.clone()).collect();
    if let Some(at) = identity.node.asserted_by.first().copied() {
        let uid = context.graph.instances().get(at).map(|instance| instance.header.instance_uid.as_str());
        for name in meta.requires {
            if let (Some(uid), Some(_)) = (uid, context.graph.coverage(at, name).next()) {
                all.insert(Dependency { instance_uid: uid.to_owned(), collection: (*name).to_owned() });
            }
        }
    }
    all
}

/// The evidence in order, nothing twice from the same field of the same object.
fn distinct(proofs: Vec<Proof>) -> Vec<Evidence> {
    let mut seen = BTreeSet::new();
    proofs
        .into_iter()
        .map(|proof| proof.evidence)
        .filter(|evidence| {
            let source = &evidence.source;
            seen.insert((source.api.clone(), source.object.clone(), source.field.clone(), evidence.value.clone()))
        })
        .collect()
}
