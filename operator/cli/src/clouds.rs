//! Microsoft's clouds: where to sign in, what to read, which audience a federated token carries. Built in: no flag can
//! point a sign-in elsewhere. Pure.

use sv0_api::EntraCloud;
use url::Url;

/// One of Microsoft's separate clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Cloud {
    /// The worldwide cloud.
    #[default]
    Public,
    /// US government (GCC High).
    UsGov,
    /// US government (Department of Defense).
    UsGovDod,
    /// China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// The word in a `ConnectorInstance`.
    pub const fn api(self) -> EntraCloud {
        match self {
            Self::Public => EntraCloud::Public,
            Self::UsGov => EntraCloud::UsGov,
            Self::UsGovDod => EntraCloud::UsGovDod,
            Self::China => EntraCloud::China,
        }
    }

    /// The cloud of a `ConnectorInstance`.
    pub const fn of(cloud: EntraCloud) -> Self {
        match cloud {
            EntraCloud::Public => Self::Public,
            EntraCloud::UsGov => Self::UsGov,
            EntraCloud::UsGovDod => Self::UsGovDod,
            EntraCloud::China => Self::China,
        }
    }

    /// The name of the cloud in `az cloud set`.
    pub const fn az(self) -> &'static str {
        match self {
            Self::Public => "AzureCloud",
            Self::UsGov | Self::UsGovDod => "AzureUSGovernment",
            Self::China => "AzureChinaCloud",
        }
    }

    const fn hosts(self) -> (&'static str, &'static str) {
        match self {
            Self::Public => ("https://login.microsoftonline.com", "https://graph.microsoft.com"),
            Self::UsGov => ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
            Self::UsGovDod => ("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
            Self::China => ("https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"),
        }
    }

    /// Where one signs in and reads.
    pub fn endpoints(self) -> Endpoints {
        let (authority, graph) = self.hosts();
        Endpoints { authority: authority.to_owned(), graph: graph.to_owned(), network: Network::default() }
    }
}

/// Addresses of one cloud, without a slash at the end.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Where one signs in.
    pub authority: String,
    /// Microsoft Graph.
    pub graph: String,
    /// How they are reached.
    pub network: Network,
}

/// How the Internet is reached from this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Network {
    /// Proxy for requests to Microsoft and to the cluster's issuer, such as `http://proxy:3128`.
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true, value_name = "URL")]
    pub proxy: Option<String>,
    /// File with certificates (PEM) to trust besides the usual ones, for networks that inspect TLS.
    #[arg(long, value_name = "FILE")]
    pub trusted_ca: Option<std::path::PathBuf>,
    /// Hosts that may be private. Only tests set it.
    #[arg(skip)]
    pub private_hosts: Vec<String>,
}

impl Endpoints {
    /// The scope of a token for Graph.
    pub fn scope(&self) -> String {
        format!("{}/.default", self.graph)
    }

    /// Origins that may stand in a token's issuer and serve its keys.
    pub fn token_hosts(&self) -> Vec<String> {
        let mut hosts = vec![self.authority.clone()];
        if self.authority == Cloud::China.hosts().0 {
            hosts.push("https://login.partner.microsoftonline.cn".to_owned());
        }
        hosts
    }

    /// An address below the authority, with a query.
    pub fn below_authority(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, url::ParseError> {
        let base = format!("{}/{path}", self.authority);
        if query.is_empty() { Url::parse(&base) } else { Url::parse_with_params(&base, query) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_is_itself_again() {
        for cloud in [Cloud::Public, Cloud::UsGov, Cloud::UsGovDod, Cloud::China] {
            assert_eq!(Cloud::of(cloud.api()), cloud);
            let endpoints = cloud.endpoints();
            assert!(endpoints.authority.starts_with("https://login."));
            assert!(endpoints.scope().ends_with("/.default") && endpoints.scope().contains("graph"));
        }
    }

    #[test]
    fn values_in_a_query_stay_values() {
        let url = Cloud::Public.endpoints().below_authority("t/adminconsent", &[("state", "a&b=c#d")]).unwrap();
        assert_eq!(url.as_str(), "https://login.microsoftonline.com/t/adminconsent?state=a%26b%3Dc%23d");
    }
}
