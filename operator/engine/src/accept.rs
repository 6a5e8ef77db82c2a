//! Accepted risks: takes what holds and the estate's `FindingExceptions`, marks what they accept, and says of each one
//! how it stands.
//!
//! Runs after the ledger is written: what is remembered of a finding knows nothing of acceptance, so that an exception
//! that ends, or goes, leaves no trace. It changes a finding's state and names who accepts, and nothing else: what the
//! finding says, its evidence and its place among those that are kept stay. Pure: no clock, no I/O.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};
use sv0_api::{Acceptance, FindingExceptionSpec, FindingSpec, FindingState, MAX_OWNER};

use crate::convert::fit;
use crate::merge::Merged;

/// Most bytes of the owner that a Finding shows: with the longest name it fills what every Finding keeps free for this.
const OWNER_BYTES: usize = 60;

/// A FindingException.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it says.
    pub spec: FindingExceptionSpec,
}

/// How an exception stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It matches something that holds.
    Active,
    /// It matches nothing that holds.
    Idle,
    /// Its end has passed.
    Expired,
    /// It would last longer than anybody may accept.
    TooLong,
}

impl Outcome {
    /// The word, as it stands in packs and conditions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Idle => "Idle",
            Self::Expired => "Expired",
            Self::TooLong => "TooLong",
        }
    }
}

/// What became of one exception.
#[derive(Clone, Debug, PartialEq)]
pub struct ExceptionNote {
    /// The exception.
    pub exception: Exception,
    /// How it stands.
    pub outcome: Outcome,
    /// Findings that hold and match, those too that another exception accepts for longer. Zero unless it is in force.
    pub matched: usize,
}

/// What was accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// Of each exception, in the order of names.
    pub notes: Vec<ExceptionNote>,
    /// By name of the finding, the UID of the exception that accepts it.
    pub by: BTreeMap<String, String>,
}

/// Marks every open finding that an exception in force matches. Of several exceptions the one that ends last accepts it;
/// of those that end together, the one whose name sorts first.
///
/// A finding that another one about the same subject tells inside it is accepted with that one: it does not stand for itself,
/// so nobody could see that it alone is accepted. What is told of other subjects is decided after this, and by this.
pub fn accept(
    merged: &mut Merged,
    folded: &BTreeMap<String, String>,
    exceptions: &[Exception],
    as_of: Timestamp,
) -> Accepted {
    let mut notes: Vec<ExceptionNote> = exceptions
        .iter()
        .map(|exception| ExceptionNote { outcome: outcome(exception, as_of), exception: exception.clone(), matched: 0 })
        .collect();
    notes.sort_by_key(|note| (Reverse(note.exception.spec.ends()), note.exception.name.clone()));
    let index = Index::of(&notes);
    let mut matched = vec![0; notes.len()];
    let mut by = BTreeMap::new();
    for (name, held) in &mut merged.held {
        let finding = &mut held.remembered.spec;
        if finding.state != FindingState::Open || folded.contains_key(name) {
            continue;
        }
        let matching = index.matching(name, finding);
        for at in &matching {
            if let Some(count) = matched.get_mut(*at) {
                *count += 1_usize;
            }
        }
        if let Some(note) = matching.first().and_then(|at| notes.get(*at)) {
            mark(finding, &note.exception);
            by.insert(name.clone(), note.exception.uid.clone());
        }
    }
    for (note, matched) in notes.iter_mut().zip(matched).filter(|(_, matched)| *matched > 0) {
        (note.matched, note.outcome) = (matched, Outcome::Active);
    }
    notes.sort_by(|a, b| a.exception.name.cmp(&b.exception.name));
    Accepted { notes, by }
}

/// The exceptions in force by what they name, so that a finding is not held against every one of them: an estate may have
/// many of both. Each stands under what names the fewest findings: findings, else subjects, else rules.
struct Index<'a> {
    notes: &'a [ExceptionNote],
    /// By name of the finding, places in `notes`; the others likewise.
    findings: BTreeMap<&'a str, Vec<usize>>,
    /// By the subject's full identity.
    subjects: BTreeMap<&'a str, Vec<usize>>,
    /// By id of the rule.
    rules: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(notes: &'a [ExceptionNote]) -> Self {
        let mut index = Self { notes, findings: BTreeMap::new(), subjects: BTreeMap::new(), rules: BTreeMap::new() };
        for (at, note) in notes.iter().enumerate().filter(|(_, note)| note.outcome == Outcome::Idle) {
            let wanted = &note.exception.spec.matching;
            let (under, keys) = if !wanted.findings.is_empty() {
                (&mut index.findings, &wanted.findings)
            } else if !wanted.subjects.is_empty() {
                (&mut index.subjects, &wanted.subjects)
            } else {
                (&mut index.rules, &wanted.rules)
            };
            for key in keys {
                under.entry(key).or_default().push(at);
            }
        }
        index
    }

    /// Places of the exceptions that match, in their order.
    fn matching(&self, name: &str, finding: &FindingSpec) -> Vec<usize> {
        let subject = &finding.subject;
        let identity = if self.subjects.is_empty() {
            String::new()
        } else {
            [&*subject.system, &*subject.tenant, &*subject.kind, &*subject.id].join(":")
        };
        let under = [self.findings.get(name), self.subjects.get(&*identity), self.rules.get(&*finding.rule.id)];
        let matches =
            |at: &&usize| self.notes.get(**at).is_some_and(|note| note.exception.spec.matching.matches(name, finding));
        let mut all: Vec<usize> = under.into_iter().flatten().flatten().filter(matches).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Before it is known whether anything matches: `Idle` stands for "in force".
fn outcome(exception: &Exception, as_of: Timestamp) -> Outcome {
    if exception.spec.ends() <= as_of {
        Outcome::Expired
    } else if exception.spec.is_too_long(exception.created_at) {
        Outcome::TooLong
    } else {
        Outcome::Idle
    }
}

fn mark(finding: &mut FindingSpec, exception: &Exception) {
    finding.state = FindingState::Accepted;
    finding.acceptance = Some(Acceptance {
        exception: exception.name.clone(),
        owner: shortened(&fit(&exception.spec.owner, MAX_OWNER)),
        until: Time(exception.spec.ends()),
    });
}

/// At most [`OWNER_BYTES`]; what is cut ends in `…`.
fn shortened(owner: &str) -> String {
    if owner.len() <= OWNER_BYTES {
        return owner.to_owned();
    }
    let room = OWNER_BYTES - '…'.len_utf8();
    let end = owner.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= room).last();
    format!("{}…", owner.get(..end.unwrap_or(0)).unwrap_or_default())
}

/// The ends that are still to come: at each of them findings may open again, and an exception's own status changes.
pub fn ends(exceptions: &[Exception]) -> impl Iterator<Item = Timestamp> {
    exceptions.iter().map(|exception| exception.spec.ends())
}
