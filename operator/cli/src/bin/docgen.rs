//! Writes the connectors' documents, onboarding artefacts and the catalogue into the repository, or checks that they are up to date.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use sv0_cli::generated::{Generated, generated_files};

/// Writes docs/connectors, docs/catalogue.md and config/onboarding from the connectors' manifests and the rules' metadata.
#[derive(Parser)]
struct Args {
    /// Write nothing; fail and name the files that differ.
    #[arg(long)]
    check: bool,
    /// The repository.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    root: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("docgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let files = generated_files()?;
    if !args.check {
        return files.iter().try_for_each(|file| write(&args.root, file));
    }
    let differs = |file: &&Generated| {
        std::fs::read_to_string(args.root.join(&file.path)).ok().as_deref() != Some(file.content.as_str())
    };
    let stale: Vec<&str> = files.iter().filter(differs).map(|file| file.path.as_str()).collect();
    if !stale.is_empty() {
        bail!("not up to date: {}", stale.join(", "));
    }
    Ok(())
}

fn write(root: &Path, file: &Generated) -> Result<()> {
    let path = root.join(&file.path);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    std::fs::write(&path, &file.content).with_context(|| path.display().to_string())?;
    sv0_cli::say_line!("{}", file.path);
    Ok(())
}
