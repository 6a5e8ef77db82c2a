//! `cargo xtask bench evaluate`: what evaluating a very large estate costs, over made-up snapshots as a store keeps them, in
//! a process of its own for each run. No cluster is needed.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Figure;
use crate::context::{Context, Stages, note};
use crate::sh::Sh;

const BENCH: &str = "evaluate";
/// The size that the goals are about: a million nodes with 6.3 million edges.
const FULL: usize = 1_000_000;
/// Seconds and MiB for that size, on two cores, by the design.
const GOAL_SECONDS: f64 = 60.0;
const GOAL_MIB: f64 = 4_096.0;
/// Nodes of an estate of 240,000 edges, and the seconds in which its graph shall stand.
const LOADED: usize = 38_100;
const GOAL_LOADED: f64 = 5.0;
/// Nodes of two estates in which every identity holds a directory role, so that they have about 6,000 and 25,000 findings,
/// and the milliseconds of processor time that one finding shall take.
const DENSE: [usize; 2] = [27_500, 110_000];
const GOAL_FINDING: f64 = 0.15;
/// Times that are told apart, in order.
const STEPS: [(&str, &str); 7] = [
    ("load", "read and pack"),
    ("graph", "merge into the graph"),
    ("derive", "derivations"),
    ("paths", "paths back from the targets"),
    ("rules", "rules, and each identity's paths"),
    ("merge", "earlier findings"),
    ("pack", "ledger and evidence pack"),
];

/// What this benchmark takes.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Numbers of nodes, ascending; each is an estate with 6.3 times as many edges.
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    nodes: Vec<usize>,
    /// Numbers of threads for the rules.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// Seed of the estates.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// One JSON object per figure instead of the table.
    #[arg(long)]
    pub(super) json: bool,
}

/// Measures every size with every number of threads, then the loading of 240,000 edges, then what one finding costs.
pub(super) fn measure(ctx: &Context, options: &Options) -> Result<Vec<Figure>> {
    let mut stages = Stages::default();
    stages.run("program", || Ok((build(ctx)?, String::new())))?;
    let bench = Bench { ctx, seed: options.seed };
    let mut figures = Vec::new();
    let mut sizes: Vec<(usize, Run)> = Vec::new();
    for nodes in &options.nodes {
        let runs = stages
            .run(&format!("{nodes} nodes"), || Ok((bench.runs(*nodes, &options.threads, &[])?, String::new())))?;
        for (threads, run) in options.threads.iter().zip(&runs) {
            figures.extend(run.figures(*nodes, *threads));
        }
        if let Some(first) = runs.into_iter().next() {
            sizes.push((*nodes, first));
        }
    }
    for two in sizes.windows(2) {
        figures.extend(growth((two[0].0, &two[0].1), (two[1].0, &two[1].1)));
    }
    let loaded = stages.run("240,000 edges", || Ok((bench.runs(LOADED, &[1], &[])?, String::new())))?;
    figures.extend(loaded.first().map(Run::loaded));
    let mut dense = Vec::new();
    for nodes in DENSE {
        let name = format!("{nodes} nodes with many findings");
        let runs = stages.run(&name, || Ok((bench.runs(nodes, &[1], &["--role-holders", "1000"])?, String::new())))?;
        dense.extend(runs);
    }
    if let [few, many] = &dense[..] {
        figures.extend(each_finding(few, many));
    }
    stages.print();
    Ok(figures)
}

fn build(ctx: &Context) -> Result<()> {
    let args = ["build", "--release", "--quiet", "-p", "sv0-engine", "--example", "scale"];
    Sh::new("cargo").args(args).dir(&ctx.root).run()
}

struct Bench<'a> {
    ctx: &'a Context,
    seed: u64,
}

