//! Lies and breakage: what a hostile or broken vendor would answer in place of the truth.

use serde_json::{Value, json};

use super::Call;
use super::content;
use super::reply::{GraphError, Payload};
use crate::faults::Hostile;
use crate::state::State;

/// Half a gigabyte.
const HUGE: u64 = 512 * 1024 * 1024;
const DEPTH: usize = 100_000;
/// A tenant that is not this one.
const FOREIGN_TENANT: &str = "6d1e2f3a-0bad-4bad-8bad-00000badcafe";

/// The lying answer.
pub(crate) fn answer(state: &State, call: &Call<'_>, lie: Hostile) -> Result<Payload, GraphError> {
    let Call { options, ask, .. } = *call;
    let raw = |content_type, body, slowly| Payload::Raw { content_type, body, slowly };
    match lie {
        Hostile::HugeBody => return Ok(Payload::Endless(HUGE)),
        Hostile::DeepJson => {
            let body = format!("{{\"value\":{}{}}}", "[".repeat(DEPTH), "]".repeat(DEPTH));
            return Ok(raw("application/json", body.into_bytes(), false));
        }
        Hostile::NotJson => {
            let page = "<!doctype html><title>Sign in</title><p>Your network requires you to sign in.";
            return Ok(raw("text/html", page.as_bytes().to_vec(), false));
        }
        _ => {}
    }
    let (mut body, page) = content::page(state, call)?;
    let graph = state.estate().file.tenant.cloud.graph();
    match lie {
        Hostile::NextlinkOtherOrigin => {
            body["@odata.nextLink"] = json!(format!(
                "https://graph.microsoft.com.attacker.example/{}/{}?$skiptoken=x",
                ask.version.name(),
                ask.path
            ));
        }
        Hostile::RepeatCursor => {
            body["@odata.nextLink"] = json!(content::next_link(graph, ask, options, &first(state, page)));
        }
        Hostile::EndlessPages => {
            body["@odata.nextLink"] = json!(content::next_link(graph, ask, options, &fresh(state, page)));
        }
        Hostile::ForeignTenant => foreign(&mut body),
        Hostile::SlowBody => return Ok(raw("application/json", body.to_string().into_bytes(), true)),
        Hostile::TruncatedBody => {
            let text = body.to_string().into_bytes();
            return Ok(raw("application/json", text[..text.len() / 2].to_vec(), false));
        }
        Hostile::HugeBody | Hostile::DeepJson | Hostile::NotJson => {}
    }
    Ok(Payload::Json(body))
}

/// The same token whatever page was asked for.
fn first(state: &State, page: Option<content::Page>) -> String {
    page.map(|page| {
        let mut cursor = page.cursor;
        (cursor.offset, cursor.given) = (0, i64::MAX / 2);
        cursor.seal(&state.page_secret)
    })
    .unwrap_or_default()
}

/// A new token each time, always for the first page.
fn fresh(state: &State, page: Option<content::Page>) -> String {
    page.map(|page| {
        let mut cursor = page.cursor;
        cursor.offset = 0;
        cursor.salt = Some(uuid::Uuid::new_v4().to_string());
        cursor.seal(&state.page_secret)
    })
    .unwrap_or_default()
}

/// The organisation is another one, and objects claim another home.
fn foreign(body: &mut Value) {
    let organisation = body["@odata.context"].as_str().is_some_and(|context| context.contains("#organization"));
    for row in body["value"].as_array_mut().into_iter().flatten() {
        if organisation {
            row["id"] = json!(FOREIGN_TENANT);
        } else if row.get("appOwnerOrganizationId").is_some() {
            row["appOwnerOrganizationId"] = json!(FOREIGN_TENANT);
        }
    }
}
