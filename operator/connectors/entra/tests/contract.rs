//! The contract of connectors (docs/connector-contract.md), run on this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod fixture;

use rstest::rstest;
use serde_json::Value;
use sv0_connector::{Collected, OwnGrants};
use sv0_connector_entra::Entra;
use sv0_graph::{CoverageState, Row, attr};
use sv0_testkit::{Fault, Subject};

sv0_testkit::contract!(fixture::subject());

/// What the fixture tenant becomes, row by row. After a change that is meant, read the difference:
/// `SV0_ACCEPT=1 cargo test -p sv0-connector-entra --test contract` writes the file anew.
#[test]
fn rows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/rows.jsonl");
    let lines = sv0_testkit::checks::rows(&fixture::subject()).unwrap();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("SV0_ACCEPT").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let accepted = std::fs::read_to_string(path).unwrap();
    let (now, before): (Vec<&str>, Vec<&str>) = (text.lines().collect(), accepted.lines().collect());
    let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}

fn told_by(subject: &Subject<Entra>, revision: u32, faults: &[(&str, Fault)]) -> Result<Collected, Vec<String>> {
    sv0_testkit::checks::collected(subject, revision, faults).map(|(collected, _)| collected)
}

/// The end of the scan's own secret is told only when it is plain which secret was used: the scan uses one, and one lives.
#[rstest]
#[case::one(true, &["2026-06-01T00:00:00Z"], Some("2026-06-01T00:00:00Z"))]
#[case::one_that_lives(true, &["2025-06-01T00:00:00Z", "2026-07-01T00:00:00Z"], Some("2026-07-01T00:00:00Z"))]
#[case::two_that_live(true, &["2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"], None)]
#[case::none(true, &[], None)]
#[case::one_that_ends_with_the_scans_start(true, &["2026-01-01T00:00:00Z"], None)]
#[case::another_way_to_sign_in(false, &["2026-06-01T00:00:00Z"], None)]
fn the_end_of_the_scans_own_secret(#[case] secret: bool, #[case] ends: &[&str], #[case] told: Option<&str>) {
    let subject = fixture::subject_with(|config| config.uses_client_secret = secret, fixture::own_application(ends));
    let collected = told_by(&subject, 2, &[]).unwrap();
    assert_eq!(collected.credential_expires_at, told.map(|end| end.parse().unwrap()));
}

/// A newer revision is told of while something of it was not accepted, and not longer.
#[rstest]
#[case::the_first(1, Some(2))]
#[case::the_newest(2, None)]
fn a_newer_revision_is_told_of(#[case] accepted: u32, #[case] told: Option<u32>) {
    let collected = told_by(&fixture::subject(), accepted, &[]).unwrap();
    assert_eq!(collected.pending_revision, told);
}

/// A permission that was refused is missing; one that belongs to something optional is not.
#[test]
fn what_is_optional_is_never_missing() {
    let refused = [("listDelegatedGrants", Fault::Forbidden), ("listDirectoryRoleAssignments", Fault::Forbidden)];
    let collected = told_by(&fixture::subject(), 2, &refused).unwrap();
    let of = |collection: &str| collected.coverage.iter().find(|record| record.collection == collection).unwrap();
    assert_eq!(of("delegatedGrants").permission.as_deref(), Some("Directory.Read.All"));
    assert_eq!(collected.permissions_missing, ["RoleManagement.Read.Directory"]);
    assert!(collected.add_ons.contains(&"Directory.Read.All".to_owned()), "{:?}", collected.add_ons);

    let collected = told_by(&fixture::subject(), 2, &[]).unwrap();
    assert_eq!(collected.permissions_missing, Vec::<String>::new());
}

/// A vendor's cloud without sign-in reports is not asked for any, and that is told of both collections.
#[test]
fn reports_that_the_cloud_lacks_are_told_so() {
    let own = fixture::own_application(&[]);
    let subject = fixture::subject_with(|config| config.has_sign_in_reports = false, own);
    let collected = told_by(&subject, 2, &[]).unwrap();
    for collection in ["servicePrincipalActivity", "credentialActivity"] {
        let record = collected.coverage.iter().find(|record| record.collection == collection).unwrap();
        assert_eq!((record.pages, record.items), (0, 0), "{collection}");
        assert_eq!(record.reason.as_deref(), Some("NotInThisCloud"), "{collection}");
    }
}

