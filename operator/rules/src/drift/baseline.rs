//! One tenant's baseline: takes the graph of the accepted snapshots, judges it by this version's rules, and keeps of each
//! identity only what drift rules compare. The graph can be dropped then.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, Header, InstanceIx, NodeId, NodeIx, NodeKind, Tri, attr};

use crate::authority;
use crate::identity::{self, CredentialType, Identity};
use crate::owners;
use crate::rule::{Context, RuleConfig};
use crate::sensitive;
use crate::severity::Tier;
use crate::shared;
use crate::text::display_name;

/// The reason in a coverage record of what the tenant's licence does not include.
pub(crate) const UNLICENSED: &str = "LicenseMissing";

/// The accepted state of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    pub(super) system: String,
    pub(super) tenant: String,
    /// By instance UID.
    pub(super) instances: BTreeMap<String, Taken>,
    /// Some group held a grant: who its members were matters.
    pub(super) groups_hold: bool,
    pub(super) identities: BTreeMap<NodeId, Before>,
}

/// The header of one accepted snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) snapshot: String,
    pub(super) observed_at: Timestamp,
    /// By collection.
    pub(super) reads: BTreeMap<String, Read>,
}

/// How a collection was read. Only equal reads that are complete can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) complete: bool,
    /// The tenant's licence does not include it: there is nothing of the kind.
    unlicensed: bool,
    revision: u32,
    /// API, version and path of each call that fed it.
    pub(super) calls: BTreeSet<(String, String, String)>,
}

/// One identity as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// Tier of its best proven authority.
    pub(super) tier: Tier,
    /// It held the whole tenant or a part of it by acting as others, if a step that was not proven held.
    pub(super) composition_unknown: bool,
    pub(super) grants: Vec<Grant>,
    /// Those that it could sign in with, and those of which that was not known: what was not proven to be missing is not
    /// new.
    pub(super) credentials: Vec<Key>,
    /// The same of trusts.
    pub(super) trusts: Vec<Trust>,
    /// Names of owners that were proven to be active, in the order of their ids.
    pub(super) active_owners: Vec<String>,
}

/// A grant as it was, the principal's own or its group's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Vendor's id of what it was on.
    pub(super) target: String,
    pub(super) directory: bool,
    pub(super) role: Option<String>,
    pub(super) scope: Option<String>,
    /// It is proven that it held; else it may have.
    pub(super) stands: bool,
    /// For people, when it was proven to give authority.
    pub(super) says: Option<String>,
}

/// A credential as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) thumbprint: Option<String>,
    pub(super) kind: CredentialType,
    pub(super) label: String,
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    pub(super) id: String,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) expression: Option<String>,
}

impl Baseline {
    /// Of `graph`, which holds the accepted snapshots of the instances of one tenant. It is judged as of the day on which
    /// it was taken: a grant that has ended since held then. None without any instance.
    pub fn of(graph: &Graph, config: &RuleConfig) -> Option<Self> {
        let first = &graph.instances().first()?.header;
        let as_of = graph.instances().iter().map(|instance| instance.header.observed_at).max()?;
        let context = Context::new(graph, config, as_of);
        let taken = |(at, header): (InstanceIx, &Header)| (header.instance_uid.clone(), Taken::of(graph, at, header));
        let headers = graph.instances().iter().map(|instance| &instance.header).enumerate();
        let holds =
            |ix: &NodeIx| graph.node(*ix).kind == NodeKind::Group && !graph.out(*ix, EdgeKind::Granted).is_empty();
        Some(Self {
            system: first.system.clone(),
            tenant: first.tenant.clone(),
            instances: headers.map(taken).collect(),
            groups_hold: graph.node_indexes().any(|ix| holds(&ix)),
            identities: graph
                .node_indexes()
                .filter(|ix| identity::is_identity(graph.node(*ix)))
                .map(|ix| (graph.node(ix).id.clone(), Before::of(&context, ix)))
                .collect(),
        })
    }

    /// Ids of the snapshots in it, by instance UID.
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, &str)> {
        self.instances.iter().map(|(uid, taken)| (uid.as_str(), taken.snapshot.as_str()))
    }

    /// Collections that can be compared with those of `graph`: every instance of the tenant that reports on one read it
    /// completely, then and now, in the same revision and by the same calls.
    pub fn comparable(&self, graph: &Graph) -> BTreeSet<String> {
        let mut now: BTreeMap<String, BTreeMap<&str, Read>> = BTreeMap::new();
        for (at, instance) in graph.instances().iter().enumerate() {
            let header = &instance.header;
            if header.system == self.system && header.tenant == self.tenant {
                for (collection, read) in reads(graph, at, header) {
                    now.entry(collection).or_default().insert(&header.instance_uid, read);
                }
            }
        }
        let same = |collection: &String, reads: &BTreeMap<&str, Read>| {
            let then: BTreeMap<&str, &Read> = self
                .instances
                .iter()
                .filter_map(|(uid, taken)| Some((uid.as_str(), taken.reads.get(collection)?)))
                .collect();
            reads.len() == then.len() && reads.iter().all(|(uid, read)| read.complete && then.get(uid) == Some(&read))
        };
        now.into_iter().filter(|(name, reads)| same(name, reads)).map(|(name, _)| name).collect()
    }

    /// Whether all that there was of `collection` stands in the baseline, whatever is read of it now.
    pub(super) fn knew(&self, collection: &str) -> bool {
        let mut reads = self.instances.values().filter_map(|taken| taken.reads.get(collection)).peekable();
        reads.peek().is_some() && reads.all(|read| read.complete || read.unlicensed)
    }

    /// Whether the header of a snapshot shows everything that drift rules compare, as far as it reports on it: such a one
    /// can stand as a baseline without anybody's word. What was not asked for is not missing.
    pub fn suits(header: &Header) -> bool {
        use sv0_graph::CoverageState::{Complete, Skipped};
        let compared = super::compared_collections();
        let mut rows = header.coverage.iter().filter(|row| compared.contains(row.collection.as_str())).peekable();
        rows.peek().is_some() && rows.all(|row| matches!(row.state, Complete | Skipped))
    }
}

