//! The people who own something, by their ids and no others: is the account there, may it sign in. Never a list of
//! users.

use std::collections::BTreeSet;

use sv0_connector::{Cause, Failure, Page, Param, Prepared, Tally, text, walk_on};

use crate::client::batch;
use crate::collect::Walk;
use crate::model::{DeletedUser, User, UserId};

/// Ids in one filter, by the vendor's limit.
const IDS: usize = 15;
/// The permission without which the account's state stays empty.
const PERMISSION: &str = "User.Read.All";

/// Accounts of `people`; gives the ids that no account was found for.
pub(crate) async fn accounts(walk: &Walk<'_>, people: &BTreeSet<String>, tally: &mut Tally) -> Vec<String> {
    let ids: Vec<String> = people.iter().cloned().collect();
    let chunks: Vec<&[String]> = ids.chunks(IDS).collect();
    let prepared: Result<Vec<Prepared>, _> = chunks
        .iter()
        .map(|chunk| walk.engine.guard().prepare("listReferencedUsers", &[("ids", Param::Ids(chunk))]))
        .collect();
    let requests = match prepared {
        Ok(requests) => requests,
        Err(refusal) => {
            tally.report(walk.engine.refused(&refusal));
            return Vec::new();
        }
    };
    let mut absent = Vec::new();
    let mut answers = batch::<Page<User>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        let page = match answer {
            Ok(page) => page,
            Err(failure) => {
                tally.report(failure);
                continue;
            }
        };
        let mut unreadable = false;
        walk_on(walk.engine, requests[at].clone(), page, tally, |wire: User| {
            let (Some(id), Some(row)) = (text::guid(&wire.id), walk.map.user(&wire)) else { return Ok(None) };
            // Accounts that were not asked for are not kept, whoever sends them.
            if !people.contains(&id) {
                return Ok(None);
            }
            unreadable |= wire.account_enabled.is_none();
            walk.node(row)?;
            Ok(Some(id))
        })
        .await;
        if unreadable {
            let permission = Some(PERMISSION.to_owned());
            tally.report(Failure { cause: Cause::PermissionMissing, permission, retry_after: None });
        }
        absent.extend(chunks[at].iter().filter(|id| !tally.has(id)).cloned());
    }
    absent
}

/// Those of `ids` that are people. Their ids are asked for and nothing else.
pub(crate) async fn among(walk: &Walk<'_>, ids: &BTreeSet<String>, tally: &mut Tally) -> BTreeSet<String> {
    let mut people = BTreeSet::new();
    let ids: Vec<String> = ids.iter().cloned().collect();
    let prepared: Result<Vec<Prepared>, _> = ids
        .chunks(IDS)
        .map(|chunk| walk.engine.guard().prepare("listRoleHolders", &[("ids", Param::Ids(chunk))]))
        .collect();
    let requests = match prepared {
        Ok(requests) => requests,
        Err(refusal) => {
            tally.report(walk.engine.refused(&refusal));
            return people;
        }
    };
    let mut pages = Tally::default();
    let mut answers = batch::<Page<UserId>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        match answer {
            Ok(page) => {
                walk_on(walk.engine, requests[at].clone(), page, &mut pages, |wire: UserId| {
                    let id = text::guid(&wire.id);
                    people.extend(id.clone());
                    Ok(id)
                })
                .await;
            }
            Err(failure) => pages.report(failure),
        }
    }
    (0..pages.pages()).for_each(|_| tally.page());
    if let Some(flaw) = pages.flaw() {
        tally.report(flaw.clone());
    }
    people
}

/// Looks for `absent` people in the recycle bin. Not there either: nothing is known of them.
pub(crate) async fn deleted(walk: &Walk<'_>, absent: &[String], tally: &mut Tally) {
    let prepared: Result<Vec<Prepared>, _> = absent
        .iter()
        .map(|id| walk.engine.guard().prepare("getDeletedUser", &[("id", Param::Id(id.as_str()))]))
        .collect();
    let requests = match prepared {
        Ok(requests) => requests,
        Err(refusal) => return tally.report(walk.engine.refused(&refusal)),
    };
    let mut answers = batch::<DeletedUser>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        let user = match answer {
            Ok(user) => user,
            Err(failure) if failure.cause == Cause::NotFound => continue,
            Err(failure) => {
                tally.report(failure);
                continue;
            }
        };
        let asked = text::guid(&user.id).as_deref() == Some(absent[at].as_str());
        match walk.map.deleted_user(&user).filter(|_| asked) {
            None => tally.report(Cause::ResponseMalformed),
            Some(row) => {
                tally.item(&absent[at]);
                if walk.node(row).is_err() {
                    tally.report(Cause::Internal);
                }
            }
        }
    }
}
