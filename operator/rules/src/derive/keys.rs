//! Correlation keys: the fields by which an object of one system is known to be an object of another one.
//!
//! A key is data and one normaliser: what it needs is here, [`super::joins`] does the rest. [`KEYS`] is the list of all, and
//! part of the rule pack; evidence that rests on one names it (`principal-id/1`). Only an identifier that its vendor never
//! gives twice is a key. A display name, an address or a part of a text never is: anybody can choose it.

use std::borrow::Cow;

use serde::Serialize;
use sv0_graph::{Node, NodeKind, attr, canonical};

use crate::finding::EvidenceClass;

/// What Entra's connector calls its system.
const ENTRA: &str = "entra";

/// Characters of a SHA-1 and of a SHA-256 thumbprint in hexadecimal.
const THUMBPRINTS: [usize; 2] = [40, 64];

/// One way to know that two objects belong together.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// `principal-id`.
    pub id: &'static str,
    /// Set anew whenever what it joins changes, the normaliser included.
    pub version: u16,
    /// Who refers to an object.
    pub left: Side,
    /// Whose object it is.
    pub right: Side,
    /// Where both sides have to stand.
    pub within: Within,
    /// What it means that several objects have the value.
    pub matches: Matches,
    /// Class of evidence of what is said across it.
    pub class: EvidenceClass,
    /// What it gives.
    pub gives: &'static str,
    /// What looks like it and is not.
    pub trap: &'static str,
    /// One form for all ways to write the value; none for what is no identifier of the kind.
    #[serde(skip)]
    normal: for<'a> fn(&'a str) -> Option<Cow<'a, str>>,
}

/// Objects that can have the value, and the field in which they have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Whose objects.
    pub system: Of,
    /// Kinds of nodes.
    pub kinds: &'static [NodeKind],
    /// Where the value stands.
    pub field: Field,
}

/// Whose objects a side is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Of {
    /// Entra's.
    Entra,
    /// Those of every system but Entra.
    Another,
    /// Those of any system.
    Any,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// The vendor's id of the object.
    Id,
    /// An attribute.
    Attribute(&'static str),
}

/// Where both sides of a key have to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Within {
    /// In the estate.
    Estate,
    /// In the same tenant, by the id that both give it.
    Tenant,
}

/// What it means that several objects have the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Matches {
    /// The value is of one object of the right side. If several have it, which one is meant is not known and none is.
    One,
    /// All that have it belong together.
    All,
}

/// Identities, as systems name what they run as.
const IDENTITIES: &[NodeKind] = &[NodeKind::ServicePrincipal, NodeKind::ManagedIdentity, NodeKind::AgentIdentity];

/// The object id of an identity, as the system names it that runs something as it.
const PRINCIPAL_ID: Key = Key {
    id: "principal-id",
    version: 1,
    left: Side { system: Of::Another, kinds: IDENTITIES, field: Field::Id },
    right: Side { system: Of::Entra, kinds: IDENTITIES, field: Field::Id },
    within: Within::Estate,
    matches: Matches::One,
    class: EvidenceClass::Structural,
    gives: "What another system runs as an object id of the directory runs as that identity.",
    trap: "An equal name or a short id is none. An identity that was made anew with its old name has another id.",
    normal: uuid,
};

/// The application id of an identity, in a system that belongs to the same tenant.
const APPLICATION_ID: Key = Key {
    id: "application-id",
    version: 1,
    left: Side { system: Of::Another, kinds: IDENTITIES, field: Field::Attribute(attr::APP_ID) },
    right: Side { system: Of::Entra, kinds: IDENTITIES, field: Field::Attribute(attr::APP_ID) },
    within: Within::Tenant,
    matches: Matches::One,
    class: EvidenceClass::Structural,
    gives: "What a system of the same tenant runs as an application id runs as its identity in that tenant.",
    trap: "An application has an identity in every tenant that uses it: the id alone, without the tenant, names none.",
    normal: uuid,
};

/// The object id of a person.
const PERSON_ID: Key = Key {
    id: "person-id",
    version: 1,
    left: Side { system: Of::Another, kinds: &[NodeKind::Human], field: Field::Id },
    right: Side { system: Of::Entra, kinds: &[NodeKind::Human], field: Field::Id },
    within: Within::Estate,
    matches: Matches::One,
    class: EvidenceClass::Structural,
    gives: "Whom another system names by an object id of the directory is that person.",
    trap: "An address can be given to another person, and many people have one name.",
    normal: uuid,
};

/// The thumbprint of a certificate.
pub(crate) const CERTIFICATE: Key = Key {
    id: "certificate-thumbprint",
    version: 1,
    left: Side { system: Of::Any, kinds: &[NodeKind::Credential], field: Field::Attribute(attr::THUMBPRINT) },
    right: Side { system: Of::Any, kinds: &[NodeKind::Credential], field: Field::Attribute(attr::THUMBPRINT) },
    within: Within::Estate,
    matches: Matches::All,
    class: EvidenceClass::Direct,
    gives: "Credentials with one thumbprint are one certificate: who has its private key can use all of them.",
    trap: "The vendor's field can hold any label. The SHA-1 of a certificate does not equal its SHA-256.",
    normal: thumbprint,
};

