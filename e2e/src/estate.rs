//! The small tenant that behaviour tests start from: one privileged application with one owner, and the scanner.
//! Every value is in the simulated vendor's estate format.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The tenant of the behaviour tests.
pub const TENANT: &str = "6f1a9c1e-58a5-4a0e-9f11-0c5b1f6f0e2e";
/// Client id of the application that scans.
pub const CLIENT: &str = "b2c5a3de-0b1c-4a69-8a5c-3a1f6c1f9e01";
/// The scanner's client secret. Made up for tests; it opens nothing but the simulated vendor.
pub const SECRET: &str = "e2e-not-a-real-secret-7Qm2";
/// Object id of the service principal that the tests speak about.
pub const BILLING: &str = "0d9ff5f2-6b8c-4f3a-9f52-6a2f0a7f5b01";
/// Object id of its owner.
pub const OWNER: &str = "7a3a1d0f-5a54-4f7e-8a38-5f0a4f2c9d01";

/// An instant relative to now, as the estate format writes it.
pub fn from_now(offset: SignedDuration) -> String {
    let at = Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX);
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

/// Days before (negative) or after now.
pub fn days(n: i64) -> String {
    from_now(SignedDuration::from_hours(24 * n))
}

/// The tenant: scanner, owner, and `billing`, which may write the directory and signs in with a young secret.
/// Its scans run as the ServiceAccount `scanner` of `namespace`.
pub fn small(namespace: &str) -> Value {
    json!({
        "tenant": {"id": TENANT, "displayName": "Fabrikam E2E", "verifiedDomains": ["fabrikam.example"]},
        "operatorApp": "scanner",
        "users": [
            {"key": "owner", "id": OWNER, "displayName": "Robin Owner", "userPrincipalName": "robin@fabrikam.example"},
            {"key": "second", "displayName": "Sam Second", "userPrincipalName": "sam@fabrikam.example"},
        ],
        "applications": [scanner(namespace), billing()],
    })
}

fn scanner(namespace: &str) -> Value {
    json!({
        "key": "scanner", "appId": CLIENT, "displayName": "Evidence reader", "owners": ["second"],
        "passwordCredentials": [{"start": days(-5), "end": days(85), "value": SECRET}],
        "federatedCredentials": [{
            "name": "cluster", "issuer": "kubernetes", "subject": format!("system:serviceaccount:{namespace}:scanner"),
        }],
        "servicePrincipal": {"graphPermissions": [
            "Application.Read.All", "RoleManagement.Read.Directory", "User.Read.All", "Organization.Read.All",
        ]},
    })
}

fn billing() -> Value {
    json!({
        "key": "billing", "displayName": "Billing writer", "owners": ["owner"],
        "passwordCredentials": [{"start": days(-10), "end": days(80)}],
        "servicePrincipal": {"id": BILLING, "owners": ["owner"], "graphPermissions": ["Directory.ReadWrite.All"]},
    })
}

/// A tenant file made ready for one namespace of this cluster.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The file, as JSON.
    pub document: Value,
    /// Tenant id.
    pub id: String,
    /// Client id of the application that scans.
    pub client: String,
}

impl Tenant {
    /// Reads an estate file and makes its scanning application trust the ServiceAccount `scanner` of `namespace`.
    pub fn load(yaml: &str, namespace: &str) -> crate::Result<Self> {
        let mut document: Value = serde_yaml::from_str(yaml)?;
        let id = text(&document["tenant"]["id"]).ok_or("the file has no tenant.id")?;
        let operator =
            text(&document["operatorApp"]).ok_or("the file has no operatorApp: it names the application that scans")?;
        let mut apps = document["applications"].as_array_mut().into_iter().flatten();
        let app = apps
            .rfind(|app| ["key", "id", "appId"].iter().any(|field| app[field] == operator.as_str()))
            .ok_or_else(|| format!("operatorApp names {operator}, which is not among the applications"))?;
        let client = text(&app["appId"]).ok_or_else(|| format!("the application {operator} needs an appId"))?;
        app["federatedCredentials"] = json!([{
            "name": "cluster", "issuer": "kubernetes", "subject": format!("system:serviceaccount:{namespace}:scanner"),
        }]);
        Ok(Self { document, id, client })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
