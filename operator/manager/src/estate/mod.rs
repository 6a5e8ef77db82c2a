//! The controller of Estates: decides when an estate is evaluated, starts that Job in the operator's namespace, and
//! tries again what failed.
//!
//! It writes no status: that belongs to the evaluation. What the last evaluation used is read from the Estate's status,
//! what is under way from the Jobs; so nothing is lost with the manager. While an estate is idle it sends no request.

mod attempt;
mod build;
mod dereference;
#[cfg(test)]
mod restart_tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use sv0_api::{ESTATE_NAME, Estate};
use sv0_protocol::{EvaluateExceptions, RULE_PACK, Reason};

use crate::cluster;
use crate::conditions::sentence;
use crate::context::{Context, Guarded, PATIENCE, Remembered, lock, now, until};
use crate::error::Error;
use crate::evaluation_due::{self, Cause, EvaluationDue, EvaluationFacts, OrderContext, Patience};
use attempt::{Attempt, Failure};

/// Between looks at a Job that is starting or running.
const LOOK: Duration = Duration::from_secs(2);
/// How long an evaluation is not repeated whose success the status does not show.
const DISTRUST: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// Between looks while the store has not said how it is reached.
const RECHECK: Duration = Duration::from_secs(15);

/// Makes the Estate `default` of a namespace that has an instance and none yet.
pub(crate) async fn ensure(ctx: &Context, namespace: &str) -> Result<(), Error> {
    if ctx.has_estate(namespace) {
        return Ok(());
    }
    let api: Api<Estate> = Api::namespaced(ctx.client.clone(), namespace);
    let metadata = ObjectMeta { name: Some(ESTATE_NAME.to_owned()), ..ObjectMeta::default() };
    let empty = Estate { metadata, spec: sv0_api::EstateSpec::default(), status: None };
    match api.create(&PostParams::default(), &empty).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(Error::Estate(error)),
    }
}

/// One look at one estate.
pub(crate) async fn reconcile(object: Arc<Guarded<Estate>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let Ok(estate) = &object.0 else {
        tracing::warn!(estate = object.namespace(), "an Estate cannot be read; apply it again");
        return Ok(Action::await_change());
    };
    let namespace = estate.namespace().unwrap_or_default();
    if !ctx.config.is_estate(&namespace) || estate.name_any() != ESTATE_NAME {
        return Ok(Action::await_change());
    }
    let work = async {
        ctx.caches_filled().await?;
        Scene { namespace, ctx: &ctx, now: now() }.look(estate).await
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(Error::TimedOut))
}

/// One look: the estate's namespace, the instant, and everything to act with.
struct Scene<'a> {
    namespace: String,
    ctx: &'a Context,
    now: Timestamp,
}

