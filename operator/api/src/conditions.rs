//! The names of conditions, and the one way to set a condition: a transition time changes only with the status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Everything that the object asks for is in place and the last result is good.
pub const READY: &str = "Ready";
/// Work towards the spec is under way.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will happen until a person changes something; the reason says what.
pub const STALLED: &str = "Stalled";
/// The source system accepted the credential.
pub const AUTHENTICATED: &str = "Authenticated";
/// The credential has the permissions that the chosen collection needs.
pub const PERMISSIONS_SUFFICIENT: &str = "PermissionsSufficient";
/// What is granted to the identity that scans sign in as is what was accepted.
pub const CONSENT_UNCHANGED: &str = "ConsentUnchanged";
/// The client secret or certificate in use ends soon, or has ended.
pub const CREDENTIAL_EXPIRING: &str = "CredentialExpiring";
/// The last scan stored a snapshot.
pub const SCAN_SUCCEEDED: &str = "ScanSucceeded";
/// The source system throttles.
pub const RATE_LIMITED: &str = "RateLimited";
/// A newer collection revision waits until `spec.acceptedCollectionRevision` names it.
pub const COLLECTION_CHANGE_PENDING: &str = "CollectionChangePending";
/// On an Estate: the Findings stand for the inputs named in its status.
pub const EVALUATED: &str = "Evaluated";
/// On an Estate: there are more findings than are kept as resources; the evidence pack holds all.
pub const FINDINGS_TRUNCATED: &str = "FindingsTruncated";
/// On a FindingException: Findings are accepted because of it.
pub const ACTIVE: &str = "Active";

/// The value `True`.
pub const TRUE: &str = "True";
/// The value `False`.
pub const FALSE: &str = "False";
/// The value `Unknown`.
pub const UNKNOWN: &str = "Unknown";

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == TRUE)
}

/// Puts `next` into the list, sorted by type. `lastTransitionTime` is kept when the status did not change, so that an
/// unchanged condition is byte-identical and causes no write. Returns whether status or reason changed.
pub fn set(conditions: &mut Vec<Condition>, mut next: Condition) -> bool {
    let mut changed = true;
    if let Some(index) = conditions.iter().position(|condition| condition.type_ == next.type_) {
        let current = conditions.remove(index);
        changed = current.status != next.status || current.reason != next.reason;
        if current.status == next.status {
            next.last_transition_time = current.last_transition_time;
        }
    }
    conditions.push(next);
    conditions.sort_by(|left, right| left.type_.cmp(&right.type_));
    changed
}

/// What a condition speaks of.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The object's generation.
    pub generation: Option<i64>,
    /// The instant, in whole seconds: that is what the API server keeps.
    pub at: Time,
}

/// A condition as of `observed`.
pub fn condition(type_: &str, status: &str, reason: &str, message: &str, observed: &Observed) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: observed.generation,
        last_transition_time: observed.at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: &str) -> Observed {
        let at = serde_json::from_value(serde_json::json!(format!("2026-01-01T00:00:{second}Z"))).unwrap();
        Observed { generation: Some(1), at }
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut list = vec![condition(READY, FALSE, "Scanning", "a", &at("01"))];
        assert!(set(&mut list, condition(READY, FALSE, "Waiting", "b", &at("02"))), "another reason is a change");
        assert_eq!(find(&list, READY).unwrap().last_transition_time, at("01").at);
        assert!(!set(&mut list, condition(READY, FALSE, "Waiting", "c", &at("03"))), "another message is none");
        assert!(set(&mut list, condition(READY, TRUE, "Complete", "d", &at("04"))));
        assert_eq!(find(&list, READY).unwrap().last_transition_time, at("04").at);
        assert!(is_true(&list, READY) && !is_true(&list, STALLED));
    }

    #[test]
    fn the_list_is_sorted_by_type() {
        let mut list = Vec::new();
        for name in [STALLED, AUTHENTICATED, READY] {
            assert!(set(&mut list, condition(name, TRUE, "R", "m", &at("01"))));
        }
        let names: Vec<&str> = list.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(names, [AUTHENTICATED, READY, STALLED]);
    }
}
