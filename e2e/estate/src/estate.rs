//! A loaded estate: every reference resolved to an object id, every default filled in, indexes built.
//!
//! Takes an [`EstateFile`] and a clock, gives an [`Estate`] that the servers answer from. Pure. Object ids are derived
//! from the tenant and the object's key, so that the same file always gives the same ids.

mod audits;
mod build;
mod flatten;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::reference::GRAPH_APP_ID;
use crate::spec::{
    AppRoleAssignment, Application, EstateFile, Expectations, Group, KeyCredential, PasswordCredential, RoleDefinition,
    ServicePlan, ServicePrincipal, User,
};
use crate::when::When;

pub(crate) use audits::Audit;

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
    /// A federated credential says whom it trusts twice, or not at all.
    #[error("federatedCredentials[{0}] needs either a subject or a claimsMatchingExpression, and not both")]
    Federation(String),
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
    Group,
}

/// A credential that the vendor saw in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    /// `Application` or `ServicePrincipal`, and its position.
    pub(crate) holder: (Kind, usize),
    pub(crate) is_secret: bool,
    /// Position among the holder's secrets or certificates.
    pub(crate) at: usize,
}

/// Positions in the lists of the file that lists of Graph are read from, so that no page costs a walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Positions {
    pub(crate) applications: Arc<[usize]>,
    pub(crate) deleted_applications: Arc<[usize]>,
    pub(crate) blueprints: Arc<[usize]>,
    pub(crate) service_principals: Arc<[usize]>,
    pub(crate) deleted_service_principals: Arc<[usize]>,
    pub(crate) agents: Arc<[usize]>,
    pub(crate) users: Arc<[usize]>,
    pub(crate) deleted_users: Arc<[usize]>,
    /// Service principals whose sign-ins were recorded.
    pub(crate) active: Arc<[usize]>,
}

/// Positions that a filter left over, by list and filter. A changed estate starts with none.
#[derive(Debug, Default)]
struct Filtered(Mutex<HashMap<String, Arc<[usize]>>>);

impl Clone for Filtered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Filters kept at most: a client that never repeats one must not fill the memory.
const MAX_FILTERED: usize = 64;

/// A tenant ready to be served.
#[derive(Debug, Clone)]
pub struct Estate {
    pub(crate) file: EstateFile,
    pub(crate) clock: Timestamp,
    pub(crate) roles: Vec<RoleDefinition>,
    pub(crate) positions: Positions,
    pub(crate) used: Vec<Used>,
    pub(crate) audits: Vec<Audit>,
    filtered: Filtered,
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
        flatten::add_graph(&mut file);
        flatten::flatten(&mut file);
        let roles = flatten::role_definitions(&mut file);
        let mut estate = Self {
            file,
            clock,
            roles,
            positions: Positions::default(),
            used: Vec::new(),
            audits: Vec::new(),
            filtered: Filtered::default(),
            names: HashMap::new(),
            objects: HashMap::new(),
            app_ids: HashMap::new(),
            assigned_to: HashMap::new(),
            assigned_from: HashMap::new(),
        };
        estate.name_everything()?;
        estate.resolve_references()?;
        estate.sort_and_index();
        estate.audits = audits::of(&estate);
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
            Kind::User | Kind::Group => None,
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

    pub(crate) fn group(&self, id: &str) -> Option<&Group> {
        match self.objects.get(id)? {
            (Kind::Group, index) => self.file.groups.get(*index),
            _ => None,
        }
    }

    /// Where an object stands in its list of the file.
    pub(crate) fn position(&self, kind: Kind, id: &str) -> Option<usize> {
        self.objects.get(id).filter(|(found, _)| *found == kind).map(|(_, index)| *index)
    }

    /// Service principals that belong to a group, through other groups too, by id.
    pub(crate) fn transitive_principals(&self, group: &Group) -> Vec<&ServicePrincipal> {
        let (mut found, mut seen, mut open) = (BTreeMap::new(), BTreeSet::from([group.id.as_str()]), vec![group]);
        while let Some(next) = open.pop() {
            for id in &next.members {
                if let Some(sp) = self.service_principal(id).filter(|sp| sp.deleted.is_none()) {
                    found.insert(sp.id.as_str(), sp);
                }
                if let Some(inner) = self.group(id).filter(|inner| seen.insert(inner.id.as_str())) {
                    open.push(inner);
                }
            }
        }
        found.into_values().collect()
    }

    /// Whether the tenant's licence opens what a plan opens.
    pub(crate) fn has_plan(&self, plan: ServicePlan) -> bool {
        let plans = &self.file.tenant.service_plans;
        plans.contains(&plan) || (plan == ServicePlan::P1 && plans.contains(&ServicePlan::P2))
    }

    /// The positions that `make` gives, kept under a name.
    pub(crate) fn filtered_positions(&self, name: &str, make: impl FnOnce() -> Vec<usize>) -> Arc<[usize]> {
        let kept = || self.filtered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept().get(name) {
            return Arc::clone(known);
        }
        let fresh: Arc<[usize]> = make().into();
        let mut all = kept();
        if all.len() >= MAX_FILTERED {
            all.clear();
        }
        all.insert(name.to_owned(), Arc::clone(&fresh));
        fresh
    }

    /// Secrets and certificates of an application or service principal, by position.
    pub(crate) fn credentials(&self, (kind, index): (Kind, usize)) -> (&[PasswordCredential], &[KeyCredential]) {
        match kind {
            Kind::Application => self
                .file
                .applications
                .get(index)
                .map(|app| (app.password_credentials.as_slice(), app.key_credentials.as_slice())),
            Kind::ServicePrincipal => self
                .file
                .service_principals
                .get(index)
                .map(|sp| (sp.password_credentials.as_slice(), sp.key_credentials.as_slice())),
            Kind::User | Kind::Group => None,
        }
        .unwrap_or_default()
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

    /// Owners, sponsors or principals that still exist, as Graph lists them.
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
            (Kind::Group, index) => self.file.groups.get(*index).map(Owner::Group),
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
}

/// An owner, sponsor or principal as Graph lists it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    User(&'a User),
    ServicePrincipal(&'a ServicePrincipal),
    Group(&'a Group),
}

fn start_of_day(now: Timestamp) -> Timestamp {
    let seconds = now.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(86_400)).unwrap_or(now)
}

/// How often each kind of object stands in the estate: what a server prints when it starts.
pub fn census(estate: &Estate) -> BTreeMap<&'static str, usize> {
    let of_apps = estate.file.applications.iter().map(|app| app.password_credentials.len() + app.key_credentials.len());
    let of_sps =
        estate.file.service_principals.iter().map(|sp| sp.password_credentials.len() + sp.key_credentials.len());
    let credentials = of_apps.chain(of_sps).sum();
    BTreeMap::from([
        ("applications", estate.file.applications.len()),
        ("servicePrincipals", estate.file.service_principals.len()),
        ("users", estate.file.users.len()),
        ("groups", estate.file.groups.len()),
        ("credentials", credentials),
        ("delegatedGrants", estate.file.delegated_grants.len()),
        ("eligibleRoles", estate.file.eligible_roles.len()),
        ("appRoleAssignments", estate.file.app_role_assignments.len()),
        ("directoryRoleAssignments", estate.file.directory_role_assignments.len()),
        ("expectedFindings", estate.file.expect.findings.len()),
        ("nearMisses", estate.file.expect.near_misses.len()),
    ])
}
