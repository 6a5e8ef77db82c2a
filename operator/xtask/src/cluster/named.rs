//! A cluster that the user names by a kubeconfig context. Tests create and delete things in it, so it is used
//! only when its owner has marked it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, bail};

use super::{Cluster, Provider, TEST_CLUSTER_LABEL};
use crate::context::{Context, Stages};
use crate::sh::Sh;
use crate::tools::{self, CLIENT};

/// Checks the mark and records the cluster. The user's kubeconfig is copied, never changed.
pub(super) fn up(ctx: &Context, name: &str, stages: &mut Stages) -> Result<Cluster> {
    stages.run("tools", || Ok(((), tools::ensure_built(ctx, &[&CLIENT])?)))?;
    let bin = tools::bin_dir(ctx, &[&CLIENT])?;
    let marks = Sh::new(bin.join("kubectl"))
        .args(["--context", name, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.labels}"])
        .read()
        .with_context(|| format!("cannot ask the cluster of context {name} whether it is for tests"))?;
    if !is_marked(&marks) {
        bail!(
            "the cluster of context {name} is not marked as a test cluster. Tests create and delete things in it. If that is what you want, run: kubectl --context {name} label namespace kube-system {TEST_CLUSTER_LABEL}"
        );
    }
    let own =
        Sh::new(bin.join("kubectl")).args(["--context", name, "config", "view", "--minify", "--flatten"]).read()?;
    fs::create_dir_all(&ctx.state)?;
    let kubeconfig = ctx.state.join("kubeconfig");
    fs::write(&kubeconfig, own)?;
    fs::set_permissions(&kubeconfig, fs::Permissions::from_mode(0o600))?;
    Ok(Cluster { provider: Provider::Context, kubeconfig, audit_log: None, bin })
}

/// Whether the labels (JSON, empty when there are none) carry the mark with its exact value.
fn is_marked(labels: &str) -> bool {
    let Some((key, value)) = TEST_CLUSTER_LABEL.split_once('=') else { return false };
    serde_json::from_str::<serde_json::Value>(labels).is_ok_and(|labels| labels[key] == value)
}

#[cfg(test)]
mod tests {
    use super::is_marked;

    #[test]
    fn only_the_exact_mark_counts() {
        assert!(is_marked(r#"{"a":"b","securityv0.com/test-cluster":"true"}"#));
        for other in [
            "",
            "{}",
            r#"{"securityv0.com/test-cluster":"false"}"#,
            r#"{"securityv0.com/test-cluster":""}"#,
            r#"{"x":"securityv0.com/test-cluster=true"}"#,
        ] {
            assert!(!is_marked(other), "{other}");
        }
    }
}
