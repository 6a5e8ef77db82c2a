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

use crate::collect::identities::{self, Applications, Principals};
use crate::collect::relations::{self, Relation};
use crate::collect::{Walk, authority, own, people};
use crate::map::Mapper;

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
    applications: Tally,
    application_owners: Tally,
    federated_credentials: Tally,
    service_principals: Tally,
    service_principal_owners: Tally,
    owner_accounts: Tally,
    deleted_users: Tally,
    role_definitions: Tally,
    role_assignments: Tally,
    app_role_assignments: Tally,
    owner_roles: Tally,
}

impl Account {
    fn by_collection(&self) -> [(&'static str, &Tally); 13] {
        [
            ("appRoleAssignments", &self.app_role_assignments),
            ("applicationOwners", &self.application_owners),
            ("applications", &self.applications),
            ("deletedUsers", &self.deleted_users),
            ("directoryRoleAssignments", &self.role_assignments),
            ("directoryRoleDefinitions", &self.role_definitions),
            ("federatedCredentials", &self.federated_credentials),
            ("organization", &self.organization),
            ("ownerAccounts", &self.owner_accounts),
            ("ownerRoles", &self.owner_roles),
            ("selfCheck", &self.self_check),
            ("servicePrincipalOwners", &self.service_principal_owners),
            ("servicePrincipals", &self.service_principals),
        ]
    }

    /// What is read about things that another collection names is not whole when that one is not.
    fn inherit(&mut self) {
        let owners_whole = self.application_owners.is_complete() && self.service_principal_owners.is_complete();
        let roles_whole = self.role_assignments.is_complete() && self.service_principals.is_complete();
        for (whole, dependent) in [
            (self.applications.is_complete(), &mut self.application_owners),
            (self.applications.is_complete(), &mut self.federated_credentials),
            (self.service_principals.is_complete(), &mut self.service_principal_owners),
            (self.service_principals.is_complete(), &mut self.role_assignments),
            (self.service_principals.is_complete(), &mut self.app_role_assignments),
            (owners_whole, &mut self.owner_accounts),
            (owners_whole, &mut self.deleted_users),
            (owners_whole && roles_whole, &mut self.owner_roles),
        ] {
            if !whole {
                dependent.report(Cause::PartialCoverage);
            }
        }
        if !self.owner_accounts.is_complete() {
            self.deleted_users.report(Cause::PartialCoverage);
        }
    }
}

impl Connector for Entra {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn collect(&self, engine: &Engine, rows: &dyn RowSink, started_at: Timestamp) -> Result<Collected, Failure> {
        let tenant = text::guid(&self.config.tenant_id).ok_or(Cause::ForeignTenant)?;
        let map = Mapper { tenant: &tenant, manifest: &self.manifest };
        let walk = Walk { engine, rows, map, config: &self.config };
        let mut account = Account::default();
        if let Err(failure) = identities::organization(&walk, &mut account.organization).await {
            return Err(own::explain(&walk, failure).await);
        }

        let (applications, principals, templates, held) = futures::join!(
            identities::applications(&walk, &mut account.applications, started_at),
            identities::service_principals(&walk, &mut account.service_principals),
            authority::role_definitions(&walk, &mut account.role_definitions),
            own::held(&walk, &mut account.self_check),
        );
        identities::instantiations(&walk, &applications, &principals, &mut account.service_principals);

        own::mark(&walk, &held, &principals, &mut account.self_check);

        let (role_assignments, app_role_assignments) =
            (&mut account.role_assignments, &mut account.app_role_assignments);
        let grants = async {
            let others = authority::directory_roles(&walk, &templates, &principals, role_assignments).await;
            authority::app_roles(&walk, &principals, app_role_assignments).await;
            others
        };
        let mut belongings = Belongings {
            application_owners: &mut account.application_owners,
            federated_credentials: &mut account.federated_credentials,
            service_principal_owners: &mut account.service_principal_owners,
        };
        let (others, people) = futures::join!(grants, belongings.read(&walk, &applications, &principals));
        let absent = people::accounts(&walk, &people, &mut account.owner_accounts).await;
        people::deleted(&walk, &absent, &mut account.deleted_users).await;
        authority::owner_roles(&walk, &templates, &others, &people, &mut account.owner_roles).await;
        account.inherit();
        let own = OwnAccount { held: &held, principals: &principals, applications: &applications };
        Ok(self.conclude(engine, &account, &own, tenant))
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
        let plain = principals.kinds.iter().filter(|(_, kind)| **kind == NodeKind::ServicePrincipal);
        let mut principal_ids: Vec<String> = plain.map(|(id, _)| id.clone()).collect();
        principal_ids.sort_unstable();
        let of_applications =
            Relation { list: "listApplicationOwners", single: "listOwnersOfApplication", holders: &application_ids };
        let of_principals = Relation {
            list: "listServicePrincipalOwners",
            single: "listOwnersOfServicePrincipal",
            holders: &principal_ids,
        };
        let kinds = &principals.kinds;
        let (mut people, more, ()) = futures::join!(
            relations::owners(walk, &of_applications, NodeKind::Application, kinds, self.application_owners),
            relations::owners(walk, &of_principals, NodeKind::ServicePrincipal, kinds, self.service_principal_owners),
            relations::federated_credentials(walk, &application_ids, self.federated_credentials),
        );
        people.extend(more);
        people
    }
}

impl Entra {
    fn conclude(&self, engine: &Engine, account: &Account, own: &OwnAccount<'_>, tenant: String) -> Collected {
        let coverage: Vec<_> = account.by_collection().map(|(name, tally)| tally.coverage(name)).into();
        let (mut missing, excess) = if account.self_check.is_complete() {
            own::compare(&self.manifest, own.held, own.principals)
        } else {
            (Vec::new(), Vec::new())
        };
        missing.extend(coverage.iter().filter_map(|record| record.permission.clone()));
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
            permissions_excess: excess,
            credential_expires_at,
            pending_revision: pending.then_some(newest),
            own_grants: own::grants(own.held, own::needed(&self.manifest, own.held), &account.self_check),
        }
    }
}
