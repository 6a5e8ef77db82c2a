//! `cargo xtask fuzz`: feeds the readers of stored objects with what a fuzzer makes of good ones, for a bounded time. Needs
//! a nightly compiler and `cargo-fuzz`, which it installs into the cache; says so when it cannot.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::context::{Context, Stages, note};
use crate::sh::Sh;

/// The version that is installed when none is there.
const CARGO_FUZZ: &str = "0.13.2";
/// Most memory that a target may take: a reader that takes more has no bound. The formats allow half of it.
const MEMORY_MIB: u32 = 2048;
const TARGETS: [&str; 3] = ["snapshot", "pack", "bundle"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// Runs the subcommand. Inputs that break something are kept in `fuzz/artifacts`: mend the reader, then move them to
/// `fuzz/regressions`, where the plain tests read them from then on.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let path = tools(ctx)?;
    let cargo = || {
        // The compiler that runs this task would be the one that cargo-fuzz uses.
        Sh::new("cargo").without("RUSTUP_TOOLCHAIN").without("CARGO").env("PATH", &path).dir(&ctx.root.join("fuzz"))
    };
    let mut stages = Stages::default();
    stages.run("good inputs", || {
        let seeds = ["+nightly", "run", "--quiet", "--locked", "--bin", "seeds", "corpus"];
        cargo().args(seeds).run().map(|()| ((), String::new()))
    })?;
    let chosen = |target: &&str| args.target.as_deref().is_none_or(|only| only == *target);
    for target in TARGETS.into_iter().filter(chosen) {
        let time = format!("-max_total_time={}", args.seconds);
        let memory = format!("-rss_limit_mb={MEMORY_MIB}");
        let (own, kept) = (format!("corpus/{target}"), format!("regressions/{target}"));
        let fuzz = ["+nightly", "fuzz", "run", "--fuzz-dir", ".", target, &own, &kept, "--", &time, &memory];
        stages.run(target, || {
            cargo().args(fuzz).run().context("a reader broke; the input is in fuzz/artifacts")?;
            Ok(((), format!("{} s", args.seconds)))
        })?;
    }
    stages.print();
    Ok(())
}

/// A search path with `cargo-fuzz` in it.
fn tools(ctx: &Context) -> Result<OsString> {
    let home = ctx.cache.join("cargo-fuzz");
    let program = home.join("bin/cargo-fuzz");
    let mut path: Vec<PathBuf> = vec![home.join("bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path)?;
    if Sh::new("cargo").args(["fuzz", "--version"]).env("PATH", &path).quiet().is_err() {
        note(&format!("installing cargo-fuzz {CARGO_FUZZ} into {}", program.display()));
        let install = ["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"];
        Sh::new("cargo")
            .args(install)
            .arg(&home)
            .quiet()
            .context("fuzzing needs cargo-fuzz, which could not be installed: install it yourself, then try again")?;
    }
    let nightly = Sh::new("rustc").without("RUSTUP_TOOLCHAIN").args(["+nightly", "--version"]).quiet();
    nightly.context("fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal")?;
    Ok(path)
}
