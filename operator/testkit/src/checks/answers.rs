//! What is made of bad answers: coverage that says so, never a panic, and never a claim that is not true.

use std::collections::BTreeSet;

use sv0_connector::{Connector, Operation, Paging};
use sv0_graph::{CoverageState, Row};

use super::{Broken, Ground};
use crate::subject::ONE_PAGE;
use crate::{Fault, Run, STRANGER, Subject, Verdict};

/// A list that runs in circles ends, and is not complete.
pub async fn repeated_cursor<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, 1, &mut broken).await else { return broken };
    for (collection, operations) in subject.collections() {
        let lists: Vec<_> = operations.iter().filter(|operation| operation.paging != Paging::None).collect();
        let faults: Vec<_> = lists.iter().map(|list| (list.id.as_str(), Fault::RepeatedCursor)).collect();
        if faults.is_empty() {
            continue;
        }
        let run = subject.with(&ground.vendor, 1, &faults).await;
        let ended = not_whole(subject, &run, collection, &mut broken, "runs in circles");
        broken.unless(ended, || format!("{collection} runs in circles and claims to be complete"));
    }
    broken.without(subject, "repeated_cursor")
}

/// Whatever an operation answers: no panic, and what a collection still claims is true.
pub async fn hostile<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, ONE_PAGE, &mut broken).await else { return broken };
    let exercised: BTreeSet<String> = ground.exercised().into_iter().map(str::to_owned).collect();
    let operations: Vec<&Operation> = subject.operations().filter(|o| exercised.contains(&o.id)).collect();
    for operation in operations {
        let mut faults = vec![
            Fault::NotJson,
            Fault::Truncated,
            Fault::Deep,
            Fault::Huge,
            Fault::WrongTypes,
            Fault::ExtraRows,
            Fault::UnknownWords,
        ];
        for field in &operation.fields {
            faults.push(Fault::WrongField(field.clone()));
            faults.push(Fault::WithoutField(field.clone()));
        }
        for fault in faults {
            let run = subject.with(&ground.vendor, ONE_PAGE, &[(&operation.id, fault.clone())]).await;
            judge(subject, &ground, (operation, &fault), &run, &mut broken);
        }
    }
    broken.without(subject, "hostile")
}

fn judge<C: Connector>(
    subject: &Subject<C>,
    ground: &Ground,
    (operation, fault): (&Operation, &Fault),
    run: &Run,
    broken: &mut Broken,
) {
    let what = format!("{} answers with {fault:?}", operation.id);
    if matches!(run.verdict, Verdict::Panicked) {
        return broken.say(format!("{what}: the connector panics"));
    }
    let spoilt = run.notes.spoilt.contains(&operation.id);
    if !spoilt {
        // A word or a field that the fixture has nowhere cannot be spoilt; a whole answer can.
        broken.unless(!fault.hurts(), || format!("{what}: the fixture has nothing to spoil"));
        return;
    }
    if let Err(error) = run.parts(&subject.manifest)
        && matches!(run.verdict, Verdict::Collected(_))
    {
        broken.say(format!("{what}: {error}"));
    }
    let stranger = |row: &Row| format!("{row:?}").contains(STRANGER);
    broken.unless(!run.rows.iter().any(stranger), || format!("{what}: an object that nobody asked for is kept"));
    let fed = feeds(subject, ground, operation);
    let identifying = matches!(fault, Fault::WithoutField(field) if field == "id");
    // What is said of one collection may be told by another: whole in every part is the same in every part.
    let all = || subject.collections().into_keys().all(|collection| run.is_complete(collection));
    if (fault.hurts() || identifying || *fault == Fault::ExtraRows) && all() {
        broken.unless(run.said() == ground.healthy.said(), || {
            format!("{what}: everything claims to be complete and something else is said")
        });
    }
    for collection in fed {
        // A list that is read in another way when this one fails may be whole: then it says the same.
        let claims = run.is_complete(collection);
        let same = || run.facts(&subject.manifest, collection) == ground.healthy.facts(&subject.manifest, collection);
        if claims && (fault.hurts() || identifying || *fault == Fault::ExtraRows) {
            broken.unless(same(), || format!("{what}: {collection} claims to be complete and says something else"));
        }
        if !claims && !matches!(run.verdict, Verdict::Collected(_)) {
            broken.unless(subject.decisive.contains(collection), || format!("{what}: the whole scan fails"));
        }
    }
}

/// The collections that an operation feeds; an envelope feeds those of what was asked inside it.
fn feeds<'a, C: Connector>(subject: &'a Subject<C>, ground: &'a Ground, operation: &'a Operation) -> BTreeSet<&'a str> {
    if let Some(collection) = &operation.collection {
        return BTreeSet::from([collection.as_str()]);
    }
    let inside = ground.healthy.notes.seen.iter().filter(|seen| seen.enveloped);
    inside.filter_map(|seen| subject.manifest.operation(&seen.operation)?.1.collection.as_deref()).collect()
}

