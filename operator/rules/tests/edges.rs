//! Whether a record holds: what is switched off or over counts nowhere, and what has a condition or must be activated first
//! is neither counted as if it held nor as if it did not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use std::fmt::Debug;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{EdgeKind, EdgeRow, EdgeState, NodeKind, Value, attr};
use sv0_rules::{AccountableState, Claim, Containers, DataDomain, Severity};

const LATER: &str = "2026-06-01T08:00:00Z";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

type Change = fn(&mut EdgeRow);

/// As it stands, and with an end that is to come.
const HOLDS: [Change; 2] = [|_| (), |edge| edge.until = Some(LATER.parse().unwrap())];
/// Switched off, and over from this very instant on.
const NOT: [Change; 2] = [|edge| edge.state = EdgeState::Disabled, |edge| edge.until = Some(as_of())];
/// To be activated first, and with a condition.
const UNKNOWN: [Change; 2] =
    [|edge| edge.state = EdgeState::Eligible, |edge| edge.condition = Some("device is managed".to_owned())];

/// What is told when all edges of `kind` hold, when none does, and when that is not known.
fn told<T: PartialEq + Debug>(kind: EdgeKind, make: impl Fn() -> World, tell: impl Fn(&World) -> T) -> [T; 3] {
    [HOLDS, NOT, UNKNOWN].map(|changes| {
        let [one, other] = changes.map(|change| {
            let mut world = make();
            world.b.change(kind, change);
            tell(&world)
        });
        assert_eq!(one, other, "two ways to be the same");
        one
    })
}

fn claim(rule: &'static str) -> impl Fn(&World) -> Option<Claim> {
    move |world| world.finding(rule).map(|finding| finding.rule.claim)
}

fn verdict(rule: &'static str) -> impl Fn(&World) -> Option<(Claim, Severity)> {
    move |world| world.finding(rule).map(|finding| (finding.rule.claim, finding.severity))
}

const FULL: Option<Claim> = Some(Claim::Full);
const NARROWER: Option<Claim> = Some(Claim::Narrower);

/// Whether it is told to run, not to, or neither.
fn anchor(world: &World) -> (bool, u64, u64, usize) {
    let output = world.run();
    let counts = output.suppressed.get("ORPH-002").copied().unwrap_or_default();
    let found = output.findings.iter().any(|finding| finding.rule.id == "ORPH-002");
    (found, counts.no_anchor, counts.anchor_unknown, output.undetermined.len())
}

const RUNS: [(bool, u64, u64); 3] = [(true, 0, 0), (false, 1, 0), (false, 0, 1)];

/// Holds everything, and by itself cannot sign in.
fn keyless() -> World {
    let mut world = World::new();
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
    world
}

fn trusting() -> World {
    let mut world = keyless();
    world.trusts_github();
    world
}

#[test]
fn a_credential_runs_an_identity_while_it_is_its_own() {
    let of_key = || World::privileged(GLOBAL_ADMINISTRATOR);
    for (kind, make) in
        [(EdgeKind::HoldsCredential, &of_key as &dyn Fn() -> World), (EdgeKind::AuthenticatesAs, &trusting)]
    {
        let all = told(kind, make, anchor);
        assert_eq!(all.map(|(found, no, unknown, _)| (found, no, unknown)), RUNS, "{kind}");
        let undetermined = all.map(|(.., undetermined)| undetermined > 0);
        assert_eq!(undetermined, [false, false, true], "what was found under these names is not gone");
    }
}

#[test]
fn a_way_that_holds_is_told_before_one_that_may() {
    let make = || {
        let mut world = trusting();
        world.key(&Key::default());
        world
    };
    let first = |world: &World| world.finding("ORPH-002").unwrap().path[0].from.clone();
    let [with, without, unknown] = told(EdgeKind::HoldsCredential, make, first);
    assert!(with.starts_with("secret"), "{with}");
    assert!(without.starts_with("federated subject") && without == unknown, "{without} {unknown}");
}

