//! The token endpoint: what it accepts, and in which words it refuses.

mod common;

use common::{ALL, AUDIENCE, CLIENT, ISSUER, SUBJECT, TENANT, aadsts, world};
use serde_json::{Value, json};
use sv0_estate::keys::SigningKey;

fn claims(changes: &Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let mut claims =
        json!({"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + 600});
    for (key, value) in changes.as_object().into_iter().flatten() {
        claims[key] = value.clone();
    }
    claims
}

#[tokio::test]
async fn secrets() {
    let world = world(ALL, 0).await;
    let good = world.token_changed(TENANT, &[]).await;
    assert_eq!((good.status, good.body["token_type"].as_str()), (200, Some("Bearer")));
    assert_eq!(world.token_changed("t.example", &[]).await.status, 200);
    let refused = [
        (TENANT, vec![("client_secret", "wrong")], 401, "invalid_client", 7_000_215),
        (TENANT, vec![("client_secret", "old~secret")], 401, "invalid_client", 7_000_222),
        (TENANT, vec![("client_secret", "")], 401, "invalid_client", 7_000_218),
        (TENANT, vec![("client_id", "bbbbbbbb-0000-4000-8000-000000000001")], 400, "unauthorized_client", 700_016),
        (TENANT, vec![("scope", "api://nothing/.default")], 400, "invalid_resource", 500_011),
        (TENANT, vec![("scope", "User.Read")], 400, "invalid_scope", 1_002_012),
        (TENANT, vec![("grant_type", "password")], 400, "unsupported_grant_type", 70_003),
        ("99999999-1111-4222-8333-944455566677", vec![], 400, "invalid_request", 90_002),
        ("no tenant", vec![], 400, "invalid_request", 900_023),
    ];
    for (tenant, change, status, error, code) in refused {
        let answer = world.token_changed(tenant, &change).await;
        assert_eq!((answer.status, answer.body["error"].as_str(), aadsts(&answer)), (status, Some(error), code));
        let text = answer.body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{code}: ")) && text.contains("\r\nTrace ID: "), "{text}");
    }
    let counters = world.server.counters();
    assert_eq!((counters.token_requests[CLIENT], counters.tokens()), (10, 11));
    assert_eq!(counters.token_errors["7000215"], 1);
}

#[tokio::test]
async fn assertions_are_really_verified() {
    let world = world(ALL, 0).await;
    let good = world.assertion(&claims(&json!({}))).await;
    assert_eq!(good.status, 200, "{}", good.body);
    let now = jiff::Timestamp::now().as_second();
    let refused = [
        (json!({"iss": "https://issuer.example/"}), 700_211),
        (json!({"sub": "system:serviceaccount:team:Scan"}), 700_213),
        (json!({"aud": "api://azureadtokenexchange"}), 700_212),
        (json!({"exp": now - 3600, "nbf": now - 7200}), 700_024),
        (json!({"nbf": now + 3600}), 700_024),
        (json!({"iss": CLIENT, "sub": CLIENT}), 700_027),
    ];
    for (change, code) in refused {
        assert_eq!(aadsts(&world.assertion(&claims(&change)).await), code, "{change}");
    }
    let stranger = SigningKey::generate().unwrap().sign(&claims(&json!({}))).unwrap();
    assert_eq!(aadsts(&world.assertion_text(&stranger).await), 50_013);
    assert_eq!(aadsts(&world.assertion_text("no.token.here").await), 50_027);
    let genuine = world.issuer.sign(&claims(&json!({}))).unwrap();
    let forged = format!("{}.{}", genuine.rsplit_once('.').unwrap().0, "A".repeat(342));
    assert_eq!(aadsts(&world.assertion_text(&forged).await), 50_013);
}

/// The clocks of issuer and vendor may differ by five minutes.
#[tokio::test]
async fn assertions_are_judged_by_the_vendors_clock() {
    let world = world(ALL, 0).await;
    let late = claims(&json!({}));
    let now = jiff::Timestamp::now().as_second();
    let ahead = claims(&json!({"iat": now + 1200, "nbf": now + 1200, "exp": now + 1800}));
    let endless = json!({"iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE});
    for (skew, given, status) in [
        (0, &late, 200),
        (800, &late, 200),
        (1000, &late, 401),
        (-200, &late, 200),
        (-400, &late, 401),
        (0, &ahead, 401),
        (1200, &ahead, 200),
        (0, &endless, 401),
    ] {
        world.admin("/mutate", &json!({"clockSkewSeconds": skew})).await;
        let answer = world.assertion(given).await;
        assert_eq!(answer.status, status, "{skew}: {}", answer.body);
        assert!(status == 200 || aadsts(&answer) == 700_024, "{skew}: {}", answer.body);
    }
    world.server.clear_faults();
    assert_eq!(world.assertion(&late).await.status, 200);
}

#[tokio::test]
async fn states_of_the_client() {
    let world = world(ALL, 0).await;
    for (change, code) in [
        (json!({"disableApp": true}), 7_000_112),
        (json!({"disableApp": false, "servicePrincipalMissing": true}), 7_000_229),
        (json!({"appMissing": true}), 700_016),
        (json!({"appMissing": false, "expireSecret": true}), 7_000_222),
    ] {
        assert_eq!(world.admin("/mutate", &change).await, "changed\n");
        assert_eq!(aadsts(&world.token_changed(TENANT, &[]).await), code, "{change}");
    }
    world.admin("/mutate", &json!({"addSecret": "fresh"})).await;
    assert_eq!(world.token_changed(TENANT, &[("client_secret", "fresh")]).await.status, 200);
    let fault = json!({"fault": {"route": "token", "status": 429, "times": 1, "retryAfter": 7}});
    world.admin("/mutate", &fault).await;
    let answer = world.token_changed(TENANT, &[("client_secret", "fresh")]).await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap(), aadsts(&answer)), (429, "7", 90_055));
    assert_eq!(world.token_changed(TENANT, &[("client_secret", "fresh")]).await.status, 200);
}

#[tokio::test]
async fn graph_takes_only_its_own_tokens() {
    let world = world(ALL, 0).await;
    let token = world.token().await;
    assert_eq!(world.get(&token, "organization").await.status, 200);
    let now = jiff::Timestamp::now().as_second();
    let forged = SigningKey::generate().unwrap();
    let claims = json!({"aud": "https://graph.microsoft.com", "appid": CLIENT, "tid": TENANT, "exp": now + 60, "nbf": now, "roles": ["Organization.Read.All"]});
    for bad in [forged.sign(&claims).unwrap(), "x".to_owned(), format!("{token}x")] {
        let answer = world.get(&bad, "organization").await;
        assert_eq!((answer.status, answer.code()), (401, "InvalidAuthenticationToken"));
    }
    let other_host =
        world.http.get(format!("https://login.microsoftonline.com/{TENANT}/v2.0/.well-known/openid-configuration"));
    let answer = common::read(other_host).await;
    assert!(answer.body["token_endpoint"].as_str().unwrap().ends_with("/oauth2/v2.0/token"));
}

#[tokio::test]
async fn fetched_keys_are_fetched_again_for_an_unknown_key() {
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let bearer = directory.path().join("token");
    std::fs::write(&bearer, "pod-token\n").unwrap();
    let published = std::sync::Arc::new(std::sync::Mutex::new((json!(old.jwks()), 0)));
    let shared = std::sync::Arc::clone(&published);
    let keys = axum::routing::get(move |headers: http::HeaderMap| {
        let mut shared = shared.lock().unwrap();
        shared.1 += 1;
        let known = headers.get("authorization").is_some_and(|value| value == "Bearer pod-token");
        let answer = if known { shared.0.to_string() } else { String::new() };
        async move { answer }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/openid/v1/jwks", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/openid/v1/jwks", keys);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let inline = format!("jwks: {}", serde_json::to_string(&old.jwks()).unwrap());
    let text =
        common::small(&old, ALL, 0).replace(&inline, &format!("jwksUrl: '{url}', tokenFile: '{}'", bearer.display()));
    assert!(text.contains("jwksUrl"));
    let world = common::serve(&text, old, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let fetched = || published.lock().unwrap().1;
    assert_eq!(world.assertion(&claims(&json!({}))).await.status, 200);
    assert_eq!(world.assertion(&claims(&json!({}))).await.status, 200);
    assert_eq!(fetched(), 1, "kept while it serves");
    let rotated = new.sign(&claims(&json!({}))).unwrap();
    assert_eq!(aadsts(&world.assertion_text(&rotated).await), 50_013);
    published.lock().unwrap().0 = json!(new.jwks());
    assert_eq!(world.assertion_text(&rotated).await.status, 200);
    assert_eq!(fetched(), 3);
}
