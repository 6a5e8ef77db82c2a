//! Who may do what. The only place that decides it.
//!
//! Takes an access (made from the checked path) and a bearer token; gives the UID of the estate's namespace, under
//! which all keys lie, or a refusal. The expected audience is formed from the path, the token is reviewed for exactly
//! that audience, and the reviewed username is compared with the only accounts that are allowed. Verdicts are
//! remembered shortly, by the hash of the token; so a revoked token works for at most [`VERDICT_LIFE`] longer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sv0_protocol::{names, store};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::keys::{Instance, Namespace, Uid};

/// For how long a positive review is believed, unless the token ends before.
pub const VERDICT_LIFE: Duration = Duration::from_mins(1);
/// For how long a negative review is believed.
const REFUSAL_LIFE: Duration = Duration::from_secs(5);
/// For how long a namespace's UID is believed.
const NAMESPACE_LIFE: Duration = Duration::from_secs(30);
/// Remembered verdicts, and remembered namespaces, at most.
const MAX_REMEMBERED: usize = 1024;
/// Reviews at the API server at a time.
const MAX_REVIEWS: usize = 16;
/// Longer bearer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What the API server says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The account's full name.
    pub username: String,
    /// Those of the asked audiences that the token is valid for.
    pub audiences: Vec<String>,
}

/// The API server could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the API server could not be asked: {0}")]
pub struct ReviewError(pub String);

/// Asks the API server.
pub trait Reviewer: Send + Sync + 'static {
    /// Reviews a token for these audiences; `None` when it is not authentic or for none of them.
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>>;

    /// UID of a namespace; `None` when there is none of this name.
    fn namespace_uid<'a>(&'a self, namespace: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>>;
}

/// What a request wants, from its checked path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A scan writes for its instance.
    Scan {
        /// The estate.
        namespace: Namespace,
        /// Name of the instance.
        instance: Instance,
        /// UID of the instance.
        instance_uid: Uid,
    },
    /// An evaluation writes for its estate.
    EstateWrite(Namespace),
    /// An evaluation or a person reads an estate.
    EstateRead(Namespace),
}

impl Access {
    fn namespace(&self) -> &Namespace {
        match self {
            Self::Scan { namespace, .. } | Self::EstateWrite(namespace) | Self::EstateRead(namespace) => namespace,
        }
    }

    fn audiences(&self) -> Vec<String> {
        match self {
            Self::Scan { namespace, instance, instance_uid } => {
                vec![store::scan_audience(namespace.as_str(), instance.as_str(), instance_uid.as_str())]
            }
            Self::EstateWrite(namespace) => vec![store::evaluate_audience(namespace.as_str())],
            Self::EstateRead(namespace) => {
                vec![store::evaluate_audience(namespace.as_str()), store::reader_audience(namespace.as_str())]
            }
        }
    }

    /// Whether a reviewed token opens this access. Pure.
    fn allows(&self, reviewed: &Reviewed, operator_namespace: &str) -> bool {
        let for_audience = |audience: &String| reviewed.audiences.contains(audience);
        match self {
            Self::Scan { namespace, .. } => {
                for_audience(&self.audiences()[0])
                    && account(&reviewed.username).is_some_and(|(ns, _)| ns == namespace.as_str())
            }
            Self::EstateWrite(namespace) | Self::EstateRead(namespace) => {
                let estate = namespace.as_str();
                let accounts = [names::evaluate_account(estate), names::reader_account(estate)];
                self.audiences().iter().zip(accounts).any(|(a, name)| {
                    for_audience(a) && account(&reviewed.username) == Some((operator_namespace, &name))
                })
            }
        }
    }
}

/// `system:serviceaccount:<namespace>:<name>` → namespace and name.
fn account(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token, or none that is valid for this path's audience.
    #[error("a ServiceAccount token for this path's audience is needed")]
    Unauthenticated,
    /// A valid token of another account.
    #[error("this ServiceAccount may not do this")]
    Forbidden,
    /// The API server could not be asked.
    #[error("the token cannot be reviewed at the moment; try again")]
    Unavailable,
}

/// The gate.
pub struct Gate {
    reviewer: Arc<dyn Reviewer>,
    operator_namespace: String,
    verdicts: Mutex<Memory<[u8; 32], Option<Reviewed>>>,
    /// By token, so that a token of a namespace made anew never meets the UID of its predecessor.
    namespaces: Mutex<Memory<[u8; 32], Uid>>,
    reviews: Semaphore,
}

