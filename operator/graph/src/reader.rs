//! Reads snapshots: takes a manifest and the bytes of its parts, one after the other, and gives rows, or the form that the
//! graph takes. Checks every part and row before it is passed on. May not: hold more than one part unpacked.

use crate::model::{EdgeRow, Header, NodeRow};
use crate::packed::{Packed, Packer};
use crate::snapshot::{
    Checked, MAX_PART_BYTES, Manifest, PartInfo, PartKind, Snapshot, SnapshotError, check_row, decode, unpack,
};
use crate::view::EdgeView;

type Result<T> = std::result::Result<T, SnapshotError>;

/// Reads a whole snapshot: `part` gives the bytes of each part the manifest names, in the manifest's order.
pub fn read_snapshot<'a>(manifest: Manifest, mut part: impl FnMut(&PartInfo) -> Option<&'a [u8]>) -> Result<Snapshot> {
    let mut reader = Reader::new(manifest, u64::MAX, Rows::default());
    while let Some(info) = reader.next_part()? {
        let bytes = part(info).ok_or(SnapshotError::MissingPart(reader.done))?;
        reader.add(bytes)?;
    }
    let (header, Rows { nodes, edges }) = reader.finish()?;
    Ok(Snapshot { header, nodes, edges })
}

/// Reads a snapshot part by part for the graph, so that nobody needs to hold all compressed parts or all rows, within a
/// bound on what they come to: small parts may hold very much.
pub struct SnapshotReader(Reader<Packer>);

impl SnapshotReader {
    /// Begins. All parts together may hold at most `most` uncompressed bytes.
    pub fn new(manifest: Manifest, most: u64) -> Self {
        let packer = Packer::new(&manifest.header);
        Self(Reader::new(manifest, most, packer))
    }

    /// The part to read next; none when all have been read. Refused when it claims a size that no part of ours has.
    pub fn next_part(&self) -> Result<Option<&PartInfo>> {
        self.0.next_part()
    }

    /// The bytes of that part.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.add(bytes)
    }

    /// The snapshot, once every part has been added.
    pub fn finish(self) -> Result<Packed> {
        let (header, packer) = self.0.finish()?;
        Ok(packer.finish(header))
    }
}

/// What becomes of the rows that are read: nodes, then edges, each ascending.
pub(crate) trait Sink {
    fn node(&mut self, row: NodeRow);
    fn edge(&mut self, row: EdgeView<'_>);
}

/// Keeps them.
#[derive(Default)]
struct Rows {
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
}

impl Sink for Rows {
    fn node(&mut self, row: NodeRow) {
        self.nodes.push(row);
    }

    fn edge(&mut self, row: EdgeView<'_>) {
        self.edges.push(row.to_row());
    }
}

/// Checks parts and rows as they come and passes the rows on.
struct Reader<S> {
    manifest: Manifest,
    done: usize,
    text: u64,
    most: u64,
    /// The last row of each kind so far: those of the next part are greater.
    last_node: Option<NodeRow>,
    last_edge: Option<EdgeRow>,
    /// How many of each there were.
    nodes: u64,
    edges: u64,
    into: S,
}

impl<S: Sink> Reader<S> {
    fn new(manifest: Manifest, most: u64, into: S) -> Self {
        Self { manifest, done: 0, text: 0, most, last_node: None, last_edge: None, nodes: 0, edges: 0, into }
    }

    fn next_part(&self) -> Result<Option<&PartInfo>> {
        let Some(info) = self.manifest.parts.get(self.done) else { return Ok(None) };
        let limit = MAX_PART_BYTES as u64;
        if info.bytes > limit {
            return Err(SnapshotError::TooLarge { what: "compressed part bytes", actual: info.bytes, limit });
        }
        Ok(Some(info))
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        let i = self.done;
        let info = self.manifest.parts.get(i).ok_or(SnapshotError::MissingPart(i))?;
        let text = unpack(info, bytes, i)?;
        self.text += text.len() as u64;
        if self.text > self.most {
            let (actual, limit) = (self.text, self.most);
            return Err(SnapshotError::TooLarge { what: "uncompressed snapshot bytes", actual, limit });
        }
        let (header, sink) = (&self.manifest.header, &mut self.into);
        match info.kind {
            PartKind::Nodes => {
                let rows: Vec<NodeRow> = decode(&text, info.rows)?;
                self.nodes += check_part(&rows, self.last_node.as_ref(), self.nodes, header)?;
                self.last_node = rows.last().cloned().or_else(|| self.last_node.take());
                for row in rows {
                    sink.node(row);
                }
            }
            PartKind::Edges => {
                let rows: Vec<EdgeView<'_>> = decode(&text, info.rows)?;
                let before = self.last_edge.as_ref().map(EdgeView::of);
                self.edges += check_part(&rows, before.as_ref(), self.edges, header)?;
                self.last_edge = rows.last().map(EdgeView::to_row).or_else(|| self.last_edge.take());
                for row in rows {
                    sink.edge(row);
                }
            }
        }
        self.done += 1;
        Ok(())
    }

    fn finish(self) -> Result<(Header, S)> {
        if self.done < self.manifest.parts.len() {
            return Err(SnapshotError::MissingPart(self.done));
        }
        Ok((self.manifest.header, self.into))
    }
}

/// Checks the rows of one part, which ascend, after `count` others, and says how many they are.
fn check_part<R: Checked>(rows: &[R], before: Option<&R>, count: u64, header: &Header) -> Result<u64> {
    if before.zip(rows.first()).is_some_and(|(before, first)| before >= first) {
        return Err(SnapshotError::Order(count));
    }
    for (i, row) in (count..).zip(rows) {
        check_row(row, i, header)?;
    }
    Ok(rows.len() as u64)
}
