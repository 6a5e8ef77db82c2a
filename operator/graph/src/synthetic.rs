//! A made-up estate of any size with the shape of real ones: takes a number of nodes and a seed, gives headers and rows.
//!
//! Degrees follow a power law (most identities hold little, a few hold thousands of grants), groups lie in groups, keys
//! age and expire, owners leave, identities of one tenant appear in another. The rows use the vocabulary that the Entra
//! connector writes, so that the rules fire about as seldom as in a large organisation, where most identities hold
//! nothing that matters. Equal parameters give equal rows. For benchmarks and tests only: no tenant was measured for it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::RowStore;
use crate::model::{EdgeKind, EdgeRow, EdgeState, Header, NodeId, NodeKind, NodeRow, Value, attr};
use crate::snapshot::{EncodedSnapshot, Row, SnapshotError};
use crate::testing::{ENTRA_COLLECTIONS, SnapshotBuilder};

/// Tenants of an estate, each read by an instance of its own.
const TENANTS: usize = 4;
/// The day on which the estate was read.
const READ_ON: &str = "2026-06-01T00:00:00Z";
/// Most grants, memberships or owners of one object.
const MOST: usize = 3_000;

const MICROSOFT_TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
const MICROSOFT_GRAPH: &str = "00000003-0000-0000-c000-000000000000";
const DEFAULT_ACCESS: &str = "00000000-0000-0000-0000-000000000000";

/// Permissions at Microsoft Graph, the frequent ones first: `User.Read.All`, `Directory.Read.All`, `Mail.Read`,
/// `Files.Read.All`, `TeamMember.ReadWrite.All`, `AccessReview.ReadWrite.Membership`, `Application.ReadWrite.All`,
/// `RoleManagement.ReadWrite.Directory`.
const PERMISSIONS: [&str; 8] = [
    "df021288-bdef-4463-88db-98f22de89214",
    "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
    "01d4889c-1287-42c6-ac1f-5d1e02578ef6",
    "0121dc95-1b9f-4aed-8bac-58c5ac466691",
    "18228521-a591-40f1-b215-5fad4488c117",
    "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8",
];

/// Directory roles, the frequent ones first: Directory Readers, User Administrator, Billing Administrator, Application
/// Administrator, Global Administrator.
const ROLES: [&str; 5] = [
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "b0f54661-2d74-4c50-afa3-1ec803f12efe",
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
    "62e90394-69f5-4237-9190-012177145e10",
];

/// Federated trusts: issuer and what its tokens must say.
const TRUSTS: [(&str, &str, &str); 4] = [
    ("https://token.actions.githubusercontent.com", attr::SUBJECT, "repo:contoso/app:environment:prod"),
    (
        "https://token.actions.githubusercontent.com",
        attr::MATCHING_EXPRESSION,
        "claims['sub'] matches 'repo:contoso/*'",
    ),
    ("https://gitlab.com", attr::SUBJECT, "project_path:contoso/app:ref_type:branch:ref:main"),
    ("https://app.terraform.io", attr::SUBJECT, "organization:o:project:p:workspace:w:run_phase:apply"),
];

/// Of a thousand identities, those that hold a directory role of their own.
const ROLE_HOLDERS: usize = 12;

/// An estate by its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synthetic {
    nodes: usize,
    seed: u64,
    role_holders: usize,
}

impl Synthetic {
    /// An estate of about `nodes` nodes and 6.3 times as many edges.
    pub const fn new(nodes: usize, seed: u64) -> Self {
        Self { nodes, seed, role_holders: ROLE_HOLDERS }
    }

    /// The same with `permille` of a thousand identities holding a directory role instead of about one in a hundred. No
    /// real estate is like that: it has nearly as many findings as objects, to see what one finding costs.
    #[must_use]
    pub const fn with_role_holders(self, permille: usize) -> Self {
        Self { role_holders: permille, ..self }
    }

    /// Number of instances; each reads a tenant of its own.
    pub const fn instances(&self) -> usize {
        TENANTS
    }

