//! CRED-001: a privileged identity with a weak credential that is seldom used.
//!
//! Weak: it never ends, lives longer than the limit, or is older than twice the time for rotation. Seldom used: its last
//! recorded use, or else that of the identity, is older than the limit for rare use; or the identity was used on three
//! days at most in ninety, which only records that were read well all the time prove. A credential of which something is
//! recorded speaks for itself; of any other the identity's record does. That nothing is recorded of either is rare use
//! when every use would have been, for as long as the limit.
//!
//! Two narrower readings exist. Where use is not known, or none is recorded and nobody knows for long enough that it would
//! be, the narrower claim is made (`.n1`): privileged and weak, use not observable. Where authority is not known
//! (`.n2`), nothing is added here: CRED-002 and CRED-003 say what is weak about the credential without it.
//!
//! The activity collections are not among those that it requires: without them it says less and stays, so that its
//! absence never rests on them.

use jiff::Timestamp;
use sv0_graph::{Tri, UnknownReason, attr};

use crate::activity::{self, Others, Quiet, Use};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::rules::{cred_002, cred_003};
use crate::severity::{Exposure, Tier};
use crate::text::{counted, date, days_after};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-001",
        version: "1.2.0",
        family: Family::CredentialLifecycle,
        category: "PrivilegedWeakSeldomUsed",
        title: "A privileged identity is seldom used and can sign in with a weak credential",
        narrower: Some(
            "A privileged identity can sign in with a weak credential; how often it is used is not observable",
        ),
        why: "Use by somebody else can go unnoticed for long, and it stays valid.",
        remediation: &[
            "Ask its owner whether it is still needed; if not, remove its authority or disable it.",
            "Replace the credential by workload identity federation or a managed identity: no secret to copy.",
            "Otherwise issue one that lives at most 90 days, rotate it, then delete the named key ids.",
        ],
        standards: &[
            "OWASP NHI7",
            "OWASP NHI5",
            "ATT&CK T1078.004",
            "ATT&CK T1550.001",
            "CIS v8.1 5.2",
            "CIS v8.1 5.3",
            "NIST 800-53 IA-5(1)",
            "NIST 800-53 AC-2(3)",
        ],
        requires: &["servicePrincipals", "applications"],
        evidence: &[EvidenceClass::Direct, EvidenceClass::Temporal],
        scope: Scope::Core,
        story: "A forgotten secret of an administrative application: valid for years, used twice.",
    },
    check,
};

/// How a credential is weak.
enum Weakness<'a> {
    Long(cred_002::Long<'a>),
    Old,
}

impl Weakness<'_> {
    fn says(&self) -> &'static str {
        match self {
            Self::Long(long) if long.days.is_none() => "never expires",
            Self::Long(_) => "lives too long",
            Self::Old => "is not rotated",
        }
    }
}

/// A weak credential and whether it is seldom used, which is true or unknown.
struct Weak<'a> {
    credential: &'a Credential,
    weakness: Weakness<'a>,
    seldom: Tri,
    /// Whose record says so.
    own_record: bool,
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.authority.tier > Tier::P1 {
        return None;
    }
    let others = Others::of(identity, context.config.rare_use_days, context.as_of);
    let judged = identity.usable(context.as_of).filter_map(|held| weak(context, identity, held, &others));
    let all: Vec<Weak<'_>> = judged.collect();
    let proven = all.iter().any(|weak| weak.seldom.is_true());
    let told: Vec<&Weak<'_>> = all.iter().filter(|weak| weak.seldom.is_true() == proven).collect();
    let first = told.first()?;
    let what = match told.len() {
        1 => format!("its {} {}", first.credential.kind.as_str(), first.weakness.says()),
        _ => "its credentials are weak".to_owned(),
    };
    let (claim, title, narrowed) = if proven {
        (Claim::Full, full(identity, &told, &what), Vec::new())
    } else {
        let (says, narrowed) = unobserved(context, identity, first.seldom);
        (Claim::Narrower, format!("\"{}\" is privileged, {what}, and {says}", identity.name), vec![narrowed])
    };
    let weaknesses = told.iter().filter_map(|weak| weakness_proof(context, weak));
    let uses = told.iter().filter(|weak| weak.own_record).filter_map(|weak| {
        activity::proof_of_credential(context, weak.credential, cred_003::begin(context, weak.credential))
    });
    let by_identity = told.iter().any(|weak| !weak.own_record);
    let of_identity = by_identity.then(|| use_proof(context, identity)).flatten();
    let proofs = weaknesses.chain(uses).chain(of_identity).collect();
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None })
}

/// `"payroll" is privileged and seldom used, and its secret never expires`. What a credential's own record says is said of
/// that alone: its identity may sign in every day by other means.
fn full(identity: &Identity<'_>, told: &[&Weak<'_>], what: &str) -> String {
    let last = told.iter().map(|weak| match (weak.own_record, weak.credential.last_used) {
        (true, Use::Last { at, .. }) => Some(at),
        _ => None,
    });
    let last: Option<Vec<Timestamp>> = last.collect();
    match last.and_then(|all| all.into_iter().max()) {
        Some(last) => {
            format!("\"{}\" is privileged, and {what}, last tried on {}", identity.name, date(last))
        }
        None => format!("\"{}\" is privileged and seldom used, and {what}", identity.name),
    }
}

