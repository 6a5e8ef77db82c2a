//! What a scan reads stays where it belongs. Names and addresses are seen in Findings and in the stored evidence and
//! nowhere else; a credential's value, and the name of a person, are seen nowhere at all. Each is planted as a word that exists nowhere else, and then
//! everything that the product shows to others is searched for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sv0_e2e::deploy::SYSTEM;
use sv0_e2e::forward::Forward;
use sv0_e2e::logs::Logs;
use sv0_e2e::store::Store;
use sv0_e2e::world::{ESTATES, INSTANCE, PATIENCE};
use sv0_e2e::{Result, World, estate};

const APP_NAME: &str = "CanaryApp5f1d0a";
const OWNER_NAME: &str = "CanaryOwner93be77";
// Without the domain: the sign that divides them may be escaped.
const ADDRESS: &str = "canary.address.c40e12";
const SECRET: &str = "CanarySecret8d27f6Value";
const WRONG_SECRET: &str = "CanaryWrong61ac35Value";

/// What is kept, and shown in Findings.
const NAMES: [&str; 2] = [APP_NAME, ADDRESS];
/// What is not even kept. People are known by id and address, so their names are not read.
const NEVER_KEPT: [&str; 3] = [SECRET, WRONG_SECRET, OWNER_NAME];

/// Texts by where they were found.
type Places = BTreeMap<String, String>;

/// `word` as it may be written: in any case, and in Base64 at each of the three offsets.
fn spellings(word: &str) -> Vec<String> {
    let mut all = vec![word.to_lowercase()];
    for offset in 0..3 {
        let padded = [&b"\0\0\0"[..offset], word.as_bytes()].concat();
        let encoded = base64(&padded);
        // The digits that the neighbouring bytes have a part in differ from text to text.
        let (from, to) = (if offset == 0 { 0 } else { offset + 1 }, padded.len() / 3 * 4);
        all.push(encoded[from..to].to_lowercase());
    }
    all
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, n| bits << 8 | usize::from(three.get(n).copied().unwrap_or(0)));
        text.extend((0..4).rev().map(|n| char::from(DIGITS[bits >> (6 * n) & 63])));
    }
    text
}

/// Where any of `words` is, as "place: word".
fn sightings(places: &Places, words: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    for (place, text) in places {
        let text = text.to_lowercase();
        for word in words {
            if spellings(word).iter().any(|spelling| text.contains(spelling.as_str())) {
                seen.push(format!("{place}: {word}"));
            }
        }
    }
    seen
}

#[test]
fn the_search_finds_what_is_there() {
    let found = |text: &str| !sightings(&BTreeMap::from([("here".into(), text.into())]), &[SECRET]).is_empty();
    assert!(found(&format!("before {SECRET} after")));
    assert!(found(&format!("value={}", SECRET.to_uppercase())));
    for before in ["", "x", "xy", "xyz"] {
        let text = base64(format!("{before}{SECRET}, and more").as_bytes());
        assert!(found(&text), "{text}");
    }
    assert!(!found("CanarySecret and other words"));
    assert_eq!(base64(b"Man"), "TWFu");
}

/// The small tenant with every canary in its place; the owner has left, so that there is something to report.
fn planted(world: &World) -> Value {
    let mut file = estate::small(world.ns);
    file["users"][0]["displayName"] = json!(OWNER_NAME);
    file["users"][0]["userPrincipalName"] = json!(format!("{ADDRESS}@fabrikam.example"));
    file["users"][0]["accountEnabled"] = json!(false);
    for application in file["applications"].as_array_mut().into_iter().flatten() {
        if application["key"] == "billing" {
            application["displayName"] = json!(APP_NAME);
        } else {
            application["passwordCredentials"][0]["value"] = json!(SECRET);
        }
    }
    file
}

/// Everything but Secrets and Findings that the cluster holds of the product.
fn objects(world: &World) -> Result<Places> {
    let mut places = Places::new();
    for kind in ["events", "events.events.k8s.io"] {
        places.insert(kind.to_owned(), world.kubectl.run(&["get", kind, "-A", "-o", "json"])?);
    }
    let kinds = [
        "connectorinstances",
        "estates.securityv0.com",
        "scanschedules",
        "findingexceptions",
        "jobs",
        "pods",
        "configmaps",
        "leases",
        "deployments",
        "statefulsets",
        "services",
        "serviceaccounts",
    ];
    for namespace in [SYSTEM, ESTATES[0], ESTATES[1]] {
        for kind in kinds {
            let text = world.kubectl.run(&["get", kind, "-n", namespace, "-o", "json", "--show-managed-fields"])?;
            places.insert(format!("{kind} in {namespace}"), text);
        }
    }
    Ok(places)
}

fn metrics(world: &World) -> Result<Places> {
    let mut places = Places::new();
    for (program, target, port) in
        [("manager", "deployment/securityv0-manager", 8080), ("store", "statefulset/securityv0-store", 8081)]
    {
        let text = Forward::open(&world.env, SYSTEM, target, port)?.get("/metrics")?;
        assert!(text.contains("# TYPE"), "the {program} shows no metrics: {text}");
        places.insert(format!("metrics of the {program}"), text);
    }
    Ok(places)
}

