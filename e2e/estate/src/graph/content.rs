//! Truthful content: which objects a request means, filtered, paged, expanded.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filter::Clause;
use super::options::{Expand, Options};
use super::page::Cursor;
use super::render::{Row, View, context};
use super::reply::GraphError;
use super::route::{Pick, Route, Set};
use super::{Ask, Call, Caller};
use crate::estate::{Estate, Kind};
use crate::faults::LostPage;
use crate::spec::{Application, ServicePrincipal};
use crate::state::State;

/// Rows per page when `$top` says nothing.
const DEFAULT_PAGE: usize = 100;
/// Related objects in an `$expand`: the rest is left out without a word.
const MAX_EXPANDED: usize = 20;
/// Ids in one `getByIds`.
const MAX_IDS: usize = 1000;

/// Where a list stands in its pages.
pub(crate) struct Page {
    pub(crate) cursor: Cursor,
    pub(crate) end: bool,
}

/// The body of a truthful answer.
pub(crate) fn answer(state: &State, call: &Call<'_>) -> Result<Value, GraphError> {
    page(state, call).map(|(value, _)| value)
}

/// The body, and for a list where it stands.
pub(crate) fn page(state: &State, call: &Call<'_>) -> Result<(Value, Option<Page>), GraphError> {
    let Call { caller, route, name, options, ask } = *call;
    let estate = state.estate();
    let view = View { estate: &estate, people: caller.may_read_people(), cluster_issuer: state.issuers.shown() };
    if let Some(row) = single(&estate, caller, route)? {
        let mut object = object(&view, row, options)?;
        object.insert("@odata.context".to_owned(), json!(format!("{}/$entity", context(&row.set_name(), options))));
        if matches!(route, Route::DeletedItem(_)) {
            object.insert("@odata.type".to_owned(), json!(row.odata_type()));
        }
        return Ok((Value::Object(object), None));
    }
    let mut rows = rows(&estate, route, ask.body)?;
    for clause in options.clauses() {
        rows = filtered(&view, route, rows, clause)?;
    }
    let (lost, halved) = {
        let faults = state.faults();
        (faults.lost_page(name), faults.is_halved(name))
    };
    if halved {
        rows.truncate(rows.len() / 2);
    }
    let address = format!("{}?{}", ask.path, options.raw);
    let cursor = cursor(state, &estate, options, address)?;
    let page = slice(&rows, &cursor, options, estate.file.server.max_page_size, lost)?;
    let value = rows
        .get(cursor.offset..page.cursor.offset)
        .unwrap_or_default()
        .iter()
        .map(|row| object(&view, *row, options).map(Value::Object))
        .collect::<Result<Vec<_>, _>>()?;
    let mut body = Map::from_iter([("@odata.context".to_owned(), json!(context(ask.path, options)))]);
    if options.count && cursor.offset == 0 {
        body.insert("@odata.count".to_owned(), json!(rows.len()));
    }
    if !page.end {
        body.insert(
            "@odata.nextLink".to_owned(),
            json!(next_link(estate.file.tenant.cloud.graph(), ask, options, &page.cursor.seal(&state.page_secret))),
        );
    }
    body.insert("value".to_owned(), Value::Array(value));
    Ok((Value::Object(body), Some(page)))
}

/// The address of the next page: the same list, options repeated, and the token.
pub(crate) fn next_link(graph: &str, ask: &Ask<'_>, options: &Options, token: &str) -> String {
    let join = if options.raw.is_empty() { "" } else { "&" };
    format!("{graph}/v1.0/{}?{}{join}$skiptoken={token}", ask.path, options.raw)
}

fn cursor(state: &State, estate: &Estate, options: &Options, list: String) -> Result<Cursor, GraphError> {
    let (now, generation) = (Timestamp::now().as_second(), state.generation());
    match &options.skip_token {
        Some(token) => {
            let life = estate.file.server.page_token_seconds;
            Cursor::open(token, &state.page_secret, &list, (now, life), generation)
        }
        None => Ok(Cursor { list, offset: 0, generation, given: now, salt: None }),
    }
}

