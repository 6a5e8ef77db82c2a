//! The Microsoft Entra ID connector: applications, service principals, their credentials, owners and authority.
//!
//! Takes an engine that is bound to Microsoft Graph; gives rows and, for each collection, how completely it was seen.
//! Reads from the side of lists and grants, never object by object. May not: read secret values, key bytes or lists
//! of people, or believe a tenant that does not prove to be the one it is bound to.

mod client;
mod collect;
mod config;
mod map;
mod model;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use sv0_connector::{Cause, Collected, Connector, Engine, Failure, Manifest, ManifestError, RowSink, Tally, text};
use sv0_graph::NodeKind;

pub use crate::config::Config;

use crate::collect::activity::{self, Known};
use crate::collect::agents::{self, Agents};
use crate::collect::authority::{self, Others, Roles};
use crate::collect::identities::{self, Applications, Principals};
use crate::collect::pairs::Pairs;
use crate::collect::relations::{self, Relation};
use crate::collect::{Walk, groups, own, people, policies};
use crate::map::{Hold, Mapper};

/// The manifest as it is compiled in.
pub const MANIFEST: &str = include_str!("../manifest.yaml");

/// The connector of one instance.
pub struct Entra {
    manifest: Arc<Manifest>,
    config: Config,
}

impl Entra {
    /// Reads the compiled-in manifest.
    pub fn new(config: Config) -> Result<Self, ManifestError> {
        Ok(Self { manifest: Arc::new(Manifest::parse(MANIFEST)?), config })
    }

    /// The manifest, for the engine.
    pub fn shared_manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }
}

/// The account of each collection.
#[derive(Default)]
struct Account {
    organization: Tally,
    self_check: Tally,
    service_plans: Tally,
    applications: Tally,
    application_owners: Tally,
    federated_credentials: Tally,
    flexible_credentials: Tally,
    service_principals: Tally,
    service_principal_owners: Tally,
    agent_identities: Tally,
    agent_blueprints: Tally,
    agent_sponsors: Tally,
    owner_accounts: Tally,
    deleted_users: Tally,
    role_definitions: Tally,
    role_assignments: Tally,
    role_eligibility: Tally,
    role_activations: Tally,
    app_role_assignments: Tally,
    delegated_grants: Tally,
    owner_roles: Tally,
    groups: Tally,
    group_members: Tally,
    principal_activity: Tally,
    credential_activity: Tally,
    directory_audits: Tally,
    policies: Tally,
}

impl Account {
    fn by_collection(&self) -> [(&'static str, &Tally); 27] {
        [
            ("agentIdentities", &self.agent_identities),
            ("agentIdentityBlueprints", &self.agent_blueprints),
            ("agentIdentitySponsors", &self.agent_sponsors),
            ("appManagementPolicies", &self.policies),
            ("appRoleAssignments", &self.app_role_assignments),
            ("applicationOwners", &self.application_owners),
            ("applications", &self.applications),
            ("credentialActivity", &self.credential_activity),
            ("delegatedGrants", &self.delegated_grants),
            ("deletedUsers", &self.deleted_users),
            ("directoryAudits", &self.directory_audits),
            ("directoryRoleActivations", &self.role_activations),
            ("directoryRoleAssignments", &self.role_assignments),
            ("directoryRoleDefinitions", &self.role_definitions),
            ("directoryRoleEligibility", &self.role_eligibility),
            ("federatedCredentials", &self.federated_credentials),
            ("flexibleFederatedCredentials", &self.flexible_credentials),
            ("groupMembers", &self.group_members),
            ("groups", &self.groups),
            ("organization", &self.organization),
            ("ownerAccounts", &self.owner_accounts),
            ("ownerRoles", &self.owner_roles),
            ("selfCheck", &self.self_check),
            ("servicePlans", &self.service_plans),
            ("servicePrincipalActivity", &self.principal_activity),
            ("servicePrincipalOwners", &self.service_principal_owners),
            ("servicePrincipals", &self.service_principals),
        ]
    }

    /// What is read about things that another collection names is not whole when that one is not. What names people
    /// besides owners (sponsors, changes) leaves the accounts of owners whole: whom it did not name, nobody knows of. The
    /// same holds for groups that are only eligible for a role. What is itself built upon something comes last: what it
    /// inherited counts as well.
    fn inherit(&mut self) {
        let (applications, principals) = (self.applications.is_complete(), self.service_principals.is_complete());
        let agents = self.agent_identities.is_complete() && self.agent_blueprints.is_complete();
        lacking(applications, [&mut self.application_owners, &mut self.federated_credentials]);
        lacking(principals, [&mut self.service_principal_owners, &mut self.app_role_assignments]);
        lacking(principals, [&mut self.role_assignments, &mut self.role_eligibility]);
        lacking(principals, [&mut self.delegated_grants, &mut self.principal_activity]);
        lacking(applications && principals, [&mut self.credential_activity, &mut self.directory_audits]);
        lacking(agents, [&mut self.agent_sponsors]);
        lacking(self.federated_credentials.is_complete(), [&mut self.flexible_credentials]);

        let owners = self.application_owners.is_complete() && self.service_principal_owners.is_complete();
        let roles = self.role_assignments.is_complete();
        lacking(owners, [&mut self.owner_accounts]);
        lacking(self.owner_accounts.is_complete(), [&mut self.deleted_users]);
        // Which holders of roles are groups was asked of all of them, whatever is known of owners.
        let groups = roles && self.owner_roles.is_complete() && self.app_role_assignments.is_complete();
        lacking(groups, [&mut self.groups, &mut self.group_members]);
        lacking(owners && roles, [&mut self.owner_roles]);
    }
}

/// Unless what they are built upon is whole, they are not.
fn lacking<const N: usize>(whole: bool, dependents: [&mut Tally; N]) {
    for dependent in dependents.into_iter().filter(|_| !whole) {
        dependent.report(Cause::PartialCoverage);
    }
}

impl Connector for Entra {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn collect(&self, engine: &Engine, rows: &dyn RowSink, started_at: Timestamp) -> Result<Collected, Failure> {
        let tenant = text::guid(&self.config.tenant_id).ok_or(Cause::ForeignTenant)?;
        let map = Mapper { tenant: &tenant, manifest: &self.manifest, revision: engine.guard().revision() };
        let walk = Walk { engine, rows, map, config: &self.config };
        let mut account = Account::default();
        if let Err(failure) = identities::organization(&walk, &mut account.organization).await {
            return Err(own::explain(&walk, failure).await);
        }
        let (learnt, held) = Box::pin(Learnt::read(&walk, &mut account, started_at)).await;
        own::mark(&walk, &held, &learnt.principals, &mut account.self_check);
        let known = Known { applications: &learnt.applications, principals: &learnt.principals, keys: &learnt.keys };

