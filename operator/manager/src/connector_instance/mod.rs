//! The controller of `ConnectorInstance`s: when a scan is due it records the intent, starts the Job, watches over it,
//! reads its last words, and says in the status how it went.
//!
//! Takes what is watched and what [`crate::cluster`] reads; decides by the pure modules; writes the status and Jobs.
//! It never reads a Secret and never talks to a source system.

mod apply;
mod build;
mod consent;
mod dereference;
mod expiry;
mod status;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use sv0_api::{ActiveScan, ConnectorInstance, ConnectorInstanceStatus, conditions};
use sv0_protocol::Reason;

use crate::context::{Context, Guarded, PATIENCE, now, until};
use crate::error::Error;
use crate::fairness::Key;
use crate::job_state::JobState;
use crate::scan_due::{self, ScanDue, Trigger};
use crate::{cluster, estate, report};
use expiry::Stored;
use status::Draft;

/// Between looks at a Job that is starting or running.
const LOOK: Duration = Duration::from_secs(2);
/// Between looks at something that a person has to mend in the cluster.
const RECHECK: Duration = Duration::from_secs(15);
/// Longest time without a look at an instance that waits for an instant: timers do not reach years.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
/// An order whose Job never appeared is given up after this.
const ORDER_EXPIRES: i64 = 900;
/// What a Job may take beyond the scan's own deadline, with the time that the Job controller may need to act on it.
const JOB_SLACK: i64 = 300;

/// One look at one instance.
pub(crate) async fn reconcile(object: Arc<Guarded<ConnectorInstance>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let work = async {
        let Ok(instance) = &object.0 else {
            // Written by a version with another schema. The API server's schema refuses such objects today.
            tracing::warn!(instance = object.name_any(), "a ConnectorInstance cannot be read; apply it again");
            return Ok(Action::await_change());
        };
        ctx.caches_filled().await?;
        Scene::new(instance, &ctx).look().await
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(Error::TimedOut))
}

/// One look: the instance, the instant, and everything to act with.
struct Scene<'a> {
    instance: &'a ConnectorInstance,
    ctx: &'a Context,
    now: Timestamp,
    key: Key,
}

impl<'a> Scene<'a> {
    fn new(instance: &'a ConnectorInstance, ctx: &'a Context) -> Self {
        let key = Key { estate: instance.namespace().unwrap_or_default(), name: instance.name_any() };
        Self { instance, ctx, now: now(), key }
    }

    async fn look(&self) -> Result<Action, Error> {
        if self.instance.status.is_none() {
            self.ctx.wake_schedules_of(&self.key.estate);
        }
        if !self.ctx.config.is_estate(&self.key.estate) {
            return self.refuse(Reason::NotAnEstate, Action::await_change()).await;
        }
        estate::ensure(self.ctx, &self.key.estate).await?;
        if let Some(active) = self.instance.status.as_ref().and_then(|s| s.active_scan.as_ref()) {
            self.ctx.occupy_place(&self.key);
            return self.attend(active).await;
        }
        // After a scan that is under way, which is brought to its end whoever else there is.
        if !self.ctx.is_evaluated(&self.key.estate, &self.key.name) {
            return self.refuse(Reason::EstateFull, Action::requeue(RECHECK)).await;
        }
        // What a scan brought is in the cache now, with this very object; when it was recorded it may not have been.
        self.ctx.wake_estate(&self.key.estate);
        self.tidy_up().await?;
        let timetables = self.ctx.timetables_for(&self.instance.metadata);
        let facts = dereference::facts(self.instance, &timetables);
        match scan_due::decide(&facts, self.now) {
            ScanDue::Now(trigger) => self.start(&trigger).await,
            ScanDue::Later(at) => self.rest(Some(at)).await,
            ScanDue::OnChange => self.rest(None).await,
        }
    }

    /// No scan is recorded as under way. A Job that is there all the same was harvested by a manager that ended before
    /// it could delete it; its result is in the status. Asked once per instance and process.
    async fn tidy_up(&self) -> Result<(), Error> {
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        if !self.ctx.is_tidy(uid) {
            cluster::delete_scan_jobs(&self.ctx.client, &self.key.estate, &self.key.name, uid).await?;
            self.ctx.set_tidy(uid, true);
        }
        Ok(())
    }

    fn draft(&self) -> Draft {
        Draft::of(self.instance, self.now)
    }

    async fn write(&self, status: ConnectorInstanceStatus) -> Result<(), Error> {
        apply::write(self.ctx, self.instance, status).await
    }

