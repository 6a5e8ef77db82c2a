//! The images that the cluster itself needs: the sandbox, cluster DNS, and a small shell with network tools for
//! tests. They come from this machine, since nothing is ever pulled.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::packages;
use crate::context::Context;
use crate::image::oci::{Archive, Entry};
use crate::sh::Sh;
use crate::tools;

/// Numeric, so that `runAsNonRoot` can be checked.
const NOBODY: &str = "65532:65532";
/// These images run where they are made.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Writes the archives below `dir`.
pub(super) fn build(ctx: &Context, dir: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let pause = dir.join("pause");
    Sh::new("gcc")
        .args(["-Os", "-static", "-s", "-o"])
        .arg(&pause)
        .arg(ctx.root.join("e2e/cluster/images/pause.c"))
        .quiet()?;
    let mut written = vec![shell(ctx, dir)?];
    for (name, program) in [("pause", pause), ("coredns", tools::path(ctx, "coredns")?)] {
        let archive = Archive {
            names: vec![format!("securityv0.local/{name}:1")],
            entries: vec![Entry::program(name, program)],
            entrypoint: vec![format!("/{name}")],
            user: NOBODY.into(),
            architecture: ARCHITECTURE,
            compressed: false,
        };
        let path = dir.join(format!("{name}.tar"));
        archive.write(&path)?;
        written.push(path);
    }
    Ok(written)
}

/// Writes the archive of the test image: a shell with file tools (Debian's static busybox) and `probe` for the
/// network.
pub(super) fn shell(ctx: &Context, dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let busybox = packages::find("busybox").ok_or_else(|| anyhow!("busybox is missing: install busybox-static"))?;
    let applets = Sh::new(&busybox).arg("--list").read()?;
    let mut entries = vec![
        Entry::program("bin/busybox", busybox),
        Entry::program("bin/probe", tools::path(ctx, "probe")?),
        Entry::text("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65532:65532:nobody:/:/bin/sh\n"),
        Entry::text("etc/group", "root:x:0:\nnobody:x:65532:\n"),
        Entry::directory("tmp", 0o1777),
    ];
    entries.extend(
        applets
            .lines()
            .filter(|applet| *applet != "busybox")
            .map(|applet| Entry::link(format!("bin/{applet}"), "busybox")),
    );
    let archive = Archive {
        names: vec!["securityv0.local/busybox:1".into()],
        entries,
        entrypoint: Vec::new(),
        user: String::new(),
        architecture: ARCHITECTURE,
        compressed: false,
    };
    let path = dir.join("busybox.tar");
    archive.write(&path)?;
    Ok(path)
}
