//! Compiles the programs of an image: release profile, statically linked, checked to be so.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::Arch;
use crate::context::Context;
use crate::sh::Sh;

/// One program of the workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The package that has it.
    pub(super) package: &'static str,
    /// The binary's name, in the package and in the image.
    pub(super) program: &'static str,
}

/// Compiles the programs; gives pairs of name and file.
pub(super) fn build(ctx: &Context, sources: &[Source], arch: Arch) -> Result<Vec<(String, PathBuf)>> {
    check_exist(ctx, sources)?;
    check_toolchain(ctx, arch)?;
    let target = arch.target();
    let variable = |suffix: &str| format!("CARGO_TARGET_{}_{suffix}", target.to_uppercase().replace('-', "_"));
    let mut cargo = Sh::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--target", target])
        .dir(&ctx.root)
        // For the target alone: build scripts and macros are not linked statically.
        .env(&variable("RUSTFLAGS"), "-C target-feature=+crt-static");
    if let Some(linker) = arch.cross_linker() {
        cargo = cargo.env(&variable("LINKER"), linker).env(&format!("CC_{}", target.replace('-', "_")), linker);
    }
    for source in sources {
        cargo = cargo.args(["--package", source.package, "--bin", source.program]);
    }
    cargo.run().context("cannot compile the programs of the image")?;
    sources
        .iter()
        .map(|source| {
            let file = target_dir(ctx)?.join(target).join("release").join(source.program);
            let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            ensure!(
                is_static(&content)?,
                "{} needs a dynamic loader and would not start in an empty root: unset RUSTFLAGS, which hides the flags for static linking",
                source.program
            );
            Ok((source.program.to_owned(), file))
        })
        .collect()
}

fn target_dir(ctx: &Context) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let metadata: Metadata = serde_json::from_str(&metadata(ctx)?)?;
    Ok(metadata.target_directory)
}

fn metadata(ctx: &Context) -> Result<String> {
    Sh::new(env!("CARGO")).args(["metadata", "--format-version=1", "--no-deps", "--locked"]).dir(&ctx.root).read()
}

/// Says which program is missing, before minutes of compiling the others.
fn check_exist(ctx: &Context, sources: &[Source]) -> Result<()> {
    let missing = missing(&metadata(ctx)?, sources)?;
    ensure!(missing.is_empty(), "the workspace does not have these programs: {}", missing.join(", "));
    Ok(())
}

fn missing(metadata: &str, sources: &[Source]) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let metadata: Metadata = serde_json::from_str(metadata).context("unexpected output of `cargo metadata`")?;
    let has = |source: &Source| {
        metadata.packages.iter().filter(|package| package.name == source.package).any(|package| {
            let is_it = |target: &Target| target.name == source.program && target.kind.iter().any(|kind| kind == "bin");
            package.targets.iter().any(is_it)
        })
    };
    Ok(sources
        .iter()
        .filter(|source| !has(source))
        .map(|source| format!("{} (package {})", source.program, source.package))
        .collect())
}

fn check_toolchain(ctx: &Context, arch: Arch) -> Result<()> {
    let target = arch.target();
    let libraries = Sh::new("rustc").args(["--print", "target-libdir", "--target", target]).dir(&ctx.root).read()?;
    if !PathBuf::from(libraries).is_dir() {
        bail!("the Rust target {target} is not installed: run `rustup target add {target}`");
    }
    if let Some(linker) = arch.cross_linker()
        && !Sh::new(linker).arg("--version").succeeds()
    {
        bail!(
            "the linker {linker} is not installed: on Debian run `apt-get install gcc-{}`",
            linker.replace("-gcc", "")
        );
    }
    Ok(())
}

/// Whether a 64-bit little-endian ELF program asks for no dynamic loader (has no `PT_INTERP` header).
fn is_static(program: &[u8]) -> Result<bool> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let headers = || -> Option<Vec<u64>> {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|index| number(usize::try_from(start + index * size).ok()?, 4)).collect()
    };
    ensure!(program.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF program");
    let headers = headers().context("truncated ELF program")?;
    Ok(!headers.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages":[
        {"name":"sv0-scan","targets":[{"name":"sv0_scan","kind":["lib"]},{"name":"scan","kind":["bin"]}]},
        {"name":"sv0-store","targets":[{"name":"store","kind":["lib"]}]}]}"#;

    #[test]
    fn a_missing_program_is_named() {
        let sources = [
            Source { package: "sv0-scan", program: "scan" },
            Source { package: "sv0-store", program: "store" },
            Source { package: "sv0-manager", program: "manager" },
        ];
        assert_eq!(
            missing(METADATA, &sources).unwrap(),
            ["store (package sv0-store)", "manager (package sv0-manager)"]
        );
    }

    #[test]
    fn a_dynamic_program_is_recognised() {
        assert!(!is_static(&fs::read("/proc/self/exe").unwrap()).unwrap());
        assert!(is_static(b"#!/bin/sh").is_err());
        assert!(is_static(b"\x7fELF\x02\x01").is_err());
    }

    #[test]
    fn a_program_without_a_loader_is_static() {
        // An ELF header with one program header of type PT_LOAD.
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 1;
        assert!(is_static(&elf).unwrap());
        elf[64] = 3;
        assert!(!is_static(&elf).unwrap());
    }
}