#[test]
fn a_certificate_on_another_application_counts_while_it_is_on_it() {
    const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
    let make = || {
        let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
        let other = world.other("other", None);
        let held = Key { id: "c", kind: "certificate", thumbprint: Some(THUMBPRINT), ..Key::default() };
        world.key_on(&other, "servicePrincipals", &held);
        world
    };
    let with_own = |world: &World| {
        let mut world = World { b: world.b.clone(), config: world.config.clone(), ..World::new() };
        // Added last: what was changed is the record on the other application.
        world.key(&Key { id: "c", kind: "certificate", thumbprint: Some(THUMBPRINT), ..Key::default() });
        claim("CRED-010")(&world)
    };
    assert_eq!(told(EdgeKind::HoldsCredential, make, with_own), [FULL, None, None]);
}

#[test]
fn a_trust_that_may_hold_takes_over_or_does_not() {
    let make = || {
        let mut world = trusting();
        world.key(&Key { to: Some("2026-06-10T00:00:00Z"), ..Key::default() });
        world
    };
    assert_eq!(told(EdgeKind::AuthenticatesAs, make, claim("CRED-005")), [None, FULL, NARROWER]);
    let mut world = make();
    world.b.change(EdgeKind::AuthenticatesAs, UNKNOWN[0]);
    let finding = world.finding("CRED-005").unwrap();
    assert_eq!(finding.narrowed[0].reason, "Of another way to sign in, it must be activated first.");
}

#[test]
fn a_trust_that_may_hold_may_explain_a_sign_in() {
    let make = || {
        let mut world = trusting();
        world.key(&Key { from: Some("2025-01-01T00:00:00Z"), to: Some("2027-01-01T00:00:00Z"), ..Key::default() });
        world.seen("2026-06-01T00:00:00Z").made("2025-01-01T00:00:00Z");
        world.used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z").key_used("key-1", "2025-06-01T00:00:00Z");
        world
    };
    // Without the trust the record of the key is contradicted: something did sign in yesterday.
    assert_eq!(told(EdgeKind::AuthenticatesAs, make, claim("CRED-004")), [FULL, None, NARROWER]);
    let weak = || {
        let mut world = trusting();
        world.key(&Key { from: Some("2025-01-01T00:00:00Z"), to: Some("none"), ..Key::default() });
        world.seen("2026-06-01T00:00:00Z").made("2025-01-01T00:00:00Z");
        world.used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z").key_used("key-1", "2025-06-01T00:00:00Z");
        world
    };
    assert_eq!(told(EdgeKind::AuthenticatesAs, weak, claim("CRED-001")), [FULL, None, NARROWER]);
    let mut world = weak();
    world.b.change(EdgeKind::AuthenticatesAs, UNKNOWN[0]);
    for rule in ["CRED-001", "CRED-004"] {
        let reasons: Vec<String> = world.finding(rule).unwrap().narrowed.into_iter().map(|told| told.reason).collect();
        let expected = "Of a federated subject that may sign it in too, it must be activated first.";
        assert!(reasons.iter().any(|reason| reason == expected), "{rule} {reasons:?}");
    }
}

#[test]
fn nobody_is_told_to_be_trusted_by_a_record_that_may_not_hold() {
    let make = || {
        let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
        world.trusts_github().seen("2026-06-01T00:00:00Z").made("2025-01-01T00:00:00Z");
        world.used(attr::LAST_UNATTENDED_USE_AT, "2025-06-01T00:00:00Z");
        world
    };
    assert_eq!(told(EdgeKind::AuthenticatesAs, make, claim("DORM-006")), [NARROWER, None, None]);
}

