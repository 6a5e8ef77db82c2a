//! UNB-005: an application permission that reaches the data of everybody.
//!
//! Only grants count: what an application asks for, and what it may do for a signed-in user, is not its own authority.
//! `Sites.Selected` and its like reach what somebody selected and are not in the table. Exchange can limit an
//! application to some mailboxes, which is not collected: where nothing else is reached, the narrower claim says so.

use crate::authority::Grant;
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::sensitive::Sensitive;
use crate::severity::Exposure;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "UNB-005",
        version: "1.0.0",
        family: Family::UnboundedExecutionScope,
        category: "TenantWideData",
        title: "An identity that can run unattended reaches the data of everybody in the tenant",
        narrower: Some("It reaches the mailboxes of everybody unless Exchange limits it to some"),
        why: "An application permission has no user whose rights would bound it.",
        remediation: &[
            "Replace it by a selected permission, such as Sites.Selected, and grant the sites it needs.",
            "Limit mailbox access in Exchange by RBAC for Applications.",
            "Remove permissions that its definition does not use.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1114.002", "ATT&CK T1213.002", "ATT&CK T1528", "NIST 800-53 AC-6"],
        requires: &["servicePrincipals", "appRoleAssignments"],
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "A reporting tool that can read every file of every employee.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft {
        return None;
    }
    let limited = |grant: &Grant<'_>| grant.sensitive.is_some_and(Sensitive::limited_by_exchange);
    let personal = |grant: &&Grant<'_>| grant.sensitive.is_some_and(Sensitive::is_everybodys);
    let all = || identity.authority.proven.iter().filter(personal);
    let wide: Vec<&Grant<'_>> = all().filter(|grant| !limited(grant)).collect();
    let (claim, told) = if wide.is_empty() { (Claim::Narrower, all().collect()) } else { (Claim::Full, wide) };
    let first: &&Grant<'_> = told.first()?;
    let more = if told.len() > 1 { format!(" and {} more", told.len() - 1) } else { String::new() };
    let title = match claim {
        Claim::Full => format!("\"{}\" reaches everybody's data with {}{more}", identity.name, first.role),
        Claim::Narrower => format!("\"{}\" reaches everybody's mailboxes unless Exchange limits it", identity.name),
    };
    let narrowed = match all().find(|grant| limited(grant)) {
        Some(grant) => vec![Narrowed {
            claim: format!("That {} is tenant-wide", grant.role),
            reason: "It is unless scoped in Exchange, and Exchange's scopes are not collected.".to_owned(),
        }],
        None => Vec::new(),
    };
    let proofs = told.iter().map(|grant| proof(context, grant)).collect();
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None })
}

fn proof(context: &Context<'_>, grant: &Grant<'_>) -> Proof {
    let reach = grant.sensitive.map_or("", |domain| domain.as_str());
    let claim = format!("It holds {}, which reaches {reach}.", grant.sentence(context.graph));
    evidence::of_edge(context.graph, grant.edge, EvidenceClass::Direct, claim)
}
