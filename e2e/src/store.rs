//! The store as an attacker or an auditor reaches it: through a port-forward, with whatever token they hold.

use std::process::Command;

use crate::deploy::SYSTEM;
use crate::forward::Forward;
use crate::{Result, World};

/// An open way to the store. Closed when dropped.
pub struct Store {
    forward: Forward,
    ca: std::path::PathBuf,
}

impl Store {
    /// Forwards a free local port to the store.
    pub fn open(world: &World) -> Result<Self> {
        let map = world.kubectl.get(&["-n", SYSTEM, "configmap", "securityv0-store-ca"])?;
        let ca = std::env::temp_dir().join(format!("securityv0-store-ca-{}.pem", std::process::id()));
        std::fs::write(&ca, map["data"]["ca.crt"].as_str().ok_or("the store published no authority")?)?;
        let forward = Forward::open(&world.env, SYSTEM, "service/securityv0-store", 8443)?;
        Ok(Self { forward, ca })
    }

    fn curl(&self, method: &str, path: &str, token: Option<&str>) -> Command {
        let host = format!("securityv0-store.{SYSTEM}.svc");
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "20", "-X", method]);
        command.arg("--cacert").arg(&self.ca);
        command.arg("--connect-to").arg(format!("{host}:8443:127.0.0.1:{}", self.forward.port));
        if let Some(token) = token {
            command.arg("-H").arg(format!("Authorization: Bearer {token}"));
        }
        command.arg(format!("https://{host}:8443{path}"));
        command
    }

    /// Status code of one request with a small body that fits no digest.
    pub fn status(&self, method: &str, path: &str, token: Option<&str>) -> Result<u16> {
        let mut command = self.curl(method, path, token);
        command.args(["-o", "/dev/null", "-w", "%{http_code}"]);
        if method == "PUT" {
            command.args(["--data-binary", "not the promised content"]);
        }
        let out = command.output()?;
        let code = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        code.parse().map_err(|_| format!("{method} {path}: {}", String::from_utf8_lossy(&out.stderr)).into())
    }

    /// What is stored at `path`; anything but success is an error.
    pub fn get(&self, path: &str, token: &str) -> Result<Vec<u8>> {
        let out = self.curl("GET", path, Some(token)).arg("--fail").output()?;
        if out.status.success() {
            return Ok(out.stdout);
        }
        Err(format!("GET {path}: {}", String::from_utf8_lossy(&out.stderr).trim()).into())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.ca));
    }
}
