//! Every documented way in which a sign-in is refused, in every shape in which the refusal may come: the reason is right,
//! the vendor's code is kept, nobody is asked more often than may help, and nothing of the vendor's text gets through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{Answer, Authority, ask};
use sv0_protocol::Reason;

/// Codes with the OAuth word and status that they come with.
const CODES: [(u64, &str, u16, Reason); 47] = [
    (7_000_215, "invalid_client", 401, Reason::CredentialInvalid),
    (7_000_222, "invalid_client", 401, Reason::CredentialExpired),
    (7_000_218, "invalid_client", 401, Reason::CredentialMissing),
    (700_027, "invalid_client", 401, Reason::CertificateNotRegistered),
    (50_012, "invalid_client", 401, Reason::CertificateNotRegistered),
    (700_024, "invalid_client", 401, Reason::AssertionTimeInvalid),
    (700_016, "unauthorized_client", 400, Reason::AppNotInTenant),
    (700_016, "invalid_request", 400, Reason::AppNotInTenant),
    (7_000_229, "invalid_client", 401, Reason::ServicePrincipalMissing),
    (7_000_112, "unauthorized_client", 400, Reason::AppDisabled),
    (65_001, "invalid_grant", 400, Reason::ConsentRequired),
    (65_001, "consent_required", 400, Reason::ConsentRequired),
    (90_094, "invalid_grant", 400, Reason::ConsentRequired),
    (90_095, "invalid_grant", 400, Reason::ConsentRequired),
    (70_021, "invalid_request", 400, Reason::FederationMismatch),
    (700_211, "invalid_client", 401, Reason::FederationMismatch),
    (700_212, "invalid_client", 401, Reason::FederationMismatch),
    (700_213, "invalid_client", 401, Reason::FederationMismatch),
    (700_222, "invalid_request", 400, Reason::FederationMismatch),
    (700_223, "invalid_request", 400, Reason::FederationMismatch),
    (90_061, "invalid_request", 400, Reason::FederationIssuerUnreachable),
    (90_002, "invalid_request", 400, Reason::TenantNotFound),
    (900_023, "invalid_request", 400, Reason::TenantIdMalformed),
    (90_038, "invalid_request", 400, Reason::WrongCloud),
    (900_382, "invalid_request", 400, Reason::WrongCloud),
    (900_432, "invalid_request", 400, Reason::WrongCloud),
    (50_034, "invalid_grant", 400, Reason::AuthenticationFailed),
    (500_011, "invalid_resource", 400, Reason::ResourceNotInTenant),
    (650_052, "invalid_client", 401, Reason::ResourceNotInTenant),
    (53_003, "invalid_grant", 400, Reason::BlockedByConditionalAccess),
    (53_003, "access_denied", 403, Reason::BlockedByConditionalAccess),
    (530_035, "invalid_grant", 400, Reason::BlockedByConditionalAccess),
    (50_020, "invalid_grant", 400, Reason::TenantRestricted),
    (500_021, "invalid_request", 403, Reason::TenantRestricted),
    (500_022, "invalid_request", 403, Reason::TenantRestricted),
    (50_002, "invalid_request", 400, Reason::TenantRestricted),
    (90_055, "temporarily_unavailable", 429, Reason::AuthThrottled),
    (90_055, "temporarily_unavailable", 400, Reason::AuthThrottled),
    (50_000, "temporarily_unavailable", 500, Reason::IdentityProviderUnavailable),
    (90_006, "temporarily_unavailable", 503, Reason::IdentityProviderUnavailable),
    (90_024, "temporarily_unavailable", 400, Reason::IdentityProviderUnavailable),
    (90_033, "temporarily_unavailable", 503, Reason::IdentityProviderUnavailable),
    (90_090, "temporarily_unavailable", 503, Reason::IdentityProviderUnavailable),
    (50_013, "invalid_client", 401, Reason::AuthenticationFailed),
    (50_027, "invalid_client", 401, Reason::AuthenticationFailed),
    (700_021, "invalid_client", 401, Reason::AuthenticationFailed),
    (700_023, "invalid_client", 401, Reason::AuthenticationFailed),
];

/// How often it may help to ask.
fn tries(reason: Reason) -> u64 {
    match reason {
        Reason::AuthThrottled | Reason::IdentityProviderUnavailable | Reason::FederationMismatch => 3,
        _ => 1,
    }
}

