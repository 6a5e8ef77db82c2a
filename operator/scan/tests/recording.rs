//! A scan that is recorded and run again: nothing changes, nothing is asked, nothing that is not kept is written, and
//! a recording that is not whole is an error and never a smaller tenant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests")]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
mod tenant;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rstest::rstest;
use serde_json::{Value, json};
use support::{ASSERTION, CANARY, Faults, Kept, Microsoft, NEVER, SECRET, Scene};
use sv0_connector::{Exchanges, Recorder, RecordingError};
use sv0_graph::CoverageState;
use sv0_protocol::{Outcome, Reason, ScanReport};
use sv0_scan::{Surroundings, finish_recording, open_recording, run, run_with};
use tenant::World;

/// A recorded scan.
struct Recorded {
    dir: tempfile::TempDir,
    report: ScanReport,
    parts: Vec<Bytes>,
}

impl Recorded {
    fn path(&self) -> PathBuf {
        self.dir.path().join("recording")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    fn exchange(&self, operation: &str) -> PathBuf {
        self.files().into_iter().find(|path| path.to_string_lossy().contains(&format!("-{operation}."))).unwrap()
    }
}

fn parts(kept: &Kept) -> Vec<Bytes> {
    kept.parts.lock().unwrap().clone()
}

/// A scene whose order accepts this collection revision.
fn scene(microsoft: &Microsoft, revision: u32) -> Scene {
    let mut scene = Scene::new(microsoft);
    scene.request.accepted_collection_revision = revision;
    scene
}

async fn record(microsoft: &Microsoft) -> Recorded {
    record_at(microsoft, 1).await
}

async fn record_at(microsoft: &Microsoft, revision: u32) -> Recorded {
    let scene = scene(microsoft, revision);
    let dir = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::create(&dir.path().join("recording")).unwrap());
    let exchanges = Exchanges::Recorded(Arc::clone(&recorder));
    let report = Box::pin(run_with(&scene.request, &scene.ports(), &exchanges)).await;
    finish_recording(&recorder, &scene.request, &report).unwrap();
    Recorded { dir, report, parts: parts(&scene.kept) }
}

async fn replay(path: &Path) -> Result<(ScanReport, Kept), RecordingError> {
    let (report, kept, verdict) = whatever_comes(path).await?;
    verdict.map(|()| (report, kept))
}

/// Runs a recording where there is no network, no credential, and another time.
async fn whatever_comes(path: &Path) -> Result<(ScanReport, Kept, Result<(), RecordingError>), RecordingError> {
    let (replay, request) = open_recording(path)?;
    let kept = Kept::default();
    let ports = sv0_scan::Ports {
        endpoints: None,
        credential_dir: "/nowhere".into(),
        federated_token: "/nowhere".into(),
        surroundings: sv0_scan::Surroundings::default(),
        sink: Box::new(kept.clone()),
        pause: Arc::new(sv0_connector::TokioPause),
        stop: tokio_util::sync::CancellationToken::new(),
        now: || panic!("the recorded time counts"),
    };
    let exchanges = Exchanges::Replayed(Arc::new(replay));
    let report = Box::pin(run_with(&request, &ports, &exchanges)).await;
    Ok((report, kept, exchanges.verdict()))
}

async fn vendor(faults: Faults) -> Arc<Microsoft> {
    let microsoft = Microsoft::start().await;
    microsoft.set(faults);
    microsoft
}

