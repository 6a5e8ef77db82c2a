//! Nothing that was open counts as gone because less was seen. What was seen is judged by what was done to the snapshot,
//! never by what a finding says that it rests on: a collection that a rule forgets to name shows here. Cartography #379, #596
//! and #2658 are of this kind: after a read that failed, or was refused in part, what had not come was deleted.
//!
//! Two scans of the same estate are compared, one that saw all of it and one that saw less and says so: what holds by the
//! first one must not be gone by the second, whatever changed since the scan before.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use sv0_api::FindingState;
use sv0_engine::evaluate::{Config, Evaluation, Sources, evaluate};
use sv0_engine::ledger::Ledger;
use sv0_engine::load::Input;
use sv0_graph::testing::{ENTRA_COLLECTIONS, SnapshotBuilder};
use sv0_graph::{CoverageState, Snapshot};

use crate::estate::{SCAN_2, SCAN_3};
use crate::generated::{Case, case};
use crate::support::{Key, TENANT, USER_ADMINISTRATOR, World, as_of};
use crate::whole::{config, generated_policy, input};

/// The collections of the directory, and those in which the generated systems tell of their automations.
fn collections() -> Vec<&'static str> {
    ENTRA_COLLECTIONS.into_iter().chain(["functions"]).collect()
}

const LESS: [CoverageState; 4] =
    [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped];

/// What a scan lost.
#[derive(Clone, Debug)]
struct Loss {
    collections: BTreeSet<&'static str>,
    state: CoverageState,
    /// Of four rows so many are gone.
    rows: u64,
    /// Of four facts of the rows that are left so many are gone.
    facts: u64,
    /// The one that lost it, of the instances that read the directory; the systems beside it lose it too.
    instance: usize,
    seed: u64,
}

fn loss() -> impl Strategy<Value = Loss> {
    let all = collections();
    let some = prop_oneof![
        prop::sample::subsequence(all.clone(), 1),
        prop::sample::subsequence(all.clone(), 2..4),
        prop::sample::subsequence(all, 4..12),
    ];
    let state = prop::sample::select(LESS.to_vec());
    (some, state, prop_oneof![Just(4u64), 0u64..4], 0u64..4, 0..INSTANCES, any::<u64>()).prop_map(
        |(collections, state, rows, facts, instance, seed)| {
            let collections = collections.into_iter().collect();
            Loss { collections, state, rows, facts, instance, seed }
        },
    )
}

/// Most instances that read one directory.
const INSTANCES: usize = 3;

/// One in `of` four times, the same for the same `what`.
fn takes(of: u64, what: impl Hash) -> bool {
    hashed(what) % 4 < of
}

