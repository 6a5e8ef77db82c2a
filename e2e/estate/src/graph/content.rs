//! Truthful content: which objects a request means, filtered, paged, expanded.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filter::Clause;
use super::options::{Expand, Options};
use super::page::Cursor;
use super::render::{Row, View, context};
use super::reply::GraphError;
use super::route::{Pick, Route, Set, Version};
use super::rows::{At, Rows};
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
    refuse_lagging(state, &estate, route)?;
    if let Some(row) = single(&estate, caller, route)? {
        let mut object = object(&view, row, options)?;
        let context = context(ask.version, &row.set_name(), options);
        object.insert("@odata.context".to_owned(), json!(format!("{context}/$entity")));
        if matches!(route, Route::DeletedItem(_)) {
            object.insert("@odata.type".to_owned(), json!(row.odata_type()));
        }
        return Ok((Value::Object(object), None));
    }
    let mut rows = rows(&estate, route, ask.body)?;
    if options.oldest_first == Some(true) {
        rows = rows.reverse();
    }
    for (index, clause) in options.clauses().iter().enumerate() {
        let kept = format!("{name}?{:?}", options.clauses().get(..=index));
        rows = filtered(&view, route, rows, (clause, &kept))?;
    }
    let (lost, halved) = {
        let faults = state.faults();
        (faults.lost_page(name), faults.is_halved(name))
    };
    if halved {
        rows.truncate(rows.len() / 2);
    }
    let address = format!("{}/{}?{}", ask.version.name(), ask.path, options.raw);
    let (cursor, rows) = cursor(state, &estate, (options, address), rows)?;
    let page = slice(rows.len(), &cursor, options, estate.file.server.max_page_size, lost)?;
    let value = (cursor.offset..page.cursor.offset)
        .filter_map(|index| rows.get(index))
        .map(|row| object(&view, row, options).map(Value::Object))
        .collect::<Result<Vec<_>, _>>()?;
    let mut body = Map::from_iter([("@odata.context".to_owned(), json!(context(ask.version, ask.path, options)))]);
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

/// An object that the replicas do not all have yet is not found, so many times.
fn refuse_lagging(state: &State, estate: &Estate, route: &Route) -> Result<(), GraphError> {
    let lagging = state.faults().lagging();
    if lagging.is_empty() {
        return Ok(());
    }
    let id = match route {
        Route::Item(set, pick) | Route::Owners(set, pick) | Route::Sponsors(set, pick) => {
            item(estate, *set, pick)?.id(estate).into_owned()
        }
        Route::AppRoleAssignedTo(pick) | Route::AppRoleAssignments(pick) => one_sp(estate, pick)?.id.clone(),
        Route::FederatedCredentials(_, pick) => one_app(estate, pick)?.id.clone(),
        Route::Group(id) | Route::GroupPrincipals(id) => id.clone(),
        _ => return Ok(()),
    };
    if lagging.contains(&id) {
        state.faults().missed(&id);
        return Err(GraphError::not_found(&id));
    }
    Ok(())
}

/// The address of the next page: the same list, options repeated, and the token.
pub(crate) fn next_link(graph: &str, ask: &Ask<'_>, options: &Options, token: &str) -> String {
    let join = if options.raw.is_empty() { "" } else { "&" };
    format!("{graph}/{}/{}?{}{join}$skiptoken={token}", ask.version.name(), ask.path, options.raw)
}

/// Where a list is to go on, and its rows as this list shows them from beginning to end.
fn cursor<'a>(
    state: &State,
    estate: &'a Estate,
    (options, list): (&Options, String),
    rows: Rows<'a>,
) -> Result<(Cursor, Rows<'a>), GraphError> {
    let (now, generation) = (Timestamp::now().as_second(), state.generation());
    let Some(token) = &options.skip_token else {
        let (rows, without) = rows.without(estate, &state.faults().lagging());
        for id in &without {
            state.faults().missed(id);
        }
        return Ok((Cursor { list, offset: 0, generation, given: now, without, salt: None }, rows));
    };
    let life = estate.file.server.page_token_seconds;
    let cursor = Cursor::open(token, &state.page_secret, &list, (now, life), generation)?;
    let (rows, _) = rows.without(estate, &cursor.without);
    Ok((cursor, rows))
}

fn slice(
    count: usize,
    cursor: &Cursor,
    options: &Options,
    most: usize,
    lost: Option<LostPage>,
) -> Result<Page, GraphError> {
    let mut size = options.top.unwrap_or(DEFAULT_PAGE).min(most.max(1));
    if lost.is_some() {
        // A list of one page has no last page to lose: make it two.
        size = size.min(count.div_ceil(2)).max(1);
    }
    let offset = (cursor.offset + size).min(count);
    let mut end = offset >= count;
    let first = cursor.offset == 0;
    match lost {
        Some(LostPage::Fails) if end && (!first || count <= 1) => return Err(GraphError::unavailable()),
        Some(LostPage::Silent) => end |= offset + size >= count,
        _ => {}
    }
    Ok(Page { cursor: Cursor { offset, given: Timestamp::now().as_second(), ..cursor.clone() }, end })
}

