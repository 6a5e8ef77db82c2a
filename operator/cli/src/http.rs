//! Requests of this program: to the cluster's published issuer and to Microsoft's sign-in. Takes addresses; gives a
//! status and at most 256 KiB. Follows no redirect, reaches no private address, and never carries the user's
//! Kubernetes credentials: those stay inside kubectl.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use sv0_connector::{NetworkPolicy, Secret, client, leads_inside};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::clouds::Network;

/// Most bytes of an answer.
const MAX_ANSWER: usize = 256 * 1024;
/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A request that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address, or the one that it resolves to, is private.
    #[error("{0} is or resolves to a private address")]
    Private(String),
    /// Nothing came.
    #[error("{0} could not be reached from this machine")]
    Unreachable(String),
    /// Too much came.
    #[error("{0} sent more than it should")]
    TooLarge(String),
    /// The proxy or the certificates cannot be used.
    #[error("the settings for reaching the network cannot be used: {0}")]
    Settings(String),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A client for one origin at a time.
#[derive(Clone, Debug)]
pub struct Http<'a> {
    network: &'a Network,
}

impl<'a> Http<'a> {
    /// Prepares; sends nothing.
    pub const fn new(network: &'a Network) -> Self {
        Self { network }
    }

    /// Gets `url` as anybody would, without credentials.
    pub async fn get(&self, url: &Url) -> Result<Answer, HttpError> {
        let request = self.client(url)?.get(url.clone());
        send(url, request).await
    }

    /// Gets `url` with an access token.
    pub async fn get_with(&self, url: &Url, token: &Secret) -> Result<Answer, HttpError> {
        let request = self.client(url)?.get(url.clone()).header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        send(url, request).await
    }

    /// Posts a form.
    pub async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client(url)?.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        send(url, request.body(body)).await
    }

    fn client(&self, url: &Url) -> Result<reqwest::Client, HttpError> {
        let trusted_ca_pem = match &self.network.trusted_ca {
            None => None,
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| HttpError::Settings(format!("{}: {error}", path.display())))?,
            ),
        };
        let proxy = self.network.proxy.clone().filter(|proxy| !proxy.is_empty());
        let policy = NetworkPolicy { trusted_ca_pem, private_hosts: self.network.private_hosts.clone(), proxy };
        client(&policy, &[url]).map_err(|cause| match cause.as_str() {
            "NetworkNotAllowed" if self.network.proxy.is_none() && self.network.trusted_ca.is_none() => {
                HttpError::Private(host(url))
            }
            word => HttpError::Settings(word.to_owned()),
        })
    }
}

async fn send(url: &Url, request: reqwest::RequestBuilder) -> Result<Answer, HttpError> {
    let unreachable = |error: reqwest::Error| {
        if leads_inside(&error) { HttpError::Private(host(url)) } else { HttpError::Unreachable(host(url)) }
    };
    let mut response = request.timeout(TIMEOUT).send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HttpError::TooLarge(host(url)));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or("the address").to_owned()
}