fn hashed(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The rows of one scan, read by so many instances of the same tenant, each some of them.
fn split(whole: Snapshot, instances: usize) -> Vec<Snapshot> {
    if instances == 1 {
        return vec![whole];
    }
    let part = |n: usize| {
        let mut part = whole.clone();
        let mine = |hash: u64| hash % u64::try_from(instances).unwrap() == u64::try_from(n).unwrap();
        part.nodes.retain(|row| mine(hashed((&row.id, row.op))));
        part.edges.retain(|row| mine(hashed((&row.from, row.kind, &row.to, &row.role))));
        let header = &mut part.header;
        (header.instance_uid, header.instance) = (format!("uid-{n}"), format!("entra-uid-{n}"));
        part
    };
    (0..instances).map(part).collect()
}

impl Loss {
    /// Everything that `collection` told.
    const fn all_of(collections: BTreeSet<&'static str>) -> Self {
        Self { collections, state: CoverageState::Partial, rows: 4, facts: 0, instance: 0, seed: 0 }
    }

    /// What of the next scans is left.
    fn scans(&self, found: &Found, change: &Change) -> Vec<Input> {
        let mut scans = found.next(change);
        let (directory, others) = scans.split_at_mut(found.instances);
        for snapshot in directory.iter_mut().skip(self.instance % found.instances).take(1).chain(others) {
            self.forget(snapshot);
        }
        scans.into_iter().map(input).collect()
    }

    /// Takes rows and facts away, and says that they were not read.
    fn forget(&self, snapshot: &mut Snapshot) {
        for record in snapshot.header.coverage.iter_mut().filter(|of| self.collections.contains(&*of.collection)) {
            record.state = self.state;
        }
        self.take(snapshot);
    }

    /// Takes rows and facts away: they are not there any more.
    fn take(&self, snapshot: &mut Snapshot) {
        let operations = &snapshot.header.operations;
        let lost = |op: u16| self.collections.contains(&*operations[usize::from(op)].collection);
        let kept = |hash: u64| !takes(self.rows, (self.seed, hash));
        snapshot.nodes.retain(|row| !lost(row.op) || kept(hashed((&row.id, row.op))));
        snapshot.edges.retain(|row| !lost(row.op) || kept(hashed((&row.from, row.kind, &row.to, &row.role))));
        for row in snapshot.nodes.iter_mut().filter(|row| lost(row.op)) {
            let id = row.id.clone();
            row.attrs.retain(|key, _| !takes(self.facts, (self.seed, &id, key)));
        }
    }
}

/// What changed since the scans of today.
#[derive(Clone, Debug, Default)]
struct Change {
    /// All is as it was at first.
    back: bool,
    /// These are not there any more.
    mended: Option<Loss>,
}

fn change() -> impl Strategy<Value = Change> {
    (prop::bool::weighted(0.2), prop::option::weighted(0.6, loss())).prop_map(|(back, mended)| Change { back, mended })
}

/// An estate, and what was found in it.
struct Found {
    case: Case,
    /// How many read its directory.
    instances: usize,
    config: Config,
    evaluation: Evaluation,
}

impl Found {
    fn of(case: Case, instances: usize) -> Self {
        let config = Config { estate: generated_policy(&case), ..config(as_of()) };
        let then = split(case.then().build(), instances).into_iter().map(input).collect::<Vec<_>>();
        let evaluation = evaluate(then, Ledger::default(), &config).unwrap();
        let then = Self { case, instances, config, evaluation };
        let evaluation = then.after(then.scans(&then.case.today()[0]).into_iter().map(input).collect());
        Self { evaluation, ..then }
    }

    /// The directory by each instance that reads it, then the other systems.
    fn scans(&self, directory: &SnapshotBuilder) -> Vec<Snapshot> {
        let [_, others @ ..] = self.case.today();
        let others = others.iter().map(SnapshotBuilder::build);
        split(directory.build(), self.instances).into_iter().chain(others).collect()
    }

    /// The scans after those, which see all of the estate.
    fn next(&self, change: &Change) -> Vec<Snapshot> {
        let [today, ..] = self.case.today();
        let mut scans = self.scans(&if change.back { self.case.then() } else { today });
        for snapshot in &mut scans {
            if let Some(mended) = &change.mended {
                mended.take(snapshot);
            }
            SCAN_3.clone_into(&mut snapshot.header.scan_id);
        }
        scans
    }

    fn after(&self, inputs: Vec<Input>) -> Evaluation {
        let baselines = self.case.baselines(split(self.case.then().build(), self.instances));
        let ledger = Ledger::read(&self.evaluation.ledger.bytes).unwrap();
        evaluate(Sources { inputs, baselines }, ledger, &self.config).unwrap()
    }

    /// What became of findings that were open, and are open still by what a whole scan shows, when this was lost. No time
    /// passed.
    fn became(&self, loss: &Loss, change: &Change) -> Became {
        let all_seen = self.after(self.next(change).into_iter().map(input).collect());
        let part_seen = self.after(loss.scans(self, change));
        let [before, whole, now] = [&self.evaluation, &all_seen, &part_seen].map(open);
        let standing = before.into_iter().filter(|(name, _)| whole.contains_key(name));
        let gone = standing.filter(|(name, _)| !now.contains_key(name)).collect();
        Became { unseen: part_seen.tally.unseen, gone }
    }
}

/// Open findings by name, with their titles.
fn open(evaluation: &Evaluation) -> BTreeMap<String, String> {
    let all = Ledger::read(&evaluation.ledger.bytes).unwrap().findings.into_iter();
    let open = all.filter(|(_, held)| held.spec.state == FindingState::Open);
    open.map(|(name, held)| (name, format!("{:?}: {}", held.spec.rule.claim, held.spec.title))).collect()
}

/// What became of open findings.
struct Became {
    /// So many do not fire, and stay.
    unseen: usize,
    /// Names and titles of those that are open no more.
    gone: Vec<(String, String)>,
}

/// As many cases, the same every time; `SV0_CASES=5000` looks for new ones.
fn cases(usual: u32) -> ProptestConfig {
    match std::env::var("SV0_CASES").ok().and_then(|cases| cases.parse().ok()) {
        Some(cases) => ProptestConfig::with_cases(cases),
        None => ProptestConfig { rng_seed: RngSeed::Fixed(2026), ..ProptestConfig::with_cases(usual) },
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// Any collections lose any of their rows and facts, and say that they were not read to their end.
    #[test]
    fn what_was_not_seen_again_is_not_gone(
        case in case(1..6),
        instances in 1..=INSTANCES,
        changes in prop::collection::vec((change(), loss()), 4),
    ) {
        let found = Found::of(case, instances);
        for (change, loss) in changes {
            prop_assert_eq!(found.became(&loss, &change).gone, [], "after {:?}, by {:?}", change, loss);
        }
    }
}

/// Each collection alone, with all that it told: nothing is gone; and of most collections something does not fire then, or
/// nothing would be shown by that.
#[test]
fn no_collection_is_forgotten() {
    let mut runner = TestRunner::deterministic();
    let mut unseen: BTreeMap<&str, usize> = BTreeMap::new();
    for n in 0..usize::try_from(cases(6).cases).unwrap() {
        let found = Found::of(case(4..8).new_tree(&mut runner).unwrap().current(), n % INSTANCES + 1);
        for collection in collections() {
            let became = found.became(&Loss::all_of(BTreeSet::from([collection])), &Change::default());
            assert_eq!(became.gone, [], "without {collection}");
            *unseen.entry(collection).or_default() += became.unseen;
        }
    }
    unseen.retain(|_, unseen| *unseen > 0);
    assert!(unseen.len() >= 12, "{unseen:?}");
}

/// One instance reads identities and what they hold, another one of the same tenant reads who owns them: the finding rests on
/// both, and is about what the first one tells of.
#[test]
fn what_another_instance_reads_is_waited_for() {
    const OWNERS: [&str; 3] = ["applicationOwners", "servicePrincipalOwners", "ownerAccounts"];
    let scans = |scan: &str, owned: bool, state: CoverageState| {
        let mut identities = World::new();
        identities.enabled(true).key(&Key::default()).role(USER_ADMINISTRATOR);
        let mut people = World::new();
        people.b = SnapshotBuilder::entra("uid-2", TENANT);
        let dana = people.person("dana", Some(false));
        people.owners_read(1, 0);
        if owned {
            people.owns_app(&dana);
        }
        for collection in ENTRA_COLLECTIONS {
            let first = if OWNERS.contains(&collection) { CoverageState::Skipped } else { CoverageState::Complete };
            let second = if first == CoverageState::Skipped { CoverageState::Complete } else { CoverageState::Skipped };
            identities.cover(collection, first);
            people.cover(collection, second);
        }
        people.cover("applicationOwners", state);
        [identities, people].map(|mut world| {
            scan.clone_into(&mut world.b.header().scan_id);
            input(world.b.build())
        })
    };
    let state = |evaluation: &Evaluation| {
        let all = Ledger::read(&evaluation.ledger.bytes).unwrap().findings;
        all.into_values().find(|held| held.spec.rule.id == "ORPH-001").map(|held| held.spec.state)
    };
    let at = |inputs: [Input; 2], ledger: Ledger| evaluate(inputs.to_vec(), ledger, &config(as_of())).unwrap();
    let before = at(scans(SCAN_2, true, CoverageState::Complete), Ledger::default());
    assert_eq!(state(&before), Some(FindingState::Open));
    for (read, expected) in LESS
        .map(|less| (less, FindingState::Open))
        .into_iter()
        .chain([(CoverageState::Complete, FindingState::Resolved)])
    {
        let after = at(scans(SCAN_3, false, read), Ledger::read(&before.ledger.bytes).unwrap());
        assert_eq!(state(&after), Some(expected), "{read:?}");
    }
}
