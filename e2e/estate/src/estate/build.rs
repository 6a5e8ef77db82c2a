//! How an estate is put together: names, references, order, indexes.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Estate, EstateError, Kind, Positions, Used};
use crate::certificate::Certificate;
use crate::reference::DEFAULT_ACCESS;
use crate::spec::{
    AppRole, Application, EstateFile, KeyCredential, PasswordCredential, RoleDefinition, ServicePrincipal, User,
};

/// Keys and ids, and what they stand for.
type Names = HashMap<String, (Kind, String)>;

/// What expectations call the tenant itself.
const TENANT: &str = "tenant";

impl Estate {
    pub(super) fn name_everything(&mut self) -> Result<(), EstateError> {
        let tenant = self.file.tenant.id.clone();
        let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, tenant.as_bytes());
        let derive = |kind: &str, key: &str| Uuid::new_v5(&space, format!("{kind}/{key}").as_bytes()).to_string();
        let mut names = HashMap::new();
        for user in &mut self.file.users {
            fill(&mut user.id, || derive("user", &user.key));
            name(&mut names, Kind::User, &user.key, &user.id)?;
        }
        for app in &mut self.file.applications {
            fill(&mut app.id, || derive("application", &app.key));
            fill(&mut app.app_id, || derive("client", &app.key));
            name(&mut names, Kind::Application, &app.key, &app.id)?;
            name_credentials(&app.id, &mut app.password_credentials, &mut app.key_credentials)?;
            for (position, credential) in app.federated_credentials.iter_mut().enumerate() {
                fill(&mut credential.id, || derive("federated", &format!("{}/{position}", app.key)));
                if credential.subject.is_empty() != credential.claims_matching_expression.is_some() {
                    return Err(EstateError::Federation(credential.name.clone()));
                }
            }
            name_roles(&app.app_id, &mut app.app_roles);
        }
        for sp in &mut self.file.service_principals {
            let of_app = sp.key.strip_suffix("/sp").map(str::to_owned);
            fill(&mut sp.id, || derive("servicePrincipal", &sp.key));
            if sp.blueprint.is_some() {
                // An agent has no application of its own: it is its own client.
                fill(&mut sp.app_id, || sp.id.clone());
            }
            fill(&mut sp.app_id, || derive("client", of_app.as_deref().unwrap_or(&sp.key)));
            name(&mut names, Kind::ServicePrincipal, &sp.key, &sp.id)?;
            name_credentials(&sp.id, &mut sp.password_credentials, &mut sp.key_credentials)?;
            name_roles(&sp.app_id, &mut sp.app_roles);
        }
        for group in &mut self.file.groups {
            fill(&mut group.id, || derive("group", &group.key));
            name(&mut names, Kind::Group, &group.key, &group.id)?;
        }
        self.names = names;
        Ok(())
    }

    pub(super) fn resolve_references(&mut self) -> Result<(), EstateError> {
        let names = std::mem::take(&mut self.names);
        self.resolve_people(&names)?;
        self.resolve_roles(&names)?;
        self.resolve_grants(&names)?;
        self.names = names;
        Ok(())
    }

    /// Owners, sponsors, members, and who added credentials.
    fn resolve_people(&mut self, names: &Names) -> Result<(), EstateError> {
        let all = |place: String, references: &mut Vec<String>| {
            references.iter_mut().try_for_each(|reference| resolve_in(names, &place, reference))
        };
        let blueprints: HashMap<String, String> =
            self.file.applications.iter().map(|app| (app.id.clone(), app.app_id.clone())).collect();
        for app in &mut self.file.applications {
            all(format!("applications[{}].owners", app.key), &mut app.owners)?;
            all(format!("applications[{}].sponsors", app.key), &mut app.sponsors)?;
            resolve_adders(names, &app.key, &mut app.password_credentials, &mut app.key_credentials)?;
        }
        for sp in &mut self.file.service_principals {
            all(format!("servicePrincipals[{}].owners", sp.key), &mut sp.owners)?;
            all(format!("servicePrincipals[{}].sponsors", sp.key), &mut sp.sponsors)?;
            resolve_adders(names, &sp.key, &mut sp.password_credentials, &mut sp.key_credentials)?;
            // A client id may be of another tenant: it is kept as it is.
            if let Some(blueprint) = &mut sp.blueprint {
                match names.get(blueprint.as_str()).and_then(|(_, id)| blueprints.get(id)) {
                    Some(app_id) => blueprint.clone_from(app_id),
                    None if Uuid::parse_str(blueprint).is_ok() => {}
                    None => {
                        let place = format!("agentIdentities[{}].blueprint", sp.key);
                        return Err(EstateError::Dangling { place, name: blueprint.clone() });
                    }
                }
            }
        }
        for group in &mut self.file.groups {
            all(format!("groups[{}].members", group.key), &mut group.members)?;
        }
        Ok(())
    }

    fn resolve_roles(&mut self, names: &Names) -> Result<(), EstateError> {
        let roles = &self.roles;
        let one = |place: &str, principal: &mut String, role: &mut String, scope: &mut String| {
            resolve_in(names, place, principal)?;
            *role = find_role(roles, role)?;
            if let Some((_, id)) = scope.strip_prefix('/').and_then(|key| names.get(key)) {
                *scope = format!("/{id}");
            }
            Ok::<_, EstateError>(format!("{principal}/{role}/{scope}"))
        };
        for held in &mut self.file.directory_role_assignments {
            let text = one("directoryRoleAssignments", &mut held.principal, &mut held.role, &mut held.scope)?;
            fill(&mut held.id, || opaque_id(&text));
        }
        for held in &mut self.file.eligible_roles {
            let text = one("eligibleRoles", &mut held.principal, &mut held.role, &mut held.scope)?;
            fill(&mut held.id, || format!("{}-1-e", opaque_id(&format!("eligible/{text}"))));
        }
        Ok(())
    }

    fn resolve_grants(&mut self, names: &Names) -> Result<(), EstateError> {
        let resources: HashMap<&str, &ServicePrincipal> =
            self.file.service_principals.iter().map(|sp| (sp.id.as_str(), sp)).collect();
        for assignment in &mut self.file.app_role_assignments {
            resolve_in(names, "appRoleAssignments", &mut assignment.principal)?;
            resolve_in(names, "appRoleAssignments", &mut assignment.resource)?;
            let roles = resources.get(assignment.resource.as_str()).map_or(&[][..], |sp| sp.app_roles.as_slice());
            assignment.role = find_app_role(roles, &assignment.role)?;
            let text = format!("{}/{}/{}", assignment.principal, assignment.resource, assignment.role);
            fill(&mut assignment.id, || opaque_id(&text));
        }
        for grant in &mut self.file.delegated_grants {
            resolve_in(names, "delegatedGrants", &mut grant.client)?;
            resolve_in(names, "delegatedGrants", &mut grant.resource)?;
            if let Some(principal) = &mut grant.principal {
                resolve_in(names, "delegatedGrants", principal)?;
            }
            let whose = grant.principal.as_deref().unwrap_or_default();
            let text = format!("delegated/{}/{}/{whose}", grant.client, grant.resource);
            fill(&mut grant.id, || opaque_id(&text));
        }
        Ok(())
    }

    pub(super) fn sort_and_index(&mut self) {
        let file = &mut self.file;
        file.users.sort_by(|a, b| a.id.cmp(&b.id));
        file.applications.sort_by(|a, b| a.id.cmp(&b.id));
        file.service_principals.sort_by(|a, b| a.id.cmp(&b.id));
        file.app_role_assignments.sort_by(|a, b| a.id.cmp(&b.id));
        file.directory_role_assignments.sort_by(|a, b| a.id.cmp(&b.id));
        file.groups.sort_by(|a, b| a.id.cmp(&b.id));
        file.eligible_roles.sort_by(|a, b| a.id.cmp(&b.id));
        file.delegated_grants.sort_by(|a, b| a.id.cmp(&b.id));
        for (index, group) in file.groups.iter().enumerate() {
            self.objects.insert(group.id.clone(), (Kind::Group, index));
        }
        for (index, user) in file.users.iter().enumerate() {
            self.objects.insert(user.id.clone(), (Kind::User, index));
        }
        for (index, app) in file.applications.iter().enumerate() {
            self.objects.insert(app.id.clone(), (Kind::Application, index));
            if app.deleted.is_none() {
                self.app_ids.entry(app.app_id.clone()).or_default().0 = Some(index);
            }
        }
        for (index, sp) in file.service_principals.iter().enumerate() {
            self.objects.insert(sp.id.clone(), (Kind::ServicePrincipal, index));
            if sp.deleted.is_none() {
                self.app_ids.entry(sp.app_id.clone()).or_default().1 = Some(index);
            }
        }
        for (index, assignment) in file.app_role_assignments.iter().enumerate() {
            self.assigned_to.entry(assignment.resource.clone()).or_default().push(index);
            self.assigned_from.entry(assignment.principal.clone()).or_default().push(index);
        }
        self.positions = positions(&self.file);
        self.used = used(&self.file);
    }

    pub(super) fn resolve_expectations(&mut self) -> Result<(), EstateError> {
        let mut expect = std::mem::take(&mut self.file.expect);
        for finding in &mut expect.findings {
            finding.subject = self.subject("expect.findings", &finding.subject)?;
            finding.subject_name = self.display_name(&finding.subject).unwrap_or_default();
            if let Some(inside) = &mut finding.inside {
                *inside = self.subject("expect.findings", inside)?;
            }
        }
        for miss in &mut expect.near_misses {
            miss.subject = self.subject("expect.nearMisses", &miss.subject)?;
        }
        self.file.expect = expect;
        Ok(())
    }

    /// Name of a user, application, service principal or group.
    fn display_name(&self, id: &str) -> Option<String> {
        let (kind, id) = self.lookup(id)?;
        Some(match kind {
            Kind::Application => self.application(id)?.display_name.clone(),
            Kind::ServicePrincipal => self.service_principal(id)?.display_name.clone(),
            Kind::User => self.file.users.iter().find(|user| user.id == id)?.display_name.clone(),
            Kind::Group => self.file.groups.iter().find(|group| group.id == id)?.display_name.clone(),
        })
    }

    /// `tenant`, `key`, `key#2` (second client secret) or `key#cert1` (first certificate), or any of the ids themselves.
    fn subject(&self, place: &str, text: &str) -> Result<String, EstateError> {
        let dangling = || EstateError::Dangling { place: place.to_owned(), name: text.to_owned() };
        if text == TENANT {
            return Ok(self.file.tenant.id.clone());
        }
        let Some((object, part)) = text.split_once('#') else {
            return self.object_id(text).map(str::to_owned).ok_or_else(dangling);
        };
        let (kind, id) = self.lookup(object).ok_or_else(dangling)?;
        let (secrets, certificates) = match kind {
            Kind::Application => self.application(id).map(|app| (&app.password_credentials, &app.key_credentials)),
            Kind::ServicePrincipal => {
                self.service_principal(id).map(|sp| (&sp.password_credentials, &sp.key_credentials))
            }
            Kind::User | Kind::Group => None,
        }
        .ok_or_else(dangling)?;
        let nth = |digits: &str| digits.parse::<usize>().ok().and_then(|position| position.checked_sub(1));
        let key_id = match part.strip_prefix("cert") {
            Some(digits) => nth(digits).and_then(|index| certificates.get(index)).map(|key| &key.key_id),
            None => nth(part).and_then(|index| secrets.get(index)).map(|key| &key.key_id),
        };
        key_id.cloned().ok_or_else(dangling)
    }
}

