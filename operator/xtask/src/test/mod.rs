//! `cargo xtask test`: every test stage in order, a table of what passed and how long it took, and the closing
//! line `N passed, N failed`.

mod charts;
mod schemas;
mod stages;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use self::stages::Run;
use crate::cluster;
use crate::context::{AlreadyReported, Context, minutes, note};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this stage (and what it needs).
    #[arg(long, value_enum, value_name = "NAME")]
    stage: Option<Stage>,
    /// Leave the cluster up even if this run made it.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    cluster: cluster::Options,
}

/// The stages, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Formatting.
    Fmt,
    /// Clippy over everything, without a single warning.
    Clippy,
    /// Tests that need no cluster.
    Unit,
    /// `cargo xtask check`.
    Check,
    /// A short fuzzing of what reads stored objects and policies.
    Fuzz,
    /// Obtain the cluster.
    Cluster,
    /// `helm lint`, `helm template`, and every rendered object against the API server's own schemas.
    Charts,
    /// Build the images and load them.
    Image,
    /// Tests on the cluster.
    E2e,
}

const ORDER: [Stage; 9] = [
    Stage::Fmt,
    Stage::Clippy,
    Stage::Unit,
    Stage::Check,
    Stage::Fuzz,
    Stage::Cluster,
    Stage::Charts,
    Stage::Image,
    Stage::E2e,
];

/// How many checks passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// One check.
    fn one(passed: bool) -> Self {
        Self { passed: u32::from(passed), failed: u32::from(!passed) }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let wanted = args.stage.map_or(ORDER.to_vec(), |stage| vec![stage]);
    let mut run = Run::new(ctx, &args.cluster, wanted.contains(&Stage::Fuzz));
    let mut rows = Vec::new();
    for stage in wanted {
        eprintln!("\n━━ {} ━━", name(stage));
        let start = Instant::now();
        let tally = run.stage(stage).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Tally::one(false)
        });
        rows.push((name(stage), tally, start.elapsed()));
    }
    if run.made_the_cluster() && !args.keep {
        let start = Instant::now();
        let tally = Tally::one(cluster::down(ctx).inspect_err(|error| eprintln!("error: {error:#}")).is_ok());
        rows.push(("cluster down".to_owned(), tally, start.elapsed()));
    } else if run.made_the_cluster() {
        note("the cluster stays up: `cargo xtask cluster down` removes it");
    }
    let total = report(&rows, run.left_out());
    if total.passed + total.failed == 0 {
        bail!("no check ran");
    }
    if total.failed > 0 { Err(AlreadyReported.into()) } else { Ok(()) }
}

fn name(stage: Stage) -> String {
    stage.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Prints the table, what was not looked at, and the closing line.
fn report(rows: &[(String, Tally, Duration)], left_out: &[String]) -> Tally {
    println!("\n{:<14} {:>8} {:>8} {:>9}", "stage", "passed", "failed", "minutes");
    let mut total = Tally::default();
    for (name, tally, took) in rows {
        println!("{name:<14} {:>8} {:>8} {:>9}", tally.passed, tally.failed, minutes(*took));
        total.add(*tally);
    }
    let took = rows.iter().map(|row| row.2).sum();
    println!("{:<14} {:>8} {:>8} {:>9}", "total", total.passed, total.failed, minutes(took));
    for what in left_out {
        println!("LEFT OUT, neither passed nor failed: {what}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_in_the_order() {
        for stage in Stage::value_variants() {
            assert!(ORDER.contains(stage), "{stage:?} never runs");
        }
    }

    #[test]
    fn the_total_sums_the_stages() {
        let row = |passed, failed| (String::new(), Tally { passed, failed }, Duration::ZERO);
        assert_eq!(report(&[row(3, 0), row(1, 2)], &[]), Tally { passed: 4, failed: 2 });
    }
}
