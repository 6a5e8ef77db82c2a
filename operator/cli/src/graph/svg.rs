//! The picture: a ladder of nodes, from above to below by how many hops lead there, branches beside each other. Pure.

use std::collections::BTreeMap;

use sv0_api::EvidenceClass;

use crate::route::{self, Step};
use crate::term::cut;

/// Size of a node's box, in pixels.
const BOX: (usize, usize) = (280, 52);
/// Room between two branches, and between two rows, where the label of the edge stands.
const GAP: (usize, usize) = (40, 64);
/// Room around everything.
const MARGIN: usize = 16;
/// Characters that fit into a box or beside an edge.
const FITS: usize = 40;
/// Room on the right for the labels of the last branch.
const LABELS: usize = 160;

/// Text for XML and HTML, whatever is in it.
pub fn escaped(text: &str) -> String {
    let text = sv0_rules::harmless(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not characters of XML.
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// Where a node stands: row, branch.
type Places<'a> = BTreeMap<&'a str, (usize, usize)>;

/// The picture of `steps`, named `title` for those who do not see it.
pub fn svg(title: &str, steps: &[Step<'_>]) -> String {
    let (order, places) = layout(steps);
    let rows = places.values().map(|at| at.0 + 1).max().unwrap_or(1);
    let branches = places.values().map(|at| at.1 + 1).max().unwrap_or(1);
    let width = 2 * MARGIN + branches * BOX.0 + (branches - 1) * GAP.0 + LABELS;
    let height = 2 * MARGIN + rows * BOX.1 + (rows - 1) * GAP.1 + LEGEND;
    let edges: String = grouped(steps).iter().map(|(ends, at)| edge(steps, &places, *ends, at)).collect();
    let nodes: String = order.iter().filter_map(|label| Some(node(label, *places.get(label)?))).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n<style>{STYLE}</style>\n{ARROW}\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{edges}{nodes}\
         <text class=\"note\" x=\"{MARGIN}\" y=\"{}\">Evidence: solid line direct, dashed structural, dotted temporal</text>\n\
         </svg>\n",
        escaped(title),
        escaped(&described(steps)),
        height - MARGIN,
    )
}

/// Room for the legend.
const LEGEND: usize = 28;

const STYLE: &str = ".paper{fill:#fff}.box{fill:#f6f8fa;stroke:#57606a}.line{fill:none;stroke:#57606a;stroke-width:1.5}\
.head{fill:#57606a}text{font:12px system-ui,sans-serif;fill:#1b1f24}.kind,.note{fill:#57606a}.name{font-weight:600}\
.structural{stroke-dasharray:6 4}.temporal{stroke-dasharray:2 3}\
@media (prefers-color-scheme:dark){.paper{fill:#0d1117}.box{fill:#161b22;stroke:#8b949e}.line{stroke:#8b949e}\
.head{fill:#8b949e}text{fill:#e6edf3}.kind,.note{fill:#9198a1}}";

const ARROW: &str = "<defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>";

/// The path in words.
fn described(steps: &[Step<'_>]) -> String {
    let says = |step: &Step<'_>| format!("{} {} {}", step.from, route::step_words(step), step.to);
    steps.iter().map(says).collect::<Vec<_>>().join("; ")
}

/// Nodes in the order in which they are met, and their places: the first hop that leads to a node decides.
fn layout<'a>(steps: &[Step<'a>]) -> (Vec<&'a str>, Places<'a>) {
    let mut order = Vec::new();
    let mut places: Places<'a> = BTreeMap::new();
    let mut branches = 0;
    let mut continued: Vec<&str> = Vec::new();
    for step in steps {
        let (row, branch) = *places.entry(step.from).or_insert_with(|| {
            order.push(step.from);
            branches += 1;
            (0, branches - 1)
        });
        if places.contains_key(step.to) {
            continue;
        }
        // The first hop from a node goes straight on; every further one takes a branch of its own.
        let branch = if continued.contains(&step.from) {
            branches += 1;
            branches - 1
        } else {
            continued.push(step.from);
            branch
        };
        order.push(step.to);
        places.insert(step.to, (row + 1, branch));
    }
    (order, places)
}

/// Steps between the same two nodes share a line.
fn grouped<'a>(steps: &[Step<'a>]) -> Vec<((&'a str, &'a str), Vec<usize>)> {
    let mut groups: Vec<((&str, &str), Vec<usize>)> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let ends = (step.from, step.to);
        match groups.iter_mut().find(|(known, _)| *known == ends) {
            Some((_, list)) => list.push(at),
            None => groups.push((ends, vec![at])),
        }
    }
    groups
}

