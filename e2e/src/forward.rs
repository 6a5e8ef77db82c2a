//! A way from this machine to one port of a Service or pod, open as long as the value lives.
//!
//! Goes through the API server and the kubelet into the pod's own network, so network policies do not stand in the way.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{Env, Result};

/// An open forward. Closed when dropped.
#[derive(Debug)]
pub struct Forward {
    child: Child,
    /// The local port on 127.0.0.1.
    pub port: u16,
}

impl Forward {
    /// Forwards a free local port to `port` of `target` (`service/NAME`, `pod/NAME`).
    pub fn open(env: &Env, namespace: &str, target: &str, port: u16) -> Result<Self> {
        let mut child = Command::new(&env.kubectl)
            .env("KUBECONFIG", &env.kubeconfig)
            .args(["-n", namespace, "port-forward", target, &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            let mut out = BufReader::new(out);
            out.read_line(&mut line)?;
            // It writes a line for each connection, and would die of a pipe that nobody reads.
            std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        }
        // "Forwarding from 127.0.0.1:40123 -> 8443"
        let local = line.split("127.0.0.1:").nth(1).and_then(|r| r.split(' ').next()).and_then(|p| p.parse().ok());
        let Some(local) = local else {
            child.kill()?;
            child.wait()?;
            return Err(
                format!("no way to port {port} of {target} in {namespace}; the port-forward said: {line}").into()
            );
        };
        Ok(Self { child, port: local })
    }

    /// The body of a plain HTTP answer; anything but success is an error.
    pub fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let out = Command::new("curl").args(["-sS", "--fail", "--noproxy", "*", "--max-time", "20", &url]).output()?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        Err(format!("{path}: {}", String::from_utf8_lossy(&out.stderr).trim()).into())
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // The child is ours; if it is gone already there is nothing left to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
