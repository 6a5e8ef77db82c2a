//! What became of every scan of a run: followed in the instance's status, checked against the Jobs that were created.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::points::Program;
use crate::{Env, Result};

/// One scan that the manager decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) job: String,
    /// Outcome, once it is known.
    pub(super) outcome: Option<String>,
    /// Why it failed.
    pub(super) reason: Option<String>,
}

/// Follows the instances of an estate: every state that the API server tells of, none in between missed.
#[derive(Debug)]
pub(super) struct Scans {
    seen: Arc<Mutex<Vec<Scan>>>,
    watch: Child,
}

impl Scans {
    /// Starts following.
    pub(super) fn follow(env: &Env, namespace: &str) -> Result<Self> {
        let mut watch = Command::new(&env.kubectl)
            .env("KUBECONFIG", &env.kubeconfig)
            .args(["get", "connectorinstances", "-n", namespace, "--watch", "--output-watch-events", "-o", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let output = watch.stdout.take().ok_or("kubectl has no output")?;
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let events = serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
            // Ends with the child.
            for event in events.map_while(std::result::Result::ok) {
                note(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), &event["object"]["status"]);
            }
        });
        Ok(Self { seen, watch })
    }

    /// Every scan so far, in the order in which they were decided.
    pub(super) fn all(&self) -> Vec<Scan> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scans {
    fn drop(&mut self) {
        // The child is ours; if it is gone already there is nothing left to end.
        drop(self.watch.kill());
        drop(self.watch.wait());
    }
}

/// Takes over what one state of the instance tells.
fn note(scans: &mut Vec<Scan>, status: &Value) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let active = &status["activeScan"];
    if let (Some(id), Some(trigger), Some(job)) =
        (text(&active["id"]), text(&active["trigger"]), text(&active["jobName"]))
        && !scans.iter().any(|scan| scan.id == id)
    {
        scans.push(Scan { id, trigger, job, outcome: None, reason: None });
    }
    let last = &status["lastScan"];
    if let Some(scan) = scans.iter_mut().find(|scan| last["id"] == scan.id.as_str()) {
        scan.outcome = text(&last["outcome"]);
        scan.reason = text(&last["reason"]);
    }
}

/// What a phase owes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The trigger that started it: it gives exactly one scan.
    pub(super) trigger: &'static str,
    /// Further scans that a person asked for.
    pub(super) asked_again: usize,
    /// Who was killed, if anybody.
    pub(super) killed: Option<Program>,
}

