//! Words of ours for what the objects hold: families, states, edges, gaps, and the glossary. Tables, no logic beside
//! look-up. Pure.

use sv0_api::{AccountableState, EvidenceClass, Family, FindingState, Severity};

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

/// What a step of a path says, between its two ends. Any word that is not ours is made harmless.
pub fn edge(edge: &str) -> String {
    let phrase = match edge {
        "OWNS" => "owns",
        "SPONSORS" => "sponsors",
        "CREATED_BY" => "was made by",
        "ACCOUNTABLE_TO" => "answers to",
        "MEMBER_OF" => "is a member of",
        "INSTANTIATES" => "acts in the tenant as",
        "HOLDS_CREDENTIAL" => "holds",
        "AUTHENTICATES_AS" => "signs in as",
        "TRUSTS" => "trusts",
        "CAN_ASSUME" => "can become",
        "GRANTED" => "holds a grant on",
        "DELEGATED_GRANT" => "acts for people on",
        "CONTAINS" => "contains",
        "GUARD" => "is limited by",
        "CAN_CONTROL" => "can change the authority of",
        "RUNS_AS" => "runs as",
        "USES_CONNECTION" => "uses",
        "PRESENTS" => "presents",
        "CONNECTS_TO" => "connects to",
        "CALLS" => "calls",
        "TRIGGERS" => "starts",
        "SAME_AS" => "is the same as",
        other => return super::text::clean(other).to_lowercase().replace('_', " "),
    };
    phrase.to_owned()
}

/// How readily an administrator can remove a step: grants and memberships first, what follows from others last.
pub fn removable(edge: &str) -> u8 {
    match edge {
        "GRANTED" | "DELEGATED_GRANT" | "MEMBER_OF" | "CAN_ASSUME" | "CAN_CONTROL" | "TRUSTS" => 0,
        "INSTANTIATES" | "CONTAINS" | "SAME_AS" => 2,
        _ => 1,
    }
}

/// What to do to remove a step.
pub fn change(from: &str, edge: &str, via: Option<&str>, to: &str) -> String {
    let what = via.unwrap_or("the grant");
    match edge {
        "GRANTED" | "DELEGATED_GRANT" => format!("Take {what} on {to} away from {from}."),
        "MEMBER_OF" => format!("Take {from} out of {to}."),
        "AUTHENTICATES_AS" => format!("Remove {from}, which signs in as {to}."),
        "CAN_ASSUME" | "TRUSTS" => format!("End that {from} {} {to}.", self::edge(edge)),
        _ => format!("Remove the step: {from} {} {to}.", self::edge(edge)),
    }
}

/// What a coverage gap's state means for the reader, after "The collection".
pub fn gap(state: &str) -> &'static str {
    match state {
        "missing" => "was never read: no scan of this source could be used",
        "quarantined" => "was read anew, but that scan could not be used, so an older one was",
        "foreign" => "spoke of objects outside its own tenant, and those were left out",
        "denied" => "was refused by the source system",
        "partial" => "was read in part",
        "throttled" => "was cut off by the source system's limits",
        "shrunk" => "is much smaller than before, which no second scan has confirmed yet",
        "skipped" => "was not asked for",
        _ => "could not be relied on",
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

/// A reason code in words; none for one that says nothing to a reader of the report.
pub fn reason(code: &str) -> Option<&'static str> {
    Some(match code {
        "PermissionMissing" => "a permission is not granted",
        "ConsentRevoked" => "consent was taken back",
        "LicenseMissing" => "the tenant's licence does not include it",
        "NotInThisCloud" => "this cloud of the vendor does not offer it",
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
        "ShrunkUnconfirmed" => "it waits for a second scan",
        _ => return None,
    })
}

/// Terms of the report that a reader may not know, beside families, states and classes of evidence.
pub const GLOSSARY: [(&str, &str); 17] = [
    ("Accountable", "Who answers for an identity or automation: owners and sponsors that the source system records."),
    (
        "Authority",
        "What an identity may do: roles, permissions and memberships, those too that it gets through others.",
    ),
    ("Automation", "Software that acts without a person: a workflow, function, agent, scheduled job or script."),
    ("Chain", "An execution path from one end to the other, with all findings that lie on it."),
    ("Collection", "One kind of record that a scan reads from a source system, such as all service principals."),
    ("Coverage gap", "A collection that could not be relied on. Nothing is concluded from what is absent in it."),
    ("Credential", "What an identity signs in with: a secret, certificate, key or federated trust."),
    ("Estate", "All source systems that one namespace of the cluster watches. Nothing is joined across estates."),
    ("Evidence", "A fact behind a claim, with the source system's call, object and field from which it was read."),
    (
        "Evidence pack",
        "The file that holds every finding of an evaluation with all its evidence, and the digests of its inputs.",
    ),
    ("Execution path", "The steps that lead from how something signs in or runs to what it reaches."),
    ("Finding", "A weakness on one execution path: what it is, who answers for it, what proves it, what to do."),
    ("Identity", "An account that software uses: a service principal, managed identity, role or service account."),
    (
        "Narrower claim",
        "The part of a rule's claim that is proven, where something else could not be. What is missing is named.",
    ),
    ("Rule", "A fixed test over the recorded facts. Rules are versioned; no score and no learned model is involved."),
    ("Severity", "How urgent a finding is, read from a table of what is reached and how; not a score."),
    ("Step", "One link of an execution path: from, to, and the role or permission that connects them."),
];