/// What the scan's own identity holds against what it needs. Microsoft Graph is the service principal `b` 5.
struct Own {
    missing: Vec<String>,
    excess: Vec<String>,
    needed: Vec<String>,
    count: u32,
}

/// Of all that the manifest names, the permissions named `without` taken away and others put beside them.
fn own(without: &[&str], more: Vec<Value>) -> Own {
    own_at(2, without, more)
}

fn own_at(revision: u32, without: &[&str], more: Vec<Value>) -> Own {
    let kept = fixture::permissions().into_iter().filter(|(_, name)| !without.contains(name));
    let roles = kept.map(|(role, _)| fixture::own_role(&role, 5)).chain(more).collect();
    let collected = told_by(&fixture::subject_that_holds(roles), revision, &[]).unwrap();
    let grants = collected.own_grants.unwrap();
    assert_eq!(grants.principal, Some(fixture::id('b', 9)));
    Own {
        missing: collected.permissions_missing,
        excess: collected.permissions_excess,
        needed: grants.needed,
        count: grants.count,
    }
}

fn names_but(without: &[&str]) -> Vec<&'static str> {
    fixture::permissions().map(|(_, name)| name).into_iter().filter(|name| !without.contains(name)).collect()
}

#[rstest]
#[case::nothing_is_missing(&[], &[])]
#[case::a_broader_one_holds_what_it_includes(&["Application.Read.All", "User.Read.All", "GroupMember.Read.All"], &[])]
#[case::an_optional_one_is_not_missed(&["Directory.Read.All"], &[])]
#[case::one_without_a_broader_one(&["AuditLog.Read.All"], &["AuditLog.Read.All"])]
#[case::one_known_by_its_name(&["AgentIdentity.Read.All"], &["AgentIdentity.Read.All"])]
#[case::both(&["Directory.Read.All", "User.Read.All"], &["User.Read.All"])]
fn permissions_that_are_missing(#[case] without: &[&str], #[case] missing: &[&str]) {
    let own = own(without, vec![]);
    assert_eq!(own.missing, missing);
    assert_eq!(own.excess, Vec::<String>::new());
    assert_eq!(own.needed, names_but(without));
    assert_eq!(own.count as usize, 9 - without.len());
}

#[test]
fn permissions_that_are_too_much() {
    let stray = fixture::id('f', 2);
    let more = vec![
        // Plain access to a resource is no permission.
        fixture::own_role("00000000-0000-0000-0000-000000000000", 1),
        fixture::own_role(fixture::WRITE_ROLE, 5),
        // The name is Microsoft Graph's; under another resource the same id is nobody's.
        fixture::own_role(&stray, 1),
        fixture::own_role(&fixture::id('f', 9), 5),
    ];
    let own = own(&["AgentIdentity.Read.All"], more);
    assert_eq!(own.missing, ["AgentIdentity.Read.All"]);
    let mut excess = vec!["Application.ReadWrite.All".to_owned(), stray, fixture::id('f', 9)];
    excess.sort();
    assert_eq!(own.excess, excess);
    assert_eq!(own.needed, names_but(&["AgentIdentity.Read.All"]));
    assert_eq!(own.count, 11);
}

#[test]
fn grants_are_dated_by_the_oldest_and_the_newest() {
    let dated = |n: usize, at: &str| {
        let mut role = fixture::own_role(&fixture::permissions()[n].0, 5);
        role["createdDateTime"] = at.into();
        role
    };
    let mut plain = fixture::own_role("00000000-0000-0000-0000-000000000000", 1);
    plain["createdDateTime"] = "2020-01-01T00:00:00Z".into();
    let roles = vec![dated(0, "2025-03-01T00:00:00Z"), dated(1, "2025-01-01T00:00:00Z"), dated(2, "soon"), plain];
    let collected = told_by(&fixture::subject_that_holds(roles), 2, &[]).unwrap();
    let instant = |text: &str| text.parse().unwrap();
    let expected = (instant("2025-01-01T00:00:00Z"), instant("2025-03-01T00:00:00Z"));
    assert_eq!(collected.own_grants.unwrap().granted, Some(expected));
}

