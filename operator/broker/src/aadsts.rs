//! Reads the identity provider's error answers. The code survives whatever the text around it looks like: texts hold
//! line ends, quotes and escapes, and a parser that borrows them loses all. Pure.

use serde::Deserialize;
use serde_json::Value;
use sv0_protocol::Reason;

/// What an error answer comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Our word for it.
    pub reason: Reason,
    /// `AADSTS<digits>`, when the answer has one.
    pub vendor_code: Option<String>,
    /// How often the same request is worth sending in all.
    pub attempts: u32,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_description: Value,
    #[serde(default)]
    error_codes: Value,
}

/// Judges an answer that is not a token.
pub fn judge(status: u16, body: &[u8]) -> Verdict {
    let parsed = parse(body);
    let answer = parsed.as_ref();
    let code = code_in(body);
    let by_code = code.and_then(of_code).map(|reason| answer.map_or(reason, |answer| refined(reason, answer)));
    let by_status = match status {
        429 => Some(Reason::AuthThrottled),
        408 | 500..=599 => Some(Reason::IdentityProviderUnavailable),
        300..=399 => Some(Reason::ResponseRefused),
        _ => None,
    };
    let by_word = || match answer {
        Some(answer) => answer.error.as_str().map_or(Reason::AuthenticationFailed, by_word),
        None if body.is_empty() => Reason::AuthenticationFailed,
        // Some page: a proxy's, most likely.
        None => Reason::ResponseMalformed,
    };
    let reason = by_code.or(by_status).unwrap_or_else(by_word);
    Verdict { reason, vendor_code: code.map(vendor_code), attempts: attempts(reason) }
}

fn parse(body: &[u8]) -> Option<Answer> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// The code in an answer, if there is one, in whatever form it comes.
pub(crate) fn code_in(body: &[u8]) -> Option<u64> {
    let Some(answer) = parse(body) else { return scan(&String::from_utf8_lossy(body)).filter(|code| is_code(*code)) };
    let listed = answer.error_codes.get(0).and_then(Value::as_u64).filter(|code| is_code(*code));
    listed.or_else(|| answer.error_description.as_str().and_then(scan).filter(|code| is_code(*code)))
}

fn is_code(code: u64) -> bool {
    (1..=9_999_999_999).contains(&code)
}

/// A code in the vendor's documented form.
pub(crate) fn vendor_code(code: u64) -> String {
    format!("AADSTS{code}")
}

/// One code stands for every fault of a certificate; only the text tells that it is registered and its time is over.
fn refined(reason: Reason, answer: &Answer) -> Reason {
    let says_expired = || answer.error_description.as_str().is_some_and(|text| text.contains("key used is expired"));
    if reason == Reason::CertificateNotRegistered && says_expired() { Reason::CredentialExpired } else { reason }
}

fn attempts(reason: Reason) -> u32 {
    match reason {
        // A new federated credential takes minutes to be known everywhere: a few tries, the next scan does the rest.
        Reason::FederationMismatch | Reason::AuthThrottled | Reason::IdentityProviderUnavailable => 3,
        _ => 1,
    }
}

/// Finds `AADSTS<digits>` in a text.
fn scan(text: &str) -> Option<u64> {
    text.split("AADSTS").skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(12).collect();
        digits.parse().ok()
    })
}

/// What a code means; nothing for one that is not known.
pub(crate) fn of_code(code: u64) -> Option<Reason> {
    Some(match code {
        7_000_215 => Reason::CredentialInvalid,
        7_000_222 => Reason::CredentialExpired,
        7_000_218 => Reason::CredentialMissing,
        700_027 | 50_012 => Reason::CertificateNotRegistered,
        700_024 => Reason::AssertionTimeInvalid,
        90_002 => Reason::TenantNotFound,
        900_023 => Reason::TenantIdMalformed,
        700_016 => Reason::AppNotInTenant,
        7_000_112 => Reason::AppDisabled,
        7_000_229 => Reason::ServicePrincipalMissing,
        65_001 | 90_094 | 90_095 => Reason::ConsentRequired,
        70_021 | 700_211 | 700_212 | 700_213 | 700_222 | 700_223 => Reason::FederationMismatch,
        90_061 => Reason::FederationIssuerUnreachable,
        90_038 | 900_382 | 900_432 => Reason::WrongCloud,
        500_011 | 650_052 => Reason::ResourceNotInTenant,
        53_003 | 530_035 => Reason::BlockedByConditionalAccess,
        50_002 | 50_020 | 500_021 | 500_022 => Reason::TenantRestricted,
        90_055 => Reason::AuthThrottled,
        50_000 | 90_006 | 90_024 | 90_033 | 90_090 => Reason::IdentityProviderUnavailable,
        // Their word is `invalid_client`, which would blame a secret that may not exist: an assertion's signature (50013),
        // form (50027), client (700021) or audience (700023), or an account that is not there (50034).
        50_013 | 50_027 | 50_034 | 700_021 | 700_023 => Reason::AuthenticationFailed,
        _ => return None,
    })
}

