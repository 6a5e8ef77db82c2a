//! The lease that guards against two managers at work. One replica is the rule; the lease catches the exceptions (a node
//! that is cut off, a second release, a hand-started copy).
//!
//! A holder renews well before others may take over, and counts itself out before that: whoever cannot renew for
//! [`LOST_AFTER`] must stop, while nobody takes a lease that changed within [`EXPIRES_AFTER`]. Expiry is measured on
//! our own monotonic clock from when we last saw the lease change, so that wrong clocks of other nodes do not matter.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

/// Name of the lease.
const NAME: &str = "securityv0-manager";
/// Seconds for which the holder need not be asked.
const EXPIRES_AFTER: Duration = Duration::from_secs(15);
/// Without a renewal for this long the holder stops.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// Between renewals.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// Between looks at somebody else's lease, and between failed renewals.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// One contender.
pub struct LeaseGuard {
    api: Api<Lease>,
    identity: String,
    /// The lease as last seen in somebody else's hands, and since when it has been so.
    seen: Option<(Option<String>, Instant)>,
}

impl LeaseGuard {
    /// `client` must not retry by itself: a retry could outlast the lease.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), identity: identity.to_owned(), seen: None }
    }

    /// Returns once the lease is ours.
    pub async fn acquire(&mut self) {
        loop {
            match timeout(LOST_AFTER, self.take()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => tracing::debug!("another manager holds the lease"),
                Ok(Err(error)) => tracing::warn!(%error, "cannot read or take the lease"),
                Err(_) => tracing::warn!("the API server does not answer"),
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// Renews; returns only when the lease has to be counted as lost.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        let mut pause = RENEW_EVERY;
        loop {
            sleep(pause).await;
            let left = LOST_AFTER.saturating_sub(renewed.elapsed());
            match timeout(left, self.take()).await {
                Ok(Ok(true)) => {
                    renewed = Instant::now();
                    pause = RENEW_EVERY;
                    continue;
                }
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Ok(Ok(false)) | Err(_) => return,
            }
            if renewed.elapsed() >= LOST_AFTER {
                return;
            }
            pause = RETRY_EVERY;
        }
    }

    /// Gives the lease back, so that a successor need not wait for it to expire.
    pub async fn release(&self) -> kube::Result<()> {
        let mut lease = self.api.get(NAME).await?;
        match lease.spec.as_mut() {
            Some(spec) if spec.holder_identity.as_deref() == Some(&self.identity) => {
                spec.holder_identity = None;
                spec.renew_time = None;
                spec.acquire_time = None;
            }
            _ => return Ok(()),
        }
        self.api.replace(NAME, &PostParams::default(), &lease).await.map(drop)
    }

    /// One attempt to take or renew. `false`: it is somebody else's.
    async fn take(&mut self) -> kube::Result<bool> {
        let Some(lease) = self.api.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.holding(None)) };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        if !self.may_take(&lease) {
            return Ok(false);
        }
        // The resource version travels along: of two contenders one gets a conflict.
        let spec = self.holding(lease.spec.as_ref());
        let mine = Lease { metadata: lease.metadata, spec: Some(spec) };
        won(self.api.replace(NAME, &PostParams::default(), &mine).await)
    }

    fn may_take(&mut self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let version = &lease.metadata.resource_version;
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed() >= EXPIRES_AFTER,
            _ => {
                self.seen = Some((version.clone(), Instant::now()));
                false
            }
        }
    }

    fn holding(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let still = before.filter(|b| b.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|b| b.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(EXPIRES_AFTER.as_secs()).ok(),
            acquire_time: still.and_then(|b| b.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if still.is_some() || before.is_none() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

/// Another contender's win is an answer, not an error.
fn won(result: kube::Result<Lease>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}
