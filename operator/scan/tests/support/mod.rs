//! A small stand-in for Microsoft inside the test process: documented shapes, and every way to misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sv0_broker::microsoft::Endpoints;
use sv0_connector::Pause;
use sv0_graph::{Snapshot, read_manifest, read_snapshot};
use sv0_protocol::{Auth, Limits, MicrosoftCloud, Network, Reason, ScanRequest, Source, StoreAccess};
use sv0_scan::{Ports, PutError, SnapshotSink};
use tokio_util::sync::CancellationToken;

pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const CLIENT: &str = "cccccccc-0000-4000-8000-000000000001";
pub(crate) const SECRET: &str = "canary-secret~value+with/marks=&";
pub(crate) const ASSERTION: &str = "canary.assertion.token";
/// Planted in every name and address, and in fields that nobody may keep.
pub(crate) const CANARY: &str = "canary";
/// Planted where no field of ours is.
pub(crate) const NEVER: &str = "never-kept";

/// How the stand-in misbehaves.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Paths that answer 403.
    pub(crate) deny: Vec<&'static str>,
    /// The token endpoint's answer: status and body.
    pub(crate) token: Option<(u16, String)>,
    /// Every request is throttled this often first.
    pub(crate) throttle: u32,
    /// `Retry-After` of those answers.
    pub(crate) retry_after: Option<&'static str>,
    /// This path's last page is lost.
    pub(crate) lose_last_page_of: Option<&'static str>,
    /// Lists with an expansion are refused.
    pub(crate) refuse_expand: bool,
    /// This path's next link.
    pub(crate) next_link: Option<(&'static str, String)>,
    /// This path answers so.
    pub(crate) raw: Option<(&'static str, u16, String)>,
    /// All bearers are refused.
    pub(crate) refuse_bearers: bool,
    /// Owner of the tenant that answers.
    pub(crate) tenant: Option<&'static str>,
    /// People's account state is empty.
    pub(crate) hide_accounts: bool,
}

pub(crate) struct Microsoft {
    pub(crate) port: u16,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) tokens: Mutex<u32>,
    pub(crate) paths: Mutex<Vec<String>>,
    throttled: Mutex<BTreeMap<String, u32>>,
    data: Mutex<BTreeMap<String, Vec<Value>>>,
}

