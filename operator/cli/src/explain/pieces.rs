//! Every piece of evidence that the pack has of a finding: below each hop of the path its own, then the others. Each with
//! class, source, value and time. Pure.

use std::collections::BTreeSet;

use sv0_api::EvidenceClass;
use sv0_rules::Evidence;

use super::of_pack::{Whole, class};
use super::sections::Page;
use super::words;
use crate::findings::table::counted;
use crate::route::{self, Step};
use crate::term::cut;

/// Most pieces beside the path: more than the rules keep. A pack may be a file that somebody made.
const MOST_PIECES: usize = 1_000;
/// Most characters of one text of a piece.
const MOST_TEXT: usize = 4_000;
/// How far to the right a piece stands, what belongs to it, and the lines after the first of that.
const PIECE: &str = "    ";
const DETAIL: &str = "       ";
const MORE: &str = "         ";

/// The pieces below their hops, and the others.
pub(super) fn all(page: &mut Page, steps: &[Step<'_>], whole: &Whole) {
    let mut shown = BTreeSet::new();
    for (at, (step, hop)) in steps.iter().zip(&whole.path).enumerate() {
        let words = format!("{} {} {}", step.from, route::step_words(step), step.to);
        page.line("  ", "    ", &format!("Hop {}: {words} [{}]", at + 1, route::class_word(step.class)));
        let number = hop.evidence.and_then(|number| usize::try_from(number).ok());
        let piece = number.and_then(|number| Some((number, whole.evidence.get(number.checked_sub(1)?)?)));
        match piece {
            Some((number, _)) if shown.contains(&number) => {
                page.line(PIECE, MORE, &format!("Piece {number}, which stands above, says it."));
            }
            Some((number, one)) => {
                shown.insert(number);
                piece_of(page, number, one);
            }
            None => page.line(PIECE, MORE, "No piece is about this hop alone."),
        }
    }
    let others = || (1..).zip(&whole.evidence).filter(|(number, _)| !shown.contains(number));
    let count = others().count();
    if count > 0 {
        page.says("Not on the path:");
    }
    for (number, one) in others().take(MOST_PIECES) {
        piece_of(page, number, one);
    }
    let left = count.saturating_sub(MOST_PIECES).saturating_add(usize::try_from(whole.evidence_omitted).unwrap_or(0));
    if left > 0 {
        page.says(&format!("{} not listed: there are too many.", counted(left, "more piece is", "more pieces are")));
    }
}

fn piece_of(page: &mut Page, number: usize, one: &Evidence) {
    let text = |text: &str| cut(text, MOST_TEXT);
    let claim = format!("{} [{}]", text(&one.claim), route::class_word(class(one.class)));
    page.line(&format!("    {number}. "), DETAIL, &claim);
    page.line(DETAIL, MORE, &format!("read from {}", text(&source(one))));
    if let Some(value) = &one.value {
        page.line(DETAIL, MORE, &format!("value: {}", text(value)));
    }
    let at = one.observed_at.map_or_else(
        || "observed at: not told; what the Estate's spec declares has no time".to_owned(),
        |at| format!("observed at: {at}"),
    );
    page.line(DETAIL, MORE, &at);
}

fn source(one: &Evidence) -> String {
    let from = &one.source;
    let version = if from.version.is_empty() { String::new() } else { format!(" ({})", from.version) };
    format!("{}: {}{version}, object {}, field {}", words::system(&from.connector), from.api, from.object, from.field)
}

/// Classes that stand in the pieces or on the path.
pub(super) fn classes(steps: &[Step<'_>], whole: &Whole) -> BTreeSet<EvidenceClass> {
    let pieces = whole.evidence.iter().map(|one| class(one.class));
    steps.iter().map(|step| step.class).chain(pieces).collect()
}
