//! `cargo xtask cluster`: a Kubernetes cluster for tests.
//!
//! In this order: the cluster of a named kubeconfig context, if it is marked as a test cluster; kind, where
//! Docker runs; else a real single-node cluster whose programs are compiled from pinned Go modules. What was
//! obtained is recorded in the state directory, so that every other task finds it.

mod base_images;
mod built;
mod kind;
mod named;
mod network;
pub(crate) mod packages;
mod pki;
mod process;
mod templates;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Subcommand;
use serde::{Deserialize, Serialize};

use crate::context::{Context, Stages, note};
use crate::sh::Sh;
use crate::tools;

/// The label of the namespace `kube-system` that marks a cluster as made for tests.
pub(crate) const TEST_CLUSTER_LABEL: &str = "securityv0.com/test-cluster=true";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Obtain a cluster; does nothing when one is up.
    Up(Options),
    /// Remove the cluster that `up` made (a cluster named by --context is only forgotten).
    Down,
    /// Show what is running and where its files are.
    Status,
}

/// How to choose a cluster.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Use the cluster of this kubeconfig context; it must be labelled as a test cluster.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Who provides the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    /// A context of the user's kubeconfig.
    Context,
    /// kind, in Docker.
    Kind,
    /// Processes of this machine, compiled from Go modules.
    Built,
}

/// A cluster in use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    /// Who provides it.
    pub(crate) provider: Provider,
    /// A kubeconfig whose current context is this cluster.
    pub(crate) kubeconfig: PathBuf,
    /// The API server's audit log, where the provider gives access to it.
    pub(crate) audit_log: Option<PathBuf>,
    /// A directory with `kubectl` and `helm` (and more, depending on the provider).
    pub(crate) bin: PathBuf,
}

impl Cluster {
    /// The cluster that is in use, if any.
    pub(crate) fn current(ctx: &Context) -> Result<Option<Self>> {
        let path = record(ctx);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{} is damaged: run `cargo xtask cluster down`", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The cluster that is in use, or a sentence saying how to get one.
    pub(crate) fn require(ctx: &Context) -> Result<Self> {
        Self::current(ctx)?.ok_or_else(|| anyhow!("no cluster is up: run `cargo xtask cluster up`"))
    }

    /// A `kubectl` call on this cluster.
    pub(crate) fn kubectl<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Sh {
        Sh::new(self.bin.join("kubectl")).args(args).env("KUBECONFIG", &self.kubeconfig)
    }

    /// Creates or updates the objects of a manifest.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        self.kubectl(["apply", "-f", "-"]).input(manifest).quiet()
    }

    /// Whether the API server answers.
    pub(crate) fn answers(&self) -> bool {
        self.kubectl(["get", "--raw", "/readyz", "--request-timeout=5s"]).succeeds()
    }

    /// Makes an image of an OCI archive known to every node.
    pub(crate) fn load(&self, ctx: &Context, archive: &Path) -> Result<()> {
        match self.provider {
            Provider::Built => built::load_image(ctx, archive),
            Provider::Kind => kind::load_image(ctx, archive),
            Provider::Context => bail!(
                "images cannot be loaded into a cluster named by --context: push {} to a registry that it can pull from (for example with `skopeo copy oci-archive:FILE docker://...`) and set SV0_IMAGE and SV0_ESTATE_IMAGE",
                archive.display()
            ),
        }
    }

    fn save(&self, ctx: &Context) -> Result<()> {
        fs::write(record(ctx), serde_json::to_vec_pretty(self)?).context("cannot record the cluster")
    }
}

fn record(ctx: &Context) -> PathBuf {
    ctx.state.join("cluster.json")
}

/// Runs the subcommand.
pub(crate) fn run(ctx: &Context, args: &Args) -> Result<()> {
    match &args.action {
        Action::Up(options) => {
            let (cluster, _) = up(ctx, options)?;
            print_status(&cluster);
            Ok(())
        }
        Action::Down => down(ctx),
        Action::Status => status(ctx),
    }
}

