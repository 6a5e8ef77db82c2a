//! What belongs to each application or service principal: owners and federated credentials. Read as one list with
//! everything expanded; what that list left out, cut at its limit or lost is asked for one by one, in envelopes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::DeserializeOwned;
use sv0_connector::{Cause, Lenient, Page, Param, Prepared, SinkError, Tally, text, walk_on};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::client::{batch, batch_by, list};
use crate::collect::Walk;
use crate::map::readable;
use crate::model::{FederatedCredential, FlexibleCredential, Owner, WithFederatedCredentials, WithOwners};

/// An expansion ends here without a word.
const EXPAND_LIMIT: usize = 20;

/// An object with what was expanded.
pub(crate) trait Expanded: DeserializeOwned {
    /// What belongs to it.
    type Item: DeserializeOwned + Send + Sync;
    /// Its id, and the items if they came.
    fn split(self) -> (String, Option<Vec<Lenient<Self::Item>>>);
    /// How many items mean that there may be more.
    const CUT_AT: usize;
}

impl Expanded for WithOwners {
    type Item = Owner;
    fn split(self) -> (String, Option<Vec<Lenient<Owner>>>) {
        (self.id, self.owners)
    }
    const CUT_AT: usize = EXPAND_LIMIT;
}

impl Expanded for WithFederatedCredentials {
    type Item = FederatedCredential;
    fn split(self) -> (String, Option<Vec<Lenient<FederatedCredential>>>) {
        (self.id, self.federated_identity_credentials)
    }
    // An application has at most 20 of them: a full list is a whole list.
    const CUT_AT: usize = usize::MAX;
}

/// Which list, which single read, and of whom.
pub(crate) struct Relation<'a> {
    pub(crate) list: &'a str,
    pub(crate) single: &'a str,
    /// Object ids that must each be accounted for.
    pub(crate) holders: &'a [String],
}

/// Reads a relation. `each` takes all items of one holder, the operation that told them, and whether they are all.
pub(crate) async fn read<E: Expanded>(
    walk: &Walk<'_>,
    relation: &Relation<'_>,
    tally: &mut Tally,
    mut each: impl FnMut(&str, &str, &[Lenient<E::Item>], bool) -> Result<(), SinkError> + Send,
) {
    // The expansion's own failure is kept apart: what it did not give is asked for singly.
    let mut listed = Tally::default();
    list(walk.engine, relation.list, &[], &mut listed, |wire: E| {
        let (id, items) = wire.split();
        let (Some(id), Some(items)) = (text::guid(&id), items) else { return Ok(None) };
        if items.len() < E::CUT_AT {
            each(&id, relation.list, &items, true)?;
            tally.item(&id);
        }
        Ok(Some(id))
    })
    .await;
    (0..listed.pages()).for_each(|_| tally.page());
    if let Some(flaw) = listed.flaw().filter(|flaw| is_final(&flaw.cause)) {
        return tally.report(flaw.clone());
    }
    let open: Vec<&String> = relation.holders.iter().filter(|id| !tally.has(id)).collect();
    singly::<E>(walk, relation.single, &open, tally, each).await;
}

/// Causes that single reads would meet again, or make worse.
fn is_final(cause: &Cause) -> bool {
    !matches!(
        cause,
        Cause::BadRequest
            | Cause::LastPageLost
            | Cause::PageExpired
            | Cause::ResponseMalformed
            | Cause::ResponseRefused
    )
}

async fn singly<E: Expanded>(
    walk: &Walk<'_>,
    operation: &str,
    open: &[&String],
    tally: &mut Tally,
    mut each: impl FnMut(&str, &str, &[Lenient<E::Item>], bool) -> Result<(), SinkError> + Send,
) {
    let prepared: Result<Vec<Prepared>, _> =
        open.iter().map(|id| walk.engine.guard().prepare(operation, &[("id", Param::Id(id.as_str()))])).collect();
    let requests = match prepared {
        Ok(requests) => requests,
        Err(refusal) => return tally.report(walk.engine.refused(&refusal)),
    };
    let mut answers = batch::<Page<E::Item>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        let holder = open[at].as_str();
        let page = match answer {
            Ok(page) => page,
            // Deleted since it was listed: it has nothing any more.
            Err(failure) if failure.cause == Cause::NotFound => continue,
            Err(failure) => {
                tally.report(failure);
                continue;
            }
        };
        let mut rest = Tally::default();
        let mut items = Vec::new();
        walk_on(walk.engine, requests[at].clone(), page, &mut rest, |item: E::Item| {
            items.push(Lenient::Item(item));
            Ok(Some(String::new()))
        })
        .await;
        (0..rest.pages()).for_each(|_| tally.page());
        if each(holder, operation, &items, rest.is_complete()).is_err() {
            tally.report(Cause::Internal);
        }
        match rest.flaw() {
            Some(flaw) => tally.report(flaw.clone()),
            None => {
                tally.item(holder);
            }
        }
    }
}

/// Who answers for something, and how that is said in the graph.
pub(crate) struct Accountable<'a> {
    /// What leads from them to what they answer for.
    pub(crate) edge: EdgeKind,
    /// The attribute for how many there are.
    pub(crate) count: &'static str,
    /// What a holder is.
    pub(crate) holder_kind: &'a (dyn Fn(&str) -> NodeKind + Sync),
    /// What a service principal is.
    pub(crate) kinds: &'a HashMap<String, NodeKind>,
    /// Of whom something is said.
    pub(crate) holders: BTreeSet<&'a str>,
}

/// Those who answer for one holder, the operation that told them, and whether they are all.
struct Told<'a> {
    holder: &'a str,
    operation: &'a str,
    owners: &'a [Lenient<Owner>],
    whole: bool,
}

