//! Programs that come from the distribution: installed when this is Debian and the user is root, named otherwise.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::context::note;
use crate::sh::Sh;

/// A needed program and the Debian package that has it.
pub(crate) type Needed = (&'static str, &'static str);

/// What the test image in a kind cluster needs.
pub(super) const FOR_KIND: [Needed; 1] = [("busybox", "busybox-static")];

/// What the test of the report in a browser needs.
pub(crate) const FOR_REPORT: [Needed; 1] = [("chromium", "chromium")];

/// What the cluster made of processes needs.
pub(super) const FOR_BUILT: [Needed; 7] = [
    ("runc", "runc"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("busybox", "busybox-static"),
    ("gcc", "gcc"),
    ("setsid", "util-linux"),
];

/// Makes sure that every program is there.
pub(crate) fn ensure(needed: &[Needed]) -> Result<()> {
    let mut missing: Vec<&str> =
        needed.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if missing.contains(&"gcc") {
        missing.push("libc6-dev");
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        bail!("these packages are missing: {}. Install them, on Debian with: {line}", missing.join(", "));
    }
    note(&format!("installing {}", missing.join(", ")));
    let apt = || Sh::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt().arg("update").quiet()?;
    apt().args(["install", "-y", "--no-install-recommends"]).args(missing).quiet()
}

/// Where `PATH` has the program. System directories count too: a user's `PATH` may lack them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_only() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
        assert!(ensure(&[("sh", "dash")]).is_ok());
    }
}
