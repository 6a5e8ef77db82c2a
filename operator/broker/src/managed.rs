//! Managed identity: asks the place beside the workload (the instance metadata service of a machine, or the identity
//! endpoint of App Service and Container Apps) for a token of the identity that the platform attached.
//!
//! Takes what the environment says of that place. May not: go through a proxy, ask an address that is not of this
//! machine, or be used at all where the order does not allow it (the broker sees to that).

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sv0_connector::{NetworkPolicy, Secret, client};
use sv0_protocol::Reason;
use url::{Host, Url};

use crate::aadsts::{Verdict, code_in, of_code, vendor_code};

/// The instance metadata service, the same on every machine of Azure.
const INSTANCE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// Time for one answer: it comes from the same machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// While the service is updated it answers 410, for up to 70 seconds.
const UPDATE: Duration = Duration::from_secs(70);

/// What the pod's environment says of Azure. Its debug form hides the header.
#[derive(Clone, Default)]
pub struct Surroundings {
    instance: Option<Url>,
    endpoint: Option<String>,
    header: Option<Arc<Secret>>,
    token_proxy: bool,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("endpoint", &self.endpoint)
            .field("token_proxy", &self.token_proxy)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Reads the environment through `variable`.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            instance: None,
            endpoint: set("IDENTITY_ENDPOINT"),
            header: set("IDENTITY_HEADER").map(|header| Arc::new(Secret::new(header))),
            token_proxy: set("AZURE_KUBERNETES_TOKEN_PROXY").is_some(),
        }
    }

    /// With a stand-in inside this machine for the instance metadata service, for tests.
    #[must_use]
    pub fn with_loopback(mut self, port: u16) -> Self {
        self.instance = Url::parse(&format!("http://127.0.0.1:{port}/metadata/identity/oauth2/token")).ok();
        self
    }

    /// Whether the cluster exchanges tokens through a proxy of its own (identity bindings of AKS).
    pub(crate) fn token_proxy(&self) -> bool {
        self.token_proxy
    }
}

/// The place that gives tokens of managed identities.
pub(crate) struct Metadata {
    http: reqwest::Client,
    address: Url,
    version: &'static str,
    headers: HeaderMap,
}

impl Metadata {
    /// Prepares; sends nothing.
    pub(crate) fn new(surroundings: &Surroundings) -> Result<Self, Reason> {
        let (address, version, headers) = match (&surroundings.endpoint, &surroundings.header) {
            (Some(endpoint), Some(header)) => (beside(endpoint)?, "2019-08-01", app_service(header)?),
            // Azure Arc and others announce themselves so; they speak other protocols.
            (Some(_), None) => return Err(Reason::ManagedIdentityUnreachable),
            (None, _) => {
                let built_in = || Url::parse(INSTANCE).map_err(|_| Reason::InternalError);
                let address = surroundings.instance.clone().map_or_else(built_in, Ok)?;
                (address, "2018-02-01", HeaderMap::from_iter([(METADATA, HeaderValue::from_static("true"))]))
            }
        };
        let policy = NetworkPolicy {
            trusted_ca_pem: None,
            private_hosts: address.host_str().map(str::to_owned).into_iter().collect(),
            proxy: None,
        };
        let http = client(&policy, &[&address]).map_err(|_| Reason::NetworkNotAllowed)?;
        Ok(Self { http, address, version, headers })
    }

    /// The question for one token.
    pub(crate) fn request(&self, resource: &str, client_id: &str) -> reqwest::RequestBuilder {
        let mut address = self.address.clone();
        address
            .query_pairs_mut()
            .append_pair("api-version", self.version)
            .append_pair("resource", resource)
            .append_pair("client_id", client_id);
        self.http.get(address).headers(self.headers.clone()).timeout(TIMEOUT)
    }
}

const METADATA: HeaderName = HeaderName::from_static("metadata");

fn app_service(header: &Secret) -> Result<HeaderMap, Reason> {
    let mut value = HeaderValue::from_str(header.expose()).map_err(|_| Reason::ManagedIdentityUnreachable)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(HeaderName::from_static("x-identity-header"), value)]))
}

/// The address, if it is one of this machine: the header that goes there is worth a token.
fn beside(endpoint: &str) -> Result<Url, Reason> {
    let address = Url::parse(endpoint).map_err(|_| Reason::ManagedIdentityUnreachable)?;
    let near = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Some(Host::Ipv6(_)) | None => false,
    };
    let plain = address.username().is_empty() && address.password().is_none();
    let web = matches!(address.scheme(), "http" | "https");
    if near && plain && web { Ok(address) } else { Err(Reason::NetworkNotAllowed) }
}

