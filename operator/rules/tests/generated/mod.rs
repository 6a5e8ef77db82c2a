//! Estates at random: a directory as it is and as it was, other systems whose automations run as its identities, and what
//! the customer declares. Reaches every rule, which a test beside the properties proves.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{Coverage, CoverageState, EdgeKind, Graph, NodeId, NodeKind, Operation, Snapshot, Value, attr};
use sv0_rules::{Baseline, Containers, DataDomain, Environment, Purpose, RuleConfig, RuleOutput};

use crate::support::*;

/// The day of the baseline.
const THEN: &str = "2026-03-01T00:00:00Z";
/// Scan of today, that of the baseline being the first.
const TODAY: &str = "00000000000002-aaaaaaaa";

/// An estate.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) specs: Vec<Spec>,
    /// What an identity was in the baseline, where that is not what it is.
    before: Vec<Option<Spec>>,
    declared: Declared,
}

/// What the customer declares, and what the tenant's policy for credentials is.
#[derive(Clone, Debug)]
struct Declared {
    environments: bool,
    /// Purpose of that one: its systems are none, or its data is.
    purpose: Option<(usize, bool)>,
    sensitive: bool,
    trusted: bool,
    /// The policy limits credentials.
    policy: Option<bool>,
}

pub(crate) fn case(size: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    let declared = (
        any::<bool>(),
        prop::option::of((0usize..4, any::<bool>())),
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.8, prop::bool::weighted(0.2)),
    )
        .prop_map(|(environments, purpose, sensitive, trusted, policy)| Declared {
            environments,
            purpose,
            sensitive,
            trusted,
            policy,
        });
    (prop::collection::vec((spec(), before()), size), declared).prop_map(|(all, declared)| {
        let (specs, before): (Vec<Spec>, Vec<Before>) = all.into_iter().unzip();
        let before = specs.iter().zip(before).map(|(spec, before)| before.of(spec)).collect();
        Case { specs, before, declared }
    })
}

/// How an identity came to be what it is.
#[derive(Clone, Debug)]
enum Before {
    /// It was what it is.
    Same,
    /// It was another one altogether.
    Other(Box<Spec>),
    /// Its role, keys, owners or trusts were others: one thing alone.
    But(usize, Box<Spec>),
}

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        2 => Just(Before::Same),
        1 => spec().prop_map(|other| Before::Other(Box::new(other))),
        3 => (0usize..5, spec()).prop_map(|(what, other)| Before::But(what, Box::new(other))),
    ]
}

impl Before {
    fn of(self, spec: &Spec) -> Option<Spec> {
        let (what, other) = match self {
            Self::Same => return None,
            Self::Other(other) => return Some(*other),
            Self::But(what, other) => (what, *other),
        };
        let mut before = spec.clone();
        match what {
            0 => before.role = other.role,
            1 => before.keys = other.keys,
            2 => before.owners = other.owners,
            3 => before.more.bounded = !spec.more.bounded,
            _ => (before.extra, before.more) = (other.extra, other.more),
        }
        Some(before)
    }
}

impl Case {
    /// The directory, and the two systems that run automations.
    pub(crate) fn today(&self) -> [SnapshotBuilder; 3] {
        let [mut directory, azure, aws] = self.systems(&self.specs);
        TODAY.clone_into(&mut directory.header().scan_id);
        [directory, azure, aws]
    }

    /// The directory as it was.
    pub(crate) fn then(&self) -> SnapshotBuilder {
        let specs: Vec<Spec> = self
            .specs
            .iter()
            .zip(&self.before)
            .map(|(now, then)| then.clone().unwrap_or_else(|| now.clone()))
            .collect();
        let [mut directory, ..] = self.systems(&specs);
        let header = directory.header();
        (header.observed_at, header.finished_at) = (THEN.parse().unwrap(), THEN.parse().unwrap());
        directory
    }

