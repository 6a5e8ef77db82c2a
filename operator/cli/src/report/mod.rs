//! `kubectl sv0 report`: one HTML file about an estate, for people who decide. Takes Findings and the Estate; gives a file
//! that needs no network, no script and no other file, with the same bytes for the same objects.

mod articles;
pub(crate) mod chains;
mod facts;
pub mod input;
mod page;
mod picture;
mod sections;
pub mod text;
pub mod words;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use self::facts::Facts;
use self::input::{From, Held};
use crate::files;

/// Flags of `kubectl sv0 report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl sv0 report -n team-a -o team-a.html\n  \
    kubectl get findings,estates -n team-a -o json > team-a.json\n  \
    kubectl sv0 report --from team-a.json -o team-a.html\n\n\
    The file holds names and identifiers of the source systems: treat it like the Findings themselves.")]
pub struct Args {
    #[command(flatten)]
    from: From,
    /// The file to write; '-' is standard output.
    #[arg(short, long, value_name = "FILE", visible_alias = "output-file")]
    output: PathBuf,
    /// Write over the file when it is there.
    #[arg(long)]
    force: bool,
}

/// Writes the report.
pub fn run(args: &Args) -> Result<()> {
    let held = input::read(&args.from)?;
    write(&args.output, &html(&held), args.force)
}

/// The page.
pub fn html(held: &Held) -> String {
    page::page(&Facts::of(held))
}

/// Writes to a file of the user alone, or to standard output for `-`.
pub(crate) fn write(output: &std::path::Path, content: &str, force: bool) -> Result<()> {
    if output.as_os_str() == "-" {
        return std::io::stdout().write_all(content.as_bytes()).context("standard output cannot be written");
    }
    files::write(output, content, force)?;
    eprintln!("wrote {}", output.display());
    Ok(())
}
