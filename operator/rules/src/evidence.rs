//! Turns a fact's or an edge's provenance into evidence: which call of which API said it, of which object, in which
//! field.

use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, Source, Value, attr};

use crate::finding::{Dependency, Evidence, EvidenceClass, EvidenceSource};
use crate::text::{date, display_name};

/// The vendor's field that tells who added a credential.
pub(crate) const ADDED_BY: &str = "initiatedBy";

/// A piece of evidence and the collection that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) evidence: Evidence,
    pub(crate) dependency: Option<Dependency>,
    /// What of the graph it was read from.
    pub(crate) mark: Option<Mark>,
}

/// One row of the graph, to find the evidence for a hop of a path again. Compared, and never shown or kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(usize);

impl Mark {
    /// Of an edge of the graph, not of a copy.
    pub(crate) fn edge(edge: &Edge) -> Self {
        Self(std::ptr::from_ref(edge).addr())
    }

    /// Of a fact of a node.
    pub(crate) fn fact(graph: &Graph, node: NodeIx, key: &str) -> Option<Self> {
        graph.node(node).fact(key).map(|fact| Self(std::ptr::from_ref(fact).addr()))
    }
}

/// From a fact of `node`. None when the fact is not there.
pub(crate) fn of_fact(graph: &Graph, node: NodeIx, key: &str, class: EvidenceClass, claim: String) -> Option<Proof> {
    let at = graph.node(node);
    let fact = at.fact(key)?;
    let mark = Mark(std::ptr::from_ref(fact).addr());
    let source = At { source: fact.source, object: at.id.vendor_id(), field: vendor_field(key), mark };
    Some(proof(graph, &source, class, claim, Some(shown(&fact.value))))
}

/// From an edge.
pub(crate) fn of_edge(graph: &Graph, edge: &Edge, class: EvidenceClass, claim: String) -> Proof {
    let object = edge.object.as_deref().unwrap_or_else(|| graph.node(edge.to).id.vendor_id());
    let source = At { source: edge.source, object, field: edge_field(graph, edge), mark: Mark::edge(edge) };
    let value = match (&edge.role, &edge.scope) {
        (Some(role), Some(scope)) => Some(format!("{} on {}", display_name(role), display_name(scope))),
        (Some(role), None) => Some(display_name(role)),
        _ => Some(display_name(graph.node(edge.from).id.vendor_id())),
    };
    proof(graph, &source, class, claim, value)
}

/// From the complete read of a collection that has nothing about `node`.
pub(crate) fn of_absence(
    graph: &Graph,
    node: NodeIx,
    field: &'static str,
    collection: &str,
    claim: String,
) -> Option<Proof> {
    let (_, instance) = graph.complete_for(node, collection);
    let header = &graph.instances().get(instance?)?.header;
    let operation = header.operations.iter().find(|operation| operation.collection == collection);
    let source = EvidenceSource {
        connector: header.system.clone(),
        api: operation
            .map_or_else(|| collection.to_owned(), |operation| format!("{} {}", operation.api, operation.path)),
        version: operation.map(|operation| operation.version.clone()).unwrap_or_default(),
        object: display_name(graph.node(node).id.vendor_id()),
        field: field.to_owned(),
    };
    let observed_at = Some(header.observed_at);
    let evidence =
        Evidence { class: EvidenceClass::Direct, claim, source, value: Some("empty".to_owned()), observed_at };
    let dependency = Dependency { instance_uid: header.instance_uid.clone(), collection: collection.to_owned() };
    Some(Proof { evidence, dependency: Some(dependency), mark: None })
}

/// From the complete read of records of use that have nothing about `node`.
pub(crate) fn of_silence(
    graph: &Graph,
    node: NodeIx,
    field: &'static str,
    collection: &str,
    claim: String,
) -> Option<Proof> {
    let mut proof = of_absence(graph, node, field, collection, claim)?;
    proof.evidence.class = EvidenceClass::Temporal;
    Some(proof)
}

struct At<'a> {
    source: Source,
    object: &'a str,
    field: &'a str,
    mark: Mark,
}

fn proof(graph: &Graph, at: &At<'_>, class: EvidenceClass, claim: String, value: Option<String>) -> Proof {
    let operation = graph.operation(at.source);
    let header = graph.instances().get(at.source.instance()).map(|instance| &instance.header);
    let source = EvidenceSource {
        connector: header.map(|header| header.system.clone()).unwrap_or_default(),
        api: operation.map(|operation| [&*operation.api, " ", &*operation.path].concat()).unwrap_or_default(),
        version: operation.map(|operation| operation.version.clone()).unwrap_or_default(),
        object: display_name(at.object),
        field: at.field.to_owned(),
    };
    let dependency = header.zip(operation).map(|(header, operation)| Dependency {
        instance_uid: header.instance_uid.clone(),
        collection: operation.collection.clone(),
    });
    let observed_at = header.map(|header| header.observed_at);
    Proof { evidence: Evidence { class, claim, source, value, observed_at }, dependency, mark: Some(at.mark) }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Text(text) => text.parse().map_or_else(|_| display_name(text), date),
        Value::List(texts) if texts.is_empty() => "none".to_owned(),
        Value::List(texts) => display_name(&texts.join(", ")),
    }
}

/// The vendor's field behind one of our attributes.
pub(crate) fn vendor_field(key: &str) -> &str {
    match key {
        attr::NAME => "displayName",
        attr::ENABLED => "accountEnabled",
        attr::VENDOR_DISABLED => "disabledByMicrosoftStatus",
        attr::CREATED_AT => "createdDateTime",
        attr::DELETED_AT => "deletedDateTime",
        attr::ADDRESS => "userPrincipalName",
        attr::HOME_TENANT => "appOwnerOrganizationId",
        attr::PRINCIPAL_TYPE => "servicePrincipalType",
        attr::HAS_MANAGEMENT_REFERENCE => "serviceManagementReference",
        attr::CREDENTIALS_LOCKED => "servicePrincipalLockConfiguration",
        attr::VALID_FROM => "startDateTime",
        attr::VALID_TO => "endDateTime",
        attr::CREDENTIAL_USE => "usage",
        attr::OWNER_COUNT => "owners",
        attr::LAST_USED_AT => "lastSignInDateTime",
        attr::LAST_UNATTENDED_USE_AT => "applicationAuthenticationClientSignInActivity",
        attr::THUMBPRINT => "customKeyIdentifier",
        attr::SPONSOR_COUNT => "sponsors",
        attr::MATCHING_EXPRESSION => "claimsMatchingExpression",
        attr::CREDENTIAL_POLICY | attr::CUSTOM_CREDENTIAL_POLICIES => "restrictions",
        other => other,
    }
}

fn edge_field(graph: &Graph, edge: &Edge) -> &'static str {
    match edge.kind {
        EdgeKind::Owns => "owners",
        EdgeKind::Sponsors => "sponsors",
        EdgeKind::MemberOf => "transitiveMembers",
        EdgeKind::DelegatedGrant => "scope",
        EdgeKind::Granted if graph.node(edge.to).kind == NodeKind::System => "roleDefinitionId",
        EdgeKind::Granted => "appRoleId",
        EdgeKind::AuthenticatesAs => "subject",
        EdgeKind::Instantiates => "appId",
        EdgeKind::HoldsCredential => "keyId",
        EdgeKind::CreatedBy => ADDED_BY,
        _ => "id",
    }
}