    fn systems(&self, specs: &[Spec]) -> [SnapshotBuilder; 3] {
        let mut directory = estate(specs);
        if let Some(limits) = self.declared.policy {
            let enforced = if limits { vec!["passwordLifetime".to_owned()] } else { Vec::new() };
            for (key, kinds) in [(attr::CREDENTIAL_POLICY, enforced), (attr::CUSTOM_CREDENTIAL_POLICIES, Vec::new())] {
                directory.node("appManagementPolicies", NodeKind::System, TENANT, &[(key, Value::List(kinds))]);
            }
        }
        let mut others = [system("azure", "uid-azure"), system("aws", "uid-aws")];
        for (i, spec) in specs.iter().enumerate() {
            for (k, automation) in spec.more.automations.iter().enumerate() {
                add_automation(&mut others[usize::from(automation.elsewhere)], i, k, automation);
            }
        }
        let [azure, aws] = others;
        [directory, azure, aws]
    }

    pub(crate) fn config(&self) -> RuleConfig {
        let ids = |all: &[&str]| all.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        let mut config = RuleConfig::default();
        if self.declared.environments {
            let production = Environment { production: true, tenants: ids(&[TENANT]), ..Environment::default() };
            let test = Environment { objects: ids(&[&principal_id(0), "a1"]), ..Environment::default() };
            config.environments = BTreeMap::from([("production".to_owned(), production), ("test".to_owned(), test)]);
        }
        if let Some((i, systems)) = self.declared.purpose {
            let purpose = if systems {
                Purpose { systems: Some(BTreeSet::new()), domains: None }
            } else {
                Purpose { systems: None, domains: Some(BTreeSet::new()) }
            };
            let id = NodeId::new("entra", TENANT, NodeKind::ServicePrincipal, &principal_id(i));
            config.declared_purposes.insert(id.to_string(), purpose);
        }
        if self.declared.sensitive {
            let containers = Containers { objects: ids(&["graph"]), scopes: ids(&[UNIT]) };
            config.sensitive_domains.insert(DataDomain::Finance, containers);
        }
        if self.declared.trusted {
            config.trusted_tenants.insert(OTHER_TENANT.to_owned());
        }
        config
    }

    pub(crate) fn baselines(&self, then: Vec<Snapshot>) -> Vec<Baseline> {
        let then = Graph::build(then).unwrap();
        Baseline::of(&then, &self.config()).into_iter().collect()
    }

    /// What the rules say over `today`, with the baseline as it is.
    pub(crate) fn judged(&self, today: Vec<Snapshot>, threads: usize) -> RuleOutput {
        let baselines = self.baselines(vec![self.then().build()]);
        sv0_rules::run_since(&Graph::build(today).unwrap(), &baselines, &self.config(), as_of(), threads)
    }

    pub(crate) fn run(&self) -> RuleOutput {
        self.judged(self.today().map(|builder| builder.build()).into(), 1)
    }
}

/// Reads everybody's files.
const FILES_READ: &str = "01d4889c-1287-42c6-ac1f-5d1e02578ef6";
/// A part of the tenant.
const UNIT: &str = "/administrativeUnits/au-1";

/// The object id of the i-th service principal: other systems know an identity by it.
pub(crate) fn principal_id(i: usize) -> String {
    format!("{i:08}-0000-4000-8000-000000000000")
}

/// A system that runs automations.
fn system(name: &str, uid: &str) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::entra(uid, "account");
    let header = builder.header();
    name.clone_into(&mut header.system);
    (header.instance, header.observed_at, header.finished_at) = (format!("{name}-{uid}"), as_of(), as_of());
    header.operations = vec![Operation {
        id: "listFunctions".to_owned(),
        api: "Functions".to_owned(),
        version: "v1".to_owned(),
        path: "GET /functions".to_owned(),
        collection: "functions".to_owned(),
    }];
    header.coverage = ["functions", "schedules"].map(covered).into();
    builder
}

