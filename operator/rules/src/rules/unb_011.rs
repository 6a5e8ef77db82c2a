//! UNB-011: somebody with less authority owns a privileged identity, and so can take it over by adding a credential.
//!
//! Owners of the application can always add one. Owners of the service principal can unless the application locks the
//! credentials of its service principals. Managed identities accept no credentials. An owner that is no person needs a
//! permission to change what it owns; where none was seen, the narrower claim is made.
//!
//! Privileged is, too, what can act as a privileged one, where every step of that is proven. An owner is measured by its
//! own roles alone: what it reaches by owning is what the finding is about.
//!
//! "Less authority" is a negative: it is only proven when the roles of owners and of groups were collected too
//! ([`OWNER_ROLES`]). Otherwise an owner may be an administrator anyway, and the narrower claim is made.

use sv0_graph::{EdgeKind, Graph, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::assemble;
use crate::authority::MEMBERS;
use crate::derive;
use crate::drift::UNLICENSED;
use crate::evidence::{self, Mark};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{self, Home, Identity, noun};
use crate::owners::{self, Owner};
use crate::rule::{Context, Draft, Marked, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::{counted, display_name, doubt};

/// The collection of directory roles that recorded owners and groups hold.
const OWNER_ROLES: &str = "ownerRoles";

/// The collection of roles that have to be activated first.
const ELIGIBILITY: &str = "directoryRoleEligibility";

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "UNB-011",
        version: "1.3.0",
        family: Family::UnboundedExecutionScope,
        category: "OwnerControlsPrivilegedIdentity",
        title: "An owner with less authority can take over a privileged identity",
        narrower: Some("An owner may be able to take over a privileged identity"),
        why: "An owner can add a credential and act with all of its authority, past every approval.",
        remediation: &[
            "Remove the named owners; let a privileged, role-assignable group administer it.",
            "Turn on the application's property lock for service principal credentials.",
            "Look for key ids on the application that no automation uses.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1098.001", "NIST 800-53 AC-6"],
        requires: &[
            "servicePrincipals",
            "applications",
            "applicationOwners",
            "servicePrincipalOwners",
            "ownerAccounts",
            OWNER_ROLES,
            "directoryRoleAssignments",
            ELIGIBILITY,
            "appRoleAssignments",
        ],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Structural],
        scope: Scope::Core,
        story: "A developer's everyday account can become an administrator of the tenant.",
    },
    check,
};

/// What one owner can do, as far as it is proven.
struct Control<'a, 'g> {
    owner: &'a Owner<'g>,
    holds: Tri,
    outside: bool,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let takes_credentials = identity.node.kind != NodeKind::ManagedIdentity && identity.home != Home::Microsoft;
    if !takes_credentials || identity.authority.tier > Tier::P1 {
        return None;
    }
    let all: Vec<Control<'_, '_>> =
        identity.owners.list.iter().filter_map(|owner| control(context, identity, owner)).collect();
    let proven = all.iter().any(|control| control.holds.is_true());
    let claim = if proven { Claim::Full } else { Claim::Narrower };
    let told: Vec<&Control<'_, '_>> = all
        .iter()
        .filter(|control| if proven { control.holds.is_true() } else { control.holds.is_unknown() })
        .collect();
    let first = told.first()?;
    let count = counted(told.len(), "owner", "owners");
    let title = match claim {
        Claim::Full => format!("{count} with less authority can take over \"{}\"", identity.name),
        Claim::Narrower => format!("{count} may be able to take over \"{}\"", identity.name),
    };
    let recorded = first.owner.edge.holds(context.as_of);
    let narrowed = match (claim, recorded, first.holds) {
        (Claim::Narrower, Tri::Unknown(reason), _) => vec![Narrowed {
            claim: "That the record of the owner holds".to_owned(),
            reason: format!("Of the record, {}.", doubt(reason)),
        }],
        (Claim::Narrower, _, Tri::Unknown(_)) if manages(context, first.owner).is_unknown() => vec![Narrowed {
            claim: "That the owner can add a credential".to_owned(),
            reason: "It is no person, and no permission to change what it owns was seen.".to_owned(),
        }],
        (Claim::Narrower, _, Tri::Unknown(reason)) => vec![Narrowed {
            claim: "That an owner has less authority and that a credential can be added".to_owned(),
            reason: format!("Of the owner's roles or of the property lock, {}.", reason.sentence()),
        }],
        _ => Vec::new(),
    };
    let exposure = if proven && told.iter().any(|control| control.outside) { Exposure::X0 } else { Exposure::X1 };
    let entry = Some(hop(context, identity, first.owner));
    let proofs = told.iter().map(|control| proof(context, control.owner)).collect();
    Some(Draft { claim, exposure, title, proofs, narrowed, entry, reach: None })
}

