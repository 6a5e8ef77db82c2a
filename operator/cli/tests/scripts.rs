//! The scripts that customers run, run: with stand-ins for az and kubectl that remember how they were called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";

/// Answers as az would for a tenant where `$NEW` says whether the application is still to be made. One permission is
/// not offered there.
const AZ: &str = r#"#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  'cloud show '*) echo AzureCloud ;;
  'account show '*) echo "$SIGNED_IN" ;;
  'ad app list '* | 'ad sp list '*) [ -n "$NEW" ] || echo 00000000-0000-0000-0000-00000000000b ;;
  'ad app create '*) echo 00000000-0000-0000-0000-00000000000b ;;
  'ad app show '* | 'ad sp create '*) echo object ;;
  'ad app federated-credential list '*) [ -n "$NEW" ] || echo trust ;;
  'ad sp show '*User.Read.All*) ;;
  'ad sp show '*appRoles*) echo role ;;
  'ad sp show '*) echo graph ;;
  'rest --method GET '*) [ -n "$NEW" ] || echo held ;;
  'ad app credential reset '*)
    for word; do case $word in @*) cp "${word#@}" "$CALLS.crt"; ls -ld "$(dirname "${word#@}")" > "$CALLS.dir" ;; esac; done ;;
esac
"#;

/// Remembers files that it is given, as a cluster would, and what is applied.
const KUBECTL: &str = r#"#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  'create secret '*)
    for word; do case $word in --from-file=tls.key=*) cp "${word#--from-file=tls.key=}" "$CALLS.key" ;; esac; done
    echo 'kind: Secret' ;;
  apply*) cat > "$CALLS.applied" ;;
esac
"#;

struct World {
    dir: TempDir,
    out: PathBuf,
}

impl World {
    fn new(method: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, script) in [("az", AZ), ("kubectl", KUBECTL)] {
            let path = dir.path().join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let out = dir.path().join("with space");
        let made = Command::new(env!("CARGO_BIN_EXE_kubectl-sv0"))
            .args(["onboard", "entra", "--tenant", TENANT, "--client-id", CLIENT, "-n", "team-a"])
            .args(["--method", method, "--display-name", "It's $HOME", "--out"])
            .arg(&out)
            .status()
            .unwrap();
        assert!(made.success());
        Self { dir, out }
    }

    /// The application is not known yet.
    fn without_client(self) -> Self {
        let values = self.out.join("values.sh");
        let text = std::fs::read_to_string(&values).unwrap();
        std::fs::write(values, text.replace(&format!("SV0_CLIENT='{CLIENT}'"), "SV0_CLIENT=''")).unwrap();
        self
    }

    fn run(&self, script: &str, signed_in: &str, new: &str) -> Output {
        let path = format!("{}:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        Command::new("sh")
            .arg(self.out.join(script))
            .env("PATH", path)
            .env("CALLS", self.file("calls"))
            .env("SIGNED_IN", signed_in)
            .env("NEW", new)
            .env("TMPDIR", self.dir.path())
            .output()
            .unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn calls(&self) -> Vec<String> {
        read(&self.file("calls")).lines().map(str::to_owned).collect()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn starting<'a>(calls: &'a [String], start: &str) -> Vec<&'a String> {
    calls.iter().filter(|call| call.starts_with(start)).collect()
}

#[test]
fn a_new_application_gets_its_trust_and_its_grants() {
    let world = World::new("certificate").without_client();
    // As the other way of signing in would have written it.
    std::fs::write(world.out.join("federated-credential.json"), "{}").unwrap();
    let output = world.run("onboard.sh", TENANT, "yes");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("application (client) ID: {CLIENT}")));
    let calls = world.calls();
    let created = starting(&calls, "ad app create ");
    assert_eq!(created.len(), 1);
    assert!(created[0].contains("--display-name It's $HOME --sign-in-audience AzureADMyOrg"), "{created:?}");
    assert!(starting(&calls, "rest --method PATCH ")[0].contains("/v1.0/applications/object "), "{calls:?}");
    assert_eq!(starting(&calls, "ad app federated-credential create ").len(), 1);
    let permissions = read(&world.out.join("onboard.sh"));
    let permissions = permissions.lines().filter(|line| line.ends_with(".All") || line.ends_with(".Directory")).count();
    let grants = starting(&calls, "rest --method POST ");
    assert_eq!(grants.len(), permissions - 1, "each but the one that the tenant does not offer");
    for grant in grants {
        assert!(grant.contains("/v1.0/servicePrincipals/graph/appRoleAssignedTo"), "{grant}");
        assert!(grant.ends_with(r#"{"principalId":"object","resourceId":"graph","appRoleId":"role"}"#), "{grant}");
    }
    assert!(text(&output.stderr).contains("does not offer: User.Read.All"), "{}", text(&output.stderr));
}

#[test]
fn what_is_there_is_left_as_it_is() {
    let world = World::new("certificate").without_client();
    std::fs::write(world.out.join("federated-credential.json"), "{}").unwrap();
    let output = world.run("onboard.sh", TENANT, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = world.calls();
    for made in ["ad app create ", "ad sp create ", "rest --method POST ", "rest --method PATCH ", "ad app permission "]
    {
        assert!(starting(&calls, made).is_empty(), "{made}: {calls:?}");
    }
    assert_eq!(starting(&calls, "ad app federated-credential update ").len(), 1);
}

#[test]
fn another_tenant_is_not_touched() {
    let world = World::new("certificate");
    let output = world.run("onboard.sh", "00000000-0000-0000-0000-00000000000c", "yes");
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("another tenant"));
    assert_eq!(world.calls().len(), 2, "it only looked: {:?}", world.calls());
}

#[test]
fn the_key_goes_into_the_cluster_and_nowhere_else() {
    let world = World::new("certificate");
    let output = world.run("certificate.sh", TENANT, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let registered = read(&world.file("calls.crt"));
    assert!(registered.contains("BEGIN CERTIFICATE") && !registered.contains("PRIVATE"));
    assert!(read(&world.file("calls.key")).contains("PRIVATE KEY"));
    assert!(read(&world.file("calls.dir")).starts_with("drwx------"), "the directory is the user's alone");
    assert_eq!(read(&world.file("calls.applied")), "kind: Secret\n");
    let calls = world.calls();
    let created = starting(&calls, "create secret generic sv0-entra --namespace team-a ");
    assert_eq!(created.len(), 1);
    assert!(created[0].contains(&format!("--from-literal=target={TENANT}")));
    // What was made for the way there is gone.
    let left: Vec<_> = std::fs::read_dir(world.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("tmp."))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!text(&output.stdout).contains("PRIVATE") && !text(&output.stderr).contains("PRIVATE"));
}

#[test]
fn without_an_application_no_key_is_made() {
    let world = World::new("certificate").without_client();
    let output = world.run("certificate.sh", TENANT, "");
    assert!(!output.status.success());
    assert!(!world.file("calls").exists());
}
