//! A coverage gap in sentences: what was not seen, why, what closes the gap and what it costs. Takes a gap of the Estate's
//! status; gives the words of `explain`, `findings`, the report and the exports, so that all say the same. Pure.

use sv0_api::EstateGap;

use crate::report::text::clean;

/// What was not seen, and why, without the instance and without a full stop.
pub fn not_seen(gap: &EstateGap) -> String {
    let what = if gap.collection.is_empty() { "the source system".to_owned() } else { clean(&gap.collection) };
    let why = gap.reason.as_deref().map(|code| reason(code).map_or_else(|| clean(code), str::to_owned));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{what} {}{why}", state(&gap.state))
}

/// One line about it: instance, what was not seen, and the permission that it needs.
pub fn line(gap: &EstateGap) -> String {
    let needs = gap.permission.as_deref().map(|name| format!(" Reading it needs {}.", clean(name)));
    format!("{}: {}.{}", clean(&gap.instance), not_seen(gap), needs.unwrap_or_default())
}

/// Whether something that was asked for was not given. What nobody asked for, or had nothing to be compared with, did
/// not fail.
pub fn failed(gap: &EstateGap) -> bool {
    !matches!(gap.state.as_str(), "skipped" | "baseline")
}

/// What cannot be told because of it.
pub fn costs(gap: &EstateGap) -> String {
    let compared = gap.state == "baseline";
    match (gap.state.as_str(), gap.collection.is_empty()) {
        ("missing", true) => return "No rule can say anything new about this source.".to_owned(),
        ("quarantined", true) => return "What changed since the older scan is not told.".to_owned(),
        ("foreign", true) => return "Nothing is told of those objects.".to_owned(),
        (_, true) if !compared => return "What it costs is not known here.".to_owned(),
        _ => {}
    }
    let drift = |id: &str| sv0_rules::DRIFT_RULES.iter().any(|rule| rule.meta.id == id);
    let needs = |requires: &[&str]| gap.collection.is_empty() || requires.contains(&gap.collection.as_str());
    let of = sv0_rules::catalogue().filter(|meta| needs(meta.requires) && (!compared || drift(meta.id)));
    let ids: Vec<&str> = of.map(|meta| meta.id).collect();
    match (compared, ids.as_slice()) {
        (true, []) => "No rule that compares with an earlier state needs it.".to_owned(),
        (true, ids) => format!("Rules that compare with an earlier state and need it: {}.", ids.join(", ")),
        (false, []) => "No rule requires it. Rules that can use it make their narrower claim.".to_owned(),
        (false, ids) if ids.len() == sv0_rules::catalogue().count() => "Every rule needs it.".to_owned(),
        (false, ids) => format!("Rules that need it: {}.", ids.join(", ")),
    }
}

/// What the state means, after the name of the collection.
fn state(state: &str) -> &'static str {
    match state {
        "missing" => "was never read: no scan of it could be used",
        "quarantined" => "was read anew, but that scan could not be used, so an older one was",
        "foreign" => "spoke of objects outside its own tenant, and those were left out",
        "denied" => "was refused by the source system",
        "partial" => "was read in part",
        "throttled" => "was cut off by the source system's limits",
        "shrunk" => "is much smaller than before, which no second scan has confirmed yet",
        "baseline" => "could not be compared with an earlier state",
        "skipped" => "was not asked for",
        _ => "could not be relied on",
    }
}

