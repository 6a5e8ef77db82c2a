//! CRED-001, CRED-004, DORM-001 and DORM-006: what is recorded of use, and what its absence may and may not prove.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, Graph, NodeKind, Value, attr};
use sv0_rules::{Claim, EvidenceClass, Severity};

const NOW: &str = "2026-06-01T00:00:00Z";

/// An administrator made in 2023 with these keys, read now.
fn world(role: &str, keys: &[Key<'_>]) -> World {
    let mut world = World::new();
    world.enabled(true).role(role).owners_read(0, 0).made("2023-01-01T00:00:00Z").seen(NOW);
    for key in keys {
        world.key(key);
    }
    world
}

fn endless() -> Key<'static> {
    Key { from: Some("2024-01-01T00:00:00Z"), to: Some("none"), ..Key::default() }
}

fn weak() -> World {
    world(APPLICATION_ADMINISTRATOR, &[endless()])
}

fn claim(world: &World, rule: &str) -> Option<Claim> {
    world.finding(rule).map(|finding| finding.rule.claim)
}

const STATES: [CoverageState; 4] =
    [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped];

// --- CRED-001 -----------------------------------------------------------------------------------------------------

#[rstest]
#[case::long_ago("2025-06-01T00:00:00Z", Some(Claim::Full))]
#[case::exactly_thirty_days("2026-05-02T00:00:00Z", Some(Claim::Full))]
#[case::a_second_less("2026-05-02T00:00:01Z", None)]
#[case::yesterday("2026-05-31T00:00:00Z", None)]
#[case::clocks_differ("2026-06-02T00:00:00Z", None)]
#[case::not_a_date("soon", Some(Claim::Narrower))]
fn cred_001_table_of_last_uses(#[case] at: &str, #[case] expected: Option<Claim>) {
    let mut world = weak();
    world.used(attr::LAST_USED_AT, at);
    assert_eq!(claim(&world, "CRED-001"), expected);
}

#[rstest]
#[case::no_end("secret", "2026-04-01T00:00:00Z", "none", Some("its secret never expires"))]
#[case::over_the_limit("secret", "2026-04-01T00:00:00Z", "2028-01-01T00:00:00Z", Some("its secret lives too long"))]
#[case::certificate_over_its_own("certificate", "2026-04-01T00:00:00Z", "2026-11-01T00:00:00Z", Some("lives too long"))]
#[case::not_rotated_either(
    "secret",
    "2026-01-01T00:00:00Z",
    "none",
    Some("its secret never expires and is not rotated")
)]
#[case::twice_the_time_for_rotation("secret", "2025-12-03T00:00:00Z", "2026-10-01T00:00:00Z", Some("is not rotated"))]
#[case::near_miss_once_the_time("secret", "2025-12-04T00:00:00Z", "2026-10-01T00:00:00Z", None)]
#[case::near_miss_bounded("secret", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z", None)]
fn cred_001_table_of_weaknesses(
    #[case] kind: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: Option<&str>,
) {
    let key = Key { kind, from: Some(from), to: Some(to), ..Key::default() };
    let mut world = world(APPLICATION_ADMINISTRATOR, &[key]);
    world.used(attr::LAST_USED_AT, "2025-01-01T00:00:00Z");
    let title = world.finding("CRED-001").map(|finding| finding.title);
    assert_eq!(title.is_some(), expected.is_some());
    if let (Some(title), Some(expected)) = (title, expected) {
        assert!(title.ends_with(expected), "{title}");
    }
}

#[rstest]
#[case::takes_over(GLOBAL_ADMINISTRATOR, Some(Severity::Critical))]
#[case::administers(APPLICATION_ADMINISTRATOR, Some(Severity::High))]
#[case::near_miss_writes_only(BILLING_ADMINISTRATOR, None)]
fn cred_001_is_about_privileged_identities(#[case] role: &str, #[case] expected: Option<Severity>) {
    let mut world = world(role, &[endless()]);
    world.used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(world.finding("CRED-001").map(|finding| finding.severity), expected);
}

