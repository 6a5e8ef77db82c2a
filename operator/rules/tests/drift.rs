//! DRIFT-001, -002, -003, -005, -007: what changed since the accepted snapshot, and what only seems to have.
//!
//! Of declared purposes (DRIFT-007) no false positive of a peer is known: none of them has such a rule.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};
use sv0_rules::{Claim, Containers, DataDomain, EvidenceClass, Purpose, RuleFinding, Severity};

const THEN: &str = "2026-03-01T00:00:00Z";
const AU: &str = "/administrativeUnits/au-1";
/// Read, by every drift rule that compares authority.
const AUTHORITY: [&str; 4] = ["servicePrincipals", "applications", "directoryRoleAssignments", "appRoleAssignments"];

/// The usual subject without authority and without owners, on the first of March.
fn before() -> World {
    counted(0, 0)
}

/// The same with so many owners on application and service principal, by the vendor's count.
fn counted(app: i64, sp: i64) -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(app, sp).seen(THEN);
    world
}

/// The same on the first of June.
fn now() -> World {
    later(before())
}

fn later(mut world: World) -> World {
    world.seen("2026-06-01T00:00:00Z");
    "00000000000002-aaaaaaaa".clone_into(&mut world.b.header().scan_id);
    world
}

fn verdict(finding: Option<&RuleFinding>) -> Option<(Claim, Severity)> {
    finding.map(|finding| (finding.rule.claim, finding.severity))
}

fn drifts(now: &World, before: &World) -> Vec<String> {
    now.since(before).findings.into_iter().map(|f| f.rule.id).filter(|id| id.starts_with("DRIFT")).collect()
}

#[test]
fn what_did_not_change_is_no_drift() {
    let (mut then, mut today) = (counted(1, 0), later(counted(1, 0)));
    for world in [&mut then, &mut today] {
        world.role(GLOBAL_ADMINISTRATOR).trusts_github();
        let owner = world.person("dana", Some(true));
        world.owns_app(&owner);
    }
    assert_eq!(drifts(&today, &then), Vec::<String>::new());
}

#[test]
fn without_a_baseline_nothing_is_drift() {
    let mut today = now();
    today.role(GLOBAL_ADMINISTRATOR);
    assert!(today.run().findings.iter().all(|finding| !finding.rule.id.starts_with("DRIFT")));
}

#[test]
fn a_tier_that_rose_tells_before_after_and_the_baseline() {
    let (mut then, mut today) = (before(), now());
    then.permission(DIRECTORY_READ_ALL);
    today.permission(DIRECTORY_READ_ALL).role(GLOBAL_ADMINISTRATOR);
    let finding = today.drift(&then, "DRIFT-001").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Critical));
    assert_eq!(finding.title, "\"payroll-bot\" can take over the whole tenant; on 2026-03-01 it could read data");
    let was = finding.evidence.iter().find(|item| item.class == EvidenceClass::Temporal).unwrap();
    assert_eq!(was.value.as_deref(), Some("Directory.Read.All"));
    assert!(was.claim.ends_with("(baseline: snapshot 00000000000001-aaaaaaaa of 2026-03-01)."), "{}", was.claim);
    assert!(finding.evidence.iter().any(|item| item.claim.contains("Global Administrator")));
}

#[rstest]
#[case::fell(Some(GLOBAL_ADMINISTRATOR), Some(USER_ADMINISTRATOR))]
#[case::another_of_the_same_tier(Some(APPLICATION_ADMINISTRATOR), Some(USER_ADMINISTRATOR))]
#[case::gone(Some(GLOBAL_ADMINISTRATOR), None)]
fn a_tier_that_did_not_rise_is_no_drift(#[case] then: Option<&str>, #[case] now_: Option<&str>) {
    let (mut old, mut today) = (before(), now());
    then.map(|role| old.role(role));
    now_.map(|role| today.role(role));
    assert!(today.drift(&old, "DRIFT-001").is_none());
}

/// An assignment that was made for a while and renewed: it stood on the day of the baseline.
#[test]
fn a_grant_that_has_ended_since_stood_then() {
    let (mut then, mut today) = (before(), now());
    let (sp, system) = (then.sp.clone(), then.system.clone());
    let edge = then.b.edge("directoryRoleAssignments", &sp, EdgeKind::Granted, &system);
    (edge.role, edge.scope) = (Some(GLOBAL_ADMINISTRATOR.to_owned()), Some("/".to_owned()));
    edge.until = Some("2026-04-01T00:00:00Z".parse().unwrap());
    today.role(GLOBAL_ADMINISTRATOR);
    assert!(today.drift(&then, "DRIFT-001").is_none());
}

