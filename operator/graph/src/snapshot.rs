//! The snapshot format: takes a header and rows, gives immutable parts and the manifest that names them; and back.
//!
//! A part is JSON Lines, sorted ascending, deduplicated, each line ended by `\n`, then zstd level 3; its name is the
//! SHA-256 of the compressed bytes. Equal facts give byte-identical parts, since times and scan ids stand only in the
//! manifest. Reading trusts nothing: every bound below is checked before memory is spent, and whatever the writer
//! would not have written is a typed error.

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::canonical::{digest, sha256_hex, to_canonical_json};
use crate::model::{EdgeRow, Header, NodeRow, SNAPSHOT_FORMAT, Value};
pub use crate::reader::{SnapshotReader, read_snapshot};
use crate::view::EdgeView;

/// Uncompressed bytes after which the writer starts another part.
pub const PART_TARGET_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes of one row, its line end included.
pub const MAX_ROW_BYTES: usize = 64 * 1024;
/// Most uncompressed bytes of a part that the reader accepts.
pub const MAX_PART_BYTES: usize = PART_TARGET_BYTES + MAX_ROW_BYTES;
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of one text in a row: identifiers, names, addresses.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Most attributes of one row.
pub const MAX_ATTRS: usize = 1024;
/// Most parts of a snapshot.
pub const MAX_PARTS: usize = 4096;
/// Most rows of a snapshot.
pub const MAX_ROWS: u64 = 50_000_000;
/// Most coverage records and most operations of a header.
pub const MAX_HEADER_RECORDS: usize = 10_000;

/// Estimated bytes of attributes after which the writer starts another row of the same node.
const SPLIT_ROW_BYTES: usize = 24 * 1024;
const ZSTD_LEVEL: i32 = 3;
/// Largest window that a part may ask the reader to hold: 16 MiB.
const MAX_WINDOW_LOG: u32 = 24;

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartKind {
    /// [`NodeRow`]s.
    Nodes,
    /// [`EdgeRow`]s.
    Edges,
}

/// What the manifest says of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartInfo {
    /// What it holds.
    pub kind: PartKind,
    /// Lower-case hex SHA-256 of the compressed bytes: the part's name.
    pub sha256: String,
    /// Compressed bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

/// What makes a snapshot visible: the header and the parts, nodes before edges, each kind in ascending order of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Times, coverage and the calls that rows refer to.
    pub header: Header,
    /// The parts.
    pub parts: Vec<PartInfo>,
}

/// One part, ready to be stored under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the manifest says of it.
    pub info: PartInfo,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
}

/// A snapshot as it is stored. Parts are written first, the manifest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSnapshot {
    /// The parts in the manifest's order.
    pub parts: Vec<Part>,
    /// The manifest.
    pub manifest: Manifest,
    /// Its canonical bytes.
    pub manifest_bytes: Vec<u8>,
    /// `sha256:<hex>` of those bytes: the snapshot's digest.
    pub digest: String,
}

/// A snapshot in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Times, coverage and the calls that rows refer to.
    pub header: Header,
    /// Sorted ascending.
    pub nodes: Vec<NodeRow>,
    /// Sorted ascending.
    pub edges: Vec<EdgeRow>,
}

impl AsRef<Header> for Snapshot {
    fn as_ref(&self) -> &Header {
        &self.header
    }
}

/// One row, as a connector maps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// About a node.
    Node(NodeRow),
    /// About an edge.
    Edge(EdgeRow),
}

impl From<NodeRow> for Row {
    fn from(row: NodeRow) -> Self {
        Self::Node(row)
    }
}

impl From<EdgeRow> for Row {
    fn from(row: EdgeRow) -> Self {
        Self::Edge(row)
    }
}

/// The rows of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartRows {
    /// Rows of a nodes part.
    Nodes(Vec<NodeRow>),
    /// Rows of an edges part.
    Edges(Vec<EdgeRow>),
}

