//! CRED-006: more credentials at once than a rotation needs.
//!
//! Two are enough to rotate, unless both are overdue. What signs or encrypts tokens does not count, nor does what ended.
//! The same key id on an application and its service principal, and the same certificate twice, count once.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{EdgeKind, Graph, Tri, UnknownReason};

use crate::evidence;
use crate::finding::{Claim, EvidenceClass, Family, Narrowed};
use crate::identity::{Credential, Identity};
use crate::rule::{Context, Draft, Meta, Rule, Scope};
use crate::rules::cred_003;
use crate::severity::{Exposure, Tier};
use crate::shared;
use crate::text::date;

/// Where credentials are read.
const COLLECTIONS: [&str; 2] = ["servicePrincipals", "applications"];

/// Credentials that a rotation needs at the same time.
const ENOUGH: usize = 2;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        id: "CRED-006",
        version: "1.0.0",
        family: Family::CredentialLifecycle,
        category: "TooManyCredentials",
        title: "An identity can sign in with more credentials than a rotation needs",
        narrower: Some("An identity can sign in with at least so many credentials; not all could be seen"),
        why: "Each is one more copy that somebody may hold.",
        remediation: &[
            "Find out which key id each automation uses.",
            "Delete the others, and after every rotation the old one.",
        ],
        standards: &["OWASP NHI7", "OWASP NHI9", "NIST 800-53 IA-5"],
        requires: &COLLECTIONS,
        evidence: &[EvidenceClass::Direct],
        scope: Scope::Core,
        story: "Every rotation added a secret, and none was ever deleted.",
    },
    check,
};

fn check(context: &Context<'_>, identity: &Identity<'_>) -> Option<Draft> {
    let graph = context.graph;
    let mut keys = BTreeSet::new();
    let held: Vec<&Credential> =
        identity.usable(context.as_of).filter(|held| keys.insert(authenticator(graph, held))).collect();
    let complete = complete(context, identity);
    let count = held.len();
    let least = if complete.is_true() { "" } else { "at least " };
    let title = if count > ENOUGH {
        format!("\"{}\" can sign in with {least}{count} credentials", identity.name)
    } else {
        let since = both_overdue(context, &held)?;
        let since = date(since);
        format!("\"{}\" can sign in with {least}{count} credentials, none rotated since {since}", identity.name)
    };
    let (claim, narrowed) = match complete {
        Tri::Unknown(reason) => {
            let narrowed = Narrowed {
                claim: "How many credentials there are".to_owned(),
                reason: format!("Not every credential was seen: {}.", reason.sentence()),
            };
            (Claim::Narrower, vec![narrowed])
        }
        Tri::True | Tri::False => (Claim::Full, Vec::new()),
    };
    let exposure = if identity.authority.tier <= Tier::P1 { Exposure::X2 } else { Exposure::X3 };
    let proofs = held
        .into_iter()
        .filter_map(|held| {
            // Edges are in the order of their ends: one holder may have so many that each is not searched for among all.
            let all = graph.out(held.holder, EdgeKind::HoldsCredential);
            let holds = all.get(all.partition_point(|edge| edge.to < held.ix)).filter(|edge| edge.to == held.ix)?;
            let says = format!("It can sign in with the {}.", held.label(graph));
            Some(evidence::of_edge(graph, holds, EvidenceClass::Direct, says))
        })
        .collect();
    Some(Draft { claim, exposure, title, proofs, narrowed, entry: None, reach: None })
}

/// What two entries have in common that are the same credential.
fn authenticator<'g>(graph: &'g Graph, held: &Credential) -> Cow<'g, str> {
    let id = graph.node(held.ix).id.vendor_id();
    shared::thumbprint(graph, held.ix).unwrap_or_else(|| Cow::Borrowed(id.rsplit('/').next().unwrap_or(id)))
}

/// The later first day of exactly two credentials, when both should have been replaced.
fn both_overdue(context: &Context<'_>, held: &[&Credential]) -> Option<Timestamp> {
    if held.len() != ENOUGH {
        return None;
    }
    let begun = held.iter().map(|held| cred_003::begin(context, held)).collect::<Option<Vec<_>>>()?;
    let overdue = |begin: &Timestamp| cred_003::due(context, *begin).is_some_and(|due| due <= context.as_of);
    begun.iter().all(overdue).then(|| begun.into_iter().max()).flatten()
}

/// Whether every credential was seen and can be judged.
fn complete(context: &Context<'_>, identity: &Identity<'_>) -> Tri {
    let seen = Tri::all(COLLECTIONS.map(|collection| context.graph.complete_for(identity.ix, collection).0));
    let judged = identity.credentials.iter().map(|held| match held.usable(context.as_of) {
        Tri::Unknown(reason) => Tri::Unknown(reason),
        Tri::True | Tri::False => Tri::True,
    });
    let application = match identity.application {
        Some(_) => Tri::True,
        // It stands in another tenant, with the credentials that it has there.
        None => Tri::Unknown(UnknownReason::NotCollected),
    };
    seen.and(Tri::all(judged)).and(application)
}
