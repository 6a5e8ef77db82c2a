//! `cargo xtask faults`: kills each program at seeded points of a scenario and checks that nobody can tell afterwards.
//! The work is done by `sv0_e2e::faults`; this is its command line and its table.

use anyhow::{Result, anyhow, bail};
use clap::ValueEnum;
use sv0_e2e::faults::{Campaign, Point, Program, Reference, Verdict, What, batches};

use crate::cluster;
use crate::context::{Context, Stages, note};
use crate::demo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Decides which points are chosen; without it the clock does, and the number is printed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many points for each program.
    #[arg(long, value_name = "K", default_value_t = 20)]
    points: usize,
    /// Kill only this program.
    #[arg(long, value_enum)]
    program: Option<Which>,
    /// Repeat only the point with this number (needs --program and --seed, and the same --points).
    #[arg(long, value_name = "I", requires = "program", requires = "seed")]
    point: Option<usize>,
    #[command(flatten)]
    cluster: cluster::Options,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Manager,
    Store,
    Scan,
    Evaluate,
}

impl Which {
    fn program(self) -> Program {
        match self {
            Self::Manager => Program::Manager,
            Self::Store => Program::Store,
            Self::Scan => Program::Scan,
            Self::Evaluate => Program::Evaluate,
        }
    }
}

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(clock);
    note(&format!("seed {seed}"));
    let mut stages = Stages::default();
    let cluster = stages.run("cluster", || Ok((cluster::up(ctx, &args.cluster)?.0, String::new())))?;
    let env = stages.run("images", || Ok((demo::images(ctx, &cluster)?, String::new())))?;
    let campaign = Campaign::new(env).map_err(plain)?;
    let reference = stages.run("undisturbed run", || {
        let reference = campaign.undisturbed().map_err(plain)?;
        let remark = format!("{} s; {}", reference.took.as_secs(), reference.describe());
        note(&remark);
        Ok((reference, String::new()))
    })?;
    let mut series = Series { campaign: &campaign, reference: &reference, seed, points: args.points };
    let mut verdicts = Vec::new();
    for program in Program::ALL {
        if args.program.is_some_and(|only| only.program() != program) {
            continue;
        }
        let done = stages.run(program.name(), || Ok((series.program(program, args.point)?, String::new())))?;
        verdicts.extend(done);
    }
    stages.print();
    report(&verdicts, seed, args.points)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn plain(error: sv0_e2e::Error) -> anyhow::Error {
    anyhow!("{error}")
}

fn clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// All runs against one undisturbed run.
struct Series<'a> {
    campaign: &'a Campaign,
    reference: &'a Reference,
    seed: u64,
    points: usize,
}

impl Series<'_> {
    fn program(&mut self, program: Program, only: Option<usize>) -> Result<Vec<Verdict>> {
        let mut points = self.reference.plan(self.seed, program, self.points);
        if let Some(number) = only {
            points.retain(|point| point.number == number);
        }
        if points.is_empty() {
            bail!("there is no such point for {}: numbers are 0 to {}", program.name(), self.points.saturating_sub(1));
        }
        let mut waiting = batches(points);
        let mut verdicts = Vec::new();
        while let Some(batch) = (!waiting.is_empty()).then(|| waiting.remove(0)) {
            // An error is about the cluster or the vendor, not about a point: once more from the beginning.
            let done = match self.campaign.strike(self.reference, &batch) {
                Ok(done) => done,
                Err(error) => {
                    note(&format!("run repeated: {error}"));
                    self.campaign.strike(self.reference, &batch).map_err(plain)?
                }
            };
            for verdict in &done {
                note(&line(verdict));
            }
            // After a failure the rest of the run proved nothing; it gets a run of its own.
            let rest: Vec<Point> = batch.into_iter().filter(|p| done.iter().all(|v| v.point != *p)).collect();
            if !rest.is_empty() {
                waiting.push(rest);
            }
            verdicts.extend(done);
        }
        Ok(verdicts)
    }
}

/// One point in one line.
fn line(verdict: &Verdict) -> String {
    let point = &verdict.point;
    let result = match &verdict.failure {
        Some(failure) => format!("FAILED: {failure}"),
        None => "same findings, one scan".to_owned(),
    };
    let name = point.program.name();
    format!(
        "{name} {}: {}; {}; {result} ({} s)",
        point.number,
        point.describe(),
        struck(verdict),
        verdict.took.as_secs()
    )
}

fn struck(verdict: &Verdict) -> &'static str {
    match verdict.hit.as_ref().map(|hit| hit.what) {
        Some(What::Process) => "process killed",
        Some(What::Pod) => "pod killed",
        Some(What::Nothing) => "had ended already",
        None => "not reached",
    }
}

/// The table, how to repeat what failed, and whether all is well.
fn report(verdicts: &[Verdict], seed: u64, points: usize) -> Result<()> {
    println!(
        "\n{:<10} {:>6} {:>7} {:>12} {:>7} {:>7}",
        "program", "points", "killed", "not reached", "equal", "failed"
    );
    for program in Program::ALL {
        let of: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.point.program == program).collect();
        if of.is_empty() {
            continue;
        }
        let failed = of.iter().filter(|verdict| verdict.failure.is_some()).count();
        let killed = of.iter().filter(|v| v.hit.as_ref().is_some_and(|hit| hit.what != What::Nothing)).count();
        println!(
            "{:<10} {:>6} {:>7} {:>12} {:>7} {:>7}",
            program.name(),
            of.len(),
            killed,
            of.len() - killed,
            of.iter().filter(|verdict| verdict.is_proof()).count(),
            failed
        );
    }
    let failures: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.failure.is_some()).collect();
    for verdict in &failures {
        let (name, number) = (verdict.point.program.name(), verdict.point.number);
        println!("\n{}", line(verdict));
        println!("  repeat: cargo xtask faults --seed {seed} --points {points} --program {name} --point {number}");
    }
    match failures.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} points left a trace (seed {seed})", verdicts.len()),
    }
}
