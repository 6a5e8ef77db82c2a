//! What a Job's own object, its pods and the events about it say: is it waiting, blocked, running, over, or lost?
//!
//! Pure: objects and an instant in, one [`JobState`] out. The texts of events and pods come from the cluster; they are
//! only matched against, never passed on.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Event, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sv0_protocol::Reason;

/// Pods that the scheduler has just refused may fit a moment later.
const UNSCHEDULABLE_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// Beyond the Job's own deadline: the time that the Job controller may take to act on it.
const CONTROLLER_SLACK: SignedDuration = SignedDuration::from_secs(120);

/// Where a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// There is no such Job.
    Missing,
    /// On its way to run.
    Pending,
    /// It cannot start for this reason; it may yet, so the Job stays.
    Blocked(Reason),
    /// The program runs.
    Running,
    /// The program ended.
    Ended(Ending),
    /// It will come to nothing, for this reason.
    Failed(Reason),
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code.
    pub exit_code: i32,
    /// Its last words, as the kubelet passed them on.
    pub message: Option<String>,
}

/// Whether the object's controller is the one with this UID.
pub fn controlled_by(object: &ObjectMeta, uid: &str) -> bool {
    object.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Reads the state. `pods` and `events` are those of this very Job (by UID).
pub fn observe(job: Option<&Job>, pods: &[Pod], events: &[Event], now: Timestamp) -> JobState {
    let Some(job) = job else {
        return JobState::Missing;
    };
    if let Some(ending) = pods.iter().find_map(ending) {
        return JobState::Ended(ending);
    }
    if let Some(failed) = finished(job) {
        return JobState::Failed(failed);
    }
    let age = job.metadata.creation_timestamp.as_ref().map_or(SignedDuration::ZERO, |t| now.duration_since(t.0));
    let deadline = job.spec.as_ref().and_then(|s| s.active_deadline_seconds).unwrap_or(3600);
    if age > SignedDuration::from_secs(deadline) + CONTROLLER_SLACK {
        return JobState::Failed(Reason::DeadlineExceeded);
    }
    let state = match pods.iter().max_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0)) {
        Some(pod) => pod_state(pod, age),
        None => latest_refusal(events).map_or(JobState::Pending, JobState::Blocked),
    };
    match state {
        JobState::Blocked(reason) if age > patience(reason) => JobState::Failed(reason),
        state => state,
    }
}

/// How long a blocked Job is kept before it is given up (and tried again later). Nodes need minutes to be added; a
/// quota or an image needs a person.
const fn patience(reason: Reason) -> SignedDuration {
    match reason {
        Reason::Unschedulable => SignedDuration::from_secs(300),
        _ => SignedDuration::from_secs(90),
    }
}

fn ending(pod: &Pod) -> Option<Ending> {
    let over =
        pod.status.as_ref()?.container_statuses.iter().flatten().find_map(|c| c.state.as_ref()?.terminated.as_ref())?;
    let ContainerStateTerminated { exit_code, message, .. } = over;
    Some(Ending { exit_code: *exit_code, message: message.clone() })
}

/// A Job that is over although no pod of it says how.
fn finished(job: &Job) -> Option<Reason> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    let over = conditions.filter(|c| c.status == "True").find(|c| {
        // FailureTarget comes first: the controller has decided and is still ending the pods.
        matches!(c.type_.as_str(), "Complete" | "Failed" | "FailureTarget")
    })?;
    match (over.type_.as_str(), over.reason.as_deref()) {
        ("FailureTarget", _) if job.status.as_ref()?.active.unwrap_or(0) > 0 => None,
        (_, Some("DeadlineExceeded")) => Some(Reason::DeadlineExceeded),
        _ => Some(Reason::Lost),
    }
}

fn pod_state(pod: &Pod, age: SignedDuration) -> JobState {
    let Some(status) = pod.status.as_ref() else {
        return JobState::Pending;
    };
    match status.phase.as_deref() {
        // Over without a word from the container: evicted, or the node went away.
        Some("Failed" | "Succeeded") => return JobState::Failed(Reason::Lost),
        Some("Running") => return JobState::Running,
        _ => {}
    }
    if let Some(reason) = waiting(status) {
        return JobState::Blocked(reason);
    }
    if age >= UNSCHEDULABLE_AFTER && unschedulable(status) {
        return JobState::Blocked(Reason::Unschedulable);
    }
    JobState::Pending
}

fn waiting(status: &PodStatus) -> Option<Reason> {
    let word = status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|c| c.state.as_ref()?.waiting.as_ref()?.reason.as_deref())?;
    match word {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => Some(Reason::ImagePullFailed),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Reason::PodRefused),
        _ => None,
    }
}

fn unschedulable(status: &PodStatus) -> bool {
    status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"))
}

fn latest_refusal(events: &[Event]) -> Option<Reason> {
    let refusals = events.iter().filter(|e| e.reason.as_deref() == Some("FailedCreate"));
    let latest = refusals.max_by_key(|e| e.last_timestamp.as_ref().map(|t| t.0))?;
    Some(refusal(latest.message.as_deref().unwrap_or_default()))
}