/// Why a snapshot cannot be written or read. No variant carries content of the snapshot, only positions and bounds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// Written by another, probably newer, format version.
    #[error(
        "snapshot format is not {SNAPSHOT_FORMAT}: scan again with this version, or evaluate with the version that wrote it"
    )]
    Format,
    /// A bound of the format is passed.
    #[error("{what} is {actual}, more than the {limit} that the format allows")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is; for compressed input the point where reading stopped.
        actual: u64,
        /// The bound.
        limit: u64,
    },
    /// Bytes do not hash to the name they are stored under.
    #[error("part {0} does not match its digest: the stored object was changed or cut; scan again")]
    DigestMismatch(usize),
    /// The compressed stream is cut or damaged.
    #[error("the part's compressed stream is cut or damaged; scan again")]
    Compression,
    /// A line is not a row of this format.
    #[error("row {0} cannot be read as a row of this format")]
    Row(u64),
    /// Rows are not strictly ascending.
    #[error("row {0} is not greater than the one before it: rows must be sorted and unique")]
    Order(u64),
    /// The last row has no line end.
    #[error("the part ends inside a row")]
    Cut,
    /// The manifest says another number of rows.
    #[error("the part has {actual} rows, the manifest says {expected}")]
    RowCount {
        /// By the manifest.
        expected: u64,
        /// In the part.
        actual: u64,
    },
    /// The manifest is not one.
    #[error("the manifest cannot be read")]
    Manifest,
    /// The header contradicts itself or the format.
    #[error("the header is invalid: {0}")]
    Header(&'static str),
    /// A row refers to an operation that the header does not list, or its identifier is malformed.
    #[error("row {0} is invalid: {1}")]
    Invalid(u64, &'static str),
    /// A part named by the manifest was not supplied.
    #[error("part {0} is missing")]
    MissingPart(usize),
}

type Result<T> = std::result::Result<T, SnapshotError>;

/// Sorts and deduplicates `rows` and encodes them under `header`. The header's format and the order of its coverage
/// are set here.
pub fn write_snapshot(header: Header, rows: impl IntoIterator<Item = Row>) -> Result<EncodedSnapshot> {
    let header = prepared(header)?;
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::Node(row) => split_node(row, &mut nodes),
            Row::Edge(row) => edges.push(row),
        }
    }
    let mut parts = encode(PartKind::Nodes, nodes, &header)?;
    parts.extend(encode(PartKind::Edges, edges, &header)?);
    assemble(header, parts)
}

/// Sets what is not the caller's to choose, and checks.
pub(crate) fn prepared(mut header: Header) -> Result<Header> {
    SNAPSHOT_FORMAT.clone_into(&mut header.format);
    header.coverage.sort_unstable();
    check_header(&header)?;
    Ok(header)
}

/// Names the parts.
pub(crate) fn assemble(header: Header, parts: Vec<Part>) -> Result<EncodedSnapshot> {
    let manifest = Manifest { header, parts: parts.iter().map(|part| part.info.clone()).collect() };
    check_manifest(&manifest)?;
    let manifest_bytes = to_canonical_json(&manifest).map_err(|_| SnapshotError::Manifest)?;
    at_most("manifest bytes", manifest_bytes.len(), MAX_MANIFEST_BYTES)?;
    let digest = digest(&manifest_bytes);
    Ok(EncodedSnapshot { parts, manifest, manifest_bytes, digest })
}

/// Reads and checks a manifest.
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Probe {
        header: Format,
    }
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    at_most("manifest bytes", bytes.len(), MAX_MANIFEST_BYTES)?;
    // The version first: a later format may have fields that the strict types below refuse.
    let probe: Probe = serde_json::from_slice(bytes).map_err(|_| SnapshotError::Manifest)?;
    if probe.header.format != SNAPSHOT_FORMAT {
        return Err(SnapshotError::Format);
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|_| SnapshotError::Manifest)?;
    check_manifest(&manifest)?;
    Ok(manifest)
}

/// Reads one part that the manifest describes as `info`.
pub fn read_part(info: &PartInfo, bytes: &[u8]) -> Result<PartRows> {
    let text = unpack(info, bytes, 0)?;
    match info.kind {
        PartKind::Nodes => decode(&text, info.rows).map(PartRows::Nodes),
        PartKind::Edges => decode(&text, info.rows).map(PartRows::Edges),
    }
}

/// Checks a part against its name and uncompresses it.
pub(crate) fn unpack(info: &PartInfo, bytes: &[u8], i: usize) -> Result<Vec<u8>> {
    if u64::try_from(bytes.len()) != Ok(info.bytes) || sha256_hex(bytes) != info.sha256 {
        return Err(SnapshotError::DigestMismatch(i));
    }
    decompress(bytes)
}

/// Spreads the attributes of a large node over several rows, which loading merges again. The cuts depend on the
/// attributes alone, so that equal nodes give equal rows.
pub(crate) fn split_node(row: NodeRow, into: &mut Vec<NodeRow>) {
    let size = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::List(texts) => texts.iter().map(|text| text.len() + 3).sum(),
        Value::Bool(_) | Value::Int(_) => 20,
    };
    let NodeRow { id, kind, op, attrs } = row;
    let mut piece = NodeRow { id: id.clone(), kind, op, attrs: std::collections::BTreeMap::new() };
    let mut bytes = 0;
    for (key, value) in attrs {
        let more = key.len() + size(&value) + 8;
        if !piece.attrs.is_empty() && (bytes + more > SPLIT_ROW_BYTES || piece.attrs.len() == MAX_ATTRS) {
            into.push(std::mem::replace(
                &mut piece,
                NodeRow { id: id.clone(), kind, op, attrs: std::collections::BTreeMap::new() },
            ));
            bytes = 0;
        }
        bytes += more;
        piece.attrs.insert(key, value);
    }
    into.push(piece);
}

