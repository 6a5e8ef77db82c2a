//! The picture of a path: boxes and arrows as SVG inside the page, three boxes in a row. Takes steps; gives markup without
//! script, style attribute or reference to anything outside. Pure.

use maud::{Markup, html};

use super::chains::Step;
use super::text::{clean, wrapped};
use super::words;

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

/// Where the box number `index` stands: its upper left corner.
fn corner(index: usize) -> (usize, usize) {
    (MARGIN + (index % PER_ROW) * (BOX_WIDTH + GAP), MARGIN + (index / PER_ROW) * ROW)
}

/// The picture. `id` is unique in the page.
pub(super) fn picture(steps: &[Step], id: &str) -> Markup {
    let boxes = steps.len() + 1;
    let columns = boxes.min(PER_ROW);
    let width = columns * BOX_WIDTH + (columns - 1) * GAP + 2 * MARGIN;
    let height = (boxes.div_ceil(PER_ROW) - 1) * ROW + BOX_HEIGHT + 2 * MARGIN;
    let names =
        steps.first().map(|step| step.from.as_str()).into_iter().chain(steps.iter().map(|step| step.to.as_str()));
    let last = steps.len();
    html! {
        svg class="path" role="img" aria-labelledby={ (id) "-t" } viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height) {
            title id={ (id) "-t" } { (spoken(steps)) }
            @for (index, step) in steps.iter().enumerate() { (arrow(index, step)) }
            @for (index, name) in names.enumerate() { (node(index, name, index == last)) }
        }
    }
}

/// The path in one sentence, for those who do not see the picture.
pub(super) fn spoken(steps: &[Step]) -> String {
    let parts: Vec<String> = steps.iter().map(|step| format!("{} {}", clean(&step.from), phrase(step))).collect();
    let end = steps.last().map(|step| clean(&step.to)).unwrap_or_default();
    format!("Path: {}, {end}.", parts.join(", "))
}

/// What stands on an arrow.
pub(super) fn phrase(step: &Step) -> String {
    match (&step.via, step.edge.as_str()) {
        (Some(via), "GRANTED") => format!("holds {} on", clean(via)),
        (Some(via), _) => format!("{} ({})", words::edge(&step.edge), clean(via)),
        (None, _) => words::edge(&step.edge),
    }
}

fn node(index: usize, label: &str, end: bool) -> Markup {
    let (x, y) = corner(index);
    let label = clean(label);
    let (kind, name) = kind_and_name(&label);
    let lines = wrapped(name, NAME_COLUMNS, if kind.is_some() { 2 } else { 3 });
    let center = x + BOX_WIDTH / 2;
    let count = lines.len() + usize::from(kind.is_some());
    let first = y + (BOX_HEIGHT - count * LINE) / 2 + 12;
    html! {
        rect class=[end.then_some("end")] x=(x) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="8" {}
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

fn arrow(index: usize, step: &Step) -> Markup {
    let (x, y) = corner(index);
    let (to_x, to_y) = corner(index + 1);
    let derived = step.class != sv0_api::EvidenceClass::Direct;
    let same_row = to_y == y;
    let lines = wrapped(&phrase(step), if same_row { EDGE_COLUMNS } else { BETWEEN_COLUMNS }, 4);
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

    #[test]
    fn a_path_can_be_read_aloud() {
        assert_eq!(spoken(&steps(1)), "Path: group \"0\" holds <script>alert(1)</script> on, group \"1\".");
    }
}
