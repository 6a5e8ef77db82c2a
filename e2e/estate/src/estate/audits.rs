//! Records of the directory's audit log, as far as an estate file tells what happened: who added which credential, and
//! who registered which application.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::Estate;
use crate::spec::{KeyCredential, PasswordCredential, ServicePlan};

/// How long the free edition keeps records, and how long the paid ones do.
const FREE_DAYS: i64 = 7;
const PAID_DAYS: i64 = 30;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) activity: &'static str,
    /// Object id of who did it; nobody when the file does not say.
    pub(crate) by: Option<String>,
    /// Object id of what it was done to, and the vendor's word for its type.
    pub(crate) target: (String, &'static str),
    /// Descriptions of all keys before and after.
    pub(crate) keys: Option<(Vec<String>, Vec<String>)>,
}

const ADD_APPLICATION: &str = "Add application";
const UPDATE_APPLICATION: &str = "Update application – Certificates and secrets management";
const ADD_PRINCIPAL_CREDENTIAL: &str = "Add service principal credentials";

/// All records that the vendor still keeps, the newest first.
pub(super) fn of(estate: &Estate) -> Vec<Audit> {
    let days = if estate.has_plan(ServicePlan::P1) { PAID_DAYS } else { FREE_DAYS };
    let oldest = estate.clock - SignedDuration::from_hours(24 * days);
    let mut all = Vec::new();
    for app in &estate.file.applications {
        if let Some(made) = app.created {
            let target = (app.id.clone(), "Application");
            all.push(record(estate.instant(made), ADD_APPLICATION, app.owners.first().cloned(), target, None));
        }
        let added = additions(estate, &app.password_credentials, &app.key_credentials);
        all.extend(added.into_iter().map(|(at, by, keys)| {
            record(at, UPDATE_APPLICATION, Some(by), (app.id.clone(), "Application"), Some(keys))
        }));
    }
    for sp in &estate.file.service_principals {
        let added = additions(estate, &sp.password_credentials, &sp.key_credentials);
        all.extend(added.into_iter().map(|(at, by, keys)| {
            record(at, ADD_PRINCIPAL_CREDENTIAL, Some(by), (sp.id.clone(), "ServicePrincipal"), Some(keys))
        }));
    }
    all.retain(|audit| audit.at >= oldest && audit.at <= estate.clock);
    all.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    all
}

fn record(
    at: Timestamp,
    activity: &'static str,
    by: Option<String>,
    target: (String, &'static str),
    keys: Option<(Vec<String>, Vec<String>)>,
) -> Audit {
    let after = keys.as_ref().map(|(_, after)| after.concat()).unwrap_or_default();
    let digest = Sha256::digest(format!("{activity}/{at}/{}/{after}", target.0));
    let id = format!("Directory_{}", URL_SAFE_NO_PAD.encode(&digest[..24]));
    Audit { id, at, activity, by, target, keys }
}

/// A key as the log writes it, and when it began.
struct Key<'a> {
    start: Timestamp,
    text: String,
    added_by: Option<&'a String>,
}

/// When a key was added, by whom, and all keys before and after.
type Addition = (Timestamp, String, (Vec<String>, Vec<String>));

/// Each key that somebody added: the keys that began before it were there already.
fn additions(estate: &Estate, secrets: &[PasswordCredential], certificates: &[KeyCredential]) -> Vec<Addition> {
    if secrets.iter().all(|key| key.added_by.is_none()) && certificates.iter().all(|key| key.added_by.is_none()) {
        return Vec::new();
    }
    let text = |id: &str, kind: &str, usage: &str, name: Option<&str>| {
        format!("[KeyIdentifier={id},KeyType={kind},KeyUsage={usage},DisplayName={}]", name.unwrap_or_default())
    };
    let of_secrets = secrets.iter().map(|key| Key {
        start: estate.instant(key.start),
        text: text(&key.key_id, "Password", "Verify", key.display_name.as_deref()),
        added_by: key.added_by.as_ref(),
    });
    let of_certificates = certificates.iter().map(|key| Key {
        start: estate.instant(key.start),
        text: text(&key.key_id, &key.kind, &key.usage, key.display_name.as_deref()),
        added_by: key.added_by.as_ref(),
    });
    let mut keys: Vec<Key<'_>> = of_secrets.chain(of_certificates).collect();
    keys.sort_by_key(|key| key.start);
    let texts: Vec<String> = keys.iter().map(|key| key.text.clone()).collect();
    let one = |(at, key): (usize, &Key<'_>)| {
        let by = key.added_by?.clone();
        Some((key.start, by, (texts.get(..at)?.to_vec(), texts.get(..=at)?.to_vec())))
    };
    keys.iter().enumerate().filter_map(one).collect()
}
