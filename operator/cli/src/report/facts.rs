//! The facts of a report: everything that its sentences and tables count. Takes the objects of an estate; gives numbers
//! and lists in a fixed order. Pure; the only time is the Estate's `asOf`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_api::{AccountableState, Claim, EstateStatus, EvaluatedInput, Family, FindingState, Severity, conditions};

use super::chains::{self, Chain, Change};
use super::input::{Found, Held};

/// Kinds of subjects that are no identities: nobody is recorded as answering for them.
const GROUP: &str = "Group";
const TENANT: &str = "System";

/// Most changes that are proposed.
const MAX_CHANGES: usize = 10;

/// What a report tells.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// The objects.
    pub(super) held: &'a Held,
    /// The instant that stood for "now" in the evaluation.
    pub(super) as_of: Option<Timestamp>,
    /// Open findings, the most severe first.
    pub(super) open: Vec<&'a Found>,
    /// Accepted findings.
    pub(super) accepted: Vec<&'a Found>,
    /// Resolved findings that are still kept.
    pub(super) resolved: Vec<&'a Found>,
    /// Open findings by family and severity.
    pub(super) table: BTreeMap<(Family, Severity), usize>,
    /// Identities and automations with an open finding, by who answers.
    pub(super) owners: BTreeMap<AccountableState, Vec<Owned<'a>>>,
    /// All chains.
    pub(super) chains: Vec<Chain<'a>>,
    /// The changes that cut most.
    pub(super) changes: Vec<Change<'a>>,
}

/// One subject and its open findings.
#[derive(Clone, Debug)]
pub(super) struct Owned<'a> {
    /// Open findings about it, the most severe first.
    pub(super) findings: Vec<&'a Found>,
}

impl<'a> Facts<'a> {
    /// Counts and sorts.
    pub(super) fn of(held: &'a Held) -> Self {
        let with = |state| held.findings.iter().filter(|found| found.is(state)).collect::<Vec<_>>();
        let open = with(FindingState::Open);
        let mut table = BTreeMap::new();
        for found in &open {
            *table.entry((found.spec.family, found.spec.severity)).or_default() += 1;
        }
        let mut facts = Self {
            held,
            as_of: held.estate.as_ref().and_then(|estate| Some(estate.status.as_ref()?.as_of.as_ref()?.0)),
            accepted: with(FindingState::Accepted),
            resolved: with(FindingState::Resolved),
            table,
            owners: owners(&open),
            chains: chains::chains(&open),
            changes: chains::changes(&open, MAX_CHANGES),
            open,
        };
        facts.accepted.sort_by_key(|found| {
            let acceptance = found.acceptance.as_ref();
            (acceptance.map(|acceptance| acceptance.until.0), acceptance.map(|acceptance| &acceptance.exception))
        });
        facts
    }

    /// The Estate's status.
    pub(super) fn status(&self) -> Option<&'a EstateStatus> {
        self.held.estate.as_ref()?.status.as_ref()
    }

    /// Open findings of this severity.
    pub(super) fn with_severity(&self, severity: Severity) -> usize {
        self.open.iter().filter(|found| found.spec.severity == severity).count()
    }

    /// Identities with an open finding.
    pub(super) fn identities(&self) -> usize {
        self.owners.values().map(Vec::len).sum()
    }

    /// Other subjects with an open finding: of groups, which hold what others use, and of whole tenants.
    pub(super) fn groups_and_tenants(&self) -> [usize; 2] {
        [GROUP, TENANT].map(|kind| {
            let of_kind = self.open.iter().filter(|found| found.spec.subject.kind == kind);
            of_kind.map(|found| found.subject()).collect::<BTreeSet<_>>().len()
        })
    }

    /// Source systems of open findings.
    pub(super) fn systems(&self) -> BTreeSet<&'a str> {
        self.open.iter().map(|found| found.spec.subject.system.as_str()).collect()
    }

    /// Open findings that state less than their rule.
    pub(super) fn narrower(&self) -> usize {
        self.open.iter().filter(|found| found.spec.rule.claim == Claim::Narrower).count()
    }

    /// Open findings that the changes cut, those too that another one tells.
    pub(super) fn cut(&self) -> usize {
        self.changes.iter().map(|change| change.count).sum()
    }

    /// Findings that exist in the evidence pack only.
    pub(super) fn truncated(&self) -> i32 {
        self.status().and_then(|status| status.counts.as_ref()).map_or(0, |counts| counts.truncated)
    }

    /// Open findings that the Estate counts more (or, below zero, fewer) than were given. Those that exist in the pack
    /// only are no difference: how many of them are open is not told.
    pub(super) fn not_here(&self) -> i64 {
        let Some(counts) = self.status().and_then(|status| status.counts.as_ref()) else { return 0 };
        let here = i64::try_from(self.open.len()).unwrap_or(i64::MAX);
        let most = i64::from(counts.by_state.open);
        let least = most - i64::from(counts.truncated);
        if here < least { least - here } else { (most - here).min(0) }
    }

    /// Why the last evaluation gave nothing, when it did not.
    pub(super) fn failed(&self) -> Option<&'a str> {
        let evaluated = conditions::find(&self.status()?.conditions, conditions::EVALUATED)?;
        (evaluated.status == conditions::FALSE).then_some(evaluated.message.as_str())
    }
}