#[test]
fn a_broad_trust_that_may_hold_makes_the_narrower_claim() {
    let make = || {
        let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
        let broad = text("claims['sub'] matches 'repo:*:environment:prod'");
        world.federated("fic-1", GITHUB, &[(attr::MATCHING_EXPRESSION, broad)]);
        world
    };
    let all = told(EdgeKind::AuthenticatesAs, make, verdict("XSYS-003"));
    assert_eq!(all, [Some((Claim::Full, Severity::Critical)), None, Some((Claim::Narrower, Severity::High))]);
    let mut world = make();
    world.b.change(EdgeKind::AuthenticatesAs, UNKNOWN[1]);
    let finding = world.finding("XSYS-003").unwrap();
    assert!(finding.title.ends_with("whether its federated trust holds is not known"), "{}", finding.title);
    assert!(finding.evidence[0].claim.starts_with("If the trust holds: Tokens of "), "{}", finding.evidence[0].claim);
    assert_eq!(finding.narrowed[0].reason, "Of it, it has a condition, and conditions are not weighed.");
    assert!(finding.path[0].via.as_deref().is_some_and(|via| via.ends_with("is not known")));
    // One that holds decides in its place.
    world.federated("fic-2", GITHUB, &[(attr::MATCHING_EXPRESSION, text("claims['sub'] matches 'repo:h/*'"))]);
    assert_eq!(verdict("XSYS-003")(&world), Some((Claim::Full, Severity::High)));
}

/// Owned by dana, whose account is in this state, by a record on the application. The vendor counts so many owners of the
/// service principal.
fn owned_by(enabled: Option<bool>, of_principal: i64) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).role(GLOBAL_ADMINISTRATOR).owners_read(1, of_principal);
    let dana = world.person("dana", enabled);
    world.owns_app(&dana);
    world
}

#[test]
fn an_owner_answers_while_the_record_holds() {
    let state = |world: &World| {
        let found = world.run().findings;
        let of = |rule: &str| found.iter().any(|finding| finding.rule.id == rule);
        (of("ORPH-001"), of("ORPH-002"), found[0].accountable.state)
    };
    let active = told(EdgeKind::Owns, || owned_by(Some(true), 0), state);
    assert_eq!(active[0], (false, false, AccountableState::Active));
    assert_eq!(active[1], (false, true, AccountableState::NotRecorded));
    assert_eq!(active[2], (false, false, AccountableState::Unknown));
    let reason = |world: &World| world.run().findings[0].accountable.reason.clone();
    let [_, _, unknown] = told(EdgeKind::Owns, || owned_by(Some(true), 0), reason);
    assert_eq!(unknown.as_deref(), Some("The record or the account of one recorded owner could not be resolved."));
    let gone = told(EdgeKind::Owns, || owned_by(Some(false), 0), state);
    assert_eq!(gone[0], (true, false, AccountableState::Gone));
    assert_eq!(gone[1], active[1], "a former owner is no owner who is gone");
    assert_eq!(gone[2], active[2]);
}

#[test]
fn a_list_of_former_owners_is_not_said_to_be_empty() {
    let mut world = owned_by(Some(true), 0);
    world.b.change(EdgeKind::Owns, NOT[1]);
    let finding = world.finding("ORPH-002").unwrap();
    assert_eq!(finding.title, "\"payroll-bot\" can run unattended and no record of an owner holds any more");
    assert!(finding.evidence[0].claim.ends_with("was read completely and no record in it holds any more."));
    // The list of the service principal is empty.
    assert!(finding.evidence.iter().any(|item| item.claim.ends_with("was read completely and is empty.")));
}