fn covered(collection: &str) -> Coverage {
    Coverage {
        collection: collection.to_owned(),
        scope: "account".to_owned(),
        state: CoverageState::Complete,
        reason: None,
        permission: None,
        pages: 1,
        items: 1,
    }
}

fn add_automation(builder: &mut SnapshotBuilder, i: usize, k: usize, automation: &Automation) {
    let mut attrs = Vec::new();
    attrs.extend(automation.on.map(|on| (attr::ENABLED, Value::Bool(on))));
    attrs.extend(automation.deleted.then(|| (attr::DELETED_AT, text("2026-04-01T00:00:00Z"))));
    let node = builder.node("functions", NodeKind::Function, &format!("job-{i}-{k}"), &attrs);
    let identity = builder.id(NodeKind::ManagedIdentity, &principal_id(i));
    builder.edge("functions", &node, EdgeKind::RunsAs, &identity);
    if let Some(owner) = automation.owner {
        let owner = builder.node("functions", NodeKind::Human, &format!("team-{owner}"), &[]);
        builder.edge("functions", &owner, EdgeKind::Owns, &node);
    }
}

/// What else an identity is.
#[derive(Clone, Debug)]
struct More {
    /// A managed identity: without an application, keys and trusts.
    managed: bool,
    /// Its role is over a part of the tenant.
    bounded: bool,
    automations: Vec<Automation>,
    /// Exact subjects that it trusts, with the audiences of their tokens.
    subjects: Vec<usize>,
    /// The account that added its keys, and whether it is in the recycle bin.
    adder: (Option<bool>, bool),
    /// Its own people are in the recycle bin.
    deleted: bool,
}

/// A function that runs as the identity.
#[derive(Clone, Debug)]
struct Automation {
    /// In the second system.
    elsewhere: bool,
    on: Option<bool>,
    deleted: bool,
    owner: Option<u8>,
}

fn more() -> impl Strategy<Value = More> {
    let owner = prop::option::weighted(0.3, 0u8..3);
    let on = prop::option::weighted(0.95, any::<bool>());
    let automation = (any::<bool>(), on, prop::bool::weighted(0.2), owner)
        .prop_map(|(elsewhere, on, deleted, owner)| Automation { elsewhere, on, deleted, owner });
    (
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.5, prop::collection::vec(automation, 1..6)),
        prop::option::weighted(0.3, prop::collection::vec(0..AUDIENCES.len(), 1..5)),
        (any::<Option<bool>>(), prop::bool::weighted(0.2)),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(managed, bounded, automations, subjects, adder, deleted)| More {
            managed,
            bounded,
            automations: automations.unwrap_or_default(),
            subjects: subjects.unwrap_or_default(),
            adder,
            deleted,
        })
}

/// Of a trust: that of the vendor's token exchange, another one, none at all; and not read.
const AUDIENCES: [Option<&[&str]>; 4] =
    [Some(&["api://AzureADTokenExchange"]), Some(&["api://other"]), Some(&[]), None];

fn trust(world: &mut World, i: usize, more: &More) {
    const ISSUERS: [&str; 2] = ["https://token.actions.githubusercontent.com", "https://app.terraform.io"];
    const SUBJECTS: [&str; 2] = ["repo:contoso/app", "organization:contoso:project:p:workspace:w"];
    for (k, audiences) in more.subjects.iter().enumerate() {
        let which = k % 2;
        let tail = if which == 0 { ":ref:refs/heads/main" } else { ":run_phase:apply" };
        let mut attrs = vec![(attr::SUBJECT, text(&format!("{}{k}{tail}", SUBJECTS[which])))];
        let list = |all: &[&str]| Value::List(all.iter().map(|one| (*one).to_owned()).collect());
        attrs.extend(AUDIENCES[*audiences].map(|all| (attr::AUDIENCES, list(all))));
        world.federated(&format!("exact-{i}-{k}"), ISSUERS[which], &attrs);
    }
}