    /// The instant at which every instance read its tenant: what an evaluation may take for "now".
    pub fn read_on() -> Timestamp {
        READ_ON.parse().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The header of one instance's snapshot: every collection was read completely.
    pub fn header(&self, instance: usize) -> Header {
        let mut builder = SnapshotBuilder::entra(&format!("uid-{instance}"), &self.tenant(instance));
        let header = builder.header();
        header.observed_at = Self::read_on();
        header.finished_at = Self::read_on();
        header.clone()
    }

    /// Gives every row of one instance to `row`, in no particular order.
    pub fn rows(&self, instance: usize, row: &mut dyn FnMut(Row)) {
        let mut maker = Maker::new(self, instance, row);
        maker.directory();
        for at in 0..maker.sizes.applications {
            maker.application(at);
        }
        for at in 0..maker.sizes.principals {
            maker.principal(at);
        }
        for at in 0..maker.sizes.groups {
            maker.group(at);
        }
        for at in 0..maker.sizes.people {
            maker.person(at);
        }
    }

    /// One instance's snapshot as it is stored.
    pub fn encode(&self, instance: usize) -> Result<EncodedSnapshot, SnapshotError> {
        let mut store = RowStore::default();
        let mut result = Ok(());
        self.rows(instance, &mut |row| {
            if result.is_ok() {
                result = store.push(row);
            }
        });
        result?;
        store.write(self.header(instance))
    }

    fn tenant(&self, instance: usize) -> String {
        Dice::of(self.seed, &[instance as u64, u64::MAX]).uuid()
    }
}

/// How many objects of each kind one tenant has.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    applications: usize,
    /// Identities: first the service principals of the applications, then foreign ones, managed identities and APIs.
    principals: usize,
    groups: usize,
    people: usize,
}

/// What a principal is, by its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Own,
    Foreign,
    Managed,
    Agent,
    Api,
}

/// Where an edge starts, what it says and where it leads.
type Ends<'a> = (&'a NodeId, EdgeKind, &'a NodeId);

/// Writes one tenant.
struct Maker<'a> {
    home: String,
    other: String,
    seed: u64,
    sizes: Sizes,
    role_holders: usize,
    dice: Dice,
    row: &'a mut dyn FnMut(Row),
}

impl<'a> Maker<'a> {
    fn new(estate: &Synthetic, instance: usize, row: &'a mut dyn FnMut(Row)) -> Self {
        let nodes = (estate.nodes / TENANTS).max(100);
        let sizes = Sizes {
            applications: nodes * 15 / 100,
            principals: nodes * 29 / 100,
            groups: nodes * 10 / 100,
            people: nodes * 21 / 100,
        };
        let other = estate.tenant((instance + 1) % TENANTS);
        let seed = Dice::of(estate.seed, &[instance as u64]).next();
        Self {
            home: estate.tenant(instance),
            other,
            seed,
            sizes,
            role_holders: estate.role_holders,
            dice: Dice(seed),
            row,
        }
    }

    fn id(&self, kind: NodeKind, at: usize) -> NodeId {
        let vendor = Dice::of(self.seed, &[kind as u64, at as u64]).uuid();
        NodeId::new("entra", &self.home, kind, &vendor)
    }

    fn op(collection: &str) -> u16 {
        let at = ENTRA_COLLECTIONS.iter().position(|known| *known == collection);
        at.and_then(|at| u16::try_from(at).ok()).unwrap_or_default()
    }

    fn node(&mut self, collection: &str, id: &NodeId, attrs: Vec<(&str, Value)>) {
        let Some(kind) = id.kind() else { return };
        let attrs: BTreeMap<String, Value> = attrs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let op = Self::op(collection);
        (self.row)(Row::Node(NodeRow { id: id.clone(), kind, op, attrs }));
    }

    fn edge(&mut self, collection: &str, ends: Ends<'_>, more: impl FnOnce(&mut EdgeRow)) {
        let (from, kind, to) = ends;
        let mut row = EdgeRow {
            from: from.clone(),
            kind,
            to: to.clone(),
            op: Self::op(collection),
            object: None,
            role: None,
            scope: None,
            condition: None,
            state: EdgeState::Active,
            since: None,
            until: None,
        };
        more(&mut row);
        (self.row)(Row::Edge(row));
    }

