//! Paths of findings put together: chains (one path, all its findings) and the changes that cut most of them. Takes open
//! Findings; gives lists in a fixed order. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sv0_api::{EvidenceClass, FindingSpec};

use super::input::Found;
use super::text::clean;
use super::words;
use crate::route;

/// One step of a path with both its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// Where it starts: kind and name.
    pub(crate) from: String,
    /// What it says, such as `GRANTED`.
    pub(crate) edge: String,
    /// The role or permission.
    pub(crate) via: Option<String>,
    /// Where it leads.
    pub(crate) to: String,
    /// How it is known.
    pub(crate) class: EvidenceClass,
}

/// The path with both ends of each step.
pub(crate) fn steps(spec: &FindingSpec) -> Vec<Step> {
    let mut before = String::new();
    let mut steps = Vec::new();
    for hop in &spec.path {
        let from = hop.from.clone().unwrap_or_else(|| std::mem::take(&mut before));
        before.clone_from(&hop.to);
        steps.push(Step { from, edge: hop.edge.clone(), via: hop.via.clone(), to: hop.to.clone(), class: hop.class });
    }
    steps
}

/// The steps in runs that go on without a break. A path that branches has several, and each begins at a node that was
/// met before; so has one whose middle was left out.
pub(crate) fn runs(steps: &[Step]) -> Vec<&[Step]> {
    steps.chunk_by(|before, after| before.to == after.from).collect()
}

/// The steps without any one of which nothing at the end of the path is reached. None when the path has a gap.
fn breaking(spec: &FindingSpec) -> Vec<Step> {
    let mut steps: Vec<Option<Step>> = steps(spec).into_iter().map(Some).collect();
    let cuts = route::cuts(&route::steps(&spec.path));
    cuts.iter().filter(|cut| cut.all).filter_map(|cut| steps.get_mut(cut.at)?.take()).collect()
}

/// What the step says between its two ends, made harmless.
pub(crate) fn phrase(step: &Step) -> String {
    let Step { from, edge, via, to, class } = step;
    clean(&route::step_words(&route::Step { from, edge, to, via: via.as_deref(), class: *class }))
}

/// A path and what lies on it.
#[derive(Clone, Debug)]
pub(crate) struct Chain<'a> {
    /// The path.
    pub(crate) steps: Vec<Step>,
    /// Findings with this path about the same subject, the most severe first.
    pub(crate) findings: Vec<&'a Found>,
}

/// Chains: the one with the most severe finding first, then the one with more findings, then the longer one.
pub(crate) fn chains<'a>(open: &[&'a Found]) -> Vec<Chain<'a>> {
    let mut by_path: BTreeMap<(String, Vec<Step>), Vec<&'a Found>> = BTreeMap::new();
    for found in open.iter().filter(|found| !found.spec.path.is_empty()) {
        by_path.entry((found.subject(), steps(&found.spec))).or_default().push(found);
    }
    let mut all: Vec<Chain<'a>> = by_path.into_iter().map(|((_, steps), findings)| Chain { steps, findings }).collect();
    // Stable: equals stay in the order of subject and path.
    all.sort_by_key(|chain| {
        let weight = weight(&chain.findings);
        (std::cmp::Reverse(weight), std::cmp::Reverse(chain.findings.len()), std::cmp::Reverse(chain.steps.len()))
    });
    all
}

/// How many findings of each severity, the most severe first: greater is worse.
type Weight = [usize; 5];

fn weight(findings: &[&Found]) -> Weight {
    words::SEVERITIES.map(|severity| findings.iter().filter(|found| found.spec.severity == severity).count())
}

/// The removal of one step, and the findings whose path it breaks: nothing at its end is reached without the step.
#[derive(Clone, Debug)]
pub(crate) struct Change<'a> {
    /// The step.
    pub(crate) step: Step,
    /// Findings that no earlier change of the list cuts.
    pub(crate) cuts: Vec<&'a Found>,
    /// How many they are with those that they tell and that the step cuts too.
    pub(crate) count: usize,
}

/// A step as one thing of the estate. Names alone do not tell objects apart, so the instance stands in front, and where
/// a name stands for several subjects, the subject itself behind.
type Key = (String, Step, Option<String>);

