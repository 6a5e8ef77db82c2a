//! Estates of any size for measurements: the same seed gives the same bytes.
//!
//! To 100,000 applications belong 150,000 service principals and 400,000 credentials: 40,000 managed identities and
//! 10,000 principals of others, of which 3,000 offer roles.

use crate::spec::{
    AppRole, AppRoleAssignment, Application, Behaviour, DelegatedGrant, EligibleRole, EstateFile, Expectations,
    FederatedCredential, Group, KeyCredential, PasswordCredential, ServicePlan, ServicePrincipal, Tenant, User,
};
use crate::when::When;

/// A small deterministic generator of numbers (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Secret of the scanning application of estates that are generated to be served.
pub const SECRET: &str = "generated-estate-secret";

/// Size and seed of a generated estate.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Applications.
    pub apps: usize,
    /// Seed.
    pub seed: u64,
}

/// Permissions that generated applications hold, common ones more often.
const PERMISSIONS: [&str; 8] = [
    "Sites.Selected",
    "User.Read.All",
    "Mail.Send",
    "Group.Read.All",
    "Files.Read.All",
    "Mail.Read",
    "Application.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
];

/// What the scanning application of a generated estate may read.
const OPERATOR_PERMISSIONS: [&str; 9] = [
    "Application.Read.All",
    "User.Read.All",
    "RoleManagement.Read.Directory",
    "Organization.Read.All",
    "GroupMember.Read.All",
    "AuditLog.Read.All",
    "Directory.Read.All",
    "AgentIdentity.Read.All",
    "AgentIdentityBlueprint.Read.All",
];

/// How many of each kind belong to so many applications.
#[derive(Clone, Copy)]
struct Size {
    apps: usize,
    people: usize,
    identities: usize,
    others: usize,
    resources: usize,
    groups: usize,
    agents: usize,
}

impl Size {
    fn of(apps: usize) -> Self {
        Self {
            apps,
            people: (apps / 10).clamp(5, 20_000),
            identities: apps * 2 / 5,
            others: apps / 10,
            resources: (apps * 3 / 100).min(apps / 10),
            groups: apps * 12 / 1000,
            agents: apps / 500,
        }
    }

    fn person(self, dice: &mut Dice) -> String {
        format!("u{}", dice.below(self.people as u64))
    }

    /// The service principal of some application.
    fn principal(self, dice: &mut Dice) -> String {
        format!("a{}/sp", dice.below(self.apps as u64))
    }
}

/// Makes an estate of `apps` applications and what belongs to them. The scanning application is `sv0-operator` with the
/// secret that is given.
pub fn generate(apps: usize, seed: u64, secret: &str) -> EstateFile {
    let mut dice = Dice(seed);
    let size = Size::of(apps);
    let users = (0..size.people).map(|index| user(index, &mut dice)).collect();
    let mut applications = vec![operator(secret)];
    applications.extend((0..apps).map(|index| application(index, size, &mut dice)));
    let mut service_principals: Vec<ServicePrincipal> =
        (0..size.identities).map(|index| managed_identity(index, &mut dice)).collect();
    service_principals.extend((0..size.others).map(|index| foreign(index, size, &mut dice)));
    EstateFile {
        clock: "2026-06-01T00:00:00Z".parse().ok(),
        tenant: Tenant {
            id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("generated/{seed}").as_bytes()).to_string(),
            display_name: format!("Generated {apps}"),
            cloud: crate::cloud::Cloud::default(),
            verified_domains: vec!["generated.example".to_owned()],
            created: days(3000),
            service_plans: vec![ServicePlan::P2],
            lapsed_plans: Vec::new(),
        },
        operator_app: Some("sv0-operator".to_owned()),
        issuers: Vec::new(),
        server: Behaviour::default(),
        users,
        applications,
        service_principals,
        groups: (0..size.groups).map(|index| group(index, size, &mut dice)).collect(),
        agent_blueprints: (0..size.agents.div_ceil(10)).map(|index| blueprint(index, size, &mut dice)).collect(),
        agent_identities: (0..size.agents).map(|index| agent(index, size, &mut dice)).collect(),
        directory_role_definitions: Vec::new(),
        directory_role_assignments: Vec::new(),
        eligible_roles: (0..size.groups / 4).map(|index| eligible(index, &mut dice)).collect(),
        delegated_grants: (0..apps).filter_map(|index| delegated(index, size, &mut dice)).collect(),
        app_role_assignments: resource_grants(size, &mut dice),
        expect: Expectations::default(),
    }
}

/// So many days before the clock; negative: after it.
fn days(before: u64) -> When {
    When::Relative(jiff::SignedDuration::from_hours(-24 * i64::try_from(before).unwrap_or(0)))
}

fn user(index: usize, dice: &mut Dice) -> User {
    User {
        key: format!("u{index}"),
        id: String::new(),
        display_name: format!("Person {index}"),
        user_principal_name: format!("person{index}@generated.example"),
        account_enabled: !dice.one_in(8),
        user_type: "Member".to_owned(),
        external_user_state: None,
        employee_leave_date_time: None,
        created: days(1500),
        deleted: None,
    }
}