/// Cartography #478 and #587: a run over another part of the estate deletes what this one knew, and the next finds all of it
/// anew. What the baseline does not know has not changed.
#[test]
fn a_new_identity_has_not_risen() {
    let mut today = now();
    today.role(GLOBAL_ADMINISTRATOR);
    let mut then = before();
    then.b = sv0_graph::testing::SnapshotBuilder::entra("uid-1", TENANT);
    then.seen(THEN);
    assert_eq!(drifts(&today, &then), Vec::<String>::new());
}

#[test]
fn what_was_recorded_and_not_weighed_narrows_the_claim() {
    let (mut then, mut today) = (before(), now());
    then.eligible(GLOBAL_ADMINISTRATOR, "/");
    today.role(GLOBAL_ADMINISTRATOR);
    let finding = today.drift(&then, "DRIFT-001").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::High));
    assert!(finding.title.ends_with("whether it could on 2026-03-01 is not determined"), "{}", finding.title);
    // A grant of unknown weight that decides nothing now changes nothing.
    let mut other = before();
    other.eligible(BILLING_ADMINISTRATOR, "/");
    assert_eq!(today.drift(&other, "DRIFT-001").unwrap().rule.claim, Claim::Full);
}

/// What the customer declares to be sensitive today counts on both sides: a grant that was there already is no doubt.
#[test]
fn a_declared_resource_is_judged_alike_then_and_now() {
    let (mut then, mut today) = (before(), now());
    for world in [&mut then, &mut today] {
        world.permission("99999999-9999-4999-8999-999999999999");
    }
    today.role(GLOBAL_ADMINISTRATOR);
    let containers = Containers { objects: ["graph".to_owned()].into(), ..Containers::default() };
    today.config.sensitive_domains.insert(DataDomain::Finance, containers);
    assert_eq!(today.drift(&then, "DRIFT-001").unwrap().rule.claim, Claim::Full);
}

#[test]
fn a_lock_that_was_not_read_narrows_the_claim() {
    let (mut then, mut today) = (before(), now());
    for (world, locked) in [(&mut then, None), (&mut today, Some(false))] {
        world.role(APPLICATION_ADMINISTRATOR);
        let strong = world.other("strong", locked);
        world.role_of(&strong, GLOBAL_ADMINISTRATOR, "/");
    }
    assert_eq!(today.drift(&then, "DRIFT-001").unwrap().rule.claim, Claim::Narrower);
}

/// Cartography #2658: what a partly refused read did not bring was taken for gone. Here it would be a drift.
#[rstest]
fn partial_coverage_on_either_side_is_not_compared(
    #[values("servicePrincipals", "applications", "directoryRoleAssignments", "appRoleAssignments")] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
    #[values(false, true)] old: bool,
) {
    let (mut then, mut today) = (before(), now());
    then.role_of(&then.sp.clone(), USER_ADMINISTRATOR, AU);
    today.role(GLOBAL_ADMINISTRATOR).role(USER_ADMINISTRATOR);
    assert_eq!(drifts(&today, &then), ["DRIFT-001", "DRIFT-002"]);
    if old {
        then.cover(collection, state)
    } else {
        today.cover(collection, state)
    };
    assert_eq!(drifts(&today, &then), Vec::<String>::new());
}

#[test]
fn another_revision_or_version_of_a_call_is_not_compared() {
    let (then, mut today) = (before(), now());
    today.role(GLOBAL_ADMINISTRATOR);
    assert_eq!(drifts(&today, &then), ["DRIFT-001"]);
    let mut other = before();
    other.b.header().collection_revision = 2;
    assert_eq!(drifts(&today, &other), Vec::<String>::new());
    let mut beta = before();
    for operation in &mut beta.b.header().operations {
        if operation.collection == "directoryRoleAssignments" {
            operation.version = "beta".to_owned();
        }
    }
    assert_eq!(drifts(&today, &beta), Vec::<String>::new());
}

#[test]
fn memberships_count_where_groups_give_authority() {
    let (mut then, mut today) = (before(), now());
    today.role(GLOBAL_ADMINISTRATOR);
    then.cover("groupMembers", CoverageState::Denied);
    assert_eq!(drifts(&today, &then), ["DRIFT-001"], "no group holds anything");
    then.group("admins", GLOBAL_ADMINISTRATOR);
    assert_eq!(drifts(&today, &then), Vec::<String>::new(), "it may have been a member");
    then.cover("groupMembers", CoverageState::Complete);
    assert_eq!(drifts(&today, &then), ["DRIFT-001"]);
    let (sp, group) = (then.sp.clone(), then.b.id(NodeKind::Group, "admins"));
    then.member(&sp, &group);
    assert_eq!(drifts(&today, &then), Vec::<String>::new(), "it was a member");
}

