//! Kills one program at one point, while the audit log tells how far it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;

use super::points::{Marker, Point, Program};
use super::process::{self, Process};
use crate::audit::Tail;
use crate::deploy::SYSTEM;
use crate::{Kubectl, Result};

/// Between looks at the audit log.
const LOOK: Duration = Duration::from_millis(1);
/// Looks between searches for the process of a Job.
const SEARCH_EVERY: u32 = 8;
/// How long a Job's pod may take to exist.
const NO_POD_YET: Duration = Duration::from_secs(5);

/// What happened at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What was killed: the process, the pod, or nothing because it was gone already.
    pub what: What,
    /// The last mark that had been seen by then.
    pub last_mark: String,
}

/// What was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The program's process.
    Process,
    /// Its pod: no process was running or visible.
    Pod,
    /// It had ended by itself.
    Nothing,
}

/// Kills one program once.
pub(super) struct Striker<'a> {
    pub(super) point: &'a Point,
    pub(super) kubectl: &'a Kubectl,
    pub(super) estate: &'a str,
}

impl Striker<'_> {
    /// Follows `audit` until the point is reached and strikes; gives nothing when `over` comes first.
    pub(super) fn run(&self, mut audit: Tail, over: &AtomicBool) -> Result<Option<Hit>> {
        let program = self.point.program;
        let mut marker = Marker::new(program, self.estate);
        let mut target = if program.is_job() { None } else { self.search() };
        let (mut at, mut last_mark, mut looks) = (None, String::new(), 0_u32);
        while !over.load(Ordering::Relaxed) {
            for event in audit.read()? {
                if let Some(mark) = marker.observe(&event) {
                    if at.is_none() && mark.label == self.point.mark {
                        at = Some(mark.at);
                    }
                    last_mark = mark.label;
                }
            }
            if at.is_some_and(|at| reached(at, self.point.delay)) {
                let what = self.strike(target, over)?;
                return Ok(Some(Hit { what, last_mark }));
            }
            if program.is_job() && marker.running() == Some(program) && target.is_none() {
                looks += 1;
                if looks.is_multiple_of(SEARCH_EVERY) {
                    target = self.search();
                }
            }
            sleep(LOOK);
        }
        Ok(None)
    }

    fn strike(&self, target: Option<Process>, over: &AtomicBool) -> Result<What> {
        let program = self.point.program;
        let struck = target.is_some_and(|process| process.kill());
        if !program.is_job() {
            if !struck || self.point.pod {
                self.delete_pod()?;
            }
            return Ok(if struck { What::Process } else { What::Pod });
        }
        if struck {
            return Ok(What::Process);
        }
        // The Job is there, its process is not: not yet, or no longer, or on a machine that is not this one.
        let end = Timestamp::now() + NO_POD_YET;
        while Timestamp::now() < end && !over.load(Ordering::Relaxed) {
            if self.search().is_some_and(|process| process.kill()) {
                return Ok(What::Process);
            }
            if self.delete_pod()? {
                return Ok(What::Pod);
            }
        }
        Ok(What::Nothing)
    }

    fn search(&self) -> Option<Process> {
        let estate = format!("\"namespace\":\"{}\"", self.estate);
        match self.point.program {
            Program::Manager => process::find("/manager", "securityv0-manager-", ""),
            Program::Store => process::find("/store", "securityv0-store-", ""),
            Program::Scan => process::find("/scan", "sv0-scan-", &estate),
            Program::Evaluate => process::find("/evaluate", "sv0-eval-", &estate),
        }
    }

    /// Deletes the program's pod without grace; says whether there was one that had not ended.
    fn delete_pod(&self) -> Result<bool> {
        let (namespace, label) = match self.point.program {
            Program::Manager => (SYSTEM, "app.kubernetes.io/component=manager"),
            Program::Store => (SYSTEM, "app.kubernetes.io/component=store"),
            Program::Scan => (self.estate, "securityv0.com/program=scan"),
            Program::Evaluate => (SYSTEM, "securityv0.com/program=evaluate"),
        };
        let unfinished = "--field-selector=status.phase!=Succeeded,status.phase!=Failed";
        let common = ["-n", namespace, "-l", label, unfinished, "-o", "name"];
        let mut all = vec!["delete", "pods", "--grace-period=0", "--force", "--wait=false"];
        all.extend(common);
        Ok(!self.kubectl.run(&all)?.trim().is_empty())
    }
}

/// Whether `delay` has passed since the mark.
fn reached(at: Timestamp, delay: Duration) -> bool {
    let passed = Timestamp::now().duration_since(at);
    Duration::try_from(passed).is_ok_and(|passed| passed >= delay)
}
