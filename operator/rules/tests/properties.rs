//! What holds for every estate: evaluation is a function, and knowing more never takes a proven claim away.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use support::*;
use sv0_graph::testing::{ENTRA_COLLECTIONS, SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, Graph, NodeId, NodeKind, Snapshot, Value, attr};
use sv0_rules::{Claim, RuleConfig, RuleOutput};

/// One identity of a generated estate.
#[derive(Clone, Debug)]
struct Spec {
    role: Option<usize>,
    permission: Option<usize>,
    enabled: Option<bool>,
    keys: Vec<HeldKey>,
    owners: Vec<(u8, Option<bool>, bool)>,
    counted: bool,
    locked: Option<bool>,
    life: Life,
    extra: Extra,
}

/// A key: days since its first and until its last day, days since its last recorded use, and what it is.
#[derive(Clone, Debug)]
struct HeldKey {
    age: Option<i32>,
    rest: Option<i32>,
    used: Option<i32>,
    certificate: Option<usize>,
    signs_in: bool,
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
        prop::option::weighted(0.9, -100i32..1500),
        prop::option::of(-2i32..400),
        prop::option::of(0usize..2),
        prop::bool::weighted(0.9),
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
fn limits() -> impl Strategy<Value = RuleConfig> {
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
        prop::option::of(-2i32..500),
        prop::option::of(-2i32..500),
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
    used: bool,
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
        any::<bool>(),
        prop::option::weighted(0.3, (0usize..4, any::<bool>(), prop::bool::weighted(0.8))),
        prop::option::weighted(0.15, 0usize..4),
    )
        .prop_map(|(member, eligible, delegated, trust, agent, used, owns, over)| Extra {
            member,
            eligible,
            delegated,
            trust,
            agent,
            used,
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
            ("servicePrincipalOwners", NodeKind::ServicePrincipal, format!("s{other}"))
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
    if extra.used {
        let used = [(attr::LAST_UNATTENDED_USE_AT, text("2026-05-01T00:00:00Z"))];
        world.b.node("servicePrincipalActivity", NodeKind::ServicePrincipal, &format!("s{i}"), &used);
    }
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
        prop::option::of(0usize..6),
        prop::option::weighted(0.9, prop::bool::weighted(0.9)),
        prop::collection::vec(held_key(), 0..4),
        prop::collection::vec(owner, 0..3),
        prop::bool::weighted(0.8),
        any::<Option<bool>>(),
        life(),
        extra(),
    )
        .prop_map(|(role, permission, enabled, keys, owners, counted, locked, life, extra)| Spec {
            role,
            permission,
            enabled,
            keys,
            owners,
            counted,
            locked,
            life,
            extra,
        })
}

fn estate(specs: &[Spec]) -> SnapshotBuilder {
    let roles = [GLOBAL_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, BILLING_ADMINISTRATOR, DIRECTORY_READERS];
    let permissions =
        [ROLE_MANAGEMENT_WRITE, MAIL_READ, DIRECTORY_READ_ALL, APPLICATION_WRITE, FILES_WRITE, GROUP_WRITE];
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
        let on_app = spec
            .owners
            .iter()
            .filter(|(_, _, on_app)| *on_app)
            .map(|(id, ..)| id)
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        let on_sp = spec
            .owners
            .iter()
            .filter(|(_, _, on_app)| !*on_app)
            .map(|(id, ..)| id)
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        if spec.counted {
            app_attrs.push((attr::OWNER_COUNT, Value::Int(i64::try_from(on_app).unwrap())));
            sp_attrs.push((attr::OWNER_COUNT, Value::Int(i64::try_from(on_sp).unwrap())));
        }
        let app = world.b.node("applications", NodeKind::Application, &format!("a{i}"), &app_attrs);
        let sp = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, &format!("s{i}"), &sp_attrs);
        if !spec.life.foreign {
            world.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
        }
        if let Some(role) = spec.role {
            world.role_of(&sp, roles[role], "/");
        }
        if let Some(permission) = spec.permission {
            let graph = world.b.id(NodeKind::ServicePrincipal, "graph");
            world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &graph).role =
                Some(permissions[permission].to_owned());
        }
        for (k, key) in spec.keys.iter().enumerate() {
            hold(&mut world, if key.on_principal { &sp } else { &app }, &format!("k{k}"), key);
        }
        live(&mut world, i, &app, &spec.life);
        for (id, enabled, on_app) in &spec.owners {
            let person = world.person(&format!("i{i}-p{id}"), *enabled);
            let (collection, object) =
                if *on_app { ("applicationOwners", &app) } else { ("servicePrincipalOwners", &sp) };
            world.b.edge(collection, &person, EdgeKind::Owns, object);
        }
        add_extra(&mut world, i, spec, &app, &sp);
    }
    world.b
}