#[rstest]
#[case::from_a_unit(AU, "/", Some((Claim::Full, Severity::High)))]
#[case::from_an_object("/app-object", "/", Some((Claim::Full, Severity::High)))]
#[case::narrowed("/", AU, None)]
#[case::moved(AU, "/administrativeUnits/au-2", None)]
#[case::unit_to_object(AU, "/app-object", None)]
#[case::same("/", "/", None)]
// BloodHound Legacy #654: whoever owns a resource was shown as the owner of the subscription around it.
#[case::bloodhound_legacy_654_one_object("/app-object", "/app-object", None)]
#[case::bloodhound_legacy_654_another_object(AU, "/app-other", None)]
// BloodHound Legacy #677: a role over an administrative unit, taken for one over the tenant.
#[case::bloodhound_legacy_677_unit("/app-object", AU, None)]
fn of_scopes(#[case] then: &str, #[case] now_: &str, #[case] expected: Option<(Claim, Severity)>) {
    let (mut old, mut today) = (before(), now());
    old.role_of(&old.sp.clone(), USER_ADMINISTRATOR, then);
    today.role_of(&today.sp.clone(), USER_ADMINISTRATOR, now_);
    let finding = today.drift(&old, "DRIFT-002");
    assert_eq!(verdict(finding.as_ref()), expected);
    if let Some(finding) = finding {
        let title =
            format!("\"payroll-bot\" holds User Administrator over the whole tenant; on 2026-03-01 over {then}");
        assert_eq!(finding.title, title);
        let was = finding.evidence.iter().find(|item| item.class == EvidenceClass::Temporal).unwrap();
        assert_eq!((was.source.field.as_str(), was.value.as_deref()), ("directoryScopeId", Some(then)));
    }
}

#[test]
fn a_wider_role_beside_the_narrow_one_is_wider_too() {
    let (mut then, mut today) = (before(), now());
    let sp = then.sp.clone();
    then.role_of(&sp, USER_ADMINISTRATOR, AU);
    today.role_of(&sp, USER_ADMINISTRATOR, AU);
    assert!(today.drift(&then, "DRIFT-002").is_none());
    today.role(USER_ADMINISTRATOR);
    assert_eq!(today.drift(&then, "DRIFT-002").unwrap().rule.claim, Claim::Full);
    then.eligible(USER_ADMINISTRATOR, "/");
    assert!(today.drift(&then, "DRIFT-002").is_none(), "it could be activated over the whole tenant already");
}

#[test]
fn another_role_over_another_scope_is_two_facts() {
    let (mut then, mut today) = (before(), now());
    let sp = then.sp.clone();
    then.role_of(&sp, APPLICATION_ADMINISTRATOR, AU);
    today.role(USER_ADMINISTRATOR);
    let finding = today.drift(&then, "DRIFT-002").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.narrowed[0].reason.contains("Application Administrator"), "{:?}", finding.narrowed);
    assert!(!finding.title.contains("widened"));
    today.role_of(&sp, APPLICATION_ADMINISTRATOR, AU);
    assert!(today.drift(&then, "DRIFT-002").is_none(), "the narrow role is held still: nothing was exchanged");
}

/// A role that came and one that went belong together where there is no other: of several nothing says which became which.
#[rstest]
#[case::one_for_one(&[APPLICATION_ADMINISTRATOR], &[USER_ADMINISTRATOR], Some(Claim::Narrower))]
#[case::two_went(&[APPLICATION_ADMINISTRATOR, BILLING_ADMINISTRATOR], &[USER_ADMINISTRATOR], None)]
#[case::two_came(&[APPLICATION_ADMINISTRATOR], &[USER_ADMINISTRATOR, BILLING_ADMINISTRATOR], None)]
#[case::near_miss_nothing_went(&[], &[USER_ADMINISTRATOR], None)]
#[case::one_of_two_widened(
    &[APPLICATION_ADMINISTRATOR, USER_ADMINISTRATOR],
    &[USER_ADMINISTRATOR, BILLING_ADMINISTRATOR],
    Some(Claim::Full)
)]
fn unrelated_changes_are_not_told_as_one(
    #[case] went: &[&str],
    #[case] came: &[&str],
    #[case] expected: Option<Claim>,
) {
    let (mut then, mut today) = (before(), now());
    for role in went {
        then.role_of(&then.sp.clone(), role, AU);
    }
    for role in came {
        today.role(role);
    }
    assert_eq!(today.drift(&then, "DRIFT-002").map(|finding| finding.rule.claim), expected);
}

