//! `cargo xtask fuzz` and the stage `fuzz` of `cargo xtask test`: feed the readers of stored objects and of policies with
//! what a fuzzer makes of good ones, for a bounded time.
//!
//! What guides the fuzzer is the compiler's own instrumentation, which the pinned compiler has too: nothing is installed.
//! Where a nightly compiler stands by, the long run adds the address sanitizer, which only that one has: it watches the
//! code that is not Rust.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::context::{Context, Stages, note};
use crate::sh::Sh;

const TARGETS: [&str; 4] = ["snapshot", "pack", "bundle", "policy"];
/// Most memory that a target may take: a reader that takes more has no bound. The formats allow half of it.
const MEMORY_MIB: u32 = 2048;
/// What takes longer than this for one input hangs; a slow machine needs a hundredth of it.
const HANGS_SECONDS: u32 = 60;
/// How long each target runs in the stage.
const BOUNDED_SECONDS: u32 = 12;
/// Largest input that is shown as text, for a machine that is gone before anybody can fetch the file.
const MAX_SHOWN: u64 = 32 * 1024;

/// Counters for each branch and the values of comparisons, as libFuzzer reads them.
const INSTRUMENTED: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// Runs the subcommand. What the fuzzer learns stays in `fuzz/corpus`, and the next run goes on from there. Inputs that
/// break something are kept in `fuzz/artifacts`.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let compiler = if has_nightly() { Compiler::Nightly } else { Compiler::Pinned };
    if compiler == Compiler::Pinned {
        note("LEFT OUT: the address sanitizer: there is no nightly compiler on this machine");
    }
    let mut stages = Stages::default();
    let programs = stages.run("compile", || Ok((compiled(ctx, compiler)?, String::new())))?;
    let corpus = ctx.root.join("fuzz/corpus");
    programs.seeds(&corpus)?;
    let chosen = |target: &&str| args.target.as_deref().is_none_or(|only| only == *target);
    for target in TARGETS.into_iter().filter(chosen) {
        stages.run(target, || {
            let fuzz = programs.fuzz(ctx, target, &corpus.join(target), args.seconds)?;
            held(ctx, target, fuzz)?;
            Ok(((), format!("{} s", args.seconds)))
        })?;
    }
    stages.print();
    Ok(())
}

/// The bounded run: every target over good inputs, the kept regressions and what the fuzzer makes of both. It begins from
/// nothing else, so that what an earlier run left in this checkout changes nothing. Gives how many targets held and broke.
pub(crate) fn bounded(ctx: &Context) -> Result<(u32, u32)> {
    let programs = compiled(ctx, Compiler::Pinned)?;
    let corpus = ctx.root.join("target/fuzz/corpus");
    if corpus.exists() {
        fs::remove_dir_all(&corpus).with_context(|| format!("cannot remove {}", corpus.display()))?;
    }
    programs.seeds(&corpus)?;
    let (mut passed, mut failed) = (0, 0);
    for target in TARGETS {
        let fuzz =
            programs.fuzz(ctx, target, &corpus.join(target), BOUNDED_SECONDS)?.args(["-verbosity=0", "-print_funcs=0"]);
        match held(ctx, target, fuzz) {
            Ok(()) => {
                println!("{target:<12} ok");
                passed += 1;
            }
            Err(error) => {
                println!("{target:<12} FAILED\n  {error:#}");
                failed += 1;
            }
        }
    }
    Ok((passed, failed))
}

/// What compiles the targets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compiler {
    /// The one that the repository names.
    Pinned,
    /// A nightly one, with the address sanitizer.
    Nightly,
}

/// The targets, compiled.
struct Programs {
    folder: PathBuf,
    compiler: Compiler,
}

fn has_nightly() -> bool {
    Sh::new("rustc").without("RUSTUP_TOOLCHAIN").args(["+nightly", "--version"]).succeeds()
}

