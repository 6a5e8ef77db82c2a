//! Reads the last words of a scan or an evaluation. Whoever can write to the pod's termination log can write anything:
//! size, form and every string are checked before a single value goes into status.
//!
//! Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sv0_protocol::{Gap, Outcome, Reason, ScanReport, names};

use crate::job_state::Ending;

/// The kubelet cuts longer messages, so a longer one is not ours.
const MAX_MESSAGE_BYTES: usize = 4096;
/// Most entries of any list in a report.
const MAX_ENTRIES: usize = 16;

/// What an evaluation says when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateReport {
    /// Whether findings and the estate's status were written.
    pub ok: bool,
    /// Why not.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Findings that hold.
    #[serde(default)]
    pub findings: u64,
    /// Findings created, replaced or deleted.
    #[serde(default)]
    pub written: u64,
}

/// The report of the scan `scan_id`, or why there is none that can be believed. `not_before` is when it was ordered.
pub fn scan(ending: &Ending, scan_id: &str, not_before: Timestamp, now: Timestamp) -> Result<ScanReport, Reason> {
    let report: ScanReport = parse(ending)?;
    let consistent = report.scan_id == scan_id
        && times_hold(&report, not_before, now)
        && outcome_holds(&report, ending.exit_code)
        && strings_hold(&report);
    if consistent { Ok(report) } else { Err(Reason::ReportUnreadable) }
}

/// The report of an evaluation.
pub fn evaluation(ending: &Ending) -> Result<EvaluateReport, Reason> {
    let report: EvaluateReport = parse(ending)?;
    let consistent = report.ok == (ending.exit_code == names::exit::DONE);
    if consistent { Ok(report) } else { Err(Reason::ReportUnreadable) }
}

fn parse<T: for<'de> Deserialize<'de>>(ending: &Ending) -> Result<T, Reason> {
    let text = ending.message.as_deref().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        // 137 and 143: killed from outside (memory, eviction, deletion) before it could speak.
        return Err(match ending.exit_code {
            137 | 143 => Reason::Lost,
            names::exit::DEFECT => Reason::InternalError,
            _ => Reason::ReportUnreadable,
        });
    }
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(Reason::ReportUnreadable);
    }
    serde_json::from_str(text).map_err(|_| Reason::ReportUnreadable)
}

/// A day of tolerance for clocks of nodes; beyond it a report is about something else.
fn times_hold(report: &ScanReport, not_before: Timestamp, now: Timestamp) -> bool {
    let day = jiff::SignedDuration::from_hours(24);
    report.started_at <= report.finished_at
        && not_before.duration_since(report.started_at) < day
        && report.finished_at.duration_since(now) < day
}

fn outcome_holds(report: &ScanReport, exit_code: i32) -> bool {
    let stored = report.snapshot.is_some();
    match report.outcome {
        Outcome::Complete => {
            let chosen = report.gaps.iter().all(|gap| is_choice(gap, &report.permissions_missing));
            stored && report.reason.is_none() && chosen && exit_code == names::exit::DONE
        }
        Outcome::Partial => stored && exit_code == names::exit::DONE,
        Outcome::Failed => !stored && report.reason.is_some() && exit_code != names::exit::DONE,
    }
}

/// Gaps that a complete scan may show: what waits to be accepted, what the tenant has no licence or cloud for, and what
/// needs a permission that is not counted as missing, since the customer may do without it.
fn is_choice(gap: &Gap, missing: &[String]) -> bool {
    match gap.reason {
        Some(Reason::CollectionNotAccepted | Reason::LicenseMissing | Reason::NotInThisCloud) => true,
        Some(Reason::PermissionMissing) => gap.permission.as_ref().is_some_and(|id| !missing.contains(id)),
        _ => false,
    }
}

