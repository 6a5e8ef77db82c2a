//! The scenario that is disturbed: connect a tenant, change it and ask for a scan, change it again and let a schedule
//! tick. Each phase ends when its scan is stored and evaluated and nothing is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::deploy::SYSTEM;
use crate::world::INSTANCE;
use crate::{Result, World, estate, eventually};

/// Applications that share the owner who leaves: enough findings to be killed between.
const WORKERS: usize = 4;
/// A bound against hanging. A lost scan or evaluation is tried again after a minute.
const PATIENCE: Duration = Duration::from_mins(4);
/// Fields of a Finding that differ between two runs by their nature: the instance is made anew for every run, the two
/// instants are those of the run's own evaluations, and the digest covers the instance's UID.
const OF_THE_RUN: [&str; 3] = ["contentDigest", "firstObserved", "resolvedAt"];

/// The phases.
pub(super) const PHASES: usize = 3;
/// What starts the scan of each phase.
pub(super) const TRIGGERS: [&str; PHASES] = ["Initial", "Requested", "Scheduled"];

/// The tenant in each phase. All instants in it are absolute, so that equal runs have equal findings.
#[derive(Clone, Debug)]
pub(super) struct Documents([Value; PHASES]);

impl Documents {
    /// The tenant as of now, for all runs to come.
    pub(super) fn new(namespace: &str) -> Self {
        let mut full = estate::small(namespace);
        if let Some(applications) = full["applications"].as_array_mut() {
            applications.extend((1..=WORKERS).map(|n| worker(&format!("worker-{n}"), "owner", -10)));
            applications.push(worker("archive", "second", -10));
        }
        let (mut left, mut aged) = (full.clone(), full);
        // First the owner has left; then the owner is back and a credential is old; then the owner has left again.
        left["users"][0]["accountEnabled"] = json!(false);
        for application in aged["applications"].as_array_mut().into_iter().flatten() {
            if application["key"] == "archive" {
                *application = worker("archive", "second", -400);
            }
        }
        Self([left.clone(), aged, left])
    }
}

fn worker(key: &str, owner: &str, secret_since: i64) -> Value {
    json!({
        "key": key, "displayName": format!("Ledger {key}"), "owners": [owner],
        "passwordCredentials": [{"start": estate::days(secret_since), "end": estate::days(200)}],
        "servicePrincipal": {"owners": [owner], "graphPermissions": ["Directory.ReadWrite.All"]},
    })
}

/// Where a run stands before a phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Id of the snapshot that the previous phase ended with.
    snapshot: Option<String>,
    /// First observation of each finding then.
    first_observed: BTreeMap<String, String>,
}

/// One run of the scenario in a clean world.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) documents: &'a Documents,
}

impl Run<'_> {
    /// Sets the stage for a phase and pulls its trigger.
    pub(super) fn start(&self, phase: usize) -> Result<()> {
        self.world.vendor.set_estate(&self.documents.0[phase].to_string())?;
        match phase {
            0 => {
                let instance = self.world.instance(&json!({"workloadIdentity": {}}));
                self.world.kubectl.apply(&instance.to_string()).map(drop)
            }
            1 => self.world.request_scan("change"),
            _ => self.schedule(),
        }
    }

    /// A schedule with exactly one tick, in a few seconds.
    fn schedule(&self) -> Result<()> {
        let instance = self.world.kubectl.get(&["-n", self.world.ns, "connectorinstance", INSTANCE])?;
        let uid = instance["metadata"]["uid"].as_str().ok_or("the instance has no UID")?;
        let (schedule, jitter) = soon(uid, Timestamp::now())?;
        let object = json!({
            "apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
            "metadata": {"name": "daily", "namespace": self.world.ns},
            "spec": {"schedule": schedule, "timeZone": "Etc/UTC", "jitter": format!("{jitter}s")},
        });
        self.world.kubectl.apply(&object.to_string()).map(drop)
    }

    /// Waits until the phase is over. `again` is called once when a scan has failed.
    pub(super) fn settle(&self, before: &Standing, mut again: impl FnMut() -> Result<()>) -> Result<()> {
        let mut asked = false;
        eventually("the phase's end", PATIENCE, || {
            let status = self.world.status()?;
            if status["lastScan"]["outcome"] == "Failed" && status["activeScan"].is_null() && !asked {
                asked = true;
                again()?;
            }
            let snapshot = &status["snapshot"];
            let done = status["activeScan"].is_null()
                && status["lastScan"]["outcome"] == "Complete"
                && snapshot["id"].as_str().is_some_and(|id| before.snapshot.as_deref() != Some(id));
            if !done {
                return Err(format!("the instance's status is {status}").into());
            }
            self.evaluated(snapshot["digest"].as_str().unwrap_or_default())
        })
    }

    fn evaluated(&self, digest: &str) -> Result<()> {
        let kubectl = &self.world.kubectl;
        let estate = kubectl.find(self.world.ns, "estates.securityv0.com", "default")?.ok_or("no Estate yet")?;
        let inputs = estate["status"]["inputs"].as_array().into_iter().flatten();
        if !inputs.into_iter().any(|input| input["snapshotDigest"] == digest) {
            return Err(format!("the Estate's status is {}", estate["status"]).into());
        }
        let label = format!("securityv0.com/estate={}", self.world.ns);
        let scans = kubectl.get(&["jobs", "-n", self.world.ns])?;
        let evaluations = kubectl.get(&["jobs", "-n", SYSTEM, "-l", &label])?;
        // The manager deletes each Job once its result is recorded, also one that its predecessor left behind.
        match [&scans, &evaluations].into_iter().filter_map(|list| list["items"].as_array()).flatten().next() {
            None => Ok(()),
            Some(job) => Err(format!("the Job {} is left", job["metadata"]["name"]).into()),
        }
    }

    /// The Findings at the end of a phase, fit to be compared between runs, and where the run stands now.
    pub(super) fn findings(&self, before: &Standing) -> Result<(BTreeMap<String, String>, Standing)> {
        let snapshot = self.world.status()?["snapshot"]["id"].as_str().map(str::to_owned);
        let mut now = Standing { snapshot, first_observed: BTreeMap::new() };
        let mut comparable = BTreeMap::new();
        for finding in self.world.findings()? {
            let name = finding["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let first = finding["spec"]["firstObserved"].as_str().unwrap_or_default().to_owned();
            let kept = before.first_observed.get(&name).is_some_and(|earlier| *earlier == first);
            comparable.insert(name.clone(), canonical(&finding["spec"], kept));
            now.first_observed.insert(name, first);
        }
        if comparable.is_empty() { Err("there is no finding to compare".into()) } else { Ok((comparable, now)) }
    }
}

