//! Makes a finding of a rule's draft: adds what every finding says alike. Who it is about, who answers, how it runs,
//! what it reaches, how severe that is, and what is not proven.

use std::collections::{BTreeMap, BTreeSet};

use sv0_graph::{CoverageState, Edge, EdgeKind, Graph, Header, Node, NodeIx, NodeKind, Tri, attr, canonical};

use crate::authority::{self, Authority, Grant};
use crate::behind::Behind;
use crate::composed;
use crate::composite::severity_of;
use crate::cut;
use crate::derive::Composition;
use crate::evidence::{self, Mark, Proof};
use crate::finding::{
    Accountable, AccountableState, Claim, Dependency, Evidence, EvidenceClass, Hop, Narrowed, RuleFinding, RuleRef,
    Severity, Subject, Weighed,
};
use crate::identity::{self, Identity, Until, Way, noun};
use crate::rule::{Context, Draft, Marked, Meta, Reach};
use crate::severity::{Exposure, Tier, severity};
use crate::summary::{self, TenantDraft};
use crate::text::{counted, date, display_name};

/// Most steps of remediation that a finding has.
pub(crate) const REMEDIATION: usize = 4;

/// The finding of `meta` about `identity`.
pub(crate) fn finding(context: &Context<'_>, identity: &Identity<'_>, meta: &Meta, draft: Draft) -> RuleFinding {
    let authority = &identity.authority;
    let (tier, sensitive) = weigh(authority, &draft);
    let severity = severity_of(meta.id, tier, draft.exposure, sensitive, draft.claim);
    let subject = subject(context, identity.node, identity.name.clone());
    let raised = raised(meta, tier, sensitive, &draft, severity);
    let behind = Behind::of(context, identity);
    let why = why(context, identity, meta, (draft.reach.as_ref(), &behind.says), raised);
    // A rule that names who enters tells of that way, whatever runs besides.
    let mut whole_path = if draft.entry.is_none() { behind.hops } else { Vec::new() };
    whole_path.extend(path(context, identity, draft.entry, draft.reach.as_ref()));
    let mut proofs = proofs(context, identity, draft.proofs);
    proofs.extend(behind.proofs);
    let depends_on = dependencies(context, identity.node, &proofs, meta);
    let cut = match draft.reach {
        Some(reach) => reach.cut,
        None => cut::decisive(context, identity, (meta, draft.claim), (tier, sensitive.is_true())),
    };
    let mut narrowed = draft.narrowed;
    narrowed.extend(unproven(identity));
    let (evidence, path) = numbered(proofs, whole_path);
    RuleFinding {
        name: name(meta, &subject.id, ""),
        rule: RuleRef { id: meta.id.to_owned(), version: meta.version.to_owned(), claim: draft.claim },
        family: meta.family,
        category: meta.category.to_owned(),
        severity,
        severity_rank: severity.rank(),
        weighed: Weighed { tier, exposure: draft.exposure, sensitive: sensitive.is_true() },
        title: draft.title,
        why,
        subject,
        accountable: identity.owners.accountable(context.graph),
        path,
        evidence,
        evidence_omitted: 0,
        narrowed,
        // The edge to cut before what is said of all alike: it is kept whatever has to give way.
        remediation: cut
            .into_iter()
            .chain(meta.remediation.iter().map(|step| (*step).to_owned()))
            .take(REMEDIATION)
            .collect(),
        standards: meta.standards.iter().map(|standard| (*standard).to_owned()).collect(),
        depends_on,
        through: None,
        tells: BTreeSet::new(),
    }
}

/// Class and sensitivity of the most severe path, both of one and the same: of equals, the strongest.
fn weigh(authority: &Authority<'_>, draft: &Draft) -> (Tier, Tri) {
    if let Some(reach) = &draft.reach {
        return (reach.tier, reach.sensitive);
    }
    weight(authority, draft.exposure, draft.claim)
}

/// Class and sensitivity of the most severe path of all that is proven. A way through others counts from its first step to
/// what is held at its end.
pub(crate) fn weight(authority: &Authority<'_>, exposure: Exposure, claim: Claim) -> (Tier, Tri) {
    let through: Vec<(Tier, Tri)> = authority.compositions().map(Composition::weight).collect();
    let paths = through.into_iter().chain(authority.decisive.iter().map(Grant::weight));
    heaviest(paths, exposure, claim).unwrap_or((authority.tier, Tri::False))
}

