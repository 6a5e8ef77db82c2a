//! CRED-012: credentials that outlive the account that added them. CRED-013: a tenant that limits no credentials.

#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};
use sv0_rules::{Claim, Severity};

const LEFT: &str = "CRED-012";
const POLICY: &str = "CRED-013";

fn added_by(world: &mut World, key: &str, person: &str, at: &str) {
    let credential = world.b.id(NodeKind::Credential, &format!("app-1/{key}"));
    let person = world.b.node("directoryAudits", NodeKind::Human, person, &[]);
    let edge = world.b.edge("directoryAudits", &credential, EdgeKind::CreatedBy, &person);
    edge.object = Some(format!("audit-{at}"));
    edge.since = Some(at.parse().unwrap());
}

/// `dana` added the only secret of a user administrator.
fn world(account: Option<bool>) -> World {
    let mut world = World::privileged(USER_ADMINISTRATOR);
    added_by(&mut world, "key-1", "dana", "2026-05-10T00:00:00Z");
    world.person("dana", account);
    world
}

#[test]
fn a_secret_that_a_disabled_account_added() {
    let finding = world(Some(false)).finding(LEFT).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::High));
    assert_eq!(finding.title, "\"payroll-bot\" can sign in with a secret that a disabled account added");
    assert!(finding.evidence[0].claim.contains("added by \"dana@contoso.example\" on 2026-05-10"));
    assert_eq!(finding.evidence[0].value.as_deref(), Some("app-1/key-1"));
}

#[test]
fn a_secret_that_a_deleted_account_added() {
    let mut world = world(None);
    world.b.node("deletedUsers", NodeKind::Human, "dana", &[(attr::DELETED_AT, text("2026-05-20T00:00:00Z"))]);
    let finding = world.finding(LEFT).unwrap();
    assert_eq!(finding.rule.claim, Claim::Full);
    assert!(finding.title.contains("deleted account"), "{}", finding.title);
}

#[rstest]
#[case::active_account(world(Some(true)))]
#[case::nobody_is_recorded(World::privileged(USER_ADMINISTRATOR))]
#[case::an_application_added_it({
    let mut world = World::privileged(USER_ADMINISTRATOR);
    let (sp, key) = (world.sp.clone(), world.b.id(NodeKind::Credential, "app-1/key-1"));
    world.b.edge("directoryAudits", &key, EdgeKind::CreatedBy, &sp);
    world
})]
fn nothing_is_said(#[case] world: World) {
    assert!(world.finding(LEFT).is_none());
}

/// A guest is an account like any other.
#[test]
fn a_guest_who_is_active_is_there() {
    let mut world = world(Some(true));
    world.b.node("ownerAccounts", NodeKind::Human, "dana", &[(attr::USER_TYPE, text("Guest"))]);
    assert!(world.finding(LEFT).is_none());
}

/// "Present but inert": what has ended signs nobody in. Mandiant Azure AD Investigator #14: applications were told for
/// credentials that had ended.
#[test]
fn an_ended_credential_does_not_count() {
    let mut world = World::new();
    let ended = Key { id: "old", to: Some("2026-05-15T00:00:00Z"), ..Key::default() };
    world.enabled(true).key(&ended).key(&Key::default()).role(USER_ADMINISTRATOR).owners_read(0, 0);
    added_by(&mut world, "old", "dana", "2026-05-10T00:00:00Z");
    world.person("dana", Some(false));
    assert!(world.finding(LEFT).is_none());
}

/// The same key added again by somebody who is there: the last record counts.
#[test]
fn the_last_record_of_a_key_counts() {
    let mut world = world(Some(false));
    added_by(&mut world, "key-1", "eli", "2026-05-20T00:00:00Z");
    world.person("eli", Some(true));
    assert!(world.finding(LEFT).is_none());
}

/// Cartography #379 and #2658: what a failed or partly refused read did not bring was taken for deleted.
#[test]
fn an_account_that_is_found_nowhere_narrows_the_claim() {
    let told = world(None).finding(LEFT).unwrap();
    assert_eq!((told.rule.claim, told.severity), (Claim::Narrower, Severity::Medium));
    assert!(told.narrowed[0].reason.contains("recycle bin"));
    for collection in ["ownerAccounts", "deletedUsers"] {
        for state in [CoverageState::Denied, CoverageState::Partial, CoverageState::Skipped] {
            let mut world = world(None);
            world.cover(collection, state);
            assert!(world.finding(LEFT).is_none(), "{collection} {state:?}");
        }
    }
}

#[test]
fn what_is_proven_stays_when_other_accounts_were_not_read() {
    let mut world = world(Some(false));
    world.cover("ownerAccounts", CoverageState::Partial).cover("directoryAudits", CoverageState::Partial);
    assert_eq!(world.finding(LEFT).unwrap().rule.claim, Claim::Full);
}

