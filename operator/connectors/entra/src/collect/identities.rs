//! The tenant, its applications and its service principals, with their credentials.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sv0_connector::{Cause, Failure, Tally, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::client::list;
use crate::collect::Walk;
use crate::collect::pairs::Pairs;
use crate::map::{Rows, principal_kind, readable};
use crate::model::{Application, Organization, ServicePrincipal, SubscribedSku};

/// The application id of Microsoft Graph, the same in every tenant.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// Application permissions of one resource: role id to value.
pub(crate) type Offered = BTreeMap<String, Option<String>>;

/// What the applications taught.
#[derive(Default)]
pub(crate) struct Applications {
    /// Application id to object id.
    pub(crate) by_app_id: HashMap<String, String>,
    /// End of each client secret of the scan's own application that holds at the scan's start.
    pub(crate) own_secret_ends: Vec<Timestamp>,
    /// Key and holder of each credential.
    pub(crate) keys: Pairs,
}

/// What the service principals taught.
#[derive(Default)]
pub(crate) struct Principals {
    /// Kind of each, by object id.
    pub(crate) kinds: HashMap<String, NodeKind>,
    /// Resources that offer permissions to applications.
    pub(crate) offers: BTreeMap<String, Offered>,
    /// (application id, object id) of those whose application lives in this tenant.
    pub(crate) home: Vec<(String, String)>,
    /// Application id and object id of each.
    pub(crate) by_app_id: Pairs,
    /// Key and holder of each credential.
    pub(crate) keys: Pairs,
    /// Object id of Microsoft Graph, whose permissions the scan itself holds.
    pub(crate) graph: Option<String>,
}

/// Notes the credentials that `rows` give to `holder`.
pub(crate) fn note_keys(holder: &str, rows: &Rows, keys: &mut Pairs) {
    for node in rows.nodes.iter().filter(|node| node.kind == NodeKind::Credential) {
        if let Some((_, key)) = node.id.vendor_id().split_once('/') {
            keys.add(key, holder);
        }
    }
}

/// The tenant that answers; an error unless it is the one that was asked for.
pub(crate) async fn organization(walk: &Walk<'_>, tally: &mut Tally) -> Result<(), Failure> {
    let mut found = Vec::new();
    list(walk.engine, "getOrganization", &[], tally, |wire: Organization| {
        let id = text::guid(&wire.id);
        found.push(wire);
        Ok(id)
    })
    .await;
    if let Some(flaw) = tally.flaw() {
        return Err(flaw.clone());
    }
    let [only] = found.as_slice() else { return Err(Cause::ForeignTenant.into()) };
    if text::guid(&only.id).as_deref() != Some(walk.map.tenant) {
        return Err(Cause::ForeignTenant.into());
    }
    walk.node(walk.map.organization(only)).map_err(|_| Cause::Internal.into())
}

/// What the tenant's subscriptions include. Half a list would say that the rest is not there.
pub(crate) async fn service_plans(walk: &Walk<'_>, tally: &mut Tally) {
    let mut skus = Vec::new();
    list(walk.engine, "listServicePlans", &[], tally, |wire: SubscribedSku| {
        skus.push(wire);
        Ok(Some(skus.len().to_string()))
    })
    .await;
    if tally.is_complete() && walk.node(walk.map.service_plans(&skus)).is_err() {
        tally.report(Cause::Internal);
    }
}

