//! The fuzz targets compile. They stand outside of the workspace, with a lock of their own, so that nothing else would
//! notice when what they call has changed.

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::sh::Sh;

/// None; fails with what the compiler says when they do not.
pub(super) fn violations(ctx: &Context) -> Result<Vec<String>> {
    let manifest = ctx.root.join("fuzz/Cargo.toml");
    let check = Sh::new(env!("CARGO"))
        .args(["check", "--quiet", "--locked", "--bins", "--manifest-path"])
        .arg(&manifest)
        // What the workspace's own checks have compiled serves here too.
        .env("CARGO_TARGET_DIR", ctx.root.join("target"))
        .dir(&ctx.root)
        .quiet();
    check.context("the fuzz targets do not compile")?;
    Ok(Vec::new())
}