#[rstest]
#[case::whole(Faults::default())]
#[case::denied(Faults { deny: vec!["/users", "/roleManagement"], ..Faults::default() })]
#[case::throttled(Faults { throttle: 2, retry_after: Some("1"), ..Faults::default() })]
#[case::throttled_to_the_end(Faults { throttle: 1000, ..Faults::default() })]
#[case::lost(Faults { lose_last_page_of: Some("/applications"), ..Faults::default() })]
#[case::cut(Faults { refuse_expand: true, ..Faults::default() })]
#[case::circle(Faults { next_link: Some(("/servicePrincipals", "http://127.0.0.1:1/v1.0/servicePrincipals".into())), ..Faults::default() })]
#[case::no_json(Faults { raw: Some(("/roleManagement/directory/roleAssignments", 200, "<html>".into())), ..Faults::default() })]
#[case::down(Faults { raw: Some(("/$batch", 503, String::new())), ..Faults::default() })]
#[case::hidden(Faults { hide_accounts: true, ..Faults::default() })]
#[tokio::test]
async fn a_replay_finds_what_the_recorded_scan_found(#[case] faults: Faults, #[values(1, 2)] revision: u32) {
    let microsoft = vendor(faults.clone()).await;
    if revision == 2 {
        microsoft.extend();
    }
    let plain = scene(&microsoft, revision);
    let unrecorded = Box::pin(run(&plain.request, &plain.ports())).await;
    microsoft.set(faults);
    if unrecorded.snapshot.is_none() {
        // What ends a scan ends it recorded as well, and leaves no recording.
        let scene = scene(&microsoft, revision);
        let dir = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::create(dir.path()).unwrap());
        let exchanges = Exchanges::Recorded(Arc::clone(&recorder));
        let report = Box::pin(run_with(&scene.request, &scene.ports(), &exchanges)).await;
        assert_eq!((report.outcome, report.reason), (unrecorded.outcome, unrecorded.reason));
        assert_eq!(finish_recording(&recorder, &scene.request, &report), Err(RecordingError::CutShort));
        return;
    }
    let recorded = record_at(&microsoft, revision).await;
    assert_eq!(recorded.parts, parts(&plain.kept), "recording changes nothing");
    assert_eq!(recorded.report.gaps, unrecorded.gaps);
    let asked = microsoft.paths.lock().unwrap().len();

    let (report, kept) = replay(&recorded.path()).await.unwrap();
    assert_eq!(parts(&kept), recorded.parts, "the same rows, byte by byte");
    let told = |report: &ScanReport| (report.outcome, report.reason, report.gaps.clone(), report.items);
    assert_eq!(told(&report), told(&recorded.report));
    assert_eq!(report.permissions_missing, recorded.report.permissions_missing);
    assert_eq!(report.credential_expires_at, recorded.report.credential_expires_at);
    assert_eq!((report.token_requests, microsoft.paths.lock().unwrap().len()), (0, asked), "nothing was asked");
    let (_, again) = replay(&recorded.path()).await.unwrap();
    assert_eq!(*again.manifest.lock().unwrap(), *kept.manifest.lock().unwrap(), "twice the same, times included");
}

