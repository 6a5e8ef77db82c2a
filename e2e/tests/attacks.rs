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
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine", "namespace": world.ns}});
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
            "rule": {"id": "ORPH-001", "version": "1.0.0", "claim": "Full"}, "family": "OrphanedAutomation", "category": "forged",
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
fn job(world: &World, namespace: &str) -> Result<Value> {
    Ok(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "sv0-scan-attack", "namespace": namespace, "labels": {"securityv0.com/program": "scan"}},
        "spec": {"template": {
            "metadata": {"labels": {"securityv0.com/program": "scan"}},
            "spec": {
                "restartPolicy": "Never", "serviceAccountName": "scanner", "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "scan", "image": world.env.image, "command": ["/scan"],
                    "env": [{"name": "SECURITYV0_SCAN_REQUEST", "value": scan_order(world, namespace)?}],
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                        "capabilities": {"drop": ["ALL"]}},
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        }},
    }))
}

#[test]
fn a_stolen_manager_account_runs_nothing_but_our_scans() -> Result<()> {
    let world = World::clean()?;
    let thief = manager(&world);
    let create = |job: &Value| thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
    create(&job(&world, world.ns)?)
        .map_err(|e| format!("the unbent Job must be allowed, or this test proves nothing: {e}"))?;

    refused("a Job outside of the estates", create(&job(&world, "default")?), "forbidden")?;
    let unbent = job(&world, world.ns)?;
    let bent = |pointer: &str, value: Value| {
        let mut job = unbent.clone();
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
    refused(
        "a stranger's Secret",
        create(&volume(json!({"name": "tmp", "secret": {"secretName": "db-password"}}))),
        policy,
    )?;
    let context = format!("{pod}/containers/0/securityContext");
    refused("privilege", create(&bent(&context, json!({"privileged": true}))), policy)?;
    let mut host = unbent.clone();
    host["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    refused("the host's network", create(&host), policy)?;
    let mut sidecar = unbent.clone();
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
    let other_uid =
        format!("/v1/scan/{}/{}/11111111-1111-4111-8111-111111111111/parts/{part}", world.ns, sv0_e2e::world::INSTANCE);
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
            assert!(
                audience.starts_with("securityv0-store/scan/") || audience == "api://AzureADTokenExchange",
                "{volume}"
            );
        }
    }
    Ok(())
}

