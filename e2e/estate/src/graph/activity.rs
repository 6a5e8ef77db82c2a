//! Activity reports and audit records as Graph writes them.
//!
//! The beta reports write most times with an offset of one digit (`-8:00`), which RFC 3339 does not know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::render::time;
use crate::estate::{Audit, Estate, Kind, Used};
use crate::reference::GRAPH_APP_ID;
use crate::spec::ServicePrincipal;

/// An instant as the beta reports write it.
fn odd_time(instant: Timestamp) -> String {
    let there = instant.checked_sub(SignedDuration::from_hours(8)).unwrap_or(instant);
    there.strftime("%Y-%m-%dT%H:%M:%S-8:00").to_string()
}

fn request_id(text: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}

pub(super) fn principal_id(sp: &ServicePrincipal) -> String {
    STANDARD_NO_PAD.encode(&sp.app_id)
}

/// A row is kept by client id. Sign-ins as a resource are not simulated.
pub(super) fn principal(estate: &Estate, sp: &ServicePrincipal) -> Value {
    let slot = |name: &str, when: Option<crate::when::When>| {
        when.map(|when| {
            json!({"lastSignInDateTime": odd_time(estate.instant(when)),
                   "lastSignInRequestId": request_id(&format!("{name}/{}", sp.app_id))})
        })
    };
    let instants = [sp.last_sign_in, sp.last_unattended_sign_in].into_iter().flatten();
    let last = instants.map(|when| estate.instant(when)).max().map(|last| {
        json!({"lastSignInDateTime": time(last), "lastSignInRequestId": request_id(&format!("last/{}", sp.app_id))})
    });
    json!({
        "id": principal_id(sp), "appId": sp.app_id,
        "applicationAuthenticationClientSignInActivity": slot("application", sp.last_unattended_sign_in),
        "delegatedClientSignInActivity": slot("delegated", sp.last_sign_in), "lastSignInActivity": last,
    })
}

/// The key id of a credential that was used.
pub(super) fn credential_id(estate: &Estate, used: Used) -> &str {
    let (secrets, certificates) = estate.credentials(used.holder);
    let id = if used.is_secret {
        secrets.get(used.at).map(|secret| &secret.key_id)
    } else {
        certificates.get(used.at).map(|certificate| &certificate.key_id)
    };
    id.map_or("", String::as_str)
}

pub(super) fn credential(estate: &Estate, used: Used) -> Value {
    let (app, sp) = match used.holder {
        (Kind::Application, index) => {
            let app = estate.file.applications.get(index);
            (app, app.and_then(|app| estate.service_principal_by_app_id(&app.app_id)))
        }
        (_, index) => {
            let sp = estate.file.service_principals.get(index);
            (sp.and_then(|sp| estate.application_by_app_id(&sp.app_id)), sp)
        }
    };
    let app_id = app.map(|app| &app.app_id).or(sp.map(|sp| &sp.app_id));
    let origin = if used.holder.0 == Kind::Application { "application" } else { "servicePrincipal" };
    let (secrets, certificates) = estate.credentials(used.holder);
    let (end, last, kind, usage) = if used.is_secret {
        let secret = secrets.get(used.at);
        (secret.map(|key| key.end), secret.and_then(|key| key.last_used), "clientSecret", "verify")
    } else {
        let key = certificates.get(used.at);
        let signs = key.is_some_and(|key| key.usage == "Sign");
        let usage = if signs { "sign" } else { "verify" };
        (key.map(|key| key.end), key.and_then(|key| key.last_used), "certificate", usage)
    };
    let key_id = credential_id(estate, used);
    let graph = estate.service_principal_by_app_id(GRAPH_APP_ID).map(|sp| &sp.id);
    json!({
        "id": STANDARD_NO_PAD.encode(format!("{key_id}|{origin}")), "appId": app_id, "appObjectId": app.map(|app| &app.id),
        "servicePrincipalObjectId": sp.map(|sp| &sp.id), "credentialOrigin": origin, "keyId": key_id, "keyType": kind,
        "keyUsage": usage, "resourceId": graph, "expirationDate": end.map(|end| odd_time(estate.instant(end))),
        "signInActivity": last.map(|last| json!({
            "lastSignInDateTime": odd_time(estate.instant(last)), "lastSignInRequestId": request_id(key_id),
        })),
    })
}

const SERVICE: &str = "Core Directory";
const CATEGORY: &str = "ApplicationManagement";

pub(super) fn audit(estate: &Estate, audit: &Audit) -> Value {
    let (target, kind) = &audit.target;
    let shown = |keys: &[String]| json!(keys).to_string();
    let modified: Vec<Value> = match &audit.keys {
        Some((before, after)) => vec![
            json!({"displayName": "KeyDescription", "oldValue": shown(before), "newValue": shown(after)}),
            json!({"displayName": "Included Updated Properties", "oldValue": null, "newValue": "\"KeyDescription\""}),
        ],
        None => vec![
            json!({"displayName": "DisplayName", "oldValue": "[]", "newValue": shown(&[name(estate, target).to_owned()])}),
        ],
    };
    json!({
        "id": audit.id, "category": CATEGORY, "correlationId": request_id(&audit.id), "result": "success",
        "resultReason": "", "activityDisplayName": audit.activity,
        "activityDateTime": audit.at.strftime("%Y-%m-%dT%H:%M:%S.7215374Z").to_string(), "loggedByService": SERVICE,
        "operationType": if audit.keys.is_some() { "Update" } else { "Add" }, "initiatedBy": initiator(estate, audit),
        "targetResources": [{
            "id": target, "displayName": name(estate, target), "type": kind, "userPrincipalName": null,
            "groupType": null, "modifiedProperties": modified,
        }],
        "additionalDetails": [{"key": "User-Agent", "value": "Mozilla/5.0"}],
    })
}

fn name<'a>(estate: &'a Estate, id: &str) -> &'a str {
    let app = estate.application(id).map(|app| app.display_name.as_str());
    app.or_else(|| estate.service_principal(id).map(|sp| sp.display_name.as_str())).unwrap_or_default()
}

fn initiator(estate: &Estate, audit: &Audit) -> Value {
    let by = audit.by.as_deref().unwrap_or_default();
    let user = estate.user(by).map(|user| {
        json!({"id": user.id, "displayName": user.display_name, "userPrincipalName": user.user_principal_name,
               "ipAddress": "203.0.113.7", "roles": []})
    });
    let app = estate.service_principal(by).map(|sp| {
        json!({"appId": sp.app_id, "displayName": sp.display_name, "servicePrincipalId": sp.id,
               "servicePrincipalName": null})
    });
    json!({"user": user, "app": app})
}

/// A property of a record by its path, for filters.
pub(super) fn audit_property(estate: &Estate, audit: &Audit, path: &str) -> Option<String> {
    match path {
        "activityDisplayName" => Some(audit.activity.to_owned()),
        "category" => Some(CATEGORY.to_owned()),
        "loggedByService" => Some(SERVICE.to_owned()),
        "result" => Some("success".to_owned()),
        "targetResources/id" => Some(audit.target.0.clone()),
        "targetResources/displayName" => Some(name(estate, &audit.target.0).to_owned()),
        path => {
            let initiator = initiator(estate, audit);
            let pointer = format!("/{}", path.strip_prefix("initiatedBy/")?);
            initiator.pointer(&pointer).and_then(Value::as_str).map(str::to_owned)
        }
    }
}
