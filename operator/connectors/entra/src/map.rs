//! Wire types to rows of the canonical model. Pure: equal answers give equal rows in any order. A field that did not
//! come gives no attribute; an item without its identifiers gives nothing and says so.

use std::collections::BTreeMap;

use sv0_connector::{Lenient, Manifest, text};
use sv0_graph::{EdgeKind, EdgeRow, EdgeState, NodeId, NodeKind, NodeRow, Value, attr};

use crate::model::{
    Application, DeletedUser, FederatedCredential, FlexibleCredential, Group, LockConfiguration, Organization,
    RoleAssignment, ServicePrincipal, SubscribedSku, Told, User,
};

pub(crate) mod activity;
pub(crate) mod agents;
pub(crate) mod credentials;
pub(crate) mod grants;
pub(crate) mod policies;

/// Longest issuer, subject or audience that is kept, in bytes.
const MAX_EXACT: usize = 2048;
/// Most audiences that are kept.
const MAX_AUDIENCES: usize = 16;

/// Service plans that decide what the vendor tells: premium directories and premium workload identities.
const PLANS: [&str; 4] = ["AAD_PREMIUM", "AAD_PREMIUM_P2", "AAD_WRKLDID_P1", "AAD_WRKLDID_P2"];

/// What mapping needs to know: the proven tenant, the numbers of the operations, and what was accepted.
pub(crate) struct Mapper<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) manifest: &'a Manifest,
    /// The collection revision that runs.
    pub(crate) revision: u32,
}

/// A part of an answer that is not of the documented form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// How a directory role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Now.
    Active,
    /// It may be activated.
    Eligible,
}

impl Hold {
    /// Which call tells it.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::Active => "listDirectoryRoleAssignments",
            Self::Eligible => "listDirectoryRoleEligibility",
        }
    }

    fn state(self) -> EdgeState {
        match self {
            Self::Active => EdgeState::Active,
            Self::Eligible => EdgeState::Eligible,
        }
    }
}

/// Rows that one item became.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) edges: Vec<EdgeRow>,
    /// Part of the item was not of the documented form.
    pub(crate) flawed: bool,
}

type Attrs = BTreeMap<String, Value>;