/// The shapes in which one code comes.
fn shapes(code: u64, word: &str) -> [(&'static str, String); 4] {
    let text = format!("AADSTS{code}: it's \"canary\".\r\nTrace ID: 1\r\nTimestamp: 2026-01-01 00:00:00Z");
    let escaped = format!(
        r#"{{"error":"{word}","error_description":"AADSTS{code}: canary\u0027s.\r\nTrace ID: \u0022\/\u0041","error_codes":[]}}"#
    );
    [
        ("listed", json!({"error": word, "error_description": text, "error_codes": [code]}).to_string()),
        ("described", json!({"error": word, "error_description": text, "suberror": "canary"}).to_string()),
        ("escaped", escaped),
        ("paged", format!("<html><title>Sign in</title><p>AADSTS{code}: canary</p></html>")),
    ]
}

#[tokio::test]
async fn every_code_in_every_shape() {
    let authority = Authority::start().await;
    let mut variants = 0;
    for (code, word, status, reason) in CODES {
        for (shape, body) in shapes(code, word) {
            let answer = Answer { status, body: body.into_bytes(), ..Answer::default() };
            let seen = ask(&authority, answer).await;
            let error = seen.result.expect_err(shape);
            assert_eq!(error.reason, reason.as_str(), "AADSTS{code} {shape}");
            assert_eq!(error.vendor_code, Some(format!("AADSTS{code}")), "AADSTS{code} {shape}");
            assert_eq!((seen.asked, seen.counted), (tries(reason), tries(reason)), "AADSTS{code} {shape}");
            assert!(!format!("{error:?} {error}").contains("canary"));
            variants += 1;
        }
    }
    assert!(variants >= 100, "{variants} variants");
}

/// Status, body, reason, requests.
fn without_a_code() -> Vec<(u16, Vec<u8>, Reason, u64)> {
    let word = |word: &str| json!({"error": word, "error_description": "canary"}).to_string().into_bytes();
    let long = |byte: u8| vec![byte; 300 * 1024];
    vec![
        (400, word("invalid_grant"), Reason::AuthenticationFailed, 1),
        (400, word("interaction_required"), Reason::AuthenticationFailed, 1),
        (400, word("a word of next year"), Reason::AuthenticationFailed, 1),
        (401, word("invalid_client"), Reason::CredentialInvalid, 1),
        (400, word("consent_required"), Reason::ConsentRequired, 1),
        (400, word("invalid_resource"), Reason::ResourceNotInTenant, 1),
        (400, word("invalid_target"), Reason::ResourceNotInTenant, 1),
        (400, word("temporarily_unavailable"), Reason::IdentityProviderUnavailable, 3),
        (400, word("server_error"), Reason::IdentityProviderUnavailable, 3),
        (429, word("invalid_client"), Reason::AuthThrottled, 3),
        (429, b"<html>slow down</html>".to_vec(), Reason::AuthThrottled, 3),
        (429, Vec::new(), Reason::AuthThrottled, 3),
        (500, Vec::new(), Reason::IdentityProviderUnavailable, 3),
        (502, b"<html>bad gateway</html>".to_vec(), Reason::IdentityProviderUnavailable, 3),
        (503, word("invalid_client"), Reason::IdentityProviderUnavailable, 3),
        (504, b"upstream timed out".to_vec(), Reason::IdentityProviderUnavailable, 3),
        (408, Vec::new(), Reason::IdentityProviderUnavailable, 3),
        (400, Vec::new(), Reason::AuthenticationFailed, 1),
        (401, Vec::new(), Reason::AuthenticationFailed, 1),
        (403, b"<html>Access to this site is blocked</html>".to_vec(), Reason::ResponseMalformed, 1),
        (400, b"[1, 2".to_vec(), Reason::ResponseMalformed, 1),
        (400, vec![0xff, 0xfe, 0x00], Reason::ResponseMalformed, 1),
        (
            400,
            br#"{"error":{"code":"canary"},"error_codes":"7000215","error_description":7}"#.to_vec(),
            Reason::AuthenticationFailed,
            1,
        ),
        (
            400,
            br#"{"error":null,"error_codes":[-1, 1.5],"error_description":"AADSTS: none"}"#.to_vec(),
            Reason::AuthenticationFailed,
            1,
        ),
        (400, "[".repeat(100_000).into_bytes(), Reason::ResponseMalformed, 1),
        (400, long(b'x'), Reason::ResponseRefused, 1),
        (503, long(b'x'), Reason::ResponseRefused, 1),
        (200, long(b' '), Reason::ResponseRefused, 1),
        (200, Vec::new(), Reason::ResponseMalformed, 1),
        (200, b"<html>welcome</html>".to_vec(), Reason::ResponseMalformed, 1),
        (200, word("invalid_client"), Reason::ResponseMalformed, 1),
        (
            200,
            br#"{"access_token":"canary","token_type":"pop","expires_in":3599}"#.to_vec(),
            Reason::ResponseMalformed,
            1,
        ),
        (200, br#"{"access_token":"can ary","expires_in":3599}"#.to_vec(), Reason::ResponseMalformed, 1),
        (204, Vec::new(), Reason::AuthenticationFailed, 1),
        (301, Vec::new(), Reason::ResponseRefused, 1),
        (302, b"<html>elsewhere</html>".to_vec(), Reason::ResponseRefused, 1),
        (307, Vec::new(), Reason::ResponseRefused, 1),
    ]
}

#[tokio::test]
async fn answers_without_a_code() {
    let authority = Authority::start().await;
    for (status, body, reason, requests) in without_a_code() {
        let shown = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
        for content_type in ["application/json; charset=utf-8", "text/html", ""] {
            let answer = Answer { status, body: body.clone(), content_type, ..Answer::default() };
            let seen = ask(&authority, answer).await;
            let error = seen.result.expect_err(&shown);
            assert_eq!((error.reason, error.vendor_code.clone()), (reason.as_str(), None), "{status} {shown}");
            assert_eq!((seen.asked, seen.counted), (requests, requests), "{status} {shown}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
    assert_eq!(authority.led_astray(), 0, "no redirect is followed");
}

#[tokio::test]
async fn waiting_is_as_asked_and_has_an_end() {
    let authority = Authority::start().await;
    let throttled = |retry_after| Answer { status: 429, retry_after, ..Answer::default() };
    let seen = ask(&authority, throttled("7")).await;
    assert_eq!((seen.waits.as_slice(), seen.asked), (&[7, 7][..], 3));
    let error = seen.result.expect_err("throttled");
    assert_eq!((error.transient, error.retry_after_seconds), (true, Some(7)));
    let seen = ask(&authority, throttled("")).await;
    assert_eq!((seen.waits.as_slice(), seen.asked), (&[2, 4][..], 3));
    let seen = ask(&authority, throttled("3600")).await;
    assert_eq!((seen.waits.len(), seen.asked), (0, 1), "the next scan waits so long, not this one");
    assert_eq!(seen.result.expect_err("throttled").retry_after_seconds, Some(3600));
    let mismatch = json!({"error": "invalid_request", "error_codes": [70_021]}).to_string().into_bytes();
    let seen = ask(&authority, Answer { status: 400, body: mismatch, ..Answer::default() }).await;
    assert_eq!((seen.waits.as_slice(), seen.asked), (&[5, 10][..], 3), "the directory needs its time");
}

#[tokio::test]
async fn a_compressed_answer_and_a_broken_line_are_no_token() {
    let authority = Authority::start().await;
    let body = br#"{"access_token":"canary","expires_in":3599}"#.to_vec();
    let packed = Answer { status: 200, body: body.clone(), encoding: "gzip", ..Answer::default() };
    assert_eq!(ask(&authority, packed).await.result.expect_err("packed").reason, "ResponseRefused");
    let cut = Answer { status: 200, body: body.clone(), cut: true, ..Answer::default() };
    let seen = ask(&authority, cut).await;
    assert_eq!(seen.result.expect_err("cut").reason, "IdentityProviderUnavailable");
    assert_eq!(seen.asked, 3);
    let good = Answer { status: 200, body, content_type: "text/plain", ..Answer::default() };
    assert_eq!(ask(&authority, good).await.result.ok().as_deref(), Some("canary"));
}

#[tokio::test]
async fn an_expired_certificate_is_told_from_an_unknown_one() {
    let authority = Authority::start().await;
    for (why, reason) in
        [("The key used is expired.", "CredentialExpired"), ("The key was not found.", "CertificateNotRegistered")]
    {
        let text =
            format!("AADSTS700027: The certificate is not registered on application. [Reason - {why}, Thumbprint]");
        let body = json!({"error": "invalid_client", "error_description": text, "error_codes": [700_027]});
        let answer = Answer { status: 401, body: body.to_string().into_bytes(), ..Answer::default() };
        let error = ask(&authority, answer).await.result.expect_err(why);
        assert_eq!((error.reason, error.vendor_code.as_deref()), (reason, Some("AADSTS700027")));
    }
}
