//! Rows by the million, in any order, in a small part of the memory that they would take as values: packed as they come,
//! unpacked and sorted a few at a time when the snapshot is written.
//!
//! A bucket holds the rows whose identifiers begin alike: up to and with the first character of the vendor's id. Since
//! that is a prefix of what rows are sorted by, the buckets in order hold the rows in order. The bytes that come out
//! are those of [`crate::write_snapshot`]. May not: touch a disk, or believe that vendor ids are spread evenly (if they
//! are not, it costs memory and nothing else).

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{EdgeRow, Header, NodeId, NodeRow};
use crate::snapshot::{
    Checked, EncodedSnapshot, PartKind, PartWriter, Row, SnapshotError, assemble, prepared, split_node,
};

/// Bytes of rows that are packed together.
const BLOCK_BYTES: usize = 64 * 1024;
/// Fast: blocks are read once and thrown away.
const ZSTD_LEVEL: i32 = 1;

/// A row that comes back as it went in.
trait Stored: Checked + Serialize + DeserializeOwned {}

impl<R: Checked + Serialize + DeserializeOwned> Stored for R {}

type Result<T> = std::result::Result<T, SnapshotError>;

/// The rows.
#[derive(Default)]
pub struct RowStore {
    nodes: BTreeMap<Box<str>, Bucket>,
    edges: BTreeMap<Box<str>, Bucket>,
    rows: u64,
}

/// Rows whose identifiers begin alike, one JSON line each.
#[derive(Default)]
struct Bucket {
    packed: Vec<Box<[u8]>>,
    open: Vec<u8>,
}

impl RowStore {
    /// One more row.
    pub fn push(&mut self, row: Row) -> Result<()> {
        match row {
            Row::Node(row) => {
                let mut pieces = Vec::with_capacity(1);
                split_node(row, &mut pieces);
                for piece in pieces {
                    bucket(&mut self.nodes, &piece.id).add(&piece, self.rows)?;
                }
            }
            Row::Edge(row) => bucket(&mut self.edges, &row.from).add(&row, self.rows)?,
        }
        self.rows += 1;
        Ok(())
    }

    /// How many rows were added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that the rows take.
    pub fn bytes(&self) -> usize {
        let buckets = self.nodes.values().chain(self.edges.values());
        buckets.map(|bucket| bucket.open.len() + bucket.packed.iter().map(|block| block.len()).sum::<usize>()).sum()
    }

    /// Encodes all rows under `header`, as [`crate::write_snapshot`] does.
    pub fn write(self, header: Header) -> Result<EncodedSnapshot> {
        let header = prepared(header)?;
        let mut parts = write::<NodeRow>(PartKind::Nodes, self.nodes, &header)?;
        parts.extend(write::<EdgeRow>(PartKind::Edges, self.edges, &header)?);
        assemble(header, parts)
    }
}

fn write<R: Stored>(kind: PartKind, buckets: BTreeMap<Box<str>, Bucket>, header: &Header) -> Result<Vec<crate::Part>> {
    let mut writer = PartWriter::new(kind);
    for bucket in buckets.into_values() {
        writer.add(bucket.unpack::<R>()?, header)?;
    }
    writer.finish()
}

fn bucket<'a>(buckets: &'a mut BTreeMap<Box<str>, Bucket>, id: &NodeId) -> &'a mut Bucket {
    buckets.entry(key(id.as_str()).into()).or_default()
}

/// `entra:<tenant>:Credential:8`.
fn key(id: &str) -> &str {
    let Some((third, _)) = id.match_indices(':').nth(2) else { return id };
    let first = id[third + 1..].chars().next().map_or(0, char::len_utf8);
    &id[..third + 1 + first]
}

impl Bucket {
    fn add<R: Serialize>(&mut self, row: &R, number: u64) -> Result<()> {
        serde_json::to_writer(&mut self.open, row).map_err(|_| SnapshotError::Row(number))?;
        self.open.push(b'\n');
        if self.open.len() >= BLOCK_BYTES {
            let packed = zstd::bulk::compress(&self.open, ZSTD_LEVEL).map_err(|_| SnapshotError::Compression)?;
            self.packed.push(packed.into());
            self.open.clear();
        }
        Ok(())
    }

