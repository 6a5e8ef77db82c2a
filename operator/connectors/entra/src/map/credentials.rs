//! Credentials of an application or service principal: what each is for, and from when to when it holds.

use std::collections::{BTreeMap, BTreeSet};

use sv0_connector::{Lenient, text};
use sv0_graph::{EdgeKind, NodeKind, Value, attr};

use crate::map::{Mapper, Rows, put_instant, readable};
use crate::model::{KeyCredential, PasswordCredential, Told};

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
        add(mapper, holder, &Wire { key_id: &password.key_id, kind: "secret", purpose, from, to }, rows);
    }
    for key in keys {
        let (from, to) = (key.start_date_time.as_deref(), &key.end_date_time);
        let (kind, purpose) = (type_of(key), purpose_of(key, &signing));
        add(mapper, holder, &Wire { key_id: &key.key_id, kind, purpose, from, to }, rows);
    }
}

/// One credential, whatever list it came in.
struct Wire<'a> {
    key_id: &'a str,
    kind: &'a str,
    purpose: &'a str,
    from: Option<&'a str>,
    to: &'a Told<String>,
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
    let credential = mapper.node(NodeKind::Credential, &format!("{}/{key_id}", holder.id), holder.operation, attrs);
    let owner = mapper.id(holder.kind, holder.id);
    rows.edges.push(mapper.edge(owner, EdgeKind::HoldsCredential, credential.id.clone(), holder.operation));
    rows.nodes.push(credential);
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
