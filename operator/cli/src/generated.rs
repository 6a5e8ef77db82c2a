//! Files of the repository that follow from the connectors' manifests and the rules' metadata. Takes what is compiled in; gives paths below the
//! root and contents. Pure: the program `docgen` writes or compares them.

use crate::catalog;
use crate::document;
use crate::manifest::{ENTRA, Manifest, PermissionSet};
use crate::onboard::artefacts;

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Path below the repository's root.
    pub path: String,
    /// Its content.
    pub content: String,
}

/// All of them.
pub fn generated_files() -> Result<Vec<Generated>, serde_yaml::Error> {
    let manifest = Manifest::parse(ENTRA)?;
    let rules: Vec<_> = sv0_rules::catalogue().collect();
    let document = document::markdown(&manifest, &rules);
    let mut files = vec![Generated { path: "docs/connectors/entra.md".to_owned(), content: document }];
    for set in PermissionSet::ALL {
        for file in artefacts::committed(&manifest, set) {
            let path = format!("config/onboarding/entra/{}/{}", set.name(), file.name);
            files.push(Generated { path, content: file.content });
        }
    }
    let connectors = catalog::connectors()?;
    let content = catalog::markdown(&catalog::rows(&connectors), &connectors);
    files.push(Generated { path: "docs/catalogue.md".to_owned(), content });
    Ok(files)
}
