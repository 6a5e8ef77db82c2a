//! Agent identities: whose credentials they use, and who answers for them (ORPH-005).

mod support;

use rstest::rstest;
use support::*;
use sv0_graph::testing::text;
use sv0_graph::{CoverageState, EdgeKind, NodeId, NodeKind, Value, attr};
use sv0_rules::{AccountableState, Claim, RuleFinding, Severity};

const RULE: &str = "ORPH-005";
const FULL: Option<(Claim, Severity)> = Some((Claim::Full, Severity::Medium));
const NARROWER: Option<(Claim, Severity)> = Some((Claim::Narrower, Severity::Low));
const NOTE: Option<(Claim, Severity)> = Some((Claim::Narrower, Severity::Info));

struct Agents {
    world: World,
    agent: NodeId,
    blueprint: NodeId,
}

impl Agents {
    /// An agent that writes, of a blueprint with a fresh secret. `own` and `of_blueprint` are the vendor's counts of
    /// sponsors and owners; none means that the lists were not read to their end.
    fn new(own: Option<(i64, i64)>, of_blueprint: Option<(i64, i64)>) -> Self {
        let mut world = World::new();
        let blueprint = world.b.node(
            "agentIdentityBlueprints",
            NodeKind::Application,
            "blueprint",
            &[(attr::NAME, text("Travel blueprint"))],
        );
        let agent = world.b.node(
            "agentIdentities",
            NodeKind::AgentIdentity,
            "agent",
            &[(attr::NAME, text("travel agent")), (attr::ENABLED, Value::Bool(true))],
        );
        world.b.edge("agentIdentities", &blueprint, EdgeKind::Instantiates, &agent);
        world.key_on(&blueprint, "applications", &Key::default()).role_of(&agent, BILLING_ADMINISTRATOR, "/");
        let objects = [
            (own, "agent", NodeKind::AgentIdentity, "servicePrincipalOwners"),
            (of_blueprint, "blueprint", NodeKind::Application, "applicationOwners"),
        ];
        for (counts, id, kind, owners_in) in objects {
            if let Some((sponsors, owners)) = counts {
                world.b.node("agentIdentitySponsors", kind, id, &[(attr::SPONSOR_COUNT, Value::Int(sponsors))]);
                world.b.node(owners_in, kind, id, &[(attr::OWNER_COUNT, Value::Int(owners))]);
            }
        }
        Self { world, agent, blueprint }
    }

    fn person(&mut self, id: &str, enabled: Option<bool>) -> NodeId {
        self.world.person(id, enabled)
    }

    fn sponsors(&mut self, sponsor: &NodeId, object: &NodeId) -> &mut Self {
        self.world.b.edge("agentIdentitySponsors", sponsor, EdgeKind::Sponsors, object);
        self
    }

    fn owns(&mut self, owner: &NodeId) -> &mut Self {
        let agent = self.agent.clone();
        self.world.b.edge("servicePrincipalOwners", owner, EdgeKind::Owns, &agent);
        self
    }

    fn finding(&self) -> Option<RuleFinding> {
        self.world.finding(RULE)
    }

    fn told(&self) -> Option<(Claim, Severity)> {
        self.finding().map(|finding| (finding.rule.claim, finding.severity))
    }
}

/// One sponsor of the agent with this account; the blueprint has nobody.
fn sponsored(enabled: Option<bool>) -> Agents {
    let mut agents = Agents::new(Some((1, 0)), Some((0, 0)));
    let (person, agent) = (agents.person("dana", enabled), agents.agent.clone());
    agents.sponsors(&person, &agent);
    agents
}

#[test]
fn nobody_is_recorded() {
    let finding = Agents::new(Some((0, 0)), Some((0, 0))).finding().unwrap();
    assert_eq!((finding.rule.claim, finding.severity), (Claim::Full, Severity::Medium));
    assert_eq!(finding.accountable.state, AccountableState::NotRecorded);
    let fields: Vec<_> = finding.evidence.iter().map(|item| item.source.field.as_str()).collect();
    assert!(fields.contains(&"sponsors") && fields.contains(&"owners"), "{fields:?}");
    assert!(finding.depends_on.iter().any(|needed| needed.collection == "agentIdentitySponsors"));
}

#[rstest]
#[case::active(Some(true), None)]
#[case::disabled(Some(false), FULL)]
#[case::not_resolved(None, None)]
fn by_the_account_of_its_sponsor(#[case] enabled: Option<bool>, #[case] expected: Option<(Claim, Severity)>) {
    assert_eq!(sponsored(enabled).told(), expected);
}

#[test]
fn a_sponsor_that_is_gone_is_evidence_and_accountable() {
    let finding = sponsored(Some(false)).finding().unwrap();
    assert_eq!(finding.evidence[0].claim, "The sponsor \"dana@contoso.example\" is disabled.");
    assert_eq!(finding.accountable.state, AccountableState::Gone);
}

#[test]
fn an_active_owner_answers_like_a_sponsor() {
    let mut agents = Agents::new(Some((0, 1)), Some((0, 0)));
    let person = agents.person("dana", Some(true));
    agents.owns(&person);
    assert_eq!(agents.told(), None);
}

/// Members of a sponsoring group are not read: it is neither active nor missing.
#[test]
fn a_group_that_sponsors_is_not_missing() {
    let mut agents = Agents::new(Some((1, 0)), Some((0, 0)));
    let (group, agent) = (agents.world.b.id(NodeKind::Group, "team"), agents.agent.clone());
    agents.sponsors(&group, &agent);
    assert_eq!(agents.told(), None);
}

