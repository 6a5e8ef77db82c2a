//! The walk over a tenant, one module for each kind of question. What the first questions learn (which principals
//! exist, of which kind, with which permissions to offer) is what the later ones are asked about.

pub(crate) mod activity;
pub(crate) mod agents;
pub(crate) mod authority;
pub(crate) mod groups;
pub(crate) mod identities;
pub(crate) mod own;
pub(crate) mod pairs;
pub(crate) mod people;
pub(crate) mod policies;
pub(crate) mod relations;

use sv0_connector::{Cause, Engine, Param, Prepared, RowSink, SinkError, Tally};
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

    /// Whether the accepted revision includes `operation`; says so in `tally` when not. What is asked for each of some
    /// holders must look first: without holders there would be no request to be refused.
    pub(crate) fn accepts(&self, operation: &str, tally: &mut Tally) -> bool {
        let accepted = self.engine.guard().accepts(operation);
        if !accepted {
            tally.report(Cause::CollectionNotAccepted);
        }
        accepted
    }

    /// One read for each of `ids`, or nothing and why in `tally`.
    pub(crate) fn each(&self, operation: &str, ids: &[String], tally: &mut Tally) -> Vec<Prepared> {
        let prepared: Result<Vec<Prepared>, _> =
            ids.iter().map(|id| self.engine.guard().prepare(operation, &[("id", Param::Id(id.as_str()))])).collect();
        prepared.unwrap_or_else(|refusal| {
            tally.report(self.engine.refused(&refusal));
            Vec::new()
        })
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
