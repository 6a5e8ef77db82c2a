//! Uses and changes: when an identity or a credential was used last, and who added a credential. Pure. What cannot be
//! understood is never guessed: it gives nothing and says so.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sv0_connector::text;

use crate::map::Unreadable;
use crate::model::{DirectoryAudit, ModifiedProperty, PrincipalActivity, SignIn};

/// The last uses of an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastUse {
    /// In any role.
    pub(crate) any: Option<Timestamp>,
    /// By itself, without a user.
    pub(crate) unattended: Option<Timestamp>,
}

impl LastUse {
    /// The later of both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { any: self.any.max(other.any), unattended: self.unattended.max(other.unattended) }
    }
}

/// When a sign-in was, if one was.
pub(crate) fn at(sign_in: Option<&SignIn>) -> Result<Option<Timestamp>, Unreadable> {
    let time = sign_in.and_then(|sign_in| sign_in.last_sign_in_date_time.as_deref());
    time.map(|time| text::instant(time).ok_or(Unreadable)).transpose()
}

/// The last uses that a row of the report tells.
pub(crate) fn last_use(wire: &PrincipalActivity) -> Option<LastUse> {
    let unattended = at(wire.application_authentication_client_sign_in_activity.as_ref()).ok()?;
    let mut any = unattended;
    for slot in [
        &wire.last_sign_in_activity,
        &wire.application_authentication_resource_sign_in_activity,
        &wire.delegated_client_sign_in_activity,
        &wire.delegated_resource_sign_in_activity,
    ] {
        any = any.max(at(slot.as_ref()).ok()?);
    }
    Some(LastUse { any, unattended })
}

/// Whether a change is one that may add credentials. The vendor writes these names with dashes of several kinds.
pub(crate) fn adds_credentials(audit: &DirectoryAudit) -> bool {
    let name = audit.activity_display_name.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    audit.result.as_deref() == Some("success")
        && (name.ends_with("certificates and secrets management")
            || name.starts_with("add service principal credentials"))
}

/// Identifiers of the keys that a change added; `None` when its form is not the known one.
pub(crate) fn added_keys(properties: &[&ModifiedProperty]) -> Option<BTreeSet<String>> {
    let described = |property: &&&ModifiedProperty| property.display_name.as_deref() == Some("KeyDescription");
    let mut added = BTreeSet::new();
    let mut any = false;
    for property in properties.iter().filter(described) {
        any = true;
        let before = keys(property.old_value.as_deref())?;
        added.extend(keys(property.new_value.as_deref())?.difference(&before).cloned());
    }
    any.then_some(added)
}

/// `["[KeyIdentifier=<GUID>,KeyType=...,KeyUsage=...,DisplayName=...]", ...]`, as JSON within a text. The display name
/// is written by whoever made the key, so that only the beginning of each description can be trusted.
fn keys(value: Option<&str>) -> Option<BTreeSet<String>> {
    text::listed(value.unwrap_or("[]"))?.iter().map(|description| key(description)).collect()
}