/// All applications.
pub(crate) async fn applications(walk: &Walk<'_>, tally: &mut Tally, now: Timestamp) -> Applications {
    let mut learnt = Applications::default();
    let mut flawed = false;
    list(walk.engine, "listApplications", &[], tally, |wire: Application| {
        let (Some(id), Some(app_id), Some(rows)) =
            (text::guid(&wire.id), text::guid(&wire.app_id), walk.map.application(&wire, "listApplications"))
        else {
            return Ok(None);
        };
        if app_id.eq_ignore_ascii_case(&walk.config.client_id) {
            learnt.own_secret_ends = living_secrets(&rows, now);
            let own = BTreeMap::from([(attr::OWN_IDENTITY.to_owned(), Value::Bool(true))]);
            walk.node(walk.map.node(NodeKind::Application, &id, "listApplications", own))?;
        }
        note_keys(&id, &rows, &mut learnt.keys);
        flawed |= !walk.keep(rows)?;
        learnt.by_app_id.insert(app_id, id.clone());
        Ok(Some(id))
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    learnt
}

fn living_secrets(rows: &crate::map::Rows, now: Timestamp) -> Vec<Timestamp> {
    let text_of = |attrs: &BTreeMap<String, Value>, name: &str| match attrs.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let instant_of = |attrs: &BTreeMap<String, Value>, name: &str| text_of(attrs, name)?.parse::<Timestamp>().ok();
    rows.nodes
        .iter()
        .map(|node| &node.attrs)
        .filter(|attrs| text_of(attrs, attr::CREDENTIAL_TYPE).as_deref() == Some("secret"))
        .filter(|attrs| instant_of(attrs, attr::VALID_FROM).is_none_or(|from| from <= now))
        .filter_map(|attrs| instant_of(attrs, attr::VALID_TO))
        .filter(|to| *to > now)
        .collect()
}

/// All service principals.
pub(crate) async fn service_principals(walk: &Walk<'_>, tally: &mut Tally) -> Principals {
    let mut learnt = Principals::default();
    let mut flawed = false;
    list(walk.engine, "listServicePrincipals", &[], tally, |wire: ServicePrincipal| {
        let (Some(id), Some(rows)) = (text::guid(&wire.id), walk.map.service_principal(&wire)) else {
            return Ok(None);
        };
        note_keys(&id, &rows, &mut learnt.keys);
        flawed |= !walk.keep(rows)?;
        let (offered, whole) = offered(&wire);
        flawed |= !whole;
        if !offered.is_empty() {
            learnt.offers.insert(id.clone(), offered);
        }
        if let Some(app_id) = wire.app_id.as_deref().and_then(text::guid) {
            learnt.by_app_id.add(&app_id, &id);
            if app_id == GRAPH {
                learnt.graph = Some(id.clone());
            }
            let home = wire.app_owner_organization_id.as_deref().and_then(text::guid);
            if home.as_deref() == Some(walk.map.tenant) {
                learnt.home.push((app_id, id.clone()));
            }
        }
        learnt.kinds.insert(id.clone(), principal_kind(&wire));
        Ok(Some(id))
    })
    .await;
    if flawed {
        tally.report(Cause::ResponseMalformed);
    }
    learnt
}

/// Permissions for applications, and whether the list could be read whole.
fn offered(wire: &ServicePrincipal) -> (Offered, bool) {
    let Some(roles) = wire.app_roles.as_deref() else { return (Offered::new(), false) };
    let (roles, broken) = readable(roles);
    let offered = roles
        .filter(|role| role.allowed_member_types.iter().any(|member| member == "Application"))
        .filter_map(|role| Some((text::guid(&role.id)?, role.value.as_deref().and_then(text::display))))
        .collect();
    (offered, !broken)
}

/// Application → its service principal in its home tenant.
pub(crate) fn instantiations(walk: &Walk<'_>, applications: &Applications, principals: &Principals, tally: &mut Tally) {
    for (app_id, principal) in &principals.home {
        let Some(application) = applications.by_app_id.get(app_id) else { continue };
        let kind = principals.kinds.get(principal).copied().unwrap_or(NodeKind::ServicePrincipal);
        let (from, to) = (walk.map.id(NodeKind::Application, application), walk.map.id(kind, principal));
        if walk.edge(walk.map.edge(from, EdgeKind::Instantiates, to, "listServicePrincipals")).is_err() {
            return tally.report(Cause::Internal);
        }
    }
}
