//! Tokens for Microsoft Graph by the OAuth 2.0 client credentials grant: with a mounted client secret, or with the
//! pod's projected token as a client assertion. Counts its requests: at most three per attempt to get a token.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use serde::Deserialize;
use sv0_connector::{
    Cause, MAX_WAIT, NetworkPolicy, Pause, Secret, TokenError, TokenSource, backoff, client, retry_after,
};
use sv0_protocol::Reason;
use sv0_protocol::names::{SECRET_CLIENT_SECRET_KEY, SECRET_TARGET_KEY};
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::aadsts::{Verdict, judge};
use crate::files;
use crate::microsoft::Endpoints;

/// Most bytes of an answer of the identity provider.
const MAX_ANSWER: usize = 256 * 1024;
/// A token is not given out in its last minutes.
const MARGIN: Duration = Duration::from_mins(5);
/// Longest time that a token is believed to live.
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where the credential is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A mounted Secret with the keys `target` (the tenant) and `clientSecret`.
    ClientSecret {
        /// The mount.
        dir: PathBuf,
    },
    /// The pod's projected token.
    WorkloadIdentity {
        /// The token file.
        token: PathBuf,
    },
}

/// Who signs in where.
#[derive(Clone, Debug)]
pub struct EntraConfig {
    /// Directory id.
    pub tenant_id: String,
    /// Application id.
    pub client_id: String,
    /// The cloud.
    pub endpoints: Endpoints,
    /// The credential.
    pub credential: Credential,
}

/// The broker of one scan.
pub struct EntraBroker {
    config: EntraConfig,
    address: Url,
    http: reqwest::Client,
    pause: Arc<dyn Pause>,
    state: Mutex<State>,
    one_at_a_time: tokio::sync::Mutex<()>,
    requests: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<(Arc<Secret>, Instant)>,
    /// A final failure: asking again in the same scan would only add to the vendor's count of bad sign-ins.
    failed: Option<TokenError>,
    rejected_before: bool,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

impl EntraBroker {
    /// Prepares; sends nothing.
    pub fn new(config: EntraConfig, network: &NetworkPolicy, pause: Arc<dyn Pause>) -> Result<Self, TokenError> {
        let http = client(network, &[config.endpoints.authority()]).map_err(|cause| of_cause(&cause))?;
        let tenant = sv0_connector::text::guid(&config.tenant_id).ok_or_else(|| plain(Reason::InvalidConfiguration))?;
        let address = config
            .endpoints
            .authority()
            .join(&format!("/{tenant}/oauth2/v2.0/token"))
            .map_err(|_| plain(Reason::InvalidConfiguration))?;
        Ok(Self {
            config,
            address,
            http,
            pause,
            state: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::new(()),
            requests: AtomicU64::new(0),
        })
    }

    /// Token requests sent so far.
    pub fn token_requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The final failure of this scan, if there was one.
    pub fn failure(&self) -> Option<TokenError> {
        self.state().failed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known already: a living token or a final failure.
    fn known(&self) -> Option<Result<Arc<Secret>, TokenError>> {
        let state = self.state();
        if let Some(error) = &state.failed {
            return Some(Err(error.clone()));
        }
        let (token, until) = state.token.as_ref()?;
        (Instant::now() < *until).then(|| Ok(Arc::clone(token)))
    }

    async fn get(&self) -> Result<Arc<Secret>, TokenError> {
        if let Some(known) = self.known() {
            return known;
        }
        let _turn = self.one_at_a_time.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let result = self.ask().await;
        let mut state = self.state();
        match result {
            Ok((token, lifetime)) => {
                let token = Arc::new(token);
                state.token = Some((Arc::clone(&token), Instant::now() + lifetime));
                Ok(token)
            }
            Err(error) => {
                tracing::warn!(reason = error.reason, vendor_code = error.vendor_code, "no access token");
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn ask(&self) -> Result<(Secret, Duration), TokenError> {
        let mut attempt = 0;
        loop {
            let form = self.form().map_err(plain)?;
            let (verdict, wait) = match self.post(&form).await? {
                Reply::Token(token, lifetime) => return Ok((token, lifetime)),
                Reply::Refused(verdict, wait) => (verdict, wait),
            };
            attempt += 1;
            let pause = wait.unwrap_or_else(|| backoff(attempt));
            if attempt >= verdict.attempts || pause > MAX_WAIT {
                return Err(final_error(verdict, wait));
            }
            self.pause.pause(pause).await;
        }
    }

    /// The form; a Secret because it holds one.
    fn form(&self) -> Result<Secret, Reason> {
        let mut form = Serializer::new(String::new());
        form.append_pair("client_id", &self.config.client_id)
            .append_pair("scope", self.config.endpoints.scope())
            .append_pair("grant_type", "client_credentials");
        match &self.config.credential {
            Credential::ClientSecret { dir } => {
                let target = files::read(&dir.join(SECRET_TARGET_KEY))?;
                if !target.expose().trim().eq_ignore_ascii_case(&self.config.tenant_id) {
                    return Err(Reason::TargetMismatch);
                }
                let secret = files::read(&dir.join(SECRET_CLIENT_SECRET_KEY))?;
                form.append_pair("client_secret", secret.expose());
            }
            Credential::WorkloadIdentity { token } => {
                let assertion = files::read(token)?;
                form.append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", assertion.expose());
            }
        }
        Ok(Secret::new(form.finish()))
    }

    async fn post(&self, form: &Secret) -> Result<Reply, TokenError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = self
            .http
            .post(self.address.clone())
            .timeout(TIMEOUT)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.expose().to_owned())
            .send()
            .await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) if sv0_connector::leads_inside(&error) => return Err(plain(Reason::NetworkNotAllowed)),
            Err(_) => return Ok(unreachable_now()),
        };
        let status = response.status().as_u16();
        let wait =
            response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
        if response.headers().get(CONTENT_ENCODING).is_some_and(|value| value != "identity") {
            return Err(plain(Reason::ResponseRefused));
        }
        let mut body = zeroize::Zeroizing::new(Vec::new());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => return Err(plain(Reason::ResponseRefused)),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => return Ok(unreachable_now()),
            }
        }
        if status != 200 {
            return Ok(Reply::Refused(judge(status, &body), wait));
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| plain(Reason::ResponseMalformed))?;
        Ok(Reply::Token(Secret::new(answer.access_token), lifetime(answer.expires_in)))
    }
}

