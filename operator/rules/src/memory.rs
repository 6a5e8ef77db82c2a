//! What is remembered of use beyond what the source systems keep: takes the graph and the memory that earlier
//! evaluations left, gives the memory that includes the present snapshots. Rules ask it since when silence is proven, and
//! on how many days at most something was used.
//!
//! Two things are kept. Per collection with records of use, *when it was read well*: completely, with items, and with a
//! recorded use in it that is not older than a week, since a feed that stopped looks like silence. Readings, and the
//! newest uses that they showed, are joined to spans when they are at most a week apart; silence is proven over what both
//! cover without a gap. Per identity and credential, *uses*: the days of its latest recorded uses, each with the last day
//! on which a reading still showed it as the latest.
//!
//! Joining is a union: in which order readings come, and how often one comes, changes nothing; a reading that is lost, or
//! was not good, can only make a gap. One reading is more than a gap: a complete one without any item says that the
//! source system's records went away, and everything before it is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sv0_graph::{EdgeKind, Graph, NodeId, NodeIx, NodeKind, attr};

use crate::activity::{self, CREDENTIALS, IDENTITIES, Use};
use crate::identity;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Most seconds from one good reading, or newest use, to the next of the same span.
const JOINED_WITHIN: i64 = 7 * DAY;
/// Latest uses that are kept of one object, each on a day of its own.
const KEPT_USES: usize = 4;
/// Days after which spans that ended, and objects that are gone from the source system, are forgotten. An object that
/// the vendor deleted does not come back that late: it can be restored for thirty days.
const FORGOTTEN_AFTER: i32 = 400;
/// Days that a use may need until the vendor's records show it: so long before a reading its silence says nothing about
/// whether a day saw use.
const LAG: i32 = 1;

/// By instance UID.
pub type Memory = BTreeMap<String, ActivityMemory>;

pub(crate) static NOTHING: Memory = Memory::new();

/// What is remembered of use in one tenant, from the snapshots of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityMemory {
    /// `entra:<tenant>`: of another tenant nothing here counts.
    pub tenant: String,
    /// By collection with records of use.
    pub collections: BTreeMap<String, Watch>,
    /// By kind and vendor's id of an identity or credential, as in `ServicePrincipal:<id>`.
    pub uses: BTreeMap<String, Uses>,
}

/// When a collection was read well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// From good reading to good reading.
    pub readings: Spans,
    /// From newest use to newest use, as the good readings showed them.
    pub alive: Spans,
}

/// Ascending spans of time in seconds since 1970, first and last instant, more than a week apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(Vec<(i64, i64)>);

/// The latest days of use in days since 1970, ascending, at most [`KEPT_USES`]; each with the last day on which a reading
/// showed it as the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Uses(Vec<(i32, i32)>);

/// On how few days something was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Few {
    /// The first instant of the day of the use after which is counted.
    pub(crate) after: Timestamp,
    /// Most days on which it can have been used since.
    pub(crate) days: i32,
}

impl Spans {
    /// All that either covers.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(i64, i64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, to) in all {
            match joined.last_mut() {
                Some(last) if from.saturating_sub(last.1) <= JOINED_WITHIN => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        Self(joined)
    }

    /// With one instant more.
    #[must_use]
    pub fn with(&self, at: Timestamp) -> Self {
        let at = at.as_second();
        self.union(&Self(vec![(at, at)]))
    }

    /// The last span that began at `at` or before.
    fn at(&self, at: i64) -> Option<(i64, i64)> {
        self.0.iter().rev().find(|(from, _)| *from <= at).copied()
    }

    fn forget(&mut self, before: i64) {
        self.0.retain(|(_, to)| *to >= before);
    }
}

