//! The program `store`: reads its arguments, opens the back end, and serves until it is asked to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand, ValueEnum};
use object_store::ObjectStore;
use sv0_store::backend::Backend;
use sv0_store::cluster::Cluster;
use sv0_store::gate::{Gate, Reviewer};
use sv0_store::gc::{self, Collected, Retention};
use sv0_store::http::{App, router};
use sv0_store::keys::Namespace;
use sv0_store::metrics::Metrics;
use sv0_store::objects::{Bounds, ObjectError, Objects};
use sv0_store::orphans;
use sv0_store::serve::{self, Probes};
use sv0_store::tls::{self, Current};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Keeps snapshots, evidence packs and ledgers of all estates.
///
/// Serves HTTPS under a certificate of its own authority, whose certificate it publishes in the ConfigMap
/// securityv0-store-ca; /healthz, /readyz and /metrics are plain HTTP. Every request is authorised by a token review.
#[derive(Parser)]
#[command(name = "store", version)]
struct Arguments {
    #[command(flatten)]
    storage: Storage,
    #[command(flatten)]
    service: Service,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Run one pass of the collector and end. A running store does this by itself; use it while the store is stopped.
    Gc,
}

#[derive(Clone, Copy, ValueEnum)]
enum BackendKind {
    /// A directory on a volume.
    Filesystem,
    /// A bucket; region, endpoint and credentials come from the AWS_* variables.
    S3,
}

#[derive(Args)]
struct Storage {
    /// Where objects lie.
    #[arg(long, env = "STORE_BACKEND", value_enum, default_value = "filesystem", global = true)]
    backend: BackendKind,
    /// Directory of the filesystem back end: the mounted volume.
    #[arg(long, env = "STORE_DATA_DIR", default_value = "/data", global = true)]
    data_dir: PathBuf,
    /// Bucket of the s3 back end.
    #[arg(long, env = "STORE_BUCKET", default_value = "", global = true)]
    bucket: String,
    /// PEM file with certificates that the s3 back end trusts besides the public ones.
    #[arg(long, env = "STORE_TRUSTED_CA_FILE", global = true)]
    trusted_ca_file: Option<PathBuf>,
    /// Bytes that one instance may hold; an estate's packs, and its ledgers, the same.
    #[arg(long, env = "STORE_QUOTA_BYTES_PER_INSTANCE", default_value_t = 2 * 1024 * 1024 * 1024, global = true)]
    quota_bytes_per_instance: u64,
    /// Bytes that one estate may hold, all of its instances, packs and ledgers together. The volume should have room
    /// for as many of them as there are estates.
    #[arg(long, env = "STORE_QUOTA_BYTES_PER_ESTATE", default_value_t = 4 * 1024 * 1024 * 1024, global = true)]
    quota_bytes_per_estate: u64,
    /// Snapshots kept per instance.
    #[arg(long, env = "STORE_KEEP_SNAPSHOTS", default_value_t = 14, global = true)]
    keep_snapshots: usize,
    /// Evidence packs kept per estate; younger ones than a day are kept in any case.
    #[arg(long, env = "STORE_KEEP_PACKS", default_value_t = 60, global = true)]
    keep_packs: usize,
    /// Ledgers kept per estate; younger ones than a day are kept in any case.
    #[arg(long, env = "STORE_KEEP_LEDGERS", default_value_t = 200, global = true)]
    keep_ledgers: usize,
    /// Seconds for which unreferenced parts are spared. Keep it above twice the longest scan.
    #[arg(long, env = "STORE_GRACE_SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(60..), global = true)]
    grace_seconds: u64,
}

#[derive(Args)]
struct Service {
    /// The namespace that the store runs in: names in its certificate, home of the ConfigMap.
    #[arg(long, env = "STORE_NAMESPACE", default_value = "securityv0-system")]
    namespace: String,
    /// The namespace of the accounts evaluate-ESTATE and reader-ESTATE; that of the store unless given.
    #[arg(long, env = "STORE_OPERATOR_NAMESPACE")]
    operator_namespace: Option<String>,
    /// Address of the HTTPS interface.
    #[arg(long, env = "STORE_LISTEN", default_value = "[::]:8443")]
    listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "STORE_LISTEN_PLAIN", default_value = "[::]:8081")]
    listen_plain: SocketAddr,
    /// Memory in bytes that all request bodies together may take; at least 64 MiB.
    #[arg(long, env = "STORE_MEMORY_BYTES", default_value_t = 128 * 1024 * 1024)]
    memory_bytes: u64,
    /// Seconds between two passes of the collector.
    #[arg(long, env = "STORE_GC_SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(10..))]
    gc_seconds: u64,
}

impl Storage {
    fn backend(&self) -> Result<Backend, Failure> {
        match self.backend {
            BackendKind::Filesystem => Ok(Backend::Filesystem(self.data_dir.clone())),
            BackendKind::S3 if self.bucket.is_empty() => Err("--backend s3 needs --bucket".into()),
            BackendKind::S3 => {
                Ok(Backend::S3 { bucket: self.bucket.clone(), trusted_ca: self.trusted_ca_file.clone() })
            }
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            quota_bytes: self.quota_bytes_per_instance,
            estate_quota_bytes: self.quota_bytes_per_estate,
            grace: Duration::from_secs(self.grace_seconds),
        }
    }

    fn retention(&self) -> Retention {
        Retention {
            snapshots: self.keep_snapshots,
            packs: self.keep_packs,
            ledgers: self.keep_ledgers,
            blob_age: Duration::from_hours(24),
        }
    }
}

