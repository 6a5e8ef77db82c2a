//! DRIFT-003: a privileged identity can be signed in with something that was not there in the baseline.
//!
//! A rotation adds one credential and removes another, or adds one before another ends: that is told as hygiene only. A
//! key that moved between an application and its service principal is no new one, nor is a certificate that was recorded
//! twice, nor a trust in the same workload that was made anew. What has ended already signs nobody in. An agent identity
//! has the keys of its blueprint: nothing is said of it unless the blueprints can be compared too. What may sign it in, by
//! a record of which it is not known whether it holds, is told as the narrower claim, and where it stood in the baseline it
//! is not new.
//!
//! Who added a credential is told where the vendor's audit records of the last 30 days name them. They decide nothing: a
//! finding neither needs them nor waits for them.

use sv0_graph::{Edge, EdgeKind, NodeKind, Tri, UnknownReason, attr};

use super::baseline::{Before, Trust, key_id};
use super::compare::{At, Comparison, OBJECTS};
use super::known::{Keys, Trusts};
use super::{Drift, DriftRule};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{AGENTS, Credential, CredentialType, Home, Identity, Until, noun};
use crate::owners;
use crate::rule::{Context, Draft, Meta, Scope};
use crate::severity::{Exposure, Tier};
use crate::shared;
use crate::text::{counted, date, days_after, display_name, doubt};
use crate::tiers;

/// Where federated trusts are read.
const TRUSTS: &str = "federatedCredentials";

/// Where the keys of agent identities are read, wherever their blueprints stand.
const KEYS_OF_AGENTS: [&str; 4] = [OBJECTS[0], OBJECTS[1], AGENTS[0], AGENTS[1]];

pub(super) const RULE: DriftRule = DriftRule {
    meta: Meta {
        id: "DRIFT-003",
        version: "1.2.0",
        family: Family::ScopeDrift,
        category: "NewAuthenticator",
        title: "A privileged identity can sign in with something that it had not in the accepted snapshot",
        narrower: Some("A credential or trust was added to a privileged identity that may sign it in"),
        why: "Whoever adds a credential to a privileged identity can act as it from then on.",
        remediation: &[
            "Ask whoever is named here to have added it; where nobody is, ask the owner and look in the directory's audit log.",
            "Remove it when nobody claims it; else accept a newer snapshot as the baseline.",
        ],
        standards: &["OWASP NHI1", "OWASP NHI7", "ATT&CK T1098.001", "CIS v8.1 5.1", "NIST 800-53 AC-2(4)"],
        requires: &["servicePrincipals", "applications", TRUSTS, AGENTS[0], AGENTS[1]],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "Somebody who was in for an hour left a secret of his own behind.",
    },
    check,
};

fn check(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<Drift> {
    if identity.home == Home::Microsoft || identity.authority.tier > Tier::P1 {
        return None;
    }
    let of_agent = identity.node.kind == NodeKind::AgentIdentity;
    let objects = compare.all(if of_agent { &KEYS_OF_AGENTS } else { &OBJECTS })?;
    let keys = keys(compare.context, before, identity);
    let (sure, unsure): (Vec<&Credential>, Vec<_>) = keys.into_iter().partition(|held| signs_in(held).is_true());
    let trusts = if compare.comparable(TRUSTS) { trusts(compare.context, before, identity) } else { Vec::new() };
    let as_of = compare.context.as_of;
    let (trusted, doubtful): (Vec<&Edge>, Vec<_>) = trusts.into_iter().partition(|edge| edge.holds(as_of).is_true());
    let proven = !sure.is_empty() || !trusted.is_empty();
    let (told, trusts) = if proven { (&sure, trusted) } else { (&unsure, doubtful) };
    if told.is_empty() && trusts.is_empty() {
        return None;
    }
    let claim = if proven { Claim::Full } else { Claim::Narrower };
    let rotated = trusts.is_empty() && rotated(compare.context, before, identity, told);
    let exposure = exposure(compare.context, rotated, &trusts);
    let day = compare.day(OBJECTS[0]);
    let title = title(identity, claim, (told.len(), trusts.len()), rotated, &day);
    let proofs = proofs(compare, before, identity, told, &trusts);
    let narrowed = if proven { Vec::new() } else { not_known(compare.context, told, &trusts) };
    let draft = Draft { claim, exposure, title, proofs, narrowed, entry: None, reach: None };
    let mut compared = objects;
    compared.extend((!trusts.is_empty()).then_some(TRUSTS));
    Some(Drift { draft, compared })
}

/// Credentials that were not there before, may sign it in and have not ended.
fn keys<'a>(context: &Context<'_>, before: &Before, identity: &'a Identity<'_>) -> Vec<&'a Credential> {
    let graph = context.graph;
    let then = Keys::of(before.credentials.iter().map(|key| (key.thumbprint.as_deref(), key.id.as_str())));
    let ended = |held: &Credential| matches!(held.until, Until::At(end) if end <= context.as_of);
    let there =
        |held: &Credential| then.find(shared::thumbprint(graph, held.ix).as_deref(), key_id(graph, held.ix)).is_some();
    let new = |held: &&Credential| !signs_in(held).is_false() && !ended(held) && !there(held);
    identity.credentials.iter().filter(new).collect()
}