    /// The tenant itself and Microsoft Graph's service principal in it.
    fn directory(&mut self) {
        let (system, graph) = (self.system(), self.graph());
        self.node("organization", &system, vec![(attr::NAME, text("Contoso"))]);
        let attrs = vec![
            (attr::NAME, text("Microsoft Graph")),
            (attr::APP_ID, text(MICROSOFT_GRAPH)),
            (attr::HOME_TENANT, text(MICROSOFT_TENANT)),
            (attr::ENABLED, Value::Bool(true)),
        ];
        self.node("servicePrincipals", &graph, attrs);
    }

    fn system(&self) -> NodeId {
        NodeId::new("entra", &self.home, NodeKind::System, &self.home)
    }

    fn graph(&self) -> NodeId {
        NodeId::new("entra", &self.home, NodeKind::ServicePrincipal, MICROSOFT_GRAPH)
    }

    /// Of each hundred principals: 52 of own applications, 20 foreign, 17 managed, 3 agents, 8 APIs.
    fn part(&self, at: usize) -> Part {
        let own = self.sizes.applications;
        let rest = self.sizes.principals.saturating_sub(own).max(1);
        match at.checked_sub(own).map(|at| at * 100 / rest) {
            None => Part::Own,
            Some(..42) => Part::Foreign,
            Some(42..77) => Part::Managed,
            Some(77..83) => Part::Agent,
            Some(_) => Part::Api,
        }
    }

    fn principal_id(&self, at: usize) -> NodeId {
        let kind = match self.part(at) {
            Part::Managed => NodeKind::ManagedIdentity,
            Part::Agent => NodeKind::AgentIdentity,
            Part::Own | Part::Foreign | Part::Api => NodeKind::ServicePrincipal,
        };
        self.id(kind, at)
    }

    fn application(&mut self, at: usize) {
        let (app, principal) = (self.id(NodeKind::Application, at), self.principal_id(at));
        let owners = self.dice.degree(1.6, 40);
        let attrs = vec![
            (attr::APP_ID, text(&self.app_id(at))),
            (attr::NAME, text(&format!("application {at}"))),
            (attr::CREATED_AT, self.dice.ago(30, 3_000)),
            (attr::HAS_MANAGEMENT_REFERENCE, Value::Bool(self.dice.chance(100))),
            (attr::CREDENTIALS_LOCKED, Value::Bool(self.dice.chance(300))),
        ];
        self.node("applications", &app, attrs);
        let owned = self.owners("applicationOwners", &app, owners);
        self.node("applicationOwners", &app, vec![(attr::OWNER_COUNT, Value::Int(owned))]);
        self.edge("servicePrincipals", (&app, EdgeKind::Instantiates, &principal), |_| {});
        for key in 0..self.dice.degree(1.55, 30) {
            self.credential(&app, at, key);
        }
        if self.dice.chance(150) {
            self.federation(&app, at);
        }
    }

    fn app_id(&self, at: usize) -> String {
        Dice::of(self.seed, &[u64::MAX, at as u64]).uuid()
    }

    /// Some are owners of far more than others.
    fn somebody(&mut self) -> NodeId {
        let at = self.dice.skewed(self.sizes.people);
        self.id(NodeKind::Human, at)
    }

    /// Gives distinct owners and says how many.
    fn owners(&mut self, collection: &str, object: &NodeId, count: usize) -> i64 {
        let mut people: Vec<usize> = (0..count).map(|_| self.dice.skewed(self.sizes.people)).collect();
        people.sort_unstable();
        people.dedup();
        for at in &people {
            let person = self.id(NodeKind::Human, *at);
            self.edge(collection, (&person, EdgeKind::Owns, object), |_| {});
        }
        i64::try_from(people.len()).unwrap_or_default()
    }

