//! The store's HTTP paths, token audiences and object keys.
//!
//! Every request carries a ServiceAccount token as bearer. The store never believes a tenant name in a request: it
//! forms the audience from the path, has the API server review the token for exactly that audience, and compares the
//! reviewed username with the only account allowed for that path.

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