/// Judges an answer that is no token, and says how long to wait at least before the next try.
pub(crate) fn judge(status: u16, body: &[u8]) -> (Verdict, Option<Duration>) {
    let code = code_in(body);
    let (reason, attempts) = match status {
        // What stands behind the endpoint may say more than that the question was wrong.
        400 => (code.and_then(of_code).unwrap_or(Reason::ManagedIdentityNotAssigned), 1),
        429 => (Reason::AuthThrottled, 3),
        404 | 410 | 500..=599 => (Reason::ManagedIdentityUnreachable, 3),
        300..=399 => (Reason::ResponseRefused, 1),
        _ => (Reason::ManagedIdentityUnreachable, 1),
    };
    let verdict = Verdict { reason, vendor_code: code.map(vendor_code), attempts };
    (verdict, (status == 410).then_some(UPDATE))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Surroundings {
        Surroundings::of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_machine_is_asked_at_the_well_known_address() {
        let metadata = Metadata::new(&environment(&[])).ok().unwrap();
        let request = metadata.request("https://graph.microsoft.com", "id").build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com&client_id=id"
        );
        assert_eq!(request.headers()["metadata"], "true");
        assert!(!request.headers().contains_key("x-identity-header"));
    }

    #[test]
    fn app_service_is_asked_with_its_header_which_is_never_shown() {
        let surroundings =
            environment(&[("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token"), ("IDENTITY_HEADER", "s3cret")]);
        assert!(!format!("{surroundings:?}").contains("s3cret"));
        let request = Metadata::new(&surroundings).ok().unwrap().request("api://x", "id").build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://localhost:42356/msi/token?api-version=2019-08-01&resource=api%3A%2F%2Fx&client_id=id"
        );
        assert_eq!(request.headers()["x-identity-header"], "s3cret");
        assert!(!format!("{:?}", request.headers()).contains("s3cret"));
    }

    #[rstest]
    #[case("http://127.0.0.1:41251/msi/token", None)]
    #[case("http://169.254.129.3:8081/msi/token", None)]
    #[case("http://[fe80::1]/msi/token", Some(Reason::NetworkNotAllowed))]
    #[case("https://attacker.example/msi/token", Some(Reason::NetworkNotAllowed))]
    #[case("http://10.0.0.1/msi/token", Some(Reason::NetworkNotAllowed))]
    #[case("http://localhost.attacker.example/", Some(Reason::NetworkNotAllowed))]
    #[case("http://localhost@attacker.example/", Some(Reason::NetworkNotAllowed))]
    #[case("http://user@localhost/", Some(Reason::NetworkNotAllowed))]
    #[case("file:///etc/passwd", Some(Reason::NetworkNotAllowed))]
    #[case("msi", Some(Reason::ManagedIdentityUnreachable))]
    fn the_header_goes_to_this_machine_only(#[case] endpoint: &str, #[case] reason: Option<Reason>) {
        let surroundings = environment(&[("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", "h")]);
        assert_eq!(Metadata::new(&surroundings).err(), reason);
    }

    #[test]
    fn other_protocols_are_not_guessed_at() {
        let arc = environment(&[("IDENTITY_ENDPOINT", "http://localhost:40342/metadata/identity/oauth2/token")]);
        assert_eq!(Metadata::new(&arc).err(), Some(Reason::ManagedIdentityUnreachable));
        let broken = environment(&[("IDENTITY_ENDPOINT", "http://localhost:1/"), ("IDENTITY_HEADER", "a\nb")]);
        assert_eq!(Metadata::new(&broken).err(), Some(Reason::ManagedIdentityUnreachable));
    }

    #[rstest]
    #[case(
        400,
        r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        Reason::ManagedIdentityNotAssigned,
        1
    )]
    #[case(400, "", Reason::ManagedIdentityNotAssigned, 1)]
    #[case(
        400,
        r#"{"error":"invalid_resource","error_description":"AADSTS500011: none"}"#,
        Reason::ResourceNotInTenant,
        1
    )]
    #[case(404, "", Reason::ManagedIdentityUnreachable, 3)]
    #[case(410, "", Reason::ManagedIdentityUnreachable, 3)]
    #[case(429, "", Reason::AuthThrottled, 3)]
    #[case(500, "<html>", Reason::ManagedIdentityUnreachable, 3)]
    #[case(302, "", Reason::ResponseRefused, 1)]
    #[case(403, "", Reason::ManagedIdentityUnreachable, 1)]
    fn answers(#[case] status: u16, #[case] body: &str, #[case] reason: Reason, #[case] attempts: u32) {
        let (verdict, wait) = judge(status, body.as_bytes());
        assert_eq!((verdict.reason, verdict.attempts), (reason, attempts));
        assert_eq!(wait, (status == 410).then(|| Duration::from_secs(70)));
    }
}
