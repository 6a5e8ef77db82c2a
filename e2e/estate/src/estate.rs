//! A loaded estate: every reference resolved to an object id, every default filled in, indexes built.
//!
//! Takes an [`EstateFile`] and a clock, gives an [`Estate`] that the servers answer from. Pure. Object ids are derived
//! from the tenant and the object's key, so that the same file always gives the same ids.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use crate::certificate::Certificate;
use crate::reference::{
    DEFAULT_ACCESS, DIRECTORY_ROLES, GRAPH_APP_ID, GRAPH_KEY, GRAPH_PERMISSIONS, MICROSOFT_SERVICES_TENANT,
};
use crate::spec::{
    AppRole, AppRoleAssignment, Application, EstateFile, Expectations, KeyCredential, PasswordCredential,
    RoleAssignment, RoleDefinition, ServicePrincipal, User,
};
use crate::when::When;

/// Why an estate file was refused.
#[derive(Debug, thiserror::Error)]
pub enum EstateError {
    /// The file cannot be read.
    #[error("cannot read the estate file {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no estate file.
    #[error("the estate file is not valid: {0}")]
    Parse(#[from] serde_yaml::Error),
    /// A reference names nothing.
    #[error("{place} refers to `{name}`, which is neither a key nor an id in this estate file")]
    Dangling {
        /// Where the reference stands.
        place: String,
        /// What it says.
        name: String,
    },
    /// Two objects share a name.
    #[error("the key or id `{0}` is used twice: give each object its own")]
    Duplicate(String),
    /// A certificate cannot be read.
    #[error("a certificatePem of `{0}` is no certificate in PEM")]
    Certificate(String),
    /// A permission or role is not known.
    #[error("`{name}` is no {what} that this estate knows: use an id, define it, or check the spelling")]
    Unknown {
        /// Permission or role.
        what: &'static str,
        /// What was written.
        name: String,
    },
}

/// What a key or id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Application,
    ServicePrincipal,
    User,
}

/// A tenant ready to be served.
#[derive(Debug, Clone)]
pub struct Estate {
    pub(crate) file: EstateFile,
    pub(crate) clock: Timestamp,
    pub(crate) roles: Vec<RoleDefinition>,
    names: HashMap<String, (Kind, String)>,
    objects: HashMap<String, (Kind, usize)>,
    app_ids: HashMap<String, (Option<usize>, Option<usize>)>,
    assigned_to: HashMap<String, Vec<usize>>,
    assigned_from: HashMap<String, Vec<usize>>,
}

