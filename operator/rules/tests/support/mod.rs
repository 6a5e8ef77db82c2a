//! A tenant with one application that runs unattended, to be changed by each test in the one point it is about.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside test functions")]

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_graph::testing::{SnapshotBuilder, text};
use sv0_graph::{CoverageState, EdgeKind, EdgeRow, EdgeState, Graph, NodeId, NodeKind, Value, attr};
use sv0_rules::{Baseline, RuleConfig, RuleFinding, RuleOutput};

pub(crate) const TENANT: &str = "aaaaaaaa-0000-4000-8000-000000000001";
pub(crate) const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
pub(crate) const APPLICATION_ADMINISTRATOR: &str = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3";
pub(crate) const USER_ADMINISTRATOR: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
pub(crate) const BILLING_ADMINISTRATOR: &str = "b0f54661-2d74-4c50-afa3-1ec803f12efe";
pub(crate) const DIRECTORY_READERS: &str = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b";
pub(crate) const APPLICATION_WRITE: &str = "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9";
pub(crate) const MAIL_READ: &str = "810c84a8-4a9e-49e6-bf7d-12d183f40d01";
pub(crate) const FILES_WRITE: &str = "75359482-378d-4052-8f01-80520e7db3cd";
pub(crate) const GROUP_WRITE: &str = "62a82d76-70ea-41e2-9197-370581804d09";
pub(crate) const DIRECTORY_READ_ALL: &str = "7ab1d382-f21e-4acd-a863-ba3e13f7da61";
pub(crate) const ROLE_MANAGEMENT_WRITE: &str = "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8";
pub(crate) const MICROSOFT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
pub(crate) const OTHER_TENANT: &str = "bbbbbbbb-0000-4000-8000-000000000002";

/// The instant that stands for now in every test.
pub(crate) fn as_of() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// Whatever evidence rests on beside facts stands in the visible list of derivations and keys.
pub(crate) fn all_named(output: &RuleOutput) {
    let known: BTreeSet<String> = sv0_rules::named().collect();
    for finding in &output.findings {
        let claims = finding.evidence.iter().map(|item| item.claim.as_str());
        for name in claims.chain([finding.title.as_str(), finding.why.as_str()]).flat_map(derivations_in) {
            assert!(known.contains(&name), "{} names {name}", finding.rule.id);
        }
    }
}

/// Each `(name/1)` in a sentence.
pub(crate) fn derivations_in(text: &str) -> Vec<String> {
    let named = |inner: &&str| {
        let Some((name, version)) = inner.split_once('/') else { return false };
        let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !name.is_empty() && name.bytes().all(word) && version.parse::<u16>().is_ok()
    };
    let inner = text.split('(').skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    inner.filter(named).map(str::to_owned).collect()
}

/// A tenant under construction.
pub(crate) struct World {
    pub(crate) b: SnapshotBuilder,
    pub(crate) config: RuleConfig,
    pub(crate) app: NodeId,
    pub(crate) sp: NodeId,
    pub(crate) system: NodeId,
}

/// How a test's credential differs from a fresh, short-lived client secret.
pub(crate) struct Key<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) usage: &'a str,
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) thumbprint: Option<&'a str>,
}

impl Default for Key<'_> {
    fn default() -> Self {
        Key {
            id: "key-1",
            kind: "secret",
            usage: "client_auth",
            from: Some("2026-05-01T00:00:00Z"),
            to: Some("2026-08-01T00:00:00Z"),
            thumbprint: None,
        }
    }
}