/// One role over two parts of the tenant is one role.
#[test]
fn a_role_over_several_parts_went_once() {
    let (mut then, mut today) = (before(), now());
    for part in [AU, "/administrativeUnits/au-2"] {
        then.role_of(&then.sp.clone(), APPLICATION_ADMINISTRATOR, part);
    }
    today.role(USER_ADMINISTRATOR);
    assert_eq!(today.drift(&then, "DRIFT-002").unwrap().rule.claim, Claim::Narrower);
}

/// `added` beside what is there, on an identity of tier P1.
fn privileged() -> (World, World) {
    let (mut then, mut today) = (before(), now());
    then.role(USER_ADMINISTRATOR);
    today.role(USER_ADMINISTRATOR);
    (then, today)
}

#[test]
fn a_new_secret_of_a_privileged_identity_is_told() {
    let (then, mut today) = privileged();
    today.key(&Key { id: "abcdef01-0000", from: Some("2026-05-20T00:00:00Z"), ..Key::default() });
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
    assert_eq!(finding.title, "one credential that can sign in \"payroll-bot\" came since 2026-03-01");
    assert!(finding.evidence.iter().any(|item| item.claim == "It has the secret abcdef01."));
    let was = finding.evidence.iter().find(|item| item.class == EvidenceClass::Temporal).unwrap();
    assert_eq!(was.value.as_deref(), Some("secret key-1"));
}

/// The audit records are asked before the reader is: they name who and when, and decide nothing.
#[test]
fn who_added_a_new_credential_is_told_where_it_is_recorded() {
    let (then, mut today) = privileged();
    today.key(&Key { id: "abcdef01-0000", ..Key::default() });
    let (dana, eve) = (today.person("dana", Some(true)), today.person("eve", Some(true)));
    today.added_by("abcdef01-0000", &eve, "2026-05-02T00:00:00Z");
    today.added_by("abcdef01-0000", &dana, "2026-05-20T00:00:00Z");
    let claims = |world: &World| -> Vec<String> {
        let finding = world.drift(&then, "DRIFT-003").unwrap();
        assert!(finding.depends_on.iter().all(|at| at.collection != "directoryAudits"), "{:?}", finding.depends_on);
        finding.evidence.into_iter().map(|item| item.claim).filter(|claim| claim.contains("added by")).collect()
    };
    let told = "The secret abcdef01 was added by \"dana@contoso.example\" on 2026-05-20.";
    assert_eq!(claims(&today), [told]);
    today.cover("directoryAudits", CoverageState::Partial);
    assert_eq!(claims(&today), [told], "the newest of what was read");
}

#[rstest]
#[case::an_application("robot", "2026-05-20T00:00:00Z", &["The secret abcdef01 was added by the service principal \"robot\" on 2026-05-20."])]
#[case::somebody_of_whom_only_the_id_is_known("ghost", "2026-05-20T00:00:00Z", &["The secret abcdef01 was added by \"ghost\" on 2026-05-20."])]
#[case::before_the_baseline("robot", "2026-02-20T00:00:00Z", &[])]
fn of_who_added_it(#[case] by: &str, #[case] at: &str, #[case] expected: &[&str]) {
    let (then, mut today) = privileged();
    today.key(&Key { id: "abcdef01-0000", ..Key::default() });
    let robot = today.other("robot", Some(true));
    let by = if by == "robot" { robot } else { today.person(by, None) };
    today.added_by("abcdef01-0000", &by, at);
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    let all = finding.evidence.iter().filter(|item| item.claim.contains("added by"));
    assert_eq!(all.clone().map(|item| item.claim.as_str()).collect::<Vec<_>>(), expected);
    assert!(all.into_iter().all(|item| item.class == EvidenceClass::Temporal));
}

#[test]
fn an_identity_of_a_lower_tier_is_not_told() {
    let (mut then, mut today) = (before(), now());
    then.role_of(&then.sp.clone(), USER_ADMINISTRATOR, AU);
    today.role_of(&today.sp.clone(), USER_ADMINISTRATOR, AU);
    today.key(&Key { id: "key-2", ..Key::default() });
    assert!(today.drift(&then, "DRIFT-003").is_none());
}

