//! The canonical model: nodes, edges, coverage, and the snapshot format that carries them.
//!
//! Takes rows that connectors map; gives a typed, validated graph. Pure: no clock, no network, no file system, no
//! threads. Everything that leaves this crate is ordered by immutable identifiers, so that equal input in any order
//! gives equal bytes.

pub mod canonical;
mod gates;
mod graph;
#[cfg(test)]
mod graph_tests;
mod merge;
mod model;
mod packed;
pub mod paths;
#[cfg(test)]
mod paths_tests;
mod predicate;
mod reader;
mod row_store;
pub mod snapshot;
#[cfg(test)]
mod snapshot_tests;
#[cfg(any(test, feature = "testing"))]
pub mod synthetic;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod view;

pub use gates::Gates;
pub use graph::{Edge, Fact, Graph, Instance, InstanceIx, Node, NodeIx, Source, TooManyRows};
pub use model::*;
pub use packed::Packed;
pub use predicate::{Tri, UnknownReason};
pub use row_store::RowStore;
pub use snapshot::{
    EncodedSnapshot, Manifest, Part, PartInfo, PartKind, PartRows, Row, Snapshot, SnapshotError, SnapshotReader,
    read_manifest, read_part, read_snapshot, write_snapshot,
};