/// `.n2`: what is weak is told by the rules that need no authority to say it.
#[test]
fn cred_001_where_authority_is_not_known_only_cred_002_and_003_speak() {
    let mut world = world("dddddddd-0000-4000-8000-00000000000d", &[endless()]);
    world.role(BILLING_ADMINISTRATOR).used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&world, "CRED-001"), None);
    assert!(world.finding("CRED-002").is_some() && world.finding("CRED-003").is_some());
}

/// `.n1`.
#[rstest]
fn cred_001_use_that_was_not_collected_is_not_rare_use(#[values(0, 1, 2, 3)] state: usize) {
    let mut world = weak();
    world.cover("servicePrincipalActivity", STATES[state]).cover("credentialActivity", STATES[state]);
    let finding = world.finding("CRED-001").unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::High));
    // As severe as what it tells.
    assert!(finding.severity >= world.finding("CRED-002").unwrap().severity);
    assert!(finding.title.ends_with("its use is not observable"), "{}", finding.title);
    // It can be resolved without activity ever being collected.
    assert!(finding.depends_on.iter().all(|needed| !needed.collection.ends_with("Activity")));
}

/// microsoft/zerotrustassessment 21770 and 21771 count an empty last sign-in as inactive.
#[test]
fn cred_001_no_recorded_sign_in_is_not_rare_use() {
    let finding = weak().finding("CRED-001").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.title.ends_with("no sign-in is recorded"), "{}", finding.title);
    assert!(!finding.title.contains("never used") && finding.narrowed[0].reason.contains("not known"));
    let silence = finding.evidence.iter().find(|item| item.source.field == "lastSignInDateTime").unwrap();
    assert_eq!(silence.class, EvidenceClass::Temporal);
    assert!(silence.claim.contains("made on 2023-01-01"), "{}", silence.claim);
}

#[rstest]
#[case::new_identity("2026-05-10T00:00:00Z", "2026-05-10T00:00:00Z", false)]
#[case::new_credential("2023-01-01T00:00:00Z", "2026-05-10T00:00:00Z", false)]
#[case::grace_is_over("2023-01-01T00:00:00Z", "2026-05-02T00:00:00Z", true)]
fn cred_001_what_is_new_waits_for_its_first_use(#[case] made: &str, #[case] from: &str, #[case] expected: bool) {
    let mut world = World::new();
    let key = Key { from: Some(from), to: Some("none"), ..Key::default() };
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0).made(made).seen(NOW).key(&key);
    assert_eq!(world.finding("CRED-001").is_some(), expected);
    world.cover("servicePrincipalActivity", CoverageState::Denied);
    assert_eq!(world.finding("CRED-001").is_some(), expected);
}

/// Prowler counts expired secrets; so did Mandiant Azure AD Investigator (#14).
#[test]
fn cred_001_an_expired_credential_is_not_weak_but_gone() {
    let expired = Key { id: "old", from: Some("2019-01-01T00:00:00Z"), to: Some("2025-01-01T00:00:00Z"), ..endless() };
    let signing = Key { id: "saml", usage: "token_signing", ..endless() };
    let mut world = world(GLOBAL_ADMINISTRATOR, &[Key::default(), expired, signing]);
    world.used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&world, "CRED-001"), None);
}

#[test]
fn cred_001_a_weak_credential_speaks_for_itself_when_its_use_is_recorded() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[endless(), Key { id: "key-2", ..Key::default() }]);
    world.used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z").key_used("key-1", "2026-01-15T00:00:00Z");
    let finding = world.finding("CRED-001").unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    // The identity itself was used yesterday.
    assert!(
        finding
            .title
            .ends_with("is privileged, and its secret never expires and is not rotated, last tried on 2026-01-15"),
        "{}",
        finding.title
    );
    assert!(
        finding.evidence.iter().any(|item| item.claim.contains("in this tenant, or attempt at one, was on 2026-01-15"))
    );
}

