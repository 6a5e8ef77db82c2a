//! DORM-001: authority that stands and of which no recent use is recorded.
//!
//! A last use that the vendor keeps proves it, counted up to the reading of the records. Where none is recorded, it is
//! proven when the records were read well, without a gap, for as long as an identity may stand unused, and the identity
//! was there. Before that the claim is narrower, and is made only of an identity that is old enough and of which no later
//! use is remembered: since when the vendor records is not known. Managed
//! identities and agents sign in under categories of their own, and Microsoft's own applications are the platform's:
//! without a record nothing is said of the former, and never anything of the latter.

use sv0_graph::attr;

use crate::activity::{self, Quiet, Use};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::date;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "DORM-001",
        version: "1.1.0",
        family: Family::DormantAuthority,
        category: "NoRecentUse",
        title: "An identity with standing authority was not used for long",
        narrower: Some("No sign-in is recorded of an identity with standing authority"),
        why: "It may be needed no more, and its misuse can go unnoticed for long.",
        remediation: &[
            "Ask its owner; look for a job that runs once a quarter or once a year.",
            "Disable its sign-in, wait 30 days, then delete it with its grants.",
        ],
        standards: &["OWASP NHI1", "OWASP NHI5", "ATT&CK T1078.004", "CIS v8.1 5.3", "NIST 800-53 AC-2(3)"],
        requires: &["servicePrincipals", "servicePrincipalActivity"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A pilot ended in spring; its application can still change every account.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft || identity.authority.tier > Tier::P2 {
        return None;
    }
    let days = context.config.dormant_days;
    let idle = identity.last_used.idle_from(days).is_some_and(|mark| mark <= context.as_of);
    let silent = identity.last_used.silent_from(identity.made, days).is_some_and(|mark| mark <= context.as_of);
    let silence = activity::silence_of(context, identity);
    let quiet = silence.map(|silence| silence.of(days, context.as_of));
    let (claim, title, narrowed) = match (identity.last_used, quiet) {
        (Use::Last { at, .. }, _) if idle => {
            let says = format!(
                "\"{}\" has standing authority; its last recorded sign-in attempt was on {}",
                identity.name,
                date(at)
            );
            (Claim::Full, says, Vec::new())
        }
        (Use::Unrecorded { .. }, Some(Quiet::Proven(since))) => {
            let says =
                format!("\"{}\" has standing authority and did not sign in since {}", identity.name, date(since));
            (Claim::Full, says, Vec::new())
        }
        (Use::Unrecorded { .. }, Some(Quiet::Unproven)) if silent => {
            let narrowed = Narrowed {
                claim: format!("That it was not used for {days} days"),
                reason: activity::unproven(silence),
            };
            let says = format!("\"{}\" has standing authority and no sign-in of it is recorded", identity.name);
            (Claim::Narrower, says, vec![narrowed])
        }
        _ => return None,
    };
    let proofs = activity::proof_of_identity(context, identity, attr::LAST_USED_AT).into_iter().collect();
    Some(Draft { claim, exposure: Exposure::X2, title, proofs, narrowed, entry: None, reach: None })
}
