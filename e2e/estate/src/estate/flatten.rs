//! What an estate file leaves unsaid or says in short: Microsoft Graph itself, built-in roles, nested objects, shorthand.

use uuid::Uuid;

use super::build::fill;
use crate::reference::{DIRECTORY_ROLES, GRAPH_APP_ID, GRAPH_KEY, GRAPH_PERMISSIONS, MICROSOFT_SERVICES_TENANT};
use crate::spec::{
    AppRole, AppRoleAssignment, Application, EstateFile, RoleAssignment, RoleDefinition, ServicePrincipal,
};
use crate::when::When;

pub(super) fn role_definitions(file: &mut EstateFile) -> Vec<RoleDefinition> {
    let built_in = DIRECTORY_ROLES.iter().map(|(name, id, action)| RoleDefinition {
        key: (*name).to_owned(),
        id: (*id).to_owned(),
        display_name: (*name).to_owned(),
        actions: vec![(*action).to_owned()],
    });
    for role in &mut file.directory_role_definitions {
        fill(&mut role.id, || Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("role/{}", role.key).as_bytes()).to_string());
    }
    let mut roles: Vec<RoleDefinition> = built_in.chain(file.directory_role_definitions.iter().cloned()).collect();
    roles.sort_by(|a, b| a.id.cmp(&b.id));
    roles
}

/// Every tenant has Microsoft Graph.
pub(super) fn add_graph(file: &mut EstateFile) {
    if file.service_principals.iter().any(|sp| sp.key == GRAPH_KEY || sp.app_id == GRAPH_APP_ID) {
        return;
    }
    let app_roles = GRAPH_PERMISSIONS.iter().map(|(value, id)| AppRole {
        id: (*id).to_owned(),
        value: (*value).to_owned(),
        display_name: None,
        allowed_member_types: vec!["Application".to_owned()],
    });
    file.service_principals.push(ServicePrincipal {
        key: GRAPH_KEY.to_owned(),
        app_id: GRAPH_APP_ID.to_owned(),
        display_name: "Microsoft Graph".to_owned(),
        app_owner_organization_id: Some("microsoft".to_owned()),
        sign_in_audience: Some("AzureADMultipleOrgs".to_owned()),
        app_roles: app_roles.collect(),
        tags: Some(Vec::new()),
        ..ServicePrincipal::default()
    });
}

/// Takes nested service principals and shorthand grants out into the lists where Graph has them.
pub(super) fn flatten(file: &mut EstateFile) {
    let tenant = file.tenant.id.clone();
    file.applications.extend(
        std::mem::take(&mut file.agent_blueprints).into_iter().map(|app| Application { agent_blueprint: true, ..app }),
    );
    for mut agent in std::mem::take(&mut file.agent_identities) {
        agent.service_principal_type.get_or_insert_with(|| "ServiceIdentity".to_owned());
        agent.app_owner_organization_id.get_or_insert_with(|| tenant.clone());
        file.service_principals.push(agent);
    }
    for app in &mut file.applications {
        let Some(mut sp) = app.service_principal.take() else { continue };
        sp.key = format!("{}/sp", app.key);
        fill(&mut sp.app_id, || app.app_id.clone());
        fill(&mut sp.display_name, || app.display_name.clone());
        sp.app_owner_organization_id.get_or_insert_with(|| tenant.clone());
        sp.tags.get_or_insert_with(|| vec!["WindowsAzureActiveDirectoryIntegratedApp".to_owned()]);
        sp.created = sp.created.or(app.created);
        sp.is_disabled |= app.is_disabled;
        if sp.sign_in_audience.is_none() {
            sp.sign_in_audience = app.sign_in_audience.clone().or_else(|| Some("AzureADMyOrg".to_owned()));
        }
        if sp.app_roles.is_empty() {
            sp.app_roles.clone_from(&app.app_roles);
        }
        file.service_principals.push(sp);
    }
    for sp in &mut file.service_principals {
        if sp.app_owner_organization_id.as_deref() == Some("microsoft") {
            sp.app_owner_organization_id = Some(MICROSOFT_SERVICES_TENANT.to_owned());
        }
        let shorthand = (&mut sp.graph_permissions, &mut sp.directory_roles);
        expand(&sp.key, sp.created, shorthand, &mut file.app_role_assignments, &mut file.directory_role_assignments);
    }
    for group in &mut file.groups {
        let shorthand = (&mut group.graph_permissions, &mut group.directory_roles);
        expand(
            &group.key,
            group.created,
            shorthand,
            &mut file.app_role_assignments,
            &mut file.directory_role_assignments,
        );
    }
}

/// Writes shorthand permissions and roles out.
fn expand(
    key: &str,
    created: Option<When>,
    (permissions, roles): (&mut Vec<String>, &mut Vec<String>),
    grants: &mut Vec<AppRoleAssignment>,
    assignments: &mut Vec<RoleAssignment>,
) {
    grants.extend(permissions.drain(..).map(|role| AppRoleAssignment {
        id: String::new(),
        principal: key.to_owned(),
        resource: GRAPH_KEY.to_owned(),
        role,
        created,
    }));
    assignments.extend(roles.drain(..).map(|role| RoleAssignment {
        id: String::new(),
        principal: key.to_owned(),
        role,
        scope: "/".to_owned(),
        start: created,
        end: None,
        activated: false,
    }));
}
