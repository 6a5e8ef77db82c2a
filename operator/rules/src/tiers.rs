//! Privilege tiers of Entra's directory roles and application permissions, and whose applications and issuers are whose.
//!
//! The tables are data, in `reference/` (its README says where the identifiers come from), compiled in and parsed once.
//! An id that is not listed has no proven tier: it is shown as authority of unknown weight and never raises anything.
//! Everything is looked up by identifier, never by display name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use sv0_graph::canonical;

use crate::sensitive::{Container, DataDomain, Sensitive};
use crate::severity::Tier;

/// Names the tables for people. Set anew whenever a row changes; the digest changes by itself.
pub const TABLE_VERSION: &str = "entra-2026.11-3";

/// `appId` of Microsoft Graph, the same in every cloud.
pub const MICROSOFT_GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// The app role that means "may sign in" and grants nothing.
pub const DEFAULT_ACCESS: &str = "00000000-0000-0000-0000-000000000000";

/// The files, by name, in the order of names.
const FILES: [(&str, &str); 6] = [
    ("entra-app-permissions.tsv", include_str!("../reference/entra-app-permissions.tsv")),
    ("entra-directory-roles.tsv", include_str!("../reference/entra-directory-roles.tsv")),
    ("microsoft-applications.tsv", include_str!("../reference/microsoft-applications.tsv")),
    ("microsoft-tenants.tsv", include_str!("../reference/microsoft-tenants.tsv")),
    ("multi-tenant-issuers.tsv", include_str!("../reference/multi-tenant-issuers.tsv")),
    ("sensitive-containers.tsv", include_str!("../reference/sensitive-containers.tsv")),
];

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::parse(&FILES));

/// One row of a table of roles or permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// `appId` of the API that the permission is of; empty for a directory role.
    pub resource: &'static str,
    /// Role template id or app role id.
    pub id: &'static str,
    /// The vendor's name for it.
    pub name: &'static str,
    /// What it amounts to over the whole tenant.
    pub tier: Tier,
    /// Sensitive data that it reaches.
    pub sensitive: Option<Sensitive>,
    /// Whether its holder can add a credential to any application of the tenant.
    pub adds_credentials: bool,
}

/// Who may get tokens of an issuer, by the form of its subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerForm {
    /// GitHub Actions.
    GitHub,
    /// GitLab.
    GitLab,
    /// HCP Terraform.
    Terraform,
    /// An issuer whose subjects are not taken apart here.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
struct Tables {
    roles: Vec<Known>,
    permissions: Vec<Known>,
    tenants: Vec<&'static str>,
    applications: Vec<&'static str>,
    issuers: Vec<(&'static str, IssuerForm)>,
}

impl Tables {
    /// Rows that are not well formed are left out; a test proves that there are none.
    fn parse(files: &[(&str, &'static str)]) -> Self {
        let file = |name: &str| files.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text);
        let first = |name: &str| rows(file(name)).filter_map(|row| row.split('\t').next()).collect();
        let containers: BTreeMap<(&str, &str), Sensitive> =
            rows(file("sensitive-containers.tsv")).filter_map(container).collect();
        Self {
            roles: rows(file("entra-directory-roles.tsv")).filter_map(role).collect(),
            permissions: rows(file("entra-app-permissions.tsv"))
                .filter_map(permission)
                .map(|known| Known { sensitive: containers.get(&(known.resource, known.id)).copied(), ..known })
                .collect(),
            tenants: first("microsoft-tenants.tsv"),
            applications: first("microsoft-applications.tsv"),
            issuers: rows(file("multi-tenant-issuers.tsv")).filter_map(issuer).collect(),
        }
    }
}

fn rows(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

fn role(row: &'static str) -> Option<Known> {
    let [id, name, tier, effect] = columns(row)?;
    let adds_credentials = effect_of(effect)?;
    Some(Known { resource: "", id, name, tier: tier_of(tier)?, sensitive: None, adds_credentials })
}

fn permission(row: &'static str) -> Option<Known> {
    let [resource, id, name, tier, effect] = columns(row)?;
    let adds_credentials = effect_of(effect)?;
    Some(Known { resource, id, name, tier: tier_of(tier)?, sensitive: None, adds_credentials })
}

/// The name stands in the row for people, and is not looked at.
fn container(row: &'static str) -> Option<((&'static str, &'static str), Sensitive)> {
    let [resource, id, _, container, domain] = columns(row)?;
    let sensitive = Sensitive { container: Container::parse(container)?, domain: DataDomain::parse(domain)? };
    Some(((resource, id), sensitive))
}

fn issuer(row: &'static str) -> Option<(&'static str, IssuerForm)> {
    let [url, form] = columns(row)?;
    let form = match form {
        "github" => IssuerForm::GitHub,
        "gitlab" => IssuerForm::GitLab,
        "terraform" => IssuerForm::Terraform,
        "google" | "buildkite" => IssuerForm::Other,
        _ => return None,
    };
    Some((url, form))
}

fn columns<const N: usize>(row: &'static str) -> Option<[&'static str; N]> {
    row.split('\t').collect::<Vec<_>>().try_into().ok()
}

fn tier_of(word: &str) -> Option<Tier> {
    Some(match word {
        "P0" => Tier::P0,
        "P1" => Tier::P1,
        "P2" => Tier::P2,
        "P3" => Tier::P3,
        _ => return None,
    })
}

fn effect_of(word: &str) -> Option<bool> {
    match word {
        "-" => Some(false),
        "adds-credentials" => Some(true),
        _ => None,
    }
}

/// The directory role with this template id (or built-in definition id, which is the same).
pub fn directory_role(template_id: &str) -> Option<&'static Known> {
    lookup(&TABLES.roles, "", template_id)
}

/// The application permission with this app role id, of the API with the `appId` `resource`.
pub fn permission_of(resource: &str, app_role_id: &str) -> Option<&'static Known> {
    lookup(&TABLES.permissions, resource, app_role_id)
}

/// The application permission of Microsoft Graph with this app role id.
pub fn graph_permission(app_role_id: &str) -> Option<&'static Known> {
    permission_of(MICROSOFT_GRAPH, app_role_id)
}

