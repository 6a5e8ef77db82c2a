//! Graph: paging, selection, expansion, permissions, batches, throttling, lies.

mod common;

use common::{ALL, TENANT, world};
use serde_json::{Value, json};

#[tokio::test]
async fn pages_are_complete_and_opaque() {
    let world = world(ALL, 40).await;
    let token = world.token().await;
    let (rows, pages) = world.all(&token, "applications?$select=id,appId&$top=10").await;
    assert_eq!((rows.len(), pages), (43, 5));
    let mut ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 43);
    assert_eq!(rows[0].as_object().unwrap().len(), 2, "$select selects");
    let first = world.get(&token, "applications?$top=10").await;
    let next = first.next().unwrap().to_owned();
    assert!(next.starts_with("https://graph.microsoft.com/v1.0/applications?"));
    let moved = next.replace("applications", "servicePrincipals");
    assert_eq!(world.get_url(&token, &moved).await.status, 400, "a token belongs to its list");
    world.admin("/mutate", &json!({"expirePageTokens": true})).await;
    let late = world.get_url(&token, &next).await;
    assert_eq!((late.status, late.code()), (400, "Directory_ExpiredPageToken"));
}

#[tokio::test]
async fn options_are_read_strictly() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    for path in [
        "applications?$top=1000",
        "applications?$top=0",
        "applications?foo=1",
        "applications?$orderby=id",
        "applications?$select=nothing",
        "applications?$expand=owners,x",
        "applications?$filter=owners/$count eq 0",
        "applications?$count=true",
        "users?$filter=contains(id,'a')",
        "nothing",
        "users?$filter=mail eq 'a'",
        "servicePrincipals?$expand=members",
    ] {
        assert_eq!(world.get(&token, path).await.status, 400, "{path}");
    }
    let many: Vec<String> = (0..16).map(|index| format!("'{index}'")).collect();
    assert_eq!(world.get(&token, &format!("users?$filter=id in ({})", many.join(","))).await.status, 400);
    let ownerless =
        world.eventual(&token, "applications?$filter=owners/$count eq 0&$count=true&$select=id,displayName").await;
    assert_eq!(ownerless.body["@odata.count"], 2);
    assert!(ownerless.rows().iter().any(|row| row["displayName"] == "Nobody"));
    let both = world.eventual(&token, "applications?$count=true&$expand=owners").await;
    assert_eq!(both.status, 400);
    assert_eq!(
        world
            .http
            .delete("https://graph.microsoft.com/v1.0/applications/x")
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    assert_eq!(world.server.counters().write_attempts, 1);
}

#[tokio::test]
async fn expansion_ends_at_twenty_without_a_word() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let list = world
        .get(
            &token,
            "applications?$select=id&$expand=owners($select=id,userPrincipalName,accountEnabled,userType)&$top=250",
        )
        .await;
    let crowd = list.rows().iter().find(|row| row["owners"].as_array().unwrap().len() > 1).unwrap();
    assert_eq!(crowd["owners"].as_array().unwrap().len(), 20);
    assert!(crowd.get("owners@odata.nextLink").is_none());
    let owner = crowd["owners"].as_array().unwrap().iter().find(|owner| owner["accountEnabled"] == false).unwrap();
    assert_eq!((&owner["@odata.type"], &owner["userType"]), (&json!("#microsoft.graph.user"), &json!("Member")));
    let id = crowd["id"].as_str().unwrap();
    let (all, _) = world.all(&token, &format!("applications/{id}/owners?$select=id&$top=10")).await;
    assert_eq!(all.len(), 23);
}