/// One change: what the key was, and what it is. `None` is no key.
#[rstest]
#[case::old_one_removed(None, Some(Key { id: "key-2", ..Key::default() }), Some(Severity::Medium))]
#[case::old_one_ends_soon(
    Some(Key { to: Some("2026-06-20T00:00:00Z"), ..Key::default() }),
    Some(Key { id: "key-2", ..Key::default() }),
    Some(Severity::Medium)
)]
#[case::old_one_ended(
    Some(Key { to: Some("2026-05-20T00:00:00Z"), ..Key::default() }),
    Some(Key { id: "key-2", ..Key::default() }),
    Some(Severity::Medium)
)]
#[case::of_another_type(None, Some(Key { id: "key-2", kind: "certificate", ..Key::default() }), Some(Severity::High))]
#[case::removed_only(None, None, None)]
#[case::ended_already(Some(Key::default()), Some(Key { id: "key-2", to: Some("2026-05-01T00:00:00Z"), ..Key::default() }), None)]
#[case::signs_tokens(Some(Key::default()), Some(Key { id: "key-2", usage: "token_signing", ..Key::default() }), None)]
fn of_rotations(#[case] kept: Option<Key<'_>>, #[case] added: Option<Key<'_>>, #[case] expected: Option<Severity>) {
    let mut then = before();
    then.role(USER_ADMINISTRATOR);
    let mut today = World::new();
    today.enabled(true).owners_read(0, 0).role(USER_ADMINISTRATOR).trusts_github();
    then.trusts_github();
    kept.as_ref().map(|key| today.key(key));
    added.as_ref().map(|key| today.key(key));
    assert_eq!(today.drift(&then, "DRIFT-003").map(|finding| finding.severity), expected);
}

#[test]
fn two_new_ones_for_one_old_one_are_no_rotation() {
    let mut then = before();
    then.role(USER_ADMINISTRATOR);
    let mut today = World::new();
    today.enabled(true).owners_read(0, 0).role(USER_ADMINISTRATOR);
    today.key(&Key { id: "key-2", ..Key::default() }).key(&Key { id: "key-3", ..Key::default() });
    assert_eq!(today.drift(&then, "DRIFT-003").unwrap().severity, Severity::High);
}

#[test]
fn the_same_authenticator_elsewhere_is_no_new_one() {
    let (mut then, mut today) = privileged();
    let thumbprint = Some("0123456789ABCDEF0123456789ABCDEF01234567");
    then.key(&Key { id: "cert-1", kind: "certificate", thumbprint, ..Key::default() });
    today.key(&Key { id: "cert-2", kind: "certificate", thumbprint, ..Key::default() });
    let sp = today.sp.clone();
    today.key_on(&sp, "servicePrincipals", &Key::default());
    assert!(today.drift(&then, "DRIFT-003").is_none());
    // A key id can be chosen: another certificate under the same one is another authenticator.
    let mut swapped = now();
    swapped.role(USER_ADMINISTRATOR);
    let other = Some("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
    swapped.key(&Key { id: "cert-1", kind: "certificate", thumbprint: other, ..Key::default() });
    assert!(swapped.drift(&then, "DRIFT-003").is_some());
}

#[test]
fn what_may_sign_in_narrows_the_claim() {
    let (then, mut today) = privileged();
    today.key(&Key { id: "key-2", usage: "something new", ..Key::default() });
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Medium));
}

#[rstest]
#[case::of_a_public_service("https://token.actions.githubusercontent.com", Severity::Critical)]
#[case::of_another_tenant(
    "https://login.microsoftonline.com/bbbbbbbb-0000-4000-8000-000000000002/v2.0",
    Severity::Critical
)]
#[case::of_the_own_tenant(
    "https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001/v2.0",
    Severity::High
)]
#[case::of_an_own_issuer("https://oidc.contoso.example/", Severity::High)]
fn of_new_trusts(#[case] issuer: &str, #[case] expected: Severity) {
    let (then, mut today) = privileged();
    today.federated("fic-1", issuer, &[(attr::SUBJECT, text("workload"))]);
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, expected));
    assert_eq!(finding.title, "one federated trust that can sign in \"payroll-bot\" came since 2026-03-01");
}

#[test]
fn a_trusted_tenant_is_not_outside() {
    let (mut then, mut today) = privileged();
    for world in [&mut then, &mut today] {
        world.config.trusted_tenants.insert(OTHER_TENANT.to_owned());
    }
    let issuer = format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0");
    today.federated("fic-1", &issuer, &[(attr::SUBJECT, text("workload"))]);
    assert_eq!(today.drift(&then, "DRIFT-003").unwrap().severity, Severity::High);
}

