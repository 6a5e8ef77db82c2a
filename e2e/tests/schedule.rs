//! A ScanSchedule makes exactly one scan for each of its ticks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use sv0_e2e::audit::Tail;
use sv0_e2e::world::condition;
use sv0_e2e::{Result, World, eventually};

/// Three ticks of a minute each, and what a scan takes.
const THREE_TICKS: Duration = Duration::from_mins(5);

/// The minute of an instant: all that a cron tick is.
fn minute(instant: &Value) -> String {
    instant.as_str().and_then(|text| text.get(..16)).unwrap_or_default().to_owned()
}

#[test]
fn every_tick_makes_exactly_one_scan() -> Result<()> {
    let world = World::clean()?;
    world.connect()?;
    let mut audit = world.env.audit_log.as_deref().map(Tail::from_now).transpose()?;
    let schedule = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
        "metadata": {"name": "minutely", "namespace": world.ns}, "spec": {"schedule": "* * * * *"},
    });
    world.kubectl.apply(&schedule.to_string())?;

    // Scans by id, each with the minute in which it began; read often enough to miss none.
    let mut scans: BTreeMap<String, String> = BTreeMap::new();
    eventually("the scans of two ticks", THREE_TICKS, || {
        let last = world.status()?["lastScan"].clone();
        if last["trigger"] == "Scheduled" {
            scans.insert(last["id"].as_str().unwrap_or_default().to_owned(), minute(&last["startedAt"]));
        }
        if scans.len() >= 2 { Ok(()) } else { Err(format!("scans {scans:?}; last {last}").into()) }
    })?;
    let status = world.kubectl.get(&["-n", world.ns, "scanschedule", "minutely"])?["status"].clone();
    world.kubectl.run(&["delete", "scanschedule", "-n", world.ns, "minutely"])?;

    let minutes: BTreeSet<&String> = scans.values().collect();
    assert_eq!(minutes.len(), scans.len(), "two scans of one minute: {scans:?}");
    assert_eq!(status["matchedInstances"], 1, "{status}");
    assert!(minutes.contains(&minute(&status["lastTick"])), "{status} and {scans:?}");
    assert!(condition(&status, "Ready").is_some_and(|c| c["status"] == "True"), "{status}");

    // The API server's own record: no scan Job was made that is not one of these.
    if let Some(audit) = &mut audit {
        let jobs = audit.read()?.into_iter().filter(|event| {
            event.namespace == world.ns && event.resource == "jobs" && event.verb == "create" && event.code == 201
        });
        let jobs: Vec<String> =
            jobs.map(|event| event.at.to_string().get(..16).unwrap_or_default().to_owned()).collect();
        assert_eq!(jobs.iter().collect::<BTreeSet<_>>(), minutes, "minutes in which Jobs were made, and of scans");
        assert_eq!(jobs.len(), scans.len(), "Jobs made at {jobs:?} for scans {scans:?}");
    }
    Ok(())
}
