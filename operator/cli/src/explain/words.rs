//! What the words of a Finding mean, as sentences for a reader new to them. The glossary of the documentation explains
//! them once more; a test holds both together. Pure.

use sv0_api::{
    Accountable, AccountableState, Claim, EvidenceClass, Exposure, Finding, FindingSpec, FindingState, Party, Tier,
};
use sv0_graph::Tri;

use crate::findings::table::{day, severity};

/// `ServicePrincipal` as `service principal`.
pub fn kind(word: &str) -> String {
    let mut words = String::new();
    for c in sv0_rules::harmless(word).chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// The source system's name for people.
pub fn system(word: &str) -> String {
    if word == "entra" { "Microsoft Entra ID".to_owned() } else { sv0_rules::harmless(word) }
}

const fn tier(tier: Tier) -> sv0_rules::Tier {
    match tier {
        Tier::P0 => sv0_rules::Tier::P0,
        Tier::P1 => sv0_rules::Tier::P1,
        Tier::P2 => sv0_rules::Tier::P2,
        Tier::P3 => sv0_rules::Tier::P3,
        Tier::P4 => sv0_rules::Tier::P4,
    }
}

const fn exposure(exposure: Exposure) -> sv0_rules::Exposure {
    match exposure {
        Exposure::X0 => sv0_rules::Exposure::X0,
        Exposure::X1 => sv0_rules::Exposure::X1,
        Exposure::X2 => sv0_rules::Exposure::X2,
        Exposure::X3 => sv0_rules::Exposure::X3,
    }
}

/// Why it is as severe as it is: one sentence per line.
pub fn why_severe(spec: &FindingSpec) -> Vec<String> {
    let Some(weighed) = spec.weighed else {
        return vec![
            "The severity is looked up in a table of tier (what the authority amounts to) and exposure. This Finding was \
             written by a release that did not keep the two."
                .to_owned(),
        ];
    };
    let (tier, exposure) = (tier(weighed.tier), exposure(weighed.exposure));
    let narrower = spec.rule.claim == Claim::Narrower;
    let claim = if narrower { sv0_rules::Claim::Narrower } else { sv0_rules::Claim::Full };
    let sensitive = Tri::from(weighed.sensitive);
    let plain = sv0_rules::severity(tier, exposure, sensitive, sv0_rules::Claim::Full, Tri::False);
    let lowered = sv0_rules::severity(tier, exposure, sensitive, claim, Tri::False);
    let result = sv0_rules::severity_of(&spec.rule.id, tier, exposure, sensitive, claim);
    // Of a narrower claim they are those that the full one has: not all of it need be proven.
    let of = if narrower { ", weighed for the full claim" } else { "" };
    let mut lines = vec![
        format!("Tier {tier:?}{of}: it {}.", tier.meaning()),
        format!("Exposure {exposure:?}{of}: {}.", exposure.meaning()),
    ];
    if weighed.sensitive {
        lines.push(format!("It is proven to reach sensitive data: it counts as tier {:?}.", tier.stronger()));
    }
    lines.push(format!("The severity table gives {plain:?} for these."));
    if narrower && plain != lowered {
        lines.push(format!("The claim is narrower than the rule's full one: one step lower, {lowered:?}."));
    }
    if result != lowered {
        lines.push(format!("What it proves all the same is as severe as findings that say it alone: {result:?}."));
    }
    let stored = severity(spec.severity);
    if format!("{result:?}") != stored {
        lines.push(format!(
            "The Finding says {stored}: it was weighed by other rules than those of this program, whose release differs."
        ));
    }
    lines
}

/// How something is known, after a colon.
pub const fn class(class: EvidenceClass) -> &'static str {
    match class {
        EvidenceClass::Direct => "one fact of the source system says it",
        EvidenceClass::Structural => "it follows from several facts by a named derivation",
        EvidenceClass::Temporal => "it rests on times or records, or on the difference of two snapshots",
    }
}

/// Who answers, in a sentence.
pub fn accountable(accountable: &Accountable) -> String {
    let total = usize::try_from(accountable.total).unwrap_or(0);
    match accountable.state {
        AccountableState::Active if total == 1 => "One party is recorded, and its account is active.".to_owned(),
        AccountableState::Active => {
            format!("{total} parties are recorded; at least one of them has an active account.")
        }
        AccountableState::Gone => {
            let all = if total == 1 {
                "the one party that is recorded has".to_owned()
            } else {
                format!("all {total} recorded parties have")
            };
            format!("Nobody any more: {all} a disabled or deleted account.")
        }
        AccountableState::NotRecorded => "Nobody: it was read completely, and no party is recorded.".to_owned(),
        AccountableState::Unknown => {
            let reason = accountable.reason.as_deref().unwrap_or("not all of it could be read.");
            format!("Not known. {reason}")
        }
    }
}

/// One party.
pub fn party(party: &Party) -> String {
    let name = party.name.as_deref().unwrap_or("no name may be read");
    format!("{name}, {} ({})", party.state, party.id)
}

/// The state, with its dates.
pub fn state(story: &super::Story) -> String {
    let Finding { spec, .. } = &story.finding;
    match (spec.state, &story.acceptance) {
        (FindingState::Open, _) => "Open: it holds.".to_owned(),
        (FindingState::Resolved, _) => {
            let at = spec.resolved_at.as_ref().map(|at| format!(" as of {}", at.0)).unwrap_or_default();
            format!("Resolved{at}: complete scans no longer show it.")
        }
        (FindingState::Accepted, Some(acceptance)) => format!(
            "Accepted: it holds, and {} accepts the risk until {} (FindingException {}).",
            acceptance.owner, acceptance.until, acceptance.exception
        ),
        (FindingState::Accepted, None) => {
            "Accepted: it holds, and its risk is accepted by a FindingException of this namespace.".to_owned()
        }
    }
}

/// When it was first seen.
pub fn first_observed(spec: &FindingSpec) -> String {
    format!("First observed on {} by the evaluation as of {}.", day(&spec.first_observed), spec.first_observed.0)
}
