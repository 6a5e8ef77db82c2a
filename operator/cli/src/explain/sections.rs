//! The parts of an explanation, in the order in which a reader needs them: what, how bad, who, how, what proves it, what is
//! not known, what to do. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sv0_api::{Claim, Evidence, EvidenceClass, FindingSpec, FindingState, Severity};
use sv0_rules::MAX_EVIDENCE;

use super::of_pack::Standing;
use super::{Story, pieces, words};
use crate::findings::table::{MOST_GAPS, collected_at, counted, name, severity};
use crate::route::{self, Cut, Step};
use crate::term::{Look, Role, add, wrapped};
use crate::{gap, glossary, proof};

/// Most characters of the name of a hop's end where it is repeated in a sentence.
const SHORT: usize = 60;

/// A text that grows by paragraphs.
pub(super) struct Page {
    text: String,
    look: Look,
    width: usize,
}

impl Page {
    fn heading(&mut self, title: &str) {
        let title = self.look.paint(Role::Heading, title);
        add(&mut self.text, &format!("\n{title}\n"));
    }

    pub(super) fn line(&mut self, first: &str, rest: &str, text: &str) {
        self.text.push_str(&wrapped(text, first, rest, self.width));
    }

    pub(super) fn says(&mut self, text: &str) {
        self.line("  ", "  ", text);
    }

    fn item(&mut self, text: &str) {
        self.line("  - ", "    ", text);
    }

    fn numbered(&mut self, number: usize, text: &str) {
        self.line(&format!("  {number}. "), "     ", text);
    }
}

/// Every section.
pub(super) fn all(story: &Story, look: Look, width: usize, words: bool) -> String {
    let spec = &story.finding.spec;
    let mut page = Page { text: String::new(), look, width };
    title(&mut page, story);
    why(&mut page, spec);
    who(&mut page, spec);
    parts(&mut page, story);
    let steps = route::steps(&spec.path);
    let named = route::named(&steps, &spec.remediation);
    path(&mut page, &steps, named);
    evidence(&mut page, story, &steps);
    not_proven(&mut page, spec);
    not_seen(&mut page, story);
    remediation(&mut page, spec);
    cut(&mut page, story, &steps, named);
    standards(&mut page, spec);
    life(&mut page, story);
    if words {
        // Without colours, whose marks would stand between the words.
        meanings(&mut page, &all(story, Look::PLAIN, width, false));
    } else {
        page.text.push('\n');
        page.line("", "", "With --words, what the words mean is said here.");
    }
    page.text
}

/// What the words above mean.
fn meanings(page: &mut Page, text: &str) {
    page.heading("Words");
    for (term, meaning) in glossary::met_in(text) {
        page.line("  ", "    ", &format!("{term}: {}", meaning.replace(['*', '`'], "")));
    }
}

fn title(page: &mut Page, story: &Story) {
    let spec = &story.finding.spec;
    let word = severity(spec.severity);
    let role = if spec.severity >= Severity::High { Role::Alarm } else { Role::Warning };
    let first = wrapped(&format!("{word} {} ({})", spec.rule.id, name(&story.finding)), "", "", page.width);
    page.text.push_str(&first.replacen(word, &page.look.paint(role, word), 1));
    page.line("", "", &spec.title);
    let subject = &spec.subject;
    page.heading("About");
    page.says(&format!("{} \"{}\", id {}", words::kind(&subject.kind), subject.name, subject.id));
    page.says(&format!(
        "in {}, tenant {}, read by the ConnectorInstance {}",
        words::system(&subject.system),
        subject.tenant,
        subject.instance
    ));
    page.heading("Why it matters");
    page.says(&spec.why);
}

fn why(page: &mut Page, spec: &FindingSpec) {
    page.heading(&format!("Why {}", severity(spec.severity)));
    for sentence in words::why_severe(spec) {
        page.says(&sentence);
    }
}

fn who(page: &mut Page, spec: &FindingSpec) {
    page.heading("Who answers for it");
    let accountable = &spec.accountable;
    page.says(&words::accountable(accountable));
    for party in &accountable.parties {
        page.item(&words::party(party));
    }
    let more = usize::try_from(accountable.total).unwrap_or(0).saturating_sub(accountable.parties.len());
    if more > 0 {
        page.item(&format!("{more} more, who are not listed here"));
    }
}

