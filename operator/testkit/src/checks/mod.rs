//! The parts of the contract. Each takes a subject and gives sentences about what it breaks; none means that it keeps
//! this part. A check that finds nothing to check says so as well: a contract is not kept by an empty tenant.

mod answers;
mod requests;
mod rows;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use sv0_connector::{Collected, Connector, Exchanges};
use sv0_graph::Row;

use crate::server::{Manner, Server};
use crate::subject::ONE_PAGE;
use crate::{Fault, Run, Subject, Verdict};

pub use answers::{coverage, hostile, repeated_cursor};
pub use requests::{guard, paging};
use rows::told;
pub use rows::{determinism, memory, recording, redaction};

/// What a subject's whole tenant becomes, line by line.
pub fn rows<C: Connector>(subject: &Subject<C>) -> Result<Vec<String>, Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![format!("there is no runtime: {error}")])?;
    runtime.block_on(told(subject)).map_err(|broken| broken.0.into_iter().collect())
}

/// What one run tells and its rows, at a revision and with operations that misbehave: for what only this connector knows.
pub fn collected<C: Connector>(
    subject: &Subject<C>,
    revision: u32,
    faults: &[(&str, Fault)],
) -> Result<(Collected, Vec<Row>), Vec<String>> {
    let run = async {
        let vendor = subject.vendor().await.map_err(|error| vec![format!("there is no vendor: {error}")])?;
        let faults = faults.iter().map(|(operation, fault)| ((*operation).to_owned(), fault.clone())).collect();
        let manner = Manner { page_size: ONE_PAGE, faults, reversed: false };
        let run = subject.run(&vendor, manner, revision, Exchanges::Live).await;
        match run.verdict {
            Verdict::Collected(collected) => Ok((collected, run.rows)),
            other => Err(vec![format!("the run ended with {other:?}")]),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| vec![format!("there is no runtime: {error}")])?.block_on(run)
}

/// Runs a check to its end.
pub fn run(check: impl Future<Output = Broken>) -> Vec<String> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(check).0.into_iter().collect(),
        Err(error) => vec![format!("there is no runtime: {error}")],
    }
}

/// What was broken, in sentences.
#[derive(Debug, Default)]
pub struct Broken(BTreeSet<String>);

impl Broken {
    fn say(&mut self, what: impl Into<String>) {
        self.0.insert(what.into());
    }

    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.insert(what());
        }
    }

    /// Without the departures that a subject names for a check, each of which must be there.
    fn without<C>(mut self, subject: &Subject<C>, check: &str) -> Self {
        for departure in subject.departures.iter().filter(|departure| departure.check == check) {
            let before = self.0.len();
            self.0.retain(|sentence| !sentence.contains(departure.sentence));
            if before == self.0.len() {
                self.say(format!("no departure any more: {}", departure.sentence));
            }
        }
        self
    }

    /// Whether nothing was broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A vendor and a run in which nothing goes wrong, against which all others are held.
struct Ground {
    vendor: Arc<Server>,
    healthy: Run,
}

impl Ground {
    async fn new<C: Connector>(subject: &Subject<C>, page_size: usize, broken: &mut Broken) -> Option<Self> {
        let vendor = match subject.vendor().await {
            Ok(vendor) => vendor,
            Err(error) => {
                broken.say(format!("no server: {error}"));
                return None;
            }
        };
        let healthy = subject.healthy(&vendor, page_size).await;
        if !matches!(healthy.verdict, Verdict::Collected(_)) {
            broken.say(format!("a scan of the whole tenant fails: {:?}", healthy.verdict));
            return None;
        }
        for collection in subject.collections().keys() {
            broken.unless(healthy.is_complete(collection), || {
                format!("{collection} is not complete when nothing is wrong: {:?}", healthy.coverage(collection))
            });
        }
        broken.unless(!healthy.rows.is_empty(), || "a scan of the whole tenant gives no rows".to_owned());
        broken.0.is_empty().then_some(Self { vendor, healthy })
    }

    /// Operations that were asked for, by themselves or inside an envelope.
    fn exercised(&self) -> BTreeSet<&str> {
        self.healthy.notes.seen.iter().map(|seen| seen.operation.as_str()).collect()
    }

    /// The greatest number of pages that an operation had.
    fn pages(&self, operation: &str) -> usize {
        let of = self.healthy.notes.seen.iter().filter(|seen| seen.operation == operation);
        of.map(|seen| seen.pages).max().unwrap_or(0)
    }
}
