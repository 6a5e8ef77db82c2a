//! What the source system recorded of use: takes a node and the collection that would show it, gives the last recorded
//! use, that none is recorded, or why nobody can say.
//!
//! Two limits hold everywhere. Nothing recorded is not "never": since when the source system records is not known, and
//! the record cannot be older than the object. Only what [`crate::memory`] saw itself lifts that: as long as every
//! reading was good, silence is proven. And a record says nothing about the time after it was read: whether
//! something is unused is decided as of that instant, however much later the evaluation is.

use jiff::Timestamp;
use sv0_graph::{Graph, NodeIx, NodeKind, Source, Tri, UnknownReason, attr};

use crate::evidence::{self, Proof};
use crate::finding::EvidenceClass;
use crate::identity::{Credential, Identity};
use crate::memory::{self, ActivityMemory, Few};
use crate::rule::Context;
use crate::text::{date, days_after, doubt};

/// Where the last sign-ins of identities are read.
pub(crate) const IDENTITIES: &str = "servicePrincipalActivity";

/// Where the last sign-ins with credentials are read.
pub(crate) const CREDENTIALS: &str = "credentialActivity";

/// The vendor's field of a last sign-in.
const SIGN_IN: &str = "lastSignInDateTime";

/// Days of use up to which something is seldom used, however recent the last one is.
const FEW_DAYS: i32 = 3;

/// Days in which they are counted, at least.
const FEW_WITHIN: i32 = 90;

/// What is recorded of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The last recorded attempt to sign in; the vendor counts failed ones too.
    Last { at: Timestamp, seen: Timestamp },
    /// No sign-in is recorded, and the records were read to their end.
    Unrecorded { seen: Timestamp },
    /// Nobody can say.
    Unknown(UnknownReason),
}

impl Use {
    /// From when on `days` without use are proven by a recorded one. None when the record was read before that.
    pub(crate) fn idle_from(self, days: u32) -> Option<Timestamp> {
        match self {
            Self::Last { at, seen } => days_after(at, days).filter(|mark| *mark <= seen),
            Self::Unrecorded { .. } | Self::Unknown(_) => None,
        }
    }

    /// From when on something made at `made` exists for `days` without any recorded use. None when the record was read
    /// before that, and when its first day is not known: it may be new.
    pub(crate) fn silent_from(self, made: Option<Timestamp>, days: u32) -> Option<Timestamp> {
        match self {
            Self::Unrecorded { seen } => days_after(made?, days).filter(|mark| *mark <= seen),
            Self::Last { .. } | Self::Unknown(_) => None,
        }
    }

    /// Whether a use less than `days` before the reading of the records is recorded.
    pub(crate) fn recent(self, days: u32, as_of: Timestamp) -> bool {
        matches!(self, Self::Last { .. }) && self.idle_from(days).is_none_or(|mark| mark > as_of)
    }
}

/// What is remembered of something of which no use is recorded now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Since when every use would have been recorded and seen; none when that is not proven.
    pub(crate) since: Option<Timestamp>,
    /// The end of the last day of which use is remembered: the source system lost a record.
    used: Option<Timestamp>,
    seen: Timestamp,
}

/// What silence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// No use since then, for long enough.
    Proven(Timestamp),
    /// Nothing more than that none is recorded.
    Unproven,
    /// A use is remembered that is not long enough ago.
    Used,
}

impl Silence {
    /// From when on `days` without use are proven.
    pub(crate) fn proven_from(self, days: u32) -> Option<Timestamp> {
        days_after(self.since?, days).filter(|mark| *mark <= self.seen)
    }

    /// From when on the use that is remembered is `days` ago.
    pub(crate) fn forgotten_from(self, days: u32) -> Option<Timestamp> {
        days_after(self.used?, days).filter(|mark| *mark <= self.seen)
    }