/// Something signed the identity in yesterday. Of its two credentials the records stopped long ago: one of them at least
/// is wrong, and nobody can say which.
#[test]
fn records_that_contradict_the_identity_together_accuse_neither() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[endless(), Key { id: "key-2", ..endless() }]);
    world.key_used("key-1", "2025-11-15T00:00:00Z").key_used("key-2", "2025-11-15T00:00:00Z");
    world.used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    assert_eq!((claim(&world, "CRED-001"), claim(&world, "CRED-004")), (None, None));
    // One that is in use by its own record explains it.
    let mut world = self::world(APPLICATION_ADMINISTRATOR, &[endless(), Key { id: "key-2", ..endless() }]);
    world.key_used("key-1", "2025-11-15T00:00:00Z").key_used("key-2", "2026-05-31T00:00:00Z");
    world.used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    assert_eq!((claim(&world, "CRED-001"), claim(&world, "CRED-004")), (Some(Claim::Full), Some(Claim::Full)));
}

#[test]
fn cred_001_a_weak_credential_in_use_is_no_forgotten_one() {
    let mut world = weak();
    world.used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z").key_used("key-1", "2026-05-31T00:00:00Z");
    assert_eq!(claim(&world, "CRED-001"), None);
}

#[test]
fn cred_001_use_in_another_role_is_use() {
    let mut world = weak();
    world.used(attr::LAST_UNATTENDED_USE_AT, "2025-01-01T00:00:00Z").used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z");
    assert_eq!(claim(&world, "CRED-001"), None);
}

#[test]
fn cred_001_use_that_was_seen_in_a_part_of_the_record_is_use() {
    let mut world = weak();
    world.used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    world.cover("servicePrincipalActivity", CoverageState::Partial);
    assert_eq!(claim(&world, "CRED-001"), None);
}

/// An evaluation may stand before the day on which the records were read; then time alone changes what they prove.
#[test]
fn cred_001_a_contradiction_ends_when_the_use_that_makes_it_is_long_ago() {
    let mut world = weak();
    world.used(attr::LAST_USED_AT, "2026-05-30T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2026-05-20T00:00:00Z");
    world.key_used("key-1", "2026-01-01T00:00:00Z").seen("2026-07-15T00:00:00Z");
    let output = world.run();
    assert!(output.findings.iter().all(|finding| finding.rule.id != "CRED-001"));
    let next = output.next_transition.unwrap();
    assert_eq!(next, "2026-06-19T00:00:00Z".parse().unwrap());
    let graph = Graph::build(vec![world.b.build()]).unwrap();
    let later = sv0_rules::run(&graph, &world.config, next, 1);
    assert!(later.findings.iter().any(|finding| finding.rule.id == "CRED-001"));
}

#[test]
fn cred_001_the_limit_of_rare_use_is_the_customers() {
    let mut world = weak();
    world.used(attr::LAST_USED_AT, "2026-05-20T00:00:00Z");
    assert_eq!(claim(&world, "CRED-001"), None);
    world.config.rare_use_days = 7;
    assert_eq!(claim(&world, "CRED-001"), Some(Claim::Full));
}

// --- CRED-004 -----------------------------------------------------------------------------------------------------

#[rstest]
#[case::exactly_ninety_days("2026-03-03T00:00:00Z", Some(Claim::Full))]
#[case::a_second_less("2026-03-03T00:00:01Z", None)]
#[case::in_use("2026-05-31T00:00:00Z", None)]
#[case::not_a_date("recently", None)]
fn cred_004_table(#[case] at: &str, #[case] expected: Option<Claim>) {
    let mut world = weak();
    world.key_used("key-1", at);
    assert_eq!(claim(&world, "CRED-004"), expected);
}

#[test]
fn cred_004_says_which_since_when_and_by_which_call() {
    let second = Key { id: "key-2", ..endless() };
    let mut world = world(BILLING_ADMINISTRATOR, &[endless(), second]);
    world.key_used("key-1", "2025-03-03T00:00:00Z").key_used("key-2", "2025-02-02T00:00:00Z");
    let finding = world.finding("CRED-004").unwrap();
    assert!(finding.title.ends_with("2 credentials not used here for long, one since 2025-02-02"), "{}", finding.title);
    assert_eq!(finding.severity, Severity::Medium);
    let item = &finding.evidence[0];
    assert_eq!((item.class, item.source.field.as_str()), (EvidenceClass::Temporal, "lastSignInDateTime"));
    assert_eq!((item.source.object.as_str(), item.value.as_deref()), ("app-1/key-1", Some("2025-03-03")));
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "credentialActivity"));
}

