//! What benchmarks on a cluster begin and end with: the product installed on it, two empty estates, and everything put
//! back afterwards as it was found.

use anyhow::{Result, anyhow};
use serde_json::Value;
use sv0_e2e::deploy::{self, Options, RELEASE, SYSTEM};
use sv0_e2e::world::ESTATES;
use sv0_e2e::{Env, Kubectl, World};

use super::Figure;
use crate::cluster;
use crate::context::{Context, Stages};
use crate::demo;

/// Runs `measure` on an installation with empty estates, and leaves the cluster as it was found: with the test
/// installation if there was one, without it otherwise.
pub(super) fn on_a_cluster(
    ctx: &Context,
    options: &cluster::Options,
    measure: impl FnOnce(&Env, &World, &mut Stages) -> Result<Vec<Figure>>,
) -> Result<Vec<Figure>> {
    let mut stages = Stages::default();
    let cluster = stages.run("cluster", || Ok((cluster::up(ctx, options)?.0, String::new())))?;
    let env = stages.run("images", || Ok((demo::images(ctx, &cluster)?, String::new())))?;
    let kubectl = Kubectl::new(&env);
    let found = kubectl.find(SYSTEM, "deployment", "securityv0-manager").map_err(plain)?.is_some();
    let world = World::clean_in(env.clone()).map_err(plain)?;
    let measured = measure(&env, &world, &mut stages);
    let cleaned = clean_up(&env, &world, found);
    stages.print();
    let figures = measured?;
    cleaned?;
    Ok(figures)
}

/// Installs or upgrades the product for both estates, with these values over the usual ones.
pub(super) fn install(env: &Env, kubectl: &Kubectl, values: Value) -> Result<()> {
    let options = Options { estates: ESTATES.map(str::to_owned).to_vec(), values };
    deploy::operator(env, kubectl, &options).map_err(plain)
}

/// Removes the product; resource definitions and estates stay.
pub(super) fn uninstall(env: &Env) -> Result<()> {
    deploy::helm(env, &["uninstall", RELEASE, "-n", SYSTEM, "--wait", "--timeout", "2m"]).map(drop).map_err(plain)
}

fn clean_up(env: &Env, world: &World, installed_before: bool) -> Result<()> {
    let kubectl = &world.kubectl;
    // Instances first: a running scan would bring its Findings back.
    for estate in ESTATES {
        kubectl.run(&["delete", "connectorinstances", "--all", "-n", estate, "--timeout=2m"]).map_err(plain)?;
        super::many::remove(kubectl, estate)?;
    }
    if installed_before {
        return install(env, kubectl, Value::Null);
    }
    uninstall(env)?;
    let namespaces = [ESTATES[0], ESTATES[1], SYSTEM, sv0_e2e::vendor::NAMESPACE];
    let mut delete = vec!["delete", "namespace", "--wait=false"];
    delete.extend(namespaces);
    kubectl.run(&delete).map(drop).map_err(plain)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn plain(error: sv0_e2e::Error) -> anyhow::Error {
    anyhow!("{error}")
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with two decimals")]
pub(super) fn number(value: u64) -> f64 {
    value as f64
}
