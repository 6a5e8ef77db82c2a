//! The picture of a path: boxes and arrows as SVG inside the page, three boxes in a row. A path that branches is drawn branch
//! below branch; the box that a branch begins at stands there again, with a dotted border. Takes steps; gives markup without
//! script, style attribute or reference to anything outside. Pure.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chains::{Step, phrase, runs};
use super::text::{clean, wrapped};

const PER_ROW: usize = 3;
const BOX_WIDTH: usize = 190;
const BOX_HEIGHT: usize = 78;
const GAP: usize = 150;
const ROW: usize = 150;
/// Room at the edges: a label of four lines rises above its box.
const MARGIN: usize = 16;
/// Columns of the fonts that fit into a box and into a gap.
const NAME_COLUMNS: usize = 23;
const EDGE_COLUMNS: usize = 19;
/// Between two rows there is the whole width.
const BETWEEN_COLUMNS: usize = 60;
const LINE: usize = 16;

/// Where the box number `index` of a run stands whose first row is `top`: its upper left corner.
fn corner(top: usize, index: usize) -> (usize, usize) {
    (MARGIN + (index % PER_ROW) * (BOX_WIDTH + GAP), MARGIN + (top + index / PER_ROW) * ROW)
}

/// A run of steps and where it is drawn.
struct Run<'a> {
    /// Its first row.
    top: usize,
    /// How many steps stand before it.
    before: usize,
    steps: &'a [Step],
    /// Its nodes: name, and whether an earlier run has drawn it.
    nodes: Vec<(&'a str, bool)>,
}

/// The runs below each other, and how many rows they take.
fn placed(steps: &[Step]) -> (Vec<Run<'_>>, usize) {
    let (mut placed, mut top, mut before, mut drawn) = (Vec::new(), 0, 0, BTreeSet::new());
    for steps in runs(steps) {
        let names = steps.first().map(|step| &step.from).into_iter().chain(steps.iter().map(|step| &step.to));
        let nodes: Vec<(&str, bool)> = names.map(|name| (name.as_str(), !drawn.insert(name.as_str()))).collect();
        let rows = nodes.len().div_ceil(PER_ROW);
        placed.push(Run { top, before, steps, nodes });
        top += rows;
        before += steps.len();
    }
    (placed, top)
}

/// The picture. `id` is unique in the page.
pub(super) fn picture(steps: &[Step], id: &str) -> Markup {
    let (runs, rows) = placed(steps);
    let columns = runs.iter().map(|run| run.nodes.len().min(PER_ROW)).max().unwrap_or(1);
    let width = columns * BOX_WIDTH + (columns - 1) * GAP + 2 * MARGIN;
    let height = rows.saturating_sub(1) * ROW + BOX_HEIGHT + 2 * MARGIN;
    let goes_on: BTreeSet<&str> = steps.iter().map(|step| step.from.as_str()).collect();
    html! {
        svg class="path" role="img" aria-labelledby={ (id) "-t" } viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) {
            title id={ (id) "-t" } { (spoken(steps)) }
            @for run in &runs {
                @for (index, step) in run.steps.iter().enumerate() { (arrow(run, index, step)) }
                @for (index, (name, again)) in run.nodes.iter().enumerate() {
                    (node(corner(run.top, index), name, (!goes_on.contains(name), *again)))
                }
            }
        }
    }
}

/// The path in one sentence, for those who do not see the picture.
pub(super) fn spoken(steps: &[Step]) -> String {
    let run = |run: &[Step]| {
        let start = run.first().map(|step| clean(&step.from)).unwrap_or_default();
        let hops: Vec<String> = run.iter().map(|step| format!("{} {}", phrase(step), clean(&step.to))).collect();
        format!("{start} {}", hops.join(", which "))
    };
    format!("Path: {}.", runs(steps).into_iter().map(run).collect::<Vec<_>>().join("; "))
}

fn node((x, y): (usize, usize), label: &str, (end, again): (bool, bool)) -> Markup {
    let label = clean(label);
    let (kind, name) = kind_and_name(&label);
    let lines = wrapped(name, NAME_COLUMNS, if kind.is_some() { 2 } else { 3 });
    let center = x + BOX_WIDTH / 2;
    let count = lines.len() + usize::from(kind.is_some());
    let first = y + (BOX_HEIGHT - count * LINE) / 2 + 12;
    let class = if again { Some("again") } else { end.then_some("end") };
    html! {
        rect class=[class] x=(x) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="8" {}
        @if let Some(kind) = kind {
            text class="kind" x=(center) y=(first) text-anchor="middle" { (kind) }
        }
        @for (line, text) in lines.iter().enumerate() {
            text class="name" x=(center) y=(first + (line + usize::from(kind.is_some())) * LINE) text-anchor="middle" { (text) }
        }
    }
}

