//! Entra on a real cluster: a certificate as credential, consent that changes, and a collection revision that waits.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sv0_e2e::world::{PATIENCE, condition};
use sv0_e2e::{Result, World, estate, eventually, planted};

/// A minute for the operator, and a little for the machine that runs the test.
const SOON: Duration = Duration::from_secs(75);

/// A self-signed certificate for 20 days, and its key.
fn certificate(dir: &Path) -> Result<(String, String)> {
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "20", "-subj", "/CN=scanner"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok((std::fs::read_to_string(cert)?, std::fs::read_to_string(key)?))
}

fn certificate_secret(world: &World, cert: &str, key: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sv0-entra", "namespace": world.ns},
        "stringData": {"target": estate::TENANT, "tls.crt": cert, "tls.key": key},
    });
    world.kubectl.apply(&secret.to_string()).map(|_| ())
}

/// The small tenant; its scanner knows this certificate.
fn with_certificate(world: &World, cert: &str) -> Value {
    let mut file = estate::small(world.ns);
    file["applications"][0]["keyCredentials"] =
        json!([{"start": estate::days(-1), "end": estate::days(20), "certificatePem": cert}]);
    file
}

fn reason(world: &World, type_: &str) -> Result<String> {
    let status = world.status()?;
    Ok(condition(&status, type_).and_then(|c| c["reason"].as_str()).unwrap_or_default().to_owned())
}

#[test]
fn a_certificate_signs_in_and_its_end_is_told_in_time() -> Result<()> {
    let world = World::clean()?;
    let dir = tempfile::tempdir()?;
    let (cert, key) = certificate(dir.path())?;
    let file = with_certificate(&world, &cert);
    world.vendor.set_estate(&file.to_string())?;
    certificate_secret(&world, &cert, &key)?;
    world.kubectl.apply(&world.instance(&json!({"clientCertificate": {"secretName": "sv0-entra"}})).to_string())?;
    world.wait_evaluated()?;
    assert!(world.vendor.token_requests()? >= 1);
    world.wait_condition("CredentialExpiring", "True", "CredentialExpiring", SOON)?;
    assert!(world.status()?["credentialExpiresAt"].is_string(), "{}", world.status()?);

    // Another certificate, which the application does not know.
    let other = tempfile::tempdir()?;
    let (foreign, foreign_key) = certificate(other.path())?;
    certificate_secret(&world, &foreign, &foreign_key)?;
    world.vendor.reset_counters()?;
    world.request_scan("foreign-certificate")?;
    world.wait_condition("Ready", "False", "CertificateNotRegistered", SOON)?;
    assert!(world.vendor.token_requests()? <= 3, "{}", world.vendor.counters()?);

    // A key that belongs to another certificate never leaves the pod.
    certificate_secret(&world, &cert, &foreign_key)?;
    world.vendor.reset_counters()?;
    world.request_scan("mixed-certificate")?;
    world.wait_condition("Ready", "False", "CertificateUnreadable", SOON)?;
    assert_eq!(world.vendor.token_requests()?, 0, "{}", world.vendor.counters()?);

    certificate_secret(&world, &cert, &key)?;
    world.request_scan("right-again")?;
    world.wait_condition("Ready", "True", "ScanComplete", PATIENCE)?;
    Ok(())
}

#[test]
fn consent_that_changes_is_told_until_it_is_undone_or_accepted() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&json!({"user": {"id": estate::OWNER, "accountEnabled": false}}))?;
    world.connect()?;
    world.wait_condition("ConsentUnchanged", "True", "AsAccepted", SOON)?;
    let consent = world.status()?["consent"].clone();
    assert_eq!(consent["permissionCount"], 4, "{consent}");

    world.vendor.mutate(&json!({"grantPermission": "Mail.Read"}))?;
    world.rescan()?;
    let message = world.wait_condition("ConsentUnchanged", "False", "ConsentDrifted", SOON)?;
    assert!(message.contains("Mail.Read"), "{message}");
    let digest = world.status()?["consent"]["digest"].clone();
    world.patch_instance(&json!({"acceptedConsent": digest}))?;
    world.wait_condition("ConsentUnchanged", "True", "AsAccepted", SOON)?;
    world.wait_evaluated()?;
    // Our own identity is reported like any other: what it was granted is a finding now.
    let findings = world.versions()?;
    assert!(world.finding("UNB-005", "")?.is_some(), "our own mail permission is not reported");

    let needed = ["User.Read.All", "RoleManagement.Read.Directory", "Organization.Read.All", "Application.Read.All"];
    for permission in needed.into_iter().chain(["Mail.Read"]) {
        world.vendor.mutate(&json!({"revokePermission": permission}))?;
    }
    world.request_scan("revoked")?;
    world.wait_condition("Ready", "False", "ConsentRevoked", SOON)?;
    assert_eq!(reason(&world, "ConsentUnchanged")?, "ConsentRevoked");
    assert_eq!(world.versions()?, findings, "earlier findings were touched");

    for permission in needed {
        world.vendor.mutate(&json!({"grantPermission": permission}))?;
    }
    world.request_scan("granted-again")?;
    world.wait_condition("Ready", "True", "ScanComplete", PATIENCE)?;
    Ok(())
}

#[test]
fn a_newer_revision_reads_nothing_until_it_is_accepted_and_then_shows_what_was_planted() -> Result<()> {
    let world = World::clean()?;
    world.connect_shipped("full.yaml")?;
    let message = world.wait_condition("CollectionChangePending", "True", "CollectionNotAccepted", SOON)?;
    assert!(message.contains("acceptedCollectionRevision"), "{message}");
    let asked = world.vendor.counters()?["graphRequests"].to_string();
    assert!(asked.contains("servicePrincipals"), "nothing was counted: {asked}");
    for route in ["reports", "groups", "oauth2PermissionGrants", "directoryAudits", "agentIdentity", "Eligibility"] {
        assert!(!asked.contains(route), "asked for {route} without consent: {asked}");
    }

    world.patch_instance(&json!({"acceptedCollectionRevision": 2}))?;
    eventually("the end of the wait", PATIENCE, || match reason(&world, "CollectionChangePending")?.as_str() {
        "CollectionNotAccepted" => Err("still pending".into()),
        _ => Ok(()),
    })?;
    world.wait_evaluated()?;
    let asked = world.vendor.counters()?["graphRequests"].to_string();
    assert!(asked.contains("servicePrincipalSignInActivities"), "{asked}");
    planted::exactly(&world)
}