impl Microsoft {
    pub(crate) async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            faults: Mutex::default(),
            tokens: Mutex::default(),
            paths: Mutex::default(),
            throttled: Mutex::default(),
            data: Mutex::new(estate()),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&this));
        tokio::spawn(async move { axum::serve(listener, app).await });
        this
    }

    /// Adds what only the second collection revision asks for.
    pub(crate) fn extend(&self) {
        let mut data = self.data.lock().unwrap();
        data.extend(second_revision());
        // The vendor publishes no id of two of the permissions: only the tenant's own Graph tells it.
        let named = [(id('f', 11), "AgentIdentity.Read.All"), (id('f', 12), "AgentIdentityBlueprint.Read.All")];
        let graph = data.get_mut("/servicePrincipals").unwrap().iter_mut().find(|sp| sp["id"] == id('b', 5)).unwrap();
        for (role, value) in &named {
            let offered = json!({"id": role, "value": value, "allowedMemberTypes": ["Application"]});
            graph["appRoles"].as_array_mut().unwrap().push(offered);
        }
        let held = data.get_mut(&format!("/servicePrincipals/{}/appRoleAssignments", id('b', 9))).unwrap();
        let roles = [named[0].0.as_str(), &named[1].0, "b0afded3-3588-46d8-8b3d-9842eff778da"];
        held.extend(
            roles.map(|role| json!({"id": format!("own-{role}"), "appRoleId": role, "resourceId": id('b', 5)})),
        );
    }

    pub(crate) fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
        self.throttled.lock().unwrap().clear();
        *self.tokens.lock().unwrap() = 0;
        self.paths.lock().unwrap().clear();
    }

    /// Turns every list around: the order of answers must not matter.
    pub(crate) fn shuffle(&self) {
        self.data.lock().unwrap().values_mut().for_each(|list| list.reverse());
    }

    fn graph(&self, path: &str, query: &str) -> (u16, Value, Option<&'static str>) {
        let faults = self.faults.lock().unwrap().clone();
        self.paths.lock().unwrap().push(path.to_owned());
        let mut seen = self.throttled.lock().unwrap();
        let seen = seen.entry(format!("{path}?{query}")).or_default();
        if *seen < faults.throttle {
            *seen += 1;
            return (429, json!({"error": {"code": "TooManyRequests", "message": CANARY}}), faults.retry_after);
        }
        if faults.deny.iter().any(|denied| path.starts_with(denied)) {
            let error = json!({"error": {"code": "Authorization_RequestDenied", "message": CANARY}});
            return (403, error, None);
        }
        if faults.refuse_expand && query.contains("$expand") {
            return (400, json!({"error": {"code": "BadRequest", "message": CANARY}}), None);
        }
        let single = path.strip_prefix("/servicePrincipals(appId='").is_some()
            || path == "/policies/defaultAppManagementPolicy"
            || path.starts_with("/directory/")
            || (path.starts_with("/groups/") && !path.contains("/transitiveMembers/"));
        if single {
            let found = self.data.lock().unwrap().get(path).and_then(|list| list.first().cloned());
            return found
                .map_or((404, json!({"error": {"code": "Request_ResourceNotFound"}}), None), |v| (200, v, None));
        }
        (200, self.list(&faults, path, query), None)
    }

    fn list(&self, faults: &Faults, path: &str, query: &str) -> Value {
        let expand = query.split('&').find_map(|pair| pair.strip_prefix("$expand="));
        let key = expand.map_or(path.to_owned(), |e| format!("{path}+{}", e.split('(').next().unwrap()));
        let mut all = self.data.lock().unwrap().get(&key).cloned().unwrap_or_default();
        if path == "/organization" {
            all[0]["id"] = json!(faults.tenant.unwrap_or(TENANT));
        }
        if path == "/users" {
            let wanted = query.replace("%27", "'");
            all.retain(|user| wanted.contains(user["id"].as_str().unwrap()));
            if faults.hide_accounts {
                for user in &mut all {
                    user["accountEnabled"] = Value::Null;
                }
            }
        }
        let at: usize = query.split("$skiptoken=").nth(1).map_or(0, |token| token.parse().unwrap());
        let page = 2;
        let mut body = json!({"value": all.iter().skip(at).take(page).collect::<Vec<_>>()});
        if query.contains("$count=true") {
            body["@odata.count"] = json!(all.len());
        }
        let more = at + page < all.len();
        let last_is_next = at + 2 * page >= all.len();
        let name = if expand.is_some() { "expanded" } else { path };
        let lost = faults.lose_last_page_of == Some(name) && last_is_next;
        if more && !lost {
            let kept = query.split("&$skiptoken").next().unwrap();
            let (version, path) = path.strip_prefix("/beta").map_or(("v1.0", path), |path| ("beta", path));
            let link = format!("http://127.0.0.1:{}/{version}{path}?{kept}&$skiptoken={}", self.port, at + page);
            body["@odata.nextLink"] = json!(link);
        }
        match &faults.next_link {
            Some((of, link)) if *of == path => body["@odata.nextLink"] = json!(link),
            _ => {}
        }
        body
    }

    fn batch(&self, version: &str, body: &[u8]) -> Value {
        let body: Value = serde_json::from_slice(body).unwrap();
        let responses: Vec<Value> = body["requests"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|request| {
                assert_eq!(request["method"], "GET");
                let (path, query) = split(request["url"].as_str().unwrap());
                if path.contains("/transitiveMembers/") {
                    assert_eq!(request["headers"]["ConsistencyLevel"], "eventual");
                }
                let (status, body, wait) = self.graph(&format!("{version}{path}"), query);
                let headers = wait.map_or(json!({}), |wait| json!({"Retry-After": wait}));
                json!({"id": request["id"], "status": status, "headers": headers, "body": body})
            })
            .collect();
        json!({ "responses": responses })
    }
}

