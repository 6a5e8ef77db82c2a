//! Client certificates and managed identities: which assertions the token endpoint takes, and in which words it refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use common::{ALL, CLIENT, TENANT, World, aadsts};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sv0_estate::keys::SigningKey;
use sv0_estate::metadata::IDENTITY_HEADER;

const AUDIENCE: &str = "https://login.microsoftonline.com/0b5a2f4e-1111-4222-8333-944455566677/oauth2/v2.0/token";
const IDENTITY: &str = "99999999-7777-4555-8333-111111111111";
const IDENTITY_OBJECT: &str = "99999999-7777-4555-8333-222222222222";

struct Pair {
    pem: String,
    der: Vec<u8>,
    key: EncodingKey,
}

fn pair() -> Pair {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["scan.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let private = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
    Pair { pem: certificate.pem(), der: certificate.der().to_vec(), key: private }
}

impl Pair {
    fn sha256(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &self.der))
    }

    fn sha1(&self) -> digest::Digest {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der)
    }

    /// An assertion; `header` and `claims` change what a good one says.
    fn assertion(&self, algorithm: Algorithm, header: impl FnOnce(&mut Header), changes: &Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({"iss": CLIENT, "sub": CLIENT, "aud": AUDIENCE, "jti": "1", "iat": now, "nbf": now, "exp": now + 600});
        for (name, value) in changes.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let mut stated = Header::new(algorithm);
        header(&mut stated);
        jsonwebtoken::encode(&stated, &claims, &self.key).unwrap()
    }

    fn good(&self, changes: &Value) -> String {
        self.assertion(Algorithm::PS256, |header| header.x5t_s256 = Some(self.sha256()), changes)
    }
}