    fn credential(&mut self, holder: &NodeId, at: usize, key: usize) {
        let own = Dice::of(self.seed, &[0, at as u64, key as u64]).uuid();
        let id = NodeId::new("entra", &self.home, NodeKind::Credential, &format!("{}/{own}", holder.vendor_id()));
        let certificate = self.dice.chance(350);
        let kind = if certificate { "certificate" } else { "secret" };
        let end = if self.dice.chance(30) { text("none") } else { self.dice.around(500, 900) };
        let mut attrs = vec![
            (attr::CREDENTIAL_TYPE, text(kind)),
            (attr::CREDENTIAL_USE, text("client_auth")),
            (attr::VALID_FROM, self.dice.ago(1, 900)),
            (attr::VALID_TO, end),
        ];
        if certificate {
            // A few hundred certificates stand on several applications.
            let shared = if self.dice.chance(20) { self.dice.below(200) } else { 1_000 + at * 50 + key };
            attrs.push((attr::THUMBPRINT, text(&format!("{shared:040X}"))));
        }
        self.node("applications", &id, attrs);
        self.edge("applications", (holder, EdgeKind::HoldsCredential, &id), |_| {});
        if self.dice.chance(600) {
            let used = self.dice.ago(0, 400);
            self.node("credentialActivity", &id, vec![(attr::LAST_USED_AT, used)]);
        }
        if self.dice.chance(100) {
            let (person, since) = (self.somebody(), self.dice.instant(30));
            self.edge("directoryAudits", (&id, EdgeKind::CreatedBy, &person), |row| row.since = Some(since));
        }
    }

    fn federation(&mut self, app: &NodeId, at: usize) {
        let (issuer, key, says) = TRUSTS[at % TRUSTS.len()];
        let id = NodeId::new("entra", &self.home, NodeKind::FederatedSubject, &format!("{}/fic", app.vendor_id()));
        self.node("federatedCredentials", &id, vec![(attr::ISSUER, text(issuer)), (key, text(says))]);
        self.edge("federatedCredentials", (&id, EdgeKind::AuthenticatesAs, app), |_| {});
    }

    fn principal(&mut self, at: usize) {
        let (id, part) = (self.principal_id(at), self.part(at));
        let (home, app_id) = match part {
            Part::Foreign => (self.other.clone(), Dice::of(!self.seed, &[at as u64]).uuid()),
            _ => (self.home.clone(), self.app_id(at)),
        };
        let attrs = vec![
            (attr::APP_ID, text(&app_id)),
            (attr::NAME, text(&format!("identity {at}"))),
            (attr::ENABLED, Value::Bool(self.dice.chance(950))),
            (attr::PRINCIPAL_TYPE, text(if part == Part::Managed { "ManagedIdentity" } else { "Application" })),
            (attr::HOME_TENANT, text(&home)),
            (attr::CREATED_AT, self.dice.ago(30, 3_000)),
        ];
        self.node("servicePrincipals", &id, attrs);
        let owners = if part == Part::Own { self.dice.degree(0.5, 20) } else { 0 };
        let owned = self.owners("servicePrincipalOwners", &id, owners);
        self.node("servicePrincipalOwners", &id, vec![(attr::OWNER_COUNT, Value::Int(owned))]);
        if self.dice.chance(700) {
            let used = self.dice.ago(0, 400);
            self.node("servicePrincipalActivity", &id, vec![(attr::LAST_USED_AT, used)]);
        }
        if part == Part::Agent {
            let blueprint = self.id(NodeKind::Application, at % self.sizes.applications.max(1));
            self.edge("agentIdentities", (&blueprint, EdgeKind::Instantiates, &id), |_| {});
            let person = self.somebody();
            self.edge("agentIdentitySponsors", (&person, EdgeKind::Sponsors, &id), |_| {});
        }
        self.authority(&id, at);
    }