impl Mapper<'_> {
    pub(crate) fn op(&self, operation: &str) -> u16 {
        self.manifest.graph_index(operation).unwrap_or_default()
    }

    pub(crate) fn id(&self, kind: NodeKind, vendor_id: &str) -> NodeId {
        NodeId::new("entra", self.tenant, kind, vendor_id)
    }

    pub(crate) fn node(&self, kind: NodeKind, vendor_id: &str, operation: &str, attrs: Attrs) -> NodeRow {
        NodeRow { id: self.id(kind, vendor_id), kind, op: self.op(operation), attrs }
    }

    pub(crate) fn edge(&self, from: NodeId, kind: EdgeKind, to: NodeId, operation: &str) -> EdgeRow {
        EdgeRow {
            from,
            kind,
            to,
            op: self.op(operation),
            object: None,
            role: None,
            scope: None,
            condition: None,
            state: EdgeState::Active,
            since: None,
            until: None,
        }
    }

    pub(crate) fn organization(&self, wire: &Organization) -> NodeRow {
        let mut attrs = Attrs::new();
        put_text(&mut attrs, attr::NAME, wire.display_name.as_deref());
        self.node(NodeKind::System, self.tenant, "getOrganization", attrs)
    }

    /// What the tenant's subscriptions include, of that which decides what the vendor tells.
    pub(crate) fn service_plans(&self, skus: &[SubscribedSku]) -> NodeRow {
        let enabled = skus.iter().filter(|sku| sku.capability_status.as_deref() == Some("Enabled"));
        let names = enabled.flat_map(|sku| &sku.service_plans).map(|plan| plan.service_plan_name.as_str());
        let kept: Vec<&str> = names.collect();
        let plans = PLANS.iter().filter(|plan| kept.contains(plan)).map(|plan| (*plan).to_owned()).collect();
        let attrs = Attrs::from([(attr::SERVICE_PLANS.to_owned(), Value::List(plans))]);
        self.node(NodeKind::System, self.tenant, "listServicePlans", attrs)
    }

    /// An application with its credentials, as `operation` told it. `None` without identifiers.
    pub(crate) fn application(&self, wire: &Application, operation: &str) -> Option<Rows> {
        let (id, app_id) = (text::guid(&wire.id)?, text::guid(&wire.app_id)?);
        let mut attrs = Attrs::new();
        attrs.insert(attr::APP_ID.to_owned(), Value::Text(app_id));
        put_text(&mut attrs, attr::NAME, wire.display_name.as_deref());
        put_instant(&mut attrs, attr::CREATED_AT, wire.created_date_time.as_deref());
        put_flag(
            &mut attrs,
            attr::VENDOR_DISABLED,
            vendor_disabled(&wire.is_disabled, &wire.disabled_by_microsoft_status),
        );
        let reference = wire.service_management_reference.say(|text| text.is_some_and(|t| !t.trim().is_empty()));
        put_flag(&mut attrs, attr::HAS_MANAGEMENT_REFERENCE, reference);
        let locked = wire.service_principal_lock_configuration.say(|lock| lock.is_some_and(locks_credentials));
        put_flag(&mut attrs, attr::CREDENTIALS_LOCKED, locked);
        let mut rows = Rows::default();
        rows.nodes.push(self.node(NodeKind::Application, &id, operation, attrs));
        let holder = credentials::Holder { kind: NodeKind::Application, id: &id, operation, signing: None };
        credentials::map(
            self,
            &holder,
            wire.password_credentials.as_deref(),
            wire.key_credentials.as_deref(),
            &mut rows,
        );
        Some(rows)
    }

    /// A service principal with its credentials; a managed identity's are the platform's own and left out.
    pub(crate) fn service_principal(&self, wire: &ServicePrincipal) -> Option<Rows> {
        let (id, app_id) = (text::guid(&wire.id)?, wire.app_id.as_deref().and_then(text::guid));
        let kind = principal_kind(wire);
        let mut attrs = Attrs::new();
        match app_id {
            Some(app_id) => {
                attrs.insert(attr::APP_ID.to_owned(), Value::Text(app_id));
            }
            None if kind == NodeKind::AgentIdentity => {}
            None => return None,
        }
        put_text(&mut attrs, attr::NAME, wire.display_name.as_deref());
        put_flag(&mut attrs, attr::ENABLED, wire.account_enabled);
        put_flag(
            &mut attrs,
            attr::VENDOR_DISABLED,
            vendor_disabled(&wire.is_disabled, &wire.disabled_by_microsoft_status),
        );
        put_text(&mut attrs, attr::PRINCIPAL_TYPE, wire.service_principal_type.as_deref());
        if let Some(home) = wire.app_owner_organization_id.as_deref().and_then(text::guid) {
            attrs.insert(attr::HOME_TENANT.to_owned(), Value::Text(home));
        }
        let mut rows = Rows::default();
        rows.nodes.push(self.node(kind, &id, "listServicePrincipals", attrs));
        if kind != NodeKind::ManagedIdentity {
            let signing = wire.preferred_token_signing_key_thumbprint.as_deref();
            let holder = credentials::Holder { kind, id: &id, operation: "listServicePrincipals", signing };
            credentials::map(
                self,
                &holder,
                wire.password_credentials.as_deref(),
                wire.key_credentials.as_deref(),
                &mut rows,
            );
        }
        Some(rows)
    }

    /// A foreign subject that may sign in as the application `holder`.
    pub(crate) fn federated_credential(
        &self,
        holder: &str,
        wire: &FederatedCredential,
        operation: &str,
    ) -> Option<Rows> {
        let id = text::opaque_id(&wire.id)?;
        let mut attrs = Attrs::new();
        for (name, value) in [(attr::ISSUER, &wire.issuer), (attr::SUBJECT, &wire.subject)] {
            if let Some(value) = value.as_deref().and_then(|value| text::exact(value, MAX_EXACT)) {
                attrs.insert(name.to_owned(), Value::Text(value));
            }
        }
        let mut audiences: Vec<String> = wire.audiences.iter().filter_map(|a| text::exact(a, MAX_EXACT)).collect();
        audiences.sort_unstable();
        audiences.truncate(MAX_AUDIENCES);
        attrs.insert(attr::AUDIENCES.to_owned(), Value::List(audiences));
        let subject = self.node(NodeKind::FederatedSubject, &format!("{holder}/{id}"), operation, attrs);
        let application = self.id(NodeKind::Application, holder);
        let edge = self.edge(subject.id.clone(), EdgeKind::AuthenticatesAs, application, operation);
        Some(Rows { nodes: vec![subject], edges: vec![edge], flawed: false })
    }

    /// The expression that stands in place of a federated credential's subject; nothing when it has a subject.
    pub(crate) fn flexible_credential(
        &self,
        holder: &str,
        wire: &FlexibleCredential,
    ) -> Result<Option<NodeRow>, Unreadable> {
        let id = text::opaque_id(&wire.id).ok_or(Unreadable)?;
        let Some(expression) = &wire.claims_matching_expression else { return Ok(None) };
        let expression = text::exact(&expression.value, MAX_EXACT).ok_or(Unreadable)?;
        let attrs = Attrs::from([(attr::MATCHING_EXPRESSION.to_owned(), Value::Text(expression))]);
        let operation = "listFlexibleCredentialsOfApplication";
        Ok(Some(self.node(NodeKind::FederatedSubject, &format!("{holder}/{id}"), operation, attrs)))
    }

    /// A group that holds a role.
    pub(crate) fn group(&self, wire: &Group) -> Option<NodeRow> {
        let id = text::guid(&wire.id)?;
        let mut attrs = Attrs::new();
        put_text(&mut attrs, attr::NAME, wire.display_name.as_deref());
        put_flag(&mut attrs, attr::ROLE_ASSIGNABLE, wire.is_assignable_to_role.say(|flag| flag == Some(&true)));
        Some(self.node(NodeKind::Group, &id, "getGroup", attrs))
    }

    /// A person's account, as far as it is readable.
    pub(crate) fn user(&self, wire: &User) -> Option<NodeRow> {
        let id = text::guid(&wire.id)?;
        let mut attrs = Attrs::new();
        put_flag(&mut attrs, attr::ENABLED, wire.account_enabled);
        put_text(&mut attrs, attr::USER_TYPE, wire.user_type.as_deref());
        put_text(&mut attrs, attr::ADDRESS, wire.user_principal_name.as_deref());
        Some(self.node(NodeKind::Human, &id, "listReferencedUsers", attrs))
    }

    /// A person whose account is in the recycle bin.
    pub(crate) fn deleted_user(&self, wire: &DeletedUser) -> Option<NodeRow> {
        let id = text::guid(&wire.id)?;
        let mut attrs = Attrs::new();
        put_instant(&mut attrs, attr::DELETED_AT, wire.deleted_date_time.as_deref());
        (!attrs.is_empty()).then(|| self.node(NodeKind::Human, &id, "getDeletedUser", attrs))
    }

    /// A directory role that a principal of `kind` holds or may activate. An end that cannot be read is no grant
    /// without an end.
    pub(crate) fn directory_role(&self, wire: &RoleAssignment, hold: Hold, kind: NodeKind, role: &str) -> Option<Rows> {
        let operation = hold.operation();
        let principal = text::guid(&wire.principal_id)?;
        let scope = text::exact(wire.directory_scope_id.as_deref()?, 512).filter(|scope| scope.starts_with('/'))?;
        let mut rows = Rows::default();
        if scope != "/" {
            rows.nodes.push(self.node(NodeKind::Scope, &scope, operation, Attrs::new()));
        }
        let system = self.id(NodeKind::System, self.tenant);
        let mut edge = self.edge(self.id(kind, &principal), EdgeKind::Granted, system, operation);
        edge.object = Some(text::opaque_id(&wire.id)?.to_owned());
        edge.role = Some(role.to_owned());
        edge.scope = Some(scope);
        edge.state = hold.state();
        edge.since = wire.start_date_time.as_deref().and_then(text::instant);
        if let Some(end) = &wire.end_date_time {
            edge.until = Some(text::instant(end)?);
        }
        rows.edges.push(edge);
        Some(rows)
    }
}

