//! What is asked: only what the manifest lists, all that it lists, and every list to its end.

use std::collections::{BTreeMap, BTreeSet};

use sv0_connector::{Connector, Exchanges, Paging};

use super::{Broken, Ground};
use crate::Subject;
use crate::server::Manner;
use crate::subject::ONE_PAGE;

/// Every request is one that the manifest lists, every operation that it lists is asked for or flagged, and nothing of
/// a newer revision is asked for before it was accepted.
pub async fn guard<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, ONE_PAGE, &mut broken).await else { return broken };
    for strange in &ground.healthy.notes.strange {
        broken.say(format!("the vendor was asked for {strange}"));
    }
    let exercised = ground.exercised();
    for operation in subject.operations() {
        let (asked, flagged) =
            (exercised.contains(operation.id.as_str()), subject.not_exercised.contains_key(operation.id.as_str()));
        broken.unless(asked || flagged, || format!("{} is listed and never asked for", operation.id));
        broken.unless(!(asked && flagged), || format!("{} is flagged as not exercised and is", operation.id));
    }
    for operation in &subject.manifest.operations {
        let reads = operation.method == "GET" || !operation.inner.is_empty();
        broken.unless(reads, || format!("{} may change something", operation.id));
    }
    for older in 1..subject.revision {
        let manner = Manner { page_size: ONE_PAGE, ..Manner::default() };
        let run = subject.run(&ground.vendor, manner, older, Exchanges::Live).await;
        let newer: BTreeSet<&str> =
            subject.manifest.operations.iter().filter(|o| o.revision > older).map(|o| o.id.as_str()).collect();
        for seen in run.notes.seen.iter().filter(|seen| newer.contains(seen.operation.as_str())) {
            broken.say(format!("{} was asked for when only revision {older} was accepted", seen.operation));
        }
        for (collection, operations) in subject.collections() {
            let all_newer = operations.iter().all(|operation| operation.revision > older);
            let reason = run.coverage(collection).and_then(|record| record.reason.as_deref());
            broken.unless(!all_newer || reason == Some("CollectionNotAccepted"), || {
                format!("{collection} was not accepted at revision {older} and does not say so: {reason:?}")
            });
        }
    }
    broken.without(subject, "guard")
}

/// Every list is read page by page to its end, and each list of the fixture has an end to miss.
pub async fn paging<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, 1, &mut broken).await else { return broken };
    let mut read: BTreeMap<(&str, &str), (usize, BTreeSet<usize>)> = BTreeMap::new();
    for seen in &ground.healthy.notes.seen {
        let entry = read.entry((&seen.operation, &seen.of)).or_default();
        entry.0 = entry.0.max(seen.pages);
        entry.1.insert(seen.page);
    }
    for ((operation, of), (pages, read)) in &read {
        broken.unless(read.len() == *pages, || {
            format!("of the {pages} pages of {operation} {of} only {} were read", read.len())
        });
    }
    let paged = subject.operations().filter(|operation| operation.paging != Paging::None);
    for operation in paged.filter(|operation| !subject.not_exercised.contains_key(operation.id.as_str())) {
        broken.unless(ground.pages(&operation.id) > 1, || {
            format!("the fixture has no second item for {}: whether its pages are followed is not shown", operation.id)
        });
    }
    let whole = subject.healthy(&ground.vendor, ONE_PAGE).await;
    for collection in subject.collections().keys() {
        let of = |run: &crate::Run| run.coverage(collection).map(|record| record.items);
        broken.unless(of(&whole) == of(&ground.healthy), || {
            format!("{collection} counts otherwise when it comes on one page")
        });
    }
    broken.without(subject, "paging")
}
