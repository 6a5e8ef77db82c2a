//! Named derivations: takes the facts of a graph, gives steps of authority that no single fact says.
//!
//! Each derivation is a file: what it needs, what it gives, its trap, and the function that does it, next to each other;
//! [`DERIVATIONS`] is the list of all. What is one object in several systems is said by the keys in [`KEYS`]. Evidence that
//! rests on one of either names it (`owner-credentials/1`), and both lists are part of the rule pack ([`named`]). Pure, one pass over what it needs each. "Controls all that accept" is one node that stands for the class,
//! never a step for each pair. A step whose condition is not weighed, or that must be activated first, is not proven.

mod application_credentials;
mod data_access;
mod environment_name;
mod joins;
mod keys;
mod membership;
mod owner_credentials;
mod part_control;
mod routes;
mod scoped_credentials;
mod tenant_control;

use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use serde::Serialize;
use sv0_graph::paths::{Spot, Step, ViewBuilder};
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Tri, attr};

pub(crate) use environment_name::{ENVIRONMENT_NAME, follows};
pub(crate) use joins::Joins;
pub use joins::{Join, joins};
pub(crate) use keys::{CERTIFICATE, digest as keys_digest};
pub use keys::{Field, KEYS, Key, Matches, Of, Side, Within};
pub(crate) use owner_credentials::manages_owned;
pub(crate) use routes::{By, Composition, CutEdge, CutOff, Leg, Routes, Through};

use crate::rule::RuleConfig;
use crate::sensitive::{self, Sensitive};
use crate::severity::Tier;
use crate::tiers::{self, Known};

/// A derivation: what people know of it, and the function.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Derivation {
    /// `group-membership`.
    pub id: &'static str,
    /// Set anew whenever what it gives changes.
    pub version: u16,
    /// Collections that it reads.
    pub needs: &'static [&'static str],
    /// What it gives.
    pub gives: &'static str,
    /// What looks like it and is not.
    pub trap: &'static str,
    /// Adds its steps. None where it gives no step but a word, for which rules ask it.
    #[serde(skip)]
    derive: Option<for<'g> fn(&mut Overlay<'g>)>,
}

impl Derivation {
    /// As evidence names it: `group-membership/1`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.id, self.version)
    }
}

/// Every derivation, in the order in which they run.
pub const DERIVATIONS: &[Derivation] = &[
    membership::DERIVATION,
    tenant_control::DERIVATION,
    part_control::DERIVATION,
    data_access::DERIVATION,
    application_credentials::DERIVATION,
    owner_credentials::DERIVATION,
    scoped_credentials::DERIVATION,
    ENVIRONMENT_NAME,
];

/// The name of everything that evidence can rest on beside facts: derivations, then keys.
pub fn named() -> impl Iterator<Item = String> {
    DERIVATIONS.iter().map(Derivation::name).chain(KEYS.iter().map(Key::name))
}

/// The service principal that somebody can act as, by a credential that is added to it or to its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    principal: NodeIx,
    application: NodeIx,
}

/// What a step stands for.
#[derive(Clone, Copy, Debug)]
enum Fact<'g> {
    /// A membership.
    Member(&'g Edge),
    /// A grant at which a way ends, and the data that it reaches; whether it both reaches data and is of tier P1 or P0
    /// over all of the tenant.
    Holds { edge: &'g Edge, sensitive: Option<Sensitive>, heavy: bool },
    /// A grant that lets its holder add a credential to any application of the tenant.
    Applications(&'g Edge),
    /// The application is one of those.
    Accepts(Target),
    /// The record of an owner, and the permission by which it manages what it owns.
    Owner { edge: &'g Edge, permitted: &'g Edge, target: Target },
    /// The same as `Applications` over one object.
    Scoped { edge: &'g Edge, target: Target },
}

/// What a way ends at: a class of targets. Each has one search over all of the estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// All of a tenant.
    Tenant,
    /// Authority of tier P1 over all of a tenant.
    Part,
    /// Sensitive data of any kind.
    Data,
    /// What people write and file, everybody's at once, with nothing else that could limit it.
    Everybodys,
    /// The same where Exchange may limit it to some.
    Mailboxes,
}

impl End {
    /// Every class of targets, in the order of [`Self::index`].
    const ALL: [Self; 5] = [Self::Tenant, Self::Part, Self::Data, Self::Everybodys, Self::Mailboxes];

    const fn index(self) -> usize {
        match self {
            Self::Tenant => 0,
            Self::Part => 1,
            Self::Data => 2,
            Self::Everybodys => 3,
            Self::Mailboxes => 4,
        }
    }
}

/// What one node stands for in place of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// What ways end at.
    End(End),
    /// Every application of a tenant that accepts a credential.
    Applications,
}

/// A grant that some derivation looks at.
#[derive(Clone, Copy, Debug)]
struct Held<'g> {
    edge: &'g Edge,
    /// What the tables know of it.
    known: Option<&'static Known>,
    /// The vendor's scope, when that is not the whole tenant.
    scope: Option<&'g str>,
    /// Data that it reaches, by the table or by the customer's declaration.
    sensitive: Option<Sensitive>,
}

/// Steps under construction.
struct Overlay<'g> {
    graph: &'g Graph,
    as_of: Timestamp,
    /// In the order of the graph.
    grants: Rc<[Held<'g>]>,
    builder: ViewBuilder,
    facts: Vec<Fact<'g>>,
    classes: BTreeMap<(Class, &'g str, &'g str), Spot>,
}

