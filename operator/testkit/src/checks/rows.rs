//! What comes out: the same rows however the answers come, page by page, and nothing that is not to be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sv0_connector::{Connector, Exchanges, Recorder, Replay, Scan};
use sv0_graph::Row;

use super::{Broken, Ground};
use crate::server::{Manner, Seen};
use crate::subject::{ONE_PAGE, Verdict, started_at};
use crate::{CANARY, Run, Subject};

/// What no manifest lists reaches neither rows nor reports.
pub async fn redaction<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, ONE_PAGE, &mut broken).await else { return broken };
    for row in ground.healthy.rows.iter().filter(|row| format!("{row:?}").contains(CANARY)) {
        broken.say(format!("a field that no operation lists is in a row: {row:?}"));
    }
    let told = format!("{:?}", ground.healthy.verdict);
    broken.unless(!told.contains(CANARY), || "a field that no operation lists is in the report".to_owned());
    for operation in subject.operations() {
        for field in operation.fields.iter().filter(|field| ["key", "hint", "secretText"].contains(&field.as_str())) {
            broken.say(format!("{} keeps {field}", operation.id));
        }
    }
    let all: Vec<_> = subject.operations().map(|o| (o.id.as_str(), crate::Fault::Forbidden)).collect();
    let refused = subject.with(&ground.vendor, ONE_PAGE, &all).await;
    let told = format!("{:?}", refused.verdict);
    broken.unless(!told.contains(CANARY), || "the vendor's error text is in the report".to_owned());
    broken.without(subject, "redaction")
}

/// The rows of the whole tenant as lines of JSON, sorted, each with the name of its operation: to be compared with a
/// file that somebody has read. What is broken is in the sentences.
pub(super) async fn told<C: Connector>(subject: &Subject<C>) -> Result<Vec<String>, Broken> {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, ONE_PAGE, &mut broken).await else { return Err(broken) };
    let operations = subject.manifest.graph_operations();
    let name = |op: u16| operations.get(usize::from(op)).map(|operation| operation.id.clone());
    let lines: BTreeSet<String> = ground
        .healthy
        .rows
        .iter()
        .filter_map(|row| {
            let (op, mut line) = match row {
                Row::Node(node) => (node.op, serde_json::to_value(node).ok()?),
                Row::Edge(edge) => (edge.op, serde_json::to_value(edge).ok()?),
            };
            line["op"] = name(op)?.into();
            Some(line.to_string())
        })
        .collect();
    Ok(lines.into_iter().collect())
}

/// Equal documents give equal rows, byte by byte, in whatever order and on however many pages they come.
pub async fn determinism<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, ONE_PAGE, &mut broken).await else { return broken };
    let first = ground.healthy.parts(&subject.manifest);
    if let Err(error) = &first {
        broken.say(error.clone());
    }
    for (page_size, reversed) in [(1, false), (2, false), (ONE_PAGE, true), (1, true), (3, true)] {
        let manner = Manner { page_size, reversed, ..Manner::default() };
        let run = subject.run(&ground.vendor, manner, subject.revision, Exchanges::Live).await;
        broken.unless(run.parts(&subject.manifest) == first, || {
            let order = if reversed { "backwards" } else { "in order" };
            format!("the rows differ with {page_size} items on a page, {order}: {}", difference(&ground.healthy, &run))
        });
    }
    broken.without(subject, "determinism")
}

fn difference(one: &Run, other: &Run) -> String {
    let (one, other): (BTreeSet<_>, BTreeSet<_>) = (one.rows.iter().collect(), other.rows.iter().collect());
    let first = one.symmetric_difference(&other).next();
    first.map_or_else(|| "only in their order".to_owned(), |row| format!("for example {row:?}"))
}

/// Rows leave with their page: what was read is not held until the list ends.
pub async fn memory<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, 1, &mut broken).await else { return broken };
    let mut lists: BTreeMap<(&str, &str), Vec<&Seen>> = BTreeMap::new();
    for seen in ground.healthy.notes.seen.iter().filter(|seen| seen.pages >= 3) {
        lists.entry((&seen.operation, &seen.of)).or_default().push(seen);
    }
    let gives_rows = |operation: &str| {
        let index = subject.manifest.graph_index(operation);
        ground.healthy.rows.iter().any(|row| {
            let op = match row {
                Row::Node(node) => node.op,
                Row::Edge(edge) => edge.op,
            };
            Some(op) == index
        })
    };
    let mut judged = 0;
    for ((operation, _), seen) in lists.into_iter().filter(|((operation, _), _)| gives_rows(operation)) {
        let at = |page: usize| seen.iter().find(|seen| seen.page == page).map_or(0, |seen| seen.rows_before);
        let pages = seen.iter().map(|seen| seen.pages).max().unwrap_or(0);
        let streamed = at(pages - 1) >= at(0) + (pages - 1) / 2;
        let flagged = subject.not_streamed.contains_key(operation);
        judged += 1;
        broken.unless(streamed || flagged, || {
            format!("{operation} holds its rows back: {} came before the last of {pages} pages", at(pages - 1) - at(0))
        });
    }
    broken.unless(judged > 0, || "the fixture has no list of three items that give rows".to_owned());
    broken.without(subject, "memory")
}

/// A recorded run finds the same, and so does the recording; what is not kept is not in it.
pub async fn recording<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, 2, &mut broken).await else { return broken };
    let outcome = async {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = dir.path().join("recording");
        let writer = Arc::new(Recorder::create(&path).map_err(|error| error.to_string())?);
        let manner = || Manner { page_size: 2, ..Manner::default() };
        let exchanges = Exchanges::Recorded(Arc::clone(&writer));
        let recorded = subject.run(&ground.vendor, manner(), subject.revision, exchanges).await;
        let scan = Scan {
            connector: &subject.manifest.system,
            collection_revision: subject.revision,
            tenant: "contract",
            as_of: started_at(),
            order: serde_json::Value::Null,
        };
        writer.finish(scan).map_err(|error| error.to_string())?;
        for entry in std::fs::read_dir(&path).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            let text = std::fs::read_to_string(entry.path()).map_err(|error| error.to_string())?;
            if text.contains(CANARY) {
                return Err(format!("a field that is not kept is in {}", entry.file_name().to_string_lossy()));
            }
        }
        let replay = Replay::open(&path, &[]).map_err(|error| error.to_string())?;
        let exchanges = Exchanges::Replayed(Arc::new(replay));
        let replayed = subject.run(&ground.vendor, manner(), subject.revision, exchanges.clone()).await;
        exchanges.verdict().map_err(|error| error.to_string())?;
        Ok::<_, String>((recorded, replayed))
    };
    match outcome.await {
        Err(error) => broken.say(error),
        Ok((recorded, replayed)) => {
            let parts = |run: &Run| run.parts(&subject.manifest);
            broken.unless(parts(&recorded) == parts(&ground.healthy), || "recording changes the rows".to_owned());
            broken.unless(parts(&replayed) == parts(&recorded), || {
                format!("the recording gives other rows: {}", difference(&recorded, &replayed))
            });
            broken.unless(replayed.notes.seen.is_empty(), || "a replay asks the vendor".to_owned());
            let told = |run: &Run| match &run.verdict {
                Verdict::Collected(collected) => Some(collected.clone()),
                Verdict::Failed(_) | Verdict::Panicked => None,
            };
            broken.unless(told(&replayed) == told(&recorded), || "the recording gives other coverage".to_owned());
        }
    }
    broken.without(subject, "recording")
}
