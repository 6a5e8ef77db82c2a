//! The sections of the report. Each takes the facts and gives its content; sentences say what was counted and no more.
//! Text of source systems passes through [`clean`]; the page escapes all text. Pure.

use maud::{Markup, html};
use sv0_api::{AccountableState, EstateGap, EvidenceClass, FindingState, Severity};

use super::facts::{Facts, Owned, before, scanned_at};
use super::input::Found;
use super::text::{clean, clean_to, counted, day, listed, minute};
use super::words;
use crate::{gap, glossary};

/// Most findings of a change or chain that are named one by one.
pub(super) const MAX_NAMED: usize = 12;
/// Most characters of a name where several stand together.
const MAX_NAME: usize = 80;

pub(super) fn badge(severity: Severity) -> Markup {
    let word = words::severity(severity);
    html! { span class={ "sev " (word) } { (word) } }
}

/// The sentences for those who read nothing else.
pub(super) fn brief(facts: &Facts<'_>) -> Markup {
    html! {
        ul class="tiles" {
            @for severity in words::SEVERITIES {
                li class=(words::severity(severity)) {
                    strong { (facts.with_severity(severity)) }
                    span { (words::severity(severity)) }
                }
            }
        }
        ul class="brief" { @for sentence in sentences(facts) { li { (sentence) } } }
    }
}

/// What the summary says, in order: what holds, who answers, what helps, and what limits all of it.
pub(super) fn sentences(facts: &Facts<'_>) -> Vec<String> {
    let mut said = vec![open_sentence(facts)];
    said.extend(owner_sentence(facts));
    if facts.narrower() > 0 {
        let says = if facts.narrower() == 1 { "says" } else { "say" };
        said.push(format!(
            "{} {says} less than the full rule, since a part could not be proven; the missing part is named with each.",
            counted(facts.narrower(), "finding")
        ));
    }
    if let Some(first) = facts.changes.first() {
        said.push(format!(
            "{} would break the path of {} of {}; the first alone that of {}.",
            capitalised(&counted(facts.changes.len(), "change")),
            facts.cut(),
            counted(facts.open.len(), "open finding"),
            first.count
        ));
    }
    if !facts.accepted.is_empty() {
        said.push(match facts.accepted.len() {
            1 => "1 more is an accepted risk and is not in these numbers.".to_owned(),
            many => format!("{many} more are accepted risks and are not in these numbers."),
        });
    }
    said.push(gap_sentence(facts));
    said.extend(facts.failed().map(|why| format!("The last evaluation did not finish. {}", clean(why))));
    said.extend(truncation(facts));
    said
}