/// An identity that is not there holds nothing; of one that cannot be asked about nothing is known.
#[rstest]
#[case::gone(Fault::Gone, Some(OwnGrants::default()))]
#[case::refused(Fault::Forbidden, None)]
#[case::down(Fault::Down, None)]
fn own_grants_when_the_identity_cannot_be_read(#[case] fault: Fault, #[case] told: Option<OwnGrants>) {
    let faults = [("getOwnServicePrincipal", fault)];
    let collected = told_by(&fixture::subject(), 2, &faults).unwrap();
    assert_eq!(collected.own_grants, told);
}

/// When the first question is refused, the scan's own identity tells whether all consent is gone or one permission lacks.
#[rstest]
#[case::one_permission(Fault::Forbidden, None, "PermissionMissing")]
#[case::all(Fault::Forbidden, Some(Fault::Forbidden), "ConsentRevoked")]
#[case::the_identity_is_gone(Fault::Forbidden, Some(Fault::Gone), "ConsentRevoked")]
#[case::nobody_knows(Fault::Forbidden, Some(Fault::Down), "PermissionMissing")]
#[case::something_else(Fault::Down, Some(Fault::Forbidden), "UpstreamUnavailable")]
fn why_the_first_question_was_refused(#[case] first: Fault, #[case] own: Option<Fault>, #[case] cause: &str) {
    let faults: Vec<_> =
        [("getOrganization", first)].into_iter().chain(own.map(|fault| ("getOwnServicePrincipal", fault))).collect();
    let said = told_by(&fixture::subject(), 2, &faults).unwrap_err().concat();
    assert!(said.contains(&format!("cause: {cause},")), "{said}");
}

/// What was listed and is gone when it is asked about has nothing any more: nothing is incomplete by it. What is refused is
/// another matter.
#[rstest]
#[case("listAppRoleAssignedTo", "appRoleAssignments")]
#[case("getGroup", "groups")]
#[case("listServicePrincipalsOfGroup", "groupMembers")]
#[case("getDeletedUser", "deletedUsers")]
#[case("listOwnersOfApplication", "applicationOwners")]
#[case("listOwnersOfServicePrincipal", "servicePrincipalOwners")]
#[case("listFederatedCredentialsOfApplication", "federatedCredentials")]
#[case("listFlexibleCredentialsOfApplication", "flexibleFederatedCredentials")]
fn what_is_gone_by_now_is_complete(#[case] operation: &str, #[case] collection: &str) {
    for (fault, complete) in [(Fault::Gone, true), (Fault::Forbidden, false)] {
        let collected = told_by(&fixture::subject(), 2, &[(operation, fault)]).unwrap();
        let record = collected.coverage.iter().find(|record| record.collection == collection).unwrap();
        assert_eq!(record.state == CoverageState::Complete, complete, "{record:?}");
    }
}

/// A list that cannot be used is read one by one, and is whole by that; one that is refused is not asked for again.
#[rstest]
#[case::no_json(Fault::NotJson, true)]
#[case::too_large(Fault::Huge, true)]
#[case::cut_short(Fault::LastPageLost, true)]
#[case::refused(Fault::Forbidden, false)]
#[case::down(Fault::Down, false)]
#[case::throttled(Fault::Throttled, false)]
fn a_list_that_cannot_be_used_is_read_one_by_one(#[case] fault: Fault, #[case] complete: bool) {
    for (operation, collection) in [
        ("listApplicationOwners", "applicationOwners"),
        ("listServicePrincipalOwners", "servicePrincipalOwners"),
        ("listApplicationFederatedCredentials", "federatedCredentials"),
    ] {
        let faults = [(operation, fault.clone())];
        let collected = told_by(&fixture::subject(), 2, &faults).unwrap();
        let record = collected.coverage.iter().find(|record| record.collection == collection).unwrap();
        assert_eq!(record.state == CoverageState::Complete, complete, "{record:?}");
    }
}

