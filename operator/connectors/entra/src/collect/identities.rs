//! The tenant, its applications and its service principals, with their credentials.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sv0_connector::{Cause, Failure, Tally, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::client::list;
use crate::collect::Walk;
use crate::map::{principal_kind, readable};
use crate::model::{Application, Organization, ServicePrincipal};

/// Application permissions of one resource: role id to value.
pub(crate) type Offered = BTreeMap<String, Option<String>>;

/// What the applications taught.
#[derive(Default)]
pub(crate) struct Applications {
    /// Application id to object id.
    pub(crate) by_app_id: HashMap<String, String>,
    /// End of each client secret of the scan's own application that holds at the scan's start.
    pub(crate) own_secret_ends: Vec<Timestamp>,
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

/// All applications.
pub(crate) async fn applications(walk: &Walk<'_>, tally: &mut Tally, now: Timestamp) -> Applications {
    let mut learnt = Applications::default();
    let mut flawed = false;
    list(walk.engine, "listApplications", &[], tally, |wire: Application| {
        let (Some(id), Some(app_id), Some(rows)) =
            (text::guid(&wire.id), text::guid(&wire.app_id), walk.map.application(&wire))
        else {
            return Ok(None);
        };
        if app_id.eq_ignore_ascii_case(&walk.config.client_id) {
            learnt.own_secret_ends = living_secrets(&rows, now);
            let own = BTreeMap::from([(attr::OWN_IDENTITY.to_owned(), Value::Bool(true))]);
            walk.node(walk.map.node(NodeKind::Application, &id, "listApplications", own))?;
        }
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
        let (Some(id), Some(app_id), Some(rows)) =
            (text::guid(&wire.id), text::guid(&wire.app_id), walk.map.service_principal(&wire))
        else {
            return Ok(None);
        };
        flawed |= !walk.keep(rows)?;
        let (offered, whole) = offered(&wire);
        flawed |= !whole;
        if !offered.is_empty() {
            learnt.offers.insert(id.clone(), offered);
        }
        let home = wire.app_owner_organization_id.as_deref().and_then(text::guid);
        if home.as_deref() == Some(walk.map.tenant) {
            learnt.home.push((app_id, id.clone()));
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