fn rows<'a>(estate: &'a Estate, route: &Route, body: &[u8]) -> Result<Rows<'a>, GraphError> {
    let (file, positions) = (&estate.file, &estate.positions);
    let app: At<'a> = |estate, at| estate.file.applications.get(at).map(Row::App);
    let sp: At<'a> = |estate, at| estate.file.service_principals.get(at).map(Row::Sp);
    let user: At<'a> = |estate, at| estate.file.users.get(at).map(Row::User);
    Ok(match route {
        Route::List(Set::Applications) => Rows::these(estate, &positions.applications, app),
        Route::List(Set::ServicePrincipals) => Rows::these(estate, &positions.service_principals, sp),
        Route::List(Set::Users) => Rows::these(estate, &positions.users, user),
        Route::Deleted(Set::Applications) => Rows::these(estate, &positions.deleted_applications, app),
        Route::Deleted(Set::ServicePrincipals) => Rows::these(estate, &positions.deleted_service_principals, sp),
        Route::Deleted(Set::Users) => Rows::these(estate, &positions.deleted_users, user),
        Route::Blueprints => Rows::these(estate, &positions.blueprints, app),
        Route::Agents => {
            Rows::these(estate, &positions.agents, |estate, at| estate.file.service_principals.get(at).map(Row::Agent))
        }
        Route::PrincipalActivity => Rows::these(estate, &positions.active, |estate, at| {
            estate.file.service_principals.get(at).map(Row::Principal)
        }),
        Route::CredentialActivity => {
            Rows::all(estate, estate.used.len(), |estate, at| estate.used.get(at).copied().map(Row::CredentialUse))
        }
        Route::DirectoryAudits => {
            Rows::all(estate, estate.audits.len(), |estate, at| estate.audits.get(at).map(Row::Audit))
        }
        Route::RoleDefinitions => {
            Rows::all(estate, estate.roles.len(), |estate, at| estate.roles.get(at).map(Row::RoleDefinition))
        }
        Route::RoleAssignments => Rows::all(estate, file.directory_role_assignments.len(), |estate, at| {
            estate.file.directory_role_assignments.get(at).map(Row::RoleAssignment)
        }),
        Route::RoleSchedule => Rows::all(estate, file.directory_role_assignments.len(), |estate, at| {
            estate.file.directory_role_assignments.get(at).map(Row::Schedule)
        }),
        Route::RoleEligibility => Rows::all(estate, file.eligible_roles.len(), |estate, at| {
            estate.file.eligible_roles.get(at).map(Row::Eligible)
        }),
        Route::DelegatedGrants => Rows::all(estate, file.delegated_grants.len(), |estate, at| {
            estate.file.delegated_grants.get(at).map(Row::Delegated)
        }),
        route => Rows::List(short(estate, route, body)?),
    })
}

/// Lists that belong to one object, or are short for another reason.
fn short<'a>(estate: &'a Estate, route: &Route, body: &[u8]) -> Result<Vec<Row<'a>>, GraphError> {
    Ok(match route {
        Route::Organization => vec![Row::Organization],
        Route::SubscribedSkus => super::governance::skus(estate).into_iter().map(Row::Sku).collect(),
        Route::CredentialPolicies => estate
            .file
            .tenant
            .custom_credential_policies
            .iter()
            .enumerate()
            .map(|(at, one)| Row::Policy(at, one))
            .collect(),
        Route::Owners(set, pick) => owners(estate, item(estate, *set, pick)?),
        Route::Sponsors(set, pick) => sponsors(estate, item(estate, *set, pick)?)?,
        Route::AppRoleAssignedTo(pick) => estate.assigned_to(&one_sp(estate, pick)?.id).map(Row::Grant).collect(),
        Route::AppRoleAssignments(pick) => estate.assigned_from(&one_sp(estate, pick)?.id).map(Row::Grant).collect(),
        Route::FederatedCredentials(version, pick) => {
            let credentials = one_app(estate, pick)?.federated_credentials.iter();
            match version {
                Version::V1 => credentials.map(Row::Federated).collect(),
                Version::Beta => credentials.map(Row::Flexible).collect(),
            }
        }
        Route::GroupPrincipals(id) => {
            let group = estate.group(id).ok_or_else(|| GraphError::not_found(id))?;
            estate.transitive_principals(group).into_iter().map(Row::Sp).collect()
        }
        Route::GetByIds => by_ids(estate, body)?,
        _ => Vec::new(),
    })
}