impl Gate {
    /// `operator_namespace` is where the `evaluate-*` and `reader-*` accounts live.
    pub fn new(reviewer: Arc<dyn Reviewer>, operator_namespace: &Namespace) -> Self {
        Self {
            reviewer,
            operator_namespace: operator_namespace.as_str().to_owned(),
            verdicts: Mutex::new(Memory::default()),
            namespaces: Mutex::new(Memory::default()),
            reviews: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// Lets a request in, and gives the UID of its estate's namespace, or refuses it.
    pub async fn admit(&self, access: &Access, bearer: Option<&str>) -> Result<Uid, Denied> {
        let token = bearer.filter(|t| !t.is_empty() && t.len() <= MAX_TOKEN_BYTES).ok_or(Denied::Unauthenticated)?;
        let reviewed = self.review(token, &access.audiences()).await?.ok_or(Denied::Unauthenticated)?;
        if !access.allows(&reviewed, &self.operator_namespace) {
            return Err(Denied::Forbidden);
        }
        // Asked only now: whoever is not let in learns nothing of which namespaces exist.
        self.namespace_uid(access.namespace(), token).await
    }

    /// Lets the purge account in. It has the rights of no estate, and an estate's accounts do not have its.
    pub async fn admit_purge(&self, bearer: Option<&str>) -> Result<(), Denied> {
        let token = bearer.filter(|t| !t.is_empty() && t.len() <= MAX_TOKEN_BYTES).ok_or(Denied::Unauthenticated)?;
        let audience = store::PURGE_AUDIENCE.to_owned();
        let reviewed = self.review(token, std::slice::from_ref(&audience)).await?.ok_or(Denied::Unauthenticated)?;
        let own = Some((self.operator_namespace.as_str(), names::PURGE_ACCOUNT));
        if reviewed.audiences.contains(&audience) && account(&reviewed.username) == own {
            Ok(())
        } else {
            Err(Denied::Forbidden)
        }
    }

    /// Whom the gate itself asks.
    pub(crate) fn reviewer(&self) -> &dyn Reviewer {
        &*self.reviewer
    }

    async fn review(&self, token: &str, audiences: &[String]) -> Result<Option<Reviewed>, Denied> {
        let key = verdict_key(token, audiences);
        if let Some(verdict) = guard(&self.verdicts).get(&key, Instant::now()) {
            return Ok(verdict);
        }
        let _permit = self.reviews.acquire().await.map_err(|_| Denied::Unavailable)?;
        let verdict = self.reviewer.review(token, audiences).await.map_err(|error| {
            tracing::warn!(%error, "a token could not be reviewed");
            Denied::Unavailable
        })?;
        let life = if verdict.is_some() { verdict_life(token, SystemTime::now()) } else { REFUSAL_LIFE };
        guard(&self.verdicts).put(key, verdict.clone(), Instant::now(), life);
        Ok(verdict)
    }

    async fn namespace_uid(&self, namespace: &Namespace, token: &str) -> Result<Uid, Denied> {
        let key = verdict_key(token, &[namespace.as_str().to_owned()]);
        if let Some(uid) = guard(&self.namespaces).get(&key, Instant::now()) {
            return Ok(uid);
        }
        let uid = self.reviewer.namespace_uid(namespace).await.map_err(|error| {
            tracing::warn!(%error, "a namespace could not be looked up");
            Denied::Unavailable
        })?;
        let uid = uid.ok_or(Denied::Forbidden)?;
        guard(&self.namespaces).put(key, uid.clone(), Instant::now(), NAMESPACE_LIFE);
        Ok(uid)
    }
}

fn verdict_key(token: &str, audiences: &[String]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in std::iter::once(token).chain(audiences.iter().map(String::as_str)) {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// How long a positive verdict may be believed: never beyond the token's own end, not at all when that is unreadable.
fn verdict_life(token: &str, now: SystemTime) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token.split('.').nth(1).and_then(|c| URL_SAFE_NO_PAD.decode(c).ok());
    let claims = claims.and_then(|c| serde_json::from_slice::<Claims>(&c).ok());
    let end = claims.and_then(|c| UNIX_EPOCH.checked_add(Duration::from_secs(c.exp)));
    end.and_then(|end| end.duration_since(now).ok()).unwrap_or_default().min(VERDICT_LIFE)
}

/// A bounded memory whose entries end.
struct Memory<K, V>(HashMap<K, (V, Instant)>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Memory<K, V> {
    fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.0.get(key).filter(|(_, end)| now < *end).map(|(value, _)| value.clone())
    }

    fn put(&mut self, key: K, value: V, now: Instant, life: Duration) {
        if life.is_zero() {
            return;
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, (_, end)| now < *end);
        }
        if self.0.len() >= MAX_REMEMBERED {
            let first_to_end = self.0.iter().min_by_key(|(_, (_, end))| *end).map(|(key, _)| key.clone());
            if let Some(key) = first_to_end {
                self.0.remove(&key);
            }
        }
        self.0.insert(key, (value, now + life));
    }
}

fn guard<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
