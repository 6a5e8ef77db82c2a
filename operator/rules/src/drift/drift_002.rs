//! DRIFT-002: an identity holds a directory role over the whole tenant that it held over a part of it before.
//!
//! Scopes are compared by id. The whole tenant contains every administrative unit and every object; whether one of these
//! contains another is not known, so that nothing is said of it. A role that it held over the whole tenant in any form
//! before (eligible, say) is not wider now; where it was not read then which roles could be activated, the claim is the
//! narrower one. So it is where one role went and another one came. Where there are several of either, nothing says that they
//! belong together, and nothing is said of them here.

use std::collections::{BTreeMap, BTreeSet};

use sv0_graph::{Edge, NodeKind, Tri};

use super::baseline::{Before, Grant, held, holds};
use super::compare::{At, Comparison, ELIGIBLE};
use super::{Drift, DriftRule};
use crate::authority::{COLLECTIONS, MEMBERS};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Draft, Meta, Scope};
use crate::severity::Exposure;
use crate::text::display_name;
use crate::tiers;

/// The scope that contains all others.
const TENANT: &str = "/";

pub(super) const RULE: DriftRule = DriftRule {
    meta: Meta {
        id: "DRIFT-002",
        version: "1.2.0",
        family: Family::ScopeDrift,
        category: "ScopeWidened",
        title: "An identity holds a role over more than in the accepted snapshot",
        narrower: Some(
            "An identity holds a role over the whole tenant; it held another one over a part of it, or may have held this \
             one in a form that was not read",
        ),
        why: "What was meant for a part now reaches everything, past the decision that limited it.",
        remediation: &[
            "Assign the role over the earlier scope again; it is named with its id.",
            "Remove the assignment over the whole tenant, or accept a newer snapshot as the baseline.",
        ],
        standards: &["OWASP NHI5", "ATT&CK T1098.003", "CIS v8.1 6.8", "NIST 800-53 AC-2(7)", "NIST 800-53 AC-6(7)"],
        requires: &["servicePrincipals", "applications", COLLECTIONS[0], COLLECTIONS[1], MEMBERS, ELIGIBLE],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A role over one department's accounts became a role over everybody's.",
    },
    check,
};

fn check(compare: &Comparison<'_, '_>, before: &Before, identity: &Identity<'_>) -> Option<Drift> {
    if identity.home == Home::Microsoft {
        return None;
    }
    let compared = compare.authority(identity)?;
    let gained = gained(compare, before, identity, Tri::is_true);
    let bounded = bounded(before);
    let widened = gained.iter().find(|(role, _)| bounded.contains_key(*role));
    let (role, edge) = widened.or_else(|| gained.iter().next())?;
    let day = compare.day(COLLECTIONS[0]);
    let label = label(role);
    let (mut claim, title, was, mut narrowed) = if let Some(was) = bounded.get(role).copied() {
        let scope = display_name(was.scope.as_deref().unwrap_or_default());
        let title = format!("\"{}\" holds {label} over the whole tenant; on {day} over {scope}", identity.name);
        (Claim::Full, title, was, Vec::new())
    } else {
        // Of several roles that came nothing says which one took the place of another.
        let was = lost(compare, before, identity)
            .filter(|_| self::gained(compare, before, identity, |now| !now.is_false()).len() == 1)?;
        let title = format!("\"{}\" holds {label} over the whole tenant, which it did not on {day}", identity.name);
        let earlier = self::label(was.role.as_deref().unwrap_or_default());
        let narrowed = Narrowed {
            claim: "That one role was widened".to_owned(),
            reason: format!("The role changed too: {earlier}, over a part of the tenant, is not held any more."),
        };
        (Claim::Narrower, title, was, vec![narrowed])
    };
    if !compare.knew_eligible() {
        claim = Claim::Narrower;
        narrowed.push(Narrowed {
            claim: format!("That it could not activate {label} over the whole tenant on {day}"),
            reason: "Which roles it could activate then was not read.".to_owned(),
        });
    }
    let says = format!("It holds {label} over the whole tenant.");
    let now = evidence::of_edge(compare.context.graph, edge, EvidenceClass::Direct, says);
    let proofs = [Some(now), then(compare, identity, was)].into_iter().flatten().collect();
    let draft = Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None };
    Some(Drift { draft, compared })
}

fn then(compare: &Comparison<'_, '_>, identity: &Identity<'_>, was: &Grant) -> Option<Proof> {
    let (role, scope) = (was.role.as_deref().unwrap_or_default(), was.scope.as_deref().unwrap_or_default());
    let claim = format!("It held {} over {}", label(role), display_name(scope));
    let object = identity.node.id.vendor_id();
    compare.was(&At { collection: COLLECTIONS[0], object, field: "directoryScopeId" }, scope, &claim)
}

/// Roles that it holds over the whole tenant now, as far as `counts` says, and did not in any form before, each with its
/// assignment.
fn gained<'g>(
    compare: &Comparison<'_, 'g>,
    before: &Before,
    identity: &Identity<'_>,
    counts: impl Fn(Tri) -> bool,
) -> BTreeMap<&'g str, &'g Edge> {
    let graph = compare.context.graph;
    let wide = before.grants.iter().filter(|grant| grant.directory && !narrow(grant));
    let had: BTreeSet<&str> = wide.filter_map(|grant| grant.role.as_deref()).collect();
    let mut gained = BTreeMap::new();
    for (member, edge) in held(graph, identity.ix) {
        let (Some(role), true) = (edge.role.as_deref(), graph.node(edge.to).kind == NodeKind::System) else { continue };
        let now = edge.scope.as_deref() == Some(TENANT) && counts(holds(member, edge, compare.context.as_of));
        if now && !had.contains(role) {
            gained.entry(role).or_insert(edge);
        }
    }
    gained
}

/// Over a part of the tenant, as far as its scope was read.
fn narrow(grant: &Grant) -> bool {
    grant.scope.as_deref().is_some_and(|scope| scope != TENANT)
}

/// Grants over a part of the tenant.
fn narrower(before: &Before) -> impl Iterator<Item = &Grant> {
    before.grants.iter().filter(|grant| grant.directory && grant.stands && narrow(grant))
}

/// By role, how it was held over a part of the tenant.
fn bounded(before: &Before) -> BTreeMap<&str, &Grant> {
    let mut bounded = BTreeMap::new();
    for grant in narrower(before) {
        if let Some(role) = grant.role.as_deref() {
            bounded.entry(role).or_insert(grant);
        }
    }
    bounded
}

/// The role that was held over a part of the tenant and is proven not to be held at all now. None where there are several.
fn lost<'b>(compare: &Comparison<'_, '_>, before: &'b Before, identity: &Identity<'_>) -> Option<&'b Grant> {
    let all = held(compare.context.graph, identity.ix);
    let may = all.filter(|(member, edge)| !holds(*member, edge, compare.context.as_of).is_false());
    let roles: BTreeSet<&str> = may.filter_map(|(_, edge)| edge.role.as_deref()).collect();
    let mut lost = narrower(before).filter(|grant| grant.role.as_deref().is_some_and(|role| !roles.contains(role)));
    let first = lost.next()?;
    lost.all(|other| other.role == first.role).then_some(first)
}

fn label(role: &str) -> String {
    tiers::directory_role(role).map_or_else(|| format!("role {}", display_name(role)), |known| known.name.to_owned())
}
