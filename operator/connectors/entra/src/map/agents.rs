//! Agent identities: what the vendor calls them, which blueprint made them. Their credentials are their blueprint's.

use sv0_connector::text;
use sv0_graph::{NodeKind, NodeRow, Value, attr};

use crate::map::{Attrs, Mapper, put_flag, put_instant, put_text, vendor_disabled};
use crate::model::{AgentIdentity, Told};

impl Mapper<'_> {
    /// An agent identity. `None` without its identifier.
    pub(crate) fn agent_identity(&self, wire: &AgentIdentity) -> Option<NodeRow> {
        let id = text::guid(&wire.id)?;
        let mut attrs = Attrs::new();
        put_text(&mut attrs, attr::NAME, wire.display_name.as_deref());
        put_instant(&mut attrs, attr::CREATED_AT, wire.created_date_time.as_deref());
        put_flag(&mut attrs, attr::ENABLED, wire.account_enabled);
        let stopped = vendor_disabled(&Told::Nothing, &wire.disabled_by_microsoft_status);
        put_flag(&mut attrs, attr::VENDOR_DISABLED, stopped);
        for (name, value) in
            [(attr::BLUEPRINT, &wire.agent_identity_blueprint_id), (attr::HOME_TENANT, &wire.app_owner_organization_id)]
        {
            if let Some(value) = value.as_deref().and_then(text::guid) {
                attrs.insert(name.to_owned(), Value::Text(value));
            }
        }
        Some(self.node(NodeKind::AgentIdentity, &id, "listAgentIdentities", attrs))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::map::testing::{wire, with};

    #[test]
    fn an_agent_identity_is_what_the_vendor_says_and_no_more() {
        let id = "1b7313c4-05d0-4a08-88e3-7b76c003a0a2";
        let full = json!({"id": id, "displayName": "My Agent", "createdDateTime": "2019-09-17T19:10:35.2742618Z",
            "createdByAppId": "00001111-aaaa-2222-bbbb-3333cccc4444",
            "agentIdentityBlueprintId": "00001111-AAAA-2222-bbbb-3333cccc4444", "accountEnabled": true,
            "disabledByMicrosoftStatus": null, "servicePrincipalType": "ServiceIdentity", "tags": []});
        let row = with(2, |m| m.agent_identity(&wire(full))).unwrap();
        let told: Vec<&str> = row.attrs.keys().map(String::as_str).collect();
        assert_eq!(told, [attr::BLUEPRINT, attr::CREATED_AT, attr::ENABLED, attr::NAME, attr::VENDOR_DISABLED]);
        assert_eq!(row.attrs[attr::BLUEPRINT], Value::Text("00001111-aaaa-2222-bbbb-3333cccc4444".into()));
        let bare = with(2, |m| m.agent_identity(&wire(json!({"id": id, "agentIdentityBlueprintId": "../x"})))).unwrap();
        assert!(bare.attrs.is_empty());
        assert!(with(2, |m| m.agent_identity(&wire(json!({"id": "x"})))).is_none());
    }
}