/// Findings that this one tells as a whole: about the same subject, or about others that hold through it.
fn parts(page: &mut Page, story: &Story) {
    let spec = &story.finding.spec;
    if spec.consists_of.is_empty() {
        return;
    }
    page.heading("What it consists of");
    let told = spec.consists_of.len() + usize::try_from(spec.parts_omitted).unwrap_or(0);
    if spec.consists_of.iter().any(|part| part.subject.is_some()) {
        let subject = &spec.subject;
        page.says(&format!(
            "{} by what the {} \"{}\" has, and by no other way that was seen. This Finding tells them as a whole. They do not \
             stand as objects of their own; the evidence pack has all of them:",
            counted(told, "Finding of another identity holds", "Findings of other identities hold"),
            words::kind(&subject.kind),
            subject.name
        ));
    } else {
        page.says(
            "This Finding tells these as a whole. They do not stand as objects of their own; the evidence pack has them:",
        );
    }
    for part in &spec.consists_of {
        let title = sv0_rules::catalogue().find(|meta| meta.id == part.rule).map_or("", |meta| meta.title);
        let claim = if part.claim == Claim::Narrower { ", narrower claim" } else { "" };
        let what = part.subject.as_deref().map_or_else(|| title.to_owned(), |name| format!("\"{name}\""));
        page.item(&format!("{} {}{claim}: {what} ({})", part.rule, severity(part.severity), part.name));
    }
    if spec.parts_omitted > 0 {
        page.item(&format!("{} more, which only the evidence pack names", spec.parts_omitted));
    }
    page.says("`kubectl sv0 explain NAME --evidence` shows each of them.");
}

/// One line per hop, below where it starts, and as far to the right as it is deep.
fn path(page: &mut Page, steps: &[Step<'_>], named: Option<(usize, usize)>) {
    page.heading("The path");
    if steps.is_empty() {
        page.says("The Finding shows no path.");
        return;
    }
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        let from = depth.get(step.from).copied().unwrap_or_else(|| {
            let start = if step.from.is_empty() { "(not told)" } else { step.from };
            page.line("     ", "     ", start);
            depth.insert(step.from, 0);
            0
        });
        depth.entry(step.to).or_insert(from + 1);
        let indent = "   ".repeat(from);
        let class = route::class_word(step.class);
        let here = named.filter(|(_, hop)| *hop == at);
        let here = here.map(|(step, _)| format!(" (step {} below cuts here)", step + 1)).unwrap_or_default();
        let text = format!("{}: {} [{class}]{here}", route::step_words(step), step.to);
        page.line(&format!("  {:>2} {indent} └─ ", at + 1), &format!("     {indent}    "), &text);
    }
    if !route::whole(steps) {
        page.says("Hops in the middle are left out here for size; the evidence pack has all of them (--evidence).");
    }
}