    /// What it proves of `days`.
    pub(crate) fn of(self, days: u32, as_of: Timestamp) -> Quiet {
        let passed = |mark: &Timestamp| *mark <= as_of;
        match (self.since, self.proven_from(days).filter(passed)) {
            (Some(since), Some(_)) => Quiet::Proven(since),
            _ if self.used.is_some() && !self.forgotten_from(days).is_some_and(|mark| passed(&mark)) => Quiet::Used,
            _ => Quiet::Unproven,
        }
    }
}

/// What is remembered of the object at `ix`, made at `made`, of which `told` says that nothing is recorded in `collection`.
/// None when it says anything else.
pub(crate) fn silence(
    context: &Context<'_>,
    ix: NodeIx,
    collection: &str,
    told: Use,
    made: Option<Timestamp>,
) -> Option<Silence> {
    let Use::Unrecorded { seen } = told else { return None };
    let memory = remembered(context, ix, collection);
    let uses = memory.and_then(|memory| memory.uses.get(&memory::key(&context.graph.node(ix).id)));
    let watched = memory.and_then(|memory| memory.collections.get(collection)?.since(seen));
    // Where its first day is not known, or a remembered use has no end, nothing is proven.
    let begun = match uses {
        None => made,
        Some(uses) => made.zip(uses.gone()).map(|(made, gone)| made.max(gone)),
    };
    let since = watched.zip(begun).map(|(watched, begun)| watched.max(begun)).filter(|since| *since <= seen);
    Some(Silence { since, used: uses.and_then(memory::Uses::last), seen })
}

/// The same for an identity, in the records of its sign-ins.
pub(crate) fn silence_of(context: &Context<'_>, identity: &Identity<'_>) -> Option<Silence> {
    silence(context, identity.ix, IDENTITIES, identity.last_used, identity.made)
}

/// On how few days the identity was used, when it is proven that they were few.
pub(crate) fn few(context: &Context<'_>, identity: &Identity<'_>) -> Option<Few> {
    let Use::Last { seen, .. } = identity.last_used else { return None };
    if !context.graph.complete_for(identity.ix, IDENTITIES).0.is_true() {
        return None;
    }
    let memory = remembered(context, identity.ix, IDENTITIES)?;
    let watched = memory.collections.get(IDENTITIES)?.since(seen)?;
    let few = memory.uses.get(&memory::key(&identity.node.id))?.few(FEW_WITHIN, seen)?;
    let long = days_after(watched, FEW_WITHIN.unsigned_abs()).is_some_and(|mark| mark <= seen);
    (long && few.days <= FEW_DAYS).then_some(few)
}

/// The memory of the instance that tells of `ix` in `collection`.
fn remembered<'g>(context: &Context<'g>, ix: NodeIx, collection: &str) -> Option<&'g ActivityMemory> {
    let instance = context.graph.complete_for(ix, collection).1?;
    let header = &context.graph.instances().get(instance)?.header;
    let memory = context.memory.get(&header.instance_uid)?;
    (memory.tenant == format!("{}:{}", header.system, header.tenant)).then_some(memory)
}

/// Why what is not recorded is not proven.
pub(crate) fn unproven(silence: Option<Silence>) -> String {
    match silence.and_then(|silence| silence.since) {
        None => "No sign-in is recorded in this tenant; since when the source system records is not known.".to_owned(),
        Some(since) => {
            format!("No sign-in is recorded in this tenant; that any would have been is proven since {}.", date(since))
        }
    }
}

/// When the identity at `ix` was made; its application's day when its own is not known: it cannot be older.
pub(crate) fn made(graph: &Graph, ix: NodeIx, application: Option<NodeIx>) -> Option<Timestamp> {
    let own = graph.node(ix).time(attr::CREATED_AT);
    own.or_else(|| graph.node(application?).time(attr::CREATED_AT))
}