/// `service principal "Billing"` is a kind and a name; anything else is a name alone.
fn kind_and_name(label: &str) -> (Option<&str>, &str) {
    let split = label.strip_suffix('"').and_then(|label| label.split_once(" \""));
    split.map_or((None, label), |(kind, name)| (Some(kind), name))
}

fn arrow(run: &Run<'_>, index: usize, step: &Step) -> Markup {
    let (x, y) = corner(run.top, index);
    let (to_x, to_y) = corner(run.top, index + 1);
    let number = run.before + index + 1;
    let derived = step.class != sv0_api::EvidenceClass::Direct;
    let same_row = to_y == y;
    let lines =
        wrapped(&format!("{number}. {}", phrase(step)), if same_row { EDGE_COLUMNS } else { BETWEEN_COLUMNS }, 4);
    let class = if derived { "edge derived" } else { "edge" };
    let middle = y + BOX_HEIGHT / 2;
    let (line, head, text_x, text_y) = if same_row {
        let (start, tip) = (x + BOX_WIDTH, to_x - 2);
        let above = middle - 8 - (lines.len() - 1) * 13;
        (format!("M{start} {middle}H{}", tip - 8), (tip, middle, true), start + GAP / 2, above)
    } else {
        // Down from the last box of a row, to the left between the rows, down to the first box of the next.
        let (start, bottom) = (x + BOX_WIDTH / 2, y + BOX_HEIGHT);
        let (between, end, tip) = (bottom + (ROW - BOX_HEIGHT) / 2 + 14, to_x + BOX_WIDTH / 2, to_y - 2);
        let above = between - 8 - (lines.len() - 1) * 13;
        (
            format!("M{start} {bottom}V{between}H{end}V{}", tip - 8),
            (end, tip, false),
            usize::midpoint(start, end),
            above,
        )
    };
    html! {
        path class=(class) d=(line) {}
        path class="head" d=(arrow_head(head)) {}
        @for (index, text) in lines.iter().enumerate() {
            text class="says" x=(text_x) y=(text_y + index * 13) text-anchor="middle" { (text) }
        }
    }
}

fn arrow_head((x, y, right): (usize, usize, bool)) -> String {
    if right { format!("M{x} {y}l-10 -5v10z") } else { format!("M{x} {y}l-5 -10h10z") }
}

#[cfg(test)]
mod tests {
    use sv0_api::EvidenceClass;

    use super::*;

    fn steps(count: usize) -> Vec<Step> {
        let step = |index: usize| Step {
            from: format!("group \"{index}\""),
            edge: "GRANTED".to_owned(),
            via: Some("<script>alert(1)</script>".to_owned()),
            to: format!("group \"{}\"", index + 1),
            class: if index == 0 { EvidenceClass::Structural } else { EvidenceClass::Direct },
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn every_node_and_step_is_drawn_once() {
        for count in 1..=12 {
            let svg = picture(&steps(count), "p1").into_string();
            assert_eq!(svg.matches("<rect").count(), count + 1);
            assert_eq!(svg.matches("class=\"head\"").count(), count);
            assert_eq!(svg.matches("edge derived").count(), 1);
        }
    }

    #[test]
    fn markup_of_others_is_text() {
        let svg = picture(&steps(2), "p1").into_string();
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "{svg}");
        assert!(!svg.contains("style=") && !svg.contains("href"), "{svg}");
    }

    /// The second grant starts at the identity, not at what the first one is on.
    #[test]
    fn a_branch_starts_where_it_starts() {
        let step =
            |from: &str, to: &str| Step { from: from.to_owned(), to: to.to_owned(), via: None, ..steps(1).remove(0) };
        let path = [step("secret", "bot"), step("bot", "mail"), step("bot", "files")];
        assert_eq!(
            spoken(&path),
            "Path: secret has a grant on bot, which has a grant on mail; bot has a grant on files."
        );
        let svg = picture(&path, "p1").into_string();
        assert_eq!((svg.matches("<rect").count(), svg.matches("class=\"again\"").count()), (5, 1));
        assert_eq!(svg.matches("class=\"end\"").count(), 2, "both ends");
        assert!(svg.contains(">3. has a grant on<"), "{svg}");
        assert_eq!(svg.matches("class=\"head\"").count(), 3);
    }

    #[test]
    fn a_path_can_be_read_aloud() {
        assert_eq!(spoken(&steps(1)), "Path: group \"0\" holds <script>alert(1)</script> on group \"1\".");
    }
}