/// Zero Trust Assessment and Prowler read the absence of a row as "never".
#[test]
fn cred_004_no_recorded_sign_in_is_only_the_narrower_claim() {
    let finding = weak().finding("CRED-004").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.title.ends_with("for which no sign-in is recorded") && !finding.narrowed.is_empty());
}

#[test]
fn cred_004_a_proven_one_and_one_without_a_record_make_one_full_claim() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[endless(), Key { id: "key-2", ..endless() }]);
    world.key_used("key-1", "2025-03-03T00:00:00Z");
    let finding = world.finding("CRED-004").unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    assert_eq!(finding.narrowed[0].claim, "That one credential more was never used");
    assert_eq!(finding.narrowed[1].claim, "That no other tenant sees it used");
    assert!(finding.narrowed[1].reason.contains("other tenants accept"));
}

#[rstest]
fn cred_004_without_complete_records_nothing_is_said_of_what_they_lack(#[values(0, 1, 2, 3)] state: usize) {
    let mut world = weak();
    world.cover("credentialActivity", STATES[state]);
    assert_eq!(claim(&world, "CRED-004"), None);
    world.key_used("key-1", "2025-03-03T00:00:00Z");
    assert_eq!(claim(&world, "CRED-004"), Some(Claim::Full), "what was seen counts");
}

/// Prowler flags fresh secrets that were never used.
#[rstest]
#[case::fresh("2026-05-20T00:00:00Z", false)]
#[case::a_second_short("2026-03-03T00:00:01Z", false)]
#[case::old_enough("2026-03-03T00:00:00Z", true)]
fn cred_004_a_fresh_credential_waits_for_its_first_use(#[case] from: &str, #[case] expected: bool) {
    let world = world(APPLICATION_ADMINISTRATOR, &[Key { from: Some(from), ..endless() }]);
    assert_eq!(world.finding("CRED-004").is_some(), expected);
}

#[test]
fn cred_004_without_a_first_day_it_may_be_fresh() {
    assert_eq!(claim(&world(APPLICATION_ADMINISTRATOR, &[Key { from: None, ..endless() }]), "CRED-004"), None);
}

/// The vendor's `appCredentialSignInActivity` has stopped filling before: the identity's own record contradicts it.
#[test]
fn cred_004_a_record_that_the_identitys_own_contradicts_is_not_believed() {
    let mut world = weak();
    world.used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    assert_eq!(claim(&world, "CRED-004"), None);
    world.key_used("key-1", "2025-03-03T00:00:00Z");
    assert_eq!(claim(&world, "CRED-004"), None);
    // Another way to sign in explains it.
    world.trusts_github();
    assert_eq!(claim(&world, "CRED-004"), Some(Claim::Full));
}

/// Where the identity's own record was not read, nobody knows whether it contradicts.
#[test]
fn a_record_that_nothing_could_contradict_is_the_narrower_claim() {
    let mut world = weak();
    world.key_used("key-1", "2025-03-03T00:00:00Z");
    assert_eq!(["CRED-001", "CRED-004"].map(|rule| claim(&world, rule)), [Some(Claim::Full); 2]);
    world.cover("servicePrincipalActivity", CoverageState::Denied);
    assert_eq!(["CRED-001", "CRED-004"].map(|rule| claim(&world, rule)), [Some(Claim::Narrower); 2]);
}

/// A credential that stands on the service principal signs in to this tenant only.
#[test]
fn cred_004_only_an_applications_credential_may_be_used_in_other_tenants() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    let sp = world.sp.clone();
    world.key_on(&sp, "servicePrincipals", &Key { id: "key-9", ..endless() });
    let used = [(attr::LAST_USED_AT, text("2025-03-03T00:00:00Z"))];
    world.b.node("credentialActivity", NodeKind::Credential, "sp-1/key-9", &used);
    let finding = world.finding("CRED-004").unwrap();
    assert_eq!((finding.rule.claim, finding.narrowed.len()), (Claim::Full, 0));
}

