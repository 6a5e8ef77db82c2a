//! An identity that may run unattended: where it comes from, what it can sign in with, and whether it can do so now.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::{Edge, EdgeKind, Graph, Node, NodeIx, NodeKind, Tri, UnknownReason, attr};

use crate::activity::{self, Use};
use crate::authority::{self, Authority, Surroundings};
use crate::derive::Through;
use crate::owners::{self, Owners};
use crate::text::display_name;
use crate::tiers;

/// Where agent identities and the credentials of their blueprints are read.
pub(crate) const AGENTS: [&str; 2] = ["agentIdentities", "agentIdentityBlueprints"];

/// Length of the first group of a UUID: enough to tell the keys of one application apart.
const KEY_GROUP: usize = 8;

/// Where an identity's application lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the tenant itself, or it has none (managed identities).
    Own,
    /// In a tenant of Microsoft: part of the platform.
    Microsoft,
    /// In another tenant that the customer declared to be its own.
    Trusted,
    /// In another tenant.
    Foreign,
    /// Not collected.
    Unknown,
}

/// What kind of authenticator a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CredentialType {
    Secret,
    Certificate,
    Other,
}

impl CredentialType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Other => "credential",
        }
    }
}

/// Last instant of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    At(Timestamp),
    Never,
    Unknown,
}

/// A credential of the identity or of its application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credential {
    pub(crate) ix: NodeIx,
    pub(crate) holder: NodeIx,
    pub(crate) kind: CredentialType,
    /// Whether it signs the application in, as opposed to signing tokens.
    pub(crate) client_auth: Tri,
    /// Whether the record that it is held holds.
    pub(crate) held: Tri,
    /// When that record ends by itself.
    pub(crate) ends: Option<Timestamp>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Until,
    /// What is recorded of its use.
    pub(crate) last_used: Use,
}

impl Credential {
    /// Whether the identity can sign in with it at `as_of`. No first instant means that it is valid from the outset.
    pub(crate) fn usable(&self, as_of: Timestamp) -> Tri {
        let begun = Tri::from(self.from.is_none_or(|from| from <= as_of));
        let lasts = match self.until {
            Until::At(end) => Tri::from(as_of < end),
            Until::Never => Tri::True,
            Until::Unknown => Tri::Unknown(UnknownReason::NotCollected),
        };
        let recorded = self.held.and(Tri::from(self.ends.is_none_or(|end| as_of < end)));
        recorded.and(self.client_auth).and(begun).and(lasts)
    }

    /// `secret 11111111` for people: type and the first group of the vendor's key id. Evidence has all of the id.
    pub(crate) fn label(&self, graph: &Graph) -> String {
        let id = graph.node(self.ix).id.vendor_id();
        let key = id.rsplit('/').next().unwrap_or(id);
        let group = key.split_once('-').map(|(first, _)| first).filter(|first| first.len() == KEY_GROUP);
        format!("{} {}", self.kind.as_str(), display_name(group.unwrap_or(key)))
    }
}

/// How the identity can sign in without a person.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'g> {
    Credential(Credential),
    Federation(&'g Edge),
    /// The platform keeps the credential: a managed identity.
    Platform,
}

/// An identity with all that rules ask of it.
#[derive(Clone, Debug)]
pub(crate) struct Identity<'g> {
    pub(crate) ix: NodeIx,
    pub(crate) node: &'g Node,
    pub(crate) name: String,
    pub(crate) home: Home,
    /// Its application in this tenant, and the edge that says so.
    pub(crate) application: Option<&'g Edge>,
    pub(crate) credentials: Vec<Credential>,
    /// Federated subjects that can sign in as it, or may: what is switched off or over is not among them.
    pub(crate) federations: Vec<&'g Edge>,
    /// When it was made, as far as is known.
    pub(crate) made: Option<Timestamp>,
    /// What is recorded of its use in any role.
    pub(crate) last_used: Use,
    /// What is recorded of its use as a client without a user.
    pub(crate) last_unattended: Use,
    /// Whether it can run unattended now.
    pub(crate) anchor: Tri,
    pub(crate) way: Option<Way<'g>>,
    pub(crate) authority: Authority<'g>,
    pub(crate) owners: Owners<'g>,
}