#[test]
fn a_trust_is_known_by_whom_it_admits() {
    let issuer = "https://oidc.contoso.example/";
    let with = |id: &str, subject: &str| {
        let (_, mut world) = privileged();
        world.federated(id, issuer, &[(attr::SUBJECT, text(subject))]);
        world
    };
    let then = with("fic-1", "job a");
    assert!(with("fic-2", "job a").drift(&then, "DRIFT-003").is_none(), "made anew");
    assert!(with("fic-1", "job b").drift(&then, "DRIFT-003").is_some(), "changed under the same id");
}

/// A key may stand on the service principal as well as on the application: where one of both was not read then, the key that
/// is there now may have been there. Cartography #2658: what was refused in part looked deleted, and came back as new.
#[rstest]
fn keys_that_cannot_be_compared_are_not_new(
    #[values("servicePrincipals", "applications")] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
    #[values(false, true)] old: bool,
    #[values(false, true)] on_principal: bool,
) {
    let (mut then, mut today) = privileged();
    let key = Key { id: "key-2", ..Key::default() };
    if on_principal {
        let sp = today.sp.clone();
        today.key_on(&sp, "servicePrincipals", &key);
    } else {
        today.key(&key);
    }
    assert!(today.drift(&then, "DRIFT-003").is_some());
    if old {
        then.cover(collection, state)
    } else {
        today.cover(collection, state)
    };
    assert!(today.drift(&then, "DRIFT-003").is_none());
}

#[test]
fn trusts_that_cannot_be_compared_leave_the_credentials_to_be_told() {
    let (mut then, mut today) = privileged();
    then.cover("federatedCredentials", CoverageState::Partial);
    today.trusts_github();
    assert!(today.drift(&then, "DRIFT-003").is_none(), "it may have been there");
    today.key(&Key { id: "key-2", ..Key::default() });
    let finding = today.drift(&then, "DRIFT-003").unwrap();
    assert_eq!(finding.title, "one credential that can sign in \"payroll-bot\" came since 2026-03-01");
    assert!(finding.depends_on.iter().all(|on| on.collection != "baseline#federatedCredentials"));
    today.cover("applications", CoverageState::Partial);
    assert!(today.drift(&then, "DRIFT-003").is_none());
}

/// An agent identity that administers users; its blueprint has one key and so many more.
fn agent(more: usize) -> World {
    let mut world = before();
    let blueprint = world.b.node("agentIdentityBlueprints", NodeKind::Application, "blueprint", &[]);
    let attrs = [(attr::ENABLED, Value::Bool(true)), (attr::NAME, text("agent"))];
    let agent = world.b.node("agentIdentities", NodeKind::AgentIdentity, "agent", &attrs);
    world.b.edge("agentIdentities", &blueprint, EdgeKind::Instantiates, &agent);
    world.role_of(&agent, USER_ADMINISTRATOR, "/");
    for n in 0..=more {
        world.key_on(&blueprint, "agentIdentityBlueprints", &Key { id: &format!("key-{n}"), ..Key::default() });
    }
    world
}

/// The keys of an agent are its blueprint's: those of a blueprint that was not read are not missing then.
#[rstest]
#[case::read("groups", true)]
#[case::not_read("agentIdentityBlueprints", false)]
#[case::agents_not_read("agentIdentities", false)]
fn of_keys_of_agents(#[case] partial: &str, #[case] expected: bool) {
    let (mut then, today) = (agent(0), later(agent(1)));
    then.cover(partial, CoverageState::Partial);
    let finding = today.drift(&then, "DRIFT-003");
    assert_eq!(finding.is_some(), expected);
    let told = finding.map(|finding| finding.depends_on).unwrap_or_default();
    assert_eq!(told.iter().any(|on| on.collection == "baseline#agentIdentityBlueprints"), expected);
}

/// What an identity could activate decides what it had: where that was not read, nothing says that it is new.
#[rstest]
#[case::read(CoverageState::Complete, None, Claim::Full)]
#[case::not_read(CoverageState::Partial, None, Claim::Narrower)]
#[case::not_asked_for(CoverageState::Skipped, Some("CollectionNotAccepted"), Claim::Narrower)]
#[case::nobody_can_activate_roles(CoverageState::Skipped, Some("LicenseMissing"), Claim::Full)]
fn of_what_could_be_activated(
    #[case] state: CoverageState,
    #[case] reason: Option<&str>,
    #[case] expected: Claim,
    #[values("DRIFT-001", "DRIFT-002")] rule: &str,
) {
    let (mut then, mut today) = (before(), now());
    then.role_of(&then.sp.clone(), USER_ADMINISTRATOR, AU).cover("directoryRoleEligibility", state);
    for row in then.b.header().coverage.iter_mut().filter(|row| row.collection == "directoryRoleEligibility") {
        row.reason = reason.map(str::to_owned);
    }
    today.role(USER_ADMINISTRATOR);
    let finding = today.drift(&then, rule).unwrap();
    assert_eq!(finding.rule.claim, expected);
    assert_eq!(finding.narrowed.iter().any(|item| item.reason.contains("could activate")), expected != Claim::Full);
}

