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
//! What it says of its credentials and of use, it says once: [`tells`] which findings about the same identity have nothing
//! more to say. It says so of a credential only when it is about that very one, and of use only when it states as much.
//!
//! The activity collections are not among those that it requires: without them it says less and stays, so that its
//! absence never rests on them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{NodeIx, Tri, UnknownReason, attr};

use crate::activity::{self, Others, Use};
use crate::evidence::{self, Proof};
use crate::finding::{Claim, EvidenceClass, Family, Narrowed, RuleFinding};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::rules::{cred_002, cred_003, cred_004};
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

/// Most characters of a title.
const TITLE: usize = 160;

/// A weak credential and whether it is seldom used, which is true or unknown.
struct Weak<'a> {
    credential: &'a Credential,
    /// When it has no end or lives too long.
    long: Option<cred_002::Long<'a>>,
    /// Since when it was not rotated, when it should have been. That alone makes it weak only after twice the time.
    old: Option<Timestamp>,
    seldom: Tri,
    /// Whose record says so.
    own_record: bool,
}

impl Weak<'_> {
    /// What is weak about it, in the words of one and of several.
    fn says(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let long = self.long.as_ref().map(|long| match long.days {
            None => ("never expires", "no end"),
            Some(_) => ("lives too long", "too long a life"),
        });
        long.into_iter().chain(self.old.map(|_| ("is not rotated", "not rotated")))
    }
}

/// What the identity's own record alone says of use, when that makes it seldom used.
#[derive(Clone, Copy)]
enum Quiet {
    /// The day of its last sign-in.
    Last(Timestamp),
    /// Since when there was none.
    Since(Timestamp),
}

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    if identity.authority.tier > Tier::P1 {
        return None;
    }
    let (proven, told) = told(context, identity);
    let first = told.first()?;
    let what = what(&told, first);
    let quiet = quiet(context, identity).filter(|_| proven);
    let (claim, says, narrowed) = if proven {
        (Claim::Full, full(&told, quiet, &what), Vec::new())
    } else {
        let (says, narrowed) = unobserved(context, identity, first.seldom);
        (Claim::Narrower, format!("is privileged, {what}, and {says}"), vec![narrowed])
    };
    let title = titled(&identity.name, &says);
    let weaknesses = told.iter().filter_map(|weak| weakness_proof(context, weak));
    let uses = told.iter().filter(|weak| weak.own_record).filter_map(|weak| {
        activity::proof_of_credential(context, weak.credential, cred_003::begin(context, weak.credential))
    });
    let by_identity = quiet.is_some() || told.iter().any(|weak| !weak.own_record);
    let of_identity = by_identity.then(|| use_proof(context, identity)).flatten();
    let as_old = told.iter().filter(|weak| weak.long.is_some()).filter_map(|weak| age_proof(context, weak));
    let proofs = weaknesses.chain(uses).chain(of_identity).chain(as_old).collect();
    Some(Draft { claim, exposure: Exposure::X1, title, proofs, narrowed, entry: None, reach: None })
}

/// The weak credentials that the claim is about, and whether they are proven to be seldom used: where some are, only those.
fn told<'a>(context: &Context<'_>, identity: &'a Identity<'_>) -> (bool, Vec<Weak<'a>>) {
    let others = Others::of(identity, context.config.rare_use_days, context.as_of);
    let judged = identity.usable(context.as_of).filter_map(|held| weak(context, identity, held, &others));
    let all: Vec<Weak<'_>> = judged.collect();
    let proven = all.iter().any(|weak| weak.seldom.is_true());
    (proven, all.into_iter().filter(|weak| weak.seldom.is_true() == proven).collect())
}