impl Bench<'_> {
    /// One estate, made with what `shape` says besides, evaluated with each number of threads.
    fn runs(&self, nodes: usize, threads: &[usize], shape: &[&str]) -> Result<Vec<Run>> {
        let dir = self.ctx.state.with_extension("bench-evaluate");
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        let (nodes, seed) = (nodes.to_string(), self.seed.to_string());
        let args = [&["make", "--nodes", &nodes, "--seed", &seed], shape, &["--out"]].concat();
        let made = self.example(&args, &dir)?;
        let mut runs: Vec<Run> = Vec::new();
        for threads in threads {
            let told = self.example(&["evaluate", "--threads", &threads.to_string(), "--from"], &dir)?;
            let run = Run::of(&told, decimal(&made["bytes"])? / 1e6)?;
            note(&format!("{nodes} nodes, {threads} threads: {} findings by rule {}", run.open, told["byRule"]));
            anyhow::ensure!(
                runs.iter().all(|other| other.pack == run.pack),
                "the number of threads changed the result"
            );
            runs.push(run);
        }
        std::fs::remove_dir_all(&dir)?;
        Ok(runs)
    }

    fn example(&self, args: &[&str], dir: &Path) -> Result<Value> {
        let program = self.ctx.root.join("target/release/examples/scale");
        let printed = Sh::new(program).args(args.iter().map(std::ffi::OsStr::new).chain([dir.as_os_str()])).read()?;
        serde_json::from_str(printed.trim()).context("the program's result is not JSON")
    }
}

/// What one evaluation came to.
#[derive(Clone, Debug)]
struct Run {
    nodes: f64,
    edges: f64,
    open: f64,
    /// All findings, those too that another one tells.
    findings: f64,
    snapshots_mb: f64,
    /// In the order of [`STEPS`].
    steps: Vec<Step>,
    total: f64,
    /// After loading, and at the end.
    loaded_mib: f64,
    peak_mib: f64,
    pack: String,
}

/// What one step took.
#[derive(Clone, Copy, Debug)]
struct Step {
    seconds: f64,
    /// Processor time of all threads: what it costs on a machine that does something else too.
    cpu: f64,
}

impl Run {
    fn of(told: &Value, snapshots_mb: f64) -> Result<Self> {
        let mib = |step: &str| Ok::<f64, anyhow::Error>(decimal(&told["peakKib"][step])? / 1024.0);
        Ok(Self {
            nodes: decimal(&told["nodes"])?,
            edges: decimal(&told["edges"])?,
            open: decimal(&told["open"])?,
            findings: decimal(&told["findings"])?,
            snapshots_mb,
            steps: STEPS
                .iter()
                .map(|(key, _)| Ok(Step { seconds: decimal(&told["seconds"][key])?, cpu: decimal(&told["cpu"][key])? }))
                .collect::<Result<_>>()?,
            total: decimal(&told["total"])?,
            loaded_mib: mib("load")?,
            peak_mib: mib("pack")?,
            pack: told["pack"].as_str().context("no digest of the pack")?.to_owned(),
        })
    }

    fn figures(&self, nodes: usize, threads: usize) -> Vec<Figure> {
        let full = nodes == FULL;
        let figure = |name: &str, value: f64, unit: &'static str, goal: Option<f64>| {
            let many = if threads == 1 { "" } else { "s" };
            let name = format!("{nodes} nodes, {threads} thread{many}: {name}");
            Figure::new(BENCH, &name, value, unit, goal.filter(|_| full))
        };
        let mut figures = Vec::new();
        if threads == 1 {
            figures.extend([
                figure("nodes", self.nodes, "", None),
                figure("edges", self.edges, "", None),
                figure("snapshots", self.snapshots_mb, "MB", None),
                figure("findings", self.open, "", None),
            ]);
        }
        for ((_, name), step) in STEPS.iter().zip(&self.steps) {
            figures.push(figure(name, step.seconds, "s", None));
            figures.push(figure(&format!("{name}, CPU time"), step.cpu, "s", None));
        }
        figures.extend([
            figure("all", self.total, "s", Some(GOAL_SECONDS)),
            figure("all, CPU time", self.cpu(), "s", None),
            figure("peak RSS after loading", self.loaded_mib, "MiB", None),
            figure("peak RSS", self.peak_mib, "MiB", Some(GOAL_MIB)),
        ]);
        figures
    }

    fn cpu(&self) -> f64 {
        self.steps.iter().map(|step| step.cpu).sum()
    }

    /// Processor seconds after the graph stood: what grows with the findings.
    fn concluding(&self) -> f64 {
        self.steps.iter().skip(2).map(|step| step.cpu).sum()
    }

    /// The time until the graph stands.
    fn loaded(&self) -> Figure {
        let seconds = self.steps.iter().take(2).map(|step| step.seconds).sum();
        Figure::new(BENCH, &format!("{} edges loaded", self.edges), seconds, "s", Some(GOAL_LOADED))
    }
}

