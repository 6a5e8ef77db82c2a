//! Where a program can be killed: marks in the API server's audit log, and a seeded choice of points between them.
//!
//! Pure: events and a seed in, points out. The same marks and the same seed give the same points.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::audit::Event;
use crate::deploy::SYSTEM;

/// A program of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Decides and orders.
    Manager,
    /// Keeps snapshots, packs and ledgers.
    Store,
    /// Reads the source system.
    Scan,
    /// Writes Findings.
    Evaluate,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Manager, Self::Store, Self::Scan, Self::Evaluate];

    /// Its name, also of its binary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Store => "store",
            Self::Scan => "scan",
            Self::Evaluate => "evaluate",
        }
    }

    /// Whether it runs as a Job, rather than all the time.
    pub const fn is_job(self) -> bool {
        matches!(self, Self::Scan | Self::Evaluate)
    }

    /// How long after its last mark of a phase it is still worth killing.
    const fn tail(self) -> Duration {
        match self {
            Self::Manager | Self::Store => Duration::from_secs(1),
            Self::Scan => Duration::from_millis(40),
            Self::Evaluate => Duration::from_millis(5),
        }
    }
}

/// A moment of the undisturbed run that the audit log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What happened, with the number of its kind in this phase: `create findings #3`.
    pub label: String,
    /// When.
    pub at: Timestamp,
}

/// Recognises the marks of one program in one estate.
///
/// Manager and evaluation write to the API server themselves: each write is a mark. The store and scans do not, so
/// their marks are what goes with their work: the Job, the tokens for its pod, the review of those tokens.
#[derive(Debug)]
pub struct Marker {
    program: Program,
    estate: String,
    running: Option<Program>,
    numbers: BTreeMap<String, usize>,
}

impl Marker {
    /// The marks of `program`, counted from the first event that it is shown.
    pub fn new(program: Program, estate: &str) -> Self {
        Self { program, estate: estate.to_owned(), running: None, numbers: BTreeMap::new() }
    }

    /// The mark that this event is, if it is one.
    pub fn observe(&mut self, event: &Event) -> Option<Mark> {
        let kind = self.kind(event)?;
        let number = self.numbers.entry(kind.clone()).or_default();
        *number += 1;
        Some(Mark { label: format!("{kind} #{number}"), at: event.at })
    }

    /// Which Job was created last and not deleted yet.
    pub fn running(&self) -> Option<Program> {
        self.running
    }

    fn kind(&mut self, event: &Event) -> Option<String> {
        if event.namespace != self.estate && event.namespace != SYSTEM && !event.namespace.is_empty() {
            return None;
        }
        if event.user.starts_with("system:node:") {
            return self.token_for_pod(event);
        }
        let (_, account) = event.user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        self.own_write(event, account).or_else(|| self.review(event, account))
    }

    /// A write of the product's own account.
    fn own_write(&mut self, event: &Event, account: &str) -> Option<String> {
        let by_us = event.user == format!("system:serviceaccount:{SYSTEM}:{account}");
        if !by_us || !event.is_write() || event.resource == "leases" {
            return None;
        }
        let plain = format!("{} {}", event.verb, event.resource);
        if account == "securityv0-manager" {
            if event.resource != "jobs" {
                return (self.program == Program::Manager).then_some(plain);
            }
            let whose = if event.namespace == self.estate { Program::Scan } else { Program::Evaluate };
            self.running = (event.verb == "create").then_some(whose);
            let concerns = self.program == Program::Manager
                || (event.verb == "create" && (self.program == Program::Store || self.program == whose));
            return concerns.then(|| format!("{} Job of {}", event.verb, whose.name()));
        }
        let evaluation = account == format!("evaluate-{}", self.estate);
        (evaluation && self.program == Program::Evaluate).then_some(plain)
    }

    /// The kubelet fetches a token that it will mount into the pod of a Job.
    fn token_for_pod(&self, event: &Event) -> Option<String> {
        let account = match self.program {
            Program::Scan => event.namespace == self.estate,
            Program::Evaluate => event.name == format!("evaluate-{}", self.estate),
            Program::Manager | Program::Store => false,
        };
        let token = event.resource == "serviceaccounts/token" && event.is_write();
        (token && account && self.running == Some(self.program)).then(|| "token for the pod".to_owned())
    }

