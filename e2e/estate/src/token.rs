//! The authority (login.microsoftonline.com and its like in other clouds): the token endpoint and the discovery documents that the vendor's clients read first.
//!
//! Secrets and assertions are really verified. What a client may do with its token is decided by Graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::aadsts::TokenError;
use crate::certificate::{self, Certificate, Fault};
use crate::cloud::Cloud;
use crate::issuers::{AssertionError, Issuers};
use crate::reference::{GRAPH_APP_ID, GRAPH_KEY};
use crate::spec::{FederatedCredential, Issuer, KeyCredential, PasswordCredential};
use crate::state::State;
use crate::wire;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const MAX_FORM_BYTES: usize = 64 * 1024;

/// Answers a request to the authority.
pub(crate) async fn handle(state: &Arc<State>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().trim_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => {
            let tenant = (*tenant).to_owned();
            token(state, &tenant, request).await
        }
        (&Method::GET, ["common", "discovery", "instance"]) => wire::json(StatusCode::OK, &instance_discovery(state)),
        (
            &Method::GET,
            [tenant, ".well-known", "openid-configuration"] | [tenant, "v2.0", ".well-known", "openid-configuration"],
        ) => openid_configuration(state, tenant),
        (&Method::GET, [_, "discovery", "v2.0", "keys"]) => wire::json(StatusCode::OK, &json!(state.signing.jwks())),
        _ => wire::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
    }
}

fn cloud(state: &State) -> Cloud {
    state.estate().file.tenant.cloud
}

fn instance_discovery(state: &State) -> Value {
    let authority = cloud(state).authority();
    json!({
        "tenant_discovery_endpoint": format!("{authority}/common/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": "login.microsoftonline.com",
            "preferred_cache": "login.windows.net",
            "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
        }],
    })
}