/// What one finding costs, rules, ledger and evidence pack together, and how that grows with their number: 1 is in
/// proportion, 2 would be the square.
fn each_finding(few: &Run, many: &Run) -> [Figure; 3] {
    let each = |run: &Run, goal| {
        let name = format!("{} findings: CPU time per finding", run.findings);
        Figure::new(BENCH, &name, 1_000.0 * run.concluding() / run.findings, "ms", goal)
    };
    let exponent = (many.concluding() / few.concluding()).ln() / (many.findings / few.findings).ln();
    let name = format!("growth exponent of CPU time, {} to {} findings", few.findings, many.findings);
    [each(few, None), each(many, Some(GOAL_FINDING)), Figure::new(BENCH, &name, exponent, "", None)]
}

/// How cost grows with size: 1 is in proportion, less is better.
fn growth((small, first): (usize, &Run), (large, last): (usize, &Run)) -> Vec<Figure> {
    let exponent = |from: f64, to: f64| (to / from).ln() / (last.nodes / first.nodes).ln();
    [
        ("time", exponent(first.total, last.total)),
        ("CPU time", exponent(first.cpu(), last.cpu())),
        ("peak RSS", exponent(first.peak_mib, last.peak_mib)),
    ]
    .map(|(name, value)| {
        Figure::new(BENCH, &format!("growth exponent of {name}, {small} to {large} nodes"), value, "", None)
    })
    .into()
}

fn decimal(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("not a number: {value}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(scale: f64) -> Run {
        let told = json!({
            "nodes": 1000.0 * scale, "edges": 6300.0 * scale, "open": 3, "findings": 1_000.0 * scale, "total": 2.0 * scale, "pack": "p",
            "cpu": {"load": scale, "graph": scale, "derive": 0.0, "paths": 0.0, "rules": scale, "merge": 0.0, "pack": scale},
            "seconds": {"load": 0.5, "graph": 0.25, "derive": 0.0, "paths": 0.0, "rules": 1.0, "merge": 0.0, "pack": 0.1},
            "peakKib": {"load": 1024.0, "pack": 2048.0 * scale.sqrt()},
        });
        Run::of(&told, 1.0).unwrap()
    }

    #[test]
    fn growth_in_proportion_has_the_exponent_one() {
        let figures = growth((1_000, &run(1.0)), (100_000, &run(100.0)));
        let lines: Vec<String> = figures.iter().map(|figure| serde_json::to_string(figure).unwrap()).collect();
        assert!(lines[0].contains("\"value\":1.0") && lines[2].contains("\"value\":0.5"), "{lines:?}");
    }

    #[test]
    fn a_finding_costs_what_comes_after_the_graph() {
        let figures = each_finding(&run(0.1), &run(1.0));
        let lines: Vec<String> = figures.iter().map(|figure| serde_json::to_string(figure).unwrap()).collect();
        // Rules, merge and pack take two seconds for a thousand findings.
        assert!(lines[0].contains("100 findings") && lines[0].contains("\"value\":2.0"), "{lines:?}");
        assert!(lines[1].contains("\"goal\":0.15,\"pass\":false"), "{lines:?}");
        assert!(lines[2].contains("\"value\":1.0"), "{lines:?}");
    }

    #[test]
    fn only_the_full_size_has_goals() {
        let goals = |nodes| {
            let figures = run(1.0).figures(nodes, 1);
            figures.iter().filter(|figure| serde_json::to_string(figure).unwrap().contains("\"goal\":null")).count()
        };
        assert_eq!(goals(10_000), goals(FULL) + 2);
    }

    #[test]
    fn loading_is_reading_and_merging() {
        let line = serde_json::to_string(&run(1.0).loaded()).unwrap();
        assert!(line.contains("\"value\":0.75") && line.contains("\"pass\":true"), "{line}");
        assert!(Run::of(&json!({}), 0.0).is_err());
    }
}
