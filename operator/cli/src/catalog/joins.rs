//! The catalogue's chapters on what no single fact says: derivations, and the keys by which an object of one system is
//! known to be an object of another one. Takes the tables of the rules, gives Markdown. Pure.

use sv0_rules::{DERIVATIONS, Field, KEYS, Key, Of, Side, Within};

use super::markdown::line;

/// Both chapters.
pub(super) fn chapters() -> String {
    let derivations: String = DERIVATIONS
        .iter()
        .map(|derivation| line(&[code(&derivation.name()), derivation.gives.to_owned(), derivation.trap.to_owned()]))
        .collect();
    let keys: String = KEYS.iter().map(|key| line(&row(key))).collect();
    format!(
        "\n## Derivations\n\nWhat no single fact says. Evidence that rests on one names it.\n\n\
         | Name | Gives | Trap |\n|---|---|---|\n{derivations}\
         \n## Correlation keys\n\nBy what an object of one system is known to be an object of another one. Evidence that \
         rests on one names it. Where one value could mean several objects, nothing is joined, and that is said.\n\n\
         | Name | In one system | In another one | Where | Evidence across it | Gives | Trap |\n\
         |---|---|---|---|---|---|---|\n{keys}"
    )
}

fn row(key: &Key) -> [String; 7] {
    let within = match key.within {
        Within::Estate => "in the estate",
        Within::Tenant => "in one tenant",
    };
    [
        code(&key.name()),
        side(&key.left),
        side(&key.right),
        within.to_owned(),
        format!("{:?}", key.class).to_lowercase(),
        key.gives.to_owned(),
        key.trap.to_owned(),
    ]
}

fn side(side: &Side) -> String {
    let system = match side.system {
        Of::Entra => "Entra ID",
        Of::Another => "any but Entra ID",
        Of::Any => "any",
    };
    let kinds: Vec<String> = side.kinds.iter().map(|kind| code(kind.as_str())).collect();
    let field = match side.field {
        Field::Id => "the vendor's id".to_owned(),
        Field::Attribute(name) => code(name),
    };
    format!("{system}: {field} of {}", kinds.join(", "))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
