//! One request for a token and its answer, within bounds: no redirect, no compression, no more bytes than a token has.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_ENCODING, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use sv0_connector::{Secret, retry_after};
use sv0_protocol::Reason;
use zeroize::Zeroizing;

/// Most bytes of an answer.
const MAX_ANSWER: usize = 256 * 1024;
/// A token is not given out in its last minutes.
pub(crate) const MARGIN: Duration = Duration::from_mins(5);
/// Longest time that a token is believed to live.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// An answer as it came; wiped, since it may hold a token.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) wait: Option<Duration>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nobody is there, or the line broke.
    Unreachable,
    /// There was one, and it is not to be used.
    Refused(Reason),
}

/// Sends and reads.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, NoAnswer> {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) if sv0_connector::leads_inside(&error) => return Err(NoAnswer::Refused(Reason::NetworkNotAllowed)),
        Err(_) => return Err(NoAnswer::Unreachable),
    };
    let status = response.status().as_u16();
    let headers = response.headers();
    let wait = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
    if headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return Err(NoAnswer::Refused(Reason::ResponseRefused));
    }
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                return Err(NoAnswer::Refused(Reason::ResponseRefused));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Answer { status, wait, body }),
            Err(_) => return Err(NoAnswer::Unreachable),
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    expires_on: Value,
}

/// The token of a good answer, and for how long it is given out. Metadata endpoints write numbers as texts, and some
/// say only when a token ends.
pub(crate) fn token(body: &[u8], now: Timestamp) -> Result<(Secret, Duration), Reason> {
    let granted: Granted = serde_json::from_slice(body).map_err(|_| Reason::ResponseMalformed)?;
    let token = Secret::new(granted.access_token);
    let ends = number(&granted.expires_on).map(|at| at.saturating_sub(u64::try_from(now.as_second()).unwrap_or(0)));
    let seconds = number(&granted.expires_in).or(ends).ok_or(Reason::ResponseMalformed)?;
    let usable = !token.is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = granted.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    if usable && bearer { Ok((token, lifetime(seconds))) } else { Err(Reason::ResponseMalformed) }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// How long a token is given out: a margin before its end, and half its life when it is shorter than that.
fn lifetime(expires_in: u64) -> Duration {
    let whole = Duration::from_secs(expires_in).min(MAX_LIFETIME);
    whole.saturating_sub(MARGIN).max(whole / 2)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[rstest]
    #[case(3599, 3299)]
    #[case(400, 200)]
    #[case(0, 0)]
    #[case(u64::MAX, 86_100)]
    fn tokens_are_given_up_before_they_end(#[case] expires_in: u64, #[case] seconds: u64) {
        assert_eq!(lifetime(expires_in), Duration::from_secs(seconds));
    }

    #[rstest]
    #[case(r#"{"access_token":"t","expires_in":3600}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_in":"86399","expires_on":"1","token_type":"Bearer"}"#, 86_099)]
    #[case(r#"{"access_token":"t","expires_on":"1767229200","token_type":"bearer"}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_on":1767229200}"#, 3300)]
    #[case(r#"{"access_token":"t","expires_on":"1"}"#, 0)]
    fn a_lifetime_is_read_however_it_is_written(#[case] body: &str, #[case] seconds: u64) {
        let (token, lifetime) = token(body.as_bytes(), now()).ok().unwrap();
        assert_eq!((token.expose(), lifetime), ("t", Duration::from_secs(seconds)));
    }

    #[rstest]
    #[case("")]
    #[case("<html>")]
    #[case("[]")]
    #[case(r#"{"access_token":"","expires_in":1}"#)]
    #[case(r#"{"access_token":"a\r\nb","expires_in":1}"#)]
    #[case(r#"{"access_token":"a b","expires_in":1}"#)]
    #[case(r#"{"access_token":7,"expires_in":1}"#)]
    #[case(r#"{"access_token":"t"}"#)]
    #[case(r#"{"access_token":"t","expires_in":-1}"#)]
    #[case(r#"{"access_token":"t","expires_in":"soon"}"#)]
    #[case(r#"{"access_token":"t","expires_in":1,"token_type":"pop"}"#)]
    #[case(r#"{"expires_in":1}"#)]
    fn what_is_no_token_is_none(#[case] body: &str) {
        assert_eq!(token(body.as_bytes(), now()).err(), Some(Reason::ResponseMalformed));
    }
}
