//! What identities may do: directory roles and application permissions, read from the side of the grant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sv0_connector::{Cause, Page, Tally, text, walk_on};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::client::{batch, list};
use crate::collect::Walk;
use crate::collect::identities::Principals;
use crate::collect::people;
use crate::map::Hold;
use crate::map::grants::Grant;
use crate::model::{AppRoleAssignment, DelegatedGrant, RoleActivation, RoleAssignment, RoleDefinition};

/// Roles of holders that are no service principals.
pub(crate) type Others = BTreeMap<String, Vec<(Hold, RoleAssignment)>>;

/// What is known of directory roles besides who holds them.
#[derive(Default)]
pub(crate) struct Roles {
    /// Role definition id to the id that is the same in every tenant.
    pub(crate) templates: HashMap<String, String>,
    /// Assignment id to its end, of those that have one.
    pub(crate) ends: HashMap<String, String>,
}

impl Roles {
    /// A built-in role's definition has its template's id; a custom role is its own template.
    fn template(&self, role: String) -> String {
        self.templates.get(&role).cloned().unwrap_or(role)
    }
}

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

/// Ends of directory role assignments, by assignment. Most are people's, for some hours; only the end is looked at.
pub(crate) async fn activations(walk: &Walk<'_>, tally: &mut Tally) -> HashMap<String, String> {
    let mut ends: HashMap<String, String> = HashMap::new();
    list(walk.engine, "listDirectoryRoleActivations", &[], tally, |wire: RoleActivation| {
        if let Some(end) = wire.end_date_time {
            // Without the assignment's id it is not known what ends; an end that cannot be read is none.
            let (Some(assignment), Some(at)) = (wire.role_assignment_origin_id, text::instant(&end)) else {
                return Ok(None);
            };
            let later = ends.get(&assignment).and_then(|end| text::instant(end)).is_none_or(|kept| kept < at);
            if later {
                ends.insert(assignment, end);
            }
        }
        Ok(Some(wire.id))
    })
    .await;
    ends
}

/// Directory roles that service principals hold or may activate; gives those of others, by holder.
pub(crate) async fn directory_roles(
    walk: &Walk<'_>,
    hold: Hold,
    roles: &Roles,
    principals: &Principals,
    tally: &mut Tally,
) -> Others {
    let mut others = Others::new();
    list(walk.engine, hold.operation(), &[], tally, |mut wire: RoleAssignment| {
        let (Some(principal), Some(role)) = (text::guid(&wire.principal_id), text::guid(&wire.role_definition_id))
        else {
            return Ok(None);
        };
        if hold == Hold::Active {
            wire.end_date_time = roles.ends.get(&wire.id).cloned();
        }
        let Some(kind) = principals.kinds.get(&principal) else {
            let id = wire.id.clone();
            others.entry(principal).or_default().push((hold, wire));
            return Ok(Some(id));
        };
        let Some(rows) = walk.map.directory_role(&wire, hold, *kind, &roles.template(role)) else { return Ok(None) };
        walk.keep(rows)?;
        Ok(Some(wire.id))
    })
    .await;
    others
}

/// Directory roles that owners and groups hold: whether an owner is weaker than what it owns. Of other people's roles
/// nothing is kept. Gives the groups.
pub(crate) async fn owner_roles(
    walk: &Walk<'_>,
    roles: &Roles,
    others: &Others,
    owners: &BTreeSet<String>,
    tally: &mut Tally,
) -> BTreeSet<String> {
    let mut groups = BTreeSet::new();
    let holders: BTreeSet<String> = others.keys().filter(|id| !owners.contains(*id)).cloned().collect();
    let people = people::among(walk, &holders, tally).await;
    if !tally.is_complete() {
        return groups;
    }
    for (holder, assignments) in others.iter().filter(|(holder, _)| !people.contains(*holder)) {
        // What is neither a service principal nor a person can hold a role only as a group.
        let kind = if owners.contains(holder) { NodeKind::Human } else { NodeKind::Group };
        for (hold, wire) in assignments {
            let role = text::guid(&wire.role_definition_id).map(|role| roles.template(role));
            let rows = role.and_then(|role| walk.map.directory_role(wire, *hold, kind, &role));
            match rows.map(|rows| walk.keep(rows)) {
                Some(Ok(_)) => {
                    tally.item(&wire.id);
                }
                Some(Err(_)) => tally.report(Cause::Internal),
                None => tally.report(Cause::ResponseMalformed),
            }
        }
        if kind == NodeKind::Group {
            let told = assignments.iter().map(|(hold, _)| hold.operation()).min().unwrap_or_default();
            if walk.node(walk.map.node(kind, holder, told, BTreeMap::new())).is_err() {
                tally.report(Cause::Internal);
            }
            groups.insert(holder.clone());
        }
    }
    groups
}

/// What service principals may do on behalf of users.
pub(crate) async fn delegated_grants(walk: &Walk<'_>, principals: &Principals, tally: &mut Tally) {
    list(walk.engine, "listDelegatedGrants", &[], tally, |wire: DelegatedGrant| {
        match walk.map.delegated_grant(&wire, &principals.kinds) {
            None => return Ok(None),
            Some(Grant::Empty) => {}
            Some(Grant::Edge(edge)) => walk.edge(*edge)?,
        }
        Ok(Some(wire.id))
    })
    .await;
}

/// Application permissions, from the resources that offer them; gives the groups that hold one.
pub(crate) async fn app_roles(walk: &Walk<'_>, principals: &Principals, tally: &mut Tally) -> BTreeSet<String> {
    let mut groups = BTreeSet::new();
    let resources: Vec<String> = principals.offers.keys().cloned().collect();
    let requests = walk.each("listAppRoleAssignedTo", &resources, tally);
    let mut answers = batch::<Page<AppRoleAssignment>>(walk.engine, &requests);
    while let Some((at, answer)) = answers.next().await {
        match answer {
            Ok(page) => {
                let first = requests[at].clone();
                walk_on(walk.engine, first, page, tally, |wire| {
                    assignment(walk, principals, &resources[at], &wire, &mut groups)
                })
                .await;
            }
            Err(failure) if failure.cause == Cause::NotFound => {}
            Err(failure) => tally.report(failure),
        }
    }
    groups
}

fn assignment(
    walk: &Walk<'_>,
    principals: &Principals,
    resource: &str,
    wire: &AppRoleAssignment,
    groups: &mut BTreeSet<String>,
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
        groups.insert(principal.clone());
    }
    let (from, to) = (walk.map.id(kind, &principal), walk.map.id(resource_kind, resource));
    let mut edge = walk.map.edge(from, EdgeKind::Granted, to, operation);
    edge.object = Some(object.to_owned());
    edge.role = Some(role);
    edge.since = wire.created_date_time.as_deref().and_then(text::instant);
    walk.edge(edge)?;
    Ok(Some(object.to_owned()))
}
