//! What every finding has in common: the anchor, the lane, the exclusions, what is shown.

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeKind, Value, attr};
use sv0_rules::{AccountableState, Claim, Severity};

/// The rule that fires for the usual subject with the fewest conditions: nobody owns it.
const RULE: &str = "ORPH-002";

fn fires(world: &World) -> bool {
    world.finding(RULE).is_some()
}

#[test]
fn a_running_privileged_identity_is_a_subject() {
    assert!(fires(&World::privileged(GLOBAL_ADMINISTRATOR)));
}

#[test]
fn an_identity_that_is_switched_off_is_counted_only() {
    let mut world = World::new();
    world.enabled(false).key(&Key::default()).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
    let output = world.run();
    assert!(output.findings.is_empty());
    assert_eq!(output.suppressed[RULE].no_anchor, 1);
}

#[test]
fn an_identity_whose_switch_was_not_read_is_counted_as_unknown() {
    let mut world = World::new();
    world.key(&Key::default()).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
    let output = world.run();
    assert!(output.findings.is_empty());
    assert_eq!(output.suppressed[RULE].anchor_unknown, 1);
}

#[rstest]
#[case::service_principal(NodeKind::ServicePrincipal, "sp-1")]
#[case::application(NodeKind::Application, "app-1")]
fn what_the_vendor_stopped_does_not_run(#[case] kind: NodeKind, #[case] id: &str) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.b.node("applications", kind, id, &[(attr::VENDOR_DISABLED, Value::Bool(true))]);
    assert!(!fires(&world));
}

#[rstest]
#[case::expired(Some("2025-01-01T00:00:00Z"), Some("2026-05-31T23:59:59Z"), false)]
#[case::ends_now(Some("2025-01-01T00:00:00Z"), Some("2026-06-01T00:00:00Z"), false)]
#[case::ends_a_second_later(Some("2026-05-01T00:00:00Z"), Some("2026-06-01T00:00:01Z"), true)]
#[case::not_yet(Some("2026-06-01T00:00:01Z"), Some("2026-08-01T00:00:00Z"), false)]
#[case::begins_now(Some("2026-06-01T00:00:00Z"), Some("2026-08-01T00:00:00Z"), true)]
#[case::no_end(Some("2026-05-01T00:00:00Z"), Some("none"), true)]
#[case::end_not_read(Some("2026-05-01T00:00:00Z"), None, false)]
fn only_a_credential_that_is_valid_now_is_an_anchor(
    #[case] from: Option<&str>,
    #[case] to: Option<&str>,
    #[case] expected: bool,
) {
    let mut world = World::new();
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0).key(&Key { from, to, ..Key::default() });
    assert_eq!(fires(&world), expected);
}

#[rstest]
#[case("client_auth", true)]
#[case("token_signing", false)]
#[case("token_encryption", false)]
#[case("unknown", false)]
fn a_key_that_signs_tokens_signs_nobody_in(#[case] usage: &str, #[case] expected: bool) {
    let mut world = World::new();
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0).key(&Key { usage, ..Key::default() });
    assert_eq!(fires(&world), expected);
}

#[test]
fn federation_is_an_anchor_without_any_credential() {
    let mut world = World::new();
    world.enabled(true).role(GLOBAL_ADMINISTRATOR).owners_read(0, 0);
    assert!(!fires(&world));
    let attrs =
        [(attr::ISSUER, text("https://token.actions.githubusercontent.com")), (attr::SUBJECT, text("repo:a/b:ref:x"))];
    let subject = world.b.node("federatedCredentials", NodeKind::FederatedSubject, "app-1/fic-1", &attrs);
    let app = world.app.clone();
    world.b.edge("federatedCredentials", &subject, EdgeKind::AuthenticatesAs, &app);
    let finding = world.finding(RULE).unwrap();
    assert_eq!(finding.path[0].edge, "AUTHENTICATES_AS");
    assert!(finding.why.contains("token.actions.githubusercontent.com"));
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "federatedCredentials"));
}