#[test]
fn an_owner_whose_record_may_hold_is_neither_gone_nor_there() {
    let mut world = owned_by(Some(true), 1);
    let gone = world.person("gone", Some(false));
    world.owns_sp(&gone);
    assert!(world.finding("ORPH-001").is_none(), "somebody is there");
    let dana = world.b.id(NodeKind::Human, "dana");
    world.b.change(EdgeKind::Owns, move |edge| {
        if edge.from == dana {
            UNKNOWN[0](edge);
        }
    });
    let finding = world.finding("ORPH-001").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.narrowed[0].reason.starts_with("Whether a record of them holds is not known"));
    assert!(finding.accountable.parties.iter().any(|party| party.state == "unresolved"));
    let dana = world.b.id(NodeKind::Human, "dana");
    world.b.change(EdgeKind::Owns, move |edge| {
        if edge.from == dana {
            NOT[0](edge);
        }
    });
    assert_eq!(claim("ORPH-001")(&world), FULL, "who is left is gone");
}

/// The same person may be recorded twice: what holds counts.
#[test]
fn of_two_records_of_one_owner_the_one_that_holds_counts() {
    let mut world = owned_by(Some(true), 1);
    world.b.change(EdgeKind::Owns, UNKNOWN[0]);
    let dana = world.b.id(NodeKind::Human, "dana");
    world.owns_sp(&dana);
    let found = world.run().findings;
    assert!(found.iter().all(|finding| finding.accountable.state == AccountableState::Active));
}

#[test]
fn a_service_principal_answers_through_a_person_while_that_record_holds() {
    let make = || {
        let mut world = World::new();
        world.enabled(true).key(&Key::default()).role(GLOBAL_ADMINISTRATOR).owners_read(1, 0);
        let (owner, dana) = (world.other("owner", None), world.person("dana", Some(true)));
        world.owns_app(&owner);
        world.b.edge("servicePrincipalOwners", &dana, EdgeKind::Owns, &owner).role = Some("person".to_owned());
        world
    };
    let state = |change: Change| {
        let mut world = make();
        world.b.change(EdgeKind::Owns, |edge| {
            if edge.role.is_some() {
                change(edge);
            }
        });
        world.run().findings[0].accountable.state
    };
    assert_eq!(HOLDS.map(state), [AccountableState::Active; 2]);
    assert_eq!(NOT.map(state), [AccountableState::Unknown; 2]);
    assert_eq!(UNKNOWN.map(state), [AccountableState::Unknown; 2]);
}

#[test]
fn who_else_answers_does_so_while_the_record_holds() {
    let make = || {
        let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
        let (dana, sp) = (world.person("dana", Some(true)), world.sp.clone());
        world.b.edge("agentIdentitySponsors", &dana, EdgeKind::Sponsors, &sp);
        world
    };
    assert_eq!(told(EdgeKind::Sponsors, make, claim("ORPH-002")), [None, FULL, NARROWER]);
}

#[test]
fn an_owner_takes_over_while_the_record_holds() {
    let weak = || owned_by(Some(true), 0);
    assert_eq!(told(EdgeKind::Owns, weak, claim("UNB-011")), [FULL, None, NARROWER]);
    let mut world = weak();
    world.b.change(EdgeKind::Owns, UNKNOWN[0]);
    let finding = world.finding("UNB-011").unwrap();
    assert_eq!(finding.narrowed[0].reason, "Of the record, it must be activated first.");
    // Who is disabled takes nothing over, whatever the record.
    assert_eq!(told(EdgeKind::Owns, || owned_by(Some(false), 0), claim("UNB-011")), [None, None, None]);
}

