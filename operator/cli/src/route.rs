//! A finding's path as people read it: hops with both of their ends, and what would no longer be reached without one.
//!
//! Takes the hops of a Finding; gives steps, and for each step what cutting it takes away. A path may branch: an identity
//! can hold several grants. Nodes are the labels that the Finding shows, so that all that is said holds of this path as it
//! is shown and of nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sv0_api::{EvidenceClass, Finding, FindingState, Hop};

/// One hop with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Where it starts.
    pub from: &'a str,
    /// The word of the edge.
    pub edge: &'a str,
    /// Where it leads.
    pub to: &'a str,
    /// Role or permission.
    pub via: Option<&'a str>,
    /// How it is known.
    pub class: EvidenceClass,
}

/// What cutting one step takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which step.
    pub at: usize,
    /// Last steps of the path that nothing leads to any more, itself included when it is one.
    pub lost: Vec<usize>,
    /// Whether no end of the path is left.
    pub all: bool,
}

/// The hops with what they leave out: a hop without a start begins where the one before it leads.
pub fn steps(path: &[Hop]) -> Vec<Step<'_>> {
    let mut before = "";
    let mut steps = Vec::with_capacity(path.len());
    for Hop { from, edge, to, via, class } in path {
        let from = from.as_deref().unwrap_or(before);
        steps.push(Step { from, edge, to, via: via.as_deref(), class: *class });
        before = to;
    }
    steps
}

/// Whether the steps hang together. They do not when hops were left out of the middle.
pub fn whole(steps: &[Step<'_>]) -> bool {
    let Some(first) = steps.first() else { return true };
    let mut seen = BTreeSet::from([first.from]);
    loop {
        let before = seen.len();
        for step in steps {
            if seen.contains(step.from) || seen.contains(step.to) {
                seen.extend([step.from, step.to]);
            }
        }
        if seen.len() == before {
            return steps.iter().all(|step| seen.contains(step.from));
        }
    }
}

/// Where the path starts: what no step leads to, or else the start of the first step.
pub fn starts<'a>(steps: &[Step<'a>]) -> Vec<&'a str> {
    let led_to: BTreeSet<&str> = steps.iter().map(|step| step.to).collect();
    let mut starts: Vec<&str> = Vec::new();
    for step in steps.iter().filter(|step| !led_to.contains(step.from)) {
        if !starts.contains(&step.from) {
            starts.push(step.from);
        }
    }
    if starts.is_empty() { steps.first().map(|step| step.from).into_iter().collect() } else { starts }
}

