//! `kubectl sv0 offboard entra`: how to take access away again, and whether it is gone.
//!
//! Takes an instance; gives the undo of each onboarding step, and with `--check` a verdict. Removes nothing itself.
//!
//! What can be proven: that the sign-in which scans use is refused, and by its code whether the whole application is
//! gone from the tenant. What cannot: that no token issued earlier still works, or that somebody else holds no other
//! credential of an application that is still there. The verdict says so.

pub mod sign_in;
pub mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sv0_api::{ConnectorInstance, EntraSource};
use sv0_connector::Secret;

use crate::clouds::{Cloud, Network};
use crate::kubectl::Cluster;
use crate::scan::handled;
use crate::values::{AccountName, Guid, InstanceName, Namespace};

use self::sign_in::Credential;
use self::verdict::Verdict;

/// Time between two looks at a scan that was asked for.
const PAUSE: Duration = Duration::from_secs(3);

/// What `offboard entra` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 offboard entra -n team-a                        # what to do
  kubectl sv0 offboard entra -n team-a --check                # asks for a scan and reads how its sign-in ended
  kubectl sv0 offboard entra -n team-a --check --sign-in      # signs in as the scan's account itself
  kubectl sv0 offboard entra -n team-a --check --sign-in --certificate scan.crt --key scan.key

Check before you delete the ConnectorInstance: the check reads tenant and application from it. The exit code is 0 only
when the sign-in of scans is proven to be refused.")]
pub struct Args {
    /// The estate: the namespace of the ConnectorInstance.
    #[arg(long, short = 'n')]
    namespace: Namespace,
    /// Name of the ConnectorInstance.
    #[arg(long, default_value = "entra")]
    name: InstanceName,
    /// Say whether access is gone, instead of how to take it away.
    #[arg(long)]
    check: bool,
    /// With --check: sign in from here instead of asking for a scan.
    #[arg(long, requires = "check")]
    sign_in: bool,
    /// With --sign-in: the certificate that scans signed in with (PEM file).
    #[arg(long, value_name = "FILE", requires = "sign_in", requires = "key")]
    certificate: Option<PathBuf>,
    /// With --sign-in: its key (PEM file).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// With --sign-in: a file with the client secret; - reads it from standard input.
    #[arg(long, value_name = "FILE", requires = "sign_in", conflicts_with = "certificate")]
    secret_file: Option<PathBuf>,
    /// With --check: seconds to wait for the scan.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let instance = args.cluster.instance(args.namespace.as_str(), args.name.as_str())?;
    let entra = instance.spec.entra.as_ref().context("this ConnectorInstance is not one of Microsoft Entra ID")?;
    if !args.check {
        crate::say!("{}", undo(&args.namespace, &args.name, &instance.spec.service_account_name, entra)?);
        return Ok(());
    }
    let verdict =
        if args.sign_in { by_sign_in(&args, &instance, entra).await? } else { by_scan(&args, &instance).await? };
    if !verdict.shut_out() {
        bail!("{}", verdict.sentence());
    }
    crate::say_line!("{}", verdict.sentence());
    Ok(())
}

/// The undo of each step of the onboarding, in the order in which it takes effect soonest.
pub fn undo(namespace: &Namespace, name: &InstanceName, account: &str, entra: &EntraSource) -> Result<String> {
    // They come from the cluster, but they go into commands: checked again.
    let client: Guid = entra.client_id.parse().context("the instance's clientId")?;
    let tenant: Guid = entra.tenant_id.parse().context("the instance's tenantId")?;
    let account: AccountName = account.parse().context("the instance's serviceAccountName")?;
    let secrets: Vec<String> =
        secrets(entra).iter().map(|secret| format!("       kubectl delete secret {secret} -n {namespace}\n")).collect();
    let secrets = secrets.concat();
    let (cloud, graph) = (Cloud::of(entra.cloud).az(), Cloud::of(entra.cloud).endpoints().graph);
    Ok(format!(
        "Taking away the access of {namespace}/{name} to the tenant {tenant}. Nothing of this is done for you.

1. In Entra, sign in to the tenant:

       az cloud set --name {cloud} && az login --tenant {tenant} --allow-no-subscriptions

2. Stop the sign-in at once. No new token is issued from here on:

       az ad sp update --id {client} --set accountEnabled=false

3. Prove it, while the instance is still there:

       kubectl sv0 offboard entra -n {namespace} --name {name} --check

4. Remove the consent with all its grants (in each tenant that consented), and, in the application's own tenant, the
   application with its certificates, secrets and trust in this cluster. Deleting a deployment of main.bicep removes
   neither:

       az ad sp delete --id {client}
       az ad app delete --id {client}

   Entra keeps deleted applications for 30 days. To remove it at once, find its object ID in
   {graph}/v1.0/directory/deletedItems/microsoft.graph.application and delete it there with az rest.

5. Prove it once more (step 3), then disconnect the cluster. The findings of the instance leave with it; its stored
   snapshots follow after spec.retention.orphanedDays of the Estate, or sooner with kubectl sv0 purge:

       kubectl delete connectorinstance {name} -n {namespace}
{secrets}       kubectl delete serviceaccount {account} -n {namespace}    # unless another instance uses it
"
    ))
}

