//! `kubectl sv0 scan`: asks for one scan of an instance now, and with `--wait` tells how it goes until what it brought has
//! been evaluated.
//!
//! Takes the status of the instance and of the Estate; gives lines as it changes. Changes one annotation of the `ConnectorInstance` and nothing
//! else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sv0_api::conditions::{self, READY, STALLED, TRUE};
use sv0_api::{ConnectorInstance, LastScan};

use crate::kubectl::Cluster;
use crate::values::{InstanceName, Namespace};

/// Time between two looks at the status.
const PAUSE: Duration = Duration::from_secs(2);

/// What `scan` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  kubectl sv0 scan entra -n team-a                    # ask, and do not wait
  kubectl sv0 scan entra -n team-a --wait             # follow it to its end
  kubectl sv0 scan entra -n team-a --wait --timeout 3600

With --wait the exit code is 0 when the scan stored a snapshot, also one with gaps, which are named, and the Findings are
those of that snapshot or a later one. It is 1 when the scan stored none, or when scan and evaluation did not end in time.")]
pub struct Args {
    /// Name of the ConnectorInstance.
    #[arg(value_name = "INSTANCE")]
    instance: InstanceName,
    /// The estate: a namespace. Without it, the one that kubectl uses.
    #[arg(long, short = 'n')]
    namespace: Option<Namespace>,
    /// Follow the scan until what it brought has been evaluated.
    #[arg(long)]
    wait: bool,
    /// With --wait: seconds to wait for that.
    #[arg(long, default_value_t = 600, value_name = "SECONDS", requires = "wait")]
    timeout: u64,
    #[command(flatten)]
    cluster: Cluster,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let namespace = match &args.namespace {
        Some(namespace) => namespace.to_string(),
        None => args.cluster.default_namespace()?,
    };
    let name = args.instance.as_str();
    let before = args.cluster.instance(&namespace, name)?;
    if before.spec.suspend {
        bail!("{namespace}/{name} is suspended (spec.suspend): it is not scanned until that is taken back");
    }
    let request = format!("cli-{}", jiff::Timestamp::now().as_millisecond());
    args.cluster.request_scan(&namespace, name, &request)?;
    crate::say_line!("Asked for a scan of {namespace}/{name}.");
    if !args.wait {
        return Ok(());
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    let last = follow(&args, &namespace, &before, (&request, end)).await?;
    ended(&last)?;
    evaluated(&args, &namespace, &last, end).await
}

/// Tells what changes until the scan that was asked for has ended; gives the instance as it then is.
async fn follow(
    args: &Args,
    namespace: &str,
    before: &ConnectorInstance,
    (request, end): (&str, tokio::time::Instant),
) -> Result<ConnectorInstance> {
    let mut progress = Progress::default();
    progress.skip(before);
    loop {
        let now = args.cluster.instance(namespace, args.instance.as_str())?;
        let same = now.metadata.uid == before.metadata.uid;
        if !same {
            bail!("the ConnectorInstance was deleted and made anew while its scan was waited for");
        }
        progress.lines(&now).iter().for_each(|line| crate::say_line!("{line}"));
        if handled(before, &now, request) {
            return Ok(now);
        }
        if tokio::time::Instant::now() >= end {
            bail!("{}", late(&now, args.timeout, request));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the Estate's findings rest on the snapshot that the instance has, or on a later one of it, and counts them.
async fn evaluated(args: &Args, namespace: &str, scanned: &ConnectorInstance, end: tokio::time::Instant) -> Result<()> {
    let snapshot = scanned.status.as_ref().and_then(|status| status.snapshot.as_ref());
    let snapshot = snapshot.context("the instance names no snapshot")?;
    let name = args.instance.as_str();
    loop {
        let estate = args
            .cluster
            .estate_object(namespace)
            .context("the snapshot is stored; whether it is evaluated cannot be read")?;
        let status = estate.map(|estate| estate["status"].clone()).unwrap_or_default();
        let covers = |input: &Value| {
            input["instance"] == name && input["snapshotId"].as_str().is_some_and(|id| id >= snapshot.id.as_str())
        };
        if status["inputs"].as_array().into_iter().flatten().any(covers) {
            crate::say_line!("Evaluated: {}", counts(&status["counts"]["bySeverity"]));
            return Ok(());
        }
        if tokio::time::Instant::now() >= end {
            bail!(
                "the snapshot is stored and was not evaluated within {} seconds: the findings are still those of before. See \
                 kubectl describe estate default -n {namespace}",
                args.timeout
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Open findings by severity, as the Estate counts them, the most severe first.
fn counts(by: &Value) -> String {
    let count = |severity: &str| (by[severity].as_i64().unwrap_or(0), severity.to_owned());
    let all = ["critical", "high", "medium", "low", "info"].map(count);
    let parts: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, severity)| format!("{count} {severity}")).collect();
    let total: i64 = all.iter().map(|(count, _)| count).sum();
    match total {
        0 => "no finding is open.".to_owned(),
        1 => format!("1 finding is open ({}).", parts.join(", ")),
        _ => format!("{total} findings are open ({}).", parts.join(", ")),
    }
}

/// Whether the scan that was asked for has ended: this request was acted on, no scan is under way, and the last one that
/// ended is another than before.
pub(crate) fn handled(before: &ConnectorInstance, now: &ConnectorInstance, request: &str) -> bool {
    let scan = |instance: &ConnectorInstance| Some(instance.status.as_ref()?.last_scan.as_ref()?.id.clone());
    let answered = now.status.as_ref().is_some_and(|status| {
        status.last_handled_scan_request.as_deref() == Some(request) && status.active_scan.is_none()
    });
    answered && scan(now).is_some() && scan(now) != scan(before)
}

/// Why the waiting ends without an answer.
fn late(now: &ConnectorInstance, seconds: u64, request: &str) -> String {
    let status = now.status.as_ref();
    let acted = status.is_some_and(|status| status.last_handled_scan_request.as_deref() == Some(request));
    let what = if acted { "the scan did not end" } else { "the manager did not act on the request" };
    format!("{what} within {seconds} seconds. {}", sentence(now))
}

/// What the instance's conditions say of why: the one that waits for a person before the one that sums up.
fn sentence(instance: &ConnectorInstance) -> String {
    let conditions = instance.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let stalled = conditions::find(conditions, STALLED).filter(|condition| condition.status == TRUE);
    let told = stalled.or_else(|| conditions::find(conditions, READY));
    told.map_or_else(
        || "The instance has no conditions: is the manager running?".to_owned(),
        |condition| sv0_rules::harmless(&format!("{}: {}", condition.reason, condition.message)),
    )
}

/// What has been told already, so that only changes are.
#[derive(Debug, Default)]
struct Progress {
    active: Option<String>,
    conditions: BTreeMap<String, (String, String)>,
}

impl Progress {
    /// Takes the state before the request as told.
    fn skip(&mut self, before: &ConnectorInstance) {
        drop(self.lines(before));
        self.active = None;
    }

    /// A line for each thing that is new.
    fn lines(&mut self, now: &ConnectorInstance) -> Vec<String> {
        let Some(status) = &now.status else { return Vec::new() };
        let mut lines = Vec::new();
        let active = status.active_scan.as_ref();
        if let Some(scan) = active.filter(|scan| self.active.as_ref() != Some(&scan.id)) {
            lines.push(format!("{} scan {} started (Job {}).", scan.started_at.0, scan.id, scan.job_name));
        }
        if active.is_some() {
            self.active = active.map(|scan| scan.id.clone());
        }
        for condition in &status.conditions {
            let said = (condition.status.clone(), condition.reason.clone());
            if self.conditions.insert(condition.type_.clone(), said.clone()) != Some(said) {
                lines.push(format!(
                    "{} {}={} {}: {}",
                    condition.last_transition_time.0,
                    condition.type_,
                    condition.status,
                    condition.reason,
                    condition.message
                ));
            }
        }
        lines.iter().map(|line| sv0_rules::harmless(line)).collect()
    }
}

/// The verdict: what was stored and what is missing of it, or why nothing was.
fn ended(now: &ConnectorInstance) -> Result<()> {
    let status = now.status.as_ref().context("the instance has no status")?;
    let LastScan { outcome, reason, vendor_code, requests, items, finished_at, .. } =
        status.last_scan.as_ref().context("no scan has ended")?;
    let code = vendor_code.as_deref().map(|code| format!(", {code}")).unwrap_or_default();
    let why = reason.as_deref().map(|reason| format!(" ({reason}{code})")).unwrap_or_default();
    let told = format!("{outcome}{why} at {}: {items} rows in {requests} requests.", finished_at.0);
    if outcome != "Complete" && outcome != "Partial" {
        bail!("the scan stored nothing. {} {}", sv0_rules::harmless(&told), sentence(now));
    }
    crate::say_line!("{}", sv0_rules::harmless(&told));
    for gap in status.coverage.iter().flat_map(|coverage| &coverage.gaps) {
        let reason = gap.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let permission = gap.permission.as_deref().map(|name| format!("; needs {name}")).unwrap_or_default();
        let line = format!("not complete: {} {}{reason}{permission}", gap.collection, gap.state);
        crate::say_line!("{}", sv0_rules::harmless(&line));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(status: &serde_json::Value) -> ConnectorInstance {
        serde_json::from_value(json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "ConnectorInstance", "metadata": {"name": "entra"},
            "spec": {"system": "Entra", "serviceAccountName": "scan-entra"}, "status": status,
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> serde_json::Value {
        json!({"type": type_, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn only_what_changes_is_told() {
        let ready = condition("Ready", "True", "Complete", "All is well.");
        let mut progress = Progress::default();
        progress.skip(&instance(&json!({"conditions": [ready]})));
        let scan =
            json!({"id": "1", "jobName": "sv0-scan", "trigger": "Requested", "startedAt": "2026-01-01T00:00:00Z"});
        let busy = instance(&json!({"activeScan": scan, "conditions": [
            ready, condition("Reconciling", "True", "Scanning", "A scan\u{1b}[2J is under way.")]}));
        let lines = progress.lines(&busy);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("scan 1 started") && lines[1].ends_with("Scanning: A scan[2J is under way."),
            "{lines:?}"
        );
        assert!(progress.lines(&busy).is_empty());
    }

    #[test]
    fn what_waits_for_a_person_is_the_reason() {
        let both = [
            condition("Ready", "False", "Failed", "It failed."),
            condition("Stalled", "True", "CredentialExpired", "Make a new one."),
        ];
        assert_eq!(sentence(&instance(&json!({"conditions": both}))), "CredentialExpired: Make a new one.");
        let waits = [both[0].clone(), condition("Stalled", "False", "Fine", "")];
        assert_eq!(sentence(&instance(&json!({"conditions": waits}))), "Failed: It failed.");
    }
}