fn compiled(ctx: &Context, compiler: Compiler) -> Result<Programs> {
    let host = Sh::new("rustc").args(["--print", "host-tuple"]).dir(&ctx.root).read()?;
    let (cargo, name) = match compiler {
        Compiler::Pinned => (Sh::new(env!("CARGO")), "pinned"),
        // The compiler that runs this task would be the one that is used.
        Compiler::Nightly => {
            (Sh::new("cargo").without("RUSTUP_TOOLCHAIN").without("CARGO").without("RUSTC").arg("+nightly"), "nightly")
        }
    };
    let mut flags = INSTRUMENTED.to_vec();
    flags.extend((compiler == Compiler::Nightly).then_some("-Zsanitizer=address"));
    let built = ctx.root.join("target/fuzz").join(name);
    cargo
        .args(["build", "--quiet", "--locked", "--release", "--bins", "--manifest-path"])
        .arg(ctx.root.join("fuzz/Cargo.toml"))
        // With a target named, flags are not for what runs while compiling.
        .args(["--target", &host])
        .env("CARGO_TARGET_DIR", &built)
        .env("RUSTFLAGS", flags.join(" "))
        .without("CARGO_ENCODED_RUSTFLAGS")
        .dir(&ctx.root)
        .run()
        .context("the fuzz targets do not compile; they need a C++ compiler too (g++)")?;
    Ok(Programs { folder: built.join(host).join("release"), compiler })
}

impl Programs {
    /// Writes good inputs into a folder for each target.
    fn seeds(&self, corpus: &Path) -> Result<()> {
        Sh::new(self.folder.join("seeds")).arg(corpus).quiet()
    }

    /// The call of one target. What it finds interesting it adds to `corpus`.
    fn fuzz(&self, ctx: &Context, target: &str, corpus: &Path, seconds: u32) -> Result<Sh> {
        let artifacts = artifacts(ctx, target);
        fs::create_dir_all(&artifacts).with_context(|| format!("cannot create {}", artifacts.display()))?;
        let program = self.folder.join(target);
        let call = match self.compiler {
            // The system refuses what is beyond the bound at once, also what is reserved and not yet touched. The limit that
            // libFuzzer watches by itself is looked at once a second.
            Compiler::Pinned => Sh::new("sh")
                .args(["-c", &format!("ulimit -v {} && exec \"$0\" \"$@\"", u64::from(MEMORY_MIB) * 1024)])
                .arg(program),
            // The sanitizer reserves terabytes, and refuses single requests beyond the bound itself.
            Compiler::Nightly => Sh::new(program),
        };
        Ok(call
            .arg(corpus)
            .arg(ctx.root.join("fuzz/regressions").join(target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
            .arg(format!("-timeout={HANGS_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1"))
    }
}

fn artifacts(ctx: &Context, target: &str) -> PathBuf {
    ctx.root.join("fuzz/artifacts").join(target)
}

/// Runs a target; when it broke, says how to keep the input.
fn held(ctx: &Context, target: &str, fuzz: Sh) -> Result<()> {
    let before = inputs(&artifacts(ctx, target))?;
    let Err(error) = fuzz.run() else { return Ok(()) };
    let new: Vec<PathBuf> =
        inputs(&artifacts(ctx, target))?.into_iter().filter(|path| !before.contains(path)).collect();
    for path in &new {
        if fs::metadata(path)?.len() <= MAX_SHOWN {
            println!("{} in base64:", path.display());
            Sh::new("base64").arg(path).run()?;
        }
    }
    let Some(input) = new.first() else { return Err(error) };
    bail!(
        "a reader broke. Mend it, then keep the input, which the unit tests and every fuzz run read from then on:\n  \
         cp {} fuzz/regressions/{target}/NAME\n  cargo test -p sv0-evaluate --test evaluate hostile",
        input.strip_prefix(&ctx.root).unwrap_or(input).display()
    )
}

/// The files of a folder.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that is not in the list would never run.
    #[test]
    fn every_target_is_in_the_list_and_has_regressions() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let stems = |folder: &str| {
            let mut names: Vec<String> = inputs(&fuzz.join(folder))
                .unwrap()
                .iter()
                .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let mut listed = TARGETS.map(str::to_owned);
        listed.sort();
        assert_eq!(stems("fuzz_targets"), listed);
        assert_eq!(stems("regressions"), listed);
    }
}