/// A Finding's spec without what belongs to the run. In the place of the first observation: whether it is still that of
/// the previous phase.
fn canonical(spec: &Value, first_observed_kept: bool) -> String {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        for name in OF_THE_RUN {
            fields.remove(name);
        }
        fields.insert("firstObservedKept".into(), json!(first_observed_kept));
    }
    if let Some(subject) = spec["subject"].as_object_mut() {
        subject.remove("instanceUid");
    }
    // The keys of a JSON object are sorted here.
    spec.to_string()
}

/// What differs between two sets of Findings, for people; nothing when they are equal.
pub(super) fn difference(wanted: &BTreeMap<String, String>, seen: &BTreeMap<String, String>) -> Option<String> {
    let missing = wanted.keys().filter(|name| !seen.contains_key(*name)).map(|name| format!("{name} is missing"));
    let extra = seen.keys().filter(|name| !wanted.contains_key(*name)).map(|name| format!("{name} is not expected"));
    let other = wanted.iter().filter_map(|(name, wanted)| {
        let seen = seen.get(name).filter(|seen| *seen != wanted)?;
        Some(format!("{name} is\n    {seen}\n  instead of\n    {wanted}"))
    });
    let all: Vec<String> = missing.chain(extra).chain(other).collect();
    (!all.is_empty()).then(|| all.join("\n  "))
}

/// A schedule and a jitter, in seconds, whose only tick within a day is a few seconds from `now` for the instance `uid`.
///
/// Cron knows whole minutes; the jitter moves an instance's tick by a share that its UID decides, so a fitting jitter
/// is looked for. Should the share be decided otherwise some day, the tick comes at another second of the hour.
fn soon(uid: &str, now: Timestamp) -> Result<(String, u64)> {
    const SECONDS_AHEAD: std::ops::RangeInclusive<i64> = 4..=12;
    let minute = now.as_second().div_euclid(60) * 60;
    let number = Sha256::digest(uid.as_bytes()).iter().take(8).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
    let fitting = |minutes_ago: &i64| {
        let base = minute - minutes_ago * 60;
        SECONDS_AHEAD.into_iter().find_map(|ahead| {
            let offset = u64::try_from(now.as_second() + ahead - base).ok()?;
            (offset..=3600).find(|jitter| number % (jitter + 1) == offset).map(|jitter| (base, jitter))
        })
    };
    let (base, jitter) = (0..30).find_map(|ago| fitting(&ago)).ok_or("no jitter fits the UID of this instance")?;
    let at = Timestamp::from_second(base)?.to_zoned(jiff::tz::TimeZone::UTC);
    Ok((format!("{} {} * * *", at.minute(), at.hour()), jitter))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn the_tick_is_near() {
        let now: Timestamp = "2026-05-05T10:00:58Z".parse().unwrap();
        for uid in ["a", "b", "0d9ff5f2-6b8c-4f3a-9f52-6a2f0a7f5b01", "x-y-z"] {
            let (schedule, jitter) = soon(uid, now).unwrap();
            assert!(jitter <= 3600 && schedule.ends_with(" * * *"), "{schedule} {jitter}");
            let mut fields = schedule.split(' ').map(|field| field.parse::<i64>().unwrap_or_default());
            let (minute, hour) = (fields.next().unwrap(), fields.next().unwrap());
            let base =
                "2026-05-05T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(hour * 60 + minute);
            assert!(base <= now && base > now - SignedDuration::from_hours(1));
        }
    }

    #[test]
    fn findings_are_compared_without_what_belongs_to_the_run() {
        let spec = |uid: &str, at: &str, why: &str| json!({"why": why, "firstObserved": at, "contentDigest": uid, "subject": {"id": "x", "instanceUid": uid}});
        assert_eq!(canonical(&spec("a", "1", "w"), false), canonical(&spec("b", "2", "w"), false));
        assert_ne!(canonical(&spec("a", "1", "w"), false), canonical(&spec("a", "1", "v"), false));
        assert_ne!(canonical(&spec("a", "1", "w"), false), canonical(&spec("a", "1", "w"), true));
    }

    #[test]
    fn every_difference_is_named() {
        let set = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let wanted: BTreeMap<String, String> = set(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(difference(&wanted, &wanted), None);
        let text = difference(&wanted, &set(&[("a", "1"), ("b", "9"), ("d", "4")])).unwrap();
        assert!(text.contains("c is missing") && text.contains("d is not expected") && text.contains("b is"), "{text}");
    }

    #[test]
    fn the_tenant_changes_from_phase_to_phase() {
        let documents = Documents::new("a").0;
        assert_ne!(documents[0], documents[1]);
        assert_eq!(documents[0], documents[2]);
    }
}
