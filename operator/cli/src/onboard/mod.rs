//! `kubectl sv0 onboard entra`: everything that connects a tenant to this cluster, as files to read and run.
//!
//! Takes the user's ids and the cluster's issuer; gives a template, scripts and resources. Changes nothing itself,
//! neither in Entra nor in the cluster: the user reads the files and applies them.

pub mod artefacts;
pub mod plan;
pub mod preflight;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::clouds::{Cloud, Network};
use crate::files;
use crate::kubectl::Cluster;
use crate::manifest::{ENTRA, Manifest, PermissionSet};
use crate::values::{AccountName, DisplayName, Guid, InstanceName, Namespace};

use self::plan::{Method, Plan};
use self::preflight::{Findings, Verdict};

/// What `onboard entra` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 onboard entra --tenant 00000000-0000-0000-0000-000000000000 --namespace team-a --out entra
  sh entra/onboard.sh                     # or deploy entra/main.bicep; both say the application (client) ID
  kubectl sv0 onboard entra --tenant 00000000-0000-0000-0000-000000000000 --namespace team-a --out entra --force \\
    --client-id 11111111-1111-1111-1111-111111111111
  kubectl apply -f entra/serviceaccount.yaml -f entra/connectorinstance.yaml")]
pub struct Args {
    /// Directory (tenant) ID.
    #[arg(long, value_name = "GUID")]
    tenant: Guid,
    /// Application (client) ID, once the application exists. Without it no ConnectorInstance is written.
    #[arg(long, value_name = "GUID")]
    client_id: Option<Guid>,
    /// The estate: the namespace of the ConnectorInstance.
    #[arg(long, short = 'n')]
    namespace: Namespace,
    /// ServiceAccount that scans run as.
    #[arg(long, value_name = "NAME", default_value = "scan-entra")]
    service_account: AccountName,
    /// Name of the ConnectorInstance.
    #[arg(long, default_value = "entra")]
    name: InstanceName,
    /// Name of the application, as people see it in Entra.
    #[arg(long, value_name = "TEXT", default_value = "SecurityV0 scan")]
    display_name: DisplayName,
    /// Which of Microsoft's clouds the tenant lives in.
    #[arg(long, value_enum, default_value_t)]
    cloud: Cloud,
    /// Which permissions: those that the rules need, or those and every add-on.
    #[arg(long, value_enum, default_value_t = PermissionSet::Minimal)]
    set: PermissionSet,
    /// How scans sign in. A certificate is for clusters whose issuer Microsoft cannot reach.
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// One application for several tenants of yours; each is added with `kubectl sv0 consent entra`.
    #[arg(long)]
    multi_tenant: bool,
    /// Directory to write into; it is made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    /// Write the files although it is not proven that Microsoft can reach the cluster's issuer.
    #[arg(long)]
    accept_unproven_issuer: bool,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let manifest = Manifest::parse(ENTRA).context("the built-in manifest cannot be read")?;
    let issuer = match args.method {
        Method::Certificate => None,
        Method::WorkloadIdentity => Some(issuer(&args).await?),
    };
    let plan = Plan {
        tenant: args.tenant,
        client_id: args.client_id,
        namespace: args.namespace,
        service_account: args.service_account,
        name: args.name,
        display_name: args.display_name,
        cloud: args.cloud,
        set: args.set,
        multi_tenant: args.multi_tenant,
        issuer,
    };
    let files = plan.files(&manifest).context("the files cannot be made")?;
    files::write_all(&args.out, &files, args.force)?;
    for file in &files {
        crate::say_line!("{}", args.out.join(file.name).display());
    }
    crate::say_line!();
    crate::say!("{}", plan.next_steps());
    Ok(())
}

/// The cluster's issuer, when it is one that Microsoft can reach.
async fn issuer(args: &Args) -> Result<String> {
    let discovery = args.cluster.raw("/.well-known/openid-configuration").context(
        "the cluster's issuer could not be read; it needs the right to get /.well-known/openid-configuration",
    )?;
    let keys = args.cluster.raw("/openid/v1/jwks").ok();
    let Findings { issuer, verdict } = preflight::examine(&discovery, keys.as_deref(), &args.network).await?;
    let advice = "Scans can sign in with a certificate instead: run the same command with --method certificate.";
    match verdict {
        Verdict::Reachable => {
            eprintln!("The issuer {issuer} serves this cluster's keys to anybody on the Internet.");
            Ok(issuer)
        }
        Verdict::Unreachable(why) => {
            bail!("Microsoft cannot use this cluster's issuer {issuer}: {why}. {advice}")
        }
        Verdict::Unproven(why) if args.accept_unproven_issuer => {
            eprintln!("Not proven that Microsoft can use the issuer {issuer}: {why}. Going on as told.");
            Ok(issuer)
        }
        Verdict::Unproven(why) => bail!(
            "it is not proven that Microsoft can use this cluster's issuer {issuer}: {why}. If you know that it can, \
             add --accept-unproven-issuer. {advice}"
        ),
    }
}