/// Whether it is a key that signs its holder in, and is the holder's.
fn signs_in(held: &Credential) -> Tri {
    held.client_auth.and(held.held)
}

fn trusts<'g>(context: &Context<'_>, before: &Before, identity: &Identity<'g>) -> Vec<&'g Edge> {
    let then = Trusts::of(&before.trusts);
    let new = |edge: &&Edge| !then.has(&Trust::of(context.graph, edge));
    identity.federations.iter().copied().filter(new).collect()
}

/// Whether for each new credential another one of its type is gone, or is about to end.
fn rotated(context: &Context<'_>, before: &Before, identity: &Identity<'_>, new: &[&Credential]) -> bool {
    let graph = context.graph;
    let soon = days_after(context.as_of, context.config.expiry_warn_days);
    let held = &identity.credentials;
    let prints: Vec<_> = held.iter().map(|held| shared::thumbprint(graph, held.ix)).collect();
    let now = prints.iter().zip(held).map(|(print, held)| (print.as_deref(), key_id(graph, held.ix)));
    let now = Keys::of(now);
    [CredentialType::Secret, CredentialType::Certificate, CredentialType::Other].into_iter().all(|kind| {
        let of_kind = |held: &&&Credential| held.kind == kind;
        let added = new.iter().filter(of_kind).count();
        let replaced = before.credentials.iter().filter(|key| key.kind == kind).filter(|key| {
            let kept = now.find(key.thumbprint.as_deref(), &key.id).and_then(|at| identity.credentials.get(at));
            kept.is_none_or(|held| matches!((held.until, soon), (Until::At(end), Some(soon)) if end <= soon))
        });
        added <= replaced.count()
    })
}

/// A trust whose issuer serves anybody, or is another directory, lets somebody outside in.
fn exposure(context: &Context<'_>, rotated: bool, trusts: &[&Edge]) -> Exposure {
    let outside = |edge: &&&Edge| {
        let node = context.graph.node(edge.from);
        let Some(issuer) = node.text(attr::ISSUER) else { return false };
        let trusted = context.config.trusted_tenants.iter().any(|known| names(issuer, known));
        let own = names(issuer, node.id.tenant());
        tiers::multi_tenant_issuer(issuer).is_some() || (is_directory(issuer) && !own && !trusted)
    };
    match (rotated, trusts.iter().find(outside)) {
        (_, Some(_)) => Exposure::X0,
        (true, None) => Exposure::X3,
        (false, None) => Exposure::X1,
    }
}

/// Issuers of Entra's own tokens, in every cloud.
fn is_directory(issuer: &str) -> bool {
    const HOSTS: [&str; 4] = [
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "sts.windows.net",
    ];
    let host = issuer.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| HOSTS.iter().any(|known| host.eq_ignore_ascii_case(known)))
}

/// Whether one part of the issuer's path is `tenant`.
fn names(issuer: &str, tenant: &str) -> bool {
    issuer.split('/').any(|part| part.eq_ignore_ascii_case(tenant))
}

fn title(identity: &Identity<'_>, claim: Claim, counts: (usize, usize), rotated: bool, day: &str) -> String {
    let (keys, trusts) = counts;
    let name = &identity.name;
    let keys = (keys > 0).then(|| counted(keys, "credential", "credentials"));
    let trusts = (trusts > 0).then(|| counted(trusts, "federated trust", "federated trusts"));
    let what = keys.into_iter().chain(trusts).collect::<Vec<_>>().join(" and ");
    match (claim, rotated) {
        (Claim::Narrower, _) => format!("{what} that may sign in \"{name}\" came since {day}"),
        (Claim::Full, true) => format!("{what} of \"{name}\" came since {day}, as in a rotation"),
        (Claim::Full, false) => format!("{what} that can sign in \"{name}\" came since {day}"),
    }
}

