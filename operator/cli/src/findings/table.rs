//! Which Findings are shown, in which order, and as which lines. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sv0_api::{
    AccountableState, Estate, EstateStatus, EvaluatedInput, Family, Finding, FindingState, Severity, conditions,
};

use crate::term::{add, columns, cut};

/// Most characters of a subject's name in a column.
const NAME_COLUMN: usize = 32;
/// Most characters of a title in a column.
const TITLE_COLUMN: usize = 100;
/// Gaps that an Estate lists at most: there may be more of them.
pub const MOST_GAPS: usize = 32;
/// Most estates that the footer tells of.
const MOST_ESTATES: usize = 20;

/// A severity on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    /// Now.
    Critical,
    /// This week.
    High,
    /// Plan it.
    Medium,
    /// Some day.
    Low,
    /// For completeness.
    Info,
}

impl Level {
    const fn severity(self) -> Severity {
        match self {
            Self::Critical => Severity::Critical,
            Self::High => Severity::High,
            Self::Medium => Severity::Medium,
            Self::Low => Severity::Low,
            Self::Info => Severity::Info,
        }
    }
}

/// A state on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// It holds.
    #[default]
    Open,
    /// It is proven to be gone.
    Resolved,
    /// It holds, and its risk is accepted.
    Accepted,
    /// Any.
    All,
}

/// What to show. An empty list asks for nothing in particular.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Severities.
    pub severities: &'a [Level],
    /// Rule ids, in any case.
    pub rules: &'a [String],
    /// The state.
    pub state: State,
    /// Source systems of the subject, in any case.
    pub systems: &'a [String],
    /// Families, in any case.
    pub families: &'a [String],
}

/// Those that fit, the most severe first, then by rule, namespace and name.
pub fn choose(all: Vec<Finding>, choice: &Choice<'_>) -> Vec<Finding> {
    let among = |list: &[String], word: &str| list.is_empty() || list.iter().any(|one| one.eq_ignore_ascii_case(word));
    let fits = |finding: &Finding| {
        let spec = &finding.spec;
        let severity = choice.severities.is_empty() || choice.severities.iter().any(|l| l.severity() == spec.severity);
        let state = match choice.state {
            State::All => true,
            State::Open => spec.state == FindingState::Open,
            State::Resolved => spec.state == FindingState::Resolved,
            State::Accepted => spec.state == FindingState::Accepted,
        };
        let words = among(choice.rules, &spec.rule.id) && among(choice.systems, &spec.subject.system);
        severity && state && words && among(choice.families, family(spec.family))
    };
    let mut chosen: Vec<Finding> = all.into_iter().filter(fits).collect();
    chosen.sort_by(|a, b| {
        let by_weight = b.spec.severity.cmp(&a.spec.severity).then_with(|| a.spec.rule.id.cmp(&b.spec.rule.id));
        let place = |finding: &Finding| (finding.metadata.namespace.clone(), finding.metadata.name.clone());
        by_weight.then_with(|| place(a).cmp(&place(b)))
    });
    chosen
}

/// The object's name, made harmless.
pub fn name(finding: &Finding) -> String {
    sv0_rules::harmless(finding.metadata.name.as_deref().unwrap_or_default())
}

/// The family as it stands in the object.
pub const fn family(family: Family) -> &'static str {
    match family {
        Family::OrphanedAutomation => "OrphanedAutomation",
        Family::CrossSystemAuthorityChain => "CrossSystemAuthorityChain",
        Family::ScopeDrift => "ScopeDrift",
        Family::UnboundedExecutionScope => "UnboundedExecutionScope",
        Family::DormantAuthority => "DormantAuthority",
        Family::CredentialLifecycle => "CredentialLifecycle",
        Family::ExposureRedistribution => "ExposureRedistribution",
        Family::ExposureEgress => "ExposureEgress",
        Family::ExposureNarrowSensitiveReach => "ExposureNarrowSensitiveReach",
    }
}

/// The severity as it stands in the object.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Info => "Info",
    }
}

/// The state as it stands in the object.
pub const fn state(state: FindingState) -> &'static str {
    match state {
        FindingState::Open => "Open",
        FindingState::Resolved => "Resolved",
        FindingState::Accepted => "Accepted",
    }
}