/// Obtains a cluster. The second value says whether this call made it.
pub(crate) fn up(ctx: &Context, options: &Options) -> Result<(Cluster, bool)> {
    let _lock = ctx.lock("cluster")?;
    if let Some(cluster) = Cluster::current(ctx)? {
        if cluster.answers() && options.context.is_none() {
            note("the cluster is up already");
            // The tools may have been changed since it was started.
            tools::ensure_built(ctx, &[&tools::CLIENT])?;
            return Ok((cluster, false));
        }
        if cluster.provider != Provider::Context {
            note("the cluster of the last run does not answer, or another one is wanted: removing it");
        }
        remove(ctx, cluster.provider)?;
    } else if ctx.state.exists() {
        note("clearing what an interrupted run left behind");
        built::down(ctx)?;
    }
    let mut stages = Stages::default();
    let cluster = if let Some(name) = &options.context {
        named::up(ctx, name, &mut stages)?
    } else if kind::is_possible() {
        kind::up(ctx, &mut stages)?
    } else {
        built::up(ctx, &mut stages)?
    };
    let label = ["label", "--overwrite", "namespace", "kube-system", TEST_CLUSTER_LABEL];
    if cluster.provider != Provider::Context {
        cluster.kubectl(label).quiet()?;
    }
    cluster.save(ctx)?;
    stages.print();
    Ok((cluster, true))
}

/// Removes the cluster in use.
pub(crate) fn down(ctx: &Context) -> Result<()> {
    let _lock = ctx.lock("cluster")?;
    match Cluster::current(ctx) {
        Ok(Some(cluster)) => remove(ctx, cluster.provider),
        // Nothing recorded, or an unreadable record: whatever is there came from this machine's own provider.
        Ok(None) if !ctx.state.exists() => {
            note("no cluster is up");
            Ok(())
        }
        Ok(None) | Err(_) => built::down(ctx),
    }
}

fn remove(ctx: &Context, provider: Provider) -> Result<()> {
    match provider {
        Provider::Context => tools::remove_dir(&ctx.state),
        Provider::Kind => kind::down(ctx),
        Provider::Built => built::down(ctx),
    }
}

fn status(ctx: &Context) -> Result<()> {
    let Some(cluster) = Cluster::current(ctx)? else {
        println!("no cluster is up: run `cargo xtask cluster up`");
        return Ok(());
    };
    print_status(&cluster);
    cluster.kubectl(["get", "nodes,storageclasses"]).run()
}

fn print_status(cluster: &Cluster) {
    let answer = if cluster.answers() { "answers" } else { "does not answer" };
    println!("provider   {:?}, the API server {answer}", cluster.provider);
    println!(
        "audit log  {}",
        cluster.audit_log.as_ref().map_or("not available".into(), |path| path.display().to_string())
    );
    println!("\nexport KUBECONFIG={}", cluster.kubeconfig.display());
    println!("export PATH={}:$PATH", cluster.bin.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_survives_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Context { root: dir.path().into(), cache: dir.path().into(), state: dir.path().into() };
        assert!(Cluster::current(&ctx).unwrap().is_none());
        let cluster = Cluster {
            provider: Provider::Built,
            kubeconfig: "/k".into(),
            audit_log: Some("/a".into()),
            bin: "/b".into(),
        };
        cluster.save(&ctx).unwrap();
        let read = Cluster::current(&ctx).unwrap().unwrap();
        assert_eq!((read.provider, read.kubeconfig), (Provider::Built, PathBuf::from("/k")));
        fs::write(record(&ctx), "{").unwrap();
        assert!(Cluster::current(&ctx).unwrap_err().to_string().contains("cluster down"));
    }

    #[test]
    fn without_a_cluster_the_error_says_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Context { root: dir.path().into(), cache: dir.path().into(), state: dir.path().into() };
        assert!(Cluster::require(&ctx).unwrap_err().to_string().contains("cargo xtask cluster up"));
    }
}