/// The Secrets that a sign-in names, whatever its kind.
fn secrets(entra: &EntraSource) -> Vec<InstanceName> {
    let auth = serde_json::to_value(&entra.auth).unwrap_or_default();
    let members = auth.as_object().into_iter().flat_map(|members| members.values());
    members.filter_map(|member| member.get("secretName")?.as_str()?.parse().ok()).collect()
}

/// Asks for a scan and reads how its sign-in ended.
async fn by_scan(args: &Args, before: &ConnectorInstance) -> Result<Verdict> {
    if before.spec.suspend {
        return Ok(Verdict::NotProven("the instance is suspended, so that no scan tries to sign in".to_owned()));
    }
    let (namespace, name) = (args.namespace.as_str(), args.name.as_str());
    let request = format!("offboard-{}", jiff::Timestamp::now().as_second());
    args.cluster.request_scan(namespace, name, &request)?;
    eprintln!("A scan was asked for; waiting for it to end.");
    let end = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    loop {
        let now = args.cluster.instance(namespace, name)?;
        if handled(before, &now, &request) {
            return Ok(verdict::by_status(&now));
        }
        if tokio::time::Instant::now() >= end {
            return Ok(Verdict::NotProven(format!("the scan did not end within {} seconds", args.timeout)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Signs in from here.
async fn by_sign_in(args: &Args, instance: &ConnectorInstance, entra: &EntraSource) -> Result<Verdict> {
    let cloud = Cloud::of(entra.cloud);
    let mut endpoints = cloud.endpoints();
    endpoints.network = args.network.clone();
    let credential = match (&args.secret_file, &args.certificate, &args.key) {
        (Some(file), ..) => Credential::Secret(secret(file)?),
        (None, Some(certificate), Some(key)) => {
            Credential::Certificate { certificate: certificate.clone(), key: key.clone() }
        }
        _ if entra.auth.workload_identity.is_some() => {
            let audience = entra.cloud.federation_audience();
            // It comes from the cluster and goes among kubectl's arguments: one that begins with '-' would be a flag.
            let account: AccountName =
                instance.spec.service_account_name.parse().context("the instance's serviceAccountName")?;
            let mut token = args.cluster.account_token(args.namespace.as_str(), account.as_str(), audience)?;
            Credential::ClusterToken(Secret::new(std::mem::take(&mut *token)))
        }
        _ => bail!(
            "this instance signs in with a stored credential: hand it over with --certificate and --key or with \
             --secret-file, or leave out --sign-in"
        ),
    };
    let (tenant, client) = (entra.tenant_id.parse()?, entra.client_id.parse()?);
    sign_in::attempt(&endpoints, &tenant, &client, &credential, jiff::Timestamp::now().as_second()).await
}

fn secret(file: &PathBuf) -> Result<Secret> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(auth: &serde_json::Value) -> EntraSource {
        serde_json::from_value(json!({
            "tenantId": "00000000-0000-0000-0000-00000000000a",
            "clientId": "00000000-0000-0000-0000-00000000000b",
            "auth": auth,
        }))
        .unwrap()
    }

    #[test]
    fn the_undo_of_every_step() {
        let (namespace, name) = ("team-a".parse().unwrap(), "entra".parse().unwrap());
        let entra = source(&json!({"clientSecret": {"secretName": "sv0-old"}}));
        insta::assert_snapshot!(undo(&namespace, &name, "scan-entra", &entra).unwrap());
        let hostile = EntraSource { client_id: "x; rm -rf ~".to_owned(), ..entra };
        assert!(undo(&namespace, &name, "scan-entra", &hostile).is_err());
        let hostile = source(&json!({"clientSecret": {"secretName": "sv0-x; rm -rf ~"}}));
        assert!(!undo(&namespace, &name, "scan-entra", &hostile).unwrap().contains("rm"));
    }

    fn instance(handled: Option<&str>, active: bool, scan: &str) -> ConnectorInstance {
        let mut status = json!({"lastScan": {
            "id": scan, "outcome": "Failed", "trigger": "Requested",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:00Z"}});
        if active {
            status["activeScan"] =
                json!({"id": "x", "jobName": "x", "trigger": "Requested", "startedAt": "2026-01-01T00:00:00Z"});
        }
        status["lastHandledScanRequest"] = json!(handled);
        serde_json::from_value(json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance", "metadata": {"name": "entra"},
            "spec": {"system": "Entra", "serviceAccountName": "scan-entra"}, "status": status,
        }))
        .unwrap()
    }

    /// Only a scan that began after the request, and has ended, is an answer to it.
    #[test]
    fn only_the_scan_that_was_asked_for_counts() {
        let before = instance(None, false, "1");
        assert!(handled(&before, &instance(Some("r"), false, "2"), "r"));
        assert!(!handled(&before, &instance(Some("r"), true, "2"), "r"), "still under way");
        assert!(!handled(&before, &instance(Some("other"), false, "2"), "r"), "another request");
        assert!(!handled(&before, &instance(Some("r"), false, "1"), "r"), "decided, and no scan has ended since");
    }
}
