//! Faults: the scenario is run undisturbed, then again and again with one program killed at one point. The Findings at
//! the end of every phase have to be those of the undisturbed run, and every trigger has to give exactly one scan.
//!
//! Takes a cluster with an audit log; gives a verdict for each point. It ends only processes and pods of the product
//! in the test installation.

pub mod points;
pub mod process;
mod scans;
mod scenario;
mod strike;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use self::points::{Point, Program, batches};
pub use self::strike::{Hit, What};

use self::points::{Mark, Marker};
use self::scans::{Expected, Scan, Scans, judge};
use self::scenario::{Documents, PHASES, Run, Standing, TRIGGERS, difference};
use self::strike::Striker;
use crate::audit::{Event, Tail};
use crate::deploy::SYSTEM;
use crate::{Env, Result, World, eventually};

/// How long a strike may come after the end of its phase.
const LAST_STRIKE: Duration = Duration::from_millis(1500);

/// Everything that the runs of one series share.
pub struct Campaign {
    env: Env,
    audit_log: PathBuf,
    documents: Documents,
}

/// The undisturbed run.
#[derive(Debug)]
pub struct Reference {
    phases: Vec<Phase>,
    /// How long it took.
    pub took: Duration,
}

/// What one phase left behind.
#[derive(Debug)]
struct Phase {
    events: Vec<Event>,
    findings: BTreeMap<String, String>,
}

/// What came of one point.
#[derive(Debug)]
pub struct Verdict {
    /// Where.
    pub point: Point,
    /// What was killed; nothing when the point was not reached.
    pub hit: Option<Hit>,
    /// How long the phase took.
    pub took: Duration,
    /// What is wrong; nothing when all is as in the undisturbed run.
    pub failure: Option<String>,
}

impl Verdict {
    /// Whether a program was killed and all is well in spite of it.
    pub fn is_proof(&self) -> bool {
        self.failure.is_none() && self.hit.as_ref().is_some_and(|hit| hit.what != What::Nothing)
    }
}

impl Reference {
    /// Chooses points for a program: the same seed and the same marks give the same points.
    pub fn plan(&self, seed: u64, program: Program, count: usize) -> Vec<Point> {
        points::plan(seed, program, &self.marks(program), count)
    }

    /// The marks of a program in each phase.
    fn marks(&self, program: Program) -> Vec<Vec<Mark>> {
        let of = |phase: &Phase| {
            let mut marker = Marker::new(program, crate::world::ESTATES[0]);
            phase.events.iter().filter_map(|event| marker.observe(event)).collect()
        };
        self.phases.iter().map(of).collect()
    }

    /// For people: how many marks each program has, and how many Findings each phase ends with.
    pub fn describe(&self) -> String {
        let count = |program: Program| self.marks(program).iter().map(Vec::len).sum::<usize>();
        let marks: Vec<String> = Program::ALL.iter().map(|p| format!("{} {}", p.name(), count(*p))).collect();
        let findings: Vec<String> = self.phases.iter().map(|phase| phase.findings.len().to_string()).collect();
        format!("marks: {}; findings after each phase: {}", marks.join(", "), findings.join(", "))
    }
}

impl Campaign {
    /// A series on the cluster of `env`.
    pub fn new(env: Env) -> Result<Self> {
        let audit_log = env.audit_log.clone().ok_or(
            "faults are placed by the API server's audit log, which this cluster does not give: use one that `cargo xtask cluster up` makes",
        )?;
        Ok(Self { env, audit_log, documents: Documents::new(crate::world::ESTATES[0]) })
    }

    /// Runs the scenario without a fault.
    pub fn undisturbed(&self) -> Result<Reference> {
        let world = World::clean_in(self.env.clone())?;
        let started = Instant::now();
        let mut stage = Stage::new(self, &world)?;
        let mut phases = Vec::new();
        for phase in 0..PHASES {
            phases.push(stage.play(phase, None).1?);
        }
        Ok(Reference { phases, took: started.elapsed() })
    }

    /// Runs the scenario with these points, at most one in each phase. Ends early after a failure, since what follows
    /// would prove nothing: so there may be fewer verdicts than points.
    pub fn strike(&self, reference: &Reference, points: &[Point]) -> Result<Vec<Verdict>> {
        let world = World::clean_in(self.env.clone())?;
        let mut stage = Stage::new(self, &world)?;
        let mut verdicts = Vec::new();
        let last = points.iter().map(|point| point.phase).max().unwrap_or_default();
        for (phase, wanted) in reference.phases.iter().enumerate().take(last + 1) {
            let point = points.iter().find(|point| point.phase == phase);
            let started = Instant::now();
            let (hit, played) = stage.play(phase, point);
            let Some(point) = point else {
                // Nobody was killed in this phase: whatever is wrong now is not about a point.
                played?;
                continue;
            };
            let failure = match played {
                Ok(record) => difference(&wanted.findings, &record.findings),
                // Nobody was killed: the trouble is the cluster's or the vendor's.
                Err(error) if hit.is_none() && verdicts.is_empty() => return Err(error),
                Err(_) if hit.is_none() => break,
                Err(error) => Some(error.to_string()),
            };
            let failed = failure.is_some();
            verdicts.push(Verdict { point: point.clone(), hit, took: started.elapsed(), failure });
            if failed {
                break;
            }
        }
        Ok(verdicts)
    }
}

