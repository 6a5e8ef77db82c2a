//! Brings together what a bundle holds: takes an evaluation's pack and the estate's part of the store, gives the bundle.
//! Decodes no snapshot and judges none: objects go into the bundle as the store keeps them.

use bytes::Bytes;
use sv0_graph::read_manifest;

use crate::bundle::{Bundle, MAX_BUNDLE_BYTES};
use crate::load::{FetchError, Vault};
use crate::pack::PackSnapshot;
use crate::pack_reader::{Pack, PackReadError};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The pack cannot be read.
    #[error(transparent)]
    Pack(#[from] PackReadError),
    /// The store cannot be reached, or refuses.
    #[error(transparent)]
    Store(FetchError),
    /// What was evaluated is no longer there.
    #[error(
        "the store no longer holds {0} whole: it keeps the newest only (store.keepSnapshots, store.keepLedgers); ask for a scan and export the evaluation that follows"
    )]
    Gone(String),
    /// It would be too large.
    #[error("the evaluation's inputs are larger than the {MAX_BUNDLE_BYTES} bytes that a bundle allows")]
    TooLarge,
}

/// The bundle of the evaluation that `pack` is of.
pub async fn gather<V: Vault>(vault: &V, estate: &str, pack: Bytes) -> Result<Bundle, GatherError> {
    let header = Pack::read(&pack)?.header;
    let mut bundle = Bundle { estate: estate.to_owned(), pack, ..Bundle::default() };
    if let Some(digest) = header.config.ledger.as_deref().filter(|_| !header.config.history_lost) {
        bundle.ledger = Some(present(vault.ledger(digest).await, || "the ledger that it started from".to_owned())?);
    }
    bundle.next_ledger = present(vault.ledger(&header.next_ledger).await, || "the ledger that it left".to_owned())?;
    for snapshot in &header.snapshots {
        // The ordered one is there to show that it was set aside rightly, the used one to be evaluated again.
        let used = snapshot.used_id.as_deref();
        if used != Some(snapshot.snapshot_id.as_str()) {
            add(vault, &mut bundle, snapshot, &snapshot.snapshot_id, false).await?;
        }
        if let Some(id) = used {
            add(vault, &mut bundle, snapshot, id, true).await?;
        }
    }
    Ok(bundle)
}

/// Adds a snapshot; of one that was set aside, what there is of it.
async fn add<V: Vault>(
    vault: &V,
    bundle: &mut Bundle,
    of: &PackSnapshot,
    id: &str,
    whole: bool,
) -> Result<(), GatherError> {
    let uid = of.instance_uid.as_str();
    let name = || format!("snapshot {id} of the instance {}", of.instance);
    let Some(manifest) = lenient(vault.manifest(uid, id).await, whole, name)? else { return Ok(()) };
    bundle.manifests.insert((uid.to_owned(), id.to_owned()), manifest.clone());
    let Ok(manifest) = read_manifest(&manifest) else { return Ok(()) };
    for part in manifest.parts {
        let Some(bytes) = lenient(vault.part(uid, &part.sha256).await, whole, name)? else { continue };
        bundle.parts.insert((uid.to_owned(), part.sha256), bytes);
        if bundle.content_bytes() > MAX_BUNDLE_BYTES {
            return Err(GatherError::TooLarge);
        }
    }
    Ok(())
}

fn lenient(
    fetched: Result<Bytes, FetchError>,
    needed: bool,
    name: impl Fn() -> String,
) -> Result<Option<Bytes>, GatherError> {
    match fetched {
        Err(FetchError::Damaged) if !needed => Ok(None),
        fetched => present(fetched, name).map(Some),
    }
}

fn present(fetched: Result<Bytes, FetchError>, name: impl Fn() -> String) -> Result<Bytes, GatherError> {
    fetched.map_err(|error| match error {
        FetchError::Damaged => GatherError::Gone(name()),
        other => GatherError::Store(other),
    })
}
