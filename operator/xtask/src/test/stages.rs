//! What each stage does.

use anyhow::{Context as _, Result, bail};

use super::{Stage, Tally, charts};
use crate::check;
use crate::cluster::{self, Cluster, packages};
use crate::context::{Context, note};
use crate::fuzz;
use crate::image::{self, Arch};
use crate::sh::Sh;
use crate::tools;

/// The state that stages hand on.
pub(super) struct Run<'a> {
    ctx: &'a Context,
    options: &'a cluster::Options,
    /// The stage `fuzz` is among those that run.
    fuzzes: bool,
    cluster: Option<Cluster>,
    cluster_failed: bool,
    made_the_cluster: bool,
    images: Option<Images>,
    left_out: Vec<String>,
}

/// Tells the report's test that a browser is there.
const NEEDS_BROWSER: &str = "SV0_REPORT_NEEDS_BROWSER";

/// Names of the images under test.
#[derive(Clone)]
struct Images {
    operator: String,
    estate: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(ctx: &'a Context, options: &'a cluster::Options, fuzzes: bool) -> Self {
        Self {
            ctx,
            options,
            fuzzes,
            cluster: None,
            cluster_failed: false,
            made_the_cluster: false,
            images: None,
            left_out: Vec::new(),
        }
    }

    /// Whether this run brought the cluster up and so has to remove it.
    pub(super) fn made_the_cluster(&self) -> bool {
        self.made_the_cluster
    }

    /// What could not be looked at on this machine, and why.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Runs one stage.
    pub(super) fn stage(&mut self, stage: Stage) -> Result<Tally> {
        match stage {
            Stage::Fmt => Ok(Tally::one(self.cargo(&["fmt", "--all", "--check"]).run().is_ok())),
            Stage::Clippy => {
                let arguments = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
                Ok(Tally::one(self.cargo(&arguments).run().is_ok()))
            }
            Stage::Unit => {
                let arguments = ["test", "--workspace", "--exclude", "sv0-e2e", "--no-fail-fast"];
                let tests = self.cargo(&arguments);
                match browser() {
                    // From here on it may not be missing: the test fails where it cannot look.
                    Ok(()) => counted(tests.env(NEEDS_BROWSER, "1")),
                    Err(missing) => {
                        self.left_out.push(format!("the report in a real browser: {missing}"));
                        counted(tests)
                    }
                }
            }
            Stage::Check => {
                // The stage `fuzz` compiles the targets itself.
                let (passed, failed) = check::all(self.ctx, |name| !(self.fuzzes && name == check::FUZZ));
                Ok(Tally { passed, failed })
            }
            Stage::Fuzz => {
                let (passed, failed) = fuzz::bounded(self.ctx)?;
                Ok(Tally { passed, failed })
            }
            Stage::Cluster => self.cluster().map(|_| Tally::one(true)),
            Stage::Charts => charts::check(self.ctx, &self.cluster()?),
            Stage::Image => self.images().map(|_| Tally::one(true)),
            Stage::E2e => self.e2e(),
        }
    }

    fn e2e(&mut self) -> Result<Tally> {
        let cluster = self.cluster()?;
        let images = self.images()?;
        let mut tests = self
            .cargo(&["test", "--package", "sv0-e2e", "--no-fail-fast", "--", "--test-threads=1"])
            .env("KUBECONFIG", &cluster.kubeconfig)
            .env("SV0_IMAGE", images.operator)
            .env("SV0_ESTATE_IMAGE", images.estate)
            .env("SV0_HELM", tools::path(self.ctx, "helm")?)
            .env("SV0_KUBECTL", tools::path(self.ctx, "kubectl")?);
        if let Some(log) = &cluster.audit_log {
            tests = tests.env("SV0_AUDIT_LOG", log);
        }
        counted(tests)
    }

    /// The cluster, obtained once; a failure is not tried again by the next stage.
    fn cluster(&mut self) -> Result<Cluster> {
        if self.cluster_failed {
            bail!("there is no cluster: see the stage `cluster`");
        }
        if self.cluster.is_none() {
            self.cluster_failed = true;
            let (cluster, made) = cluster::up(self.ctx, self.options)?;
            self.cluster_failed = false;
            self.made_the_cluster = made;
            self.cluster = Some(cluster);
        }
        self.cluster.clone().context("there is no cluster")
    }

    /// The images: those that the environment names, else built here and loaded.
    fn images(&mut self) -> Result<Images> {
        if let Some(images) = &self.images {
            return Ok(images.clone());
        }
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let images = if let (Some(operator), Some(estate)) = (given("SV0_IMAGE"), given("SV0_ESTATE_IMAGE")) {
            note("using the images named by SV0_IMAGE and SV0_ESTATE_IMAGE");
            Images { operator, estate }
        } else {
            let built = [image::operator(self.ctx, Arch::host())?, image::estate(self.ctx, Arch::host())?];
            let cluster = self.cluster()?;
            for image in &built {
                cluster.load(self.ctx, &image.archive)?;
            }
            let [operator, estate] = built.map(|image| image.name);
            Images { operator, estate }
        };
        self.images = Some(images.clone());
        Ok(images)
    }

    fn cargo(&self, arguments: &[&str]) -> Sh {
        Sh::new(env!("CARGO")).args(arguments).dir(&self.ctx.root)
    }
}

/// The browser that the report is tested in; the error says why it cannot be had.
fn browser() -> Result<(), String> {
    packages::ensure(&packages::FOR_REPORT).map_err(|error| format!("{error:#}"))?;
    match packages::find("npm") {
        Some(_) => Ok(()),
        None => Err("there is no node with npm on this machine".to_owned()),
    }
}

/// Runs `cargo test` and adds up what its test programs report.
fn counted(tests: Sh) -> Result<Tally> {
    let (output, fine) = tests.tee()?;
    Ok(tally(&output, fine))
}

/// What the test programs reported. A run that failed without a failed test (it did not compile, or was killed)
/// counts as one failure, and so does a run in which no test ran.
fn tally(output: &str, fine: bool) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |what: &str| -> u32 {
            let before = line.split_once(what).map_or("", |(before, _)| before);
            before.split_whitespace().next_back().and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        tally.add(Tally { passed: number(" passed"), failed: number(" failed") });
    }
    if tally.failed == 0 && (!fine || tally.passed == 0) {
        tally.failed = 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "test result: ok. 39 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.46s";
    const BAD: &str = "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";

    #[test]
    fn results_of_several_programs_are_added() {
        let output = format!("running 41 tests\n{FINE}\nsomething\n{BAD}\n");
        assert_eq!(tally(&output, false), Tally { passed: 43, failed: 2 });
        assert_eq!(tally(FINE, true), Tally { passed: 39, failed: 0 });
    }

    #[test]
    fn a_run_that_broke_is_a_failure() {
        assert_eq!(tally("", false), Tally { passed: 0, failed: 1 });
        assert_eq!(tally(FINE, false), Tally { passed: 39, failed: 1 });
        assert_eq!(tally("", true), Tally { passed: 0, failed: 1 });
    }
}
