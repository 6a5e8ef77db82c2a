//! Tokens for Microsoft Graph: by the OAuth 2.0 client credentials grant with a mounted client secret, a mounted
//! certificate, the pod's projected token or a managed identity's token; or of the managed identity itself. Counts its
//! requests: at most three to each place per attempt to get a token.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use sv0_connector::{Cause, MAX_WAIT, NetworkPolicy, Pause, Secret, TokenError, TokenSource, backoff, client};
use sv0_protocol::Reason;
use sv0_protocol::names::{SECRET_CLIENT_SECRET_KEY, SECRET_TARGET_KEY};
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::aadsts::{Verdict, judge};
use crate::answer::{self, NoAnswer};
use crate::certificate::ClientCertificate;
use crate::files;
use crate::managed::{self, Metadata, Surroundings};
use crate::microsoft::Endpoints;

/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where the credential is found.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A mounted Secret with the keys `target` (the tenant) and `clientSecret`.
    ClientSecret {
        /// The mount.
        dir: PathBuf,
    },
    /// A mounted Secret with the keys `target`, `tls.crt` and `tls.key`, and perhaps `algorithm`.
    ClientCertificate {
        /// The mount.
        dir: PathBuf,
    },
    /// The pod's projected token.
    WorkloadIdentity {
        /// The token file.
        token: PathBuf,
    },
    /// The managed identity whose client id the configuration names: its own token for Graph.
    ManagedIdentity,
    /// A managed identity's token stands in for the application's own credential.
    FederatedManagedIdentity {
        /// Client id of the managed identity.
        managed_identity_client_id: String,
    },
}

/// Who signs in where.
#[derive(Clone, Debug)]
pub struct EntraConfig {
    /// Directory id.
    pub tenant_id: String,
    /// Application id, or the managed identity's client id.
    pub client_id: String,
    /// The cloud.
    pub endpoints: Endpoints,
    /// The credential.
    pub credential: Credential,
    /// What the pod's environment says of Azure.
    pub surroundings: Surroundings,
    /// Whether the order allows that a metadata endpoint is asked.
    pub allow_metadata_endpoint: bool,
    /// Tells the time: for assertions, and for a certificate's end.
    pub now: fn() -> Timestamp,
}

/// The broker of one scan.
pub struct EntraBroker {
    config: EntraConfig,
    address: Url,
    http: reqwest::Client,
    metadata: Option<Metadata>,
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
    credential_ends: Option<Timestamp>,
}

type Given = (Secret, Duration);

impl EntraBroker {
    /// Prepares; sends nothing.
    pub fn new(config: EntraConfig, network: &NetworkPolicy, pause: Arc<dyn Pause>) -> Result<Self, TokenError> {
        let http = client(network, &[config.endpoints.authority()]).map_err(|cause| of_cause(&cause))?;
        let tenant = sv0_connector::text::guid(&config.tenant_id).ok_or_else(|| plain(Reason::TenantIdMalformed))?;
        let address = config
            .endpoints
            .authority()
            .join(&format!("/{tenant}/oauth2/v2.0/token"))
            .map_err(|_| plain(Reason::InvalidConfiguration))?;
        let metadata = metadata(&config).map_err(plain)?;
        Ok(Self {
            config,
            address,
            http,
            metadata,
            pause,
            state: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::new(()),
            requests: AtomicU64::new(0),
        })
    }

    /// Token requests sent so far, those to a metadata endpoint included.
    pub fn token_requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The final failure of this scan, if there was one.
    pub fn failure(&self) -> Option<TokenError> {
        self.state().failed.clone()
    }