fn split(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

async fn answer(
    State(this): State<Arc<Microsoft>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let faults = this.faults.lock().unwrap().clone();
    if uri.path().ends_with("/oauth2/v2.0/token") {
        return token(&this, &faults, &body);
    }
    // Paths of the newer version keep its name.
    let path = uri.path().strip_prefix("/v1.0").or(uri.path().starts_with("/beta/").then(|| uri.path())).unwrap_or("?");
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if faults.refuse_bearers || !bearer.starts_with("Bearer token-") {
        let error = json!({"error": {"code": "InvalidAuthenticationToken"}});
        return (StatusCode::UNAUTHORIZED, error.to_string()).into_response();
    }
    assert!(headers.contains_key("client-request-id"));
    assert_eq!(headers["x-ms-throttle-priority"], "Low");
    if let Some((_, status, body)) = faults.raw.as_ref().filter(|(of, ..)| *of == path) {
        return (StatusCode::from_u16(*status).unwrap(), [("location", "http://127.0.0.1:1/")], body.clone())
            .into_response();
    }
    if let Some(version) = path.strip_suffix("/$batch").filter(|_| method == Method::POST) {
        return this.batch(version, &body).to_string().into_response();
    }
    assert_eq!(method, Method::GET, "the connector reads only");
    let (status, body, wait) = this.graph(path, uri.query().unwrap_or_default());
    let mut response = (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert("retry-after", wait.parse().unwrap());
    }
    response
}

fn token(this: &Microsoft, faults: &Faults, body: &[u8]) -> Response {
    *this.tokens.lock().unwrap() += 1;
    if let Some((status, body)) = &faults.token {
        return (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
    }
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    assert_eq!(form["client_id"], CLIENT);
    assert_eq!(form["scope"], "https://graph.microsoft.com/.default");
    assert_eq!(form["grant_type"], "client_credentials");
    let good = form.get("client_secret").is_some_and(|s| s == SECRET)
        || form.get("client_assertion").is_some_and(|s| s == ASSERTION);
    if !good {
        return (StatusCode::UNAUTHORIZED, aadsts(7_000_215, "invalid_client")).into_response();
    }
    let count = *this.tokens.lock().unwrap();
    json!({"token_type": "Bearer", "expires_in": 3599, "access_token": format!("token-{count}")})
        .to_string()
        .into_response()
}

/// An error answer with the escapes that real ones have.
pub(crate) fn aadsts(code: u64, error: &str) -> String {
    let text = format!("AADSTS{code}: it's {CANARY} \"quoted\".\r\nTrace ID: 1\r\nTimestamp: 2026-01-01 00:00:00Z");
    json!({"error": error, "error_description": text, "error_codes": [code]}).to_string()
}

pub(crate) fn id(kind: char, n: u32) -> String {
    format!("{kind}{n:07}-0000-4000-8000-000000000000")
}

fn secret(n: u32, end: &str) -> Value {
    json!({"keyId": id('e', n), "displayName": NEVER, "hint": NEVER, "secretText": NEVER, "customKeyIdentifier": null,
        "startDateTime": "2020-01-01T00:00:00Z", "endDateTime": end})
}

fn application(n: u32, app_id: &str, passwords: &[Value]) -> Value {
    json!({"id": id('a', n), "appId": app_id, "displayName": format!("{CANARY}-app-{n}"),
        "createdDateTime": "2019-09-17T19:10:35.2742618Z", "isDisabled": null, "disabledByMicrosoftStatus": null,
        "serviceManagementReference": null, "servicePrincipalLockConfiguration": {"isEnabled": true, "allProperties": true},
        "passwordCredentials": passwords, "keyCredentials": [], "notes": NEVER})
}

fn principal(n: u32, app_id: &str, kind: &str, home: Option<&str>) -> Value {
    json!({"id": id('b', n), "appId": app_id, "displayName": format!("{CANARY}-sp-{n}"), "accountEnabled": true,
        "disabledByMicrosoftStatus": null, "servicePrincipalType": kind, "appOwnerOrganizationId": home,
        "preferredTokenSigningKeyThumbprint": null, "passwordCredentials": [], "keyCredentials": [], "appRoles": []})
}

fn owner(kind: &str, id: &str) -> Value {
    json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": id, "displayName": NEVER})
}

pub(crate) const WRITE_ROLE: &str = "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9";
pub(crate) const GLOBAL_ADMIN: &str = "62e90394-69f5-4237-9190-012177145e10";
const MICROSOFT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

#[allow(clippy::too_many_lines, reason = "a table")]
fn estate() -> BTreeMap<String, Vec<Value>> {
    let app_ids: Vec<String> = (1..=4).map(|n| id('c', n)).collect();
    let many: Vec<Value> = (100..125).map(|n| owner("user", &id('d', n))).collect();
    let mut saml = principal(3, &id('9', 3), "Application", Some(MICROSOFT));
    saml["keyCredentials"] = json!([
        {"keyId": id('e', 31), "type": "X509CertAndPassword", "usage": "Sign", "customKeyIdentifier": "AB", "key": NEVER, "endDateTime": "2027-01-01T00:00:00Z"},
        {"keyId": id('e', 32), "type": "AsymmetricX509Cert", "usage": "Verify", "customKeyIdentifier": "ab", "key": NEVER, "endDateTime": "2027-01-01T00:00:00Z"}]);
    saml["passwordCredentials"] = json!([{"keyId": id('e', 33), "customKeyIdentifier": "AB", "endDateTime": null}]);
    let mut managed = principal(4, &id('9', 4), "ManagedIdentity", None);
    managed["keyCredentials"] =
        json!([{"keyId": id('e', 41), "usage": "Verify", "endDateTime": "2026-12-20T08:11:00Z"}]);
    let mut graph = principal(5, "00000003-0000-0000-c000-000000000000", "Application", Some(MICROSOFT));
    let needed = [
        "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
        "df021288-bdef-4463-88db-98f22de89214",
        "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
        "498476ce-e0fe-48b0-b801-37ba7e2685c6",
    ];
    graph["appRoles"] = json!([
        {"id": WRITE_ROLE, "value": "Application.ReadWrite.All", "allowedMemberTypes": ["Application"]},
        {"id": id('f', 1), "value": "People.Only", "allowedMemberTypes": ["User"]}]);
    let mut roles = vec![
        json!({"id": "own-1", "appRoleId": WRITE_ROLE, "resourceId": id('b', 5), "createdDateTime": "2025-11-03T09:00:00.1234567Z"}),
    ];
    roles.extend(
        needed
            .iter()
            .skip(1)
            .map(|role| json!({"id": format!("own-{role}"), "appRoleId": role, "resourceId": id('b', 5)})),
    );
    roles.push(json!({"id": "own-2", "appRoleId": "7ab1d382-f21e-4acd-a863-ba3e13f7da61", "resourceId": id('b', 5), "createdDateTime": "2024-02-01T08:00:00Z"}));
    // Plain access to the resource, no permission.
    roles.push(json!({"id": "own-3", "appRoleId": "00000000-0000-0000-0000-000000000000", "resourceId": id('b', 5), "createdDateTime": "2020-01-01T00:00:00Z"}));
    let assigned = |n: u32, kind: &str, role: &str| {
        json!({"id": format!("assigned-{n}"), "appRoleId": role, "principalId": id('b', n), "principalType": kind,
            "principalDisplayName": NEVER, "resourceId": id('b', 5), "createdDateTime": "2021-02-02T04:22:45.9480566Z"})
    };
    let user = |n: u32, enabled: bool| {
        json!({"id": id('d', n), "userPrincipalName": format!("{CANARY}{n}@example.com"), "accountEnabled": enabled,
            "userType": "Member", "jobTitle": NEVER})
    };
    let mut users = vec![user(1, true), user(2, false), user(3, true), user(50, true)];
    users.extend((100..125).map(|n| user(n, true)));
    let fic = json!({"id": id('0', 1), "name": NEVER, "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:contoso/payments:ref:refs/heads/main", "audiences": ["api://AzureADTokenExchange"]});
    let owned =
        |n: u32, owners: &[Value]| json!({"id": id('a', n), "owners": owners.iter().take(20).collect::<Vec<_>>()});
    let sp_owned = |n: u32, owners: &[Value]| json!({"id": id('b', n), "owners": owners});
    [
        ("/organization", vec![json!({"id": TENANT, "displayName": format!("{CANARY} Inc.")})]),
        ("/applications", vec![
            application(1, &app_ids[0], &[secret(1, "2299-12-30T12:00:00Z")]),
            application(2, &app_ids[1], &[]),
            application(3, &app_ids[2], &[secret(3, "2024-01-01T00:00:00Z")]),
            application(9, CLIENT, &[secret(91, "2026-06-01T00:00:00Z"), secret(92, "2025-01-01T00:00:00Z")]),
        ]),
        ("/applications+owners", vec![
            owned(1, &[owner("user", &id('d', 1)), owner("user", &id('d', 2)), owner("servicePrincipal", &id('b', 4))]),
            owned(2, &[owner("user", &id('d', 7)), owner("device", &id('d', 8))]),
            owned(3, &many),
            owned(9, &[]),
        ]),
        (&format!("/applications/{}/owners", id('a', 3)), many.clone()),
        ("/applications+federatedIdentityCredentials", [1, 2, 3, 9].iter().map(|n| {
            json!({"id": id('a', *n), "federatedIdentityCredentials": if *n == 2 { vec![fic.clone()] } else { vec![] }})
        }).collect()),
        (&format!("/applications/{}/federatedIdentityCredentials", id('a', 2)), vec![fic.clone()]),
        ("/servicePrincipals", vec![
            principal(1, &app_ids[0], "Application", Some(TENANT)),
            principal(2, &app_ids[1], "Application", Some(TENANT)),
            saml, managed, graph,
            principal(9, CLIENT, "Application", Some(TENANT)),
        ]),
        ("/servicePrincipals+owners", vec![
            sp_owned(1, &[owner("user", &id('d', 3))]), sp_owned(2, &[]), sp_owned(3, &[]), sp_owned(4, &[]),
            sp_owned(5, &[]), sp_owned(9, &[]),
        ]),
        (&format!("/servicePrincipals(appId='{CLIENT}')"), vec![json!({"id": id('b', 9), "appId": CLIENT})]),
        (&format!("/servicePrincipals/{}/appRoleAssignments", id('b', 9)), roles),
        (&format!("/servicePrincipals/{}/appRoleAssignedTo", id('b', 5)), vec![
            assigned(1, "ServicePrincipal", WRITE_ROLE),
            assigned(2, "User", WRITE_ROLE),
            assigned(3, "ServicePrincipal", "00000000-0000-0000-0000-000000000000"),
            assigned(6, "Group", WRITE_ROLE),
        ]),
        ("/users", users),
        (&format!("/directory/deletedItems/{}", id('d', 7)), vec![json!({"id": id('d', 7), "deletedDateTime": "2025-10-26T16:56:36Z"})]),
        ("/roleManagement/directory/roleDefinitions", vec![
            json!({"id": GLOBAL_ADMIN, "templateId": GLOBAL_ADMIN}),
            json!({"id": id('f', 7), "templateId": id('f', 8)}),
        ]),
        ("/roleManagement/directory/roleAssignments", vec![
            json!({"id": "r-1", "principalId": id('b', 1), "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/"}),
            json!({"id": "r-2", "principalId": id('b', 2), "roleDefinitionId": id('f', 7), "directoryScopeId": format!("/administrativeUnits/{}", id('f', 9))}),
            json!({"id": "r-3", "principalId": id('d', 1), "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/"}),
            json!({"id": "r-4", "principalId": id('b', 6), "roleDefinitionId": id('f', 7), "directoryScopeId": "/"}),
            json!({"id": "r-5", "principalId": id('d', 50), "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/"}),
        ]),
    ]
    .into_iter()
    .map(|(path, list)| (path.to_owned(), list))
    .collect()
}

/// The application id of a blueprint, and the audit log's description of a key.
pub(crate) const BLUEPRINT: &str = "c0000002-0000-4000-8000-000000000000";
const KEY_ADDED: &str = "[\"[KeyIdentifier=e0000001-0000-4000-8000-000000000000,KeyType=Password,KeyUsage=Verify,DisplayName=never-kept]\"]";

#[allow(clippy::too_many_lines, reason = "a table")]
fn second_revision() -> BTreeMap<String, Vec<Value>> {
    let sign_in = |at: &str| json!({"lastSignInDateTime": at, "lastSignInRequestId": NEVER});
    let used = |resource: u32, at: &str| {
        json!({"id": format!("use-{resource}"), "appId": id('c', 1), "appObjectId": id('a', 1), "keyId": id('e', 1),
            "credentialOrigin": "application", "servicePrincipalObjectId": id('b', 1), "resourceId": id('b', resource),
            "signInActivity": sign_in(at)})
    };
    let sponsors = |kind: &str, n: u32| vec![owner(kind, &id('d', n))];
    let flexible = json!({"id": id('0', 2), "name": NEVER, "issuer": "https://token.actions.githubusercontent.com",
        "audiences": ["api://AzureADTokenExchange"]});
    let mut expressed = flexible.clone();
    expressed["claimsMatchingExpression"] =
        json!({"value": "claims['sub'] matches 'repo:contoso/*'", "languageVersion": 1});
    [
        ("/subscribedSkus".to_owned(), vec![json!({"capabilityStatus": "Enabled",
            "servicePlans": [{"servicePlanName": "AAD_PREMIUM_P2"}, {"servicePlanName": "EXCHANGE_S_STANDARD"}]})]),
        ("/applications+federatedIdentityCredentials".to_owned(), [1, 2, 3, 9].iter().map(|n| {
            json!({"id": id('a', *n), "federatedIdentityCredentials": if *n == 3 { vec![flexible.clone()] } else { vec![] }})
        }).collect()),
        (format!("/beta/applications/{}/federatedIdentityCredentials", id('a', 3)), vec![expressed]),
        ("/roleManagement/directory/roleEligibilityScheduleInstances".to_owned(), vec![
            json!({"id": "e-1", "principalId": id('b', 1), "roleDefinitionId": id('f', 7), "directoryScopeId": "/",
                "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": "2027-01-01T00:00:00Z", "memberType": "Direct"}),
            json!({"id": "e-2", "principalId": id('7', 1), "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/",
                "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": null}),
            json!({"id": "e-3", "principalId": id('d', 50), "roleDefinitionId": GLOBAL_ADMIN, "directoryScopeId": "/",
                "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": null}),
        ]),
        ("/roleManagement/directory/roleAssignmentScheduleInstances".to_owned(), vec![
            json!({"id": "s-1", "roleAssignmentOriginId": "r-1", "endDateTime": "2026-01-01T08:00:00Z", "principalId": id('b', 1)}),
            json!({"id": "s-2", "roleAssignmentOriginId": "r-2", "endDateTime": null}),
        ]),
        ("/policies/defaultAppManagementPolicy".to_owned(), vec![json!({"isEnabled": false, "displayName": NEVER})]),
        ("/oauth2PermissionGrants".to_owned(), vec![
            json!({"id": "g-1", "clientId": id('b', 1), "consentType": "AllPrincipals", "principalId": null,
                "resourceId": id('b', 5), "scope": "User.Read Group.ReadWrite.All"}),
        ]),
        (format!("/groups/{}", id('b', 6)), vec![json!({"id": id('b', 6), "displayName": format!("{CANARY}-group"),
            "isAssignableToRole": null, "securityEnabled": true})]),
        (format!("/groups/{}", id('7', 1)), vec![json!({"id": id('7', 1), "displayName": format!("{CANARY}-admins"),
            "isAssignableToRole": true, "securityEnabled": true})]),
        (format!("/groups/{}/transitiveMembers/microsoft.graph.servicePrincipal", id('7', 1)), vec![
            json!({"id": id('b', 1)}), json!({"id": id('b', 4)}), json!({"id": id('8', 1)}),
        ]),
        ("/servicePrincipals/microsoft.graph.agentIdentity".to_owned(), vec![
            json!({"id": id('8', 1), "displayName": format!("{CANARY}-agent"), "accountEnabled": true, "disabledByMicrosoftStatus": null,
                "createdDateTime": "2025-09-17T19:10:35Z", "agentIdentityBlueprintId": BLUEPRINT}),
        ]),
        (format!("/servicePrincipals/{}/owners", id('8', 1)), vec![owner("user", &id('d', 1))]),
        ("/applications/microsoft.graph.agentIdentityBlueprint".to_owned(), vec![
            json!({"id": id('a', 2), "appId": BLUEPRINT, "displayName": format!("{CANARY}-app-2")}),
        ]),
        (format!("/servicePrincipals/{}/microsoft.graph.agentIdentity/sponsors", id('8', 1)), sponsors("user", 100)),
        (format!("/applications/{}/microsoft.graph.agentIdentityBlueprint/sponsors", id('a', 2)), sponsors("group", 60)),
        ("/beta/reports/servicePrincipalSignInActivities".to_owned(), vec![
            json!({"id": "1", "appId": id('c', 1), "lastSignInActivity": sign_in("2025-12-01T00:00:00-8:00"),
                "applicationAuthenticationClientSignInActivity": sign_in("2025-11-01T00:00:00Z"),
                "delegatedClientSignInActivity": null}),
            json!({"id": "2", "appId": id('9', 99), "lastSignInActivity": sign_in("2025-12-01T00:00:00Z")}),
        ]),
        ("/beta/reports/appCredentialSignInActivities".to_owned(), vec![
            used(5, "2025-12-03T00:00:00Z"), used(4, "2025-12-05T00:00:00Z"), used(3, "2025-12-04T00:00:00Z"),
            json!({"id": "gone", "appObjectId": id('a', 1), "keyId": id('e', 99), "credentialOrigin": "application",
                "signInActivity": sign_in("2025-12-04T00:00:00Z")}),
        ]),
        ("/auditLogs/directoryAudits".to_owned(), vec![
            json!({"id": "audit-1", "activityDisplayName": "Update application \u{2013} Certificates and secrets management ",
                "activityDateTime": "2025-12-20T21:20:02.7215374Z", "result": "success",
                "initiatedBy": {"user": {"id": id('d', 101), "userPrincipalName": NEVER, "ipAddress": NEVER}, "app": null},
                "targetResources": [{"id": id('a', 1), "displayName": NEVER, "type": "Application", "modifiedProperties": [
                    {"displayName": "KeyDescription", "oldValue": "[]", "newValue": KEY_ADDED},
                    {"displayName": "Included Updated Properties", "oldValue": null, "newValue": NEVER}]}]}),
            json!({"id": "audit-2", "activityDisplayName": "Update application", "result": "success",
                "activityDateTime": "2025-12-20T21:20:02Z", "targetResources": []}),
        ]),
    ]
    .into_iter()
    .collect()
}

/// Keeps a snapshot in memory.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) parts: Arc<Mutex<Vec<Bytes>>>,
    pub(crate) manifest: Arc<Mutex<Option<Bytes>>>,
    pub(crate) refuse: Option<Reason>,
}

impl SnapshotSink for Kept {
    fn put_part(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), PutError>> {
        if let Some(reason) = self.refuse {
            return Box::pin(async move { Err(PutError { reason }) });
        }
        assert!(self.manifest.lock().unwrap().is_none(), "the manifest comes last");
        self.parts.lock().unwrap().push(bytes);
        Box::pin(async { Ok(()) })
    }

    fn put_manifest<'a>(&'a self, _: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), PutError>> {
        *self.manifest.lock().unwrap() = Some(bytes);
        Box::pin(async { Ok(()) })
    }
}

