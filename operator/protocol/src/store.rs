//! The store's HTTP paths, token audiences and object keys.
//!
//! Every request carries a ServiceAccount token as bearer. The store never believes a tenant name in a request: it
//! forms the audience from the path, has the API server review the token for exactly that audience, and compares the
//! reviewed username with the only account allowed for that path.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Largest part or pack in bytes that the store accepts in one request.
pub const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;

/// Audience of a scan's token. The instance's UID is part of it, so that a re-created instance inherits nothing.
pub fn scan_audience(namespace: &str, instance: &str, instance_uid: &str) -> String {
    format!("securityv0-store/scan/{namespace}/{instance}/{instance_uid}")
}

/// Audience of the token with which the estate's `evaluate` account reads snapshots and writes packs and ledgers.
pub fn evaluate_audience(namespace: &str) -> String {
    format!("securityv0-store/evaluate/{namespace}")
}

/// Audience of the token with which people read through the estate's `reader` account.
pub fn reader_audience(namespace: &str) -> String {
    format!("securityv0-store/reader/{namespace}")
}

/// `PUT`: one immutable part, named by the SHA-256 of its bytes. 201 new, 200 already there, 422 digest differs.
pub fn scan_part_path(namespace: &str, instance: &str, instance_uid: &str, sha256: &str) -> String {
    format!("/v1/scan/{namespace}/{instance}/{instance_uid}/parts/{sha256}")
}

/// `PUT`: the manifest that makes a snapshot visible. 201 new, 200 identical, 409 another content under this id,
/// 424 a part that it names is missing, 507 the instance's quota or the disk is full.
pub fn scan_manifest_path(namespace: &str, instance: &str, instance_uid: &str, scan_id: &str) -> String {
    format!("/v1/scan/{namespace}/{instance}/{instance_uid}/snapshots/{scan_id}")
}

/// `GET`: JSON list of scan ids, oldest first.
pub fn snapshots_path(namespace: &str, instance_uid: &str) -> String {
    format!("/v1/estates/{namespace}/instances/{instance_uid}/snapshots")
}

/// `GET`: one manifest.
pub fn snapshot_path(namespace: &str, instance_uid: &str, scan_id: &str) -> String {
    format!("/v1/estates/{namespace}/instances/{instance_uid}/snapshots/{scan_id}")
}

/// `GET`: one part.
pub fn part_path(namespace: &str, instance_uid: &str, sha256: &str) -> String {
    format!("/v1/estates/{namespace}/instances/{instance_uid}/parts/{sha256}")
}

/// `PUT` (evaluate only): the snapshots of an instance that are kept beside the newest, as a JSON list of at most
/// [`MAX_PINNED`] scan ids. It replaces the list before; ids that are not visible are left out. 201 changed, 200 as it was.
pub fn pinned_path(namespace: &str, instance_uid: &str) -> String {
    format!("/v1/estates/{namespace}/instances/{instance_uid}/pinned")
}

/// Most snapshots of one instance that can be pinned.
pub const MAX_PINNED: usize = 2;

/// `PUT` (evaluate only) and `GET`: an evidence pack by the SHA-256 of its bytes.
pub fn pack_path(namespace: &str, sha256: &str) -> String {
    format!("/v1/estates/{namespace}/packs/{sha256}")
}

/// `PUT` (evaluate only) and `GET`: a ledger by the SHA-256 of its bytes.
pub fn ledger_path(namespace: &str, sha256: &str) -> String {
    format!("/v1/estates/{namespace}/ledgers/{sha256}")
}

/// Audience of the token with which the purge account has the store delete what belongs to nothing any more.
pub const PURGE_AUDIENCE: &str = "securityv0-store/purge";

/// `PUT` (evaluate only), a [`LiveInstances`]: which instances of the estate there are. What the store holds of others is
/// deleted once it was not named for as long as the statement says. 201 taken.
pub fn instances_path(namespace: &str) -> String {
    format!("/v1/estates/{namespace}/instances")
}

/// `GET` (purge only): a JSON list of [`Departed`], sorted by namespace and UID.
pub const DEPARTED_PATH: &str = "/v1/departed";

/// `PUT` (purge only), no body: delete what is stored of a namespace that is gone or silent, without waiting for the retention.
/// 201 it will be, 200 that was asked already, 404 nothing is stored, 409 it is not known to be gone.
pub fn departed_estate_path(namespace_uid: &str) -> String {
    format!("{DEPARTED_PATH}/{namespace_uid}")
}

/// The same for an instance that the last evaluation of its estate did not find any more.
pub fn departed_instance_path(namespace_uid: &str, instance_uid: &str) -> String {
    format!("{DEPARTED_PATH}/{namespace_uid}/{instance_uid}")
}

/// Most instances that a [`LiveInstances`] names. Of an estate with more, nothing is told and nothing deleted.
pub const MAX_LIVE: usize = 10_000;
/// Longest [`LiveInstances`] in bytes.
pub const MAX_LIVE_BYTES: u64 = 1024 * 1024;
/// For how many days at most the data of what is gone can be kept.
pub const MAX_ORPHANED_DAYS: u32 = 3660;
/// For how many days it is kept where no Estate says it.
pub const DEFAULT_ORPHANED_DAYS: u32 = 30;

/// Which instances an estate has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveInstances {
    /// UIDs of all of them, at most [`MAX_LIVE`].
    pub instances: BTreeSet<String>,
    /// For how many days the data of others is kept: 1 to [`MAX_ORPHANED_DAYS`].
    pub orphaned_days: u32,
}

/// What the store knows of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EstateState {
    /// It is there, and written for.
    There,
    /// It is there, but no scan and no evaluation wrote anything for the retention: the operator leaves it alone.
    Silent,
    /// It was deleted, or another one has its name.
    Gone,
}

/// What is stored of an estate, or in an estate, that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Departed {
    /// Name that the namespace has or had.
    pub namespace: String,
    /// Its UID.
    pub namespace_uid: String,
    /// Whether all of it is gone, or some of its instances alone.
    pub state: EstateState,
    /// For how many days it is kept.
    pub orphaned_days: u32,
    /// Seconds for which the namespace is known to be gone; 0 while it is there.
    pub seconds: u64,
    /// Whether somebody asked for its deletion.
    pub asked: bool,
    /// Instances that are gone, by UID.
    pub instances: Vec<DepartedInstance>,
}

/// An instance that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DepartedInstance {
    /// Its UID.
    pub uid: String,
    /// Seconds for which it is known to be gone.
    pub seconds: u64,
    /// Whether somebody asked for its deletion.
    pub asked: bool,
}
