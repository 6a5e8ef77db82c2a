//! The onboarding artefacts of a permission set: what customers deploy, the same for everybody. Takes the manifest;
//! gives the files that are committed below `config/onboarding`, which the lint reads. Values of a cluster are never in
//! them: those come in files of their own. Pure.

use crate::files::File;
use crate::manifest::{Manifest, PermissionSet};

const BICEP: &str = include_str!("../../templates/main.bicep");
const BICEP_CONFIG: &str = include_str!("../../templates/bicepconfig.json");
const ONBOARD: &str = include_str!("../../templates/onboard.sh");
const CERTIFICATE: &str = include_str!("../../templates/certificate.sh");

/// The template for Microsoft's public cloud, and its configuration.
pub fn bicep(manifest: &Manifest, set: PermissionSet) -> [File; 2] {
    let lines: Vec<String> = names(manifest, set).iter().map(|name| format!("  '{name}'")).collect();
    [
        File { name: "main.bicep", content: filled(BICEP, manifest, set, &lines) },
        File { name: "bicepconfig.json", content: BICEP_CONFIG.to_owned() },
    ]
}

/// The script that does the same in every cloud.
pub fn script(manifest: &Manifest, set: PermissionSet) -> File {
    File { name: "onboard.sh", content: filled(ONBOARD, manifest, set, &names(manifest, set)) }
}

/// The script that makes a key and registers its certificate.
pub fn certificate() -> File {
    File { name: "certificate.sh", content: CERTIFICATE.to_owned() }
}

/// All that is committed for a set.
pub fn committed(manifest: &Manifest, set: PermissionSet) -> Vec<File> {
    let mut files = bicep(manifest, set).to_vec();
    files.push(script(manifest, set));
    files.push(certificate());
    files
}

fn names(manifest: &Manifest, set: PermissionSet) -> Vec<String> {
    manifest.set(set).iter().map(|permission| permission.id.clone()).collect()
}

fn filled(template: &str, manifest: &Manifest, set: PermissionSet, permissions: &[String]) -> String {
    template
        .replace("@@SET@@", set.name())
        .replace("@@REVISION@@", &manifest.collection_revision.to_string())
        .replace("@@PERMISSIONS@@", &permissions.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::SMALL;

    #[test]
    fn nothing_is_left_open() {
        let manifest = Manifest::parse(SMALL).unwrap();
        for set in PermissionSet::ALL {
            for file in committed(&manifest, set) {
                assert!(!file.content.contains("@@"), "{}", file.name);
            }
        }
    }

    #[test]
    fn a_set_asks_for_its_permissions_and_no_others() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let minimal = script(&manifest, PermissionSet::Minimal).content;
        assert!(minimal.contains("\nUser.Read.All\n") && !minimal.contains("Directory.Read.All"));
        insta::assert_snapshot!("expanded_bicep", bicep(&manifest, PermissionSet::Expanded)[0].content);
        insta::assert_snapshot!("minimal_script", minimal);
    }
}