/// What is recorded of use of the identity at `ix` in `key`.
pub(crate) fn of_identity(graph: &Graph, ix: NodeIx, key: &str, made: Option<Timestamp>) -> Use {
    let node = graph.node(ix);
    let absent = || match node.kind {
        NodeKind::ServicePrincipal => unrecorded(graph, ix, IDENTITIES),
        // Managed identities and agents sign in under categories of their own: without a row nothing follows.
        _ => Use::Unknown(UnknownReason::Unsupported),
    };
    match recorded(graph, ix, key) {
        // Records go by the application's id: an earlier one is of an identity that was deleted and made anew.
        Some(Use::Last { at, .. }) if made.is_some_and(|made| at < made) => absent(),
        Some(told) => told,
        None => absent(),
    }
}

/// What is recorded of any use of the identity at `ix`: the record that covers all of it, or the one of its use without
/// a user when that tells of more.
pub(crate) fn of_any_use(graph: &Graph, ix: NodeIx, made: Option<Timestamp>) -> Use {
    let whole = of_identity(graph, ix, attr::LAST_USED_AT, made);
    let part = of_identity(graph, ix, attr::LAST_UNATTENDED_USE_AT, made);
    match (whole, part) {
        (Use::Last { at, .. }, Use::Last { at: unattended, .. }) if at < unattended => part,
        (Use::Unrecorded { .. }, Use::Last { .. }) => part,
        _ => whole,
    }
}

/// What is recorded of use of the credential at `ix`.
pub(crate) fn of_credential(graph: &Graph, ix: NodeIx) -> Use {
    recorded(graph, ix, attr::LAST_USED_AT).unwrap_or_else(|| unrecorded(graph, ix, CREDENTIALS))
}

fn recorded(graph: &Graph, ix: NodeIx, key: &str) -> Option<Use> {
    let fact = graph.node(ix).fact(key)?;
    let told = graph.node(ix).time(key).zip(read_at(graph, fact.source));
    Some(told.map_or(Use::Unknown(UnknownReason::Unparsable), |(at, seen)| Use::Last { at, seen }))
}

fn read_at(graph: &Graph, source: Source) -> Option<Timestamp> {
    graph.instances().get(source.instance()).map(|instance| instance.header.observed_at)
}

fn unrecorded(graph: &Graph, ix: NodeIx, collection: &str) -> Use {
    let (complete, instance) = graph.complete_for(ix, collection);
    let seen = instance.and_then(|at| graph.instances().get(at)).map(|instance| instance.header.observed_at);
    match (complete, seen) {
        (Tri::True, Some(seen)) => Use::Unrecorded { seen },
        (Tri::Unknown(reason), _) => Use::Unknown(reason),
        (Tri::True | Tri::False, _) => Use::Unknown(UnknownReason::NotCollected),
    }
}

/// What can have signed an identity in within some days beside one of its credentials: a subject that it trusts, or another
/// credential that does not lie idle as long by its own record. Of two records that stopped, neither explains what the other
/// leaves open. Looked at once for all credentials.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    last: Use,
    /// The identity signed in without a user.
    recent: bool,
    trusted: Tri,
    /// Two such credentials: one of them is another one.
    keys: [Option<NodeIx>; 2],
}

impl Others {
    pub(crate) fn of(identity: &Identity<'_>, days: u32, as_of: Timestamp) -> Self {
        let idle = |held: &Credential| held.last_used.idle_from(days).is_some_and(|mark| mark <= as_of);
        let busy = |held: &&Credential| !held.usable(as_of).is_false() && !idle(held);
        let mut keys = identity.credentials.iter().filter(busy).map(|held| held.ix);
        let first = keys.next();
        let keys = [first, keys.find(|ix| Some(*ix) != first)];
        let last = identity.last_unattended;
        Self { last, recent: last.recent(days, as_of), trusted: identity.trusts_any(as_of), keys }
    }

    fn explain(&self, credential: &Credential) -> Tri {
        let other = self.keys.iter().flatten().any(|ix| *ix != credential.ix);
        Tri::from(other).or(self.trusted)
    }

