//! Certificates that several applications accept: takes the graph, gives for each thumbprint the applications on which
//! it signs in now.
//!
//! An application and its service principals are one identity. Certificates of managed identities are the platform's.
//! Only what has the form of a thumbprint counts ([`CERTIFICATE`]): the vendor's field can hold any label that its writer
//! chose.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use sv0_graph::{EdgeKind, Graph, NodeIx, NodeKind, attr};

use crate::derive::CERTIFICATE;
use crate::identity::{self, Credential, CredentialType, Until};

/// One certificate.
#[derive(Debug, Default)]
pub(crate) struct Shared<'g> {
    /// Where it signs in now: by application, its first credential.
    pub(crate) applications: BTreeMap<&'g str, NodeIx>,
    /// The earliest instant at which it begins or ends somewhere.
    pub(crate) next: Option<Timestamp>,
}

/// Every certificate that stands on more than one application.
#[derive(Debug, Default)]
pub(crate) struct SharedKeys<'g>(BTreeMap<Cow<'g, str>, Shared<'g>>);

impl<'g> SharedKeys<'g> {
    pub(crate) fn of(graph: &'g Graph, as_of: Timestamp) -> Self {
        let held = graph.edges().iter().filter(|edge| edge.kind == EdgeKind::HoldsCredential);
        let mut rows: Vec<(Cow<'g, str>, &str, Credential)> = held
            .filter(|edge| graph.node(edge.from).kind != NodeKind::ManagedIdentity)
            .filter_map(|edge| {
                let thumbprint = thumbprint(graph, edge.to)?;
                let credential = identity::credential(graph, edge, as_of);
                let signs_in = credential.client_auth.is_true() && credential.kind == CredentialType::Certificate;
                signs_in.then(|| (thumbprint, application(graph, edge.from), credential))
            })
            .collect();
        rows.sort_by(|a, b| (&a.0, a.1, a.2.ix).cmp(&(&b.0, b.1, b.2.ix)));
        let several = |group: &&[(Cow<'g, str>, &str, Credential)]| group.windows(2).any(|two| two[0].1 != two[1].1);
        let groups = rows.chunk_by(|a, b| a.0 == b.0).filter(several);
        Self(groups.filter_map(|group| Some((group.first()?.0.clone(), shared(group, as_of)))).collect())
    }

    /// The certificate behind a credential, when it stands on more than one application.
    pub(crate) fn find(&self, graph: &Graph, credential: &Credential) -> Option<&Shared<'g>> {
        self.0.get(thumbprint(graph, credential.ix)?.as_ref())
    }
}

/// What tells one application from another: its id in every tenant, or else the object.
pub(crate) fn application(graph: &Graph, holder: NodeIx) -> &str {
    let instantiated = graph.incoming(holder, EdgeKind::Instantiates).next().map(|edge| edge.from);
    let object = instantiated.unwrap_or(holder);
    let app_id = graph.node(object).text(attr::APP_ID).or_else(|| graph.node(holder).text(attr::APP_ID));
    app_id.unwrap_or_else(|| graph.node(object).id.as_str())
}

/// The thumbprint of a credential in its one form, when it has one.
pub(crate) fn thumbprint(graph: &Graph, credential: NodeIx) -> Option<Cow<'_, str>> {
    CERTIFICATE.right(graph.node(credential))
}

fn shared<'g>(group: &[(Cow<'g, str>, &'g str, Credential)], as_of: Timestamp) -> Shared<'g> {
    let mut applications = BTreeMap::new();
    for (_, application, credential) in group.iter().filter(|(.., credential)| credential.usable(as_of).is_true()) {
        applications.entry(*application).or_insert(credential.ix);
    }
    let next = group.iter().flat_map(|(.., credential)| changes(credential)).filter(|at| *at > as_of).min();
    Shared { applications, next }
}

fn changes(credential: &Credential) -> impl Iterator<Item = Timestamp> {
    let end = if let Until::At(end) = credential.until { Some(end) } else { None };
    credential.from.into_iter().chain(end).chain(credential.ends)
}
