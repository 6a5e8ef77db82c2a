//! The estates that come with the server: what they hold, and that long ones are read to the end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use std::collections::BTreeSet;

use common::World;
use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_estate::estate::Estate;
use sv0_estate::generate::generate;
use sv0_estate::keys::SigningKey;

/// Rules that Entra's own data can decide without anything that the customer declares. Of DORM-004 and XSYS-006 there are
/// look-alikes only: the one needs the systems that run automations, the other declared environments.
const RULES: [&str; 20] = [
    "CRED-001", "CRED-002", "CRED-003", "CRED-004", "CRED-005", "CRED-006", "CRED-010", "CRED-012", "CRED-013",
    "DORM-001", "DORM-006", "ORPH-001", "ORPH-002", "ORPH-005", "UNB-001", "UNB-005", "UNB-011", "XSYS-003",
    "XSYS-005", "XSYS-008",
];

async fn serve(text: &str) -> World {
    common::serve(text, SigningKey::generate().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap()
}

async fn token(world: &World, secret: &str) -> String {
    let estate = world.server.estate();
    let client = estate.operator_app_id().unwrap();
    let answer = world.token_changed(estate.tenant_id(), &[("client_id", client), ("client_secret", secret)]).await;
    answer.body["access_token"].as_str().unwrap().to_owned()
}

/// All rows of a list, whatever its version.
async fn rows(world: &World, token: &str, path: &str) -> Vec<Value> {
    let (mut rows, mut url) = (Vec::new(), format!("https://graph.microsoft.com/{path}"));
    loop {
        let answer = world.get_url(token, &url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
        rows.extend(answer.rows().iter().cloned());
        let Some(next) = answer.next() else { return rows };
        next.clone_into(&mut url);
    }
}

#[test]
fn every_rule_has_a_finding_and_a_look_alike() {
    let estate = Estate::parse(include_str!("../estates/full.yaml"), Timestamp::now()).unwrap();
    let expected = estate.expectations();
    let found: BTreeSet<&str> = expected.findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(found, BTreeSet::from(RULES));
    let missed: BTreeSet<&str> = expected.near_misses.iter().map(|miss| miss.rule.as_str()).collect();
    let without: Vec<&&str> = found.difference(&missed).collect();
    assert_eq!(
        without,
        [&"CRED-002", &"CRED-013"],
        "the look-alikes of the one are those of the demonstration, that of the other is this tenant with a policy"
    );
    let both = expected.findings.iter().any(|finding| {
        expected.near_misses.iter().any(|miss| miss.rule == finding.rule && miss.subject == finding.subject)
    });
    assert!(!both, "nothing is both");
}

#[tokio::test]
async fn the_full_estate_has_rows_of_everything() {
    let world = serve(include_str!("../estates/full.yaml")).await;
    let token = token(&world, "full-only-not-a-secret").await;
    for (path, least) in [
        ("v1.0/subscribedSkus", 4),
        ("v1.0/applications?$select=id", 42),
        ("v1.0/roleManagement/directory/roleEligibilityScheduleInstances", 3),
        ("v1.0/roleManagement/directory/roleAssignmentScheduleInstances?$filter=assignmentType eq 'Activated'", 1),
        ("v1.0/oauth2PermissionGrants?$top=999", 3),
        ("v1.0/servicePrincipals/microsoft.graph.agentIdentity?$top=100", 4),
        ("v1.0/applications/microsoft.graph.agentIdentityBlueprint?$top=100", 2),
        ("beta/reports/servicePrincipalSignInActivities", 30),
        ("beta/reports/appCredentialSignInActivities", 30),
        ("v1.0/auditLogs/directoryAudits?$filter=category eq 'ApplicationManagement'", 3),
    ] {
        let found = rows(&world, &token, path).await.len();
        assert!(found >= least, "{path}: {found}");
    }
}

#[tokio::test]
async fn generated_estates_are_read_to_the_end() {
    let text = serde_yaml::to_string(&generate(2_500, 5, "generated~secret")).unwrap();
    let world = serve(&text).await;
    let token = token(&world, "generated~secret").await;
    for (path, count) in [
        ("v1.0/applications?$select=id&$top=999", 2_502),
        ("v1.0/servicePrincipals?$select=id&$top=999", 2_500 + 1_000 + 250 + 3 + 5),
        ("v1.0/servicePrincipals?$filter=servicePrincipalType eq 'ManagedIdentity'&$select=id&$top=300", 1_000),
        ("v1.0/servicePrincipals/microsoft.graph.agentIdentity?$top=100", 5),
    ] {
        let found = rows(&world, &token, path).await;
        let ids: BTreeSet<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!((found.len(), ids.len()), (count, count), "{path}");
    }
    let people = rows(&world, &token, "v1.0/users?$select=id&$top=15").await;
    let ids: Vec<String> = people.iter().take(15).map(|row| format!("'{}'", row["id"].as_str().unwrap())).collect();
    let some = rows(&world, &token, &format!("v1.0/users?$filter=id in ({})&$select=id", ids.join(","))).await;
    assert_eq!(some.len(), 15);
    assert_eq!(json!(world.server.counters().write_attempts), 0);
}