        // The reports are slow by the vendor's own pace: they run beside all that is asked about what was learnt.
        let mut of_principals = std::mem::take(&mut account.principal_activity);
        let mut of_credentials = std::mem::take(&mut account.credential_activity);
        let reports = async {
            activity::principals(&walk, &known, &mut of_principals).await;
            activity::credentials(&walk, &known, &mut of_credentials).await;
        };
        futures::join!(reports, Box::pin(learnt.follow_up(&walk, &known, &mut account, started_at)));
        (account.principal_activity, account.credential_activity) = (of_principals, of_credentials);
        account.inherit();
        let own = OwnAccount { held: &held, principals: &learnt.principals, applications: &learnt.applications };
        Ok(self.conclude(engine, &account, &own, tenant))
    }
}

/// What the first questions taught: what there is to ask about.
struct Learnt {
    applications: Applications,
    principals: Principals,
    agents: Agents,
    roles: Roles,
    keys: Pairs,
}

impl Learnt {
    /// Asks what exists.
    async fn read(walk: &Walk<'_>, account: &mut Account, started_at: Timestamp) -> (Self, own::Held) {
        let (mut applications, mut principals, templates, ends, held, (), ()) = futures::join!(
            identities::applications(walk, &mut account.applications, started_at),
            identities::service_principals(walk, &mut account.service_principals),
            authority::role_definitions(walk, &mut account.role_definitions),
            authority::activations(walk, &mut account.role_activations),
            own::held(walk, &mut account.self_check),
            identities::service_plans(walk, &mut account.service_plans),
            policies::of_credentials(walk, &mut account.policies),
        );
        identities::instantiations(walk, &applications, &principals, &mut account.service_principals);
        let (identities, blueprints) = (&mut account.agent_identities, &mut account.agent_blueprints);
        let agents = agents::read(walk, &mut applications, &mut principals, identities, blueprints).await;
        let mut keys = std::mem::take(&mut applications.keys);
        keys.take(&mut principals.keys);
        keys.settle();
        principals.by_app_id.settle();
        (Self { applications, principals, agents, roles: Roles { templates, ends }, keys }, held)
    }

