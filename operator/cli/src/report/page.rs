//! The frame of the report: head, policy, table of contents, and the sections in their order. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::facts::Facts;
use super::text::{clean, minute};
use super::{articles, sections};

const STYLE: &str = include_str!("style.css");

/// A section: its anchor, its heading, its content.
struct Section {
    id: &'static str,
    heading: &'static str,
    content: Markup,
}

/// The whole page.
pub(super) fn page(facts: &Facts<'_>) -> String {
    let estate = clean(&facts.held.namespace);
    let sections = sections(facts);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "Execution authority in " (estate) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a class="skip" href="#brief" { "Skip to the report" }
                    h1 { "Who can act without a person in " (estate) ", and what is risky about it" }
                    p class="sub" { (as_of(facts)) }
                    nav aria-label="Sections" {
                        ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.heading) } } } }
                    }
                }
                main {
                    @for section in &sections {
                        section aria-labelledby=(section.id) {
                            h2 id=(section.id) { (section.heading) }
                            (section.content)
                        }
                    }
                }
                footer { p { "SecurityV0. This file asks nothing of the network and runs no script." } }
            }
        }
    };
    markup.into_string()
}

fn sections(facts: &Facts<'_>) -> Vec<Section> {
    let section = |id, heading, content| Section { id, heading, content };
    let mut all = vec![
        section("brief", "In brief", sections::brief(facts)),
        section("changes", "What to change first", sections::changes(facts)),
        section("chains", "The most severe chains", articles::chains(facts)),
        section("families", "Findings by family and severity", sections::families(facts)),
        section("owners", "Who answers", sections::owners(facts)),
        section("accepted", "Accepted risks", sections::accepted(facts)),
        section("gaps", "What was not seen", sections::gaps(facts)),
        section("age", "Age of the data", sections::age(facts)),
        section("all", "All open findings", sections::all(facts)),
        section("method", "How this report was made", sections::method(facts)),
    ];
    let said: Vec<&str> = all.iter().flat_map(|section| [section.heading, section.content.0.as_str()]).collect();
    let glossary = sections::glossary(&said.join(" "));
    all.push(section("glossary", "Glossary", glossary));
    all
}

fn as_of(facts: &Facts<'_>) -> String {
    match facts.as_of {
        Some(as_of) => format!("As of {}. All times are UTC.", minute(as_of)),
        None => {
            "The age of these findings is not known: the Estate object was not given, or was never evaluated.".into()
        }
    }
}

/// Nothing may be loaded, sent or run; the only style is the one whose digest stands here.
fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}
