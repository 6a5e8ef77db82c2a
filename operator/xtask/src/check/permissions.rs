//! Permissions: whatever a connector or its onboarding artefacts ask for only reads, is named rightly, and stands in the
//! manifest. Reads the manifests and artefacts as text, by itself: what generated them is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::repository_files;
use crate::context::Context;

/// Names and ids of Microsoft Graph's application permissions. Its head says where they are from.
const GRAPH: &str = include_str!("permissions/graph.tsv");
/// Second words of a permission that reads.
const READING: [&str; 2] = ["Read", "ReadBasic"];
/// Words that make a dotted name a permission, whether it is known or not.
const VERBS: [&str; 18] = [
    "Read",
    "ReadBasic",
    "ReadWrite",
    "Write",
    "Send",
    "Manage",
    "Create",
    "Delete",
    "FullControl",
    "Selected",
    "OwnedBy",
    "Invite",
    "Export",
    "Remove",
    "Sign",
    "Upload",
    "Initiate",
    "AccessAsUser",
];
/// Beginnings of permissions that read content, keys or passwords: a metadata product asks for none of them.
const CONTENT: [&str; 16] = [
    "Mail.",
    "MailboxItem.",
    "Calendars.",
    "Chat.",
    "ChatMessage.",
    "ChannelMessage.",
    "Files.",
    "Sites.",
    "Notes.",
    "BitlockerKey.",
    "DeviceLocalCredential.",
    "OnlineMeetingTranscript.",
    "OnlineMeetingRecording.",
    "CallTranscripts.",
    "ListItems.",
    "Contacts.",
];
/// Ids in artefacts that are no permissions: Microsoft Graph itself, and placeholders.
const OTHER_IDS: [&str; 3] = [
    "00000003-0000-0000-c000-000000000000",
    "00000000-0000-0000-0000-000000000000",
    "11111111-1111-1111-1111-111111111111",
];
/// What a template may declare.
const RESOURCES: [&str; 4] = [
    "Microsoft.Graph/applications",
    "Microsoft.Graph/applications/federatedIdentityCredentials",
    "Microsoft.Graph/servicePrincipals",
    "Microsoft.Graph/appRoleAssignedTo",
];
/// What a script may run of az.
const AZ: [&str; 7] = ["account", "ad app", "ad sp", "cloud", "login", "logout", "rest"];
/// What a script may ask of Microsoft Graph by itself.
const CALLS: [&str; 3] = [
    "/v1.0/applications/$object\"",
    "/v1.0/servicePrincipals/$graph/appRoleAssignedTo\"",
    "/v1.0/servicePrincipals/$principal/appRoleAssignments\"",
];

/// Violations in every connector's manifest and in every onboarding artefact.
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    of_files(&repository_files(ctx)?)
}