impl Kept {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let manifest = read_manifest(self.manifest.lock().unwrap().as_ref().expect("a manifest")).unwrap();
        let parts = self.parts.lock().unwrap();
        let mut parts = parts.iter();
        read_snapshot(manifest, |_| parts.next().map(AsRef::as_ref)).unwrap()
    }
}

/// Notes how long it was asked to wait and does not wait.
#[derive(Clone, Default)]
pub(crate) struct NoPause(pub Arc<Mutex<Vec<Duration>>>);

impl Pause for NoPause {
    fn pause(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(time);
        Box::pin(async {})
    }
}

pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) kept: Kept,
    pub(crate) pause: NoPause,
    pub(crate) stop: CancellationToken,
    pub(crate) request: ScanRequest,
    pub(crate) port: u16,
}

impl Scene {
    pub(crate) fn new(microsoft: &Microsoft) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("target"), format!("{}\n", TENANT.to_uppercase())).unwrap();
        std::fs::write(dir.path().join("clientSecret"), format!("{SECRET}\n")).unwrap();
        std::fs::write(dir.path().join("token"), ASSERTION).unwrap();
        Self {
            dir,
            kept: Kept::default(),
            pause: NoPause::default(),
            stop: CancellationToken::new(),
            request: request("00001767225600000-0a1b2c3d"),
            port: microsoft.port,
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports {
            endpoints: Endpoints::loopback(self.port),
            credential_dir: self.dir.path().to_owned(),
            federated_token: self.dir.path().join("token"),
            surroundings: sv0_scan::Surroundings::default(),
            sink: Box::new(self.kept.clone()),
            pause: Arc::new(self.pause.clone()),
            stop: self.stop.clone(),
            now: || "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }
}

pub(crate) fn request(scan_id: &str) -> ScanRequest {
    ScanRequest {
        namespace: "team-a".into(),
        instance: "contoso".into(),
        instance_uid: "11111111-2222-4333-8444-555555555555".into(),
        scan_id: scan_id.into(),
        source: Source::Entra { tenant_id: TENANT.into(), client_id: CLIENT.into(), cloud: MicrosoftCloud::Public },
        auth: Auth::ClientSecret,
        accepted_collection_revision: 1,
        deadline_seconds: 600,
        limits: Limits { max_response_bytes: 256 * 1024, max_pages: 50, ..Limits::default() },
        network: Network { private_hosts: vec!["127.0.0.1".into()], ..Network::default() },
        store: StoreAccess { url: "https://store.invalid".into(), ca_pem: String::new() },
    }
}
