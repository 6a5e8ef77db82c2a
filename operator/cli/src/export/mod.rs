//! `kubectl sv0 export`: Findings in the formats of other tools. Takes the objects of an estate; gives a file in a
//! published format, with the same bytes for the same objects. May not: say more than the Findings do, or turn "not seen"
//! into "passed".

pub mod csv;
pub mod ocsf;
pub mod openreports;
pub mod sarif;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use sv0_api::EstateStatus;

use crate::report::input::{self, Found, From, Held};
use crate::report::text::clean;

/// Flags of `kubectl sv0 export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kubectl sv0 export -n team-a -o sarif --output team-a.sarif\n  \
    kubectl sv0 export -n team-a -o csv > team-a.csv\n  \
    kubectl sv0 export -n team-a -o openreports | kubectl apply -f -\n  \
    kubectl get findings,estates -n team-a -o json | kubectl sv0 export --from - -o ocsf\n\n\
    What each format says of open, accepted and resolved findings is in docs/operate.md.")]
pub struct Args {
    #[command(flatten)]
    from: From,
    /// The format.
    #[arg(short = 'o', long = "format", value_enum, value_name = "FORMAT")]
    format: Format,
    /// The file to write; without it, or with '-', standard output.
    #[arg(long, value_name = "FILE", default_value = "-", visible_alias = "output-file")]
    output: PathBuf,
    /// Write over the file when it is there.
    #[arg(long)]
    force: bool,
}

/// A format of other tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// SARIF 2.1.0: one run; open and accepted findings.
    Sarif,
    /// OCSF 1.8.0 Detection Findings, and Application Errors for what was not seen: JSON, one event a line.
    Ocsf,
    /// A Report of openreports.io v1alpha1 for kubectl apply, as JSON.
    Openreports,
    /// A table (RFC 4180) in which no cell is a formula.
    Csv,
}

/// Writes the export.
pub fn run(args: &Args) -> Result<()> {
    let held = input::read(&args.from)?;
    crate::report::write(&args.output, &exported(&held, args.format)?, args.force)
}

/// The findings in this format.
pub fn exported(held: &Held, format: Format) -> Result<String> {
    match format {
        Format::Sarif => {
            let log = serde_json::to_string_pretty(&sarif::log(held)).context("the SARIF log cannot be written")?;
            Ok(log + "\n")
        }
        Format::Ocsf => {
            let events: Vec<String> = ocsf::events(held).iter().map(|event| event.to_string() + "\n").collect();
            Ok(events.concat())
        }
        Format::Openreports => {
            // JSON, not YAML: a name such as `yes` or a date stays text for every reader of YAML.
            let report =
                serde_json::to_string_pretty(&openreports::report(held)).context("the Report cannot be written")?;
            Ok(report + "\n")
        }
        Format::Csv => Ok(csv::table(held)),
    }
}

/// The Estate's status.
fn status(held: &Held) -> Option<&EstateStatus> {
    held.estate.as_ref()?.status.as_ref()
}

/// A JSON object of the entries that are there.
fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    let present = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(present.collect::<Map<String, Value>>())
}

/// `Accepted by identity-team until 2027-03-31.`, with the exception's reason where it was given.
fn acceptance(held: &Held, found: &Found) -> Option<String> {
    let acceptance = found.acceptance.as_ref()?;
    let until = crate::report::text::day(&acceptance.until);
    let reason = held.exceptions.iter().flatten().find(|exception| exception.name == acceptance.exception);
    let reason = reason.map(|exception| format!(" {}", clean(&exception.reason))).unwrap_or_default();
    Some(format!("Accepted by {} until {until}.{reason}", clean(&acceptance.owner)))
}

/// The parts that are not proven, one sentence each.
fn narrowed(found: &Found) -> Vec<String> {
    let each = found.spec.narrowed.iter();
    each.map(|part| format!("Not proven: {}. {}", clean(&part.claim), clean(&part.reason))).collect()
}

/// The findings that it tells as a whole; those that are not listed in it as their number, under `omitted`.
fn parts(found: &Found) -> Value {
    let text = |text: &str| Some(Value::from(clean(text)));
    let part = |part: &input::Part| {
        object([
            ("name", text(&part.name)),
            ("rule", text(&part.rule)),
            ("severity", Some(serde_json::json!(part.severity))),
            ("subject", part.subject.as_deref().and_then(text)),
        ])
    };
    let omitted = (found.parts_omitted > 0).then(|| object([("omitted", Some(found.parts_omitted.into()))]));
    found.parts.iter().map(part).chain(omitted).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_finding_tells_of_others_names_them_and_counts_the_rest() {
        let spec = json!({
            "rule": {"id": "UNB-001", "version": "1", "claim": "Full"}, "family": "UnboundedExecutionScope", "category": "c",
            "severity": "Critical", "severityRank": 5, "title": "t", "why": "w",
            "subject": {"id": "g", "kind": "Group", "name": "robots", "system": "entra", "tenant": "t", "instance": "i",
                "instanceUid": "u"},
            "accountable": {"state": "Unknown", "total": 0}, "evidence": [],
            "consistsOf": [{"name": "unb-001-1", "rule": "UNB-001", "claim": "Full", "severity": "Critical",
                "subject": "a\u{202e}b"}],
            "partsOmitted": 6, "state": "Open", "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "0"
        });
        let item = json!({"apiVersion": "securityv0.com/v1alpha1", "kind": "Finding",
            "metadata": {"name": "unb-001-0", "namespace": "a"}, "spec": spec});
        let held = input::parse(&[item.to_string().as_bytes()], None).unwrap();
        let told = parts(&held.findings[0]);
        assert_eq!(told[1], json!({"omitted": 6}));
        assert_eq!((&told[0]["name"], &told[0]["rule"]), (&json!("unb-001-1"), &json!("UNB-001")));
        assert_eq!(told[0]["subject"].as_str(), Some(clean("a\u{202e}b").as_str()));
        assert!(!told[0]["subject"].as_str().unwrap().contains('\u{202e}'));
    }
}
