//! The last evaluation leaves the cluster as one file, is computed again where there is no network, and shows which
//! Findings are not its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Output;

use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::program::{Person, READER};
use sv0_e2e::world::ESTATES;
use sv0_e2e::{Result, World};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_last_evaluation_is_exported_replayed_and_verified() -> Result<()> {
    let world = World::clean()?;
    world.connect_shipped("full.yaml")?;
    let auditor = Person::new(&world, "auditor", &READER)?;
    let file = auditor.file("estate.tar");
    let output = auditor.run(&["pack", "export", "-n", world.ns, "-o", &file])?;
    assert_eq!(code(&output), Some(0), "{}", said(&output));

    let estate = world.kubectl.get(&["-n", world.ns, "estates.securityv0.com", "default"])?;
    let pack = estate["status"]["packDigest"].as_str().unwrap_or_default().to_owned();
    let output = auditor.program.run_without_network(&["replay", &file, "--pack", &pack, "-o", "json"])?;
    assert_eq!(code(&output), Some(0), "{}", said(&output));
    let result: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(result["result"], "equal");
    assert_eq!(result["kept"].as_u64(), Some(world.findings()?.len() as u64));
    assert!(result["kept"].as_u64() > Some(0));

    for arguments in [&["verify", "-n", world.ns][..], &["verify", "-n", world.ns, &file]] {
        let output = auditor.run(arguments)?;
        assert_eq!(code(&output), Some(0), "{}", said(&output));
    }

    // The roles of one estate open nothing of another, and no other pod than the store's.
    let other = auditor.run(&["pack", "export", "-n", ESTATES[1], "-o", &auditor.file("other.tar")])?;
    assert!(code(&other) == Some(1) && said(&other).contains("orbidden"), "{}", said(&other));

    let mut changed = std::fs::read(&file)?;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let tampered = auditor.file("tampered.tar");
    std::fs::write(&tampered, changed)?;
    let output = auditor.program.run_without_network(&["replay", &tampered])?;
    assert_eq!(code(&output), Some(2), "{}", said(&output));
    Ok(())
}

/// Nobody but the estate's evaluation may write Findings. Whoever holds its token can, and is found out.
#[test]
fn a_forged_finding_is_named() -> Result<()> {
    let world = World::clean()?;
    world.connect_shipped("full.yaml")?;
    let auditor = Person::new(&world, "auditor", &READER)?;
    let thief = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", world.ns));
    let mut findings = world.findings()?.into_iter();
    let [one, two, three] = [(); 3].map(|()| findings.next().expect("three findings"));
    let name = |finding: &Value| finding["metadata"]["name"].as_str().unwrap_or_default().to_owned();

    let forged = json!({
        "apiVersion": one["apiVersion"], "kind": one["kind"],
        "metadata": {"name": "cred-001-forged", "namespace": world.ns, "labels": one["metadata"]["labels"]},
        "spec": one["spec"],
    });
    thief.run_with(&["create", "-f", "-"], &forged.to_string())?;
    let patch = r#"{"spec":{"title":"Nothing to see here"}}"#;
    thief.run(&["patch", "finding", &name(&two), "-n", world.ns, "--type=merge", "-p", patch])?;
    thief.run(&["delete", "finding", &name(&three), "-n", world.ns])?;

    let output = auditor.run(&["verify", "-n", world.ns, "-o", "json", "--settle", "1"])?;
    assert_eq!(code(&output), Some(1), "{}", said(&output));
    let result: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(result["replay"]["result"], "equal", "the evaluation itself is sound");
    let problems: Vec<(&str, &str)> = result["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|problem| (problem["name"].as_str().unwrap_or_default(), problem["problem"].as_str().unwrap_or_default()))
        .collect();
    let (changed, missing) = (name(&two), name(&three));
    let mut expected =
        vec![("cred-001-forged", "forged"), (changed.as_str(), "changed"), (missing.as_str(), "missing")];
    expected.sort_unstable();
    assert_eq!(problems, expected);
    assert!(result["problems"].to_string().contains("/spec/title"), "{result}");
    Ok(())
}
