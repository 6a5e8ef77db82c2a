//! Microsoft's clouds: which authority and which Graph belong together. The list is built in: no configuration can
//! point a credential elsewhere.

use sv0_protocol::MicrosoftCloud;
use url::Url;

const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Where to sign in and what to read in one cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    authority: Url,
    graph: Url,
    scope: String,
    exchange_audience: &'static str,
}

impl Endpoints {
    /// The cloud's own endpoints. `None` cannot happen for the built-in list; it is the parser's word.
    pub fn of(cloud: MicrosoftCloud) -> Option<Self> {
        let (authority, graph, exchange_audience) = match cloud {
            MicrosoftCloud::Public => ("https://login.microsoftonline.com", "https://graph.microsoft.com", EXCHANGE),
            MicrosoftCloud::UsGov => {
                ("https://login.microsoftonline.us", "https://graph.microsoft.us", "api://AzureADTokenExchangeUSGov")
            }
            MicrosoftCloud::UsGovDod => (
                "https://login.microsoftonline.us",
                "https://dod-graph.microsoft.us",
                "api://AzureADTokenExchangeUSGov",
            ),
            MicrosoftCloud::China => (
                "https://login.chinacloudapi.cn",
                "https://microsoftgraph.chinacloudapi.cn",
                "api://AzureADTokenExchangeChina",
            ),
        };
        Some(Self {
            authority: Url::parse(authority).ok()?,
            graph: Url::parse(graph).ok()?,
            scope: format!("{graph}/.default"),
            exchange_audience,
        })
    }

    /// A stand-in inside this process, for tests. Loopback only: nothing that is sent there leaves the pod.
    pub fn loopback(port: u16) -> Option<Self> {
        let origin = Url::parse(&format!("http://127.0.0.1:{port}")).ok()?;
        let scope = "https://graph.microsoft.com/.default".to_owned();
        Some(Self { authority: origin.clone(), graph: origin, scope, exchange_audience: EXCHANGE })
    }

    /// Where tokens are asked for.
    pub fn authority(&self) -> &Url {
        &self.authority
    }

    /// Microsoft Graph.
    pub fn graph(&self) -> &Url {
        &self.graph
    }

    /// The scope of a token for Graph.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// What a managed identity is asked a token for: Graph itself.
    pub fn resource(&self) -> &str {
        self.scope.trim_end_matches("/.default")
    }

    /// For whom a token must be meant that stands in for an application's own credential.
    pub fn exchange_audience(&self) -> &'static str {
        self.exchange_audience
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(MicrosoftCloud::Public, "login.microsoftonline.com", "https://graph.microsoft.com/.default")]
    #[case(MicrosoftCloud::UsGov, "login.microsoftonline.us", "https://graph.microsoft.us/.default")]
    #[case(MicrosoftCloud::UsGovDod, "login.microsoftonline.us", "https://dod-graph.microsoft.us/.default")]
    #[case(MicrosoftCloud::China, "login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/.default")]
    fn each_cloud_has_its_own(#[case] cloud: MicrosoftCloud, #[case] authority: &str, #[case] scope: &str) {
        let endpoints = Endpoints::of(cloud).unwrap();
        assert_eq!(endpoints.authority().host_str(), Some(authority));
        assert_eq!(endpoints.authority().scheme(), "https");
        assert_eq!(endpoints.scope(), scope);
    }
}