/// Identities by who answers, each in the order of its most severe finding.
fn owners<'a>(open: &[&'a Found]) -> BTreeMap<AccountableState, Vec<Owned<'a>>> {
    let mut order = Vec::new();
    let mut by_subject: BTreeMap<(AccountableState, String), Vec<&'a Found>> = BTreeMap::new();
    for found in open.iter().filter(|found| ![GROUP, TENANT].contains(&found.spec.subject.kind.as_str())) {
        let key = (found.spec.accountable.state, found.subject());
        let list = by_subject.entry(key.clone()).or_default();
        if list.is_empty() {
            order.push(key);
        }
        list.push(found);
    }
    let mut owners: BTreeMap<AccountableState, Vec<Owned<'a>>> = BTreeMap::new();
    for key in order {
        let findings = by_subject.remove(&key).unwrap_or_default();
        owners.entry(key.0).or_default().push(Owned { findings });
    }
    owners
}

/// When the scan behind an input began: its id begins with that instant in milliseconds.
pub(super) fn scanned_at(input: &EvaluatedInput) -> Option<Timestamp> {
    let (millis, _) = input.snapshot_id.split_once('-')?;
    Timestamp::from_millisecond(millis.parse().ok()?).ok()
}

/// How long before, in words: whole days, or hours, or minutes.
pub(super) fn before(earlier: Timestamp, later: Timestamp) -> Option<String> {
    let seconds = later.as_second().checked_sub(earlier.as_second()).filter(|seconds| *seconds >= 0)?;
    let (count, unit) = match seconds {
        0..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    Some(super::text::counted(usize::try_from(count).ok()?, unit))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::report::input::parse;

    #[rstest]
    #[case("01796000400000-0a1b2c3d", Some("2026-11-30T01:00:00Z"))]
    #[case("later", None)]
    #[case("99999999999999999999-0a1b2c3d", None)]
    fn a_snapshots_name_tells_when_its_scan_began(#[case] id: &str, #[case] at: Option<&str>) {
        let input = EvaluatedInput {
            instance: "i".into(),
            instance_uid: "u".into(),
            snapshot_id: id.into(),
            snapshot_digest: "d".into(),
            quarantined: None,
        };
        assert_eq!(scanned_at(&input).map(|at| at.to_string()).as_deref(), at);
    }

    #[rstest]
    #[case("2026-11-30T05:59:59Z", Some("0 minutes"))]
    #[case("2026-11-30T05:00:00Z", Some("1 hour"))]
    #[case("2026-11-28T07:00:00Z", Some("47 hours"))]
    #[case("2026-11-20T06:00:00Z", Some("10 days"))]
    #[case("2026-11-30T06:00:01Z", None)]
    fn ages_are_whole(#[case] earlier: &str, #[case] age: Option<&str>) {
        let as_of = "2026-11-30T06:00:00Z".parse().unwrap();
        assert_eq!(before(earlier.parse().unwrap(), as_of).as_deref(), age);
    }

    /// Of the findings that exist in the pack only it is not told which are open, so they explain any difference.
    #[rstest]
    #[case(0, 0, 0)]
    #[case(3, 0, 3)]
    #[case(3, 2, 1)]
    #[case(2, 3, 0)]
    fn a_difference_is_told_only_when_it_is_one(#[case] open: i32, #[case] truncated: i32, #[case] differs: i64) {
        let counts = json!({"byState": {"open": open}, "truncated": truncated});
        let estate = json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "Estate", "spec": {},
            "metadata": {"name": "default", "namespace": "a"}, "status": {"counts": counts}});
        let held = parse(&[estate.to_string().as_bytes()], None).unwrap();
        assert_eq!(Facts::of(&held).not_here(), differs);
    }
}
