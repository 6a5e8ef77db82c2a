//! `kubectl sv0 consent entra`: an administrator of a further tenant consents to the application, and proves it.
//!
//! Takes the application and the estate; gives the `ConnectorInstance` of the tenant whose administrator signed in.
//! Refuses a tenant that another instance of this cluster reads already. May not: believe what a browser brings.

pub mod flow;
pub mod server;
pub mod state;
pub mod token;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use sv0_api::ConnectorInstance;

use crate::clouds::{Cloud, Network};
use crate::files::{self, File};
use crate::kubectl::Cluster;
use crate::manifest::{ENTRA, Manifest};
use crate::onboard::plan::{self, Instance, Method};
use crate::values::{AccountName, Guid, InstanceName, Namespace};

use self::flow::{Flow, Proof, Settings};
use self::server::Listeners;

/// What `consent entra` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 consent entra --client-id 11111111-1111-1111-1111-111111111111 -n team-b --name subsidiary --out subsidiary
  kubectl apply -f subsidiary/connectorinstance.yaml

The application must have been made with `kubectl sv0 onboard entra --multi-tenant`. Open the address that is printed
in a browser on this machine, consent as an administrator of the tenant, and sign in once more when asked: the second
sign-in is what proves that the consent is yours. The address is good for ten minutes.")]
pub struct Args {
    /// Application (client) ID of your multi-tenant application.
    #[arg(long, value_name = "GUID")]
    client_id: Guid,
    /// Directory (tenant) ID, when you want no other tenant than this.
    #[arg(long, value_name = "GUID")]
    tenant: Option<Guid>,
    /// The estate: the namespace of the ConnectorInstance.
    #[arg(long, short = 'n')]
    namespace: Namespace,
    /// ServiceAccount that scans run as.
    #[arg(long, value_name = "NAME", default_value = "scan-entra")]
    service_account: AccountName,
    /// Name of the ConnectorInstance.
    #[arg(long, default_value = "entra")]
    name: InstanceName,
    /// Which of Microsoft's clouds the tenant lives in.
    #[arg(long, value_enum, default_value_t)]
    cloud: Cloud,
    /// How scans sign in.
    #[arg(long, value_enum, default_value_t)]
    method: Method,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Directory to write the ConnectorInstance into; without it, it is printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    /// Go on although another instance reads the tenant already, or although that could not be looked up.
    #[arg(long)]
    accept_second_instance: bool,
    /// Go on although the sign-in does not say whether the account is an administrator.
    #[arg(long)]
    accept_unproven_role: bool,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let listeners = Listeners::bind(args.port).await?;
    let mut endpoints = args.cloud.endpoints();
    endpoints.network = args.network.clone();
    let flow = Arc::new(Flow::new(Settings {
        client_id: args.client_id.clone(),
        tenant: args.tenant.clone(),
        endpoints,
        redirect: listeners.redirect(),
        accept_unproven_role: args.accept_unproven_role,
        clock: || jiff::Timestamp::now().as_second(),
    }));
    eprintln!("Open this address in a browser on this machine:\n\n  {}\n", flow.consent_url()?);
    let lifetime = std::time::Duration::from_secs(state::LIFETIME_SECONDS.unsigned_abs() * 2);
    let proof = tokio::time::timeout(lifetime, listeners.serve(flow))
        .await
        .context("nobody consented in time: run the command again")?
        .context("the callback address failed")?
        .context("the consent is not proven")?;
    say(&proof);
    unbound(&args, &proof)?;
    write(&args, &proof)
}

fn say(proof: &Proof) {
    eprintln!("Consent of the tenant {} is proven.", proof.tenant);
    if let Some(object_id) = &proof.object_id {
        eprintln!("Signed in: the account with the object ID {object_id}.");
    }
    if !proof.role_proven {
        eprintln!("Not proven: that the account is an administrator of the tenant. Going on as told.");
    }
}

/// Refuses a tenant that another instance reads.
fn unbound(args: &Args, proof: &Proof) -> Result<()> {
    let refusal = match args.cluster.instances() {
        Ok(instances) => {
            let Some(other) = bound(&instances, proof.tenant.as_str(), &args.namespace, &args.name) else {
                return Ok(());
            };
            format!("the tenant {} is read by the ConnectorInstance {other} already", proof.tenant)
        }
        Err(error) => {
            format!("it could not be looked up whether another instance reads the tenant {}: {error}", proof.tenant)
        }
    };
    if args.accept_second_instance {
        eprintln!("{refusal}. Going on as told.");
        return Ok(());
    }
    bail!("{refusal}. If that is meant, run the command again with --accept-second-instance")
}

/// `namespace/name` of an instance other than this one that reads the tenant.
pub fn bound(
    instances: &[ConnectorInstance],
    tenant: &str,
    namespace: &Namespace,
    name: &InstanceName,
) -> Option<String> {
    instances.iter().find_map(|instance| {
        let reads = instance.spec.entra.as_ref()?.tenant_id.eq_ignore_ascii_case(tenant);
        let own_namespace = instance.metadata.namespace.as_deref().unwrap_or_default();
        let own_name = instance.metadata.name.as_deref().unwrap_or_default();
        let itself = own_namespace == namespace.as_str() && own_name == name.as_str();
        (reads && !itself).then(|| format!("{own_namespace}/{own_name}"))
    })
}

fn write(args: &Args, proof: &Proof) -> Result<()> {
    let manifest = Manifest::parse(ENTRA).context("the built-in manifest cannot be read")?;
    let instance = Instance {
        tenant: &proof.tenant,
        client_id: &args.client_id,
        namespace: &args.namespace,
        name: &args.name,
        service_account: &args.service_account,
        cloud: args.cloud,
        method: args.method,
        revision: manifest.collection_revision,
    };
    let content = plan::yaml(&instance.resource())?;
    eprintln!("{}", instance.needs());
    let Some(out) = &args.out else {
        crate::say!("{content}");
        return Ok(());
    };
    files::write_all(out, &[File { name: "connectorinstance.yaml", content }], args.force)?;
    crate::say_line!("{}", out.join("connectorinstance.yaml").display());
    Ok(())
}