/// What writer and reader ask of both kinds of rows.
pub(crate) trait Checked: Ord {
    fn op(&self) -> u16;
    fn problem(&self) -> Option<&'static str>;
}

impl Checked for NodeRow {
    fn op(&self) -> u16 {
        self.op
    }

    fn problem(&self) -> Option<&'static str> {
        if self.id.kind() != Some(self.kind) {
            return Some("the kind differs from the kind inside the identifier");
        }
        if self.attrs.len() > MAX_ATTRS {
            return Some("too many attributes");
        }
        let long = |text: &str| text.len() > MAX_TEXT_BYTES;
        let long_value = |value: &Value| match value {
            Value::Text(text) => long(text),
            Value::List(texts) => texts.iter().any(|text| long(text)),
            Value::Bool(_) | Value::Int(_) => false,
        };
        if bad_id(self.id.as_str()) {
            return Some("the identifier is malformed");
        }
        self.attrs.iter().any(|(key, value)| long(key) || long_value(value)).then_some("a text is too long")
    }
}

impl Checked for EdgeRow {
    fn op(&self) -> u16 {
        self.op
    }

    fn problem(&self) -> Option<&'static str> {
        EdgeView::of(self).problem()
    }
}

impl Checked for EdgeView<'_> {
    fn op(&self) -> u16 {
        self.op
    }

    fn problem(&self) -> Option<&'static str> {
        if bad_id(&self.from) || bad_id(&self.to) {
            return Some("the identifier is malformed");
        }
        [&self.object, &self.role, &self.scope, &self.condition]
            .into_iter()
            .flatten()
            .any(|text| text.len() > MAX_TEXT_BYTES)
            .then_some("a text is too long")
    }
}

/// `system:tenant:Kind:id`, no part empty, a known kind.
fn bad_id(id: &str) -> bool {
    let mut parts = id.splitn(4, ':');
    let [system, tenant, kind, vendor] = [parts.next(), parts.next(), parts.next(), parts.next()];
    let empty = |part: Option<&str>| part.is_none_or(str::is_empty);
    let known = kind.is_some_and(|kind| crate::NodeKind::of(kind).is_some());
    id.len() > MAX_TEXT_BYTES || empty(system) || empty(tenant) || empty(vendor) || !known
}

pub(crate) fn check_row<R: Checked>(row: &R, i: u64, header: &Header) -> Result<()> {
    if usize::from(row.op()) >= header.operations.len() {
        return Err(SnapshotError::Invalid(i, "it refers to an operation that the header does not list"));
    }
    row.problem().map_or(Ok(()), |problem| Err(SnapshotError::Invalid(i, problem)))
}

fn check_rows<R: Checked>(rows: &[R], header: &Header) -> Result<()> {
    let mut before: Option<&R> = None;
    for (i, row) in (0u64..).zip(rows) {
        check_row(row, i, header)?;
        if before.is_some_and(|before| before >= row) {
            return Err(SnapshotError::Order(i));
        }
        before = Some(row);
    }
    Ok(())
}

fn encode<R: Checked + Serialize>(kind: PartKind, rows: Vec<R>, header: &Header) -> Result<Vec<Part>> {
    let mut writer = PartWriter::new(kind);
    writer.add(rows, header)?;
    writer.finish()
}

/// Writes rows of one kind into parts.
pub(crate) struct PartWriter {
    kind: PartKind,
    parts: Vec<Part>,
    text: Vec<u8>,
    count: u64,
}

impl PartWriter {
    pub(crate) fn new(kind: PartKind) -> Self {
        Self { kind, parts: Vec::new(), text: Vec::new(), count: 0 }
    }