#[test]
fn an_identity_without_its_application_gets_no_tokens() {
    let build = |state| {
        let mut world = World::new();
        world.b = sv0_graph::testing::SnapshotBuilder::entra("uid-1", TENANT);
        world.b.node(
            "servicePrincipals",
            NodeKind::ServicePrincipal,
            "sp-1",
            &[(attr::PRINCIPAL_TYPE, text("Application")), (attr::HOME_TENANT, text(TENANT))],
        );
        let sp = world.sp.clone();
        world.enabled(true).key_on(&sp, "servicePrincipals", &Key::default()).role(GLOBAL_ADMINISTRATOR);
        world.b.node(
            "servicePrincipalOwners",
            NodeKind::ServicePrincipal,
            "sp-1",
            &[(attr::OWNER_COUNT, Value::Int(0))],
        );
        world.cover("applications", state);
        world.run()
    };
    let complete = build(CoverageState::Complete);
    assert!(complete.findings.is_empty());
    assert_eq!(complete.suppressed[RULE].no_anchor, 1);
    let partial = build(CoverageState::Partial);
    assert!(partial.findings.is_empty());
    assert_eq!(partial.suppressed["UNB-001"].anchor_unknown, 1);
    assert!(!partial.suppressed.contains_key(RULE), "an application that was not seen may have owners");
}

#[rstest]
#[case::takes_over_the_tenant(GLOBAL_ADMINISTRATOR, "/", Some(Severity::Critical))]
#[case::administers(APPLICATION_ADMINISTRATOR, "/", Some(Severity::High))]
#[case::writes(BILLING_ADMINISTRATOR, "/", Some(Severity::Low))]
#[case::reads(DIRECTORY_READERS, "/", None)]
#[case::custom_role("dddddddd-0000-4000-8000-00000000000d", "/", None)]
// A role over an administrative unit or one application is bounded.
#[case::unit(APPLICATION_ADMINISTRATOR, "/administrativeUnits/u1", Some(Severity::Low))]
#[case::one_application(APPLICATION_ADMINISTRATOR, "/app-9", Some(Severity::Low))]
fn authority_decides_the_lane_and_the_severity(
    #[case] role: &str,
    #[case] scope: &str,
    #[case] expected: Option<Severity>,
) {
    let mut world = World::new();
    let sp = world.sp.clone();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).role_of(&sp, role, scope);
    assert_eq!(world.finding(RULE).map(|finding| finding.severity), expected);
    let below = world.run().suppressed.get(RULE).map_or(0, |counts| counts.below_lane);
    assert_eq!(below, u64::from(expected.is_none()));
}

#[rstest]
#[case::permission_that_takes_over(ROLE_MANAGEMENT_WRITE, Some((Severity::Critical, Claim::Full)))]
#[case::sensitive_read(MAIL_READ, Some((Severity::Info, Claim::Narrower)))]
#[case::other_read(DIRECTORY_READ_ALL, None)]
#[case::default_access("00000000-0000-0000-0000-000000000000", None)]
#[case::not_in_the_table("eeeeeeee-0000-4000-8000-00000000000e", None)]
fn application_permissions_decide_likewise(#[case] role: &str, #[case] expected: Option<(Severity, Claim)>) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).permission(role);
    assert_eq!(world.finding(RULE).map(|finding| (finding.severity, finding.rule.claim)), expected);
}

