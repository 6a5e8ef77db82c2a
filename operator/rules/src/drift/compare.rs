//! Both sides of one tenant: what can be compared, and evidence from the side that is past.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{Graph, NodeId};

use super::baseline::{Baseline, Before, Taken};
use crate::authority::{COLLECTIONS, MEMBERS};
use crate::evidence::Proof;
use crate::finding::{Dependency, Evidence, EvidenceClass, EvidenceSource};
use crate::identity::Identity;
use crate::rule::Context;
use crate::severity::Tier;
use crate::text::{date, display_name};

/// The baselines of all tenants beside the present.
#[derive(Debug)]
pub(crate) struct Comparisons<'b> {
    /// By (system, tenant), in this order.
    tenants: Vec<((&'b str, &'b str), &'b Baseline, BTreeSet<String>)>,
}

impl<'b> Comparisons<'b> {
    pub(crate) fn new(graph: &Graph, baselines: &'b [Baseline]) -> Self {
        let entry = |baseline: &'b Baseline| {
            ((baseline.system.as_str(), baseline.tenant.as_str()), baseline, baseline.comparable(graph))
        };
        let mut tenants: Vec<_> = baselines.iter().map(entry).collect();
        tenants.sort_by_key(|(key, ..)| *key);
        Self { tenants }
    }

    /// An identity as it was, with all that it may be compared by. None when it is new, or its tenant has no baseline.
    pub(crate) fn of<'a, 'g>(
        &'a self,
        context: &'a Context<'g>,
        id: &NodeId,
    ) -> Option<(Comparison<'a, 'g>, &'b Before)> {
        let tenant = |(system, tenant): &(&str, &str)| (*system, *tenant).cmp(&(id.system(), id.tenant()));
        let at = self.tenants.binary_search_by(|(key, ..)| tenant(key)).ok()?;
        let (_, baseline, comparable) = self.tenants.get(at)?;
        Some((Comparison { context, baseline, comparable }, baseline.identities.get(id)?))
    }
}

/// Both sides of one tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison<'a, 'g> {
    pub(crate) context: &'a Context<'g>,
    baseline: &'a Baseline,
    comparable: &'a BTreeSet<String>,
}

/// A field of an object in the baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) collection: &'a str,
    /// The vendor's id.
    pub(super) object: &'a str,
    pub(super) field: &'a str,
}

/// The collections in which identities and their applications are read.
pub(super) const OBJECTS: [&str; 2] = ["servicePrincipals", "applications"];

/// Where roles are read that must be activated first.
pub(super) const ELIGIBLE: &str = "directoryRoleEligibility";

/// The collections in which owners are read.
const OWNERS: [&str; 2] = ["applicationOwners", "servicePrincipalOwners"];

impl Comparison<'_, '_> {
    pub(super) fn comparable(&self, collection: &str) -> bool {
        self.comparable.contains(collection)
    }

    /// Whether all roles that it could have activated are known of the baseline.
    pub(super) fn knew_eligible(&self) -> bool {
        self.baseline.knew(ELIGIBLE)
    }

    /// `collections` when all of them can be compared.
    pub(super) fn all(&self, collections: &[&'static str]) -> Option<Vec<&'static str>> {
        collections.iter().all(|name| self.comparable(name)).then(|| collections.to_vec())
    }

    /// What has to be compared before anything is said of the authority that `identity` had. Memberships count where
    /// groups gave authority, then or now; where they can be compared, they are compared. So do owners where a part of the
    /// tenant or all of it is held.
    pub(super) fn authority(&self, identity: &Identity<'_>) -> Option<Vec<&'static str>> {
        let mut compared = self.all(&[OBJECTS, COLLECTIONS].concat())?;
        let by_group = identity.authority.proven.iter().any(|grant| !grant.members.is_empty());
        if self.comparable(MEMBERS) {
            compared.push(MEMBERS);
        } else if self.baseline.groups_hold || by_group {
            return None;
        }
        // Who owns what may add up to a part of the tenant, or all of it: that it did not is said of owners that were read.
        if identity.authority.tier <= Tier::P1 {
            compared.extend(self.all(&OWNERS)?);
        }
        Some(compared)
    }

    /// The instance whose snapshot told of `collection`.
    fn taken(&self, collection: &str) -> Option<(&str, &Taken)> {
        let mut all = self.baseline.instances.iter().filter(|(_, taken)| taken.reads.contains_key(collection));
        all.next().map(|(uid, taken)| (uid.as_str(), taken))
    }

    /// The day of the baseline of `collection`, `2026-03-01`.
    pub(super) fn day(&self, collection: &str) -> String {
        self.taken(collection).map(|(_, taken)| date(taken.observed_at)).unwrap_or_default()
    }

    /// When the baseline of `collection` was taken.
    pub(super) fn taken_at(&self, collection: &str) -> Option<Timestamp> {
        self.taken(collection).map(|(_, taken)| taken.observed_at)
    }

    /// What the baseline said: `claim` is the sentence without its full stop.
    pub(super) fn was(&self, at: &At<'_>, value: &str, claim: &str) -> Option<Proof> {
        let At { collection, object, field } = *at;
        let (uid, taken) = self.taken(collection)?;
        let (api, version) = taken.reads.get(collection).and_then(|read| read.calls.first()).map_or_else(
            || (collection.to_owned(), String::new()),
            |(api, version, path)| (format!("{api} {path}"), version.clone()),
        );
        let source = EvidenceSource {
            connector: self.baseline.system.clone(),
            api,
            version,
            object: display_name(object),
            field: field.to_owned(),
        };
        let claim = format!("{claim} (baseline: snapshot {} of {}).", taken.snapshot, date(taken.observed_at));
        let (value, observed_at) = (Some(display_name(value)), Some(taken.observed_at));
        let evidence = Evidence { class: EvidenceClass::Temporal, claim, source, value, observed_at };
        let dependency =
            Dependency { instance_uid: uid.to_owned(), collection: super::baseline_dependency(collection) };
        Some(Proof { evidence, dependency: Some(dependency), mark: None })
    }

    /// What a finding over `collections` rests on: both sides of each, in every instance that reports on it.
    pub(crate) fn rests_on(&self, collections: &[&str]) -> BTreeSet<Dependency> {
        let mut all = BTreeSet::new();
        for (uid, taken) in &self.baseline.instances {
            for name in collections.iter().filter(|name| taken.reads.contains_key(**name)) {
                let sides = [(*name).to_owned(), super::baseline_dependency(name)];
                all.extend(sides.map(|collection| Dependency { instance_uid: uid.clone(), collection }));
            }
        }
        all
    }
}