/// The permission of Microsoft Graph that the delegated scope `name` is the counterpart of. A delegated scope reaches
/// what its user reaches, so that `Files.Read` is the counterpart of `Files.Read.All`.
pub fn delegated_scope(name: &str) -> Option<&'static Known> {
    let of_graph = || TABLES.permissions.iter().filter(|known| known.resource == MICROSOFT_GRAPH);
    let wide = |known: &&Known| known.name.strip_suffix(".All") == Some(name);
    of_graph().find(|known| known.name == name).or_else(|| of_graph().find(wide))
}

/// Whether this tenant owns Microsoft's own applications.
pub fn is_microsoft_tenant(tenant: &str) -> bool {
    TABLES.tenants.iter().any(|known| tenant.eq_ignore_ascii_case(known))
}

/// Whether this is the `appId` of one of Microsoft's own applications. An `appId` is unique over all tenants.
pub fn is_microsoft_application(app_id: &str) -> bool {
    TABLES.applications.binary_search(&app_id.to_ascii_lowercase().as_str()).is_ok()
}

/// The form of an issuer that gives tokens to anybody who becomes its customer; none for every other one.
pub fn multi_tenant_issuer(url: &str) -> Option<IssuerForm> {
    let url = url.strip_suffix('/').unwrap_or(url);
    TABLES.issuers.iter().find(|(known, _)| url.eq_ignore_ascii_case(known)).map(|(_, form)| *form)
}