    /// Grants, consents and memberships of one identity.
    fn authority(&mut self, id: &NodeId, at: usize) {
        let (system, graph) = (self.system(), self.graph());
        for grant in 0..self.dice.degree(5.6, MOST) {
            let api = self.sizes.principals - 1 - self.dice.skewed(self.sizes.principals / 25);
            let (api, role) = (self.principal_id(api), self.dice.below(8));
            let object = self.object(at, 1, grant);
            let role = if role < 3 { DEFAULT_ACCESS.to_owned() } else { Dice(role as u64).uuid() };
            self.edge("appRoleAssignments", (id, EdgeKind::Granted, &api), |row| {
                (row.role, row.object) = (Some(role), Some(object));
            });
        }
        if self.dice.chance(70) {
            let role = PERMISSIONS[self.dice.skewed(PERMISSIONS.len())];
            let object = self.object(at, 2, 0);
            self.edge("appRoleAssignments", (id, EdgeKind::Granted, &graph), |row| {
                (row.role, row.object) = (Some(role.to_owned()), Some(object));
            });
        }
        if self.dice.chance(self.role_holders) {
            let (object, until) = (self.object(at, 3, 0), self.dice.instant(90));
            let role = ROLES[self.dice.skewed(ROLES.len())];
            let eligible = self.dice.chance(200);
            self.edge("directoryRoleAssignments", (id, EdgeKind::Granted, &system), |row| {
                (row.role, row.object, row.scope) = (Some(role.to_owned()), Some(object), Some("/".to_owned()));
                if eligible {
                    (row.state, row.until) = (EdgeState::Eligible, until.checked_add(days(200)).ok());
                }
            });
        }
        for consent in 0..self.dice.degree(4.3, MOST) {
            let object = self.object(at, 4, consent);
            let user = format!("/users/{}", self.somebody().vendor_id());
            let scopes = if self.dice.chance(10) { "Mail.Read offline_access" } else { "User.Read openid profile" };
            self.edge("delegatedGrants", (id, EdgeKind::DelegatedGrant, &graph), |row| {
                (row.role, row.object, row.scope) = (Some(scopes.to_owned()), Some(object), Some(user));
            });
        }
        for _ in 0..self.dice.degree(8.9, MOST) {
            let group = self.dice.skewed(self.sizes.groups);
            let group = self.id(NodeKind::Group, group);
            self.edge("groupMembers", (id, EdgeKind::MemberOf, &group), |_| {});
        }
    }

    fn object(&self, at: usize, kind: u64, number: usize) -> String {
        Dice::of(self.seed, &[at as u64, kind, number as u64, 7]).uuid()
    }

    /// A group and those that it lies in: each has a parent with a smaller number, so that chains are some tens deep.
    fn group(&mut self, at: usize) {
        let id = self.id(NodeKind::Group, at);
        let assignable = holds_a_role(at);
        let attrs = vec![(attr::NAME, text(&format!("group {at}"))), (attr::ROLE_ASSIGNABLE, Value::Bool(assignable))];
        self.node("groups", &id, attrs);
        if at > 0 {
            for _ in 0..self.dice.degree(1.6, 30) {
                // Near to itself, so that groups lie deep.
                let parent = at - 1 - self.dice.below(at.min(1 + self.sizes.groups / 30));
                if holds_a_role(parent) {
                    continue;
                }
                let parent = self.id(NodeKind::Group, parent);
                self.edge("groupMembers", (&id, EdgeKind::MemberOf, &parent), |_| {});
            }
        }
        if assignable {
            let (system, object) = (self.system(), self.object(at, 5, 0));
            let role = ROLES[self.dice.skewed(3)];
            self.edge("directoryRoleAssignments", (&id, EdgeKind::Granted, &system), |row| {
                (row.role, row.object, row.scope) = (Some(role.to_owned()), Some(object), Some("/".to_owned()));
            });
        }
    }

    fn person(&mut self, at: usize) {
        let id = self.id(NodeKind::Human, at);
        let attrs = vec![
            (attr::ADDRESS, text(&format!("person{at}@contoso.example"))),
            (attr::ENABLED, Value::Bool(self.dice.chance(880))),
            (attr::USER_TYPE, text(if self.dice.chance(50) { "Guest" } else { "Member" })),
        ];
        self.node("ownerAccounts", &id, attrs);
    }
}

/// Few groups, and none of the most popular ones. Nothing lies in such a group: the vendor takes no group into one that
/// directory roles can be assigned to.
const fn holds_a_role(group: usize) -> bool {
    group % 500 == 499
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn days(number: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * number)
}