#[test]
fn cred_004_another_credential_explains_the_identitys_use() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[endless(), Key { id: "key-2", ..Key::default() }]);
    world.used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z").key_used("key-1", "2025-03-03T00:00:00Z");
    assert_eq!(claim(&world, "CRED-004"), Some(Claim::Full));
}

#[test]
fn cred_004_keys_that_ended_or_sign_tokens_do_not_count() {
    let ended = Key { to: Some("2026-01-01T00:00:00Z"), ..endless() };
    let signing = Key { id: "key-2", usage: "token_signing", ..endless() };
    let mut world = world(APPLICATION_ADMINISTRATOR, &[ended, signing]);
    world.key_used("key-1", "2025-03-03T00:00:00Z").key_used("key-2", "2025-03-03T00:00:00Z").trusts_github();
    assert_eq!(claim(&world, "CRED-004"), None);
}

// --- DORM-001 -----------------------------------------------------------------------------------------------------

#[rstest]
#[case::exactly_180_days("2025-12-03T00:00:00Z", Some(Claim::Full))]
#[case::a_second_less("2025-12-03T00:00:01Z", None)]
#[case::yesterday("2026-05-31T00:00:00Z", None)]
#[case::not_a_date("", None)]
fn dorm_001_table(#[case] at: &str, #[case] expected: Option<Claim>) {
    let mut world = world(BILLING_ADMINISTRATOR, &[Key::default()]);
    world.used(attr::LAST_USED_AT, at);
    assert_eq!(claim(&world, "DORM-001"), expected);
}

#[rstest]
#[case::takes_over(GLOBAL_ADMINISTRATOR, Severity::High)]
#[case::administers(APPLICATION_ADMINISTRATOR, Severity::High)]
#[case::writes(BILLING_ADMINISTRATOR, Severity::Medium)]
fn dorm_001_weighs_by_what_stands(#[case] role: &str, #[case] expected: Severity) {
    let mut world = world(role, &[Key::default()]);
    world.used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(world.finding("DORM-001").unwrap().severity, expected);
}

#[test]
fn dorm_001_what_only_reads_is_a_near_miss() {
    let mut world = world(DIRECTORY_READERS, &[endless()]);
    world.permission(MAIL_READ).used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&world, "DORM-001"), None);
    assert!(world.finding("CRED-002").is_some(), "it is in the lane all the same");
}

/// `lastSignInDateTime` includes failures: it is the last attempt.
#[test]
fn dorm_001_says_attempt_and_the_day() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.used(attr::LAST_USED_AT, "2025-06-01T10:11:12Z");
    let finding = world.finding("DORM-001").unwrap();
    assert!(finding.title.ends_with("its last recorded sign-in attempt was on 2025-06-01"), "{}", finding.title);
    let item = &finding.evidence[0];
    assert_eq!((item.class, item.value.as_deref()), (EvidenceClass::Temporal, Some("2025-06-01")));
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "servicePrincipalActivity"));
}

/// microsoft/zerotrustassessment 21770 and 21771 count an empty last sign-in as inactive.
#[rstest]
#[case::old_identity("2025-12-03T00:00:00Z", Some(Claim::Narrower))]
#[case::a_second_short("2025-12-03T00:00:01Z", None)]
#[case::fresh("2026-05-30T00:00:00Z", None)]
fn dorm_001_no_recorded_sign_in_is_the_narrower_claim(#[case] made: &str, #[case] expected: Option<Claim>) {
    let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
    world.seen(NOW).made(made);
    let finding = world.finding("DORM-001");
    assert_eq!(finding.as_ref().map(|finding| finding.rule.claim), expected);
    if let Some(finding) = finding {
        assert_eq!(finding.severity, Severity::Medium);
        assert!(finding.title.ends_with("no sign-in of it is recorded"), "{}", finding.title);
    }
}

#[test]
fn dorm_001_an_identity_of_unknown_age_without_a_record_may_be_new() {
    let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
    world.seen(NOW);
    assert_eq!(claim(&world, "DORM-001"), None);
}