fn strings_hold(report: &ScanReport) -> bool {
    let lists = [&report.permissions_missing, &report.permissions_excess];
    let gaps_hold = report.gaps.iter().all(|gap| {
        word(&gap.collection)
            && matches!(gap.state.as_str(), "partial" | "denied" | "throttled" | "skipped")
            && gap.permission.as_deref().is_none_or(word)
    });
    let snapshot_holds = report.snapshot.as_ref().is_none_or(|s| s.id == report.scan_id && is_digest(&s.digest));
    let consent_holds = report.consent.as_ref().is_none_or(|consent| {
        consent.needed.len() <= 64
            && consent.needed.iter().all(|p| word(p))
            && consent.service_principal.as_deref().is_none_or(word)
    });
    report.vendor_code.as_deref().is_none_or(word)
        && consent_holds
        && report.gaps.len() <= MAX_ENTRIES
        && lists.iter().all(|list| list.len() <= 64 && list.iter().all(|p| word(p)))
        && gaps_hold
        && snapshot_holds
}

/// Names of collections, permissions and codes: short, and nothing that a terminal or a web page would interpret.
fn word(text: &str) -> bool {
    (1..=96).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b))
}

/// `sha256:` and 64 lower-case hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const ID: &str = "01777777777777-0123abcd";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn read(message: &str, exit_code: i32) -> Result<ScanReport, Reason> {
        let ending = Ending { exit_code, message: Some(message.to_owned()) };
        scan(&ending, ID, at("2026-05-05T10:00:00Z"), at("2026-05-05T10:01:00Z"))
    }

    fn complete() -> Value {
        json!({
            "scanId": ID, "outcome": "Complete",
            "startedAt": "2026-05-05T10:00:01Z", "finishedAt": "2026-05-05T10:00:20Z",
            "requests": 12, "tokenRequests": 1, "items": 100, "completeCollections": 12,
            "snapshot": {"id": ID, "digest": format!("sha256:{}", "a".repeat(64))},
        })
    }

    #[allow(clippy::needless_pass_by_value, reason = "called with json!")]
    fn with(changes: Value) -> String {
        let mut report = complete();
        for (key, value) in changes.as_object().unwrap() {
            report[key] = value.clone();
        }
        report.to_string()
    }

    fn failed() -> Value {
        json!({"outcome": "Failed", "reason": "CredentialInvalid", "vendorCode": "AADSTS7000215", "snapshot": null, "completeCollections": 0})
    }

    #[rstest]
    #[case::complete(json!({}), 0)]
    #[case::partial(json!({"outcome": "Partial", "reason": "PermissionMissing", "gaps": [{"collection": "appRoleAssignments", "state": "denied", "reason": "PermissionMissing", "permission": "Application.Read.All"}]}), 0)]
    #[case::complete_but_for_consent(json!({"gaps": [{"collection": "signIns", "state": "skipped", "reason": "CollectionNotAccepted"}], "pendingCollectionRevision": 2}), 0)]
    #[case::without_an_add_on(json!({"gaps": [
        {"collection": "delegatedGrants", "state": "denied", "reason": "PermissionMissing", "permission": "Directory.Read.All"},
        {"collection": "credentialActivity", "state": "skipped", "reason": "LicenseMissing"},
        {"collection": "servicePrincipalActivity", "state": "skipped", "reason": "NotInThisCloud"}]}), 0)]
    #[case::grants(json!({"consent": {"servicePrincipal": "33333333-3333-4333-8333-333333333333",
        "needed": ["A.Read"], "granted": 1, "firstGrantedAt": "2026-01-01T00:00:00Z"}}), 0)]
    #[case::no_grant(json!({"consent": {"granted": 0}}), 0)]
    #[case::failed(failed(), 10)]
    fn believed(#[case] changes: Value, #[case] exit_code: i32) {
        assert!(read(&with(changes), exit_code).is_ok());
    }

    #[rstest]
    #[case::another_scan(json!({"scanId": "other"}), 0)]
    #[case::complete_without_snapshot(json!({"snapshot": null}), 0)]
    #[case::complete_with_a_gap(json!({"gaps": [{"collection": "a", "state": "denied", "reason": "PermissionMissing"}]}), 0)]
    #[case::complete_without_what_it_needs(json!({"permissionsMissing": ["A.Read"], "gaps": [
        {"collection": "a", "state": "denied", "reason": "PermissionMissing", "permission": "A.Read"}]}), 0)]
    #[case::complete_and_cut_off(json!({"gaps": [{"collection": "a", "state": "partial", "reason": "LastPageLost"}]}), 0)]
    #[case::complete_but_exit_10(json!({}), 10)]
    #[case::failed_but_exit_0(failed(), 0)]
    #[case::failed_without_reason(json!({"outcome": "Failed", "snapshot": null}), 10)]
    #[case::snapshot_of_another_scan(json!({"snapshot": {"id": "x", "digest": format!("sha256:{}", "a".repeat(64))}}), 0)]
    #[case::bad_digest(json!({"snapshot": {"id": ID, "digest": "sha256:../../x"}}), 0)]
    #[case::unknown_field(json!({"note": "hello"}), 0)]
    #[case::unknown_reason(json!({"outcome": "Partial", "reason": "Whatever"}), 0)]
    #[case::vendor_text(json!({"outcome": "Partial", "vendorCode": "Contoso's tenant, sorry"}), 0)]
    #[case::markup(json!({"outcome": "Partial", "gaps": [{"collection": "<script>", "state": "denied"}]}), 0)]
    #[case::state(json!({"outcome": "Partial", "gaps": [{"collection": "a", "state": "hidden"}]}), 0)]
    #[case::escape(json!({"permissionsExcess": ["\u{1b}[31m"]}), 0)]
    #[case::name_of_a_principal(json!({"consent": {"servicePrincipal": "Contoso scanner", "granted": 1}}), 0)]
    #[case::markup_in_a_grant(json!({"consent": {"needed": ["<b>"], "granted": 1}}), 0)]
    #[case::unknown_field_of_consent(json!({"consent": {"granted": 1, "grantedBy": "x"}}), 0)]
    #[case::ends_before_it_starts(json!({"finishedAt": "2026-05-05T09:00:00Z"}), 0)]
    #[case::next_year(json!({"finishedAt": "2027-05-05T10:00:20Z"}), 0)]
    #[case::years_ago(json!({"startedAt": "2020-05-05T10:00:20Z"}), 0)]
    fn not_believed(#[case] changes: Value, #[case] exit_code: i32) {
        assert_eq!(read(&with(changes), exit_code), Err(Reason::ReportUnreadable));
    }

    #[rstest]
    #[case::nothing("", 0, Reason::ReportUnreadable)]
    #[case::defect("", 12, Reason::InternalError)]
    #[case::memory("", 137, Reason::Lost)]
    #[case::terminated("  \n", 143, Reason::Lost)]
    #[case::not_json("panicked at", 101, Reason::ReportUnreadable)]
    fn silence(#[case] message: &str, #[case] exit_code: i32, #[case] expected: Reason) {
        assert_eq!(read(message, exit_code), Err(expected));
    }

    #[test]
    fn too_long_is_refused_before_parsing() {
        let long = format!("{}{}", complete(), " ".repeat(10)).replace("items", &"i".repeat(5000));
        assert_eq!(read(&long, 0), Err(Reason::ReportUnreadable));
    }

    #[rstest]
    #[case(r#"{"ok":true,"reason":null,"findings":3,"written":1}"#, 0, true)]
    #[case(r#"{"ok":true}"#, 11, false)]
    #[case(r#"{"ok":false,"reason":"StoreUnavailable"}"#, 11, true)]
    #[case(r#"{"ok":true,"extra":1}"#, 0, false)]
    fn evaluations(#[case] message: &str, #[case] exit_code: i32, #[case] believed: bool) {
        let ending = Ending { exit_code, message: Some(message.to_owned()) };
        assert_eq!(evaluation(&ending).is_ok(), believed);
    }
}