#[test]
fn a_group_beside_somebody_gone_is_the_narrower_claim() {
    let mut agents = Agents::new(Some((2, 0)), Some((0, 0)));
    let (group, agent) = (agents.world.b.id(NodeKind::Group, "team"), agents.agent.clone());
    let person = agents.person("dana", Some(false));
    agents.sponsors(&group, &agent).sponsors(&person, &agent);
    assert_eq!(agents.told(), NARROWER);
}

#[rstest]
#[case::active(Some(true), NOTE)]
#[case::disabled(Some(false), FULL)]
#[case::not_resolved(None, NOTE)]
fn by_the_sponsor_of_its_blueprint(#[case] enabled: Option<bool>, #[case] expected: Option<(Claim, Severity)>) {
    let mut agents = Agents::new(Some((0, 0)), Some((1, 0)));
    let (person, blueprint) = (agents.person("dana", enabled), agents.blueprint.clone());
    agents.sponsors(&person, &blueprint);
    assert_eq!(agents.told(), expected);
}

/// It may have a sponsor who answers: reading less of it weighs no more than finding one.
#[test]
fn a_blueprint_whose_lists_were_not_read_is_the_note() {
    assert_eq!(Agents::new(Some((0, 0)), None).told(), NOTE);
}

/// Agents made before sponsors existed, and scans that may not read them: absence of a list is not an empty list. Zero Trust
/// Assessment #1147: every application was shown with no owner.
#[test]
fn sponsors_that_were_not_read_accuse_nobody() {
    assert_eq!(Agents::new(None, Some((0, 0))).told(), None);
    for state in [CoverageState::Partial, CoverageState::Denied, CoverageState::Throttled, CoverageState::Skipped] {
        for mut agents in [Agents::new(Some((0, 0)), Some((0, 0))), sponsored(Some(false))] {
            agents.world.cover("agentIdentitySponsors", state);
            assert_eq!(agents.told(), None);
        }
    }
    // More were counted than came.
    assert_eq!(Agents::new(Some((2, 0)), Some((0, 0))).told(), None);
}

#[test]
fn without_authority_it_is_counted_only() {
    let mut world = World::new();
    world.b.node(
        "agentIdentities",
        NodeKind::AgentIdentity,
        "agent",
        &[(attr::ENABLED, Value::Bool(true)), (attr::SPONSOR_COUNT, Value::Int(0)), (attr::OWNER_COUNT, Value::Int(0))],
    );
    let output = world.run();
    assert!(output.findings.is_empty());
    // Its credentials are its blueprint's, which is not here: whether it can run is not known.
    assert_eq!(output.suppressed[RULE].anchor_unknown, 1);
}

#[test]
fn it_signs_in_with_its_blueprints_credentials() {
    let finding = Agents::new(Some((0, 0)), Some((0, 0))).finding().unwrap();
    let hops: Vec<_> = finding.path.iter().map(|hop| (hop.edge.as_str(), hop.to.as_str())).collect();
    assert_eq!(
        hops[..2],
        [("AUTHENTICATES_AS", "application \"Travel blueprint\""), ("INSTANTIATES", "agent identity \"travel agent\"")]
    );
}

#[test]
fn service_principals_have_owners_and_no_sponsors() {
    assert!(World::privileged(GLOBAL_ADMINISTRATOR).finding(RULE).is_none());
}

/// Who sponsors an agent, or owns the agent only, can add no credential to it; who owns the blueprint can.
#[test]
fn only_an_owner_of_the_blueprint_can_take_an_agent_over() {
    let mut agents = Agents::new(Some((1, 1)), Some((0, 1)));
    let (sponsor, owner) = (agents.person("kim", Some(true)), agents.person("lee", Some(true)));
    let (agent, blueprint) = (agents.agent.clone(), agents.blueprint.clone());
    agents.sponsors(&sponsor, &agent).owns(&owner);
    agents.world.role_of(&agent, GLOBAL_ADMINISTRATOR, "/");
    assert!(agents.world.finding("UNB-011").is_none());
    let maker = agents.person("dana", Some(true));
    agents.world.b.edge("applicationOwners", &maker, EdgeKind::Owns, &blueprint);
    let finding = agents.world.finding("UNB-011").unwrap();
    assert!(finding.title.starts_with("one owner "), "{}", finding.title);
}

/// Whoever sponsors a blueprint is recorded beside the owners of its application: where sponsors were not read, that nobody
/// else is recorded is not proven.
#[rstest]
#[case::read_and_none(Some(0), CoverageState::Complete, Some(Claim::Full))]
#[case::not_read(None, CoverageState::Complete, Some(Claim::Narrower))]
#[case::not_all_read(Some(0), CoverageState::Partial, Some(Claim::Narrower))]
fn of_a_blueprint_without_owners_the_sponsors_count(
    #[case] sponsors: Option<i64>,
    #[case] state: CoverageState,
    #[case] expected: Option<Claim>,
) {
    let mut world = World::privileged(GLOBAL_ADMINISTRATOR);
    let agent = world.b.node("agentIdentities", NodeKind::AgentIdentity, "agent", &[]);
    let application = world.app.clone();
    world.b.edge("agentIdentities", &application, EdgeKind::Instantiates, &agent);
    if let Some(sponsors) = sponsors {
        let count = [(attr::SPONSOR_COUNT, Value::Int(sponsors))];
        world.b.node("agentIdentitySponsors", NodeKind::Application, "app-1", &count);
    }
    world.cover("agentIdentitySponsors", state);
    let claim = |world: &World| world.finding("ORPH-002").map(|finding| finding.rule.claim);
    assert_eq!(claim(&world), expected);
    let dana = world.person("dana", Some(true));
    world.b.edge("agentIdentitySponsors", &dana, EdgeKind::Sponsors, &application);
    assert_eq!(claim(&world), None);
}
