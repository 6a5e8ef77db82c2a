//! The operator's store, as people read it: through `kubectl port-forward`, with a short token of the estate's reader
//! account. Takes the cluster and an estate; gives the estate's part of the store, for reading alone.
//!
//! The user's credentials stay inside kubectl: they buy the token and the way, and reach the store in neither. The
//! token is held in memory only and wiped; what answers at the other end must prove by its certificate that it is the
//! store, under the authority that the operator published.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use sv0_engine::load::{FetchError, Vault};
use sv0_protocol::names::reader_account;
use sv0_protocol::{StoreAccess, store};
use sv0_store::client::{ClientError, StoreClient};
use tokio::signal::unix::{SignalKind, signal};

use crate::forward::Forward;
use crate::kubectl::Cluster;
use crate::values::Namespace;

/// The store's pod: a StatefulSet with one replica. Its name is fixed, so that a role can name it.
const POD: &str = "securityv0-store-0";
const SERVICE: &str = "securityv0-store";
const AUTHORITY: &str = "securityv0-store-ca";
const PORT: u16 = 8443;

/// Where the operator is.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// The namespace of the operator.
    #[arg(long, value_name = "NAMESPACE", default_value = "securityv0-system")]
    pub operator_namespace: Namespace,
}

/// An estate's part of the store, open as long as the value lives.
pub struct OpenStore {
    client: StoreClient,
    estate: String,
    _forward: Forward,
}

#[derive(Deserialize)]
struct ConfigMap {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "ca.crt")]
    authority: String,
}

impl OpenStore {
    /// Opens it under the user's own rights.
    pub async fn open(cluster: &Cluster, place: &Place, estate: &Namespace) -> Result<Self> {
        let rights = format!(
            "reading the store needs the role securityv0-reader-{estate} in {} (chart value estates[].readers)",
            place.operator_namespace
        );
        let audience = store::reader_audience(estate.as_str());
        let (client, forward) = reach(cluster, place, &reader_account(estate.as_str()), &audience, rights).await?;
        Ok(Self { client, estate: estate.as_str().to_owned(), _forward: forward })
    }

    /// A pack by its digest.
    pub async fn pack(&self, digest: &str) -> Result<Bytes> {
        match self.client.get_pack(&self.estate, digest).await {
            Err(ClientError::Missing) => {
                bail!(
                    "the store does not hold the pack {digest}: it keeps the newest ones of an estate (store.keepPacks)"
                )
            }
            result => Ok(result?),
        }
    }
}

/// A client of the store with a short token of `account`; it works while the way is open. `rights` says what it needs.
pub(crate) async fn reach(
    cluster: &Cluster,
    place: &Place,
    account: &str,
    audience: &str,
    rights: String,
) -> Result<(StoreClient, Forward)> {
    let operator = place.operator_namespace.as_str();
    let map: ConfigMap = cluster.object("configmap", AUTHORITY, operator).with_context(|| rights.clone())?;
    let token = cluster.account_token(operator, account, audience).with_context(|| rights.clone())?;
    let forward = Forward::open(cluster, &place.operator_namespace, POD, PORT).await.with_context(|| rights)?;
    let access = StoreAccess { url: format!("https://{SERVICE}.{operator}.svc:{PORT}"), ca_pem: map.data.authority };
    Ok((StoreClient::held(&access, token, forward.address)?, forward))
}

impl Vault for OpenStore {
    async fn manifest(&self, instance_uid: &str, snapshot: &str) -> Result<Bytes, FetchError> {
        self.client.get_manifest(&self.estate, instance_uid, snapshot, None).await.map_err(translate)
    }

    async fn part(&self, instance_uid: &str, sha256: &str) -> Result<Bytes, FetchError> {
        self.client.get_part(&self.estate, instance_uid, sha256).await.map_err(translate)
    }

    async fn list(&self, instance_uid: &str) -> Result<Vec<String>, FetchError> {
        self.client.list_snapshots(&self.estate, instance_uid).await.map_err(translate)
    }

    async fn ledger(&self, digest: &str) -> Result<Bytes, FetchError> {
        self.client.get_ledger(&self.estate, digest).await.map_err(translate)
    }
}

fn translate(error: ClientError) -> FetchError {
    match error {
        ClientError::Missing | ClientError::Corrupt => FetchError::Damaged,
        other => FetchError::Unavailable(other.to_string()),
    }
}

/// Does `work` to its end, or to a signal that asks this program to end: then what it holds is dropped first, and with
/// it the child process of a forward.
pub async fn until_told<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    let mut hangup = signal(SignalKind::hangup()).context("signals cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
    tokio::select! {
        result = work => result,
        _ = terminate.recv() => bail!("ended by a signal"),
        _ = hangup.recv() => bail!("ended by a signal"),
        _ = interrupt.recv() => bail!("ended by a signal"),
    }
}