#[rstest]
#[case::conditional(|edge: &mut sv0_graph::EdgeRow| edge.condition = Some("@Resource...".to_owned()))]
#[case::eligible(|edge: &mut sv0_graph::EdgeRow| edge.state = sv0_graph::EdgeState::Eligible)]
#[case::disabled(|edge: &mut sv0_graph::EdgeRow| edge.state = sv0_graph::EdgeState::Disabled)]
#[case::no_scope(|edge: &mut sv0_graph::EdgeRow| edge.scope = None)]
#[case::no_role(|edge: &mut sv0_graph::EdgeRow| edge.role = None)]
fn a_grant_that_may_not_hold_raises_nothing(#[case] change: fn(&mut sv0_graph::EdgeRow)) {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0).role(BILLING_ADMINISTRATOR);
    let before = world.finding(RULE).unwrap().severity;
    let (sp, system) = (world.sp.clone(), world.system.clone());
    let edge = world.b.edge("directoryRoleAssignments", &sp, EdgeKind::Granted, &system);
    edge.role = Some(GLOBAL_ADMINISTRATOR.to_owned());
    edge.scope = Some("/".to_owned());
    change(edge);
    assert_eq!(world.finding(RULE).unwrap().severity, before);
}

#[test]
fn the_same_role_id_on_another_api_is_not_microsoft_graphs() {
    let mut world = World::new();
    world.enabled(true).key(&Key::default()).owners_read(0, 0);
    let other =
        world.b.node("servicePrincipals", NodeKind::ServicePrincipal, "api", &[(attr::APP_ID, text("own-api"))]);
    let sp = world.sp.clone();
    world.b.edge("appRoleAssignments", &sp, EdgeKind::Granted, &other).role = Some(ROLE_MANAGEMENT_WRITE.to_owned());
    assert!(!fires(&world));
}

#[test]
fn authority_that_cannot_be_weighed_is_told() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.role("dddddddd-0000-4000-8000-00000000000d");
    let narrowed = world.finding(RULE).unwrap().narrowed;
    assert!(narrowed.iter().any(|item| item.claim.contains("one grant more")), "{narrowed:?}");
}

#[test]
fn microsofts_own_identities_have_no_owners_by_design_but_a_secret_on_one_is_a_finding() {
    let mut world = World::new();
    world.b = sv0_graph::testing::SnapshotBuilder::entra("uid-1", TENANT);
    world.system = world.b.node("organization", NodeKind::System, TENANT, &[]);
    world.b.node(
        "servicePrincipals",
        NodeKind::ServicePrincipal,
        "sp-1",
        &[
            (attr::HOME_TENANT, text(MICROSOFT)),
            (attr::PRINCIPAL_TYPE, text("Application")),
            (attr::OWNER_COUNT, Value::Int(0)),
        ],
    );
    let sp = world.sp.clone();
    let old = Key { from: Some("2020-01-01T00:00:00Z"), to: Some("2099-01-01T00:00:00Z"), ..Key::default() };
    world.enabled(true).key_on(&sp, "servicePrincipals", &old).role(GLOBAL_ADMINISTRATOR);
    let rules: Vec<String> = world.run().findings.into_iter().map(|finding| finding.rule.id).collect();
    assert_eq!(rules, ["CRED-001", "CRED-002", "CRED-003"]);
}

#[test]
fn a_managed_identity_runs_but_owes_neither_owners_nor_rotation() {
    let mut world = World::new();
    let id = world.b.node(
        "servicePrincipals",
        NodeKind::ManagedIdentity,
        "mi",
        &[(attr::ENABLED, Value::Bool(true)), (attr::OWNER_COUNT, Value::Int(0))],
    );
    let old = Key {
        kind: "certificate",
        from: Some("2020-01-01T00:00:00Z"),
        to: Some("2099-01-01T00:00:00Z"),
        ..Key::default()
    };
    world.role_of(&id, BILLING_ADMINISTRATOR, "/").key_on(&id, "servicePrincipals", &old);
    assert_eq!(world.run(), sv0_rules::RuleOutput::default());
}

#[test]
fn our_own_identity_is_reported_like_any_other() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    world.b.node("selfCheck", NodeKind::ServicePrincipal, "sp-1", &[(attr::OWN_IDENTITY, Value::Bool(true))]);
    assert!(fires(&world));
}