fn openid_configuration(state: &State, tenant: &str) -> Response<Body> {
    let id = match tenant {
        "common" | "organizations" => "{tenantid}".to_owned(),
        tenant => match known_tenant(state, tenant) {
            Ok(id) => id,
            Err(error) => return refuse(state, &error, Uuid::new_v4()),
        },
    };
    let authority = cloud(state).authority();
    let base = format!("{authority}/{tenant}");
    wire::json(
        StatusCode::OK,
        &json!({
            "issuer": format!("{authority}/{id}/v2.0"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["pairwise"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": Cloud::host(cloud(state).graph()),
        }),
    )
}

async fn token(state: &Arc<State>, tenant: &str, request: Request<Body>) -> Response<Body> {
    let host = wire::header(&request, "host").and_then(|host| host.split(':').next()).unwrap_or_default().to_owned();
    let correlation = wire::header_uuid(&request, "client-request-id").unwrap_or_else(Uuid::new_v4);
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_FORM_BYTES).await else {
        return refuse(state, &TokenError::parameter_missing("grant_type"), correlation);
    };
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let client = form.get("client_id").cloned().unwrap_or_default();
    *state.counters().token_requests.entry(client).or_default() += 1;
    // Taken before anything is said: the answer tells the time, which a fault may put off.
    let fault = state.faults().strike("token");
    if let Some(fault) = fault {
        let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let code = fault.code.as_deref().and_then(|code| code.trim_start_matches("AADSTS").parse().ok());
        return refuse(state, &TokenError::injected(status, code, fault.retry_after), correlation);
    }
    if host != Cloud::host(cloud(state).authority()) {
        return refuse(state, &TokenError::wrong_cloud(), correlation);
    }
    match issue(state, tenant, &form).await {
        Ok(body) => wire::json(StatusCode::OK, &body),
        Err(error) => refuse(state, &error, correlation),
    }
}

fn refuse(state: &State, error: &TokenError, correlation: Uuid) -> Response<Body> {
    *state.counters().token_errors.entry(error.code.to_string()).or_default() += 1;
    let mut response = wire::json(error.status, &error.body(state.now(), correlation));
    wire::set(&mut response, "x-ms-request-id", &Uuid::new_v4().to_string());
    if let Some(seconds) = error.retry_after {
        wire::set(&mut response, "retry-after", &seconds.to_string());
    }
    response
}

/// The tenant's id, if the name in the path stands for it.
fn known_tenant(state: &State, name: &str) -> Result<String, TokenError> {
    let estate = state.estate();
    let tenant = &estate.file.tenant;
    if name.eq_ignore_ascii_case(&tenant.id)
        || tenant.verified_domains.iter().any(|domain| name.eq_ignore_ascii_case(domain))
    {
        return Ok(tenant.id.clone());
    }
    if Uuid::parse_str(name).is_ok() || name.contains('.') {
        return Err(TokenError::tenant_not_found(name));
    }
    Err(TokenError::tenant_malformed(name))
}

/// What the token endpoint knows of a client, copied out of the estate so that no lock is held while keys are fetched.
struct Client {
    app_id: String,
    secrets: Vec<PasswordCredential>,
    certificates: Vec<KeyCredential>,
    federated: Vec<FederatedCredential>,
    service_principal: Option<(String, String)>,
}

fn find_client(state: &State, tenant: &str, app_id: &str) -> Result<Client, TokenError> {
    let estate = state.estate();
    let app = estate.application_by_app_id(app_id);
    let sp = estate.service_principal_by_app_id(app_id);
    if app.is_none() && sp.is_none() {
        return Err(TokenError::app_not_in_tenant(app_id, tenant));
    }
    if app.is_some_and(|app| app.is_disabled) || sp.is_some_and(|sp| sp.disabled || sp.is_disabled) {
        return Err(TokenError::app_disabled(app_id));
    }
    let of_app = app.map_or(&[][..], |app| app.password_credentials.as_slice());
    let of_sp = sp.map_or(&[][..], |sp| sp.password_credentials.as_slice());
    let keys_of_app = app.map_or(&[][..], |app| app.key_credentials.as_slice());
    let keys_of_sp = sp.map_or(&[][..], |sp| sp.key_credentials.as_slice());
    let federated_here = app.map_or(&[][..], |app| app.federated_credentials.as_slice());
    let federated_at_home = sp.map_or(&[][..], |sp| sp.federated_credentials.as_slice());
    Ok(Client {
        app_id: app_id.to_owned(),
        secrets: of_app.iter().chain(of_sp).cloned().collect(),
        certificates: keys_of_app.iter().chain(keys_of_sp).filter(|key| key.usage == "Verify").cloned().collect(),
        federated: federated_here.iter().chain(federated_at_home).cloned().collect(),
        service_principal: sp.map(|sp| (sp.id.clone(), sp.display_name.clone())),
    })
}

async fn issue(state: &Arc<State>, tenant: &str, form: &BTreeMap<String, String>) -> Result<Value, TokenError> {
    let tenant = known_tenant(state, tenant)?;
    let field = |name: &'static str| form.get(name).filter(|text| !text.is_empty());
    let required = |name: &'static str| field(name).ok_or_else(|| TokenError::parameter_missing(name));
    let grant = required("grant_type")?;
    if grant != "client_credentials" {
        return Err(TokenError::grant_unsupported(grant));
    }
    let client = find_client(state, &tenant, required("client_id")?)?;
    match (field("client_secret"), field("client_assertion")) {
        (Some(secret), _) => check_secret(state, &client, secret)?,
        (None, Some(assertion)) => {
            if field("client_assertion_type").map(String::as_str) != Some(JWT_BEARER) {
                return Err(TokenError::parameter_missing("client_assertion_type"));
            }
            check_assertion(state, &client, assertion, &tenant).await?;
        }
        (None, None) => return Err(TokenError::credential_missing()),
    }
    let scope = required("scope")?;
    let Some((sp_id, name)) = &client.service_principal else {
        return Err(TokenError::service_principal_missing(&client.app_id, &tenant));
    };
    let audience = resource(state, scope, &tenant)?;
    access_token(state, &tenant, &audience, (&client.app_id, sp_id, name))
}

fn check_secret(state: &State, client: &Client, offered: &str) -> Result<(), TokenError> {
    let now = state.now();
    let estate = state.estate();
    let now = estate.file.clock.unwrap_or(now);
    let mut expired = false;
    for secret in &client.secrets {
        if secret.value.as_ref().is_some_and(|value| value.matches(offered)) {
            if estate.instant(secret.start) <= now && now < estate.instant(secret.end) {
                return Ok(());
            }
            expired = true;
        }
    }
    Err(if expired { TokenError::secret_expired(&client.app_id) } else { TokenError::secret_invalid(&client.app_id) })
}

/// An assertion that the application made itself, with the key of a certificate that is registered on it.
fn check_certificate(state: &State, client: &Client, assertion: &str, tenant: &str) -> Result<(), TokenError> {
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| TokenError::assertion_malformed())?;
    let claims = Issuers::peek(assertion).map_err(|_| TokenError::assertion_malformed())?;
    let refuse = |reason: &str| TokenError::certificate(reason, &certificate::named(&header), &client.app_id);
    let registered = client.certificates.iter().find_map(|key| {
        let certificate = Certificate::read(key.certificate_pem.as_deref()?)?;
        certificate.is_named_by(&header).then_some((key, certificate))
    });
    let (key, certificate) = registered.ok_or_else(|| refuse("The key was not found."))?;
    let now = state.now();
    {
        let estate = state.estate();
        let now = estate.file.clock.unwrap_or(now);
        if now < estate.instant(key.start) || estate.instant(key.end) <= now {
            return Err(refuse("The key used is expired."));
        }
    }
    certificate.verify(assertion, header.alg, now).map_err(|fault| match fault {
        Fault::Signature => refuse("The key was found, but use of the key to verify the signature failed."),
        Fault::Time => TokenError::assertion_time(),
    })?;
    if claims.sub != client.app_id {
        return Err(TokenError::assertion_subject());
    }
    let base = format!("{}/{tenant}", cloud(state).authority());
    if ![format!("{base}/oauth2/v2.0/token"), format!("{base}/v2.0")].iter().any(|one| claims.aud.contains(one)) {
        return Err(TokenError::assertion_audience());
    }
    Ok(())
}

