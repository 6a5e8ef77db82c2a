//! The control listener of tests: counters, replacement of the estate, changes, faults.
//!
//! Plain HTTP, for the machine or pod itself; whoever reaches it owns the simulated tenant.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::routing::{get, post, put};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::estate::{Estate, EstateError, census};
use crate::faults::{Expiry, Fault, Faults, Hostile, Lag, LostPage, Revocation};
use crate::generate::{self, Wanted};
use crate::spec::{AppRoleAssignment, EstateFile, PasswordCredential, SecretText};
use crate::state::{Counters, State};
use crate::when::When;
use crate::wire;

/// Room for an estate of 100,000 applications.
const MAX_ESTATE_BYTES: usize = 512 * 1024 * 1024;
/// Largest estate that is generated on request.
const MAX_GENERATED_APPS: usize = 100_000;

/// One change. Fields may be combined; they take effect together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mutation {
    /// The application that the changes of permissions and credentials mean, by key, object id or client id;
    /// default the estate's `operatorApp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Changes a user's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserChange>,
    /// Takes a Graph permission away; tokens already issued keep it, as they do at the vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_permission: Option<String>,
    /// Grants a Graph permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_permission: Option<String>,
    /// Lets every secret of the application have ended yesterday.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_secret: Option<bool>,
    /// Adds a client secret with this value, valid for a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_secret: Option<SecretText>,
    /// Disables the application (or enables it again).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_app: Option<bool>,
    /// Deletes the service principal (or restores it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_missing: Option<bool>,
    /// Deletes application and service principal (or restores them).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_missing: Option<bool>,
    /// Adds an error to a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Loses the last page of this route: its request fails with 503 until faults are cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_last_page: Option<String>,
    /// Loses the last page of this route without a word: the page before it has no next link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lose_last_page: Option<String>,
    /// Shows only half of this route's rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halve: Option<String>,
    /// Redirects every Graph request to this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Lies on lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostile: Option<Hostile>,
    /// The route that lies; default `applications` (`organization` too for `foreign-tenant`); `*` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostile_route: Option<String>,
    /// Hides a new object from the first reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<Lag>,
    /// Lets the access tokens in use end in the middle of a scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_tokens: Option<Expiry>,
    /// Takes a Graph permission of `app` away in the middle of a scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoke_during: Option<Revocation>,
    /// Puts the vendor's clock ahead by so many seconds (or, negative, back): the `Date` header says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_seconds: Option<i64>,
    /// Makes page tokens given so far expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_page_tokens: Option<bool>,
}

/// A change of a user's account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UserChange {
    /// Key or object id.
    pub id: String,
    /// Whether the account may sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_enabled: Option<bool>,
    /// Deletes the account (or restores it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
}

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// It names nothing.
    #[error("there is no {what} `{name}` in the estate: use a key, an object id or a client id of the file")]
    Missing {
        /// Kind of object.
        what: &'static str,
        /// What was named.
        name: String,
    },
    /// The estate would not hold together.
    #[error(transparent)]
    Estate(#[from] EstateError),
}

/// The routes of the control listener.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/counters", get(counters))
        .route("/expectations", get(expectations))
        .route("/tenant", get(tenant))
        .route("/ca", get(|Shared(state): Shared<Arc<State>>| async move { state.ca_pem.clone() }))
        .route("/reset-counters", post(reset_counters))
        .route("/clear-faults", post(clear_faults))
        .route("/estate", put(replace))
        .route("/generate", post(generated))
        .route("/mutate", post(mutate))
        .layer(DefaultBodyLimit::max(MAX_ESTATE_BYTES))
        .with_state(state)
}

async fn counters(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    wire::json(StatusCode::OK, &json!(*state.counters()))
}

async fn expectations(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    wire::json(StatusCode::OK, &json!(state.estate().expectations()))
}

/// Which tenant this is, who scans it, and how large it is.
async fn tenant(Shared(state): Shared<Arc<State>>) -> Response<Body> {
    let estate = state.estate();
    let (tenant, client) = (estate.tenant_id(), estate.operator_app_id());
    let answer = json!({"tenantId": tenant, "clientId": client, "counts": census(&estate)});
    wire::json(StatusCode::OK, &answer)
}

// The body is read although it says nothing: a connection closed on an unread body breaks the caller's pipe.
async fn reset_counters(Shared(state): Shared<Arc<State>>, _body: Bytes) -> Response<Body> {
    *state.counters() = Counters::default();
    wire::text(StatusCode::OK, "counters are zero\n")
}

async fn clear_faults(Shared(state): Shared<Arc<State>>, _body: Bytes) -> Response<Body> {
    *state.faults() = Faults::default();
    wire::text(StatusCode::OK, "no faults\n")
}