/// One identity of a generated estate.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    role: Option<usize>,
    permission: Option<usize>,
    enabled: Option<bool>,
    keys: Vec<HeldKey>,
    owners: Vec<(u8, Option<bool>, bool)>,
    counted: bool,
    locked: Option<bool>,
    life: Life,
    extra: Extra,
    more: More,
}

/// A key: days since its first and until its last day, days since its last recorded use, and what it is.
#[derive(Clone, Debug)]
struct HeldKey {
    age: Option<i32>,
    rest: Option<i32>,
    used: Option<i32>,
    certificate: Option<usize>,
    /// Not told of some.
    signs_in: Option<bool>,
    on_principal: bool,
    added: Option<i32>,
}

/// What is known of an identity's use, in days before now.
#[derive(Clone, Debug)]
struct Life {
    made: Option<i32>,
    used: Option<i32>,
    unattended: Option<i32>,
    federated: bool,
    foreign: bool,
}

fn held_key() -> impl Strategy<Value = HeldKey> {
    (
        prop::option::weighted(0.9, -50i32..1000),
        prop::option::weighted(0.9, prop_oneof![3 => -100i32..1500, 1 => 1i32..30]),
        prop::option::of(0i32..400),
        prop::option::of(0usize..2),
        prop::option::weighted(0.85, prop::bool::weighted(0.9)),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.2, 0i32..60),
    )
        .prop_map(|(age, rest, used, certificate, signs_in, on_principal, added)| HeldKey {
            age,
            rest,
            used,
            certificate,
            signs_in,
            on_principal,
            added,
        })
}

/// Limits that seldom fall on the same day.
pub(crate) fn limits() -> impl Strategy<Value = RuleConfig> {
    (1u32..200, 1u32..300, 1u32..200, 1u32..100, 1u32..100, 1u32..100).prop_map(
        |(rotate, dormant, unused, rare, warn, grace)| RuleConfig {
            rotate_days: rotate,
            dormant_days: dormant,
            unused_credential_days: unused,
            rare_use_days: rare,
            expiry_warn_days: warn,
            never_used_grace_days: grace,
            ..RuleConfig::default()
        },
    )
}

fn life() -> impl Strategy<Value = Life> {
    (
        prop::option::weighted(0.8, 0i32..1000),
        prop::option::of(0i32..500),
        prop::option::of(0i32..500),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(made, used, unattended, federated, foreign)| Life {
            made,
            used,
            unattended,
            federated,
            foreign,
        })
}

/// Facts of revision 2.
#[derive(Clone, Debug)]
struct Extra {
    /// Member of the group of administrators for so many days; from twenty on, without an end.
    member: Option<i32>,
    eligible: Option<usize>,
    /// Scopes and whether they are for one user.
    delegated: Option<(usize, bool)>,
    trust: Option<usize>,
    /// An agent identity of the application with these sponsors: account and whether of the blueprint.
    agent: Option<Vec<(Option<bool>, bool)>>,
    /// Owns that one: its application or its service principal, and whether it may manage what it owns.
    owns: Option<(usize, bool, bool)>,
    /// Administers the application of that one.
    over: Option<usize>,
}

const SCOPES: [&str; 3] = ["Mail.ReadWrite offline_access", "Tasks.ReadWrite", "Mail.Read offline_access openid"];

const EXPRESSIONS: [&str; 4] = [
    "claims['sub'] matches 'repo:*'",
    "claims['sub'] matches 'repo:contoso/*'",
    "claims['sub'] eq 'repo:contoso/app:environment:prod'",
    "claims['sub'] in ('a')",
];