/// What a service principal is in the canonical model.
pub(crate) fn principal_kind(wire: &ServicePrincipal) -> NodeKind {
    match wire.service_principal_type.as_deref() {
        Some("ManagedIdentity") => NodeKind::ManagedIdentity,
        Some("ServiceIdentity") => NodeKind::AgentIdentity,
        _ => NodeKind::ServicePrincipal,
    }
}

/// The vendor's own stop. Nothing is said when neither field came.
fn vendor_disabled(is_disabled: &Told<bool>, status: &Told<String>) -> Option<bool> {
    let by_flag = is_disabled.say(|flag| flag == Some(&true));
    let by_status = status.say(|status| status.is_some_and(|s| !s.is_empty() && s != "NotDisabled"));
    by_flag.into_iter().chain(by_status).reduce(|one, other| one || other)
}

fn locks_credentials(lock: &LockConfiguration) -> bool {
    let on = |flag: Option<bool>| flag == Some(true);
    on(lock.is_enabled)
        && (on(lock.all_properties) || (on(lock.credentials_with_usage_verify) && on(lock.credentials_with_usage_sign)))
}

fn put_text(attrs: &mut Attrs, name: &str, value: Option<&str>) {
    if let Some(value) = value.and_then(text::display) {
        attrs.insert(name.to_owned(), Value::Text(value));
    }
}