pub(super) fn fill(field: &mut String, value: impl FnOnce() -> String) {
    if field.is_empty() {
        *field = value();
    }
}

fn name(names: &mut Names, kind: Kind, key: &str, id: &str) -> Result<(), EstateError> {
    let words = if key == id { vec![id] } else { vec![key, id] };
    for word in words {
        if names.insert(word.to_owned(), (kind, id.to_owned())).is_some() {
            return Err(EstateError::Duplicate(word.to_owned()));
        }
    }
    Ok(())
}

fn resolve_in(names: &Names, place: &str, reference: &mut String) -> Result<(), EstateError> {
    let (_, id) = names
        .get(reference.as_str())
        .ok_or_else(|| EstateError::Dangling { place: place.to_owned(), name: reference.clone() })?;
    reference.clone_from(id);
    Ok(())
}

fn name_credentials(
    holder: &str,
    secrets: &mut [PasswordCredential],
    certificates: &mut [KeyCredential],
) -> Result<(), EstateError> {
    let derive = |kind: &str, position: usize| {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{holder}/{kind}/{position}").as_bytes()).to_string()
    };
    for (position, secret) in secrets.iter_mut().enumerate() {
        fill(&mut secret.key_id, || derive("secret", position));
    }
    for (position, certificate) in certificates.iter_mut().enumerate() {
        fill(&mut certificate.key_id, || derive("certificate", position));
        if certificate.certificate_pem.as_deref().is_some_and(|pem| Certificate::read(pem).is_none()) {
            return Err(EstateError::Certificate(certificate.key_id.clone()));
        }
    }
    Ok(())
}

