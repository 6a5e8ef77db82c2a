//! CSV after RFC 4180: one line a finding, every cell in quotes. A spreadsheet takes a cell that begins like a formula for
//! one, also in quotes; such a cell begins with an apostrophe instead. In many countries a spreadsheet parts cells at
//! semicolons, and quotes that stand behind the first of a line do not keep it from that: what follows a semicolon
//! counts as the beginning of a cell too. Pure.

use sv0_api::Claim;

use crate::report::chains::{Step, runs, steps};
use crate::report::input::{Found, Held};
use crate::report::text::{clean_to, day};
use crate::report::words;

/// Most characters of a cell: a spreadsheet takes 32,767.
const MAX_CELL: usize = 8_000;

const COLUMNS: [&str; 23] = [
    "name",
    "estate",
    "state",
    "severity",
    "severity_rank",
    "rule",
    "rule_version",
    "claim",
    "family",
    "category",
    "title",
    "why",
    "subject_name",
    "subject_id",
    "accountable",
    "parties",
    "path",
    "not_proven",
    "remediation",
    "standards",
    "first_observed",
    "accepted_until",
    "consists_of",
];

/// The table with its heading.
pub fn table(held: &Held) -> String {
    let mut out = line(&COLUMNS.map(str::to_owned));
    for found in &held.findings {
        out.push_str(&line(&row(held, found)));
    }
    out
}

fn row(held: &Held, found: &Found) -> [String; COLUMNS.len()] {
    let spec = &found.spec;
    let parties = spec.accountable.parties.iter().map(|party| party.name.clone().unwrap_or_else(|| party.id.clone()));
    [
        found.name.clone(),
        held.namespace.clone(),
        words::state(spec.state).0.to_owned(),
        words::severity(spec.severity).to_owned(),
        spec.severity.rank().to_string(),
        spec.rule.id.clone(),
        spec.rule.version.clone(),
        if spec.rule.claim == Claim::Full { "full" } else { "narrower" }.to_owned(),
        words::family(spec.family).0.to_owned(),
        spec.category.clone(),
        spec.title.clone(),
        spec.why.clone(),
        spec.subject.name.clone(),
        found.subject(),
        words::accountable(spec.accountable.state).0.to_owned(),
        parties.collect::<Vec<_>>().join("; "),
        path(&steps(spec)),
        super::narrowed(found).join(" "),
        spec.remediation.join(" "),
        spec.standards.join("; "),
        day(&spec.first_observed),
        found.acceptance.as_ref().map(|acceptance| day(&acceptance.until)).unwrap_or_default(),
        found.told(),
    ]
}

/// A path that branches is told branch by branch, with a bar between them.
fn path(steps: &[Step]) -> String {
    runs(steps).into_iter().map(run).collect::<Vec<_>>().join(" | ")
}

fn run(steps: &[Step]) -> String {
    let start = steps.first().map(|step| step.from.clone());
    let hops = steps.iter().flat_map(|step| {
        let via = step.via.as_ref().map(|via| format!(" ({via})")).unwrap_or_default();
        [format!("{}{via}", step.edge), step.to.clone()]
    });
    start.into_iter().chain(hops).collect::<Vec<_>>().join(" > ")
}

fn line<const N: usize>(cells: &[String; N]) -> String {
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\r\n"
}

/// One cell in quotes. Signs of other scripts that spreadsheets take for the same ones count too.
fn cell(text: &str) -> String {
    let text = clean_to(text, MAX_CELL).replace('"', "\"\"");
    let parts: Vec<String> = text.split(';').map(tame).collect();
    format!("\"{}\"", parts.join(";"))
}

/// What may begin a cell, with an apostrophe before what begins like a formula. Quotes and spaces that a spreadsheet may
/// drop do not hide one.
fn tame(part: &str) -> String {
    let begins = part.trim_start_matches([' ', '"']);
    let formula = begins.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠', '−']);
    if formula { format!("'{part}") } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain", "\"plain\"")]
    #[case("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\"")]
    #[case("+1", "\"'+1\"")]
    #[case("-1", "\"'-1\"")]
    #[case("@SUM(A1)", "\"'@SUM(A1)\"")]
    #[case("\t=1", "\"'=1\"")]
    #[case("\r=1", "\"'=1\"")]
    #[case("  =1", "\"'=1\"")]
    #[case("\u{200B}=1", "\"'=1\"")]
    #[case("＝1", "\"'＝1\"")]
    #[case("a \"b\", c\nd", "\"a \"\"b\"\", c d\"")]
    #[case("\"=1", "\"'\"\"=1\"")]
    #[case("a;=cmd|' /C calc'!A0;b", "\"a;'=cmd|' /C calc'!A0;b\"")]
    #[case("a; +1; b-c", "\"a;' +1; b-c\"")]
    #[case("a;\"@x", "\"a;'\"\"@x\"")]
    fn no_cell_is_a_formula(#[case] text: &str, #[case] written: &str) {
        assert_eq!(cell(text), written);
    }
}