/// The text that admission compares: the order as the manager writes it.
fn scan_order(world: &World, namespace: &str) -> Result<String> {
    let order = json!({"trustedCaPem": world.vendor.ca()?, "privateHosts": ["login.microsoftonline.com", "graph.microsoft.com"]});
    let network = format!(r#"{{"trustedCaPem":{},"privateHosts":{}}}"#, order["trustedCaPem"], order["privateHosts"]);
    let auth = r#""auth":"workloadIdentity""#;
    Ok(format!(
        r#"{{"namespace":"{namespace}","instance":"x",{auth},"network":{network},"store":{}}}"#,
        store_of(SYSTEM)
    ))
}

fn store_of(namespace: &str) -> String {
    format!(r#"{{"url":"https://securityv0-store.{namespace}.svc:8443","caPem":"PEM"}}"#)
}

/// The pod of a Job, to be bent.
fn pod(job: &mut Value) -> &mut Value {
    &mut job["spec"]["template"]["spec"]
}

/// Adds a volume and mounts it.
fn mount(job: &mut Value, volume: &Value, mount: &Value) {
    pod(job)["volumes"] = json!([volume]);
    pod(job)["containers"][0]["volumeMounts"] = json!([mount]);
}

type Bend = fn(&mut Value);

/// Each of these would let a taken-over manager run something else than our program, or learn what it may not.
const BENT_PODS: &[(&str, Bend)] = &[
    ("a program mounted over ours", |j| {
        mount(j, &json!({"name": "v", "emptyDir": {}}), &json!({"name": "v", "mountPath": "/scan"}));
    }),
    ("one file of a volume", |j| {
        mount(j, &json!({"name": "v", "emptyDir": {}}), &json!({"name": "v", "mountPath": "/tmp", "subPath": "scan"}));
    }),
    ("arguments", |j| pod(j)["containers"][0]["args"] = json!(["--help"])),
    ("another program of the image", |j| pod(j)["containers"][0]["command"] = json!(["/store"])),
    ("a hook", |j| pod(j)["containers"][0]["lifecycle"] = json!({"postStart": {"exec": {"command": ["/manager"]}}})),
    ("a probe through the node", |j| {
        pod(j)["containers"][0]["livenessProbe"] =
            json!({"httpGet": {"host": "169.254.169.254", "port": 80, "path": "/"}});
    }),
    ("the log as last words", |j| pod(j)["containers"][0]["terminationMessagePolicy"] = json!("FallbackToLogsOnError")),
    ("a talkative program", |j| {
        if let Some(env) = pod(j)["containers"][0]["env"].as_array_mut() {
            env.push(json!({"name": "RUST_LOG", "value": "trace"}));
        }
    }),
    ("a Secret in the environment", |j| {
        pod(j)["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "sv0-entra"}}]);
    }),
    ("a projected Secret", |j| {
        let volume = json!({"name": "v", "projected": {"sources": [{"secret": {"name": "sv0-entra"}}]}});
        mount(j, &volume, &json!({"name": "v", "mountPath": "/tmp"}));
    }),
    ("a token for the API server", |j| {
        let volume = json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}});
        mount(j, &volume, &json!({"name": "v", "mountPath": "/tmp"}));
    }),
    ("a token for another estate's part of the store", |j| {
        let token = json!({"path": "token", "audience": "securityv0-store/scan/e2e-b/x/u"});
        let volume = json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": token}]}});
        mount(j, &volume, &json!({"name": "v", "mountPath": "/var/run/securityv0/store"}));
    }),
    ("a DNS server of its own", |j| pod(j)["dnsConfig"] = json!({"nameservers": ["203.0.113.1"]})),
    ("a host alias of its own", |j| {
        pod(j)["hostAliases"] = json!([{"ip": "203.0.113.1", "hostnames": ["graph.microsoft.com"]}]);
    }),
    ("a chosen node", |j| pod(j)["nodeName"] = json!("x")),
    ("a priority", |j| pod(j)["priorityClassName"] = json!("system-node-critical")),
    ("a thousand pods", |j| j["spec"]["parallelism"] = json!(1000)),
    ("the store's labels", |j| {
        j["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] = json!("store");
    }),
    ("no program label", |j| j["spec"]["template"]["metadata"]["labels"] = json!({})),
    ("the default account", |j| pod(j)["serviceAccountName"] = json!("default")),
    ("root", |j| pod(j)["containers"][0]["securityContext"]["runAsUser"] = json!(0)),
    ("no seccomp", |j| pod(j)["containers"][0]["securityContext"]["seccompProfile"] = json!({"type": "Unconfined"})),
    ("the host's port", |j| pod(j)["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": 1}])),
    ("the host's processes", |j| pod(j)["hostPID"] = json!(true)),
];

#[test]
fn a_stolen_manager_account_cannot_replace_our_programs() -> Result<()> {
    let world = World::clean()?;
    let thief = manager(&world);
    let create = |job: &Value| thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
    create(&job(&world, world.ns)?)
        .map_err(|e| format!("the unbent Job must be allowed, or this test proves nothing: {e}"))?;
    for (what, bend) in BENT_PODS {
        let mut job = job(&world, world.ns)?;
        bend(&mut job);
        refused(what, create(&job), "ValidatingAdmissionPolicy")?;
    }
    Ok(())
}

