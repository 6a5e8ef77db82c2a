//! The vendor's separate clouds: their names differ, and a token of one is worth nothing in another.

use serde::{Deserialize, Serialize};

/// Which of the vendor's clouds the tenant lives in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cloud {
    /// `login.microsoftonline.com`, `graph.microsoft.com`.
    #[default]
    Public,
    /// GCC High (L4).
    UsGov,
    /// DoD (L5).
    UsGovDod,
    /// 21Vianet.
    China,
}

impl Cloud {
    /// Where tokens are given.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGov | Self::UsGovDod => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// Graph, as origin and as audience.
    pub(crate) fn graph(self) -> &'static str {
        match self {
            Self::Public => "https://graph.microsoft.com",
            Self::UsGov => "https://graph.microsoft.us",
            Self::UsGovDod => "https://dod-graph.microsoft.us",
            Self::China => "https://microsoftgraph.chinacloudapi.cn",
        }
    }

    /// For whom a token must be meant that stands in for an application's own credential.
    pub(crate) fn exchange_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGov | Self::UsGovDod => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }

    /// The host of an origin above.
    pub(crate) fn host(origin: &'static str) -> &'static str {
        origin.trim_start_matches("https://")
    }
}

/// Whether a host is the authority of one of the clouds.
pub(crate) fn is_authority(host: &str) -> bool {
    [Cloud::Public, Cloud::UsGov, Cloud::China].iter().any(|cloud| Cloud::host(cloud.authority()) == host)
}
