//! Delegated grants: what a service principal may do on behalf of one user or of all.

use std::collections::{BTreeSet, HashMap};

use sv0_connector::text;
use sv0_graph::{EdgeKind, EdgeRow, NodeKind};

use crate::map::Mapper;
use crate::model::DelegatedGrant;

/// Longest list of scopes that is kept, in bytes.
const MAX_SCOPES: usize = 8 * 1024;

/// What became of a grant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// It gives something.
    Edge(Box<EdgeRow>),
    /// It names no scope.
    Empty,
}

impl Mapper<'_> {
    /// A delegated grant. `None` when it is not known what is granted, or to whom.
    pub(crate) fn delegated_grant(&self, wire: &DelegatedGrant, kinds: &HashMap<String, NodeKind>) -> Option<Grant> {
        let object = text::opaque_id(&wire.id)?.to_owned();
        let (client, resource) = (text::guid(&wire.client_id)?, text::guid(&wire.resource_id)?);
        let scopes: BTreeSet<&str> = wire.scope.as_deref().unwrap_or_default().split_ascii_whitespace().collect();
        let whom = match wire.consent_type.as_str() {
            "AllPrincipals" => "AllPrincipals".to_owned(),
            "Principal" => format!("/users/{}", text::guid(wire.principal_id.as_deref()?)?),
            _ => return None,
        };
        if scopes.is_empty() {
            return Some(Grant::Empty);
        }
        let role = text::exact(&scopes.into_iter().collect::<Vec<_>>().join(" "), MAX_SCOPES)?;
        let principal = |id: &str| self.id(kinds.get(id).copied().unwrap_or(NodeKind::ServicePrincipal), id);
        let mut edge =
            self.edge(principal(&client), EdgeKind::DelegatedGrant, principal(&resource), "listDelegatedGrants");
        edge.object = Some(object);
        edge.role = Some(role);
        edge.scope = Some(whom);
        Some(Grant::Edge(Box::new(edge)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::map::testing::{wire, with};

    static LONG: LazyLock<String> = LazyLock::new(|| "x".repeat(8192));
    const USER: &str = "f1847572-48aa-47aa-96a3-2ec61904f41f";

    #[rstest]
    #[case::all(json!({}), Ok(Some(("Group.ReadWrite.All User.Read", "AllPrincipals"))))]
    #[case::one_user(json!({"consentType": "Principal", "principalId": USER}), Ok(Some(("Group.ReadWrite.All User.Read", "/users/f1847572-48aa-47aa-96a3-2ec61904f41f"))))]
    #[case::repeated(json!({"scope": " b  a\tb "}), Ok(Some(("a b", "AllPrincipals"))))]
    #[case::no_scope(json!({"scope": " "}), Ok(None))]
    #[case::no_scope_came(json!({"scope": null}), Ok(None))]
    #[case::nobody(json!({"consentType": "Principal"}), Err(()))]
    #[case::everybody_else(json!({"consentType": "Everybody"}), Err(()))]
    #[case::hostile_scope(json!({"scope": "a\u{202E}b"}), Err(()))]
    #[case::long_scopes(json!({"scope": "x".repeat(8192)}), Ok(Some((LONG.as_str(), "AllPrincipals"))))]
    #[case::a_little_too_long(json!({"scope": "x".repeat(8193)}), Err(()))]
    #[case::endless_scope(json!({"scope": "x".repeat(9000)}), Err(()))]
    #[case::no_client(json!({"clientId": "x"}), Err(()))]
    fn grants(#[case] more: Json, #[case] told: Result<Option<(&str, &str)>, ()>) {
        let mut grant = json!({"clientId": "263a5b01-03e5-408e-8557-bab681df104c", "consentType": "AllPrincipals",
            "id": "AVs6JuUDjkCFV7q2gd8QTPimBBgj5iBFj0C6GwwRxC0", "principalId": null,
            "resourceId": "1804a6f8-e623-4520-8f40-ba1b0c11c42d", "scope": "User.Read Group.ReadWrite.All"});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let kinds = HashMap::from([("263a5b01-03e5-408e-8557-bab681df104c".to_owned(), NodeKind::AgentIdentity)]);
        let mapped = with(2, |m| m.delegated_grant(&wire(grant), &kinds));
        let edge = mapped.ok_or(()).map(|grant| match grant {
            Grant::Edge(edge) => {
                assert_eq!(
                    (edge.from.kind(), edge.to.kind()),
                    (Some(NodeKind::AgentIdentity), Some(NodeKind::ServicePrincipal))
                );
                assert_eq!(edge.object.as_deref(), Some("AVs6JuUDjkCFV7q2gd8QTPimBBgj5iBFj0C6GwwRxC0"));
                Some((edge.role.unwrap(), edge.scope.unwrap()))
            }
            Grant::Empty => None,
        });
        assert_eq!(edge, told.map(|told| told.map(|(role, whom)| (role.to_owned(), whom.to_owned()))));
    }
}