#[test]
fn a_stolen_manager_account_cannot_lead_a_scan_elsewhere() -> Result<()> {
    let world = World::clean()?;
    let thief = manager(&world);
    let good = scan_order(&world, world.ns)?;
    let evil = store_of("evil");
    let own = store_of(SYSTEM);
    let bends = [
        ("another store", good.replace(&own, &evil)),
        ("two stores", good.replace(&own, &format!("{own},\"store\":{evil}"))),
        ("a store as a list", good.replace(&own, r#"["https://evil.example","PEM"]"#)),
        ("a proxy", good.replace(r#""network":{"#, r#""network":{"proxy":"http://evil.example:1","#)),
        ("a proxy behind a blank", good.replace(r#""network":{"#, r#""network":{"proxy" :"http://evil.example:1","#)),
        (
            "a proxy behind an escape",
            good.replace(r#""network":{"#, r#""network":{"pr\u006fxy":"http://evil.example:1","#),
        ),
        ("another authority", good.replace("BEGIN CERTIFICATE", "BEGIN  CERTIFICATE")),
        (
            "more private hosts",
            good.replace("\"graph.microsoft.com\"]", "\"graph.microsoft.com\",\"169.254.169.254\"]"),
        ),
        (
            "network settings as a list",
            good.replace(r#""network":{"#, r#""network":["PEM",[],"http://evil.example:1"],"x":{"#),
        ),
        ("the node's metadata", good.replace(r#""network":{"#, r#""network":{"allowMetadataEndpoint":true,"#)),
        ("the node's metadata, after a no", {
            good.replace(r#""network":{"#, r#""network":{"allowMetadataEndpoint":false,"allowMetadataEndpoint":true,"#)
        }),
        ("the node's metadata behind a blank", {
            good.replace(r#""network":{"#, r#""network":{"allowMetadataEndpoint": true,"#)
        }),
        ("the node's identity", good.replace(r#""workloadIdentity""#, r#""managedIdentity""#)),
        ("the node's identity as an object", good.replace(r#""workloadIdentity""#, r#"{"managedIdentity":null}"#)),
        ("the node's identity for an application", {
            let identity =
                r#"{"federatedManagedIdentity":{"managedIdentityClientId":"00000000-0000-0000-0000-000000000000"}}"#;
            good.replace(r#""workloadIdentity""#, identity)
        }),
        ("two ways to sign in", good.replace(r#""auth":"#, r#""auth":"clientSecret","auth":"#)),
        ("no way to sign in", good.replace(r#""auth":"workloadIdentity","#, "")),
        ("an order as a list", format!("[{good}]")),
        // The kubelet would put another variable's value there, after admission has read the order.
        ("a proxy from a variable", good.replace(r#""network":{"#, r#""network":{$(SECURITYV0_EVALUATE_REQUEST)"#)),
        ("another estate's order", good.replace(world.ns, ESTATES[1])),
    ];
    for (what, order) in bends {
        assert_ne!(order, good, "{what}: nothing was bent");
        let mut job = job(&world, world.ns)?;
        pod(&mut job)["containers"][0]["env"][0]["value"] = json!(order);
        let attempt = thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
        refused(what, attempt, "ValidatingAdmissionPolicy")?;
    }
    let mut job = job(&world, world.ns)?;
    let order = good.replace(r#""network":{"#, r#""network":{$(SECURITYV0_EVALUATE_REQUEST)"#);
    pod(&mut job)["containers"][0]["env"] = json!([
        {"name": "SECURITYV0_EVALUATE_REQUEST", "value": r#""proxy":"http://evil.example:1","allowMetadataEndpoint":true,"#},
        {"name": "SECURITYV0_SCAN_REQUEST", "value": order},
    ]);
    let attempt = thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
    refused("an order completed by the kubelet", attempt, "ValidatingAdmissionPolicy")
}

/// An evaluation's Job as the manager would make it, to be bent.
fn evaluation(world: &World, estate: &str, order: &str) -> Result<Value> {
    let mut job = job(world, SYSTEM)?;
    job["spec"]["template"]["metadata"]["labels"] = json!({"securityv0.com/program": "evaluate"});
    pod(&mut job)["serviceAccountName"] = json!(format!("evaluate-{estate}"));
    let container = &mut pod(&mut job)["containers"][0];
    container["command"] = json!(["/evaluate"]);
    container["env"] = json!([{"name": "SECURITYV0_EVALUATE_REQUEST", "value": order}]);
    Ok(job)
}

#[test]
fn a_stolen_manager_account_cannot_turn_an_evaluation() -> Result<()> {
    let world = World::clean()?;
    let thief = manager(&world);
    let create = |job: &Value| thief.run_with(&["create", "--dry-run=server", "-f", "-"], &job.to_string());
    let [own, other] = ESTATES;
    let order =
        |store: &str, spec: &str| format!(r#"{{"namespace":"{own}","inputs":[],"estateSpec":{spec},"store":{store}}}"#);
    let good = order(&store_of(SYSTEM), "{}");
    create(&evaluation(&world, own, &good)?).map_err(|e| format!("the unbent Job must be allowed: {e}"))?;

    let policy = "ValidatingAdmissionPolicy";
    refused("another estate's account", create(&evaluation(&world, other, &good)?), policy)?;
    // A list is read as a struct without any key; the free part of the order holds the keys that admission looks for.
    let hidden = order(r#"["https://evil.example","PEM"]"#, &store_of(SYSTEM));
    refused("a hidden store", create(&evaluation(&world, own, &hidden)?), policy)?;
    let hidden = order(r#"["https://evil.example","PEM"]"#, &format!(r#"{{"store":{}}}"#, store_of(SYSTEM)));
    refused("a hidden store with its key", create(&evaluation(&world, own, &hidden)?), policy)?;
    let hidden = hidden.replacen(r#""store":["#, r#""store" :["#, 1);
    refused("a hidden store behind a blank", create(&evaluation(&world, own, &hidden)?), policy)?;

    let with = |name: &str, source: Value, path: &str| -> Result<Value> {
        let mut job = evaluation(&world, own, &good)?;
        mount(
            &mut job,
            &json!({"name": name, "projected": {"sources": [source]}}),
            &json!({"name": name, "mountPath": path}),
        );
        Ok(job)
    };
    let text = json!({"downwardAPI": {"items": [{"path": "evaluate", "fieldRef": {"fieldPath": "metadata.annotations['program']"}}]}});
    refused("a program from an annotation", create(&with("v", text, "/tmp")?), policy)?;
    let token =
        json!({"serviceAccountToken": {"path": "token", "audience": format!("securityv0-store/evaluate/{other}")}});
    refused("a token for another estate", create(&with("v", token, "/var/run/securityv0/store")?), policy)?;
    let secret = json!({"secret": {"name": "registry"}});
    refused("a Secret of the operator's namespace", create(&with("v", secret, "/tmp")?), policy)?;
    for account in ["securityv0-store", "securityv0-manager", "default"] {
        let mut job = evaluation(&world, own, &good)?;
        pod(&mut job)["serviceAccountName"] = json!(account);
        refused(account, create(&job), policy)?;
    }
    Ok(())
}

#[test]
fn nobody_but_the_manager_says_how_an_instance_stands() -> Result<()> {
    let world = World::clean()?;
    world.kubectl.apply(&world.instance(&json!({"workloadIdentity": {}})).to_string())?;
    let status = r#"{"status":{"snapshot":{"id":"x","digest":"sha256:x","collectedAt":"2026-01-01T00:00:00Z"}}}"#;
    let patch = [
        "patch",
        "connectorinstance",
        sv0_e2e::world::INSTANCE,
        "-n",
        world.ns,
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ];
    refused("forge a status as administrator", world.kubectl.run(&patch), "ValidatingAdmissionPolicy")?;
    let evaluation = world.kubectl.as_account(SYSTEM, &format!("evaluate-{}", world.ns));
    refused("forge a status as the evaluation", evaluation.run(&patch), "forbidden")?;
    let estate = r#"{"status":{"ledger":"sha256:x"}}"#;
    let patch = [
        "patch",
        "estates.securityv0.com",
        "default",
        "-n",
        world.ns,
        "--subresource=status",
        "--type=merge",
        "-p",
        estate,
    ];
    sv0_e2e::eventually("an Estate", sv0_e2e::world::PATIENCE, || {
        world.kubectl.find(world.ns, "estates.securityv0.com", "default")?.ok_or_else(|| "none yet".into())
    })?;
    refused("forge the estate's status as administrator", world.kubectl.run(&patch), "evaluation")?;
    refused("forge the estate's status as the manager", manager(&world).run(&patch), "forbidden")
}

#[test]
fn the_tenant_of_an_instance_cannot_be_changed() -> Result<()> {
    let world = World::clean()?;
    let mut instance = world.instance(&json!({"clientSecret": {"secretName": "sv0-entra"}}));
    world.kubectl.apply(&instance.to_string())?;
    instance["spec"]["entra"]["tenantId"] = json!("99999999-9999-4999-8999-999999999999");
    refused("another tenant", world.kubectl.apply(&instance.to_string()), "tenantId cannot change")
}

#[test]
fn one_namespace_cannot_swell_the_managers_memory() -> Result<()> {
    let world = World::clean()?;
    let policy = "ValidatingAdmissionPolicy";
    let large = "x".repeat(20_000);
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["metadata"]["annotations"] = json!({"securityv0.com/scan-requested": large});
    let create =
        |object: &Value| world.kubectl.run_with(&["create", "--dry-run=server", "-f", "-"], &object.to_string());
    refused("a huge annotation", create(&instance), policy)?;
    let mut instance = world.instance(&json!({"workloadIdentity": {}}));
    instance["metadata"]["labels"] =
        (0..100).map(|n| (format!("l{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    refused("a hundred labels", create(&instance), policy)?;
    let schedule = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule", "metadata": {"name": "x", "namespace": world.ns},
        "spec": {"schedule": "0 0 * * *", "selector": {"matchLabels": {"app": large}}},
    });
    refused("a huge selector", create(&schedule), policy)
}

#[test]
fn reading_findings_is_not_part_of_view() -> Result<()> {
    let world = World::clean()?;
    let can = |role: &str, verb: &str, resource: &str| -> Result<bool> {
        let user = format!("e2e-{role}");
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": user, "namespace": world.ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
        });
        world.kubectl.apply(&binding.to_string())?;
        let answer = world.kubectl.run(&["auth", "can-i", verb, resource, "-n", world.ns, "--as", &user]);
        world.kubectl.run(&["delete", "rolebinding", &user, "-n", world.ns])?;
        Ok(answer.is_ok_and(|a| a.trim() == "yes"))
    };
    assert!(can("view", "get", "pods")?, "the binding works");
    for role in ["view", "edit", "admin"] {
        assert!(!can(role, "get", "findings.securityv0.com")?, "{role}");
        assert!(!can(role, "create", "connectorinstances.securityv0.com")?, "{role}");
    }
    assert!(can("securityv0-findings-reader", "get", "findings.securityv0.com")?);
    assert!(!can("securityv0-findings-reader", "delete", "findings.securityv0.com")?);
    Ok(())
}

#[test]
fn the_stores_account_can_do_three_things() -> Result<()> {
    let world = World::clean()?;
    let user = format!("system:serviceaccount:{SYSTEM}:securityv0-store");
    let can = |arguments: &[&str]| -> bool {
        let call = [&["auth", "can-i"], arguments, &["--as", &user]].concat();
        world.kubectl.run(&call).is_ok_and(|answer| answer.trim() == "yes")
    };
    assert!(can(&["create", "tokenreviews.authentication.k8s.io"]));
    assert!(can(&["get", "namespaces"]));
    assert!(can(&["patch", "configmaps/securityv0-store-ca", "-n", SYSTEM]));
    for refused in [
        &["get", "secrets", "-n", SYSTEM][..],
        &["get", "secrets", "-n", world.ns],
        &["get", "configmaps/securityv0-config", "-n", SYSTEM],
        &["create", "configmaps", "-n", SYSTEM],
        &["get", "findings.securityv0.com", "-n", world.ns],
        &["get", "connectorinstances.securityv0.com", "-n", world.ns],
        &["create", "serviceaccounts", "-n", SYSTEM],
        &["create", "pods", "-n", SYSTEM],
        &["list", "namespaces"],
    ] {
        assert!(!can(refused), "{refused:?}");
    }
    Ok(())
}
