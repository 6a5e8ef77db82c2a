//! The consent of one tenant, as the redirects of a browser: the consent page, then a sign-in in the tenant that the
//! consent claims. Takes callbacks; gives where to go next, the proof, or why there is none.
//!
//! The `tenant` of a consent callback proves nothing: anybody can write it. What proves it is an `id_token` of that
//! tenant for a sign-in that this process began, of somebody who may consent.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use crate::clouds::Endpoints;
use crate::consent::state::{SignIn, StateError, States, Step};
use crate::consent::token::{self, Expected, TokenError};
use crate::http::{Answer, Http, HttpError};
use crate::values::Guid;

/// What a flow is about.
pub struct Settings {
    /// The application.
    pub client_id: Guid,
    /// The tenant, when the user named it.
    pub tenant: Option<Guid>,
    /// Where to sign in.
    pub endpoints: Endpoints,
    /// Where the browser comes back to.
    pub redirect: String,
    /// Take a sign-in that does not say which roles the account has.
    pub accept_unproven_role: bool,
    /// Seconds since 1970.
    pub clock: fn() -> i64,
}

/// A proven consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The tenant.
    pub tenant: Guid,
    /// The object id of the account that signed in.
    pub object_id: Option<String>,
    /// Whether the token said that the account may consent.
    pub role_proven: bool,
}

/// What comes of a callback.
#[derive(Debug)]
pub enum Outcome {
    /// The browser goes on to here.
    Redirect(Url),
    /// The consent is proven.
    Proven(Proof),
    /// The flow is over without a proof.
    Refused(Refusal),
    /// Not one of our callbacks: the flow goes on waiting.
    Ignored(StateError),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The identity provider said no.
    #[error("Microsoft answered {0}")]
    Error(String),
    /// The callback is not of the documented form.
    #[error("the answer was not of the documented form: {0}")]
    Malformed(&'static str),
    /// Another tenant than the user named.
    #[error("the consent is of the tenant {0}, not of the one that was asked for")]
    OtherTenant(String),
    /// The answer names another issuer.
    #[error("the answer came from another issuer than the one that was asked")]
    MixUp,
    /// The token proves nothing.
    #[error("the sign-in proves nothing: {0}")]
    Token(#[from] TokenError),
    /// The account may not consent.
    #[error("the account that signed in is not a Global Administrator or Privileged Role Administrator of the tenant")]
    NotAnAdministrator,
    /// The token does not say what the account may.
    #[error(
        "the sign-in does not say which roles the account has (the application needs groupMembershipClaims \
         'DirectoryRole'), so it is not proven that an administrator signed in"
    )]
    RoleUnknown,
    /// The identity provider could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Something here failed.
    #[error("the sign-in could not be prepared")]
    Internal,
}

/// Parameters of a callback, each at most once.
#[derive(Debug, Default)]
struct Callback {
    state: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    admin_consent: Option<String>,
    tenant: Option<String>,
    code: Option<String>,
    iss: Option<String>,
}

impl Callback {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut callback = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "state" => &mut callback.state,
                "error" => &mut callback.error,
                "error_description" => &mut callback.error_description,
                "admin_consent" => &mut callback.admin_consent,
                "tenant" => &mut callback.tenant,
                "code" => &mut callback.code,
                "iss" => &mut callback.iss,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(Refusal::Malformed("a parameter came twice"));
            }
        }
        Ok(callback)
    }

    /// The vendor's words for a failure: a word and a code, never its text.
    fn failure(&self) -> Option<String> {
        let word = self.error.as_ref()?;
        let fine = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let word: String = word.chars().filter(fine).take(60).collect();
        let code = self.error_description.as_deref().and_then(code);
        Some(code.map_or_else(|| word.clone(), |code| format!("{word} ({code})")))
    }
}

/// `AADSTS<digits>` in a text.
pub fn code(text: &str) -> Option<String> {
    text.split("AADSTS").skip(1).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(12).collect();
        (!digits.is_empty()).then(|| format!("AADSTS{digits}"))
    })
}

/// One consent.
pub struct Flow {
    settings: Settings,
    states: Mutex<States>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Flow {
    /// Prepares.
    pub fn new(settings: Settings) -> Self {
        Self { settings, states: Mutex::default() }
    }

    fn issue(&self, step: Step) -> Result<String, Refusal> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.issue(step, (self.settings.clock)()).map_err(|_| Refusal::Internal)
    }

    /// The consent page, with a fresh state.
    pub fn consent_url(&self) -> Result<Url, Refusal> {
        let Settings { client_id, endpoints, redirect, tenant, .. } = &self.settings;
        let state = self.issue(Step::Consent)?;
        let tenant = tenant.as_ref().map_or("organizations", Guid::as_str);
        let query = [
            ("client_id", client_id.as_str()),
            ("scope", &endpoints.scope()),
            ("redirect_uri", redirect),
            ("state", &state),
        ];
        endpoints.below_authority(&format!("{tenant}/v2.0/adminconsent"), &query).map_err(|_| Refusal::Internal)
    }