/// What became of an owner.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Active,
    Disabled,
    Unresolved,
    Removed,
}

/// An owner of the application as it was and as it is.
fn owned(then: Option<bool>, today: Owner) -> (World, World) {
    let mut old = counted(1, 0);
    let mut new = later(counted(i64::from(today != Owner::Removed), 0));
    for world in [&mut old, &mut new] {
        world.role(USER_ADMINISTRATOR);
    }
    let dana = old.person("dana", then);
    old.owns_app(&dana);
    let state = match today {
        Owner::Removed => return (old, new),
        Owner::Active => Some(true),
        Owner::Disabled => Some(false),
        Owner::Unresolved => None,
    };
    let dana = new.person("dana", state);
    new.owns_app(&dana);
    (old, new)
}

#[rstest]
#[case::disabled(Some(true), Owner::Disabled, Some((Claim::Full, Severity::High)))]
#[case::not_recorded_any_more(Some(true), Owner::Removed, Some((Claim::Full, Severity::High)))]
#[case::not_resolved_any_more(Some(true), Owner::Unresolved, Some((Claim::Narrower, Severity::Medium)))]
#[case::still_there(Some(true), Owner::Active, None)]
#[case::was_disabled_already(Some(false), Owner::Disabled, None)]
#[case::was_not_resolved_then(None, Owner::Disabled, None)]
fn of_owners(#[case] then: Option<bool>, #[case] today: Owner, #[case] expected: Option<(Claim, Severity)>) {
    let (then, today) = owned(then, today);
    let finding = today.drift(&then, "DRIFT-005");
    assert_eq!(verdict(finding.as_ref()), expected);
    if let Some(finding) = finding {
        let was = finding.evidence.iter().find(|item| item.class == EvidenceClass::Temporal).unwrap();
        assert_eq!(was.value.as_deref(), Some("dana@contoso.example"));
    }
}

#[test]
fn a_successor_answers() {
    let (then, _) = owned(Some(true), Owner::Removed);
    let mut today = later(counted(0, 1));
    today.role(USER_ADMINISTRATOR);
    let erin = today.person("erin", Some(true));
    today.owns_sp(&erin);
    assert!(today.drift(&then, "DRIFT-005").is_none());
}

/// Cartography #379: a read that failed left nothing of what was known. An owner who was not read has not left.
#[rstest]
fn owners_that_were_not_all_read_are_not_compared(
    #[values("applicationOwners", "servicePrincipalOwners", "ownerAccounts")] collection: &str,
    #[values(false, true)] old: bool,
) {
    let (mut then, mut today) = owned(Some(true), Owner::Removed);
    assert!(today.drift(&then, "DRIFT-005").is_some());
    if old {
        then.cover(collection, CoverageState::Partial)
    } else {
        today.cover(collection, CoverageState::Partial)
    };
    assert!(today.drift(&then, "DRIFT-005").is_none());
}

#[test]
fn an_owner_who_was_counted_and_not_told_apart_may_be_active() {
    let (then, _) = owned(Some(true), Owner::Removed);
    let mut today = later(counted(1, 0));
    today.role(USER_ADMINISTRATOR);
    assert!(today.drift(&then, "DRIFT-005").is_none());
}

#[test]
fn a_drift_rests_on_both_sides_of_what_was_compared() {
    let (mut then, mut today) = (before(), now());
    then.role_of(&then.sp.clone(), USER_ADMINISTRATOR, AU);
    today.role(USER_ADMINISTRATOR);
    for rule in ["DRIFT-001", "DRIFT-002"] {
        let finding = today.drift(&then, rule).unwrap();
        for collection in AUTHORITY.into_iter().chain(["groupMembers"]) {
            for name in [collection.to_owned(), sv0_rules::baseline_dependency(collection)] {
                let there = finding.depends_on.iter().any(|on| on.instance_uid == "uid-1" && on.collection == name);
                assert!(there, "{rule} {name}");
            }
        }
    }
}