fn extra() -> impl Strategy<Value = Extra> {
    (
        prop::option::weighted(0.3, -3i32..40),
        prop::option::weighted(0.3, 0usize..4),
        prop::option::weighted(0.3, (0..SCOPES.len(), any::<bool>())),
        prop::option::weighted(0.3, 0..EXPRESSIONS.len()),
        prop::option::weighted(0.3, prop::collection::vec((any::<Option<bool>>(), any::<bool>()), 0..3)),
        prop::option::weighted(0.3, (0usize..4, any::<bool>(), prop::bool::weighted(0.8))),
        prop::option::weighted(0.15, 0usize..4),
    )
        .prop_map(|(member, eligible, delegated, trust, agent, owns, over)| Extra {
            member,
            eligible,
            delegated,
            trust,
            agent,
            owns,
            over,
        })
}

fn in_days(days: i32) -> jiff::Timestamp {
    as_of().checked_add(jiff::SignedDuration::from_hours(24 * i64::from(days))).unwrap()
}

fn add_extra(world: &mut World, i: usize, spec: &Spec, app: &NodeId, sp: &NodeId) {
    let roles = [GLOBAL_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, BILLING_ADMINISTRATOR, DIRECTORY_READERS];
    let extra = &spec.extra;
    if let Some(days) = extra.member {
        let group = world.b.id(NodeKind::Group, "admins");
        world.member(sp, &group).until = (days < 20).then(|| in_days(days));
    }
    (world.app, world.sp) = (app.clone(), sp.clone());
    if let Some((other, of_application, permitted)) = extra.owns {
        let (collection, kind, id) = if of_application {
            ("applicationOwners", NodeKind::Application, format!("a{other}"))
        } else {
            ("servicePrincipalOwners", NodeKind::ServicePrincipal, principal_id(other))
        };
        let owned = world.b.id(kind, &id);
        world.b.edge(collection, sp, EdgeKind::Owns, &owned);
        if permitted {
            world.permission("18a4783c-866b-4cc7-a460-3d5e5662c884");
        }
    }
    if let Some(other) = extra.over {
        world.role_of(sp, APPLICATION_ADMINISTRATOR, &format!("/a{other}"));
    }
    if let Some(role) = extra.eligible {
        world.eligible(roles[role], "/");
    }
    if let Some((scopes, one)) = extra.delegated {
        world.delegated(SCOPES[scopes], one.then_some("dana"));
    }
    if let Some(trust) = extra.trust {
        let issuer = "https://token.actions.githubusercontent.com";
        world.federated(&format!("fic-{i}"), issuer, &[(attr::MATCHING_EXPRESSION, text(EXPRESSIONS[trust]))]);
    }
    trust(world, i, &spec.more);
    let Some(sponsors) = &extra.agent else { return };
    let mut attrs = vec![(attr::ENABLED, Value::Bool(true)), (attr::OWNER_COUNT, Value::Int(0))];
    let own = sponsors.iter().filter(|(_, of_blueprint)| !of_blueprint).count();
    if spec.counted {
        attrs.push((attr::SPONSOR_COUNT, Value::Int(i64::try_from(own).unwrap())));
        let rest = Value::Int(i64::try_from(sponsors.len() - own).unwrap());
        world.b.node("agentIdentitySponsors", NodeKind::Application, &format!("a{i}"), &[(attr::SPONSOR_COUNT, rest)]);
    }
    let agent = world.b.node("agentIdentities", NodeKind::AgentIdentity, &format!("agent{i}"), &attrs);
    world.b.edge("agentIdentities", app, EdgeKind::Instantiates, &agent);
    world.role_of(&agent, BILLING_ADMINISTRATOR, "/");
    for (k, (enabled, of_blueprint)) in sponsors.iter().enumerate() {
        let person = world.person(&format!("i{i}-sponsor{k}"), *enabled);
        let object = if *of_blueprint { app } else { &agent };
        world.b.edge("agentIdentitySponsors", &person, EdgeKind::Sponsors, object);
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let owner = (0u8..4, any::<Option<bool>>(), any::<bool>());
    (
        prop::option::of(0usize..4),
        prop::option::of(0usize..7),
        prop::option::weighted(0.9, prop::bool::weighted(0.9)),
        prop_oneof![prop::collection::vec(held_key(), 1), prop::collection::vec(held_key(), 0..4)],
        prop::collection::vec(owner, 0..3),
        prop::bool::weighted(0.8),
        any::<Option<bool>>(),
        life(),
        (extra(), more()),
    )
        .prop_map(|(role, permission, enabled, keys, owners, counted, locked, life, (extra, more))| {
            Spec { role, permission, enabled, keys, owners, counted, locked, life, extra, more }.possible()
        })
}

impl Spec {
    /// What can be true together: nothing is used before it was made, nor after its end; what was used with a credential
    /// was used; and an account is one account.
    fn possible(mut self) -> Self {
        let made = self.life.made.unwrap_or(i32::MAX);
        for key in &mut self.keys {
            key.added = key.added.map(|added| added.min(made));
            // The vendor's first day of a new credential is the day on which it is added.
            key.age = key.age.map(|age| key.added.unwrap_or(age.min(made)));
            let begun = key.age.or(key.added).unwrap_or(made);
            key.rest = key.rest.map(|rest| rest.max(1 - begun.min(10_000)));
            let ended = key.rest.map_or(0, |rest| (-rest).max(0));
            key.used = key.used.filter(|used| key.signs_in != Some(false) && (ended..=begun).contains(used));
        }
        let life = &mut self.life;
        let own = |key: &&HeldKey| !self.more.managed && (key.on_principal || !life.foreign);
        let with_keys = self.keys.iter().filter(own).filter_map(|key| key.used).min();
        life.unattended = life.unattended.map(|days| days.min(made)).into_iter().chain(with_keys).min();
        life.used = life.used.map(|days| days.min(made).min(life.unattended.unwrap_or(made)));
        let accounts = self.owners.clone();
        for owner in &mut self.owners {
            owner.1 = accounts.iter().find(|first| first.0 == owner.0).and_then(|first| first.1);
        }
        self
    }
}

const PERMISSIONS: [&str; 7] =
    [ROLE_MANAGEMENT_WRITE, MAIL_READ, DIRECTORY_READ_ALL, APPLICATION_WRITE, FILES_READ, FILES_WRITE, GROUP_WRITE];

fn estate(specs: &[Spec]) -> SnapshotBuilder {
    let roles = [GLOBAL_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, BILLING_ADMINISTRATOR, DIRECTORY_READERS];
    let mut world = World::new();
    world.seen("2026-06-01T00:00:00Z");
    world.group("admins", APPLICATION_ADMINISTRATOR);
    for (i, spec) in specs.iter().enumerate() {
        let mut app_attrs = vec![(attr::HAS_MANAGEMENT_REFERENCE, Value::Bool(false))];
        app_attrs.extend(spec.locked.map(|locked| (attr::CREDENTIALS_LOCKED, Value::Bool(locked))));
        let mut sp_attrs = vec![
            (attr::HOME_TENANT, text(if spec.life.foreign { OTHER_TENANT } else { TENANT })),
            (attr::NAME, text(&format!("bot {i}"))),
        ];
        sp_attrs.extend(spec.enabled.map(|on| (attr::ENABLED, Value::Bool(on))));
        if spec.counted {
            let count = |of_app: bool| {
                let owners = spec.owners.iter().filter(|(_, _, on_app)| *on_app == of_app);
                let different: BTreeSet<u8> = owners.map(|(id, ..)| *id).collect();
                (attr::OWNER_COUNT, Value::Int(i64::try_from(different.len()).unwrap()))
            };
            app_attrs.push(count(true));
            sp_attrs.push(count(false));
        }
        let app = world.b.node("applications", NodeKind::Application, &format!("a{i}"), &app_attrs);
        let kind = if spec.more.managed { NodeKind::ManagedIdentity } else { NodeKind::ServicePrincipal };
        let sp = world.b.node("servicePrincipals", kind, &principal_id(i), &sp_attrs);
        if !spec.life.foreign && !spec.more.managed {
            world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
        }
        if let Some(role) = spec.role {
            world.role_of(&sp, roles[role], if spec.more.bounded { UNIT } else { "/" });
        }
        if let Some(permission) = spec.permission {
            let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
            world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &graph).role =
                Some(PERMISSIONS[permission].to_owned());
        }
        for (k, key) in spec.keys.iter().enumerate() {
            let holder = if key.on_principal && !spec.more.managed { &sp } else { &app };
            hold(&mut world, holder, &format!("k{k}"), (i, &spec.more), key);
        }
        live(&mut world, i, &app, spec);
        for (id, enabled, on_app) in &spec.owners {
            let person = world.person(&format!("i{i}-p{id}"), *enabled);
            if spec.more.deleted {
                bin(&mut world, &format!("i{i}-p{id}"));
            }
            let (collection, object) =
                if *on_app { ("applicationOwners", &app) } else { ("servicePrincipalOwners", &sp) };
            world.b.edge(collection, &person, EdgeKind::Owns, object);
        }
        add_extra(&mut world, i, spec, &app, &sp);
    }
    world.b
}