/// So many days after the clock; negative: before it.
fn after(days: i64) -> When {
    When::Relative(jiff::SignedDuration::from_hours(24 * days))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

/// The day on which a credential was used last, if anything is recorded.
fn used(start: u64, dice: &mut Dice) -> Option<When> {
    dice.one_in(3).then(|| days(dice.below(start + 1)))
}

fn secret_of(start: u64, life: u64, value: Option<&str>) -> PasswordCredential {
    PasswordCredential {
        key_id: String::new(),
        display_name: Some("secret".to_owned()),
        start: days(start),
        end: after(signed(life) - signed(start)),
        value: value.map(crate::spec::SecretText::new),
        custom_key_identifier: None,
        last_used: None,
        added_by: None,
    }
}

fn certificate_of(start: u64, life: u64) -> KeyCredential {
    KeyCredential {
        key_id: String::new(),
        display_name: Some("CN=generated".to_owned()),
        start: days(start),
        end: after(signed(life) - signed(start)),
        kind: "AsymmetricX509Cert".to_owned(),
        usage: "Verify".to_owned(),
        custom_key_identifier: None,
        certificate_pem: None,
        thumbprint: None,
        last_used: None,
        added_by: None,
    }
}

fn operator(secret: &str) -> Application {
    Application {
        key: "sv0-operator".to_owned(),
        display_name: "SecurityV0 operator".to_owned(),
        created: Some(days(30)),
        owners: vec!["u0".to_owned()],
        password_credentials: vec![secret_of(30, 90_000, Some(secret))],
        service_principal: Some(ServicePrincipal {
            owners: vec!["u0".to_owned()],
            graph_permissions: OPERATOR_PERMISSIONS.map(str::to_owned).to_vec(),
            ..ServicePrincipal::default()
        }),
        ..Application::default()
    }
}

/// Lives of credentials, days.
const LIVES: [u64; 5] = [90, 180, 365, 730, 36_500];

fn application(index: usize, size: Size, dice: &mut Dice) -> Application {
    let mut owners: Vec<String> = (0..dice.below(4)).map(|_| size.person(dice)).collect();
    owners.sort();
    owners.dedup();
    let start = dice.below(1200);
    let (mut secrets, mut certificates) = (Vec::new(), Vec::new());
    for _ in 0..2 + dice.below(4) {
        let (begin, life) = (dice.below(start + 1), LIVES[dice_index(dice, 5)]);
        if dice.one_in(4) {
            certificates.push(KeyCredential { last_used: used(begin, dice), ..certificate_of(begin, life) });
        } else {
            let added_by = (begin < 30).then(|| size.person(dice));
            let last_used = used(begin, dice);
            secrets.push(PasswordCredential { last_used, added_by, ..secret_of(begin, life, None) });
        }
    }
    let permission = PERMISSIONS[dice_index(dice, 8).min(dice_index(dice, 8))];
    let federated = if dice.one_in(12) { vec![federated(index, dice)] } else { Vec::new() };
    Application {
        key: format!("a{index}"),
        display_name: format!("Application {index}"),
        created: Some(days(start + 10)),
        owners,
        password_credentials: secrets,
        key_credentials: certificates,
        federated_credentials: federated,
        service_principal: Some(ServicePrincipal {
            disabled: dice.one_in(20),
            graph_permissions: if dice.one_in(3) { Vec::new() } else { vec![permission.to_owned()] },
            directory_roles: if dice.one_in(200) { vec!["Directory Readers".to_owned()] } else { Vec::new() },
            last_unattended_sign_in: (!dice.one_in(3)).then(|| days(dice.below(400))),
            ..ServicePrincipal::default()
        }),
        ..Application::default()
    }
}

fn federated(index: usize, dice: &mut Dice) -> FederatedCredential {
    let flexible = dice.one_in(10);
    let repository = format!("repo:generated@77/app-{index}@{}", 1000 + index);
    FederatedCredential {
        id: String::new(),
        name: "main".to_owned(),
        issuer: "https://token.actions.githubusercontent.com".to_owned(),
        subject: if flexible { String::new() } else { format!("{repository}:ref:refs/heads/main") },
        claims_matching_expression: flexible.then(|| format!("claims['sub'] matches '{repository}:ref:refs/heads/*'")),
        audience: "api://AzureADTokenExchange".to_owned(),
    }
}

fn dice_index(dice: &mut Dice, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap_or(0)
}

fn managed_identity(index: usize, dice: &mut Dice) -> ServicePrincipal {
    let start = dice.below(60);
    ServicePrincipal {
        key: format!("mi{index}"),
        display_name: format!("identity-{index}"),
        service_principal_type: Some("ManagedIdentity".to_owned()),
        created: Some(days(60 + dice.below(900))),
        key_credentials: vec![certificate_of(start, 90)],
        last_unattended_sign_in: (!dice.one_in(3)).then(|| days(dice.below(60))),
        alternative_names: vec![
            "isExplicit=True".to_owned(),
            format!(
                "/subscriptions/00000000-1111-2222-3333-444444444444/resourcegroups/rg{index}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identity-{index}"
            ),
        ],
        ..ServicePrincipal::default()
    }
}

/// A service principal of another company's application; the first ones are resources that offer roles.
fn foreign(index: usize, size: Size, dice: &mut Dice) -> ServicePrincipal {
    let offered = if index < size.resources { 3 } else { 0 };
    let roles = (0..offered).map(|number| AppRole {
        id: String::new(),
        value: format!("Data.Do{number}"),
        display_name: None,
        allowed_member_types: vec!["Application".to_owned()],
    });
    ServicePrincipal {
        key: format!("f{index}"),
        display_name: format!("Service {index}"),
        app_owner_organization_id: Some("5e8a0f4c-6b1d-4a3e-8f70-1d2c3b4a5e6f".to_owned()),
        created: Some(days(100 + dice.below(900))),
        password_credentials: vec![secret_of(dice.below(300), LIVES[dice_index(dice, 4)], None)],
        app_roles: roles.collect(),
        ..ServicePrincipal::default()
    }
}

fn resource_grants(size: Size, dice: &mut Dice) -> Vec<AppRoleAssignment> {
    if size.resources == 0 {
        return Vec::new();
    }
    let one = |index: usize| {
        let grant = AppRoleAssignment {
            id: String::new(),
            principal: format!("a{index}/sp"),
            resource: format!("f{}", dice.below(size.resources as u64)),
            role: format!("Data.Do{}", dice.below(3)),
            created: Some(days(dice.below(700))),
        };
        dice.one_in(3).then_some(grant)
    };
    (0..size.apps).filter_map(one).collect()
}

fn group(index: usize, size: Size, dice: &mut Dice) -> Group {
    let mut members: Vec<String> = (0..=dice.below(6)).map(|_| size.principal(dice)).collect();
    members.push(size.person(dice));
    members.sort();
    members.dedup();
    let role_assignable = dice.one_in(2);
    Group {
        key: format!("g{index}"),
        display_name: format!("Group {index}"),
        role_assignable,
        security_enabled: true,
        members,
        directory_roles: if role_assignable { vec!["Directory Readers".to_owned()] } else { Vec::new() },
        graph_permissions: if role_assignable { Vec::new() } else { vec!["Group.Read.All".to_owned()] },
        ..Group::default()
    }
}

fn blueprint(index: usize, size: Size, dice: &mut Dice) -> Application {
    Application {
        key: format!("b{index}"),
        display_name: format!("Blueprint {index}"),
        created: Some(days(100)),
        sponsors: vec![size.person(dice)],
        password_credentials: vec![secret_of(20, 90, None)],
        service_principal: Some(ServicePrincipal::default()),
        ..Application::default()
    }
}

fn agent(index: usize, size: Size, dice: &mut Dice) -> ServicePrincipal {
    ServicePrincipal {
        key: format!("agent{index}"),
        display_name: format!("Agent {index}"),
        blueprint: Some(format!("b{}", index / 10)),
        created: Some(days(dice.below(90))),
        sponsors: if dice.one_in(5) { Vec::new() } else { vec![size.person(dice)] },
        ..ServicePrincipal::default()
    }
}

/// A role that some group may activate.
fn eligible(index: usize, dice: &mut Dice) -> EligibleRole {
    EligibleRole {
        id: String::new(),
        principal: format!("g{index}"),
        role: "User Administrator".to_owned(),
        scope: "/".to_owned(),
        start: Some(days(30)),
        end: dice.one_in(2).then(|| after(60)),
    }
}

fn delegated(index: usize, size: Size, dice: &mut Dice) -> Option<DelegatedGrant> {
    let principal = dice.one_in(2).then(|| size.person(dice));
    dice.one_in(2).then(|| DelegatedGrant {
        id: String::new(),
        client: format!("a{index}/sp"),
        resource: crate::reference::GRAPH_KEY.to_owned(),
        principal,
        scopes: vec!["User.Read".to_owned(), "openid".to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estate::{Estate, census};

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_loads() {
        let text = |seed| serde_yaml::to_string(&generate(50, seed, "s")).unwrap();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        let estate = Estate::parse(&text(1), jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(census(&estate)["applications"], 51);
    }

    #[test]
    fn everything_keeps_its_share() {
        let estate = Estate::new(generate(5_000, 3, "s"), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let of = |kind: &str| census(&estate)[kind];
        // The scanner and its principal, the blueprints, the agents and Graph itself come on top.
        assert_eq!((of("applications"), of("groups")), (5_002, 60));
        assert_eq!(of("servicePrincipals"), 5_000 + 2_000 + 500 + 3 + 10);
        let expected = 4 * 5_000;
        assert!(of("credentials").abs_diff(expected) < expected / 50, "{}", of("credentials"));
        let offers = |sp: &&ServicePrincipal| sp.key.starts_with('f') && !sp.app_roles.is_empty();
        assert_eq!(estate.file.service_principals.iter().filter(offers).count(), 150);
    }

    #[test]
    fn tiny_estates_load_too() {
        for apps in 1..12 {
            assert!(Estate::new(generate(apps, 1, "s"), jiff::Timestamp::UNIX_EPOCH).is_ok(), "{apps}");
        }
    }
}
