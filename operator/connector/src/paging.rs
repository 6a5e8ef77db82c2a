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
        match from_the_start(engine, &first, tally, &mut each).await {
            Ok(()) => return,
            Err(failure) if failure.cause == Cause::PageExpired && !restarted => restarted = true,
            Err(failure) => return tally.report(failure),
        }
    }
}

/// Goes on after `page`, which answered `first` by another way (inside an envelope).
pub async fn walk_on<T: DeserializeOwned>(
    engine: &Engine,
    first: Prepared,
    page: Page<T>,
    tally: &mut Tally,
    mut each: impl FnMut(T) -> Result<Option<String>, SinkError>,
) {
    if let Err(failure) = from_page(engine, first, page, tally, &mut each).await {
        tally.report(failure);
    }
}

async fn from_the_start<T: DeserializeOwned>(
    engine: &Engine,
    first: &Prepared,
    tally: &mut Tally,
    each: &mut impl FnMut(T) -> Result<Option<String>, SinkError>,
) -> Result<(), Failure> {
    let page: Page<T> = engine.json(first).await?;
    let declared = page.count;
    from_page(engine, first.clone(), page, tally, each).await?;
    if declared.is_some_and(|declared| tally.items() < declared) {
        return Err(Cause::LastPageLost.into());
    }
    Ok(())
}

async fn from_page<T: DeserializeOwned>(
    engine: &Engine,
    mut request: Prepared,
    mut page: Page<T>,
    tally: &mut Tally,
    each: &mut impl FnMut(T) -> Result<Option<String>, SinkError>,
) -> Result<(), Failure> {
    let mut cursors = HashSet::new();
    loop {
        let Some(link) = accept_page(page, tally, &mut *each)? else { return Ok(()) };
        // A list may neither run in circles nor go on for ever.
        if !cursors.insert(link.clone()) || cursors.len() as u64 >= engine.limits().max_pages {
            return Err(Cause::ResponseRefused.into());
        }
        request = engine.guard().follow(&request, &link).map_err(|refusal| engine.refused(&refusal))?;
        page = engine.json(&request).await?;
    }
}

/// Takes one page into the account and gives the link to the next.
fn accept_page<T>(
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