impl World {
    /// `payroll-bot`: its own application, enabled, one fresh secret, nobody owns it, no authority.
    pub(crate) fn new() -> Self {
        let mut b = SnapshotBuilder::entra("uid-1", TENANT);
        let system = b.node("organization", NodeKind::System, TENANT, &[(attr::NAME, text("Contoso"))]);
        let app = b.node(
            "applications",
            NodeKind::Application,
            "app-1",
            &[
                (attr::NAME, text("payroll-bot")),
                (attr::HAS_MANAGEMENT_REFERENCE, Value::Bool(false)),
                (attr::CREDENTIALS_LOCKED, Value::Bool(false)),
            ],
        );
        let sp = b.node(
            "servicePrincipals",
            NodeKind::ServicePrincipal,
            "sp-1",
            &[
                (attr::NAME, text("payroll-bot")),
                (attr::PRINCIPAL_TYPE, text("Application")),
                (attr::HOME_TENANT, text(TENANT)),
            ],
        );
        b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
        b.node(
            "servicePrincipals",
            NodeKind::ServicePrincipal,
            "graph",
            &[
                (attr::NAME, text("Microsoft Graph")),
                (attr::APP_ID, text("00000003-0000-0000-c000-000000000000")),
                (attr::HOME_TENANT, text(MICROSOFT)),
            ],
        );
        Self { b, config: RuleConfig::default(), app, sp, system }
    }

    /// The usual subject: enabled, with a fresh secret, holding `role` over the whole tenant, owner lists read.
    pub(crate) fn privileged(role: &str) -> Self {
        let mut world = Self::new();
        world.enabled(true).key(&Key::default()).role(role).owners_read(0, 0);
        world
    }

    pub(crate) fn enabled(&mut self, enabled: bool) -> &mut Self {
        self.sp_fact(attr::ENABLED, Value::Bool(enabled))
    }

