//! Words of ours for what the objects hold: families, states, and changes. Tables, no logic beside
//! look-up. Pure.

use sv0_api::{AccountableState, EvidenceClass, Family, FindingState, Severity};

use crate::route;

/// Every family, in the order of the taxonomy.
pub const FAMILIES: [Family; 9] = [
    Family::OrphanedAutomation,
    Family::CrossSystemAuthorityChain,
    Family::ScopeDrift,
    Family::UnboundedExecutionScope,
    Family::DormantAuthority,
    Family::CredentialLifecycle,
    Family::ExposureRedistribution,
    Family::ExposureEgress,
    Family::ExposureNarrowSensitiveReach,
];

/// Every severity, the most severe first.
pub const SEVERITIES: [Severity; 5] =
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

/// The word.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Info => "Info",
    }
}

/// A family's name, and what its findings claim.
pub const fn family(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::OrphanedAutomation => {
            ("Orphaned automation", "It runs, and the people recorded for it are gone, or nobody was ever recorded.")
        }
        Family::CrossSystemAuthorityChain => {
            ("Cross-system authority chain", "One identity or path holds authority over several systems.")
        }
        Family::ScopeDrift => ("Scope drift", "Authority grew since a state that was accepted."),
        Family::UnboundedExecutionScope => (
            "Unbounded execution scope",
            "An automation reaches sensitive systems, or the outside, and nothing limits how far.",
        ),
        Family::DormantAuthority => {
            ("Dormant authority", "A standing permission without use, over a time in which use was recorded.")
        }
        Family::CredentialLifecycle => (
            "Credential lifecycle",
            "A credential that gives much authority is kept poorly: it never ends, is not rotated, or is shared.",
        ),
        Family::ExposureRedistribution => {
            ("Exposure: redistribution", "An automation moves sensitive data to a place from which it spreads.")
        }
        Family::ExposureEgress => {
            ("Exposure: egress", "A path leads out to a destination whose sign-in is weak, absent or not known.")
        }
        Family::ExposureNarrowSensitiveReach => (
            "Exposure: narrow sensitive reach",
            "There is authority over a sensitive system that no definition of the automation refers to.",
        ),
    }
}

/// How something is known, in words.
pub const fn class(class: EvidenceClass) -> (&'static str, &'static str) {
    match class {
        EvidenceClass::Direct => ("direct", "One fact of the source system's own API says it."),
        EvidenceClass::Structural => ("structural", "It follows from several facts by a named derivation."),
        EvidenceClass::Temporal => ("temporal", "It rests on time, on logs, or on the difference of two scans."),
    }
}

/// Who answers, in words.
pub const fn accountable(state: AccountableState) -> (&'static str, &'static str) {
    match state {
        AccountableState::Active => ("Active", "At least one recorded person or team is proven to be active."),
        AccountableState::Gone => ("Gone", "Everybody who is recorded is disabled or deleted."),
        AccountableState::NotRecorded => ("Not recorded", "The records were read completely, and nobody is named."),
        AccountableState::Unknown => ("Unknown", "Not all records could be read, so nothing is claimed."),
    }
}

/// Whether a finding holds, in words.
pub const fn state(state: FindingState) -> (&'static str, &'static str) {
    match state {
        FindingState::Open => ("Open", "It holds."),
        FindingState::Resolved => ("Resolved", "A complete scan proved that it no longer holds."),
        FindingState::Accepted => ("Accepted", "It holds, and somebody accepts the risk until a day."),
    }
}

/// How readily an administrator can remove a hop: grants and memberships first, what follows from others last.
pub fn removable(edge: &str) -> u8 {
    match edge {
        "GRANTED" | "DELEGATED_GRANT" | "MEMBER_OF" | "OWNS" | "CAN_ASSUME" | "CAN_CONTROL" | "TRUSTS" => 0,
        "INSTANTIATES" | "CONTAINS" | "SAME_AS" => 2,
        _ => 1,
    }
}

/// What to do to remove a hop.
pub fn change(from: &str, edge: &str, via: Option<&str>, to: &str) -> String {
    let what = via.unwrap_or("the grant");
    match edge {
        "GRANTED" | "DELEGATED_GRANT" => format!("Take {what} on {to} away from {from}."),
        "MEMBER_OF" => format!("Take {from} out of {to}."),
        "OWNS" => format!("Take {from} off the owners of {to}."),
        "AUTHENTICATES_AS" => format!("Remove {from}, which can sign in as {to}."),
        "CAN_ASSUME" | "TRUSTS" => format!("End that {from} {} {to}.", route::edge_words(edge)),
        _ => format!("Remove the hop: {from} {} {to}.", route::edge_words(edge)),
    }
}

/// A kind of node in words: `ServicePrincipal` is `service principal`.
pub fn kind(kind: &str) -> String {
    let mut words = String::new();
    for c in super::text::clean(kind).chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

/// The name of a source system.
pub fn system(word: &str) -> String {
    match word {
        "entra" => "Microsoft Entra ID".to_owned(),
        other => super::text::clean(other),
    }
}
