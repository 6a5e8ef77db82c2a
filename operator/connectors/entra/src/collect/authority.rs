//! What identities may do: directory roles and application permissions, read from the side of the grant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sv0_connector::{Cause, Page, Param, Prepared, Tally, text, walk_on};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::client::{batch, list};
use crate::collect::Walk;
use crate::collect::identities::Principals;
use crate::collect::people;
use crate::model::{AppRoleAssignment, RoleAssignment, RoleDefinition};

/// Assignments to holders that are no service principals.
pub(crate) type Others = BTreeMap<String, Vec<RoleAssignment>>;

/// Role definition id to the id that is the same in every tenant.
pub(crate) async fn role_definitions(walk: &Walk<'_>, tally: &mut Tally) -> HashMap<String, String> {
    let mut templates = HashMap::new();
    list(walk.engine, "listDirectoryRoleDefinitions", &[], tally, |wire: RoleDefinition| {
        let Some(id) = text::guid(&wire.id) else { return Ok(None) };
        let template = wire.template_id.as_deref().and_then(text::guid).unwrap_or_else(|| id.clone());
        templates.insert(id.clone(), template);
        Ok(Some(id))
    })
    .await;
    templates
}

/// Directory roles that service principals hold; gives the assignments to others, by holder.
pub(crate) async fn directory_roles(
    walk: &Walk<'_>,
    templates: &HashMap<String, String>,
    principals: &Principals,
    tally: &mut Tally,
) -> Others {
    let mut others = Others::new();
    list(walk.engine, "listDirectoryRoleAssignments", &[], tally, |wire: RoleAssignment| {
        let (Some(principal), Some(role)) = (text::guid(&wire.principal_id), text::guid(&wire.role_definition_id))
        else {
            return Ok(None);
        };
        let Some(kind) = principals.kinds.get(&principal) else {
            let id = wire.id.clone();
            others.entry(principal).or_default().push(wire);
            return Ok(Some(id));
        };
        // A built-in role's definition has its template's id; a custom role is its own template.
        let role = templates.get(&role).unwrap_or(&role);
        let Some(rows) = walk.map.directory_role(&wire, *kind, role) else { return Ok(None) };
        walk.keep(rows)?;
        Ok(Some(wire.id))
    })
    .await;
    others
}

/// Directory roles that owners and groups hold: whether an owner is weaker than what it owns. Of other people's roles
/// nothing is kept.
pub(crate) async fn owner_roles(
    walk: &Walk<'_>,
    templates: &HashMap<String, String>,
    others: &Others,
    owners: &BTreeSet<String>,
    tally: &mut Tally,
) {
    let holders: BTreeSet<String> = others.keys().filter(|id| !owners.contains(*id)).cloned().collect();
    let people = people::among(walk, &holders, tally).await;
    if !tally.is_complete() {
        return;
    }
    for (holder, assignments) in others.iter().filter(|(holder, _)| !people.contains(*holder)) {
        // What is neither a service principal nor a person can hold a role only as a group.
        let kind = if owners.contains(holder) { NodeKind::Human } else { NodeKind::Group };
        for wire in assignments {
            let role = text::guid(&wire.role_definition_id).map(|role| templates.get(&role).cloned().unwrap_or(role));
            let rows = role.and_then(|role| walk.map.directory_role(wire, kind, &role));
            match rows.map(|rows| walk.keep(rows)) {
                Some(Ok(_)) => {
                    tally.item(&wire.id);
                }
                Some(Err(_)) => tally.report(Cause::Internal),
                None => tally.report(Cause::ResponseMalformed),
            }
        }
        if kind == NodeKind::Group {
            let group = walk.map.node(kind, holder, "listDirectoryRoleAssignments", BTreeMap::new());
            if walk.node(group).is_err() {
                tally.report(Cause::Internal);
            }
        }
    }
}

/// Application permissions, from the resources that offer them.
pub(crate) async fn app_roles(walk: &Walk<'_>, principals: &Principals, tally: &mut Tally) {
    let resources: Vec<&String> = principals.offers.keys().collect();
    let prepared: Result<Vec<Prepared>, _> = resources
        .iter()
        .map(|id| walk.engine.guard().prepare("listAppRoleAssignedTo", &[("id", Param::Id(id.as_str()))]))
        .collect();
    let requests = match prepared {
        Ok(requests) => requests,
        Err(refusal) => return tally.report(walk.engine.refused(&refusal)),
    };
    let mut answers = batch::<Page<AppRoleAssignment>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        match answer {
            Ok(page) => {
                let first = requests[at].clone();
                walk_on(walk.engine, first, page, tally, |wire| assignment(walk, principals, resources[at], &wire))
                    .await;
            }
            Err(failure) if failure.cause == Cause::NotFound => {}
            Err(failure) => tally.report(failure),
        }
    }
}

fn assignment(
    walk: &Walk<'_>,
    principals: &Principals,
    resource: &str,
    wire: &AppRoleAssignment,
) -> Result<Option<String>, sv0_connector::SinkError> {
    let operation = "listAppRoleAssignedTo";
    let (Some(object), Some(role)) = (text::opaque_id(&wire.id), text::guid(&wire.app_role_id)) else {
        return Ok(None);
    };
    let Some(principal) = wire.principal_id.as_deref().and_then(text::guid) else { return Ok(None) };
    let kind = match wire.principal_type.as_deref() {
        Some("ServicePrincipal") => principals.kinds.get(&principal).copied().unwrap_or(NodeKind::ServicePrincipal),
        Some("Group") => NodeKind::Group,
        // People's own access is not kept.
        _ => return Ok(Some(object.to_owned())),
    };
    let offered = principals.offers.get(resource).and_then(|offers| offers.get(&role));
    // The all-zero role is plain access; a role that the resource offers to people only is no authority either.
    let Some(value) = offered else { return Ok(Some(object.to_owned())) };
    let resource_kind = principals.kinds.get(resource).copied().unwrap_or(NodeKind::ServicePrincipal);
    if let Some(value) = value {
        let attrs = BTreeMap::from([(format!("{}{role}", attr::APP_ROLE_PREFIX), Value::Text(value.clone()))]);
        walk.node(walk.map.node(resource_kind, resource, "listServicePrincipals", attrs))?;
    }
    if kind == NodeKind::Group {
        walk.node(walk.map.node(kind, &principal, operation, BTreeMap::new()))?;
    }
    let (from, to) = (walk.map.id(kind, &principal), walk.map.id(resource_kind, resource));
    let mut edge = walk.map.edge(from, EdgeKind::Granted, to, operation);
    edge.object = Some(object.to_owned());
    edge.role = Some(role);
    edge.since = wire.created_date_time.as_deref().and_then(text::instant);
    walk.edge(edge)?;
    Ok(Some(object.to_owned()))
}
