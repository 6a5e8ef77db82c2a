//! Credentials of an application or service principal: what each is for, and from when to when it holds.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sv0_connector::{Lenient, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::map::{Mapper, Rows, put_instant, readable};
use crate::model::{KeyCredential, PasswordCredential, Told};

/// The collection revision that brought thumbprints.
const THUMBPRINTS: u32 = 2;

/// Who holds the credentials.
pub(crate) struct Holder<'a> {
    pub(crate) kind: NodeKind,
    pub(crate) id: &'a str,
    pub(crate) operation: &'a str,
    /// Thumbprint of the certificate that signs assertions for the application, if single sign-on uses one.
    pub(crate) signing: Option<&'a str>,
}

/// Adds the credentials of `holder` to `rows`. A list that did not come at all is a flaw: its absence proves nothing.
pub(crate) fn map(
    mapper: &Mapper<'_>,
    holder: &Holder<'_>,
    passwords: Option<&[Lenient<PasswordCredential>]>,
    keys: Option<&[Lenient<KeyCredential>]>,
    rows: &mut Rows,
) {
    rows.flawed |= passwords.is_none() || keys.is_none();
    let (passwords, broken_passwords) = readable(passwords.unwrap_or_default());
    let (keys, broken_keys) = readable(keys.unwrap_or_default());
    rows.flawed |= broken_passwords || broken_keys;
    let keys: Vec<&KeyCredential> = keys.collect();
    let signing = signing_identifiers(&keys, holder.signing);
    for password in passwords {
        let purpose = if belongs_to(&signing, password.custom_key_identifier.as_deref()) {
            "token_signing"
        } else {
            "client_auth"
        };
        let (from, to) = (password.start_date_time.as_deref(), &password.end_date_time);
        let wire = Wire { key_id: &password.key_id, kind: "secret", purpose, from, to, thumbprint: None };
        add(mapper, holder, &wire, rows);
    }
    for key in keys {
        let (from, to) = (key.start_date_time.as_deref(), &key.end_date_time);
        let (kind, purpose) = (type_of(key), purpose_of(key, &signing));
        let verifies = mapper.revision >= THUMBPRINTS && key.usage.as_deref() == Some("Verify");
        let thumbprint = key.custom_key_identifier.as_deref().filter(|_| verifies).and_then(thumbprint);
        add(mapper, holder, &Wire { key_id: &key.key_id, kind, purpose, from, to, thumbprint }, rows);
    }
}

/// One credential, whatever list it came in.
struct Wire<'a> {
    key_id: &'a str,
    kind: &'a str,
    purpose: &'a str,
    from: Option<&'a str>,
    to: &'a Told<String>,
    thumbprint: Option<String>,
}

fn add(mapper: &Mapper<'_>, holder: &Holder<'_>, wire: &Wire<'_>, rows: &mut Rows) {
    let Some(key_id) = text::guid(wire.key_id) else {
        rows.flawed = true;
        return;
    };
    let mut attrs = BTreeMap::new();
    attrs.insert(attr::CREDENTIAL_TYPE.to_owned(), Value::Text(wire.kind.to_owned()));
    attrs.insert(attr::CREDENTIAL_USE.to_owned(), Value::Text(wire.purpose.to_owned()));
    put_instant(&mut attrs, attr::VALID_FROM, wire.from);
    match wire.to {
        Told::Nothing => {}
        Told::Empty => {
            attrs.insert(attr::VALID_TO.to_owned(), Value::Text("none".to_owned()));
        }
        Told::Value(to) => put_instant(&mut attrs, attr::VALID_TO, Some(to)),
    }
    if let Some(thumbprint) = &wire.thumbprint {
        attrs.insert(attr::THUMBPRINT.to_owned(), Value::Text(thumbprint.clone()));
    }
    let credential = mapper.node(NodeKind::Credential, &format!("{}/{key_id}", holder.id), holder.operation, attrs);
    let owner = mapper.id(holder.kind, holder.id);
    rows.edges.push(mapper.edge(owner, EdgeKind::HoldsCredential, credential.id.clone(), holder.operation));
    rows.nodes.push(credential);
}