fn slice(
    rows: &[Row<'_>],
    cursor: &Cursor,
    options: &Options,
    most: usize,
    lost: Option<LostPage>,
) -> Result<Page, GraphError> {
    let mut size = options.top.unwrap_or(DEFAULT_PAGE).min(most.max(1));
    if lost.is_some() {
        // A list of one page has no last page to lose: make it two.
        size = size.min(rows.len().div_ceil(2)).max(1);
    }
    let offset = (cursor.offset + size).min(rows.len());
    let mut end = offset >= rows.len();
    let first = cursor.offset == 0;
    match lost {
        Some(LostPage::Fails) if end && (!first || rows.len() <= 1) => return Err(GraphError::unavailable()),
        Some(LostPage::Silent) => end |= offset + size >= rows.len(),
        _ => {}
    }
    Ok(Page { cursor: Cursor { offset, given: Timestamp::now().as_second(), ..cursor.clone() }, end })
}

fn rows<'a>(estate: &'a Estate, route: &Route, body: &[u8]) -> Result<Vec<Row<'a>>, GraphError> {
    let file = &estate.file;
    Ok(match route {
        Route::Organization => vec![Row::Organization],
        Route::List(Set::Applications) => {
            file.applications.iter().filter(|app| app.deleted.is_none()).map(Row::App).collect()
        }
        Route::List(Set::ServicePrincipals) => {
            file.service_principals.iter().filter(|sp| sp.deleted.is_none()).map(Row::Sp).collect()
        }
        Route::List(Set::Users) => file.users.iter().filter(|user| user.deleted.is_none()).map(Row::User).collect(),
        Route::Deleted(Set::Applications) => {
            file.applications.iter().filter(|app| app.deleted.is_some()).map(Row::App).collect()
        }
        Route::Deleted(Set::ServicePrincipals) => {
            file.service_principals.iter().filter(|sp| sp.deleted.is_some()).map(Row::Sp).collect()
        }
        Route::Deleted(Set::Users) => file.users.iter().filter(|user| user.deleted.is_some()).map(Row::User).collect(),
        Route::Owners(set, pick) => owners(estate, item(estate, *set, pick)?),
        Route::AppRoleAssignedTo(pick) => estate.assigned_to(&one_sp(estate, pick)?.id).map(Row::Grant).collect(),
        Route::AppRoleAssignments(pick) => estate.assigned_from(&one_sp(estate, pick)?.id).map(Row::Grant).collect(),
        Route::FederatedCredentials(pick) => {
            one_app(estate, pick)?.federated_credentials.iter().map(Row::Federated).collect()
        }
        Route::RoleDefinitions => estate.roles.iter().map(Row::RoleDefinition).collect(),
        Route::RoleAssignments => file.directory_role_assignments.iter().map(Row::RoleAssignment).collect(),
        Route::GetByIds => by_ids(estate, body)?,
        Route::Item(..) | Route::DeletedItem(_) | Route::Batch => Vec::new(),
    })
}

fn owners<'a>(estate: &'a Estate, row: Row<'a>) -> Vec<Row<'a>> {
    let owners = match row {
        Row::App(app) => &app.owners,
        Row::Sp(sp) => &sp.owners,
        _ => return Vec::new(),
    };
    owners_by_id(estate, owners)
}

/// Related objects that still exist, as Graph shows them.
fn owners_by_id<'a>(estate: &'a Estate, ids: &'a [String]) -> Vec<Row<'a>> {
    estate.owners(ids).map(Row::Owner).collect()
}

fn by_ids<'a>(estate: &'a Estate, body: &[u8]) -> Result<Vec<Row<'a>>, GraphError> {
    #[derive(Deserialize)]
    struct Body {
        ids: Vec<String>,
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| GraphError::bad_request("Expected a list of ids."))?;
    if body.ids.len() > MAX_IDS {
        return Err(GraphError::bad_request("Too many ids: at most 1000."));
    }
    let one = |id: &String| match estate.lookup(id)? {
        (Kind::User, id) => estate.user(id).filter(|user| user.deleted.is_none()).map(Row::User),
        (Kind::Application, id) => estate.application(id).filter(|app| app.deleted.is_none()).map(Row::App),
        (Kind::ServicePrincipal, id) => estate.service_principal(id).filter(|sp| sp.deleted.is_none()).map(Row::Sp),
    };
    Ok(body.ids.iter().filter_map(one).collect())
}

/// The object that a route for one object means.
fn single<'a>(estate: &'a Estate, caller: &Caller, route: &Route) -> Result<Option<Row<'a>>, GraphError> {
    match route {
        Route::Item(set, pick) => item(estate, *set, pick).map(Some),
        Route::DeletedItem(id) => deleted_item(estate, caller, id).map(Some),
        _ => Ok(None),
    }
}

/// An object of the recycle bin; which permission is needed depends on what it is.
fn deleted_item<'a>(estate: &'a Estate, caller: &Caller, id: &str) -> Result<Row<'a>, GraphError> {
    let user = estate.user(id).filter(|user| user.deleted.is_some()).map(|user| (Row::User(user), Set::Users));
    let app =
        || estate.application(id).filter(|app| app.deleted.is_some()).map(|app| (Row::App(app), Set::Applications));
    let sp = || {
        estate.service_principal(id).filter(|sp| sp.deleted.is_some()).map(|sp| (Row::Sp(sp), Set::ServicePrincipals))
    };
    match user.or_else(app).or_else(sp) {
        Some((_, set)) if !caller.may(Route::Deleted(set).permissions()) => Err(GraphError::denied()),
        Some((row, _)) => Ok(row),
        None => Err(GraphError::not_found(id)),
    }
}

