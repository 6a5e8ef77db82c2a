//! Estates of any size for measurements: the same seed gives the same bytes.

use crate::spec::{
    Application, Behaviour, EstateFile, Expectations, PasswordCredential, ServicePrincipal, Tenant, User,
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

/// Makes an estate of `apps` applications, half as many managed identities, and one person per ten applications.
/// The scanning application is `sv0-operator` with the secret that is given.
pub fn generate(apps: usize, seed: u64, secret: &str) -> EstateFile {
    let mut dice = Dice(seed);
    let people = (apps / 10).clamp(5, 20_000);
    let users = (0..people).map(|index| user(index, &mut dice)).collect();
    let mut applications = vec![operator(secret)];
    applications.extend((0..apps).map(|index| application(index, people, &mut dice)));
    let service_principals = (0..apps / 2).map(managed_identity).collect();
    EstateFile {
        clock: "2026-06-01T00:00:00Z".parse().ok(),
        tenant: Tenant {
            id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("generated/{seed}").as_bytes()).to_string(),
            display_name: format!("Generated {apps}"),
            verified_domains: vec!["generated.example".to_owned()],
            created: days(3000),
            service_plans: Vec::new(),
            lapsed_plans: Vec::new(),
        },
        operator_app: Some("sv0-operator".to_owned()),
        issuers: Vec::new(),
        server: Behaviour::default(),
        users,
        applications,
        service_principals,
        groups: Vec::new(),
        agent_blueprints: Vec::new(),
        agent_identities: Vec::new(),
        eligible_roles: Vec::new(),
        delegated_grants: Vec::new(),
        directory_role_definitions: Vec::new(),
        directory_role_assignments: Vec::new(),
        app_role_assignments: Vec::new(),
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

fn secret_of(start: u64, life: u64, value: Option<&str>) -> PasswordCredential {
    let end =
        jiff::SignedDuration::from_hours(24 * (i64::try_from(life).unwrap_or(0) - i64::try_from(start).unwrap_or(0)));
    PasswordCredential {
        key_id: String::new(),
        display_name: Some("secret".to_owned()),
        start: days(start),
        end: When::Relative(end),
        value: value.map(crate::spec::SecretText::new),
        custom_key_identifier: None,
        last_used: None,
        added_by: None,
    }
}

fn operator(secret: &str) -> Application {
    let permissions =
        ["Application.Read.All", "User.Read.All", "RoleManagement.Read.Directory", "Organization.Read.All"];
    Application {
        key: "sv0-operator".to_owned(),
        display_name: "SecurityV0 operator".to_owned(),
        created: Some(days(30)),
        owners: vec!["u0".to_owned()],
        password_credentials: vec![secret_of(30, 90_000, Some(secret))],
        service_principal: Some(ServicePrincipal {
            owners: vec!["u0".to_owned()],
            graph_permissions: permissions.map(str::to_owned).to_vec(),
            ..ServicePrincipal::default()
        }),
        ..Application::default()
    }
}

fn application(index: usize, people: usize, dice: &mut Dice) -> Application {
    let mut owners: Vec<String> = (0..dice.below(4)).map(|_| format!("u{}", dice.below(people as u64))).collect();
    owners.sort();
    owners.dedup();
    let start = dice.below(1200);
    let secrets =
        (0..dice.below(3)).map(|_| secret_of(start, [90, 180, 365, 730, 36_500][dice_index(dice, 5)], None)).collect();
    let permission = PERMISSIONS[dice_index(dice, 8).min(dice_index(dice, 8))];
    Application {
        key: format!("a{index}"),
        display_name: format!("Application {index}"),
        created: Some(days(start + 10)),
        owners,
        password_credentials: secrets,
        service_principal: Some(ServicePrincipal {
            disabled: dice.one_in(20),
            graph_permissions: if dice.one_in(3) { Vec::new() } else { vec![permission.to_owned()] },
            ..ServicePrincipal::default()
        }),
        ..Application::default()
    }
}

fn dice_index(dice: &mut Dice, bound: u64) -> usize {
    usize::try_from(dice.below(bound)).unwrap_or(0)
}

fn managed_identity(index: usize) -> ServicePrincipal {
    ServicePrincipal {
        key: format!("mi{index}"),
        display_name: format!("identity-{index}"),
        service_principal_type: Some("ManagedIdentity".to_owned()),
        alternative_names: vec![
            "isExplicit=True".to_owned(),
            format!(
                "/subscriptions/00000000-1111-2222-3333-444444444444/resourcegroups/rg{index}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identity-{index}"
            ),
        ],
        ..ServicePrincipal::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_loads() {
        let text = |seed| serde_yaml::to_string(&generate(50, seed, "s")).unwrap();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        let estate = crate::estate::Estate::parse(&text(1), jiff::Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(crate::estate::census(&estate)["applications"], 51);
    }
}
