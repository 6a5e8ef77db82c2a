//! A fake cloud metadata endpoint on the well-known link-local address of this machine: it offers a credential to
//! whoever asks, and counts who came.
//!
//! Needs the node of the cluster to be this machine, and the right to give it an address. Everything is taken back when
//! the value is dropped.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::Result;

/// Where clouds offer credentials to their machines.
pub const ADDRESS: &str = "169.254.169.254";
/// The device that gets the address: the node's own in a cluster that we built.
const DEVICE: &str = "sv0-node0";

/// The endpoint, on the ports 80 and 443 (an encrypted one would be asked there).
#[derive(Debug)]
pub struct Metadata {
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    // Dropped last: the address goes when nobody listens any more.
    _address: Address,
}

/// The address on the node's device.
#[derive(Debug)]
struct Address;

impl Address {
    fn take() -> Result<Self> {
        ip("add").map(|()| Self)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        if let Err(e) = ip("del") {
            eprintln!("{ADDRESS} stays on {DEVICE}: {e}");
        }
    }
}

fn ip(verb: &str) -> Result<()> {
    let out = Command::new("ip").args(["addr", verb, &format!("{ADDRESS}/32"), "dev", DEVICE]).output()?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("ip addr {verb}: {}", String::from_utf8_lossy(&out.stderr).trim()).into())
}

impl Metadata {
    /// Why this machine cannot have the endpoint; `None` when it can.
    pub fn obstacle() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root may give the node another address".into());
        }
        let device = std::path::Path::new("/sys/class/net").join(DEVICE);
        (!device.exists()).then(|| format!("the cluster's node is not this machine: there is no {DEVICE}"))
    }

    /// Takes the address and answers on it.
    pub fn start() -> Result<Self> {
        let address = Address::take()?;
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for port in [80, 443] {
            let listener = TcpListener::bind((ADDRESS, port))?;
            listener.set_nonblocking(true)?;
            let (connections, stop) = (Arc::clone(&connections), Arc::clone(&stop));
            std::thread::spawn(move || serve(&listener, &connections, &stop));
        }
        Ok(Self { connections, stop, _address: address })
    }

    /// Connections since the start, on both ports.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn serve(listener: &TcpListener, connections: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((stream, _)) => {
                connections.fetch_add(1, Ordering::SeqCst);
                // Whoever hangs up early was counted all the same.
                drop(answer(stream));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// As the vendor's endpoint answers one that asks for a token.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = [0; 4096];
    let _length = stream.read(&mut request)?;
    let body = r#"{"access_token":"offered-by-the-metadata-endpoint","expires_in":"86399","token_type":"Bearer"}"#;
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}
