//! `kubectl sv0 replay`: takes an exported file; computes its evaluation again and says that everything is equal to the
//! byte, or what differs first. Uses no network, no cluster and no clock.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::{Value, json};
use sv0_engine::bundle::{Bundle, MAX_BUNDLE_BYTES};
use sv0_engine::replay::{Difference, Replay, replay};

use crate::exit::End;
use crate::files::read_within;
use crate::term::inert_json;
use crate::values::shown;

/// What `replay` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 replay team-a.tar
  kubectl sv0 replay team-a.tar --pack sha256:...         # and it is the pack that the Estate's status names
  kubectl sv0 replay team-a.tar -o json

Exit codes: 0 everything is equal to the byte, 1 something differs, 2 the file cannot be used: it is damaged, or needs
another release, which is named.")]
pub struct Args {
    /// A file that `kubectl sv0 pack export` wrote.
    file: PathBuf,
    /// The digest that its pack must have, as it stands in status.packDigest of the Estate.
    #[arg(long, value_name = "DIGEST")]
    pack: Option<String>,
    /// How to say it.
    #[arg(long, short = 'o', value_enum, default_value = "text")]
    output: Output,
}

/// How a result is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Sentences.
    Text,
    /// One JSON object.
    Json,
}

impl Output {
    /// Says that nothing can be told, where the caller reads the answer from standard output.
    pub fn unusable(self, error: anyhow::Error) -> anyhow::Error {
        match self {
            Self::Text => End::Unusable(error).into(),
            Self::Json => {
                crate::say_line!("{}", inert(&json!({"result": "unusable", "error": format!("{error:#}")})));
                End::Said.into()
            }
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let computed = computed(args).map_err(|error| args.output.unusable(error))?;
    match args.output {
        Output::Text => crate::say!("{}{}", text(&computed.1, &computed.0), origin(args)),
        Output::Json => crate::say_line!("{}", inert(&summary(&computed.1, &computed.0))),
    }
    if computed.1.difference.is_some() { Err(End::Different.into()) } else { Ok(()) }
}

fn computed(args: &Args) -> Result<(Bundle, Replay)> {
    let bundle = read(&args.file)?;
    let actual = sv0_graph::canonical::digest(&bundle.pack);
    if let Some(expected) = args.pack.as_deref().filter(|expected| *expected != actual) {
        anyhow::bail!(
            "the file's pack is {actual}, not {}: it is another evaluation, or was made anew",
            shown(expected)
        );
    }
    let replay = again(&bundle)?;
    Ok((bundle, replay))
}

/// Reads a bundle.
pub fn read(file: &Path) -> Result<Bundle> {
    let bytes = Bytes::from(read_within(file, MAX_BUNDLE_BYTES)?);
    Bundle::read(&bytes).with_context(|| format!("{} cannot be used", file.display()))
}

/// Computes a bundle's evaluation again.
pub fn again(bundle: &Bundle) -> Result<Replay> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(replay(bundle, threads)?)
}

fn text(replay: &Replay, bundle: &Bundle) -> String {
    let header = &replay.pack.header;
    let kept = replay.pack.kept().count();
    let total = replay.pack.findings.len();
    let folded = replay.evaluation.folded.len();
    let what = format!(
        "The evaluation of {} as of {}, computed again from {} with the rule pack {}",
        shown(&bundle.estate),
        header.config.as_of,
        counted(header.snapshots.len(), "snapshot"),
        header.rule_pack.version,
    );
    match &replay.difference {
        Some(difference) => {
            format!("DIFFERENT. {what}, is not what the file says. The first difference:\n{}\n", said(difference))
        }
        None => format!(
            "EQUAL. {what}, is equal to the byte: {} ({kept} as resources, {folded} told inside another, {} cut off by the cap).\npack   {}\nledger {}\n",
            counted(total, "finding"),
            total - kept - folded,
            replay.pack_digest,
            header.next_ledger,
        ),
    }
}

/// What equality leaves open: whoever wrote the file chose what it was computed from, the estate's name too.
fn origin(args: &Args) -> &'static str {
    if args.pack.is_some() {
        "The pack is the one that was named.\n"
    } else {
        "Whose evaluation it is, the file alone does not prove: compare the pack with status.packDigest of the Estate (--pack).\n"
    }
}

/// A difference on one line. Values come from source systems: nothing in them moves the terminal.
pub fn said(difference: &Difference) -> String {
    let Difference { place, field, expected, actual } = difference;
    let [place, field, expected, actual] = [place, field, expected, actual].map(|text| shown(text));
    Difference { place, field, expected, actual }.to_string()
}

/// `1 finding`, `2 findings`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// JSON in one line, with nothing in it that a terminal would act on: what a file says stands in it.
pub fn inert(said: &Value) -> String {
    inert_json(&said.to_string())
}

/// The result as JSON.
pub fn summary(replay: &Replay, bundle: &Bundle) -> Value {
    let header = &replay.pack.header;
    let difference = replay.difference.as_ref().map(|difference| {
        json!({
            "place": difference.place, "field": difference.field,
            "expected": difference.expected, "actual": difference.actual,
        })
    });
    json!({
        "result": if difference.is_some() { "different" } else { "equal" },
        "estate": bundle.estate,
        "asOf": header.config.as_of,
        "rulePack": header.rule_pack.version,
        "pack": replay.pack_digest,
        "nextLedger": header.next_ledger,
        "snapshots": header.snapshots.len(),
        "findings": replay.pack.findings.len(),
        "kept": replay.pack.kept().count(),
        "folded": replay.evaluation.folded.len(),
        "difference": difference,
    })
}
