//! `pack export`, `replay` and `verify` as people run them, against a real store that is reached through a stand-in for
//! kubectl.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../evaluate/tests/evaluate/estate.rs"]
#[allow(dead_code, reason = "one of the estate's scans is enough here")]
mod estate;
mod service;

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sv0_engine::bundle::Bundle;
use sv0_engine::convert::content_digest;
use sv0_graph::canonical::{digest, to_canonical_json};

use crate::service::{UID, World, runs};

type Lines = Vec<Map<String, Value>>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Waits for a condition that only failure keeps from coming.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn exported(world: &World) -> Bundle {
    let output = world.run(&["pack", "export", "-n", "team-a", "-o", "team-a.tar"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    Bundle::read(&Bytes::from(std::fs::read(world.path("team-a.tar")).unwrap())).unwrap()
}

/// Replays on a machine that has no kubectl.
fn replay(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.command(&["replay"]);
    command.args(arguments).env("SV0_KUBECTL", "/nonexistent").output().unwrap()
}

/// Gives each line of a pack the link and the digest that it asks for.
fn sealed(pack: &[u8], change: impl Fn(&mut Vec<Map<String, Value>>)) -> Bytes {
    let all = String::from_utf8(zstd::decode_all(pack).unwrap()).unwrap();
    let mut lines: Vec<Map<String, Value>> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut lines);
    let (mut head, mut out) = (None::<String>, Vec::new());
    for line in &mut lines {
        line.remove("digest");
        if let Some(head) = head {
            line.insert("before".into(), head.into());
        }
        let own = digest(&to_canonical_json(line).unwrap());
        line.insert("digest".into(), own.clone().into());
        out.extend(to_canonical_json(line).unwrap());
        out.push(b'\n');
        head = Some(own);
    }
    zstd::encode_all(out.as_slice(), 3).unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_is_exported_computed_again_and_verified() {
    let world = World::start(1000).await;
    let output = world.run(&["pack", "export", "-n", "team-a", "-o", "team-a.tar", "--context", "prod"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&world.evaluation.pack.digest), "{}", text(&output.stdout));
    assert_eq!(std::fs::metadata(world.path("team-a.tar")).unwrap().mode() & 0o777, 0o600);
    eventually("the forward ended with the command", || !runs(&world.forward().unwrap()));

    // What the user needs the right to do, and nothing else.
    let calls: Vec<String> = world.calls().lines().map(|call| call.replace(" --context=prod", "")).collect();
    assert_eq!(
        calls,
        [
            "get estates.securityv0.com default --namespace=team-a --ignore-not-found --output=json",
            "get configmap securityv0-store-ca --namespace=securityv0-system --output=json",
            "create token reader-team-a --namespace=securityv0-system --audience=securityv0-store/reader/team-a --duration=10m",
            "port-forward pod/securityv0-store-0 :8443 --namespace=securityv0-system --address=127.0.0.1",
        ]
    );
    for said in [&output.stdout, &output.stderr] {
        assert!(!text(said).contains("reader-team-a|"), "the token is shown nowhere");
    }

    let output = replay(&world, &["team-a.tar", "--pack", &world.evaluation.pack.digest]);
    let said = text(&output.stdout);
    assert_eq!((code(&output), text(&output.stderr).as_str()), (0, ""));
    assert!(said.starts_with("EQUAL. The evaluation of team-a as of 2026-01-10T12:00:00Z"), "{said}");
    assert!(said.contains(&world.evaluation.pack.digest) && said.contains(&world.evaluation.ledger.digest), "{said}");
    assert!(said.ends_with("\nThe pack is the one that was named.\n"), "{said}");
    let unnamed = text(&replay(&world, &["team-a.tar"]).stdout);
    assert!(unnamed.contains("Whose evaluation it is, the file alone does not prove"), "{unnamed}");
    let output = replay(&world, &["team-a.tar", "-o", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["result"], &said["difference"]), (&json!("equal"), &Value::Null));
    assert_eq!(said["findings"], world.evaluation.findings.len());

    for arguments in [&["verify", "-n", "team-a"][..], &["verify", "-n", "team-a", "team-a.tar"]] {
        let output = world.run(arguments).await;
        assert_eq!(code(&output), 0, "{}{}", text(&output.stdout), text(&output.stderr));
        assert!(text(&output.stdout).starts_with("EQUAL. The Findings in team-a"), "{}", text(&output.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_told_and_purged_and_what_is_there_is_not() {
    let world = World::start(1000).await;
    let purge = async |arguments: &[&str]| {
        let output = world.run(&[&["purge"], arguments].concat()).await;
        (code(&output), text(&output.stdout) + &text(&output.stderr))
    };
    let named = ["-n", "team-a", "--instance", UID, "--yes"];
    for told in [false, true] {
        if told {
            world.tell(&[UID]).await;
        }
        assert_eq!(purge(&[]).await, (0, "The store holds nothing of what is gone.\n".to_owned()));
        let (code, said) = purge(&named).await;
        assert!(code == 1 && said.contains("knows no instance"), "{said}");
    }
    world.tell(&[]).await;
    let held = format!("Held by the store:\n  instance {UID} of team-a: known to be gone for 0 of 7 days\n");
    let (code, said) = purge(&[]).await;
    assert!(code == 0 && said.starts_with(&held) && said.contains("Nothing was changed."), "{said}");
    assert_eq!(purge(&["-n", "team-b"]).await.1, "The store holds nothing of what is gone.\n");
    assert_eq!(purge(&["--yes"]).await.0, 2, "a namespace must be named");
    assert_eq!(purge(&["-n", "team-a", "--instance", "corp", "--yes"]).await.0, 2, "a name is not a UID");
    let (code, said) = purge(&named).await;
    assert!(code == 0 && said.starts_with(&held) && said.contains("The store deletes"), "{said}");
    assert!(purge(&[]).await.1.contains(&format!("instance {UID} of team-a: is being deleted")));
    let token =
        "create token securityv0-purge --namespace=securityv0-system --audience=securityv0-store/purge --duration=10m";
    assert!(world.calls().contains(token), "{}", world.calls());
    eventually("the forward ended with the command", || !runs(&world.forward().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_not_touched() {
    let world = World::start(1000).await;
    std::fs::write(world.path("precious"), "precious").unwrap();
    symlink(world.path("precious"), world.path("link")).unwrap();
    symlink(world.path("nowhere"), world.path("dangling")).unwrap();
    for name in ["precious", "link", "dangling"] {
        let output = world.run(&["pack", "export", "-n", "team-a", "-o", name]).await;
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains("exists already"), "{}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(world.path("precious")).unwrap(), "precious");
    assert!(!world.path("nowhere").exists());
    assert_eq!(world.calls(), "", "nothing was asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_the_file_is_named() {
    let world = World::start(1000).await;
    let bundle = exported(&world).await;
    let good = std::fs::read(world.path("team-a.tar")).unwrap();
    let at = good.windows(bundle.pack.len()).position(|window| window == bundle.pack).unwrap();
    let mut file = good.clone();
    file[at + 30] ^= 1;
    std::fs::write(world.path("changed.tar"), &file).unwrap();
    let output = replay(&world, &["changed.tar"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (2, ""));
    let said = text(&output.stderr);
    assert!(said.contains("changed.tar cannot be used: pack.jsonl.zst was changed"), "{said}");
    let output = replay(&world, &["changed.tar", "-o", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), said["result"].as_str(), text(&output.stderr).as_str()), (2, Some("unusable"), ""));

    std::fs::write(world.path("cut.tar"), &good[..good.len() / 2]).unwrap();
    assert_eq!(code(&replay(&world, &["cut.tar"])), 2);
    assert_eq!(code(&replay(&world, &["none.tar"])), 2);

    // A pack made anew as a whole: computing it again finds what was changed, and the terminal is not moved by it.
    let pack = sealed(&bundle.pack, |lines| lines[1]["spec"]["title"] = json!("quiet\u{1b}[2J\u{202e}"));
    let forged = Bundle { pack, ..bundle.clone() };
    std::fs::write(world.path("forged.tar"), forged.write().unwrap()).unwrap();
    let output = replay(&world, &["forged.tar"]);
    let said = text(&output.stdout);
    let name = world.evaluation.findings.keys().next().unwrap();
    assert_eq!(code(&output), 1, "{said}");
    assert!(said.starts_with("DIFFERENT.") && said.contains(&format!("finding {name}, /spec/title")), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let output = replay(&world, &["forged.tar", "-o", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), said["difference"]["field"].as_str()), (1, Some("/spec/title")));
    let output = replay(&world, &["forged.tar", "--pack", &world.evaluation.pack.digest]);
    assert_eq!(code(&output), 2, "it is not the pack that the status names");
    assert_eq!(code(&world.run(&["verify", "-n", "team-a", "forged.tar"]).await), 2);

    let other =
        Bundle { pack: sealed(&bundle.pack, |l| l[0]["rulePack"]["version"] = json!("entra-2030.1")), ..bundle };
    std::fs::write(world.path("other.tar"), other.write().unwrap()).unwrap();
    let output = replay(&world, &["other.tar"]);
    let said = text(&output.stderr);
    assert!(code(&output) == 2 && said.contains("needs the rule pack entra-2030.1"), "{said}");
}

/// A stranger's file says nothing to the terminal: neither where it is refused, nor where its content is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_file_moves_no_terminal() {
    const EVIL: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\r\nEQUAL. All is well";
    let world = World::start(1000).await;
    let bundle = exported(&world).await;
    let pack =
        |change: &dyn Fn(&mut Lines)| Bundle { pack: sealed(&bundle.pack, change), ..bundle.clone() }.write().unwrap();
    let rules = |lines: &mut Lines| lines[0]["rulePack"]["version"] = json!(EVIL);
    let future = |lines: &mut Lines| {
        rules(lines);
        lines[0]["config"]["ofTheFuture"] = json!(1);
    };
    let lost = |lines: &mut Lines| {
        lines[0]["snapshots"][0]["usedId"] = json!(EVIL);
        lines[0]["snapshots"][0]["usedDigest"] = json!(EVIL);
        lines[0]["snapshots"][0]["instance"] = json!(EVIL);
    };
    let doubled = |lines: &mut Lines| {
        lines[1].insert("name".into(), EVIL.into());
        lines[1]["line"] = json!(9);
    };
    let told = |lines: &mut Lines| lines[1]["spec"]["title"] = json!(EVIL);
    // A name in the list of digests, which is read before anything is checked against it.
    let line = EVIL.replace(['\r', '\n'], "");
    let mut sums = bundle.write().unwrap();
    let at = sums.windows(11).position(|window| window == b"bundle.json").unwrap();
    sums.splice(at..at + 11, line.bytes());
    sums.truncate(2048.max(at + line.len() + 512));
    let estate = Bundle { estate: EVIL.into(), ..bundle.clone() }.write().unwrap();
    for (what, file, expected) in [
        ("rules", pack(&rules), 2),
        ("future", pack(&future), 2),
        ("lost", pack(&lost), 2),
        ("doubled", pack(&doubled), 2),
        ("sums", sums, 2),
        ("told", pack(&told), 1),
        ("estate", estate, 0),
    ] {
        std::fs::write(world.path("evil.tar"), file).unwrap();
        for arguments in [&["evil.tar"][..], &["evil.tar", "-o", "json"]] {
            let output = replay(&world, arguments);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(code(&output), expected, "{what}: {said}");
            assert!(!said.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r']), "{what}: {said:?}");
            assert!(!said.contains("\nEQUAL. All is well"), "{what}: {said}");
        }
    }
}

/// Forged, missing, changed with and without a new digest, relabelled, and more than the cap allows.
#[tokio::test(flavor = "multi_thread")]
async fn findings_that_are_not_the_evaluations_are_named() {
    let all = World::start(1000).await;
    let cap = all.evaluation.findings.len() - 1;
    assert!(cap >= 4);
    let world = World::start(cap).await;
    let good = world.objects();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let beyond = all.objects().into_iter().find(|object| !good.iter().any(|kept| name(kept) == name(object))).unwrap();
    let verify = async |objects: &[Value]| -> (i32, Value) {
        world.standing(objects);
        let output = world.run(&["verify", "-n", "team-a", "-o", "json", "--settle", "0"]).await;
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (code(&output), said)
    };

    let (code_, said) = verify(&good).await;
    assert_eq!((code_, &said["problems"], &said["cutOff"]), (0, &json!([]), &json!(1)), "{said}");

    let mut wrong = good.clone();
    let lost = name(&wrong.remove(0));
    let changed = name(&wrong[0]);
    wrong[0]["spec"]["title"] = json!("All is well");
    let resealed = name(&wrong[1]);
    wrong[1]["spec"]["severity"] = json!("Low");
    let spec: sv0_api::FindingSpec = serde_json::from_value(wrong[1]["spec"].clone()).unwrap();
    wrong[1]["spec"]["contentDigest"] = json!(content_digest(&spec).unwrap());
    let relabelled = name(&wrong[2]);
    wrong[2]["metadata"]["labels"]["securityv0.com/severity"] = json!("Info");
    wrong[2]["metadata"]["labels"]["somebody/elses"] = json!("label");
    let mut forged = good[0].clone();
    forged["metadata"]["name"] = json!("cred-001-forged");
    wrong.push(forged);
    wrong.push(beyond.clone());
    let (code_, said) = verify(&wrong).await;
    assert_eq!(code_, 1);
    let problems = said["problems"].as_array().unwrap();
    let of = |name: &str| problems.iter().find(|problem| problem["name"] == name).unwrap();
    assert_eq!(problems.len(), 6, "{said}");
    assert_eq!(of(&lost)["problem"], "missing");
    assert_eq!(of("cred-001-forged")["problem"], "forged");
    assert_eq!(of(&name(&beyond))["problem"], "beyondCap");
    let changed = of(&changed);
    assert_eq!((&changed["field"], &changed["contentDigestFits"]), (&json!("/spec/title"), &json!(false)));
    assert_eq!(changed["actual"], "\"All is well\"");
    let resealed = of(&resealed);
    assert_eq!((&resealed["problem"], &resealed["contentDigestFits"]), (&json!("changed"), &json!(true)));
    assert_eq!(of(&relabelled)["field"], "/labels/securityv0.com~1severity");
    assert_eq!(said["cutOff"], 0);

    let output = world.run(&["verify", "-n", "team-a", "--settle", "0"]).await;
    let said = text(&output.stdout);
    assert_eq!(code(&output), 1);
    for sentence in [
        "cred-001-forged  forged: the evaluation has no such finding",
        "missing: the evaluation has it, the cluster has not",
        "stands, although the evaluation cut it off by the cap",
        "/spec/title is 'All is well', the evaluation gives",
        "/spec/severity is 'Low', the evaluation gives",
        "its contentDigest fits what it says now",
        "its contentDigest no longer fits what it says",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
}

/// Whoever orders an evaluation could order it with limits of their own: all is equal then, and the Estate says otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_that_was_told_other_limits_is_named() {
    let world = World::start(1000).await;
    let verify = async |generation: i64, output: &str| {
        let mut estate: Value = serde_json::from_slice(&std::fs::read(world.path("estate")).unwrap()).unwrap();
        estate["spec"] = json!({"thresholds": {"rotateDays": 7}});
        estate["metadata"]["generation"] = json!(generation);
        estate["status"]["observedGeneration"] = json!(3);
        std::fs::write(world.path("estate"), estate.to_string()).unwrap();
        let output = world.run(&["verify", "-n", "team-a", "-o", output]).await;
        (code(&output), text(&output.stdout))
    };
    let (code, said) = verify(3, "text").await;
    assert!(
        code == 1 && said.starts_with("DIFFERENT. The evaluation was not told what stands in the cluster:"),
        "{said}"
    );
    assert!(said.contains("/thresholds/rotateDays was 90, the Estate says 7") && !said.contains("EQUAL"), "{said}");
    let (code, said) = verify(3, "json").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["result"], &said["problems"]), (1, &json!("different"), &json!([])));
    assert_eq!(said["contradictions"].as_array().unwrap().len(), 1);
    let (code, said) = verify(4, "text").await;
    assert!(code == 0 && said.starts_with("EQUAL.") && said.contains("spec was changed since"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_earlier_evaluation_is_told_apart() {
    let world = World::start(1000).await;
    exported(&world).await;
    world.status(&json!({"packDigest": "sha256:0"}));
    let output = world.run(&["verify", "-n", "team-a", "team-a.tar"]).await;
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("not of the estate's last evaluation"), "{}", text(&output.stderr));
    world.status(&json!({}));
    let output = world.run(&["pack", "export", "-n", "team-a", "-o", "never.tar"]).await;
    assert!(text(&output.stderr).contains("has not been evaluated yet"), "{}", text(&output.stderr));
}

/// An earlier evaluation is exported as it was, while all of it is there; then what is missing is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_evaluation_is_exported_by_its_digest() {
    let world = World::start(1000).await;
    exported(&world).await;
    let of_last = std::fs::read(world.path("team-a.tar")).unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    world.status(&json!({"packDigest": other}));
    let export = async |digest: &str, file: &str| {
        let output = world.run(&["pack", "export", "-n", "team-a", "--pack", digest, "--output-file", file]).await;
        assert_eq!(world.path(file).exists(), output.status.success());
        (code(&output), text(&output.stdout), text(&output.stderr))
    };
    let own = world.evaluation.pack.digest.clone();
    let (code, said, _) = export(&own, "earlier.tar").await;
    assert!(code == 0 && said.contains(&own), "{said}");
    assert_eq!(std::fs::read(world.path("earlier.tar")).unwrap(), of_last);

    let (code, _, said) = export(&other, "never.tar").await;
    assert!(code == 1 && said.contains(&format!("the store does not hold the pack {other}")), "{said}");
    for wrong in ["latest", "sha256:0", &own.to_uppercase(), &format!("sha256:{}/../x", "0".repeat(59))] {
        let (code, _, said) = export(wrong, "never.tar").await;
        assert!(code == 2 && said.contains("not sha256: and 64 digits"), "{said}");
    }

    let snapshots = world.lose_snapshots();
    assert!(snapshots > 0);
    let (code, _, said) = export(&own, "never.tar").await;
    assert_eq!(code, 1);
    assert!(said.contains(&format!("the evaluation of the pack {own} cannot be exported")), "{said}");
    assert!(said.contains("the store no longer holds snapshot") && said.contains("store.keepSnapshots"), "{said}");
}

/// `explain --evidence` reads the pack under the user's own rights and tells what the exported file tells, also of findings
/// that do not stand as objects.
#[tokio::test(flavor = "multi_thread")]
async fn all_evidence_is_told_from_the_store() {
    let world = World::start(1).await;
    let bundle = exported(&world).await;
    std::fs::remove_file(world.path("calls")).unwrap();
    let pack = sv0_engine::pack_reader::Pack::read(&bundle.pack).unwrap();
    let (kept, hidden): (Vec<_>, Vec<_>) = pack.findings.iter().partition(|(_, finding)| finding.kept);
    assert!(kept.len() == 1 && !hidden.is_empty());
    let mut capped = 0;
    for (name, finding) in kept.iter().chain(&hidden) {
        let live = world.run(&["explain", name, "-n", "team-a", "--evidence", "--context", "prod"]).await;
        let file = world.run(&["explain", name, "--from", "team-a.tar"]).await;
        let (live, file) = (text(&live.stdout), text(&file.stdout));
        let told = |text: &str| {
            text.split("\nAll of this").next().unwrap().split("\nWhat was not seen").next().unwrap().to_owned()
        };
        assert_eq!(told(&live), told(&file), "{name}");
        let pieces = finding.line["full"]["evidence"].as_array().unwrap().len();
        assert_eq!(live.matches("       observed at: ").count(), pieces, "{live}");
        let joined = live.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(joined.contains("its digest is the one in the Estate's status."), "{joined}");
        capped += usize::from(joined.contains("It does not stand as an object: the estate has as many"));
    }
    assert_eq!(capped, hidden.len());
    let calls = world.calls().replace(" --context=prod", "");
    let first: Vec<&str> = calls.lines().take(4).collect();
    assert_eq!(
        first,
        [
            "get estates.securityv0.com default --namespace=team-a --ignore-not-found --output=json",
            "get configmap securityv0-store-ca --namespace=securityv0-system --output=json",
            "create token reader-team-a --namespace=securityv0-system --audience=securityv0-store/reader/team-a --duration=10m",
            "port-forward pod/securityv0-store-0 :8443 --namespace=securityv0-system --address=127.0.0.1",
        ]
    );
    eventually("the forward ended with the command", || !runs(&world.forward().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_obstacle_on_the_way_to_the_store_is_said() {
    let world = World::start(1000).await;
    let export = async || {
        let output = world.run(&["pack", "export", "-n", "team-a", "-o", "never.tar"]).await;
        assert_eq!(code(&output), 1);
        assert!(!world.path("never.tar").exists());
        text(&output.stderr)
    };
    std::fs::write(world.path("forbidden"), "").unwrap();
    let said = export().await;
    assert!(said.contains("securityv0-reader-team-a") && said.contains("is forbidden"), "{said}");
    std::fs::remove_file(world.path("forbidden")).unwrap();

    // What answers has a right certificate, of another authority.
    let published = std::fs::read_to_string(world.path("configmap")).unwrap();
    world.authority(&service::identity().ca_pem());
    let said = export().await;
    assert!(said.contains("what answers at the store's address is not the store"), "{said}");
    std::fs::write(world.path("configmap"), published).unwrap();

    // A token of another estate's account.
    let script = std::fs::read_to_string(world.path("kubectl")).unwrap();
    std::fs::write(world.path("kubectl"), script.replace("$namespace:$3", "$namespace:reader-team-b")).unwrap();
    let said = export().await;
    assert!(said.contains("refuses with status 403"), "{said}");
    eventually("the forward ended with the command", || !runs(&world.forward().unwrap()));
}

/// A program that is told to end takes the way to the store with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_forward_too() {
    let world = World::start(1000).await;
    // Something that takes the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::write(world.path("port"), silent.local_addr().unwrap().port().to_string()).unwrap();
    for signal in ["TERM", "INT", "HUP"] {
        std::fs::remove_file(world.path("forward.pid")).ok();
        let mut child = world
            .command(&["pack", "export", "-n", "team-a", "-o", "never.tar"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The connection is there: the program waits for an answer.
        let _held = silent.accept().unwrap();
        let forward = world.forward().unwrap();
        assert!(runs(&forward));
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        assert!(!child.wait().unwrap().success());
        eventually("the forward ends", || !runs(&forward));
    }
    assert_ne!(world.port, 0);
}