/// What each failure of a collection makes of it, and of what is built upon it.
pub async fn coverage<C: Connector>(subject: &Subject<C>) -> Broken {
    let mut broken = Broken::default();
    let Some(ground) = Ground::new(subject, 1, &mut broken).await else { return broken };
    if let Verdict::Collected(whole) = &ground.healthy.verdict {
        for (what, permissions) in [("missing", &whole.permissions_missing), ("too much", &whole.permissions_excess)] {
            broken.unless(permissions.is_empty(), || format!("nothing is wrong and {permissions:?} is {what}"));
        }
    }
    for (collection, operations) in subject.collections() {
        let several = operations.iter().any(|operation| ground.pages(&operation.id) > 1);
        let counted = operations.iter().any(|o| o.query.contains_key("$count") && ground.pages(&o.id) > 1);
        let faults = [
            (Fault::Forbidden, true),
            (Fault::Unlicensed, true),
            (Fault::Throttled, true),
            (Fault::Down, true),
            (Fault::LastPageFails, several),
            (Fault::LastPageLost, counted),
        ];
        for (fault, _) in faults.into_iter().filter(|(_, possible)| *possible) {
            let all: Vec<_> = operations.iter().map(|o| (o.id.as_str(), fault.clone())).collect();
            let run = subject.with(&ground.vendor, 1, &all).await;
            let what = format!("{collection} with {fault:?}");
            if subject.decisive.contains(collection) {
                let (_, reason) = stated(&fault);
                let failed = matches!(&run.verdict, Verdict::Failed(failure) if failure.cause.as_str() == reason);
                broken.unless(failed, || format!("{what}: the scan ends with {:?}", run.verdict));
                continue;
            }
            told(subject, &fault, (collection, &operations), &run, &mut broken);
            others(subject, collection, &what, &run, &mut broken);
        }
    }
    broken.without(subject, "coverage")
}

/// The state and the reason that the contract's table gives.
fn stated(fault: &Fault) -> (CoverageState, &'static str) {
    match fault {
        Fault::Forbidden => (CoverageState::Denied, "PermissionMissing"),
        Fault::Unlicensed => (CoverageState::Skipped, "LicenseMissing"),
        Fault::Throttled => (CoverageState::Throttled, "RateLimited"),
        Fault::LastPageLost => (CoverageState::Partial, "LastPageLost"),
        _ => (CoverageState::Partial, "UpstreamUnavailable"),
    }
}

fn told<C: Connector>(
    subject: &Subject<C>,
    fault: &Fault,
    (collection, operations): (&str, &[&Operation]),
    run: &Run,
    broken: &mut Broken,
) {
    let what = format!("{collection} with {fault:?}");
    let Some(record) = run.coverage(collection) else {
        return broken.say(format!("{what}: there is no record of it: {:?}", run.verdict));
    };
    let is = (record.state, record.reason.as_deref().unwrap_or_default());
    let stated = stated(fault);
    broken.unless(is == stated, || format!("{what}: it is {is:?} and not {stated:?}"));
    if *fault == Fault::Forbidden {
        let needed: BTreeSet<&str> = operations.iter().filter_map(|o| o.permission.as_deref()).collect();
        let named = record.permission.as_deref().is_some_and(|named| needed.contains(named));
        broken.unless(needed.is_empty() || named, || {
            format!("{what}: the missing permission is not named, but {:?}", record.permission)
        });
        // What the customer may do without is a gap and no fault.
        let (may, must): (Vec<&str>, Vec<&str>) = needed.into_iter().partition(|id| subject.manifest.is_add_on(id));
        let reported = |of: &[&str]| matches!(&run.verdict, Verdict::Collected(c) if c.permissions_missing.iter().any(|m| of.contains(&m.as_str())));
        broken.unless(must.is_empty() || reported(&must), || format!("{what}: no permission is reported as missing"));
        broken.unless(!reported(&may), || format!("{what}: an add-on is reported as missing"));
    }
}

/// What is built upon the collection is not complete; what is not, is as ever.
fn others<C: Connector>(subject: &Subject<C>, collection: &str, what: &str, run: &Run, broken: &mut Broken) {
    let dependents = subject.dependents(collection);
    for other in subject.collections().into_keys().filter(|other| *other != collection) {
        let complete = run.is_complete(other);
        if dependents.contains(other) {
            broken.unless(!complete, || format!("{what}: {other} is built upon it and claims to be complete"));
        } else {
            broken.unless(complete, || format!("{what}: {other} suffers: {:?}", run.coverage(other)));
        }
    }
}

/// Whether a run says of a collection that it is not whole.
fn not_whole<C: Connector>(subject: &Subject<C>, run: &Run, collection: &str, broken: &mut Broken, what: &str) -> bool {
    match &run.verdict {
        Verdict::Panicked => {
            broken.say(format!("{collection} {what}: the connector panics"));
            true
        }
        Verdict::Failed(_) => subject.decisive.contains(collection),
        Verdict::Collected(_) => !run.is_complete(collection),
    }
}
