//! `cargo xtask check`: what the compiler and clippy do not check. Each check gives sentences, one per violation,
//! and none when all is well.

mod arrows;
mod fuzz;
mod generated;
mod hygiene;
mod permissions;
mod sizes;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::context::Context;
use crate::sh::Sh;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this check.
    #[arg(value_parser = CHECKS.map(|check| check.0))]
    only: Option<String>,
}

/// Finds violations.
type Check = fn(&Context) -> Result<Vec<String>>;

/// The check that the fuzz targets compile. A run that fuzzes needs it not.
pub(crate) const FUZZ: &str = "fuzz";

const CHECKS: [(&str, Check); 6] = [
    ("arrows", arrows::violations),
    ("generated", generated::violations),
    ("sizes", sizes::violations),
    ("hygiene", hygiene::violations),
    ("permissions", permissions::violations),
    (FUZZ, fuzz::violations),
];

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    let (_, failed) = all(ctx, |name| args.only.as_deref().is_none_or(|only| only == name));
    ensure!(failed == 0, "{failed} checks failed");
    Ok(())
}

/// Runs the checks that are wanted, prints what they find, and counts those that passed and failed.
pub(crate) fn all(ctx: &Context, wanted: impl Fn(&str) -> bool) -> (u32, u32) {
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in CHECKS.iter().filter(|(name, _)| wanted(name)) {
        let violations = check(ctx).unwrap_or_else(|error| vec![format!("{error:#}")]);
        if violations.is_empty() {
            println!("{name:<12} ok");
            passed += 1;
        } else {
            println!("{name:<12} FAILED");
            for violation in &violations {
                println!("  {violation}");
            }
            failed += 1;
        }
    }
    (passed, failed)
}

/// The text files of the repository that git tracks or would track: path below the root, and content.
fn repository_files(ctx: &Context) -> Result<Vec<(PathBuf, String)>> {
    let list = Sh::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).dir(&ctx.root);
    let names = list.read()?;
    // A deleted file is still listed, and not every file is text.
    let read = |name: &str| Some((PathBuf::from(name), std::fs::read_to_string(ctx.root.join(name)).ok()?));
    Ok(names.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect())
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