impl Watch {
    /// Takes note of a complete reading at `at` of so many items, the newest recorded use among them at `newest`. One
    /// that shows no use of the last week is none: the feed may have stopped.
    pub fn read(&mut self, at: Timestamp, items: u64, newest: Option<Timestamp>) {
        if items == 0 {
            *self = Self::default();
            return;
        }
        let fresh = |newest: &Timestamp| at.as_second().saturating_sub(newest.as_second()) <= JOINED_WITHIN;
        let Some(newest) = newest.filter(fresh) else { return };
        self.readings = self.readings.with(at);
        self.alive = self.alive.with(newest);
    }

    /// Since when up to the reading at `seen` every use would have been recorded and seen.
    pub fn since(&self, seen: Timestamp) -> Option<Timestamp> {
        let seen = seen.as_second();
        let read = self.readings.at(seen).filter(|(_, to)| *to >= seen)?;
        let alive = self.alive.at(seen).filter(|(_, to)| seen.saturating_sub(*to) <= JOINED_WITHIN)?;
        Timestamp::from_second(read.0.max(alive.0)).ok()
    }
}

impl Uses {
    /// Those of both: of one day the longest silence after it, and the latest days.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all: BTreeMap<i32, i32> = BTreeMap::new();
        for (used, read) in self.0.iter().chain(&other.0).copied() {
            let entry = all.entry(used).or_insert(read);
            *entry = read.max(*entry);
        }
        let surplus = all.len().saturating_sub(KEPT_USES);
        Self(all.into_iter().skip(surplus).collect())
    }

    /// One that a reading at `seen` showed as the latest.
    pub fn one(at: Timestamp, seen: Timestamp) -> Self {
        Self(vec![(day(at), day(seen.max(at)))])
    }

    /// The distinct days, in days since 1970, that are remembered.
    pub fn days(&self) -> impl Iterator<Item = i32> {
        self.0.iter().map(|(used, _)| *used)
    }

    /// The end of the latest day of use.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        midnight(self.0.last()?.0.checked_add(1)?)
    }

    /// When a reading surely stood without any of them, if readings went on: the next one came within a week.
    pub(crate) fn gone(&self) -> Option<Timestamp> {
        let shown = self.0.iter().map(|(_, read)| *read).max()?;
        midnight(shown.checked_add(i32::try_from(JOINED_WITHIN / DAY).ok()?)?.checked_add(1)?)
    }

    /// Most days of use after the latest use that lies `window` days or more before the reading at `seen`. None when
    /// that reading does not show the latest of them, or none lies that far back: what was before is not known then.
    pub(crate) fn few(&self, window: i32, seen: Timestamp) -> Option<Few> {
        let today = day(seen);
        if self.0.last()?.1 < today {
            return None;
        }
        let first = self.0.iter().rposition(|(used, _)| *used <= today.saturating_sub(window))?;
        let pairs = self.0.iter().zip(self.0.iter().skip(1)).skip(first);
        // From the last reading without the next use on, any day up to that use may have seen some.
        let possible = |((before, read), (used, _)): (&(i32, i32), &(i32, i32))| {
            let from = read.saturating_sub(LAG).max(before.saturating_add(1)).min(*used);
            used - from + 1
        };
        let after = midnight(self.0.get(first)?.0)?;
        Some(Few { after, days: pairs.map(possible).sum() })
    }
}

impl ActivityMemory {
    fn forget(&mut self, graph: &Graph, seen: Timestamp) {
        let horizon = seen.as_second().saturating_sub(i64::from(FORGOTTEN_AFTER) * DAY);
        for watch in self.collections.values_mut() {
            watch.readings.forget(horizon);
            watch.alive.forget(horizon);
        }
        let oldest = day(seen).saturating_sub(FORGOTTEN_AFTER);
        let tenant = &self.tenant;
        let exists = |object: &str| node(tenant, object).is_some_and(|id| graph.find(&id).is_some());
        self.uses.retain(|object, uses| uses.0.iter().any(|(_, read)| *read >= oldest) || exists(object));
    }
}

/// Days since 1970, in UTC.
fn day(at: Timestamp) -> i32 {
    i32::try_from(at.as_second().div_euclid(DAY)).unwrap_or(i32::MAX)
}