impl<'g> Overlay<'g> {
    fn new(graph: &'g Graph, config: &RuleConfig, as_of: Timestamp, builder: ViewBuilder) -> Self {
        // Looked up once: most grants of an organisation are none that a derivation looks at.
        let granted = graph.edges().iter().filter(|edge| edge.kind == EdgeKind::Granted);
        let grants = granted.filter_map(|edge| held(graph, config, edge)).collect();
        Self { graph, as_of, grants, builder, facts: Vec::new(), classes: BTreeMap::new() }
    }

    /// Adds the step from the holder of a grant to what it holds.
    fn ends(&mut self, grant: &Held<'g>, end: End) {
        let Held { edge, sensitive, .. } = *grant;
        let Some(target) = self.class(Class::End(end), edge.from) else { return };
        let heavy = sensitive.is_some() && grant.scope.is_none() && grant.known.is_some_and(|it| it.tier <= Tier::P1);
        let fact = (edge.holds(self.as_of), Fact::Holds { edge, sensitive, heavy });
        self.step(edge.from.into(), EdgeKind::Granted, target, fact);
    }

    /// The node that stands for a class in the tenant of `ix`; nothing when no more nodes can be counted.
    fn class(&mut self, class: Class, ix: NodeIx) -> Option<Spot> {
        let id = &self.graph.node(ix).id;
        let key = (class, id.system(), id.tenant());
        if let Some(spot) = self.classes.get(&key) {
            return Some(*spot);
        }
        let spot = self.builder.class().ok()?;
        self.classes.insert(key, spot);
        Some(spot)
    }

    fn step(&mut self, from: Spot, kind: EdgeKind, to: Spot, (state, fact): (Tri, Fact<'g>)) {
        // Tags are in the order of derivations, then of the graph: equal input gives equal ties.
        let Ok(tag) = u32::try_from(self.facts.len()) else { return };
        if !state.is_false() && from != to {
            self.builder.add(Step { from, kind, to, tag, state });
            self.facts.push(fact);
        }
    }

    fn edges(&self, kind: EdgeKind) -> impl Iterator<Item = &'g Edge> + use<'g> {
        self.graph.edges().iter().filter(move |edge| edge.kind == kind)
    }
}

/// What there is to say of a grant; none when no derivation looks at it.
fn held<'g>(graph: &Graph, config: &RuleConfig, edge: &'g Edge) -> Option<Held<'g>> {
    let (known, scope) = granted(graph, edge).map_or((None, None), |(known, scope)| (Some(known), scope));
    let sensitive = known.and_then(|known| known.sensitive).or_else(|| sensitive::declared_by(graph, config, edge));
    let strong = known.is_some_and(|known| known.tier <= Tier::P1 || known.adds_credentials);
    (strong || sensitive.is_some()).then_some(Held { edge, known, scope, sensitive })
}

/// What a grant is of, and the vendor's scope when that is not the whole tenant. None for what the tables do not know.
fn granted<'g>(graph: &Graph, edge: &'g Edge) -> Option<(&'static Known, Option<&'g str>)> {
    let role = edge.role.as_deref()?;
    match graph.node(edge.to).kind {
        NodeKind::System => {
            let scope = edge.scope.as_deref()?;
            Some((tiers::directory_role(role)?, Some(scope).filter(|scope| *scope != "/")))
        }
        // An application permission is never a member's through its group.
        NodeKind::ServicePrincipal if graph.node(edge.from).kind != NodeKind::Group => {
            Some((tiers::permission_of(graph.node(edge.to).text(attr::APP_ID)?, role)?, None))
        }
        _ => None,
    }
}

/// A service principal of the tenant's own, enabled, to which a credential may be added. Managed identities accept none
/// (the platform keeps theirs); what a foreign application accepts is decided where it lives.
fn accepts(graph: &Graph, ix: NodeIx) -> Option<Target> {
    let node = graph.node(ix);
    let own = node.text(attr::HOME_TENANT).is_some_and(|home| home.eq_ignore_ascii_case(node.id.tenant()));
    let runs = node.flag(attr::ENABLED) == Some(true) && node.flag(attr::VENDOR_DISABLED) != Some(true);
    if node.kind != NodeKind::ServicePrincipal || !own || !runs {
        return None;
    }
    let application = graph.incoming(ix, EdgeKind::Instantiates).next()?.from;
    Some(Target { principal: ix, application })
}

/// Whether the application leaves the credentials of its service principals open to change.
fn unlocked(graph: &Graph, target: Target) -> Tri {
    !graph.node(target.application).is(attr::CREDENTIALS_LOCKED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn derivations_have_names_of_their_own_and_say_what_they_are() {
        let ids: BTreeSet<&str> = DERIVATIONS.iter().map(|derivation| derivation.id).collect();
        assert_eq!(ids.len(), DERIVATIONS.len());
        for derivation in DERIVATIONS {
            assert!(derivation.version > 0 && !derivation.needs.is_empty(), "{}", derivation.id);
            assert!(derivation.gives.ends_with('.') && derivation.trap.ends_with('.'), "{}", derivation.id);
        }
        assert_eq!(membership::DERIVATION.name(), "group-membership/1");
        let names: BTreeSet<String> = named().collect();
        assert_eq!(names.len(), DERIVATIONS.len() + KEYS.len(), "no key is called like a derivation");
    }
}