const fn accountable(state: AccountableState) -> &'static str {
    match state {
        AccountableState::Active => "Active",
        AccountableState::Gone => "Gone",
        AccountableState::NotRecorded => "NotRecorded",
        AccountableState::Unknown => "Unknown",
    }
}

/// One line each below a line of headings.
pub fn rows(findings: &[Finding], namespaces: bool, wide: bool) -> String {
    let mut headings = vec!["SEVERITY", "RULE", "SUBJECT", "ACCOUNTABLE", "SINCE", "NAME"];
    if namespaces {
        headings.insert(0, "NAMESPACE");
    }
    if wide {
        headings.extend(["STATE", "FAMILY", "SYSTEM", "TENANT", "TITLE"]);
    }
    let row = |finding: &Finding| {
        let spec = &finding.spec;
        let mut row = vec![
            severity(spec.severity).to_owned(),
            cut(&spec.rule.id, NAME_COLUMN),
            cut(&spec.subject.name, NAME_COLUMN),
            accountable(spec.accountable.state).to_owned(),
            day(&spec.first_observed),
            name(finding),
        ];
        if namespaces {
            row.insert(0, cut(finding.metadata.namespace.as_deref().unwrap_or_default(), NAME_COLUMN * 2));
        }
        if wide {
            row.extend([
                state(spec.state).to_owned(),
                family(spec.family).to_owned(),
                cut(&spec.subject.system, NAME_COLUMN),
                cut(&spec.subject.tenant, NAME_COLUMN * 2),
                cut(&spec.title, TITLE_COLUMN),
            ]);
        }
        row
    };
    columns(&headings, &findings.iter().map(row).collect::<Vec<_>>())
}

/// The day in UTC.
pub fn day(time: &Time) -> String {
    time.0.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "this cluster".to_owned(), |name| format!("namespace {name}"))
}

/// How many of how many.
pub fn count(shown: usize, total: usize, namespace: Option<&str>) -> String {
    let place = place(namespace);
    match (shown, total) {
        (_, 0) => format!("There are no Findings in {place}.\n"),
        (0, _) => format!("None of the {total} Findings in {place} fits.\n"),
        _ if shown == total => format!("{} in {place}.\n", counted(total, "Finding", "Findings")),
        _ => format!("{shown} of the {total} Findings in {place}.\n"),
    }
}

/// How old they are, and what was not seen.
pub fn footer(estates: &[Estate], namespace: Option<&str>, wide: bool) -> String {
    let (place, mut text) = (place(namespace), String::new());
    if estates.is_empty() {
        add(
            &mut text,
            &format!(
                "There is no Estate in {place}: nothing has been evaluated there, so that no Findings means nothing. `kubectl get \
             connectorinstances` shows whether something is scanned.\n"
            ),
        );
    }
    for estate in estates.iter().take(MOST_ESTATES) {
        let prefix = if namespace.is_some() {
            String::new()
        } else {
            format!("{}: ", cut(estate.metadata.namespace.as_deref().unwrap_or_default(), NAME_COLUMN * 2))
        };
        evaluated(estate, wide).lines().for_each(|line| add(&mut text, &format!("{prefix}{line}\n")));
    }
    if estates.len() > MOST_ESTATES {
        add(&mut text, &format!("{} more Estates are not told of here.\n", estates.len() - MOST_ESTATES));
    }
    text
}

/// What the Estate says of its last evaluation.
fn evaluated(estate: &Estate, wide: bool) -> String {
    let status = estate.status.as_ref();
    let Some((status, as_of)) = status.and_then(|status| Some((status, status.as_of.as_ref()?))) else {
        let why = status.and_then(|status| conditions::find(&status.conditions, conditions::EVALUATED));
        let why = why.map(|condition| format!(" {}", told(condition))).unwrap_or_default();
        return format!("This estate has not been evaluated yet, so that no Findings means nothing.{why}\n");
    };
    let instances = counted(status.inputs.len(), "instance", "instances");
    let oldest = status.inputs.iter().filter_map(collected_at).min();
    let oldest = oldest.map(|at| format!(", the oldest read from {at} on")).unwrap_or_default();
    let mut text = format!("Evaluated as of {}; data of {instances}{oldest}.\n", as_of.0);
    let failed = conditions::find(&status.conditions, conditions::EVALUATED).filter(|c| c.status != conditions::TRUE);
    if let Some(condition) = failed {
        add(&mut text, &format!("The last evaluation did not end well. {}\n", told(condition)));
    }
    text.push_str(&truncated(status));
    text.push_str(&gaps(status, wide));
    text
}