/// Sorts the API server's words about a refused pod or Job.
pub fn refusal(message: &str) -> Reason {
    let message = message.to_ascii_lowercase();
    if message.contains("exceeded quota") || message.contains("failed quota") {
        Reason::QuotaExceeded
    } else if message.contains("service account") || message.contains("serviceaccount") {
        Reason::ServiceAccountMissing
    } else {
        Reason::PodRefused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const CREATED: &str = "2026-05-05T10:00:00Z";

    #[allow(clippy::needless_pass_by_value, reason = "called with json!")]
    fn job(status: Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "sv0-scan-x", "creationTimestamp": CREATED},
            "spec": {"activeDeadlineSeconds": 600, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "called with json!")]
    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "creationTimestamp": CREATED}, "status": status}))
            .unwrap()
    }

    fn refused(message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "reason": "FailedCreate", "message": message,
            "lastTimestamp": CREATED,
        }))
        .unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        CREATED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn waits_for(word: &str) -> Value {
        json!({"phase": "Pending", "containerStatuses": [
            {"name": "scan", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": word, "message": "secret text"}}}]})
    }

    fn unschedulable_pod() -> Value {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]})
    }

    #[rstest]
    #[case::new(json!({}), 1, JobState::Pending)]
    #[case::scheduled(json!({"phase": "Pending"}), 1, JobState::Pending)]
    #[case::creating(waits_for("ContainerCreating"), 5, JobState::Pending)]
    #[case::running(json!({"phase": "Running"}), 5, JobState::Running)]
    #[case::pull_error(waits_for("ErrImagePull"), 2, JobState::Blocked(Reason::ImagePullFailed))]
    #[case::pull_backoff(waits_for("ImagePullBackOff"), 50, JobState::Blocked(Reason::ImagePullFailed))]
    #[case::pull_given_up(waits_for("ImagePullBackOff"), 100, JobState::Failed(Reason::ImagePullFailed))]
    #[case::config_error(waits_for("CreateContainerConfigError"), 2, JobState::Blocked(Reason::PodRefused))]
    #[case::no_node_yet(unschedulable_pod(), 5, JobState::Pending)]
    #[case::no_node(unschedulable_pod(), 30, JobState::Blocked(Reason::Unschedulable))]
    #[case::no_node_for_minutes(unschedulable_pod(), 301, JobState::Failed(Reason::Unschedulable))]
    #[case::evicted(json!({"phase": "Failed", "reason": "Evicted"}), 30, JobState::Failed(Reason::Lost))]
    #[case::past_every_deadline(json!({"phase": "Running"}), 721, JobState::Failed(Reason::DeadlineExceeded))]
    fn by_the_pod(#[case] status: Value, #[case] age: i64, #[case] expected: JobState) {
        assert_eq!(observe(Some(&job(json!({"active": 1}))), &[pod(status)], &[], after(age)), expected);
    }

    #[rstest]
    #[case::quota("pods \"x\" is forbidden: exceeded quota: small, requested: pods=1", Reason::QuotaExceeded)]
    #[case::account(
        "pods \"x\" is forbidden: error looking up service account ns/scan: serviceaccount \"scan\" not found",
        Reason::ServiceAccountMissing
    )]
    #[case::admission("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"", Reason::PodRefused)]
    fn by_the_event(#[case] message: &str, #[case] expected: Reason) {
        let events = [refused(message)];
        let job = job(json!({}));
        assert_eq!(observe(Some(&job), &[], &events, after(3)), JobState::Blocked(expected));
        assert_eq!(observe(Some(&job), &[], &events, after(91)), JobState::Failed(expected));
    }

    #[rstest]
    #[case::deadline(json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}), JobState::Failed(Reason::DeadlineExceeded))]
    #[case::pod_gone(json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}), JobState::Failed(Reason::Lost))]
    #[case::complete_but_pod_gone(json!({"conditions": [{"type": "Complete", "status": "True"}]}), JobState::Failed(Reason::Lost))]
    #[case::ending(json!({"active": 1, "conditions": [{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]}), JobState::Pending)]
    #[case::not_failed(json!({"conditions": [{"type": "Failed", "status": "False"}]}), JobState::Pending)]
    fn by_the_job(#[case] status: Value, #[case] expected: JobState) {
        assert_eq!(observe(Some(&job(status)), &[], &[], after(30)), expected);
    }

    #[test]
    fn the_last_words_count_even_when_the_job_has_failed() {
        let status = json!({"phase": "Failed", "containerStatuses": [
            {"name": "scan", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 10, "message": "{}"}}}]});
        let job = job(json!({"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}));
        let expected = JobState::Ended(Ending { exit_code: 10, message: Some("{}".into()) });
        assert_eq!(observe(Some(&job), &[pod(status)], &[], after(9999)), expected);
    }

    #[rstest]
    #[case::ours(json!([{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u", "controller": true}]), true)]
    #[case::nobodys(json!([]), false)]
    #[case::anothers(json!([{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "x", "controller": true}]), false)]
    #[case::an_owner_that_does_not_control(json!([{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}]), false)]
    fn only_its_controllers_objects_are_believed(#[case] owners: Value, #[case] expected: bool) {
        let metadata = serde_json::from_value(json!({"name": "x", "ownerReferences": owners})).unwrap();
        assert_eq!(controlled_by(&metadata, "u"), expected);
    }

    #[test]
    fn no_job_is_missing() {
        assert_eq!(observe(None, &[], &[], after(0)), JobState::Missing);
    }
}