/// The simulated tenants at the newest collection revision: one without paid plans, one with all of them.
#[rstest]
#[case::demo(tenant::DEMO, tenant::SECRET, &["servicePrincipals"])]
#[case::full(tenant::FULL, tenant::FULL_SECRET, &["agentIdentities", "credentialActivity", "directoryAudits", "directoryRoleEligibility", "flexibleFederatedCredentials", "groupMembers"])]
#[tokio::test]
async fn a_replay_finds_what_the_simulated_tenant_has(
    #[case] estate: &str,
    #[case] secret: &str,
    #[case] told: &[&str],
) {
    let world = World::start(estate).await;
    let mut request = world.request();
    request.accepted_collection_revision = 2;
    let files = [("target", world.tenant.as_str()), ("clientSecret", secret)];
    let (plain, unrecorded) = world.scan_with(&request, &files, &Surroundings::default()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording");
    let recorder = Arc::new(Recorder::create(&path).unwrap());
    let exchanges = Exchanges::Recorded(Arc::clone(&recorder));
    let (report, kept) = world.scan_by(&request, &files, &Surroundings::default(), &exchanges).await;
    finish_recording(&recorder, &request, &report).unwrap();
    assert_eq!((plain.gaps, parts(&unrecorded)), (report.gaps.clone(), parts(&kept)), "recording changes nothing");
    let snapshot = kept.snapshot();
    for collection in told {
        let record = snapshot.header.coverage.iter().find(|record| record.collection == *collection).unwrap();
        assert_eq!(record.state, CoverageState::Complete, "{collection}");
        assert!(record.items > 0, "{collection}");
    }

    let (again, replayed) = replay(&path).await.unwrap();
    assert_eq!(parts(&replayed), parts(&kept), "the same rows, byte by byte");
    assert_eq!(
        (again.outcome, again.reason, again.gaps, again.items),
        (report.outcome, report.reason, report.gaps, report.items)
    );
    assert_eq!(again.permissions_missing, report.permissions_missing);
    assert_eq!(replayed.snapshot().header.coverage, snapshot.header.coverage);
}

#[tokio::test]
async fn secrets_and_what_is_never_read_are_not_written() {
    let microsoft = vendor(Faults::default()).await;
    microsoft.extend();
    let recorded = record_at(&microsoft, 2).await;
    let mut all = String::new();
    for file in recorded.files() {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        all += &std::fs::read_to_string(&file).unwrap();
    }
    assert!(all.contains(CANARY), "names and addresses are evidence, and the help says so");
    for never in [NEVER, SECRET, ASSERTION, "token-", "Bearer", "client-request-id", "127.0.0.1", "skiptoken"] {
        assert!(!all.contains(never), "{never}");
    }
    let index: Value = serde_json::from_slice(&std::fs::read(recorded.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["format"], "securityv0-recording/1");
    assert_eq!((&index["connector"], &index["collectionRevision"]), (&json!("entra"), &json!(2)));
    assert_eq!(index["asOf"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_recording_needs_a_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "kept").unwrap();
    let refused = Recorder::create(dir.path()).unwrap_err();
    assert_eq!(refused, RecordingError::NotEmpty(dir.path().to_owned()));
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Changes the index; what it says of the files is made to fit.
fn rewrite(recorded: &Recorded, change: impl FnOnce(&mut Value)) {
    let path = recorded.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    std::fs::write(path, index.to_string()).unwrap();
}

#[tokio::test]
async fn a_changed_missing_or_strange_file_is_an_error() {
    let microsoft = vendor(Faults::default()).await;
    let recorded = record(&microsoft).await;
    let file = recorded.exchange("listApplications");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, before.replacen("true", "false", 1)).unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::Changed(name(&file))));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::MissingFile(name(&file))));
    std::fs::write(&file, before).unwrap();
    std::fs::write(recorded.path().join("more.json"), "{}").unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::StrangeFile("more.json".into())));
    std::fs::remove_file(recorded.path().join("more.json")).unwrap();
    assert!(replay(&recorded.path()).await.is_ok(), "as it was");
    std::fs::remove_file(recorded.path().join("index.json")).unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::NoIndex));
}

/// Whoever hands a recording over chooses what its names lead to: `/dev/zero` never ends and says that it is empty.
#[tokio::test]
async fn a_device_in_the_place_of_a_file_is_not_read() {
    let recorded = record(&*vendor(Faults::default()).await).await;
    let file = recorded.exchange("listApplications");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::Unreadable(name(&file))));
    let index = recorded.path().join("index.json");
    std::fs::remove_file(&index).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &index).unwrap();
    assert_eq!(replay(&recorded.path()).await.err(), Some(RecordingError::NoIndex));
}

/// An exchange that is gone together with its line in the index: the scan asks for it and says so.
#[tokio::test]
async fn an_answer_that_was_not_recorded_is_no_empty_answer() {
    let microsoft = vendor(Faults::default()).await;
    let recorded = record(&microsoft).await;
    let file = recorded.exchange("listDirectoryRoleAssignments");
    std::fs::remove_file(&file).unwrap();
    rewrite(&recorded, |index| {
        index["exchanges"].as_array_mut().unwrap().retain(|listed| listed["file"] != json!(name(&file)));
    });
    let (report, kept, verdict) = whatever_comes(&recorded.path()).await.unwrap();
    let expected = RecordingError::NotRecorded { operation: "listDirectoryRoleAssignments".into(), nth: 1 };
    assert_eq!(verdict, Err(expected));
    assert_eq!((report.outcome, report.reason), (Outcome::Failed, Some(Reason::InternalError)));
    assert!(kept.manifest.lock().unwrap().is_none(), "no snapshot of a part");
}