    /// Handles the query of a callback.
    pub async fn callback(&self, query: &str) -> Outcome {
        // Without a look at its state it could be anybody's: it ends nothing.
        let Ok(callback) = Callback::parse(query) else { return Outcome::Ignored(StateError::Forged) };
        let redeemed = {
            let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
            states.redeem(callback.state.as_deref().unwrap_or_default(), (self.settings.clock)())
        };
        let result = match redeemed {
            Err(error) => return Outcome::Ignored(error),
            Ok(Step::Consent) => self.consented(&callback).map(Outcome::Redirect),
            Ok(Step::SignIn(sign_in)) => self.signed_in(&callback, &sign_in).await.map(Outcome::Proven),
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    /// The consent page's answer: an error first, because a failure carries `admin_consent=True` too.
    fn consented(&self, callback: &Callback) -> Result<Url, Refusal> {
        if let Some(failure) = callback.failure() {
            return Err(Refusal::Error(failure));
        }
        if !callback.admin_consent.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(Refusal::Malformed("it does not say that consent was given"));
        }
        let claimed = callback.tenant.as_deref().unwrap_or_default().to_ascii_lowercase();
        let claimed: Guid = claimed.parse().map_err(|_| Refusal::Malformed("it names no tenant"))?;
        if self.settings.tenant.as_ref().is_some_and(|asked| *asked != claimed) {
            return Err(Refusal::OtherTenant(claimed.to_string()));
        }
        let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let sign_in = SignIn { tenant: claimed.to_string(), nonce: random(), verifier: random() };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&sign_in.verifier));
        let state = self.issue(Step::SignIn(sign_in.clone()))?;
        let query = [
            ("client_id", self.settings.client_id.as_str()),
            ("response_type", "code"),
            ("response_mode", "query"),
            ("redirect_uri", &self.settings.redirect),
            ("scope", "openid profile"),
            ("state", &state),
            ("nonce", &sign_in.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("prompt", "select_account"),
        ];
        self.settings
            .endpoints
            .below_authority(&format!("{claimed}/oauth2/v2.0/authorize"), &query)
            .map_err(|_| Refusal::Internal)
    }

    /// The sign-in's answer.
    async fn signed_in(&self, callback: &Callback, sign_in: &SignIn) -> Result<Proof, Refusal> {
        if let Some(failure) = callback.failure() {
            return Err(Refusal::Error(failure));
        }
        let issuers = self.issuers(&sign_in.tenant);
        if callback.iss.as_ref().is_some_and(|iss| !issuers.contains(iss)) {
            return Err(Refusal::MixUp);
        }
        let code = callback.code.as_deref().ok_or(Refusal::Malformed("it has no code"))?;
        let token = self.redeem(code, sign_in).await?;
        let (issuer, keys) = self.provider(&sign_in.tenant, &issuers).await?;
        let expected = Expected {
            tenant: &sign_in.tenant,
            issuer: &issuer,
            client_id: self.settings.client_id.as_str(),
            nonce: &sign_in.nonce,
            now: (self.settings.clock)(),
        };
        let signed_in = token::validate(&token, &keys, &expected)?;
        let role_proven = match signed_in.administrator {
            Some(true) => true,
            Some(false) => return Err(Refusal::NotAnAdministrator),
            None if self.settings.accept_unproven_role => false,
            None => return Err(Refusal::RoleUnknown),
        };
        let tenant = sign_in.tenant.parse().map_err(|_| Refusal::Internal)?;
        let object_id = signed_in.object_id.filter(|id| id.parse::<Guid>().is_ok());
        Ok(Proof { tenant, object_id, role_proven })
    }

    /// What a tenant's tokens may call their issuer.
    fn issuers(&self, tenant: &str) -> Vec<String> {
        self.settings.endpoints.token_hosts().iter().map(|host| format!("{host}/{tenant}/v2.0")).collect()
    }

    /// Turns the code into an `id_token`. The access token that comes with it is dropped unread.
    async fn redeem(&self, code: &str, sign_in: &SignIn) -> Result<String, Refusal> {
        let Settings { endpoints, client_id, redirect, .. } = &self.settings;
        let address = endpoints.below_authority(&format!("{}/oauth2/v2.0/token", sign_in.tenant), &[]);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client_id.as_str()),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", &sign_in.verifier),
            ("scope", "openid profile"),
        ];
        let answer = Http::new(&endpoints.network).post(&address.map_err(|_| Refusal::Internal)?, &form).await?;
        if answer.status != 200 {
            let failure: Failure = serde_json::from_slice(&answer.body).unwrap_or_default();
            let callback = Callback {
                error: Some(failure.error),
                error_description: Some(failure.error_description),
                ..Callback::default()
            };
            return Err(Refusal::Error(callback.failure().unwrap_or_default()));
        }
        json::<Tokens>(&answer).map(|tokens| tokens.id_token)
    }

    /// The issuer and the keys that the identity provider publishes for a tenant.
    async fn provider(&self, tenant: &str, issuers: &[String]) -> Result<(String, JwkSet), Refusal> {
        let endpoints = &self.settings.endpoints;
        let path = format!("{tenant}/v2.0/.well-known/openid-configuration");
        let address = endpoints.below_authority(&path, &[]).map_err(|_| Refusal::Internal)?;
        let http = Http::new(&endpoints.network);
        let metadata: Metadata = json(&http.get(&address).await?)?;
        let issuer = metadata.issuer.replace("{tenantid}", tenant);
        let jwks = Url::parse(&metadata.jwks_uri).map_err(|_| Refusal::MixUp)?;
        let origin = jwks.origin().ascii_serialization();
        if !issuers.contains(&issuer) || !endpoints.token_hosts().contains(&origin) {
            return Err(Refusal::MixUp);
        }
        Ok((issuer, json(&http.get(&jwks).await?)?))
    }
}

fn json<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<T, Refusal> {
    if answer.status != 200 {
        return Err(Refusal::Error(format!("HTTP {}", answer.status)));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Refusal::Malformed("it cannot be read"))
}