#[rstest]
fn dorm_001_records_that_were_not_read_to_the_end_prove_no_disuse(#[values(0, 1, 2, 3)] state: usize) {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.cover("servicePrincipalActivity", STATES[state]);
    assert_eq!(claim(&world, "DORM-001"), None);
    world.used(attr::LAST_USED_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&world, "DORM-001"), Some(Claim::Full), "the vendor keeps the last date: what was seen counts");
}

#[test]
fn dorm_001_a_connector_that_does_not_collect_activity_accuses_nobody() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.b.header().coverage.retain(|record| !record.collection.ends_with("Activity"));
    assert_eq!(claim(&world, "DORM-001"), None);
    assert_eq!(claim(&world, "CRED-004"), None);
}

/// A snapshot shows use up to its own day. Scans that stopped make nothing dormant.
#[rstest]
#[case::read_after_180_days("2025-09-01T00:00:00Z", Some(Claim::Full))]
#[case::read_before("2025-08-01T00:00:00Z", None)]
fn dorm_001_disuse_is_proven_up_to_the_reading_only(#[case] seen: &str, #[case] expected: Option<Claim>) {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.used(attr::LAST_USED_AT, "2025-03-01T00:00:00Z").seen(seen);
    assert_eq!(claim(&world, "DORM-001"), expected);
}

#[rstest]
#[case::without_a_row(None, false)]
#[case::with_a_row(Some("2025-06-01T00:00:00Z"), true)]
fn dorm_001_managed_identities_sign_in_under_another_category(#[case] at: Option<&str>, #[case] expected: bool) {
    let mut world = World::new();
    let mut attrs = vec![(attr::ENABLED, Value::Bool(true)), (attr::CREATED_AT, text("2020-01-01T00:00:00Z"))];
    attrs.extend(at.map(|at| (attr::LAST_USED_AT, text(at))));
    let id = world.b.node("servicePrincipals", NodeKind::ManagedIdentity, "mi", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").seen(NOW);
    assert_eq!(world.finding("DORM-001").is_some(), expected);
}

/// M365-Assess #419: Microsoft's own applications are the platform's.
#[test]
fn dorm_001_leaves_out_microsofts_own() {
    let mut world = World::new();
    let attrs = [
        (attr::ENABLED, Value::Bool(true)),
        (attr::HOME_TENANT, text(MICROSOFT)),
        (attr::LAST_USED_AT, text("2024-01-01T00:00:00Z")),
    ];
    let id = world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "ms", &attrs);
    world.role_of(&id, GLOBAL_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &Key::default()).seen(NOW);
    assert_eq!(claim(&world, "DORM-001"), None);
    assert_eq!(claim(&world, "CRED-005"), None);
}

/// Records go by the application's id, which outlives the object.
#[test]
fn dorm_001_a_record_older_than_the_identity_is_not_its_own() {
    let mut world = World::privileged(APPLICATION_ADMINISTRATOR);
    world.seen(NOW).made("2026-05-01T00:00:00Z").used(attr::LAST_USED_AT, "2024-01-01T00:00:00Z");
    assert_eq!(claim(&world, "DORM-001"), None);
}

/// Maester #2074: applications were told as unused that had signed in in those days.
#[test]
fn dorm_001_the_record_that_tells_of_more_counts() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.used(attr::LAST_USED_AT, "2025-01-01T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2026-05-31T00:00:00Z");
    assert_eq!(claim(&world, "DORM-001"), None);
    let mut world = self::world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.used(attr::LAST_UNATTENDED_USE_AT, "2025-01-01T00:00:00Z");
    let finding = world.finding("DORM-001").unwrap();
    assert_eq!(finding.evidence[0].source.field, "applicationAuthenticationClientSignInActivity");
}

/// Maester reads the day of the last change as the day of the last run.
#[test]
fn dorm_001_a_day_of_making_is_no_day_of_use() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[Key::default()]);
    world.cover("servicePrincipalActivity", CoverageState::Skipped).made("2019-01-01T00:00:00Z");
    assert_eq!(claim(&world, "DORM-001"), None);
}