/// The instant `days` before now.
fn ago(days: i32) -> String {
    as_of().checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days))).unwrap().to_string()
}

fn hold(world: &mut World, holder: &sv0_graph::NodeId, id: &str, key: &HeldKey) {
    const THUMBPRINTS: [&str; 2] =
        ["8C1D4B2E6F7A90123456789ABCDEF0123456789A", "1111111111111111111111111111111111111111"];
    let (from, to) = (key.age.map(ago), key.rest.map(|rest| ago(-rest)));
    let collection = if key.on_principal { "servicePrincipals" } else { "applications" };
    let written = Key {
        id,
        kind: if key.certificate.is_some() { "certificate" } else { "secret" },
        usage: if key.signs_in { "client_auth" } else { "token_signing" },
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
        let person = world.person("dana", Some(true));
        world.b.edge("directoryAudits", &credential, EdgeKind::CreatedBy, &person).since =
            Some(ago(added).parse().unwrap());
    }
}

fn live(world: &mut World, i: usize, app: &sv0_graph::NodeId, life: &Life) {
    let id = format!("s{i}");
    for (key, days, collection) in [
        (attr::CREATED_AT, life.made, "servicePrincipals"),
        (attr::LAST_USED_AT, life.used, "servicePrincipalActivity"),
        (attr::LAST_UNATTENDED_USE_AT, life.unattended, "servicePrincipalActivity"),
    ] {
        if let Some(days) = days {
            world.b.node(collection, NodeKind::ServicePrincipal, &id, &[(key, text(&ago(days)))]);
        }
    }
    if life.federated {
        let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, &format!("f{i}"), &[]);
        world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, app);
    }
}

/// The part of the rows that instance `uid` reads. One call about one object is read by one instance: of two that
/// contradict each other, that of the lesser UID counts, which is another matter.
fn part(whole: &SnapshotBuilder, uid: &str, seed: u64) -> Snapshot {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut snapshot = whole.build();
    let mine = |row: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        row(&mut hasher);
        uid.ends_with(&(hasher.finish() % 3).to_string())
    };
    snapshot.nodes.retain(|row| mine(&|hasher| (&row.id, row.op).hash(hasher)));
    snapshot.edges.retain(|row| mine(&|hasher| (&row.from, row.kind, &row.to, &row.role).hash(hasher)));
    uid.clone_into(&mut snapshot.header.instance_uid);
    snapshot.header.instance = format!("entra-{uid}");
    snapshot
}

/// Findings without the instances that saw them, and the next transition.
fn said(output: RuleOutput) -> String {
    let mut findings = output.findings;
    for finding in &mut findings {
        (finding.subject.instance, finding.subject.instance_uid) = (String::new(), String::new());
        let collections = std::mem::take(&mut finding.depends_on).into_iter();
        let anonymous = collections.map(|one| sv0_rules::Dependency { instance_uid: String::new(), ..one });
        finding.depends_on = anonymous.collect();
    }
    format!("{findings:#?} {:?} {:?}", output.next_transition, output.suppressed)
}