fn open_sentence(facts: &Facts<'_>) -> String {
    if facts.open.is_empty() {
        return "No finding is open. That says something only about what was seen: read it with the coverage gaps."
            .into();
    }
    let parts: Vec<String> = words::SEVERITIES
        .into_iter()
        .map(|severity| (facts.with_severity(severity), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {}", words::severity(severity).to_lowercase()))
        .collect();
    let systems: Vec<String> = facts.systems().into_iter().map(words::system).collect();
    format!(
        "{} open ({}). They concern {} of {}.",
        is_are(facts.open.len(), "finding"),
        listed(&parts),
        concerned(facts),
        listed(&systems)
    )
}

/// What the open findings are about.
fn concerned(facts: &Facts<'_>) -> String {
    let [groups, tenants] = facts.groups_and_tenants();
    let identities = match facts.identities() {
        1 => "1 identity".to_owned(),
        many => format!("{many} identities"),
    };
    let parts =
        [(facts.identities(), identities), (groups, counted(groups, "group")), (tenants, counted(tenants, "tenant"))];
    listed(&parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect::<Vec<_>>())
}

/// `1 finding is`, `3 findings are`.
fn is_are(count: usize, one: &str) -> String {
    format!("{} {}", counted(count, one), if count == 1 { "is" } else { "are" })
}

pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn owner_sentence(facts: &Facts<'_>) -> Option<String> {
    let count = |state| facts.owners.get(&state).map_or(0, Vec::len);
    let parts: Vec<String> = [
        (count(AccountableState::Gone), "everybody on record is gone"),
        (count(AccountableState::NotRecorded), "nobody was ever recorded"),
        (count(AccountableState::Unknown), "the record could not be read in full"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, says)| format!("for {count} {says}"))
    .collect();
    let total = facts.identities();
    match (total, parts.is_empty()) {
        (0, _) => None,
        (_, true) => Some("For each of these identities at least one active person or team is on record.".into()),
        _ => Some(format!("Of these identities, {}.", listed(&parts))),
    }
}

fn gap_sentence(facts: &Facts<'_>) -> String {
    match facts.status() {
        None => "What was not seen is not known: the Estate object was not given, or was never evaluated.".into(),
        Some(status) if status.coverage_gaps.is_empty() => {
            "No coverage gap is recorded: all collections that the accepted scans ask for were read.".into()
        }
        Some(status) => format!(
            "{} recorded: something was not seen, or not in full. Nothing here rests on what is absent there, and nothing was \
             resolved by it.",
            is_are(status.coverage_gaps.len(), "coverage gap")
        ),
    }
}

/// What of the findings does not stand in this report.
fn truncation(facts: &Facts<'_>) -> Vec<String> {
    let mut said = Vec::new();
    if facts.truncated() > 0 {
        said.push(format!(
            "{} left out here, since the estate keeps only its most severe ones as resources; the evidence pack holds all.",
            is_are(usize::try_from(facts.truncated()).unwrap_or(0), "less severe finding")
        ));
    }
    match facts.not_here() {
        0 => {}
        more @ 1.. => said.push(format!("The Estate counts {more} open findings more than were given to this report.")),
        fewer => said.push(format!("The Estate counts {} open findings fewer than were given to this report.", -fewer)),
    }
    said
}

/// The changes that cut most.
pub(super) fn changes(facts: &Facts<'_>) -> Markup {
    if facts.changes.is_empty() {
        return html! { p { "No open finding shows a path that one hop breaks, so no change is proposed." } };
    }
    html! {
        p {
            "Each change removes one hop of the paths that the findings show. It is chosen because it breaks the paths of "
            "most findings that the changes above it leave; a path breaks when nothing at any of its ends is reached without "
            "the hop. Somebody who knows the automation must confirm that the hop is not needed. Where a second path exists "
            "that is not shown, the finding stays open with that path: the next scan tells."
        }
        div class="wide" tabindex="0" role="region" aria-label="Changes, table" {
            table {
                caption { (counted(facts.changes.len(), "change")) ", the one that breaks most paths first." }
                thead { tr { th scope="col" class="num" { "No." } th scope="col" { "Change" } th scope="col" class="num" { "Findings" } th scope="col" class="which" { "Which" } } }
                tbody {
                    @for (index, change) in facts.changes.iter().enumerate() {
                        tr {
                            td class="num" { (index + 1) }
                            th scope="row" { (clean(&words::change(&change.step.from, &change.step.edge, change.step.via.as_deref(), &change.step.to))) }
                            td class="num" { (change.count) }
                            td { (named(&change.cuts)) }
                        }
                    }
                }
            }
        }
    }
}

/// Findings by subject, at most [`MAX_NAMED`].
fn named(findings: &[&Found]) -> Markup {
    let mut subjects: Vec<(String, Vec<&Found>)> = Vec::new();
    for found in findings.iter().take(MAX_NAMED) {
        match subjects.iter_mut().find(|(subject, _)| *subject == found.subject()) {
            Some((_, list)) => list.push(found),
            None => subjects.push((found.subject(), vec![found])),
        }
    }
    html! {
        @for (index, (_, list)) in subjects.iter().enumerate() {
            @if index > 0 { br; }
            @if let Some(first) = list.first() { (clean_to(&first.spec.subject.name, MAX_NAME)) ": " }
            (links(list))
        }
        @if findings.len() > MAX_NAMED { br; "and " (findings.len() - MAX_NAMED) " more" }
    }
}

/// Severity and rule of each finding, with a link to the list of all.
fn links(findings: &[&Found]) -> Markup {
    html! {
        @for (index, found) in findings.iter().enumerate() {
            @if index > 0 { ", " }
            (badge(found.spec.severity)) " " a href={ "#f-" (anchor(found)) } { (clean_to(&found.spec.rule.id, MAX_NAME)) }
        }
    }
}

/// A Finding's name as an anchor: names of objects are letters, digits, '-' and '.', but a file may hold anything.
fn anchor(found: &Found) -> String {
    found.name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(253).collect()
}

/// Who answers for a subject, in words.
pub(super) fn answers(findings: &[&Found]) -> String {
    let Some(found) = findings.first() else { return String::new() };
    let accountable = &found.spec.accountable;
    let (word, meaning) = words::accountable(accountable.state);
    let parties: Vec<String> = accountable
        .parties
        .iter()
        .map(|party| format!("{} ({})", clean(party.name.as_deref().unwrap_or(&party.id)), clean(&party.state)))
        .collect();
    let more = usize::try_from(accountable.total).unwrap_or(0).saturating_sub(parties.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let reason = accountable.reason.as_deref().map(|reason| format!(" {}", clean(reason))).unwrap_or_default();
    match (accountable.state, parties.is_empty()) {
        (_, true) => format!("{word}. {meaning}{reason}"),
        // Each party says of itself that it is active.
        (AccountableState::Active, false) => format!("{}{more}.{reason}", parties.join(", ")),
        (_, false) => format!("{word}: {}{more}.{reason}", parties.join(", ")),
    }
}

/// Counts by family and severity.
pub(super) fn families(facts: &Facts<'_>) -> Markup {
    let present: Vec<_> =
        words::FAMILIES.into_iter().filter(|family| facts.table.keys().any(|(found, _)| found == family)).collect();
    if present.is_empty() {
        return html! { p { "No finding is open." } };
    }
    let absent: Vec<String> = words::FAMILIES
        .iter()
        .filter(|family| !present.contains(family))
        .map(|family| words::family(*family).0.into())
        .collect();
    html! {
        div class="wide" tabindex="0" role="region" aria-label="Findings by family and severity, table" {
            table {
                caption { "Open findings. A finding counts in one family." }
                thead { tr { th scope="col" { "Family" } @for severity in words::SEVERITIES { th scope="col" class="num" { (badge(severity)) } } th scope="col" class="num" { "All" } } }
                tbody {
                    @for family in &present {
                        tr {
                            th scope="row" { (words::family(*family).0) br; span class="note" { (words::family(*family).1) } }
                            @let counts = words::SEVERITIES.map(|severity| facts.table.get(&(*family, severity)).copied().unwrap_or(0));
                            @for count in counts { td class="num" { (count) } }
                            td class="num" { (counts.iter().sum::<usize>()) }
                        }
                    }
                    tr {
                        th scope="row" { "All" }
                        @for severity in words::SEVERITIES { td class="num" { (facts.with_severity(severity)) } }
                        td class="num" { (facts.open.len()) }
                    }
                }
            }
        }
        @if !absent.is_empty() {
            p class="note" { "No open finding in: " (absent.join(", ")) ". That is no proof of absence where systems are not connected or were not seen in full." }
        }
    }
}

/// Subjects for which nobody is proven to answer.
pub(super) fn owners(facts: &Facts<'_>) -> Markup {
    let gaps = [AccountableState::Gone, AccountableState::NotRecorded, AccountableState::Unknown];
    let listed: Vec<(&Owned<'_>, AccountableState)> = gaps
        .iter()
        .flat_map(|state| facts.owners.get(state).into_iter().flatten().map(|owned| (owned, *state)))
        .collect();
    let active = facts.owners.get(&AccountableState::Active).map_or(0, Vec::len);
    html! {
        p {
            "Identities with an open finding: " (facts.identities()) ". With an active person or team on record: " (active) ". "
            "On record is who the source system names as owner or sponsor. "
            @if !listed.is_empty() { "Those without stand below; each is a decision for somebody: name an owner, or switch it off." }
        }
        @if listed.is_empty() { p { "There is no gap in ownership among them." } } @else {
            div class="wide" tabindex="0" role="region" aria-label="Ownership gaps, table" {
                table {
                    caption { "Identities for which nobody is proven to answer." }
                    thead { tr { th scope="col" { "Identity" } th scope="col" { "Who answers" } th scope="col" { "Open findings" } } }
                    tbody {
                        @for (owned, _) in &listed {
                            @if let Some(first) = owned.findings.first() {
                                tr {
                                    th scope="row" { (clean(&first.spec.subject.name)) br; span class="kind-of" { (words::kind(&first.spec.subject.kind)) " in " (words::system(&first.spec.subject.system)) } }
                                    td { (answers(&owned.findings)) }
                                    td { (links(&owned.findings)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Accepted findings by the exception that accepts them.
pub(super) fn accepted(facts: &Facts<'_>) -> Markup {
    let exceptions = facts.held.exceptions.as_deref();
    let reason = |name: &str| exceptions.into_iter().flatten().find(|exception| exception.name == name);
    let idle: Vec<_> = exceptions.into_iter().flatten().filter(|exception| exception.matched == 0).collect();
    html! {
        @if facts.accepted.is_empty() { p { "No risk is accepted: every finding that holds is open." } } @else {
            div class="wide" tabindex="0" role="region" aria-label="Accepted risks, table" {
                table {
                    caption { (counted(facts.accepted.len(), "finding")) " whose risk somebody accepts; the acceptance that ends first stands first." }
                    thead { tr { th scope="col" { "Finding" } th scope="col" { "Accepted by" } th scope="col" { "Until" } th scope="col" { "Reason" } } }
                    tbody {
                        @for found in &facts.accepted {
                            tr {
                                th scope="row" { (badge(found.spec.severity)) " " (clean(&found.spec.rule.id)) ": " (clean(&found.spec.title)) }
                                @if let Some(acceptance) = &found.acceptance {
                                    td { (clean(&acceptance.owner)) }
                                    td class="day" { (day(&acceptance.until)) }
                                    td { (reason(&acceptance.exception).map_or_else(|| format!("In the exception {}, which was not given to this report.", clean(&acceptance.exception)), |exception| clean(&exception.reason))) }
                                } @else {
                                    td colspan="3" { "The finding does not say by whom and until when." }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if exceptions.is_none() { p class="note" { "The exceptions themselves could not be read, so reasons are missing." } }
        @if !idle.is_empty() {
            p class="note" { "Exceptions that match no finding and can be deleted:" }
            ul { @for exception in idle { li { (clean(&exception.name)) ", by " (clean(&exception.owner)) ", until " (day(&exception.expires_at)) } } }
        }
    }
}

/// Coverage gaps in words.
pub(super) fn gaps(facts: &Facts<'_>) -> Markup {
    let Some(status) = facts.status() else {
        return html! { p { "The Estate object was not given to this report, or was never evaluated, so gaps are not known." } };
    };
    html! {
        p {
            "A weakness in what was not seen cannot be in this report. Nothing was taken for absent because of a gap, and no "
            "finding was resolved by one."
        }
        @if status.coverage_gaps.is_empty() { p { "No gap is recorded." } } @else {
            div class="wide" tabindex="0" role="region" aria-label="Coverage gaps, table" {
                table {
                    caption { (counted(status.coverage_gaps.len(), "gap")) @if status.coverage_gaps.len() == 32 { "; the Estate lists at most 32, so there may be more" } "." }
                    thead { tr { th scope="col" { "Source" } th scope="col" { "What was not seen" } th scope="col" { "What closes the gap" } th scope="col" { "What it costs" } } }
                    tbody { @for gap in &status.coverage_gaps { (one_gap(gap)) } }
                }
            }
        }
    }
}

fn one_gap(gap: &EstateGap) -> Markup {
    html! {
        tr {
            th scope="row" { (clean(&gap.instance)) }
            td { (capitalised(&gap::not_seen(gap))) "." }
            td {
                @match &gap.permission {
                    Some(permission) if gap.state == "skipped" => { "Ask for it in the ConnectorInstance, and grant " code { (clean(permission)) } "." }
                    Some(permission) => { "Grant " code { (clean(permission)) } "." }
                    None if gap::failed(gap) => { "See the conditions of the ConnectorInstance; no missing permission is recorded." }
                    None if gap.state == "baseline" => { "Accept a complete snapshot: " code { "kubectl sv0 baseline accept" } "." }
                    None => { "Ask for it in the ConnectorInstance." }
                }
            }
            td { (gap::costs(gap)) }
        }
    }
}

/// What was evaluated, and how old it is.
pub(super) fn age(facts: &Facts<'_>) -> Markup {
    let Some(status) = facts.status() else {
        return html! { p { "The Estate object was not given to this report, or was never evaluated, so the age of the data is not known." } };
    };
    html! {
        @if let Some(as_of) = facts.as_of { p { "The findings were last evaluated as of " (minute(as_of)) "." } }
        @if let Some(why) = facts.failed() { p { strong { "The last evaluation did not finish. " } (clean(why)) } }
        @if status.inputs.is_empty() { p { "No scan was evaluated." } } @else {
            table {
                caption { "Scans that the findings rest on." }
                thead { tr { th scope="col" { "Source" } th scope="col" { "Scan began" } th scope="col" { "Age at the evaluation" } } }
                tbody {
                    @for input in &status.inputs {
                        @let at = scanned_at(input);
                        tr {
                            th scope="row" { (clean(&input.instance)) }
                            td class="day" { (at.map_or_else(|| "not known".to_owned(), minute)) }
                            td {
                                (at.zip(facts.as_of).and_then(|(at, as_of)| before(at, as_of)).unwrap_or_else(|| "not known".to_owned()))
                                @if let Some(why) = &input.quarantined { "; a newer scan could not be used (" (clean(why)) ")" }
                            }
                        }
                    }
                }
            }
        }
        @for sentence in truncation(facts) { p { (sentence) } }
    }
}

/// Every open finding.
pub(super) fn all(facts: &Facts<'_>) -> Markup {
    if facts.open.is_empty() {
        return html! { p { "No finding is open." } };
    }
    html! {
        div class="wide" tabindex="0" role="region" aria-label="All open findings, table" {
            table {
                caption { (counted(facts.open.len(), "open finding")) ", the most severe first. Evidence of each: " code { "kubectl sv0 explain" } " with its name." }
                thead { tr { th scope="col" { "Severity" } th scope="col" { "Finding" } th scope="col" { "Who answers" } th scope="col" { "First seen" } } }
                tbody {
                    @for found in &facts.open {
                        tr id={ "f-" (anchor(found)) } {
                            td { (badge(found.spec.severity)) }
                            th scope="row" {
                                (clean(&found.spec.rule.id)) ": " (clean(&found.spec.title)) br;
                                @if !found.parts.is_empty() { (capitalised(&found.tells())) ": " (found.told()) "." br; }
                                span class="kind-of" { (clean(&found.name)) }
                            }
                            td { (words::accountable(found.spec.accountable.state).0) }
                            td class="day" { (day(&found.spec.first_observed)) }
                        }
                    }
                }
            }
        }
        @if !facts.resolved.is_empty() {
            p class="note" { (counted(facts.resolved.len(), "finding")) " that complete scans proved gone are kept for a while and not listed." }
        }
    }
}

/// How it was made.
pub(super) fn method(facts: &Facts<'_>) -> Markup {
    let status = facts.status();
    let digest = |text: &Option<String>| text.as_deref().map(clean);
    html! {
        ul {
            li { "Findings are made by fixed, versioned rules over what read-only scans of the source systems recorded. No score and no learned model is involved: the same records, rules, configuration and time give the same findings." }
            li { "A rule speaks only where all that it claims is proven. Where a part could not be read, it makes the narrower claim, or none. What was not seen is never taken for absent." }
            li { "Sentences and tables of this report are counted from the Finding, Estate and exception objects of the estate alone. The time shown is the evaluation's, not that of writing this file." }
            li { "Changes are found one after the other: the hop without which most open findings have no path, then the one without which most of the rest have none, at most ten. Objects of a path are told apart by source, kind and name; where several findings' subjects share a name, a hop is counted only for the subject that is known to be meant." }
            li { "Names from the source systems are shown without control characters and are cut when long." }
        }
        @if let Some(status) = status {
            dl {
                @if let Some(pack) = digest(&status.rule_pack) { dt { "Rule pack" } dd { code { (pack) } } }
                @if let Some(pack) = digest(&status.pack_digest) { dt { "Evidence pack" } dd { code { (pack) } } }
                @if let Some(ledger) = digest(&status.ledger) { dt { "Ledger" } dd { code { (ledger) } } }
            }
        }
    }
}

/// The terms that stand in `page`.
pub(super) fn glossary(page: &str) -> Markup {
    let states = [FindingState::Open, FindingState::Resolved, FindingState::Accepted].map(words::state);
    let classes = [EvidenceClass::Direct, EvidenceClass::Structural, EvidenceClass::Temporal];
    html! {
        dl class="terms" {
            @for (term, meaning) in glossary::met_in(page) { dt { (term) } dd { (capitalised(&meaning.replace(['*', '`'], ""))) } }
        }
        dl {
            dt { "States of a finding" }
            @for (word, meaning) in states { dd { (word) ": " (meaning) } }
            dt { "Classes of evidence" }
            @for (word, meaning) in classes.map(words::class) { dd { (capitalised(word)) ": " (meaning) } }
            dt { "Families" }
            @for family in words::FAMILIES { dd { (words::family(family).0) ": " (words::family(family).1) } }
        }
    }
}