impl Taken {
    fn of(graph: &Graph, at: InstanceIx, header: &Header) -> Self {
        Self { snapshot: header.scan_id.clone(), observed_at: header.observed_at, reads: reads(graph, at, header) }
    }
}

fn reads(graph: &Graph, at: InstanceIx, header: &Header) -> BTreeMap<String, Read> {
    let compared = super::compared_collections();
    let names = header.coverage.iter().map(|row| &row.collection).filter(|name| compared.contains(name.as_str()));
    let names: BTreeSet<&String> = names.collect();
    let read = |name: &String| {
        let calls = header.operations.iter().filter(|operation| operation.collection == *name);
        Read {
            complete: graph.complete(at, name).is_true(),
            unlicensed: graph.coverage(at, name).all(|row| row.reason.as_deref() == Some(UNLICENSED)),
            revision: header.collection_revision,
            calls: calls.map(|call| (call.api.clone(), call.version.clone(), call.path.clone())).collect(),
        }
    };
    names.into_iter().map(|name| (name.clone(), read(name))).collect()
}

impl Before {
    fn of(context: &Context<'_>, ix: NodeIx) -> Self {
        let graph = context.graph;
        let mut identity =
            identity::resolve(graph, ix, &context.config.trusted_tenants, context.as_of, &context.around);
        // As the present is judged: what the customer declares today counts on both sides.
        sensitive::declare(context, ix, &mut identity.authority);
        let authority = &identity.authority;
        let mut ways = authority.composition.iter().chain(&authority.part);
        let composition_unknown = ways.any(|composition| composition.state.is_unknown());
        let active = identity.owners.list.iter().filter(|owner| owner.state.answers());
        Self {
            tier: identity.authority.tier,
            composition_unknown,
            grants: grants(context, &identity),
            credentials: identity
                .credentials
                .iter()
                .map(|held| {
                    let label = held.label(graph);
                    let thumbprint = shared::thumbprint(graph, held.ix).map(Cow::into_owned);
                    Key { id: key_id(graph, held.ix).to_owned(), thumbprint, kind: held.kind, label }
                })
                .collect(),
            trusts: identity.federations.iter().map(|edge| Trust::of(graph, edge)).collect(),
            active_owners: active
                .map(|owner| {
                    let name = owners::name(graph, owner.ix);
                    name.unwrap_or_else(|| display_name(graph.node(owner.ix).id.vendor_id()))
                })
                .collect(),
        }
    }
}

fn grants(context: &Context<'_>, identity: &Identity<'_>) -> Vec<Grant> {
    let graph = context.graph;
    let proven = identity.authority.proven.iter().map(|grant| (std::ptr::from_ref(grant.edge), grant));
    let proven: BTreeMap<*const Edge, &authority::Grant<'_>> = proven.collect();
    held(graph, identity.ix)
        .map(|(member, edge)| (holds(member, edge, context.as_of), edge))
        .filter(|(holds, _)| !holds.is_false())
        .map(|(holds, edge)| {
            let target = graph.node(edge.to);
            Grant {
                target: target.id.vendor_id().to_owned(),
                directory: target.kind == NodeKind::System,
                role: edge.role.as_deref().map(str::to_owned),
                scope: edge.scope.as_deref().map(str::to_owned),
                stands: holds.is_true(),
                says: proven.get(&std::ptr::from_ref(edge)).map(|grant| grant.short(graph)),
            }
        })
        .collect()
}

/// Grants of a principal and of the groups that it is a member of, with the membership, whatever their state.
pub(super) fn held(graph: &Graph, principal: NodeIx) -> impl Iterator<Item = (Option<&Edge>, &Edge)> {
    let own = graph.out(principal, EdgeKind::Granted).iter().map(|edge| (None, edge));
    let through = graph
        .out(principal, EdgeKind::MemberOf)
        .iter()
        .flat_map(|member| graph.out(member.to, EdgeKind::Granted).iter().map(move |edge| (Some(member), edge)));
    own.chain(through)
}

/// Whether a grant holds, and the membership by which it is somebody's.
pub(super) fn holds(member: Option<&Edge>, edge: &Edge, as_of: Timestamp) -> Tri {
    Tri::all([Some(edge), member].into_iter().flatten().map(|edge| edge.holds(as_of)))
}

/// The vendor's id of a credential without that of its holder: the same key on application and service principal is one.
pub(super) fn key_id(graph: &Graph, credential: NodeIx) -> &str {
    let id = graph.node(credential).id.vendor_id();
    id.rsplit('/').next().unwrap_or(id)
}

impl Trust {
    pub(super) fn of(graph: &Graph, edge: &Edge) -> Self {
        let subject = graph.node(edge.from);
        let text = |key| subject.text(key).map(str::to_owned);
        Self {
            id: subject.id.vendor_id().to_owned(),
            issuer: text(attr::ISSUER),
            subject: text(attr::SUBJECT),
            expression: text(attr::MATCHING_EXPRESSION),
        }
    }
}
