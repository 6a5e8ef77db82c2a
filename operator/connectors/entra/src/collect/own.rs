//! The self check: which permissions the scan's own identity holds, compared with what the manifest needs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_connector::{Cause, Failure, Guard, Manifest, OwnGrants, Param, Permission, Tally, text};
use sv0_graph::{NodeKind, Value, attr};

use crate::client::list;
use crate::collect::Walk;
use crate::collect::identities::Principals;
use crate::model::{AppRoleAssignment, OwnPrincipal};

/// The identity that the scan signs in as.
#[derive(Default)]
pub(crate) struct Held {
    /// Object id of its service principal.
    principal: Option<String>,
    /// The tenant has no service principal for it.
    absent: bool,
    /// Role id and resource of each permission that was granted.
    roles: BTreeSet<(String, String)>,
    /// When each was granted, as far as that is told.
    granted_at: Vec<Timestamp>,
}

/// Own service principal and its permissions.
pub(crate) async fn held(walk: &Walk<'_>, tally: &mut Tally) -> Held {
    let mut held = Held::default();
    let request =
        walk.engine.guard().prepare("getOwnServicePrincipal", &[("appId", Param::Id(&walk.config.client_id))]);
    let own: OwnPrincipal = match request {
        Err(refusal) => {
            tally.report(walk.engine.refused(&refusal));
            return held;
        }
        Ok(request) => match walk.engine.json(&request).await {
            Ok(own) => own,
            Err(failure) => {
                held.absent = failure.cause == Cause::NotFound;
                tally.report(failure);
                return held;
            }
        },
    };
    let Some(id) = text::guid(&own.id) else {
        tally.report(Cause::ResponseMalformed);
        return held;
    };
    held.principal = Some(id.clone());
    let params = [("id", Param::Id(id.as_str()))];
    list(walk.engine, "listOwnAppRoleAssignments", &params, tally, |wire: AppRoleAssignment| {
        let role = text::guid(&wire.app_role_id);
        let resource = wire.resource_id.as_deref().and_then(text::guid);
        let (Some(role), Some(resource)) = (role, resource) else { return Ok(None) };
        if !is_plain_access(&role) {
            held.granted_at.extend(wire.created_date_time.as_deref().and_then(|at| at.parse::<Timestamp>().ok()));
        }
        held.roles.insert((role, resource));
        Ok(Some(wire.id))
    })
    .await;
    held
}

/// Why the first question of a scan was refused: for want of one permission, or of all that a scan begins with. A scan
/// without any gets tokens all the same, so the token does not tell.
pub(crate) async fn explain(walk: &Walk<'_>, failure: Failure) -> Failure {
    if failure.cause != Cause::PermissionMissing {
        return failure;
    }
    let mut tally = Tally::default();
    held(walk, &mut tally).await;
    match tally.flaw().map(|flaw| &flaw.cause) {
        Some(Cause::PermissionMissing | Cause::NotFound) => Failure { cause: Cause::ConsentRevoked, ..failure },
        _ => failure,
    }
}

/// What is granted, when that was read whole; none when nothing can be said.
pub(crate) fn grants(held: &Held, needed: Vec<String>, tally: &Tally) -> Option<OwnGrants> {
    if held.absent {
        return Some(OwnGrants::default());
    }
    if !tally.is_complete() {
        return None;
    }
    let count = held.roles.iter().filter(|(role, _)| !is_plain_access(role)).count();
    Some(OwnGrants {
        principal: held.principal.clone(),
        needed,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        granted: held.granted_at.iter().min().copied().zip(held.granted_at.iter().max().copied()),
    })
}

/// The permissions that are granted and that the connector asks for, sorted.
pub(crate) fn needed(manifest: &Manifest, held: &Held, principals: &Principals) -> Vec<String> {
    let has = |p: &&Permission| held.roles.iter().any(|(role, resource)| is_permission(p, role, resource, principals));
    let ids = manifest.permissions.iter().filter(has).map(|p| p.id.clone());
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The all-zero role is plain access to the resource, no permission.
fn is_plain_access(role: &str) -> bool {
    role.bytes().all(|b| b == b'0' || b == b'-')
}

/// Marks the scan's own identity in the graph.
pub(crate) fn mark(walk: &Walk<'_>, held: &Held, principals: &Principals, tally: &mut Tally) {
    let Some(id) = &held.principal else { return };
    let kind = principals.kinds.get(id).copied().unwrap_or(NodeKind::ServicePrincipal);
    let attrs = BTreeMap::from([(attr::OWN_IDENTITY.to_owned(), Value::Bool(true))]);
    if walk.node(walk.map.node(kind, id, "getOwnServicePrincipal", attrs)).is_err() {
        tally.report(Cause::Internal);
    }
}

/// Permissions that are needed and not held, and that are held and not needed. A broader permission makes a needed
/// one not missing, and is itself not needed. What only waits to be accepted is not needed yet, and no harm when it is
/// held already. An add-on is the customer's choice: neither missing nor too much.
pub(crate) fn compare(guard: &Guard, held: &Held, principals: &Principals) -> (Vec<String>, Vec<String>) {
    let manifest = guard.manifest();
    let accepted = manifest.operations.iter().filter(|operation| guard.accepts(&operation.id));
    let needed: BTreeSet<&str> = accepted.filter_map(|operation| operation.permission.as_deref()).collect();
    let missing = manifest
        .permissions
        .iter()
        .filter(|p| needed.contains(p.id.as_str()) && p.add_on.is_none())
        .filter(|p| is_held(p, held, principals) == Some(false))
        .map(|p| p.id.clone())
        .collect::<BTreeSet<_>>();
    let excess = held
        .roles
        .iter()
        .filter(|(role, _)| !is_plain_access(role))
        .filter(|(role, resource)| !manifest.permissions.iter().any(|p| is_permission(p, role, resource, principals)))
        .map(|(role, resource)| name_of(manifest, principals, role, resource))
        .collect::<BTreeSet<_>>();
    (missing.into_iter().collect(), excess.into_iter().collect())
}

/// Whether a permission, or one that includes it, is held; nothing when that cannot be told: a permission without a
/// published identifier is known by what the tenant's Microsoft Graph offers under its name.
fn is_held(permission: &Permission, held: &Held, principals: &Principals) -> Option<bool> {
    let has = |role: &str| held.roles.iter().any(|(held, _)| held.as_str() == role);
    let known =
        permission.role.is_some() || principals.graph.as_ref().is_some_and(|id| principals.offers.contains_key(id));
    let itself = held.roles.iter().any(|(role, resource)| is_permission(permission, role, resource, principals));
    let held = itself || permission.included_in.iter().any(|broader| has(&broader.role));
    (held || known).then_some(held)
}

fn is_permission(permission: &Permission, role: &str, resource: &str, principals: &Principals) -> bool {
    if let Some(known) = &permission.role {
        return known == role;
    }
    let offered = || principals.offers.get(resource)?.get(role)?.as_deref();
    principals.graph.as_deref() == Some(resource) && offered() == Some(permission.id.as_str())
}

fn name_of(manifest: &Manifest, principals: &Principals, role: &str, resource: &str) -> String {
    let broader = manifest.permissions.iter().flat_map(|p| &p.included_in).find(|broader| broader.role == role);
    let offered = || principals.offers.get(resource)?.get(role)?.clone();
    // A vendor string is kept only when it looks like a permission; its id is kept otherwise.
    let offered =
        || offered().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')));
    broader
        .map(|b| b.id.clone())
        .or_else(offered)
        .map_or_else(|| role.to_owned(), |name| name.chars().take(80).collect())
}