fn lookup(table: &'static [Known], resource: &str, id: &str) -> Option<&'static Known> {
    let key = (resource.to_ascii_lowercase(), id.to_ascii_lowercase());
    table.binary_search_by(|known| (known.resource, known.id).cmp(&(&key.0, &key.1))).ok().and_then(|at| table.get(at))
}

/// Hexadecimal SHA-256 over all tables.
pub fn digest() -> String {
    digest_of(&FILES)
}

fn digest_of(files: &[(&str, &str)]) -> String {
    let all: String = files.iter().flat_map(|(name, text)| [*name, "\n", *text, "\n"]).collect();
    canonical::sha256_hex(all.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_guid(text: &str) -> bool {
        let groups: Vec<&str> = text.split('-').collect();
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
            && text.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
    }

    /// Sorted, nothing twice, and no row lost in parsing.
    #[test]
    fn tables_are_sorted_unique_and_well_formed() {
        for (name, text) in FILES {
            let rows: Vec<&str> = rows(text).collect();
            assert!(text.starts_with('#') && text.ends_with('\n') && !text.contains('\r'), "{name}");
            assert!(rows.is_sorted_by(|a, b| a < b), "{name}");
            assert!(
                rows.iter().all(|row| row.split('\t').all(|cell| !cell.is_empty() && cell.trim() == cell)),
                "{name}"
            );
        }
        let count = |at: usize| rows(FILES[at].1).count();
        assert_eq!(
            [TABLES.permissions.len(), TABLES.roles.len(), TABLES.applications.len(), TABLES.tenants.len()],
            [count(0), count(1), count(2), count(3)]
        );
        assert_eq!(TABLES.issuers.len(), count(4));
        // Each row is of a permission that the other table has, under the same name.
        let reaching = TABLES.permissions.iter().filter(|known| known.sensitive.is_some());
        assert_eq!(reaching.count(), count(5));
        for row in rows(FILES[5].1) {
            let [resource, id, name, ..] = columns::<5>(row).unwrap();
            assert_eq!(permission_of(resource, id).map(|known| known.name), Some(name));
        }
        for table in [&TABLES.roles, &TABLES.permissions] {
            assert!(table.is_sorted_by(|a, b| (a.resource, a.id) < (b.resource, b.id)));
            for known in table {
                assert!(is_guid(known.id) && (known.resource.is_empty() || is_guid(known.resource)), "{}", known.name);
                let twins = table.iter().filter(|other| (other.resource, other.name) == (known.resource, known.name));
                assert_eq!(twins.count(), 1, "{}", known.name);
            }
        }
        assert!(TABLES.tenants.iter().chain(&TABLES.applications).all(|id| is_guid(id)));
        assert!(TABLES.issuers.iter().all(|(url, _)| url.starts_with("https://") && !url.ends_with('/')));
    }

    #[test]
    fn names_agree_with_tiers() {
        // These read what others sign in with.
        let secrets = ["DeviceLocalCredential.Read.All", "BitlockerKey.Read.All"];
        for known in TABLES.permissions.iter().filter(|known| known.resource == MICROSOFT_GRAPH) {
            let reads = !known.name.contains("Write") && known.name.contains(".Read") && !secrets.contains(&known.name);
            assert_eq!(reads, known.tier == Tier::P3, "{}", known.name);
        }
        for known in &TABLES.roles {
            let reads = known.name.contains("Reader");
            assert_eq!(reads, known.tier == Tier::P3, "{}", known.name);
        }
    }

    #[test]
    fn what_adds_credentials_is_not_already_everything() {
        let all: Vec<_> =
            TABLES.roles.iter().chain(&TABLES.permissions).filter(|known| known.adds_credentials).collect();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|known| known.tier == Tier::P1));
    }

    #[test]
    fn lookups_ignore_case_and_unknown_ids_have_no_tier() {
        assert_eq!(directory_role("62E90394-69F5-4237-9190-012177145E10").map(|known| known.tier), Some(Tier::P0));
        assert_eq!(graph_permission("810c84a8-4a9e-49e6-bf7d-12d183f40d01").map(|known| known.name), Some("Mail.Read"));
        assert_eq!(directory_role(DEFAULT_ACCESS), None);
        assert_eq!(graph_permission(""), None);
        let exchange = "00000002-0000-0ff1-ce00-000000000000";
        let full = permission_of(exchange, "DC890D15-9560-4a4c-9b7f-a736ec74ec40").map(|known| known.name);
        assert_eq!(full, Some("full_access_as_app"));
        assert_eq!(graph_permission("dc890d15-9560-4a4c-9b7f-a736ec74ec40"), None);
        assert!(is_microsoft_tenant("F8CDEF31-a31e-4b4a-93e4-5f571e91255a") && !is_microsoft_tenant(""));
        assert!(is_microsoft_application("00000003-0000-0000-C000-000000000000") && !is_microsoft_application(""));
        assert_eq!(multi_tenant_issuer("https://token.actions.githubusercontent.com/"), Some(IssuerForm::GitHub));
        assert_eq!(multi_tenant_issuer("https://token.actions.githubusercontent.com.evil.example"), None);
        assert_eq!(multi_tenant_issuer(""), None);
    }

    #[test]
    fn delegated_scopes_are_found_by_their_counterpart() {
        assert_eq!(delegated_scope("Mail.Read").map(|known| known.name), Some("Mail.Read"));
        assert_eq!(delegated_scope("Files.Read").map(|known| known.name), Some("Files.Read.All"));
        assert_eq!(delegated_scope("offline_access"), None);
        assert_eq!(delegated_scope("full_access_as_app"), None);
    }

    #[test]
    fn the_digest_changes_with_any_row() {
        for at in 0..FILES.len() {
            let changed = FILES[at].1.replacen('0', "1", 1).replacen(".com", ".org", 1);
            let mut files = FILES.to_vec();
            files[at].1 = &changed;
            assert_ne!(digest_of(&files), digest(), "{}", FILES[at].0);
        }
    }
}