/// The most severe of these; of equals the first one that a finding can be about.
pub(crate) fn heaviest(
    paths: impl DoubleEndedIterator<Item = (Tier, Tri)>,
    exposure: Exposure,
    claim: Claim,
) -> Option<(Tier, Tri)> {
    let key = |(tier, sensitive): &(Tier, Tri)| {
        let in_lane = *tier <= Tier::P2 || sensitive.is_true();
        (severity(*tier, exposure, *sensitive, claim, Tri::False), in_lane)
    };
    paths.rev().max_by_key(key)
}

/// The finding of `meta` about the tenant at `ix`, which explains `told`. Its path is that of the most severe of these,
/// and it rests on all that they rest on: while one of them cannot be proven gone, neither can this.
pub(crate) fn of_tenant(
    context: &Context<'_>,
    ix: NodeIx,
    meta: &Meta,
    draft: TenantDraft,
    told: &[&RuleFinding],
) -> RuleFinding {
    let (severity, weighed) = summary::heaviest(draft.exposure, told);
    let node = context.graph.node(ix);
    let subject = subject(context, node, own_name(node));
    let mut depends_on = dependencies(context, node, &draft.proofs, meta);
    depends_on.extend(told.iter().flat_map(|told| told.depends_on.iter().cloned()));
    RuleFinding {
        name: name(meta, &subject.id, ""),
        rule: RuleRef { id: meta.id.to_owned(), version: meta.version.to_owned(), claim: Claim::Full },
        family: meta.family,
        category: meta.category.to_owned(),
        severity,
        severity_rank: severity.rank(),
        weighed,
        title: draft.title,
        why: draft.why,
        subject,
        accountable: Accountable {
            state: AccountableState::Unknown,
            parties: Vec::new(),
            total: 0,
            reason: Some("Who answers for the policies of a tenant is not recorded in it.".to_owned()),
        },
        path: told.first().map(|told| told.path.clone()).unwrap_or_default(),
        evidence: numbered(draft.proofs, Vec::new()).0,
        evidence_omitted: 0,
        narrowed: draft.narrowed,
        remediation: meta.remediation.iter().map(|step| (*step).to_owned()).collect(),
        standards: meta.standards.iter().map(|standard| (*standard).to_owned()).collect(),
        depends_on,
        through: None,
        tells: BTreeSet::new(),
    }
}

/// All proofs, most important first: what the rule rests on, what the identity reaches, then whatever there is more of
/// each, and that it can run.
fn proofs(context: &Context<'_>, identity: &Identity<'_>, deciding: Vec<Proof>) -> Vec<Proof> {
    let mut deciding = deciding.into_iter();
    let graph = context.graph;
    let mut grants = identity.authority.decisive.iter().flat_map(|grant| grant_proofs(graph, "It", grant));
    let told = &identity.authority.decisive;
    let compositions = identity.authority.compositions();
    let mut composition = compositions.flat_map(|composition| composed::proofs(graph, composition, told));
    let composed = identity.authority.composed();
    let owner = composed.is_some_and(|composition| composition.first_grant().is_none());
    let mut all: Vec<Proof> = deciding.next().into_iter().collect();
    all.extend(if owner { composition.next() } else { grants.next() });
    all.extend(deciding);
    all.extend(composition);
    all.extend(grants);
    all.extend(anchor_proofs(context, identity));
    all
}

/// Deterministic name of the finding of a rule about a subject.
pub(crate) fn name(meta: &Meta, subject: &str, discriminator: &str) -> String {
    let key = [meta.id, meta.major(), subject, discriminator].join("\n");
    let digest = canonical::sha256_hex(key.as_bytes());
    format!("{}-{}", meta.id.to_ascii_lowercase(), &digest[..16])
}

