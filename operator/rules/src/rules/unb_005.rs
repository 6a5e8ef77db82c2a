//! UNB-005: an application permission that reaches the data of everybody.
//!
//! Only grants count: what an application asks for, and what it may do for a signed-in user, is not its own authority.
//! `Sites.Selected` and its like reach what somebody selected and are not in the table. Exchange can limit an
//! application to some mailboxes, which is not collected: where nothing else is reached, the narrower claim says so.
//!
//! An application that it can act as counts like its own permission. Where that may refuse credentials, the narrower claim
//! is made.

use sv0_graph::Tri;

use crate::assemble;
use crate::authority::Grant;
use crate::composed;
use crate::derive::Composition;
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Reach, Rule, Scope};
use crate::sensitive::Sensitive;
use crate::severity::{Exposure, severity};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "UNB-005",
        version: "1.2.0",
        family: Family::UnboundedExecutionScope,
        category: "TenantWideData",
        title: "An identity that can run unattended reaches the data of everybody in the tenant",
        narrower: Some(
            "It reaches the mailboxes of everybody unless Exchange limits it to some, or the application that it can act \
             as may refuse credentials",
        ),
        why: "An application permission has no user whose rights would bound it.",
        remediation: &[
            "Replace it by a selected permission, such as Sites.Selected, and grant the sites it needs.",
            "Limit mailbox access in Exchange by RBAC for Applications.",
            "Remove permissions that its definition does not use.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1114.002", "ATT&CK T1213.002", "ATT&CK T1528", "NIST 800-53 AC-6"],
        requires: &[
            "servicePrincipals",
            "applications",
            "directoryRoleAssignments",
            "appRoleAssignments",
            "applicationOwners",
            "servicePrincipalOwners",
            "groups",
            "groupMembers",
        ],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Structural],
        scope: Scope::Core,
        story: "A reporting tool that can read every file of every employee.",
    },
    check,
};

const EXPOSURE: Exposure = Exposure::X1;

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft {
        return None;
    }
    let authority = &identity.authority;
    let personal = |grant: &&Grant<'_>| grant.sensitive.is_some_and(Sensitive::is_everybodys);
    let (limited, wide): (Vec<&Grant<'_>>, Vec<&Grant<'_>>) =
        authority.proven.iter().filter(personal).partition(|grant| limited(grant));
    let acting = authority.everybodys.as_ref();
    let proven = acting.filter(|way| way.state.is_true());
    let draft = match (proven, limited.first()) {
        _ if !wide.is_empty() => by_grants(context, identity, Claim::Full, &wide),
        (Some(way), _) => by_another(context, identity, way),
        (None, Some(_)) => by_grants(context, identity, Claim::Narrower, &limited),
        (None, None) => match (authority.mailboxes.as_ref(), acting) {
            (Some(way), _) => by_another(context, identity, way),
            (None, Some(way)) => possible(context, identity, way),
            (None, None) => return None,
        },
    };
    let narrowed = limited.first().map(|grant| exchange(grant)).into_iter().chain(draft.narrowed).collect();
    Some(Draft { narrowed, ..draft })
}

fn limited(grant: &Grant<'_>) -> bool {
    grant.sensitive.is_some_and(Sensitive::limited_by_exchange)
}

fn exchange(grant: &Grant<'_>) -> Narrowed {
    Narrowed {
        claim: format!("That {} is tenant-wide", grant.role),
        reason: "It is unless scoped in Exchange, and Exchange's scopes are not collected.".to_owned(),
    }
}

fn by_grants(context: &Context<'_>, identity: &Identity<'_>, claim: Claim, told: &[&Grant<'_>]) -> Draft {
    let role = told.first().map(|grant| grant.role.as_str()).unwrap_or_default();
    let more = if told.len() > 1 { format!(" and {} more", told.len() - 1) } else { String::new() };
    let title = match claim {
        Claim::Full => format!("\"{}\" reaches everybody's data with {role}{more}", identity.name),
        Claim::Narrower => format!("\"{}\" reaches everybody's mailboxes unless Exchange limits it", identity.name),
    };
    Draft { proofs: told.iter().map(|grant| proof(context, grant)).collect(), ..draft(claim, title) }
}

/// By an application that it can act as.
fn by_another(context: &Context<'_>, identity: &Identity<'_>, way: &Composition<'_>) -> Draft {
    let graph = context.graph;
    let (claim, title, narrowed) = if limited(&way.held) {
        let title =
            format!("\"{}\" can act as an application that reads mailboxes unless Exchange limits it", identity.name);
        (Claim::Narrower, title, vec![exchange(&way.held)])
    } else {
        let title = format!("\"{}\" can act as an application that reaches everybody's data", identity.name);
        (Claim::Full, title, Vec::new())
    };
    let reach = Some(reach(context, identity, way, claim));
    Draft { proofs: composed::proofs(graph, way, &[]), narrowed, reach, ..draft(claim, title) }
}

/// That way; and where something else that it holds weighs more, that first: it is what makes the finding as severe.
fn reach(context: &Context<'_>, identity: &Identity<'_>, way: &Composition<'_>, claim: Claim) -> Reach {
    let (graph, authority, itself) = (context.graph, &identity.authority, assemble::itself(identity));
    let weigh = |(tier, sensitive)| severity(tier, EXPOSURE, sensitive, claim, Tri::False);
    let (alone, most) = (way.weight(), assemble::weight(authority, EXPOSURE, claim));
    let cut = composed::cut(context, &[way]);
    let says = composed::reaches(graph, way);
    if weigh(alone) >= weigh(most) {
        let (tier, sensitive) = alone;
        return Reach { tier, sensitive, says, hops: composed::hops(graph, &itself, way, &[]), cut };
    }
    let (tier, sensitive) = most;
    let says = format!("{}. {says}", assemble::holds(graph, authority));
    let mut hops = assemble::reached(graph, &itself, authority);
    hops.extend(composed::hops(graph, &itself, way, &authority.decisive));
    Reach { tier, sensitive, says, hops, cut }
}

/// It administers credentials of others; that one of them that reaches the data accepts one is not proven.
fn possible(context: &Context<'_>, identity: &Identity<'_>, way: &Composition<'_>) -> Draft {
    let title = format!("\"{}\" may be able to act as an application that reaches everybody's data", identity.name);
    let what = way.held.sensitive.map_or("", |sensitive| sensitive.as_str());
    let last = composed::last(context.graph, way);
    let narrowed = vec![Narrowed {
        claim: format!("That it can act as {last}, which reaches {what}"),
        reason: composed::doubt(way),
    }];
    Draft { narrowed, ..draft(Claim::Narrower, title) }
}

const fn draft(claim: Claim, title: String) -> Draft {
    Draft { claim, exposure: EXPOSURE, title, proofs: Vec::new(), narrowed: Vec::new(), entry: None, reach: None }
}

fn proof(context: &Context<'_>, grant: &Grant<'_>) -> Proof {
    let reach = grant.sensitive.map_or("", |domain| domain.as_str());
    let claim = format!("It holds {}, which reaches {reach}.", grant.sentence(context.graph));
    evidence::of_edge(context.graph, grant.edge, EvidenceClass::Direct, claim)
}