    /// When the certificate that was signed in with ends.
    pub fn credential_ends(&self) -> Option<Timestamp> {
        self.state().credential_ends
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

    async fn ask(&self) -> Result<Given, TokenError> {
        match &self.config.credential {
            Credential::ManagedIdentity => {
                self.identity_token(self.config.endpoints.resource(), &self.config.client_id).await
            }
            Credential::FederatedManagedIdentity { managed_identity_client_id } => {
                let audience = self.config.endpoints.exchange_audience();
                let (assertion, _) = self.identity_token(audience, managed_identity_client_id).await?;
                self.exchange(Some(&assertion)).await
            }
            _ => self.exchange(None).await,
        }
    }

    /// Asks the authority, a few times where that may help. `assertion` is a managed identity's token.
    async fn exchange(&self, assertion: Option<&Secret>) -> Result<Given, TokenError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let form = self.form(assertion).map_err(plain)?;
            let request = self
                .http
                .post(self.address.clone())
                .timeout(TIMEOUT)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.expose().to_owned());
            let (verdict, wait) = match self.send(request).await {
                Ok(answer) if answer.status == 200 => return self.given(&answer.body),
                Ok(answer) => (judge(answer.status, &answer.body), answer.wait),
                Err(NoAnswer::Unreachable) => (unreachable(Reason::IdentityProviderUnavailable), None),
                Err(NoAnswer::Refused(reason)) => return Err(plain(reason)),
            };
            self.wait_or_fail(verdict, wait, None, attempt).await?;
        }
    }

    /// Asks the place that gives tokens of managed identities.
    async fn identity_token(&self, resource: &str, client_id: &str) -> Result<Given, TokenError> {
        let Some(metadata) = &self.metadata else { return Err(plain(Reason::NetworkNotAllowed)) };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (verdict, wait, least) = match self.send(metadata.request(resource, client_id)).await {
                Ok(answer) if answer.status == 200 => return self.given(&answer.body),
                Ok(answer) => {
                    let (verdict, least) = managed::judge(answer.status, &answer.body);
                    (verdict, answer.wait, least)
                }
                Err(NoAnswer::Unreachable) => (unreachable(Reason::ManagedIdentityUnreachable), None, None),
                Err(NoAnswer::Refused(reason)) => return Err(plain(reason)),
            };
            self.wait_or_fail(verdict, wait, least, attempt).await?;
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<answer::Answer, NoAnswer> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        answer::send(request).await
    }

    fn given(&self, body: &[u8]) -> Result<Given, TokenError> {
        answer::token(body, (self.config.now)()).map_err(plain)
    }

    /// Waits before the next try, or says that there is none.
    async fn wait_or_fail(
        &self,
        verdict: Verdict,
        asked: Option<Duration>,
        least: Option<Duration>,
        attempt: u32,
    ) -> Result<(), TokenError> {
        let own = match verdict.reason {
            // It is the vendor's directory that has to catch up: some seconds more than an outage gets.
            Reason::FederationMismatch => Duration::from_secs(5) * attempt,
            _ => backoff(attempt),
        };
        let pause = asked.unwrap_or(own).max(least.unwrap_or_default());
        if attempt >= verdict.attempts || pause > MAX_WAIT {
            return Err(final_error(verdict, asked));
        }
        self.pause.pause(pause).await;
        Ok(())
    }

    /// The form; a Secret because it holds one.
    fn form(&self, assertion: Option<&Secret>) -> Result<Secret, Reason> {
        let mut form = Serializer::new(String::new());
        form.append_pair("client_id", &self.config.client_id)
            .append_pair("scope", self.config.endpoints.scope())
            .append_pair("grant_type", "client_credentials");
        let made;
        let assertion = match (&self.config.credential, assertion) {
            (_, Some(given)) => given,
            (Credential::ClientSecret { dir }, None) => {
                self.check_target(dir)?;
                let secret = files::read(&dir.join(SECRET_CLIENT_SECRET_KEY))?;
                form.append_pair("client_secret", secret.expose());
                return Ok(Secret::new(form.finish()));
            }
            (Credential::ClientCertificate { dir }, None) => {
                self.check_target(dir)?;
                made = self.signed(dir)?;
                &made
            }
            (Credential::WorkloadIdentity { token }, None) => {
                made = files::read(token)?;
                &made
            }
            (Credential::ManagedIdentity | Credential::FederatedManagedIdentity { .. }, None) => {
                return Err(Reason::InternalError);
            }
        };
        form.append_pair("client_assertion_type", ASSERTION_TYPE).append_pair("client_assertion", assertion.expose());
        Ok(Secret::new(form.finish()))
    }

    /// A Secret that was made for another tenant is not read any further.
    fn check_target(&self, dir: &Path) -> Result<(), Reason> {
        let target = files::read(&dir.join(SECRET_TARGET_KEY))?;
        if target.expose().trim().eq_ignore_ascii_case(&self.config.tenant_id) {
            Ok(())
        } else {
            Err(Reason::TargetMismatch)
        }
    }

    fn signed(&self, dir: &Path) -> Result<Secret, Reason> {
        let now = (self.config.now)();
        let certificate = ClientCertificate::read(dir, now)?;
        self.state().credential_ends = Some(certificate.not_after());
        certificate.assertion(&self.config.client_id, self.address.as_str(), now)
    }
}

/// What a managed identity is asked from, where one is signed in with and the order allows it.
fn metadata(config: &EntraConfig) -> Result<Option<Metadata>, Reason> {
    match config.credential {
        Credential::ManagedIdentity | Credential::FederatedManagedIdentity { .. } => {
            if !config.allow_metadata_endpoint {
                return Err(Reason::NetworkNotAllowed);
            }
            Metadata::new(&config.surroundings).map(Some)
        }
        // The authority would refuse a token of such a cluster with a word that leads nowhere.
        Credential::WorkloadIdentity { .. } if config.surroundings.token_proxy() => {
            Err(Reason::IdentityBindingUnsupported)
        }
        _ => Ok(None),
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

fn unreachable(reason: Reason) -> Verdict {
    Verdict { reason, vendor_code: None, attempts: 3 }
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
        Reason::AuthThrottled
            | Reason::IdentityProviderUnavailable
            | Reason::FederationIssuerUnreachable
            | Reason::ManagedIdentityUnreachable
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
    use super::*;

    fn broker() -> EntraBroker {
        let config = EntraConfig {
            tenant_id: "11111111-1111-4111-8111-111111111111".into(),
            client_id: "c".into(),
            endpoints: Endpoints::of(sv0_protocol::MicrosoftCloud::Public).unwrap(),
            credential: Credential::WorkloadIdentity { token: "/nowhere".into() },
            surroundings: Surroundings::default(),
            allow_metadata_endpoint: false,
            now: Timestamp::now,
        };
        EntraBroker::new(config, &NetworkPolicy::default(), Arc::new(sv0_connector::TokioPause)).unwrap()
    }

    fn give(broker: &EntraBroker) -> Arc<Secret> {
        let token = Arc::new(Secret::new("t".into()));
        broker.state().token = Some((Arc::clone(&token), Instant::now() + answer::MARGIN));
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