fn key(description: &str) -> Option<String> {
    let rest = description.trim().strip_prefix('[')?.strip_suffix(']')?.strip_prefix("KeyIdentifier=")?;
    text::guid(rest.split(',').next()?.trim())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::map::testing::wire;

    const ONE: &str = "480946b1-433f-4634-8b85-bfe21266007e";
    const TWO: &str = "5b8e2c1f-7a4d-4e96-b03c-d1f9a6e8c274";

    fn list(entries: &[&String]) -> String {
        serde_json::to_string(entries).unwrap()
    }

    fn described(key: &str, name: &str) -> String {
        format!("[KeyIdentifier={key},KeyType=Password,KeyUsage=Verify,DisplayName={name}]")
    }

    fn added(old: impl Into<Json>, new: impl Into<Json>) -> Option<Vec<String>> {
        let property = wire(json!({"displayName": "KeyDescription", "oldValue": old.into(), "newValue": new.into()}));
        added_keys(&[&property]).map(|keys| keys.into_iter().collect())
    }

    #[test]
    fn a_key_that_was_not_there_before_was_added() {
        let (one, two) = (described(ONE, "a"), described(&TWO.to_uppercase(), "b"));
        assert_eq!(added(json!("[]"), json!(list(&[&one]))).unwrap(), [ONE]);
        assert_eq!(added(json!(null), json!(list(&[&one]))).unwrap(), [ONE]);
        assert_eq!(added(json!(list(&[&one])), json!(list(&[&two, &one]))).unwrap(), [TWO]);
        assert_eq!(added(json!(list(&[&one])), json!("[]")).unwrap(), Vec::<String>::new());
        let renamed = list(&[&described(ONE, "other")]);
        assert_eq!(added(json!(list(&[&one])), json!(renamed)).unwrap(), Vec::<String>::new());
    }

    /// Whoever makes a key chooses its name.
    #[rstest]
    #[case(format!("x],[KeyIdentifier={TWO}"))]
    #[case(format!("x\",\"[KeyIdentifier={TWO},KeyType=Password"))]
    #[case(format!("KeyIdentifier={TWO},"))]
    fn the_name_of_a_key_adds_no_other(#[case] name: String) {
        assert_eq!(added(json!("[]"), json!(list(&[&described(ONE, &name)]))).unwrap(), [ONE]);
    }

    #[rstest]
    #[case(json!(format!("[KeyIdentifier={ONE},KeyType=Password]")))]
    #[case(json!("[\"[KeyIdentifier=not a guid,KeyType=Password]\"]"))]
    #[case(json!(format!("[\"[KeyType=Password,KeyIdentifier={ONE}]\"]")))]
    #[case(json!("[\"[KeyIdentifier=480946b1-433f-4634-8b85-bfe2"))]
    #[case(json!("{}"))]
    #[case(json!(""))]
    #[case(json!("[7]"))]
    fn an_unknown_form_says_nothing(#[case] value: Json) {
        assert_eq!(added(json!("[]"), value.clone()), None);
        assert_eq!(added(value, json!(list(&[&described(ONE, "a")]))), None);
    }

    #[test]
    fn a_change_that_describes_no_key_is_of_an_unknown_form() {
        let other = wire(json!({"displayName": "Included Updated Properties", "newValue": "\"KeyDescription\""}));
        assert_eq!(added_keys(&[&other]), None);
    }

    #[rstest]
    #[case("Update application \u{2013} Certificates and secrets management ", "success", true)]
    #[case("Create application - Certificates and secrets management", "success", true)]
    #[case("Add service principal credentials", "success", true)]
    #[case("Add service principal credentials", "failure", false)]
    #[case("Remove service principal credentials", "success", false)]
    #[case("Update application", "success", false)]
    fn which_changes_are_looked_into(#[case] name: &str, #[case] result: &str, #[case] looked: bool) {
        let audit = wire(json!({"id": "a", "activityDisplayName": name, "result": result}));
        assert_eq!(adds_credentials(&audit), looked);
    }

    #[test]
    fn the_latest_of_all_slots_counts_and_the_unattended_one_by_itself() {
        let slot = |at: &str| json!({"lastSignInDateTime": at, "lastSignInRequestId": "x"});
        let mut row = json!({"appId": ONE,
            "applicationAuthenticationClientSignInActivity": slot("2021-03-01T00:00:00-8:00"),
            "applicationAuthenticationResourceSignInActivity": slot("2021-04-01T00:00:00-8:00"),
            "delegatedClientSignInActivity": slot("2021-01-01T00:00:00-8:00"), "delegatedResourceSignInActivity": null,
            "lastSignInActivity": slot("2021-04-01T00:00:00Z")});
        let at = |text: &str| Some(text.parse().unwrap());
        let expected = LastUse { any: at("2021-04-01T08:00:00Z"), unattended: at("2021-03-01T08:00:00Z") };
        assert_eq!(last_use(&wire(row.clone())), Some(expected));
        assert_eq!(LastUse::default().or(expected), expected);
        row["delegatedResourceSignInActivity"] = slot("yesterday");
        assert_eq!(last_use(&wire(row)), None, "a slot that cannot be read may be the latest");
        assert_eq!(last_use(&wire(json!({"appId": ONE}))), Some(LastUse::default()));
    }
}
