//! The apply step against a cluster in memory: what is written, what is not, and that a run which dies anywhere is
//! completed by the next.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::json;
use sv0_evaluate::apply::{Pace, Write, Written, apply, diff};
use sv0_evaluate::sink::{Desired, SinkError, Stored};

use crate::world::{Meddler, Memory};

fn desired(name: &str, value: i64) -> Desired {
    Desired {
        name: name.into(),
        labels: BTreeMap::from([("securityv0.com/rule".into(), "R".into())]),
        spec: json!({ "value": value }),
    }
}

fn stored(name: &str, value: i64) -> Stored {
    let Desired { name, labels, spec } = desired(name, value);
    Stored { name, resource_version: "0".into(), labels, annotations: BTreeMap::new(), spec }
}

fn pace() -> Pace {
    Pace::unbounded()
}

#[tokio::test]
async fn equal_findings_are_not_written() {
    let sink = Memory::holding([stored("a", 1), stored("b", 2)]);
    assert_eq!(apply(&sink, &[desired("b", 2), desired("a", 1)], &pace()).await, Ok(Written::default()));
    assert_eq!(sink.0.lock().unwrap().writes, 0);
}

#[tokio::test]
async fn each_difference_is_one_write() {
    let sink = Memory::holding([stored("changed", 1), stored("gone", 1), stored("same", 1)]);
    let want = [desired("changed", 2), desired("new", 1), desired("same", 1)];
    let written = apply(&sink, &want, &pace()).await.unwrap();
    assert_eq!(written, Written { created: 1, replaced: 1, deleted: 1 });
    assert_eq!(sink.0.lock().unwrap().writes, 3);
    assert_eq!(apply(&sink, &want, &pace()).await.unwrap().total(), 0);
}

#[test]
fn foreign_labels_are_kept_and_own_ones_made_exact() {
    let mut live = stored("a", 1);
    live.labels.insert("team".into(), "blue".into());
    assert!(live.matches(&desired("a", 1)), "a label of somebody else is no difference");
    live.labels.insert("securityv0.com/old".into(), "x".into());
    let writes = diff(&[desired("a", 1)], vec![live.clone()]);
    assert!(matches!(writes.as_slice(), [Write::Replace(..)]), "{writes:?}");
    let merged = live.merged_labels(&desired("a", 1));
    assert_eq!(merged.keys().map(String::as_str).collect::<Vec<_>>(), ["securityv0.com/rule", "team"]);
}

fn taken_with_other_content(objects: &mut BTreeMap<String, Stored>) {
    objects.insert("a".into(), Stored { resource_version: "x".into(), ..stored("a", 9) });
}
fn taken_with_equal_content(objects: &mut BTreeMap<String, Stored>) {
    objects.insert("a".into(), Stored { resource_version: "x".into(), ..stored("a", 1) });
}
fn vanished(objects: &mut BTreeMap<String, Stored>) {
    objects.remove("a");
}

#[rstest]
#[case::create_finds_another(None, taken_with_other_content, Written { created: 0, replaced: 1, deleted: 0 })]
#[case::create_finds_the_same(None, taken_with_equal_content, Written::default())]
#[case::replace_is_overtaken(Some(0), taken_with_other_content, Written { created: 0, replaced: 1, deleted: 0 })]
#[case::replace_is_overtaken_by_the_same(Some(0), taken_with_equal_content, Written::default())]
#[case::replace_finds_nothing(Some(0), vanished, Written { created: 1, replaced: 0, deleted: 0 })]
#[tokio::test]
async fn another_writer_does_not_change_the_end(
    #[case] before: Option<i64>,
    #[case] meddler: Meddler,
    #[case] written: Written,
) {
    let sink = Memory::holding(before.map(|value| stored("a", value)));
    sink.0.lock().unwrap().meddler = Some(meddler);
    assert_eq!(apply(&sink, &[desired("a", 1)], &pace()).await, Ok(written));
    assert_eq!(sink.end_state(), [("a".to_owned(), desired("a", 1).labels, json!({ "value": 1 }))]);
}

#[tokio::test]
async fn deleting_what_is_gone_is_success() {
    let sink = Memory::holding([stored("a", 1)]);
    sink.0.lock().unwrap().meddler = Some(vanished);
    assert_eq!(apply(&sink, &[], &pace()).await, Ok(Written::default()));
}

/// Dies after every possible number of writes; the next run always ends in the undisturbed run's state.
#[tokio::test]
async fn a_run_that_dies_after_any_write_is_completed_by_the_next() {
    let live = || (0..20).map(|i| stored(&format!("f{i:02}"), i));
    let want: Vec<Desired> = (10..30).map(|i| desired(&format!("f{i:02}"), i / 2)).collect();
    let undisturbed = Memory::holding(live());
    let total = apply(&undisturbed, &want, &pace()).await.unwrap().total();
    assert_eq!(total, 30, "ten deleted, ten replaced, ten created");
    for fuse in 0..total {
        let sink = Memory::holding(live());
        sink.0.lock().unwrap().fuse = Some(fuse);
        assert_eq!(apply(&sink, &want, &pace()).await, Err(SinkError::Unreachable), "after {fuse} writes");
        sink.0.lock().unwrap().fuse = None;
        assert_eq!(apply(&sink, &want, &pace()).await.unwrap().total(), total - fuse, "after {fuse} writes");
        assert_eq!(sink.end_state(), undisturbed.end_state(), "after {fuse} writes");
    }
}
