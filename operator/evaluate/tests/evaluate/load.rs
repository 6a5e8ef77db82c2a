//! Which snapshot is evaluated when the ordered one is damaged, foreign or gone.

use std::collections::BTreeMap;

use rstest::rstest;
use sv0_engine::load::{FetchError, Input, Quarantine, load_all, load_within};
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{NodeKind, Packed, attr};
use sv0_protocol::EvaluateInput;

use crate::world::{Memory, World};

const IDS: [&str; 3] = ["00000000000001-aaaaaaaa", "00000000000002-aaaaaaaa", "00000000000003-aaaaaaaa"];

/// Three scans of instance `u`; gives the order for the last one.
fn three_scans() -> (Memory, EvaluateInput) {
    let memory = Memory::default();
    let mut last = None;
    for id in IDS {
        let mut builder = SnapshotBuilder::entra("u", "tenant-a");
        id.clone_into(&mut builder.header().scan_id);
        builder.node("applications", NodeKind::Application, "1", &[(attr::NAME, text(id))]);
        last = Some(memory.scan(&builder));
    }
    (memory, last.unwrap())
}

async fn load(memory: &Memory, order: &EvaluateInput, evaluated: Option<&str>) -> Result<Input<Packed>, FetchError> {
    let evaluated = evaluated.map(|id| ("u".to_owned(), id.to_owned())).into_iter().collect::<BTreeMap<_, _>>();
    Ok(load_all(memory, std::slice::from_ref(order), &evaluated).await?.remove(0))
}

fn used(input: &Input<Packed>) -> Option<&str> {
    input.used.as_ref().map(|used| used.snapshot.header.scan_id.as_str())
}

fn newest_part(world: &World, id: &str) -> String {
    let manifest = sv0_graph::read_manifest(&world.manifests[&("u".to_owned(), id.to_owned())]).unwrap();
    manifest.parts[0].sha256.clone()
}

fn lose_manifest(world: &mut World, id: &str) {
    world.manifests.remove(&("u".to_owned(), id.to_owned()));
}
fn lose_part(world: &mut World, id: &str) {
    let sha256 = newest_part(world, id);
    world.parts.remove(&sha256);
}
fn cut_part(world: &mut World, id: &str) {
    let sha256 = newest_part(world, id);
    let part = world.parts.get_mut(&sha256).unwrap();
    *part = part.slice(..part.len() / 2);
}
fn change_manifest(world: &mut World, id: &str) {
    let manifest = world.manifests.get_mut(&("u".to_owned(), id.to_owned())).unwrap();
    *manifest = [manifest.as_ref(), b" "].concat().into();
}

#[tokio::test]
async fn a_sound_snapshot_is_used() {
    let (memory, order) = three_scans();
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (Some(IDS[2]), None));
    assert_eq!(input.used.unwrap().digest, order.snapshot_digest);
}

#[rstest]
#[case::manifest_gone(lose_manifest)]
#[case::manifest_changed(change_manifest)]
#[case::part_gone(lose_part)]
#[case::part_cut(cut_part)]
#[tokio::test]
async fn behind_a_damaged_snapshot_the_last_good_one_stands_in(#[case] damage: fn(&mut World, &str)) {
    let (memory, order) = three_scans();
    damage(&mut memory.0.lock().unwrap(), IDS[2]);
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (Some(IDS[1]), Some(Quarantine::Damaged)));
}

#[tokio::test]
async fn several_damaged_ones_are_passed_over() {
    let (memory, order) = three_scans();
    lose_part(&mut memory.0.lock().unwrap(), IDS[2]);
    cut_part(&mut memory.0.lock().unwrap(), IDS[1]);
    assert_eq!(used(&load(&memory, &order, None).await.unwrap()), Some(IDS[0]));
    lose_part(&mut memory.0.lock().unwrap(), IDS[0]);
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (None, Some(Quarantine::Damaged)));
}

#[tokio::test]
async fn nothing_older_than_what_was_evaluated_stands_in() {
    let (memory, order) = three_scans();
    lose_part(&mut memory.0.lock().unwrap(), IDS[2]);
    assert_eq!(used(&load(&memory, &order, Some(IDS[1])).await.unwrap()), Some(IDS[1]));
    lose_part(&mut memory.0.lock().unwrap(), IDS[1]);
    assert_eq!(used(&load(&memory, &order, Some(IDS[1])).await.unwrap()), None);
}