/// The instant `days` before now.
pub(crate) fn ago(days: i32) -> String {
    as_of().checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days))).unwrap().to_string()
}

fn hold(world: &mut World, holder: &NodeId, id: &str, (i, more): (usize, &More), key: &HeldKey) {
    const THUMBPRINTS: [&str; 2] =
        ["8C1D4B2E6F7A90123456789ABCDEF0123456789A", "1111111111111111111111111111111111111111"];
    let (from, to) = (key.age.map(ago), key.rest.map(|rest| ago(-rest)));
    let collection =
        if holder.kind() == Some(NodeKind::ServicePrincipal) { "servicePrincipals" } else { "applications" };
    let written = Key {
        id,
        kind: if key.certificate.is_some() { "certificate" } else { "secret" },
        usage: match key.signs_in {
            Some(true) => "client_auth",
            Some(false) => "token_signing",
            None => "another",
        },
        from: from.as_deref(),
        to: to.as_deref(),
        thumbprint: key.certificate.map(|which| THUMBPRINTS[which]),
    };
    world.key_on(holder, collection, &written);
    let id = format!("{}/{id}", holder.vendor_id());
    let credential = world.b.id(NodeKind::Credential, &id);
    if let Some(used) = key.used {
        world.b.node("credentialActivity", NodeKind::Credential, &id, &[(attr::LAST_USED_AT, text(&ago(used)))]);
    }
    if let Some(added) = key.added {
        let (enabled, deleted) = more.adder;
        let person = world.person(&format!("adder-{i}"), enabled);
        if deleted {
            bin(world, &format!("adder-{i}"));
        }
        world.b.edge("directoryAudits", &credential, EdgeKind::CreatedBy, &person).since =
            Some(ago(added).parse().unwrap());
    }
}

/// The account is in the recycle bin.
fn bin(world: &mut World, id: &str) {
    world.b.node("deletedUsers", NodeKind::Human, id, &[(attr::DELETED_AT, text("2026-05-20T00:00:00Z"))]);
}

fn live(world: &mut World, i: usize, app: &NodeId, spec: &Spec) {
    let life = &spec.life;
    let kind = if spec.more.managed { NodeKind::ManagedIdentity } else { NodeKind::ServicePrincipal };
    let id = principal_id(i);
    for (key, days, collection) in [
        (attr::CREATED_AT, life.made, "servicePrincipals"),
        (attr::LAST_USED_AT, life.used, "servicePrincipalActivity"),
        (attr::LAST_UNATTENDED_USE_AT, life.unattended, "servicePrincipalActivity"),
    ] {
        if let Some(days) = days {
            world.b.node(collection, kind, &id, &[(key, text(&ago(days)))]);
        }
    }
    if life.federated {
        let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, &format!("f{i}"), &[]);
        world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, app);
    }
}