/// The small tenant; the scanner has `registered`, one that is expired, and one that is for encryption only.
async fn world(registered: &Pair, expired: &Pair, encrypts: &Pair) -> World {
    let issuer = SigningKey::generate().unwrap();
    let keys = format!(
        "    keyCredentials:
      - {{start: now-2d, end: now+90d, certificatePem: {}}}
      - {{start: now-9d, end: now-2d, certificatePem: {}}}
      - {{start: now-9d, end: now+9d, usage: Encrypt, certificatePem: {}}}
    servicePrincipal: {{graphPermissions: [{ALL}]}}
",
        json!(registered.pem),
        json!(expired.pem),
        json!(encrypts.pem)
    );
    let identity = format!(
        "servicePrincipals:\n  - {{key: uami, id: {IDENTITY_OBJECT}, appId: {IDENTITY}, displayName: id-scan, servicePrincipalType: ManagedIdentity, graphPermissions: [{ALL}], alternativeNames: [/subscriptions/s/id-scan]}}\n"
    );
    let own = format!(
        "    federatedCredentials: [{{name: mi, issuer: 'https://login.microsoftonline.com/{TENANT}/v2.0', subject: {IDENTITY_OBJECT}}}, "
    );
    let text = common::small(&issuer, ALL, 0)
        .replacen(&format!("    servicePrincipal: {{graphPermissions: [{ALL}]}}\n"), &keys, 1)
        .replacen("    federatedCredentials: [", &own, 1);
    assert!(text.contains("certificatePem") && text.contains("name: mi"));
    common::serve(&(text + &identity), issuer, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

#[tokio::test]
async fn registered_certificates_sign_in_however_they_are_named() {
    let (one, expired, encrypts) = (pair(), pair(), pair());
    let world = world(&one, &expired, &encrypts).await;
    let forms = [
        one.good(&json!({})),
        one.good(&json!({"aud": format!("https://login.microsoftonline.com/{TENANT}/v2.0")})),
        one.assertion(Algorithm::RS256, |header| header.x5t = Some(URL_SAFE_NO_PAD.encode(one.sha1())), &json!({})),
        one.assertion(Algorithm::RS256, |header| header.x5t = Some(URL_SAFE.encode(one.sha1())), &json!({})),
        one.assertion(Algorithm::PS256, |header| header.x5c = Some(vec![STANDARD.encode(&one.der)]), &json!({})),
    ];
    for form in forms {
        let answer = world.assertion_text(&form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token = answer.body["access_token"].as_str().unwrap();
        assert_eq!(world.get(token, "organization").await.status, 200);
    }
    let token = world.token().await;
    let rows = world.all(&token, "applications?$select=appId,keyCredentials").await.0;
    let scanner = rows.iter().find(|row| row["appId"] == CLIENT).unwrap();
    assert_eq!(scanner["keyCredentials"][0]["customKeyIdentifier"], hex::encode_upper(one.sha1()));
    assert_eq!(scanner["keyCredentials"][0]["key"], STANDARD.encode(&one.der));
}

#[tokio::test]
async fn everything_else_is_refused_in_the_vendors_words() {
    let (one, expired, encrypts, stranger) = (pair(), pair(), pair(), pair());
    let world = world(&one, &expired, &encrypts).await;
    let now = jiff::Timestamp::now().as_second();
    let genuine = one.good(&json!({}));
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let parts: Vec<&str> = genuine.split('.').collect();
    let claims =
        URL_SAFE_NO_PAD.encode(json!({"iss": CLIENT, "sub": CLIENT, "aud": AUDIENCE, "exp": now + 9000}).to_string());
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[40] ^= 1;
    let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT", "x5t#S256": one.sha256()}).to_string());
    let not_found = "The key was not found.";
    let not_verified = "The key was found, but use of the key to verify the signature failed.";
    let refused = [
        (stranger.good(&json!({})), 700_027, not_found),
        (one.assertion(Algorithm::PS256, |_| {}, &json!({})), 700_027, not_found),
        (encrypts.good(&json!({})), 700_027, not_found),
        (
            one.assertion(Algorithm::PS256, |header| header.x5t_s256 = Some("A".repeat(43)), &json!({})),
            700_027,
            not_found,
        ),
        (
            stranger.assertion(Algorithm::PS256, |header| header.x5t_s256 = Some(one.sha256()), &json!({})),
            700_027,
            not_verified,
        ),
        (
            one.assertion(Algorithm::RS384, |header| header.x5t_s256 = Some(one.sha256()), &json!({})),
            700_027,
            not_verified,
        ),
        (format!("{}.{claims}.{signature}", parts[0]), 700_027, not_verified),
        (format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&flipped)), 700_027, not_verified),
        (expired.good(&json!({})), 700_027, "The key used is expired."),
        (one.good(&json!({"nbf": now - 9000, "exp": now - 4000})), 700_024, ""),
        (one.good(&json!({"nbf": now + 4000, "exp": now + 9000})), 700_024, ""),
        (one.good(&json!({"exp": Value::Null})), 700_024, ""),
        (one.good(&json!({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"})), 700_023, ""),
        (one.good(&json!({"aud": AUDIENCE.replace(".com", ".us")})), 700_023, ""),
        (one.good(&json!({"sub": IDENTITY})), 700_021, ""),
        (format!("{unsigned}.{}.", parts[1]), 50_027, ""),
    ];
    for (assertion, code, reason) in refused {
        let answer = world.assertion_text(&assertion).await;
        let text = answer.body["error_description"].as_str().unwrap();
        assert_eq!((answer.status, aadsts(&answer)), (401, code), "{text}");
        assert!(text.contains(reason), "{text}");
        assert_eq!(answer.body["error"], "invalid_client");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_refuses_the_clients_assertion_and_not_the_vendors_own() {
    let one = pair();
    let world = world(&one, &pair(), &pair()).await;
    let assertion = one.good(&json!({}));
    for (skew, code) in [(1000, 700_024), (-400, 700_024), (100 * 86_400, 700_027)] {
        world.admin("/mutate", &json!({"clockSkewSeconds": skew})).await;
        assert_eq!(aadsts(&world.assertion_text(&assertion).await), code, "{skew}");
        let exchange = [VERSION, ("resource", "api://AzureADTokenExchange"), ("client_id", IDENTITY)];
        let own = identity(&world, MACHINE, &exchange, ASKED).await;
        let answer = world.assertion_text(own.body["access_token"].as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{skew}: {}", answer.body);
    }
    world.server.clear_faults();
    assert_eq!(world.assertion_text(&assertion).await.status, 200);
}

async fn identity(world: &World, path: &str, query: &[(&str, &str)], header: (&str, &str)) -> common::Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let url = format!("http://{}{path}?{query}", world.server.metadata.unwrap());
    common::read(reqwest::Client::builder().no_proxy().build().unwrap().get(url).header(header.0, header.1)).await
}

const MACHINE: &str = "/metadata/identity/oauth2/token";
const VERSION: (&str, &str) = ("api-version", "2018-02-01");
const GRAPH: (&str, &str) = ("resource", "https://graph.microsoft.com");
const ASKED: (&str, &str) = ("metadata", "true");

#[tokio::test]
async fn a_managed_identity_has_tokens_of_its_own() {
    let world = world(&pair(), &pair(), &pair()).await;
    for named in [("client_id", IDENTITY), ("object_id", IDENTITY_OBJECT), ("msi_res_id", "/subscriptions/s/id-scan")] {
        let answer = identity(&world, MACHINE, &[VERSION, GRAPH, named], ASKED).await;
        assert_eq!((answer.status, answer.body["client_id"].as_str()), (200, Some(IDENTITY)), "{}", answer.body);
        assert!(answer.body["expires_in"].is_string() && answer.body["expires_on"].is_string(), "numbers are texts");
        let token = answer.body["access_token"].as_str().unwrap();
        assert_eq!(world.get(token, "organization").await.status, 200);
    }
    let service = [("api-version", "2019-08-01"), GRAPH, ("client_id", IDENTITY)];
    let answer = identity(&world, "/msi/token", &service, ("x-identity-header", IDENTITY_HEADER)).await;
    assert_eq!((answer.status, answer.body["expires_in"].is_null()), (200, true));
    let refused = [
        (identity(&world, MACHINE, &[VERSION, GRAPH, ("client_id", CLIENT)], ASKED).await, 400),
        (identity(&world, MACHINE, &[VERSION, GRAPH, ("client_id", IDENTITY)], ("x", "true")).await, 400),
        (identity(&world, MACHINE, &[("api-version", "2017-09-01"), GRAPH], ASKED).await, 400),
        (identity(&world, "/msi/token", &service, ("x-identity-header", "wrong")).await, 401),
        (identity(&world, "/latest/meta-data", &[], ASKED).await, 404),
    ];
    for (answer, status) in refused {
        assert_eq!((answer.status, answer.body["access_token"].is_null()), (status, true), "{}", answer.body);
    }
    assert_eq!(world.server.counters().metadata_requests, 9);
}

#[tokio::test]
async fn a_managed_identitys_token_stands_in_for_a_credential_only_when_it_is_made_for_that() {
    let world = world(&pair(), &pair(), &pair()).await;
    let exchange = [VERSION, ("resource", "api://AzureADTokenExchange"), ("client_id", IDENTITY)];
    let answer = identity(&world, MACHINE, &exchange, ASKED).await;
    let assertion = answer.body["access_token"].as_str().unwrap();
    assert_eq!(world.assertion_text(assertion).await.status, 200);
    let graph = identity(&world, MACHINE, &[VERSION, GRAPH, ("client_id", IDENTITY)], ASKED).await;
    let answer = world.assertion_text(graph.body["access_token"].as_str().unwrap()).await;
    assert_eq!(aadsts(&answer), 700_211, "a token for Graph has another issuer");
    let elsewhere = [VERSION, ("resource", "api://AzureADTokenExchangeUSGov"), ("client_id", IDENTITY)];
    let elsewhere = identity(&world, MACHINE, &elsewhere, ASKED).await;
    assert_ne!(world.assertion_text(elsewhere.body["access_token"].as_str().unwrap()).await.status, 200);
    let signature = assertion.rsplit_once('.').unwrap().0;
    assert_eq!(aadsts(&world.assertion_text(&format!("{signature}.{}", "A".repeat(342))).await), 50_013);
}