    async fn rest(&self, next: Option<Timestamp>) -> Result<Action, Error> {
        self.ctx.release_place(&self.key);
        let draft = self.draft();
        let status = if self.instance.spec.suspend { draft.suspended() } else { draft.waiting(next) }.finish();
        let wake = wake_at(next, self.instance, &status, self.now);
        self.write(status).await?;
        Ok(wake.map_or_else(Action::await_change, |at| Action::requeue(until(at, self.now).min(LONGEST_SLEEP))))
    }

    async fn refuse(&self, reason: Reason, again: Action) -> Result<Action, Error> {
        self.ctx.release_place(&self.key);
        self.write(self.draft().refused(reason).finish()).await?;
        Ok(again)
    }

    /// A scan is due: has it a place, an account, a store? Then the intent is written down before anything happens.
    async fn start(&self, trigger: &Trigger) -> Result<Action, Error> {
        let valid = match validate::validate(self.instance) {
            Ok(valid) => valid,
            Err(reason) => return self.refuse(reason, Action::await_change()).await,
        };
        if valid.sign_in.asks_the_node() && !self.ctx.config.scan.allow_metadata_endpoint {
            self.ctx.release_place(&self.key);
            self.write(self.draft().refused_saying(Reason::NetworkNotAllowed, validate::NODE_CLOSED).finish()).await?;
            // The configuration is read at start, and then every instance is looked at.
            return Ok(Action::await_change());
        }
        self.ctx.count_scans_under_way();
        if !self.ctx.request_place(&self.key) {
            self.write(self.draft().queued().finish()).await?;
            return Ok(Action::await_change());
        }
        if let Some(reason) = dereference::obstacle(self.ctx, &valid).await? {
            return self.refuse(reason, Action::requeue(RECHECK)).await;
        }
        let id = build::scan_id(valid.uid, self.now);
        let job = build::job_name(valid.name, valid.uid, &id);
        let request = dereference::scan_request_annotation(self.instance);
        let status = self.draft().ordered(id, job, trigger.as_str(), request).finish();
        if let Err(error) = self.write(status).await {
            self.ctx.release_place(&self.key);
            return Err(error);
        }
        self.ctx.metrics.scans_ordered.with_label_values(&[trigger.as_str()]).inc();
        tracing::info!(instance = valid.name, trigger = trigger.as_str(), "scan ordered");
        // The write comes back through the watch, with the version that the next write needs.
        Ok(Action::await_change())
    }

    /// A scan is under way: where does its Job stand?
    async fn attend(&self, active: &ActiveScan) -> Result<Action, Error> {
        if over_every_bound(active.started_at.0, self.now, self.ctx.config.limits.scan_deadline_seconds) {
            return self.harvest(active, Err(Reason::DeadlineExceeded)).await;
        }
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        let state = cluster::job_state(&self.ctx.client, &self.key.estate, &active.job_name, uid, self.now).await?;
        match state {
            JobState::Missing => self.launch(active).await,
            JobState::Pending | JobState::Running => {
                self.write(self.draft().started().finish()).await?;
                Ok(Action::requeue(LOOK))
            }
            JobState::Blocked(reason) => {
                self.write(self.draft().held_up(reason).finish()).await?;
                Ok(Action::requeue(LOOK))
            }
            JobState::Failed(reason) => self.harvest(active, Err(reason)).await,
            JobState::Ended(ending) => {
                let result = report::scan(&ending, &active.id, active.started_at.0, self.now);
                self.harvest(active, result).await
            }
        }
    }

    /// The intent is recorded and there is no Job: either it was never created, or it is gone.
    async fn launch(&self, active: &ActiveScan) -> Result<Action, Error> {
        let recorded = self.instance.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        let existed =
            conditions::find(recorded, conditions::RECONCILING).is_some_and(|c| c.reason != status::SCAN_ORDERED);
        let age = self.now.duration_since(active.started_at.0).as_secs();
        if existed || age > ORDER_EXPIRES {
            return self.harvest(active, Err(Reason::Lost)).await;
        }
        if !cluster::is_current(&self.ctx.client, self.instance).await? {
            // The watch lags behind: this scan may be over already, and its Job deleted by ourselves.
            return Ok(Action::requeue(Duration::from_secs(1)));
        }
        let valid = match validate::validate(self.instance) {
            Ok(valid) => valid,
            Err(reason) => return self.harvest(active, Err(reason)).await,
        };
        let Some(store) = cluster::store_access(&self.ctx.client, &self.ctx.config).await? else {
            return self.harvest(active, Err(Reason::StoreUnavailable)).await;
        };
        let request = build::request(&valid, &active.id, &self.ctx.config, store);
        let job = build::job(&valid, &request, serde_json::to_string(&request)?, &self.ctx.config);
        if let Some(reason) = cluster::create_job(&self.ctx.client, &job).await? {
            return self.harvest(active, Err(reason)).await;
        }
        let request = dereference::scan_request_annotation(self.instance);
        self.write(self.draft().answering(request).started().finish()).await?;
        Ok(Action::requeue(LOOK))
    }

