//! The controller of `ScanSchedule`s: reads them once, tells the instances that they select, and shows ticks and matches
//! in the status. It starts no scan: instances ask the timetables themselves.

mod status;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use kube::runtime::controller::Action;
use sv0_api::ScanSchedule;

use crate::cluster;
use crate::context::{Context, Guarded, PATIENCE, Scheduled, now, until};
use crate::error::Error;
use crate::schedule::{ScheduleError, Timetable};

/// A timetable or the reason why there is none.
pub(crate) type Reading = Result<Timetable, ScheduleError>;

/// One look at one schedule.
pub(crate) async fn reconcile(object: Arc<Guarded<ScanSchedule>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let Ok(schedule) = &object.0 else {
        tracing::warn!(schedule = object.name_any(), "a ScanSchedule cannot be read; apply it again");
        return Ok(Action::await_change());
    };
    let work = async {
        ctx.caches_filled().await?;
        look(schedule, &ctx).await
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(Error::TimedOut))
}

async fn look(schedule: &ScanSchedule, ctx: &Context) -> Result<Action, Error> {
    let now = now();
    let namespace = schedule.namespace().unwrap_or_default();
    let spec = &schedule.spec;
    let reading =
        Timetable::parse(&spec.schedule, &spec.time_zone, spec.jitter_seconds(), spec.starting_deadline_seconds, now);
    let selector: Result<Selector, _> = spec.selector.clone().try_into();
    let Ok(selector) = selector else {
        ctx.forget_schedule(&namespace, &schedule.name_any());
        return finish(schedule, ctx, status::unusable_selector(schedule, now), None).await;
    };
    let matched: Vec<_> = ctx.instances_of(&namespace).into_iter().filter(|i| selector.matches(i.labels())).collect();
    let in_estate = ctx.config.is_estate(&namespace);
    let timetable = reading.as_ref().ok().filter(|_| in_estate && !spec.suspend).map(|t| Arc::new(t.clone()));
    let scheduled = Scheduled { generation: schedule.metadata.generation, selector, timetable };
    if ctx.remember_schedule(&namespace, &schedule.name_any(), scheduled) {
        // Those that it selects now, and those that it selected before.
        ctx.wake_instances_of(&namespace);
    }
    let (new, next) = if in_estate {
        status::compute(schedule, &reading, matched.len(), now)
    } else {
        (status::not_an_estate(schedule, now), None)
    };
    finish(schedule, ctx, new, next.map(|at| until(at, now))).await
}

async fn finish(
    schedule: &ScanSchedule,
    ctx: &Context,
    status: sv0_api::ScanScheduleStatus,
    again: Option<Duration>,
) -> Result<Action, Error> {
    if schedule.status.as_ref() != Some(&status) {
        cluster::apply_status(&ctx.client, schedule, &status).await?;
    }
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

/// A schedule is gone.
pub(crate) fn vanished(ctx: &Context, namespace: &str, name: &str) {
    ctx.forget_schedule(namespace, name);
    ctx.wake_instances_of(namespace);
}

/// What to do after an error.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(crate) fn error_policy(_: Arc<Guarded<ScanSchedule>>, error: &Error, ctx: Arc<Context>) -> Action {
    ctx.metrics.reconcile_errors.with_label_values(&["ScanSchedule", error.cause()]).inc();
    error.again()
}