#[test]
fn objects_that_are_only_referred_to_are_no_subjects() {
    let mut world = World::new();
    let ghost = world.b.id(NodeKind::ServicePrincipal, "ghost");
    world.role_of(&ghost, GLOBAL_ADMINISTRATOR, "/");
    assert_eq!(world.run(), sv0_rules::RuleOutput::default());
}

#[test]
fn a_finding_says_who_what_how_and_by_which_call() {
    let finding = World::privileged(APPLICATION_ADMINISTRATOR).finding(RULE).unwrap();
    assert_eq!(finding.subject.id, format!("entra:{TENANT}:ServicePrincipal:sp-1"));
    assert_eq!((finding.subject.kind.as_str(), finding.subject.name.as_str()), ("ServicePrincipal", "payroll-bot"));
    assert_eq!((finding.subject.instance.as_str(), finding.subject.instance_uid.as_str()), ("entra-uid-1", "uid-1"));
    assert_eq!(finding.accountable.state, AccountableState::NotRecorded);
    let edges: Vec<_> = finding.path.iter().map(|hop| hop.edge.as_str()).collect();
    assert_eq!(edges, ["AUTHENTICATES_AS", "INSTANTIATES", "GRANTED"]);
    assert_eq!(finding.path[2].via.as_deref(), Some("Application Administrator"));
    assert_eq!(finding.path[2].to, "tenant \"Contoso\"");
    let grant = finding.evidence.iter().find(|item| item.source.field == "roleDefinitionId").unwrap();
    assert_eq!(grant.source.api, "Microsoft Graph GET /directoryRoleAssignments");
    assert_eq!((grant.source.version.as_str(), grant.source.connector.as_str()), ("v1.0", "entra"));
    assert_eq!(grant.source.object, format!("assignment-{APPLICATION_ADMINISTRATOR}"));
    let needed: Vec<_> = finding.depends_on.iter().map(|needed| needed.collection.as_str()).collect();
    let expected = [
        "appRoleAssignments",
        "applicationOwners",
        "applications",
        "directoryRoleAssignments",
        "federatedCredentials",
        "groupMembers",
        "servicePrincipalOwners",
        "servicePrincipals",
    ];
    assert_eq!(needed, expected);
    assert!(finding.depends_on.iter().all(|needed| needed.instance_uid == "uid-1"));
}

#[test]
fn names_are_stable_and_differ_by_rule_and_subject_only() {
    let one = World::privileged(GLOBAL_ADMINISTRATOR).finding(RULE).unwrap();
    let mut changed = World::privileged(APPLICATION_ADMINISTRATOR);
    changed.b.header().scan_id = "00000000009999-ffffffff".to_owned();
    assert_eq!(changed.finding(RULE).unwrap().name, one.name);
    // Fixed for ever: resources, exceptions and exports refer to it.
    let key = format!("ORPH-002\n1\nentra:{TENANT}:ServicePrincipal:sp-1\n");
    let digest = sv0_graph::canonical::sha256_hex(key.as_bytes());
    assert_eq!(one.name, format!("orph-002-{}", &digest[..16]));
}

#[test]
fn hostile_names_reach_no_text() {
    let world = World::privileged(GLOBAL_ADMINISTRATOR);
    let evil = format!("a\u{202E}b\n\u{1b}[2J\"{}", "z".repeat(5000));
    // A newer observation of the same tenant carries the hostile name and wins.
    let mut newer = sv0_graph::testing::SnapshotBuilder::entra("uid-2", TENANT);
    newer.header().observed_at = as_of();
    newer.header().finished_at = as_of();
    newer.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &[(attr::NAME, text(&evil))]);
    let graph = sv0_graph::Graph::build(vec![world.b.build(), newer.build()]).unwrap();
    let output = sv0_rules::run(&graph, &world.config, as_of(), 1);
    assert!(!output.findings.is_empty());
    for finding in output.findings {
        let shown = serde_json::to_string(&finding).unwrap();
        assert!(!shown.contains('\u{202E}') && !shown.contains("\\u001b") && !shown.contains("\\n"), "{shown}");
        assert!(finding.subject.name.chars().count() <= 81);
        assert!(finding.title.chars().count() <= 160, "{}", finding.title);
    }
}

