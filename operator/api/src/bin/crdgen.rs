//! Writes the `CustomResourceDefinition` manifests into the repository, or checks that they are up to date.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sv0_api::{Generated, generated_files};

const HELP: &str = "crdgen: writes crds/*.yaml and charts/securityv0-crds/templates/*.yaml from the Rust types.

Usage: crdgen [--check] [--root DIR]

  --check     write nothing; fail and name the files that differ from the types
  --root DIR  the repository (default: the one that this program was built in)";

fn main() -> ExitCode {
    let mut check = false;
    let mut root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.len()) {
            ("--check", _) => check = true,
            ("--root", 1..) => root = PathBuf::from(args.next().unwrap_or_default()),
            ("--help" | "-h", _) => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("crdgen: cannot use the argument '{arg}'\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    let files = match generated_files() {
        Ok(files) => files,
        Err(error) => {
            eprintln!("crdgen: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = if check { report_stale(&root, &files) } else { write(&root, &files) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crdgen: {message}");
            ExitCode::FAILURE
        }
    }
}

fn write(root: &Path, files: &[Generated]) -> Result<(), String> {
    for file in files {
        let path = root.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        }
        std::fs::write(&path, &file.content).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("{}", file.path);
    }
    Ok(())
}

fn report_stale(root: &Path, files: &[Generated]) -> Result<(), String> {
    let stale: Vec<&str> = files
        .iter()
        .filter(|file| std::fs::read_to_string(root.join(&file.path)).ok().as_deref() != Some(file.content.as_str()))
        .map(|file| file.path.as_str())
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("not up to date: {}; run: cargo run -p sv0-api --bin crdgen", stale.join(", ")))
}