#[tokio::test]
async fn without_the_right_people_are_shadows() {
    let world = world("Application.Read.All", 0).await;
    let token = world.token().await;
    let list = world
        .get(&token, "servicePrincipals?$select=id&$expand=owners($select=id,userPrincipalName,accountEnabled)")
        .await;
    let owner = list.rows().iter().find_map(|row| row["owners"].get(0)).unwrap();
    assert!(owner["id"].is_string() && owner["accountEnabled"].is_null() && owner["userPrincipalName"].is_null());
    for path in [
        "users?$filter=id in ('a')",
        "organization",
        "roleManagement/directory/roleAssignments",
        "directory/deletedItems/microsoft.graph.user",
    ] {
        let answer = world.get(&token, path).await;
        assert_eq!((answer.status, answer.code()), (403, "Authorization_RequestDenied"), "{path}");
        assert!(answer.body["error"]["innerError"]["request-id"].is_string());
        assert!(answer.headers.contains_key("date") && answer.headers.contains_key("request-id"));
    }
    world.admin("/mutate", &json!({"grantPermission": "Organization.Read.All"})).await;
    assert_eq!(world.get(&token, "organization").await.status, 403, "a token keeps the rights it was issued with");
    let fresh = world.token().await;
    assert_eq!(world.get(&fresh, "organization").await.rows()[0]["id"], TENANT);
    world.admin("/mutate", &json!({"revokePermission": "Application.Read.All"})).await;
    let stripped = world.token().await;
    assert_eq!(world.get(&stripped, "applications").await.status, 403);
}

#[tokio::test]
async fn the_self_check_and_the_grants() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let own = world
        .get(&token, &format!("servicePrincipals(appId='{}')?$select=id,appId,accountEnabled", common::CLIENT))
        .await;
    let id = own.body["id"].as_str().unwrap();
    let grants = world.get(&token, &format!("servicePrincipals/{id}/appRoleAssignments")).await;
    assert_eq!(grants.rows().len(), 4);
    let graph = grants.rows()[0]["resourceId"].as_str().unwrap();
    let (all, _) = world.all(&token, &format!("servicePrincipals/{graph}/appRoleAssignedTo?$top=999")).await;
    assert_eq!(all.len(), 4);
    let names: Vec<&Value> = all.iter().map(|row| &row["principalType"]).collect();
    assert!(names.iter().all(|name| **name == "ServicePrincipal"));
    let roles = world.get(&token, "roleManagement/directory/roleAssignments?$top=999").await;
    assert_eq!(roles.rows()[0]["roleDefinitionId"], "62e90394-69f5-4237-9190-012177145e10");
    let expanded = world.get(&token, "roleManagement/directory/roleAssignments?$expand=principal($select=id)").await;
    assert_eq!(expanded.rows()[0]["principal"]["@odata.type"], "#microsoft.graph.servicePrincipal");
    let people = world.get(&token, "users").await;
    assert!(people.rows()[0].get("accountEnabled").is_none(), "not among the default properties");
    let missing = world.get(&token, "applications/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((missing.status, missing.code()), (404, "Request_ResourceNotFound"));
}

#[tokio::test]
async fn nothing_secret_is_ever_answered() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    for path in ["applications", "applications?$select=id,passwordCredentials,keyCredentials", "servicePrincipals"] {
        let text = world.get(&token, path).await.body.to_string();
        assert!(text.contains("passwordCredentials") && !text.contains(common::SECRET), "{path}");
    }
}

#[tokio::test]
async fn batches_judge_each_part_for_itself() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let fault = json!({"fault": {"route": "users", "status": 429, "times": 1, "retryAfter": 11}});
    world.admin("/mutate", &fault).await;
    let urls = ["/applications?$select=id", "/users?$select=id", "/nothing", "/servicePrincipals(appId='x')"]
        .map(str::to_owned);
    let answer = world.batch(&token, &urls).await;
    assert_eq!(answer.status, 200);
    let parts = answer.body["responses"].as_array().unwrap();
    let part = |id: &str| parts.iter().find(|part| part["id"] == id).unwrap();
    assert_ne!(parts.iter().map(|part| part["id"].clone()).collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert_eq!(
        (&part("0")["status"], &part("2")["status"], &part("3")["status"]),
        (&json!(200), &json!(400), &json!(404))
    );
    assert_eq!((&part("1")["status"], &part("1")["headers"]["Retry-After"]), (&json!(429), &json!("11")));
    assert_eq!(part("0")["body"]["value"].as_array().unwrap().len(), 3);
    let many: Vec<String> = (0..21).map(|_| "/users".to_owned()).collect();
    assert_eq!(world.batch(&token, &many).await.status, 400);
    assert_eq!(world.batch(&token, &["/$batch".to_owned()]).await.body["responses"][0]["status"], 400);
}