fn run(snapshots: Vec<Snapshot>, threads: usize) -> RuleOutput {
    sv0_rules::run(&Graph::build(snapshots).unwrap(), &RuleConfig::default(), as_of(), threads)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn threads_and_order_of_input_never_show(specs in prop::collection::vec(spec(), 0..12)) {
        let plain = estate(&specs).build();
        let mut turned = plain.clone();
        turned.nodes.reverse();
        turned.edges.reverse();
        let one = run(vec![plain], 1);
        for threads in [2, 4, 64] {
            prop_assert_eq!(&run(vec![turned.clone()], threads), &one);
        }
        prop_assert!(one.findings.is_sorted_by(|a, b| a.name < b.name));
    }

    /// The rows of one scan, read by three instances of the same tenant: the same findings, but for who saw them.
    #[test]
    fn a_tenant_that_several_instances_read_is_judged_as_if_one_had(
        specs in prop::collection::vec(spec(), 1..8),
        seed in any::<u64>(),
    ) {
        let whole = estate(&specs);
        let one = said(run(vec![whole.clone().build()], 1));
        let three = ["uid-0", "uid-1", "uid-2"].map(|uid| part(&whole, uid, seed));
        prop_assert_eq!(said(run(three.into(), 3)), one);
    }

    #[test]
    fn less_coverage_never_adds_a_full_claim_nor_raises_a_severity(
        specs in prop::collection::vec(spec(), 1..8),
        lost in prop::collection::vec(any::<bool>(), ENTRA_COLLECTIONS.len()),
        state in 0usize..4,
    ) {
        let states = [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped];
        let mut builder = estate(&specs);
        let complete = run(vec![builder.build()], 1);
        for (collection, lost) in ENTRA_COLLECTIONS.iter().zip(lost) {
            if lost {
                builder.cover(collection, states[state]);
            }
        }
        for finding in run(vec![builder.build()], 1).findings {
            let before = complete.findings.iter().find(|other| other.name == finding.name);
            // The same rows under less coverage: whatever is still claimed was claimed, at least as strongly.
            prop_assert!(before.is_some(), "{} appeared by losing coverage", finding.title);
            let before = before.unwrap();
            prop_assert!(before.severity >= finding.severity);
            prop_assert!(finding.rule.claim == Claim::Narrower || before.rule.claim == Claim::Full);
        }
    }

    /// Whoever reaches something still does when more is seen: of rows that give authority, the more there are the more is
    /// claimed.
    #[test]
    fn rows_that_give_authority_take_no_claim_of_reach_away(
        specs in prop::collection::vec(spec(), 1..8),
        seen in prop::collection::vec(prop::bool::weighted(0.7), 64),
    ) {
        let whole = estate(&specs).build();
        let mut part = whole.clone();
        let gives = [EdgeKind::Granted, EdgeKind::MemberOf, EdgeKind::Owns];
        let mut seen = seen.into_iter().cycle();
        part.edges.retain(|edge| !gives.contains(&edge.kind) || seen.next() == Some(true));
        let all = run(vec![whole], 1).findings;
        for finding in run(vec![part], 1).findings {
            if !["UNB-001", "UNB-005"].contains(&finding.rule.id.as_str()) || finding.rule.claim != Claim::Full {
                continue;
            }
            let with = all.iter().find(|other| other.name == finding.name);
            prop_assert!(with.is_some_and(|with| with.rule.claim == Claim::Full), "{} is gone", finding.title);
            prop_assert!(with.is_some_and(|with| with.severity >= finding.severity), "{} is less", finding.title);
        }
    }

    /// Between now and the next transition nothing that is said changes, whenever the records of use were read.
    #[test]
    fn nothing_changes_before_the_next_transition(
        specs in prop::collection::vec(spec(), 1..6),
        read in -100i32..500,
        limits in limits(),
        between in prop::collection::vec(0.0f64..1.0, 3),
    ) {
        let mut builder = estate(&specs);
        builder.header().observed_at = ago(-read).parse().unwrap();
        builder.header().finished_at = ago(-read).parse().unwrap();
        let graph = Graph::build(vec![builder.build()]).unwrap();
        let mut now = as_of();
        for _ in 0..12 {
            let here = sv0_rules::run(&graph, &limits, now, 1);
            let next = here.next_transition;
            let end = next.unwrap_or_else(|| now.checked_add(jiff::SignedDuration::from_hours(24 * 3650)).unwrap());
            let last = end.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
            let span = last.duration_since(now);
            for at in between.iter().map(|part| now.checked_add(span.mul_f64(*part)).unwrap()).chain([last]) {
                prop_assert_eq!(&sv0_rules::run(&graph, &limits, at, 1).findings, &here.findings, "{} to {}", now, at);
            }
            let Some(next) = next else { break };
            prop_assert!(next > now);
            now = next;
        }
    }

    #[test]
    fn facts_that_were_not_read_make_no_full_claim_and_raise_nothing(specs in prop::collection::vec(spec(), 1..8)) {
        let complete = run(vec![estate(&specs).build()], 1);
        let mut forgotten = specs;
        for spec in &mut forgotten {
            (spec.locked, spec.counted, spec.extra.used) = (None, false, false);
            (spec.life.used, spec.life.unattended) = (None, None);
        }
        // No record of use is a fact of its own where the records were read completely.
        let mut builder = estate(&forgotten);
        builder.cover("servicePrincipalActivity", CoverageState::Denied);
        for finding in run(vec![builder.build()], 1).findings {
            let before = complete.findings.iter().find(|other| other.name == finding.name);
            prop_assert!(finding.rule.claim == Claim::Narrower || before.is_some_and(|b| b.rule.claim == Claim::Full));
            prop_assert!(before.is_none_or(|before| before.severity >= finding.severity), "{}", finding.title);
        }
    }

    #[test]
    fn every_finding_is_in_the_lane_and_carries_its_proof(specs in prop::collection::vec(spec(), 1..8)) {
        let output = run(vec![estate(&specs).build()], 1);
        for finding in &output.findings {
            prop_assert!(!finding.evidence.is_empty() && !finding.path.is_empty() && !finding.depends_on.is_empty());
            prop_assert!(finding.path.iter().any(|hop| hop.edge == "GRANTED" || hop.edge == "DELEGATED_GRANT"));
            prop_assert_eq!(finding.severity_rank, finding.severity.rank());
            prop_assert_eq!(finding.rule.claim == Claim::Narrower && finding.narrowed.is_empty(), false);
            prop_assert!(finding.evidence.iter().all(|item| !item.source.api.is_empty() && !item.source.object.is_empty()));
        }
        prop_assert!(output.next_transition.is_none_or(|next| next > as_of()));
    }
}