#[test]
fn a_sponsor_answers_for_an_agent_while_the_record_holds() {
    let make = || {
        let mut world = World::new();
        let attrs =
            [(attr::NAME, text("agent")), (attr::ENABLED, Value::Bool(true)), (attr::SPONSOR_COUNT, Value::Int(1))];
        let agent = world.b.node("agentIdentities", NodeKind::AgentIdentity, "agent", &attrs);
        let none = [(attr::OWNER_COUNT, Value::Int(0)), (attr::SPONSOR_COUNT, Value::Int(0))];
        let blueprint = world.b.node("agentIdentityBlueprints", NodeKind::Application, "blueprint", &none);
        world.b.node("servicePrincipalOwners", NodeKind::AgentIdentity, "agent", &none[..1]);
        world.b.edge("agentIdentities", &blueprint, EdgeKind::Instantiates, &agent);
        world.key_on(&blueprint, "applications", &Key::default()).role_of(&agent, BILLING_ADMINISTRATOR, "/");
        let dana = world.person("dana", Some(true));
        world.b.edge("agentIdentitySponsors", &dana, EdgeKind::Sponsors, &agent);
        world
    };
    assert_eq!(told(EdgeKind::Sponsors, make, claim("ORPH-005")), [None, FULL, None]);
    let mut world = make();
    world.b.change(EdgeKind::Sponsors, NOT[1]);
    let said: Vec<String> = world.finding("ORPH-005").unwrap().evidence.into_iter().map(|item| item.claim).collect();
    let holds = "The agent identity's list of sponsors was read completely and no record in it holds any more.";
    assert!(said.iter().any(|claim| claim == holds), "{said:?}");
}

/// A user administrator that three workloads of this system run as, or did.
fn running(on: bool) -> World {
    let mut world = World::privileged(USER_ADMINISTRATOR);
    let sp = world.sp.clone();
    for id in ["one", "two", "three"] {
        let attrs = [(attr::NAME, text(id)), (attr::ENABLED, Value::Bool(on))];
        let automation = world.b.node("servicePrincipals", NodeKind::Function, id, &attrs);
        world.b.edge("servicePrincipals", &automation, EdgeKind::RunsAs, &sp);
    }
    world
}

#[test]
fn automations_run_as_an_identity_while_the_record_holds() {
    assert_eq!(told(EdgeKind::RunsAs, || running(true), claim("XSYS-005")), [NARROWER, None, None]);
    assert_eq!(told(EdgeKind::RunsAs, || running(false), claim("DORM-004")), [NARROWER, None, None]);
}

/// Of one that may run as it, it is not known whether it is another that still does.
#[test]
fn what_may_run_as_an_identity_must_have_stopped_too() {
    let stopped = |on: bool, change: Change| {
        let mut world = running(false);
        let attrs = [(attr::NAME, text("four")), (attr::ENABLED, Value::Bool(on))];
        let (four, sp) = (world.b.node("servicePrincipals", NodeKind::Function, "four", &attrs), world.sp.clone());
        change(world.b.edge("servicePrincipals", &four, EdgeKind::RunsAs, &sp));
        world.finding("DORM-004").map(|finding| finding.title)
    };
    let three = Some("\"payroll-bot\" keeps its authority, and no automation known here uses it".to_owned());
    assert_eq!(UNKNOWN.map(|change| stopped(true, change)), [None, None]);
    assert_eq!(UNKNOWN.map(|change| stopped(false, change)), [three.clone(), three.clone()]);
    assert_eq!(NOT.map(|change| stopped(true, change)), [three.clone(), three]);
}

#[rstest]
#[case::uses_the_connection(EdgeKind::UsesConnection)]
#[case::presents_the_credential(EdgeKind::Presents)]
fn a_connection_ties_while_both_records_hold(#[case] kind: EdgeKind) {
    let make = || {
        let mut world = World::privileged(USER_ADMINISTRATOR);
        let key = world.b.id(NodeKind::Credential, "app-1/key-1");
        let attrs = [(attr::NAME, text("flow")), (attr::ENABLED, Value::Bool(false))];
        let flow = world.b.node("servicePrincipals", NodeKind::Workflow, "flow", &attrs);
        let connection = world.b.node("servicePrincipals", NodeKind::Connection, "connection", &[]);
        world.b.edge("servicePrincipals", &flow, EdgeKind::UsesConnection, &connection);
        world.b.edge("servicePrincipals", &connection, EdgeKind::Presents, &key);
        world
    };
    assert_eq!(told(kind, make, claim("DORM-004")), [NARROWER, None, None]);
}

