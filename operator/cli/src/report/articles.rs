//! The chains of the report: a picture each, then hop by hop and claim by claim what proves it, who answers, what is not
//! proven and what to do. Takes the facts; gives the content of one section. Pure.

use std::collections::BTreeSet;

use maud::{Markup, html};
use sv0_api::{Evidence, EvidenceClass};
use sv0_rules::MAX_EVIDENCE as MAX_PIECES;

use super::chains::{Chain, phrase, runs};
use super::facts::Facts;
use super::input::Found;
use super::picture::picture;
use super::sections::{MAX_NAMED, answers, badge, capitalised};
use super::text::{clean, counted, minute};
use super::words;
use crate::{proof, route};

/// Most chains that are drawn.
const MAX_CHAINS: usize = 10;
/// Most pieces of evidence of one chain.
const MAX_EVIDENCE: usize = 12;

/// The first chains with their pictures.
pub(super) fn chains(facts: &Facts<'_>) -> Markup {
    if facts.chains.is_empty() {
        return html! { p { "No open finding shows a path." } };
    }
    let shown = facts.chains.len().min(MAX_CHAINS);
    html! {
        p {
            "Each picture is one path, from how something signs in to what it reaches, with all open findings "
            "that lie on it. A dashed arrow is derived or rests on time; every other one is a fact of the source system itself. "
            (shown) " of " (counted(facts.chains.len(), "chain")) "."
        }
        @for (index, chain) in facts.chains.iter().take(MAX_CHAINS).enumerate() { (one_chain(facts, index, chain)) }
    }
}

fn one_chain(facts: &Facts<'_>, index: usize, chain: &Chain<'_>) -> Markup {
    let Some(first) = chain.findings.first() else { return html! {} };
    let spec = &first.spec;
    html! {
        article {
            h3 { (index + 1) ". " (clean(&spec.title)) }
            p { (badge(spec.severity)) " · " (clean(&spec.why)) }
            figure tabindex="0" {
                (picture(&chain.steps, &format!("p{index}")))
                @if let Some(says) = caption(chain) { figcaption { (says) } }
            }
            (hops(chain))
            (evidence(facts, index, chain))
            p { strong { "Who answers: " } (answers(&[first])) }
            @if chain.findings.len() > 1 {
                p { strong { "Findings on it: " } }
                ul { @for found in chain.findings.iter().take(MAX_NAMED) { li { (badge(found.spec.severity)) " " (clean(&found.spec.rule.id)) ": " (clean(&found.spec.title)) } } }
            }
            @for found in chain.findings.iter().filter(|found| !found.parts.is_empty()) {
                p { strong { (clean(&found.spec.rule.id)) " " (found.tells()) ": " } (found.told()) "." }
            }
            (not_proven(chain))
            @if !spec.remediation.is_empty() {
                p { strong { "What to do: " } }
                ol { @for step in &spec.remediation { li { (clean(step)) } } }
            }
        }
    }
}

/// Why a box stands there twice, or why the picture has no way from one row to the next.
fn caption(chain: &Chain<'_>) -> Option<&'static str> {
    let hops = chain.findings.first().map(|found| route::steps(&found.spec.path))?;
    match (route::whole(&hops), runs(&chain.steps).len()) {
        (false, _) => Some("Hops in the middle are left out here for size; the evidence pack has all of them."),
        (true, 0 | 1) => None,
        (true, _) => Some("The path branches: a box with a dotted border stands for the same one further up."),
    }
}

/// The path in words, with the class of each hop.
fn hops(chain: &Chain<'_>) -> Markup {
    let classes: BTreeSet<EvidenceClass> = chain.steps.iter().map(|step| step.class).collect();
    html! {
        p { strong { "The path, hop by hop: " } }
        ol { @for step in &chain.steps { li { (clean(&step.from)) " " (phrase(step)) " " (clean(&step.to)) ". " span class="note" { "Evidence: " (words::class(step.class).0) "." } } } }
        p class="note" { @for class in classes { (capitalised(words::class(class).0)) ": " (words::class(class).1) " " } }
    }
}

/// What proves the findings on the chain: each claim once, with its class and where it was read.
fn evidence(facts: &Facts<'_>, index: usize, chain: &Chain<'_>) -> Markup {
    let each = |found: &'_ &'_ Found| -> Vec<(String, Evidence)> {
        let source = |one: &Evidence| clean(&proof::source(&found.spec, one, words::system));
        found.spec.evidence.iter().map(|one| (source(one), one.clone())).collect()
    };
    let mut seen = BTreeSet::new();
    let all: Vec<(String, Evidence)> = chain.findings.iter().flat_map(each).collect();
    let pieces: Vec<&(String, Evidence)> =
        all.iter().filter(|(source, one)| seen.insert((source.clone(), one.claim.clone()))).collect();
    let more = pieces.len() > MAX_EVIDENCE || chain.findings.iter().any(|found| found.spec.evidence_omitted > 0);
    let cut = chain.findings.iter().any(|found| proof::cut_in_pack(&found.spec));
    let Some(first) = chain.findings.first().filter(|_| !pieces.is_empty()) else {
        return html! { p { strong { "What proves it: " } "the Finding shows no evidence; the evidence pack has it." } };
    };
    html! {
        p { strong { "What proves it: " } (clean(&proof::read_at(&first.spec, facts.status(), minute))) }
        div class="wide" tabindex="0" role="region" aria-label={ "Evidence of chain " (index + 1) ", table" } {
            table {
                caption { "Each claim with its evidence." }
                thead { tr { th scope="col" class="what" { "What is proven" } th scope="col" { "Class" } th scope="col" { "Where it was read" } th scope="col" { "What was read" } } }
                tbody {
                    @for (source, one) in pieces.iter().take(MAX_EVIDENCE) {
                        tr {
                            th scope="row" { (clean(&one.claim)) }
                            td { (words::class(one.class).0) }
                            td { (source) }
                            td { (one.value.as_deref().map_or_else(|| "not told".to_owned(), clean)) }
                        }
                    }
                }
            }
        }
        @if cut { p class="note" { "There is more evidence: the evidence pack has at most " (MAX_PIECES) " pieces of a finding, and counts the others." } }
        @else if more { p class="note" { "There is more evidence: the evidence pack has all of it." } }
    }
}

fn not_proven(chain: &Chain<'_>) -> Markup {
    let narrowed: BTreeSet<String> = chain
        .findings
        .iter()
        .flat_map(|found| found.spec.narrowed.iter().map(|narrowed| (&found.spec.rule.id, narrowed)))
        .map(|(rule, part)| format!("{} ({}). {}", clean(&part.claim), clean(rule), clean(&part.reason)))
        .collect();
    html! {
        @if !narrowed.is_empty() {
            p { strong { "Not proven: " } @for text in &narrowed { (text) " " } }
        }
    }
}
