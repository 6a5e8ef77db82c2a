//! Walks a list page by page into a [`Tally`], with every bound that a lying list could break.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::guard::Prepared;
use crate::json::Lenient;
use crate::{Cause, Engine, Failure, SinkError, Tally};

/// One page of an OData list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// The items. A page without this field is malformed.
    pub value: Vec<Lenient<T>>,
    /// Where the next page is.
    #[serde(rename = "@odata.nextLink", default)]
    pub next_link: Option<String>,
    /// How many items the whole list has, when that was asked for.
    #[serde(rename = "@odata.count", default)]
    pub count: Option<u64>,
}

/// Reads the list that starts with `first`. `each` maps one item and says its id, or nothing when the item lacks what
/// it must have. All that goes wrong is reported to `tally`. A page token that expired restarts the list once:
/// rows repeat then, and equal rows are one.
pub async fn walk<T: DeserializeOwned>(
    engine: &Engine,
    first: Prepared,
    tally: &mut Tally,
    mut each: impl FnMut(T) -> Result<Option<String>, SinkError>,
) {
    let mut restarted = false;
    loop {
        match read_through(engine, first.clone(), tally, &mut each).await {
            Ok(()) => return,
            Err(failure) if failure.cause == Cause::PageExpired && !restarted => restarted = true,
            Err(failure) => return tally.report(failure),
        }
    }
}

async fn read_through<T: DeserializeOwned>(
    engine: &Engine,
    first: Prepared,
    tally: &mut Tally,
    each: &mut impl FnMut(T) -> Result<Option<String>, SinkError>,
) -> Result<(), Failure> {
    let mut cursors = HashSet::new();
    let mut declared = None;
    let mut request = first;
    loop {
        if tally.pages() >= engine.limits().max_pages {
            return Err(Cause::ResponseRefused.into());
        }
        let page: Page<T> = engine.json(&request).await?;
        declared = declared.or(page.count);
        let next = accept_page(page, tally, &mut *each)?;
        let Some(link) = next else { break };
        if !cursors.insert(link.clone()) {
            return Err(Cause::ResponseRefused.into());
        }
        request = engine.guard().follow(&request, &link).map_err(|refusal| engine.refused(&refusal))?;
    }
    if declared.is_some_and(|declared| tally.items() < declared) {
        return Err(Cause::LastPageLost.into());
    }
    Ok(())
}

/// Takes one page into the account and gives the link to the next.
pub fn accept_page<T>(
    page: Page<T>,
    tally: &mut Tally,
    mut each: impl FnMut(T) -> Result<Option<String>, SinkError>,
) -> Result<Option<String>, Failure> {
    tally.page();
    for item in page.value {
        let id = match item {
            Lenient::Item(item) => each(item).map_err(|_| Cause::Internal)?,
            Lenient::Broken => None,
        };
        match id {
            Some(id) => {
                tally.item(&id);
            }
            None => tally.report(Cause::ResponseMalformed),
        }
    }
    Ok(page.next_link)
}