#[test]
fn automations_that_may_have_the_same_owner_are_not_told_apart() {
    let title = |change: Change| {
        let mut world = running(true);
        world.config.shared_by_min = 2;
        let dana = world.person("dana", Some(true));
        for (at, id) in ["one", "two", "three"].into_iter().enumerate() {
            let automation = world.b.id(NodeKind::Function, id);
            let edge = world.b.edge("servicePrincipals", &dana, EdgeKind::Owns, &automation);
            if at == 2 {
                change(edge);
            }
        }
        world.finding("XSYS-005").map(|finding| finding.title)
    };
    assert_eq!(HOLDS.map(title), [None, None], "one owner");
    assert_eq!(UNKNOWN.map(title), [None, None]);
    let apart = Some("\"payroll-bot\" serves 3 automations of one system".to_owned());
    assert_eq!(NOT.map(title), [apart.clone(), apart]);
}

#[test]
fn a_consent_lasts_until_its_end() {
    let make = || {
        let mut world = World::privileged(DIRECTORY_READERS);
        world.permission(DIRECTORY_READ_ALL).delegated("Mail.ReadWrite offline_access", Some("dana"));
        world
    };
    // Nothing is told of one that may hold.
    assert_eq!(told(EdgeKind::DelegatedGrant, make, claim("XSYS-008")), [FULL, None, None]);
}

#[test]
fn a_grant_on_declared_data_reaches_them_while_it_holds() {
    let make = || {
        let mut world = World::privileged(DIRECTORY_READERS);
        let sp = world.sp.clone();
        let attrs = [(attr::NAME, text("Payroll")), (attr::APP_ID, text("payroll-app"))];
        let payroll = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "payroll", &attrs);
        world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &payroll).role = Some("own-role".to_owned());
        let declared = Containers { objects: ["payroll-app".to_owned()].into(), ..Containers::default() };
        world.config.sensitive_domains.insert(DataDomain::Hr, declared);
        world
    };
    assert_eq!(told(EdgeKind::Granted, make, |world| world.run().findings.is_empty()), [false, true, true]);
}

/// The end of each of these records is an instant at which what is told may change, and is told before.
#[rstest]
#[case::credential(EdgeKind::HoldsCredential, || World::privileged(GLOBAL_ADMINISTRATOR))]
#[case::trust(EdgeKind::AuthenticatesAs, trusting)]
#[case::owner(EdgeKind::Owns, || owned_by(Some(true), 0))]
#[case::automation(EdgeKind::RunsAs, || running(true))]
#[case::consent(EdgeKind::DelegatedGrant, || {
    let mut world = World::privileged(DIRECTORY_READERS);
    world.permission(DIRECTORY_READ_ALL).delegated("Mail.ReadWrite offline_access", Some("dana"));
    world
})]
#[case::sponsor(EdgeKind::Sponsors, || {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let (dana, sp) = (world.person("dana", Some(true)), world.sp.clone());
    world.b.edge("agentIdentitySponsors", &dana, EdgeKind::Sponsors, &sp);
    world
})]
fn the_end_of_a_record_is_a_transition(#[case] kind: EdgeKind, #[case] make: fn() -> World) {
    let mut world = make();
    let before = world.run();
    assert_ne!(before.next_transition, Some(LATER.parse().unwrap()));
    world.b.change(kind, HOLDS[1]);
    let output = world.run();
    assert_eq!(output.next_transition, Some(LATER.parse().unwrap()));
    let names =
        |output: &sv0_rules::RuleOutput| output.findings.iter().map(|finding| finding.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&output), names(&before), "it has not come yet");
    let graph = sv0_graph::Graph::build(vec![world.b.build()]).unwrap();
    let then = sv0_rules::run(&graph, &world.config, LATER.parse().unwrap(), 1);
    assert_ne!(names(&then), names(&before));
}