    /// Whether the record of a credential cannot be the whole truth: the identity signed in unattended, and nothing else
    /// could have signed it in. The vendor's records of credentials are known to lag and to stop.
    pub(crate) fn contradict(&self, credential: &Credential) -> bool {
        self.explain(credential).is_false() && self.recent
    }

    /// Why nobody can say whether the record of a credential is contradicted: the identity's own, which would, is not known,
    /// or it is not known whether anybody else is trusted to sign it in.
    pub(crate) fn unchecked(&self, credential: &Credential) -> Option<UnknownReason> {
        match (self.explain(credential), self.last) {
            (Tri::False | Tri::Unknown(_), Use::Unknown(reason)) => Some(reason),
            (Tri::Unknown(reason), _) if self.recent => Some(reason),
            _ => None,
        }
    }
}

/// What stands behind the reason of [`Others::unchecked`], as a sentence.
pub(crate) fn unchecked_because(identity: &Identity<'_>, reason: UnknownReason) -> String {
    match identity.last_unattended {
        Use::Unknown(_) => format!("Of the identity's own last sign-in, {}.", reason.sentence()),
        _ => format!("Of a federated subject that may sign it in too, {}.", doubt(reason)),
    }
}

/// The proof of what is recorded of the identity's use in `key`. None when it is not known.
pub(crate) fn proof_of_identity(context: &Context<'_>, identity: &Identity<'_>, key: &str) -> Option<Proof> {
    let graph = context.graph;
    let (told, what, field) = match key {
        attr::LAST_UNATTENDED_USE_AT => {
            (identity.last_unattended, "sign-in without a user", "applicationAuthenticationClientSignInActivity")
        }
        _ => (identity.last_used, "sign-in", SIGN_IN),
    };
    let noun = identity.noun();
    match told {
        Use::Last { at, .. } => {
            let told_there = graph.node(identity.ix).time(key) == Some(at);
            let key = if told_there { key } else { attr::LAST_UNATTENDED_USE_AT };
            let claim = format!("The last recorded {what} of the {noun}, or attempt at one, was on {}.", date(at));
            evidence::of_fact(graph, identity.ix, key, EvidenceClass::Temporal, claim)
        }
        Use::Unrecorded { .. } => {
            let made = identity.made.map(|made| format!(", which was made on {},", date(made))).unwrap_or_default();
            let read = read(silence(context, identity.ix, IDENTITIES, told, identity.made));
            let claim = format!("No {what} of the {noun}{made} is recorded; {read}.");
            evidence::of_silence(graph, identity.ix, field, IDENTITIES, claim)
        }
        Use::Unknown(_) => None,
    }
}

/// The proof of what is recorded of a credential's use, valid since `begin`. None when it is not known.
pub(crate) fn proof_of_credential(
    context: &Context<'_>,
    credential: &Credential,
    begin: Option<Timestamp>,
) -> Option<Proof> {
    let graph = context.graph;
    let label = credential.label(graph);
    match credential.last_used {
        Use::Last { at, .. } => {
            let claim = format!(
                "The last recorded sign-in with the {label} in this tenant, or attempt at one, was on {}.",
                date(at)
            );
            evidence::of_fact(graph, credential.ix, attr::LAST_USED_AT, EvidenceClass::Temporal, claim)
        }
        Use::Unrecorded { .. } => {
            let valid = begin.map(|begin| format!(", valid since {},", date(begin))).unwrap_or_default();
            let read = read(silence(context, credential.ix, CREDENTIALS, credential.last_used, begin));
            let claim = format!("No sign-in with the {label}{valid} is recorded in this tenant; {read}.");
            evidence::of_silence(graph, credential.ix, SIGN_IN, CREDENTIALS, claim)
        }
        Use::Unknown(_) => None,
    }
}

/// How the records were read that show nothing.
fn read(silence: Option<Silence>) -> String {
    match silence.and_then(|silence| silence.since) {
        None => "the records were read completely".to_owned(),
        Some(since) => {
            format!("since {} the records were read completely, each time within a week of the last", date(since))
        }
    }
}