pub(crate) fn subject(context: &Context<'_>, node: &Node, name: String) -> Subject {
    let id = &node.id;
    let instance = node.asserted_by.first().and_then(|at| context.graph.instances().get(*at));
    let header = instance.map(|instance| &instance.header);
    Subject {
        id: id.to_string(),
        kind: node.kind.to_string(),
        name,
        system: id.system().to_owned(),
        tenant: id.tenant().to_owned(),
        instance: header.map(|header| header.instance.clone()).unwrap_or_default(),
        instance_uid: header.map(|header| header.instance_uid.clone()).unwrap_or_default(),
    }
}

/// What it reaches, how it runs, and why the rule matters.
fn why(
    context: &Context<'_>,
    identity: &Identity<'_>,
    meta: &Meta,
    (reach, behind): (Option<&Reach>, &str),
    raised: &str,
) -> String {
    let says = reach.map_or_else(|| holds(context.graph, &identity.authority), |reach| reach.says.clone());
    format!("{says}. It can sign in unattended with {}; {behind}. {}{raised}", runs(context, identity), meta.why)
}

/// A sentence when it is sensitive data that makes the finding as severe as it is.
fn raised(meta: &Meta, tier: Tier, sensitive: Tri, draft: &Draft, result: Severity) -> &'static str {
    if severity_of(meta.id, tier, draft.exposure, Tri::False, draft.claim) == result || !sensitive.is_true() {
        return "";
    }
    " Sensitive data raises the severity."
}