/// The baseline, taken a while ago, and the present: the same until it is changed.
fn two(make: impl Fn() -> World) -> (World, World) {
    let (mut then, mut today) = (make(), make());
    then.seen("2026-03-01T00:00:00Z");
    today.seen("2026-06-01T00:00:00Z");
    "00000000000002-aaaaaaaa".clone_into(&mut today.b.header().scan_id);
    (then, today)
}

fn drift(rule: &str, (then, today): &(World, World)) -> Option<Claim> {
    today.drift(then, rule).map(|finding| finding.rule.claim)
}

/// What drift says of what is new and stands so, and of what stood so in the baseline and holds now.
fn drifts<T: Copy>(
    rule: &str,
    kind: EdgeKind,
    base: impl Fn() -> World,
    add: impl Fn(&mut World) -> T,
) -> [[Option<Claim>; 2]; 3] {
    [HOLDS, NOT, UNKNOWN].map(|changes| {
        let of = |change: Change| {
            let mut new = two(&base);
            add(&mut new.1);
            new.1.b.change(kind, change);
            let mut changed = two(&base);
            add(&mut changed.0);
            // Ends by then, or has ended by then.
            changed.0.b.change(kind, change);
            changed.0.b.change(kind, |edge| edge.until = edge.until.map(|_| "2026-03-01T00:00:00Z".parse().unwrap()));
            add(&mut changed.1);
            [drift(rule, &new), drift(rule, &changed)]
        };
        changes.map(of)[0]
    })
}

/// What was switched off in the baseline and holds now is new; what may have held is not.
#[test]
fn what_may_have_signed_in_then_is_not_new() {
    let keyed = || {
        let mut world = World::new();
        world.enabled(true).role(USER_ADMINISTRATOR).owners_read(0, 0);
        let mi = world.sp.clone();
        world.b.node("federatedCredentials", NodeKind::FederatedSubject, "unrelated", &[]);
        world.key_on(&mi, "servicePrincipals", &Key::default());
        world
    };
    let trust = |world: &mut World| {
        world.trusts_github();
    };
    assert_eq!(
        drifts("DRIFT-003", EdgeKind::AuthenticatesAs, keyed, trust),
        [[FULL, None], [None, FULL], [NARROWER, None]]
    );
    let key = |world: &mut World| {
        world.key(&Key { id: "key-2", ..Key::default() });
    };
    assert_eq!(
        drifts("DRIFT-003", EdgeKind::HoldsCredential, trusting, key),
        [[FULL, None], [None, FULL], [NARROWER, None]]
    );
}

#[test]
fn a_new_key_that_may_not_be_its_own_says_why() {
    let (then, mut today) = two(trusting);
    today.key(&Key::default());
    today.b.change(EdgeKind::HoldsCredential, UNKNOWN[1]);
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!(finding.title, "one credential that may sign in \"payroll-bot\" came since 2026-03-01");
    let reasons: Vec<&str> = finding.narrowed.iter().map(|told| told.reason.as_str()).collect();
    assert_eq!(reasons, ["Of the record of it, it has a condition, and conditions are not weighed."]);
}

const AU: &str = "/administrativeUnits/au-1";

/// A user administrator over a unit then, over the tenant now; over the tenant already then by a record in this state.
#[rstest]
#[case::switched_off(NOT[0], FULL, FULL)]
#[case::over(NOT[1], FULL, FULL)]
#[case::to_be_activated(UNKNOWN[0], None, NARROWER)]
#[case::conditional(UNKNOWN[1], None, NARROWER)]
fn what_gave_nothing_in_the_baseline_was_not_held(
    #[case] change: Change,
    #[case] widened: Option<Claim>,
    #[case] rose: Option<Claim>,
) {
    let both = two(|| {
        let mut world = World::new();
        world.enabled(true).key(&Key::default()).owners_read(0, 0);
        world
    });
    let (mut then, mut today) = both;
    then.role(USER_ADMINISTRATOR);
    then.b.change(EdgeKind::Granted, change);
    then.b.change(EdgeKind::Granted, |edge| edge.until = edge.until.map(|_| "2026-03-01T00:00:00Z".parse().unwrap()));
    let sp = then.sp.clone();
    then.role_of(&sp, USER_ADMINISTRATOR, AU);
    today.role(USER_ADMINISTRATOR);
    let both = (then, today);
    assert_eq!(drift("DRIFT-002", &both), widened);
    assert_eq!(drift("DRIFT-001", &both), rose);
}