// --- DORM-006 -----------------------------------------------------------------------------------------------------

fn trusting(role: &str) -> World {
    let mut world = world(role, &[]);
    world.trusts_github();
    world
}

#[rstest]
#[case::exactly_180_days("2025-12-03T00:00:00Z", true)]
#[case::a_second_less("2025-12-03T00:00:01Z", false)]
#[case::not_a_date("x", false)]
fn dorm_006_table(#[case] at: &str, #[case] expected: bool) {
    let mut world = trusting(BILLING_ADMINISTRATOR);
    world.used(attr::LAST_UNATTENDED_USE_AT, at);
    let finding = world.finding("DORM-006");
    assert_eq!(finding.is_some(), expected);
    if let Some(finding) = finding {
        assert_eq!((finding.rule.claim, finding.severity), (Claim::Narrower, Severity::Low));
        assert_eq!(finding.evidence[0].value.as_deref(), Some("2025-12-03"));
        assert!(finding.evidence.iter().any(|item| item.claim.contains("repo:a/b:ref:refs/heads/main")));
    }
}

/// A private repository that cannot be read is not a deleted one, and an archived one is not either. Cartography #2658: what
/// was refused in part was taken for gone.
#[test]
fn dorm_006_never_says_that_the_workload_is_gone() {
    let finding = trusting(GLOBAL_ADMINISTRATOR).finding("DORM-006").unwrap();
    assert_eq!(finding.rule.claim, Claim::Narrower);
    assert!(finding.title.ends_with("no unattended sign-in is recorded"), "{}", finding.title);
    assert_eq!(finding.narrowed[0].claim, "That the trusted workload does not exist or does not use it");
    assert!(finding.narrowed.iter().any(|item| item.claim.contains("180 days")));
}

#[test]
fn dorm_006_use_with_a_user_is_no_use_of_the_trust() {
    let mut world = trusting(APPLICATION_ADMINISTRATOR);
    world.used(attr::LAST_USED_AT, "2026-05-31T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2025-06-01T00:00:00Z");
    assert!(world.finding("DORM-006").is_some());
    assert_eq!(claim(&world, "DORM-001"), None);
}

#[rstest]
fn dorm_006_without_complete_records_nothing_is_said_of_what_they_lack(#[values(0, 1, 2, 3)] state: usize) {
    let mut world = trusting(GLOBAL_ADMINISTRATOR);
    world.cover("servicePrincipalActivity", STATES[state]);
    assert_eq!(claim(&world, "DORM-006"), None);
}

#[test]
fn dorm_006_near_misses() {
    let mut reads = trusting(DIRECTORY_READERS);
    reads.permission(MAIL_READ).used(attr::LAST_UNATTENDED_USE_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&reads, "DORM-006"), None);
    let mut nothing_trusted = weak();
    nothing_trusted.used(attr::LAST_UNATTENDED_USE_AT, "2025-06-01T00:00:00Z");
    assert_eq!(claim(&nothing_trusted, "DORM-006"), None);
    let mut young = World::new();
    young
        .enabled(true)
        .role(GLOBAL_ADMINISTRATOR)
        .owners_read(0, 0)
        .trusts_github()
        .seen(NOW)
        .made("2026-05-01T00:00:00Z");
    assert_eq!(claim(&young, "DORM-006"), None);
    let mut of_unknown_age = World::new();
    of_unknown_age.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0).trusts_github().seen(NOW);
    assert_eq!(claim(&of_unknown_age, "DORM-006"), None);
}

#[test]
fn dorm_006_a_flexible_subject_is_told_by_its_expression() {
    let mut world = world(APPLICATION_ADMINISTRATOR, &[]);
    let attrs = [(attr::MATCHING_EXPRESSION, text("claims['sub'] matches 'repo:a/*'"))];
    let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, "app-1/fic-2", &attrs);
    let app = world.app.clone();
    world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &app);
    let finding = world.finding("DORM-006").unwrap();
    assert!(finding.evidence.iter().any(|item| item.claim.contains("repo:a/*")));
}
