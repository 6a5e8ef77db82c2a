//! The shipped demonstration estate: every planted finding appears, no near miss does, and nothing is written twice.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use sv0_e2e::{Result, World, estate, eventually, planted, world};

#[test]
fn the_demonstration_shows_what_was_planted_and_nothing_else() -> Result<()> {
    let world = World::clean()?;
    world.connect_demo()?;
    planted::exactly(&world)?;

    // A person reads the table in 120 columns and the description without knowing the tool.
    let table = world.kubectl.run(&["get", "findings", "-n", world.ns])?;
    let widest = table.lines().map(|l| l.trim_end().chars().count()).max().unwrap_or_default();
    assert!(widest <= 120, "{widest} columns:\n{table}");
    let name = world.findings()?[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let described = world.kubectl.run(&["describe", "finding", "-n", world.ns, &name])?;
    for part in ["Title:", "Why:", "Accountable:", "Evidence:", "Remediation:", "Severity:"] {
        assert!(described.contains(part), "no {part} in\n{described}");
    }
    each_value_can_be_selected(&world)
}

/// The API server selects by every field that people ask for, and gives as many as there are.
fn each_value_can_be_selected(world: &World) -> Result<()> {
    let findings = world.findings()?;
    for (field, pointer) in [
        ("spec.rule.id", "/spec/rule/id"),
        ("spec.family", "/spec/family"),
        ("spec.severity", "/spec/severity"),
        ("spec.subject.system", "/spec/subject/system"),
        ("spec.state", "/spec/state"),
    ] {
        let value = |finding: &Value| finding.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let one = value(&findings[0]);
        let expected = findings.iter().filter(|finding| value(finding) == one).count();
        for (value, expected) in [(one.as_str(), expected), ("none", 0)] {
            let selector = format!("--field-selector={field}={value}");
            let selected = world.kubectl.run(&["get", "findings", "-n", world.ns, &selector, "-o", "name"])?;
            assert_eq!(selected.lines().count(), expected, "{selector}\n{selected}");
        }
    }
    Ok(())
}

#[test]
fn an_unchanged_rescan_and_a_day_later_write_no_finding() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&json!({"user": {"id": estate::OWNER, "accountEnabled": false}}))?;
    world.connect()?;
    assert!(!world.findings()?.is_empty(), "nothing to compare");
    let before = world.finding_writes()?;
    assert!(before.is_none_or(|n| n > 0), "the audit log does not show the first writes");
    let versions = world.versions()?;

    world.rescan()?;
    world.evaluate_as_of(SignedDuration::from_hours(24))?;
    assert_eq!(world.versions()?, versions);
    assert_eq!(world.finding_writes()?, before, "create, update, patch or delete of findings in the audit log");
    Ok(())
}

#[test]
fn a_credential_crosses_its_limit_by_time_alone() -> Result<()> {
    let world = World::clean()?;
    let mut file = estate::small(world.ns);
    let crossing = estate::from_now(SignedDuration::from_hours(-90 * 24) + SignedDuration::from_secs(60));
    for application in file["applications"].as_array_mut().into_iter().flatten() {
        if application["key"] == "billing" {
            application["passwordCredentials"] = json!([{"start": crossing, "end": estate::days(80)}]);
        }
    }
    world.vendor.set_estate(&file.to_string())?;
    world.connect()?;
    assert!(world.finding("CRED-003", estate::BILLING)?.is_none(), "not due yet");
    let scans = world.status()?["lastScan"]["id"].clone();
    eventually("the finding that only time brings", Duration::from_mins(3), || {
        world.finding("CRED-003", estate::BILLING)?.ok_or_else(|| "no CRED-003 yet".into())
    })?;
    assert_eq!(world.status()?["lastScan"]["id"], scans, "no scan was needed");
    Ok(())
}

#[test]
fn a_changed_threshold_evaluates_again_without_a_scan() -> Result<()> {
    let world = World::clean()?;
    world.connect()?;
    assert!(world.finding("CRED-003", estate::BILLING)?.is_none());
    let patch = json!({"spec": {"thresholds": {"rotateDays": 5}}}).to_string();
    world.kubectl.run(&["patch", "estates.securityv0.com", "default", "-n", world.ns, "--type=merge", "-p", &patch])?;
    eventually("the finding of the stricter threshold", world::PATIENCE, || {
        world.finding("CRED-003", estate::BILLING)?.ok_or_else(|| "no CRED-003 yet".into())
    })?;
    Ok(())
}
