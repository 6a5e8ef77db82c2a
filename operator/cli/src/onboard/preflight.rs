//! Can a cloud use this cluster's issuer? Takes what the API server says of itself; asks the issuer's public address
//! the way that a cloud would, without credentials; gives reachable, unreachable with the reason, or unproven.
//!
//! That this machine reaches an address does not prove that Microsoft does, but what Microsoft needs is a public
//! address with the same issuer and the same keys, and that is what is looked at.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use sv0_connector::is_private;
use url::{Host, Url};

use crate::clouds::Network;
use crate::http::{Http, HttpError};
use crate::values::shown;

/// Whether the issuer can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its public address serves this cluster's keys.
    Reachable,
    /// It cannot, and why.
    Unreachable(String),
    /// It was not possible to tell, and why.
    Unproven(String),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The issuer, exactly as the cluster writes it into tokens.
    pub issuer: String,
    /// Whether it can be used.
    pub verdict: Verdict,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    #[serde(default)]
    jwks_uri: String,
}

#[derive(Default, Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    kty: String,
}

/// Examines the issuer that the API server's discovery document names. `keys` are the cluster's own signing keys.
pub async fn examine(discovery: &[u8], keys: Option<&[u8]>, network: &Network) -> Result<Findings> {
    let own: Discovery =
        serde_json::from_slice(discovery).context("the API server's discovery document cannot be read")?;
    let verdict = match public_address(&own.issuer, network) {
        Err(why) => Verdict::Unreachable(why),
        Ok(url) => match published(&url, &own.issuer, keys, network).await {
            Ok(()) => Verdict::Reachable,
            Err(verdict) => verdict,
        },
    };
    // It is shown and written to files, and came from a server.
    let harmless = !own.issuer.chars().any(char::is_control);
    anyhow::ensure!(harmless, "the API server's issuer contains control characters");
    Ok(Findings { issuer: own.issuer, verdict })
}

