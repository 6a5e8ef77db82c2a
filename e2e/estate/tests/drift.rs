//! Faults that come while a scan runs.

mod common;

use common::{ALL, world};
use serde_json::json;

#[tokio::test]
async fn bursts() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let fault =
        json!({"fault": {"route": "users", "status": 429, "after": 1, "times": 2, "every": 1, "retryAfter": 1}});
    world.admin("/mutate", &fault).await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(world.get(&token, "users").await.status);
    }
    assert_eq!(statuses, [200, 429, 429, 200, 429, 429, 200]);
    world.server.clear_faults();
    assert_eq!(world.get(&token, "users").await.status, 200);
}

#[tokio::test]
async fn broken_bodies() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    world.admin("/mutate", &json!({"fault": {"route": "users", "truncate": true, "times": 1}})).await;
    let broken = world.http.get("https://graph.microsoft.com/v1.0/users").bearer_auth(&token).send().await.unwrap();
    assert_eq!(broken.status(), 200);
    assert!(broken.text().await.is_err(), "the connection ends in the middle");
    assert_eq!(world.get(&token, "users").await.rows().len(), 23);
}

#[tokio::test]
async fn new_objects_are_not_everywhere_at_once() {
    let world = world(ALL, 30).await;
    let token = world.token().await;
    let id = world.server.estate().object_id("crowd").unwrap().to_owned();
    let count = async || {
        let (rows, pages) = world.all(&token, "applications?$select=id&$top=10").await;
        assert_eq!(pages, 4, "{}", rows.len());
        (rows.len(), rows.iter().any(|row| row["id"] == *id))
    };
    assert_eq!(count().await, (33, true));
    world.admin("/mutate", &json!({"lag": {"id": "crowd", "reads": 3}})).await;
    assert_eq!(count().await, (32, false), "in no page of this list");
    assert_eq!(world.get(&token, &format!("applications/{id}/owners")).await.status, 404);
    assert_eq!(world.get(&token, "users").await.rows().len(), 23, "a list without it is no read of it");
    assert_eq!(count().await, (32, false));
    assert_eq!(count().await, (33, true), "and then it is there");
    assert_eq!(world.get(&token, &format!("applications/{id}/owners?$top=999")).await.rows().len(), 23);
    let nobody = world.admin("/mutate", &json!({"lag": {"id": "who", "reads": 1}})).await;
    assert!(nobody.contains("no object `who`"), "{nobody}");
}

#[tokio::test]
async fn tokens_end_in_the_middle() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    world.admin("/mutate", &json!({"expireTokens": {"after": 2}})).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = world.get(&token, "applications").await;
        statuses.push(answer.status);
        if answer.status == 401 {
            assert_eq!(answer.code(), "InvalidAuthenticationToken");
        }
    }
    assert_eq!(statuses, [200, 200, 401, 401]);
    let fresh = world.token().await;
    assert_eq!(world.get(&fresh, "applications").await.status, 200);
}

#[tokio::test]
async fn permissions_go_in_the_middle() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let change = json!({"revokeDuring": {"permission": "User.Read.All", "route": "users", "after": 1}});
    assert_eq!(world.admin("/mutate", &change).await, "changed\n");
    let grants = async |token: &str| {
        let path = format!("servicePrincipals(appId='{}')/appRoleAssignments", common::CLIENT);
        world.get(token, &path).await.rows().len()
    };
    let first = world.get(&token, "users").await;
    assert_eq!((first.status, grants(&token).await), (200, 4));
    let second = world.get(&token, "users").await;
    assert_eq!((second.status, second.code()), (403, "Authorization_RequestDenied"), "whatever the token says");
    assert_eq!(grants(&token).await, 3, "the grant is gone");
    let fresh = world.token().await;
    assert_eq!(world.get(&fresh, "users").await.status, 403);
    let unknown = json!({"revokeDuring": {"permission": "No.Such", "route": "users"}});
    assert!(world.admin("/mutate", &unknown).await.contains("no Graph permission `No.Such`"));
}

#[tokio::test]
async fn the_vendors_clock_may_be_off() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    let ahead = async || {
        let answer = world.get(&token, "organization").await;
        let date = answer.headers["date"].to_str().unwrap();
        let told = jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_second();
        told - jiff::Timestamp::now().as_second()
    };
    assert!(ahead().await.abs() <= 2);
    world.admin("/mutate", &json!({"clockSkewSeconds": -900})).await;
    assert!((ahead().await + 900).abs() <= 2);
    world.server.clear_faults();
    assert!(ahead().await.abs() <= 2);
}