fn policy(world: &mut World, tenant: Option<&[&str]>, custom: Option<&[&str]>) {
    let list = |kinds: &[&str]| Value::List(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    for (key, kinds) in [(attr::CREDENTIAL_POLICY, tenant), (attr::CUSTOM_CREDENTIAL_POLICIES, custom)] {
        if let Some(kinds) = kinds {
            world.b.node("appManagementPolicies", NodeKind::System, TENANT, &[(key, list(kinds))]);
        }
    }
}

/// A user administrator with a secret that never ends.
fn weak() -> World {
    let mut world = World::new();
    world.enabled(true).key(&Key { to: Some("none"), ..Key::default() }).role(USER_ADMINISTRATOR).owners_read(0, 0);
    world
}

#[test]
fn no_policy_and_a_weak_credential() {
    let mut world = weak();
    policy(&mut world, Some(&[]), Some(&[]));
    let finding = world.finding(POLICY).unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Medium));
    assert_eq!((finding.subject.kind.as_str(), finding.subject.name.as_str()), ("System", "Contoso"));
    assert!(finding.why.contains("one finding of CRED-002"), "{}", finding.why);
    assert!(finding.evidence.iter().any(|item| item.claim.starts_with("CRED-001 of \"payroll-bot\"")));
    assert_eq!(finding.evidence[0].value.as_deref(), Some("none"));
    assert!(!finding.path.is_empty(), "the path of what it explains");
    let rests = finding.depends_on.iter().any(|dependency| dependency.collection == "appManagementPolicies");
    assert!(rests && finding.depends_on.iter().any(|dependency| dependency.collection == "applications"));
}

/// A limit on lifetime ends no credential for being old or unused: what such findings tell, no policy prevents.
#[test]
fn only_findings_about_lifetime_are_explained() {
    let mut old = World::privileged(USER_ADMINISTRATOR);
    let key = Key { id: "old", from: Some("2025-08-01T00:00:00Z"), to: Some("2026-07-01T00:00:00Z"), ..Key::default() };
    old.made("2025-01-01T00:00:00Z").seen("2026-06-01T00:00:00Z").key(&key);
    old.key_used("old", "2025-09-01T00:00:00Z").used(attr::LAST_USED_AT, "2025-09-01T00:00:00Z");
    policy(&mut old, Some(&[]), Some(&[]));
    for rule in ["CRED-001", "CRED-003", "CRED-004"] {
        assert!(old.finding(rule).is_some(), "{rule}");
    }
    assert!(old.finding(POLICY).is_none());
    old.key(&Key { to: Some("none"), id: "endless", ..key });
    let finding = old.finding(POLICY).unwrap();
    let says = "No policy limits credentials of applications, and 2 findings tell of ones that live too long";
    assert_eq!(finding.title, says);
    assert!(!finding.why.contains("CRED-003") && !finding.why.contains("prevented"), "{}", finding.why);
}

/// The lane: it explains findings and never stands alone.
#[test]
fn without_a_finding_to_explain_nothing_is_said() {
    let mut world = World::privileged(USER_ADMINISTRATOR);
    policy(&mut world, Some(&[]), Some(&[]));
    assert!(world.finding(POLICY).is_none());
    let mut no_anchor = weak();
    no_anchor.enabled(false);
    policy(&mut no_anchor, Some(&[]), Some(&[]));
    assert!(no_anchor.run().findings.is_empty());
}

#[rstest]
#[case::a_limit_for_all(Some(&["passwordLifetime"][..]), Some(&[][..]))]
#[case::certificates_only(Some(&["asymmetricKeyLifetime"][..]), Some(&[][..]))]
// CISA ScubaGear #2167: its tests knew the tenant's own policy only, and failed where applications have others beside it.
#[case::scubagear_2167_for_single_applications(Some(&[][..]), Some(&["passwordAddition"][..]))]
#[case::a_word_that_nobody_knows(Some(&["unknownFutureValue"][..]), Some(&[][..]))]
#[case::the_tenant_s_was_not_read(None, Some(&[][..]))]
#[case::the_others_were_not_read(Some(&[][..]), None)]
fn some_policy_or_none_that_is_known(#[case] tenant: Option<&[&str]>, #[case] custom: Option<&[&str]>) {
    let mut world = weak();
    policy(&mut world, tenant, custom);
    assert!(world.finding("CRED-002").is_some());
    assert!(world.finding(POLICY).is_none());
}

/// Who may choose a secret is no limit of its life.
#[test]
fn a_restriction_that_limits_nothing_is_no_policy() {
    let mut world = weak();
    policy(&mut world, Some(&["customPasswordAddition"]), Some(&["trustedCertificateAuthority"]));
    assert!(world.finding(POLICY).is_some());
}

/// Cartography #2658: what was refused is not absent.
#[rstest]
#[case(CoverageState::Denied)]
#[case(CoverageState::Partial)]
#[case(CoverageState::Throttled)]
#[case(CoverageState::Skipped)]
fn policies_that_were_not_read_whole_are_not_absent(#[case] state: CoverageState) {
    let mut world = weak();
    policy(&mut world, Some(&[]), Some(&[]));
    world.cover("appManagementPolicies", state);
    assert!(world.finding(POLICY).is_none());
}
