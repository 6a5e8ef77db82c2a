//! How large what an evaluation writes may be. Whoever writes keeps to what whoever reads insists on: nothing is stored that
//! could not be read again.
//!
//! What a source system holds is for its administrators to say, and for whoever took one of them over: none of them may
//! make an estate's evidence or its memory unreadable.

use sv0_protocol::store::MAX_OBJECT_BYTES;

use crate::ledger::MAX_LEDGER_BYTES;
use crate::pack_reader::{MAX_PACK_BYTES, MAX_PACK_LINE_BYTES, MAX_PACK_LINES, MAX_PACK_VALUES};

/// Pieces of evidence of a finding that a pack holds at most, where it would be too large with as many as the rules keep
/// ([`sv0_rules::MAX_EVIDENCE`]): tried in this order. With 0 only findings that stand as resources have their evidence, as
/// much as with the number before; of the others it holds what a resource would say.
pub const FEWER_PIECES: [usize; 3] = [100, 10, 0];

/// What an evaluation keeps to. Anything else than the default is for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of an evidence pack.
    pub pack: PackBounds,
    /// Most uncompressed bytes of a ledger.
    pub ledger_bytes: u64,
    /// Most compressed bytes of either: what the store takes as one object.
    pub stored_bytes: u64,
    /// Most findings that are gone and still remembered. Those that have been gone the longest leave first.
    pub resolved: usize,
}

/// What an evidence pack keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackBounds {
    /// Most uncompressed bytes.
    pub bytes: u64,
    /// Most bytes of one line, with its end.
    pub line_bytes: u64,
    /// Most lines.
    pub lines: u64,
    /// Most JSON values of all lines.
    pub values: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            pack: PackBounds::default(),
            ledger_bytes: MAX_LEDGER_BYTES,
            stored_bytes: MAX_OBJECT_BYTES,
            resolved: 20_000,
        }
    }
}

impl Default for PackBounds {
    fn default() -> Self {
        Self {
            bytes: MAX_PACK_BYTES,
            line_bytes: MAX_PACK_LINE_BYTES as u64,
            lines: MAX_PACK_LINES as u64,
            values: MAX_PACK_VALUES,
        }
    }
}

/// A bound that would be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} {what}")]
pub struct TooLarge {
    /// Of what.
    pub what: &'static str,
    /// The bound.
    pub limit: u64,
}

/// An error when `actual` is more than `limit`.
pub(crate) const fn at_most(what: &'static str, actual: u64, limit: u64) -> Result<(), TooLarge> {
    if actual <= limit { Ok(()) } else { Err(TooLarge { what, limit }) }
}