fn midnight(day: i32) -> Option<Timestamp> {
    Timestamp::from_second(i64::from(day) * DAY).ok()
}

/// What of the present snapshots is not believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// UIDs of instances of which a newer snapshot was evaluated before: nothing is learnt from this one.
    pub older: BTreeSet<String>,
    /// Collections, by UID of the instance, that are complete and much smaller than before: no good reading.
    pub shrunk: BTreeSet<(String, String)>,
}

/// The memory with what `graph` shows.
pub fn remember(graph: &Graph, mut memory: Memory, doubts: &Doubts) -> Memory {
    let newest = newest_uses(graph);
    let uses = recorded_uses(graph);
    for (at, instance) in graph.instances().iter().enumerate() {
        let header = &instance.header;
        let uid = &header.instance_uid;
        if doubts.older.contains(uid) {
            continue;
        }
        let of = (header.system.as_str(), header.tenant.as_str());
        let tenant = format!("{}:{}", of.0, of.1);
        let mut own = memory.remove(uid).filter(|own| own.tenant == tenant).unwrap_or_default();
        own.tenant = tenant;
        for collection in [IDENTITIES, CREDENTIALS] {
            let items = graph.coverage(at, collection).map(|row| row.items).sum();
            let shrunk = items > 0 && doubts.shrunk.contains(&(uid.clone(), collection.to_owned()));
            if graph.complete(at, collection).is_true() && !shrunk {
                let told = newest.get(&(of.0, of.1, collection)).into_iter().flatten();
                // A use after the reading is an error of some clock, and shows nothing of the feed.
                let newest = told.copied().filter(|used| *used <= header.observed_at).max();
                own.collections.entry(collection.to_owned()).or_default().read(header.observed_at, items, newest);
            }
        }
        for (_, object, seen) in uses.iter().filter(|(tenant, ..)| *tenant == of) {
            let before = own.uses.entry(object.clone()).or_default();
            *before = before.union(seen);
        }
        own.forget(graph, header.observed_at);
        own.collections.retain(|_, watch| *watch != Watch::default());
        if own.collections.is_empty() && own.uses.is_empty() {
            continue;
        }
        memory.insert(uid.clone(), own);
    }
    memory
}

/// By system, tenant and collection, the instants of use that its records tell.
fn newest_uses(graph: &Graph) -> BTreeMap<(&str, &str, &str), Vec<Timestamp>> {
    let mut all: BTreeMap<_, Vec<Timestamp>> = BTreeMap::new();
    for ix in graph.node_indexes() {
        let node = graph.node(ix);
        for key in [attr::LAST_USED_AT, attr::LAST_UNATTENDED_USE_AT] {
            let operation = node.fact(key).and_then(|fact| graph.operation(fact.source));
            if let (Some(operation), Some(at)) = (operation, node.time(key)) {
                let of = (node.id.system(), node.id.tenant(), operation.collection.as_str());
                all.entry(of).or_default().push(at);
            }
        }
    }
    all
}

/// Of each identity and credential with a recorded use: its system and tenant, its key in [`ActivityMemory::uses`], the use.
fn recorded_uses(graph: &Graph) -> Vec<((&str, &str), String, Uses)> {
    let recorded = |ix: NodeIx| {
        let node = graph.node(ix);
        let told = if node.kind == NodeKind::Credential {
            activity::of_credential(graph, ix)
        } else if identity::is_identity(node) {
            let application = graph.incoming(ix, EdgeKind::Instantiates).next().map(|edge| edge.from);
            activity::of_any_use(graph, ix, activity::made(graph, ix, application))
        } else {
            return None;
        };
        let Use::Last { at, seen } = told else { return None };
        Some(((node.id.system(), node.id.tenant()), key(&node.id), Uses::one(at, seen)))
    };
    graph.node_indexes().filter_map(recorded).collect()
}

fn node(tenant: &str, object: &str) -> Option<NodeId> {
    let (system, tenant) = tenant.split_once(':')?;
    let (kind, id) = object.split_once(':')?;
    let kind = NodeKind::ALL.iter().find(|known| known.as_str() == kind)?;
    Some(NodeId::new(system, tenant, *kind, id))
}