/// A certificate's thumbprint in upper-case hexadecimal, from hexadecimal or base64. Whoever adds a certificate may write
/// anything there: what is not as long as a SHA-1 or SHA-256 is no thumbprint.
fn thumbprint(identifier: &str) -> Option<String> {
    let identifier = identifier.trim();
    if matches!(identifier.len(), 40 | 64) && identifier.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(identifier.to_ascii_uppercase());
    }
    let bytes = STANDARD.decode(identifier).ok().filter(|bytes| matches!(bytes.len(), 20 | 32))?;
    let digit = |half: u8| char::from_digit(u32::from(half), 16).map(|digit| digit.to_ascii_uppercase());
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

/// Identifiers shared by the parts of a signing certificate: the signing half, the half that verifies it, and the
/// password of its file. They authenticate the directory to the application, not the application to the directory.
fn signing_identifiers(keys: &[&KeyCredential], preferred: Option<&str>) -> BTreeSet<String> {
    let signs = keys.iter().filter(|key| key.usage.as_deref() == Some("Sign"));
    let shared = signs.filter_map(|key| key.custom_key_identifier.as_deref());
    shared.chain(preferred).filter(|id| !id.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn belongs_to(signing: &BTreeSet<String>, identifier: Option<&str>) -> bool {
    identifier.is_some_and(|id| signing.contains(&id.to_ascii_lowercase()))
}

fn type_of(key: &KeyCredential) -> &str {
    match key.kind.as_deref() {
        None => "certificate",
        Some(kind) if kind.contains("X509") => "certificate",
        Some(_) => "key",
    }
}

fn purpose_of(key: &KeyCredential, signing: &BTreeSet<String>) -> &'static str {
    match key.usage.as_deref() {
        Some("Sign") => "token_signing",
        Some("Encrypt") => "token_encryption",
        Some("Verify") if belongs_to(signing, key.custom_key_identifier.as_deref()) => "token_signing",
        Some("Verify") => "client_auth",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::map::testing::{wire, with};

    const HEX: &str = "52ED9B5038A47B9E2E2190715CC238359D4F8F73";

    #[rstest]
    #[case::hex(HEX, Some(HEX))]
    #[case::lower("52ed9b5038a47b9e2e2190715cc238359d4f8f73", Some(HEX))]
    #[case::base64("Uu2bUDike54uIZBxXMI4NZ1Pj3M=", Some(HEX))]
    #[case::sha256(
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        Some("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
    )]
    #[case::cut("QkZ...", None)]
    #[case::name("my certificate", None)]
    #[case::too_short("Uu2bUDike54=", None)]
    #[case::nothing("", None)]
    fn thumbprints(#[case] identifier: &str, #[case] told: Option<&str>) {
        assert_eq!(thumbprint(identifier).as_deref(), told);
    }

    #[rstest]
    #[case("Verify", 2, true)]
    #[case("Verify", 1, false)]
    #[case("Sign", 2, false)]
    fn only_certificates_that_verify_have_one_once_it_was_accepted(
        #[case] usage: &str,
        #[case] revision: u32,
        #[case] told: bool,
    ) {
        let key = wire(json!({"keyId": "d61f4ad5-3cd5-4e22-9bcd-0dc1e2c8b1f4", "type": "AsymmetricX509Cert",
            "usage": usage, "customKeyIdentifier": HEX, "endDateTime": "2027-03-24T11:34:35Z"}));
        let holder = Holder { kind: NodeKind::Application, id: "a", operation: "listApplications", signing: None };
        let mut rows = Rows::default();
        with(revision, |mapper| map(mapper, &holder, Some(&[]), Some(&[Lenient::Item(key)]), &mut rows));
        assert_eq!(rows.nodes[0].attrs.contains_key(attr::THUMBPRINT), told);
    }
}