    /// The result goes into the status first, then the Job goes away: in the other order a crash would lose it.
    async fn harvest(
        &self,
        active: &ActiveScan,
        result: Result<sv0_protocol::ScanReport, Reason>,
    ) -> Result<Action, Error> {
        let status = self.draft().harvested(result).finish();
        let uid = self.instance.metadata.uid.as_deref().unwrap_or_default();
        // Until the Job is deleted: should that fail, the next look tidies up.
        self.ctx.set_tidy(uid, false);
        self.write(status.clone()).await?;
        apply::announce_scan(self.ctx, self.instance, &status);
        cluster::delete_job(&self.ctx.client, &self.key.estate, &active.job_name).await?;
        self.ctx.set_tidy(uid, true);
        self.ctx.release_place(&self.key);
        // The write comes back through the watch; that look wakes the estate.
        Ok(Action::await_change())
    }
}

/// When an instance at rest is looked at again by itself: for its next scan, or because its credential's end draws near.
fn wake_at(
    scan: Option<Timestamp>,
    instance: &ConnectorInstance,
    status: &ConnectorInstanceStatus,
    now: Timestamp,
) -> Option<Timestamp> {
    let ends = status.credential_expires_at.as_ref().map(|at| at.0);
    [scan, expiry::next_change(Stored::of(instance), ends, now)].into_iter().flatten().min()
}

/// Whether a scan that was ordered at `since` must be over. The namespace's users can edit the Job, its deadline too,
/// and a scan that never ends would keep its place among the parallel scans of all estates.
fn over_every_bound(since: Timestamp, now: Timestamp, deadline_seconds: u32) -> bool {
    now.duration_since(since).as_secs() > i64::from(deadline_seconds) + ORDER_EXPIRES + JOB_SLACK
}

/// An instance is gone: its place, its findings and what schedules match change.
pub(crate) fn vanished(ctx: &Context, namespace: &str, name: &str) {
    ctx.release_place(&Key { estate: namespace.to_owned(), name: name.to_owned() });
    ctx.wake_estate(namespace);
    ctx.wake_schedules_of(namespace);
}

/// What to do after an error.
#[allow(clippy::needless_pass_by_value, reason = "the signature is kube's")]
pub(crate) fn error_policy(_: Arc<Guarded<ConnectorInstance>>, error: &Error, ctx: Arc<Context>) -> Action {
    ctx.metrics.reconcile_errors.with_label_values(&["ConnectorInstance", error.cause()]).inc();
    error.again()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(None, None, None)]
    #[case::scan(Some("2026-05-06T10:00:00Z"), None, Some("2026-05-06T10:00:00Z"))]
    #[case::warning_first(Some("2026-07-01T00:00:00Z"), Some("2026-06-30T00:00:00Z"), Some("2026-05-31T00:00:00Z"))]
    #[case::scan_first(Some("2026-05-06T10:00:00Z"), Some("2026-06-30T00:00:00Z"), Some("2026-05-06T10:00:00Z"))]
    #[case::warning_alone(None, Some("2026-06-30T00:00:00Z"), Some("2026-05-31T00:00:00Z"))]
    #[case::warned(None, Some("2026-05-20T00:00:00Z"), Some("2026-05-20T00:00:00Z"))]
    #[case::over(None, Some("2026-05-01T00:00:00Z"), None)]
    fn an_instance_at_rest_wakes_for_its_credential(
        #[case] scan: Option<&str>,
        #[case] ends: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let instance = crate::testing::instance(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#);
        let ends = ends.map(|text| serde_json::from_value(serde_json::json!(text)).unwrap());
        let status = ConnectorInstanceStatus { credential_expires_at: ends, ..ConnectorInstanceStatus::default() };
        let wake = wake_at(scan.map(at), &instance, &status, at("2026-05-05T10:00:00Z"));
        assert_eq!(wake, expected.map(at));
    }

    #[test]
    fn a_scan_holds_its_place_no_longer_than_the_operators_own_bounds_allow() {
        let since: Timestamp = "2026-05-05T10:00:00Z".parse().unwrap();
        let after = |seconds: i64| since + jiff::SignedDuration::from_secs(seconds);
        assert!(!over_every_bound(since, after(1500 + 900 + 300), 1500), "as long as a late Job may take");
        assert!(over_every_bound(since, after(1500 + 900 + 301), 1500), "whatever the Job says of itself");
    }
}