/// The address as far as it can be judged by looking at it.
fn public_address(issuer: &str, network: &Network) -> Result<Url, String> {
    let url = Url::parse(issuer).map_err(|_| "it is not an address".to_owned())?;
    let listed = |host: &str| network.private_hosts.iter().any(|known| known == host);
    let host = url.host_str().unwrap_or_default();
    if listed(host) {
        return Ok(url);
    }
    if url.scheme() != "https" {
        return Err("it is not an https address".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("an issuer has no user, query or fragment".to_owned());
    }
    match url.host() {
        Some(Host::Ipv4(ip)) if is_private(ip.into()) => Err("its address is private".to_owned()),
        Some(Host::Ipv6(ip)) if is_private(ip.into()) => Err("its address is private".to_owned()),
        Some(Host::Domain(name)) if !public_name(name) => {
            Err("its name exists only inside the cluster or the network".to_owned())
        }
        None => Err("it has no host".to_owned()),
        Some(_) => Ok(url),
    }
}

/// Names that public DNS cannot have.
fn public_name(name: &str) -> bool {
    const INSIDE: [&str; 10] =
        ["local", "localhost", "internal", "svc", "lan", "home", "corp", "intranet", "test", "invalid"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && !INSIDE.contains(&last) && !name.ends_with(".home.arpa")
}

/// Whether the public address serves the same issuer and the same keys.
async fn published(url: &Url, issuer: &str, keys: Option<&[u8]>, network: &Network) -> Result<(), Verdict> {
    let unreachable = |why: String| Verdict::Unreachable(why);
    let well_known = format!("{}/.well-known/openid-configuration", url.as_str().trim_end_matches('/'));
    let well_known = Url::parse(&well_known).map_err(|_| unreachable("it is not an address".to_owned()))?;
    let body = get(&well_known, network).await?;
    let document: Discovery = serde_json::from_slice(&body)
        .map_err(|_| unreachable("what it serves is not a discovery document".to_owned()))?;
    if document.issuer != issuer {
        let other = shown(&document.issuer);
        return Err(unreachable(format!("its public address calls itself {other}, which is not the same text")));
    }
    let jwks = public_address(&document.jwks_uri, network)
        .map_err(|why| unreachable(format!("the address of its keys cannot be used: {why}")))?;
    let body = get(&jwks, network).await?;
    let public: Keys =
        serde_json::from_slice(&body).map_err(|_| unreachable("what it serves as keys is none".to_owned()))?;
    let Some(own) = keys.and_then(|keys| serde_json::from_slice::<Keys>(keys).ok()) else {
        return Err(Verdict::Unproven("the cluster's own keys could not be read to compare them".to_owned()));
    };
    same_keys(&own, &public).map_err(unreachable)
}

async fn get(url: &Url, network: &Network) -> Result<Vec<u8>, Verdict> {
    match Http::new(network).get(url).await {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(Verdict::Unreachable(format!(
            "{url} answers {} to somebody without credentials, and Microsoft has none",
            answer.status
        ))),
        Err(error @ (HttpError::Private(_) | HttpError::TooLarge(_))) => Err(Verdict::Unreachable(error.to_string())),
        Err(error) => Err(Verdict::Unproven(error.to_string())),
    }
}

fn same_keys(own: &Keys, public: &Keys) -> Result<(), String> {
    let rsa = |keys: &Keys| -> BTreeSet<String> {
        keys.keys.iter().filter(|key| key.kty == "RSA").map(|key| key.kid.clone()).collect()
    };
    let (own_keys, public_keys) = (rsa(own), rsa(public));
    if own_keys.is_empty() {
        return Err("the cluster signs with other keys than RSA, and Microsoft accepts RS256 only".to_owned());
    }
    if own_keys.is_subset(&public_keys) {
        Ok(())
    } else {
        Err("its public address serves other keys than those that this cluster signs with".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", true)]
    #[case("https://westeurope.oic.prod-aks.azure.com/0000/1111/", true)]
    #[case("https://20.50.1.1/x", true)]
    #[case("https://kubernetes.default.svc.cluster.local", false)]
    #[case("https://kubernetes.default.svc", false)]
    #[case("kubernetes/serviceaccount", false)]
    #[case("http://oidc.example.com", false)]
    #[case("https://10.0.0.1", false)]
    #[case("https://[fd00::1]", false)]
    #[case("https://[::ffff:10.0.0.1]", false)]
    #[case("https://localhost:6443", false)]
    #[case("https://master1", false)]
    #[case("https://k8s.corp.internal", false)]
    #[case("https://k8s.cluster.LOCAL.", false)]
    #[case("https://user:pw@oidc.example.com", false)]
    #[case("https://oidc.example.com/?a=b", false)]
    fn addresses(#[case] issuer: &str, #[case] usable: bool) {
        assert_eq!(public_address(issuer, &Network::default()).is_ok(), usable, "{issuer}");
    }

    fn keys(list: &[(&str, &str)]) -> Keys {
        Keys { keys: list.iter().map(|(kid, kty)| Key { kid: (*kid).into(), kty: (*kty).into() }).collect() }
    }

    #[test]
    fn every_key_of_the_cluster_must_be_published() {
        let own = keys(&[("a", "RSA"), ("b", "RSA")]);
        assert!(same_keys(&own, &keys(&[("b", "RSA"), ("a", "RSA"), ("old", "RSA")])).is_ok());
        assert!(same_keys(&own, &keys(&[("a", "RSA")])).is_err());
        assert!(same_keys(&own, &keys(&[("a", "RSA"), ("b", "EC")])).is_err());
        assert!(same_keys(&keys(&[("a", "EC")]), &keys(&[("a", "EC")])).is_err(), "Entra verifies RS256 only");
        assert!(same_keys(&keys(&[]), &keys(&[])).is_err());
    }
}
