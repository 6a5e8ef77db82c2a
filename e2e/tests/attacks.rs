//! Each attack is made for real, as the attacker would make it, and must be refused.

use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::store::Store;
use sv0_e2e::world::ESTATES;
use sv0_e2e::{Kubectl, Result, World, estate};

fn manager(world: &World) -> Kubectl {
    world.kubectl.as_account(SYSTEM, "securityv0-manager")
}

/// The attempt must fail, and for this reason.
fn refused(what: &str, attempt: Result<String>, because: &str) -> Result<()> {
    match attempt {
        Ok(output) => Err(format!("{what}: was allowed: {output}").into()),
        Err(e) if e.to_string().contains(because) => Ok(()),
        Err(e) => Err(format!("{what}: refused, but not because of \"{because}\": {e}").into()),
    }
}

#[test]
fn a_stolen_manager_account_reads_no_secret_and_makes_no_token() -> Result<()> {
    let world = World::clean()?;
    world.secret(estate::TENANT, estate::SECRET)?;
    let thief = manager(&world);
    refused("get a secret", thief.run(&["get", "secret", "sv0-entra", "-n", world.ns]), "forbidden")?;
    refused("list secrets", thief.run(&["get", "secrets", "-A"]), "forbidden")?;
    refused("request a token", thief.run(&["create", "token", "scanner", "-n", world.ns]), "forbidden")?;
    refused("exec", thief.run(&["exec", "-n", SYSTEM, "deploy/securityv0-manager", "--", "/manager"]), "forbidden")?;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine", "namespace": world.ns}});
    refused("make an account", thief.apply(&account.to_string()), "forbidden")?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "mine", "namespace": world.ns},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "securityv0-manager", "namespace": SYSTEM}],
    });
    refused("bind a role", thief.apply(&binding.to_string()), "forbidden")?;
    refused("write a finding", thief.apply(&forged(world.ns).to_string()), "forbidden")
}

fn forged(namespace: &str) -> Value {
    json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "Finding",
        "metadata": {"name": "orph-001-0000000000000000", "namespace": namespace},
        "spec": {
            "rule": {"id": "ORPH-001", "version": 1, "claim": "Full"}, "family": "OrphanedAutomation", "category": "forged",
            "severity": "Critical", "severityRank": 5, "title": "Forged", "why": "Forged",
            "subject": {"id": "entra:t:ServicePrincipal:x", "kind": "ServicePrincipal", "name": "x", "system": "entra",
                        "tenant": "t", "instance": "i", "instanceUid": "u"},
            "accountable": {"state": "Unknown", "parties": [], "total": 0},
            "path": [], "evidence": [], "remediation": [], "standards": [], "state": "Open",
            "firstObserved": "2026-01-01T00:00:00Z", "contentDigest": "0".repeat(64),
        },
    })
}

#[test]
fn nobody_but_the_estates_evaluation_writes_findings() -> Result<()> {
    let world = World::clean()?;
    let forged = forged(world.ns).to_string();
    // The cluster's administrator and the other estate's evaluation alike.
    refused("forge as administrator", world.kubectl.run_with(&["create", "-f", "-"], &forged), "evaluat")?;
    let neighbour = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", ESTATES[1]));
    refused("forge as the neighbour", neighbour.run_with(&["create", "-f", "-"], &forged), "forbidden")?;
    refused("read the neighbour's findings", neighbour.run(&["get", "findings", "-n", ESTATES[0]]), "forbidden")?;
    let own = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", ESTATES[0]));
    own.run_with(&["create", "--dry-run=server", "-f", "-"], &forged)?;
    Ok(())
}

/// A Job as the manager would make it, to be bent.
fn job(world: &World, namespace: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "sv0-scan-attack", "namespace": namespace, "labels": {"securityv0.com/program": "scan"}},
        "spec": {"template": {
            "metadata": {"labels": {"securityv0.com/program": "scan"}},
            "spec": {
                "restartPolicy": "Never", "serviceAccountName": "scanner", "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "scan", "image": world.env.image, "command": ["/scan"],
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                        "capabilities": {"drop": ["ALL"]}},
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        }},
    })
}