/// Decoded snapshots, ledger and evidence pack of the estate.
fn stored(world: &World) -> Result<Places> {
    let store = Store::open(world)?;
    let token =
        world.token(SYSTEM, &format!("reader-{}", world.ns), &format!("securityv0-store/reader/{}", world.ns))?;
    let get = |path: String| store.get(&format!("/v1/estates/{}/{path}", world.ns), &token);
    let decode =
        |bytes: &[u8]| -> Result<String> { Ok(String::from_utf8_lossy(&zstd::decode_all(bytes)?).into_owned()) };

    let instance = world.kubectl.get(&["-n", world.ns, "connectorinstance", INSTANCE])?;
    let uid = instance["metadata"]["uid"].as_str().unwrap_or_default();
    let snapshot = instance["status"]["snapshot"]["id"].as_str().ok_or("the instance has no snapshot")?;
    let manifest = get(format!("instances/{uid}/snapshots/{snapshot}"))?;
    let mut places = BTreeMap::from([("manifest".to_owned(), String::from_utf8_lossy(&manifest).into_owned())]);
    for part in serde_json::from_slice::<Value>(&manifest)?["parts"].as_array().into_iter().flatten() {
        let name = part["sha256"].as_str().unwrap_or_default();
        places.insert(format!("{} {name}", part["kind"]), decode(&get(format!("instances/{uid}/parts/{name}"))?)?);
    }
    let estate = world.kubectl.get(&["-n", world.ns, "estates.securityv0.com", "default"])?;
    for (kind, field) in [("packs", "packDigest"), ("ledgers", "ledger")] {
        let digest = estate["status"][field].as_str().ok_or_else(|| format!("the Estate has no {field}: {estate}"))?;
        let name = digest.trim_start_matches("sha256:");
        places.insert(kind.to_owned(), decode(&get(format!("{kind}/{name}"))?)?);
    }
    Ok(places)
}

/// A scan that is refused, and one that the vendor answers with errors and rubbish.
fn failing_scans(world: &World) -> Result<()> {
    world.secret(estate::TENANT, WRONG_SECRET)?;
    world.request_scan("wrong")?;
    world.wait_condition("Ready", "False", "CredentialInvalid", PATIENCE)?;
    world.secret(estate::TENANT, SECRET)?;
    world.vendor.mutate(&json!({"revokePermission": "User.Read.All"}))?;
    world.vendor.mutate(&json!({"hostile": "not-json", "hostileRoute": "applications"}))?;
    let last = world.scan()?;
    assert_eq!(last["outcome"], "Partial", "{last}");
    world.wait_evaluated()
}

/// The logs of all programs; without those of Jobs where the node's files cannot be read.
fn log_texts(world: &World, logs: Option<Logs>) -> Result<Places> {
    let Some(logs) = logs else {
        println!("the node's logs are not on this machine: those of scans and evaluations are not searched");
        let log = |target: &str| world.kubectl.run(&["logs", "-n", SYSTEM, target]);
        let (manager, store) = (log("deployment/securityv0-manager")?, log("statefulset/securityv0-store")?);
        return Ok(BTreeMap::from([("manager's log".into(), manager), ("store's log".into(), store)]));
    };
    let texts = logs.finish()?;
    let heard = |part: &str| texts.iter().filter(|(name, text)| name.contains(part) && !text.is_empty()).count();
    for (part, at_least) in [("securityv0-manager", 1), ("securityv0-store", 1), ("sv0-scan-", 3), ("sv0-eval-", 2)] {
        let names: Vec<&String> = texts.keys().collect();
        assert!(heard(part) >= at_least, "{} logs of {part}, {at_least} expected: {names:?}", heard(part));
    }
    Ok(texts)
}

#[test]
fn names_stay_in_findings_and_evidence_and_secrets_nowhere() -> Result<()> {
    let world = World::clean()?;
    let logs = Logs::follow(&world.env, &[SYSTEM, ESTATES[0], ESTATES[1]]);
    world.vendor.set_estate(&planted(&world).to_string())?;
    let schedule = json!({
        "apiVersion": "securityv0.com/v1alpha1", "kind": "ScanSchedule",
        "metadata": {"name": "yearly", "namespace": world.ns}, "spec": {"schedule": "0 0 1 1 *"},
    });
    world.kubectl.apply(&schedule.to_string())?;
    world.secret(estate::TENANT, SECRET)?;
    world.connect_with_secret()?;
    world.wait_evaluated()?;

    let evidence = stored(&world)?;
    for name in NAMES {
        assert!(!sightings(&evidence, &[name]).is_empty(), "{name} is not in the evidence: was it read at all?");
    }
    failing_scans(&world)?;
    let findings = world.kubectl.run(&["get", "findings", "-n", world.ns, "-o", "json"])?;
    let findings = BTreeMap::from([("findings".to_owned(), findings)]);
    for name in NAMES {
        assert!(!sightings(&findings, &[name]).is_empty(), "no finding says {name}");
    }
    for places in [&evidence, &stored(&world)?, &findings] {
        assert_eq!(sightings(places, &NEVER_KEPT), Vec::<String>::new(), "in what is kept");
    }

    let mut shown = objects(&world)?;
    shown.extend(metrics(&world)?);
    shown.extend(log_texts(&world, logs)?);
    let everything: Vec<&str> = NAMES.into_iter().chain(NEVER_KEPT).collect();
    assert_eq!(sightings(&shown, &everything), Vec::<String>::new(), "in what the product shows");
    Ok(())
}