/// None when the owner is proven not to be able to take over: gone, locked out, or as strong already.
fn control<'a, 'g>(context: &Context<'_>, identity: &Identity<'_>, owner: &'a Owner<'g>) -> Option<Control<'a, 'g>> {
    let node = context.graph.node(owner.ix);
    let acts = match node.kind {
        // Of the account alone: whether the record holds is weighed apart.
        NodeKind::Human => owners::state(context.graph, owner.ix, None).answers(),
        NodeKind::ServicePrincipal | NodeKind::ManagedIdentity => node.flag(attr::ENABLED) == Some(true),
        // Who belongs to a group is not known here.
        _ => false,
    };
    // Sponsors control nothing, and an agent identity takes its credentials from its blueprint.
    let controls =
        owner.edge.kind == EdgeKind::Owns && context.graph.node(owner.edge.to).kind != NodeKind::AgentIdentity;
    if !acts || !controls || owner.ix == identity.ix {
        return None;
    }
    let recorded = owner.edge.holds(context.as_of);
    let holds = recorded.and(can_add(context, identity, owner)).and(weaker(context, identity.authority.tier, owner));
    let outside = node.kind == NodeKind::ServicePrincipal
        && identity::home(node, &context.config.trusted_tenants) == Home::Foreign;
    (!holds.is_false()).then_some(Control { owner, holds, outside })
}

fn can_add(context: &Context<'_>, identity: &Identity<'_>, owner: &Owner<'_>) -> Tri {
    manages(context, owner).and(open(context, identity, owner))
}

/// Whether an owner may change what it owns: a person does, an identity that signs in without one needs a permission.
fn manages(context: &Context<'_>, owner: &Owner<'_>) -> Tri {
    let person = context.graph.node(owner.ix).kind == NodeKind::Human;
    let permitted = || derive::manages_owned(context.graph, owner.ix, context.as_of).is_some();
    if person || permitted() { Tri::True } else { Tri::Unknown(UnknownReason::Unsupported) }
}

/// Whether what is owned takes a credential.
fn open(context: &Context<'_>, identity: &Identity<'_>, owner: &Owner<'_>) -> Tri {
    // The same owner may stand on both; the application's record is the one that is kept.
    if context.graph.node(owner.edge.to).kind == NodeKind::Application {
        return Tri::True;
    }
    match identity.application {
        Some(application) => !context.graph.node(application.from).is(attr::CREDENTIALS_LOCKED),
        // The lock stands on an application that this scan does not see.
        None => Tri::Unknown(UnknownReason::NotCollected),
    }
}

/// Whether the owner's own active authority is weaker than `target`.
fn weaker(context: &Context<'_>, target: Tier, owner: &Owner<'_>) -> Tri {
    let graph = context.graph;
    let node = graph.node(owner.ix);
    let own = context.authority(owner.ix);
    if own.tier <= target {
        return Tri::False;
    }
    // Of a person too: which groups hold a role stands beside what identities hold.
    let collections = [OWNER_ROLES, "directoryRoleAssignments", "appRoleAssignments"];
    let seen = Tri::all(collections.iter().map(|collection| graph.complete_for(owner.ix, collection).0));
    // Who could make itself as strong gains less than it seems. Of people this is not read.
    let eligible = if node.kind == NodeKind::Human { Tri::True } else { eligibility_seen(graph, owner.ix) };
    let unweighed = own.unproven.keys().next().map_or(Tri::True, |reason| Tri::Unknown(*reason));
    // A group with that much authority may have the owner as a member. Of members, only service principals are read.
    let by_group = context.best_group_tier(node.id.system(), node.id.tenant()) <= target;
    let groups = match (by_group, node.kind) {
        (false, _) => Tri::True,
        (true, NodeKind::Human) => Tri::Unknown(UnknownReason::NotCollected),
        (true, _) => graph.complete_for(owner.ix, MEMBERS).0,
    };
    let composes = if own.could_be() <= target { Tri::Unknown(UnknownReason::Unsupported) } else { Tri::True };
    seen.and(eligible).and(unweighed).and(groups).and(composes)
}

/// Whether all roles were seen that have to be activated first: a tenant without the licence has none.
fn eligibility_seen(graph: &Graph, ix: NodeIx) -> Tri {
    let (seen, instance) = graph.complete_for(ix, ELIGIBILITY);
    let unlicensed = instance.is_some_and(|instance| {
        let mut rows = graph.coverage(instance, ELIGIBILITY).peekable();
        rows.peek().is_some() && rows.all(|row| row.reason.as_deref() == Some(UNLICENSED))
    });
    if unlicensed { Tri::True } else { seen }
}

fn proof(context: &Context<'_>, owner: &Owner<'_>) -> evidence::Proof {
    let graph = context.graph;
    let claim = format!(
        "{} \"{}\" is recorded as owner of the {}.",
        capital(noun(graph.node(owner.ix).kind)),
        party(context, owner),
        noun(graph.node(owner.edge.to).kind)
    );
    evidence::of_edge(graph, owner.edge, EvidenceClass::Direct, claim)
}

fn hop(context: &Context<'_>, identity: &Identity<'_>, owner: &Owner<'_>) -> Marked {
    let graph = context.graph;
    let from = format!("{} \"{}\"", noun(graph.node(owner.ix).kind), party(context, owner));
    let to = format!("{} \"{}\"", noun(graph.node(owner.edge.to).kind), identity.name);
    assemble::hop(&from, EdgeKind::Owns, &to, (None, EvidenceClass::Direct), Some(Mark::edge(owner.edge)))
}

fn party(context: &Context<'_>, owner: &Owner<'_>) -> String {
    owners::name(context.graph, owner.ix).unwrap_or_else(|| display_name(context.graph.node(owner.ix).id.vendor_id()))
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
