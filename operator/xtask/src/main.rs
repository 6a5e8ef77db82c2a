//! Development tasks: `cargo xtask NAME`. One module per subcommand; this file is the table of contents.
//!
//! A task may run programs, write below `target/`, the cache and the state directory. It writes nothing else
//! into the checkout, and it never touches a cluster that is not marked as a test cluster.

mod bench;
mod check;
mod cluster;
mod context;
mod demo;
mod faults;
mod fuzz;
mod image;
mod sh;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::{AlreadyReported, Context};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of SecurityV0", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// From nothing to findings: a cluster, the operator, a simulated Entra tenant.
    Demo(demo::Args),
    /// Obtain, show or remove a Kubernetes cluster for tests.
    Cluster(cluster::Args),
    /// Build the operator's container image (an OCI archive, no Docker needed).
    Image(image::Args),
    /// Check dependency arrows, generated files, sizes, repository hygiene and permissions.
    Check(check::Args),
    /// Kill every program at seeded points of a scenario and compare the findings.
    Faults(faults::Args),
    /// Fuzz the readers of stored objects for a bounded time.
    Fuzz(fuzz::Args),
    /// Measure what the product costs.
    Bench(bench::Args),
    /// Run every test stage, the real cluster included.
    Test(test::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = Context::find().and_then(|ctx| match cli.task {
        Task::Demo(args) => demo::run(&ctx, &args),
        Task::Cluster(args) => cluster::run(&ctx, &args),
        Task::Image(args) => image::run(&ctx, &args),
        Task::Check(args) => check::run(&ctx, &args),
        Task::Faults(args) => faults::run(&ctx, &args),
        Task::Fuzz(args) => fuzz::run(&ctx, &args),
        Task::Bench(args) => bench::run(&ctx, &args),
        Task::Test(args) => test::run(&ctx, &args),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<AlreadyReported>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
