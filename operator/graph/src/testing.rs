//! Writes snapshots readably in tests: one line per object, complete coverage unless said otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{
    Coverage, CoverageState, EdgeKind, EdgeRow, EdgeState, Header, NodeId, NodeKind, NodeRow, Operation,
    SNAPSHOT_FORMAT, Value,
};
use crate::snapshot::{Row, Snapshot};

/// The collections that an Entra connector reports.
pub const ENTRA_COLLECTIONS: [&str; 27] = [
    "organization",
    "applications",
    "applicationOwners",
    "servicePrincipals",
    "servicePrincipalOwners",
    "ownerAccounts",
    "directoryRoleDefinitions",
    "directoryRoleAssignments",
    "appRoleAssignments",
    "federatedCredentials",
    "deletedUsers",
    "ownerRoles",
    "selfCheck",
    "servicePlans",
    "flexibleFederatedCredentials",
    "directoryRoleEligibility",
    "directoryRoleActivations",
    "delegatedGrants",
    "groups",
    "groupMembers",
    "agentIdentities",
    "agentIdentityBlueprints",
    "agentIdentitySponsors",
    "servicePrincipalActivity",
    "credentialActivity",
    "directoryAudits",
    "appManagementPolicies",
];

/// A snapshot under construction.
#[derive(Clone, Debug)]
pub struct SnapshotBuilder {
    header: Header,
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
}

impl SnapshotBuilder {
    /// An Entra snapshot of `tenant` by an instance named `entra-<uid>`, observed at the Unix epoch.
    pub fn entra(uid: &str, tenant: &str) -> Self {
        let operation = |collection: &&str| Operation {
            id: format!("list_{collection}"),
            api: "Microsoft Graph".to_owned(),
            version: "v1.0".to_owned(),
            path: format!("GET /{collection}"),
            collection: (*collection).to_owned(),
        };
        let covered = |collection: &&str| Coverage {
            collection: (*collection).to_owned(),
            scope: "tenant".to_owned(),
            state: CoverageState::Complete,
            reason: None,
            permission: None,
            pages: 1,
            items: 1,
        };
        let mut coverage: Vec<Coverage> = ENTRA_COLLECTIONS.iter().map(covered).collect();
        coverage.sort_unstable();
        let header = Header {
            format: SNAPSHOT_FORMAT.to_owned(),
            system: "entra".to_owned(),
            tenant: tenant.to_owned(),
            instance: format!("entra-{uid}"),
            instance_uid: uid.to_owned(),
            scan_id: "00000000000001-aaaaaaaa".to_owned(),
            observed_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            connector: "entra/0".to_owned(),
            collection_revision: 1,
            operations: ENTRA_COLLECTIONS.iter().map(operation).collect(),
            coverage,
        };
        Self { header, nodes: Vec::new(), edges: Vec::new() }
    }

    /// The header, to change what a test is about.
    pub const fn header(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Identity of an object of this tenant.
    pub fn id(&self, kind: NodeKind, vendor_id: &str) -> NodeId {
        NodeId::new(&self.header.system, &self.header.tenant, kind, vendor_id)
    }

    /// Sets the state of one collection.
    pub fn cover(&mut self, collection: &str, state: CoverageState) -> &mut Self {
        for record in self.header.coverage.iter_mut().filter(|record| record.collection == collection) {
            record.state = state;
        }
        self
    }

    /// Adds an object that `collection` told of.
    pub fn node(&mut self, collection: &str, kind: NodeKind, vendor_id: &str, attrs: &[(&str, Value)]) -> NodeId {
        let id = self.id(kind, vendor_id);
        let attrs: BTreeMap<String, Value> =
            attrs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.nodes.push(NodeRow { id: id.clone(), kind, op: self.op(collection), attrs });
        id
    }

    /// Adds an edge that `collection` told of; the result can be given role, scope and the rest.
    pub fn edge(&mut self, collection: &str, from: &NodeId, kind: EdgeKind, to: &NodeId) -> &mut EdgeRow {
        let op = self.op(collection);
        self.edges.push(EdgeRow {
            from: from.clone(),
            kind,
            to: to.clone(),
            op,
            object: None,
            role: None,
            scope: None,
            condition: None,
            state: EdgeState::Active,
            since: None,
            until: None,
        });
        let last = self.edges.len() - 1;
        &mut self.edges[last]
    }

    /// Changes every edge of `kind` that was added so far.
    pub fn change(&mut self, kind: EdgeKind, change: impl Fn(&mut EdgeRow)) -> &mut Self {
        self.edges.iter_mut().filter(|edge| edge.kind == kind).for_each(change);
        self
    }

    /// The rows, for the writer.
    pub fn rows(&self) -> Vec<Row> {
        let nodes = self.nodes.iter().cloned().map(Row::Node);
        nodes.chain(self.edges.iter().cloned().map(Row::Edge)).collect()
    }

    /// The snapshot as loading would give it.
    pub fn build(&self) -> Snapshot {
        let (mut nodes, mut edges) = (self.nodes.clone(), self.edges.clone());
        nodes.sort_unstable();
        nodes.dedup();
        edges.sort_unstable();
        edges.dedup();
        Snapshot { header: self.header.clone(), nodes, edges }
    }

    fn op(&self, collection: &str) -> u16 {
        let at = self.header.operations.iter().position(|operation| operation.collection == collection);
        at.and_then(|at| u16::try_from(at).ok()).unwrap_or_default()
    }
}

/// A text value.
pub fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}