    fn unpack<R: Stored>(self) -> Result<Vec<R>> {
        let mut rows = Vec::new();
        for block in self.packed {
            let text = zstd::stream::decode_all(&block[..]).map_err(|_| SnapshotError::Compression)?;
            read(&text, &mut rows)?;
        }
        read(&self.open, &mut rows)?;
        Ok(rows)
    }
}

fn read<R: Stored>(text: &[u8], rows: &mut Vec<R>) -> Result<()> {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        rows.push(serde_json::from_slice(line).map_err(|_| SnapshotError::Row(rows.len() as u64))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EdgeKind, NodeKind, Value, attr};
    use crate::testing::{SnapshotBuilder, text};
    use crate::write_snapshot;

    /// Ids as vendors write them and as they do not, and far more than one block of them.
    fn many(n: u32) -> SnapshotBuilder {
        let mut b = SnapshotBuilder::entra("uid-1", "tenant-1");
        for i in 0..n {
            // Spread over the first character, with repetitions.
            let id = format!("{:08x}-0000", (i % (n - n / 10)).wrapping_mul(2_654_435_761));
            let at = text(&format!("2026-01-01T00:00:{:02}Z", i % 60));
            let app = b.node(
                "applications",
                NodeKind::Application,
                &id,
                &[(attr::NAME, text("payroll")), (attr::CREATED_AT, at)],
            );
            let key =
                b.node("applications", NodeKind::Credential, &format!("{id}/{i}"), &[(attr::VALID_TO, text("none"))]);
            b.edge("applications", &app, EdgeKind::HoldsCredential, &key);
        }
        for odd in ["\u{e9}t\u{e9}", "a:b:c:d", ":", "\u{1f600}"] {
            let attrs: Vec<(String, Value)> = (0..2000).map(|i| (format!("appRole:{i}"), text("x"))).collect();
            let attrs: Vec<(&str, Value)> = attrs.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            b.node("applications", NodeKind::Group, odd, &attrs);
        }
        b
    }

    #[test]
    fn the_bytes_are_those_of_sorting_everything_at_once() {
        let mut b = many(4000);
        let mut store = RowStore::default();
        for row in b.rows().into_iter().rev() {
            store.push(row).unwrap();
        }
        assert_eq!(store.rows(), b.rows().len() as u64);
        assert_eq!(store.write(b.header().clone()).unwrap(), write_snapshot(b.header().clone(), b.rows()).unwrap());
    }

    #[test]
    fn rows_take_a_small_part_of_their_memory() {
        let b = many(40_000);
        let mut store = RowStore::default();
        for row in b.rows() {
            store.push(row).unwrap();
        }
        let each = store.bytes() as u64 / store.rows();
        assert!(each < 100, "{each} bytes for each row");
    }

    #[test]
    fn what_the_format_refuses_is_refused() {
        let mut b = many(10);
        let mut store = RowStore::default();
        let mut rows = b.rows();
        if let Some(Row::Node(row)) = rows.iter_mut().find(|row| matches!(row, Row::Node(_))) {
            row.op = 999;
        }
        for row in rows.clone() {
            store.push(row).unwrap();
        }
        let refused = write_snapshot(b.header().clone(), rows).unwrap_err();
        assert!(matches!(refused, SnapshotError::Invalid(..)));
        assert!(matches!(store.write(b.header().clone()), Err(SnapshotError::Invalid(..))));
    }

    #[test]
    fn a_bucket_is_a_prefix_of_what_rows_are_sorted_by() {
        for (id, bucket) in [
            ("entra:t:Human:ab", "entra:t:Human:a"),
            ("entra:t:Human:", "entra:t:Human:"),
            ("x", "x"),
            ("a:b:c:\u{e9}x", "a:b:c:\u{e9}"),
        ] {
            assert_eq!(key(id), bucket);
        }
    }
}