#[test]
fn the_catalogue_is_ordered_and_whole() {
    let ids: Vec<_> = sv0_rules::catalogue().map(|meta| meta.id).collect();
    assert_eq!(
        ids,
        [
            "CRED-001",
            "CRED-002",
            "CRED-003",
            "CRED-004",
            "CRED-005",
            "CRED-006",
            "CRED-010",
            "CRED-012",
            "CRED-013",
            "DORM-001",
            "DORM-004",
            "DORM-006",
            "DRIFT-001",
            "DRIFT-002",
            "DRIFT-003",
            "DRIFT-005",
            "DRIFT-007",
            "ORPH-001",
            "ORPH-002",
            "ORPH-005",
            "UNB-001",
            "UNB-005",
            "UNB-011",
            "XSYS-003",
            "XSYS-005",
            "XSYS-006",
            "XSYS-008",
        ]
    );
    for meta in sv0_rules::catalogue() {
        assert!(meta.remediation.len() <= 4 && meta.standards.len() <= 8 && !meta.requires.is_empty());
        assert!(meta.standards.iter().all(|standard| standard.len() <= 64));
    }
    assert!(sv0_rules::pack_version().starts_with(sv0_rules::tiers::TABLE_VERSION));
}

/// A collection that no manifest names would leave a rule without coverage for ever, and nothing would show it.
#[test]
fn the_collections_that_rules_require_are_those_of_the_manifest() {
    let manifest = include_str!("../../connectors/entra/manifest.yaml");
    let collections = manifest.lines().filter_map(|line| line.trim().strip_prefix("collection: "));
    let named: std::collections::BTreeSet<&str> = collections.collect();
    assert_eq!(named, ENTRA_COLLECTIONS.into_iter().collect());
    for meta in sv0_rules::catalogue() {
        assert!(meta.requires.iter().all(|collection| named.contains(collection)), "{}", meta.id);
    }
}

/// The generator reaches every rule that can be reached with it, or the properties above would say little.
#[test]
fn the_generated_estates_reach_the_rules_about_credentials_and_use() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let specs = prop::collection::vec(spec(), 4..8).new_tree(&mut runner).unwrap().current();
        let output = run(vec![estate(&specs).build()], 1);
        seen.extend(output.findings.into_iter().map(|finding| (finding.rule.id, finding.rule.claim)));
    }
    for rule in ["CRED-001", "CRED-003", "CRED-004", "CRED-005", "CRED-006", "DORM-001"] {
        for claim in [Claim::Full, Claim::Narrower] {
            assert!(seen.contains(&(rule.to_owned(), claim)), "{rule} {claim:?}");
        }
    }
    assert!(seen.contains(&("CRED-010".to_owned(), Claim::Full)));
    assert!(seen.contains(&("DORM-006".to_owned(), Claim::Narrower)));
}

/// Made-up estates are what benchmarks evaluate: one that no rule says anything about would be a fast one.
#[test]
fn synthetic_estates_reach_most_rules_and_most_of_their_identities_are_harmless() {
    let estate = sv0_graph::synthetic::Synthetic::new(6_000, 7);
    let snapshots = (0..estate.instances()).map(|instance| {
        let mut nodes = Vec::new();
        let mut edges = Vec::new();
        estate.rows(instance, &mut |row| match row {
            sv0_graph::Row::Node(row) => nodes.push(row),
            sv0_graph::Row::Edge(row) => edges.push(row),
        });
        Snapshot { header: estate.header(instance), nodes, edges }
    });
    let read_on = sv0_graph::synthetic::Synthetic::read_on();
    let graph = Graph::build(snapshots.collect()).unwrap();
    let one = sv0_rules::run(&graph, &RuleConfig::default(), read_on, 1);
    assert_eq!(sv0_rules::run(&graph, &RuleConfig::default(), read_on, 2), one);
    let rules: std::collections::BTreeSet<&str> = one.findings.iter().map(|finding| finding.rule.id.as_str()).collect();
    assert!(rules.len() >= 12, "{rules:?}");
    let subjects: std::collections::BTreeSet<&str> = one.findings.iter().map(|one| one.subject.id.as_str()).collect();
    let identity = |ix: &sv0_graph::NodeIx| {
        matches!(graph.node(*ix).kind, NodeKind::ServicePrincipal | NodeKind::ManagedIdentity | NodeKind::AgentIdentity)
    };
    let identities = graph.node_indexes().filter(identity).count();
    assert!((identities / 100..identities / 5).contains(&subjects.len()), "{} of {identities}", subjects.len());
}