/// Whether a node is the kind of thing that findings are about.
pub(crate) fn is_identity(node: &Node) -> bool {
    let kind = matches!(node.kind, NodeKind::ServicePrincipal | NodeKind::ManagedIdentity | NodeKind::AgentIdentity);
    kind && !node.asserted_by.is_empty()
}

/// Everything about the identity at `ix`, at `as_of`.
pub(crate) fn resolve<'g>(
    graph: &'g Graph,
    ix: NodeIx,
    trusted: &BTreeSet<String>,
    as_of: Timestamp,
    around: &Surroundings<'g>,
) -> Identity<'g> {
    let node = graph.node(ix);
    let application = graph.incoming(ix, EdgeKind::Instantiates).next();
    let home = home(node, trusted);
    let credentials = credentials(graph, ix, application, as_of);
    let federations = federations(graph, ix, application, as_of);
    let way = way(node, &federations, &credentials, as_of);
    let made = activity::made(graph, ix, application.map(|edge| edge.from));
    let possible = if way.is_some() {
        Tri::True
    } else {
        let keys = credentials.iter().map(|credential| credential.usable(as_of));
        let unsure = Tri::any(keys.chain(federations.iter().map(|edge| edge.holds(as_of))));
        let unread = !graph.complete_for(ix, "federatedCredentials").0;
        unsure.or(unread).or(elsewhere(node, application))
    };
    let anchor = enabled(graph, ix, application, home).and(possible);
    Identity {
        ix,
        node,
        name: display_name(node.text(attr::NAME).unwrap_or_else(|| node.id.vendor_id())),
        home,
        application,
        credentials,
        federations,
        made,
        last_used: activity::of_any_use(graph, ix, made),
        last_unattended: activity::of_identity(graph, ix, attr::LAST_UNATTENDED_USE_AT, made),
        anchor,
        way,
        authority: authority::of(graph, ix, as_of, (around, Through::Anything)),
        owners: owners::of(graph, ix, application, home, as_of),
    }
}

/// Whether an agent identity may sign in with credentials that are not here: they are its blueprint's, wherever that is.
fn elsewhere(node: &Node, application: Option<&Edge>) -> Tri {
    if node.kind == NodeKind::AgentIdentity && application.is_none() {
        Tri::Unknown(UnknownReason::NotCollected)
    } else {
        Tri::False
    }
}

/// Where the application of `node` lives. Never by its name: anybody may call an application Microsoft's.
pub(crate) fn home(node: &Node, trusted: &BTreeSet<String>) -> Home {
    if node.kind == NodeKind::ManagedIdentity {
        return Home::Own;
    }
    if node.text(attr::APP_ID).is_some_and(tiers::is_microsoft_application) {
        return Home::Microsoft;
    }
    match node.text(attr::HOME_TENANT) {
        None => Home::Unknown,
        Some(tenant) if tenant.eq_ignore_ascii_case(node.id.tenant()) => Home::Own,
        Some(tenant) if tiers::is_microsoft_tenant(tenant) => Home::Microsoft,
        Some(tenant) if trusted.iter().any(|known| tenant.eq_ignore_ascii_case(known)) => Home::Trusted,
        Some(_) => Home::Foreign,
    }
}

/// Sign-in is possible: switched on, not stopped by the vendor, and its application still exists.
fn enabled(graph: &Graph, ix: NodeIx, application: Option<&Edge>, home: Home) -> Tri {
    let node = graph.node(ix);
    // The vendor records its own stop only where there is one; `enabled` above all must be proven.
    let stopped = |ix: NodeIx| Tri::from(graph.node(ix).flag(attr::VENDOR_DISABLED) == Some(true));
    let application_lives = match application {
        Some(edge) => !stopped(edge.from),
        // Without its application an identity of the tenant gets no tokens; others have none here.
        None if home == Home::Own && node.text(attr::PRINCIPAL_TYPE) == Some("Application") => {
            !graph.complete_for(ix, "applications").0
        }
        None => Tri::True,
    };
    node.is(attr::ENABLED).and(!stopped(ix)).and(application_lives)
}