/// At most `most` changes, greedily: each cuts most of what those before it left. Among equals the one that cuts the more
/// severe, then the one that is more readily made, then by the words of the step.
pub(crate) fn changes<'a>(open: &[&'a Found], most: usize) -> Vec<Change<'a>> {
    let ambiguous = ambiguous(open);
    let mut on: BTreeMap<Key, BTreeMap<&str, (&'a Found, usize)>> = BTreeMap::new();
    for found in open {
        let own = label(&found.spec);
        // What others hold through it they have by what it holds: how it is entered itself is none of theirs.
        let shared = steps(&found.spec).into_iter().find(|step| step.from == own);
        for step in breaking(&found.spec) {
            let count = 1 + if shared.as_ref() == Some(&step) { found.behind() } else { 0 };
            if let Some(key) = key(found, step, &ambiguous) {
                let all = on.entry(key).or_default();
                let most = all.get(found.name.as_str()).map_or(count, |(_, before)| count.max(*before));
                all.insert(&found.name, (found, most));
            }
        }
    }
    let mut changes = Vec::new();
    while changes.len() < most {
        let best = on.iter().max_by_key(|((_, step, _), cuts)| {
            let findings: Vec<&Found> = cuts.values().map(|(found, _)| *found).collect();
            let readily = std::cmp::Reverse(words::removable(&step.edge));
            // `max_by_key` takes the last of equals; reversed words make that the first by words.
            (total(cuts), weight(&findings), readily, std::cmp::Reverse(step.clone()))
        });
        let Some(((_, step, _), cuts)) = best.filter(|(_, cuts)| !cuts.is_empty()) else { break };
        let mut change =
            Change { step: step.clone(), cuts: cuts.values().map(|(found, _)| *found).collect(), count: total(cuts) };
        change.cuts.sort_by_key(|found| (found.subject(), std::cmp::Reverse(found.spec.severity)));
        for cuts in on.values_mut() {
            cuts.retain(|name, _| change.cuts.iter().all(|cut| cut.name != *name));
        }
        changes.push(change);
    }
    changes
}

fn total(cuts: &BTreeMap<&str, (&Found, usize)>) -> usize {
    cuts.values().map(|(_, count)| count).sum()
}

/// Kind and name as a path writes them.
fn label(spec: &FindingSpec) -> String {
    format!("{} \"{}\"", words::kind(&spec.subject.kind), spec.subject.name)
}

/// Labels that stand for more than one subject of an instance.
fn ambiguous(open: &[&Found]) -> BTreeSet<(String, String)> {
    let mut subjects: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for found in open {
        let subject = &found.spec.subject;
        subjects.entry((subject.instance_uid.clone(), label(&found.spec))).or_default().insert(&subject.id);
    }
    subjects.into_iter().filter(|(_, ids)| ids.len() > 1).map(|(label, _)| label).collect()
}