fn told(condition: &Condition) -> String {
    sv0_rules::harmless(&format!("{}: {}", condition.reason, condition.message))
}

fn truncated(status: &EstateStatus) -> String {
    let more = status.counts.as_ref().map_or(0, |counts| counts.truncated);
    let folded = status.counts.as_ref().map_or(0, |counts| counts.folded);
    let accepted = status.counts.as_ref().map_or(0, |counts| counts.by_state.accepted);
    let mut text = String::new();
    if accepted > 0 {
        let holds =
            if accepted == 1 { "1 Finding holds, and its" } else { &format!("{accepted} Findings hold, and their") };
        let line = "risk is accepted: `--state accepted` lists what is, `kubectl get findingexceptions` by whom.";
        add(&mut text, &format!("{holds} {line}\n"));
    }
    if more > 0 {
        let line = "in the evidence pack only: an estate keeps its most severe Findings as objects.";
        add(&mut text, &format!("{} {line}\n", are(more)));
    }
    if folded > 0 {
        let line = "told by another one as a whole; `kubectl sv0 explain` says what each tells.";
        add(&mut text, &format!("{} {line}\n", are(folded)));
    }
    text
}

fn are(count: i32) -> String {
    if count == 1 { "1 more is".to_owned() } else { format!("{count} more are") }
}

fn gaps(status: &EstateStatus, wide: bool) -> String {
    let gaps = &status.coverage_gaps;
    if gaps.is_empty() {
        return "No coverage gaps: every collection was read completely.\n".to_owned();
    }
    let least = if gaps.len() < MOST_GAPS { "" } else { "At least " };
    let count = format!("{least}{}", counted(gaps.len(), "coverage gap", "coverage gaps"));
    if !wide {
        return format!("{count}: what was not seen is no proof that all is well there. -o wide names them.\n");
    }
    let lines: Vec<String> = gaps.iter().map(|gap| format!("  {}\n", crate::gap::line(gap))).collect();
    format!("{count}; what was not seen is no proof that all is well there:\n{}", lines.concat())
}

/// When the scan began whose snapshot was evaluated: a snapshot's id begins with the milliseconds. None where an older one
/// stood in, or the id has another form.
pub fn collected_at(input: &EvaluatedInput) -> Option<jiff::Timestamp> {
    let millis = input.snapshot_id.split('-').next()?.parse().ok()?;
    let at = jiff::Timestamp::from_millisecond(millis).ok()?;
    let at = jiff::Timestamp::from_second(at.as_second()).ok()?;
    input.quarantined.is_none().then_some(at)
}

/// `1 hop`, `3 hops`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// What is accepted is not in the list that is shown without flags: that must not look as if it were not there.
    #[rstest]
    #[case(0, None)]
    #[case(1, Some("\n1 Finding holds, and its risk is accepted: `--state accepted`"))]
    #[case(7, Some("\n7 Findings hold, and their risk is accepted: `--state accepted`"))]
    fn accepted_risks_are_counted(#[case] accepted: i32, #[case] line: Option<&str>) {
        let estate = json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "Estate", "metadata": {"name": "default"}, "spec": {},
            "status": {"asOf": "2026-01-10T12:00:00Z", "counts": {"byState": {"accepted": accepted}}},
        });
        let estate: Estate = serde_json::from_value(estate).unwrap();
        let text = footer(&[estate], Some("team-a"), false);
        assert_eq!(text.contains("accepted"), line.is_some(), "{text}");
        assert!(line.is_none_or(|line| text.contains(line)), "{text}");
    }
}
