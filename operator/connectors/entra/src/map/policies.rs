//! What policies enforce on credentials of applications. Pure.

use std::collections::BTreeSet;

use sv0_graph::{NodeKind, NodeRow, Value};

use crate::map::{Attrs, Mapper};
use crate::model::{Restriction, Restrictions};

/// Stands for a restriction whose word is not a word.
const UNKNOWN: &str = "unknown";
/// Longest word that is kept.
const MAX_WORD: usize = 64;

impl Mapper<'_> {
    /// The tenant with what `operation` told of its policies, under `key`.
    pub(crate) fn credential_policy(&self, operation: &str, key: &str, enforced: Vec<String>) -> NodeRow {
        let enforced: BTreeSet<String> = enforced.into_iter().collect();
        let attrs = Attrs::from([(key.to_owned(), Value::List(enforced.into_iter().collect()))]);
        self.node(NodeKind::System, self.tenant, operation, attrs)
    }
}

/// The vendor's words for what is enforced. A restriction holds unless it says that it is off: older answers do not say.
pub(crate) fn enforced<'a>(
    is_enabled: bool,
    restrictions: impl IntoIterator<Item = Option<&'a Restrictions>>,
) -> Vec<String> {
    let all =
        restrictions.into_iter().flatten().flat_map(|all| all.password_credentials.iter().chain(&all.key_credentials));
    let on = |restriction: &&Restriction| is_enabled && restriction.state.as_deref() != Some("disabled");
    all.flatten().filter(on).map(word).collect()
}

fn word(restriction: &Restriction) -> String {
    let word = restriction.restriction_type.as_str();
    let plain = !word.is_empty() && word.len() <= MAX_WORD && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { word } else { UNKNOWN }.to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::map::testing::wire;

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::null(json!({"passwordCredentials": null, "keyCredentials": []}), &[])]
    #[case::on(json!({"passwordCredentials": [{"restrictionType": "passwordLifetime", "state": "enabled"}]}), &["passwordLifetime"])]
    #[case::says_no_state(json!({"keyCredentials": [{"restrictionType": "asymmetricKeyLifetime"}]}), &["asymmetricKeyLifetime"])]
    #[case::a_state_of_later(json!({"keyCredentials": [{"restrictionType": "x", "state": "unknownFutureValue"}]}), &["x"])]
    #[case::off(json!({"passwordCredentials": [{"restrictionType": "passwordLifetime", "state": "disabled"}]}), &[])]
    #[case::no_word(json!({"passwordCredentials": [{"restrictionType": "a b"}]}), &["unknown"])]
    fn what_is_enforced(#[case] restrictions: Json, #[case] expected: &[&str]) {
        let restrictions: Restrictions = wire(restrictions);
        assert_eq!(enforced(true, [Some(&restrictions), None]), expected);
        assert!(enforced(false, [Some(&restrictions)]).is_empty(), "the policy is off");
    }
}
