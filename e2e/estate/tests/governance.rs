//! Graph: groups, agents, eligible roles, delegated grants, flexible federation, activity, audit records, licences.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use common::{Answer, TENANT, World};
use serde_json::{Value, json};
use sv0_estate::keys::SigningKey;

const EVERYTHING: &str = "Application.Read.All, User.Read.All, Organization.Read.All, RoleManagement.Read.Directory, \
                          GroupMember.Read.All, Directory.Read.All, AuditLog.Read.All, AgentIdentity.Read.All, \
                          AgentIdentityBlueprint.Read.All";

const MORE: &str = "
servicePrincipals:
  - {key: mi, displayName: Identity, servicePrincipalType: ManagedIdentity, lastUnattendedSignIn: '2026-03-01T06:30:00Z'}
groups:
  - {key: admins, displayName: Admins, roleAssignable: true, members: [inner, nobody/sp, u01], directoryRoles: [User Administrator], graphPermissions: [Mail.Send]}
  - {key: inner, displayName: Inner, members: [mi, agent, admins]}
agentBlueprints:
  - key: blueprint
    displayName: Blueprint
    created: now-2d
    owners: [u02]
    sponsors: [u01, admins]
    lock: {credentialsWithUsageSign: true}
    passwordCredentials:
      - {displayName: first, start: now-3d, end: now+30d, lastUsed: now-2d, addedBy: u01}
      - {displayName: second, start: now-1d, end: now+30d, addedBy: nobody/sp}
      - {displayName: old, start: now-90d, end: now+30d, addedBy: u01}
    keyCredentials: [{start: now-9d, end: now+9d, thumbprint: 52ed9b5038a47b9e2e2190715cc238359d4f8f73}]
    federatedCredentials:
      - {name: plain, issuer: 'https://issuer.example', subject: one}
      - {name: flexible, issuer: 'https://issuer.example', claimsMatchingExpression: \"claims['sub'] matches 'repo:o/r:*'\"}
    servicePrincipal:
      lastSignIn: now-40d
      lastUnattendedSignIn: now-50d
      keyCredentials: [{start: now-9d, end: now+9d, thumbprint: 52ed9b5038a47b9e2e2190715cc238359d4f8f73, lastUsed: now-8d}]
agentIdentities:
  - {key: agent, displayName: Agent, blueprint: blueprint, owners: [u01], sponsors: [u00], created: now-5d}
  - {key: stray, displayName: Stray, blueprint: 99999999-0000-4000-8000-000000000009}
eligibleRoles:
  - {principal: u01, role: Global Administrator, start: '2026-01-01T00:00:00Z', end: '2027-01-01T00:00:00Z'}
directoryRoleAssignments:
  - {principal: u02, role: Helpdesk Administrator, start: now-1h, end: now+7h, activated: true}
delegatedGrants:
  - {client: crowd/sp, scopes: [User.Read, Group.ReadWrite.All]}
  - {client: crowd/sp, principal: u01, scopes: [Mail.Read]}
";

async fn world(permissions: &str, plans: &str) -> World {
    let issuer = SigningKey::generate().unwrap();
    let text = common::small(&issuer, permissions, 0);
    let text = text.replace("[t.example]}", &format!("[t.example], servicePlans: [{plans}], lapsedPlans: [P2]}}"));
    // The limit of reports is the business of one test.
    let text = text + MORE + "server: {reportRequests: 100}\n";
    common::serve(&text, issuer, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

async fn beta(world: &World, token: &str, path: &str) -> Answer {
    world.get_url(token, &format!("https://graph.microsoft.com/beta/{path}")).await
}

fn id(world: &World, key: &str) -> String {
    world.server.estate().object_id(key).unwrap().to_owned()
}

fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

#[tokio::test]
async fn licences_are_listed_and_open_reports_and_roles() {
    let paths = ["reports/servicePrincipalSignInActivities", "reports/appCredentialSignInActivities"];
    let roles = ["roleEligibilityScheduleInstances", "roleAssignmentScheduleInstances"];
    for (plans, reports, schedules) in [("", false, false), ("P1", true, false), ("P2", true, true)] {
        let world = world(EVERYTHING, plans).await;
        let token = world.token().await;
        for path in paths {
            let answer = beta(&world, &token, path).await;
            let expected =
                if reports { (200, "") } else { (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant") };
            assert_eq!(refusal(&answer), expected, "{plans}: {path}");
        }
        for path in roles {
            let answer = world.get(&token, &format!("roleManagement/directory/{path}")).await;
            let expected = if schedules { (200, "") } else { (400, "AadPremiumLicenseRequired") };
            assert_eq!(refusal(&answer), expected, "{plans}: {path}");
        }
        let skus = world.get(&token, "subscribedSkus?$select=capabilityStatus,servicePlans").await;
        let enabled: Vec<&Value> = skus.rows().iter().filter(|sku| sku["capabilityStatus"] == "Enabled").collect();
        let names = json!(enabled).to_string();
        assert_eq!((names.contains("\"AAD_PREMIUM\""), names.contains("AAD_PREMIUM_P2")), (reports, schedules));
        assert!(skus.rows().iter().any(|sku| sku["capabilityStatus"] == "Suspended"), "what lapsed is still listed");
        assert_eq!(skus.rows()[0].as_object().unwrap().len(), 2);
        assert_eq!(world.get(&token, "subscribedSkus?$top=5").await.status, 400);
    }
}

#[tokio::test]
async fn flexible_federation_is_told_by_beta_alone() {
    let world = world(EVERYTHING, "").await;
    let token = world.token().await;
    let path = format!("applications/{}/federatedIdentityCredentials", id(&world, "blueprint"));
    let plain = world.get(&token, &path).await;
    let flexible = plain.rows().iter().find(|row| row["name"] == "flexible").unwrap();
    assert!(flexible["subject"].is_null() && flexible.get("claimsMatchingExpression").is_none());
    assert_eq!(flexible["audiences"], json!(["api://AzureADTokenExchange"]));
    let full = beta(&world, &token, &path).await;
    assert!(full.body["@odata.context"].as_str().unwrap().starts_with("https://graph.microsoft.com/beta/$metadata#"));
    let flexible = full.rows().iter().find(|row| row["name"] == "flexible").unwrap();
    let expression = json!({"value": "claims['sub'] matches 'repo:o/r:*'", "languageVersion": 1});
    assert_eq!((&flexible["subject"], &flexible["claimsMatchingExpression"]), (&Value::Null, &expression));
    let usual = full.rows().iter().find(|row| row["name"] == "plain").unwrap();
    assert_eq!((&usual["subject"], &usual["claimsMatchingExpression"]), (&json!("one"), &Value::Null));
    assert_eq!(beta(&world, &token, "applications").await.status, 400, "nothing else is simulated of beta");
    assert_eq!(world.get(&token, "reports/servicePrincipalSignInActivities").await.status, 400);
    assert_eq!(world.get_url(&token, "https://graph.microsoft.com/v2.0/applications").await.status, 400);
}

#[tokio::test]
async fn a_batch_goes_to_one_version() {
    let world = world(EVERYTHING, "").await;
    let token = world.token().await;
    let path = format!("/applications/{}/federatedIdentityCredentials", id(&world, "blueprint"));
    let requests = json!({"requests": [{"id": "1", "method": "GET", "url": path}]});
    for (version, told) in [("v1.0", false), ("beta", true)] {
        let url = format!("https://graph.microsoft.com/{version}/$batch");
        let answer = common::read(world.http.post(url).bearer_auth(&token).json(&requests)).await;
        let row = &answer.body["responses"][0]["body"]["value"][1];
        assert_eq!(row.get("claimsMatchingExpression").is_some(), told, "{version}: {row}");
    }
    let counted = world.server.counters().graph_requests;
    assert_eq!((counted["$batch"], counted["beta/$batch"]), (1, 1));
    assert_eq!(counted["beta/applications/federatedIdentityCredentials"], 1);
}

#[tokio::test]
async fn eligible_and_activated_roles() {
    let world = world(EVERYTHING, "P2").await;
    let token = world.token().await;
    let eligible = world.get(&token, "roleManagement/directory/roleEligibilityScheduleInstances").await;
    let row = &eligible.rows()[0];
    assert_eq!(row["principalId"], id(&world, "u01"));
    assert_eq!(
        (&row["startDateTime"], &row["endDateTime"], &row["memberType"], &row["directoryScopeId"]),
        (&json!("2026-01-01T00:00:00Z"), &json!("2027-01-01T00:00:00Z"), &json!("Direct"), &json!("/"))
    );
    let path = "roleManagement/directory/roleAssignmentScheduleInstances";
    let all = world.get(&token, path).await;
    assert_eq!(all.rows().len(), 3);
    let activated = world.get(&token, &format!("{path}?$filter=assignmentType eq 'Activated'")).await;
    let [row] = activated.rows() else { panic!("{}", activated.body) };
    assert!(row["endDateTime"].is_string());
    let assignments = world.get(&token, "roleManagement/directory/roleAssignments").await;
    let origin = assignments.rows().iter().find(|held| held["id"] == row["roleAssignmentOriginId"]).unwrap();
    assert_eq!((&origin["principalId"], &row["assignmentType"]), (&json!(id(&world, "u02")), &json!("Activated")));
    let group = world.get(&token, "roleManagement/directory/roleAssignments?$expand=principal($select=id)").await;
    let of_group = group.rows().iter().find(|held| held["principalId"] == id(&world, "admins")).unwrap();
    assert_eq!(of_group["principal"]["@odata.type"], "#microsoft.graph.group");
}

#[tokio::test]
async fn delegated_grants() {
    let world = world(EVERYTHING, "").await;
    let token = world.token().await;
    let all = world.get(&token, "oauth2PermissionGrants?$top=999").await;
    assert_eq!((all.rows().len(), &all.headers["x-ms-resource-unit"]), (2, &"2".parse().unwrap()));
    let everybody = world.get(&token, "oauth2PermissionGrants?$filter=consentType eq 'AllPrincipals'").await;
    let [row] = everybody.rows() else { panic!("{}", everybody.body) };
    assert_eq!(
        (&row["scope"], &row["principalId"], &row["clientId"]),
        (&json!("User.Read Group.ReadWrite.All"), &Value::Null, &json!(id(&world, "crowd/sp")))
    );
    let one = world.get(&token, "oauth2PermissionGrants?$filter=consentType eq 'Principal'").await;
    assert_eq!(one.rows()[0]["principalId"], id(&world, "u01"));
}

#[tokio::test]
async fn groups_and_whom_they_hold() {
    let world = world(EVERYTHING, "").await;
    let token = world.token().await;
    let group = id(&world, "admins");
    let one = world.get(&token, &format!("groups/{group}?$select=id,displayName,isAssignableToRole")).await;
    assert_eq!((&one.body["displayName"], &one.body["isAssignableToRole"]), (&json!("Admins"), &json!(true)));
    let inner = world.get(&token, &format!("groups/{}?$select=isAssignableToRole", id(&world, "inner"))).await;
    assert!(inner.body["isAssignableToRole"].is_null());
    let path = format!("groups/{group}/transitiveMembers/microsoft.graph.servicePrincipal?$select=id");
    for plain in [path.clone(), format!("{path}&$count=true")] {
        let answer = world.get(&token, &plain).await;
        assert_eq!(refusal(&answer), (400, "Request_UnsupportedQuery"), "{plain}");
    }
    assert_eq!(world.eventual(&token, &path).await.status, 400, "the header alone is not enough");
    let members = world.eventual(&token, &format!("{path}&$count=true&$top=999")).await;
    let mut found: Vec<&str> = members.rows().iter().map(|row| row["id"].as_str().unwrap()).collect();
    let mut expected = [id(&world, "mi"), id(&world, "agent"), id(&world, "nobody/sp")];
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "through the inner group too, no people, and no end in a circle");
    assert_eq!(members.body["@odata.count"], 3);
    let grants =
        world.get(&token, &format!("servicePrincipals/{}/appRoleAssignedTo", id(&world, "microsoft-graph"))).await;
    assert!(grants.rows().iter().any(|row| row["principalType"] == "Group" && row["principalId"] == group));
    assert_eq!(world.get(&token, "groups/00000000-0000-4000-8000-000000000000").await.status, 404);
}

#[tokio::test]
async fn agents_blueprints_and_sponsors() {
    let world = world(EVERYTHING, "").await;
    let token = world.token().await;
    let path = "servicePrincipals/microsoft.graph.agentIdentity?$top=100";
    let agents = world.get(&token, path).await;
    let agent = agents.rows().iter().find(|row| row["displayName"] == "Agent").unwrap();
    let blueprint_app = world.get(&token, &format!("applications/{}", id(&world, "blueprint"))).await.body;
    assert_eq!(
        (&agent["servicePrincipalType"], &agent["agentIdentityBlueprintId"], agents.rows().len()),
        (&json!("ServiceIdentity"), &blueprint_app["appId"], 2)
    );
    let stray = agents.rows().iter().find(|row| row["displayName"] == "Stray").unwrap();
    assert_eq!(stray["agentIdentityBlueprintId"], "99999999-0000-4000-8000-000000000009");
    let too_many = world.get(&token, &path.replace("100", "101")).await;
    assert_eq!(refusal(&too_many), (400, "Request_BadRequest"));
    let blueprints = world.get(&token, "applications/microsoft.graph.agentIdentityBlueprint?$top=100").await;
    let [blueprint] = blueprints.rows() else { panic!("{}", blueprints.body) };
    assert_eq!(blueprint["displayName"], "Blueprint");
    let lock = &blueprint["servicePrincipalLockConfiguration"];
    assert_eq!((&lock["isEnabled"], &lock["allProperties"]), (&json!(true), &json!(false)));
    let listed = world.get(&token, "applications?$select=id").await;
    let types: Vec<&Value> = listed.rows().iter().filter_map(|row| row.get("@odata.type")).collect();
    assert_eq!(types, ["#microsoft.graph.agentIdentityBlueprint"]);
    let sponsors = async |path: String| {
        let answer = world.get(&token, &format!("{path}/sponsors?$select=id")).await;
        let row =
            |row: &Value| (row["@odata.type"].as_str().unwrap().to_owned(), row["id"].as_str().unwrap().to_owned());
        (answer.status, answer.rows().iter().map(row).collect::<Vec<_>>())
    };
    let of_agent = format!("servicePrincipals/{}/microsoft.graph.agentIdentity", id(&world, "agent"));
    assert_eq!(sponsors(of_agent).await, (200, vec![("#microsoft.graph.user".to_owned(), id(&world, "u00"))]));
    let of_blueprint = format!("applications/{}/microsoft.graph.agentIdentityBlueprint", id(&world, "blueprint"));
    let both = [("#microsoft.graph.user", "u01"), ("#microsoft.graph.group", "admins")];
    let expected = both.map(|(kind, key)| (kind.to_owned(), id(&world, key)));
    assert_eq!(sponsors(of_blueprint).await, (200, expected.to_vec()));
    let other = format!("servicePrincipals/{}/microsoft.graph.agentIdentity", id(&world, "crowd/sp"));
    assert_eq!(sponsors(other).await.0, 404, "no agent");
    let owners = world.get(&token, &format!("servicePrincipals/{}/owners?$select=id", id(&world, "agent"))).await;
    assert_eq!(owners.rows()[0]["id"], id(&world, "u01"));
}

#[tokio::test]
async fn sign_ins_and_uses_of_credentials() {
    let world = world(EVERYTHING, "P1").await;
    let token = world.token().await;
    let report = beta(&world, &token, "reports/servicePrincipalSignInActivities").await;
    assert_eq!(report.rows().len(), 2, "no row where nothing was recorded");
    let estate = world.server.estate();
    let identity = report.rows().iter().find(|row| row["delegatedClientSignInActivity"].is_null()).unwrap();
    let when = &identity["applicationAuthenticationClientSignInActivity"]["lastSignInDateTime"];
    assert_eq!(when, "2026-02-28T22:30:00-8:00", "an offset of one digit");
    assert_eq!(identity["lastSignInActivity"]["lastSignInDateTime"], "2026-03-01T06:30:00Z");
    let uses = beta(&world, &token, "reports/appCredentialSignInActivities?$top=1").await;
    assert!(uses.next().unwrap().starts_with("https://graph.microsoft.com/beta/reports/appCredential"));
    let second = world.get_url(&token, uses.next().unwrap()).await;
    let rows = [uses.rows(), second.rows()].concat();
    let origins: Vec<&Value> = rows.iter().map(|row| &row["credentialOrigin"]).collect();
    assert_eq!(origins, ["application", "servicePrincipal"]);
    let app = estate.object_id("blueprint").unwrap();
    assert_eq!((&rows[0]["appObjectId"], &rows[0]["keyType"]), (&json!(app), &json!("clientSecret")));
    let held = world.get(&token, &format!("applications/{app}?$select=passwordCredentials,keyCredentials")).await.body;
    assert_eq!(rows[0]["keyId"], held["passwordCredentials"][0]["keyId"]);
    assert!(rows[0]["signInActivity"]["lastSignInDateTime"].as_str().unwrap().ends_with("-8:00"));
    assert_eq!(held["keyCredentials"][0]["customKeyIdentifier"], "52ED9B5038A47B9E2E2190715CC238359D4F8F73");
    let sp = world.get(&token, &format!("servicePrincipals/{}", id(&world, "blueprint/sp"))).await.body;
    assert_eq!(sp["keyCredentials"][0]["customKeyIdentifier"], "Uu2bUDike54uIZBxXMI4NZ1Pj3M=", "base64 here");
}

#[tokio::test]
async fn who_added_a_secret() {
    let world = world(EVERYTHING, "P1").await;
    let token = world.token().await;
    let get = async |filter: &str| world.get(&token, &format!("auditLogs/directoryAudits?$filter={filter}")).await;
    let all = get("loggedByService eq 'Core Directory' and category eq 'ApplicationManagement'").await;
    assert_eq!(all.rows().len(), 3, "one registered, two secrets; what is older than 30 days is gone");
    let times: Vec<&str> = all.rows().iter().map(|row| row["activityDateTime"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest first");
    let activity = "Update application – Certificates and secrets management";
    let updates = get(&format!("activityDisplayName eq '{activity}'")).await;
    let [second, first] = updates.rows() else { panic!("{}", updates.body) };
    assert_eq!(
        (&first["initiatedBy"]["user"]["id"], &first["initiatedBy"]["app"]),
        (&json!(id(&world, "u01")), &Value::Null)
    );
    assert_eq!(second["initiatedBy"]["app"]["servicePrincipalId"], id(&world, "nobody/sp"));
    let held = world.get(&token, &format!("applications/{}", id(&world, "blueprint"))).await.body;
    let key = |at: usize| {
        format!("[KeyIdentifier={},KeyType=Password", held["passwordCredentials"][at]["keyId"].as_str().unwrap())
    };
    let change = &second["targetResources"][0]["modifiedProperties"][0];
    let (old, new) = (change["oldValue"].as_str().unwrap(), change["newValue"].as_str().unwrap());
    assert_eq!(
        (&change["displayName"], &second["targetResources"][0]["type"]),
        (&json!("KeyDescription"), &json!("Application"))
    );
    assert!(new.contains(&key(1)) && !old.contains(&key(1)) && old.contains(&key(0)) && new.contains(&key(0)));
    let since = times[1].replace(".7215374", "");
    assert_eq!(get(&format!("activityDateTime ge {since}")).await.rows().len(), 2);
    assert_eq!(get(&format!("activityDateTime le {since} and activityDateTime ge {since}")).await.rows().len(), 1);
    let target = id(&world, "blueprint");
    assert_eq!(get(&format!("targetResources/any(t:t/id eq '{target}')")).await.rows().len(), 3);
    assert_eq!(get(&format!("initiatedBy/user/id eq '{}'", id(&world, "u01"))).await.rows().len(), 1);
    for bad in ["correlationId eq 'a'", "activityDateTime ge 'then'", "targetResources/any(t:t/type eq 'a')"] {
        assert_eq!(get(bad).await.status, 400, "{bad}");
    }
    let oldest = world.get(&token, "auditLogs/directoryAudits?$orderby=activityDateTime&$top=1").await;
    assert_eq!(oldest.rows()[0]["activityDateTime"], times[2]);
    assert_eq!(world.get(&token, "applications?$orderby=activityDateTime").await.status, 400);
}

#[tokio::test]
async fn the_free_edition_keeps_records_for_a_week() {
    let issuer = SigningKey::generate().unwrap();
    let text = common::small(&issuer, EVERYTHING, 0)
        .replace("start: now-10d, end: now+10d", "start: now-10d, end: now+10d, addedBy: u01");
    for (plans, kept) in [("", 0), ("P1", 1)] {
        let text = text.replace("[t.example]}", &format!("[t.example], servicePlans: [{plans}]}}"));
        let issuer = SigningKey::generate().unwrap();
        let world = common::serve(&text, issuer, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let token = world.token().await;
        assert_eq!(world.get(&token, "auditLogs/directoryAudits").await.rows().len(), kept);
    }
}

#[tokio::test]
async fn reports_have_a_limit_of_their_own() {
    let issuer = SigningKey::generate().unwrap();
    let text = common::small(&issuer, EVERYTHING, 0).replace("[t.example]}", "[t.example], servicePlans: [P1]}");
    let world = common::serve(&text, issuer, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let token = world.token().await;
    let mut statuses = Vec::new();
    for path in ["reports/servicePrincipalSignInActivities", "reports/appCredentialSignInActivities"].repeat(3) {
        let answer = beta(&world, &token, path).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        }
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    assert_eq!(world.get(&token, "auditLogs/directoryAudits").await.status, 429, "audit records share it");
    assert_eq!(world.get(&token, "applications").await.status, 200, "and nothing else does");
}

#[tokio::test]
async fn each_route_needs_its_permission() {
    let world = world("Application.Read.All, User.Read.All", "P2").await;
    let token = world.token().await;
    let own = |path: &str| path.replace("GROUP", &id(&world, "admins")).replace("AGENT", &id(&world, "agent"));
    for (path, permission) in [
        ("v1.0/subscribedSkus", "LicenseAssignment.Read.All"),
        ("v1.0/roleManagement/directory/roleEligibilityScheduleInstances", "RoleEligibilitySchedule.Read.Directory"),
        ("v1.0/roleManagement/directory/roleAssignmentScheduleInstances", "RoleAssignmentSchedule.Read.Directory"),
        ("v1.0/oauth2PermissionGrants", "Directory.Read.All"),
        ("v1.0/servicePrincipals/microsoft.graph.agentIdentity", "AgentIdentity.Read.All"),
        ("v1.0/servicePrincipals/AGENT/microsoft.graph.agentIdentity/sponsors", "AgentIdentity.Read.All"),
        ("v1.0/applications/microsoft.graph.agentIdentityBlueprint", "AgentIdentityBlueprint.Read.All"),
        ("v1.0/groups/GROUP", "GroupMember.Read.All"),
        ("beta/reports/servicePrincipalSignInActivities", "AuditLog.Read.All"),
        ("beta/reports/appCredentialSignInActivities", "AuditLog.Read.All"),
        ("v1.0/auditLogs/directoryAudits", "AuditLog.Read.All"),
        ("v1.0/policies/defaultAppManagementPolicy", "Policy.Read.All"),
        ("v1.0/policies/appManagementPolicies", "Policy.Read.All"),
    ] {
        let url = format!("https://graph.microsoft.com/{}", own(path));
        let refused = world.get_url(&token, &url).await;
        assert_eq!(refusal(&refused), (403, "Authorization_RequestDenied"), "{path}");
        assert_eq!(world.admin("/mutate", &json!({"grantPermission": permission})).await, "changed\n");
        let fresh = world.token().await;
        assert_eq!(world.get_url(&fresh, &url).await.status, 200, "{path} with {permission}");
        world.admin("/mutate", &json!({"revokePermission": permission})).await;
    }
    let graph =
        world.get(&token, "servicePrincipals(appId='00000003-0000-0000-c000-000000000000')?$select=appRoles").await;
    let roles = graph.body["appRoles"].to_string();
    for name in
        ["AgentIdentity.Read.All", "AgentIdentityBlueprint.Read.All", "AgentIdentityBlueprintPrincipal.Read.All"]
    {
        assert!(roles.contains(&format!("\"{name}\"")), "{name} is found by name");
    }
    assert_eq!(world.server.estate().tenant_id(), TENANT);
}