/// The credential when it is weak and not proven to be in use.
fn weak<'a>(
    context: &Context<'_>,
    identity: &Identity<'_>,
    credential: &'a Credential,
    others: &Others,
) -> Option<Weak<'a>> {
    let weakness = match cred_002::too_long(context, credential) {
        Some(long) => Weakness::Long(long),
        None if overdue(context, credential) => Weakness::Old,
        None => return None,
    };
    let rare = context.config.rare_use_days;
    let idle = |used: Use| used.idle_from(rare).is_some_and(|mark| mark <= context.as_of);
    let few = activity::few(context, identity).is_some();
    let recorded = matches!(credential.last_used, Use::Last { .. });
    if recorded && !others.contradict(credential) {
        if !idle(credential.last_used) {
            // Few days of use of the identity are no more days of use of the credential.
            let seldom = few && !fresh(context, identity, credential);
            return seldom.then_some(Weak { credential, weakness, seldom: Tri::True, own_record: false });
        }
        let seldom = others.unchecked(credential).map_or(Tri::True, Tri::Unknown);
        return Some(Weak { credential, weakness, seldom, own_record: true });
    }
    let seldom = match identity.last_used {
        _ if fresh(context, identity, credential) => Tri::False,
        Use::Last { .. } => Tri::from(few || idle(identity.last_used)),
        Use::Unrecorded { .. } => silent(context, identity),
        // A part of the record shows use; that the rest was not read takes nothing from it.
        Use::Unknown(_) if identity.last_unattended.recent(rare, context.as_of) => Tri::False,
        Use::Unknown(reason) => Tri::Unknown(reason),
    };
    (!seldom.is_false()).then_some(Weak { credential, weakness, seldom, own_record: false })
}

/// Whether an identity of which no use is recorded is seldom used.
fn silent(context: &Context<'_>, identity: &Identity<'_>) -> Tri {
    let silence = activity::silence_of(context, identity);
    match silence.map(|silence| silence.of(context.config.rare_use_days, context.as_of)) {
        Some(Quiet::Proven(_)) => Tri::True,
        Some(Quiet::Used) => Tri::False,
        Some(Quiet::Unproven) | None => Tri::Unknown(UnknownReason::RetentionTooShort),
    }
}

/// What is recorded of the identity's use, and on how few days.
fn use_proof(context: &Context<'_>, identity: &Identity<'_>) -> Option<Proof> {
    let mut proof = activity::proof_of_identity(context, identity, attr::LAST_USED_AT)?;
    if let Some(few) = activity::few(context, identity).filter(|few| few.days > 0) {
        let days = counted(few.days.unsigned_abs() as usize, "day", "days");
        let after = format!(" After the one of {} it was used on {days} at most: ", date(few.after));
        proof.evidence.claim.push_str(&after);
        proof.evidence.claim.push_str("the records were read completely, each time within a week of the last.");
    }
    Some(proof)
}

/// Older than twice the time for rotation.
fn overdue(context: &Context<'_>, credential: &Credential) -> bool {
    let twice = context.config.rotate_days.saturating_mul(2);
    let due = cred_003::begin(context, credential).and_then(|begin| days_after(begin, twice));
    due.is_some_and(|due| due <= context.as_of)
}

/// New, so that little use says nothing.
fn fresh(context: &Context<'_>, identity: &Identity<'_>, credential: &Credential) -> bool {
    let grace = context.config.never_used_grace_days;
    let begun = [identity.made, cred_003::begin(context, credential)];
    begun.into_iter().flatten().any(|begun| days_after(begun, grace).is_none_or(|mark| mark > context.as_of))
}

/// What the title says of use, and what is not proven.
fn unobserved(context: &Context<'_>, identity: &Identity<'_>, seldom: Tri) -> (&'static str, Narrowed) {
    let (says, reason) = match (identity.last_used, seldom) {
        (Use::Last { .. }, Tri::Unknown(reason)) if !matches!(identity.last_unattended, Use::Unknown(_)) => {
            ("its use is not observable", activity::unchecked_because(identity, reason))
        }
        (Use::Unrecorded { .. }, _) => {
            ("no sign-in is recorded", activity::unproven(activity::silence_of(context, identity)))
        }
        (_, Tri::Unknown(reason)) => {
            ("its use is not observable", format!("Of its last sign-in, {}.", reason.sentence()))
        }
        (_, Tri::True | Tri::False) => ("its use is not observable", "Its last sign-in is not known.".to_owned()),
    };
    (says, Narrowed { claim: "That it is seldom used".to_owned(), reason })
}

fn weakness_proof(context: &Context<'_>, weak: &Weak<'_>) -> Option<Proof> {
    if let Weakness::Long(long) = &weak.weakness {
        return cred_002::proof(context, long);
    }
    let begin = cred_003::begin(context, weak.credential)?;
    let claim = format!(
        "The {} is valid since {}, longer than twice the {} days for rotation.",
        weak.credential.label(context.graph),
        date(begin),
        context.config.rotate_days
    );
    evidence::of_fact(context.graph, weak.credential.ix, attr::VALID_FROM, EvidenceClass::Temporal, claim)
}
