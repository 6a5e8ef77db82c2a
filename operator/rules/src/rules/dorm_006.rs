//! DORM-006: a trust that seems to be unused.
//!
//! Whether the trusted workload (a repository, a cluster's account) still exists, and when the trust was made, cannot be
//! read from the directory. What can be proven there is that the identity did not sign in without a user since a day: a use
//! of the trust would be such a sign-in. So the claim is always the narrower one, and never that the workload is gone.

use sv0_graph::attr;

use crate::activity::{self, Quiet, Use};
use crate::evidence;
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Home, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::severity::{Exposure, Tier};
use crate::text::{date, display_name};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "DORM-006",
        version: "1.2.0",
        family: Family::DormantAuthority,
        category: "UnusedTrust",
        title: "An identity with standing authority trusts a workload that seems not to use it",
        narrower: Some(
            "A federated subject can sign in as the identity, and no recent sign-in without a user is recorded",
        ),
        why: "Whoever comes to control the trusted subject gets its authority.",
        remediation: &[
            "Ask who runs the trusted workload, and whether it still exists.",
            "Delete federated credentials that nobody needs.",
            "Let the others name their subject by an immutable id, not by a name that somebody may register again.",
        ],
        standards: &["OWASP NHI1", "ATT&CK T1199", "NIST 800-53 AC-2(3)"],
        requires: &["servicePrincipals", "applications", "federatedCredentials", "servicePrincipalActivity"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A pipeline moved elsewhere, and its old repository can still sign in.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.home == Home::Microsoft
        || identity.authority.tier > Tier::P2
        || !identity.trusts_any(context.as_of).is_true()
    {
        return None;
    }
    let (graph, days) = (context.graph, context.config.dormant_days);
    let told = identity.last_unattended;
    let passed = told.idle_from(days).or_else(|| told.silent_from(identity.made, days));
    if passed.is_none_or(|mark| mark > context.as_of) {
        return None;
    }
    let silence = activity::silence_of(context, identity);
    let quiet = silence.map(|silence| silence.of(days, context.as_of));
    // A use that is remembered and no longer recorded may have been one without a user.
    if quiet == Some(Quiet::Used) {
        return None;
    }
    let mut narrowed = vec![Narrowed {
        claim: "That the trusted workload does not exist or does not use it".to_owned(),
        reason: "Neither the workload nor the day on which it was first trusted can be read here.".to_owned(),
    }];
    let says = match (told, quiet) {
        (Use::Last { at, .. }, _) => format!("last unattended sign-in attempt on {}", date(at)),
        (_, Some(Quiet::Proven(since))) => format!("no sign-in since {}", date(since)),
        (Use::Unrecorded { .. } | Use::Unknown(_), _) => {
            narrowed.push(Narrowed {
                claim: format!("That it was not used for {days} days"),
                reason: activity::unproven(silence),
            });
            "no unattended sign-in is recorded".to_owned()
        }
    };
    let used = activity::proof_of_identity(context, identity, attr::LAST_UNATTENDED_USE_AT);
    let trusts = identity.trusts(context.as_of).map(|edge| {
        let subject = graph.node(edge.from);
        let text = subject.text(attr::SUBJECT).or_else(|| subject.text(attr::MATCHING_EXPRESSION));
        let text = display_name(text.unwrap_or_else(|| subject.id.vendor_id()));
        evidence::of_edge(graph, edge, EvidenceClass::Direct, format!("The subject \"{text}\" can sign in as it."))
    });
    let proofs = used.into_iter().chain(trusts).collect();
    let title = format!("\"{}\" trusts a federated subject; {says}", identity.name);
    Some(Draft { claim: Claim::Narrower, exposure: Exposure::X2, title, proofs, narrowed, entry: None, reach: None })
}
