//! The images that the cluster itself needs: the sandbox, cluster DNS, and a small shell with network tools for
//! tests. They come from this machine, since nothing is ever pulled.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

use super::packages;
use crate::context::Context;
use crate::image::oci::{Archive, Entry};
use crate::sh::Sh;
use crate::tools;

/// Numeric, so that `runAsNonRoot` can be checked.
const NOBODY: &str = "65532:65532";

/// Writes the archives below `dir`.
pub(super) fn build(ctx: &Context, dir: &std::path::Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir)?;
    let pause = dir.join("pause");
    Sh::new("gcc")
        .args(["-Os", "-static", "-s", "-o"])
        .arg(&pause)
        .arg(ctx.root.join("e2e/cluster/images/pause.c"))
        .quiet()?;
    let pause = Archive {
        names: vec!["securityv0.local/pause:1".into()],
        entries: vec![Entry::program("pause", pause)],
        entrypoint: vec!["/pause".into()],
        user: NOBODY.into(),
        architecture: "amd64",
    };
    let dns = Archive {
        names: vec!["securityv0.local/coredns:1".into()],
        entries: vec![Entry::program("coredns", tools::path(ctx, "coredns")?)],
        entrypoint: vec!["/coredns".into()],
        user: NOBODY.into(),
        architecture: "amd64",
    };
    let mut written = Vec::new();
    for (archive, name) in [(pause, "pause"), (dns, "coredns"), (shell(ctx)?, "busybox")] {
        let path = dir.join(format!("{name}.tar"));
        archive.write(&path)?;
        written.push(path);
    }
    Ok(written)
}

/// A shell with file tools (Debian's static busybox) and `probe` for the network.
fn shell(ctx: &Context) -> Result<Archive> {
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
    Ok(Archive {
        names: vec!["securityv0.local/busybox:1".into()],
        entries,
        entrypoint: Vec::new(),
        user: String::new(),
        architecture: "amd64",
    })
}