#[tokio::test]
async fn resource_units_run_out() {
    let issuer = sv0_estate::keys::SigningKey::generate().unwrap();
    // A window so long that nothing flows back while the test runs.
    let text = common::small(&issuer, ALL, 0) + "server: {resourceUnits: 10, throttleWindowSeconds: 100000}\n";
    let world = common::serve(&text, issuer, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let token = world.token().await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let answer = world.get(&token, "applications").await;
        seen.push((answer.status, answer.headers.contains_key("x-ms-throttle-limit-percentage")));
        if answer.status == 429 {
            assert_eq!(answer.code(), "TooManyRequests");
            assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
        } else {
            assert_eq!(answer.headers["x-ms-resource-unit"], "2");
        }
    }
    assert_eq!(seen[3..], [(200, false), (200, true), (429, false)]);
    let parts = world.batch(&token, &["/applications".to_owned()]).await;
    assert_eq!(parts.body["responses"][0]["status"], 429, "a batch is no way around");
}

#[tokio::test]
async fn lost_and_halved_lists() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    world.admin("/mutate", &json!({"dropLastPage": "applications"})).await;
    let first = world.get(&token, "applications?$top=999").await;
    let next = first.next().expect("a second page").to_owned();
    assert_eq!(world.get_url(&token, &next).await.status, 503);
    assert_eq!(world.get_url(&token, &next).await.status, 503, "again and again");
    world.server.clear_faults();
    world.admin("/mutate", &json!({"loseLastPage": "applications"})).await;
    let silent = world.eventual(&token, "applications?$count=true").await;
    assert_eq!((silent.rows().len(), silent.next(), &silent.body["@odata.count"]), (2, None, &json!(3)));
    world.server.clear_faults();
    world.admin("/mutate", &json!({"halve": "users"})).await;
    assert_eq!(world.get(&token, "users").await.rows().len(), 11);
    world.admin("/clear-faults", &json!(null)).await;
    assert_eq!(world.get(&token, "users").await.rows().len(), 23);
}

#[tokio::test]
async fn changes_of_people() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    world.admin("/mutate", &json!({"user": {"id": "u01", "accountEnabled": false}})).await;
    let id = world.server.estate().object_id("u01").unwrap().to_owned();
    let path = format!("users?$filter=id in ('{id}')&$select=id,accountEnabled");
    assert_eq!(world.get(&token, &path).await.rows()[0]["accountEnabled"], false);
    world.admin("/mutate", &json!({"user": {"id": id, "deleted": true}})).await;
    assert!(world.get(&token, &path).await.rows().is_empty());
    let bin = world
        .get(&token, "directory/deletedItems/microsoft.graph.user?$select=id,userPrincipalName,deletedDateTime")
        .await;
    assert_eq!(bin.rows()[0]["userPrincipalName"], format!("{}u01@t.example", id.replace('-', "")));
    let binned = world.get(&token, &format!("directory/deletedItems/{id}?$select=id,deletedDateTime")).await;
    assert_eq!((&binned.body["@odata.type"], &binned.body["id"]), (&json!("#microsoft.graph.user"), &json!(id)));
    let alive = world.server.estate().object_id("u02").unwrap().to_owned();
    assert_eq!(world.get(&token, &format!("directory/deletedItems/{alive}")).await.status, 404);
    assert!(world.admin("/mutate", &json!({"user": {"id": "who"}})).await.contains("no user `who`"));
    assert!(world.admin("/mutate", &json!({"tpyo": 1})).await.contains("tpyo"));
}

