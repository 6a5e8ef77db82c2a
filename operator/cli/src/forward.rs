//! A way from this machine into one pod, by `kubectl port-forward` as a child process. Takes the cluster, a pod and a
//! port; gives an address on the loopback. The child ends with the value, on every path.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::kubectl::{Cluster, KubectlError};
use crate::values::{Namespace, shown};

/// How long kubectl may take to open it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of its complaint that are read.
const MAX_COMPLAINT: u64 = 4096;
const WORDS: &str = "port-forward";

/// An open way.
#[derive(Debug)]
pub struct Forward {
    /// Where it begins.
    pub address: SocketAddr,
    // Killed when dropped.
    _child: Child,
}

impl Forward {
    /// Leads a free port of the loopback to `port` of `pod`.
    pub async fn open(cluster: &Cluster, namespace: &Namespace, pod: &str, port: u16) -> Result<Self, KubectlError> {
        let namespace = format!("--namespace={namespace}");
        let (target, ports) = (format!("pod/{pod}"), format!(":{port}"));
        let command = cluster.command(&[WORDS, &target, &ports, &namespace, "--address=127.0.0.1"]);
        let mut child = Command::from(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(KubectlError::Missing)?;
        let opened = tokio::time::timeout(PATIENCE, local_port(&mut child)).await;
        match opened {
            Ok(Some(local)) => Ok(Self { address: (Ipv4Addr::LOCALHOST, local).into(), _child: child }),
            Ok(None) => Err(complaint(child).await),
            Err(_) => Err(failed(&format!("it did not open within {} seconds", PATIENCE.as_secs()))),
        }
    }
}

/// Reads `Forwarding from 127.0.0.1:40123 -> 8443`, and from then on whatever else it prints: it writes a line for each
/// connection, and would die of a pipe that nobody reads.
async fn local_port(child: &mut Child) -> Option<u16> {
    let mut out = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    (&mut out).take(MAX_COMPLAINT).read_line(&mut line).await.ok()?;
    let local = line.strip_prefix("Forwarding from 127.0.0.1:")?.split(' ').next()?.parse().ok()?;
    tokio::spawn(async move { tokio::io::copy(&mut out, &mut tokio::io::sink()).await });
    if let Some(mut complaints) = child.stderr.take() {
        tokio::spawn(async move { tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await });
    }
    Some(local)
}

/// What it said instead.
async fn complaint(mut child: Child) -> KubectlError {
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = stderr.take(MAX_COMPLAINT);
        // A child that neither speaks nor ends is killed with the value.
        if tokio::time::timeout(PATIENCE, stderr.read_to_end(&mut said)).await.is_err() {
            return failed("it printed something unexpected");
        }
    }
    failed(&String::from_utf8_lossy(&said))
}

fn failed(said: &str) -> KubectlError {
    KubectlError::Failed { verb: WORDS.to_owned(), said: shown(said) }
}