async fn replace(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let text = String::from_utf8_lossy(&body);
    match Estate::parse(&text, Timestamp::now()) {
        Ok(estate) => {
            state.replace(estate);
            wire::text(StatusCode::OK, "estate replaced\n")
        }
        Err(error) => wire::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// Another estate, made here: one of thousands of applications is too large to send.
async fn generated(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let Wanted { apps, seed } = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return wire::text(StatusCode::BAD_REQUEST, format!("not a size and a seed: {error}\n")),
    };
    if apps > MAX_GENERATED_APPS {
        return wire::text(StatusCode::BAD_REQUEST, format!("at most {MAX_GENERATED_APPS} applications\n"));
    }
    match Estate::new(generate::generate(apps, seed, generate::SECRET), Timestamp::now()) {
        Ok(estate) => {
            state.replace(estate);
            wire::text(StatusCode::OK, "estate generated\n")
        }
        Err(error) => wire::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

async fn mutate(Shared(state): Shared<Arc<State>>, body: Bytes) -> Response<Body> {
    let mutation: Mutation = match serde_json::from_slice(&body) {
        Ok(mutation) => mutation,
        Err(error) => return wire::text(StatusCode::BAD_REQUEST, format!("not a change: {error}\n")),
    };
    match apply(&state, &mutation) {
        Ok(()) => wire::text(StatusCode::OK, "changed\n"),
        Err(error) => wire::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

/// Makes a change.
pub(crate) fn apply(state: &State, mutation: &Mutation) -> Result<(), MutationError> {
    change_user(state, mutation)?;
    change_app(state, mutation)?;
    change_drift(state, mutation)?;
    change_faults(state, mutation);
    if mutation.expire_page_tokens == Some(true) {
        state.expire_page_tokens();
    }
    Ok(())
}

fn change_user(state: &State, mutation: &Mutation) -> Result<(), MutationError> {
    let Some(change) = &mutation.user else { return Ok(()) };
    let mut estate = state.estate_mut();
    let missing = || MutationError::Missing { what: "user", name: change.id.clone() };
    let id = estate.object_id(&change.id).ok_or_else(missing)?.to_owned();
    estate.user(&id).ok_or_else(missing)?;
    estate.edit(|file| {
        for user in file.users.iter_mut().filter(|user| user.id == id) {
            user.account_enabled = change.account_enabled.unwrap_or(user.account_enabled);
            if let Some(deleted) = change.deleted {
                user.deleted = deleted.then_some(NOW);
            }
        }
    })?;
    Ok(())
}

const NOW: When = When::Relative(jiff::SignedDuration::ZERO);
const YESTERDAY: When = When::Relative(jiff::SignedDuration::from_hours(-24));
const NEXT_YEAR: When = When::Relative(jiff::SignedDuration::from_hours(365 * 24));

fn touches_app(mutation: &Mutation) -> bool {
    mutation.revoke_permission.is_some()
        || mutation.grant_permission.is_some()
        || mutation.add_secret.is_some()
        || [mutation.expire_secret, mutation.disable_app, mutation.service_principal_missing, mutation.app_missing]
            .iter()
            .any(Option::is_some)
}

fn change_app(state: &State, mutation: &Mutation) -> Result<(), MutationError> {
    if !touches_app(mutation) {
        return Ok(());
    }
    let mut estate = state.estate_mut();
    let name = mutation.app.clone().or_else(|| estate.file.operator_app.clone()).unwrap_or_default();
    let app_id = client_id(&estate, &name).ok_or(MutationError::Missing { what: "application", name })?;
    let revoked = mutation.revoke_permission.as_deref().map(|permission| (permission, graph_role(&estate, permission)));
    if let Some((permission, None)) = &revoked {
        return Err(MutationError::Missing { what: "Graph permission", name: (*permission).to_owned() });
    }
    let sp_ids: Vec<String> =
        estate.file.service_principals.iter().filter(|sp| sp.app_id == app_id).map(|sp| sp.id.clone()).collect();
    estate.edit(|file| {
        change_credentials(file, mutation, &app_id);
        if let Some((_, Some(role))) = &revoked {
            file.app_role_assignments.retain(|grant| !(sp_ids.contains(&grant.principal) && grant.role == *role));
        }
        if let Some(permission) = &mutation.grant_permission {
            grant(file, &sp_ids, permission);
        }
    })?;
    Ok(())
}

/// Takes a Graph permission away from an application, by client id.
pub(crate) fn take_permission(state: &State, app_id: &str, permission: &str) -> Result<(), MutationError> {
    let mutation = Mutation {
        app: Some(app_id.to_owned()),
        revoke_permission: Some(permission.to_owned()),
        ..Mutation::default()
    };
    change_app(state, &mutation)
}

/// Faults that come while a scan runs; what they name must exist.
fn change_drift(state: &State, mutation: &Mutation) -> Result<(), MutationError> {
    if let Some(lag) = &mutation.lag {
        let missing = || MutationError::Missing { what: "object", name: lag.id.clone() };
        let id = state.estate().object_id(&lag.id).ok_or_else(missing)?.to_owned();
        state.faults().lags.push(Lag { id, reads: lag.reads });
    }
    if let Some(revocation) = &mutation.revoke_during {
        let app = {
            let estate = state.estate();
            let name = mutation.app.clone().or_else(|| estate.file.operator_app.clone()).unwrap_or_default();
            let app = client_id(&estate, &name).ok_or(MutationError::Missing { what: "application", name })?;
            if graph_role(&estate, &revocation.permission).is_none() {
                let name = revocation.permission.clone();
                return Err(MutationError::Missing { what: "Graph permission", name });
            }
            app
        };
        state.faults().revocations.push(Revocation { app, ..revocation.clone() });
    }
    Ok(())
}

/// The client id that a key, object id or client id stands for, deleted or not.
fn client_id(estate: &Estate, name: &str) -> Option<String> {
    let app =
        estate.file.applications.iter().find(|app| [&app.key, &app.id, &app.app_id].iter().any(|word| *word == name));
    let sp = || {
        let mut principals = estate.file.service_principals.iter();
        principals.find(|sp| [&sp.key, &sp.id, &sp.app_id].iter().any(|word| *word == name)).map(|sp| sp.app_id.clone())
    };
    app.map(|app| app.app_id.clone()).or_else(sp)
}

fn graph_role(estate: &Estate, permission: &str) -> Option<String> {
    let graph = estate.service_principal_by_app_id(crate::reference::GRAPH_APP_ID)?;
    graph.app_roles.iter().find(|role| role.value == permission).map(|role| role.id.clone())
}

fn grant(file: &mut EstateFile, principals: &[String], permission: &str) {
    let held: Vec<String> = file.app_role_assignments.iter().map(|grant| grant.id.clone()).collect();
    for principal in principals {
        file.app_role_assignments.push(AppRoleAssignment {
            id: format!("granted-{}-{principal}-{permission}", held.len()),
            principal: principal.clone(),
            resource: crate::reference::GRAPH_KEY.to_owned(),
            role: permission.to_owned(),
            created: Some(NOW),
        });
    }
}

fn change_credentials(file: &mut EstateFile, mutation: &Mutation, app_id: &str) {
    let gone = |missing: bool| missing.then_some(NOW);
    for app in file.applications.iter_mut().filter(|app| app.app_id == app_id) {
        app.is_disabled = mutation.disable_app.unwrap_or(app.is_disabled);
        if let Some(missing) = mutation.app_missing {
            app.deleted = gone(missing);
        }
        if mutation.expire_secret == Some(true) {
            app.password_credentials.iter_mut().for_each(|secret| secret.end = YESTERDAY);
        }
        if let Some(value) = &mutation.add_secret {
            app.password_credentials.push(PasswordCredential {
                key_id: String::new(),
                display_name: Some("added".to_owned()),
                start: YESTERDAY,
                end: NEXT_YEAR,
                value: Some(value.clone()),
                custom_key_identifier: None,
                last_used: None,
                added_by: None,
            });
        }
    }
    for sp in file.service_principals.iter_mut().filter(|sp| sp.app_id == app_id) {
        sp.is_disabled = mutation.disable_app.unwrap_or(sp.is_disabled);
        if let Some(missing) = mutation.service_principal_missing.or(mutation.app_missing) {
            sp.deleted = gone(missing);
        }
    }
}

fn change_faults(state: &State, mutation: &Mutation) {
    let mut faults = state.faults();
    faults.errors.extend(mutation.fault.clone());
    faults.lost_pages.extend(mutation.drop_last_page.clone().map(|route| (route, LostPage::Fails)));
    faults.lost_pages.extend(mutation.lose_last_page.clone().map(|route| (route, LostPage::Silent)));
    faults.halved.extend(mutation.halve.clone());
    faults.expiry = mutation.expire_tokens.clone().or_else(|| faults.expiry.take());
    faults.clock_skew = mutation.clock_skew_seconds.unwrap_or(faults.clock_skew);
    if mutation.redirect.is_some() {
        faults.redirect.clone_from(&mutation.redirect);
    }
    if let Some(hostile) = mutation.hostile {
        let route = mutation.hostile_route.clone().unwrap_or_else(|| match hostile {
            Hostile::ForeignTenant => "*".to_owned(),
            _ => "applications".to_owned(),
        });
        faults.hostile = Some((hostile, route));
    }
}