/// The steps at which the path ends: nothing starts where they lead.
pub fn ends(steps: &[Step<'_>]) -> Vec<usize> {
    let from: BTreeSet<&str> = steps.iter().map(|step| step.from).collect();
    let ends: Vec<usize> = (0..steps.len()).filter(|at| steps.get(*at).is_some_and(|s| !from.contains(s.to))).collect();
    if ends.is_empty() { steps.len().checked_sub(1).into_iter().collect() } else { ends }
}

/// What stands in place of a role or permission where control follows from owning.
const OWNER: &str = "owner";

/// The step that a derived one rests on: a fact about the same holder with the same role or permission, or its ownership
/// where that is the only one. The derived one cannot be cut by itself, and falls with it.
pub fn basis(steps: &[Step<'_>], at: usize) -> Option<usize> {
    let derived = steps.get(at).filter(|step| step.class == EvidenceClass::Structural && step.via.is_some())?;
    let own = |step: &Step<'_>| step.class == EvidenceClass::Direct && step.from == derived.from;
    if let Some(basis) = steps.iter().position(|step| own(step) && step.via == derived.via) {
        return Some(basis);
    }
    let owning = |(at, step): (usize, &Step<'_>)| (own(step) && step.edge == "OWNS").then_some(at);
    let mut owned = steps.iter().enumerate().filter_map(owning);
    let basis = owned.next().filter(|_| derived.via == Some(OWNER) && derived.edge == "CAN_CONTROL")?;
    owned.next().is_none().then_some(basis)
}

/// What cutting each step takes away, without those that rest on another one; empty when the path has gaps, since
/// nothing can be said of it then.
pub fn cuts(steps: &[Step<'_>]) -> Vec<Cut> {
    if !whole(steps) {
        return Vec::new();
    }
    let ends = ends(steps);
    let cut = |at: usize| {
        let fallen: BTreeSet<usize> =
            (0..steps.len()).filter(|other| *other == at || basis(steps, *other) == Some(at)).collect();
        let reached = reached(steps, &fallen);
        let gone = |end: &usize| fallen.contains(end) || steps.get(*end).is_none_or(|s| !reached.contains(s.from));
        let lost: Vec<usize> = ends.iter().copied().filter(gone).collect();
        let all = lost.len() == ends.len();
        Cut { at, lost, all }
    };
    (0..steps.len()).filter(|at| basis(steps, *at).is_none()).map(cut).collect()
}

/// The hop that a step of the remediation takes away, as positions of step and hop. The rules name an edge in set words
/// with the labels of its ends; where those words are those of a hop of this path, it is the one.
pub fn named(steps: &[Step<'_>], remediation: &[String]) -> Option<(usize, usize)> {
    let of = |words: &str| remediation.iter().position(|step| step.strip_prefix(words).is_some_and(ends_there));
    let mut all = steps.iter().enumerate().filter_map(|(at, step)| Some((of(&taken(step)?)?, at)));
    all.find(|(_, at)| basis(steps, *at).is_none())
}

/// After the words that name an edge comes what that does, or nothing.
fn ends_there(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(':') || rest == "."
}

/// How the rules say that an edge is to be taken away.
fn taken(step: &Step<'_>) -> Option<String> {
    let Step { from, edge, to, via, .. } = step;
    match (*edge, *via) {
        ("GRANTED" | "CAN_CONTROL", Some(via)) if via != OWNER => Some(format!("Take {via} from the {from}")),
        ("MEMBER_OF", _) => Some(format!("Take the {from} out of the {to}")),
        ("OWNS", _) => Some(format!("Take the {from} off the owners of the {to}")),
        _ => None,
    }
}

/// Nodes that the starts lead to without some steps.
fn reached<'a>(steps: &[Step<'a>], without: &BTreeSet<usize>) -> BTreeSet<&'a str> {
    let mut reached: BTreeSet<&str> = starts(steps).into_iter().collect();
    loop {
        let before = reached.len();
        for (at, step) in steps.iter().enumerate() {
            if !without.contains(&at) && reached.contains(step.from) {
                reached.insert(step.to);
            }
        }
        if reached.len() == before {
            return reached;
        }
    }
}

/// How many other open findings of the same tenant show a hop with the same two ends, edge and role, for each step.
pub fn shared(finding: &Finding, others: &[Finding]) -> Vec<usize> {
    let mut counts: BTreeMap<(&str, &str, &str, Option<&str>), usize> = BTreeMap::new();
    let subject = &finding.spec.subject;
    for other in others {
        let itself = other.metadata.name == finding.metadata.name;
        let elsewhere = other.spec.subject.system != subject.system || other.spec.subject.tenant != subject.tenant;
        if itself || elsewhere || other.spec.state != FindingState::Open {
            continue;
        }
        let distinct: BTreeSet<_> = steps(&other.spec.path).into_iter().map(key).collect();
        for key in distinct {
            *counts.entry(key).or_default() += 1;
        }
    }
    steps(&finding.spec.path).into_iter().map(|step| counts.get(&key(step)).copied().unwrap_or(0)).collect()
}

fn key(step: Step<'_>) -> (&str, &str, &str, Option<&str>) {
    (step.from, step.edge, step.to, step.via)
}

/// The edge in plain words: stands between what it starts from and what it leads to. A word that is not known here is
/// shown as it is.
pub fn edge_words(edge: &str) -> String {
    let words = match edge {
        "OWNS" => "is recorded as an owner of",
        "SPONSORS" => "is recorded as a sponsor of",
        "CREATED_BY" => "was made by",
        "ACCOUNTABLE_TO" => "is answered for by",
        "MEMBER_OF" => "is a member of",
        "INSTANTIATES" => "acts in the tenant as",
        "HOLDS_CREDENTIAL" => "holds",
        "AUTHENTICATES_AS" => "can sign in as",
        "TRUSTS" => "trusts",
        "CAN_ASSUME" => "can become",
        "GRANTED" => "has a grant on",
        "DELEGATED_GRANT" => "can act for users at",
        "CONTAINS" => "contains",
        "GUARD" => "limits",
        "CAN_CONTROL" => "can take control of",
        "RUNS_AS" => "runs as",
        "USES_CONNECTION" => "uses the connection",
        "PRESENTS" => "signs in with",
        "CONNECTS_TO" => "connects to",
        "CALLS" => "calls",
        "TRIGGERS" => "starts",
        "SAME_AS" => "is the same as",
        other => return sv0_rules::harmless(other).to_lowercase().replace('_', " "),
    };
    words.to_owned()
}

/// The class of evidence in one word.
pub const fn class_word(class: EvidenceClass) -> &'static str {
    match class {
        EvidenceClass::Direct => "direct",
        EvidenceClass::Structural => "structural",
        EvidenceClass::Temporal => "temporal",
    }
}

/// The edge with its role or permission: `holds Mail.Read on`.
pub fn step_words(step: &Step<'_>) -> String {
    let Some(via) = step.via.map(sv0_rules::harmless) else { return edge_words(step.edge) };
    match step.edge {
        "GRANTED" => format!("holds {via} on"),
        "DELEGATED_GRANT" => format!("can act for users with {via} at"),
        "CAN_CONTROL" if via == OWNER => "can, as an owner, take control of".to_owned(),
        "CAN_CONTROL" => format!("can, by {via}, take control of"),
        edge => format!("{} ({via})", edge_words(edge)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn path(hops: &[(&str, &str)]) -> Vec<Hop> {
        let hop = |(from, to): &(&str, &str)| Hop {
            from: (!from.is_empty()).then(|| (*from).to_owned()),
            edge: "GRANTED".to_owned(),
            to: (*to).to_owned(),
            via: None,
            class: EvidenceClass::Direct,
        };
        hops.iter().map(hop).collect()
    }

    fn all(path: &[Hop]) -> Vec<usize> {
        cuts(&steps(path)).into_iter().filter(|cut| cut.all).map(|cut| cut.at).collect()
    }

    #[rstest]
    #[case::a_chain(&[("a", "b"), ("", "c"), ("", "d")], &[0, 1, 2])]
    #[case::two_ends(&[("a", "b"), ("", "c"), ("b", "d")], &[0])]
    #[case::two_grants_to_one(&[("a", "b"), ("", "c"), ("b", "c")], &[0])]
    #[case::two_ways_in(&[("a", "c"), ("b", "c"), ("c", "d")], &[2])]
    #[case::around(&[("a", "b"), ("", "d"), ("a", "c"), ("", "d"), ("", "e")], &[4])]
    #[case::with_a_gap(&[("a", "b"), ("c", "d")], &[])]
    #[case::a_circle(&[("a", "b"), ("b", "a")], &[0, 1])]
    #[case::nothing(&[], &[])]
    fn hops_without_which_nothing_is_reached(#[case] hops: &[(&str, &str)], #[case] expected: &[usize]) {
        assert_eq!(all(&path(hops)), expected);
    }

    #[test]
    fn what_a_single_grant_takes_away_is_that_grant() {
        let path = path(&[("a", "b"), ("", "c"), ("b", "d")]);
        let cuts = cuts(&steps(&path));
        assert_eq!(cuts.iter().map(|cut| cut.lost.clone()).collect::<Vec<_>>(), [vec![1, 2], vec![1], vec![2]]);
    }

    /// What is derived from a grant falls with the grant, and is nothing to cut by itself.
    #[test]
    fn a_derived_hop_falls_with_what_it_rests_on() {
        let mut path = path(&[("a", "b"), ("", "api"), ("b", "c"), ("", "d")]);
        path[1].via = Some("Application.ReadWrite.All".to_owned());
        path[2] = Hop { class: EvidenceClass::Structural, via: path[1].via.clone(), ..path[2].clone() };
        let steps = steps(&path);
        assert_eq!((basis(&steps, 2), basis(&steps, 1)), (Some(1), None));
        let cuts: Vec<_> = cuts(&steps).into_iter().map(|cut| (cut.at, cut.lost, cut.all)).collect();
        assert_eq!(cuts, [(0, vec![1, 3], true), (1, vec![1, 3], true), (3, vec![3], false)]);
    }

    /// Control as an owner falls with the ownership; of several ones it is not told which.
    #[test]
    fn control_as_an_owner_falls_with_the_ownership() {
        let mut path = path(&[("secret", "bot"), ("bot", "app"), ("bot", "other"), ("other", "tenant")]);
        path[1].edge = "OWNS".to_owned();
        path[2] = Hop {
            edge: "CAN_CONTROL".to_owned(),
            via: Some(OWNER.to_owned()),
            class: EvidenceClass::Structural,
            ..path[2].clone()
        };
        assert_eq!(basis(&steps(&path), 2), Some(1));
        assert_eq!(all(&path), [0, 1]);
        assert_eq!(step_words(&steps(&path)[2]), "can, as an owner, take control of");
        let mut second = path[1].clone();
        second.to = "another app".to_owned();
        path.push(Hop { from: Some("bot".to_owned()), ..second });
        assert_eq!(basis(&steps(&path), 2), None);
    }

    #[test]
    fn the_hop_that_a_step_names_is_found() {
        let mut path = path(&[("robot \"a\"", "group \"g\""), ("", "tenant \"t\"")]);
        path[0].edge = "MEMBER_OF".to_owned();
        path[1].via = Some("Global Administrator".to_owned());
        let of = |step: &str| named(&steps(&path), &["Look at it.".to_owned(), step.to_owned()]);
        assert_eq!(of("Take the robot \"a\" out of the group \"g\": that alone cuts all."), Some((1, 0)));
        assert_eq!(of("Take Global Administrator from the group \"g\""), Some((1, 1)));
        assert_eq!(of("Take Global Administrator from the group \"g\" \"h\": that alone cuts all."), None);
        assert_eq!(of("Take Global Reader from the group \"g\""), None);
    }

    #[test]
    fn words_of_an_edge_that_is_not_known_are_its_own() {
        assert_eq!(edge_words("CAN_READ_SECRET"), "can read secret");
        assert_eq!(edge_words("X\u{1b}[2J"), "x[2j");
        assert_eq!(edge_words("AUTHENTICATES_AS"), "can sign in as");
    }
}
