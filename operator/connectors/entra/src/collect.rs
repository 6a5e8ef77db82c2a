//! The walk over a tenant, one module for each kind of question. What the first questions learn (which principals
//! exist, of which kind, with which permissions to offer) is what the later ones are asked about.

pub(crate) mod authority;
pub(crate) mod identities;
pub(crate) mod own;
pub(crate) mod people;
pub(crate) mod relations;

use sv0_connector::{Engine, RowSink, SinkError};
use sv0_graph::{EdgeRow, NodeRow};

use crate::config::Config;
use crate::map::{Mapper, Rows};

/// What every step has at hand.
pub(crate) struct Walk<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) rows: &'a dyn RowSink,
    pub(crate) map: Mapper<'a>,
    pub(crate) config: &'a Config,
}

impl Walk<'_> {
    pub(crate) fn node(&self, row: NodeRow) -> Result<(), SinkError> {
        self.rows.row(row.into())
    }

    pub(crate) fn edge(&self, row: EdgeRow) -> Result<(), SinkError> {
        self.rows.row(row.into())
    }

    /// Keeps all rows of an item; says whether it was whole.
    pub(crate) fn keep(&self, rows: Rows) -> Result<bool, SinkError> {
        for node in rows.nodes {
            self.node(node)?;
        }
        for edge in rows.edges {
            self.edge(edge)?;
        }
        Ok(!rows.flawed)
    }
}