impl Scene<'_> {
    async fn look(&self, estate: &Estate) -> Result<Action, Error> {
        if self.remembered(|r| r.idle)
            && let quiet @ (EvaluationDue::Later(_) | EvaluationDue::OnChange) = self.decide(estate, None)
        {
            return Ok(self.sleep(quiet));
        }
        let jobs = dereference::jobs(self.ctx, &self.namespace).await?;
        let Some((newest, older)) = jobs.split_first() else {
            return self.settle(estate, None).await;
        };
        for job in older {
            self.delete(job).await?;
        }
        match attempt::judge(newest, cluster::state_of(&self.ctx.client, newest, self.now).await?, self.now) {
            Attempt::UnderWay(held_up) => {
                if let Some(reason) = held_up {
                    self.announce(estate, newest, reason).await;
                }
                Ok(Action::requeue(LOOK))
            }
            Attempt::Done(report) => {
                tracing::info!(
                    estate = self.namespace,
                    findings = report.findings,
                    written = report.written,
                    "evaluated"
                );
                self.ctx.metrics.evaluations.with_label_values(&["Succeeded", "None"]).inc();
                let as_of = build::order_of(newest).map_or(self.now, |order| order.as_of);
                let of_this_build = build::runs_image(newest, &self.ctx.config.image);
                self.remember(|r| {
                    r.done = Some((as_of, self.now));
                    r.rules_current |= of_this_build;
                });
                self.delete(newest).await?;
                // Its status is on its way to us, or here already.
                Ok(Action::requeue(Duration::from_secs(1)))
            }
            Attempt::Failed(failure) => {
                self.announce(estate, newest, failure.reason).await;
                self.settle(estate, Some((newest, failure))).await
            }
        }
    }

    /// No Job is under way: is one needed? Asked of the API server itself, since the watch may lag behind an evaluation
    /// that has just ended.
    async fn settle(&self, seen: &Estate, failed: Option<(&Job, Failure)>) -> Result<Action, Error> {
        let api: Api<Estate> = Api::namespaced(self.ctx.client.clone(), &self.namespace);
        let Some(estate) = api.get_opt(&seen.name_any()).await.map_err(Error::Estate)? else {
            return Ok(Action::await_change());
        };
        if self.contradicted(&estate) {
            return Ok(Action::requeue(LOOK));
        }
        match self.decide(&estate, failed.as_ref().map(|(_, failure)| failure)) {
            EvaluationDue::Now(cause) => self.order(&estate, cause, failed).await,
            later => {
                // A failed attempt is kept until its successor exists: it holds the order and the count. One that was
                // lost after it had written everything needs no successor.
                match failed {
                    Some((job, _)) if self.is_settled(&estate) => {
                        self.delete(job).await?;
                        self.remember(|r| r.idle = true);
                    }
                    Some(_) => {}
                    None => self.remember(|r| r.idle = true),
                }
                Ok(self.sleep(later))
            }
        }
    }

    async fn order(&self, estate: &Estate, cause: Cause, failed: Option<(&Job, Failure)>) -> Result<Action, Error> {
        let Some(store) = cluster::store_access(&self.ctx.client, &self.ctx.config).await? else {
            tracing::warn!("the store has not published its certificate authority yet");
            return Ok(Action::requeue(RECHECK));
        };
        let instances = dereference::instances(self.ctx, &self.namespace);
        let context = OrderContext {
            namespace: &self.namespace,
            estate_spec: serde_json::to_value(&estate.spec)?,
            max_findings: self.ctx.config.limits.max_findings,
            max_snapshot_bytes: self.ctx.config.evaluate_pods.max_snapshot_bytes(),
            store,
        };
        // Whole milliseconds are more than any predicate needs, and they read well.
        let as_of = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        let exceptions = self.ctx.exceptions_of(&self.namespace);
        let new = evaluation_due::order(&self.facts(estate, &instances, &exceptions, None), context, as_of);
        let before = failed.as_ref().and_then(|(job, _)| build::order_of(job));
        let request = evaluation_due::same_or_new(before, new);
        let attempts = failed.as_ref().map_or(0, |(_, failure)| failure.count);
        let job = build::job(&request, serde_json::to_string(&request)?, attempts, &self.ctx.config);
        self.remember(|r| r.idle = false);
        if let Some(reason) = cluster::create_job(&self.ctx.client, &job).await? {
            self.announce(estate, &job, reason).await;
            return Ok(Action::requeue(RECHECK * 4));
        }
        self.ctx.metrics.evaluations_ordered.with_label_values(&[cause.as_str()]).inc();
        tracing::info!(estate = self.namespace, cause = cause.as_str(), attempts, "evaluation ordered");
        // Only now: until its successor exists, the failed Job is the only memory of its order.
        if let Some((failed, _)) = failed {
            self.delete(failed).await?;
        }
        Ok(Action::requeue(LOOK))
    }

    /// An evaluation said that all is written, and the status does not show it. A defect; it must not become a storm of
    /// evaluations.
    fn contradicted(&self, estate: &Estate) -> bool {
        let shown = estate.status.as_ref().and_then(|s| s.as_of.as_ref()).map(|t| t.0);
        let done = self.remembered(|r| r.done);
        done.is_some_and(|(as_of, seen)| {
            shown.is_none_or(|shown| shown < as_of) && self.now.duration_since(seen) < DISTRUST
        })
    }

    fn decide(&self, estate: &Estate, failed: Option<&Failure>) -> EvaluationDue {
        let instances = dereference::instances(self.ctx, &self.namespace);
        let exceptions = self.ctx.exceptions_of(&self.namespace);
        evaluation_due::decide(&self.facts(estate, &instances, &exceptions, failed), self.patience(), self.now)
    }

    fn is_settled(&self, estate: &Estate) -> bool {
        let instances = dereference::instances(self.ctx, &self.namespace);
        let exceptions = self.ctx.exceptions_of(&self.namespace);
        evaluation_due::is_settled(&self.facts(estate, &instances, &exceptions, None), self.patience(), self.now)
    }

    fn patience(&self) -> Patience {
        let settings = self.ctx.config.evaluation;
        Patience {
            quiet: jiff::SignedDuration::from_secs(settings.quiet_seconds.into()),
            max_delay: jiff::SignedDuration::from_secs(settings.max_delay_seconds.into()),
        }
    }

    fn facts<'a>(
        &self,
        estate: &'a Estate,
        instances: &'a [evaluation_due::Instance],
        exceptions: &'a EvaluateExceptions,
        failed: Option<&Failure>,
    ) -> EvaluationFacts<'a> {
        EvaluationFacts {
            generation: estate.metadata.generation.unwrap_or_default(),
            status: estate.status.as_ref(),
            instances,
            exceptions,
            rule_pack: RULE_PACK,
            rules_current: self.remembered(|r| r.rules_current),
            failed: failed.map(Failure::attempt),
        }
    }

    fn sleep(&self, due: EvaluationDue) -> Action {
        match due {
            EvaluationDue::Later(at) => Action::requeue(until(at, self.now)),
            _ => Action::await_change(),
        }
    }

    async fn delete(&self, job: &Job) -> Result<(), Error> {
        cluster::delete_job(&self.ctx.client, &self.ctx.config.operator_namespace, &job.name_any()).await
    }

    /// Says once for each Job what is wrong with it.
    async fn announce(&self, estate: &Estate, job: &Job, reason: Reason) {
        let known = format!("{}/{reason}", job.name_any());
        if self.remembered(|r| r.announced.as_ref() == Some(&known)) {
            return;
        }
        self.remember(|r| r.announced = Some(known));
        self.ctx.metrics.evaluations.with_label_values(&["Failed", reason.as_str()]).inc();
        tracing::warn!(estate = self.namespace, reason = reason.as_str(), "evaluation failed or held up");
        let event = Event {
            type_: EventType::Warning,
            reason: reason.as_str().to_owned(),
            note: Some(format!("The evaluation did not succeed and is tried again. {}", sentence(reason))),
            action: "Evaluating".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.ctx.recorder.publish(&event, &estate.object_ref(&())).await {
            tracing::warn!(%error, estate = self.namespace, "cannot publish an Event");
        }
    }

    fn remembered<T>(&self, read: impl FnOnce(&Remembered) -> T) -> T {
        read(lock(&self.ctx.evaluations).entry(self.namespace.clone()).or_default())
    }

    fn remember(&self, change: impl FnOnce(&mut Remembered)) {
        change(lock(&self.ctx.evaluations).entry(self.namespace.clone()).or_default());
    }
}

/// An Estate is gone: made again if its namespace still has instances.
pub(crate) fn vanished(ctx: &Context, namespace: &str) {
    lock(&ctx.evaluations).remove(namespace);
    if ctx.config.is_estate(namespace) {
        ctx.wake_instances_of(namespace);
    }
}

/// What to do after an error.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(crate) fn error_policy(_: Arc<Guarded<Estate>>, error: &Error, ctx: Arc<Context>) -> Action {
    ctx.metrics.reconcile_errors.with_label_values(&["Estate", error.cause()]).inc();
    error.again()
}