/// What only a newer revision asks for is not missing before that is accepted.
#[test]
fn a_permission_of_a_newer_revision_is_not_missing_yet() {
    let newer = ["AuditLog.Read.All", "AgentIdentity.Read.All"];
    assert_eq!(own_at(1, &newer, vec![]).missing, Vec::<String>::new());
    assert_eq!(own_at(2, &newer, vec![]).missing, ["AgentIdentity.Read.All", "AuditLog.Read.All"]);
}

/// A row that can be read but for one thing inside it is kept, and what it belongs to is not whole.
#[rstest]
#[case("listApplications", "passwordCredentials", "applications")]
#[case("listApplications", "keyCredentials", "applications")]
#[case("listServicePrincipals", "passwordCredentials", "servicePrincipals")]
#[case("listServicePrincipals", "keyCredentials", "servicePrincipals")]
#[case("listServicePrincipals", "appRoles", "servicePrincipals")]
#[case("listAgentIdentityBlueprints", "passwordCredentials", "agentIdentityBlueprints")]
#[case("listApplicationOwners", "owners", "applicationOwners")]
#[case("listServicePrincipalOwners", "owners", "servicePrincipalOwners")]
#[case("listApplicationFederatedCredentials", "federatedIdentityCredentials", "federatedCredentials")]
#[case("listCredentialAudits", "targetResources", "directoryAudits")]
fn what_is_broken_inside_a_row_leaves_a_gap(#[case] operation: &str, #[case] field: &str, #[case] collection: &str) {
    let faults = [(operation, Fault::BrokenItem(field.to_owned()))];
    let (collected, rows) = sv0_testkit::checks::collected(&fixture::subject(), 2, &faults).unwrap();
    let record = collected.coverage.iter().find(|record| record.collection == collection).unwrap();
    assert_eq!(record.state, CoverageState::Partial, "{record:?}");
    assert_eq!(record.reason.as_deref(), Some("ResponseMalformed"), "{record:?}");
    assert!(record.items > 0, "{record:?}");
    if field == "owners" {
        // How many there are is not known then, so that nobody is said to have none.
        let manifest = &collected_operations();
        let counted = |row: &Row| match row {
            Row::Node(node) => {
                manifest[usize::from(node.op)] == operation && node.attrs.contains_key(attr::OWNER_COUNT)
            }
            Row::Edge(_) => false,
        };
        assert!(!rows.iter().any(counted), "an owner is counted");
    }
}

/// Ids of the operations, as rows number them.
fn collected_operations() -> Vec<String> {
    fixture::manifest().graph_operations().into_iter().map(|operation| operation.id).collect()
}

/// Without the field that says whether a person may still sign in, a permission is missing.
#[test]
fn accounts_that_do_not_say_whether_they_are_enabled_want_a_permission() {
    let faults = [("listReferencedUsers", Fault::WithoutField("accountEnabled".to_owned()))];
    let collected = told_by(&fixture::subject(), 2, &faults).unwrap();
    let record = collected.coverage.iter().find(|record| record.collection == "ownerAccounts").unwrap();
    assert_eq!(record.reason.as_deref(), Some("PermissionMissing"), "{record:?}");
    assert_eq!(record.permission.as_deref(), Some("User.Read.All"), "{record:?}");
}

/// What is broken in a blueprint is read from the list of applications where it stands there as well.
#[rstest]
#[case::listed_as_an_application_too(true, CoverageState::Complete)]
#[case::a_blueprint_alone(false, CoverageState::Partial)]
fn a_broken_blueprint(#[case] listed: bool, #[case] state: CoverageState) {
    let collected = told_by(&fixture::subject_with_broken_blueprint(listed), 2, &[]).unwrap();
    let of = |name: &str| collected.coverage.iter().find(|record| record.collection == name).unwrap().state;
    assert_eq!((of("agentIdentityBlueprints"), of("applications")), (state, CoverageState::Complete));
}