fn item<'a>(estate: &'a Estate, set: Set, pick: &Pick) -> Result<Row<'a>, GraphError> {
    match set {
        Set::Applications => one_app(estate, pick).map(Row::App),
        Set::ServicePrincipals => one_sp(estate, pick).map(Row::Sp),
        Set::Users => {
            let (Pick::Id(id) | Pick::AppId(id)) = pick;
            estate
                .user(id)
                .filter(|user| user.deleted.is_none())
                .map(Row::User)
                .ok_or_else(|| GraphError::not_found(id))
        }
    }
}

fn one_app<'a>(estate: &'a Estate, pick: &Pick) -> Result<&'a Application, GraphError> {
    let (found, id) = match pick {
        Pick::Id(id) => (estate.application(id).filter(|app| app.deleted.is_none()), id),
        Pick::AppId(id) => (estate.application_by_app_id(id), id),
    };
    found.ok_or_else(|| GraphError::not_found(id))
}

fn one_sp<'a>(estate: &'a Estate, pick: &Pick) -> Result<&'a ServicePrincipal, GraphError> {
    let (found, id) = match pick {
        Pick::Id(id) => (estate.service_principal(id).filter(|sp| sp.deleted.is_none()), id),
        Pick::AppId(id) => (estate.service_principal_by_app_id(id), id),
    };
    found.ok_or_else(|| GraphError::not_found(id))
}

fn object(view: &View<'_>, row: Row<'_>, options: &Options) -> Result<Map<String, Value>, GraphError> {
    let mut object = row.shown(view, options.select.as_deref())?;
    if let Some(expand) = &options.expand {
        object.insert(expand.navigation.clone(), expanded(view, row, expand)?);
    }
    Ok(object)
}

fn expanded(view: &View<'_>, row: Row<'_>, expand: &Expand) -> Result<Value, GraphError> {
    if let Row::RoleAssignment(assignment) = row {
        let principal = owners_by_id(view.estate, std::slice::from_ref(&assignment.principal)).pop();
        let shown = principal.map(|row| row.shown(view, expand.select.as_deref())).transpose()?;
        return Ok(shown.map_or(Value::Null, Value::Object));
    }
    let related: Vec<Row<'_>> = match (expand.navigation.as_str(), row) {
        ("owners", row) => owners(view.estate, row),
        ("federatedIdentityCredentials", Row::App(app)) => {
            app.federated_credentials.iter().map(Row::Federated).collect()
        }
        ("appRoleAssignments", Row::Sp(sp)) => view.estate.assigned_from(&sp.id).map(Row::Grant).collect(),
        _ => Vec::new(),
    };
    let shown =
        related.into_iter().take(MAX_EXPANDED).map(|row| row.shown(view, expand.select.as_deref()).map(Value::Object));
    Ok(Value::Array(shown.collect::<Result<_, _>>()?))
}

fn filtered<'a>(
    view: &View<'_>,
    route: &Route,
    rows: Vec<Row<'a>>,
    clause: &Clause,
) -> Result<Vec<Row<'a>>, GraphError> {
    let refuse = |what: &str| {
        GraphError::unsupported_query(&format!(
            "Unsupported or invalid query filter clause specified for property '{what}'."
        ))
    };
    match clause {
        Clause::Count { navigation, is, number } => {
            if !countable(route).contains(&navigation.as_str()) {
                return Err(refuse(navigation));
            }
            let count = |row: Row<'_>| match row {
                Row::App(app) if navigation == "federatedIdentityCredentials" => app.federated_credentials.len(),
                row => owners(view.estate, row).len(),
            };
            Ok(rows.into_iter().filter(|row| (count(*row) == *number) == *is).collect())
        }
        Clause::In { property, values } => {
            if !filterable(route).contains(&property.as_str()) {
                return Err(refuse(property));
            }
            let keep = |row: &Row<'_>| row.property(view, property).is_some_and(|value| values.contains(&value));
            Ok(rows.into_iter().filter(keep).collect())
        }
        Clause::Is { property, is, value } => {
            if !filterable(route).contains(&property.as_str()) {
                return Err(refuse(property));
            }
            let keep = |row: &Row<'_>| (row.property(view, property).as_ref() == Some(value)) == *is;
            Ok(rows.into_iter().filter(keep).collect())
        }
    }
}

fn filterable(route: &Route) -> &'static [&'static str] {
    match route {
        Route::List(Set::Applications) => &["id", "appId", "displayName", "signInAudience"],
        Route::List(Set::ServicePrincipals) => {
            &["id", "appId", "displayName", "servicePrincipalType", "accountEnabled"]
        }
        Route::List(Set::Users) => &["id", "userPrincipalName", "accountEnabled", "userType"],
        Route::RoleAssignments => &["principalId", "roleDefinitionId", "directoryScopeId"],
        Route::RoleDefinitions => &["id", "displayName", "isBuiltIn"],
        _ => &[],
    }
}

fn countable(route: &Route) -> &'static [&'static str] {
    match route {
        Route::List(Set::Applications) => &["owners", "federatedIdentityCredentials"],
        Route::List(Set::ServicePrincipals) => &["owners"],
        _ => &[],
    }
}