/// Numbers that follow from a seed alone.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    /// Dice for one object.
    fn of(seed: u64, parts: &[u64]) -> Self {
        let mut dice = Self(seed);
        for part in parts {
            dice.0 = dice.next() ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        dice
    }

    /// The generator `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Below `most`, evenly; 0 of none.
    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % (most.max(1) as u64)).unwrap_or_default()
    }

    /// Below `most`, small numbers far more often.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a draw")]
    fn skewed(&mut self, most: usize) -> usize {
        let at = most as f64 * self.unit().powi(3);
        (at as usize).min(most.saturating_sub(1))
    }

    /// In so many of a thousand cases.
    fn chance(&mut self, permille: usize) -> bool {
        self.below(1_000) < permille
    }

    /// A degree with this mean that follows a power law: half of that for most, and without a bound but `most` for few.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a draw")]
    fn degree(&mut self, mean: f64, most: usize) -> usize {
        let drawn = mean / 2.0 / (1.0 - self.unit()).sqrt();
        let more = f64::from(u8::from(self.unit() < drawn.fract()));
        ((drawn.floor() + more) as usize).min(most)
    }

    /// An instant at most `most` days before the estate was read.
    fn instant(&mut self, most: usize) -> Timestamp {
        let back = i64::try_from(self.below(most)).unwrap_or_default();
        Synthetic::read_on().checked_sub(days(back)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Between `least` and `most` days before the estate was read.
    fn ago(&mut self, least: usize, most: usize) -> Value {
        let back = i64::try_from(least + self.below(most - least)).unwrap_or_default();
        text(&Synthetic::read_on().checked_sub(days(back)).unwrap_or(Timestamp::UNIX_EPOCH).to_string())
    }

    /// From `before` days before to `after` days after that.
    fn around(&mut self, before: usize, after: usize) -> Value {
        let day = i64::try_from(self.below(before + after)).unwrap_or_default() - i64::try_from(before).unwrap_or(0);
        text(&Synthetic::read_on().checked_add(days(day)).unwrap_or(Timestamp::UNIX_EPOCH).to_string())
    }

    /// In the form of a vendor's identifier.
    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Graph, Snapshot, read_snapshot};

    const NODES: usize = 3_000;

    fn estate() -> Vec<Snapshot> {
        let estate = Synthetic::new(NODES, 1);
        (0..estate.instances())
            .map(|instance| {
                let encoded = estate.encode(instance).unwrap();
                let mut parts = encoded.parts.iter();
                read_snapshot(encoded.manifest.clone(), |_| parts.next().map(|part| &part.bytes[..])).unwrap()
            })
            .collect()
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn it_has_the_size_and_the_shape_that_were_asked_for() {
        let graph = Graph::build(estate()).unwrap();
        let nodes = graph.node_indexes().len() as f64;
        assert!((nodes / NODES as f64 - 1.0).abs() < 0.03, "{nodes} nodes");
        let each = graph.edges().len() as f64 / nodes;
        assert!((each - 6.3).abs() < 0.6, "{each} edges for each node");
        let mut members: Vec<usize> =
            graph.node_indexes().map(|ix| graph.incoming(ix, EdgeKind::MemberOf).count()).collect();
        members.sort_unstable();
        let all: usize = members.iter().sum();
        let top: usize = members.iter().rev().take(members.len() / 100).sum();
        assert!(top * 4 > all, "a hundredth of the nodes has {top} of {all} memberships");
        assert!(graph.instances().iter().all(|instance| instance.foreign_assertions == 0));
    }

    #[test]
    fn equal_parameters_give_equal_bytes() {
        let one = Synthetic::new(1_000, 5);
        assert_eq!(one.encode(1).unwrap(), Synthetic::new(1_000, 5).encode(1).unwrap());
        assert_ne!(one.encode(1).unwrap().digest, Synthetic::new(1_000, 6).encode(1).unwrap().digest);
        assert_ne!(one.encode(1).unwrap().digest, one.encode(2).unwrap().digest);
    }
}
