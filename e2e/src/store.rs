//! The store as an attacker or an auditor reaches it: through a port-forward, with whatever token they hold.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::deploy::SYSTEM;
use crate::{Result, World};

/// An open way to the store. Closed when dropped.
pub struct Store {
    forward: Child,
    port: u16,
    ca: std::path::PathBuf,
}

impl Store {
    /// Forwards a free local port to the store.
    pub fn open(world: &World) -> Result<Self> {
        let map = world.kubectl.get(&["-n", SYSTEM, "configmap", "securityv0-store-ca"])?;
        let ca = std::env::temp_dir().join(format!("securityv0-store-ca-{}.pem", std::process::id()));
        std::fs::write(&ca, map["data"]["ca.crt"].as_str().ok_or("the store published no authority")?)?;
        let mut forward = Command::new(&world.env.kubectl)
            .env("KUBECONFIG", &world.env.kubeconfig)
            .args(["-n", SYSTEM, "port-forward", "service/securityv0-store", ":8443"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = forward.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        // "Forwarding from 127.0.0.1:40123 -> 8443"
        let port = line.split("127.0.0.1:").nth(1).and_then(|r| r.split(' ').next()).and_then(|p| p.parse().ok());
        let Some(port) = port else {
            forward.kill()?;
            return Err(format!("the port-forward said: {line}").into());
        };
        Ok(Self { forward, port, ca })
    }

    /// Status code of one request with a small body that fits no digest.
    pub fn status(&self, method: &str, path: &str, token: Option<&str>) -> Result<u16> {
        let host = format!("securityv0-store.{SYSTEM}.svc");
        let mut command = Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", "-X", method]);
        command.arg("--cacert").arg(&self.ca);
        command.arg("--connect-to").arg(format!("{host}:8443:127.0.0.1:{}", self.port));
        if let Some(token) = token {
            command.arg("-H").arg(format!("Authorization: Bearer {token}"));
        }
        if method == "PUT" {
            command.args(["--data-binary", "not the promised content"]);
        }
        let out = command.arg(format!("https://{host}:8443{path}")).output()?;
        let code = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        code.parse().map_err(|_| format!("{method} {path}: {}", String::from_utf8_lossy(&out.stderr)).into())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The child is ours; if it is gone already there is nothing left to end.
        drop(self.forward.kill());
        drop(self.forward.wait());
        drop(std::fs::remove_file(&self.ca));
    }
}
