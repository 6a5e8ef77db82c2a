//! A server on loopback and a client that takes it for the vendor.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use sv0_estate::estate::Estate;
use sv0_estate::keys::SigningKey;
use sv0_estate::server::{self, Options, Running};
use sv0_estate::tls::{Authority, HOSTS};

pub(crate) const TENANT: &str = "0b5a2f4e-1111-4222-8333-944455566677";
pub(crate) const SECRET: &str = "right~secret";
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const SUBJECT: &str = "system:serviceaccount:team:scan";
pub(crate) const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A small tenant. Besides the scanning application it has one with 23 owners, one with none, and `extra` more.
pub(crate) fn small(issuer: &SigningKey, permissions: &str, extra: usize) -> String {
    let owners: Vec<String> = (0..23).map(|index| format!("u{index:02}")).collect();
    let user = |key: &String| {
        let enabled = key != "u00";
        format!(
            "  - {{key: {key}, displayName: 'Person {key}', userPrincipalName: {key}@t.example, accountEnabled: {enabled}}}\n"
        )
    };
    let users = owners.iter().map(user).collect::<Vec<_>>().concat();
    let app = |index| format!("  - {{key: x{index:03}, displayName: 'Extra {index}'}}\n");
    let more = (0..extra).map(app).collect::<Vec<_>>().concat();
    format!(
        "tenant: {{id: {TENANT}, displayName: Small, verifiedDomains: [t.example]}}
operatorApp: scanner
issuers:
  - {{issuer: '{ISSUER}', jwks: {jwks}}}
users:
{users}applications:
  - key: scanner
    appId: aaaaaaaa-0000-4000-8000-000000000001
    displayName: Scanner
    passwordCredentials:
      - {{start: now-10d, end: now+10d, value: {SECRET}}}
      - {{start: now-20d, end: now-5d, value: old~secret}}
    federatedCredentials: [{{name: f, issuer: '{ISSUER}', subject: '{SUBJECT}'}}]
    servicePrincipal: {{graphPermissions: [{permissions}]}}
  - {{key: crowd, displayName: Crowd, owners: [{owners}], passwordCredentials: [{{start: now-1d, end: now+1d}}], servicePrincipal: {{owners: [u00]}}}}
  - {{key: nobody, displayName: Nobody, servicePrincipal: {{directoryRoles: [Global Administrator]}}}}
{more}",
        jwks = serde_json::to_string(&issuer.jwks()).unwrap(),
        owners = owners.join(", "),
    )
}

pub(crate) const ALL: &str =
    "Application.Read.All, User.Read.All, RoleManagement.Read.Directory, Organization.Read.All";
pub(crate) const CLIENT: &str = "aaaaaaaa-0000-4000-8000-000000000001";

pub(crate) struct World {
    pub(crate) server: Running,
    pub(crate) http: reqwest::Client,
    pub(crate) issuer: SigningKey,
}

pub(crate) async fn world(permissions: &str, extra: usize) -> World {
    let issuer = SigningKey::generate().unwrap();
    let text = small(&issuer, permissions, extra);
    serve(&text, issuer, SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

pub(crate) fn provider() {
    // Another test of this process may have been first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

pub(crate) async fn serve(text: &str, issuer: SigningKey, listen: SocketAddr) -> Result<World, server::StartError> {
    provider();
    let estate = Estate::parse(text, Timestamp::now()).unwrap();
    let authority = Authority::generate().unwrap();
    let server = server::start(estate, &authority, Options { listen, ..Options::default() }).await?;
    let ca = reqwest::Certificate::from_pem(server.ca_pem().as_bytes()).unwrap();
    let mut http =
        reqwest::Client::builder().tls_certs_only([ca]).no_proxy().redirect(reqwest::redirect::Policy::none());
    for host in HOSTS {
        http = http.resolve(host, server.address);
    }
    let http = http.build().unwrap();
    Ok(World { server, http, issuer })
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn rows(&self) -> &[Value] {
        self.body["value"].as_array().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn next(&self) -> Option<&str> {
        self.body["@odata.nextLink"].as_str()
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
}

impl World {
    pub(crate) async fn token_with(&self, tenant: &str, form: &[(&str, &str)]) -> Answer {
        let url = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        read(self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }

    /// Token request with a secret; `change` replaces or removes (empty) fields.
    pub(crate) async fn token_changed(&self, tenant: &str, change: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("client_id", CLIENT),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        for (key, value) in change {
            form.retain(|(name, _)| name != key);
            form.push((key, value));
        }
        self.token_with(tenant, &form).await
    }

    pub(crate) async fn assertion(&self, claims: &Value) -> Answer {
        let token = self.issuer.sign(claims).unwrap();
        self.assertion_text(&token).await
    }

    pub(crate) async fn assertion_text(&self, token: &str) -> Answer {
        let form = [
            ("client_secret", ""),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", token),
        ];
        self.token_changed(TENANT, &form).await
    }

    pub(crate) async fn token(&self) -> String {
        let answer = self.token_changed(TENANT, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.get_url(token, &format!("https://graph.microsoft.com/v1.0/{path}")).await
    }

    pub(crate) async fn get_url(&self, token: &str, url: &str) -> Answer {
        read(self.http.get(url).bearer_auth(token)).await
    }

    pub(crate) async fn eventual(&self, token: &str, path: &str) -> Answer {
        let url = format!("https://graph.microsoft.com/v1.0/{path}");
        read(self.http.get(url).bearer_auth(token).header("ConsistencyLevel", "eventual")).await
    }

    pub(crate) async fn batch(&self, token: &str, urls: &[String]) -> Answer {
        let requests: Vec<Value> = urls
            .iter()
            .enumerate()
            .map(|(id, url)| json!({"id": id.to_string(), "method": "GET", "url": url}))
            .collect();
        let body = json!({ "requests": requests });
        read(self.http.post("https://graph.microsoft.com/v1.0/$batch").bearer_auth(token).json(&body)).await
    }

    pub(crate) async fn admin(&self, path: &str, body: &Value) -> String {
        let url = format!("http://{}{path}", self.server.admin);
        self.http.post(url).body(body.to_string()).send().await.unwrap().text().await.unwrap()
    }

    /// All rows, following every next link.
    pub(crate) async fn all(&self, token: &str, path: &str) -> (Vec<Value>, usize) {
        let mut answer = self.get(token, path).await;
        let (mut rows, mut pages) = (Vec::new(), 0);
        loop {
            assert_eq!(answer.status, 200, "{}", answer.body);
            rows.extend(answer.rows().iter().cloned());
            pages += 1;
            let Some(next) = answer.next().map(str::to_owned) else { return (rows, pages) };
            answer = self.get_url(token, &next).await;
        }
    }
}

pub(crate) fn aadsts(answer: &Answer) -> u64 {
    answer.body["error_codes"][0].as_u64().unwrap_or_default()
}