impl TokenSource for EntraBroker {
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, TokenError>> {
        Box::pin(self.get())
    }

    fn reject(&self, token: &Arc<Secret>) {
        let mut state = self.state();
        if !state.token.as_ref().is_some_and(|(current, _)| Arc::ptr_eq(current, token)) {
            return;
        }
        state.token = None;
        if state.rejected_before {
            state.failed = Some(plain(Reason::TokenRejected));
        }
        state.rejected_before = true;
    }
}

enum Reply {
    Token(Secret, Duration),
    Refused(Verdict, Option<Duration>),
}

fn unreachable_now() -> Reply {
    Reply::Refused(Verdict { reason: Reason::IdentityProviderUnavailable, vendor_code: None, attempts: 3 }, None)
}

/// How long a token is given out: a margin before its end, and half its life when it is shorter than that.
fn lifetime(expires_in: u64) -> Duration {
    let whole = Duration::from_secs(expires_in).min(MAX_LIFETIME);
    whole.saturating_sub(MARGIN).max(whole / 2)
}

fn plain(reason: Reason) -> TokenError {
    TokenError { reason: reason.as_str(), vendor_code: None, transient: false, retry_after_seconds: None }
}

fn of_cause(cause: &Cause) -> TokenError {
    TokenError { reason: cause.as_str(), vendor_code: None, transient: false, retry_after_seconds: None }
}

fn final_error(verdict: Verdict, wait: Option<Duration>) -> TokenError {
    let transient = matches!(
        verdict.reason,
        Reason::AuthThrottled | Reason::IdentityProviderUnavailable | Reason::FederationIssuerUnreachable
    );
    TokenError {
        reason: verdict.reason.as_str(),
        vendor_code: verdict.vendor_code,
        transient,
        retry_after_seconds: wait.map(|wait| wait.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(3599, 3299)]
    #[case(400, 200)]
    #[case(0, 0)]
    #[case(u64::MAX, 86_100)]
    fn tokens_are_given_up_before_they_end(#[case] expires_in: u64, #[case] seconds: u64) {
        assert_eq!(lifetime(expires_in), Duration::from_secs(seconds));
    }

    fn broker() -> EntraBroker {
        let config = EntraConfig {
            tenant_id: "11111111-1111-4111-8111-111111111111".into(),
            client_id: "c".into(),
            endpoints: Endpoints::of(sv0_protocol::MicrosoftCloud::Public).unwrap(),
            credential: Credential::WorkloadIdentity { token: "/nowhere".into() },
        };
        EntraBroker::new(config, &NetworkPolicy::default(), Arc::new(sv0_connector::TokioPause)).unwrap()
    }

    fn give(broker: &EntraBroker) -> Arc<Secret> {
        let token = Arc::new(Secret::new("t".into()));
        broker.state().token = Some((Arc::clone(&token), Instant::now() + MARGIN));
        token
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_rejected_and_rejections_end() {
        let broker = broker();
        let first = give(&broker);
        assert!(broker.token().await.is_ok_and(|token| Arc::ptr_eq(&token, &first)));
        broker.reject(&first);
        assert!(broker.known().is_none());
        let second = give(&broker);
        broker.reject(&first);
        assert!(broker.token().await.is_ok(), "an old token says nothing of the new one");
        broker.reject(&second);
        assert_eq!(broker.token().await.err().map(|error| error.reason), Some("TokenRejected"));
        assert_eq!(broker.token_requests(), 0);
    }

    #[tokio::test]
    async fn a_failure_is_final_for_the_scan() {
        let broker = broker();
        for _ in 0..3 {
            assert_eq!(broker.token().await.err().map(|error| error.reason), Some("CredentialMissing"));
        }
        assert_eq!(broker.token_requests(), 0);
    }
}