/// `its secret never expires and is not rotated`, `its 2 credentials are weak (no end, not rotated)`.
fn what(told: &[Weak<'_>], first: &Weak<'_>) -> String {
    if told.len() == 1 {
        let says: Vec<&str> = first.says().map(|(of_one, _)| of_one).collect();
        return format!("its {} {}", first.credential.kind.as_str(), says.join(" and "));
    }
    let mut says: Vec<&str> = Vec::new();
    for (_, word) in told.iter().flat_map(Weak::says) {
        if !says.contains(&word) {
            says.push(word);
        }
    }
    format!("its {} credentials are weak ({})", told.len(), says.join(", "))
}

/// Whether `part`, a finding about the same identity, says nothing that is not said here too.
pub(crate) fn tells(context: &Context<'_>, identity: &Identity<'_>, part: &RuleFinding) -> bool {
    let (proven, told) = told(context, identity);
    let all_told: BTreeSet<NodeIx> = told.iter().map(|weak| weak.credential.ix).collect();
    let is_told = |held: &Credential| all_told.contains(&held.ix);
    let mut usable = identity.usable(context.as_of);
    match part.rule.id.as_str() {
        "CRED-002" => usable.all(|held| cred_002::too_long(context, held).is_none() || is_told(held)),
        // Its narrower claim is that an age is not known, which is not said here.
        "CRED-003" => {
            part.rule.claim == Claim::Full
                && usable.all(|held| cred_003::late(context, held).is_none() || is_told(held))
        }
        "CRED-004" => {
            let others = Others::of(identity, context.config.unused_credential_days, context.as_of);
            let (idle, silent) = cred_004::unused(context, identity, &others);
            idle.iter().map(|idle| idle.held).chain(silent.iter().copied()).all(is_told)
                && tells_unused(context, identity, (proven, &told), !idle.is_empty())
        }
        "DORM-001" => match (part.rule.claim, quiet(context, identity).filter(|_| proven)) {
            (Claim::Full, stated) => stated.is_some(),
            (Claim::Narrower, stated) => unrecorded(identity) && (!proven || stated.is_some()),
        },
        _ => false,
    }
}

/// Whether it says for how long those credentials were not used, or that no use is recorded where CRED-004 says no more
/// (`idle` is false): by their own records, or by the identity's, which has every use of each of them.
fn tells_unused(
    context: &Context<'_>,
    identity: &Identity<'_>,
    (proven, told): (bool, &[Weak<'_>]),
    idle: bool,
) -> bool {
    if proven && told.iter().all(|weak| weak.own_record) {
        return true;
    }
    let limit = context.config.unused_credential_days;
    let silence = activity::silence_of(context, identity);
    let as_long = match identity.last_used {
        Use::Last { .. } => identity.last_used.idle_from(limit).is_some_and(|mark| mark <= context.as_of),
        Use::Unrecorded { .. } => {
            let quiet = silence.map(|silence| silence.of(limit, context.as_of));
            !idle || matches!(quiet, Some(activity::Quiet::Proven(_)))
        }
        Use::Unknown(_) => false,
    };
    let stated = if proven { quiet(context, identity).is_some() } else { unrecorded(identity) };
    stated && as_long
}

/// Where nothing is proven of its use, that is what the title says.
const fn unrecorded(identity: &Identity<'_>) -> bool {
    matches!(identity.last_used, Use::Unrecorded { .. })
}

fn quiet(context: &Context<'_>, identity: &Identity<'_>) -> Option<Quiet> {
    let rare = context.config.rare_use_days;
    // The identity's record can lag behind those of its credentials, which then know better.
    if identity.credentials.iter().any(|held| held.last_used.recent(rare, context.as_of)) {
        return None;
    }
    match identity.last_used {
        Use::Last { at, .. } => {
            let idle = identity.last_used.idle_from(rare).is_some_and(|mark| mark <= context.as_of);
            idle.then_some(Quiet::Last(at))
        }
        Use::Unrecorded { .. } => match activity::silence_of(context, identity)?.of(rare, context.as_of) {
            activity::Quiet::Proven(since) => Some(Quiet::Since(since)),
            activity::Quiet::Unproven | activity::Quiet::Used => None,
        },
        Use::Unknown(_) => None,
    }
}

/// `"payroll" is privileged`: of a long name as much as leaves room for all that is said.
fn titled(name: &str, says: &str) -> String {
    let room = TITLE.saturating_sub(says.chars().count() + 3);
    let mut name = name.to_owned();
    if name.chars().count() > room {
        name = name.chars().take(room.saturating_sub(1)).chain(['…']).collect();
    }
    format!("\"{name}\" {says}")
}

/// `is privileged and seldom used (last on 2026-01-15), and its secret never expires`. What a credential's own
/// record says is said of that alone: its identity may sign in every day by other means.
fn full(told: &[Weak<'_>], quiet: Option<Quiet>, what: &str) -> String {
    let own = told.iter().map(|weak| match (weak.own_record, weak.credential.last_used) {
        (true, Use::Last { at, .. }) => Some(at),
        _ => None,
    });
    let own: Option<Vec<Timestamp>> = own.collect();
    let tried = own.and_then(|all| all.into_iter().max()).map(date);
    let seldom = match quiet {
        Some(Quiet::Last(at)) => format!(" and seldom used (last on {})", date(at)),
        Some(Quiet::Since(since)) => format!(" and seldom used (not since {})", date(since)),
        None if tried.is_some() => String::new(),
        None => " and seldom used".to_owned(),
    };
    // Of the same day it is the same sign-in.
    let tried = tried.filter(|tried| !matches!(quiet, Some(Quiet::Last(at)) if date(at) == *tried));
    let tried = tried.map(|tried| format!(", last tried on {tried}")).unwrap_or_default();
    format!("is privileged{seldom}, and {what}{tried}")
}

/// The credential when it is weak and not proven to be in use.
fn weak<'a>(
    context: &Context<'_>,
    identity: &Identity<'_>,
    credential: &'a Credential,
    others: &Others,
) -> Option<Weak<'a>> {
    let long = cred_002::too_long(context, credential);
    if long.is_none() && !overdue(context, credential) {
        return None;
    }
    let old = cred_003::late(context, credential);
    let rare = context.config.rare_use_days;
    let idle = |used: Use| used.idle_from(rare).is_some_and(|mark| mark <= context.as_of);
    let few = activity::few(context, identity).is_some();
    let recorded = matches!(credential.last_used, Use::Last { .. });
    if recorded && !others.contradict(credential) {
        if !idle(credential.last_used) {
            // Few days of use of the identity are no more days of use of the credential.
            let seldom = few && !fresh(context, identity, credential);
            return seldom.then_some(Weak { credential, long, old, seldom: Tri::True, own_record: false });
        }
        let seldom = others.unchecked(credential).map_or(Tri::True, Tri::Unknown);
        return Some(Weak { credential, long, old, seldom, own_record: true });
    }
    let seldom = match identity.last_used {
        _ if fresh(context, identity, credential) => Tri::False,
        Use::Last { .. } => Tri::from(few || idle(identity.last_used)),
        Use::Unrecorded { .. } => silent(context, identity),
        // A part of the record shows use; that the rest was not read takes nothing from it.
        Use::Unknown(_) if identity.last_unattended.recent(rare, context.as_of) => Tri::False,
        Use::Unknown(reason) => Tri::Unknown(reason),
    };
    (!seldom.is_false()).then_some(Weak { credential, long, old, seldom, own_record: false })
}

/// Whether an identity of which no use is recorded is seldom used.
fn silent(context: &Context<'_>, identity: &Identity<'_>) -> Tri {
    let silence = activity::silence_of(context, identity);
    match silence.map(|silence| silence.of(context.config.rare_use_days, context.as_of)) {
        Some(activity::Quiet::Proven(_)) => Tri::True,
        Some(activity::Quiet::Used) => Tri::False,
        Some(activity::Quiet::Unproven) | None => Tri::Unknown(UnknownReason::RetentionTooShort),
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
    match &weak.long {
        Some(long) => cred_002::proof(context, long),
        None => age_proof(context, weak),
    }
}

fn age_proof(context: &Context<'_>, weak: &Weak<'_>) -> Option<Proof> {
    let begin = weak.old?;
    if !overdue(context, weak.credential) {
        return cred_003::proof(context, begin, weak.credential);
    }
    let claim = format!(
        "The {} is valid since {}, longer than twice the {} days for rotation.",
        weak.credential.label(context.graph),
        date(begin),
        context.config.rotate_days
    );
    evidence::of_fact(context.graph, weak.credential.ix, attr::VALID_FROM, EvidenceClass::Temporal, claim)
}
