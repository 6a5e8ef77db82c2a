//! The HTTP client of everything that talks to a source system: bundled web roots plus the operator's own, no
//! redirects, no cookies, no proxy from the environment, and no address inside the cluster or the node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::{Host, Url};

use crate::Cause;

/// Which addresses may be spoken to, and how.
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    /// PEM certificates trusted besides the bundled web roots.
    pub trusted_ca_pem: Option<String>,
    /// Host names that may resolve to private or link-local addresses.
    pub private_hosts: Vec<String>,
    /// Outbound proxy, `http://host:port`; its host may be private.
    pub proxy: Option<String>,
}

/// Makes aws-lc-rs the process's only cryptography; call first thing in `main`. A second call changes nothing.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only when another thread was faster with the same provider.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

/// A client for `origins` under `policy`. Plain http is possible only when one of the origins is so.
pub fn client(policy: &NetworkPolicy, origins: &[&Url]) -> Result<reqwest::Client, Cause> {
    let mut allowed: BTreeSet<String> = policy.private_hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
    for origin in origins {
        literal_is_allowed(origin, &allowed)?;
    }
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(policy.trusted_ca_pem.as_deref())?)
        .https_only(origins.iter().all(|origin| origin.scheme() == "https"))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_mins(1))
        .pool_idle_timeout(Duration::from_mins(1))
        .user_agent(concat!("securityv0-scan/", env!("CARGO_PKG_VERSION")));
    if let Some(proxy) = &policy.proxy {
        let url = Url::parse(proxy).map_err(|_| Cause::NetworkNotAllowed)?;
        allowed.extend(url.host_str().map(str::to_ascii_lowercase));
        builder = builder.proxy(reqwest::Proxy::all(url).map_err(|_| Cause::NetworkNotAllowed)?);
    }
    builder.dns_resolver(PublicOnly { allowed: Arc::new(allowed) }).build().map_err(|_| Cause::Internal)
}

fn tls(trusted_ca_pem: Option<&str>) -> Result<rustls::ClientConfig, Cause> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = trusted_ca_pem.filter(|pem| !pem.trim().is_empty()) {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| Cause::NetworkNotAllowed)?;
            roots.add(certificate).map_err(|_| Cause::NetworkNotAllowed)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Cause::Internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// An address literal is never resolved, so it is judged here.
fn literal_is_allowed(origin: &Url, allowed: &BTreeSet<String>) -> Result<(), Cause> {
    let ip = match origin.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(Cause::NetworkNotAllowed),
    };
    if is_private(ip) && !allowed.contains(&ip.to_string()) {
        return Err(Cause::NetworkNotAllowed);
    }
    Ok(())
}

/// Why a name was not resolved; found again in the chain of an HTTP error's sources.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not allowed")]
pub(crate) struct AddressRefused;

struct PublicOnly {
    allowed: Arc<BTreeSet<String>>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if allowed.contains(&host) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let public: Vec<SocketAddr> = found.into_iter().filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(AddressRefused.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one that a source system on the Internet cannot have: private, loopback, link-local
/// (metadata endpoints), shared, reserved, multicast, documentation, or an IPv6 form of such a one.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => is_private_v6(ip),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        // Azure's wire server answers on a public address from inside a node.
        || ip == Ipv4Addr::new(168, 63, 129, 16)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let embedded = match segments {
        // ::ffff:a.b.c.d, ::a.b.c.d, 64:ff9b::a.b.c.d and 2002:a.b.c.d::. Any other translated form is outside 2000::/3.
        [0, 0, 0, 0, 0, 0xffff | 0, hi, lo] | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] | [0x2002, hi, lo, ..] => {
            Some((hi, lo))
        }
        _ => None,
    };
    let embedded = embedded.map(|(hi, lo)| {
        let [a, b] = hi.to_be_bytes();
        let [c, d] = lo.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    });
    // The Internet's IPv6 is 2000::/3: whatever else there is (local, translated, multicast, reserved) is not.
    let internet = (segments[0] & 0xe000) == 0x2000;
    // Documentation, and Teredo, which hides an address of IPv4 inside.
    let special = (segments[0] == 0x2001 && matches!(segments[1], 0 | 0xdb8)) || (segments[0] & 0xfff0) == 0x3ff0;
    embedded.map_or(!internet || special, is_private_v4)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.1.2.3", true)]
    #[case("172.16.0.1", true)]
    #[case("192.168.0.1", true)]
    #[case("127.0.0.1", true)]
    #[case("169.254.169.254", true)]
    #[case("168.63.129.16", true)]
    #[case("100.100.100.200", true)]
    #[case("0.0.0.0", true)]
    #[case("255.255.255.255", true)]
    #[case("224.0.0.1", true)]
    #[case("::1", true)]
    #[case("fe80::1", true)]
    #[case("fd00:ec2::254", true)]
    #[case("::ffff:169.254.169.254", true)]
    #[case("64:ff9b::a9fe:a9fe", true)]
    #[case("2002:a9fe:a9fe::1", true)]
    #[case("64:ff9b:1::a9fe:a9fe", true)]
    #[case("::ffff:0:a9fe:a9fe", true)]
    #[case("2001::a9fe:a9fe", true)]
    #[case("ff02::1", true)]
    #[case("::", true)]
    #[case("fec0::1", true)]
    #[case("2001:db8::1", true)]
    #[case("64:ff9b::14be:8001", false)]
    #[case("20.190.128.1", false)]
    #[case("2603:1006:2000::1", false)]
    fn addresses(#[case] ip: IpAddr, #[case] private: bool) {
        assert_eq!(is_private(ip), private);
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved_unless_listed() {
        let resolve = |allowed: &[&str]| {
            let allowed = Arc::new(allowed.iter().map(|h| (*h).to_owned()).collect());
            PublicOnly { allowed }.resolve("localhost".parse().unwrap())
        };
        assert!(resolve(&[]).await.err().is_some_and(|e| e.is::<AddressRefused>()));
        assert!(resolve(&["localhost"]).await.is_ok());
    }

    #[tokio::test]
    async fn the_refusal_is_told_apart_from_an_outage() {
        let origin = Url::parse("https://localhost:1").unwrap();
        let client = client(&NetworkPolicy::default(), &[&origin]).unwrap();
        let error = client.get(origin.clone()).send().await.unwrap_err();
        assert!(crate::leads_inside(&error));
        let listed = NetworkPolicy { private_hosts: vec!["localhost".into()], ..NetworkPolicy::default() };
        let error = super::client(&listed, &[&origin]).unwrap().get(origin).send().await.unwrap_err();
        assert!(!crate::leads_inside(&error), "nobody listens there");
    }

    #[test]
    fn a_literal_inside_is_refused_unless_listed() {
        let origin = Url::parse("http://169.254.169.254/").unwrap();
        assert_eq!(client(&NetworkPolicy::default(), &[&origin]).err(), Some(Cause::NetworkNotAllowed));
        let listed = NetworkPolicy { private_hosts: vec!["169.254.169.254".into()], ..NetworkPolicy::default() };
        assert!(client(&listed, &[&origin]).is_ok());
    }

    #[test]
    fn an_unreadable_authority_is_an_error_and_never_ignored() {
        let origin = Url::parse("https://graph.microsoft.com").unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let policy = NetworkPolicy { trusted_ca_pem: Some(pem.into()), ..NetworkPolicy::default() };
        assert_eq!(client(&policy, &[&origin]).err(), Some(Cause::NetworkNotAllowed));
    }
}
