//! The `estate` program: serves a simulated Microsoft tenant, or makes a large one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use sv0_estate::estate::{Estate, census};
use sv0_estate::generate::Wanted;
use sv0_estate::server::{self, Options};
use sv0_estate::spec::Issuer;
use sv0_estate::tls::Authority;

/// A simulated Microsoft Entra tenant with Microsoft Graph, for tests and demonstrations.
#[derive(Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve an estate as login.microsoftonline.com and graph.microsoft.com.
    Serve(Box<Serve>),
    /// Check an estate file and print what it holds.
    Check {
        /// Estate file.
        estate: PathBuf,
    },
    /// Print an estate file of any size; the same seed gives the same file.
    Generate {
        /// Number of applications.
        #[arg(long, default_value_t = 1000)]
        apps: usize,
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Client secret of the scanning application `sv0-operator`.
        #[arg(long, default_value = sv0_estate::generate::SECRET)]
        secret: String,
    },
}

#[derive(clap::Args)]
struct Serve {
    /// Estate file.
    #[arg(long, required_unless_present = "generated", conflicts_with = "generated")]
    estate: Option<PathBuf>,
    /// Serve a generated estate instead, without a file: `apps=100000,seed=7`. Its scanning application and secret are
    /// those of `generate`.
    #[arg(long, value_parser = generated)]
    generated: Option<Wanted>,
    /// Where the vendor listens (HTTPS).
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where the control listener listens (plain HTTP).
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Where the fake metadata endpoint listens (plain HTTP); none if absent.
    #[arg(long)]
    metadata: Option<SocketAddr>,
    /// Directory with `ca.crt` and `ca.key`; both are made there if absent.
    #[arg(long, conflicts_with_all = ["ca_cert", "ca_key"])]
    ca_out: Option<PathBuf>,
    /// Certificate of the authority that signs the server's certificate.
    #[arg(long, requires = "ca_key")]
    ca_cert: Option<PathBuf>,
    /// Key of that authority.
    #[arg(long, requires = "ca_cert")]
    ca_key: Option<PathBuf>,
    /// An issuer of federated tokens and its key set: `ISSUER=FILE`. May be repeated.
    #[arg(long = "issuer", value_parser = issuer)]
    issuers: Vec<Issuer>,
    /// Accept tokens of the cluster that this runs in; keys come from its API server.
    #[arg(long)]
    kubernetes_issuer: bool,
}

fn generated(text: &str) -> Result<Wanted, String> {
    let mut wanted = Wanted { apps: 1000, seed: 1 };
    for field in text.split(',') {
        let known = match field.split_once('=') {
            Some(("apps", number)) => number.parse().map(|apps| wanted.apps = apps).is_ok(),
            Some(("seed", number)) => number.parse().map(|seed| wanted.seed = seed).is_ok(),
            _ => false,
        };
        if !known {
            return Err(format!("`{field}` is neither apps=NUMBER nor seed=NUMBER"));
        }
    }
    Ok(wanted)
}

fn issuer(text: &str) -> Result<Issuer, String> {
    let (issuer, file) = text.rsplit_once('=').ok_or("write ISSUER=FILE, where FILE holds a JSON Web Key Set")?;
    let jwks_file = Some(file.to_owned());
    Ok(Issuer { issuer: issuer.to_owned(), jwks: None, jwks_file, jwks_url: None, ca_file: None, token_file: None })
}

#[derive(Debug, thiserror::Error)]
enum MainError {
    #[error(transparent)]
    Estate(#[from] sv0_estate::estate::EstateError),
    #[error(transparent)]
    Tls(#[from] sv0_estate::tls::TlsError),
    #[error(transparent)]
    Start(#[from] server::StartError),
    #[error("cannot write the estate: {0}")]
    Write(#[from] serde_yaml::Error),
    #[error("cannot wait for signals: {0}")]
    Signal(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("a TLS provider was already installed");
        return ExitCode::FAILURE;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Args::parse().command {
        Command::Serve(args) => serve(*args).await,
        Command::Check { estate } => check(&estate),
        Command::Generate { apps, seed, secret } => generate(apps, seed, &secret),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &std::path::Path) -> Result<(), MainError> {
    let estate = Estate::load(path, Timestamp::now())?;
    for (kind, count) in census(&estate) {
        println!("{kind}: {count}");
    }
    Ok(())
}

fn generate(apps: usize, seed: u64, secret: &str) -> Result<(), MainError> {
    serde_yaml::to_writer(std::io::stdout().lock(), &sv0_estate::generate::generate(apps, seed, secret))?;
    Ok(())
}

async fn serve(args: Serve) -> Result<(), MainError> {
    let now = Timestamp::now();
    let estate = match (&args.estate, args.generated) {
        (Some(path), _) => Estate::load(path, now)?,
        (None, wanted) => {
            let Wanted { apps, seed } = wanted.unwrap_or(Wanted { apps: 1000, seed: 1 });
            Estate::new(sv0_estate::generate::generate(apps, seed, sv0_estate::generate::SECRET), now)?
        }
    };
    let authority = match (&args.ca_out, &args.ca_cert, &args.ca_key) {
        (Some(directory), _, _) => Authority::in_directory(directory)?,
        (None, Some(cert), Some(key)) => Authority::from_files(cert, key)?,
        _ => Authority::generate()?,
    };
    tracing::info!(counts = ?census(&estate), "estate loaded");
    let options = Options {
        listen: args.listen,
        admin: args.admin,
        metadata: args.metadata,
        issuers: args.issuers,
        kubernetes_issuer: args.kubernetes_issuer,
    };
    let running = server::start(estate, &authority, options).await?;
    tracing::info!(vendor = %running.address, admin = %running.admin, metadata = ?running.metadata, "serving");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    running.stop();
    Ok(())
}