/// What something holds by itself and reaches.
pub(crate) fn holds(graph: &Graph, authority: &Authority<'_>) -> String {
    let grants: Vec<String> = authority.decisive.iter().map(|grant| grant.short(graph)).collect();
    let domain = authority.decisive.iter().find_map(|grant| grant.sensitive);
    // What its own grants reach as well says nothing new.
    let behind = authority
        .compositions()
        .find_map(|composition| composition.held.sensitive)
        .filter(|data| domain != Some(*data));
    if let (Tier::P4, Some(domain)) = (authority.tier, domain) {
        return format!("It holds {}, and so can reach {}", grants.join(" and "), domain.as_str());
    }
    let reach = domain.map(|domain| format!(", and can reach {}", domain.as_str())).unwrap_or_default();
    let through = authority.composed().map(|_| " by adding a credential to another application").unwrap_or_default();
    // What it reaches as another is told apart from what its own grants reach.
    let behind = match (behind, through) {
        (Some(domain), "") => {
            format!(", and by adding a credential to another application reaches {}", domain.as_str())
        }
        (Some(domain), _) => format!(", and so reaches {}", domain.as_str()),
        (None, _) => String::new(),
    };
    let mut has: Vec<String> = authority.compositions().filter_map(|way| composed::owns(graph, way)).collect();
    has.dedup();
    has.extend((!grants.is_empty()).then(|| format!("holds {}", grants.join(" and "))));
    format!("It {}: it {}{through}{reach}{behind}", has.join(" and "), authority.tier.meaning())
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
fn path(context: &Context<'_>, identity: &Identity<'_>, entry: Option<Marked>, reach: Option<&Reach>) -> Vec<Marked> {
    let graph = context.graph;
    let itself = itself(identity);
    let application = application(graph, identity);
    let entered = entry.or_else(|| sign_in(context, identity));
    let by_application = entered.as_ref().is_some_and(|entered| entered.hop.to == application);
    let mut path: Vec<Marked> = entered.into_iter().collect();
    if by_application {
        let instance = identity.application.map(Mark::edge);
        path.push(hop(&application, EdgeKind::Instantiates, &itself, (None, EvidenceClass::Structural), instance));
    }
    if let Some(reach) = reach {
        path.extend(reach.hops.iter().cloned());
        return path;
    }
    path.extend(reached(graph, &itself, &identity.authority));
    path
}

/// From `holder` to what it reaches.
pub(crate) fn reached(graph: &Graph, holder: &str, authority: &Authority<'_>) -> Vec<Marked> {
    let mut hops: Vec<Marked> = authority.decisive.iter().flat_map(|grant| grant_hops(graph, holder, grant)).collect();
    for composition in authority.compositions() {
        hops.extend(composed::hops(graph, holder, composition, &authority.decisive));
    }
    hops
}

pub(crate) fn grant_hops(graph: &Graph, holder: &str, grant: &Grant<'_>) -> Vec<Marked> {
    let mut hops = Vec::new();
    let mut from = holder.to_owned();
    for member in &grant.members {
        let group = label(graph, member.to);
        hops.push(hop(&from, EdgeKind::MemberOf, &group, (None, EvidenceClass::Direct), Some(Mark::edge(member))));
        from = group;
    }
    let to = label(graph, grant.edge.to);
    let held = (Some(grant.role.clone()), EvidenceClass::Direct);
    hops.push(hop(&from, EdgeKind::Granted, &to, held, Some(Mark::edge(grant.edge))));
    hops
}

/// A hop, with the role or permission on it and how it is known.
pub(crate) fn hop(
    from: &str,
    edge: EdgeKind,
    to: &str,
    (via, class): (Option<String>, EvidenceClass),
    marks: impl IntoIterator<Item = Mark>,
) -> Marked {
    let hop = Hop { from: from.to_owned(), edge: edge.to_string(), to: to.to_owned(), via, class, evidence: None };
    Marked { hop, marks: marks.into_iter().collect() }
}

/// `tenant "Contoso"`.
pub(crate) fn label(graph: &Graph, ix: NodeIx) -> String {
    let node = graph.node(ix);
    format!("{} \"{}\"", noun(node.kind), own_name(node))
}

/// Its name, or else its id, made harmless.
pub(crate) fn own_name(node: &Node) -> String {
    display_name(node.text(attr::NAME).unwrap_or_else(|| node.id.vendor_id()))
}

pub(crate) fn itself(identity: &Identity<'_>) -> String {
    format!("{} \"{}\"", identity.noun(), identity.name)
}

/// The identity's application; an agent identity's is its blueprint, with a name of its own.
fn application(graph: &Graph, identity: &Identity<'_>) -> String {
    let own = identity.application.and_then(|edge| graph.node(edge.from).text(attr::NAME)).map(display_name);
    format!("application \"{}\"", own.unwrap_or_else(|| identity.name.clone()))
}

/// What `holder` is called on a path.
fn entered(graph: &Graph, identity: &Identity<'_>, holder: NodeIx) -> String {
    if graph.node(holder).kind == NodeKind::Application { application(graph, identity) } else { itself(identity) }
}

fn sign_in(context: &Context<'_>, identity: &Identity<'_>) -> Option<Marked> {
    match identity.way? {
        Way::Credential(credential) => {
            let to = entered(context.graph, identity, credential.holder);
            let from = credential.label(context.graph);
            let end = Mark::fact(context.graph, credential.ix, attr::VALID_TO);
            Some(hop(&from, EdgeKind::AuthenticatesAs, &to, (None, EvidenceClass::Direct), end))
        }
        Way::Federation(edge) => Some(federated(context, identity, edge)),
        Way::Platform => None,
    }
}

/// How a federated subject enters the identity.
pub(crate) fn federated(context: &Context<'_>, identity: &Identity<'_>, edge: &Edge) -> Marked {
    let subject = context.graph.node(edge.from);
    let text = subject.text(attr::SUBJECT).or_else(|| subject.text(attr::MATCHING_EXPRESSION));
    let from = format!("federated subject \"{}\"", display_name(text.unwrap_or_else(|| subject.id.vendor_id())));
    let to = entered(context.graph, identity, edge.to);
    let facts = [attr::MATCHING_EXPRESSION, attr::SUBJECT, attr::AUDIENCES];
    let facts = facts.into_iter().filter_map(|key| Mark::fact(context.graph, edge.from, key));
    let marks = [Mark::edge(edge)].into_iter().chain(facts);
    hop(&from, EdgeKind::AuthenticatesAs, &to, (None, EvidenceClass::Direct), marks)
}

/// The grant; with the memberships when it is a group's, as the derivation `group-membership/1`.
pub(crate) fn grant_proofs(graph: &Graph, who: &str, grant: &Grant<'_>) -> Vec<Proof> {
    let sentence = grant.sentence(graph);
    let Some(group) = grant.group(graph) else {
        let claim = format!("{who} holds {sentence}.");
        return vec![evidence::of_edge(graph, grant.edge, EvidenceClass::Direct, claim)];
    };
    let derived = format!("{who} holds {sentence} as a member of the group \"{group}\" (group-membership/1).");
    let mut proofs = vec![evidence::of_edge(graph, grant.edge, EvidenceClass::Structural, derived)];
    let mut member = who.to_owned();
    for edge in &grant.members {
        let group = label(graph, edge.to);
        let claim = format!("{member} is a member of the {group}.");
        proofs.push(evidence::of_edge(graph, edge, EvidenceClass::Direct, claim));
        member = format!("The {group}");
    }
    proofs
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
    let reasons: Vec<&str> = unproven.keys().map(|reason| reason.sentence()).collect();
    (total > 0).then(|| Narrowed {
        claim: format!("What {} more would allow", counted(total, "grant", "grants")),
        reason: format!(
            "Custom roles, other APIs, conditions and eligible roles are not weighed: {}.",
            reasons.join("; ")
        ),
    })
}

/// Whatever the rule: where it is read that an identity exists and can run unattended. What it holds stands in
/// [`authority::COLLECTIONS`] and [`authority::MEMBERS`].
const ANCHORS: [&str; 3] = ["servicePrincipals", "applications", "federatedCredentials"];

/// Collections behind the proofs, those that the rule needs, and those that say whether the identity runs and what it
/// holds: that it does not any more is proven by nothing less. So of every instance of the tenant, each of which may have
/// read what the others did not. Only what an instance reports on and was to read: waiting for what nobody collects would
/// keep a finding open for ever.
pub(crate) fn dependencies(context: &Context<'_>, node: &Node, proofs: &[Proof], meta: &Meta) -> BTreeSet<Dependency> {
    let mut all: BTreeSet<Dependency> = proofs.iter().filter_map(|proof| proof.dependency.clone()).collect();
    let identity = identity::is_identity(node);
    let lane = ANCHORS.into_iter().chain(authority::COLLECTIONS).chain([authority::MEMBERS]).filter(|_| identity);
    let agents = identity::AGENTS.into_iter().filter(|_| node.kind == NodeKind::AgentIdentity);
    let names: Vec<&str> = meta.requires.iter().copied().chain(lane).chain(agents).collect();
    for (at, instance) in context.graph.instances().iter().enumerate() {
        let Header { instance_uid, system, tenant, .. } = &instance.header;
        if (system.as_str(), tenant.as_str()) != (node.id.system(), node.id.tenant()) {
            continue;
        }
        let read = |name: &&str| context.graph.coverage(at, name).any(|row| row.state != CoverageState::Skipped);
        let read = names.iter().copied().filter(read).map(str::to_owned);
        all.extend(read.map(|collection| Dependency { instance_uid: instance_uid.clone(), collection }));
    }
    all
}

/// The evidence in order, nothing twice from the same field of the same object; and the hops of the path, each with the
/// number of the piece that is about it.
pub(crate) fn numbered(proofs: Vec<Proof>, path: Vec<Marked>) -> (Vec<Evidence>, Vec<Hop>) {
    let mut seen: BTreeMap<(&str, &str, &str, Option<&str>), u32> = BTreeMap::new();
    let mut marks: Vec<(Mark, u32)> = Vec::with_capacity(proofs.len());
    let mut new = Vec::with_capacity(proofs.len());
    for proof in &proofs {
        let source = &proof.evidence.source;
        let next = u32::try_from(seen.len()).unwrap_or(u32::MAX).saturating_add(1);
        let key = (&*source.object, &*source.field, &*source.api, proof.evidence.value.as_deref());
        let number = *seen.entry(key).or_insert(next);
        marks.extend(proof.mark.map(|mark| (mark, number)));
        new.push(number == next);
    }
    let evidence = proofs.into_iter().zip(new).filter_map(|(proof, new)| new.then_some(proof.evidence)).collect();
    let number = |mark: &Mark| marks.iter().find(|(known, _)| known == mark).map(|(_, number)| *number);
    let path = path.into_iter().map(|Marked { hop, marks }| Hop { evidence: marks.iter().find_map(number), ..hop });
    let path = path.collect();
    (evidence, path)
}
