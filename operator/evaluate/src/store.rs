//! The store's client as a [`Vault`].

use std::collections::BTreeSet;

use bytes::Bytes;
use sv0_engine::load::{Deposit, FetchError, Vault};
use sv0_protocol::store::LiveInstances;
use sv0_store::client::{ClientError, StoreClient};

/// One estate's part of the store, over HTTPS.
#[derive(Clone, Debug)]
pub struct RemoteVault {
    client: StoreClient,
    namespace: String,
}

impl RemoteVault {
    /// The part of estate `namespace`.
    pub fn new(client: StoreClient, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }
}

impl Vault for RemoteVault {
    async fn manifest(&self, instance_uid: &str, snapshot: &str) -> Result<Bytes, FetchError> {
        self.client.get_manifest(&self.namespace, instance_uid, snapshot, None).await.map_err(translate)
    }

    async fn part(&self, instance_uid: &str, sha256: &str) -> Result<Bytes, FetchError> {
        self.client.get_part(&self.namespace, instance_uid, sha256).await.map_err(translate)
    }

    async fn list(&self, instance_uid: &str) -> Result<Vec<String>, FetchError> {
        self.client.list_snapshots(&self.namespace, instance_uid).await.map_err(translate)
    }

    async fn ledger(&self, digest: &str) -> Result<Bytes, FetchError> {
        self.client.get_ledger(&self.namespace, digest).await.map_err(translate)
    }
}

impl Deposit for RemoteVault {
    async fn put_ledger(&self, bytes: Bytes) -> Result<(), FetchError> {
        self.client.put_ledger(&self.namespace, bytes).await.map(drop).map_err(translate)
    }

    async fn put_pack(&self, bytes: Bytes) -> Result<(), FetchError> {
        self.client.put_pack(&self.namespace, bytes).await.map(drop).map_err(translate)
    }

    async fn pin(&self, instance_uid: &str, snapshots: &BTreeSet<String>) -> Result<(), FetchError> {
        match self.client.pin(&self.namespace, instance_uid, snapshots).await {
            // Nothing of the instance is there: whoever reads it next finds that out.
            Err(ClientError::Missing) => Ok(()),
            other => other.map_err(translate),
        }
    }

    async fn tell_instances(&self, live: &BTreeSet<String>, orphaned_days: u32) -> Result<(), FetchError> {
        let said = LiveInstances { instances: live.clone(), orphaned_days };
        self.client.tell_instances(&self.namespace, &said).await.map_err(translate)
    }
}

fn translate(error: ClientError) -> FetchError {
    match error {
        ClientError::Missing | ClientError::Corrupt => FetchError::Damaged,
        ClientError::Full => FetchError::Full,
        other => FetchError::Unavailable(other.to_string()),
    }
}
