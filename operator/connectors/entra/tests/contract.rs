//! The contract of connectors (docs/connector-contract.md), run on this one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod fixture;

use rstest::rstest;
use sv0_testkit::Fault;

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

/// The end of the scan's own secret is told only when it is plain which secret was used: the scan uses one, and one lives.
#[rstest]
#[case::one(true, &["2026-06-01T00:00:00Z"], Some("2026-06-01T00:00:00Z"))]
#[case::one_that_lives(true, &["2025-06-01T00:00:00Z", "2026-07-01T00:00:00Z"], Some("2026-07-01T00:00:00Z"))]
#[case::two_that_live(true, &["2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"], None)]
#[case::none(true, &[], None)]
#[case::another_way_to_sign_in(false, &["2026-06-01T00:00:00Z"], None)]
fn the_end_of_the_scans_own_secret(#[case] secret: bool, #[case] ends: &[&str], #[case] told: Option<&str>) {
    let subject = fixture::subject_with(|config| config.uses_client_secret = secret, fixture::own_application(ends));
    let collected = sv0_testkit::checks::collected(&subject, 2, &[]).unwrap();
    assert_eq!(collected.credential_expires_at, told.map(|end| end.parse().unwrap()));
}

/// A newer revision is told of while something of it was not accepted, and not longer.
#[rstest]
#[case::the_first(1, Some(2))]
#[case::the_newest(2, None)]
fn a_newer_revision_is_told_of(#[case] accepted: u32, #[case] told: Option<u32>) {
    let collected = sv0_testkit::checks::collected(&fixture::subject(), accepted, &[]).unwrap();
    assert_eq!(collected.pending_revision, told);
}

/// A permission that was refused is missing; one that belongs to something optional is not.
#[test]
fn what_is_optional_is_never_missing() {
    let refused = [("listDelegatedGrants", Fault::Forbidden), ("listDirectoryRoleAssignments", Fault::Forbidden)];
    let collected = sv0_testkit::checks::collected(&fixture::subject(), 2, &refused).unwrap();
    let of = |collection: &str| collected.coverage.iter().find(|record| record.collection == collection).unwrap();
    assert_eq!(of("delegatedGrants").permission.as_deref(), Some("Directory.Read.All"));
    assert_eq!(collected.permissions_missing, ["RoleManagement.Read.Directory"]);
    assert!(collected.add_ons.contains(&"Directory.Read.All".to_owned()), "{:?}", collected.add_ons);

    let collected = sv0_testkit::checks::collected(&fixture::subject(), 2, &[]).unwrap();
    assert_eq!(collected.permissions_missing, Vec::<String>::new());
}

/// A vendor's cloud without sign-in reports is not asked for any, and that is told of both collections.
#[test]
fn reports_that_the_cloud_lacks_are_told_so() {
    let own = fixture::own_application(&[]);
    let subject = fixture::subject_with(|config| config.has_sign_in_reports = false, own);
    let collected = sv0_testkit::checks::collected(&subject, 2, &[]).unwrap();
    for collection in ["servicePrincipalActivity", "credentialActivity"] {
        let record = collected.coverage.iter().find(|record| record.collection == collection).unwrap();
        assert_eq!((record.pages, record.items), (0, 0), "{collection}");
        assert_eq!(record.reason.as_deref(), Some("NotInThisCloud"), "{collection}");
    }
}