/// Why it is not proven that any of these signs the identity in.
fn not_known(context: &Context<'_>, keys: &[&Credential], trusts: &[&Edge]) -> Vec<Narrowed> {
    let holds = keys.iter().map(|held| held.held).chain(trusts.iter().map(|edge| edge.holds(context.as_of)));
    let record = holds.filter_map(|holds| if let Tri::Unknown(reason) = holds { Some(reason) } else { None }).min();
    let unread = keys.iter().any(|held| held.client_auth.is_unknown());
    let unread = unread.then(|| "What the key is for was not read.".to_owned());
    let record = record.map(|reason: UnknownReason| format!("Of the record of it, {}.", doubt(reason)));
    let claim = || "That it signs the identity in".to_owned();
    unread.into_iter().chain(record).map(|reason| Narrowed { claim: claim(), reason }).collect()
}

fn proofs(
    compare: &Comparison<'_, '_>,
    before: &Before,
    identity: &Identity<'_>,
    keys: &[&Credential],
    trusts: &[&Edge],
) -> Vec<Proof> {
    let graph = compare.context.graph;
    let of_key = |held: &&Credential| {
        // Edges are in the order of their ends: one holder may have so many that each is not searched for among all.
        let all = graph.out(held.holder, EdgeKind::HoldsCredential);
        let holds = all.get(all.partition_point(|edge| edge.to < held.ix)).filter(|edge| edge.to == held.ix)?;
        let says = format!("It has the {}.", held.label(graph));
        Some(evidence::of_edge(graph, holds, EvidenceClass::Direct, says))
    };
    let key = |held: &&Credential| of_key(held).into_iter().chain(added(compare, held));
    let of_trust = |edge: &&Edge| {
        let node = graph.node(edge.from);
        let text = node.text(attr::SUBJECT).or_else(|| node.text(attr::MATCHING_EXPRESSION));
        let subject = display_name(text.unwrap_or_else(|| node.id.vendor_id()));
        let issuer = display_name(node.text(attr::ISSUER).unwrap_or_default());
        let says = format!("It accepts tokens of {issuer} for \"{subject}\".");
        evidence::of_edge(graph, edge, EvidenceClass::Direct, says)
    };
    let object = identity.node.id.vendor_id();
    let labels: Vec<&str> = before.credentials.iter().map(|key| key.label.as_str()).collect();
    let value = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
    let says = format!("It had {}", counted(labels.len(), "credential", "credentials"));
    let had_keys =
        compare.was(&At { collection: OBJECTS[0], object, field: "keyId" }, &value, &says).filter(|_| !keys.is_empty());
    let count = before.trusts.len();
    let says = format!("It had {}", counted(count, "federated trust", "federated trusts"));
    let had_trusts = compare
        .was(&At { collection: TRUSTS, object, field: "subject" }, &count.to_string(), &says)
        .filter(|_| !trusts.is_empty());
    let first = keys.iter().flat_map(key).chain(trusts.iter().map(of_trust));
    first.chain(had_keys).chain(had_trusts).collect()
}

/// Who added it, by the last audit record since the baseline: an earlier one is about a key that was taken away again.
fn added(compare: &Comparison<'_, '_>, held: &Credential) -> Option<Proof> {
    let graph = compare.context.graph;
    let then = compare.taken_at(OBJECTS[0])?;
    let records = graph.out(held.ix, EdgeKind::CreatedBy).iter();
    let (since, record) = records
        .filter_map(|edge| Some((edge.since.filter(|since| *since >= then)?, edge)))
        .max_by_key(|(at, _)| *at)?;
    let who = graph.node(record.to);
    let name = owners::name(graph, record.to).unwrap_or_else(|| display_name(who.id.vendor_id()));
    let by = if who.kind == NodeKind::Human { String::new() } else { format!("the {} ", noun(who.kind)) };
    let claim = format!("The {} was added by {by}\"{name}\" on {}.", held.label(graph), date(since));
    Some(Proof { dependency: None, ..evidence::of_edge(graph, record, EvidenceClass::Temporal, claim) })
}