    /// The store has a token reviewed, because a program speaks to it.
    fn review(&self, event: &Event, account: &str) -> Option<String> {
        let reviewed = account == "securityv0-store" && event.resource == "tokenreviews";
        let whose = self.running?;
        let concerned = self.program == Program::Store || self.program == whose;
        (reviewed && concerned).then(|| format!("review of a token of {}", whose.name()))
    }
}

/// One place at which a program is killed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its number within the plan for this program and seed.
    pub number: usize,
    /// Who is killed.
    pub program: Program,
    /// In which phase of the scenario.
    pub phase: usize,
    /// The mark that the moment is counted from.
    pub mark: String,
    /// How long after the mark: zero is right after that write, else it is before the next one.
    pub delay: Duration,
    /// Whether the pod is deleted as well, so that a new pod follows rather than a new process.
    pub pod: bool,
    /// Whether, after a failed scan, a person asks for another instead of waiting for the operator to try again.
    pub impatient: bool,
}

impl Point {
    /// For people.
    pub fn describe(&self) -> String {
        let when = if self.delay.is_zero() {
            format!("right after {}", self.mark)
        } else {
            format!("{} ms after {}", self.delay.as_millis(), self.mark)
        };
        format!(
            "phase {}, {when}{}",
            self.phase + 1,
            if self.pod && !self.program.is_job() { ", with its pod" } else { "" }
        )
    }
}

/// Chooses `count` points for `program`. `phases` are its marks in the undisturbed run; the end of each phase closes
/// the last gap.
pub fn plan(seed: u64, program: Program, phases: &[Vec<Mark>], count: usize) -> Vec<Point> {
    let mut dice = Dice::new(seed ^ (program as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut all = Vec::new();
    let marks: Vec<(usize, usize)> =
        phases.iter().enumerate().flat_map(|(phase, marks)| (0..marks.len()).map(move |mark| (phase, mark))).collect();
    if marks.is_empty() {
        return Vec::new();
    }
    // Right after every mark, into every gap, and further into the gaps when more points are wanted.
    for round in 0..count.div_ceil(marks.len()).max(2) {
        for &(phase, mark) in &marks {
            let share = if round == 0 { 0 } else { dice.between(100, 950) };
            all.push((phase, mark, share));
        }
    }
    dice.shuffle(&mut all);
    all.truncate(count);
    all.sort_unstable();
    let describe = |(number, (phase, mark, share)): (usize, (usize, usize, u64))| {
        let gap = gap(program, &phases[phase], mark);
        let delay = Duration::from_micros(u64::try_from(gap.as_micros()).unwrap_or(u64::MAX) / 1000 * share);
        let label = phases[phase][mark].label.clone();
        Point { number, program, phase, mark: label, delay, pod: dice.coin(), impatient: dice.between(0, 4) > 0 }
    };
    all.into_iter().enumerate().map(describe).collect()
}

/// From a mark to the next one of the same program.
fn gap(program: Program, marks: &[Mark], mark: usize) -> Duration {
    let Some(next) = marks.get(mark + 1) else { return program.tail() };
    Duration::try_from(next.at.duration_since(marks[mark].at)).unwrap_or_default()
}

/// Orders points into runs: every run of the scenario takes at most one point of each phase.
pub fn batches(points: Vec<Point>) -> Vec<Vec<Point>> {
    let mut runs: Vec<Vec<Point>> = Vec::new();
    for point in points {
        match runs.iter_mut().find(|run| run.iter().all(|other| other.phase != point.phase)) {
            Some(run) => run.push(point),
            None => runs.push(vec![point]),
        }
    }
    runs
}

/// A small generator of numbers that only the seed decides (splitmix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low)
    }

    fn coin(&mut self) -> bool {
        self.roll() >> 63 == 1
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = last as u64 + 1;
            let other = usize::try_from(self.roll() % bound).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
#[path = "points_tests.rs"]
mod tests;