fn of_files(files: &[(PathBuf, String)]) -> Result<Vec<String>> {
    let known = Known::read(GRAPH)?;
    let mut found = Vec::new();
    let mut manifests = BTreeMap::new();
    for (path, text) in files {
        let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
        let ["operator", "connectors", system, "manifest.yaml"] = parts.as_slice() else { continue };
        let manifest: Manifest =
            serde_yaml::from_str(text).with_context(|| format!("{} cannot be read", path.display()))?;
        found.extend(of_manifest(path, &manifest, &known));
        manifests.insert((*system).to_owned(), manifest);
    }
    for (path, text) in files {
        let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
        let ["config", "onboarding", system, ..] = parts.as_slice() else { continue };
        match manifests.get(*system) {
            Some(manifest) => found.extend(of_artefact(path, text, manifest, &known)),
            None => found.push(format!("{}: there is no connector {system}", path.display())),
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Manifest {
    permissions: Vec<Permission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    id: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    included_in: Vec<Permission>,
}

impl Manifest {
    fn lists(&self, name: &str) -> bool {
        self.permissions.iter().any(|permission| permission.id == name)
    }
}

/// Published names and ids.
struct Known<'a> {
    id_of: BTreeMap<&'a str, &'a str>,
    name_of: BTreeMap<&'a str, &'a str>,
}

impl<'a> Known<'a> {
    fn read(table: &'a str) -> Result<Self> {
        let lines = table.lines().filter(|line| !line.starts_with('#'));
        let rows: Vec<(&str, &str)> = lines
            .map(|line| line.split_once('\t').with_context(|| format!("not a name and an id: {line}")))
            .collect::<Result<_>>()?;
        Ok(Self {
            id_of: rows.iter().copied().collect(),
            name_of: rows.iter().map(|(name, id)| (*id, *name)).collect(),
        })
    }
}

fn of_manifest(path: &Path, manifest: &Manifest, known: &Known<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let broader = manifest.permissions.iter().flat_map(|permission| &permission.included_in);
    for permission in manifest.permissions.iter().chain(broader) {
        let name = permission.id.as_str();
        let right = known.id_of.get(name).copied();
        let role = permission.role.as_deref().filter(|role| !role.is_empty());
        let problem = match (right, role) {
            (Some(right), Some(role)) if role != right => Some(format!("its role id is {right}, not {role}")),
            (Some(right), None) => Some(format!("its role id is missing: {right}")),
            (None, Some(role)) => Some(format!("{role} is not known to be its role id")),
            _ => None,
        };
        found.extend(problem.or_else(|| unfit(name)).map(|why| format!("{}: {name}: {why}", path.display())));
    }
    for permission in &manifest.permissions {
        if !seen.insert(&permission.id) {
            found.push(format!("{}: {} is listed twice", path.display(), permission.id));
        }
    }
    found
}

/// Why nobody may ask for this permission.
fn unfit(name: &str) -> Option<String> {
    let mut words = name.split('.').skip(1);
    let reads = words.next().is_some_and(|word| READING.contains(&word)) && words.all(|word| !writes(word));
    if !reads {
        return Some("can do more than read".to_owned());
    }
    CONTENT.iter().any(|start| name.starts_with(start)).then(|| "reads content, not metadata".to_owned())
}

fn writes(word: &str) -> bool {
    word.contains("Write") || (VERBS.contains(&word) && !READING.contains(&word))
}

fn of_artefact(path: &Path, text: &str, manifest: &Manifest, known: &Known<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut say = |why: String| found.push(format!("{}:{}: {why}", path.display(), index + 1));
        let names: Vec<&str> = names(line).filter(|name| is_permission(name, known)).collect();
        for name in &names {
            if let Some(why) = unfit(name) {
                say(format!("{name} {why}"));
            } else if !manifest.lists(name) {
                say(format!("{name} is not in the connector's manifest"));
            }
        }
        for id in ids(line) {
            match known.name_of.get(id.as_str()) {
                Some(name) if !manifest.lists(name) => say(format!("{id} is {name}, which is not in the manifest")),
                Some(name) if !names.is_empty() && !names.contains(name) => {
                    say(format!("{id} is {name}, not {}", names.join(" or ")));
                }
                Some(_) => {}
                None if OTHER_IDS.contains(&id.as_str()) => {}
                None => say(format!("nobody knows what {id} is")),
            }
        }
        if line.contains("'Scope'") || line.contains("=Scope") || line.contains("\"Scope\"") {
            say("a delegated permission acts for people: only application permissions are asked for".to_owned());
        }
        if line.contains(".$") || line.contains("}.") {
            say("a name must be spelled out: what is put together is not seen by this check".to_owned());
        }
        found.extend(of_code(path, index + 1, line));
    }
    found
}

/// What a template declares and a script runs.
fn of_code(path: &Path, number: usize, line: &str) -> Vec<String> {
    let place = format!("{}:{number}", path.display());
    let code = line.trim_start();
    let comment = code.starts_with('#') || code.starts_with("//");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("bicep") if code.starts_with("resource ") => {
            let type_ = code.split('\'').nth(1).unwrap_or_default();
            let type_ = type_.split('@').next().unwrap_or_default();
            // A resource inside the application is named without its parent.
            let nested = format!("Microsoft.Graph/applications/{type_}");
            let fine = RESOURCES.contains(&type_) || RESOURCES.contains(&nested.as_str());
            if fine { Vec::new() } else { vec![format!("{place}: a template must not declare {type_}")] }
        }
        Some("bicep") if code.starts_with("module ") => vec![format!("{place}: a module is not seen by this check")],
        Some("sh") if !comment => of_script(&place, line),
        _ => Vec::new(),
    }
}