#[test]
fn a_stolen_manager_account_runs_nothing_but_our_scans() -> Result<()> {
    let world = World::clean()?;
    let thief = manager(&world);
    let create = |job: &Value| thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
    create(&job(&world, world.ns)).map_err(|e| format!("the unbent Job must be allowed, or this test proves nothing: {e}"))?;

    refused("a Job outside of the estates", create(&job(&world, "default")), "forbidden")?;
    let bent = |pointer: &str, value: Value| {
        let mut job = job(&world, world.ns);
        if let Some(place) = job.pointer_mut(pointer) {
            *place = value;
        }
        job
    };
    let policy = "ValidatingAdmissionPolicy";
    let pod = "/spec/template/spec";
    refused("a foreign image", create(&bent(&format!("{pod}/containers/0/image"), json!("evil.example/x:1"))), policy)?;
    refused("an API token", create(&bent(&format!("{pod}/automountServiceAccountToken"), json!(true))), policy)?;
    let volume = |v: Value| bent(&format!("{pod}/volumes/0"), v);
    refused("the host's files", create(&volume(json!({"name": "tmp", "hostPath": {"path": "/"}}))), policy)?;
    refused("a stranger's Secret", create(&volume(json!({"name": "tmp", "secret": {"secretName": "db-password"}}))), policy)?;
    let context = format!("{pod}/containers/0/securityContext");
    refused("privilege", create(&bent(&context, json!({"privileged": true}))), policy)?;
    let mut host = job(&world, world.ns);
    host["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    refused("the host's network", create(&host), policy)?;
    let mut sidecar = job(&world, world.ns);
    sidecar["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "evil", "image": "evil.example/x:1"}]);
    refused("a foreign init container", create(&sidecar), policy)
}

#[test]
fn a_stolen_scan_token_reaches_only_its_own_instance() -> Result<()> {
    let world = World::clean()?;
    world.connect()?;
    let store = Store::open(&world)?;
    let uid = world.kubectl.get(&["-n", world.ns, "connectorinstance", sv0_e2e::world::INSTANCE])?["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let audience = format!("securityv0-store/scan/{}/{}/{uid}", world.ns, sv0_e2e::world::INSTANCE);
    let token = world.token(world.ns, "scanner", &audience)?;
    let part = "a".repeat(64);
    let own = format!("/v1/scan/{}/{}/{uid}/parts/{part}", world.ns, sv0_e2e::world::INSTANCE);
    // The digest does not fit: the request passed the door and failed at the content.
    assert_eq!(store.status("PUT", &own, Some(&token))?, 422, "own path");

    let other_instance = format!("/v1/scan/{}/other/{uid}/parts/{part}", world.ns);
    let other_uid = format!("/v1/scan/{}/{}/11111111-1111-4111-8111-111111111111/parts/{part}", world.ns, sv0_e2e::world::INSTANCE);
    let other_estate = format!("/v1/scan/{}/{}/{uid}/parts/{part}", ESTATES[1], sv0_e2e::world::INSTANCE);
    for path in [&other_instance, &other_uid, &other_estate] {
        assert!(matches!(store.status("PUT", path, Some(&token))?, 401 | 403), "{path}");
    }
    // It cannot read back, not even its own estate's snapshots.
    let list = format!("/v1/estates/{}/instances/{uid}/snapshots", world.ns);
    assert!(matches!(store.status("GET", &list, Some(&token))?, 401 | 403));
    assert!(matches!(store.status("GET", &list, None)?, 401 | 403));
    // The right account with the API server's own audience, and the neighbour with the right audience.
    let wrong_audience = world.token(world.ns, "scanner", "https://kubernetes.default.svc")?;
    assert!(matches!(store.status("PUT", &own, Some(&wrong_audience))?, 401 | 403));
    let neighbour = world.token(ESTATES[1], "scanner", &audience)?;
    assert!(matches!(store.status("PUT", &own, Some(&neighbour))?, 401 | 403));
    Ok(())
}

#[test]
fn each_estates_evidence_opens_only_for_its_own_accounts() -> Result<()> {
    let world = World::clean()?;
    world.connect()?;
    let store = Store::open(&world)?;
    let [own, other] = ESTATES;
    let uid = world.kubectl.get(&["-n", own, "connectorinstance", sv0_e2e::world::INSTANCE])?["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let list = format!("/v1/estates/{own}/instances/{uid}/snapshots");
    let reader = world.token(SYSTEM, &format!("reader-{own}"), &format!("securityv0-store/reader/{own}"))?;
    assert_eq!(store.status("GET", &list, Some(&reader))?, 200, "the estate's own reader");
    let pack = format!("/v1/estates/{own}/packs/{}", "b".repeat(64));
    assert!(matches!(store.status("PUT", &pack, Some(&reader))?, 401 | 403), "a reader does not write");

    let neighbour = world.token(SYSTEM, &format!("reader-{other}"), &format!("securityv0-store/reader/{other}"))?;
    let dressed_up = world.token(SYSTEM, &format!("reader-{other}"), &format!("securityv0-store/reader/{own}"))?;
    let scanner = world.token(own, "scanner", &format!("securityv0-store/evaluate/{own}"))?;
    for token in [&neighbour, &dressed_up, &scanner] {
        assert!(matches!(store.status("GET", &list, Some(token))?, 401 | 403));
    }
    Ok(())
}

#[test]
fn a_scan_pod_holds_no_kubernetes_token() -> Result<()> {
    let world = World::clean()?;
    world.vendor.mutate(&json!({"fault": {"route": "applications", "status": 429, "times": 3, "retryAfter": 5}}))?;
    world.kubectl.apply(&world.instance(&json!({"workloadIdentity": {}})).to_string())?;
    let pod = sv0_e2e::eventually("a scan pod", sv0_e2e::world::PATIENCE, || {
        world.kubectl.list(world.ns, "pods")?.into_iter().next().ok_or_else(|| "no pod yet".into())
    })?;
    let mounts = pod["spec"].to_string();
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert!(!mounts.contains("/var/run/secrets/kubernetes.io"), "{mounts}");
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
            let audience = source["serviceAccountToken"]["audience"].as_str().unwrap_or_default();
            assert!(audience.starts_with("securityv0-store/scan/") || audience == "api://AzureADTokenExchange", "{volume}");
        }
    }
    Ok(())
}