fn main() -> ExitCode {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments = Arguments::parse();
    start_logs();
    if installed.is_err() {
        tracing::warn!("a TLS provider was installed already");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(Failure::from).and_then(|r| r.block_on(run(arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the store ends");
            ExitCode::FAILURE
        }
    }
}

fn start_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let storage = &arguments.storage;
    let back_end = storage.backend()?.open()?;
    let objects = Arc::new(Objects::new(Arc::clone(&back_end), storage.bounds()));
    match arguments.command {
        Some(Command::Gc) => {
            // What is gone is the serving process's alone to clear: it has the locks of those who tell it.
            let collected = gc::collect(&objects, storage.retention(), SystemTime::now()).await?;
            tracing::info!(?collected, "collected");
            Ok(())
        }
        Some(Command::Serve) | None => serve(&arguments, back_end, objects).await,
    }
}

async fn serve(arguments: &Arguments, back_end: Arc<dyn ObjectStore>, objects: Arc<Objects>) -> Result<(), Failure> {
    let service = &arguments.service;
    let namespace = Namespace::parse(&service.namespace)?;
    let operator_namespace = match &service.operator_namespace {
        Some(name) => Namespace::parse(name)?,
        None => namespace.clone(),
    };
    let cluster = Cluster::new(kube::Client::try_default().await?);
    let metrics = Metrics::new()?;
    let (ready, is_ready) = watch::channel(false);
    let stop = stop_on_signal()?;

    let plain = serve::bind(service.listen_plain).await?;
    let plain_address = plain.local_addr()?;
    let probes = serve::probes(Probes { ready: is_ready, objects: Arc::clone(&objects), metrics: metrics.clone() });
    let plain = axum::serve(plain, probes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let plain = tokio::spawn(plain.into_future());

    let names = tls::server_names(&namespace);
    let identity = tls::load_or_create(&*back_end, &names, OffsetDateTime::now_utc()).await?;
    let current = Current::new(&identity)?;
    let keeper = Keeper { back_end, cluster: cluster.clone(), namespace, names, current: Arc::clone(&current), ready };
    let keeper = tokio::spawn(keeper.run(metrics.clone(), stop.clone()));
    let retention = arguments.storage.retention();
    let every = Duration::from_secs(service.gc_seconds);
    let reviewer: Arc<dyn Reviewer> = Arc::new(cluster);
    let collector = Collector { objects: Arc::clone(&objects), reviewer: Arc::clone(&reviewer), retention, every };
    let collector = tokio::spawn(collector.run(metrics.clone(), stop.clone()));

    let gate = Gate::new(reviewer, &operator_namespace);
    let app = App::new(gate, objects, metrics, service.memory_bytes);
    let listener = serve::bind(service.listen).await?;
    tracing::info!(https = %listener.local_addr()?, plain = %plain_address, "the store serves");
    serve::tls(listener, current.server_config()?, router(app), stop.cancelled()).await;
    // A write that is cut off here is cut off as by a kill: the next start finds it in order.
    collector.abort();
    keeper.abort();
    plain.await??;
    tracing::info!("the store has stopped");
    Ok(())
}

fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

/// Keeps the certificate valid and its authority published.
struct Keeper {
    back_end: Arc<dyn ObjectStore>,
    cluster: Cluster,
    namespace: Namespace,
    names: Vec<String>,
    current: Arc<Current>,
    ready: watch::Sender<bool>,
}

impl Keeper {
    async fn run(self, metrics: Metrics, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let published = self.keep(&metrics).await;
            let pause = match published {
                Ok(()) => {
                    self.ready.send_replace(true);
                    Duration::from_mins(1)
                }
                Err(error) => {
                    tracing::warn!(%error, "the certificate is not published; trying again");
                    Duration::from_secs(5)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Once. The authority is published before a certificate that it signed is shown.
    async fn keep(&self, metrics: &Metrics) -> Result<(), Failure> {
        let identity = tls::load_or_create(&*self.back_end, &self.names, OffsetDateTime::now_utc()).await?;
        if self.cluster.publish_ca(&self.namespace, &identity.ca_pem()).await? {
            tracing::info!("the certificate of the store's authority is published");
        }
        self.current.exchange(&identity)?;
        metrics.certificate_end.set(identity.server_not_after());
        Ok(())
    }
}

/// Deletes what is not kept, every so often, and at once when somebody asked for a purge.
struct Collector {
    objects: Arc<Objects>,
    reviewer: Arc<dyn Reviewer>,
    retention: Retention,
    every: Duration,
}

impl Collector {
    async fn run(self, metrics: Metrics, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match pass(&self.objects, Some(&*self.reviewer), self.retention).await {
                Ok(collected) => {
                    metrics.count(&collected);
                    tracing::debug!(?collected, "collected");
                }
                Err(error) => {
                    metrics.passes.with_label_values(&["failed"]).inc();
                    tracing::warn!(%error, "the collector could not list the back end");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = self.objects.asked.notified() => {}
            }
        }
    }
}

/// What is too much of what is there, then what is gone.
async fn pass(
    objects: &Objects,
    reviewer: Option<&dyn Reviewer>,
    retention: Retention,
) -> Result<Collected, ObjectError> {
    let now = SystemTime::now();
    let mut collected = gc::collect(objects, retention, now).await?;
    collected.add(orphans::pass(objects, reviewer, now).await?);
    Ok(collected)
}