    /// Sorts and deduplicates `rows`, which are all greater than those added before.
    pub(crate) fn add<R: Checked + Serialize>(&mut self, mut rows: Vec<R>, header: &Header) -> Result<()> {
        rows.sort_unstable();
        rows.dedup();
        check_rows(&rows, header)?;
        for (i, row) in (0u64..).zip(&rows) {
            let line = serde_json::to_vec(row).map_err(|_| SnapshotError::Row(i))?;
            at_most("row bytes", line.len() + 1, MAX_ROW_BYTES)?;
            if !self.text.is_empty() && self.text.len() + line.len() > PART_TARGET_BYTES {
                self.end_part()?;
            }
            self.text.extend_from_slice(&line);
            self.text.push(b'\n');
            self.count += 1;
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        self.parts.push(finish(self.kind, &self.text, self.count)?);
        self.text.clear();
        self.count = 0;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<Part>> {
        if self.count > 0 {
            self.end_part()?;
        }
        Ok(self.parts)
    }
}

fn finish(kind: PartKind, text: &[u8], rows: u64) -> Result<Part> {
    let bytes = zstd::bulk::compress(text, ZSTD_LEVEL).map_err(|_| SnapshotError::Compression)?;
    let info = PartInfo { kind, sha256: sha256_hex(&bytes), bytes: bytes.len() as u64, rows };
    Ok(Part { info, bytes })
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| SnapshotError::Compression)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(|_| SnapshotError::Compression)?;
    let mut text = Vec::new();
    // One byte more than allowed is asked for, so that a bomb is seen without being unpacked.
    (&mut decoder).take(MAX_PART_BYTES as u64 + 1).read_to_end(&mut text).map_err(|_| SnapshotError::Compression)?;
    at_most("uncompressed part bytes", text.len(), MAX_PART_BYTES)?;
    let rest = decoder.finish();
    if rest.is_empty() { Ok(text) } else { Err(SnapshotError::Compression) }
}

pub(crate) fn decode<'t, R: Deserialize<'t> + Ord>(text: &'t [u8], expected: u64) -> Result<Vec<R>> {
    let mut rows: Vec<R> = Vec::new();
    if text.last().is_some_and(|last| *last != b'\n') {
        return Err(SnapshotError::Cut);
    }
    for (i, line) in (0u64..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        at_most("row bytes", line.len(), MAX_ROW_BYTES)?;
        let row: R = serde_json::from_slice(line).map_err(|_| SnapshotError::Row(i))?;
        if rows.last().is_some_and(|before| *before >= row) {
            return Err(SnapshotError::Order(i));
        }
        rows.push(row);
    }
    let actual = rows.len() as u64;
    if actual == expected { Ok(rows) } else { Err(SnapshotError::RowCount { expected, actual }) }
}

fn check_manifest(manifest: &Manifest) -> Result<()> {
    check_header(&manifest.header)?;
    at_most("number of parts", manifest.parts.len(), MAX_PARTS)?;
    if !manifest.parts.is_sorted_by_key(|part| part.kind) {
        return Err(SnapshotError::Header("parts with nodes stand before parts with edges"));
    }
    let named = |part: &PartInfo| {
        part.sha256.len() == 64
            && part.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if !manifest.parts.iter().all(named) {
        return Err(SnapshotError::Header("a part's name is not a SHA-256 in lower-case hex"));
    }
    let rows = manifest.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    if rows > MAX_ROWS {
        return Err(SnapshotError::TooLarge { what: "number of rows", actual: rows, limit: MAX_ROWS });
    }
    Ok(())
}

fn check_header(header: &Header) -> Result<()> {
    if header.format != SNAPSHOT_FORMAT {
        return Err(SnapshotError::Format);
    }
    at_most("number of operations", header.operations.len(), MAX_HEADER_RECORDS)?;
    at_most("number of coverage records", header.coverage.len(), MAX_HEADER_RECORDS)?;
    let same = |a: &crate::Coverage, b: &crate::Coverage| (&a.collection, &a.scope) < (&b.collection, &b.scope);
    if !header.coverage.is_sorted_by(same) {
        return Err(SnapshotError::Header("coverage is sorted by collection and scope, one record each"));
    }
    let named = [&header.system, &header.tenant, &header.instance, &header.instance_uid, &header.scan_id];
    if named.iter().any(|text| text.is_empty() || text.len() > 512) {
        return Err(SnapshotError::Header(
            "system, tenant, instance, instance uid and scan id are present and at most 512 bytes",
        ));
    }
    if header.system.contains(':') || header.tenant.contains(':') {
        return Err(SnapshotError::Header("system and tenant contain no colon"));
    }
    if header.finished_at < header.observed_at {
        return Err(SnapshotError::Header("the scan ends before it begins"));
    }
    Ok(())
}

fn at_most(what: &'static str, actual: usize, limit: usize) -> Result<()> {
    if actual <= limit {
        return Ok(());
    }
    Err(SnapshotError::TooLarge { what, actual: actual as u64, limit: limit as u64 })
}
