//! Groups that hold a role, and the principals that are their members. No other group is looked at, and no person in it.

use std::collections::{BTreeSet, HashMap};

use sv0_connector::{Cause, Page, Tally, text, walk_on};
use sv0_graph::{EdgeKind, NodeKind};

use crate::client::batch;
use crate::collect::Walk;
use crate::model::{Group, Member};

/// What the vendor says of `groups`.
pub(crate) async fn groups(walk: &Walk<'_>, groups: &[String], tally: &mut Tally) {
    if !walk.accepts("getGroup", tally) {
        return;
    }
    let requests = walk.each("getGroup", groups, tally);
    let mut answers = batch::<Group>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        let group = match answer {
            Ok(group) => group,
            // Deleted since its role was listed, or no group at all.
            Err(failure) if failure.cause == Cause::NotFound => continue,
            Err(failure) => {
                tally.report(failure);
                continue;
            }
        };
        let asked = text::guid(&group.id).as_deref() == Some(groups[at].as_str());
        match walk.map.group(&group).filter(|_| asked).map(|row| walk.node(row)) {
            Some(Ok(())) => {
                tally.item(&groups[at]);
            }
            Some(Err(_)) => tally.report(Cause::Internal),
            None => tally.report(Cause::ResponseMalformed),
        }
    }
}

/// Principals that are members of `groups`, at whatever depth. A group counts as read when all of them came.
pub(crate) async fn members(walk: &Walk<'_>, groups: &[String], kinds: &HashMap<String, NodeKind>, tally: &mut Tally) {
    let operation = "listServicePrincipalsOfGroup";
    if !walk.accepts(operation, tally) {
        return;
    }
    let requests = walk.each(operation, groups, tally);
    let mut answers = batch::<Page<Member>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        let page = match answer {
            Ok(page) => page,
            Err(failure) if failure.cause == Cause::NotFound => continue,
            Err(failure) => {
                tally.report(failure);
                continue;
            }
        };
        let declared = page.count;
        let mut one = Tally::default();
        walk_on(walk.engine, requests[at].clone(), page, &mut one, |wire: Member| {
            let Some(id) = text::guid(&wire.id) else { return Ok(None) };
            let kind = kinds.get(&id).copied().unwrap_or(NodeKind::ServicePrincipal);
            let (from, to) = (walk.map.id(kind, &id), walk.map.id(NodeKind::Group, &groups[at]));
            walk.edge(walk.map.edge(from, EdgeKind::MemberOf, to, operation))?;
            Ok(Some(id))
        })
        .await;
        if declared.is_some_and(|declared| one.items() < declared) {
            one.report(Cause::LastPageLost);
        }
        (0..one.pages()).for_each(|_| tally.page());
        match one.flaw() {
            Some(flaw) => tally.report(flaw.clone()),
            None => {
                tally.item(&groups[at]);
            }
        }
    }
}

/// In the order of their ids.
pub(crate) fn sorted(some: BTreeSet<String>, more: BTreeSet<String>) -> Vec<String> {
    some.into_iter().chain(more).collect::<BTreeSet<_>>().into_iter().collect()
}