fn put_flag(attrs: &mut Attrs, name: &str, value: Option<bool>) {
    if let Some(value) = value {
        attrs.insert(name.to_owned(), Value::Bool(value));
    }
}

fn put_instant(attrs: &mut Attrs, name: &str, value: Option<&str>) {
    if let Some(instant) = value.and_then(text::instant) {
        attrs.insert(name.to_owned(), Value::Text(instant.to_string()));
    }
}

/// The readable ones of a list, and whether there were others.
pub(crate) fn readable<T>(items: &[Lenient<T>]) -> (impl Iterator<Item = &T>, bool) {
    let broken = items.iter().any(|item| matches!(item, Lenient::Broken));
    let good = items.iter().filter_map(|item| match item {
        Lenient::Item(item) => Some(item),
        Lenient::Broken => None,
    });
    (good, broken)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";

    /// A mapper at a collection revision.
    pub(crate) fn with<T>(revision: u32, test: impl FnOnce(&Mapper<'_>) -> T) -> T {
        let manifest = Manifest::parse(crate::MANIFEST).unwrap();
        test(&Mapper { tenant: TENANT, manifest: &manifest, revision })
    }

    pub(crate) fn wire<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;

    const ID: &str = "03ef14b0-ca33-4840-8f4f-d6e91916010e";

    fn with<T>(test: impl FnOnce(&Mapper<'_>) -> T) -> T {
        testing::with(2, test)
    }

    fn merged(mut base: Json, mut more: Json) -> Json {
        base.as_object_mut().unwrap().append(more.as_object_mut().unwrap());
        base
    }

    fn application(more: Json) -> Option<Rows> {
        let base = json!({"id": ID, "appId": ID.to_uppercase(), "passwordCredentials": [], "keyCredentials": []});
        let wire: Application = serde_json::from_value(merged(base, more)).unwrap();
        with(|mapper| mapper.application(&wire, "listApplications"))
    }

    fn principal(more: Json) -> Option<Rows> {
        let base = json!({"id": ID, "appId": ID, "passwordCredentials": [], "keyCredentials": [], "appRoles": []});
        let wire: ServicePrincipal = serde_json::from_value(merged(base, more)).unwrap();
        with(|mapper| mapper.service_principal(&wire))
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"isDisabled": null}), Some(false))]
    #[case(json!({"isDisabled": true}), Some(true))]
    #[case(json!({"disabledByMicrosoftStatus": "NotDisabled"}), Some(false))]
    #[case(json!({"disabledByMicrosoftStatus": "DisabledDueToViolationOfServicesAgreement"}), Some(true))]
    #[case(json!({"isDisabled": false, "disabledByMicrosoftStatus": "someNewWord"}), Some(true))]
    fn an_absent_field_says_nothing(#[case] more: Json, #[case] stopped: Option<bool>) {
        let rows = application(more).unwrap();
        assert_eq!(rows.nodes[0].attrs.get(attr::VENDOR_DISABLED), stopped.map(Value::Bool).as_ref());
    }

    #[rstest]
    #[case(json!({}), None)]
    #[case(json!({"servicePrincipalLockConfiguration": null}), Some(false))]
    #[case(json!({"servicePrincipalLockConfiguration": {"isEnabled": false, "allProperties": true}}), Some(false))]
    #[case(json!({"servicePrincipalLockConfiguration": {"isEnabled": true, "credentialsWithUsageVerify": true}}), Some(false))]
    #[case(json!({"servicePrincipalLockConfiguration": {"isEnabled": true, "credentialsWithUsageVerify": true, "credentialsWithUsageSign": true}}), Some(true))]
    fn locks(#[case] more: Json, #[case] locked: Option<bool>) {
        let rows = application(more).unwrap();
        assert_eq!(rows.nodes[0].attrs.get(attr::CREDENTIALS_LOCKED), locked.map(Value::Bool).as_ref());
    }

    #[rstest]
    #[case("Application", NodeKind::ServicePrincipal)]
    #[case("Legacy", NodeKind::ServicePrincipal)]
    #[case("SocialIdp", NodeKind::ServicePrincipal)]
    #[case("SomethingNew", NodeKind::ServicePrincipal)]
    #[case("ManagedIdentity", NodeKind::ManagedIdentity)]
    #[case("ServiceIdentity", NodeKind::AgentIdentity)]
    fn kinds_of_service_principals(#[case] word: &str, #[case] kind: NodeKind) {
        let rows = principal(json!({"servicePrincipalType": word, "accountEnabled": null})).unwrap();
        assert_eq!(rows.nodes[0].kind, kind);
        assert_eq!(rows.nodes[0].attrs[attr::PRINCIPAL_TYPE], Value::Text(word.into()));
        assert!(!rows.nodes[0].attrs.contains_key(attr::ENABLED), "null is not disabled");
    }

    #[rstest]
    #[case(json!({"id": "../../x"}))]
    #[case(json!({"appId": ""}))]
    fn an_item_without_identifiers_is_no_node(#[case] more: Json) {
        assert!(application(more).is_none());
    }

    #[rstest]
    #[case(json!({"passwordCredentials": null}))]
    #[case(json!({"keyCredentials": null}))]
    #[case(json!({"passwordCredentials": [{"keyId": "not a guid"}]}))]
    #[case(json!({"passwordCredentials": [{"endDateTime": "2027-01-01T00:00:00Z"}]}))]
    fn a_credential_list_that_is_not_whole_is_a_flaw(#[case] more: Json) {
        assert!(application(more).unwrap().flawed);
        assert!(!application(json!({})).unwrap().flawed);
    }

    #[rstest]
    #[case(json!({"usage": "Verify"}), "client_auth")]
    #[case(json!({"usage": "Sign"}), "token_signing")]
    #[case(json!({"usage": "Encrypt"}), "token_encryption")]
    #[case(json!({"usage": "Verify", "customKeyIdentifier": "ab12"}), "token_signing")]
    #[case(json!({"usage": "NewUsage"}), "unknown")]
    fn what_a_certificate_is_for(#[case] more: Json, #[case] purpose: &str) {
        let key = merged(json!({"keyId": ID, "type": "AsymmetricX509Cert"}), more);
        let rows = principal(json!({"keyCredentials": [key], "preferredTokenSigningKeyThumbprint": "AB12"})).unwrap();
        let credential = &rows.nodes[1];
        assert_eq!(credential.attrs[attr::CREDENTIAL_USE], Value::Text(purpose.into()));
        assert!(!credential.attrs.contains_key(attr::VALID_TO), "no end came, so none is stated");
    }

    #[test]
    fn hostile_names_are_made_harmless_and_federation_is_kept_exactly_or_not() {
        let rows = application(json!({"displayName": "a\u{202E}b\n\u{1b}[31m"})).unwrap();
        assert_eq!(rows.nodes[0].attrs[attr::NAME], Value::Text("ab[31m".into()));
        let wire = json!({"id": ID, "issuer": "https://i\n", "subject": "repo:a/b", "audiences": ["z", "a"]});
        let wire: FederatedCredential = serde_json::from_value(wire).unwrap();
        let rows = with(|m| m.federated_credential(ID, &wire, "listApplicationFederatedCredentials")).unwrap();
        assert!(!rows.nodes[0].attrs.contains_key(attr::ISSUER));
        assert_eq!(rows.nodes[0].attrs[attr::AUDIENCES], Value::List(vec!["a".into(), "z".into()]));
    }

    #[test]
    fn an_agent_identity_may_lack_an_application_id_and_nothing_else_may() {
        let agent = principal(json!({"appId": null, "servicePrincipalType": "ServiceIdentity"})).unwrap();
        assert_eq!(agent.nodes[0].kind, NodeKind::AgentIdentity);
        assert!(principal(json!({"appId": null, "servicePrincipalType": "Application"})).is_none());
    }

    #[rstest]
    #[case::premium(json!([{"capabilityStatus": "Enabled", "servicePlans": [{"servicePlanName": "AAD_PREMIUM_P2"}, {"servicePlanName": "EXCHANGE_S_STANDARD"}, {"servicePlanName": "AAD_PREMIUM"}]}]), &["AAD_PREMIUM", "AAD_PREMIUM_P2"])]
    #[case::workload(json!([{"capabilityStatus": "Enabled", "servicePlans": [{"servicePlanName": "AAD_WRKLDID_P1"}, {"servicePlanName": "AAD_WRKLDID_P1"}]}]), &["AAD_WRKLDID_P1"])]
    #[case::ended(json!([{"capabilityStatus": "Suspended", "servicePlans": [{"servicePlanName": "AAD_PREMIUM"}]}, {"servicePlans": [{"servicePlanName": "AAD_PREMIUM"}]}]), &[])]
    #[case::free(json!([]), &[])]
    fn service_plans_of_enabled_subscriptions(#[case] skus: Json, #[case] plans: &[&str]) {
        let row = with(|m| m.service_plans(&testing::wire::<Vec<SubscribedSku>>(skus)));
        let plans = plans.iter().map(|plan| (*plan).to_owned()).collect();
        assert_eq!((row.kind, row.id.vendor_id()), (NodeKind::System, testing::TENANT));
        assert_eq!(row.attrs[attr::SERVICE_PLANS], Value::List(plans));
    }

    #[rstest]
    #[case(json!({"isAssignableToRole": true}), Some(true))]
    #[case(json!({"isAssignableToRole": null}), Some(false))]
    #[case(json!({}), None)]
    fn groups(#[case] more: Json, #[case] assignable: Option<bool>) {
        let wire = testing::wire(merged(json!({"id": ID, "displayName": "Admins\u{7}"}), more));
        let row = with(|m| m.group(&wire)).unwrap();
        assert_eq!(row.attrs[attr::NAME], Value::Text("Admins".into()));
        assert_eq!(row.attrs.get(attr::ROLE_ASSIGNABLE), assignable.map(Value::Bool).as_ref());
    }

    #[rstest]
    #[case::expression(json!({"claimsMatchingExpression": {"value": "claims['sub'] matches 'repo:a/*'", "languageVersion": 1}}), Ok(Some("claims['sub'] matches 'repo:a/*'")))]
    #[case::subject(json!({"subject": "repo:a/b", "claimsMatchingExpression": null}), Ok(None))]
    #[case::hostile(json!({"claimsMatchingExpression": {"value": "a\u{202E}b"}}), Err(Unreadable))]
    fn expressions_are_kept_exactly_or_not_at_all(#[case] more: Json, #[case] kept: Result<Option<&str>, Unreadable>) {
        let wire = testing::wire(merged(json!({"id": ID}), more));
        let row = with(|m| m.flexible_credential(ID, &wire));
        let told = row.map(|row| row.map(|row| row.attrs[attr::MATCHING_EXPRESSION].clone()));
        assert_eq!(told, kept.map(|kept| kept.map(|text| Value::Text(text.into()))));
    }

    #[rstest]
    #[case::for_ever(json!({}), Hold::Active, Some((EdgeState::Active, None)))]
    #[case::activated(json!({"endDateTime": "2024-04-10T00:00:00Z"}), Hold::Active, Some((EdgeState::Active, Some("2024-04-10T00:00:00Z"))))]
    #[case::eligible(json!({"startDateTime": "2022-04-12T14:44:50.287Z", "endDateTime": "2024-04-10T00:00:00Z"}), Hold::Eligible, Some((EdgeState::Eligible, Some("2024-04-10T00:00:00Z"))))]
    #[case::eligible_for_ever(json!({"endDateTime": null}), Hold::Eligible, Some((EdgeState::Eligible, None)))]
    #[case::unreadable_end(json!({"endDateTime": "soon"}), Hold::Eligible, None)]
    fn directory_roles(#[case] more: Json, #[case] hold: Hold, #[case] told: Option<(EdgeState, Option<&str>)>) {
        let base = json!({"id": "8MYkhImhnkm70CbBdTyW1BbHHAdHgZdDpbqyEFlRzAs-1-e", "principalId": ID,
            "roleDefinitionId": ID, "directoryScopeId": "/"});
        let wire = testing::wire(merged(base, more));
        let rows = with(|m| m.directory_role(&wire, hold, NodeKind::ServicePrincipal, ID));
        let edge = rows.map(|rows| (rows.edges[0].state, rows.edges[0].until.map(|at| at.to_string())));
        assert_eq!(edge, told.map(|(state, until)| (state, until.map(str::to_owned))));
    }
}
