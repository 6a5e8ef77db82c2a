//! Sensitive data: what counts as such, by the shipped table and by the customer's declaration.
//!
//! The table names application permissions that open a kind of container in the whole tenant. The customer may declare
//! more: resources (APIs by object id or application id) and scopes. Never anything by its name. Takes an identity's
//! authority; adds to it what the declaration says.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sv0_graph::{Edge, EdgeKind, Graph, NodeIx, NodeKind, attr};

use crate::authority::{self, Authority, Grant};
use crate::environment::within;
use crate::rule::{Context, RuleConfig};
use crate::text::display_name;
use crate::tiers;

/// A kind of data. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataDomain {
    /// About employees.
    Hr,
    /// Money, invoices, accounts.
    Finance,
    /// About customers as persons.
    CustomerPii,
    /// About anybody's health.
    Health,
    /// Contracts, cases, evidence.
    Legal,
    /// Program text and what builds it.
    SourceCode,
    /// Keys, passwords, tokens.
    Secrets,
    /// Who may do what.
    IdentityAdmin,
    /// Alerts, incidents, detections.
    SecurityOps,
    /// Tickets and what they are about.
    Itsm,
    /// What people of a company write and file.
    GenericBusiness,
}

impl DataDomain {
    /// Every domain, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Hr,
        Self::Finance,
        Self::CustomerPii,
        Self::Health,
        Self::Legal,
        Self::SourceCode,
        Self::Secrets,
        Self::IdentityAdmin,
        Self::SecurityOps,
        Self::Itsm,
        Self::GenericBusiness,
    ];

    /// The word, as it stands in the table and in the Estate.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hr => "hr",
            Self::Finance => "finance",
            Self::CustomerPii => "customer_pii",
            Self::Health => "health",
            Self::Legal => "legal",
            Self::SourceCode => "source_code",
            Self::Secrets => "secrets",
            Self::IdentityAdmin => "identity_admin",
            Self::SecurityOps => "security_ops",
            Self::Itsm => "itsm",
            Self::GenericBusiness => "generic_business",
        }
    }

    /// The domain that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.as_str() == word)
    }

    const fn declared(self) -> &'static str {
        match self {
            Self::Hr => "data that your Estate declares as hr",
            Self::Finance => "data that your Estate declares as finance",
            Self::CustomerPii => "data that your Estate declares as customer_pii",
            Self::Health => "data that your Estate declares as health",
            Self::Legal => "data that your Estate declares as legal",
            Self::SourceCode => "data that your Estate declares as source_code",
            Self::Secrets => "data that your Estate declares as secrets",
            Self::IdentityAdmin => "data that your Estate declares as identity_admin",
            Self::SecurityOps => "data that your Estate declares as security_ops",
            Self::Itsm => "data that your Estate declares as itsm",
            Self::GenericBusiness => "data that your Estate declares as generic_business",
        }
    }
}

/// What holds data of one domain, as the customer declared it. Identifiers are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Containers {
    /// Resources, by object id or application id.
    pub objects: BTreeSet<String>,
    /// Scopes, by the source system's id, with all that lies below them.
    pub scopes: BTreeSet<String>,
}

/// Where the data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Container {
    /// Mailboxes.
    Mail,
    /// Files.
    Files,
    /// Sites.
    Sites,
    /// Calendars.
    Calendars,
    /// Address books.
    Contacts,
    /// Chats, channels and meeting transcripts.
    Conversations,
    /// Notebooks.
    Notes,
    /// Recovery keys of disks and passwords of local administrators.
    RecoveryKeys,
    /// Cases of legal discovery.
    LegalCases,
    /// Alerts, incidents and what is searched for attackers.
    SecurityRecords,
    /// What the customer declared.
    Declared,
}

impl Container {
    /// Every container, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Mail,
        Self::Files,
        Self::Sites,
        Self::Calendars,
        Self::Contacts,
        Self::Conversations,
        Self::Notes,
        Self::RecoveryKeys,
        Self::LegalCases,
        Self::SecurityRecords,
        Self::Declared,
    ];

    /// The word in declarations; none of what is itself declared.
    pub const fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::Mail => "mail",
            Self::Files => "files",
            Self::Sites => "sites",
            Self::Calendars => "calendars",
            Self::Contacts => "contacts",
            Self::Conversations => "conversations",
            Self::Notes => "notes",
            Self::RecoveryKeys => "recovery_keys",
            Self::LegalCases => "legal_cases",
            Self::SecurityRecords => "security_records",
            Self::Declared => return None,
        })
    }

    /// The container that `word` names in the table.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "mail" => Self::Mail,
            "files" => Self::Files,
            "sites" => Self::Sites,
            "calendars" => Self::Calendars,
            "contacts" => Self::Contacts,
            "conversations" => Self::Conversations,
            "notes" => Self::Notes,
            "recovery-keys" => Self::RecoveryKeys,
            "legal-cases" => Self::LegalCases,
            "security-records" => Self::SecurityRecords,
            _ => return None,
        })
    }
}

/// Sensitive data that a grant reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sensitive {
    /// Where they lie.
    pub container: Container,
    /// What kind they are.
    pub domain: DataDomain,
}