impl Accountable<'_> {
    /// Keeps those who answer for `holder`; says whether all were readable.
    fn keep(&self, walk: &Walk<'_>, told: &Told<'_>, people: &mut BTreeSet<String>) -> Result<bool, SinkError> {
        let Told { holder, operation, owners, whole } = *told;
        // Managed identities have no recorded owners by design: nothing is said of them.
        if !self.holders.contains(holder) {
            return Ok(true);
        }
        let holder_kind = (self.holder_kind)(holder);
        let (readable, broken) = readable(owners);
        let readable: Vec<&Owner> = readable.collect();
        if whole && !broken {
            // Pages may repeat items.
            let different: BTreeSet<&str> = readable.iter().map(|owner| owner.id.as_str()).collect();
            let count = i64::try_from(different.len()).unwrap_or(i64::MAX);
            let attrs = BTreeMap::from([(self.count.to_owned(), Value::Int(count))]);
            walk.node(walk.map.node(holder_kind, holder, operation, attrs))?;
        }
        for owner in readable {
            let Some((kind, id)) = owner_kind(owner, self.kinds) else { continue };
            if kind == NodeKind::Human {
                people.insert(id.clone());
            }
            let owner = walk.map.node(kind, &id, operation, BTreeMap::new());
            let held = walk.map.id(holder_kind, holder);
            walk.edge(walk.map.edge(owner.id.clone(), self.edge, held, operation))?;
            walk.node(owner)?;
        }
        Ok(!broken)
    }
}

/// Owners of applications or service principals; gives the people among them.
pub(crate) async fn owners(
    walk: &Walk<'_>,
    relation: &Relation<'_>,
    holder_kind: &(dyn Fn(&str) -> NodeKind + Sync),
    kinds: &HashMap<String, NodeKind>,
    tally: &mut Tally,
) -> BTreeSet<String> {
    let holders = relation.holders.iter().map(String::as_str).collect();
    let how = Accountable { edge: EdgeKind::Owns, count: attr::OWNER_COUNT, holder_kind, kinds, holders };
    let mut people = BTreeSet::new();
    let mut flawed = false;
    read::<WithOwners>(walk, relation, tally, |holder, operation, owners, whole| {
        flawed |= !how.keep(walk, &Told { holder, operation, owners, whole }, &mut people)?;
        Ok(())
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    people
}

/// The same by one read for each of `holders`; gives the people.
pub(crate) async fn accountable_singly(
    walk: &Walk<'_>,
    operation: &str,
    holders: &[String],
    how: &Accountable<'_>,
    tally: &mut Tally,
) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    let open: Vec<&String> = holders.iter().collect();
    singly::<WithOwners>(walk, operation, &open, tally, |holder, operation, owners, whole| {
        // Each one is a row of its own here: one that cannot be read is reported where it is read.
        how.keep(walk, &Told { holder, operation, owners, whole }, &mut people).map(drop)
    })
    .await;
    people
}

/// An owner of a type that is not known stays in the count and gives no edge: who it is, is then not known.
fn owner_kind(owner: &Owner, kinds: &HashMap<String, NodeKind>) -> Option<(NodeKind, String)> {
    let id = text::guid(&owner.id)?;
    let kind = match owner.kind.as_deref()? {
        "#microsoft.graph.user" => NodeKind::Human,
        "#microsoft.graph.group" => NodeKind::Group,
        "#microsoft.graph.servicePrincipal" => kinds.get(&id).copied().unwrap_or(NodeKind::ServicePrincipal),
        "#microsoft.graph.agentIdentity" => NodeKind::AgentIdentity,
        _ => return None,
    };
    Some((kind, id))
}

/// Federated credentials of applications; gives the applications that have one without a subject.
pub(crate) async fn federated_credentials(
    walk: &Walk<'_>,
    applications: &[String],
    tally: &mut Tally,
) -> BTreeSet<String> {
    let mut flexible = BTreeSet::new();
    let relation = Relation {
        list: "listApplicationFederatedCredentials",
        single: "listFederatedCredentialsOfApplication",
        holders: applications,
    };
    let mut flawed = false;
    read::<WithFederatedCredentials>(walk, &relation, tally, |holder, operation, items, _| {
        let (readable, broken) = readable(items);
        flawed |= broken;
        for item in readable {
            if item.subject.as_deref().is_none_or(str::is_empty) {
                flexible.insert(holder.to_owned());
            }
            match walk.map.federated_credential(holder, item, operation) {
                Some(rows) => {
                    walk.keep(rows)?;
                }
                None => flawed = true,
            }
        }
        Ok(())
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    flexible
}

/// The expressions that stand in place of subjects, which only another version of the API tells.
pub(crate) async fn flexible_credentials(walk: &Walk<'_>, applications: &BTreeSet<String>, tally: &mut Tally) {
    let operation = "listFlexibleCredentialsOfApplication";
    if !walk.accepts(operation, tally) {
        return;
    }
    let holders: Vec<String> = applications.iter().cloned().collect();
    let requests = walk.each(operation, &holders, tally);
    let mut answers = batch_by::<Page<FlexibleCredential>>(walk.engine, "batchBeta", &requests);
    while let Some((at, answer)) = answers.next().await {
        let holder = holders[at].as_str();
        match answer {
            Ok(page) => {
                walk_on(walk.engine, requests[at].clone(), page, tally, |wire: FlexibleCredential| {
                    let Ok(row) = walk.map.flexible_credential(holder, &wire) else { return Ok(None) };
                    if let Some(row) = row {
                        walk.node(row)?;
                    }
                    Ok(Some(format!("{holder}/{}", wire.id)))
                })
                .await;
            }
            Err(failure) if failure.cause == Cause::NotFound => {}
            Err(failure) => tally.report(failure),
        }
    }
}