fn credentials(graph: &Graph, ix: NodeIx, application: Option<&Edge>, as_of: Timestamp) -> Vec<Credential> {
    // The platform keeps and rotates a managed identity's certificates: nobody can use or renew them.
    if graph.node(ix).kind == NodeKind::ManagedIdentity {
        return Vec::new();
    }
    let holders = application.map(|edge| edge.from).into_iter().chain([ix]);
    holders
        .flat_map(|holder| graph.out(holder, EdgeKind::HoldsCredential))
        .filter(|edge| !edge.holds(as_of).is_false())
        .map(|edge| credential(graph, edge, as_of))
        .collect()
}

/// The credential that the edge says is held.
pub(crate) fn credential(graph: &Graph, edge: &Edge, as_of: Timestamp) -> Credential {
    let node = graph.node(edge.to);
    let kind = match node.text(attr::CREDENTIAL_TYPE) {
        Some("secret") => CredentialType::Secret,
        Some("certificate") => CredentialType::Certificate,
        _ => CredentialType::Other,
    };
    let client_auth = match node.text(attr::CREDENTIAL_USE) {
        Some("client_auth") => Tri::True,
        Some("token_signing" | "token_encryption") => Tri::False,
        Some(_) => Tri::Unknown(UnknownReason::Unsupported),
        None => Tri::Unknown(UnknownReason::NotCollected),
    };
    let until = match node.text(attr::VALID_TO) {
        Some("none") => Until::Never,
        _ => node.time(attr::VALID_TO).map_or(Until::Unknown, Until::At),
    };
    let from = node.time(attr::VALID_FROM);
    let last_used = activity::of_credential(graph, edge.to);
    let (held, ends) = (edge.holds(as_of), edge.until);
    Credential { ix: edge.to, holder: edge.from, kind, client_auth, held, ends, from, until, last_used }
}

fn federations<'g>(graph: &'g Graph, ix: NodeIx, application: Option<&'g Edge>, as_of: Timestamp) -> Vec<&'g Edge> {
    let holders = application.map(|edge| edge.from).into_iter().chain([ix]);
    holders
        .flat_map(|holder| graph.incoming(holder, EdgeKind::AuthenticatesAs))
        .filter(|edge| graph.node(edge.from).kind == NodeKind::FederatedSubject && !edge.holds(as_of).is_false())
        .collect()
}

fn way<'g>(node: &Node, federations: &[&'g Edge], credentials: &[Credential], as_of: Timestamp) -> Option<Way<'g>> {
    if node.kind == NodeKind::ManagedIdentity {
        return Some(Way::Platform);
    }
    if let Some(usable) = credentials.iter().find(|credential| credential.usable(as_of).is_true()) {
        return Some(Way::Credential(*usable));
    }
    federations.iter().copied().find(|edge| edge.holds(as_of).is_true()).map(Way::Federation)
}

impl<'g> Identity<'g> {
    /// Credentials that sign the identity in, usable at `as_of`, in the order of their ids.
    pub(crate) fn usable(&self, as_of: Timestamp) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| credential.usable(as_of).is_true())
    }

    /// Federated subjects that are proven to sign it in at `as_of`.
    pub(crate) fn trusts(&self, as_of: Timestamp) -> impl Iterator<Item = &'g Edge> {
        self.federations.iter().copied().filter(move |edge| edge.holds(as_of).is_true())
    }

    /// Whether some federated subject can sign it in at `as_of`, of those that were seen.
    pub(crate) fn trusts_any(&self, as_of: Timestamp) -> Tri {
        Tri::any(self.federations.iter().map(|edge| edge.holds(as_of)))
    }

    /// `service principal`, `managed identity`, `agent identity`.
    pub(crate) const fn noun(&self) -> &'static str {
        noun(self.node.kind)
    }
}

/// The word for a kind of node in our sentences.
pub(crate) const fn noun(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Application => "application",
        NodeKind::ServicePrincipal => "service principal",
        NodeKind::ManagedIdentity => "managed identity",
        NodeKind::AgentIdentity => "agent identity",
        NodeKind::Human => "account",
        NodeKind::Group => "group",
        NodeKind::FederatedSubject => "federated subject",
        NodeKind::System => "tenant",
        _ => "object",
    }
}