impl Sensitive {
    /// The word in declarations of what an identity is for: where the data lie, or what kind was declared.
    pub fn word(self) -> &'static str {
        self.container.word().unwrap_or(self.domain.as_str())
    }

    /// What can be reached, to end a sentence with. Exchange can limit an application to some mailboxes, and that is not
    /// collected.
    pub const fn as_str(self) -> &'static str {
        match self.container {
            Container::Mail => "mailboxes (unless Exchange limits it to some)",
            Container::Files => "the files of everybody",
            Container::Sites => "all sites",
            Container::Calendars => "calendars (unless Exchange limits it to some)",
            Container::Contacts => "address books (unless Exchange limits it to some)",
            Container::Conversations => "the conversations of everybody",
            Container::Notes => "the notebooks of everybody",
            Container::RecoveryKeys => "recovery keys or local administrator passwords of all devices",
            Container::LegalCases => "all cases of legal discovery",
            Container::SecurityRecords => "security alerts and incidents",
            Container::Declared => self.domain.declared(),
        }
    }

    /// Whether Exchange can limit an application to some mailboxes of it.
    pub const fn limited_by_exchange(self) -> bool {
        matches!(self.container, Container::Mail | Container::Calendars | Container::Contacts)
    }

    /// Whether it is what people write and file, everybody's at once.
    pub const fn is_everybodys(self) -> bool {
        !matches!(
            self.container,
            Container::RecoveryKeys | Container::LegalCases | Container::SecurityRecords | Container::Declared
        )
    }
}

/// Adds what the customer declared to the authority of the identity at `ix`. A grant that the tables do not know counts
/// when it is on a declared resource: that it reaches the data is proven, what it may do there is not.
pub(crate) fn declare<'g>(context: &Context<'g>, ix: NodeIx, authority: &mut Authority<'g>) {
    let config = context.config;
    if config.sensitive_domains.is_empty() {
        return;
    }
    let graph = context.graph;
    for grant in authority.proven.iter_mut().filter(|grant| grant.sensitive.is_none()) {
        grant.sensitive = declared(graph, config, grant.edge);
    }
    let known: BTreeSet<*const Edge> = authority.proven.iter().map(|grant| std::ptr::from_ref(grant.edge)).collect();
    let more = |edge: &&Edge| edge.holds(context.as_of).is_true() && !known.contains(&std::ptr::from_ref(*edge));
    let more: Vec<_> = graph
        .out(ix, EdgeKind::Granted)
        .iter()
        .filter(|edge| graph.node(edge.to).kind != NodeKind::System)
        .filter(more)
        .filter_map(|edge| unknown(graph, edge, declared_by(graph, config, edge)?))
        .collect();
    authority.proven.extend(more);
    authority.declared();
}

/// A grant of a role that the tables do not know, on what the customer declared to be sensitive.
pub(crate) fn unknown<'g>(graph: &Graph, edge: &'g Edge, sensitive: Sensitive) -> Option<Grant<'g>> {
    Some(authority::unweighed(edge, role(graph, edge)?, sensitive))
}

/// The domain that the customer declared for what a grant is about, when the grant can give access to it.
pub(crate) fn declared_by(graph: &Graph, config: &RuleConfig, edge: &Edge) -> Option<Sensitive> {
    if config.sensitive_domains.is_empty() {
        return None;
    }
    let role = edge.role.as_deref()?;
    let gives = match graph.node(edge.to).kind {
        // What a custom role of the directory allows is not weighed.
        NodeKind::System => tiers::directory_role(role).is_some(),
        // An application permission is never a member's through its group.
        NodeKind::ServicePrincipal if graph.node(edge.from).kind == NodeKind::Group => false,
        _ => role != tiers::DEFAULT_ACCESS,
    };
    if gives { declared(graph, config, edge) } else { None }
}

fn declared(graph: &Graph, config: &RuleConfig, edge: &Edge) -> Option<Sensitive> {
    let node = graph.node(edge.to);
    let bound = edge.scope.as_deref().filter(|scope| *scope != "/");
    let scope = if node.kind == NodeKind::Scope { Some(node.id.vendor_id()) } else { bound };
    let ids = || [Some(node.id.vendor_id()), node.text(attr::APP_ID)].into_iter().flatten();
    let named = |containers: &Containers| {
        let by_id = containers.objects.iter().any(|known| ids().any(|id| known.eq_ignore_ascii_case(id)));
        by_id || scope.is_some_and(|scope| containers.scopes.iter().any(|outer| within(outer, scope)))
    };
    let (domain, _) = config.sensitive_domains.iter().find(|(_, containers)| named(containers))?;
    Some(Sensitive { container: Container::Declared, domain: *domain })
}

/// The vendor's name for the role, or its id.
fn role(graph: &Graph, edge: &Edge) -> Option<String> {
    let id = edge.role.as_deref()?;
    let resource = graph.node(edge.to);
    let value = resource.text(&format!("{}{id}", attr::APP_ROLE_PREFIX)).unwrap_or(id);
    let name = resource.text(attr::NAME).unwrap_or_else(|| resource.id.vendor_id());
    Some(format!("{} of \"{}\"", display_name(value), display_name(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_words_of_the_closed_list() {
        for domain in DataDomain::ALL {
            assert_eq!(DataDomain::parse(domain.as_str()), Some(domain));
            assert_eq!(serde_json::to_value(domain).unwrap(), domain.as_str());
            assert!(domain.declared().ends_with(domain.as_str()));
        }
        assert_eq!(DataDomain::parse("unclassified"), None);
    }
}