#[tokio::test]
async fn what_nobody_asks_for_is_an_error_as_well() {
    let recorded = record(&*vendor(Faults::default()).await).await;
    let file = recorded.exchange("listDirectoryRoleAssignments");
    let twin = recorded.path().join("999999-listDirectoryRoleAssignments.json");
    std::fs::copy(&file, &twin).unwrap();
    rewrite(&recorded, |index| {
        let exchanges = index["exchanges"].as_array_mut().unwrap();
        let mut listed = exchanges.iter().find(|listed| listed["file"] == json!(name(&file))).unwrap().clone();
        listed["file"] = json!(name(&twin));
        exchanges.push(listed);
    });
    let expected = RecordingError::NotAsked { count: 1, operation: "listDirectoryRoleAssignments".into() };
    assert_eq!(replay(&recorded.path()).await.err(), Some(expected));
}

#[rstest]
#[case("/format", json!("securityv0-recording/9"), RecordingError::Format("securityv0-recording/9".into()))]
#[case("/connector", json!("okta"), RecordingError::Foreign("connector"))]
#[case("/tenant", json!("22222222-1111-4111-8111-111111111111"), RecordingError::Foreign("tenant"))]
#[case("/collectionRevision", json!(2), RecordingError::Foreign("collection revision"))]
#[case("/exchanges/0/file", json!("../secret.json"), RecordingError::StrangeFile("../secret.json".into()))]
#[tokio::test]
async fn a_recording_of_something_else_is_refused(
    #[case] field: &str,
    #[case] value: Value,
    #[case] expected: RecordingError,
) {
    let recorded = record(&*vendor(Faults::default()).await).await;
    rewrite(&recorded, |index| *index.pointer_mut(field).unwrap() = value);
    assert_eq!(replay(&recorded.path()).await.err(), Some(expected));
}

/// Two recordings of a tenant whose lists come in another order, at another speed, give the same rows.
#[tokio::test]
async fn the_order_of_arrival_does_not_matter() {
    let microsoft = vendor(Faults::default()).await;
    let one = record(&microsoft).await;
    microsoft.shuffle();
    let other = record(&microsoft).await;
    assert_eq!(one.parts, other.parts);
    // The files of one recording in another order: different requests do not wait for each other.
    rewrite(&one, |index| index["exchanges"].as_array_mut().unwrap().reverse());
    let (_, kept) = replay(&one.path()).await.unwrap();
    assert_eq!(parts(&kept), other.parts);
}

/// The program, with nothing in its environment.
fn program(arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_scan")).args(arguments).env_clear().output().unwrap()
}

#[tokio::test]
async fn the_program_replays_and_leaves_the_snapshot() {
    let recorded = record(&*vendor(Faults::default()).await).await;
    let (recording, snapshot) = (recorded.path(), recorded.dir.path().join("snapshot"));
    let arguments = ["--replay", recording.to_str().unwrap(), "--snapshot", snapshot.to_str().unwrap()];
    let output = program(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: ScanReport = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.outcome, report.started_at), (Outcome::Complete, recorded.report.started_at));
    let mut files: Vec<PathBuf> = std::fs::read_dir(&snapshot).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert_eq!(
        files.iter().map(|f| name(f)).collect::<Vec<_>>(),
        ["manifest.json", "part-0001.jsonl.zst", "part-0002.jsonl.zst"]
    );
    assert_eq!(files[1..].iter().map(|f| std::fs::read(f).unwrap()).collect::<Vec<_>>(), recorded.parts);

    let output = program(&arguments);
    assert_eq!(output.status.code(), Some(10), "the folder of the snapshot is not empty any more");
    std::fs::remove_file(recorded.exchange("listApplications")).unwrap();
    let output = program(&arguments[..2]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(10), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is missing from the recording"));
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    assert_eq!(program(&["--replay", "a", "--record", "b"]).status.code(), Some(2));
    assert_eq!(program(&["--order", "/nowhere"]).status.code(), Some(10));
    let order = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&order, serde_json::to_vec(&support::request("00001767225600000-0a1b2c3d")).unwrap()).unwrap();
    let output = program(&["--order", order.path().to_str().unwrap(), "--snapshot", "a"]);
    assert_eq!(output.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes with --record or --replay"));
    assert_eq!(program(&[]).status.code(), Some(12), "a Job without an order is a defect");
    let help = String::from_utf8(program(&["--help"]).stdout).unwrap();
    assert!(help.contains("user principal names") && help.contains("never writes"), "{help}");
}