#[rstest]
#[case::another_tenant(|order: &mut EvaluateInput| order.tenant = "tenant-b".into(), Quarantine::ForeignTenant)]
#[case::another_system(|order: &mut EvaluateInput| order.system = "aws".into(), Quarantine::ForeignSnapshot)]
#[tokio::test]
async fn a_snapshot_of_something_else_than_ordered_is_set_aside(
    #[case] change: fn(&mut EvaluateInput),
    #[case] expected: Quarantine,
) {
    let (memory, mut order) = three_scans();
    change(&mut order);
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (None, Some(expected)));
}

#[tokio::test]
async fn another_instances_snapshot_under_this_uid_is_set_aside() {
    let (memory, order) = three_scans();
    let foreign = SnapshotBuilder::entra("other", "tenant-a");
    let planted = memory.scan(&foreign);
    {
        let mut world = memory.0.lock().unwrap();
        let bytes = world.manifests[&("other".to_owned(), planted.snapshot_id.clone())].clone();
        world.manifests.insert(("u".to_owned(), order.snapshot_id.clone()), bytes);
    }
    let order = EvaluateInput { snapshot_digest: planted.snapshot_digest, ..order };
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (Some(IDS[1]), Some(Quarantine::ForeignSnapshot)));
}

/// Whoever holds one instance's token can write any snapshot for it.
#[rstest]
#[case::terminal_escape(|c: &mut sv0_graph::Coverage| c.collection = "\u{1b}[2J".into())]
#[case::markup(|c: &mut sv0_graph::Coverage| c.reason = Some("<script>".into()))]
#[case::as_large_as_the_api_servers_limit(|c: &mut sv0_graph::Coverage| c.permission = Some("x".repeat(1_000_000)))]
#[tokio::test]
async fn a_header_that_would_be_shown_to_people_is_set_aside(#[case] lie: fn(&mut sv0_graph::Coverage)) {
    let (memory, mut order) = three_scans();
    let mut builder = SnapshotBuilder::entra("u", "tenant-a");
    IDS[2].clone_into(&mut builder.header().scan_id);
    builder.node("applications", NodeKind::Application, "1", &[]);
    lie(&mut builder.header().coverage[0]);
    order.snapshot_digest = memory.scan(&builder).snapshot_digest;
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (Some(IDS[1]), Some(Quarantine::Malformed)));
}

#[tokio::test]
async fn a_snapshot_that_claims_another_instances_name_is_set_aside() {
    let (memory, order) = three_scans();
    let order = EvaluateInput { instance: "payroll".into(), ..order };
    let input = load(&memory, &order, None).await.unwrap();
    assert_eq!((used(&input), input.quarantined), (None, Some(Quarantine::ForeignSnapshot)));
}

#[tokio::test]
async fn a_snapshot_larger_than_the_memory_is_set_aside_and_the_one_before_stands_in() {
    let (memory, mut order) = three_scans();
    let mut builder = SnapshotBuilder::entra("u", "tenant-a");
    IDS[2].clone_into(&mut builder.header().scan_id);
    for n in 0..500 {
        builder.node("applications", NodeKind::Application, &n.to_string(), &[(attr::NAME, text(&"x".repeat(1000)))]);
    }
    order.snapshot_digest = memory.scan(&builder).snapshot_digest;
    let mut inputs = load_within(&memory, std::slice::from_ref(&order), &BTreeMap::new(), 100_000).await.unwrap();
    let input = inputs.remove(0);
    assert_eq!((used(&input), input.quarantined), (Some(IDS[1]), Some(Quarantine::TooLarge)));
    assert_eq!(load(&memory, &order, None).await.unwrap().quarantined, None);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_reason_to_set_anything_aside() {
    let (memory, order) = three_scans();
    memory.0.lock().unwrap().store_down = true;
    assert!(matches!(load(&memory, &order, None).await, Err(FetchError::Unavailable(_))));
}
