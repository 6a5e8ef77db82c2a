//! `cargo xtask bench`: what the product costs, measured on a real cluster or, for
//! one program alone, in a process of its own. Figures for people in a table, for machines
//! with `--json` as one line each. Never a test: nothing here passes or fails a build.

mod entra;
mod etcd;
mod evaluate;
mod findings;
mod footprint;
mod installed;
mod many;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use crate::cluster;
use crate::context::Context;

/// The secret of a generated tenant's scanning application, as the simulated vendor knows it.
const GENERATED_SECRET: &str = "generated-estate-secret";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Memory of the manager, requests at idle, size of the image and of Findings, time from install to first Finding.
    Footprint(Common),
    /// Ten thousand Findings that one evaluation writes, then a rescan of the unchanged tenant, as the API server saw both.
    Findings(Common),
    /// Requests, time, memory and snapshot size of one scan of a very large tenant. Needs no cluster.
    Entra(entra::Options),
    /// Time and memory of evaluating a very large estate, and how they grow. Needs no cluster.
    Evaluate(evaluate::Options),
}

/// What every benchmark takes.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// One JSON object per figure instead of the table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cluster: cluster::Options,
}

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match &args.what {
        What::Footprint(options) => print(&footprint::measure(ctx, &options.cluster)?, options.json),
        What::Findings(options) => print(&findings::measure(ctx, &options.cluster)?, options.json),
        What::Entra(options) => print(&entra::measure(ctx, options)?, options.json),
        What::Evaluate(options) => print(&evaluate::measure(ctx, options)?, options.json),
    }
}

/// One measured number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Which benchmark.
    bench: &'static str,
    /// What was measured.
    name: String,
    /// The number.
    value: f64,
    /// Its unit.
    unit: &'static str,
    /// The most that it should be; none for numbers that only inform.
    goal: Option<f64>,
    /// Whether it is within the goal.
    pass: Option<bool>,
}

impl Figure {
    /// A figure of `bench` that should be at most `goal`.
    pub(crate) fn new(bench: &'static str, name: &str, value: f64, unit: &'static str, goal: Option<f64>) -> Self {
        // Two decimals are more than any of the measurements is good for.
        let value = (value * 100.0).round() / 100.0;
        Self { bench, name: name.to_owned(), value, unit, goal, pass: goal.map(|goal| value <= goal) }
    }
}

fn print(figures: &[Figure], json: bool) -> Result<()> {
    if json {
        for figure in figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    println!("\n{:<56} {:>10} {:<8} {:>8} {:>6}", "figure", "value", "unit", "goal", "ratio");
    for figure in figures {
        println!("{}", row(figure));
    }
    Ok(())
}

/// A figure for people.
fn row(figure: &Figure) -> String {
    let goal = figure.goal.map_or(String::new(), |goal| format!("{goal}"));
    // Of nothing there is no share.
    let ratio =
        figure.goal.filter(|goal| *goal > 0.0).map_or(String::new(), |goal| format!("{:.2}", figure.value / goal));
    let verdict = match figure.pass {
        Some(true) => "reached",
        Some(false) => "MISSED",
        None => "",
    };
    let text = format!("{:<56} {:>10} {:<8} {goal:>8} {ratio:>6} {verdict}", figure.name, figure.value, figure.unit);
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_compared_with_its_goal() {
        let figure = |value, goal| Figure::new("b", "n", value, "MiB", goal);
        assert_eq!(figure(14.999_9, Some(15.0)).pass, Some(true));
        assert_eq!(figure(15.02, Some(15.0)).pass, Some(false));
        assert_eq!(figure(15.02, None).pass, None);
        assert!(row(&figure(15.02, Some(15.0))).ends_with("15   1.00 MISSED"));
        assert!(row(&figure(7.5, Some(15.0))).ends_with("15   0.50 reached"));
        assert!(row(&figure(0.0, Some(0.0))).ends_with("0        reached"));
    }

    #[test]
    fn a_json_line_has_the_agreed_fields() {
        let line = serde_json::to_string(&Figure::new("footprint", "image", 17.08, "MB", Some(40.0))).unwrap();
        let expected = r#"{"bench":"footprint","name":"image","value":17.08,"unit":"MB","goal":40.0,"pass":true}"#;
        assert_eq!(line, expected);
    }
}