/// None when one end has a name that several objects share and that is not the finding's own subject: it cannot be told
/// which object is meant, so that nothing may be counted together.
fn key(found: &Found, step: Step, ambiguous: &BTreeSet<(String, String)>) -> Option<Key> {
    let subject = &found.spec.subject;
    let own = label(&found.spec);
    let mut of = None;
    for end in [&step.from, &step.to] {
        if ambiguous.contains(&(subject.instance_uid.clone(), end.clone())) {
            if *end != own {
                return None;
            }
            of = Some(subject.id.clone());
        }
    }
    Some((subject.instance_uid.clone(), step, of))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sv0_api::Severity;

    use super::*;
    use crate::report::input::Part;

    fn found(name: &str, severity: &str, subject: (&str, &str), path: &[(&str, &str, &str)]) -> Found {
        let hops: Vec<_> = path.iter().map(|(from, edge, to)| json!({"from": from, "edge": edge, "to": to})).collect();
        let spec: FindingSpec = serde_json::from_value(json!({
            "rule": {"id": "R-1", "version": "1", "claim": "Full"}, "family": "CredentialLifecycle", "category": "c",
            "severity": severity, "severityRank": 3, "title": "t", "why": "w",
            "subject": {"id": subject.0, "kind": "ServicePrincipal", "name": subject.1, "system": "s", "tenant": "t",
                "instance": "i", "instanceUid": "u"},
            "accountable": {"state": "Active", "total": 0}, "path": hops, "evidence": [],
            "state": "Open", "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "0"
        }))
        .unwrap();
        Found { name: name.to_owned(), spec, acceptance: None, parts: Vec::new(), parts_omitted: 0 }
    }

    /// A grant of a group counts for all that are told in the finding about the group; how an identity signs in does not.
    #[test]
    fn what_others_hold_through_counts_for_all_of_them() {
        let told = |found: Found, subject: Option<&str>, omitted| Found {
            parts: vec![Part {
                name: "p".into(),
                rule: "R-1".into(),
                severity: Severity::Low,
                subject: subject.map(str::to_owned),
            }],
            parts_omitted: omitted,
            ..found
        };
        let path =
            [("secret", "AUTHENTICATES_AS", "service principal \"x\""), ("service principal \"x\"", "GRANTED", "t")];
        let lead = told(found("a", "Low", ("1", "x"), &path), Some("y"), 6);
        let single = ["b", "c"].map(|name| found(name, "Critical", (name, name), &[(name, "GRANTED", "mail")]));
        let open: Vec<&Found> = single.iter().chain([&lead]).collect();
        let first = &changes(&open, 10)[0];
        assert_eq!((first.step.edge.as_str(), first.step.to.as_str(), first.count), ("GRANTED", "t", 8));
        assert_eq!((first.cuts.len(), lead.behind()), (1, 7));
        assert_eq!(lead.told(), "R-1 of \"y\" (low), and 6 more");
        assert_eq!(lead.tells(), "tells 7 findings that hold through it");
        // A composite tells what is said of its own subject: that is cut with each step as it is.
        let composite = told(found("d", "Low", ("1", "x"), &path), None, 0);
        assert_eq!((changes(&[&composite], 10)[0].count, composite.tells().as_str()), (1, "tells as a whole"));
    }

    fn cut<'a>(changes: &'a [Change<'_>]) -> Vec<(&'a str, usize)> {
        changes.iter().map(|change| (change.step.to.as_str(), change.cuts.len())).collect()
    }

    #[test]
    fn the_step_that_most_share_comes_first_and_no_finding_is_counted_twice() {
        let group = ("group", "GRANTED", "tenant");
        let all = [
            found("a", "Low", ("1", "x"), &[("x", "MEMBER_OF", "group"), group]),
            found("b", "Low", ("2", "y"), &[("y", "MEMBER_OF", "group"), group]),
            found("c", "High", ("3", "z"), &[("z", "GRANTED", "mail")]),
        ];
        let open: Vec<&Found> = all.iter().collect();
        let changes = changes(&open, 10);
        assert_eq!(cut(&changes), [("tenant", 2), ("mail", 1)]);
        let names: BTreeSet<&str> =
            changes.iter().flat_map(|change| &change.cuts).map(|cut| cut.name.as_str()).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(super::changes(&open, 1).len(), 1);
    }

    /// A hop of one branch breaks no path that has another; what both branches need does.
    #[test]
    fn one_branch_of_several_is_not_the_path() {
        let path = [("secret", "AUTHENTICATES_AS", "x"), ("x", "GRANTED", "mail"), ("x", "GRANTED", "files")];
        let all = [found("a", "Low", ("1", "x"), &path), found("b", "Low", ("2", "y"), &[("x", "GRANTED", "mail")])];
        let open: Vec<&Found> = all.iter().collect();
        let changes = changes(&open, 10);
        assert_eq!(cut(&changes), [("mail", 1), ("x", 1)]);
        assert_eq!(changes.iter().map(|change| change.cuts[0].name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let steps = steps(&all[0].spec);
        assert_eq!(runs(&steps).iter().map(|run| run.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn of_a_path_with_a_gap_no_change_is_counted() {
        let all = [found("a", "Low", ("1", "x"), &[("s", "E", "m"), ("n", "E", "t")])];
        let open: Vec<&Found> = all.iter().collect();
        assert!(changes(&open, 10).is_empty());
    }

    #[test]
    fn among_equals_the_more_severe_then_the_grant() {
        let path = |id| [("secret", "AUTHENTICATES_AS", id), (id, "GRANTED", "mail")];
        let all = [found("a", "Low", ("1", "x"), &path("x")), found("b", "Critical", ("2", "y"), &path("y"))];
        let open: Vec<&Found> = all.iter().collect();
        let changes = changes(&open, 10);
        assert_eq!(changes[0].step.from, "y");
        assert_eq!(changes[0].step.edge, "GRANTED");
        assert_eq!(changes[0].cuts[0].spec.severity, Severity::Critical);
    }

    /// Two objects of one name are two: removing a grant of one leaves the other's.
    #[test]
    fn equal_names_are_not_one_object() {
        let path = [("service principal \"x\"", "GRANTED", "mail")];
        let all = [found("a", "Low", ("1", "x"), &path), found("b", "Low", ("2", "x"), &path)];
        let open: Vec<&Found> = all.iter().collect();
        assert_eq!(cut(&changes(&open, 10)), [("mail", 1), ("mail", 1)]);
        let other = found("c", "Low", ("3", "z"), &path);
        let open: Vec<&Found> = all.iter().chain([&other]).collect();
        let counted: usize = changes(&open, 10).iter().map(|change| change.cuts.len()).sum();
        assert_eq!(counted, 2, "whose grant the third path shows is not known");
    }

    #[test]
    fn the_order_of_input_does_not_matter() {
        let path = |id| [("secret", "AUTHENTICATES_AS", id), (id, "GRANTED", "mail")];
        let all: Vec<Found> = ["x", "y", "z"].iter().map(|id| found(id, "Low", (id, id), &path(id))).collect();
        let forward: Vec<&Found> = all.iter().collect();
        let backward: Vec<&Found> = all.iter().rev().collect();
        assert_eq!(format!("{:?}", changes(&forward, 10)), format!("{:?}", changes(&backward, 10)));
        assert_eq!(format!("{:?}", chains(&forward)), format!("{:?}", chains(&backward)));
    }

    #[test]
    fn a_hop_without_a_start_begins_where_the_one_before_leads() {
        let mut one = found("a", "Low", ("1", "x"), &[("s", "E", "m"), ("m", "E", "t")]);
        one.spec.path[1].from = None;
        assert_eq!(steps(&one.spec)[1].from, "m");
        let open = [&one];
        assert_eq!(chains(&open).len(), 1);
    }
}
