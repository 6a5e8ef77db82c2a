//! A cluster in Docker, made by kind.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::templates::Templates;
use super::{Cluster, Provider, base_images, packages};
use crate::context::{Context, Stages};
use crate::sh::Sh;
use crate::tools::{self, CLIENT, Group, KIND};

const NAME: &str = "securityv0";
const GROUPS: [&Group; 2] = [&CLIENT, &KIND];

/// Whether a Docker daemon answers.
pub(super) fn is_possible() -> bool {
    Sh::new("docker").arg("info").succeeds()
}

/// Makes the cluster.
pub(super) fn up(ctx: &Context, stages: &mut Stages) -> Result<Cluster> {
    stages.run("tools", || {
        packages::ensure(&packages::FOR_KIND)?;
        Ok(((), tools::ensure_built(ctx, &GROUPS)?))
    })?;
    let kubeconfig = ctx.state.join("kubeconfig");
    stages.run("cluster", || {
        let (config, logs) = (ctx.state.join("config"), ctx.state.join("logs"));
        fs::create_dir_all(&config)?;
        fs::create_dir_all(&logs)?;
        let templates = Templates::new(ctx, vec![("STATE", ctx.state.display().to_string())]);
        templates.write("audit.yaml", &config)?;
        templates.write("kind.yaml", &config)?;
        kind(ctx)?
            .args(["create", "cluster", "--name", NAME, "--wait", "180s", "--config"])
            .arg(config.join("kind.yaml"))
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .run()?;
        load_image(ctx, &base_images::shell(ctx, &ctx.state.join("images"))?)?;
        Ok(((), "kind".into()))
    })?;
    Ok(Cluster {
        provider: Provider::Kind,
        kubeconfig,
        audit_log: Some(ctx.state.join("logs/audit.log")),
        bin: tools::bin_dir(ctx, &GROUPS)?,
    })
}

/// Deletes the cluster.
pub(super) fn down(ctx: &Context) -> Result<()> {
    kind(ctx)?.args(["delete", "cluster", "--name", NAME]).run()?;
    tools::remove_dir(&ctx.state)
}

/// Imports an OCI archive into the node.
pub(super) fn load_image(ctx: &Context, archive: &Path) -> Result<()> {
    kind(ctx)?.args(["load", "image-archive", "--name", NAME]).arg(archive).run()
}

fn kind(ctx: &Context) -> Result<Sh> {
    Ok(Sh::new(tools::path(ctx, "kind")?))
}