/// Every key. Where two of them join one object, the first one is named.
pub const KEYS: &[Key] = &[PRINCIPAL_ID, APPLICATION_ID, PERSON_ID, CERTIFICATE];

impl Key {
    /// As evidence names it: `principal-id/1`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.id, self.version)
    }

    /// The value of a node of the left side, in its one form.
    pub(crate) fn left<'n>(&self, node: &'n Node) -> Option<Cow<'n, str>> {
        self.left.value(node).and_then(self.normal)
    }

    /// The value of a node of the right side, in its one form.
    pub(crate) fn right<'n>(&self, node: &'n Node) -> Option<Cow<'n, str>> {
        self.right.value(node).and_then(self.normal)
    }
}

impl Side {
    fn value<'n>(&self, node: &'n Node) -> Option<&'n str> {
        if !self.kinds.contains(&node.kind) || !self.system.has(node.id.system()) {
            return None;
        }
        match self.field {
            Field::Id => Some(node.id.vendor_id()),
            Field::Attribute(key) => node.text(key),
        }
    }
}

impl Of {
    fn has(self, system: &str) -> bool {
        match self {
            Self::Entra => system == ENTRA,
            Self::Another => system != ENTRA,
            Self::Any => true,
        }
    }
}

/// All that the table says, for the version of the rule pack.
pub(crate) fn digest() -> String {
    canonical::to_canonical_json(&KEYS).map(|bytes| canonical::sha256_hex(&bytes)).unwrap_or_default()
}

/// A UUID, in small letters. That of zeros stands for nothing.
fn uuid(text: &str) -> Option<Cow<'_, str>> {
    let groups = text.split('-').map(str::len);
    let form = groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let nil = text.bytes().all(|byte| matches!(byte, b'-' | b'0'));
    (form && !nil).then(|| cased(text, |byte| byte.is_ascii_uppercase(), str::to_ascii_lowercase))
}

/// A thumbprint in hexadecimal, in capital letters.
fn thumbprint(text: &str) -> Option<Cow<'_, str>> {
    let form = THUMBPRINTS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    form.then(|| cased(text, |byte| byte.is_ascii_lowercase(), str::to_ascii_uppercase))
}

/// As it is, unless some letter has to be changed.
fn cased(text: &str, wrong: impl Fn(u8) -> bool, change: impl Fn(&str) -> String) -> Cow<'_, str> {
    if text.bytes().any(wrong) { Cow::Owned(change(text)) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    #[test]
    fn keys_have_names_of_their_own_and_say_what_they_are() {
        let ids: BTreeSet<&str> = KEYS.iter().map(|key| key.id).collect();
        assert_eq!(ids.len(), KEYS.len());
        for key in KEYS {
            assert!(key.version > 0 && !key.left.kinds.is_empty() && !key.right.kinds.is_empty(), "{}", key.id);
            assert!(key.gives.ends_with('.') && key.trap.ends_with('.'), "{}", key.id);
        }
    }

    /// Names, addresses and descriptions are never a key.
    #[test]
    fn no_key_is_a_text_that_somebody_chose() {
        for side in KEYS.iter().flat_map(|key| [key.left, key.right]) {
            assert!(!matches!(side.field, Field::Attribute(attr::NAME | attr::ADDRESS)), "{side:?}");
        }
    }

    #[rstest]
    #[case("77777777-7777-4777-8777-7777777777AB", Some("77777777-7777-4777-8777-7777777777ab"))]
    #[case("77777777-7777-4777-8777-7777777777ab", Some("77777777-7777-4777-8777-7777777777ab"))]
    #[case("77777777-7777-4777-8777-7777777777a", None)]
    #[case("77777777-7777-4777-8777-7777777777ag", None)]
    #[case("{77777777-7777-4777-8777-7777777777ab}", None)]
    #[case("77777777777747778777777777777777abcd", None)]
    #[case("00000000-0000-0000-0000-000000000000", None)]
    #[case("sp-1", None)]
    #[case("", None)]
    fn a_uuid_has_one_form(#[case] text: &str, #[case] form: Option<&str>) {
        assert_eq!(uuid(text).as_deref(), form);
    }

    #[rstest]
    #[case("0123456789abcdef0123456789abcdef01234567", Some("0123456789ABCDEF0123456789ABCDEF01234567"))]
    #[case("0123456789ABCDEF0123456789ABCDEF01234567", Some("0123456789ABCDEF0123456789ABCDEF01234567"))]
    #[case("0123456789ABCDEF0123456789ABCDEF0123456", None)]
    #[case("0123456789ABCDEF0123456789ABCDEF0123456G", None)]
    #[case("signing certificate", None)]
    fn a_thumbprint_has_one_form(#[case] text: &str, #[case] form: Option<&str>) {
        assert_eq!(thumbprint(text).as_deref(), form);
    }
}