    /// Asks about what exists: who owns it, what it may do, and who the people and groups are.
    async fn follow_up(&self, walk: &Walk<'_>, known: &Known<'_>, account: &mut Account, started_at: Timestamp) {
        let kinds = &self.principals.kinds;
        let mut belongings = Belongings {
            application_owners: &mut account.application_owners,
            federated_credentials: &mut account.federated_credentials,
            flexible_credentials: &mut account.flexible_credentials,
            service_principal_owners: &mut account.service_principal_owners,
        };
        let (assigned, eligible) = (&mut account.role_assignments, &mut account.role_eligibility);
        let (app_roles, delegated) = (&mut account.app_role_assignments, &mut account.delegated_grants);
        let grants = async {
            let mut others = Others::new();
            for (hold, tally) in [(Hold::Active, assigned), (Hold::Eligible, eligible)] {
                let more = authority::directory_roles(walk, hold, &self.roles, &self.principals, tally).await;
                for (holder, held) in more {
                    others.entry(holder).or_default().extend(held);
                }
            }
            let groups = authority::app_roles(walk, &self.principals, app_roles).await;
            authority::delegated_grants(walk, &self.principals, delegated).await;
            (others, groups)
        };
        let ((others, groups), owners, sponsors, makers) = futures::join!(
            grants,
            belongings.read(walk, &self.applications, &self.principals),
            agents::sponsors(walk, &self.agents, kinds, &mut account.agent_sponsors),
            activity::audits(walk, known, started_at, &mut account.directory_audits),
        );
        let people = owners.iter().chain(&sponsors).chain(&makers).cloned().collect();
        let absent = people::accounts(walk, &people, &mut account.owner_accounts).await;
        people::deleted(walk, &absent, &mut account.deleted_users).await;
        let more = authority::owner_roles(walk, &self.roles, &others, &owners, &mut account.owner_roles).await;
        let groups = groups::sorted(groups, more);
        groups::groups(walk, &groups, &mut account.groups).await;
        groups::members(walk, &groups, kinds, &mut account.group_members).await;
    }
}

/// What was learnt of the scan's own identity.
struct OwnAccount<'a> {
    held: &'a own::Held,
    principals: &'a Principals,
    applications: &'a Applications,
}

/// The relations of applications and service principals.
struct Belongings<'a> {
    application_owners: &'a mut Tally,
    federated_credentials: &'a mut Tally,
    flexible_credentials: &'a mut Tally,
    service_principal_owners: &'a mut Tally,
}

impl Belongings<'_> {
    /// Reads them; gives the people among the owners.
    async fn read(
        &mut self,
        walk: &Walk<'_>,
        applications: &Applications,
        principals: &Principals,
    ) -> BTreeSet<String> {
        let mut application_ids: Vec<String> = applications.by_app_id.values().cloned().collect();
        application_ids.sort_unstable();
        // A managed identity has no owners by design; those of an agent are read since agents are.
        let agents = walk.engine.guard().accepts("listAgentIdentities");
        let owned = |kind: NodeKind| kind == NodeKind::ServicePrincipal || (agents && kind == NodeKind::AgentIdentity);
        let owned = principals.kinds.iter().filter(|(_, kind)| owned(**kind));
        let mut principal_ids: Vec<String> = owned.map(|(id, _)| id.clone()).collect();
        principal_ids.sort_unstable();
        let of_applications =
            Relation { list: "listApplicationOwners", single: "listOwnersOfApplication", holders: &application_ids };
        let of_principals = Relation {
            list: "listServicePrincipalOwners",
            single: "listOwnersOfServicePrincipal",
            holders: &principal_ids,
        };
        let kinds = &principals.kinds;
        let application = |_: &str| NodeKind::Application;
        let principal = |id: &str| kinds.get(id).copied().unwrap_or(NodeKind::ServicePrincipal);
        let federation = async {
            let flexible = relations::federated_credentials(walk, &application_ids, self.federated_credentials).await;
            relations::flexible_credentials(walk, &flexible, self.flexible_credentials).await;
        };
        let (mut people, more, ()) = futures::join!(
            relations::owners(walk, &of_applications, &application, kinds, self.application_owners),
            relations::owners(walk, &of_principals, &principal, kinds, self.service_principal_owners),
            federation,
        );
        people.extend(more);
        people
    }
}

impl Entra {
    fn conclude(&self, engine: &Engine, account: &Account, own: &OwnAccount<'_>, tenant: String) -> Collected {
        let coverage: Vec<_> = account.by_collection().map(|(name, tally)| tally.coverage(name)).into();
        let (mut missing, excess) = if account.self_check.is_complete() {
            own::compare(engine.guard(), own.held, own.principals)
        } else {
            (Vec::new(), Vec::new())
        };
        let add_ons: Vec<String> =
            self.manifest.permissions.iter().filter(|p| p.add_on.is_some()).map(|p| p.id.clone()).collect();
        missing.extend(coverage.iter().filter_map(|record| record.permission.clone()));
        missing.retain(|permission| !add_ons.contains(permission));
        missing.sort_unstable();
        missing.dedup();
        // Which of several living secrets was used cannot be told from the outside.
        let credential_expires_at = match own.applications.own_secret_ends.as_slice() {
            [only] if self.config.uses_client_secret => Some(*only),
            _ => None,
        };
        let newest = self.manifest.collection_revision;
        let pending = self.manifest.operations.iter().any(|operation| !engine.guard().accepts(&operation.id));
        Collected {
            tenant,
            coverage,
            permissions_missing: missing,
            add_ons,
            permissions_excess: excess,
            credential_expires_at,
            pending_revision: pending.then_some(newest),
            own_grants: own::grants(
                own.held,
                own::needed(&self.manifest, own.held, own.principals),
                &account.self_check,
            ),
        }
    }
}