#[test]
fn texts_fit_the_resource() {
    let mut world = World::privileged(ROLE_MANAGEMENT_WRITE);
    let old = Key { id: "old", from: Some("2020-01-01T00:00:00Z"), to: Some("2099-01-01T00:00:00Z"), ..Key::default() };
    world.role(APPLICATION_ADMINISTRATOR).permission(MAIL_READ).key(&old);
    let owner = world.person("dana", Some(true));
    world.owns_app(&owner).owners_read(1, 0);
    for finding in world.run().findings {
        assert!(finding.why.chars().count() <= 480, "{}: {}", finding.rule.id, finding.why);
        assert!(finding.title.chars().count() <= 160);
        assert!(finding.evidence.len() <= 12 && finding.path.len() <= 12 && finding.narrowed.len() <= 4);
        assert!(finding.remediation.len() <= 4 && finding.standards.len() <= 8);
        assert!(finding.evidence.iter().all(|item| item.claim.chars().count() <= 320));
        assert!(finding.remediation.iter().all(|step| step.chars().count() <= 320));
    }
}

/// Its credentials are the blueprint's: that they are gone is read there.
#[test]
fn a_finding_about_an_agent_rests_on_its_blueprint() {
    let mut world = World::new();
    let blueprint = world.b.node("agentIdentityBlueprints", NodeKind::Application, "blueprint", &[]);
    let attrs = [(attr::ENABLED, Value::Bool(true))];
    let agent = world.b.node("agentIdentities", NodeKind::AgentIdentity, "agent", &attrs);
    world.b.edge("agentIdentities", &blueprint, EdgeKind::Instantiates, &agent);
    let old = Key { from: Some("2020-01-01T00:00:00Z"), to: Some("2099-01-01T00:00:00Z"), ..Key::default() };
    world.key_on(&blueprint, "applications", &old).role_of(&agent, GLOBAL_ADMINISTRATOR, "/");
    let finding = world.finding("CRED-003").unwrap();
    for collection in ["agentIdentities", "agentIdentityBlueprints"] {
        assert!(finding.depends_on.iter().any(|on| on.collection == collection), "{collection}");
    }
}

/// What there would be if it ran is no finding, and what was found earlier is not gone.
#[test]
fn a_finding_whose_identity_may_run_is_undetermined() {
    let without_end = |role| {
        let mut world = World::new();
        world.enabled(true).role(role).owners_read(0, 0).key(&Key { to: None, ..Key::default() });
        world.run()
    };
    let output = without_end(GLOBAL_ADMINISTRATOR);
    let name = World::privileged(GLOBAL_ADMINISTRATOR).finding(RULE).unwrap().name;
    assert!(output.findings.is_empty());
    assert!(output.undetermined.contains(&name), "{:?}", output.undetermined);
    assert!(without_end(DIRECTORY_READERS).undetermined.is_empty(), "it would be none");
}