    pub(crate) fn sp_fact(&mut self, key: &str, value: Value) -> &mut Self {
        self.b.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &[(key, value)]);
        self
    }

    pub(crate) fn key(&mut self, key: &Key<'_>) -> &mut Self {
        let holder = self.app.clone();
        self.key_on(&holder, "applications", key)
    }

    pub(crate) fn key_on(&mut self, holder: &NodeId, collection: &str, key: &Key<'_>) -> &mut Self {
        let mut attrs = vec![(attr::CREDENTIAL_TYPE, text(key.kind)), (attr::CREDENTIAL_USE, text(key.usage))];
        attrs.extend(key.from.map(|from| (attr::VALID_FROM, text(from))));
        attrs.extend(key.to.map(|to| (attr::VALID_TO, text(to))));
        attrs.extend(key.thumbprint.map(|thumbprint| (attr::THUMBPRINT, text(thumbprint))));
        let id = format!("{}/{}", holder.vendor_id(), key.id);
        let credential = self.b.node(collection, NodeKind::Credential, &id, &attrs);
        self.b.edge(collection, holder, EdgeKind::HoldsCredential, &credential);
        self
    }

    pub(crate) fn role(&mut self, role: &str) -> &mut Self {
        let sp = self.sp.clone();
        self.role_of(&sp, role, "/")
    }

    pub(crate) fn role_of(&mut self, principal: &NodeId, role: &str, scope: &str) -> &mut Self {
        let system = self.system.clone();
        let edge = self.b.edge("directoryRoleAssignments", principal, EdgeKind::Granted, &system);
        edge.role = Some(role.to_owned());
        edge.scope = Some(scope.to_owned());
        edge.object = Some(format!("assignment-{role}"));
        self
    }

    pub(crate) fn permission(&mut self, role: &str) -> &mut Self {
        let (sp, graph) = (self.sp.clone(), self.b.id(NodeKind::ServicePrincipal, "graph"));
        self.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &graph).role = Some(role.to_owned());
        self
    }

    /// A person; `enabled` none means that the account could not be read.
    pub(crate) fn person(&mut self, id: &str, enabled: Option<bool>) -> NodeId {
        let address = (attr::ADDRESS, text(&format!("{id}@contoso.example")));
        let attrs: Vec<_> =
            enabled.map(|on| [(attr::ENABLED, Value::Bool(on)), address]).into_iter().flatten().collect();
        self.b.node("ownerAccounts", NodeKind::Human, id, &attrs)
    }

    pub(crate) fn owns_app(&mut self, owner: &NodeId) -> &mut Self {
        let app = self.app.clone();
        self.b.edge("applicationOwners", owner, EdgeKind::Owns, &app);
        self
    }

    pub(crate) fn owns_sp(&mut self, owner: &NodeId) -> &mut Self {
        let sp = self.sp.clone();
        self.b.edge("servicePrincipalOwners", owner, EdgeKind::Owns, &sp);
        self
    }

    /// The vendor's own counts of owners.
    pub(crate) fn owners_read(&mut self, app: i64, sp: i64) -> &mut Self {
        self.b.node("applicationOwners", NodeKind::Application, "app-1", &[(attr::OWNER_COUNT, Value::Int(app))]);
        self.b.node(
            "servicePrincipalOwners",
            NodeKind::ServicePrincipal,
            "sp-1",
            &[(attr::OWNER_COUNT, Value::Int(sp))],
        );
        self
    }

    /// When the snapshot was taken: up to then the records of use reach.
    pub(crate) fn seen(&mut self, at: &str) -> &mut Self {
        let at: Timestamp = at.parse().unwrap();
        self.b.header().observed_at = at;
        self.b.header().finished_at = at;
        self
    }

    /// When application and identity were made.
    pub(crate) fn made(&mut self, at: &str) -> &mut Self {
        self.b.node("selfCheck", NodeKind::Application, "app-1", &[(attr::CREATED_AT, text(at))]);
        self
    }

    /// A last sign-in of the usual subject.
    pub(crate) fn used(&mut self, key: &str, at: &str) -> &mut Self {
        self.b.node("servicePrincipalActivity", NodeKind::ServicePrincipal, "sp-1", &[(key, text(at))]);
        self
    }

    /// A last sign-in with a credential of the application.
    pub(crate) fn key_used(&mut self, key: &str, at: &str) -> &mut Self {
        let id = format!("app-1/{key}");
        self.b.node("credentialActivity", NodeKind::Credential, &id, &[(attr::LAST_USED_AT, text(at))]);
        self
    }

    /// A record in the vendor's audit log of who added a credential of the application.
    pub(crate) fn added_by(&mut self, key: &str, by: &NodeId, at: &str) -> &mut Self {
        let credential = self.b.id(NodeKind::Credential, &format!("app-1/{key}"));
        let record = self.b.edge("directoryAudits", &credential, EdgeKind::CreatedBy, by);
        record.since = Some(at.parse().unwrap());
        self
    }

    /// A federated subject that can sign in as the application.
    pub(crate) fn trusts_github(&mut self) -> &mut Self {
        let attrs = [
            (attr::ISSUER, text("https://token.actions.githubusercontent.com")),
            (attr::SUBJECT, text("repo:a/b:ref:refs/heads/main")),
        ];
        let subject = self.b.node("federatedCredentials", NodeKind::FederatedSubject, "app-1/fic-1", &attrs);
        let app = self.app.clone();
        self.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &app);
        self
    }

    /// Another service principal of the tenant's own, enabled, with an application that does not lock credentials.
    pub(crate) fn other(&mut self, id: &str, locked: Option<bool>) -> NodeId {
        let mut attrs = vec![(attr::NAME, text(&format!("{id}-app")))];
        attrs.extend(locked.map(|locked| (attr::CREDENTIALS_LOCKED, Value::Bool(locked))));
        let app = self.b.node("applications", NodeKind::Application, &format!("app-{id}"), &attrs);
        let sp = self.b.node(
            "servicePrincipals",
            NodeKind::ServicePrincipal,
            id,
            &[
                (attr::NAME, text(id)),
                (attr::ENABLED, Value::Bool(true)),
                (attr::PRINCIPAL_TYPE, text("Application")),
                (attr::HOME_TENANT, text(TENANT)),
            ],
        );
        self.b.edge("servicePrincipals", &app, EdgeKind::Instantiates, &sp);
        sp
    }

    /// A group that holds `role` over the whole tenant.
    pub(crate) fn group(&mut self, id: &str, role: &str) -> NodeId {
        let group = self.b.node("groups", NodeKind::Group, id, &[(attr::NAME, text(id))]);
        self.role_of(&group, role, "/");
        group
    }

    pub(crate) fn member(&mut self, principal: &NodeId, group: &NodeId) -> &mut EdgeRow {
        self.b.edge("groupMembers", principal, EdgeKind::MemberOf, group)
    }

    /// A role that must be activated first.
    pub(crate) fn eligible(&mut self, role: &str, scope: &str) -> &mut EdgeRow {
        let (sp, system) = (self.sp.clone(), self.system.clone());
        let edge = self.b.edge("directoryRoleEligibility", &sp, EdgeKind::Granted, &system);
        edge.role = Some(role.to_owned());
        edge.scope = Some(scope.to_owned());
        edge.object = Some(format!("eligibility-{role}"));
        edge.state = EdgeState::Eligible;
        edge
    }

    /// A federated subject that signs the application in; `attrs` beside the issuer.
    pub(crate) fn federated(&mut self, id: &str, issuer: &str, attrs: &[(&str, Value)]) -> &mut Self {
        let mut all = vec![(attr::ISSUER, text(issuer))];
        all.extend_from_slice(attrs);
        let subject = self.b.node("federatedCredentials", NodeKind::FederatedSubject, &format!("app-1/{id}"), &all);
        let app = self.app.clone();
        self.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &app);
        self
    }

    /// Consent to act for `user` (none: for everybody) at Microsoft Graph.
    pub(crate) fn delegated(&mut self, scopes: &str, user: Option<&str>) -> &mut Self {
        let (sp, graph) = (self.sp.clone(), self.b.id(NodeKind::ServicePrincipal, "graph"));
        let edge = self.b.edge("delegatedGrants", &sp, EdgeKind::DelegatedGrant, &graph);
        edge.role = Some(scopes.to_owned());
        edge.scope = Some(user.map_or_else(|| "AllPrincipals".to_owned(), |user| format!("/users/{user}")));
        edge.object = Some(format!("grant-{}", user.unwrap_or("all")));
        self
    }

    pub(crate) fn cover(&mut self, collection: &str, state: CoverageState) -> &mut Self {
        self.b.cover(collection, state);
        self
    }

    pub(crate) fn run(&self) -> RuleOutput {
        let graph = Graph::build(vec![self.b.build()]).unwrap();
        let output = sv0_rules::run(&graph, &self.config, as_of(), 1);
        all_named(&output);
        output
    }

    /// What the rules say with `before` as the baseline.
    pub(crate) fn since(&self, before: &Self) -> RuleOutput {
        let then = Graph::build(vec![before.b.build()]).unwrap();
        let baselines = [Baseline::of(&then, &self.config).unwrap()];
        let graph = Graph::build(vec![self.b.build()]).unwrap();
        let output = sv0_rules::run_since(&graph, &baselines, &self.config, as_of(), 1);
        all_named(&output);
        output
    }

    /// The finding of the drift rule `rule` about the usual subject.
    pub(crate) fn drift(&self, before: &Self, rule: &str) -> Option<RuleFinding> {
        let mut found = self.since(before).findings.into_iter().filter(|finding| finding.rule.id == rule);
        let first = found.next();
        assert!(found.next().is_none(), "one finding per rule and identity");
        first
    }

    /// The finding of `rule` about the usual subject.
    pub(crate) fn finding(&self, rule: &str) -> Option<RuleFinding> {
        let output = self.run();
        let mut found = output.findings.into_iter().filter(|finding| finding.rule.id == rule);
        let first = found.next();
        assert!(found.next().is_none(), "one finding per rule and identity");
        first
    }
}