/// The OAuth word is the field that stays when codes change.
fn by_word(word: &str) -> Reason {
    match word {
        "temporarily_unavailable" | "server_error" => Reason::IdentityProviderUnavailable,
        "invalid_client" => Reason::CredentialInvalid,
        "consent_required" => Reason::ConsentRequired,
        "invalid_resource" | "invalid_target" => Reason::ResourceNotInTenant,
        _ => Reason::AuthenticationFailed,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(7_000_215, Reason::CredentialInvalid, 1)]
    #[case(7_000_222, Reason::CredentialExpired, 1)]
    #[case(7_000_218, Reason::CredentialMissing, 1)]
    #[case(700_027, Reason::CertificateNotRegistered, 1)]
    #[case(700_024, Reason::AssertionTimeInvalid, 1)]
    #[case(90_002, Reason::TenantNotFound, 1)]
    #[case(700_016, Reason::AppNotInTenant, 1)]
    #[case(7_000_112, Reason::AppDisabled, 1)]
    #[case(7_000_229, Reason::ServicePrincipalMissing, 1)]
    #[case(65_001, Reason::ConsentRequired, 1)]
    #[case(900_023, Reason::TenantIdMalformed, 1)]
    #[case(500_021, Reason::TenantRestricted, 1)]
    #[case(50_013, Reason::AuthenticationFailed, 1)]
    #[case(70_021, Reason::FederationMismatch, 3)]
    #[case(700_211, Reason::FederationMismatch, 3)]
    #[case(700_212, Reason::FederationMismatch, 3)]
    #[case(700_213, Reason::FederationMismatch, 3)]
    #[case(90_061, Reason::FederationIssuerUnreachable, 1)]
    #[case(90_038, Reason::WrongCloud, 1)]
    #[case(500_011, Reason::ResourceNotInTenant, 1)]
    #[case(53_003, Reason::BlockedByConditionalAccess, 1)]
    #[case(90_055, Reason::AuthThrottled, 3)]
    #[case(90_033, Reason::IdentityProviderUnavailable, 3)]
    #[case(99_999, Reason::CredentialInvalid, 1)]
    fn codes(#[case] code: u64, #[case] reason: Reason, #[case] attempts: u32) {
        let expected = Verdict { reason, vendor_code: Some(format!("AADSTS{code}")), attempts };
        let listed =
            format!(r#"{{"error":"invalid_client","error_description":"x\r\n\u0027y\"","error_codes":[{code}]}}"#);
        assert_eq!(judge(401, listed.as_bytes()), expected);
        let text_only =
            format!(r#"{{"error":"invalid_client","error_description":"AADSTS{code}: it\u0027s\r\nTrace ID: 1"}}"#);
        assert_eq!(judge(400, text_only.as_bytes()), expected);
    }

    #[rstest]
    #[case(429, r#"{"error":"x"}"#, Reason::AuthThrottled)]
    #[case(503, "<html>", Reason::IdentityProviderUnavailable)]
    #[case(302, "", Reason::ResponseRefused)]
    #[case(400, "", Reason::AuthenticationFailed)]
    #[case(403, "<html>blocked</html>", Reason::ResponseMalformed)]
    #[case(408, "", Reason::IdentityProviderUnavailable)]
    #[case(400, "\u{feff}{\"error\":\"consent_required\"}", Reason::ConsentRequired)]
    #[case(400, r#"{"error":{"code":"x"},"error_codes":"y","error_description":7}"#, Reason::AuthenticationFailed)]
    #[case(401, r#"{"error":"invalid_client"}"#, Reason::CredentialInvalid)]
    #[case(400, r#"{"error":"temporarily_unavailable"}"#, Reason::IdentityProviderUnavailable)]
    fn answers_without_a_code(#[case] status: u16, #[case] body: &str, #[case] reason: Reason) {
        let verdict = judge(status, body.as_bytes());
        assert_eq!((verdict.reason, verdict.vendor_code), (reason, None));
    }

    #[test]
    fn a_code_is_never_vendor_text() {
        let body = br#"{"error":"e","error_description":"AADSTS: none, AADSTSx, AADSTS50012345678901234567890: long"}"#;
        assert_eq!(judge(400, body).vendor_code, None);
    }
}