/// Every way of saying it, with the longest name that there can be.
#[test]
fn titles_fit_with_the_longest_name() {
    let seen = "2026-06-01T00:00:00Z";
    let certificate = |id| Key {
        id,
        kind: "certificate",
        from: Some("2020-01-01T00:00:00Z"),
        to: Some("2026-06-20T00:00:00Z"),
        thumbprint: Some("8C1D4B2E6F7A90123456789ABCDEF0123456789A"),
        ..Key::default()
    };
    let world = || {
        let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
        world.made("2020-01-01T00:00:00Z").seen(seen);
        world
    };
    let plain = || {
        let mut world = World::new();
        world.enabled(true).role(GLOBAL_ADMINISTRATOR).made("2020-01-01T00:00:00Z").seen(seen).key(&certificate("a"));
        world
    };
    let mut all = vec![world(), plain(), plain(), plain(), plain(), plain(), plain()];
    all[2].used(attr::LAST_USED_AT, "2021-01-01T00:00:00Z").used(attr::LAST_UNATTENDED_USE_AT, "2021-01-01T00:00:00Z");
    all[2].trusts_github().key_used("a", "2021-01-01T00:00:00Z");
    all[3].trusts_github().cover("servicePrincipalActivity", CoverageState::Denied);
    all[4].key(&certificate("b")).key(&Key { id: "c", thumbprint: None, ..certificate("c") }).trusts_github();
    all[4].cover("applications", CoverageState::Partial).key(&Key::default());
    all[5].b.node("applications", NodeKind::Application, "app-2", &[]);
    let second = all[5].b.id(NodeKind::Application, "app-2");
    all[5].key_on(&second, "applications", &certificate("z")).cover("federatedCredentials", CoverageState::Partial);
    all[6].key(&Key { id: "b", thumbprint: None, ..certificate("b") }).key_used("a", "2021-01-01T00:00:00Z");
    all[6].key_used("b", "2021-01-01T00:00:00Z");
    let mut said = std::collections::BTreeSet::new();
    for mut world in all {
        world.seen("2026-05-31T00:00:00Z");
        let mut newer = sv0_graph::testing::SnapshotBuilder::entra("uid-2", TENANT);
        newer.header().observed_at = as_of();
        newer.header().finished_at = as_of();
        newer.header().coverage.clear();
        newer.node("servicePrincipals", NodeKind::ServicePrincipal, "sp-1", &[(attr::NAME, text(&"w".repeat(500)))]);
        let graph = sv0_graph::Graph::build(vec![world.b.build(), newer.build()]).unwrap();
        for finding in sv0_rules::run(&graph, &world.config, as_of(), 1).findings {
            assert!(finding.title.chars().count() <= 160, "{}", finding.title);
            assert!(finding.why.chars().count() <= 480, "{}", finding.why);
            assert!(finding.narrowed.len() <= 4, "{:?}", finding.narrowed);
            let texts = finding.narrowed.iter().flat_map(|item| [&item.claim, &item.reason]);
            assert!(
                texts.chain(finding.evidence.iter().map(|item| &item.claim)).all(|text| text.chars().count() <= 320)
            );
            said.insert((finding.rule.id, finding.rule.claim));
        }
    }
    for rule in ["CRED-001", "CRED-004", "CRED-005", "CRED-006", "DORM-001"] {
        for claim in [Claim::Full, Claim::Narrower] {
            assert!(said.contains(&(rule.to_owned(), claim)), "{rule} {claim:?}");
        }
    }
    assert!(said.contains(&("CRED-010".to_owned(), Claim::Full)));
    assert!(said.contains(&("DORM-006".to_owned(), Claim::Narrower)));
}

/// The first two entries say why and what it reaches, whatever the number of owners or credentials.
#[test]
fn what_decides_comes_first_in_the_evidence() {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    for n in 0..3 {
        let owner = world.person(&format!("gone-{n}"), Some(false));
        world.owns_app(&owner);
    }
    let old = Key { id: "old", from: Some("2020-01-01T00:00:00Z"), to: Some("2099-01-01T00:00:00Z"), ..Key::default() };
    world.owners_read(3, 0).key(&old).key(&Key { id: "older", ..old });
    let fields = |rule: &str| -> Vec<String> {
        world.finding(rule).unwrap().evidence.into_iter().map(|item| item.source.field).collect()
    };
    assert_eq!(fields("ORPH-001")[..3], ["accountEnabled", "roleDefinitionId", "accountEnabled"]);
    assert_eq!(fields("CRED-003")[..3], ["startDateTime", "roleDefinitionId", "startDateTime"]);
    assert_eq!(fields("CRED-002")[..2], ["endDateTime", "roleDefinitionId"]);
    let owners = fields("ORPH-001").iter().filter(|field| *field == "accountEnabled").count();
    assert_eq!(owners, 4, "three owners and the identity itself: nothing is lost");
}