/// The upper left corner of a node's box.
const fn corner(at: (usize, usize)) -> (usize, usize) {
    (MARGIN + at.1 * (BOX.0 + GAP.0), MARGIN + at.0 * (BOX.1 + GAP.1))
}

fn node(label: &str, at: (usize, usize)) -> String {
    let (x, y) = corner(at);
    let (kind, name) = label.split_once(" \"").map_or(("", label), |(kind, rest)| (kind, rest.trim_end_matches('"')));
    let (middle, full) = (x + BOX.0 / 2, escaped(label));
    let text = |class: &str, y: usize, text: &str| {
        let text = escaped(&cut(text, FITS));
        format!("<text class=\"{class}\" x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>")
    };
    let (kind, name) = if kind.is_empty() {
        (String::new(), text("name", y + BOX.1 / 2 + 4, name))
    } else {
        (text("kind", y + 21, kind), text("name", y + 39, name))
    };
    format!(
        "<g><title>{full}</title><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"6\"/>{kind}{name}</g>\n",
        BOX.0, BOX.1
    )
}

fn edge(steps: &[Step<'_>], places: &Places<'_>, ends: (&str, &str), at: &[usize]) -> String {
    let (Some(from), Some(to)) = (places.get(ends.0), places.get(ends.1)) else { return String::new() };
    let told: Vec<(usize, &Step<'_>)> = at.iter().filter_map(|at| Some((*at, steps.get(*at)?))).collect();
    let Some((_, first)) = told.first() else { return String::new() };
    let ((x1, y1), (x2, y2)) = (corner(*from), corner(*to));
    let (start, end) = (x1 + BOX.0 / 2, x2 + BOX.0 / 2);
    let (line, label) = if to.0 > from.0 {
        let below = y1 + BOX.1;
        let bend = below + GAP.1 / 5;
        (format!("M{start} {below}L{start} {bend}L{end} {bend}L{end} {y2}"), (end + 8, y2))
    } else {
        // Back to a row that was passed: along the left side.
        let (side, low, high) = (x1 - MARGIN / 2, y1 + BOX.1 / 2, y2 + BOX.1 / 2);
        (format!("M{x1} {low}L{side} {low}L{side} {high}L{x2} {high}"), (side + 4, y1))
    };
    let full: Vec<String> = told.iter().map(|(at, step)| format!("{}: {}", at + 1, route::step_words(step))).collect();
    format!(
        "<g><title>{}</title><path class=\"line {}\" d=\"{line}\" marker-end=\"url(#head)\"/>{}</g>\n",
        escaped(&full.join("; ")),
        class(first.class),
        labels(&told, label)
    )
}

/// What stands beside the line, above `at`; of several steps the first, and how many more there are.
fn labels(told: &[(usize, &Step<'_>)], at: (usize, usize)) -> String {
    let Some((number, step)) = told.first() else { return String::new() };
    let words = format!("{}. {}", number + 1, route::edge_words(step.edge));
    let more = if told.len() > 1 { format!(" and {} more", told.len() - 1) } else { String::new() };
    let via = step.via.map(|via| cut(via, FITS.saturating_sub(more.len()))).unwrap_or_default() + &more;
    let text = |y: usize, text: &str| {
        let (x, y) = (at.0, at.1.saturating_sub(y));
        format!("<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(&cut(text, FITS)))
    };
    let below = if via.is_empty() { String::new() } else { text(15, &via) };
    text(31, &words) + &below
}

const fn class(class: EvidenceClass) -> &'static str {
    route::class_word(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step<'a>(from: &'a str, to: &'a str) -> Step<'a> {
        Step { from, edge: "GRANTED", to, via: Some("r"), class: EvidenceClass::Direct }
    }

    #[test]
    fn a_branch_takes_room_of_its_own() {
        let steps = [step("a", "b"), step("b", "c"), step("b", "d"), step("d", "e"), step("b", "c")];
        let (order, places) = layout(&steps);
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
        assert_eq!(places.values().copied().collect::<Vec<_>>(), [(0, 0), (1, 0), (2, 0), (2, 1), (3, 1)]);
        assert_eq!(grouped(&steps).len(), 4, "two grants on one thing share a line");
    }

    #[test]
    fn names_stay_text() {
        let hostile = "group \"</text><script>alert('1')</script>&\u{202e}\u{1b}\"";
        let picture = svg(hostile, &[step("a", hostile)]);
        assert!(!picture.contains("<script") && !picture.contains('\u{202e}') && !picture.contains('\u{1b}'));
        assert!(
            picture.contains(
                "<title>group &quot;&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;</title>"
            ),
            "{picture}"
        );
        assert!(svg("", &[]).contains("</svg>"));
    }
}