/// A reason code in words; none for one that this release does not know.
pub fn reason(code: &str) -> Option<&'static str> {
    Some(match code {
        "PermissionMissing" => "a permission is not granted",
        "ConsentRevoked" => "consent was taken back",
        "LicenseMissing" => "the tenant's licence does not include it",
        "NotInThisCloud" => "this cloud of the vendor does not offer it",
        "NetworkNotAllowed" => "the network does not let the scan reach it",
        "RateLimited" => "the source system allowed no more requests",
        "UpstreamUnavailable" => "the source system did not answer",
        "ResponseRefused" => "an answer broke a bound",
        "ResponseMalformed" => "an answer could not be understood",
        "LastPageLost" => "the list ended early",
        "CollectionNotAccepted" => "nobody has accepted yet that it is read",
        "PartialCoverage" => "something that it is built upon is incomplete",
        "DeadlineExceeded" => "the scan ran out of time",
        "TokenRejected" => "the source system did not take the token",
        "Lost" => "the scan was stopped",
        "InternalError" => "the connector failed",
        "ShrunkUnconfirmed" => "it waits for a second scan",
        "Damaged" => "the snapshot is missing in part or was changed",
        "UnknownFormat" => "the snapshot has a format that this release does not read",
        "Malformed" => "the snapshot contradicts itself",
        "TooLarge" => "the snapshot is larger than the evaluation has memory for",
        "ForeignSnapshot" => "the snapshot belongs to another instance or scan",
        "ForeignTenant" => "it is of another tenant than the one that was configured",
        "ForeignAssertion" => "a scan may speak of its own tenant only",
        "BaselineUnreadable" => "the accepted snapshot cannot be read any more",
        "BaselineNewer" => "the accepted snapshot is newer than the one that was evaluated",
        "NoBaselineYet" => "no complete scan was evaluated before, and none was accepted",
        "BaselineNotComparable" => "it was not read completely, or not in the same way, in both snapshots",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use sv0_engine::baseline::Trouble;
    use sv0_engine::gaps::GapState;
    use sv0_engine::load::Quarantine;

    use super::*;

    fn gap(state: &str, collection: &str, reason: Option<&str>) -> EstateGap {
        EstateGap {
            instance: "contoso".into(),
            collection: collection.into(),
            state: state.into(),
            reason: reason.map(str::to_owned),
            permission: None,
        }
    }

    /// Every state and every code that an evaluation can write has words of its own.
    #[test]
    fn no_code_is_shown() {
        use GapState::{Baseline, Denied, Foreign, Missing, Partial, Quarantined, Shrunk, Skipped, Throttled};
        use Quarantine::{Damaged, ForeignSnapshot, ForeignTenant, Malformed, TooLarge, UnknownFormat};
        let states = [Missing, Quarantined, Foreign, Denied, Partial, Throttled, Shrunk, Baseline, Skipped];
        let words: BTreeSet<&str> = states.iter().map(|one| state(one.as_str())).collect();
        assert_eq!(words.len(), states.len());
        assert!(!words.contains(state("of a later release")));
        let set_aside = [Damaged, UnknownFormat, Malformed, TooLarge, ForeignSnapshot, ForeignTenant];
        let troubles = [Trouble::Unreadable, Trouble::Newer, Trouble::NoneYet, Trouble::NotComparable];
        let codes = set_aside.map(Quarantine::as_str).into_iter().chain(troubles.map(Trouble::as_str));
        for code in codes.chain(["ForeignAssertion", "ShrunkUnconfirmed"]) {
            assert!(reason(code).is_some(), "{code}");
        }
        for cause in sv0_connector::Cause::all() {
            assert!(reason(cause.as_str()).is_some(), "{cause:?}");
        }
    }

    #[rstest]
    #[case(
        "missing",
        "",
        Some("Damaged"),
        "contoso: the source system was never read: no scan of it could be used: the snapshot is missing in part or was changed."
    )]
    #[case(
        "denied",
        "groupMembers",
        Some("New\u{202e}Code"),
        "contoso: groupMembers was refused by the source system: NewCode."
    )]
    #[case(
        "baseline",
        "",
        Some("NoBaselineYet"),
        "contoso: the source system could not be compared with an earlier state: no complete scan was evaluated before, and none was accepted."
    )]
    fn a_gap_is_a_sentence(#[case] state: &str, #[case] of: &str, #[case] reason: Option<&str>, #[case] says: &str) {
        assert_eq!(line(&gap(state, of, reason)), says);
    }

    /// Only a source without any scan is told to silence every rule.
    #[test]
    fn what_a_gap_costs_is_not_made_up() {
        for state in ["quarantined", "foreign", "baseline", "of a later release"] {
            let says = costs(&gap(state, "", None));
            assert!(!says.contains("No rule can say") && !says.contains("Every rule"), "{state}: {says}");
        }
        assert!(costs(&gap("missing", "", None)).starts_with("No rule can say"));
        let drift = costs(&gap("baseline", "", None));
        assert!(sv0_rules::DRIFT_RULES.iter().all(|rule| drift.contains(rule.meta.id)), "{drift}");
        assert!(sv0_rules::RULES.iter().all(|rule| !drift.contains(rule.meta.id)), "{drift}");
        assert!(costs(&gap("denied", "federatedCredentials", None)).contains("XSYS-003"));
    }
}