/// Sponsors of an agent or a blueprint; nothing else has the property.
fn sponsors<'a>(estate: &'a Estate, row: Row<'a>) -> Result<Vec<Row<'a>>, GraphError> {
    match row {
        Row::App(app) if app.agent_blueprint => Ok(owners_by_id(estate, &app.sponsors)),
        Row::Sp(sp) if sp.blueprint.is_some() => Ok(owners_by_id(estate, &sp.sponsors)),
        row => Err(GraphError::not_found(&row.id(estate))),
    }
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
        (Kind::Group, id) => estate.group(id).map(Row::Group),
    };
    Ok(body.ids.iter().filter_map(one).collect())
}

/// The object that a route for one object means.
fn single<'a>(estate: &'a Estate, caller: &Caller, route: &Route) -> Result<Option<Row<'a>>, GraphError> {
    match route {
        Route::Item(set, pick) => item(estate, *set, pick).map(Some),
        Route::DeletedItem(id) => deleted_item(estate, caller, id).map(Some),
        Route::Group(id) => {
            estate.group(id).map(|group| Some(Row::Group(group))).ok_or_else(|| GraphError::not_found(id))
        }
        Route::TenantCredentialPolicy => Ok(Some(Row::TenantPolicy(&estate.file.tenant.credential_policy))),
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

/// The rows that a condition keeps; `kept` names the list and all conditions so far.
fn filtered<'a>(
    view: &View<'_>,
    route: &Route,
    rows: Rows<'a>,
    (clause, kept): (&Clause, &str),
) -> Result<Rows<'a>, GraphError> {
    let refuse = |what: &str| {
        GraphError::unsupported_query(&format!(
            "Unsupported or invalid query filter clause specified for property '{what}'."
        ))
    };
    let known = |property: &str| {
        if filterable(route).contains(&property) { Ok(()) } else { Err(refuse(property)) }
    };
    Ok(match clause {
        Clause::Count { navigation, is, number } => {
            if !countable(route).contains(&navigation.as_str()) {
                return Err(refuse(navigation));
            }
            let count = |row: Row<'_>| match row {
                Row::App(app) if navigation == "federatedIdentityCredentials" => app.federated_credentials.len(),
                row => owners(view.estate, row).len(),
            };
            rows.keep(kept, |row| (count(*row) == *number) == *is)
        }
        Clause::In { property, values } => {
            known(property)?;
            match set_of(route).filter(|_| property == "id") {
                Some(kind) => rows.pick(values.iter().filter_map(|id| view.estate.position(kind, id)).collect()),
                None => {
                    rows.keep(kept, |row| row.property(view, property).is_some_and(|value| values.contains(&value)))
                }
            }
        }
        Clause::Is { property, is, value } => {
            known(property)?;
            rows.keep(kept, |row| (row.property(view, property).as_ref() == Some(value)) == *is)
        }
        Clause::Time { property, least, instant } => {
            if !matches!(route, Route::DirectoryAudits) || property != "activityDateTime" {
                return Err(refuse(property));
            }
            rows.keep(kept, |row| match row {
                Row::Audit(audit) => {
                    if *least {
                        audit.at >= *instant
                    } else {
                        audit.at <= *instant
                    }
                }
                _ => false,
            })
        }
        Clause::Any { collection, property, value } => {
            let path = format!("{collection}/{property}");
            known(&path)?;
            rows.keep(kept, |row| row.property(view, &path).as_ref() == Some(value))
        }
    })
}

/// What a list holds whose rows can be found by id.
fn set_of(route: &Route) -> Option<Kind> {
    match route {
        Route::List(Set::Applications) => Some(Kind::Application),
        Route::List(Set::ServicePrincipals) => Some(Kind::ServicePrincipal),
        Route::List(Set::Users) => Some(Kind::User),
        _ => None,
    }
}

fn filterable(route: &Route) -> &'static [&'static str] {
    match route {
        Route::List(Set::Applications) => &["id", "appId", "displayName", "signInAudience"],
        Route::List(Set::ServicePrincipals) => {
            &["id", "appId", "displayName", "servicePrincipalType", "accountEnabled"]
        }
        Route::List(Set::Users) => &["id", "userPrincipalName", "accountEnabled", "userType"],
        Route::RoleAssignments | Route::RoleEligibility => &["principalId", "roleDefinitionId", "directoryScopeId"],
        Route::RoleSchedule => &["principalId", "roleDefinitionId", "directoryScopeId", "assignmentType"],
        Route::RoleDefinitions => &["id", "displayName", "isBuiltIn"],
        Route::DelegatedGrants => &["clientId", "consentType", "principalId", "resourceId", "scope"],
        Route::PrincipalActivity => &["appId"],
        Route::CredentialActivity => &["appId", "keyId"],
        Route::DirectoryAudits => &[
            "activityDisplayName",
            "category",
            "loggedByService",
            "result",
            "initiatedBy/user/id",
            "initiatedBy/user/displayName",
            "initiatedBy/user/userPrincipalName",
            "initiatedBy/app/appId",
            "initiatedBy/app/displayName",
            "targetResources/id",
            "targetResources/displayName",
        ],
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
