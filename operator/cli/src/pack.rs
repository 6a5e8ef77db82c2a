//! `kubectl sv0 pack export`: takes an evaluation of the estate out of the cluster, the last one or an earlier one, as one
//! file from which anybody can compute it again. Reads the Estate's status and the store; writes one new file and changes
//! nothing in the cluster.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use sv0_api::Estate;
use sv0_engine::bundle::Bundle;
use sv0_engine::gather::gather;
use sv0_engine::pack_reader::Pack;

use crate::files::{WriteError, write_new};
use crate::kubectl::Cluster;
use crate::store::{OpenStore, Place, until_told};
use crate::values::{Namespace, shown};

/// What `pack export` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 pack export -n team-a -o team-a.tar
  kubectl sv0 pack export -n team-a -o before.tar --pack sha256:...   # an earlier evaluation
  kubectl sv0 replay team-a.tar                           # on any machine, without network and cluster
  tar xf team-a.tar && sha256sum -c SHA256SUMS            # a plain tar archive

The store keeps earlier packs (store.keepPacks) longer than the snapshots that they were computed from
(store.keepSnapshots): an evaluation whose snapshots are gone is not exported, and the command says which.

The file holds all that the evaluation was computed from: treat it like the tenant's directory. Needs the role
securityv0-reader-ESTATE in the operator's namespace (chart value estates[].readers) and the right to read the Estate.")]
pub struct Args {
    /// The estate.
    #[arg(long, short = 'n')]
    namespace: Namespace,
    /// The file to write. It must not exist yet.
    #[arg(long, short = 'o', value_name = "FILE", visible_alias = "output-file")]
    out: PathBuf,
    /// The evaluation whose evidence pack has this digest, as status.packDigest of the Estate named it then. Without it, the
    /// last one.
    #[arg(long, value_name = "DIGEST", value_parser = pack_digest)]
    pack: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    // Said before anything is fetched; the writing itself refuses too.
    if args.out.symlink_metadata().is_ok() {
        bail!(WriteError::There(args.out));
    }
    let bundle = until_told(bundle(&args)).await?;
    let pack = Pack::read(&bundle.pack)?;
    write_new(&args.out, &bundle.write()?)?;
    let header = &pack.header;
    crate::say_line!(
        "Wrote {}: the evaluation of {} as of {}, {} findings from {} snapshots, rule pack {}.\nPack {}",
        args.out.display(),
        args.namespace,
        header.config.as_of,
        header.findings,
        header.snapshots.len(),
        shown(&header.rule_pack.version),
        sv0_graph::canonical::digest(&bundle.pack),
    );
    Ok(())
}

/// `sha256:` and 64 hexadecimal digits in lower case: nothing else goes into a request.
fn pack_digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    let digits = hex.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    if hex.len() == 64 && digits {
        Ok(text.to_owned())
    } else {
        Err("not sha256: and 64 digits from 0 to f".to_owned())
    }
}

async fn bundle(args: &Args) -> Result<Bundle> {
    let Args { cluster, place, namespace, pack, .. } = args;
    let Some(digest) = pack else { return export(cluster, place, namespace).await };
    let gone = || format!("the evaluation of the pack {digest} cannot be exported with what it was computed from");
    exported(cluster, place, namespace, digest).await.with_context(gone)
}

/// The bundle of the estate's last evaluation.
pub async fn export(cluster: &Cluster, place: &Place, estate: &Namespace) -> Result<Bundle> {
    let (_, digest) = evaluated(cluster, estate)?;
    exported(cluster, place, estate, &digest).await
}

async fn exported(cluster: &Cluster, place: &Place, estate: &Namespace, digest: &str) -> Result<Bundle> {
    let store = OpenStore::open(cluster, place, estate).await?;
    let pack = store.pack(digest).await?;
    Ok(gather(&store, estate.as_str(), pack).await?)
}

/// The Estate, and the digest of the pack that its status names.
pub fn evaluated(cluster: &Cluster, estate: &Namespace) -> Result<(Estate, String)> {
    let found = cluster.estate(estate.as_str()).context("the Estate cannot be read")?;
    let digest = found.as_ref().and_then(|found| found.status.as_ref()?.pack_digest.clone());
    found
        .zip(digest)
        .with_context(|| format!("the estate {estate} has not been evaluated yet: its Estate's status names no pack"))
}