impl Estate {
    /// Reads an estate file. `now` is the server's clock; only its UTC day counts, and only if the file names no clock.
    pub fn load(path: &std::path::Path, now: Timestamp) -> Result<Self, EstateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EstateError::Read { path: path.display().to_string(), source })?;
        Self::parse(&text, now)
    }

    /// Parses the text of an estate file.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, EstateError> {
        Self::new(serde_yaml::from_str(text)?, now)
    }

    /// Resolves an estate file.
    pub fn new(mut file: EstateFile, now: Timestamp) -> Result<Self, EstateError> {
        let clock = file.clock.unwrap_or_else(|| start_of_day(now));
        add_graph(&mut file);
        flatten(&mut file);
        let roles = role_definitions(&mut file);
        let mut estate = Self {
            file,
            clock,
            roles,
            names: HashMap::new(),
            objects: HashMap::new(),
            app_ids: HashMap::new(),
            assigned_to: HashMap::new(),
            assigned_from: HashMap::new(),
        };
        estate.name_everything()?;
        estate.resolve_references()?;
        estate.sort_and_index();
        estate.resolve_expectations()?;
        Ok(estate)
    }

    /// What a scan of this estate must find and must not, with subjects as object ids (or key ids).
    pub fn expectations(&self) -> &Expectations {
        &self.file.expect
    }

    /// The tenant id.
    pub fn tenant_id(&self) -> &str {
        &self.file.tenant.id
    }

    /// Client id of the application that scans this estate, if the file names one.
    pub fn operator_app_id(&self) -> Option<&str> {
        let (kind, id) = self.lookup(self.file.operator_app.as_deref()?)?;
        match kind {
            Kind::Application => self.application(id).map(|app| app.app_id.as_str()),
            Kind::ServicePrincipal => self.service_principal(id).map(|sp| sp.app_id.as_str()),
            Kind::User => None,
        }
    }

    /// Object id of what a key, object id, or client id stands for.
    pub fn object_id(&self, name: &str) -> Option<&str> {
        self.lookup(name).map(|(_, id)| id)
    }

    pub(crate) fn lookup(&self, name: &str) -> Option<(Kind, &str)> {
        self.names.get(name).map(|(kind, id)| (*kind, id.as_str()))
    }

    pub(crate) fn application(&self, id: &str) -> Option<&Application> {
        match self.objects.get(id)? {
            (Kind::Application, index) => self.file.applications.get(*index),
            _ => None,
        }
    }

    pub(crate) fn service_principal(&self, id: &str) -> Option<&ServicePrincipal> {
        match self.objects.get(id)? {
            (Kind::ServicePrincipal, index) => self.file.service_principals.get(*index),
            _ => None,
        }
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        match self.objects.get(id)? {
            (Kind::User, index) => self.file.users.get(*index),
            _ => None,
        }
    }

    pub(crate) fn application_by_app_id(&self, app_id: &str) -> Option<&Application> {
        self.app_ids.get(app_id)?.0.and_then(|index| self.file.applications.get(index))
    }

    pub(crate) fn service_principal_by_app_id(&self, app_id: &str) -> Option<&ServicePrincipal> {
        self.app_ids.get(app_id)?.1.and_then(|index| self.file.service_principals.get(index))
    }

    /// Assignments of a resource's roles, by the resource's object id.
    pub(crate) fn assigned_to(&self, resource: &str) -> impl Iterator<Item = &AppRoleAssignment> {
        let indexes = self.assigned_to.get(resource).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|index| self.file.app_role_assignments.get(*index))
    }

    /// Assignments that a principal holds, by the principal's object id.
    pub(crate) fn assigned_from(&self, principal: &str) -> impl Iterator<Item = &AppRoleAssignment> {
        let indexes = self.assigned_from.get(principal).map_or(&[][..], Vec::as_slice);
        indexes.iter().filter_map(|index| self.file.app_role_assignments.get(*index))
    }

    /// Names of the Graph permissions that a client's service principal holds.
    pub(crate) fn graph_roles(&self, service_principal: &str) -> Vec<String> {
        let Some(graph) = self.service_principal_by_app_id(GRAPH_APP_ID) else { return Vec::new() };
        let mut roles: Vec<String> = self
            .assigned_from(service_principal)
            .filter(|assignment| assignment.resource == graph.id)
            .filter_map(|assignment| graph.app_roles.iter().find(|role| role.id == assignment.role))
            .map(|role| role.value.clone())
            .collect();
        roles.sort();
        roles.dedup();
        roles
    }

    pub(crate) fn instant(&self, when: When) -> Timestamp {
        when.at(self.clock)
    }

    pub(crate) fn owners<'a>(&'a self, owners: &'a [String]) -> impl Iterator<Item = Owner<'a>> {
        owners.iter().filter_map(|id| match self.objects.get(id)? {
            (Kind::User, index) => {
                let user = self.file.users.get(*index)?;
                user.deleted.is_none().then_some(Owner::User(user))
            }
            (Kind::ServicePrincipal, index) => {
                let sp = self.file.service_principals.get(*index)?;
                sp.deleted.is_none().then_some(Owner::ServicePrincipal(sp))
            }
            (Kind::Application, _) => None,
        })
    }

    /// Changes the file and builds everything again; the estate stays as it was if the change is refused.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut EstateFile)) -> Result<(), EstateError> {
        let mut file = self.file.clone();
        let expect = std::mem::take(&mut file.expect);
        change(&mut file);
        file.clock = Some(self.clock);
        let mut changed = Self::new(file, self.clock)?;
        changed.file.expect = expect;
        *self = changed;
        Ok(())
    }

    fn name_everything(&mut self) -> Result<(), EstateError> {
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
            }
            name_roles(&app.app_id, &mut app.app_roles);
        }
        for sp in &mut self.file.service_principals {
            let of_app = sp.key.strip_suffix("/sp").map(str::to_owned);
            fill(&mut sp.id, || derive("servicePrincipal", &sp.key));
            fill(&mut sp.app_id, || derive("client", of_app.as_deref().unwrap_or(&sp.key)));
            name(&mut names, Kind::ServicePrincipal, &sp.key, &sp.id)?;
            name_credentials(&sp.id, &mut sp.password_credentials, &mut sp.key_credentials)?;
            name_roles(&sp.app_id, &mut sp.app_roles);
        }
        self.names = names;
        Ok(())
    }

    fn resolve_references(&mut self) -> Result<(), EstateError> {
        let names = std::mem::take(&mut self.names);
        let resolve = |place: &str, reference: &mut String| resolve_in(&names, place, reference);
        for app in &mut self.file.applications {
            let place = format!("applications[{}].owners", app.key);
            app.owners.iter_mut().try_for_each(|owner| resolve(&place, owner))?;
        }
        for sp in &mut self.file.service_principals {
            let place = format!("servicePrincipals[{}].owners", sp.key);
            sp.owners.iter_mut().try_for_each(|owner| resolve(&place, owner))?;
        }
        for assignment in &mut self.file.directory_role_assignments {
            resolve("directoryRoleAssignments", &mut assignment.principal)?;
            assignment.role = find_role(&self.roles, &assignment.role)?;
            if let Some((_, id)) = assignment.scope.strip_prefix('/').and_then(|key| names.get(key)) {
                assignment.scope = format!("/{id}");
            }
            let text = format!("{}/{}/{}", assignment.principal, assignment.role, assignment.scope);
            fill(&mut assignment.id, || opaque_id(&text));
        }
        let resources: HashMap<&str, &ServicePrincipal> =
            self.file.service_principals.iter().map(|sp| (sp.id.as_str(), sp)).collect();
        for assignment in &mut self.file.app_role_assignments {
            resolve("appRoleAssignments", &mut assignment.principal)?;
            resolve("appRoleAssignments", &mut assignment.resource)?;
            let roles = resources.get(assignment.resource.as_str()).map_or(&[][..], |sp| sp.app_roles.as_slice());
            assignment.role = find_app_role(roles, &assignment.role)?;
            let text = format!("{}/{}/{}", assignment.principal, assignment.resource, assignment.role);
            fill(&mut assignment.id, || opaque_id(&text));
        }
        self.names = names;
        Ok(())
    }

    fn sort_and_index(&mut self) {
        let file = &mut self.file;
        file.users.sort_by(|a, b| a.id.cmp(&b.id));
        file.applications.sort_by(|a, b| a.id.cmp(&b.id));
        file.service_principals.sort_by(|a, b| a.id.cmp(&b.id));
        file.app_role_assignments.sort_by(|a, b| a.id.cmp(&b.id));
        file.directory_role_assignments.sort_by(|a, b| a.id.cmp(&b.id));
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
    }

    fn resolve_expectations(&mut self) -> Result<(), EstateError> {
        let mut expect = std::mem::take(&mut self.file.expect);
        for finding in &mut expect.findings {
            finding.subject = self.subject("expect.findings", &finding.subject)?;
        }
        for miss in &mut expect.near_misses {
            miss.subject = self.subject("expect.nearMisses", &miss.subject)?;
        }
        self.file.expect = expect;
        Ok(())
    }

    /// `key`, `key#2` (second client secret) or `key#cert1` (first certificate), or any of the ids themselves.
    fn subject(&self, place: &str, text: &str) -> Result<String, EstateError> {
        let dangling = || EstateError::Dangling { place: place.to_owned(), name: text.to_owned() };
        let Some((object, part)) = text.split_once('#') else {
            return self.object_id(text).map(str::to_owned).ok_or_else(dangling);
        };
        let (kind, id) = self.lookup(object).ok_or_else(dangling)?;
        let (secrets, certificates) = match kind {
            Kind::Application => self.application(id).map(|app| (&app.password_credentials, &app.key_credentials)),
            Kind::ServicePrincipal => {
                self.service_principal(id).map(|sp| (&sp.password_credentials, &sp.key_credentials))
            }
            Kind::User => None,
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

/// An owner as Graph lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    User(&'a User),
    ServicePrincipal(&'a ServicePrincipal),
}

fn start_of_day(now: Timestamp) -> Timestamp {
    let seconds = now.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(86_400)).unwrap_or(now)
}

fn fill(field: &mut String, value: impl FnOnce() -> String) {
    if field.is_empty() {
        *field = value();
    }
}

fn name(names: &mut HashMap<String, (Kind, String)>, kind: Kind, key: &str, id: &str) -> Result<(), EstateError> {
    let words = if key == id { vec![id] } else { vec![key, id] };
    for word in words {
        if names.insert(word.to_owned(), (kind, id.to_owned())).is_some() {
            return Err(EstateError::Duplicate(word.to_owned()));
        }
    }
    Ok(())
}

fn resolve_in(names: &HashMap<String, (Kind, String)>, place: &str, reference: &mut String) -> Result<(), EstateError> {
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
        if let Some(pem) = &certificate.certificate_pem {
            let read = Certificate::read(pem).ok_or_else(|| EstateError::Certificate(certificate.key_id.clone()))?;
            certificate.custom_key_identifier.get_or_insert_with(|| read.thumbprint());
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

fn role_definitions(file: &mut EstateFile) -> Vec<RoleDefinition> {
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
fn add_graph(file: &mut EstateFile) {
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
fn flatten(file: &mut EstateFile) {
    let tenant = file.tenant.id.clone();
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
        for permission in sp.graph_permissions.drain(..) {
            file.app_role_assignments.push(AppRoleAssignment {
                id: String::new(),
                principal: sp.key.clone(),
                resource: GRAPH_KEY.to_owned(),
                role: permission,
                created: sp.created,
            });
        }
        for role in sp.directory_roles.drain(..) {
            file.directory_role_assignments.push(RoleAssignment {
                id: String::new(),
                principal: sp.key.clone(),
                role,
                scope: "/".to_owned(),
            });
        }
    }
}

/// How often each kind of object stands in the estate: what a server prints when it starts.
pub fn census(estate: &Estate) -> BTreeMap<&'static str, usize> {
    BTreeMap::from([
        ("applications", estate.file.applications.len()),
        ("servicePrincipals", estate.file.service_principals.len()),
        ("users", estate.file.users.len()),
        ("appRoleAssignments", estate.file.app_role_assignments.len()),
        ("directoryRoleAssignments", estate.file.directory_role_assignments.len()),
        ("expectedFindings", estate.file.expect.findings.len()),
        ("nearMisses", estate.file.expect.near_misses.len()),
    ])
}
