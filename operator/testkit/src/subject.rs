//! What is tested, and one run of it: the connector behind the real engine, against a vendor on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use sv0_connector::{
    Collected, Connector, Engine, EngineConfig, Exchanges, Failure, Limits, Manifest, NetworkPolicy, Pause, RowSink,
    Secret, SinkError, TokenError, TokenSource, install_crypto_provider,
};
use sv0_graph::{Coverage, CoverageState, Header, Row, SNAPSHOT_FORMAT, write_snapshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Tenant;
use crate::fault::{Fault, MAX_BYTES};
use crate::server::{Manner, Notes, Server};

/// More than any fixture has.
pub(crate) const ONE_PAGE: usize = 10_000;

/// A connector with the tenant that it reads, and what is known of it.
pub struct Subject<C> {
    pub(crate) connector: C,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) revision: u32,
    pub(crate) tenant: Tenant,
    pub(crate) decisive: BTreeSet<&'static str>,
    pub(crate) depends: BTreeMap<&'static str, &'static [&'static str]>,
    pub(crate) depends_alone: BTreeMap<&'static str, &'static [&'static str]>,
    pub(crate) words: Vec<&'static str>,
    pub(crate) not_exercised: BTreeMap<&'static str, &'static str>,
    pub(crate) not_streamed: BTreeMap<&'static str, &'static str>,
    pub(crate) departures: Vec<Departure>,
}

/// A part of the contract that a connector is known to break.
pub(crate) struct Departure {
    pub(crate) check: &'static str,
    pub(crate) sentence: &'static str,
}

impl<C: Connector> Subject<C> {
    /// A connector that may ask for everything up to `revision`.
    pub fn new(connector: C, revision: u32, tenant: Tenant) -> Self {
        let manifest = Arc::new(connector.manifest().clone());
        Self {
            connector,
            manifest,
            revision,
            tenant,
            decisive: BTreeSet::new(),
            depends: BTreeMap::new(),
            depends_alone: BTreeMap::new(),
            words: Vec::new(),
            not_exercised: BTreeMap::new(),
            not_streamed: BTreeMap::new(),
            departures: Vec::new(),
        }
    }

    /// Collections without which the whole scan is worthless.
    #[must_use]
    pub fn decisive(mut self, collections: &'static [&'static str]) -> Self {
        self.decisive.extend(collections);
        self
    }

    /// What a collection is built upon: it is not complete when one of these is not.
    #[must_use]
    pub fn depends(mut self, collection: &'static str, on: &'static [&'static str]) -> Self {
        self.depends.insert(collection, on);
        self
    }

    /// The same, where an answer of its own is taken from another collection: what that one is built upon is no matter.
    #[must_use]
    pub fn depends_alone(mut self, collection: &'static str, on: &'static [&'static str]) -> Self {
        self.depends_alone.insert(collection, on);
        self
    }

    /// Fields that hold one of the vendor's words.
    #[must_use]
    pub fn words(mut self, fields: &'static [&'static str]) -> Self {
        self.words.extend(fields);
        self
    }

    /// An operation that the fixture does not make the connector ask for, and why.
    #[must_use]
    pub fn not_exercised(mut self, operation: &'static str, why: &'static str) -> Self {
        self.not_exercised.insert(operation, why);
        self
    }

    /// An operation whose rows do not come page by page, and why its memory is bounded all the same.
    #[must_use]
    pub fn not_streamed(mut self, operation: &'static str, why: &'static str) -> Self {
        self.not_streamed.insert(operation, why);
        self
    }

    /// A known defect: sentences of `check` that hold this text are expected, and why they come. Once none comes any
    /// more, the check says so: a departure does not outlive its defect.
    #[must_use]
    pub fn departs(mut self, check: &'static str, sentence: &'static str, _why: &'static str) -> Self {
        self.departures.push(Departure { check, sentence });
        self
    }

    /// Operations that the accepted revision allows.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &sv0_connector::Operation> {
        self.manifest.operations.iter().filter(|operation| operation.revision <= self.revision)
    }

    /// Collections that the accepted revision allows, with their operations.
    pub(crate) fn collections(&self) -> BTreeMap<&str, Vec<&sv0_connector::Operation>> {
        let mut collections: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for operation in self.operations() {
            if let Some(collection) = &operation.collection {
                collections.entry(collection).or_default().push(operation);
            }
        }
        collections
    }

    /// All that is built upon a collection, directly or not.
    pub(crate) fn dependents(&self, collection: &str) -> BTreeSet<&'static str> {
        let alone = self.depends_alone.iter().filter(|(_, on)| on.contains(&collection));
        let mut found: BTreeSet<&'static str> = alone.map(|(name, _)| *name).collect();
        loop {
            let more: Vec<_> = self
                .depends
                .iter()
                .filter(|(name, on)| {
                    !found.contains(*name) && on.iter().any(|on| *on == collection || found.contains(on))
                })
                .map(|(name, _)| *name)
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// A vendor with this subject's tenant.
    pub(crate) async fn vendor(&self) -> std::io::Result<Arc<Server>> {
        install_crypto_provider();
        Server::start(Arc::clone(&self.manifest), self.tenant.clone(), self.words.clone()).await
    }

    /// One run with nothing wrong.
    pub(crate) async fn healthy(&self, vendor: &Server, page_size: usize) -> Run {
        self.run(vendor, Manner { page_size, ..Manner::default() }, self.revision, Exchanges::Live).await
    }

    /// One run with operations that misbehave.
    pub(crate) async fn with(&self, vendor: &Server, page_size: usize, faults: &[(&str, Fault)]) -> Run {
        let faults = faults.iter().map(|(operation, fault)| ((*operation).to_owned(), fault.clone())).collect();
        self.run(vendor, Manner { page_size, faults, reversed: false }, self.revision, Exchanges::Live).await
    }

    pub(crate) async fn run(&self, vendor: &Server, manner: Manner, revision: u32, exchanges: Exchanges) -> Run {
        let rows = Arc::new(Rows::default());
        vendor.begin(manner, Arc::clone(&rows));
        let hosts = self.manifest.operations.iter().map(|o| (o.host.clone(), vendor.origin.clone())).collect();
        let config = EngineConfig {
            hosts,
            limits: Limits {
                max_requests: 100_000,
                max_response_bytes: MAX_BYTES as u64,
                max_pages: 1_000,
                concurrency: 4,
            },
            network: NetworkPolicy { private_hosts: vec!["127.0.0.1".to_owned()], ..NetworkPolicy::default() },
            accepted_revision: revision,
            deadline: Instant::now() + Duration::from_mins(10),
            stop: CancellationToken::new(),
            pause: Arc::new(NoPause),
        };
        let verdict = match Engine::new(Arc::clone(&self.manifest), config, Arc::new(Token)) {
            Ok(engine) => {
                let engine = engine.with_exchanges(exchanges);
                let walk = self.connector.collect(&engine, rows.as_ref(), started_at());
                match AssertUnwindSafe(walk).catch_unwind().await {
                    Ok(Ok(collected)) => Verdict::Collected(collected),
                    Ok(Err(failure)) => Verdict::Failed(failure),
                    Err(_) => Verdict::Panicked,
                }
            }
            Err(failure) => Verdict::Failed(failure),
        };
        Run { verdict, rows: rows.take(), notes: vendor.notes() }
    }
}

/// A row without the operation that told it.
fn untold(row: &Row) -> Row {
    match row {
        Row::Node(node) => Row::Node(sv0_graph::NodeRow { op: 0, ..node.clone() }),
        Row::Edge(edge) => Row::Edge(sv0_graph::EdgeRow { op: 0, ..edge.clone() }),
    }
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// With coverage.
    Collected(Collected),
    /// As a whole.
    Failed(Failure),
    /// With a defect.
    Panicked,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub verdict: Verdict,
    /// What came.
    pub rows: Vec<Row>,
    pub(crate) notes: Notes,
}

impl Run {
    /// The record of a collection.
    pub fn coverage(&self, collection: &str) -> Option<&Coverage> {
        match &self.verdict {
            Verdict::Collected(collected) => collected.coverage.iter().find(|record| record.collection == collection),
            Verdict::Failed(_) | Verdict::Panicked => None,
        }
    }

    /// Whether a collection claims to be complete.
    pub fn is_complete(&self, collection: &str) -> bool {
        self.coverage(collection).is_some_and(|record| record.state == CoverageState::Complete)
    }

    /// Everything that was said, whichever operation told it.
    pub(crate) fn said(&self) -> BTreeSet<Row> {
        self.rows.iter().map(untold).collect()
    }

    /// What a collection says, whichever of its operations told it.
    pub(crate) fn facts(&self, manifest: &Manifest, collection: &str) -> BTreeSet<Row> {
        let operations = manifest.graph_operations();
        let ours = |op: u16| operations.get(usize::from(op)).is_some_and(|o| o.collection == collection);
        let of = |row: &&Row| match row {
            Row::Node(node) => ours(node.op),
            Row::Edge(edge) => ours(edge.op),
        };
        self.rows.iter().filter(of).map(untold).collect()
    }

    /// The names of the snapshot's parts: equal rows have equal names.
    pub(crate) fn parts(&self, manifest: &Manifest) -> Result<Vec<String>, String> {
        let Verdict::Collected(collected) = &self.verdict else { return Err(format!("no rows: {:?}", self.verdict)) };
        let header = Header {
            format: SNAPSHOT_FORMAT.to_owned(),
            system: manifest.system.clone(),
            tenant: collected.tenant.clone(),
            instance: "contract".to_owned(),
            instance_uid: "contract".to_owned(),
            scan_id: "00001767225600000-0a1b2c3d".to_owned(),
            observed_at: started_at(),
            finished_at: started_at(),
            connector: manifest.system.clone(),
            collection_revision: manifest.collection_revision,
            operations: manifest.graph_operations(),
            coverage: collected.coverage.clone(),
        };
        let encoded = write_snapshot(header, self.rows.clone()).map_err(|error| format!("no snapshot: {error}"))?;
        Ok(encoded.parts.into_iter().map(|part| part.info.sha256).collect())
    }
}

/// The time of every run: credentials in fixtures are younger or older than this.
pub(crate) fn started_at() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The rows of one run, counted by operation while they come.
#[derive(Debug, Default)]
pub(crate) struct Rows(Mutex<Vec<Row>>);

impl Rows {
    fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn count(&self, operation: u16) -> usize {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |row: &Row| match row {
            Row::Node(node) => node.op,
            Row::Edge(edge) => edge.op,
        };
        rows.iter().filter(|row| of(row) == operation).count()
    }
}

impl RowSink for Rows {
    fn row(&self, row: Row) -> Result<(), SinkError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        Ok(())
    }
}

struct NoPause;

impl Pause for NoPause {
    fn pause(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

struct Token;

impl TokenSource for Token {
    fn token(&self) -> BoxFuture<'_, Result<Arc<Secret>, TokenError>> {
        Box::pin(async { Ok(Arc::new(Secret::new(crate::CANARY.to_owned()))) })
    }

    fn reject(&self, _: &Arc<Secret>) {}
}
