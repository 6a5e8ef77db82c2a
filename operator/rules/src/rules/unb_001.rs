//! UNB-001: an identity that runs unattended can take over the whole tenant.
//!
//! By a grant of its own, through a group, or by composition: it may add credentials to an application (to every one, to
//! the one that a role is over, to those that it owns and may manage), which holds the tenant or leads on to one that
//! does. A role over an administrative unit is none over the tenant.

use sv0_graph::{EdgeKind, Tri};

use crate::assemble;
use crate::authority::Grant;
use crate::composed;
use crate::cut;
use crate::derive::Composition;
use crate::evidence::{self, Mark};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Reach, Rule, Scope};
use crate::severity::{Exposure, Tier};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "UNB-001",
        version: "1.1.0",
        family: Family::UnboundedExecutionScope,
        category: "HoldsWholeTenant",
        title: "An identity that can run unattended can take over the whole tenant",
        narrower: Some(
            "It would have to activate the role first, or the application that it can act as may refuse credentials",
        ),
        why: "Whoever gets hold of this automation has everything, and no person is asked.",
        remediation: &[
            "Replace the role or permission by the least that its definition needs.",
            "Bind a directory role to an administrative unit or to single objects.",
            "Replace rights over all applications by rights over the ones it owns.",
        ],
        standards: &["OWASP NHI5", "OWASP ASI03", "ATT&CK T1098.003", "NIST 800-53 AC-6"],
        requires: &[
            "servicePrincipals",
            "applications",
            "directoryRoleAssignments",
            "directoryRoleEligibility",
            "appRoleAssignments",
            "applicationOwners",
            "servicePrincipalOwners",
            "groups",
            "groupMembers",
        ],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Structural],
        scope: Scope::Core,
        story: "A nightly job whose stolen secret is the end of the tenant.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft {
        return None;
    }
    let authority = &identity.authority;
    if authority.tier == Tier::P0 {
        return Some(full(identity));
    }
    if let Some(grant) = authority.eligible.first().filter(|grant| grant.tier == Tier::P0) {
        return Some(eligible(context, identity, grant));
    }
    authority.composition.as_ref().map(|composition| possible(context, identity, composition))
}

fn full(identity: &Identity<'_>) -> Draft {
    let title = match (identity.authority.composed(), identity.authority.decisive.first()) {
        (None, Some(grant)) => {
            format!("\"{}\" can run unattended and holds {}", identity.name, grant.role)
        }
        _ => format!("\"{}\" can run unattended and act as an application that holds the tenant", identity.name),
    };
    draft(Claim::Full, title)
}

/// The role must be activated first; that it can be without a person is not proven.
fn eligible(context: &Context<'_>, identity: &Identity<'_>, grant: &Grant<'_>) -> Draft {
    let graph = context.graph;
    let role = grant.short(graph);
    let says = format!("It is eligible for {role}, which {}", Tier::P0.meaning());
    let (itself, to) = (assemble::itself(identity), assemble::label(graph, grant.edge.to));
    let via = (Some(format!("{} (eligible)", grant.role)), EvidenceClass::Direct);
    let hops = vec![assemble::hop(&itself, EdgeKind::Granted, &to, via, Some(Mark::edge(grant.edge)))];
    let as_strong = identity.authority.eligible.iter().filter(|other| other.tier == Tier::P0);
    let cut = cut::of_grants(graph, identity, as_strong, "the tenant");
    let claim = format!("It is eligible for {}.", grant.sentence(graph));
    let members = grant.members.iter().map(|edge| {
        let claim = "It is a member of the group that is eligible.".to_owned();
        evidence::of_edge(graph, edge, EvidenceClass::Direct, claim)
    });
    Draft {
        proofs: [evidence::of_edge(graph, grant.edge, EvidenceClass::Direct, claim)]
            .into_iter()
            .chain(members)
            .collect(),
        narrowed: vec![Narrowed {
            claim: "That it can activate the role without a person".to_owned(),
            reason: "What activation requires is not collected.".to_owned(),
        }],
        reach: Some(Reach { tier: Tier::P0, sensitive: Tri::False, says, hops, cut }),
        ..draft(Claim::Narrower, format!("\"{}\" can run unattended, eligible for {}", identity.name, grant.role))
    }
}

/// It administers credentials of others; that one of them holds the tenant and accepts one is not proven.
fn possible(context: &Context<'_>, identity: &Identity<'_>, composition: &Composition<'_>) -> Draft {
    let reason = composed::doubt(composition);
    let title = format!("\"{}\" can run unattended and administers credentials of other applications", identity.name);
    let last = composed::last(context.graph, composition);
    Draft {
        narrowed: vec![Narrowed { claim: format!("That it can act as {last}, which {}", Tier::P0.meaning()), reason }],
        ..draft(Claim::Narrower, title)
    }
}

const fn draft(claim: Claim, title: String) -> Draft {
    Draft { claim, exposure: Exposure::X1, title, proofs: Vec::new(), narrowed: Vec::new(), entry: None, reach: None }
}