/// A node's identity within its tenant.
pub(crate) fn key(id: &NodeId) -> String {
    id.as_str().splitn(3, ':').nth(2).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// So many hours after the beginning of 2026.
    fn hour(hours: i64) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        start.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap()
    }

    fn days(days: i64) -> Timestamp {
        hour(days * 24)
    }

    /// Readings, each a day with its items and the day of the newest use; since when the last one proves silence.
    fn since(readings: &[(i64, u64, Option<i64>)]) -> Option<Timestamp> {
        let mut watch = Watch::default();
        for (at, items, newest) in readings {
            watch.read(days(*at), *items, newest.map(days));
        }
        watch.since(days(readings.last()?.0))
    }

    #[rstest]
    #[case::one_reading(&[(0, 1, Some(0))], Some(0))]
    #[case::a_week_apart(&[(0, 1, Some(0)), (7, 1, Some(7)), (14, 1, Some(14))], Some(0))]
    #[case::eight_days_apart(&[(0, 1, Some(0)), (8, 1, Some(8))], Some(8))]
    #[case::nothing_there(&[(0, 1, Some(0)), (1, 0, None)], None)]
    #[case::nothing_there_in_between(&[(0, 1, Some(0)), (1, 0, None), (2, 1, Some(2))], Some(2))]
    #[case::newest_use_a_week_old(&[(0, 1, Some(0)), (7, 1, Some(0))], Some(0))]
    #[case::newest_use_older(&[(0, 1, Some(0)), (6, 1, Some(0)), (8, 1, Some(0))], None)]
    #[case::the_feed_stood_still(&[(0, 1, Some(0)), (6, 1, Some(0)), (12, 1, Some(12))], Some(12))]
    #[case::the_feed_came_late(&[(0, 1, Some(0)), (6, 1, Some(0)), (12, 1, Some(7))], Some(0))]
    #[case::no_use_at_all(&[(0, 1, None)], None)]
    fn a_run_ends_where_a_feed_may_have_been_blind(
        #[case] readings: &[(i64, u64, Option<i64>)],
        #[case] expected: Option<i64>,
    ) {
        assert_eq!(since(readings), expected.map(days));
    }

    #[test]
    fn a_second_over_a_week_ends_the_run() {
        let second = jiff::SignedDuration::from_secs(1);
        let late = days(7).checked_add(second).unwrap();
        let mut watch = Watch::default();
        watch.read(days(0), 1, Some(days(0)));
        watch.read(late, 1, Some(days(7)));
        assert_eq!(watch.since(late), Some(late));
        let mut stale = Watch::default();
        stale.read(late, 1, Some(days(0)));
        assert_eq!(stale, Watch::default());
    }

    #[test]
    fn a_reading_that_is_not_the_last_proves_what_it_proved() {
        let mut watch = Watch::default();
        for day in 0..30 {
            watch.read(days(day), 1, Some(days(day)));
        }
        assert_eq!(watch.since(days(20)), Some(days(0)));
        assert_eq!(watch.since(days(30)), None, "of what was read later nothing is known");
    }

    /// Uses and the readings that showed them, in hours; most days since the one after which is counted.
    fn few(uses: &[(i64, i64)], window: i32, seen: i64) -> Option<(Timestamp, i32)> {
        let one = |(at, seen): &(i64, i64)| Uses::one(hour(*at), hour(*seen));
        let all = uses.iter().map(one).fold(Uses::default(), |all, one| all.union(&one));
        all.few(window, hour(seen)).map(|few| (few.after, few.days))
    }

    #[rstest]
    #[case::nothing_since(&[(0, 240)], Some(0))]
    #[case::not_that_far_back(&[(24, 240)], None)]
    #[case::the_reading_does_not_show_it(&[(0, 216)], None)]
    // Read on the eighth day, used on the tenth: on the seventh, a day before the reading, use may not have been recorded yet.
    #[case::one_more(&[(0, 192), (240, 240)], Some(4))]
    #[case::one_more_read_that_day(&[(0, 240), (241, 242)], Some(2))]
    #[case::no_reading_in_between(&[(0, 0), (240, 240)], Some(10))]
    #[case::as_many_as_are_kept(&[(0, 48), (49, 96), (97, 144), (145, 240)], Some(6))]
    #[case::more_than_are_kept(&[(0, 24), (25, 48), (49, 96), (97, 144), (145, 240)], None)]
    fn days_that_nothing_shows_to_be_idle_count(#[case] uses: &[(i64, i64)], #[case] expected: Option<i32>) {
        assert_eq!(few(uses, 10, 240), expected.map(|most| (days(0), most)));
    }

    #[test]
    fn of_a_day_the_longest_silence_counts_and_the_oldest_days_go() {
        let all = [5, 3, 1, 4, 2].map(|day| Uses::one(days(day), days(day + 1)));
        let all = all.iter().fold(Uses::one(hour(50), days(9)), |all, one| all.union(one));
        assert_eq!(all.0.iter().map(|(used, _)| used - day(days(0))).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(all.0[0].1, day(days(9)));
    }

    fn spans() -> impl Strategy<Value = Spans> {
        let span = (0i64..400, 0i64..20).prop_map(|(from, long)| (from * DAY / 3, (from + long) * DAY / 3));
        prop::collection::vec(span, 0..8).prop_map(|all| Spans(all).union(&Spans::default()))
    }

    fn uses() -> impl Strategy<Value = Uses> {
        let one = (0i64..20, 0i64..20).prop_map(|(at, more)| Uses::one(days(at), days(at + more)));
        prop::collection::vec(one, 0..6).prop_map(|all| all.iter().fold(Uses::default(), |all, one| all.union(one)))
    }

    proptest! {
        #[test]
        fn joining_knows_no_order_and_no_repetition(a in spans(), b in spans(), c in spans()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
            prop_assert_eq!(a.union(&a), a.clone());
            let joined = a.union(&b);
            prop_assert!(joined.0.iter().zip(joined.0.iter().skip(1)).all(|(x, y)| y.0 - x.1 > JOINED_WITHIN));
            for (from, to) in &a.0 {
                prop_assert!(joined.0.iter().any(|span| span.0 <= *from && *to <= span.1));
            }
        }

        #[test]
        fn days_of_use_know_no_order_and_no_repetition(a in uses(), b in uses(), c in uses()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
            prop_assert_eq!(a.union(&a), a.clone());
            prop_assert!(a.union(&b).0.len() <= KEPT_USES);
        }

        /// Whatever was read when, and although a use may need a day to be recorded: no more days than told saw use.
        #[test]
        fn few_days_are_never_more_than_told(
            gaps in prop::collection::vec((1i64..900, 0i64..24), 1..10),
            read in prop::collection::vec(1i64..80, 1..60),
            window in 1i32..100,
        ) {
            let mut at = 0;
            let used: Vec<(i64, i64)> = gaps.iter().map(|(gap, lag)| { at += gap; (at, at + lag) }).collect();
            let mut now = 0;
            let mut uses = Uses::default();
            for gap in read {
                now += gap;
                // The latest of those that are recorded by now.
                let latest = used.iter().filter(|(_, recorded)| *recorded <= now).map(|(at, _)| *at).max();
                uses = latest.map_or(uses.clone(), |at| uses.union(&Uses::one(hour(at), hour(now))));
            }
            if let Some(few) = uses.few(window, hour(now)) {
                let days: BTreeSet<i32> = used.iter().filter(|(_, recorded)| *recorded <= now).map(|(at, _)| day(hour(*at))).collect();
                let after = days.iter().filter(|used| **used > day(few.after)).count();
                prop_assert!(after <= usize::try_from(few.days).unwrap(), "{after} days, told {few:?}");
                prop_assert!(day(few.after) <= day(hour(now)) - window);
            }
        }
    }
}
