//! The command line. Everything else is in the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Decides when instances are scanned and estates evaluated, starts those Jobs, and says in the status of each
/// resource how it went. Reads no Secret and talks to no source system.
#[derive(Clone, Debug, Parser)]
#[command(name = "manager", version)]
pub struct Args {
    /// Configuration file (YAML), rendered by the chart from its values.
    #[arg(long, env = "SECURITYV0_CONFIG", default_value = "/etc/securityv0/config.yaml")]
    pub config: PathBuf,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "SECURITYV0_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Who holds the lease: the pod's name.
    #[arg(long, env = "POD_NAME", default_value = "local")]
    pub identity: String,
}