/// The tenant's own token service, whose tokens for managed identities may stand in for an application's credential.
pub(crate) fn own_issuer(state: &State) -> Issuer {
    Issuer {
        issuer: format!("{}/{}/v2.0", cloud(state).authority(), state.estate().tenant_id()),
        jwks: Some(json!(state.signing.jwks())),
        jwks_file: None,
        jwks_url: None,
        ca_file: None,
        token_file: None,
    }
}

async fn check_assertion(state: &Arc<State>, client: &Client, assertion: &str, tenant: &str) -> Result<(), TokenError> {
    let claims = Issuers::peek(assertion).map_err(|_| TokenError::assertion_malformed())?;
    if claims.iss == client.app_id {
        return check_certificate(state, client, assertion, tenant);
    }
    let mut same_issuer = Vec::new();
    for credential in &client.federated {
        if state.issuers.resolve(&credential.issuer).await == claims.iss {
            same_issuer.push(credential);
        }
    }
    if same_issuer.is_empty() {
        return Err(TokenError::federation_mismatch(700_211, "issuer", &claims.iss));
    }
    same_issuer.retain(|credential| credential.subject == claims.sub);
    if same_issuer.is_empty() {
        return Err(TokenError::federation_mismatch(700_213, "subject", &claims.sub));
    }
    if !same_issuer.iter().any(|credential| claims.aud.contains(&credential.audience)) {
        return Err(TokenError::federation_mismatch(700_212, "audience", &claims.aud.shown()));
    }
    let mut known = state.estate().file.issuers.clone();
    known.push(own_issuer(state));
    state.issuers.verify(assertion, &claims.iss, &known, state.now()).await.map_err(|error| match error {
        AssertionError::Malformed => TokenError::assertion_malformed(),
        AssertionError::Signature => TokenError::assertion_signature(),
        AssertionError::Time => TokenError::assertion_time(),
        AssertionError::KeysUnreachable => TokenError::issuer_unreachable(&claims.iss),
    })
}

/// The audience that a scope asks for.
fn resource(state: &State, scope: &str, tenant: &str) -> Result<String, TokenError> {
    let Some(resource) = scope.strip_suffix("/.default") else { return Err(TokenError::scope_invalid(scope)) };
    let graph = cloud(state).graph();
    if resource.trim_end_matches('/') == graph || resource == GRAPH_APP_ID {
        return Ok(graph.to_owned());
    }
    let estate = state.estate();
    let app_id = resource.strip_prefix("api://").unwrap_or(resource);
    match estate.service_principal_by_app_id(app_id) {
        Some(sp) if sp.key != GRAPH_KEY => Ok(resource.to_owned()),
        _ => Err(TokenError::resource_unknown(resource, tenant)),
    }
}

/// An access token of a service principal for an audience.
pub(crate) fn access_token(
    state: &State,
    tenant: &str,
    audience: &str,
    (app_id, sp_id, name): (&str, &str, &str),
) -> Result<Value, TokenError> {
    let (lifetime, roles) = {
        let estate = state.estate();
        let roles = if audience == estate.file.tenant.cloud.graph() { estate.graph_roles(sp_id) } else { Vec::new() };
        (estate.file.server.token_lifetime_seconds, roles)
    };
    let now = Timestamp::now().as_second();
    let issuer = format!("https://sts.windows.net/{tenant}/");
    let mut claims = json!({
        "aud": audience, "iss": issuer, "iat": now, "nbf": now, "exp": now + lifetime,
        "app_displayname": name, "appid": app_id, "appidacr": "1", "idp": issuer, "idtyp": "app",
        "oid": sp_id, "sub": sp_id, "tid": tenant, "uti": Uuid::new_v4().simple().to_string(), "ver": "1.0",
    });
    if !roles.is_empty() {
        claims["roles"] = json!(roles);
    }
    let token = state
        .signing
        .sign(&claims)
        .map_err(|_| TokenError::injected(StatusCode::INTERNAL_SERVER_ERROR, Some(90033), None))?;
    Ok(json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}))
}