#[tokio::test]
async fn lies() {
    let world = world(ALL, 5).await;
    let token = world.token().await;
    let lie = async |hostile: &str| {
        world.server.clear_faults();
        assert_eq!(world.admin("/mutate", &json!({"hostile": hostile})).await, "changed\n");
    };
    lie("nextlink-other-origin").await;
    assert!(world.get(&token, "applications").await.next().unwrap().contains("attacker.example"));
    lie("repeat-cursor").await;
    let first = world.get(&token, "applications?$top=2").await.next().unwrap().to_owned();
    assert_eq!(world.get_url(&token, &first).await.next().unwrap(), first);
    lie("endless-pages").await;
    let one = world.get(&token, "applications?$top=2").await.next().unwrap().to_owned();
    let two = world.get_url(&token, &one).await;
    assert!(two.status == 200 && two.next().unwrap() != one);
    lie("foreign-tenant").await;
    assert_ne!(world.get(&token, "organization").await.rows()[0]["id"], TENANT);
    lie("truncated-body").await;
    assert!(world.get(&token, "applications").await.body.is_null());
    lie("deep-json").await;
    let deep =
        world.http.get("https://graph.microsoft.com/v1.0/applications").bearer_auth(&token).send().await.unwrap();
    assert!(deep.text().await.unwrap().starts_with("{\"value\":[[[["));
    lie("huge-body").await;
    let mut huge =
        world.http.get("https://graph.microsoft.com/v1.0/applications").bearer_auth(&token).send().await.unwrap();
    let mut seen = 0;
    while seen < 4_000_000 {
        seen += huge.chunk().await.unwrap().expect("more").len();
    }
    drop(huge);
    world.server.clear_faults();
    world.admin("/mutate", &json!({"redirect": "attacker.example"})).await;
    let away = world.get(&token, "applications").await;
    assert_eq!(
        (away.status, away.headers["location"].to_str().unwrap()),
        (302, "https://attacker.example/v1.0/applications")
    );
}

#[tokio::test]
async fn control_metadata_and_strangers() {
    let world = world(ALL, 0).await;
    let admin = format!("http://{}", world.server.admin);
    let metadata = format!(
        "http://{}/metadata/identity/oauth2/token?resource=https%3A%2F%2Fgraph.microsoft.com",
        world.server.metadata.unwrap()
    );
    assert_eq!(common::read(world.http.get(&metadata)).await.status, 400);
    let offered = common::read(world.http.get(&metadata).header("Metadata", "true")).await;
    assert_eq!(offered.body["expires_in"], "86399");
    let stranger =
        world.http.get("https://graph.microsoft.com/v1.0/x").header("host", "example.org").send().await.unwrap();
    assert_eq!(stranger.status(), 404);
    let counters = common::read(world.http.get(format!("{admin}/counters"))).await.body;
    assert_eq!((&counters["metadataRequests"], &counters["otherHosts"]), (&json!(2), &json!(1)));
    let ca = world.http.get(format!("{admin}/ca")).send().await.unwrap().text().await.unwrap();
    assert_eq!(ca, world.server.ca_pem());
    world.admin("/reset-counters", &json!(null)).await;
    assert_eq!(world.server.counters(), sv0_estate::Counters::default());
    let bad = world.http.put(format!("{admin}/estate")).body("tenant: {}").send().await.unwrap();
    assert_eq!(bad.status(), 400);
    let demo = include_str!("../estates/demo.yaml");
    let good = world.http.put(format!("{admin}/estate")).body(demo).send().await.unwrap();
    assert_eq!(good.status(), 200);
    let expected = common::read(world.http.get(format!("{admin}/expectations"))).await.body;
    let written: serde_yaml::Value = serde_yaml::from_str(demo).unwrap();
    let written = written["expect"]["findings"].as_sequence().unwrap().len();
    assert!(written > 0);
    assert_eq!(expected["findings"].as_array().unwrap().len(), written);
    assert_eq!(expected["findings"][0]["subject"].as_str().unwrap().len(), 36);
}