fn evidence(page: &mut Page, story: &Story, steps: &[Step<'_>]) {
    page.heading("Evidence");
    let whole = story.pack.as_ref().and_then(|pack| pack.whole.as_ref());
    let classes = match whole {
        Some(whole) => {
            pieces::all(page, steps, whole);
            page.says("The time of a piece is when the scan began that read it.");
            pieces::classes(steps, whole)
        }
        None => of_finding(page, story, steps),
    };
    for class in classes {
        page.line("  ", "    ", &format!("[{}]: {}.", route::class_word(class), words::class(class)));
    }
}

/// The pieces that the Finding itself has, and where the others are. Gives the classes that stand there.
fn of_finding(page: &mut Page, story: &Story, steps: &[Step<'_>]) -> BTreeSet<EvidenceClass> {
    let spec = &story.finding.spec;
    if story.pack.is_some() {
        page.says(if spec.state == FindingState::Resolved {
            "It is resolved: the pack's evaluation has no new evidence of it. The Finding keeps these pieces:"
        } else {
            "The pack's evaluation did not find it anew, and what it rests on was not seen completely. The Finding keeps these \
             pieces:"
        });
    }
    for (at, one) in spec.evidence.iter().enumerate() {
        piece(page, spec, at + 1, one);
    }
    let status = story.estate.as_ref().and_then(|estate| estate.status.as_ref());
    page.says(&proof::read_at(spec, status, |at| at.to_string()));
    if story.pack.is_none()
        && let Some(more) = more_evidence(spec)
    {
        page.says(&more);
    }
    steps.iter().map(|step| step.class).chain(spec.evidence.iter().map(|one| one.class)).collect()
}

/// How much evidence there is that the Finding does not show, and where.
fn more_evidence(spec: &FindingSpec) -> Option<String> {
    let omitted = usize::try_from(spec.evidence_omitted).ok().filter(|omitted| *omitted > 0)?;
    let more = counted(omitted, "more piece", "more pieces");
    if !proof::cut_in_pack(spec) {
        return Some(format!(
            "The evidence pack in the store has {more} of evidence. With --evidence all are shown, each with its time and \
             below the hop that it is about."
        ));
    }
    Some(format!(
        "There are {more} of evidence, most of them like these. The evidence pack in the store has at most {MAX_EVIDENCE} of a \
         finding, those of the path and of every kind among them, and says how many are left out; --evidence shows them."
    ))
}

fn piece(page: &mut Page, spec: &FindingSpec, number: usize, one: &Evidence) {
    page.numbered(number, &format!("{} [{}]", one.claim, route::class_word(one.class)));
    page.line("     ", "       ", &format!("read from {}", proof::source(spec, one, words::system)));
    if let Some(value) = &one.value {
        page.line("     ", "       ", &format!("value: {value}"));
    }
}

fn not_proven(page: &mut Page, spec: &FindingSpec) {
    page.heading("What is not proven");
    if spec.rule.claim == Claim::Narrower {
        page.says("The claim above is the rule's narrower one: it says what is proven, and no more.");
    }
    if spec.narrowed.is_empty() {
        page.says("Nothing that the claim needs is left open.");
    }
    for one in &spec.narrowed {
        page.item(&format!("{}. {}", one.claim.trim_end_matches('.'), one.reason));
    }
}

/// Coverage gaps of the instance that saw the subject: first those that the rule reads.
fn not_seen(page: &mut Page, story: &Story) {
    let spec = &story.finding.spec;
    page.heading("What was not seen");
    let Some(status) = story.estate.as_ref().and_then(|estate| estate.status.as_ref()) else {
        page.says("Not known: no Estate with a status can be read in this namespace.");
        return;
    };
    let rule = sv0_rules::catalogue().find(|meta| meta.id == spec.rule.id);
    let requires = rule.map_or(&[][..], |meta| meta.requires);
    let own = status.coverage_gaps.iter().filter(|gap| gap.instance == spec.subject.instance);
    let (needed, other): (Vec<_>, Vec<_>) =
        own.partition(|gap| gap.collection.is_empty() || requires.contains(&gap.collection.as_str()));
    let evaluated = status.inputs.iter().any(|input| input.instance_uid == spec.subject.instance_uid);
    let listed = status.coverage_gaps.len() < MOST_GAPS;
    if needed.is_empty() && rule.is_some() && evaluated && listed {
        let evaluation = if of_file(story) { "the pack's evaluation" } else { "the last evaluation" };
        page.says(&format!("Every collection that this rule requires was read completely, as of {evaluation}."));
    } else if needed.is_empty() {
        page.says("Whether every collection that this rule requires was read completely is not known here.");
    }
    if !needed.is_empty() || !other.is_empty() {
        page.says("Coverage gaps of the instance that read it:");
    }
    for gap in &needed {
        page.item(&format!("{} This rule requires it.", gap::line(gap)));
    }
    for gap in &other {
        page.item(&gap::line(gap));
    }
    let elsewhere = status.coverage_gaps.len() - needed.len() - other.len();
    if elsewhere > 0 {
        let gaps = counted(elsewhere, "coverage gap", "coverage gaps");
        page.item(&format!("{gaps} more, of other instances: `kubectl sv0 findings -o wide` names them"));
    }
}

fn remediation(page: &mut Page, spec: &FindingSpec) {
    page.heading("What to do");
    if spec.remediation.is_empty() {
        page.says("The Finding names no step.");
    }
    for (at, step) in spec.remediation.iter().enumerate() {
        page.numbered(at + 1, step);
    }
}

/// Which single hop to cut, and what then no longer holds. Of this path alone: there may be others.
fn cut(page: &mut Page, story: &Story, steps: &[Step<'_>], named: Option<(usize, usize)>) {
    page.heading("Cutting one hop");
    let cuts = route::cuts(steps);
    let shared = route::shared(&story.finding, &story.all);
    if cuts.is_empty() {
        page.says("Nothing can be said: the Finding does not show the path without gaps.");
        return;
    }
    if let Some((step, hop)) = named {
        page.says(&format!("Step {} above takes hop {} away, and says what else that cuts.", step + 1, hop + 1));
    }
    let of = |at: usize| shared.get(at).copied().unwrap_or(0);
    let (whole, parts): (Vec<&Cut>, Vec<&Cut>) = cuts.iter().partition(|cut| cut.all);
    if whole.is_empty() {
        page.says("No single hop carries all of this path: more than one has to go.");
    } else {
        page.says("Without any one of these hops nothing at the end of this path is reached by it any more:");
    }
    for cut in whole {
        page.item(&hop(steps, cut.at, of(cut.at)));
    }
    let parts: Vec<&Cut> = parts.into_iter().filter(|cut| !cut.lost.is_empty()).collect();
    if !parts.is_empty() {
        page.says("Without one of these hops a part of it is not reached any more:");
    }
    for cut in parts {
        let lost: Vec<String> = cut.lost.iter().filter_map(|at| steps.get(*at)).map(end).collect();
        page.item(&format!("{} Not reached then: {}.", hop(steps, cut.at, of(cut.at)), lost.join("; ")));
    }
    for (at, basis) in (0..steps.len()).filter_map(|at| Some((at, route::basis(steps, at)?))) {
        page.says(&format!("Hop {} follows from hop {} and falls with it.", at + 1, basis + 1));
    }
    page.says(
        "This holds of the path above. Whether there are other ways in, other credentials or other grants is told by \
         other Findings and by the source system.",
    );
}

fn hop(steps: &[Step<'_>], at: usize, shared: usize) -> String {
    let Some(step) = steps.get(at) else { return String::new() };
    let also = match shared {
        0 => String::new(),
        1 => " 1 other open Finding of this tenant shows a hop with the same names.".to_owned(),
        many => format!(" {many} other open Findings of this tenant show a hop with the same names."),
    };
    let short = |text: &str| crate::term::cut(text, SHORT);
    format!("hop {}: {} {} {}.{also}", at + 1, short(step.from), route::step_words(step), short(step.to))
}

/// What is reached at the end.
fn end(step: &Step<'_>) -> String {
    let to = crate::term::cut(step.to, SHORT);
    step.via.map_or_else(|| to.clone(), |via| format!("{} on {to}", sv0_rules::harmless(via)))
}

fn standards(page: &mut Page, spec: &FindingSpec) {
    if spec.standards.is_empty() {
        return;
    }
    page.heading("Standards that this concerns");
    page.says(&spec.standards.join(", "));
}

/// Whether it is told from a file, which may be of an earlier evaluation.
fn of_file(story: &Story) -> bool {
    story.pack.as_ref().is_some_and(|pack| !pack.named)
}

/// Whether it stands as an object, which only the pack tells.
fn standing(page: &mut Page, story: &Story) {
    let Some(pack) = &story.pack else { return };
    match &pack.standing {
        Standing::Object => {}
        Standing::Folded(under) => {
            page.says(&format!("It does not stand as an object of its own: the Finding {under} tells it."));
        }
        Standing::BeyondCap => page.says(
            "It does not stand as an object: the estate has as many as it may have, and those are at least as severe.",
        ),
    }
}

/// Which pack all of it is from, and what proves that.
fn origin(page: &mut Page, story: &Story) {
    let Some(pack) = &story.pack else { return };
    let proof = if pack.named {
        "its digest is the one in the Estate's status"
    } else {
        "its chain of digests holds; that it is the estate's own is proven when status.packDigest of the Estate names it"
    };
    page.says(&format!("All of this is told from the evidence pack {}: {proof}.", pack.digest));
}

fn life(page: &mut Page, story: &Story) {
    let spec = &story.finding.spec;
    page.heading("State");
    page.says(&words::state(story));
    standing(page, story);
    page.says(&words::first_observed(spec));
    let status = story.estate.as_ref().and_then(|estate| estate.status.as_ref());
    let as_of = status.and_then(|status| status.as_of.as_ref());
    page.says(&match as_of {
        Some(as_of) if of_file(story) => {
            format!("The pack is of the evaluation as of {}, which need not be the last one.", as_of.0)
        }
        Some(as_of) => format!("This namespace was last evaluated as of {}.", as_of.0),
        None => "When this namespace was last evaluated is not known.".to_owned(),
    });
    let input = status.and_then(|s| s.inputs.iter().find(|input| input.instance_uid == spec.subject.instance_uid));
    if let Some(at) = input.and_then(collected_at) {
        page.says(&format!("The snapshot that was evaluated then was read from {at} on."));
    }
    page.says(&format!("Rule {} version {}.", spec.rule.id, spec.rule.version));
    origin(page, story);
}