/// The events of a phase, and how many scans were asked for once more in it.
type Played = (Vec<Event>, usize);

/// One run under way.
struct Stage<'a> {
    campaign: &'a Campaign,
    world: &'a World,
    scans: Scans,
    /// Scans of earlier phases.
    known: usize,
    standing: Standing,
}

impl<'a> Stage<'a> {
    fn new(campaign: &'a Campaign, world: &'a World) -> Result<Self> {
        for program in [Program::Manager, Program::Store] {
            ready(world, program)?;
        }
        let scans = Scans::follow(&campaign.env, world.ns)?;
        Ok(Self { campaign, world, scans, known: 0, standing: Standing::default() })
    }

    /// Plays one phase, with a fault if a point is given, and checks its scans.
    fn play(&mut self, phase: usize, point: Option<&Point>) -> (Option<Hit>, Result<Phase>) {
        match self.disturb(phase, point) {
            Ok((hit, Ok((events, asked_again)))) => {
                let killed = point.map(|point| point.program);
                let expected = Expected { trigger: TRIGGERS[phase], asked_again, killed };
                let record = self.judge_scans(expected, &events).and_then(|()| self.take_stock(point));
                (hit, record.map(|findings| Phase { events, findings }))
            }
            Ok((hit, Err(error))) => (hit, Err(error)),
            Err(error) => (None, Err(error)),
        }
    }

    /// Plays a phase while the striker follows. Gives what was killed, and the phase's events with the number of scans
    /// that were asked for once more.
    fn disturb(&self, phase: usize, point: Option<&Point>) -> Result<(Option<Hit>, Result<Played>)> {
        let run = Run { world: self.world, documents: &self.campaign.documents };
        let mut audit = Tail::from_now(&self.campaign.audit_log)?;
        let over = AtomicBool::new(false);
        let mut asked_again = 0;
        let impatient = point.is_some_and(|point| point.impatient);
        let mut settle = || {
            run.settle(&self.standing, || {
                asked_again += usize::from(impatient);
                if impatient { self.world.request_scan(&format!("again-in-phase-{phase}")) } else { Ok(()) }
            })
        };
        let (hit, settled) = std::thread::scope(|scope| -> Result<_> {
            let striker = point.map(|point| {
                let striker = Striker { point, kubectl: &self.world.kubectl, estate: self.world.ns };
                let tail = Tail::from_now(&self.campaign.audit_log);
                let over = &over;
                scope.spawn(move || striker.run(tail?, over))
            });
            let settled = run.start(phase).and_then(|()| settle());
            let Some(striker) = striker else { return Ok((None, settled)) };
            // The last points of a phase lie shortly after all is done.
            let end = Instant::now() + LAST_STRIKE;
            while settled.is_ok() && !striker.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            over.store(true, Ordering::Relaxed);
            let hit = striker.join().map_err(|_| "the striking thread broke")??;
            Ok((hit, settled))
        })?;
        let settled = settled.and_then(|()| settle());
        Ok((hit, settled.and_then(|()| Ok((audit.read()?, asked_again)))))
    }

    /// The Findings at the end of a phase; what was killed runs again by then.
    fn take_stock(&mut self, point: Option<&Point>) -> Result<BTreeMap<String, String>> {
        if let Some(point) = point.filter(|point| !point.program.is_job()) {
            ready(self.world, point.program)?;
        }
        let run = Run { world: self.world, documents: &self.campaign.documents };
        let (findings, standing) = run.findings(&self.standing)?;
        self.standing = standing;
        Ok(findings)
    }

    fn judge_scans(&mut self, expected: Expected, events: &[Event]) -> Result<()> {
        // What is followed may come a moment after what was asked.
        let ended = |scan: &Scan| scan.outcome.is_some();
        let scans = eventually("the end of every scan", Duration::from_secs(10), || {
            let new = self.scans.all().split_off(self.known);
            if !new.is_empty() && new.iter().all(ended) { Ok(new) } else { Err(format!("{new:?}").into()) }
        })?;
        self.known += scans.len();
        let manager = format!("system:serviceaccount:{SYSTEM}:securityv0-manager");
        let created = events.iter().filter(|event| {
            event.user == manager
                && (event.verb.as_str(), event.resource.as_str(), event.code) == ("create", "jobs", 201)
                && event.namespace == self.world.ns
        });
        let jobs: Vec<String> = created.map(|event| event.name.clone()).collect();
        judge(expected, &scans, &jobs).map_err(Into::into)
    }
}

/// Waits until a program that runs all the time is ready.
fn ready(world: &World, program: Program) -> Result<()> {
    let kind = if program == Program::Manager { "deployment" } else { "statefulset" };
    let name = format!("{kind}/securityv0-{}", program.name());
    world.kubectl.run(&["rollout", "status", "-n", SYSTEM, &name, "--timeout=120s"]).map(drop)
}
