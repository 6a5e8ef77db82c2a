//! What a rule is: metadata for people and for the catalogue, next to the predicate that decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sv0_graph::{Graph, NodeIx, Tri};

use crate::authority::{self, Authority, Surroundings};
use crate::derive::{Joins, Through};
use crate::environment::Environment;
use crate::evidence::{Mark, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Hop, Narrowed};
use crate::identity::Identity;
use crate::memory::{self, Memory};
use crate::sensitive::{Containers, DataDomain};
use crate::severity::{Exposure, Tier};
use crate::shared::SharedKeys;

/// The customer's limits. Part of the inputs of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleConfig {
    /// Days after which a credential should have been rotated.
    pub rotate_days: u32,
    /// Most days from a secret's first to its last day.
    pub max_secret_lifetime_days: u32,
    /// The same for a certificate.
    pub max_certificate_lifetime_days: u32,
    /// Tenants whose identities are the customer's own although they live elsewhere.
    pub trusted_tenants: BTreeSet<String>,
    /// Days without any recorded use after which standing authority is dormant.
    pub dormant_days: u32,
    /// Days without recorded use after which a credential is unused.
    pub unused_credential_days: u32,
    /// Days without recorded use after which an identity is seldom used.
    pub rare_use_days: u32,
    /// Days before the end of an only credential from which that is told.
    pub expiry_warn_days: u32,
    /// Days in which nothing is said of a new identity or credential that nobody has used yet.
    pub never_used_grace_days: u32,
    /// Automations of one identity from which sharing it is told.
    pub shared_by_min: u32,
    /// The environments that the customer declared, by name.
    pub environments: BTreeMap<String, Environment>,
    /// What the customer declared to hold sensitive data, by domain.
    pub sensitive_domains: BTreeMap<DataDomain, Containers>,
    /// What identities are for, by node identity, by the customer's word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declared_purposes: BTreeMap<String, Purpose>,
}

/// What one identity may reach. What is absent is not limited; what is empty allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Purpose {
    /// Ids of systems: a tenant's, or an API's application or object id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<BTreeSet<String>>,
    /// Words of [`crate::Sensitive`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domains: Option<BTreeSet<String>>,
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            rotate_days: 90,
            max_secret_lifetime_days: 365,
            max_certificate_lifetime_days: 180,
            trusted_tenants: BTreeSet::new(),
            dormant_days: 180,
            unused_credential_days: 90,
            rare_use_days: 30,
            expiry_warn_days: 30,
            never_used_grace_days: 30,
            declared_purposes: BTreeMap::new(),
            shared_by_min: 3,
            environments: BTreeMap::new(),
            sensitive_domains: BTreeMap::new(),
        }
    }
}

/// Where a rule stands in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scope {
    /// Part of the core.
    Core,
    /// Comes in phases.
    Phased,
}

/// What people and the catalogue know of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// `CRED-002`.
    pub id: &'static str,
    /// `major.minor.patch`; a new major version makes new findings instead of changed ones.
    pub version: &'static str,
    /// Top-level category.
    pub family: Family,
    /// Finer category.
    pub category: &'static str,
    /// What it finds, in one line.
    pub title: &'static str,
    /// What its narrower claim says, when it has one.
    pub narrower: Option<&'static str>,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, in order.
    pub remediation: &'static [&'static str],
    /// Controls of published standards.
    pub standards: &'static [&'static str],
    /// Collections that it needs.
    pub requires: &'static [&'static str],
    /// Classes of evidence that it rests on.
    pub evidence: &'static [EvidenceClass],
    /// Where it stands in the product.
    pub scope: Scope,
    /// The story that its findings support.
    pub story: &'static str,
}

impl Meta {
    /// The part of the version that a finding's name depends on.
    pub fn major(&self) -> &'static str {
        self.version.split('.').next().unwrap_or_default()
    }
}

/// A rule: its metadata and its predicate.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What people and the catalogue know of it.
    pub meta: Meta,
    /// Whether and how it applies to one identity. The lane is not its business.
    pub(crate) check: fn(&Context<'_>, &Identity<'_>) -> Option<Draft>,
}

/// What a predicate says when it applies.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) claim: Claim,
    pub(crate) exposure: Exposure,
    pub(crate) title: String,
    /// Most important first.
    pub(crate) proofs: Vec<Proof>,
    pub(crate) narrowed: Vec<Narrowed>,
    /// A first hop of the path other than the way in which the identity signs in.
    pub(crate) entry: Option<Marked>,
    /// What it reaches, when that is not what the identity itself holds.
    pub(crate) reach: Option<Reach>,
}

/// A hop of a path, and the rows of the graph that it is read from: evidence from the first of them that there is any
/// from is its own.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) hop: Hop,
    pub(crate) marks: Vec<Mark>,
}

/// Authority that a rule found beside the identity's own: it decides lane and severity in its place.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    pub(crate) tier: Tier,
    pub(crate) sensitive: Tri,
    /// What it holds, as a sentence without its full stop.
    pub(crate) says: String,
    /// From the identity to what it reaches.
    pub(crate) hops: Vec<Marked>,
    /// The edge to cut, as a sentence, where it acts as others on the way.
    pub(crate) cut: Option<String>,
}

impl Reach {
    /// Whether it is strong or sensitive enough for a finding.
    pub(crate) fn in_lane(&self) -> bool {
        self.tier <= Tier::P2 || self.sensitive.is_true()
    }
}

/// What every predicate may look at.
#[derive(Debug)]
pub(crate) struct Context<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) config: &'g RuleConfig,
    pub(crate) as_of: Timestamp,
    /// What is remembered of use.
    pub(crate) memory: &'g Memory,
    /// What authority depends on beside a principal's own grants.
    pub(crate) around: Surroundings<'g>,
    /// Certificates that stand on several applications.
    pub(crate) shared: SharedKeys<'g>,
    /// What is one object in several systems.
    pub(crate) joins: Joins,
}

/// What has just been done, for whoever measures. How an identity comes to a target is searched while its rules run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleStep {
    /// Every derivation ran, and the view of the steps stands.
    Derived,
    /// How far everything is from every class of targets is known.
    Searched,
}

impl<'g> Context<'g> {
    pub(crate) fn new(graph: &'g Graph, config: &'g RuleConfig, as_of: Timestamp) -> Self {
        Self::watched(graph, config, as_of, &mut |_| ())
    }

    /// The same, saying what has just been done.
    pub(crate) fn watched(
        graph: &'g Graph,
        config: &'g RuleConfig,
        as_of: Timestamp,
        done: &mut dyn FnMut(RuleStep),
    ) -> Self {
        let around = Surroundings::new(graph, config, as_of, done);
        let (shared, joins) = (SharedKeys::of(graph, as_of), Joins::of(graph));
        Self { graph, config, as_of, memory: &memory::NOTHING, around, shared, joins }
    }

    /// The same with what is remembered of use.
    pub(crate) fn remembering(self, memory: &'g Memory) -> Self {
        Self { memory, ..self }
    }

    /// What any principal holds, without what it could have through what it owns.
    pub(crate) fn authority(&self, ix: NodeIx) -> Authority<'g> {
        authority::of(self.graph, ix, self.as_of, (&self.around, Through::Roles))
    }

    /// The best tier that a member of some group could have through it.
    pub(crate) fn best_group_tier(&self, system: &str, tenant: &str) -> Tier {
        self.around.group_tier(system, tenant)
    }
}