fn of_script(place: &str, line: &str) -> Vec<String> {
    let allowed = |rest: &str| AZ.iter().any(|command| rest.starts_with(&format!("{command} ")) || rest == *command);
    let commands = line.split("az ").skip(1).map(str::trim_start);
    let mut found: Vec<String> = commands
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && !allowed(rest))
        .map(|rest| rest.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        .map(|command| format!("{place}: a script must not run `az {command}`"))
        .collect();
    let asks = line.contains("/v1.0/") || line.contains("/beta/");
    if asks && !CALLS.iter().any(|call| line.contains(call)) {
        found.push(format!("{place}: a script must not call this address of Microsoft Graph"));
    }
    found
}

/// Dotted names: what a permission looks like.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    line.split(part).map(|word| word.trim_matches('.')).filter(|word| word.contains('.'))
}

fn is_permission(name: &str, known: &Known<'_>) -> bool {
    let verb = |word: &str| VERBS.contains(&word) || word.starts_with("ReadWrite");
    let capital = name.starts_with(|c: char| c.is_ascii_uppercase());
    known.id_of.contains_key(name) || (capital && name.split('.').skip(1).any(verb))
}

/// Every GUID of a line, in lower case.
fn ids(line: &str) -> Vec<String> {
    let part = |c: char| !(c.is_ascii_hexdigit() || c == '-');
    let guid = |word: &&str| word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    line.split(part).filter(guid).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
permissions:
  - id: Application.Read.All
    role: 9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30
    reason: applications
    includedIn:
      - {id: Directory.Read.All, role: 7ab1d382-f21e-4acd-a863-ba3e13f7da61}
  - {id: User.Read.All, role: df021288-bdef-4463-88db-98f22de89214, reason: owners}
  - {id: AgentIdentity.Read.All, reason: agents}
";
    const BICEP: &str = "
var permissions = [
  'Application.Read.All'
  'User.Read.All'
]
resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = { appId: '00000003-0000-0000-c000-000000000000' }
resource application 'Microsoft.Graph/applications@v1.0' = {
  resource trust 'federatedIdentityCredentials@v1.0' = {
";

    /// What is found in a manifest and one artefact of it.
    fn found(manifest: &str, name: &str, artefact: &str) -> Vec<String> {
        let artefact = (PathBuf::from(format!("config/onboarding/entra/minimal/{name}")), artefact.to_owned());
        let manifest = (PathBuf::from("operator/connectors/entra/manifest.yaml"), manifest.to_owned());
        of_files(&[artefact, manifest]).unwrap()
    }

    fn in_manifest(from: &str, to: &str) -> Vec<String> {
        let seeded = MANIFEST.replacen(from, to, 1);
        assert_ne!(seeded, MANIFEST, "the defect is seeded");
        found(&seeded, "main.bicep", "")
    }

    #[test]
    fn what_is_right_is_quiet() {
        assert_eq!(found(MANIFEST, "main.bicep", BICEP), Vec::<String>::new());
        let script = "az ad app show\n# a comment about az role assignment\nfor permission in User.Read.All; do\n";
        assert_eq!(found(MANIFEST, "onboard.sh", script), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_manifest_is_found() {
        let cases = [
            // A permission that writes, with its own right id.
            (
                "id: User.Read.All, role: df021288-bdef-4463-88db-98f22de89214",
                "id: User.ReadWrite.All, role: 741f803b-c850-494e-b5df-cde7c675a1ca",
                "can do more than read",
            ),
            // One that writes, among the broader ones.
            (
                "{id: Directory.Read.All, role: 7ab1d382-f21e-4acd-a863-ba3e13f7da61}",
                "{id: Directory.ReadWrite.All, role: 19dbc75e-c2e2-444c-a770-ec69d8559fc7}",
                "can do more than read",
            ),
            // The id of a permission that writes under the name of one that reads.
            ("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", "its role id is 9a5d68dd"),
            // One digit.
            ("df021288", "df021289", "its role id is df021288"),
            ("role: 9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "role: ''", "its role id is missing"),
            (
                "{id: AgentIdentity.Read.All,",
                "{id: AgentIdentity.Read.All, role: df021288-bdef-4463-88db-98f22de89214,",
                "is not known to be its role id",
            ),
            ("id: AgentIdentity.Read.All", "id: AgentIdentity.CreateAsManager", "can do more than read"),
            ("id: AgentIdentity.Read.All", "id: AgentIdentity", "can do more than read"),
            ("id: AgentIdentity.Read.All", "id: New.Read.Write", "can do more than read"),
            (
                "{id: AgentIdentity.Read.All,",
                "{id: Mail.Read, role: 810c84a8-4a9e-49e6-bf7d-12d183f40d01,",
                "reads content",
            ),
            (
                "{id: AgentIdentity.Read.All,",
                "{id: User.Read.All, role: df021288-bdef-4463-88db-98f22de89214,",
                "listed twice",
            ),
        ];
        for (from, to, why) in cases {
            let found = in_manifest(from, to);
            assert!(found.iter().any(|line| line.contains(why)), "{to}: {found:?}");
        }
    }

    #[test]
    fn a_wrong_artefact_is_found() {
        let cases = [
            ("main.bicep", "  'Application.ReadWrite.All'", "can do more than read"),
            ("main.bicep", "  'Application.ReadWrite.OwnedBy'", "can do more than read"),
            ("main.bicep", "  'Sites.Selected'", "can do more than read"),
            ("main.bicep", "  'Nobody.Knows.ReadWrite.All'", "can do more than read"),
            ("main.bicep", "  'RoleManagement.Read.Directory'", "is not in the connector's manifest"),
            // Broader than what is listed, and named in the manifest only as such.
            ("main.bicep", "  'Directory.Read.All'", "is not in the connector's manifest"),
            ("onboard.sh", "permissions='User.Read.All Mail.Send'", "can do more than read"),
            (
                "roles.json",
                r#"{"id": "1BFEFB4E-e0b5-418b-a88f-73c46d2cc8e9", "type": "Role"}"#,
                "Application.ReadWrite.All",
            ),
            ("roles.json", r#"{"id": "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"}"#, "not in the manifest"),
            (
                "onboard.sh",
                "add User.Read.All 9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
                "is Application.Read.All, not User",
            ),
            ("onboard.sh", "role=62e90394-69f5-4237-9190-012177145e10", "nobody knows what"),
            ("main.bicep", "    type: 'Scope'", "delegated permission"),
            ("main.bicep", "resource r 'Microsoft.Authorization/roleAssignments@2022-04-01' = {", "must not declare"),
            ("main.bicep", "resource g 'Microsoft.Graph/oauth2PermissionGrants@v1.0' = {", "must not declare"),
            ("main.bicep", "module m 'other.bicep' = {", "is not seen by this check"),
            ("onboard.sh", "x=$(az role assignment create)", "must not run `az role assignment`"),
            ("onboard.sh", "az ad group member add --group x", "must not run `az ad group`"),
            ("onboard.sh", "az rest --method POST --url \"$SV0_GRAPH/v1.0/directoryRoles/x/members\"", "must not call"),
            (
                "onboard.sh",
                "az rest --url \"$SV0_GRAPH/beta/servicePrincipals/$graph/appRoleAssignedTo\"",
                "must not call",
            ),
            ("onboard.sh", "permissions=User.$verb.All", "must be spelled out"),
            ("main.bicep", "  'User.${verb}.All'", "must be spelled out"),
        ];
        for (name, line, why) in cases {
            let found = found(MANIFEST, name, line);
            assert!(found.iter().any(|line| line.contains(why)), "{line}: {found:?}");
        }
    }

    #[test]
    fn artefacts_of_nobody_are_found() {
        let files = [(PathBuf::from("config/onboarding/other/x.bicep"), String::new())];
        assert_eq!(of_files(&files).unwrap().len(), 1);
    }

    #[test]
    fn the_table_is_one_to_one() {
        let known = Known::read(GRAPH).unwrap();
        assert_eq!(known.id_of.len(), known.name_of.len());
        assert!(known.id_of.len() > 500);
        assert!(known.name_of.keys().all(|id| ids(id).len() == 1));
    }
}