fn purpose(systems: Option<&[&str]>, domains: Option<&[&str]>) -> Purpose {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Purpose { systems: systems.map(set), domains: domains.map(set) }
}

#[rstest]
#[case::nothing_declared(None, None)]
#[case::all_within(Some(purpose(Some(&[TENANT, "graph"]), Some(&["files", "sites"]))), None)]
#[case::api_by_application_id(
    Some(purpose(Some(&[TENANT, "00000003-0000-0000-C000-000000000000"]), None)), None)]
#[case::no_limit_on_systems(Some(purpose(None, Some(&["files"]))), None)]
#[case::another_domain(Some(purpose(None, Some(&["mail"]))), Some(Severity::Critical))]
#[case::no_domain(Some(purpose(None, Some(&[]))), Some(Severity::Critical))]
#[case::another_system(Some(purpose(Some(&["graph"]), None)), Some(Severity::High))]
fn of_purposes(#[case] declared: Option<Purpose>, #[case] expected: Option<Severity>) {
    let files_write = "75359482-378d-4052-8f01-80520e7db3cd";
    let mut today = now();
    today.role(USER_ADMINISTRATOR).permission(files_write);
    let id = today.sp.to_string();
    declared.map(|purpose| today.config.declared_purposes.insert(id, purpose));
    let finding = today.finding("DRIFT-007");
    assert_eq!(finding.as_ref().map(|finding| finding.severity), expected);
}

#[test]
fn what_only_may_be_held_leaves_no_purpose() {
    let mut today = now();
    today.permission("75359482-378d-4052-8f01-80520e7db3cd").eligible(GLOBAL_ADMINISTRATOR, "/");
    let id = today.sp.to_string();
    // The eligible role is in a system outside of it, and is not held.
    today.config.declared_purposes.insert(id.clone(), purpose(Some(&["graph"]), None));
    assert!(today.finding("DRIFT-007").is_none());
    today.config.declared_purposes.insert(id.clone(), purpose(Some(&[TENANT]), None));
    assert!(today.finding("DRIFT-007").is_some());
    // Another identity's purpose says nothing of this one.
    today.config.declared_purposes.clear();
    today.config.declared_purposes.insert(format!("{id}-other"), purpose(Some(&[]), Some(&[])));
    assert!(today.finding("DRIFT-007").is_none());
}

/// A grant that was read is held, however little else was; what was not read accuses nobody.
#[rstest]
fn purposes_rest_on_what_was_read(
    #[values("servicePrincipals", "directoryRoleAssignments", "appRoleAssignments", "groupMembers")] collection: &str,
    #[values(CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped)]
    state: CoverageState,
) {
    let within = |held: bool| {
        let mut today = now();
        today.role(USER_ADMINISTRATOR);
        if held {
            today.permission(FILES_WRITE);
        }
        let id = today.sp.to_string();
        today.config.declared_purposes.insert(id, purpose(Some(&[TENANT]), Some(&[])));
        today.cover(collection, state);
        today
    };
    let told = within(true).finding("DRIFT-007").unwrap();
    assert_eq!((told.rule.claim, told.severity), (Claim::Full, Severity::Critical));
    assert!(within(false).finding("DRIFT-007").is_none());
}

/// Who may not be able to run leaves no purpose that is known.
#[rstest]
#[case::on(Some(true), true)]
#[case::off(Some(false), false)]
#[case::not_read(None, false)]
fn purposes_are_those_of_identities_that_run(#[case] enabled: Option<bool>, #[case] expected: bool) {
    let mut today = World::new();
    today.key(&Key::default()).role(USER_ADMINISTRATOR);
    enabled.map(|enabled| today.enabled(enabled));
    let id = today.sp.to_string();
    today.config.declared_purposes.insert(id, purpose(Some(&["graph"]), None));
    assert_eq!(today.finding("DRIFT-007").is_some(), expected);
}

#[test]
fn the_path_that_leaves_the_purpose_is_the_one_that_is_shown() {
    let mut today = now();
    today.role(USER_ADMINISTRATOR).permission(MAIL_READ);
    let id = today.sp.to_string();
    today.config.declared_purposes.insert(id, purpose(None, Some(&[])));
    let finding = today.finding("DRIFT-007").unwrap();
    assert_eq!(finding.title, "\"payroll-bot\" holds Mail.Read outside of its declared purpose");
    assert_eq!(finding.path.last().unwrap().via.as_deref(), Some("Mail.Read"));
    assert_eq!(finding.severity, Severity::Medium);
}