fn name_roles(app_id: &str, roles: &mut [AppRole]) {
    for role in roles {
        fill(&mut role.id, || {
            Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{app_id}/role/{}", role.value).as_bytes()).to_string()
        });
    }
}

/// An id in the vendor's way: 43 characters of base64url.
fn opaque_id(text: &str) -> String {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

fn find_app_role(roles: &[AppRole], name: &str) -> Result<String, EstateError> {
    if name == "default" || name == DEFAULT_ACCESS {
        return Ok(DEFAULT_ACCESS.to_owned());
    }
    let found = roles.iter().find(|role| role.value == name || role.id == name);
    found.map(|role| role.id.clone()).ok_or_else(|| EstateError::Unknown { what: "app role", name: name.to_owned() })
}

fn find_role(roles: &[RoleDefinition], name: &str) -> Result<String, EstateError> {
    let found = roles.iter().find(|role| role.display_name == name || role.id == name || role.key == name);
    found
        .map(|role| role.id.clone())
        .ok_or_else(|| EstateError::Unknown { what: "directory role", name: name.to_owned() })
}

fn resolve_adders(
    names: &Names,
    holder: &str,
    secrets: &mut [PasswordCredential],
    certificates: &mut [KeyCredential],
) -> Result<(), EstateError> {
    let of_secrets = secrets.iter_mut().filter_map(|secret| secret.added_by.as_mut());
    let of_certificates = certificates.iter_mut().filter_map(|certificate| certificate.added_by.as_mut());
    let place = format!("{holder}: addedBy");
    of_secrets.chain(of_certificates).try_for_each(|adder| resolve_in(names, &place, adder))
}

fn positions(file: &EstateFile) -> Positions {
    let apps = |keep: &dyn Fn(&Application) -> bool| {
        file.applications.iter().enumerate().filter(|(_, app)| keep(app)).map(|(at, _)| at).collect()
    };
    let sps = |keep: &dyn Fn(&ServicePrincipal) -> bool| {
        file.service_principals.iter().enumerate().filter(|(_, sp)| keep(sp)).map(|(at, _)| at).collect()
    };
    let users = |keep: &dyn Fn(&User) -> bool| {
        file.users.iter().enumerate().filter(|(_, user)| keep(user)).map(|(at, _)| at).collect()
    };
    Positions {
        applications: apps(&|app| app.deleted.is_none()),
        deleted_applications: apps(&|app| app.deleted.is_some()),
        blueprints: apps(&|app| app.deleted.is_none() && app.agent_blueprint),
        service_principals: sps(&|sp| sp.deleted.is_none()),
        deleted_service_principals: sps(&|sp| sp.deleted.is_some()),
        agents: sps(&|sp| sp.deleted.is_none() && sp.blueprint.is_some()),
        users: users(&|user| user.deleted.is_none()),
        deleted_users: users(&|user| user.deleted.is_some()),
        // The report keeps telling of what is deleted for a while; here it does not.
        active: sps(&|sp| sp.deleted.is_none() && (sp.last_sign_in.is_some() || sp.last_unattended_sign_in.is_some())),
    }
}

fn used(file: &EstateFile) -> Vec<Used> {
    let mut all = Vec::new();
    let mut add = |holder: (Kind, usize), secrets: &[PasswordCredential], certificates: &[KeyCredential]| {
        let secrets = secrets.iter().map(|secret| secret.last_used.is_some()).enumerate();
        let certificates = certificates.iter().map(|certificate| certificate.last_used.is_some()).enumerate();
        all.extend(secrets.filter(|(_, used)| *used).map(|(at, _)| Used { holder, is_secret: true, at }));
        all.extend(certificates.filter(|(_, used)| *used).map(|(at, _)| Used { holder, is_secret: false, at }));
    };
    for (at, app) in file.applications.iter().enumerate().filter(|(_, app)| app.deleted.is_none()) {
        add((Kind::Application, at), &app.password_credentials, &app.key_credentials);
    }
    for (at, sp) in file.service_principals.iter().enumerate().filter(|(_, sp)| sp.deleted.is_none()) {
        add((Kind::ServicePrincipal, at), &sp.password_credentials, &sp.key_credentials);
    }
    all
}