/// Checks the scans of one phase against the Jobs that were created in it. The error says what is wrong.
pub(super) fn judge(expected: Expected, scans: &[Scan], jobs: &[String]) -> std::result::Result<(), String> {
    let story = || format!("scans: {scans:?}; Jobs created: {jobs:?}");
    let count = |trigger: &str| scans.iter().filter(|scan| scan.trigger == trigger).count();
    let asked = if expected.trigger == "Requested" { 1 + expected.asked_again } else { expected.asked_again };
    if expected.trigger != "Requested" && count(expected.trigger) != 1 {
        return Err(format!("{} scans for one trigger {}; {}", count(expected.trigger), expected.trigger, story()));
    }
    if count("Requested") != asked {
        return Err(format!("{} scans for {asked} requests; {}", count("Requested"), story()));
    }
    let own = |scan: &&Scan| scan.trigger == expected.trigger || scan.trigger == "Requested";
    let repeated = scans.len() - scans.iter().filter(own).count();
    if repeated != count("Retry") {
        return Err(format!("a scan that nothing asked for; {}", story()));
    }
    // Only the death of a scan, or of the store that it writes to, can cost a scan.
    if repeated > 0 && !matches!(expected.killed, Some(Program::Scan | Program::Store)) {
        return Err(format!("a scan was repeated although nothing happened to it; {}", story()));
    }
    let complete = |scan: &Scan| scan.outcome.as_deref() == Some("Complete");
    if !scans.last().is_some_and(complete) {
        return Err(format!("the last scan did not succeed; {}", story()));
    }
    // After a success only a person's wish gives another one.
    let after = scans.iter().skip_while(|scan| !complete(scan)).skip(1);
    let unasked = after.filter(|scan| scan.trigger != "Requested").count();
    if unasked > 0 {
        return Err(format!("{unasked} scans too many; {}", story()));
    }
    for scan in scans {
        let created = jobs.iter().filter(|job| **job == scan.job).count();
        if created != 1 {
            return Err(format!("{created} Jobs for the scan {}; {}", scan.id, story()));
        }
    }
    if jobs.len() == scans.len() { Ok(()) } else { Err(format!("a Job without a scan; {}", story())) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scan(id: &str, trigger: &str, outcome: &str) -> Scan {
        let text = |t: &str| t.to_owned();
        Scan {
            id: text(id),
            trigger: text(trigger),
            job: format!("job-{id}"),
            outcome: Some(text(outcome)),
            reason: None,
        }
    }

    fn jobs(scans: &[Scan]) -> Vec<String> {
        scans.iter().map(|scan| scan.job.clone()).collect()
    }

    fn expected(killed: Option<Program>) -> Expected {
        Expected { trigger: "Scheduled", asked_again: 0, killed }
    }

    #[test]
    fn one_tick_is_one_scan() {
        let one = [scan("a", "Scheduled", "Complete")];
        assert_eq!(judge(expected(None), &one, &jobs(&one)), Ok(()));
        let two = [scan("a", "Scheduled", "Failed"), scan("b", "Scheduled", "Complete")];
        assert!(
            judge(expected(Some(Program::Scan)), &two, &jobs(&two)).unwrap_err().contains("2 scans for one trigger")
        );
        assert!(judge(expected(None), &[], &[]).is_err());
    }

    #[test]
    fn only_a_lost_scan_is_repeated() {
        let scans = [scan("a", "Scheduled", "Failed"), scan("b", "Retry", "Complete")];
        assert_eq!(judge(expected(Some(Program::Scan)), &scans, &jobs(&scans)), Ok(()));
        assert_eq!(judge(expected(Some(Program::Store)), &scans, &jobs(&scans)), Ok(()));
        assert!(judge(expected(Some(Program::Manager)), &scans, &jobs(&scans)).is_err());
        assert!(judge(expected(None), &scans, &jobs(&scans)).is_err());
        let both = [scan("a", "Scheduled", "Complete"), scan("b", "Retry", "Complete")];
        assert!(judge(expected(Some(Program::Scan)), &both, &jobs(&both)).unwrap_err().contains("1 scans too many"));
        let never = [scan("a", "Scheduled", "Failed")];
        assert!(judge(expected(Some(Program::Scan)), &never, &jobs(&never)).unwrap_err().contains("did not succeed"));
    }

    #[test]
    fn a_person_may_ask_again() {
        let scans = [scan("a", "Requested", "Failed"), scan("b", "Requested", "Complete")];
        let asked_again = |n| Expected { trigger: "Requested", asked_again: n, killed: Some(Program::Scan) };
        assert_eq!(judge(asked_again(1), &scans, &jobs(&scans)), Ok(()));
        assert!(judge(asked_again(0), &scans, &jobs(&scans)).is_err());
        // The repetition was under way when the person asked.
        let scans =
            [scan("a", "Requested", "Failed"), scan("b", "Retry", "Complete"), scan("c", "Requested", "Complete")];
        assert_eq!(judge(asked_again(1), &scans, &jobs(&scans)), Ok(()));
        assert!(judge(asked_again(0), &scans, &jobs(&scans)).is_err());
    }

    #[test]
    fn a_second_job_for_a_scan_is_seen() {
        let scans = [scan("a", "Scheduled", "Complete")];
        let twice = vec!["job-a".to_owned(), "job-a".to_owned()];
        assert!(judge(expected(Some(Program::Manager)), &scans, &twice).unwrap_err().contains("2 Jobs"));
        let strange = vec!["job-a".to_owned(), "job-z".to_owned()];
        assert!(judge(expected(Some(Program::Manager)), &scans, &strange).unwrap_err().contains("without a scan"));
        assert!(judge(expected(Some(Program::Manager)), &scans, &[]).is_err());
    }

    #[test]
    fn scans_are_read_from_the_status() {
        let mut seen = Vec::new();
        note(&mut seen, &json!({}));
        let active = json!({"id": "a", "trigger": "Initial", "jobName": "job-a"});
        note(&mut seen, &json!({"activeScan": active}));
        note(&mut seen, &json!({"activeScan": active, "lastScan": {"id": "z", "outcome": "Failed"}}));
        note(&mut seen, &json!({"lastScan": {"id": "a", "outcome": "Complete"}}));
        assert_eq!(seen, [Scan { reason: None, ..scan("a", "Initial", "Complete") }]);
    }
}