/// One role over a unit exchanged for another over the tenant, as far as the first is proven not to be held any more.
#[rstest]
#[case::holds(HOLDS[0], None)]
#[case::switched_off(NOT[0], NARROWER)]
#[case::over(NOT[1], NARROWER)]
#[case::to_be_activated(UNKNOWN[0], None)]
#[case::conditional(UNKNOWN[1], None)]
fn a_role_is_lost_when_it_is_proven_not_to_be_held(#[case] change: Change, #[case] expected: Option<Claim>) {
    let (then, mut today) = two(|| {
        let mut world = World::new();
        world.enabled(true).key(&Key::default()).owners_read(0, 0);
        let sp = world.sp.clone();
        world.role_of(&sp, APPLICATION_ADMINISTRATOR, AU);
        world
    });
    today.b.change(EdgeKind::Granted, change);
    today.role(USER_ADMINISTRATOR);
    assert_eq!(drift("DRIFT-002", &(then, today)), expected);
}

#[test]
fn the_last_owner_is_lost_with_the_record() {
    let lost = |change: Change| {
        let (then, mut today) = two(|| owned_by(Some(true), 0));
        today.b.change(EdgeKind::Owns, change);
        let finding = today.drift(&then, "DRIFT-005");
        finding.map(|finding| {
            (finding.rule.claim, finding.evidence.iter().any(|item| item.claim == "No record of an owner holds."))
        })
    };
    assert_eq!(HOLDS.map(lost), [None; 2]);
    assert_eq!(NOT.map(lost), [Some((Claim::Full, true)); 2]);
    assert_eq!(UNKNOWN.map(lost), [Some((Claim::Narrower, false)); 2]);
}

/// So many keys, roles and trusts on one identity, then and now, that comparing each with each would not end.
#[test]
fn a_comparison_looks_each_up_once() {
    let many = 5_000;
    let make = || {
        let mut world = World::new();
        world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
        world
    };
    let (mut then, mut today) = two(make);
    for (name, world) in [("then", &mut then), ("today", &mut today)] {
        let sp = world.sp.clone();
        for at in 0..many {
            world.key(&Key { id: &format!("{name}-{at}"), ..Key::default() });
            world.role_of(&sp, USER_ADMINISTRATOR, &format!("/administrativeUnits/{name}-{at}"));
        }
    }
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!(finding.title, format!("{many} credentials of \"payroll-bot\" came since 2026-03-01, as in a rotation"));
}

/// So many keys with old records, and a sign-in yesterday that none of them explains: whether another one does is looked at
/// once.
#[test]
fn what_else_signs_in_is_looked_at_once_for_all_keys() {
    let mut world = World::new();
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
    world.seen("2026-06-01T00:00:00Z").made("2025-01-01T00:00:00Z");
    world.used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    let key = Key { from: Some("2025-01-01T00:00:00Z"), to: Some("2027-01-01T00:00:00Z"), ..Key::default() };
    for at in 0..5_000 {
        let id = format!("key-{at}");
        world.key(&Key { id: &id, ..key }).key_used(&id, "2025-06-01T00:00:00Z");
    }
    assert!(world.finding("CRED-004").is_none(), "one of the records at least is wrong");
    world.key(&Key { id: "in-use", ..key }).key_used("in-use", "2026-05-31T00:00:00Z");
    assert_eq!(claim("CRED-004")(&world), FULL);
}
